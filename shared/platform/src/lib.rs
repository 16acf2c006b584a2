//! How the billing domain meets the world: DynamoDB, the payment gateways,
//! HTTP and SQS. Adapters only; a business rule found here is in the wrong crate.
//!
//! | module            | what it translates                                              |
//! |-------------------|-----------------------------------------------------------------|
//! | [`config`]        | the environment, once, at cold start                            |
//! | [`http_client`]   | the one HTTP and TLS stack                                      |
//! | [`aws`]           | clients of AWS services over it                                 |
//! | [`dynamodb`]      | records to items; [`dynamodb::keys`] has the chart of the table |
//! | [`sqs`]           | messages in and out                                             |
//! | [`secrets`]       | secrets to keys, a gateway's and our own                        |
//! | [`gateways`]      | payments to the gateways, and their webhooks back               |
//! | [`mails`]         | mails to Amazon SES                                             |
//! | [`links`]         | what a mail carries, to whom it names and back                  |
//! | [`signing`]       | what a customer may use to what a service believes unasked      |
//! | [`identity`]      | tokens to callers                                               |
//! | [`authorizer`]    | API Gateway's question before a route of the SaaS               |
//! | [`return_url`]    | where a customer may be sent back to                            |
//! | [`clock`]         | the world's time, or a test stack's                             |
//! | [`http`]          | requests in, replies and problems out                           |
//! | [`catalogue`]     | catalogue documents to what is for sale                         |
//! | [`purchases`]     | what someone wants to buy to a checkout                         |
//! | [`changes`]       | what a customer asks to change to a wish or a command           |
//! | [`interventions`] | what staff do for a customer to an intervention                 |
//! | [`brands`]        | what staff say of a brand to it, and how it looks on mails and pages |
//! | [`assignments`]   | a plan that staff give to a subscription to begin               |
//! | [`imports`]       | what ran elsewhere to a subscription to take over               |
//! | [`usage`]         | what was used of what is counted to uses, each answered         |
//! | [`batch`]         | many rows in, what became of each out                           |
//! | [`metrics`]       | counts that alarms listen to                                    |
//! | [`view`]          | the shapes of our own API                                       |

pub mod assignments;
pub mod authorizer;
pub mod aws;
pub mod batch;
pub mod brands;
pub mod catalogue;
pub mod changes;
pub mod clock;
pub mod config;
pub mod dynamodb;
pub mod gateways;
pub mod http;
pub mod http_client;
pub mod identity;
pub mod imports;
pub mod interventions;
pub mod links;
pub mod mails;
pub mod metrics;
pub mod purchases;
pub mod reservations;
pub mod return_url;
pub mod secrets;
pub mod signing;
pub mod sqs;
pub mod usage;
pub mod view;

use crate::http::Problem;
use billing::payment::Gateway;
use billing::workflow::Billing;
use clock::StackClock;
use config::Config;
use gateways::Clients;
use http_client::SdkClient;
use identity::{Caller, IssuerKeys, Reporter, Scope, Unverified};
use jiff::Timestamp;
use lambda_http::Request;
use secrets::KeyStore;

/// The workflows over the real adapters, and what the edge needs besides.
#[derive(Clone, Debug)]
pub struct App {
    pub billing: Billing<dynamodb::Table, Clients, StackClock>,
    pub config: Config,
    pub sdk: SdkClient,
}

/// Reads the environment once, at cold start, and fails loudly if it is wrong.
///
/// Calls nobody: secrets are read by whoever first needs one.
pub fn app() -> Result<App, lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    let config = Config::from_env()?;
    let http = http_client::client()?;
    let sdk = SdkClient(http.clone());
    let table = dynamodb::Table::new(aws::dynamodb(&config.aws, &sdk), config.table.clone());
    let clock = match config.test_clock {
        true => StackClock::Test(table.clone()),
        false => StackClock::World,
    };
    let mut clients = Clients::default();
    for gateway in Gateway::ALL {
        let access = config.gateways.of(gateway);
        if let Some(arn) = &access.secret_arn {
            let client = aws::secrets_manager(&config.aws, &sdk);
            let keys = KeyStore::SecretsManager { client, arn: arn.clone() };
            let callback = config.public_url.as_ref().map(|url| format!("{url}/webhooks/{}", gateway.as_str()));
            clients = clients.with(gateway, &access.api, http.clone(), keys, callback);
        }
    }
    Ok(App { billing: Billing::new(table, clients, clock), config, sdk })
}

impl App {
    /// The caller of `request`, if their token allows `scope`.
    pub fn caller(&self, request: &Request, scope: Scope) -> Result<Caller, Problem> {
        identity::caller(&self.config.tokens, request, scope, world_time())
    }

    /// The issuer's keys, for whoever is asked before anybody has looked at a token.
    pub fn issuer_keys(&self) -> IssuerKeys {
        IssuerKeys::new(&self.config.tokens, self.sdk.0.clone())
    }

    /// The caller whose token `authorization` is, if one of `keys` has signed it.
    pub async fn verified(&self, keys: &IssuerKeys, authorization: &str) -> Result<Caller, Unverified> {
        identity::verified(&self.config.tokens, keys, authorization, world_time()).await
    }

    /// Who reports in `request` what is used, if their token allows it.
    pub fn reporter(&self, request: &Request) -> Result<Reporter, Problem> {
        identity::reporter(&self.config.tokens, request, world_time())
    }
}

/// The time that gateways and issuers go by, whatever a test clock says.
pub fn world_time() -> Timestamp {
    Timestamp::now()
}

//! Clients of AWS services, made without looking anything up: the Lambda
//! runtime has put region and credentials into the environment.

use crate::config::Aws;
use crate::http_client::SdkClient;
use aws_credential_types::Credentials;

macro_rules! client {
    ($(#[$doc:meta])* $name:ident, $service:ident) => {
        $(#[$doc])*
        pub fn $name(aws: &Aws, http: &SdkClient) -> $service::Client {
            let config = $service::Config::builder()
                .behavior_version($service::config::BehaviorVersion::latest())
                .region($service::config::Region::new(aws.region.clone()))
                .credentials_provider(credentials(aws))
                .http_client(http.clone());
            let config = match &aws.endpoint {
                Some(endpoint) => config.endpoint_url(endpoint),
                None => config,
            };
            $service::Client::from_conf(config.build())
        }
    };
}

client!(dynamodb, aws_sdk_dynamodb);
client!(sqs, aws_sdk_sqs);
client!(secrets_manager, aws_sdk_secretsmanager);
client!(ses, aws_sdk_sesv2);

fn credentials(aws: &Aws) -> Credentials {
    let session_token = aws.session_token.as_ref().map(|token| token.expose().to_owned());
    let secret_access_key = aws.secret_access_key.expose().to_owned();
    Credentials::new(aws.access_key_id.clone(), secret_access_key, session_token, None, "lambda")
}

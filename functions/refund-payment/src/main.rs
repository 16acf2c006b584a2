//! `POST /admin/customers/{customer}/payments/{payment}/refunds`: the SaaS gives money back.

use billing::money::Money;
use billing::payment::RefundReason;
use billing::workflow::RefundRequest;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RefundPayment {
    amount: Amount,
    reason: Reason,
}

/// Why someone gives money back. That it was never owed, only the money itself can say.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    RequestedByCustomer,
    Duplicate,
    Fraudulent,
    Other,
}

impl From<Reason> for RefundReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::RequestedByCustomer => Self::RequestedByCustomer,
            Reason::Duplicate => Self::Duplicate,
            Reason::Fraudulent => Self::Fraudulent,
            Reason::Other => Self::Other,
        }
    }
}

/// `"all"`: whatever is left. `{"minor": 1500, "currency": "USD"}`: so much of it.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Amount {
    Part(Money),
    Whole(Whole),
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Whole {
    All,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let key = idempotency_key(&request)?;
    let wanted: RefundPayment = body(&request)?;
    let payment = path(&request, "payment")?;
    let fingerprint = fingerprint(&("refund-payment", &payment, &wanted))?;
    let refunded = app.billing.refund(RefundRequest {
        customer: path(&request, "customer")?,
        payment,
        amount: match wanted.amount {
            Amount::Part(amount) => Some(amount),
            Amount::Whole(Whole::All) => None,
        },
        reason: wanted.reason.into(),
        key,
        fingerprint,
    });
    Ok(Reply::created(json!({ "payment": view::payment(&refunded.await?) })))
}

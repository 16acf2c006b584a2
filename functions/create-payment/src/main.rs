//! `POST /payments`: someone wants to buy; where do they pay?

use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::id::{CouponCode, PlanId};
use billing::money::Currency;
use billing::payment::{CheckoutMethod, Gateway};
use billing::workflow::Checkout;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
use platform::identity::Scope;
use platform::{App, return_url, view};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;

/// What is bought. What it costs, the catalogue says.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreatePayment {
    plan: PlanId,
    interval: Interval,
    currency: Currency,
    quantity: NonZeroU32,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<CouponCode>,
    gateway: Gateway,
    method: Option<CheckoutMethod>,
    return_url: Option<String>,
    /// A request that names none is what it was before there were any: its key has the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let key = idempotency_key(&request)?;
    let wanted: CreatePayment = body(&request)?;
    let fingerprint = fingerprint(&wanted)?;
    let payment = app.billing.checkout(Checkout {
        customer: caller.customer,
        email: caller.email,
        plan: wanted.plan,
        interval: wanted.interval,
        currency: wanted.currency,
        quantity: wanted.quantity.get(),
        coupon: wanted.coupon,
        time_zone: wanted.time_zone.or(caller.time_zone),
        gateway: wanted.gateway,
        method: wanted.method.unwrap_or(CheckoutMethod::Checkout),
        return_url: return_url::choose(&app.config.return_urls, wanted.return_url)?,
        holder: None,
        key,
        fingerprint,
    });
    Ok(Reply::created(json!({ "payment": view::payment(&payment.await?) })))
}

//! `POST /virtual-accounts`: someone wants to buy and pay by bank transfer; to which account?

use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::id::{CouponCode, PlanId};
use billing::money::Currency;
use billing::payment::{BankSlug, CheckoutMethod, Gateway, Holder, PersonName, Phone};
use billing::workflow::Checkout;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;

/// What is bought, and in whose name the account is. What it costs, the catalogue says.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateVirtualAccount {
    plan: PlanId,
    interval: Interval,
    currency: Currency,
    quantity: NonZeroU32,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<CouponCode>,
    gateway: Gateway,
    first_name: PersonName,
    last_name: PersonName,
    phone: Phone,
    /// The gateway's usual one if none is given.
    bank: Option<BankSlug>,
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
    let wanted: CreateVirtualAccount = body(&request)?;
    let fingerprint = fingerprint(&("create-virtual-account", &wanted))?;
    let CreateVirtualAccount { first_name, last_name, phone, bank, .. } = wanted;
    let holder = Holder { first_name, last_name, phone, bank };
    let checkout = app.billing.checkout(Checkout {
        customer: caller.customer,
        email: caller.email,
        plan: wanted.plan,
        interval: wanted.interval,
        currency: wanted.currency,
        quantity: wanted.quantity.get(),
        coupon: wanted.coupon,
        time_zone: wanted.time_zone.or(caller.time_zone),
        gateway: wanted.gateway,
        method: CheckoutMethod::VirtualAccount,
        return_url: None,
        holder: Some(holder),
        key,
        fingerprint,
    });
    let payment = checkout.await?;
    Ok(Reply::created(json!({
        "account": payment.bank_account(), "reference": payment.reference, "payment": view::payment(&payment),
    })))
}

//! What someone wants to buy before there is anything to charge: the body of `POST /payments`, for a page of the gateway's,
//! and that of `POST /virtual-accounts`, for transfers. What it costs, the catalogue says.

use crate::http::{Problem, fingerprint};
use crate::identity::Caller;
use crate::return_url;
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::id::{CouponCode, IdempotencyKey, PlanId};
use billing::money::Currency;
use billing::payment::{BankSlug, CheckoutMethod, Gateway, Holder, PersonName, Phone};
use billing::workflow::Checkout;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
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

/// With the name that the customer's bank account is in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseByTransfer {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
}

impl Purchase {
    /// What `caller` asks for by `key`: 422 if they would be sent back to where this deployment sends nobody.
    pub fn checkout(self, caller: Caller, key: IdempotencyKey, return_urls: &[String]) -> Result<Checkout, Problem> {
        let fingerprint = fingerprint(&self)?;
        Ok(Checkout {
            customer: caller.customer,
            email: caller.email,
            plan: self.plan,
            interval: self.interval,
            currency: self.currency,
            quantity: self.quantity.get(),
            coupon: self.coupon,
            time_zone: self.time_zone.or(caller.time_zone),
            gateway: self.gateway,
            method: self.method.unwrap_or(CheckoutMethod::Checkout),
            return_url: return_url::choose(return_urls, self.return_url)?,
            holder: None,
            key,
            fingerprint,
        })
    }
}

impl PurchaseByTransfer {
    pub fn checkout(self, caller: Caller, key: IdempotencyKey) -> Result<Checkout, Problem> {
        let fingerprint = fingerprint(&("create-virtual-account", &self))?;
        let Self { plan, interval, currency, quantity, coupon, gateway, time_zone, .. } = self;
        let (method, return_url) = (Some(CheckoutMethod::VirtualAccount), None);
        let bought = Purchase { plan, interval, currency, quantity, coupon, gateway, method, return_url, time_zone };
        let Self { first_name, last_name, phone, bank, .. } = self;
        let holder = Some(Holder { first_name, last_name, phone, bank });
        Ok(Checkout { holder, fingerprint, ..bought.checkout(caller, key, &[])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{customer, idempotency_key, zone};

    const BOUGHT: &str = r#""plan":"crm-basic","interval":"month","currency":"NGN","quantity":3,"gateway":"paystack""#;

    fn caller() -> Caller {
        let email = Some("billing@acme.example".to_owned());
        Caller { customer: customer(), email, time_zone: Some(zone("Africa/Lagos")) }
    }

    fn checkout(more: &str) -> Result<Checkout, Option<String>> {
        let return_urls = ["https://app.example.com/billing".to_owned()];
        let read = serde_json::from_str::<Purchase>(&format!("{{{BOUGHT}{more}}}"));
        let purchase = read.unwrap_or_else(|error| panic!("{more}: {error}"));
        purchase.checkout(caller(), idempotency_key("k"), &return_urls).map_err(|problem| problem.field)
    }

    fn by_transfer(more: &str) -> Result<Checkout, Option<String>> {
        let holder = r#","first_name":"Ada","last_name":"Obi","phone":"+2348012345678""#;
        let read = serde_json::from_str::<PurchaseByTransfer>(&format!("{{{BOUGHT}{holder}{more}}}"));
        let purchase = read.unwrap_or_else(|error| panic!("{more}: {error}"));
        purchase.checkout(caller(), idempotency_key("k")).map_err(|problem| problem.field)
    }

    #[test]
    fn what_is_not_named_is_a_page_that_leads_home_in_the_callers_zone() {
        let Ok(bought) = checkout("") else { panic!("bought") };
        assert_eq!((bought.quantity, bought.method, bought.coupon), (3, CheckoutMethod::Checkout, None));
        assert_eq!(bought.return_url.as_deref(), Some("https://app.example.com/billing"));
        assert_eq!((bought.time_zone, bought.holder), (Some(zone("Africa/Lagos")), None));
        let named = checkout(r#","method":"client_secret","time_zone":"Asia/Tbilisi","coupon":"WELCOME""#);
        let named = named.map(|it| (it.method, it.time_zone, it.coupon.map(|it| it.to_string())));
        let expected = (CheckoutMethod::ClientSecret, Some(zone("Asia/Tbilisi")), Some("WELCOME".to_owned()));
        assert_eq!(named, Ok(expected));
        let evil = checkout(r#","return_url":"https://evil.example""#);
        assert_eq!(evil.err(), Some(Some("return_url".to_owned())));
    }

    #[test]
    fn a_transfer_goes_to_an_account_in_the_customers_name_and_leads_nowhere() {
        let Ok(bought) = by_transfer(r#","bank":"wema-bank""#) else { panic!("bought") };
        assert_eq!((bought.quantity, bought.method, &bought.return_url), (3, CheckoutMethod::VirtualAccount, &None));
        let holder = bought.holder.unwrap_or_else(|| panic!("a holder"));
        assert_eq!(
            (holder.first_name.as_str(), holder.bank.map(|it| it.to_string())),
            ("Ada", Some("wema-bank".to_owned()))
        );
    }

    /// Else one key would have the answer of another request, or none after an upgrade.
    #[test]
    fn a_request_is_told_from_others_by_all_that_it_says() {
        let told = |it: Result<Checkout, Option<String>>| it.map(|it| it.fingerprint).unwrap_or_default();
        let all = [
            told(checkout("")),
            told(checkout(r#","method":"client_secret""#)),
            told(checkout(r#","time_zone":"Asia/Tbilisi""#)),
            told(by_transfer("")),
            told(by_transfer(r#","bank":"wema-bank""#)),
        ];
        assert_eq!(std::collections::BTreeSet::from_iter(&all).len(), all.len(), "{all:?}");
        let bare = serde_json::from_str::<Purchase>(&format!("{{{BOUGHT}}}")).and_then(serde_json::to_value);
        let bare = bare.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((bare.get("time_zone"), bare.get("coupon")), (None, None), "as it always was");
    }
}

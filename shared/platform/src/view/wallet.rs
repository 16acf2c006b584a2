//! A customer's payment methods, as a person recognises them. No token of a gateway is shown.

use billing::wallet::{Expiry, Instrument, Method, Wallet};
use serde_json::{Value, json};

/// `{"payment_methods": […]}`, the default one first.
pub fn payment_methods(wallet: &Wallet) -> Value {
    let default = wallet.default_method();
    let methods = wallet.by_preference().map(|it| method(it, default == Some(it)));
    json!({ "payment_methods": methods.collect::<Vec<_>>() })
}

pub(super) fn method(it: &Method, default: bool) -> Value {
    let (kind, brand, last4, expires, label) = match &it.instrument {
        Instrument::Card(card) => ("card", Some(&card.brand), Some(&card.last4), card.expires.map(month), None),
        Instrument::Account { label } => ("account", None, None, None, label.as_ref()),
    };
    json!({
        "id": it.id(), "gateway": it.gateway, "kind": kind, "brand": brand, "last4": last4, "expires": expires,
        "label": label, "default": default,
    })
}

/// `2030-04`
pub(super) fn month(expiry: Expiry) -> String {
    format!("{:04}-{:02}", expiry.year, expiry.month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::payment::Gateway;
    use billing::testing::{customer, method as card};

    #[test]
    fn the_default_comes_first_and_no_token_is_shown() {
        let label = Some("b…@acme.example".to_owned());
        let account = Method {
            gateway: Gateway::PayPal,
            token: "8kk8451t".to_owned(),
            payer: "customer_1".to_owned(),
            instrument: Instrument::Account { label },
        };
        let kept = Wallet::empty(customer()).remembering(account).and_then(|it| it.remembering(card("AUTH_1")));
        let view = payment_methods(&kept.unwrap_or_else(|| panic!("two methods")));
        let methods = &view["payment_methods"];
        assert_eq!((&methods[0]["default"], &methods[0]["expires"]), (&json!(true), &json!("2030-04")));
        assert_eq!((&methods[1]["kind"], &methods[1]["label"]), (&json!("account"), &json!("b…@acme.example")));
        let text = view.to_string();
        assert!(["AUTH_1", "8kk8451t", "customer_1"].iter().all(|token| !text.contains(token)), "{text}");
    }
}

//! PayPal's deliveries. <https://developer.paypal.com/api/rest/webhooks/rest/>
//!
//! What is signed is a checksum of the body, and checksums collide: whoever has
//! seen one delivery can make another body for its headers (RELIABILITY S51).
//! A delivery says where to look, and no more.

use super::certificates::{self, Roots, certificate_url};
use super::wire::{Link, address, is_id, linked_id};
use crate::gateways::{Received, WebhookError};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::payment::Gateway;
use data_encoding::BASE64;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// The webhook id of PayPal's own simulator, which anyone may use.
const ANYONES: &str = "WEBHOOK_ID";

/// How a delivery says that it was signed.
#[derive(Debug)]
pub(in crate::gateways) struct Transmission<'a> {
    id: &'a str,
    time: &'a str,
    signature: Vec<u8>,
    /// Where the certificate is.
    pub(in crate::gateways) certificate: Url,
}

impl<'a> Transmission<'a> {
    /// Calls nobody, and refuses whatever PayPal does not send.
    pub(in crate::gateways) fn of(delivery: &Received<'a>, live: bool) -> Result<Self, WebhookError> {
        let id = delivery.header("paypal-transmission-id")?;
        let time = delivery.header("paypal-transmission-time")?;
        let signature = delivery.header("paypal-transmission-sig")?;
        let certificate = delivery.header("paypal-cert-url")?;
        let scheme = (delivery.header("paypal-auth-algo")?, delivery.header("paypal-auth-version")?);
        // The bar parts what is signed: nobody may move it.
        if [id, time].iter().any(|part| part.is_empty() || part.contains('|')) || signature.is_empty() {
            return Err(WebhookError::Unsigned);
        }
        if scheme != ("SHA256withRSA", "v2") {
            return Err(WebhookError::Forged);
        }
        let signature = BASE64.decode(signature.as_bytes()).map_err(|_| WebhookError::Forged)?;
        Ok(Self { id, time, signature, certificate: certificate_url(certificate, live)? })
    }

    /// Accepts what was signed for any of `webhook_ids`. `pem`: what is at the address of the certificate.
    pub(in crate::gateways) fn verify(
        &self,
        webhook_ids: &[String],
        live: bool,
        delivery: &Received<'_>,
        pem: &str,
        roots: &Roots,
    ) -> Result<(), WebhookError> {
        let checksum = crc32fast::hash(delivery.body);
        let ours = webhook_ids.iter().filter(|id| !id.is_empty() && *id != ANYONES);
        let messages: Vec<_> =
            ours.map(|webhook| format!("{}|{}|{webhook}|{checksum}", self.id, self.time).into_bytes()).collect();
        certificates::verify(pem, roots, live, delivery.at, &messages, &self.signature)
    }
}

/// A thing at PayPal that names the payment, where the delivery itself does not.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateways) enum Lead {
    Order(String),
    Capture(String),
}

/// What a verified delivery is about, and whom to ask if it does not say of which payment.
pub(in crate::gateways) fn notice(delivery: &Received<'_>, live: bool) -> Result<(Notice, Option<Lead>), WebhookError> {
    let malformed = |error: serde_json::Error| WebhookError::Malformed(error.into());
    let event: Event = serde_json::from_slice(delivery.body).map_err(malformed)?;
    // An event of the other mode is about no payment of ours, whatever it names.
    let ours = event.is_of_mode(live);
    let reference = event.reference().filter(|_| ours);
    let About { object, lead } = event.about();
    let lead = lead.filter(|_| ours && reference.is_none());
    let notice = Notice {
        id: DeliveryId { gateway: Gateway::PayPal, event: event.id },
        kind: event.event_type,
        reference,
        object,
        body: String::from_utf8_lossy(delivery.body).into_owned(),
    };
    Ok((notice, lead))
}

/// Where a delivery says to look.
#[derive(Default)]
struct About {
    object: Option<String>,
    /// What tells the payment, where the object cannot.
    lead: Option<Lead>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    /// Whatever the event is about, in the shape of that event: only what leads to a payment is looked for.
    #[serde(default)]
    resource: Value,
    #[serde(default)]
    links: Value,
}

impl Event {
    fn about(&self) -> About {
        let resource = &self.resource;
        let id = |value: &Value| value.as_str().filter(|id| is_id(id)).map(str::to_owned);
        let object = |value: &Value| About { object: id(value), lead: None };
        let capture = |capture: Option<String>| About { object: capture.clone(), lead: capture.map(Lead::Capture) };
        match self.event_type.as_str() {
            // The resource is the refund; what was refunded is above it.
            "PAYMENT.CAPTURE.REFUNDED"
            | "PAYMENT.CAPTURE.REVERSED"
            | "PAYMENT.REFUND.PENDING"
            | "PAYMENT.REFUND.FAILED" => {
                let links: Vec<Link> = Vec::deserialize(&resource["links"]).unwrap_or_default();
                capture(address(&links, &["up"]).and_then(|href| linked_id(&href)))
            }
            // The token may be told here and nowhere else.
            "VAULT.PAYMENT-TOKEN.CREATED" => {
                About { object: id(&resource["id"]), lead: id(&resource["metadata"]["order_id"]).map(Lead::Order) }
            }
            "CHECKOUT.PAYMENT-APPROVAL.REVERSED" => object(&resource["order_id"]),
            kind if kind.starts_with("CHECKOUT.ORDER.") => object(&resource["id"]),
            kind if kind.starts_with("PAYMENT.CAPTURE.") => {
                let order = &resource["supplementary_data"]["related_ids"]["order_id"];
                object(if order.is_string() { order } else { &resource["id"] })
            }
            kind if kind.starts_with("CUSTOMER.DISPUTE.") => {
                capture(id(&resource["disputed_transactions"][0]["seller_transaction_id"]))
            }
            _ => About::default(),
        }
    }

    fn reference(&self) -> Option<Reference> {
        let resource = &self.resource;
        let (unit, disputed) = (&resource["purchase_units"][0], &resource["disputed_transactions"][0]);
        let names = [
            &resource["custom_id"],
            &unit["custom_id"],
            &disputed["custom"],
            &resource["invoice_id"],
            &unit["invoice_id"],
            &disputed["invoice_number"],
        ];
        names.into_iter().filter_map(Value::as_str).find_map(reference)
    }

    fn is_of_mode(&self, live: bool) -> bool {
        let links: Vec<Link> = Vec::deserialize(&self.links).unwrap_or_default();
        let hosts = links.iter().filter_map(|link| Url::parse(&link.href).ok()?.host_str().map(str::to_owned));
        hosts.filter(|host| host.ends_with(".paypal.com")).all(|host| host.ends_with(".sandbox.paypal.com") != live)
    }
}

/// The payment that `name` names, by its own name or by that of one of its refunds.
pub(super) fn reference(name: &str) -> Option<Reference> {
    let (payment, rest) = name.split_at_checked(26)?;
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let ours = rest.is_empty() || rest.strip_prefix('x').is_some_and(number);
    Reference::try_from(payment.to_owned()).ok().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName};
    use jiff::Timestamp;
    use serde_json::json;
    use std::collections::BTreeMap;

    const REFERENCE: &str = "rabcdefghijklmnopqrstuvwxy";

    #[derive(Deserialize)]
    struct Vectors {
        paypal_certs: BTreeMap<String, String>,
        paypal_trust: BTreeMap<String, Trust>,
        entries: Vec<Entry>,
    }

    #[derive(Deserialize)]
    struct Trust {
        roots: Vec<String>,
        intermediates: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Entry {
        id: String,
        gateway: String,
        headers: BTreeMap<String, String>,
        body_b64: String,
        now: Option<i64>,
        expected: String,
        #[serde(default)]
        context: Value,
    }

    /// A delivery that PayPal really sent or that is signed as one, the chain of its certificate, and its root.
    struct Sample {
        headers: HeaderMap,
        body: Vec<u8>,
        at: Timestamp,
        webhook_ids: Vec<String>,
        live: bool,
        pem: String,
        roots: Vec<String>,
    }

    impl Sample {
        fn verified(&self) -> Result<(), WebhookError> {
            let delivery = Received { headers: &self.headers, body: &self.body, at: self.at };
            let transmission = Transmission::of(&delivery, self.live)?;
            transmission.verify(&self.webhook_ids, self.live, &delivery, &self.pem, &Roots::of(&self.roots)?)
        }

        fn with(mut self, name: &'static str, value: &str) -> Self {
            self.headers.insert(name, value.parse().unwrap_or_else(|_| panic!("{value}")));
            self
        }
    }

    fn vectors() -> Vectors {
        let text = include_str!("../../../../../tests/contracts/vectors.json");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn samples() -> Vec<(String, String, Sample)> {
        let Vectors { paypal_certs, paypal_trust, entries } = vectors();
        let sample = |entry: Entry| {
            let text = |name: &str| entry.context[name].as_str().unwrap_or_default();
            let trust = paypal_trust.get(text("trust")).unwrap_or_else(|| panic!("{}", entry.id));
            let leaf = entry.headers.get("Paypal-Cert-Url").and_then(|url| paypal_certs.get(url));
            let header =
                |(name, value): (&String, &String)| Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?));
            let sample = Sample {
                headers: entry.headers.iter().filter_map(header).collect(),
                body: BASE64.decode(entry.body_b64.as_bytes()).unwrap_or_else(|error| panic!("{error}")),
                at: Timestamp::from_second(entry.now.unwrap_or_default()).unwrap_or_else(|error| panic!("{error}")),
                webhook_ids: vec!["ANOTHER".to_owned(), text("webhook_id").to_owned()],
                live: text("env") == "live",
                pem: format!("{}\n{}", leaf.map_or("", String::as_str), trust.intermediates.join("\n")),
                roots: trust.roots.clone(),
            };
            (entry.id, entry.expected, sample)
        };
        entries.into_iter().filter(|entry| entry.gateway == "paypal").map(sample).collect()
    }

    fn sample(wanted: &str) -> Sample {
        let found = samples().into_iter().find(|(id, ..)| id == wanted);
        found.unwrap_or_else(|| panic!("{wanted}")).2
    }

    #[test]
    fn genuine_transmissions_verify_and_forged_ones_do_not() {
        assert!(samples().len() >= 8);
        for (id, expected, sample) in samples() {
            let accepted = sample.verified().is_ok();
            assert_eq!(accepted, expected.starts_with("accept"), "{id}: {expected}");
        }
    }

    #[test]
    fn s53_a_certificate_must_be_paypals_current_and_of_a_trusted_root() {
        let forged = |sample: Sample, why: &str| {
            assert!(matches!(sample.verified(), Err(WebhookError::Forged)), "{why}");
        };
        // Twelve years after that certificate ended.
        forged(Sample { at: sample("pp-dev-02").at, ..sample("pp-dev-01") }, "expired");
        forged(Sample { at: Timestamp::UNIX_EPOCH, ..sample("pp-dev-02") }, "not valid yet");
        forged(Sample { roots: vec![], ..sample("pp-dev-02") }, "a root that the public does not trust");
        forged(Sample { roots: sample("pp-dev-01").roots, ..sample("pp-dev-02") }, "another root");
        forged(Sample { pem: String::new(), ..sample("pp-dev-02") }, "no certificate");
        let evil = vectors().paypal_certs.into_iter().find(|(url, _)| url.contains("evil"));
        let (_, evil) = evil.unwrap_or_else(|| panic!("the vectors have a self-signed certificate"));
        let url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-vector-0001";
        forged(Sample { pem: evil, ..sample("pp-dev-06").with("paypal-cert-url", url) }, "self-signed");
        let live = url.replace("sandbox.", "");
        forged(Sample { live: true, ..sample("pp-dev-02").with("paypal-cert-url", &live) }, "of the other mode");
    }

    #[test]
    fn only_the_documented_scheme_is_read_and_each_header_once() {
        for (name, value) in [
            ("paypal-auth-algo", "SHA1withRSA"),
            ("paypal-auth-algo", "sha256withrsa"),
            ("paypal-auth-version", "v1"),
            ("paypal-transmission-sig", "not base64"),
            ("paypal-transmission-time", "2026-11-06T21:19:57Z"),
        ] {
            assert!(matches!(sample("pp-dev-02").with(name, value).verified(), Err(WebhookError::Forged)), "{value}");
        }
        for name in [
            "paypal-transmission-id",
            "paypal-transmission-time",
            "paypal-transmission-sig",
            "paypal-cert-url",
            "paypal-auth-algo",
            "paypal-auth-version",
        ] {
            let (mut twice, mut without) = (sample("pp-dev-02"), sample("pp-dev-02"));
            let Some(value) = without.headers.remove(name) else { panic!("{name}") };
            twice.headers.append(name, value);
            for sample in [twice, without] {
                assert!(matches!(sample.verified(), Err(WebhookError::Unsigned)), "{name}");
            }
        }
        let moved = sample("pp-dev-02").with("paypal-transmission-id", "7a3b1c90|2026");
        assert!(matches!(moved.verified(), Err(WebhookError::Unsigned)));
    }

    #[test]
    fn an_id_that_anyone_may_use_is_never_ours() {
        for ids in [vec![], vec![ANYONES.to_owned(), String::new()]] {
            let sample = Sample { webhook_ids: ids, ..sample("pp-dev-02") };
            assert!(matches!(sample.verified(), Err(WebhookError::Forged)));
        }
    }

    fn read(body: &Value, live: bool) -> (Notice, Option<Lead>) {
        let (headers, body) = (HeaderMap::new(), body.to_string());
        let delivery = Received { headers: &headers, body: body.as_bytes(), at: Timestamp::UNIX_EPOCH };
        notice(&delivery, live).unwrap_or_else(|error| panic!("{error}"))
    }

    fn told(kind: &str, resource: Value) -> (Option<String>, Option<String>, Option<Lead>) {
        let (notice, lead) = read(&json!({"id": "WH-1", "event_type": kind, "resource": resource}), true);
        assert_eq!((notice.id.event.as_str(), notice.kind.as_str()), ("WH-1", kind));
        (notice.reference.map(|it| it.to_string()), notice.object, lead)
    }

    #[test]
    fn an_event_leads_to_its_payment_and_to_where_that_is_found() {
        let up = json!([{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/3C6"}]);
        let order = json!({"related_ids": {"order_id": "5O1"}});
        let refund = format!("{REFERENCE}x12");
        let cases = [
            ("CHECKOUT.ORDER.APPROVED", json!({"id": "5O1", "purchase_units": [{"custom_id": REFERENCE}]}), "5O1"),
            (
                "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
                json!({"order_id": "5O1", "purchase_units": [{"custom_id": REFERENCE}]}),
                "5O1",
            ),
            (
                "PAYMENT.CAPTURE.COMPLETED",
                json!({"id": "3C6", "custom_id": REFERENCE, "supplementary_data": order}),
                "5O1",
            ),
            ("PAYMENT.CAPTURE.PENDING", json!({"id": "3C6", "invoice_id": REFERENCE}), "3C6"),
            ("PAYMENT.CAPTURE.REFUNDED", json!({"id": "1JU", "invoice_id": refund, "links": up}), "3C6"),
            (
                "CUSTOMER.DISPUTE.CREATED",
                json!({"dispute_id": "PP-D-1", "disputed_transactions":
                    [{"seller_transaction_id": "3C6", "custom": REFERENCE}]}),
                "3C6",
            ),
        ];
        for (kind, resource, object) in cases {
            let expected = (Some(REFERENCE.to_owned()), Some(object.to_owned()), None);
            assert_eq!(told(kind, resource), expected, "{kind}");
        }
    }

    #[test]
    fn who_names_no_payment_is_asked_at_paypal() {
        let up = json!([{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/3C6"}]);
        let vaulted = told("VAULT.PAYMENT-TOKEN.CREATED", json!({"id": "8kk", "metadata": {"order_id": "5O1"}}));
        assert_eq!(vaulted, (None, Some("8kk".to_owned()), Some(Lead::Order("5O1".to_owned()))));
        let refunded = told("PAYMENT.CAPTURE.REFUNDED", json!({"id": "1JU", "links": up}));
        assert_eq!(refunded, (None, Some("3C6".to_owned()), Some(Lead::Capture("3C6".to_owned()))));
        let strange = told("PAYMENT.CAPTURE.COMPLETED", json!({"id": "3C6", "custom_id": "a shop's own"}));
        assert_eq!(strange, (None, Some("3C6".to_owned()), None));
    }

    #[test]
    fn an_event_of_any_shape_is_taken_in_and_no_path_is_taken_from_it() {
        for resource in [json!(null), json!("text"), json!([1]), json!({"id": 7, "links": {}, "purchase_units": {}})] {
            assert_eq!(told("PAYMENT.SALE.COMPLETED", resource), (None, None, None));
        }
        let climbing = json!({"metadata": {"order_id": "../../v1/oauth2/token"}});
        assert_eq!(told("VAULT.PAYMENT-TOKEN.CREATED", climbing), (None, None, None));
        let elsewhere = json!({"links": [{"rel": "up", "href": "https://evil.example/a/..%2f"}]});
        assert_eq!(told("PAYMENT.CAPTURE.REVERSED", elsewhere), (None, None, None));
    }

    #[test]
    fn s55_an_event_of_the_other_mode_names_no_payment_of_ours() {
        let event = |host: &str| {
            json!({"id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED",
                "resource": {"id": "5O1", "purchase_units": [{"custom_id": REFERENCE}]},
                "links": [{"rel": "self", "href": format!("https://{host}/v1/notifications/webhooks-events/WH-1")}]})
        };
        for (host, live) in [("api.paypal.com", true), ("api.sandbox.paypal.com", false)] {
            assert!(read(&event(host), live).0.reference.is_some(), "{host}");
            assert!(read(&event(host), !live).0.reference.is_none(), "{host}");
        }
    }

    #[test]
    fn a_refunds_name_holds_its_payments() {
        assert!(reference(REFERENCE).is_some() && reference(&format!("{REFERENCE}x1")).is_some());
        for other in ["", "inv-1", &REFERENCE[1..], &format!("{REFERENCE}x"), &format!("{REFERENCE}y1"), "რეფერენსი"]
        {
            assert!(reference(other).is_none(), "{other}");
        }
    }
}

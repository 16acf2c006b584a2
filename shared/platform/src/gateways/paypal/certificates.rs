//! The certificates that PayPal signs deliveries with: at which addresses they
//! may be, whom they must come from, and which were fetched not long ago.
//!
//! The address is an attacker's to choose: it is refused before anything is fetched.

use crate::gateways::WebhookError;
use crate::gateways::access::no_answer;
use crate::http_client::body_within;
use billing::ports::GatewayError;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Url};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const PATH: &str = "/v1/notifications/certs/";

/// RELIABILITY S54.
const FETCHED_WITHIN: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 16 * 1024;
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
const MOST_KEPT: usize = 16;

/// The address `text`, if it is one of PayPal's certificates, in the mode that we are in.
pub(in crate::gateways) fn certificate_url(text: &str, live: bool) -> Result<Url, WebhookError> {
    let url = Url::parse(text).map_err(|_| WebhookError::Forged)?;
    let hosts = match live {
        true => ["api.paypal.com", "api-m.paypal.com"],
        false => ["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"],
    };
    let name = url.path().strip_prefix(PATH).unwrap_or_default();
    let genuine = url.scheme() == "https"
        && url.host_str().is_some_and(|host| hosts.contains(&host))
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && super::wire::is_id(name)
        // One address, one spelling: what a parser makes good was not written by PayPal.
        && url.as_str() == text;
    if genuine { Ok(url) } else { Err(WebhookError::Forged) }
}

/// Whom a certificate must come from in the end.
pub(in crate::gateways) struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Those that `pinned` holds as PEM; the public ones if it holds none.
    pub(in crate::gateways) fn of(pinned: &[String]) -> Result<Self, WebhookError> {
        if pinned.is_empty() {
            return Ok(Self(webpki_roots::TLS_SERVER_ROOTS.to_vec()));
        }
        let mut anchors = vec![];
        for pem in pinned {
            for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let root = root.map_err(no_answer)?;
                anchors.push(anchor_from_trusted_cert(&root).map_err(no_answer)?.to_owned());
            }
        }
        Ok(Self(anchors))
    }
}

/// Whether the first certificate of `pem` is PayPal's at that time, and its key
/// signed one of `messages`. What follows the first leads to a root.
pub(super) fn verify(
    pem: &str,
    roots: &Roots,
    live: bool,
    at: Timestamp,
    messages: &[Vec<u8>],
    signature: &[u8],
) -> Result<(), WebhookError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|_| WebhookError::Forged)?;
    let (leaf, above) = chain.split_first().ok_or(WebhookError::Forged)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|_| WebhookError::Forged)?;

    let seconds = u64::try_from(at.as_second()).map_err(|_| WebhookError::Forged)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &roots.0, above, time, usage, None, None)
        .map_err(|_| WebhookError::Forged)?;

    let owner =
        if live { "messageverificationcerts.paypal.com" } else { "messageverificationcerts.sandbox.paypal.com" };
    // To the letter: a certificate for any other of PayPal's names signs no deliveries.
    if !leaf.valid_dns_names().any(|name| name == owner) {
        return Err(WebhookError::Forged);
    }
    let signed = |message: &Vec<u8>| leaf.verify_signature(RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok();
    if messages.iter().any(signed) { Ok(()) } else { Err(WebhookError::Forged) }
}

/// Certificates that were found good, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    kept: Arc<Mutex<Vec<Kept>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    url: Url,
    pem: String,
    at: Timestamp,
}

impl Kept {
    fn is_fresh(&self, at: Timestamp) -> bool {
        let age = at.duration_since(self.at);
        !age.is_negative() && age < KEPT_FOR
    }
}

impl Certificates {
    /// The certificate at `url`, which [`certificate_url`] has let through.
    pub(super) async fn get(&self, http: &Client, url: &Url, at: Timestamp) -> Result<String, WebhookError> {
        match self.kept(url, at) {
            Some(pem) => Ok(pem),
            None => fetch(http, url.clone()).await,
        }
    }

    fn kept(&self, url: &Url, at: Timestamp) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|it| it.url == *url && it.is_fresh(at)).map(|it| it.pem.clone())
    }

    /// Only what has verified a delivery: nobody else can fill the cache.
    pub(super) fn keep(&self, url: Url, pem: String, at: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|it| it.is_fresh(at));
        // Not counted from its latest use: a day after it was fetched it is fetched again.
        if kept.iter().any(|it| it.url == url) {
            return;
        }
        let excess = (kept.len() + 1).saturating_sub(MOST_KEPT);
        kept.drain(..excess);
        kept.push(Kept { url, pem, at });
    }
}

/// That nobody answers proves nothing, and PayPal sends the delivery again.
async fn fetch(http: &Client, url: Url) -> Result<String, WebhookError> {
    let response = http.get(url).timeout(FETCHED_WITHIN).send().await.map_err(no_answer)?;
    let status = response.status();
    if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
        return Err(GatewayError::NoAnswer(format!("status {status}").into()).into());
    }
    if !status.is_success() {
        return Err(WebhookError::Forged);
    }
    let body = body_within(response, MOST_BYTES).await.map_err(no_answer)?.ok_or(WebhookError::Forged)?;
    String::from_utf8(body).map_err(|_| WebhookError::Forged)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";

    fn url(text: &str) -> Url {
        certificate_url(text, false).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn certificates_are_where_paypal_keeps_them_in_our_mode() {
        for good in [GOOD, &GOOD.replace("api.", "api-m.")] {
            assert!(certificate_url(good, false).is_ok() && certificate_url(good, true).is_err(), "{good}");
        }
        let live = GOOD.replace("sandbox.", "");
        assert!(certificate_url(&live, true).is_ok() && certificate_url(&live, false).is_err());
    }

    #[test]
    fn s52_no_other_address_is_asked() {
        for hostile in [
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1:9001/v1/notifications/certs/CERT-1",
            "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com@evil.example/v1/notifications/certs/CERT-1",
            "https://user:secret@api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com.evil.example/v1/notifications/certs/CERT-1",
            "https://evil-api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "https://evilpaypal.com/v1/notifications/certs/CERT-1",
            "https://www.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com:443/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com./v1/notifications/certs/CERT-1",
            "https://api.sandbox.p\u{430}ypal.com/v1/notifications/certs/CERT-1",
            "https://xn--api-sandbox-paypal.com/v1/notifications/certs/CERT-1",
            "file:///etc/passwd",
            "gopher://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1\r\nHost: evil.example",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1?next=https://evil.example",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1#x",
            "https://api.sandbox.paypal.com/v1/notifications/certs/../../x",
            "https://api.sandbox.paypal.com/v1/notifications/certs/%2e%2e/x",
            "https://api.sandbox.paypal.com/v1/notifications/certs/a/b",
            "https://api.sandbox.paypal.com/v1/notifications/certs/",
            "https://api.sandbox.paypal.com\\@evil.example/v1/notifications/certs/CERT-1",
            "https:api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            " https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "//api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
            "",
        ] {
            assert!(matches!(certificate_url(hostile, false), Err(WebhookError::Forged)), "{hostile}");
        }
    }

    #[test]
    fn s54_certificates_are_kept_for_a_day_and_never_more_than_sixteen() {
        let (kept, start) = (Certificates::default(), Timestamp::UNIX_EPOCH);
        let hour = |hours| start + SignedDuration::from_hours(hours);
        kept.keep(url(GOOD), "PEM".to_owned(), start);
        kept.keep(url(GOOD), "PEM".to_owned(), hour(23));
        assert_eq!(kept.kept(&url(GOOD), hour(23)).as_deref(), Some("PEM"));
        assert_eq!(kept.kept(&url(GOOD), hour(24)), None);

        for number in 0..20 {
            kept.keep(url(&format!("{GOOD}{number}")), "PEM".to_owned(), start);
        }
        let known = |number| kept.kept(&url(&format!("{GOOD}{number}")), start).is_some();
        assert_eq!((0..20).filter(|number| known(*number)).count(), MOST_KEPT);
        assert!(known(19) && !known(0));
    }
}

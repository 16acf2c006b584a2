//! The access token that calls are made with: fetched with the app's id and
//! secret, shared by all who call, and kept until shortly before it ends.
//! <https://developer.paypal.com/api/rest/authentication/>

use super::wire::Refused;
use crate::config::Secret;
use crate::gateways::access::Access;
use crate::gateways::keys::PayPalKeys;
use billing::ports::GatewayError;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A token that ends sooner is not used any more: a call may take a while to arrive.
const TO_SPARE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    kept: Arc<Mutex<Option<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    /// Whose token it is: a rotated key wants another.
    client_id: String,
    token: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// Seconds.
    #[serde(default)]
    expires_in: u64,
}

impl Tokens {
    /// A token that is not `refused`, the one that was just turned down. Who
    /// asks while another fetches waits for that one's: PayPal limits how often.
    pub(super) async fn get(
        &self,
        access: &Access<PayPalKeys>,
        refused: Option<&Secret>,
    ) -> Result<Secret, GatewayError> {
        let keys = access.keys.get().await?;
        let mut kept = self.kept.lock().await;
        if let Some(known) = kept.as_ref()
            && known.client_id == keys.client_id
            && Instant::now() < known.until
            && Some(&known.token) != refused
        {
            return Ok(known.token.clone());
        }
        let Granted { access_token: token, expires_in } = fetch(access, &keys).await?;
        let until = Instant::now() + Duration::from_secs(expires_in.min(86_400)).saturating_sub(TO_SPARE);
        *kept = Some(Kept { client_id: keys.client_id.clone(), token: token.clone(), until });
        Ok(token)
    }
}

async fn fetch(access: &Access<PayPalKeys>, keys: &PayPalKeys) -> Result<Granted, GatewayError> {
    let request = access
        .http
        .post(access.url("/v1/oauth2/token"))
        .basic_auth(&keys.client_id, Some(keys.client_secret.expose()))
        .form(&[("grant_type", "client_credentials")]);
    let answer = access.send(request).await?;
    match answer.status.is_success() {
        true => answer.read(),
        false => Err(answer.read::<Refused>()?.rejected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{KeySource, KeyStore};
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A token endpoint that gives out tokens in a row, and how many it gave.
    fn endpoint(expires_in: u64) -> (Access<PayPalKeys>, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let api = format!("http://{}", listener.local_addr().unwrap_or_else(|error| panic!("{error}")));
        let given = Arc::new(AtomicU32::new(0));
        let count = given.clone();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut request = [0; 4_096];
                let length = connection.read(&mut request).unwrap_or_default();
                assert!(request[..length].starts_with(b"POST /v1/oauth2/token "));
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let body = json!({"access_token": format!("A{number}"), "expires_in": expires_in}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = connection.write_all((head + &body).as_bytes());
            }
        });
        let http = crate::http_client::client().unwrap_or_else(|error| panic!("{error}"));
        let store = KeyStore::given(json!({"client_id": "app", "client_secret": "private", "webhook_ids": ["WH"]}));
        (Access { api, http, keys: KeySource::new(store), callback: None }, given)
    }

    async fn token(tokens: &Tokens, access: &Access<PayPalKeys>, refused: Option<&Secret>) -> Secret {
        tokens.get(access, refused).await.unwrap_or_else(|error| panic!("{error}"))
    }

    #[tokio::test]
    async fn all_who_call_share_one_token() {
        let (access, given) = endpoint(32_400);
        let tokens = Tokens::default();
        let asked = futures::future::join_all((0..8).map(|_| token(&tokens, &access, None))).await;
        assert!(asked.iter().all(|token| token.expose() == "A1"));
        assert_eq!(token(&tokens.clone(), &access, None).await.expose(), "A1");
        assert_eq!(given.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_that_was_refused_is_replaced_once_for_all() {
        let (access, given) = endpoint(32_400);
        let tokens = Tokens::default();
        let first = token(&tokens, &access, None).await;
        let asked = futures::future::join_all((0..8).map(|_| token(&tokens, &access, Some(&first)))).await;
        assert!(asked.iter().all(|token| token.expose() == "A2"));
        assert_eq!(given.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_token_is_not_used_in_its_last_minutes() {
        let (access, given) = endpoint(300);
        let tokens = Tokens::default();
        token(&tokens, &access, None).await;
        token(&tokens, &access, None).await;
        assert_eq!(given.load(Ordering::SeqCst), 2);
    }
}

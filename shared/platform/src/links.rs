//! Links that mails carry. A *link* lets whoever has it open the page for what
//! a mail says is owed, without signing in; it can do nothing else.
//!
//! `{mail}.{until, in seconds}.{mac}`: signed with a key of its own, in one
//! spelling, and good until a business time. Whether anything is still owed,
//! the domain says.

use crate::config;
use crate::secrets::{KeySource, KeyStore, OwnKey, SecretError};
use crate::{App, aws};
use billing::id::MailId;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

#[derive(Clone, Debug)]
pub struct Links {
    key: KeySource<OwnKey>,
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the link is none of ours")]
    Forged,
    /// It was ours, and came with that mail.
    #[error("the link is over")]
    Expired(MailId),
    #[error("the key of the links is not to be had")]
    NoKey(#[source] SecretError),
}

impl Links {
    pub fn new(store: KeyStore) -> Self {
        Self { key: KeySource::new(store) }
    }

    /// None: this deployment has no key for links, and has given out none.
    pub fn from_env(app: &App) -> Option<Self> {
        let client = aws::secrets_manager(&app.config.aws, &app.sdk);
        config::link_key_arn().map(|arn| Self::new(KeyStore::SecretsManager { client, arn }))
    }

    /// The link of `mail`, good until then.
    pub async fn write(&self, mail: &MailId, until: Timestamp) -> Result<String, LinkError> {
        let until = until.as_second();
        let mac = self.mac(mail, until).await?.finalize().into_bytes();
        Ok(format!("{mail}.{until}.{}", BASE64URL_NOPAD.encode(&mac)))
    }

    /// The mail that `link` came with. What is not spelled as we spell it was not written by us, and costs no key.
    pub async fn read(&self, link: &str, now: Timestamp) -> Result<MailId, LinkError> {
        let parts: Vec<&str> = link.split('.').collect();
        let [id, time, mac] = parts[..] else { return Err(LinkError::Forged) };
        let mail = MailId::try_from(id.to_owned()).map_err(|_| LinkError::Forged)?;
        let until: i64 = time.parse().map_err(|_| LinkError::Forged)?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).map_err(|_| LinkError::Forged)?;
        if until.to_string() != time {
            return Err(LinkError::Forged);
        }
        self.mac(&mail, until).await?.verify_slice(&mac).map_err(|_| LinkError::Forged)?;
        if now.as_second() >= until {
            return Err(LinkError::Expired(mail));
        }
        Ok(mail)
    }

    async fn mac(&self, mail: &MailId, until: i64) -> Result<Hmac<Sha256>, LinkError> {
        let key = self.key.get().await.map_err(LinkError::NoKey)?;
        let mac = Hmac::<Sha256>::new_from_slice(key.key.expose().as_bytes());
        let mac = mac.map_err(|_| LinkError::NoKey(SecretError::NoKey))?;
        Ok(mac.chain_update(format!("pay|{mail}|{until}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::instant;
    use futures::executor::block_on;
    use serde_json::json;

    fn links(key: &str) -> Links {
        Links::new(KeyStore::given(json!({ "key": key })))
    }

    fn ours() -> Links {
        links(&"k7".repeat(32))
    }

    fn mail(letter: &str) -> MailId {
        MailId::try_from(format!("mail_{}", letter.repeat(24))).unwrap_or_else(|error| panic!("{error}"))
    }

    fn until() -> Timestamp {
        instant("2026-03-08T00:00:00Z")
    }

    fn written() -> String {
        block_on(ours().write(&mail("a"), until())).unwrap_or_else(|error| panic!("{error}"))
    }

    fn read(link: &str, now: &str) -> Result<MailId, LinkError> {
        block_on(ours().read(link, instant(now)))
    }

    #[test]
    fn a_link_leads_to_its_mail_until_its_time_is_over() {
        let link = written();
        assert!(link.starts_with(&format!("{}.1772928000.", mail("a"))), "{link}");
        assert_eq!(read(&link, "2026-03-07T23:59:59.9Z").ok(), Some(mail("a")));
        for late in ["2026-03-08T00:00:00Z", "2027-01-01T00:00:00Z"] {
            assert!(matches!(read(&link, late), Err(LinkError::Expired(it)) if it == mail("a")), "{late}");
        }
    }

    #[test]
    fn a_link_that_was_changed_anywhere_is_none_of_ours() {
        let link = written();
        for (at, old) in link.char_indices() {
            for new in ['a', 'b', '0', '9', 'A', 'Q', '-', '_', '.', '=', '+', ' '] {
                let edited = format!("{}{new}{}", &link[..at], &link[at + 1..]);
                assert!(
                    new == old || matches!(read(&edited, "2026-03-01T00:00:00Z"), Err(LinkError::Forged)),
                    "{edited}"
                );
            }
        }
    }

    #[test]
    fn a_link_has_one_spelling() {
        let link = written();
        let other = block_on(ours().write(&mail("b"), until())).unwrap_or_else(|error| panic!("{error}"));
        let mac = |link: &str| link.rsplit('.').next().unwrap_or_default().to_owned();
        let spellings = [
            link.replace(".177", ".+177"),
            link.replace(".177", ".0177"),
            link.replace(".177", ". 177"),
            format!("{link}="),
            format!("{link}.{}", mac(&link)),
            format!(" {link}"),
            format!("{link}\n"),
            link.replace(&mac(&link), ""),
            link.replace(&mac(&link), &mac(&link)[..42]),
            link.replace(&mac(&link), &mac(&other)),
            String::new(),
            "..".to_owned(),
        ];
        for bad in spellings {
            assert!(matches!(read(&bad, "2026-03-01T00:00:00Z"), Err(LinkError::Forged)), "{bad:?}");
        }
    }

    #[test]
    fn a_link_of_another_key_is_none_of_ours() {
        let theirs = links(&"x9".repeat(32));
        assert!(matches!(block_on(theirs.read(&written(), instant("2026-03-01T00:00:00Z"))), Err(LinkError::Forged)));
    }

    #[test]
    fn a_key_that_could_be_guessed_signs_nothing_and_is_not_told() {
        for key in ["", "private", &"k".repeat(31), &" ".repeat(64)] {
            let refused = block_on(links(key).write(&mail("a"), until()));
            let Err(LinkError::NoKey(cause)) = refused else { panic!("{key:?}: {refused:?}") };
            assert!(!cause.to_string().contains("private"), "{cause}");
        }
    }
}

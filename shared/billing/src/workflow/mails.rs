//! Sending what customers must be told, and taking them to a page when they follow the link in it.

use super::{Billing, CheckoutError, MOST_RACES, Recovery, Setup, transition};
use crate::id::{BrandId, IdempotencyKey, MailId};
use crate::mail::{About, Dropped, Mail};
use crate::payment::{CheckoutMethod, Payment};
use crate::ports::{Clock, Gateways, Key, MailError, Mailer, Record, Store, StoreError, Write};
use crate::subscription::{Refusal, Subscription};
use jiff::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("mail {0:?} was refused: {1}")]
    Refused(MailId, String),
    #[error("mail {0:?} waits until we may send it: {1}")]
    OurFault(MailId, String),
    #[error("mail {0:?} was taken by nobody until it was too late")]
    TooLate(MailId),
    #[error("mail {0:?} was sent under no name: there is no brand `{1}`")]
    NoSuchBrand(MailId, BrandId),
}

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It was forgotten, or never was.
    #[error("there is no such mail")]
    NoSuchMail,
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Checkout(error.into())
    }
}

impl From<Refusal> for FollowError {
    fn from(refusal: Refusal) -> Self {
        Self::Checkout(refusal.into())
    }
}

impl<S: Store, G: Sync, C: Clock> Billing<S, G, C> {
    /// Sends a mail that is due, unless it has become pointless.
    ///
    /// It is sent before that is recorded: a crash in between sends it again,
    /// and a customer who got it twice is better off than one who never did.
    pub async fn send_mail(&self, id: &MailId, mailer: &impl Mailer) -> Result<(), SendError> {
        let Some(mail) = self.store.get(vec![Key::Mail(id.clone())]).await?.mail() else { return Ok(()) };
        let subscription = self.store.get(vec![Key::Subscription(mail.customer.clone())]).await?.subscription();
        let now = self.clock.now(Some(&mail.customer)).await?;
        if mail.due_at().is_none_or(|due_at| now < due_at) {
            return Ok(());
        }
        if !mail.is_wanted(subscription.as_ref(), now) {
            let too_late = mail.is_too_late(now);
            self.keep_mail(mail.dropped(Dropped::Overtaken, now)).await?;
            return if too_late { Err(SendError::TooLate(id.clone())) } else { Ok(()) };
        }
        let mail = match &subscription {
            Some(subscription) => Mail { about: mail.about.at(subscription, now), ..mail },
            None => mail,
        };
        let named = subscription.as_ref().and_then(|it| it.brand.clone());
        // Whoever's brand cannot be read just now is written to when it can: never under another's name.
        let brand = self.brand_of(subscription.as_ref()).await?;
        match mailer.send(&mail, brand.as_ref()).await {
            Ok(()) => {
                self.keep_sent(mail, subscription, now).await?;
                // Nothing that we wait for brings it back, so the mail has gone out under no name; and somebody is to look.
                named.filter(|_| brand.is_none()).map_or(Ok(()), |it| Err(SendError::NoSuchBrand(id.clone(), it)))
            }
            Err(MailError::NoAnswer(_)) => self.keep_mail(mail.delayed(now)).await,
            Err(MailError::NotConfigured) => self.keep_mail(mail.dropped(Dropped::NotConfigured, now)).await,
            Err(MailError::OurFault(why)) => {
                self.keep_mail(mail.delayed(now)).await?;
                Err(SendError::OurFault(id.clone(), why))
            }
            Err(MailError::Refused(why)) => {
                self.keep_mail(mail.dropped(Dropped::Refused(why.clone()), now)).await?;
                Err(SendError::Refused(id.clone(), why))
            }
        }
    }

    /// It was sent; and what follows for whoever knows now what a price is to be.
    async fn keep_sent(&self, mail: Mail, mut seen: Option<Subscription>, now: Timestamp) -> Result<(), SendError> {
        let About::PriceChange(about) = &mail.about else { return self.keep_mail(mail.sent(now)).await };
        let version = about.plan_version;
        for _ in 0..MOST_RACES {
            let told = seen.filter(|it| it.id == about.subscription);
            let told = told.and_then(|it| Some((it.told_of_price(version, now)?, it)));
            let mut writes = told.map_or(vec![], |(event, it)| transition(it, vec![event], now).1);
            writes.push(Write::next(Record::Mail(mail.clone().sent(now))));
            match self.store.commit(writes).await {
                // Another worker on the same mail was faster, or something else was done to the subscription.
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                done => return Ok(done?),
            }
            let keys = vec![Key::Mail(mail.id.clone()), Key::Subscription(mail.customer.clone())];
            let mut found = self.store.get(keys).await?;
            if found.mail().is_none_or(|it| it.version != mail.version) {
                return Ok(());
            }
            seen = found.subscription();
        }
        Err(StoreError::Conflict.into())
    }

    async fn keep_mail(&self, mail: Mail) -> Result<(), SendError> {
        match self.store.commit(vec![Write::next(Record::Mail(mail))]).await {
            // Another worker on the same mail was faster.
            Err(StoreError::Conflict | StoreError::Duplicate) => Ok(()),
            done => Ok(done?),
        }
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Opens the page that the mail's link promises; the one that is open already, if there is one.
    pub async fn follow_mail(&self, id: &MailId, key: IdempotencyKey) -> Result<Payment, FollowError> {
        let mail = self.store.get(vec![Key::Mail(id.clone())]).await?.mail().ok_or(FollowError::NoSuchMail)?;
        let subscription = self.store.get(vec![Key::Subscription(mail.customer.clone())]).await?.subscription();
        let now = self.clock.now(Some(&mail.customer)).await?;
        // An old mail is not for what is owed since.
        let wanted = subscription.filter(|it| mail.is_wanted(Some(it), now)).ok_or(Refusal::NothingOwed)?;
        let (customer, to) = (mail.customer, wanted.contact.unwrap_or(mail.to));
        let (email, gateway, return_url, fingerprint) = (Some(to.email), to.gateway, to.return_url, id.to_string());
        match mail.about {
            About::PaymentNeeded(_) | About::Suspended(_) => {
                let method = CheckoutMethod::Checkout;
                Ok(self.recover(Recovery { customer, email, gateway, method, return_url, key, fingerprint }).await?)
            }
            // The trial's end is paid by a method that is left before.
            About::TrialEnding(about) => {
                let currency = about.amount.currency;
                Ok(self.set_up(Setup { customer, email, gateway, currency, return_url, key, fingerprint }).await?)
            }
            // It asks for nothing.
            About::PriceChange(_) | About::Overage(_) => Err(Refusal::NothingOwed.into()),
        }
    }
}

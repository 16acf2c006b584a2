//! Brands: what staff keep of each, and whose a customer is written to in.

use super::{Billing, MOST_RACES};
use crate::brand::Brand;
use crate::id::MailId;
use crate::ports::{Key, Record, Store, StoreError, Write};
use crate::subscription::Subscription;

impl<S: Store, G: Sync, C: Sync> Billing<S, G, C> {
    /// Keeps `brand` as it is given, in place of what was kept under its id. Doing so twice is doing it once.
    pub async fn keep_brand(&self, brand: &Brand) -> Result<(), StoreError> {
        for _ in 0..MOST_RACES {
            let kept = self.store.get(vec![Key::Brand(brand.id.clone())]).await?.brand();
            let next = Brand { version: kept.as_ref().map_or(0, |it| it.version), ..brand.clone() };
            if kept.as_ref() == Some(&next) {
                return Ok(());
            }
            match self.store.commit(vec![Write::next(Record::Brand(next))]).await {
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict)
    }

    /// All there are, by their ids.
    pub async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        self.store.brands().await
    }

    /// That in which whoever got the mail is shown pages, as it is now.
    pub async fn brand_of_mail(&self, id: &MailId) -> Result<Option<Brand>, StoreError> {
        let Some(mail) = self.store.get(vec![Key::Mail(id.clone())]).await?.mail() else { return Ok(None) };
        let subscription = self.store.get(vec![Key::Subscription(mail.customer)]).await?.subscription();
        self.brand_of(subscription.as_ref()).await
    }

    /// The brand that a customer was given, as it is now.
    pub(super) async fn brand_of(&self, subscription: Option<&Subscription>) -> Result<Option<Brand>, StoreError> {
        match subscription.and_then(|it| it.brand.clone()) {
            Some(id) => Ok(self.store.get(vec![Key::Brand(id)]).await?.brand()),
            None => Ok(None),
        }
    }
}

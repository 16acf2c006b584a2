//! Stripe's products and prices, which follow our plans.
//! <https://docs.stripe.com/api/products>, <https://docs.stripe.com/api/prices>

mod changes;
#[cfg(test)]
mod tests;
mod wanted;

use super::wire::{List, Listed, Refused};
use super::{MOST_PAGES, Stripe, Verb};
use crate::gateways::sync::{Change, Fields, SyncRequest};
use billing::catalog::Plan;
use billing::ports::GatewayError;
use changes::{Edits, Request, Step, There};
use data_encoding::HEXLOWER;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use wanted::{Recurring, Terms};

/// So many products are asked for at once, and the prices of so many.
const PRODUCTS_AT_ONCE: usize = 50;
const REQUESTS_AT_ONCE: usize = 4;

/// How long a request that makes a price counts as the same one. Longer than any is under way; and short, because Stripe
/// also keeps an error of its own under the key.
const SAME_REQUEST_S: i64 = 600;

impl Stripe {
    /// How `plans` and what Stripe has of them compare, and what of it could be put right, if that is asked.
    pub(in crate::gateways) async fn sync(
        &self,
        asked: &SyncRequest,
        plans: &[Plan],
        at: Timestamp,
        patience: Duration,
    ) -> Result<Vec<Change>, GatewayError> {
        let began = Instant::now();
        let edits = if asked.force_update { Edits::Overwritten } else { Edits::Kept };
        let there = self.there(plans).await?;
        let compare = |plan| changes::steps(plan, there.iter().find(|it| it.product.id == plan.id.as_str()), edits);
        let mut steps: Vec<Step> = plans.iter().flat_map(compare).collect();
        for step in steps.iter_mut().filter(|step| asked.apply && !step.requests.is_empty()) {
            if began.elapsed() > patience {
                step.change.reason = Some("there was no time left for it and what follows".to_owned());
                break;
            }
            match self.apply(&step.requests, at).await {
                Ok(()) => step.change.applied = true,
                Err(GatewayError::Rejected(reason)) => step.change.reason = Some(reason),
                // It may have been done. The next comparison shows it.
                Err(error) => {
                    step.change.reason = Some(error.to_string());
                    break;
                }
            }
        }
        Ok(steps.into_iter().map(|step| step.change).collect())
    }

    /// The products that go by the ids of `plans`, with all their prices.
    async fn there(&self, plans: &[Plan]) -> Result<Vec<There>, GatewayError> {
        let mut products = vec![];
        for plans in plans.chunks(PRODUCTS_AT_ONCE) {
            let ids: Vec<String> = plans.iter().map(|plan| format!("ids[]={}", plan.id)).collect();
            products.extend(self.all::<Product>(&format!("/v1/products?{}", ids.join("&"))).await?);
        }
        let with_prices = |product: Product| async {
            let prices = self.all(&format!("/v1/prices?product={}", product.id)).await?;
            Ok(There { product, prices })
        };
        stream::iter(products).map(with_prices).buffered(REQUESTS_AT_ONCE).try_collect().await
    }

    async fn apply(&self, requests: &[Request], at: Timestamp) -> Result<(), GatewayError> {
        for Request { path, form, seen } in requests {
            let key = seen.as_ref().map(|seen| {
                let window = at.as_second().div_euclid(SAME_REQUEST_S);
                format!("price-{}", HEXLOWER.encode(&Sha256::digest(format!("{seen}|{window}"))))
            });
            let answer = self.send(Verb::POST, path, key.as_deref(), form).await?;
            if answer.status.is_success() {
                continue;
            }
            let Refused { error } = answer.read()?;
            match (error.code.as_deref(), error.message) {
                // By a request of ours that we did not hear back from.
                (Some("resource_already_exists"), _) if path == "/v1/products" => {}
                // What it says of a catalogue is no secret, and nothing else tells what is wrong with it.
                (_, Some(said)) if answer.status == StatusCode::BAD_REQUEST => {
                    return Err(GatewayError::Rejected(said));
                }
                (code, _) => {
                    let said = code.unwrap_or_default();
                    return Err(GatewayError::Rejected(format!("{} {said}", answer.status)));
                }
            }
        }
        Ok(())
    }

    /// Every page of a list.
    async fn all<T: Listed>(&self, path: &str) -> Result<Vec<T>, GatewayError> {
        let (mut all, mut after) = (vec![], String::new());
        for _ in 0..MOST_PAGES {
            let page: List<T> = self.get(&format!("{path}&limit=100{after}")).await?.unwrap_or_default();
            all.extend(page.data);
            match all.last().filter(|_| page.has_more) {
                Some(last) => after = format!("&starting_after={}", last.id()),
                None => return Ok(all),
            }
        }
        Err(GatewayError::NoAnswer("a longer list than can be looked through".into()))
    }
}

#[derive(Debug, Deserialize)]
struct Product {
    id: String,
    active: bool,
    name: String,
    description: Option<String>,
    #[serde(default)]
    metadata: Marks,
}

#[derive(Debug, Deserialize)]
struct Price {
    id: String,
    active: bool,
    currency: String,
    unit_amount: Option<i64>,
    recurring: Option<Recurring>,
    lookup_key: Option<String>,
    nickname: Option<String>,
    #[serde(default)]
    metadata: Marks,
}

/// How we know what is ours.
#[derive(Debug, Default, Deserialize)]
struct Marks {
    plan: Option<String>,
    version: Option<String>,
}

impl Listed for Product {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Price {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Product {
    /// By the names of Stripe's form.
    fn fields(&self) -> Fields {
        let mut fields = self.metadata.fields(self.active);
        fields.insert("name", self.name.clone());
        fields.extend(self.description.clone().map(|description| ("description", description)));
        fields
    }
}

impl Price {
    fn terms(&self) -> Terms {
        Terms { currency: self.currency.clone(), unit_amount: self.unit_amount, recurring: self.recurring.clone() }
    }

    /// By the names of Stripe's form.
    fn fields(&self) -> Fields {
        let mut fields = self.metadata.fields(self.active);
        fields.extend(self.nickname.clone().map(|nickname| ("nickname", nickname)));
        fields.extend(self.lookup_key.clone().map(|key| ("lookup_key", key)));
        fields
    }

    fn path(&self) -> String {
        format!("/v1/prices/{}", self.id)
    }
}

impl Marks {
    fn fields(&self, active: bool) -> Fields {
        let mut fields = Fields::from([("active", active.to_string())]);
        fields.extend(self.plan.clone().map(|plan| ("metadata[plan]", plan)));
        fields.extend(self.version.clone().map(|version| ("metadata[version]", version)));
        fields
    }
}

//! How what Stripe has of a plan differs from what it should have, and the
//! requests that would put it right. Calls nobody.
//!
//! Everything of ours carries the version of the plan that last touched it.
//! What carries an earlier one is as we left it, and the catalogue has moved on
//! since. What differs all the same was edited by hand: it drifts.

use super::wanted::{self, WantedPrice};
use super::{Marks, Price, Product};
use crate::gateways::stripe::forms::Form;
use crate::gateways::sync::{Change, Fields, Kind};
use billing::catalog::Plan;

/// What of a plan Stripe has.
#[derive(Debug)]
pub(super) struct There {
    pub(super) product: Product,
    pub(super) prices: Vec<Price>,
}

/// What becomes of what was edited by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edits {
    Kept,
    Overwritten,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) change: Change,
    /// One after the other. Where they break off, the next comparison finds what is left.
    pub(super) requests: Vec<Request>,
}

/// `POST path`
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) form: Form,
    /// What was seen by whom this is sent: the same sight asks for the same thing.
    /// None where doing it twice is doing it once.
    pub(super) seen: Option<String>,
}

/// What it takes for `there` to be what `plan` says. The product comes first.
pub(super) fn steps(plan: &Plan, there: Option<&There>, edits: Edits) -> Vec<Step> {
    let comparison = Comparison { plan, there, edits };
    match plan.active {
        true => comparison.for_sale(),
        false => comparison.withdrawn().into_iter().collect(),
    }
}

struct Comparison<'a> {
    plan: &'a Plan,
    there: Option<&'a There>,
    edits: Edits,
}

impl Comparison<'_> {
    fn for_sale(&self) -> Vec<Step> {
        let mut steps = vec![self.product()];
        let mut wanted = vec![];
        for price in &self.plan.prices {
            match wanted::price(self.plan, price) {
                Ok(price) => wanted.push(price),
                Err(unsupported) => {
                    let mut step = self.step(Some(unsupported.lookup_key), Kind::Skipped);
                    step.change.reason = Some(unsupported.reason);
                    steps.push(step);
                }
            }
        }
        let mut compared = vec![];
        for price in &wanted {
            let standing = self.standing(price, &wanted, &compared);
            compared.extend(standing.map(|standing| standing.id.as_str()));
            steps.push(self.price(price, standing));
        }
        let prices = self.there.map_or(&[][..], |there| &there.prices);
        let extra = prices.iter().filter(|price| price.active && !compared.contains(&price.id.as_str()));
        steps.extend(extra.map(|price| self.extra(price)));
        steps
    }

    /// Its prices stay as they are: none can be bought without the product.
    fn withdrawn(&self) -> Option<Step> {
        let product = self.there.map(|there| &there.product).filter(|product| product.active)?;
        let step = self.differing(None, Kind::ArchiveProduct, product.fields(), wanted::marked(self.plan, false));
        let path = format!("/v1/products/{}", product.id);
        Some(self.judged(step, &product.metadata, |to| vec![update(path, to)]))
    }

    fn product(&self) -> Step {
        let fields = wanted::product(self.plan);
        let Some(There { product, .. }) = self.there else {
            let mut form: Form = fields.clone().into_iter().collect();
            // Its own id: another one of it is refused.
            form.push(("id", self.plan.id.to_string()));
            let mut step = self.differing(None, Kind::CreateProduct, Fields::new(), fields);
            step.requests = vec![Request { path: "/v1/products".to_owned(), form, seen: None }];
            return step;
        };
        let step = self.differing(None, Kind::UpdateProduct, product.fields(), fields);
        let path = format!("/v1/products/{}", product.id);
        self.judged(step, &product.metadata, |to| vec![update(path, to)])
    }

    /// The price that stands for the wanted one: by its key, or without it if it is the very same otherwise.
    fn standing(&self, wanted: &WantedPrice, all: &[WantedPrice], compared: &[&str]) -> Option<&Price> {
        let prices = &self.there?.prices;
        let has_key = |price: &Price, wanted: &WantedPrice| price.lookup_key.as_deref() == Some(&wanted.lookup_key);
        let same = |price: &Price| price.terms() == wanted.terms;
        let lost_key = |price: &Price| {
            let ours = price.metadata.plan.as_deref() == Some(self.plan.id.as_str());
            let anothers = all.iter().any(|wanted| has_key(price, wanted)) || compared.contains(&price.id.as_str());
            price.active && ours && !anothers
        };
        let first = |fits: &dyn Fn(&Price) -> bool| prices.iter().find(|price| fits(price));
        first(&|price| has_key(price, wanted) && same(price))
            .or_else(|| first(&|price| lost_key(price) && same(price)))
            .or_else(|| first(&|price| has_key(price, wanted)))
    }

    fn price(&self, wanted: &WantedPrice, standing: Option<&Price>) -> Step {
        let named = Some(wanted.lookup_key.clone());
        let amount = || Fields::from([("amount", wanted.terms.to_string())]);
        let create = |form| Request { path: "/v1/prices".to_owned(), form, seen: Some(self.seen(wanted)) };
        let create = || create(wanted.form(self.plan.id.as_str()));
        let Some(standing) = standing else {
            let mut to = wanted.fields.clone();
            to.extend(amount());
            let mut step = self.differing(named, Kind::CreatePrice, Fields::new(), to);
            step.requests = vec![create()];
            return step;
        };
        if standing.terms() == wanted.terms {
            let step = self.differing(named, Kind::UpdatePrice, standing.fields(), wanted.fields.clone());
            let path = standing.path();
            return self.judged(step, &standing.metadata, |to| {
                let mut request = update(path, to);
                if to.contains_key("lookup_key") {
                    request.form.push(("transfer_lookup_key", "true".to_owned()));
                }
                vec![request]
            });
        }
        let mut step = self.step(named, Kind::ReplacePrice);
        step.change.from = Fields::from([("amount", standing.terms().to_string()), ("id", standing.id.clone())]);
        step.change.to = amount();
        // The new one first: there is no moment without a price to find by the key.
        self.judged(step, &standing.metadata, |_| match standing.active {
            true => vec![create(), update(standing.path(), &wanted::marked(self.plan, false))],
            false => vec![create()],
        })
    }

    /// On sale at Stripe, and not in the catalogue.
    fn extra(&self, price: &Price) -> Step {
        let named = price.lookup_key.clone().unwrap_or_else(|| price.id.clone());
        let archived = wanted::marked(self.plan, false);
        let mut step = self.differing(Some(named), Kind::ArchivePrice, price.fields(), archived);
        step.change.from.extend([("amount", price.terms().to_string()), ("id", price.id.clone())]);
        self.judged(step, &price.metadata, |to| vec![update(price.path(), to)])
    }

    fn step(&self, price: Option<String>, change: Kind) -> Step {
        let (from, to) = (Fields::new(), Fields::new());
        let change = Change { plan: self.plan.id.clone(), price, change, from, to, applied: false, reason: None };
        Step { change, requests: vec![] }
    }

    /// A step with those fields that differ.
    fn differing(&self, price: Option<String>, kind: Kind, mut there: Fields, mut wanted: Fields) -> Step {
        let mut step = self.step(price, kind);
        wanted.retain(|name, value| there.get(name) != Some(value));
        there.retain(|name, _| wanted.contains_key(name));
        (step.change.from, step.change.to) = (there, wanted);
        step
    }

    /// What is to be done, if anything is and we may.
    fn judged(&self, mut step: Step, marks: &Marks, requests: impl FnOnce(&Fields) -> Vec<Request>) -> Step {
        if step.change.to.is_empty() {
            step.change.change = Kind::InSync;
        } else if self.edits == Edits::Overwritten || self.was_left_by_us(marks) {
            step.requests = requests(&step.change.to);
        } else {
            step.change.change = Kind::Drift;
        }
        step
    }

    /// Whether it is as a sync of an earlier version left it.
    fn was_left_by_us(&self, marks: &Marks) -> bool {
        let version = marks.version.as_deref().and_then(|version| version.parse::<u32>().ok());
        marks.plan.as_deref() == Some(self.plan.id.as_str())
            && version.is_some_and(|version| version < self.plan.version)
    }

    fn seen(&self, wanted: &WantedPrice) -> String {
        let prices = self.there.map_or(&[][..], |there| &there.prices);
        let mut ids: Vec<&str> = prices.iter().map(|price| price.id.as_str()).collect();
        ids.sort_unstable();
        format!("{}|{}|{}|{}", self.plan.id, self.plan.version, wanted.lookup_key, ids.join(","))
    }
}

fn update(path: String, to: &Fields) -> Request {
    Request { path, form: to.clone().into_iter().collect(), seen: None }
}

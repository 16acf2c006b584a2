//! What is wrong with a catalogue document.

use super::{Catalogue, Family, MeterKind, Offer, PricingModel};
use crate::calendar::Interval;
use crate::discount::{Lasts, Off};
use crate::id::{FeatureId, MeterId, PlanId};
use crate::money::Currency;
use crate::ratio::Ratio;
use crate::shard::MOST_SHARDS;
use serde::Serialize;
use std::collections::BTreeSet;

/// What is wrong with a catalogue document, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueProblem {
    /// The plan's id, or none for the family itself.
    pub plan: Option<PlanId>,
    pub field: String,
    pub problem: String,
}

/// A family is kept and shown as a whole.
const MOST_PLANS: usize = 20;
const MOST_METER_NAMES: usize = 25;
const MOST_COUPONS: usize = 20;

/// A subscription keeps its plan whole, and is read and written as one.
const MOST_ADDONS: usize = 20;

const LONGEST_TRIAL: u16 = 730;

/// Each is kept with what is counted.
const MOST_ALERTS: usize = 5;

/// In per cent; what costs more beyond a limit may be alerted beyond it.
const HIGHEST_ALERT: u16 = 1_000;

/// A balance keeps what is left of each period apart.
const MOST_ROLLOVERS: u16 = 25;

impl Catalogue {
    /// Everything that is wrong, in the order of the document. Empty: it may be stored.
    pub fn problems(&self) -> Vec<CatalogueProblem> {
        let mut found = Problems::default();
        self.check_family(&mut found);
        let mut seen = BTreeSet::new();
        for plan in &self.plans {
            found.plan = Some(plan.id.clone());
            if !seen.insert(&plan.id) {
                found.add("id", "is used by an earlier plan of this file".to_owned());
            }
            self.check_plan(plan, &mut found);
        }
        found.plan = None;
        self.check_coupons(&mut found);
        found.list
    }

    fn check_family(&self, found: &mut Problems) {
        found.text("family.name", &self.family.name);
        if self.plans.is_empty() {
            found.add("plans", "a family has at least one plan".to_owned());
        }
        if self.plans.len() > MOST_PLANS {
            found.add("plans", format!("a family has at most {MOST_PLANS} plans"));
        }
        let mut names = BTreeSet::new();
        for meter in &self.family.meters {
            let field = format!("family.meters.{}", meter.id);
            for text in [&meter.name, &meter.unit.one, &meter.unit.many, &meter.reduce] {
                found.text(&field, text);
            }
            for name in std::iter::once(&meter.id).chain(&meter.aliases) {
                if !names.insert(name) {
                    found.add(&field, format!("`{name}` names two meters"));
                }
            }
        }
        for meter in self.family.meters.iter().filter(|it| it.kind == MeterKind::Gauge && it.shards.is_some()) {
            let field = format!("family.meters.{}.shards", meter.id);
            found.add(&field, "a gauge is set, and is kept in one place".to_owned());
        }
        let shards = self.family.meters.iter().filter_map(|it| it.shards.map(u8::from));
        if shards.map(u16::from).sum::<u16>() > MOST_SHARDS.into() {
            found.add("family.meters", format!("the meters of a family have at most {MOST_SHARDS} shards in all"));
        }
        if names.len() > MOST_METER_NAMES {
            found.add("family.meters", format!("a family has at most {MOST_METER_NAMES} meters and aliases"));
        }
        let mut features = BTreeSet::new();
        for feature in &self.family.features {
            found.text(&format!("family.features.{}", feature.id), &feature.name);
            if !features.insert(&feature.id) {
                found.add(&format!("family.features.{}", feature.id), "is declared twice".to_owned());
            }
        }
    }

    fn check_coupons(&self, found: &mut Problems) {
        if self.coupons.len() > MOST_COUPONS {
            found.add("coupons", format!("a family has at most {MOST_COUPONS} coupons"));
        }
        let mut codes = BTreeSet::new();
        for (n, coupon) in self.coupons.iter().enumerate() {
            let at = |field: &str| format!("coupons[{n}].{field}");
            if !codes.insert(&coupon.code) {
                found.add(&at("code"), "is used by an earlier coupon of this file".to_owned());
            }
            match coupon.off {
                Off::Percent(percent) if percent <= Ratio::ZERO || percent > Ratio::from(100_u32) => {
                    found.add(&at("off.percent"), "is more than 0 and at most 100".to_owned());
                }
                Off::Amount(amount) if amount.minor <= 0 => {
                    found.add(&at("off.amount"), "is more than 0".to_owned());
                }
                Off::Percent(_) | Off::Amount(_) => {}
            }
            if coupon.lasts == Lasts::Periods(0) {
                found.add(&at("lasts.periods"), "is at least 1".to_owned());
            }
            for (field, most) in
                [("most_redemptions", coupon.most_redemptions), ("most_per_customer", coupon.most_per_customer)]
            {
                if most == Some(0) {
                    found.add(&at(field), "is at least 1; without a limit nothing is said".to_owned());
                }
            }
            for plan in &coupon.plans {
                if !self.plans.iter().any(|it| it.id == *plan) {
                    found.add(&at("plans"), format!("`{plan}` is not a plan of this file"));
                }
            }
        }
    }

    fn check_plan(&self, plan: &Offer, found: &mut Problems) {
        use PricingModel::{Flat, Graduated, Package, PerSeat, Tokens, Volume};

        let prefix = format!("{}-", self.family.id);
        if !plan.id.as_str().starts_with(&prefix) {
            found.add("id", format!("a plan of this family is called `{prefix}…`"));
        }
        found.text("name", &plan.name);
        found.text("display_name", &plan.display_name);
        found.text("description", &plan.description);
        if plan.tier == 0 {
            found.add("tier", "tiers are counted from 1".to_owned());
        }
        self.family.check(&plan.features, plan.limits.keys(), "", found);
        for meter in &self.family.meters {
            if !plan.limits.contains_key(&meter.id) {
                // No default: a limit that was forgotten must not become unlimited, nor zero.
                found.add("limits", format!("`{}` is missing: a number or \"unlimited\"", meter.id));
            }
        }
        if plan.prices.is_empty() {
            found.add("prices", "a plan has at least one price".to_owned());
        }
        let mut sold = Vec::new();
        for (n, price) in plan.prices.iter().enumerate() {
            let field = format!("prices[{n}]");
            price.check(plan.pricing_model, &field, found);
            found.once(&mut sold, (price.interval, price.amount.currency), &field);
        }
        match (plan.pricing_model, plan.tokens_included) {
            (Tokens, None | Some(0)) => {
                found.add("tokens_included", "a `tokens` plan includes at least 1".to_owned());
            }
            (Flat | PerSeat | Graduated | Volume | Package, Some(_)) => {
                found.add("tokens_included", "only a `tokens` plan includes tokens".to_owned());
            }
            (Tokens, Some(_)) | (Flat | PerSeat | Graduated | Volume | Package, None) => {}
        }
        match (plan.pricing_model, plan.tokens_rollover) {
            (Tokens, Some(MOST_ROLLOVERS..)) => {
                found.add("tokens_rollover", format!("is less than {MOST_ROLLOVERS}; without an end nothing is said"));
            }
            (Flat | PerSeat | Graduated | Volume | Package, Some(_)) => {
                found.add("tokens_rollover", "only a `tokens` plan has tokens to carry over".to_owned());
            }
            (Tokens | Flat | PerSeat | Graduated | Volume | Package, _) => {}
        }
        self.check_overage(plan, found);
        for (meter, lines) in &plan.alerts {
            let field = format!("alerts.{meter}");
            if !plan.limits.contains_key(meter) {
                found.add(&field, "is no meter that the plan limits".to_owned());
            }
            let ascends = lines.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascends || lines.len() > MOST_ALERTS || lines.iter().any(|line| !(1..=HIGHEST_ALERT).contains(line)) {
                let lines =
                    format!("are up to {MOST_ALERTS}, ascending, each 1 to {HIGHEST_ALERT} per cent of the limit");
                found.add(&field, lines);
            }
        }
        if plan.trial.is_some_and(|trial| !(1..=LONGEST_TRIAL).contains(&trial.days)) {
            found.add("trial.days", format!("a trial has 1 to {LONGEST_TRIAL} days; without one nothing is said"));
        }
        plan.dunning.check(|field, problem| found.add(&format!("dunning.{field}"), problem));
        if plan.addons.len() > MOST_ADDONS {
            found.add("addons", format!("a plan has at most {MOST_ADDONS} add-ons"));
        }
        let mut names = BTreeSet::new();
        for (n, addon) in plan.addons.iter().enumerate() {
            let field = format!("addons[{n}]");
            if !names.insert(&addon.id) {
                found.add(&format!("{field}.id"), "is used by an earlier add-on of the plan".to_owned());
            }
            addon.check(&sold, &self.family, &field, found);
        }
    }
}

impl Family {
    /// Whether it has the features and meters that are spoken of at `within`.
    pub(super) fn check<'a>(
        &self,
        features: &BTreeSet<FeatureId>,
        meters: impl Iterator<Item = &'a MeterId>,
        within: &str,
        found: &mut Problems,
    ) {
        for feature in features {
            if !self.features.iter().any(|it| it.id == *feature) {
                found.add(&format!("{within}features"), format!("`{feature}` is not a feature of the family"));
            }
        }
        for meter in meters {
            if !self.meters.iter().any(|it| it.id == *meter) {
                found.add(&format!("{within}limits"), format!("`{meter}` is not a meter of the family"));
            }
        }
    }
}

/// What something is sold by.
pub(super) type Terms = (Interval, Currency);

#[derive(Default)]
pub(super) struct Problems {
    plan: Option<PlanId>,
    pub(super) list: Vec<CatalogueProblem>,
}

impl Problems {
    pub(super) fn add(&mut self, field: &str, problem: String) {
        self.list.push(CatalogueProblem { plan: self.plan.clone(), field: field.to_owned(), problem });
    }

    /// The price at `field` is on `terms` that no other of the `sold` ones is on.
    pub(super) fn once(&mut self, sold: &mut Vec<Terms>, terms: Terms, field: &str) {
        let (interval, currency) = terms;
        if sold.contains(&terms) {
            self.add(field, format!("there are two prices for {interval} in {currency}"));
        }
        sold.push(terms);
    }

    pub(super) fn text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() || text.len() > 500 {
            self.add(field, "must be 1 to 500 characters".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;

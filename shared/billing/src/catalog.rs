//! What is for sale: families of plans, their prices, features and limits.
//!
//! A catalogue document (one file, one family) is checked as a whole by
//! [`Catalogue::problems`]; nothing of a document with a problem is stored.

use crate::calendar::Interval;
use crate::id::{FamilyId, FeatureId, MeterId, PlanId};
use crate::money::{Currency, Money};
use crate::proration::Proration;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One family as its file gives it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub family: Family,
    pub plans: Vec<Offer>,
}

/// A product line: what its plans differ in, in the order to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    pub id: FamilyId,
    pub name: String,
    pub meters: Vec<Meter>,
    pub features: Vec<Feature>,
}

/// What usage is counted in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    pub id: MeterId,
    pub name: String,
    pub kind: MeterKind,
    /// `agent`, `agents`: how one and how many are called.
    pub unit: Unit,
    /// What a customer does to have less of it: `delete or archive`.
    pub reduce: String,
    /// What other systems call the same meter.
    #[serde(default)]
    pub aliases: Vec<MeterId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterKind {
    /// A level, such as users or storage: it is set.
    Gauge,
    /// Starts at zero each period, such as minutes: it is added to.
    Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    pub one: String,
    pub many: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub id: FeatureId,
    pub name: String,
}

/// A plan as a catalogue file offers it. `features` names those switched on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub id: PlanId,
    pub name: String,
    pub display_name: String,
    pub description: String,
    /// 1 < 2 < 3: a change to a lower tier is a downgrade.
    pub tier: u32,
    pub pricing_model: PricingModel,
    pub prices: Vec<Price>,
    pub features: BTreeSet<FeatureId>,
    pub limits: BTreeMap<MeterId, Limit>,
    /// Granted when a period is paid; `tokens` plans only.
    pub tokens_included: Option<u64>,
    /// How a change away from it within a period is charged: by the second where nothing is said.
    #[serde(default)]
    pub proration: Proration,
    #[serde(default)]
    pub recommended: bool,
    #[serde(default)]
    pub popular: bool,
    pub active: bool,
}

/// One version of a plan. Whoever bought a version keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub family: FamilyId,
    pub version: u32,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub tier: u32,
    pub pricing_model: PricingModel,
    pub prices: Vec<Price>,
    /// Every feature of the family, on or off.
    pub features: BTreeMap<FeatureId, bool>,
    pub limits: BTreeMap<MeterId, Limit>,
    pub tokens_included: Option<u64>,
    #[serde(default)]
    pub proration: Proration,
    pub recommended: bool,
    pub popular: bool,
    pub active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PricingModel {
    /// One price whatever the quantity (CRM-based).
    Flat,
    /// The price is for one seat (agent-based).
    PerSeat,
    /// A prepaid bundle of tokens.
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub interval: Interval,
    pub amount: Money,
    /// Whether the next period follows by itself; else the plan expires.
    pub recurring: bool,
}

/// At most so much. Unlimited is `null` (in files also `"unlimited"`), never a magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenLimit", into = "Option<u64>")]
pub enum Limit {
    AtMost(u64),
    Unlimited,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, `null` or `\"unlimited\"`")]
enum WrittenLimit {
    AtMost(Option<u64>),
    Word(Unlimited),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unlimited {
    Unlimited,
}

impl From<WrittenLimit> for Limit {
    fn from(written: WrittenLimit) -> Self {
        match written {
            WrittenLimit::AtMost(Some(most)) => Self::AtMost(most),
            WrittenLimit::AtMost(None) | WrittenLimit::Word(Unlimited::Unlimited) => Self::Unlimited,
        }
    }
}

impl From<Limit> for Option<u64> {
    fn from(limit: Limit) -> Option<u64> {
        match limit {
            Limit::AtMost(most) => Some(most),
            Limit::Unlimited => None,
        }
    }
}

impl Plan {
    pub fn price(&self, interval: Interval, currency: Currency) -> Option<Price> {
        self.prices.iter().find(|price| price.interval == interval && price.amount.currency == currency).copied()
    }

    /// The plan that `offer` describes, as a first version.
    fn of(offer: Offer, family: &Family) -> Self {
        let features = family.features.iter().map(|it| (it.id.clone(), offer.features.contains(&it.id))).collect();
        Self {
            id: offer.id,
            family: family.id.clone(),
            version: 1,
            name: offer.name,
            display_name: offer.display_name,
            description: offer.description,
            tier: offer.tier,
            pricing_model: offer.pricing_model,
            prices: offer.prices,
            features,
            limits: offer.limits,
            tokens_included: offer.tokens_included,
            proration: offer.proration,
            recommended: offer.recommended,
            popular: offer.popular,
            active: offer.active,
        }
    }

    /// `self` as it follows on `current`, or nothing if it says the same.
    pub fn succeeding(self, current: &Self) -> Option<Self> {
        let same = Self { version: current.version, ..self };
        if same == *current { None } else { Some(Self { version: current.version + 1, ..same }) }
    }
}

/// What is wrong with a catalogue document, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueProblem {
    /// The plan's id, or none for the family itself.
    pub plan: Option<PlanId>,
    pub field: String,
    pub problem: String,
}

/// A family is committed in one transaction of at most a hundred records: itself,
/// two for each plan, and one for each name that a meter has or gives up.
const MOST_PLANS: usize = 20;
const MOST_METER_NAMES: usize = 25;

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
        found.list
    }

    pub fn into_plans(self) -> (Family, Vec<Plan>) {
        let plans = self.plans.into_iter().map(|offer| Plan::of(offer, &self.family)).collect();
        (self.family, plans)
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

    fn check_plan(&self, plan: &Offer, found: &mut Problems) {
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
        for feature in &plan.features {
            if !self.family.features.iter().any(|it| it.id == *feature) {
                found.add("features", format!("`{feature}` is not a feature of the family"));
            }
        }
        for meter in plan.limits.keys() {
            if !self.family.meters.iter().any(|it| it.id == *meter) {
                found.add("limits", format!("`{meter}` is not a meter of the family"));
            }
        }
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
            if price.amount.minor <= 0 {
                found.add(&format!("prices[{n}].amount.minor"), "an amount is at least 1".to_owned());
            }
            if sold.contains(&(price.interval, price.amount.currency)) {
                let (interval, currency) = (price.interval, price.amount.currency);
                found.add(&format!("prices[{n}]"), format!("there are two prices for {interval} in {currency}"));
            }
            sold.push((price.interval, price.amount.currency));
        }
        match (plan.pricing_model, plan.tokens_included) {
            (PricingModel::Tokens, None | Some(0)) => {
                found.add("tokens_included", "a `tokens` plan includes at least 1".to_owned());
            }
            (PricingModel::Flat | PricingModel::PerSeat, Some(_)) => {
                found.add("tokens_included", "only a `tokens` plan includes tokens".to_owned());
            }
            (PricingModel::Tokens, Some(_)) | (PricingModel::Flat | PricingModel::PerSeat, None) => {}
        }
    }
}

#[derive(Default)]
struct Problems {
    plan: Option<PlanId>,
    list: Vec<CatalogueProblem>,
}

impl Problems {
    fn add(&mut self, field: &str, problem: String) {
        self.list.push(CatalogueProblem { plan: self.plan.clone(), field: field.to_owned(), problem });
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() || text.len() > 500 {
            self.add(field, "must be 1 to 500 characters".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(change: impl FnOnce(&mut serde_json::Value)) -> Result<Vec<CatalogueProblem>, serde_json::Error> {
        let mut document = serde_json::json!({
            "family": {
                "id": "estates", "name": "Estates",
                "meters": [{"id": "estates", "name": "Estates", "kind": "gauge", "reduce": "delete or archive",
                            "unit": {"one": "estate", "many": "estates"}, "aliases": ["plots"]}],
                "features": [{"id": "analytics", "name": "Analytics"}],
            },
            "plans": [{
                "id": "estates-starter", "name": "Starter", "display_name": "Starter", "description": "To begin with",
                "tier": 1, "pricing_model": "flat", "active": true,
                "prices": [{"interval": "month", "amount": {"minor": 300_000, "currency": "NGN"}, "recurring": true}],
                "features": ["analytics"], "limits": {"estates": 25},
            }],
        });
        change(&mut document);
        serde_json::from_value::<Catalogue>(document).map(|catalogue| catalogue.problems())
    }

    #[test]
    fn a_good_catalogue_has_no_problems() {
        assert_eq!(catalogue(|_| {}).ok(), Some(vec![]));
    }

    #[test]
    fn a_problem_names_the_plan_and_the_field() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(&str, Change, &str); 9] = [
            ("a plan outside its family", |it| it["plans"][0]["id"] = "crm-basic".into(), "id"),
            ("tier zero", |it| it["plans"][0]["tier"] = 0.into(), "tier"),
            ("an unknown feature", |it| it["plans"][0]["features"] = serde_json::json!(["telepathy"]), "features"),
            ("a forgotten limit", |it| it["plans"][0]["limits"] = serde_json::json!({}), "limits"),
            ("an unknown meter", |it| it["plans"][0]["limits"]["dogs"] = 1.into(), "limits"),
            ("a free price", |it| it["plans"][0]["prices"][0]["amount"]["minor"] = 0.into(), "prices[0].amount.minor"),
            ("no price", |it| it["plans"][0]["prices"] = serde_json::json!([]), "prices"),
            ("a blank name", |it| it["plans"][0]["name"] = " ".into(), "name"),
            ("tokens in a flat plan", |it| it["plans"][0]["tokens_included"] = 5.into(), "tokens_included"),
        ];
        for (what, change, field) in cases {
            let problems = catalogue(change).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field], "{what}");
            assert!(problems.iter().all(|it| it.plan.is_some()), "{what}");
        }
    }

    #[test]
    fn a_price_twice_and_a_plan_twice_are_told() {
        let twice = |it: &mut serde_json::Value, list: &str| {
            let first = it["plans"][0][list][0].clone();
            if let Some(prices) = it["plans"][0][list].as_array_mut() {
                prices.push(first);
            }
        };
        assert!(catalogue(|it| twice(it, "prices")).is_ok_and(|problems| problems[0].field == "prices[1]"));
        let plan_twice =
            |it: &mut serde_json::Value| it["plans"] = [it["plans"][0].clone(), it["plans"][0].clone()].into();
        assert!(catalogue(plan_twice).is_ok_and(|problems| problems[0].field == "id"));
    }

    #[test]
    fn what_has_no_meaning_is_refused_when_read() {
        let cases: [fn(&mut serde_json::Value); 5] = [
            |it| it["plans"][0]["prise"] = 1.into(),
            |it| it["plans"][0]["limits"]["estates"] = (-1).into(),
            |it| it["plans"][0]["limits"]["estates"] = "lots".into(),
            |it| it["plans"][0]["prices"][0]["amount"]["currency"] = "NGX".into(),
            |it| it["plans"][0]["pricing_model"] = "free".into(),
        ];
        for change in cases {
            assert!(catalogue(change).is_err());
        }
    }

    #[test]
    fn unlimited_is_null_or_a_word_and_never_minus_one() {
        let read = |text| serde_json::from_str::<Limit>(text).ok();
        assert_eq!(read("null"), Some(Limit::Unlimited));
        assert_eq!(read("\"unlimited\""), Some(Limit::Unlimited));
        assert_eq!(read("0"), Some(Limit::AtMost(0)));
        assert_eq!(read("-1"), None);
        assert_eq!(serde_json::to_string(&Limit::Unlimited).ok().as_deref(), Some("null"));
    }

    #[test]
    fn a_change_makes_a_new_version_and_no_change_makes_none() {
        let plan = crate::testing::plan("estates-starter");
        assert_eq!(plan.clone().succeeding(&plan), None);
        let dearer = Plan { tier: 2, ..plan.clone() };
        assert_eq!(dearer.succeeding(&plan).map(|it| it.version), Some(plan.version + 1));
    }
}

//! What customers have, use, and may go down to: seats, limits, tokens.

use super::amounts::unnamed;
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use billing::calendar::zone::Zone;
use billing::catalog::{Family, Limit, Meter, MeterKind, Plan, PricingModel, Unit};
use billing::downgrade::downgrade;
use billing::dunning::ladder::DunningPolicy;
use billing::entitlement::Usage;
use billing::id::{FamilyId, Invalid, MeterId, PlanId};
use billing::money::{Currency, Money};
use billing::order::Order;
use billing::proration::{Anchor, Change, Held, Proration};
use billing::ratio::Ratio;
use billing::testing::order;
use billing::token::Bundle;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, json};
use std::collections::BTreeMap;

pub(crate) const OPS: &[(&str, Op)] =
    &[("is_active", is_active), ("seat_change", seat_change), ("validate_downgrade", validate_downgrade)];

/// More or fewer seats now, at the price that was paid; from the next period on at another that waits.
fn seat_change(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        unit: i64,
        seats: [u32; 2],
        remaining_days: u32,
        period_days: u32,
        pending_new_unit: Option<i64>,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { unit, seats: [old, new], remaining_days, period_days, pending_new_unit, currency } = case.input()?;
    let of = |unit: i64, seats: u32, field: &str| {
        Money::new(unit, currency).times(seats).ok_or_else(|| Refusal::of(field, "beyond counting"))
    };
    let left = Ratio::new(remaining_days.into(), period_days.into());
    let left = left.ok_or_else(|| Refusal::of("period_days", "a period has at least a day"))?;
    // The seats that go, or come, are what is prorated: one line, rounded once.
    let (gone, come) = (old.saturating_sub(new), new.saturating_sub(old));
    let (held, wanted) = ([Held::paid(of(unit, gone, "unit")?)], [of(unit, come, "unit")?]);
    let change = Change { old: &held, new: &wanted, once: &[], anchor: Anchor::Kept };
    let quote = Proration::ByDay.quote(&change, left, currency);
    let net = quote.ok_or_else(|| Refusal::of("unit", "beyond counting"))?.net.minor;
    Ok(json!({
        "amount": net.unsigned_abs(),
        "direction": if net < 0 { "credit" } else { "debit" },
        "next_cycle": of(pending_new_unit.unwrap_or(unit), new, "pending_new_unit")?.minor,
    }))
}

fn is_active(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        today: Option<Date>,
    }
    let (bundle, Asked { today }): (Bundle, Asked) = case.inputs()?;
    // Where no day is told, the case does not turn on it: it is one on which the bundle has not ended.
    let today = today.or(bundle.end_date).unwrap_or(Date::ZERO);
    Ok(json!({ "active": bundle.is_usable(today) }))
}

fn validate_downgrade(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        limits: BTreeMap<MeterId, Most>,
        usage: Usage,
    }
    let Input { limits, usage } = case.input()?;
    let limits: BTreeMap<MeterId, Limit> = limits.into_iter().map(|(meter, most)| (meter, most.0)).collect();
    let family = family(&limits).map_err(|error| Refusal::of("limits", error))?;
    let larger = plan("larger", limits.keys().map(|meter| (meter.clone(), Limit::Unlimited)).collect());
    let wanted = plan("wanted", limits).map_err(|error| Refusal::of("limits", error))?;
    let larger = larger.map_err(|error| Refusal::of("limits", error))?;
    let held = Order { plan: larger, ..order("estates-enterprise") };
    let wanted = Order { plan: wanted, ..held.clone() };
    // What is limited are levels: when the next period begins makes no difference to them.
    let answer = downgrade(&held, &wanted, &family, &usage, Some(&Zone::UTC.clocks(Timestamp::UNIX_EPOCH)));
    let overage = |excess: &billing::downgrade::Excess| (excess.resource.to_string(), json!(excess.overage));
    Ok(json!({
        "can_downgrade": answer.can_downgrade,
        "exceeds": answer.exceeds,
        "overages": answer.exceeds.iter().map(overage).collect::<Map<_, _>>(),
        // The way out, to stay, is a step as well, and no part of the way down.
        "steps": answer.steps.len().saturating_sub(1),
    }))
}

/// At most so many; those whose files we read write -1 for any number.
struct Most(Limit);

impl<'de> Deserialize<'de> for Most {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let most = Option::<i64>::deserialize(from)?;
        match most.map(u64::try_from) {
            None => Ok(Self(Limit::Unlimited)),
            Some(Ok(most)) => Ok(Self(Limit::AtMost(most))),
            Some(Err(_)) if most == Some(-1) => Ok(Self(Limit::Unlimited)),
            Some(Err(_)) => Err(serde::de::Error::custom("a limit is a number from 0 on, or -1 for none")),
        }
    }
}

/// What is limited, as a family of plans has it.
fn family(limits: &BTreeMap<MeterId, Limit>) -> Result<Family, Invalid> {
    let meter = |id: &MeterId| Meter {
        id: id.clone(),
        name: id.to_string(),
        kind: MeterKind::Gauge,
        unit: Unit { one: id.to_string(), many: id.to_string() },
        reduce: "remove".to_owned(),
        aliases: vec![],
        shards: None,
    };
    let id = FamilyId::try_from("cases".to_owned())?;
    Ok(Family { id, name: "Cases".to_owned(), meters: limits.keys().map(meter).collect(), features: vec![] })
}

fn plan(name: &str, limits: BTreeMap<MeterId, Limit>) -> Result<Plan, Invalid> {
    Ok(Plan {
        id: PlanId::try_from(format!("cases-{name}"))?,
        family: FamilyId::try_from("cases".to_owned())?,
        version: 1,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: name.to_owned(),
        tier: 1,
        pricing_model: PricingModel::Flat,
        prices: vec![],
        features: BTreeMap::new(),
        limits,
        tokens_included: None,
        tokens_rollover: None,
        alerts: BTreeMap::new(),
        overage: BTreeMap::new(),
        proration: Proration::default(),
        trial: None,
        dunning: DunningPolicy::default(),
        addons: vec![],
        recommended: false,
        popular: false,
        active: true,
    })
}

//! What quantities cost.

use super::amounts::{counted, exact, exact_or_none};
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use crate::policy::Rules;
use billing::money::Currency;
use billing::pricing::tiers::{Beyond, Tier, Tiers};
use billing::pricing::{Model, Part, Tariff, Unpriced, Used, total};
use billing::ratio::Ratio;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const OPS: &[(&str, Op)] = &[
    ("price", price),
    ("price_delta_multi", price_delta_multi),
    ("price_multi_all_tiers", price_multi_all_tiers),
    ("price_multi_top_tier", price_multi_top_tier),
    ("price_sequence", price_sequence),
];

/// A price as a case describes it. Where it names a currency its sums are
/// minor units, or major ones if they are texts, and the cost is rounded to the
/// minor unit; else they are in whatever the case means, and the cost is exact.
#[derive(Deserialize)]
struct Described {
    model: String,
    #[serde(default)]
    tiers: Vec<DescribedTier>,
    #[serde(default, deserialize_with = "exact_or_none")]
    unit: Option<Ratio>,
    #[serde(default, alias = "price", alias = "flat", deserialize_with = "exact_or_none")]
    amount: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    package_size: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    package_price: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    free_units: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    rate_percent: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    fixed_per_event: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    free_amount: Option<Ratio>,
    #[serde(default)]
    free_events: Option<u64>,
    #[serde(default, deserialize_with = "exact_or_none")]
    minimum: Option<Ratio>,
    currency: Option<Currency>,
    #[serde(skip)]
    in_major: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedTier {
    #[serde(deserialize_with = "exact_or_none")]
    up_to: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    unit: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    rate_percent: Option<Ratio>,
    #[serde(default, deserialize_with = "exact_or_none")]
    flat: Option<Ratio>,
}

/// What of a description is a sum of money.
const SUMS: [&str; 9] =
    ["unit", "flat", "amount", "price", "package_price", "fixed_per_event", "free_amount", "minimum", "total"];

impl Described {
    fn of(case: &Case) -> Result<Self, Refusal> {
        let (described, written): (Self, Map<String, Value>) = case.inputs()?;
        let is_text = |it: &Map<String, Value>| SUMS.iter().any(|price| it.get(*price).is_some_and(Value::is_string));
        let tiers = written.get("tiers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        Ok(Self { in_major: tiers.chain([&written]).any(is_text), ..described })
    }

    fn tariff(&self, case: &Case) -> Result<Tariff, Refusal> {
        let needed = |it: Option<Ratio>, field| it.ok_or_else(|| Refusal::of(field, "missing"));
        let price = |it, field| counted(self.in_minor(needed(it, field)?), field);
        let any = |it: Option<Ratio>, field| price(it.or(Some(Ratio::ZERO)), field);
        let beyond = if case.rules() == Rules::Polar { Beyond::Free } else { Beyond::Refused };
        let model = match self.model.as_str() {
            "flat" => Model::Flat { price: price(self.amount, "amount")? },
            "per_unit" | "per_seat" | "standard" => Model::PerUnit { unit: price(self.unit, "unit")? },
            "graduated" => Model::Graduated { tiers: self.tiers(Self::by_unit)?, beyond },
            "graduated_percentage" => Model::Graduated { tiers: self.tiers(Self::by_rate)?, beyond },
            "volume" => Model::Volume { tiers: self.tiers(Self::by_unit)? },
            "package" => Model::Package {
                size: needed(self.package_size, "package_size")?,
                price: price(self.package_price, "package_price")?,
                free: self.free_units.unwrap_or(Ratio::ZERO),
            },
            "percentage" => Model::Percentage {
                rate: counted(needed(self.rate_percent, "rate_percent")?.percent(), "rate_percent")?,
                fee: any(self.fixed_per_event, "fixed_per_event")?,
                free_sum: any(self.free_amount, "free_amount")?,
                free_events: self.free_events.unwrap_or_default(),
            },
            other => return Err(Refusal::of("model", format!("there are no prices by `{other}`"))),
        };
        let minimum = self.minimum.map(|minimum| price(Some(minimum), "minimum")).transpose()?;
        Ok(Tariff { model, minimum })
    }

    fn tiers(&self, price: fn(&Self, &DescribedTier) -> Option<Ratio>) -> Result<Tiers, Refusal> {
        let tier = |it: &DescribedTier| {
            let flat = self.in_minor(it.flat.unwrap_or(Ratio::ZERO));
            let (unit, flat) = (counted(price(self, it), "tiers")?, counted(flat, "tiers")?);
            Ok(Tier { up_to: it.up_to.map(|most| self.quantity(most)).transpose()?, unit, flat })
        };
        let tiers = self.tiers.iter().map(tier).collect::<Result<_, Refusal>>()?;
        Tiers::new(tiers).map_err(|error| Refusal::of("tiers", error))
    }

    fn by_unit(&self, tier: &DescribedTier) -> Option<Ratio> {
        self.in_minor(tier.unit.unwrap_or(Ratio::ZERO))
    }

    fn by_rate(&self, tier: &DescribedTier) -> Option<Ratio> {
        tier.rate_percent?.percent()
    }

    /// A sum of money is a quantity too, for those who take a part of it.
    fn counts_money(&self) -> bool {
        ["percentage", "graduated_percentage"].contains(&self.model.as_str())
    }

    fn quantity(&self, written: Ratio) -> Result<Ratio, Refusal> {
        let quantity = if self.counts_money() { self.in_minor(written) } else { Some(written) };
        counted(quantity, "quantity")
    }

    fn in_minor(&self, price: Ratio) -> Option<Ratio> {
        price.times(self.unit())
    }

    /// How many minor units one is that is written.
    fn unit(&self) -> Ratio {
        self.currency.filter(|_| self.in_major).map_or(Ratio::ONE, Currency::unit)
    }

    /// As the case writes.
    fn tell(&self, exact: Ratio) -> Value {
        exact.over(self.unit()).map_or(Value::Null, |told| json!(told))
    }
}

fn unpriced(error: Unpriced) -> Refusal {
    let name = match error {
        Unpriced::InvalidQuantity => "invalid_quantity",
        Unpriced::TooExpensive => "too_expensive",
    };
    Refusal::named("quantity", name, error)
}

fn price(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        #[serde(default, alias = "total", alias = "units", deserialize_with = "exact_or_none")]
        quantity: Option<Ratio>,
        #[serde(default)]
        events: u64,
    }
    let (described, input) = (Described::of(case), case.input());
    let (described, input): (_, Input) = (described?, input?);
    let quantity = input.quantity.ok_or_else(|| Refusal::of("quantity", "missing"))?;
    let (tariff, used) =
        (described.tariff(case)?, Used { quantity: described.quantity(quantity)?, events: input.events });
    // With Lago who has used nothing is in no tier by volume, and pays no flat fee; with the rest he is in the first.
    let is_by_volume = matches!(tariff.model, Model::Volume { .. });
    let is_in_none = case.rules() == Rules::Lago && is_by_volume && used.quantity.is_zero();
    let model = if is_in_none { Model::Flat { price: Ratio::ZERO } } else { tariff.model };
    let tariff = Tariff { model, ..tariff };
    let lines = tariff.lines(used).map_err(unpriced)?;
    let amount = match described.currency {
        Some(currency) => Ratio::from(tariff.cost(used, currency).map_err(unpriced)?.minor),
        None => total(&lines).map_err(unpriced)?,
    };
    Ok(
        json!({ "amount": described.tell(amount), "lines": lines.iter().map(|it| described.tell(it.amount)).collect::<Vec<_>>() }),
    )
}

/// What each of several events costs beyond those before it.
fn price_sequence(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Event(#[serde(deserialize_with = "exact")] Ratio);
    #[derive(Deserialize)]
    struct Input {
        events: Vec<Event>,
    }
    let (described, input) = (Described::of(case), case.input());
    let (described, Input { events }) = (described?, input?);
    let model = described.tariff(case)?.model;
    let mut before: Option<Used> = None;
    let mut amounts = vec![];
    for Event(event) in events {
        let Used { quantity, events } = before.unwrap_or(Used::NOTHING);
        let quantity = counted(quantity.plus(described.quantity(event)?), "events")?;
        let now = Used { quantity, events: events + 1 };
        let lines = before.map_or_else(|| model.lines(now), |before| model.lines_since(before, now));
        amounts.push(described.tell(lines.and_then(|lines| total(&lines)).map_err(unpriced)?));
        before = Some(now);
    }
    Ok(json!({ "amounts": amounts }))
}

/// Tiers of one unit as Kill Bill writes them: `1..10@1,11..50@10,51..@100`.
fn written_tiers(text: &str) -> Result<Tiers, Refusal> {
    let tier = |part: &str| {
        let (range, price) = part.split_once('@')?;
        let (_, up_to) = range.split_once("..")?;
        let up_to = if up_to.is_empty() { None } else { Some(up_to.parse().ok()?) };
        Some(Tier { up_to, unit: price.parse().ok()?, flat: Ratio::ZERO })
    };
    let tiers = text.split(',').map(|part| tier(part.trim())).collect::<Option<Vec<_>>>();
    let tiers = tiers.ok_or_else(|| Refusal::of("tiers", format!("`{text}` are no tiers such as `1..10@1,11..@2`")))?;
    Tiers::new(tiers).map_err(|error| Refusal::of("tiers", error))
}

#[derive(Deserialize)]
struct Units(#[serde(deserialize_with = "exact")] Ratio);

fn price_multi(case: &Case, model: fn(Tiers) -> Model) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        units: BTreeMap<String, Units>,
        tiers: BTreeMap<String, String>,
    }
    let Input { units, tiers } = case.input()?;
    let mut sum = Ratio::ZERO;
    for (unit, Units(quantity)) in units {
        let lines = model(tiers_of(&tiers, &unit)?).lines(Used::units(quantity)).map_err(unpriced)?;
        sum = counted(sum.plus(total(&lines).map_err(unpriced)?), "units")?;
    }
    Ok(json!({ "amount": sum }))
}

fn tiers_of(tiers: &BTreeMap<String, String>, unit: &str) -> Result<Tiers, Refusal> {
    let written = tiers.get(unit).ok_or_else(|| Refusal::of("tiers", format!("there are none of `{unit}`")))?;
    written_tiers(written)
}

fn price_multi_top_tier(case: &Case) -> Answer {
    price_multi(case, |tiers| Model::Volume { tiers })
}

fn price_multi_all_tiers(case: &Case) -> Answer {
    price_multi(case, all_tiers)
}

fn all_tiers(tiers: Tiers) -> Model {
    Model::Graduated { tiers, beyond: Beyond::Refused }
}

/// Usage of which an earlier part has been billed: what is billed now, and by which tiers.
fn price_delta_multi(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        already: BTreeMap<String, Units>,
        total: BTreeMap<String, Units>,
        tiers: Option<BTreeMap<String, String>>,
    }
    let input: Input = case.input()?;
    let tiers = input.tiers.ok_or_else(|| Refusal::untold("the case does not say what a unit costs (`tiers`)"))?;
    let (mut delta, mut told) = (Ratio::ZERO, Map::new());
    for (unit, Units(quantity)) in &input.total {
        let before = input.already.get(unit).map_or(Ratio::ZERO, |Units(before)| *before);
        let model = all_tiers(tiers_of(&tiers, unit)?);
        let lines = model.lines_since(Used::units(before), Used::units(*quantity)).map_err(unpriced)?;
        for line in &lines {
            if let Part::Tier(number) = line.of {
                told.insert(format!("{unit}_t{number}"), json!(line.amount));
            }
        }
        delta = counted(delta.plus(total(&lines).map_err(unpriced)?), "total")?;
    }
    Ok(json!({ "delta": delta, "lines": told }))
}

//! A plan's price: which pricing model it is of, and what a period of so many costs.
//!
//! How a quantity becomes an amount is [`crate::pricing`]'s; here is how a
//! catalogue says it. A percentage is of what is metered: `overage` has it.

use super::Problems;
use crate::calendar::Interval;
use crate::money::{Currency, Money};
use crate::pricing::tiers::{Beyond, Tier, Tiers};
use crate::pricing::{Model, Tariff, Unpriced, Used};
use crate::ratio::Ratio;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PricingModel {
    /// One price whatever the quantity (CRM-based).
    Flat,
    /// The price is for one seat (agent-based).
    PerSeat,
    /// A prepaid bundle of tokens.
    Tokens,
    /// Each seat costs what the tier costs that it falls in.
    Graduated,
    /// Every seat costs what the tier of the last one costs.
    Volume,
    /// The price is for so many seats; a package that was begun is paid whole.
    Package,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub interval: Interval,
    /// For a period, a seat or a package, as the plan's pricing model is. Beside tiers: what a period costs besides
    /// them, which may be nothing.
    pub amount: Money,
    /// Whether the next period follows by itself; else the plan expires.
    pub recurring: bool,
    /// In ascending order, the last without an end: `graduated` and `volume` plans only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// How many a package is for: `package` plans only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_size: Option<u32>,
    /// The least that a period costs, add-ons aside, however few it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// The last seat that belongs to it. None: no end, which has to be
    /// written: a bound that was forgotten must not become none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub up_to: Option<u32>,
    /// For each seat.
    pub amount: Money,
    /// Once a period, when the quantity reaches the tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat: Option<Money>,
}

/// More than any price list has; they are kept with every subscription.
pub(super) const MOST_TIERS: usize = 20;

impl PricingModel {
    /// Whether the quantity decides what it costs; else it is sold once.
    pub fn is_by_quantity(self) -> bool {
        match self {
            Self::PerSeat | Self::Graduated | Self::Volume | Self::Package => true,
            Self::Flat | Self::Tokens => false,
        }
    }

    fn has_tiers(self) -> bool {
        match self {
            Self::Graduated | Self::Volume => true,
            Self::Flat | Self::PerSeat | Self::Tokens | Self::Package => false,
        }
    }
}

impl Price {
    /// One amount, for a period or a seat, and nothing else to it.
    pub fn plain(interval: Interval, amount: Money, recurring: bool) -> Self {
        Self { interval, amount, recurring, tiers: vec![], package_size: None, minimum: None }
    }

    pub fn is_plain(&self) -> bool {
        *self == Self::plain(self.interval, self.amount, self.recurring)
    }

    /// What a period costs of a plan of that `model`. Refused where the price is not one of such a plan.
    pub fn cost(&self, model: PricingModel, quantity: u32) -> Result<Money, Unpriced> {
        let tariff = self.tariff(model).ok_or(Unpriced::InvalidQuantity)?;
        tariff.cost(Used::units(quantity.into()), self.amount.currency)
    }

    fn tariff(&self, model: PricingModel) -> Option<Tariff> {
        use PricingModel::{Flat, Graduated, Package, PerSeat, Tokens, Volume};

        let amount = self.minor(self.amount)?;
        let model = match (model, &self.tiers[..], self.package_size) {
            (Flat | Tokens, [], None) => Model::Flat { price: amount },
            (PerSeat, [], None) => Model::PerUnit { unit: amount },
            (Package, [], Some(size)) => Model::Package { size: size.into(), price: amount, free: Ratio::ZERO },
            // The first tier is entered by everyone, and of a volume just one is.
            (Graduated, [_, ..], None) => {
                Model::Graduated { tiers: self.tiers(amount, Ratio::ZERO)?, beyond: Beyond::Refused }
            }
            (Volume, [_, ..], None) => Model::Volume { tiers: self.tiers(amount, amount)? },
            (Flat | Tokens | PerSeat | Package | Graduated | Volume, ..) => return None,
        };
        let minimum = match self.minimum {
            Some(minimum) => Some(self.minor(minimum)?),
            None => None,
        };
        Some(Tariff { model, minimum })
    }

    /// The tiers, with what is charged besides them as a part of the fee of the first, and of the others.
    fn tiers(&self, with_first: Ratio, with_others: Ratio) -> Option<Tiers> {
        let besides = |at| if at == 0 { with_first } else { with_others };
        tiers(&self.tiers, self.amount.currency, Ratio::ONE, besides)
    }

    fn minor(&self, money: Money) -> Option<Ratio> {
        minor(money, self.amount.currency)
    }

    pub(super) fn check(&self, model: PricingModel, field: &str, found: &mut Problems) {
        let earlier = found.list.len();
        let least = if model.has_tiers() { 0 } else { 1 };
        let currency = self.amount.currency;
        found.amount(self.amount, least, currency, &format!("{field}.amount"));
        if let Some(minimum) = self.minimum {
            found.amount(minimum, 1, currency, &format!("{field}.minimum"));
        }
        match (model == PricingModel::Package, self.package_size) {
            (true, None | Some(0)) => {
                found.add(&format!("{field}.package_size"), "a package is for at least 1".to_owned());
            }
            (false, Some(_)) => {
                found.add(&format!("{field}.package_size"), "only a `package` plan has packages".to_owned());
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.check_tiers(model, field, found);
        if model.has_tiers() && found.list.len() == earlier {
            self.check_starts(model, field, found);
        }
    }

    fn check_tiers(&self, model: PricingModel, field: &str, found: &mut Problems) {
        let tiers = format!("{field}.tiers");
        match (model.has_tiers(), self.tiers.len()) {
            (true, 0) => found.add(&tiers, "a `graduated` or `volume` plan has at least one tier".to_owned()),
            (false, 1..) => found.add(&tiers, "only a `graduated` or `volume` plan has tiers".to_owned()),
            (true, 1..=MOST_TIERS) | (false, 0) => {}
            (true, _) => found.add(&tiers, format!("there are at most {MOST_TIERS} tiers")),
        }
        let mut below = Some(0);
        for (n, tier) in self.tiers.iter().enumerate() {
            let (tiers, is_last) = (format!("{tiers}[{n}]"), n + 1 == self.tiers.len());
            match (tier.up_to, below) {
                (None, _) if !is_last => {
                    found.add(&format!("{tiers}.up_to"), "only the last tier has no end".to_owned());
                }
                (Some(_), _) if is_last => {
                    found.add(&format!("{tiers}.up_to"), "the last tier has no end: `null`".to_owned());
                }
                (Some(up_to), Some(below)) if up_to <= below => {
                    found.add(&format!("{tiers}.up_to"), format!("must be more than the {below} below it"));
                }
                (Some(_) | None, _) => {}
            }
            below = tier.up_to;
            found.amount(tier.amount, 0, self.amount.currency, &format!("{tiers}.amount"));
            if let Some(flat) = tier.flat {
                found.amount(flat, 0, self.amount.currency, &format!("{tiers}.flat"));
            }
        }
    }

    /// Nothing cannot be charged: the first quantity of every tier, and so each of its others, costs something.
    fn check_starts(&self, model: PricingModel, field: &str, found: &mut Problems) {
        let mut first = 1;
        for (n, tier) in self.tiers.iter().enumerate() {
            match self.cost(model, first) {
                Ok(cost) if cost.minor > 0 => {}
                Ok(_) => found.add(&format!("{field}.tiers[{n}]"), format!("a period for {first} would cost nothing")),
                Err(error) => found.add(&format!("{field}.tiers[{n}]"), error.to_string()),
            }
            first = tier.up_to.map_or(first, |up_to| up_to.saturating_add(1));
        }
    }
}

/// The tiers as they are reckoned with: their amounts are for `per` units, and `besides` is part of the fee of each, by its
/// place. None: one of them is not in `currency`, or they are out of order.
pub(super) fn tiers(
    tiers: &[PriceTier],
    currency: Currency,
    per: Ratio,
    besides: impl Fn(usize) -> Ratio,
) -> Option<Tiers> {
    let tier = |(at, tier): (usize, &PriceTier)| {
        let flat = tier.flat.map_or(Some(Ratio::ZERO), |flat| minor(flat, currency))?;
        let unit = minor(tier.amount, currency)?.over(per)?;
        Some(Tier { up_to: tier.up_to.map(Ratio::from), unit, flat: flat.plus(besides(at))? })
    };
    Tiers::new(tiers.iter().enumerate().map(tier).collect::<Option<_>>()?).ok()
}

/// None: it is of another currency.
fn minor(money: Money, currency: Currency) -> Option<Ratio> {
    (money.currency == currency).then(|| money.minor.into())
}

impl Problems {
    /// That `amount` is one of `currency`, and of `least` or more.
    pub(super) fn amount(&mut self, amount: Money, least: i64, currency: Currency, field: &str) {
        if amount.minor < least {
            self.add(&format!("{field}.minor"), format!("an amount is at least {least}"));
        }
        if amount.currency != currency {
            self.add(&format!("{field}.currency"), format!("the price is in {currency}"));
        }
    }
}

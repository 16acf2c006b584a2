//! Tiers: prices that change with the quantity.

use super::{Line, Part, Unpriced, nothing};
use crate::ratio::Ratio;
use serde::{Deserialize, Serialize};

/// Tiers in ascending order. The last may have no bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Tier>", into = "Vec<Tier>")]
pub struct Tiers(Vec<Tier>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last quantity that belongs to it. Of two tiers up to 100 and up to
    /// 200 the second has 100.5. None: no end, which has to be written: a bound
    /// that was forgotten must not become none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub up_to: Option<Ratio>,
    pub unit: Ratio,
    /// Charged once, when the tier is entered. The first tier is entered with
    /// nothing used: it is where a basic fee is put (Stripe, Lago, OpenMeter).
    #[serde(default = "nothing")]
    pub flat: Ratio,
}

/// What becomes of units beyond a last tier with a bound, where each unit is priced by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// So many are not for sale. Nothing is given away by an oversight in a catalogue.
    #[default]
    Refused,
    /// They cost nothing (Polar: the covered units are billed).
    Free,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tiers are one or more, each up to more than the one before, and only the last up to no end")]
pub struct DisorderedTiers;

impl Tiers {
    pub fn new(tiers: Vec<Tier>) -> Result<Self, DisorderedTiers> {
        let bounds = tiers.iter().map(|tier| tier.up_to).collect::<Vec<_>>();
        let ascending = bounds.windows(2).all(|pair| pair[0].is_some_and(|a| pair[1].is_none_or(|b| a < b)));
        let begins = bounds.first().is_some_and(|first| first.is_none_or(|it| it > Ratio::ZERO));
        if ascending && begins { Ok(Self(tiers)) } else { Err(DisorderedTiers) }
    }

    /// Which tier `quantity` is the last unit of.
    fn holding(&self, quantity: Ratio) -> Result<usize, Unpriced> {
        let holds = |tier: &Tier| tier.up_to.is_none_or(|most| quantity <= most);
        self.0.iter().position(holds).ok_or(Unpriced::InvalidQuantity)
    }

    pub(super) fn graduated(&self, quantity: Ratio, beyond: Beyond) -> Result<Vec<Line>, Unpriced> {
        let last = match (self.holding(quantity), beyond) {
            (Err(_), Beyond::Free) => self.0.len() - 1,
            (holding, Beyond::Free | Beyond::Refused) => holding?,
        };
        let mut below = Ratio::ZERO;
        let mut lines = vec![];
        for (at, tier) in self.0.iter().enumerate().take(last + 1) {
            let most = tier.up_to.map_or(quantity, |most| most.min(quantity));
            lines.extend(tier.lines(at + 1, most.minus(below))?);
            below = most;
        }
        Ok(lines)
    }

    pub(super) fn volume(&self, quantity: Ratio) -> Result<Vec<Line>, Unpriced> {
        let at = self.holding(quantity)?;
        Ok(self.0[at].lines(at + 1, Some(quantity))?.into())
    }
}

impl Tier {
    fn lines(self, number: usize, units: Option<Ratio>) -> Result<[Line; 2], Unpriced> {
        let units = units.and_then(|units| units.times(self.unit)).ok_or(Unpriced::TooExpensive)?;
        Ok([Line { of: Part::Tier(number), amount: units }, Line { of: Part::TierFee(number), amount: self.flat }])
    }
}

impl TryFrom<Vec<Tier>> for Tiers {
    type Error = DisorderedTiers;

    fn try_from(tiers: Vec<Tier>) -> Result<Self, DisorderedTiers> {
        Self::new(tiers)
    }
}

impl From<Tiers> for Vec<Tier> {
    fn from(tiers: Tiers) -> Self {
        tiers.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_out_of_order_are_none() {
        let lists = [
            "[]",
            r#"[{"unit": "1"}]"#,
            r#"[{"up_to": "0", "unit": "1"}]"#,
            r#"[{"up_to": null, "unit": "1"}, {"up_to": "5", "unit": "1"}]"#,
            r#"[{"up_to": "5", "unit": "1"}, {"up_to": "5", "unit": "1"}]"#,
        ];
        for list in lists {
            assert!(serde_json::from_str::<Tiers>(list).is_err(), "{list}");
        }
    }

    #[test]
    fn tiers_are_written_as_they_are_read() {
        let list = r#"[{"up_to":"5","unit":"7","flat":"1"},{"up_to":null,"unit":"6.5","flat":"0"}]"#;
        let tiers: Tiers = serde_json::from_str(list).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(serde_json::to_string(&tiers).ok().as_deref(), Some(list));
    }
}

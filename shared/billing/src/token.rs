//! Tokens: what a customer has paid for before, and uses up.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What is left of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Switched off by staff, or cancelled: then nothing of it can be used.
    pub is_active: bool,
    pub tokens_remaining: u64,
    /// The last day on which it can be used. None: it lasts until it is used up.
    pub end_date: Option<Date>,
}

impl Bundle {
    /// Whether it can be used on `today`, a date in the customer's time zone: PRODUCT 11.
    pub fn is_usable(self, today: Date) -> bool {
        self.is_active && self.tokens_remaining > 0 && self.end_date.is_none_or(|end| today <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_bundle_is_used_while_something_is_left_and_through_its_last_day() {
        let cases = [
            (true, 1, Some(date(2025, 1, 31)), true),
            (true, 1, Some(date(2025, 1, 30)), false),
            (true, 1, None, true),
            (true, 0, None, false),
            (false, 1, None, false),
        ];
        for (is_active, tokens_remaining, end_date, expected) in cases {
            let bundle = Bundle { is_active, tokens_remaining, end_date };
            assert_eq!(bundle.is_usable(date(2025, 1, 31)), expected, "{bundle:?}");
        }
    }
}

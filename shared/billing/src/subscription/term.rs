//! Where a subscription stands in its periods.

use crate::calendar::zone::Zone;
use crate::calendar::{Interval, Period};
use crate::catalog::Price;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The period that is paid for, counted from when the first one began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    pub anchor: Timestamp,
    pub index: u32,
    /// The index of the period that begins at `anchor`: a change of interval begins to count anew, and no period's
    /// number is used twice.
    #[serde(default)]
    pub since: u32,
    /// When this period ends, if that is not for the interval to say: a trial, or one that was paused or extended. Then
    /// it begins at `anchor`, and what follows is counted from its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Term {
    /// The first, from `anchor` on.
    pub fn first(anchor: Timestamp) -> Self {
        Self { anchor, index: 0, since: 0, until: None }
    }

    /// With days and months as they are counted in `zone`.
    pub fn period(self, interval: Interval, zone: &TimeZone) -> Period {
        if let Some(end) = self.until {
            return Period { start: self.anchor, end };
        }
        Period::nth(self.anchor, interval, self.index.saturating_sub(self.since), zone)
    }

    /// The one after it, of the same interval.
    pub(super) fn next(self) -> Self {
        Self { index: self.index + 1, ..self }
    }

    /// The one after it, which begins at `anchor`, as do all that follow.
    pub(super) fn anew(self, anchor: Timestamp) -> Self {
        Self { anchor, index: self.index + 1, since: self.index + 1, until: None }
    }

    /// The same, bought for `price`. What does not renew is used through its last day: PRODUCT 11.
    pub(super) fn bought(self, price: &Price, zone: &Zone) -> Self {
        if price.recurring {
            return self;
        }
        let period = self.period(price.interval, zone);
        self.lasting(Period { end: zone.end_of_day(period.end), ..period })
    }

    /// The same, lasting as `period` says.
    pub(super) fn lasting(self, period: Period) -> Self {
        Self { anchor: period.start, since: self.index, until: Some(period.end), ..self }
    }
}

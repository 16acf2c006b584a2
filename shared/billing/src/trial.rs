//! Trials: the days at the start of a subscription in which a customer finds
//! out whether they want it.

use crate::calendar::{Interval, Period};
use crate::id::MethodId;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// How long a trial is whose plan says nothing else: PRODUCT 9.
pub const DEFAULT_DAYS: u16 = 14;

/// How many days before its end the customer is told (Stripe: `trial_will_end`).
const REMINDER_DAYS: u16 = 3;

/// What a plan has to offer of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialOffer {
    #[serde(default = "default_days")]
    pub days: u16,
    /// It begins for nobody who has left no payment method.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub method_required: bool,
}

fn default_days() -> u16 {
    DEFAULT_DAYS
}

/// As a plan was stored before there was more to say of a trial than its days, or since.
pub(crate) fn stored<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TrialOffer>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Days(u16),
        Offer(TrialOffer),
    }

    let stored = Option::<Stored>::deserialize(from)?;
    Ok(stored.map(|it| match it {
        Stored::Days(days) => TrialOffer { days, method_required: false },
        Stored::Offer(offer) => offer,
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    pub start: Timestamp,
    /// On the customer's calendar, from the start: another number of days extends or shortens the trial, never
    /// begins it anew.
    pub days: u16,
    pub kind: Kind,
    /// When it ends, if that is not for the days to say: somebody of the SaaS has moved the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Billing begins when it is over, and periods are counted from its end.
    Free,
    /// Billing begins with it, and takes no notice of its end (Meteroid).
    Paid,
}

/// What it takes to go on after a free trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing: the first invoice is written, and dunned for if it cannot be collected.
    OnStart,
    /// A payment method that the customer has left.
    OnCheckout,
}

/// What becomes of a subscription when its trial is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Active,
    /// Nothing was ever invoiced.
    Expired,
}

impl Trial {
    /// The first instant that does not belong to it, at the hour of its start.
    pub fn ends_at(self, zone: &TimeZone) -> Timestamp {
        self.until.unwrap_or_else(|| Period::nth(self.start, Interval::Days(self.days), 0, zone).end)
    }

    pub fn is_running(self, at: Timestamp, zone: &TimeZone) -> bool {
        self.start <= at && at < self.ends_at(zone)
    }

    /// At the hour of its end, and not before it starts, however short it is.
    pub fn reminder_at(self, zone: &TimeZone) -> Timestamp {
        let Some(end) = self.until else {
            return self.lasting(self.days.saturating_sub(REMINDER_DAYS)).ends_at(zone);
        };
        let before = end.to_zoned(zone.clone()).checked_sub(Span::new().days(i64::from(REMINDER_DAYS)));
        before.map_or(self.start, |before| before.timestamp().max(self.start))
    }

    /// Of so many days instead, as another plan has them or as staff grant them (Lago: counted from the start).
    #[must_use]
    pub fn lasting(self, days: u16) -> Self {
        Self { days, until: None, ..self }
    }

    /// To end then instead.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        Self { until: Some(end), ..self }
    }

    /// What the periods are counted from, seen at `now`: who is on a trial that was over before is billed at once.
    pub fn anchor(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.kind {
            Kind::Free => self.ends_at(zone).max(now),
            Kind::Paid => self.start,
        }
    }

    /// When invoices are written by the `interval`, the first and all until `until`, which is among them.
    pub fn invoices(self, interval: Interval, until: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let anchor = self.anchor(self.start, zone);
        let mut last = None;
        let starts = (0..).map(move |index| Period::nth(anchor, interval, index, zone).start);
        // Beyond the calendar the boundaries no longer move.
        starts.take_while(move |start| *start <= until && last.replace(*start) != Some(*start))
    }

    /// What follows on its end for a customer of whom `method` could be charged.
    pub fn ended(self, activation: Activation, method: Option<&MethodId>) -> Ended {
        match (self.kind, activation) {
            (Kind::Free, Activation::OnCheckout) if method.is_none() => Ended::Expired,
            (Kind::Free | Kind::Paid, Activation::OnStart | Activation::OnCheckout) => Ended::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::method;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn trial(days: u16, kind: Kind) -> Trial {
        Trial { start: at("2025-03-20T10:00:00Z"), days, kind, until: None }
    }

    #[test]
    fn a_trial_lasts_whole_days_of_the_customer() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap_or_else(|error| panic!("{error}"));
        let trial = trial(DEFAULT_DAYS, Kind::Free);
        // The clocks are put forward on the 30th: eleven o'clock comes an hour earlier.
        assert_eq!(
            (trial.ends_at(&TimeZone::UTC), trial.ends_at(&berlin)),
            (at("2025-04-03T10:00:00Z"), at("2025-04-03T09:00:00Z"))
        );
        let inside = ["2025-03-20T09:59:59Z", "2025-03-20T10:00:00Z", "2025-04-03T09:59:59Z", "2025-04-03T10:00:00Z"];
        assert_eq!(inside.map(|now| trial.is_running(at(now), &TimeZone::UTC)), [false, true, true, false]);
    }

    #[test]
    fn the_reminder_comes_three_days_before_the_end_and_not_before_the_start() {
        assert_eq!(trial(14, Kind::Free).reminder_at(&TimeZone::UTC), at("2025-03-31T10:00:00Z"));
        assert_eq!(trial(2, Kind::Free).reminder_at(&TimeZone::UTC), at("2025-03-20T10:00:00Z"));
    }

    #[test]
    fn another_number_of_days_is_counted_from_the_same_start() {
        let now = at("2025-03-27T10:00:00Z");
        let anchor = |days| trial(10, Kind::Free).lasting(days).anchor(now, &TimeZone::UTC);
        assert_eq!(anchor(13), at("2025-04-02T10:00:00Z"));
        // Where an end was named, the days count again.
        let named = trial(10, Kind::Free).until(at("2025-05-01T10:00:00Z")).lasting(13);
        assert_eq!(named.anchor(now, &TimeZone::UTC), at("2025-04-02T10:00:00Z"));
        // It was over before the change: billed at once, not in the past.
        assert_eq!(anchor(5), now);
    }

    #[test]
    fn a_paid_trial_is_billed_from_its_start_and_a_free_one_from_its_end() {
        let dates = |kind| {
            let (zone, until) = (TimeZone::UTC, at("2025-05-27T10:00:00Z"));
            trial(7, kind)
                .invoices(Interval::Month, until, &zone)
                .map(|at| at.to_string()[..10].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(dates(Kind::Paid), ["2025-03-20", "2025-04-20", "2025-05-20"]);
        assert_eq!(dates(Kind::Free), ["2025-03-27", "2025-04-27", "2025-05-27"]);
    }

    #[test]
    fn who_has_left_no_method_is_not_billed_after_a_trial_that_asks_for_one() {
        let (free, paid) = (trial(7, Kind::Free), trial(7, Kind::Paid));
        let method = method("AUTH_1").id();
        assert_eq!(free.ended(Activation::OnCheckout, None), Ended::Expired);
        assert_eq!(free.ended(Activation::OnCheckout, Some(&method)), Ended::Active);
        assert_eq!(free.ended(Activation::OnStart, None), Ended::Active);
        assert_eq!(paid.ended(Activation::OnCheckout, None), Ended::Active);
    }

    #[test]
    fn the_end_of_time_ends_a_trial_and_its_invoices() {
        let late = Trial { start: Timestamp::MAX, days: u16::MAX, kind: Kind::Free, until: None };
        assert_eq!(late.ends_at(&TimeZone::UTC), Timestamp::MAX);
        assert_eq!(late.invoices(Interval::Days(1), Timestamp::MAX, &TimeZone::UTC).count(), 1);
    }
}

//! On whose clock a customer's days, months and hours are counted. A *zone* is
//! a time zone of the IANA database, and always one that has a name there.
//!
//! It comes from the database that is compiled in, never from the machine's own:
//! so every worker counts alike. Each zone's rules are read once a process.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// On the wire its name: `Africa/Lagos`. Two are the same if they are named the same. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time zone: expected a name of the IANA database, such as `Africa/Lagos`")]
pub struct UnknownZone(String);

impl Zone {
    /// Whose customers have named none.
    pub const UTC: Self = Self(TimeZone::UTC);

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or_default()
    }

    /// What its clocks show then.
    pub fn clocks(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.0.clone())
    }

    /// When the day is over there that `at` falls into; beyond the calendar, its end.
    pub fn end_of_day(&self, at: Timestamp) -> Timestamp {
        let tomorrow = self.clocks(at).tomorrow().and_then(|then| then.start_of_day());
        tomorrow.map_or(Timestamp::MAX, |then| then.timestamp())
    }

    /// Left out of what is stored: so was every zone before there was another.
    pub(crate) fn is_utc(&self) -> bool {
        *self == Self::UTC
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

/// To count with.
impl Deref for Zone {
    type Target = TimeZone;

    fn deref(&self) -> &TimeZone {
        &self.0
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    /// However its letters are cased: it is written as the database has it.
    fn try_from(name: String) -> Result<Self, UnknownZone> {
        // These two are in the database and say of a clock that nobody has set it.
        let unset = |zone: &TimeZone| zone.is_unknown() || zone.iana_name() == Some("Factory");
        let found = TimeZoneDatabase::bundled().get(&name).ok();
        found.filter(|zone| !unset(zone) && zone.iana_name().is_some()).map(Self).ok_or(UnknownZone(name))
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Interval, Period};
    use crate::testing::{instant, zone};

    /// Where a period that began at `anchor` ends, and the one after it.
    fn ends(name: &str, anchor: &str, interval: Interval) -> [String; 2] {
        [0, 1].map(|index| Period::nth(instant(anchor), interval, index, &zone(name)).end.to_string())
    }

    #[test]
    fn a_period_ends_at_the_hour_of_its_start_on_its_customers_clock() {
        use Interval::{Days, Weeks};
        const MONTH: Interval = Interval::Month;
        let cases = [
            // Half past midnight on the 1st, an hour ahead of UTC: there it is the 31st still, and the 28th after that.
            ("Africa/Lagos", "2025-02-28T23:30:00Z", MONTH, ["2025-03-31T23:30:00Z", "2025-04-30T23:30:00Z"]),
            ("UTC", "2025-02-28T23:30:00Z", MONTH, ["2025-03-28T23:30:00Z", "2025-04-28T23:30:00Z"]),
            // At two in the morning of the 31st.
            ("Asia/Tbilisi", "2025-01-30T22:00:00Z", MONTH, ["2025-02-27T22:00:00Z", "2025-03-30T22:00:00Z"]),
            // At noon: the clocks are put forward on 9 March, and back on 2 November.
            ("America/New_York", "2025-02-10T17:00:00Z", MONTH, ["2025-03-10T16:00:00Z", "2025-04-10T16:00:00Z"]),
            ("America/New_York", "2025-10-10T16:00:00Z", MONTH, ["2025-11-10T17:00:00Z", "2025-12-10T17:00:00Z"]),
            // Half past two, which 9 March does not have, and half past one, which 2 November has twice.
            ("America/New_York", "2025-03-08T07:30:00Z", Days(1), ["2025-03-09T07:30:00Z", "2025-03-10T06:30:00Z"]),
            ("America/New_York", "2025-11-01T05:30:00Z", Days(1), ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]),
            // Put back by half an hour on 6 April.
            ("Australia/Lord_Howe", "2025-03-31T01:00:00Z", Weeks(1), ["2025-04-07T01:30:00Z", "2025-04-14T01:30:00Z"]),
            // The first place to have a day: at nine on the 31st it is the 30th in UTC.
            ("Pacific/Kiritimati", "2025-01-30T19:00:00Z", MONTH, ["2025-02-27T19:00:00Z", "2025-03-30T19:00:00Z"]),
            // It had no 30 December 2011: a week is six days long, and a month that would end then ends the day after.
            ("Pacific/Apia", "2011-12-26T20:00:00Z", Weeks(1), ["2012-01-01T20:00:00Z", "2012-01-08T20:00:00Z"]),
            ("Pacific/Apia", "2011-11-30T20:00:00Z", MONTH, ["2011-12-30T20:00:00Z", "2012-01-29T20:00:00Z"]),
            // 29 February at 23:00 is the 1st of March in UTC.
            (
                "America/New_York",
                "2024-03-01T04:00:00Z",
                Interval::Year,
                ["2025-03-01T04:00:00Z", "2026-03-01T04:00:00Z"],
            ),
        ];
        for (name, anchor, interval, expected) in cases {
            assert_eq!(ends(name, anchor, interval), expected, "{name} {anchor} {interval}");
        }
    }

    #[test]
    fn a_day_is_over_when_the_next_one_begins_where_it_is_counted() {
        let cases = [
            ("UTC", "2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z"),
            ("UTC", "2025-01-31T23:59:59Z", "2025-02-01T00:00:00Z"),
            ("Africa/Lagos", "2025-01-31T23:30:00Z", "2025-02-01T23:00:00Z"),
            // Days of 23 and of 25 hours, and one whose midnight is skipped.
            ("America/New_York", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"),
            ("America/New_York", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),
            ("Africa/Cairo", "2025-04-24T10:00:00Z", "2025-04-24T22:00:00Z"),
            // There was no 30 December 2011.
            ("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z"),
            ("UTC", "9999-12-30T22:00:00Z", "9999-12-30T22:00:00.999999999Z"),
        ];
        for (name, at, over) in cases {
            assert_eq!(zone(name).end_of_day(instant(at)), instant(over), "{name} {at}");
        }
    }

    #[test]
    fn a_zone_is_one_that_the_database_names() {
        for name in ["Africa/Lagos", "America/Argentina/Ushuaia", "Etc/GMT-14", "CET", "UTC"] {
            assert_eq!(zone(name).name(), name);
            assert_eq!(format!("{:?}", zone(name)), format!("Zone({name})"));
        }
        assert_eq!(zone("asia/TBILISI"), zone("Asia/Tbilisi"));
        let unknown =
            ["", " ", "Mars/Olympus", "+01:00", "EST5EDT4", "Etc/Unknown", "Factory", "Africa/Lagos ", "../UTC"];
        for name in unknown {
            assert!(Zone::try_from(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_zone_is_stored_by_its_name() {
        let written = serde_json::to_string(&zone("Asia/Tbilisi")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(written, r#""Asia/Tbilisi""#);
        assert_eq!(serde_json::from_str::<Zone>(&written).ok(), Some(zone("Asia/Tbilisi")));
        let refused = serde_json::from_str::<Zone>(r#""Mars/Olympus""#).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("`Mars/Olympus` is not a time zone")));
    }
}

//! Dates for certificates: days since 1970 and the UTCTime they are written as.

use std::time::{SystemTime, UNIX_EPOCH};

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(i64);

impl Day {
    pub(crate) fn today() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Self(i64::try_from(now.as_secs() / 86_400).expect("a day fits"))
    }

    /// January the first, `years` before or after this day's year.
    pub(crate) fn new_year(self, years: i64) -> Self {
        Self(days_before_year(self.civil().0 + years))
    }

    pub(crate) fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// `YYMMDDhhmmssZ`, with the last second of the day when `end` is set.
    pub(crate) fn utc_time(self, end: bool) -> String {
        let (year, month, day) = self.civil();
        let time = if end { "235959" } else { "000000" };
        format!("{:02}{month:02}{day:02}{time}Z", year % 100)
    }

    fn civil(self) -> (i64, u32, i64) {
        let mut year = 1970 + self.0 / 366;
        while days_before_year(year + 1) <= self.0 {
            year += 1;
        }
        let mut rest = self.0 - days_before_year(year);
        let february = if is_leap(year) { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if rest < length {
                break;
            }
            rest -= length;
            month += 1;
        }
        (year, month, rest + 1)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1970-01-01 to January the first of `year`.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    let leaps = past / 4 - past / 100 + past / 400;
    (year - 1970) * 365 + leaps - 477
}

#[cfg(test)]
mod tests {
    use super::Day;

    #[test]
    fn days_become_dates() {
        assert_eq!(Day(0).utc_time(false), "700101000000Z");
        assert_eq!(Day(11_016).utc_time(false), "000229000000Z");
        assert_eq!(Day(20_819).utc_time(true), "270101235959Z");
        assert_eq!(Day(20_818).utc_time(true), "261231235959Z");
        assert_eq!(Day(20_778).new_year(1).utc_time(false), "270101000000Z");
    }
}

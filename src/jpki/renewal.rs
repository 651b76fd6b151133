//! From when a certificate can be renewed at the municipal office.

use std::time::{SystemTime, UNIX_EPOCH};

use super::certificate::{Certificate, Date};

/// How long before its end a certificate can be renewed, by how long it is valid: three months
/// (jpki.go.jp, 電子証明書の有効期間と失効). Cards planned for 2028, with certificates of ten years,
/// are to have a whole year.
const WINDOWS: [Window; 2] =
    [Window { longest_years: 6, months: 3 }, Window { longest_years: u16::MAX, months: 12 }];

/// One row of the table.
struct Window {
    /// The most years of a certificate's lifetime for which this row holds.
    longest_years: u16,
    /// How many months before its end the certificate can be renewed.
    months: u16,
}

/// Where a certificate stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is valid, and it is too early to renew it. So is one that begins later.
    Valid,
    /// It is valid, and can be renewed.
    Renewable,
    /// It has expired.
    Expired,
}

/// The time, in seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
}

impl Certificate {
    /// How many months before its end it can be renewed.
    #[must_use]
    pub fn renewal_months(&self) -> u16 {
        let years = self.not_after().year.saturating_sub(self.not_before().year);
        let row = WINDOWS.iter().find(|window| years <= window.longest_years);
        row.map_or(0, |window| window.months)
    }

    /// The first day on which it can be renewed.
    #[must_use]
    pub fn renewable_from(&self) -> Date {
        self.not_after().months_earlier(self.renewal_months())
    }

    /// Where it stands at a time, in seconds since 1970.
    #[must_use]
    pub fn phase(&self, now: i64) -> Phase {
        if now > self.expires() {
            Phase::Expired
        } else if Date::in_japan(now).is_some_and(|today| today >= self.renewable_from()) {
            Phase::Renewable
        } else {
            Phase::Valid
        }
    }

    /// How many whole days of its validity are left at a time; negative when it has expired.
    #[must_use]
    pub fn days_left(&self, now: i64) -> i64 {
        self.expires().saturating_sub(now).div_euclid(24 * 60 * 60)
    }
}

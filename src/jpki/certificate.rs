//! What PKCS#11 needs of a certificate (RFC 5280).
//!
//! The bytes come from the card and are not trusted: a certificate that cannot be parsed is no
//! certificate, one with a key of an unknown kind has no key.

use std::fmt;

use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

use super::key::PublicKey;

/// A certificate of the card. `Debug` prints none of it, and it is wiped when dropped: the
/// signature certificate is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Zeroizing<Vec<u8>>,
    subject: Zeroizing<Vec<u8>>,
    issuer: Zeroizing<Vec<u8>>,
    serial_number: Zeroizing<Vec<u8>>,
    public_key_info: Zeroizing<Vec<u8>>,
    public_key: Option<PublicKey>,
    not_before: Date,
    not_after: Date,
    expires: i64,
}

/// A calendar date: UTC in a certificate, Japan's where [`Date::in_japan`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year, 0–9999.
    pub year: u16,
    /// The month, 1–12.
    pub month: u8,
    /// The day, 1–31.
    pub day: u8,
}

impl Certificate {
    /// Reads a certificate. `None` when the bytes are none, or not exactly one.
    #[must_use]
    pub fn parse(der: Zeroizing<Vec<u8>>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() || !holds_three_elements(&der) {
            return None;
        }
        let fields = Self {
            subject: parsed.subject().as_raw().to_vec().into(),
            issuer: parsed.issuer().as_raw().to_vec().into(),
            serial_number: integer(parsed.raw_serial())?.into(),
            public_key_info: parsed.public_key().raw.to_vec().into(),
            public_key: match parsed.public_key().parsed() {
                Ok(ParsedKey::RSA(key)) => PublicKey::new(key.modulus, key.exponent),
                _ => None,
            },
            not_before: Date::from(parsed.validity().not_before)?,
            not_after: Date::from(parsed.validity().not_after)?,
            expires: parsed.validity().not_after.timestamp(),
            der: Zeroizing::default(),
        };
        Some(Self { der, ..fields })
    }

    /// The whole certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's name, DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The issuer's name, DER.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The serial number as a DER INTEGER, with tag and length.
    #[must_use]
    pub fn serial_number(&self) -> &[u8] {
        &self.serial_number
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The key, when it is one this module can use.
    #[must_use]
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.public_key.as_ref()
    }

    /// The first day of its validity.
    #[must_use]
    pub fn not_before(&self) -> Date {
        self.not_before
    }

    /// The last day of its validity.
    #[must_use]
    pub fn not_after(&self) -> Date {
        self.not_after
    }

    /// The last second of its validity, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.expires
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Certificate of {} bytes", self.der.len())
    }
}

impl Date {
    /// How far the clocks of Japan are ahead of UTC, in seconds.
    const JAPAN: i64 = 9 * 60 * 60;

    /// The day in Japan, where the offices are, at a time in seconds since 1970.
    #[must_use]
    pub fn in_japan(time: i64) -> Option<Self> {
        ASN1Time::from_timestamp(time.checked_add(Self::JAPAN)?).ok().and_then(Self::from)
    }

    /// The same day so many months earlier, or the last one of that month where it is shorter.
    #[must_use]
    pub fn months_earlier(self, months: u16) -> Self {
        let all = u32::from(self.year) * 12 + u32::from(self.month) - 1;
        let earlier = all.saturating_sub(u32::from(months));
        let year = u16::try_from(earlier / 12).unwrap_or(self.year);
        let month = u8::try_from(earlier % 12 + 1).unwrap_or(self.month);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        Self { year, month, day: self.day.min(days) }
    }

    fn from(time: ASN1Time) -> Option<Self> {
        let date = time.to_datetime().date();
        Some(Self {
            year: u16::try_from(date.year()).ok().filter(|year| *year <= 9999)?,
            month: u8::from(date.month()),
            day: date.day(),
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Whether the certificate is its three elements and nothing after them: a header that says more
/// than there is would take in the file's filler, which the parser passes over.
fn holds_three_elements(der: &[u8]) -> bool {
    let Ok((_, certificate)) = Any::from_der(der) else { return false };
    let mut rest = certificate.data;
    for _ in 0..3 {
        let Ok((after, _)) = Any::from_der(rest) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// The content of an INTEGER with its tag and length put back. RFC 5280 allows 20 bytes; what a
/// card says is bounded where one length byte ends.
fn integer(content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len()).ok().filter(|length| (1..=127).contains(length))?;
    Some([&[0x02, length], content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn months_earlier_is_the_same_day_or_the_last_of_the_month() {
        assert_eq!(date(2030, 6, 15).months_earlier(3), date(2030, 3, 15));
        assert_eq!(date(2030, 1, 31).months_earlier(3), date(2029, 10, 31));
        assert_eq!(date(2030, 5, 31).months_earlier(3), date(2030, 2, 28));
        assert_eq!(date(2032, 5, 30).months_earlier(3), date(2032, 2, 29));
        assert_eq!(date(2036, 2, 29).months_earlier(12), date(2035, 2, 28));
        assert_eq!(date(0, 1, 1).months_earlier(3), date(0, 1, 1));
    }

    #[test]
    fn the_day_in_japan_begins_nine_hours_earlier() {
        assert_eq!(Date::in_japan(0), Some(date(1970, 1, 1)));
        assert_eq!(Date::in_japan(15 * 60 * 60 - 1), Some(date(1970, 1, 1)));
        assert_eq!(Date::in_japan(15 * 60 * 60), Some(date(1970, 1, 2)));
    }
}

//! The traits of a card by name, so that a command line can set them and a failed test can name
//! them.
//!
//! A profile is written as a name and then `+TRAIT=VALUE` for each trait that differs:
//! `full+isd=6A82+label=blank`. A status word is four hex digits.

use std::fmt;
use std::time::Duration;

use crate::behaviour::{EndOfFile, ExtendedLength, FileAnswer, LongRead, TriesQuery};
use crate::profile::{CertificateFile, CredentialProfile, Profile};
use crate::{Credential, aid};

/// A point in which cards differ.
#[derive(Clone, Copy, Debug)]
pub struct Trait {
    /// What it is called.
    pub name: &'static str,
    /// The values it takes, for people.
    pub values: &'static str,
    read: fn(&Profile) -> String,
    write: fn(&mut Profile, &str) -> Option<()>,
}

impl Trait {
    /// The trait called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        TRAITS.iter().find(|known| known.name == name)
    }

    /// The value the profile has.
    pub fn value(&self, profile: &Profile) -> String {
        (self.read)(profile)
    }

    /// Gives the profile this value.
    ///
    /// # Errors
    ///
    /// Names the values there are, when this is none of them.
    pub fn set(&self, profile: &mut Profile, value: &str) -> Result<(), String> {
        let wrong = || format!("{}={value}: expected {}", self.name, self.values);
        (self.write)(profile, value).ok_or_else(wrong)
    }

    /// Whether the profile differs from [`Profile::full`] here.
    pub fn deviates(&self, profile: &Profile) -> bool {
        self.value(profile) != self.value(&Profile::full())
    }
}

macro_rules! card_traits {
    ($($name:literal, $values:literal, $read:expr, $write:expr;)*) => {
        /// Every trait.
        pub const TRAITS: &[Trait] =
            &[$(Trait { name: $name, values: $values, read: $read, write: $write }),*];
    };
}

card_traits! {
    "ef-0006", "content, WORD, read-WORD or warning",
        |p| file_answer(p, 0x0006), |p, v| set_file_answer(p, 0x0006, v);
    "label", "text or blank", read_label, |p, v| {
        p.label = if v == "blank" { String::new() } else { v.into() };
        Some(())
    };
    "ef-0008", "content, WORD, read-WORD or warning",
        |p| file_answer(p, 0x0008), |p, v| set_file_answer(p, 0x0008, v);
    "ef-0008-content", "hex digits or none", read_availability, set_availability;
    "ef-000a", "content, WORD, read-WORD or warning",
        |p| file_answer(p, 0x000a), |p, v| set_file_answer(p, 0x000a, v);
    "authentication-certificate", "free or pin", read_privacy, set_privacy;
    "signature-certificate", "present, absent or filler", read_signature, set_signature;
    "pins", "AUTHENTICATION:SIGNATURE", read_pins, set_pins;
    "short-read", "yes, no-select or WORD", read_short_read, set_short_read;
    "short-sign", "yes or WORD",
        |p| taken(p.short_sign_refusal), |p, v| set_taken(&mut p.short_sign_refusal, v);
    "short-verify", "yes or WORD",
        |p| taken(p.short_verify_refusal), |p, v| set_taken(&mut p.short_verify_refusal, v);
    "p1", "digits or ignored", read_schemes, set_schemes;
    "p1-refusal", "WORD", |p| word(p.scheme_refusal), |p, v| set_word(&mut p.scheme_refusal, v);
    "pin-before-p1", "yes or no", |p| flag(p.pin_before_scheme), |p, v| set_flag(&mut p.pin_before_scheme, v);
    "wrong-input", "WORD", |p| word(p.wrong_input_status), |p, v| set_word(&mut p.wrong_input_status, v);
    "signature-waits", "yes or no", |p| flag(p.signature_waits), |p, v| set_flag(&mut p.signature_waits, v);
    "piece", "all or a number of bytes", read_piece, set_piece;
    "extended-length", "yes, WORD, cut, fails, mute or leaves-MILLISECONDS", read_extended, set_extended;
    "long-read", "yes, fails, 6Cxx or 6Cxx-6Cxx", read_long_read, set_long_read;
    "exact-length", "yes or no",
        |p| flag(p.insists_on_exact_length), |p, v| set_flag(&mut p.insists_on_exact_length, v);
    "end-of-file", "refusal, warning or silence", read_end, set_end;
    "first-command-fails", "yes or no",
        |p| flag(p.first_command_fails), |p, v| set_flag(&mut p.first_command_fails, v);
    "blocked", "WORD", |p| word(p.blocked_status), |p, v| set_word(&mut p.blocked_status, v);
    "blocked-query", "WORD",
        |p| word(p.blocked_query_status), |p, v| set_word(&mut p.blocked_query_status, v);
    "tries-query", "yes, unless-verified or WORD", read_query, set_query;
    "fifth-byte", "yes or WORD",
        |p| taken(p.fifth_byte_refusal), |p, v| set_taken(&mut p.fifth_byte_refusal, v);
    "isd", "yes or WORD", |p| application(p, aid::ISD), |p, v| set_application(p, aid::ISD, v);
    "long-isd", "yes or WORD",
        |p| application(p, aid::LONG_ISD), |p, v| set_application(p, aid::LONG_ISD, v);
    "surface-input", "yes or WORD",
        |p| application(p, aid::SURFACE_INPUT), |p, v| set_application(p, aid::SURFACE_INPUT, v);
    "common", "yes or WORD", |p| application(p, aid::COMMON), |p, v| set_application(p, aid::COMMON, v);
    "warm-reset-keeps", "yes or no",
        |p| flag(p.warm_reset_keeps_verified), |p, v| set_flag(&mut p.warm_reset_keeps_verified, v);
    "left-verified", "yes or no", |p| flag(p.left_verified), |p, v| set_flag(&mut p.left_verified, v);
}

impl Profile {
    /// The traits in which the profile differs from [`Profile::full`].
    pub fn deviations(&self) -> impl Iterator<Item = &'static Trait> {
        TRAITS.iter().filter(|known| known.deviates(self))
    }

    /// The profile that `text` describes: a name of [`Profile::by_name`], or `draw-SEED` for
    /// [`Profile::draw`], and then `+TRAIT=VALUE` for each trait to change.
    ///
    /// # Errors
    ///
    /// When there is no such profile, trait or value.
    pub fn described_by(text: &str) -> Result<Self, String> {
        let mut parts = text.split('+');
        let name = parts.next().unwrap_or_default();
        let drawn = name.strip_prefix("draw-").and_then(|seed| seed.parse().ok()).map(Self::draw);
        let named =
            || Self::all().into_iter().chain(Self::of_other_dates()).find(|profile| profile.name == name);
        let mut profile = drawn.or_else(named).ok_or_else(|| format!("no profile {name:?}"))?;
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} lacks its value"))?;
            let known = Trait::find(name).ok_or_else(|| format!("no trait {name:?}"))?;
            known.set(&mut profile, value)?;
        }
        profile.name = text.into();
        Ok(profile)
    }
}

/// `full+TRAIT=VALUE…`, only the deviations: what [`Profile::described_by`] takes.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("full")?;
        self.deviations().try_for_each(|known| write!(f, "+{}={}", known.name, known.value(self)))
    }
}

fn word(status: u16) -> String {
    format!("{status:04X}")
}

fn parse_word(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 16).ok().filter(|_| text.len() == 4)
}

fn set_word(field: &mut u16, text: &str) -> Option<()> {
    *field = parse_word(text)?;
    Some(())
}

fn flag(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

fn set_flag(field: &mut bool, text: &str) -> Option<()> {
    *field = match text {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(())
}

fn taken(refusal: Option<u16>) -> String {
    refusal.map_or_else(|| "yes".into(), word)
}

fn set_taken(field: &mut Option<u16>, text: &str) -> Option<()> {
    *field = if text == "yes" { None } else { Some(parse_word(text)?) };
    Some(())
}

fn file_answer(profile: &Profile, file: u16) -> String {
    match profile.file_answers.get(&file).copied().unwrap_or_default() {
        FileAnswer::Content => "content".into(),
        FileAnswer::Warning => "warning".into(),
        FileAnswer::Refused(status) => word(status),
        FileAnswer::ReadRefused(status) => format!("read-{status:04X}"),
    }
}

fn set_file_answer(profile: &mut Profile, file: u16, text: &str) -> Option<()> {
    let answer = match (text, text.strip_prefix("read-")) {
        ("content", _) => FileAnswer::Content,
        ("warning", _) => FileAnswer::Warning,
        (_, Some(status)) => FileAnswer::ReadRefused(parse_word(status)?),
        (status, None) => FileAnswer::Refused(parse_word(status)?),
    };
    profile.file_answers.insert(file, answer);
    Some(())
}

fn application(profile: &Profile, aid: &[u8]) -> String {
    taken(profile.refused_applications.get(aid).copied())
}

fn set_application(profile: &mut Profile, aid: &'static [u8], text: &str) -> Option<()> {
    let mut refusal = None;
    set_taken(&mut refusal, text)?;
    profile.refused_applications.remove(aid);
    profile.refused_applications.extend(refusal.map(|status| (aid, status)));
    Some(())
}

fn read_label(profile: &Profile) -> String {
    if profile.label.trim().is_empty() { "blank".into() } else { profile.label.clone() }
}

fn read_availability(profile: &Profile) -> String {
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    profile.availability.as_ref().map_or_else(|| "none".into(), hex)
}

fn set_availability(profile: &mut Profile, text: &str) -> Option<()> {
    profile.availability = if text == "none" {
        None
    } else {
        let pairs = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        Some(pairs.map(byte).collect::<Option<_>>().filter(|_| text.len() % 2 == 0)?)
    };
    Some(())
}

fn read_privacy(profile: &Profile) -> String {
    let is_private = profile.authentication.as_ref().is_some_and(|part| part.certificate_needs_pin);
    if is_private { "pin" } else { "free" }.into()
}

fn set_privacy(profile: &mut Profile, text: &str) -> Option<()> {
    profile.authentication.as_mut()?.certificate_needs_pin = match text {
        "pin" => true,
        "free" => false,
        _ => return None,
    };
    Some(())
}

fn read_signature(profile: &Profile) -> String {
    match profile.signature.as_ref().map(|part| &part.certificate) {
        None | Some(CertificateFile::Absent) => "absent",
        Some(CertificateFile::Filler) => "filler",
        Some(CertificateFile::Present | CertificateFile::Bytes(_)) => "present",
    }
    .into()
}

fn set_signature(profile: &mut Profile, text: &str) -> Option<()> {
    profile.signature.as_mut()?.certificate = match text {
        "present" => CertificateFile::Present,
        "absent" => CertificateFile::Absent,
        "filler" => CertificateFile::Filler,
        _ => return None,
    };
    Some(())
}

fn read_pins(profile: &Profile) -> String {
    let pin = |part: &CredentialProfile| part.pin.clone();
    let pins = Credential::ALL.map(|credential| profile.credential(credential).map(pin).unwrap_or_default());
    pins.join(":")
}

fn set_pins(profile: &mut Profile, text: &str) -> Option<()> {
    let (authentication, signature) = text.split_once(':')?;
    *profile = profile.clone().with_pins(authentication, signature);
    Some(())
}

fn read_short_read(profile: &Profile) -> String {
    match profile.short_read_refusal {
        None if !profile.short_read_selects => "no-select".into(),
        refusal => taken(refusal),
    }
}

fn set_short_read(profile: &mut Profile, text: &str) -> Option<()> {
    profile.short_read_selects = text != "no-select";
    set_taken(&mut profile.short_read_refusal, if text == "no-select" { "yes" } else { text })
}

fn read_schemes(profile: &Profile) -> String {
    if profile.ignores_scheme {
        return "ignored".into();
    }
    profile.sign_schemes.iter().map(u8::to_string).collect()
}

fn set_schemes(profile: &mut Profile, text: &str) -> Option<()> {
    profile.ignores_scheme = text == "ignored";
    if !profile.ignores_scheme {
        let digit = |digit: char| digit.to_digit(6)?.try_into().ok();
        profile.sign_schemes = text.chars().map(digit).collect::<Option<_>>()?;
    }
    Some(())
}

fn read_piece(profile: &Profile) -> String {
    profile.longest_piece.map_or_else(|| "all".into(), |bytes| bytes.to_string())
}

fn set_piece(profile: &mut Profile, text: &str) -> Option<()> {
    profile.longest_piece = if text == "all" { None } else { Some(text.parse().ok()?) };
    Some(())
}

fn read_extended(profile: &Profile) -> String {
    match profile.extended_length {
        ExtendedLength::Works => "yes".into(),
        ExtendedLength::Refused(status) => word(status),
        ExtendedLength::Cut => "cut".into(),
        ExtendedLength::TransmitFails => "fails".into(),
        ExtendedLength::Mute => "mute".into(),
        ExtendedLength::LeavesField(absence) => format!("leaves-{}", absence.as_millis()),
    }
}

fn set_extended(profile: &mut Profile, text: &str) -> Option<()> {
    profile.extended_length = match (text, text.strip_prefix("leaves-")) {
        ("yes", _) => ExtendedLength::Works,
        ("cut", _) => ExtendedLength::Cut,
        ("fails", _) => ExtendedLength::TransmitFails,
        ("mute", _) => ExtendedLength::Mute,
        (_, Some(absence)) => ExtendedLength::LeavesField(Duration::from_millis(absence.parse().ok()?)),
        (status, None) => ExtendedLength::Refused(parse_word(status)?),
    };
    Some(())
}

fn read_long_read(profile: &Profile) -> String {
    match profile.long_read {
        LongRead::Works => "yes".into(),
        LongRead::ReaderFails => "fails".into(),
        LongRead::AtMost(bytes) => format!("6C{bytes:02X}"),
        LongRead::Stepwise(first, second) => format!("6C{first:02X}-6C{second:02X}"),
    }
}

fn set_long_read(profile: &mut Profile, text: &str) -> Option<()> {
    let most = |text: &str| {
        let bytes = u8::from_str_radix(text.strip_prefix("6C")?, 16).ok();
        bytes.filter(|bytes| *bytes > 0)
    };
    profile.long_read = match (text, text.split_once('-')) {
        ("yes", _) => LongRead::Works,
        ("fails", _) => LongRead::ReaderFails,
        (_, Some((first, second))) => LongRead::Stepwise(most(first)?, most(second)?),
        (_, None) => LongRead::AtMost(most(text)?),
    };
    Some(())
}

fn read_end(profile: &Profile) -> String {
    match profile.end_of_file {
        EndOfFile::Refusal => "refusal",
        EndOfFile::Warning => "warning",
        EndOfFile::Silence => "silence",
    }
    .into()
}

fn set_end(profile: &mut Profile, text: &str) -> Option<()> {
    profile.end_of_file = match text {
        "refusal" => EndOfFile::Refusal,
        "warning" => EndOfFile::Warning,
        "silence" => EndOfFile::Silence,
        _ => return None,
    };
    Some(())
}

fn read_query(profile: &Profile) -> String {
    match profile.tries_query {
        TriesQuery::Always => "yes".into(),
        TriesQuery::UnlessVerified => "unless-verified".into(),
        TriesQuery::Refused(status) => word(status),
    }
}

fn set_query(profile: &mut Profile, text: &str) -> Option<()> {
    profile.tries_query = match text {
        "yes" => TriesQuery::Always,
        "unless-verified" => TriesQuery::UnlessVerified,
        status => TriesQuery::Refused(parse_word(status)?),
    };
    Some(())
}

//! What `status` says, as plain data: `--json` prints it as it is, and the text is made of it. The
//! names of fields and values are for scripts: they stay.

use serde::Serialize;

use crate::output::Exit;

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    pub(crate) result: Conclusion,
    pub(crate) service: Service,
    pub(crate) readers: Vec<Reader>,
    /// What came of each login that was asked for.
    pub(crate) logins: Vec<Login>,
    pub(crate) configuration: Configuration,
    /// The programs that have a library of this project.
    pub(crate) registered: Vec<Registered>,
    /// The programs that have p11-kit's proxy, which may bring one.
    pub(crate) through_p11_kit: Vec<Registered>,
    /// What stands in its way there, or keeps it from being seen.
    pub(crate) in_front: Vec<InFront>,
}

/// A library of this project in a program's profile.
#[derive(Debug, Serialize)]
pub(crate) struct Registered {
    pub(crate) program: &'static str,
    pub(crate) profile: String,
    pub(crate) library: String,
}

/// What stands in the way of a library of this project.
#[derive(Debug, Serialize)]
pub(crate) struct InFront {
    pub(crate) kind: InFrontKind,
    /// `None` for what is in no profile.
    pub(crate) program: Option<&'static str>,
    /// A profile, a file, or a variable.
    pub(crate) place: String,
    /// The module that it is about, as it is called there, and its file.
    pub(crate) module: Option<String>,
    pub(crate) library: Option<String>,
    /// What comes of it.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InFrontKind {
    /// OpenSC's module stands in the same profile.
    OpenscModule,
    /// The desktop puts OpenSC's module there at each login.
    OpenscAutostart,
    /// Several libraries of this project stand there.
    SeveralLibraries,
    /// The library that stands there is not there.
    MissingLibrary,
    /// The program comes as a snap or a Flatpak, and can load no module of this system.
    Sandboxed,
    /// A list of profiles or modules cannot be read.
    UnreadableList,
    /// It is not known where the profiles are.
    NoHome,
}

/// What comes of it: the exit status in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Conclusion {
    Well,
    ToDo,
    CannotTell,
}

/// A login that was asked for, and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Login {
    pub(crate) reader: String,
    /// `authentication` or `signature`.
    pub(crate) certificate: &'static str,
    pub(crate) result: LoginResult,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoginResult {
    Done,
    WrongPin,
    /// It cannot be the PIN. Nothing was sent.
    MalformedPin,
    /// It was refused before. Nothing was sent.
    RepeatedPin,
    /// The PIN is locked. Nothing was asked for, or it is locked now.
    Locked,
    /// The tries that are left are kept in reserve. Nothing was sent.
    Reserved,
    /// The person has typed nothing.
    Cancelled,
    /// There is no terminal to ask at.
    NoTerminal,
    Failed,
}

/// The PC/SC service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Service {
    Running,
    Missing,
    AccessRefused,
    Failed,
}

/// A reader.
#[derive(Debug, Serialize)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) state: ReaderState,
    pub(crate) card: Option<Card>,
}

/// Whether the card in a reader can be used, or what keeps it from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReaderState {
    Ready,
    /// The configuration leaves it alone.
    Ignored,
    NoCard,
    OtherCard,
    JukiCard,
    /// The card cannot be powered.
    Unpowered,
    /// Another program has the card for itself.
    HeldExclusively,
    /// Another program has a transaction on the card, longer than this command waits.
    InTransaction,
    AccessRefused,
    NoAnswer,
}

/// A card that can be used.
#[derive(Debug, Serialize)]
pub(crate) struct Card {
    pub(crate) kind: CardKind,
    pub(crate) serial_number: String,
    /// `None` where the configuration does not show it.
    pub(crate) authentication: Option<Certificate>,
    pub(crate) signature: Option<Certificate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CardKind {
    MyNumberCard,
    AndroidPhone,
    Iphone,
    Unknown,
}

/// A certificate with its key and its PIN.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Certificate {
    pub(crate) state: CertificateState,
    pub(crate) validity: Option<Validity>,
    pub(crate) pin: Option<Pin>,
    /// Whether the key makes PSS signatures, which TLS 1.3 wants.
    pub(crate) pss: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CertificateState {
    /// It was read.
    Read,
    /// Only its PIN opens it.
    NeedsPin,
    /// The card has none.
    Absent,
    Unreadable,
}

/// Until when a certificate is valid. Dates are YYYY-MM-DD.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Validity {
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) days_left: i64,
    pub(crate) renewable_from: String,
    /// How many months before the end that is.
    pub(crate) renewal_months: u16,
    pub(crate) phase: ValidityPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValidityPhase {
    Valid,
    Renewable,
    Expired,
}

/// The PIN of a certificate.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Pin {
    pub(crate) state: PinState,
    pub(crate) tries_left: Option<u8>,
    pub(crate) max_tries: u8,
    /// Where it is locked.
    pub(crate) unlocked_by: Option<Unlocking>,
    /// Whether the card may have no PIN at all, so that no login is possible with it.
    pub(crate) may_be_none: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PinState {
    /// No try is missing.
    Full,
    /// Tries are missing.
    TriesMissing,
    /// One try is left.
    LastTry,
    /// The tries that are left are kept in reserve: no PIN is sent.
    Reserved,
    Locked,
    /// The card does not tell.
    Unknown,
}

/// Who gives a locked PIN its tries back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unlocking {
    /// The municipal office.
    Office,
    /// The office, if the card has a PIN: a script sees that in the PIN itself.
    #[serde(rename = "office")]
    OfficeIfThereIsOne,
    /// The office, or a kiosk that asks for the other PIN.
    OfficeOrKiosk,
    /// The phone's own app.
    Phone,
}

/// The configuration that is in force.
#[derive(Debug, Serialize)]
pub(crate) struct Configuration {
    pub(crate) files: Vec<String>,
    /// In the words of the log: a script can count them.
    pub(crate) mistakes: Vec<String>,
    pub(crate) slots: &'static str,
    pub(crate) reserve_tries: u8,
    pub(crate) always_authenticate: bool,
    pub(crate) pss: &'static str,
    pub(crate) ca_certificates: &'static str,
    /// A reader is used if each of these lets it pass.
    pub(crate) readers: Vec<ReaderFilter>,
    /// Whether commands of extended length may be tried.
    pub(crate) extended_length: bool,
    pub(crate) log_level: String,
    /// `None` for the standard error stream.
    pub(crate) log_file: Option<String>,
}

/// Which readers a file uses, and which it leaves alone.
#[derive(Debug, Serialize)]
pub(crate) struct ReaderFilter {
    /// All, if empty.
    #[serde(rename = "use")]
    pub(crate) used: Vec<String>,
    pub(crate) ignore: Vec<String>,
}

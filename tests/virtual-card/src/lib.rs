//! A model of the JPKI application on the My Number card, for tests: bytes in, bytes out.
//!
//! Written from what is known of the card and from nothing else; it shares no constant with the
//! module it tests, so that a wrong constant there shows here. Where sources on real cards
//! disagree, [`Profile`] has a field and the model plays either side.
//!
//! * [`VirtualCard`] takes commands, keeps a [`Ledger`] of them (never a PIN) and plays scripted
//!   [`Fault`]s.
//! * [`Identity`] holds keys and certificates; the names in them say TEST, the keys protect
//!   nothing.
//! * [`stack::Stack`] puts cards into the readers of a private pcscd, for real PC/SC clients.
//! * The program `virtual-card` runs a stack for clients not written in Rust; [`control`] has its
//!   commands.
//!
//! ```
//! use virtual_card::{Credential, Reply, VirtualCard};
//!
//! let card = VirtualCard::full();
//! let select = [0, 0xa4, 4, 0x0c, 10, 0xd3, 0x92, 0xf0, 0, 0x26, 1, 0, 0, 0, 1];
//! assert_eq!(card.transmit(&select), Reply::Answer(vec![0x90, 0x00]));
//! assert_eq!(card.tries_left(Credential::Signature), 5);
//! assert_eq!(card.commands(), 1);
//! ```

pub mod aid;
mod apdu;
mod applet;
mod behaviour;
mod calendar;
mod card;
mod certificate;
pub mod control;
mod der;
mod facts;
mod fault;
mod files;
mod identity;
mod keys;
mod ledger;
pub mod lottery;
mod pcscd;
mod pins;
mod profile;
mod reading;
mod signing;
pub mod stack;
mod state;
pub mod traits;
mod vpcd;

pub use applet::Application;
pub use behaviour::{EndOfFile, ExtendedLength, FileAnswer, LongRead, TriesQuery};
pub use card::{Reply, VirtualCard};
pub use fault::{Fault, Trigger};
pub use identity::{Identity, Validity};
pub use ledger::{CommandRecord, Event, Ledger, Mark, Outcome, Verified, Verify};
pub use profile::{CertificateFile, CredentialProfile, Profile};

/// One of the two key pairs with its PIN and certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// 利用者証明用
    Authentication,
    /// 署名用
    Signature,
}

impl Credential {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Authentication, Self::Signature];

    /// `authentication` or `signature`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Signature => "signature",
        }
    }
}

//! What can happen: calls of either module, hands at the reader, other programs.

use cryptoki_sys as ck;
use proptest::prelude::*;
use virtual_card::Credential;

use super::reference::{Answer, ENTRIES, Entry, Model};

/// The longest run, but for its beginning.
const MAX_ACTS: usize = 60;

/// One step of a run.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A call of one of the two modules.
    Call(usize, Call),
    /// The card in the reader is taken out and this one put in, if any.
    Put(Option<usize>),
    /// Out and in again before any module looks.
    OutAndIn,
    /// Another program resets the card, politely or as a loose contact does.
    ForeignReset,
    Disturb,
    /// Another program selects another application.
    ForeignSelect,
    /// Another program enters a wrong PIN.
    ForeignWrongPin(Credential),
    /// The tries left change elsewhere, as another reader or the office changes them.
    ForeignTries(Credential, u8),
    /// A PIN is changed elsewhere, which needs the old one and so restores the counter.
    ForeignPinChange(Credential, usize),
}

/// A call. Sessions count backwards from the one opened last.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    Open(Credential, bool),
    Close(usize),
    CloseAll(Credential),
    Login(usize, usize),
    Logout(usize),
    SetPin(usize, usize, usize),
    SignInit(usize),
    Sign(usize),
    /// C_SignInit, unless that was done before, and C_Sign.
    SignAtOnce(usize),
    /// C_SignInit, unless that was done before, and C_Login for it.
    Authorize(usize, usize),
    /// The same and C_Sign.
    SignOnce(usize, usize),
    SessionInfo(usize),
    TokenInfo(Credential),
    Restart,
}

fn credential() -> impl Strategy<Value = Credential> {
    prop::sample::select(Credential::ALL.to_vec())
}

/// The session opened last, mostly.
fn session() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 2 => Just(1), 1 => 2..4_usize]
}

/// What is right as long as no program changes the PIN, mostly.
fn entry() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0), 2 => Just(1), 2 => Just(2), 2 => ENTRIES]
}

/// One that may become the PIN, mostly.
fn new_pin() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..2_usize, 1 => ENTRIES]
}

fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![
        40 => (credential(), any::<bool>()).prop_map(|(credential, rw)| Call::Open(credential, rw)),
        25 => session().prop_map(Call::Close),
        5 => credential().prop_map(Call::CloseAll),
        80 => (session(), entry()).prop_map(|(session, entry)| Call::Login(session, entry)),
        15 => session().prop_map(Call::Logout),
        40 => (session(), entry(), new_pin()).prop_map(|(session, old, new)| Call::SetPin(session, old, new)),
        20 => session().prop_map(Call::SignInit),
        20 => session().prop_map(Call::Sign),
        60 => session().prop_map(Call::SignAtOnce),
        50 => (session(), entry()).prop_map(|(session, entry)| Call::Authorize(session, entry)),
        30 => (session(), entry()).prop_map(|(session, entry)| Call::SignOnce(session, entry)),
        10 => session().prop_map(Call::SessionInfo),
        20 => credential().prop_map(Call::TokenInfo),
        5 => Just(Call::Restart),
    ]
}

/// Any step, calls above all, and most of them of the first module.
fn acts() -> impl Strategy<Value = Act> {
    let module = || prop_oneof![2 => Just(0_usize), 1 => Just(1)];
    prop_oneof![
        25 => (module(), calls()).prop_map(|(module, call)| Act::Call(module, call)),
        1 => prop::option::of(0..3_usize).prop_map(Act::Put),
        1 => Just(Act::Put(Some(0))),
        1 => Just(Act::OutAndIn),
        1 => Just(Act::ForeignReset),
        1 => Just(Act::Disturb),
        1 => Just(Act::ForeignSelect),
        1 => credential().prop_map(Act::ForeignWrongPin),
        2 => (credential(), 0..=5_u8).prop_map(|(credential, left)| Act::ForeignTries(credential, left)),
        1 => (credential(), 0..2_usize).prop_map(|(credential, entry)| Act::ForeignPinChange(credential, entry)),
    ]
}

/// A run. It begins with a user who is logged in, so that it does not have to come to that by
/// chance. Most runs are about one PIN in one module, so that its acts meet each other.
pub fn runs() -> impl Strategy<Value = Vec<Act>> {
    // The second module asks for the PIN of each digital signature, which is the richest case.
    let module = prop_oneof![1 => Just(0_usize), 2 => Just(1)];
    let credential = prop_oneof![1 => Just(Credential::Authentication), 2 => Just(Credential::Signature)];
    let begin = (module, credential, prop::bool::weighted(0.7));
    let run = (begin, prop::bool::weighted(0.8), prop::collection::vec(acts(), 1..MAX_ACTS));
    run.prop_map(|((module, credential, rw), is_about_one, acts)| {
        let session = |module, credential| Act::Call(module, Call::Open(credential, rw));
        let mut run = vec![session(module, credential), Act::Call(module, Call::Login(0, 0))];
        for act in acts {
            let act = if is_about_one { act.about(module, credential) } else { act };
            run.push(act);
            if act.ends_sessions() {
                run.push(session(module, credential));
            }
        }
        run
    })
}

impl Act {
    /// The same about one PIN in one module.
    fn about(self, module: usize, one: Credential) -> Self {
        match self {
            Self::Call(_, call) => Self::Call(module, call.about(one)),
            Self::ForeignWrongPin(_) => Self::ForeignWrongPin(one),
            Self::ForeignTries(_, left) => Self::ForeignTries(one, left),
            Self::ForeignPinChange(_, entry) => Self::ForeignPinChange(one, entry),
            other => other,
        }
    }

    /// Whether no session is left after it.
    fn ends_sessions(self) -> bool {
        matches!(self, Self::Put(_) | Self::OutAndIn | Self::Call(_, Call::CloseAll(_) | Call::Restart))
    }

    /// How many tries of a PIN it may cost. An entry may be wrong, also that of another program.
    /// The PIN of a login may have been changed: it is sent only while the count is full.
    pub fn most_lost_tries(self, is_full: bool) -> usize {
        match self {
            Self::Call(_, call) => match call {
                Call::Login(..) | Call::SetPin(..) | Call::Authorize(..) | Call::SignOnce(..) => 1,
                Call::Sign(_) | Call::SignAtOnce(_) => usize::from(is_full),
                _ => 0,
            },
            Self::ForeignWrongPin(_) => 1,
            _ => 0,
        }
    }

    /// What the reference says.
    pub fn predict(self, model: &mut Model) -> Answer {
        match self {
            Self::Call(module, call) => return call.predict(module, model),
            Self::Put(card) => model.put(card),
            Self::OutAndIn => model.put(model.inserted),
            Self::ForeignReset | Self::Disturb | Self::ForeignSelect => {}
            Self::ForeignWrongPin(credential) => {
                if let Some(pin) = model.inserted.and_then(|card| model.pin(card, credential)) {
                    pin.left = pin.left.saturating_sub(1);
                    pin.failed += 1;
                }
            }
            Self::ForeignTries(credential, left) => {
                if let Some(pin) = model.inserted.and_then(|card| model.pin(card, credential)) {
                    pin.left = left.min(pin.full);
                }
            }
            Self::ForeignPinChange(credential, entry) => {
                if let Some(pin) = model.inserted.and_then(|card| model.pin(card, credential)) {
                    pin.value = Entry::of(credential, entry).means.expect("a PIN");
                    pin.left = pin.full;
                }
            }
        }
        Answer::Code(ck::CKR_OK)
    }
}

impl Call {
    fn about(self, one: Credential) -> Self {
        match self {
            Self::Open(_, read_write) => Self::Open(one, read_write),
            Self::CloseAll(_) => Self::CloseAll(one),
            Self::TokenInfo(_) => Self::TokenInfo(one),
            other => other,
        }
    }

    fn predict(self, module: usize, model: &mut Model) -> Answer {
        let opened = model.opened(module);
        let at = |session| nth_last(opened, session);
        let result = match self {
            Self::Open(credential, read_write) => model.open(module, credential, read_write),
            Self::Close(session) => model.close(module, at(session)),
            Self::CloseAll(credential) => {
                model.close_all(module, credential);
                Ok(())
            }
            Self::Login(session, entry) => model.login(module, at(session), entry),
            Self::Logout(session) => model.logout(module, at(session)),
            Self::SetPin(session, old, new) => model.set_pin(module, at(session), old, new),
            Self::SignInit(session) => model.sign_init(module, at(session)),
            Self::Sign(session) => model.sign(module, at(session)),
            Self::SignAtOnce(session) => match model.sign_init(module, at(session)) {
                Ok(()) | Err(ck::CKR_OPERATION_ACTIVE) => model.sign(module, at(session)),
                Err(code) => Err(code),
            },
            Self::Authorize(session, entry) | Self::SignOnce(session, entry) => {
                let begun = match model.sign_init(module, at(session)) {
                    Err(ck::CKR_OPERATION_ACTIVE) => Ok(()),
                    begun => begun,
                };
                let given = begun.and_then(|()| model.authorize(module, at(session), entry));
                let signs = matches!(self, Self::SignOnce(..));
                given.and_then(|()| if signs { model.sign(module, at(session)) } else { Ok(()) })
            }
            Self::SessionInfo(session) => match model.session_state(module, at(session)) {
                Ok(state) => return Answer::State(state),
                Err(code) => Err(code),
            },
            Self::TokenInfo(credential) => match model.token_info(module, credential) {
                Ok(answer) => return answer,
                Err(code) => Err(code),
            },
            Self::Restart => {
                model.restart(module);
                Ok(())
            }
        };
        Answer::Code(result.err().unwrap_or(ck::CKR_OK))
    }
}

/// The index that `back` counts back to; of none that exists when there are too few.
pub fn nth_last(count: usize, back: usize) -> usize {
    count.checked_sub(back + 1).unwrap_or(usize::MAX)
}

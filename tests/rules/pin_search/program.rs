//! One program of ours: the machine, driven as the manager of the card drives it.

use jpki_pkcs11::jpki::applet::{CountAnswer, VerifyOutcome};
use jpki_pkcs11::manager::pin_state::{Decision, Origin, Sent};

use super::card::{Card, Change, Fate, Pin, Query};
use super::machine::{CONTEXT_ENTRY, ENTRY, Machine};

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program<M> {
    pub machine: M,
    /// The PIN of a context login.
    pub context: Option<Pin>,
}

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// C_Login.
    Enter(Pin, Query, Fate),
    /// C_Login with what cannot be the PIN.
    EnterMalformed,
    /// An operation with the stored PIN.
    Use(Query, Fate),
    /// C_Logout.
    LogOut,
    /// C_SetPIN from one PIN to another.
    SetPin(Pin, Pin, Query, Change),
    /// C_Login with CKU_CONTEXT_SPECIFIC.
    EnterContext(Pin, Query, Fate),
    /// The signature that the context login is for.
    UseContext(Query, Fate),
    /// C_GetTokenInfo.
    Look(Query),
    /// C_Finalize and C_Initialize.
    Restart,
    /// The program sees a card that was just put in.
    SeeInserted(usize),
}

/// What came of a PIN that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub pin: Pin,
    pub origin: Origin,
    pub told: bool,
    pub decision: Decision,
    pub lost: bool,
    pub accepted: bool,
    /// The login ends whose PIN this was, if it was one's.
    pub ends_kept_login: bool,
}

impl Attempt {
    /// A PIN that was sent, and its answer, if one came. It was lost by a reset: the login stays,
    /// so that more can happen than when it ends.
    fn sent(pin: Pin, origin: Origin, query: Query, answer: Option<VerifyOutcome>) -> (Self, Sent) {
        let sent = answer.map_or(Sent::Lost { by_reset: true }, Sent::Answered);
        let attempt = Self {
            pin,
            origin,
            told: query.tells(),
            decision: Decision::Send,
            lost: answer.is_none(),
            accepted: answer == Some(VerifyOutcome::Accepted),
            ends_kept_login: sent.ends_kept_login(),
        };
        (attempt, sent)
    }

    /// Whether the PIN comes from a login.
    pub fn is_stored(&self) -> bool {
        matches!(self.origin, Origin::Login | Origin::ContextLogin)
    }
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub card: Card,
    pub attempt: Option<Attempt>,
    /// The VERIFY of a new PIN, and the card before it.
    pub confirmation: Option<(Card, Attempt)>,
    /// The count was told, in a decision or for display.
    pub told: bool,
    pub change_lost: bool,
    /// Logged in, before and after.
    pub logged_in: (bool, bool),
    /// Afterwards, a PIN is kept by the login or a context login.
    pub keeps_pin: bool,
}

impl Action {
    /// The same with the PINs renamed.
    pub fn rename(self, names: &[Pin]) -> Self {
        let name = |pin: Pin| names[usize::from(pin)];
        match self {
            Self::Enter(pin, query, fate) => Self::Enter(name(pin), query, fate),
            Self::EnterContext(pin, query, fate) => Self::EnterContext(name(pin), query, fate),
            Self::SetPin(old, new, query, change) => Self::SetPin(name(old), name(new), query, change),
            other => other,
        }
    }
}

impl<M: Machine> Program<M> {
    /// A program that has just loaded the library.
    pub fn new(machine: M) -> Self {
        Self { machine, context: None }
    }

    pub fn is_logged_in(&self) -> bool {
        self.machine.real().state.is_logged_in()
    }

    fn stored(&self) -> Option<Pin> {
        self.machine.real().state.stored()
    }

    /// Does it. `None`: not in this state.
    pub fn perform(&mut self, action: Action, card: Card) -> Option<Report> {
        let before = self.is_logged_in();
        let mut report = Report {
            card,
            attempt: None,
            confirmation: None,
            told: false,
            change_lost: false,
            logged_in: (before, before),
            keeps_pin: false,
        };
        self.act(action, &mut report)?;
        // As `Card::with_pin`.
        self.context = self.context.filter(|_| self.is_logged_in());
        report.logged_in.1 = self.is_logged_in();
        report.keeps_pin = self.stored().is_some() || self.context.is_some();
        Some(report)
    }

    fn act(&mut self, action: Action, report: &mut Report) -> Option<()> {
        let before = report.logged_in.0;
        match action {
            Action::Enter(..) | Action::EnterMalformed if before => return None,
            Action::Enter(pin, query, fate) => self.enter(pin, query, fate, report),
            Action::EnterMalformed => self.machine.note_malformed(),
            Action::Use(query, fate) => self.use_stored(query, fate, report)?,
            Action::LogOut if !before => return None,
            Action::LogOut => self.machine.log_out(),
            Action::SetPin(old, new, query, change) => self.set_pin(old, new, (query, change), report)?,
            Action::EnterContext(pin, query, fate) if before => {
                if self.attempt(pin, CONTEXT_ENTRY, (query, fate), report) {
                    self.context = Some(pin);
                }
            }
            Action::EnterContext(..) => return None,
            Action::UseContext(query, fate) => self.use_context(query, fate, report)?,
            Action::Look(query) => {
                report.told = query == Query::Count;
                self.machine.observe(report.card.first_answer(query));
            }
            Action::Restart => {
                self.machine.restart();
            }
            Action::SeeInserted(at) => {
                self.machine.insert(at);
            }
        }
        Some(())
    }

    /// Forgets the count that is kept for display.
    pub fn forget_count(&mut self) {
        self.machine.observe(CountAnswer::NotTold);
    }

    fn enter(&mut self, pin: Pin, query: Query, fate: Fate, report: &mut Report) {
        if self.attempt(pin, ENTRY, (query, fate), report) {
            self.machine.log_in(pin);
        }
    }

    /// As `verify_stored`.
    fn use_stored(&mut self, query: Query, fate: Fate, report: &mut Report) -> Option<()> {
        let pin = self.stored()?;
        self.attempt(pin, Origin::Login, (query, fate), report);
        Some(())
    }

    /// As `verify_context_login`. It serves for one signature.
    fn use_context(&mut self, query: Query, fate: Fate, report: &mut Report) -> Option<()> {
        let pin = self.context?;
        let is_used = self.attempt(pin, Origin::ContextLogin, (query, fate), report);
        let has_ended = report.attempt?.ends_kept_login;
        self.context = self.context.filter(|_| !is_used && !has_ended);
        Some(())
    }

    /// As `change_pin`.
    fn set_pin(&mut self, old: Pin, new: Pin, how: (Query, Change), report: &mut Report) -> Option<()> {
        if old == new {
            return None;
        }
        let (query, change) = how;
        if !self.attempt(old, ENTRY, (query, Fate::Answered), report) {
            // There is no CHANGE.
            return (change == Change::Taken(Fate::Answered)).then_some(());
        }
        if matches!(change, Change::Taken(_) | Change::Lost { taken: true }) {
            report.card.pin = new;
        }
        let fate = match change {
            Change::Taken(fate) | Change::Ignored(fate) => Some(fate),
            Change::Lost { .. } => None,
        };
        if fate.is_some_and(|fate| self.confirm(new, (query, fate), report)) {
            if self.is_logged_in() {
                self.machine.log_in(new);
            }
            if self.machine.change_ends_context_login() {
                self.context = None;
            }
        } else {
            report.change_lost = true;
            self.machine.lose_change(old, new);
            self.context = None;
        }
        Some(())
    }

    /// As `confirm_change`. Whether the card has taken the new PIN.
    fn confirm(&mut self, new: Pin, how: (Query, Fate), report: &mut Report) -> bool {
        let (query, fate) = how;
        let (before, full) = (report.card, self.machine.real().full);
        let answer = report.card.verify(new, full, query, fate);
        let (attempt, sent) = Attempt::sent(new, ENTRY, query, answer);
        self.machine.learn_confirmation(new, sent);
        self.observe_refusal(new, sent, report.card, query);
        report.confirmation = Some((before, attempt));
        attempt.accepted
    }

    /// Asks for the count, decides, and sends the PIN if it may be sent. Whether the card has taken
    /// it.
    fn attempt(&mut self, pin: Pin, origin: Origin, how: (Query, Fate), report: &mut Report) -> bool {
        let (query, fate) = how;
        let mut decision = self.machine.decide(pin, origin, report.card.first_answer(query));
        if decision == Decision::ForgetAndAsk {
            decision = self.machine.decide(pin, origin, report.card.second_answer(query));
        }
        let told = query.tells();
        report.told = told;
        let ends_kept_login = decision.ends_kept_login();
        let mut attempt =
            Attempt { pin, origin, told, decision, lost: false, accepted: false, ends_kept_login };
        if decision == Decision::Send {
            let full = self.machine.real().full;
            let answer = report.card.verify(pin, full, query, fate);
            let sent;
            (attempt, sent) = Attempt::sent(pin, origin, query, answer);
            self.machine.learn(pin, sent, origin);
            self.observe_refusal(pin, sent, report.card, query);
        }
        report.attempt = Some(attempt);
        attempt.accepted
    }

    /// As `ask_after_refusal`.
    fn observe_refusal(&mut self, pin: Pin, sent: Sent, card: Card, query: Query) {
        if matches!(sent, Sent::Answered(VerifyOutcome::Rejected(_))) {
            self.machine.observe_refusal(pin, card.answer_after_refusal(query));
        }
    }
}

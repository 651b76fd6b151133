//! A call in progress: the service's lock, and the caller's context, which serves one call at a
//! time.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::code::{Code, protocol};
use super::fault::Fault;
use super::journal::{Caller, Function};
use super::reader::{Latched, Power, Reader, ReaderId};
use super::{CardHandle, ContextHandle, Service, State};
use crate::icc::Icc;

/// What faults do to the answer of a call.
#[derive(Debug, Default)]
pub(super) struct Distortion {
    pub(super) protocol: Option<u32>,
    pub(super) length: Option<u64>,
    pub(super) answer: Option<Vec<u8>>,
}

/// What to do to a card's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PowerChange {
    Reset,
    /// Off and on again.
    Cycle,
    Off,
}

pub(super) struct ActiveCall<'service> {
    service: &'service Service,
    /// `None` only while the lock is lent to a condition variable.
    guard: Option<MutexGuard<'service, State>>,
    context: ContextHandle,
    function: Function,
}

impl Service {
    /// Carries a call out, with the faults that are due at it, and records it.
    pub(super) fn call<T>(
        &self,
        function: Function,
        context: ContextHandle,
        body: impl FnOnce(&mut ActiveCall<'_>, Distortion) -> Result<T, Code>,
    ) -> Result<T, Code> {
        self.recorded(function, Some(context), |distortion| {
            self.on_context(context, function, |call| body(call, distortion))
        })
    }

    /// Takes the context and runs `body`, without faults and without a record.
    pub(super) fn on_context<T>(
        &self,
        context: ContextHandle,
        function: Function,
        body: impl FnOnce(&mut ActiveCall<'_>) -> Result<T, Code>,
    ) -> Result<T, Code> {
        body(&mut self.hold(context, function)?)
    }

    /// Carries out a call of a connection's function; INVALID_HANDLE when there is no such
    /// connection.
    pub(super) fn card_call<T>(
        &self,
        function: Function,
        card: CardHandle,
        body: impl FnOnce(&mut ActiveCall<'_>, Distortion) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let context = self.lock().connections.get(&card).map(|connection| connection.context);
        self.recorded(function, context, |distortion| {
            let mut call = self.hold(context.ok_or(Code::INVALID_HANDLE)?, function)?;
            // A hook or another thread may have disconnected it.
            if !call.connections.contains_key(&card) {
                return Err(Code::INVALID_HANDLE);
            }
            body(&mut call, distortion)
        })
    }

    /// Runs a call under the faults that are due at it, and records it.
    pub(super) fn recorded<T>(
        &self,
        function: Function,
        context: Option<ContextHandle>,
        body: impl FnOnce(Distortion) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let foreign = {
            let state = self.lock();
            context.is_some_and(|context| state.caller(context) == Caller::Foreign)
        };
        if foreign {
            return body(Distortion::default());
        }
        let faults = self.lock().faults.take(function);
        let result = self.under_faults(function, faults, body);
        let code = result.as_ref().err().copied().unwrap_or(Code::SUCCESS);
        self.lock().journal.record(function, code);
        result
    }

    fn under_faults<T>(
        &self,
        function: Function,
        faults: Vec<Fault>,
        body: impl FnOnce(Distortion) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let mut distortion = Distortion::default();
        let mut instead = None;
        let mut after = None;
        for fault in faults {
            match fault {
                Fault::Before(hook) => hook(self),
                Fault::Fail(code) => instead = instead.or(Some(code)),
                Fault::Hang(code) => {
                    self.hang(function);
                    instead = instead.or(Some(code));
                }
                Fault::FailAfter(code) => after = after.or(Some(code)),
                Fault::Protocol(protocol) => distortion.protocol = Some(protocol),
                Fault::Length(length) => distortion.length = Some(length),
                Fault::Answer(answer) => distortion.answer = Some(answer),
            }
        }
        if let Some(code) = instead {
            return Err(code);
        }
        let result = body(distortion);
        match after {
            Some(code) => Err(code),
            None => result,
        }
    }

    /// Waits until the test lets the hanging calls go on, or the service dies.
    fn hang(&self, function: Function) {
        let mut state = self.lock();
        let (releases, generation) = (state.releases, state.daemon.generation);
        self.block(&mut state, function);
        while state.releases == releases && state.daemon.generation == generation {
            state = self.wait(state);
        }
        self.unblock(&mut state, function);
    }

    /// Takes a context for one call, when no other call has it, and the service's lock.
    fn hold(&self, context: ContextHandle, function: Function) -> Result<ActiveCall<'_>, Code> {
        let mut state = self.lock();
        loop {
            let holder = state.contexts.get_mut(&context).ok_or(Code::INVALID_HANDLE)?;
            if !holder.busy {
                holder.busy = true;
                break;
            }
            holder.queue += 1;
            state = self.wait(state);
            if let Some(holder) = state.contexts.get_mut(&context) {
                holder.queue -= 1;
            }
        }
        let call = ActiveCall { service: self, guard: Some(state), context, function };
        if call.is_cut_off() {
            return Err(call.quirks.ended());
        }
        Ok(call)
    }
}

impl ActiveCall<'_> {
    pub(super) fn caller(&self) -> Caller {
        State::caller(self, self.context)
    }

    /// Wakes all waiting calls: something has changed.
    pub(super) fn announce(&self) {
        self.service.inner.changed.notify_all();
    }

    /// Waits while `blocked`, and keeps the context: other calls on it wait as well.
    ///
    /// # Errors
    /// When the service dies meanwhile.
    pub(super) fn wait_while(&mut self, blocked: impl Fn(&State) -> bool) -> Result<(), Code> {
        self.wait_while_until(None, blocked).map(|_| ())
    }

    /// The same until a deadline; `false` when it has come.
    pub(super) fn wait_while_until(
        &mut self,
        deadline: Option<Instant>,
        blocked: impl Fn(&State) -> bool,
    ) -> Result<bool, Code> {
        if !blocked(self) {
            return Ok(true);
        }
        let function = self.function;
        let mut state = self.guard.take().expect("the lock is call");
        self.service.block(&mut state, function);
        let mut in_time = true;
        while in_time && blocked(&state) && !state.is_cut_off(self.context) {
            (state, in_time) = self.service.wait_until(state, deadline);
        }
        self.service.unblock(&mut state, function);
        self.guard = Some(state);
        if self.is_cut_off() { Err(self.quirks.cut_off()) } else { Ok(in_time) }
    }

    /// Waits while `blocked`, and lets other calls on the same context go on meanwhile.
    ///
    /// # Errors
    /// When the service dies or the context is released meanwhile.
    pub(super) fn step_aside_while(&mut self, blocked: impl Fn(&State) -> bool) -> Result<(), Code> {
        self.let_context_go();
        let function = self.function;
        let mut state = self.guard.take().expect("the lock is call");
        self.service.block(&mut state, function);
        loop {
            let over = state.is_cut_off(self.context) || !blocked(&state);
            let free = state.contexts.get(&self.context).is_none_or(|context| !context.busy);
            if over && free {
                break;
            }
            state = self.service.wait(state);
        }
        self.service.unblock(&mut state, function);
        if let Some(context) = state.contexts.get_mut(&self.context) {
            context.busy = true;
        }
        self.guard = Some(state);
        if !self.contexts.contains_key(&self.context) {
            return Err(Code::INVALID_HANDLE);
        }
        if self.is_cut_off() { Err(self.quirks.ended()) } else { Ok(()) }
    }

    /// The reader of a connection.
    ///
    /// # Errors
    /// When it has been unplugged.
    pub(super) fn reader_of(&mut self, card: CardHandle) -> Result<&mut Reader, Code> {
        let id = self.connections.get(&card).ok_or(Code::INVALID_HANDLE)?.reader;
        let unplugged = self.quirks.unplugged;
        self.reader_mut(id).ok_or(unplugged)
    }

    /// What the connection has not been told yet, or has been told and not answered with a
    /// reconnect.
    pub(super) fn check_event(&self, card: CardHandle) -> Result<(), Code> {
        match self.connections.get(&card).ok_or(Code::INVALID_HANDLE)?.latched {
            None => Ok(()),
            Some(latched) => Err(self.quirks.told(latched)),
        }
    }

    /// Works on the card without the service's lock; one at a time for each reader. `None` when the
    /// card was not there or went away meanwhile.
    pub(super) fn on_card<T: Send>(
        &mut self,
        id: ReaderId,
        work: impl FnOnce(&dyn Icc) -> T + Send,
    ) -> Option<T> {
        self.wait_while(|state| state.reader(id).is_some_and(|reader| reader.busy)).ok()?;
        let reader = self.reader_mut(id)?;
        let card = reader.card.as_ref()?;
        let (icc, serial) = (Arc::clone(&card.icc), card.serial);
        reader.busy = true;
        let own_thread = self.quirks.cards_have_threads;
        self.guard = None;
        let done = if own_thread {
            let worked = thread::scope(|scope| scope.spawn(|| work(icc.as_ref())).join());
            worked.unwrap_or_else(|panic| resume_unwind(panic))
        } else {
            work(icc.as_ref())
        };
        self.guard = Some(self.service.lock());
        let stays = self.reader_mut(id).is_some_and(|reader| {
            reader.busy = false;
            reader.card.as_ref().is_some_and(|card| card.serial == serial)
        });
        self.announce();
        if !stays {
            // The test that took the card out could not tell it while it worked.
            icc.taken_out();
        }
        stays.then_some(done)
    }

    /// Resets the card or takes its power, and latches the reset in every connection to the reader.
    pub(super) fn change_power(&mut self, id: ReaderId, change: PowerChange) -> Result<(), Code> {
        let caller = self.caller();
        let counts = self.journal.power(caller);
        match change {
            PowerChange::Reset => counts.resets += 1,
            PowerChange::Cycle | PowerChange::Off => counts.unpowers += 1,
        }
        self.apply_power(id, change)
    }

    /// The same without a mark in the counters.
    pub(super) fn apply_power(&mut self, id: ReaderId, change: PowerChange) -> Result<(), Code> {
        self.latch(id, Latched::Reset);
        let power = self.on_card(id, |icc| match change {
            PowerChange::Reset => Power::from(icc.warm_reset()),
            PowerChange::Cycle => {
                icc.power_off();
                Power::from(icc.power_on())
            }
            PowerChange::Off => {
                icc.power_off();
                Power::Off
            }
        });
        let result = match &power {
            None => Err(Code::NO_SMARTCARD),
            Some(Power::Mute) => Err(Code::UNRESPONSIVE_CARD),
            Some(_) => Ok(()),
        };
        if let Some(reader) = self.reader_mut(id) {
            reader.protocol = protocol::UNDEFINED;
            if let (Some(card), Some(power)) = (&mut reader.card, power) {
                card.power = power;
            }
        }
        self.announce();
        result
    }

    /// Has a card that left by itself come back after some time, unless the reader is gone or has
    /// another card by then.
    pub(super) fn bring_back(&self, id: ReaderId, icc: Arc<dyn Icc>, absence: Duration) {
        let service = self.service.clone();
        thread::spawn(move || {
            thread::sleep(absence);
            service.put_into(id, icc);
        });
    }

    /// Whether the service has died since the call began.
    pub(super) fn is_cut_off(&self) -> bool {
        State::is_cut_off(self, self.context)
    }

    fn let_context_go(&mut self) {
        let context = self.context;
        let Some(holder) = self.contexts.get_mut(&context) else { return };
        holder.busy = false;
        if holder.queue > 0 {
            self.announce();
        }
    }
}

impl From<Option<Vec<u8>>> for Power {
    fn from(atr: Option<Vec<u8>>) -> Self {
        atr.map_or(Self::Mute, |atr| Self::On { atr })
    }
}

impl Deref for ActiveCall<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.guard.as_deref().expect("the lock is call")
    }
}

impl DerefMut for ActiveCall<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.guard.as_deref_mut().expect("the lock is call")
    }
}

impl Drop for ActiveCall<'_> {
    fn drop(&mut self) {
        // A panic while the lock was lent: take it again, so that the context does not stay busy.
        if self.guard.is_none() {
            self.guard = Some(self.service.lock());
        }
        self.let_context_go();
        drop(mem::take(&mut self.guard));
    }
}

//! The calls over the PC/SC library of this machine; the only file that names the `pcsc` crate.
//!
//! Traps of the crate, each seen: its `Card` resets the card when dropped, so that connections are
//! closed by hand. It panics on an answer longer than its buffer, at a command on a connection that
//! came back without a protocol, and in debug builds on a code it does not know. A panic at a
//! command becomes an answer that tells nothing; anywhere else the C boundary catches it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pcsc::{Error, Protocols, Scope, ShareMode, State};
use zeroize::Zeroizing;

use super::calls::{Calls, Card, CardTransaction, Code, Context, ReaderEvent};
use super::{Disposition, MAX_ANSWER, ReaderName};

/// The PC/SC library.
#[derive(Debug, Default, Clone, Copy)]
pub struct Pcsc;

impl Calls for Pcsc {
    /// The service of macOS leaves that half empty (its SCardGetStatusChange compares presence).
    fn counts_changes(&self) -> bool {
        !cfg!(target_os = "macos")
    }

    /// The service of macOS does not know the name of that notification (pcsc_scan lists the
    /// readers each second there).
    fn tells_of_readers(&self) -> bool {
        !cfg!(target_os = "macos")
    }

    /// The libraries of macOS do not work after a fork without an exec: a call finds no service, or
    /// ends the process (reported, not seen).
    fn serves_children(&self) -> bool {
        !cfg!(target_os = "macos")
    }

    fn establish_context(&self) -> Result<Box<dyn Context>, Code> {
        Ok(Box::new(pcsc::Context::establish(Scope::User).map_err(code)?))
    }
}

impl Context for pcsc::Context {
    fn list_readers(&self) -> Result<Vec<ReaderName>, Code> {
        Ok(self.list_readers_owned().map_err(code)?.into_iter().map(ReaderName::from).collect())
    }

    fn get_status_change(&self, timeout: Duration, readers: &mut [ReaderEvent]) -> Result<(), Code> {
        let state = |reader: &ReaderEvent| {
            pcsc::ReaderState::new(reader.reader.as_c_str(), State::from_bits_retain(reader.current.into()))
        };
        let mut states: Vec<_> = readers.iter().map(state).collect();
        let result = pcsc::Context::get_status_change(self, timeout, &mut states);
        for (reader, state) in readers.iter_mut().zip(&states) {
            let flags = u32::try_from(state.event_state().bits()).unwrap_or_default();
            reader.event = (flags & 0xffff) | (state.event_count() << 16);
        }
        result.map_err(code)
    }

    fn cancel(&self) -> Result<(), Code> {
        pcsc::Context::cancel(self).map_err(code)
    }

    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Card>, Code> {
        let card = pcsc::Context::connect(self, reader.as_c_str(), ShareMode::Shared, Protocols::ANY);
        Ok(Box::new(card.map_err(code)?))
    }
}

impl Card for pcsc::Card {
    fn begin_transaction<'a>(
        &'a mut self,
    ) -> Result<Box<dyn CardTransaction + 'a>, (&'a mut dyn Card, Code)> {
        match self.transaction2() {
            Ok(transaction) => Ok(Box::new(transaction)),
            Err((card, error)) => Err((card, code(error))),
        }
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        let mode = ShareMode::Shared;
        pcsc::Card::reconnect(self, mode, Protocols::ANY, crate_disposition(initialization)).map_err(code)
    }

    fn control(&self, control_code: u32, input: &[u8]) -> Result<Vec<u8>, Code> {
        let mut answer = [0; pcsc::MAX_BUFFER_SIZE];
        let answer = pcsc::Card::control(self, control_code.into(), input, &mut answer).map_err(code)?;
        Ok(answer.to_vec())
    }

    fn disconnect(self: Box<Self>, disposition: Disposition) {
        if let Err((card, _)) = pcsc::Card::disconnect(*self, crate_disposition(disposition)) {
            // The crate would reset the card now. A handle that cannot be closed is the service's
            // to clean up.
            std::mem::forget(card);
        }
    }
}

impl CardTransaction for pcsc::Transaction<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Option<Vec<u8>>, Code> {
        // Large enough for any answer, and wiped: it may hold a certificate with its owner's
        // address.
        let mut buffer = Zeroizing::new(vec![0; MAX_ANSWER]);
        let exchange = || pcsc::Card::transmit(self, command, &mut buffer).map(<[u8]>::to_vec);
        // Unwind safety: the crate panics before the call or when it is over; nothing is half-done.
        catch_unwind(AssertUnwindSafe(exchange)).ok().transpose().map_err(code)
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        let mode = ShareMode::Shared;
        pcsc::Transaction::reconnect(self, mode, Protocols::ANY, crate_disposition(initialization))
            .map_err(code)
    }

    fn end<'a>(self: Box<Self>, disposition: Disposition) -> Result<(), (Box<dyn CardTransaction + 'a>, Code)>
    where
        Self: 'a,
    {
        pcsc::Transaction::end(*self, crate_disposition(disposition)).map_err(|(transaction, error)| {
            let transaction: Box<dyn CardTransaction + 'a> = Box::new(transaction);
            (transaction, code(error))
        })
    }
}

fn crate_disposition(disposition: Disposition) -> pcsc::Disposition {
    match disposition {
        Disposition::LeaveCard => pcsc::Disposition::LeaveCard,
        Disposition::UnpowerCard => pcsc::Disposition::UnpowerCard,
    }
}

/// PC/SC's own number of an error.
#[expect(
    clippy::as_conversions,
    reason = "the crate's errors are an enum of these numbers and have no other way out"
)]
fn code(error: Error) -> Code {
    Code::new(error as u32)
}

//! The calls over the PC/SC service of Windows, which names readers in UTF-16. In this program
//! their names are UTF-8.

use std::ffi::CString;
use std::time::Duration;

use zeroize::Zeroizing;

use super::calls::{Calls, Card, CardTransaction, Code, Context, ReaderEvent};
use super::{Disposition, MAX_ANSWER, ReaderName};
use crate::os::smart_card::{self, ReaderQuery};

/// The most bytes that a driver's answer has.
const MAX_CONTROL_ANSWER: usize = 264;

/// The protocols by which a command can be sent: SCARD_PROTOCOL_T0 and SCARD_PROTOCOL_T1.
const PROTOCOLS: [u32; 2] = [1, 2];

/// The PC/SC library.
#[derive(Debug, Default, Clone, Copy)]
pub struct Pcsc;

/// A context, released when it is dropped.
struct ServiceContext(usize);

/// A connection. It does not end by itself.
struct Connected {
    handle: usize,
    protocol: u32,
}

/// A transaction. It does not end by itself either.
struct Begun<'a>(&'a mut Connected);

impl Calls for Pcsc {
    fn counts_changes(&self) -> bool {
        true
    }

    /// It stops with the last reader (since Windows 8).
    fn runs_without_reader(&self) -> bool {
        false
    }

    fn establish_context(&self) -> Result<Box<dyn Context>, Code> {
        Ok(Box::new(ServiceContext(smart_card::establish_context().map_err(Code::new)?)))
    }
}

impl Context for ServiceContext {
    fn list_readers(&self) -> Result<Vec<ReaderName>, Code> {
        let names = smart_card::list_readers(self.0).map_err(Code::new)?;
        // No name has a NUL in it: the list ends its names with NULs.
        Ok(names.into_iter().filter_map(|name| Some(CString::new(name).ok()?.into())).collect())
    }

    fn get_status_change(&self, timeout: Duration, readers: &mut [ReaderEvent]) -> Result<(), Code> {
        let query = |reader: &ReaderEvent| ReaderQuery {
            name: text(&reader.reader),
            current: reader.current,
            event: 0,
        };
        let mut queries: Vec<_> = readers.iter().map(query).collect();
        // The largest number would be a wait without end.
        let milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).min(u32::MAX - 1);
        let result = smart_card::get_status_change(self.0, milliseconds, &mut queries);
        for (reader, query) in readers.iter_mut().zip(&queries) {
            reader.event = query.event;
        }
        result.map_err(Code::new)
    }

    fn cancel(&self) -> Result<(), Code> {
        smart_card::cancel(self.0).map_err(Code::new)
    }

    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Card>, Code> {
        let (handle, protocol) = smart_card::connect(self.0, &text(reader)).map_err(Code::new)?;
        Ok(Box::new(Connected { handle, protocol }))
    }
}

impl Drop for ServiceContext {
    fn drop(&mut self) {
        // A service that has ended meanwhile has released it already.
        let _ = smart_card::release_context(self.0);
    }
}

impl Connected {
    fn renew(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.protocol = smart_card::reconnect(self.handle, number(initialization)).map_err(Code::new)?;
        Ok(())
    }
}

impl Card for Connected {
    fn begin_transaction<'a>(
        &'a mut self,
    ) -> Result<Box<dyn CardTransaction + 'a>, (&'a mut dyn Card, Code)> {
        match smart_card::begin_transaction(self.handle) {
            Ok(()) => Ok(Box::new(Begun(self))),
            Err(code) => Err((self, Code::new(code))),
        }
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.renew(initialization)
    }

    fn control(&self, control_code: u32, input: &[u8]) -> Result<Vec<u8>, Code> {
        let mut answer = vec![0; MAX_CONTROL_ANSWER];
        let length = smart_card::control(self.handle, control_code, input, &mut answer).map_err(Code::new)?;
        answer.truncate(length);
        Ok(answer)
    }

    fn disconnect(self: Box<Self>, disposition: Disposition) {
        // A service that has ended meanwhile has ended it already.
        let _ = smart_card::disconnect(self.handle, number(disposition));
    }
}

impl CardTransaction for Begun<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Option<Vec<u8>>, Code> {
        let Connected { handle, protocol } = *self.0;
        if !PROTOCOLS.contains(&protocol) {
            return Err(Code::PROTO_MISMATCH);
        }
        // Large enough for any answer, and wiped: it may hold a certificate with its owner's
        // address.
        let mut buffer = Zeroizing::new(vec![0; MAX_ANSWER]);
        let length = smart_card::transmit(handle, protocol, command, &mut buffer).map_err(Code::new)?;
        Ok(buffer.get(..length).map(<[u8]>::to_vec))
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.0.renew(initialization)
    }

    fn end<'a>(self: Box<Self>, disposition: Disposition) -> Result<(), (Box<dyn CardTransaction + 'a>, Code)>
    where
        Self: 'a,
    {
        match smart_card::end_transaction(self.0.handle, number(disposition)) {
            Ok(()) => Ok(()),
            Err(code) => Err((self, Code::new(code))),
        }
    }
}

/// SCARD_LEAVE_CARD and SCARD_UNPOWER_CARD.
fn number(disposition: Disposition) -> u32 {
    match disposition {
        Disposition::LeaveCard => 0,
        Disposition::UnpowerCard => 2,
    }
}

fn text(reader: &ReaderName) -> String {
    reader.as_c_str().to_string_lossy().into_owned()
}

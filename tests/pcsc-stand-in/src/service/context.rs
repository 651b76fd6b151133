//! Clients: contexts, and what a client asks about readers without a connection.

use std::ffi::CString;

use super::active_call::PowerChange;
use super::code::Code;
use super::journal::{Caller, Function};
use super::{CardHandle, Context, ContextHandle, Service};

impl Service {
    /// SCardEstablishContext.
    ///
    /// # Errors
    /// NO_SERVICE when no service runs.
    pub fn establish_context(&self) -> Result<ContextHandle, Code> {
        self.recorded(Function::EstablishContext, None, |_| self.new_context(Caller::Tested))
    }

    /// A context, in the name of one side.
    pub(super) fn new_context(&self, caller: Caller) -> Result<ContextHandle, Code> {
        let mut state = self.lock();
        if !state.daemon.running {
            return Err(Code::NO_SERVICE);
        }
        let handle = ContextHandle(state.handle());
        let generation = state.daemon.generation;
        let context =
            Context { caller, generation, busy: false, queue: 0, cancellable: false, cancelled: false };
        state.contexts.insert(handle, context);
        Ok(handle)
    }

    /// SCardReleaseContext: its connections end, and a card in a transaction of theirs is reset.
    /// The context is gone also when the service does not answer.
    ///
    /// # Errors
    /// INVALID_HANDLE, NO_SERVICE.
    pub fn release_context(&self, context: ContextHandle) -> Result<(), Code> {
        let released = self.call(Function::ReleaseContext, context, |call, _| {
            let cards: Vec<CardHandle> = call
                .connections
                .iter()
                .filter(|(_, connection)| connection.context == context)
                .map(|(card, _)| *card)
                .collect();
            for card in cards {
                let Some(connection) = call.connections.get(&card) else { continue };
                let (id, undisturbed) = (connection.reader, connection.latched.is_none());
                let in_transaction = call.reader(id).is_some_and(|reader| {
                    reader.transaction.is_some_and(|transaction| transaction.holder == card)
                });
                if in_transaction {
                    if let Some(reader) = call.reader_mut(id) {
                        reader.transaction = None;
                    }
                    if undisturbed {
                        // The card may be gone: the context is released all the same.
                        let _ = call.change_power(id, PowerChange::Reset);
                    }
                }
                call.connections.remove(&card);
                if let Some(reader) = call.reader_mut(id) {
                    reader.remove_connection();
                }
            }
            Ok(())
        });
        let mut state = self.lock();
        if state.contexts.remove(&context).is_some() {
            state.connections.retain(|_, connection| connection.context != context);
        }
        self.inner.changed.notify_all();
        released
    }

    /// SCardIsValidContext: asks the client library only, not the service.
    ///
    /// # Errors
    /// INVALID_HANDLE.
    pub fn is_valid_context(&self, context: ContextHandle) -> Result<(), Code> {
        self.recorded(Function::IsValidContext, Some(context), |_| {
            self.lock().contexts.get(&context).map(|_| ()).ok_or(Code::INVALID_HANDLE)
        })
    }

    /// SCardCancel: ends a wait for changes that goes on now. One that begins later is not ended.
    ///
    /// # Errors
    /// INVALID_HANDLE.
    pub fn cancel(&self, context: ContextHandle) -> Result<(), Code> {
        self.recorded(Function::Cancel, Some(context), |_| {
            let mut state = self.lock();
            let context = state.contexts.get_mut(&context).ok_or(Code::INVALID_HANDLE)?;
            if context.cancellable {
                context.cancelled = true;
                self.inner.changed.notify_all();
            }
            Ok(())
        })
    }

    /// SCardListReaders.
    ///
    /// # Errors
    /// INVALID_HANDLE, NO_SERVICE, NO_READERS_AVAILABLE.
    pub fn list_readers(&self, context: ContextHandle) -> Result<Vec<CString>, Code> {
        self.call(Function::ListReaders, context, |call, _| {
            if call.readers.is_empty() {
                return Err(Code::NO_READERS_AVAILABLE);
            }
            Ok(call.readers.iter().map(|reader| reader.name.clone()).collect())
        })
    }

    /// SCardListReaderGroups: checks the context; there is one group.
    ///
    /// # Errors
    /// INVALID_HANDLE.
    pub fn list_reader_groups(&self, context: ContextHandle) -> Result<Vec<CString>, Code> {
        self.call(Function::ListReaderGroups, context, |_, _| Ok(vec![c"SCard$DefaultReaders".to_owned()]))
    }
}

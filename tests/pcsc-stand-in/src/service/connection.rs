//! Connections to a card: SCardConnect, SCardReconnect, SCardDisconnect.

use std::ffi::CStr;

use super::active_call::{ActiveCall, PowerChange};
use super::code::{Code, Disposition, ShareMode, protocol};
use super::journal::Function;
use super::reader::{Power, ReaderId, Sharing};
use super::{CardHandle, Connection, ContextHandle, Service};

impl Service {
    /// SCardConnect: the connection and its protocol. Waits while another connection has a
    /// transaction.
    ///
    /// # Errors UNKNOWN_READER, NO_SMARTCARD, SHARING_VIOLATION while another connection is
    /// exclusive, UNPOWERED_CARD for a mute card, PROTO_MISMATCH, NO_SERVICE.
    pub fn connect(
        &self,
        context: ContextHandle,
        reader: &CStr,
        share: ShareMode,
        preferred: u32,
    ) -> Result<(CardHandle, u32), Code> {
        self.call(Function::Connect, context, |call, distortion| {
            check_protocols(share, preferred)?;
            let id = call.reader_named(reader).ok_or(Code::UNKNOWN_READER)?.id;
            wait_for_access(call, id)?;
            if share != ShareMode::Direct {
                power_up(call, id)?;
            }
            let (protocol, connection) = open(call, id, context, share, preferred)?;
            call.announce();
            Ok((connection, distortion.protocol.unwrap_or(protocol)))
        })
    }

    /// SCardReconnect: forgets what the connection was told, and says which protocol there is now.
    /// Like the service, it connects to whatever card is there, also to another one than before.
    ///
    /// # Errors INVALID_HANDLE, NO_SMARTCARD, UNRESPONSIVE_CARD, SHARING_VIOLATION, PROTO_MISMATCH,
    /// NO_SERVICE.
    pub fn reconnect(
        &self,
        card: CardHandle,
        share: ShareMode,
        preferred: u32,
        initialization: Disposition,
    ) -> Result<u32, Code> {
        self.card_call(Function::Reconnect, card, |call, distortion| {
            if initialization == Disposition::Eject {
                return Err(Code::INVALID_VALUE);
            }
            check_protocols(share, preferred)?;
            let id = call.reader_of(card)?.id;
            wait_for_others(call, id, card)?;
            call.reader_of(card)?;
            match initialization {
                Disposition::Reset => call.change_power(id, PowerChange::Reset)?,
                Disposition::Unpower => call.change_power(id, PowerChange::Cycle)?,
                Disposition::Leave | Disposition::Eject => {
                    match call.reader_of(card)?.card.as_ref().map(|card| &card.power) {
                        None => return Err(Code::NO_SMARTCARD),
                        Some(Power::Mute) => return Err(Code::UNRESPONSIVE_CARD),
                        Some(_) => {}
                    }
                }
            }
            let reader = call.reader_of(card)?;
            let protocol = match share {
                ShareMode::Direct => reader.protocol,
                _ => reader.negotiate(preferred).ok_or(Code::PROTO_MISMATCH)?,
            };
            match (share, reader.sharing) {
                (ShareMode::Exclusive, Sharing::Shared(1)) => {
                    reader.sharing = Sharing::Exclusive;
                    reader.lock(card);
                }
                (ShareMode::Exclusive, Sharing::Shared(_)) => return Err(Code::SHARING_VIOLATION),
                (ShareMode::Shared | ShareMode::Direct, Sharing::Exclusive) => {
                    reader.unlock();
                    reader.sharing = Sharing::Shared(1);
                    reader.transaction = None;
                }
                _ => {}
            }
            if let Some(connection) = call.connections.get_mut(&card) {
                connection.latched = None;
            }
            call.announce();
            Ok(distortion.protocol.unwrap_or(protocol))
        })
    }

    /// SCardDisconnect. With LEAVE it never waits; else it waits while another connection has a
    /// transaction.
    ///
    /// # Errors
    /// INVALID_HANDLE, NO_SERVICE.
    pub fn disconnect(&self, card: CardHandle, disposition: Disposition) -> Result<(), Code> {
        self.card_call(Function::Disconnect, card, |call, _| {
            let Some(connection) = call.connections.get(&card) else { return Err(Code::INVALID_HANDLE) };
            let id = connection.reader;
            if disposition != Disposition::Leave {
                call.wait_while(|state| {
                    state.reader(id).is_some_and(|reader| reader.is_locked_against(card))
                })?;
            }
            if let Some(reader) = call.reader_mut(id).filter(|reader| !reader.is_locked_against(card)) {
                reader.transaction = None;
            }
            // The caller does not learn when it fails: the connection ends all the same.
            let _ = match disposition {
                Disposition::Reset => call.change_power(id, PowerChange::Reset),
                Disposition::Unpower => call.change_power(id, PowerChange::Off),
                Disposition::Leave | Disposition::Eject => Ok(()),
            };
            call.connections.remove(&card);
            if let Some(reader) = call.reader_mut(id) {
                reader.remove_connection();
            }
            call.announce();
            Ok(())
        })
    }
}

fn check_protocols(share: ShareMode, preferred: u32) -> Result<(), Code> {
    let known = protocol::T0 | protocol::T1 | protocol::RAW | protocol::ANY_OLD;
    if share != ShareMode::Direct && preferred & known == 0 {
        return Err(Code::PROTO_MISMATCH);
    }
    Ok(())
}

/// Waits for the end of any transaction, as the service does for a new connection.
fn wait_for_access(call: &mut ActiveCall<'_>, id: ReaderId) -> Result<(), Code> {
    let unplugged = call.quirks.unplugged;
    if call.reader(id).ok_or(unplugged)?.sharing == Sharing::Exclusive {
        return Err(Code::SHARING_VIOLATION);
    }
    call.wait_while(|state| state.reader(id).is_some_and(|reader| reader.transaction.is_some()))?;
    call.reader(id).map(|_| ()).ok_or(unplugged)
}

/// Waits while another connection has a transaction; other calls on the context go on meanwhile.
pub(super) fn wait_for_others(call: &mut ActiveCall<'_>, id: ReaderId, card: CardHandle) -> Result<(), Code> {
    let blocked = |state: &super::State| {
        state.connections.contains_key(&card)
            && state.reader(id).is_some_and(|reader| reader.is_locked_against(card))
    };
    if blocked(call) {
        call.step_aside_while(blocked)?;
    }
    Ok(())
}

/// Powers a card up that has been left without, and refuses one that stays mute.
fn power_up(call: &mut ActiveCall<'_>, id: ReaderId) -> Result<(), Code> {
    let Some(card) = call.reader(id).and_then(|reader| reader.card.as_ref()) else {
        return Err(Code::NO_SMARTCARD);
    };
    if card.power == Power::Off {
        let power = call.on_card(id, |icc| Power::from(icc.power_on())).ok_or(Code::NO_SMARTCARD)?;
        if let Some(card) = call.reader_mut(id).and_then(|reader| reader.card.as_mut()) {
            card.power = power;
        }
    }
    match call.reader(id).and_then(|reader| reader.card.as_ref()).map(|card| &card.power) {
        Some(Power::On { .. }) => Ok(()),
        Some(_) => Err(Code::UNPOWERED_CARD),
        None => Err(Code::NO_SMARTCARD),
    }
}

fn open(
    call: &mut ActiveCall<'_>,
    id: ReaderId,
    context: ContextHandle,
    share: ShareMode,
    preferred: u32,
) -> Result<(u32, CardHandle), Code> {
    let card = CardHandle(call.handle());
    let unplugged = call.quirks.unplugged;
    let reader = call.reader_mut(id).ok_or(unplugged)?;
    let protocol = match share {
        ShareMode::Direct => reader.protocol,
        _ => reader.negotiate(preferred).ok_or(Code::PROTO_MISMATCH)?,
    };
    match (share, reader.sharing) {
        (_, Sharing::Exclusive) => return Err(Code::SHARING_VIOLATION),
        (ShareMode::Exclusive, Sharing::Shared(0)) => {
            reader.sharing = Sharing::Exclusive;
            reader.lock(card);
        }
        (ShareMode::Exclusive, Sharing::Shared(_)) => return Err(Code::SHARING_VIOLATION),
        (ShareMode::Shared | ShareMode::Direct, Sharing::Shared(count)) => {
            reader.sharing = Sharing::Shared(count + 1);
        }
    }
    call.connections.insert(card, Connection { context, reader: id, latched: None });
    Ok((protocol, card))
}

//! The functions of a session, called by its handle as an application does.

use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle};
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::token::attribute::{AttributeAnswers, AttributeQuery};
use jpki_pkcs11::token::mechanism::MechanismRequest;
use jpki_pkcs11::token::output::{BufferSize, Output};
use jpki_pkcs11::token::template::TemplateEntry;

/// Defines a trait for [`Module`] whose functions find a session and call the function of the same
/// name.
macro_rules! by_handle {
    ($($find:ident $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        /// What a session does, by its handle.
        pub trait ByHandle {
            /// C_GetSessionInfo.
            ///
            /// # Errors
            /// As the module says.
            fn session_info(&self, session: SessionHandle) -> Result<ck::CK_SESSION_INFO, Error>;

            /// C_SessionCancel.
            ///
            /// # Errors
            /// As the module says.
            fn session_cancel(&self, session: SessionHandle, flags: ck::CK_FLAGS) -> Result<(), Error>;

            $(
                /// The function of the session with the same name.
                ///
                /// # Errors
                /// As the session says, and that there is none.
                fn $name(&self, session: SessionHandle $(, $argument: $kind)*) -> Result<$result, Error>;
            )*
        }

        impl ByHandle for Module {
            fn session_info(&self, session: SessionHandle) -> Result<ck::CK_SESSION_INFO, Error> {
                Ok(self.polled_session(session)?.info())
            }

            fn session_cancel(&self, session: SessionHandle, flags: ck::CK_FLAGS) -> Result<(), Error> {
                self.session(session)?.cancel(flags);
                Ok(())
            }

            $(
                fn $name(&self, session: SessionHandle $(, $argument: $kind)*) -> Result<$result, Error> {
                    self.$find(session)?.$name($($argument),*)
                }
            )*
        }
    };
}

by_handle! {
    session logout() -> ();
    live_session set_pin(old: PinEntry<'_>, new: PinEntry<'_>) -> ();
    session attributes(object: ObjectHandle, queries: &[AttributeQuery]) -> AttributeAnswers;
    session object_size(object: ObjectHandle) -> usize;
    live_session find_objects_init(template: &[TemplateEntry<'_>]) -> ();
    session find_objects(max: usize) -> Vec<ObjectHandle>;
    session find_objects_final() -> ();
    live_session sign_init(request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> ();
    session sign(data: &[u8], buffer: BufferSize) -> Output;
    session sign_update(part: &[u8]) -> ();
    session sign_final(buffer: BufferSize) -> Output;
    session verify_init(request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> ();
    session verify(data: &[u8], signature: &[u8]) -> ();
    session verify_update(part: &[u8]) -> ();
    session verify_final(signature: &[u8]) -> ();
    session digest_init(request: Option<MechanismRequest<'_>>) -> ();
    session digest(data: &[u8], buffer: BufferSize) -> Output;
    session digest_update(part: &[u8]) -> ();
    session digest_final(buffer: BufferSize) -> Output;
}

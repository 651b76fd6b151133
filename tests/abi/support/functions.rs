//! The functions of the tables, one after the other, to be called with numbers: what is a pointer
//! is known by its type.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_RV, CK_ULONG};

use test_support::Rv;
use test_support::client::ulong;

/// An entry of a table.
pub struct Function {
    pub name: &'static str,
    entry: Option<Box<dyn Callable>>,
}

impl Function {
    fn new<F: Callable + 'static>(name: &'static str, entry: Option<F>) -> Self {
        let entry = entry.map(|function| {
            let entry: Box<dyn Callable> = Box::new(function);
            entry
        });
        Self { name, entry }
    }

    /// Whether the table has nothing here.
    pub fn is_empty(&self) -> bool {
        self.entry.is_none()
    }

    /// Calls it. Words become pointers where the function takes pointers.
    pub fn call(&self, words: &[CK_ULONG]) -> Rv {
        assert_eq!(words.len(), self.entry().arguments(), "{}", self.name);
        Rv(self.entry().with(words))
    }

    /// Calls it with 0 and NULL for everything.
    pub fn call_with_nothing(&self) -> Rv {
        self.call(&vec![0; self.entry().arguments()])
    }

    fn entry(&self) -> &dyn Callable {
        self.entry.as_deref().unwrap_or_else(|| panic!("{} is NULL", self.name))
    }
}

/// Defines the lists of functions.
macro_rules! functions {
    (since_2_40: $($f_2_40:ident)*; since_3_0: $($f_3_0:ident)*; since_3_2: $($f_3_2:ident)*;) => {
        /// The functions of version 2.40.
        pub fn of_2_40(table: &CK_FUNCTION_LIST) -> Vec<Function> {
            vec![$(Function::new(stringify!($f_2_40), table.$f_2_40),)*]
        }

        /// The functions of version 3.0.
        pub fn of_3_0(table: &CK_FUNCTION_LIST_3_0) -> Vec<Function> {
            vec![
                $(Function::new(stringify!($f_2_40), table.$f_2_40),)*
                $(Function::new(stringify!($f_3_0), table.$f_3_0),)*
            ]
        }

        /// The functions of version 3.2.
        pub fn of_3_2(table: &CK_FUNCTION_LIST_3_2) -> Vec<Function> {
            vec![
                $(Function::new(stringify!($f_2_40), table.$f_2_40),)*
                $(Function::new(stringify!($f_3_0), table.$f_3_0),)*
                $(Function::new(stringify!($f_3_2), table.$f_3_2),)*
            ]
        }
    };
}

functions! {
    since_2_40:
        C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
        C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
        C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout
        C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
        C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate
        C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest
        C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit
        C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
        C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey
        C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus
        C_CancelFunction C_WaitForSlotEvent;
    since_3_0:
        C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel C_MessageEncryptInit C_EncryptMessage
        C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal C_MessageDecryptInit C_DecryptMessage
        C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal C_MessageSignInit C_SignMessage
        C_SignMessageBegin C_SignMessageNext C_MessageSignFinal C_MessageVerifyInit C_VerifyMessage
        C_VerifyMessageBegin C_VerifyMessageNext C_MessageVerifyFinal;
    since_3_2:
        C_EncapsulateKey C_DecapsulateKey C_VerifySignatureInit C_VerifySignature C_VerifySignatureUpdate
        C_VerifySignatureFinal C_GetSessionValidationFlags C_AsyncComplete C_AsyncGetID C_AsyncJoin
        C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated;
}

/// A C function whose arguments are numbers and pointers.
trait Callable: Send + Sync {
    fn arguments(&self) -> usize;

    fn with(&self, words: &[CK_ULONG]) -> CK_RV;
}

/// An argument.
trait Word: 'static {
    fn from_word(word: CK_ULONG) -> Self;
}

impl Word for CK_ULONG {
    fn from_word(word: CK_ULONG) -> Self {
        word
    }
}

impl Word for ck::CK_BYTE {
    fn from_word(word: CK_ULONG) -> Self {
        word.try_into().expect("a byte")
    }
}

impl<T: 'static> Word for *mut T {
    fn from_word(word: CK_ULONG) -> Self {
        ptr::with_exposed_provenance_mut(word.try_into().expect("CK_ULONG is as wide as a pointer"))
    }
}

impl Word for ck::CK_NOTIFY {
    fn from_word(_: CK_ULONG) -> Self {
        None
    }
}

/// The word for a pointer.
pub fn address<T>(place: *mut T) -> CK_ULONG {
    ulong(place.expose_provenance())
}

/// Implements [`Callable`] for functions of so many arguments.
macro_rules! callable {
    ($count:literal: $($argument:ident)*) => {
        impl<$($argument: Word),*> Callable for unsafe extern "C" fn($($argument),*) -> CK_RV {
            fn arguments(&self) -> usize {
                $count
            }

            fn with(&self, words: &[CK_ULONG]) -> CK_RV {
                let mut words = words.iter().copied();
                let mut next = || words.next().expect("as many words as arguments");
                // SAFETY: as for the macro `c`.
                unsafe { self($($argument::from_word(next())),*) }
            }
        }
    };
}

callable!(1: A);
callable!(2: A B);
callable!(3: A B C);
callable!(4: A B C D);
callable!(5: A B C D E);
callable!(6: A B C D E F);
callable!(7: A B C D E F G);
callable!(8: A B C D E F G H);
callable!(9: A B C D E F G H I);
callable!(10: A B C D E F G H I J);

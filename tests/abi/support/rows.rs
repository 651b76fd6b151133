//! The functions that the module supports, each with arguments that are good: what the standard
//! says of them, as a table. A function without a row is not supported.

use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_RV, CK_ULONG};

use super::host::AUTHENTICATION_PIN;
use test_support::client::SIGNATURE;

/// A good argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A session of a user who is logged in, with an operation of each kind.
    Session,
    Slot,
    /// The slot of the other key.
    OtherSlot,
    PrivateKey,
    PublicKey,
    Number(CK_ULONG),
    /// Data, and then how many bytes it has.
    Input(Vec<u8>),
    /// A PIN, and then how many bytes it has.
    Pin(&'static [u8]),
    /// An attribute without a value, and then how many there are.
    Template(CK_ATTRIBUTE_TYPE),
    /// The count of what stands before it.
    Count,
    /// Room for one value of so many bytes.
    Output(usize),
    /// Room for so many items of so many bytes, and then how many.
    List(usize, usize),
    /// The same, and then a pointer to how many: NULL asks for the number.
    Buffer(usize, usize),
    /// A pointer to the count of what stands before it; the result's goes there.
    CountPointer,
    /// NULL cancels.
    Mechanism(CK_MECHANISM_TYPE),
    /// NULL, though something else may stand there.
    Optional,
    /// NULL, and nothing else may stand there.
    Reserved,
}

use Argument::*;

/// A function with good arguments.
pub struct Row {
    pub arguments: Vec<Argument>,
    /// What it returns then.
    pub good: CK_RV,
}

/// Mechanisms of a card that does PSS: signing and hashing.
pub const MECHANISMS: usize = 13;

/// Bytes of a CK_ULONG and of a pointer.
const ULONG: usize = size_of::<CK_ULONG>();

pub fn row(name: &str) -> Option<Row> {
    let ok = |arguments: &[Argument]| Some(Row { arguments: arguments.to_vec(), good: ck::CKR_OK });
    let but = |good: CK_RV, arguments: &[Argument]| Some(Row { arguments: arguments.to_vec(), good });
    let input = || Input(b"data to be signed".to_vec());
    let signature = || Input(vec![0x5a; SIGNATURE]);
    let pin = || Pin(AUTHENTICATION_PIN);
    let sha256 = Mechanism(ck::CKM_SHA256_RSA_PKCS);
    match name {
        "C_Initialize" => but(ck::CKR_CRYPTOKI_ALREADY_INITIALIZED, &[Optional]),
        "C_Finalize" => ok(&[Reserved]),
        "C_GetInfo" => ok(&[Output(size_of::<ck::CK_INFO>())]),
        "C_GetFunctionList" => ok(&[Output(ULONG)]),
        "C_GetInterfaceList" => ok(&[Buffer(3, size_of::<ck::CK_INTERFACE>()), CountPointer]),
        "C_GetInterface" => ok(&[Optional, Optional, Output(ULONG), Number(0)]),

        "C_GetSlotList" => ok(&[Number(ck::CK_TRUE.into()), Buffer(2, ULONG), CountPointer]),
        "C_GetSlotInfo" => ok(&[Slot, Output(size_of::<ck::CK_SLOT_INFO>())]),
        "C_GetTokenInfo" => ok(&[Slot, Output(size_of::<ck::CK_TOKEN_INFO>())]),
        "C_GetMechanismList" => ok(&[Slot, Buffer(MECHANISMS, ULONG), CountPointer]),
        "C_GetMechanismInfo" => {
            ok(&[Slot, Number(ck::CKM_RSA_PKCS), Output(size_of::<ck::CK_MECHANISM_INFO>())])
        }
        "C_WaitForSlotEvent" => but(ck::CKR_NO_EVENT, &[Number(ck::CKF_DONT_BLOCK), Output(ULONG), Reserved]),
        "C_SetPIN" => ok(&[Session, pin(), Count, pin(), Count]),

        "C_OpenSession" => ok(&[Slot, Number(ck::CKF_SERIAL_SESSION), Optional, Optional, Output(ULONG)]),
        "C_CloseSession" => ok(&[Session]),
        "C_CloseAllSessions" => ok(&[OtherSlot]),
        "C_GetSessionInfo" => ok(&[Session, Output(size_of::<ck::CK_SESSION_INFO>())]),
        "C_SessionCancel" => ok(&[Session, Number(ck::CKF_SIGN)]),
        "C_GetSessionValidationFlags" => ok(&[Session, Number(1), Output(ULONG)]),
        "C_Login" => ok(&[Session, Number(ck::CKU_USER), pin(), Count]),
        "C_LoginUser" => ok(&[Session, Number(ck::CKU_USER), pin(), Count, Optional, Number(0)]),
        "C_Logout" => ok(&[Session]),

        "C_GetObjectSize" => ok(&[Session, PublicKey, Output(ULONG)]),
        "C_GetAttributeValue" => ok(&[Session, PublicKey, Template(ck::CKA_MODULUS), Count]),
        "C_FindObjectsInit" => ok(&[Session, Template(ck::CKA_LABEL), Count]),
        "C_FindObjects" => ok(&[Session, List(1, ULONG), Count, Output(ULONG)]),
        "C_FindObjectsFinal" => ok(&[Session]),

        "C_DigestInit" => ok(&[Session, Mechanism(ck::CKM_SHA256)]),
        "C_Digest" => ok(&[Session, input(), Count, Buffer(32, 1), CountPointer]),
        "C_DigestUpdate" => ok(&[Session, input(), Count]),
        "C_DigestFinal" => ok(&[Session, Buffer(32, 1), CountPointer]),

        "C_SignInit" => ok(&[Session, sha256, PrivateKey]),
        "C_Sign" => ok(&[Session, input(), Count, Buffer(SIGNATURE, 1), CountPointer]),
        "C_SignUpdate" => ok(&[Session, input(), Count]),
        "C_SignFinal" => ok(&[Session, Buffer(SIGNATURE, 1), CountPointer]),

        "C_VerifyInit" => ok(&[Session, sha256, PublicKey]),
        "C_Verify" => but(ck::CKR_SIGNATURE_INVALID, &[Session, input(), Count, signature(), Count]),
        "C_VerifyUpdate" => ok(&[Session, input(), Count]),
        "C_VerifyFinal" => but(ck::CKR_SIGNATURE_INVALID, &[Session, signature(), Count]),

        "C_SeedRandom" => but(ck::CKR_RANDOM_NO_RNG, &[Session, input(), Count]),
        "C_GenerateRandom" => but(ck::CKR_RANDOM_NO_RNG, &[Session, List(8, 1), Count]),
        "C_GetFunctionStatus" | "C_CancelFunction" => but(ck::CKR_FUNCTION_NOT_PARALLEL, &[Session]),
        _ => None,
    }
}

impl Argument {
    /// What the count after it says.
    pub fn count(&self) -> usize {
        match self {
            Input(bytes) => bytes.len(),
            Pin(bytes) => bytes.len(),
            Template(_) => 1,
            List(items, _) | Buffer(items, _) => *items,
            _ => 0,
        }
    }
}

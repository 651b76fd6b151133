//! Signing through C: buffers, operations, mechanisms, lengths. The card's ledger tells how many
//! signatures it made.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};
use pcsc_stand_in::isolated;
use virtual_card::Credential;

use crate::support::guarded::{Guarded, UNTOUCHED};
use crate::support::host::{Host, assert_raw_signature, assert_signature};
use crate::support::process::peak_memory;
use test_support::Rv;
use test_support::c;
use test_support::client::ulong;
use test_support::client::{SIGNATURE, mechanism};

const DATA: &[u8] = b"data to be signed";
/// PKCS #1 v1.5 needs eleven bytes of the modulus for itself.
const LONGEST_RAW: usize = 256 - 11;

/// The bytes of a parameter of PSS: three numbers.
const PSS_PARAMETER: usize = 3 * size_of::<CK_ULONG>();

/// A session with the authentication key, whose user is logged in.
struct Signer {
    host: Host,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
}

impl Signer {
    fn new(host: Host) -> Self {
        let session = host.logged_in();
        let key = host.private_key(session);
        Self { host, session, key }
    }

    fn init(&self, kind: CK_MECHANISM_TYPE) -> Rv {
        self.host.sign_init(self.session, kind, self.key)
    }

    fn init_with(&self, kind: CK_MECHANISM_TYPE, parameter: *mut u8, length: CK_ULONG) -> Rv {
        let mut mechanism =
            CK_MECHANISM { mechanism: kind, pParameter: parameter.cast(), ulParameterLen: length };
        c!(self.host.p11, C_SignInit(self.session, &raw mut mechanism, self.key))
    }

    fn cancel(&self) -> Rv {
        c!(self.host.p11, C_SignInit(self.session, ptr::null_mut(), self.key))
    }

    /// C_Sign of [`DATA`].
    fn sign_into(&self, signature: *mut CK_BYTE, length: &mut CK_ULONG) -> Rv {
        let data = DATA.as_ptr().cast_mut();
        c!(self.host.p11, C_Sign(self.session, data, ulong(DATA.len()), signature, length))
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Rv> {
        self.host.sign(self.session, data)
    }

    fn update(&self, part: &[u8]) -> Rv {
        let place = part.as_ptr().cast_mut();
        c!(self.host.p11, C_SignUpdate(self.session, place, ulong(part.len())))
    }

    fn finish(&self) -> Result<Vec<u8>, Rv> {
        let mut signature = vec![0; SIGNATURE];
        let mut length = ulong(SIGNATURE);
        match c!(self.host.p11, C_SignFinal(self.session, signature.as_mut_ptr(), &raw mut length)) {
            Rv(ck::CKR_OK) => Ok(signature),
            rv => Err(rv),
        }
    }
}

#[test]
fn questions_and_short_buffers_before_a_signature_cost_no_other() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        let short = Guarded::room(SIGNATURE - 1);
        let exact = Guarded::room(SIGNATURE);
        let mut length = 0;
        signer.sign_into(ptr::null_mut(), &mut length).ok();
        assert_eq!(length, ulong(SIGNATURE));
        length = ulong(SIGNATURE - 1);
        assert_eq!(signer.sign_into(short.place(), &mut length), ck::CKR_BUFFER_TOO_SMALL);
        assert_eq!(length, ulong(SIGNATURE));
        assert!(short.is_untouched());
        assert_eq!(signer.host.signatures(), 0);
        signer.sign_into(exact.place(), &mut length).ok();
        assert_eq!((length, signer.host.signatures()), (ulong(SIGNATURE), 1));
        assert_signature(Credential::Authentication, DATA, exact.bytes());
        assert_eq!(signer.sign_into(exact.place(), &mut length), ck::CKR_OPERATION_NOT_INITIALIZED);
    });
}

#[test]
fn a_larger_buffer_is_filled_no_further_than_the_signature() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        let mut room = [UNTOUCHED; SIGNATURE + 64];
        let mut length = ulong(room.len());
        signer.sign_into(room.as_mut_ptr(), &mut length).ok();
        assert_eq!(length, ulong(SIGNATURE));
        assert_signature(Credential::Authentication, DATA, &room[..SIGNATURE]);
        assert_eq!(room[SIGNATURE..], [UNTOUCHED; 64]);
    });
}

#[test]
fn data_and_signature_may_overlap_anywhere() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        for (at, signature_at) in [(0, 0), (0, 5), (200, 0), (SIGNATURE - DATA.len(), 0)] {
            signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
            let mut memory = Guarded::room(signature_at + SIGNATURE);
            memory.bytes_mut()[at..at + DATA.len()].copy_from_slice(DATA);
            let data = memory.place::<u8>().wrapping_add(at);
            let signature = memory.place::<u8>().wrapping_add(signature_at);
            let mut length = ulong(SIGNATURE);
            let count = ulong(DATA.len());
            c!(signer.host.p11, C_Sign(signer.session, data, count, signature, &raw mut length)).ok();
            assert_signature(Credential::Authentication, DATA, &memory.bytes()[signature_at..]);
        }
        assert_eq!(signer.host.signatures(), 4);
    });
}

#[test]
fn parts_give_the_same_signature_as_the_whole() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        DATA.chunks(5).for_each(|part| signer.update(part).ok());
        let signature = signer.finish().unwrap();
        assert_signature(Credential::Authentication, DATA, &signature);
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        assert_eq!(signer.sign(DATA), Ok(signature));
    });
}

#[test]
fn a_second_operation_is_refused_and_the_first_goes_on() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        assert_eq!(signer.init(ck::CKM_RSA_PKCS), ck::CKR_OPERATION_ACTIVE);
        assert_signature(Credential::Authentication, DATA, &signer.sign(DATA).unwrap());
    });
}

#[test]
fn no_mechanism_cancels_from_every_table() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let (session, key) = (signer.session, signer.key);
        let (old, middle) = (signer.host.library.table_2_40(), signer.host.library.table_3_0());
        // There is nothing to cancel at first.
        signer.cancel().ok();
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        c!(old, C_SignInit(session, ptr::null_mut(), key)).ok();
        assert_eq!(signer.sign(DATA), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        c!(middle, C_SignInit(session, ptr::null_mut(), key)).ok();
        assert_eq!(signer.finish(), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
        assert_eq!(signer.host.signatures(), 0);
    });
}

#[test]
fn nothing_is_signed_hashed_or_verified_without_an_operation() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let bytes = Guarded::room(SIGNATURE);
        let place = bytes.place::<CK_BYTE>();
        let (mut length, mut count, n) = (ulong(SIGNATURE), 0, ulong(SIGNATURE));
        let mut object = 0;
        for rv in [
            c!(host.p11, C_Sign(session, place, n, place, &raw mut length)),
            c!(host.p11, C_Sign(session, place, n, ptr::null_mut(), &raw mut length)),
            c!(host.p11, C_SignUpdate(session, place, n)),
            c!(host.p11, C_SignFinal(session, place, &raw mut length)),
            c!(host.p11, C_Verify(session, place, n, place, n)),
            c!(host.p11, C_VerifyUpdate(session, place, n)),
            c!(host.p11, C_VerifyFinal(session, place, n)),
            c!(host.p11, C_Digest(session, place, n, place, &raw mut length)),
            c!(host.p11, C_DigestUpdate(session, place, n)),
            c!(host.p11, C_DigestFinal(session, place, &raw mut length)),
            c!(host.p11, C_FindObjects(session, &raw mut object, 1, &raw mut count)),
            c!(host.p11, C_FindObjectsFinal(session)),
        ] {
            assert_eq!(rv, ck::CKR_OPERATION_NOT_INITIALIZED);
        }
        assert!(bytes.is_untouched());
    });
}

#[test]
fn signing_at_once_after_parts_is_refused_and_ends_the_operation() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        signer.update(DATA).ok();
        assert_eq!(signer.sign(DATA), Err(Rv(ck::CKR_OPERATION_ACTIVE)));
        assert_eq!(signer.finish(), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
    });
}

#[test]
fn cancelling_a_session_ends_what_the_flags_name_and_nothing_else() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let (p11, session) = (signer.host.p11, signer.session);
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        // Unknown flags, and operations that are not active.
        c!(p11, C_SessionCancel(session, !(ck::CKF_SIGN))).ok();
        c!(p11, C_SessionCancel(session, 0)).ok();
        assert_signature(Credential::Authentication, DATA, &signer.sign(DATA).unwrap());
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        c!(p11, C_SessionCancel(session, ck::CKF_SIGN)).ok();
        assert_eq!(signer.sign(DATA), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
    });
}

#[test]
fn an_unknown_mechanism_is_invalid_whatever_its_parameter() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let garbage = Guarded::of(&[0xff; PSS_PARAMETER]);
        for kind in [ck::CKM_RSA_X_509, ck::CKM_ECDSA, ck::CKM_SHA256, ck::CKM_VENDOR_DEFINED, CK_ULONG::MAX]
        {
            assert_eq!(signer.init(kind), ck::CKR_MECHANISM_INVALID);
            assert_eq!(
                signer.init_with(kind, garbage.place(), ulong(PSS_PARAMETER)),
                ck::CKR_MECHANISM_INVALID
            );
        }
    });
}

#[test]
fn a_parameter_where_none_belongs_is_refused() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let garbage = Guarded::of(&[0xff; PSS_PARAMETER]);
        for kind in [ck::CKM_RSA_PKCS, ck::CKM_SHA1_RSA_PKCS, ck::CKM_SHA512_RSA_PKCS] {
            for (place, length) in [
                (garbage.place(), 1),
                (garbage.place(), ulong(PSS_PARAMETER)),
                (garbage.place(), 1 << 31),
                (garbage.place(), CK_ULONG::MAX),
                (ptr::null_mut(), 1),
                (ptr::null_mut(), CK_ULONG::MAX),
            ] {
                assert_eq!(signer.init_with(kind, place, length), ck::CKR_MECHANISM_PARAM_INVALID);
            }
            // A pointer to nothing is nothing.
            signer.init_with(kind, garbage.place(), 0).ok();
            signer.cancel().ok();
        }
    });
}

#[test]
fn a_pss_parameter_other_than_the_cards_is_refused() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let parameter = |hash: CK_ULONG, mask: CK_ULONG, salt: CK_ULONG| {
            Guarded::of(&[hash, mask, salt].map(CK_ULONG::to_ne_bytes).concat())
        };
        let good = parameter(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32);
        let bad = [
            parameter(ck::CKM_SHA384, ck::CKG_MGF1_SHA256, 32),
            parameter(ck::CKM_SHA256, ck::CKG_MGF1_SHA1, 32),
            parameter(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 20),
            parameter(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, CK_ULONG::MAX),
            Guarded::of(&good.bytes()[..PSS_PARAMETER - 1]),
            Guarded::of(&[good.bytes(), &[0]].concat()),
        ];
        for kind in [ck::CKM_RSA_PKCS_PSS, ck::CKM_SHA256_RSA_PKCS_PSS] {
            for bad in &bad {
                let rv = signer.init_with(kind, bad.place(), ulong(bad.bytes().len()));
                assert_eq!(rv, ck::CKR_MECHANISM_PARAM_INVALID);
            }
            for (place, length) in
                [(ptr::null_mut(), 0), (ptr::null_mut(), ulong(PSS_PARAMETER)), (good.place(), 1 << 31)]
            {
                assert_eq!(signer.init_with(kind, place, length), ck::CKR_MECHANISM_PARAM_INVALID);
            }
            signer.init_with(kind, good.place(), ulong(PSS_PARAMETER)).ok();
            signer.cancel().ok();
        }
    });
}

#[test]
fn a_parameter_may_stand_at_a_misaligned_place() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let words = [ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32].map(CK_ULONG::to_ne_bytes).concat();
        let memory = Guarded::of(&[&[0], &words[..], &[0]].concat());
        let place = memory.place::<u8>().wrapping_add(1);
        signer.init_with(ck::CKM_SHA256_RSA_PKCS_PSS, place, ulong(PSS_PARAMETER)).ok();
        signer.sign(DATA).unwrap();
    });
}

#[test]
fn raw_data_has_1_to_245_bytes() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let data = Guarded::room(LONGEST_RAW + 1);
        for length in [1, LONGEST_RAW] {
            signer.init(ck::CKM_RSA_PKCS).ok();
            let block = &data.bytes()[..length];
            assert_raw_signature(Credential::Authentication, block, &signer.sign(block).unwrap());
        }
        for length in [0, LONGEST_RAW + 1] {
            signer.init(ck::CKM_RSA_PKCS).ok();
            let refused = signer.sign(&data.bytes()[..length]);
            assert_eq!(refused, Err(Rv(ck::CKR_DATA_LEN_RANGE)), "{length} bytes");
            assert_eq!(signer.sign(b"1"), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
        }
        assert_eq!(signer.host.signatures(), 2);
    });
}

#[test]
fn raw_data_that_claims_to_be_huge_is_refused_unread() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        let data = Guarded::room(1);
        let room = Guarded::room(SIGNATURE);
        for length in [1 << 30, CK_ULONG::MAX / 2] {
            signer.init(ck::CKM_RSA_PKCS).ok();
            let mut count = ulong(SIGNATURE);
            let rv = c!(
                signer.host.p11,
                C_Sign(signer.session, data.place(), length, room.place(), &raw mut count)
            );
            assert_eq!(rv, ck::CKR_DATA_LEN_RANGE);
            assert!(room.is_untouched());
        }
    });
}

#[test]
fn much_data_in_parts_is_hashed_in_little_memory() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_SHA256_RSA_PKCS).ok();
        let part = vec![0x5a; 1 << 20];
        signer.update(&part).ok();
        let before = peak_memory();
        (1..64).for_each(|_| signer.update(&part).ok());
        let growth = peak_memory() - before;
        assert!(growth < 2048, "{growth} KiB more");
        let whole = part.repeat(64);
        assert_signature(Credential::Authentication, &whole, &signer.finish().unwrap());
    });
}

#[test]
fn raw_data_in_parts_is_refused_where_it_becomes_too_long() {
    isolated!(|stand_in| {
        let signer = Signer::new(Host::new(stand_in));
        signer.init(ck::CKM_RSA_PKCS).ok();
        signer.update(&[1; LONGEST_RAW]).ok();
        assert_eq!(signer.update(&[1]), ck::CKR_DATA_LEN_RANGE);
        assert_eq!(signer.finish(), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
    });
}

#[test]
fn a_public_key_does_not_sign_and_a_private_key_does_not_verify() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let public = host.find(session, ck::CKO_PUBLIC_KEY);
        let private = host.private_key(session);
        let mut mechanism = mechanism(ck::CKM_SHA256_RSA_PKCS);
        let sign = c!(host.p11, C_SignInit(session, &raw mut mechanism, public));
        assert_eq!(sign, ck::CKR_KEY_FUNCTION_NOT_PERMITTED);
        let verify = c!(host.p11, C_VerifyInit(session, &raw mut mechanism, private));
        assert_eq!(verify, ck::CKR_KEY_FUNCTION_NOT_PERMITTED);
    });
}

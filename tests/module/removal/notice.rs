//! A service that notices a removal late.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::calls::rv;
use crate::support::fixture::Fixture;
use cryptoki_sys as ck;
use pcsc_stand_in::service::{Caller, Code, Fault, Function, When};
use virtual_card::Credential;

/// The module waits longer than this for it.
const NOTICED: Duration = Duration::from_millis(400);

/// pcscd calls a command "not transacted" at first whose card was pulled. Whether it is gone
/// decides what the caller is told, and whether the card's power is taken.
#[test]
fn a_removal_that_the_service_notices_after_the_failed_command_is_a_removal() {
    // A test that a busy machine kept from pulling the card in time says nothing.
    for _ in 0..5 {
        let fixture = Fixture::builder().waiting().build();
        let session = fixture.logged_in(Credential::Authentication);
        let key = fixture.key(session);
        fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
        let unsent = Fault::Fail(Code::NOT_TRANSACTED);
        fixture.service().inject(Function::Transmit, When::NEXT, unsent);
        let (code, waited) = thread::scope(|scope| {
            let signer = scope.spawn(|| rv(fixture.finish_sign(session, b"data")));
            while fixture.service().blocked_calls(Function::GetStatusChange) == 0 && !signer.is_finished() {
                thread::yield_now();
            }
            let begun = Instant::now();
            fixture.remove_card();
            let waited = begun.elapsed();
            (signer.join().expect("no panic"), waited)
        });
        if waited > NOTICED && code != ck::CKR_DEVICE_REMOVED {
            continue;
        }
        assert_eq!(code, ck::CKR_DEVICE_REMOVED);
        assert_eq!(fixture.service().power_counts(Caller::Tested).unpowers, 0);
        return;
    }
    panic!("the card could not be pulled in time");
}

#[test]
fn a_card_that_stays_after_a_failed_command_is_no_removal() {
    let fixture = Fixture::builder().waiting().build();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.service().inject(Function::Transmit, When::NEXT, Fault::Fail(Code::NOT_TRANSACTED));
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("it is tried again");
}

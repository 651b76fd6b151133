use std::fs;

use virtual_card::{Identity, Validity};

use crate::support::{ENGLISH, JAPANESE, Machine};

const NO_CARD: [&str; 2] = ["No card that can be used", "使えるカードがありません"];
const NONE: [&str; 2] = ["no CA certificate that can be read", "認証局の証明書を読み取れません"];

#[test]
fn each_ca_certificate_is_printed_without_a_pin() {
    for (card, which) in [("full", "authentication"), ("full", "signature"), ("blocked-sign", "signature")] {
        let machine = Machine::with_card(card);
        Identity::shared()
            .write_certificates(machine.home(), Validity::Current)
            .expect("the home is writable");
        let wanted =
            fs::read_to_string(machine.home().join(format!("{which}-ca.pem"))).expect("it was written");
        let run = machine.run(ENGLISH, &["ca-certificate", which]);
        assert_eq!((run.exit, &*run.remarks, &*run.text), (0, "", &*wanted), "{card}");
    }
}

#[test]
fn cards_of_one_ca_give_its_certificate_once() {
    let machine = Machine::new("reader=READER;card=full;reader=Other 01 00;card=full@1");
    let run = machine.run(ENGLISH, &["ca-certificate", "signature"]);
    assert_eq!((run.exit, run.text.matches("BEGIN CERTIFICATE").count()), (0, 1), "{}", run.remarks);
}

/// The configuration decides what programs see, not what a person may read.
#[test]
fn the_configuration_hides_no_ca_certificate() {
    let machine =
        Machine::with_card("full").configured("slots = \"authentication\"\nca_certificates = false\n");
    assert_eq!(machine.run(ENGLISH, &["ca-certificate", "signature"]).exit, 0);
}

#[test]
fn a_card_without_a_ca_certificate_says_why() {
    for (service, said) in [
        ("reader=READER", NO_CARD),
        ("do=kill-service", NO_CARD),
        ("reader=READER;card=full;do=card full1 set-file 0002 FFFFFFFF", NONE),
        ("reader=READER;card=full;do=card full1 fault ins B0 repeated answer 6F00", NONE),
    ] {
        for (locale, text) in [(ENGLISH, said[0]), (JAPANESE, said[1])] {
            let run = Machine::new(service).run(locale, &["ca-certificate", "signature"]);
            assert_eq!((run.exit, &*run.text), (1, ""), "{service}");
            assert!(run.remarks.contains(text), "{service}: {}", run.remarks);
        }
    }
}

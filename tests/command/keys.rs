use crate::support::terminal::AtTerminal;
use crate::support::{ENGLISH, JAPANESE, Machine, READER};

const SIGNATURE: &str = "PIN for digital signatures: ";

fn log_in(machine: &Machine, keys: &str) -> (String, i32) {
    let mut at = AtTerminal::start(machine.command(ENGLISH, &["status", "--login"]));
    at.wait_for(SIGNATURE);
    at.type_keys(keys);
    at.type_keys("\r");
    at.finish()
}

#[test]
fn what_was_typed_can_be_erased_by_the_usual_keys() {
    for keys in ["WRONG1\u{17}ABC123", "WRONG1\u{15}ABC123", "ABC1245\u{7f}\u{8}3"] {
        let (seen, exit) = log_in(&Machine::with_card("full"), keys);
        assert_eq!(exit, 0, "{keys:?}: {seen}");
    }
}

/// F1 and an arrow send an escape character with letters behind it.
#[test]
fn no_rest_of_another_key_is_taken_for_a_part_of_the_pin() {
    for keys in ["\u{1b}OPABC123", "ABC\u{1b}[D123", "ABC123\t", "\u{1}ABC123"] {
        let (seen, exit) = log_in(&Machine::with_card("full"), keys);
        assert!(exit == 1 && seen.contains("no try was lost"), "{keys:?}: {seen}");
        assert!(seen.contains("PIN: 5 of 5 tries left"), "{keys:?}: {seen}");
    }
}

#[test]
fn before_a_login_the_card_and_its_tries_are_said() {
    let other = "Other 01 00";
    let machine = Machine::new(&format!(
        "reader=READER;card=full;reader={other};card=full@1;do=card full1 set-tries signature 4"
    ));
    for (locale, prompt, tries) in [
        (ENGLISH, SIGNATURE, ["4 of 5 tries left", "5 of 5 tries left"]),
        (JAPANESE, "署名用電子証明書の暗証番号: ", ["残り4回", "残り5回"]),
    ] {
        let mut at = AtTerminal::start(machine.command(locale, &["status", "--login"]));
        at.answer(prompt, "");
        at.answer(prompt, "");
        let (seen, _) = at.finish();
        let asked: Vec<_> = seen.split(prompt).collect();
        for (at, (reader, tries)) in [READER, other].iter().zip(tries).enumerate() {
            assert!(asked[at].contains(reader) && asked[at].contains(tries), "{at}: {seen}");
        }
        assert!(!asked[0].contains(other) && !asked[1].contains(READER), "{seen}");
    }
}

use crate::support::{ENGLISH, JAPANESE, Machine};

#[test]
fn a_card_gives_one_line_with_its_authentication_key() {
    let run = Machine::with_card("full").run(ENGLISH, &["ssh-key"]);
    assert_eq!((run.exit, &*run.remarks), (0, ""));
    let words: Vec<_> = run.text.trim_end().split(' ').collect();
    let [kind, key, comment] = words[..] else { panic!("{}", run.text) };
    assert!(kind == "ssh-rsa" && key.starts_with("AAAAB3NzaC1yc2E") && comment.starts_with("jpki-"));
    assert_eq!(run.text.lines().count(), 1);
    let other = Machine::with_card("full@1").run(ENGLISH, &["ssh-key"]);
    assert!(!other.text.contains(key), "another person has another key");
}

#[test]
fn a_card_without_a_key_to_show_says_why() {
    for (service, english, japanese) in [
        ("reader=READER", "No card that can be used", "使えるカードがありません"),
        ("reader=READER;card=android", "only after the PIN", "暗証番号を入力するまで鍵を示さない"),
        ("do=kill-service", "No card that can be used", "使えるカードがありません"),
    ] {
        for (locale, text) in [(ENGLISH, english), (JAPANESE, japanese)] {
            let run = Machine::new(service).run(locale, &["ssh-key"]);
            assert_eq!((run.exit, &*run.text), (1, ""), "{service}");
            assert!(run.remarks.contains(text), "{service}: {}", run.remarks);
        }
    }
}

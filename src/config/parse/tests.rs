use super::*;

#[test]
fn rule_12_no_complaint_quotes_the_file() {
    for text in
        ["pin = 4649x", "pin = 4649", "4649 = 1", "slots = 4649", "[log]\nlevel = \"4649\"\nfile = 4649"]
    {
        let complaints = Parsed::of(text).complaints;
        assert!(
            !complaints.is_empty() && complaints.iter().all(|line| !line.to_string().contains("4649")),
            "{text}"
        );
    }
}

#[test]
fn a_setting_that_protects_holds_at_a_wrong_place_and_in_another_spelling() {
    for text in [
        "[readers]\nuse = \"*\"\n[log]\nlevel = \"info\"\nreserve_tries = 1\nalways_authenticate = true\n",
        "[readers]\nreserve_tries = 1\nalways_authenticate = \"yes\"\n",
        "reserve-tries = 1\nAlways_Authenticate = true\n",
        "[jpki]\nreserve_tries = 1\n[jpki.pin]\nalways_authenticate = 1\n",
        "[[pins]]\nReserveTries = \"one\"\nalwaysAuthenticate = true\n",
    ] {
        let parsed = Parsed::of(text);
        assert_eq!((parsed.reserve_tries, parsed.always_authenticate), (Some(1), Some(true)), "{text}");
        assert_eq!(parsed.complaints.len(), 2, "{text}: {:?}", parsed.complaints);
    }
    let twice = Parsed::of("reserve_tries = 0\nalways_authenticate = false\n[log]\nreserve_tries = 2\n");
    assert_eq!((twice.reserve_tries, twice.always_authenticate), (Some(2), Some(false)));
    let weaker = Parsed::of("reserve_tries = 2\n[log]\nreserve_tries = 1\nalways_authenticate = false\n");
    assert_eq!((weaker.reserve_tries, weaker.always_authenticate), (Some(2), Some(false)));
}

#[test]
fn a_setting_that_protects_holds_in_a_value_that_its_key_cannot_have() {
    const SET: &str = "reserve_tries = 1\nalways_authenticate = true\n";
    for key in ["readers", "log", "slots", "pss", "ca_certificates", "readers.use", "readers.ignore"] {
        for table in [format!("[[{key}]]\nignore = \"*TPM*\"\n"), format!("[[{key}.x]]\n")] {
            let parsed = Parsed::of(&format!("{table}{SET}"));
            assert_eq!((parsed.reserve_tries, parsed.always_authenticate), (Some(1), Some(true)), "{table}");
        }
    }
    for table in ["[slots]", "[readers.extended_length]", "[log.level]", "[log.file]", "[pss]"] {
        let parsed = Parsed::of(&format!("{table}\n{SET}"));
        assert_eq!((parsed.reserve_tries, parsed.always_authenticate), (Some(1), Some(true)), "{table}");
        // The two settings, and the value.
        assert_eq!(parsed.complaints.len(), 3, "{table}: {:?}", parsed.complaints);
    }
    assert_eq!(Parsed::of("[reserve_tries]\nalways_authenticate = true").always_authenticate, Some(true));
    assert_eq!(Parsed::of("[always_authenticate]\nreserve_tries = 2").reserve_tries, Some(2));
}

#[test]
fn a_file_that_is_left_out_asks_each_time_if_it_says_so() {
    let deep = "x = ".to_owned() + &"[".repeat(100);
    for mistake in ["pss =", &deep] {
        for (line, asks) in
            [("always_authenticate = true", Some(true)), ("Always-Authenticate = 1", Some(true)), ("", None)]
        {
            let parsed = Parsed::of(&format!("{line}\n{mistake}\n"));
            assert_eq!((parsed.reserve_tries, parsed.always_authenticate), (Some(1), asks), "{line:?}");
        }
    }
}

#[test]
fn a_deep_text_is_not_parsed() {
    let dots = ".a".repeat(17);
    for text in [
        "[".repeat(100),
        format!("a = {}", "[".repeat(17)),
        format!("a{dots} = 1"),
        // What closes in a comment or in a string closes nothing.
        format!("a = {}", "[ # ]\n".repeat(17)),
        format!("a = {}", "[ ']', ".repeat(17)),
        format!("a = {}", "{ a.b =\n".repeat(9)),
        // What looks like a comment, and is none.
        format!("\"#\"{dots} = 1"),
        format!("'#'{dots} = 1"),
        format!("\"\\\"#\"{dots} = 1"),
        format!("a = {{ x = \"\"\"\n# \"\"\", a{dots} = 1 }}"),
        format!("a = {{ x = '''\n# ''', a{dots} = 1 }}"),
        format!("b'x \"y' # \"{dots} = 1"),
        // A comment ends here for the parser.
        format!("# \ra{dots} = 1"),
    ] {
        let parsed = Parsed::of(&text);
        let too_deep = Mistake::LeftOut(Reason::TooDeep);
        assert_eq!(parsed.complaints, [Complaint { file: None, mistake: too_deep }], "{text:?}");
        assert_eq!(parsed.reserve_tries, Some(1));
    }
}

#[test]
fn dots_and_brackets_in_comments_and_strings_are_not_deep() {
    let many = ". [ {".repeat(17);
    for text in [
        "readers = { use = [\"a.b\", \"c\"] }".to_owned(),
        format!("# {many}\nslots = \"both\"\n"),
        format!("slots = \"both\" # {many}\n"),
        format!("readers = {{ use = \"{many}\" }}\n"),
        format!("[log]\nfile = '{}' # {many}", std::env::temp_dir().join(&many).display()),
    ] {
        let parsed = Parsed::of(&text);
        assert_eq!(parsed.complaints, Vec::new(), "{text:?}");
        assert!(parsed.reserve_tries.is_none());
    }
}

#[test]
fn a_syntax_error_tells_its_line() {
    let parsed = Parsed::of("slots = \"both\"\npss =\n");
    assert!(parsed.complaints[0].to_string().contains("line 2"), "{:?}", parsed.complaints);
    assert_eq!(parsed.slots, None);
    // One that begins its line, too.
    for text in ["reserve_tries = 1\nreserve_tries = 2\n", "pss = \"on\"\n]\n"] {
        let parsed = Parsed::of(text);
        assert!(parsed.complaints[0].to_string().contains("line 2"), "{:?}", parsed.complaints);
    }
}

//! The traits by name, the chips drawn at random, and the facts that a test expects of them.

use std::collections::BTreeSet;

use virtual_card::lottery::{self, ODDS};
use virtual_card::traits::{TRAITS, Trait};
use virtual_card::{FileAnswer, Profile, TriesQuery, aid};

fn trait_called(name: &str) -> &'static Trait {
    Trait::find(name).unwrap_or_else(|| panic!("no trait {name}"))
}

#[test]
fn every_row_of_the_table_adds_up_to_a_hundred() {
    for (name, values) in ODDS {
        assert_eq!(values.iter().map(|(chance, _)| chance).sum::<u32>(), 100, "{name}");
        assert_eq!(trait_called(name).value(&Profile::full()), values[0].1, "{name}: the usual value first");
    }
}

#[test]
fn every_trait_but_the_signature_certificate_is_drawn() {
    let drawn: BTreeSet<_> = ODDS.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> =
        TRAITS.iter().map(|known| known.name).filter(|name| !drawn.contains(name)).collect();
    assert_eq!(missing, ["signature-certificate"]);
}

#[test]
fn a_trait_keeps_the_value_it_was_given() {
    for (name, values) in ODDS {
        for (_, value) in values.iter().filter(|(_, value)| *value != "any") {
            let profile = Profile::described_by(&format!("full+{name}={value}")).unwrap();
            assert_eq!(trait_called(name).value(&profile), *value, "{name}");
            let deviations: Vec<_> = profile.deviations().map(|known| known.name).collect();
            let expected = if *value == values[0].1 { vec![] } else { vec![*name] };
            assert_eq!(deviations, expected, "{name}={value}");
        }
    }
}

#[test]
fn a_value_that_there_is_not_is_refused() {
    for wrong in ["full+isd=maybe", "full+isd", "full+nose=long", "nothing", "draw-x", "full+long-read=6C00"]
    {
        assert!(Profile::described_by(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_chip_is_the_same_for_the_same_seed_and_can_be_described() {
    for seed in 0..100 {
        let chip = Profile::draw(seed);
        assert_eq!(chip, Profile::draw(seed));
        let again = Profile::described_by(&chip.to_string()).unwrap();
        assert_eq!(again.to_string(), chip.to_string());
        assert_eq!(Profile::by_name(&format!("draw-{seed}")), Some(chip));
    }
    assert_ne!(Profile::draw(0).to_string(), Profile::draw(1).to_string());
    assert_eq!(Profile::full().to_string(), "full");
}

#[test]
fn values_come_about_as_often_as_the_table_says() {
    const DRAWS: u64 = 4000;
    let chips = lottery::sample(DRAWS);
    for (name, values) in ODDS {
        let usual = chips.iter().filter(|chip| !trait_called(name).deviates(chip)).count();
        let percent = usual as f64 * 100.0 / DRAWS as f64;
        assert!((percent - f64::from(values[0].0)).abs() < 4.0, "{name}: {percent}");
    }
}

#[test]
fn thirty_chips_show_every_two_traits_together() {
    assert_eq!(lottery::missing_pairs(&lottery::sample(30)), []);
}

#[test]
fn the_pairwise_chips_show_every_two_values_together() {
    let chips = lottery::pairwise();
    assert!(chips.len() < 200, "{}", chips.len());
    let shown: Vec<Vec<String>> = chips
        .iter()
        .map(|chip| ODDS.iter().map(|(name, _)| trait_called(name).value(chip)).collect())
        .collect();
    for (one, (name, values)) in ODDS.iter().enumerate() {
        for (other, (other_name, others)) in ODDS.iter().enumerate().skip(one + 1) {
            for (value, partner) in values.iter().flat_map(|(_, v)| others.iter().map(move |(_, o)| (*v, *o)))
            {
                let is = |shown: &str, wanted: &str| shown == wanted || wanted == "any";
                let met = shown.iter().any(|row| is(&row[one], value) && is(&row[other], partner));
                assert!(met, "{name}={value} and {other_name}={partner}");
            }
        }
    }
}

#[test]
fn the_signature_token_is_absent_only_if_nothing_contradicts_it() {
    for (content, shown) in [
        ("8F8F00", true),
        ("010100", true),
        ("FFFFFF", true),
        ("8F", true),
        ("none", true),
        ("000000", true),
        ("0000", true),
        ("008F00", false),
        ("000100", false),
        ("00", false),
    ] {
        let text = format!("full+ef-0008-content={content}");
        assert_eq!(Profile::described_by(&text).unwrap().has_signature_token(), shown, "{content}");
        let refused = Profile::described_by(&format!("{text}+ef-0008=6A86")).unwrap();
        assert!(refused.has_signature_token(), "{content} cannot be read");
        let warned = Profile::described_by(&format!("{text}+ef-0008=warning")).unwrap();
        assert_eq!(warned.has_signature_token(), shown, "{content} comes with a warning");
    }
    let mut neither = Profile::described_by("full+ef-0008-content=000000").unwrap();
    neither.authentication = None;
    assert!(!neither.has_signature_token());
}

#[test]
fn a_drawn_chip_has_a_signature_certificate_where_the_token_is_to_be_shown() {
    for chip in lottery::sample(500).into_iter().chain(lottery::pairwise()) {
        let present = trait_called("signature-certificate").value(&chip) == "present";
        assert_eq!(present, chip.has_signature_token(), "{chip}");
        assert!(chip.has_authentication_certificate(), "{chip}");
    }
}

#[test]
fn the_facts_follow_the_traits() {
    assert!(Profile::full().can_pss());
    assert!(!Profile::conservative().can_pss());
    assert!(!Profile { ignores_scheme: true, ..Profile::full() }.can_pss());

    let mut profile = Profile::full();
    for aid in aid::NEUTRAL {
        assert!(profile.another_application_is_selectable());
        profile.refused_applications.insert(aid, 0x6a82);
    }
    assert!(!profile.another_application_is_selectable());

    assert!(Profile { tries_query: TriesQuery::UnlessVerified, ..Profile::full() }.counts_tries());
    assert!(!Profile { tries_query: TriesQuery::Refused(0x6a86), ..Profile::full() }.counts_tries());
    assert_eq!(Profile::without_pin().pin(virtual_card::Credential::Authentication), None);
    assert_eq!(Profile::iphone().pin(virtual_card::Credential::Authentication), Some("9753"));

    let refused = [(0x000a, FileAnswer::Refused(0x6a82))].into();
    assert!(!Profile { file_answers: refused, ..Profile::full() }.has_authentication_certificate());
    assert!(!Profile::not_jpki().has_signature_token());
}

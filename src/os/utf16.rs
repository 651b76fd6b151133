//! Texts as Windows has them: UTF-16, ended by a zero. A list of texts ends with an empty one.

/// A text with its zero.
pub(super) fn with_zero(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The texts of a list. What is no UTF-16 becomes the sign for that.
pub(super) fn texts_of(list: &[u16]) -> Vec<String> {
    list.split(|unit| *unit == 0).take_while(|text| !text.is_empty()).map(String::from_utf16_lossy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of texts, as Windows gives one.
    fn list_of(texts: &[&str]) -> Vec<u16> {
        texts.iter().flat_map(|text| with_zero(text)).chain([0]).collect()
    }

    #[test]
    fn a_text_ends_with_a_zero() {
        assert_eq!(with_zero("a"), [0x61, 0]);
        assert_eq!(with_zero("読"), [0x8aad, 0]);
        assert_eq!(with_zero("𠮷"), [0xd842, 0xdfb7, 0]);
        assert_eq!(with_zero(""), [0]);
    }

    #[test]
    fn a_list_gives_the_texts_that_it_was_made_of() {
        for texts in [
            &["Sony FeliCa Port/PaSoRi 4.0 0"][..],
            &["カードリーダー 0", "Reader 1"],
            &["𠮷野のリーダー", "日本語 (USB) 1", "c"],
            &[],
        ] {
            assert_eq!(texts_of(&list_of(texts)), texts);
        }
    }

    #[test]
    fn a_list_ends_with_the_first_empty_text() {
        assert_eq!(texts_of(&[]), [""; 0]);
        assert_eq!(texts_of(&[0]), [""; 0]);
        assert_eq!(texts_of(&[0x61, 0, 0, 0x62, 0]), ["a"]);
        // Without the last zero, as it would be in a list that was cut.
        assert_eq!(texts_of(&[0x61, 0, 0x62]), ["a", "b"]);
    }

    #[test]
    fn half_of_a_surrogate_pair_stops_nothing() {
        assert_eq!(texts_of(&[0xd842, 0x61, 0, 0x62, 0, 0]), ["\u{fffd}a", "b"]);
    }
}

//! Search templates: `C_FindObjectsInit` compares byte by byte.

use cryptoki_sys as ck;

use super::attribute::Attributes;

/// One entry of the caller's template in `C_FindObjectsInit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateEntry<'a> {
    /// The attribute.
    pub kind: ck::CK_ATTRIBUTE_TYPE,
    /// The value it must have.
    pub value: &'a [u8],
}

/// Whether an object with these attributes matches. An attribute that it does not have, or that
/// this module does not know, is no match and no error.
pub(super) fn matches(template: &[TemplateEntry<'_>], attributes: &Attributes) -> bool {
    template.iter().all(|entry| attributes.get(entry.kind) == Some(entry.value))
}

/// Whether an object of which only these attributes are known yet can still match. What cannot is
/// not read from the card.
pub(super) fn may_match(template: &[TemplateEntry<'_>], known: &Attributes) -> bool {
    template.iter().all(|entry| known.get(entry.kind).is_none_or(|value| value == entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_must_match_exactly() {
        let attributes = Attributes::default().bytes(1, b"abc").bytes(2, b"");
        let entry = |kind, value| TemplateEntry { kind, value };
        assert!(matches(&[], &attributes));
        assert!(matches(&[entry(1, b"abc"), entry(2, b"")], &attributes));
        assert!(!matches(&[entry(1, b"ab")], &attributes));
        assert!(!matches(&[entry(3, b"")], &attributes));
        assert!(may_match(&[entry(3, b"")], &attributes));
        assert!(!may_match(&[entry(1, b"ab"), entry(3, b"")], &attributes));
    }
}

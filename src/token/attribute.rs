//! Attributes: what an object says of itself, and the rules of `C_GetAttributeValue`.

use cryptoki_sys as ck;
use zeroize::Zeroizing;

use super::output::BufferSize;
use crate::error::Error;
use crate::jpki::certificate::Date;

/// One entry of the caller's template in `C_GetAttributeValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeQuery {
    /// The attribute.
    pub kind: ck::CK_ATTRIBUTE_TYPE,
    /// Where its value goes.
    pub buffer: BufferSize,
}

/// The answer to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeAnswer {
    /// Only the length was asked for.
    Length(usize),
    /// The value. It fits.
    Value(Zeroizing<Vec<u8>>),
    /// `CK_UNAVAILABLE_INFORMATION` goes to the length.
    Unavailable,
}

/// The answers to a whole template, and how the call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeAnswers {
    /// One answer for each entry, in order.
    pub answers: Vec<AttributeAnswer>,
    /// The return code. The answers count whatever it is.
    pub result: Result<(), Error>,
}

/// The attributes of an object. They are wiped when dropped: a certificate may hold its owner's
/// address.
#[derive(Clone, Default)]
pub(super) struct Attributes {
    values: Vec<(ck::CK_ATTRIBUTE_TYPE, Zeroizing<Vec<u8>>)>,
    sensitive: Vec<ck::CK_ATTRIBUTE_TYPE>,
}

impl Attributes {
    /// An attribute with these bytes.
    pub(super) fn bytes(mut self, kind: ck::CK_ATTRIBUTE_TYPE, value: &[u8]) -> Self {
        self.values.push((kind, value.to_vec().into()));
        self
    }

    /// A `CK_ULONG`.
    pub(super) fn number(self, kind: ck::CK_ATTRIBUTE_TYPE, value: ck::CK_ULONG) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A list of `CK_ULONG`.
    pub(super) fn numbers(self, kind: ck::CK_ATTRIBUTE_TYPE, values: &[ck::CK_ULONG]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        self.bytes(kind, &bytes)
    }

    /// A `CK_BBOOL`.
    pub(super) fn flag(self, kind: ck::CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        self.bytes(kind, &[if value { ck::CK_TRUE } else { ck::CK_FALSE }])
    }

    /// Several `CK_BBOOL` of one value.
    pub(super) fn flags(self, kinds: &[ck::CK_ATTRIBUTE_TYPE], value: bool) -> Self {
        kinds.iter().fold(self, |attributes, &kind| attributes.flag(kind, value))
    }

    /// A `CK_DATE`: eight digits.
    pub(super) fn date(self, kind: ck::CK_ATTRIBUTE_TYPE, date: Date) -> Self {
        let digits = format!("{:04}{:02}{:02}", date.year, date.month, date.day);
        self.bytes(kind, digits.as_bytes())
    }

    /// Attributes that the object has and never shows.
    pub(super) fn sensitive(mut self, kinds: &[ck::CK_ATTRIBUTE_TYPE]) -> Self {
        self.sensitive.extend_from_slice(kinds);
        self
    }

    /// The value of an attribute.
    pub(super) fn get(&self, kind: ck::CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        self.values.iter().find(|(other, _)| *other == kind).map(|(_, value)| value.as_slice())
    }

    /// How many bytes the values have together.
    pub(super) fn size(&self) -> usize {
        self.values.iter().map(|(_, value)| value.len()).sum()
    }

    /// PKCS #11, C_GetAttributeValue: every entry is processed, whatever happened to the ones
    /// before it; then one of the errors is returned.
    pub(super) fn answer(&self, queries: &[AttributeQuery]) -> AttributeAnswers {
        let mut result = Ok(());
        let answers = queries.iter().map(|query| {
            self.answer_one(*query).unwrap_or_else(|error| {
                result = result.and(Err(error));
                AttributeAnswer::Unavailable
            })
        });
        let answers = answers.collect();
        AttributeAnswers { answers, result }
    }

    /// The five cases of the standard, in its order.
    fn answer_one(&self, query: AttributeQuery) -> Result<AttributeAnswer, Error> {
        if self.sensitive.contains(&query.kind) {
            return Err(Error::AttributeSensitive);
        }
        let value = self.get(query.kind).ok_or(Error::AttributeTypeInvalid)?;
        match query.buffer {
            BufferSize::Query => Ok(AttributeAnswer::Length(value.len())),
            BufferSize::Bytes(size) if size >= value.len() => {
                Ok(AttributeAnswer::Value(value.to_vec().into()))
            }
            BufferSize::Bytes(_) => Err(Error::BufferTooSmall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_processed_to_its_end_after_errors() {
        let attributes = Attributes::default().bytes(1, b"abc").sensitive(&[2]);
        let query = |kind, buffer| AttributeQuery { kind, buffer };
        let answers = attributes.answer(&[
            query(2, BufferSize::Bytes(9)),
            query(3, BufferSize::Bytes(9)),
            query(1, BufferSize::Query),
            query(1, BufferSize::Bytes(2)),
            query(1, BufferSize::Bytes(3)),
        ]);
        assert_eq!(
            answers.answers,
            [
                AttributeAnswer::Unavailable,
                AttributeAnswer::Unavailable,
                AttributeAnswer::Length(3),
                AttributeAnswer::Unavailable,
                AttributeAnswer::Value(b"abc".to_vec().into()),
            ]
        );
        assert_eq!(answers.result, Err(Error::AttributeSensitive));
    }
}

//! What a reader's driver says of its reader (PC/SC Workgroup, Part 10): one or two questions to
//! the driver, and no exchange with the card.

use super::{Connection, TransportError};

/// `CM_IOCTL_GET_FEATURE_REQUEST`: `SCARD_CTL_CODE(3400)` of Windows, or of pcsc-lite and macOS.
const GET_FEATURE_REQUEST: u32 = if cfg!(windows) { 0x0031_0000 + (3400 << 2) } else { 0x4200_0000 + 3400 };

/// `FEATURE_GET_TLV_PROPERTIES`, a tag in the answer to [`GET_FEATURE_REQUEST`].
const GET_TLV_PROPERTIES: u8 = 0x12;

/// `PCSCv2_PART10_PROPERTY_dwMaxAPDUDataSize`, a tag in the answer to that.
const MAX_APDU_DATA_SIZE: u8 = 0x0a;

/// The most bytes of data in a short command.
const MAX_SHORT_DATA: u32 = 256;

impl Connection {
    /// Whether the reader takes commands of extended length; `None` when its driver does not say.
    /// libccid says 0x10000 for yes and 0 for no.
    ///
    /// # Errors
    /// [`TransportError::Busy`] while another program has the card.
    pub fn takes_extended_length(&self) -> Result<Option<bool>, TransportError> {
        let Some(features) = self.ask_driver(GET_FEATURE_REQUEST)? else { return Ok(None) };
        // The codes of further questions are big-endian (Part 10, 2.2).
        let Some(properties) = value(&features, GET_TLV_PROPERTIES).map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let Some(properties) = self.ask_driver(properties)? else { return Ok(None) };
        // The values of properties are little-endian (Part 10, 2.6.14).
        let size = value(&properties, MAX_APDU_DATA_SIZE).map(u32::from_le_bytes);
        Ok(size.map(|size| size > MAX_SHORT_DATA))
    }

    /// A question that a driver need not know.
    fn ask_driver(&self, code: u32) -> Result<Option<Vec<u8>>, TransportError> {
        match self.control(code, &[]) {
            Ok(answer) => Ok(Some(answer)),
            Err(error @ TransportError::Busy) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// The four bytes of a tag in a list of tags, lengths and values.
fn value(mut list: &[u8], wanted: u8) -> Option<[u8; 4]> {
    while let [tag, length, rest @ ..] = list {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *tag == wanted {
            return value.try_into().ok();
        }
        list = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others() {
        let list = [0x06, 4, 1, 2, 3, 4, 0x12, 4, 0x42, 0, 0x0d, 0x5f];
        assert_eq!(value(&list, 0x12), Some([0x42, 0, 0x0d, 0x5f]));
        assert_eq!(value(&list, 0x0a), None);
        for broken in [&[0x12][..], &[0x12, 4, 1], &[0x12, 2, 1, 2], &[]] {
            assert_eq!(value(broken, 0x12), None, "{broken:02x?}");
        }
    }
}

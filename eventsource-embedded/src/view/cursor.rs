//! A place between two views of a page's order, as a text that only we can read.

use crc32c::crc32c;
use eventsource_core::ProjectionId;
use serde::{Deserialize, Serialize};

use super::field::Field;

/// After the view with this field and key, in this order of this projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) projection: ProjectionId,
    /// The field that the order goes by; `None` for the key alone.
    pub(super) order: Option<String>,
    pub(super) backward: bool,
    pub(super) field: Field,
    pub(super) key: String,
}

impl Cursor {
    /// Hexadecimal: a checksum, then JSON.
    pub(super) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("texts and numbers can always be written as JSON");
        let crc = crc32c(&json).to_be_bytes();
        crc.iter()
            .chain(&json)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    /// The cursor that `text` stands for, `None` when it was never ours.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let bytes =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<_>>>()?;
        let (crc, json) = bytes.split_first_chunk::<4>()?;
        (crc32c(json) == u32::from_be_bytes(*crc)).then(|| serde_json::from_slice(json).ok()).flatten()
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use eventsource_core::ProjectionId;

    use super::{Cursor, Field};

    #[test]
    fn a_cursor_comes_back_and_nothing_else_does() {
        let cursor = Cursor {
            projection: ProjectionId { name: "lamps".into(), version: 3 },
            order: Some("state".into()),
            backward: true,
            field: Field::Real(0.1_f64.to_bits()),
            key: "Zürich \"7\"".into(),
        };
        let text = cursor.encode();
        assert_eq!(Cursor::decode(&text), Some(cursor));
        for other in ["", "0", "zz", "é", "00000000", &text[2..], &text.to_uppercase(), &format!("{text}00")] {
            assert_eq!(Cursor::decode(other), None, "{other:?}");
        }
    }
}

//! The first bytes of a segment: what it is, whose, and where it begins.

use std::path::Path;

use eventsource_core::Position;
use uuid::Uuid;

use super::{cursor::Cursor, error::LogError};

const MAGIC: [u8; 8] = *b"ESEVENTS";
/// The newest format this program reads and the one it writes.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Length of a segment's header; the first frame follows.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;

/// The header of the segment that begins at `first`.
pub(crate) fn encode(store: Uuid, first: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[12..28].copy_from_slice(store.as_bytes());
    bytes[28..36].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Checks the header of `file`, which is named after the position `first`, and returns its store.
pub(crate) fn check(file: &Path, bytes: &[u8], first: u64) -> Result<Uuid, LogError> {
    let damaged = |reason: &'static str| LogError::damaged(file, 0, Position::new(first), reason);
    let short = || damaged("the segment's header is cut off");
    let mut cursor = Cursor::new(bytes);
    if cursor.array() != Some(MAGIC) {
        return Err(damaged("this is not a segment of an event log"));
    }
    let version = cursor.u32().ok_or_else(short)?;
    let store = Uuid::from_bytes(cursor.array().ok_or_else(short)?);
    let position = cursor.u64().ok_or_else(short)?;
    let (covered, stored) = (bytes.get(..60), bytes.get(60..).and_then(|rest| Cursor::new(rest).u32()));
    let (Some(covered), Some(stored)) = (covered, stored) else { return Err(short()) };
    if crc32c::crc32c(covered) != stored {
        return Err(damaged("the checksum of the segment's header is wrong"));
    }
    if version > FORMAT_VERSION {
        let file = file.to_path_buf();
        return Err(LogError::NewerFormat { file, found: version, supported: FORMAT_VERSION });
    }
    if version == 0 {
        return Err(damaged("there is no format version 0"));
    }
    if position != first {
        return Err(damaged("the segment begins at another position than its name says"));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::{check, encode};
    use crate::log::error::LogError;

    #[test]
    fn a_header_comes_back_and_every_bit_counts() {
        let store = Uuid::from_u128(7);
        let header = encode(store, 41);
        let file = Path::new("a.seg");
        assert_eq!(check(file, &header, 41).unwrap(), store);
        assert!(check(file, &header, 42).is_err());
        for bit in 0..header.len() * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(file, &flipped, 41).is_err(), "bit {bit}");
        }
        for length in 0..header.len() {
            assert!(check(file, &header[..length], 41).is_err());
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let mut header = encode(Uuid::from_u128(7), 1);
        header[8] = 2;
        let checksum = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&checksum.to_le_bytes());
        let error = check(Path::new("a.seg"), &header, 1).unwrap_err();
        assert!(matches!(error, LogError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    }
}

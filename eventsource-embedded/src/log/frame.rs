//! One commit as bytes: a header, its events, a checksum over both.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | CRC32C of the header: everything after this field up to the events, begun with a [`Seed`] |
//! | 4 | length of the frame, a multiple of 8; 0 here and before means end of data |
//! | 8 | position of the first event |
//! | 8 | version of the first event |
//! | 8 | time of recording, nanoseconds since 1970, signed |
//! | 4 | number of events |
//! | 4 | distance to the start of its group, the frames that were written with one fdatasync |
//! | 2 | bytes of the stream's name |
//! | 2 | zero |
//! | … | the stream's name, the events ([`record`](super::record)), zeros up to the checksum |
//! | 4 | CRC32C of the header's checksum and of the CRC32C of all checksums of the events |
//!
//! Numbers are little-endian. The group distance tells a torn tail from damage: a later group was
//! begun only after everything before it was durable, so a valid frame of a *later* group behind an
//! invalid one proves damage; one of the *same* group proves nothing, because a power cut may keep
//! any of the pages that were in flight.

use std::{borrow::Cow, ops::Range};

use eventsource_core::{NewEvent, StreamId};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    number::{index, narrow},
    record::{self, Limits},
};

/// Header bytes before the stream's name.
const FIXED_BYTES: usize = 44;
const CHECKSUM_BYTES: usize = 4;
/// Frames begin and end at multiples of this, so that a search for the next one can take steps.
pub(crate) const FRAME_ALIGNMENT: usize = 8;
/// The longest header: what has to be read to know a frame.
pub(crate) const HEADER_BYTES_MAX: usize = FIXED_BYTES + STREAM_BYTES_MAX;
const STREAM_BYTES_MAX: usize = eventsource_core::CATEGORY_BYTES_MAX + 1 + eventsource_core::KEY_BYTES_MAX;
const FRAME_BYTES_MIN: usize = FIXED_BYTES + 3 + record::RECORD_BYTES_MIN + CHECKSUM_BYTES;

/// A commit ready to be written, but for what only the writer knows.
#[derive(Debug)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    /// Checksum of the events' checksums.
    body_checksum: u32,
}

/// Binds checksums to a store and a segment, so that bytes which are a frame elsewhere are none here:
/// a misdirected write, or a copy of a frame inside a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    /// For the segment of `store` that begins at `first`.
    pub(crate) fn new(store: Uuid, first: u64) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(store.as_bytes()), &first.to_le_bytes()))
    }

    /// For the frame at this offset: another start gives another checksum of the same bytes.
    fn at(self, offset: u64) -> u32 {
        self.0.wrapping_add(u32::try_from(offset).unwrap_or(u32::MAX))
    }
}

/// What only the writer knows about a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) seed: Seed,
    pub(crate) offset: u64,
    pub(crate) position: u64,
    pub(crate) version: u64,
    pub(crate) recorded_at: i64,
    pub(crate) group_distance: u32,
}

impl Encoded {
    /// Encodes everything that does not depend on the commit's place.
    ///
    /// # Errors
    /// The limit that the batch breaks.
    pub(crate) fn new(stream: &StreamId, events: &[NewEvent], limits: Limits) -> Result<Self, Cow<'static, str>> {
        let name = stream.as_str().as_bytes();
        let payloads: usize = events.iter().map(|event| event.payload.len() + 128).sum();
        let limit = index(limits.commit_bytes_max);
        let mut bytes = Vec::with_capacity((FIXED_BYTES + name.len() + payloads + 16).min(limit));
        bytes.extend_from_slice(&[0; FIXED_BYTES]);
        bytes.extend_from_slice(name);
        let mut body_checksum = 0;
        for event in events {
            let checksum = record::encode(&mut bytes, event, limits)?;
            body_checksum = crc32c::crc32c_append(body_checksum, &checksum.to_le_bytes());
            if bytes.len() + FRAME_ALIGNMENT + CHECKSUM_BYTES > limit {
                return Err(format!("the batch takes over {limit} bytes, the limit of a commit").into());
            }
        }
        let padding = (bytes.len() + CHECKSUM_BYTES).next_multiple_of(FRAME_ALIGNMENT) - bytes.len() - CHECKSUM_BYTES;
        bytes.resize(bytes.len() + padding + CHECKSUM_BYTES, 0);
        let frame_bytes = narrow(bytes.len());
        bytes[4..8].copy_from_slice(&frame_bytes.to_le_bytes());
        bytes[32..36].copy_from_slice(&narrow(events.len()).to_le_bytes());
        bytes[40..42].copy_from_slice(&u16::try_from(name.len()).expect("a stream's name is bounded").to_le_bytes());
        Ok(Self { bytes, body_checksum })
    }

    /// Bytes of the finished frame.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the finished frame to `out`.
    pub(crate) fn finish(&self, out: &mut Vec<u8>, place: Place) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        frame[8..16].copy_from_slice(&place.position.to_le_bytes());
        frame[16..24].copy_from_slice(&place.version.to_le_bytes());
        frame[24..32].copy_from_slice(&place.recorded_at.to_le_bytes());
        frame[36..40].copy_from_slice(&place.group_distance.to_le_bytes());
        let name_bytes = usize::from(u16::from_le_bytes([frame[40], frame[41]]));
        let header = header_checksum(place.seed.at(place.offset), &frame[..FIXED_BYTES + name_bytes]);
        frame[..4].copy_from_slice(&header.to_le_bytes());
        let end = frame.len() - CHECKSUM_BYTES;
        frame[end..].copy_from_slice(&commit_checksum(header, self.body_checksum).to_le_bytes());
    }
}

fn header_checksum(seed: u32, header: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, &header[CHECKSUM_BYTES..])
}

fn commit_checksum(header: u32, body: u32) -> u32 {
    crc32c::crc32c(&(u64::from(header) | u64::from(body) << 32).to_le_bytes())
}

/// Why there is no frame at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// Zeros: the end of the data.
    End,
    /// The bytes given stop before the frame does; it says it has this many.
    Short(usize),
    /// What is there is no frame.
    Broken(&'static str),
}

/// The header of a frame, its checksum right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) frame_bytes: usize,
    pub(crate) position: u64,
    pub(crate) version: u64,
    pub(crate) recorded_at: i64,
    pub(crate) count: u32,
    pub(crate) group_distance: u32,
    pub(crate) stream: &'a str,
    checksum: u32,
}

impl<'a> Header<'a> {
    /// The header at the front of `bytes`, which stand at `offset` and may stop anywhere behind it.
    pub(crate) fn parse(bytes: &'a [u8], seed: Seed, offset: u64) -> Result<Self, NoFrame> {
        let (frame_bytes, header, checksum) = locate(bytes)?;
        if header_checksum(seed.at(offset), header) != checksum {
            return Err(NoFrame::Broken("the checksum of the commit's header is wrong"));
        }
        Self::fields(frame_bytes, header, checksum).ok_or(NoFrame::Broken("the commit's header breaks the format"))
    }

    fn fields(frame_bytes: usize, header: &'a [u8], checksum: u32) -> Option<Self> {
        let mut cursor = Cursor::new(header);
        cursor.bytes(8)?;
        let (position, version, recorded_at) = (cursor.u64()?, cursor.u64()?, cursor.i64()?);
        let (count, group_distance) = (cursor.u32()?, cursor.u32()?);
        let (name_bytes, zero) = (usize::from(cursor.u16()?), cursor.u16()?);
        let stream = std::str::from_utf8(cursor.bytes(name_bytes)?).ok()?;
        let last = u64::from(count).checked_sub(1)?;
        position.checked_add(last)?;
        version.checked_add(last)?;
        (position > 0 && version > 0 && zero == 0).then_some(Self {
            frame_bytes,
            position,
            version,
            recorded_at,
            count,
            group_distance,
            stream,
            checksum,
        })
    }

    /// Position of the last event.
    pub(crate) fn position_last(&self) -> u64 {
        self.position + u64::from(self.count) - 1
    }

    /// Version of the last event.
    pub(crate) fn version_last(&self) -> u64 {
        self.version + u64::from(self.count) - 1
    }

    /// The stream's category.
    pub(crate) fn category(&self) -> &'a str {
        self.stream.split_once('/').map_or("", |(category, _)| category)
    }

    /// Where the events begin, from the start of the frame.
    pub(crate) const fn events_start(&self) -> usize {
        FIXED_BYTES + self.stream.len()
    }

    /// Finds the events of `frame` and checks that together they are the commit.
    ///
    /// Each event's own checksum is left to [`record::is_whole`], for those that are used.
    pub(crate) fn events(&self, frame: &[u8], out: &mut Vec<Range<usize>>) -> Result<(), &'static str> {
        const BROKEN: &str = "the lengths of the commit's events are wrong";
        out.clear();
        let end = self.frame_bytes - CHECKSUM_BYTES;
        let mut at = self.events_start();
        let mut body = 0;
        for _ in 0..self.count {
            let (length, checksum) = frame.get(at..end).and_then(record::measure).ok_or(BROKEN)?;
            body = crc32c::crc32c_append(body, &checksum.to_le_bytes());
            out.push(at..at + length);
            at += length;
        }
        let padding = frame.get(at..end).ok_or(BROKEN)?;
        if padding.len() >= FRAME_ALIGNMENT || padding.iter().any(|byte| *byte != 0) {
            return Err(BROKEN);
        }
        let stored = frame.get(end..self.frame_bytes).and_then(|bytes| Cursor::new(bytes).u32()).ok_or(BROKEN)?;
        if commit_checksum(self.checksum, body) != stored {
            return Err("the checksum of the commit is wrong");
        }
        Ok(())
    }
}

/// The length that the frame at the front of `bytes` claims, unchecked; 0 at the end of the data.
pub(crate) fn claimed_bytes(bytes: &[u8]) -> Option<usize> {
    Cursor::new(bytes.get(CHECKSUM_BYTES..)?).u32().map(index)
}

/// Length, header and its stored checksum, nothing checked but what keeps slices inside.
fn locate(bytes: &[u8]) -> Result<(usize, &[u8], u32), NoFrame> {
    const SHORT: NoFrame = NoFrame::Short(FRAME_BYTES_MIN);
    let mut cursor = Cursor::new(bytes);
    let checksum = cursor.u32().ok_or(SHORT)?;
    let frame_bytes = index(cursor.u32().ok_or(SHORT)?);
    if frame_bytes == 0 {
        return Err(if checksum == 0 { NoFrame::End } else { NoFrame::Broken("a checksum stands without a commit") });
    }
    if frame_bytes < FRAME_BYTES_MIN || !frame_bytes.is_multiple_of(FRAME_ALIGNMENT) {
        return Err(NoFrame::Broken("the commit's length is impossible"));
    }
    let fixed = bytes.first_chunk::<FIXED_BYTES>().ok_or(NoFrame::Short(frame_bytes))?;
    let name_bytes = usize::from(u16::from_le_bytes([fixed[40], fixed[41]]));
    if name_bytes > STREAM_BYTES_MAX || FIXED_BYTES + name_bytes > frame_bytes {
        return Err(NoFrame::Broken("the commit's stream name has an impossible length"));
    }
    let header = bytes.get(..FIXED_BYTES + name_bytes).ok_or(NoFrame::Short(frame_bytes))?;
    Ok((frame_bytes, header, checksum))
}

#[cfg(test)]
mod tests {
    use eventsource_core::{EventId, EventName, Metadata, NewEvent, StreamId};
    use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};
    use uuid::Uuid;

    use super::{Encoded, FRAME_ALIGNMENT, Header, NoFrame, Place, Seed};
    use crate::log::record::{self, Limits};

    const LIMITS: Limits = Limits { payload_bytes_max: 1 << 16, commit_bytes_max: 1 << 20 };

    fn seed() -> Seed {
        Seed::new(Uuid::from_u128(1), 1)
    }

    fn parse(bytes: &[u8]) -> Result<Header<'_>, NoFrame> {
        Header::parse(bytes, seed(), 64)
    }

    fn frame(stream: &StreamId, payloads: &[Vec<u8>]) -> Vec<u8> {
        let events: Vec<_> = payloads.iter().enumerate().map(|(n, payload)| event(n, payload)).collect();
        let place = Place { seed: seed(), offset: 64, position: 7, version: 3, recorded_at: -5, group_distance: 64 };
        let mut bytes = Vec::new();
        Encoded::new(stream, &events, LIMITS).unwrap().finish(&mut bytes, place);
        bytes
    }

    fn event(n: usize, payload: &[u8]) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(n.try_into().unwrap())),
            name: EventName::from_static("happened"),
            schema: 1,
            payload: payload.to_vec().into(),
            metadata: Metadata::default(),
        }
    }

    proptest! {
        #[test]
        fn a_frame_comes_back(key in "[a-z]{1,40}", payloads in vec(vec(any::<u8>(), 0..50), 1..6), after: Vec<u8>) {
            let stream = StreamId::new("thing", &key).unwrap();
            let mut bytes = frame(&stream, &payloads);
            let length = bytes.len();
            bytes.extend_from_slice(&after);
            let header = parse(&bytes).unwrap();
            prop_assert_eq!(length % FRAME_ALIGNMENT, 0);
            prop_assert_eq!((header.frame_bytes, header.stream, header.category()), (length, stream.as_str(), "thing"));
            prop_assert_eq!((header.position, header.version, header.recorded_at), (7, 3, -5));
            let mut events = Vec::new();
            header.events(&bytes[..length], &mut events).unwrap();
            prop_assert_eq!(events.len(), payloads.len());
            for (range, payload) in events.into_iter().zip(&payloads) {
                let stored = &bytes[range];
                prop_assert!(record::is_whole(stored));
                let decoded = record::Record::decode(stored).unwrap();
                prop_assert_eq!(&stored[decoded.payload], &payload[..]);
            }
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes: Vec<u8>) {
            if let Ok(header) = parse(&bytes) {
                prop_assert!(header.events(&bytes, &mut Vec::new()).is_err());
            }
        }
    }

    #[test]
    fn every_single_bit_counts() {
        let whole = frame(&StreamId::new("thing", "a").unwrap(), &[b"one".to_vec(), b"three".to_vec()]);
        let intact = |bytes: &[u8]| {
            let mut events = Vec::new();
            parse(bytes).is_ok_and(|header| {
                header.events(bytes, &mut events).is_ok()
                    && events.iter().all(|event| record::is_whole(&bytes[event.clone()]))
            })
        };
        assert!(intact(&whole));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!intact(&flipped), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(!intact(&whole[..length]), "cut to {length}");
        }
    }

    #[test]
    fn a_frame_counts_only_where_it_was_written() {
        let whole = frame(&StreamId::new("thing", "a").unwrap(), &[b"one".to_vec()]);
        assert!(parse(&whole).is_ok());
        assert!(Header::parse(&whole, seed(), 72).is_err());
        assert!(Header::parse(&whole, Seed::new(Uuid::from_u128(2), 1), 64).is_err());
        assert!(Header::parse(&whole, Seed::new(Uuid::from_u128(1), 2), 64).is_err());
    }

    #[test]
    fn zeros_are_the_end() {
        assert_eq!(parse(&[0; 64]).unwrap_err(), NoFrame::End);
        assert!(matches!(parse(&[]).unwrap_err(), NoFrame::Short(_)));
    }

    #[test]
    fn a_batch_over_the_limit_is_refused() {
        let events: Vec<_> = (0..100).map(|n| event(n, &[0; 100])).collect();
        let limits = Limits { commit_bytes_max: 4096, ..LIMITS };
        let error = Encoded::new(&StreamId::new("thing", "a").unwrap(), &events, limits).unwrap_err();
        assert!(error.contains("4096 bytes, the limit of a commit"), "{error}");
    }
}

//! The watermark: how far the log is known to be acknowledged.
//!
//! It is written after the fdatasync of each group and before anybody is told, without a sync of
//! its own, so it costs a microsecond and survives a killed process; a power cut may set it back.
//! Whatever lies below it must be valid, so a damaged acknowledged commit is never taken for a torn
//! tail. Two slots in blocks of their own are written in turn: a torn one leaves the other.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{cursor::Cursor, directory::sync_directory, error::LogError, header::FORMAT_VERSION};

const FILE_NAME: &str = "tail";
const MAGIC: [u8; 8] = *b"ESTAIL\0\0";
const SLOT_BYTES: usize = 64;
const SLOT_DISTANCE: u64 = 4096;

/// A place in the log that everything acknowledged lies below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// First position of the segment it is in; 0 before there is one.
    pub(crate) segment: u64,
    /// Where its acknowledged data end.
    pub(crate) end: u64,
    /// The last acknowledged position, 0 for none.
    pub(crate) position: u64,
}

impl Watermark {
    const NONE: Self = Self { segment: 0, end: 0, position: 0 };
}

/// The open watermark file.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: File,
    store: Uuid,
    sequence: u64,
    /// What both slots say, durably.
    settled: Option<Watermark>,
}

/// What a watermark file says.
#[derive(Debug)]
pub(crate) struct TailContent {
    pub(crate) store: Uuid,
    pub(crate) watermark: Watermark,
    pub(crate) sequence: u64,
    /// Offset of a slot that is unreadable, after a power cut or damage.
    pub(crate) broken: Option<u64>,
}

impl Tail {
    pub(crate) fn path(events: &Path) -> PathBuf {
        events.join(FILE_NAME)
    }

    /// Makes the watermark of a new store, durably.
    pub(crate) fn create(events: &Path, store: Uuid) -> Result<Self, LogError> {
        let path = Self::path(events);
        let unfinished = events.join("tail.tmp");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished);
        let file = file.map_err(LogError::io("creating", &unfinished))?;
        file.set_len(2 * SLOT_DISTANCE).map_err(LogError::io("growing", &unfinished))?;
        let mut tail = Self { path, file, store, sequence: 0, settled: None };
        tail.settle(Watermark::NONE)?;
        std::fs::rename(&unfinished, &tail.path).map_err(LogError::io("renaming", &unfinished))?;
        sync_directory(events)?;
        Ok(tail)
    }

    /// Opens the watermark of a store; `None` when there is none.
    pub(crate) fn open(events: &Path) -> Result<Option<(Self, TailContent)>, LogError> {
        let path = Self::path(events);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("opening", &path)(error)),
        };
        let content = parse(&path, &read(&path, &file)?)?;
        let tail = Self { path, file, store: content.store, sequence: content.sequence, settled: None };
        Ok(Some((tail, content)))
    }

    /// What the watermark file of a directory says, for those who only look.
    pub(crate) fn look(events: &Path) -> Result<TailContent, LogError> {
        let path = Self::path(events);
        let file = File::open(&path).map_err(LogError::io("opening", &path))?;
        parse(&path, &read(&path, &file)?)
    }

    pub(crate) const fn store(&self) -> Uuid {
        self.store
    }

    /// Moves the watermark; the operating system keeps it, whatever happens to this process.
    pub(crate) fn advance(&mut self, watermark: Watermark) -> Result<(), LogError> {
        self.sequence += 1;
        self.settled = None;
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&MAGIC);
        slot[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        slot[12..28].copy_from_slice(self.store.as_bytes());
        slot[28..36].copy_from_slice(&self.sequence.to_le_bytes());
        slot[36..44].copy_from_slice(&watermark.segment.to_le_bytes());
        slot[44..52].copy_from_slice(&watermark.end.to_le_bytes());
        slot[52..60].copy_from_slice(&watermark.position.to_le_bytes());
        let checksum = crc32c::crc32c(&slot[..60]);
        slot[60..].copy_from_slice(&checksum.to_le_bytes());
        let offset = self.sequence % 2 * SLOT_DISTANCE;
        self.file.write_all_at(&slot, offset).map_err(LogError::io("writing", &self.path))
    }

    /// Moves both slots there, durably.
    pub(crate) fn settle(&mut self, watermark: Watermark) -> Result<(), LogError> {
        self.advance(watermark)?;
        self.advance(watermark)?;
        self.file.sync_all().map_err(LogError::io("syncing", &self.path))?;
        self.settled = Some(watermark);
        Ok(())
    }

    /// Whether both slots say so, durably.
    pub(crate) fn is_settled(&self, watermark: Watermark) -> bool {
        self.settled == Some(watermark)
    }
}

fn read(path: &Path, file: &File) -> Result<Vec<u8>, LogError> {
    let bytes_max = super::number::length(2 * SLOT_DISTANCE);
    let mut bytes = vec![0; bytes_max];
    let mut filled = 0;
    while filled < bytes_max {
        match file.read_at(&mut bytes[filled..], super::number::wide(filled)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LogError::io("reading", path)(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<TailContent, LogError> {
    let mut found: Option<TailContent> = None;
    let mut broken = None;
    for offset in [0, SLOT_DISTANCE] {
        match slot(path, bytes.get(super::number::length(offset)..).unwrap_or_default())? {
            Some(content) if found.as_ref().is_none_or(|other| other.sequence < content.sequence) => {
                found = Some(content);
            }
            Some(_) => {}
            None => broken = Some(offset),
        }
    }
    match found {
        Some(content) => Ok(TailContent { broken, ..content }),
        None => Err(LogError::damaged(path, 0, None, "neither slot of the watermark is readable")),
    }
}

fn slot(path: &Path, bytes: &[u8]) -> Result<Option<TailContent>, LogError> {
    let Some(slot) = bytes.first_chunk::<SLOT_BYTES>() else { return Ok(None) };
    let mut cursor = Cursor::new(slot);
    let (magic, version) = (cursor.array::<8>(), cursor.u32());
    let store = cursor.array().map(Uuid::from_bytes);
    let fields = (cursor.u64(), cursor.u64(), cursor.u64(), cursor.u64());
    let (Some(version), Some(store), (Some(sequence), Some(segment), Some(end), Some(position)), Some(checksum)) =
        (version, store, fields, cursor.u32())
    else {
        return Ok(None);
    };
    if magic != Some(MAGIC) || crc32c::crc32c(&slot[..60]) != checksum {
        return Ok(None);
    }
    if version > FORMAT_VERSION {
        let file = path.to_path_buf();
        return Err(LogError::NewerFormat { file, found: version, supported: FORMAT_VERSION });
    }
    let watermark = Watermark { segment, end, position };
    Ok(Some(TailContent { store, watermark, sequence, broken: None }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Tail, Watermark};

    #[test]
    fn one_damaged_slot_leaves_the_other_and_two_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut tail = Tail::create(dir.path(), Uuid::from_u128(9)).unwrap();
        let older = Watermark { segment: 1, end: 100, position: 3 };
        let newer = Watermark { segment: 1, end: 200, position: 5 };
        tail.advance(older).unwrap();
        tail.advance(newer).unwrap();
        let path = Tail::path(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..64 * 8 {
            for (slots, expected) in [(&[0][..], Some(older)), (&[4096][..], Some(newer)), (&[0, 4096][..], None)] {
                let mut flipped = whole.clone();
                for slot in slots {
                    flipped[slot + bit / 8] ^= 1 << (bit % 8);
                }
                std::fs::write(&path, flipped).unwrap();
                let content = Tail::look(dir.path());
                assert_eq!(content.as_ref().ok().map(|content| content.watermark), expected, "bit {bit} of {slots:?}");
                assert!(content.is_err() || content.unwrap().broken.is_some());
            }
        }
        std::fs::write(&path, &whole[..10]).unwrap();
        assert!(Tail::look(dir.path()).is_err());
    }
}

//! How far the write-ahead log was flushed, kept beside it: `queue.db-mark`.
//!
//! A log that ends early looks like one whose last commit was never finished. The mark is written
//! after each flush and before its answer, without a flush of its own: it survives the end of the
//! process, and after a power cut it may be behind the log but never ahead of it. So a log that is
//! shorter than its mark has lost what was acknowledged.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crc32c::crc32c;

use super::beside;

const BYTES: usize = 8 + 8 + 4;
/// Where a log says which generation it is.
const SALTS_AT: u64 = 16;

/// Frames of one generation of a log that were flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) salts: [u8; 8],
    pub(super) frames: u64,
}

impl Mark {
    /// The mark of the file at `path`; `None` when it is missing or damaged.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(beside(path, "-mark")) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.salts);
        bytes[8..16].copy_from_slice(&self.frames.to_le_bytes());
        let crc = crc32c(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (rest, crc) = bytes.split_last_chunk::<4>()?;
        let (salts, frames) = rest.split_first_chunk::<8>()?;
        let frames = u64::from_le_bytes(frames.try_into().ok()?);
        (crc32c(rest) == u32::from_le_bytes(*crc)).then_some(Self { salts: *salts, frames })
    }
}

/// Writes the mark of one file.
#[derive(Debug)]
pub(super) struct Marker {
    mark: File,
    log: PathBuf,
    open_log: Option<File>,
}

impl Marker {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mark = File::options().write(true).create(true).truncate(false).open(beside(path, "-mark"))?;
        Ok(Self { mark, log: beside(path, "-wal"), open_log: None })
    }

    /// The log has been flushed up to this frame.
    pub(super) fn flushed(&mut self, frames: u64) -> io::Result<()> {
        let log = match &mut self.open_log {
            Some(log) => log,
            None => self.open_log.insert(File::open(&self.log)?),
        };
        let mut salts = [0; 8];
        log.seek(SeekFrom::Start(SALTS_AT))?;
        log.read_exact(&mut salts)?;
        self.write(Mark { salts, frames })
    }

    /// Everything is in the file itself: the log is not needed any more.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.write(Mark::default())?;
        self.mark.sync_data()
    }

    fn write(&mut self, mark: Mark) -> io::Result<()> {
        self.mark.seek(SeekFrom::Start(0))?;
        self.mark.write_all(&mark.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn a_mark_comes_back_or_not_at_all() {
        let mark = Mark { salts: *b"12345678", frames: 77 };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 4;
            assert_eq!(Mark::decode(&damaged), None, "flip at {at}");
            assert_eq!(Mark::decode(&bytes[..at]), None, "cut at {at}");
        }
    }
}

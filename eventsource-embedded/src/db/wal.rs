//! SQLite's write-ahead log, read without SQLite: which pages it holds, and where it breaks off.
//!
//! SQLite takes the log up to the first frame whose checksum is wrong and drops the rest in silence.
//! That is right for a tail that was torn by a power cut and wrong for a bit that flipped, so the
//! rest is looked at here. Source: "WAL-mode File Format", sqlite.org/walformat.html.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Write},
    path::Path,
};

use crc32c::crc32c;

use super::{connect::PAGE_BYTES, sums};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// First word of a log whose checksums read words from the low byte, and from the high byte.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;

/// What a log holds.
#[derive(Debug, Default)]
pub(super) struct WalScan {
    /// Which generation of the log this is; `None` when there is none.
    pub(super) salts: Option<[u8; 8]>,
    /// Frames up to the last whole commit.
    pub(super) frames: u64,
    /// Pages in those frames, with the checksum of their last content.
    pub(super) pages: HashMap<u32, u32>,
    /// Pages of the file after the last whole commit.
    pub(super) file_pages: Option<u32>,
    /// Where the log breaks off although frames of the same generation follow.
    pub(super) broken: Option<Break>,
}

/// A frame that cannot be used, with usable ones behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// The frame, from 1; 0 is the header.
    pub(super) frame: u64,
    /// Whether a commit ended before frames that follow: then it had been flushed and was whole.
    pub(super) proven: bool,
}

/// Reads the log at `path`.
///
/// # Errors
/// When it cannot be read. A log that is not there is empty.
pub(super) fn scan(path: &Path) -> io::Result<WalScan> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(WalScan::default()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut reader, &mut header)? {
        return Ok(WalScan::default());
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + PAGE_BYTES];
    let mut some = fill(&mut reader, &mut frame)?;
    if header == [0; HEADER_BYTES] && frame.starts_with(&[0; FRAME_HEADER_BYTES]) {
        // Room that was made and not used yet.
        return Ok(WalScan::default());
    }
    let big = match word(&header, 0) {
        MAGIC_LITTLE => false,
        MAGIC_BIG => true,
        // A flipped magic hides the whole log; the frames tell. Ours are made on this machine.
        _ => cfg!(target_endian = "big"),
    };
    let computed = checksum(big, [0, 0], &header[..24]);
    let stored = [word(&header, 24), word(&header, 28)];
    let known = matches!(word(&header, 0), MAGIC_LITTLE | MAGIC_BIG);
    let mut scan = Scanner {
        big,
        salts: salts(&header, 16),
        scan: WalScan::default(),
        pending: Vec::new(),
        seeds: [computed, stored],
        broken_at: None,
        commit_seen: false,
    };
    if known && computed == stored {
        scan.scan.salts = Some(scan.salts);
    } else {
        scan.broken_at = Some(0);
        // The header's frames are commits already made.
        scan.commit_seen = true;
    }
    let mut number = 0;
    while some && scan.scan.broken.is_none_or(|broken| !broken.proven) {
        number += 1;
        scan.frame(number, &frame);
        some = fill(&mut reader, &mut frame)?;
    }
    Ok(scan.scan)
}

struct Scanner {
    big: bool,
    salts: [u8; 8],
    scan: WalScan,
    /// Pages since the last commit.
    pending: Vec<(u32, u32)>,
    /// What the next frame's checksum may go on from.
    seeds: [[u32; 2]; 2],
    broken_at: Option<u64>,
    /// Whether a commit was seen at or after the break.
    commit_seen: bool,
}

impl Scanner {
    fn frame(&mut self, number: u64, frame: &[u8]) {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        let stored = [word(head, 16), word(head, 20)];
        if self.broken_at == Some(0) && number == 1 {
            // The header's own salts may be what is damaged.
            self.salts = salts(head, 8);
        }
        let ours = salts(head, 8) == self.salts;
        // A frame of another generation, as what is left of an older log, is not worth its checksum.
        let sum = |seed| checksum(self.big, checksum(self.big, seed, &head[..8]), page);
        let computed = if ours { sum(self.seeds[0]) } else { stored };
        let whole = ours && (computed == stored || self.seeds[1] != self.seeds[0] && sum(self.seeds[1]) == stored);
        let commits = word(head, 4) != 0;
        match self.broken_at {
            None if whole => {
                self.pending.push((word(head, 0), crc32c(page)));
                if commits {
                    self.scan.pages.extend(self.pending.drain(..));
                    self.scan.frames = number;
                    self.scan.file_pages = Some(word(head, 4));
                }
                self.seeds = [stored, stored];
            }
            None => {
                self.broken_at = Some(number);
                self.commit_seen = ours && commits;
                self.seeds = [computed, stored];
            }
            Some(at) => {
                if whole {
                    let proven = self.commit_seen || self.scan.broken.is_some_and(|broken| broken.proven);
                    self.scan.broken = Some(Break { frame: at, proven });
                }
                self.commit_seen |= whole && commits;
                self.seeds = [computed, stored];
            }
        }
    }
}

/// Makes the log at least this long, so that appending to it does not change its length: a flush
/// that has to write down a new length takes several times as long.
pub(super) fn make_room(path: &Path, frames: u32) -> io::Result<()> {
    let bytes = (FRAME_HEADER_BYTES + PAGE_BYTES) * sums::index(frames) + HEADER_BYTES;
    let mut file = File::options().append(true).create(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let zeros = vec![0; 1 << 18];
    let mut missing = bytes.saturating_sub(length);
    while missing > 0 {
        let part = missing.min(zeros.len());
        file.write_all(&zeros[..part])?;
        missing -= part;
    }
    file.sync_all()
}

/// The checksum of the log: two sums over pairs of words.
fn checksum(big: bool, seed: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(seed, |[a, b], &[b0, b1, b2, b3, b4, b5, b6, b7]| {
        let words = if big {
            [u32::from_be_bytes([b0, b1, b2, b3]), u32::from_be_bytes([b4, b5, b6, b7])]
        } else {
            [u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7])]
        };
        let a = a.wrapping_add(words[0]).wrapping_add(b);
        [a, b.wrapping_add(words[1]).wrapping_add(a)]
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].try_into().expect("a slice of 4 bytes is 4 bytes");
    u32::from_be_bytes(word)
}

fn salts(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..at + 8].try_into().expect("a slice of 8 bytes is 8 bytes")
}

/// Whether the buffer could be filled; what is left at the end is less than a frame.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use rusqlite::{Connection, config::DbConfig};
    use tempfile::TempDir;

    use super::{Break, FRAME_HEADER_BYTES, HEADER_BYTES, scan};
    use crate::db::connect::PAGE_BYTES;

    /// A log of five commits of one frame each, left behind by a process that died.
    fn log() -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a)").unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        for number in 0..5 {
            connection.execute("INSERT INTO t VALUES(?1)", [number]).unwrap();
        }
        let wal = dir.path().join("a.db-wal");
        (dir, wal)
    }

    fn flip(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }

    const FRAME: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

    #[test]
    fn a_whole_log_is_read_to_its_end() {
        let (_dir, wal) = log();
        let scan = scan(&wal).unwrap();
        assert_eq!((scan.frames, scan.file_pages, scan.broken), (5, Some(2), None));
        assert!(scan.pages.contains_key(&2));
    }

    #[test]
    fn a_flip_before_the_last_commits_is_a_break() {
        for (at, frame) in
            [(20, 0), (25, 0), (1, 0), (HEADER_BYTES + FRAME + 9, 2), (HEADER_BYTES + 2 * FRAME + 700, 3)]
        {
            let (_dir, wal) = log();
            flip(&wal, at);
            let scan = scan(&wal).unwrap();
            assert_eq!(scan.broken, Some(Break { frame, proven: true }), "flip at {at}");
            assert_eq!(scan.frames, frame.saturating_sub(1));
        }
    }

    #[test]
    fn a_torn_tail_is_no_break() {
        let (_dir, wal) = log();
        flip(&wal, HEADER_BYTES + 4 * FRAME + 100);
        let cut = scan(&wal).unwrap();
        assert_eq!((cut.frames, cut.broken), (4, None));
        let bytes = fs::read(&wal).unwrap();
        fs::write(&wal, &bytes[..HEADER_BYTES + 3 * FRAME + 50]).unwrap();
        let cut = scan(&wal).unwrap();
        assert_eq!((cut.frames, cut.broken), (3, None));
    }
}

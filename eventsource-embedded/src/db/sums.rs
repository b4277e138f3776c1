//! A checksum for every page of a file, kept beside it: `queue.db-sums`.
//!
//! A row's own checksum shows that its content is what was written, not that a row is missing. These
//! sums cover the trees as well: a page that is not in the write-ahead log must be what the last
//! checkpoint left. They are renewed at each checkpoint. When they are lost or late, the file is
//! checked the slow way instead, so they need no care of their own.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crc32c::crc32c;

use super::connect::PAGE_BYTES;

const MAGIC: &[u8; 8] = b"ESSUMS1\n";
const HEAD_BYTES: usize = 8 + 8 + 8;

/// The sums of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// CRC32C of each page, from page 1.
    pub(super) pages: Vec<u32>,
    /// The log that was moved into the file last, and how many of its frames.
    pub(super) salts: [u8; 8],
    pub(super) frames: u64,
}

impl Sums {
    /// The sums at `path`; `None` when they are missing or damaged.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Self::decode(&bytes))
    }

    /// Writes the sums to `path`, the old ones until the new ones are whole.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let new = super::beside(path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(&self.encode())?;
        file.sync_data()?;
        fs::rename(new, path)
    }

    /// Takes over what a log left in the file, which now has `file_pages` pages.
    pub(super) fn update(&mut self, pages: &HashMap<u32, u32>, file_pages: u32) {
        self.pages.resize(index(file_pages), 0);
        for (page, sum) in pages {
            // A page beyond the end was cut off again by a later commit.
            if let Some(slot) = page.checked_sub(1).and_then(|at| self.pages.get_mut(index(at))) {
                *slot = *sum;
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 4 * self.pages.len() + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.salts);
        bytes.extend_from_slice(&self.frames.to_le_bytes());
        bytes.extend(self.pages.iter().flat_map(|sum| sum.to_le_bytes()));
        let crc = crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (rest, crc) = bytes.split_last_chunk::<4>()?;
        let (head, pages) = rest.split_first_chunk::<HEAD_BYTES>()?;
        let (pages, odd) = pages.as_chunks::<4>();
        if crc32c(rest) != u32::from_le_bytes(*crc) || !head.starts_with(MAGIC) || !odd.is_empty() {
            return None;
        }
        let salts = head[8..16].try_into().ok()?;
        let frames = u64::from_le_bytes(head[16..].try_into().ok()?);
        Some(Self { pages: pages.iter().map(|sum| u32::from_le_bytes(*sum)).collect(), salts, frames })
    }
}

/// The checksum of each whole page of the file, and whether something less than a page follows.
pub(super) fn of_file(mut file: &File) -> io::Result<(Vec<u32>, bool)> {
    file.seek(SeekFrom::Start(0))?;
    let mut sums = Vec::new();
    let mut buffer = vec![0; PAGE_BYTES * 64];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (pages, rest) = buffer[..filled].as_chunks::<PAGE_BYTES>();
        sums.extend(pages.iter().map(|page| crc32c(page)));
        if filled < buffer.len() {
            return Ok((sums, !rest.is_empty()));
        }
    }
}

pub(super) fn index(page: u32) -> usize {
    usize::try_from(page).expect("an index has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use super::Sums;

    #[test]
    fn sums_come_back_or_not_at_all() {
        let sums = Sums { pages: vec![1, 2, 3], salts: *b"12345678", frames: 9 };
        let bytes = sums.encode();
        assert_eq!(Sums::decode(&bytes), Some(sums));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Sums::decode(&damaged), None, "flip at {at}");
            assert_eq!(Sums::decode(&bytes[..at]), None, "cut at {at}");
        }
    }
}

//! A file read through one buffer that slides forward.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    error::LogError,
    number::{length, wide},
};

/// What is read ahead of a request.
const AHEAD_BYTES: usize = 1 << 20;

/// Bytes of a file from any offset on, cheap when the offsets rise.
#[derive(Debug)]
pub(crate) struct Window {
    path: PathBuf,
    file: File,
    /// Nothing is read from here on.
    end: u64,
    /// Where the buffer begins in the file.
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    /// The file up to `end` or to its own end.
    pub(crate) fn open(path: &Path, end: u64) -> Result<Self, LogError> {
        let file = File::open(path).map_err(LogError::io("opening", path))?;
        let size = file.metadata().map_err(LogError::io("measuring", path))?.len();
        Ok(Self { path: path.to_path_buf(), file, end: end.min(size), start: 0, buffer: Vec::new() })
    }

    /// Where the file ends, or what is read of it.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// At least `wanted` bytes from `offset` on, fewer only where the file ends.
    pub(crate) fn at(&mut self, offset: u64, wanted: usize) -> Result<&[u8], LogError> {
        let there = self.end.saturating_sub(offset);
        if there == 0 {
            return Ok(&[]);
        }
        let wanted = wide(wanted).min(there);
        if offset < self.start || offset + wanted > self.start + wide(self.buffer.len()) {
            self.fill(offset, length(wanted.max(wide(AHEAD_BYTES)).min(there)))?;
        }
        Ok(self.buffer.get(length(offset - self.start)..).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, count: usize) -> Result<(), LogError> {
        self.start = offset;
        self.buffer.resize(count, 0);
        match self.file.read_exact_at(&mut self.buffer, offset) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.buffer.clear();
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    return Err(LogError::damaged(
                        &self.path,
                        offset,
                        None,
                        "the file became shorter while it was read",
                    ));
                }
                Err(LogError::io("reading", &self.path)(error))
            }
        }
    }
}

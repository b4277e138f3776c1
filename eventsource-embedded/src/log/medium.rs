//! The file that is appended to, and in tests the faults of a disk.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Writes at offsets and syncs.
#[derive(Debug)]
pub(crate) struct Medium {
    file: File,
    #[cfg(test)]
    fault: Option<Fault>,
}

/// What a test lets go wrong, after so many operations that go well.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Half of the bytes are written.
    Write { after: u32 },
    /// The data are in the page cache and may never reach the disk.
    Sync { after: u32 },
}

impl Medium {
    pub(crate) const fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(test)]
            fault: None,
        }
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// Makes the file this long, durably.
    pub(crate) fn grow(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_all()
    }

    pub(crate) fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Some(Fault::Write { after }) = &mut self.fault
            && countdown(after)
        {
            self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("the disk failed in the middle of a write"));
        }
        self.file.write_all_at(bytes, offset)
    }

    pub(crate) fn sync_data(&mut self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(Fault::Sync { after }) = &mut self.fault
            && countdown(after)
        {
            return Err(io::Error::other("the disk failed in a sync"));
        }
        self.file.sync_data()
    }

    #[cfg(test)]
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }
}

/// Whether nothing was left; takes one off otherwise.
#[cfg(test)]
const fn countdown(left: &mut u32) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            false
        }
        None => true,
    }
}

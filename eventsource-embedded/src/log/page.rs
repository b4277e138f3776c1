//! Pages of an index file: fixed-size entries, a checksum a page.

use super::{
    error::LogError,
    number::{index, narrow, wide},
};
use std::path::Path;

/// Length of a page; the last 4 bytes are its checksum.
pub(crate) const PAGE_BYTES: usize = 4096;
const CONTENT_BYTES: usize = PAGE_BYTES - 4;

/// Entries of one size, spread over consecutive pages; none straddles two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) first_page: u32,
    pub(crate) entries: u32,
}

impl Section {
    pub(crate) const fn per_page<const N: usize>() -> usize {
        CONTENT_BYTES / N
    }

    pub(crate) fn pages<const N: usize>(self) -> u32 {
        self.entries.div_ceil(narrow(Self::per_page::<N>()))
    }

    /// Entries in one of the section's pages, counted from 0.
    pub(crate) fn entries_in<const N: usize>(self, page: u32) -> usize {
        let before = index(page) * Self::per_page::<N>();
        index(self.entries).saturating_sub(before).min(Self::per_page::<N>())
    }
}

/// Appends pages with these entries to `file`, which is a whole number of pages long.
pub(crate) fn write<const N: usize>(file: &mut Vec<u8>, entries: impl Iterator<Item = [u8; N]>) -> Section {
    let first_page = narrow(file.len() / PAGE_BYTES);
    let mut count = 0;
    let mut in_page = 0;
    for entry in entries {
        if in_page == Section::per_page::<N>() {
            seal(file);
            in_page = 0;
        }
        file.extend_from_slice(&entry);
        in_page += 1;
        count += 1;
    }
    if in_page > 0 {
        seal(file);
    }
    Section { first_page, entries: narrow(count) }
}

/// Fills the last page up and adds its checksum.
pub(crate) fn seal(file: &mut Vec<u8>) {
    let start = (file.len() - 1) / PAGE_BYTES * PAGE_BYTES;
    file.resize(start + CONTENT_BYTES, 0);
    let checksum = checksum(narrow(start / PAGE_BYTES), &file[start..]);
    file.extend_from_slice(&checksum.to_le_bytes());
}

/// Covers the page's number too, so that a page in the wrong place is found out.
pub(crate) fn checksum(number: u32, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), content)
}

/// Checks page `number` of `file`, read from there, and returns its content.
pub(crate) fn check<'a>(file: &Path, number: u32, page: &'a [u8]) -> Result<&'a [u8], LogError> {
    let damaged = || {
        let offset = u64::from(number) * wide(PAGE_BYTES);
        LogError::damaged(file, offset, None, "the checksum of an index page is wrong")
    };
    let (content, stored) = page.split_last_chunk::<4>().ok_or_else(damaged)?;
    if page.len() != PAGE_BYTES || checksum(number, content) != u32::from_le_bytes(*stored) {
        return Err(damaged());
    }
    Ok(content)
}

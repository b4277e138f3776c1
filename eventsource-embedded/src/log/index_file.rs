//! The index of a sealed segment, on disk: what is asked often is in memory, the rest one page away.
//!
//! | section | entry | in memory |
//! |---|---|---|
//! | commits, by stream and version | first version, count, offset, length | no |
//! | streams, by key | key, first commit, number of commits, first and last version | no |
//! | ids, by id | event id, offset and length of its commit | no |
//! | points, every 64 KiB | position, offset | yes |
//! | fences of streams and ids | first 8 bytes of the first key of each page | yes |
//! | filters of streams and ids | blocks of a Bloom filter, 10 bits a member | yes |
//!
//! Everything in it comes from the segment, so a damaged index is built again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use eventsource_core::Position;
use uuid::Uuid;

use super::{
    cursor::Cursor,
    error::LogError,
    files::Files,
    filter::{BLOCK_BYTES, Filter},
    header::FORMAT_VERSION,
    index::{CommitRef, StreamSpan, Versions},
    key::{IdBytes, StreamKey, id_hash},
    memory_index::MemoryIndex,
    number::{index, narrow, wide},
    page::{self, PAGE_BYTES, Section},
};

const MAGIC: [u8; 8] = *b"ESINDEX\0";
const COMMIT_BYTES: usize = 20;
const STREAM_BYTES: usize = 40;
const ID_BYTES: usize = 24;
const POINT_BYTES: usize = 8;
const FENCE_BYTES: usize = 8;
const SECTIONS: usize = 8;
/// Bytes of the segment between two points.
const POINT_DISTANCE: u32 = 64 * 1024;

/// The bytes of the index file for a sealed segment.
pub(crate) fn encode(memory: &MemoryIndex, store: Uuid) -> Vec<u8> {
    let (position_last, end) = memory.end().unwrap_or((memory.first().saturating_sub(1), 0));
    let streams = memory.streams();
    let ids = memory.ids();
    let mut file = vec![0; PAGE_BYTES];
    let commits = streams.iter().flat_map(|(_, commits)| commits.iter().map(|commit| commit_entry(*commit)));
    let commits = page::write(&mut file, commits);
    let mut first = 0;
    let entries = streams.iter().filter_map(|(key, commits)| {
        let span = StreamSpan { oldest: commits.first()?.version, newest: commits.last()?.version_last(), place: None };
        let entry = stream_entry(*key, first, narrow(commits.len()), span);
        first += narrow(commits.len());
        Some(entry)
    });
    let sections = [
        commits,
        page::write(&mut file, entries),
        page::write(&mut file, ids.iter().map(|(id, commit)| id_entry(id, *commit))),
        page::write(&mut file, points(memory).into_iter().map(point_entry)),
        page::write(&mut file, fences::<STREAM_BYTES>(streams.iter().map(|(key, _)| key.as_bytes()))),
        page::write(&mut file, fences::<ID_BYTES>(ids.iter().map(|(id, _)| id))),
        page::write(&mut file, Filter::new(streams.iter().map(|(key, _)| key.hash())).blocks()),
        page::write(&mut file, Filter::new(ids.iter().map(|(id, _)| id_hash(id))).blocks()),
    ];
    let mut head = Vec::with_capacity(PAGE_BYTES);
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    head.extend_from_slice(store.as_bytes());
    for number in [memory.first(), position_last, end, wide(memory.commit_count())] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    for section in sections {
        head.extend_from_slice(&section.first_page.to_le_bytes());
        head.extend_from_slice(&section.entries.to_le_bytes());
    }
    page::seal(&mut head);
    file[..PAGE_BYTES].copy_from_slice(&head);
    file
}

/// About one commit in every [`POINT_DISTANCE`] bytes.
fn points(memory: &MemoryIndex) -> Vec<(u32, u32)> {
    let mut points = Vec::new();
    let mut next = 0;
    for (position, offset) in memory.places() {
        if offset >= next {
            points.push((position, offset));
            next = offset.saturating_add(POINT_DISTANCE);
        }
    }
    points
}

fn fences<'a, const N: usize>(keys: impl Iterator<Item = &'a [u8; 16]>) -> impl Iterator<Item = [u8; FENCE_BYTES]> {
    keys.step_by(Section::per_page::<N>()).map(|key| fence(key).to_be_bytes())
}

/// The part of a key that is kept in memory.
fn fence(key: &[u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn commit_entry(commit: CommitRef) -> [u8; COMMIT_BYTES] {
    let mut entry = [0; COMMIT_BYTES];
    entry[..8].copy_from_slice(&commit.version.to_le_bytes());
    entry[8..12].copy_from_slice(&commit.count.to_le_bytes());
    entry[12..16].copy_from_slice(&commit.offset.to_le_bytes());
    entry[16..].copy_from_slice(&commit.bytes.to_le_bytes());
    entry
}

fn commit_from(entry: &[u8]) -> Option<CommitRef> {
    let mut cursor = Cursor::new(entry);
    Some(CommitRef { version: cursor.u64()?, count: cursor.u32()?, offset: cursor.u32()?, bytes: cursor.u32()? })
}

fn stream_entry(key: StreamKey, first: u32, count: u32, span: StreamSpan) -> [u8; STREAM_BYTES] {
    let mut entry = [0; STREAM_BYTES];
    entry[..16].copy_from_slice(key.as_bytes());
    entry[16..20].copy_from_slice(&first.to_le_bytes());
    entry[20..24].copy_from_slice(&count.to_le_bytes());
    entry[24..32].copy_from_slice(&span.oldest.to_le_bytes());
    entry[32..].copy_from_slice(&span.newest.to_le_bytes());
    entry
}

fn id_entry(id: &IdBytes, commit: CommitRef) -> [u8; ID_BYTES] {
    let mut entry = [0; ID_BYTES];
    entry[..16].copy_from_slice(id);
    entry[16..20].copy_from_slice(&commit.offset.to_le_bytes());
    entry[20..].copy_from_slice(&commit.bytes.to_le_bytes());
    entry
}

fn point_entry((position, offset): (u32, u32)) -> [u8; POINT_BYTES] {
    let mut entry = [0; POINT_BYTES];
    entry[..4].copy_from_slice(&position.to_le_bytes());
    entry[4..].copy_from_slice(&offset.to_le_bytes());
    entry
}

/// An open index file.
#[derive(Debug)]
pub(crate) struct IndexFile {
    path: PathBuf,
    files: Arc<Files>,
    first: u64,
    position_last: u64,
    end: u64,
    commits: Section,
    streams: Section,
    ids: Section,
    points: Box<[(u32, u32)]>,
    stream_fences: Box<[u64]>,
    id_fences: Box<[u64]>,
    stream_filter: Filter,
    id_filter: Filter,
}

impl IndexFile {
    /// Opens the index of the segment of `store` that begins at `first`.
    ///
    /// # Errors
    /// When it is missing, damaged or of something else: build it again.
    pub(crate) fn open(path: &Path, files: Arc<Files>, store: Uuid, first: u64) -> Result<Self, LogError> {
        let bytes = read_page(&files, path, 0)?;
        let head = page::check(path, 0, &bytes)?;
        let damaged = |reason: &'static str| LogError::damaged(path, 0, Position::new(first), reason);
        let mut cursor = Cursor::new(head);
        let of_segment = cursor.array() == Some(MAGIC)
            && cursor.u32() == Some(FORMAT_VERSION)
            && cursor.array() == Some(*store.as_bytes())
            && cursor.u64() == Some(first);
        if !of_segment {
            return Err(damaged("this is not the index of this segment in this format"));
        }
        let cut = || damaged("the index header is cut off");
        let (position_last, end) = (cursor.u64().ok_or_else(cut)?, cursor.u64().ok_or_else(cut)?);
        cursor.u64().ok_or_else(cut)?;
        let mut sections = [Section { first_page: 0, entries: 0 }; SECTIONS];
        for section in &mut sections {
            let (first_page, entries) = (cursor.u32().ok_or_else(cut)?, cursor.u32().ok_or_else(cut)?);
            *section = Section { first_page, entries };
        }
        let [commits, streams, ids, points, stream_fences, id_fences, stream_filter, id_filter] = sections;
        let load = |section| load::<FENCE_BYTES>(&files, path, section);
        let fences = |entries: Vec<[u8; FENCE_BYTES]>| entries.into_iter().map(u64::from_be_bytes).collect();
        let filter = |section| {
            let blocks = self::load::<BLOCK_BYTES>(&files, path, section)?;
            Filter::from_blocks(blocks.into_iter()).ok_or_else(|| damaged("an index filter is empty"))
        };
        Ok(Self {
            path: path.to_path_buf(),
            first,
            position_last,
            end,
            commits,
            streams,
            ids,
            points: load(points)?.into_iter().map(point_from).collect(),
            stream_fences: fences(load(stream_fences)?),
            id_fences: fences(load(id_fences)?),
            stream_filter: filter(stream_filter)?,
            id_filter: filter(id_filter)?,
            files,
        })
    }

    /// Position of the segment's last event.
    pub(crate) const fn position_last(&self) -> u64 {
        self.position_last
    }

    /// Length of the segment.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn span(&self, key: &StreamKey) -> Result<Option<StreamSpan>, LogError> {
        if !self.stream_filter.may_contain(key.hash()) {
            return Ok(None);
        }
        let found = self.search::<STREAM_BYTES>(self.streams, &self.stream_fences, key.as_bytes())?;
        Ok(found.and_then(|entry| {
            let mut cursor = Cursor::new(&entry[16..]);
            let place = Some((cursor.u32()?, cursor.u32()?));
            Some(StreamSpan { oldest: cursor.u64()?, newest: cursor.u64()?, place })
        }))
    }

    /// As [`MemoryIndex::commits`], at most `limit` of the newest or the oldest.
    pub(crate) fn commits(
        &self,
        key: &StreamKey,
        span: StreamSpan,
        wanted: Versions,
        limit: usize,
        newest: bool,
    ) -> Result<Vec<CommitRef>, LogError> {
        let place = match span.place {
            Some(place) => Some(place),
            None => self.span(key)?.and_then(|span| span.place),
        };
        let Some((first, count)) = place else { return Ok(Vec::new()) };
        let mut reader = Entries::<COMMIT_BYTES>::new(self, self.commits);
        let end = first.saturating_add(count);
        let mut at = |number: u32| reader.get(number).map(|entry| commit_from(&entry));
        let from =
            partition(
                first,
                end,
                |number| Ok(at(number)?.is_some_and(|commit| commit.version_last() <= wanted.after)),
            )?;
        let to = partition(from, end, |number| Ok(at(number)?.is_some_and(|commit| commit.version < wanted.below)))?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let (from, to) =
            if newest { (from.max(to.saturating_sub(limit)), to) } else { (from, to.min(from.saturating_add(limit))) };
        let mut found = Vec::with_capacity(index(to - from));
        for number in from..to {
            found.extend(at(number)?);
        }
        Ok(found)
    }

    /// Offset and length of the commit that holds the event with this id.
    pub(crate) fn find(&self, id: &IdBytes) -> Result<Option<(u32, u32)>, LogError> {
        if !self.id_filter.may_contain(id_hash(id)) {
            return Ok(None);
        }
        let found = self.search::<ID_BYTES>(self.ids, &self.id_fences, id)?;
        Ok(found.and_then(|entry| {
            let mut cursor = Cursor::new(&entry[16..]);
            Some((cursor.u32()?, cursor.u32()?))
        }))
    }

    /// Where a commit begins that holds this position or comes at most 64 KiB before it.
    pub(crate) fn seek(&self, position: u64) -> Option<u32> {
        if position > self.position_last {
            return None;
        }
        let following = self.points.partition_point(|(distance, _)| self.first + u64::from(*distance) <= position);
        self.points.get(following.checked_sub(1)?).map(|(_, offset)| *offset)
    }

    /// The entry with this key, found in the one page that the fences leave, or in the few that
    /// begin with the same 8 bytes.
    fn search<const N: usize>(
        &self,
        section: Section,
        fences: &[u64],
        key: &[u8; 16],
    ) -> Result<Option<[u8; N]>, LogError> {
        let wanted = fence(key);
        let low = narrow(fences.partition_point(|fence| *fence < wanted)).saturating_sub(1);
        let high = narrow(fences.partition_point(|fence| *fence <= wanted));
        let per_page = narrow(Section::per_page::<N>());
        let end = high.saturating_mul(per_page).min(section.entries);
        let mut reader = Entries::<N>::new(self, section);
        let found = partition(low.saturating_mul(per_page), end, |number| Ok(reader.get(number)?[..16] < key[..]))?;
        if found >= end {
            return Ok(None);
        }
        let entry = reader.get(found)?;
        Ok((entry[..16] == key[..]).then_some(entry))
    }
}

fn point_from(entry: [u8; POINT_BYTES]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = entry;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The first number in `low..high` for which `is_before` is false, as `partition_point` finds it.
fn partition(
    mut low: u32,
    mut high: u32,
    mut is_before: impl FnMut(u32) -> Result<bool, LogError>,
) -> Result<u32, LogError> {
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Reads entries of a section and keeps the page that was read last.
struct Entries<'a, const N: usize> {
    file: &'a IndexFile,
    section: Section,
    page: Option<(u32, Vec<u8>)>,
}

impl<'a, const N: usize> Entries<'a, N> {
    const fn new(file: &'a IndexFile, section: Section) -> Self {
        Self { file, section, page: None }
    }

    fn get(&mut self, number: u32) -> Result<[u8; N], LogError> {
        let per_page = narrow(Section::per_page::<N>());
        let page = self.section.first_page.saturating_add(number / per_page);
        if self.page.as_ref().is_none_or(|(loaded, _)| *loaded != page) {
            let bytes = read_page(&self.file.files, &self.file.path, page)?;
            page::check(&self.file.path, page, &bytes)?;
            self.page = Some((page, bytes));
        }
        let start = index(number % per_page) * N;
        self.page
            .as_ref()
            .and_then(|(_, bytes)| bytes.get(start..)?.first_chunk().copied())
            .ok_or_else(|| LogError::damaged(&self.file.path, 0, None, "an index entry lies outside its page"))
    }
}

fn read_page(files: &Files, path: &Path, number: u32) -> Result<Vec<u8>, LogError> {
    files.read(path, u64::from(number) * wide(PAGE_BYTES), PAGE_BYTES)
}

fn load<const N: usize>(files: &Files, path: &Path, section: Section) -> Result<Vec<[u8; N]>, LogError> {
    let mut entries = Vec::new();
    for number in 0..section.pages::<N>() {
        let page = section.first_page.saturating_add(number);
        let bytes = read_page(files, path, page)?;
        let content = page::check(path, page, &bytes)?;
        let count = section.entries_in::<N>(number);
        entries.extend(content.chunks_exact(N).take(count).filter_map(|entry| <[u8; N]>::try_from(entry).ok()));
    }
    Ok(entries)
}

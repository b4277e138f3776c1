//! Looking for damage: every byte of every file is read and checked.

use std::{collections::HashMap, path::Path, sync::Arc};

use eventsource_core::Position;
use uuid::Uuid;

use super::{
    directory::{index_path, segment_path, segment_positions},
    error::{Damage, LogError},
    header::{self, SEGMENT_HEADER_BYTES},
    index_file,
    key::StreamKey,
    memory_index::MemoryIndex,
    number::wide,
    page::PAGE_BYTES,
    scan::{self, Commit, Found, Scan},
    shared::Shared,
    tail::{Tail, Watermark},
};

/// Damages that a report lists; the others are counted.
const LISTED_MAX: usize = 1000;
/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 4 << 20;

/// What a scrub of the event log found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LogReport {
    /// Segments that were read.
    pub segments: u64,
    /// Events whose checksums are right.
    pub events: u64,
    /// Bytes of valid commits.
    pub bytes: u64,
    /// Sealed segments without an index; the next open makes it.
    pub indexes_missing: u64,
    /// Bytes behind the last whole commit that the next open cuts off: an append that was never
    /// acknowledged.
    pub torn_bytes: u64,
    /// What is damaged: the first 1,000 findings.
    pub damage: Vec<Damage>,
    /// All findings.
    pub damage_count: u64,
}

/// How far a scrub has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubProgress {
    /// Bytes of segments that were read.
    pub bytes_done: u64,
    /// Bytes of segments there are.
    pub bytes_total: u64,
}

/// Scrubs a log that nobody has open.
pub(crate) fn closed(events: &Path, progress: &mut dyn FnMut(ScrubProgress)) -> Result<LogReport, LogError> {
    let mut scrub = Scrub::new(events, progress);
    let positions = segment_positions(events)?;
    let watermark = scrub.tail();
    let Some(store) = watermark.map_or_else(|| find_store(events, &positions), |(store, _)| Some(store)) else {
        return Ok(scrub.report);
    };
    let watermark = watermark.map(|(_, watermark)| watermark);
    let segments: Vec<_> = positions.iter().map(|first| Part { first: *first, end: None, has_index: true }).collect();
    scrub.segments(store, &segments, watermark)?;
    Ok(scrub.report)
}

/// Scrubs a log while it is used, up to the head of now.
pub(crate) fn open(
    events: &Path,
    shared: &Arc<Shared>,
    progress: &mut dyn FnMut(ScrubProgress),
) -> Result<LogReport, LogError> {
    let mut scrub = Scrub::new(events, progress);
    scrub.tail();
    let view = shared.view();
    let part = |segment: &Arc<super::segment::Segment>| Part {
        first: segment.first(),
        end: Some(segment.end()),
        has_index: segment.has_index_file(),
    };
    let segments: Vec<_> = view.segments.iter().map(part).collect();
    scrub.segments(shared.store(), &segments, None)?;
    Ok(scrub.report)
}

/// The store that segments say they belong to, when the watermark cannot say.
pub(crate) fn find_store(events: &Path, positions: &[u64]) -> Option<Uuid> {
    positions.iter().find_map(|first| {
        let path = segment_path(events, *first);
        let mut bytes = std::fs::File::open(&path).ok()?;
        let mut head = [0; SEGMENT_HEADER_BYTES];
        std::io::Read::read_exact(&mut bytes, &mut head).ok()?;
        header::check(&path, &head, *first).ok()
    })
}

/// A segment to read.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: u64,
    /// Where its data end, when that is known.
    end: Option<u64>,
    has_index: bool,
}

struct Scrub<'a> {
    events: &'a Path,
    report: LogReport,
    /// The last version of every stream since the last gap.
    versions: HashMap<StreamKey, u64>,
    /// There was no gap: a stream that was not seen is new.
    is_complete: bool,
    progress: &'a mut dyn FnMut(ScrubProgress),
    state: ScrubProgress,
}

impl<'a> Scrub<'a> {
    fn new(events: &'a Path, progress: &'a mut dyn FnMut(ScrubProgress)) -> Self {
        let state = ScrubProgress { bytes_done: 0, bytes_total: 0 };
        Self { events, report: LogReport::default(), versions: HashMap::new(), is_complete: true, progress, state }
    }

    fn tail(&mut self) -> Option<(Uuid, Watermark)> {
        match Tail::look(self.events) {
            Ok(content) => {
                if let Some(offset) = content.broken {
                    let path = Tail::path(self.events);
                    self.found(Damage::new(&path, offset, None, "a slot of the watermark is unreadable"));
                }
                Some((content.store, content.watermark))
            }
            Err(error) => {
                self.failed(&Tail::path(self.events), error);
                None
            }
        }
    }

    fn segments(&mut self, store: Uuid, segments: &[Part], watermark: Option<Watermark>) -> Result<(), LogError> {
        for part in segments {
            let path = segment_path(self.events, part.first);
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            self.state.bytes_total += part.end.unwrap_or(size).min(size);
        }
        let mut due = 1;
        for (number, part) in segments.iter().enumerate() {
            let path = segment_path(self.events, part.first);
            if part.first != due {
                let reason = format!("a segment begins at position {} where {due} is due", part.first);
                self.found(Damage::new(&path, 0, Position::new(due), reason));
                self.lost_track();
            }
            let watermark = watermark.filter(|watermark| watermark.segment == part.first);
            let is_last = number + 1 == segments.len();
            match self.segment(store, *part, is_last, watermark.map_or(0, |watermark| watermark.end)) {
                Ok(next) => due = next,
                Err(error) => {
                    self.failed(&path, error);
                    self.lost_track();
                    due = segments.get(number + 1).map_or(due, |next| next.first);
                }
            }
            self.report.segments += 1;
        }
        if let Some(watermark) = watermark.filter(|watermark| watermark.position >= due) {
            let reason = format!("positions up to {} were acknowledged and are not there", watermark.position);
            self.found(Damage::new(&Tail::path(self.events), 0, Position::new(due), reason));
        }
        (self.progress)(self.state);
        Ok(())
    }

    /// Reads one segment and returns the position that is due in the next.
    fn segment(&mut self, store: Uuid, part: Part, is_last: bool, acknowledged: u64) -> Result<u64, LogError> {
        let path = segment_path(self.events, part.first);
        self.header(&path, store, part.first)?;
        let found_before = self.report.damage_count;
        let mut memory = MemoryIndex::new(part.first);
        let mut scan = Scan::open(&path, store, part.first, part.end.unwrap_or(u64::MAX))?;
        let before = self.state.bytes_done;
        let mut told = 0;
        loop {
            match scan.next()? {
                Found::Commit(commit) => {
                    self.commit(&path, store, &commit);
                    scan::insert(&mut memory, store, &commit);
                    let done = commit.offset + wide(commit.header.frame_bytes);
                    self.state.bytes_done = before + done;
                    if done - told > PROGRESS_BYTES {
                        told = done;
                        (self.progress)(self.state);
                    }
                }
                Found::End { offset } => {
                    let is_known_end = part.end.is_some_and(|end| end == offset);
                    if !is_known_end && (offset < acknowledged || !scan.is_zero_from(offset)?) {
                        let position = Position::new(scan.position());
                        let damage = Damage::new(&path, offset, position, "zeros stand where commits are due");
                        if self.gap(&mut scan, damage, is_last, acknowledged, offset)? {
                            continue;
                        }
                    }
                    break;
                }
                Found::Flaw(flaw) => {
                    let offset = flaw.commit_offset;
                    if !self.gap(&mut scan, flaw.into_damage(&path), is_last, acknowledged, offset)? {
                        break;
                    }
                }
            }
        }
        self.state.bytes_done = before + part.end.unwrap_or_else(|| scan.size());
        if !is_last && part.has_index && self.report.damage_count == found_before {
            self.index(&path, store, &memory);
        }
        Ok(scan.position())
    }

    /// Deals with a place that holds no commit; `true` when there are commits behind it.
    fn gap(
        &mut self,
        scan: &mut Scan,
        damage: Damage,
        is_last: bool,
        acknowledged: u64,
        offset: u64,
    ) -> Result<bool, LogError> {
        let resumed = scan.resume()?;
        let is_damage = !is_last || offset < acknowledged || resumed.is_some_and(|resumed| resumed.later_group);
        if is_damage {
            self.found(damage);
            self.lost_track();
        } else {
            self.report.torn_bytes += scan.size().saturating_sub(offset);
        }
        Ok(is_damage && resumed.is_some())
    }

    fn header(&mut self, path: &Path, store: Uuid, first: u64) -> Result<(), LogError> {
        use std::io::Read;
        let mut bytes = Vec::new();
        let limit = wide(SEGMENT_HEADER_BYTES);
        let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map_err(LogError::io("reading", path))?;
        match header::check(path, &bytes, first) {
            Ok(found) if found == store => {}
            Ok(_) => self.found(Damage::new(path, 0, Position::new(first), "the segment belongs to another store")),
            Err(error) => self.failed(path, error),
        }
        Ok(())
    }

    /// Counts a valid commit and compares its version with the stream's last one.
    fn commit(&mut self, path: &Path, store: Uuid, commit: &Commit<'_>) {
        let header = &commit.header;
        self.report.events += u64::from(header.count);
        self.report.bytes += wide(header.frame_bytes);
        let last = self.versions.insert(StreamKey::new(store, header.stream), header.version_last());
        let last = last.or(if self.is_complete { Some(0) } else { None });
        if let Some(last) = last.filter(|last| header.version != last + 1) {
            let reason = format!("{} continues at version {} after {last}", header.stream, header.version);
            self.found(Damage::new(path, commit.offset, Position::new(header.position), reason));
        }
    }

    /// Compares an index file with what the segment says it must be.
    fn index(&mut self, segment: &Path, store: Uuid, memory: &MemoryIndex) {
        let path = index_path(segment);
        let stored = match std::fs::read(&path) {
            Ok(stored) => stored,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.report.indexes_missing += 1;
                return;
            }
            Err(error) => return self.failed(&path, LogError::io("reading", &path)(error)),
        };
        let expected = index_file::encode(memory, store);
        let pages = expected.chunks(PAGE_BYTES).zip(stored.chunks(PAGE_BYTES));
        for (number, _) in pages.enumerate().filter(|(_, (expected, stored))| expected != stored) {
            let offset = wide(number * PAGE_BYTES);
            self.found(Damage::new(&path, offset, None, "an index page is damaged; the index can be built again"));
        }
        if expected.len() != stored.len() {
            let offset = wide(expected.len().min(stored.len()));
            self.found(Damage::new(&path, offset, None, "the index has another length; it can be built again"));
        }
    }

    /// Behind a gap the versions of streams are not known.
    fn lost_track(&mut self) {
        self.versions.clear();
        self.is_complete = false;
    }

    fn found(&mut self, damage: Damage) {
        self.report.damage_count += 1;
        if self.report.damage.len() < LISTED_MAX {
            self.report.damage.push(damage);
        }
    }

    fn failed(&mut self, path: &Path, error: LogError) {
        self.found(match error {
            LogError::Damaged(damage) => damage,
            error => Damage::new(path, 0, None, format!("{error}: {}", cause(&error))),
        });
    }
}

fn cause(error: &LogError) -> String {
    std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
}

//! Opening the files of a log after a clean close, a killed process or a power cut.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use eventsource_core::Position;
use uuid::Uuid;

use super::{
    create,
    directory::{index_path, segment_path, segment_positions, sync_directory},
    error::{Damage, LogError},
    files::Files,
    header::{self, SEGMENT_HEADER_BYTES},
    index::Index,
    index_file::IndexFile,
    memory_index::MemoryIndex,
    number::{length, wide},
    scan::{self, Flaw, Found, Scan},
    segment::{Segment, build_index},
    tail::{Tail, Watermark},
};

/// A log whose files are in order, ready for its writer.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) tail: Tail,
    pub(crate) files: Arc<Files>,
    /// By position; the last one is written to.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) active: ActiveFile,
    /// The last position, 0 for none.
    pub(crate) head: u64,
    /// Sealed segments whose index is not on disk.
    pub(crate) unindexed: Vec<Arc<Segment>>,
}

/// The file that is written to.
#[derive(Debug)]
pub(crate) struct ActiveFile {
    pub(crate) file: File,
    /// Where the next commit goes.
    pub(crate) end: u64,
    /// Length of the file, zeros behind the data included.
    pub(crate) capacity: u64,
}

/// Opens the log in `events`, or makes a new one with a first segment of `first_bytes`.
pub(crate) fn open(events: &Path, first_bytes: u64) -> Result<Recovered, LogError> {
    std::fs::create_dir_all(events).map_err(LogError::io("creating", events))?;
    if let Some(directory) = events.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // The name of the directory must be as durable as what is in it.
        sync_directory(directory)?;
    }
    remove_unfinished(events)?;
    let positions = segment_positions(events)?;
    let (mut tail, watermark) = open_tail(events, &positions)?;
    if watermark.segment != 0 && positions.binary_search(&watermark.segment).is_err() {
        let missing = segment_path(events, watermark.segment);
        let position = Position::new(watermark.segment);
        return Err(LogError::damaged(&missing, 0, position, "a segment with acknowledged events is missing"));
    }
    let positions = if positions.is_empty() {
        create::segment(events, tail.store(), 1, first_bytes)?;
        vec![1]
    } else {
        positions
    };
    let Some((active, sealed)) = positions.split_last().filter(|_| positions.first() == Some(&1)) else {
        let missing = segment_path(events, 1);
        return Err(LogError::damaged(&missing, 0, Some(Position::FIRST), "the first segment is missing"));
    };
    let files = Arc::new(Files::new());
    let mut recovered =
        Sealed { events, store: tail.store(), files: &files, segments: Vec::new(), unindexed: Vec::new() };
    for (first, next) in sealed.iter().zip(&positions[1..]) {
        recovered.open(*first, *next)?;
    }
    let Sealed { mut segments, unindexed, .. } = recovered;
    let (segment, active) = open_active(events, &files, tail.store(), *active, watermark)?;
    let head = active.head;
    segments.push(Arc::new(segment));
    check_watermark(&Tail::path(events), watermark, head)?;
    let now = Watermark { segment: positions[positions.len() - 1], end: active.file.end, position: head };
    tail.settle(now)?;
    Ok(Recovered { tail, files, segments, active: active.file, head, unindexed })
}

fn open_tail(events: &Path, positions: &[u64]) -> Result<(Tail, Watermark), LogError> {
    match Tail::open(events)? {
        Some((tail, content)) => {
            if let Some(offset) = content.broken {
                let file = Tail::path(events);
                tracing::warn!(file = %file.display(), offset, "one slot of the watermark is unreadable, the other one is used");
            }
            Ok((tail, content.watermark))
        }
        None if positions.is_empty() => {
            let tail = Tail::create(events, Uuid::new_v4())?;
            Ok((tail, Watermark { segment: 0, end: 0, position: 0 }))
        }
        None => Err(LogError::damaged(&Tail::path(events), 0, None, "the watermark is missing beside segments")),
    }
}

/// Nothing that was acknowledged may be missing at the end.
fn check_watermark(tail: &Path, watermark: Watermark, head: u64) -> Result<(), LogError> {
    if watermark.position <= head {
        return Ok(());
    }
    let reason = format!("position {} was acknowledged, but the segments end at {head}", watermark.position);
    Err(LogError::damaged(tail, 0, Position::new(head + 1), reason))
}

/// Opens sealed segments one after the other; none is read but for its header.
struct Sealed<'a> {
    events: &'a Path,
    store: Uuid,
    files: &'a Arc<Files>,
    segments: Vec<Arc<Segment>>,
    unindexed: Vec<Arc<Segment>>,
}

impl Sealed<'_> {
    fn open(&mut self, first: u64, next: u64) -> Result<(), LogError> {
        let path = segment_path(self.events, first);
        let size = check_header(&path, self.store, first)?;
        let file = index_path(&path);
        let index = IndexFile::open(&file, Arc::clone(self.files), self.store, first)
            .and_then(|index| agree(&file, index, next, size));
        let (index, end, on_disk) = match index {
            Ok(index) => {
                let end = index.end();
                (Index::File(index), end, true)
            }
            Err(error @ LogError::NewerFormat { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(segment = %path.display(), %error, "the index of a segment is built again");
                let memory = build_index(&path, self.store, first, data_end(&path, self.store, first)?)?;
                let (last, end) = memory.end().unwrap_or((first - 1, wide(SEGMENT_HEADER_BYTES)));
                if last + 1 != next {
                    let reason = format!("the segment ends at position {last}, the next one begins at {next}");
                    return Err(LogError::damaged(&path, end, Position::new(last + 1), reason));
                }
                (Index::Memory(memory), end, false)
            }
        };
        let files = Arc::clone(self.files);
        let segment = Arc::new(Segment::new(self.events, files, self.store, first, index, end));
        if !on_disk {
            self.unindexed.push(Arc::clone(&segment));
        }
        self.segments.push(segment);
        Ok(())
    }
}

/// Whether an index fits the segment beside it and the next one.
fn agree(file: &Path, index: IndexFile, next: u64, size: u64) -> Result<IndexFile, LogError> {
    if index.position_last() + 1 == next && index.end() <= size {
        return Ok(index);
    }
    Err(LogError::damaged(file, 0, None, "the index does not fit its segment"))
}

/// Where the data of a sealed segment end that has zeros behind them; anything else there is damage.
fn data_end(path: &Path, store: Uuid, first: u64) -> Result<u64, LogError> {
    let mut scan = Scan::open(path, store, first, u64::MAX)?;
    loop {
        match scan.next()? {
            Found::Commit(_) => {}
            Found::Flaw(flaw) => return Err(flaw.into_error(path)),
            Found::End { offset } => {
                if scan.is_zero_from(offset)? {
                    return Ok(offset);
                }
                let position = Position::new(scan.position());
                return Err(LogError::damaged(path, offset, position, "a sealed segment has a hole"));
            }
        }
    }
}

/// Checks that a segment is what its name says and returns the length of its file.
fn check_header(path: &Path, store: Uuid, first: u64) -> Result<u64, LogError> {
    let file = File::open(path).map_err(LogError::io("opening", path))?;
    let size = file.metadata().map_err(LogError::io("measuring", path))?.len();
    let mut bytes = vec![0; length(size.min(wide(SEGMENT_HEADER_BYTES)))];
    file.read_exact_at(&mut bytes, 0).map_err(LogError::io("reading", path))?;
    if header::check(path, &bytes, first)? != store {
        return Err(LogError::damaged(path, 0, Position::new(first), "the segment belongs to another store"));
    }
    Ok(size)
}

/// What was found in the segment that is written to.
struct Active {
    file: ActiveFile,
    head: u64,
}

fn open_active(
    events: &Path,
    files: &Arc<Files>,
    store: Uuid,
    first: u64,
    watermark: Watermark,
) -> Result<(Segment, Active), LogError> {
    let path = segment_path(events, first);
    let capacity = check_header(&path, store, first)?;
    let mut memory = MemoryIndex::new(first);
    let mut scan = Scan::open(&path, store, first, u64::MAX)?;
    let (end, flaw) = loop {
        match scan.next()? {
            Found::Commit(commit) => scan::insert(&mut memory, store, &commit),
            Found::End { offset } => break (offset, None),
            Found::Flaw(flaw) => break (flaw.commit_offset, Some(flaw)),
        }
    };
    let head = scan.position() - 1;
    let acknowledged = if watermark.segment == first { watermark.end } else { wide(SEGMENT_HEADER_BYTES) };
    if end < acknowledged {
        let missing = "acknowledged events are missing";
        return Err(flaw.map_or_else(
            || LogError::damaged(&path, end, Position::new(head + 1), missing),
            |flaw| flaw.into_error(&path),
        ));
    }
    let is_torn = flaw.is_some() || !scan.is_zero_from(end)?;
    if is_torn && let Some(damage) = damage_behind(&path, &mut scan, flaw, end, head)? {
        return Err(LogError::Damaged(damage));
    }
    drop(scan);
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(LogError::io("opening", &path))?;
    if is_torn {
        tracing::warn!(file = %path.display(), offset = end, head, "a torn tail is cut back to the last whole commit");
        clear(&file, end, capacity).map_err(LogError::io("clearing", &path))?;
    }
    write_again(&file, acknowledged, end).map_err(LogError::io("writing", &path))?;
    if is_torn || end > acknowledged {
        file.sync_all().map_err(LogError::io("syncing", &path))?;
    }
    let segment = Segment::new(events, Arc::clone(files), store, first, Index::Memory(memory), end);
    Ok((segment, Active { file: ActiveFile { file, end, capacity }, head }))
}

/// Tells damage from a torn tail: only a commit that was made durable can be damaged, and what was
/// begun after it proves that it was.
fn damage_behind(
    path: &Path,
    scan: &mut Scan,
    flaw: Option<Flaw>,
    end: u64,
    head: u64,
) -> Result<Option<Damage>, LogError> {
    while let Some(resumed) = scan.resume()? {
        if resumed.later_group {
            let damage = flaw.map_or_else(
                || Damage::new(path, end, Position::new(head + 1), "zeros stand before valid commits"),
                |flaw| flaw.into_damage(path),
            );
            return Ok(Some(damage));
        }
    }
    Ok(None)
}

/// Writes zeros over everything behind the last whole commit, so that nothing there is ever taken
/// for a commit.
fn clear(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let count = (to - at).min(wide(zeros.len()));
        file.write_all_at(&zeros[..length(count)], at)?;
        at += count;
    }
    Ok(())
}

/// Writes what lies above the watermark once more. After a failed sync the kernel may hold pages for
/// clean that never reached the disk; only a new write makes the next sync mean something.
fn write_again(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let count = length((to - at).min(wide(bytes.len())));
        file.read_exact_at(&mut bytes[..count], at)?;
        file.write_all_at(&bytes[..count], at)?;
        at += wide(count);
    }
    Ok(())
}

/// Removes what an earlier process was making when it ended.
fn remove_unfinished(events: &Path) -> Result<(), LogError> {
    let removed = || -> std::io::Result<bool> {
        let mut any = false;
        for entry in std::fs::read_dir(events)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                std::fs::remove_file(path)?;
                any = true;
            }
        }
        Ok(any)
    };
    match removed().map_err(LogError::io("tidying", events))? {
        true => sync_directory(events),
        false => Ok(()),
    }
}

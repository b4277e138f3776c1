//! Reading a segment from front to back with every check: what recovery, scrub and salvage stand on.

use std::{borrow::Cow, ops::Range, path::Path};

use eventsource_core::Position;
use uuid::Uuid;

use super::{
    error::{Damage, LogError},
    frame::{FRAME_ALIGNMENT, HEADER_BYTES_MAX, Header, NoFrame, Seed},
    header::SEGMENT_HEADER_BYTES,
    index::CommitRef,
    key::StreamKey,
    memory_index::MemoryIndex,
    number::{narrow, offset as narrow_offset, wide},
    record,
    window::Window,
};

/// A reader of one segment.
#[derive(Debug)]
pub(crate) struct Scan {
    window: Window,
    seed: Seed,
    offset: u64,
    /// The position that the next event must have.
    position: u64,
    events: Vec<Range<usize>>,
}

/// What is at a place of a segment.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A commit with every checksum right and the position that was due.
    Commit(Commit<'a>),
    /// Zeros or the end of the file.
    End { offset: u64 },
    /// Something else.
    Flaw(Flaw),
}

/// A commit that was checked.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    pub(crate) offset: u64,
    pub(crate) header: Header<'a>,
    pub(crate) bytes: &'a [u8],
    /// Where its events are in `bytes`.
    pub(crate) events: &'a [Range<usize>],
}

/// A place that holds no valid commit.
#[derive(Clone, Debug)]
pub(crate) struct Flaw {
    /// Where the commit begins that is not valid.
    pub(crate) commit_offset: u64,
    /// Where exactly something is wrong.
    pub(crate) offset: u64,
    /// The position that is affected first.
    pub(crate) position: u64,
    pub(crate) reason: Cow<'static, str>,
}

impl Flaw {
    pub(crate) fn into_damage(self, path: &Path) -> Damage {
        Damage::new(path, self.offset, Position::new(self.position), self.reason)
    }

    pub(crate) fn into_error(self, path: &Path) -> LogError {
        LogError::Damaged(self.into_damage(path))
    }
}

impl Scan {
    /// A reader of the commits of a segment, no further than `end`.
    pub(crate) fn open(path: &Path, store: Uuid, first: u64, end: u64) -> Result<Self, LogError> {
        let window = Window::open(path, end)?;
        let seed = Seed::new(store, first);
        Ok(Self { window, seed, offset: wide(SEGMENT_HEADER_BYTES), position: first, events: Vec::new() })
    }

    /// The position that the next event must have.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Length of what there is to read.
    pub(crate) const fn size(&self) -> u64 {
        self.window.end()
    }

    /// What comes next. After an end or a flaw it stays there.
    pub(crate) fn next(&mut self) -> Result<Found<'_>, LogError> {
        let (offset, position) = (self.offset, self.position);
        let (flaw_offset, flaw_position, reason) = match self.check()? {
            Checked::End => return Ok(Found::End { offset }),
            Checked::Whole { frame_bytes, count } => {
                self.offset += wide(frame_bytes);
                self.position += u64::from(count);
                let bytes = self.window.at(offset, frame_bytes)?;
                match Header::parse(bytes, self.seed, offset) {
                    Ok(header) => {
                        let bytes = &bytes[..frame_bytes];
                        return Ok(Found::Commit(Commit { offset, header, bytes, events: &self.events }));
                    }
                    Err(_) => (offset, position, "the commit changed while it was read".into()),
                }
            }
            Checked::Flaw { distance, event, reason } => (offset + wide(distance), position + event, reason),
        };
        Ok(Found::Flaw(Flaw { commit_offset: offset, offset: flaw_offset, position: flaw_position, reason }))
    }

    /// Goes on at the next valid commit behind the one that was flawed; `None` when there is none.
    pub(crate) fn resume(&mut self) -> Result<Option<Resumed>, LogError> {
        let step = wide(FRAME_ALIGNMENT);
        let flawed = self.offset;
        self.offset += step;
        while self.window.at(self.offset, HEADER_BYTES_MAX)?.len() >= FRAME_ALIGNMENT {
            let bytes = self.window.at(self.offset, HEADER_BYTES_MAX)?;
            if let Ok(header) = Header::parse(bytes, self.seed, self.offset) {
                let (position, distance) = (header.position, u64::from(header.group_distance));
                if position >= self.position {
                    let due = std::mem::replace(&mut self.position, position);
                    if matches!(self.check()?, Checked::Whole { .. }) {
                        let group = self.offset.saturating_sub(distance);
                        return Ok(Some(Resumed { offset: self.offset, later_group: group > flawed }));
                    }
                    self.position = due;
                }
            }
            self.offset += step;
        }
        Ok(None)
    }

    /// The header at the place of a flaw, if that is valid, and as much of its frame as there is.
    pub(crate) fn flawed_commit(&mut self) -> Result<Option<(Header<'_>, &[u8])>, LogError> {
        let bytes = self.window.at(self.offset, HEADER_BYTES_MAX)?;
        let Ok(header) = Header::parse(bytes, self.seed, self.offset) else { return Ok(None) };
        let frame_bytes = header.frame_bytes;
        let bytes = self.window.at(self.offset, frame_bytes)?;
        let bytes = &bytes[..bytes.len().min(frame_bytes)];
        Ok(Header::parse(bytes, self.seed, self.offset).ok().map(|header| (header, bytes)))
    }

    /// Whether everything from `offset` to the end of the file is zero.
    pub(crate) fn is_zero_from(&mut self, mut offset: u64) -> Result<bool, LogError> {
        loop {
            let bytes = self.window.at(offset, 1)?;
            if bytes.is_empty() {
                return Ok(true);
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += wide(bytes.len());
        }
    }

    fn check(&mut self) -> Result<Checked, LogError> {
        let flaw = |reason: &'static str| Checked::Flaw { distance: 0, event: 0, reason: reason.into() };
        let bytes = self.window.at(self.offset, HEADER_BYTES_MAX)?;
        let header = match Header::parse(bytes, self.seed, self.offset) {
            Ok(header) => header,
            Err(NoFrame::End) => return Ok(Checked::End),
            Err(NoFrame::Short(_)) if bytes.iter().all(|byte| *byte == 0) => return Ok(Checked::End),
            Err(NoFrame::Short(_)) => return Ok(flaw("the commit is cut off")),
            Err(NoFrame::Broken(reason)) => return Ok(flaw(reason)),
        };
        let (frame_bytes, count) = (header.frame_bytes, header.count);
        if header.position != self.position {
            let reason = format!("position {} stands where {} is due", header.position, self.position);
            return Ok(Checked::Flaw { distance: 0, event: 0, reason: reason.into() });
        }
        let bytes = self.window.at(self.offset, frame_bytes)?;
        if bytes.len() < frame_bytes {
            return Ok(flaw("the commit is cut off"));
        }
        let Ok(header) = Header::parse(bytes, self.seed, self.offset) else {
            return Ok(flaw("the commit changed while it was read"));
        };
        let checked = header.events(bytes, &mut self.events);
        // An event is named before its commit: it is the closer place.
        for (event, range) in self.events.iter().enumerate() {
            if !record::is_whole(&bytes[range.clone()]) {
                let (distance, event) = (range.start, wide(event));
                return Ok(Checked::Flaw { distance, event, reason: "the checksum of the event is wrong".into() });
            }
        }
        Ok(match checked {
            Ok(()) => Checked::Whole { frame_bytes, count },
            Err(reason) => flaw(reason),
        })
    }
}

/// Where a scan goes on after a flaw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resumed {
    pub(crate) offset: u64,
    /// The commit there was written after everything before the flaw was durable.
    pub(crate) later_group: bool,
}

enum Checked {
    End,
    Whole { frame_bytes: usize, count: u32 },
    Flaw { distance: usize, event: u64, reason: Cow<'static, str> },
}

/// Adds a commit that a scan found to an index.
pub(crate) fn insert(memory: &mut MemoryIndex, store: Uuid, commit: &Commit<'_>) {
    let reference = CommitRef {
        version: commit.header.version,
        count: commit.header.count,
        offset: narrow_offset(commit.offset),
        bytes: narrow(commit.header.frame_bytes),
    };
    let ids = commit.events.iter().filter_map(|event| record::id(&commit.bytes[event.clone()]));
    memory.insert(StreamKey::new(store, commit.header.stream), reference, commit.header.position, ids);
}

//! Saving what is left of a damaged log: read-only, past every flaw.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use eventsource_core::{Position, RecordedEvent};
use uuid::Uuid;

use super::{
    decode::event_at,
    directory::{segment_path, segment_positions},
    error::{Damage, LogError},
    number::wide,
    record,
    scan::{Flaw, Found, Scan},
    scrub::find_store,
    tail::Tail,
};

/// What a salvage comes upon, in position order.
#[derive(Clone, Debug)]
pub enum Salvaged {
    /// An event that is whole.
    Event(RecordedEvent),
    /// A place that had to be skipped. In the last file this may be an append that was cut off and
    /// never acknowledged.
    Lost {
        /// What is wrong, and where.
        damage: Damage,
        /// How many bytes were skipped.
        bytes: u64,
    },
}

/// Everything in a log that is still readable, and what was skipped: an iterator.
#[derive(Debug)]
pub struct Salvage {
    events: PathBuf,
    store: Option<Uuid>,
    /// The last position that was acknowledged, as far as the watermark says.
    acknowledged: u64,
    segments: std::vec::IntoIter<u64>,
    current: Option<(PathBuf, Scan)>,
    /// The position that the next segment must begin with.
    due: u64,
    ready: VecDeque<Salvaged>,
}

impl Salvage {
    /// Looks at the log in the directory `events` and changes nothing there.
    pub(crate) fn open(events: &Path) -> Result<Self, LogError> {
        let positions = segment_positions(events)?;
        let tail = Tail::look(events).ok();
        Ok(Self {
            events: events.to_path_buf(),
            store: tail.as_ref().map(|tail| tail.store).or_else(|| find_store(events, &positions)),
            acknowledged: tail.map_or(0, |tail| tail.watermark.position),
            segments: positions.into_iter(),
            current: None,
            due: 1,
            ready: VecDeque::new(),
        })
    }

    /// Puts the next items into `ready`; `false` at the end.
    fn advance(&mut self) -> bool {
        let Some((path, scan)) = &mut self.current else { return self.next_segment() };
        let position = scan.position();
        let step = match scan.next() {
            Ok(Found::Commit(commit)) => {
                let frame = Bytes::copy_from_slice(commit.bytes);
                for (number, range) in commit.events.iter().enumerate() {
                    let damaged = |reason| {
                        let position = Position::new(commit.header.position + wide(number));
                        Damage::new(path, commit.offset + wide(range.start), position, reason)
                    };
                    self.ready.push_back(match event_at(&commit.header, number, &frame, range) {
                        Ok(event) => Salvaged::Event(event),
                        Err(reason) => Salvaged::Lost { damage: damaged(reason), bytes: wide(range.len()) },
                    });
                }
                self.due = commit.header.position_last() + 1;
                return true;
            }
            Ok(Found::End { offset }) => {
                let reason = "zeros stand where commits are due".into();
                Ok((Flaw { commit_offset: offset, offset, position, reason }, true))
            }
            Ok(Found::Flaw(flaw)) => Ok((flaw, false)),
            Err(error) => Err(error),
        };
        let skipped = step.and_then(|(flaw, is_end)| skip(path, scan, flaw, is_end, &mut self.ready));
        match skipped {
            Ok(Some(position)) => self.due = position,
            Ok(None) => self.current = None,
            Err(error) => {
                let damage = unreadable(path, position, &error);
                self.ready.push_back(Salvaged::Lost { damage, bytes: 0 });
                self.current = None;
            }
        }
        true
    }

    fn next_segment(&mut self) -> bool {
        let (Some(store), Some(first)) = (self.store, self.segments.next()) else { return self.end() };
        let path = segment_path(&self.events, first);
        if first > self.due {
            let reason = format!("positions {} to {} are in no file", self.due, first - 1);
            let damage = Damage::new(&path, 0, Position::new(self.due), reason);
            self.ready.push_back(Salvaged::Lost { damage, bytes: 0 });
        }
        self.due = first;
        match Scan::open(&path, store, first, u64::MAX) {
            Ok(scan) => self.current = Some((path, scan)),
            Err(error) => {
                let damage = unreadable(&path, first, &error);
                self.ready.push_back(Salvaged::Lost { damage, bytes: 0 });
            }
        }
        true
    }
}

impl Salvage {
    /// Tells what should have come; `false` when that was all.
    fn end(&mut self) -> bool {
        let (due, acknowledged) = (self.due, self.acknowledged);
        if due > acknowledged {
            return false;
        }
        self.due = acknowledged + 1;
        let reason = format!("positions {due} to {acknowledged} were acknowledged and are in no file");
        let damage = Damage::new(&Tail::path(&self.events), 0, Position::new(due), reason);
        self.ready.push_back(Salvaged::Lost { damage, bytes: 0 });
        true
    }
}

impl Iterator for Salvage {
    type Item = Salvaged;

    fn next(&mut self) -> Option<Salvaged> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if !self.advance() {
                return None;
            }
        }
    }
}

/// Takes what can be taken from a commit that is not whole, and goes on behind it.
///
/// Returns the position where it goes on, `None` at the end of the segment.
fn skip(
    path: &Path,
    scan: &mut Scan,
    flaw: Flaw,
    is_end: bool,
    ready: &mut VecDeque<Salvaged>,
) -> Result<Option<u64>, LogError> {
    let start = flaw.commit_offset;
    if is_end && scan.is_zero_from(start)? {
        return Ok(None);
    }
    let has_header = pick(path, scan, start, ready)?;
    let resumed = scan.resume()?;
    let end = resumed.map_or_else(|| scan.size(), |resumed| resumed.offset);
    if !has_header {
        let bytes = end.saturating_sub(start);
        ready.push_back(Salvaged::Lost { damage: flaw.into_damage(path), bytes });
    }
    Ok(resumed.map(|_| scan.position()))
}

/// The whole events of a commit whose header is right; `false` when it is not.
fn pick(path: &Path, scan: &mut Scan, start: u64, ready: &mut VecDeque<Salvaged>) -> Result<bool, LogError> {
    let Some((header, bytes)) = scan.flawed_commit()? else { return Ok(false) };
    let frame = Bytes::copy_from_slice(bytes);
    let mut at = header.events_start();
    let mut whole = 0;
    let lost = |ready: &mut VecDeque<Salvaged>, at: usize, number: u64, bytes, reason: &'static str| {
        let damage = Damage::new(path, start + wide(at), Position::new(header.position + number), reason);
        ready.push_back(Salvaged::Lost { damage, bytes: wide(bytes) });
    };
    for number in 0..header.count {
        let number = super::number::index(number);
        let Some((length, _)) = frame.get(at..).and_then(record::measure) else {
            let rest = frame.len().saturating_sub(at);
            lost(ready, at, wide(number), rest, "the length of the event is wrong; so it ends the commit");
            return Ok(true);
        };
        match event_at(&header, number, &frame, &(at..at + length)) {
            Ok(event) => {
                whole += 1;
                ready.push_back(Salvaged::Event(event));
            }
            Err(reason) => lost(ready, at, wide(number), length, reason),
        }
        at += length;
    }
    if whole == header.count {
        let rest = frame.len().saturating_sub(at);
        lost(ready, at, u64::from(header.count) - 1, rest, "the checksum of the commit is wrong, its events are whole");
    }
    Ok(true)
}

fn unreadable(path: &Path, position: u64, error: &LogError) -> Damage {
    match error {
        LogError::Damaged(damage) => damage.clone(),
        error => Damage::new(path, 0, Position::new(position), format!("the file cannot be read: {error}")),
    }
}

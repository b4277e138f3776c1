//! From chunks of bytes to events, every checksum looked at before a byte is served.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use eventsource_core::{Direction, EventName, Metadata, Position, Query, RecordedEvent, StreamId, Version};

use super::{
    error::LogError,
    fetch::Chunk,
    frame::{Header, NoFrame},
    index::{CommitRef, Versions},
    intern::Interner,
    key::IdBytes,
    number::{length, wide},
    record::{self, Record},
    segment::Segment,
};

/// Which events of the chunks are served.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Those after a position, up to the head, that match.
    All { query: Query, after: u64, head: u64 },
    /// Those of one stream, between two versions.
    Stream { stream: StreamId, versions: Versions, direction: Direction },
}

/// Serves the events of chunks that are given to it in turn.
#[derive(Debug)]
pub(crate) struct Decoder {
    wanted: Wanted,
    /// How many more are wanted; `None` for all.
    limit: Option<u64>,
    names: Interner<Arc<str>>,
    actors: Interner<Arc<str>>,
    streams: Interner<StreamId>,
    chunk: Option<Chunk>,
    buffer: Option<BytesMut>,
    /// Where the next commit begins in the chunk, or which of the listed ones it is.
    next_commit: usize,
    commit: Option<Open>,
    /// Where the events of the open commit are in its frame.
    events: Vec<Range<usize>>,
    /// The position or version that is due, once one was seen.
    due: Option<u64>,
}

/// The commit whose events are served.
#[derive(Debug)]
struct Open {
    /// Where its frame begins in the chunk.
    start: usize,
    position: u64,
    version: u64,
    recorded_at: SystemTime,
    stream: StreamId,
    /// Which events are left.
    left: Range<usize>,
}

impl Decoder {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let limit = match &wanted {
            Wanted::All { query, .. } => query.limit.map(std::num::NonZeroU64::get),
            Wanted::Stream { .. } => None,
        };
        Self {
            wanted,
            limit,
            names: Interner::new(64),
            actors: Interner::new(64),
            streams: Interner::new(512),
            chunk: None,
            buffer: None,
            next_commit: 0,
            commit: None,
            events: Vec::new(),
            due: None,
        }
    }

    /// Gives it the next chunk, when [`next`](Self::next) has served the one before.
    pub(crate) fn feed(&mut self, chunk: Chunk) {
        let served = self.chunk.replace(chunk);
        self.next_commit = 0;
        // A payload that somebody still holds keeps its chunk; otherwise the memory is used again.
        self.buffer = served.and_then(|served| served.bytes.try_into_mut().ok());
    }

    /// The memory of a chunk that nobody holds any more.
    pub(crate) fn take_buffer(&mut self) -> Option<BytesMut> {
        self.buffer.take()
    }

    /// What is wrong when there are no more chunks; `None` when everything wanted was served.
    pub(crate) fn missing(&self) -> Option<LogError> {
        let (segment, chunk_offset) = self.chunk.as_ref().map(|chunk| (&chunk.segment, chunk.offset))?;
        let (is_missing, position, reason) = match &self.wanted {
            Wanted::All { head, .. } => (self.due? <= *head, self.due?, "the log ends before its head"),
            Wanted::Stream { versions, direction: Direction::Backward, .. } => {
                (self.due? > versions.after.saturating_add(1), 0, "earlier events of the stream are missing")
            }
            Wanted::Stream { direction: Direction::Forward, .. } => return None,
        };
        is_missing.then(|| segment.damaged(chunk_offset, position, reason))
    }

    /// Serves nothing more: after an error there is no way on.
    pub(crate) fn stop(&mut self) {
        self.limit = Some(0);
    }

    /// Whether nothing more is wanted, whatever chunks there may be.
    pub(crate) fn is_done(&self) -> bool {
        let is_past = match &self.wanted {
            Wanted::All { head, .. } => self.due.is_some_and(|due| due > *head),
            Wanted::Stream { .. } => false,
        };
        self.limit == Some(0) || (is_past && self.commit.is_none())
    }

    /// Puts the next event into `slot`, which is empty; leaves it empty when another chunk is needed.
    ///
    /// An event is some 240 bytes: built in its place it is not moved from hand to hand.
    pub(crate) fn next(&mut self, slot: &mut Option<RecordedEvent>) -> Result<(), LogError> {
        while !self.is_done() {
            if self.commit.is_none() && !self.open_commit()? {
                return Ok(());
            }
            self.next_of_commit(slot)?;
            if slot.is_some() {
                self.limit = self.limit.map(|limit| limit - 1);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes to the next commit with something in it that is wanted; `false` at the end of the chunk.
    fn open_commit(&mut self) -> Result<bool, LogError> {
        let Some(chunk) = &self.chunk else { return Ok(false) };
        let listed = match &chunk.commits {
            None if self.next_commit >= chunk.bytes.len() => return Ok(false),
            None => None,
            Some(commits) => match commits.get(self.next_commit) {
                Some(commit) => Some(*commit),
                None => return Ok(false),
            },
        };
        let start = listed.map_or(self.next_commit, |commit| length(u64::from(commit.offset) - chunk.offset));
        let frame = &chunk.bytes[start..];
        let offset = chunk.offset + wide(start);
        let header = Header::parse(frame, chunk.segment.seed(), offset)
            .map_err(|flaw| no_frame(&chunk.segment, offset, self.due, flaw))?;
        self.next_commit = listed.map_or(start + header.frame_bytes, |_| self.next_commit + 1);
        let damaged = |reason| chunk.segment.damaged(offset, header.position, reason);
        let left = self.wanted.events_of(&header, listed, &mut self.due).map_err(damaged)?;
        if left.is_empty() {
            return Ok(true);
        }
        header.events(frame, &mut self.events).map_err(damaged)?;
        let stream = match &self.wanted {
            Wanted::Stream { stream, .. } => Some(stream.clone()),
            Wanted::All { .. } => self.streams.intern(header.stream),
        };
        self.commit = Some(Open {
            start,
            position: header.position,
            version: header.version,
            recorded_at: time(header.recorded_at),
            stream: stream.ok_or_else(|| damaged("the stream's name breaks the rules"))?,
            left,
        });
        Ok(true)
    }

    /// The next event of the open commit that is wanted; closes the commit at its end.
    #[inline]
    fn next_of_commit(&mut self, slot: &mut Option<RecordedEvent>) -> Result<(), LogError> {
        let (Some(chunk), Some(commit)) = (&self.chunk, &mut self.commit) else { return Ok(()) };
        let number = match &self.wanted {
            Wanted::Stream { direction: Direction::Backward, .. } => commit.left.next_back(),
            Wanted::All { .. } | Wanted::Stream { .. } => commit.left.next(),
        };
        let Some(number) = number else {
            self.commit = None;
            return Ok(());
        };
        let start = commit.start + self.events[number].start;
        let bytes = &chunk.bytes[start..commit.start + self.events[number].end];
        let position = commit.position + wide(number);
        let damaged = |reason| chunk.segment.damaged(chunk.offset + wide(start), position, reason);
        if !record::is_whole(bytes) {
            return Err(damaged("the checksum of the event is wrong"));
        }
        let Some(record) = Record::decode(bytes) else { return Err(damaged("the event breaks the format")) };
        if !self.wanted.has_name(record.name) {
            return Ok(());
        }
        let name = self.names.intern(record.name).unwrap_or_else(|| record.name.into());
        let actor = record.actor.map(|actor| self.actors.intern(actor).unwrap_or_else(|| actor.into()));
        let payload = chunk.bytes.slice(start + record.payload.start..start + record.payload.end);
        let version = Version::new(commit.version + wide(number)).ok_or_else(|| damaged("a version is 0"))?;
        let place = (commit.stream.clone(), version, Position::new(position), commit.recorded_at);
        *slot = Some(recorded(record, place, name, actor, payload));
        Ok(())
    }
}

/// The event as a store holds it.
#[inline(always)]
fn recorded(
    record: Record<'_>,
    (stream, version, position, recorded_at): (StreamId, Version, Option<Position>, SystemTime),
    name: Arc<str>,
    actor: Option<Arc<str>>,
    payload: Bytes,
) -> RecordedEvent {
    RecordedEvent {
        id: record.id,
        stream,
        version,
        position,
        name: EventName::from(name),
        schema: record.schema,
        payload,
        metadata: Metadata {
            correlation_id: record.correlation_id,
            causation_id: record.causation_id,
            trace: record.trace,
            actor,
            headers: record.headers,
        },
        recorded_at,
    }
}

/// The event with this id of a frame that was read by itself, because the index says it is there.
pub(crate) fn event_of(segment: &Segment, offset: u64, frame: &Bytes, id: &IdBytes) -> Result<RecordedEvent, LogError> {
    let header = Header::parse(frame, segment.seed(), offset).map_err(|flaw| no_frame(segment, offset, None, flaw))?;
    let mut events = Vec::new();
    header.events(frame, &mut events).map_err(|reason| segment.damaged(offset, header.position, reason))?;
    let mut found = Err(segment.damaged(offset, header.position, "the index leads to a commit without the event"));
    for (number, range) in events.into_iter().enumerate() {
        let is_wanted = record::id(&frame[range.clone()]).as_ref() == Some(id);
        // A damaged event may be the one that is looked for.
        if is_wanted || !record::is_whole(&frame[range.clone()]) {
            let position = header.position + wide(number);
            let damaged = |reason| segment.damaged(offset + wide(range.start), position, reason);
            found = event_at(&header, number, frame, &range).map_err(damaged);
            if is_wanted {
                break;
            }
        }
    }
    found
}

/// The event of this number in a frame, where its record is known to be.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn event_at(
    header: &Header<'_>,
    number: usize,
    frame: &Bytes,
    range: &Range<usize>,
) -> Result<RecordedEvent, &'static str> {
    let bytes = &frame[range.clone()];
    if !record::is_whole(bytes) {
        return Err("the checksum of the event is wrong");
    }
    let (Some(record), Ok(stream), Some(version)) =
        (Record::decode(bytes), header.stream.parse(), Version::new(header.version + wide(number)))
    else {
        return Err("the event breaks the format");
    };
    let payload = frame.slice(range.start + record.payload.start..range.start + record.payload.end);
    let place = (stream, version, Position::new(header.position + wide(number)), time(header.recorded_at));
    let (name, actor) = (record.name.into(), record.actor.map(Into::into));
    Ok(recorded(record, place, name, actor, payload))
}

impl Wanted {
    /// Which events of a commit are wanted, and whether the commit is the one that was due.
    fn events_of(
        &self,
        header: &Header<'_>,
        listed: Option<CommitRef>,
        due: &mut Option<u64>,
    ) -> Result<Range<usize>, &'static str> {
        let count = u64::from(header.count);
        match self {
            Self::All { query, after, head } => {
                if due.is_some_and(|due| due != header.position) || header.position > head.saturating_add(1) {
                    return Err("another position stands where this one is due");
                }
                if due.is_none() && header.position > after.saturating_add(1) {
                    return Err("earlier positions are missing");
                }
                *due = Some(header.position + count);
                let is_wanted = query.categories.is_empty()
                    || query.categories.iter().any(|category| **category == *header.category());
                let from = after.saturating_add(1).saturating_sub(header.position).min(count);
                let to = head.saturating_add(1).saturating_sub(header.position).min(count);
                Ok(if is_wanted { length(from)..length(to) } else { 0..0 })
            }
            Self::Stream { stream, versions, direction } => {
                let is_listed =
                    listed.is_none_or(|listed| listed.version == header.version && listed.count == header.count);
                if header.stream != stream.as_str() || !is_listed {
                    return Err("the index leads to another commit");
                }
                let (expected, following) = match direction {
                    Direction::Forward => (header.version, header.version + count),
                    Direction::Backward => (header.version + count, header.version),
                };
                if due.is_none()
                    && *direction == Direction::Forward
                    && header.version > versions.after.saturating_add(1)
                {
                    return Err("earlier events of the stream are missing");
                }
                if due.is_some_and(|due| due != expected) {
                    return Err("another version stands where this one is due");
                }
                *due = Some(following);
                let from = versions.after.saturating_add(1).saturating_sub(header.version).min(count);
                let to = versions.below.saturating_sub(header.version).min(count);
                Ok(length(from)..length(to))
            }
        }
    }

    fn has_name(&self, name: &str) -> bool {
        match self {
            Self::All { query, .. } => {
                query.names.is_empty() || query.names.iter().any(|wanted| wanted.as_str() == name)
            }
            Self::Stream { .. } => true,
        }
    }
}

fn no_frame(segment: &Segment, offset: u64, due: Option<u64>, flaw: NoFrame) -> LogError {
    let reason = match flaw {
        NoFrame::End => "the data end before their time",
        NoFrame::Short(_) => "the commit is cut off",
        NoFrame::Broken(reason) => reason,
    };
    segment.damaged(offset, due.unwrap_or(0), reason)
}

/// The time so many nanoseconds from 1970.
fn time(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let time = if nanoseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

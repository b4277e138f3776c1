//! A request to append, prepared by its caller as far as it goes without the writer.

use std::{collections::HashSet, ops::Range, sync::Arc};

use eventsource_core::{Appended, ExpectedVersion, NewEvent, Position, StoreError, StreamId, Version};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::{
    error::LogError,
    frame::{Encoded, Header, Seed},
    key::{IdBytes, StreamKey, id_bytes},
    number::index,
    record::{self, Limits},
    segment::Segment,
    shared::{Shared, find_id, newest_span},
};

/// What the writer gets.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) request: Prepared,
    pub(crate) reply: oneshot::Sender<Result<Appended, StoreError>>,
    /// Its share of the bytes that may wait.
    pub(crate) _share: OwnedSemaphorePermit,
}

/// A commit with everything that could be done ahead: encoded, and compared with sealed segments.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) stream: StreamId,
    pub(crate) key: StreamKey,
    pub(crate) expected: ExpectedVersion,
    pub(crate) commit: Encoded,
    pub(crate) ids: Vec<IdBytes>,
    /// Segments that begin below this position were looked at.
    pub(crate) looked_below: u64,
    /// The stream's last version in those segments, 0 for none. Not asked when a later one knows it.
    pub(crate) version: u64,
}

/// What became of the preparation.
#[derive(Debug)]
pub(crate) enum Preparation {
    /// To be sent to the writer.
    Ready(Prepared),
    /// These events are stored already.
    Done(Appended),
}

/// Does in the caller's place what need not be done in the writer's.
///
/// # Errors
/// `Invalid` for a batch that breaks a rule; what reading sealed segments may give.
pub(crate) fn prepare(
    shared: &Shared,
    limits: Limits,
    stream: &StreamId,
    expected: ExpectedVersion,
    events: &[NewEvent],
) -> Result<Preparation, StoreError> {
    if events.is_empty() {
        return Err(StoreError::invalid("a batch has at least one event"));
    }
    let ids: Vec<_> = events.iter().map(|event| id_bytes(event.id)).collect();
    if let Some(id) = repeated(&ids) {
        return Err(StoreError::invalid(format!("event id {} stands twice in the batch", Uuid::from_bytes(id))));
    }
    let commit = Encoded::new(stream, events, limits).map_err(StoreError::invalid)?;
    let key = StreamKey::new(shared.store(), stream.as_str());
    let view = shared.view();
    let (active, sealed) = view.segments.split_last().expect("a log has a segment");
    for id in &ids {
        if let Some((segment, offset, bytes)) = find_id(sealed, id)? {
            return first_result(&segment, offset, bytes, stream, &ids, id).map(Preparation::Done);
        }
    }
    let is_active = active.ask(|index| index.span(&key))?.is_some();
    let version = if is_active { 0 } else { newest_span(sealed, &key)?.map_or(0, |span| span.newest) };
    let looked_below = active.first();
    Ok(Preparation::Ready(Prepared { stream: stream.clone(), key, expected, commit, ids, looked_below, version }))
}

fn repeated(ids: &[IdBytes]) -> Option<IdBytes> {
    if ids.len() <= 8 {
        return ids.iter().enumerate().find(|(n, id)| ids[..*n].contains(id)).map(|(_, id)| *id);
    }
    let mut seen = HashSet::with_capacity(ids.len());
    ids.iter().find(|id| !seen.insert(**id)).copied()
}

/// The result that the commit at `offset` had, if it holds exactly these events of this stream.
fn first_result(
    segment: &Arc<Segment>,
    offset: u32,
    bytes: u32,
    stream: &StreamId,
    ids: &[IdBytes],
    reused: &IdBytes,
) -> Result<Appended, StoreError> {
    let frame = segment.read(u64::from(offset), index(bytes))?;
    first_result_of(&frame, segment.seed(), u64::from(offset), stream, ids, reused)?
        .ok_or_else(|| segment.damaged(u64::from(offset), 0, "the index leads to no whole commit").into())
}

/// As [`first_result`], of a frame that is in memory; `None` when it is none.
pub(crate) fn first_result_of(
    frame: &[u8],
    seed: Seed,
    offset: u64,
    stream: &StreamId,
    ids: &[IdBytes],
    reused: &IdBytes,
) -> Result<Option<Appended>, StoreError> {
    let Ok(header) = Header::parse(frame, seed, offset) else { return Ok(None) };
    let mut events = Vec::new();
    let is_whole = |event: &Range<usize>| record::is_whole(&frame[event.clone()]);
    if header.events(frame, &mut events).is_err() || !events.iter().all(is_whole) {
        return Ok(None);
    }
    let is_same = header.stream == stream.as_str()
        && events.len() == ids.len()
        && events.iter().zip(ids).all(|(event, id)| record::id(&frame[event.clone()]).as_ref() == Some(id));
    if !is_same {
        let (id, other) = (Uuid::from_bytes(*reused), header.stream);
        return Err(StoreError::invalid(format!("event id {id} was used before, for another batch in {other}")));
    }
    let version = Version::new(header.version_last());
    Ok(version.map(|version| Appended { version, position: Position::new(header.position_last()), repeated: true }))
}

/// The error of a log that failed to write.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event log takes no appends until it is opened again, because writing failed")]
pub(crate) struct Stopped {
    #[source]
    pub(crate) source: Arc<LogError>,
}

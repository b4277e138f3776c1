//! The append-only event log: segments of commits, one writer, readers beside it.
//!
//! | module | holds |
//! |---|---|
//! | `record` `frame` `header` | the format of an event, a commit and a segment's first bytes |
//! | `tail` | the watermark that tells acknowledged from torn |
//! | `key` `filter` `memory_index` `page` `index_file` `index` | what finds streams, ids and positions |
//! | `window` `scan` | reading a segment with every check |
//! | `segment` `files` `shared` | what readers see |
//! | `create` `maintenance` `recovery` | making, sealing and opening segments |
//! | `append` `gather` `medium` `writer` | the append path |
//! | `fetch` `decode` `intern` `read` | the read path |
//! | `scrub` `salvage` | looking for damage, and saving what is left |

mod append;
mod create;
mod cursor;
mod decode;
mod directory;
mod error;
mod fetch;
mod files;
mod filter;
mod frame;
mod gather;
mod header;
mod index;
mod index_file;
mod intern;
mod key;
mod maintenance;
mod medium;
mod memory_index;
mod number;
mod page;
mod read;
mod record;
mod recovery;
mod salvage;
mod scan;
mod scrub;
mod segment;
mod shared;
mod tail;
#[cfg(test)]
mod tests;
mod window;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use eventsource_core::{
    Appended, Clock, Direction, EventId, ExpectedVersion, NewEvent, Query, RecordedEvent, StoreError, StreamId, Version,
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

pub use error::Damage;
pub use salvage::{Salvage, Salvaged};
pub use scrub::{LogReport, ScrubProgress};
pub use writer::Durability;

pub(crate) use error::LogError;
pub(crate) use read::Read;
pub(crate) use record::Limits;
pub(crate) use scrub::closed as scrub_closed;

use append::{Append, Preparation, prepare};
use decode::{Decoder, Wanted, event_of};
use fetch::{Fetch, FetchAll, FetchStream};
use index::Versions;
use key::{StreamKey, id_bytes};
use maintenance::Maintenance;
use number::index;
use shared::{Shared, find_id};
use writer::{Active, Writer};

/// Requests that may wait for the writer.
const QUEUE_REQUESTS_MAX: usize = 4096;
/// Bytes of requests that may wait for the writer, in units of [`SHARE_BYTES`].
const QUEUE_SHARES_MAX: u32 = 64 * 1024;
const SHARE_BYTES: usize = 1024;
/// The first segment of a new store; the following ones double.
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;

/// How a log is opened.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) segment_bytes: u64,
    pub(crate) limits: Limits,
    pub(crate) durability: Durability,
    pub(crate) clock: Arc<dyn Clock>,
}

/// An open log.
#[derive(Debug)]
pub(crate) struct EventLog {
    events: PathBuf,
    shared: Arc<Shared>,
    limits: Limits,
    shares: Arc<Semaphore>,
    writer: Mutex<Option<Handle>>,
    /// Held while the log is being closed, so that whoever closes it as well waits for the end.
    closing: Mutex<()>,
}

/// The way to the writer's thread, until the log is closed.
#[derive(Debug)]
struct Handle {
    requests: mpsc::Sender<Append>,
    thread: JoinHandle<()>,
}

impl EventLog {
    /// Opens the log in the directory `events`, or makes a new one there.
    pub(crate) fn open(events: &Path, options: LogOptions) -> Result<Self, LogError> {
        let limits = options.limits;
        Self::start(events, Self::recover(events, options)?, limits)
    }

    /// Brings the files in order for a writer.
    fn recover(events: &Path, options: LogOptions) -> Result<Writer, LogError> {
        let first_bytes = FIRST_SEGMENT_BYTES.min(options.segment_bytes);
        let recovered = recovery::open(events, first_bytes)?;
        let store = recovered.tail.store();
        let maintenance = Maintenance::start(events.to_path_buf())?;
        for segment in recovered.unindexed {
            maintenance.seal(segment);
        }
        let active = recovered.segments.last().cloned().expect("recovery gives at least one segment");
        let active = Active::new(active, recovered.active, recovered.head);
        let shared = Arc::new(Shared::new(store, recovered.segments, recovered.head));
        Ok(Writer {
            shared,
            events: events.to_path_buf(),
            files: recovered.files,
            tail: recovered.tail,
            maintenance,
            clock: options.clock,
            durability: options.durability,
            segment_bytes_max: options.segment_bytes,
            active,
            sync: Duration::ZERO,
            stopped: None,
        })
    }

    /// Starts the writer's thread.
    fn start(events: &Path, writer: Writer, limits: Limits) -> Result<Self, LogError> {
        let shared = Arc::clone(&writer.shared);
        let (requests, queue) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let thread = std::thread::Builder::new()
            .name("eventsource-log-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(LogError::io("starting a thread for", events))?;
        Ok(Self {
            events: events.to_path_buf(),
            shared,
            limits,
            shares: Arc::new(Semaphore::new(index(QUEUE_SHARES_MAX))),
            writer: Mutex::new(Some(Handle { requests, thread })),
            closing: Mutex::new(()),
        })
    }

    /// The id the store was given when it was made.
    pub(crate) fn store(&self) -> Uuid {
        self.shared.store()
    }

    pub(crate) async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let request = match prepare(&self.shared, self.limits, stream, expected, &events)? {
            Preparation::Ready(request) => request,
            Preparation::Done(appended) => return Ok(appended),
        };
        drop(events);
        let requests = self.requests().ok_or_else(|| StoreError::unavailable(Closed))?;
        let shares = u32::try_from(request.commit.len() / SHARE_BYTES + 1).unwrap_or(u32::MAX).min(QUEUE_SHARES_MAX);
        let share = Arc::clone(&self.shares).acquire_many_owned(shares).await;
        let share = share.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        let sent = requests.send(Append { request, reply, _share: share }).await;
        sent.map_err(|_| StoreError::unavailable(Closed))?;
        drop(requests);
        answer.await.map_err(|_| StoreError::unavailable(Closed))?
    }

    /// Every event after a position that matches, up to the head of now.
    pub(crate) fn read_all(&self, query: Query) -> Read {
        let view = self.shared.view();
        let after = eventsource_core::Position::value_of(query.after);
        let wanted = Wanted::All { query, after, head: view.head };
        Read::new(Fetch::All(FetchAll::new(view, after)), Decoder::new(wanted))
    }

    /// The events of one stream on one side of a version.
    pub(crate) fn read_stream(&self, stream: &StreamId, after: Option<Version>, direction: Direction) -> Read {
        let key = StreamKey::new(self.shared.store(), stream.as_str());
        let versions = match (direction, after) {
            (Direction::Forward, after) => Versions { after: Version::value_of(after), below: u64::MAX },
            (Direction::Backward, None) => Versions { after: 0, below: u64::MAX },
            (Direction::Backward, Some(after)) => Versions { after: 0, below: after.value() },
        };
        let fetch = FetchStream::new(self.shared.view(), key, direction, versions);
        let wanted = Wanted::Stream { stream: stream.clone(), versions, direction };
        Read::new(Fetch::Stream(fetch), Decoder::new(wanted))
    }

    pub(crate) fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, LogError> {
        let bytes = id_bytes(id);
        let view = self.shared.view();
        let Some((segment, offset, length)) = find_id(&view.segments, &bytes)? else { return Ok(None) };
        let offset = u64::from(offset);
        if offset >= segment.end() {
            // Its group is still being written.
            return Ok(None);
        }
        let frame = Bytes::from(segment.read(offset, index(length))?);
        event_of(&segment, offset, &frame, &bytes).map(Some)
    }

    /// The last position that readers may see, 0 for none.
    pub(crate) fn head(&self) -> u64 {
        self.shared.head()
    }

    /// Hears of new heads.
    pub(crate) fn heads(&self) -> watch::Receiver<u64> {
        self.shared.heads()
    }

    /// Reads and checks everything up to the head of now. Blocks while that is done.
    pub(crate) fn scrub(&self, mut progress: impl FnMut(ScrubProgress)) -> Result<LogReport, LogError> {
        scrub::open(&self.events, &self.shared, &mut progress)
    }

    /// Writes what waits, marks it durable and ends the threads. Blocks until that is done, whoever
    /// began it.
    pub(crate) fn close(&self) {
        let _closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Handle { requests, thread }) = handle else { return };
        drop(requests);
        if thread.join().is_err() {
            tracing::error!("the log's writer thread panicked");
        }
    }

    fn requests(&self) -> Option<mpsc::Sender<Append>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map(|handle| handle.requests.clone())
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// The log was closed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the event store is closed")]
struct Closed;

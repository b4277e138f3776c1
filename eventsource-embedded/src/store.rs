//! The event store over the log.

use std::{
    num::NonZeroU32,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use eventsource_core::{
    Appended, Clock, Direction, EventId, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent,
    StoreError, StreamId, SystemClock, Version,
};
use futures::{StreamExt, stream, stream::BoxStream};
use uuid::Uuid;

use crate::{
    lock::DirLock,
    log::{Durability, EventLog, Limits, LogOptions, LogReport, ScrubProgress},
    open::OpenError,
};

/// Where the log lives in the data directory.
pub(crate) const EVENTS: &str = "events";

/// How an event store is opened.
///
/// ```
/// use std::num::NonZeroU32;
/// use eventsource_embedded::EmbeddedOptions;
///
/// let options = EmbeddedOptions::default().segment_bytes(NonZeroU32::new(16 << 20).unwrap());
/// assert_eq!(options.segment_bytes.get(), 16 << 20);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbeddedOptions {
    /// Length of a file of the log, 4 KiB to 1 GiB; 64 MiB unless set. The first ones are shorter. What is
    /// opened after a crash is read through once, so shorter files open faster.
    pub segment_bytes: NonZeroU32,
    /// Longest payload of an event; 16 MiB unless set.
    pub payload_bytes_max: NonZeroU32,
    /// Longest commit with names and metadata, 1 GiB or less; 64 MiB unless set.
    pub commit_bytes_max: NonZeroU32,
    /// When an append counts as done.
    pub durability: Durability,
    /// Where [`RecordedEvent::recorded_at`] comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        const MEBIBYTE: u32 = 1 << 20;
        let mebibytes = |count: u32| NonZeroU32::new(count * MEBIBYTE).expect("a positive number of mebibytes");
        Self {
            segment_bytes: mebibytes(64),
            payload_bytes_max: mebibytes(16),
            commit_bytes_max: mebibytes(64),
            durability: Durability::Durable,
            clock: Arc::new(SystemClock),
        }
    }
}

impl EmbeddedOptions {
    /// The same with files of this length.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: NonZeroU32) -> Self {
        Self { segment_bytes, ..self }
    }

    /// The same with another limit of a payload.
    #[must_use]
    pub fn payload_bytes_max(self, payload_bytes_max: NonZeroU32) -> Self {
        Self { payload_bytes_max, ..self }
    }

    /// The same with another limit of a commit.
    #[must_use]
    pub fn commit_bytes_max(self, commit_bytes_max: NonZeroU32) -> Self {
        Self { commit_bytes_max, ..self }
    }

    /// The same with another durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same with another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn into_log(self) -> Result<LogOptions, OpenError> {
        const GIBIBYTE: u32 = 1 << 30;
        if !(4096..=GIBIBYTE).contains(&self.segment_bytes.get()) {
            return Err(OpenError::Invalid("a segment has 4 KiB to 1 GiB"));
        }
        if self.commit_bytes_max.get() > GIBIBYTE || self.payload_bytes_max > self.commit_bytes_max {
            return Err(OpenError::Invalid("a commit has at most 1 GiB, and a payload no more than a commit"));
        }
        let limits =
            Limits { payload_bytes_max: self.payload_bytes_max.get(), commit_bytes_max: self.commit_bytes_max.get() };
        Ok(LogOptions {
            segment_bytes: self.segment_bytes.get().into(),
            limits,
            durability: self.durability,
            clock: self.clock,
        })
    }
}

/// An event store in a directory of one machine. Cheap to clone; all clones are one store.
///
/// The last clone that is dropped closes the store and waits for it, at most for what is being
/// written; [`close`](Self::close) does the same without holding up the thread.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// use eventsource_core::{EventName, EventStore, ExpectedVersion, Metadata, NewEvent, StreamId};
/// use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions};
///
/// let store = EmbeddedEventStore::open(dir.path(), EmbeddedOptions::default())?;
/// let stream = StreamId::new("account", "ada")?;
/// let opened = NewEvent {
///     id: "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?,
///     name: EventName::from_static("opened"),
///     schema: 1,
///     payload: br#"{"owner":"Ada"}"#.as_slice().into(),
///     metadata: Metadata::default(),
/// };
/// let appended = store.append(&stream, ExpectedVersion::NoStream, vec![opened]).await?;
/// assert_eq!(appended.version.value(), 1);
/// store.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddedEventStore {
    log: Arc<EventLog>,
    /// Given back when the store is closed.
    lock: Arc<Mutex<Option<Arc<DirLock>>>>,
}

impl EmbeddedEventStore {
    /// Opens the store in `directory`, or makes a new one there. Reads files, so it blocks for some
    /// milliseconds, after a crash for some tens of them.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it, [`OpenError::Damaged`] when acknowledged
    /// events cannot be read.
    pub fn open(directory: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, OpenError> {
        Self::open_locked(Arc::new(DirLock::acquire(directory.as_ref())?), options)
    }

    /// Opens the store in a directory that is locked already.
    pub(crate) fn open_locked(lock: Arc<DirLock>, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let log = EventLog::open(&lock.directory().join(EVENTS), options.into_log()?)?;
        Ok(Self { log: Arc::new(log), lock: Arc::new(Mutex::new(Some(lock))) })
    }

    /// The id the store was given when it was made.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.log.store()
    }

    /// Reads and checks every byte of the log up to the head of now, beside all other use.
    ///
    /// # Errors
    /// When the directory cannot be read. Damage is no error here: the report lists it.
    pub async fn scrub(&self, progress: impl FnMut(ScrubProgress) + Send + 'static) -> Result<LogReport, StoreError> {
        // The whole store, so that the directory stays locked should the caller go away meanwhile.
        let this = self.clone();
        let scrubbed = tokio::task::spawn_blocking(move || this.log.scrub(progress)).await;
        Ok(scrubbed.map_err(StoreError::unavailable)??)
    }

    /// Writes what waits, marks the log as cleanly closed and gives the directory free. Appends after
    /// it are `Unavailable`; reads still work.
    ///
    /// # Cancel safety
    /// A store whose closing was begun is closed.
    pub async fn close(&self) {
        let this = self.clone();
        let closed = tokio::task::spawn_blocking(move || {
            this.log.close();
            this.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the event store failed");
        }
    }
}

#[async_trait]
impl EventStore for EmbeddedEventStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let began = Instant::now();
        let appended = self.log.append(stream, expected, events).await;
        metrics::histogram!("eventsource_append_duration_seconds").record(began.elapsed());
        appended
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.log.read_stream(stream, after, direction).boxed()
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.log.read_all(query).boxed()
    }

    async fn head(&self) -> Result<Option<Position>, StoreError> {
        Ok(Position::new(self.log.head()))
    }

    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError> {
        Ok(self.log.find_event(id)?)
    }

    fn wakeups(&self) -> BoxStream<'static, ()> {
        stream::unfold(self.log.heads(), |mut heads| async move {
            heads.changed().await.ok()?;
            Some(((), heads))
        })
        .boxed()
    }
}

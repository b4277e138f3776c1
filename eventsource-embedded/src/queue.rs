//! Named queues and the outcomes of commands in one SQLite file, durable when acknowledged.

mod dead;
mod entry;
mod lock;
mod options;
mod receiver;
mod row;
mod sender;
mod session;
mod state;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use eventsource_core::{Clock, StoreError, SystemClock};
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::{
    db::{Db, Fault, Findings, Kind, ScrubReport, Synchronous},
    lock::DirLock,
    outcome::{self, EmbeddedOutcomes},
};
pub use dead::DeadLetter;
pub use options::QueueOptions;
pub use sender::{EmbeddedQueue, QueueStats};
use state::State;

/// Longest name of a queue in bytes.
const NAME_BYTES_MAX: usize = 64;

const KIND: Kind = Kind {
    name: "queue",
    application_id: 0x4553_5155,
    format: 1,
    schema: &[row::SCHEMA[0], row::SCHEMA[1], row::SCHEMA[2], outcome::SCHEMA[0]],
    synchronous: Synchronous::Full,
    log_frames_max: 2_048,
    verify,
};

/// The file of queues and outcomes, usually `queue.db`.
///
/// What it acknowledges survives a power cut. It belongs to one process at a time: the locks on
/// messages live in memory, so what a process had locked when it ended comes back at the next opening,
/// with its attempts counted. A process that is killed may leave messages that it had only fetched
/// ahead with one attempt too many, but never takes their last one: that is counted for a message alone,
/// as it is handed out.
///
/// After a crash `queue.db-wal` holds what was acknowledged last. Open the file with this library
/// before any other program: the `sqlite3` shell moves that log into the file and deletes it, which
/// looks like a loss and is refused as one. If that happened, and only then, remove `queue.db-mark`:
/// the next opening checks every row instead.
///
/// ```
/// use eventsource_core::{Message, MessageReceiver, MessageSender, Metadata};
/// use eventsource_embedded::{QueueDb, QueueDbOptions, QueueOptions};
/// use futures::StreamExt;
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let db = QueueDb::open(&dir.path().join("queue.db"), QueueDbOptions::default())?;
/// let commands = db.queue("commands", QueueOptions::default())?;
/// let message = Message {
///     id: "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?,
///     session: "lamp-1".into(),
///     subject: "turn-on".into(),
///     body: "{}".into(),
///     metadata: Metadata::default(),
///     not_before: None,
/// };
/// commands.send(vec![message.clone()]).await?;
///
/// let mut deliveries = commands.deliveries();
/// let delivery = deliveries.next().await.expect("deliveries do not end")?;
/// assert_eq!((&delivery.message, delivery.attempt), (&message, 1));
/// delivery.complete().await?;
/// assert_eq!(commands.stats().depth, 0);
/// db.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct QueueDb {
    db: Db,
    options: QueueDbOptions,
    numbers: Arc<Numbers>,
    queues: Arc<Mutex<HashMap<Arc<str>, Known>>>,
    outcomes: Arc<outcome::Shared>,
}

/// How a [`QueueDb`] works.
///
/// ```
/// use std::time::Duration;
/// use eventsource_embedded::QueueDbOptions;
///
/// let options = QueueDbOptions::default().outcome_retention(Duration::from_secs(86_400));
/// assert_eq!(options.outcome_retention.as_secs(), 86_400);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueDbOptions {
    /// Threads that read outcomes and dead letters.
    pub readers: NonZeroUsize,
    /// How long outcomes are kept.
    pub outcome_retention: Duration,
    /// Tells when a delayed message is due and an outcome is old.
    pub clock: Arc<dyn Clock>,
}

impl Default for QueueDbOptions {
    /// Two readers, outcomes for 30 days, the machine's clock.
    fn default() -> Self {
        Self {
            readers: NonZeroUsize::MIN.saturating_add(1),
            outcome_retention: Duration::from_secs(30 * 24 * 60 * 60),
            clock: Arc::new(SystemClock),
        }
    }
}

impl QueueDbOptions {
    /// The same with another number of threads that read.
    #[must_use]
    pub fn readers(self, readers: NonZeroUsize) -> Self {
        Self { readers, ..self }
    }

    /// The same with another retention of outcomes.
    #[must_use]
    pub fn outcome_retention(self, outcome_retention: Duration) -> Self {
        Self { outcome_retention, ..self }
    }

    /// The same with another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

/// A queue of the file: as it was found, until somebody opens it.
enum Known {
    Found(Box<State>),
    Open(Arc<Shared>),
}

/// What all handles of one queue share. Jobs hold it, so it holds no [`Db`].
struct Shared {
    name: Arc<str>,
    options: QueueOptions,
    state: Mutex<State>,
    /// Tells waiting receivers to look again.
    wake: Notify,
    receivers: AtomicU64,
    numbers: Arc<Numbers>,
    clock: Arc<dyn Clock>,
}

/// What the file's messages are numbered by; only the writer takes numbers.
#[derive(Debug)]
struct Numbers {
    next: AtomicI64,
    /// The time of the message sent last: times of sending never go back, whatever the clock does.
    stamp: AtomicI64,
}

impl QueueDb {
    /// Opens or makes the file. Blocks for as long as reading it once takes.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or no file of queues, `Invalid` when its format is newer than
    /// this library, `Unavailable` when it cannot be opened or is open already: `queue.db-lock` beside
    /// it is locked meanwhile.
    pub fn open(path: &Path, options: QueueDbOptions) -> Result<Self, StoreError> {
        Self::open_in(None, path, options)
    }

    /// The same in a directory that may be locked already.
    pub(crate) fn open_in(
        directory: Option<Arc<DirLock>>,
        path: &Path,
        options: QueueDbOptions,
    ) -> Result<Self, StoreError> {
        let queues = Arc::new(Mutex::new(HashMap::new()));
        let known = Arc::clone(&queues);
        let load = |connection: &Connection| Ok((row::load_all(connection)?, outcome::Shared::load(connection)?));
        let last = move |connection: &Connection| close(connection, &known);
        let (db, (found, outcomes)) = Db::open(path, KIND, options.readers.get(), directory, load, last)?;
        let numbers = Numbers { next: AtomicI64::new(found.number_max + 1), stamp: AtomicI64::new(found.stamp_max) };
        let found = found.queues.into_iter().map(|(name, state)| (name, Known::Found(Box::new(state))));
        queues.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(Self { db, options, numbers: Arc::new(numbers), queues, outcomes: Arc::new(outcomes) })
    }

    /// The queue of this name. Every call gives another handle on the same queue.
    ///
    /// # Errors
    /// `Invalid` for a name that is not 1 to 64 bytes of `a-z`, `0-9`, `-` and `_`, for a lock or a rest
    /// longer than a day, and for options that differ from those it was opened with before.
    pub fn queue(&self, name: &str, options: QueueOptions) -> Result<EmbeddedQueue, StoreError> {
        let word = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(word) {
            let reason = format!("a queue's name has 1 to {NAME_BYTES_MAX} bytes of a-z, 0-9, - and _: {name:?}");
            return Err(StoreError::invalid(reason));
        }
        if let Some(problem) = options.problem() {
            return Err(StoreError::invalid(problem));
        }
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match queues.remove(name) {
            Some(Known::Open(shared)) => shared,
            found => {
                let state = match found {
                    Some(Known::Found(state)) => *state,
                    _ => State::default(),
                };
                Arc::new(Shared {
                    name: name.into(),
                    options,
                    state: Mutex::new(state),
                    wake: Notify::new(),
                    receivers: AtomicU64::new(1),
                    numbers: Arc::clone(&self.numbers),
                    clock: Arc::clone(&self.options.clock),
                })
            }
        };
        queues.insert(Arc::clone(&shared.name), Known::Open(Arc::clone(&shared)));
        if shared.options != options {
            return Err(StoreError::invalid(format!("queue {name} is open with other options")));
        }
        Ok(EmbeddedQueue::new(self.db.clone(), shared))
    }

    /// The outcomes of commands.
    #[must_use]
    pub fn outcomes(&self) -> EmbeddedOutcomes {
        let QueueDbOptions { clock, outcome_retention, .. } = &self.options;
        EmbeddedOutcomes::new(self.db.clone(), Arc::clone(&self.outcomes), Arc::clone(clock), *outcome_retention)
    }

    /// Checks every page, every tree and every row; writes wait for the pages.
    ///
    /// # Errors
    /// When the file was closed. What is damaged is in the report.
    pub async fn scrub(&self) -> Result<ScrubReport, StoreError> {
        self.db.scrub().await
    }

    /// Finishes what was asked and leaves the file whole; later calls are `Unavailable`.
    ///
    /// # Errors
    /// When the write-ahead log could not be moved into the file: it stays beside it and is used at
    /// the next opening.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.db.close().await
    }
}

impl fmt::Debug for QueueDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueDb").field("db", &self.db).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    /// Each change is made whole before anything can panic, so a poisoned lock guards whole data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    fn next(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The time to send at, when the clock shows `now`.
    fn stamp(&self, now: i64) -> i64 {
        self.stamp.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// Leaves every message with the attempts that reached somebody; the last job of the writer.
fn close(connection: &Connection, queues: &Mutex<HashMap<Arc<str>, Known>>) -> Result<(), Fault> {
    let queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    for known in queues.values() {
        if let Known::Open(shared) = known {
            shared.state().close();
            shared.wake.notify_waiters();
            row::recount(connection, shared)?;
        }
    }
    Ok(())
}

fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    row::verify(connection, findings)?;
    outcome::verify(connection, findings)
}

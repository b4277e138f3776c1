//! A queue's handle: sending, counts, and what operators ask.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use eventsource_core::{BusError, Delivery, Message, MessageReceiver, MessageSender, StoreError};
use futures::stream::BoxStream;
use rusqlite::Connection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Shared,
    dead::{self, DeadLetter},
    entry::{Entry, Now},
    receiver,
    row::{self, NewRow},
};
use crate::db::{Db, Fault, bus_error, nanos, nanos_of, time};

/// Most messages in one send.
const SEND_MESSAGES_MAX: usize = 10_000;
/// Most bytes in a session's name, a subject and metadata (as JSON) together: 64 KiB.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;
/// How long a sender is asked to wait when the queue is full.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// One named queue of a [`QueueDb`](crate::QueueDb), both ends of it. A clone is another handle.
///
/// Messages of one session are delivered in order, one at a time; a delayed message joins its session
/// when it is due and holds up no other. A lock that runs out, a dropped delivery or stream and
/// [`Delivery::abandon`] give the message back to its place, and its session rests a little longer
/// after each failure; after the last attempt it is a dead letter. A message that is sent again while
/// it is in the queue, or shortly after it was completed, is the same message; a dead letter that is
/// sent again is a new one.
///
/// ```
/// use eventsource_core::{Message, MessageReceiver, MessageSender, Metadata};
/// use eventsource_embedded::{QueueDb, QueueDbOptions, QueueOptions};
/// use futures::StreamExt;
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let db = QueueDb::open(&dir.path().join("queue.db"), QueueDbOptions::default())?;
/// let queue = db.queue("commands", QueueOptions::default())?;
/// # let message = Message {
/// #     id: "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?,
/// #     session: "lamp-1".into(),
/// #     subject: "turn-on".into(),
/// #     body: "{}".into(),
/// #     metadata: Metadata::default(),
/// #     not_before: None,
/// # };
/// queue.send(vec![message]).await?;
/// let mut deliveries = queue.deliveries();
/// let delivery = deliveries.next().await.expect("deliveries do not end")?;
/// delivery.dead_letter("no-such-lamp", "lamp 1 was thrown away").await?;
///
/// let dead = queue.dead_letters(None, 10).await?;
/// assert_eq!(dead[0].reason, "no-such-lamp");
/// assert!(queue.resubmit(dead[0].number).await?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EmbeddedQueue {
    db: Db,
    shared: Arc<Shared>,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Messages that are waiting, delayed or locked.
    pub depth: usize,
    /// Those of them that a receiver has.
    pub locked: usize,
    /// Messages that were given up on.
    pub dead_letters: usize,
    /// How long the oldest message has been due.
    pub oldest_age: Option<Duration>,
}

impl EmbeddedQueue {
    pub(super) fn new(db: Db, shared: Arc<Shared>) -> Self {
        Self { db, shared }
    }

    /// What the queue holds, without I/O.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        let now = self.shared.clock.now();
        let state = self.shared.state();
        let ((depth, locked, oldest), dead_letters) = (state.counts(), state.dead);
        let oldest_age = oldest.and_then(|due| now.duration_since(time(due)).ok());
        QueueStats { depth, locked, dead_letters, oldest_age }
    }

    /// Dead letters in the order they were sent, those after number `after`, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read, or one of them is damaged.
    pub async fn dead_letters(&self, after: Option<u64>, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.db.read(move |connection| dead::list(connection, &shared.name, after, limit)).await
    }

    /// Sends a dead letter again, as the last of its session and with all its attempts; returns
    /// whether there was one of this number.
    ///
    /// # Errors
    /// `Invalid` when a message of the same id is in the queue; otherwise when the file cannot be used.
    pub async fn resubmit(&self, number: u64) -> Result<bool, StoreError> {
        let (work, after) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let taken = Taken::default();
        let returned = taken.clone();
        let slot = self.db.slot().await?;
        let resubmitted = slot.submit(
            move |connection| {
                let resubmitted = dead::resubmit(connection, &work, number, |id| taken.push(id));
                resubmitted.inspect_err(|_| taken.give_back(&work))
            },
            move |resubmitted| match resubmitted {
                Ok(None) => {}
                Ok(Some((session, entry))) => {
                    let mut state = after.state();
                    state.dead = state.dead.saturating_sub(1);
                    state.add(session, *entry);
                    drop(state);
                    after.wake.notify_waiters();
                }
                Err(_) => returned.give_back(&after),
            },
        );
        Ok(resubmitted.await?.is_some())
    }

    /// Throws a dead letter away; returns whether there was one of this number.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn discard(&self, number: u64) -> Result<bool, StoreError> {
        let (work, after) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let slot = self.db.slot().await?;
        let discarded = slot.submit(
            move |connection| dead::discard(connection, &work.name, number),
            move |discarded| {
                if matches!(discarded, Ok(true)) {
                    let mut state = after.state();
                    state.dead = state.dead.saturating_sub(1);
                }
            },
        );
        discarded.await
    }
}

impl fmt::Debug for EmbeddedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedQueue").field("name", &self.shared.name).field("db", &self.db).finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageSender for EmbeddedQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), BusError> {
        let rows = rows(messages, self.shared.options.message_bytes_max)?;
        if rows.is_empty() {
            return Ok(());
        }
        let now = nanos_of(self.shared.clock.now()).map_err(BusError::invalid)?;
        let (work, after) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let taken = Taken::default();
        let returned = taken.clone();
        let slot = self.db.slot().await.map_err(bus_error)?;
        let sent = slot.submit(
            // Ids of a job that fails are given back at once, so that a later job of the same
            // transaction does not take them for sent.
            move |connection| store(connection, &work, &rows, now, &taken).inspect_err(|_| taken.give_back(&work)),
            move |stored| match stored {
                Ok(entries) => {
                    let mut state = after.state();
                    entries.iter().for_each(|(session, entry)| state.add(session, *entry));
                    drop(state);
                    after.wake.notify_waiters();
                }
                Err(_) => returned.give_back(&after),
            },
        );
        sent.await.map(|_| ()).map_err(bus_error)
    }
}

impl MessageReceiver for EmbeddedQueue {
    fn deliveries(&self) -> BoxStream<'static, Result<Delivery, BusError>> {
        receiver::deliveries(self.db.clone(), Arc::clone(&self.shared))
    }
}

/// Ids that a job has taken; given back when it fails or its transaction does.
#[derive(Clone, Default)]
struct Taken {
    ids: Arc<Mutex<Vec<Uuid>>>,
}

impl Taken {
    fn push(&self, id: Uuid) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    fn give_back(&self, shared: &Shared) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = shared.state();
        ids.drain(..).for_each(|id| state.return_id(&id));
    }
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        self.at(self.clock.now())
    }

    fn at(&self, now: SystemTime) -> Now {
        // A clock beyond the year 2262 makes everything due.
        Now { instant: Instant::now(), wall: nanos(now).unwrap_or(i64::MAX) }
    }
}

/// Messages as rows, if all of them may be sent.
fn rows(messages: Vec<Message>, bytes_max: usize) -> Result<Vec<NewRow>, BusError> {
    if messages.len() > SEND_MESSAGES_MAX {
        let count = messages.len();
        return Err(BusError::invalid(format!("one send holds at most {SEND_MESSAGES_MAX} messages, got {count}")));
    }
    let row = |message: Message| {
        let (id, bytes) = (message.id, message.body.len());
        if bytes == 0 {
            return Err(BusError::invalid(format!("message {id} has an empty body")));
        }
        if bytes > bytes_max {
            return Err(BusError::invalid(format!("message {id} has {bytes} bytes, at most {bytes_max} are allowed")));
        }
        let metadata = serde_json::to_string(&message.metadata)
            .map_err(|error| BusError::invalid(format!("the metadata of message {id} cannot be encoded: {error}")))?;
        let envelope = message.session.len() + message.subject.len() + metadata.len();
        if envelope > ENVELOPE_BYTES_MAX {
            return Err(BusError::invalid(format!(
                "session, subject and metadata of message {id} have {envelope} bytes, at most {ENVELOPE_BYTES_MAX} are allowed"
            )));
        }
        let not_before = message.not_before.map(nanos_of).transpose().map_err(BusError::invalid)?;
        Ok(NewRow { message, metadata, not_before })
    };
    messages.into_iter().map(row).collect()
}

/// Writes what is new, in order.
fn store(
    connection: &Connection,
    shared: &Shared,
    rows: &[NewRow],
    now: i64,
    taken: &Taken,
) -> Result<Vec<(Arc<str>, Entry)>, Fault> {
    let new: Vec<_> = {
        let mut state = shared.state();
        let new = rows.iter().filter(|row| state.take_id(row.message.id));
        let new: Vec<_> = new.inspect(|row| taken.push(row.message.id)).collect();
        let limit = shared.options.messages_max;
        if !new.is_empty() && state.len() > limit {
            let source = format!("queue {} is full: it holds at most {limit} messages and dead letters", shared.name);
            return Err(Fault::Unavailable { source: source.into(), retry_after: Some(FULL_RETRY) });
        }
        new
    };
    let sent_at = shared.numbers.stamp(now);
    let mut entries = Vec::with_capacity(new.len());
    for row in new {
        let number = shared.numbers.next();
        row::insert(connection, &shared.name, number, sent_at, row)?;
        let entry = Entry::new(number, row.message.id, sent_at, row.not_before);
        entries.push((Arc::clone(&row.message.session), entry));
    }
    Ok(entries)
}

//! A queue with sessions, locks that run out, and dead letters.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    locked,
    queue_state::{DeadLetter, QueueState, Taken, Token, Verdict},
};
use crate::{
    bus::{BusError, Delivery, Message, MessageReceiver, MessageSender, Settle},
    clock::{Clock, SystemClock},
};

/// A queue in memory, both ends of it. A clone is another handle on the same messages.
///
/// Messages of one session are delivered in order, one at a time. A lock that runs out, a dropped
/// stream or [`Delivery::abandon`] gives the message back to its place; after the last attempt it
/// is a dead letter. A message that is sent again with an id sent lately is the same message.
///
/// Locks and delays are measured by tokio's clock, so they follow a paused one.
///
/// ```
/// use eventsource_core::{Message, MessageReceiver, MessageSender, Metadata, memory::MemoryQueue};
/// use futures::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let queue = MemoryQueue::new();
/// let message = Message {
///     id: "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?,
///     session: "lamp-1".into(),
///     subject: "turn-on".into(),
///     body: "{}".into(),
///     metadata: Metadata::default(),
///     not_before: None,
/// };
/// queue.send(vec![message.clone()]).await?;
///
/// let delivery = queue.deliveries().next().await.expect("deliveries do not end")?;
/// assert_eq!((&delivery.message, delivery.attempt), (&message, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    state: Mutex<QueueState>,
    /// Tells waiting receivers to look again.
    changes: watch::Sender<()>,
    receivers: AtomicU64,
}

/// Limits and times of a [`MemoryQueue`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MemoryQueueOptions {
    /// How long a lock lasts from its start or renewal.
    pub lock_time: Duration,
    /// Deliveries of a message before it is a dead letter.
    pub attempts_max: NonZeroU32,
    /// Most bytes in the body of a message.
    pub message_bytes_max: usize,
    /// Most messages, dead letters among them; a full queue is unavailable.
    pub messages_max: usize,
    /// How many ids of messages sent lately are known, so that sending again changes nothing.
    pub recent_ids_max: usize,
}

impl Default for MemoryQueueOptions {
    /// Locks of 30 s, 10 attempts, bodies up to 1 MiB, 1,000,000 messages and 100,000 known ids.
    fn default() -> Self {
        Self {
            lock_time: Duration::from_secs(30),
            attempts_max: NonZeroU32::new(10).expect("10 is not zero"),
            message_bytes_max: 1 << 20,
            messages_max: 1_000_000,
            recent_ids_max: 100_000,
        }
    }
}

impl MemoryQueueOptions {
    /// The same with another lock time.
    #[must_use]
    pub const fn lock_time(self, lock_time: Duration) -> Self {
        Self { lock_time, ..self }
    }

    /// The same with another number of attempts.
    #[must_use]
    pub const fn attempts_max(self, attempts_max: NonZeroU32) -> Self {
        Self { attempts_max, ..self }
    }
}

impl MemoryQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(MemoryQueueOptions::default())
    }

    /// An empty queue with these limits and times.
    #[must_use]
    pub fn with_options(options: MemoryQueueOptions) -> Self {
        let state = Mutex::new(QueueState::new(options));
        let shared = Shared { state, changes: watch::Sender::new(()), receivers: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), clock: Arc::new(SystemClock) }
    }

    /// The same queue, with another clock to tell when a delayed message is due.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The messages that were given up on, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        locked(&self.shared.state).dead_letters().clone()
    }

    /// How many messages are waiting, delayed or locked.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.shared.state).len()
    }

    /// Whether no message is waiting, delayed or locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageSender for MemoryQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), BusError> {
        let (time, now) = (self.clock.now(), Instant::now());
        let due = |message: &Message| {
            let delay = message.not_before?.duration_since(time).ok()?;
            Some(now + delay)
        };
        let messages = messages.into_iter().map(|message| {
            let due = due(&message);
            (message, due)
        });
        locked(&self.shared.state).send(messages.collect())?;
        self.shared.changes.send_replace(());
        Ok(())
    }
}

impl MessageReceiver for MemoryQueue {
    fn deliveries(&self) -> BoxStream<'static, Result<Delivery, BusError>> {
        let receiver = Receiver {
            id: self.shared.receivers.fetch_add(1, Ordering::Relaxed),
            changes: self.shared.changes.subscribe(),
            shared: Arc::clone(&self.shared),
        };
        stream::unfold(receiver, |mut receiver| async move { Some((Ok(receiver.next().await), receiver)) }).boxed()
    }
}

struct Receiver {
    id: u64,
    changes: watch::Receiver<()>,
    shared: Arc<Shared>,
}

impl Receiver {
    async fn next(&mut self) -> Delivery {
        loop {
            // Marked as seen before looking, so a change during the look is not missed.
            self.changes.borrow_and_update();
            let (taken, next_change) = {
                let mut state = locked(&self.shared.state);
                (state.take(Instant::now(), self.id), state.next_change())
            };
            if let Some(Taken { message, attempt, token }) = taken {
                // A new lock gives the others a new time to look at.
                self.shared.changes.send_replace(());
                let lock = QueueLock { shared: Arc::clone(&self.shared), token };
                return Delivery::new(message, attempt, Box::new(lock));
            }
            let change = self.changes.changed();
            let changed = match next_change {
                Some(at) => timeout_at(at, change).await.unwrap_or(Ok(())),
                None => change.await,
            };
            changed.expect("the sender lives in what this receiver shares");
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        locked(&self.shared.state).leave(self.id);
        self.shared.changes.send_replace(());
    }
}

struct QueueLock {
    shared: Arc<Shared>,
    token: Token,
}

impl QueueLock {
    fn settle(&self, verdict: Verdict<'_>) -> Result<(), BusError> {
        let settled = locked(&self.shared.state).settle(Instant::now(), self.token, verdict);
        self.shared.changes.send_replace(());
        settled
    }
}

impl fmt::Debug for QueueLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueLock").field(&self.token).finish()
    }
}

#[async_trait]
impl Settle for QueueLock {
    async fn complete(self: Box<Self>) -> Result<(), BusError> {
        self.settle(Verdict::Complete)
    }

    async fn abandon(self: Box<Self>, why: &str) -> Result<(), BusError> {
        self.settle(Verdict::Abandon { why })
    }

    async fn dead_letter(self: Box<Self>, reason: &str, description: &str) -> Result<(), BusError> {
        self.settle(Verdict::DeadLetter { reason, description })
    }

    async fn renew(&mut self) -> Result<(), BusError> {
        locked(&self.shared.state).renew(Instant::now(), self.token)
    }

    fn lock_time(&self) -> Duration {
        locked(&self.shared.state).options().lock_time
    }
}

//! A queue that lies in one way.

use std::time::Duration;

use async_trait::async_trait;
use eventsource_core::{
    BusError, Delivery, Message, MessageReceiver, MessageSender, Settle,
    memory::{DeadLetter, MemoryQueue, MemoryQueueOptions},
};
use futures::{StreamExt, stream::BoxStream};

/// How a [`LyingQueue`] lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueLie {
    /// Messages of one session go to many receivers at a time. Law 11.
    SharesSessions,
    /// It loses the reason of a dead letter. Law 11.
    LosesReasons,
    /// Delayed messages are delivered at once. Law 11.
    IgnoresDelay,
    /// Settling after the lock was lost seems to work. Law 12.
    HidesLostLocks,
}

/// A queue in memory that lies in one way and is honest otherwise.
///
/// ```
/// use eventsource_core::memory::MemoryQueueOptions;
/// use eventsource_testkit::liar::{LyingQueue, QueueLie};
///
/// let queue = LyingQueue::new(MemoryQueueOptions::default(), QueueLie::SharesSessions);
/// ```
#[derive(Clone, Debug)]
pub struct LyingQueue {
    queue: MemoryQueue,
    lie: QueueLie,
}

impl LyingQueue {
    /// An empty queue that lies in this way.
    #[must_use]
    pub fn new(options: MemoryQueueOptions, lie: QueueLie) -> Self {
        Self { queue: MemoryQueue::with_options(options), lie }
    }

    /// The dead letters, as the queue shows them.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut letters = self.queue.dead_letters();
        if self.lie == QueueLie::LosesReasons {
            letters.iter_mut().for_each(|letter| letter.reason.clear());
        }
        letters
    }
}

/// Divides a session from what makes it a session of one message.
const MARK: char = '\u{1f}';

#[async_trait]
impl MessageSender for LyingQueue {
    async fn send(&self, mut messages: Vec<Message>) -> Result<(), BusError> {
        for message in &mut messages {
            match self.lie {
                QueueLie::SharesSessions => {
                    message.session = format!("{}{MARK}{}", message.session, message.id).into();
                }
                QueueLie::IgnoresDelay => message.not_before = None,
                QueueLie::LosesReasons | QueueLie::HidesLostLocks => {}
            }
        }
        self.queue.send(messages).await
    }
}

impl MessageReceiver for LyingQueue {
    fn deliveries(&self) -> BoxStream<'static, Result<Delivery, BusError>> {
        let lie = self.lie;
        let deliveries = self.queue.deliveries();
        deliveries.map(move |delivery| delivery.map(|delivery| LyingLock { delivery, lie }.deliver())).boxed()
    }
}

#[derive(Debug)]
struct LyingLock {
    delivery: Delivery,
    lie: QueueLie,
}

impl LyingLock {
    fn deliver(self) -> Delivery {
        let mut message = self.delivery.message.clone();
        if let Some((session, _)) = message.session.split_once(MARK) {
            message.session = session.into();
        }
        Delivery::new(message, self.delivery.attempt, Box::new(self))
    }
}

fn told(lie: QueueLie, settled: Result<(), BusError>) -> Result<(), BusError> {
    match settled {
        Err(BusError::LockLost) if lie == QueueLie::HidesLostLocks => Ok(()),
        settled => settled,
    }
}

#[async_trait]
impl Settle for LyingLock {
    async fn complete(self: Box<Self>) -> Result<(), BusError> {
        told(self.lie, self.delivery.complete().await)
    }

    async fn abandon(self: Box<Self>, why: &str) -> Result<(), BusError> {
        told(self.lie, self.delivery.abandon(why).await)
    }

    async fn dead_letter(self: Box<Self>, reason: &str, description: &str) -> Result<(), BusError> {
        told(self.lie, self.delivery.dead_letter(reason, description).await)
    }

    async fn renew(&mut self) -> Result<(), BusError> {
        told(self.lie, self.delivery.renew().await)
    }

    fn lock_time(&self) -> Duration {
        self.delivery.lock_time()
    }
}

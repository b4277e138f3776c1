//! The ports to queues and topics: at least once, ordered within a session, settled by the receiver.

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use uuid::Uuid;

use crate::{BoxError, metadata::Metadata};

/// Where messages are sent to.
#[async_trait]
pub trait MessageSender: fmt::Debug + Send + Sync + 'static {
    /// Sends the messages; when it returns they are durable, in this order within a session.
    ///
    /// # Errors
    /// `Unavailable` when the outcome is unknown: send again with the same message ids.
    /// `Invalid` for an empty or oversize message; nothing was sent.
    async fn send(&self, messages: Vec<Message>) -> Result<(), BusError>;
}

/// Where messages are received from: one queue, or one subscription of a topic.
#[async_trait]
pub trait MessageReceiver: fmt::Debug + Send + Sync + 'static {
    /// Deliveries as they come, for ever. One delivery of a session at a time: the next one of the
    /// same session comes after the one before it was settled or its lock ran out.
    ///
    /// Dropping the stream gives back what was not settled.
    fn deliveries(&self) -> BoxStream<'static, Result<Delivery, BusError>>;
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same for every attempt to send it.
    pub id: Uuid,
    /// Messages of one session are delivered in order, one at a time.
    pub session: Arc<str>,
    /// What it is, for example the command's name.
    pub subject: Cow<'static, str>,
    /// The content.
    pub body: Bytes,
    /// What travels beside it.
    pub metadata: Metadata,
    /// Not to be delivered before this time.
    pub not_before: Option<SystemTime>,
}

/// A message that the receiver has locked. Settle it, or it comes back.
#[must_use = "an unsettled delivery comes back"]
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// 1 for the first delivery.
    pub attempt: u32,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// A delivery that `settle` settles.
    pub fn new(message: Message, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self { message, attempt, settle }
    }

    /// Takes the message off the queue.
    ///
    /// # Errors
    /// `LockLost` when another receiver may have it: the message is not completed.
    pub async fn complete(self) -> Result<(), BusError> {
        self.settle.complete().await
    }

    /// Gives the message back for another attempt, or to the dead letters after the last one.
    ///
    /// # Errors
    /// `LockLost` when it has been given back already.
    pub async fn abandon(self, why: &str) -> Result<(), BusError> {
        self.settle.abandon(why).await
    }

    /// Moves the message to the dead letters with a reason.
    ///
    /// # Errors
    /// `LockLost` when another receiver may have it.
    pub async fn dead_letter(self, reason: &str, description: &str) -> Result<(), BusError> {
        self.settle.dead_letter(reason, description).await
    }

    /// Holds the lock for another full lock time.
    ///
    /// # Errors
    /// `LockLost` when it ran out before.
    pub async fn renew(&mut self) -> Result<(), BusError> {
        self.settle.renew().await
    }

    /// How long a lock lasts from its start or renewal.
    #[must_use]
    pub fn lock_time(&self) -> Duration {
        self.settle.lock_time()
    }
}

/// How a delivery is settled; implemented by a bus, used through [`Delivery`].
#[async_trait]
pub trait Settle: fmt::Debug + Send {
    /// See [`Delivery::complete`].
    async fn complete(self: Box<Self>) -> Result<(), BusError>;
    /// See [`Delivery::abandon`].
    async fn abandon(self: Box<Self>, why: &str) -> Result<(), BusError>;
    /// See [`Delivery::dead_letter`].
    async fn dead_letter(self: Box<Self>, reason: &str, description: &str) -> Result<(), BusError>;
    /// See [`Delivery::renew`].
    async fn renew(&mut self) -> Result<(), BusError>;
    /// See [`Delivery::lock_time`].
    fn lock_time(&self) -> Duration;
}

/// Why a bus could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The bus cannot be reached or is overloaded; the outcome is unknown. Try again.
    #[error("message bus unavailable")]
    Unavailable {
        /// What the bus or the network said.
        source: BoxError,
        /// The pause the bus asked for.
        retry_after: Option<Duration>,
    },
    /// The lock ran out before the message was settled; it will come back.
    #[error("the lock on the message was lost")]
    LockLost,
    /// The message breaks a rule of the bus; nothing was sent.
    #[error("invalid message: {reason}")]
    Invalid {
        /// What was wrong and what would be right.
        reason: Cow<'static, str>,
    },
}

impl BusError {
    /// An `Unavailable` without a pause asked for.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable { source: source.into(), retry_after: None }
    }

    /// An `Invalid` with this reason.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { reason: reason.into() }
    }
}

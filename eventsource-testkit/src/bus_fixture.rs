//! A fresh queue for one law, and what it can and cannot do.

use std::{any::Any, fmt, future::Future, num::NonZeroU32, sync::Arc, time::Duration};

use eventsource_core::{MessageReceiver, MessageSender};
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::{broken::LawBroken, fixture::Capability};

/// A fresh, empty queue for one law, with what must outlive it.
///
/// ```
/// use std::{num::NonZeroU32, sync::Arc, time::Duration};
/// use eventsource_core::memory::{MemoryQueue, MemoryQueueOptions};
/// use eventsource_testkit::{BusFixture, DeadLettered};
///
/// async fn memory() -> BusFixture {
///     let (lock_time, attempts_max) = (Duration::from_millis(500), NonZeroU32::new(3).unwrap());
///     let options = MemoryQueueOptions::default().lock_time(lock_time).attempts_max(attempts_max);
///     let queue = MemoryQueue::with_options(options);
///     let dead = queue.clone();
///     BusFixture::new(Arc::new(queue.clone()), Arc::new(queue), attempts_max)
///         .dead_letters(move || {
///             let letters = dead.dead_letters();
///             let letter = |l: eventsource_core::memory::DeadLetter| DeadLettered {
///                 message: l.message.id,
///                 reason: l.reason,
///             };
///             std::future::ready(letters.into_iter().map(letter).collect())
///         })
///         .knows_ids_again()
///         .message_bytes_max(1 << 20)
///         .cannot_reopen("it lives in memory")
/// }
/// ```
pub struct BusFixture {
    sender: Arc<dyn MessageSender>,
    receiver: Arc<dyn MessageReceiver>,
    attempts_max: NonZeroU32,
    dead_letters: Option<DeadLetters>,
    knows_ids: Option<Capability<()>>,
    message_bytes_max: Option<Capability<usize>>,
    reopen: Option<Capability<Reopen>>,
    guards: Vec<Box<dyn Any + Send>>,
}

type DeadLetters = Arc<dyn Fn() -> BoxFuture<'static, Vec<DeadLettered>> + Send + Sync>;
type Reopen = Box<dyn Fn() -> BoxFuture<'static, BusFixture> + Send + Sync>;

/// Longest lock time with which the laws of locks end in a bearable time.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(5);

/// A message that the bus gave up on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettered {
    /// The message's id.
    pub message: Uuid,
    /// Why: the receiver's reason, or the bus's own word.
    pub reason: String,
}

impl BusFixture {
    /// A fresh queue that gives a message up after `attempts_max` deliveries, 2 or more. Its locks
    /// are short, half a second for example, since laws wait for them to run out.
    #[must_use]
    pub fn new(sender: Arc<dyn MessageSender>, receiver: Arc<dyn MessageReceiver>, attempts_max: NonZeroU32) -> Self {
        Self {
            sender,
            receiver,
            attempts_max,
            dead_letters: None,
            knows_ids: None,
            message_bytes_max: None,
            reopen: None,
            guards: Vec::new(),
        }
    }

    /// How to look at the dead letters.
    #[must_use]
    pub fn dead_letters<F>(self, list: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<DeadLettered>> + Send + 'static,
    {
        Self { dead_letters: Some(Arc::new(move || Box::pin(list()))), ..self }
    }

    /// A message sent again shortly after, with the same id, is the same message.
    #[must_use]
    pub fn knows_ids_again(self) -> Self {
        Self { knows_ids: Some(Capability::Has(())), ..self }
    }

    /// A message sent again is delivered again, for this reason.
    #[must_use]
    pub fn does_not_know_ids_again(self, reason: &'static str) -> Self {
        Self { knows_ids: Some(Capability::Lacks { reason }), ..self }
    }

    /// The most bytes that the queue takes in one body; one more is refused.
    #[must_use]
    pub fn message_bytes_max(self, bytes: usize) -> Self {
        Self { message_bytes_max: Some(Capability::Has(bytes)), ..self }
    }

    /// The queue takes bodies of any size, for this reason.
    #[must_use]
    pub fn no_message_limit(self, reason: &'static str) -> Self {
        Self { message_bytes_max: Some(Capability::Lacks { reason }), ..self }
    }

    /// How to open the same queue again after the instance before was dropped.
    #[must_use]
    pub fn reopens<F>(self, reopen: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Self> + Send + 'static,
    {
        Self { reopen: Some(Capability::Has(Box::new(move || Box::pin(reopen())))), ..self }
    }

    /// The messages are gone with the instance, for this reason.
    #[must_use]
    pub fn cannot_reopen(self, reason: &'static str) -> Self {
        Self { reopen: Some(Capability::Lacks { reason }), ..self }
    }

    /// Keeps `guard`, such as a temporary folder, until the law has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// The end where messages go in.
    #[must_use]
    pub fn sender(&self) -> Arc<dyn MessageSender> {
        Arc::clone(&self.sender)
    }

    /// The end where messages come out.
    #[must_use]
    pub fn receiver(&self) -> Arc<dyn MessageReceiver> {
        Arc::clone(&self.receiver)
    }

    pub(crate) const fn attempts_max(&self) -> u32 {
        self.attempts_max.get()
    }

    pub(crate) async fn list_dead_letters(&self) -> Result<Vec<DeadLettered>, LawBroken> {
        match &self.dead_letters {
            Some(list) => Ok(list().await),
            None => Err(undeclared("dead_letters")),
        }
    }

    pub(crate) fn knows_ids(&self) -> Result<bool, LawBroken> {
        has(self.knows_ids.as_ref(), "`knows_ids_again` or `does_not_know_ids_again`").map(|has| has.is_some())
    }

    pub(crate) fn message_limit(&self) -> Result<Option<usize>, LawBroken> {
        has(self.message_bytes_max.as_ref(), "`message_bytes_max` or `no_message_limit`").map(Option::<&usize>::copied)
    }

    /// The instance that sees the same messages after this one was dropped; `None` when the backend
    /// has said why there is none.
    pub(crate) async fn reopened(self) -> Result<Option<Self>, LawBroken> {
        let Self { sender, receiver, dead_letters, mut guards, reopen, .. } = self;
        drop((sender, receiver, dead_letters));
        let Some(open) = has(reopen.as_ref(), "`reopens` or `cannot_reopen`")? else { return Ok(None) };
        let mut opened = open().await;
        opened.guards.append(&mut guards);
        Ok(Some(opened))
    }
}

fn has<'a, T>(capability: Option<&'a Capability<T>>, calls: &str) -> Result<Option<&'a T>, LawBroken> {
    match capability {
        None => Err(undeclared(calls)),
        Some(Capability::Lacks { reason: "" }) => Err(LawBroken::new(format!("no reason is given: {calls}"))),
        Some(Capability::Lacks { .. }) => Ok(None),
        Some(Capability::Has(it)) => Ok(Some(it)),
    }
}

fn undeclared(calls: &str) -> LawBroken {
    LawBroken::new(format!("the fixture does not say what it can: call {calls}"))
}

impl fmt::Debug for BusFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusFixture").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

//! Catch-up, then live: every event once and in order, whatever happens to the hints.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    backoff::Backoff,
    event::RecordedEvent,
    position::Position,
    store::{EventStore, Query, StoreError},
};

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is an event, and a box would cost an allocation each")]
pub enum Subscribed {
    /// The next event that matches.
    Event(RecordedEvent),
    /// Everything up to this head was delivered or does not match. Comes whenever the reader has
    /// reached a head it had not reached before, and once at the start of the wait even in an
    /// empty store.
    CaughtUp(Option<Position>),
}

/// How a subscription waits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// Longest wait for a hint before it looks by itself, so that a lost hint costs at most this.
    pub poll_interval: Duration,
    /// Pauses after a read that failed with a retryable error.
    pub backoff: Backoff,
    /// Reads that may fail one after the other before the error is handed to the reader.
    pub failures_max: u32,
}

impl Default for SubscribeOptions {
    /// Looks every second, tolerates 8 failed reads in a row.
    fn default() -> Self {
        Self { poll_interval: Duration::from_secs(1), backoff: Backoff::default(), failures_max: 8 }
    }
}

impl SubscribeOptions {
    /// The same with another longest wait for a hint.
    #[must_use]
    pub const fn poll_interval(self, poll_interval: Duration) -> Self {
        Self { poll_interval, ..self }
    }
}

/// Every event after `query.after` that matches, then every new one as it comes, for ever.
///
/// Hints from [`EventStore::wakeups`] only make it faster: with all of them lost, duplicated or
/// delayed it delivers the same events. `query.limit` is not used.
///
/// # Errors
/// A read that fails is tried again from where it stopped, up to
/// [`failures_max`](SubscribeOptions::failures_max) times in a row; then, or when trying again is
/// of no use, the error is the last item.
///
/// # Cancel safety
/// The stream may be dropped at any time. Subscribe again after the last position that was taken.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{EventStore, Query, StoreError, SubscribeOptions, Subscribed, subscribe};
/// use futures::TryStreamExt;
///
/// async fn print(store: Arc<dyn EventStore>) -> Result<(), StoreError> {
///     let mut events = subscribe(store, Query::default().category("workflow"), SubscribeOptions::default());
///     while let Some(item) = events.try_next().await? {
///         match item {
///             Subscribed::Event(event) => println!("{} {}", event.stream, event.name),
///             Subscribed::CaughtUp(head) => println!("live at {head:?}"),
///         }
///     }
///     Ok(())
/// }
/// ```
pub fn subscribe(
    store: Arc<dyn EventStore>,
    query: Query,
    options: SubscribeOptions,
) -> BoxStream<'static, Result<Subscribed, StoreError>> {
    // Listening begins before the first read, so nothing that comes in between goes unheard.
    let wakeups = store.wakeups();
    let reader = Reader {
        store,
        options,
        seen: query.after,
        announced: None,
        query,
        wakeups: Some(wakeups),
        failures: 0,
        step: Step::Look,
    };
    stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    })
    .boxed()
}

struct Reader {
    store: Arc<dyn EventStore>,
    options: SubscribeOptions,
    query: Query,
    wakeups: Option<BoxStream<'static, ()>>,
    /// Nothing at or below is delivered again.
    seen: Option<Position>,
    /// The head last told as caught up with.
    announced: Option<Option<Position>>,
    failures: u32,
    step: Step,
}

enum Step {
    /// Ask for the head and start a read.
    Look,
    /// Deliver what a read gives; it covers everything up to the head.
    Read { events: BoxStream<'static, Result<RecordedEvent, StoreError>>, head: Option<Position> },
    /// Nothing to read: wait for a hint or the next look.
    Wait,
    /// An error was delivered.
    Ended,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Subscribed, StoreError>> {
        loop {
            let outcome = match &mut self.step {
                Step::Look => self.look().await,
                Step::Read { events, head } => match events.next().await {
                    Some(Ok(event)) => self.take(event).map(Some),
                    Some(Err(error)) => Err(error),
                    None => {
                        let head = *head;
                        Ok(self.caught_up(head))
                    }
                },
                Step::Wait => {
                    self.wait().await;
                    Ok(None)
                }
                Step::Ended => return None,
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(item)) => return Some(Ok(item)),
                Err(error) => {
                    if let Some(error) = self.fail(error).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// The head is read before the events, so a read that ends has covered it.
    async fn look(&mut self) -> Result<Option<Subscribed>, StoreError> {
        let head = self.store.head().await?;
        if head <= self.seen {
            return Ok(self.caught_up(head));
        }
        let mut query = self.query.clone().after(self.seen);
        query.limit = None;
        self.step = Step::Read { events: self.store.read_all(query), head };
        Ok(None)
    }

    fn take(&mut self, event: RecordedEvent) -> Result<Subscribed, StoreError> {
        let Some(position) = event.position else {
            return Err(StoreError::corrupt(
                format!("{} version {}", event.stream, event.version),
                "read_all served an event without a position",
            ));
        };
        if Some(position) <= self.seen {
            return Err(StoreError::corrupt(
                format!("position {position}"),
                format!("read_all served it after position {}", Position::value_of(self.seen)),
            ));
        }
        self.seen = Some(position);
        self.failures = 0;
        Ok(Subscribed::Event(event))
    }

    fn caught_up(&mut self, head: Option<Position>) -> Option<Subscribed> {
        self.step = Step::Wait;
        self.failures = 0;
        self.seen = self.seen.max(head);
        if self.announced == Some(self.seen) {
            return None;
        }
        self.announced = Some(self.seen);
        Some(Subscribed::CaughtUp(self.seen))
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + self.options.poll_interval;
        if let Some(wakeups) = &mut self.wakeups {
            match timeout_at(deadline, wakeups.next()).await {
                Ok(Some(())) | Err(_) => {}
                // The store gives no hints any more; from here on it is polled.
                Ok(None) => self.wakeups = None,
            }
        } else {
            tokio::time::sleep_until(deadline).await;
        }
        self.step = Step::Look;
    }

    /// Pauses and goes on, or gives the error back when that is of no use.
    async fn fail(&mut self, error: StoreError) -> Option<StoreError> {
        if !error.is_retryable() || self.failures >= self.options.failures_max {
            self.step = Step::Ended;
            return Some(error);
        }
        let asked = match &error {
            StoreError::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        };
        let pause = asked.unwrap_or_default().max(self.options.backoff.pause(self.failures));
        self.failures += 1;
        tracing::warn!(error = %error, failures = self.failures, ?pause, "subscription read failed, trying again");
        // The step changes first: a read that failed is never polled again.
        self.step = Step::Look;
        sleep(pause).await;
        None
    }
}

//! The store feed, gathered into batches.

use futures::{FutureExt, StreamExt, stream::BoxStream};
use tokio::time::{Instant, timeout_at};

use super::options::ProjectionOptions;
use crate::{event::RecordedEvent, position::Position, store::StoreError, subscription::Subscribed};

/// Events on their way into a batch. Gathering may be dropped at any point and taken up again.
pub(super) struct Feed {
    events: BoxStream<'static, Result<Subscribed, StoreError>>,
    options: ProjectionOptions,
    gathered: Vec<RecordedEvent>,
    bytes: usize,
    /// Everything up to here is gathered or of no interest.
    reached: Option<Position>,
    /// Whether the end of the store was the last thing heard.
    caught_up: bool,
    /// When the batch is due even if nothing more comes.
    due: Option<Instant>,
}

impl Feed {
    pub(super) fn new(
        events: BoxStream<'static, Result<Subscribed, StoreError>>,
        reached: Option<Position>,
        options: ProjectionOptions,
    ) -> Self {
        Self { events, options, gathered: Vec::new(), bytes: 0, reached, caught_up: false, due: None }
    }

    /// Everything up to here was gathered or is of no interest.
    pub(super) const fn reached(&self) -> Option<Position> {
        self.reached
    }

    /// Everything up to here is dealt with, given that everything up to `committed` is.
    pub(super) fn done_up_to(&self, committed: Option<Position>) -> Option<Position> {
        if self.gathered.is_empty() { self.reached } else { committed }
    }

    /// Whether the end of the store was reached.
    pub(super) const fn caught_up(&self) -> bool {
        self.caught_up
    }

    /// Returns when there is a batch to commit, or a new end of the store to tell.
    pub(super) async fn gather(&mut self) -> Result<(), StoreError> {
        loop {
            let full = self.gathered.len() >= self.options.batch_events_max.get()
                || self.bytes >= self.options.batch_bytes_max;
            if full && !self.gathered.is_empty() {
                return Ok(());
            }
            // Most events of a catch-up are there already, and a timer for each would cost more than they do.
            let item = match (self.events.next().now_or_never(), self.due) {
                (Some(item), _) => item,
                (None, None) => self.events.next().await,
                (None, Some(due)) => match timeout_at(due, self.events.next()).await {
                    Ok(item) => item,
                    Err(_) => {
                        self.due = None;
                        return Ok(());
                    }
                },
            };
            match item {
                Some(Ok(Subscribed::Event(event))) => self.take_in(event),
                Some(Ok(Subscribed::CaughtUp(head))) => {
                    self.caught_up = true;
                    self.reached = self.reached.max(head);
                    if self.gathered.is_empty() || self.options.linger.is_zero() {
                        return Ok(());
                    }
                    let lingered = Instant::now() + self.options.linger;
                    self.due = Some(self.due.map_or(lingered, |due| due.min(lingered)));
                }
                Some(Err(error)) => return Err(error),
                None => return Err(StoreError::unavailable("the subscription came to an end")),
            }
        }
    }

    /// The events gathered so far.
    pub(super) fn take(&mut self) -> Vec<RecordedEvent> {
        self.due = None;
        self.bytes = 0;
        std::mem::take(&mut self.gathered)
    }

    /// Wakes up at `due` even if nothing comes.
    pub(super) fn wake_at(&mut self, due: Instant) {
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    fn take_in(&mut self, event: RecordedEvent) {
        if self.gathered.is_empty() {
            self.due = Some(Instant::now() + self.options.gather_max);
        }
        self.caught_up = false;
        self.reached = self.reached.max(event.position);
        self.bytes += event.payload.len();
        self.gathered.push(event);
    }
}

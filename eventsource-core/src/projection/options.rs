//! The bounds of a projection.

use std::{num::NonZeroUsize, time::Duration};

use crate::{backoff::Backoff, subscription::SubscribeOptions};

/// The bounds of a projection: sizes of batches and caches, lengths of waits.
///
/// ```
/// use eventsource_core::ProjectionOptions;
///
/// let mut options = ProjectionOptions::default();
/// options.batch_events_max = std::num::NonZeroUsize::MIN; // commit after every event
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProjectionOptions {
    /// Most events folded in by one commit.
    pub batch_events_max: NonZeroUsize,
    /// Payload bytes after which a batch is full.
    pub batch_bytes_max: usize,
    /// Longest that a batch is gathered while more events are on their way.
    pub gather_max: Duration,
    /// How long a live batch waits for more events. At zero it is committed at once, and whatever
    /// comes in during a commit makes the next batch.
    pub linger: Duration,
    /// Most decoded views kept in memory between batches.
    pub cached_views_max: NonZeroUsize,
    /// Most streams that may stand still; one more stops the projection.
    pub parked_streams_max: usize,
    /// How often the checkpoint follows events that are of no interest to the projector.
    pub checkpoint_interval: Duration,
    /// How often the serving version is looked at, and figures that change with time are told.
    pub tick_interval: Duration,
    /// Longest wait for a doorbell to be rung.
    pub doorbell_timeout: Duration,
    /// Pauses while a store is unavailable. It is tried for ever.
    pub backoff: Backoff,
    /// How the feed waits for new events.
    pub subscribe: SubscribeOptions,
}

impl Default for ProjectionOptions {
    /// Batches of 10,000 events or 8 MiB, 10,000 views in memory, no linger.
    fn default() -> Self {
        const TEN_THOUSAND: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not 0");
        Self {
            batch_events_max: TEN_THOUSAND,
            batch_bytes_max: 8 << 20,
            gather_max: Duration::from_millis(100),
            linger: Duration::ZERO,
            cached_views_max: TEN_THOUSAND,
            parked_streams_max: 10_000,
            checkpoint_interval: Duration::from_secs(1),
            tick_interval: Duration::from_secs(5),
            doorbell_timeout: Duration::from_secs(1),
            backoff: Backoff::default(),
            subscribe: SubscribeOptions::default(),
        }
    }
}

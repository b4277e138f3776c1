//! The bounds of live queries.

use std::time::Duration;

use crate::backoff::Backoff;

/// The bounds of live queries: lengths of waits, sizes of what is kept for slow readers.
///
/// ```
/// use std::time::Duration;
/// use eventsource_core::LiveOptions;
///
/// let mut options = LiveOptions::default();
/// options.reconcile_interval = Duration::from_secs(1);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LiveOptions {
    /// How often views are looked at though no doorbell rang: what a lost ring costs at most.
    pub reconcile_interval: Duration,
    /// Most rung keys that wait to be read; with more, everything that is watched is read.
    pub rung_keys_max: usize,
    /// Most changed views kept for readers of [`changes`](crate::LiveQueries::changes) that are slow;
    /// whoever falls behind further gets a resync.
    pub kept_views_max: usize,
    /// Most views that a reader who comes back is told about one by one; with more it gets a resync.
    pub resumed_views_max: usize,
    /// Most bytes of stored views in one item of [`changes`](crate::LiveQueries::changes), and one
    /// view more: what comes at once is told in parts of this size.
    pub batch_bytes_max: usize,
    /// Pauses while the view store is unavailable. It is tried for ever.
    pub backoff: Backoff,
}

impl Default for LiveOptions {
    /// Reconciles every 5 seconds, keeps up to 10,000 keys and views, tells up to 256 KiB at once.
    fn default() -> Self {
        Self {
            reconcile_interval: Duration::from_secs(5),
            rung_keys_max: 10_000,
            kept_views_max: 10_000,
            resumed_views_max: 10_000,
            batch_bytes_max: 256 << 10,
            backoff: Backoff::default(),
        }
    }
}

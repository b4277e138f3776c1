//! Limits and times of a queue.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

/// Longest lock and longest rest.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Limits and times of an [`EmbeddedQueue`](crate::EmbeddedQueue).
///
/// ```
/// use std::time::Duration;
/// use eventsource_embedded::QueueOptions;
///
/// let options = QueueOptions::default().lock_time(Duration::from_secs(5));
/// assert_eq!(options.lock_time.as_secs(), 5);
/// assert_eq!(options.attempts_max.get(), 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// How long a lock lasts from its start or renewal.
    pub lock_time: Duration,
    /// Deliveries of a message before it is a dead letter.
    pub attempts_max: NonZeroU32,
    /// Most bytes in the body of a message.
    pub message_bytes_max: usize,
    /// Most messages, dead letters among them; a full queue is unavailable.
    pub messages_max: usize,
    /// Most deliveries that one receiver has at a time, those it fetched ahead among them.
    pub concurrency: NonZeroUsize,
    /// How long a session rests after the first failed attempt; each further one doubles it.
    pub pause_min: Duration,
    /// The longest such rest.
    pub pause_max: Duration,
    /// How long the id of a settled message is known, so that sending it again changes nothing.
    pub recent_time: Duration,
    /// How many such ids are known; the oldest go first.
    pub recent_ids_max: usize,
}

impl Default for QueueOptions {
    /// Locks of 30 s, 10 attempts with rests of 100 ms to 10 s, bodies up to 4 MiB, 1,000,000
    /// messages, 64 deliveries at a time, and 100,000 ids known for 10 minutes.
    fn default() -> Self {
        Self {
            lock_time: Duration::from_secs(30),
            attempts_max: NonZeroU32::new(10).expect("10 is not zero"),
            message_bytes_max: 4 << 20,
            messages_max: 1_000_000,
            concurrency: NonZeroUsize::new(64).expect("64 is not zero"),
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(10),
            recent_time: Duration::from_secs(600),
            recent_ids_max: 100_000,
        }
    }
}

impl QueueOptions {
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

    /// The same with another limit for bodies.
    #[must_use]
    pub const fn message_bytes_max(self, message_bytes_max: usize) -> Self {
        Self { message_bytes_max, ..self }
    }

    /// The same with another limit for messages.
    #[must_use]
    pub const fn messages_max(self, messages_max: usize) -> Self {
        Self { messages_max, ..self }
    }

    /// The same with another number of deliveries a receiver.
    #[must_use]
    pub const fn concurrency(self, concurrency: NonZeroUsize) -> Self {
        Self { concurrency, ..self }
    }

    /// The same with other rests after failed attempts.
    #[must_use]
    pub const fn pauses(self, pause_min: Duration, pause_max: Duration) -> Self {
        Self { pause_min, pause_max, ..self }
    }

    /// The same with another memory of settled messages.
    #[must_use]
    pub const fn recent(self, recent_time: Duration, recent_ids_max: usize) -> Self {
        Self { recent_time, recent_ids_max, ..self }
    }

    /// What is wrong with them, if anything is.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let times = [self.lock_time, self.pause_min, self.pause_max];
        let too_long = times.iter().any(|time| *time > TIME_MAX);
        let zero = self.lock_time.is_zero();
        (too_long || zero).then_some("a lock lasts more than nothing, and a lock or a rest at most a day")
    }

    /// How long a session rests after this many failed attempts.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause_min.saturating_mul(factor).min(self.pause_max)
    }
}

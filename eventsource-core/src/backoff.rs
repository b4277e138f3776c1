//! Pauses between attempts: longer each time, never in step with others.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// How long to wait before each new attempt: doubling from `first` up to `longest`, each pause cut
/// to a random part between half and all of it so that many waiters do not come back together.
///
/// ```
/// use std::time::Duration;
/// use eventsource_core::Backoff;
///
/// let backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_secs(1) };
/// assert!(backoff.pause(0) <= Duration::from_millis(10));
/// assert!(backoff.pause(0) >= Duration::from_millis(5));
/// assert!(backoff.pause(60) <= Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest that the first pause can be.
    pub first: Duration,
    /// The longest that any pause can be.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after `failures` failed attempts before this one.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        let half = doubled.min(self.longest) / 2;
        half + half.mul_f64(random_part())
    }
}

impl Default for Backoff {
    /// From 10 ms up to 5 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(10), longest: Duration::from_secs(5) }
    }
}

/// A number from 0 to 1 out of the standard library's randomly keyed hasher: good enough to spread
/// pauses, and no dependency.
fn random_part() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

//! How fast an import goes.

use std::{num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// How many events of the log are sent in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As many as the server takes.
    Max,
    /// This many.
    PerSecond(NonZeroU32),
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "max" => Ok(Self::Max),
            number => number.parse().map(Self::PerSecond).map_err(|_| SpeedError),
        }
    }
}

/// A text that is no speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a speed is max, or a number of events a second from 1 up")]
pub struct SpeedError;

/// Lets through what the speed allows, whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    speed: Speed,
    next: Arc<Mutex<Instant>>,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, next: Arc::new(Mutex::new(Instant::now())) }
    }

    /// How many commands go together, at most: small enough for ten batches a second.
    pub(super) fn batch_size(&self, most: usize) -> usize {
        match self.speed {
            Speed::Max => most,
            // Two commands an event, a tenth of a second's worth.
            Speed::PerSecond(events) => usize::try_from(events.get() / 5).unwrap_or(most).clamp(2, most),
        }
    }

    /// Waits until this many commands may be sent.
    pub(super) async fn allow(&self, commands: usize) {
        let Speed::PerSecond(events) = self.speed else { return };
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        let takes = Duration::from_secs(1).saturating_mul(commands) / events.get().saturating_mul(2);
        let mut next = self.next.lock().await;
        let at = (*next).max(Instant::now());
        *next = at + takes;
        drop(next);
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::Instant;

    use super::{Pace, Speed, SpeedError};

    #[test]
    fn speeds_are_max_or_a_number() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("20".parse(), Ok(Speed::PerSecond(NonZeroU32::new(20).unwrap())));
        for bad in ["0", "-1", "fast", "1.5"] {
            assert_eq!(bad.parse::<Speed>(), Err(SpeedError));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_by_all_together() {
        let pace = Pace::new("50".parse().unwrap());
        let start = Instant::now();
        let senders = (0..4).map(|_| async {
            for _ in 0..25 {
                pace.allow(2).await;
            }
        });
        futures::future::join_all(senders).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((1.9..=2.0).contains(&seconds), "100 events at 50 a second took {seconds} s");
    }
}

//! How far a projection has come, told to whoever watches and to metrics.

use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge};
use tokio::{sync::watch, time::Instant};

use crate::{position::Position, view::ProjectionId};

/// How far a projection has come, and how fast it goes.
///
/// ```
/// use eventsource_core::ProjectionHandle;
///
/// fn is_ready(projection: &ProjectionHandle) -> bool {
///     let progress = projection.progress();
///     progress.serving && progress.failures == 0 && progress.lag_events < 1_000
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The projection.
    pub projection: ProjectionId,
    /// Everything up to here is folded in, parked, or of no interest.
    pub position: Option<Position>,
    /// The end of the store when it was last looked at.
    pub head: Option<Position>,
    /// Events of the store between `position` and `head`.
    pub lag_events: u64,
    /// Events folded in per second, over about the last ten seconds.
    pub events_per_second: f64,
    /// When it will have caught up at this pace; `None` when it has, or the pace is not known.
    pub time_left: Option<Duration>,
    /// Whether it had reached the end of the store when that was last looked at.
    pub caught_up: bool,
    /// Whether queries read this version.
    pub serving: bool,
    /// Streams that stand still.
    pub parked: u64,
    /// Attempts that failed one after the other because a store was unavailable; 0 when all is well.
    pub failures: u32,
}

impl Progress {
    pub(super) const fn start(projection: ProjectionId) -> Self {
        Self {
            projection,
            position: None,
            head: None,
            lag_events: 0,
            events_per_second: 0.0,
            time_left: None,
            caught_up: false,
            serving: false,
            parked: 0,
            failures: 0,
        }
    }
}

/// What the engine knows after a step.
pub(super) struct Step {
    pub(super) position: Option<Position>,
    pub(super) head: Option<Position>,
    pub(super) caught_up: bool,
    pub(super) serving: bool,
    pub(super) parked: usize,
    /// When the oldest parked event was parked.
    pub(super) parked_since: Option<SystemTime>,
    /// Events folded in by this step.
    pub(super) events: usize,
    /// When the last of them was recorded.
    pub(super) recorded_at: Option<SystemTime>,
}

/// Tells progress to watchers and to metrics.
pub(super) struct Meter {
    progress: watch::Sender<Progress>,
    events: Pace,
    positions: Pace,
    position: Option<Option<Position>>,
    recorded_at: Option<SystemTime>,
    figures: Figures,
}

struct Figures {
    lag_events: Gauge,
    lag_seconds: Gauge,
    events: Counter,
    parked: Gauge,
    parked_oldest: Gauge,
    failures: Counter,
}

impl Meter {
    pub(super) fn new(progress: watch::Sender<Progress>) -> Self {
        let label = progress.borrow().projection.to_string();
        let figures = Figures {
            lag_events: metrics::gauge!("eventsource_projection_lag_events", "projection" => label.clone()),
            lag_seconds: metrics::gauge!("eventsource_projection_lag_seconds", "projection" => label.clone()),
            events: metrics::counter!("eventsource_projection_events_total", "projection" => label.clone()),
            parked: metrics::gauge!("eventsource_parked_events", "projection" => label.clone()),
            parked_oldest: metrics::gauge!("eventsource_parked_oldest_seconds", "projection" => label.clone()),
            failures: metrics::counter!("eventsource_projection_failures_total", "projection" => label),
        };
        Self { progress, events: Pace::new(), positions: Pace::new(), position: None, recorded_at: None, figures }
    }

    pub(super) fn step(&mut self, step: &Step, now: SystemTime) {
        let age = |since: SystemTime| now.duration_since(since).unwrap_or_default();
        self.recorded_at = step.recorded_at.or(self.recorded_at);
        let head = step.head.max(step.position);
        let lag = Position::value_of(head) - Position::value_of(step.position);
        let instant = Instant::now();
        self.events.add(instant, u64::try_from(step.events).unwrap_or(u64::MAX));
        // The first step tells where it starts, which is no distance covered.
        let before = self.position.replace(step.position).unwrap_or(step.position);
        self.positions.add(instant, Position::value_of(step.position).saturating_sub(Position::value_of(before)));
        let lag_time = self.recorded_at.filter(|_| lag > 0).map(age).unwrap_or_default();

        self.figures.lag_events.set(float(lag));
        self.figures.lag_seconds.set(lag_time.as_secs_f64());
        self.figures.events.increment(u64::try_from(step.events).unwrap_or(u64::MAX));
        let parked = u64::try_from(step.parked).unwrap_or(u64::MAX);
        self.figures.parked.set(float(parked));
        self.figures.parked_oldest.set(step.parked_since.map(age).unwrap_or_default().as_secs_f64());

        self.progress.send_modify(|progress| {
            progress.position = step.position;
            progress.head = head;
            progress.lag_events = lag;
            progress.events_per_second = self.events.per_second();
            progress.time_left = self.positions.time_for(lag);
            progress.caught_up = step.caught_up;
            progress.serving = step.serving;
            progress.parked = parked;
            progress.failures = 0;
        });
    }

    pub(super) fn failed(&self, failures: u32) {
        self.figures.failures.increment(1);
        self.progress.send_modify(|progress| progress.failures = failures);
    }
}

/// A moving average: each second that goes by lets old counts fade by a tenth.
struct Pace {
    since: Instant,
    waiting: u64,
    per_second: Option<f64>,
}

impl Pace {
    const SHORTEST: Duration = Duration::from_millis(100);
    const MEMORY_SECONDS: f64 = 10.0;

    fn new() -> Self {
        Self { since: Instant::now(), waiting: 0, per_second: None }
    }

    fn add(&mut self, now: Instant, count: u64) {
        self.waiting += count;
        let elapsed = now - self.since;
        if elapsed < Self::SHORTEST {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let newest = float(self.waiting) / seconds;
        let fade = (-seconds / Self::MEMORY_SECONDS).exp();
        self.per_second = Some(self.per_second.map_or(newest, |old| old * fade + newest * (1.0 - fade)));
        self.waiting = 0;
        self.since = now;
    }

    fn per_second(&self) -> f64 {
        self.per_second.unwrap_or_default()
    }

    fn time_for(&self, count: u64) -> Option<Duration> {
        let pace = self.per_second.filter(|&pace| pace > 0.0)?;
        Duration::try_from_secs_f64(float(count) / pace).ok().filter(|_| count > 0)
    }
}

/// The nearest floating-point number.
fn float(count: u64) -> f64 {
    let high = f64::from(u32::try_from(count >> 32).unwrap_or(u32::MAX));
    let low = f64::from(u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX));
    high * 4_294_967_296.0 + low
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Pace, float};

    #[test]
    fn counts_become_floats() {
        assert_eq!(float(0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(float(1 << 40).to_bits(), 1_099_511_627_776.0_f64.to_bits());
    }

    #[test]
    fn a_steady_pace_is_told_and_foretold() {
        let start = Instant::now();
        let mut pace = Pace { since: start, waiting: 0, per_second: None };
        for tick in 1..=100 {
            pace.add(start + Duration::from_millis(200) * tick, 20);
        }
        assert!((pace.per_second() - 100.0).abs() < 1.0, "{}", pace.per_second());
        let left = pace.time_for(1_000).unwrap();
        assert!((9..=11).contains(&left.as_secs()), "{left:?}");
        assert_eq!(pace.time_for(0), None);
    }
}

//! A message as a session's order knows it, and the lock on one.

use tokio::time::Instant;
use uuid::Uuid;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// For locks and rests.
    pub(super) instant: Instant,
    /// For delays, in nanoseconds since 1970.
    pub(super) wall: i64,
}

/// A message of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its place in its session: when it was sent, or later if it is delayed.
    pub(super) due: i64,
    /// What it waits for. Not `due`: what is not delayed waits for nothing, wherever the clock has gone.
    pub(super) not_before: Option<i64>,
    /// Its row.
    pub(super) number: i64,
    pub(super) id: Uuid,
    /// Deliveries that reached somebody; its row has one more while it is fetched ahead.
    pub(super) attempts: u32,
}

/// Names one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Token(u64);

impl Token {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// The first message of a session that was just locked.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) token: Token,
    pub(super) entry: Entry,
    /// Why it is to be a dead letter at once, if it is.
    pub(super) exhausted: Option<String>,
}

impl Entry {
    /// A message that was never delivered.
    pub(super) fn new(number: i64, id: Uuid, sent_at: i64, not_before: Option<i64>) -> Self {
        let due = not_before.map_or(sent_at, |not_before| not_before.max(sent_at));
        Self { due, not_before, number, id, attempts: 0 }
    }
}

impl Claim {
    /// The attempt that this delivery is.
    pub(super) fn attempt(&self) -> u32 {
        self.entry.attempts.saturating_add(1)
    }
}

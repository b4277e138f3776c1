//! One session of a queue: its messages, and what holds its first one.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::entry::{Entry, Token};

/// When, and a number that makes it unique.
pub(super) type Timer = (Instant, u64);

#[derive(Debug, Default)]
pub(super) struct Session {
    /// By due time, then by number; the first one may be locked.
    pub(super) waiting: VecDeque<Entry>,
    pub(super) hold: Hold,
    pub(super) rests_until: Option<Instant>,
    pub(super) last_failure: Option<String>,
}

#[derive(Debug, Default)]
pub(super) enum Hold {
    /// Not looked at yet.
    #[default]
    New,
    Ready((i64, i64)),
    Waiting(Timer),
    Locked(Lock),
    /// The row of its first message is damaged.
    Broken,
}

#[derive(Debug)]
pub(super) struct Lock {
    pub(super) token: Token,
    /// `None` once the receiver has gone away.
    pub(super) receiver: Option<u64>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The attempt is being written down.
    Loading,
    /// Fetched ahead: runs out too, so that others get it when its receiver does not come for it.
    Buffered(Timer),
    Delivered(Timer),
    Settling,
}

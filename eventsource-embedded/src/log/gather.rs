//! Making groups as large as the number of writers allows.
//!
//! Writers that were answered come back a moment later. Whoever syncs at once with what is there
//! gets two crews that take turns: each waits through the other's sync, and a sync carries half of
//! what it could. So the log waits for those it has just answered, but only a fraction of what a
//! sync takes, and not at all for a single writer.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::append::Append;

/// Requests that are taken from the queue at once.
const TAKEN_MAX: usize = 1024;
/// The longest wait, however slow the disk.
const WAIT_MAX: Duration = Duration::from_micros(200);

/// Takes requests from the queue in groups.
#[derive(Debug)]
pub(crate) struct Gather {
    requests: mpsc::Receiver<Append>,
    taken: Vec<Append>,
    /// Writers that seem to be at work: those answered last and those that waited then.
    writers: usize,
}

impl Gather {
    pub(crate) fn new(requests: mpsc::Receiver<Append>) -> Self {
        Self { requests, taken: Vec::with_capacity(TAKEN_MAX), writers: 0 }
    }

    /// Waits for requests and puts them behind those that wait already; `false` when no more can come.
    ///
    /// `sync` is how long the last sync took.
    pub(crate) fn next(&mut self, waiting: &mut VecDeque<Append>, sync: Duration) -> bool {
        if self.requests.blocking_recv_many(&mut self.taken, TAKEN_MAX) == 0 {
            return false;
        }
        let wanted = self.writers.min(TAKEN_MAX);
        if self.taken.len() < wanted {
            self.linger(wanted, (sync / 2).min(WAIT_MAX));
        }
        waiting.extend(self.taken.drain(..));
        true
    }

    /// Notes how many were answered, to know how many to wait for.
    pub(crate) fn answered(&mut self, count: usize) {
        self.writers = count + self.requests.len();
    }

    fn linger(&mut self, wanted: usize, wait: Duration) {
        let began = Instant::now();
        while self.taken.len() + self.requests.len() < wanted && began.elapsed() < wait {
            std::thread::yield_now();
        }
        while self.taken.len() < TAKEN_MAX
            && let Ok(request) = self.requests.try_recv()
        {
            self.taken.push(request);
        }
    }
}

//! Changes kept for a while, shared by all who follow them: each follower is only a place in it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use metrics::Gauge;
use tokio::sync::watch;

use super::{error::Unreadable, lock::locked, view::LiveView};
use crate::position::Position;

/// The bounded log of changes. Nothing is kept while nobody follows it.
pub(super) struct Log<V> {
    state: Mutex<State<V>>,
    /// The number of the entry that comes next.
    end: watch::Sender<u64>,
    views_max: usize,
    followers: Gauge,
}

struct State<V> {
    entries: VecDeque<Arc<Entry<V>>>,
    /// The number of the first entry.
    first: u64,
    /// Views in all entries together.
    views: usize,
    followers: usize,
    /// The highest position that was looked at for an entry.
    scanned: Option<Position>,
}

/// What happened, for everyone who follows.
pub(super) struct Entry<V> {
    pub(super) epoch: u64,
    /// Everything up to here is told with this entry and those before it.
    pub(super) position: Option<Position>,
    pub(super) news: News<V>,
}

pub(super) enum News<V> {
    /// These views changed.
    Changes(Vec<LiveView<V>>),
    /// The log begins here for this version: changes up to the position are not in it.
    Begun,
    /// A view changed and cannot be decoded.
    Unreadable(Unreadable),
}

/// One who follows the log. Dropping it takes it off the list.
pub(super) struct Follower<V> {
    log: Arc<Log<V>>,
    /// The number of the next entry to read.
    next: u64,
    end: watch::Receiver<u64>,
    /// The highest position looked at for an entry before this follower came.
    scanned: Option<Position>,
}

/// What a follower finds.
pub(super) enum Found<V> {
    /// The entries since the last time, at least one.
    Entries(Vec<Arc<Entry<V>>>),
    /// Entries it has not read are gone. The last entry says where things stand.
    Behind(Arc<Entry<V>>),
}

impl<V> Log<V> {
    pub(super) fn new(views_max: usize, followers: Gauge) -> Self {
        let state = State { entries: VecDeque::new(), first: 0, views: 0, followers: 0, scanned: None };
        Self { state: Mutex::new(state), end: watch::Sender::new(0), views_max, followers }
    }

    pub(super) fn is_followed(&self) -> bool {
        locked(&self.state).followers > 0
    }

    /// Begins to follow: every entry pushed from now on is found, or known to be gone.
    pub(super) fn follow(self: Arc<Self>) -> Follower<V> {
        let (next, scanned) = {
            let mut state = locked(&self.state);
            state.followers += 1;
            (state.end(), state.scanned)
        };
        self.followers.increment(1);
        Follower { next, scanned, end: self.end.subscribe(), log: self }
    }

    /// Adds an entry for all who follow; `scanned` is how far was looked for it.
    pub(super) fn push(&self, entry: Entry<V>, scanned: Option<Position>) {
        let mut state = locked(&self.state);
        state.scanned = scanned;
        if state.followers == 0 {
            return;
        }
        state.views += entry.weight();
        state.entries.push_back(Arc::new(entry));
        while state.views > self.views_max && state.entries.len() > 1 {
            state.drop_first();
        }
        let end = state.end();
        drop(state);
        self.end.send_replace(end);
    }
}

impl<V> State<V> {
    fn end(&self) -> u64 {
        self.first + u64::try_from(self.entries.len()).expect("a length fits 64 bits")
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.views -= entry.weight();
            self.first += 1;
        }
    }
}

impl<V> Entry<V> {
    /// What it counts for in the log's bound, so that entries without views are bounded too.
    fn weight(&self) -> usize {
        match &self.news {
            News::Changes(views) => views.len().max(1),
            News::Begun | News::Unreadable(_) => 1,
        }
    }
}

impl<V> Follower<V> {
    /// The highest position looked at for an entry before this follower came.
    pub(super) const fn scanned_before(&self) -> Option<Position> {
        self.scanned
    }

    /// What was pushed since the last time, once there is something.
    pub(super) async fn next(&mut self) -> Found<V> {
        loop {
            self.end.borrow_and_update();
            if let Some(found) = self.find() {
                return found;
            }
            // The log's sender lives in the log, and this follower holds the log.
            if self.end.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn find(&mut self) -> Option<Found<V>> {
        let state = locked(&self.log.state);
        let last = state.entries.back()?;
        if self.next >= state.end() {
            return None;
        }
        let found = match self.next.checked_sub(state.first) {
            None => Found::Behind(Arc::clone(last)),
            Some(skip) => {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                Found::Entries(state.entries.iter().skip(skip).map(Arc::clone).collect())
            }
        };
        self.next = state.end();
        Some(found)
    }
}

impl<V> Drop for Follower<V> {
    fn drop(&mut self) {
        let mut state = locked(&self.log.state);
        state.followers -= 1;
        if state.followers == 0 {
            while !state.entries.is_empty() {
                state.drop_first();
            }
        }
        drop(state);
        self.log.followers.decrement(1);
    }
}

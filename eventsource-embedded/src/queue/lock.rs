//! The lock on a delivered message, and how it is settled.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use eventsource_core::{BusError, Settle};
use rusqlite::Connection;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Shared, dead,
    entry::{Entry, Token},
    row,
};
use crate::db::{Db, Fault, bus_error, nanos};

/// Ids of settled messages that one settlement forgets at most: more than it adds.
const FORGOTTEN_MAX: usize = 4;

pub(super) struct QueueLock {
    db: Db,
    shared: Arc<Shared>,
    token: Token,
    attempt: u32,
    /// Room for one more delivery of its receiver, once this is gone.
    _room: OwnedSemaphorePermit,
    settled: bool,
}

impl QueueLock {
    pub(super) fn new(db: Db, shared: Arc<Shared>, token: Token, attempt: u32, room: OwnedSemaphorePermit) -> Self {
        Self { db, shared, token, attempt, _room: room, settled: false }
    }

    /// Takes the message off the queue by `work`, in one step that a dropped future does not split.
    async fn settle(
        &mut self,
        work: impl FnOnce(&Connection, &Shared, &Entry, i64) -> Result<(), Fault> + Send + 'static,
        dead: Option<&'static str>,
    ) -> Result<(), BusError> {
        let slot = self.db.slot().await.map_err(bus_error)?;
        let entry = self.shared.state().begin_settling(self.token, self.shared.now())?;
        self.settled = true;
        let now = nanos(self.shared.clock.now()).unwrap_or(i64::MAX);
        let (asked, after, token) = (Arc::clone(&self.shared), Arc::clone(&self.shared), self.token);
        let settled = slot.submit(
            move |connection| {
                work(connection, &asked, &entry, now)?;
                let recent = i64::try_from(asked.options.recent_time.as_nanos()).unwrap_or(i64::MAX);
                let old = asked.state().forget(now.saturating_sub(recent), asked.options.recent_ids_max, FORGOTTEN_MAX);
                row::forget(connection, &old)
            },
            move |settled| {
                let mut state = after.state();
                match settled {
                    Ok(()) => match dead {
                        None => state.settled(token, now),
                        Some(reason) => {
                            state.buried(token);
                            dead::count(&after, reason);
                        }
                    },
                    Err(_) => state.failed(token, Instant::now()),
                }
                drop(state);
                after.wake.notify_waiters();
            },
        );
        settled.await.map_err(bus_error)
    }

    fn give_back(&mut self, why: &str) -> Result<(), BusError> {
        self.settled = true;
        let given = self.shared.state().give_back(self.token, why, &self.shared.options, self.shared.now());
        self.shared.wake.notify_waiters();
        given
    }

    async fn bury(&mut self, kind: &'static str, reason: String, description: String) -> Result<(), BusError> {
        let bury = move |connection: &Connection, _: &Shared, entry: &Entry, now| {
            dead::bury(connection, entry, &reason, &description, now)
        };
        self.settle(bury, Some(kind)).await
    }
}

#[async_trait]
impl Settle for QueueLock {
    async fn complete(mut self: Box<Self>) -> Result<(), BusError> {
        self.settle(|connection, shared, entry, now| row::settle(connection, &shared.name, entry, now), None).await
    }

    async fn abandon(mut self: Box<Self>, why: &str) -> Result<(), BusError> {
        if self.attempt >= self.shared.options.attempts_max.get() {
            return self.bury(dead::EXHAUSTED, dead::EXHAUSTED.to_owned(), why.to_owned()).await;
        }
        self.give_back(why)
    }

    async fn dead_letter(mut self: Box<Self>, reason: &str, description: &str) -> Result<(), BusError> {
        self.bury(dead::EXPLICIT, reason.to_owned(), description.to_owned()).await
    }

    async fn renew(&mut self) -> Result<(), BusError> {
        let now = self.shared.now();
        self.shared.state().renew(self.token, now, now.instant + self.shared.options.lock_time)
    }

    fn lock_time(&self) -> Duration {
        self.shared.options.lock_time
    }
}

impl Drop for QueueLock {
    fn drop(&mut self) {
        if !self.settled {
            // A lock that was lost has been given back already.
            let _ = self.give_back("it was dropped without being settled");
        }
    }
}

impl fmt::Debug for QueueLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueLock")
            .field("queue", &self.shared.name)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

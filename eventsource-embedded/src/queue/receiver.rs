//! A stream of deliveries: locks many sessions in one transaction, and hands them out one by one.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use eventsource_core::{BusError, Delivery, Message};
use futures::{StreamExt, stream, stream::BoxStream};
use rusqlite::Connection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    Shared, dead,
    entry::{Claim, Token},
    lock::QueueLock,
    row,
};
use crate::db::{Db, Fault, bus_error, nanos};

/// Longest wait before looking again; everything that happens wakes a receiver before.
const LOOK: Duration = Duration::from_secs(60);

pub(super) fn deliveries(db: Db, shared: Arc<Shared>) -> BoxStream<'static, Result<Delivery, BusError>> {
    let receiver = Receiver {
        id: shared.receivers.fetch_add(1, Ordering::Relaxed),
        room: Arc::new(Semaphore::new(shared.options.concurrency.get())),
        fetched: VecDeque::new(),
        db,
        shared,
    };
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.next().await, receiver)) }).boxed()
}

struct Receiver {
    id: u64,
    db: Db,
    shared: Arc<Shared>,
    /// How many more deliveries it may have.
    room: Arc<Semaphore>,
    fetched: VecDeque<Result<Fetched, BusError>>,
}

struct Fetched {
    token: Token,
    message: Message,
    attempt: u32,
    room: OwnedSemaphorePermit,
}

/// What loading one claim came to.
enum Loaded {
    Message(Box<Message>),
    /// It had no attempts left.
    Buried,
    Damaged(Fault),
}

impl Receiver {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            match self.fetched.pop_front() {
                Some(Ok(fetched)) => {
                    if let Some(delivery) = self.deliver(fetched) {
                        return Ok(delivery);
                    }
                }
                Some(Err(error)) => return Err(error),
                None => self.fetch().await?,
            }
        }
    }

    /// The delivery, unless its lock ran out while it waited here.
    fn deliver(&self, Fetched { token, message, attempt, room }: Fetched) -> Option<Delivery> {
        let until = Instant::now() + self.shared.options.lock_time;
        let mut state = self.shared.state();
        state.advance(self.shared.now());
        if !state.deliver(token, until) {
            return None;
        }
        drop(state);
        metrics::counter!("eventsource_queue_attempts_total", "queue" => self.shared.name.to_string()).increment(1);
        let lock = QueueLock::new(self.db.clone(), Arc::clone(&self.shared), token, attempt, room);
        Some(Delivery::new(message, attempt, Box::new(lock)))
    }

    /// Waits for room and for messages, and locks as many sessions as there is of both.
    async fn fetch(&mut self) -> Result<(), BusError> {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        self.wait().await;
        let slot = self.db.slot().await.map_err(bus_error)?;
        let claims = {
            let mut state = self.shared.state();
            state.advance(self.shared.now());
            state.claim(self.id, 1 + self.room.available_permits(), &self.shared.options)
        };
        if claims.is_empty() {
            return Ok(());
        }
        let (work, after, asked) = (Arc::clone(&self.shared), Arc::clone(&self.shared), claims.clone());
        let noted = claims.clone();
        let lock_time = self.shared.options.lock_time;
        let loaded = slot.submit(
            move |connection| asked.iter().map(|claim| load(connection, &work, claim)).collect::<Result<Vec<_>, _>>(),
            move |loaded| note(&after, &noted, loaded.as_deref().ok(), lock_time),
        );
        let loaded = loaded.await.map_err(bus_error)?;
        let mut room = Some(room);
        for (claim, loaded) in claims.into_iter().zip(loaded) {
            match loaded {
                Loaded::Message(message) => {
                    let more = || Arc::clone(&self.room).try_acquire_owned().ok();
                    // Only this receiver takes room, so what was there when it claimed still is.
                    let Some(room) = room.take().or_else(more) else { continue };
                    let attempt = claim.attempt();
                    self.fetched.push_back(Ok(Fetched { token: claim.token, message: *message, attempt, room }));
                }
                Loaded::Buried => {}
                Loaded::Damaged(fault) => {
                    let error = bus_error(fault.into_store_error(self.db.path()));
                    tracing::error!(queue = %self.shared.name, error = ?error, "a message is damaged, its session stands still");
                    self.fetched.push_back(Err(error));
                }
            }
        }
        Ok(())
    }

    /// Waits until some session is ready.
    async fn wait(&self) {
        loop {
            let mut woken = pin!(self.shared.wake.notified());
            // Registered before looking, so that a wake-up during the look is not missed.
            woken.as_mut().enable();
            let next_change = {
                let mut state = self.shared.state();
                state.advance(self.shared.now());
                if state.has_news() {
                    return;
                }
                state.next_change()
            };
            let latest = Instant::now() + LOOK;
            let _ = timeout_at(next_change.map_or(latest, |change| change.min(latest)), woken).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.state().leave(self.id);
        self.shared.wake.notify_waiters();
        // When the writer has no room, the rows are put right at the closing at the latest.
        if let Some(slot) = self.db.try_slot() {
            let (work, after) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
            // The job is the writer's now, nobody waits for it.
            drop(slot.submit(
                move |connection| row::recount(connection, &work),
                move |recounted| {
                    if let Ok(rows) = recounted {
                        after.state().recounted(rows);
                    }
                },
            ));
        }
    }
}

/// Counts the attempt and reads the message, or buries it when it has no attempts left.
fn load(connection: &Connection, shared: &Shared, claim: &Claim) -> Result<Loaded, Fault> {
    let number = claim.entry.number;
    let message = match row::load(connection, number) {
        Ok(message) => message,
        Err(fault) if fault.is_damage() => return Ok(Loaded::Damaged(fault)),
        Err(fault) => return Err(fault),
    };
    if let Some(why) = &claim.exhausted {
        let now = nanos(shared.clock.now()).unwrap_or(i64::MAX);
        dead::bury(connection, &claim.entry, dead::EXHAUSTED, why, now)?;
        return Ok(Loaded::Buried);
    }
    row::count_attempt(connection, number, claim.attempt())?;
    Ok(Loaded::Message(Box::new(message)))
}

/// Takes the writer's news over into the state, on the writer's thread.
fn note(shared: &Shared, claims: &[Claim], loaded: Option<&[Loaded]>, lock_time: Duration) {
    let now = Instant::now();
    let mut state = shared.state();
    for (at, claim) in claims.iter().enumerate() {
        match loaded.and_then(|loaded| loaded.get(at)) {
            Some(Loaded::Message(_)) => state.loaded(claim.token, now + lock_time),
            Some(Loaded::Buried) => {
                state.buried(claim.token);
                dead::count(shared, dead::EXHAUSTED);
            }
            Some(Loaded::Damaged(_)) => state.broken(claim.token),
            None => state.failed(claim.token, now),
        }
    }
    drop(state);
    shared.wake.notify_waiters();
}

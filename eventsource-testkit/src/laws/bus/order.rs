//! Law 11: order within a session, and one receiver at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eventsource_core::{BusError, Message, MessageReceiver};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{message, next, number};
use crate::{
    BusFixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{Race, seed},
};

/// Fewer sessions than receivers, and runs of one session, so that receivers get into each other's way.
const SESSIONS: usize = 3;
const RECEIVERS: u64 = 4;
const MESSAGES: usize = 30;
const RUN: usize = 5;

/// What all receivers saw together.
#[derive(Default)]
struct Log {
    completed: HashMap<Arc<str>, Vec<usize>>,
    held: HashMap<Arc<str>, Instant>,
    overlaps: Vec<Arc<str>>,
}

fn sent() -> Vec<Message> {
    let place = |n: usize| (n / RUN % SESSIONS, n / (RUN * SESSIONS) * RUN + n % RUN);
    (0..SESSIONS * MESSAGES).map(place).map(|(session, n)| message(&format!("session-{session}"), n)).collect()
}

/// Law 11: several receivers that complete, abandon and go away complete the messages of each
/// session in the order they were sent.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_order_holds_within_a_session(fixture: BusFixture) -> Verdict {
    let log = receive_all(&fixture, Faults::Some).await?;
    for session in 0..SESSIONS {
        let session = format!("session-{session}");
        let seen = log.completed.get(&*session).map(Vec::as_slice).unwrap_or_default();
        ensure_eq!(seen, (0..MESSAGES).collect::<Vec<_>>(), "messages of {session} in the order of completion");
    }
    Ok(())
}

/// Law 11: while a receiver holds the lock on a message no other receiver gets one of its session.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_one_receiver_at_a_time_holds_a_session(fixture: BusFixture) -> Verdict {
    let log = receive_all(&fixture, Faults::None).await?;
    ensure!(log.overlaps.is_empty(), "two receivers at a time held sessions {:?}", log.overlaps);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    None,
    Some,
}

/// Sends messages of several sessions and lets several receivers work until all are completed.
async fn receive_all(fixture: &BusFixture, faults: Faults) -> Result<Log, LawBroken> {
    let log = Arc::new(Mutex::new(Log::default()));
    let done = Arc::new(Notify::new());
    let mut receivers = Race::new();
    for receiver in 0..RECEIVERS {
        let random = fastrand::Rng::with_seed(seed(11) + receiver);
        let worker = Worker { log: Arc::clone(&log), faults, random };
        let (deliveries, done) = (fixture.receiver(), Arc::clone(&done));
        receivers.enter(async move {
            tokio::select! {
                worked = worker.work(deliveries, &done) => worked,
                () = done.notified() => Ok(()),
            }
        });
    }
    for part in sent().chunks(20) {
        fixture.sender().send(part.to_vec()).await?;
    }
    receivers.results().await?;
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *log))
}

struct Worker {
    log: Arc<Mutex<Log>>,
    faults: Faults,
    random: fastrand::Rng,
}

impl Worker {
    async fn work(mut self, receiver: Arc<dyn MessageReceiver>, done: &Notify) -> Verdict {
        let mut deliveries = receiver.deliveries();
        loop {
            let delivery = next(&mut deliveries).await?;
            let session = Arc::clone(&delivery.message.session);
            self.take(&session, delivery.lock_time());
            sleep(Duration::from_micros(self.random.u64(0..2_000))).await;
            self.give(&session);
            let may_fail = self.faults == Faults::Some && delivery.attempt == 1;
            if may_fail && self.random.u8(0..5) == 0 {
                delivery.abandon("the law says so").await?;
            } else if may_fail && self.random.u8(0..10) == 0 {
                // The receiver goes away with the message in its hands.
                deliveries = receiver.deliveries();
            } else {
                let Some(number) = number(&delivery.message) else {
                    return Err(LawBroken::new(format!("a body came back as {:?}", delivery.message.body)));
                };
                // Noted while the lock is held, so that the order noted is the order of locks.
                self.log().completed.entry(Arc::clone(&session)).or_default().push(number);
                match delivery.complete().await {
                    Ok(()) => {}
                    Err(BusError::LockLost) => {
                        // This machine was too slow; the message comes again.
                        self.log().completed.entry(session).or_default().pop();
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if self.log().completed.values().map(Vec::len).sum::<usize>() >= SESSIONS * MESSAGES {
                done.notify_waiters();
                return Ok(());
            }
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, session: &Arc<str>, lock_time: Duration) {
        let now = Instant::now();
        let mut log = self.log();
        let until = log.held.insert(Arc::clone(session), now + lock_time);
        if until.is_some_and(|until| until > now) {
            log.overlaps.push(Arc::clone(session));
        }
    }

    fn give(&self, session: &Arc<str>) {
        self.log().held.remove(session);
    }
}

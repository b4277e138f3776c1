//! A queue's state under invented time.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use eventsource_core::BusError;
use fastrand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Claim, Entry, Now, QueueOptions, State};

const LOCK: Duration = Duration::from_secs(30);

struct Queue {
    state: State,
    options: QueueOptions,
    now: Now,
}

impl Queue {
    fn new() -> Self {
        let options = QueueOptions::default().attempts_max(NonZeroU32::new(3).unwrap());
        Self { state: State::default(), options, now: Now { instant: Instant::now(), wall: 1_000 } }
    }

    fn send(&mut self, session: &str, number: i64, not_before: Option<i64>) {
        let id = Uuid::from_u128(u128::try_from(number).unwrap());
        assert!(self.state.take_id(id));
        self.state.add(session, Entry::new(number, id, self.now.wall, not_before));
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.wall += i64::try_from(time.as_nanos()).unwrap();
    }

    /// Locks and loads what is ready, without delivering it.
    fn fetch(&mut self, receiver: u64, count: usize) -> Vec<Claim> {
        self.state.advance(self.now);
        let claims = self.state.claim(receiver, count, &self.options);
        for claim in &claims {
            self.state.loaded(claim.token, self.now.instant + LOCK);
        }
        claims
    }

    fn receive(&mut self) -> Option<Claim> {
        let claim = self.fetch(1, 1).pop()?;
        assert!(self.state.deliver(claim.token, self.now.instant + LOCK));
        Some(claim)
    }

    fn complete(&mut self, claim: &Claim) -> Result<(), BusError> {
        self.state.begin_settling(claim.token, self.now)?;
        self.state.settled(claim.token, self.now.wall);
        Ok(())
    }
}

#[test]
fn the_session_that_waits_longest_goes_first() {
    let mut queue = Queue::new();
    for (session, number) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
        queue.send(session, number, None);
    }
    let first = queue.receive().unwrap();
    assert_eq!(first.entry.number, 1);
    assert_eq!(queue.receive().unwrap().entry.number, 2);
    queue.complete(&first).unwrap();
    assert_eq!([queue.receive().unwrap(), queue.receive().unwrap()].map(|claim| claim.entry.number), [3, 4]);
    assert!(queue.receive().is_none());
}

#[test]
fn a_lock_that_ran_out_is_lost_even_before_anybody_looks() {
    let mut queue = Queue::new();
    queue.send("a", 1, None);
    let late = queue.receive().unwrap();
    queue.pass(LOCK);
    assert!(matches!(queue.complete(&late), Err(BusError::LockLost)));
    assert!(queue.state.renew(late.token, queue.now, queue.now.instant + LOCK).is_err());
    let again = queue.receive().unwrap();
    assert_eq!((again.entry.number, again.attempt()), (1, 2));
    assert!(matches!(queue.complete(&late), Err(BusError::LockLost)), "an old token settles nothing");
    queue.complete(&again).unwrap();
}

#[test]
fn a_renewed_lock_holds_and_a_settling_one_does_not_run_out() {
    let mut queue = Queue::new();
    queue.send("a", 1, None);
    let held = queue.receive().unwrap();
    for _ in 0..10 {
        queue.pass(LOCK / 2);
        queue.state.renew(held.token, queue.now, queue.now.instant + LOCK).unwrap();
    }
    queue.state.begin_settling(held.token, queue.now).unwrap();
    queue.pass(LOCK * 10);
    assert!(queue.receive().is_none());
    queue.state.settled(held.token, queue.now.wall);
    assert_eq!(queue.state.len(), 0);
}

#[test]
fn a_failure_lets_the_session_rest_and_no_other() {
    let mut queue = Queue::new();
    queue.send("a", 1, None);
    queue.send("a", 2, None);
    let first = queue.receive().unwrap();
    queue.state.give_back(first.token, "not now", &queue.options, queue.now).unwrap();
    queue.send("b", 3, None);
    assert_eq!(queue.receive().unwrap().entry.number, 3);
    assert!(queue.receive().is_none());
    assert_eq!(queue.state.next_change(), Some(queue.now.instant + Duration::from_millis(100)));
    queue.pass(Duration::from_millis(100));
    let again = queue.receive().unwrap();
    assert_eq!((again.entry.number, again.attempt()), (1, 2));
    queue.state.give_back(again.token, "not now", &queue.options, queue.now).unwrap();
    queue.pass(Duration::from_millis(199));
    assert!(queue.receive().is_none(), "the second rest is twice as long");
    queue.pass(Duration::from_millis(1));
    let last = queue.receive().unwrap();
    queue.state.give_back(last.token, "never", &queue.options, queue.now).unwrap();
    queue.pass(Duration::from_secs(1));
    let exhausted = queue.fetch(1, 1).pop().unwrap();
    assert_eq!(exhausted.exhausted.as_deref(), Some("never"), "three attempts are all there are");
}

#[test]
fn what_is_delayed_holds_up_nothing() {
    let mut queue = Queue::new();
    queue.send("a", 1, Some(queue.now.wall + 1_000_000_000));
    queue.send("a", 2, None);
    let second = queue.receive().unwrap();
    assert_eq!(second.entry.number, 2);
    queue.complete(&second).unwrap();
    assert!(queue.receive().is_none());
    assert_eq!(queue.state.next_change(), Some(queue.now.instant + Duration::from_secs(1)));
    queue.pass(Duration::from_secs(1));
    assert_eq!(queue.receive().unwrap().entry.number, 1);
}

#[test]
fn a_receiver_that_leaves_gives_back_what_it_had() {
    let mut queue = Queue::new();
    for (session, number) in [("a", 1), ("b", 2), ("c", 3)] {
        queue.send(session, number, None);
    }
    queue.state.advance(queue.now);
    let claims = queue.state.claim(7, 3, &queue.options);
    // One is still being loaded, one was fetched, one delivered.
    for claim in &claims[1..] {
        queue.state.loaded(claim.token, queue.now.instant + LOCK);
    }
    assert!(queue.state.deliver(claims[2].token, queue.now.instant + LOCK));
    queue.state.leave(7);
    queue.state.loaded(claims[0].token, queue.now.instant + LOCK);
    let back: Vec<_> = queue.fetch(8, 9).iter().map(|claim| (claim.entry.number, claim.attempt())).collect();
    assert_eq!(back, [(1, 1), (2, 1), (3, 2)], "only the delivered one has used an attempt");
}

#[test]
fn a_last_attempt_is_claimed_alone_and_what_nobody_had_is_put_right() {
    let mut queue = Queue::new();
    for (session, number) in [("a", 1), ("b", 2), ("c", 3)] {
        queue.send(session, number, None);
    }
    for _ in 0..2 {
        let second = queue.fetch(1, 2).pop().unwrap();
        assert_eq!(second.entry.number, 2);
        assert!(queue.state.deliver(second.token, queue.now.instant + LOCK));
        queue.state.leave(1);
    }
    assert_eq!(queue.state.overcounted(), [(1, 0)], "fetched and never delivered");
    let numbers = |claims: Vec<Claim>| claims.iter().map(|claim| claim.entry.number).collect::<Vec<_>>();
    assert_eq!(numbers(queue.fetch(1, 3)), [1], "the second has one attempt left");
    assert_eq!(queue.state.overcounted(), [], "its row will be written again");
    assert_eq!(numbers(queue.fetch(1, 3)), [2]);
    assert_eq!(numbers(queue.fetch(1, 3)), [3]);
    queue.state.close();
    assert_eq!(queue.state.overcounted(), [(1, 0), (2, 2), (3, 0)]);
    queue.state.recounted(&[(1, 0), (3, 0)]);
    assert_eq!(queue.state.overcounted(), [(2, 2)]);
    assert!(queue.fetch(1, 3).is_empty(), "a closed queue hands nothing out");
}

#[test]
fn an_id_that_is_settled_again_is_known_from_then_on_and_leaves_no_row() {
    let id = Uuid::from_u128(1);
    let mut live = Queue::new();
    for number in [1, 2] {
        assert!(live.state.take_id_again(id));
        live.state.add("a", Entry::new(number, id, live.now.wall, None));
        let claim = live.receive().unwrap();
        live.complete(&claim).unwrap();
        live.pass(Duration::from_nanos(1_000));
    }
    let mut loaded = State::default();
    // Rows come in the order of their numbers, and an older one may have been settled later.
    loaded.load_recent(2_000, 1, id);
    loaded.load_recent(1_000, 2, id);
    for (mut state, rows) in [(live.state, [1, 2]), (loaded, [2, 1])] {
        assert_eq!(state.forget(1_500, 10, 10), rows[..1]);
        assert!(!state.take_id(id), "it was settled again later");
        assert_eq!(state.forget(2_500, 10, 10), rows[1..]);
        assert!(state.take_id(id));
    }
}

#[test]
fn a_damaged_message_stops_its_session_only() {
    let mut queue = Queue::new();
    for (session, number) in [("a", 1), ("a", 2), ("b", 3)] {
        queue.send(session, number, None);
    }
    queue.state.advance(queue.now);
    let claims = queue.state.claim(1, 1, &queue.options);
    queue.state.broken(claims[0].token);
    assert_eq!(queue.receive().unwrap().entry.number, 3);
    queue.pass(LOCK * 100);
    let left: Vec<_> = queue.fetch(1, 9).iter().map(|claim| claim.entry.number).collect();
    assert_eq!(left, [3]);
}

/// Whatever happens, each session is completed in order and nothing is left behind.
#[test]
fn sessions_stay_in_order_whatever_happens() {
    for seed in 0..200 {
        let mut random = Rng::with_seed(seed);
        let mut queue = Queue::new();
        queue.options = queue.options.attempts_max(NonZeroU32::MAX);
        let (mut held, mut done, mut sent) = (Vec::<Claim>::new(), HashMap::<u128, Vec<i64>>::new(), 0);
        while sent < 60 || queue.state.len() > 0 {
            match random.u8(0..10) {
                0..=2 if sent < 60 => {
                    queue.send(&format!("s-{}", sent % 5), sent, None);
                    sent += 1;
                }
                3..=5 => held.extend(queue.receive()),
                6..=7 if !held.is_empty() => {
                    let claim = held.swap_remove(random.usize(..held.len()));
                    if queue.complete(&claim).is_ok() {
                        done.entry(claim.entry.id.as_u128() % 5).or_default().push(claim.entry.number);
                    }
                }
                8 if !held.is_empty() => {
                    let claim = held.swap_remove(random.usize(..held.len()));
                    let _ = queue.state.give_back(claim.token, "not now", &queue.options, queue.now);
                }
                9 => {
                    let pause = [Duration::from_millis(50), Duration::from_secs(11), LOCK][random.usize(..3)];
                    queue.pass(pause);
                    if random.u8(0..10) == 0 {
                        queue.state.leave(1);
                    }
                }
                _ => {}
            }
        }
        assert_eq!(done.values().map(Vec::len).sum::<usize>(), 60, "seed {seed}");
        assert!(done.values().all(|numbers| numbers.is_sorted()), "seed {seed}: {done:?}");
        queue.state.advance(queue.now);
        assert_eq!((queue.state.sessions.len(), queue.state.locks.len()), (0, 0), "seed {seed}");
        let left = (queue.state.timers.len(), queue.state.ready.len(), queue.state.live.len());
        assert_eq!(left, (0, 0, 0), "seed {seed}: timers, ready sessions and ids that are left");
    }
}

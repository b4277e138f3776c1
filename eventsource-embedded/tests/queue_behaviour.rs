//! What an embedded queue does beyond the laws of every bus.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod sqlite_support;

use std::{
    collections::HashSet,
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use eventsource_core::{
    BusError, Clock, CommandId, Delivery, Message, MessageReceiver, MessageSender, Outcome, OutcomeStore, StoreError,
    StreamId,
};
use eventsource_embedded::{EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions};
use futures::{StreamExt, stream::BoxStream};
use sqlite_support::message;
use tempfile::TempDir;
use uuid::Uuid;

type Deliveries = BoxStream<'static, Result<Delivery, BusError>>;

fn open(folder: &TempDir) -> QueueDb {
    QueueDb::open(&folder.path().join("queue.db"), QueueDbOptions::default()).unwrap()
}

fn quick() -> QueueOptions {
    QueueOptions::default()
        .lock_time(Duration::from_millis(200))
        .pauses(Duration::from_millis(1), Duration::from_millis(5))
        .attempts_max(NonZeroU32::new(3).unwrap())
}

fn queue(db: &QueueDb, options: QueueOptions) -> EmbeddedQueue {
    db.queue("commands", options).unwrap()
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(20), deliveries.next()).await;
    next.expect("a delivery comes in time").unwrap().unwrap()
}

fn number(delivery: &Delivery) -> (Uuid, u32) {
    (delivery.message.id, delivery.attempt)
}

#[tokio::test]
async fn attempts_are_counted_across_restarts() {
    let folder = TempDir::new().unwrap();
    let sent = message("s", 1);
    queue(&open(&folder), quick()).send(vec![sent.clone()]).await.unwrap();
    for attempt in 1..=3 {
        let db = open(&folder);
        let mut deliveries = queue(&db, quick()).deliveries();
        assert_eq!(number(&next(&mut deliveries).await), (sent.id, attempt));
    }
    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send(vec![message("s", 2)]).await.unwrap();
    let delivery = next(&mut queue.deliveries()).await;
    assert_eq!(number(&delivery), (message("s", 2).id, 1), "the first message is dead after three attempts");
    let dead = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead[0].message.id, dead[0].attempts, dead[0].reason.as_str()), (sent.id, 3, "attempts-exhausted"));
    assert_eq!((queue.stats().depth, queue.stats().dead_letters), (1, 1));
}

#[tokio::test]
async fn what_was_only_fetched_ahead_is_no_attempt() {
    let (folder, sessions) = (TempDir::new().unwrap(), 8);
    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send((0..sessions).map(|number| message(&format!("s-{number}"), number)).collect()).await.unwrap();
    let mut slow = queue.deliveries();
    let held = next(&mut slow).await;
    // The slow receiver has locked all sessions and comes for none of the others.
    assert_eq!(queue.stats().locked, 8);
    let mut quick = queue.deliveries();
    let mut attempts = Vec::new();
    for _ in 0..sessions {
        let delivery = next(&mut quick).await;
        attempts.push((delivery.message.id == held.message.id, delivery.attempt));
        delivery.complete().await.unwrap();
    }
    attempts.sort_unstable();
    assert_eq!(attempts, [[(false, 1)].repeat(7), vec![(true, 2)]].concat());
    assert!(matches!(held.complete().await, Err(BusError::LockLost)));
}

#[tokio::test]
async fn a_dropped_delivery_comes_back_before_its_lock_runs_out() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick().lock_time(Duration::from_secs(3_600)));
    queue.send(vec![message("s", 1)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    drop(next(&mut deliveries).await);
    assert_eq!(next(&mut deliveries).await.attempt, 2);
}

#[tokio::test]
async fn ids_are_known_again_after_a_restart() {
    let folder = TempDir::new().unwrap();
    {
        let db = open(&folder);
        let queue = queue(&db, quick());
        queue.send(vec![message("s", 1), message("s", 2)]).await.unwrap();
        next(&mut queue.deliveries()).await.complete().await.unwrap();
    }
    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send(vec![message("s", 1), message("s", 2), message("s", 3)]).await.unwrap();
    assert_eq!(queue.stats().depth, 2);
}

#[tokio::test]
async fn settled_ids_are_forgotten_in_time_and_number() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let options = quick().recent(Duration::from_secs(600), 3);
    let queue = queue(&db, options);
    let mut deliveries = queue.deliveries();
    for number in 0..10 {
        queue.send(vec![message("s", number)]).await.unwrap();
        next(&mut deliveries).await.complete().await.unwrap();
    }
    // Of ten settled messages the last three are known; one is forgotten at the next settlement only.
    queue.send((0..10).map(|number| message("s", number)).collect()).await.unwrap();
    let depth = queue.stats().depth;
    assert!((6..=7).contains(&depth), "{depth} of 10 messages were taken again");
}

#[tokio::test]
async fn a_full_queue_is_unavailable_and_says_when_to_come_again() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick().messages_max(3));
    queue.send(vec![message("s", 1), message("s", 2), message("s", 3)]).await.unwrap();
    let refused = queue.send(vec![message("s", 4)]).await;
    assert!(matches!(refused, Err(BusError::Unavailable { retry_after: Some(_), .. })), "{refused:?}");
    queue.send(vec![message("s", 3)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    next(&mut deliveries).await.dead_letter("no-use", "").await.unwrap();
    assert!(queue.send(vec![message("s", 4)]).await.is_err(), "dead letters take room");
    let dead = queue.dead_letters(None, 1).await.unwrap();
    assert!(queue.discard(dead[0].number).await.unwrap());
    assert!(!queue.discard(dead[0].number).await.unwrap(), "it is gone");
    queue.send(vec![message("s", 4)]).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_as_the_last_of_its_session() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send(vec![message("s", 1), message("s", 2)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    next(&mut deliveries).await.dead_letter("no-use", "nobody wants it").await.unwrap();
    let dead = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead[0].reason.as_str(), dead[0].description.as_str()), ("no-use", "nobody wants it"));
    assert_eq!(dead[0].message, message("s", 1));
    assert_eq!(queue.dead_letters(Some(dead[0].number), 10).await.unwrap(), []);
    assert!(queue.resubmit(dead[0].number).await.unwrap());
    assert!(!queue.resubmit(dead[0].number).await.unwrap(), "it is gone");
    for (right, attempt) in [(2, 1), (1, 1)] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(number(&delivery), (message("s", right).id, attempt));
        delivery.complete().await.unwrap();
    }
    assert_eq!((queue.stats().depth, queue.stats().dead_letters), (0, 0));
}

#[tokio::test]
async fn a_message_that_is_a_dead_letter_is_new_when_it_is_sent_again() {
    let folder = TempDir::new().unwrap();
    let (given_up, worn_out) = (message("s", 1), message("t", 2));
    let db = open(&folder);
    let queue_before = queue(&db, quick());
    queue_before.send(vec![given_up.clone(), worn_out.clone()]).await.unwrap();
    let mut deliveries = queue_before.deliveries();
    while queue_before.stats().dead_letters < 2 {
        let delivery = next(&mut deliveries).await;
        if delivery.message.id == given_up.id {
            delivery.dead_letter("no-use", "").await.unwrap();
        } else {
            delivery.abandon("no store").await.unwrap();
        }
    }
    queue_before.send(vec![given_up.clone()]).await.unwrap();
    assert_eq!(queue_before.stats().depth, 1, "at once");
    drop(deliveries);
    db.close().await.unwrap();

    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send(vec![given_up.clone(), worn_out.clone()]).await.unwrap();
    assert_eq!((queue.stats().depth, queue.stats().dead_letters), (2, 2), "after a restart, and once");
    let mut deliveries = queue.deliveries();
    let (one, other) = (next(&mut deliveries).await, next(&mut deliveries).await);
    assert_eq!(HashSet::from([number(&one), number(&other)]), HashSet::from([(given_up.id, 1), (worn_out.id, 1)]));
    one.complete().await.unwrap();
    other.complete().await.unwrap();
    queue.send(vec![given_up, worn_out]).await.unwrap();
    assert_eq!(queue.stats().depth, 0, "what is done is known");
}

#[tokio::test]
async fn queues_of_one_file_do_not_mix() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let (one, two) = (db.queue("one", quick()).unwrap(), db.queue("two", quick()).unwrap());
    one.send(vec![message("s", 1)]).await.unwrap();
    two.send(vec![message("s", 1), message("s", 2)]).await.unwrap();
    assert_eq!((one.stats().depth, two.stats().depth), (1, 2));
    next(&mut one.deliveries()).await.dead_letter("no-use", "").await.unwrap();
    assert_eq!(two.dead_letters(None, 10).await.unwrap(), []);
    assert!(matches!(db.queue("one", QueueOptions::default()), Err(StoreError::Invalid { .. })));
    assert!(matches!(db.queue("One", quick()), Err(StoreError::Invalid { .. })));
}

#[tokio::test]
async fn a_message_comes_back_value_for_value_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut sent = message("Zürich \0 '\"", 1);
    sent.body = (0..=255).collect::<Vec<u8>>().into();
    sent.not_before = Some(UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789));
    sent.metadata.headers.insert("a.b$".into(), "\u{1}ü".into());
    sent.metadata.correlation_id = Some(Uuid::from_u128(7));
    queue(&open(&folder), quick()).send(vec![sent.clone()]).await.unwrap();
    let db = open(&folder);
    assert_eq!(next(&mut queue(&db, quick()).deliveries()).await.message, sent);
}

#[tokio::test]
async fn envelopes_and_batches_have_limits() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick());
    let mut large = message("s", 1);
    large.subject = "x".repeat(70_000).into();
    let many = (0..10_001).map(|number| message("s", number)).collect();
    for (messages, limit) in [(vec![large], "65536"), (many, "10000")] {
        match queue.send(messages).await {
            Err(BusError::Invalid { reason }) => assert!(reason.contains(limit), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(queue.stats().depth, 0);
}

#[tokio::test]
async fn receivers_hold_no_more_than_they_may() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick().lock_time(Duration::from_secs(60)).concurrency(NonZeroUsize::new(3).unwrap()));
    queue.send((0..10).map(|number| message(&format!("s-{number}"), number)).collect()).await.unwrap();
    let mut deliveries = queue.deliveries();
    let held = [next(&mut deliveries).await, next(&mut deliveries).await, next(&mut deliveries).await];
    assert_eq!(queue.stats().locked, 3);
    let mut waiting = deliveries.next();
    assert!(futures::poll!(&mut waiting).is_pending());
    for delivery in held {
        delivery.complete().await.unwrap();
    }
    waiting.await.unwrap().unwrap().complete().await.unwrap();
}

#[tokio::test]
async fn a_closed_file_is_unavailable_and_left_without_a_log() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let queue = queue(&db, quick());
    queue.send(vec![message("s", 1)]).await.unwrap();
    db.close().await.unwrap();
    let refused = queue.send(vec![message("s", 2)]).await;
    assert!(matches!(refused, Err(BusError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(queue.dead_letters(None, 1).await, Err(StoreError::Unavailable { .. })));
    let log = std::fs::metadata(folder.path().join("queue.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "bytes in the write-ahead log");
    let db = open(&folder);
    assert_eq!(self::queue(&db, quick()).stats().depth, 1);
}

/// A clock that stands where it is put.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn order_holds_when_the_clock_goes_back() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(Hand::default());
    let with_clock = || QueueDbOptions::default().clock(clock.clone());
    let open = |path: &Path| QueueDb::open(&path.join("queue.db"), with_clock()).unwrap();
    {
        let db = open(folder.path());
        for (number, seconds) in (0..4).zip([1_000, 500, 2_000, 10]) {
            clock.0.store(seconds, Ordering::Relaxed);
            queue(&db, quick()).send(vec![message("s", number)]).await.unwrap();
        }
    }
    let db = open(folder.path());
    clock.0.store(5, Ordering::Relaxed);
    queue(&db, quick()).send(vec![message("s", 4)]).await.unwrap();
    let mut deliveries = queue(&db, quick()).deliveries();
    for number in 0..5 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.message.id, message("s", number).id);
        delivery.complete().await.unwrap();
    }
}

#[tokio::test]
async fn a_delayed_message_joins_its_session_when_it_is_due_also_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(Hand::default());
    let with_clock = || QueueDbOptions::default().clock(clock.clone());
    let open = |path: &Path| QueueDb::open(&path.join("queue.db"), with_clock()).unwrap();
    let delayed = Message { not_before: Some(UNIX_EPOCH + Duration::from_secs(100)), ..message("s", 1) };
    {
        let db = open(folder.path());
        queue(&db, quick()).send(vec![delayed.clone(), message("s", 2)]).await.unwrap();
        clock.0.store(101, Ordering::Relaxed);
        queue(&db, quick()).send(vec![message("s", 3)]).await.unwrap();
    }
    let db = open(folder.path());
    let mut deliveries = queue(&db, quick()).deliveries();
    for right in [message("s", 2), delayed, message("s", 3)] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.message, right);
        delivery.complete().await.unwrap();
    }
}

#[tokio::test]
async fn old_outcomes_are_pruned_and_young_ones_stay() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(Hand::default());
    let options = QueueDbOptions::default().clock(clock.clone()).outcome_retention(Duration::from_secs(100));
    let db = QueueDb::open(&folder.path().join("queue.db"), options).unwrap();
    let outcomes = db.outcomes();
    let outcome = Outcome::Unchanged { stream: StreamId::new("lamp", "1").unwrap(), version: None };
    let command = |number| CommandId::from_uuid(Uuid::from_u128(number));
    for number in 0..20_u64 {
        clock.0.store(number * 10, Ordering::Relaxed);
        outcomes.record(command(u128::from(number)), outcome.clone()).await.unwrap();
    }
    assert_eq!(outcomes.prune().await.unwrap(), 9, "those recorded before second 90");
    for number in 0..20 {
        let right = (number >= 9).then(|| outcome.clone());
        assert_eq!(outcomes.find(command(number)).await.unwrap(), right, "outcome {number}");
    }
}

//! The memory queue under a paused clock: locks, delays and attempts take no time to test.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use eventsource_core::{
    BusError, Clock, Delivery, Message, MessageReceiver, MessageSender, Metadata,
    memory::{MemoryQueue, MemoryQueueOptions},
};
use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

type Deliveries = BoxStream<'static, Result<Delivery, BusError>>;

fn message(session: &str, number: u128) -> Message {
    Message {
        id: Uuid::from_u128(number),
        session: session.into(),
        subject: "ordered".into(),
        body: "{}".into(),
        metadata: Metadata::default(),
        not_before: None,
    }
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    deliveries.next().await.expect("deliveries do not end").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lock_runs_out_after_its_time_and_not_before() {
    let queue = MemoryQueue::new();
    queue.send(vec![message("s", 1)]).await.unwrap();
    let (mut first, mut second) = (queue.deliveries(), queue.deliveries());
    let held = next(&mut first).await;
    let started = Instant::now();
    let again = next(&mut second).await;
    assert_eq!(again.attempt, 2);
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "{waited:?}");
    assert!(matches!(held.complete().await, Err(BusError::LockLost)));
    again.complete().await.unwrap();
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_ran_out_is_lost_even_when_nobody_else_is_there() {
    let queue = MemoryQueue::new();
    queue.send(vec![message("s", 1)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    let mut held = next(&mut deliveries).await;
    sleep(Duration::from_secs(29)).await;
    held.renew().await.unwrap();
    sleep(Duration::from_secs(29)).await;
    held.renew().await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert!(matches!(held.renew().await, Err(BusError::LockLost)));
    assert!(matches!(held.complete().await, Err(BusError::LockLost)));
    assert_eq!(queue.len(), 1);
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(43_200)
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_counted_from_the_given_clock() {
    let queue = MemoryQueue::new().with_clock(std::sync::Arc::new(Noon));
    let mut later = message("s", 1);
    later.not_before = Some(Noon.now() + Duration::from_secs(3_600));
    queue.send(vec![later, message("s", 2)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    let first = next(&mut deliveries).await;
    assert_eq!(first.message.id, Uuid::from_u128(2));
    first.complete().await.unwrap();
    let started = Instant::now();
    next(&mut deliveries).await.complete().await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_runs_out_counts_as_an_attempt() {
    let options = MemoryQueueOptions::default().attempts_max(NonZeroU32::new(3).unwrap());
    let queue = MemoryQueue::with_options(options);
    queue.send(vec![message("s", 1), message("s", 2)]).await.unwrap();
    let mut deliveries = queue.deliveries();
    for attempt in 1..=3 {
        assert_eq!(next(&mut deliveries).await.attempt, attempt);
    }
    assert_eq!(next(&mut deliveries).await.message.id, Uuid::from_u128(2));
    let dead = queue.dead_letters();
    assert_eq!((dead.len(), dead[0].attempts, dead[0].reason.as_str()), (1, 3, "attempts-exhausted"));
    assert!(dead[0].description.contains("lock"), "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn ids_are_known_again_within_a_bound() {
    let mut options = MemoryQueueOptions::default();
    options.recent_ids_max = 2;
    let queue = MemoryQueue::with_options(options);
    for number in [1, 1, 2, 1, 2] {
        queue.send(vec![message("s", number)]).await.unwrap();
    }
    assert_eq!(queue.len(), 2);
    // A third id makes the queue forget the first.
    for number in [3, 1] {
        queue.send(vec![message("s", number)]).await.unwrap();
    }
    assert_eq!(queue.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_unavailable_and_takes_nothing() {
    let mut options = MemoryQueueOptions::default();
    options.messages_max = 2;
    let queue = MemoryQueue::with_options(options);
    let full = queue.send((1..=3).map(|number| message("s", number)).collect()).await;
    assert!(matches!(full, Err(BusError::Unavailable { .. })));
    assert!(queue.is_empty());
    queue.send((1..=2).map(|number| message("s", number)).collect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_waits_hears_of_new_messages() {
    let queue = MemoryQueue::new();
    let mut deliveries = queue.deliveries();
    assert!(timeout(Duration::from_secs(60), deliveries.next()).await.is_err());
    let sender = queue.clone();
    let (sent, received) = tokio::join!(sender.send(vec![message("s", 1)]), next(&mut deliveries));
    sent.unwrap();
    received.complete().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_a_dead_letter_is_new_when_it_is_sent_again() {
    let options = MemoryQueueOptions::default().attempts_max(NonZeroU32::new(1).unwrap());
    let queue = MemoryQueue::with_options(options);
    let mut deliveries = queue.deliveries();
    queue.send(vec![message("s", 1), message("s", 2), message("s", 3)]).await.unwrap();
    next(&mut deliveries).await.dead_letter("no-use", "").await.unwrap();
    next(&mut deliveries).await.abandon("no store").await.unwrap();
    next(&mut deliveries).await.complete().await.unwrap();
    queue.send(vec![message("s", 1), message("s", 2), message("s", 3)]).await.unwrap();
    assert_eq!((queue.len(), queue.dead_letters().len()), (2, 2), "only what is done is known");
}

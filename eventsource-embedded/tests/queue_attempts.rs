//! An attempt is used by whoever receives a message, not by who fetched it ahead of that.
//!
//! The tests start themselves as children that end where a process may be killed.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod sqlite_support;

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use eventsource_core::{BusError, Delivery, Message, MessageReceiver, MessageSender};
use eventsource_embedded::{EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions};
use futures::{StreamExt, stream::BoxStream};
use sqlite_support::message;
use tempfile::TempDir;

const CHILD: &str = "EVENTSOURCE_ATTEMPTS_CHILD";
const CHILD_ATTEMPTS: &str = "EVENTSOURCE_ATTEMPTS_MAX";

fn open(folder: &Path, attempts_max: u32) -> (QueueDb, EmbeddedQueue) {
    let db = QueueDb::open(&folder.join("queue.db"), QueueDbOptions::default()).unwrap();
    let options = QueueOptions::default()
        .attempts_max(NonZeroU32::new(attempts_max).unwrap())
        .pauses(Duration::from_millis(1), Duration::from_millis(2));
    let queue = db.queue("commands", options).unwrap();
    (db, queue)
}

/// One message in each of eight sessions, in this order.
fn messages() -> Vec<Message> {
    (0..8).map(|number| message(&format!("s-{number}"), number)).collect()
}

async fn next(deliveries: &mut BoxStream<'static, Result<Delivery, BusError>>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(20), deliveries.next()).await;
    next.expect("a delivery comes in time").unwrap().unwrap()
}

/// The attempts of all messages that are left, in order of their sessions.
async fn attempts(queue: &EmbeddedQueue) -> Vec<u32> {
    let (mut deliveries, mut attempts) = (queue.deliveries(), Vec::new());
    for _ in 0..queue.stats().depth {
        let delivery = next(&mut deliveries).await;
        attempts.push((delivery.message.session.clone(), delivery.attempt));
        delivery.complete().await.unwrap();
    }
    attempts.sort_unstable();
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

/// Runs the test again in a process of its own, which does not end well.
fn die(test: &str, folder: &Path, attempts_max: u32) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .env(CHILD_ATTEMPTS, attempts_max.to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), None, "the child ended by itself: {status}");
}

/// Where a child works, and with how many attempts.
fn child() -> Option<(String, u32)> {
    let folder = std::env::var(CHILD).ok()?;
    Some((folder, std::env::var(CHILD_ATTEMPTS).unwrap().parse().unwrap()))
}

#[tokio::test]
async fn a_message_that_kills_takes_no_other_along() {
    if let Some((folder, attempts_max)) = child() {
        let (_db, queue) = open(folder.as_ref(), attempts_max);
        let mut deliveries = queue.deliveries();
        loop {
            let delivery = next(&mut deliveries).await;
            if delivery.message == messages()[0] {
                std::process::abort();
            }
            // The others are not reached before the first one has killed the process.
            assert!(delivery.attempt > 1, "{delivery:?}");
            delivery.abandon("not now").await.unwrap();
        }
    }
    for attempts_max in [1, 3] {
        let folder = TempDir::new().unwrap();
        open(folder.path(), attempts_max).1.send(messages()).await.unwrap();
        for _ in 0..attempts_max {
            die("a_message_that_kills_takes_no_other_along", folder.path(), attempts_max);
        }
        let (_db, queue) = open(folder.path(), attempts_max);
        let mut deliveries = queue.deliveries();
        let mut received = BTreeSet::new();
        for _ in 1..8 {
            let delivery = next(&mut deliveries).await;
            received.insert(delivery.message.session.to_string());
            delivery.complete().await.unwrap();
        }
        assert_eq!(received, (1..8).map(|number| format!("s-{number}")).collect(), "{attempts_max} attempts");
        let dead = queue.dead_letters(None, 10).await.unwrap();
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!((&dead[0].message, dead[0].attempts), (&messages()[0], attempts_max));
    }
}

#[tokio::test]
async fn what_a_receiver_gave_back_has_its_attempts_after_a_kill() {
    if let Some((folder, attempts_max)) = child() {
        let (_db, queue) = open(folder.as_ref(), attempts_max);
        queue.send(messages()).await.unwrap();
        let mut deliveries = queue.deliveries();
        let _held = next(&mut deliveries).await;
        assert_eq!(queue.stats().locked, 8);
        drop(deliveries);
        // What is acknowledged later is written later.
        queue.send(vec![message("s-9", 9)]).await.unwrap();
        std::process::abort();
    }
    let folder = TempDir::new().unwrap();
    die("what_a_receiver_gave_back_has_its_attempts_after_a_kill", folder.path(), 10);
    assert_eq!(attempts(&open(folder.path(), 10).1).await, [2, 1, 1, 1, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn closing_gives_back_what_nobody_received() {
    let folder = TempDir::new().unwrap();
    {
        let (db, queue) = open(folder.path(), 10);
        queue.send(messages()).await.unwrap();
        let mut deliveries = queue.deliveries();
        let _held = next(&mut deliveries).await;
        db.close().await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(20), deliveries.next()).await;
        assert!(matches!(next, Ok(Some(Err(BusError::Unavailable { .. })))), "{next:?}");
    }
    {
        // Without a word, too.
        let (_db, queue) = open(folder.path(), 10);
        let mut deliveries = queue.deliveries();
        let first = next(&mut deliveries).await;
        assert_eq!((first.attempt, queue.stats().locked), (2, 8));
    }
    assert_eq!(attempts(&open(folder.path(), 10).1).await, [3, 1, 1, 1, 1, 1, 1, 1]);
}

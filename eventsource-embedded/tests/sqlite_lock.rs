//! Whoever can still write keeps others out, whichever handle it is.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod sqlite_support;

use std::{error::Error, fmt::Debug, path::Path};

use eventsource_core::{MessageReceiver, MessageSender, ProjectionId, ViewStore};
use eventsource_embedded::{
    Embedded, EmbeddedOptions, OpenError, QueueDb, QueueDbOptions, QueueOptions, ViewDb, ViewDbOptions,
};
use futures::StreamExt;
use sqlite_support::message;
use tempfile::TempDir;

fn engine(folder: &TempDir) -> Result<Embedded, OpenError> {
    Embedded::open(folder.path(), EmbeddedOptions::default())
}

fn assert_locked(opened: &Result<Embedded, OpenError>) {
    let right = matches!(opened, Err(OpenError::Locked { holder, .. }) if *holder == Some(std::process::id()));
    assert!(right, "{opened:?}");
}

fn assert_refused<T: Debug>(opened: Result<T, impl Error>, lock: &Path) {
    let error = opened.unwrap_err();
    let reasons = std::iter::successors(error.source(), |&error| error.source());
    let reason = reasons.last().expect("the error has a cause").to_string();
    let holder = format!("process {}", std::process::id());
    assert!(reason.contains(&lock.display().to_string()) && reason.contains(&holder), "{error}: {reason}");
}

#[tokio::test]
async fn every_handle_of_an_engine_keeps_its_directory() {
    let folder = TempDir::new().unwrap();
    let queue = engine(&folder).unwrap().queue("commands", QueueOptions::default()).unwrap();
    queue.send(vec![message("s", 1)]).await.unwrap();
    assert_locked(&engine(&folder));
    let mut deliveries = queue.deliveries();
    drop(queue);
    let delivery = deliveries.next().await.unwrap().unwrap();
    assert_locked(&engine(&folder));
    delivery.complete().await.unwrap();
    assert_locked(&engine(&folder));
    drop(deliveries);

    let outcomes = engine(&folder).unwrap().outcomes();
    assert_locked(&engine(&folder));
    drop(outcomes);
    let views = engine(&folder).unwrap().views();
    views.prepare(&ProjectionId { name: "lamps".into(), version: 1 }, &[]).await.unwrap();
    assert_locked(&engine(&folder));
    drop(views);
    let snapshots = engine(&folder).unwrap().snapshots();
    assert_locked(&engine(&folder));
    drop(snapshots);
    engine(&folder).unwrap();
}

#[tokio::test]
async fn a_closed_engine_gives_its_directory_free_at_once() {
    let folder = TempDir::new().unwrap();
    let first = engine(&folder).unwrap();
    let (queue, views) = (first.queue("commands", QueueOptions::default()).unwrap(), first.views());
    first.close().await.unwrap();
    let second = engine(&folder).unwrap();
    assert!(queue.send(vec![message("s", 1)]).await.is_err());
    assert!(views.serving("lamps").await.is_err());
    drop((first, queue, views));
    assert_locked(&engine(&folder));
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_database_belongs_to_one_handle_that_opened_it() {
    let folder = TempDir::new().unwrap();
    let (queue, views) = (folder.path().join("queue.db"), folder.path().join("views.db"));
    let open_queue = || QueueDb::open(&queue, QueueDbOptions::default());
    let open_views = || ViewDb::open(&views, ViewDbOptions::default());
    let locks = [folder.path().join("queue.db-lock"), folder.path().join("views.db-lock")];

    let opened = (open_queue().unwrap(), open_views().unwrap());
    assert_refused(open_queue(), &locks[0]);
    assert_refused(open_views(), &locks[1]);
    opened.0.close().await.unwrap();
    open_queue().unwrap();
    drop(opened);

    let engine = engine(&folder).unwrap();
    assert_refused(open_queue(), &locks[0]);
    assert_refused(open_views(), &locks[1]);
    drop(engine);
    open_queue().unwrap();
    open_views().unwrap();
}

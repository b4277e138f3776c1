//! Killed at a random moment, views are those of their checkpoint: both of a commit or none of it.
//!
//! `KILL_ROUNDS` sets how often (20 unless set), `KILL_SEED` the seed, which is printed.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

use std::{
    io::{BufRead, BufReader, Write},
    num::NonZeroU32,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use eventsource_core::{
    Checkpoint, EventName, Parked, Position, ProjectionId, StoredView, StreamId, Version, ViewBatch, ViewQuery,
    ViewStore,
};
use eventsource_embedded::{EmbeddedViews, ViewDb, ViewDbOptions};
use fastrand::Rng;
use tempfile::TempDir;

const CHILD: &str = "EVENTSOURCE_KILL_CHILD";
const VIEWS: u64 = 40;

fn open(folder: &Path) -> (ViewDb, EmbeddedViews) {
    let db = ViewDb::open(&folder.join("views.db"), ViewDbOptions::default()).unwrap();
    let views = db.views();
    (db, views)
}

fn projection() -> ProjectionId {
    ProjectionId { name: "workflows".into(), version: 1 }
}

fn view(key: u64, at: u64) -> StoredView {
    let pad = "p".repeat(usize::try_from(key * 50 + at % 100).unwrap());
    let body = format!(r#"{{"at":{at},"pad":"{pad}"}}"#);
    StoredView {
        key: format!("case-{key}"),
        version: Version::new(at),
        position: Position::new(at),
        body: Some(body.into()),
    }
}

/// A commit that moves every view, what is parked and the checkpoint to `at`.
fn generation(at: u64) -> ViewBatch {
    let mut batch = ViewBatch::default();
    batch.views = (0..VIEWS).map(|key| view(key, at)).collect();
    batch.checkpoint = Some(Checkpoint { position: Position::new(at) });
    batch.park = vec![Parked {
        stream: StreamId::new("workflow", "parked").unwrap(),
        version: Version::FIRST,
        position: Position::FIRST,
        event: EventName::from_static("step-completed"),
        reason: "it cannot be".into(),
        attempts: u32::try_from(at).unwrap(),
        since: std::time::UNIX_EPOCH,
    }];
    batch
}

async fn generation_of(views: &EmbeddedViews) -> u64 {
    let checkpoint = views.checkpoint(&projection()).await.unwrap();
    checkpoint.map_or(0, |checkpoint| Position::value_of(checkpoint.position))
}

async fn child(folder: &Path) {
    let (_db, views) = open(folder);
    views.prepare(&projection(), &["at"]).await.unwrap();
    let first = generation_of(&views).await + 1;
    for at in first.. {
        views.commit(&projection(), generation(at)).await.unwrap();
        std::io::stdout().lock().write_all(format!("committed {at}\n").as_bytes()).unwrap();
    }
}

/// Everything there is must be of one commit, at least of the last one that was acknowledged.
async fn check(folder: &Path, acknowledged: u64) {
    let (db, views) = open(folder);
    let at = generation_of(&views).await;
    assert!(at >= acknowledged, "the checkpoint is at {at}, {acknowledged} was acknowledged");
    let keys: Vec<_> = (0..VIEWS).map(|key| format!("case-{key}")).collect();
    let right: Vec<_> = (0..VIEWS).filter(|_| at > 0).map(|key| view(key, at)).collect();
    let loaded: Vec<_> = views.load(&projection(), &keys).await.unwrap().into_iter().flatten().collect();
    assert_eq!(loaded, right, "views at checkpoint {at}");
    let mut query = ViewQuery::default();
    query.equal = vec![("at".into(), at.to_string())];
    assert_eq!(views.find(&projection(), query).await.map_or(0, |page| page.total), if at > 0 { VIEWS } else { 0 });
    let parked = views.parked(&projection(), None, NonZeroU32::MIN).await.unwrap();
    assert_eq!(parked, if at > 0 { generation(at).park } else { Vec::new() });
    let report = db.scrub().await.unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
}

/// Kills the child when it is dropped, also when the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child for a while, kills it, and returns the last commit that it said was acknowledged.
fn run_and_kill(folder: &Path, time: Duration) -> Option<u64> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "views_are_those_of_their_checkpoint", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut child = Guard(child);
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(time);
        drop(child);
    });
    let committed = lines.filter_map(|line| line.unwrap().strip_prefix("committed ")?.parse().ok()).collect::<Vec<_>>();
    killer.join().unwrap();
    // The last line may have lost its last digits.
    committed.iter().rev().nth(1).copied()
}

#[test]
fn views_are_those_of_their_checkpoint() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Ok(folder) = std::env::var(CHILD) {
        return runtime.block_on(child(folder.as_ref()));
    }
    let folder = TempDir::new().unwrap();
    let (rounds, seed) = (number("KILL_ROUNDS", 20), number("KILL_SEED", fastrand::u64(..)));
    println!("KILL_SEED={seed}");
    let (mut random, mut acknowledged) = (Rng::with_seed(seed), 0);
    for round in 0..rounds {
        let time = Duration::from_micros(random.u64(0..200_000));
        acknowledged = run_and_kill(folder.path(), time).unwrap_or(acknowledged);
        runtime.block_on(check(folder.path(), acknowledged));
        println!("round {round}: {time:?}, commit {acknowledged} acknowledged");
    }
    assert!(acknowledged > 0, "no commit was acknowledged: this test shows nothing");
}

/// A number from the environment, for longer runs.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

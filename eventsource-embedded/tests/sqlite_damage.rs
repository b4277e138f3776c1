//! Bits flip and files are cut at random places: each is found and named, or harms nothing.
//!
//! `DAMAGE_ROUNDS` sets the number of places, `DAMAGE_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod sqlite_support;

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroU32,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use eventsource_core::{
    BusError, Checkpoint, CommandId, Direction, EventName, Message, MessageReceiver, MessageSender, Outcome,
    OutcomeStore, Parked, Position, ProjectionId, Snapshot, SnapshotStore, StoreError, StoredView, StreamId, Version,
    ViewBatch, ViewQuery, ViewStore,
};
use eventsource_embedded::{EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions, ViewDb, ViewDbOptions};
use fastrand::Rng;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sqlite_support::message;
use tempfile::TempDir;
use uuid::Uuid;

const ITEMS: u32 = 250;
/// Messages in the log that a crash left behind.
const LOGGED: u32 = 40;

/// How a damaged file was treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    RefusedAtOpening,
    NamedOnReading,
    NamedByScrub,
    Harmless,
    /// Views only: the log that a crash had left was cut, and what is there is an earlier, whole
    /// state with its own checkpoint, from which the event log goes on.
    Earlier,
}

#[test]
fn damage_is_named_or_harmless() {
    let (rounds, seed) = (number("DAMAGE_ROUNDS", 200), number("DAMAGE_SEED", fastrand::u64(..)));
    println!("DAMAGE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let originals = runtime.block_on(Originals::make());
    let mut verdicts = BTreeMap::new();
    for round in 0..rounds {
        let copy = originals.copy(&mut random);
        let what = copy.damage(&mut random);
        let verdict = runtime.block_on(copy.judge(&format!("round {round}: {what}")));
        *verdicts.entry((copy.file_kind(), verdict)).or_insert(0) += 1;
    }
    println!("{verdicts:#?}");
    let named = verdicts.keys().filter(|(_, verdict)| *verdict == Verdict::RefusedAtOpening).count();
    assert!(named > 0, "no damage was ever found: this test shows nothing");
}

/// While a file is open only rows are checked as they are read: a damaged tree may hide a row until
/// the next scrub or opening, but no row is served that is not what was written.
#[test]
fn damage_under_an_open_file_is_never_served_and_found_by_a_scrub() {
    let (rounds, seed) = (number("DAMAGE_ROUNDS", 200) / 4, number("DAMAGE_SEED", fastrand::u64(..)));
    println!("DAMAGE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let originals = runtime.block_on(Originals::make());
    let mut refused = 0;
    for round in 0..rounds {
        let folder = TempDir::new().unwrap();
        copy_all(&originals.folder.path().join("closed"), folder.path());
        let views = open_views(folder.path()).unwrap();
        let file = fs::File::options().write(true).read(true).open(folder.path().join("views.db")).unwrap();
        let (at, bit) = (random.u64(..file.metadata().unwrap().len()), 1 << random.u8(0..8));
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ bit], at).unwrap();
        let what = format!("round {round}: bit {bit} flipped at {at}");
        refused += runtime.block_on(async {
            let keys: Vec<_> = (0..ITEMS).map(|number| view(number, 0).key).collect();
            let mut refused = 0;
            for (key, number) in keys.iter().zip(0..) {
                match views.views().load(&projection(), std::slice::from_ref(key)).await {
                    Ok(loaded) => assert!([None, Some(view(number, 0))].contains(&loaded[0]), "{what}: {loaded:?}"),
                    Err(error) => {
                        assert!(error.to_string().contains("views.db"), "{what}: {error:?}");
                        refused += 1;
                    }
                }
            }
            let report = views.scrub().await.unwrap();
            assert!(report.damage_count > 0, "{what}: not found by a scrub");
            refused
        });
    }
    assert!(refused > 0, "no damage was ever met while reading: this test shows nothing");
}

/// The error names the way out, and it is one.
#[tokio::test]
async fn a_log_that_another_program_moved_is_refused_until_its_mark_is_removed() {
    let originals = Originals::make().await;
    let folder = TempDir::new().unwrap();
    copy_all(&originals.folder.path().join("crashed"), folder.path());
    let shell = rusqlite::Connection::open(folder.path().join("queue.db")).unwrap();
    shell.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(shell);
    assert!(!folder.path().join("queue.db-wal").exists());

    let refused = open_queue(folder.path()).unwrap_err();
    let StoreError::Corrupt { source, .. } = &refused else { panic!("{refused:?}") };
    let mark = folder.path().join("queue.db-mark");
    assert!(source.to_string().contains(&format!("remove {}", mark.display())), "{source}");
    fs::remove_file(mark).unwrap();
    let queue = open_queue(folder.path()).unwrap();
    assert_eq!(read_queue(&queue, true, "after the shell").await.unwrap(), Read::Whole);
    assert_eq!(queue.scrub().await.unwrap().damage, []);
}

/// Files of a clean shutdown and of a crash, of queues and of views.
struct Originals {
    folder: TempDir,
}

struct Damaged {
    folder: TempDir,
    /// `queue.db` or `views.db`.
    database: &'static str,
    file: PathBuf,
    crashed: bool,
}

impl Originals {
    async fn make() -> Self {
        let folder = TempDir::new().unwrap();
        for (kind, crashed) in [("closed", false), ("crashed", true)] {
            let (kept, work) = (folder.path().join(kind), TempDir::new().unwrap());
            fs::create_dir(&kept).unwrap();
            let queue = open_queue(work.path()).unwrap();
            fill_queue(&queue).await;
            let views = open_views(work.path()).unwrap();
            fill_views(&views, 0).await;
            if crashed {
                // What was written before is in the file, what comes now is in the log.
                queue.close().await.unwrap();
                views.close().await.unwrap();
                let (queue, views) = (open_queue(work.path()).unwrap(), open_views(work.path()).unwrap());
                for number in ITEMS..ITEMS + LOGGED {
                    commands(&queue).send(vec![message("log", number)]).await.unwrap();
                }
                fill_views(&views, 1).await;
                copy_all(work.path(), &kept);
            } else {
                queue.close().await.unwrap();
                views.close().await.unwrap();
                copy_all(work.path(), &kept);
            }
        }
        Self { folder }
    }

    fn copy(&self, random: &mut Rng) -> Damaged {
        let crashed = random.bool();
        let folder = TempDir::new().unwrap();
        copy_all(&self.folder.path().join(if crashed { "crashed" } else { "closed" }), folder.path());
        let database = if random.bool() { "queue.db" } else { "views.db" };
        let suffixes = match (crashed, database) {
            (true, "queue.db") => ["", "", "", "-wal", "-wal", "-sums", "-mark"],
            (true, _) => ["", "", "", "-wal", "-wal", "-wal", "-sums"],
            (false, _) => ["", "", "", "", "", "", "-sums"],
        };
        let file = folder.path().join(format!("{database}{}", suffixes[random.usize(..suffixes.len())]));
        Damaged { folder, database, file, crashed }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        // The index of the log is made anew at each opening.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

impl Damaged {
    fn file_kind(&self) -> String {
        let name = self.file.file_name().unwrap().to_string_lossy();
        format!("{name}{}", if self.crashed { ", crashed" } else { "" })
    }
}

impl Damaged {
    fn damage(&self, random: &mut Rng) -> String {
        let mut bytes = fs::read(&self.file).unwrap();
        // The log ends in room that was never used; damage there proves little.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
        let at = random.usize(..used);
        let what = match random.u8(0..5) {
            0 => {
                bytes.truncate(at);
                "cut"
            }
            1 => {
                let end = bytes.len().min(at + 512);
                bytes[at..end].fill(0);
                "512 bytes zeroed"
            }
            _ => {
                bytes[at] ^= 1 << random.u8(0..8);
                "bit flipped"
            }
        };
        fs::write(&self.file, bytes).unwrap();
        format!("{what} at {at} of {}", self.file_kind())
    }

    /// Opens, reads everything, compares it with what was written, and scrubs.
    async fn judge(&self, what: &str) -> Verdict {
        let log = self.file.to_string_lossy().ends_with("-wal");
        let judged = if self.database == "queue.db" {
            match open_queue(self.folder.path()) {
                Err(error) => Err(error),
                Ok(queue) => Ok((queue.scrub().await, read_queue(&queue, self.crashed, what).await)),
            }
        } else {
            match open_views(self.folder.path()) {
                Err(error) => Err(error),
                Ok(views) => Ok((views.scrub().await, read_views(&views, self.crashed, what).await)),
            }
        };
        match judged {
            Err(error) => {
                self.assert_named(&error, what);
                Verdict::RefusedAtOpening
            }
            Ok((_, Err(error))) => {
                self.assert_named(&error, what);
                Verdict::NamedOnReading
            }
            Ok((_, Ok(Read::Earlier))) if log => Verdict::Earlier,
            Ok((_, Ok(Read::Earlier))) => panic!("{what}: an earlier state was served in silence"),
            Ok((scrub, Ok(Read::Whole))) => {
                let report = scrub.unwrap();
                if report.damage.is_empty() { Verdict::Harmless } else { Verdict::NamedByScrub }
            }
        }
    }

    fn assert_named(&self, error: &StoreError, what: &str) {
        let text = format!("{error}");
        let named = matches!(error, StoreError::Corrupt { .. } | StoreError::Invalid { .. });
        assert!(named && text.contains(self.database), "{what}: {text} ({error:?})");
    }
}

/// What reading everything came to, when nothing wrong was served.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Whole,
    Earlier,
}

fn open_queue(folder: &Path) -> Result<QueueDb, StoreError> {
    QueueDb::open(&folder.join("queue.db"), QueueDbOptions::default())
}

fn open_views(folder: &Path) -> Result<ViewDb, StoreError> {
    ViewDb::open(&folder.join("views.db"), ViewDbOptions::default())
}

fn commands(db: &QueueDb) -> EmbeddedQueue {
    let options = QueueOptions::default().attempts_max(NonZeroU32::new(100).unwrap());
    db.queue("commands", options).unwrap()
}

fn outcome(number: u32) -> (CommandId, Outcome) {
    let stream = StreamId::new("workflow", &format!("case-{number}")).unwrap();
    let outcome = Outcome::Rejected { stream, code: "closed".into(), message: format!("refused {number} times") };
    (CommandId::from_uuid(Uuid::from_u128(u128::from(number) << 64 | 7)), outcome)
}

/// 250 messages in 25 sessions and as many outcomes; 20 dead letters; ids of completed messages.
async fn fill_queue(db: &QueueDb) {
    let queue = commands(db);
    queue.send((0..40).map(|number| message(&format!("gone-{number}"), 0)).collect()).await.unwrap();
    let mut deliveries = queue.deliveries();
    for number in 0..40 {
        let delivery = deliveries.next().await.unwrap().unwrap();
        match number % 2 {
            0 => delivery.complete().await.unwrap(),
            _ => delivery.dead_letter("no-use", "nobody wants it").await.unwrap(),
        }
    }
    drop(deliveries);
    queue.send((0..ITEMS).map(|number| message(&format!("s-{}", number % 25), number)).collect()).await.unwrap();
    for number in 0..ITEMS {
        let (command, outcome) = outcome(number);
        db.outcomes().record(command, outcome).await.unwrap();
    }
}

/// Every message, dead letter and outcome must be what was written; the first error ends it.
async fn read_queue(db: &QueueDb, crashed: bool, what: &str) -> Result<Read, StoreError> {
    for number in 0..ITEMS {
        let (command, right) = outcome(number);
        assert_eq!(db.outcomes().find(command).await?.as_ref(), Some(&right), "{what}: outcome {number}");
    }
    let queue = commands(db);
    assert_eq!(queue.dead_letters(None, 1_000).await?.len(), 20, "{what}: dead letters");
    let mut right: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for number in 0..ITEMS {
        let session = format!("s-{}", number % 25);
        right.entry(session.clone()).or_default().push(message(&session, number));
    }
    if crashed {
        right.insert("log".into(), (ITEMS..ITEMS + LOGGED).map(|number| message("log", number)).collect());
    }
    let mut seen: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    let mut deliveries = queue.deliveries();
    let mut completing: FuturesUnordered<BoxFuture<'static, Result<(), BusError>>> = FuturesUnordered::new();
    while queue.stats().depth > 0 {
        tokio::select! {
            Some(completed) = completing.next() => completed.map_err(store_error)?,
            delivery = deliveries.next() => {
                let delivery = delivery.unwrap().map_err(store_error)?;
                seen.entry(delivery.message.session.to_string()).or_default().push(delivery.message.clone());
                completing.push(delivery.complete().boxed());
            }
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("{what}: neither a message nor an error comes"),
        }
    }
    assert_eq!(seen, right, "{what}: messages");
    Ok(Read::Whole)
}

/// The damage that a bus reports as its cause.
fn store_error(error: BusError) -> StoreError {
    match error {
        BusError::Unavailable { source, .. } => *source.downcast::<StoreError>().expect("damage is the cause"),
        other => panic!("{other:?}"),
    }
}

fn projection() -> ProjectionId {
    ProjectionId { name: "workflows".into(), version: 1 }
}

fn view(number: u32, generation: u64) -> StoredView {
    let status = ["RUNNING", "COMPLETED", "FAILED"][usize::try_from(number % 3).unwrap()];
    let note = "n".repeat(usize::try_from(number % 300).unwrap());
    let body = format!(r#"{{"status":"{status}","number":{number},"generation":{generation},"note":"{note}"}}"#);
    StoredView {
        key: format!("case-{number}"),
        version: Version::new(1 + generation),
        position: Position::new(u64::from(number + 1) + generation * u64::from(ITEMS)),
        body: (number % 10 != 9).then(|| body.into()),
    }
}

fn parked(number: u32) -> Parked {
    Parked {
        stream: StreamId::new("workflow", &format!("parked-{number}")).unwrap(),
        version: Version::FIRST,
        position: Position::new(u64::from(number + 1)).unwrap(),
        event: EventName::from_static("step-completed"),
        reason: "it cannot be".into(),
        attempts: 3,
        since: std::time::UNIX_EPOCH,
    }
}

fn snapshot(number: u32) -> Snapshot {
    let stream = StreamId::new("workflow", &format!("case-{number}")).unwrap();
    let state = format!("state of {number}").into();
    Snapshot { stream, version: Version::FIRST, fingerprint: u64::MAX, state }
}

/// 250 views in commits of 10, each with its checkpoint; parked streams, snapshots and what is served.
async fn fill_views(db: &ViewDb, generation: u64) {
    let (views, projection) = (db.views(), projection());
    views.prepare(&projection, &["status", "number"]).await.unwrap();
    for first in (0..ITEMS).step_by(10) {
        let mut batch = ViewBatch::default();
        batch.views = (first..first + 10).map(|number| view(number, generation)).collect();
        let position = batch.views.last().unwrap().position;
        batch.checkpoint = Some(Checkpoint { position });
        batch.park = if generation == 0 { vec![parked(first)] } else { Vec::new() };
        views.commit(&projection, batch).await.unwrap();
    }
    if generation == 0 {
        views.serve(&projection).await.unwrap();
        for number in 0..ITEMS {
            db.snapshots().save(snapshot(number)).await.unwrap();
        }
    }
}

/// Views must be those of their checkpoint, however they are read.
async fn read_views(db: &ViewDb, crashed: bool, what: &str) -> Result<Read, StoreError> {
    let (views, projection) = (db.views(), projection());
    let checkpoint = views.checkpoint(&projection).await?.expect("the projection had begun");
    let last = u64::from(ITEMS) * if crashed { 2 } else { 1 };
    let at = Position::value_of(checkpoint.position);
    assert!(at <= last && at >= u64::from(ITEMS) && at.is_multiple_of(10), "{what}: checkpoint {at}");
    let generation = |number: u32| u64::from(u64::from(ITEMS) + u64::from(number) < at);
    let right: Vec<_> = (0..ITEMS).map(|number| view(number, generation(number))).collect();
    let keys: Vec<_> = right.iter().map(|view| view.key.clone()).collect();
    let loaded: Vec<_> = views.load(&projection, &keys).await?.into_iter().flatten().collect();
    assert_eq!(loaded, right, "{what}: views loaded");

    let mut by_position = right.clone();
    by_position.sort_by_key(|view| view.position);
    assert_eq!(views.changed(&projection, None, NonZeroU32::MAX).await?, by_position, "{what}: views changed");

    let alive = || right.iter().zip(0_u32..).filter(|(view, _)| view.body.is_some());
    for (status, kind) in [("RUNNING", 0), ("COMPLETED", 1), ("FAILED", 2)] {
        let mut query = ViewQuery::default();
        query.equal = vec![("status".into(), status.to_owned())];
        query.order = Some(("number".into(), Direction::Backward));
        query.limit = 1_000;
        let page = views.find(&projection, query).await?;
        let mut found: Vec<_> =
            alive().filter(|(_, number)| number % 3 == kind).map(|(view, _)| view.clone()).collect();
        found.reverse();
        let seen: Vec<_> = page.views.into_iter().map(|found| found.view).collect();
        assert_eq!(seen, found, "{what}: views found that are {status}");
        assert_eq!(page.total, u64::try_from(found.len()).unwrap(), "{what}: total of {status}");
    }
    let parked: Vec<_> = (0..ITEMS).step_by(10).map(parked).collect();
    assert_eq!(views.parked(&projection, None, NonZeroU32::MAX).await?, parked, "{what}: parked streams");
    assert_eq!(views.serving("workflows").await?, Some(1), "{what}: the version that is served");
    for number in 0..ITEMS {
        let right = snapshot(number);
        assert_eq!(db.snapshots().load(&right.stream, u64::MAX).await?, Some(right), "{what}: snapshot {number}");
    }
    Ok(if at == last { Read::Whole } else { Read::Earlier })
}

/// A number from the environment, for longer runs.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

//! Killed at a random moment under load, nothing acknowledged is lost and nothing half written is seen.
//!
//! The test starts itself as a child that appends and says what was acknowledged; `KILL_ROUNDS` sets
//! how often (20 unless set), `KILL_SEED` the seed, which is printed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test program, its helpers are tests too")]

mod log_support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    num::NonZeroU32,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use eventsource_core::{Direction, EventStore, ExpectedVersion, RecordedEvent, Version};
use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions, scrub};
use log_support::{all, assert_same, of_stream, sized, stream};

const CHILD: &str = "EVENTSOURCE_KILL_CHILD";
const CHILD_FIRST: &str = "EVENTSOURCE_KILL_FIRST";
const WRITERS: u64 = 16;

fn options() -> EmbeddedOptions {
    // Short files, so that kills also hit the moments of rolling and sealing.
    EmbeddedOptions::default().segment_bytes(NonZeroU32::new(256 << 10).unwrap())
}

/// Numbers of the events that writer `writer` appends in its `batch`-th append of a round.
fn batch(first: u64, writer: u64, batch: u64) -> std::ops::Range<u64> {
    let size = 1 + (batch * 7 + writer) % 5;
    let start = first + writer * 1_000_000 + batch * 8;
    start..start + size
}

fn bytes_of(n: u64) -> usize {
    usize::try_from(n * 37 % 900).unwrap() + 1
}

/// What a child does: every writer appends to a stream of its own and says each answer on a line.
fn child(dir: &Path, first: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedEventStore::open(dir, options()).unwrap();
        println!("ready");
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0.. {
                    let numbers = batch(first, writer, number);
                    let events = numbers.map(|n| sized(n, bytes_of(n))).collect();
                    let stream = stream(&writer.to_string());
                    let appended = store.append(&stream, ExpectedVersion::Any, events).await.unwrap();
                    let line = format!("{writer} {number} {}\n", appended.version);
                    // One write, so that a kill never leaves half a line but the last.
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}

/// Kills the child when it is dropped, also when the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// For each writer how many batches, and the version after the last one.
type Acknowledged = BTreeMap<u64, (u64, u64)>;

/// Runs a child for a while, kills it, and returns what it said was acknowledged.
fn run_and_kill(dir: &Path, first: u64, time: Duration) -> Acknowledged {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_acknowledged_is_lost", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .env(CHILD_FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut child = Guard(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    while !lines.next().expect("the child says when it is ready").unwrap().contains("ready") {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(time);
        drop(child);
    });
    let mut acknowledged = BTreeMap::new();
    for line in lines {
        let line = line.unwrap();
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        if let (Some(Ok(writer)), Some(Ok(batch)), Some(Ok(version)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        {
            acknowledged.insert(writer, (batch + 1, version));
        }
    }
    killer.join().unwrap();
    acknowledged
}

/// Reads the whole store: positions and versions are dense, and every batch is there whole.
async fn check(dir: &Path, rounds: &[(u64, Acknowledged)]) -> usize {
    let store = EmbeddedEventStore::open(dir, options()).unwrap();
    let events = all(&store).await.unwrap();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position.unwrap().value(), position);
    }
    for writer in 0..WRITERS {
        let stream = stream(&writer.to_string());
        let own: Vec<_> = events.iter().filter(|event| event.stream == stream).cloned().collect();
        let read = of_stream(&store, &stream, None, Direction::Forward).await.unwrap();
        assert_eq!(read, own);
        let mut rest = &own[..];
        for (first, acknowledged) in rounds {
            let (acknowledged, version) = acknowledged.get(&writer).copied().unwrap_or_default();
            let mut number = 0;
            while let Some(length) = whole_batch(rest, *first, writer, number) {
                rest = &rest[length..];
                number += 1;
                if number == acknowledged {
                    let last = own.len() - rest.len();
                    assert_eq!(own[last - 1].version, Version::new(version).unwrap());
                }
            }
            assert!(number >= acknowledged, "{stream}: batch {number} was acknowledged and is not there");
            assert!(number <= acknowledged + 1, "{stream}: each writer has one append in flight");
        }
        assert!(rest.is_empty(), "{stream}: {} events that no writer made", rest.len());
    }
    events.len()
}

/// The length of the batch at the front of `events`, if it is this one; it must then be whole.
fn whole_batch(events: &[RecordedEvent], first: u64, writer: u64, number: u64) -> Option<usize> {
    let numbers = batch(first, writer, number);
    let length = usize::try_from(numbers.end - numbers.start).unwrap();
    events.first().filter(|event| event.id == log_support::id(numbers.start))?;
    assert!(events.len() >= length, "a batch is half there");
    for (event, n) in events.iter().zip(numbers) {
        assert_same(event, &sized(n, bytes_of(n)));
    }
    Some(length)
}

#[test]
fn nothing_acknowledged_is_lost() {
    if let Ok(dir) = std::env::var(CHILD) {
        return child(Path::new(&dir), std::env::var(CHILD_FIRST).unwrap().parse().unwrap());
    }
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut dir = tempfile::tempdir().unwrap();
    let mut rounds = Vec::new();
    for round in 0..number("KILL_ROUNDS").unwrap_or(20) {
        if rounds.len() == 10 {
            // A new store, so that checking does not take longer and longer.
            assert_eq!(scrub(dir.path(), |_| {}).unwrap().damage, []);
            (dir, rounds) = (tempfile::tempdir().unwrap(), Vec::new());
        }
        let first = (round + 1) * 1_000_000_000;
        let time = Duration::from_micros(random.u64(0..150_000));
        rounds.push((first, run_and_kill(dir.path(), first, time)));
        let events = runtime.block_on(check(dir.path(), &rounds));
        println!("round {round}: killed after {time:?}, {events} events");
    }
    assert_eq!(scrub(dir.path(), |_| {}).unwrap().damage, []);
}

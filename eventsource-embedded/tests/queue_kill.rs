//! Killed at a random moment under load, a queue loses nothing it acknowledged and keeps its order.
//!
//! The test starts itself as a child that sends, receives and says what was acknowledged;
//! `KILL_ROUNDS` sets how often (20 unless set), `KILL_SEED` the seed, which is printed.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod sqlite_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    num::NonZeroU32,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use eventsource_core::{
    CommandId, Delivery, Message, MessageReceiver, MessageSender, Outcome, OutcomeStore, StreamId, Version,
};
use eventsource_embedded::{EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions};
use fastrand::Rng;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use sqlite_support::message;
use tempfile::TempDir;

const CHILD: &str = "EVENTSOURCE_KILL_CHILD";
const CHILD_SEED: &str = "EVENTSOURCE_KILL_CHILD_SEED";
const SENDERS: usize = 6;
const SESSIONS: usize = 3;

fn open(folder: &Path) -> (QueueDb, EmbeddedQueue) {
    let db = QueueDb::open(&folder.join("queue.db"), QueueDbOptions::default()).unwrap();
    let options = QueueOptions::default()
        .attempts_max(NonZeroU32::new(1_000).unwrap())
        .pauses(Duration::from_millis(1), Duration::from_millis(2));
    let queue = db.queue("commands", options).unwrap();
    (db, queue)
}

/// One write, so that a kill leaves at most half a line, the last one.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What a child does until it is killed.
async fn child(folder: &Path, seed: u64) {
    let (db, queue) = open(folder);
    say("ready");
    for sender in 0..SENDERS {
        tokio::spawn(send(
            queue.clone(),
            format!("{seed}-{sender}"),
            Rng::with_seed(seed ^ u64::try_from(sender).unwrap()),
        ));
    }
    let mut deliveries = queue.deliveries();
    let mut random = Rng::with_seed(seed);
    while let Some(delivery) = deliveries.next().await {
        tokio::spawn(handle(db.clone(), delivery.unwrap(), random.fork()));
    }
}

async fn send(queue: EmbeddedQueue, name: String, mut random: Rng) {
    let mut sent = [0; SESSIONS];
    loop {
        let at = random.usize(..SESSIONS);
        let (session, first) = (format!("{name}-{at}"), sent[at]);
        let end = first + random.u32(1..6);
        queue.send((first..end).map(|number| message(&session, number)).collect()).await.unwrap();
        sent[at] = end;
        say(&format!("sent {session} {end}"));
    }
}

/// Completes most messages, abandons some, and records an outcome for each that it completes.
async fn handle(db: QueueDb, delivery: Delivery, mut random: Rng) {
    let (session, number) = place(&delivery.message);
    say(&format!("delivered {session} {number} {}", delivery.attempt));
    if random.u8(0..3) == 0 {
        tokio::time::sleep(Duration::from_micros(random.u64(0..3_000))).await;
    }
    if random.u8(0..8) == 0 {
        return delivery.abandon("not now").await.unwrap();
    }
    let (command, outcome) = outcome(&delivery.message);
    db.outcomes().record(command, outcome).await.unwrap();
    say(&format!("recorded {session} {number}"));
    say(&format!("completing {session} {number}"));
    delivery.complete().await.unwrap();
    say(&format!("completed {session} {number}"));
}

fn place(message: &Message) -> (String, u32) {
    let body = String::from_utf8(message.body.to_vec()).unwrap();
    let number = body.trim_end_matches("\"}").rsplit('/').next().unwrap().parse().unwrap();
    (message.session.to_string(), number)
}

fn outcome(message: &Message) -> (CommandId, Outcome) {
    let (session, number) = place(message);
    let stream = StreamId::new("workflow", &session).unwrap();
    (CommandId::from_uuid(message.id), Outcome::Unchanged { stream, version: Version::new(u64::from(number) + 1) })
}

/// What a child said of one session before it was killed.
#[derive(Debug, Default)]
struct Said {
    /// Messages below this number were acknowledged.
    sent: u32,
    attempts: BTreeMap<u32, u32>,
    recorded: BTreeSet<u32>,
    completing: BTreeSet<u32>,
    completed: BTreeSet<u32>,
}

/// Kills the child when it is dropped, also when the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_and_kill(folder: &Path, seed: u64, time: Duration) -> BTreeMap<String, Said> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_acknowledged_is_lost", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut child = Guard(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    while !lines.next().expect("the child says when it is ready").unwrap().ends_with("ready") {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(time);
        drop(child);
    });
    let mut said = BTreeMap::<String, Said>::new();
    for line in lines {
        hear(&mut said, &line.unwrap());
    }
    killer.join().unwrap();
    said
}

fn hear(said: &mut BTreeMap<String, Said>, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let (&[what, session, number] | &[what, session, number, _]) = words.as_slice() else { return };
    let (said, number) = (said.entry(session.to_owned()).or_default(), number.parse().unwrap());
    match what {
        "sent" => said.sent = number,
        "delivered" => {
            // Half a line, the last one, has no attempt.
            if let Some(Ok(attempt)) = words.get(3).map(|attempt| attempt.parse()) {
                said.attempts.insert(number, attempt);
            }
        }
        "recorded" => drop(said.recorded.insert(number)),
        "completing" => drop(said.completing.insert(number)),
        "completed" => drop(said.completed.insert(number)),
        _ => panic!("the child said {line:?}"),
    }
}

/// Takes everything off the queue and compares it with what the child had said.
async fn check(folder: &Path, said: &BTreeMap<String, Said>) -> usize {
    let (db, queue) = open(folder);
    let depth = queue.stats().depth;
    for (session, said) in said {
        let again: Vec<_> = (0..said.sent).map(|number| message(session, number)).collect();
        for part in again.chunks(10_000) {
            queue.send(part.to_vec()).await.unwrap();
        }
    }
    assert_eq!(queue.stats().depth, depth, "messages that were acknowledged were taken for new ones");

    let mut left = BTreeMap::<String, Vec<(u32, u32)>>::new();
    let (mut deliveries, mut completing) = (queue.deliveries(), FuturesUnordered::new());
    while queue.stats().depth > 0 {
        tokio::select! {
            Some(()) = completing.next() => {}
            delivery = deliveries.next() => {
                let delivery = delivery.unwrap().unwrap();
                let (session, number) = place(&delivery.message);
                assert_eq!(delivery.message, message(&session, number), "the message is whole");
                left.entry(session).or_default().push((number, delivery.attempt));
                completing.push(delivery.complete().map(Result::unwrap));
            }
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("a message is not delivered: {:?}", queue.stats()),
        }
    }
    // A kill between the commit and the word leaves messages that nobody heard of.
    let unheard = Said::default();
    let sessions: BTreeSet<_> = said.keys().chain(left.keys()).collect();
    for session in sessions {
        let said = said.get(session).unwrap_or(&unheard);
        let left = left.get(session).cloned().unwrap_or_default();
        let numbers: Vec<_> = left.iter().map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{session} is out of order: {numbers:?}");
        for number in 0..said.sent {
            let here = numbers.binary_search(&number).is_ok();
            assert!(here || said.completing.contains(&number), "{session}/{number} is lost");
            assert!(!here || !said.completed.contains(&number), "{session}/{number} was completed and is back");
        }
        for (number, attempt) in left {
            let before = said.attempts.get(&number).copied().unwrap_or_default();
            assert!(attempt > before, "{session}/{number}: attempt {attempt} after attempt {before}");
        }
        for number in &said.recorded {
            let (command, right) = outcome(&message(session, *number));
            assert_eq!(db.outcomes().find(command).await.unwrap(), Some(right), "outcome of {session}/{number}");
        }
    }
    let report = db.scrub().await.unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    depth
}

#[test]
fn nothing_acknowledged_is_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Ok(folder) = std::env::var(CHILD) {
        return runtime.block_on(child(folder.as_ref(), number(CHILD_SEED, 0)));
    }
    let (rounds, folder) = (number("KILL_ROUNDS", 20), TempDir::new().unwrap());
    let seed = number("KILL_SEED", fastrand::u64(..));
    println!("KILL_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let (mut sent, mut left) = (0, 0);
    for round in 0..rounds {
        let time = Duration::from_micros(random.u64(0..120_000));
        let said = run_and_kill(folder.path(), random.u64(..), time);
        sent += said.values().map(|said| u64::from(said.sent)).sum::<u64>();
        left += runtime.block_on(check(folder.path(), &said));
        println!("round {round}: {time:?}, {sent} messages acknowledged and {left} left so far");
    }
    assert!(left > 0, "no kill left a message behind: this test shows nothing");
}

/// A number from the environment, for longer runs.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

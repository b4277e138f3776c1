//! Catch-up over 1,000,000 events of 100,000 streams; and what they cost in memory and in time to open.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use eventsource_benches::{Account, AccountEvent, Bench, Contender, float, rounds, table};
use eventsource_core::{
    Aggregate, Codec, Envelope, EventName, EventStore, ExpectedVersion, IdSource, Metadata, NewEvent, Position,
    ProjectError, Projection, Projector, Query, RandomIds, Scope, StreamId, memory::MemoryViews,
};
use eventsource_embedded::{Embedded, EmbeddedOptions};
use futures::TryStreamExt;

const ROUNDS: usize = 5;
const EVENTS: usize = 1_000_000;
const STREAMS: usize = 100_000;

#[expect(clippy::print_stdout, reason = "a bench speaks on its standard output")]
fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let Bench { engine, folder } = Bench::new();
    let resident_before = resident_kib();
    let store: Arc<dyn EventStore> = Arc::new(engine.events());
    runtime.block_on(fill(&store));
    drop(store);
    println!("after filling: {} MiB resident more than before", (resident_kib() - resident_before) / 1_024);
    runtime.block_on(engine.close()).expect("the engine closes");

    let before = resident_kib();
    let started = Instant::now();
    let engine = Embedded::open(folder.path(), EmbeddedOptions::default()).expect("the engine opens");
    println!("opened {EVENTS} events of {STREAMS} streams in {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    println!("resident after opening: {} MiB more than before", resident_kib().saturating_sub(before) / 1_024);

    let store: Arc<dyn EventStore> = Arc::new(engine.events());
    let codec = Codec::<AccountEvent>::default();
    let contenders: Vec<Contender<'_>> = vec![
        ("records, not decoded", Box::new(|| runtime.block_on(scan(&store, |_| ())))),
        (
            "records, JSON decoded",
            Box::new(|| {
                runtime.block_on(scan(&store, |record| {
                    codec
                        .decode(record)
                        .expect("a deposit decodes")
                        .for_each(|event| drop(std::hint::black_box(event)));
                }))
            }),
        ),
        ("folded into 100,000 views in memory", Box::new(|| runtime.block_on(project(&store)))),
    ];
    table("catch-up over 1,000,000 events", "events/s", &rounds(ROUNDS, contenders));
    println!("\nresident at the end: {} MiB", resident_kib() / 1_024);
}

async fn scan(store: &Arc<dyn EventStore>, mut take: impl FnMut(&eventsource_core::RecordedEvent)) -> (f64, Duration) {
    let started = Instant::now();
    let mut events = store.read_all(Query::default());
    let mut seen = 0;
    while let Some(record) = events.try_next().await.expect("the log is whole") {
        take(&record);
        seen += 1;
    }
    assert_eq!(seen, EVENTS);
    (float(seen), started.elapsed())
}

struct Balances;

impl Projector for Balances {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const SCOPE: Scope = Scope::Stream;
    const CATEGORY: &'static str = Account::CATEGORY;
    type Event = AccountEvent;
    type View = Account;
    const INDEXES: &'static [&'static str] = &[];

    fn key(&self, event: &Envelope<AccountEvent>) -> Option<String> {
        Some(event.record.stream.key().to_owned())
    }

    fn project(&self, view: Option<Account>, event: &Envelope<AccountEvent>) -> Result<Option<Account>, ProjectError> {
        let mut account = view.unwrap_or_default();
        account.evolve(&event.event);
        Ok(Some(account))
    }
}

async fn project(store: &Arc<dyn EventStore>) -> (f64, Duration) {
    let started = Instant::now();
    let views = Arc::new(MemoryViews::default());
    let projection = Projection::new(Balances, Arc::clone(store), views);
    let handle = projection.handle();
    let last = Position::new(u64::try_from(EVENTS).unwrap_or(u64::MAX)).expect("there are events");
    let caught_up = async move { handle.reached(last).await.expect("the projection runs") };
    projection.run(caught_up).await.expect("the projection runs");
    (float(EVENTS), started.elapsed())
}

async fn fill(store: &Arc<dyn EventStore>) {
    let payload = Codec::default().encode(&Account::default().deposited(7)).expect("a deposit is JSON");
    let each = EVENTS / STREAMS;
    let mut waiting = Vec::new();
    for stream in 0..STREAMS {
        let stream = StreamId::new(Account::CATEGORY, &format!("account-{stream}")).expect("the key is valid");
        let (store, payload) = (Arc::clone(store), payload.clone());
        waiting.push(tokio::spawn(async move {
            let events = (0..each)
                .map(|_| NewEvent {
                    id: RandomIds.command_id().event_id(0),
                    name: EventName::from_static("deposited"),
                    schema: 1,
                    payload: payload.clone(),
                    metadata: Metadata::default(),
                })
                .collect();
            store.append(&stream, ExpectedVersion::NoStream, events).await.expect("the fill is appended");
        }));
        if waiting.len() == 1_000 {
            for task in waiting.drain(..) {
                task.await.expect("the fill does not panic");
            }
        }
    }
}

/// Memory of this process that is in RAM, by the kernel's account.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

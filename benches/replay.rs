//! What loading an aggregate costs at 10, 1,000 and 10,000 events, against the bare fold of decoded events.

use std::time::Duration;

use eventsource_benches::{Account, Bench, Contender, float, rounds, table, timed};
use eventsource_core::{
    Aggregate, Codec, CommandHandler, EventName, ExpectedVersion, IdSource, Metadata, NewEvent, RandomIds, StreamId,
};

const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bench = Bench::new();
    let accounts = CommandHandler::<Account>::new(bench.store(), bench.outcomes());
    for events in [10, 1_000, 10_000] {
        let key = format!("account-{events}");
        runtime.block_on(fill(&bench, &key, events));
        let repeats = 100_000 / events;
        let decoded: Vec<_> = (0..events).map(|_| Account::default().deposited(7)).collect();
        let payload = Codec::default().encode(&decoded[0]).expect("a deposit is JSON");
        let contenders: Vec<Contender<'_>> = vec![
            (
                "decode and fold, from memory",
                Box::new(|| repeat(repeats, events, || decode_and_fold(&payload, events))),
            ),
            (
                "load from the store",
                Box::new(|| {
                    repeat(repeats, events, || runtime.block_on(accounts.load(&key)).expect("the account loads").state)
                }),
            ),
            (
                "fold only",
                Box::new(|| {
                    repeat(repeats, events, || {
                        let mut account = Account::default();
                        decoded.iter().for_each(|event| account.evolve(event));
                        account
                    })
                }),
            ),
        ];
        table(&format!("load of {events} events"), "events/s", &rounds(ROUNDS, contenders));
    }
}

/// The fields of a deposit.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "they are decoded because the event has them")]
struct Fields {
    cents: u64,
    balance: u64,
    from: String,
    reference: String,
}

fn decode_and_fold(payload: &[u8], events: usize) -> Account {
    let mut account = Account::default();
    for _ in 0..events {
        // What serde_json itself needs for the fields, without any of our machinery.
        let fields: Fields = serde_json::from_slice(payload).expect("a deposit is JSON");
        account.balance = std::hint::black_box(fields).balance;
        account.deposits += 1;
    }
    account
}

fn repeat(repeats: usize, events: usize, mut work: impl FnMut() -> Account) -> (f64, Duration) {
    let ((), taken) = timed(|| {
        for _ in 0..repeats {
            assert_eq!(std::hint::black_box(work()).deposits, u64::try_from(events).unwrap_or(0));
        }
    });
    (float(repeats * events), taken)
}

async fn fill(bench: &Bench, key: &str, events: usize) {
    let stream = StreamId::new(Account::CATEGORY, key).expect("the key is valid");
    let codec = Codec::default();
    let mut account = Account::default();
    let batch = (0..events)
        .map(|_| {
            let event = account.deposited(7);
            account.evolve(&event);
            NewEvent {
                id: RandomIds.command_id().event_id(0),
                name: EventName::from_static("deposited"),
                schema: 1,
                payload: codec.encode(&event).expect("a deposit is JSON"),
                metadata: Metadata::default(),
            }
        })
        .collect();
    bench.store().append(&stream, ExpectedVersion::NoStream, batch).await.expect("the fill is appended");
}

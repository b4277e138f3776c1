//! How many appends a second are durable, against a bare loop that writes and syncs groups of the same size.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};

use eventsource_benches::{Account, Bench, Contender, float, rounds, table};
use eventsource_core::{
    Codec, EventName, EventStore, ExpectedVersion, IdSource, Metadata, NewEvent, RandomIds, StreamId,
};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// What one event takes in the log, frame and all.
const EVENT_BYTES: usize = 400;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    for writers in [1, 16, 64] {
        let bare = BareLoop::new(writers * EVENT_BYTES);
        let bench = Bench::new();
        let store = bench.store();
        let contenders: Vec<Contender<'_>> = vec![
            ("bare write + fdatasync", Box::new(|| bare.run(writers))),
            ("embedded, durable", Box::new(|| runtime.block_on(append(&store, writers, 1)))),
        ];
        table(&format!("{writers} writers, 1 event an append"), "events/s", &rounds(ROUNDS, contenders));
    }
    for batch in [100, 1_000] {
        let bare = BareLoop::new(batch * EVENT_BYTES);
        let bench = Bench::new();
        let store = bench.store();
        let contenders: Vec<Contender<'_>> = vec![
            ("bare write + fdatasync", Box::new(|| bare.run(batch))),
            ("embedded, durable", Box::new(|| runtime.block_on(append(&store, 1, batch)))),
        ];
        table(&format!("1 writer, {batch} events an append"), "events/s", &rounds(ROUNDS, contenders));
    }
}

/// A file of zeros that is written and synced in groups, and begun again at its end.
struct BareLoop {
    file: File,
    group: Vec<u8>,
    _folder: tempfile::TempDir,
}

const BARE_FILE_BYTES: usize = 64 << 20;

impl BareLoop {
    fn new(group_bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = OpenOptions::new().create_new(true).read(true).write(true).to_owned();
        let file = options.open(folder.path().join("bare")).expect("a new file can be made");
        file.write_all_at(&vec![0; BARE_FILE_BYTES], 0).expect("there is room");
        file.sync_all().expect("the file can be synced");
        Self { file, group: vec![7; group_bytes], _folder: folder }
    }

    fn run(&self, events_a_group: usize) -> (f64, Duration) {
        let started = Instant::now();
        let (mut groups, mut offset) = (0, 0);
        while started.elapsed() < ROUND {
            if offset + self.group.len() > BARE_FILE_BYTES {
                offset = 0;
            }
            let at = u64::try_from(offset).expect("an offset fits");
            self.file.write_all_at(&self.group, at).expect("the file can be written");
            self.file.sync_data().expect("the file can be synced");
            offset += self.group.len();
            groups += 1;
        }
        (float(groups * events_a_group), started.elapsed())
    }
}

/// Writers that each append `batch` events at a time to a stream of their own.
async fn append(store: &Arc<dyn EventStore>, writers: usize, batch: usize) -> (f64, Duration) {
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let stream = StreamId::new("account", &RandomIds.command_id().to_string()).expect("a UUID is a key");
                let payload = Codec::default().encode(&Account::default().deposited(7)).expect("a deposit is JSON");
                let mut appended = 0;
                while started.elapsed() < ROUND {
                    let events = (0..batch).map(|_| new_event(&payload)).collect();
                    store.append(&stream, ExpectedVersion::Any, events).await.expect("an append succeeds");
                    appended += batch;
                }
                appended
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await.expect("a writer does not panic");
    }
    (float(appended), started.elapsed())
}

fn new_event(payload: &bytes::Bytes) -> NewEvent {
    NewEvent {
        id: RandomIds.command_id().event_id(0),
        name: EventName::from_static("deposited"),
        schema: 1,
        payload: payload.clone(),
        metadata: Metadata::default(),
    }
}

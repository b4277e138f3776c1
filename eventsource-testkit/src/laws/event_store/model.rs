//! A store against a plain `Vec`, under random operations that shrink to the shortest that differ.

use std::num::NonZeroU64;

use eventsource_core::{
    Direction, EventId, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent, StoreError, StreamId,
    Version,
};
use proptest::{
    prelude::{Just, Strategy},
    prop_oneof,
    sample::Index,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    Fixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{count, event_id, events, read_to_end, seed, settled},
};

const CASES: u32 = 48;
const OPERATIONS_MAX: usize = 30;
/// Most attempts to find a shorter history that still differs.
const SHRINKS_MAX: u32 = 500;

/// Laws 1 to 8 together: whatever is done to the store, it answers as a plain `Vec` of events does.
///
/// Random histories come from a seed; one that differs is made as short as possible and shown.
///
/// # Errors
/// When store and `Vec` differ.
pub async fn store_agrees_with_a_vec(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let seed = seed(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let histories = proptest::collection::vec(operation(), 1..OPERATIONS_MAX);
    let mut replays = 0_u32;
    for case in 0..CASES {
        let tree = histories.new_tree(&mut runner);
        let mut tree = tree.map_err(|reason| LawBroken::new(format!("no history could be made: {reason}")))?;
        if let Err(broken) = replay(&*store, &tree.current(), &mut replays).await {
            let (history, broken) = shortest(&*store, &mut tree, broken, &mut replays).await;
            let what = format!("store and Vec differ (case {case}, seed {seed}) after this history: {history:#?}\n");
            return Err(LawBroken::new(what + &broken.report()));
        }
    }
    Ok(())
}

async fn shortest(
    store: &dyn EventStore,
    tree: &mut impl ValueTree<Value = Vec<Operation>>,
    broken: LawBroken,
    replays: &mut u32,
) -> (Vec<Operation>, LawBroken) {
    let mut found = (tree.current(), broken);
    let mut go_on = tree.simplify();
    for _ in 0..SHRINKS_MAX {
        if !go_on {
            break;
        }
        let history = tree.current();
        go_on = match replay(store, &history, replays).await {
            Err(broken) => {
                found = (history, broken);
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
    }
    found
}

/// One thing that is done to a store. Streams, events and batches are named by numbers, so that a
/// history means the same when parts of it are taken away.
#[derive(Clone, Debug)]
enum Operation {
    Append {
        stream: u8,
        belief: Belief,
        size: usize,
    },
    /// An earlier batch again, as it was or changed.
    Repeat {
        batch: Index,
        stream: Option<u8>,
        change: Change,
    },
    ReadStream {
        stream: u8,
        after: u64,
        direction: Direction,
    },
    ReadAll {
        after: u64,
        category: Option<u8>,
        limit: Option<u64>,
    },
    Find {
        event: Index,
    },
    FindUnknown,
}

#[derive(Clone, Copy, Debug)]
enum Belief {
    Any,
    NoStream,
    Exists,
    Right,
    Wrong { by: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    OneLess,
    OneMore,
    Reversed,
}

fn operation() -> impl Strategy<Value = Operation> {
    let belief = prop_oneof![
        4 => Just(Belief::Right),
        2 => Just(Belief::Any),
        1 => Just(Belief::NoStream),
        1 => Just(Belief::Exists),
        1 => (1_u64..4).prop_map(|by| Belief::Wrong { by }),
    ];
    let change = prop_oneof![3 => Just(Change::None), 1 => Just(Change::OneLess), 1 => Just(Change::OneMore), 1 => Just(Change::Reversed)];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    let index = proptest::arbitrary::any::<Index>;
    let stream = || 0..4_u8;
    let maybe = |values| proptest::option::weighted(0.3, values);
    prop_oneof![
        6 => (stream(), belief, 1..5_usize).prop_map(|(stream, belief, size)| Operation::Append { stream, belief, size }),
        2 => (index(), maybe(stream()), change)
            .prop_map(|(batch, stream, change)| Operation::Repeat { batch, stream, change }),
        2 => (stream(), 0..12_u64, direction)
            .prop_map(|(stream, after, direction)| Operation::ReadStream { stream, after, direction }),
        2 => (0..40_u64, proptest::option::of(0..2_u8), proptest::option::of(1..10_u64))
            .prop_map(|(after, category, limit)| Operation::ReadAll { after, category, limit }),
        1 => index().prop_map(|event| Operation::Find { event }),
        1 => Just(Operation::FindUnknown),
    ]
}

/// What the store should hold: this history's events in order, on top of `base` older ones.
struct Model {
    history: u32,
    base: u64,
    events: Vec<(StreamId, NewEvent)>,
    batches: Vec<(StreamId, Vec<NewEvent>)>,
}

async fn replay(store: &dyn EventStore, history: &[Operation], replays: &mut u32) -> Verdict {
    *replays += 1;
    let base = Position::value_of(store.head().await?);
    let mut model = Model { history: *replays, base, events: Vec::new(), batches: Vec::new() };
    for operation in history {
        model.perform(store, operation).await?;
    }
    model.read_everything(store).await
}

impl Model {
    /// Streams 0 and 2 are of one category, 1 and 3 of another; each history has its own.
    fn stream(&self, number: u8) -> StreamId {
        let key = format!("{}-{number}", self.history);
        StreamId::new(category(number % 2), &key).expect("the model uses valid names")
    }

    fn version(&self, stream: &StreamId) -> u64 {
        count(&self.of(stream))
    }

    fn of(&self, stream: &StreamId) -> Vec<&NewEvent> {
        self.events.iter().filter(|(of, _)| of == stream).map(|(_, event)| event).collect()
    }

    async fn perform(&mut self, store: &dyn EventStore, operation: &Operation) -> Verdict {
        match operation {
            Operation::Append { stream, belief, size } => {
                let stream = self.stream(*stream);
                let expected = self.expected(&stream, *belief);
                self.append(store, stream, expected, events(*size)).await
            }
            Operation::Repeat { batch, stream, change } => {
                if self.batches.is_empty() {
                    return Ok(());
                }
                let (home, mut batch) = batch.get(&self.batches).clone();
                match change {
                    Change::None => {}
                    Change::OneLess => drop(batch.pop()),
                    Change::OneMore => batch.extend(events(1)),
                    Change::Reversed => batch.reverse(),
                }
                let stream = stream.map_or(home, |number| self.stream(number));
                self.append(store, stream, ExpectedVersion::NoStream, batch).await
            }
            Operation::ReadStream { stream, after, direction } => {
                let stream = self.stream(*stream);
                self.read_stream(store, &stream, *after, *direction).await
            }
            Operation::ReadAll { after, category, limit } => self.read_all(store, *after, *category, *limit).await,
            Operation::Find { event } => {
                if self.events.is_empty() {
                    return Ok(());
                }
                let (stream, right) = event.get(&self.events);
                let found = store.find_event(right.id).await?;
                ensure_eq!(
                    found.as_ref().map(|found| (&found.stream, &found.payload)),
                    Some((stream, &right.payload)),
                    "find"
                );
                Ok(())
            }
            Operation::FindUnknown => {
                ensure_eq!(store.find_event(event_id()).await?, None, "find an unknown id");
                Ok(())
            }
        }
    }

    fn expected(&self, stream: &StreamId, belief: Belief) -> ExpectedVersion {
        let version = self.version(stream);
        match belief {
            Belief::Any => ExpectedVersion::Any,
            Belief::NoStream => ExpectedVersion::NoStream,
            Belief::Exists => ExpectedVersion::StreamExists,
            Belief::Right => ExpectedVersion::at(Version::new(version)),
            Belief::Wrong { by } => ExpectedVersion::Exact(Version::FIRST.plus(version + by - 1)),
        }
    }

    async fn append(
        &mut self,
        store: &dyn EventStore,
        stream: StreamId,
        expected: ExpectedVersion,
        batch: Vec<NewEvent>,
    ) -> Verdict {
        let answer = store.append(&stream, expected, batch.clone()).await;
        let ids: Vec<EventId> = batch.iter().map(|event| event.id).collect();
        let ids_of = |batch: &[NewEvent]| batch.iter().map(|event| event.id).collect::<Vec<_>>();
        let reuses = self.events.iter().any(|(_, event)| ids.contains(&event.id));
        let repeats = self.batches.iter().any(|(home, earlier)| *home == stream && ids_of(earlier) == ids);
        let actual = Version::new(self.version(&stream));
        match answer {
            Err(StoreError::Invalid { .. }) if batch.is_empty() || (reuses && !repeats) => Ok(()),
            Ok(appended) if repeats && !batch.is_empty() => {
                let last = self.of(&stream).iter().position(|event| Some(&event.id) == ids.last());
                let right = last.map_or(0, |at| count(&self.of(&stream)[..=at]));
                ensure_eq!(appended.version.value(), right, "version of a repeated append to {stream}");
                Ok(())
            }
            Err(StoreError::Conflict { actual: told, .. })
                if !reuses && !batch.is_empty() && !expected.allows(actual) =>
            {
                ensure_eq!(told, actual, "version that a conflict on {stream} reports");
                Ok(())
            }
            Ok(appended) if !reuses && !batch.is_empty() && expected.allows(actual) => {
                self.events.extend(batch.iter().map(|event| (stream.clone(), event.clone())));
                self.batches.push((stream.clone(), batch));
                ensure_eq!(appended.version.value(), self.version(&stream), "version after an append to {stream}");
                if let Some(position) = appended.position {
                    ensure_eq!(position.value(), self.base + count(&self.events), "position after an append");
                }
                Ok(())
            }
            other => Err(LawBroken::new(format!(
                "an append of {} events to {stream} at {actual:?}, expecting {expected}, gave {other:?} (reuses ids: {reuses}, repeats a batch: {repeats})",
                batch.len()
            ))),
        }
    }

    async fn read_stream(
        &self,
        store: &dyn EventStore,
        stream: &StreamId,
        after: u64,
        direction: Direction,
    ) -> Verdict {
        let seen = read_to_end(store.read_stream(stream, Version::new(after), direction)).await?;
        let mut right: Vec<_> = self.of(stream).into_iter().zip(1..).collect();
        match direction {
            Direction::Forward => right.retain(|(_, version)| *version > after),
            Direction::Backward => {
                right.retain(|(_, version)| after == 0 || *version < after);
                right.reverse();
            }
        }
        ensure_eq!(seen.len(), right.len(), "events of {stream} {direction:?} after {after}");
        for (seen, (right, version)) in seen.iter().zip(right) {
            same(seen, stream, right)?;
            ensure_eq!(seen.version.value(), version, "version of an event of {stream}, read {direction:?}");
        }
        Ok(())
    }

    async fn read_all(&self, store: &dyn EventStore, after: u64, wanted: Option<u8>, limit: Option<u64>) -> Verdict {
        settled(store, self.base + count(&self.events)).await?;
        let mut query = Query::default().after(Position::new(self.base + after));
        query.limit = limit.and_then(NonZeroU64::new);
        if let Some(number) = wanted {
            query = query.category(category(number));
        }
        let seen = read_to_end(store.read_all(query.clone())).await?;
        let right = self.events.iter().zip(1..).filter(|((stream, _), position)| {
            *position > after && wanted.is_none_or(|number| stream.category() == category(number))
        });
        let right: Vec<_> = right.take(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0))).collect();
        ensure_eq!(seen.len(), right.len(), "events for {query:?}");
        for (seen, ((stream, right), position)) in seen.iter().zip(right) {
            same(seen, stream, right)?;
            ensure_eq!(Position::value_of(seen.position), self.base + position, "position of an event of {stream}");
        }
        Ok(())
    }

    async fn read_everything(&self, store: &dyn EventStore) -> Verdict {
        for number in 0..4 {
            for direction in [Direction::Forward, Direction::Backward] {
                self.read_stream(store, &self.stream(number), 0, direction).await?;
            }
        }
        self.read_all(store, 0, None, None).await
    }
}

fn category(number: u8) -> &'static str {
    if number == 0 { "even" } else { "odd" }
}

fn same(seen: &RecordedEvent, stream: &StreamId, right: &NewEvent) -> Verdict {
    ensure!(seen.id == right.id, "{} is served where {} belongs, in {stream}", seen.id, right.id);
    ensure_eq!((&seen.stream, &seen.payload), (stream, &right.payload), "stream and payload of {}", right.id);
    Ok(())
}

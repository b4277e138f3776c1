//! What tests of the read side share: events, projectors, a writer, and stores that stumble.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod rough;

use std::{
    collections::BTreeMap,
    future::Future,
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use eventsource_core::{
    Codec, Envelope, Event, EventId, EventName, EventStore, ExpectedVersion, Metadata, NewEvent, Position,
    ProjectError, ProjectionId, ProjectionOptions, Projector, Query, RecordedEvent, Scope, StreamId, Upcasters,
    Version, ViewStore,
};
use futures::{StreamExt, TryStreamExt, future::poll_fn};
use serde::{Deserialize, Serialize};

/// What happens to a counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Counted {
    Added {
        by: u64,
    },
    Cleared,
    /// Cannot be projected until the projector is cured.
    Poisoned {
        by: u64,
    },
}

impl Event for Counted {
    const NAMES: &'static [&'static str] = &["added", "cleared", "poisoned"];

    fn name(&self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::Cleared => "cleared",
            Self::Poisoned { .. } => "poisoned",
        }
    }
}

/// A view that shows every event lost, repeated or out of order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) sum: u64,
    pub(crate) count: u64,
    pub(crate) hash: u64,
}

impl Tally {
    fn take(self, by: u64) -> Self {
        Self {
            sum: self.sum.wrapping_add(by),
            count: self.count + 1,
            hash: self.hash.wrapping_mul(31).wrapping_add(by + 1),
        }
    }
}

/// One view a counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies<const VERSION: u32> {
    pub(crate) cured: Arc<AtomicBool>,
    pub(crate) projected: Arc<AtomicU64>,
}

impl<const VERSION: u32> Projector for Tallies<VERSION> {
    const NAME: &'static str = "tallies";
    const VERSION: u32 = VERSION;
    const SCOPE: Scope = Scope::Stream;
    const CATEGORY: &'static str = "counter";
    type Event = Counted;
    type View = Tally;
    const INDEXES: &'static [&'static str] = &["sum"];

    fn key(&self, event: &Envelope<Counted>) -> Option<String> {
        Some(event.record.stream.key().to_owned())
    }

    fn project(&self, view: Option<Tally>, event: &Envelope<Counted>) -> Result<Option<Tally>, ProjectError> {
        self.projected.fetch_add(1, Ordering::Relaxed);
        project(&self.cured, view, event)
    }
}

/// One view for all counters whose key begins with the same letter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    pub(crate) cured: Arc<AtomicBool>,
}

impl Projector for Groups {
    const NAME: &'static str = "groups";
    const VERSION: u32 = 1;
    const SCOPE: Scope = Scope::Global;
    const CATEGORY: &'static str = "counter";
    type Event = Counted;
    type View = Tally;
    const INDEXES: &'static [&'static str] = &[];

    fn key(&self, event: &Envelope<Counted>) -> Option<String> {
        Some(event.record.stream.key()[..1].to_owned())
    }

    fn project(&self, view: Option<Tally>, event: &Envelope<Counted>) -> Result<Option<Tally>, ProjectError> {
        // Streams change their order among each other when one is repaired: the fold must not mind.
        if event.event == Counted::Cleared {
            return Ok(Some(view.unwrap_or_default()));
        }
        Ok(project(&self.cured, view, event)?.map(|tally| Tally { hash: 0, ..tally }))
    }
}

fn project(cured: &AtomicBool, view: Option<Tally>, event: &Envelope<Counted>) -> Result<Option<Tally>, ProjectError> {
    match event.event {
        Counted::Added { by } => Ok(Some(view.unwrap_or_default().take(by))),
        Counted::Cleared => Ok(None),
        Counted::Poisoned { .. } if !cured.load(Ordering::Relaxed) => Err(ProjectError::new("not cured")),
        Counted::Poisoned { by } => Ok(Some(view.unwrap_or_default().take(by))),
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `end`, `end` excluded.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

static IDS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new("counter", key).unwrap()
}

pub(crate) fn new_event(name: &'static str, payload: impl Into<bytes::Bytes>) -> NewEvent {
    let id = u128::from(IDS.fetch_add(1, Ordering::Relaxed));
    NewEvent {
        id: EventId::from_uuid(uuid::Uuid::from_u128(id)),
        name: EventName::from_static(name),
        schema: 1,
        payload: payload.into(),
        metadata: Metadata::default(),
    }
}

pub(crate) async fn append_raw(store: &dyn EventStore, stream: &StreamId, event: NewEvent) -> (Version, Position) {
    let appended = store.append(stream, ExpectedVersion::Any, vec![event]).await.unwrap();
    (appended.version, appended.position.unwrap())
}

pub(crate) async fn append(store: &dyn EventStore, key: &str, event: Counted) -> (Version, Position) {
    let payload = Codec::default().encode(&event).unwrap();
    append_raw(store, &stream(key), new_event(event.name(), payload)).await
}

pub(crate) async fn add(store: &dyn EventStore, key: &str, by: u64) -> (Version, Position) {
    append(store, key, Counted::Added { by }).await
}

/// An event that no codec can decode.
pub(crate) async fn append_nonsense(store: &dyn EventStore, key: &str) -> (Version, Position) {
    append_raw(store, &stream(key), new_event("added", r#"{"by":"many"}"#)).await
}

pub(crate) fn options(batch: usize) -> ProjectionOptions {
    let mut options = ProjectionOptions::default();
    options.batch_events_max = NonZeroUsize::new(batch).unwrap();
    options
}

pub(crate) const fn page() -> NonZeroU32 {
    NonZeroU32::new(1_000).unwrap()
}

/// Every view with its version, removed ones without a body.
pub(crate) async fn stored<P: Projector>(
    views: &dyn ViewStore,
) -> BTreeMap<String, (Option<Version>, Option<P::View>)> {
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let read = views.changed(&ProjectionId::of::<P>(), after, page()).await.unwrap();
        let Some(last) = read.last() else { return all };
        after = last.position;
        for view in read {
            let body = view.body.map(|body| serde_json::from_slice(&body).unwrap());
            assert!(all.insert(view.key.clone(), (view.version, body)).is_none(), "{} comes twice", view.key);
        }
    }
}

/// The fold of every event, as the law has it: no batches, no caches, no checkpoints. A stream that
/// holds an event which cannot be projected is folded up to there.
pub(crate) async fn folded<P: Projector>(
    store: &dyn EventStore,
    projector: &P,
) -> BTreeMap<String, (Option<Version>, Option<P::View>)> {
    let records: Vec<RecordedEvent> =
        store.read_all(Query::default().category(P::CATEGORY)).try_collect().await.unwrap();
    let codec = Codec::<P::Event>::new(Upcasters::default());
    let mut views = BTreeMap::<String, (Option<Version>, Option<P::View>)>::new();
    let mut halted = Vec::new();
    for record in records {
        if halted.contains(&record.stream) {
            continue;
        }
        let Ok(mut decoded) = codec.decode(&record) else {
            halted.push(record.stream);
            continue;
        };
        let envelope = Envelope { event: decoded.next().unwrap(), record };
        let Some(key) = projector.key(&envelope) else { continue };
        let before = views.get(&key).and_then(|view| view.1.clone());
        match projector.project(before, &envelope) {
            Ok(view) => drop(views.insert(key, (Some(envelope.record.version), view))),
            Err(_) => halted.push(envelope.record.stream),
        }
    }
    views
}

/// Polls a future a number of times, then drops it, wherever it stands. `None` when it was dropped.
pub(crate) async fn polled<F: Future>(future: F, times: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// The next item of a stream that neither ends nor fails.
pub(crate) async fn next<T, E: std::fmt::Debug>(stream: &mut (impl futures::Stream<Item = Result<T, E>> + Unpin)) -> T {
    stream.next().await.expect("the stream does not end").expect("the stream does not fail")
}

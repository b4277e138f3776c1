//! Laws 15 and 16: a view is the fold of its events, whatever happens to the projection.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod projection_support;

use std::{
    future::pending,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use eventsource_core::{
    Backoff, Checkpoint, CodecError, EventStore, HandleError, Progress, Projection, ProjectionError, ProjectionHandle,
    ProjectionId, Projector, Repaired, StoreError, Upcaster, Upcasters, Version, Versioned, ViewBatch, ViewStore,
    memory::{MemoryEventStore, MemoryViews},
};
use futures::StreamExt;
use projection_support::{
    Counted, Dice, Groups, Tallies, Tally, add, append, append_nonsense, append_raw, folded, new_event, options, page,
    polled, rough::Rough, stored, stream,
};

/// Appends random events; every so often one that cannot be decoded or projected.
async fn write(store: &dyn EventStore, dice: &mut Dice, events: u64) {
    const KEYS: [&str; 7] = ["a1", "a2", "a3", "b1", "b2", "b3", "c1"];
    for _ in 0..events {
        let key = KEYS[usize::try_from(dice.below(7)).unwrap()];
        let by = dice.below(1_000);
        match dice.below(30) {
            0 => drop(append(store, key, Counted::Poisoned { by }).await),
            1 => drop(append(store, key, Counted::Cleared).await),
            2 => drop(append_raw(store, &"other/x".parse().unwrap(), new_event("added", "{}")).await),
            _ => drop(add(store, key, by).await),
        }
    }
}

/// Runs a projector over stores that stumble and drops it at random points while events come in;
/// then lets it run in peace, compares, cures, repairs, and compares again.
async fn survive<P: Projector + Clone + std::fmt::Debug>(projector: P, cure: impl Fn(bool), seed: u64)
where
    P::View: PartialEq + std::fmt::Debug,
{
    let mut dice = Dice(seed);
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
    let mut bounds = options(usize::try_from(1 + dice.below(9)).unwrap());
    bounds.cached_views_max = NonZeroUsize::new(usize::try_from(1 + dice.below(4)).unwrap()).unwrap();
    bounds.backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    for round in 0..8 {
        let events = dice.below(25);
        write(&*store, &mut dice, events).await;
        let rough_store = Arc::new(Rough::new(Arc::clone(&store), dice.roll(), 40));
        let rough_views = Arc::new(Rough::new(Arc::clone(&views), dice.roll(), 12));
        let projection = Projection::new(projector.clone(), rough_store, rough_views).with_options(bounds);
        let handle = projection.handle();
        let polls = dice.below(120);
        let meddling = async {
            // Asking for a repair in the middle of it all must do no harm.
            if round % 2 == 1 {
                for parked in views.parked(&ProjectionId::of::<P>(), None, page()).await.unwrap() {
                    drop(handle.retry(parked.stream).await);
                }
            }
            pending::<()>().await;
        };
        polled(
            async {
                tokio::select! {
                    stopped = projection.run(pending()) => panic!("seed {seed}: {stopped:?}"),
                    () = meddling => {}
                }
            },
            polls,
        )
        .await;
    }
    let head = store.head().await.unwrap().unwrap();
    let projection = Projection::new(projector.clone(), Arc::clone(&store), Arc::clone(&views)).with_options(bounds);
    let handle = projection.handle();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    let (expected, found) = (folded(&*store, &projector).await, stored::<P>(&*views).await);
    assert_eq!(bodies(&expected), bodies(&found), "seed {seed}");

    cure(true);
    let projection = Projection::new(projector.clone(), Arc::clone(&store), Arc::clone(&views)).with_options(bounds);
    let handle = projection.handle();
    let repair = async {
        handle.reached(head).await.unwrap();
        for parked in handle.parked(None, page()).await.unwrap() {
            assert_eq!(handle.retry(parked.stream).await, Ok(Repaired::Released), "seed {seed}");
        }
        assert_eq!(handle.progress().parked, 0);
    };
    projection.run(repair).await.unwrap();
    let (expected, found) = (folded(&*store, &projector).await, stored::<P>(&*views).await);
    assert_eq!(bodies(&expected), bodies(&found), "seed {seed}, cured");
    if P::SCOPE == eventsource_core::Scope::Stream {
        assert_eq!(expected, found, "seed {seed}: versions");
    }
    cure(false);
}

/// Views that were removed and views that never were look the same to a reader.
fn bodies<V>(
    views: &std::collections::BTreeMap<String, (Option<Version>, Option<V>)>,
) -> std::collections::BTreeMap<&str, &V> {
    views.iter().filter_map(|(key, (_, view))| Some((key.as_str(), view.as_ref()?))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_view_is_the_fold_of_its_events_after_crashes_at_any_point() {
    for seed in 0..150 {
        let projector = Tallies::<1>::default();
        let cured = Arc::clone(&projector.cured);
        survive(projector, |cure| cured.store(cure, Ordering::Relaxed), seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_of_many_streams_is_the_fold_of_its_events_after_crashes_at_any_point() {
    for seed in 1_000..1_150 {
        let projector = Groups::default();
        let cured = Arc::clone(&projector.cured);
        survive(projector, |cure| cured.store(cure, Ordering::Relaxed), seed).await;
    }
}

struct Bench {
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
}

impl Bench {
    fn new() -> Self {
        Self { store: Arc::new(MemoryEventStore::new()), views: Arc::new(MemoryViews::new()) }
    }

    fn projection(&self) -> Projection<Tallies<1>> {
        Projection::new(Tallies::default(), Arc::clone(&self.store), Arc::clone(&self.views))
    }

    async fn catch_up(&self) -> ProjectionHandle {
        let projection = self.projection();
        let handle = projection.handle();
        let head = self.store.head().await.unwrap().unwrap();
        projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
        handle
    }

    async fn checkpoint(&self) -> Option<Checkpoint> {
        self.views.checkpoint(&ProjectionId::of::<Tallies<1>>()).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_again_change_nothing() {
    let bench = Bench::new();
    for by in 0..50 {
        add(&*bench.store, ["a", "b", "c"][usize::try_from(by % 3).unwrap()], by).await;
    }
    bench.catch_up().await;
    let before = stored::<Tallies<1>>(&*bench.views).await;
    // As a store without transactions would have it after a crash: views written, checkpoint not.
    let mut back = ViewBatch::default();
    back.checkpoint = Some(Checkpoint { position: None });
    bench.views.commit(&ProjectionId::of::<Tallies<1>>(), back).await.unwrap();
    bench.catch_up().await;
    assert_eq!(stored::<Tallies<1>>(&*bench.views).await, before);
    assert_eq!(before, folded(&*bench.store, &Tallies::<1>::default()).await);
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_is_written_before_the_first_event_and_follows_events_of_others() {
    let bench = Bench::new();
    let projection = bench.projection();
    let handle = projection.handle();
    let story = async {
        let mut progress = handle.watch();
        while !progress.next().await.unwrap().caught_up {}
        assert_eq!(bench.checkpoint().await, Some(Checkpoint { position: None }));
        for _ in 0..100 {
            append_raw(&*bench.store, &"other/x".parse().unwrap(), new_event("added", "{}")).await;
            append_raw(&*bench.store, &stream("a"), new_event("of-no-interest", "{}")).await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let head = bench.store.head().await.unwrap();
        handle.reached(head.unwrap()).await.unwrap();
        assert_eq!(handle.progress().lag_events, 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bench.checkpoint().await, Some(Checkpoint { position: head }));
    };
    projection.run(story).await.unwrap();
    assert!(stored::<Tallies<1>>(&*bench.views).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn progress_says_how_far_it_has_come() {
    let bench = Bench::new();
    for by in 0..40 {
        add(&*bench.store, "a", by).await;
    }
    let handle = bench.catch_up().await;
    let Progress { position, head, lag_events, caught_up, serving, parked, failures, .. } = handle.progress();
    assert_eq!((position, head), (bench.store.head().await.unwrap(), position));
    assert_eq!((lag_events, caught_up, serving, parked, failures), (0, true, true, 0, 0));
    let stopped = HandleError::NotRunning { projection: ProjectionId::of::<Tallies<1>>() };
    assert_eq!(handle.retry(stream("a")).await, Err(stopped));
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_when_a_store_is_back_and_tells_while_it_is_not() {
    let bench = Bench::new();
    add(&*bench.store, "a", 1).await;
    let away: Arc<dyn ViewStore> = Arc::new(Rough::new(Arc::clone(&bench.views), 7, 1));
    let projection = Projection::new(Tallies::<1>::default(), Arc::clone(&bench.store), away);
    let handle = projection.handle();
    let watching = async {
        let mut progress = handle.watch();
        while progress.next().await.unwrap().failures < 20 {}
    };
    projection.run(watching).await.unwrap();
    assert!(handle.progress().position.is_none());
    bench.catch_up().await;
    assert_eq!(stored::<Tallies<1>>(&*bench.views).await["a"].0, Some(Version::FIRST));
}

#[tokio::test(start_paused = true)]
async fn a_view_of_another_shape_stops_it() {
    let bench = Bench::new();
    add(&*bench.store, "a", 1).await;
    bench.catch_up().await;
    let id = ProjectionId::of::<Tallies<1>>();
    let mut view = bench.views.load(&id, &["a".to_owned()]).await.unwrap().remove(0).unwrap();
    view.body = Some(r#"{"total":1}"#.into());
    let mut batch = ViewBatch::default();
    batch.views.push(view);
    bench.views.commit(&id, batch).await.unwrap();
    add(&*bench.store, "a", 2).await;
    let error = bench.projection().run(pending()).await.unwrap_err();
    assert!(matches!(&error, ProjectionError::View { key, .. } if key == "a"), "{error:?}");
    assert!(error.to_string().contains("raise the projector's VERSION"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn damaged_data_stops_it() {
    #[derive(Debug)]
    struct Damaged(Arc<dyn EventStore>);

    #[async_trait::async_trait]
    impl EventStore for Damaged {
        async fn append(
            &self,
            stream: &eventsource_core::StreamId,
            expected: eventsource_core::ExpectedVersion,
            events: Vec<eventsource_core::NewEvent>,
        ) -> Result<eventsource_core::Appended, StoreError> {
            self.0.append(stream, expected, events).await
        }

        fn read_stream(
            &self,
            stream: &eventsource_core::StreamId,
            after: Option<Version>,
            direction: eventsource_core::Direction,
        ) -> futures::stream::BoxStream<'static, Result<eventsource_core::RecordedEvent, StoreError>> {
            self.0.read_stream(stream, after, direction)
        }

        fn read_all(
            &self,
            query: eventsource_core::Query,
        ) -> futures::stream::BoxStream<'static, Result<eventsource_core::RecordedEvent, StoreError>> {
            let damage = async { Err(StoreError::corrupt("segment 1", "bad checksum")) };
            self.0.read_all(query).take(5).chain(futures::stream::once(damage)).boxed()
        }

        async fn head(&self) -> Result<Option<eventsource_core::Position>, StoreError> {
            self.0.head().await
        }

        async fn find_event(
            &self,
            id: eventsource_core::EventId,
        ) -> Result<Option<eventsource_core::RecordedEvent>, StoreError> {
            self.0.find_event(id).await
        }

        fn wakeups(&self) -> futures::stream::BoxStream<'static, ()> {
            self.0.wakeups()
        }
    }

    let bench = Bench::new();
    for by in 0..10 {
        add(&*bench.store, "a", by).await;
    }
    let damaged = Arc::new(Damaged(Arc::clone(&bench.store)));
    let projection =
        Projection::new(Tallies::<1>::default(), damaged, Arc::clone(&bench.views)).with_options(options(2));
    let error = projection.run(pending()).await.unwrap_err();
    assert!(matches!(error, ProjectionError::Store { source: StoreError::Corrupt { .. }, .. }), "{error:?}");
    let found = stored::<Tallies<1>>(&*bench.views).await;
    assert!(found["a"].0 <= Version::new(5), "nothing behind the damage is projected: {found:?}");
}

/// "increased" was the old name of "added", "twice" stood for two of them, "noted" is retired.
#[derive(Debug)]
struct Renamed(&'static str);

impl Upcaster for Renamed {
    fn reads(&self) -> (&str, u16) {
        (self.0, 1)
    }

    fn upcast(&self, old: Versioned) -> Result<Vec<Versioned>, CodecError> {
        let new = Versioned { name: "added".into(), schema: 2, ..old };
        Ok(match self.0 {
            "twice" => vec![new.clone(), new],
            "noted" => Vec::new(),
            _ => vec![new],
        })
    }
}

#[tokio::test(start_paused = true)]
async fn old_events_reach_the_projector_under_their_new_names() {
    let bench = Bench::new();
    for name in ["increased", "twice", "noted", "increased"] {
        append_raw(&*bench.store, &stream("a"), new_event(name, r#"{"by":1}"#)).await;
    }
    let step = |name| -> Arc<dyn Upcaster> { Arc::new(Renamed(name)) };
    let steps = ["increased", "twice", "noted"].map(step);
    let projection = bench.projection().with_upcasters(Upcasters::new(steps).unwrap());
    let handle = projection.handle();
    let head = bench.store.head().await.unwrap().unwrap();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    let found = stored::<Tallies<1>>(&*bench.views).await;
    assert!(matches!(&found["a"], (Some(_), Some(Tally { sum: 4, count: 4, .. }))), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_stands_for_two_is_folded_in_whole_or_not_at_all() {
    #[derive(Debug)]
    struct AddedThenPoisoned;

    impl Upcaster for AddedThenPoisoned {
        fn reads(&self) -> (&str, u16) {
            ("twice", 1)
        }

        fn upcast(&self, old: Versioned) -> Result<Vec<Versioned>, CodecError> {
            let named = |name: &str| Versioned { name: name.into(), ..old.clone() };
            Ok(vec![named("added"), named("poisoned")])
        }
    }

    let bench = Bench::new();
    add(&*bench.store, "a", 5).await;
    append_raw(&*bench.store, &stream("a"), new_event("twice", r#"{"by":1}"#)).await;
    add(&*bench.store, "b", 1).await;
    let step: Arc<dyn Upcaster> = Arc::new(AddedThenPoisoned);
    let upcasters = Upcasters::new([step]).unwrap();
    let projection = bench.projection().with_upcasters(upcasters);
    let handle = projection.handle();
    let head = bench.store.head().await.unwrap().unwrap();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    let found = stored::<Tallies<1>>(&*bench.views).await;
    assert!(matches!(&found["a"], (Some(Version::FIRST), Some(Tally { sum: 5, count: 1, .. }))), "{found:?}");
    assert_eq!(handle.progress().parked, 1);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_first_event_is_no_obstacle_for_others() {
    let bench = Bench::new();
    append_nonsense(&*bench.store, "a").await;
    add(&*bench.store, "b", 1).await;
    let handle = bench.catch_up().await;
    assert_eq!(handle.progress().parked, 1);
    assert_eq!(stored::<Tallies<1>>(&*bench.views).await.keys().collect::<Vec<_>>(), ["b"]);
}

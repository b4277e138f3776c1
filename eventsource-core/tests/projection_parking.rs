//! Law 17: what cannot be projected is parked with its reason and blocks only its own stream.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod projection_support;

use std::{
    future::pending,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use eventsource_core::{
    Clock, EventStore, HandleError, Parked, Position, Projection, ProjectionError, ProjectionHandle, ProjectionId,
    ProjectionOptions, Repaired, StreamId, Version, ViewStore,
    memory::{MemoryEventStore, MemoryViews},
};
use projection_support::{
    Counted, Groups, Tallies, Tally, add, append, append_nonsense, append_raw, folded, new_event, options, page,
    stored, stream,
};

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3_600)
    }
}

struct Bench {
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    projector: Tallies<1>,
    options: ProjectionOptions,
}

impl Bench {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryEventStore::new()),
            views: Arc::new(MemoryViews::new()),
            projector: Tallies::default(),
            options: ProjectionOptions::default(),
        }
    }

    fn projection(&self) -> Projection<Tallies<1>> {
        Projection::new(self.projector.clone(), Arc::clone(&self.store), Arc::clone(&self.views))
            .with_clock(Arc::new(Noon))
            .with_options(self.options)
    }

    /// Catches up, then plays `story` while the projection goes on.
    async fn run<T>(&self, story: impl AsyncFnOnce(ProjectionHandle) -> T) -> T {
        let projection = self.projection();
        let handle = projection.handle();
        let playing = async {
            self.reached(&handle).await;
            story(handle).await
        };
        tokio::select! {
            stopped = projection.run(pending()) => panic!("{stopped:?}"),
            told = playing => told,
        }
    }

    async fn reached(&self, handle: &ProjectionHandle) {
        handle.reached(self.store.head().await.unwrap().unwrap()).await.unwrap();
    }

    fn cure(&self, cured: bool) {
        self.projector.cured.store(cured, Ordering::Relaxed);
    }

    async fn tally(&self, key: &str) -> (u64, u64) {
        let views = stored::<Tallies<1>>(&*self.views).await;
        match views.get(key) {
            Some((version, Some(Tally { sum, .. }))) => (Version::value_of(*version), *sum),
            _ => (0, 0),
        }
    }

    async fn poison(&self, key: &str) -> (Version, Position) {
        append(&*self.store, key, Counted::Poisoned { by: 10 }).await
    }

    async fn assert_folded(&self) {
        assert_eq!(stored::<Tallies<1>>(&*self.views).await, folded(&*self.store, &self.projector).await);
    }
}

#[test]
fn a_projection_runs_on_any_thread() {
    fn sent(_: impl Send) {}
    let bench = Bench::new();
    let projection = bench.projection();
    let handle = projection.handle();
    sent(handle.retry(stream("a")));
    sent(handle.reached(Position::FIRST));
    sent(handle.watch());
    sent(projection.run(pending()));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_event_blocks_its_own_stream_only() {
    let bench = Bench::new();
    let (version, position) = bench.poison("a").await;
    for by in 1..=5 {
        add(&*bench.store, "a", by).await;
        add(&*bench.store, "b", by).await;
    }
    bench
        .run(async |handle| {
            add(&*bench.store, "b", 6).await;
            add(&*bench.store, "a", 6).await;
            bench.reached(&handle).await;
            assert_eq!(bench.tally("b").await, (6, 21));
            assert_eq!(bench.tally("a").await, (0, 0));
            let expected = Parked {
                stream: stream("a"),
                version,
                position,
                event: "poisoned".into(),
                reason: "not cured".to_owned(),
                attempts: 2,
                since: Noon.now(),
            };
            assert_eq!(handle.parked(None, page()).await.unwrap(), [expected]);
            assert_eq!(handle.progress().parked, 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_retried_loses_nothing() {
    let bench = Bench::new();
    add(&*bench.store, "a", 1).await;
    bench.poison("a").await;
    add(&*bench.store, "a", 2).await;
    add(&*bench.store, "b", 1).await;
    bench
        .run(async |handle| {
            let again = handle.retry(stream("a")).await.unwrap();
            let Repaired::ParkedAgain(parked) = again else { panic!("{again:?}") };
            assert_eq!((parked.version.value(), parked.attempts), (2, 4));
            assert_eq!(bench.tally("a").await, (1, 1));

            bench.cure(true);
            assert_eq!(handle.retry(stream("a")).await, Ok(Repaired::Released));
            assert_eq!(bench.tally("a").await, (3, 13));
            assert_eq!(handle.progress().parked, 0);
            add(&*bench.store, "a", 100).await;
            bench.reached(&handle).await;
            assert_eq!(bench.tally("a").await, (4, 113));
            bench.assert_folded().await;
            let not_parked = HandleError::NotParked { projection: handle.projection().clone(), stream: stream("a") };
            assert_eq!(handle.retry(stream("a")).await, Err(not_parked));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_discarded_event_is_left_out_and_the_rest_goes_on() {
    let bench = Bench::new();
    add(&*bench.store, "a", 1).await;
    append_nonsense(&*bench.store, "a").await;
    add(&*bench.store, "a", 2).await;
    bench.poison("a").await;
    add(&*bench.store, "a", 4).await;
    bench
        .run(async |handle| {
            let parked = handle.parked(None, page()).await.unwrap().remove(0);
            assert!(parked.reason.starts_with("event added (schema 1) cannot be decoded: invalid type"), "{parked:?}");
            let again = handle.discard(stream("a")).await.unwrap();
            let Repaired::ParkedAgain(parked) = again else { panic!("{again:?}") };
            assert_eq!((parked.version.value(), parked.attempts), (4, 2));
            assert_eq!(bench.tally("a").await, (3, 3));
            assert_eq!(handle.discard(stream("a")).await, Ok(Repaired::Released));
            assert_eq!(bench.tally("a").await, (5, 7));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_stands_still_across_a_restart() {
    let bench = Bench::new();
    bench.poison("a").await;
    bench.run(async |_| ()).await;
    // The cause is gone, but order is kept: nothing of the stream moves until somebody says so.
    bench.cure(true);
    add(&*bench.store, "a", 1).await;
    bench
        .run(async |handle| {
            assert_eq!(bench.tally("a").await, (0, 0));
            assert_eq!(handle.progress().parked, 1);
            assert_eq!(handle.retry(stream("a")).await, Ok(Repaired::Released));
            assert_eq!(bench.tally("a").await, (2, 11));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_is_repaired_in_parts() {
    let mut bench = Bench::new();
    bench.options = options(3);
    bench.poison("a").await;
    for by in 0..20 {
        add(&*bench.store, "a", by).await;
        append_raw(&*bench.store, &stream("a"), new_event("of-no-interest", "{}")).await;
    }
    bench.poison("a").await;
    add(&*bench.store, "a", 1).await;
    bench
        .run(async |handle| {
            let again = handle.discard(stream("a")).await.unwrap();
            let Repaired::ParkedAgain(parked) = again else { panic!("{again:?}") };
            assert_eq!(parked.version.value(), 42);
            assert_eq!(bench.tally("a").await, (40, 190));
            bench.cure(true);
            assert_eq!(handle.retry(stream("a")).await, Ok(Repaired::Released));
            assert_eq!(bench.tally("a").await, (43, 201));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_has_read_everything_finds_repaired_views() {
    let bench = Bench::new();
    let keys: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    for key in &keys {
        bench.poison(key).await;
    }
    add(&*bench.store, "z", 1).await;
    bench
        .run(async |handle| {
            let id = ProjectionId::of::<Tallies<1>>();
            let read_up_to = bench.views.checkpoint(&id).await.unwrap().unwrap().position;
            bench.cure(true);
            for key in &keys {
                assert_eq!(handle.retry(stream(key)).await, Ok(Repaired::Released));
            }
            let found = bench.views.changed(&id, read_up_to, page()).await.unwrap();
            assert_eq!(found.iter().map(|view| &view.key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
            // Its position rises again with the next change, though that event's is lower.
            add(&*bench.store, "k49", 1).await;
            bench.reached(&handle).await;
            let again = bench.views.changed(&id, found.last().unwrap().position, page()).await.unwrap();
            assert_eq!(again.iter().map(|view| view.key.as_str()).collect::<Vec<_>>(), ["k49"]);
            bench.assert_folded().await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_parked_streams_stop_it() {
    let mut bench = Bench::new();
    bench.options = options(4);
    bench.options.parked_streams_max = 9;
    for number in 0..20 {
        bench.poison(&format!("k{number}")).await;
    }
    let error = bench.projection().run(pending()).await.unwrap_err();
    assert!(matches!(&error, ProjectionError::TooManyParked { allowed: 9, .. }), "{error:?}");
    assert!(error.to_string().contains("more than 9 parked streams"), "{error}");
    let limit = NonZeroU32::new(100).unwrap();
    let parked = bench.views.parked(&ProjectionId::of::<Tallies<1>>(), None, limit).await.unwrap();
    assert_eq!(parked.len(), 8, "the batch that would have parked too many left nothing behind");
}

#[tokio::test(start_paused = true)]
async fn a_view_under_a_key_that_is_not_its_streams_is_parked() {
    struct Misplaced;

    impl eventsource_core::Projector for Misplaced {
        const NAME: &'static str = "misplaced";
        const VERSION: u32 = 1;
        const SCOPE: eventsource_core::Scope = eventsource_core::Scope::Stream;
        const CATEGORY: &'static str = "counter";
        type Event = Counted;
        type View = Tally;
        const INDEXES: &'static [&'static str] = &[];

        fn key(&self, _: &eventsource_core::Envelope<Counted>) -> Option<String> {
            Some("all".to_owned())
        }

        fn project(
            &self,
            view: Option<Tally>,
            _: &eventsource_core::Envelope<Counted>,
        ) -> Result<Option<Tally>, eventsource_core::ProjectError> {
            Ok(view)
        }
    }

    let bench = Bench::new();
    let (_, position) = add(&*bench.store, "a", 1).await;
    let projection = Projection::new(Misplaced, Arc::clone(&bench.store), Arc::clone(&bench.views));
    let handle = projection.handle();
    projection.run(async { handle.reached(position).await.unwrap() }).await.unwrap();
    let parked = handle.parked(None, page()).await.unwrap().remove(0);
    assert!(parked.reason.contains("must be the stream's key"), "{parked:?}");
}

#[tokio::test(start_paused = true)]
async fn repairs_are_asked_of_a_projection_that_runs() {
    let bench = Bench::new();
    bench.poison("a").await;
    let projection = bench.projection();
    let handle = projection.handle();
    let not_running = || Err(HandleError::NotRunning { projection: ProjectionId::of::<Tallies<1>>() });
    assert_eq!(handle.retry(stream("a")).await, not_running());
    drop(projection);
    assert_eq!(handle.discard(stream("a")).await, not_running());
    assert_eq!(handle.reached(Position::FIRST).await.map(drop), not_running().map(|_: Repaired| ()));
}

#[tokio::test]
async fn a_repair_races_with_new_events_and_the_fold_stays_whole() {
    for round in 0..60 {
        let mut bench = Bench::new();
        bench.options = options(1 + round % 5);
        let many_streams = Groups { cured: Arc::clone(&bench.projector.cured) };
        let many = Projection::new(many_streams.clone(), Arc::clone(&bench.store), Arc::clone(&bench.views))
            .with_options(bench.options);
        let many_handle = many.handle();
        for _ in 0..3 {
            add(&*bench.store, "a", 1).await;
            bench.poison("a").await;
            add(&*bench.store, "b", 1).await;
        }
        let done = AtomicBool::new(false);
        let story = bench.run(async |handle| {
            bench.reached(&many_handle).await;
            bench.cure(true);
            let writing = async {
                for by in 0..40 {
                    add(&*bench.store, ["a", "b"][round % 2], by).await;
                    if by % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                done.store(true, Ordering::Relaxed);
            };
            let repairs = (repair_until(&handle, stream("a"), &done), repair_until(&many_handle, stream("a"), &done));
            tokio::join!(writing, repairs.0, repairs.1);
            bench.reached(&handle).await;
            bench.reached(&many_handle).await;
            bench.assert_folded().await;
            let (found, expected) = (stored::<Groups>(&*bench.views).await, folded(&*bench.store, &many_streams).await);
            assert_eq!(found["a"].1, expected["a"].1, "round {round}");
        });
        tokio::select! {
            stopped = many.run(pending()) => panic!("{stopped:?}"),
            () = story => {}
        }
    }
}

async fn repair_until(handle: &ProjectionHandle, stream: StreamId, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        drop(handle.retry(stream.clone()).await);
    }
}

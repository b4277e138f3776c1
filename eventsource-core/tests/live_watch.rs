//! Laws 19 and 20 for one view: nothing lost between subscribing and the snapshot, nothing shown
//! twice, never back; and reading one's own writes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod projection_support;

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use eventsource_core::{
    Doorbell, EventStore, LiveError, LiveOptions, LiveQueries, Projection, ProjectionHandle, ProjectionId, StoredView,
    Version, ViewBatch, ViewStore,
    memory::{MemoryEventStore, MemoryViews},
};
use futures::{FutureExt, StreamExt, future::join_all};
use projection_support::{Counted, Dice, Groups, Tallies, add, append, next, options, polled, rough::Rough};
use tokio::time::timeout;

type V1 = Tallies<1>;

struct Bench {
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    live: LiveQueries<V1>,
}

/// Whether the projection rings the live queries.
#[derive(Clone, Copy, PartialEq)]
enum Rings {
    Heard,
    Lost,
}

impl Bench {
    fn new() -> Self {
        let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
        // Every read waits a little, so that commits come in between.
        let live = LiveQueries::new(Arc::new(Rough::new(Arc::clone(&views), 1, 0)));
        Self { store: Arc::new(MemoryEventStore::new()), views, live }
    }

    /// Plays `story` while projection and live queries run.
    async fn run<T>(&self, rings: Rings, story: impl AsyncFnOnce(ProjectionHandle) -> T) -> T {
        let projection = Projection::new(V1::default(), Arc::clone(&self.store), Arc::clone(&self.views));
        let projection = match rings {
            Rings::Heard => projection.with_doorbell(Arc::new(self.live.clone())),
            Rings::Lost => projection,
        };
        let handle = projection.handle();
        tokio::select! {
            stopped = projection.run(pending()) => panic!("{stopped:?}"),
            stopped = self.live.run(pending()) => panic!("{stopped:?}"),
            told = story(handle) => told,
        }
    }

    async fn caught_up(&self, handle: &ProjectionHandle) {
        if let Some(head) = self.store.head().await.unwrap() {
            handle.reached(head).await.unwrap();
        }
    }
}

/// What a client sees until it sees version `last`: versions must rise.
async fn follow(live: &LiveQueries<V1>, key: &str, after: Option<Version>, last: Version) -> Vec<Version> {
    let mut versions = Vec::new();
    let mut before = after;
    let mut states = live.watch(key, after);
    while before < Some(last) {
        let state = timeout(Duration::from_secs(30), next(&mut states)).await.expect("nothing is lost");
        assert!(state.version > before, "{:?} came after {before:?}", state.version);
        before = state.version;
        versions.extend(before);
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_between_subscribing_and_the_snapshot() {
    for round in 0..60 {
        let bench = Arc::new(Bench::new());
        let mut dice = Dice(round);
        let last = Version::new(30).unwrap();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let (bench, pause) = (Arc::clone(&bench), dice.below(1_500));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                    follow(&bench.live, "a", None, last).await
                })
            })
            .collect();
        bench
            .run(Rings::Heard, async |_| {
                for by in 0..30 {
                    add(&*bench.store, "a", by).await;
                    tokio::time::sleep(Duration::from_micros(50)).await;
                }
                for client in clients {
                    client.await.unwrap();
                }
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_at_any_moment_of_subscribing_is_seen() {
    for moment in 0..60 {
        let bench = Bench::new();
        add(&*bench.store, "a", 1).await;
        bench
            .run(Rings::Heard, async |handle| {
                bench.caught_up(&handle).await;
                let writing = async {
                    for _ in 0..moment {
                        tokio::task::yield_now().await;
                    }
                    add(&*bench.store, "a", 2).await;
                };
                let reading = follow(&bench.live, "a", None, Version::new(2).unwrap());
                tokio::join!(reading, writing);
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_comes_first_and_nothing_at_or_below_after() {
    let bench = Bench::new();
    for by in 0..5 {
        add(&*bench.store, "a", by).await;
    }
    bench
        .run(Rings::Heard, async |handle| {
            bench.caught_up(&handle).await;
            let mut all = bench.live.watch("a", None);
            let mut some = bench.live.watch("a", Version::new(3));
            let mut none = bench.live.watch("a", Version::new(5));
            assert_eq!(next(&mut all).await.version, Version::new(5));
            assert_eq!(next(&mut some).await.version, Version::new(5));
            assert!(timeout(Duration::from_secs(60), none.next()).await.is_err(), "it has seen that");
            add(&*bench.store, "a", 1).await;
            assert_eq!(next(&mut all).await.version, Version::new(6));
            assert_eq!(next(&mut none).await.version, Version::new(6));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_gets_the_newest_state_only() {
    let bench = Bench::new();
    bench
        .run(Rings::Heard, async |handle| {
            let mut states = bench.live.watch("a", None);
            add(&*bench.store, "a", 1).await;
            assert_eq!(next(&mut states).await.version, Some(Version::FIRST));
            for by in 0..500 {
                add(&*bench.store, "a", by).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            bench.caught_up(&handle).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(next(&mut states).await.version, Version::new(501));
            assert!(states.next().now_or_never().is_none());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn lost_rings_cost_time_only() {
    let bench = Bench::new();
    bench
        .run(Rings::Lost, async |_| {
            let mut states = bench.live.watch("a", None);
            for version in 1..20 {
                add(&*bench.store, "a", version).await;
                let start = tokio::time::Instant::now();
                assert_eq!(next(&mut states).await.version, Version::new(version));
                assert!(start.elapsed() <= LiveOptions::default().reconcile_interval + Duration::from_secs(1));
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn rings_that_come_twice_or_for_nothing_tell_nothing_twice() {
    let bench = Bench::new();
    bench
        .run(Rings::Heard, async |_| {
            let mut states = bench.live.watch("a", None);
            add(&*bench.store, "a", 1).await;
            assert_eq!(next(&mut states).await.version, Some(Version::FIRST));
            let change = eventsource_core::ViewChange { key: "a".to_owned(), version: None, position: None };
            for _ in 0..10 {
                bench.live.ring(&ProjectionId::of::<V1>(), std::slice::from_ref(&change)).await;
                bench.live.ring_all(&ProjectionId::of::<V1>()).await;
                assert!(timeout(Duration::from_secs(1), states.next()).await.is_err());
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_view_is_told_once_and_comes_back() {
    let bench = Bench::new();
    bench
        .run(Rings::Heard, async |_| {
            let mut states = bench.live.watch("a", None);
            add(&*bench.store, "a", 1).await;
            assert!(next(&mut states).await.view.is_some());
            append(&*bench.store, "a", Counted::Cleared).await;
            assert!(next(&mut states).await.view.is_none());
            assert!(bench.live.get("a").await.unwrap().is_none());
            add(&*bench.store, "a", 7).await;
            assert_eq!(next(&mut states).await.view.unwrap().sum, 7);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_what_it_wrote() {
    for rings in [Rings::Heard, Rings::Lost] {
        let bench = Bench::new();
        bench
            .run(rings, async |_| {
                for by in 1..50 {
                    let (version, _) = add(&*bench.store, "a", by).await;
                    let seen = bench.live.wait_for("a", version, Duration::from_secs(1)).await.unwrap();
                    assert_eq!(seen.version, Some(version));
                }
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_visible_in_time_is_said_to_be_committed() {
    let bench = Bench::new();
    let three = Version::new(3).unwrap();
    let nothing = bench.live.wait_for("a", Version::FIRST, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(nothing.to_string(), r#"committed, not yet visible: "a" is at no version, wanted 1"#);
    bench
        .run(Rings::Heard, async |handle| {
            add(&*bench.store, "a", 1).await;
            add(&*bench.store, "a", 1).await;
            bench.caught_up(&handle).await;
            let start = tokio::time::Instant::now();
            let late = bench.live.wait_for("a", three, Duration::from_millis(700)).await.unwrap_err();
            assert!(
                matches!(&late, LiveError::NotYetVisible { wanted, seen, .. }
                if *wanted == three && *seen == Version::new(2)),
                "{late:?}"
            );
            assert_eq!(late.to_string(), r#"committed, not yet visible: "a" is at 2, wanted 3"#);
            assert_eq!(start.elapsed().as_millis() / 100, 7);
        })
        .await;
}

#[tokio::test]
async fn views_of_many_streams_have_no_version_to_wait_for() {
    let live = LiveQueries::<Groups>::new(Arc::new(MemoryViews::new()));
    let error = live.wait_for("a", Version::FIRST, Duration::ZERO).await.unwrap_err();
    assert!(matches!(&error, LiveError::Store(eventsource_core::StoreError::Invalid { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_all_see_the_end() {
    let bench = Arc::new(Bench::new());
    bench
        .run(Rings::Heard, async |_| {
            let last = Version::new(40).unwrap();
            let clients = (0..1_000).map(|number| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move { follow(&bench.live, &format!("k{}", number % 10), None, last).await })
            });
            let clients: Vec<_> = clients.collect();
            for by in 0..40 {
                for key in 0..10 {
                    add(&*bench.store, &format!("k{key}"), by).await;
                }
            }
            for client in join_all(clients).await {
                client.unwrap();
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_dropped_or_fails_misses_nothing_when_it_runs_again() {
    for seed in 0..100 {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
        let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
        let live = LiveQueries::<V1>::new(Arc::new(Rough::new(Arc::clone(&views), seed, 0)));
        let projection = Projection::new(V1::default(), Arc::clone(&store), views)
            .with_options(options(2))
            .with_doorbell(Arc::new(live.clone()));
        let mut dice = Dice(seed);
        let story = async {
            let mut states = live.watch("a", None);
            add(&*store, "a", 1).await;
            live.wait_for("a", Version::FIRST, Duration::from_secs(1)).await.unwrap();
            assert_eq!(next(&mut states).await.version, Some(Version::FIRST));
            for version in 2..12 {
                add(&*store, "a", version).await;
                let polls = dice.below(12);
                assert!(polled(live.run(pending()), polls).await.is_none());
            }
            tokio::select! {
                stopped = live.run(pending()) => panic!("{stopped:?}"),
                () = async {
                    let mut before = Some(Version::FIRST);
                    while before < Version::new(11) {
                        let state = timeout(Duration::from_secs(1), next(&mut states)).await.expect("not lost");
                        assert!(state.version > before);
                        before = state.version;
                    }
                } => {}
            }
        };
        tokio::select! {
            stopped = projection.run(pending()) => panic!("{stopped:?}"),
            () = story => {}
        }
    }
}

#[test]
fn live_queries_run_on_any_thread() {
    fn sent(_: impl Send) {}
    let live = LiveQueries::<V1>::new(Arc::new(MemoryViews::new()));
    sent(live.run(pending()));
    sent(live.get("a"));
    sent(live.find(eventsource_core::ViewQuery::default()));
    sent(live.wait_for("a", Version::FIRST, Duration::ZERO));
    sent((live.watch("a", None), live.changes(None)));
}

#[tokio::test(start_paused = true)]
async fn it_runs_once_at_a_time() {
    let live = LiveQueries::<V1>::new(Arc::new(MemoryViews::new()));
    let first = live.run(pending());
    tokio::select! {
        stopped = first => panic!("{stopped:?}"),
        second = async {
            tokio::task::yield_now().await;
            live.run(pending()).await
        } => assert!(matches!(second, Err(LiveError::AlreadyRunning { projection: "tallies" }))),
    }
    live.run(async {}).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_view_that_does_not_fit_is_an_error_and_the_end() {
    let bench = Bench::new();
    bench
        .run(Rings::Heard, async |handle| {
            let (_, position) = add(&*bench.store, "a", 1).await;
            bench.caught_up(&handle).await;
            let mut states = bench.live.watch("a", None);
            let mut changes = bench.live.changes(None);
            assert_eq!(next(&mut states).await.version, Some(Version::FIRST));
            assert_eq!(next(&mut changes).await.position, Some(position));
            let id = ProjectionId::of::<V1>();
            let mut batch = ViewBatch::default();
            batch.views.push(StoredView {
                key: "a".to_owned(),
                version: Version::new(2),
                position: Some(position.next()),
                body: Some(r#"{"total":1}"#.into()),
            });
            bench.views.commit(&id, batch).await.unwrap();
            let broken = |error: &LiveError| matches!(error, LiveError::Unreadable { key, .. } if key == "a");
            assert!(broken(&states.next().await.unwrap().unwrap_err()));
            assert!(states.next().await.is_none());
            assert!(broken(&changes.next().await.unwrap().unwrap_err()));
            assert!(changes.next().await.is_none());
            assert!(broken(&bench.live.get("a").await.unwrap_err()));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_of_versions_leads_no_watcher_back() {
    let bench = Bench::new();
    for by in 0..6 {
        add(&*bench.store, "a", by).await;
    }
    let mut states = bench.live.watch("a", None);
    bench
        .run(Rings::Heard, async |handle| {
            bench.caught_up(&handle).await;
            assert_eq!(next(&mut states).await.version, Version::new(6));
        })
        .await;
    let rebuilt = Tallies::<2>::default();
    let projected = Arc::clone(&rebuilt.projected);
    let projection = Projection::new(rebuilt, Arc::clone(&bench.store), Arc::clone(&bench.views))
        .with_options(options(1))
        .with_doorbell(Arc::new(bench.live.clone()));
    tokio::select! {
        stopped = projection.run(pending()) => panic!("{stopped:?}"),
        stopped = bench.live.run(pending()) => panic!("{stopped:?}"),
        () = async {
            assert_eq!(next(&mut states).await.version, Version::new(6), "the rebuilt view, at once");
            add(&*bench.store, "a", 1).await;
            assert_eq!(next(&mut states).await.version, Version::new(7));
        } => {}
    }
    assert_eq!(projected.load(Ordering::Relaxed), 7);
}

//! Law 19 for all views: a client that comes, goes and resumes sees every change once, in order.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod projection_support;

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use eventsource_core::{
    EventStore, LiveChanges, LiveError, LiveOptions, LiveQueries, Position, Projection, ProjectionHandle,
    ProjectionOptions, Repaired, StoreError, Version, ViewQuery, ViewStore,
    memory::{MemoryEventStore, MemoryViews},
};
use futures::{FutureExt, StreamExt};
use projection_support::{Counted, Dice, Tallies, Tally, add, append, next, options, rough::Rough, stored, stream};
use tokio::time::timeout;

type V1 = Tallies<1>;

struct Bench {
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    live: LiveQueries<V1>,
    projector: V1,
    options: ProjectionOptions,
    rings: bool,
}

impl Bench {
    fn new(live: LiveOptions) -> Self {
        let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
        Self {
            store: Arc::new(MemoryEventStore::new()),
            // Every read waits a little, so that commits come in between.
            live: LiveQueries::new(Arc::new(Rough::new(Arc::clone(&views), 1, 0))).with_options(live),
            views,
            projector: V1::default(),
            options: ProjectionOptions::default(),
            rings: true,
        }
    }

    async fn run<T>(&self, story: impl AsyncFnOnce(ProjectionHandle) -> T) -> T {
        let mut projection = Projection::new(self.projector.clone(), Arc::clone(&self.store), Arc::clone(&self.views))
            .with_options(self.options);
        if self.rings {
            projection = projection.with_doorbell(Arc::new(self.live.clone()));
        }
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

/// What a page in a browser does: keeps what it was told, and where to resume from.
#[derive(Default)]
struct Client {
    views: BTreeMap<String, (Option<Version>, Option<Tally>)>,
    positions: BTreeMap<String, Option<Position>>,
    resume: Option<Position>,
    resyncs: u32,
}

impl Client {
    /// Takes an item in; each view it tells must be newer than what was told before.
    fn take(&mut self, item: LiveChanges<Tally>) {
        assert!(item.position >= self.resume, "{item:?} after {:?}", self.resume);
        let in_order = item.views.is_sorted_by_key(|view| view.position);
        assert!(in_order, "{item:?}");
        for view in item.views {
            let before = self.positions.insert(view.key.to_string(), view.position).flatten();
            assert!(view.position > before, "{view:?} told twice or back: had {before:?}");
            let body = view.view.map(|view| (*view).clone());
            self.views.insert(view.key.to_string(), (view.version, body));
        }
        self.resume = item.position;
        self.resyncs += u32::from(item.resync);
    }
}

/// Comes and goes until the writer is done and it has seen everything; resumes where it left.
async fn come_and_go(bench: Arc<Bench>, done: Arc<AtomicBool>, seed: u64) -> Client {
    let mut dice = Dice(seed);
    let mut client = Client::default();
    // It reads the list first, as pages do, and follows from there.
    let mut query = ViewQuery::default();
    query.limit = 1_000;
    let list = bench.live.find(query).await.unwrap();
    for found in list.views {
        let body = found.view.view.map(|view| (*view).clone());
        client.positions.insert(found.view.key.to_string(), None);
        client.views.insert(found.view.key.to_string(), (found.view.version, body));
    }
    client.resume = list.position;
    while !done.load(Ordering::Relaxed) || client.resume < bench.store.head().await.unwrap() {
        let mut changes = match client.resume {
            None => bench.live.changes_from_start(),
            resume => bench.live.changes(resume),
        };
        let items = 1 + dice.below(6);
        for _ in 0..items {
            match timeout(Duration::from_millis(20), changes.next()).await {
                Ok(item) => client.take(item.unwrap().unwrap()),
                Err(_) => break,
            }
        }
        drop(changes);
        tokio::time::sleep(Duration::from_micros(dice.below(800))).await;
    }
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_and_go_see_every_change_once() {
    for round in 0..25 {
        let bench = Arc::new(Bench {
            options: options(usize::try_from(1 + round % 7).unwrap()),
            rings: round % 4 != 3,
            ..Bench::new({
                let mut live = LiveOptions::default();
                live.reconcile_interval = Duration::from_millis(if round % 4 == 3 { 2 } else { 5_000 });
                live
            })
        });
        let done = Arc::new(AtomicBool::new(false));
        bench
            .run(async |handle| {
                bench.caught_up(&handle).await;
                let clients: Vec<_> = (0..8)
                    .map(|number| {
                        tokio::spawn(come_and_go(Arc::clone(&bench), Arc::clone(&done), round * 100 + number))
                    })
                    .collect();
                let mut dice = Dice(round);
                for by in 0..150 {
                    let key = format!("k{}", dice.below(12));
                    match dice.below(20) {
                        0 => drop(append(&*bench.store, &key, Counted::Cleared).await),
                        _ => drop(add(&*bench.store, &key, by).await),
                    }
                    if dice.one_in(4) {
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                }
                bench.caught_up(&handle).await;
                // The checkpoint follows at once here, because the last event is one of the projector's.
                done.store(true, Ordering::Relaxed);
                let expected = stored::<V1>(&*bench.views).await;
                for client in clients {
                    let client = timeout(Duration::from_secs(60), client).await.expect("nothing is lost").unwrap();
                    assert_eq!(client.resyncs, 0, "round {round}");
                    for (key, view) in &expected {
                        assert_eq!(client.views.get(key), Some(view), "round {round}, view {key}");
                    }
                }
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_at_any_moment_of_resuming_is_told_once() {
    for moment in 0..80 {
        let bench = Bench::new(LiveOptions::default());
        add(&*bench.store, "a", 1).await;
        add(&*bench.store, "b", 1).await;
        bench
            .run(async |handle| {
                bench.caught_up(&handle).await;
                let writing = async {
                    for _ in 0..moment {
                        tokio::task::yield_now().await;
                    }
                    add(&*bench.store, "a", 2).await;
                };
                let reading = async {
                    let mut changes = bench.live.changes(Some(Position::FIRST));
                    let mut client = Client::default();
                    while client.resume < Position::new(3) {
                        client.take(timeout(Duration::from_secs(30), next(&mut changes)).await.expect("not lost"));
                    }
                    assert_eq!(client.views, stored::<V1>(&*bench.views).await, "moment {moment}");
                };
                tokio::join!(reading, writing);
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_after_it_tells_the_present_position_and_then_changes() {
    let bench = Bench::new(LiveOptions::default());
    bench
        .run(async |handle| {
            let mut early = bench.live.changes(None);
            let first = next(&mut early).await;
            assert_eq!((first.position, first.resync, first.views.len()), (None, false, 0));
            for by in 0..3 {
                add(&*bench.store, "a", by).await;
            }
            bench.caught_up(&handle).await;
            let mut changes = bench.live.changes(None);
            let first = next(&mut changes).await;
            assert_eq!((first.position, first.resync, first.views.len()), (Position::new(3), false, 0));
            add(&*bench.store, "b", 1).await;
            let item = next(&mut changes).await;
            assert_eq!(item.position, Position::new(4));
            assert_eq!(item.views.iter().map(|view| &*view.key).collect::<Vec<_>>(), ["b"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_from_another_store_is_told_to_read_again() {
    let bench = Bench::new(LiveOptions::default());
    add(&*bench.store, "a", 1).await;
    bench
        .run(async |handle| {
            bench.caught_up(&handle).await;
            let item = next(&mut bench.live.changes(Position::new(900))).await;
            assert_eq!((item.position, item.resync), (Some(Position::FIRST), true));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_a_resync_never_a_gap() {
    let mut live = LiveOptions::default();
    live.kept_views_max = 4;
    let bench = Bench::new(live);
    bench
        .run(async |handle| {
            add(&*bench.store, "z", 1).await;
            bench.caught_up(&handle).await;
            let mut changes = bench.live.changes(None);
            assert_eq!(next(&mut changes).await.position, Some(Position::FIRST));
            for by in 0..20 {
                add(&*bench.store, &format!("k{by}"), by).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            bench.caught_up(&handle).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let item = next(&mut changes).await;
            assert_eq!((item.position, item.resync, item.views.len()), (Position::new(21), true, 0));
            add(&*bench.store, "k0", 1).await;
            let item = next(&mut changes).await;
            assert_eq!((item.position, item.resync, item.views.len()), (Position::new(22), false, 1));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_gets_the_newest_of_each_view() {
    let bench = Bench::new(LiveOptions::default());
    bench
        .run(async |handle| {
            add(&*bench.store, "z", 1).await;
            bench.caught_up(&handle).await;
            let mut changes = bench.live.changes(None);
            next(&mut changes).await;
            for by in 0..30 {
                add(&*bench.store, ["a", "b", "c"][by % 3], 1).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let item = next(&mut changes).await;
            let told: Vec<_> = item.views.iter().map(|view| (&*view.key, view.version.unwrap().value())).collect();
            assert_eq!(told, [("a", 10), ("b", 10), ("c", 10)]);
            assert!(changes.next().now_or_never().is_none());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_away_for_too_long_gets_a_resync() {
    let mut live = LiveOptions::default();
    live.resumed_views_max = 700;
    let bench = Bench::new(live);
    for number in 0..1_500 {
        add(&*bench.store, &format!("k{number}"), 1).await;
    }
    bench
        .run(async |handle| {
            bench.caught_up(&handle).await;
            let mut near = bench.live.changes(Position::new(900));
            let mut client = Client { resume: Position::new(900), ..Client::default() };
            while client.resume < Position::new(1_500) {
                client.take(next(&mut near).await);
            }
            assert_eq!((client.views.len(), client.resyncs), (600, 0));
            let mut far = bench.live.changes(Position::new(1));
            let mut client = Client::default();
            while client.resume < Position::new(1_500) {
                client.take(next(&mut far).await);
            }
            assert_eq!(client.resyncs, 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn repaired_views_reach_those_who_follow_and_those_who_resume() {
    for rings in [true, false] {
        let bench = Bench { rings, ..Bench::new(LiveOptions::default()) };
        let count = 700;
        for number in 0..count {
            append(&*bench.store, &format!("k{number}"), Counted::Poisoned { by: 1 }).await;
        }
        add(&*bench.store, "z", 1).await;
        bench
            .run(async |handle| {
                bench.caught_up(&handle).await;
                let head = bench.store.head().await.unwrap();
                let mut following = Client::default();
                let mut changes = bench.live.changes(None);
                following.resume = next(&mut changes).await.position;
                assert_eq!(following.resume, head);
                bench.projector.cured.store(true, Ordering::Relaxed);
                for number in 0..count {
                    assert_eq!(handle.retry(stream(&format!("k{number}"))).await, Ok(Repaired::Released));
                }
                while following.views.len() < count {
                    following.take(timeout(Duration::from_secs(20), next(&mut changes)).await.expect("not lost"));
                }
                // Nothing was appended, so there is no position to resume from but the old one.
                assert_eq!(following.resume, head);
                let mut resuming = Client { resume: head, ..Client::default() };
                let mut resumed = bench.live.changes(head);
                while resuming.views.len() < count {
                    resuming.take(timeout(Duration::from_secs(20), next(&mut resumed)).await.expect("not lost"));
                }
                for number in (0..count).rev() {
                    add(&*bench.store, &format!("k{number}"), 5).await;
                }
                bench.caught_up(&handle).await;
                for (client, changes) in [(&mut following, &mut changes), (&mut resuming, &mut resumed)] {
                    while client.resume < bench.store.head().await.unwrap() {
                        client.take(timeout(Duration::from_secs(20), next(changes)).await.expect("not lost"));
                    }
                    let expected = stored::<V1>(&*bench.views).await;
                    assert!(client.views.iter().all(|(key, view)| expected.get(key) == Some(view)));
                    assert_eq!(client.resyncs, 0);
                }
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_of_versions_is_a_resync_for_all_who_follow() {
    let bench = Bench::new(LiveOptions::default());
    add(&*bench.store, "a", 1).await;
    let mut changes = bench.live.changes(Some(Position::FIRST));
    bench
        .run(async |handle| {
            bench.caught_up(&handle).await;
            // It came before the loop ever ran, so it may be told to read again.
            while next(&mut changes).await.position < Some(Position::FIRST) {}
        })
        .await;
    add(&*bench.store, "b", 1).await;
    let projection = Projection::new(Tallies::<2>::default(), Arc::clone(&bench.store), Arc::clone(&bench.views))
        .with_doorbell(Arc::new(bench.live.clone()));
    tokio::select! {
        stopped = projection.run(pending()) => panic!("{stopped:?}"),
        stopped = bench.live.run(pending()) => panic!("{stopped:?}"),
        () = async {
            let item = next(&mut changes).await;
            assert_eq!((item.position, item.resync), (Position::new(2), true));
            add(&*bench.store, "c", 1).await;
            let item = next(&mut changes).await;
            assert_eq!((item.position, item.resync, &*item.views[0].key), (Position::new(3), false, "c"));
        } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_store_that_stumbles_costs_time_only() {
    for seed in 0..40 {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
        let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
        let live = LiveQueries::<V1>::new(Arc::new(Rough::new(Arc::clone(&views), seed, 0)));
        let shaky = LiveQueries::<V1>::new(Arc::new(Rough::new(Arc::clone(&views), seed, 6)));
        let projection = Projection::new(V1::default(), Arc::clone(&store), Arc::clone(&views))
            .with_options(options(2))
            .with_doorbell(Arc::new(shaky.clone()));
        let story = async {
            add(&*store, "first", 0).await;
            live.wait_for("first", Version::FIRST, Duration::from_secs(5)).await.unwrap();
            let mut client = Client { resume: Some(Position::FIRST), ..Client::default() };
            let mut changes = shaky.changes(client.resume);
            for by in 0..40 {
                add(&*store, &format!("k{}", by % 5), by).await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            while client.resume < store.head().await.unwrap() {
                match timeout(Duration::from_secs(120), changes.next()).await.expect("not lost").unwrap() {
                    Ok(item) => client.take(item),
                    // The answer may be that the store is away; a client asks again.
                    Err(LiveError::Store(StoreError::Unavailable { .. })) => changes = shaky.changes(client.resume),
                    Err(error) => panic!("seed {seed}: {error:?}"),
                }
            }
            let mut expected = stored::<V1>(&*views).await;
            expected.remove("first");
            assert_eq!((client.views, client.resyncs), (expected, 0), "seed {seed}");
        };
        tokio::select! {
            stopped = projection.run(pending()) => panic!("{stopped:?}"),
            stopped = shaky.run(pending()) => panic!("{stopped:?}"),
            () = story => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_followers_all_see_the_end() {
    let bench = Arc::new(Bench::new(LiveOptions::default()));
    add(&*bench.store, "first", 0).await;
    bench
        .run(async |handle| {
            bench.caught_up(&handle).await;
            let followers: Vec<_> = (0..1_000)
                .map(|_| {
                    let mut changes = bench.live.changes(Some(Position::FIRST));
                    tokio::spawn(async move {
                        let mut client = Client::default();
                        while client.resume < Position::new(401) {
                            client.take(next(&mut changes).await);
                        }
                        client
                    })
                })
                .collect();
            for by in 0..400 {
                add(&*bench.store, &format!("k{}", by % 10), by).await;
            }
            for follower in followers {
                let client = timeout(Duration::from_secs(60), follower).await.expect("nothing is lost").unwrap();
                assert!(client.resyncs == 0 && client.views.len() >= 10);
                assert!(client.views.values().all(|(version, _)| version.is_some()));
            }
        })
        .await;
}

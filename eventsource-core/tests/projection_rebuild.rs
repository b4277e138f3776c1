//! Law 18: a rebuild happens beside the serving version, switches in one step, survives a crash.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod projection_support;

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use eventsource_core::{
    Checkpoint, Doorbell, EventStore, LiveQueries, Projection, ProjectionError, ProjectionId, ViewBatch, ViewChange,
    ViewQuery, ViewStore,
    memory::{MemoryEventStore, MemoryViews},
};
use futures::StreamExt;
use projection_support::{Dice, Tallies, add, append_nonsense, folded, options, polled, rough::Rough, stored};

type V1 = Tallies<1>;
type V2 = Tallies<2>;

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<String>>);

#[async_trait]
impl Doorbell for Recorder {
    async fn ring(&self, projection: &ProjectionId, changes: &[ViewChange]) {
        let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
        self.0.lock().unwrap().push(format!("{projection} {}", keys.join(" ")));
    }

    async fn ring_all(&self, projection: &ProjectionId) {
        self.0.lock().unwrap().push(format!("{projection} all"));
    }
}

async fn filled(events: u64) -> (Arc<dyn EventStore>, Arc<dyn ViewStore>) {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
    for by in 0..events {
        add(&*store, &format!("k{}", by % 10), by).await;
    }
    let projection = Projection::new(V1::default(), Arc::clone(&store), Arc::clone(&views));
    let handle = projection.handle();
    let head = store.head().await.unwrap().unwrap();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    (store, views)
}

#[tokio::test(start_paused = true)]
async fn the_old_views_are_served_until_the_new_ones_have_caught_up() {
    let (store, views) = filled(200).await;
    let before = stored::<V1>(&*views).await;
    let bell = Arc::new(Recorder::default());
    let projection = Projection::new(V2::default(), Arc::clone(&store), Arc::clone(&views))
        .with_options(options(10))
        .with_doorbell(bell.clone());
    let handle = projection.handle();
    let live = LiveQueries::<V2>::new(Arc::clone(&views));
    let mut while_building = 0;
    let watching = async {
        loop {
            if handle.progress().serving {
                break;
            }
            assert_eq!(views.serving("tallies").await.unwrap(), Some(1));
            assert_eq!(stored::<V1>(&*views).await, before);
            let found = live.find(query(100)).await.unwrap();
            assert_eq!(found.total, 10);
            assert!(found.views.iter().all(|found| found.view.view.as_ref().unwrap().count == 20));
            assert!(bell.0.lock().unwrap().is_empty(), "nobody is told of views that nobody reads");
            while_building += 1;
            tokio::task::yield_now().await;
        }
        while handle.progress().position < store.head().await.unwrap() {
            tokio::task::yield_now().await;
        }
        add(&*store, "k3", 1).await;
        handle.reached(store.head().await.unwrap().unwrap()).await.unwrap();
    };
    projection.run(watching).await.unwrap();
    assert!(while_building >= 10, "{while_building}");
    assert_eq!(views.serving("tallies").await.unwrap(), Some(2));
    assert_eq!(views.checkpoint(&ProjectionId::of::<V1>()).await.unwrap(), None, "the old views are gone");
    assert_eq!(stored::<V2>(&*views).await, folded(&*store, &V2::default()).await);
    assert_eq!(*bell.0.lock().unwrap(), ["tallies@2 all", "tallies@2 k3"]);
    assert_eq!(live.get("k3").await.unwrap().unwrap().version.unwrap().value(), 21);
}

fn query(limit: u32) -> ViewQuery {
    let mut query = ViewQuery::default();
    query.limit = limit;
    query
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_is_dropped_anywhere_goes_on_from_its_checkpoint() {
    for seed in 0..60 {
        let (store, views) = filled(100).await;
        let mut dice = Dice(seed);
        let projected = Arc::new(AtomicU64::new(0));
        let mut drops = 0;
        loop {
            let projector = V2 { projected: Arc::clone(&projected), ..V2::default() };
            let rough: Arc<dyn ViewStore> = Arc::new(Rough::new(Arc::clone(&views), dice.roll(), 0));
            let projection = Projection::new(projector, Arc::clone(&store), rough).with_options(options(10));
            let handle = projection.handle();
            let served = async {
                let mut progress = handle.watch();
                while !progress.next().await.unwrap().serving {}
            };
            let polls = 20 + dice.below(30);
            match polled(projection.run(served), polls).await {
                Some(stopped) => break stopped.unwrap(),
                None => drops += 1,
            }
            assert!(drops < 100, "seed {seed}: it never gets there");
        }
        assert!(drops > 0, "seed {seed}");
        let count = projected.load(Ordering::Relaxed);
        assert!(count <= 100 + 10 * drops, "seed {seed}: {count} events projected with {drops} drops");
        assert_eq!(stored::<V2>(&*views).await, folded(&*store, &V2::default()).await, "seed {seed}");
        // A drop between the switch and the removal leaves remains: the next start removes them.
        let projection = Projection::new(V2::default(), Arc::clone(&store), Arc::clone(&views));
        let handle = projection.handle();
        let head = store.head().await.unwrap().unwrap();
        projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
        assert_eq!(views.checkpoint(&ProjectionId::of::<V1>()).await.unwrap(), None, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_program_does_not_write_beside_a_newer_version() {
    let (store, views) = filled(10).await;
    let old = Projection::new(V1::default(), Arc::clone(&store), Arc::clone(&views));
    let new = Projection::new(V2::default(), Arc::clone(&store), Arc::clone(&views));
    let handle = new.handle();
    let new = new.run(pending());
    let old = tokio::time::timeout(Duration::from_secs(60), old.run(pending()));
    let stopped = tokio::select! {
        stopped = new => panic!("{stopped:?}"),
        stopped = old => stopped.expect("it looks every few seconds"),
    };
    assert!(matches!(stopped, Err(ProjectionError::Superseded { serving: 2, .. })), "{stopped:?}");
    assert!(handle.progress().serving);
    let again = Projection::new(V1::default(), Arc::clone(&store), Arc::clone(&views)).run(pending()).await;
    let error = again.unwrap_err().to_string();
    assert_eq!(error, "projection tallies@1 is superseded: version 2 is being served");
}

#[tokio::test(start_paused = true)]
async fn it_does_not_switch_back_in_time() {
    let (store, views) = filled(10).await;
    // The old version, run by another process, has come further than this store shows.
    let mut ahead = ViewBatch::default();
    ahead.checkpoint = Some(Checkpoint { position: eventsource_core::Position::new(15) });
    views.commit(&ProjectionId::of::<V1>(), ahead).await.unwrap();
    let projection = Projection::new(V2::default(), Arc::clone(&store), Arc::clone(&views));
    let handle = projection.handle();
    let story = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(handle.progress().caught_up && !handle.progress().serving);
        for by in 0..5 {
            add(&*store, "k0", by).await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(handle.progress().serving);
    };
    projection.run(story).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_retries_what_was_parked() {
    let (store, views) = filled(10).await;
    append_nonsense(&*store, "bad").await;
    let projector = V1::default();
    projection_support::append(&*store, "poisoned", projection_support::Counted::Poisoned { by: 1 }).await;
    let head = store.head().await.unwrap().unwrap();
    let projection = Projection::new(projector, Arc::clone(&store), Arc::clone(&views));
    let handle = projection.handle();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    assert_eq!(handle.progress().parked, 2);

    let projector = V2::default();
    projector.cured.store(true, Ordering::Relaxed);
    let projection = Projection::new(projector, Arc::clone(&store), Arc::clone(&views));
    let handle = projection.handle();
    projection.run(async { handle.reached(head).await.unwrap() }).await.unwrap();
    assert_eq!(handle.progress().parked, 1);
    assert_eq!(views.serving("tallies").await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn views_ahead_of_their_store_are_refused_by_name() {
    let (_, views) = filled(20).await;
    let older: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    for by in 0..15 {
        add(&*older, &format!("k{}", by % 10), by).await;
    }
    let stopped = Projection::new(V1::default(), older, views).run(pending()).await.unwrap_err();
    assert!(matches!(stopped, ProjectionError::Ahead { .. }), "{stopped}");
    let told = stopped.to_string();
    assert!(told.contains("position 20") && told.contains("ends at 15"), "{told}");
}

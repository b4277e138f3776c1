//! Law 15: the views are the fold, whatever happened on the way.

use std::sync::Arc;

use eventsource_core::{EventStore, Projection, ProjectionId, Projector, ViewStore};
use futures::future::pending;

use super::{fold::ensure_fold, happen, head_of, options, run_to};
use crate::{
    LawBroken, ProjectionFixture, Verdict,
    broken::ensure,
    chaos::{FaultyViews, ViewFaults},
    laws::support::{Race, dropped_after_polls, seed},
    sample::{Activities, Balances},
};

fn projection<P: Projector>(projector: P, store: &Arc<dyn EventStore>, views: &Arc<dyn ViewStore>) -> Projection<P> {
    Projection::new(projector, Arc::clone(store), Arc::clone(views)).with_options(options())
}

/// Law 15: without any fault, views of one stream and views of many are the fold of their events:
/// those that were there before and those that come while it runs.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_views_are_the_fold_of_their_events(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let mut random = fastrand::Rng::with_seed(seed(150));
    happen(&**store, 150, &mut random).await?;
    let mut live = Race::new();
    let writer = Arc::clone(store);
    live.enter(async move { happen(&*writer, 150, &mut random).await });
    let balances = projection(Balances::<1>, store, views);
    let activities = projection(Activities, store, views);
    let running = balances.handle();
    let both = async {
        let shutdown = async {
            live.results().await?;
            let head = head_of(&**store).await?;
            running.reached(head).await?;
            Ok::<_, LawBroken>(head)
        };
        let (mut told, telling) = (Err(LawBroken::new("it was never told to stop")), shutdown);
        balances.run(async { told = telling.await }).await?;
        run_to(activities, told?).await
    };
    both.await?;
    ensure_fold(&Balances::<1>, &**store, &**views, None).await?;
    ensure_fold(&Activities, &**store, &**views, None).await
}

/// Law 15: after crashes at any point and restarts the views are the fold of their events.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_views_are_the_fold_after_crashes(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let slow: Arc<dyn ViewStore> = Arc::new(FaultyViews::new(Arc::clone(views), ViewFaults::Slow));
    let mut random = fastrand::Rng::with_seed(seed(151));
    for _ in 0..60 {
        happen(&**store, random.u64(0..12), &mut random).await?;
        dropped_after_polls(projection(Balances::<1>, store, &slow).run(pending()), random.u32(0..25)).await;
        dropped_after_polls(projection(Activities, store, &slow).run(pending()), random.u32(0..25)).await;
    }
    let head = head_of(&**store).await?;
    run_to(projection(Balances::<1>, store, views), head).await?;
    run_to(projection(Activities, store, views), head).await?;
    ensure_fold(&Balances::<1>, &**store, &**views, None).await?;
    ensure_fold(&Activities, &**store, &**views, None).await
}

/// Law 15: when commits fail, some before they took effect and some after, the views are the fold of
/// their events.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_views_are_the_fold_after_unknown_outcomes(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let mut random = fastrand::Rng::with_seed(seed(152));
    happen(&**store, 200, &mut random).await?;
    let head = head_of(&**store).await?;
    for faults in [ViewFaults::CommitNotDone { every: 3 }, ViewFaults::CommitDone { every: 2 }] {
        let faulty: Arc<dyn ViewStore> = Arc::new(FaultyViews::new(Arc::clone(views), faults));
        dropped_after_polls(projection(Balances::<1>, store, &faulty).run(pending()), 60).await;
        run_to(projection(Activities, store, &faulty), head).await?;
    }
    let faulty: Arc<dyn ViewStore> = Arc::new(FaultyViews::new(Arc::clone(views), ViewFaults::CommitDone { every: 2 }));
    run_to(projection(Balances::<1>, store, &faulty), head).await?;
    ensure_fold(&Balances::<1>, &**store, &**views, None).await?;
    ensure_fold(&Activities, &**store, &**views, None).await
}

/// Law 16: a projection that is stopped before the first event has written its checkpoint, so that
/// it starts at the beginning and not at "now".
///
/// # Errors
/// When the law is broken.
pub async fn law_16_checkpoint_is_written_before_the_first_event(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let set = ProjectionId::of::<Balances<1>>();
    let mut polls = 1;
    while views.checkpoint(&set).await.ok().flatten().is_none() {
        ensure!(polls < 4_096, "no checkpoint is written in an empty store");
        dropped_after_polls(projection(Balances::<1>, store, views).run(pending()), polls).await;
        polls *= 2;
    }
    happen(&**store, 20, &mut fastrand::Rng::with_seed(seed(16))).await?;
    run_to(projection(Balances::<1>, store, views), head_of(&**store).await?).await?;
    ensure_fold(&Balances::<1>, &**store, &**views, None).await
}

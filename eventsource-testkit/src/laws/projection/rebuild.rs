//! Law 18: a new version beside the one that serves.

use eventsource_core::{Projection, ProjectionId, Projector};
use futures::{FutureExt, future::pending};
use tokio::time::{Duration, sleep};

use super::{fold::ensure_fold, happen, head_of, options, run_to};
use crate::{
    ProjectionFixture, Verdict,
    broken::ensure,
    laws::support::{dropped_after_polls, seed},
    sample::Balances,
};

/// Law 18: a rebuild leaves the version that serves alone, survives crashes, and switches in one
/// step to views that are the fold of their events.
///
/// # Errors
/// When the law is broken.
pub async fn law_18_rebuild_survives_crashes_and_switches_when_it_has_caught_up(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let mut random = fastrand::Rng::with_seed(seed(18));
    happen(&**store, 120, &mut random).await?;
    let head = head_of(&**store).await?;
    let old = Projection::new(Balances::<1>, store.clone(), views.clone()).with_options(options());
    run_to(old, head).await?;
    let new = || Projection::new(Balances::<2>, store.clone(), views.clone()).with_options(options());
    for _ in 0..12 {
        let polls = random.u32(0..12);
        dropped_after_polls(new().run(pending()), polls).await;
        match views.serving(Balances::<1>::NAME).await? {
            Some(1) => ensure_fold(&Balances::<1>, &**store, &**views, None).await?,
            Some(2) => ensure_fold(&Balances::<2>, &**store, &**views, None).await?,
            other => ensure!(false, "the version that serves is {other:?}"),
        }
    }
    let switched = async {
        while views.serving(Balances::<2>::NAME).await.ok().flatten() != Some(2) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    new().run(switched.boxed()).await?;
    ensure_fold(&Balances::<2>, &**store, &**views, None).await?;
    let checkpoint = views.checkpoint(&ProjectionId::of::<Balances<2>>()).await?;
    ensure!(
        checkpoint.is_some_and(|checkpoint| checkpoint.position >= Some(head)),
        "switched at {checkpoint:?}, the head was {head}"
    );
    Ok(())
}

//! Law 17: an event that cannot be projected.

use std::num::NonZeroU32;

use eventsource_core::{EventStore, ExpectedVersion, Position, Projection, ProjectionId, Repaired, StreamId};

use super::{account_event, fold::ensure_fold, happen, head_of, options, run_to};
use crate::{
    LawBroken, ProjectionFixture, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::seed,
    sample::{AccountEvent, Balances},
};

const MOST: NonZeroU32 = NonZeroU32::MAX;

/// An event that is stored and cannot be folded in: nobody has so much money.
fn poison() -> AccountEvent {
    AccountEvent::Deposited { cents: u64::MAX, at: 0 }
}

async fn poisoned(store: &dyn EventStore, stream: &StreamId) -> Result<Position, LawBroken> {
    let healthy = AccountEvent::Deposited { cents: 1, at: 0 };
    let batch = vec![account_event(&healthy)?, account_event(&poison())?, account_event(&healthy)?];
    store.append(stream, ExpectedVersion::NoStream, batch).await?;
    let head = head_of(store).await?;
    head.previous().ok_or_else(|| LawBroken::new("the poison is not the second last"))
}

/// Law 17: an event that cannot be projected is parked with its reason and blocks only its own
/// stream, also after a restart; when it is discarded the stream goes on as if it had never been.
///
/// # Errors
/// When the law is broken.
pub async fn law_17_parked_event_blocks_only_its_own_stream(fixture: ProjectionFixture) -> Verdict {
    let ProjectionFixture { store, views, .. } = &fixture;
    let mut random = fastrand::Rng::with_seed(seed(17));
    let stream = StreamId::new("account", "poison")?;
    let set = ProjectionId::of::<Balances<1>>();
    happen(&**store, 30, &mut random).await?;
    let at = poisoned(&**store, &stream).await?;
    for _ in 0..2 {
        happen(&**store, 30, &mut random).await?;
        let projection = Projection::new(Balances::<1>, store.clone(), views.clone()).with_options(options());
        run_to(projection, head_of(&**store).await?).await?;
        let parked = views.parked(&set, None, MOST).await?;
        ensure_eq!(parked.len(), 1, "parked streams");
        ensure_eq!((&parked[0].stream, parked[0].position), (&stream, at), "what is parked");
        ensure!(parked[0].reason.contains("more than there is"), "the reason is {:?}", parked[0].reason);
        let seen = views.load(&set, &["poison".to_owned()]).await?;
        let version = seen[0].as_ref().and_then(|view| view.version).map(eventsource_core::Version::value);
        ensure_eq!(version, Some(1), "version of the view that stands still");
    }
    let projection = Projection::new(Balances::<1>, store.clone(), views.clone()).with_options(options());
    let handle = projection.handle();
    let head = head_of(&**store).await?;
    let mut discarded = None;
    projection
        .run(async {
            drop(handle.reached(head).await);
            discarded = Some(handle.discard(stream.clone()).await);
        })
        .await?;
    ensure!(matches!(discarded, Some(Ok(Repaired::Released))), "discarding gave {discarded:?}");
    ensure_eq!(views.parked(&set, None, MOST).await?, [], "parked streams after the discard");
    ensure_fold(&Balances::<1>, &**store, &**views, Some(at)).await
}

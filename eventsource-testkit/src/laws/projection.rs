//! Laws 15 to 18: core's [`Projection`] over any event store and view store.

mod crash;
mod fold;
mod park;
mod rebuild;

use std::{num::NonZeroUsize, time::Duration};

use eventsource_core::{
    Codec, Direction, EventStore, ExpectedVersion, NewEvent, Position, Projection, ProjectionOptions, Projector,
    StreamId,
};
use futures::TryStreamExt;

pub use crash::{
    law_15_views_are_the_fold_after_crashes, law_15_views_are_the_fold_after_unknown_outcomes,
    law_15_views_are_the_fold_of_their_events, law_16_checkpoint_is_written_before_the_first_event,
};
pub use park::law_17_parked_event_blocks_only_its_own_stream;
pub use rebuild::law_18_rebuild_survives_crashes_and_switches_when_it_has_caught_up;

use crate::{
    LawBroken, Verdict,
    laws::support::{event, settled},
    sample::AccountEvent,
};

/// Batches so small that a crash falls between them, and waits so short that a law ends soon.
fn options() -> ProjectionOptions {
    let mut options = ProjectionOptions::default();
    options.batch_events_max = NonZeroUsize::new(7).unwrap_or(NonZeroUsize::MIN);
    options.gather_max = Duration::from_millis(1);
    options.checkpoint_interval = Duration::from_millis(10);
    options.tick_interval = Duration::from_millis(20);
    options.backoff.first = Duration::from_millis(1);
    options.backoff.longest = Duration::from_millis(5);
    options.subscribe = options.subscribe.poll_interval(Duration::from_millis(10));
    options
}

/// Appends `count` events to some of 12 accounts, in batches, among events of no interest.
async fn happen(store: &dyn EventStore, count: u64, random: &mut fastrand::Rng) -> Verdict {
    let mut left = count;
    while left > 0 {
        let account = StreamId::new("account", &format!("account-{}", random.u8(0..12)))?;
        let mut batch = Vec::new();
        for _ in 0..random.u64(1..=4).min(left) {
            batch.push(account_event(&any_event(random))?);
            left -= 1;
        }
        store.append(&account, ExpectedVersion::Any, batch).await?;
        if random.u8(0..5) == 0 {
            store.append(&StreamId::new("other", "1")?, ExpectedVersion::Any, vec![event("{}")]).await?;
        }
    }
    Ok(())
}

fn any_event(random: &mut fastrand::Rng) -> AccountEvent {
    let (cents, at) = (random.u64(1..1_000), random.u64(0..1_000_000));
    match random.u8(0..10) {
        0 => AccountEvent::Opened { owner: ["ada", "bob", "Åse"][random.usize(0..3)].to_owned() },
        1 => AccountEvent::Closed,
        2..=4 => AccountEvent::Withdrawn { cents, at },
        _ => AccountEvent::Deposited { cents, at },
    }
}

fn account_event(happened: &AccountEvent) -> Result<NewEvent, LawBroken> {
    let payload = Codec::default().encode(happened)?;
    Ok(NewEvent { name: eventsource_core::Event::name(happened).into(), payload, ..event("") })
}

/// The head, once every event has its position.
async fn head_of(store: &dyn EventStore) -> Result<Position, LawBroken> {
    let mut count = 0;
    for key in
        (0..12).map(|n| format!("account/account-{n}")).chain(["other/1".to_owned(), "account/poison".to_owned()])
    {
        let last = store.read_stream(&key.parse()?, None, Direction::Backward).try_next().await?;
        count += last.map_or(0, |last| last.version.value());
    }
    settled(store, count).await?;
    Position::new(count).ok_or_else(|| LawBroken::new("nothing has happened"))
}

/// Runs a projection until it has come to `position`.
async fn run_to<P: Projector>(projection: Projection<P>, position: Position) -> Verdict {
    let handle = projection.handle();
    let reached = async { drop(handle.reached(position).await) };
    Ok(projection.run(reached).await?)
}

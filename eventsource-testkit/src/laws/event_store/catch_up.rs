//! Law 10: catch-up, then live, through core's [`subscribe`], over hints that lie.

use std::{sync::Arc, time::Duration};

use eventsource_core::{EventStore, ExpectedVersion, Position, Query, SubscribeOptions, Subscribed, subscribe};

use crate::{
    Fixture, Verdict,
    broken::{ensure, ensure_eq, ensure_matches},
    chaos::{FaultyWakeups, Wakeups},
    laws::support::{Race, count, events, next, position, read_all, recorded_ids, settled, stream},
};

/// Law 10: with every hint lost, a subscription delivers each event once and in order.
///
/// # Errors
/// When the law is broken.
pub async fn law_10_subscription_survives_lost_hints(fixture: Fixture<dyn EventStore>) -> Verdict {
    catches_up_and_goes_live(fixture, Wakeups::Lost).await
}

/// Law 10: with every hint given many times, a subscription delivers each event once and in order.
///
/// # Errors
/// When the law is broken.
pub async fn law_10_subscription_survives_doubled_hints(fixture: Fixture<dyn EventStore>) -> Verdict {
    catches_up_and_goes_live(fixture, Wakeups::Repeated { times: 5 }).await
}

/// Law 10: with every hint late, a subscription delivers each event once and in order.
///
/// # Errors
/// When the law is broken.
pub async fn law_10_subscription_survives_delayed_hints(fixture: Fixture<dyn EventStore>) -> Verdict {
    catches_up_and_goes_live(fixture, Wakeups::Delayed { by: Duration::from_millis(7) }).await
}

/// Law 10: when hints stop for ever after a few, a subscription delivers each event once and in
/// order.
///
/// # Errors
/// When the law is broken.
pub async fn law_10_subscription_survives_ended_hints(fixture: Fixture<dyn EventStore>) -> Verdict {
    catches_up_and_goes_live(fixture, Wakeups::EndAfter { hints: 3 }).await
}

fn options() -> SubscribeOptions {
    SubscribeOptions::default().poll_interval(Duration::from_millis(15))
}

async fn catches_up_and_goes_live(fixture: Fixture<dyn EventStore>, wakeups: Wakeups) -> Verdict {
    const WRITERS: u64 = 4;
    const APPENDS: u64 = 30;
    const PRELOADED: u64 = 100;
    const TOTAL: u64 = PRELOADED + WRITERS * APPENDS * 2;
    let store: Arc<dyn EventStore> = Arc::new(FaultyWakeups::new(fixture.port(), wakeups));
    for _ in 0..PRELOADED / 2 {
        store.append(&stream("history"), ExpectedVersion::Any, events(2)).await?;
    }
    let mut items = subscribe(Arc::clone(&store), Query::default(), options());
    let mut writers = Race::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.enter(async move {
            for _ in 0..APPENDS {
                store.append(&stream(&format!("live-{writer}")), ExpectedVersion::Any, events(2)).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
    }
    let mut delivered = Vec::new();
    let mut announced = None;
    while count(&delivered) < TOTAL || announced < Position::new(TOTAL) {
        match next(&mut items).await? {
            Subscribed::Event(event) => {
                ensure_eq!(event.position, Some(position(count(&delivered) + 1)), "the next position delivered");
                delivered.push(event);
            }
            Subscribed::CaughtUp(head) => {
                ensure!(head >= announced, "caught up with {head:?} after {announced:?}");
                ensure!(
                    Position::value_of(head) == count(&delivered),
                    "caught up with {head:?} after {} events",
                    delivered.len()
                );
                announced = head;
            }
        }
    }
    writers.results().await?;
    let there = read_all(&*store, TOTAL).await?;
    ensure!(recorded_ids(&there) == recorded_ids(&delivered), "the events delivered are not those in the store");
    Ok(())
}

/// Law 10: a subscription after the last position that was taken goes on without a gap or a
/// repetition, with a filter too.
///
/// # Errors
/// When the law is broken.
pub async fn law_10_subscription_goes_on_after_the_last_position(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let mut items = subscribe(Arc::clone(&store), Query::default(), options());
    ensure_matches!(next(&mut items).await?, Subscribed::CaughtUp(None), "the first item in an empty store");
    drop(items);
    for n in 0..20 {
        let other = eventsource_core::StreamId::new(if n % 2 == 0 { "law" } else { "other" }, "1")?;
        store.append(&other, ExpectedVersion::Any, events(2)).await?;
    }
    settled(&*store, 40).await?;
    let query = Query::default().category("other");
    let mut after = None;
    let mut taken = Vec::new();
    while taken.len() < 20 {
        // Each subscription is dropped in the middle, as by a crash.
        let mut items = subscribe(Arc::clone(&store), query.clone().after(after), options());
        for _ in 0..3 {
            if taken.len() == 20 {
                break;
            }
            if let Subscribed::Event(event) = next(&mut items).await? {
                ensure!(event.position > after, "position {:?} comes after {after:?}", event.position);
                after = event.position;
                taken.push(event);
            }
        }
    }
    let versions: Vec<_> = taken.iter().map(|event| event.version.value()).collect();
    ensure_eq!(versions, (1..=20).collect::<Vec<u64>>(), "versions taken over many subscriptions");
    let mut items = subscribe(Arc::clone(&store), query.after(after), options());
    ensure_matches!(next(&mut items).await?, Subscribed::CaughtUp(head) if head == Position::new(40), "the end");
    Ok(())
}

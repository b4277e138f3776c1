//! Law 9: what a reader has passed stays as it was.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use eventsource_core::{EventId, EventStore, ExpectedVersion, Position, Query, StreamId, Version};
use tokio::time::{Instant, sleep};

use crate::{
    Fixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{Race, count, events, ids, position, read_all, read_to_end, recorded_ids, seed, settled},
};

/// How long writers and readers race: long enough to catch the gap bug.
const RACE_TIME: Duration = Duration::from_millis(1_500);
/// Enough events for the race, so that a fast store does not make the law slow.
const EVENTS_MAX: u64 = 10_000;
const WRITERS: u64 = 16;
const READERS: u64 = 4;

/// Law 9: once a reader has seen position p, nothing at or below p appears later, with many writers
/// committing at once and readers that race with them.
///
/// Each reader follows the store as a catch-up reader does: it reads after the last position it
/// saw, again and again, and must see 1, 2, 3 … without a gap or a repetition. Now and then it reads
/// a piece of the past again, which must not have changed. In the end every acknowledged event was
/// seen once, and each stream's events in the order of their versions.
///
/// # Errors
/// When the law is broken.
pub async fn law_09_nothing_appears_below_what_was_seen(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let seed = seed(9);
    let until = Instant::now() + RACE_TIME;
    let budget = Arc::new(AtomicU64::new(EVENTS_MAX));
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Race::new();
    for reader in 0..READERS {
        let random = fastrand::Rng::with_seed(seed + 1_000 + reader);
        readers.enter(follow(Arc::clone(&store), Arc::clone(&done), random));
    }
    let mut writers = Race::new();
    for writer in 0..WRITERS {
        let random = fastrand::Rng::with_seed(seed + writer);
        writers.enter(write(Arc::clone(&store), until, Arc::clone(&budget), random));
    }
    let written = writers.results().await;
    let settled = match &written {
        Ok(written) => settled(&*store, count(&written.concat())).await,
        Err(_) => Ok(()),
    };
    done.store(true, Ordering::Release);
    let seen = readers.results().await?;
    settled?;
    let mut written = written?.concat();

    let there = read_all(&*store, count(&written)).await?;
    let order = recorded_ids(&there);
    for seen in seen {
        ensure!(seen == order, "a reader saw the events in another order than they have now (seed {seed})");
    }
    let mut versions: HashMap<&StreamId, Version> = HashMap::new();
    for event in &there {
        let before = versions.insert(&event.stream, event.version);
        ensure_eq!(event.version, Version::next_after(before), "order of {} by position", event.stream);
    }
    let mut there = order;
    there.sort_unstable();
    written.sort_unstable();
    ensure!(there == written, "the store holds other events than those acknowledged (seed {seed})");
    Ok(())
}

async fn write(
    store: Arc<dyn EventStore>,
    until: Instant,
    budget: Arc<AtomicU64>,
    mut random: fastrand::Rng,
) -> Result<Vec<EventId>, LawBroken> {
    let mut written = Vec::new();
    while Instant::now() < until {
        let size = random.u64(1..=12);
        let left = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
        if left.is_err() {
            break;
        }
        let batch = events(usize::try_from(size).unwrap_or(1));
        let stream = StreamId::new("law", &format!("order-{}", random.u8(0..24)))?;
        let acknowledged = ids(&batch);
        store.append(&stream, ExpectedVersion::Any, batch).await?;
        written.extend(acknowledged);
        if random.u8(0..4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(written)
}

async fn follow(
    store: Arc<dyn EventStore>,
    done: Arc<AtomicBool>,
    mut random: fastrand::Rng,
) -> Result<Vec<EventId>, LawBroken> {
    let mut seen: Vec<EventId> = Vec::new();
    loop {
        let last_round = done.load(Ordering::Acquire);
        let head = Position::value_of(store.head().await?);
        let after = Position::new(count(&seen));
        for event in read_to_end(store.read_all(Query::default().after(after))).await? {
            let right = position(count(&seen) + 1);
            ensure_eq!(event.position, Some(right), "the position after {}", count(&seen));
            seen.push(event.id);
        }
        ensure!(count(&seen) >= head, "a reader got {} events, the head was at {head}", seen.len());
        if last_round {
            return Ok(seen);
        }
        if !seen.is_empty() && random.u8(0..4) == 0 {
            read_again(&*store, &seen, random.usize(0..seen.len())).await?;
        }
        sleep(Duration::from_micros(random.u64(0..500))).await;
    }
}

/// A piece of the past, from `start` on, is what it was.
async fn read_again(store: &dyn EventStore, seen: &[EventId], start: usize) -> Verdict {
    let piece = &seen[start..seen.len().min(start + 200)];
    let mut query = Query::default().after(Position::new(count(&seen[..start])));
    query.limit = std::num::NonZeroU64::new(count(piece));
    let again = recorded_ids(&read_to_end(store.read_all(query)).await?);
    ensure!(again == piece, "the events after position {start} are not those that were read before");
    Ok(())
}

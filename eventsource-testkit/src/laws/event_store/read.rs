//! Law 8: bounds, directions and filters.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use eventsource_core::{
    Direction, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent, StreamId, Version,
};

use tokio::time::sleep;

use crate::{
    Fixture, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{
        Race, count, event, event_id, events, read_all, read_stream, read_to_end, recorded_ids, settled, stream,
        version,
    },
};

/// Law 8: a stream read backward is the stream read forward in reverse, and both are what
/// `read_all` shows of it.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_forward_and_backward_agree(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    for round in 0..40_usize {
        for key in ["long", "other"] {
            store.append(&stream(key), ExpectedVersion::Any, events(1 + round % 20)).await?;
        }
    }
    let forward = read_stream(&*store, &stream("long")).await?;
    let mut backward = read_to_end(store.read_stream(&stream("long"), None, Direction::Backward)).await?;
    backward.reverse();
    ensure!(forward == backward, "a stream read backward is not the stream read forward in reverse");
    let mut all = read_all(&*store, 2 * count(&forward)).await?;
    all.retain(|event| event.stream == stream("long"));
    ensure_eq!(recorded_ids(&all), recorded_ids(&forward), "the stream as read_all shows it");
    let unplaced = |events: Vec<RecordedEvent>| -> Vec<_> {
        events.into_iter().map(|event| RecordedEvent { position: None, ..event }).collect()
    };
    ensure!(unplaced(all) == unplaced(forward), "read_all and read_stream show an event in two ways");
    Ok(())
}

/// Law 8: `after` is excluded, in both directions and in `read_all`.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_after_is_excluded(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    store.append(&stream("five"), ExpectedVersion::NoStream, events(5)).await?;
    settled(&*store, 5).await?;
    let all: Vec<u64> = (1..=5).collect();
    for after in 1..=7 {
        let above: Vec<_> = all.iter().copied().filter(|at| *at > after).collect();
        let mut below: Vec<_> = all.iter().copied().filter(|at| *at < after).collect();
        below.reverse();
        let bound = Some(version(after));
        let versions = |events: Vec<RecordedEvent>| events.iter().map(|e| e.version.value()).collect::<Vec<_>>();
        let forward = read_to_end(store.read_stream(&stream("five"), bound, Direction::Forward)).await?;
        ensure_eq!(versions(forward), above, "versions forward after {after}");
        let backward = read_to_end(store.read_stream(&stream("five"), bound, Direction::Backward)).await?;
        ensure_eq!(versions(backward), below, "versions backward after {after}");
        let placed = read_to_end(store.read_all(Query::default().after(Position::new(after)))).await?;
        let positions: Vec<_> = placed.iter().map(|e| Position::value_of(e.position)).collect();
        ensure_eq!(positions, above, "positions after {after}");
    }
    Ok(())
}

/// Law 8: a stream that does not exist has no events, and asking does not make it.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_missing_stream_has_no_events(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    ensure_eq!(read_to_end(store.read_all(Query::default())).await?, [], "events of an empty store");
    for bound in [None, Some(Version::FIRST)] {
        for direction in [Direction::Forward, Direction::Backward] {
            let events = read_to_end(store.read_stream(&stream("missing"), bound, direction)).await?;
            ensure_eq!(events, [], "events of a missing stream, {direction:?}");
        }
    }
    store.append(&stream("missing"), ExpectedVersion::NoStream, events(1)).await?;
    Ok(())
}

/// Law 8: `read_all` shows what a query asks for and nothing else: categories, names, a limit.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_filters_and_limits_hold(fixture: Fixture<dyn EventStore>) -> Verdict {
    const NAMES: [&str; 3] = ["opened", "closed", "moved"];
    let store = fixture.port();
    for round in 0..30 {
        let to = StreamId::new(["door", "door-2", "gate"][round % 3], &format!("{}", round % 5))?;
        let named = (0..=round % 3).map(|n| NewEvent { name: NAMES[(round + n) % 3].into(), ..event("{}") });
        store.append(&to, ExpectedVersion::Any, named.collect()).await?;
    }
    let all = read_all(&*store, 60).await?;
    let queries = [
        Query::default(),
        Query::default().category("door"),
        Query::default().category("door-2").category("gate"),
        Query::default().names(&["opened"]),
        Query::default().names(&["opened", "moved"]),
        Query::default().category("gate").names(&["closed"]),
        Query::default().category("window"),
        Query::default().names(&["painted"]),
        Query::default().category("gat"),
    ];
    for query in queries {
        for after in
            [None, Position::new(1), Position::new(17), Position::new(59), Position::new(60), Position::new(99)]
        {
            for most in [None, Some(1), Some(7), Some(1_000)] {
                let mut query = query.clone().after(after);
                query.limit = most.and_then(NonZeroU64::new);
                let right: Vec<_> = all
                    .iter()
                    .filter(|e| e.position > after && query.matches(e.stream.category(), e.name.as_str()))
                    .take(most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)))
                    .cloned()
                    .collect();
                let seen = read_to_end(store.read_all(query.clone())).await?;
                ensure_eq!(recorded_ids(&seen), recorded_ids(&right), "events for {query:?}");
            }
        }
    }
    Ok(())
}

/// Law 8: an event is found by its id, as it is read; an unknown id finds nothing.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_event_is_found_by_its_id(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    ensure_eq!(store.find_event(event_id()).await?, None, "an unknown id in an empty store");
    for key in ["a", "b"] {
        for size in [1, 3, 20] {
            store.append(&stream(key), ExpectedVersion::Any, events(size)).await?;
        }
    }
    for right in read_all(&*store, 48).await? {
        let found = store.find_event(right.id).await?.map(|found| RecordedEvent { position: right.position, ..found });
        ensure_eq!(found, Some(right), "an event found by its id");
    }
    ensure_eq!(store.find_event(event_id()).await?, None, "an unknown id");
    Ok(())
}

/// Law 8: `read_all` covers everything up to the head at the call and comes to an end, even while
/// writers go on.
///
/// # Errors
/// When the law is broken.
pub async fn law_08_read_all_ends_at_the_head(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Race::new();
    for writer in 0..2 {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        writers.enter(async move {
            while !done.load(Ordering::Acquire) {
                store.append(&stream(&format!("busy-{writer}")), ExpectedVersion::Any, events(3)).await?;
                sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
    }
    let mut verdict = Ok(());
    for _ in 0..20 {
        let head = store.head().await?;
        let seen = read_to_end(store.read_all(Query::default())).await?;
        if seen.last().and_then(|event| event.position) < head {
            let head = Position::value_of(head);
            verdict =
                Err(crate::LawBroken::new(format!("a read called at head {head} ended after {} events", seen.len())));
            break;
        }
    }
    done.store(true, Ordering::Release);
    writers.results().await?;
    verdict
}

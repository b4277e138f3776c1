//! Laws 1 and 2: appends are whole, and counters have no gaps.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use eventsource_core::{EventStore, ExpectedVersion, NewEvent, Position, StoreError, Version};

use crate::{
    Fixture, Verdict,
    broken::{ensure, ensure_eq, ensure_matches},
    laws::support::{Race, count, event, events, ids, position, read_all, read_stream, recorded_ids, stream, version},
};

/// Law 1: an append without events is `Invalid`, whatever is expected.
///
/// # Errors
/// When the law is broken.
pub async fn law_01_empty_append_is_invalid(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    for expected in [ExpectedVersion::Any, ExpectedVersion::NoStream, ExpectedVersion::StreamExists] {
        let refused = store.append(&stream("empty"), expected, Vec::new()).await;
        ensure_matches!(refused, Err(StoreError::Invalid { .. }), "an append of no events, expecting {expected}");
    }
    ensure_eq!(store.head().await?, None, "the head after appends of no events");
    Ok(())
}

/// Law 1: batches of any size are there as a whole, or, after a conflict, not at all.
///
/// # Errors
/// When the law is broken.
pub async fn law_01_batch_is_all_or_nothing(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    for size in [1, 2, 7, 64, 1_000] {
        let stream = stream(&format!("batch-of-{size}"));
        let batch = events(size);
        let appended = store.append(&stream, ExpectedVersion::NoStream, batch.clone()).await?;
        ensure_eq!(Some(appended.version), Version::new(count(&batch)), "version after a batch of {size}");
        let there = recorded_ids(&read_stream(&*store, &stream).await?);
        ensure_eq!(there, ids(&batch), "stream after a batch of {size}");
        let mut there = there.len();
        // Which of these must be refused is for other laws to say.
        let stale = events(size);
        let mut reuses_an_id = events(size);
        reuses_an_id.push(batch[0].clone());
        let mut bad_name = events(size);
        bad_name.push(NewEvent { name: "".into(), ..event("{}") });
        for doubtful in [stale, reuses_an_id, bad_name] {
            let written = store.append(&stream, ExpectedVersion::NoStream, doubtful.clone()).await.is_ok();
            there += if written { doubtful.len() } else { 0 };
            let seen = read_stream(&*store, &stream).await?.len();
            ensure_eq!(seen, there, "events after a batch of {} that was taken: {written}", doubtful.len());
        }
    }
    Ok(())
}

/// Law 1: a reader that races with writers sees whole batches only, in a stream and in the store.
///
/// # Errors
/// When the law is broken.
pub async fn law_01_readers_never_see_half_a_batch(fixture: Fixture<dyn EventStore>) -> Verdict {
    const BATCH: usize = 5;
    const BATCHES: usize = 60;
    let store = fixture.port();
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Race::new();
    for _ in 0..3 {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        readers.enter(async move {
            let stream = stream("whole");
            while !done.load(Ordering::Acquire) {
                let seen = read_stream(&*store, &stream).await?.len();
                ensure!(seen.is_multiple_of(BATCH), "a reader of the stream saw {seen} events of batches of {BATCH}");
                let head = Position::value_of(store.head().await?);
                ensure!(head.is_multiple_of(5), "the head is at {head} between batches of {BATCH}");
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    let mut writers = Race::new();
    for _ in 0..3 {
        let store = Arc::clone(&store);
        writers.enter(async move {
            for _ in 0..BATCHES / 3 {
                store.append(&stream("whole"), ExpectedVersion::Any, events(BATCH)).await?;
            }
            Ok(())
        });
    }
    let written = writers.results().await;
    done.store(true, Ordering::Release);
    readers.results().await?;
    written?;
    ensure_eq!(read_stream(&*store, &stream("whole")).await?.len(), BATCH * BATCHES, "events in the end");
    Ok(())
}

/// Law 2: versions of each stream and positions of the store run 1, 2, 3 … also past appends that
/// were refused.
///
/// # Errors
/// When the law is broken.
pub async fn law_02_versions_and_positions_have_no_gaps(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let mut stored = 0_u64;
    for round in 0..30_usize {
        for key in ["a", "b", "c"] {
            let batch = events(1 + (round + key.len()) % 4);
            let count = count(&batch);
            let before = read_stream(&*store, &stream(key)).await?.len();
            let appended = store.append(&stream(key), ExpectedVersion::Any, batch).await?;
            stored += count;
            let right = u64::try_from(before).unwrap_or(0) + count;
            ensure_eq!(appended.version, version(right), "version of {key} after {before} and {count} events");
            if let Some(given) = appended.position {
                ensure_eq!(given, position(stored), "position after {stored} events");
                ensure!(store.head().await? >= Some(given), "the head is below {given}, which was acknowledged");
            }
        }
        // What is refused leaves no gap; whether this must be refused is for law 3 to say.
        if store.append(&stream("a"), ExpectedVersion::NoStream, events(3)).await.is_ok() {
            stored += 3;
        }
    }
    for key in ["a", "b", "c"] {
        for (event, right) in read_stream(&*store, &stream(key)).await?.iter().zip(1..) {
            ensure_eq!(event.version, version(right), "versions of {key}");
        }
    }
    let all = read_all(&*store, stored).await?;
    for (event, right) in all.iter().zip(1..) {
        ensure_eq!(event.position, Some(position(right)), "positions of the store");
    }
    ensure_eq!(count(&all), stored, "events in the store");
    Ok(())
}

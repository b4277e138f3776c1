//! Laws 3 and 4: a stale writer loses, and of many only one is not stale.

use std::sync::Arc;

use eventsource_core::{Direction, EventStore, ExpectedVersion, NewEvent, StoreError, StreamId, Version};
use futures::TryStreamExt;

use crate::{
    Fixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{Race, count, events, ids, read_all, read_stream, recorded_ids, start_line, stream, version},
};

/// How many race for one version.
const RACERS: usize = 64;

/// Law 3: a stale expectation is a conflict that reports what is there, and nothing is written.
///
/// # Errors
/// When the law is broken.
pub async fn law_03_stale_append_conflicts(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let (present, missing) = (stream("present"), stream("missing"));
    let stored = events(3);
    store.append(&present, ExpectedVersion::NoStream, stored.clone()).await?;
    let at = |value| ExpectedVersion::Exact(version(value));
    let stale = [
        (&present, ExpectedVersion::NoStream, Version::new(3)),
        (&present, at(1), Version::new(3)),
        (&present, at(2), Version::new(3)),
        (&present, at(4), Version::new(3)),
        (&present, at(u64::MAX), Version::new(3)),
        (&missing, ExpectedVersion::StreamExists, None),
        (&missing, at(1), None),
    ];
    for (stream, expected, there) in stale {
        conflicts(&*store, stream, expected, there).await?;
    }
    ensure_eq!(recorded_ids(&read_stream(&*store, &present).await?), ids(&stored), "the stream after conflicts");
    ensure_eq!(read_stream(&*store, &missing).await?, [], "the missing stream after conflicts");
    ensure_eq!(recorded_ids(&read_all(&*store, 3).await?), ids(&stored), "the store after conflicts");
    Ok(())
}

async fn conflicts(store: &dyn EventStore, to: &StreamId, belief: ExpectedVersion, there: Option<Version>) -> Verdict {
    match store.append(to, belief, events(2)).await {
        Err(StoreError::Conflict { stream, expected, actual }) => {
            ensure_eq!(actual, there, "the version a conflict on {to} reports, expecting {belief}");
            ensure_eq!((&stream, expected), (to, belief), "what a conflict repeats");
        }
        other => ensure!(false, "{to} is at {there:?}, an append expecting {belief} gave {other:?}, not a conflict"),
    }
    Ok(())
}

/// Law 3: an expectation that holds is accepted.
///
/// # Errors
/// When the law is broken.
pub async fn law_03_expectation_that_holds_is_accepted(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let mut at = 0;
    for expected in [
        ExpectedVersion::NoStream,
        ExpectedVersion::Exact(version(1)),
        ExpectedVersion::StreamExists,
        ExpectedVersion::Any,
        ExpectedVersion::Exact(version(4)),
    ] {
        at += 1;
        let appended = store.append(&stream("true"), expected, events(1)).await?;
        ensure_eq!(appended.version, version(at), "version after an append expecting {expected}");
    }
    let fresh = store.append(&stream("any"), ExpectedVersion::Any, events(1)).await?;
    ensure_eq!(fresh.version, Version::FIRST, "version of a stream begun with any expectation");
    Ok(())
}

/// Law 4: of 64 writers that expect the same version exactly one wins.
///
/// # Errors
/// When the law is broken.
pub async fn law_04_one_of_64_racers_wins(fixture: Fixture<dyn EventStore>) -> Verdict {
    const ROUNDS: u64 = 8;
    let store = fixture.port();
    for round in 1..=ROUNDS {
        let expected = ExpectedVersion::at(Version::new(round - 1));
        let line = start_line(RACERS);
        let mut race = Race::new();
        for _ in 0..RACERS {
            let (store, line) = (Arc::clone(&store), Arc::clone(&line));
            race.enter(async move {
                let batch = events(1);
                line.wait().await;
                match store.append(&stream("race"), expected, batch.clone()).await {
                    Ok(_) => Ok(Some(batch[0].id)),
                    Err(StoreError::Conflict { .. }) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            });
        }
        let winners: Vec<_> = race.results().await?.into_iter().flatten().collect();
        ensure_eq!(winners.len(), 1, "winners of round {round}");
        let there = read_stream(&*store, &stream("race")).await?;
        ensure_eq!(count(&there), round, "events after round {round}");
        ensure_eq!(there.last().map(|event| event.id), winners.first().copied(), "the event of the winner");
    }
    Ok(())
}

/// Law 4: writers that load again and try again after each conflict all get through, once each.
///
/// # Errors
/// When the law is broken.
pub async fn law_04_every_racer_gets_through_in_the_end(fixture: Fixture<dyn EventStore>) -> Verdict {
    const WRITERS: usize = 16;
    const APPENDS: usize = 8;
    let store = fixture.port();
    let line = start_line(WRITERS);
    let mut race = Race::new();
    for _ in 0..WRITERS {
        let (store, line) = (Arc::clone(&store), Arc::clone(&line));
        race.enter(async move {
            let mut written = Vec::new();
            line.wait().await;
            for batch in (0..APPENDS).map(|_| events(1)) {
                append_in_the_end(&*store, &batch, WRITERS * APPENDS).await?;
                written.extend(ids(&batch));
            }
            Ok(written)
        });
    }
    let mut written = race.results().await?.concat();
    let mut there = recorded_ids(&read_stream(&*store, &stream("hot")).await?);
    written.sort_unstable();
    there.sort_unstable();
    ensure_eq!(there, written, "the events of all writers");
    Ok(())
}

/// Each conflict means that another writer got through, so there can be no more than appends.
async fn append_in_the_end(store: &dyn EventStore, batch: &[NewEvent], conflicts_max: usize) -> Verdict {
    for _ in 0..=conflicts_max {
        let last = store.read_stream(&stream("hot"), None, Direction::Backward).try_next().await?;
        let expected = ExpectedVersion::at(last.map(|last| last.version));
        match store.append(&stream("hot"), expected, batch.to_vec()).await {
            Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
            appended => return Ok(appended.map(drop)?),
        }
    }
    Err(LawBroken::new(format!("a writer that loads again after each conflict met more than {conflicts_max} of them")))
}

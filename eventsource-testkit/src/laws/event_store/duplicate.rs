//! Law 5: the same event ids are the same append.

use std::sync::Arc;

use eventsource_core::{EventStore, ExpectedVersion, Metadata, NewEvent, StoreError, StreamId};

use crate::{
    Fixture, Verdict,
    broken::{ensure_eq, ensure_matches},
    laws::support::{
        Race, dropped_after_polls, event, events, ids, read_all, read_stream, recorded_ids, start_line, stream,
    },
};

/// Law 5: the same ids again return the first result, whatever is expected, whatever was appended
/// since, and even when another attempt came to another content.
///
/// # Errors
/// When the law is broken.
pub async fn law_05_same_ids_return_the_first_result(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let stream = stream("again");
    let batches = [events(3), events(1), events(2)];
    let mut first = Vec::new();
    for batch in &batches {
        first.push(store.append(&stream, ExpectedVersion::Any, batch.clone()).await?);
    }
    let beliefs = [
        ExpectedVersion::NoStream,
        ExpectedVersion::Any,
        ExpectedVersion::StreamExists,
        ExpectedVersion::Exact(first[0].version),
        ExpectedVersion::Exact(first[2].version.plus(10)),
    ];
    for (batch, first) in batches.iter().zip(&first) {
        for expected in beliefs {
            let again = store.append(&stream, expected, batch.clone()).await?;
            ensure_eq!(again.version, first.version, "version of a repeated append, expecting {expected}");
            ensure_eq!((first.repeated, again.repeated), (false, true), "which append is told as repeated");
            if first.position.is_some() {
                ensure_eq!(again.position, first.position, "position of a repeated append, expecting {expected}");
            }
        }
    }
    let actor = Metadata { actor: Some("another attempt".into()), ..Metadata::default() };
    let other =
        batches[0].iter().map(|e| NewEvent { payload: r#"{"n":0}"#.into(), metadata: actor.clone(), ..e.clone() });
    let again = store.append(&stream, ExpectedVersion::NoStream, other.collect()).await?;
    ensure_eq!(again.version, first[0].version, "version of an append repeated with another content");

    let there = read_all(&*store, 6).await?;
    ensure_eq!(recorded_ids(&there), ids(&batches.concat()), "events after repeated appends");
    ensure_eq!(there[0].payload, batches[0][0].payload, "content after an append repeated with another one");
    Ok(())
}

/// Law 5: attempts of one append that race with each other write once and all learn the result.
///
/// # Errors
/// When the law is broken.
pub async fn law_05_racing_attempts_of_one_append_write_once(fixture: Fixture<dyn EventStore>) -> Verdict {
    const ATTEMPTS: usize = 32;
    let store = fixture.port();
    for round in 0..8 {
        let stream = stream(&format!("attempts-{round}"));
        let batch = events(2);
        let line = start_line(ATTEMPTS);
        let mut race = Race::new();
        for _ in 0..ATTEMPTS {
            let (store, line, stream, batch) = (Arc::clone(&store), Arc::clone(&line), stream.clone(), batch.clone());
            race.enter(async move {
                line.wait().await;
                Ok(store.append(&stream, ExpectedVersion::NoStream, batch).await?)
            });
        }
        for appended in race.results().await? {
            ensure_eq!(appended.version.value(), 2, "version that one of {ATTEMPTS} attempts is told");
        }
        ensure_eq!(recorded_ids(&read_stream(&*store, &stream).await?), ids(&batch), "events after all attempts");
    }
    Ok(())
}

/// Law 5: after an append whose future was dropped, the same ids again give a result, and the
/// events are there once.
///
/// # Errors
/// When the law is broken.
pub async fn law_05_dropped_append_can_be_repeated(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    for polls in 0..12 {
        let stream = stream(&format!("dropped-after-{polls}"));
        let batch = events(3);
        let first = store.append(&stream, ExpectedVersion::NoStream, batch.clone());
        dropped_after_polls(first, polls).await;
        let appended = store.append(&stream, ExpectedVersion::NoStream, batch.clone()).await?;
        ensure_eq!(appended.version.value(), 3, "version after an append dropped after {polls} polls and repeated");
        let there = recorded_ids(&read_stream(&*store, &stream).await?);
        ensure_eq!(there, ids(&batch), "events after an append dropped after {polls} polls and repeated");
    }
    Ok(())
}

/// Law 5: a batch that reuses an id and is not that append again is `Invalid`, and nothing of it is
/// written.
///
/// # Errors
/// When the law is broken.
pub async fn law_05_batch_that_reuses_an_id_is_invalid(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let (ours, theirs) = (stream("ours"), stream("theirs"));
    let (first, second) = (events(3), events(1));
    store.append(&ours, ExpectedVersion::Any, first.clone()).await?;
    store.append(&ours, ExpectedVersion::Any, second.clone()).await?;
    let [a, b, c] = [first[0].clone(), first[1].clone(), first[2].clone()];
    let twice = event("{}");
    let reuses: [(&str, &StreamId, Vec<NewEvent>); 9] = [
        ("the first of another batch", &ours, vec![a.clone(), event("{}")]),
        ("the last of another batch", &ours, vec![event("{}"), c.clone()]),
        ("a part of another batch", &ours, vec![a.clone(), b.clone()]),
        ("one event of another batch", &ours, vec![b.clone()]),
        ("another batch and one more", &ours, vec![a.clone(), b.clone(), c.clone(), event("{}")]),
        ("two other batches", &ours, [first.clone(), second].concat()),
        ("another batch in another order", &ours, vec![c, b, a]),
        ("a batch of another stream", &theirs, first.clone()),
        ("an id twice", &theirs, vec![twice.clone(), twice]),
    ];
    for (what, stream, batch) in reuses {
        for expected in [ExpectedVersion::Any, ExpectedVersion::NoStream] {
            let refused = store.append(stream, expected, batch.clone()).await;
            ensure_matches!(
                refused,
                Err(StoreError::Invalid { .. }),
                "a batch that reuses {what}, expecting {expected}"
            );
        }
    }
    ensure_eq!(read_stream(&*store, &theirs).await?, [], "the other stream after batches that reuse ids");
    ensure_eq!(read_all(&*store, 4).await?.len(), 4, "events after batches that reuse ids");
    Ok(())
}

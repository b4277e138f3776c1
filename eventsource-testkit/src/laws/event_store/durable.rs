//! Law 6, as far as a single process can see: what was acknowledged is there after reopening.

use eventsource_core::{EventStore, ExpectedVersion};

use crate::{
    Fixture, Verdict,
    broken::ensure_eq,
    laws::support::{events, read_all, read_stream, stream},
};

/// Law 6: everything acknowledged is there, value for value, after the store was closed and opened
/// again; ids are still known and counters go on.
///
/// A store that cannot be opened again says why, and starts empty.
///
/// # Errors
/// When the law is broken.
pub async fn law_06_acknowledged_is_there_after_reopening(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    ensure_eq!(store.head().await?, None, "the head of a fresh store");
    let first = events(3);
    store.append(&stream("a"), ExpectedVersion::NoStream, first.clone()).await?;
    for _ in 0..20 {
        store.append(&stream("b"), ExpectedVersion::Any, events(2)).await?;
    }
    let before = read_all(&*store, 43).await?;
    drop(store);
    let Some(fixture) = fixture.reopened().await? else { return Ok(()) };
    let store = fixture.port();
    ensure_eq!(read_all(&*store, 43).await?, before, "the store after it was opened again");
    let again = store.append(&stream("a"), ExpectedVersion::NoStream, first).await?;
    ensure_eq!(again.version.value(), 3, "version of an append repeated after the store was opened again");
    let more = store.append(&stream("b"), ExpectedVersion::Any, events(1)).await?;
    ensure_eq!(more.version.value(), 41, "version of an append after the store was opened again");
    ensure_eq!(read_all(&*store, 44).await?.len(), 44, "events after one more append");
    ensure_eq!(read_stream(&*store, &stream("b")).await?.len(), 41, "events of the stream after one more append");
    Ok(())
}

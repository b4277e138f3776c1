//! What a [`SnapshotStore`] promises: a cache that never goes back.

use std::sync::Arc;

use eventsource_core::{Snapshot, SnapshotStore};

use super::support::{Race, start_line, stream, version};
use crate::{
    Fixture, Verdict,
    broken::{ensure, ensure_eq},
};

fn snapshot(key: &str, at: u64, fingerprint: u64) -> Snapshot {
    let state = format!(r#"{{"key":"{key}","at":{at},"ü":"\u0000"}}"#).into();
    Snapshot { stream: stream(key), version: version(at), fingerprint, state }
}

/// The newest snapshot of a stream and fingerprint is kept, byte for byte; an older one that comes
/// later changes nothing.
///
/// # Errors
/// When the law is broken.
pub async fn snapshot_newest_is_kept(fixture: Fixture<dyn SnapshotStore>) -> Verdict {
    let store = fixture.port();
    ensure_eq!(store.load(&stream("a"), 1).await?, None, "a snapshot that was never saved");
    for (saved, right) in [(1, 1), (5, 5), (3, 5), (5, 5), (6, 6), (1, 6)] {
        store.save(snapshot("a", saved, 1)).await?;
        ensure_eq!(
            store.load(&stream("a"), 1).await?,
            Some(snapshot("a", right, 1)),
            "after version {saved} was saved"
        );
    }
    let mut binary = snapshot("a", 7, 1);
    binary.state = (0..=255).cycle().take(100_000).collect::<Vec<u8>>().into();
    store.save(binary.clone()).await?;
    ensure!(store.load(&stream("a"), 1).await? == Some(binary), "a state of 100,000 bytes came back changed");
    Ok(())
}

/// Streams and fingerprints have snapshots of their own.
///
/// # Errors
/// When the law is broken.
pub async fn snapshot_of_another_shape_is_not_found(fixture: Fixture<dyn SnapshotStore>) -> Verdict {
    let store = fixture.port();
    let fingerprints = [0, 1, u64::MAX, 1 << 63];
    for key in ["a", "A", "a/b"] {
        for (fingerprint, at) in fingerprints.iter().zip(1..) {
            store.save(snapshot(key, at, *fingerprint)).await?;
        }
    }
    for key in ["a", "A", "a/b"] {
        for (fingerprint, at) in fingerprints.iter().zip(1..) {
            let seen = store.load(&stream(key), *fingerprint).await?;
            ensure_eq!(seen, Some(snapshot(key, at, *fingerprint)), "the snapshot of {key} at {fingerprint}");
        }
        ensure_eq!(store.load(&stream(key), 2).await?, None, "a snapshot of {key} in another shape");
    }
    ensure_eq!(store.load(&stream("b"), 1).await?, None, "a snapshot of another stream");
    Ok(())
}

/// Of snapshots saved at once the newest stays.
///
/// # Errors
/// When the law is broken.
pub async fn snapshot_newest_of_a_race_is_kept(fixture: Fixture<dyn SnapshotStore>) -> Verdict {
    const RACERS: u64 = 16;
    let store = fixture.port();
    for round in 0..8 {
        let key = format!("race-{round}");
        let line = start_line(usize::try_from(RACERS).unwrap_or(0));
        let mut race = Race::new();
        for at in 1..=RACERS {
            let (store, line, key) = (Arc::clone(&store), Arc::clone(&line), key.clone());
            race.enter(async move {
                line.wait().await;
                Ok(store.save(snapshot(&key, at, 1)).await?)
            });
        }
        race.results().await?;
        ensure_eq!(
            store.load(&stream(&key), 1).await?,
            Some(snapshot(&key, RACERS, 1)),
            "after {RACERS} saves at once"
        );
    }
    Ok(())
}

/// After the store was closed and opened again a snapshot is whole or missing, never another.
///
/// A store that cannot be opened again says why.
///
/// # Errors
/// When the law is broken.
pub async fn snapshot_is_whole_after_reopening(fixture: Fixture<dyn SnapshotStore>) -> Verdict {
    let store = fixture.port();
    store.save(snapshot("a", 1, 1)).await?;
    store.save(snapshot("a", 2, 1)).await?;
    drop(store);
    let Some(fixture) = fixture.reopened().await? else { return Ok(()) };
    let seen = fixture.port().load(&stream("a"), 1).await?;
    let right = [None, Some(snapshot("a", 1, 1)), Some(snapshot("a", 2, 1))];
    ensure!(right.contains(&seen), "the snapshot after reopening is {seen:?}");
    Ok(())
}

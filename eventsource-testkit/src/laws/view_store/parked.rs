//! Law 17 at the port: streams that stand still.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use eventsource_core::{Parked, Position, StreamId, ViewBatch, ViewStore};
use serde_json::json;

use super::{batch, prepared, set, view};
use crate::{
    Fixture, Verdict,
    broken::ensure_eq,
    laws::support::{position, stream, version},
};

fn parked(key: &str, at: u64, attempts: u32) -> Parked {
    Parked {
        stream: stream(key),
        version: version(at),
        position: position(at),
        event: "happened".into(),
        reason: format!("it cannot be \"folded\" in: ü {at}"),
        attempts,
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
    }
}

fn parking(park: Vec<Parked>, release: Vec<StreamId>) -> ViewBatch {
    let mut batch = ViewBatch::default();
    batch.park = park;
    batch.release = release;
    batch
}

/// Law 17: parked streams are listed with their reason in position order, once each, until they are
/// released, and are parked together with the batch that passes them by.
///
/// # Errors
/// When the law is broken.
pub async fn law_17_parked_streams_are_listed_until_released(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let other = set("others", 1);
    store.prepare(&other, &[]).await?;
    let most = NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN);
    ensure_eq!(store.parked(&views, None, most).await?, [], "parked streams before the first");

    let mut first = batch(9, vec![view("a", 9, &json!({}))]);
    first.park = vec![parked("c", 7, 1), parked("a", 3, 1), parked("b", 5, 1)];
    store.commit(&views, first).await?;
    let listed = [parked("a", 3, 1), parked("b", 5, 1), parked("c", 7, 1)];
    ensure_eq!(store.parked(&views, None, most).await?, listed, "parked streams");
    ensure_eq!(store.parked(&other, None, most).await?, [], "parked streams of another projection");
    ensure_eq!(store.parked(&views, Position::new(3), most).await?, listed[1..], "parked streams after position 3");
    ensure_eq!(store.parked(&views, None, NonZeroU32::MIN).await?, listed[..1], "one parked stream");

    store.commit(&views, parking(vec![parked("b", 5, 4)], vec![stream("a"), stream("never parked")])).await?;
    let listed = [parked("b", 5, 4), parked("c", 7, 1)];
    ensure_eq!(store.parked(&views, None, most).await?, listed, "after a release and one more attempt");
    ensure_eq!(
        store.checkpoint(&views).await?.and_then(|checkpoint| checkpoint.position),
        Some(position(9)),
        "the checkpoint after a commit that only parks"
    );
    store.commit(&views, parking(Vec::new(), vec![stream("b"), stream("c")])).await?;
    ensure_eq!(store.parked(&views, None, most).await?, [], "after all were released");
    Ok(())
}

//! What views should be: each event folded in once, in order, by a plain loop.

use std::collections::BTreeMap;

use eventsource_core::{
    Codec, Envelope, Event, EventStore, Position, ProjectionId, Projector, Query, StoredView, Version, ViewStore,
};
use futures::TryStreamExt;
use serde_json::Value;

use crate::{
    LawBroken, Verdict,
    broken::{ensure, ensure_eq},
};

/// A view beside the version and position of the last event in it.
type Folded<P> = BTreeMap<String, (Option<<P as Projector>::View>, Version, Option<Position>)>;

async fn fold<P: Projector>(
    projector: &P,
    store: &dyn EventStore,
    skipped: Option<Position>,
) -> Result<Folded<P>, LawBroken> {
    let mut views = Folded::<P>::new();
    let mut events = store.read_all(Query::default().category(P::CATEGORY).names(P::Event::NAMES));
    let codec = Codec::<P::Event>::default();
    while let Some(record) = events.try_next().await? {
        if record.position == skipped {
            continue;
        }
        for event in codec.decode(&record)? {
            let envelope = Envelope { event, record: record.clone() };
            let Some(key) = projector.key(&envelope) else { continue };
            let before = views.get(&key).and_then(|(view, ..)| view.clone());
            match projector.project(before, &envelope) {
                Ok(view) => drop(views.insert(key, (view, record.version, record.position))),
                Err(error) => return Err(LawBroken::caused("an event of the law cannot be folded in", error)),
            }
        }
    }
    Ok(views)
}

/// Every view is the fold of its events, value for value, with the version and position of the last
/// one. `skipped` is an event that was discarded.
pub(super) async fn ensure_fold<P: Projector>(
    projector: &P,
    store: &dyn EventStore,
    views: &dyn ViewStore,
    skipped: Option<Position>,
) -> Verdict {
    let set = ProjectionId::of::<P>();
    let right = fold(projector, store, skipped).await?;
    let keys: Vec<_> = right.keys().cloned().collect();
    for (seen, (key, (view, version, position))) in views.load(&set, &keys).await?.iter().zip(&right) {
        let Some(StoredView { version: seen_version, position: seen_position, body, .. }) = seen else {
            ensure!(view.is_none(), "there is no view {key:?} of {set}");
            continue;
        };
        let body = body.as_deref().map(serde_json::from_slice::<Value>).transpose()?;
        let right = view.as_ref().map(serde_json::to_value).transpose()?;
        ensure_eq!(body, right, "view {key:?} of {set}");
        ensure_eq!(*seen_version, Some(*version), "version of view {key:?} of {set}");
        // A repaired view is new to those who ask what changed, so it changed where the repair was made.
        let repaired = skipped.is_some() && seen_position > position;
        ensure!(
            repaired || seen_position == position,
            "view {key:?} of {set} is at {seen_position:?}, its last event at {position:?}"
        );
    }
    let total = views.find(&set, eventsource_core::ViewQuery::default()).await?.total;
    let alive = right.values().filter(|(view, ..)| view.is_some()).count();
    ensure_eq!(Some(total), u64::try_from(alive).ok(), "how many views of {set} there are");
    Ok(())
}

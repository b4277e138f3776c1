//! Law 18 at the port: which version of a projection queries read.

use std::num::NonZeroU32;

use eventsource_core::{StoreError, ViewQuery, ViewStore};
use serde_json::json;

use super::{batch, set, view};
use crate::{
    Fixture, Verdict,
    broken::{ensure_eq, ensure_matches},
};

/// Law 18: no version serves until one is told to; then it switches, per name.
///
/// # Errors
/// When the law is broken.
pub async fn law_18_serving_version_switches(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    for version in [1, 2] {
        store.prepare(&set("views", version), &[]).await?;
        store.prepare(&set("others", version), &[]).await?;
    }
    ensure_eq!(store.serving("views").await?, None, "the serving version at first");
    for version in [1, 2, 2, 1, 2] {
        store.serve(&set("views", version)).await?;
        ensure_eq!(store.serving("views").await?, Some(version), "the serving version after a switch");
        ensure_eq!(store.serving("others").await?, None, "the serving version of another projection");
    }
    Ok(())
}

/// Law 18: removing a version takes its views, checkpoint and parked events away and leaves the
/// others; the version that serves cannot be removed.
///
/// # Errors
/// When the law is broken.
pub async fn law_18_set_of_views_is_removed_unless_served(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let (old, new) = (set("views", 1), set("views", 2));
    for set in [&old, &new] {
        store.prepare(set, &["n"]).await?;
        store.commit(set, batch(3, vec![view("a", 3, &json!({"n": 1}))])).await?;
    }
    store.serve(&old).await?;
    let refused = store.remove(&old).await;
    ensure_matches!(refused, Err(StoreError::Invalid { .. }), "removing the version that serves");
    store.serve(&new).await?;
    store.remove(&old).await?;
    store.remove(&old).await?;
    ensure_eq!(store.load(&old, &["a".to_owned()]).await?, [None], "a view of a removed version");
    ensure_eq!(store.checkpoint(&old).await?, None, "the checkpoint of a removed version");
    ensure_eq!(store.changed(&old, None, NonZeroU32::MIN).await?, [], "changes of a removed version");
    ensure_eq!(store.load(&new, &["a".to_owned()]).await?.iter().flatten().count(), 1, "views of the other version");
    ensure_eq!(store.find(&new, ViewQuery::default()).await?.total, 1, "the total of the other version");

    store.prepare(&old, &["n"]).await?;
    ensure_eq!(store.find(&old, ViewQuery::default()).await?.total, 0, "the total of a version that is begun again");
    ensure_eq!(store.checkpoint(&old).await?, None, "the checkpoint of a version that is begun again");
    Ok(())
}

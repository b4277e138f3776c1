//! Law 15: a view is read as it was written.

use eventsource_core::{Position, ProjectionId, StoreError, StoredView, ViewStore};
use serde_json::{Value, json};

use super::{batch, prepared, removed, set, view};
use crate::{
    Fixture, Verdict,
    broken::{ensure_eq, ensure_matches},
};

/// Law 15: views come back value for value, in the order of the keys asked, `None` for a missing one.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_views_come_back_in_the_order_asked(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    ensure_eq!(store.load(&views, &["a".to_owned()]).await?, [None], "a view before the first commit");
    let keys = ["b", "a", "A", "a/b", "Ünïcode 日本", "'", "\"", "%", "a.b$", " a"];
    let body = |n: usize| json!({"n": n, "big": u64::MAX, "float": 0.1, "text": "é'\"\\ \u{0}", "deep": {"a.b": [null, true]}});
    let written: Vec<_> = keys.iter().zip(1..).map(|(key, n)| view(key, n, &body(keys[0].len()))).collect();
    store.commit(&views, batch(10, written.clone())).await?;
    let asked = ["missing", " a", "b", "a", "b", "A", "a/b", "Ünïcode 日本", "'", "\"", "%", "a.b$"];
    let asked = asked.map(str::to_owned);
    let seen = store.load(&views, &asked).await?;
    ensure_eq!(seen.len(), asked.len(), "answers for the keys asked");
    for (key, seen) in asked.iter().zip(&seen) {
        same_view(seen.as_ref(), written.iter().find(|view| view.key == *key))?;
    }
    ensure_eq!(store.load(&views, &[]).await?, [], "answers for no keys");

    let unversioned = StoredView { version: None, position: None, ..view("b", 1, &json!({"n": 2})) };
    store.commit(&views, batch(11, vec![unversioned.clone()])).await?;
    same_view(store.load(&views, &["b".to_owned()]).await?[0].as_ref(), Some(&unversioned))
}

fn same_view(seen: Option<&StoredView>, right: Option<&StoredView>) -> Verdict {
    let facts = |view: &StoredView| (view.key.clone(), view.version, view.position, view.body.is_some());
    ensure_eq!(seen.map(facts), right.map(facts), "a view that came back");
    let value = |view: &StoredView| view.body.as_deref().map(serde_json::from_slice::<Value>).transpose();
    ensure_eq!(
        seen.map(value).transpose()?.flatten(),
        right.map(value).transpose()?.flatten(),
        "the body of view {:?}",
        seen.map(|view| view.key.as_str())
    );
    Ok(())
}

/// Law 15: a removed view comes back without a body, keeps its guard, and can come to life again.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_removed_view_is_known_as_removed(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let key = ["a".to_owned()];
    for (at, written) in [
        (1, view("a", 1, &json!({"n": 1}))),
        (2, removed("a", 2)),
        (3, view("a", 3, &json!({"n": 3}))),
        (4, removed("a", 4)),
    ] {
        store.commit(&views, batch(at, vec![written.clone()])).await?;
        same_view(store.load(&views, &key).await?[0].as_ref(), Some(&written))?;
    }
    Ok(())
}

/// Law 15: versions and names of projections have views, checkpoints and indexes of their own.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_sets_of_views_do_not_mix(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let sets = [set("one", 1), set("one", 2), set("one-1", 1), set("one_1", 1), set("two", 1)];
    for set in &sets {
        store.prepare(set, &["n"]).await?;
    }
    for (set, at) in sets.iter().zip(1..) {
        store.commit(set, batch(at, vec![view("a", at, &json!({"n": at}))])).await?;
        // Preparing again is harmless.
        store.prepare(set, &["n"]).await?;
    }
    for (set, at) in sets.iter().zip(1..) {
        let seen = store.load(set, &["a".to_owned()]).await?;
        same_view(seen[0].as_ref(), Some(&view("a", at, &json!({"n": at}))))?;
        let checkpoint = store.checkpoint(set).await?.and_then(|checkpoint| checkpoint.position);
        ensure_eq!(checkpoint.map(Position::value), Some(at), "the checkpoint of {set}");
    }
    Ok(())
}

/// Law 15: a name or a field that cannot be used is `Invalid` from the start.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_what_cannot_be_a_name_is_invalid(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    for name in ["", "Views", "a b", "a/b", "ä", &"n".repeat(65)] {
        let refused = store.prepare(&ProjectionId { name: name.to_owned().into(), version: 1 }, &[]).await;
        ensure_matches!(refused, Err(StoreError::Invalid { .. }), "a projection named {name:?}");
    }
    let refused = store.prepare(&set("views", 1), &["n", ""]).await;
    ensure_matches!(refused, Err(StoreError::Invalid { .. }), "an index on a field without a name");
    store.prepare(&set("a-z_09", 1), &["camelCase", "snake_case"]).await?;
    Ok(())
}

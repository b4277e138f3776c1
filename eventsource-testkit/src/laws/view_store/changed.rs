//! Law 15: what changed since a position.

use std::num::NonZeroU32;

use eventsource_core::{Position, ViewStore};
use serde_json::json;

use super::{batch, prepared, removed, view};
use crate::{Fixture, Verdict, broken::ensure_eq};

/// Law 15: `changed` lists each view once, at its newest position, removed ones too, in position
/// order, above the bound and up to the limit.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_changed_views_come_in_position_order(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let limit = |limit| NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
    ensure_eq!(store.changed(&views, None, limit(10)).await?, [], "changes before the first commit");
    let body = json!({"n": 1});
    store
        .commit(
            &views,
            batch(4, vec![view("d", 2, &body), view("a", 1, &body), view("c", 4, &body), view("b", 3, &body)]),
        )
        .await?;
    store.commit(&views, batch(6, vec![view("a", 5, &body), removed("b", 6)])).await?;
    store.commit(&views, batch(8, vec![removed("e", 8)])).await?;
    let right = [("d", 2), ("c", 4), ("a", 5), ("b", 6), ("e", 8)];
    for after in 0..=9_u64 {
        for most in [1, 2, 4, 100] {
            let seen = store.changed(&views, Position::new(after), limit(most)).await?;
            let seen: Vec<_> =
                seen.iter().map(|v| (v.key.as_str(), Position::value_of(v.position), v.body.is_none())).collect();
            let right = right.iter().filter(|(_, at)| *at > after).take(usize::try_from(most).unwrap_or(0));
            let right: Vec<_> = right.map(|(key, at)| (*key, *at, matches!(*key, "b" | "e"))).collect();
            ensure_eq!(seen, right, "at most {most} changes after {after}: key, position, whether it is removed");
        }
    }
    Ok(())
}

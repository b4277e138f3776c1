//! Law 15: pages of views.

use std::collections::HashSet;

use eventsource_core::{Direction, PAGE_MAX, ProjectionId, Search, StoreError, ViewPage, ViewQuery, ViewStore};
use serde_json::{Map, Value, json};

use super::{
    batch,
    find_model::{Model, matching},
    prepared, removed, view,
};
use crate::{
    Fixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq, ensure_matches},
    laws::support::{count, seed},
};

const STATUSES: [&str; 3] = ["RUNNING", "COMPLETED", "FAILED"];
const OWNERS: [&str; 9] = ["ada", "Ada", "bob", "BOB%", "b_b", "o'neil", "Åse", "日本", "c\\d"];
const TEXTS: [&str; 12] = ["", "a", "A", "b", "%", "_", "'", "\\", "日", "Å", "unn", "view-1"];
const NUMBERS: i64 = 20;

/// Law 15: pages, totals, orders, filters and searches are those of a plain filter and sort over
/// all views, and a walk from page to page shows each view once.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_pages_agree_with_a_vec(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let seed = seed(15);
    let mut random = fastrand::Rng::with_seed(seed);
    let model = fill(&*store, &views, &mut random).await?;
    for _ in 0..80 {
        let query = any_query(&mut random);
        let right = matching(&model, &query);
        let seen = walk(&*store, &views, &query, count(&right)).await?;
        ensure_eq!(seen, right, "keys found by {query:?} (seed {seed})");
        let mut counting = query.clone();
        counting.limit = 0;
        let ViewPage { views: none, total, .. } = store.find(&views, counting).await?;
        ensure_eq!((none.len(), total), (0, count(&right)), "the count alone for {query:?} (seed {seed})");
    }
    Ok(())
}

/// 200 views of which some were changed and some removed again.
async fn fill(store: &dyn ViewStore, views: &ProjectionId, random: &mut fastrand::Rng) -> Result<Model, LawBroken> {
    let mut model = Model::new();
    let mut at = 0;
    for _ in 0..10 {
        let mut written = Vec::new();
        for _ in 0..30 {
            at += 1;
            let key = format!("{}-{}", if random.bool() { "view" } else { "Ansicht" }, random.u8(0..150));
            if written.iter().any(|view: &eventsource_core::StoredView| view.key == key) {
                continue;
            }
            model.retain(|(other, _)| *other != key);
            if random.u8(0..8) == 0 {
                written.push(removed(&key, at));
            } else {
                let body = any_body(random);
                written.push(view(&key, at, &Value::Object(body.clone())));
                model.push((key, body));
            }
        }
        store.commit(views, batch(at, written)).await?;
    }
    Ok(model)
}

fn any_body(random: &mut fastrand::Rng) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("hidden".to_owned(), json!(random.u8(..)));
    if random.u8(0..6) > 0 {
        body.insert("status".to_owned(), json!(STATUSES[random.usize(0..STATUSES.len())]));
    }
    if random.u8(0..6) > 0 {
        body.insert("owner".to_owned(), json!(OWNERS[random.usize(0..OWNERS.len())]));
    } else if random.bool() {
        body.insert("owner".to_owned(), Value::Null);
    }
    if random.u8(0..6) > 0 {
        body.insert("n".to_owned(), json!(random.i64(-NUMBERS..NUMBERS)));
    }
    body
}

fn any_query(random: &mut fastrand::Rng) -> ViewQuery {
    let mut query = ViewQuery::default();
    if random.u8(0..3) == 0 {
        query.equal.push(("status".into(), STATUSES[random.usize(0..STATUSES.len())].to_owned()));
    }
    if random.u8(0..5) == 0 {
        query.equal.push(("owner".into(), OWNERS[random.usize(0..OWNERS.len())].to_owned()));
    }
    if random.u8(0..5) == 0 {
        query.equal.push(("n".into(), random.i64(-NUMBERS..NUMBERS).to_string()));
    }
    if random.u8(0..3) == 0 {
        let fields = [&["owner"][..], &["status"], &["owner", "status"], &[]];
        let fields = fields[random.usize(0..fields.len())].iter().map(|field| (*field).into()).collect();
        query.search = Some(Search { fields, text: TEXTS[random.usize(0..TEXTS.len())].to_owned() });
    }
    if random.u8(0..3) > 0 {
        let field = ["owner", "status", "n"][random.usize(0..3)];
        query.order = Some((field.into(), if random.bool() { Direction::Forward } else { Direction::Backward }));
    }
    query.limit = random.u32(1..40);
    query
}

/// The keys on all pages, each page checked against the limit, the total and what follows.
async fn walk(
    store: &dyn ViewStore,
    views: &ProjectionId,
    query: &ViewQuery,
    total: u64,
) -> Result<Vec<String>, LawBroken> {
    let mut query = query.clone();
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.find(views, query.clone()).await?;
        let size = u64::from(query.limit).min(total - count(&keys));
        ensure_eq!(count(&page.views), size, "views on the page after {} of {total} for {query:?}", keys.len());
        ensure_eq!(page.total, total, "the total for {query:?}");
        keys.extend(page.views.iter().map(|found| found.view.key.clone()));
        ensure!(count(&keys) <= total, "more than {total} views for {query:?}");
        ensure_eq!(
            page.more,
            count(&keys) < total,
            "whether more follows after {} of {total} for {query:?}",
            keys.len()
        );
        match page.views.last() {
            Some(last) if page.more => query.after = Some(last.cursor.clone()),
            _ => return Ok(keys),
        }
    }
}

/// Law 15: a walk over pages shows every view that was there all the time exactly once, whatever is
/// written or removed between two pages.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_walk_over_pages_survives_changes(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let body = |n: u64| json!({"n": n / 4, "status": "RUNNING"});
    let steady: Vec<_> = (0..60_u64).map(|n| view(&format!("steady-{n:02}"), n + 1, &body(n))).collect();
    let passing: Vec<_> = (0..60_u64).map(|n| view(&format!("passing-{n:02}"), n + 61, &body(n))).collect();
    store.commit(&views, batch(120, [steady, passing].concat())).await?;
    for (direction, round) in [(Direction::Forward, 0), (Direction::Backward, 1)] {
        let mut query = ViewQuery::default();
        query.order = Some(("n".into(), direction));
        query.limit = 7;
        let mut seen = Vec::new();
        let mut at = 121 + round * 1_000;
        loop {
            let page = store.find(&views, query.clone()).await?;
            seen.extend(page.views.iter().map(|found| found.view.key.clone()));
            let Some(last) = page.views.last().filter(|_| page.more) else { break };
            query.after = Some(last.cursor.clone());
            // The view at the cursor itself goes away, and another comes in before it.
            let gone = last.view.key.starts_with("passing").then(|| removed(&last.view.key, at));
            let new = view(&format!("passing-new-{at}"), at + 1, &body(at % 60));
            store.commit(&views, batch(at + 1, gone.into_iter().chain([new]).collect())).await?;
            at += 2;
        }
        let mut steady: Vec<_> = seen.iter().filter(|key| key.starts_with("steady")).collect();
        let shown = steady.len();
        steady.sort_unstable();
        steady.dedup();
        ensure_eq!((shown, steady.len()), (60, 60), "views that were there all the time, shown {direction:?}");
        let once: HashSet<_> = seen.iter().collect();
        ensure_eq!(once.len(), seen.len(), "views shown, {direction:?}, each once");
    }
    Ok(())
}

/// Law 15: a field without an index, and a cursor that is not the store's own, are `Invalid`.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_foreign_fields_and_cursors_are_invalid(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    store.commit(&views, batch(1, vec![view("a", 1, &json!({"hidden": "x", "n": 1}))])).await?;
    let mut equal = ViewQuery::default();
    equal.equal.push(("hidden".into(), "x".to_owned()));
    let mut order = ViewQuery::default();
    order.order = Some(("hidden".into(), Direction::Forward));
    let mut search = ViewQuery::default();
    search.search = Some(Search { fields: vec!["n".into(), "hidden".into()], text: "x".to_owned() });
    let mut injection = ViewQuery::default();
    injection.equal.push(("n') OR ('1".into(), "x".to_owned()));
    for query in [equal, order, search, injection] {
        let refused = store.find(&views, query.clone()).await;
        ensure_matches!(refused, Err(StoreError::Invalid { .. }), "a field without an index in {query:?}");
    }
    for cursor in ["", "a", "0", "null", "[]", "{}", "bm90IG91cnM=", "é"] {
        let mut query = ViewQuery::default();
        query.after = Some(cursor.to_owned());
        query.limit = 1;
        ensure_matches!(store.find(&views, query).await, Err(StoreError::Invalid { .. }), "the cursor {cursor:?}");
    }
    Ok(())
}

/// Law 15: a page holds at most [`PAGE_MAX`] views, whatever was asked.
///
/// # Errors
/// When the law is broken.
pub async fn law_15_page_is_capped(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let total = u64::from(PAGE_MAX) + 10;
    let written = (1..=total).map(|n| view(&format!("{n:05}"), n, &json!({ "n": n }))).collect();
    store.commit(&views, batch(total, written)).await?;
    let mut query = ViewQuery::default();
    query.limit = u32::MAX;
    let page = store.find(&views, query.clone()).await?;
    ensure_eq!((count(&page.views), page.more, page.total), (u64::from(PAGE_MAX), true, total), "a page without bound");
    query.after = page.views.last().map(|last| last.cursor.clone());
    let page = store.find(&views, query).await?;
    ensure_eq!((count(&page.views), page.more, page.total), (10, false, total), "the page after it");
    Ok(())
}

//! Law 16: views and the checkpoint they stand for move together or not at all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use eventsource_core::{Position, ProjectionId, StoreError, StoredView, ViewBatch, ViewStore};
use serde_json::json;

use super::{batch, prepared, view};
use crate::{
    Fixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{Race, dropped_after_polls},
};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A commit that moves every view and the checkpoint to `at`.
fn generation(at: u64) -> ViewBatch {
    batch(at, KEYS.map(|key| view(key, at, &json!({ "n": at }))).into())
}

async fn checkpoint(store: &dyn ViewStore, views: &ProjectionId) -> Result<u64, LawBroken> {
    Ok(store.checkpoint(views).await?.map_or(0, |checkpoint| Position::value_of(checkpoint.position)))
}

/// The generation that all views are at: one load shows one commit.
async fn loaded(store: &dyn ViewStore, views: &ProjectionId) -> Result<u64, LawBroken> {
    let seen = store.load(views, &KEYS.map(str::to_owned)).await?;
    let at: Vec<_> = seen.iter().map(|view| view.as_ref().map_or(0, at)).collect();
    ensure!(at.iter().all(|other| *other == at[0]), "one load shows views of several commits: {at:?}");
    Ok(at[0])
}

fn at(view: &StoredView) -> u64 {
    Position::value_of(view.position)
}

/// Views are never behind the checkpoint, nor the checkpoint behind views that were seen before it.
async fn ensure_together(store: &dyn ViewStore, views: &ProjectionId, when: &str) -> Verdict {
    let before = checkpoint(store, views).await?;
    let seen = loaded(store, views).await?;
    let after = checkpoint(store, views).await?;
    ensure!(seen >= before, "the checkpoint was at {before}, views read later are at {seen}, {when}");
    ensure!(after >= seen, "views are at {seen}, the checkpoint read later is at {after}, {when}");
    Ok(())
}

/// Law 16: a reader that races with commits sees each of them as a whole.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_readers_never_see_half_a_commit(fixture: Fixture<dyn ViewStore>) -> Verdict {
    const COMMITS: u64 = 150;
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Race::new();
    for _ in 0..3 {
        let (store, views, done) = (Arc::clone(&store), views.clone(), Arc::clone(&done));
        readers.enter(async move {
            while !done.load(Ordering::Acquire) {
                ensure_together(&*store, &views, "while commits go on").await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    let mut written = Ok(());
    for at in 1..=COMMITS {
        written = store.commit(&views, generation(at)).await;
        if written.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Release);
    readers.results().await?;
    written?;
    ensure_eq!(checkpoint(&*store, &views).await?, COMMITS, "the checkpoint in the end");
    ensure_eq!(loaded(&*store, &views).await?, COMMITS, "the views in the end");
    Ok(())
}

/// Law 16: a commit whose future is dropped is there as a whole or not at all, and can be repeated.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_dropped_commit_is_all_or_nothing(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    store.commit(&views, generation(1)).await?;
    for (polls, at) in (0..16).zip(2..) {
        dropped_after_polls(store.commit(&views, generation(at)), polls).await;
        ensure_together(&*store, &views, &format!("after a commit was dropped after {polls} polls")).await?;
        store.commit(&views, generation(at)).await?;
        ensure_eq!(checkpoint(&*store, &views).await?, at, "the checkpoint after a dropped commit was repeated");
        ensure_eq!(loaded(&*store, &views).await?, at, "the views after a dropped commit was repeated");
    }
    Ok(())
}

/// Law 16: a batch that a store refuses writes nothing, however late the part that it refuses.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_refused_batch_writes_nothing(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    store.commit(&views, generation(1)).await?;
    let mut broken_body = generation(2);
    broken_body.views[4].body = Some("{\"n\":".into());
    let mut key_twice = generation(2);
    key_twice.views.push(view("a", 2, &json!({"n": 0})));
    for (what, refused) in [("a body that is not JSON", broken_body), ("a key twice", key_twice)] {
        match store.commit(&views, refused).await {
            Err(StoreError::Invalid { .. }) => {
                ensure_eq!(checkpoint(&*store, &views).await?, 1, "the checkpoint after {what}");
                ensure_eq!(loaded(&*store, &views).await?, 1, "the views after {what}");
            }
            other => ensure!(false, "a batch with {what} gave {other:?}, not invalid"),
        }
    }
    Ok(())
}

/// Law 16: a batch that is committed again, because its outcome was unknown, changes nothing.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_same_batch_again_changes_nothing(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    let everything = || async {
        let seen = store.load(&views, &KEYS.map(str::to_owned)).await?;
        let changed = store.changed(&views, None, std::num::NonZeroU32::MAX).await?;
        Ok::<_, LawBroken>((seen, changed, checkpoint(&*store, &views).await?))
    };
    store.commit(&views, generation(1)).await?;
    store.commit(&views, generation(2)).await?;
    let once = everything().await?;
    store.commit(&views, generation(2)).await?;
    ensure_eq!(everything().await?, once, "views, changes and checkpoint after the same batch again");
    Ok(())
}

/// Law 16: a commit without views moves the checkpoint; one without a checkpoint leaves it.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_checkpoint_moves_alone_too(fixture: Fixture<dyn ViewStore>) -> Verdict {
    let store = fixture.port();
    let views = prepared(&*store).await?;
    ensure_eq!(store.checkpoint(&views).await?, None, "the checkpoint before the first commit");
    let mut beginning = ViewBatch::default();
    let zero = eventsource_core::Checkpoint { position: None };
    beginning.checkpoint = Some(zero);
    store.commit(&views, beginning).await?;
    ensure_eq!(store.checkpoint(&views).await?, Some(zero), "the checkpoint written before the first event");
    store.commit(&views, batch(7, Vec::new())).await?;
    ensure_eq!(checkpoint(&*store, &views).await?, 7, "the checkpoint after a commit without views");
    let mut views_alone = generation(8);
    views_alone.checkpoint = None;
    store.commit(&views, views_alone).await?;
    ensure_eq!(checkpoint(&*store, &views).await?, 7, "the checkpoint after a commit without one");
    ensure_eq!(loaded(&*store, &views).await?, 8, "views of a commit without a checkpoint");
    Ok(())
}

/// Law 16: after the store was closed and opened again, views and checkpoint belong together.
///
/// A store may have lost the last commits, since events build them again; it may not have half of
/// one. A store that cannot be opened again says why.
///
/// # Errors
/// When the law is broken.
pub async fn law_16_everything_is_there_after_reopening(fixture: Fixture<dyn ViewStore>) -> Verdict {
    const COMMITS: u64 = 20;
    let store = fixture.port();
    let views = prepared(&*store).await?;
    for at in 1..=COMMITS {
        store.commit(&views, generation(at)).await?;
    }
    store.serve(&views).await?;
    drop(store);
    let Some(fixture) = fixture.reopened().await? else { return Ok(()) };
    let store = fixture.port();
    ensure_eq!(prepared(&*store).await?, views, "the set of views");
    let (seen, at) = (loaded(&*store, &views).await?, checkpoint(&*store, &views).await?);
    ensure_eq!(seen, at, "the views beside the checkpoint after reopening");
    ensure!(at <= COMMITS, "the checkpoint is at {at} after {COMMITS} commits");
    store.commit(&views, generation(COMMITS + 1)).await?;
    ensure_eq!(loaded(&*store, &views).await?, COMMITS + 1, "the views after one more commit");
    Ok(())
}

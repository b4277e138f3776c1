//! Laws 15 to 18 at the port: what a [`ViewStore`] promises.

mod atomic;
mod changed;
mod find;
mod find_model;
mod load;
mod parked;
mod serving;

use eventsource_core::{Checkpoint, Position, ProjectionId, StoredView, Version, ViewBatch, ViewStore};
use serde_json::Value;

pub use atomic::{
    law_16_checkpoint_moves_alone_too, law_16_dropped_commit_is_all_or_nothing,
    law_16_everything_is_there_after_reopening, law_16_readers_never_see_half_a_commit,
    law_16_refused_batch_writes_nothing, law_16_same_batch_again_changes_nothing,
};
pub use changed::law_15_changed_views_come_in_position_order;
pub use find::{
    law_15_foreign_fields_and_cursors_are_invalid, law_15_page_is_capped, law_15_pages_agree_with_a_vec,
    law_15_walk_over_pages_survives_changes,
};
pub use load::{
    law_15_removed_view_is_known_as_removed, law_15_sets_of_views_do_not_mix,
    law_15_views_come_back_in_the_order_asked, law_15_what_cannot_be_a_name_is_invalid,
};
pub use parked::law_17_parked_streams_are_listed_until_released;
pub use serving::{law_18_serving_version_switches, law_18_set_of_views_is_removed_unless_served};

use super::support::position;
use crate::LawBroken;

fn set(name: &'static str, version: u32) -> ProjectionId {
    ProjectionId { name: name.into(), version }
}

/// The set of views that most laws use, with its indexes.
async fn prepared(store: &dyn ViewStore) -> Result<ProjectionId, LawBroken> {
    let views = set("views", 1);
    store.prepare(&views, &["owner", "status", "n"]).await?;
    Ok(views)
}

/// A view that last changed at position `at`.
fn view(key: &str, at: u64, body: &Value) -> StoredView {
    let body = Some(body.to_string().into());
    StoredView { key: key.to_owned(), version: Version::new(at), position: Position::new(at), body }
}

fn removed(key: &str, at: u64) -> StoredView {
    StoredView { body: None, ..view(key, at, &Value::Null) }
}

/// The views of a commit whose checkpoint is `at`.
fn batch(at: u64, views: Vec<StoredView>) -> ViewBatch {
    let mut batch = ViewBatch::default();
    batch.views = views;
    batch.checkpoint = Some(Checkpoint { position: Some(position(at)) });
    batch
}

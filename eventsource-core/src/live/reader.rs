//! Reads which views changed, so that what was read is always a complete prefix.

use std::{collections::HashMap, num::NonZeroU32};

use crate::{
    position::Position,
    store::StoreError,
    view::{PAGE_MAX, ProjectionId, StoredView, ViewStore},
};

/// How many views are read at once.
const PAGE: u32 = 100;

/// A reader of changed views.
///
/// Its cursor never passes the projection's checkpoint: whatever is committed later has a position
/// above the checkpoint, so nothing comes up below the cursor any more. Views that were repaired have
/// positions above it: they are told too, and remembered, so that they are not told again.
#[derive(Debug, Default)]
pub(super) struct ChangeReader {
    /// Every change up to here has been read.
    cursor: Option<Position>,
    /// Where the reading stands; at the cursor or above.
    scanned: Option<Position>,
    /// The highest position seen so far.
    highest: Option<Position>,
    /// The checkpoint up to which what was scanned is complete.
    checkpoint: Option<Position>,
    /// Views read with a position above the cursor.
    ahead: HashMap<String, Position>,
}

/// What one read gives.
pub(super) struct Changed {
    /// Views not read before, in position order.
    pub(super) views: Vec<StoredView>,
    /// Whether there was more to read.
    pub(super) more: bool,
}

impl ChangeReader {
    /// A reader that has read everything up to `cursor`.
    pub(super) fn at(cursor: Option<Position>) -> Self {
        Self { cursor, scanned: cursor, highest: cursor, checkpoint: cursor, ahead: HashMap::new() }
    }

    /// Every change up to here has been read: the place to resume from.
    pub(super) const fn cursor(&self) -> Option<Position> {
        self.cursor
    }

    /// The highest position read so far, which may lie above the cursor.
    pub(super) const fn highest(&self) -> Option<Position> {
        self.highest
    }

    /// The next page of changes.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has read nothing.
    pub(super) async fn read(
        &mut self,
        views: &dyn ViewStore,
        projection: &ProjectionId,
    ) -> Result<Changed, StoreError> {
        // First the checkpoint: the page that is read next holds everything committed up to it.
        let checkpoint = checkpoint_of(views, projection).await?;
        let (mut page, mut more) = whole_positions(views, projection, self.scanned).await?;
        let mut last = page.last().and_then(|view| view.position);
        // Beyond the checkpoint of its time the scan may have left gaps that are filled by now, so
        // from there on a newer checkpoint proves nothing until the next scan.
        if self.scanned == self.cursor || self.scanned <= self.checkpoint {
            self.checkpoint = checkpoint;
            // Views above the checkpoint were committed in between, and are left to the next read,
            // when they are below it; or they were repaired, and then the checkpoint stands still.
            if last > checkpoint && checkpoint_of(views, projection).await? > checkpoint {
                page.truncate(page.partition_point(|view| view.position <= checkpoint));
                (last, more) = (checkpoint, true);
            }
        }
        self.highest = self.highest.max(last);
        page.retain(|view| self.is_new(&view.key, view.position));
        let covered = if more { last.min(self.checkpoint) } else { self.checkpoint };
        self.advance(covered);
        for view in &page {
            self.note(&view.key, view.position);
        }
        self.scanned = if more { last } else { self.cursor };
        Ok(Changed { views: page, more })
    }

    /// Whether a view with this position was not read yet.
    pub(super) fn is_new(&self, key: &str, position: Option<Position>) -> bool {
        position > self.cursor && position > self.ahead.get(key).copied()
    }

    /// Takes down that a view was read, if its position is above the cursor.
    pub(super) fn note(&mut self, key: &str, position: Option<Position>) {
        if let Some(position) = position.filter(|position| Some(*position) > self.cursor) {
            self.ahead.insert(key.to_owned(), position);
        }
    }

    /// Everything up to `position` has been read.
    pub(super) fn advance(&mut self, position: Option<Position>) {
        if position > self.cursor {
            self.cursor = position;
            self.scanned = self.scanned.max(position);
            self.ahead.retain(|_, ahead| Some(*ahead) > position);
        }
    }
}

async fn checkpoint_of(views: &dyn ViewStore, projection: &ProjectionId) -> Result<Option<Position>, StoreError> {
    Ok(views.checkpoint(projection).await?.and_then(|checkpoint| checkpoint.position))
}

/// A page that does not end in the middle of views with the same position, and whether more follow.
async fn whole_positions(
    views: &dyn ViewStore,
    projection: &ProjectionId,
    after: Option<Position>,
) -> Result<(Vec<StoredView>, bool), StoreError> {
    for limit in [PAGE, PAGE_MAX] {
        let limit = NonZeroU32::new(limit).expect("a page has room for a view");
        let mut page = views.changed(projection, after, limit).await?;
        if u32::try_from(page.len()).is_ok_and(|read| read < limit.get()) {
            return Ok((page, false));
        }
        let last = page.last().and_then(|view| view.position);
        let whole = page.partition_point(|view| view.position < last);
        if whole > 0 {
            page.truncate(whole);
            return Ok((page, true));
        }
    }
    let at = format!("changes of {projection} after {}", Position::value_of(after));
    Err(StoreError::corrupt(at, format!("{PAGE_MAX} views have the same position")))
}

//! Views, checkpoints, parked streams and snapshots in one SQLite file that the event log can rebuild.

mod commit;
mod cursor;
mod field;
mod find;
mod layout;
mod parked;
mod read;

use std::{fmt, num::NonZeroU32, num::NonZeroUsize, path::Path, sync::Arc};

use async_trait::async_trait;
use eventsource_core::{
    Checkpoint, Parked, Position, ProjectionId, StoreError, StoredView, ViewBatch, ViewPage, ViewQuery, ViewStore,
};
use rusqlite::{Connection, OptionalExtension, types::ValueRef};

use crate::{
    db::{Db, Fault, Findings, Kind, ScrubReport, Synchronous, check, execute_sealed},
    lock::DirLock,
    snapshot::{self, EmbeddedSnapshots},
};
use layout::Layouts;

const SERVING: &str = "serving";

const KIND: Kind = Kind {
    name: "views",
    application_id: 0x4553_5649,
    format: 1,
    schema: &[
        layout::SCHEMA,
        "CREATE TABLE serving(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, seal INTEGER NOT NULL)",
        parked::SCHEMA[0],
        parked::SCHEMA[1],
        snapshot::SCHEMA,
    ],
    // The event log rebuilds what a power cut takes.
    synchronous: Synchronous::Normal,
    log_frames_max: 8_192,
    verify,
};

/// The file of views and snapshots, usually `views.db`.
///
/// After a power cut it may be some commits behind, each of them whole; the projections catch up
/// from their checkpoint. Everything in it can be rebuilt: when it is damaged, move `views.db`,
/// `views.db-wal` and `views.db-sums` away and start again.
///
/// ```
/// use eventsource_core::{Checkpoint, Position, ProjectionId, StoredView, ViewBatch, ViewStore};
/// use eventsource_embedded::{ViewDb, ViewDbOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let db = ViewDb::open(&dir.path().join("views.db"), ViewDbOptions::default())?;
/// let (views, lamps) = (db.views(), ProjectionId { name: "lamps".into(), version: 1 });
/// views.prepare(&lamps, &["state"]).await?;
///
/// let mut batch = ViewBatch::default();
/// let body = Some(r#"{"state":"on"}"#.into());
/// batch.views.push(StoredView { key: "1".into(), version: None, position: Position::new(1), body });
/// batch.checkpoint = Some(Checkpoint { position: Position::new(1) });
/// views.commit(&lamps, batch).await?;
/// assert!(views.load(&lamps, &["1".into()]).await?[0].is_some());
/// db.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ViewDb {
    db: Db,
    layouts: Arc<Layouts>,
}

/// How a [`ViewDb`] works.
///
/// ```
/// use std::num::NonZeroUsize;
/// use eventsource_embedded::ViewDbOptions;
///
/// let options = ViewDbOptions::default().readers(NonZeroUsize::MIN);
/// assert_eq!(options.readers.get(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ViewDbOptions {
    /// Threads that read.
    pub readers: NonZeroUsize,
}

impl Default for ViewDbOptions {
    /// As many readers as processors, 2 to 8.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self { readers: NonZeroUsize::new(processors.clamp(2, 8)).unwrap_or(NonZeroUsize::MIN) }
    }
}

impl ViewDbOptions {
    /// The same with another number of threads that read.
    #[must_use]
    pub const fn readers(self, readers: NonZeroUsize) -> Self {
        Self { readers }
    }
}

impl ViewDb {
    /// Opens or makes the file. Blocks for as long as reading it once takes.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or no file of views, `Invalid` when its format is newer than
    /// this library, `Unavailable` when it cannot be opened or is open already: `views.db-lock` beside
    /// it is locked meanwhile.
    pub fn open(path: &Path, options: ViewDbOptions) -> Result<Self, StoreError> {
        Self::open_in(None, path, options)
    }

    /// The same in a directory that may be locked already.
    pub(crate) fn open_in(
        directory: Option<Arc<DirLock>>,
        path: &Path,
        options: ViewDbOptions,
    ) -> Result<Self, StoreError> {
        let (db, layouts) = Db::open(path, KIND, options.readers.get(), directory, Layouts::load, |_| Ok(()))?;
        Ok(Self { db, layouts: Arc::new(layouts) })
    }

    /// The views in it.
    #[must_use]
    pub fn views(&self) -> EmbeddedViews {
        EmbeddedViews { db: self.db.clone(), layouts: Arc::clone(&self.layouts) }
    }

    /// The snapshots in it.
    #[must_use]
    pub fn snapshots(&self) -> EmbeddedSnapshots {
        EmbeddedSnapshots::new(self.db.clone())
    }

    /// Checks every page, every tree and every row; writes wait for the pages.
    ///
    /// # Errors
    /// When the file was closed. What is damaged is in the report.
    pub async fn scrub(&self) -> Result<ScrubReport, StoreError> {
        self.db.scrub().await
    }

    /// Finishes what was asked and leaves the file whole; later calls are `Unavailable`.
    ///
    /// # Errors
    /// When the write-ahead log could not be moved into the file: it stays beside it and is used at
    /// the next opening.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.db.close().await
    }
}

/// Views in a [`ViewDb`]. A clone is another handle.
///
/// Fields are indexed as the projection declares them. A filter sees a number or a truth value as its
/// JSON text; a sort puts absent fields (and objects and lists) first, then false, true, numbers by
/// size, texts by code point. Whole numbers from 2^63 on sort as floating
/// point.
///
/// A removed view stays as a row without body, so that [`changed`](ViewStore::changed) tells of it;
/// these rows go when the projection's version is removed.
#[derive(Clone)]
pub struct EmbeddedViews {
    db: Db,
    layouts: Arc<Layouts>,
}

impl fmt::Debug for EmbeddedViews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedViews").field(&self.db).finish()
    }
}

#[async_trait]
impl ViewStore for EmbeddedViews {
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError> {
        let fields = layout::fields(projection, indexes).map_err(StoreError::invalid)?;
        if self.layouts.of(projection).is_some_and(|layout| layout.has_exactly(&fields)) {
            return Ok(());
        }
        let (projection, layouts) = (projection.clone(), Arc::clone(&self.layouts));
        let slot = self.db.slot().await?;
        let id = projection.clone();
        let made = slot.submit(
            move |connection| layout::prepare(connection, &projection, fields),
            move |made| {
                if let Ok(layout) = made {
                    layouts.put(id, Arc::clone(layout));
                }
            },
        );
        made.await.map(|_| ())
    }

    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError> {
        let Some(layout) = self.layouts.of(projection) else { return Ok(vec![None; keys.len()]) };
        let keys = keys.to_vec();
        self.db.read(move |connection| read::load(connection, &layout, &keys)).await
    }

    async fn commit(&self, projection: &ProjectionId, batch: ViewBatch) -> Result<(), StoreError> {
        let Some(layout) = self.layouts.of(projection) else {
            return Err(StoreError::invalid(format!("projection {projection} is not prepared")));
        };
        let batch = commit::Batch::new(&layout, batch)?;
        let projection = projection.clone();
        self.db.write(move |connection| batch.write(connection, &projection)).await
    }

    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError> {
        let Some(layout) = self.layouts.of(projection) else { return Ok(None) };
        self.db.read(move |connection| Ok(layout::load(connection, layout.id)?.and_then(|row| row.checkpoint))).await
    }

    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError> {
        let Some(layout) = self.layouts.of(projection) else {
            return find::in_nothing(projection, &query);
        };
        let find = find::Find::new(projection, &layout, &query)?;
        self.db.read(move |connection| find.run(connection)).await
    }

    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError> {
        let Some(layout) = self.layouts.of(projection) else { return Ok(Vec::new()) };
        self.db.read(move |connection| read::changed(connection, &layout, after, limit)).await
    }

    async fn parked(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<Parked>, StoreError> {
        let Some(layout) = self.layouts.of(projection) else { return Ok(Vec::new()) };
        self.db.read(move |connection| parked::list(connection, layout.id, after, limit)).await
    }

    async fn serving(&self, name: &str) -> Result<Option<u32>, StoreError> {
        let name = name.to_owned();
        self.db.read(move |connection| serving(connection, &name)).await
    }

    async fn serve(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        let projection = projection.clone();
        self.db.write(move |connection| serve(connection, &projection)).await
    }

    async fn remove(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        let (id, layouts) = (projection.clone(), Arc::clone(&self.layouts));
        let projection = projection.clone();
        let slot = self.db.slot().await?;
        let removed = slot.submit(
            move |connection| {
                if serving(connection, &projection.name)? == Some(projection.version) {
                    return Err(Fault::invalid(format!("projection {projection} is being served")));
                }
                layout::remove(connection, &projection)
            },
            move |removed| {
                if removed.is_ok() {
                    layouts.forget(&id);
                }
            },
        );
        removed.await
    }
}

fn serving(connection: &Connection, name: &str) -> Result<Option<u32>, Fault> {
    let mut statement = connection.prepare_cached("SELECT name, version, seal FROM serving WHERE name = ?1")?;
    let found = statement.query_row([name], |row| Ok(check(SERVING, row, 2, name).map(|()| row.get(1)))).optional()?;
    Ok(found.transpose()?.transpose()?)
}

fn serve(connection: &Connection, projection: &ProjectionId) -> Result<(), Fault> {
    let values = [ValueRef::Text(projection.name.as_bytes()), ValueRef::Integer(projection.version.into())];
    let sql = "INSERT INTO serving(name, version, seal) VALUES(?1, ?2, ?3)
               ON CONFLICT(name) DO UPDATE SET version = excluded.version, seal = excluded.seal";
    execute_sealed(connection, sql, SERVING, &values)?;
    Ok(())
}

fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let sql = "SELECT name, version, seal FROM serving";
    findings.check_rows(connection, SERVING, sql, 2, |row| row.get(0).unwrap_or_default())?;
    parked::verify(connection, findings)?;
    snapshot::verify(connection, findings)?;
    layout::verify(connection, findings)
}

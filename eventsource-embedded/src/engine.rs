//! Everything of one data directory, opened and closed together.

use std::{path::Path, sync::Arc};

use eventsource_core::StoreError;

use crate::{
    lock::DirLock,
    open::OpenError,
    outcome::EmbeddedOutcomes,
    queue::{EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions},
    snapshot::EmbeddedSnapshots,
    store::{EmbeddedEventStore, EmbeddedOptions},
    view::{EmbeddedViews, ViewDb, ViewDbOptions},
};

/// The file of queues and outcomes.
pub(crate) const QUEUE_FILE: &str = "queue.db";
/// The file of views and snapshots.
pub(crate) const VIEWS_FILE: &str = "views.db";

/// The durable engine for one machine: every port of the core over one directory. Cheap to clone.
///
/// | in the directory | what it holds | when it is damaged |
/// |---|---|---|
/// | `events/` | the truth | scrub it, salvage what is left, or restore a copy |
/// | `queue.db` | commands on their way, outcomes of refused ones | restore a copy, or move it away: commands not yet carried out are lost |
/// | `views.db` | views, checkpoints, snapshots | move it away: all of it is built again from the events |
/// | `lock`, `*-lock` | which process has it open | they go with the process |
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use eventsource_core::EventStore;
/// use eventsource_embedded::{Embedded, EmbeddedOptions};
///
/// let engine = Embedded::open(dir.path(), EmbeddedOptions::default())?;
/// assert_eq!(engine.events().head().await?, None);
/// engine.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Each of the three holds the lock on the directory, and so does every handle made of it.
    queues: QueueDb,
    views: ViewDb,
    events: EmbeddedEventStore,
}

impl Embedded {
    /// Opens the engine in `directory`, or makes a new one there. Reads files, so it blocks for some
    /// milliseconds, after a crash for some tens of them.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has the directory, [`OpenError::Damaged`] when
    /// acknowledged events cannot be read, [`OpenError::Database`] when an SQLite file cannot.
    pub fn open(directory: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        let clock = Arc::clone(&options.clock);
        let lock = Arc::new(DirLock::acquire(directory)?);
        let events = EmbeddedEventStore::open_locked(Arc::clone(&lock), options)?;
        let (queues, views) = (directory.join(QUEUE_FILE), directory.join(VIEWS_FILE));
        let queue_options = QueueDbOptions::default().clock(clock);
        let queues = QueueDb::open_in(Some(Arc::clone(&lock)), &queues, queue_options)?;
        let views = ViewDb::open_in(Some(lock), &views, ViewDbOptions::default())?;
        Ok(Self { events, queues, views })
    }

    /// The event store.
    #[must_use]
    pub fn events(&self) -> EmbeddedEventStore {
        self.events.clone()
    }

    /// The queue of this name, made if it is not there.
    ///
    /// # Errors
    /// `Invalid` for a name or options that cannot be.
    pub fn queue(&self, name: &str, options: QueueOptions) -> Result<EmbeddedQueue, StoreError> {
        self.queues.queue(name, options)
    }

    /// Outcomes of commands.
    #[must_use]
    pub fn outcomes(&self) -> EmbeddedOutcomes {
        self.queues.outcomes()
    }

    /// Views and how far they have come.
    #[must_use]
    pub fn views(&self) -> EmbeddedViews {
        self.views.views()
    }

    /// Saved states.
    #[must_use]
    pub fn snapshots(&self) -> EmbeddedSnapshots {
        self.views.snapshots()
    }

    /// The file of queues and outcomes, for its maintenance.
    #[must_use]
    pub fn queue_db(&self) -> &QueueDb {
        &self.queues
    }

    /// The file of views and snapshots, for its maintenance.
    #[must_use]
    pub fn view_db(&self) -> &ViewDb {
        &self.views
    }

    /// Writes what waits, marks everything as cleanly closed and gives the directory free.
    ///
    /// # Errors
    /// When a database cannot be closed cleanly; the event log is closed all the same.
    ///
    /// # Cancel safety
    /// A dropped future may leave a part open; its last clone closes it.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (queues, views) = (self.queues.close().await, self.views.close().await);
        self.events.close().await;
        queues.and(views)
    }
}

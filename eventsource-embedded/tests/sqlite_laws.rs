//! The laws of queues, outcomes, views and snapshots, on files.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use eventsource_core::{OutcomeStore, SnapshotStore, ViewStore};
use eventsource_embedded::{DeadLetter, QueueDb, QueueDbOptions, QueueOptions, ViewDb, ViewDbOptions};
use eventsource_testkit::{BusFixture, DeadLettered, Fixture};
use tempfile::TempDir;

fn folder(file: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file);
    (folder, path)
}

fn view_db(path: &Path) -> ViewDb {
    ViewDb::open(path, ViewDbOptions::default()).unwrap()
}

fn queue_db(path: &Path) -> QueueDb {
    QueueDb::open(path, QueueDbOptions::default()).unwrap()
}

mod views {
    use super::{Arc, Fixture, Path, ViewStore, folder, view_db};

    async fn files() -> Fixture<dyn ViewStore> {
        let (folder, path) = folder("views.db");
        let open = |path: &Path| -> Arc<dyn ViewStore> { Arc::new(view_db(path).views()) };
        Fixture::view_store(open(&path)).reopens(move || std::future::ready(open(&path))).keeping(folder)
    }

    eventsource_testkit::view_store_laws!(files);
}

mod snapshots {
    use super::{Arc, Fixture, Path, SnapshotStore, folder, view_db};

    async fn files() -> Fixture<dyn SnapshotStore> {
        let (folder, path) = folder("views.db");
        let open = |path: &Path| -> Arc<dyn SnapshotStore> { Arc::new(view_db(path).snapshots()) };
        Fixture::snapshot_store(open(&path)).reopens(move || std::future::ready(open(&path))).keeping(folder)
    }

    eventsource_testkit::snapshot_store_laws!(files);
}

mod outcomes {
    use super::{Arc, Fixture, OutcomeStore, Path, folder, queue_db};

    async fn files() -> Fixture<dyn OutcomeStore> {
        let (folder, path) = folder("queue.db");
        let open = |path: &Path| -> Arc<dyn OutcomeStore> { Arc::new(queue_db(path).outcomes()) };
        Fixture::outcome_store(open(&path)).reopens(move || std::future::ready(open(&path))).keeping(folder)
    }

    eventsource_testkit::outcome_store_laws!(files);
}

mod queue {
    use super::{
        Arc, BusFixture, DeadLetter, DeadLettered, Duration, NonZeroU32, PathBuf, QueueOptions, folder, queue_db,
    };

    fn fixture(path: PathBuf) -> BusFixture {
        let attempts_max = NonZeroU32::new(3).unwrap();
        let options = QueueOptions::default()
            .lock_time(Duration::from_millis(500))
            .attempts_max(attempts_max)
            .pauses(Duration::from_millis(5), Duration::from_millis(50));
        let bytes_max = options.message_bytes_max;
        let queue = queue_db(&path).queue("commands", options).unwrap();
        let dead = queue.clone();
        let list = move || {
            let dead = dead.clone();
            async move {
                let letters = dead.dead_letters(None, 1_000).await.unwrap();
                let letter = |letter: DeadLetter| DeadLettered { message: letter.message.id, reason: letter.reason };
                letters.into_iter().map(letter).collect()
            }
        };
        BusFixture::new(Arc::new(queue.clone()), Arc::new(queue), attempts_max)
            .dead_letters(list)
            .knows_ids_again()
            .message_bytes_max(bytes_max)
            .reopens(move || std::future::ready(fixture(path.clone())))
    }

    async fn commands() -> BusFixture {
        let (folder, path) = folder("queue.db");
        fixture(path).keeping(folder)
    }

    eventsource_testkit::bus_laws!(commands);
}

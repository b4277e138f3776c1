//! A file under jobs and reads that take their time.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures::FutureExt;
use tempfile::TempDir;

use super::{Db, Kind, Synchronous};

const KIND: Kind = Kind {
    name: "notes",
    application_id: 0x4553_4e4f,
    format: 1,
    schema: &["CREATE TABLE note(number INTEGER PRIMARY KEY, body BLOB NOT NULL)"],
    synchronous: Synchronous::Normal,
    log_frames_max: 64,
    verify: |_, _| Ok(()),
};

fn open(folder: &Path) -> Db {
    Db::open(&folder.join("notes.db"), KIND, 4, None, |_| Ok(()), |_| Ok(())).unwrap().0
}

#[tokio::test]
async fn whoever_closes_waits_until_it_is_closed() {
    let folder = TempDir::new().unwrap();
    let db = open(folder.path());
    let written = Arc::new(AtomicBool::new(false));
    let (slot, flag) = (db.slot().await.unwrap(), Arc::clone(&written));
    let work = move |_: &rusqlite::Connection| {
        thread::sleep(Duration::from_millis(300));
        flag.store(true, Ordering::Release);
        Ok(())
    };
    drop(slot.submit(work, |_| ()));
    // One that asks and goes away, and two that wait.
    assert!(db.close().now_or_never().is_none());
    let closing = || async {
        db.close().await.unwrap();
        assert!(written.load(Ordering::Acquire), "an earlier job is not done");
        assert_eq!(std::fs::metadata(folder.path().join("notes.db-wal")).map_or(0, |log| log.len()), 0);
    };
    tokio::join!(closing(), closing());
    closing().await;
}

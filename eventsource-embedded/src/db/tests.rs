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

use super::{Db, Fault, Kind, Synchronous};

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

/// Reads that follow each other without a gap keep a passive checkpoint from ever being whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_never_pause_do_not_let_the_log_grow() {
    let folder = TempDir::new().unwrap();
    let db = open(folder.path());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (db, done) = (db.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Acquire) {
                    let read = |connection: &rusqlite::Connection| {
                        let transaction = connection.unchecked_transaction()?;
                        let count: i64 = transaction.query_row("SELECT count(*) FROM note", [], |row| row.get(0))?;
                        thread::sleep(Duration::from_millis(4));
                        Ok::<_, Fault>(count)
                    };
                    db.read(read).await.unwrap();
                }
            })
        })
        .collect();
    let mut longest = 0;
    for _ in 0..1_500 {
        let write = |connection: &rusqlite::Connection| {
            Ok(connection.execute("INSERT INTO note(body) VALUES(zeroblob(3000))", [])?)
        };
        db.write(write).await.unwrap();
        longest = longest.max(std::fs::metadata(folder.path().join("notes.db-wal")).unwrap().len());
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    // Each write is two or three pages; the log may be four times what is worth moving, and a bit.
    let frames = longest / 4_120;
    assert!(frames < 64 * 6, "the log had {frames} frames");
    assert!(db.scrub().await.unwrap().damage.is_empty());
}

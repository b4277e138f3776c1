//! One SQLite file: a writer thread that commits in groups, a few readers, and checks on every row.
//!
//! Writes go to one thread, which puts everything that waits into one transaction, each job in a
//! savepoint of its own, and answers after the commit: one flush serves them all. Reads run on a few
//! threads with a connection each, so a slow query never holds up a runtime's worker.

mod checkpoint;
mod connect;
mod fault;
mod mark;
mod reader;
mod scrub;
mod seal;
mod sums;
mod time;
mod verify;
mod wal;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use eventsource_core::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::lock::{DirLock, FileLock};

pub(crate) use connect::Synchronous;
pub(crate) use fault::{Fault, bus_error};
pub(crate) use scrub::Findings;
pub use scrub::{Damage, ScrubReport};
pub(crate) use seal::{check, execute_sealed, seal};
pub(crate) use time::{nanos, nanos_of, time};
pub(crate) use writer::Slot;

/// Jobs that may wait for the writer before callers have to.
const JOBS_MAX: usize = 1_024;
/// Reads that may wait for a reader before callers have to.
const READS_MAX: usize = 256;

/// What makes one kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// What it is called in messages: "queue".
    pub(crate) name: &'static str,
    /// SQLite's `application_id`: tells our files from others.
    pub(crate) application_id: i32,
    /// SQLite's `user_version`: raised when the tables change.
    pub(crate) format: i32,
    /// The statements that make an empty file ours, exactly as SQLite keeps them.
    pub(crate) schema: &'static [&'static str],
    /// What a commit waits for.
    pub(crate) synchronous: Synchronous,
    /// Frames of the write-ahead log, a page each, that are worth moving into the file.
    pub(crate) log_frames_max: u16,
    /// Checks every row of every table.
    pub(crate) verify: fn(&Connection, &mut Findings) -> Result<(), Fault>,
}

/// An open file. A clone is another handle; the last one closes it and joins its threads.
#[derive(Clone)]
pub(crate) struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    path: Arc<Path>,
    kind: Kind,
    jobs: Option<mpsc::Sender<writer::Job>>,
    reads: Option<mpsc::Sender<reader::Read>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
    ended: watch::Receiver<writer::Ended>,
    /// Given back when the writer has closed the file, at the latest after its threads are joined.
    locks: Mutex<Option<Locks>>,
}

/// What keeps other processes out.
struct Locks {
    _file: FileLock,
    _directory: Option<Arc<DirLock>>,
}

impl Db {
    /// Opens or makes the file, with `readers` threads that read; `load` sees it first, and `last` is
    /// the last job before it is closed, also when the last handle is dropped. The lock on its
    /// `directory`, if somebody has that, is kept until then.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged or no file of ours, `Invalid` when it has a newer format,
    /// `Unavailable` when it cannot be opened or somebody else has it.
    pub(crate) fn open<T>(
        path: &Path,
        kind: Kind,
        readers: usize,
        directory: Option<Arc<DirLock>>,
        load: impl FnOnce(&Connection) -> Result<T, Fault>,
        last: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(Self, T), StoreError> {
        let path: Arc<Path> = path.into();
        let named = |fault: Fault| fault.into_store_error(&path);
        let file = FileLock::acquire(&beside(&path, "-lock")).map_err(named)?;
        let locks = Mutex::new(Some(Locks { _file: file, _directory: directory }));
        let (connection, checkpoints) = verify::open_verified(&path, &kind).map_err(named)?;
        let loaded = load(&connection).map_err(named)?;
        let readers = (0..readers).map(|_| connect::reader(&path)).collect::<Result<Vec<_>, _>>().map_err(named)?;
        let (jobs, receiver) = mpsc::channel(JOBS_MAX);
        let (ending, ended) = watch::channel(None);
        let writer = writer::Writer::new(connection, Arc::clone(&path), checkpoints, writer::unasked(last), ending);
        let mut threads = vec![spawn(format!("{}-writer", kind.name), move || writer.run(receiver)).map_err(named)?];
        let (reads, receiver) = mpsc::channel(READS_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        for connection in readers {
            let receiver = Arc::clone(&receiver);
            let name = format!("{}-reader", kind.name);
            threads.push(spawn(name, move || reader::run(&connection, &receiver)).map_err(named)?);
        }
        let (threads, closed) = (Mutex::new(threads), AtomicBool::new(false));
        let inner = Inner { path, kind, jobs: Some(jobs), reads: Some(reads), threads, closed, ended, locks };
        Ok((Self { inner: Arc::new(inner) }, loaded))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Waits until the writer takes another job; what follows needs no waiting until its answer.
    pub(crate) async fn slot(&self) -> Result<Slot<'_>, StoreError> {
        let jobs = self.inner.jobs.as_ref().ok_or_else(|| self.closed())?;
        let permit = jobs.reserve().await.map_err(|_| self.closed())?;
        Ok(Slot::new(permit, &self.inner.path))
    }

    /// The same without waiting, if the writer takes another job now.
    pub(crate) fn try_slot(&self) -> Option<Slot<'_>> {
        let permit = self.inner.jobs.as_ref()?.try_reserve().ok()?;
        Some(Slot::new(permit, &self.inner.path))
    }

    /// Runs `work` in the writer's next transaction and returns once that is committed.
    ///
    /// # Cancel safety
    /// When the future is dropped the work may still be done, wholly or not at all.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.slot().await?.submit(work, |_| ()).await
    }

    /// Runs `work` on a reader.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let open = !self.inner.closed.load(Ordering::Acquire);
        let reads = self.inner.reads.as_ref().filter(|_| open).ok_or_else(|| self.closed())?;
        let (answer, answered) = oneshot::channel();
        let read = move |connection: &Connection| {
            // Nobody waits for the answer of a caller that went away.
            if !answer.is_closed() {
                let _ = answer.send(work(connection));
            }
        };
        reads.send(Box::new(read)).await.map_err(|_| self.closed())?;
        let result = answered.await.map_err(|_| self.closed())?;
        result.map_err(|fault| fault.into_store_error(&self.inner.path))
    }

    /// Checks the whole file: its pages, its trees and every row.
    pub(crate) async fn scrub(&self) -> Result<ScrubReport, StoreError> {
        let jobs = self.inner.jobs.as_ref().ok_or_else(|| self.closed())?;
        let (answer, answered) = oneshot::channel();
        jobs.send(writer::Job::Pages(answer)).await.map_err(|_| self.closed())?;
        let pages = answered.await.map_err(|_| self.closed())?;
        let (path, kind) = (self.inner.path.to_path_buf(), self.inner.kind);
        self.read(move |connection| Ok(scrub::scrub(connection, &path, &kind, pages))).await
    }

    /// Finishes the writes that were asked for, moves the write-ahead log into the file, and closes it.
    /// Whoever asks, once or again, waits until that is done and is told how it went.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let Some(jobs) = self.inner.jobs.as_ref() else { return Ok(()) };
        self.inner.closed.store(true, Ordering::Release);
        // When it is refused it is being closed already, and everybody waits for the same end.
        let _ = jobs.send(writer::Job::Close).await;
        let mut ended = self.inner.ended.clone();
        let result = match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.as_ref().map_or(Ok(()), |result| result.as_ref().map_err(Fault::for_others).copied()),
            Err(_) => return Err(self.closed()),
        };
        self.inner.locks.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.map_err(|fault| fault.into_store_error(&self.inner.path))
    }

    fn closed(&self) -> StoreError {
        StoreError::unavailable(format!("{} is closed", self.inner.path.display()))
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.inner.path).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The threads end when nothing can reach them any more.
        self.jobs = None;
        self.reads = None;
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that holds the last handle does not wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!(file = %self.path.display(), "a database thread panicked");
            }
        }
        // The locks go now, with the other fields.
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    thread::Builder::new().name(name).spawn(run).map_err(Fault::unavailable)
}

/// `queue.db` and `-wal` give `queue.db-wal`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;

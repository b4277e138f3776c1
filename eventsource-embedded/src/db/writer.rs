//! The thread that writes: everything that waits goes into one transaction and one flush.

use std::{path::Path, sync::Arc};

use eventsource_core::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{checkpoint::Checkpoints, fault::Fault, scrub::PagesReport};

/// Most jobs in one transaction.
const BATCH_JOBS_MAX: usize = 1_024;

/// What the writer is asked.
pub(super) enum Job {
    Write(Box<dyn Work>),
    /// Check the pages of the file against their sums.
    Pages(oneshot::Sender<PagesReport>),
    /// Finish.
    Close,
}

/// A job in a transaction: run, then finished once the transaction's fate is known.
pub(super) trait Work: Send {
    /// Whether it left something to commit.
    fn run(&mut self, connection: &Connection) -> Ran;
    fn finish(self: Box<Self>, failed: Option<&Fault>, path: &Path);
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Well,
    Badly,
}

/// The right to give the writer one job.
pub(crate) struct Slot<'a> {
    permit: mpsc::Permit<'a, Job>,
    path: &'a Path,
}

impl<'a> Slot<'a> {
    pub(super) fn new(permit: mpsc::Permit<'a, Job>, path: &'a Path) -> Self {
        Self { permit, path }
    }

    /// Gives the writer `work` at once; the future waits for the answer.
    ///
    /// `after` sees the result on the writer's thread, in the order of the jobs and before the
    /// answer, whether or not anyone still waits for it. Neither must hold a [`Db`](super::Db).
    pub(crate) fn submit<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        after: impl FnOnce(&Result<T, StoreError>) + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (work, answered) = pending(work, after);
        self.permit.send(Job::Write(work));
        let file = self.path.display().to_string();
        async move {
            answered.await.unwrap_or_else(|_| Err(StoreError::unavailable(format!("the writer of {file} has stopped"))))
        }
    }
}

/// A job that nobody asks for: its failure is logged.
pub(super) fn unasked(work: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static) -> Box<dyn Work> {
    let log = |result: &Result<(), StoreError>| {
        if let Err(error) = result {
            tracing::warn!(error = %error, "the last job failed");
        }
    };
    pending(work, log).0
}

type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

fn pending<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    after: impl FnOnce(&Result<T, StoreError>) + Send + 'static,
) -> (Box<dyn Work>, Answered<T>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(Pending { work: Some(work), result: None, after, answer }), answered)
}

struct Pending<T, W, A> {
    work: Option<W>,
    result: Option<Result<T, Fault>>,
    after: A,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W, A> Work for Pending<T, W, A>
where
    T: Send,
    W: FnOnce(&Connection) -> Result<T, Fault> + Send,
    A: FnOnce(&Result<T, StoreError>) + Send,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else { return Ran::Badly };
        let result = work(connection);
        let ran = if result.is_ok() { Ran::Well } else { Ran::Badly };
        self.result = Some(result);
        ran
    }

    fn finish(self: Box<Self>, failed: Option<&Fault>, path: &Path) {
        let result = match (self.result, failed) {
            (Some(Ok(value)), None) => Ok(value),
            (Some(Err(fault)), _) => Err(fault),
            (Some(Ok(_)) | None, Some(fault)) => Err(fault.for_others()),
            (None, None) => Err(Fault::unavailable("the job was not run")),
        };
        let result = result.map_err(|fault| fault.into_store_error(path));
        (self.after)(&result);
        // Nobody waits for the answer of a caller that went away.
        let _ = self.answer.send(result);
    }
}

pub(super) struct Writer {
    connection: Connection,
    path: Arc<Path>,
    checkpoints: Checkpoints,
    /// What is done when nothing else will be.
    last: Option<Box<dyn Work>>,
    /// How it went, once it has ended.
    ended: watch::Sender<Ended>,
}

/// How closing the file went, when it has been closed.
pub(super) type Ended = Option<Result<(), Fault>>;

impl Writer {
    pub(super) fn new(
        connection: Connection,
        path: Arc<Path>,
        checkpoints: Checkpoints,
        last: Box<dyn Work>,
        ended: watch::Sender<Ended>,
    ) -> Self {
        Self { connection, path, checkpoints, last: Some(last), ended }
    }

    /// Writes until nobody can ask any more, or until it is told to close.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(work) => batch.push(work),
                    Job::Pages(answer) => {
                        self.commit(std::mem::take(&mut batch));
                        let _ = answer.send(self.checkpoints.check_pages(&self.connection, &self.path));
                    }
                    // What was asked before is still done.
                    Job::Close => jobs.close(),
                }
                next = if batch.len() < BATCH_JOBS_MAX { jobs.try_recv().ok() } else { None };
            }
            self.commit(batch);
            if let Err(fault) = self.checkpoints.after_commit(&self.connection, &self.path) {
                tracing::error!(file = %self.path.display(), error = %fault, "checkpoint failed");
            }
        }
        let last = self.last.take();
        self.commit(last.into_iter().collect());
        let closed = self.checkpoints.close(&self.connection, &self.path);
        if let Err(fault) = &closed {
            tracing::warn!(file = %self.path.display(), error = %fault, "the write-ahead log stays beside the file");
        }
        drop(self.connection);
        self.ended.send_replace(Some(closed));
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Work>>) {
        if batch.is_empty() {
            return;
        }
        let committed = self.transact(&mut batch);
        if committed.is_ok()
            && let Err(fault) = self.checkpoints.committed(&self.connection)
        {
            // What is committed stays so; only a later loss would be harder to see.
            tracing::error!(file = %self.path.display(), error = %fault, "the mark of the log was not written");
        }
        if let Err(fault) = &committed {
            tracing::warn!(file = %self.path.display(), jobs = batch.len(), error = %fault, "transaction failed");
        }
        for work in batch {
            work.finish(committed.as_ref().err(), &self.path);
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Fault> {
        self.execute("BEGIN IMMEDIATE")?;
        let ran = if let [only] = batch {
            match only.run(&self.connection) {
                Ran::Well => Ok(()),
                // Alone in its transaction it needs no savepoint; its own fault is its answer.
                Ran::Badly => return self.roll_back(),
            }
        } else {
            batch.iter_mut().try_for_each(|work| self.in_savepoint(work.as_mut()))
        };
        match ran.and_then(|()| self.execute("COMMIT")) {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.roll_back()?;
                Err(fault)
            }
        }
    }

    fn in_savepoint(&self, work: &mut dyn Work) -> Result<(), Fault> {
        self.execute("SAVEPOINT job")?;
        if work.run(&self.connection) == Ran::Badly {
            // Some failures, a full disk for one, end the transaction for all.
            if self.connection.is_autocommit() {
                return Err(Fault::unavailable("the transaction was rolled back because another job in it failed"));
            }
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")
    }

    fn roll_back(&self) -> Result<(), Fault> {
        if self.connection.is_autocommit() { Ok(()) } else { self.execute("ROLLBACK") }
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

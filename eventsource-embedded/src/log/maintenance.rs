//! Work beside the append path: the next segment is made ahead, full ones get their index.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use super::{create, error::LogError, segment::Segment};

/// The thread that does it; ends when this is dropped, after what it has begun.
#[derive(Debug)]
pub(crate) struct Maintenance {
    jobs: Option<Sender<Job>>,
    spares: Receiver<Result<(), LogError>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Length of the spare that was asked for and not taken.
    ordered: Option<u64>,
}

enum Job {
    Spare { bytes: u64 },
    Seal(Arc<Segment>),
}

impl Maintenance {
    pub(crate) fn start(events: PathBuf) -> Result<Self, LogError> {
        let (jobs, work) = channel();
        let (done, spares) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let directory = events.clone();
        let thread = std::thread::Builder::new()
            .name("eventsource-log-maintenance".into())
            .spawn(move || run(&events, &work, &done, &flag))
            .map_err(LogError::io("starting a thread for", &directory))?;
        Ok(Self { jobs: Some(jobs), spares, stop, thread: Some(thread), ordered: None })
    }

    /// Asks for the segment that is used next, which will wait at [`create::spare_path`], and
    /// returns its length: one that was asked for before is used first.
    pub(crate) fn order_spare(&mut self, bytes: u64) -> u64 {
        if let Some(ordered) = self.ordered {
            return ordered;
        }
        self.ordered = Some(bytes);
        self.send(Job::Spare { bytes });
        bytes
    }

    /// Waits until the segment that was asked for is there.
    pub(crate) fn await_spare(&mut self) -> Result<(), LogError> {
        match self.ordered.take() {
            Some(_) => self.spares.recv().unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    /// Gives a full segment its index on disk.
    pub(crate) fn seal(&self, segment: Arc<Segment>) {
        self.send(Job::Seal(segment));
    }

    fn send(&self, job: Job) {
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        debug_assert!(matches!(sent, Some(Ok(()))), "the thread ends only when this is dropped");
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's maintenance thread panicked");
        }
    }
}

fn run(events: &std::path::Path, work: &Receiver<Job>, done: &Sender<Result<(), LogError>>, stop: &AtomicBool) {
    for job in work {
        match job {
            Job::Spare { bytes } => {
                let made = create::spare(events, bytes, stop).map(|_| ());
                if done.send(made).is_err() {
                    return;
                }
            }
            Job::Seal(segment) => {
                if let Err(error) = seal(&segment) {
                    let segment = segment.path().display();
                    tracing::warn!(%segment, %error, "an index stays in memory until the store is opened again");
                }
            }
        }
    }
}

/// Cuts the zeros off and writes the index.
fn seal(segment: &Segment) -> Result<(), LogError> {
    let path = segment.path();
    let file = std::fs::OpenOptions::new().write(true).open(path).map_err(LogError::io("opening", path))?;
    file.set_len(segment.end()).and_then(|()| file.sync_all()).map_err(LogError::io("cutting", path))?;
    segment.seal_index()
}

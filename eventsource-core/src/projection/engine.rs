//! The loop: gather, fold, commit, ring; and again from the checkpoint after whatever went wrong.

use std::{convert::Infallible, future::poll_fn, sync::Arc, task::Poll, time::SystemTime};

use futures::StreamExt;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    doorbell::{Doorbell, ViewChange},
    error::ProjectionError,
    feed::Feed,
    fold::{Folded, Folder},
    handle::Request,
    lifecycle::{Lifecycle, Switch},
    options::ProjectionOptions,
    parking::ParkedStreams,
    progress::{Meter, Step},
    slots::Positions,
};
use crate::{
    clock::Clock,
    id::StreamId,
    position::Position,
    store::{EventStore, Query, StoreError},
    subscription::subscribe,
    view::{Checkpoint, Projector, StoredView, ViewBatch},
};

/// Everything a running projection holds.
pub(super) struct Engine<P: Projector> {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) lifecycle: Lifecycle,
    pub(super) doorbell: Option<Arc<dyn Doorbell>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: ProjectionOptions,
    pub(super) query: Query,
    pub(super) folder: Folder<P>,
    pub(super) parked: ParkedStreams,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) meter: Meter,
    /// Attempts that failed one after the other.
    pub(super) failures: u32,
}

/// What is known between two failures.
pub(super) struct Session {
    feed: Feed,
    /// The checkpoint as it is stored.
    pub(super) committed: Option<Position>,
    /// The highest position given to a view that was repaired.
    pub(super) repaired: Option<Position>,
    pub(super) serving: bool,
    head: Option<Position>,
    look_at_head: Instant,
    follow_head: Instant,
    tick: Instant,
}

impl<P: Projector> Engine<P> {
    /// Runs until something is wrong that time does not heal.
    pub(super) async fn run(&mut self) -> Result<Infallible, ProjectionError> {
        loop {
            let error = match self.session().await {
                Ok(never) => return Ok(never),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            let pause = self.pause(&error);
            self.failures = self.failures.saturating_add(1);
            self.meter.failed(self.failures);
            tracing::warn!(
                projection = %self.lifecycle.projection, error = %super::parking::reason(&error),
                failures = self.failures, ?pause, "projection interrupted, going on from its checkpoint"
            );
            sleep(pause).await;
        }
    }

    /// Everything is read from the stores again, so what a failed commit did or did not do is no matter.
    async fn session(&mut self) -> Result<Infallible, ProjectionError> {
        self.folder.clear();
        let mut session = self.open().await?;
        self.tell(&session, 0, None);
        loop {
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => self.repair(&mut session, request).await?,
                () = sleep_until(session.tick) => self.tick(&mut session).await?,
                // Last, because it is always ready during a catch-up.
                gathered = session.feed.gather() => {
                    gathered.map_err(|source| self.lifecycle.store_error(source))?;
                    self.flush(&mut session).await?;
                }
            }
            breathe().await;
        }
    }

    async fn open(&mut self) -> Result<Session, ProjectionError> {
        let opened = self.lifecycle.open(P::INDEXES).await?;
        let Lifecycle { views, projection } = &self.lifecycle;
        let parked = ParkedStreams::load(&**views, projection, self.options.parked_streams_max);
        self.parked = parked.await.map_err(|source| self.lifecycle.store_error(source))?;
        let committed = opened.checkpoint.position;
        self.check_store_holds(committed).await?;
        let query = self.query.clone().after(committed);
        let events = subscribe(Arc::clone(&self.store), query, self.options.subscribe).boxed();
        let now = Instant::now();
        Ok(Session {
            feed: Feed::new(events, committed, self.options),
            committed,
            repaired: None,
            serving: opened.serving,
            head: committed,
            look_at_head: now,
            follow_head: now,
            tick: now + self.options.tick_interval,
        })
    }

    /// A reader that starts behind the end of the store would wait there while new events take the
    /// positions it believes to have seen.
    async fn check_store_holds(&self, committed: Option<Position>) -> Result<(), ProjectionError> {
        let head = self.store.head().await.map_err(|source| self.lifecycle.store_error(source))?;
        match committed {
            Some(position) if committed > head => {
                Err(ProjectionError::Ahead { projection: self.lifecycle.projection.clone(), position, head })
            }
            _ => Ok(()),
        }
    }

    /// Commits what was gathered, or the checkpoint alone when it has fallen behind for long enough.
    async fn flush(&mut self, session: &mut Session) -> Result<(), ProjectionError> {
        self.look_at_head(session).await?;
        let records = session.feed.take();
        let reached = session.feed.reached();
        let (mut events, mut recorded_at) = (0, None);
        if let Some(last) = records.last() {
            recorded_at = Some(last.recorded_at);
            let folded = self.folder.fold(records, &self.parked, Positions::Event, self.clock.now()).await?;
            events = folded.events;
            self.commit(session, folded, reached, Vec::new()).await?;
        } else if reached > session.committed {
            let now = Instant::now();
            if session.serving && now < session.follow_head {
                session.feed.wake_at(session.follow_head);
            } else {
                session.follow_head = now + self.options.checkpoint_interval;
                self.commit_checkpoint(session, reached).await?;
            }
        }
        if !session.serving && session.feed.caught_up() && session.committed == reached {
            self.switch(session).await?;
        }
        self.tell(session, events, recorded_at);
        Ok(())
    }

    /// Writes views, checkpoint and notes on parked streams together, then rings.
    pub(super) async fn commit(
        &mut self,
        session: &mut Session,
        folded: Folded<P::View>,
        checkpoint: Option<Position>,
        release: Vec<StreamId>,
    ) -> Result<(), ProjectionError> {
        self.parked.check(&self.lifecycle.projection, &folded.park)?;
        let (views, park, slots) = folded.into_parts();
        let changes = if session.serving && self.doorbell.is_some() { changes(&views) } else { Vec::new() };
        let batch = ViewBatch {
            views,
            checkpoint: Some(Checkpoint { position: checkpoint }),
            park: park.clone(),
            release: release.clone(),
        };
        self.write(batch).await?;
        session.committed = checkpoint;
        self.parked.committed(park, &release);
        self.folder.keep(slots);
        self.ring(&changes).await;
        Ok(())
    }

    async fn commit_checkpoint(
        &mut self,
        session: &mut Session,
        position: Option<Position>,
    ) -> Result<(), ProjectionError> {
        let batch = ViewBatch { checkpoint: Some(Checkpoint { position }), ..ViewBatch::default() };
        self.write(batch).await?;
        session.committed = position;
        Ok(())
    }

    async fn write(&mut self, batch: ViewBatch) -> Result<(), ProjectionError> {
        let Lifecycle { views, projection } = &self.lifecycle;
        views.commit(projection, batch).await.map_err(|source| self.lifecycle.store_error(source))?;
        self.failures = 0;
        Ok(())
    }

    /// Lets queries read this version from now on.
    async fn switch(&mut self, session: &mut Session) -> Result<(), ProjectionError> {
        let Switch::Done { older } = self.lifecycle.switch(Checkpoint { position: session.committed }).await? else {
            return Ok(());
        };
        session.serving = true;
        if let Some(doorbell) = &self.doorbell {
            let rung = timeout(self.options.doorbell_timeout, doorbell.ring_all(&self.lifecycle.projection)).await;
            if rung.is_err() {
                tracing::warn!(projection = %self.lifecycle.projection, "doorbell took too long, readers find out by themselves");
            }
        }
        self.lifecycle.remove_older(older).await;
        Ok(())
    }

    /// A ring that is lost costs readers time, so nothing waits for it for long.
    async fn ring(&self, changes: &[ViewChange]) {
        let Some(doorbell) = self.doorbell.as_ref().filter(|_| !changes.is_empty()) else { return };
        let rung = timeout(self.options.doorbell_timeout, doorbell.ring(&self.lifecycle.projection, changes)).await;
        if rung.is_err() {
            tracing::warn!(projection = %self.lifecycle.projection, "doorbell took too long, readers find out by themselves");
        }
    }

    /// What changes with time alone: a newer version that came to be served, figures that grow old.
    async fn tick(&mut self, session: &mut Session) -> Result<(), ProjectionError> {
        session.tick = Instant::now() + self.options.tick_interval;
        self.lifecycle.check().await?;
        self.look_at_head(session).await?;
        if !session.serving && session.feed.caught_up() && session.committed == session.feed.reached() {
            self.switch(session).await?;
        }
        self.tell(session, 0, None);
        Ok(())
    }

    async fn look_at_head(&mut self, session: &mut Session) -> Result<(), ProjectionError> {
        let now = Instant::now();
        if session.feed.caught_up() {
            session.head = session.feed.reached();
        } else if now >= session.look_at_head {
            session.look_at_head = now + self.options.checkpoint_interval;
            session.head = self.store.head().await.map_err(|source| self.lifecycle.store_error(source))?;
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, session: &Session, events: usize, recorded_at: Option<SystemTime>) {
        let step = Step {
            position: session.feed.done_up_to(session.committed),
            head: session.head,
            caught_up: session.feed.caught_up(),
            serving: session.serving,
            parked: self.parked.len(),
            parked_since: self.parked.oldest(),
            events,
            recorded_at,
        };
        self.meter.step(&step, self.clock.now());
    }

    fn pause(&self, error: &ProjectionError) -> std::time::Duration {
        let asked = match error {
            ProjectionError::Store { source: StoreError::Unavailable { retry_after, .. }, .. } => *retry_after,
            _ => None,
        };
        asked.unwrap_or_default().max(self.options.backoff.pause(self.failures))
    }
}

fn changes(views: &[StoredView]) -> Vec<ViewChange> {
    views
        .iter()
        .map(|view| ViewChange { key: view.key.clone(), version: view.version, position: view.position })
        .collect()
}

/// Lets other tasks run once: stores in memory are always ready, and so a long catch-up would keep
/// the thread to itself.
async fn breathe() {
    let mut breathed = false;
    poll_fn(|context| {
        if breathed {
            return Poll::Ready(());
        }
        breathed = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

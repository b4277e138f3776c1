//! Parked streams brought back: retried or discarded at the event they stand at, then folded up to
//! the checkpoint. It happens inside the projection's loop, so there is never a second writer.

use futures::StreamExt;

use super::{
    engine::{Engine, Session},
    error::ProjectionError,
    handle::{HandleError, Repair, Repaired, Request},
    parking::{ATTEMPTS, ParkedStreams},
    slots::Positions,
};
use crate::{
    event::RecordedEvent,
    id::StreamId,
    position::Position,
    store::{Direction, StoreError},
    version::Version,
    view::{Parked, Projector},
};

/// How a repair goes on after one part.
enum Then {
    GoOn,
    Done(Repaired),
}

/// A part of a stream, and the first event after it.
struct Part {
    records: Vec<RecordedEvent>,
    next: Option<(RecordedEvent, Position)>,
}

impl<P: Projector> Engine<P> {
    /// Answers a request. A store that fails ends the session, and the answer is "interrupted".
    pub(super) async fn repair(&mut self, session: &mut Session, request: Request) -> Result<(), ProjectionError> {
        let Request { stream, repair, answer } = request;
        let Some(parked) = self.parked.get(&stream).cloned() else {
            let projection = self.lifecycle.projection.clone();
            // Whoever asked may be gone by now; what was done stays done.
            drop(answer.send(Err(HandleError::NotParked { projection, stream })));
            return Ok(());
        };
        let repaired = self.bring_back(session, parked, repair).await?;
        self.tell(session, 0, None);
        drop(answer.send(Ok(repaired)));
        Ok(())
    }

    async fn bring_back(
        &mut self,
        session: &mut Session,
        was: Parked,
        repair: Repair,
    ) -> Result<Repaired, ProjectionError> {
        let stream = was.stream.clone();
        let mut after = match repair {
            Repair::Retry => was.version.previous(),
            Repair::Discard => Some(was.version),
        };
        loop {
            let part = self.read_part(&stream, after, session.committed).await;
            let part = part.map_err(|source| self.lifecycle.store_error(source))?;
            after = part.records.last().map_or(after, |last| Some(last.version));
            match self.fold_part(session, &was, part).await? {
                Then::GoOn => {}
                Then::Done(repaired) => return Ok(repaired),
            }
        }
    }

    /// Folds a part of the stream in and writes down where the stream stands now.
    async fn fold_part(&mut self, session: &mut Session, was: &Parked, part: Part) -> Result<Then, ProjectionError> {
        // Positions above the checkpoint, so that whoever has read up to it sees these views.
        let positions = Positions::After(session.repaired.max(session.committed));
        let nobody = ParkedStreams::none(0);
        let mut folded = self.folder.fold(part.records, &nobody, positions, self.clock.now()).await?;
        session.repaired = folded.views.last().map_or(session.repaired, |view| view.position);
        let mut release = Vec::new();
        let then = match (folded.park.first_mut(), part.next) {
            (Some(failed), _) => {
                if failed.version == was.version {
                    failed.attempts = was.attempts.saturating_add(ATTEMPTS);
                    failed.since = was.since;
                }
                Then::Done(Repaired::ParkedAgain(failed.clone()))
            }
            (None, Some(next)) => {
                folded.park.push(halted_at(was, next));
                Then::GoOn
            }
            (None, None) => {
                release.push(was.stream.clone());
                Then::Done(Repaired::Released)
            }
        };
        self.commit(session, folded, session.committed, release).await?;
        Ok(then)
    }

    /// The next events of the stream that are of interest, none beyond the checkpoint: those come by
    /// the feed.
    ///
    /// It takes no session: a shared one across an await would keep the whole run from being sent to
    /// another thread.
    async fn read_part(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        committed: Option<Position>,
    ) -> Result<Part, StoreError> {
        let mut events = self.store.read_stream(stream, after, Direction::Forward);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = events.next().await.transpose()? {
            let Some(position) = record.position.filter(|position| Some(*position) <= committed) else { break };
            if !self.query.matches(record.stream.category(), record.name.as_str()) {
                continue;
            }
            let full = records.len() >= self.options.batch_events_max.get() || bytes >= self.options.batch_bytes_max;
            if full && !records.is_empty() {
                return Ok(Part { records, next: Some((record, position)) });
            }
            bytes += record.payload.len();
            records.push(record);
        }
        Ok(Part { records, next: None })
    }
}

/// Where the stream would stand if the repair were cut short between two parts.
fn halted_at(was: &Parked, (next, position): (RecordedEvent, Position)) -> Parked {
    Parked {
        version: next.version,
        position,
        event: next.name,
        reason: "its repair was cut short here".to_owned(),
        ..was.clone()
    }
}

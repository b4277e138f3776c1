//! The first outcome of a command that comes again.

use futures::TryStreamExt;

use super::{CommandHandler, ExecuteError, Executed, recent::Commit};
use crate::{
    aggregate::Aggregate,
    command::CommandEnvelope,
    event::RecordedEvent,
    id::{CommandId, StreamId},
    outcome::Outcome,
    store::{Direction, StoreError},
};

impl<A: Aggregate> CommandHandler<A> {
    /// What became of a command: a recorded refusal, or the commit that its event ids lead to.
    ///
    /// `None` when it was never decided on.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        if let Some(outcome) = self.outcomes.find(command).await? {
            return Ok(Some(outcome));
        }
        let Some(commit) = self.commit_of(command).await? else { return Ok(None) };
        Ok(commit.last().map(|last| Outcome::Committed { stream: last.stream.clone(), version: last.version }))
    }

    /// Makes `outcome` the command's outcome; returns the first one if there is another.
    ///
    /// A commit may lie so far back that only its event ids tell of it, so they are asked for
    /// before a refusal stands.
    pub(super) async fn settle(
        &self,
        command: &CommandEnvelope<A::Command>,
        stream: &StreamId,
        outcome: Outcome,
    ) -> Result<Option<Executed<A::Event>>, ExecuteError<A::Rejection>> {
        if self.store.find_event(command.id.event_id(0)).await?.is_some() {
            return self.find_committed(command.id, stream).await.map(Some);
        }
        let first = self.outcomes.record(command.id, outcome.clone()).await?;
        if first == outcome {
            return Ok(None);
        }
        self.decided_before(command.id, first).await.map(Some)
    }

    /// The answer that was recorded for the command's first delivery.
    pub(super) async fn decided_before(
        &self,
        command: CommandId,
        outcome: Outcome,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        match outcome {
            Outcome::Rejected { code, message, .. } => Err(ExecuteError::RejectedBefore { code, message }),
            Outcome::Unchanged { stream, version } => {
                Ok(Executed { stream, version, position: None, events: Vec::new(), duplicate: true })
            }
            Outcome::Committed { stream, .. } => self.find_committed(command, &stream).await,
        }
    }

    /// The commit at known versions, as it was answered first.
    pub(super) async fn committed_before(
        &self,
        stream: &StreamId,
        commit: Commit,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let mut events = self.store.read_stream(stream, commit.first.previous(), Direction::Forward);
        let mut records = Vec::new();
        while let Some(record) = events.try_next().await? {
            let reached = record.version >= commit.last;
            records.push(record);
            if reached {
                break;
            }
        }
        self.executed_before(stream, &records)
    }

    /// The commit that the command's event ids lead to, as it was answered first.
    pub(super) async fn find_committed(
        &self,
        command: CommandId,
        stream: &StreamId,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let records = self.commit_of(command).await?.unwrap_or_default();
        self.executed_before(stream, &records)
    }

    fn executed_before(
        &self,
        stream: &StreamId,
        records: &[RecordedEvent],
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let Some(last) = records.last() else {
            return Err(StoreError::corrupt(stream.as_str(), "the events of an earlier delivery are missing").into());
        };
        if last.stream.category() != A::CATEGORY {
            return Err(StoreError::invalid(format!("the command was carried out before, on {}", last.stream)).into());
        }
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            events.extend(self.codec.decode(record)?);
        }
        let (version, position) = (Some(last.version), last.position);
        Ok(Executed { stream: last.stream.clone(), version, position, events, duplicate: true })
    }

    /// All events of the command's commit, found by the id of the first.
    async fn commit_of(&self, command: CommandId) -> Result<Option<Vec<RecordedEvent>>, StoreError> {
        let Some(first) = self.store.find_event(command.event_id(0)).await? else { return Ok(None) };
        let mut rest = self.store.read_stream(&first.stream, Some(first.version), Direction::Forward);
        let mut records = vec![first];
        for index in 1.. {
            match rest.try_next().await? {
                Some(record) if record.id == command.event_id(index) => records.push(record),
                _ => break,
            }
        }
        Ok(Some(records))
    }
}

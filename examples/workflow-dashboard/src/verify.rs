//! Holds every view against the fold of its stream, event by event and value for value.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroU32,
};

use eventsource_core::{
    Aggregate, Checkpoint, Direction, Position, ProjectionId, Projector, Query, StoreError, StoredView, StreamId,
    Version, ViewQuery,
};
use futures::TryStreamExt;

use crate::{
    domain::{Workflow, WorkflowStatus},
    ports::Ports,
    projections::{Fold, WorkflowView, Workflows},
    with_causes,
};

/// Views loaded together.
const VIEWS_TOGETHER: usize = 500;
/// Most differences that are told one by one.
const DIFFERENCES_MAX: usize = 20;
/// Most parked streams that are counted.
const PARKED_MAX: NonZeroU32 = NonZeroU32::new(10_000).expect("10,000 is not zero");

/// What a store holds, and whether it agrees with itself.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Events in the store.
    pub events: u64,
    /// Streams in the store.
    pub streams: u64,
    /// Workflows among them.
    pub workflows: u64,
    /// Completed steps that the views show.
    pub completed_steps: u64,
    /// Views that were held against the fold of their events.
    pub views: u64,
    /// Workflows whose view is right but behind its stream, or not there yet: the projector has not
    /// come so far.
    pub trailing: u64,
    /// Streams that stand still at an event which could not be projected.
    pub parked: u64,
    /// How many things were found that should not be.
    pub differences: u64,
    /// The first of them.
    pub found: Vec<String>,
}

impl Verified {
    /// Whether everything agrees.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, what: String) {
        self.differences += 1;
        if self.found.len() < DIFFERENCES_MAX {
            self.found.push(what);
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} events in {} streams, positions and versions without a gap", self.events, self.streams)?;
        writeln!(f, "{} workflows, {} completed steps", self.workflows, self.completed_steps)?;
        write!(f, "{} views equal the fold of their events", self.views)?;
        if self.trailing > 0 {
            write!(f, "\n{} views are behind their stream, the projector will catch up", self.trailing)?;
        }
        if self.parked > 0 {
            write!(f, "\n{} streams are parked", self.parked)?;
        }
        Ok(())
    }
}

/// Reads everything in `ports` and compares it. Nothing is written, and nothing else may be running.
///
/// - Positions run 1, 2, 3 … through the store, and versions through each stream.
/// - Every view equals the fold of its stream up to the view's version, value for value.
/// - A view is older than its stream only where the projection has not come further, or the stream
///   is parked.
/// - There is no view without a stream.
/// - The projection has not come further than the store.
/// - Counts of all views and of those with each status, as lists show them, are those of the folds.
///
/// # Errors
/// When a store cannot be read.
pub async fn verify(ports: &Ports) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let streams = read_log(ports, &mut verified).await?;
    let projection = ProjectionId::of::<Workflows>();
    let workflows: Vec<&StreamId> = streams.iter().filter(|stream| stream.category() == Workflow::CATEGORY).collect();
    verified.workflows = u64::try_from(workflows.len()).unwrap_or(u64::MAX);
    match ports.views.serving(Workflows::NAME).await? {
        None => {
            // The projector has not made its first commit: there are no views to compare.
            verified.trailing = verified.workflows;
            return Ok(verified);
        }
        Some(version) if version == projection.version => {}
        Some(version) => {
            verified.differs(format!("views of version {version} are served, not of {projection}"));
            return Ok(verified);
        }
    }
    let checkpoint = ports.views.checkpoint(&projection).await?;
    let reached = checkpoint.and_then(|Checkpoint { position }| position);
    let head = ports.store.head().await?;
    if reached > head {
        verified.differs(format!("{projection} has come to {reached:?}, the store ends at {head:?}"));
    }
    let parked = ports.views.parked(&projection, None, PARKED_MAX).await?;
    verified.parked = u64::try_from(parked.len()).unwrap_or(u64::MAX);
    let parked: BTreeMap<StreamId, Version> = parked.into_iter().map(|one| (one.stream, one.version)).collect();

    let mut shown = 0;
    let mut folds: HashMap<WorkflowStatus, u64> = HashMap::new();
    for some in workflows.chunks(VIEWS_TOGETHER) {
        let keys: Vec<String> = some.iter().map(|stream| stream.key().to_owned()).collect();
        let views = ports.views.load(&projection, &keys).await?;
        for (stream, view) in some.iter().zip(views) {
            shown += u64::from(view.as_ref().is_some_and(|view| view.body.is_some()));
            let halt = parked.get(*stream).copied();
            if let Err(what) = compare(ports, stream, view, reached, halt, &mut verified, &mut folds).await? {
                verified.differs(what);
            }
        }
    }
    let stored = ports.views.find(&projection, ViewQuery::default()).await?.total;
    if stored != shown {
        verified.differs(format!("{stored} views are stored, {shown} of them belong to a stream"));
    }
    for status in WorkflowStatus::ALL {
        let mut query = ViewQuery::default();
        query.equal.push((Cow::Borrowed("status"), status.as_str().to_owned()));
        let (listed, folded) =
            (ports.views.find(&projection, query).await?.total, folds.get(&status).copied().unwrap_or_default());
        if listed != folded {
            verified.differs(format!("{listed} views are listed as {status}, {folded} folds are"));
        }
    }
    Ok(verified)
}

/// Reads the whole store in order; gives the streams in it.
async fn read_log(ports: &Ports, verified: &mut Verified) -> Result<Vec<StreamId>, StoreError> {
    let mut streams: BTreeMap<StreamId, Version> = BTreeMap::new();
    let mut last: Option<Position> = None;
    let mut events = ports.store.read_all(Query::default());
    while let Some(event) = events.try_next().await? {
        verified.events += 1;
        let wanted = Position::next_after(last);
        if event.position != Some(wanted) {
            verified
                .differs(format!("{} {} has position {:?}, not {wanted}", event.stream, event.version, event.position));
        }
        last = event.position.or(Some(wanted));
        let version = Version::next_after(streams.get(&event.stream).copied());
        if event.version != version {
            verified.differs(format!("{} has version {} after {:?}", event.stream, event.version, version.previous()));
        }
        streams.insert(event.stream, event.version);
    }
    let head = ports.store.head().await?;
    if head != last {
        verified.differs(format!("the store says it ends at {head:?}, its last event is at {last:?}"));
    }
    verified.streams = u64::try_from(streams.len()).unwrap_or(u64::MAX);
    Ok(streams.into_keys().collect())
}

/// Folds one stream again; says what differs.
async fn compare(
    ports: &Ports,
    stream: &StreamId,
    stored: Option<StoredView>,
    reached: Option<Position>,
    halt: Option<Version>,
    verified: &mut Verified,
    folds: &mut HashMap<WorkflowStatus, u64>,
) -> Result<Result<(), String>, StoreError> {
    let stored_version = stored.as_ref().and_then(|view| view.version);
    let mut events = ports.store.read_stream(stream, None, Direction::Forward);
    let mut fold = Fold::default();
    // The view's own state, and the first event that is not in it.
    let (mut at_view, mut missing) = (None, None);
    while let Some(event) = events.try_next().await? {
        if Some(event.version) > stored_version {
            missing = Some(event);
            break;
        }
        if let Err(error) = fold.take_in(&event) {
            return Ok(Err(format!("{stream} cannot be folded: {}", with_causes(&error))));
        }
        at_view = fold.folded.as_ref();
    }
    if at_view.map(|folded| folded.version) != stored_version {
        return Ok(Err(format!("the view of {stream} has version {stored_version:?}, the stream ends before")));
    }
    if let Some(event) = missing {
        let is_parked = halt == Some(event.version);
        if event.position <= reached && !is_parked {
            return Ok(Err(format!("the view of {stream} lacks event {}, which is projected", event.version)));
        }
        verified.trailing += u64::from(!is_parked);
    }
    let folded = at_view.and_then(|folded| folded.view.as_ref());
    if let Some(view) = folded {
        *folds.entry(view.status).or_default() += 1;
    }
    let Some(body) = stored.and_then(|view| view.body) else {
        return Ok(if folded.is_none() { Ok(()) } else { Err(format!("{stream} has no view")) });
    };
    let view: WorkflowView = match serde_json::from_slice(&body) {
        Ok(view) => view,
        Err(error) => return Ok(Err(format!("the view of {stream} cannot be read: {error}"))),
    };
    verified.views += 1;
    verified.completed_steps += u64::from(view.completed_steps);
    if folded != Some(&view) {
        return Ok(Err(format!("the view of {stream} is not the fold of its events")));
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use eventsource_core::{
        Checkpoint, CommandEnvelope, CommandHandler, IdSource, Metadata, Position, Projection, ProjectionId, RandomIds,
        ViewBatch,
    };

    use super::verify;
    use crate::{
        domain::{Workflow, WorkflowCommand},
        ports::Ports,
        projections::Workflows,
    };

    /// Two workflows with three events each, all of them in their views.
    async fn filled() -> Ports {
        let ports = Ports::memory();
        let handler = CommandHandler::<Workflow>::new(ports.store.clone(), ports.outcomes.clone());
        for id in ["a", "b"] {
            let workflow_id = || id.to_owned();
            for command in [
                WorkflowCommand::StartWorkflow {
                    workflow_id: workflow_id(),
                    definition: "d".into(),
                    initiator: "i".into(),
                    initial_params: None,
                },
                WorkflowCommand::StartStep { workflow_id: workflow_id(), step: "s".into() },
                WorkflowCommand::CompleteStep { workflow_id: workflow_id(), step: "s".into(), output: None },
            ] {
                let command = CommandEnvelope::new(RandomIds.command_id(), command, Metadata::default());
                handler.execute(&command).await.unwrap();
            }
        }
        let projection = Projection::new(Workflows, ports.store.clone(), ports.views.clone());
        let handle = projection.handle();
        tokio::select! {
            ended = projection.run(pending()) => panic!("{ended:?}"),
            reached = handle.reached(Position::new(6).unwrap()) => reached.unwrap(),
        }
        ports
    }

    #[tokio::test]
    async fn a_sound_store_is_found_sound() {
        let verified = verify(&filled().await).await.unwrap();
        assert!(verified.is_sound(), "{:?}", verified.found);
        let counts = (verified.events, verified.workflows, verified.completed_steps, verified.views, verified.trailing);
        assert_eq!(counts, (6, 2, 2, 2, 0));
    }

    #[tokio::test]
    async fn wrong_old_stray_and_miscounted_views_are_found_and_a_projection_ahead_of_its_store() {
        let projection = ProjectionId::of::<Workflows>();
        for (damage, sentence) in [
            ("wrong", "not the fold"),
            ("old", "lacks event 3"),
            ("stray", "belong to a stream"),
            ("miscounted", "1 views are listed as CANCELLED, 0 folds are"),
            ("ahead", "has come to"),
        ] {
            let ports = filled().await;
            let mut view = ports.views.load(&projection, &["a".to_owned()]).await.unwrap().remove(0).unwrap();
            let text = String::from_utf8(view.body.as_ref().unwrap().to_vec()).unwrap();
            let mut batch = ViewBatch::default();
            match damage {
                "miscounted" => {
                    let other = text.replacen(r#""status":"RUNNING""#, r#""status":"CANCELLED""#, 1);
                    view.body = Some(other.into_bytes().into());
                }
                "ahead" => batch.checkpoint = Some(Checkpoint { position: Position::new(7) }),
                "wrong" => view.body = Some(text.replace("COMPLETED", "RUNNING").into_bytes().into()),
                "old" => view.version = view.version.unwrap().previous(),
                _ => "c".clone_into(&mut view.key),
            }
            batch.views.push(view);
            ports.views.commit(&projection, batch).await.unwrap();
            let verified = verify(&ports).await.unwrap();
            assert!(!verified.is_sound());
            assert!(verified.found.iter().any(|found| found.contains(sentence)), "{damage}: {:?}", verified.found);
        }
    }
}

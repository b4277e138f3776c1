//! How the system itself is doing.

use std::num::NonZeroU32;

use async_graphql::{ComplexObject, Context, Error, ID, SimpleObject};
use eventsource_core::{Parked, Position, Progress};
use eventsource_graphql::PositionScalar;

use super::query::services;

/// Most parked streams that are listed.
pub(super) const PARKED_MAX: NonZeroU32 = NonZeroU32::new(100).expect("100 is not zero");

/// The store and its projections.
#[derive(SimpleObject, Clone, Debug)]
#[graphql(complex)]
pub(super) struct SystemStatus {
    /// Names the store. Another id means that the store was made anew.
    pub(super) store_id: ID,
    /// Place of the last event.
    pub(super) head_position: PositionScalar,
    /// How far each projection has come.
    pub(super) projections: Vec<ProjectionStatus>,
}

#[ComplexObject]
impl SystemStatus {
    /// Commands that were given up on: not carried out until somebody sends them again.
    async fn dead_letters(&self, context: &Context<'_>) -> Result<u64, Error> {
        Ok(services(context)?.dead_letters.count())
    }
}

/// How far a projection has come.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct ProjectionStatus {
    /// What it is called.
    name: String,
    /// The version of its views.
    version: u32,
    /// Everything up to here is shown, parked, or of no interest.
    position: PositionScalar,
    /// Events after that.
    lag_events: u64,
    /// Workflows that stand still because an event cannot be shown.
    parked: u64,
    /// Events shown in a second, over about the last ten.
    events_per_second: f64,
    /// Those workflows, at most 100.
    parked_streams: Vec<ParkedStream>,
}

impl ProjectionStatus {
    /// The status when the store ends at `head`.
    pub(super) fn new(progress: &Progress, head: Option<Position>, parked: Vec<Parked>) -> Self {
        Self {
            name: progress.projection.name.to_string(),
            version: progress.projection.version,
            position: progress.position.into(),
            lag_events: Position::value_of(head).saturating_sub(Position::value_of(progress.position)),
            parked: progress.parked,
            events_per_second: progress.events_per_second,
            parked_streams: parked.into_iter().map(ParkedStream::from).collect(),
        }
    }
}

/// A workflow that stands still at an event which cannot be shown.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct ParkedStream {
    /// Which workflow.
    workflow_id: ID,
    /// The event it stands at.
    version: u64,
    /// Where that event is.
    position: PositionScalar,
    /// What that event is called.
    event_name: String,
    /// Why it cannot be shown.
    reason: String,
    /// How often it was tried.
    attempts: u32,
}

impl From<Parked> for ParkedStream {
    fn from(parked: Parked) -> Self {
        Self {
            workflow_id: ID(parked.stream.key().to_owned()),
            version: parked.version.value(),
            position: parked.position.into(),
            event_name: parked.event.to_string(),
            reason: parked.reason,
            attempts: parked.attempts,
        }
    }
}

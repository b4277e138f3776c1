//! The events of one stream as a Relay connection.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Error, ID, Object, OutputType, SimpleObject, TypeName, connection::PageInfo};
use eventsource_core::{Direction, EventStore, RecordedEvent, StreamId, Version};
use futures::{StreamExt, TryStreamExt};

use crate::{
    error::{error_with_code, internal_error, store_error},
    page::page_size,
    scalar::{Json, PositionScalar, Timestamp},
};

/// The events of `stream` after the cursor `after`, oldest first: at most `first` of them, and never
/// more than [`PAGE_SIZE_MAX`](crate::PAGE_SIZE_MAX).
///
/// Only the page is read, and the last event for `totalCount`. A stream that does not exist is an
/// empty page.
///
/// # Errors
/// `INVALID_ARGUMENT` for a cursor that is not ours; else what [`store_error`] says.
///
/// ```
/// use async_graphql::{Context, ID, Object, Result};
/// use eventsource_core::{EventStore, StreamId};
/// use eventsource_graphql::{EventConnection, history, page_cost, stream_id_error};
/// use std::sync::Arc;
///
/// struct Query;
///
/// #[Object]
/// impl Query {
///     #[graphql(complexity = "page_cost(first, child_complexity)")]
///     async fn account_history(
///         &self,
///         context: &Context<'_>,
///         id: ID,
///         #[graphql(default = 50)] first: i32,
///         after: Option<String>,
///     ) -> Result<EventConnection> {
///         let store = context.data::<Arc<dyn EventStore>>()?;
///         let stream = StreamId::new("account", &id).map_err(|error| stream_id_error(&error))?;
///         history(store.as_ref(), &stream, first, after.as_deref()).await
///     }
/// }
/// ```
pub async fn history<N>(
    store: &dyn EventStore,
    stream: &StreamId,
    first: i32,
    after: Option<&str>,
) -> Result<EventConnection<N>, Error>
where
    N: OutputType + From<EventNode>,
{
    let after = after.map(version_of).transpose()?;
    let last = store.read_stream(stream, None, Direction::Backward).next().await.transpose();
    let last = last.map_err(|error| store_error(&error))?.map(|event| event.version);
    let size = usize::try_from(page_size(first)).unwrap_or(usize::MAX);
    let events: Vec<RecordedEvent> = match size {
        0 => Vec::new(),
        size => {
            let page = store.read_stream(stream, after, Direction::Forward).take(size);
            page.try_collect().await.map_err(|error| store_error(&error))?
        }
    };
    // An event may have come in since the last one was looked up.
    let end = events.last().map(|event| event.version);
    let total = last.max(end);
    let edges = events.iter().map(|event| {
        let node = EventNode::new(event).map_err(|error| internal_error(&error))?;
        Ok(EventEdge { cursor: cursor_of(event.version), node: N::from(node) })
    });
    Ok(EventConnection {
        total_count: Version::value_of(total),
        has_previous_page: after.is_some() && total.is_some(),
        has_next_page: end.or(after) < total,
        edges: edges.collect::<Result<_, Error>>()?,
    })
}

/// One event of a history, for the GraphQL type `Event`.
///
/// A schema with a name of its own for it flattens this into a type of that name:
///
/// ```
/// use async_graphql::SimpleObject;
/// use eventsource_graphql::{EventConnection, EventNode};
///
/// #[derive(SimpleObject)]
/// struct AccountEvent {
///     #[graphql(flatten)]
///     event: EventNode,
/// }
///
/// impl From<EventNode> for AccountEvent {
///     fn from(event: EventNode) -> Self {
///         Self { event }
///     }
/// }
///
/// type AccountHistory = EventConnection<AccountEvent>;
/// ```
#[derive(SimpleObject, Clone, Debug)]
#[graphql(name = "Event")]
pub struct EventNode {
    /// The event's own id.
    pub event_id: ID,
    /// What happened.
    pub name: String,
    /// Shape of the payload.
    pub schema: u16,
    /// Place in the stream: 1, 2, 3 …
    pub version: u64,
    /// Place in the store; absent while the store has not given one yet.
    pub position: Option<PositionScalar>,
    /// When the store took it.
    pub recorded_at: Timestamp,
    /// The event's fields as they are stored.
    pub payload: Json,
    /// Who asked for it.
    pub actor: Option<Arc<str>>,
    /// The command or event just before it.
    pub causation_id: Option<ID>,
    /// The whole conversation.
    pub correlation_id: Option<ID>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
}

impl EventNode {
    /// The event as GraphQL shows it.
    ///
    /// # Errors
    /// When the stored payload is not JSON.
    pub fn new(event: &RecordedEvent) -> serde_json::Result<Self> {
        let metadata = &event.metadata;
        Ok(Self {
            event_id: ID(event.id.to_string()),
            name: event.name.to_string(),
            schema: event.schema,
            version: event.version.value(),
            position: event.position.map(PositionScalar::from),
            recorded_at: Timestamp::from(event.recorded_at),
            payload: Json::from_slice(&event.payload)?,
            actor: metadata.actor.clone(),
            causation_id: metadata.causation_id.map(|id| ID(id.to_string())),
            correlation_id: metadata.correlation_id.map(|id| ID(id.to_string())),
            trace_id: metadata.trace.map(|trace| trace.trace_id()),
        })
    }
}

/// A page of events, for the GraphQL type `EventConnection`.
#[derive(Clone, Debug)]
pub struct EventConnection<N = EventNode> {
    total_count: u64,
    has_previous_page: bool,
    has_next_page: bool,
    edges: Vec<EventEdge<N>>,
}

impl<N: OutputType> TypeName for EventConnection<N> {
    fn type_name() -> Cow<'static, str> {
        "EventConnection".into()
    }
}

/// A page of a stream's events.
#[Object(name_type)]
impl<N: OutputType> EventConnection<N> {
    /// All events of the stream, on this page or not.
    async fn total_count(&self) -> u64 {
        self.total_count
    }

    /// The events of this page, each with its cursor.
    async fn edges(&self) -> &[EventEdge<N>] {
        &self.edges
    }

    /// The events of this page.
    async fn nodes(&self) -> Vec<&N> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Whether there is more, and where.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous_page,
            has_next_page: self.has_next_page,
            start_cursor: self.edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.clone()),
        }
    }
}

/// An event and the cursor that continues after it, for the GraphQL type `EventEdge`.
#[derive(Clone, Debug)]
pub struct EventEdge<N = EventNode> {
    cursor: String,
    node: N,
}

impl<N: OutputType> TypeName for EventEdge<N> {
    fn type_name() -> Cow<'static, str> {
        "EventEdge".into()
    }
}

/// An event on a page.
#[Object(name_type)]
impl<N: OutputType> EventEdge<N> {
    /// Continue after this event with `after`.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The event.
    async fn node(&self) -> &N {
        &self.node
    }
}

fn cursor_of(version: Version) -> String {
    format!("v{version}")
}

fn version_of(cursor: &str) -> Result<Version, Error> {
    let digits = cursor.strip_prefix('v').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let version = digits.and_then(|digits| digits.parse().ok());
    version.ok_or_else(|| error_with_code("after is a cursor that this connection gave", "INVALID_ARGUMENT"))
}

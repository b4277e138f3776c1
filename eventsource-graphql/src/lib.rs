//! Building blocks between [`eventsource_core`] and [`async_graphql`]: what every event-sourced
//! GraphQL server needs, and none wants to write twice.
//!
//! | for | there is |
//! |---|---|
//! | scalars that lose nothing | [`PositionScalar`], [`Timestamp`], [`Json`] |
//! | who asks, in which trace | [`RequestContext`] |
//! | mutations | [`CommandWait`], [`CommandReport`], [`command_id`], [`expected_version`], [`wait_time`] |
//! | subscriptions that resume | [`live`](fn@live) |
//! | an event history | [`history`](fn@history), [`EventConnection`], [`EventNode`] |
//! | pages | [`page_size`], [`page_cost`] |
//! | errors with codes | [`store_error`], [`live_error`], [`internal_error`], [`error_with_code`] |
//! | bounds on what clients ask | [`Limits`] |
//! | routes, behind feature `axum` | `graphql_router`, `HostGuard`, `SecurityHeaders` |
//!
//! A schema takes what it needs; nothing here knows a domain. Where an application has a name of its
//! own for a type (`CommandResult` with a `workflowId`, a `WorkflowEvent`), it flattens ours into it.
//!
//! # A server in one screen
//!
//! ```no_run
//! use std::sync::Arc;
//! use async_graphql::{Context, EmptyMutation, Error, ID, Object, Result, Schema, Subscription};
//! use eventsource_core::{EventStore, Query as StoreQuery, StreamId, Subscribed, SubscribeOptions};
//! use eventsource_core::{memory::MemoryEventStore, subscribe};
//! use eventsource_graphql::{
//!     EventConnection, HostGuard, PositionScalar, RouterOptions, graphql_router, history, live, page_cost,
//!     store_error, stream_id_error,
//! };
//! use futures::{Stream, StreamExt};
//!
//! struct Query;
//!
//! #[Object]
//! impl Query {
//!     #[graphql(complexity = "page_cost(first, child_complexity)")]
//!     async fn order_history(
//!         &self,
//!         context: &Context<'_>,
//!         id: ID,
//!         #[graphql(default = 50)] first: i32,
//!         after: Option<String>,
//!     ) -> Result<EventConnection> {
//!         let stream = StreamId::new("order", &id).map_err(|error| stream_id_error(&error))?;
//!         history(&**context.data::<Arc<dyn EventStore>>()?, &stream, first, after.as_deref()).await
//!     }
//! }
//!
//! struct Subscriptions;
//!
//! #[Subscription]
//! impl Subscriptions {
//!     /// The position of every event after `after`; a client resumes with the last one it got.
//!     async fn events(
//!         &self,
//!         context: &Context<'_>,
//!         after: Option<PositionScalar>,
//!     ) -> Result<impl Stream<Item = Result<PositionScalar>>> {
//!         let store = Arc::clone(context.data::<Arc<dyn EventStore>>()?);
//!         let query = StoreQuery::default().after(after.and_then(PositionScalar::position));
//!         let items = subscribe(store, query, SubscribeOptions::default());
//!         let show = |item| match item {
//!             Subscribed::Event(event) => Ok(event.position.into()),
//!             Subscribed::CaughtUp(head) => Ok(head.into()),
//!             _ => Err(Error::new("unknown item")),
//!         };
//!         Ok(live(items, show, |error| store_error(&error)))
//!     }
//! }
//!
//! # async fn serve() -> std::io::Result<()> {
//! let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let options = RouterOptions::default().with_guard(HostGuard::new().listen(listener.local_addr()?));
//! let schema = options.limits().apply(Schema::build(Query, EmptyMutation, Subscriptions)).data(store).finish();
//! axum::serve(listener, graphql_router(schema, options)).await
//! # }
//! ```
//!
//! # Decisions
//!
//! **Foreign types in public signatures.** The library keeps other crates' 0.x types out of its
//! signatures; this crate cannot, it exists to meet them. It names `async-graphql` 7 where a schema
//! is built (`SchemaBuilder`, `Executor`, `Error`, `ID`, `Context`, and `PageInfo` in
//! [`EventConnection`]), `axum` 0.8 in `graphql_router` alone, `tower` 0.5 in the two layers, and
//! `http` 1 and `serde_json` 1 for headers and connection parameters. A new major version of
//! `async-graphql` or `axum` is therefore a new major version of this crate and of no other.
//!
//! **A socket loop of our own.** The one of `async-graphql` has no cap on operations, no time-out for
//! `connection_init` or for a client that does not read, always asks the same operation first, and
//! takes mutations. Ours asks operations in turn, and only when the client has taken the item
//! before: nothing is queued for a slow client, which is what lets live queries conflate.
//!
//! **Mutations come by `POST` alone**, with a JSON content type, so that one set of guards (origin,
//! size, time) covers them.
//!
//! **JSON leaves as it was stored.** [`Json`] hands the stored text through (`async-graphql`'s feature
//! `raw_value`), so no number is rounded and no tree is built.

mod command;
mod context;
mod error;
mod history;
mod limits;
mod live;
mod page;
#[cfg(feature = "axum")]
mod router;
mod scalar;

pub use command::{CommandReport, CommandWait, WAIT_DEFAULT, WAIT_MAX, command_id, expected_version, wait_time};
pub use context::RequestContext;
pub use error::{error_with_code, internal_error, live_error, store_error, stream_id_error};
pub use history::{EventConnection, EventEdge, EventNode, history};
pub use limits::{Introspection, Limits};
pub use live::live;
pub use page::{PAGE_SIZE_MAX, page_cost, page_size};
#[cfg(feature = "axum")]
pub use router::{
    Credentials, Denied, HostGuard, HostGuardService, RouterOptions, SecurityHeaders, SecurityHeadersService,
    graphql_router,
};
pub use scalar::{Json, PositionScalar, Timestamp};

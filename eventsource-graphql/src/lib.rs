//! Building blocks between [`eventsource_core`] and [`async_graphql`].

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
pub use error::{error_with_code, internal_error, store_error, stream_id_error};
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

//! Building blocks between [`eventsource_core`] and [`async_graphql`].

mod context;
mod error;
mod limits;
mod page;
#[cfg(feature = "axum")]
mod router;
mod scalar;

pub use context::RequestContext;
pub use error::{error_with_code, internal_error, store_error, stream_id_error};
pub use limits::{Introspection, Limits};
pub use page::{PAGE_SIZE_MAX, page_cost, page_size};
#[cfg(feature = "axum")]
pub use router::{
    Credentials, Denied, HostGuard, HostGuardService, RouterOptions, SecurityHeaders, SecurityHeadersService,
    graphql_router,
};
pub use scalar::{Json, PositionScalar, Timestamp};

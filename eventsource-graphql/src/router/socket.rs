//! Operations by WebSocket: the protocol `graphql-transport-ws`, as graphql-ws defines it.

mod message;
mod session;

use std::sync::Arc;

use async_graphql::Executor;
use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use session::Session;
use tokio::sync::OwnedSemaphorePermit;

use super::{Endpoint, refusal::Refusal};

/// Bytes that are reserved for reading from each socket. Clients send little, and the library's own
/// 128 KiB would be most of what an idle socket costs.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// The one subprotocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";

/// Opens a WebSocket, or says why not.
pub(super) async fn upgrade<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade =
        upgrade.map_err(|rejection| Refusal::new(rejection.status(), "BAD_REQUEST", rejection.body_text()))?;
    if !upgrade.requested_protocols().any(|protocol| protocol == PROTOCOL) {
        let message = format!("offer the WebSocket subprotocol {PROTOCOL}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message));
    }
    let permit = Arc::clone(&endpoint.sockets).try_acquire_owned().map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TOO_MANY_SOCKETS",
            "too many WebSockets are open, try again later",
        )
    })?;
    let open = Open::new(permit);
    let bytes = endpoint.options.limits.message_bytes_max;
    let upgrade =
        upgrade.protocols([PROTOCOL]).read_buffer_size(READ_BUFFER_BYTES).max_message_size(bytes).max_frame_size(bytes);
    Ok(upgrade.on_upgrade(move |socket| async move {
        Session::new(endpoint, headers, socket).serve().await;
        drop(open);
    }))
}

/// Counts an open WebSocket as long as it lives.
struct Open {
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("eventsource_graphql_sockets").increment(1);
        Self { _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("eventsource_graphql_sockets").decrement(1);
    }
}

//! The routes: `POST /graphql` and `GET /graphql/ws`.

mod guard;
mod headers;
mod post;
mod refusal;
mod socket;

use std::{fmt, sync::Arc};

use async_graphql::Executor;
use axum::{Router, extract::DefaultBodyLimit, routing};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, pending},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;

use self::refusal::Refusal;
pub use self::{
    guard::{HostGuard, HostGuardService},
    headers::{SecurityHeaders, SecurityHeadersService},
};
use crate::{context::RequestContext, limits::Limits};

/// Routes that serve `schema`: queries and mutations by `POST /graphql`, subscriptions by WebSocket
/// at `GET /graphql/ws`.
///
/// - `POST` takes `application/json` only (else 415), at most [`Limits::body_bytes_max`] (else 413),
///   one operation at a time (a batch is 400), and answers within [`Limits::request_time`] (else
///   408 or 504). Other methods are 405, so no link and no foreign form can cause a mutation.
/// - The WebSocket speaks `graphql-transport-ws`. It carries subscriptions and queries; mutations
///   come by `POST`.
/// - Every request passes the [`HostGuard`] (else 403), and every answer carries
///   [`SecurityHeaders::data`].
/// - Every resolver finds a [`RequestContext`] in its context.
/// - Neither route parses a document that is too long or nests too deep ([`Limits`]).
///
/// A refusal has the shape of a GraphQL answer: `{"errors": [{"message", "extensions": {"code"}}]}`.
///
/// A server that the world can reach belongs behind a proxy that bounds what comes before a request:
/// `axum::serve` has no time-out for headers and no cap on connections.
///
/// Metrics: `eventsource_graphql_request_seconds`, `eventsource_graphql_refused_total` by `code`, `eventsource_graphql_sockets`,
/// `eventsource_graphql_slow_clients_total`.
///
/// ```no_run
/// use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
/// use eventsource_graphql::{RouterOptions, graphql_router};
///
/// struct Query;
///
/// #[Object]
/// impl Query {
///     async fn hello(&self) -> &str { "world" }
/// }
///
/// # async fn serve() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let options = RouterOptions::default();
/// let schema = options.limits().apply(Schema::build(Query, EmptyMutation, EmptySubscription)).finish();
/// axum::serve(listener, graphql_router(schema, options)).await
/// # }
/// ```
pub fn graphql_router<E: Executor>(schema: E, options: RouterOptions) -> Router {
    let guard = options.guard.clone();
    let sockets = Semaphore::new(options.limits.sockets_max.min(Semaphore::MAX_PERMITS));
    let body_limit = DefaultBodyLimit::max(options.limits.body_bytes_max);
    let endpoint = Arc::new(Endpoint { schema, options, sockets: Arc::new(sockets) });
    let post = routing::post(post::post::<E>).fallback(|method| async move { wrong_method(&method, "POST") });
    let socket = routing::on(routing::MethodFilter::GET, socket::upgrade::<E>)
        .fallback(|method| async move { wrong_method(&method, "GET") });
    Router::new()
        .route("/graphql", post.layer(body_limit))
        .route("/graphql/ws", socket)
        .layer(guard)
        .layer(SecurityHeaders::data())
        .with_state(endpoint)
}

/// How a router is set up.
///
/// ```
/// use eventsource_graphql::{HostGuard, Limits, RouterOptions};
///
/// let mut limits = Limits::default();
/// limits.body_bytes_max = 64 << 10;
/// let options = RouterOptions::default()
///     .with_limits(limits)
///     .with_guard(HostGuard::new().allow_host("workflows.example.com"))
///     // A proxy in front of this server has checked who it is.
///     .with_actor(|who| Ok(who.headers.get("x-user").and_then(|user| user.to_str().ok()).map(Into::into)));
/// ```
#[derive(Clone)]
pub struct RouterOptions {
    limits: Limits,
    guard: HostGuard,
    actor: Arc<ActorOf>,
    shutdown: Shared<BoxFuture<'static, ()>>,
}

type ActorOf = dyn Fn(Credentials<'_>) -> Result<Option<Arc<str>>, Denied> + Send + Sync;

/// What a client says about itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The headers of the request, or of the one that opened the WebSocket.
    pub headers: &'a HeaderMap,
    /// The payload of `connection_init`; only on a WebSocket, and only where there is one.
    pub connection_params: Option<&'a serde_json::Value>,
}

/// The client may not come in: 401 for a request, close code 4403 for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(
    /// A sentence that the client is shown.
    pub &'static str,
);

impl RouterOptions {
    /// The same with other limits. Apply them to the schema too: [`Limits::apply`].
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same behind another guard.
    #[must_use]
    pub fn with_guard(self, guard: HostGuard) -> Self {
        Self { guard, ..self }
    }

    /// The same, where `actor` tells who asks; without it nobody is known by name. It is asked once
    /// a request, and once a WebSocket, at its `connection_init`.
    #[must_use]
    pub fn with_actor(
        self,
        actor: impl Fn(Credentials<'_>) -> Result<Option<Arc<str>>, Denied> + Send + Sync + 'static,
    ) -> Self {
        Self { actor: Arc::new(actor), ..self }
    }

    /// The same, where open WebSockets are closed with code 1001 once `shutdown` is done. Without it
    /// they outlive a graceful shutdown of the server.
    #[must_use]
    pub fn with_shutdown(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { shutdown: shutdown.boxed().shared(), ..self }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The guard, for the other routes of the same server.
    #[must_use]
    pub const fn guard(&self) -> &HostGuard {
        &self.guard
    }

    fn context_of(&self, who: Credentials<'_>) -> Result<RequestContext, Denied> {
        let request = RequestContext::from_headers(who.headers).with_actor((self.actor)(who)?);
        Ok(match who.connection_params {
            Some(params) => request.with_connection_params(params),
            None => request,
        })
    }
}

impl Default for RouterOptions {
    /// Default limits, loopback only, no actor, no shutdown.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            guard: HostGuard::new(),
            actor: Arc::new(|_| Ok(None)),
            shutdown: pending().boxed().shared(),
        }
    }
}

impl fmt::Debug for RouterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterOptions")
            .field("limits", &self.limits)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// What all requests share.
struct Endpoint<E> {
    schema: E,
    options: RouterOptions,
    sockets: Arc<Semaphore>,
}

fn wrong_method(method: &Method, right: &'static str) -> impl axum::response::IntoResponse + use<> {
    let message = format!("{method} is not accepted here, use {right}");
    let allow = [(header::ALLOW, HeaderValue::from_static(right))];
    (allow, Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message))
}

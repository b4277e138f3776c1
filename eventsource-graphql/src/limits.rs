//! What one client may ask of the server at once.

mod document;
mod source;

use std::time::Duration;

#[cfg(feature = "axum")]
pub(crate) use self::{document::DOCUMENT_TOO_LARGE, source::check_source};
use async_graphql::{SchemaBuilder, extensions::ExtensionFactory};
use document::DocumentLimits;

/// Bounds on everything a client can make large, with defaults for a public page.
///
/// The first five guard the schema ([`apply`](Self::apply)); the rest guard the routes
/// (`RouterOptions`, feature `axum`). Both refuse a document of more than 15,000 tokens, or with more
/// than 64 brackets, braces and parentheses open at once, before anything parses it; these are no
/// settings.
///
/// ```
/// use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
/// use eventsource_graphql::Limits;
///
/// struct Query;
///
/// #[Object]
/// impl Query {
///     async fn hello(&self) -> &str { "world" }
/// }
///
/// let mut limits = Limits::default();
/// limits.depth_max = 20;
/// let schema = limits.apply(Schema::build(Query, EmptyMutation, EmptySubscription)).finish();
/// # let _: Schema<Query, EmptyMutation, EmptySubscription> = schema;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Deepest nesting of fields, 1 to 32. Default 16: the introspection query of graphql-js has 15.
    pub depth_max: usize,
    /// Highest sum of the costs of all fields, each counted under every alias. Default 10,000.
    pub complexity_max: usize,
    /// Most fields and fragments in a document, each fragment counted wherever it is spread, and one
    /// that nobody spreads as it is written.
    /// Default 500. It is checked before anything is validated, so that neither a thousand aliases
    /// nor fragments that spread each other cost time.
    pub selections_max: usize,
    /// Most directives on one field. Default 4.
    pub directives_max: usize,
    /// Whether clients may read the schema. Default yes: it is no secret.
    pub introspection: Introspection,
    /// Largest HTTP request body in bytes. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Longest time for a request from its first byte to its answer. Default 30 s.
    pub request_time: Duration,
    /// Largest WebSocket message from a client in bytes. Default 1 MiB.
    pub message_bytes_max: usize,
    /// Most WebSockets open at once. Default 1,000.
    pub sockets_max: usize,
    /// Most operations running on one WebSocket at once. Default 20.
    pub operations_per_socket_max: usize,
    /// Longest time from the opening of a WebSocket to its `connection_init`. Default 5 s.
    pub init_time: Duration,
    /// Pause between the server's pings on a WebSocket, above 0. Default 15 s. A client that sends
    /// nothing, not even a pong, for three of them is cut off.
    pub ping_interval: Duration,
    /// Longest time that one message may wait for a client that does not read. Default 10 s; then
    /// the client is cut off.
    pub send_time: Duration,
}

/// Whether clients may read the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// They may.
    Enabled,
    /// They may not: `__schema` and `__type` are unknown fields.
    Disabled,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: 16,
            complexity_max: 10_000,
            selections_max: 500,
            directives_max: 4,
            introspection: Introspection::Enabled,
            body_bytes_max: 1 << 20,
            request_time: Duration::from_secs(30),
            message_bytes_max: 1 << 20,
            sockets_max: 1_000,
            operations_per_socket_max: 20,
            init_time: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            send_time: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The schema with these limits on depth, complexity, selections, directives and introspection.
    #[must_use]
    pub fn apply<Q, M, S>(&self, schema: SchemaBuilder<Q, M, S>) -> SchemaBuilder<Q, M, S> {
        let limited = schema
            .limit_depth(self.depth_max)
            .limit_complexity(self.complexity_max)
            .limit_directives(self.directives_max)
            .extension(self.document_limits());
        match self.introspection {
            Introspection::Enabled => limited,
            Introspection::Disabled => limited.disable_introspection(),
        }
    }

    fn document_limits(&self) -> impl ExtensionFactory {
        DocumentLimits::new(self.selections_max)
    }
}

//! The dashboard's GraphQL schema. Its names are an interface: `schema.graphql` is its text, and a
//! test compares the two.

mod command;
mod every;
mod mutation;
mod query;
mod status;
mod subscription;
mod workflow;

use std::sync::Arc;

use async_graphql::{Error, Schema, SchemaBuilder};
use eventsource_core::{EventStore, LiveQueries, ProjectionHandle};
use eventsource_graphql::error_with_code;

pub use mutation::Mutation;
pub use query::Query;
pub use subscription::Subscription;

use crate::{dead_letters::DeadLetters, projections::Workflows, roles::Commands};

/// The schema with its roots.
pub type DashboardSchema = Schema<Query, Mutation, Subscription>;

/// All that resolvers need.
#[derive(Clone, Debug)]
pub struct Services {
    /// Names the store: another id means that everything a client knows is void.
    pub store_id: Arc<str>,
    /// Where histories are read.
    pub store: Arc<dyn EventStore>,
    /// Where commands go.
    pub commands: Commands,
    /// Where views come from.
    pub live: LiveQueries<Workflows>,
    /// Commands that were given up on.
    pub dead_letters: DeadLetters,
    /// The projection of the views, to watch and to repair.
    pub projection: ProjectionHandle,
}

/// A schema without services and limits.
#[must_use]
pub fn schema_builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}

/// The schema as text, as `schema.graphql` holds it.
#[must_use]
pub fn schema_text() -> String {
    schema_builder().finish().sdl()
}

fn invalid(message: impl Into<String>) -> Error {
    error_with_code(message, "INVALID_ARGUMENT")
}

//! The GraphQL edge over a small real schema, real HTTP and real WebSockets.
#![cfg(test)]

mod hostile;
mod http;
mod schema;
mod socket;
mod support;

//! The messages of `graphql-transport-ws`.

use async_graphql::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Value>,
    },
    Ping {},
    Pong {},
    Subscribe {
        id: String,
        payload: Box<Request>,
    },
    Complete {
        id: String,
    },
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong,
    Next { id: &'a str, payload: &'a Response },
    Error { id: &'a str, payload: [Problem<'a>; 1] },
    Complete { id: &'a str },
}

/// Why an operation was not started, as a GraphQL error.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem<'a> {
    message: &'a str,
    extensions: Code,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Code {
    code: &'static str,
}

impl<'a> Problem<'a> {
    pub(super) const fn new(message: &'a str, code: &'static str) -> Self {
        Self { message, extensions: Code { code } }
    }
}

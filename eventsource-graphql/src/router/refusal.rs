//! A "no" in the shape of a GraphQL answer, so that every client can show it.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::json;

/// Why a request was not let in.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        metrics::counter!("eventsource_graphql_refused_total", "code" => self.code).increment(1);
        tracing::debug!(status = self.status.as_u16(), code = self.code, message = %self.message, "request refused");
        let body = json!({ "errors": [{ "message": self.message, "extensions": { "code": self.code } }] });
        (self.status, Json(body)).into_response()
    }
}

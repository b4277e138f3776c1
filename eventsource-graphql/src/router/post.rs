//! One operation by HTTP.

use std::{sync::Arc, time::Instant};

use async_graphql::{Executor, Request};
use axum::{
    RequestExt,
    body::Bytes,
    extract::{self, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::timeout;
use tracing::Instrument;

use super::{Credentials, Endpoint, refusal::Refusal};
use crate::{
    context::RequestContext,
    limits::{DOCUMENT_TOO_LARGE, check_source},
};

/// Answers one query or mutation, or says why not.
pub(super) async fn post<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    request: extract::Request,
) -> Result<Response, Refusal> {
    let started = Instant::now();
    let limit = endpoint.options.limits.request_time;
    let headers = request.headers().clone();
    check_content(&headers)?;
    let who = Credentials { headers: &headers, connection_params: None };
    let context = endpoint
        .options
        .context_of(who)
        .map_err(|denied| Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", denied.0))?;
    let body = timeout(limit, request.extract::<Bytes, _>()).await.map_err(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", format!("the body did not arrive within {limit:?}"))
    })?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let bytes = endpoint.options.limits.body_bytes_max;
            let message = format!("a request body has at most {bytes} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
        }
        status => Refusal::new(status, "BAD_REQUEST", rejection.body_text()),
    })?;
    let operation = read(&body)?;
    let span = span(&context);
    let answer = timeout(limit.saturating_sub(started.elapsed()), endpoint.schema.execute(operation.data(context)))
        .instrument(span)
        .await
        .map_err(|_| {
            let message = format!("no answer within {limit:?}; a mutation may have been carried out all the same");
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", message)
        })?;
    metrics::histogram!("eventsource_graphql_request_seconds").record(started.elapsed());
    Ok(answered(answer))
}

/// The span that everything done for a request is logged under.
pub(super) fn span(context: &RequestContext) -> tracing::Span {
    tracing::info_span!(
        "graphql",
        trace_id = %context.trace.trace_id(),
        correlation_id = %context.correlation_id,
        actor = context.actor.as_deref(),
    )
}

/// Whether the body says it is JSON as it is: what a foreign page cannot send without being asked.
fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |message| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(unsupported("send the operation as application/json"));
    }
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    if !parts.all(utf8) {
        return Err(unsupported("send the operation in utf-8"));
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(unsupported("send the operation without a content encoding"))
        }
        _ => Ok(()),
    }
}

fn read(body: &[u8]) -> Result<Request, Refusal> {
    let bad = |message: String| Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message);
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(bad("a batch of operations is not accepted, send one at a time".to_owned()));
    }
    let request: Request = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not a GraphQL request in JSON: {error}")))?;
    if request.query.trim().is_empty() {
        return Err(bad("the request has no query".to_owned()));
    }
    check_source(&request.query)
        .map_err(|too_large| Refusal::new(StatusCode::BAD_REQUEST, DOCUMENT_TOO_LARGE, too_large.to_string()))?;
    Ok(request)
}

fn answered(answer: async_graphql::Response) -> Response {
    let body = match serde_json::to_vec(&answer) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "answer has no JSON form");
            let message = "something is wrong on the server, see its log";
            return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message).into_response();
        }
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.extend(answer.http_headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::{check_content, read};

    #[test]
    fn only_json_in_utf8_as_it_is_passes() {
        let passes = |content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            check_content(&headers).is_ok()
        };
        for right in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\"; x=y"]
        {
            assert!(passes(right), "{right}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/graphql",
            "multipart/form-data; boundary=x",
            "text/plain; application/json",
            "application/jsonp",
            "application/json; charset=utf-16",
        ] {
            assert!(!passes(wrong), "{wrong}");
        }
        assert!(check_content(&HeaderMap::new()).is_err());
        let mut zipped = HeaderMap::new();
        zipped.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        zipped.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(check_content(&zipped).is_err());
    }

    #[test]
    fn nulls_of_lenient_clients_are_taken() {
        let body = br#" {"query":"{a}","operationName":null,"variables":null,"extensions":null}"#;
        assert_eq!(read(body).unwrap().query, "{a}");
    }
}

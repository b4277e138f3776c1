//! Answer headers that keep a page from being used against its reader.

use std::task::{Context, Poll};

use axum::{body::Body, response::Response};
use futures::{FutureExt, future::Map};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower::{Layer, Service};

/// A page may load its own scripts, styles, pictures and fonts and talk to its own server; no inline
/// script, no plug-in, no frame around it, no form to elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";
/// An answer that is no page loads nothing.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// A layer that adds security headers to every answer; a header that is there already stays.
///
/// `Content-Security-Policy`, `X-Content-Type-Options`, `X-Frame-Options`, `Referrer-Policy`,
/// `Cross-Origin-Opener-Policy` and `Cross-Origin-Resource-Policy`.
///
/// ```
/// use axum::{Router, routing::get};
/// use eventsource_graphql::SecurityHeaders;
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(SecurityHeaders::page());
/// ```
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    policy: HeaderValue,
}

impl SecurityHeaders {
    /// For a single-page application that loads everything from its own server, WebSocket included.
    #[must_use]
    pub const fn page() -> Self {
        Self { policy: HeaderValue::from_static(PAGE_POLICY) }
    }

    /// For answers that are data, such as those of GraphQL.
    #[must_use]
    pub const fn data() -> Self {
        Self { policy: HeaderValue::from_static(DATA_POLICY) }
    }

    fn add(&self, headers: &mut HeaderMap) {
        let fixed = |value| HeaderValue::from_static(value);
        let all: [(HeaderName, HeaderValue); 6] = [
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::X_FRAME_OPTIONS, fixed("DENY")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (HeaderName::from_static("cross-origin-opener-policy"), fixed("same-origin")),
            (HeaderName::from_static("cross-origin-resource-policy"), fixed("same-origin")),
        ];
        for (name, value) in all {
            headers.entry(name).or_insert(value);
        }
    }
}

impl<S> Layer<S> for SecurityHeaders {
    type Service = SecurityHeadersService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SecurityHeadersService { headers: self.clone(), inner }
    }
}

/// A service whose answers carry [`SecurityHeaders`].
#[derive(Clone, Debug)]
pub struct SecurityHeadersService<S> {
    headers: SecurityHeaders,
    inner: S,
}

type AddHeaders<E> = Box<dyn FnOnce(Result<Response<Body>, E>) -> Result<Response<Body>, E> + Send>;

impl<S, B> Service<Request<B>> for SecurityHeadersService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Map<S::Future, AddHeaders<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let headers = self.headers.clone();
        let add: AddHeaders<S::Error> = Box::new(move |answer| {
            answer.map(|mut answer| {
                headers.add(answer.headers_mut());
                answer
            })
        });
        self.inner.call(request).map(add)
    }
}

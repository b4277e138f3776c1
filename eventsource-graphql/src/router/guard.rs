//! Who may talk to this server: pages it served itself, and programs that are no browsers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures::future::{Either, Ready, ready};
use http::{HeaderMap, Request, StatusCode, Uri, header, uri::Authority};
use tower::{Layer, Service};

use super::refusal::Refusal;

/// A layer that refuses, with 403, every request with an unknown `Host` or a foreign `Origin`.
///
/// - `Host` must be a loopback name or address, the listen address, or a name that was allowed.
///   This stops DNS rebinding: a foreign page whose name suddenly points at this machine.
/// - `Origin`, where a browser sends one, must be the same host and port as `Host`, or an origin
///   that was allowed. This stops foreign pages, WebSockets included. `Origin: null` is foreign; no
///   `Origin` at all is a program, which could have sent any.
///
/// ```
/// use axum::{Router, routing::get};
/// use eventsource_graphql::HostGuard;
///
/// let guard = HostGuard::new().allow_host("workflows.example.com");
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(guard);
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostGuard {
    rules: Arc<Rules>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    /// Host and port; no port allows every port.
    hosts: Vec<(String, Option<u16>)>,
    origins: Vec<Place>,
}

/// Scheme, host and port of an origin; the scheme's own port where none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    secure: bool,
    host: String,
    port: u16,
}

impl HostGuard {
    /// A guard that knows only loopback names: `localhost`, `127.0.0.0/8` and `[::1]`, on any port.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also the address that the server listens on. `0.0.0.0` and `[::]` name no host: allow the
    /// names by which clients reach the server.
    #[must_use]
    pub fn listen(self, address: SocketAddr) -> Self {
        match address.ip() {
            ip if ip.is_unspecified() => self,
            IpAddr::V4(ip) => self.allow_host(&ip.to_string()),
            IpAddr::V6(ip) => self.allow_host(&format!("[{ip}]")),
        }
    }

    /// Also this host: `name` allows it on every port, `name:port` on one. Case does not matter.
    ///
    /// # Panics
    /// When `host` is not a host name or address with an optional port.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        let (name, port) = host_and_port(host).expect("an allowed host is a name or address with an optional port");
        Arc::make_mut(&mut self.rules).hosts.push((name, port));
        self
    }

    /// Also pages of this origin, such as `http://localhost:5173` of a development server that
    /// passes requests on. It only opens the guard; the server sends no CORS headers.
    ///
    /// # Panics
    /// When `origin` is not `http://` or `https://`, a host, and an optional port.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        let place = Place::of_origin(origin).expect("an allowed origin is http:// or https:// and a host");
        Arc::make_mut(&mut self.rules).origins.push(place);
        self
    }

    /// Whether a request with this target and these headers may pass.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let unknown_host = || {
            let message = "this server is not known by that host name; allow it where the server is started";
            Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN_HOST", message)
        };
        let (name, port) = requested_host(uri, headers).ok_or_else(unknown_host)?;
        if !self.rules.knows(&name, port) {
            return Err(unknown_host());
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let place = origin.to_str().ok().and_then(Place::of_origin);
        match (place, origins.next()) {
            (Some(place), None) if place.is_host(&name, port) || self.rules.origins.contains(&place) => Ok(()),
            _ => {
                let message = "requests from pages of another origin are not accepted";
                Err(Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", message))
            }
        }
    }
}

impl Rules {
    fn knows(&self, name: &str, port: Option<u16>) -> bool {
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost"
            || address.is_ok_and(|ip| ip.is_loopback())
            || self.hosts.iter().any(|(host, wanted)| host == name && (wanted.is_none() || *wanted == port))
    }
}

impl Place {
    fn of_origin(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (host, port) = host_and_port(rest)?;
        Some(Self { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) })
    }

    /// Whether `Host: name[:port]` is this place, if it came by this place's scheme.
    fn is_host(&self, name: &str, port: Option<u16>) -> bool {
        self.host == name && self.port == port.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

/// The one host that the request names. A target with a host of its own must agree with the header.
fn requested_host(uri: &Uri, headers: &HeaderMap) -> Option<(String, Option<u16>)> {
    let mut named = headers.get_all(header::HOST).iter();
    let header = match (named.next(), named.next()) {
        (Some(value), None) => Some(host_and_port(value.to_str().ok()?)?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    let target = match uri.authority() {
        Some(authority) => Some(host_and_port(authority.as_str())?),
        None => None,
    };
    match (header, target) {
        (Some(header), Some(target)) if header != target => None,
        (header, target) => header.or(target),
    }
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if text.contains('@') {
        return None;
    }
    let authority: Authority = text.parse().ok()?;
    let host = authority.host().to_ascii_lowercase();
    let port = match text.get(host.len()..)? {
        "" => None,
        rest => Some(rest.strip_prefix(':')?.parse().ok()?),
    };
    (!host.is_empty()).then_some((host, port))
}

impl<S> Layer<S> for HostGuard {
    type Service = HostGuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HostGuardService { guard: self.clone(), inner }
    }
}

/// A service behind a [`HostGuard`].
#[derive(Clone, Debug)]
pub struct HostGuardService<S> {
    guard: HostGuard,
    inner: S,
}

impl<S, B> Service<Request<B>> for HostGuardService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, Self::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.guard.check(request.uri(), request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Ok(refusal.into_response()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Uri, header};

    use super::HostGuard;

    fn passes(guard: &HostGuard, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        guard.check(&Uri::from_static("/graphql"), &headers).is_ok()
    }

    #[test]
    fn loopback_names_pass_and_others_do_not() {
        let guard = HostGuard::new();
        for host in ["localhost", "localhost:8080", "LocalHost:1", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:8080"]
        {
            assert!(passes(&guard, host, None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]:8080",
            "localhost:x",
            "localhost:99999",
            "user@localhost",
            "localhost:80:80",
            "",
            " ",
            "localhost,evil",
        ] {
            assert!(!passes(&guard, host, None), "{host}");
        }
    }

    #[test]
    fn a_request_must_name_one_host() {
        let guard = HostGuard::new();
        let local = Uri::from_static("/graphql");
        assert!(guard.check(&local, &HeaderMap::new()).is_err());
        let mut twice = HeaderMap::new();
        twice.append(header::HOST, "localhost".parse().unwrap());
        twice.append(header::HOST, "evil.example".parse().unwrap());
        assert!(guard.check(&local, &twice).is_err());
        // A target with a host of its own, as a proxy sends it, must agree with the header.
        let mut once = HeaderMap::new();
        once.insert(header::HOST, "localhost".parse().unwrap());
        assert!(guard.check(&Uri::from_static("http://localhost/graphql"), &once).is_ok());
        assert!(guard.check(&Uri::from_static("http://evil.example/graphql"), &once).is_err());
        assert!(guard.check(&Uri::from_static("http://localhost/graphql"), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn allowed_hosts_pass_with_their_port_or_with_any() {
        let guard = HostGuard::new().allow_host("Flows.example").allow_host("pinned.example:8080");
        assert!(passes(&guard, "flows.example", None) && passes(&guard, "flows.example:9", None));
        assert!(passes(&guard, "pinned.example:8080", None));
        assert!(!passes(&guard, "pinned.example", None) && !passes(&guard, "pinned.example:9", None));
        let lan = HostGuard::new().listen("192.168.1.5:8080".parse().unwrap());
        assert!(passes(&lan, "192.168.1.5:8080", None));
        let v6 = HostGuard::new().listen("[fd00::5]:8080".parse().unwrap());
        assert!(passes(&v6, "[fd00::5]:8080", None));
        let any = HostGuard::new().listen("0.0.0.0:8080".parse().unwrap());
        assert!(!passes(&any, "0.0.0.0:8080", None));
    }

    #[test]
    fn only_the_same_host_and_port_is_the_same_origin() {
        let guard = HostGuard::new().allow_host("flows.example");
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("flows.example", "https://flows.example"),
            ("flows.example", "http://flows.example"),
            ("flows.example:443", "https://flows.example"),
            ("flows.example", "https://flows.example:443"),
        ] {
            assert!(passes(&guard, host, Some(origin)), "{host} {origin}");
        }
        for (host, origin) in [
            ("localhost:8080", "http://localhost:5173"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost"),
            ("localhost:8080", "http://evil.example"),
            ("localhost:8080", "null"),
            ("localhost:8080", "file://localhost:8080"),
            ("localhost:8080", "http://localhost:8080@evil.example"),
            ("localhost:8080", "localhost:8080"),
            ("localhost:8080", ""),
            ("flows.example", "https://flows.example:8443"),
            ("flows.example:80", "https://flows.example"),
        ] {
            assert!(!passes(&guard, host, Some(origin)), "{host} {origin}");
        }
    }

    #[test]
    fn an_allowed_origin_is_scheme_host_and_port() {
        let guard = HostGuard::new().allow_origin("http://localhost:5173");
        assert!(passes(&guard, "127.0.0.1:8080", Some("http://localhost:5173")));
        assert!(!passes(&guard, "127.0.0.1:8080", Some("https://localhost:5173")));
        assert!(!passes(&guard, "127.0.0.1:8080", Some("http://localhost:5174")));
    }
}

//! The api role: GraphQL, the page, health and metrics over HTTP.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing,
    serve::ListenerExt,
};
use eventsource_graphql::{HostGuard, Limits, RouterOptions, SecurityHeaders, graphql_router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::health::Health;
use crate::{
    graphql::{Services, schema_builder},
    page::page,
};

/// Longest `x-actor` header in bytes; a longer one is nobody's name.
const ACTOR_BYTES_MAX: usize = 200;
/// How often the recorder of metrics tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves clients over HTTP.
#[derive(Debug)]
pub struct ApiRole {
    listener: TcpListener,
    address: SocketAddr,
    services: Services,
    health: Health,
    metrics: PrometheusHandle,
    hosts: Vec<String>,
}

impl ApiRole {
    /// Listens on `address`; port 0 picks a free one. Besides loopback names and the address itself
    /// the server answers to `hosts`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        address: SocketAddr,
        services: Services,
        health: Health,
        metrics: PrometheusHandle,
        hosts: Vec<String>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, services, health, metrics, hosts })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then answers the requests that have begun and closes every
    /// WebSocket.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + Clone + 'static) -> io::Result<()> {
        let guard = self.hosts.iter().fold(HostGuard::new().listen(self.address), |guard, host| guard.allow_host(host));
        let options = RouterOptions::default()
            .with_limits(Limits::default())
            .with_guard(guard.clone())
            .with_actor(|who| Ok(actor(who.headers).map(Into::into)))
            .with_shutdown(shutdown.clone());
        let dead_letters = self.services.dead_letters.clone();
        let schema = options.limits().apply(schema_builder().data(self.services)).finish();

        let rendered = self.metrics.clone();
        let show_metrics = async move || {
            let dead = u32::try_from(dead_letters.count()).unwrap_or(u32::MAX);
            metrics::gauge!("workflow_dashboard_dead_letters").set(f64::from(dead));
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], rendered.render())
        };
        let pages = Router::new().fallback(page).layer(SecurityHeaders::page());
        let guarded = Router::new().route("/metrics", routing::get(show_metrics)).merge(pages).layer(guard);
        let health = self.health.clone();
        let router = Router::new()
            .route("/healthz", routing::get(async || "ok\n"))
            .route("/readyz", routing::get(async move || ready(&health)))
            .merge(graphql_router(schema, options))
            .merge(guarded);

        let listener = self.listener.tap_io(|connection| {
            // Small answers must not wait for more of them; without it they are only slower.
            let _ = connection.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown);
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                self.metrics.run_upkeep();
            }
        };
        tokio::select! {
            served = serving => served,
            () = upkeep => Ok(()),
        }
    }
}

/// Who asks. There is no log-in on one machine: programs say who they are, pages say nothing.
fn actor(headers: &axum::http::HeaderMap) -> Option<&str> {
    let name = headers.get("x-actor")?.to_str().ok()?.trim();
    (!name.is_empty() && name.len() <= ACTOR_BYTES_MAX).then_some(name)
}

fn ready(health: &Health) -> impl IntoResponse + use<> {
    match health.trouble() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
    }
}

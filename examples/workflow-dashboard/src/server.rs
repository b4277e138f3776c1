//! All roles in one process.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use eventsource_core::CommandHandler;
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    domain::Workflow,
    graphql::Services,
    ports::Ports,
    roles::{
        ApiRole, Commands, HandlerError, HandlerRole, Health, OutcomeHub, ProjectorError, ProjectorRole, StoreWatch,
    },
    telemetry::metrics_handle,
    with_causes,
};

/// Commands carried out at the same time.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");
/// Events of a workflow between two snapshots of it.
const SNAPSHOT_EVERY: NonZeroU64 = NonZeroU64::new(500).expect("500 is not zero");
/// How long requests that have begun may take once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// How the server is reached.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Names by which clients reach it, besides loopback names and the address itself.
    pub hosts: Vec<String>,
}

/// The service with all its roles, ready to run.
///
/// Every role is supervised by the process: while a store is unavailable the engines wait by
/// themselves, so a role that ends has met something that time does not heal. Then `/readyz` turns
/// 503, the others stop in order, and [`run`](Self::run) gives the error, for the process to end
/// with it. Starting again is the business of whatever started the process; nothing durable is lost.
#[derive(Debug)]
pub struct Server {
    api: ApiRole,
    handler: HandlerRole,
    projector: ProjectorRole,
    health: Health,
    commands: Commands,
}

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The api role ended.
    #[error("the api role ended")]
    Api(#[source] io::Error),
    /// The handler role ended.
    #[error("the handler role ended")]
    Handler(#[from] HandlerError),
    /// The projector role ended.
    #[error("the projector role ended")]
    Projector(#[from] ProjectorError),
    /// A role panicked: a bug of ours.
    #[error("a role panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Server {
    /// Puts the roles together over `ports` and listens.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(ports: Ports, options: ServerOptions) -> Result<Self, ServerError> {
        let (hub, watch) = (OutcomeHub::default(), StoreWatch::default());
        let commands = CommandHandler::<Workflow>::new(Arc::clone(&ports.store), Arc::clone(&ports.outcomes))
            .with_snapshots(ports.snapshots, SNAPSHOT_EVERY);
        let projector = ProjectorRole::new(Arc::clone(&ports.store), ports.views);
        let handler = HandlerRole {
            queue: ports.receiver,
            commands: commands.clone(),
            outcomes: ports.outcomes,
            hub: hub.clone(),
            concurrency: CONCURRENCY,
            attempts_max: ports.attempts_max,
            watch: watch.clone(),
        };
        let commands = Commands::new(ports.sender, commands, hub, projector.live());
        let services = Services {
            store_id: ports.store_id,
            store: ports.store,
            commands: commands.clone(),
            live: projector.live(),
            dead_letters: ports.dead_letters,
            projection: projector.handle(),
        };
        let health = Health::new(projector.handle(), watch);
        let api = ApiRole::bind(options.listen, services, health.clone(), metrics_handle(), options.hosts).await;
        let api = api.map_err(|source| ServerError::Listen { address: options.listen, source })?;
        Ok(Self { api, handler, projector, health, commands })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.api.address()
    }

    /// Sends commands from inside the process.
    #[must_use]
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Runs until `shutdown` is done or a role ends: first no more requests are taken, then the
    /// commands that have begun are carried out, then the views stop.
    ///
    /// # Errors
    /// The first role's error.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        let (stop_api, api_stopping) = Stop::new();
        let (stop_handler, handler_stopping) = Stop::new();
        let (stop_projector, projector_stopping) = Stop::new();
        let mut roles: JoinSet<Result<(), ServerError>> = JoinSet::new();
        let Self { api, handler, projector, health, .. } = self;
        let api = roles.spawn(async move { api.run(api_stopping).await.map_err(ServerError::Api) });
        let handler = roles.spawn(async move { Ok(handler.run(handler_stopping).await?) });
        roles.spawn(async move { Ok(projector.run(projector_stopping).await?) });

        let mut first = Ok(());
        let mut note = |ended: Result<Result<(), ServerError>, tokio::task::JoinError>| {
            let ended = ended.map_err(ServerError::from).flatten();
            if let Err(error) = &ended {
                tracing::error!(error = with_causes(error), "role ended");
                health.role_ended(error.to_string());
            }
            if first.is_ok() {
                first = ended;
            }
        };
        tokio::select! {
            () = shutdown => tracing::info!("stopping"),
            Some(ended) = roles.join_next() => note(ended),
        }
        health.role_ended("stopping".to_owned());
        stop_api.now();
        let api_done = async {
            while !api.is_finished() {
                match roles.join_next().await {
                    Some(ended) => note(ended),
                    None => break,
                }
            }
        };
        if timeout(LAST_REQUESTS, api_done).await.is_err() {
            tracing::warn!("requests took too long and are cut off");
            api.abort();
        }
        stop_handler.now();
        while !handler.is_finished() {
            match roles.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(ended) => note(ended),
                None => break,
            }
        }
        stop_projector.now();
        while let Some(ended) = roles.join_next().await {
            if !ended.as_ref().is_err_and(tokio::task::JoinError::is_cancelled) {
                note(ended);
            }
        }
        first
    }
}

/// Tells a role to stop.
struct Stop(watch::Sender<bool>);

impl Stop {
    fn new() -> (Self, futures::future::Shared<BoxFuture<'static, ()>>) {
        let (sender, mut receiver) = watch::channel(false);
        let stopped = async move {
            // A sender that is gone has nothing more to say than stop.
            let _ = receiver.wait_for(|stop| *stop).await;
        };
        (Self(sender), stopped.boxed().shared())
    }

    fn now(&self) {
        self.0.send_replace(true);
    }
}

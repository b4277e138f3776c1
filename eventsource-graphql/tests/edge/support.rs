//! A small real schema over the memory ports, and a real server for it.

pub(crate) mod client;
mod lamp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_graphql::{Context, ID, Object, Result, Schema, SimpleObject, Subscription};
use eventsource_core::{
    CommandEnvelope, CommandHandler, EventStore, IdSource, LiveChanges, LiveQueries, LiveView, Projection,
    Query as StoreQuery, RandomIds, StreamId, SubscribeOptions, Subscribed, Version, ViewStore,
    memory::{MemoryEventStore, MemoryOutcomes, MemoryViews},
    subscribe,
};
use eventsource_graphql::{
    CommandReport, EventConnection, EventNode, Json, PositionScalar, RequestContext, RouterOptions, command_id,
    expected_version, graphql_router, history, live, live_error, page_cost, page_size, store_error, stream_id_error,
    wait_time,
};
use futures::{Stream, StreamExt, future, stream};
use lamp::{Lamp, LampView, Lamps, SwitchLamp};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) type TestSchema = Schema<Query, Mutation, Subscriptions>;

/// A server of its own for one test; it ends with the test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(options: RouterOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = World::new();
        let router = graphql_router(world.schema(&options), options);
        let task = tokio::spawn(async move {
            let projection =
                Projection::new(Lamps, world.store, world.views).with_doorbell(Arc::new(world.live.clone()));
            tokio::select! {
                served = axum::serve(listener, router) => panic!("serving ended: {served:?}"),
                projected = projection.run(future::pending()) => panic!("projecting ended: {projected:?}"),
                pushed = world.live.run(future::pending()) => panic!("pushing ended: {pushed:?}"),
            }
        });
        Self { address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the resolvers work on.
struct World {
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    live: LiveQueries<Lamps>,
}

impl World {
    fn new() -> Self {
        let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
        let live = LiveQueries::new(Arc::clone(&views));
        Self { store: Arc::new(MemoryEventStore::new()), views, live }
    }

    fn schema(&self, options: &RouterOptions) -> TestSchema {
        let lamps = CommandHandler::<Lamp>::new(Arc::clone(&self.store), Arc::new(MemoryOutcomes::new()));
        let schema = Schema::build(Query, Mutation, Subscriptions);
        let schema = options.limits().apply(schema).data(Arc::clone(&self.store)).data(self.live.clone());
        schema.data(lamps).finish()
    }
}

/// A schema that nothing is projected for.
pub(crate) fn schema(options: &RouterOptions) -> TestSchema {
    World::new().schema(options)
}

#[derive(Debug)]
pub(crate) struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn echo(&self, json: Json) -> Json {
        json
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn lamps(&self, #[graphql(default = 50)] first: i32) -> Vec<Room> {
        (0..page_size(first)).map(|_| Room).collect()
    }

    async fn room(&self) -> Room {
        Room
    }

    async fn slow(&self, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    }

    async fn lamp(
        &self,
        context: &Context<'_>,
        id: ID,
        at_least_version: u64,
        timeout_ms: Option<i64>,
    ) -> Result<Option<LampState>> {
        let live = context.data_unchecked::<LiveQueries<Lamps>>();
        let version = Version::new(at_least_version).unwrap_or(Version::FIRST);
        let state = live.wait_for(&id, version, wait_time(timeout_ms)?).await.map_err(|error| live_error(&error))?;
        Ok(state.view.is_some().then(|| LampState::of(&state)))
    }

    async fn me(&self, context: &Context<'_>) -> Me {
        let request = RequestContext::of(context);
        Me { actor: request.actor.as_deref().map(ToOwned::to_owned), trace_id: request.trace_id() }
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn lamp_history(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(default = 50)] first: i32,
        after: Option<String>,
    ) -> Result<EventConnection<LampEvent>> {
        let stream = StreamId::new("lamp", &id).map_err(|error| stream_id_error(&error))?;
        history(context.data_unchecked::<Arc<dyn EventStore>>().as_ref(), &stream, first, after.as_deref()).await
    }
}

#[derive(Debug)]
pub(crate) struct Room;

#[Object]
impl Room {
    async fn name(&self) -> &str {
        "hall"
    }

    async fn room(&self) -> Room {
        Room
    }
}

#[derive(Debug, SimpleObject)]
pub(crate) struct Me {
    actor: Option<String>,
    trace_id: String,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct LampEvent {
    #[graphql(flatten)]
    event: EventNode,
}

impl From<EventNode> for LampEvent {
    fn from(event: EventNode) -> Self {
        Self { event }
    }
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CommandResult {
    lamp_id: ID,
    #[graphql(flatten)]
    report: CommandReport,
}

#[derive(Debug)]
pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn switch_lamp(
        &self,
        context: &Context<'_>,
        id: ID,
        on: bool,
        #[graphql(name = "commandId")] given: Option<ID>,
        #[graphql(name = "expectedVersion")] expected: Option<i64>,
    ) -> Result<CommandResult> {
        let request = RequestContext::of(context);
        let command = command_id(given.as_ref())?.unwrap_or_else(|| RandomIds.command_id());
        let order = SwitchLamp { lamp: id.to_string(), on };
        let envelope =
            CommandEnvelope::new(command, order, request.to_metadata()).expecting(expected_version(expected)?);
        let execution = context.data_unchecked::<CommandHandler<Lamp>>().execute(&envelope).await;
        let report = CommandReport::of_execution(command, &execution, &request)?;
        Ok(CommandResult { lamp_id: id, report })
    }
}

/// A lamp as queries and subscriptions show it.
#[derive(Debug, SimpleObject)]
pub(crate) struct LampState {
    id: ID,
    version: u64,
    switched: u32,
}

impl LampState {
    fn of(state: &LiveView<LampView>) -> Self {
        let switched = state.view.as_ref().map_or(0, |view| view.switched);
        Self { id: ID(state.key.to_string()), version: Version::value_of(state.version), switched }
    }
}

/// Lamps that changed.
#[derive(Debug, SimpleObject)]
pub(crate) struct LampsChanged {
    position: PositionScalar,
    resync: bool,
    lamps: Vec<LampState>,
}

/// One event as a subscription shows it.
#[derive(Debug, SimpleObject)]
pub(crate) struct Switched {
    position: PositionScalar,
    version: u64,
}

#[derive(Debug)]
pub(crate) struct Subscriptions;

#[Subscription]
impl Subscriptions {
    /// Every change of every lamp, after a position: resume with the last one.
    async fn switched(
        &self,
        context: &Context<'_>,
        after: Option<PositionScalar>,
    ) -> impl Stream<Item = Result<Switched>> + use<> {
        let store = Arc::clone(context.data_unchecked::<Arc<dyn EventStore>>());
        let query = StoreQuery::default().after(after.and_then(PositionScalar::position)).category("lamp");
        let events = subscribe(store, query, SubscribeOptions::default()).filter_map(|item| {
            future::ready(match item {
                Ok(Subscribed::Event(event)) => Some(Ok(event)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        });
        let shown = |event: eventsource_core::RecordedEvent| {
            Ok(Switched { position: event.position.into(), version: event.version.value() })
        };
        live(events.boxed(), shown, |error| store_error(&error))
    }

    /// The newest state of a lamp, then every newer one.
    async fn lamp_updated(
        &self,
        context: &Context<'_>,
        id: ID,
        after_version: Option<u64>,
    ) -> impl Stream<Item = Result<LampState>> + use<> {
        let states = context.data_unchecked::<LiveQueries<Lamps>>().watch(&id, after_version.and_then(Version::new));
        live(states, |state| Ok(LampState::of(&state)), |error| live_error(&error))
    }

    /// Lamps as they change.
    async fn lamps_changed(
        &self,
        context: &Context<'_>,
        after: Option<PositionScalar>,
    ) -> impl Stream<Item = Result<LampsChanged>> + use<> {
        let after = after.and_then(PositionScalar::position);
        let changes = context.data_unchecked::<LiveQueries<Lamps>>().changes(after);
        let show = |changes: LiveChanges<LampView>| {
            let lamps = changes.views.iter().map(LampState::of).collect();
            Ok(LampsChanged { position: changes.position.into(), resync: changes.resync, lamps })
        };
        live(changes, show, |error| live_error(&error))
    }

    /// 0, 1, 2 … with a pause between them.
    async fn ticks(&self, every_ms: u64) -> impl Stream<Item = u64> {
        stream::unfold(0, move |tick| async move {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            Some((tick, tick + 1))
        })
    }

    /// As much as the client takes.
    async fn flood(&self, bytes: usize) -> impl Stream<Item = String> {
        stream::repeat("x".repeat(bytes))
    }

    /// 1, 2, and then an error.
    async fn failing(&self) -> impl Stream<Item = Result<u64>> {
        let items = stream::iter([Ok(1), Ok(2), Err("it broke"), Ok(3)]);
        live(items.boxed(), Ok, async_graphql::Error::new)
    }

    /// The trace and the actor that the subscription belongs to.
    async fn me(&self, context: &Context<'_>) -> impl Stream<Item = Me> + use<> {
        let request = RequestContext::of(context);
        let me = Me { actor: request.actor.as_deref().map(ToOwned::to_owned), trace_id: request.trace_id() };
        stream::once(future::ready(me))
    }
}

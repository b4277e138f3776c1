//! A small real schema over the memory ports, and a real server for it.

pub(crate) mod client;
mod lamp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_graphql::{Context, ID, Object, Result, Schema, SimpleObject, Subscription};
use eventsource_core::{
    CommandEnvelope, CommandHandler, EventStore, IdSource, Query as StoreQuery, RandomIds, StreamId, SubscribeOptions,
    Subscribed, memory::MemoryEventStore, memory::MemoryOutcomes, subscribe,
};
use eventsource_graphql::{
    CommandReport, EventConnection, EventNode, Json, PositionScalar, RequestContext, RouterOptions, command_id,
    expected_version, graphql_router, history, live, page_cost, page_size, store_error, stream_id_error,
};
use futures::{Stream, StreamExt, future, stream};
use lamp::{Lamp, SwitchLamp};
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
        let router = graphql_router(schema(&options), options);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
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

pub(crate) fn schema(options: &RouterOptions) -> TestSchema {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let lamps = CommandHandler::<Lamp>::new(Arc::clone(&store), Arc::new(MemoryOutcomes::new()));
    options.limits().apply(Schema::build(Query, Mutation, Subscriptions)).data(store).data(lamps).finish()
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

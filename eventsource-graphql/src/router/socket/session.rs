//! One WebSocket from its opening to its end.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Executor, Request, Response, ServerError, parser::types::OperationType};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{
    FutureExt, SinkExt, StreamExt,
    stream::{self, AbortHandle, BoxStream, SelectAll, SplitSink, SplitStream, abortable},
};
use http::HeaderMap;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite;
use tracing::Instrument;

use super::{
    super::{Credentials, Endpoint, post::span},
    message::{ClientMessage, Problem, ServerMessage},
};
use crate::{
    context::RequestContext,
    limits::{DOCUMENT_TOO_LARGE, check_source},
};

/// Pings that may go by without a sign of life.
const SILENT_PINGS: u32 = 3;
/// Longest time for a last word to a client that is being closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most bytes of a close reason (RFC 6455, section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// A WebSocket and the operations that run on it.
///
/// One task does everything, so an operation is asked for its next item only when the client has
/// taken the one before: a slow client slows down its own operations and nobody else.
pub(super) struct Session<E> {
    endpoint: Arc<Endpoint<E>>,
    headers: HeaderMap,
    sink: SplitSink<WebSocket, Message>,
    incoming: Option<SplitStream<WebSocket>>,
    /// Known once the client has sent `connection_init`.
    context: Option<RequestContext>,
    operations: HashMap<Arc<str>, AbortHandle>,
    answers: SelectAll<BoxStream<'static, Answer>>,
    heard: Instant,
}

/// An item of the operation `id`, or its end.
struct Answer {
    id: Arc<str>,
    item: Option<Response>,
}

/// Why a session ends.
enum End {
    /// The client is told why.
    Close(u16, Cow<'static, str>),
    /// The client has said goodbye and gets its echo.
    Goodbye,
    /// Nobody is there, or nobody listens.
    Gone,
}

impl<E: Executor> Session<E> {
    pub(super) fn new(endpoint: Arc<Endpoint<E>>, headers: HeaderMap, socket: WebSocket) -> Self {
        let (sink, incoming) = socket.split();
        Self {
            endpoint,
            headers,
            sink,
            incoming: Some(incoming),
            context: None,
            operations: HashMap::new(),
            answers: SelectAll::new(),
            heard: Instant::now(),
        }
    }

    /// Serves the client until one of both ends it.
    pub(super) async fn serve(mut self) {
        let end = self.run().await;
        let farewell = match end {
            End::Gone => return,
            End::Goodbye => self.sink.close().left_future(),
            End::Close(code, reason) => {
                tracing::debug!(code, reason = %reason, "socket closed");
                let frame = CloseFrame { code, reason: cut(&reason).into() };
                self.sink.send(Message::Close(Some(frame))).right_future()
            }
        };
        // Whether the client hears it makes no difference any more.
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn run(&mut self) -> End {
        let Some(mut incoming) = self.incoming.take() else { return End::Gone };
        let limits = &self.endpoint.options.limits;
        let init_by = Instant::now() + limits.init_time;
        let mut pings = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = self.endpoint.options.shutdown.clone();
        loop {
            let step = tokio::select! {
                () = &mut shutdown => Err(End::Close(1001, "the server goes away".into())),
                () = sleep_until(init_by), if self.context.is_none() => {
                    Err(End::Close(4408, "Connection initialisation timeout".into()))
                }
                message = incoming.next() => self.hear(message).await,
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => self.answer(answer).await,
                _ = pings.tick() => self.ping().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(message) => self.obey(message).await,
                Err(error) => Err(End::Close(4400, format!("Invalid message: {error}").into())),
            },
            Some(Ok(Message::Binary(_))) => Err(End::Close(4400, "Invalid message: not text".into())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) => Err(End::Goodbye),
            Some(Err(error)) => Err(self.unreadable(error)),
            None => Err(End::Gone),
        }
    }

    fn unreadable(&self, error: axum::Error) -> End {
        match error.into_inner().downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(_)) => {
                let bytes = self.endpoint.options.limits.message_bytes_max;
                End::Close(1009, format!("a message has at most {bytes} bytes").into())
            }
            Some(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                End::Gone
            }
            Some(tungstenite::Error::Protocol(_)) => End::Close(1002, "WebSocket protocol broken".into()),
            Some(tungstenite::Error::Utf8(_)) => End::Close(1007, "text is not UTF-8".into()),
            _ => End::Gone,
        }
    }

    async fn obey(&mut self, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload.as_ref()).await,
            ClientMessage::Ping {} => self.say(&ServerMessage::Pong).await,
            ClientMessage::Pong {} => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.subscribe(id.into(), *payload).await,
            ClientMessage::Complete { id } => {
                // Not an item more comes from an aborted stream, so the id is free at once.
                if let Some(operation) = self.operations.remove(&*id) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    async fn init(&mut self, params: Option<&serde_json::Value>) -> Result<(), End> {
        if self.context.is_some() {
            return Err(End::Close(4429, "Too many initialisation requests".into()));
        }
        let who = Credentials { headers: &self.headers, connection_params: params };
        let context = self.endpoint.options.context_of(who);
        self.context = Some(context.map_err(|denied| End::Close(4403, denied.0.into()))?);
        self.say(&ServerMessage::ConnectionAck).await
    }

    async fn subscribe(&mut self, id: Arc<str>, mut request: Request) -> Result<(), End> {
        let Some(context) = &self.context else { return Err(End::Close(4401, "Unauthorized".into())) };
        if self.operations.contains_key(&id) {
            return Err(End::Close(4409, format!("Subscriber for {id} already exists").into()));
        }
        let context = context.next_span();
        let operations_max = self.endpoint.options.limits.operations_per_socket_max;
        if self.operations.len() >= operations_max {
            let message = format!("at most {operations_max} operations run on one WebSocket");
            return self.refuse(&id, &Problem::new(&message, "TOO_MANY_OPERATIONS")).await;
        }
        if let Err(too_large) = check_source(&request.query) {
            return self.refuse(&id, &Problem::new(&too_large.to_string(), DOCUMENT_TOO_LARGE)).await;
        }
        let span = span(&context);
        let answers = match operation_type(&mut request) {
            Some(OperationType::Mutation) => {
                let problem = Problem::new("send mutations by POST", "MUTATION_BY_WEBSOCKET");
                return self.refuse(&id, &problem).await;
            }
            Some(OperationType::Query) => {
                let limit = self.endpoint.options.limits.request_time;
                let schema = self.endpoint.schema.clone();
                let answer = async move {
                    timeout(limit, schema.execute(request.data(context))).await.unwrap_or_else(|_| {
                        Response::from_errors(vec![ServerError::new(format!("no answer within {limit:?}"), None)])
                    })
                };
                stream::once(answer.instrument(span)).boxed()
            }
            // What cannot be parsed is the schema's to report.
            Some(OperationType::Subscription) | None => {
                let _entered = span.enter();
                self.endpoint.schema.execute_stream(request.data(context), None)
            }
        };
        let answers = answers.map(Some).chain(stream::once(async { None }));
        let key = Arc::clone(&id);
        let (answers, operation) = abortable(answers.map(move |item| Answer { id: Arc::clone(&key), item }));
        self.operations.insert(id, operation);
        self.answers.push(answers.boxed());
        Ok(())
    }

    async fn refuse(&mut self, id: &str, problem: &Problem<'_>) -> Result<(), End> {
        self.say(&ServerMessage::Error { id, payload: [problem.clone()] }).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let Answer { id, item } = answer;
        match &item {
            Some(payload) => self.say(&ServerMessage::Next { id: &id, payload }).await,
            None => {
                self.operations.remove(&id);
                self.say(&ServerMessage::Complete { id: &id }).await
            }
        }
    }

    /// Asks for a sign of life below the protocol, where every client answers by itself.
    async fn ping(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > self.endpoint.options.limits.ping_interval * SILENT_PINGS {
            return Err(End::Close(3008, "Timeout".into()));
        }
        self.send(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        match serde_json::to_string(message) {
            Ok(text) => self.send(Message::Text(text.into())).await,
            Err(error) => {
                tracing::error!(%error, "answer has no JSON form");
                Err(End::Close(4500, "Internal server error".into()))
            }
        }
    }

    /// Hands a message to the network; cuts the client off when it does not take it in time.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.endpoint.options.limits.send_time, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                metrics::counter!("eventsource_graphql_slow_clients_total").increment(1);
                tracing::warn!("client does not read, cut off");
                Err(End::Gone)
            }
        }
    }
}

/// The type of the operation that would be carried out; `None` when that is not clear.
fn operation_type(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok()?;
    let mut operations = document.operations.iter();
    let chosen = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known.as_str() == name)),
        None => operations.next(),
    };
    chosen.map(|(_, operation)| operation.node.ty)
}

/// At most as much of a close reason as a frame can hold.
fn cut(reason: &str) -> &str {
    let end = (0..=REASON_BYTES_MAX).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason.get(..end).unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::{REASON_BYTES_MAX, cut};

    #[test]
    fn close_reasons_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(200)).len(), REASON_BYTES_MAX);
        assert_eq!(cut(&"ü".repeat(200)).len(), REASON_BYTES_MAX - 1);
        assert_eq!(cut(&"x".repeat(123)).len(), 123);
    }
}

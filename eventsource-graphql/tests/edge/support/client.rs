//! A client that speaks graphql-transport-ws.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderName},
};

use crate::support::Server;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Opens a WebSocket, or returns the status of the refusal.
    pub(crate) async fn open(server: &Server, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}/graphql/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a WebSocket and is let in.
    pub(crate) async fn ready(server: &Server) -> Self {
        let mut client = Self::open(server, &[]).await.unwrap();
        client.init(Value::Null).await;
        client
    }

    pub(crate) async fn init(&mut self, params: Value) {
        self.say(json!({ "type": "connection_init", "payload": params })).await;
        assert_eq!(self.hear().await, json!({ "type": "connection_ack" }));
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.send(message.to_string()).await;
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    /// The next message of the protocol.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The data of the next item, which must be of operation `id`.
    pub(crate) async fn next(&mut self, id: &str) -> Value {
        let mut message = self.hear().await;
        assert_eq!((message["type"].as_str(), message["id"].as_str()), (Some("next"), Some(id)), "{message}");
        message["payload"].take()
    }

    /// The code with which the server closes the socket, whatever comes before.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.frame().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }

    /// The next frame that is no ping.
    async fn frame(&mut self) -> Message {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("the server says something");
            match frame.expect("the server closes with a frame").expect("the frame is whole") {
                Message::Ping(_) => {}
                frame => return frame,
            }
        }
    }
}

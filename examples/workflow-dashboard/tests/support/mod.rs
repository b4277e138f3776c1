//! A whole server in this process, and clients of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its own part of this module")]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use workflow_dashboard::{
    ports::Ports,
    server::{Server, ServerError, ServerOptions},
};

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server over a data directory of its own.
pub struct TestServer {
    pub address: SocketAddr,
    pub ports: Ports,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServerError>>,
    folder: tempfile::TempDir,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub async fn start_in(folder: tempfile::TempDir) -> Self {
        let ports = Ports::embedded(folder.path()).unwrap();
        let options = ServerOptions { listen: "127.0.0.1:0".parse().unwrap(), hosts: vec!["named.example".into()] };
        let server = Server::bind(ports.clone(), options).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, ports, stop, running, folder }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops gracefully and gives the data directory back.
    pub async fn stop(self) -> tempfile::TempDir {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("it stops").unwrap().unwrap();
        self.ports.close().await.unwrap();
        self.folder
    }

    /// The whole answer to a GraphQL request.
    pub async fn answer(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let response = reqwest::Client::new().post(format!("{}/graphql", self.url())).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// The data of a GraphQL request that succeeds.
    #[track_caller]
    pub fn ask(&self, query: &str, variables: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let mut answer = self.answer(query, variables).await;
            assert!(answer.get("errors").is_none(), "{caller}: {answer}");
            answer["data"].take()
        }
    }

    /// Message and code of the one error of a GraphQL request.
    pub async fn refusal(&self, query: &str, variables: Value) -> (String, String) {
        let answer = self.answer(query, variables).await;
        let error = &answer["errors"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(!error.is_null(), "{answer}");
        (text(&error["message"]), text(&error["extensions"]["code"]))
    }

    /// Sends a command and waits as `wait` says; `more` are further arguments.
    pub async fn execute_with(&self, command: Value, wait: &str, more: Value) -> Value {
        let query = "mutation Execute($command: WorkflowCommandInput!, $wait: CommandWait!, $commandId: ID,
              $expectedVersion: Int, $timeoutMs: Int) {
            executeWorkflowCommand(command: $command, wait: $wait, commandId: $commandId,
              expectedVersion: $expectedVersion, timeoutMs: $timeoutMs) {
              success workflowId commandId version code message traceId
            }
          }";
        let mut variables = json!({ "command": command, "wait": wait, "timeoutMs": 20_000 });
        for (name, value) in more.as_object().into_iter().flatten() {
            variables[name] = value.clone();
        }
        self.ask(query, variables).await["executeWorkflowCommand"].take()
    }

    /// Sends a command and waits until it is visible.
    pub async fn execute(&self, command: Value) -> Value {
        self.execute_with(command, "VISIBLE", json!({})).await
    }

    /// Sends a command that must succeed.
    pub async fn done(&self, command: Value) -> Value {
        let result = self.execute(command).await;
        assert_eq!(result["success"], true, "{result}");
        result
    }

    pub async fn workflow(&self, id: &str) -> Value {
        let query = "query One($id: ID!) { workflow(id: $id) { workflowId definition initiator status version position
            startedAt updatedAt endedAt completedSteps initialParams reason traceId legalCommands
            steps { name occurrence attempt status startedAt completedAt output reason } } }";
        self.ask(query, json!({ "id": id })).await["workflow"].take()
    }

    pub async fn socket(&self) -> Socket {
        Socket::open(self.address).await
    }
}

pub fn start(id: &str) -> Value {
    json!({ "startWorkflow": { "workflowId": id, "definition": "order", "initiator": "ada" } })
}

pub fn start_step(id: &str, step: &str) -> Value {
    json!({ "startStep": { "workflowId": id, "step": step } })
}

pub fn complete_step(id: &str, step: &str) -> Value {
    json!({ "completeStep": { "workflowId": id, "step": step } })
}

pub fn fail_step(id: &str, step: &str) -> Value {
    json!({ "failStep": { "workflowId": id, "step": step, "reason": "no stock" } })
}

/// A client of the protocol `graphql-transport-ws`.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub async fn open(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/graphql/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (stream, _) = connect_async(request).await.unwrap();
        let mut socket = Self { stream };
        socket.send(json!({ "type": "connection_init" })).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        socket
    }

    pub async fn subscribe(&mut self, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    }

    /// The data of the next item.
    pub async fn next(&mut self) -> Value {
        let mut message = self.receive().await;
        assert_eq!(message["type"], "next", "{message}");
        assert!(message["payload"].get("errors").is_none_or(Value::is_null), "{message}");
        message["payload"]["data"].take()
    }

    async fn send(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn receive(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await.expect("a message comes").unwrap().unwrap();
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] != "ping" {
                    return message;
                }
            }
        }
    }
}

/// A real log; one that is not there fails the test.
pub fn real_log(name: &str) -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::env::var_os("EVENTSOURCE_DATA_DIR")
        .map_or_else(|| PathBuf::from(workspace).join("../shared/data"), PathBuf::from);
    let file = folder.join(name);
    assert!(file.is_file(), "{} is not there: set EVENTSOURCE_DATA_DIR to the folder of the logs", file.display());
    file
}

//! A client of the dashboard's GraphQL endpoint that outlives a restart of the server.

use std::time::Duration;

use eventsource_core::Backoff;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::domain::WorkflowCommand;

/// Longest time one request may take.
const REQUEST_TIME: Duration = Duration::from_secs(90);

/// Sends requests to one server. While the server cannot be reached, or says that it is not able to
/// answer now, the same request is sent again for a bounded time.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    actor: &'static str,
    patience: Duration,
}

/// Why a request was given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is no `http://` URL.
    #[error("{url:?} is no http:// address of a server")]
    Address {
        /// What was given.
        url: String,
    },
    /// The server could not be reached for as long as the client is patient.
    #[error("server {endpoint} did not answer for {} s", waited.as_secs())]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// How long it was tried.
        waited: Duration,
        /// What happened the last time.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was asked for is stored and not visible yet. Ask again.
    #[error("committed, not yet visible")]
    NotYetVisible,
    /// The server refused the request.
    #[error("server refused the request: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// The server answered with something else than asked for.
    #[error("server gave an answer that does not fit")]
    Answer(#[source] serde_json::Error),
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<AnswerError>,
}

#[derive(Debug, Deserialize)]
struct AnswerError {
    message: String,
    #[serde(default)]
    extensions: Value,
}

/// One attempt that came to nothing.
enum Failure {
    Passing(Box<dyn std::error::Error + Send + Sync>),
    Final(ClientError),
}

impl Client {
    /// A client of the server at `url`, for example `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When `url` is no `http://` address.
    pub fn new(url: &str, actor: &'static str, patience: Duration) -> Result<Self, ClientError> {
        let address = || ClientError::Address { url: url.to_owned() };
        let parsed: reqwest::Url = url.parse().map_err(|_| address())?;
        if parsed.scheme() != "http" || !parsed.has_host() {
            return Err(address());
        }
        let base = url.trim_end_matches('/');
        let endpoint = if base.ends_with("/graphql") { base.to_owned() } else { format!("{base}/graphql") };
        let http = reqwest::Client::builder().timeout(REQUEST_TIME).build().map_err(|_| address())?;
        Ok(Self { http, endpoint, actor, patience })
    }

    /// The answer's `data`, read as a `T`.
    ///
    /// # Errors
    /// When the server stays away for too long, or refuses.
    pub async fn ask<T: DeserializeOwned>(&self, query: &str, variables: Value) -> Result<T, ClientError> {
        let body = json!({ "query": query, "variables": variables });
        let (started, backoff) = (Instant::now(), Backoff { longest: Duration::from_secs(1), ..Backoff::default() });
        let mut failures = 0;
        loop {
            let source = match self.ask_once(&body).await {
                Ok(data) => return serde_json::from_value(data).map_err(ClientError::Answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(source)) => source,
            };
            let waited = started.elapsed();
            if waited >= self.patience {
                return Err(ClientError::Unreachable { endpoint: self.endpoint.clone(), waited, source });
            }
            tracing::debug!(error = %source, "server not there, asking again");
            sleep(backoff.pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn ask_once(&self, body: &Value) -> Result<Value, Failure> {
        let request = self.http.post(&self.endpoint).header("x-actor", self.actor).json(body);
        let response = request.send().await.map_err(|error| Failure::Passing(error.into()))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| Failure::Passing(error.into()))?;
        if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure::Passing(format!("{status}: {text}").into()));
        }
        if !status.is_success() {
            return Err(Failure::Final(ClientError::Refused { message: format!("{status}: {text}") }));
        }
        let answer: Answer = serde_json::from_str(&text).map_err(|e| Failure::Final(ClientError::Answer(e)))?;
        match answer.errors.into_iter().next() {
            None => Ok(answer.data),
            Some(AnswerError { message, extensions }) if extensions["code"] == "UNAVAILABLE" => {
                Err(Failure::Passing(message.into()))
            }
            Some(AnswerError { extensions, .. }) if extensions["code"] == "NOT_YET_VISIBLE" => {
                Err(Failure::Final(ClientError::NotYetVisible))
            }
            Some(AnswerError { message, .. }) => Err(Failure::Final(ClientError::Refused { message })),
        }
    }
}

/// The command as a `WorkflowCommandInput`.
#[must_use]
pub fn to_input(command: &WorkflowCommand) -> Value {
    match command {
        WorkflowCommand::StartWorkflow { workflow_id, definition, initiator, initial_params } => json!({
            "startWorkflow": { "workflowId": workflow_id, "definition": definition, "initiator": initiator,
                "initialParams": initial_params }
        }),
        WorkflowCommand::StartStep { workflow_id, step } => {
            json!({ "startStep": { "workflowId": workflow_id, "step": step } })
        }
        WorkflowCommand::CompleteStep { workflow_id, step, output } => {
            json!({ "completeStep": { "workflowId": workflow_id, "step": step, "output": output } })
        }
        WorkflowCommand::FailStep { workflow_id, step, reason } => {
            json!({ "failStep": { "workflowId": workflow_id, "step": step, "reason": reason } })
        }
        WorkflowCommand::RetryStep { workflow_id, step } => {
            json!({ "retryStep": { "workflowId": workflow_id, "step": step } })
        }
        WorkflowCommand::CancelWorkflow { workflow_id, reason } => {
            json!({ "cancelWorkflow": { "workflowId": workflow_id, "reason": reason } })
        }
        WorkflowCommand::CompleteWorkflow { workflow_id } => {
            json!({ "completeWorkflow": { "workflowId": workflow_id } })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Client, ClientError};

    #[test]
    fn only_http_addresses_are_taken() {
        for bad in ["127.0.0.1:8080", "https://example.org", "ftp://x", "", "http://"] {
            let error = Client::new(bad, "test", Duration::ZERO).unwrap_err();
            assert!(matches!(error, ClientError::Address { .. }), "{bad}: {error}");
        }
        for good in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/graphql"] {
            assert_eq!(Client::new(good, "test", Duration::ZERO).unwrap().endpoint, "http://127.0.0.1:8080/graphql");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_waited_for_and_named() {
        let client = Client::new("http://127.0.0.1:9", "test", Duration::from_millis(50)).unwrap();
        let error = client.ask::<serde_json::Value>("{ __typename }", serde_json::Value::Null).await.unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:9/graphql"), "{error}");
    }
}

//! The rules of `POST /graphql`, over real HTTP.

use std::time::{Duration, Instant};

use crate::support::Server;
use eventsource_graphql::{Denied, HostGuard, Limits, RouterOptions};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HELLO: &str = r#"{"query":"{ hello }"}"#;
const SWITCH: &str = "mutation($id: ID!, $on: Boolean!, $command: ID, $expected: Int) {
    switchLamp(id: $id, on: $on, commandId: $command, expectedVersion: $expected) {
        lampId success commandId version code message traceId
    } }";

fn limited(change: impl FnOnce(&mut Limits)) -> RouterOptions {
    let mut limits = Limits::default();
    change(&mut limits);
    RouterOptions::default().with_limits(limits)
}

fn json_post(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    Client::new().post(server.url()).header("content-type", "application/json").body(body)
}

async fn run(server: &Server, query: &str, variables: Value) -> Value {
    let answer = json_post(server, json!({ "query": query, "variables": variables }).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

/// The code of a refusal, which must have the shape of a GraphQL answer.
async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let body: Value = answer.json().await.unwrap();
    assert!(body["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (status, body["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn json_by_post_is_answered_with_security_headers() {
    let server = Server::start(RouterOptions::default()).await;
    let answer = json_post(&server, HELLO).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "data": { "hello": "world" } }));
}

#[tokio::test]
async fn other_methods_are_405_and_change_nothing() {
    let server = Server::start(RouterOptions::default()).await;
    let url = format!("{}?query=mutation%7BswitchLamp(id:1,on:true)%7Bsuccess%7D%7D", server.url());
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Client::new().request(method, &url).header("content-type", "application/json").body(HELLO);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "POST");
        assert_eq!(refusal(answer).await, (405, "METHOD_NOT_ALLOWED".to_owned()));
    }
    let history = run(&server, "{ lampHistory(id: 1) { totalCount } }", Value::Null).await;
    assert_eq!(history["data"]["lampHistory"]["totalCount"], 0);
}

#[tokio::test]
async fn other_content_types_are_415() {
    let server = Server::start(RouterOptions::default()).await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = Client::new().post(server.url()).header("content-type", content_type).body(HELLO);
        assert_eq!(refusal(request.send().await.unwrap()).await, (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    }
    let without = Client::new().post(server.url()).body(HELLO).send().await.unwrap();
    assert_eq!(refusal(without).await.0, 415);
}

#[tokio::test]
async fn what_is_no_single_request_is_400() {
    let server = Server::start(RouterOptions::default()).await;
    for body in ["", "{", "{}", r#"{"query":" "}"#, r#"{"query":7}"#, r#"[{"query":"{ hello }"}]"#, " []", "\u{7f}"] {
        let answer = json_post(&server, body).send().await.unwrap();
        assert_eq!(refusal(answer).await, (400, "BAD_REQUEST".to_owned()), "{body}");
    }
    let deep = "[".repeat(100_000);
    let answer =
        json_post(&server, format!(r#"{{"query":"{{ hello }}","variables":{{"a":{deep}"#)).send().await.unwrap();
    assert_eq!(refusal(answer).await.0, 400);
}

#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_the_limit_says() {
    let server = Server::start(RouterOptions::default()).await;
    let padded = |bytes: usize| format!("{HELLO}{}", " ".repeat(bytes - HELLO.len()));
    let fits = json_post(&server, padded(1 << 20)).send().await.unwrap();
    assert_eq!(fits.status(), StatusCode::OK);
    for bytes in [(1 << 20) + 1, 2 << 20, 64 << 20] {
        let answer = json_post(&server, padded(bytes)).send().await.unwrap();
        assert_eq!(refusal(answer).await, (413, "BODY_TOO_LARGE".to_owned()), "{bytes}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_limited_too() {
    let server = Server::start(limited(|limits| limits.body_bytes_max = 1_000)).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..11 {
        socket.write_all(format!("64\r\n{}\r\n", " ".repeat(100)).as_bytes()).await.unwrap();
    }
    let mut answer = vec![0; 1 << 10];
    let bytes = socket.read(&mut answer).await.unwrap();
    assert!(answer[..bytes].starts_with(b"HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_403() {
    let server = Server::start(RouterOptions::default()).await;
    let own = format!("http://{}", server.address);
    for (name, value, code) in [
        ("host", "evil.example", "FORBIDDEN_HOST"),
        ("host", "localhost.evil.example", "FORBIDDEN_HOST"),
        ("origin", "http://evil.example", "FORBIDDEN_ORIGIN"),
        ("origin", "http://localhost:1", "FORBIDDEN_ORIGIN"),
        ("origin", "null", "FORBIDDEN_ORIGIN"),
    ] {
        let answer = json_post(&server, HELLO).header(name, value).send().await.unwrap();
        assert_eq!(refusal(answer).await, (403, code.to_owned()), "{name}: {value}");
    }
    for (name, value) in [("host", "localhost"), ("origin", &own)] {
        let answer = json_post(&server, HELLO).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name}: {value}");
    }
    let open = RouterOptions::default().with_guard(HostGuard::new().allow_host("flows.example"));
    let server = Server::start(open).await;
    let answer = json_post(&server, HELLO).header("host", "flows.example").header("origin", "https://flows.example");
    assert_eq!(answer.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_504() {
    let server = Server::start(limited(|limits| limits.request_time = Duration::from_secs(1))).await;
    let started = Instant::now();
    let answer = json_post(&server, r#"{"query":"{ slow(ms: 60000) }"}"#).send().await.unwrap();
    assert_eq!(refusal(answer).await, (504, "TIMEOUT".to_owned()));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(run(&server, "{ slow(ms: 1) }", Value::Null).await["data"]["slow"], 1);
}

#[tokio::test]
async fn a_body_that_never_comes_is_408() {
    let server = Server::start(limited(|limits| limits.request_time = Duration::from_millis(200))).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head =
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1 << 10];
    let bytes = socket.read(&mut answer).await.unwrap();
    assert!(answer[..bytes].starts_with(b"HTTP/1.1 408 "));
}

#[tokio::test]
async fn the_trace_and_the_actor_reach_the_event() {
    let options = RouterOptions::default().with_actor(|who| {
        let user = who.headers.get("x-user").and_then(|user| user.to_str().ok());
        if user == Some("mallory") { Err(Denied("mallory may not come in")) } else { Ok(user.map(Into::into)) }
    });
    let server = Server::start(options).await;
    let body = json!({ "query": SWITCH, "variables": { "id": "hall", "on": true } }).to_string();
    let (trace_id, correlation) = ("4bf92f3577b34da6a3ce929d0e0e4736", "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10");
    let answer = json_post(&server, body)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .header("x-correlation-id", correlation)
        .header("x-user", "ada");
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    let result = &answer["data"]["switchLamp"];
    assert_eq!((&result["success"], &result["traceId"]), (&json!(true), &json!(trace_id)), "{answer}");
    let query = "{ lampHistory(id: \"hall\") { nodes { traceId correlationId causationId actor } } }";
    let history = run(&server, query, Value::Null).await;
    assert_eq!(
        history["data"]["lampHistory"]["nodes"][0],
        json!({ "traceId": trace_id, "correlationId": correlation, "causationId": result["commandId"], "actor": "ada" })
    );
    let denied = json_post(&server, HELLO).header("x-user", "mallory").send().await.unwrap();
    assert_eq!(refusal(denied).await, (401, "UNAUTHENTICATED".to_owned()));
}

#[tokio::test]
async fn a_command_sent_again_gets_its_first_answer() {
    let server = Server::start(RouterOptions::default()).await;
    let switch = |on: bool, command: Value, expected: Value| {
        let variables = json!({ "id": "hall", "on": on, "command": command, "expected": expected });
        run(&server, SWITCH, variables)
    };
    let id = json!("7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10");
    let report = |answer: &Value| {
        let result = &answer["data"]["switchLamp"];
        (result["success"].clone(), result["version"].clone(), result["code"].clone())
    };
    let committed = (json!(true), json!(1), Value::Null);
    assert_eq!(report(&switch(true, id.clone(), json!(0)).await), committed);
    assert_eq!(report(&switch(true, id.clone(), json!(0)).await), committed);
    let refused = switch(true, Value::Null, Value::Null).await;
    assert_eq!(report(&refused), (json!(false), Value::Null, json!("nothing-to-switch")));
    assert_eq!(refused["data"]["switchLamp"]["message"], "the lamp is on already");
    assert_eq!(report(&switch(false, Value::Null, json!(7)).await), (json!(false), Value::Null, json!("conflict")));
    for (command, expected) in [(json!("7"), Value::Null), (Value::Null, json!(-1))] {
        let answer = switch(false, command, expected).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_ARGUMENT", "{answer}");
    }
}

#[tokio::test]
async fn json_goes_in_and_out_as_it_is() {
    let server = Server::start(RouterOptions::default()).await;
    let body = r#"{"query":"query($j: JSON!) { echo(json: $j) }","variables":{"j":{"z":[18446744073709551615,0.1,1.7976931348623157e+308],"a":"ü"}}}"#;
    let answer = json_post(&server, body).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"data":{"echo":{"z":[18446744073709551615,0.1,1.7976931348623157e+308],"a":"ü"}}}"#);
}

#[tokio::test]
async fn a_write_is_read_or_said_to_be_not_yet_visible() {
    let server = Server::start(RouterOptions::default()).await;
    run(&server, SWITCH, json!({ "id": "hall", "on": true })).await;
    let seen = run(&server, "{ lamp(id: \"hall\", atLeastVersion: 1) { version switched } }", Value::Null).await;
    assert_eq!(seen["data"]["lamp"], json!({ "version": 1, "switched": 1 }));
    let unseen =
        run(&server, "{ lamp(id: \"hall\", atLeastVersion: 2, timeoutMs: 50) { version } }", Value::Null).await;
    assert_eq!(unseen["errors"][0]["extensions"]["code"], "NOT_YET_VISIBLE", "{unseen}");
    let message = unseen["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("committed, not yet visible"), "{message}");
}

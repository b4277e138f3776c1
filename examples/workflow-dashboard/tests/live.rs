//! What is pushed: every change, none twice, none that leads back.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic too")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};
use support::{Socket, TestServer, complete_step, start, start_step};

const ONE: &str = "subscription One($id: ID, $after: Int) { workflowUpdated(id: $id, afterVersion: $after) {
    workflowId version status completedSteps } }";
const ALL: &str = "subscription All($after: Position) { workflowsChanged(after: $after) { position resync
    workflows { workflowId version } } }";

#[tokio::test]
async fn one_workflow_is_told_from_its_newest_state_on() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    let mut socket = server.socket().await;
    socket.subscribe(ONE, json!({ "id": "w" })).await;
    assert_eq!(socket.next().await["workflowUpdated"]["version"], 1);
    server.done(start_step("w", "a")).await;
    assert_eq!(socket.next().await["workflowUpdated"]["version"], 2);

    // A second client resumes after version 2 and is not told of it again.
    let mut resumed = server.socket().await;
    resumed.subscribe(ONE, json!({ "id": "w", "after": 2 })).await;
    server.done(complete_step("w", "a")).await;
    let state = json!({ "workflowId": "w", "version": 3, "status": "RUNNING", "completedSteps": 1 });
    assert_eq!(resumed.next().await["workflowUpdated"], state);
    assert_eq!(socket.next().await["workflowUpdated"], state);
    server.stop().await;
}

#[tokio::test]
async fn a_workflow_that_does_not_exist_yet_is_waited_for() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.subscribe(ONE, json!({ "id": "later" })).await;
    server.done(start("other")).await;
    server.done(start("later")).await;
    let told = socket.next().await["workflowUpdated"].take();
    assert_eq!((&told["workflowId"], &told["version"]), (&json!("later"), &json!(1)));
    server.stop().await;
}

#[tokio::test]
async fn changes_resume_where_they_were_left() {
    let server = TestServer::start().await;
    server.done(start("a")).await;
    let mut socket = server.socket().await;
    socket.subscribe(ALL, Value::Null).await;
    let first = socket.next().await["workflowsChanged"].take();
    assert_eq!(first, json!({ "position": "1", "resync": false, "workflows": [] }), "the present position, at once");
    server.done(start("b")).await;
    let second = socket.next().await["workflowsChanged"].take();
    assert_eq!(second["workflows"], json!([{ "workflowId": "b", "version": 1 }]));
    drop(socket);

    server.done(start_step("a", "x")).await;
    server.done(complete_step("a", "x")).await;
    server.done(start("c")).await;
    let mut resumed = server.socket().await;
    resumed.subscribe(ALL, json!({ "after": second["position"] })).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        let item = resumed.next().await["workflowsChanged"].take();
        assert_eq!(item["resync"], false);
        told.extend(item["workflows"].as_array().unwrap().clone());
    }
    let wanted = [json!({ "workflowId": "a", "version": 3 }), json!({ "workflowId": "c", "version": 1 })];
    assert_eq!(told, wanted, "each in its newest state, in the order of positions");
    server.stop().await;
}

#[tokio::test]
async fn every_workflow_is_told_without_an_id() {
    let server = TestServer::start().await;
    // On an empty store, and on one that has something already.
    let mut early = server.socket().await;
    early.subscribe(ONE, Value::Null).await;
    server.done(start("a")).await;
    server.done(start("b")).await;
    server.done(start_step("a", "x")).await;
    let mut late = server.socket().await;
    late.subscribe(ONE, Value::Null).await;
    for socket in [&mut early, &mut late] {
        let mut newest = HashMap::new();
        while newest.get("a") != Some(&2) || newest.get("b") != Some(&1) {
            tell(socket, &mut newest).await;
        }
    }
    server.done(complete_step("a", "x")).await;
    for socket in [&mut early, &mut late] {
        let mut newest = HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        tell(socket, &mut newest).await;
        assert_eq!(newest["a"], 3, "nothing is told twice");
    }
    let mut refused = server.socket().await;
    refused.subscribe(ONE, json!({ "after": 1 })).await;
    assert!(refused.receive().await.to_string().contains("afterVersion needs the id"));
    server.stop().await;
}

/// Takes the next state in; it must be newer than the one before.
async fn tell(socket: &mut Socket, newest: &mut HashMap<String, u64>) {
    let told = socket.next().await["workflowUpdated"].take();
    let (id, version) = (told["workflowId"].as_str().unwrap().to_owned(), told["version"].as_u64().unwrap());
    let before = newest.insert(id, version);
    assert!(before < Some(version), "{before:?}, then {told}");
}

#[tokio::test]
async fn a_server_that_stops_closes_its_sockets() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    let mut socket = server.socket().await;
    socket.subscribe(ONE, json!({ "id": "w" })).await;
    socket.next().await;
    let stopped = std::time::Instant::now();
    server.stop().await;
    assert!(stopped.elapsed().as_secs() < 8, "an open socket held the server up for {:?}", stopped.elapsed());
}

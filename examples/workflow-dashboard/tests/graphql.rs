//! What the GraphQL endpoint promises, asked of a whole server over HTTP.

mod support;

use std::collections::HashSet;

use eventsource_core::{EventName, ExpectedVersion, Metadata, NewEvent, StreamId, Version};
use serde_json::{Value, json};
use support::{TestServer, complete_step, fail_step, start, start_step};
use uuid::Uuid;
use workflow_dashboard::graphql::schema_text;

#[test]
fn the_committed_schema_is_the_programs() {
    let committed = include_str!("../schema.graphql");
    assert!(committed == schema_text(), "print it anew: cargo run -p workflow-dashboard -- --print-schema");
}

#[tokio::test]
async fn an_absent_or_null_argument_is_its_default() {
    let server = TestServer::start().await;
    let wait = "mutation($wait: CommandWait, $command: WorkflowCommandInput!) {
        executeWorkflowCommand(command: $command, wait: $wait) { success version } }";
    let pages = "query($first: Int, $order: WorkflowOrder) {
        workflows(first: $first, orderBy: $order) { totalCount } }";
    for (id, more) in [("a", json!({})), ("b", json!({ "wait": null, "first": null, "order": null }))] {
        let mut variables = json!({ "command": start(id) });
        variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sent = &server.ask(wait, variables.clone()).await["executeWorkflowCommand"];
        assert_eq!(sent, &json!({ "success": true, "version": null }));
        assert!(server.ask(pages, variables).await["workflows"]["totalCount"].is_u64());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_workflow_lives_through_all_its_states() {
    let server = TestServer::start().await;
    let begin = json!({ "startWorkflow": { "workflowId": "w", "definition": "order", "initiator": "ada",
        "initialParams": { "big": u64::MAX, "part": 0.1, "text": "ü" } } });
    assert_eq!(server.done(begin).await["version"], 1);
    let fresh = server.workflow("w").await;
    assert_eq!(fresh["status"], "RUNNING");
    assert_eq!(fresh["initialParams"], json!({ "big": u64::MAX, "part": 0.1, "text": "ü" }));
    assert_eq!(fresh["legalCommands"], json!(["startStep", "completeWorkflow", "cancelWorkflow"]));

    server.done(start_step("w", "pick")).await;
    server.done(fail_step("w", "pick")).await;
    let failed = server.workflow("w").await;
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("FAILED"), &json!("no stock")));
    assert_eq!(failed["legalCommands"], json!(["retryStep", "cancelWorkflow"]));

    server.done(json!({ "retryStep": { "workflowId": "w", "step": "pick" } })).await;
    server.done(json!({ "completeStep": { "workflowId": "w", "step": "pick", "output": [1, null] } })).await;
    server.done(start_step("w", "pick")).await;
    server.done(complete_step("w", "pick")).await;
    let last = server.done(json!({ "completeWorkflow": { "workflowId": "w" } })).await;
    let ended = server.workflow("w").await;
    assert_eq!(ended["status"], "COMPLETED");
    assert_eq!((&ended["version"], &ended["completedSteps"]), (&json!(8), &json!(2)));
    assert_eq!(ended["traceId"], last["traceId"]);
    assert_eq!(ended["endedAt"], ended["updatedAt"]);
    assert_eq!(ended["legalCommands"], json!([]));
    let steps = ended["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!((&steps[0]["attempt"], &steps[0]["output"]), (&json!(2), &json!([1, null])));
    assert_eq!((&steps[1]["occurrence"], &steps[1]["status"]), (&json!(2), &json!("COMPLETED")));

    server.done(start("x")).await;
    let cancelled = json!({ "cancelWorkflow": { "workflowId": "x", "reason": "not needed" } });
    server.done(cancelled).await;
    let counts = server.ask("{ workflowCounts { total running completed failed cancelled } }", Value::Null).await;
    let wanted = json!({ "total": 2, "running": 0, "completed": 1, "failed": 0, "cancelled": 1 });
    assert_eq!(counts["workflowCounts"], wanted);
    server.stop().await;
}

#[tokio::test]
async fn waiting_goes_as_far_as_asked() {
    let server = TestServer::start().await;
    let dispatched = server.execute_with(start("w"), "DISPATCHED", json!({})).await;
    assert_eq!((&dispatched["success"], &dispatched["version"]), (&json!(true), &Value::Null));
    let decided = server.execute_with(start_step("w", "a"), "DECIDED", json!({})).await;
    assert_eq!((&decided["success"], &decided["version"]), (&json!(true), &json!(2)));
    let visible = server.execute_with(complete_step("w", "a"), "VISIBLE", json!({})).await;
    assert_eq!(visible["version"], 3);
    assert_eq!(server.workflow("w").await["version"], 3, "what is visible is shown at once");
    server.stop().await;
}

#[tokio::test]
async fn a_query_that_names_a_version_waits_for_it_or_says_so() {
    let server = TestServer::start().await;
    server.execute_with(start("w"), "DECIDED", json!({})).await;
    let query = "query At($v: Int, $t: Int) { workflow(id: \"w\", atLeastVersion: $v, timeoutMs: $t) { version } }";
    assert_eq!(server.ask(query, json!({ "v": 1, "t": 20_000 })).await["workflow"]["version"], 1);
    let (message, code) = server.refusal(query, json!({ "v": 2, "t": 50 })).await;
    assert!(message.contains("committed, not yet visible"), "{message}");
    assert_eq!(code, "NOT_YET_VISIBLE");
    let (message, code) = server.refusal(query, json!({ "v": -1 })).await;
    assert!(message.contains("0 or more") && code == "INVALID_ARGUMENT", "{message} {code}");
    server.stop().await;
}

#[tokio::test]
async fn the_same_command_id_gets_the_first_answer() {
    let server = TestServer::start().await;
    let id = Uuid::new_v4();
    let more = json!({ "commandId": id });
    let first = server.execute_with(start("w"), "VISIBLE", more.clone()).await;
    for wait in ["DISPATCHED", "DECIDED", "VISIBLE"] {
        let again = server.execute_with(start("w"), wait, more.clone()).await;
        assert_eq!((&again["success"], &again["version"]), (&first["success"], &json!(1)), "{wait}: {again}");
    }
    let refused = Uuid::new_v4();
    let more = json!({ "commandId": refused });
    let no = server.execute_with(complete_step("w", "a"), "DECIDED", more.clone()).await;
    assert_eq!(no["code"], "step-not-running");
    server.done(start_step("w", "a")).await;
    let again = server.execute_with(complete_step("w", "a"), "DECIDED", more.clone()).await;
    assert_eq!((&again["code"], &again["message"]), (&no["code"], &no["message"]), "a refusal is an outcome too");
    assert_eq!(server.workflow("w").await["version"], 2, "nothing was appended");

    let outcome =
        "query Outcome($id: ID!) { commandOutcome(commandId: $id) { commandId workflowId success version code } }";
    let known = server.ask(outcome, json!({ "id": id })).await;
    let wanted = json!({ "commandId": id, "workflowId": "w", "success": true, "version": 1, "code": null });
    assert_eq!(known["commandOutcome"], wanted);
    let no = server.ask(outcome, json!({ "id": refused })).await;
    assert_eq!(
        (&no["commandOutcome"]["success"], &no["commandOutcome"]["code"]),
        (&json!(false), &json!("step-not-running"))
    );
    assert_eq!(server.ask(outcome, json!({ "id": Uuid::new_v4() })).await["commandOutcome"], Value::Null);

    let stolen = server.execute_with(start("other"), "VISIBLE", json!({ "commandId": id })).await;
    assert_eq!((&stolen["success"], &stolen["code"]), (&json!(false), &json!("command-id-reused")));
    assert!(stolen["message"].as_str().unwrap().contains("workflow w"), "{stolen}");
    server.stop().await;
}

#[tokio::test]
async fn outcomes_outlive_a_restart() {
    let server = TestServer::start().await;
    let (taken, refused) = (json!({ "commandId": Uuid::new_v4() }), json!({ "commandId": Uuid::new_v4() }));
    let first = server.execute_with(start("w"), "VISIBLE", taken.clone()).await;
    let no = server.execute_with(start("w"), "VISIBLE", refused.clone()).await;
    let server = TestServer::start_in(server.stop().await).await;
    let again = server.execute_with(start("w"), "VISIBLE", taken).await;
    assert_eq!((&again["success"], &again["version"]), (&first["success"], &first["version"]));
    let again = server.execute_with(start("w"), "VISIBLE", refused).await;
    assert_eq!((&again["code"], &again["message"]), (&no["code"], &no["message"]));
    server.stop().await;
}

#[tokio::test]
async fn a_stale_expectation_is_refused_with_both_versions() {
    let server = TestServer::start().await;
    let fresh = server.execute_with(start("w"), "DECIDED", json!({ "expectedVersion": 0 })).await;
    assert_eq!(fresh["success"], true);
    server.execute_with(start_step("w", "a"), "DECIDED", json!({ "expectedVersion": 1 })).await;
    let stale = server.execute_with(start_step("w", "b"), "DECIDED", json!({ "expectedVersion": 1 })).await;
    assert_eq!((&stale["success"], &stale["code"]), (&json!(false), &json!("conflict")));
    let message = stale["message"].as_str().unwrap();
    assert!(message.contains("at version 2") && message.contains("expects version 1"), "{message}");
    let exists = server.execute_with(start("w"), "DECIDED", json!({ "expectedVersion": 0 })).await;
    assert_eq!(exists["code"], "conflict");
    server.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused_clearly_and_loses_nothing() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    let unknown = "mutation { executeWorkflowCommand(command: { explode: { workflowId: \"w\" } }) { success } }";
    assert!(server.refusal(unknown, Value::Null).await.0.contains("explode"));
    let wrong =
        "mutation { executeWorkflowCommand(command: { startStep: { workflowId: \"w\", step: 7 } }) { success } }";
    assert!(server.refusal(wrong, Value::Null).await.0.contains("step"));
    let two = "mutation { executeWorkflowCommand(command: { startStep: { workflowId: \"w\", step: \"a\" },
        completeWorkflow: { workflowId: \"w\" } }) { success } }";
    assert!(!server.refusal(two, Value::Null).await.0.is_empty());

    for (command, code, part) in [
        (start_step("nobody", "a"), "workflow-not-found", "workflow nobody does not exist"),
        (start("w"), "workflow-exists", "workflow w exists already"),
        (start(&"x".repeat(201)), "too-long", "at most 200"),
        (start(""), "empty-field", "workflowId"),
        (start_step("w", &"s".repeat(201)), "too-long", "at most 200"),
        (fail_step("w", "never"), "step-not-running", "step never of workflow w"),
        (json!({ "cancelWorkflow": { "workflowId": "w", "reason": "r".repeat(5_000) } }), "too-long", "4096"),
    ] {
        let refused = server.execute(command).await;
        assert_eq!((&refused["success"], &refused["code"]), (&json!(false), &json!(code)), "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(part), "{refused}");
    }
    let query = "mutation Big($output: JSON) { executeWorkflowCommand(command: { completeStep: { workflowId: \"w\",
        step: \"a\", output: $output } }) { success } }";
    let (message, _) = server.refusal(query, json!({ "output": "x".repeat(300_000) })).await;
    assert!(message.contains("262144"), "{message}");
    let deep = (0..40).fold(Value::Null, |inner, _| json!([inner]));
    assert!(server.refusal(query, json!({ "output": deep })).await.0.contains("nested deeper"));
    let id = "mutation { executeWorkflowCommand(commandId: \"7\", command: { completeWorkflow: { workflowId: \"w\" } }) { success } }";
    assert!(server.refusal(id, Value::Null).await.0.contains("UUID"));
    assert_eq!(server.workflow("w").await["version"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one_and_keeps_its_order() {
    let server = TestServer::start().await;
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    let commands =
        [start("w"), start_step("w", "a"), start_step("w", ""), complete_step("w", "a"), complete_step("w", "a")];
    let items: Vec<Value> =
        commands.iter().zip(&ids).map(|(command, id)| json!({ "command": command, "commandId": id })).collect();
    let query = "mutation Batch($commands: [WorkflowCommandItem!]!) {
        dispatchWorkflowCommands(commands: $commands) { success commandId version code } }";
    let answers = server.ask(query, json!({ "commands": items })).await["dispatchWorkflowCommands"].take();
    let codes: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["code"]).collect();
    assert_eq!(codes, [&Value::Null, &Value::Null, &json!("empty-field"), &Value::Null, &Value::Null]);

    let wait = "query Wait { workflow(id: \"w\", atLeastVersion: 3, timeoutMs: 20000) { version completedSteps } }";
    let shown = server.ask(wait, Value::Null).await;
    assert_eq!(shown["workflow"], json!({ "version": 3, "completedSteps": 1 }));
    // The last one is refused some time after; then the same batch again tells what became of each.
    let last = server.execute_with(complete_step("w", "a"), "DECIDED", json!({ "commandId": ids[4] })).await;
    assert_eq!(last["code"], "step-not-running");
    let again = server.ask(query, json!({ "commands": items })).await["dispatchWorkflowCommands"].take();
    let told: Vec<_> =
        again.as_array().unwrap().iter().map(|one| (one["version"].clone(), one["code"].clone())).collect();
    assert_eq!(told[..2], [(json!(1), Value::Null), (json!(2), Value::Null)]);
    assert_eq!(told[3..], [(json!(3), Value::Null), (Value::Null, json!("step-not-running"))]);

    let twice = [start("x"), start("y")].map(|command| json!({ "command": command, "commandId": ids[0] }));
    let (message, code) = server.refusal(query, json!({ "commands": twice })).await;
    assert!(message.contains(&ids[0].to_string()) && message.contains("none was sent"), "{message}");
    assert_eq!(code, "INVALID_ARGUMENT");
    let racing = [start("r1"), start("r2")].map(|command| {
        let id = json!({ "commandId": "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10" });
        server.execute_with(command, "VISIBLE", id)
    });
    let mut codes: Vec<_> =
        futures::future::join_all(racing).await.into_iter().map(|mut result| result["code"].take()).collect();
    codes.sort_by_key(Value::is_string);
    assert_eq!(codes, [Value::Null, json!("command-id-reused")], "one id is one command");

    let many: Vec<Value> = (0..101).map(|_| json!({ "command": start("x") })).collect();
    assert!(server.refusal(query, json!({ "commands": many })).await.0.contains("at most 100"));
    server.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_searched_sorted_and_paged() {
    let server = TestServer::start().await;
    for number in 1..=5 {
        server.done(start(&format!("w{number}"))).await;
    }
    server.done(json!({ "cancelWorkflow": { "workflowId": "w2", "reason": "x" } })).await;
    let list = async |arguments: &str| {
        let query = format!(
            "{{ workflows({arguments}) {{ totalCount nodes {{ workflowId }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let mut page = server.ask(&query, Value::Null).await["workflows"].take();
        let ids: Vec<String> = page["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["workflowId"].as_str().unwrap().to_owned())
            .collect();
        (ids, page["totalCount"].clone(), page["pageInfo"].take())
    };
    assert_eq!(list("orderBy: ID_ASC").await.0, ["w1", "w2", "w3", "w4", "w5"]);
    assert_eq!(list("orderBy: ID_DESC").await.0, ["w5", "w4", "w3", "w2", "w1"]);
    assert_eq!(list("orderBy: STARTED_ASC").await.0, ["w1", "w2", "w3", "w4", "w5"]);
    assert_eq!(list("first: 2").await.0, ["w2", "w5"], "latest change first");
    assert_eq!(list("status: CANCELLED").await.0, ["w2"]);
    assert_eq!(list("search: \"W3\"").await.0, ["w3"]);
    assert_eq!(list("search: \"ADA\"").await.1, 5);
    assert_eq!(list("search: \"100%\"").await.1, 0);

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (ids, total, info) = list(&format!("orderBy: UPDATED_ASC, first: 2{after}")).await;
        assert_eq!(total, 5);
        seen.extend(ids);
        if info["hasNextPage"] == false {
            break;
        }
        after = format!(", after: {}", info["endCursor"]);
    }
    assert_eq!(seen, ["w1", "w3", "w4", "w5", "w2"]);
    let (message, code) = server.refusal("{ workflows(after: \"mine\") { totalCount } }", Value::Null).await;
    assert_eq!(code, "INVALID_ARGUMENT", "{message}");
    assert_eq!(list("first: -7").await.0, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn history_and_past_states_are_shown() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    server.done(start_step("w", "a")).await;
    let last = server.done(complete_step("w", "a")).await;
    let query =
        "{ workflowHistory(id: \"w\", first: 2) { totalCount pageInfo { hasNextPage endCursor } nodes { eventId name
        schema version position recordedAt payload actor causationId correlationId traceId } } }";
    let page = server.ask(query, Value::Null).await["workflowHistory"].take();
    assert_eq!((&page["totalCount"], &page["pageInfo"]["hasNextPage"]), (&json!(3), &json!(true)));
    let names: Vec<_> = page["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["workflow-started", "step-started"]);
    let rest = format!(
        "{{ workflowHistory(id: \"w\", after: {}) {{ nodes {{ payload causationId traceId version }} }} }}",
        page["pageInfo"]["endCursor"]
    );
    let rest = server.ask(&rest, Value::Null).await["workflowHistory"]["nodes"].take();
    assert_eq!(rest[0]["payload"], json!({ "step": "a", "occurrence": 1, "attempt": 1 }));
    assert_eq!((&rest[0]["causationId"], &rest[0]["traceId"]), (&last["commandId"], &last["traceId"]));

    let at = "query At($v: Int!) { workflowAt(id: \"w\", version: $v) { version status completedSteps steps { status } legalCommands } }";
    let past = server.ask(at, json!({ "v": 2 })).await["workflowAt"].take();
    assert_eq!((&past["version"], &past["steps"][0]["status"]), (&json!(2), &json!("RUNNING")));
    assert_eq!(past["legalCommands"], json!(["startStep", "completeStep", "failStep", "cancelWorkflow"]));
    for (version, answer) in [(0, Value::Null), (4, Value::Null)] {
        assert_eq!(server.ask(at, json!({ "v": version })).await["workflowAt"], answer);
    }
    assert_eq!(server.workflow("nobody").await, Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn a_parked_workflow_is_listed_retried_and_discarded() {
    let server = TestServer::start().await;
    server.done(start("bad")).await;
    // An event that fits no history, as a bug or an old program might leave it.
    let stream = StreamId::new("workflow", "bad").unwrap();
    let event = NewEvent {
        id: eventsource_core::EventId::from_uuid(Uuid::new_v4()),
        name: EventName::from_static("step-completed"),
        schema: 1,
        payload: br#"{"step":"never","occurrence":1,"attempt":1}"#.as_slice().into(),
        metadata: Metadata::default(),
    };
    server.ports.store.append(&stream, ExpectedVersion::Exact(Version::FIRST), vec![event]).await.unwrap();
    server.done(start("good")).await;
    let status = "{ systemStatus { storeId headPosition projections { name version position lagEvents parked
        parkedStreams { workflowId version eventName reason attempts } } } }";
    let system = server.ask(status, Value::Null).await["systemStatus"].take();
    let projection = &system["projections"][0];
    assert_eq!((&system["headPosition"], &projection["parked"]), (&json!("3"), &json!(1)), "{system}");
    assert_eq!(projection["parkedStreams"][0]["workflowId"], "bad");
    assert_eq!(projection["parkedStreams"][0]["eventName"], "step-completed");
    assert!(projection["parkedStreams"][0]["reason"].as_str().unwrap().contains("never started"), "{projection}");

    let repair = |how: &str| format!("mutation {{ done: {how}(projection: \"workflows\", workflowId: \"bad\") }}");
    assert_eq!(server.ask(&repair("retryParked"), Value::Null).await["done"], false, "it stands still again");
    assert_eq!(server.ask(&repair("discardParked"), Value::Null).await["done"], true);
    assert!(server.refusal(&repair("retryParked"), Value::Null).await.0.contains("not parked"));
    let system = server.ask(status, Value::Null).await["systemStatus"].take();
    assert_eq!(system["projections"][0]["parked"], 0);
    server.stop().await;
}

#[tokio::test]
async fn traces_go_from_the_header_to_the_event() {
    let server = TestServer::start().await;
    let body = json!({ "query": "mutation Go($c: WorkflowCommandInput!) { executeWorkflowCommand(command: $c, wait: VISIBLE) { traceId } }",
        "variables": { "c": start("w") } });
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let correlation = Uuid::new_v4();
    let client = reqwest::Client::new();
    let sent = client
        .post(format!("{}/graphql", server.url()))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-correlation-id", correlation.to_string())
        .header("x-actor", "grace")
        .json(&body);
    let answer: Value = sent.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["executeWorkflowCommand"]["traceId"], trace);
    let query = "{ workflowHistory(id: \"w\") { nodes { traceId correlationId actor } } }";
    let event = server.ask(query, Value::Null).await["workflowHistory"]["nodes"][0].take();
    assert_eq!(event, json!({ "traceId": trace, "correlationId": correlation, "actor": "grace" }));
    server.stop().await;
}

#[tokio::test]
async fn many_clients_at_once_lose_nothing() {
    let server = TestServer::start().await;
    let clients = (0..20).map(|number| {
        let server = &server;
        async move {
            let id = format!("w{number}");
            server.done(start(&id)).await;
            for _ in 0..3 {
                server.done(start_step(&id, "a")).await;
                server.done(complete_step(&id, "a")).await;
            }
            server.workflow(&id).await["position"].as_str().unwrap().to_owned()
        }
    });
    let positions: HashSet<String> = futures::future::join_all(clients).await.into_iter().collect();
    assert_eq!(positions.len(), 20);
    let system = server.ask("{ systemStatus { headPosition projections { lagEvents } } }", Value::Null).await;
    let wanted = json!({ "headPosition": "140", "projections": [{ "lagEvents": 0 }] });
    assert_eq!(system["systemStatus"], wanted);
    server.stop().await;
}

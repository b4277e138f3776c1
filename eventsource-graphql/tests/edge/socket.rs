//! The rules of `GET /graphql/ws`, over real WebSockets.

use std::time::{Duration, Instant};

use crate::support::{Server, client::Client};
use eventsource_graphql::{Denied, Limits, RouterOptions};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

fn limited(change: impl FnOnce(&mut Limits)) -> RouterOptions {
    let mut limits = Limits::default();
    change(&mut limits);
    RouterOptions::default().with_limits(limits)
}

async fn default_server() -> Server {
    Server::start(RouterOptions::default()).await
}

async fn switch(server: &Server, id: &str, on: bool) {
    let query = format!("mutation {{ switchLamp(id: \"{id}\", on: {on}) {{ success message }} }}");
    let answer = reqwest::Client::new().post(server.url()).json(&json!({ "query": query })).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["data"]["switchLamp"]["success"], true, "{answer}");
}

#[tokio::test]
async fn a_subscription_runs_until_it_is_completed() {
    let server = default_server().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("a", "subscription { ticks(everyMs: 1) }").await;
    for tick in 0..3 {
        assert_eq!(client.next("a").await, json!({ "data": { "ticks": tick } }));
    }
    client.say(json!({ "type": "complete", "id": "a" })).await;
    // The id is free at once, and nothing of the first operation comes under it.
    client.subscribe("a", "subscription { me { actor } }").await;
    loop {
        let message = client.hear().await;
        if message["payload"]["data"]["me"].is_object() {
            break;
        }
        assert!(message["payload"]["data"]["ticks"].as_u64() >= Some(3), "{message}");
    }
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "a" }));
    client.say(json!({ "type": "ping", "payload": { "some": "thing" } })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn foreign_pages_and_unknown_hosts_are_403() {
    let server = default_server().await;
    let own = format!("http://{}", server.address);
    for (name, value) in [("origin", "http://evil.example"), ("origin", "null"), ("host", "evil.example")] {
        assert_eq!(Client::open(&server, &[(name, value)]).await.err(), Some(403), "{name}: {value}");
    }
    assert!(Client::open(&server, &[("origin", &own)]).await.is_ok());
    assert!(Client::open(&server, &[]).await.is_ok());
}

#[tokio::test]
async fn what_opens_no_socket_is_refused() {
    let server = default_server().await;
    let protocol = ("sec-websocket-protocol", "graphql-ws");
    assert_eq!(Client::open(&server, &[protocol]).await.err(), Some(400));
    let url = format!("{}/ws", server.url());
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 400);
    let posted = reqwest::Client::new().post(&url).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), &posted.headers()["allow"]), (405, &"GET".parse().unwrap()));
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_how() {
    let server = default_server().await;
    let init = json!({ "type": "connection_init" });
    let ticks =
        json!({ "type": "subscribe", "id": "a", "payload": { "query": "subscription { ticks(everyMs: 60000) }" } });
    for (messages, code) in [
        (vec![ticks.clone()], 4401),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init.clone(), ticks.clone(), ticks.clone()], 4409),
        (vec![json!({ "type": "start", "id": "a", "payload": {} })], 4400),
        (vec![json!({ "type": "subscribe", "id": "a" })], 4400),
        (vec![json!(7)], 4400),
    ] {
        let mut client = Client::open(&server, &[]).await.unwrap();
        for message in messages {
            client.say(message).await;
        }
        assert_eq!(client.closed().await, code);
    }
    let mut client = Client::open(&server, &[]).await.unwrap();
    client.socket.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(client.closed().await, 4400);
}

#[tokio::test]
async fn a_client_that_never_says_who_it_is_is_closed() {
    let server = Server::start(limited(|limits| limits.init_time = Duration::from_millis(500))).await;
    let mut client = Client::open(&server, &[]).await.unwrap();
    assert_eq!(client.closed().await, 4408);
    let mut client = Client::ready(&server).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn an_oversize_message_closes_the_socket() {
    let server = Server::start(limited(|limits| limits.message_bytes_max = 10_000)).await;
    for bytes in [10_001, 1 << 20, 16 << 20] {
        let mut client = Client::ready(&server).await;
        let fits = json!({ "type": "ping" }).to_string();
        client.socket.send(Message::text(format!("{fits}{}", " ".repeat(10_000 - fits.len())))).await.unwrap();
        assert_eq!(client.hear().await, json!({ "type": "pong" }));
        // The server may have closed before all of it is sent.
        let _ = client.socket.send(Message::text(" ".repeat(bytes))).await;
        assert_eq!(client.closed().await, 1009, "{bytes}");
    }
}

#[tokio::test]
async fn operations_on_one_socket_are_counted() {
    let server = Server::start(limited(|limits| limits.operations_per_socket_max = 2)).await;
    let mut client = Client::ready(&server).await;
    client.subscribe("a", "subscription { ticks(everyMs: 60000) }").await;
    client.subscribe("b", "subscription { ticks(everyMs: 60000) }").await;
    client.subscribe("c", "subscription { ticks(everyMs: 60000) }").await;
    let refused = client.hear().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("c")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
    client.say(json!({ "type": "complete", "id": "a" })).await;
    client.subscribe("c", "subscription { ticks(everyMs: 1) }").await;
    assert_eq!(client.next("c").await, json!({ "data": { "ticks": 0 } }));
}

#[tokio::test]
async fn queries_run_and_mutations_do_not() {
    let server = Server::start(limited(|limits| limits.request_time = Duration::from_secs(1))).await;
    let mut client = Client::ready(&server).await;
    client.subscribe("q", "{ hello }").await;
    assert_eq!(client.next("q").await, json!({ "data": { "hello": "world" } }));
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "q" }));
    client.subscribe("s", "{ slow(ms: 60000) }").await;
    assert!(client.next("s").await["errors"][0]["message"].as_str().unwrap().contains("within 1s"));
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "s" }));
    let mutation = "mutation M { switchLamp(id: 1, on: true) { success } }";
    for (query, name) in [(mutation.to_owned(), Value::Null), (format!("query Q {{ hello }} {mutation}"), json!("M"))] {
        let payload = json!({ "query": query, "operationName": name });
        client.say(json!({ "type": "subscribe", "id": "m", "payload": payload })).await;
        let refused = client.hear().await;
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("m")), "{refused}");
        assert_eq!(refused["payload"][0]["extensions"]["code"], "MUTATION_BY_WEBSOCKET");
    }
    client.subscribe("h", "{ lampHistory(id: 1) { totalCount } }").await;
    assert_eq!(client.next("h").await["data"]["lampHistory"]["totalCount"], 0);
}

#[tokio::test]
async fn an_error_comes_as_an_item_and_then_the_end() {
    let server = default_server().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("f", "subscription { failing }").await;
    assert_eq!(client.next("f").await, json!({ "data": { "failing": 1 } }));
    assert_eq!(client.next("f").await, json!({ "data": { "failing": 2 } }));
    assert_eq!(client.next("f").await["errors"][0]["message"], "it broke");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "f" }));
    for query in ["subscription { unknown }", "subscription {", "subscription { ticks(everyMs: \"x\") }", ""] {
        client.subscribe("v", query).await;
        assert!(client.next("v").await["errors"][0]["message"].is_string(), "{query}");
        assert_eq!(client.hear().await, json!({ "type": "complete", "id": "v" }));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_disturbs_nobody() {
    let options = limited(|limits| {
        limits.send_time = Duration::from_millis(1_500);
        limits.sockets_max = 2;
    });
    let server = Server::start(options).await;
    let mut deaf = Client::ready(&server).await;
    deaf.subscribe("f", "subscription { flood(bytes: 100000) }").await;
    let mut other = Client::ready(&server).await;
    other.subscribe("t", "subscription { ticks(everyMs: 5) }").await;
    assert_eq!(Client::open(&server, &[]).await.err(), Some(503));
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    // While the deaf one is stuck, the other one hears every tick; then its place is free.
    let mut third = loop {
        for _ in 0..20 {
            let asked = Instant::now();
            other.next("t").await;
            slowest = slowest.max(asked.elapsed());
        }
        match Client::open(&server, &[]).await {
            Ok(client) => break client,
            Err(status) => assert_eq!(status, 503),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the deaf client is still there");
    };
    assert!(started.elapsed() >= Duration::from_millis(1_400), "cut off too early");
    assert!(slowest < Duration::from_millis(1_200), "a tick took {slowest:?}");
    third.init(Value::Null).await;
    // What the deaf one finds when it listens at last ends without a farewell.
    let mut items = 0;
    while let Some(Ok(Message::Text(_))) = deaf.socket.next().await {
        items += 1;
    }
    assert!(items > 0);
}

#[tokio::test]
async fn a_busy_operation_leaves_room_for_the_others() {
    let server = default_server().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("f", "subscription { flood(bytes: 10) }").await;
    client.subscribe("g", "subscription { flood(bytes: 11) }").await;
    client.subscribe("t", "subscription { ticks(everyMs: 1) }").await;
    let mut heard = [0_u32; 3];
    while heard[2] < 20 {
        match client.hear().await["id"].as_str() {
            Some("f") => heard[0] += 1,
            Some("g") => heard[1] += 1,
            _ => heard[2] += 1,
        }
    }
    let [f, g, _] = heard;
    assert!(f.abs_diff(g) <= 1 + f.max(g) / 10, "one flood had {f} items, the other one {g}");
    client.say(json!({ "type": "complete", "id": "f" })).await;
    client.say(json!({ "type": "complete", "id": "g" })).await;
    client.say(json!({ "type": "ping" })).await;
    while client.hear().await["type"] != "pong" {}
    // What comes now is of the one that was not completed.
    for _ in 0..5 {
        client.next("t").await;
    }
}

#[tokio::test]
async fn a_client_without_a_sign_of_life_is_closed() {
    let options = limited(|limits| {
        limits.ping_interval = Duration::from_millis(300);
        limits.sockets_max = 2;
    });
    let server = Server::start(options).await;
    let dead = Client::ready(&server).await;
    let mut lively = Client::ready(&server).await;
    lively.subscribe("t", "subscription { ticks(everyMs: 10) }").await;
    let started = Instant::now();
    // The lively one answers pings by reading; the dead one's place becomes free.
    while let Err(status) = Client::open(&server, &[]).await {
        assert_eq!(status, 503);
        assert!(started.elapsed() < Duration::from_secs(10), "the dead client is still there");
        lively.next("t").await;
    }
    assert!(started.elapsed() >= Duration::from_millis(850), "closed after {:?}", started.elapsed());
    for _ in 0..30 {
        lively.next("t").await;
    }
    drop(dead);
}

#[tokio::test]
async fn a_shutdown_closes_open_sockets() {
    let (stop, stopped) = oneshot::channel::<()>();
    let options = RouterOptions::default().with_shutdown(async { stopped.await.unwrap_or(()) });
    let server = Server::start(options).await;
    let (mut one, mut other) = (Client::ready(&server).await, Client::ready(&server).await);
    stop.send(()).unwrap();
    assert_eq!((one.closed().await, other.closed().await), (1001, 1001));
}

#[tokio::test]
async fn the_trace_and_the_actor_come_with_connection_init() {
    let options = RouterOptions::default().with_actor(|who| {
        let token = who.connection_params.and_then(|params| params["token"].as_str());
        if token == Some("stolen") { Err(Denied("unknown token")) } else { Ok(token.map(Into::into)) }
    });
    let server = Server::start(options).await;
    let mut client = Client::open(&server, &[]).await.unwrap();
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    client.init(json!({ "traceparent": traceparent, "token": "ada" })).await;
    for query in ["subscription { me { actor traceId } }", "{ me { actor traceId } }"] {
        client.subscribe("m", query).await;
        assert_eq!(client.next("m").await, json!({ "data": { "me": { "actor": "ada", "traceId": trace_id } } }));
        assert_eq!(client.hear().await["type"], "complete");
    }
    let mut denied = Client::open(&server, &[]).await.unwrap();
    denied.say(json!({ "type": "connection_init", "payload": { "token": "stolen" } })).await;
    assert_eq!(denied.closed().await, 4403);
}

#[tokio::test]
async fn a_subscription_resumes_without_gap_or_repeat() {
    let server = default_server().await;
    let writer = async {
        for round in 0..200 {
            switch(&server, &format!("lamp-{}", round % 7), (round / 7) % 2 == 0).await;
        }
    };
    let reader = async {
        let mut positions = Vec::new();
        let mut after = "0".to_owned();
        while positions.len() < 200 {
            let mut client = Client::ready(&server).await;
            let query = format!("subscription {{ switched(after: \"{after}\") {{ position version }} }}");
            client.subscribe("s", &query).await;
            // A connection that is lost after a few items.
            for _ in 0..13.min(200 - positions.len()) {
                let item = client.next("s").await;
                after = item["data"]["switched"]["position"].as_str().unwrap().to_owned();
                positions.push(after.parse::<u32>().unwrap());
            }
        }
        positions
    };
    let ((), positions) = futures::join!(writer, reader);
    assert_eq!(positions, (1..=200).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_watched_view_is_told_from_where_the_client_left_off() {
    let server = default_server().await;
    switch(&server, "hall", true).await;
    let mut client = Client::ready(&server).await;
    client.subscribe("w", "subscription { lampUpdated(id: \"hall\") { version switched } }").await;
    assert_eq!(client.next("w").await["data"]["lampUpdated"], json!({ "version": 1, "switched": 1 }));
    switch(&server, "hall", false).await;
    assert_eq!(client.next("w").await["data"]["lampUpdated"], json!({ "version": 2, "switched": 2 }));
    drop(client);
    switch(&server, "hall", true).await;
    // Version 2 was seen before the connection was lost: it is not told again, and 3 is not lost.
    let mut client = Client::ready(&server).await;
    client.subscribe("w", "subscription { lampUpdated(id: \"hall\", afterVersion: 2) { version switched } }").await;
    assert_eq!(client.next("w").await["data"]["lampUpdated"], json!({ "version": 3, "switched": 3 }));
}

#[tokio::test]
async fn changed_views_resume_from_a_position() {
    let server = default_server().await;
    switch(&server, "a", true).await;
    visible(&server, "a", 1).await;
    let mut client = Client::ready(&server).await;
    client.subscribe("c", "subscription { lampsChanged { position resync lamps { id version } } }").await;
    let first = client.next("c").await["data"]["lampsChanged"].take();
    assert_eq!(first, json!({ "position": "1", "resync": false, "lamps": [] }));
    switch(&server, "b", true).await;
    assert_eq!(changed(&mut client, "2").await, [(json!("b"), json!(1))]);
    drop(client);
    switch(&server, "c", true).await;
    switch(&server, "a", false).await;
    visible(&server, "a", 2).await;
    let mut client = Client::ready(&server).await;
    client.subscribe("c", "subscription { lampsChanged(after: \"2\") { position resync lamps { id version } } }").await;
    assert_eq!(changed(&mut client, "4").await, [(json!("c"), json!(1)), (json!("a"), json!(2))]);
}

/// Waits until queries show the lamp at `version`.
async fn visible(server: &Server, id: &str, version: u64) {
    let query = format!("{{ lamp(id: \"{id}\", atLeastVersion: {version}) {{ version }} }}");
    let answer = reqwest::Client::new().post(server.url()).json(&json!({ "query": query })).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["data"]["lamp"]["version"], version, "{answer}");
}

/// The lamps that `lampsChanged` tells until it has come to `position`.
async fn changed(client: &mut Client, position: &str) -> Vec<(Value, Value)> {
    let mut seen = Vec::new();
    loop {
        let item = client.next("c").await["data"]["lampsChanged"].take();
        assert_eq!(item["resync"], false, "{item}");
        let lamps = item["lamps"].as_array().unwrap();
        seen.extend(lamps.iter().map(|lamp| (lamp["id"].clone(), lamp["version"].clone())));
        if item["position"] == position {
            return seen;
        }
    }
}

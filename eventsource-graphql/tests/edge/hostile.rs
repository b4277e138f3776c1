//! Documents made to break the server, over real HTTP and real WebSockets.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use crate::support::{Server, client::Client};
use eventsource_graphql::RouterOptions;
use serde_json::{Value, json};

/// Just below the largest body and the largest message, JSON around it included.
const BYTES: usize = (1 << 20) - 200;
/// Far more than a refusal takes, even on a busy machine and without optimisation.
const QUICKLY: Duration = Duration::from_secs(10);

/// `open` as often as fits, and closed again or not.
fn nested(head: &str, open: &str, close: &str, tail: &str) -> [String; 2] {
    let unclosed = BYTES / open.len() - head.len();
    let closed = (BYTES - head.len() - tail.len()) / (open.len() + close.len());
    [format!("{head}{}", open.repeat(unclosed)), format!("{head}{}{}{tail}", open.repeat(closed), close.repeat(closed))]
}

/// `count` fragments, each of which spreads the next one; the last one closes the circle or does not.
fn chained(head: &str, levels: usize, count: usize, is_circle: bool) -> String {
    let (open, close) = ("room{".repeat(levels), "}".repeat(levels));
    let mut document = head.to_owned();
    for next in 1..count {
        write!(document, "fragment F{} on Room{{{open}...F{next}{close}}}", next - 1).unwrap();
    }
    let end = if is_circle { "...F0" } else { "name" };
    write!(document, "fragment F{} on Room{{{end}}}", count - 1).unwrap();
    assert!(document.len() < BYTES);
    document
}

/// What each document is, and the code it is refused with; `None` where the parser or the
/// validation has the word.
fn documents() -> Vec<(&'static str, String, Option<&'static str>)> {
    let mut all = Vec::new();
    for (name, [unclosed, closed]) in [
        ("lists", nested("{echo(json:", "[", "]", ")}")),
        ("objects", nested("{echo(json:", "{a:", "}", ")}")),
        ("selections", nested("{", "room{", "}", "}")),
        ("inline fragments", nested("{room", "{...", "}", "}")),
        ("default values", nested("query($a:JSON=", "[", "]", "){hello}")),
        ("types", nested("query($a:", "[", "]", "){hello}")),
        ("arguments", nested("{room", "(a:", ")", "}")),
        ("lists behind a block string that never ends", nested(r#"{echo(json:[""" x""#, "[", "]", "])}")),
    ] {
        all.push((name, unclosed, Some("DOCUMENT_TOO_LARGE")));
        all.push((name, closed, Some("DOCUMENT_TOO_LARGE")));
    }
    for (name, head) in [("fragments that are spread", "{room{...F0}}"), ("fragments that nobody spreads", "{hello}")] {
        // As many as fit, as many as can be parsed, and no more than fields are allowed.
        for (levels, count) in [(0, 25_000), (60, 2_000), (0, 1_500), (60, 75), (7, 490)] {
            all.push((name, chained(head, levels, count, false), Some("DOCUMENT_TOO_LARGE")));
            all.push((name, chained(head, levels, count, true), Some("DOCUMENT_TOO_LARGE")));
        }
        all.push((name, chained(head, 0, 400, true), Some("DOCUMENT_TOO_LARGE")));
        all.push((name, chained(head, 0, 400, false), None));
    }
    for count in [BYTES / 2 - 50, 14_000] {
        let fields = format!("{{hello}} fragment A on Room{{{}}}", "a ".repeat(count));
        all.push(("fields that nobody spreads", fields, Some("DOCUMENT_TOO_LARGE")));
    }
    all.push(("a fragment that spreads itself", chained("{hello}", 0, 1, true), Some("DOCUMENT_TOO_LARGE")));
    all.push(("fields", format!("{{{}}}", "a ".repeat(BYTES / 2 - 50)), Some("DOCUMENT_TOO_LARGE")));
    all.push(("spreads", format!("{{a{}}}", "...F".repeat(BYTES / 4 - 50)), Some("DOCUMENT_TOO_LARGE")));
    all.push(("values", format!("{{echo(json:[{}])}}", "1 ".repeat(BYTES / 2 - 50)), Some("DOCUMENT_TOO_LARGE")));
    all.push(("quotes", "\"".repeat(BYTES / 2), Some("DOCUMENT_TOO_LARGE")));
    all.push(("escaped quotes", r#"\""#.repeat(BYTES / 4), None));
    all.push((
        "block strings that never end",
        format!("{{echo(json:\"\"\"{}", r#"\""""#.repeat(BYTES / 8)),
        Some("DOCUMENT_TOO_LARGE"),
    ));
    all
}

#[tokio::test]
async fn no_document_by_post_stops_the_server() {
    let server = Server::start(RouterOptions::default()).await;
    let post = async |query: &str| {
        let answer = reqwest::Client::new().post(server.url()).json(&json!({ "query": query })).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    for (name, document, code) in documents() {
        let started = Instant::now();
        let answer = post(&document).await;
        let error = &answer["errors"][0];
        assert!(error["message"].is_string(), "{name}: {answer}");
        assert_eq!(error["extensions"]["code"].as_str(), code, "{name}: {answer}");
        assert!(started.elapsed() < QUICKLY, "{name}: took {:?}", started.elapsed());
        assert_eq!(post("{ hello }").await["data"]["hello"], "world", "after {name}");
    }
}

#[tokio::test]
async fn no_document_by_websocket_stops_the_server() {
    let server = Server::start(RouterOptions::default()).await;
    let mut client = Client::ready(&server).await;
    for (name, document, code) in documents() {
        let started = Instant::now();
        client.subscribe("a", &document).await;
        let answer = client.hear().await;
        // An operation that was not started is an error; one that the schema refuses is its one item.
        let error = if answer["type"] == "error" {
            &answer["payload"][0]
        } else {
            assert_eq!(client.hear().await, json!({ "type": "complete", "id": "a" }), "{name}");
            &answer["payload"]["errors"][0]
        };
        assert!(error["message"].is_string(), "{name}: {answer}");
        assert_eq!(error["extensions"]["code"].as_str(), code, "{name}: {answer}");
        assert!(started.elapsed() < QUICKLY, "{name}: took {:?}", started.elapsed());
        client.subscribe("b", "{ hello }").await;
        assert_eq!(client.next("b").await, json!({ "data": { "hello": "world" } }), "after {name}");
        assert_eq!(client.hear().await, json!({ "type": "complete", "id": "b" }));
    }
}

#[tokio::test]
async fn nested_json_is_refused_by_either_route() {
    let server = Server::start(RouterOptions::default()).await;
    let client = reqwest::Client::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 1_000, BYTES / 8] {
            let variables = format!("{{\"j\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            let request = format!(r#"{{"query":"query($j:JSON!){{echo(json:$j)}}","variables":{variables}}}"#);
            let post = client.post(server.url()).header("content-type", "application/json").body(request.clone());
            let status = post.send().await.unwrap().status().as_u16();
            assert_eq!(status, if depth == 100 { 200 } else { 400 }, "{depth} of {open}");
            let mut socket = Client::ready(&server).await;
            let message = format!(r#"{{"type":"subscribe","id":"a","payload":{request}}}"#);
            socket.send(message).await;
            match depth {
                100 => assert!(socket.next("a").await["errors"].is_null()),
                _ => assert_eq!(socket.closed().await, 4400, "{depth} of {open}"),
            }
        }
    }
}

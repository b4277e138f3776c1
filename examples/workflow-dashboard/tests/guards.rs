//! Who may talk to the server, and how the page is served.

mod support;

use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use support::{TestServer, start};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, client::IntoClientRequest},
};

const MUTATION: &str = "mutation { executeWorkflowCommand(command: { completeWorkflow: { workflowId: \"w\" } }, wait: DECIDED) { success } }";

#[tokio::test]
async fn mutations_come_by_post_of_json_only() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    let (client, url) = (Client::new(), format!("{}/graphql", server.url()));
    let get = client.get(&url).query(&[("query", MUTATION)]).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    let body = json!({ "query": MUTATION }).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let post =
            client.post(&url).header(header::CONTENT_TYPE, content_type).body(body.clone()).send().await.unwrap();
        assert_eq!(post.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let untyped = client.post(&url).body(body).send().await.unwrap();
    assert_eq!(untyped.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(server.workflow("w").await["status"], "RUNNING", "none of them had an effect");
    server.stop().await;
}

#[tokio::test]
async fn foreign_pages_and_names_are_refused() {
    let server = TestServer::start().await;
    let client = Client::new();
    let own = server.url();
    for path in ["/", "/graphql", "/metrics", "/workflows/w"] {
        for (name, value, allowed) in [
            ("host", "evil.example", false),
            ("host", "named.example", true),
            ("host", "localhost", true),
            ("origin", "http://evil.example", false),
            ("origin", "null", false),
            ("origin", &own, true),
        ] {
            let method = if path == "/graphql" { Method::POST } else { Method::GET };
            let request = client.request(method, format!("{own}{path}")).header(name, value);
            let status = request.json(&json!({ "query": "{ __typename }" })).send().await.unwrap().status();
            let wanted = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, wanted, "{path} {name}: {value}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn foreign_pages_get_no_socket() {
    let server = TestServer::start().await;
    for (name, value, allowed) in [
        ("origin", "http://evil.example".to_owned(), false),
        ("host", "evil.example".to_owned(), false),
        ("origin", server.url(), true),
    ] {
        let mut request = format!("ws://{}/graphql/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        request.headers_mut().insert(name, value.parse().unwrap());
        match connect_async(request).await {
            Ok(_) => assert!(allowed, "{name}: {value}"),
            Err(Error::Http(answer)) => {
                assert!(!allowed, "{name}: {value}");
                assert_eq!(answer.status(), 403);
            }
            Err(error) => panic!("{name}: {value}: {error}"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = TestServer::start().await;
    let body = json!({ "query": "{ __typename }", "variables": { "x": "x".repeat(1 << 20) } });
    let answer = Client::new().post(format!("{}/graphql", server.url())).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    server.stop().await;
}

#[tokio::test]
async fn costly_questions_are_refused() {
    let server = TestServer::start().await;
    let aliases: String = (0..600).map(|n| format!("a{n}: workflowCounts {{ total }} ")).collect();
    let pages: String =
        (0..40).map(|n| format!("p{n}: workflows(first: 200) {{ nodes {{ steps {{ name output }} }} }} ")).collect();
    for query in [format!("{{ {aliases} }}"), format!("{{ {pages} }}")] {
        assert!(!server.refusal(&query, Value::Null).await.0.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_served_with_tags_and_a_strict_policy() {
    let server = TestServer::start().await;
    let (client, base) = (Client::new(), server.url());
    let index = client.get(&base).send().await.unwrap();
    assert_eq!(index.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(index.headers()[header::CACHE_CONTROL], "no-cache");
    let policy = index.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let tag = index.headers()[header::ETAG].clone();
    let html = index.text().await.unwrap();

    let known = client.get(&base).header(header::IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let inside = client.get(format!("{base}/workflows/case-7")).send().await.unwrap();
    assert_eq!(inside.text().await.unwrap(), html, "a path of the application shows the application");

    let script = html.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    let script = client.get(format!("{base}{script}")).send().await.unwrap();
    assert_eq!(script.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert!(script.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));

    for missing in ["/assets/gone.js", "/gone.png", "/../Cargo.toml"] {
        let answer = client.get(format!("{base}{missing}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{missing}");
    }
    let post = client.post(&base).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    server.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let server = TestServer::start().await;
    server.done(start("w")).await;
    let get = async |path: &str| Client::new().get(format!("{}{path}", server.url())).send().await.unwrap();
    assert_eq!(get("/healthz").await.status(), StatusCode::OK);
    assert_eq!(get("/readyz").await.text().await.unwrap(), "ready\n");
    let metrics = get("/metrics").await.text().await.unwrap();
    for name in [
        "eventsource_command_duration_seconds",
        "eventsource_projection_lag_events",
        "eventsource_parked_events",
        "eventsource_live_subscribers",
        "workflow_dashboard_hop_seconds",
        "eventsource_graphql_request_seconds",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    server.stop().await;
}

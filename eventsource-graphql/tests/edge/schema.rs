//! Limits and histories, on the schema alone.

use std::{fmt::Write, time::Instant};

use crate::support::{TestSchema, schema};
use async_graphql::{Request, Variables};
use eventsource_graphql::{Introspection, Limits, RouterOptions};
use serde_json::{Value, json};

fn default_schema() -> TestSchema {
    schema(&RouterOptions::default())
}

async fn run(schema: &TestSchema, query: &str) -> Value {
    serde_json::to_value(schema.execute(query).await).unwrap()
}

async fn refusal(schema: &TestSchema, query: &str) -> String {
    let answer = run(schema, query).await;
    assert!(answer["data"].is_null(), "{answer}");
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thousand_aliases_are_refused() {
    let schema = default_schema();
    let aliases = |count: usize| (0..count).fold("{".to_owned(), |query, n| query + &format!(" a{n}: hello")) + " }";
    assert!(refusal(&schema, &aliases(1_000)).await.contains("1000 fields"));
    assert!(run(&schema, &aliases(500)).await["errors"].is_null());
}

#[tokio::test]
async fn costs_of_pages_add_up_under_every_alias() {
    let schema = default_schema();
    assert!(run(&schema, "{ lamps(first: 200) { name } }").await["errors"].is_null());
    let mut query = "{".to_owned();
    for n in 0..60 {
        write!(query, " a{n}: lamps(first: 200) {{ name }}").unwrap();
    }
    assert_eq!(refusal(&schema, &(query + " }")).await, "Query is too complex.");
}

#[tokio::test]
async fn nesting_is_limited() {
    let schema = default_schema();
    let nested = |depth: usize| format!("{{ {}name{} }}", "room { ".repeat(depth), " }".repeat(depth));
    assert!(run(&schema, &nested(15)).await["errors"].is_null());
    assert_eq!(refusal(&schema, &nested(16)).await, "Query is nested too deep.");
    for depth in [60, 10_000, 100_000] {
        assert!(!refusal(&schema, &nested(depth)).await.is_empty());
    }
}

#[tokio::test]
async fn fragments_that_double_cost_no_time() {
    let schema = default_schema();
    let mut query = "{ room { ...F0 } }".to_owned();
    for level in 0..30 {
        write!(query, " fragment F{level} on Room {{ ...F{0} ...F{0} }}", level + 1).unwrap();
    }
    query.push_str(" fragment F30 on Room { name }");
    let started = Instant::now();
    assert!(refusal(&schema, &query).await.contains("at most 500"));
    assert!(started.elapsed().as_secs() < 1, "took {:?}", started.elapsed());
    let cycle = "{ room { ...A } } fragment A on Room { ...B } fragment B on Room { room { ...A } }";
    assert!(refusal(&schema, cycle).await.contains("spreads itself"));
}

#[tokio::test]
async fn any_first_is_a_page() {
    let schema = default_schema();
    for (first, size) in [(i32::MIN, 0), (-1, 0), (0, 0), (1, 1), (200, 200), (201, 200), (i32::MAX, 200)] {
        let answer = run(&schema, &format!("{{ lamps(first: {first}) {{ name }} }}")).await;
        assert_eq!(answer["data"]["lamps"].as_array().map(Vec::len), Some(size), "{first}: {answer}");
        let variables = Variables::from_json(json!({ "first": first }));
        let query = "query($first: Int!) { lamps(first: $first) { name } }";
        let answer = schema.execute(Request::new(query).variables(variables)).await;
        assert!(answer.is_ok(), "{first}");
    }
    assert!(refusal(&schema, "{ lamps(first: 2147483648) { name } }").await.contains("2147483647"));
}

#[tokio::test]
async fn the_schema_is_shown_where_it_may_be() {
    let query = "{ __schema { types { name fields { name type { name ofType { name ofType { name } } } } } } }";
    let shown = run(&default_schema(), query).await;
    let names: Vec<&str> =
        shown["data"]["__schema"]["types"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
    for name in
        ["EventConnection", "EventEdge", "LampEvent", "PageInfo", "Position", "Timestamp", "JSON", "CommandResult"]
    {
        assert!(names.contains(&name), "{name}");
    }
    for name in ["Event", "CommandReport"] {
        assert!(!names.contains(&name), "{name} was flattened away");
    }
    let mut limits = Limits::default();
    limits.introspection = Introspection::Disabled;
    let hidden = schema(&RouterOptions::default().with_limits(limits));
    assert!(run(&hidden, query).await["data"]["__schema"].is_null());
}

#[tokio::test]
async fn directives_on_one_field_are_limited() {
    let schema = default_schema();
    let query = format!("{{ hello {} }}", "@include(if: true) ".repeat(5));
    assert!(refusal(&schema, &query).await.contains("directives"));
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let schema = default_schema();
    for round in 0..7 {
        let query = format!("mutation {{ switchLamp(id: \"hall\", on: {}) {{ success }} }}", round % 2 == 0);
        assert_eq!(run(&schema, &query).await["data"]["switchLamp"]["success"], true);
    }
    let page = |first: i32, after: Option<String>| {
        let schema = schema.clone();
        async move {
            let after = after.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
            let fields =
                "totalCount edges { cursor node { version } } nodes { name schema position payload recordedAt eventId }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
            let query = format!("{{ lampHistory(id: \"hall\", first: {first}, after: {after}) {{ {fields} }} }}");
            let mut answer = run(&schema, &query).await;
            assert!(answer["errors"].is_null(), "{answer}");
            answer["data"]["lampHistory"].take()
        }
    };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = page(3, after.clone()).await;
        assert_eq!((&page["totalCount"], &page["pageInfo"]["hasPreviousPage"]), (&json!(7), &json!(after.is_some())));
        seen.extend(page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["version"].as_u64().unwrap()));
        assert_eq!(page["pageInfo"]["startCursor"], page["edges"][0]["cursor"]);
        let more = page["pageInfo"]["hasNextPage"].as_bool().unwrap();
        assert_eq!(more, seen.len() < 7);
        if !more {
            break;
        }
        after = Some(page["pageInfo"]["endCursor"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, (1..=7).collect::<Vec<_>>());
    let first = page(1, None).await["nodes"][0].take();
    assert_eq!((&first["name"], &first["schema"], &first["position"]), (&json!("switched"), &json!(1), &json!("1")));
    assert_eq!(first["payload"], json!({ "on": true }));
    let none = page(-1, None).await;
    assert_eq!(
        (&none["totalCount"], &none["pageInfo"]["hasNextPage"], &none["nodes"]),
        (&json!(7), &json!(true), &json!([]))
    );
    assert_eq!(page(i32::MAX, None).await["nodes"].as_array().map(Vec::len), Some(7));
}

#[tokio::test]
async fn a_history_that_is_not_there_is_empty_and_a_strange_cursor_is_refused() {
    let schema = default_schema();
    let answer = run(
        &schema,
        "{ lampHistory(id: \"nowhere\") { totalCount nodes { version } pageInfo { hasNextPage endCursor } } }",
    )
    .await;
    let empty = json!({ "totalCount": 0, "nodes": [], "pageInfo": { "hasNextPage": false, "endCursor": null } });
    assert_eq!(answer["data"]["lampHistory"], empty);
    for (id, after) in [("a", "x"), ("a", "v0"), ("a", "v-1"), ("a", "v+1"), ("a", ""), ("", "v1"), ("a\\n", "v1")] {
        let query = format!("{{ lampHistory(id: \"{id}\", after: \"{after}\") {{ totalCount }} }}");
        let answer = run(&schema, &query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_ARGUMENT", "{answer}");
    }
}

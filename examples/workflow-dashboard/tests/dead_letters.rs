//! Commands that were given up on: seen on the server, handled beside it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic too")]

mod support;

use std::{path::Path, process::Command, time::Instant};

use eventsource_core::{Message, Metadata};
use futures::StreamExt;
use serde_json::{Value, json};
use support::{PATIENCE, TestServer};
use uuid::Uuid;
use workflow_dashboard::ports::Ports;

fn no_command(id: Uuid) -> Message {
    Message {
        id,
        session: "w".into(),
        subject: "explode".into(),
        body: "{}".into(),
        metadata: Metadata::default(),
        not_before: None,
    }
}

#[tokio::test]
async fn the_server_counts_them() {
    let server = TestServer::start().await;
    let count = async || server.ask("{ systemStatus { deadLetters } }", Value::Null).await["systemStatus"].take();
    assert_eq!(count().await, json!({ "deadLetters": 0 }));
    server.ports.sender.send(vec![no_command(Uuid::new_v4())]).await.unwrap();
    let begun = Instant::now();
    while count().await == json!({ "deadLetters": 0 }) {
        assert!(begun.elapsed() < PATIENCE, "nobody gives up");
    }
    assert_eq!(count().await, json!({ "deadLetters": 1 }));
    let metrics = reqwest::get(format!("{}/metrics", server.url())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("workflow_dashboard_dead_letters 1\n"), "{metrics}");
    server.stop().await;
}

/// What the program says, and whether it ends well.
fn run(folder: &Path, more: &[&str]) -> (String, bool) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_workflow-dashboard"));
    let output = program.arg("dead-letters").arg("--data-dir").arg(folder).args(more).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[tokio::test]
async fn an_operator_lists_resubmits_and_discards_them() {
    let folder = tempfile::tempdir().unwrap();
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    let ports = Ports::embedded(folder.path()).unwrap();
    ports.sender.send(ids.map(no_command).to_vec()).await.unwrap();
    let mut deliveries = ports.receiver.deliveries();
    for _ in ids {
        deliveries.next().await.unwrap().unwrap().dead_letter("exhausted", "no disk").await.unwrap();
    }
    drop(deliveries);
    ports.close().await.unwrap();

    let (listed, done) = run(folder.path(), &[]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(done && lines.len() == 2, "{listed}");
    for (line, id) in lines.iter().zip(ids) {
        assert!(line.contains(&id.to_string()) && line.ends_with(": exhausted: no disk"), "{line}");
    }
    let number = |line: &str| line.split(':').next().unwrap().to_owned();
    assert_eq!(run(folder.path(), &["--resubmit", "999"]), ("error: there is no dead letter 999\n".into(), false));
    let (sent, gone) = (number(lines[0]), number(lines[1]));
    assert_eq!(run(folder.path(), &["--resubmit", &sent]), (format!("{sent}: sent again\n"), true));
    assert_eq!(run(folder.path(), &["--discard", &gone]), (format!("{gone}: thrown away\n"), true));
    assert_eq!(run(folder.path(), &[]), (String::new(), true));

    let ports = Ports::embedded(folder.path()).unwrap();
    let delivery = ports.receiver.deliveries().next().await.unwrap().unwrap();
    assert_eq!((delivery.message.id, delivery.attempt), (ids[0], 1), "with all its attempts");
    drop(delivery);
    ports.close().await.unwrap();
}

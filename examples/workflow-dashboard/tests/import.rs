//! Logs imported into a whole server.

mod support;

use std::{
    future::pending,
    num::NonZeroUsize,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use eventsource_core::CommandHandler;
use serde_json::{Value, json};
use support::{PATIENCE, TestServer, real_log, start};
use workflow_dashboard::{
    domain::Workflow,
    graphql::Services,
    import::{CaseEnd, Import, ImportError, ImportTotals, LogSummary, Observer, Speed},
    ports::Ports,
    roles::{ApiRole, Commands, HandlerRole, Health, OutcomeHub, ProjectorRole, StoreWatch},
    telemetry::metrics_handle,
    verify::verify,
};

#[derive(Default)]
struct Count(AtomicU64);

impl Observer for Count {
    fn checked(&self, _: &LogSummary) {}
    fn sent(&self, commands: u64) {
        self.0.fetch_add(commands, Ordering::Relaxed);
    }
}

async fn import(server: &TestServer, file: &Path, end: CaseEnd) -> Result<ImportTotals, ImportError> {
    let import = Import { file: file.to_owned(), server: server.url(), speed: Speed::Max, end, patience: PATIENCE };
    let count = Count::default();
    let (_, totals) = import.run(&count).await?;
    assert!(count.0.load(Ordering::Relaxed) >= totals.commands, "everything sent is told");
    Ok(totals)
}

fn small_log(name: &str, cases: &[(&str, &[&str])]) -> String {
    let traces: String = cases
        .iter()
        .map(|(case, events)| {
            let events: String = events
                .iter()
                .map(|event| format!("<event><string key=\"concept:name\" value=\"{event}\"/></event>\n"))
                .collect();
            format!("<trace><string key=\"concept:name\" value=\"{case}\"/>\n{events}</trace>\n")
        })
        .collect();
    format!("<log><string key=\"concept:name\" value=\"{name}\"/>\n{traces}</log>")
}

fn totals(workflows: u64, completed_steps: u64, commands: u64, duplicates: u64) -> ImportTotals {
    ImportTotals { workflows, completed_steps, commands, duplicates, ..ImportTotals::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_log_is_imported_once_however_often() {
    let server = TestServer::start().await;
    let file = real_log("receipt.xes.gz");
    let first = import(&server, &file, CaseEnd::Open).await.unwrap();
    assert_eq!(first, totals(1_434, 8_577, 18_588, 0));
    let again = import(&server, &file, CaseEnd::Open).await.unwrap();
    assert_eq!(again, totals(1_434, 8_577, 18_588, 18_588));
    let counts = server.ask("{ workflowCounts { total running } systemStatus { headPosition } }", Value::Null).await;
    assert_eq!(counts["workflowCounts"], json!({ "total": 1_434, "running": 1_434 }));
    assert_eq!(counts["systemStatus"]["headPosition"], "18588");

    let case = server.workflow("case-10011").await;
    assert_eq!(case["initiator"], "Resource21");
    assert_eq!(case["initialParams"]["startdate"], "2011-10-11T13:42:22.688+02:00");
    let step = &case["steps"][0];
    assert_eq!(step["name"], "Confirmation of receipt");
    assert_eq!(step["output"]["time:timestamp"], "2011-10-11T13:45:40.276+02:00");
    assert_eq!(step["output"]["lifecycle:transition"], "complete");

    let ports = server.ports.clone();
    let verified = verify(&ports).await.unwrap();
    assert!(verified.is_sound(), "{:?}", verified.found);
    assert_eq!((verified.workflows, verified.completed_steps), (1_434, 8_577));
    server.stop().await;
}

#[tokio::test]
async fn the_end_of_a_case_completes_its_workflow_when_asked() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.xes");
    std::fs::write(&file, small_log("small", &[("a", &["x", "x"]), ("b", &[])])).unwrap();
    assert_eq!(import(&server, &file, CaseEnd::Open).await.unwrap(), totals(2, 2, 6, 0));
    assert_eq!(server.workflow("a").await["status"], "RUNNING");
    assert_eq!(import(&server, &file, CaseEnd::Completed).await.unwrap(), totals(2, 2, 8, 6));
    assert_eq!(server.workflow("a").await["status"], "COMPLETED");
    assert_eq!(server.workflow("b").await["status"], "COMPLETED");
    server.stop().await;
}

#[tokio::test]
async fn two_logs_with_the_same_case_names_never_mix() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.xes"), folder.path().join("other.xes"));
    std::fs::write(&one, small_log("one", &[("a", &["x"])])).unwrap();
    std::fs::write(&other, small_log("other", &[("a", &["y"]), ("b", &["y"])])).unwrap();
    import(&server, &one, CaseEnd::Open).await.unwrap();
    let mixed = import(&server, &other, CaseEnd::Open).await.unwrap();
    assert_eq!((mixed.workflows, mixed.completed_steps, mixed.rejected), (1, 1, 1));
    assert!(mixed.refusals[0].contains("a: workflow a exists already"), "{:?}", mixed.refusals);
    let kept = server.workflow("a").await;
    assert_eq!((&kept["completedSteps"], &kept["steps"][0]["name"]), (&json!(1), &json!("x")));
    server.stop().await;
}

#[tokio::test]
async fn a_workflow_that_others_use_too_is_told_apart() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.xes");
    std::fs::write(&file, small_log("small", &[("a", &["x"])])).unwrap();
    import(&server, &file, CaseEnd::Open).await.unwrap();
    server.done(json!({ "cancelWorkflow": { "workflowId": "a", "reason": "by hand" } })).await;
    std::fs::write(&file, small_log("small", &[("a", &["x", "y"])])).unwrap();
    let later = import(&server, &file, CaseEnd::Open).await.unwrap();
    assert_eq!((later.workflows, later.completed_steps, later.duplicates, later.rejected), (1, 1, 3, 2));
    assert!(later.refusals[0].contains("CANCELLED"), "{:?}", later.refusals);
    server.stop().await;
}

#[tokio::test]
async fn a_broken_log_sends_nothing() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.xes");
    let good = small_log("broken", &[("a", &["x"]), ("b", &["y"])]);
    let compressed = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(good.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bad_date = good.replacen("</event>", "<date key=\"time:timestamp\" value=\"yesterday\"/></event>", 1);
    for (content, sentence) in [
        (compressed[..compressed.len() - 12].to_vec(), "gzip data is cut or damaged"),
        (bad_date.into_bytes(), "line 3: attribute \"time:timestamp\" is no date"),
        (good.replacen(" value=\"b\"", " value=\"\"", 1).into_bytes(), "line 5: case without concept:name"),
        (good.replacen(" value=\"y\"", " value=\"\"", 1).into_bytes(), "line 6: event without concept:name"),
        (good.replacen("</trace>", "", 1).into_bytes(), "<trace> has no place inside <trace>"),
        (good.as_bytes()[..good.len() - 3].to_vec(), "broken.xes line"),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = import(&server, &file, CaseEnd::Open).await.unwrap_err();
        assert!(matches!(error, ImportError::Log(_)), "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let system = server.ask("{ systemStatus { headPosition } }", Value::Null).await;
    assert_eq!(system["systemStatus"]["headPosition"], "0");
    std::fs::write(&file, &good).unwrap();
    assert_eq!(import(&server, &file, CaseEnd::Open).await.unwrap(), totals(2, 2, 6, 0));
    server.done(start("other")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_pace_is_kept() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.xes");
    std::fs::write(&file, small_log("small", &[("a", &["x"; 20])])).unwrap();
    let import =
        Import { file, server: server.url(), speed: "20".parse().unwrap(), end: CaseEnd::Open, patience: PATIENCE };
    let begun = std::time::Instant::now();
    import.run(&Count::default()).await.unwrap();
    assert!(begun.elapsed().as_millis() >= 900, "20 events at 20 a second took {:?}", begun.elapsed());
    server.stop().await;
}

/// Everything but a projector at work.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_and_not_yet_visible_is_told_apart_from_a_refusal() {
    let ports = Ports::memory();
    let (hub, watch) = (OutcomeHub::default(), StoreWatch::default());
    let handler = CommandHandler::<Workflow>::new(ports.store.clone(), ports.outcomes.clone());
    let projector = ProjectorRole::new(ports.store.clone(), ports.views.clone());
    let services = Services {
        store_id: ports.store_id.clone(),
        store: ports.store.clone(),
        commands: Commands::new(ports.sender.clone(), handler.clone(), hub.clone(), projector.live()),
        live: projector.live(),
        dead_letters: ports.dead_letters.clone(),
        projection: projector.handle(),
    };
    let health = Health::new(projector.handle(), watch.clone());
    let api = ApiRole::bind("127.0.0.1:0".parse().unwrap(), services, health, metrics_handle(), vec![]).await.unwrap();
    let role = HandlerRole {
        queue: ports.receiver.clone(),
        commands: handler,
        outcomes: ports.outcomes.clone(),
        hub,
        concurrency: NonZeroUsize::new(8).unwrap(),
        attempts_max: ports.attempts_max,
        watch,
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.xes");
    std::fs::write(&file, small_log("small", &[("1", &["a", "b"]), ("2", &["a"])])).unwrap();
    let server = format!("http://{}", api.address());
    let import = |patience| Import {
        file: file.clone(),
        server: server.clone(),
        speed: Speed::Max,
        end: CaseEnd::Open,
        patience,
    };
    let work = async {
        let (_, blind) = import(Duration::from_secs(2)).run(&Count::default()).await.unwrap();
        assert_eq!(blind, ImportTotals { not_yet_visible: 2, ..totals(0, 0, 8, 0) });
        let (again, count) = (import(PATIENCE), Count::default());
        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            projector.run(pending::<()>()).await
        };
        tokio::select! {
            seen = again.run(&count) => assert_eq!(seen.unwrap().1, totals(2, 3, 8, 8)),
            ended = late => panic!("{ended:?}"),
        }
    };
    tokio::select! {
        () = work => {}
        ended = api.run(pending()) => panic!("{ended:?}"),
        ended = role.run(pending()) => panic!("{ended:?}"),
    }
}

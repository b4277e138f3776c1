//! What embedded views do beyond the laws of every view store.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use eventsource_core::{
    Checkpoint, Direction, EventName, Parked, Position, ProjectionId, Search, Snapshot, SnapshotStore, StoreError,
    StoredView, StreamId, Version, ViewBatch, ViewQuery, ViewStore, memory::MemoryViews,
};
use eventsource_embedded::{EmbeddedViews, ViewDb, ViewDbOptions};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

fn open(folder: &TempDir) -> ViewDb {
    ViewDb::open(&path(folder), ViewDbOptions::default().readers(std::num::NonZeroUsize::MIN)).unwrap()
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("views.db")
}

fn projection() -> ProjectionId {
    ProjectionId { name: "workflows".into(), version: 1 }
}

fn view(key: &str, at: u64, body: &Value) -> StoredView {
    let body = Some(body.to_string().into());
    StoredView { key: key.to_owned(), version: Version::new(at), position: Position::new(at), body }
}

fn batch(at: u64, views: Vec<StoredView>) -> ViewBatch {
    let mut batch = ViewBatch::default();
    batch.views = views;
    batch.checkpoint = Some(Checkpoint { position: Position::new(at) });
    batch
}

fn by(field: &'static str, direction: Direction) -> ViewQuery {
    let mut query = ViewQuery::default();
    query.order = Some((field.into(), direction));
    query.limit = 10;
    query
}

async fn keys(views: &EmbeddedViews, query: ViewQuery) -> Vec<String> {
    views.find(&projection(), query).await.unwrap().views.into_iter().map(|found| found.view.key).collect()
}

#[tokio::test]
async fn what_sqlite_could_not_look_up_is_refused_and_not_called_damage() {
    let folder = TempDir::new().unwrap();
    let views = open(&folder).views();
    for field in ["a\"b", "a\\b"] {
        let refused = views.prepare(&projection(), &[field]).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{field}: {refused:?}");
    }
    views.prepare(&projection(), &["a'b", "state"]).await.unwrap();
    views.commit(&projection(), batch(1, vec![view("a", 1, &json!({"a'b": 1.5, "state": 2.5}))])).await.unwrap();
    let mut query = ViewQuery::default();
    query.limit = 10;
    query.equal = vec![("a'b".into(), "1.5".into()); 64];
    query.search = Some(Search { fields: vec!["state".into(); 64], text: "2.5".into() });
    assert_eq!(keys(&views, query.clone()).await, ["a"]);
    let (mut compares, mut searches) = (query.clone(), query);
    compares.equal.push(("state".into(), "2.5".into()));
    searches.search.as_mut().unwrap().fields.push("state".into());
    for query in [compares, searches] {
        let refused = views.find(&projection(), query).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_checkpoint_never_goes_back() {
    let folder = TempDir::new().unwrap();
    let views = open(&folder).views();
    views.prepare(&projection(), &[]).await.unwrap();
    views.commit(&projection(), batch(7, vec![view("a", 7, &json!({}))])).await.unwrap();
    let refused = views.commit(&projection(), batch(6, vec![view("a", 6, &json!({"old": true}))])).await;
    let Err(StoreError::Invalid { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("workflows@1 is at 7") && reason.contains("back to 6"), "{reason}");
    let kept = views.load(&projection(), &["a".to_owned()]).await.unwrap();
    assert_eq!(kept, [Some(view("a", 7, &json!({})))], "the views of a refused batch are not written");
}

#[tokio::test]
async fn other_indexes_are_made_from_the_views_that_are_there() {
    let folder = TempDir::new().unwrap();
    let parked = Parked {
        stream: StreamId::new("workflow", "p").unwrap(),
        version: Version::FIRST,
        position: Position::FIRST,
        event: EventName::from_static("step-completed"),
        reason: "it cannot be".into(),
        attempts: 1,
        since: std::time::UNIX_EPOCH,
    };
    {
        let views = open(&folder).views();
        views.prepare(&projection(), &["status"]).await.unwrap();
        let bodies = [json!({"status": "b", "n": 1}), json!({"status": "a", "n": 3}), json!({"status": "c", "n": 2})];
        let all = ["x", "y", "z"].iter().zip(1..).zip(&bodies).map(|((key, at), body)| view(key, at, body)).collect();
        let mut batch = batch(3, all);
        batch.park = vec![parked.clone()];
        views.commit(&projection(), batch).await.unwrap();
        assert_eq!(keys(&views, by("status", Direction::Forward)).await, ["y", "x", "z"]);
        let refused = views.find(&projection(), by("n", Direction::Forward)).await;
        let Err(StoreError::Invalid { reason }) = refused else { panic!("{refused:?}") };
        assert!(reason.ends_with("indexed are: status"), "{reason}");

        views.prepare(&projection(), &["n", "owner"]).await.unwrap();
        assert_eq!(keys(&views, by("n", Direction::Backward)).await, ["y", "z", "x"]);
    }
    let views = open(&folder).views();
    views.prepare(&projection(), &["owner", "n"]).await.unwrap();
    assert_eq!(keys(&views, by("n", Direction::Forward)).await, ["x", "z", "y"]);
    assert!(views.find(&projection(), by("status", Direction::Forward)).await.is_err(), "it is indexed no more");
    assert_eq!(views.checkpoint(&projection()).await.unwrap(), Some(Checkpoint { position: Position::new(3) }));
    assert_eq!(views.parked(&projection(), None, NonZeroU32::MAX).await.unwrap(), [parked]);
}

#[tokio::test]
async fn field_names_are_no_sql() {
    let folder = TempDir::new().unwrap();
    let views = open(&folder).views();
    let fields = ["a b", "A", "a", "'); DROP TABLE projection; --", "$.x", "rowid", "key"];
    views.prepare(&projection(), &fields).await.unwrap();
    let body =
        json!({"a b": 1, "A": "upper", "a": "lower", "'); DROP TABLE projection; --": "x", "$.x": 2, "key": "k"});
    views.commit(&projection(), batch(1, vec![view("one", 1, &body)])).await.unwrap();
    for (field, text, total) in
        [("A", "upper", 1), ("a", "upper", 0), (fields[3], "x", 1), ("key", "k", 1), ("rowid", "1", 0)]
    {
        let mut query = ViewQuery::default();
        query.equal = vec![(field.into(), text.to_owned())];
        assert_eq!(views.find(&projection(), query).await.unwrap().total, total, "{field} = {text}");
    }
}

#[tokio::test]
async fn a_changed_row_is_named_whoever_asks_for_it() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder);
    let views = db.views();
    views.prepare(&projection(), &["status"]).await.unwrap();
    let all = (1..=3).map(|at| view(&format!("case-{at}"), at, &json!({"status": "RUNNING"}))).collect();
    views.commit(&projection(), batch(3, all)).await.unwrap();
    let stream = StreamId::new("workflow", "case-1").unwrap();
    let snapshot = Snapshot { stream: stream.clone(), version: Version::FIRST, fingerprint: 7, state: "state".into() };
    db.snapshots().save(snapshot.clone()).await.unwrap();
    let other = Connection::open(path(&folder)).unwrap();
    for change in ["position = 1", "version = 9", "body = '{}'", "body = NULL", "field_0 = 'FAILED'", "key = 'case-0'"]
    {
        other.execute_batch("SAVEPOINT whole").unwrap();
        other.execute_batch(&format!("UPDATE view_1 SET {change} WHERE key = 'case-2'; RELEASE whole")).unwrap();
        let key = if change.starts_with("key") { "case-0" } else { "case-2" };
        let errors = [
            views.load(&projection(), &[key.to_owned()]).await.unwrap_err(),
            views.changed(&projection(), None, NonZeroU32::MAX).await.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            let named = text.contains("views.db") && text.contains("table view_1") && text.contains(key);
            assert!(matches!(error, StoreError::Corrupt { .. }) && named, "{change}: {text}");
        }
        let report = db.scrub().await.unwrap();
        assert!(report.damage.iter().any(|damage| damage.at.contains(key)), "{change}: {report:?}");
        other.execute_batch("DELETE FROM view_1 WHERE key LIKE 'case-%'").unwrap();
        views
            .commit(
                &projection(),
                batch(3, (1..=3).map(|at| view(&format!("case-{at}"), at, &json!({"status": "RUNNING"}))).collect()),
            )
            .await
            .unwrap();
    }
    other.execute_batch("UPDATE snapshot SET state = x'00'").unwrap();
    let error = db.snapshots().load(&stream, 7).await.unwrap_err();
    assert!(error.to_string().contains("table snapshot, row workflow/case-1"), "{error}");
    db.snapshots().save(snapshot.clone()).await.unwrap();
    assert_eq!(db.snapshots().load(&stream, 7).await.unwrap(), Some(snapshot), "a new one takes its place");
}

#[test]
fn other_files_and_newer_formats_are_refused_by_name() {
    for (change, part) in [
        ("PRAGMA user_version = 2", "format 2"),
        ("PRAGMA user_version = 0", "format 0"),
        ("PRAGMA application_id = 7", "not a views database"),
        ("DROP TABLE serving", "sqlite_schema"),
    ] {
        let folder = TempDir::new().unwrap();
        drop(open(&folder));
        let connection = Connection::open(path(&folder)).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let error = ViewDb::open(&path(&folder), ViewDbOptions::default()).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let text = format!("{error}: {source}");
        assert!(text.contains("views.db") && text.contains(part), "{change}: {text}");
    }
}

#[test]
fn a_file_that_was_used_by_a_shell_is_checked_and_taken() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    let connection = Connection::open(path(&folder)).unwrap();
    connection.execute_batch("PRAGMA user_version = 1; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    drop(open(&folder));
    drop(open(&folder));
}

#[test]
fn a_file_that_is_gone_is_not_taken_for_a_new_one() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    std::fs::remove_file(path(&folder)).unwrap();
    let error = ViewDb::open(&path(&folder), ViewDbOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    std::fs::remove_file(folder.path().join("views.db-sums")).unwrap();
    drop(open(&folder));
}

fn field() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..4_i64).prop_map(Value::from),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(1 << 53), Just((1 << 53) + 1)].prop_map(Value::from),
        prop_oneof![Just(-1.5), Just(0.5), Just(1.0), Just(1e300)].prop_map(Value::from),
        prop_oneof![Just(u64::MAX), Just(u64::MAX - 4_096)].prop_map(Value::from),
        prop_oneof![Just("a"), Just("A"), Just("b%"), Just("ä"), Just("true"), Just("1"), Just("")]
            .prop_map(Value::from),
        Just(json!(["a"])),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let texts = [
        "a",
        "A",
        "b%",
        "true",
        "false",
        "1",
        "1.0",
        "0.5",
        "",
        "k",
        "-3",
        "null",
        "%",
        "ä",
        "9007199254740993",
        "18446744073709551615",
    ];
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

#[derive(Clone, Debug)]
struct Asked {
    equal: Option<(&'static str, String)>,
    search: Option<(Vec<&'static str>, String)>,
    order: Option<(&'static str, bool)>,
    limit: u32,
}

fn asked() -> impl Strategy<Value = Asked> {
    let field = || prop::sample::select(vec!["x", "y"]);
    (
        prop::option::of((field(), text())),
        prop::option::of((prop::collection::vec(field(), 0..3), text())),
        prop::option::of((field(), any::<bool>())),
        0..5_u32,
    )
        .prop_map(|(equal, search, order, limit)| Asked { equal, search, order, limit })
}

impl Asked {
    fn query(&self) -> ViewQuery {
        let mut query = ViewQuery::default();
        query.equal = self.equal.iter().map(|(field, text)| ((*field).into(), text.clone())).collect();
        query.search = self.search.as_ref().map(|(fields, text)| Search {
            fields: fields.iter().map(|field| (*field).into()).collect(),
            text: text.clone(),
        });
        query.order = self
            .order
            .map(|(field, backward)| (field.into(), if backward { Direction::Backward } else { Direction::Forward }));
        query.limit = self.limit;
        query
    }
}

/// Every page of a query: keys, whether more follow, and the total.
async fn walk(views: &dyn ViewStore, asked: &Asked) -> Vec<(Vec<String>, bool, u64)> {
    let (mut query, mut pages) = (asked.query(), Vec::new());
    loop {
        let page = views.find(&projection(), query.clone()).await.unwrap();
        query.after = page.views.last().map(|found| found.cursor.clone());
        let more = page.more && query.after.is_some();
        pages.push((page.views.into_iter().map(|found| found.view.key).collect(), page.more, page.total));
        if !more {
            return pages;
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, failure_persistence: None, ..Default::default() })]

    /// The views in memory sort and filter a plain map of all views.
    #[test]
    fn pages_are_those_of_the_views_in_memory(
        rows in prop::collection::vec((0..30_u8, prop::option::of((field(), field()))), 0..60),
        questions in prop::collection::vec(asked(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let (memory, file) = (MemoryViews::new(), open(&folder).views());
            let both: [Arc<dyn ViewStore>; 2] = [Arc::new(memory), Arc::new(file)];
            for views in &both {
                views.prepare(&projection(), &["x", "y"]).await.unwrap();
                for ((key, body), at) in rows.iter().zip(1..) {
                    let mut view = view(&format!("k{key}"), at, &Value::Null);
                    view.body = body.as_ref().map(|(x, y)| json!({"x": x, "y": y, "z": {"x": 1}}).to_string().into());
                    views.commit(&projection(), batch(at, vec![view])).await.unwrap();
                }
            }
            for asked in &questions {
                let [right, seen] = [walk(&*both[0], asked).await, walk(&*both[1], asked).await];
                assert_eq!(seen, right, "{asked:?}");
            }
        });
    }
}

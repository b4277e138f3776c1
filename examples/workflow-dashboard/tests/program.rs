//! The program itself: its command line, and its death in the middle of work.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic too")]

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use support::real_log;

const PROGRAM: &str = env!("CARGO_BIN_EXE_workflow-dashboard");

/// A server in a process of its own.
struct Served {
    process: Child,
    address: SocketAddr,
}

impl Served {
    fn start(data_dir: &Path, listen: &str) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["serve", "--no-demo", "--listen", listen, "--data-dir"])
            .arg(data_dir)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.parse().unwrap(), process }
    }

    /// Ends it as `kill -9` does.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends it as a supervisor does.
    fn terminate(mut self) {
        let kill = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert!(self.process.wait().unwrap().success(), "a graceful end is a success");
    }
}

fn import(address: SocketAddr) -> Command {
    let mut import = Command::new(PROGRAM);
    import.arg("import").arg(real_log("receipt.xes.gz")).args(["--server", &format!("http://{address}")]);
    import.env("RUST_LOG", "warn").stdout(Stdio::piped()).stderr(Stdio::piped());
    import
}

fn verify(data_dir: &Path) -> Output {
    Command::new(PROGRAM).arg("verify").arg("--data-dir").arg(data_dir).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Bytes of the event log that are not zero: grows with every event, unlike the files.
fn written(data_dir: &Path) -> usize {
    let files = std::fs::read_dir(data_dir.join("events")).unwrap().filter_map(Result::ok);
    let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "seg"));
    segments.map(|file| std::fs::read(file.path()).unwrap_or_default().iter().filter(|byte| **byte != 0).count()).sum()
}

fn wait_until_written(data_dir: &Path, bytes: usize) {
    let begun = Instant::now();
    while written(data_dir) < bytes {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), "127.0.0.1:0");
    let address = served.address;
    let mut importing = import(address).spawn().unwrap();

    // Twice in the middle of the same import, which waits for the server to come back.
    wait_until_written(folder.path(), 200_000);
    served.kill();
    let verified = verify(folder.path());
    assert!(verified.status.success(), "after the first kill: {}", text(&verified));
    let served = Served::start(folder.path(), &address.to_string());
    wait_until_written(folder.path(), written(folder.path()) + 200_000);
    served.kill();
    let served = Served::start(folder.path(), &address.to_string());

    let status = importing.wait().unwrap();
    let mut said = String::new();
    importing.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    importing.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}");
    assert!(said.contains("1434 workflows, 8577 completed steps") && said.contains(" 0 rejected"), "{said}");
    served.kill();

    let served = Served::start(folder.path(), "127.0.0.1:0");
    let again = import(served.address).output().unwrap();
    let said = text(&again);
    assert!(again.status.success(), "{said}");
    assert!(said.contains("1434 workflows, 8577 completed steps"), "{said}");
    assert!(said.contains("18588 commands sent: 18588 decided before, 0 rejected"), "{said}");
    served.terminate();

    let verified = verify(folder.path());
    let said = text(&verified);
    assert!(verified.status.success(), "{said}");
    assert!(said.contains("18588 events in 1434 streams"), "{said}");
    assert!(said.contains("1434 workflows, 8577 completed steps"), "{said}");
}

#[test]
fn damage_is_found_named_and_what_is_left_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), "127.0.0.1:0");
    assert!(import(served.address).status().unwrap().success());
    served.terminate();
    let run = |what: &str| Command::new(PROGRAM).arg(what).arg("--data-dir").arg(folder.path()).output().unwrap();
    let sound = run("scrub");
    assert!(sound.status.success(), "{}", text(&sound));
    assert!(text(&sound).contains("18588 events") && text(&sound).contains("no damage"), "{}", text(&sound));

    let segment = folder.path().join("events/00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for what in ["scrub", "verify"] {
        let found = run(what);
        assert!(!found.status.success(), "{what} goes on over damage");
        assert!(text(&found).contains("00000000000000000001.seg"), "{what}: {}", text(&found));
    }
    let saved = run("salvage");
    let lines = String::from_utf8(saved.stdout).unwrap();
    let events = lines.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert!((18_000..18_588).contains(&events), "{events} events were saved");
    assert!(String::from_utf8_lossy(&saved.stderr).contains("bytes lost"));
}

#[test]
fn one_process_at_a_time_uses_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), "127.0.0.1:0");
    let second = Command::new(PROGRAM)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(text(&second).contains(&format!("in use by process {}", served.process.id())), "{}", text(&second));
    let verified = verify(folder.path());
    assert!(!verified.status.success() && text(&verified).contains("in use"), "{}", text(&verified));
    served.terminate();
}

#[test]
fn errors_are_one_line_and_an_exit_code() {
    let run = |arguments: &[&str]| Command::new(PROGRAM).args(arguments).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing");
    for (arguments, sentence) in [
        (vec!["import", "nothing.xes", "--server", "http://127.0.0.1:9"], "error: nothing.xes line 1: cannot be read"),
        (vec!["import", "nothing.xes", "--server", "here"], "no http:// address"),
        (vec!["import", "nothing.xes", "--speed", "0"], "a speed is max"),
        (vec!["verify", "--data-dir", missing.to_str().unwrap()], "is no folder"),
        (vec!["--listen", "256.0.0.1:1"], "invalid"),
        (vec!["--in-memory", "--listen", "127.0.0.1:0", "--allow-host", "http://a"], "a host is NAME or NAME:PORT"),
    ] {
        let output = run(&arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output).contains(sentence), "{arguments:?}: {}", text(&output));
    }
    assert!(!missing.exists(), "verify makes nothing");
}

#[test]
fn a_taken_address_leaves_every_file_closed() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, folder) = (taken.local_addr().unwrap().to_string(), tempfile::tempdir().unwrap());
    let output = Command::new(PROGRAM).args(["--listen", &address, "--data-dir"]).arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains(&format!("error: cannot listen on {address}")), "{}", text(&output));
    for file in ["queue.db", "views.db"] {
        let bytes = |name: String| std::fs::metadata(folder.path().join(name)).map_or(0, |file| file.len());
        assert!(bytes(file.to_owned()) > 0, "{file} was made");
        assert_eq!(bytes(format!("{file}-wal")), 0, "bytes in the log of {file}");
    }
}

#[test]
fn the_schema_is_printed() {
    let output = Command::new(PROGRAM).arg("--print-schema").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../schema.graphql"));
}

#[test]
fn an_empty_store_in_memory_plays_the_demo() {
    let mut process =
        Command::new(PROGRAM).args(["--in-memory", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let total = runtime.block_on(async {
        let body = serde_json::json!({ "query": "{ workflow(id: \"order-1001\", atLeastVersion: 2, timeoutMs: 20000) { status } }" });
        let answer = reqwest::Client::new().post(format!("{url}/graphql")).json(&body).send().await.unwrap();
        answer.json::<serde_json::Value>().await.unwrap()
    });
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(total["data"]["workflow"]["status"], "RUNNING", "{total}");
}

#[test]
fn a_folder_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["verify", "scrub", "salvage"] {
        let refused = Command::new(PROGRAM).args([command, "--data-dir"]).arg(folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("holds no store"), "{command}: {told}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{command} made something");
    }
}

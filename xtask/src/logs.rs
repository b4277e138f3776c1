//! The main job on real process logs: all of each log, once, whatever dies in between.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    process::{Server, TemporaryFolder, output, root},
    services::{READY, dashboard},
};

/// A log, and what it holds by its publisher's count.
struct Log {
    file: &'static str,
    workflows: u64,
    completed_steps: u64,
}

const LOGS: [Log; 2] = [
    Log { file: "receipt.xes.gz", workflows: 1_434, completed_steps: 8_577 },
    Log { file: "bpic2013_incidents.xes.gz", workflows: 7_554, completed_steps: 65_533 },
];

pub(crate) fn check() -> Outcome {
    let data = data_folder()?;
    let dashboard = dashboard()?;
    for log in &LOGS {
        println!("-- {}", log.file);
        check_log(&dashboard, &data.join(log.file), log)?;
    }
    Ok(())
}

/// Where the logs are: `EVENTSOURCE_DATA_DIR`, or `shared/data` beside the repository.
fn data_folder() -> Result<PathBuf, String> {
    let folder = env::var_os("EVENTSOURCE_DATA_DIR").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    for log in &LOGS {
        if !folder.join(log.file).is_file() {
            return Err(format!(
                "{} is not there: fetch the logs of the README's table and set EVENTSOURCE_DATA_DIR to their folder",
                folder.join(log.file).display()
            ));
        }
    }
    Ok(folder)
}

/// Imports with a kill -9 in the middle, again, and again; verifies each time.
fn check_log(dashboard: &Path, file: &Path, log: &Log) -> Outcome {
    let folder = TemporaryFolder::new("logs")?;
    let data = folder.join("data");

    let server = serve(dashboard, &data, "127.0.0.1:0")?;
    let address = server.address.clone();
    let listen = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let import = import_in_background(dashboard, file, &address)?;
    wait_for_growth(Path::new(&data), 400_000)?;
    println!("kill -9 in the middle of the import");
    server.kill();
    // The importer goes on against the server that comes back under the same address.
    let server = serve(dashboard, &data, &listen)?;
    finish(import)?;
    server.stop()?;
    verify(dashboard, &data, log)?;

    let server = serve(dashboard, &data, &listen)?;
    output(Command::new(dashboard).arg("import").arg(file).args(["--server", &address]))?;
    server.stop()?;
    verify(dashboard, &data, log)
}

fn serve(dashboard: &Path, data: &str, listen: &str) -> Result<Server, String> {
    let mut serve = Command::new(dashboard);
    serve.args(["serve", "--no-demo", "--listen", listen, "--data-dir", data]);
    Server::start(&mut serve, "listening on ", READY)
}

fn import_in_background(dashboard: &Path, file: &Path, address: &str) -> Result<Child, String> {
    Command::new(dashboard)
        .arg("import")
        .arg(file)
        .args(["--server", address])
        .stdout(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("the import cannot be started: {error}"))
}

fn finish(mut import: Child) -> Outcome {
    let status = import.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("the import ended with {status}")) }
}

/// Waits until the queue's files show that the import is under way.
fn wait_for_growth(data: &Path, bytes: u64) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if queue_bytes(data) > bytes {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err("the import did not get under way".to_owned())
}

fn queue_bytes(data: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(data) else { return 0 };
    let files = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("queue.db"));
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// `verify` must find no difference, and count what the log's publisher counted.
fn verify(dashboard: &Path, data: &str, log: &Log) -> Outcome {
    let totals = output(Command::new(dashboard).args(["verify", "--data-dir", data]))?;
    let expected = format!("{} workflows, {} completed steps", log.workflows, log.completed_steps);
    if totals.lines().any(|line| line.trim() == expected) {
        return Ok(());
    }
    Err(format!("{}: verify should count {expected}", log.file))
}

//! Running other programs, and stopping exactly those that were started.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::Outcome;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A command that runs in the workspace's folder.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo` as it runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Runs a command to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    let started = Instant::now();
    let status = command.status().map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    println!("  ({:.1} s)", started.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// Runs a command to its end and returns what it printed on its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    println!("$ {}", shown(command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if output.status.success() { Ok(text) } else { Err(format!("{} ended with {}", shown(command), output.status)) }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Whether a program answers to `--version`.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A process that is killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    /// What it said after the words that told it was ready.
    pub(crate) address: String,
}

impl Server {
    /// Starts a program and waits for the line that begins with `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str, patience: Duration) -> Result<Self, String> {
        let name = shown(command);
        println!("$ {name} &");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let stdout = child.stdout.take().ok_or("the child has no standard output")?;
        let mut server = Self { child, address: String::new() };
        let (lines, heard) = mpsc::channel();
        // Reads on to the end, so that the server never blocks on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    continue;
                }
            }
        });
        let deadline = Instant::now() + patience;
        loop {
            match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(address) = line.strip_prefix(ready) {
                        address.trim().clone_into(&mut server.address);
                        return Ok(server);
                    }
                }
                Err(_) => return Err(format!("{name} did not say `{ready}` within {} s", patience.as_secs())),
            }
        }
    }

    /// Kills the process at once (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Asks the process to stop (SIGTERM) and waits for it.
    pub(crate) fn stop(mut self) -> Outcome {
        let id = self.child.id().to_string();
        run(Command::new("kill").args(["-TERM", &id]))?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}")) }
    }

    fn end(&mut self) {
        // Either it has ended already or it does now; both are what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A folder under the system's temporary one, removed when it goes out of scope.
pub(crate) struct TemporaryFolder(pub(crate) PathBuf);

impl TemporaryFolder {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let path = env::temp_dir().join(format!("eventsource-{name}-{}-{nanos}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary one harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

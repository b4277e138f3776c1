//! The command line.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use axum::http::uri::Authority;
use clap::{Args, Parser, Subcommand};

use crate::{
    import::{CaseEnd, Import, Speed},
    telemetry::LogFormat,
};

/// How long a server that is away is waited for, in seconds.
const PATIENCE_SECONDS: u64 = 60;
/// Where a server listens that was not told otherwise.
const SERVER: &str = "http://127.0.0.1:8080";

/// A live dashboard of workflows, every role in one process.
#[derive(Parser, Clone, Debug)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; to serve when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Print the GraphQL schema and end.
    #[arg(long)]
    pub print_schema: bool,
    /// How log lines look (on standard error; RUST_LOG filters them).
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Serve the page and the GraphQL endpoint.
    Serve(ServeArgs),
    /// Import an event log (XES, plain or gzip): each case becomes a workflow, each event a step.
    Import(ImportArgs),
    /// Let workflows run by themselves on a server.
    Simulate(SimulateArgs),
    /// Fold every stream again and compare it with its view. The server must not run.
    Verify(StoreArgs),
    /// List commands that were given up on, send one again or throw it away. The server must not run.
    DeadLetters(DeadLettersArgs),
    /// Read every byte of a store and check it. The server must not run.
    Scrub(StoreArgs),
    /// Write every event that is still whole to standard output, one JSON object a line.
    Salvage(StoreArgs),
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Folder of the store; made when it is not there.
    #[arg(long, default_value = "workflow-dashboard-data", conflicts_with = "in_memory")]
    pub data_dir: PathBuf,
    /// Keep everything in memory: gone when the server ends.
    #[arg(long)]
    pub in_memory: bool,
    /// Do not play the demo on an empty store.
    #[arg(long)]
    pub no_demo: bool,
    /// Another name by which clients reach the server, as NAME or NAME:PORT; may be repeated.
    #[arg(long = "allow-host", value_name = "HOST", value_parser = host)]
    pub allow_hosts: Vec<String>,
}

/// A host as the server's guard takes it.
fn host(text: &str) -> Result<String, &'static str> {
    let wrong = "a host is NAME or NAME:PORT, an address of IP version 6 stands in brackets";
    let authority: Authority = text.parse().map_err(|_| wrong)?;
    let port = text.strip_prefix(authority.host()).unwrap_or(text);
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if authority.host().is_empty() || !port_fits { Err(wrong) } else { Ok(text.to_owned()) }
}

/// What to import.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The log: FILE.xes or FILE.xes.gz.
    pub file: PathBuf,
    /// Address of the server.
    #[arg(long, default_value = SERVER)]
    pub server: String,
    /// Events a second: max, or a number.
    #[arg(long, default_value = "max")]
    pub speed: Speed,
    /// Complete each workflow at the end of its case.
    #[arg(long)]
    pub complete: bool,
}

impl ImportArgs {
    /// The import that is asked for.
    #[must_use]
    pub fn import(&self) -> Import {
        Import {
            file: self.file.clone(),
            server: self.server.clone(),
            speed: self.speed,
            end: if self.complete { CaseEnd::Completed } else { CaseEnd::Open },
            patience: Duration::from_secs(PATIENCE_SECONDS),
        }
    }
}

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// How many workflows.
    #[arg(long, default_value = "20")]
    pub workflows: NonZeroU32,
    /// Commands a second, of all workflows together.
    #[arg(long, default_value = "10")]
    pub rate: NonZeroU32,
    /// Address of the server.
    #[arg(long, default_value = SERVER)]
    pub server: String,
    /// The same seed makes the same workflows; a random one is drawn and printed when it is absent.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// What to do about dead letters; to list them when nothing is said.
#[derive(Args, Clone, Debug)]
pub struct DeadLettersArgs {
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Send the one of this number again: the server carries it out when it starts.
    #[arg(long, value_name = "NUMBER", conflicts_with = "discard")]
    pub resubmit: Option<u64>,
    /// Throw the one of this number away.
    #[arg(long, value_name = "NUMBER")]
    pub discard: Option<u64>,
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// Folder of the store.
    #[arg(long, default_value = "workflow-dashboard-data")]
    pub data_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use eventsource_graphql::HostGuard;

    use super::host;

    #[test]
    fn a_host_is_refused_before_the_guard_would_panic() {
        for good in ["board.example", "Board.Example:8080", "10.0.0.1", "[::1]", "[::1]:80", "localhost:0"] {
            let _ = HostGuard::new().allow_host(&host(good).unwrap());
        }
        for bad in ["", " ", ":80", "a b", "http://a", "a/b", "a@b", "a:", "a:x", "a:65536", "::1", "a:1:2"] {
            assert!(host(bad).is_err(), "{bad:?}");
            let panicked = std::panic::catch_unwind(|| HostGuard::new().allow_host(bad)).is_err();
            assert!(panicked, "{bad:?} is a host for the guard");
        }
    }
}

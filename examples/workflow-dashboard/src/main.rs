//! The program: serve, import, simulate, verify.

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use workflow_dashboard::{
    cli::{Cli, Command, DeadLettersArgs, ImportArgs, ServeArgs, SimulateArgs, StoreArgs},
    demo,
    graphql::schema_text,
    import::{ImportTotals, LogSummary, Observer},
    ports::Ports,
    repair::{salvage_store, scrub_store},
    server::{Server, ServerOptions},
    simulate::Simulation,
    telemetry::{metrics_handle, start_logging},
    verify::verify,
    with_causes,
};

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log_format);
    let done = match cli.command {
        _ if cli.print_schema => say(&schema_text()).map(|()| ExitCode::SUCCESS),
        None => serve(cli.serve).await,
        Some(Command::Serve(serve_args)) => serve(serve_args).await,
        Some(Command::Import(import_args)) => import(&import_args).await,
        Some(Command::Simulate(simulate_args)) => simulate(simulate_args).await,
        Some(Command::Verify(store_args)) => verify_store(store_args).await,
        Some(Command::DeadLetters(args)) => dead_letters(args).await,
        Some(Command::Scrub(store_args)) => scrub(store_args).await,
        Some(Command::Salvage(store_args)) => salvage(&store_args),
    };
    done.unwrap_or_else(|error| {
        let line = with_causes(&*error);
        // There is nowhere left to complain to when standard error is closed.
        let _ = writeln!(io::stderr(), "error: {line}");
        ExitCode::FAILURE
    })
}

/// Writes what a person or a program waits for, at once.
fn say(text: &str) -> Result<(), AnyError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

async fn serve(args: ServeArgs) -> Result<ExitCode, AnyError> {
    // From the first moment on: a signal that comes while the store opens is not lost.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let _ = metrics_handle();
    let ports = if args.in_memory { Ports::memory() } else { open(args.data_dir.clone()).await? };
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let served = serve_over(ports.clone(), args, shutdown).await;
    let closed = ports.close().await;
    served?;
    closed?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until `shutdown` is done. The ports are left open.
async fn serve_over(ports: Ports, args: ServeArgs, shutdown: impl Future<Output = ()> + Send) -> Result<(), AnyError> {
    let is_empty = ports.store.head().await?.is_none();
    let options = ServerOptions { listen: args.listen, hosts: args.allow_hosts };
    let server = Server::bind(ports, options).await?;
    say(&format!("listening on http://{}", server.address()))?;
    let commands = server.commands();
    let demo = async {
        if is_empty
            && !args.no_demo
            && let Err(error) = demo::play(&commands).await
        {
            tracing::warn!(error = with_causes(&error), "the demo stopped");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = server.run(shutdown) => Ok(served?),
        () = demo => Ok(()),
    }
}

/// The ports in this folder.
async fn open(folder: PathBuf) -> Result<Ports, AnyError> {
    Ok(tokio::task::spawn_blocking(move || Ports::embedded(&folder)).await??)
}

/// Shows an import to whoever sits in front of it.
struct Progress(ProgressBar);

impl Observer for Progress {
    fn checked(&self, log: &LogSummary) {
        // Each case starts a workflow, each event starts and completes a step.
        self.0.set_length(log.cases + 2 * log.events);
        tracing::info!(log = log.name, cases = log.cases, events = log.events, "the log is whole");
    }

    fn sent(&self, commands: u64) {
        self.0.inc(commands);
    }
}

async fn import(args: &ImportArgs) -> Result<ExitCode, AnyError> {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} commands, {per_sec}, {eta} left")?;
    let progress = Progress(ProgressBar::with_draw_target(Some(0), target).with_style(style));
    let (log, totals) = args.import().run(&progress).await?;
    progress.0.finish_and_clear();
    let ImportTotals { workflows, completed_steps, commands, duplicates, rejected, not_yet_visible, refusals } = totals;
    say(&format!(
        "imported {:?}: {workflows} workflows, {completed_steps} completed steps\n\
         {commands} commands sent: {duplicates} decided before, {rejected} rejected",
        log.name
    ))?;
    for refusal in &refusals {
        say(&format!("rejected: {refusal}"))?;
    }
    if not_yet_visible > 0 {
        say(&format!("committed, not yet visible: {not_yet_visible} workflows"))?;
    }
    Ok(if rejected == 0 && not_yet_visible == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn simulate(args: SimulateArgs) -> Result<ExitCode, AnyError> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("simulating {} workflows with seed {seed}", args.workflows))?;
    let simulation = Simulation { workflows: args.workflows, rate: args.rate, server: args.server, seed };
    let sent = simulation.run().await?;
    say(&format!("{sent} commands sent"))?;
    Ok(ExitCode::SUCCESS)
}

/// A mistyped folder is not made and found sound.
fn must_exist(args: &StoreArgs) -> Result<(), AnyError> {
    if args.data_dir.join("events").is_dir() {
        return Ok(());
    }
    let shown = args.data_dir.display();
    if !args.data_dir.is_dir() {
        return Err(format!("{shown} is no folder").into());
    }
    Err(format!("{shown} holds no store: name the folder that serve was given, the one with `events` in it").into())
}

async fn scrub(args: StoreArgs) -> Result<ExitCode, AnyError> {
    must_exist(&args)?;
    let scrubbed = scrub_store(&args.data_dir).await?;
    for line in scrubbed.read.iter().chain(&scrubbed.damage) {
        say(line)?;
    }
    say(if scrubbed.damage.is_empty() { "no damage" } else { "damaged" })?;
    Ok(if scrubbed.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn salvage(args: &StoreArgs) -> Result<ExitCode, AnyError> {
    must_exist(args)?;
    let lost = salvage_store(&args.data_dir, io::BufWriter::new(io::stdout().lock()))?;
    for line in &lost {
        writeln!(io::stderr(), "{line}")?;
    }
    Ok(if lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn dead_letters(args: DeadLettersArgs) -> Result<ExitCode, AnyError> {
    must_exist(&args.store)?;
    let ports = open(args.store.data_dir).await?;
    let letters = &ports.dead_letters;
    let done = async {
        let (found, number, done) = match (args.resubmit, args.discard) {
            (Some(number), _) => (letters.resubmit(number).await?, number, "sent again"),
            (None, Some(number)) => (letters.discard(number).await?, number, "thrown away"),
            (None, None) => return letters.lines().await.map(Ok),
        };
        Ok(if found { Ok(vec![format!("{number}: {done}")]) } else { Err(format!("there is no dead letter {number}")) })
    };
    let done = done.await;
    ports.close().await?;
    for line in done?? {
        say(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify_store(args: StoreArgs) -> Result<ExitCode, AnyError> {
    must_exist(&args)?;
    let ports = open(args.data_dir).await?;
    let verified = verify(&ports).await;
    ports.close().await?;
    let verified = verified?;
    if verified.is_sound() {
        say(&verified.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    for found in &verified.found {
        say(found)?;
    }
    say(&format!(
        "{} differences in {} events of {} streams",
        verified.differences, verified.events, verified.streams
    ))?;
    Ok(ExitCode::FAILURE)
}

//! The project's own commands. `cargo xtask help` lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks on its standard streams")]

mod logs;
mod page;
mod process;
mod services;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a step gives: nothing, or a sentence that says what went wrong.
type Outcome = Result<(), String>;

const HELP: &str = "\
cargo xtask COMMAND

  test       starts the servers that the tests need, and runs every test (needs Node 20 and Chromium;
             installs Chromium by apt-get when it runs as root on Debian)
  test rust  the Rust tests alone
  test logs  imports the real process logs into the release build, with a kill -9 in the middle
  test page  the page: checks, unit tests, reproducible build, and the browser test
  services   starts what the browser test needs and prints its address, until Enter is pressed
  tidy       checks the rules of ARCHITECTURE.md that a program can check
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test::all(),
        ["test", "rust"] => test::rust(),
        ["test", "logs"] => logs::check(),
        ["test", "page"] => page::check(),
        ["services"] => services::until_enter(),
        ["tidy"] => tidy::check(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("unknown command: {}\n\n{HELP}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

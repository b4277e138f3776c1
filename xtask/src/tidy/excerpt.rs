//! What the README shows is what compiles.

use super::read;
use crate::process::root;

/// The program that the README's first block of Rust is the end of.
const PROGRAM: &str = "examples/quickstart/src/main.rs";
/// What the README promises of it.
const PROGRAM_LINES_MAX: usize = 99;

pub(super) fn findings() -> Result<Vec<String>, String> {
    let readme = read(&root().join("README.md"))?;
    let program = read(&root().join(PROGRAM))?;
    let block = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let mut findings = Vec::new();
    if block.is_empty() || !program.ends_with(block) {
        findings.push(format!("README.md: its first block of Rust is not the end of {PROGRAM}"));
    }
    let lines = program.lines().count();
    if lines > PROGRAM_LINES_MAX {
        findings.push(format!("{PROGRAM}: {lines} lines, the README promises under 100"));
    }
    Ok(findings)
}

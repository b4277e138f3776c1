//! One idea a file: a file that has grown long holds two.

use super::{files, read, shown};

/// Most lines of code in a file, comments, blank lines and tests aside.
const LINES_MAX: usize = 400;

pub(super) fn findings() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in files("", "rs")? {
        let text = read(&path)?;
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines of code, more than {LINES_MAX}: which two ideas?", shown(&path)));
        }
        for forbidden in ["#[ignore", "todo!(", "unimplemented!("] {
            if text.contains(forbidden) && !path.ends_with("tidy/sizes.rs") {
                findings.push(format!("{}: `{forbidden}` has no place here", shown(&path)));
            }
        }
    }
    Ok(findings)
}

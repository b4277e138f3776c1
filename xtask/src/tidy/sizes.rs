//! One idea a file: a file that has grown long holds two.

use super::{files, read, shown};

/// Most lines of code in a file, comments, blank lines and unit tests aside.
const LINES_MAX: usize = 400;
/// Most in a file of integration tests, which tells many short stories about one idea.
const TEST_LINES_MAX: usize = 500;

pub(super) fn findings() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in files("", "rs")? {
        let text = read(&path)?;
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let lines_max = if is_test { TEST_LINES_MAX } else { LINES_MAX };
        if lines > lines_max {
            findings.push(format!("{}: {lines} lines of code, more than {lines_max}: which two ideas?", shown(&path)));
        }
        for forbidden in ["#[ignore", "todo!(", "unimplemented!("] {
            if text.contains(forbidden) && !path.ends_with("tidy/sizes.rs") {
                findings.push(format!("{}: `{forbidden}` has no place here", shown(&path)));
            }
        }
    }
    Ok(findings)
}

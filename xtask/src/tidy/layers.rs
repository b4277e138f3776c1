//! A module imports only from layers below its own; adapters never see each other.

use std::collections::BTreeSet;

use super::{files, read, shown};
use crate::process::root;

/// The modules of `eventsource-core`, lowest layer first.
const LAYERS: [&[&str]; 6] = [
    &["id", "version", "position", "metadata", "clock", "backoff"],
    &["event", "codec", "upcast"],
    &["aggregate", "command"],
    &["store", "snapshot", "outcome", "bus", "view"],
    &["execute", "subscription", "projection", "live"],
    &["memory"],
];

/// Crates that plug into core and must not know each other.
const ADAPTERS: [&str; 2] = ["eventsource-embedded", "eventsource-graphql"];

/// Crates that may depend on adapters.
const USERS: [&str; 3] = ["examples/quickstart", "examples/workflow-dashboard", "benches"];

pub(super) fn findings() -> Result<Vec<String>, String> {
    let mut findings = imports()?;
    findings.extend(dependencies()?);
    findings.extend(domain()?);
    Ok(findings)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn imports() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    let source = root().join("eventsource-core/src");
    for path in files("eventsource-core/src", "rs")? {
        let inner = path.strip_prefix(&source).map_err(|error| error.to_string())?;
        let module = inner.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let module = module.unwrap_or_default().trim_end_matches(".rs").to_owned();
        if module == "lib" {
            continue;
        }
        let Some(layer) = layer_of(&module) else {
            findings.push(format!("{}: module {module} has no layer in xtask's table", shown(&path)));
            continue;
        };
        for used in crate_imports(&code_of(&read(&path)?)) {
            match layer_of(&used) {
                Some(below) if below <= layer => {}
                Some(above) => {
                    findings.push(format!("{}: layer {layer} uses {used} of layer {above}", shown(&path)));
                }
                None => {}
            }
        }
    }
    Ok(findings)
}

/// The file without comments and without its tests, which may use what they like.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Modules named in `use crate::…`, in either form.
fn crate_imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            let mut start = 0;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        modules.insert(word(group[start..at].trim()));
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        modules.insert(word(group[start..at].trim()));
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        } else {
            modules.insert(word(rest));
        }
    }
    modules
}

fn dependencies() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for manifest in files("", "toml")? {
        let folder = shown(manifest.parent().unwrap_or(&manifest));
        if manifest.file_name().is_none_or(|name| name != "Cargo.toml") || folder.is_empty() {
            continue;
        }
        let text = read(&manifest)?;
        let needed = text.split("[dev-dependencies]").next().unwrap_or_default();
        for adapter in ADAPTERS {
            let uses = needed.lines().any(|line| line.starts_with(adapter));
            if uses && !USERS.contains(&folder.as_str()) {
                findings.push(format!("{}: only examples and benches depend on {adapter}", shown(&manifest)));
            }
        }
    }
    Ok(findings)
}

/// Domain code has no `async`, no I/O and no clock.
fn domain() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in files("examples/workflow-dashboard/src/domain", "rs")? {
        let code = code_of(&read(&path)?);
        for word in ["async ", ".await", "tokio", "std::fs", "std::net", "SystemTime::now", "Instant::now"] {
            if code.contains(word) {
                findings.push(format!("{}: domain code has no `{}`", shown(&path), word.trim()));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::crate_imports;

    #[test]
    fn grouped_and_single_imports_are_found() {
        let code =
            "use crate::store::EventStore;\nuse crate::{\n  event::{Event, Name},\n  id::StreamId,\n  BoxError\n};";
        let found: Vec<_> = crate_imports(code).into_iter().collect();
        assert_eq!(found, ["BoxError", "event", "id", "store"]);
    }
}

//! The rules of ARCHITECTURE.md that a program can check.

mod excerpt;
mod layers;
mod links;
mod sizes;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Outcome, process::root};

pub(crate) fn check() -> Outcome {
    let mut findings = layers::findings()?;
    findings.extend(sizes::findings()?);
    findings.extend(excerpt::findings()?);
    findings.extend(links::findings()?);
    if findings.is_empty() {
        println!("tidy: layers, dependencies, file sizes and links are in order");
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    Err(format!("{} findings", findings.len()))
}

/// Files of the repository with this extension, built and installed things aside.
fn files(below: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(&*name, "target" | "node_modules" | "dist" | ".git") {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The path as people name it: from the workspace's folder on.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

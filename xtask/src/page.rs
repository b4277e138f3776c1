//! The page: checks, unit tests, a build that anyone can repeat, and a real browser.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::{
    Outcome,
    process::{Server, TemporaryFolder, is_there, root, run},
    services::{READY, chromium, dashboard},
};

pub(crate) fn check() -> Outcome {
    if !is_there("npm") {
        return Err("the page's tests need Node 20 with npm".to_owned());
    }
    let ui = root().join("examples/workflow-dashboard/ui");
    npm(&ui, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    npm(&ui, &["run", "check"])?;
    npm(&ui, &["test"])?;
    let committed = contents(&ui.join("dist"))?;
    npm(&ui, &["run", "build"])?;
    compare(&committed, &contents(&ui.join("dist"))?)?;
    in_the_browser(&ui)
}

/// The browser test against the dashboard as users run it.
fn in_the_browser(ui: &Path) -> Outcome {
    let chromium = chromium()?;
    let folder = TemporaryFolder::new("browser")?;
    let mut serve = Command::new(dashboard()?);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--no-demo", "--data-dir", &folder.join("data")]);
    let server = Server::start(&mut serve, "listening on ", READY)?;
    run(Command::new("npm")
        .args(["run", "e2e"])
        .current_dir(ui)
        .env("DASHBOARD_URL", &server.address)
        .env("CHROMIUM", chromium))?;
    server.stop()
}

fn npm(ui: &Path, arguments: &[&str]) -> Outcome {
    run(Command::new("npm").args(arguments).current_dir(ui))
}

/// Every file below a folder, by its path.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                files.insert(path.strip_prefix(folder).unwrap_or(&path).display().to_string(), bytes);
            }
        }
    }
    Ok(files)
}

fn compare(committed: &BTreeMap<String, Vec<u8>>, built: &BTreeMap<String, Vec<u8>>) -> Outcome {
    if committed == built {
        println!("ui/dist: {} files as committed", built.len());
        return Ok(());
    }
    let differing = committed
        .iter()
        .chain(built)
        .map(|(name, _)| name)
        .filter(|name| committed.get(*name) != built.get(*name))
        .collect::<std::collections::BTreeSet<_>>();
    Err(format!("ui/dist is not what `npm run build` makes of ui/src; build it and commit it: {differing:?}"))
}

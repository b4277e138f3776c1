//! What the tests need beyond Cargo: a running dashboard and a browser.

use std::{io, path::PathBuf, process::Command, time::Duration};

use crate::{
    Outcome,
    process::{Server, TemporaryFolder, cargo, is_there, root, run},
};

/// How long a server may take to say that it is ready.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// The dashboard as users run it, built if need be.
pub(crate) fn dashboard() -> Result<PathBuf, String> {
    run(&mut cargo(&["build", "--locked", "--release", "--package", "workflow-dashboard"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/workflow-dashboard"))
}

/// A browser that can be driven; installed when it is missing and that can be done.
pub(crate) fn chromium() -> Result<String, String> {
    if let Ok(path) = std::env::var("CHROMIUM") {
        return if is_there(&path) { Ok(path) } else { Err(format!("CHROMIUM={path} does not run")) };
    }
    let path = "/usr/bin/chromium";
    if !is_there(path) {
        if !is_there("apt-get") {
            return Err("the browser test needs Chromium: install it and set CHROMIUM to its path".to_owned());
        }
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        let install = ["-qq", "-y", "--no-install-recommends", "install", "chromium", "fonts-dejavu-core"];
        run(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if is_there(path) { Ok(path.to_owned()) } else { Err(format!("{path} does not run")) }
}

/// Starts what the browser test needs and waits for Enter.
pub(crate) fn until_enter() -> Outcome {
    let folder = TemporaryFolder::new("services")?;
    let dashboard = dashboard()?;
    let mut serve = Command::new(dashboard);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", &folder.join("data")]);
    let server = Server::start(&mut serve, "listening on ", READY)?;
    println!("DASHBOARD_URL={}\npress Enter to stop", server.address);
    io::stdin().read_line(&mut String::new()).map_err(|error| error.to_string())?;
    server.stop()
}

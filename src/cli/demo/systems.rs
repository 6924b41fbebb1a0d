//! The systems of the demo: for each a proxy from its shipped conf, between its clients, an app, and a stand-in of the vendor's server.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::assembly::process::{Process, Tools};
use crate::cli::Failure;
use crate::cli::demo::proxy;
use crate::demo::tour::caller::Caller;
use crate::demo::tour::contract::{Show, Stumble};
use crate::demo::tour::ground::Ground;
use crate::demo::tour::step::Step;
use crate::demo::tour::walk::{Outcome, walk};
use crate::demo::tour::{self, report};
use crate::demo::trail::Trail;

/// One system, running.
pub(super) struct System {
    show: Show,
    conf: PathBuf,
    process: Process,
    caller: Caller,
    steps: Vec<Step>,
}

/// Starts the systems, or the `only` one, each in a folder of its own below `folder`; audit records go to what `audit` makes.
pub(super) async fn set(
    folder: &Path,
    only: Option<&str>,
    tools: &Tools,
    audit: impl Fn() -> Box<dyn Write + Send>,
) -> Result<Vec<System>, Failure> {
    let ground = Ground { clock: Arc::clone(&tools.clock), random: Arc::clone(&tools.random) };
    let mut systems = Vec::new();
    for name in tour::NAMES.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let stumbled = |why: Stumble| Failure::new(format!("cannot show {name}: {why}"));
        let show = tour::set(name, &ground).await.map_err(stumbled)?;
        let folder = folder.join(name);
        for (path, content) in &show.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(proxy::cannot("make a folder"))?;
            fs::write(path, content).map_err(proxy::cannot("write keys"))?;
        }
        let conf = folder.join("countersign.yaml");
        fs::write(&conf, &show.conf).map_err(proxy::cannot("write a conf"))?;
        let tools = Tools { clock: show.clock.clone(), ..tools.clone() };
        let (process, origin) = proxy::start(&conf, tools, audit()).await?;
        let caller = Caller::new(&origin).map_err(|error| Failure::new(format!("cannot send requests: {error}")))?;
        let steps = show.vendor.steps(&caller, &show.clock).await.map_err(stumbled)?;
        systems.push(System { show, conf, process, caller, steps });
    }
    Ok(systems)
}

impl System {
    /// Takes every step.
    pub(super) async fn walk(&self, trail: &Trail) -> Vec<Outcome> {
        walk(&self.show, &self.steps, &self.caller, trail).await
    }

    /// What came of them, for people.
    pub(super) fn table(&self, outcomes: &[Outcome]) -> String {
        report::table(&self.show, &self.steps, outcomes)
    }

    /// The same as JSON.
    pub(super) fn rows(&self, outcomes: &[Outcome]) -> Vec<Value> {
        report::rows(&self.show, &self.steps, outcomes)
    }

    /// Prints what there is to try.
    pub(super) fn explain(&self) {
        say!("\n== {} (docs/systems/{}.md)", self.show.title, self.show.name);
        say!("proxy      {}", self.caller.origin());
        if let Some(admin) = self.process.admin() {
            say!("admin      http://{admin}/readyz  http://{admin}/metrics");
        }
        say!("app        {} (what it answers is what it received)", self.show.app.origin());
        say!("api        {} (a stand-in, as strict as the vendor's)", self.show.vendor.origin());
        say!("conf       {}", self.conf.display());
        say!("{}", report::commands(&self.steps, self.caller.origin()).trim_end());
    }

    /// Ends the proxy.
    pub(super) async fn stop(self) {
        self.process.stop().await;
    }
}

//! `countersign demo`: everything on loopback, with fresh keys.
//!
//! Every proxy is the real one, started from a conf file as `run` would start it; around it stand a service that shows what it was
//! sent, an issuer of tokens, and for each of the systems a stand-in of the vendor's server.

mod proxy;
mod schemes;
mod systems;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::ambient;
use crate::assembly::service;
use crate::cli::demo::schemes::Schemes;
use crate::cli::demo::systems::System;
use crate::cli::{Done, Failure, print_json};
use crate::demo::performance::{rows, table};
use crate::demo::tour::NAMES;
use crate::demo::trail::Trail;

/// Starts services, an issuer, stand-ins of vendors and a proxy in front of each on loopback with fresh keys, and shows every scheme
/// and every system.
///
/// Prints for every scheme, and for every system in both positions (in front of an app, in front of an API like the vendor's), curl
/// lines that succeed, that are refused and that renew; then stays up and shows the audit records.
/// With --once it sends them all itself, prints what came of each, and exits with 1 if anything differs from what must.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Send every request, print what came of each, and exit.
    #[arg(long)]
    once: bool,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
    /// Show this system alone.
    #[arg(long, value_name = "NAME", value_parser = NAMES)]
    system: Option<String>,
    /// Where the proxy of the schemes listens, on loopback; 0 for any free port. Those of the systems take any.
    #[arg(long, default_value_t = 0, conflicts_with = "system")]
    port: u16,
}

/// Everything of a demo that must stay while it runs. The folder goes with it.
struct Stage {
    /// None where one system is shown alone.
    schemes: Option<Schemes>,
    systems: Vec<System>,
    _folder: Folder,
}

/// A folder with keys in it, removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("countersign: {} could not be removed: {error}", self.0.display());
        }
    }
}

impl Demo {
    /// Shows.
    pub(super) fn run(&self) -> Done {
        let runtime =
            Builder::new_multi_thread().enable_all().build().map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
        runtime.block_on(async {
            if self.once {
                let trail = Trail::default();
                let sink = trail.clone();
                let stage = self.set(move || Box::new(sink.clone())).await?;
                self.perform(&stage, &trail).await
            } else {
                let curtain = Arc::new(AtomicBool::new(false));
                let stage = self.set(|| Box::new(Records(Arc::clone(&curtain)))).await?;
                explain(&stage);
                curtain.store(true, Ordering::SeqCst);
                until_told_to_end().await.map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
                stage.stop().await;
                Ok(())
            }
        })
    }

    /// Starts everything; audit records go to what `audit` makes.
    async fn set(&self, audit: impl Fn() -> Box<dyn Write + Send>) -> Result<Stage, Failure> {
        let tools = service::tools().map_err(Failure::new)?;
        let folder = Folder(ambient::fresh_folder("countersign-demo").map_err(proxy::cannot("make a folder"))?);
        let schemes = match self.system {
            None => Some(Schemes::set(folder.0.join("schemes"), self.port, tools.clone(), audit()).await?),
            Some(_) => None,
        };
        let systems = systems::set(&folder.0, self.system.as_deref(), &tools, audit).await?;
        Ok(Stage { schemes, systems, _folder: folder })
    }

    /// Sends every request and tells what came of it.
    async fn perform(&self, stage: &Stage, trail: &Trail) -> Done {
        let (mut sent, mut differing) = (0, 0);
        let (mut parts, mut requests, mut of_systems) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(schemes) = &stage.schemes {
            let outcomes = schemes.perform(trail).await?;
            sent += outcomes.len();
            differing += outcomes.iter().filter(|outcome| !outcome.differs.is_empty()).count();
            requests = rows(&schemes.lines, &outcomes);
            parts.push(table(&schemes.lines, &outcomes));
        }
        for system in &stage.systems {
            let outcomes = system.walk(trail).await;
            sent += outcomes.len();
            differing += outcomes.iter().filter(|outcome| !outcome.differs.is_empty()).count();
            of_systems.extend(system.rows(&outcomes));
            parts.push(system.table(&outcomes));
        }
        if self.json {
            print_json(&json!({ "requests": requests, "systems": of_systems, "differing": differing }));
        } else {
            say!("{}", parts.join("\n").trim_end());
        }
        match differing {
            0 => {
                eprintln!("{sent} requests, each as it must be");
                Ok(())
            }
            differing => Err(Failure::new(format!("{differing} of {sent} requests differ from what must come of them"))),
        }
    }
}

impl Stage {
    /// Ends every proxy.
    async fn stop(self) {
        if let Some(schemes) = self.schemes {
            schemes.stop().await;
        }
        for system in self.systems {
            system.stop().await;
        }
    }
}

/// Audit records on standard output, once the curtain is up: those of the demo's own preparations are nobody's.
struct Records(Arc<AtomicBool>);

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.load(Ordering::SeqCst) {
            // Whole, since several proxies write.
            io::stdout().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Prints what there is to try.
fn explain(stage: &Stage) {
    if let Some(schemes) = &stage.schemes {
        schemes.explain();
    }
    for system in &stage.systems {
        system.explain();
    }
    say!(
        "\nTokens and signatures are good for five minutes at least; what works once is refused at the second paste. \
         Audit records follow; Ctrl-C ends.\n"
    );
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
async fn until_told_to_end() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

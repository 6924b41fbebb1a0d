//! `countersign demo`: everything on loopback, with fresh keys.
//!
//! The proxy is the real one, started from a conf file as `run` would start it; around it stand a service that shows what it
//! was sent and an issuer of tokens.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::ambient;
use crate::assembly::machine::Machine;
use crate::assembly::process::Process;
use crate::assembly::{live, service};
use crate::cli::{Done, Failure, print_json};
use crate::demo::credentials::{Credentials, claims};
use crate::demo::issuer::DemoIssuer;
use crate::demo::performance::{document, log_in, perform, table};
use crate::demo::script::{Expected, Line, script};
use crate::demo::trail::Trail;
use crate::demo::upstream::DemoUpstream;
use crate::jose::algorithm::Algorithm;

/// The conf, with addresses that are replaced by those we get.
const CONF: &str = include_str!("../../conf/demo.yaml");
/// What stands in [`CONF`] for each of them.
const PROXY: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9901";
const UPSTREAM: &str = "127.0.0.1:9000";
const ISSUER: &str = "127.0.0.1:9002";

/// Starts a service, an issuer and the proxy on loopback with fresh keys, and shows every scheme.
///
/// Prints for every scheme a curl line that succeeds and ones that are refused, then stays up and shows the audit records.
/// With --once it sends them all itself, prints what came of each, and exits with 1 if anything differs from what must.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Send every request, print the table, and exit.
    #[arg(long)]
    once: bool,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
    /// Where the proxy listens, on loopback; 0 for any free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Everything of a demo that must stay while it runs. The folder goes with it.
struct Stage {
    folder: Folder,
    upstream: DemoUpstream,
    /// Held for as long as the proxy may ask it for keys.
    issuer: DemoIssuer,
    process: Process,
    origin: String,
    lines: Vec<Line>,
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
                let stage = self.set(Box::new(trail.clone())).await?;
                self.perform(&stage, &trail).await
            } else {
                let stage = self.set(Box::new(io::stdout())).await?;
                explain(&stage);
                until_told_to_end().await.map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
                stage.process.stop().await;
                Ok(())
            }
        })
    }

    /// Starts everything; audit records go to `audit`.
    async fn set(&self, audit: Box<dyn Write + Send>) -> Result<Stage, Failure> {
        let tools = service::tools().map_err(Failure::new)?;
        let cannot = |what: &'static str| move |error: io::Error| Failure::new(format!("cannot {what}: {error}"));
        let upstream = DemoUpstream::start(loopback(0)).await.map_err(cannot("start the service"))?;
        let issuer = DemoIssuer::start(loopback(0)).await.map_err(cannot("start the issuer"))?;

        let folder = Folder(ambient::fresh_folder("countersign-demo").map_err(cannot("make a folder"))?);
        let fault = |fault: crate::demo::credentials::CredentialFault| Failure::new(fault.to_string());
        let credentials = Credentials::fresh(&*tools.random).map_err(fault)?;
        credentials.write(&folder.0).map_err(cannot("write keys"))?;
        let conf = folder.0.join("countersign.yaml");
        let text = CONF
            .replace(UPSTREAM, &upstream.address().to_string())
            .replace(ISSUER, &issuer.address().to_string())
            .replace(ADMIN, &loopback(0).to_string())
            .replace(PROXY, &loopback(self.port).to_string());
        fs::write(&conf, text).map_err(cannot("write the conf"))?;

        let plan = live::read(&conf, &Machine).map_err(|faults| {
            let faults: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
            Failure::new(format!("the demo's own conf is at fault:\n{}", faults.join("\n")))
        })?;
        let (clock, random) = (tools.clock.clone(), tools.random.clone());
        let process = Process::start(&plan, tools, Some(audit), service::threads(&plan)).await.map_err(Failure::new)?;
        let origin = process.addresses().first().map(|address| format!("http://{address}")).unwrap_or_default();

        let ready = async {
            while !process.live().waiting_for(clock.now()).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ready).await.map_err(|_| Failure::new("the proxy did not get the issuer's keys"))?;
        // Only now: a ticket for one use that is older than the store's memory could have been spent before.
        let token = issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), clock.now()));
        let token = token.map_err(|error| Failure::new(format!("cannot make a token: {error}")))?;
        let session = log_in(&origin, &token).await.map_err(|why| Failure::new(format!("cannot open a session: {why}")))?;
        let lines = script(&credentials, &issuer, &session, clock.now(), &*random).map_err(fault)?;
        Ok(Stage { folder, upstream, issuer, process, origin, lines })
    }

    /// Sends every line and tells what came of it.
    async fn perform(&self, stage: &Stage, trail: &Trail) -> Done {
        let outcomes = perform(&stage.lines, &stage.origin, &stage.upstream, trail).await;
        let outcomes = outcomes.map_err(|error| Failure::new(format!("cannot send requests: {error}")))?;
        if self.json {
            print_json(&document(&stage.lines, &outcomes));
        } else {
            say!("{}", table(&stage.lines, &outcomes).trim_end());
        }
        match outcomes.iter().filter(|outcome| !outcome.differs.is_empty()).count() {
            0 => {
                eprintln!("{} requests, each as it must be", outcomes.len());
                Ok(())
            }
            differing => Err(Failure::new(format!("{differing} of {} requests differ from what must come of them", outcomes.len()))),
        }
    }
}

/// Prints what there is to try.
fn explain(stage: &Stage) {
    say!("proxy      {}", stage.origin);
    if let Some(admin) = stage.process.admin() {
        say!("admin      http://{admin}/readyz  http://{admin}/metrics");
    }
    say!("service    {} (what it answers is what it received)", stage.upstream.origin());
    say!("issuer     {}/.well-known/openid-configuration", stage.issuer.issuer());
    say!("conf       {}", stage.folder.0.join("countersign.yaml").display());
    let mut about = "";
    for line in &stage.lines {
        if line.about != about {
            about = line.about;
            say!("\n== {about}");
        }
        let comes = match &line.expected {
            Expected::Passes(None) => "passes, as nobody".to_owned(),
            Expected::Passes(Some(caller)) => format!("passes, as {caller}"),
            Expected::Serves(status) => format!("{status}, answered by the proxy"),
            Expected::Refused(reason) => format!("{} {}", reason.status(), reason.as_str()),
        };
        say!("# {}: {comes}", line.shows);
        say!("{}", line.curl(&stage.origin));
    }
    say!("\nTokens are good for an hour, Gigya signatures for five minutes. Audit records follow; Ctrl-C ends.\n");
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
async fn until_told_to_end() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

//! The schemes of the demo: one proxy from `conf/demo.yaml` in front of one service, and an issuer of tokens beside it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::assembly::process::{Process, Tools};
use crate::cli::Failure;
use crate::cli::demo::proxy::{self, loopback};
use crate::demo::credentials::{CredentialFault, Credentials, claims};
use crate::demo::issuer::DemoIssuer;
use crate::demo::performance::{Outcome, log_in, perform};
use crate::demo::script::{Expected, Line, script};
use crate::demo::trail::Trail;
use crate::demo::upstream::DemoUpstream;
use crate::jose::algorithm::Algorithm;

/// The conf, with addresses that are replaced by those we get.
const CONF: &str = include_str!("../../../conf/demo.yaml");
/// What stands in [`CONF`] for each of them.
const PROXY: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9901";
const UPSTREAM: &str = "127.0.0.1:9000";
const ISSUER: &str = "127.0.0.1:9002";

/// Everything that must stay while it is shown.
pub(super) struct Schemes {
    conf: PathBuf,
    upstream: DemoUpstream,
    /// Held for as long as the proxy may ask it for keys.
    issuer: DemoIssuer,
    process: Process,
    origin: String,
    /// What there is to try.
    pub(super) lines: Vec<Line>,
}

impl Schemes {
    /// Starts everything in `folder`, the proxy on `port`; audit records go to `audit`.
    pub(super) async fn set(folder: PathBuf, port: u16, tools: Tools, audit: Box<dyn Write + Send>) -> Result<Self, Failure> {
        let upstream = DemoUpstream::start(loopback(0)).await.map_err(proxy::cannot("start the service"))?;
        let issuer = DemoIssuer::start(loopback(0)).await.map_err(proxy::cannot("start the issuer"))?;

        let fault = |fault: CredentialFault| Failure::new(fault.to_string());
        let credentials = Credentials::fresh(&*tools.random).map_err(fault)?;
        fs::create_dir_all(&folder).map_err(proxy::cannot("make a folder"))?;
        credentials.write(&folder).map_err(proxy::cannot("write keys"))?;
        let text = CONF
            .replace(UPSTREAM, &upstream.address().to_string())
            .replace(ISSUER, &issuer.address().to_string())
            .replace(ADMIN, &loopback(0).to_string())
            .replace(PROXY, &loopback(port).to_string());
        let conf = folder.join("countersign.yaml");
        fs::write(&conf, text).map_err(proxy::cannot("write the conf"))?;

        let (clock, random) = (tools.clock.clone(), tools.random.clone());
        let (process, origin) = proxy::start(&conf, tools, audit).await?;
        // Only now: a ticket for one use that is older than the store's memory could have been spent before.
        let token = issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), clock.now()));
        let token = token.map_err(|error| Failure::new(format!("cannot make a token: {error}")))?;
        let session = log_in(&origin, &token).await.map_err(|why| Failure::new(format!("cannot open a session: {why}")))?;
        let lines = script(&credentials, &issuer, &session, clock.now(), &*random).map_err(fault)?;
        Ok(Self { conf, upstream, issuer, process, origin, lines })
    }

    /// Sends every line.
    pub(super) async fn perform(&self, trail: &Trail) -> Result<Vec<Outcome>, Failure> {
        let outcomes = perform(&self.lines, &self.origin, &self.upstream, trail).await;
        outcomes.map_err(|error| Failure::new(format!("cannot send requests: {error}")))
    }

    /// Prints what there is to try.
    pub(super) fn explain(&self) {
        say!("proxy      {}", self.origin);
        if let Some(admin) = self.process.admin() {
            say!("admin      http://{admin}/readyz  http://{admin}/metrics");
        }
        say!("service    {} (what it answers is what it received)", self.upstream.origin());
        say!("issuer     {}/.well-known/openid-configuration", self.issuer.issuer());
        say!("conf       {}", self.conf.display());
        let mut about = "";
        for line in &self.lines {
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
            say!("{}", line.curl(&self.origin));
        }
    }

    /// Ends the proxy.
    pub(super) async fn stop(self) {
        self.process.stop().await;
    }
}

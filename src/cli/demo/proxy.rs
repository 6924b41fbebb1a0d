//! A proxy of the demo: the real one, started from a conf file as `run` would start it.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::assembly::machine::Machine;
use crate::assembly::process::{Process, Tools};
use crate::assembly::{live, service};
use crate::cli::Failure;
use crate::edge::workers::Workers;

/// Starts the conf at `path` and waits until it has its keys; where it listens comes with it.
pub(super) async fn start(path: &Path, tools: Tools, audit: Box<dyn Write + Send>) -> Result<(Process, String), Failure> {
    let plan = live::read(path, &Machine).map_err(|faults| {
        let faults: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
        Failure::new(format!("the demo's own conf is at fault:\n{}", faults.join("\n")))
    })?;
    let clock = tools.clock.clone();
    let process = Process::start(&plan, tools, Some(audit), &Workers::Here(service::threads(&plan))).await.map_err(Failure::new)?;
    let origin = process.addresses().first().map(|address| format!("http://{address}")).unwrap_or_default();
    let ready = async {
        while !process.live().waiting_for(clock.now()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.map_err(|_| Failure::new("the proxy did not get its keys"))?;
    Ok((process, origin))
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What the machine did not let us do.
pub(super) fn cannot(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(format!("cannot {what}: {error}"))
}

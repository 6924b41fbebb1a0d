//! Keeps the addresses of services up to date, off the request path.
//!
//! Not here: a resolver of our own; the system's is asked, as every other program on the machine does.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::edge::upstream::{ServerOptions, Upstream, Upstreams};

/// How often names are asked for again. The system's resolver does not tell how long an answer holds.
const EVERY: Duration = Duration::from_secs(10);
/// The same, while a name has no address at all.
const WHILE_MISSING: Duration = Duration::from_secs(1);
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

impl Upstreams {
    /// Asks for every name once, and then in the background for as long as anybody holds the services.
    ///
    /// Returns when each name has been answered or has failed once.
    pub async fn resolve(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        if !self.0.iter().any(|upstream| upstream.has_names()) {
            return None;
        }
        let settled = resolve_all(self).await;
        Some(tokio::spawn(keep(Arc::downgrade(self), settled)))
    }
}

async fn keep(upstreams: Weak<Upstreams>, mut settled: bool) {
    loop {
        tokio::time::sleep(if settled { EVERY } else { WHILE_MISSING }).await;
        let Some(upstreams) = upstreams.upgrade() else { return };
        settled = resolve_all(&upstreams).await;
    }
}

/// Asks once for each name; true when every service has an address.
async fn resolve_all(upstreams: &Upstreams) -> bool {
    for upstream in &upstreams.0 {
        let mut resolved: Vec<(ServerOptions, Vec<SocketAddr>)> = Vec::new();
        for server in upstream.options.servers.iter().filter(|server| is_name(server)) {
            match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((&*server.host, server.port))).await {
                Ok(Ok(sockets)) => {
                    let mut sockets: Vec<SocketAddr> = sockets.collect();
                    sockets.sort_unstable();
                    sockets.dedup();
                    if !sockets.is_empty() {
                        resolved.push((server.clone(), sockets));
                    }
                }
                Ok(Err(error)) => tracing::warn!(upstream = %upstream.options.name, host = %server.host, %error, "name not resolved"),
                Err(_elapsed) => tracing::warn!(upstream = %upstream.options.name, host = %server.host, "name not resolved in time"),
            }
        }
        upstream.adopt(|server| resolved.iter().find(|(asked, _)| asked == server).map(|(_, sockets)| sockets.clone()));
    }
    upstreams.0.iter().all(|upstream| 0 < upstream.width())
}

impl Upstream {
    fn has_names(&self) -> bool {
        self.options.servers.iter().any(is_name)
    }
}

fn is_name(server: &ServerOptions) -> bool {
    server.host.parse::<IpAddr>().is_err()
}

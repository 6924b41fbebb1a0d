//! The least proxy that Pingora can be: one peer, built once and cloned, no modules, nothing looked at.
//!
//! It is the floor that our own pass-through is measured against.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

struct Minimal(HttpPeer);

#[async_trait]
impl ProxyHttp for Minimal {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut Self::CTX) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

/// Serves on `address` until it is killed.
pub fn serve(address: &str, upstream: &str) {
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 1_024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let upstream: std::net::SocketAddr = upstream.parse().unwrap();
    let peer = HttpPeer::new(upstream, false, String::new());
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Minimal(peer));
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever();
}

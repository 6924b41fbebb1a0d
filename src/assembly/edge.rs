//! Turns the edge's part of a proven conf into what the edge is set up with.

use std::sync::Arc;

use http::HeaderName;

use crate::assembly::gate::{credential_headers, emitted};
use crate::config::plan::{HostHeader, ListenerPlan, Plan, UpstreamPlan, UpstreamTlsPlan};
use crate::edge::connection::ConnectionLimits;
use crate::edge::head::HeadLimits;
use crate::edge::proxy::RequestLimits;
use crate::edge::server::{EdgeOptions, ListenerOptions};
use crate::edge::tls::Certificate;
use crate::edge::upstream::{HostShown, ServerOptions, UpstreamOptions, UpstreamTls, Upstreams};

/// Idle upstream connections kept, in all.
const POOL: usize = 1_024;

/// What the edge of `plan` is set up with, served by `threads` threads.
#[must_use]
pub fn options(plan: &Plan, threads: usize) -> EdgeOptions {
    let limits = &plan.limits;
    EdgeOptions {
        listeners: plan.listeners.iter().map(listener).collect(),
        connection: ConnectionLimits {
            head: HeadLimits { bytes: limits.header_bytes, fields: limits.header_fields },
            head_timeout: limits.header_timeout,
            keepalive_idle: limits.keepalive_idle,
            keepalive_requests: limits.keepalive_requests,
        },
        request: RequestLimits {
            fields: limits.header_fields,
            body_bytes: limits.body_bytes.map(|bytes| bytes as u64),
            body_timeout: limits.body_timeout,
            write_timeout: limits.write_timeout,
            ..EdgeOptions::default().request
        },
        connections: limits.connections,
        connections_per_address: limits.connections_per_address,
        protected: protected(plan),
        upstream_pool: POOL.div_ceil(threads.max(1)),
        grace: plan.grace,
    }
}

/// The upstreams of `plan`, in written order; in place of `running`, where some are.
///
/// # Errors
///
/// A sentence for the operator.
pub fn upstreams(plan: &Plan, running: Option<&Upstreams>) -> Result<Arc<Upstreams>, String> {
    let options = plan.upstreams.iter().map(upstream).collect();
    let built = match running {
        None => Upstreams::new(options),
        Some(running) => Upstreams::after(running, options),
    };
    built.map_err(|fault| fault.to_string())
}

fn listener(plan: &ListenerPlan) -> ListenerOptions {
    let certificate = plan.tls.as_ref().map(|tls| Certificate::new(Arc::clone(&tls.certified)));
    ListenerOptions { address: plan.address, certificate, http2: plan.h2 }
}

fn upstream(plan: &UpstreamPlan) -> UpstreamOptions {
    UpstreamOptions {
        name: Arc::clone(&plan.name),
        servers: plan
            .servers
            .iter()
            .map(|server| ServerOptions { host: server.host.clone(), port: server.port, authority: server.authority.clone() })
            .collect(),
        tls: plan.tls.as_ref().map(upstream_tls),
        connect_timeout: plan.connect_timeout,
        tls_timeout: plan.tls_timeout,
        read_timeout: plan.read_timeout,
        write_timeout: plan.write_timeout,
        idle_timeout: plan.idle_timeout,
        tries: plan.tries,
        host: match plan.host_header {
            HostHeader::Preserve => HostShown::Preserved,
            HostHeader::Upstream => HostShown::Own,
        },
        most_in_flight: plan.max_connections,
        http2: plan.h2,
    }
}

fn upstream_tls(plan: &UpstreamTlsPlan) -> UpstreamTls {
    UpstreamTls {
        anchors: plan.ca.as_ref().map(|anchors| anchors.iter().map(|der| Box::from(der.as_ref())).collect()),
        server_name: plan.sni.clone(),
        verify: plan.verify,
    }
}

/// Names that no client may have removed by nominating them in `Connection`: what any rule emits, where credentials stand.
fn protected(plan: &Plan) -> Vec<HeaderName> {
    let mut names = emitted(plan);
    names.extend(credential_headers(plan));
    names
}

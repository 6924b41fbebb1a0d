//! The section `upstreams`: the services that requests are forwarded to.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use crate::config::limits::refuse_zero;
use crate::config::pem;
use crate::config::plan::{ActionPlan, HostHeader, ListenerPlan, RulePlan, ServerPlan, UpstreamPlan, UpstreamTlsPlan};
use crate::config::root::{Root, fault_of_name, opened};
use crate::settings::{Checking, Entry, KeySpec, Node, Section, SectionSpec, Shape, Span, sound};

/// The shape of `upstreams`.
pub(super) const UPSTREAMS: Shape = Shape::Map(&ONE);

const ONE: Shape = Shape::Either(&[Shape::Url, Shape::Section(&UPSTREAM)]);

static UPSTREAM: SectionSpec = SectionSpec {
    title: "an upstream",
    doc: "A service behind the proxy. A URL alone stands for the long form with that one server.",
    keys: &[
        KeySpec::required(
            "servers",
            Shape::List { of: &Shape::Url, lone: true, min: 1 },
            "Its servers, taken in turn: `http://10.0.0.5:9000`. All `http` or all `https`, without a path.",
        ),
        KeySpec::default("connect_timeout", TIMEOUT, "3s", "For a TCP connection. A server nearby answers in milliseconds or not at all."),
        KeySpec::default("tls_timeout", TIMEOUT, "5s", "For the TLS handshake, after the connection stands."),
        KeySpec::default("read_timeout", TIMEOUT, "60s", "Silence while a response is awaited or read; then 504."),
        KeySpec::default("write_timeout", TIMEOUT, "60s", "Silence while a request is written."),
        KeySpec::default(
            "idle_timeout",
            TIMEOUT,
            "50s",
            "How long an idle connection is kept. Less than the usual 60 s of servers, so that they are not the first to close.",
        ),
        KeySpec::default(
            "tries",
            Shape::Count { min: 1, max: 10 },
            "3",
            "Attempts to connect, the first among them. A request that has been sent is never sent twice.",
        ),
        KeySpec::optional("tls", Shape::Section(&UPSTREAM_TLS), "How its certificate is verified. Only with `https` servers."),
        KeySpec::default(
            "host_header",
            Shape::OneOf(&["preserve", "upstream"]),
            "preserve",
            "Which `Host` it sees: the client's, or its own as written in `servers`.",
        ),
        KeySpec::optional(
            "max_connections",
            Shape::Count { min: 1, max: 1_000_000 },
            "Requests in flight to it at most; beyond that 503. Without bound unless written.",
        ),
        KeySpec::default("h2", Shape::Bool, "false", "Whether it is spoken to in HTTP/2: offered over TLS, assumed in plaintext."),
    ],
};

static UPSTREAM_TLS: SectionSpec = SectionSpec {
    title: "`tls` of an upstream",
    doc: "How the certificate of an upstream is verified.",
    keys: &[
        KeySpec::optional("ca", Shape::File, "PEM file of certificates that its chain must end in. The system's unless written."),
        KeySpec::optional("sni", Shape::Text, "The name asked for and verified. The server's own host unless written."),
        KeySpec::default(
            "verify",
            Shape::Bool,
            "true",
            "Whether chain and name are verified. `false` lets anyone in between answer and read credentials.",
        ),
    ],
};

const TIMEOUT: Shape = Shape::Duration { min: 0, max: 86_400 };

/// Proves `upstreams`, in written order; `None` stands for one at fault.
pub(super) fn upstreams(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<Option<UpstreamPlan>> {
    root.entries("upstreams")
        .iter()
        .map(|entry| {
            if let Some(fault) = fault_of_name(&entry.key) {
                checking.faults.error(&entry.span, fault);
                return None;
            }
            upstream(root, &entry.key, &entry.node, checking)
        })
        .collect()
}

fn upstream(root: &Root<'_>, name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<UpstreamPlan> {
    if !sound(ONE, node) {
        return None;
    }
    // Defaults are read from the same table in both forms.
    let (section, written) = match node.as_text() {
        Some(_) => (root.defaults(&UPSTREAM), vec![node]),
        None => {
            let section = opened(&UPSTREAM, node)?;
            (section, section.items("servers"))
        }
    };
    for key in ["connect_timeout", "tls_timeout", "read_timeout", "write_timeout", "idle_timeout"] {
        refuse_zero(&section, key, checking);
    }
    let mut servers = Vec::new();
    let mut secure: Option<bool> = None;
    let mut complete = true;
    for node in written {
        let url = Url::parse(node.as_text()?).ok()?;
        let https = url.scheme() == "https";
        if secure.is_some_and(|secure| secure != https) {
            checking.faults.error(&node.span, "the servers of one upstream are all `http` or all `https`");
            complete = false;
        }
        secure = secure.or(Some(https));
        match server(&url, &node.span, checking) {
            Some(server) => servers.push(server),
            None => complete = false,
        }
    }
    let tls = tls(&section, secure.unwrap_or(false), checking);
    if !complete {
        return None;
    }
    Some(UpstreamPlan {
        name: Arc::from(name),
        servers,
        tls: tls?,
        connect_timeout: section.duration("connect_timeout")?,
        tls_timeout: section.duration("tls_timeout")?,
        read_timeout: section.duration("read_timeout")?,
        write_timeout: section.duration("write_timeout")?,
        idle_timeout: section.duration("idle_timeout")?,
        tries: section.count("tries").and_then(|tries| usize::try_from(tries).ok())?,
        host_header: if section.text("host_header") == Some("upstream") { HostHeader::Upstream } else { HostHeader::Preserve },
        max_connections: section.count("max_connections").and_then(|count| usize::try_from(count).ok()),
        h2: section.flag("h2"),
    })
}

fn server(url: &Url, at: &Span, checking: &mut Checking<'_>) -> Option<ServerPlan> {
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        checking.faults.error(at, "a server has no path or query: requests keep the path they were judged by");
        return None;
    }
    let port = url.port_or_known_default()?;
    let host = match url.host()? {
        Host::Domain(name) => name.into(),
        Host::Ipv4(address) => address.to_string().into(),
        Host::Ipv6(address) => address.to_string().into(),
    };
    let name = url.host_str()?;
    let authority = url.port().map_or_else(|| name.into(), |port| format!("{name}:{port}").into());
    Some(ServerPlan { host, port, authority })
}

/// `None` when at fault, `Some(None)` for plaintext.
fn tls(upstream: &Section<'_>, secure: bool, checking: &mut Checking<'_>) -> Option<Option<UpstreamTlsPlan>> {
    let Some(node) = upstream.node("tls") else {
        return Some(secure.then_some(UpstreamTlsPlan { ca: None, sni: None, verify: true }));
    };
    let section = opened(&UPSTREAM_TLS, node)?;
    if !secure {
        checking.faults.error(&node.span, "`tls` has no meaning for `http` servers; write `https://` in `servers`");
        return None;
    }
    let ca = match section.text("ca") {
        None => None,
        Some(path) => Some(Arc::from(pem::certificates(path, section.span_of("ca"), checking)?)),
    };
    let verify = section.flag("verify");
    if !verify {
        let says = "`verify: false` lets anyone between here and the upstream read every request; name its `ca` instead";
        checking.faults.warn(section.span_of("verify"), says);
    }
    Some(Some(UpstreamTlsPlan { ca, sni: section.text("sni").map(Box::from), verify }))
}

/// Shows that what systems add for the eyes of an upstream alone is sent to it encrypted, or does not leave this machine.
pub(super) fn refuse_plain_secrets(rules: &[RulePlan], upstreams: &[UpstreamPlan], root: &Root<'_>, checking: &mut Checking<'_>) {
    let written = root.get("rules").and_then(Node::as_list).unwrap_or_default();
    for (rule, node) in rules.iter().zip(written) {
        let (Some(secret), ActionPlan::Forward(forward)) = (rule.system.as_ref().and_then(|system| system.shows_secret()), &rule.action)
        else {
            continue;
        };
        let Some(upstream) = upstreams.get(forward.upstream).filter(|upstream| upstream.tls.is_none()) else { continue };
        if let Some(server) = upstream.servers.iter().find(|server| !is_this_machine(&server.host)) {
            let says = format!(
                "`{}` is spoken to in plain http, and everyone on the way to `{}` would read {secret}, which is added here; write `https`",
                upstream.name, server.authority
            );
            checking.faults.error(node.get("forward").map_or(&node.span, |forward| &forward.span), says);
        }
    }
}

/// Whether what is sent to `host` stays on this machine.
fn is_this_machine(host: &str) -> bool {
    host.parse::<IpAddr>().map_or(host == "localhost", |address| address.to_canonical().is_loopback())
}

/// An upstream that is one of our own listeners would be asked by itself, for ever.
///
/// `written` are the entries of the section, in the order of `upstreams`.
pub(super) fn refuse_loops(upstreams: &[UpstreamPlan], listeners: &[ListenerPlan], written: &[Entry], checking: &mut Checking<'_>) {
    for (upstream, entry) in upstreams.iter().zip(written) {
        for server in &upstream.servers {
            let here = |listener: &&ListenerPlan| {
                let own = listener.address.ip();
                let same = match server.host.parse::<IpAddr>() {
                    Ok(address) => address == own || (own.is_unspecified() && address.is_loopback()),
                    Err(_) => *server.host == *"localhost" && (own.is_unspecified() || own.is_loopback()),
                };
                same && listener.address.port() == server.port
            };
            if let Some(listener) = listeners.iter().find(here) {
                let says =
                    format!("`{}` is this proxy's own listener `{}`; requests would go round for ever", server.authority, listener.address);
                checking.faults.error(&entry.node.span, says);
            }
        }
    }
}

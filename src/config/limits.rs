//! The sections `limits`, `governor`, `cache`, `outbound` and `trusted_proxies`: bounds, and whom to believe.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::pem;
use crate::config::plan::{CachePlan, GovernorPlan, LimitsPlan, OutboundPlan};
use crate::config::root::Root;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The `limits` section.
pub(super) static LIMITS: SectionSpec = SectionSpec {
    title: "`limits`",
    doc: "Bounds on what a client may send and hold. The framework underneath has none of its own for most of these.",
    keys: &[
        KeySpec::default(
            "header_bytes",
            Shape::Size { min: 1 << 10, max: 1 << 20 },
            "32KiB",
            "Bytes of a request head, beyond which 431. Tokens of several KiB fit; a flood of cookies does not.",
        ),
        KeySpec::default("header_fields", Shape::Count { min: 8, max: 256 }, "100", "Fields of a request head, beyond which 431."),
        KeySpec::default("header_timeout", TIMEOUT, "10s", "In which a head must be complete, however slowly it drips."),
        KeySpec::default("body_timeout", TIMEOUT, "60s", "Silence while a request body is read."),
        KeySpec::optional(
            "body_bytes",
            Shape::Size { min: 0, max: 1 << 50 },
            "Bytes of a forwarded request body, beyond which 413. Without bound unless written: bodies are streamed, not held.",
        ),
        KeySpec::default("write_timeout", TIMEOUT, "60s", "Silence while a response is written to a client that does not read."),
        KeySpec::default("keepalive_idle", TIMEOUT, "60s", "How long a client connection may idle between requests."),
        KeySpec::default(
            "keepalive_requests",
            Shape::Count { min: 0, max: 1_000_000_000 },
            "10000",
            "Requests per client connection, then it is closed; 0 for without bound.",
        ),
        KeySpec::default("connections", Shape::Count { min: 1, max: 10_000_000 }, "10000", "Client connections at once."),
        KeySpec::default(
            "connections_per_address",
            Shape::Count { min: 1, max: 10_000_000 },
            "1000",
            "Client connections at once from one address. Raise it behind a proxy of your own.",
        ),
        KeySpec::default(
            "notes",
            Shape::Count { min: 1, max: 10_000_000 },
            "100000",
            "What rules with a `system` may have remembered at once for their callers, on this node: one-time tokens that were seen,              signatures that work once, quotas. Beyond that 429; sessions and spent credentials are not touched by it.",
        ),
        KeySpec::default(
            "notes_per_address",
            Shape::Count { min: 1, max: 10_000_000 },
            "1000",
            "The same for one client network (IPv4 /32, IPv6 /64). Raise it where many callers come from one, such as a back end of yours.",
        ),
    ],
};

/// The shape of `governor`.
pub(super) const GOVERNOR: Shape = Shape::Either(&[OFF, Shape::Section(&GOVERNOR_SECTION)]);

static GOVERNOR_SECTION: SectionSpec = SectionSpec {
    title: "`governor`",
    doc: "Budgets of failed attempts. Only failures count: a stranger's never lock out a valid key.",
    keys: &[
        KeySpec::default(
            "failures_per_address",
            Shape::Count { min: 1, max: 1_000_000 },
            "100",
            "Failures per client network (IPv4 /32, IPv6 /64) and window.",
        ),
        KeySpec::default(
            "failures_per_id",
            Shape::Count { min: 1, max: 1_000_000 },
            "20",
            "Failures per claimed id and client network, and window.",
        ),
        KeySpec::default("window", Shape::Duration { min: 1, max: 86_400 }, "1m", "After which failures are forgotten."),
        KeySpec::default(
            "tracked",
            Shape::Count { min: 1_024, max: 16_777_216 },
            "65536",
            "Networks and ids remembered at once. Memory is bounded by it: about 64 bytes each.",
        ),
    ],
};

/// The shape of `cache`.
pub(super) const CACHE: Shape = Shape::Either(&[OFF, Shape::Section(&CACHE_SECTION)]);

static CACHE_SECTION: SectionSpec = SectionSpec {
    title: "`cache`",
    doc: "Verified credentials are remembered under a digest of the whole credential. Their times are still checked on every request, \
          and what rests on a removed key is forgotten at once.",
    keys: &[
        KeySpec::default(
            "max_bytes",
            Shape::Size { min: 1 << 16, max: 1 << 36 },
            "64MiB",
            "How much it may hold: about 80,000 tokens with claims of the usual size.",
        ),
        KeySpec::default(
            "max_age",
            MAX_AGE,
            "5m",
            "How long a verdict is remembered at most, where an authenticator does not say otherwise.",
        ),
    ],
};

/// The `outbound` section.
pub(super) static OUTBOUND: SectionSpec = SectionSpec {
    title: "`outbound`",
    doc: "How key sets and other outbound answers are fetched. Redirects are not followed and no proxy is taken from the environment.",
    keys: &[
        KeySpec::optional("ca", Shape::File, "PEM file of certificates trusted beside the system's, for a private issuer."),
        KeySpec::default(
            "resolve",
            Shape::Map(&Shape::Text),
            "{}",
            "Fixed addresses of host names: `id.example: 127.0.0.1:9443`, or without a port to keep the URL's.",
        ),
    ],
};

/// How long a verdict may be remembered.
pub(super) const MAX_AGE: Shape = Shape::Duration { min: 1, max: 3_600 };

/// The word that switches a thing off.
pub(super) const OFF: Shape = Shape::OneOf(&["off"]);

const TIMEOUT: Shape = Shape::Duration { min: 0, max: 86_400 };

/// Proves `limits`.
pub(super) fn limits(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<LimitsPlan> {
    let section = root.section(&LIMITS, "limits")?;
    for key in ["header_timeout", "body_timeout", "write_timeout", "keepalive_idle"] {
        refuse_zero(&section, key, checking);
    }
    let plan = LimitsPlan {
        header_bytes: section.size("header_bytes")?,
        header_fields: number(&section, "header_fields")?,
        header_timeout: section.duration("header_timeout")?,
        body_timeout: section.duration("body_timeout")?,
        body_bytes: section.size("body_bytes"),
        keepalive_idle: section.duration("keepalive_idle")?,
        keepalive_requests: number(&section, "keepalive_requests").filter(|count| *count != 0),
        write_timeout: section.duration("write_timeout")?,
        connections: number(&section, "connections")?,
        connections_per_address: number(&section, "connections_per_address")?,
        notes: number(&section, "notes")?,
        notes_per_address: number(&section, "notes_per_address")?,
    };
    if plan.connections < plan.connections_per_address && section.node("connections_per_address").is_some() {
        let says = format!(
            "one address may hold more connections than the {} there are at all; one client can keep all others out",
            plan.connections
        );
        checking.faults.warn(section.span_of("connections_per_address"), says);
    }
    if plan.notes < plan.notes_per_address && section.node("notes_per_address").is_some() {
        let says =
            format!("one address may have more remembered than the {} there are at all; one client can keep all others out", plan.notes);
        checking.faults.warn(section.span_of("notes_per_address"), says);
    }
    Some(plan)
}

/// Proves `governor`; `Some(None)` when it is off.
pub(super) fn governor(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<Option<GovernorPlan>> {
    let node = root.get("governor");
    if let Some(node) = node.filter(|node| is_off(node)) {
        checking.faults.warn(&node.span, "`governor: off` lets anyone try secrets as fast as they can");
        return Some(None);
    }
    let section = root.section_of(&GOVERNOR_SECTION, node)?;
    Some(Some(GovernorPlan {
        failures_per_address: number(&section, "failures_per_address")?,
        failures_per_id: number(&section, "failures_per_id")?,
        window: section.duration("window")?,
        tracked: number(&section, "tracked")?,
    }))
}

/// Proves `cache`; `Some(None)` when it is off.
pub(super) fn cache(root: &Root<'_>) -> Option<Option<CachePlan>> {
    let node = root.get("cache");
    if node.is_some_and(is_off) {
        return Some(None);
    }
    let section = root.section_of(&CACHE_SECTION, node)?;
    Some(Some(CachePlan { max_bytes: section.size("max_bytes")?, max_age: section.seconds("max_age")? }))
}

/// Proves `outbound`.
pub(super) fn outbound(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<OutboundPlan> {
    let section = root.section(&OUTBOUND, "outbound")?;
    let ca = match section.text("ca") {
        None => None,
        Some(path) => Some(Arc::from(pem::certificates(path, section.span_of("ca"), checking)?)),
    };
    let mut resolve = Vec::new();
    for entry in section.node("resolve").and_then(Node::as_map).unwrap_or_default() {
        let text = entry.node.as_text()?;
        let address = text.parse::<SocketAddr>().or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0)));
        match address {
            Ok(address) => resolve.push((entry.key.to_ascii_lowercase().into(), address)),
            Err(_) => {
                let says = format!("`{text}` is not an IP address, with or without a port; write `127.0.0.1` or `127.0.0.1:9443`");
                checking.faults.error(&entry.node.span, says);
            }
        }
    }
    Some(OutboundPlan { ca, resolve })
}

/// Proves `trusted_proxies`.
pub(super) fn trusted_proxies(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for node in root.top().items("trusted_proxies") {
        let Some(text) = node.as_text() else { continue };
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) if network.trunc() != network => {
                let says = format!("`{network}` has bits beyond its prefix; write `{}`, or the address alone", network.trunc());
                checking.faults.error(&node.span, says);
            }
            Ok(network) => {
                if network.prefix_len() == 0 {
                    checking
                        .faults
                        .warn(&node.span, format!("`{network}` believes everyone; name the proxies that stand in front of this one"));
                }
                networks.push(network);
            }
            Err(_) => checking.faults.error(&node.span, format!("`{text}` is no network; write `10.0.0.0/8` or an address")),
        }
    }
    networks
}

/// Whether `node` says `off`.
pub(super) fn is_off(node: &Node) -> bool {
    node.as_text() == Some("off")
}

/// The whole number under `key`, or its default, as the type it is used as.
pub(super) fn number<T: TryFrom<i64>>(section: &Section<'_>, key: &str) -> Option<T> {
    section.count(key).and_then(|count| T::try_from(count).ok())
}

/// A time-out of zero would fail everything, or, worse, mean none.
pub(super) fn refuse_zero(section: &Section<'_>, key: &str, checking: &mut Checking<'_>) {
    if section.duration(key) == Some(Duration::ZERO) {
        checking.faults.error(section.span_of(key), format!("`{key}` must be longer than nothing, such as `10s`"));
    }
}

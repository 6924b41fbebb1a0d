//! The sections `listeners` and `admin`: where clients and operators connect.
//!
//! Certificates are parsed here and proven to belong to their keys; nothing is bound.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;

use crate::config::pem;
use crate::config::plan::{AdminPlan, ListenerPlan, TlsPlan};
use crate::config::root::{Root, opened};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The shape of `listeners`.
pub(super) const LISTENERS: Shape = Shape::List { of: &Shape::Section(&LISTENER), lone: false, min: 1 };

static LISTENER: SectionSpec = SectionSpec {
    title: "a listener",
    doc: "One address that clients connect to.",
    keys: &[
        KeySpec::required("address", Shape::Text, "IP address and port: `0.0.0.0:8080`, `[::]:8443`."),
        KeySpec::optional("tls", Shape::Section(&TLS), "Certificate and key. Plaintext without."),
        KeySpec::default(
            "h2",
            Shape::Bool,
            "true",
            "Whether HTTP/2 is spoken: offered by ALPN over TLS, accepted with prior knowledge in plaintext.",
        ),
    ],
};

static TLS: SectionSpec = SectionSpec {
    title: "`tls`",
    doc: "The certificate that a listener shows. Both files are watched.",
    keys: &[
        KeySpec::required("certificate", Shape::File, "PEM file with the certificate, then its intermediates."),
        KeySpec::required("key", Shape::File, "PEM file with the private key, unencrypted."),
    ],
};

/// The `admin` section.
pub(super) static ADMIN: SectionSpec = SectionSpec {
    title: "`admin`",
    doc: "Where operators look in: `/livez`, `/readyz`, `/metrics`.",
    keys: &[
        KeySpec::required("address", Shape::Text, "IP address and port. Use loopback, or set `token`."),
        KeySpec::optional(
            "token",
            Shape::Secret,
            "The bearer that `/metrics` demands, and `/revocations` everywhere. Required off loopback: metrics tell which rules exist and who fails.",
        ),
    ],
};

/// Proves `listeners`. Those at fault are left out; the faults have been noted.
pub(super) fn listeners(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<ListenerPlan> {
    let mut plans: Vec<ListenerPlan> = Vec::new();
    for node in root.get("listeners").and_then(Node::as_list).unwrap_or_default() {
        let Some(section) = opened(&LISTENER, node) else { continue };
        let address = address(&section, checking);
        let tls = match section.node("tls") {
            None => Some(None),
            Some(node) => opened(&TLS, node).and_then(|section| tls(&section, checking)).map(Some),
        };
        let (Some(address), Some(tls)) = (address, tls) else { continue };
        if plans.iter().any(|plan| plan.address == address) {
            checking.faults.error(section.span_of("address"), format!("`{address}` is listened on twice; remove one"));
            continue;
        }
        plans.push(ListenerPlan { address, tls, h2: section.flag("h2") });
    }
    plans
}

/// Proves `admin`.
pub(super) fn admin(root: &Root<'_>, listeners: &[ListenerPlan], checking: &mut Checking<'_>) -> Option<AdminPlan> {
    let section = opened(&ADMIN, root.get("admin")?)?;
    let address = address(&section, checking);
    let token = section.node("token").map(|node| checking.secret(node));
    let address = address?;
    // Port 0 is any free one, so never the same.
    if address.port() != 0 && listeners.iter().any(|listener| listener.address == address) {
        checking.faults.error(
            section.span_of("address"),
            format!("`{address}` is a listener for clients already; give `admin` an address of its own, on loopback"),
        );
    }
    if token.is_none() && !address.ip().is_loopback() {
        checking.faults.error(
            section.span_of("address"),
            format!("`{address}` can be reached from other machines; use `127.0.0.1:{}`, or set `token`", address.port()),
        );
    }
    if let Some(Some(token)) = &token
        && token.len() < MIN_TOKEN
    {
        let says = format!("this token has {} bytes; use at least {MIN_TOKEN}, from a random source", token.len());
        checking.faults.error(section.span_of("token"), says);
    }
    Some(AdminPlan { address, token: token.flatten() })
}

fn address(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<SocketAddr> {
    let text = section.text("address")?;
    let parsed = text.parse();
    if parsed.is_err() {
        let says = format!("`{text}` is not an IP address with a port; write `0.0.0.0:8080` or `[::1]:8080`");
        checking.faults.error(section.span_of("address"), says);
    }
    parsed.ok()
}

fn tls(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<TlsPlan> {
    let (certificate, key) = (section.text("certificate")?, section.text("key")?);
    let chain = pem::certificates(certificate, section.span_of("certificate"), checking);
    let private = pem::private_key(key, section.span_of("key"), checking);
    let (chain, private) = (chain?, private?);
    match CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
        Ok(certified) => Some(TlsPlan {
            certified: Arc::new(certified),
            certificate_file: checking.material.resolve(certificate),
            key_file: checking.material.resolve(key),
        }),
        Err(error) => {
            checking.faults.error(section.span_of("key"), format!("certificate and key cannot be used together: {error}"));
            None
        }
    }
}

/// A shorter bearer can be guessed.
const MIN_TOKEN: usize = 16;

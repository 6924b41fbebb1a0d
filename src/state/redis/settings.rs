//! The settings of the store, and their proof.
//!
//! Never here: a connection; a user name or password in a URL, which would end up in messages.

use std::net::IpAddr;

use ::aws_lc_rs::digest::{Context, SHA256};
use redis::io::tcp::TcpSettings;
use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, TlsCertificates};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use url::Url;

use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::state::redis::dial::Dialer;
use crate::state::redis::names::Names;
use crate::state::redis::plan::RedisPlan;

pub(super) static SETTINGS: SectionSpec = SectionSpec {
    title: "`redis`",
    doc: "In a Redis or Valkey server, version 7 or later: for several nodes that share it. How much it remembers when it is killed is its \
          own setting. Not in a cluster.",
    keys: &[
        KeySpec::required(
            "url",
            Shape::Text,
            "The server: `redis://host:6379/0`, or `rediss://` for TLS. The path is the number of the database.",
        ),
        KeySpec::optional("username", Shape::Text, "The user it knows us by (ACL). Only with `password`."),
        KeySpec::optional(
            "password",
            Shape::Secret,
            "The password. Another one counts from the next start; a reload with it is refused with `needs_restart`.",
        ),
        KeySpec::optional(
            "ca",
            Shape::File,
            "PEM file of certificates that the server's chain must end in. The system's unless written. Only with `rediss`.",
        ),
        KeySpec::optional(
            "certificate",
            Shape::File,
            "PEM file with the certificate we show to the server. Only with `rediss`, and with `key`.",
        ),
        KeySpec::optional("key", Shape::File, "PEM file with its private key, unencrypted."),
        KeySpec::default(
            "prefix",
            Shape::Text,
            "countersign",
            "What the names of all our keys begin with, in braces. Nodes with the same one share everything; letters, digits, `-`, `_` and `.`.",
        ),
        KeySpec::default("timeout", TIMEOUT, "500ms", "For each answer. Then 503, for what rests on the store."),
        KeySpec::default("connect_timeout", TIMEOUT, "2s", "For a connection, TLS and password included."),
        KeySpec::default(
            "strict",
            Shape::Bool,
            "false",
            "Whether the server must be set to lose nothing: `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`. Otherwise \
             the process does not start, or the store is not used.",
        ),
        KeySpec::default(
            "plaintext",
            Shape::Bool,
            "false",
            "Whether a server on another machine may be spoken to without TLS. Whoever is in between then reads the password, and can make \
             a spent credential good again.",
        ),
    ],
};

const TIMEOUT: Shape = Shape::Duration { min: 0, max: 60 };

/// Proves the settings.
pub(super) fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<RedisPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();

    let server = server(&section, checking);
    let secure = server.as_ref().is_some_and(|server| server.secure);
    let login = login(&section, checking);
    let certificates = certificates(&section, server.as_ref().map(|_| secure), checking);
    let prefix = section.text("prefix")?;
    if prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        let says = format!("`prefix` is made of letters, digits, `-`, `_` and `.`, at most {LONGEST_PREFIX} of them; found `{prefix}`");
        checking.faults.error(section.span_of("prefix"), says);
    }
    for key in ["timeout", "connect_timeout"] {
        if section.duration(key).is_some_and(|length| length.is_zero()) {
            checking.faults.error(section.span_of(key), format!("`{key}: 0` would leave no time for any answer"));
        }
    }
    if before < checking.faults.errors() {
        return None;
    }

    let server = server?;
    let (login, certificates) = (login?, certificates?);
    let credentials = fingerprint(&login, &certificates);
    let client = client(&server, login, certificates).inspect_err(|says| checking.faults.error(section.span(), says.clone())).ok()?;
    let dialer = Dialer { client, timeout: section.duration("timeout")?, connect_timeout: section.duration("connect_timeout")? };
    let (names, strict, shown) = (Names::new(prefix), section.flag("strict"), section.text("url")?.into());
    Some(RedisPlan { dialer, names, strict, shown, credentials })
}

/// More would only make every key longer.
const LONGEST_PREFIX: usize = 64;

/// Where the server is.
struct Server {
    host: String,
    port: u16,
    database: i64,
    secure: bool,
}

fn server(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Server> {
    let (text, span) = (section.text("url")?, section.span_of("url"));
    let server = match read_url(text) {
        Ok(server) => server,
        Err(says) => {
            checking.faults.error(span, says);
            return None;
        }
    };
    let plaintext = section.flag("plaintext");
    let is_here = server.host == "localhost" || server.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match (server.secure || is_here, plaintext) {
        (false, false) => {
            let says = format!(
                "`{}` is another machine, and everything would go there in plaintext; write `rediss://`, or `plaintext: true` where the \
                 network in between is trusted like this machine",
                server.host
            );
            checking.faults.error(span, says);
        }
        (false, true) => {
            let says = "everything goes to another machine in plaintext; whoever is in between can make a spent credential good again";
            checking.faults.warn(section.span_of("plaintext"), says);
        }
        (true, true) => checking.faults.warn(section.span_of("plaintext"), "`plaintext: true` has no effect for this `url`"),
        (true, false) => {}
    }
    Some(server)
}

fn read_url(text: &str) -> Result<Server, String> {
    const EXPECTED: &str = "write `redis://host:6379/0`, or `rediss://` for TLS";
    let url = Url::parse(text).map_err(|_| format!("`url` is not a URL; {EXPECTED}"))?;
    let secure = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        scheme if scheme.contains("sentinel") || scheme.contains("cluster") => {
            return Err(format!(
                "Redis Sentinel and Cluster are not supported; name one server, or the address that always leads to the primary: {EXPECTED}"
            ));
        }
        scheme => return Err(format!("`{scheme}` is not how a Redis is spoken to; {EXPECTED}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` must not carry a user name or password; use `username` and `password`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`url` has no query and no fragment; {EXPECTED}"));
    }
    let host = url.host_str().unwrap_or_default();
    if host.contains(',') {
        return Err(format!("`url` names several servers; Redis Sentinel and Cluster are not supported: {EXPECTED}"));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_name && bare.parse::<IpAddr>().is_err() {
        return Err(format!("`url` names no host; {EXPECTED}"));
    }
    let database = match url.path() {
        "" | "/" => Some(0),
        path => {
            path.strip_prefix('/').filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).and_then(|number| number.parse().ok())
        }
    };
    let database: u32 = database.ok_or_else(|| format!("the path of `url` is the number of a database; {EXPECTED}"))?;
    Ok(Server { host: bare.to_ascii_lowercase(), port: url.port().unwrap_or(6379), database: i64::from(database), secure })
}

/// The user and password, as far as there are any; `None` when at fault.
fn login(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<RedisConnectionInfo> {
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    let Some(node) = section.node("password") else {
        if section.node("username").is_some() {
            checking.faults.error(section.span_of("username"), "`username` needs a `password`");
        }
        return Some(info);
    };
    let password = checking.secret(node)?;
    let Ok(password) = std::str::from_utf8(password.expose()) else {
        checking.faults.error(&node.span, "this password is not UTF-8; it cannot be sent to the server");
        return None;
    };
    let info = info.set_password(password);
    Some(match section.text("username") {
        Some(username) => info.set_username(username),
        None => info,
    })
}

/// A digest of everything that we show to the server, and of whom we believe.
fn fingerprint(login: &RedisConnectionInfo, certificates: &TlsCertificates) -> [u8; 32] {
    let TlsCertificates { client_tls, root_cert } = certificates;
    let parts = [
        login.username().map(str::as_bytes),
        login.password().map(str::as_bytes),
        root_cert.as_deref(),
        client_tls.as_ref().map(|shown| shown.client_cert.as_slice()),
        client_tls.as_ref().map(|shown| shown.client_key.as_slice()),
    ];
    let mut context = Context::new(&SHA256);
    for part in parts {
        // What is absent and what is empty differ, and no part runs into the next.
        context.update(&[u8::from(part.is_some())]);
        context.update(&part.map_or(0, <[u8]>::len).to_be_bytes());
        context.update(part.unwrap_or_default());
    }
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// What TLS rests on; `None` when at fault. Whether the server is spoken to over TLS is not known when its URL is at fault.
fn certificates(section: &Section<'_>, secure: Option<bool>, checking: &mut Checking<'_>) -> Option<TlsCertificates> {
    if secure == Some(false) {
        for key in ["ca", "certificate", "key"] {
            if section.node(key).is_some() {
                checking.faults.error(section.span_of(key), format!("`{key}` has no meaning without TLS; write `rediss://` in `url`"));
            }
        }
    }
    let root_cert = match section.text("ca") {
        Some(_) => Some(pem(section, "ca", checking)?).filter(|pem| proven_roots(pem, section, checking)),
        None => None,
    };
    let client_tls = match (section.text("certificate"), section.text("key")) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            let (certificate, key) = (pem(section, "certificate", checking), pem(section, "key", checking));
            Some(pair(certificate?, key?, section, checking)?)
        }
        (Some(_), None) => {
            checking.faults.error(section.span_of("certificate"), "`certificate` needs its `key`");
            None
        }
        (None, Some(_)) => {
            checking.faults.error(section.span_of("key"), "`key` needs its `certificate`");
            None
        }
    };
    Some(TlsCertificates { client_tls, root_cert })
}

fn pem(section: &Section<'_>, key: &str, checking: &mut Checking<'_>) -> Option<Vec<u8>> {
    match checking.material.file(section.text(key)?) {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(why) => {
            checking.faults.error(section.span_of(key), why);
            None
        }
    }
}

/// Whether `pem` holds certificates, at least one, and each can be trusted.
fn proven_roots(pem: &[u8], section: &Section<'_>, checking: &mut Checking<'_>) -> bool {
    let mut roots = RootCertStore::empty();
    let certificates: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let sound = certificates.is_ok_and(|all| !all.is_empty() && all.into_iter().all(|one| roots.add(one).is_ok()));
    if !sound {
        checking.faults.error(section.span_of("ca"), "`ca` must be a PEM file of certificates that start `-----BEGIN CERTIFICATE-----`");
    }
    sound
}

/// The certificate we show and its key, proven to belong together.
fn pair(certificate: Vec<u8>, key: Vec<u8>, section: &Section<'_>, checking: &mut Checking<'_>) -> Option<ClientTlsConfig> {
    let chain: Option<Vec<CertificateDer<'static>>> = CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>().ok();
    let Some(chain) = chain.filter(|chain| !chain.is_empty()) else {
        checking.faults.error(section.span_of("certificate"), "`certificate` must be a PEM file that starts `-----BEGIN CERTIFICATE-----`");
        return None;
    };
    let Ok(private) = PrivateKeyDer::from_pem_slice(&key) else {
        checking.faults.error(section.span_of("key"), "`key` must be a PEM file with an unencrypted private key");
        return None;
    };
    if let Err(error) = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
        checking.faults.error(section.span_of("key"), format!("certificate and key cannot be used together: {error}"));
        return None;
    }
    Some(ClientTlsConfig { client_cert: certificate, client_key: key })
}

/// What connects, once everything is proven.
fn client(server: &Server, login: RedisConnectionInfo, certificates: TlsCertificates) -> Result<Client, String> {
    let host = server.host.clone();
    let address = if server.secure {
        ConnectionAddr::TcpTls { host, port: server.port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, server.port)
    };
    let build = || {
        // Requests are small and each is waited for.
        let info = address.into_connection_info()?.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let info = info.set_redis_settings(login.set_db(server.database));
        if server.secure { Client::build_with_tls(info, certificates) } else { Client::open(info) }
    };
    build().map_err(|error: redis::RedisError| format!("`redis` cannot be set up: {}", error.category()))
}

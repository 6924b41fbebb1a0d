//! A conf as proven: everything typed, every name resolved, every secret at hand.
//!
//! Only `config::check` makes a [`Plan`]. `assembly` turns it into what runs and asks no further questions about
//! the text; what can still go wrong there (a port in use) is the machine's doing.
//!
//! Never here: a value that was not checked; text that still has to be parsed; a secret that `Debug` would show.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use url::Url;

use crate::countersign::contract::CountersignerPlan;
use crate::domain::{Revocation, Seconds, Secret};
use crate::issuer::contract::ServicePlan;
use crate::issuer::pairs::Terms;
use crate::jose::mint::SigningKey;
use crate::policy::condition::Condition;
use crate::renew::contract::RenewerPlan;
use crate::renew::handling::{HandBack, Handling};
use crate::route::table::Table;
use crate::settings::Fault;
use crate::settings::material::Files;
use crate::state::contract::StorePlan;
use crate::systems::contract::SystemPlan;
use crate::verify::contract::SchemePlan;
use crate::verify::keys::contract::KeySourcePlan;

/// A proven conf.
#[derive(Debug)]
pub struct Plan {
    /// Where clients come in. At least one.
    pub listeners: Vec<ListenerPlan>,
    /// Where operators look in.
    pub admin: Option<AdminPlan>,
    /// Where requests go, in written order; `Admission::upstream` and [`ActionPlan::Forward`] count in this order.
    pub upstreams: Vec<UpstreamPlan>,
    /// Key stores, in written order, then those that authenticators imply (`discovery:ISSUER`).
    pub keys: Vec<KeyStorePlan>,
    /// Issuers of our own, in written order.
    pub issuers: Vec<IssuerPlan>,
    /// Authenticators, in written order; [`RequirementPlan`] counts in this order.
    pub authenticators: Vec<AuthenticatorPlan>,
    /// Renewers, in written order; [`RenewerUse`] counts in this order.
    pub renewers: Vec<RenewalPlan>,
    /// Rules, in written order; the table's rule numbers count in this order.
    pub rules: Vec<RulePlan>,
    /// Which rule a request falls under.
    pub table: Arc<Table>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send and hold.
    pub limits: LimitsPlan,
    /// Budgets of failures; `None` when switched off.
    pub governor: Option<GovernorPlan>,
    /// The verified-credential cache; `None` when switched off for all.
    pub cache: Option<CachePlan>,
    /// The audit record.
    pub audit: AuditPlan,
    /// How outbound questions (key sets, introspection) are asked.
    pub outbound: OutboundPlan,
    /// Where what must not be forgotten is kept.
    pub state: Arc<dyn StorePlan>,
    /// Whose credentials are no longer taken, as far as the conf says so.
    pub revocations: RevocationsPlan,
    /// How long `/readyz` waits for key sets at the start.
    pub startup_wait: Duration,
    /// How long requests in flight may take to finish after SIGTERM.
    pub grace: Duration,
    /// How long new connections are still taken after SIGTERM.
    pub drain_delay: Duration,
    /// Worker threads; `None` for one per processor.
    pub threads: Option<usize>,
    /// Whether a change of the conf file itself triggers a reload.
    pub watch: bool,
    /// The conf's file and folder as given, for watching and messages.
    pub origin: PathBuf,
    /// Every file that was read for it, the conf among them, by what was in it: one that reads differently later is a reason to
    /// reload.
    pub files: Files,
    /// What works but is probably not meant, in file order.
    pub warnings: Vec<Fault>,
}

/// One address that clients connect to.
#[derive(Debug, Clone)]
pub struct ListenerPlan {
    /// Where to listen.
    pub address: SocketAddr,
    /// Certificate and key; plaintext without.
    pub tls: Option<TlsPlan>,
    /// Whether HTTP/2 is spoken: by ALPN over TLS, with prior knowledge in plaintext.
    pub h2: bool,
}

/// A certificate chain and its key, parsed and proven to belong together.
#[derive(Clone)]
pub struct TlsPlan {
    /// What a rustls `ResolvesServerCert` hands out.
    pub certified: Arc<CertifiedKey>,
    /// The file of the certificate chain (PEM).
    pub certificate_file: PathBuf,
    /// The file of the private key (PEM).
    pub key_file: PathBuf,
}

/// Where operators look in.
#[derive(Debug, Clone)]
pub struct AdminPlan {
    /// Where to listen.
    pub address: SocketAddr,
    /// The bearer that everything but `/livez` and `/readyz` demands; always there off loopback.
    pub token: Option<Secret>,
}

/// A service that requests are forwarded to.
#[derive(Debug, Clone)]
pub struct UpstreamPlan {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// Its servers, taken in turn. At least one.
    pub servers: Vec<ServerPlan>,
    /// How it is spoken to over TLS; plaintext without.
    pub tls: Option<UpstreamTlsPlan>,
    /// Establishing a TCP connection.
    pub connect_timeout: Duration,
    /// The TLS handshake.
    pub tls_timeout: Duration,
    /// Silence while a response is awaited or read.
    pub read_timeout: Duration,
    /// Silence while a request is written.
    pub write_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Attempts in all to connect, the first among them.
    pub tries: usize,
    /// Which `Host` it is shown.
    pub host_header: HostHeader,
    /// Requests in flight at most; `None` without bound.
    pub max_connections: Option<usize>,
    /// Whether HTTP/2 is offered (over TLS) or spoken (in plaintext).
    pub h2: bool,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPlan {
    /// A host name or an IP address, IPv6 without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// The same as it stands in a `Host` header: default ports left out, IPv6 in brackets.
    pub authority: Box<str>,
}

/// How an upstream is spoken to over TLS.
#[derive(Clone)]
pub struct UpstreamTlsPlan {
    /// Certificates that its chain must end in; `None` for the system's.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The name asked for and verified; `None` for each server's own host.
    pub sni: Option<Box<str>>,
    /// Whether chain and name are verified. `false` only where the conf says so, with a warning.
    pub verify: bool,
}

/// Which `Host` an upstream is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The server's own authority.
    Upstream,
}

/// A key store.
#[derive(Debug)]
pub struct KeyStorePlan {
    /// Its name in the conf, or `discovery:ISSUER`.
    pub name: Arc<str>,
    /// Where its keys come from.
    pub source: Box<dyn KeySourcePlan>,
}

/// An issuer of our own.
#[derive(Debug, Clone)]
pub struct IssuerPlan {
    /// What its pairs have in common; its name among them.
    pub terms: Terms,
    /// Keys that sign, the first of them now. At least one.
    pub keys: Arc<[SigningKey]>,
}

/// An authenticator.
#[derive(Debug)]
pub struct AuthenticatorPlan {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// How it judges.
    pub scheme: Box<dyn SchemePlan>,
    /// How long its verdicts may be remembered; `None` when they may not.
    pub cache: Option<Seconds>,
    /// How its credentials are renewed; `None` when they are not.
    pub renewal: Option<RenewerUse>,
}

/// A renewer.
#[derive(Debug)]
pub struct RenewalPlan {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// Whom it asks, and how.
    pub renewer: Box<dyn RenewerPlan>,
    /// When it is used, and for how long.
    pub handling: Handling,
}

/// What an authenticator uses of a renewer.
#[derive(Debug)]
pub struct RenewerUse {
    /// Which of [`Plan::renewers`].
    pub renewer: usize,
    /// Whether clients bring what is spent; otherwise we hold it.
    pub brought: bool,
    /// Where clients find the fresh pair; `None` when they hold nothing of it.
    pub hand_back: Option<HandBack>,
}

/// A rule.
#[derive(Debug)]
pub struct RulePlan {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// The hosts, paths and methods it matches, as written; the table holds them as proven. Empty means any.
    pub written: Written,
    /// Who must be calling.
    pub requirement: RequirementPlan,
    /// What must hold besides, each of them.
    pub conditions: Vec<Arc<Condition>>,
    /// Scopes the caller must have, each of them.
    pub scopes: Vec<Box<str>>,
    /// What happens with an admitted request.
    pub action: ActionPlan,
    /// What happens with a CORS preflight.
    pub preflight: PreflightPlan,
    /// Where a browser navigation without credential is sent: an absolute URL, or a path of this host.
    pub login: Option<Arc<str>>,
    /// Whether unsafe methods with a cookie credential need proof of same origin.
    pub csrf: bool,
    /// Whether the path may hold a semicolon.
    pub allow_semicolon: bool,
    /// The system whose clients it serves.
    pub system: Option<Box<dyn SystemPlan>>,
    /// The authenticator of sessions that keeps the credentials which its upstream's replies bring.
    pub harvest: Option<String>,
}

/// What a rule matches, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Host patterns.
    pub hosts: Vec<Box<str>>,
    /// Path patterns.
    pub paths: Vec<Box<str>>,
    /// Methods.
    pub methods: Vec<Box<str>>,
}

/// Who must be calling: a tree over [`Plan::authenticators`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequirementPlan {
    /// Anyone; the request goes on without identity.
    None,
    /// This authenticator.
    One(usize),
    /// The first whose credential is present.
    Any(Vec<RequirementPlan>),
    /// Each of them.
    All(Vec<RequirementPlan>),
    /// This, when its credential is present; otherwise nobody in particular.
    Optional(Box<RequirementPlan>),
}

/// What happens with an admitted request.
#[derive(Debug)]
pub enum ActionPlan {
    /// It goes to an upstream.
    Forward(ForwardPlan),
    /// We answer it.
    Serve(Box<dyn ServicePlan>),
}

/// How a request is forwarded.
#[derive(Debug)]
pub struct ForwardPlan {
    /// Which of [`Plan::upstreams`].
    pub upstream: usize,
    /// What the upstream is shown of the caller.
    pub countersigners: Vec<Box<dyn CountersignerPlan>>,
    /// Whether the client's credential stays in the request.
    pub keep_credential: bool,
    /// The field in which the upstream is shown the access credential that a session keeps, and the text before it.
    pub session_token: Option<(HeaderName, Box<str>)>,
}

/// What happens with a CORS preflight that a rule would match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreflightPlan {
    /// It is treated like any request.
    Refuse,
    /// It goes to the upstream, without identity.
    Forward,
    /// We answer it.
    Answer {
        /// Origins that may ask, serialised as browsers do (`https://app.example`).
        origins: Vec<Box<str>>,
        /// Request headers they may send.
        headers: Vec<HeaderName>,
        /// Methods they may use: those of the rule. Empty means any.
        methods: Vec<Box<str>>,
        /// Whether they may send cookies.
        credentials: bool,
        /// How long browsers may remember the answer.
        max_age: Seconds,
    },
}

/// Bounds on what a client may send and hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsPlan {
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub header_fields: usize,
    /// A head must be complete by then.
    pub header_timeout: Duration,
    /// Silence while a body is read.
    pub body_timeout: Duration,
    /// Bytes of a body that is forwarded; `None` without bound.
    pub body_bytes: Option<usize>,
    /// How long a client connection may idle between requests.
    pub keepalive_idle: Duration,
    /// Requests per client connection; `None` without bound.
    pub keepalive_requests: Option<u32>,
    /// Silence while a response is written to a slow client.
    pub write_timeout: Duration,
    /// Client connections at once.
    pub connections: usize,
    /// Client connections at once from one address.
    pub connections_per_address: usize,
}

/// Budgets of failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GovernorPlan {
    /// Failures allowed per client address prefix and window.
    pub failures_per_address: u32,
    /// Failures allowed per claimed id and window.
    pub failures_per_id: u32,
    /// The window.
    pub window: Duration,
    /// Address prefixes and ids remembered at once.
    pub tracked: usize,
}

/// The verified-credential cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePlan {
    /// How much it may hold.
    pub max_bytes: usize,
    /// How long a verdict is remembered at most, where an authenticator does not say less.
    pub max_age: Seconds,
}

/// The audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPlan {
    /// What happens when its writer is behind.
    pub when_behind: WhenBehind,
    /// Where it goes.
    pub to: AuditSink,
}

/// What happens when the audit writer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBehind {
    /// Records are dropped and counted.
    Drop,
    /// Requests wait.
    Block,
}

/// Where audit records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditSink {
    /// Standard output, one JSON document per line.
    Stdout,
    /// None are made.
    Nowhere,
}

/// How outbound questions are asked.
#[derive(Clone, Default)]
pub struct OutboundPlan {
    /// Certificates trusted beside the system's.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// Fixed addresses of host names; port 0 keeps the URL's port.
    pub resolve: Vec<(Box<str>, SocketAddr)>,
}

/// Whose credentials are no longer taken, as far as the conf says so.
#[derive(Debug, Clone)]
pub struct RevocationsPlan {
    /// The entries of the file, each with its line.
    pub listed: Arc<[(usize, Arc<Revocation>)]>,
    /// How long what an operator revokes counts unless the command says otherwise.
    pub lasts: Seconds,
}

impl Plan {
    /// The upstream called `name`, and its number.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<(usize, &UpstreamPlan)> {
        self.upstreams.iter().enumerate().find(|(_, upstream)| &*upstream.name == name)
    }

    /// The authenticator called `name`, and its number.
    #[must_use]
    pub fn authenticator(&self, name: &str) -> Option<(usize, &AuthenticatorPlan)> {
        self.authenticators.iter().enumerate().find(|(_, authenticator)| &*authenticator.name == name)
    }
}

impl RequirementPlan {
    /// Every authenticator in the tree, in written order, each once.
    #[must_use]
    pub fn authenticators(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    /// Whether a request may pass without any credential.
    #[must_use]
    pub fn admits_anyone(&self) -> bool {
        match self {
            Self::None | Self::Optional(_) => true,
            Self::One(_) => false,
            Self::Any(branches) => branches.iter().any(Self::admits_anyone),
            Self::All(branches) => branches.iter().all(Self::admits_anyone),
        }
    }

    fn collect(&self, found: &mut Vec<usize>) {
        match self {
            Self::None => {}
            Self::One(index) if found.contains(index) => {}
            Self::One(index) => found.push(*index),
            Self::Any(branches) | Self::All(branches) => branches.iter().for_each(|branch| branch.collect(found)),
            Self::Optional(inner) => inner.collect(found),
        }
    }
}

impl UpstreamPlan {
    /// The URL that reaches `server`, for messages.
    #[must_use]
    pub fn url(&self, server: &ServerPlan) -> Option<Url> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}", server.authority)).ok()
    }
}

impl fmt::Debug for TlsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPlan")
            .field("certificate_file", &self.certificate_file)
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UpstreamTlsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTlsPlan")
            .field("ca", &self.ca.as_ref().map(|certificates| certificates.len()))
            .field("sni", &self.sni)
            .field("verify", &self.verify)
            .finish()
    }
}

impl fmt::Debug for OutboundPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundPlan")
            .field("ca", &self.ca.as_ref().map(|certificates| certificates.len()))
            .field("resolve", &self.resolve)
            .finish()
    }
}

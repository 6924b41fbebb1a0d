//! The conf as running: rules, authenticators and what they need, in one immutable snapshot.

use std::sync::Arc;

use http::HeaderName;
use http::HeaderValue;
use ipnet::IpNet;

use crate::countersign::contract::Countersigner;
use crate::countersign::firewall::Firewall;
use crate::domain::{Clock, Observer, Place, Random, Seconds, Stopwatch};
use crate::gate::allowance::{Allowance, Allowed};
use crate::gate::in_vain::InVain;
use crate::issuer::contract::{Harvester, Service};
use crate::policy::condition::Condition;
use crate::policy::requirement::Requirement;
use crate::renew::contract::Renewals;
use crate::route::table::Table;
use crate::state::contract::StateStore;
use crate::state::revoked::Revocations;
use crate::systems::contract::System;
use crate::verify::cache::{AuthenticatorKey, CredentialCache};
use crate::verify::contract::{Desks, Verifier};
use crate::verify::governor::Governor;
use crate::verify::presented::Source;

/// Judges requests. One snapshot serves a request from beginning to end; a reload makes another.
pub struct Gate {
    /// Which rule a request falls under.
    pub table: Arc<Table>,
    /// The rules, by the index that the table gives.
    pub rules: Box<[Rule]>,
    /// The authenticators, by the index that requirements name.
    pub authenticators: Box<[Authenticator]>,
    /// Who answers questions that take time.
    pub desks: Desks,
    /// Wherever a client of any authenticator brings what renews; taken off every request that is forwarded, whatever its rule.
    /// Header fields are not among them: `firewall` strips those.
    pub spendable: Box<[Place]>,
    /// The cookies that hold sessions of ours; taken off every request that is forwarded, but where its rule asks for that very
    /// session and keeps credentials.
    pub own_cookies: Box<[Place]>,
    /// Where single-use credentials are spent.
    pub state: Arc<dyn StateStore>,
    /// Whose credentials are no longer taken; asked about everyone who was proven.
    pub revoked: Arc<Revocations>,
    /// Verdicts already reached.
    pub cache: Arc<CredentialCache>,
    /// Failure budgets; `None` when switched off.
    pub governor: Option<Arc<Governor>>,
    /// How much callers of guarded rules have had remembered, on this node.
    pub allowance: Arc<Allowance>,
    /// How much of that there may be.
    pub allowed: Allowed,
    /// Credentials that upstreams have refused, fresh as they were.
    pub in_vain: InVain,
    /// Header names that only we may write.
    pub firewall: Firewall,
    /// Response header names that only we may write.
    pub private_responses: Arc<[HeaderName]>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Box<[IpNet]>,
    /// The wall clock; read once per request, and again where a credential was renewed meanwhile.
    pub clock: Arc<dyn Clock>,
    /// Elapsed time, for the record.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Request ids and trace ids.
    pub random: Arc<dyn Random>,
    /// Who hears of cache hits and state answers.
    pub observer: Arc<dyn Observer>,
}

/// One configured verifier.
pub struct Authenticator {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// What judges.
    pub verifier: Arc<dyn Verifier>,
    /// How long a verdict may be remembered at most; `None` when it may not.
    pub cache_for: Option<Seconds>,
    /// What sets its remembered verdicts apart from every other authenticator's.
    pub key: AuthenticatorKey,
    /// Every place it looks at.
    pub looks_at: Box<[Place]>,
    /// How its credentials are renewed; `None` when they are not.
    pub renewal: Option<Renewal>,
}

/// How an authenticator's credentials are renewed, and how the fresh ones reach the client.
pub struct Renewal {
    /// Who renews.
    pub renewals: Arc<dyn Renewals>,
    /// Where the client brings what is spent; empty when we hold it ourselves.
    pub refresh_from: Box<[Source]>,
    /// How long before the end a renewal is begun, at most; each credential has its own moment within it.
    pub early: Seconds,
    /// How the fresh pair is handed to the client; `None` when the client holds nothing of it.
    pub hand_back: Option<HandBack>,
}

/// How a fresh pair is handed to the client.
#[derive(Debug, Clone)]
pub struct HandBack {
    /// The access credential.
    pub access: Option<HandTo>,
    /// The refresh credential.
    pub refresh: Option<HandTo>,
    /// The seconds that the access credential lives, as text.
    pub expires_in: Option<HeaderName>,
}

/// Where a fresh credential is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandTo {
    /// Into this response header.
    Header(HeaderName),
    /// Into this cookie, with these attributes behind its value (`; Path=/; Secure; ...`).
    Cookie {
        /// The cookie's name.
        name: Box<str>,
        /// Its attributes, `Max-Age` not among them.
        attributes: Box<str>,
        /// How long the client keeps it; a session cookie without.
        max_age: Option<Seconds>,
    },
}

/// One rule.
pub struct Rule {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// Which credentials it asks for.
    pub requirement: Requirement,
    /// Scopes the caller must have, all of them.
    pub scopes: Box<[Box<str>]>,
    /// The same, space-separated, for the challenge.
    pub scopes_text: Arc<str>,
    /// Conditions that must hold, all of them.
    pub conditions: Box<[Arc<Condition>]>,
    /// What happens when all is well.
    pub action: Action,
    /// What CORS preflights are answered with.
    pub preflight: Preflight,
    /// Where browser navigations are sent to log in.
    pub login: Option<Arc<str>>,
    /// Whether unsafe requests with a cookie credential need proof of same origin.
    pub csrf: bool,
    /// Whether `;` may stand in the path.
    pub allow_semicolon: bool,
    /// The system whose clients it serves, in whose words it refuses and by whose rules it guards.
    pub system: Option<Arc<dyn System>>,
    /// Who keeps the credentials that its upstream's replies bring; `None` when they go to the client.
    pub keeper: Option<Arc<dyn Harvester>>,
    /// Challenges of its authenticators, for `WWW-Authenticate`.
    pub challenges: Arc<[&'static str]>,
}

/// What a rule does with an admitted request.
pub enum Action {
    /// Sends it on.
    Forward(Forward),
    /// Answers it here.
    Serve {
        /// Who answers.
        service: Arc<dyn Service>,
        /// Whether it is asked with the body.
        reads_body: bool,
    },
}

/// How a rule sends requests on.
pub struct Forward {
    /// Index of the upstream.
    pub upstream: usize,
    /// Who writes what the upstream is shown.
    pub countersigners: Box<[Arc<dyn Countersigner>]>,
    /// Whether the credential that was used goes along.
    pub keep_credential: bool,
    /// How the access credential that we hold for the caller is shown to the upstream; `None` when it is not.
    pub session_token: Option<SessionToken>,
}

/// How the access credential of a session is shown to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// In this field.
    pub header: HeaderName,
    /// Behind this text, such as `Bearer ` with its space.
    pub prefix: Box<str>,
}

/// What CORS preflights are answered with (Fetch standard, section 3.2).
pub enum Preflight {
    /// Nothing special: an OPTIONS request like any other.
    Refuse,
    /// The upstream answers, without any identity.
    Forward,
    /// We answer for these origins.
    Answer {
        /// Exact origins.
        origins: Box<[Box<str>]>,
        /// Value of `Access-Control-Allow-Headers`.
        headers: HeaderValue,
        /// Methods that may be asked about; empty means any the rule matches.
        methods: Box<[Box<str>]>,
        /// Whether cookies may come along.
        credentials: bool,
        /// Value of `Access-Control-Max-Age`.
        max_age: HeaderValue,
    },
}

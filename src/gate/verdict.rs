//! The outcome of judging a request.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::domain::{Edition, Identity, Reason, Refusal, SpentKey, Target, Timestamp};
use crate::issuer::contract::Harvester;
use crate::systems::contract::System;

/// What was decided, and what the audit record says about it.
#[derive(Debug)]
pub struct Verdict {
    /// What happens now.
    pub outcome: Outcome,
    /// Who, which rule, how long.
    pub record: Record,
    /// Fields that hand a fresh pair to the client, on whatever response it gets: the old pair is spent.
    pub hand_back: Vec<(HeaderName, HeaderValue)>,
}

/// What happens with the request now.
#[derive(Debug)]
pub enum Outcome {
    /// It is forwarded.
    Admit(Box<Admission>),
    /// We answer it ourselves, well.
    Serve(Served),
    /// It is refused.
    Refuse(Box<Refused>),
}

/// The permit to forward a request, and how. Made in `gate` only; the edge forwards nothing without one.
#[derive(Debug)]
#[allow(clippy::manual_non_exhaustive, reason = "the attribute would not say who may make one")]
pub struct Admission {
    /// Which upstream, as an index into the conf's upstreams in written order.
    pub upstream: usize,
    /// The target to send: what was judged, less credentials that stood in the query.
    pub target: Target,
    /// The `Host` to send where the client's own is not the one that was judged, unless the upstream is shown its own name.
    pub host: Option<HeaderValue>,
    /// Client fields to remove: identity header look-alikes, credentials, forwarding claims, method overrides.
    pub remove: Vec<HeaderName>,
    /// Fields to set, replacing any of the same name. Applied after removal and after hop-by-hop processing.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// When an upgraded or streaming connection must be cut because the identity ends.
    pub cut_at: Option<Timestamp>,
    /// Response fields to remove: the upstream must not speak in our headers.
    pub remove_from_response: Arc<[HeaderName]>,
    /// The credential that can be renewed, once, should the upstream answer 401 to it.
    pub renewable: Option<Renewable>,
    /// Of a credential that was renewed because the upstream had refused the one before: what it would be renewed with itself. The
    /// judge is told should the upstream refuse it as well.
    pub fresh: Option<SpentKey>,
    /// The body to send in place of the client's, which is read and thrown away.
    pub body: Option<Bytes>,
    /// The system that weighs the head of the reply; without one a 401 says that the credential has run out, and nothing else does.
    pub system: Option<Arc<dyn System>>,
    /// The system that the reply is held back for until its body is there, since only that tells what it means.
    pub held: Option<Arc<dyn System>>,
    /// Who keeps the credential that the reply brings; `None` when it goes to the client.
    pub keeper: Option<Arc<dyn Harvester>>,
    /// Whether the credential that the upstream asks for is held here, for a client that is not to see it.
    pub kept: bool,
    pub(crate) _made_by_the_gate: (),
}

impl Admission {
    /// A permit that nobody judged, for tests of what comes after the gate.
    ///
    /// # Security
    ///
    /// Whatever calls this lets a request through. Nothing under `src` does, and `tests/architecture.rs` keeps it so.
    #[doc(hidden)]
    #[must_use]
    pub fn unjudged(upstream: usize, target: Target) -> Self {
        Self {
            upstream,
            target,
            host: None,
            remove: Vec::new(),
            set: Vec::new(),
            cut_at: None,
            remove_from_response: Arc::from([]),
            renewable: None,
            fresh: None,
            body: None,
            system: None,
            held: None,
            keeper: None,
            kept: false,
            _made_by_the_gate: (),
        }
    }
}

/// A credential of an admitted request that can be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewable {
    /// The number of the authenticator whose it is.
    pub authenticator: usize,
    /// The access credential that we held for the caller when the request was admitted; `None` where the client holds its own. Should
    /// we hold another one by the time the upstream has refused this, there is nothing to renew: somebody has.
    pub sent: Option<Edition>,
}

/// An answer of our own.
#[derive(Debug, Clone)]
pub struct Served {
    /// HTTP status.
    pub status: u16,
    /// Fields, `Content-Length` not among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A refusal, and what its answer needs to know of the rule.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// `WWW-Authenticate` values, one per accepted authenticator, realm and error not included (`Bearer`, `Basic`).
    pub challenges: Arc<[&'static str]>,
    /// Where a browser navigation is sent to log in, when the rule says so.
    pub login: Option<Arc<str>>,
    /// The system in whose words it is told, when the rule names one.
    pub system: Option<Arc<dyn System>>,
}

/// What the audit record says. Names come from the conf; the subject is proven.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// The rule that matched.
    pub rule: Option<Arc<str>>,
    /// The authenticator that decided.
    pub authenticator: Option<Arc<str>>,
    /// Who is calling, once proven.
    pub identity: Option<Arc<Identity>>,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// Whether the credential cache knew; `None` when it was not asked.
    pub cache: Option<bool>,
    /// The client's address, after trusted proxies.
    pub client: Option<std::net::IpAddr>,
    /// Whether a credential was renewed on the way.
    pub renewed: bool,
    /// The id this request goes by, ours or a well-formed one of the client's.
    pub request_id: Arc<str>,
    /// Microseconds spent per stage.
    pub stages: Stages,
}

/// Microseconds spent per stage.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stages {
    /// Target, host, rule.
    pub route: u32,
    /// Credentials, waiting for keys and the like included.
    pub verify: u32,
    /// Waiting for a renewal.
    pub renew: u32,
    /// Conditions.
    pub policy: u32,
    /// Identity headers, assertion, burn.
    pub countersign: u32,
}

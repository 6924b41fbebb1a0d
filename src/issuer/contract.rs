//! What the proxy answers itself, to everyone who does not know what is answered.
//!
//! A service is described to the conf by a [`ServiceEntry`] (`serve:` beside `forward:`), proven into a [`ServicePlan`] and built
//! into a [`Service`]. The gate proves the caller first, as for any rule, and then asks it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Harvest, Identity, Observer, Random, Refusal, RequestView, Seconds, Timestamp};
use crate::issuer::pairs::Issuer;
use crate::issuer::session::Sessions;
use crate::jose::ticket::TicketTerms;
use crate::settings::{Checking, Node, Shape, Span};
use crate::state::contract::StateStore;
use crate::state::revoked::Revocations;

/// One line of the roll-call `issuer::SERVICES`.
pub struct ServiceEntry {
    /// What stands behind `serve:`: `ticket.mint`, `token`, ...
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// What may stand under that name when it has settings; the bare name stands for all defaults.
    pub shape: Shape,
    /// Methods a rule that serves it must be limited to; empty for any.
    pub methods: &'static [&'static str],
    /// Whether the caller must have been proven by the rule's authenticators: a rule with `authenticate: none` is a fault.
    pub proven: bool,
    /// Proves the settings (`None` for the bare name), or notes every fault and returns `None`. Pure.
    pub plan: fn(Option<&Node>, &Span, &mut Checking<'_>) -> Option<Box<dyn ServicePlan>>,
}

/// The settings of one service, proven.
pub trait ServicePlan: Debug + Send + Sync {
    /// Authenticators whose tickets it makes or takes; each must be of the scheme `ticket`.
    fn tickets(&self) -> Vec<TicketUse> {
        Vec::new()
    }

    /// Authenticators whose sessions it opens or ends; each must be of the scheme `session`.
    fn sessions(&self) -> Vec<(String, Span)> {
        Vec::new()
    }

    /// Issuers (section `issuers`) whose pairs it gives, rotates or takes back.
    fn issuers(&self) -> Vec<(String, Span)> {
        Vec::new()
    }

    /// Whether it hands out the public keys of what is signed here, and nothing else.
    fn publishes_keys(&self) -> bool {
        false
    }

    /// Whether it rests on the state store, which is opened only when something needs it.
    fn remembers(&self) -> bool {
        !self.publishes_keys()
    }

    /// Whether it reads the request body.
    fn reads_body(&self) -> bool {
        true
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String>;
}

/// An authenticator whose tickets a service makes or takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketUse {
    /// Its name; `None` for the only one of the scheme `ticket` that there is.
    pub authenticator: Option<String>,
    /// The life that tickets made for it may be given, where the conf says one; it must take tickets of that life.
    pub life: Option<Seconds>,
    /// Where the conf names it, or where it would.
    pub span: Span,
}

impl ServiceTools<'_> {
    /// The terms of the authenticator that `wanted` means.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when there is none, or more than one that it could be.
    pub fn terms(&self, wanted: &TicketUse) -> Result<Arc<TicketTerms>, String> {
        let found = match &wanted.authenticator {
            Some(name) => self.tickets.get(name),
            None => self.tickets.values().next().filter(|_| self.tickets.len() == 1),
        };
        found.map(Arc::clone).ok_or_else(|| "no authenticator of the scheme `ticket` is meant without doubt".to_owned())
    }
}

/// The public keys of everything that signs in this proxy. It fills while the house is put together; nobody is served before that.
#[derive(Debug, Default)]
pub struct PublishedKeys(OnceLock<Bytes>);

impl PublishedKeys {
    /// Publishes `document`, a JWKS document. Once only: later ones are ignored.
    pub fn publish(&self, document: Bytes) {
        self.0.get_or_init(|| document);
    }

    /// The document; `None` as long as nothing has been published.
    #[must_use]
    pub fn document(&self) -> Option<&Bytes> {
        self.0.get()
    }
}

/// What services are built with.
pub struct ServiceTools<'a> {
    /// The terms of ticket authenticators, by name.
    pub tickets: &'a BTreeMap<String, Arc<TicketTerms>>,
    /// The issuers of our own, by name.
    pub issuers: &'a BTreeMap<String, Arc<Issuer>>,
    /// The sessions of authenticators of that scheme, by name.
    pub sessions: &'a BTreeMap<String, Arc<Sessions>>,
    /// The public keys of everything that signs here; complete once everything is built.
    pub published: &'a Arc<PublishedKeys>,
    /// What is remembered.
    pub state: &'a Arc<dyn StateStore>,
    /// Whose credentials are no longer taken.
    pub revoked: &'a Arc<Revocations>,
    /// Unpredictable bytes.
    pub random: &'a Arc<dyn Random>,
    /// Who hears of events.
    pub observer: &'a Arc<dyn Observer>,
}

/// A request to answer.
pub struct Call<'r> {
    /// Its head.
    pub request: &'r RequestView<'r>,
    /// Who is calling; `None` only where the service admits anyone.
    pub identity: Option<&'r Arc<Identity>>,
    /// Its body, up to 64 KiB; empty when the service reads none.
    pub body: Bytes,
    /// The moment of the visit.
    pub now: Timestamp,
}

/// An answer. `Cache-Control: no-store` is set on each by the gate unless the service says otherwise.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Fields, `Content-Length` not among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Whether the credential in the body was one that a guess would be; from a caller whom nobody has proven, it counts against the
    /// budget of failures of its address, as a refusal would.
    pub guessed: bool,
}

/// Answers requests in the proxy's own name.
///
/// # Security
///
/// Whatever it gives away is as good as what it made it from. It never does more than the proven caller may ask for, spends
/// before it gives, and says nothing about credentials that are not the caller's.
#[async_trait]
pub trait Service: Send + Sync {
    /// Answers `call`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], answered like that of any rule. What the protocol itself wants said (RFC 6749 section 5.2) is a [`Reply`].
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal>;

    /// The public keys that verify what it signs, as a JWKS document; `None` when it signs nothing.
    fn public_keys(&self) -> Option<String> {
        None
    }
}

/// Whose request it was that a reply has brought a credential to.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'r> {
    /// Who was proven by it; `None` for anyone.
    pub caller: Option<&'r Identity>,
    /// The host that was asked, in canonical form; empty where the request names none.
    pub host: &'r str,
    /// The fields of the request.
    pub headers: &'r HeaderMap,
}

/// Keeps the credentials that an upstream's replies bring, in place of the client.
///
/// # Security
///
/// What is kept is used for whoever presents what this gives back, and for nobody else. What came along with the request is no part
/// of that: a session that somebody else may know is not gone on with.
#[async_trait]
pub trait Harvester: Debug + Send + Sync {
    /// Keeps `harvest`, which came in a reply to a request of `asker`, and says how the client holds it from now on: fields for the
    /// reply.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: the reply must then not reach the client either, since it would hold what it was not to see.
    async fn keep(&self, harvest: &Harvest, asker: &Asker<'_>, now: Timestamp) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal>;
}

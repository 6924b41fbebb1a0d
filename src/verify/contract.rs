//! What a scheme of credential is, to everyone who does not know it.
//!
//! A scheme is described to the conf by a [`SchemeEntry`], proven into a [`SchemePlan`], and built into a
//! [`Verifier`]. The gate knows only this file.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{
    Answer, Clock, Credential, DeskId, Doubt, Edition, Facts, Found, Identity, Observer, Outage, Random, RequestView, Seconds, Secret,
    Step, Timestamp, TokenPair, Verified,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::digest::digest;
use crate::jose::session::SessionTerms;
use crate::jose::ticket::TicketTerms;
use crate::net::client::Client;
use crate::settings::{Checking, Node, Shape, Span};
use crate::state::contract::StateStore;
use crate::verify::keys::contract::BuiltKeys;
use crate::verify::lasting::Lasting;

/// One line of the roll-call `verify::SCHEMES`.
pub struct SchemeEntry {
    /// The key that names the scheme in the conf.
    pub name: &'static str,
    /// What the scheme is for, in a sentence.
    pub doc: &'static str,
    /// What may stand under that key.
    pub shape: Shape,
    /// Proves the settings, or notes every fault in `Checking` and returns `None`. Pure.
    /// The form has been proven against `shape` already.
    pub plan: fn(&Node, &mut Checking<'_>) -> Option<Box<dyn SchemePlan>>,
}

/// The settings of one authenticator, proven.
pub trait SchemePlan: Debug + Send + Sync {
    /// The scheme's name.
    fn scheme(&self) -> &'static str;

    /// Key stores it refers to, with the class it needs each to be of.
    fn key_stores(&self) -> Vec<KeyUse>;

    /// The signature algorithms it accepts, for schemes that verify signatures with keys of a store; `check` shows that
    /// each store has a key for one of them.
    fn algorithms(&self) -> Option<&[Algorithm]> {
        None
    }

    /// Issuers whose tokens it takes for its own wherever it looks, as the conf writes them: a `*` in front stands for one
    /// label of a host name. Empty for schemes that do not choose by issuer.
    fn issuers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Names of headers, cookies and query parameters it looks at, for the warnings of `check` and for
    /// cache-safety (`Vary`). Lower case for headers.
    fn looks_at(&self) -> Vec<crate::domain::Place>;

    /// What a renewal of its credentials would rest on.
    fn renewability(&self) -> Renewability {
        Renewability::Never("they have no end that a fresh one would move")
    }

    /// Whether its verdicts may rest on the state store: spent credentials, sessions. The store is opened only when something needs it.
    fn remembers(&self) -> bool {
        false
    }

    /// Builds the verifier. Everything that can go wrong has been found by the plan.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, when the machine lacks something the conf could not show.
    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String>;

    /// Another authenticator that judges what this one keeps, and where the conf names it. It is built first, and leans on none itself.
    fn leans_on(&self) -> Option<(&str, &Span)> {
        None
    }

    /// What its sessions have in common, for whoever opens, renews and ends them; `None` when it judges no sessions.
    fn session_terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Option<Result<SessionTerms, String>> {
        let _ = (name, keys);
        None
    }

    /// The longest life it takes a ticket of; `None` when it judges no tickets.
    fn ticket_life(&self) -> Option<Seconds> {
        None
    }

    /// What it demands of tickets, for whoever mints for it or takes tickets in its place; `None` when it judges no tickets.
    fn ticket_terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Option<Result<TicketTerms, String>> {
        let _ = (name, keys);
        None
    }
}

/// What a renewal of credentials rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewability {
    /// The client brings what is spent, beside the credential that has run out.
    Brought,
    /// We hold it ourselves: [`Verifier::held`].
    Held,
    /// They are never renewed; why, as a clause about them.
    Never(&'static str),
}

/// A key store that a scheme needs.
#[derive(Debug, Clone)]
pub struct KeyUse {
    /// Its name in the `keys` section.
    pub store: String,
    /// What it must hold.
    pub class: crate::verify::keys::contract::KeyClass,
    /// Where the conf refers to it.
    pub span: crate::settings::Span,
    /// Whether tokens of several issuers that the conf names are verified with it.
    pub shared: bool,
}

/// What schemes are built with.
pub struct SchemeTools<'a> {
    /// The key stores of the conf, built, by name.
    pub keys: &'a BTreeMap<String, BuiltKeys>,
    /// The authenticators that were built before, by name; those that others lean on are among them.
    pub verifiers: &'a BTreeMap<String, Arc<dyn Verifier>>,
    /// What is remembered.
    pub state: &'a Arc<dyn StateStore>,
    /// Where a scheme registers the desks it will ask.
    pub desks: &'a mut Desks,
    /// For remote questions.
    pub client: &'a Arc<Client>,
    /// The wall clock, for background work only; a verifier gets `now` handed in.
    pub clock: &'a Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: &'a Arc<dyn Random>,
    /// Who hears of events.
    pub observer: &'a Arc<dyn Observer>,
}

/// What we hold for a client, to renew with.
#[derive(Debug, Clone)]
pub struct Held {
    /// The access credential at its end.
    pub access: Secret,
    /// What is spent.
    pub refresh: Secret,
}

/// Which of its verdicts in one judgement a verifier is asked about. What we hold may be another by the time of the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// That of [`Verifier::verify`].
    AtFirst,
    /// That of [`Verifier::readmit`].
    OnceRenewed,
}

/// Names `access`, which is held for somebody.
#[must_use]
pub fn edition(access: &Secret) -> Edition {
    Edition(digest("countersign held access credential", &[access.expose()]))
}

/// Answers questions that take time; asked by the gate's `settle` only.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The answer to the question about `about`.
    ///
    /// Must coalesce equal questions, bound its own time and memory, and remember "no" briefly.
    ///
    /// # Errors
    ///
    /// [`Outage`] when there is no answer to be had; the request is then refused as undecided.
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage>;
}

/// All desks of a gate, by [`DeskId`].
#[derive(Default)]
pub struct Desks {
    desks: Vec<Arc<dyn Desk>>,
    lasting: Lasting,
}

impl Desks {
    /// No desk yet; what `lasting` has may be gone on with.
    #[must_use]
    pub fn with(lasting: Lasting) -> Self {
        Self { desks: Vec::new(), lasting }
    }

    /// What outlives these desks.
    pub fn lasting(&mut self) -> &mut Lasting {
        &mut self.lasting
    }

    /// Registers `desk` and returns the number to ask it under.
    pub fn register(&mut self, desk: Arc<dyn Desk>) -> DeskId {
        self.desks.push(desk);
        DeskId(u16::try_from(self.desks.len() - 1).unwrap_or(u16::MAX))
    }

    /// The desk registered under `id`.
    #[must_use]
    pub fn get(&self, id: DeskId) -> Option<&Arc<dyn Desk>> {
        self.desks.get(usize::from(id.0))
    }
}

/// Turns a presented credential into a proven identity.
///
/// # Contract
///
/// - `find` and `verify` are pure and quick: no I/O, no lock held across them, no clock read. Same
///   arguments and same snapshot, same answer.
/// - A credential that is not fully understood is refused, never passed on.
/// - What may change while a request is judged (a record of ours) is looked at once, and pinned to its `facts`: whoever is judged by
///   one record is shown, and spends, nothing of another.
/// - `verify` checks the times of the credential itself; the gate checks them again on every cache hit, from
///   `Identity::expires` and `Identity::not_before` (leeway already included).
///
/// # Security
///
/// A wrong `Refuse` costs one caller one request. A wrong `Done` gives the house away: when in
/// doubt, refuse.
pub trait Verifier: Send + Sync {
    /// Looks for this verifier's kind of credential.
    ///
    /// What it reads on the way may go along ([`Credential::read_as`]), so that [`Self::verify`] need not read it again; that one
    /// must come to the same answer without it, and take it up only if it was read of the very text that it judges.
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>>;

    /// The credential that stands where [`Self::find`] looks, before anybody has asked whether it is of this verifier's kind.
    ///
    /// It is compared with credentials that this very verifier has proven, part by part, and used for nothing else: one that
    /// is remembered need not be recognised anew. `None` when there is none, or when finding costs no more than this.
    fn glance<'r>(&self, request: &RequestView<'r>) -> Option<Credential<'r>> {
        let _ = request;
        None
    }

    /// Judges `credential` as of `now`.
    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>>;

    /// What an unauthenticated client is told to bring (`WWW-Authenticate`, RFC 9110 section 11.6.1):
    /// the auth scheme and its parameters without the realm, e.g. `Bearer` or `Basic`. `None` when no registered scheme fits.
    fn challenge(&self) -> Option<&'static str>;

    /// Whether verdicts may be remembered, and the generation of what they rest on: a verdict made under
    /// another generation is void. `None` when every request must be judged anew (single use, bound to
    /// the request).
    fn cache_generation(&self) -> Option<u64>;

    /// How the claimed id of a credential reads, for failure budgets: never a secret. `None` when there is none.
    fn claimed_id<'c>(&self, credential: &'c Credential<'_>) -> Option<std::borrow::Cow<'c, str>> {
        let _ = credential;
        None
    }

    /// What a renewal of this credential starts from, when it is we who hold it and not the client (a session): what
    /// [`Self::verify`] has judged by for these `facts`, however often it has changed since. `access` is the credential that stands at
    /// its end, `refresh` what is spent. `None` when the client brings it.
    fn held(&self, credential: &Credential<'_>, facts: &Facts) -> Option<Held> {
        let _ = (credential, facts);
        None
    }

    /// The access credential that we hold for whoever presents `credential`, for an upstream that asks for it: the one that was
    /// `judged` for these `facts`, and no later one. `None` when we hold none.
    fn shown(&self, credential: &Credential<'_>, judged: Judged, facts: &Facts) -> Option<Secret> {
        let _ = (credential, judged, facts);
        None
    }

    /// Judges what a renewal brought, as of `now`, in place of the credential that had run out. What we hold ourselves is looked at
    /// anew for it, and never again in this judgement.
    ///
    /// The gate compares subject and issuer with those of the lapsed identity afterwards; here the new credential is proven, as
    /// any other of its kind.
    fn readmit(&self, fresh: &TokenPair, request: &RequestView<'_>, facts: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        match std::str::from_utf8(fresh.access.expose()) {
            Ok(text) => self.verify(&Credential::new(vec![text.into()], Vec::new()), request, facts, now),
            Err(_) => Step::Refuse(Doubt::Malformed.into()),
        }
    }

    /// Whether browsers send this credential by themselves (a cookie), so that unsafe methods need proof
    /// of same origin.
    fn ambient(&self, credential: &Credential<'_>) -> bool {
        credential.places.iter().any(|place| matches!(place, crate::domain::Place::Cookie(_)))
    }
}

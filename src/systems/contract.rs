//! What a system is, to everyone who does not know it: four questions, and the words for the answers.
//!
//! A system is a vendor's product with clients of its own, which expect refusals, endpoints and renewals as that product has them.
//! Whatever a setting can say is said by settings, over schemes, key sources, renewers, services and countersigners; a [`System`]
//! holds only what is left: how a refusal is written (`render`), which rules its endpoints have (`guard`), which replies mean that
//! a credential has run out (`weigh`, `classify`), and which bring a new one (`harvest`).
//!
//! All of it is pure: no I/O, no clock, no state. What must be remembered is asked for in [`Pass`], and the gate does it.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Breach, Facts, Identity, Refusal, RequestView, Step, Timestamp};
pub use crate::domain::{Harvest, Life};
use crate::settings::{Checking, Node, Shape, Span};

/// The most of a reply that is held back to be classified; a longer one goes on untouched.
pub const HELD_REPLY: usize = 64 * 1024;

/// One line of the roll-call `systems::SYSTEMS`.
pub struct SystemEntry {
    /// What stands behind `system:`.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What may stand under that name when it has settings; the bare name stands for all defaults.
    pub shape: Shape,
    /// Proves the settings (`None` for the bare name), or notes every fault and returns `None`. Pure.
    pub plan: fn(Option<&Node>, &Span, &mut Checking<'_>) -> Option<Box<dyn SystemPlan>>,
}

/// The settings of one system at one rule, proven.
pub trait SystemPlan: Debug + Send + Sync {
    /// The system's name.
    fn system(&self) -> &'static str;

    /// Whether its guard asks for something to be remembered, so that the state store must be open.
    fn remembers(&self) -> bool {
        false
    }

    /// The fields of a [`Pass`] that upstreams take for our word. They are stripped from clients on every route, so what clients may
    /// send themselves is not among them.
    fn sets(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn build(&self) -> Result<Arc<dyn System>, String>;
}

/// A refusal on its way to a client of the system.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'r> {
    /// Why. What may be told of it is decided by [`Refused::status`] and [`Refused::public`]; finer reasons stay here.
    pub refusal: &'r Refusal,
    /// The HTTP status that is answered without a system.
    pub status: u16,
    /// The public reason: one of nine names.
    pub public: &'static str,
    /// The method as sent.
    pub method: &'r str,
    /// The target as sent: path and query, maybe in need of decoding. A client's text: nothing of it is echoed.
    pub target: &'r str,
    /// The fields as sent.
    pub headers: &'r HeaderMap,
    /// The body as sent, where the system asks for it ([`System::reads_refused`]) and it could be had; of at most 64 KiB.
    pub body: Option<&'r [u8]>,
    /// The id this request goes by.
    pub request_id: &'r str,
    /// The moment of the answer.
    pub now: Timestamp,
}

/// A refusal in the words of a system. `Cache-Control: no-store`, `X-Content-Type-Options`, `X-Request-Id`, `Retry-After` and
/// `Content-Length` are the edge's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// HTTP status.
    pub status: u16,
    /// Further fields, `Content-Type` among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A request that the rule's authenticators and conditions have let through.
#[derive(Clone, Copy)]
pub struct Guarded<'r> {
    /// Its head.
    pub request: &'r RequestView<'r>,
    /// Who is calling; `None` for anyone.
    pub identity: Option<&'r Identity>,
    /// The body, once it was asked for ([`crate::domain::Need::Body`]).
    pub facts: &'r Facts,
    /// The moment of the visit.
    pub now: Timestamp,
}

/// What a guarded request goes on as. The default changes nothing and remembers nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Fields to set, replacing any of the same name; after everything that is taken off.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Client fields to take off.
    pub remove: Vec<HeaderName>,
    /// Parameters to take out of the query, by their decoded name.
    pub remove_query: Vec<Cow<'static, str>>,
    /// The body to send in place of the client's, its type unchanged unless `set` says otherwise.
    pub body: Option<Bytes>,
    /// Fields to add to the reply, whatever it says: nobody may keep it then.
    pub back: Vec<(HeaderName, HeaderValue)>,
    /// What must be remembered before the request goes on.
    pub notes: Vec<Mark>,
    /// What must have been remembered, and is forgotten now: each works once, for one request.
    pub demands: Vec<Demand>,
    /// What must not have happened before, and does now: nonces, signatures for one use. Each works once.
    pub burns: Vec<Demand>,
}

/// Something to remember, by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Names it; 256 bits over everything that it is bound to.
    pub key: [u8; 32],
    /// When it was made.
    pub made: Timestamp,
    /// It is forgotten then.
    pub until: Timestamp,
}

/// Something that must hold, and what is refused when it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What.
    pub mark: Mark,
    /// The refusal otherwise.
    pub breach: Breach,
}

/// A reply of the upstream, or its head.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'r> {
    /// The method that was asked with.
    pub method: &'r str,
    /// The path that was asked.
    pub path: &'r str,
    /// HTTP status.
    pub status: u16,
    /// Its fields.
    pub headers: &'r HeaderMap,
    /// The whole body, content codings taken off; `None` while there is only the head, and when it is larger than [`HELD_REPLY`].
    pub body: Option<&'r [u8]>,
}

/// What a reply means for the credential that the request was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    Fine,
    /// It has run out: a fresh one may do.
    Expired,
}

/// One system at one rule.
///
/// # Security
///
/// `guard` refuses what it does not fully understand. `render` tells no more than the public reason does, but for the breach of a
/// guard, which tells the system's own words. `classify` may make a request go out twice, so it says [`Meaning::Expired`] only for
/// replies by which the system says that it did not act.
pub trait System: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// How `refused` is written; `None` for a problem of RFC 9457, as without a system.
    fn render(&self, refused: &Refused<'_>) -> Option<Rendered>;

    /// Whether `render` is shown the body of a refused request with `method` and `headers`, which is then read if nobody has read it yet:
    /// where clients say in it how they want to be answered.
    fn reads_refused(&self, method: &str, headers: &HeaderMap) -> bool {
        let _ = (method, headers);
        false
    }

    /// The system's own rules for its endpoints. Asked last before anything is spent; [`Step::Need`] for the body.
    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        let _ = guarded;
        Step::Done(Pass::default())
    }

    /// Whether replies to `method` at `path` are held back until their body is there, because only that tells what they mean.
    fn holds(&self, method: &str, path: &str) -> bool {
        let _ = (method, path);
        false
    }

    /// What the head of a reply tells that is not held back. A 401 is always [`Meaning::Expired`] to a credential that can be renewed.
    fn weigh(&self, reply: &Reply<'_>) -> Meaning {
        if reply.status == 401 { Meaning::Expired } else { Meaning::Fine }
    }

    /// What a reply tells whose body is there.
    fn classify(&self, reply: &Reply<'_>) -> Meaning {
        self.weigh(reply)
    }

    /// The credential that a reply brings; with `body` where it was held back, from the head alone otherwise.
    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        let _ = reply;
        None
    }

    /// What changes on the head of a reply on its way to the client: a field and its value, replacing any of that name, or a field and
    /// nothing, to take it off. `kept` says that the credential of the reply is kept here, for a client that is not to see it.
    fn hand_on(&self, reply: &Reply<'_>, kept: bool) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let _ = (reply, kept);
        Vec::new()
    }
}

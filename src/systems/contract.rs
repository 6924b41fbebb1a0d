//! What a system is, to everyone who does not know it: four questions, and the words for the answers.
//!
//! A system is a vendor's product with clients of its own, which expect refusals, endpoints and renewals as that product has them.
//! Whatever a setting can say is said by settings, over schemes, key sources, renewers, services and countersigners; a [`System`]
//! holds only what is left: how a refusal is written (`render`), which rules its endpoints have (`guard`), which replies mean that
//! a credential has run out (`weigh`, `classify`), and which bring a new one (`harvest`).
//!
//! All of it is pure: no I/O, no clock, no state. What must be remembered is asked for in [`Pass`], and the gate does it.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Breach, Facts, Identity, Refusal, RequestView, Seconds, Step, Timestamp};
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

    /// What it adds to requests that nobody between here and the upstream may read, in words; such a rule forwards over TLS, or to
    /// this very machine.
    fn shows_secret(&self) -> Option<&'static str> {
        None
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
    /// Its head, without the fields that only the proxy may write: a client's forgery of one is nobody's word.
    pub request: &'r RequestView<'r>,
    /// Who is calling; `None` for anyone.
    pub identity: Option<&'r Identity>,
    /// The body, once it was asked for ([`crate::domain::Need::Body`]).
    pub facts: &'r Facts,
    /// The moment of the visit.
    pub now: Timestamp,
}

/// What a guarded request goes on as, to an upstream or to a service of ours. The default changes nothing and remembers nothing.
#[derive(Default, PartialEq, Eq)]
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
    /// How often such a request may be made; asked before anything else, on all nodes together.
    pub counts: Vec<Count>,
    /// What must have been remembered, and is forgotten now: each works once, for one request.
    pub demands: Vec<Demand>,
    /// What must be remembered before the request goes on.
    pub notes: Vec<Mark>,
    /// What must not have happened before, and does now: nonces, signatures for one use. Each works once, and is spent when everything
    /// else has said yes.
    pub burns: Vec<Demand>,
}

impl Pass {
    /// Whether there is nothing to remember, to count or to spend.
    #[must_use]
    pub fn is_forgetful(&self) -> bool {
        self.counts.is_empty() && self.demands.is_empty() && self.notes.is_empty() && self.burns.is_empty()
    }
}

/// Names and lengths only: what a guard sets and sends may be a secret of the conf.
impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |fields: &[(HeaderName, HeaderValue)]| fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Pass")
            .field("set", &names(&self.set))
            .field("remove", &self.remove)
            .field("remove_query", &self.remove_query)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("back", &names(&self.back))
            .field("counts", &self.counts)
            .field("demands", &self.demands)
            .field("notes", &self.notes)
            .field("burns", &self.burns)
            .finish()
    }
}

/// A number of requests that may be made in any length of time, by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Names what is counted; 256 bits over everything that it is bound to.
    pub key: [u8; 32],
    /// So many, at least one.
    pub most: u32,
    /// In any so many seconds, wherever they begin; at least one.
    pub per: Seconds,
    /// What is refused beyond that; `None` for [`Refusal::Throttled`], which says when to come again.
    pub breach: Option<Breach>,
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

/// Something that a reply tells and that later requests may demand ([`Pass::demands`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// Names it; as of a [`Mark`].
    pub key: [u8; 32],
    /// So long it is remembered.
    pub life: Seconds,
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

    /// The system's own rules for its endpoints. Asked last before anything is spent; [`Step::Need`] for the body, which is never in a
    /// content coding. It may be asked more than once about one request, and then without the body first.
    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        let _ = guarded;
        Step::Done(Pass::default())
    }

    /// Whether `guard` itself judges a credential in requests to `path`, or demands one that was seen before. Nobody who has no failures
    /// left is judged there: strangers by their address, proven callers by a budget of their own.
    fn judges(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Whether `breach` is one that a guess at a credential would meet, so that it costs a failure as any other guess does. What was
    /// good once, or is only written wrongly, is no guess.
    fn is_guess(&self, breach: &Breach) -> bool {
        let _ = breach;
        false
    }

    /// The breach of a body that `guard` has asked for and that comes in a content coding: what it says has been read by nobody.
    fn coded(&self) -> Breach {
        Breach { code: "coded".into(), field: "Content-Encoding".into(), says: "the body must not be compressed".into() }
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

    /// Whether replies from `path` tell something that later requests must bring; they are then held back as [`System::holds`] says.
    fn learns(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// What a reply to `caller` tells that later requests must bring; with `body` where it was held back.
    fn lessons(&self, reply: &Reply<'_>, caller: Option<&Identity>) -> Vec<Lesson> {
        let _ = (reply, caller);
        Vec::new()
    }

    /// What changes on the head of a reply on its way to the client: a field and its value, replacing any of that name, or a field and
    /// nothing, to take it off. `kept` says that the credential of the reply is kept here, for a client that is not to see it.
    fn hand_on(&self, reply: &Reply<'_>, kept: bool) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let _ = (reply, kept);
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use http::header::{AUTHORIZATION, SET_COOKIE};

    use super::{Count, Pass};
    use crate::domain::Seconds;

    #[test]
    fn a_pass_never_prints_what_it_sets_or_sends() {
        let secret = HeaderValue::from_static("marked-secret");
        let pass = Pass {
            set: vec![(AUTHORIZATION, secret.clone())],
            back: vec![(SET_COOKIE, secret)],
            body: Some(Bytes::from_static(b"Password=marked-secret")),
            ..Pass::default()
        };
        let printed = format!("{pass:?} {pass:#?}");
        assert!(!printed.contains("marked"), "{printed}");
        for told in ["authorization", "set-cookie", "22"] {
            assert!(printed.contains(told), "names and lengths are told: {printed}");
        }
    }

    #[test]
    fn only_a_pass_that_asks_for_something_needs_a_memory() {
        assert!(Pass::default().is_forgetful());
        let count = Count { key: [1; 32], most: 1, per: Seconds(1), breach: None };
        assert!(!Pass { counts: vec![count], ..Pass::default() }.is_forgetful());
    }
}

//! What the proxy answers itself, to everyone who does not know what is answered.
//!
//! A service is described to the conf by a [`ServiceEntry`] (`serve:` beside `forward:`), proven into a [`ServicePlan`] and built
//! into a [`Service`]. The gate proves the caller first, as for any rule, and then asks it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::domain::{Identity, Observer, Random, Refusal, RequestView, Seconds, Timestamp};
use crate::jose::ticket::TicketKey;
use crate::settings::{Checking, Node, Shape, Span};
use crate::state::contract::StateStore;

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
    fn tickets(&self) -> Vec<(String, Span)> {
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

/// What an authenticator of the scheme `ticket` demands, for whoever mints for it or redeems in its place.
pub struct TicketTerms {
    /// The authenticator's name.
    pub name: Arc<str>,
    /// Keys that seal and open; the first seals.
    pub keys: Vec<TicketKey>,
    /// Who tickets are from.
    pub issuer: Box<str>,
    /// Whom they are for.
    pub audience: Box<str>,
    /// The longest life one may be given.
    pub max_life: Seconds,
    /// Whether every ticket is for one use.
    pub single_use: bool,
    /// By how much clocks may differ.
    pub leeway: Seconds,
    /// The field that a device binding is compared with.
    pub device: HeaderName,
}

/// What services are built with.
pub struct ServiceTools<'a> {
    /// The terms of ticket authenticators, by name.
    pub tickets: &'a BTreeMap<String, Arc<TicketTerms>>,
    /// What is remembered.
    pub state: &'a Arc<dyn StateStore>,
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

//! The `hat` renewer: the token of a personal data server is slid on by that server itself.
//!
//! A HAT answers every authenticated request with a token that differs in `iat` alone, so the cheapest such request
//! (`GET /users/access_token/validate`) brings another three days, for as long as `exp` allows. Nothing is spent: the old token stays
//! good to its own end, and asking twice does no harm.
//!
//! Whom to ask is what the proven token says, below an allowed domain. What comes back must be of the same HAT, not older than what was
//! sent, and last longer; who holds it has it judged like any other.
//!
//! Never here: a renewal beyond `exp`, for which its owner must log in; a redirect that is followed, the one to `/` being a HAT's way of
//! saying 401.
//!
//! Source: HAT 2.0, `conf/routes` and `Authentication`; its authenticator (Silhouette, `RequestHandler`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderName;
use http::header::{ACCEPT, HeaderValue, LOCATION};
use url::Url;

use crate::domain::{Claim, Seconds, Spent, Timestamp, TokenPair, Value};
use crate::jose::compact::Compact;
use crate::net::authorities::{Authorities, CA_KEY};
use crate::net::client::{Client, Exchange, Reply};
use crate::net::described::answer::is_html;
use crate::net::guard::Reach;
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::renew::endpoint::{MAX_ANSWER, ask, credential};
use crate::renew::handling::{EARLY_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY, REFRESH_FROM_KEY, WAIT_KEY};
use crate::settings::host::{Suffix, is_canonical};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The renewer's line on the roll-call.
pub static ENTRY: RenewerEntry = RenewerEntry {
    name: "hat",
    doc: "Tokens of personal data servers (HATs), each slid on by the server that made it.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `hat` renewer",
    doc: "Asks the HAT that made a token for one with a new `iat`, until its `exp`. For sessions, which hold such a token; write `early: 24h`, so \
          that whoever comes back within a day before three idle days are over stays logged in.",
    keys: &[
        KeySpec::required(
            "issuers",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Domains whose HATs are asked, such as `hubofallthings.net`; whole labels.",
        ),
        KeySpec::default(
            "idle",
            Shape::Duration { min: 60, max: 31_536_000 },
            "72h",
            "How long after `iat` a token is taken, as the scheme `hat` has it.",
        ),
        REFRESH_FROM_KEY,
        EARLY_KEY,
        WAIT_KEY,
        FLIGHT_KEY,
        GRACE_KEY,
        HAND_BACK_KEY,
        CA_KEY,
    ],
};

/// What carries the token, there and back.
const FIELD: HeaderName = HeaderName::from_static("x-auth-token");

#[derive(Debug, Clone)]
struct HatPlan {
    issuers: Arc<[Suffix]>,
    idle: Seconds,
    authorities: Authorities,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let mut issuers = Vec::new();
    for node in section.items("issuers") {
        match Suffix::read(node.as_text().unwrap_or_default()) {
            Ok(suffix) => issuers.push(suffix),
            Err(says) => checking.faults.error(&node.span, says),
        }
    }
    let authorities = Authorities::read(&section, checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(HatPlan { issuers: issuers.into(), idle: section.seconds("idle")?, authorities: authorities? }))
}

impl RenewerPlan for HatPlan {
    fn build(&self, _name: &Arc<str>, tools: &RenewTools<'_>) -> Result<Arc<dyn Renewer>, String> {
        let client = self.authorities.client(tools.client)?;
        Ok(Arc::new(HatRenewer { plan: self.clone(), deadline: tools.deadline, client }))
    }
}

struct HatRenewer {
    plan: HatPlan,
    deadline: Duration,
    client: Arc<Client>,
}

/// What a token says of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    issued: Timestamp,
    /// The first second that is too late, by both limits.
    ends: Timestamp,
}

impl Times {
    /// The times of `token` of the HAT `issuer`; `None` when it is none of that HAT's, or says no times.
    fn read(token: &str, issuer: &str, idle: Seconds) -> Option<Self> {
        let token = Compact::parse(token).ok()?;
        let claimed = token.claimed();
        let moment = |name: &str| claimed.member(name).and_then(Claim::as_int).filter(|moment| 0 <= *moment).map(Timestamp);
        let (issued, expires) = (moment("iat")?, moment("exp")?);
        let same = claimed.member("iss").and_then(Claim::as_text) == Some(issuer);
        same.then(|| Self { issued, ends: expires.min(issued.plus(idle).plus(Seconds(1))) })
    }
}

impl HatRenewer {
    fn exchange(&self, issuer: &str, token: &[u8]) -> Option<Exchange> {
        // Nothing but a canonical, allowed host becomes part of a URL.
        let allowed = is_canonical(issuer) && self.plan.issuers.iter().any(|suffix| suffix.covers(issuer));
        let url = Some(format!("https://{issuer}/users/access_token/validate")).filter(|_| allowed)?;
        let url = Url::parse(&url).ok()?;
        let mut exchange = Exchange { reach: Reach::FromToken, ..Exchange::get(url, self.deadline, MAX_ANSWER) };
        let mut value = HeaderValue::from_bytes(token).ok()?;
        value.set_sensitive(true);
        exchange.headers.insert(FIELD, value);
        exchange.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Some(exchange)
    }

    /// The token that `reply` slides `before` on to.
    fn slid(&self, reply: &Reply, issuer: &str, before: Times) -> Result<TokenPair, RenewError> {
        match reply.status {
            200 if !is_html(reply) => {}
            // The HAT takes this very token for none any more; its owner logs in.
            401 if !is_html(reply) => return Err(RenewError::Rejected { code: "not_authenticated" }),
            303 if is_home(reply) => return Err(RenewError::Rejected { code: "not_authenticated" }),
            403 => return Err(RenewError::Unaccepted { code: "forbidden" }),
            // Asking spends nothing, so whatever else it says, it can be asked again.
            _ => return Err(RenewError::Unreached { why: "the HAT did not say whether the token is good" }),
        }
        const UNUSABLE: RenewError = RenewError::Unreached { why: "the HAT's answer brings no token that can be used" };
        let mut values = reply.headers.get_all(&FIELD).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(UNUSABLE) };
        let text = value.to_str().map_err(|_| UNUSABLE)?;
        let fresh = credential(&Value::from(text), "the token cannot be used").map_err(|_| UNUSABLE)?;
        let times = Times::read(text, issuer, self.plan.idle).ok_or(UNUSABLE)?;
        // Of two answers the newer `iat` counts, in whichever order they come.
        if times.issued < before.issued || times.ends <= before.ends {
            return Err(RenewError::Unaccepted { code: "no_later_end" });
        }
        // The one token is what is presented, and what is slid on next.
        Ok(TokenPair {
            access: fresh.clone(),
            refresh: Some(fresh),
            access_until: Some(times.ends),
            refresh_until: Some(times.ends),
            beside: Value::empty(),
        })
    }
}

/// Whether `reply` is the redirect that stands for 401.
fn is_home(reply: &Reply) -> bool {
    reply.headers.get(LOCATION).is_some_and(|place| place == "/")
}

#[async_trait]
impl Renewer for HatRenewer {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        const UNREADABLE: RenewError = RenewError::Unaccepted { code: "no_token_of_this_hat" };
        // Who calls with a HAT's token is that HAT, whoever has vouched for it.
        let issuer = &*spent.identity.subject;
        let token = spent.refresh.expose();
        let text = std::str::from_utf8(token).map_err(|_| UNREADABLE)?;
        let before = Times::read(text, issuer, self.plan.idle).ok_or(UNREADABLE)?;
        if before.ends <= now {
            // Beyond either limit no HAT slides it on.
            return Err(RenewError::Rejected { code: "too_late" });
        }
        if before.ends < before.issued.plus(self.plan.idle) {
            // It ends by `exp`, which nothing moves.
            return Err(RenewError::Unaccepted { code: "no_later_end" });
        }
        let exchange = self.exchange(issuer, token).ok_or(RenewError::Unaccepted { code: "no_such_hat" })?;
        let reply = match ask(&self.client, exchange).await {
            // Nothing is spent by asking, so nothing was lost.
            Err(RenewError::Lost { why }) => return Err(RenewError::Unreached { why }),
            outcome => outcome?,
        };
        self.slid(&reply, issuer, before)
    }

    fn forgives_repeats(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;

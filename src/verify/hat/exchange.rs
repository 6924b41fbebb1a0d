//! The token of another application, which a HAT gives an application or its owner for their own: asked for once, and kept until it ends.
//!
//! It is kept by what the caller is (HAT, kind, application), not by the token that it was asked with: that one is another with every
//! reply of a HAT, and what is given for it does not depend on it. What a HAT refuses is remembered briefly, by the very token.
//!
//! A host that a token named is asked only after that token was proven, only below an allowed domain, over https at a public address.
//! What comes back is unproven here; the authenticator proves it before anybody sees it.
//!
//! Source: HAT 2.0, `/api/v2.6/applications/{id}/access-token`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderName;
use http::header::{ACCEPT, HeaderValue};
use quick_cache::sync::Cache;
use url::Url;
use zeroize::Zeroizing;

use crate::domain::{Answer, Claim, Clock, Identity, Outage, Seconds, Timestamp, Value};
use crate::jose::base64url;
use crate::jose::compact::Compact;
use crate::jose::digest::digest;
use crate::jose::json::parse_to_depth;
use crate::net::client::{Client, Exchange, Reply};
use crate::net::guard::Reach;
use crate::net::single_flight::SingleFlight;
use crate::settings::host::{Suffix, is_canonical};
use crate::verify::contract::Desk;

/// Whom to ask, and for what.
#[derive(Debug)]
pub struct ExchangePlan {
    /// The other application; stands in the path as it is.
    pub application: Box<str>,
    /// Domains whose HATs may be asked.
    pub issuers: Arc<[Suffix]>,
    /// How long after `iat` a token is good.
    pub idle: Seconds,
}

/// What a HAT said to the question for another application's token.
#[derive(Clone)]
pub enum Granted {
    /// This, unproven.
    Token(Arc<Zeroizing<String>>),
    /// This caller may not have it, or there is no such application.
    Forbidden,
    /// The HAT does not take the caller's own token.
    Unaccepted,
}

/// Who asks for which application's token: everything that the answer depends on.
pub struct Principal {
    key: [u8; 32],
    issuer: Box<str>,
}

/// Asked with the caller's token.
const FIELD: HeaderName = HeaderName::from_static("x-auth-token");

/// The largest answer that is read, in bytes; a token is about 1 KiB.
const MAX_ANSWER: usize = 16 * 1_024;

/// For one answer, connecting included.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// HATs asked at a time.
const FLIGHTS: usize = 64;

/// Tokens that are kept; each takes some 2 KiB.
const KEPT: usize = 8_192;

/// Refusals that are remembered, and for how long.
const REFUSED: usize = 8_192;
const NEGATIVE: Seconds = Seconds(30);

/// So long before its end a token is asked for anew, that it does not end on its way to the upstream.
const MARGIN: Seconds = Seconds(60);

impl Principal {
    /// Whoever is `identity`, asking for the token of `application`.
    #[must_use]
    pub fn of(identity: &Identity, application: &str) -> Self {
        let claim = |name: &str| identity.claims.member(name).and_then(Claim::as_text).unwrap_or_default();
        let scope = identity.scopes.first().map_or("", |scope| &**scope);
        let parts = [&*identity.issuer, scope, claim("application"), claim("applicationVersion"), claim("resource"), application];
        let key = digest("countersign hat principal", &parts.map(str::as_bytes));
        Self { key, issuer: identity.issuer.clone() }
    }

    /// The question, asked with `token`: two by one principal with one token are one.
    #[must_use]
    pub fn about(&self, token: &str) -> Arc<str> {
        format!("{}\n{}\n{token}", base64url::encode(&self.key), self.issuer).into()
    }
}

/// Asks, and keeps what it was given.
pub struct ApplicationTokens {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    application: Box<str>,
    issuers: Arc<[Suffix]>,
    idle: Seconds,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    kept: Cache<[u8; 32], Kept>,
    refused: Cache<[u8; 32], Refused>,
    flights: SingleFlight<Result<Granted, Outage>>,
}

#[derive(Clone)]
struct Kept {
    token: Arc<Zeroizing<String>>,
    asked: Timestamp,
    until: Timestamp,
}

#[derive(Clone)]
struct Refused {
    said: Granted,
    asked: Timestamp,
}

/// Why a HAT gave no usable answer. Said to the operator.
#[derive(Debug, thiserror::Error)]
enum AskFault {
    #[error("its host may not be asked")]
    Host,
    #[error("the token cannot stand in a header field")]
    Unwritable,
    #[error(transparent)]
    Fetch(#[from] crate::net::client::FetchFault),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer holds no token with an end")]
    NoToken,
}

impl ApplicationTokens {
    /// For the authenticator called `name`.
    #[must_use]
    pub fn new(name: &Arc<str>, plan: &ExchangePlan, client: &Arc<Client>, clock: &Arc<dyn Clock>) -> Self {
        let inner = Inner {
            name: Arc::clone(name),
            application: plan.application.clone(),
            issuers: Arc::clone(&plan.issuers),
            idle: plan.idle,
            client: Arc::clone(client),
            clock: Arc::clone(clock),
            kept: Cache::new(KEPT),
            refused: Cache::new(REFUSED),
            flights: SingleFlight::new(FLIGHTS),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is known, as of `now`, of what the HAT gives `principal` for `token`.
    #[must_use]
    pub fn recall(&self, principal: &Principal, token: &str, now: Timestamp) -> Option<Granted> {
        self.inner.recall(&principal.key, token, now)
    }
}

impl Inner {
    fn recall(&self, principal: &[u8; 32], token: &str, now: Timestamp) -> Option<Granted> {
        // A clock that was set back makes nothing good that had not been asked for then.
        let kept = self.kept.get(principal).filter(|kept| kept.asked <= now && now < kept.until);
        let refused = || self.refused.get(&name_of(principal, token)).filter(|refused| now.is_within(NEGATIVE, refused.asked));
        kept.map(|kept| Granted::Token(kept.token)).or_else(|| refused().map(|refused| refused.said))
    }

    async fn fly(self: Arc<Self>, principal: [u8; 32], issuer: Box<str>, token: Zeroizing<String>) -> Result<Granted, Outage> {
        let asked = self.clock.now();
        match self.fetch(&issuer, &token).await {
            Ok(Granted::Token(granted)) => {
                // Past its margin it serves this request alone.
                if let Some(until) = self.end_of(&granted).map(|end| end.minus(MARGIN)).filter(|until| asked < *until) {
                    self.kept.insert(principal, Kept { token: Arc::clone(&granted), asked, until });
                }
                Ok(Granted::Token(granted))
            }
            Ok(said) => {
                self.refused.insert(name_of(&principal, &token), Refused { said: said.clone(), asked });
                Ok(said)
            }
            Err(fault) => {
                tracing::warn!(authenticator = %self.name, %issuer, %fault, "the token of another application was not fetched");
                Err(Outage::Other)
            }
        }
    }

    async fn fetch(&self, issuer: &str, token: &str) -> Result<Granted, AskFault> {
        // Checked again here, next to the use: nothing but a canonical, allowed host becomes part of a URL.
        let allowed = is_canonical(issuer) && self.issuers.iter().any(|suffix| suffix.covers(issuer));
        let url = Some(format!("https://{issuer}/api/v2.6/applications/{}/access-token", self.application)).filter(|_| allowed);
        let url = url.and_then(|url| Url::parse(&url).ok()).ok_or(AskFault::Host)?;
        let mut exchange = Exchange { reach: Reach::FromToken, ..Exchange::get(url, DEADLINE, MAX_ANSWER) };
        let mut value = HeaderValue::from_str(token).map_err(|_| AskFault::Unwritable)?;
        value.set_sensitive(true);
        exchange.headers.insert(FIELD, value);
        // Without it a HAT answers 303 where it means 401.
        exchange.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let reply = self.client.fetch(exchange).await?;
        match reply.status {
            200 => token_in(&reply).map(|token| Granted::Token(Arc::new(token))).ok_or(AskFault::NoToken),
            401 => Ok(Granted::Unaccepted),
            403 | 404 => Ok(Granted::Forbidden),
            status => Err(AskFault::Status(status)),
        }
    }

    /// When a token says that it ends, by both limits. Used to forget it in time, never to believe it.
    fn end_of(&self, token: &str) -> Option<Timestamp> {
        let token = Compact::parse(token).ok()?;
        let moment = |name: &str| token.claimed().member(name).and_then(Claim::as_int).filter(|moment| 0 <= *moment).map(Timestamp);
        Some(moment("exp")?.min(moment("iat")?.plus(self.idle)))
    }
}

/// Names what was refused: to whom, and with which token.
fn name_of(principal: &[u8; 32], token: &str) -> [u8; 32] {
    digest("countersign hat refusal", &[principal, token.as_bytes()])
}

/// `accessToken` of an answer, when it is a text that a header field can carry.
fn token_in(reply: &Reply) -> Option<Zeroizing<String>> {
    const DEPTH: usize = 8;
    let answer = parse_to_depth(&reply.body, DEPTH).ok()?;
    let token = answer.member("accessToken").and_then(Value::as_text)?;
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| Zeroizing::new(token.to_owned()))
}

#[async_trait]
impl Desk for ApplicationTokens {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let mut parts = about.splitn(3, '\n');
        let (Some(principal), Some(issuer), Some(token)) = (parts.next(), parts.next(), parts.next()) else { return Err(Outage::Other) };
        let key: [u8; 32] = base64url::decode(principal).and_then(|key| key.try_into().ok()).ok_or(Outage::Other)?;
        if let Some(granted) = self.inner.recall(&key, token, now) {
            return Ok(Arc::new(granted));
        }
        // Whoever asks with another token asks for the same; but what a HAT refuses to one of them it may grant to the other.
        let flight = base64url::encode(&name_of(&key, token));
        let (inner, issuer, token) = (Arc::clone(&self.inner), Box::from(issuer), Zeroizing::new(token.to_owned()));
        let landing = self.inner.flights.join(&flight, || inner.fly(key, issuer, token));
        match tokio::time::timeout(PATIENCE, landing).await {
            Ok(Ok(outcome)) => outcome.map(|granted| Arc::new(granted) as Answer),
            Ok(Err(_)) | Err(_) => Err(Outage::Other),
        }
    }
}

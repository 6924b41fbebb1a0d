//! Asks an introspection endpoint, and remembers its answers.
//!
//! Tokens are remembered by their SHA-256 and never in the clear. What is active and what is not are kept apart, each
//! bounded, so that invented tokens push no real one out. Times are checked against the `now` of each request.
//!
//! An issuer calls a token inactive that has ended, and one that was revoked, and does not say which. So who held a token stays
//! known here after its end, by what the issuer said while it was active: not to let it in, but to have it renewed.
//!
//! Rules: RFC 7662 sections 2.1, 2.2 and 4 (an answer may be cached, no longer than `exp`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use url::Url;
use zeroize::Zeroizing;

use crate::domain::{Answer, Clock, Event, Observer, Outage, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::base64url;
use crate::jose::claims::Registered;
use crate::jose::json::parse_to_depth;
use crate::net::authorities::Authorities;
use crate::net::client::{Client, Exchange, FetchFault};
use crate::net::single_flight::SingleFlight;
use crate::verify::contract::{Desk, SchemeTools};
use crate::verify::keys::contract::KeyTools;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1_024;

/// How deep an answer may nest.
const DEPTH: usize = 16;

/// Different tokens asked about at a time.
const FLIGHTS: usize = 256;

/// Bytes of answers about active tokens that are remembered.
const ACTIVE_BYTES: u64 = 32 << 20;

/// Bytes of answers about tokens that have ended since.
const ENDED_BYTES: u64 = 16 << 20;

/// Inactive tokens that are remembered.
const INACTIVE: usize = 16_384;

/// After a failure nobody is asked for this long.
const PAUSE: Seconds = Seconds(1);

/// How a client shows the endpoint who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
}

/// The endpoint, proven.
#[derive(Debug)]
pub struct EndpointPlan {
    /// Where it is.
    pub url: Url,
    /// Who we are there.
    pub client_id: Box<str>,
    /// Our secret there.
    pub client_secret: Secret,
    /// How both are sent.
    pub client_auth: ClientAuth,
    /// Where the issuer should look first.
    pub token_type_hint: Option<Box<str>>,
    /// For one answer.
    pub deadline: Duration,
    /// How long "active" holds.
    pub max_age: Seconds,
    /// How long "inactive" holds.
    pub negative: Seconds,
    /// How far the issuer's clock may be ahead.
    pub leeway: Seconds,
    /// Whom to trust.
    pub authorities: Authorities,
}

/// What the issuer says about a token.
#[derive(Debug)]
pub enum Introspected {
    /// It is active; the whole answer, whose registered claims have the right types.
    Active(Verified<Value>),
    /// It is not, or not for us to know.
    Inactive,
}

/// The desk that asks.
pub struct IntrospectionDesk {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    url: Url,
    headers: HeaderMap,
    /// What every body starts with.
    preamble: Zeroizing<String>,
    deadline: Duration,
    max_age: Seconds,
    negative: Seconds,
    leeway: Seconds,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    active: Cache<[u8; 32], Known, ByBytes>,
    inactive: Cache<[u8; 32], Known>,
    /// The last word on what was active to its end and is so no more.
    ended: Cache<[u8; 32], Known, ByBytes>,
    flights: SingleFlight<Result<Arc<Introspected>, Outage>>,
    /// When the endpoint last failed to answer.
    failed: AtomicI64,
}

#[derive(Clone)]
struct Known {
    answer: Arc<Introspected>,
    asked: Timestamp,
    expires: Option<Timestamp>,
    bytes: u32,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Known> for ByBytes {
    fn weight(&self, _key: &[u8; 32], known: &Known) -> u64 {
        // What an answer takes in memory beside its text.
        const AROUND: u64 = 512;
        // Parsed, short members take several times the bytes they had as text.
        4 * u64::from(known.bytes) + AROUND
    }
}

/// Why the endpoint gave no usable answer. Said to the operator.
#[derive(Debug, thiserror::Error)]
enum AskFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is not well-formed JSON")]
    NotJson,
    #[error("`active` of the answer is neither true nor false")]
    NoVerdict,
    #[error("a registered member of the answer has the wrong type")]
    WrongType,
}

impl IntrospectionDesk {
    /// A desk for the authenticator called `name`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(name: &Arc<str>, plan: &EndpointPlan, tools: &SchemeTools<'_>) -> Result<Self, String> {
        let tools = KeyTools {
            client: Arc::clone(tools.client),
            clock: Arc::clone(tools.clock),
            random: Arc::clone(tools.random),
            observer: Arc::clone(tools.observer),
            issued: Arc::default(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let id = encode(plan.client_id.as_bytes());
        let secret = Zeroizing::new(encode(plan.client_secret.expose()));
        let mut preamble = Zeroizing::new(String::new());
        match plan.client_auth {
            ClientAuth::Basic => {
                let pair = Zeroizing::new(format!("{id}:{}", *secret));
                let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                let mut value = HeaderValue::from_str(&text).map_err(|_| "the client's id or secret cannot be sent".to_owned())?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            ClientAuth::Post => preamble.push_str(&format!("client_id={id}&client_secret={}&", *secret)),
        }
        if let Some(hint) = &plan.token_type_hint {
            preamble.push_str(&format!("token_type_hint={}&", encode(hint.as_bytes())));
        }
        let inner = Inner {
            name: Arc::clone(name),
            url: plan.url.clone(),
            headers,
            preamble,
            deadline: plan.deadline,
            max_age: plan.max_age,
            negative: plan.negative,
            leeway: plan.leeway,
            client: plan.authorities.client(&tools.client)?,
            clock: tools.clock,
            observer: tools.observer,
            active: Cache::with_weighter(4_096, ACTIVE_BYTES, ByBytes),
            inactive: Cache::new(INACTIVE),
            ended: Cache::with_weighter(2_048, ENDED_BYTES, ByBytes),
            flights: SingleFlight::new(FLIGHTS),
            failed: AtomicI64::new(i64::MIN),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is remembered about `token` and still holds at `now`.
    #[must_use]
    pub fn recall(&self, token: &str, now: Timestamp) -> Option<Arc<Introspected>> {
        self.inner.recall(&name_of(token), now)
    }

    /// What the issuer said last of `token` while it was active, when it called it inactive not before its end.
    #[must_use]
    pub fn ended(&self, token: &str) -> Option<Arc<Introspected>> {
        self.inner.ended.get(&name_of(token)).map(|known| known.answer)
    }
}

impl Inner {
    fn recall(&self, name: &[u8; 32], now: Timestamp) -> Option<Arc<Introspected>> {
        let holds = |known: &Known, length| now.is_within(length, known.asked) && known.expires.is_none_or(|end| now < end);
        let active = self.active.get(name).filter(|known| holds(known, self.max_age));
        let known = active.or_else(|| self.inactive.get(name).filter(|known| holds(known, self.negative)));
        known.map(|known| known.answer)
    }

    async fn ask(self: Arc<Self>, name: [u8; 32], token: Zeroizing<String>) -> Result<Arc<Introspected>, Outage> {
        // The age of an answer counts from before it was asked for.
        let asked = self.clock.now();
        let outcome = self.fetch(&token).await;
        self.observer.note(Event::Introspection { authenticator: &self.name, ok: outcome.is_ok() });
        match outcome {
            Ok((answer, expires, bytes)) => {
                let answer = Arc::new(answer);
                let known = Known { answer: Arc::clone(&answer), asked, expires, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) };
                match &*answer {
                    Introspected::Active(_) => {
                        self.inactive.remove(&name);
                        self.ended.remove(&name);
                        self.active.insert(name, known);
                    }
                    Introspected::Inactive => {
                        // One that is called inactive before its end was revoked, and nobody is known by it any more.
                        if let Some((_, last)) = self.active.remove(&name)
                            && last.expires.is_some_and(|end| end <= asked.plus(self.leeway))
                        {
                            self.ended.insert(name, last);
                        }
                        self.inactive.insert(name, known);
                    }
                }
                Ok(answer)
            }
            Err(fault) => {
                tracing::warn!(authenticator = %self.name, %fault, "token was not introspected");
                self.failed.store(self.clock.now().0, Ordering::SeqCst);
                Err(Outage::Other)
            }
        }
    }

    /// The answer about `token`, when it ends, and how many bytes it had.
    async fn fetch(&self, token: &str) -> Result<(Introspected, Option<Timestamp>, usize), AskFault> {
        let body = format!("{}token={}", *self.preamble, encode(token.as_bytes()));
        let exchange = Exchange {
            method: Method::POST,
            headers: self.headers.clone(),
            body: Bytes::from(body),
            ..Exchange::get(self.url.clone(), self.deadline, MAX_ANSWER)
        };
        let reply = self.client.fetch(exchange).await?;
        if reply.status != 200 {
            return Err(AskFault::Status(reply.status));
        }
        let answer = parse_to_depth(&reply.body, DEPTH).map_err(|_| AskFault::NotJson)?;
        match answer.member("active") {
            Some(Value::Bool(false)) => Ok((Introspected::Inactive, None, 0)),
            Some(Value::Bool(true)) => {
                // The configured endpoint said so, over a channel that proves it is that endpoint.
                let claims = Verified::vouch(answer);
                let registered = Registered::read(&claims).map_err(|_| AskFault::WrongType)?;
                let expires = registered.lifetime.expires;
                Ok((Introspected::Active(claims), expires, reply.body.len()))
            }
            _ => Err(AskFault::NoVerdict),
        }
    }
}

#[async_trait]
impl Desk for IntrospectionDesk {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let name = name_of(about);
        if let Some(answer) = inner.recall(&name, now) {
            return Ok(answer);
        }
        if now.is_within(PAUSE, Timestamp(inner.failed.load(Ordering::SeqCst))) {
            return Err(Outage::Other);
        }
        let work = || Arc::clone(inner).ask(name, Zeroizing::new(about.to_owned()));
        let answer = inner.flights.join(&base64url::encode(&name), work).await.unwrap_or(Err(Outage::Other))?;
        Ok(answer)
    }
}

/// What a token is remembered by.
fn name_of(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default()
}

/// `bytes` as the value of a form field.
fn encode(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

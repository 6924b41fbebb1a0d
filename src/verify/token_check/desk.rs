//! Asks whether a token is good by using it, and remembers what came of it.
//!
//! Tokens are remembered by their SHA-256 and never in the clear. What is good and what is not are kept apart, each bounded, so
//! that invented tokens push no real one out. Times are checked against the `now` of each request.
//!
//! Who held a token stays known here after its end, by what was said while it was good: not to let it in, but to have it renewed.
//!
//! An endpoint that cannot be reached, or that says it has enough, is left alone for a moment. An answer without a reading counts
//! against its own token only: whoever sends tokens that the endpoint chokes on stops nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use crate::domain::{Answer, Clock, Event, Identity, Observer, Outage, Seconds, Timestamp, Verified};
use crate::jose::base64url;
use crate::net::authorities::Authorities;
use crate::net::client::{Client, FetchFault};
use crate::net::described::Described;
use crate::net::described::template::Unwritable;
use crate::net::single_flight::SingleFlight;
use crate::verify::cache::weigh_value;
use crate::verify::contract::Desk;
use crate::verify::token_check::reading::{Reading, Said, Unread};

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1_024;

/// Different tokens asked about at a time.
const FLIGHTS: usize = 256;

/// Bytes of what is known of good tokens.
const GOOD_BYTES: u64 = 32 << 20;

/// Bytes of what is known of tokens that have ended since.
const ENDED_BYTES: u64 = 16 << 20;

/// Tokens that are remembered as not good, and those nothing could be learnt of.
const BAD: usize = 16_384;

/// After a failure nobody is asked for this long.
const PAUSE: Seconds = Seconds(1);

/// How far the clock of the endpoint may be ahead of ours.
const AHEAD: Seconds = Seconds(30);

/// What is put into the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token;

/// The check, proven.
#[derive(Debug)]
pub struct CheckPlan {
    /// What is asked.
    pub exchange: Described<Token>,
    /// Tells its secrets apart from others.
    pub fingerprint: String,
    /// How the answer is read.
    pub reading: Arc<Reading>,
    /// For one answer.
    pub deadline: Duration,
    /// How long "good" holds.
    pub max_age: Seconds,
    /// How long "not good" holds.
    pub negative: Seconds,
    /// Whom to trust.
    pub authorities: Authorities,
}

impl CheckPlan {
    /// A text that is equal exactly when every answer would be the same, and would be read the same.
    #[must_use]
    pub fn continuity(&self) -> String {
        let Self { exchange, fingerprint, reading, deadline, max_age, negative, authorities } = self;
        format!("{exchange:?} {fingerprint} {reading:?} {deadline:?} {max_age:?} {negative:?} {}", authorities.text())
    }
}

/// What came of using a token.
#[derive(Debug, Clone)]
pub enum Checked {
    /// It is good, as far as the endpoint goes; its own end may have come.
    Good(Verified<Arc<Identity>>),
    /// It is good where it was made, and not what the conf demands here.
    Unfit,
    /// It has ended.
    Expired,
    /// It is not good.
    Refused,
}

/// The desk that asks.
pub struct CheckDesk {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    exchange: Described<Token>,
    reading: Arc<Reading>,
    deadline: Duration,
    max_age: Seconds,
    negative: Seconds,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    good: Cache<[u8; 32], Known, ByBytes>,
    bad: Cache<[u8; 32], (Checked, Timestamp)>,
    /// The last word on what was good to its end and is so no more.
    ended: Cache<[u8; 32], Known, ByBytes>,
    /// When nothing could be learnt of a token.
    unread: Cache<[u8; 32], Timestamp>,
    flights: SingleFlight<Result<Arc<Checked>, Outage>>,
    /// When the endpoint last failed to answer anybody.
    failed: AtomicI64,
}

#[derive(Clone)]
struct Known {
    identity: Verified<Arc<Identity>>,
    asked: Timestamp,
}

impl Known {
    /// Whether the token's own end has come.
    fn is_over(&self, now: Timestamp) -> bool {
        self.identity.get().expires.is_some_and(|end| end <= now)
    }

    /// Whether this still holds: a "good" until the end, and as long as that holds; that the end had come, as long as a "no" does.
    fn holds(&self, max_age: Seconds, negative: Seconds, now: Timestamp) -> bool {
        if self.is_over(self.asked) {
            now.is_within(negative, self.asked)
        } else {
            now.is_within(max_age, self.asked) && !self.is_over(now)
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Known> for ByBytes {
    fn weight(&self, _key: &[u8; 32], known: &Known) -> u64 {
        /// Key, entry, the identity itself, and what the allocator and the cache add.
        const AROUND: usize = 512;
        let identity = known.identity.get();
        let scopes: usize = identity.scopes.iter().map(|scope| scope.len() + 32).sum();
        let bytes = AROUND + identity.subject.len() + identity.issuer.len() + scopes + weigh_value(&identity.claims);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Why nothing was learnt of a token. Said to the operator.
#[derive(Debug, thiserror::Error)]
enum AskFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

impl AskFault {
    /// Whether another token would fare no better just now.
    fn is_everyones(&self) -> bool {
        match self {
            Self::Fetch(FetchFault::TooLarge { .. } | FetchFault::Encoded) => false,
            Self::Fetch(FetchFault::AddressRefused | FetchFault::Plaintext | FetchFault::Unreachable { .. } | FetchFault::NoAnswer) => true,
            // It was asked too often, or whatever stands before it cannot reach it.
            Self::Unread(Unread::Unknown(status)) => matches!(status, 429 | 502 | 503 | 504),
            Self::Unread(Unread::NoObject | Unread::NoSubject | Unread::NoScopes | Unread::NoTime) | Self::Unwritable(_) => false,
        }
    }
}

impl CheckDesk {
    /// A desk for the authenticator called `name`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(
        name: &Arc<str>,
        plan: &CheckPlan,
        client: &Arc<Client>,
        clock: &Arc<dyn Clock>,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, String> {
        let inner = Inner {
            name: Arc::clone(name),
            exchange: plan.exchange.clone(),
            reading: Arc::clone(&plan.reading),
            deadline: plan.deadline,
            max_age: plan.max_age,
            negative: plan.negative,
            client: plan.authorities.client(client)?,
            clock: Arc::clone(clock),
            observer: Arc::clone(observer),
            good: Cache::with_weighter(4_096, GOOD_BYTES, ByBytes),
            bad: Cache::new(BAD),
            ended: Cache::with_weighter(2_048, ENDED_BYTES, ByBytes),
            unread: Cache::new(BAD),
            flights: SingleFlight::new(FLIGHTS),
            failed: AtomicI64::new(i64::MIN),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is remembered about `token` and still holds at `now`.
    #[must_use]
    pub fn recall(&self, token: &str, now: Timestamp) -> Option<Checked> {
        self.inner.recall(&name_of(token), now)
    }

    /// Who held `token`, when it was good before and has ended since.
    #[must_use]
    pub fn ended(&self, token: &str) -> Option<Verified<Arc<Identity>>> {
        self.inner.ended.get(&name_of(token)).map(|known| known.identity)
    }
}

impl Inner {
    fn recall(&self, name: &[u8; 32], now: Timestamp) -> Option<Checked> {
        let good = self.good.get(name).filter(|known| known.holds(self.max_age, self.negative, now));
        if let Some(known) = good {
            return Some(Checked::Good(known.identity));
        }
        self.bad.get(name).filter(|(_, asked)| now.is_within(self.negative, *asked)).map(|(checked, _)| checked)
    }

    /// Whether it makes no sense to ask about a token, or about any.
    fn rests(&self, name: &[u8; 32], now: Timestamp) -> bool {
        let unread = self.unread.get(name).is_some_and(|since| now.is_within(PAUSE, since));
        unread || now.is_within(PAUSE, Timestamp(self.failed.load(Ordering::SeqCst)))
    }

    async fn ask(self: Arc<Self>, name: [u8; 32], token: Zeroizing<String>) -> Result<Arc<Checked>, Outage> {
        // The age of an answer, and of what it says of an end, counts from before it was asked for.
        let asked = self.clock.now();
        let outcome = self.fetch(&name, &token, asked).await;
        self.observer.note(Event::Introspection { authenticator: &self.name, ok: outcome.is_ok() });
        match outcome {
            Ok(checked) => {
                self.remember(name, &checked, asked);
                Ok(Arc::new(checked))
            }
            Err(fault) => {
                tracing::warn!(authenticator = %self.name, %fault, "token was not checked");
                let now = self.clock.now();
                if fault.is_everyones() {
                    self.failed.store(now.0, Ordering::SeqCst);
                } else {
                    self.unread.insert(name, now);
                }
                Err(Outage::Other)
            }
        }
    }

    fn remember(&self, name: [u8; 32], checked: &Checked, asked: Timestamp) {
        if let Checked::Good(identity) = checked {
            self.bad.remove(&name);
            self.ended.remove(&name);
            self.good.insert(name, Known { identity: identity.clone(), asked });
            return;
        }
        let last = self.good.remove(&name).map(|(_, last)| last);
        let ended = match checked {
            // The endpoint says itself that this is an end.
            Checked::Expired => last,
            // It does not; one that is refused before its end was taken back, and nobody is known by it any more.
            Checked::Refused => last.filter(|last| last.is_over(asked.plus(AHEAD))),
            // Whatever it was, it is none of ours any more.
            Checked::Unfit | Checked::Good(_) => {
                self.ended.remove(&name);
                None
            }
        };
        if let Some(last) = ended {
            self.ended.insert(name, last);
        }
        self.bad.insert(name, (checked.clone(), asked));
    }

    async fn fetch(&self, name: &[u8; 32], token: &str, asked: Timestamp) -> Result<Checked, AskFault> {
        let exchange = self.exchange.exchange(&|Token| token.as_bytes(), self.deadline, MAX_ANSWER)?;
        let reply = self.client.fetch(exchange).await?;
        Ok(match self.reading.read(&reply, name, asked, &self.name)? {
            // The configured endpoint took this very token, over a channel that proves it is that endpoint.
            Said::Good(identity) => Checked::Good(Verified::vouch(Arc::from(identity))),
            Said::Unfit => Checked::Unfit,
            Said::Expired => Checked::Expired,
            Said::Refused => Checked::Refused,
        })
    }
}

#[async_trait]
impl Desk for CheckDesk {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let name = name_of(about);
        if let Some(checked) = inner.recall(&name, now) {
            return Ok(Arc::new(checked));
        }
        if inner.rests(&name, now) {
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

//! Opaque tokens: somebody is asked what each is good for, and what came of it is remembered.
//!
//! Tokens are remembered by their SHA-256 and never in the clear. What is good and what is not are kept apart, each bounded, so
//! that invented tokens push no real one out. Times are checked against the `now` of each request.
//!
//! Who held a token stays known here after its end, by what was said while it was good: not to let it in, but to have it renewed.
//!
//! An endpoint that cannot be reached, or that says it has enough, is left alone for a moment. An answer without a reading counts
//! against its own token only: whoever sends tokens that the endpoint chokes on stops nobody else.
//!
//! Not here: how an endpoint is asked, and how its answers are read; that differs ([`Endpoint`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use crate::domain::{Answer, Clock, Event, Observer, Outage, Seconds, Timestamp};
use crate::jose::base64url;
use crate::net::single_flight::SingleFlight;
use crate::verify::contract::Desk;

/// What a token is remembered by.
pub type TokenName = [u8; 32];

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

/// What `token` is remembered by.
#[must_use]
pub fn name_of(token: &[u8]) -> TokenName {
    digest(&SHA256, token).as_ref().first_chunk().copied().unwrap_or_default()
}

/// Whoever knows what tokens are good for.
///
/// # Security
///
/// What is heard is believed of this token for as long as the terms say. An answer that cannot be fully read is a fault, and neither
/// [`Heard::Good`] nor [`Heard::Bad`].
#[async_trait]
pub trait Endpoint: Send + Sync + 'static {
    /// What it says of a token.
    type Word: Clone + Send + Sync + 'static;

    /// Why nothing was learnt of one. Said to the operator.
    type Fault: std::error::Error + Send;

    /// Asks about `token`, which is remembered by `name`. The answer is as old as `asked`.
    ///
    /// # Errors
    ///
    /// The fault.
    async fn ask(&self, name: &TokenName, token: &str, asked: Timestamp) -> Result<Heard<Self::Word>, Self::Fault>;

    /// Whether another token would fare no better just now.
    fn is_everyones(fault: &Self::Fault) -> bool;
}

/// What was heard of a token.
#[derive(Debug, Clone)]
pub enum Heard<W> {
    /// It is good, as far as the endpoint goes; its own end may have come.
    Good {
        /// What was said.
        word: W,
        /// Its own end.
        expires: Option<Timestamp>,
        /// What `word` takes in memory, about.
        bytes: u64,
    },
    /// It is not.
    Bad {
        /// What was said.
        word: W,
        /// What becomes of who held it.
        holder: Holder,
    },
}

/// What becomes of who held a token that is good no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// They stay known: the endpoint says itself that this is an end.
    Known,
    /// They stay known if the token's own end has come; one that is refused before it was taken back, and nobody is known by it any more.
    KnownAfterEnd,
    /// They are known no more: whatever it was, it is none of ours.
    Unknown,
}

/// How long words hold.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a good one does.
    pub max_age: Seconds,
    /// How long a bad one does.
    pub negative: Seconds,
    /// How far the clock of the endpoint may be ahead of ours.
    pub ahead: Seconds,
}

/// The desk that asks.
pub struct Inquiry<E: Endpoint> {
    inner: Arc<Inner<E>>,
}

struct Inner<E: Endpoint> {
    authenticator: Arc<str>,
    endpoint: E,
    terms: Terms,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    good: Cache<TokenName, Known<E::Word>, ByBytes>,
    bad: Cache<TokenName, (E::Word, Timestamp)>,
    /// The last word on what was good to its end and is so no more.
    ended: Cache<TokenName, Known<E::Word>, ByBytes>,
    /// When nothing could be learnt of a token.
    unread: Cache<TokenName, Timestamp>,
    flights: SingleFlight<Result<Arc<E::Word>, Outage>>,
    /// When the endpoint last failed to answer anybody.
    failed: AtomicI64,
}

#[derive(Clone)]
struct Known<W> {
    word: W,
    asked: Timestamp,
    expires: Option<Timestamp>,
    bytes: u64,
}

impl<W> Known<W> {
    /// Whether the token's own end has come.
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether this still holds: a "good" until the end, and as long as that holds; that the end had come, as long as a "no" does.
    fn holds(&self, terms: &Terms, now: Timestamp) -> bool {
        if self.is_over(self.asked) {
            now.is_within(terms.negative, self.asked)
        } else {
            now.is_within(terms.max_age, self.asked) && !self.is_over(now)
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl<W> Weighter<TokenName, Known<W>> for ByBytes {
    fn weight(&self, _key: &TokenName, known: &Known<W>) -> u64 {
        /// Key, entry, and what the allocator and the cache add.
        const AROUND: u64 = 512;
        known.bytes.saturating_add(AROUND)
    }
}

impl<E: Endpoint> Inquiry<E> {
    /// A desk for `authenticator` that asks `endpoint`.
    #[must_use]
    pub fn new(authenticator: &Arc<str>, endpoint: E, terms: Terms, clock: &Arc<dyn Clock>, observer: &Arc<dyn Observer>) -> Self {
        let inner = Inner {
            authenticator: Arc::clone(authenticator),
            endpoint,
            terms,
            clock: Arc::clone(clock),
            observer: Arc::clone(observer),
            good: Cache::with_weighter(4_096, GOOD_BYTES, ByBytes),
            bad: Cache::new(BAD),
            ended: Cache::with_weighter(2_048, ENDED_BYTES, ByBytes),
            unread: Cache::new(BAD),
            flights: SingleFlight::new(FLIGHTS),
            failed: AtomicI64::new(i64::MIN),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is remembered about `token` and still holds at `now`.
    #[must_use]
    pub fn recall(&self, token: &str, now: Timestamp) -> Option<E::Word> {
        self.inner.recall(&name_of(token.as_bytes()), now)
    }

    /// The last word on `token`, when it was good before and has ended since.
    #[must_use]
    pub fn ended(&self, token: &str) -> Option<E::Word> {
        self.inner.ended.get(&name_of(token.as_bytes())).map(|known| known.word)
    }
}

impl<E: Endpoint> Inner<E> {
    fn recall(&self, name: &TokenName, now: Timestamp) -> Option<E::Word> {
        if let Some(known) = self.good.get(name).filter(|known| known.holds(&self.terms, now)) {
            return Some(known.word);
        }
        self.bad.get(name).filter(|(_, asked)| now.is_within(self.terms.negative, *asked)).map(|(word, _)| word)
    }

    /// Whether it makes no sense to ask about a token, or about any.
    fn rests(&self, name: &TokenName, now: Timestamp) -> bool {
        let unread = self.unread.get(name).is_some_and(|since| now.is_within(PAUSE, since));
        unread || now.is_within(PAUSE, Timestamp(self.failed.load(Ordering::SeqCst)))
    }

    async fn ask(self: Arc<Self>, name: TokenName, token: Zeroizing<String>) -> Result<Arc<E::Word>, Outage> {
        // The age of an answer, and of what it says of an end, counts from before it was asked for.
        let asked = self.clock.now();
        let outcome = self.endpoint.ask(&name, &token, asked).await;
        self.observer.note(Event::Introspection { authenticator: &self.authenticator, ok: outcome.is_ok() });
        match outcome {
            Ok(heard) => Ok(Arc::new(self.remember(name, heard, asked))),
            Err(fault) => {
                tracing::warn!(authenticator = %self.authenticator, %fault, "token was not introspected");
                let now = self.clock.now();
                if E::is_everyones(&fault) {
                    self.failed.store(now.0, Ordering::SeqCst);
                } else {
                    self.unread.insert(name, now);
                }
                Err(Outage::Other)
            }
        }
    }

    fn remember(&self, name: TokenName, heard: Heard<E::Word>, asked: Timestamp) -> E::Word {
        match heard {
            Heard::Good { word, expires, bytes } => {
                self.bad.remove(&name);
                self.ended.remove(&name);
                self.good.insert(name, Known { word: word.clone(), asked, expires, bytes });
                word
            }
            Heard::Bad { word, holder } => {
                let last = self.good.remove(&name).map(|(_, last)| last);
                let ended = match holder {
                    Holder::Known => last,
                    Holder::KnownAfterEnd => last.filter(|last| last.is_over(asked.plus(self.terms.ahead))),
                    Holder::Unknown => {
                        self.ended.remove(&name);
                        None
                    }
                };
                if let Some(last) = ended {
                    self.ended.insert(name, last);
                }
                self.bad.insert(name, (word.clone(), asked));
                word
            }
        }
    }
}

#[async_trait]
impl<E: Endpoint> Desk for Inquiry<E> {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let name = name_of(about.as_bytes());
        if let Some(word) = inner.recall(&name, now) {
            return Ok(Arc::new(word));
        }
        if inner.rests(&name, now) {
            return Err(Outage::Other);
        }
        let work = || Arc::clone(inner).ask(name, Zeroizing::new(about.to_owned()));
        let answer = inner.flights.join(&base64url::encode(&name), work).await.unwrap_or(Err(Outage::Other))?;
        Ok(answer)
    }
}

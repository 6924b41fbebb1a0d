//! The one client for outbound questions.
//!
//! One exchange is one request and one answer: no redirect is followed, no proxy of the environment is used, nothing is
//! decompressed, nothing is asked twice, no cookie is kept. Time is bounded for the whole exchange, size while the answer
//! streams in. Where an exchange may go is judged by [`crate::net::guard`] on the addresses that are connected to.
//!
//! Configured hosts and hosts that a token named use connections of their own, so that one kind never rides on what the
//! other was allowed.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method};
use url::Url;

use crate::net::guard::{Reach, is_localhost, permits, permits_literal, plaintext_allowed};

/// What the client is built with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// A PEM bundle of the only authorities to trust, instead of the machine's own; `None` for the machine's.
    pub ca: Option<Vec<u8>>,
    /// Addresses for names, in place of asking the resolver. They are the operator's word, so they are judged as
    /// [`Reach::Configured`] even when a token names the host.
    pub resolve: Vec<(String, SocketAddr)>,
    /// Whether every exchange has a connection of its own, so that none is lost to one that the other side was just closing.
    pub unpooled: bool,
    /// The `User-Agent`; `countersign/VERSION` when empty.
    pub user_agent: String,
}

/// Makes bounded exchanges. One per process, and one more for each set of authorities; cheap to share.
///
/// Clients made from one another are a [`Family`]: they have its settings, except for what each was made to do otherwise.
pub struct Client {
    family: Arc<ArcSwap<ClientSettings>>,
    own: Own,
    lanes: ArcSwap<Lanes>,
}

/// The settings that clients made from one another share. Does not keep them alive.
#[derive(Debug, Clone)]
pub struct Family(Weak<ArcSwap<ClientSettings>>);

/// What a client does otherwise than its family.
#[derive(Debug, Clone, Default)]
struct Own {
    ca: Option<Vec<u8>>,
    unpooled: bool,
}

/// Connections made under one set of settings.
#[derive(Clone)]
struct Lanes {
    /// The settings of the family as they were.
    family: Arc<ClientSettings>,
    configured: reqwest::Client,
    from_token: reqwest::Client,
}

/// One question to another machine.
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// Where to. Its user name and password, if any, are not sent: secrets travel in `headers` or `body`.
    pub url: Url,
    /// Fields to send.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// For everything: resolving, connecting, sending, and reading the answer to its end.
    pub deadline: Duration,
    /// The largest answer we read, in bytes of body.
    pub max_bytes: usize,
    /// Who named the host.
    pub reach: Reach,
}

/// One answer, read to its end.
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer, split by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFault {
    /// The operator must change the URL (or the token is hostile): we never connect there. Nothing was sent.
    #[error("the host leads to an address that is never called")]
    AddressRefused,
    /// The operator must use `https`. Nothing was sent.
    #[error("plaintext http is only spoken to this machine")]
    Plaintext,
    /// There is no connection: name, address, port or certificate. Nothing was sent; asking again later is safe.
    #[error("no connection: {why}")]
    Unreachable {
        /// What our own libraries say about it.
        why: String,
    },
    /// A connection was made and no whole answer came back in time. The request may have been acted upon.
    #[error("no whole answer within the deadline")]
    NoAnswer,
    /// The answer is larger than we read. The request was acted upon.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound that was passed.
        limit: usize,
    },
    /// The answer is compressed, which we did not ask for and do not undo. The request was acted upon.
    #[error("the answer is compressed")]
    Encoded,
}

impl FetchFault {
    /// Whether it is certain that nothing was sent, so that asking again cannot do the same thing twice.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        match self {
            Self::AddressRefused | Self::Plaintext | Self::Unreachable { .. } => true,
            Self::NoAnswer | Self::TooLarge { .. } | Self::Encoded => false,
        }
    }
}

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an idle connection is kept; shorter than what servers commonly keep, so that we are the one to close.
const IDLE: Duration = Duration::from_secs(30);

impl Client {
    /// Builds the client.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: the authorities cannot be read. That the machine has none is no error as long as
    /// nobody is asked over https; who is, is not trusted.
    pub fn new(settings: ClientSettings) -> Result<Self, String> {
        Self::of(Arc::new(ArcSwap::from_pointee(settings)), Own::default())
    }

    fn of(family: Arc<ArcSwap<ClientSettings>>, own: Own) -> Result<Self, String> {
        let lanes = ArcSwap::from_pointee(Lanes::open(&family.load_full(), &own)?);
        Ok(Self { family, own, lanes })
    }

    /// The settings that it shares with whatever is made from it.
    #[must_use]
    pub fn family(&self) -> Family {
        Family(Arc::downgrade(&self.family))
    }

    /// The lanes to take now: opened anew when the settings of the family have changed.
    fn lanes(&self) -> Arc<Lanes> {
        let (family, lanes) = (self.family.load_full(), self.lanes.load_full());
        if Arc::ptr_eq(&family, &lanes.family) {
            return lanes;
        }
        let next = Lanes::open(&family, &self.own).unwrap_or_else(|why| {
            tracing::warn!(%why, "the new settings of `outbound` cannot be used here; the old ones are");
            Lanes { family, ..(*lanes).clone() }
        });
        let next = Arc::new(next);
        self.lanes.store(Arc::clone(&next));
        next
    }

    /// A client like this one that trusts the authorities of `ca`, a PEM bundle, and no others.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: the bundle cannot be read.
    pub fn trusting(&self, ca: &[u8]) -> Result<Self, String> {
        Self::of(Arc::clone(&self.family), Own { ca: Some(ca.to_vec()), ..self.own.clone() })
    }

    /// A client like this one that makes every exchange over a connection of its own: for what must not be asked twice.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: the authorities cannot be read any more.
    pub fn unpooled(&self) -> Result<Self, String> {
        Self::of(Arc::clone(&self.family), Own { unpooled: true, ..self.own.clone() })
    }

    /// Makes one exchange. Any status is an answer, a redirect included.
    ///
    /// # Errors
    ///
    /// [`FetchFault`] when there is no whole answer within the bounds.
    pub async fn fetch(&self, exchange: Exchange) -> Result<Reply, FetchFault> {
        if !plaintext_allowed(&exchange.url) {
            return Err(FetchFault::Plaintext);
        }
        let lanes = self.lanes();
        // A name that is overridden is judged by its address, in the resolver.
        let overridden = exchange.url.domain().is_some_and(|name| lanes.family.resolve.iter().any(|(host, _)| host == name));
        if !overridden && !permits_literal(&exchange.url, exchange.reach) {
            return Err(FetchFault::AddressRefused);
        }
        let deadline = exchange.deadline;
        tokio::time::timeout(deadline, lanes.exchange(exchange)).await.unwrap_or(Err(FetchFault::NoAnswer))
    }
}

impl Family {
    /// From its next exchange on, each of them goes by `settings`, as far as it was not made to do otherwise. False when none of
    /// them is left.
    #[must_use]
    pub fn follow(&self, settings: &ClientSettings) -> bool {
        let Some(family) = self.0.upgrade() else { return false };
        // Storing what is there already would cost every connection.
        if **family.load() != *settings {
            family.store(Arc::new(settings.clone()));
        }
        true
    }
}

impl Lanes {
    fn open(family: &Arc<ClientSettings>, own: &Own) -> Result<Self, String> {
        let mut settings = (**family).clone();
        settings.ca = own.ca.clone().or(settings.ca);
        settings.unpooled |= own.unpooled;
        let lanes = |roots: Option<&[reqwest::Certificate]>| {
            let lane = |reach| build(&settings, roots, reach);
            Ok::<_, String>((lane(Reach::Configured)?, lane(Reach::FromToken)?))
        };
        let (configured, from_token) = match &settings.ca {
            Some(pem) => lanes(Some(&read_authorities(pem)?))?,
            // A machine without authorities can still do everything that needs none; what needs one fails when it is asked.
            None => lanes(None).or_else(|why| {
                tracing::warn!(%why, "the machine's certificate authorities cannot be used; nothing is trusted over https");
                lanes(Some(&[]))
            })?,
        };
        Ok(Self { family: Arc::clone(family), configured, from_token })
    }

    async fn exchange(&self, exchange: Exchange) -> Result<Reply, FetchFault> {
        let Exchange { method, mut url, headers, body, max_bytes, reach, .. } = exchange;
        // Left in, they would become an `Authorization` field that nobody asked for.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(FetchFault::AddressRefused);
        }
        let lane = match reach {
            Reach::Configured => &self.configured,
            Reach::FromToken => &self.from_token,
        };
        let mut request = lane.request(method, url).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut answer = request.send().await.map_err(|error| fault_of(&error))?;

        let too_large = FetchFault::TooLarge { limit: max_bytes };
        if let Some(announced) = answer.headers().get(CONTENT_LENGTH) {
            let announced = announced.to_str().ok().and_then(|text| text.parse::<usize>().ok());
            if announced.is_none_or(|length| max_bytes < length) {
                return Err(too_large);
            }
        }
        let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !answer.headers().get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(FetchFault::Encoded);
        }
        let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| FetchFault::NoAnswer)? {
            if max_bytes - body.len() < chunk.len() {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }
}

impl Exchange {
    /// A `GET` of `url`, named by the conf, without fields of our own.
    #[must_use]
    pub fn get(url: Url, deadline: Duration, max_bytes: usize) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), deadline, max_bytes, reach: Reach::Configured }
    }
}

fn read_authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, String> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| format!("the authorities are no PEM bundle: {error}"))?;
    if certificates.is_empty() {
        return Err("the bundle of authorities holds no certificate".to_owned());
    }
    Ok(certificates)
}

fn build(settings: &ClientSettings, roots: Option<&[reqwest::Certificate]>, reach: Reach) -> Result<reqwest::Client, String> {
    let agent = match settings.user_agent.as_str() {
        "" => concat!("countersign/", env!("CARGO_PKG_VERSION")),
        agent => agent,
    };
    let resolver = GuardedResolver { overrides: settings.resolve.iter().cloned().collect(), reach };
    let mut builder = reqwest::Client::builder()
        .user_agent(agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(if settings.unpooled { 0 } else { 8 })
        .http1_only()
        .https_only(false) // `fetch` knows the one exception
        .dns_resolver(Arc::new(resolver));
    if let Some(roots) = roots {
        builder = builder.tls_certs_only(roots.iter().cloned());
    }
    builder.build().map_err(|error| format!("cannot make an HTTP client: {}", innermost(&error)))
}

/// Resolves names and lets through only what the guard permits: these very addresses are connected to.
struct GuardedResolver {
    overrides: HashMap<String, SocketAddr>,
    reach: Reach,
}

/// What the resolver answers when nothing is left to connect to.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is never called")]
struct Refused;

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let written = self.overrides.get(name.as_str()).copied();
        let reach = self.reach;
        Box::pin(async move {
            if let Some(address) = written {
                let permitted = permits(address.ip(), Reach::Configured);
                return permitted.then(|| Box::new(std::iter::once(address)) as reqwest::dns::Addrs).ok_or_else(|| Refused.into());
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(let_through(name.as_str(), found, reach)?.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Of the addresses that `name` was found to have, those that may be connected to.
fn let_through(name: &str, found: Vec<SocketAddr>, reach: Reach) -> Result<Vec<SocketAddr>, Refused> {
    // What is spoken to in plaintext because it is this machine must be this machine.
    let here = is_localhost(name);
    let fits = |address: IpAddr| permits(address, reach) && (!here || address.is_loopback());
    let left: Vec<SocketAddr> = found.into_iter().filter(|address| fits(address.ip())).collect();
    if left.is_empty() { Err(Refused) } else { Ok(left) }
}

fn fault_of(error: &reqwest::Error) -> FetchFault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<Refused>() {
            return FetchFault::AddressRefused;
        }
        cause = inner.source();
    }
    if error.is_connect() { FetchFault::Unreachable { why: innermost(error) } } else { FetchFault::NoAnswer }
}

/// The last of the causes: the system's or the TLS library's own words, which hold neither URL nor secret.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("overrides", &self.family.load().resolve.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({} {:?}, {} bytes)", self.method, self.url.host_str().unwrap_or_default(), self.body.len())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

#[cfg(test)]
#[path = "../../tests/support/loopback.rs"]
pub(crate) mod loopback;
#[cfg(test)]
mod tests;

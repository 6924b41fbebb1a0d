//! Asks an introspection endpoint.
//!
//! An issuer calls a token inactive that has ended, and one that was revoked, and does not say which. What it said is remembered by the
//! desk of all opaque tokens (`verify::inquiry`).
//!
//! Rules: RFC 7662 sections 2.1, 2.2 and 4 (an answer may be cached, no longer than `exp`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use crate::domain::{Claims, Clock, Observer, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::base64url;
use crate::jose::claims::Registered;
use crate::jose::json::parse_to_depth;
use crate::net::authorities::Authorities;
use crate::net::client::{Client, Exchange, FetchFault};
use crate::verify::inquiry::{Endpoint, Heard, Holder, Inquiry, MAX_ANSWER, Terms, TokenName, name_of};

/// How deep an answer may nest.
const DEPTH: usize = 16;

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

impl EndpointPlan {
    /// A text that is equal exactly when every answer would be the same. As secret as the client's secret.
    #[must_use]
    pub fn continuity(&self) -> String {
        let Self { url, client_id, client_secret, client_auth, token_type_hint, deadline, max_age, negative, leeway, authorities } = self;
        let secret = base64url::encode(&name_of(client_secret.expose()));
        let ca = authorities.text();
        format!("{url} {client_id:?} {secret} {client_auth:?} {token_type_hint:?} {deadline:?} {max_age:?} {negative:?} {leeway:?} {ca}")
    }
}

/// What the issuer says about a token.
#[derive(Debug, Clone)]
pub enum Introspected {
    /// It is active; the whole answer, whose registered claims have the right types.
    Active(Arc<Verified<Claims>>),
    /// It is not, or not for us to know.
    Inactive,
}

/// The desk that asks.
pub type IntrospectionDesk = Inquiry<Introspection>;

/// What is asked, of whom.
pub struct Introspection {
    url: Url,
    headers: HeaderMap,
    /// What every body starts with.
    preamble: Zeroizing<String>,
    deadline: Duration,
    client: Arc<Client>,
}

/// Why the endpoint gave no usable answer. Said to the operator.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// It was not reached, or its answer is none that is read.
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    /// It does not answer as one that introspects does.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Its answer is no JSON.
    #[error("the answer is not well-formed JSON")]
    NotJson,
    /// Its answer does not say whether the token is active.
    #[error("`active` of the answer is neither true nor false")]
    NoVerdict,
    /// Its answer says something that it cannot mean.
    #[error("a registered member of the answer has the wrong type")]
    WrongType,
}

/// A desk for the authenticator called `name`.
///
/// # Errors
///
/// A sentence for the operator.
pub fn desk(
    name: &Arc<str>,
    plan: &EndpointPlan,
    client: &Arc<Client>,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
) -> Result<IntrospectionDesk, String> {
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
    let client = plan.authorities.client(client)?;
    let endpoint = Introspection { url: plan.url.clone(), headers, preamble, deadline: plan.deadline, client };
    let terms = Terms { max_age: plan.max_age, negative: plan.negative, ahead: plan.leeway };
    Ok(Inquiry::new(name, endpoint, terms, clock, observer))
}

#[async_trait]
impl Endpoint for Introspection {
    type Word = Introspected;
    type Fault = AskFault;

    async fn ask(&self, _name: &TokenName, token: &str, _asked: Timestamp) -> Result<Heard<Introspected>, AskFault> {
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
            Some(Value::Bool(false)) => Ok(Heard::Bad { word: Introspected::Inactive, holder: Holder::KnownAfterEnd }),
            Some(Value::Bool(true)) => {
                // The configured endpoint said so, over a channel that proves it is that endpoint.
                let claims = Verified::vouch(Claims::from(&answer));
                let registered = Registered::read(&claims).map_err(|_| AskFault::WrongType)?;
                let expires = registered.lifetime.expires;
                let bytes = u64::try_from(size_of::<Claims>() + claims.get().held()).unwrap_or(u64::MAX);
                Ok(Heard::Good { word: Introspected::Active(Arc::new(claims)), expires, bytes })
            }
            _ => Err(AskFault::NoVerdict),
        }
    }

    fn is_everyones(_fault: &AskFault) -> bool {
        // It answers for every token in one way, or for none.
        true
    }
}

/// `bytes` as the value of a form field.
fn encode(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

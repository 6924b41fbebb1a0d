//! The `oauth2` renewer: a refresh token for the next pair, at the token endpoint of its issuer.
//!
//! One POST, and its answer. The endpoint is written in the conf or found in the issuer's metadata; finding it spends nothing.
//! Each exchange has a connection of its own, so that none is lost to one that the issuer was just closing.
//!
//! Deliberately absent: every other grant; redirects; a second try.
//!
//! Rules: RFC 6749 section 6, RFC 8707 (`resource`), RFC 9700 section 2.2.2 (rotation).

pub mod answer;
pub mod client;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use url::Url;

use crate::domain::{Random, Seconds, Spent, Timestamp, TokenPair};
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::metadata;
use crate::jose::mint::{MintFault, SigningKey};
use crate::net::authorities::{Authorities, CA_KEY, check_url};
use crate::net::client::{Client, Exchange};
use crate::net::discovery::{MAX_DOCUMENT, document_of, may_lead};
use crate::net::form::Form;
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::renew::endpoint::{MAX_ANSWER, ask};
use crate::renew::handling::{EARLY_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY, REFRESH_FROM_KEY, RETRY_KEY, WAIT_KEY};
use crate::renew::oauth2::client::ClientAuth;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The renewer's line on the roll-call.
pub static ENTRY: RenewerEntry = RenewerEntry {
    name: "oauth2",
    doc: "A refresh token is spent at the token endpoint of an OAuth 2.0 or OpenID issuer (RFC 6749 section 6).",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `oauth2` renewer",
    doc: "Spends a refresh token at the token endpoint of its issuer.",
    keys: &[
        REFRESH_FROM_KEY,
        KeySpec::optional(
            "token_url",
            Shape::Url,
            "The token endpoint. Unless written it is looked up in the metadata of the issuer, under `/.well-known/openid-configuration`.",
        ),
        KeySpec::optional(
            "issuer",
            Shape::Url,
            "The issuer, exactly as its metadata write it. That of the authenticators that name this renewer, unless written.",
        ),
        KeySpec::required("client_id", Shape::Text, "Who we are to the issuer."),
        KeySpec::optional("client_secret", Shape::Secret, "Our secret there."),
        KeySpec::optional("client_key", Shape::Secret, "Our private key there, as PEM, for `private_key_jwt`."),
        KeySpec::optional("client_key_id", Shape::Text, "The `kid` under which the issuer knows that key; none is sent unless written."),
        KeySpec::optional(
            "client_key_algorithm",
            Shape::OneOf(&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
            "What an RSA key signs with; RS256 unless written. Other keys have one algorithm each.",
        ),
        KeySpec::optional(
            "client_auth",
            Shape::OneOf(&["basic", "post", "private_key_jwt", "none"]),
            "How we show who we are: `Authorization: Basic` (with a `client_secret`, unless written), id and secret in the body, a signed \
             statement (with a `client_key`, unless written), or the id alone. RFC 6749 section 2.3.1, RFC 7523.",
        ),
        KeySpec::optional(
            "client_assertion_audience",
            Shape::Text,
            "The `aud` of that statement; the issuer where it is known, and otherwise the token endpoint, unless written.",
        ),
        KeySpec::optional(
            "scope",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Scopes to ask for; those of the login unless written.",
        ),
        KeySpec::optional("audience", Shape::Text, "The `audience` parameter of issuers that ask for one."),
        KeySpec::optional("resource", Shape::List { of: &Shape::Text, lone: true, min: 1 }, "`resource` parameters (RFC 8707)."),
        KeySpec::optional("parameters", Shape::Map(&Shape::Text), "Other parameters of the request that this issuer asks for, by name."),
        RETRY_KEY,
        EARLY_KEY,
        WAIT_KEY,
        FLIGHT_KEY,
        GRACE_KEY,
        HAND_BACK_KEY,
        CA_KEY,
    ],
};

/// Parameters of the request that have a key of their own, or are ours to write.
const OURS: [&str; 9] = [
    "grant_type",
    "refresh_token",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
    "resource",
];

/// How long the place of a token endpoint is remembered.
const REMEMBERED: Seconds = Seconds(3_600);

/// How long the metadata may take at most; within a third of the whole.
const LOOKING: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct OAuth2Plan {
    token_url: Option<Url>,
    issuer: Option<Box<str>>,
    client_id: Box<str>,
    client_auth: ClientAuth,
    /// Fields that are the same in every request, in the order they are sent.
    fields: Vec<(Box<str>, Box<str>)>,
    forgives_repeats: bool,
    authorities: Authorities,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let token_url = section.node("token_url").and_then(|_| check_url(&section, "token_url", checking));
    let issuer = section.text("issuer");
    if let Some(issuer) = issuer.filter(|issuer| document_of(issuer).is_none()) {
        checking.faults.error(section.span_of("issuer"), not_discoverable(issuer));
    }
    let client_auth = client_auth(&section, issuer, checking);
    let authorities = Authorities::read(&section, checking);
    let fields = fields(&section, checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(OAuth2Plan {
        token_url,
        issuer: issuer.map(Into::into),
        client_id: section.text("client_id")?.into(),
        client_auth: client_auth?,
        fields,
        forgives_repeats: section.flag(RETRY_KEY.name),
        authorities: authorities?,
    }))
}

fn not_discoverable(issuer: &str) -> String {
    format!("`{issuer}` is no issuer whose metadata can be looked up: an https URL without query, fragment and user; write `token_url`")
}

/// How the endpoint is shown who asks: as written, or as follows from what is there to show.
fn client_auth(section: &Section<'_>, issuer: Option<&str>, checking: &mut Checking<'_>) -> Option<ClientAuth> {
    let (secret, key) = (section.node("client_secret"), section.node("client_key"));
    let written = section.text("client_auth");
    let way = match (written, secret, key) {
        (Some(way), _, _) => way,
        (None, Some(_), None) => "basic",
        (None, None, Some(_)) => "private_key_jwt",
        (None, Some(_), Some(key)) => {
            checking.faults.error(&key.span, "there is a `client_secret` and a `client_key`; remove one, or write `client_auth`");
            return None;
        }
        (None, None, None) => {
            checking
                .faults
                .error(section.span(), "write a `client_secret` or a `client_key`, or `client_auth: none` for a client that has neither");
            return None;
        }
    };
    let mut unused: Vec<&str> = Vec::new();
    if !matches!(way, "basic" | "post") {
        unused.push("client_secret");
    }
    if way != "private_key_jwt" {
        unused.extend(["client_key", "client_key_id", "client_key_algorithm", "client_assertion_audience"]);
    }
    if let Some(name) = unused.into_iter().find(|name| section.node(name).is_some()) {
        checking.faults.error(section.span_of(name), format!("`{name}` is not used with `client_auth: {way}`; remove one of the two"));
        return None;
    }
    match (way, secret, key) {
        ("none", _, _) => Some(ClientAuth::Public),
        ("private_key_jwt", _, Some(_)) => {
            let audience = section.text("client_assertion_audience").or(issuer).map(Into::into);
            Some(ClientAuth::PrivateKeyJwt { key: Arc::new(signing_key(section, checking)?), audience })
        }
        ("basic", Some(node), _) => checking.secret(node).map(ClientAuth::Basic),
        ("post", Some(node), _) => checking.secret(node).map(ClientAuth::Post),
        _ => {
            let needed = if way == "private_key_jwt" { "client_key" } else { "client_secret" };
            checking.faults.error(section.span_of("client_auth"), format!("`client_auth: {way}` needs a `{needed}`"));
            None
        }
    }
}

fn signing_key(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<SigningKey> {
    let pem = checking.secret(section.node("client_key")?)?;
    let algorithm = section.text("client_key_algorithm").and_then(Algorithm::named);
    let key = client::parse_key(&pem, algorithm);
    match key {
        // A `kid` that the issuer did not register would keep it from finding the key.
        Ok(key) => Some(key.with_kid(section.text("client_key_id"))),
        Err(MintFault::Algorithm(_)) if algorithm.is_some_and(|algorithm| algorithm.family() == Family::Rsa) => {
            checking.faults.error(section.span_of("client_key_algorithm"), "this is for RSA keys, and `client_key` is another kind of key");
            None
        }
        Err(fault) => {
            let says = format!("{fault}; write a reference to a PEM file, as made by `openssl genpkey -algorithm ed25519`");
            checking.faults.error(section.span_of("client_key"), says);
            None
        }
    }
}

/// The fields that are the same in every request.
fn fields(section: &Section<'_>, checking: &mut Checking<'_>) -> Vec<(Box<str>, Box<str>)> {
    let mut fields: Vec<(Box<str>, Box<str>)> = Vec::new();
    let scopes = section.texts("scope");
    if !scopes.is_empty() {
        fields.push(("scope".into(), scopes.join(" ").into()));
    }
    if let Some(audience) = section.text("audience") {
        fields.push(("audience".into(), audience.into()));
    }
    for resource in section.items("resource") {
        let text = resource.as_text().unwrap_or_default();
        if Url::parse(text).is_ok_and(|url| url.fragment().is_none()) {
            fields.push(("resource".into(), text.into()));
        } else {
            checking
                .faults
                .error(&resource.span, format!("`{text}` is no resource: an absolute URI without fragment (RFC 8707 section 2)"));
        }
    }
    for entry in section.node("parameters").and_then(Node::as_map).unwrap_or_default() {
        if OURS.contains(&entry.key.as_str()) {
            checking
                .faults
                .error(&entry.span, format!("`{}` is no other parameter: the renewer writes it, or has a key for it", entry.key));
        } else {
            fields.push((entry.key.as_str().into(), entry.node.as_text().unwrap_or_default().into()));
        }
    }
    fields
}

impl RenewerPlan for OAuth2Plan {
    fn take_issuer(&mut self, issuer: Option<&str>) -> Result<(), String> {
        if self.token_url.is_some() || self.issuer.is_some() {
            return Ok(());
        }
        let issuer = issuer.ok_or(
            "it is not said who is asked, and those who use it do not all have one issuer whose metadata could be looked up; write \
             `token_url` or `issuer`",
        )?;
        if document_of(issuer).is_none() {
            return Err(not_discoverable(issuer));
        }
        self.issuer = Some(issuer.into());
        if let ClientAuth::PrivateKeyJwt { audience, .. } = &mut self.client_auth {
            audience.get_or_insert_with(|| issuer.into());
        }
        Ok(())
    }

    fn build(&self, name: &Arc<str>, tools: &RenewTools<'_>) -> Result<Arc<dyn Renewer>, String> {
        let endpoint = match (&self.token_url, &self.issuer) {
            (Some(url), _) => Endpoint::Written(url.clone()),
            (None, Some(issuer)) => Endpoint::LookedUp {
                document: document_of(issuer).ok_or_else(|| not_discoverable(issuer))?,
                issuer: issuer.clone(),
                found: Mutex::default(),
            },
            (None, None) => return Err("it has no token endpoint".to_owned()),
        };
        Ok(Arc::new(OAuth2 {
            name: Arc::clone(name),
            plan: self.clone(),
            endpoint,
            deadline: tools.deadline,
            client: self.authorities.client(tools.client)?,
            random: Arc::clone(tools.random),
        }))
    }
}

struct OAuth2 {
    name: Arc<str>,
    plan: OAuth2Plan,
    endpoint: Endpoint,
    deadline: Duration,
    client: Arc<Client>,
    random: Arc<dyn Random>,
}

/// Where the token endpoint is.
enum Endpoint {
    Written(Url),
    LookedUp {
        issuer: Box<str>,
        document: Url,
        /// Where it was, and when that was found. A `Mutex`: touched once per exchange.
        found: Mutex<Option<(Url, Timestamp)>>,
    },
}

impl OAuth2 {
    /// The token endpoint, and how long asking it may take.
    ///
    /// Nothing is spent by looking, so whatever goes wrong with it is no more than an endpoint that was not reached.
    async fn locate(&self, now: Timestamp) -> Result<(Url, Duration), RenewError> {
        let (issuer, document, found) = match &self.endpoint {
            Endpoint::Written(url) => return Ok((url.clone(), self.deadline)),
            Endpoint::LookedUp { issuer, document, found } => (issuer, document, found),
        };
        if let Some((url, since)) = &*found.lock()
            && now.is_within(REMEMBERED, *since)
        {
            return Ok((url.clone(), self.deadline));
        }
        let looking = LOOKING.min(self.deadline / 3);
        let reply = self
            .client
            .fetch(Exchange::get(document.clone(), looking, MAX_DOCUMENT))
            .await
            .map_err(|_| RenewError::Unreached { why: "the metadata of the issuer could not be fetched" })?;
        if reply.status != 200 {
            return Err(RenewError::Unreached { why: "the metadata of the issuer are not there" });
        }
        let url = metadata::url_in(&reply.body, issuer, "token_endpoint").map_err(|why| RenewError::Unreached { why })?;
        if !may_lead(document, &url) {
            return Err(RenewError::Unreached { why: "the token endpoint that the metadata name is not https" });
        }
        *found.lock() = Some((url.clone(), now));
        Ok((url, self.deadline.saturating_sub(looking)))
    }

    /// Looks the endpoint up anew next time.
    fn forget(&self) {
        if let Endpoint::LookedUp { found, .. } = &self.endpoint {
            *found.lock() = None;
        }
    }

    fn exchange(&self, spent: &Spent, url: Url, deadline: Duration, now: Timestamp) -> Result<Exchange, MintFault> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let mut form = Form::default();
        form.push("grant_type", b"refresh_token");
        form.push_secret("refresh_token", &spent.refresh);
        self.plan.fields.iter().for_each(|(name, value)| form.push(name, value.as_bytes()));
        self.plan.client_auth.write(&self.plan.client_id, url.as_str(), now, &*self.random, &mut headers, &mut form)?;
        Ok(Exchange { method: Method::POST, headers, body: form.into_body(), ..Exchange::get(url, deadline, MAX_ANSWER) })
    }
}

#[async_trait]
impl Renewer for OAuth2 {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        let (url, deadline) = self.locate(now).await?;
        let exchange = self
            .exchange(spent, url, deadline, now)
            .map_err(|_| RenewError::Unreached { why: "we could not show who we are: our key does not sign" })?;
        let outcome = match ask(&self.client, exchange).await {
            Ok(reply) => answer::read(&reply, now),
            Err(fault) => {
                self.forget();
                Err(fault)
            }
        };
        if let Err(RenewError::Unaccepted { code }) = &outcome
            && answer::is_ours(code)
        {
            tracing::error!(renewer = %self.name, code, "the issuer does not accept this proxy as a client; nobody's credentials are renewed until the conf or the registration is mended");
        }
        outcome
    }

    fn forgives_repeats(&self) -> bool {
        self.plan.forgives_repeats
    }
}

#[cfg(test)]
mod tests;

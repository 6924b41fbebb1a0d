//! TapTalk: chat that back ends call with a Server-Key, apps with an App-Key, and users with tickets, access and refresh tokens.
//!
//! Its clients take HTTP 200 for an answer and everything else for a broken connection, so a refusal is a body that says 401. What it
//! guards: whose key belongs on which endpoint, the user data of a ticket request, and the credentials that the web client has to put
//! into the query of `/connect`.
//!
//! A Server-Key that a client sends has left its server, and so has OneTalk's API-Key. It is refused on every endpoint of clients, and said at `warn` with the id of
//! the request whatever that was refused for. Nothing of the key is said, and it is nowhere passed on.
//!
//! Not here: tickets and pairs of our own, which are services (`taptalk.auth_ticket`, `taptalk.access_token`, `taptalk.refresh`); a
//! judgement of any token, which is the authenticators'.
//!
//! Source: docs.taptalk.io, taptalksdk-web 1.0.310, taptalk.io-android 2.18.3, taptalk.io-ios 2.2.1.

pub mod client;
mod connect;
mod endpoint;
pub mod envelope;
mod fill;
pub mod origins;
pub mod profile;
mod reply;
mod settings;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::domain::{Breach, Claim, Identity, Need, Refusal, RequestView, Step};
use crate::settings::Shape;
use crate::systems::contract::{Guarded, Harvest, Meaning, Pass, Refused, Rendered, Reply, System, SystemEntry};
use crate::systems::taptalk::client::Unread;
use crate::systems::taptalk::connect::Moved;
use crate::systems::taptalk::endpoint::Endpoint;
use crate::systems::taptalk::profile::{Product, Profile};
use crate::systems::taptalk::settings::{SETTINGS, Settings, Unknown, plan};

/// The system's line on the roll-call.
pub static ENTRY: SystemEntry = SystemEntry {
    name: "taptalk",
    doc: "TapTalk: refusals in its envelope over HTTP 200, guarded endpoints, renewal by the code in a body.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

/// The client's claim that access tokens of ours make.
const CLIENT_CLAIM: &str = "client_id";

/// TapTalk at one rule.
#[derive(Debug)]
struct TapTalk {
    settings: Settings,
}

impl System for TapTalk {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn render(&self, refused: &Refused<'_>) -> Option<Rendered> {
        let endpoint = Endpoint::of(refused.target.split('?').next().unwrap_or_default(), &self.settings.base);
        if let Some(field) = self.leaked(endpoint, refused.headers) {
            tracing::warn!(
                system = ENTRY.name,
                request_id = refused.request_id,
                "a client sent a {field}; whoever has that client has the key, so replace it"
            );
        }
        let told = self.told(refused, endpoint);
        let code = match &*told.code {
            envelope::HEADER_INVALID if self.settings.names => "HeaderValidationFailed",
            envelope::PARAMETER_INVALID if self.settings.names => "ParamValidationFailed",
            code => code,
        };
        let body = envelope::failure(code, &told.says, &told.field, refused.status);
        let status = if self.settings.told { envelope::status_of(code).unwrap_or(refused.status) } else { 200 };
        let mut headers = vec![envelope::content_type()];
        headers.extend(self.settings.origins.fields(refused.headers));
        Some(Rendered { status, headers, body })
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        let request = guarded.request;
        let endpoint = Endpoint::of(&request.target.path, &self.settings.base);
        let passed = match (endpoint, &self.settings.filling) {
            // A user who asks for a ticket by our key gets nothing else by it.
            (endpoint, Some(filling)) if product_of(endpoint).is_some_and(|product| product != filling.product) => Err(not_found()),
            (Endpoint::Server | Endpoint::Integration, Some(_)) => Err(not_found()),
            (Endpoint::Server | Endpoint::Integration, None) => Ok(Pass::default()),
            (Endpoint::Ticket | Endpoint::Contact, filling) => {
                if let Err(breach) = self.check_ticket_request(request) {
                    return refuse(breach);
                }
                let Some(body) = guarded.facts.body() else { return Step::Need(Need::Body) };
                match (filling, guarded.identity) {
                    (None, _) => self.ticket(product_of(endpoint).unwrap_or(Product::PowerTalk), body),
                    (Some(filling), Some(identity)) => {
                        profile::members(body).and_then(|sent| filling.profile(&sent, identity, request)).map(|profile| filled(&profile))
                    }
                    // Whoever fills from nobody fills with nothing.
                    (Some(_), None) => return Step::Refuse(Refusal::CredentialMissing),
                }
            }
            (Endpoint::Connect, _) => self.connect(guarded),
            (Endpoint::Exchange | Endpoint::Refresh, _) if request.method != "POST" => Err(not_found()),
            (Endpoint::Exchange | Endpoint::Refresh | Endpoint::Client, _) => {
                self.check_client(request.headers, &Moved::default(), guarded.identity).map(|()| Pass::default())
            }
        };
        passed.map_or_else(refuse, Step::Done)
    }

    /// A token is shown by whom it was given to. App-Keys are in every copy of an app, so there is nothing to guess.
    fn judges(&self, path: &str) -> bool {
        matches!(Endpoint::of(path, &self.settings.base), Endpoint::Connect | Endpoint::Client | Endpoint::Exchange | Endpoint::Refresh)
    }

    fn is_guess(&self, breach: &Breach) -> bool {
        breach.code == envelope::TOKEN_FOREIGN
    }

    fn coded(&self) -> Breach {
        header("Content-Encoding", "Content-Encoding is not taken here")
    }

    fn holds(&self, method: &str, path: &str) -> bool {
        match Endpoint::of(path, &self.settings.base) {
            // A WebSocket is no reply that could be held, whoever asks for one.
            Endpoint::Connect => method == "GET",
            Endpoint::Exchange | Endpoint::Refresh => method == "POST",
            Endpoint::Client => path.strip_prefix(&*self.settings.base).is_some_and(|below| below.starts_with("/v1/")),
            Endpoint::Ticket | Endpoint::Server | Endpoint::Contact | Endpoint::Integration => false,
        }
    }

    fn classify(&self, reply: &Reply<'_>) -> Meaning {
        match Endpoint::of(reply.path, &self.settings.base) {
            // They speak of the ticket or the refresh token that they were asked with, and no other renews that.
            Endpoint::Exchange | Endpoint::Refresh | Endpoint::Ticket | Endpoint::Server | Endpoint::Contact | Endpoint::Integration => {
                Meaning::Fine
            }
            Endpoint::Connect | Endpoint::Client => reply::meaning(reply, &self.settings.expired),
        }
    }

    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        let gives = matches!(Endpoint::of(reply.path, &self.settings.base), Endpoint::Exchange | Endpoint::Refresh);
        gives.then(|| reply::pair(reply, self.settings.clocking)).flatten()
    }
}

impl TapTalk {
    /// Whether a back end calls `endpoint` here, with a Server-Key of its own.
    fn is_for_servers(&self, endpoint: Endpoint) -> bool {
        self.settings.filling.is_none() && matches!(endpoint, Endpoint::Ticket | Endpoint::Server)
    }

    /// Whether a back end calls `endpoint` here, with an API-Key of its own.
    fn is_for_partners(&self, endpoint: Endpoint) -> bool {
        self.settings.filling.is_none() && matches!(endpoint, Endpoint::Contact | Endpoint::Integration)
    }

    /// The key of a server that a client of `endpoint` has sent among `headers`, by its field.
    fn leaked(&self, endpoint: Endpoint, headers: &HeaderMap) -> Option<&'static str> {
        if self.is_for_servers(endpoint) || self.is_for_partners(endpoint) {
            return None;
        }
        server_key_of(headers)
    }

    /// What is told of a refusal. Of doubts, no more than the public reason says.
    fn told(&self, refused: &Refused<'_>, endpoint: Endpoint) -> Breach {
        if let Refusal::GuardRefused(breach) = refused.refusal {
            return (**breach).clone();
        }
        let told = |code: &'static str, field: &'static str, says: &'static str| Breach {
            code: code.into(),
            field: field.into(),
            says: says.into(),
        };
        let server = self.is_for_servers(endpoint);
        if self.is_for_partners(endpoint) {
            // What is documented of it: the head's validation failed.
            match refused.public {
                "credential_missing" => return told(envelope::HEADER_INVALID, "API-Key", "API key is required"),
                "credential_conflict" | "credential_invalid" | "credential_expired" => {
                    return told(envelope::HEADER_INVALID, "API-Key", "API key is invalid");
                }
                _ => {}
            }
        }
        match refused.public {
            "credential_missing" if server => told(envelope::KEY_MISSING, "Server-Key", "server key is required"),
            "credential_missing" => told(envelope::TOKEN_MISSING, "", "authorization is required"),
            "credential_conflict" if server => told(envelope::KEY_INVALID, "Server-Key", "there is more than one key"),
            "credential_conflict" => told(envelope::AUTHORIZATION_INVALID, "", "there is more than one authorization"),
            "credential_invalid" if server => told(envelope::KEY_INVALID, "Server-Key", "server key is invalid"),
            "credential_expired" if server => told(envelope::KEY_EXPIRED, "Server-Key", "server key has expired"),
            // Told that its refresh token has expired, or that the proxy's has, a client would only come again to refresh it.
            "credential_expired" if endpoint != Endpoint::Refresh && *refused.refusal != Refusal::RenewalRefused => {
                told(envelope::TOKEN_EXPIRED, "", "token has expired")
            }
            "credential_invalid" | "credential_expired" => told(envelope::TOKEN_INVALID, "", "token is invalid"),
            "not_allowed" => told(envelope::FORBIDDEN, "", "not allowed"),
            "no_rule" => told(envelope::NOT_FOUND, "", "nothing is served here"),
            "request_refused" if *refused.refusal == Refusal::BodyTooLarge => {
                told(envelope::PARAMETER_INVALID, "", "the body is too large")
            }
            "request_refused" => told(envelope::HEADER_INVALID, "", "the request cannot be accepted"),
            "throttled" => told(envelope::OTHER, "", "too many failed attempts"),
            _ => told(envelope::OTHER, "", "temporarily unavailable"),
        }
    }

    /// Shows that the head of a ticket request is such that its body has one reading.
    fn check_ticket_request(&self, request: &RequestView<'_>) -> Result<(), Breach> {
        if request.method != "POST" {
            return Err(not_found());
        }
        if self.settings.filling.is_some() {
            if let Some(field) = server_key_of(request.headers) {
                return Err(connect::leaked(field));
            }
            // Some servers read parameters of the query as if they stood in the body.
            if request.target.query.as_deref().is_some_and(|query| !query.is_empty()) {
                return Err(profile::breach("", "no parameter is taken from the query"));
            }
        }
        Ok(())
    }

    /// A ticket request that a back end has written.
    fn ticket(&self, product: Product, body: &Bytes) -> Result<Pass, Breach> {
        let mut members = profile::members(body)?;
        let before = members.len();
        if self.settings.unknown == Unknown::Drop {
            members.retain(|(name, _)| product.field(name).is_some());
        }
        let profile = Profile::check(product, &members)?;
        Ok(if members.len() == before { Pass::default() } else { filled(&profile) })
    }

    fn connect(&self, guarded: &Guarded<'_>) -> Result<Pass, Breach> {
        let request = guarded.request;
        if request.method != "GET" {
            return Err(not_found());
        }
        let moved = connect::moved(request.target.query.as_deref(), request.headers, self.settings.token)?;
        self.check_client(request.headers, &moved, guarded.identity)?;
        let remove = request.headers.keys().filter(|sent| moved.set.iter().any(|(name, _)| is_mistaken_for(sent, name))).cloned().collect();
        Ok(Pass { set: moved.set, remove, remove_query: moved.remove_query, ..Pass::default() })
    }

    /// Shows that a request is a client's: no Server-Key, an App-Key of one of the apps, what else is required, and the client that its
    /// access token was given to. What `moved` names counts as if it stood in the head.
    fn check_client(&self, headers: &HeaderMap, moved: &Moved, identity: Option<&Identity>) -> Result<(), Breach> {
        if let Some(field) = server_key_of(headers) {
            return Err(connect::leaked(field));
        }
        let app = match &moved.app {
            Some(app) => Ok(Cow::Borrowed(app.as_str())),
            None => client::app(headers).map(Cow::Owned),
        };
        let app = app.map_err(|unread| match unread {
            Unread::Missing => key(envelope::KEY_MISSING, "app key is required"),
            Unread::Malformed => key(envelope::KEY_INVALID, "app key is invalid"),
        })?;
        if self.settings.apps.as_ref().is_some_and(|apps| !apps.iter().any(|known| **known == *app)) {
            return Err(key(envelope::KEY_INVALID, "app key is invalid"));
        }
        for name in &self.settings.require {
            let is_moved = moved.set.iter().any(|(known, _)| known == name);
            if !is_moved && client::sole(headers, name).is_err() {
                return Err(required(name));
            }
        }
        let given_to = identity.and_then(|identity| identity.claims.member(CLIENT_CLAIM)).and_then(Claim::as_text);
        if let Some(bound) = given_to.filter(|name| client::is_name(name)) {
            let device = moved.device.as_deref().map_or_else(|| client::device(headers), Ok).unwrap_or_default();
            if client::name(&app, device) != *bound {
                return Err(foreign());
            }
        }
        Ok(())
    }
}

fn refuse(breach: Breach) -> Step<Pass> {
    Step::Refuse(Refusal::GuardRefused(Box::new(breach)))
}

/// A request that goes on with `profile` for a body.
fn filled(profile: &Profile) -> Pass {
    Pass { set: vec![envelope::content_type()], body: Some(profile.body()), ..Pass::default() }
}

/// The field with which a back end proves itself that is among `headers`, in any spelling that some server would take for it.
fn server_key_of(headers: &HeaderMap) -> Option<&'static str> {
    let is_there = |name: &'static str| {
        let name = HeaderName::from_static(name);
        headers.keys().any(|sent| *sent == name || is_mistaken_for(sent, &name))
    };
    [("server-key", "Server-Key"), ("api-key", "API-Key")].into_iter().find(|(name, _)| is_there(name)).map(|(_, field)| field)
}

/// The product whose ticket `endpoint` gives.
fn product_of(endpoint: Endpoint) -> Option<Product> {
    match endpoint {
        Endpoint::Ticket => Some(Product::PowerTalk),
        Endpoint::Contact => Some(Product::OneTalk),
        Endpoint::Server | Endpoint::Integration | Endpoint::Exchange | Endpoint::Refresh | Endpoint::Connect | Endpoint::Client => None,
    }
}

/// Whether `sent` is another field than `name` and becomes the same where every sign in a name is alike (CGI).
fn is_mistaken_for(sent: &HeaderName, name: &HeaderName) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let (sent, name) = (sent.as_str(), name.as_str());
    sent != name && sent.len() == name.len() && sent.bytes().zip(name.bytes()).all(|(sent, own)| plain(sent) == plain(own))
}

fn not_found() -> Breach {
    Breach { code: envelope::NOT_FOUND.into(), field: "".into(), says: "nothing is served here".into() }
}

fn key(code: &'static str, says: &'static str) -> Breach {
    Breach { code: code.into(), field: "App-Key".into(), says: says.into() }
}

fn header(field: &'static str, says: &'static str) -> Breach {
    Breach { code: envelope::HEADER_INVALID.into(), field: field.into(), says: says.into() }
}

/// A field that the conf asks for and a client did not send once.
fn required(name: &HeaderName) -> Breach {
    let says = format!("{name} is required, once");
    Breach { code: envelope::HEADER_INVALID.into(), field: name.as_str().to_owned().into(), says: says.into() }
}

/// A token that another client was given.
pub(crate) fn foreign() -> Breach {
    Breach { code: envelope::TOKEN_FOREIGN.into(), field: "".into(), says: "token was given to another client".into() }
}

#[cfg(test)]
mod tests;

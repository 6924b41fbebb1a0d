//! What a call of Janrain Capture must look like before it goes on.
//!
//! `*_native` calls have no secret, so everything about them is checked: POST, parameters in the body only and each once, every
//! required argument, addresses and forms as the conf names them, a client that may log users in, and for `register_native` a
//! token that this client has shown to `auth_native` before. `/oauth/token` is checked in the same way; other endpoints by the
//! features of the client that calls.
//!
//! What is refused has the vendor's code. Codes 310, 380 and 390 of the vendor's own are replies, and none of our business.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::{HeaderName, HeaderValue};

use crate::domain::{Breach, Claim, Identity, Need, Refusal, Seconds, Step};
use crate::jose::digest::digest;
use crate::jose::form;
use crate::jose::janrain::read_date;
use crate::systems::contract::{Demand, Guarded, Mark, Pass};
use crate::systems::janrain::endpoints::{Act, BASE, Endpoint, LOGIN_CLIENT, Native, REFRESH, endpoint, opens};
use crate::systems::janrain::parameters::{BodyFault, Parameters};
use crate::systems::janrain::rules::{AUTHORIZATION_CODE, Application, REFRESH_TOKEN, Rules, is_address};

/// Schemes by which an API client says who it is; every other scheme is about a user.
const CLIENT_SCHEMES: [&str; 3] = [SIGNATURE, "server_key", "key_pair"];
const SIGNATURE: &str = "janrain_signature";

/// Looks at one request. Paths outside the mount are no endpoints and pass as they are.
pub(super) fn guard(rules: &Rules, guarded: &Guarded<'_>) -> Step<Pass> {
    let Some(path) = rules.below(&guarded.request.target.path) else { return Step::Done(Pass::default()) };
    if !rules.plain_secrets && is_in_the_clear(guarded) {
        return finish(Err(breach("402", "", "secrets are taken over https only")));
    }
    let kind = endpoint(path);
    if kind == Endpoint::Other {
        return finish(other(rules, guarded, path).map(|()| Pass::default()));
    }
    // Whether it can be right at all is said before anybody waits for a body.
    if let Err(breach) = head(guarded, kind).and_then(|()| page(rules, guarded)) {
        return finish(Err(breach));
    }
    let Some(body) = guarded.facts.body() else { return Step::Need(Need::Body) };
    let takes_json = matches!(kind, Endpoint::Native(Native { act: Act::Authenticate, .. }));
    let call = match Parameters::read(guarded.request.headers, body, takes_json) {
        Ok(parameters) => Call { rules, guarded, path, parameters },
        Err(fault) => return finish(Err(body_breach(fault))),
    };
    finish(match kind {
        Endpoint::Native(native) => call.native(native),
        Endpoint::Token => call.token(),
        Endpoint::MobileRefresh => call.mobile_refresh(),
        Endpoint::Other | Endpoint::Misspelled => Ok(Pass::default()),
    })
}

fn finish(outcome: Result<Pass, Breach>) -> Step<Pass> {
    match outcome {
        Ok(pass) => Step::Done(pass),
        Err(breach) => Step::Refuse(Refusal::GuardRefused(Box::new(breach))),
    }
}

fn breach(code: &'static str, field: &'static str, says: &'static str) -> Breach {
    Breach { code: code.into(), field: field.into(), says: says.into() }
}

fn body_breach(fault: BodyFault) -> Breach {
    match fault {
        BodyFault::Type => breach("200", "", "the parameters must be a form in the body"),
        BodyFault::Unreadable => breach("200", "", "the body cannot be read"),
        BodyFault::Duplicate => breach("201", "", "an argument was passed twice"),
    }
}

/// The breach of a body in a content coding.
pub(super) fn coded() -> Breach {
    body_breach(BodyFault::Type)
}

/// Whether `breach` is what a guess would meet: at a one-time token, at a signature, or at the id of another client.
pub(super) fn is_guess(breach: &Breach) -> bool {
    matches!((&*breach.code, &*breach.field), ("200", "token" | "merge_token" | "signature") | ("402", "client_id"))
}

/// The rules of every endpoint that takes its parameters in the body.
fn head(guarded: &Guarded<'_>, kind: Endpoint) -> Result<(), Breach> {
    if kind == Endpoint::Misspelled {
        return Err(breach("200", "", "there is no such endpoint"));
    }
    if guarded.request.method != "POST" {
        return Err(breach("200", "", "this endpoint is called by POST"));
    }
    if guarded.request.target.query.as_deref().is_some_and(|query| !query.is_empty()) {
        return Err(breach("200", "", "the parameters must be in the body, not in the URL"));
    }
    Ok(())
}

/// What we say for a caller logs it in, so the page that it comes from is one of ours: of this host, or named by the conf. A
/// caller that is no browser says nothing of a page.
fn page(rules: &Rules, guarded: &Guarded<'_>) -> Result<(), Breach> {
    let Some(application) = &rules.application else { return Ok(()) };
    let foreign = || Err(breach("403", "", "this call comes from a page of another site"));
    let field = |name| guarded.request.sole_header(&name);
    let (Ok(site), Ok(origin)) = (field(HeaderName::from_static("sec-fetch-site")), field(ORIGIN)) else { return foreign() };
    let named = origin.is_some_and(|origin| application.origins.iter().any(|known| **known == *origin));
    match (site, origin) {
        _ if named => Ok(()),
        (Some("same-origin" | "none"), _) | (None, None) => Ok(()),
        (None, Some(origin)) if host_of(origin) == Some(guarded.request.host) => Ok(()),
        _ => foreign(),
    }
}

/// The host of an origin, without its port.
fn host_of(origin: &str) -> Option<&str> {
    let authority = origin.split_once("://")?.1;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

/// The rules of endpoints without rules of their own: no secret in the URL, and a client that may.
fn other(rules: &Rules, guarded: &Guarded<'_>, path: &str) -> Result<(), Breach> {
    let query = guarded.request.target.query.as_deref().unwrap_or_default();
    let Some(pairs) = form::pairs(query) else { return Err(breach("200", "", "the query cannot be read")) };
    if form::repeated(&pairs).is_some() {
        return Err(breach("201", "", "an argument was passed twice"));
    }
    if pairs.iter().any(|(name, _)| name == "client_secret") {
        return Err(breach("200", "client_secret", "a secret does not belong into a URL"));
    }
    match client(guarded.identity) {
        Some(client) if is_public(client) || !opens(rules, path, &client.scopes) => {
            Err(breach("403", "", "this client may not call this endpoint"))
        }
        _ => Ok(()),
    }
}

/// The API client among those who were proven.
fn client(identity: Option<&Identity>) -> Option<&Identity> {
    let is_client = |identity: &Identity| CLIENT_SCHEMES.contains(&identity.scheme);
    let identity = identity?;
    if is_client(identity) { Some(identity) } else { identity.also.iter().map(|(_, other)| &**other).find(|other| is_client(other)) }
}

/// The API client in whose name `caller` calls.
pub(super) fn client_id(rules: &Rules, caller: Option<&Identity>) -> Option<Box<str>> {
    match &rules.application {
        Some(application) => Some(application.client_id.clone()),
        None => client(caller).map(|client| client.subject.clone()),
    }
}

/// Names a code that was given to a client.
pub(super) fn code_key(client_id: &str, code: &str) -> [u8; 32] {
    digest(CODE, &[client_id.as_bytes(), code.as_bytes()])
}

/// Whether a client was only named: then it logs users in and does nothing else, whatever features the conf asks for.
fn is_public(client: &Identity) -> bool {
    client.claims.member("public") == Some(Claim::Bool(true))
}

/// Whether the client has sent its secret itself over a connection that others may read. What signatures are for is undone by that.
fn is_in_the_clear(guarded: &Guarded<'_>) -> bool {
    let request = guarded.request;
    let says = request.headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let signs = says.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"Signature "));
    let secret = client(guarded.identity).is_some_and(|client| !is_public(client) && (!signs || client.scheme != SIGNATURE));
    secret && !request.secure && !request.client.is_loopback()
}

/// Whether a user is among those who were proven.
fn has_user(identity: Option<&Identity>) -> bool {
    let is_user = |identity: &Identity| !CLIENT_SCHEMES.contains(&identity.scheme);
    identity.is_some_and(|identity| is_user(identity) || identity.also.iter().any(|(_, other)| is_user(other)))
}

/// One call with its parameters.
struct Call<'c> {
    rules: &'c Rules,
    guarded: &'c Guarded<'c>,
    path: &'c str,
    parameters: Parameters,
}

impl Call<'_> {
    /// A `*_native` call.
    fn native(mut self, native: Native) -> Result<Pass, Breach> {
        let rules = self.rules;
        self.fill(native.flows);
        let base: &[&'static str] = if native.flows { &BASE } else { &["client_id"] };
        self.require(base.iter().chain(native.needs).copied())?;
        let client_id = self.of_login_client()?;
        self.flow()?;
        self.address()?;
        if let Some(wanted) = self.parameters.get("response_type")
            && !rules.response_types.iter().any(|known| **known == *wanted)
        {
            return Err(breach("200", "response_type", "this response_type is not one of those allowed"));
        }
        self.form()?;
        let has_header = self.guarded.request.headers.contains_key(AUTHORIZATION);
        if native.user && self.parameters.get("access_token").is_none() && !has_header && !has_user(self.guarded.identity) {
            return Err(missing(&["access_token"]));
        }
        let mut pass = Pass::default();
        self.one_time(native.act, &client_id, &mut pass)?;
        self.parameters.remove("client_secret");
        Ok(self.written(pass))
    }

    /// The one-time tokens of a native call, and what is remembered of them.
    fn one_time(&self, act: Act, client_id: &str, pass: &mut Pass) -> Result<(), Breach> {
        let mark = |label, token| self.mark(label, client_id, token);
        let token = self.parameters.get("token");
        if token.is_some_and(|token| !is_one_time(token)) {
            return Err(invalid_token());
        }
        if let Some(merge) = self.parameters.get("merge_token") {
            if !is_one_time(merge) || token == Some(merge) {
                return Err(breach("200", "merge_token", "the merge_token you passed was not valid"));
            }
            // Two accounts become one: what is merged has failed to log in here, at this client, a moment ago.
            let seen = mark(MERGE, merge);
            let breach = breach("200", "merge_token", "the merge_token you passed was not valid");
            pass.demands.push(Demand { mark: seen.clone(), breach });
            // A wrong password may be corrected; the vendor takes the token once.
            pass.notes.push(seen);
        }
        match (act, token) {
            (Act::Authenticate, Some(token)) => pass.notes.extend([mark(REGISTER, token), mark(MERGE, token)]),
            (Act::Register, Some(token)) => {
                let seen = mark(REGISTER, token);
                pass.demands.push(Demand { mark: seen.clone(), breach: invalid_token() });
                if self.rules.register_again {
                    pass.notes.push(seen);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `/oauth/token`.
    fn token(mut self) -> Result<Pass, Breach> {
        let rules = self.rules;
        self.require(["grant_type"].into_iter())?;
        let wanted = self.parameters.get("grant_type").unwrap_or_default();
        let Some(grant) = [AUTHORIZATION_CODE, REFRESH_TOKEN].into_iter().find(|grant| *grant == wanted) else {
            return Err(breach("200", "grant_type", "there is no such grant_type"));
        };
        if !rules.grants.iter().any(|allowed| **allowed == *grant) {
            return Err(breach("403", "grant_type", "this grant_type is not allowed here"));
        }
        let mut pass = Pass::default();
        if let Some(client_id) = client_id(rules, self.guarded.identity).filter(|_| rules.seen_codes && grant == AUTHORIZATION_CODE)
            && let Some(code) = self.parameters.get("code")
        {
            let mark = Mark { key: code_key(&client_id, code), made: self.guarded.now, until: self.guarded.now.plus(rules.token_life) };
            pass.demands.push(Demand { mark, breach: breach("200", "code", "the authorization code is not valid") });
        }
        match &rules.application {
            Some(application) => self.sign_in(application, grant, &mut pass)?,
            None => {
                let client = client(self.guarded.identity).filter(|client| !is_public(client) && opens(rules, self.path, &client.scopes));
                let client = client.ok_or_else(|| breach("403", "", "this client may not redeem codes and refresh tokens"))?;
                self.same_client(client)?;
            }
        }
        let needs: &[&'static str] = if grant == AUTHORIZATION_CODE { &["code", "redirect_uri"] } else { &["refresh_token"] };
        self.require(needs.iter().copied())?;
        self.address()?;
        Ok(self.written(pass))
    }

    /// Says which client calls, and proves it.
    fn sign_in(&mut self, application: &Application, grant: &str, pass: &mut Pass) -> Result<(), Breach> {
        self.parameters.remove("client_secret");
        if grant == AUTHORIZATION_CODE
            && let Some((_, uri)) = application.says.iter().find(|(name, _)| *name == "redirect_uri")
        {
            self.parameters.set("redirect_uri", uri);
        }
        match &application.client_secret {
            None => self.parameters.set("client_id", &application.client_id),
            Some(secret) => {
                self.parameters.remove("client_id");
                let mut pair = format!("{}:", application.client_id).into_bytes();
                pair.extend_from_slice(secret.expose());
                let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(&pair)));
                let mut value = value.map_err(|_| breach("500", "", "an unexpected error occurred"))?;
                value.set_sensitive(true);
                pass.set.push((AUTHORIZATION, value));
            }
        }
        Ok(())
    }

    /// `/oauth/refresh_access_token`, which a mobile app signs with its refresh secret. The vendor holds that secret, so the
    /// signature is the vendor's to verify; what is checked is its form, its date, and that it comes once.
    fn mobile_refresh(mut self) -> Result<Pass, Breach> {
        self.fill(true);
        self.parameters.remove("redirect_uri");
        self.parameters.remove("response_type");
        self.require(REFRESH.into_iter())?;
        let client_id = self.of_login_client()?;
        self.flow()?;
        let of = |name| self.parameters.get(name).unwrap_or_default();
        let now = self.guarded.now;
        let Some(date) = read_date(of("date")) else {
            return Err(breach("342", "date", "this is no date of the form YYYY-MM-DD HH:MM:SS"));
        };
        let window = self.rules.window;
        if now < date.minus(window) || date.plus(window) < now {
            return Err(breach("200", "date", "the date is too far from the time here"));
        }
        let signature = of("signature");
        if signature.len() != 28 || STANDARD.decode(signature).ok().is_none_or(|bytes| bytes.len() != 20) {
            return Err(breach("200", "signature", "the signature is not valid"));
        }
        let key = digest(REFRESHED, &[client_id.as_bytes(), of("date").as_bytes(), of("access_token").as_bytes(), signature.as_bytes()]);
        let mark = Mark { key, made: date, until: date.plus(window).plus(Seconds(1)) };
        let breach = breach("200", "signature", "the signature is not valid");
        let pass = Pass { burns: vec![Demand { mark, breach }], ..Pass::default() };
        Ok(self.written(pass))
    }

    /// Writes what the conf says for every caller, and defaults where a caller says nothing.
    fn fill(&mut self, flows: bool) {
        if let Some(application) = &self.rules.application {
            self.parameters.set("client_id", &application.client_id);
            for (name, value) in application.says.iter().filter(|_| flows) {
                self.parameters.set(name, value);
            }
        }
        let defaults = [("flow", &self.rules.default_flow_name), ("flow_version", &self.rules.default_flow_version)];
        for (name, value) in defaults.into_iter().filter(|_| flows) {
            if let (Some(value), None) = (value, self.parameters.get(name)) {
                self.parameters.set(name, value);
            }
        }
    }

    fn require(&self, names: impl Iterator<Item = &'static str>) -> Result<(), Breach> {
        let lacking: Vec<&'static str> = names.filter(|name| self.parameters.get(name).is_none()).collect();
        if lacking.is_empty() { Ok(()) } else { Err(missing(&lacking)) }
    }

    /// The id of the client that calls, which may log users in.
    fn of_login_client(&self) -> Result<String, Breach> {
        if let Some(application) = &self.rules.application {
            return Ok(application.client_id.to_string());
        }
        let client = client(self.guarded.identity).filter(|client| opens(self.rules, self.path, &client.scopes));
        let client = client.ok_or_else(|| breach("403", LOGIN_CLIENT, "this client does not support login and registration"))?;
        self.same_client(client)?;
        Ok(client.subject.to_string())
    }

    /// What the body says of the client must be what was proven: no signature covers it.
    fn same_client(&self, client: &Identity) -> Result<(), Breach> {
        match self.parameters.get("client_id") {
            Some(id) if *id != *client.subject => Err(breach("402", "client_id", "the client credentials are not valid")),
            _ => Ok(()),
        }
    }

    fn flow(&self) -> Result<(), Breach> {
        if self.parameters.get("flow_version").is_some_and(|version| version.trim().eq_ignore_ascii_case("HEAD")) {
            return Err(breach("500", "flow_version", "could not find a flow of this version; HEAD is none"));
        }
        Ok(())
    }

    fn address(&self) -> Result<(), Breach> {
        let Some(uri) = self.parameters.get("redirect_uri") else { return Ok(()) };
        if !is_address(uri) {
            return Err(breach("200", "redirect_uri", "redirect_uri must begin with http: or https:"));
        }
        let known = &self.rules.redirect_uris;
        if !known.is_empty() && !known.iter().any(|allowed| **allowed == *uri) && !self.is_ours(uri) {
            return Err(breach("420", "redirect_uri", "this redirect_uri is not one of the client's"));
        }
        Ok(())
    }

    /// Whether `uri` is the one that we have written.
    fn is_ours(&self, uri: &str) -> bool {
        let says = self.rules.application.iter().flat_map(|application| &application.says);
        says.into_iter().any(|(name, value)| *name == "redirect_uri" && **value == *uri)
    }

    fn form(&self) -> Result<(), Breach> {
        let (Some(form), false) = (self.parameters.get("form"), self.rules.forms.is_empty()) else { return Ok(()) };
        let Some((_, fields)) = self.rules.forms.iter().find(|(name, _)| **name == *form) else {
            return Err(breach("200", "form", "there is no such form"));
        };
        match fields.iter().find(|field| self.parameters.get(field).is_none()) {
            None => Ok(()),
            // Named by the conf, not by the client.
            Some(field) => Err(Breach { code: "390".into(), field: field.to_string().into(), says: "some inputs are invalid".into() }),
        }
    }

    /// Names a one-time token of a client.
    fn mark(&self, label: &'static str, client_id: &str, token: &str) -> Mark {
        let now = self.guarded.now;
        Mark { key: digest(label, &[client_id.as_bytes(), token.as_bytes()]), made: now, until: now.plus(self.rules.token_life) }
    }

    /// `pass` with the body as it is now.
    fn written(self, mut pass: Pass) -> Pass {
        pass.body = self.parameters.rewritten();
        if pass.body.is_some() && !self.guarded.request.headers.contains_key(CONTENT_TYPE) {
            pass.set.push((CONTENT_TYPE, self.parameters.media_type()));
        }
        pass
    }
}

const REGISTER: &str = "countersign janrain register";
const CODE: &str = "countersign janrain code";
const MERGE: &str = "countersign janrain merge";
const REFRESHED: &str = "countersign janrain refresh";

fn missing(names: &[&'static str]) -> Breach {
    let says = format!("missing arguments: {}", names.join(", "));
    Breach { code: "100".into(), field: names.first().copied().unwrap_or_default().into(), says: says.into() }
}

fn invalid_token() -> Breach {
    breach("200", "token", "the token you passed was not valid")
}

/// Whether `token` can be a social login token: 40 letters and digits.
fn is_one_time(token: &str) -> bool {
    token.len() == 40 && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;

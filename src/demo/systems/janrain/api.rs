//! What the stand-in answers.

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::demo::stand::{self, Reply};
use crate::demo::systems::janrain::call::{Call, failed, failure, sign, told};
use crate::demo::systems::janrain::{Access, Code, DemoJanrain, Office, Trouble};
use crate::domain::Timestamp;

/// Requests remembered in full.
const REMEMBERED: usize = 10_000;

const BASE: [&str; 5] = ["client_id", "flow", "flow_version", "locale", "redirect_uri"];

/// Answers one request; also whether the answer is to be compressed.
pub(super) fn attend(office: &Mutex<Office>, now: Timestamp, request: &Request<Bytes>) -> (Reply, bool) {
    let mut office = office.lock();
    if office.seen.len() < REMEMBERED {
        office.seen.push(Call::seen(request));
    }
    if let Trouble::Down(status) = office.trouble {
        return (Some(stand::plain(status, "text/html", "<!doctype html><title>down</title>")), false);
    }
    let call = Call::read(request);
    let reply = match call.path.as_str() {
        "/oauth/auth_native" => login(&mut office, now, &call),
        "/oauth/register_native" => register(&mut office, now, &call),
        "/oauth/token" => token(&mut office, now, &call),
        "/oauth/refresh_access_token" => mobile(&mut office, now, &call),
        _ => data(&mut office, now, &call),
    };
    (reply, office.gzip && call.takes_gzip)
}

/// What is wrong with a native call, if anything is.
fn native(office: &Office, call: &Call, needs: &[&str]) -> Result<(), Box<Reply>> {
    if call.method != "POST" {
        return Err(Box::new(failed(200, "invalid_argument", "POST only")));
    }
    if call.repeated {
        return Err(Box::new(failed(201, "duplicate_argument", "an argument stands twice")));
    }
    if let Some(name) = call.lacks(&BASE).or_else(|| call.lacks(needs)) {
        let more = json!({ "argument_name": name });
        return Err(Box::new(told(&failure(100, "missing_argument", &format!("missing arguments: {name}"), more))));
    }
    match office.clients.get(call.of("client_id")) {
        None => return Err(Box::new(failed(402, "invalid_client_credentials", "no such client"))),
        Some(client) if !client.features.contains(&"login_client") => {
            return Err(Box::new(failed(403, "permission_error", "this client logs nobody in")));
        }
        Some(_) => {}
    }
    let (flow, version, locale) = DemoJanrain::FLOW;
    if [call.of("flow"), call.of("flow_version"), call.of("locale")] != [flow, version, locale] {
        return Err(Box::new(failed(500, "unexpected_error", "could not find such a flow")));
    }
    let uri = call.of("redirect_uri");
    if !uri.starts_with("http:") && !uri.starts_with("https:") {
        return Err(Box::new(failed(200, "invalid_argument", "redirect_uri is no address")));
    }
    Ok(())
}

/// The address behind a social token that is still good.
fn address(office: &Office, call: &Call) -> Result<String, Box<Reply>> {
    let invalid = || Box::new(failed(200, "invalid_argument", "the token you passed was not valid"));
    office.social.get(call.of("token")).cloned().ok_or_else(invalid)
}

fn login(office: &mut Office, now: Timestamp, call: &Call) -> Reply {
    office.asked.logins += 1;
    let known = native(office, call, &["token"]).and_then(|()| address(office, call));
    let address = match known {
        Ok(address) => address,
        Err(reply) => return *reply,
    };
    let (client, social) = (call.of("client_id").to_owned(), call.of("token").to_owned());
    match office.users.get(&address).cloned() {
        Some(user) => {
            office.social.remove(&social);
            welcome(office, now, call, &user, false)
        }
        None => {
            office.begun.insert((client, social));
            let more = json!({ "prereg_fields": { "emailAddress": address, "displayName": "" } });
            told(&failure(310, "record_not_found", "nobody is known by this token", more))
        }
    }
}

fn register(office: &mut Office, now: Timestamp, call: &Call) -> Reply {
    office.asked.registrations += 1;
    if let Err(reply) = native(office, call, &["form", "token"]) {
        return *reply;
    }
    let begun = (call.of("client_id").to_owned(), call.of("token").to_owned());
    if !office.begun.contains(&begun) || !office.social.contains_key(&begun.1) {
        return failed(200, "invalid_argument", "the token you passed was not valid");
    }
    if call.of("form") != DemoJanrain::FORM {
        return failed(200, "invalid_argument", "no such form");
    }
    if let Some(field) = call.lacks(&["emailAddress", "displayName"]) {
        let more = json!({ "invalid_fields": { field: [format!("{field} is required.")] } });
        return told(&failure(390, "invalid_form_fields", "some inputs are invalid", more));
    }
    let address = call.of("emailAddress").to_owned();
    if office.users.contains_key(&address) {
        return told(&failure(380, "email_address_in_use", "this address is taken", json!({ "existing_provider": "capture" })));
    }
    let user = format!("67890def-6789-4def-8789-{:012x}", office.users.len() + 1);
    office.users.insert(address, user.clone());
    office.social.remove(&begun.1);
    office.begun.remove(&begun);
    welcome(office, now, call, &user, true)
}

/// What a login or registration brings.
fn welcome(office: &mut Office, now: Timestamp, call: &Call, user: &str, is_new: bool) -> Reply {
    let client = call.of("client_id").to_owned();
    let mut body = Map::new();
    body.insert("stat".into(), "ok".into());
    body.insert("is_new".into(), is_new.into());
    body.insert("capture_user".into(), json!({ "uuid": user, "created": "2016-04-20 17:02:18.649505 +0000" }));
    let asked = Some(call.of("response_type")).filter(|asked| !asked.is_empty()).unwrap_or("token");
    if !["token", "code", "code_and_token"].contains(&asked) {
        return failed(200, "invalid_argument", "no such response_type");
    }
    if !call.of("refresh_secret").is_empty() {
        office.secrets.insert((user.to_owned(), client.clone()), call.of("refresh_secret").to_owned());
    }
    if asked != "code" {
        body.insert("access_token".into(), access(office, now, user, &client).into());
    }
    if asked != "token" {
        let code = fresh(office, "c");
        let redirect_uri = call.of("redirect_uri").to_owned();
        office.codes.insert(code.clone(), Code { user: user.to_owned(), client, redirect_uri });
        body.insert("authorization_code".into(), code.into());
    }
    told(&Value::Object(body))
}

/// A text of 16 characters that was never made before.
fn fresh(office: &mut Office, letter: &str) -> String {
    office.made += 1;
    format!("{letter}{:015x}", office.made)
}

fn access(office: &mut Office, now: Timestamp, user: &str, client: &str) -> String {
    let token = fresh(office, "a");
    let until = now.plus(office.life);
    office.access.insert(token.clone(), Access { user: user.to_owned(), client: client.to_owned(), until });
    token
}

fn token(office: &mut Office, now: Timestamp, call: &Call) -> Reply {
    match exchange(office, now, call) {
        Ok(Some(body)) => told(&body),
        Ok(None) => None,
        Err((status, oauth, sub)) => {
            office.asked.refused += 1;
            let body = failure(if sub == "missing_argument" { 100 } else { 200 }, oauth, "no token for this", json!({ "sub_error": sub }));
            Some(stand::json(status, &body))
        }
    }
}

type Refused = (u16, &'static str, &'static str);

fn exchange(office: &mut Office, now: Timestamp, call: &Call) -> Result<Option<Value>, Refused> {
    const MISSING: Refused = (400, "invalid_request", "missing_argument");
    const GRANT: Refused = (400, "invalid_grant", "invalid_argument");
    let client = call.client(office).ok_or((401, "invalid_client", "invalid_client_credentials"))?;
    let features = office.clients.get(&client).map(|client| client.features.clone()).unwrap_or_default();
    if !features.iter().any(|feature| ["owner", "access_issuer", "direct_access"].contains(feature)) {
        return Err((400, "unauthorized_client", "permission_error"));
    }
    let user = match call.of("grant_type") {
        "authorization_code" => {
            if call.lacks(&["code", "redirect_uri"]).is_some() {
                return Err(MISSING);
            }
            // Spent by whoever brings it, right or wrong.
            let code = office.codes.remove(call.of("code")).ok_or(GRANT)?;
            if code.client != client || code.redirect_uri != call.of("redirect_uri") {
                return Err(GRANT);
            }
            office.asked.redeemed += 1;
            code.user
        }
        "refresh_token" => {
            if call.lacks(&["refresh_token"]).is_some() {
                return Err(MISSING);
            }
            let (user, of) = office.refresh.remove(call.of("refresh_token")).ok_or(GRANT)?;
            if of != client {
                return Err(GRANT);
            }
            office.asked.refreshed += 1;
            user
        }
        "" => return Err(MISSING),
        _ => return Err((400, "unsupported_grant_type", "invalid_argument")),
    };
    let access = access(office, now, &user, &client);
    let refresh = fresh(office, "r");
    office.refresh.insert(refresh.clone(), (user, client));
    if office.trouble == Trouble::RefreshLost {
        return Ok(None);
    }
    Ok(Some(json!({ "stat": "ok", "access_token": access, "refresh_token": refresh, "expires_in": office.life.0 })))
}

/// The refresh of a mobile app: an access token that may have run out, and a signature with the app's secret.
fn mobile(office: &mut Office, now: Timestamp, call: &Call) -> Reply {
    let needs = ["access_token", "date", "signature", "client_id", "locale", "flow", "flow_version"];
    if let Some(name) = call.lacks(&needs) {
        return told(&failure(100, "missing_argument", &format!("missing arguments: {name}"), json!({ "argument_name": name })));
    }
    let invalid = || failed(402, "invalid_client_credentials", "the signature is not valid");
    let Some(old) = office.access.get(call.of("access_token")).cloned() else { return invalid() };
    let Some(secret) = office.secrets.get(&(old.user.clone(), old.client.clone())) else { return invalid() };
    let text = format!("refresh_access_token\n{}\n{}\n", call.of("date"), call.of("access_token"));
    if old.client != call.of("client_id") || sign(secret, &text).as_deref() != Some(call.of("signature")) {
        return invalid();
    }
    office.access.remove(call.of("access_token"));
    office.asked.refreshed += 1;
    let token = access(office, now, &old.user, &old.client);
    told(&json!({ "stat": "ok", "access_token": token }))
}

/// Everything else: for a user with a token, or a client that proves itself.
fn data(office: &mut Office, now: Timestamp, call: &Call) -> Reply {
    office.asked.data += 1;
    if let Some(token) = call.token() {
        return match office.access.get(token) {
            None => failed(402, "invalid_client_credentials", "unknown access token"),
            Some(access) if access.until <= now => failed(414, "access_token_expired", "access_token expired"),
            Some(access) => told(&json!({ "stat": "ok", "result": { "uuid": access.user } })),
        };
    }
    match call.client(office) {
        None => failed(402, "invalid_client_credentials", "who are you?"),
        Some(client) => told(&json!({ "stat": "ok", "result": { "client": client, "path": call.path } })),
    }
}

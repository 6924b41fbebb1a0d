//! TapTalk at a rule: who is let through to which endpoint, and how a refusal reads to its clients.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use super::{ENTRY, client};
use crate::domain::{Breach, Doubt, Facts, Identity, Need, Refusal, RequestView, Seconds, Step, Target, Timestamp, Value};
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::systems::contract::{Guarded, Meaning, Pass, Refused, Rendered, Reply, System};

const NOW: Timestamp = Timestamp(1_800_000_000);
const APP_KEY: &str = "YXBwaWQ6YXBwc2VjcmV0";
const SERVER_KEY: &str = "c2lkOnNzZWM=";

fn span() -> Span {
    Span { file: "conf".into(), line: 1, column: 1 }
}

/// JSON as the conf's tree.
fn node(value: &Json) -> Node {
    let value = match value {
        Json::Null => NodeValue::Null,
        Json::Bool(flag) => NodeValue::Bool(*flag),
        Json::Number(number) => NodeValue::Int(number.as_i64().unwrap()),
        Json::String(text) => NodeValue::Text(text.clone()),
        Json::Array(items) => NodeValue::List(items.iter().map(node).collect()),
        Json::Object(members) => {
            NodeValue::Map(members.iter().map(|(key, value)| Entry { key: key.clone(), span: span(), node: node(value) }).collect())
        }
    };
    Node { span: span(), value }
}

/// The system with these settings, or what is wrong with them.
fn planned(settings: &Json) -> Result<Arc<dyn System>, Vec<String>> {
    let (mut faults, material, names) = (Faults::default(), Material::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let settings = node(settings);
    let written = (settings.value != NodeValue::Null).then_some(&settings);
    let plan = (ENTRY.plan)(written, &span(), &mut checking);
    let says: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
    match plan {
        Some(plan) if says.is_empty() => Ok(plan.build().unwrap()),
        _ => Err(says),
    }
}

fn system(settings: &Json) -> Arc<dyn System> {
    planned(settings).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// `anna`, as a session or a token has proven her.
fn anna(claims: &[(&str, &str)]) -> Identity {
    Identity {
        subject: "anna".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Value::Map(claims.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()).into(),
        expires: Some(NOW.plus(Seconds(300))),
        not_before: None,
        scheme: "session",
        authenticator: "member".into(),
        burn: None,
        also: Vec::new(),
    }
}

struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [(&'a str, &'a str)],
    body: Option<&'a str>,
    identity: Option<&'a Identity>,
}

/// A request of a client with its App-Key.
fn client_asks(target: &str) -> Asked<'_> {
    Asked { method: "POST", target, fields: &[("App-Key", APP_KEY)], body: None, identity: None }
}

impl Asked<'_> {
    fn of(&self, system: &dyn System) -> Step<Pass> {
        let (path, query) = self.target.split_once('?').map_or((self.target, None), |(path, query)| (path, Some(query.into())));
        let target = Target { path: path.into(), query };
        let headers = headers(self.fields);
        let request = RequestView {
            method: self.method,
            raw_target: self.target,
            target: &target,
            host: "chat.example",
            headers: &headers,
            client: std::net::Ipv4Addr::new(192, 0, 2, 7).into(),
            secure: true,
            request_id: "r-1",
        };
        let mut facts = Facts::default();
        if let Some(body) = self.body {
            facts.add_body(Bytes::copy_from_slice(body.as_bytes()));
        }
        system.guard(&Guarded { request: &request, identity: self.identity, facts: &facts, now: NOW })
    }

    fn breach(&self, system: &dyn System) -> Option<Breach> {
        match self.of(system) {
            Step::Refuse(Refusal::GuardRefused(breach)) => Some(*breach),
            Step::Done(_) => None,
            other => panic!("{}: {other:?}", self.target),
        }
    }

    fn pass(&self, system: &dyn System) -> Pass {
        match self.of(system) {
            Step::Done(pass) => pass,
            other => panic!("{}: {other:?}", self.target),
        }
    }

    /// The code that it is refused with; `""` when it is let through.
    fn code(&self, system: &dyn System) -> String {
        self.breach(system).map_or(String::new(), |breach| breach.code.into_owned())
    }
}

fn rendered(system: &dyn System, refusal: &Refusal, status: u16, public: &'static str, target: &str, fields: &[(&str, &str)]) -> Rendered {
    let headers = headers(fields);
    let refused = Refused { refusal, status, public, method: "POST", target, headers: &headers, body: None, request_id: "r-1", now: NOW };
    system.render(&refused).unwrap()
}

fn read(rendered: &Rendered) -> (u16, u64, String, String) {
    let body: Json = serde_json::from_slice(&rendered.body).unwrap();
    let error = body["error"].as_object().unwrap();
    assert!(["code", "message", "field"].iter().all(|name| error[*name].is_string()), "the Android client needs all three: {body}");
    assert_eq!(body["data"], json!({}), "{body}");
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (rendered.status, body["status"].as_u64().unwrap(), text("code"), text("field"))
}

const TICKET: &str = "/v1/server/auth_ticket/request";
const CHAT: &str = "/v1/chat/message/send";

#[test]
fn every_refusal_is_an_envelope_over_http_200_with_the_code_that_clients_go_by() {
    let taptalk = system(&Json::Null);
    let lapsed = Refusal::Doubted(Doubt::Expired(None));
    let invalid = Refusal::Doubted(Doubt::SignatureInvalid);
    let later = Refusal::StateUnavailable { retry_after: Seconds(5) };
    let rows = [
        (&Refusal::CredentialMissing, 401, "credential_missing", CHAT, 401, "40101", "no token"),
        (&Refusal::Doubted(Doubt::Conflict), 400, "credential_conflict", CHAT, 401, "40102", "two tokens"),
        (&invalid, 401, "credential_invalid", CHAT, 401, "40103", "a token that is none of ours"),
        (&lapsed, 401, "credential_expired", CHAT, 401, "40104", "the one code at which the web client refreshes"),
        (&lapsed, 401, "credential_expired", "/connect?check=1", 401, "40104", "the look at a token refreshes too"),
        (&lapsed, 401, "credential_expired", "/v1/auth/access_token/request", 401, "40104", "a ticket of more than an hour ago"),
        (
            &lapsed,
            401,
            "credential_expired",
            "/v1/auth/access_token/refresh",
            401,
            "40103",
            "a refresh token that is over is not refreshed",
        ),
        (&Refusal::RenewalRefused, 401, "credential_expired", CHAT, 401, "40103", "nor is what the proxy could not renew"),
        (&Refusal::CredentialMissing, 401, "credential_missing", TICKET, 491, "49101", "no Server-Key"),
        (&Refusal::Doubted(Doubt::SecretWrong), 401, "credential_invalid", TICKET, 491, "49102", "a wrong Server-Key, or an unknown one"),
        (
            &Refusal::Doubted(Doubt::KeyDisabled),
            401,
            "credential_invalid",
            TICKET,
            491,
            "49102",
            "one that was switched off looks the same",
        ),
        (&lapsed, 401, "credential_expired", TICKET, 491, "49106", "one that has run out"),
        (&Refusal::PolicyDenied, 403, "not_allowed", CHAT, 403, "40301", "a known caller who may not"),
        (&Refusal::BodyTooLarge, 413, "request_refused", CHAT, 400, "40002", "too much"),
        (&Refusal::HeadMalformed, 400, "request_refused", CHAT, 400, "40001", "a head with two readings"),
        (&Refusal::NoRule, 404, "no_rule", CHAT, 404, "40401", "nothing here"),
        (
            &Refusal::Throttled { retry_after: Seconds(1) },
            429,
            "throttled",
            CHAT,
            429,
            "99999",
            "too often; no code makes a client log out",
        ),
        (&later, 503, "unavailable", CHAT, 503, "99999", "an outage logs nobody out"),
        (&Refusal::UpstreamTimeout, 504, "unavailable", CHAT, 504, "99999", "nor does one behind us"),
    ];
    for (refusal, status, public, target, inside, code, shows) in rows {
        let rendered = rendered(taptalk.as_ref(), refusal, status, public, target, &[]);
        let (http, told, named, _) = read(&rendered);
        assert_eq!((http, told, named.as_str()), (200, inside, code), "{shows}");
        assert!(rendered.headers.iter().any(|(name, value)| name == "content-type" && value == "application/json"), "{shows}");
    }
}

#[test]
fn a_forger_learns_nothing_from_an_answer() {
    let taptalk = system(&Json::Null);
    let doubts = [Doubt::Malformed, Doubt::KeyUnknown, Doubt::SignatureInvalid, Doubt::SecretWrong, Doubt::Replayed, Doubt::Revoked];
    let answers: std::collections::BTreeSet<_> = doubts
        .into_iter()
        .map(|doubt| rendered(taptalk.as_ref(), &Refusal::Doubted(doubt), 401, "credential_invalid", CHAT, &[]).body)
        .collect();
    assert_eq!(answers.len(), 1, "all doubts read alike");
    let target = "/v1/chat/%3Cscript%3E?x=<script>";
    let answer = rendered(taptalk.as_ref(), &Refusal::CredentialMissing, 401, "credential_missing", target, &[("x-note", "<script>")]);
    assert!(!String::from_utf8_lossy(&answer.body).contains("script"), "nothing of the request is repeated");
}

#[test]
fn a_page_may_read_its_refusal_where_its_origin_is_named() {
    let taptalk = system(&json!({ "origins": ["https://app.example"] }));
    let allowed = |origin: &str| {
        let answer = rendered(taptalk.as_ref(), &Refusal::CredentialMissing, 401, "credential_missing", CHAT, &[("Origin", origin)]);
        answer.headers.iter().find(|(name, _)| name == "access-control-allow-origin").map(|(_, value)| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed("https://app.example").as_deref(), Some("https://app.example"), "otherwise it never learns that it must refresh");
    assert_eq!(allowed("https://evil.example"), None);
}

#[test]
fn what_is_not_documented_about_refusals_is_a_setting() {
    let named = system(&json!({ "codes": "names", "http_status": "told" }));
    let breach = |code: &'static str| {
        Refusal::GuardRefused(Box::new(Breach { code: code.into(), field: "xcUserID".into(), says: "is required".into() }))
    };
    let rows = [
        (breach("40001"), 400, "HeaderValidationFailed"),
        (breach("40002"), 400, "ParamValidationFailed"),
        (breach("49104"), 491, "49104"),
        (Refusal::CredentialMissing, 491, "49101"),
    ];
    for (refusal, expected, code) in rows {
        let (http, inside, named, _) = read(&rendered(named.as_ref(), &refusal, 401, "credential_missing", TICKET, &[]));
        assert_eq!((http, inside, named.as_str()), (expected, u64::from(expected), code));
    }
}

#[test]
fn a_client_route_wants_an_app_key_of_one_form_and_of_one_of_the_apps() {
    let any = system(&Json::Null);
    let ours = system(&json!({ "apps": ["appid"] }));
    let others = system(&json!({ "apps": ["another"] }));
    let rows: [(&Arc<dyn System>, &[(&str, &str)], &str, &str); 8] = [
        (&any, &[("App-Key", APP_KEY)], "", "of the right form"),
        (&any, &[], "49101", "none"),
        (&any, &[("App-Key", "")], "49101", "an empty one"),
        (&any, &[("App-Key", "YXBwaWQ6YXBwc2VjcmV0\t")], "49102", "with something behind it"),
        (&any, &[("App-Key", "appid:appsecret")], "49102", "not encoded"),
        (&any, &[("App-Key", APP_KEY), ("App-Key", APP_KEY)], "49102", "twice, even alike"),
        (&ours, &[("App-Key", APP_KEY)], "", "of the app that is named"),
        (&others, &[("App-Key", APP_KEY)], "49102", "of another app"),
    ];
    for target in ["/v1/client/project_configs", CHAT, "/v1/auth/access_token/request", "/v1/auth/access_token/refresh"] {
        for (system, fields, code, shows) in rows {
            let asked = Asked { fields, ..client_asks(target) };
            assert_eq!(asked.code(system.as_ref()), code, "{shows}: {target}");
        }
    }
    assert_eq!(client_asks("/anything/else").code(any.as_ref()), "", "a client's path is any that is not a server's");
    assert_eq!(Asked { fields: &[], ..client_asks("/anything/else") }.code(any.as_ref()), "49101");
}

#[test]
fn the_first_call_of_every_client_passes_with_an_empty_authorization() {
    let fields = [("App-Key", APP_KEY), ("Authorization", ""), ("Device-Platform", "web")];
    let asked = Asked { fields: &fields, body: Some("\"\""), ..client_asks("/v1/client/project_configs") };
    assert_eq!(asked.pass(system(&Json::Null).as_ref()), Pass::default(), "and its body is the two signs that mean nothing");
}

#[test]
fn a_server_key_on_a_client_route_is_refused_whatever_else_is_right() {
    let taptalk = system(&Json::Null);
    let filled = system(&json!({ "fill": { "xcUserID": "subject", "fullName": "claims.name" } }));
    let spellings = ["Server-Key", "server_key", "SERVER.KEY"];
    for spelling in spellings {
        for target in ["/v1/client/project_configs", CHAT, "/v1/auth/access_token/request", "/connect?check=1", "/elsewhere"] {
            let fields = [("App-Key", APP_KEY), (spelling, SERVER_KEY)];
            let method = if target.starts_with("/connect") { "GET" } else { "POST" };
            let breach = Asked { method, fields: &fields, ..client_asks(target) }.breach(taptalk.as_ref()).unwrap();
            assert_eq!((&*breach.code, &*breach.field), ("49104", "Server-Key"), "{spelling} at {target}");
        }
        let anna = anna(&[("name", "Anna")]);
        let asked = Asked { fields: &[(spelling, SERVER_KEY)], body: Some("{}"), identity: Some(&anna), ..client_asks(TICKET) };
        assert_eq!(asked.code(filled.as_ref()), "49104", "a user who asks for a ticket has none either: {spelling}");
    }
    for target in [TICKET, "/v1/server/user/get_list"] {
        let asked = Asked { fields: &[("Server-Key", SERVER_KEY)], body: Some(LEAST), ..client_asks(target) };
        assert_eq!(asked.code(taptalk.as_ref()), "", "where it belongs it is the authenticator's: {target}");
    }
}

#[test]
fn fields_that_the_conf_asks_for_must_stand_there_once() {
    let taptalk = system(&json!({ "require": ["Device-Identifier", "Device-Platform"] }));
    let rows: [(&[(&str, &str)], &str, &str); 4] = [
        (&[("Device-Identifier", "d-1"), ("Device-Platform", "web")], "", "both"),
        (&[("Device-Identifier", "d-1")], "device-platform", "one is missing"),
        (&[("Device-Identifier", ""), ("Device-Platform", "web")], "device-identifier", "one is empty"),
        (
            &[("Device-Identifier", "d-1"), ("Device-Identifier", "d-1"), ("Device-Platform", "web")],
            "device-identifier",
            "one stands there twice",
        ),
    ];
    for (fields, field, shows) in rows {
        let fields: Vec<_> = fields.iter().copied().chain([("App-Key", APP_KEY)]).collect();
        let breach = Asked { fields: &fields, ..client_asks(CHAT) }.breach(taptalk.as_ref());
        let told = breach.map(|breach| (breach.code.into_owned(), breach.field.into_owned()));
        assert_eq!(told, (!field.is_empty()).then(|| ("40001".to_owned(), field.to_owned())), "{shows}");
    }
}

#[test]
fn a_token_that_was_given_to_another_client_is_told_so() {
    let taptalk = system(&Json::Null);
    let name = client::name("appid", "d-1");
    let rows: [(&str, &[(&str, &str)], &str, &str); 6] = [
        (&name, &[("App-Key", APP_KEY), ("Device-Identifier", "d-1")], "", "the client that it was given to"),
        (&name, &[("App-Key", APP_KEY), ("Device-Identifier", "d-2")], "40105", "another device"),
        (&name, &[("App-Key", APP_KEY)], "40105", "no device"),
        (&name, &[("App-Key", "b3RoZXI6eA=="), ("Device-Identifier", "d-1")], "40105", "another app"),
        (&name, &[("App-Key", APP_KEY), ("Device-Identifier", "d-1"), ("Device-Identifier", "d-1")], "40105", "a device that is two"),
        ("main", &[("App-Key", APP_KEY)], "", "a token that was bound to nobody of ours"),
    ];
    for (bound, fields, code, shows) in rows {
        let anna = anna(&[("client_id", bound)]);
        assert_eq!(Asked { fields, identity: Some(&anna), ..client_asks(CHAT) }.code(taptalk.as_ref()), code, "{shows}");
    }
}

#[test]
fn the_web_clients_connect_goes_on_with_fields_and_a_clean_query() {
    let taptalk = system(&Json::Null);
    let bound = anna(&[("client_id", &client::name("appid", "d-1"))]);
    let target = "/connect?app_key=YXBwaWQ6YXBwc2VjcmV0&authorization=Bearer%20t.o.k&device_identifier=d-1&device_model=Netscape&device_platform=web";
    let asked = Asked { method: "GET", fields: &[("device_model", "forged")], identity: Some(&bound), ..client_asks(target) };
    let pass = asked.pass(taptalk.as_ref());
    let set: Vec<&str> = pass.set.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(set, ["app-key", "authorization", "device-identifier", "device-model", "device-platform"]);
    assert_eq!(pass.remove_query.len(), 5, "nothing of it is left in a log");
    assert_eq!(pass.remove, ["device_model"], "nor anything that some servers would take for one of them");

    let elsewhere =
        Asked { method: "GET", fields: &[], identity: Some(&bound), ..client_asks(&target.replace("d-1", "d-2")) }.code(taptalk.as_ref());
    assert_eq!(elsewhere, "40105", "a token is bound in the query as in a field");
    let check = Asked { method: "GET", ..client_asks("/connect?check=1") };
    assert_eq!(check.pass(taptalk.as_ref()), Pass::default(), "the look at a token has its credentials in fields");
    assert_eq!(Asked { method: "GET", fields: &[], ..client_asks("/connect") }.code(taptalk.as_ref()), "49101", "nothing anywhere");
    assert_eq!(client_asks("/connect").code(taptalk.as_ref()), "40401", "it is asked by GET");
}

const LEAST: &str = r#"{"userIPAddress":"192.0.2.7","userAgent":"Mozilla/5.0","userPlatform":"web","userDeviceID":"d-1","xcUserID":"anna","fullName":"Anna"}"#;

#[test]
fn a_back_ends_ticket_request_goes_on_as_it_is_once_every_field_is_right() {
    let taptalk = system(&Json::Null);
    fn asked(body: &str) -> Asked<'_> {
        Asked { fields: &[], body: Some(body), ..client_asks(TICKET) }
    }
    assert!(matches!(Asked { body: None, ..asked("") }.of(taptalk.as_ref()), Step::Need(Need::Body)), "the body is asked for");
    assert_eq!(asked(LEAST).pass(taptalk.as_ref()), Pass::default(), "untouched");
    let nobodys = LEAST.replace(",\"xcUserID\":\"anna\"", "");
    let twice = LEAST.replace("\"anna\"", "\"anna\",\"xcUserID\":\"bob\"");
    let more = LEAST.replace("\"anna\"", "\"anna\",\"favourite\":\"blue\"");
    let breach = asked(&nobodys).breach(taptalk.as_ref()).unwrap();
    assert_eq!((&*breach.code, &*breach.field), ("40002", "xcUserID"));
    assert_eq!(asked(&twice).code(taptalk.as_ref()), "40002", "a name twice");
    assert_eq!(Asked { method: "GET", ..asked(LEAST) }.code(taptalk.as_ref()), "40401", "by POST");
    let coded = taptalk.coded();
    assert_eq!((&*coded.code, &*coded.field), ("40001", "Content-Encoding"), "a body that its server would read otherwise");

    assert_eq!(asked(&more).code(taptalk.as_ref()), "40002", "what is not documented is refused");
    let dropping = system(&json!({ "unknown": "drop" }));
    let pass = asked(&more).pass(dropping.as_ref());
    let sent: Json = serde_json::from_slice(&pass.body.unwrap()).unwrap();
    assert_eq!(sent, serde_json::from_str::<Json>(LEAST).unwrap(), "or left out, where the conf says so");
}

fn filling() -> Json {
    json!({ "fill": { "xcUserID": "subject", "fullName": "claims.name", "email": "claims.contact.email", "userDeviceID": "header.Device-Identifier" } })
}

#[test]
fn who_the_user_is_comes_from_the_session_and_never_from_the_client() {
    let taptalk = system(&filling());
    let mut anna = anna(&[("name", "Anna")]);
    anna.claims = Value::Map(Box::new([
        ("name".into(), "Anna".into()),
        ("contact".into(), Value::Map(Box::new([("email".into(), "anna@app.example".into())]))),
    ]))
    .into();
    let fields = [("User-Agent", "Mozilla/5.0"), ("Device-Identifier", "d-1"), ("X-Forwarded-For", "203.0.113.9")];
    let forged = r#"{"xcUserID":"admin","fullName":"Root","email":"root@app.example","userIPAddress":"203.0.113.9","userAgent":"forged",
                     "userRoleCode":"admin","username":"root","phone":"+4912345","userDeviceID":"d-9","userPlatform":"web"}"#;
    let sent = |body: &str| {
        let asked = Asked { fields: &fields, body: Some(body), identity: Some(&anna), ..client_asks(TICKET) };
        let pass = asked.pass(taptalk.as_ref());
        assert!(pass.set.iter().any(|(name, value)| name == "content-type" && value == "application/json"));
        serde_json::from_slice::<Json>(&pass.body.unwrap()).unwrap()
    };
    let expected = json!({
        "userIPAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
        "xcUserID": "anna", "fullName": "Anna", "email": "anna@app.example",
    });
    assert_eq!(sent(forged), expected, "whatever the client writes");
    assert_eq!(sent(r#"{"userPlatform":"web"}"#), expected, "the one thing that is its own to say");

    let asked = |body, fields| Asked { fields, body: Some(body), identity: Some(&anna), ..client_asks(TICKET) };
    assert_eq!(asked("\"\"", &fields[..]).breach(taptalk.as_ref()).unwrap().field, "userPlatform", "and it must say that");
    assert_eq!(asked(r#"{"userPlatform":"web"}"#, &fields[1..]).breach(taptalk.as_ref()).unwrap().field, "userAgent");
    let query = Asked { target: "/v1/server/auth_ticket/request?userRoleCode=admin", ..asked(r#"{"userPlatform":"web"}"#, &fields[..]) };
    assert_eq!(query.code(taptalk.as_ref()), "40002", "some servers read the query as if it stood in the body");
    let nobody = Asked { identity: None, ..asked(r#"{"userPlatform":"web"}"#, &fields[..]) };
    assert!(matches!(nobody.of(taptalk.as_ref()), Step::Refuse(Refusal::CredentialMissing)), "nobody is no user");
    for other in ["/v1/server/user/get_list", "/v1/server"] {
        let asked = Asked { target: other, ..asked("{}", &fields[..]) };
        assert_eq!(asked.code(taptalk.as_ref()), "40401", "nothing else is asked for by our key: {other}");
    }
}

#[test]
fn what_the_session_lacks_is_missed_and_not_taken_from_the_client() {
    let taptalk = system(&filling());
    let nameless = anna(&[]);
    let long = Identity { subject: "a".repeat(51).into(), ..anna(&[("name", "Anna")]) };
    let fields = [("User-Agent", "Mozilla/5.0"), ("Device-Identifier", "d-1")];
    let body = r#"{"userPlatform":"web","fullName":"Root"}"#;
    for (identity, field, shows) in
        [(&nameless, "fullName", "a name that nobody proved"), (&long, "xcUserID", "a subject that is too long")]
    {
        let asked = Asked { fields: &fields, body: Some(body), identity: Some(identity), ..client_asks(TICKET) };
        assert_eq!(asked.breach(taptalk.as_ref()).unwrap().field, field, "{shows}");
    }
}

#[test]
fn settings_that_would_let_a_client_say_who_it_is_are_faults() {
    let rows = [
        (json!({ "fill": { "xcUserID": "subject" } }), true, "the least"),
        (json!({ "fill": { "fullName": "claims.name" } }), false, "nobody says who the user is"),
        (json!({ "fill": { "xcUserID": "header.X-User" } }), false, "the client would"),
        (json!({ "fill": { "xcUserID": "subject", "email": "header.X-Mail" } }), false, "the client would say its address"),
        (json!({ "fill": { "xcUserID": "subject", "userDeviceID": "header.Device-Identifier" } }), true, "its device is its own"),
        (json!({ "fill": { "xcUserID": "sub" } }), false, "no source"),
        (json!({ "fill": { "xcUserId": "subject" } }), false, "no field"),
        (json!({ "fill": { "xcUserID": "subject" }, "take": ["username"] }), true, "what the operator takes knowingly"),
        (json!({ "fill": { "xcUserID": "subject" }, "take": ["xcUserID"] }), false, "the user, from the client"),
        (json!({ "fill": { "xcUserID": "subject" }, "take": ["userIPAddress"] }), false, "the address, from the client"),
        (json!({ "take": ["username"] }), false, "nothing is filled"),
        (json!({ "base": "/api" }), true, "an older base"),
        (json!({ "base": "/api/" }), true, "with a slash"),
        (json!({ "base": "api" }), false, "no path"),
        (json!({ "base": "/../x" }), false, "no canonical path"),
        (json!({ "origins": ["https://app.example/"] }), false, "browsers write no slash"),
        (json!({ "origins": "*" }), true, "any"),
        (json!({ "expired": ["40104", "40103"] }), true, "two codes"),
        (json!({ "codes": "words" }), false, "no such way"),
        (json!({ "colour": "blue" }), false, "no such key"),
    ];
    for (settings, expected, shows) in rows {
        let planned = planned(&settings).map(|_| ());
        assert_eq!(planned.is_ok(), expected, "{shows}: {settings} {planned:?}");
    }
}

#[test]
fn replies_are_held_and_classified_where_an_access_token_was_asked_with() {
    let taptalk = system(&json!({ "base": "/api" }));
    let expired: &[u8] = br#"{"status":401,"error":{"code":"40104","message":"","field":""},"data":{}}"#;
    let rows = [
        ("POST", "/api/v1/chat/message/send", true, Meaning::Expired, "chat"),
        ("POST", "/api/v1/client/user/get_by_id", true, Meaning::Expired, "the user's own"),
        ("GET", "/api/connect", true, Meaning::Expired, "the look at a token"),
        ("POST", "/api/v1/auth/access_token/request", true, Meaning::Fine, "held for its pair; what has run out is the ticket"),
        ("POST", "/api/v1/auth/access_token/refresh", true, Meaning::Fine, "held for its pair; what has run out is the refresh token"),
        ("POST", "/api/v1/server/user/get_list", false, Meaning::Fine, "a back end has no token"),
        ("GET", "/elsewhere", false, Meaning::Expired, "nothing of TapTalk's; what is not held is not classified"),
    ];
    let headers = HeaderMap::new();
    for (method, path, held, meaning, shows) in rows {
        assert_eq!(taptalk.holds(method, path), held, "{shows}");
        let reply = Reply { method, path, status: 200, headers: &headers, body: Some(expired) };
        assert_eq!(taptalk.classify(&reply), meaning, "{shows}");
    }
    let head = Reply { method: "POST", path: "/api/v1/chat/message/send", status: 200, headers: &headers, body: None };
    assert_eq!(taptalk.weigh(&head), Meaning::Fine, "a head alone tells nothing: that is why replies are held");
}

const CONTACT: &str = "/api/integration/v1/user/request_auth_ticket";

#[test]
fn onetalk_has_endpoints_and_a_key_of_its_own() {
    let (plain, one) = (system(&Json::Null), system(&json!({ "fill": { "customerUserID": "subject", "fullName": "claims.name" } })));
    let anna = anna(&[("name", "Anna")]);
    let good = r#"{"customerUserID":"anna","fullName":"Anna"}"#;
    let key: &[(&str, &str)] = &[("API-Key", "k")];
    let asks = |target, fields, body| Asked { method: "POST", target, fields, body: Some(body), identity: Some(&anna) };
    let rows = [
        (&plain, asks(CONTACT, key, good), "", "a back end"),
        (&plain, asks(CONTACT, key, "{}"), "40002", "nobody"),
        (&plain, asks(CONTACT, key, r#"{"customerUserID":"anna","fullName":"Anna","role":"x"}"#), "40002", "what is not documented"),
        (&plain, Asked { method: "GET", ..asks(CONTACT, key, good) }, "40401", "another method"),
        (&plain, asks("/api/integration/v1/inbox/send", key, "[1,2]"), "", "another of its endpoints is not looked into"),
        (&one, asks(CONTACT, &[], "{}"), "", "a page whose user is filled in"),
        (&one, asks(CONTACT, key, "{}"), "49104", "a page has no API-Key"),
        (&one, asks("/api/integration/v1/inbox/send", &[], "{}"), "40401", "and gets nothing else by ours"),
        (&one, asks(TICKET, &[], "{}"), "40401", "nor a ticket of the other product"),
        (&plain, asks(CHAT, &[("App-Key", APP_KEY), ("API-Key", "k")], "{}"), "49104", "L2 a back end's key on a client route"),
        (&plain, asks(CHAT, &[("App-Key", APP_KEY), ("api_key", "k")], "{}"), "49104", "in another spelling"),
    ];
    for (system, asked, code, shows) in rows {
        assert_eq!(asked.code(system.as_ref()), code, "{shows}");
    }
    let filled = asks(CONTACT, &[], r#"{"customerUserID":"root","fullName":"Root","alias":"x"}"#).pass(one.as_ref());
    let body: Json = serde_json::from_slice(&filled.body.unwrap()).unwrap();
    assert_eq!(body, json!({ "customerUserID": "anna", "fullName": "Anna" }), "nothing of who it is comes from the page");

    let told = |refusal: &Refusal, public| read(&rendered(plain.as_ref(), refusal, 401, public, CONTACT, key));
    assert_eq!(told(&Refusal::CredentialMissing, "credential_missing"), (200, 400, "40001".into(), "API-Key".into()));
    assert_eq!(told(&Refusal::Doubted(Doubt::SecretWrong), "credential_invalid"), (200, 400, "40001".into(), "API-Key".into()));
    let faults = planned(&json!({ "fill": { "customerUserID": "subject", "xcUserID": "subject" } })).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains("not a documented field")), "the two products do not mix: {faults:?}");
}

//! The guard, the settings and the meaning of replies: what each call must bring, and what it goes on as.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::config::document::Document;
use crate::domain::{Breach, Facts, Identity, Need, Refusal, RequestView, Seconds, Secret, Step, Target, Timestamp, Value};
use crate::jose::json::parse;
use crate::settings::section::prove as prove_shape;
use crate::settings::{Checking, Faults, Level, Material, Names};
use crate::systems::contract::{Guarded, Meaning, Pass, Reply, System};
use crate::systems::telematics::ENTRY;

const NOW: Timestamp = Timestamp(1_800_000_000);
const OWN: &str = "8b1cf7f9-0000-4000-8000-000000000001";
const ELSE: &str = "8b1cf7f9-0000-4000-8000-000000000002";
const KEY: &str = "marked-instance-key";
const INSTANCE: &str = "instance: { id: inst-1, key: { env: KEY } }";

/// The system of `yaml`, and every fault and warning.
fn planned(yaml: &str) -> (Option<Arc<dyn System>>, Vec<String>) {
    let document = Document::read("c.yaml", yaml.as_bytes()).unwrap();
    let mut faults = Faults::default();
    prove_shape(ENTRY.shape, ENTRY.name, &document.root, &mut faults);
    let variables = [("KEY", KEY), ("ODD", "a,b")];
    let material = Material {
        base: PathBuf::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value.as_bytes().to_vec())))).into(),
        ..Material::default()
    };
    let names = Names::default();
    let plan = if faults.errors() == 0 {
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        (ENTRY.plan)(Some(&document.root), &document.root.span, &mut checking)
    } else {
        None
    };
    let told = faults.sorted().into_iter().map(|fault| match fault.level {
        Level::Error => fault.says,
        Level::Warning => format!("warning: {}", fault.says),
    });
    (plan.map(|plan| plan.build().unwrap()), told.collect())
}

fn system(yaml: &str) -> Arc<dyn System> {
    let (system, told) = planned(yaml);
    system.unwrap_or_else(|| panic!("{yaml}: {told:?}"))
}

/// A user whose device is [`OWN`].
fn user() -> Identity {
    let claims = parse(json!({ "device": ELSE, "deep": { "device": OWN } }).to_string().as_bytes()).unwrap();
    Identity {
        subject: OWN.into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: claims.into(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// A request as it comes to the guard.
#[derive(Clone)]
struct Asked {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
    secure: bool,
    client: &'static str,
    identity: Option<Identity>,
    now: Timestamp,
}

fn post(target: &str, body: &str) -> Asked {
    let fields = if body.is_empty() { Vec::new() } else { vec![("content-type", "application/json".to_owned())] };
    let body = body.as_bytes().to_vec();
    Asked { method: "POST", target: target.into(), fields, body, secure: true, client: "192.0.2.7", identity: Some(user()), now: NOW }
}

fn get(target: &str) -> Asked {
    Asked { method: "GET", ..post(target, "") }
}

impl Asked {
    fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn keyed(self) -> Self {
        self.field("InstanceId", "inst-9").field("INSTANCEKEY", "their-key")
    }

    fn nobody(self) -> Self {
        Self { identity: None, ..self }
    }

    fn in_the_clear(self, client: &'static str) -> Self {
        Self { secure: false, client, ..self }
    }

    fn guarded_by(&self, system: &dyn System) -> Result<Pass, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let (path, query) = self.target.split_once('?').map_or((&*self.target, None), |(path, query)| (path, Some(query)));
        let target = Target { path: path.into(), query: query.map(Box::from) };
        let request = RequestView {
            method: self.method,
            raw_target: &self.target,
            target: &target,
            host: "proxy.test",
            headers: &headers,
            client: self.client.parse().unwrap(),
            secure: self.secure,
            request_id: "r-1",
        };
        let mut facts = Facts::default();
        loop {
            let guarded = Guarded { request: &request, identity: self.identity.as_ref(), facts: &facts, now: self.now };
            match system.guard(&guarded) {
                Step::Done(pass) => return Ok(pass),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(Need::Body) if facts.body().is_none() => facts.add_body(Bytes::from(self.body.clone())),
                Step::Need(need) => panic!("asked for {need:?} twice"),
            }
        }
    }

    /// `pass`, or the status and the field of the breach.
    fn shown_by(&self, system: &dyn System) -> String {
        match self.guarded_by(system) {
            Ok(_) => "pass".to_owned(),
            Err(Refusal::GuardRefused(breach)) => {
                let Breach { code, field, .. } = *breach;
                format!("{code} {field}").trim().to_owned()
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn check(system: &dyn System, rows: &[(Asked, &str, &str)]) {
    for (asked, expected, shows) in rows {
        assert_eq!(asked.shown_by(system), *expected, "{shows}: {} {}", asked.method, asked.target);
    }
}

fn login(fields: &Json, password: &str) -> String {
    json!({ "LoginFields": fields, "Password": password }).to_string()
}

fn device(of: &str) -> Json {
    json!({ "Devicetoken": of })
}

#[test]
fn a_registration_brings_the_instance_and_its_key_in_any_case() {
    let system = system("{}");
    let create = || post("/v1/Registration/create", "");
    let rows = [
        (create().keyed(), "pass", "both"),
        (post("/v1/registration/CREATE", "").keyed(), "pass", "in any case of the path"),
        (create().field("instanceid", "a").field("instancekey", "b"), "pass", "in any case of the names"),
        (create().keyed().nobody(), "pass", "the key is proof enough: it is the vendor who judges it"),
        (create(), "422 InstanceId", "neither"),
        (create().field("InstanceKey", "b"), "422 InstanceId", "the key alone"),
        (create().field("InstanceId", "a"), "422 InstanceKey", "the id alone"),
        (create().field("InstanceId", "").field("InstanceKey", "b"), "422 InstanceId", "an empty id"),
        (create().keyed().field("InstanceKey", "b"), "422 InstanceKey", "the key twice"),
        (create().field("InstanceId", "a").field("InstanceKey", "b,c"), "422 InstanceKey", "two keys in one"),
        (Asked { method: "GET", ..create().keyed() }, "405", "another method"),
        (create().field("InstanceId", "a").field("InstanceKey", "b").in_the_clear("192.0.2.7"), "403 InstanceKey", "over http"),
        (create().keyed().in_the_clear("127.0.0.1"), "pass", "over http on this very machine"),
        (create().keyed().in_the_clear("::ffff:127.0.0.1"), "pass", "the same in the other family"),
        (create().keyed().in_the_clear("::1"), "pass", "the same in IPv6"),
        (post("/v1/Registration/create?InstanceKey=x", "").keyed(), "422", "the key in the address, where it is logged"),
        (post("/v1/Registration/create?%49nstancekey=x", "").keyed(), "422", "the same escaped"),
    ];
    check(&*system, &rows);
}

#[test]
fn the_body_of_a_registration_is_what_is_documented() {
    let system = system("{}");
    let create = |body: &str| post("/v1/Registration/create", body).keyed();
    let rows = [
        (create("{}"), "pass", "an empty object"),
        (
            create(r#"{"UserFields":{"ClientId":"c","EnableTracking":true,"Enabled":null},"CreateAccessToken":true}"#),
            "pass",
            "as documented",
        ),
        (create(r#"{"GenerateAccessToken":false,"FirstName":"A","Whatever":[1]}"#), "pass", "older and other members"),
        (create(&json!({ "CustomToken": ELSE }).to_string()), "pass", "a token of one's own choice: the key's owner may name any"),
        (create(r#"{"CustomToken":"x"}"#), "422 CustomToken", "which is a UUID"),
        (create(r#"{"CreateAccessToken":"true"}"#), "422 CreateAccessToken", "a flag that is text"),
        (create(r#"{"UserFields":[]}"#), "422 UserFields", "fields that are none"),
        (create(r#"{"UserFields":{"enabletracking":1}}"#), "422 UserFields", "a flag that is a number"),
        (create(r#"{"Email":"a","email":"b"}"#), "422", "a name twice"),
        (create("[]"), "422", "a list"),
        (create("{"), "422", "what breaks off"),
        (create("").field("content-type", "text/plain"), "pass", "nothing, whatever it says it is"),
        (Asked { fields: vec![("content-type", "text/plain".into())], ..create("{}") }.keyed(), "415 Content-Type", "another type"),
        (post("/v1/Registration/CreateMany", r#"[{"Email":"a"},{"Email":"b"}]"#).keyed(), "pass", "many"),
        (post("/v1/Registration/createmany", r#"{"Users":[]}"#).keyed(), "pass", "many, of whatever form"),
        (post("/v1/Registration/CreateMany", r#"[{"A":1,"a":2}]"#).keyed(), "422", "many with two readings"),
        (post("/v1/Registration/CreateMany", "").keyed(), "415 Content-Type", "many of nothing"),
        (post("/v1/Registration/CreateMany", "[]"), "422 InstanceId", "many without the instance"),
    ];
    check(&*system, &rows);
}

#[test]
fn a_login_brings_its_instance_and_its_password_unless_it_is_an_operators() {
    let system = system("{}");
    let user = |password: &str| post("/v1/Auth/Login", &login(&device(ELSE), password));
    let operator = |password: &str| post("/v1/Auth/Login", &login(&json!({ "email": "a@example.com" }), password));
    let as_text = post("/v1/Auth/Login", &login(&json!(device(ELSE).to_string()), "k")).field("InstanceId", "i");
    let rows = [
        (user("k").field("InstanceId", "i"), "pass", "a user"),
        (as_text, "pass", "the same as a string"),
        (user("k").field("InstanceId", "i").nobody(), "pass", "whom the vendor judges"),
        (user("k"), "422 InstanceId", "without an instance"),
        (user("").field("InstanceId", "i"), "422 Password", "without a password"),
        (user("k").field("InstanceId", "i").field("InstanceKey", "k"), "pass", "the key in both places, as Android sends it"),
        (user("k").field("InstanceId", "i").field("InstanceKey", "l"), "422 Password", "two keys"),
        (operator("p"), "pass", "an operator"),
        (operator("p").field("InstanceId", "i"), "422 InstanceId", "an operator of an instance"),
        (operator(""), "422 Password", "an operator without a password"),
        (user("k").field("InstanceId", "i").in_the_clear("192.0.2.7"), "403 InstanceKey", "the password is the key: not over http"),
        (operator("p").in_the_clear("192.0.2.7"), "403 InstanceKey", "nor is an operator's"),
        (post("/v1/Auth/Login?Password=x", &login(&device(OWN), "k")).field("InstanceId", "i"), "422", "a password in the address"),
        (post("/v1/Auth/Login", "{}").field("InstanceId", "i"), "422 LoginFields", "nobody"),
        (post("/v1/Auth/Login", "").field("InstanceId", "i"), "415 Content-Type", "nothing"),
    ];
    check(&*system, &rows);
    let closed = crate::systems::telematics::tests::system("{ operator_logins: false }");
    check(&*closed, &[(operator("p"), "403 LoginFields", "operators who do not log in here")]);
}

#[test]
fn an_e_mail_with_a_quote_cannot_write_further_members() {
    // What the vendor's Python client makes of the address `a","Devicetoken":"…`, by formatting.
    let fields = format!(r#"{{"email":"a@b","Devicetoken":"{ELSE}"}}"#);
    let asked = post("/v1/Auth/Login", &login(&json!(fields), "k")).field("InstanceId", "i");
    check(&*system("{}"), &[(asked, "422 LoginFields", "two who could be meant")]);
    let fields = r#"{"email":"a@b","email":"c@d"}"#;
    check(&*system("{}"), &[(post("/v1/Auth/Login", &login(&json!(fields), "p")), "422 LoginFields", "a name twice")]);
}

#[test]
fn the_key_is_added_to_registrations_and_logins_of_proven_callers_only() {
    let system = system(&format!("{{ {INSTANCE} }}"));
    let registered = post("/v1/Registration/Create", "").guarded_by(&*system).unwrap();
    let shown = |pass: &Pass, name: &str| pass.set.iter().find(|(set, _)| set == name).map(|(_, value)| value.to_str().unwrap().to_owned());
    assert_eq!((shown(&registered, "instanceid").as_deref(), shown(&registered, "instancekey").as_deref()), (Some("inst-1"), Some(KEY)));
    assert_eq!(registered.body, None, "the body goes on as it is");
    assert!(registered.set.iter().any(|(name, value)| name == "instancekey" && value.is_sensitive()), "and is not printed");

    for fields in [device(OWN), json!(device(OWN).to_string()), json!({ "DeviceToken": OWN.to_uppercase() })] {
        let pass = post("/v1/Auth/Login", &login(&fields, "whatever")).keyed().guarded_by(&*system).unwrap();
        let body: Json = serde_json::from_slice(pass.body.as_ref().unwrap()).unwrap();
        let inner: Json = serde_json::from_str(body["LoginFields"].as_str().unwrap()).unwrap();
        assert_eq!(body["Password"], KEY, "the key takes the place of what the client sent");
        assert!(inner["Devicetoken"].as_str().unwrap().eq_ignore_ascii_case(OWN), "in the one spelling that is documented: {inner}");
        assert_eq!(shown(&pass, "instanceid").as_deref(), Some("inst-1"));
        assert!(pass.remove.iter().any(|name| name == "instancekey"), "nothing of the client's goes along");
    }
    let absent = json!({ "LoginFields": device(OWN) }).to_string();
    let rows = [
        (post("/v1/Auth/Login", &absent), "pass", "no password at all"),
        (post("/v1/Registration/create", "").nobody(), "403 InstanceKey", "a registration of nobody"),
        (
            Asked { identity: Some(Identity { subject: "".into(), ..user() }), ..post("/v1/Auth/Login", &absent) },
            "403 DeviceToken",
            "of one without a device",
        ),
        (post("/v1/Auth/Login", &login(&device(ELSE), "")), "403 DeviceToken", "somebody else's device: the key would open it"),
        (post("/v1/Registration/create", &json!({ "CustomToken": ELSE }).to_string()), "403 DeviceToken", "another's name for a new user"),
        (post("/v1/Registration/create", &json!({ "CustomToken": OWN }).to_string()), "pass", "their own name for a new user"),
        (
            post("/v1/Registration/CreateMany", &json!([{ "CustomToken": OWN }, { "CustomToken": ELSE }]).to_string()),
            "403 DeviceToken",
            "one of many",
        ),
        (post("/v1/Registration/create", "").keyed().in_the_clear("192.0.2.7"), "403 InstanceKey", "a key over http, needed or not"),
        (post("/v1/Auth/Login", &login(&json!({ "email": "a@b" }), "p")), "pass", "an operator needs no key"),
    ];
    check(&*system, &rows);
    assert_eq!(post("/v1/Auth/Login", &absent).nobody().shown_by(&*system), "403 InstanceKey", "a login of nobody");

    let operator = post("/v1/Auth/Login", &login(&json!({ "email": "a@b" }), "p")).guarded_by(&*system).unwrap();
    assert_eq!((operator.body.as_ref(), operator.set.len()), (None, 0), "and gets none");
    let data = get("/trips").keyed().guarded_by(&*system).unwrap();
    assert_eq!(data.set.len(), 0, "data is asked for without the key");
    assert_eq!(data.remove.len(), 2, "the client's goes nowhere");
}

#[test]
fn any_devices_means_any_but_not_anybody() {
    let system = system(&format!("{{ {INSTANCE}, devices: any }}"));
    let rows = [
        (post("/v1/Auth/Login", &login(&device(ELSE), "")), "pass", "a back end logs in whom it likes"),
        (post("/v1/Auth/Login", &login(&device(ELSE), "")).nobody(), "403 InstanceKey", "whoever that is"),
        (get("/trips?DeviceToken=x").nobody(), "pass", "data that needs no key"),
    ];
    check(&*system, &rows);
}

#[test]
fn a_request_names_no_device_but_the_callers_own() {
    let system = system("{}");
    let body = |name: &str, of: &str| json!({ "x": { name: of } }).to_string();
    let named = |target: &str, name: &'static str, of: &str| get(target).field(name, of);
    let typed = |kind: &str, body: &str| Asked { fields: vec![("content-type", kind.to_owned())], ..post("/trips", body) };
    let rows = [
        (get("/trips"), "pass", "none"),
        (named("/trips", "DeviceToken", OWN), "pass", "their own in a field"),
        (named("/trips", "UserDeviceToken", &OWN.to_uppercase()), "pass", "in another case"),
        (named("/trips", "DeviceToken", ELSE), "403 DeviceToken", "another's, as Android names it"),
        (named("/trips", "UserDeviceToken", ELSE), "403 DeviceToken", "another's, as Python names it"),
        (named("/trips", "DeviceToken", OWN).field("DeviceToken", ELSE), "403 DeviceToken", "another's behind their own"),
        (named("/trips", "DeviceToken", &format!("{OWN},{ELSE}")), "403 DeviceToken", "both in one field"),
        (named("/trips", "DeviceToken", ""), "403 DeviceToken", "nobody's"),
        (get(&format!("/trips?deviceToken={OWN}")), "pass", "their own in the query"),
        (get(&format!("/trips?deviceToken={ELSE}")), "403 DeviceToken", "another's in the query"),
        (get(&format!("/trips?devicetoken={OWN}&DEVICETOKEN={ELSE}")), "403 DeviceToken", "another's behind it"),
        (get(&format!("/trips?Device%54oken={ELSE}")), "403 DeviceToken", "escaped"),
        (get(&format!("/trips?DeviceTo%E2%84%AAen={ELSE}")), "403 DeviceToken", "with a letter that is a K to some"),
        (get(&format!("/trips?DeviceTokens[0]={ELSE}")), "403 DeviceToken", "as a list"),
        (post("/trips", &body("DeviceToken", OWN)), "pass", "their own in the body"),
        (post("/trips", &body("devicetoken", ELSE)), "403 DeviceToken", "another's in the body"),
        (post("/trips", &format!(r#"{{"DeviceToken":"{OWN}","devicetoken":"{ELSE}"}}"#)), "422", "both in the body"),
        (post("/trips", r#"{"DeviceToken":["x"]}"#), "403 DeviceToken", "a list in the body"),
        (typed("application/x-www-form-urlencoded", &format!("a=1&DeviceToken={ELSE}")), "403 DeviceToken", "in a form"),
        (typed("text/plain", &body("DeviceToken", ELSE)), "403 DeviceToken", "in JSON that says it is none"),
        (typed("text/plain", &format!(" {}", body("DeviceToken", ELSE))), "403 DeviceToken", "behind a space"),
        (typed("text/plain", "hello"), "pass", "text that is only text"),
        (typed("text/plain", r#"{"a":1,"#), "422", "what a lenient reader might repair"),
        (typed("image/png", &body("DeviceToken", ELSE)), "pass", "a picture is not read"),
        (typed("application/json; charset=utf-16", "{}"), "415 Content-Type", "another encoding"),
        (typed("application/json", "{}").field("content-encoding", "gzip"), "415 Content-Type", "compressed"),
        (named("/trips", "DeviceToken", OWN).nobody(), "403 DeviceToken", "nobody has a device"),
        (get("/trips").nobody(), "pass", "nobody names none"),
    ];
    check(&*system, &rows);
    let closed = crate::systems::telematics::tests::system("{ search_bodies: false }");
    let rows = [
        (post("/trips", &body("devicetoken", ELSE)), "pass", "bodies are not searched where the conf says so"),
        (get(&format!("/trips?deviceToken={ELSE}")), "403 DeviceToken", "all else is"),
        (
            Asked { method: "PUT", ..post("/v1/Management/users", &json!({ "DeviceToken": ELSE }).to_string()) },
            "403 DeviceToken",
            "and bodies of management are always",
        ),
    ];
    check(&*closed, &rows);
}

#[test]
fn a_management_call_says_whose_device_it_is_about() {
    let system = system("{}");
    let rows = [
        (get(&format!("/v1/Management/users/find?DeviceToken={OWN}")), "pass", "their own"),
        (get(&format!("/v1/management/USERS/find?DeviceToken={ELSE}")), "403 DeviceToken", "another's"),
        (get("/v1/Management/users/find?Email=a@b"), "403 DeviceToken", "a search for others"),
        (get(&format!("/v1/Management/users/find?DeviceToken={OWN}&Email=a@b")), "403", "a search for others beside it"),
        (Asked { method: "PUT", ..post("/v1/Management/users", "{}") }.field("DeviceToken", OWN), "pass", "in a field"),
        (Asked { method: "PUT", ..post("/v1/Management/users", "{}") }, "403 DeviceToken", "nobody's"),
        (Asked { method: "DELETE", ..get(&format!("/v1/Management/users/{OWN}")) }, "pass", "in the path"),
        (Asked { method: "DELETE", ..get(&format!("/v1/Management/users/{}", OWN.to_uppercase())) }, "pass", "in another case"),
        (Asked { method: "DELETE", ..get(&format!("/v1/Management/users/{ELSE}")) }, "403 DeviceToken", "another's in the path"),
        (
            Asked { method: "DELETE", ..get(&format!("/v1/Management/users/{ELSE}")) }.field("DeviceToken", OWN),
            "403 DeviceToken",
            "another's in the path, their own in a field",
        ),
        (post("/v1/Management/users/instances/change", &json!({ "DeviceTokens": [OWN, ELSE] }).to_string()), "403 DeviceToken", "a list"),
        (
            Asked { fields: vec![("content-type", "image/png".into())], ..post("/v1/Management/users", "x") }.field("DeviceToken", OWN),
            "415 Content-Type",
            "a body that cannot be read",
        ),
    ];
    check(&*system, &rows);
}

#[test]
fn the_device_stands_where_the_conf_says() {
    let rows = [
        ("{ device: claims.deep.device }", OWN, "pass", "a claim further down"),
        ("{ device: claims.device }", OWN, "403 DeviceToken", "a claim that names another device than the subject"),
        ("{ device: claims.device }", ELSE, "pass", "which is then the caller's"),
        ("{ device: claims.absent }", OWN, "403 DeviceToken", "a claim that is not there"),
        ("{ device: claims.deep }", "", "403 DeviceToken", "one that is no text"),
        ("{ any_device_scope: fleet }", ELSE, "403 DeviceToken", "a scope that the caller has not"),
        ("{ devices: any }", ELSE, "pass", "any"),
    ];
    for (yaml, of, expected, shows) in rows {
        assert_eq!(get("/trips").field("DeviceToken", of).shown_by(&*system(yaml)), expected, "{shows}");
    }
    let asked = get("/trips").field("DeviceToken", ELSE);
    let holder = Asked { identity: Some(Identity { scopes: Box::new(["fleet".into()]), ..user() }), ..asked };
    assert_eq!(holder.shown_by(&*system("{ any_device_scope: fleet }")), "pass", "a scope that the caller has");
    let claims = Value::Map(Box::new([("device_token".into(), Value::Int(7))])).into();
    let odd = Asked { identity: Some(Identity { claims, ..user() }), ..get("/trips").field("DeviceToken", "7") };
    assert_eq!(odd.shown_by(&*system("{ device: claims.device_token }")), "403 DeviceToken", "a claim that is a number names nobody");
}

#[test]
fn a_refresh_brings_both_tokens_and_nothing_else() {
    let system = system("{}");
    let refresh = |body: Json| post("/v1/Auth/RefreshToken", &body.to_string());
    let long = "t".repeat(8 * 1024);
    let rows = [
        (refresh(json!({ "AccessToken": "a", "RefreshToken": "b" })), "pass", "as documented"),
        (refresh(json!({ "accessToken": "a", "refreshToken": "b" })).keyed(), "pass", "as Android sends it, with its instance"),
        (post("/v1/refreshtoken", r#"{"AccessToken":"a","RefreshToken":"b"}"#).nobody(), "pass", "on its older path, by anybody"),
        (refresh(json!({ "AccessToken": long, "RefreshToken": "b" })), "pass", "the longest token"),
        (refresh(json!({ "AccessToken": format!("{long}t"), "RefreshToken": "b" })), "422 AccessToken", "a longer one"),
        (refresh(json!({ "RefreshToken": "b" })), "422 AccessToken", "the refresh token alone"),
        (refresh(json!({ "AccessToken": "a" })), "422 RefreshToken", "the access token alone"),
        (refresh(json!({ "AccessToken": "a", "RefreshToken": "" })), "422 RefreshToken", "an empty one"),
        (refresh(json!({ "AccessToken": "a", "RefreshToken": ["b"] })), "422 RefreshToken", "a list"),
        (refresh(json!({ "AccessToken": "a", "RefreshToken": "b c" })), "422 RefreshToken", "a space"),
        (refresh(json!({ "AccessToken": "a", "RefreshToken": "b", "Password": "c" })), "422", "something else"),
        (post("/v1/Auth/RefreshToken", r#"{"AccessToken":"a","RefreshToken":"b","refreshtoken":"c"}"#), "422", "one of them twice"),
        (post("/v1/Auth/RefreshToken?RefreshToken=b", r#"{"AccessToken":"a","RefreshToken":"b"}"#), "422", "in the address"),
        (get("/v1/Auth/RefreshToken"), "405", "another method"),
        (
            refresh(json!({ "AccessToken": "a", "RefreshToken": "b" })).keyed().in_the_clear("192.0.2.7"),
            "403 InstanceKey",
            "the key over http",
        ),
        (refresh(json!({ "AccessToken": "a", "RefreshToken": "b" })).in_the_clear("192.0.2.7"), "pass", "no key is carried"),
    ];
    check(&*system, &rows);
}

#[test]
fn a_rule_serves_the_calls_that_it_names() {
    let system = system("{ calls: [other, refresh] }");
    let rows = [
        (get("/trips"), "pass", "data"),
        (post("/v1/RefreshToken", r#"{"AccessToken":"a","RefreshToken":"b"}"#), "pass", "refresh"),
        (post("/v1/AUTH/login", "{}"), "403", "another spelling does not lead past the rule for logins"),
        (post("/v1/Regi%C5%BFtration/create", "").keyed(), "403", "nor does another letter"),
        (get("/v1/Management/users"), "403", "management"),
    ];
    check(&*system, &rows);
}

#[test]
fn instances_and_callers_have_quotas() {
    let system = system("{ registrations: { most: 2, per: 1h }, logins: { most: 1, per: 1m } }");
    let other = || post("/v1/Registration/create", "").field("InstanceId", "other").field("InstanceKey", "k");
    let login = |of: &str| post("/v1/Auth/Login", &login(&device(of), "k")).field("InstanceId", "i");
    let counted = |asked: Asked, most, per| {
        let pass = asked.guarded_by(&*system).unwrap();
        let [count] = pass.counts.as_slice() else { panic!("one count: {pass:?}") };
        assert_eq!((count.most, count.per, &count.breach), (most, Seconds(per), &None));
        count.key
    };
    let registered = |asked| counted(asked, 2, 3_600);
    let create = registered(post("/v1/Registration/create", "").keyed());
    assert_eq!(create, registered(post("/v1/Registration/CreateMany", "[]").keyed()), "many count once, with the others");
    assert_ne!(create, registered(other()), "another instance has its own");
    assert_ne!(registered(other()), registered(other().nobody()), "of strangers each address is counted for itself");
    let logged_in = |asked| counted(asked, 1, 60);
    assert_eq!(logged_in(login(OWN)), logged_in(login(OWN)), "the same again");
    let stranger = || login(OWN).nobody();
    let rows = [
        (login(OWN), login(ELSE), false, "as somebody else"),
        (login(OWN), stranger(), false, "by a stranger"),
        (stranger(), login(ELSE).nobody(), true, "of strangers each address is counted, whomever they name"),
        (stranger(), Asked { client: "192.0.2.8", ..stranger() }, false, "another address"),
        (Asked { client: "2001:db8::1", ..stranger() }, Asked { client: "2001:db8::2", ..stranger() }, true, "the same network"),
        (Asked { client: "2001:db8::1", ..stranger() }, Asked { client: "2001:db8:0:1::1", ..stranger() }, false, "the next one"),
    ];
    for (one, other, same, shows) in rows {
        assert_eq!(logged_in(one) == logged_in(other), same, "{shows}");
    }
    let hourly = planned("{ logins: { most: 1, per: 1h } }").0.unwrap();
    assert_ne!(login(OWN).guarded_by(&*hourly).unwrap().counts[0].key, logged_in(login(OWN)), "another length of time is another count");
    let plain = planned("{}").0.unwrap();
    assert!(login(OWN).guarded_by(&*plain).unwrap().counts.is_empty(), "nothing is counted unless the conf says so");
}

#[test]
fn a_quota_needs_a_memory() {
    for (yaml, remembers) in [("{}", false), ("{ registrations: { most: 2, per: 1h } }", true), ("{ logins: { most: 1, per: 1m } }", true)]
    {
        let document = Document::read("c.yaml", yaml.as_bytes()).unwrap();
        let (mut faults, material, names) = (Faults::default(), Material::default(), Names::default());
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let plan = (ENTRY.plan)(Some(&document.root), &document.root.span, &mut checking).unwrap();
        assert_eq!(plan.remembers(), remembers, "{yaml}");
    }
}

#[test]
fn a_reply_means_that_the_token_has_run_out_only_where_a_token_was_judged() {
    let rows = [
        ("{}", "GET", "/trips", 401, "", Meaning::Expired, "data"),
        ("{}", "GET", "/v1/Management/users", 401, "", Meaning::Expired, "management"),
        ("{}", "POST", "/v1/Auth/Login", 401, "", Meaning::Fine, "a wrong password is not tried again"),
        ("{}", "POST", "/v1/Registration/create", 401, "", Meaning::Fine, "nor a wrong key"),
        ("{}", "POST", "/v1/Auth/RefreshToken", 401, "", Meaning::Fine, "nor a refresh"),
        ("{}", "GET", "/trips", 403, "", Meaning::Fine, "the wrong kind of token"),
        ("{}", "GET", "/trips", 429, "", Meaning::Fine, "too many"),
        ("{}", "GET", "/trips", 200, r#"{"Status":401}"#, Meaning::Fine, "a status in the body, where nobody looks"),
        ("{ status_in_body: true }", "GET", "/trips", 200, r#"{"Status":401}"#, Meaning::Expired, "where somebody does"),
        ("{ status_in_body: true }", "GET", "/trips", 200, r#"{"status":401}"#, Meaning::Expired, "in lower case"),
        ("{ status_in_body: true }", "GET", "/trips", 200, r#"{"Status":200,"Result":null}"#, Meaning::Fine, "nothing found"),
        ("{ status_in_body: true }", "GET", "/trips", 500, r#"{"Status":401}"#, Meaning::Fine, "a failure that may have acted"),
        ("{ status_in_body: true }", "GET", "/trips", 401, "", Meaning::Expired, "the head still counts"),
        ("{ status_in_body: true }", "POST", "/v1/auth/login", 200, r#"{"Status":401}"#, Meaning::Fine, "but never for a login"),
    ];
    let headers = HeaderMap::new();
    for (yaml, method, path, status, body, meaning, shows) in rows {
        let reply = Reply { method, path, status, headers: &headers, body: Some(body.as_bytes()) };
        assert_eq!(system(yaml).classify(&reply), meaning, "{shows}");
    }
}

#[test]
fn replies_are_held_that_may_bring_a_pair() {
    let rows = [
        ("{}", "POST", "/v1/auth/LOGIN", true),
        ("{}", "POST", "/v1/Registration/create", true),
        ("{}", "POST", "/v1/RefreshToken", true),
        ("{}", "GET", "/v1/Auth/Login", false),
        ("{}", "POST", "/v1/Registration/CreateMany", false),
        ("{}", "GET", "/trips", false),
        ("{ status_in_body: true }", "GET", "/trips", true),
    ];
    for (yaml, method, path, expected) in rows {
        assert_eq!(system(yaml).holds(method, path), expected, "{method} {path}");
    }
}

#[test]
fn settings_are_proven() {
    let rows: [(&str, &[&str]); 8] = [
        ("{ device: email }", &["`device` is `subject`, or a claim such as `claims.device_token`"]),
        ("{ instance: { id: 'a b', key: { env: KEY } } }", &["`id` is at most 256 visible ASCII characters without a comma"]),
        ("{ instance: { id: a, key: { env: ODD } } }", &["`key` is at most 4096 visible ASCII characters without a comma"]),
        ("{ instance: { id: a, key: { env: ABSENT } } }", &["the environment variable `ABSENT` is not set"]),
        (
            "{ devices: any, device: claims.x, any_device_scope: y }",
            &[
                "warning: with `devices: any` nobody looks at `device`; remove one of the two",
                "warning: with `devices: any` nobody looks at `any_device_scope`; remove one of the two",
            ],
        ),
        ("{ registrations: { most: 10000, per: 30d } }", &[]),
        ("{ envelope: lower, calls: login }", &[]),
        ("{}", &[]),
    ];
    for (yaml, expected) in rows {
        let (system, told) = planned(yaml);
        assert_eq!(told, expected, "{yaml}");
        assert_eq!(system.is_some(), expected.iter().all(|says| says.starts_with("warning")), "{yaml}");
    }
    for wrong in ["{ calls: [] }", "{ calls: [logins] }", "{ registrations: { most: 0, per: 1h } }", "{ logins: { most: 1, per: 31d } }"] {
        assert!(planned(wrong).0.is_none(), "{wrong}");
    }
}

#[test]
fn the_key_is_nowhere_in_what_is_printed() {
    let system = system(&format!("{{ {INSTANCE} }}"));
    assert!(!format!("{system:?}").contains(KEY));
}

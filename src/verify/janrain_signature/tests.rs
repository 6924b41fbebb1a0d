//! Signed requests of API clients: what the vectors say, what a request may not hold, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Facts, Found, Identity, Need, Place, Refusal, RequestView, Step, Target, Timestamp};
use crate::jose::hmac_sha1::Sha1Key;
use crate::jose::janrain::{borrowed, texts};
use crate::settings::{Checking, Faults, Material, Names, Node, NodeValue};
use crate::verify::contract::{Desks, SchemePlan, Verifier};
use crate::verify::janrain_signature::{JanrainSignaturePlan, JanrainSignatureVerifier, prove};
use crate::verify::keys::contract::BuiltKeys;
use crate::verify::keys::janrain_clients;
use crate::verify::keys::testing::{map, node, prove as prove_keys, tools, written};

/// 2000-01-01 01:01:01, the vectors' own moment.
const NOW: i64 = 946_688_461;
const DATE: &str = "2000-01-01 01:01:01";
const FORM: &str = "application/x-www-form-urlencoded";

const CLIENTS: &str = r#"
{"client_id":"foo","secrets":["bar"],"features":["owner"]}
{"client_id":"turning","secrets":["new","bar"],"features":["direct_access"]}
{"client_id":"off","secrets":["bar"],"disabled":true}
{"client_id":"ended","secrets":["bar"],"expires":946688461}
{"client_id":"hosted","secrets":["bar"],"hosts":["other.example"]}
{"client_id":"login","secrets":["bar"],"features":["login_client","owner"]}
{"client_id":"apkrahlfumwse2e9nvrrotv6vchuptzw","secrets":["rylicq8ydkz0vmki3gqaoxbk4gyrr05t"],"features":["owner"]}
"#;

fn settings(entries: Vec<(&str, NodeValue)>) -> Result<JanrainSignaturePlan, Vec<String>> {
    let mut names = Names::default();
    names.define("keys", "clients");
    let (material, mut faults) = (Material::default(), Faults::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let written: Node = node(map(entries));
    prove(&written, &mut checking).ok_or_else(|| faults.sorted().into_iter().map(|fault| fault.says).collect())
}

fn text(value: &str) -> NodeValue {
    NodeValue::Text(value.to_owned())
}

fn list(words: &[&str]) -> NodeValue {
    NodeValue::List(words.iter().map(|word| node(text(word))).collect())
}

fn stores() -> BTreeMap<String, BuiltKeys> {
    let (_, material) = written(&[], &[("clients", CLIENTS.as_bytes())]);
    let plan = prove_keys(janrain_clients::ENTRY.plan, &node(map(vec![("file", text("clients"))])), &material).unwrap();
    BTreeMap::from([("clients".to_owned(), plan.build(&"clients".into(), &tools()).unwrap())])
}

fn verifier(more: Vec<(&str, NodeValue)>) -> JanrainSignatureVerifier {
    let entries = std::iter::once(("keys", text("clients"))).chain(more).collect();
    settings(entries).unwrap().verifier(&"client".into(), &stores(), &mut Desks::default()).unwrap()
}

/// One request.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    raw: String,
    fields: Vec<(&'static str, String)>,
    body: String,
    now: i64,
}

impl Sent {
    fn get(raw: &str) -> Self {
        Self { method: "GET", raw: raw.to_owned(), fields: Vec::new(), body: String::new(), now: NOW }
    }

    fn form(raw: &str, body: &str) -> Self {
        Self { method: "POST", body: body.to_owned(), ..Self::get(raw) }.with("content-type", FORM)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn signed(self, id: &str, signature: &str) -> Self {
        self.with("authorization", format!("Signature {id}:{signature}")).with("date", DATE)
    }

    fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    fn ask(&self, verifier: &JanrainSignatureVerifier) -> Result<Option<Arc<Identity>>, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (path, query) = self.raw.split_once('?').map_or((self.raw.as_str(), None), |(path, query)| (path, Some(query.into())));
        let target = Target { path: path.into(), query };
        let request = RequestView {
            method: self.method,
            raw_target: &self.raw,
            target: &target,
            host: "capture.example",
            headers: &headers,
            client: [192, 0, 2, 1].into(),
            secure: true,
            request_id: "request",
        };
        let mut facts = Facts::default();
        let body = Bytes::from(self.body.clone());
        let mut found = verifier.find(&request, &facts);
        if matches!(found, Step::Need(Need::Body)) {
            facts.add_body(body.clone());
            found = verifier.find(&request, &facts);
        }
        let credential = match found {
            Step::Done(Found::Present(credential)) => credential,
            Step::Done(Found::Absent | Found::Foreign(_)) => return Ok(None),
            Step::Done(Found::Unreadable(doubt)) => return Err(doubt.into()),
            Step::Need(_) | Step::Refuse(_) => panic!("a body is all there is to need"),
        };
        let mut step = verifier.verify(&credential, &request, &facts, Timestamp(self.now));
        if matches!(step, Step::Need(Need::Body)) {
            facts.add_body(body);
            step = verifier.verify(&credential, &request, &facts, Timestamp(self.now));
        }
        match step {
            Step::Done(identity) => Ok(Some(identity.into_inner())),
            Step::Refuse(refusal) => Err(refusal),
            Step::Need(_) => panic!("a body is all there is to need"),
        }
    }

    /// The subject, or the reason; `-` for nothing found.
    fn told(&self, verifier: &JanrainSignatureVerifier) -> String {
        match self.ask(verifier) {
            Ok(Some(identity)) => identity.subject.to_string(),
            Ok(None) => "-".to_owned(),
            Err(refusal) => refusal.reason().as_str().to_owned(),
        }
    }
}

/// Every signature that `secret` makes over a request.
fn signatures(secret: &str, path: &str, date: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let key = Sha1Key::new(&crate::domain::Secret::new(secret.as_bytes().to_vec())).unwrap();
    texts(path, date, &borrowed(pairs)).iter().map(|text| key.sign_text(&[text])).collect()
}

fn signature(path: &str, pairs: &[(&str, &str)]) -> String {
    signatures("bar", path, DATE, pairs).remove(0)
}

const NO_PARAMETERS: [&str; 2] = ["WSOAQljO1DtzSM5+8WOwvrPOEZE=", "gZadbVVlocyg5R2jkXXnstsF8C8="];

#[test]
fn the_vectors_are_judged() {
    let verifier = verifier(vec![]);
    let first = "param1=this+is+a+string&param2=10&param3=one%3D1%0Atwo%3D2%2Cthree%3D3";
    let collides = "param1=this+is+a+string&param2=10&param3=one%3D1&two=2%2Cthree%3D3";
    let plain = "param1=this+is+a+string&param2=10";
    let signed_plain = signature("/entity", &[("param1", "this is a string"), ("param2", "10")]);
    let sample = "apkrahlfumwse2e9nvrrotv6vchuptzw";
    let third = |raw: &str, signature: &str| {
        Sent::get(raw)
            .with("authorization", format!("Signature {sample}:{signature}"))
            .with("date", "2016-02-26 19:08:44")
            .at(1_456_513_724)
    };
    let filter = "filter=lastUpdated+%3E%3D+%272016-01-01%27";
    let rows = [
        (
            Sent::form("/entity", first).signed("foo", "G3N5RxCVc0d6rDLmBRGvcg2hCVY="),
            "credential_malformed",
            "V-JR-1: a line break in a value, refused since V-JR-2 has the same signature",
        ),
        (
            Sent::form("/entity", collides).signed("foo", "G3N5RxCVc0d6rDLmBRGvcg2hCVY="),
            "foo",
            "V-JR-2: of the two, the one that can be signed in no other way",
        ),
        (Sent::form("/entity", plain).signed("foo", &signed_plain), "foo", "V-JR-1 without the parameter in question"),
        (third(&format!("/entity.find?entity_type=user&{filter}"), "+Bf5W9YKRhi5AoVTbxvhzuJXDUQ="), sample, "V-JR-3"),
        (third(&format!("/entity.find?{filter}&type_name=user"), "hKLLuIcKFYMZVzs6ovJ06GmSvUg="), sample, "V-JR-3, type_name"),
        (
            third(&format!("/entity.find?entity_type=user&{filter}"), "rRSudiGtMM5hEHYcwP49kt18jNk="),
            "signature_invalid",
            "V-JR-3: what the vendor's page prints belongs to nothing",
        ),
        (Sent::get("/settings/items").signed("foo", NO_PARAMETERS[0]), "foo", "V-JR-4, two lines"),
        (Sent::get("/settings/items").signed("foo", NO_PARAMETERS[1]), "foo", "V-JR-4, with one more line break"),
        (Sent::get("/x?a=1&a-b=2").signed("foo", "soSAAi2ktQrLurOPcam0wZJupPw="), "foo", "V-JR-5, sorted by lines"),
        (Sent::get("/x?a=1&a-b=2").signed("foo", "exmQHgwaPSvqZvHAg6WvMO75Uis="), "foo", "V-JR-5, sorted by names"),
        (Sent::get("/x?a-b=2&a=1").signed("foo", "exmQHgwaPSvqZvHAg6WvMO75Uis="), "foo", "V-JR-5, sent in another order"),
    ];
    for (sent, expected, shows) in rows {
        assert_eq!(sent.told(&verifier), expected, "{shows}");
    }
}

#[test]
fn a_signature_covers_path_date_and_parameters() {
    let verifier = verifier(vec![]);
    let good = signature("/entity.find", &[("entity_type", "user")]);
    let query = Sent::get("/entity.find?entity_type=user");
    let form = |body: &str| Sent::form("/entity.find", body).signed("foo", &good);
    let rows = [
        (query.clone().signed("foo", &good), "foo", "in the query"),
        (form("entity_type=user"), "foo", "in a form"),
        (Sent::form("/entity.find?entity_type=user", "").signed("foo", &good), "foo", "an empty form beside a query"),
        (
            Sent::get("/entity.find?entity_type=user&access_token=a&client_id=foo").signed("foo", &good),
            "foo",
            "beside what is never signed",
        ),
        (Sent::get("/entity.find?entity_type=admin").signed("foo", &good), "signature_invalid", "another value"),
        (Sent::get("/entity.find?entity_type=user&max=1").signed("foo", &good), "signature_invalid", "one parameter more"),
        (Sent::get("/entity.find").signed("foo", &good), "signature_invalid", "one less"),
        (Sent::get("/entity.count?entity_type=user").signed("foo", &good), "signature_invalid", "another path"),
        (Sent::get("/entity.find?Entity_type=user").signed("foo", &good), "signature_invalid", "a name in another case"),
        (
            query.clone().with("authorization", format!("Signature foo:{good}")).with("date", "2000-01-01 01:01:02"),
            "signature_invalid",
            "another date",
        ),
        (query.clone().signed("turning", &good), "turning", "the second of two live secrets"),
        (
            query.clone().signed("turning", &signatures("new", "/entity.find", DATE, &[("entity_type", "user")])[0]),
            "turning",
            "the first of them",
        ),
        (query.clone().signed("nobody", &good), "signature_invalid", "an id that nobody holds is told like a wrong signature"),
        (query.clone().signed("hosted", &good), "signature_invalid", "a client of another host: no signature covers that"),
        (query.clone().signed("off", &good), "key_disabled", "a client that is switched off"),
        (query.clone().signed("ended", &good), "key_disabled", "one past its end"),
        (Sent::get("/entity.find?entity_type=user&entity_type=user").signed("foo", &good), "credential_conflict", "a name twice"),
        (
            Sent::form("/entity.find?entity_type=user", "entity_type=user").signed("foo", &good),
            "credential_conflict",
            "a name in query and body",
        ),
        (
            Sent::get("/entity.find?entity_type=user&client_id=other").signed("foo", &good),
            "credential_conflict",
            "another client than the one that signed",
        ),
        (
            Sent::get("/entity.find?entity_type=user&client_secret=x").signed("foo", &good),
            "credential_conflict",
            "a secret beside the signature",
        ),
        (
            Sent::form("/entity.find?entity_type=user", "{\"a\":1}").signed("foo", &good).with("content-type", "text/plain"),
            "credential_malformed",
            "two types",
        ),
        (
            Sent { body: "{}".into(), ..query.clone() }.signed("foo", &good).with("content-type", "application/json"),
            "credential_malformed",
            "a body that no signature covers",
        ),
        (Sent { body: "x".into(), ..query.clone() }.signed("foo", &good), "credential_malformed", "a body of no type"),
        (Sent::get("/entity.find?entity_type=%zz").signed("foo", &good), "credential_malformed", "a query without a reading"),
        (Sent::get("/entity.find?entity%3Dtype=user").signed("foo", &good), "credential_malformed", "an equals sign in a name"),
    ];
    for (sent, expected, shows) in rows {
        assert_eq!(sent.told(&verifier), expected, "{shows}");
    }
}

#[test]
fn the_field_has_one_grammar() {
    let verifier = verifier(vec![]);
    let good = NO_PARAMETERS[0];
    let field = |value: &str| Sent::get("/settings/items").with("authorization", value).with("date", DATE);
    let rows = [
        (field(&format!("Signature foo:{good}")), "foo", "as the vendor's code writes it"),
        (field(&format!("signature foo:{good}")), "foo", "auth-schemes have no case (RFC 9110 section 11.1)"),
        (field(&format!("Signature  foo:{good}")), "credential_malformed", "two spaces"),
        (field(&format!("Signature\tfoo:{good}")), "credential_malformed", "a tab"),
        (field(&format!("Signature foo :{good}")), "credential_malformed", "a space in the id"),
        (field(&format!("Signature foo: {good}")), "credential_malformed", "a space after the colon"),
        (field(&format!("Signature foo:{good} ")), "credential_malformed", "a space at the end"),
        (field(&format!("Signature :{good}")), "credential_malformed", "no id"),
        (field("Signature foo"), "credential_malformed", "no signature"),
        (field("Signature"), "credential_malformed", "nothing at all"),
        (field(&format!("Signature foo:{}", good.trim_end_matches('='))), "credential_malformed", "no padding"),
        (field(&format!("Signature foo:{}", good.replace('+', "-"))), "credential_malformed", "the URL alphabet"),
        (field("Signature foo:WSOAQljO1DtzSM5+8WOwvrPOEZF="), "credential_malformed", "stray bits"),
        (field(&format!("Signature foo:{good}:{good}")), "credential_malformed", "one colon too many"),
        (field(&format!("Signature foo:{good}, Basic eDp5")), "credential_conflict", "joined with another credential"),
        (field(&format!("Basic eDp5, Signature foo:{good}")), "credential_conflict", "joined behind one"),
        (field(&format!("Signature foo:{good}")).with("authorization", "OAuth x"), "credential_conflict", "two fields"),
        (field("OAuth z0y98xv76u5t4rs3"), "-", "a user's token is another scheme's"),
        (field("Basic Zm9vOmJhcg=="), "-", "so is Basic"),
        (Sent::get("/settings/items").with("date", DATE), "-", "a date alone is nothing"),
        (Sent::get("/settings/items").with("authorization", format!("Signature foo:{good}")), "credential_malformed", "no date"),
        (field(&format!("Signature foo:{good}")).with("date", DATE), "credential_conflict", "two dates"),
        (
            Sent::get("/settings/items")
                .with("authorization", format!("Signature foo:{good}"))
                .with("date", "Sat, 01 Jan 2000 01:01:01 GMT"),
            "credential_malformed",
            "a date of HTTP, as something on the way may write it",
        ),
    ];
    for (sent, expected, shows) in rows {
        assert_eq!(sent.told(&verifier), expected, "{shows}");
    }
}

#[test]
fn a_date_is_good_within_its_window_and_each_signature_once() {
    let verifier = verifier(vec![]);
    let sent = Sent::get("/settings/items").signed("foo", NO_PARAMETERS[0]);
    for (now, expected, shows) in [
        (NOW + 300, "foo", "the last second"),
        (NOW + 301, "window_exceeded", "one past it"),
        (NOW - 300, "foo", "the first second"),
        (NOW - 301, "window_exceeded", "one before it"),
    ] {
        assert_eq!(sent.clone().at(now).told(&verifier), expected, "{shows}");
    }
    let identity = |sent: &Sent| sent.ask(&verifier).unwrap().unwrap();
    let first = identity(&sent);
    assert_eq!((first.not_before, first.expires), (Some(Timestamp(NOW - 300)), Some(Timestamp(NOW + 301))), "the gate asks again");
    let burn = first.burn.clone().unwrap();
    assert_eq!((burn.made, burn.until), (Timestamp(NOW), Timestamp(NOW + 301)), "remembered as long as it could be presented");
    assert_eq!(identity(&sent.clone().at(NOW + 7)).burn.as_ref().unwrap().key, burn.key, "the same again is the same burn");
    assert_ne!(
        identity(&Sent::get("/settings/items").signed("turning", NO_PARAMETERS[0])).burn.as_ref().unwrap().key,
        burn.key,
        "another client's is another"
    );
    assert_ne!(
        identity(&Sent::get("/settings/items").signed("foo", NO_PARAMETERS[1])).burn.as_ref().unwrap().key,
        burn.key,
        "another signature is another"
    );
    assert_eq!((&*first.issuer, first.scheme, first.scopes.len()), ("clients", "janrain_signature", 1), "features are scopes");
    assert!(first.scopes.iter().any(|scope| **scope == *"owner"));
    let reused = self::verifier(vec![("burn", NodeValue::Bool(false)), ("window", text("30s"))]);
    assert!(sent.ask(&reused).unwrap().unwrap().burn.is_none(), "unless the conf says otherwise");
    assert_eq!(sent.clone().at(NOW + 31).told(&reused), "window_exceeded", "a narrower window");
    assert_eq!(verifier.cache_generation(), None, "no verdict is remembered: it rests on the whole request");
}

#[test]
fn the_path_is_the_one_that_the_client_saw() {
    let mounted = verifier(vec![("mount", text("/capture"))]);
    let plain = verifier(vec![]);
    let signed = |raw: &str, path: &str| Sent::get(raw).signed("foo", &signature(path, &[]));
    let rows = [
        (&mounted, signed("/capture/settings/items", "/settings/items"), "foo", "below the mount, without it"),
        (&mounted, signed("/capture/settings/items", "/capture/settings/items"), "signature_invalid", "the mount is not signed"),
        (&mounted, signed("/settings/items", "/settings/items"), "credential_malformed", "outside the mount"),
        (&mounted, signed("/captures/items", "s/items"), "credential_malformed", "a path that only begins like it"),
        (&plain, signed("/a//b", "/a//b"), "foo", "double slashes as they are"),
        (&plain, signed("/a//b", "/a/b"), "signature_invalid", "and not collapsed"),
        (&plain, signed("/%61b", "/%61b"), "foo", "escapes as they are"),
        (&plain, signed("/%61b", "/ab"), "signature_invalid", "and not decoded"),
        (&plain, signed("http://capture.example/x", "/x"), "credential_malformed", "a target that is more than a path"),
    ];
    for (verifier, sent, expected, shows) in rows {
        assert_eq!(sent.told(verifier), expected, "{shows}");
    }
}

#[test]
fn body_credentials_and_bare_ids_are_read_where_the_conf_says_so() {
    let body = verifier(vec![("from", list(&["signature", "body"]))]);
    let public = verifier(vec![("from", text("public"))]);
    let all = verifier(vec![("from", list(&["signature", "body", "public"]))]);
    let form = |text: &str| Sent::form("/oauth/token", text);
    let json =
        |text: &str| Sent { method: "POST", body: text.into(), ..Sent::get("/oauth/auth_native") }.with("content-type", "application/json");
    let rows = [
        (&body, form("client_id=foo&client_secret=bar&code=c"), "foo", "id and secret in a form"),
        (&body, form("client_id=foo&client_secret=baz"), "secret_wrong", "a wrong secret"),
        (&body, form("client_id=nobody&client_secret=bar"), "secret_wrong", "an id that nobody holds"),
        (&body, form("client_id=off&client_secret=bar"), "key_disabled", "a client that is switched off"),
        (&body, form("client_secret=bar"), "credential_malformed", "a secret of nobody"),
        (&body, form("client_id=foo&client_secret=bar&client_secret=baz"), "credential_conflict", "two secrets"),
        (&body, form("client_id=foo&client_secret="), "credential_malformed", "an empty secret"),
        (&body, form("client_id=foo"), "-", "an id alone is not this"),
        (&body, json(r#"{"client_id":"foo","client_secret":"bar"}"#), "foo", "in JSON"),
        (&body, json(r#"{"client_id":"foo","client_secret":1}"#), "credential_malformed", "a number for a secret"),
        (&body, json(r#"{"client_id":"foo","client_id":"off","client_secret":"bar"}"#), "credential_conflict", "a member twice"),
        (&body, form("client_id=foo&client_secret=bar").with("authorization", "Basic Zm9vOmJhcg=="), "credential_conflict", "beside Basic"),
        (&body, form("client_id=foo&client_secret=bar").signed("foo", NO_PARAMETERS[0]), "credential_conflict", "beside a signature"),
        (&body, form("client_id=foo&client_secret=bar").with("authorization", "OAuth z0y98xv76u5t4rs3"), "foo", "beside a user's token"),
        (&public, form("client_id=login&token=t"), "login", "an id alone"),
        (&public, json(r#"{"client_id":"login"}"#), "login", "in JSON"),
        (&public, form("client_id=nobody"), "secret_wrong", "of nobody"),
        (&public, form("client_id=off"), "key_disabled", "of a client that is switched off"),
        (&public, form("client_id=hosted"), "secret_wrong", "of a client of another host"),
        (&public, form("client_id=login&client_secret=bar"), "credential_malformed", "with a secret that nobody compares"),
        (&public, form("token=t"), "-", "no id"),
        (&public, Sent::get("/oauth/token?client_id=login"), "-", "an id in the URL is none"),
        (&all, form("client_id=foo&client_secret=bar"), "foo", "everything: by its secret"),
        (&all, form("client_id=foo&client_secret=baz"), "secret_wrong", "a wrong secret is not overlooked for the bare id"),
    ];
    for (verifier, sent, expected, shows) in rows {
        assert_eq!(sent.told(verifier), expected, "{shows}");
    }
    let named = form("client_id=login").ask(&public).unwrap().unwrap();
    assert_eq!(named.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["login_client"], "an id alone does not make an owner");
    assert!(form("client_id=foo").ask(&public).unwrap().unwrap().scopes.is_empty(), "nor anything else");
    assert!(named.burn.is_none());
}

#[test]
fn settings_are_proven() {
    let keys = || ("keys", text("clients"));
    let rows = [
        (vec![keys()], true, "the least"),
        (vec![], false, "no store"),
        (vec![("keys", text("other"))], false, "a store that is not there"),
        (vec![keys(), ("from", list(&["signature", "body", "public"]))], true, "every way"),
        (vec![keys(), ("from", text("basic"))], false, "Basic is another scheme's"),
        (vec![keys(), ("window", text("30s"))], true, "the narrowest window"),
        (vec![keys(), ("window", text("29s"))], false, "narrower"),
        (vec![keys(), ("window", text("901s"))], false, "too wide"),
        (vec![keys(), ("mount", text("capture"))], false, "a mount that is no path"),
    ];
    for (entries, sound, shows) in rows {
        assert_eq!(settings(entries).is_ok(), sound, "{shows}");
    }
    let looks = |entries| settings(entries).unwrap().looks_at();
    let signed = [Place::Header(http::header::AUTHORIZATION), Place::Header(http::header::DATE)];
    assert_eq!(looks(vec![keys()]), signed, "where it looks");
    assert_eq!(looks(vec![keys(), ("from", text("public"))]), [Place::Body]);
    let remembers = |entries| settings(entries).unwrap().remembers();
    assert!(remembers(vec![keys()]) && !remembers(vec![keys(), ("burn", NodeValue::Bool(false))]), "a store is needed to burn");
    let elsewhere = BTreeMap::from([("clients".to_owned(), BuiltKeys::GigyaSecret([].into()))]);
    let built = settings(vec![keys()]).unwrap().verifier(&"client".into(), &elsewhere, &mut Desks::default());
    assert!(built.is_err(), "a store of something else");
}

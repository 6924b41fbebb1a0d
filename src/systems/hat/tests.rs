//! What a HAT's clients are told, and what its replies bring.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::config::document::Document;
use crate::domain::{Breach, Doubt, Facts, Refusal, RequestView, Seconds, Step, Target, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::settings::{Checking, Faults, Material, Names, Span};
use crate::systems::contract::{Guarded, Life, Meaning, Refused, Reply, System};
use crate::systems::hat::ENTRY;

const NOW: i64 = 1_800_000_000;

fn system(yaml: Option<&str>) -> Result<Arc<dyn System>, Vec<String>> {
    let document = yaml.map(|yaml| Document::read("c.yaml", yaml.as_bytes()).unwrap());
    let (mut faults, material, names) = (Faults::default(), Material::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let root = document.as_ref().map(|document| &document.root);
    let at = root.map_or_else(|| Document::read("c.yaml", b"x").unwrap().root.span, |root| root.span.clone());
    let plan = (ENTRY.plan)(root, &at as &Span, &mut checking);
    plan.map(|plan| plan.build().unwrap()).ok_or_else(|| faults.sorted().into_iter().map(|fault| fault.says).collect())
}

fn fields(written: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A refusal on its way to a client that sent `accept` for `target`: status, location, body.
fn rendered(
    system: &Arc<dyn System>,
    refusal: &Refusal,
    public: &'static str,
    accept: &[&str],
    target: &str,
) -> (u16, Option<String>, String) {
    let headers = fields(&accept.iter().map(|value| ("accept", *value)).collect::<Vec<_>>());
    let refused = Refused {
        refusal,
        status: refusal.reason().status(),
        public,
        method: "GET",
        target,
        headers: &headers,
        request_id: "id",
        now: Timestamp(NOW),
    };
    let written = system.render(&refused).unwrap();
    let field = |name: &str| written.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_str().unwrap().to_owned());
    if written.status != 303 {
        assert_eq!(field("content-type").as_deref(), Some("application/json"), "{refusal:?}");
    }
    (written.status, field("location"), String::from_utf8(written.body.to_vec()).unwrap())
}

#[test]
fn a_refusal_is_written_as_a_hat_writes_it() {
    let system = system(None).unwrap();
    let retry_after = Seconds(5);
    let breach = Breach { code: "x".into(), field: "x".into(), says: "Access Denied".into() };
    let rows = [
        (Refusal::CredentialMissing, "credential_missing", 401, r#"{"error":"Not Authenticated","message":"Not Authenticated"}"#),
        (Doubt::SignatureInvalid.into(), "credential_invalid", 401, r#"{"error":"Not Authenticated","message":"Not Authenticated"}"#),
        (Doubt::Expired(None).into(), "credential_expired", 401, r#"{"error":"Not Authenticated","message":"Not Authenticated"}"#),
        (Refusal::RenewalRefused, "credential_expired", 401, r#"{"error":"Not Authenticated","message":"Not Authenticated"}"#),
        (Refusal::PolicyDenied, "not_allowed", 403, r#"{"error":"Forbidden","message":"Access Denied"}"#),
        (Refusal::GuardRefused(Box::new(breach)), "not_allowed", 403, r#"{"error":"Forbidden","message":"Access Denied"}"#),
        (Refusal::NoRule, "no_rule", 404, r#"{"error":"Not Found","message":"HAT unavailable"}"#),
        (Doubt::Conflict.into(), "credential_conflict", 400, r#"{"error":"Bad Request","message":"More than one token"}"#),
        (Refusal::HeadMalformed, "request_refused", 400, r#"{"error":"Bad Request","message":"The request cannot be read"}"#),
        (Refusal::Throttled { retry_after }, "throttled", 400, r#"{"error":"Bad Request","message":"Request rate exceeded"}"#),
        (
            Refusal::KeysUnavailable { retry_after },
            "unavailable",
            503,
            r#"{"error":"Service Unavailable","message":"Service Unavailable"}"#,
        ),
        (Refusal::UpstreamTimeout, "unavailable", 504, r#"{"error":"Gateway Timeout","message":"Gateway Timeout"}"#),
        (Refusal::BodyTooLarge, "request_refused", 413, r#"{"error":"Payload Too Large","message":"Payload Too Large"}"#),
    ];
    for (refusal, public, status, body) in rows {
        let expected = (status, None, body.to_owned());
        assert_eq!(rendered(&system, &refusal, public, &["application/json"], "/api"), expected, "{refusal:?}");
    }
    let forged = rendered(&system, &Doubt::KeyUnknown.into(), "credential_invalid", &["application/json"], "/<script>?X-Auth-Token=x");
    assert!(!forged.2.contains("script"), "nothing of the request is told");
}

#[test]
fn a_client_that_wants_a_page_is_sent_home_in_place_of_401_and_403() {
    let home = || Some("/".to_owned());
    let rows: [(&[&str], &str, Option<String>, &str); 14] = [
        (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], "/a", home(), "a browser"),
        (&["text/html"], "/a", home(), "a page and nothing else"),
        (&[], "/a", None, "a client that says nothing takes what it gets"),
        (&["*/*"], "/a", None, "one that takes everything, as curl does"),
        (&["application/json, text/plain, */*"], "/a", None, "the vendor's own client"),
        (&["text/plain, application/json"], "/a", home(), "of equal ones the first decides"),
        (&["text/html;q=0.5, application/json"], "/a", None, "by what it prefers"),
        (&["text/html;q=0, */*;q=0.1"], "/a", None, "what it will not have is no choice"),
        (&["application/*"], "/a", None, "whatever an application reads"),
        (&["application/problem+json"], "/a", None, "another form of JSON"),
        (&["text/html", "application/json"], "/a", home(), "over two fields"),
        (&["nonsense"], "/a", None, "nothing that can be read"),
        (&["text/html;q=2, application/json;q=0.1"], "/a", None, "a quality that is none"),
        (&["text/html"], "/?x=y", None, "nobody goes round in circles"),
    ];
    let usual = system(None).unwrap();
    for (accept, target, expected, shows) in rows {
        for refusal in [Refusal::CredentialMissing, Refusal::PolicyDenied] {
            let (status, location, body) = rendered(&usual, &refusal, "credential_missing", accept, target);
            let status_expected = if expected.is_some() { 303 } else { refusal.reason().status() };
            assert_eq!((status, &location), (status_expected, &expected), "{shows}");
            assert_eq!(body.is_empty(), expected.is_some(), "{shows}");
        }
    }
    let page: &[&str] = &["text/html"];
    assert_eq!(rendered(&usual, &Doubt::Conflict.into(), "credential_conflict", page, "/a").0, 400, "no other status is turned into one");
    let never = system(Some("{ redirect: none }")).unwrap();
    assert_eq!(rendered(&never, &Refusal::CredentialMissing, "credential_missing", page, "/a").0, 401, "where the conf says so, nobody");
    let elsewhere = system(Some("{ redirect: /welcome }")).unwrap();
    assert_eq!(rendered(&elsewhere, &Refusal::CredentialMissing, "x", page, "/a").1.as_deref(), Some("/welcome"));
    for place in ["https://evil.example", "//evil.example", "/\\evil.example", "home", "'/a b'", "'/a\tb'"] {
        let says = system(Some(&format!("{{ redirect: {place} }}"))).map(|_| ()).unwrap_err();
        assert!(says[0].contains("a path of this host"), "{place} (L1): {says:?}");
    }
}

fn reply<'r>(status: u16, path: &'r str, headers: &'r HeaderMap, body: Option<&'r [u8]>) -> Reply<'r> {
    Reply { method: "GET", path, status, headers, body }
}

#[test]
fn a_redirect_home_means_401_and_no_other_does() {
    let system = system(None).unwrap();
    let rows: [(u16, &[(&'static str, &str)], Meaning, &str); 9] = [
        (401, &[], Meaning::Expired, "401"),
        (303, &[("location", "/")], Meaning::Expired, "what a HAT says to who does not ask for JSON"),
        (303, &[("location", "/home")], Meaning::Fine, "another place is a redirect"),
        (303, &[("location", "https://evil.example/")], Meaning::Fine, "so is another host"),
        (303, &[("location", "/"), ("location", "/x")], Meaning::Fine, "two places are none"),
        (303, &[], Meaning::Fine, "no place"),
        (302, &[("location", "/")], Meaning::Fine, "another redirect"),
        (403, &[], Meaning::Fine, "what is forbidden stays so with a fresh token"),
        (200, &[("location", "/")], Meaning::Fine, "a success"),
    ];
    for (status, written, expected, shows) in rows {
        let headers = fields(written);
        let reply = reply(status, "/api", &headers, None);
        assert_eq!(system.weigh(&reply), expected, "{shows}");
        assert_eq!(system.classify(&reply), expected, "{shows}, held");
    }
}

fn token(key: &SigningKey, change: &Json) -> String {
    let mut claims = json!({ "iss": "ada.hubat.net", "iat": NOW, "exp": NOW + 2_592_000 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    key.sign_compact(&[], &claims).unwrap()
}

#[test]
fn a_reply_brings_the_token_to_go_on_with() {
    let system = system(None).unwrap();
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let (one, two) = (token(&key, &json!({})), token(&key, &json!({ "iat": NOW + 1 })));
    let harvested = |status: u16, path: &str, written: &[&str], body: Option<&str>| {
        let headers = fields(&written.iter().map(|value| ("x-auth-token", *value)).collect::<Vec<_>>());
        system.harvest(&reply(status, path, &headers, body.map(str::as_bytes)))
    };
    let found = harvested(200, "/api/v2.6/data/x/y", &[&one], None).unwrap();
    assert_eq!(
        (found.access.expose(), found.refresh.as_ref().unwrap().expose()),
        (one.as_bytes(), one.as_bytes()),
        "it is slid on with itself"
    );
    assert_eq!((found.subject.as_deref(), found.issued), (Some("ada.hubat.net"), Some(Timestamp(NOW))), "whose it is, and of when");
    assert_eq!(found.issuer.as_deref(), Some("ada.hubat.net"), "and who says so");
    assert_eq!(found.life, Some(Life::Until(Timestamp(NOW + 259_201))), "until it idles");
    assert!(found.rest.is_none() && found.strip.is_some_and(|name| name == "x-auth-token"), "the field holds it, the body nothing of it");
    assert_eq!(harvested(200, "/x", &[&two], None).unwrap().issued, Some(Timestamp(NOW + 1)), "of two replies the newer is told by `iat`");
    let late = token(&key, &json!({ "exp": NOW + 60 }));
    assert_eq!(harvested(200, "/x", &[&late], None).unwrap().life, Some(Life::Until(Timestamp(NOW + 60))), "or until its own end");

    let login = |token: &str| format!(r#"{{"accessToken":"{token}","userId":"u"}}"#);
    let found = harvested(200, "/users/access_token", &[&one], Some(&login(&one))).unwrap();
    assert_eq!(found.rest.as_deref(), Some(br#"{"userId":"u"}"#.as_slice()), "a log-in tells it in its body as well");
    let found = harvested(200, "/users/access_token", &[], Some(&login(&one))).unwrap();
    assert_eq!(found.access.expose(), one.as_bytes(), "or there alone");

    let elliptic = SigningKey::generate(Algorithm::Es256).unwrap();
    let foreign = [token(&elliptic, &json!({})), token(&key, &json!({ "iss": "https://x" })), token(&key, &json!({ "iat": "x" }))];
    let rows: [(u16, &str, Vec<&str>, Option<String>, &str); 8] = [
        (200, "/x", vec![], None, "none"),
        (200, "/x", vec![&one, &two], None, "two"),
        (200, "/x", vec!["opaque"], None, "something else"),
        (200, "/x", vec![&foreign[0]], None, "of another algorithm"),
        (200, "/x", vec![&foreign[1]], None, "of no HAT"),
        (200, "/x", vec![&foreign[2]], None, "of no time"),
        (401, "/x", vec![&one], None, "with a refusal"),
        (200, "/users/access_token", vec![&one], Some(login(&two)), "two that disagree"),
    ];
    for (status, path, written, body, shows) in rows {
        assert!(harvested(status, path, &written, body.as_deref()).is_none(), "{shows}");
    }
    assert!(harvested(200, "/api", &[], Some(&login(&one))).is_none(), "a body that is data and no log-in is not read");
    assert!(system.holds("GET", "/users/access_token") && !system.holds("GET", "/users/access_token/validate"));
    assert!(!system.holds("GET", "/api/v2.6/data/x/y"), "data streams");
}

#[test]
fn a_reply_with_a_token_is_stored_by_nobody_and_read_by_whom_it_is_for() {
    /// The fields of a reply, whether they may be shown and are kept, what changes, what it shows.
    type Row<'r> = (&'r [(&'static str, &'r str)], bool, bool, &'r [(&'r str, Option<&'r str>)], &'r str);
    let rows: [Row<'_>; 8] = [
        (&[], false, true, &[], "no token"),
        (&[("x-auth-token", "t")], false, true, &[("cache-control", Some("no-store"))], "a token; no page of another origin reads it"),
        (
            &[("x-auth-token", "t"), ("access-control-allow-origin", "https://a.example")],
            false,
            true,
            &[("cache-control", Some("no-store")), ("access-control-expose-headers", Some("X-Auth-Token"))],
            "one of another origin that may read the reply",
        ),
        (
            &[("x-auth-token", "t"), ("access-control-allow-origin", "*"), ("access-control-expose-headers", "ETag, *")],
            false,
            true,
            &[("cache-control", Some("no-store")), ("access-control-expose-headers", Some("ETag, *, X-Auth-Token"))],
            "beside what it may read already; a star is not enough where credentials are sent",
        ),
        (
            &[("x-auth-token", "t"), ("access-control-allow-origin", "*"), ("access-control-expose-headers", "x-auth-TOKEN")],
            false,
            true,
            &[("cache-control", Some("no-store"))],
            "said already",
        ),
        (
            &[("x-auth-token", "t"), ("access-control-allow-origin", "*")],
            false,
            false,
            &[("cache-control", Some("no-store"))],
            "where the conf says so, it is not exposed",
        ),
        (
            &[("x-auth-token", "t"), ("access-control-allow-origin", "*")],
            true,
            true,
            &[("cache-control", Some("no-store")), ("x-auth-token", None)],
            "a token that is kept here is taken off",
        ),
        (
            &[("cache-control", "public, max-age=60"), ("x-auth-token", "t")],
            false,
            true,
            &[("cache-control", Some("no-store"))],
            "whatever the HAT said",
        ),
    ];
    for (written, kept, expose, expected, shows) in rows {
        let system = system(Some(&format!("{{ expose: {expose} }}"))).unwrap();
        let headers = fields(written);
        let changes = system.hand_on(&reply(200, "/api", &headers, None), kept);
        let told: Vec<(&str, Option<&str>)> =
            changes.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(|value| value.to_str().unwrap()))).collect();
        assert_eq!(told, expected, "{shows}");
    }
}

#[test]
fn one_token_goes_on_and_not_in_the_url() {
    let system = system(None).unwrap();
    let rows: [(&[&str], Option<&str>, Result<&[&str], &str>, &str); 4] = [
        (&["t"], Some("a=b&X-Auth-Token=t"), Ok(&["X-Auth-Token"]), "the copy in the query is taken out"),
        (&["t"], None, Ok(&["X-Auth-Token"]), "where there is none nothing happens"),
        (&[], Some("X-Auth-Token=t"), Ok(&[]), "the only one goes on where it stands"),
        (&["t", "u"], None, Err("two_tokens"), "two fields, one of which nobody has judged"),
    ];
    for (written, query, expected, shows) in rows {
        let headers = fields(&written.iter().map(|value| ("x-auth-token", *value)).collect::<Vec<_>>());
        let target = Target { path: "/api".into(), query: query.map(Into::into) };
        let request = RequestView {
            method: "GET",
            raw_target: "/api",
            target: &target,
            host: "hat.example",
            headers: &headers,
            client: [127, 0, 0, 1].into(),
            secure: true,
            request_id: "id",
        };
        let guarded = Guarded { request: &request, identity: None, facts: &Facts::default(), now: Timestamp(NOW) };
        match (system.guard(&guarded), expected) {
            (Step::Done(pass), Ok(expected)) => {
                assert_eq!(pass.remove_query, expected, "{shows}");
                assert!(pass.set.is_empty() && pass.remove.is_empty() && pass.notes.is_empty(), "{shows}: nothing else");
            }
            (Step::Refuse(Refusal::GuardRefused(breach)), Err(code)) => assert_eq!(breach.code, code, "{shows}"),
            (step, _) => panic!("{shows}: {step:?}"),
        }
    }
}

//! Refresh tokens, spent at a token endpoint on loopback that answers by script.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::jose::base64url;
use crate::net::client::loopback::{Loopback, Told, silent_port};
use crate::renew::contract::RenewError;
use crate::renew::oauth2::ENTRY;
use crate::renew::stage::{KEY, NOW, Scene, build, json, plan, renewer, shown, spent};

/// The least that says whom to ask, and as whom.
const LEAST: &str = "{ token_url: ISSUER/token, client_id: app, client_secret: { env: SECRET } }";
const PAIR: &str = r#"{"access_token":"a2","token_type":"Bearer","expires_in":300,"refresh_token":"r2"}"#;

/// What the pair of the tests reads like as a form field.
const FORM: &str = "grant_type=refresh_token&refresh_token=r%261%3D%22%2B%2F%25";
const HEAD: &str = "POST /token HTTP/1.1\naccept: application/json\ncontent-type: application/x-www-form-urlencoded";

#[tokio::test]
async fn each_way_to_show_who_asks_is_written_to_the_byte() {
    let basic = format!("\nauthorization: Basic {}", STANDARD.encode("a%3Ap+p:s%26c%3Ar+t"));
    let rows = [
        (
            "client_id: 'a:p p', client_secret: { env: SECRET }",
            format!("{HEAD}{basic}"),
            FORM.to_owned(),
            "basic, unless written: id and secret are form-encoded before they are joined",
        ),
        (
            "client_id: 'a:p p', client_secret: { env: SECRET }, client_auth: basic",
            format!("{HEAD}{basic}"),
            FORM.to_owned(),
            "the same, written out",
        ),
        (
            "client_id: 'a:p p', client_secret: { env: SECRET }, client_auth: post",
            HEAD.to_owned(),
            format!("{FORM}&client_id=a%3Ap+p&client_secret=s%26c%3Ar+t"),
            "in the body, and in no header",
        ),
        ("client_id: app, client_auth: none", HEAD.to_owned(), format!("{FORM}&client_id=app"), "a public client"),
        (
            "client_id: app, client_auth: none, scope: [read, write], audience: 'api one', \
             resource: ['https://a.example/x', 'urn:b'], parameters: { b: '2', a: '1&c' }",
            HEAD.to_owned(),
            format!(
                "{FORM}&scope=read+write&audience=api+one&resource=https%3A%2F%2Fa.example%2Fx&resource=urn%3Ab&b=2&a=1%26c&client_id=app"
            ),
            "everything else that may be asked, in the order it is written",
        ),
    ];
    for (settings, head, body, shows) in rows {
        let scene = Scene::new(&ENTRY, &format!("{{ token_url: ISSUER/token, {settings} }}"), || json(200, PAIR));
        assert_eq!(shown(&scene.renew().await.unwrap()), "a2 r2 300 -", "{shows}");
        assert_eq!(scene.asked(), (head, body), "{shows}");
        assert_eq!(scene.issuer.count(), 1, "{shows}: one exchange");
    }
}

#[tokio::test]
async fn a_statement_about_ourselves_is_signed_for_one_request() {
    let rows = [
        ("", "ISSUER/token", "unless written, for the endpoint"),
        (", issuer: ISSUER", "ISSUER", "for the issuer, where it is known"),
        (", issuer: ISSUER, client_assertion_audience: 'urn:them'", "urn:them", "or as written"),
    ];
    for (more, audience, shows) in rows {
        let settings = format!("{{ token_url: ISSUER/token, client_id: app, client_key: {{ env: KEY }}{more} }}");
        let scene = Scene::new(&ENTRY, &settings, || json(200, PAIR));
        let mut ids = Vec::new();
        for _ in 0..2 {
            scene.renew().await.unwrap();
            let (head, body) = scene.asked();
            assert_eq!(head, HEAD, "{shows}: no secret in a header");
            let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            let token = body.strip_prefix(&format!("{FORM}&client_id=app&client_assertion_type={kind}&client_assertion=")).unwrap();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let parts: Vec<serde_json::Value> =
                signed.split('.').map(|part| serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()).collect();
            let key = crate::jose::mint::SigningKey::from_pem(KEY, None).unwrap();
            let signature = base64url::decode(signature).unwrap();
            assert!(key.verifying_key().unwrap().verifies(key.algorithm(), signed.as_bytes(), &signature), "{shows}: under our key");
            assert_eq!(parts[0].get("kid"), None, "{shows}: which is named only as the issuer knows it");
            let audience = audience.replace("ISSUER", &scene.issuer.url(""));
            let expected = serde_json::json!({
                "iss": "app", "sub": "app", "aud": audience, "iat": NOW.0, "exp": NOW.0 + 60, "jti": parts[1]["jti"],
            });
            assert_eq!(parts[1], expected, "{shows}");
            ids.push(parts[1]["jti"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1], "{shows}: no two statements are one");
    }
}

#[tokio::test]
async fn an_rsa_key_signs_as_the_issuer_wants_it() {
    for (algorithm, name) in [("", "RS256"), (", client_key_algorithm: PS256, client_key_id: k1", "PS256")] {
        let settings = format!("{{ token_url: ISSUER/token, client_id: app, client_key: {{ env: RSA }}{algorithm} }}");
        let scene = Scene::new(&ENTRY, &settings, || json(200, PAIR));
        scene.renew().await.unwrap();
        let (_, body) = scene.asked();
        let header = body.rsplit_once("client_assertion=").unwrap().1.split('.').next().unwrap().to_owned();
        let header: serde_json::Value = serde_json::from_slice(&base64url::decode(&header).unwrap()).unwrap();
        assert_eq!(header["alg"], name);
        if name == "PS256" {
            assert_eq!(header["kid"], "k1", "under the id that the issuer knows it by");
        }
    }
}

#[tokio::test]
async fn every_answer_says_what_became_of_the_credential() {
    let rejected = |code| Err(RenewError::Rejected { code });
    let unaccepted = |code| Err(RenewError::Unaccepted { code });
    let (lost, unreached) = (Err(RenewError::Lost { why: "" }), Err(RenewError::Unreached { why: "" }));
    let page = |status| Told::Answer(status, vec![("content-type".into(), "text/html; charset=utf-8".into())], "<html>".into());
    let fault = |status, code: &str| json(status, &format!(r#"{{"error":"{code}","error_description":"<x>"}}"#));
    let long = format!(r#"{{"access_token":"a2","token_type":"Bearer","x":"{}"}}"#, "x".repeat(64 * 1024));
    let rows: Vec<(Told, Result<&str, RenewError>, &str)> = vec![
        // Pairs.
        (json(200, PAIR), Ok("a2 r2 300 -"), "a pair"),
        (json(200, r#"{"access_token":"a2","token_type":"bEARER"}"#), Ok("a2 - - -"), "no rotation, no end, and a type in any case"),
        (
            json(200, r#"{"access_token":"a2","token_type":"Bearer","refresh_token":null,"expires_in":null}"#),
            Ok("a2 - - -"),
            "null is none",
        ),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":"300"}"#), Ok("a2 - 300 -"), "a length as text"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":0}"#), Ok("a2 - 0 -"), "an end at once"),
        (
            json(200, r#"{"access_token":"a2","token_type":"Bearer","refresh_expires_in":1800,"refresh_token":"r2"}"#),
            Ok("a2 r2 - 1800"),
            "the end of the refresh token, as some say it",
        ),
        (
            json(200, r#"{"access_token":"a2","token_type":"Bearer","refresh_expires_in":0,"refresh_token":"r2"}"#),
            Ok("a2 r2 - -"),
            "0 is how some say that it has none",
        ),
        (Told::ok(PAIR), Ok("a2 r2 300 -"), "an issuer that does not say what kind of text it sends"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","error":"invalid_grant"}"#), Ok("a2 - - -"), "a pair is a pair"),
        // The credential renews nothing any more.
        (fault(400, "invalid_grant"), rejected("invalid_grant"), "spent, revoked, ended"),
        (fault(401, "invalid_grant"), rejected("invalid_grant"), "the same with another status"),
        (fault(403, "invalid_grant"), rejected("invalid_grant"), "and another"),
        (fault(200, "invalid_grant"), rejected("invalid_grant"), "and the status of a success"),
        (fault(400, "login_required"), rejected("login_required"), "the user must come"),
        (fault(400, "access_denied"), rejected("access_denied"), "the user may not any more"),
        // We are refused, and the credential may be good.
        (fault(401, "invalid_client"), unaccepted("invalid_client"), "we are not known"),
        (fault(400, "unauthorized_client"), unaccepted("unauthorized_client"), "we may not"),
        (fault(400, "invalid_request"), unaccepted("invalid_request"), "we ask wrongly"),
        (fault(400, "invalid_scope"), unaccepted("invalid_scope"), "or for too much"),
        (fault(400, "<script>"), unaccepted("unrecognized"), "a code that nobody wrote down is not repeated"),
        (Told::status(400), unaccepted("unrecognized"), "400 without words"),
        (Told::status(401), unaccepted("unrecognized"), "401 without words"),
        // Nothing was done.
        (fault(400, "temporarily_unavailable"), unreached, "later, it says"),
        (fault(500, "temporarily_unavailable"), unreached, "whatever the status"),
        (fault(400, "slow_down"), unreached, "more slowly, it says"),
        (Told::status(429), unreached, "asked too often"),
        (Told::status(503), unreached, "not ready"),
        (page(503), unreached, "not ready, on a page"),
        // Nobody knows.
        (fault(500, "server_error"), lost, "an error after who knows what"),
        (fault(500, "invalid_grant"), lost, "a refusal that calls itself an error of the server"),
        (Told::status(500), lost, "500"),
        (Told::status(502), lost, "something in between could not hear it"),
        (Told::status(504), lost, "or not in time"),
        (page(200), lost, "a page in place of an answer"),
        (page(400), lost, "a page is no refusal of an issuer's"),
        (page(401), lost, "nor is this"),
        (Told::Answer(302, vec![("location".into(), "https://login.example/".into())], Vec::new()), lost, "a redirect"),
        (Told::Answer(307, vec![("location".into(), "/token2".into())], Vec::new()), lost, "even to itself"),
        (Told::status(404), lost, "nobody there"),
        (Told::status(204), lost, "nothing"),
        (json(201, PAIR), lost, "another success"),
        (json(200, &long), lost, "larger than is read"),
        (Told::Answer(200, vec![("content-encoding".into(), "gzip".into())], PAIR.into()), lost, "compressed"),
        (Told::Endless, lost, "without end"),
        (Told::Raw(Vec::new()), lost, "cut off before a byte: it may have rotated"),
        (Told::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"access_token\":\"a2\"".to_vec()), lost, "cut off in the middle"),
        (json(200, "[]"), lost, "no object"),
        (json(200, &format!("{PAIR}{PAIR}")), lost, "two answers"),
        (json(200, r#"{"access_token":"a2","access_token":"a3","token_type":"Bearer"}"#), lost, "two tokens"),
        (json(200, r#"{"token_type":"Bearer"}"#), lost, "no token"),
        (json(200, r#"{"access_token":"","token_type":"Bearer"}"#), lost, "an empty token"),
        (json(200, r#"{"access_token":"a\r\nb","token_type":"Bearer"}"#), lost, "a token that would be two lines"),
        (json(200, r#"{"access_token":7,"token_type":"Bearer"}"#), lost, "a token that is a number"),
        (json(200, r#"{"access_token":"a2"}"#), lost, "of no type"),
        (json(200, r#"{"access_token":"a2","token_type":"DPoP"}"#), lost, "of a type that we cannot use"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","refresh_token":""}"#), lost, "an empty refresh token"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","refresh_token":"a b"}"#), lost, "one that a cookie cannot hold"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":-1}"#), lost, "an end before the start"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":1e99}"#), lost, "an end that never comes"),
        (json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":"soon"}"#), lost, "an end that is none"),
    ];
    let scene = Scene::new(&ENTRY, LEAST, || Told::Hang);
    for (told, expected, shows) in rows {
        let before = scene.issuer.count();
        let outcome = scene.told(told).await;
        match (&outcome, expected) {
            (Ok(pair), Ok(expected)) => assert_eq!(shown(pair), expected, "{shows}"),
            (Err(RenewError::Rejected { code }), Err(RenewError::Rejected { code: expected }))
            | (Err(RenewError::Unaccepted { code }), Err(RenewError::Unaccepted { code: expected })) => {
                assert_eq!(*code, expected, "{shows}");
            }
            (Err(outcome), Err(expected)) => {
                assert_eq!(std::mem::discriminant(outcome), std::mem::discriminant(&expected), "{shows}: {outcome:?}");
            }
            _ => panic!("{shows}: {outcome:?} instead of {expected:?}"),
        }
        assert_eq!(scene.issuer.count() - before, 1, "{shows}: asked once, whatever it says");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_there_has_spent_nothing_and_one_that_hangs_may_have() {
    let least = |url: &str| format!("{{ token_url: '{url}', client_id: app, client_auth: none }}");
    let nobody = renewer(&ENTRY, &least(&format!("http://{}/token", silent_port())), Duration::from_secs(5));
    let outcome = nobody.renew(&spent(), NOW).await.unwrap_err();
    assert_eq!(outcome, RenewError::Unreached { why: "no connection could be made" });

    let hanging = Loopback::start(|_| Told::Hang);
    let patient = renewer(&ENTRY, &least(&hanging.url("/token")), Duration::from_millis(200));
    let outcome = patient.renew(&spent(), NOW).await.unwrap_err();
    assert!(matches!(outcome, RenewError::Lost { .. }), "slower than a flight is long: {outcome:?}");
    let trickling = Loopback::start(|_| Told::Trickle(PAIR.into()));
    let patient = renewer(&ENTRY, &least(&trickling.url("/token")), Duration::from_millis(200));
    let outcome = patient.renew(&spent(), NOW).await.unwrap_err();
    assert!(matches!(outcome, RenewError::Lost { .. }), "a byte at a time: {outcome:?}");

    let stranger = Loopback::start_tls(&["127.0.0.1"], |_| json(200, PAIR));
    let careful = renewer(&ENTRY, &least(&stranger.url("/token")), Duration::from_secs(5));
    let outcome = careful.renew(&spent(), NOW).await.unwrap_err();
    assert!(matches!(outcome, RenewError::Unreached { .. }), "a certificate of nobody's is shown nothing: {outcome:?}");
    assert_eq!(stranger.count(), 0);
}

#[tokio::test]
async fn each_exchange_has_a_connection_of_its_own() {
    let scene = Scene::new(&ENTRY, LEAST, || json(200, PAIR));
    for _ in 0..3 {
        scene.renew().await.unwrap();
    }
    let turns: Vec<usize> = scene.issuer.asked().iter().map(|asked| asked.turn).collect();
    assert_eq!(turns, [1, 1, 1], "the issuer would keep it; used again, it might be closed under a request");
}

#[tokio::test]
async fn the_endpoint_is_looked_up_where_the_issuer_says() {
    let settings = "{ issuer: ISSUER, client_id: app, client_auth: none }";
    let scene = Scene::new(&ENTRY, settings, || Told::Hang);
    let metadata = |origin: &str, endpoint: &str| format!(r#"{{"issuer":"{origin}","token_endpoint":"{endpoint}"}}"#);
    let origin = scene.issuer.url("");
    let serve = |document: Told, token: Told| {
        scene.issuer.follow(move |asked| if asked.target() == "/oidc/token" { token.clone() } else { document.clone() });
    };
    let faults = [
        (Told::status(500), "an error"),
        (Told::status(404), "nothing"),
        (json(200, "<html>"), "no document"),
        (json(200, &metadata("https://other.example", &format!("{origin}/oidc/token"))), "another issuer's"),
        (json(200, &metadata(&origin, "http://id.example/oidc/token")), "an endpoint in plaintext elsewhere"),
        (json(200, &metadata(&origin, "https://u:p@id.example/")), "an endpoint with a user"),
        (Told::Answer(302, vec![("location".into(), "/elsewhere".into())], Vec::new()), "a redirect"),
        (Told::Raw(Vec::new()), "a broken connection"),
    ];
    for (document, shows) in faults {
        serve(document, json(200, PAIR));
        let outcome = scene.renew().await.unwrap_err();
        assert!(matches!(outcome, RenewError::Unreached { .. }), "{shows}: {outcome:?}");
    }
    assert!(scene.issuer.asked().iter().all(|asked| asked.target() == "/.well-known/openid-configuration"), "nothing was spent");

    let before = scene.issuer.count();
    serve(json(200, &metadata(&origin, &format!("{origin}/oidc/token"))), json(200, PAIR));
    for _ in 0..3 {
        assert_eq!(shown(&scene.renew().await.unwrap()), "a2 r2 300 -");
    }
    assert_eq!(scene.issuer.count() - before, 4, "looked up once, asked three times");
    scene.renewer.renew(&spent(), crate::domain::Timestamp(NOW.0 + 3_600)).await.unwrap();
    assert_eq!(scene.issuer.count() - before, 6, "and looked up anew after an hour");

    serve(json(200, &metadata(&origin, &format!("{origin}/oidc/token"))), Told::Raw(Vec::new()));
    assert!(matches!(scene.renew().await.unwrap_err(), RenewError::Lost { .. }));
    serve(json(200, &metadata(&origin, &format!("{origin}/oidc/token"))), json(200, PAIR));
    let before = scene.issuer.count();
    scene.renew().await.unwrap();
    assert_eq!(scene.issuer.count() - before, 2, "an endpoint that failed is looked up anew");
}

#[test]
fn an_issuer_that_is_not_written_is_that_of_the_credentials() {
    let bare = "{ client_id: app, client_key: { env: KEY } }";
    let (plan_of, _) = plan(&ENTRY, bare);
    let mut unsaid = plan_of.unwrap();
    assert!(unsaid.take_issuer(None).unwrap_err().contains("write `token_url` or `issuer`"), "nobody to ask");
    assert!(unsaid.take_issuer(Some("partners")).unwrap_err().contains("no issuer whose metadata"), "a name is no address");
    unsaid.take_issuer(Some("https://id.example")).unwrap();
    let shown = format!("{unsaid:?}");
    assert!(shown.contains(r#"issuer: Some("https://id.example")"#), "{shown}");
    assert!(shown.contains(r#"PrivateKeyJwt(EdDSA, Some("https://id.example"))"#), "whom our statements are for: {shown}");
    build(&*unsaid, Duration::from_secs(1));

    let (plan_of, _) = plan(&ENTRY, "{ token_url: 'https://id.example/t', client_id: app, client_auth: none }");
    plan_of.unwrap().take_issuer(None).expect("who is asked is written");
    let (plan_of, _) = plan(&ENTRY, "{ issuer: 'https://a.example', client_id: app, client_auth: none }");
    let mut written = plan_of.unwrap();
    written.take_issuer(Some("https://b.example")).unwrap();
    assert!(format!("{written:?}").contains("https://a.example"), "what is written counts");
}

#[test]
fn settings_are_proven() {
    let with = |more: &str| format!("{{ token_url: 'https://id.example/t', client_id: app, {more} }}");
    let secret = "client_secret: { env: SECRET }";
    let rows = [
        (with("client_auth: none"), "", "a public client"),
        (with(secret), "", "a secret"),
        (with("client_key: { env: KEY }"), "", "a key"),
        (with(&format!("{secret}, client_key: {{ env: KEY }}")), "remove one, or write `client_auth`", "which of the two?"),
        (with(&format!("{secret}, client_key: {{ env: KEY }}, client_auth: post")), "`client_key` is not used", "one too many"),
        (with("scope: a"), "write a `client_secret` or a `client_key`, or `client_auth: none`", "nothing to show, and not said so"),
        (with("client_auth: basic"), "needs a `client_secret`", "no secret"),
        (with("client_auth: post"), "needs a `client_secret`", "no secret for the body"),
        (with("client_auth: private_key_jwt"), "needs a `client_key`", "no key"),
        (with(&format!("{secret}, client_auth: none")), "`client_secret` is not used", "a secret that would never be shown"),
        (with(&format!("{secret}, client_key_id: k")), "`client_key_id` is not used", "the id of no key"),
        (with("client_key: { env: SECRET }"), "private key", "no key at all"),
        (with("client_key: { env: KEY }, client_key_algorithm: PS256"), "this is for RSA keys", "another kind of key"),
        (with("client_auth: none, resource: 'a b'"), "is no resource", "no URI"),
        (with("client_auth: none, resource: 'https://a.example/#b'"), "is no resource", "a URI with a fragment"),
        (with("client_auth: none, parameters: { grant_type: password }"), "`grant_type` is no other parameter", "another grant"),
        (with("client_auth: none, parameters: { scope: x }"), "`scope` is no other parameter", "a parameter with a key of its own"),
        (
            "{ token_url: 'http://id.example/t', client_id: app, client_auth: none }".into(),
            "travel over https only",
            "plaintext to another machine",
        ),
        ("{ token_url: 'http://127.0.0.1:1/t', client_id: app, client_auth: none }".into(), "", "plaintext to this one"),
        ("{ token_url: 'https://169.254.169.254/t', client_id: app, client_auth: none }".into(), "never called", "the metadata address"),
        ("{ issuer: 'http://id.example', client_id: app, client_auth: none }".into(), "no issuer whose metadata", "an issuer in plaintext"),
        ("{ issuer: 'https://id.example?x', client_id: app, client_auth: none }".into(), "no issuer whose metadata", "one with a query"),
        ("{ client_auth: none }".into(), "needs `client_id`", "nobody asks"),
        ("{ client_id: app, client_secret: plain }".into(), "may not stand in the conf", "a secret in the conf"),
    ];
    for (yaml, words, shows) in rows {
        let (plan, told) = plan(&ENTRY, &yaml);
        if words.is_empty() {
            assert!(plan.is_some() && told.is_empty(), "{shows}: {told:#?}");
        } else {
            assert!(plan.is_none() && told.len() == 1 && told[0].contains(words), "{shows}: {told:#?}");
        }
    }
}

#[test]
fn nothing_shows_a_secret() {
    let (plan, _) =
        plan(&ENTRY, "{ token_url: 'https://id.example/t', client_id: app, client_secret: { env: SECRET }, client_auth: post }");
    let shown = format!("{plan:?}");
    assert!(!shown.contains("s&c") && shown.contains("Post"), "{shown}");
}

//! Who comes back with what, and where they go on.

use std::sync::Arc;

use serde_json::json;

use crate::domain::{Identity, Reason, Secret};
use crate::issuer::contract::{Reply, Service};
use crate::issuer::services::begun;
use crate::issuer::services::hat_callback::ENTRY;
use crate::issuer::services::house::{House, NOW, field, get_at, identity};
use crate::jose::compact::Compact;
use crate::jose::mint::SigningKey;
use crate::jose::session::{Reference, SessionId};
use crate::settings::NodeValue;
use crate::state::testing::{Counting, Fault};
use crate::verify::keys::testing::{map, node};

const HOST: &str = "app.example";

fn text(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

fn service(house: &House, more: Vec<(&str, NodeValue)>) -> Arc<dyn Service> {
    let mut settings = vec![("session", text("member")), ("then", text("/home"))];
    settings.extend(more);
    house.service(&ENTRY, Some(&node(map(settings)))).unwrap()
}

/// A token, and who it proves.
fn token(seed: u8) -> (String, Arc<Identity>) {
    let key = SigningKey::from_secret(crate::jose::algorithm::Algorithm::Hs256, &Secret::new(vec![seed; 32])).unwrap();
    let token = key.sign_compact(&[], &json!({ "iss": "ada.hubat.net", "jti": seed, "iat": NOW.0, "exp": NOW.0 + 900 })).unwrap();
    let claims = Compact::parse(&token).unwrap().claimed().clone();
    let caller = Identity { subject: "ada.hubat.net".into(), issuer: "ada.hubat.net".into(), claims, ..identity("hat") };
    (token, Arc::new(caller))
}

/// The cookie of a browser that has begun a log-in at `host`.
fn begun_at(house: &House, host: &str) -> String {
    let cookie = begun::begin(&house.sessions, host, None, &Counting::apart()).unwrap();
    cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn cookies(reply: &Reply) -> Vec<String> {
    reply.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

/// The session that `reply` gives.
fn given(house: &House, reply: &Reply) -> Reference {
    let cookies = cookies(reply);
    let id = cookies.iter().find_map(|cookie| cookie.strip_prefix("__Host-session=")?.split(';').next()).unwrap();
    house.sessions.terms().recognise(SessionId::parse(id).unwrap(), HOST).expect("drawn for this host")
}

#[tokio::test]
async fn a_token_in_the_url_becomes_a_session_and_a_clean_url() {
    let house = House::new();
    let service = service(&house, Vec::new());
    let (text, caller) = token(1);
    let cookie = begun_at(&house, HOST);
    let reply = get_at(HOST, &service, Some(&caller), &[("cookie", &cookie)], &format!("token={text}")).await.unwrap();
    assert_eq!((reply.status, field(&reply, "location")), (303, Some("/home")), "nothing of the token is left in the address");
    assert_eq!(field(&reply, "referrer-policy"), Some("no-referrer"), "and the address that held it is told to nobody");
    assert!(!format!("{:?}", reply.headers).contains(&text) && reply.body.is_empty(), "the browser does not hold it");
    assert!(cookies(&reply).iter().any(|cookie| cookie.starts_with("__Host-hat-login=;") && cookie.ends_with("Max-Age=0")));
    let standing = house.sessions.standing(&given(&house, &reply), NOW).await.unwrap().unwrap();
    assert_eq!(
        (standing.pair.access.expose(), standing.pair.refresh.expose()),
        (text.as_bytes(), text.as_bytes()),
        "it is slid on with itself"
    );
    assert_eq!(standing.pair.access_until, caller.expires);

    let again = get_at(HOST, &service, Some(&caller), &[("cookie", &cookie)], &format!("token={text}")).await.unwrap();
    assert_eq!((again.status, cookies(&again).len()), (400, 0), "a log-in comes back once (L4)");
    let cookie = begun_at(&house, HOST);
    let again = get_at(HOST, &service, Some(&caller), &[("cookie", &cookie)], &format!("token={text}")).await.unwrap();
    assert_eq!((again.status, cookies(&again).len()), (409, 0), "and a token is in one session");
}

#[tokio::test]
async fn only_who_began_a_log_in_here_comes_back_from_it() {
    let house = House::new();
    let usual = service(&house, Vec::new());
    let (text, caller) = token(1);
    let query = format!("token={text}");
    let planted = SessionId::forged(&Counting::apart());
    let twice = format!("{}; {}", begun_at(&house, HOST), begun_at(&house, HOST));
    let rows = [
        (String::new(), "no log-in: a link with an attacker's token (L15)"),
        (format!("__Host-hat-login={}", planted.text().as_str()), "one that nobody has drawn"),
        (begun_at(&house, "other.example"), "one of another host (L14)"),
        ("__Host-hat-login=x".to_owned(), "no id"),
        (twice, "two of them (L10)"),
    ];
    for (cookie, shows) in rows {
        let reply = get_at(HOST, &usual, Some(&caller), &[("cookie", &cookie)], &query).await.unwrap();
        assert_eq!((reply.status, cookies(&reply).len(), field(&reply, "location")), (400, 0, None), "{shows}");
        let reply = get_at(HOST, &usual, None, &[("cookie", &cookie)], "error=hat_exception").await.unwrap();
        assert_eq!(reply.status, 400, "{shows}: nor with an error");
    }
    let open = service(&house, vec![("begun", NodeValue::Bool(false))]);
    let reply = get_at(HOST, &open, Some(&caller), &[], &query).await.unwrap();
    assert_eq!(reply.status, 303, "an application that sends browsers away itself sees to that");
}

#[tokio::test]
async fn an_error_is_told_by_its_code_and_nothing_is_repeated() {
    let house = House::new();
    let (plain, sent) = (service(&house, Vec::new()), service(&house, vec![("failed", text("/welcome"))]));
    let rows = [
        (
            "error=hat_exception&error_reason=hat_authentication_failed",
            "hat_exception",
            "hat_authentication_failed",
            "a code and its reason",
        ),
        ("error=hat_provisioning&error_reason=email_already_taken", "hat_provisioning", "email_already_taken", "another"),
        ("error=hat_provisioning&error_reason=email_is_required", "hat_provisioning", "unknown", "a reason of another code"),
        ("error=application_misconfigured", "application_misconfigured", "unknown", "no reason"),
        ("error=%3Cscript%3Ealert(1)%3C/script%3E&error_reason=%3Cb%3E", "unknown", "unknown", "what is no code is not repeated (L17)"),
        ("error=x&error_reason=hat_authentication_failed", "unknown", "unknown", "nor is the reason of what is none"),
        ("error=hat_exception%0d%0aSet-Cookie:x", "unknown", "unknown", "a line break"),
    ];
    for (query, code, reason, shows) in rows {
        let cookie = begun_at(&house, HOST);
        let reply = get_at(HOST, &plain, None, &[("cookie", &cookie)], query).await.unwrap();
        let body = String::from_utf8(reply.body.to_vec()).unwrap();
        assert_eq!((reply.status, body.as_str()), (400, format!("The log-in did not succeed: {code} ({reason}).\n").as_str()), "{shows}");
        assert_eq!(field(&reply, "content-type"), Some("text/plain; charset=utf-8"), "{shows}");
        assert!(field(&reply, "content-security-policy").is_some() && field(&reply, "x-content-type-options").is_some(), "{shows}");
        let cookie = begun_at(&house, HOST);
        let reply = get_at(HOST, &sent, None, &[("cookie", &cookie)], query).await.unwrap();
        let expected = format!("/welcome?error={code}&reason={reason}");
        assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected.as_str())), "{shows}");
        assert!(cookies(&reply).iter().all(|cookie| cookie.starts_with("__Host-hat-login=;")), "{shows}: nobody is logged in");
    }
}

#[tokio::test]
async fn what_is_kept_is_what_was_proven() {
    let house = House::new();
    let service = service(&house, Vec::new());
    let ((one, caller), (two, _)) = (token(1), token(2));
    let other_scheme = Arc::new(Identity { scheme: "session", ..Identity::clone(&caller) });
    let rows = [
        (Some(&caller), format!("token={two}"), Err(Reason::PolicyDenied), "another token than the one that was proven"),
        (Some(&caller), "x=y".to_owned(), Err(Reason::PolicyDenied), "none at all, the proof having come from elsewhere"),
        (Some(&other_scheme), format!("token={one}"), Err(Reason::PolicyDenied), "a session that brings a token along"),
        (Some(&caller), format!("token={one}&error=hat_exception"), Ok(400), "a token and an error"),
        (Some(&caller), format!("token={one}&token={one}"), Ok(400), "two of them"),
        (None, String::new(), Err(Reason::CredentialMissing), "nothing"),
    ];
    for (caller, query, expected, shows) in rows {
        let cookie = begun_at(&house, HOST);
        let outcome = get_at(HOST, &service, caller, &[("cookie", &cookie)], &query).await;
        let told = outcome.map_err(|refusal| refusal.reason()).map(|reply| {
            assert!(cookies(&reply).is_empty(), "{shows}: no session");
            reply.status
        });
        assert_eq!(told, expected, "{shows}");
    }
    house.failing.fail(Some(Fault::Write));
    let cookie = begun_at(&house, HOST);
    let outcome = get_at(HOST, &service, Some(&caller), &[("cookie", &cookie)], &format!("token={one}")).await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::StateUnavailable, "without the store there is no session");
}

#[tokio::test]
async fn the_session_before_is_over() {
    let house = House::new();
    let service = service(&house, Vec::new());
    let ((one, first), (two, second)) = (token(1), token(2));
    let reply = get_at(HOST, &service, Some(&first), &[("cookie", &begun_at(&house, HOST))], &format!("token={one}")).await.unwrap();
    let before = given(&house, &reply);
    let cookie = format!("{}; __Host-session={}", begun_at(&house, HOST), before.id().text().as_str());
    let reply = get_at(HOST, &service, Some(&second), &[("cookie", &cookie)], &format!("token={two}")).await.unwrap();
    assert_ne!(given(&house, &reply).id().text(), before.id().text(), "a new id at every log-in (L9)");
    assert!(house.sessions.standing(&before, NOW).await.unwrap().is_none(), "and the one that came along has ended");
}

#[test]
fn settings_that_would_send_browsers_astray_are_faults() {
    let house = House::new();
    for (more, expected) in [
        (vec![("then", "//evil.example")], "a path of this host"),
        (vec![("then", "/home"), ("failed", "https://evil.example")], "a path of this host"),
        (vec![("then", "/home"), ("failed", "/welcome?a=b")], "without query"),
        (vec![], "a clean URL"),
    ] {
        let mut settings = vec![("session", text("member"))];
        settings.extend(more.iter().map(|(key, value)| (*key, text(value))));
        let says = house.service(&ENTRY, Some(&node(map(settings)))).map(|_| ()).unwrap_err();
        assert!(says[0].contains(expected), "{more:?}: {says:?}");
    }
}

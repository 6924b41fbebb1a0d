//! Who is given a session, under which id, and from which page.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Reason, Seconds};
use crate::issuer::contract::{Reply, Service};
use crate::issuer::services::house::{House, NOW, field, identity, post_at};
use crate::issuer::services::session_open::ENTRY;
use crate::jose::session::{Reference, SessionId};
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const HOST: &str = "app.example";

fn text(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

fn service(house: &House, then: Option<&str>) -> Arc<dyn Service> {
    let mut settings = vec![("session", text("member"))];
    settings.extend(then.map(|path| ("then", text(path))));
    house.service(&ENTRY, Some(&node(map(settings)))).unwrap()
}

/// The session that `reply` gives.
fn given(house: &House, reply: &Reply) -> Reference {
    let cookie = field(reply, "set-cookie").expect("one cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600");
    let id = SessionId::parse(pair.strip_prefix("__Host-session=").unwrap()).unwrap();
    house.sessions.terms().recognise(id, HOST).expect("drawn for this host")
}

#[tokio::test]
async fn every_login_is_a_new_session_and_the_one_before_is_over() {
    let house = House::new();
    let (service, ann) = (service(&house, None), Arc::new(identity("jwt")));
    let mut ids = BTreeSet::new();
    let planted = SessionId::forged(&crate::state::testing::Counting::apart());
    let mut cookie = format!("__Host-session={}", planted.text().as_str());
    let mut before: Option<Reference> = None;
    for _ in 0..5 {
        let reply = post_at(HOST, &service, Some(&ann), &[("cookie", &cookie)], "").await.unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (204, None));
        let reference = given(&house, &reply);
        assert_ne!(reference.id().text(), planted.text(), "an id that was planted is not taken over (L9)");
        if let Some(before) = &before {
            assert_eq!(house.sessions.close(before, NOW).await, Ok(false), "the session that came along has been ended");
        }
        cookie = format!("__Host-session={}", reference.id().text().as_str());
        ids.insert(reference.id().text().to_string());
        before = Some(reference);
    }
    assert_eq!(ids.len(), 5, "a new id at every login");
    assert_eq!(house.sessions.close(&before.unwrap(), NOW).await, Ok(true), "the last one stands");
}

#[tokio::test]
async fn a_browser_is_sent_where_the_conf_says_and_nowhere_else() {
    let house = House::new();
    let ann = Arc::new(identity("jwt"));
    let reply = post_at(HOST, &service(&house, Some("/home?a=b")), Some(&ann), &[FORM], "then=https://evil.example").await.unwrap();
    assert_eq!((reply.status, field(&reply, "location")), (303, Some("/home?a=b")), "whatever the body says (L1)");
    for path in ["//evil.example", "https://evil.example", "home", "/\\evil.example", "/a b", "/a\nb"] {
        let settings = node(map(vec![("session", text("member")), ("then", text(path))]));
        let says = house.service(&ENTRY, Some(&settings)).map(|_| ()).unwrap_err();
        assert!(says[0].contains("a path of this host"), "{path:?}: {says:?}");
    }
    let bare = house.service(&ENTRY, None).map(|_| ()).unwrap_err();
    assert!(bare[0].contains("session.open: { session: NAME }"), "{bare:?}");
}

#[tokio::test]
async fn who_may_open_a_session() {
    let ours: (&str, &str) = ("sec-fetch-site", "same-origin");
    let rows: [(&'static str, &str, &[(&str, &str)], Option<Reason>, &str); 7] = [
        ("jwt", HOST, &[], None, "a token, from no browser"),
        ("ticket", HOST, &[ours], None, "a ticket, from a page of ours"),
        ("session", HOST, &[ours], Some(Reason::PolicyDenied), "a session, which would never end so"),
        ("jwt", HOST, &[("sec-fetch-site", "cross-site")], Some(Reason::PolicyDenied), "from another site (L15)"),
        ("jwt", HOST, &[("sec-fetch-site", "same-site")], Some(Reason::PolicyDenied), "from a sibling"),
        ("jwt", HOST, &[("origin", "https://evil.example"), ("host", HOST)], Some(Reason::PolicyDenied), "from another origin"),
        ("jwt", "", &[], Some(Reason::HeadMalformed), "at no host, where it would be good nowhere"),
    ];
    for (scheme, host, fields, expected, shows) in rows {
        let house = House::new();
        let outcome = post_at(host, &service(&house, None), Some(&Arc::new(identity(scheme))), fields, "").await;
        assert_eq!(outcome.err().map(|refusal| refusal.reason()), expected, "{shows}");
        if expected.is_some() {
            assert_eq!(house.failing.asked().1, 0, "{shows}: and nothing was written");
        }
    }
    let house = House::new();
    let nobody = post_at(HOST, &service(&house, None), None, &[], "").await.unwrap_err();
    assert_eq!(nobody.reason(), Reason::Internal, "a rule that proves nobody is a fault of ours");
}

#[tokio::test]
async fn a_pair_is_kept_as_it_was_brought() {
    /// The pair that is kept, if any; or no session at all.
    type Expected = Result<Option<(&'static str, &'static str)>, ()>;
    let bearer = ("authorization", "Bearer the-access");
    let end = Some(NOW.plus(Seconds(300)));
    let rows: [(&str, &[(&str, &str)], Expected, &str); 17] = [
        ("", &[bearer], Ok(None), "nothing to be spent: nothing is kept"),
        ("x=y", &[bearer, FORM], Ok(None), "nor with a body that brings none"),
        ("refresh_token=r", &[bearer, FORM], Ok(Some(("the-access", "r"))), "the bearer that proved the caller"),
        ("refresh_token=r&access_token=a", &[bearer, FORM], Ok(Some(("a", "r"))), "another access token"),
        ("refresh_token=r", &[FORM], Ok(Some(("", "r"))), "an access token that stood elsewhere is not ours to see"),
        ("access_token=a", &[FORM], Err(()), "an access token that nothing renews"),
        ("refresh_token=r&refresh_token=s", &[FORM], Err(()), "two of them"),
        ("refresh_token=r", &[], Err(()), "a form that does not say it is one"),
        ("{\"refresh_token\":\"r\",\"UID\":\"u\",\"profile\":{}}", &[JSON], Ok(Some(("", "r"))), "JSON, with what else a page sends"),
        ("{\"refresh_token\":\"r\",\"access_token\":\"a\"}", &[JSON], Ok(Some(("a", "r"))), "both in JSON"),
        ("{\"UID\":\"u\",\"refresh_token\":\"\"}", &[JSON], Ok(None), "JSON that brings nothing to keep"),
        ("{\"access_token\":\"a\"}", &[JSON], Err(()), "an access token alone in JSON"),
        ("{\"refresh_token\":7}", &[JSON], Err(()), "no text"),
        ("{\"refresh_token\":\"r\",\"refresh_token\":\"s\"}", &[JSON], Err(()), "two of them in JSON"),
        ("[\"refresh_token\"]", &[JSON], Err(()), "no object"),
        ("{\"refresh_token\":\"r\"}", &[FORM], Ok(None), "JSON that says it is a form is one parameter that nobody knows"),
        ("refresh_token=r", &[("content-type", "text/plain")], Err(()), "another form"),
    ];
    for (body, fields, expected, shows) in rows {
        let house = House::new();
        let reply = post_at(HOST, &service(&house, None), Some(&Arc::new(identity("jwt"))), fields, body).await.unwrap();
        let Ok(kept) = expected else {
            assert_eq!((reply.status, field(&reply, "set-cookie")), (400, None), "{shows}: no session");
            continue;
        };
        assert_eq!(reply.status, 204, "{shows}");
        let standing = house.sessions.standing(&given(&house, &reply), NOW).await.unwrap();
        let pair = standing.map(|standing| standing.pair);
        let told = pair.as_ref().map(|pair| (pair.access.expose(), pair.refresh.expose()));
        assert_eq!(told, kept.map(|(access, refresh)| (access.as_bytes(), refresh.as_bytes())), "{shows}");
        if let Some(pair) = pair {
            assert_eq!(pair.access_until, end, "{shows}: it is renewed when what proved the caller ends");
        }
    }
}

#[tokio::test]
async fn a_pair_that_is_in_a_session_opens_no_second_one() {
    let house = House::new();
    let (service, ann) = (service(&house, Some("/home")), Arc::new(identity("jwt")));
    let fields = [("authorization", "Bearer the-access"), FORM];
    let first = post_at(HOST, &service, Some(&ann), &fields, "refresh_token=r").await.unwrap();
    let first = given(&house, &first);
    let cookie = format!("__Host-session={}", first.id().text().as_str());
    for (cookie, shows) in [("a=b", "a second click"), (cookie.as_str(), "and with the session that has it")] {
        let fields = [fields[0], fields[1], ("cookie", cookie)];
        let reply = post_at(HOST, &service, Some(&ann), &fields, "refresh_token=r").await.unwrap();
        assert_eq!((reply.status, field(&reply, "set-cookie"), field(&reply, "location")), (409, None, None), "{shows}");
        let says = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(says.contains("is in a session already"), "{shows}: {says}");
        assert!(house.sessions.standing(&first, NOW).await.unwrap().is_some(), "{shows}: the first one stands");
    }
    let other = post_at(HOST, &service, Some(&ann), &[fields[0], fields[1], ("cookie", &cookie)], "refresh_token=s").await.unwrap();
    assert_eq!(other.status, 303, "another pair");
    assert!(house.sessions.standing(&first, NOW).await.unwrap().is_none(), "which ends what came along");
    let again = post_at(HOST, &service, Some(&ann), &fields, "refresh_token=r").await.unwrap();
    assert_eq!(again.status, 303, "so that the first pair is free");
    house.failing.fail(Some(Fault::Read));
    let refusal = post_at(HOST, &service, Some(&ann), &fields, "refresh_token=t").await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::StateUnavailable, "nobody can say whether it is in one");
}

#[tokio::test]
async fn without_the_store_there_is_no_session_and_no_cookie() {
    for fault in [Fault::Write, Fault::LostWrite] {
        let house = House::new();
        house.failing.fail(Some(fault));
        let refusal = post_at(HOST, &service(&house, None), Some(&Arc::new(identity("jwt"))), &[], "").await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::StateUnavailable, "{fault:?}");
    }
    let house = House::new();
    let before = house.sessions.terms().draw(HOST, &crate::state::testing::Counting::apart()).unwrap();
    house.failing.fail(Some(Fault::Remove));
    let cookie = format!("__Host-session={}", before.id().text().as_str());
    let outcome = post_at(HOST, &service(&house, None), Some(&Arc::new(identity("jwt"))), &[("cookie", &cookie)], "").await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::StateUnavailable, "the old session must be over before there is a new one");
}

//! A session ends for whoever holds it, and for no page of another site.

use std::sync::Arc;

use crate::domain::Reason;
use crate::issuer::contract::Service;
use crate::issuer::services::house::{House, NOW, field, identity, post_at};
use crate::issuer::services::session_close::ENTRY;
use crate::jose::session::{Reference, SessionId};
use crate::settings::NodeValue;
use crate::state::testing::{Counting, Fault};
use crate::verify::keys::testing::{map, node};

const HOST: &str = "app.example";
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");
const CLEARED: &str = "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

fn service(house: &House, then: Option<&str>) -> Arc<dyn Service> {
    let mut settings = vec![("session", NodeValue::Text("member".into()))];
    settings.extend(then.map(|path| ("then", NodeValue::Text(path.into()))));
    house.service(&ENTRY, Some(&node(map(settings)))).unwrap()
}

async fn opened(house: &House) -> (Reference, String) {
    let (reference, _) = house.sessions.open(HOST, &identity("jwt"), None, NOW).await.unwrap();
    let cookie = format!("__Host-session={}", reference.id().text().as_str());
    (reference, cookie)
}

#[tokio::test]
async fn a_session_ends_at_the_word_of_its_own_pages_only() {
    let rows: [(&[(&str, &str)], Option<Reason>, &str); 6] = [
        (&[OURS], None, "a page of ours"),
        (&[("origin", "https://app.example"), ("host", HOST)], None, "as older browsers say it"),
        (&[("sec-fetch-site", "cross-site")], Some(Reason::PolicyDenied), "another site (L15)"),
        (&[("sec-fetch-site", "same-site")], Some(Reason::PolicyDenied), "a sibling"),
        (&[("origin", "https://evil.example"), ("host", HOST)], Some(Reason::PolicyDenied), "another origin"),
        (&[], Some(Reason::PolicyDenied), "nobody who would say"),
    ];
    for (fields, expected, shows) in rows {
        let house = House::new();
        let (reference, cookie) = opened(&house).await;
        let fields: Vec<_> = fields.iter().copied().chain([("cookie", cookie.as_str())]).collect();
        let outcome = post_at(HOST, &service(&house, None), None, &fields, "").await;
        match (&outcome, expected) {
            (Ok(reply), None) => {
                assert_eq!((reply.status, field(reply, "set-cookie")), (204, Some(CLEARED)), "{shows}");
            }
            (Err(refusal), Some(expected)) => assert_eq!(refusal.reason(), expected, "{shows}"),
            _ => panic!("{shows}: {outcome:?}"),
        }
        assert_eq!(house.sessions.close(&reference, NOW).await, Ok(expected.is_some()), "{shows}: whether it is still there");
    }
}

#[tokio::test]
async fn what_is_over_is_answered_alike_and_what_is_unclear_is_refused() {
    let house = House::new();
    let service = service(&house, Some("/goodbye"));
    let stranger = SessionId::forged(&Counting::apart());
    let (one, two) = (opened(&house).await, opened(&house).await);
    let rows: [(Vec<String>, Option<Reason>, &str); 5] = [
        (vec![], None, "no cookie"),
        (vec![format!("__Host-session={}", stranger.text().as_str())], None, "an id that leads nowhere"),
        (vec![one.1.clone()], None, "a session"),
        (vec![one.1.clone(), two.1.clone()], Some(Reason::CredentialConflict), "two (L10)"),
        (vec!["__Host-session=x".into()], Some(Reason::CredentialMalformed), "no id"),
    ];
    for (cookies, expected, shows) in rows {
        let fields: Vec<_> = cookies.iter().map(|cookie| ("cookie", cookie.as_str())).chain([OURS]).collect();
        let outcome = post_at(HOST, &service, None, &fields, "").await;
        match (&outcome, expected) {
            (Ok(reply), None) => {
                let told = (reply.status, field(reply, "set-cookie"), field(reply, "location"));
                assert_eq!(told, (303, Some(CLEARED), Some("/goodbye")), "{shows}");
            }
            (Err(refusal), Some(expected)) => assert_eq!(refusal.reason(), expected, "{shows}"),
            _ => panic!("{shows}: {outcome:?}"),
        }
    }
    assert_eq!(house.sessions.close(&two.0, NOW).await, Ok(true), "of two that were presented neither was ended");
}

#[tokio::test]
async fn an_id_that_was_never_drawn_does_not_come_as_far_as_the_store() {
    let house = House::new();
    // Whoever asked the store now would be refused.
    house.failing.fail(Some(Fault::Remove));
    let elsewhere = house.sessions.terms().draw("other.example", &Counting::apart()).unwrap();
    for (id, shows) in [(&SessionId::forged(&Counting::apart()), "invented"), (elsewhere.id(), "drawn for another host")] {
        let cookie = format!("__Host-session={}", id.text().as_str());
        let reply = post_at(HOST, &service(&house, None), None, &[("cookie", &cookie), OURS], "").await.unwrap();
        assert_eq!((reply.status, field(&reply, "set-cookie")), (204, Some(CLEARED)), "{shows}: taken away all the same");
    }
}

#[tokio::test]
async fn the_cookie_stays_until_the_session_is_over() {
    let house = House::new();
    let (_, cookie) = opened(&house).await;
    house.failing.fail(Some(Fault::Remove));
    let outcome = post_at(HOST, &service(&house, None), None, &[("cookie", &cookie), OURS], "").await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::StateUnavailable, "whoever thinks to be logged out must be");
    house.failing.fail(None);
    let reply = post_at("other.example", &service(&house, None), None, &[("cookie", &cookie), OURS], "").await.unwrap();
    assert_eq!(reply.status, 204, "carried to another host it ends nothing there");
    let reply = post_at(HOST, &service(&house, None), None, &[("cookie", &cookie), OURS], "").await.unwrap();
    assert_eq!((reply.status, field(&reply, "set-cookie")), (204, Some(CLEARED)), "and at its own it ends");
}

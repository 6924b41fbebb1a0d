//! Tokens slid on by HATs on loopback, over TLS, well and badly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::domain::{Clock, Identity, Observer, Random, Secret, Silent, Spent, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::net::client::loopback::{Asked, Loopback, Told};
use crate::net::client::{Client, ClientSettings};
use crate::renew::contract::{RenewError, RenewTools, Renewer};
use crate::renew::hat::ENTRY;
use crate::renew::stage::{NOW, plan, shown};

const HAT: &str = "ada.hubat.net";

struct Still;

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Rs256).unwrap()
}

/// A token that was made `age` seconds ago, and differs from others as `change` says.
fn token(key: &SigningKey, age: i64, change: &Json) -> String {
    let mut claims = json!({ "iss": HAT, "iat": NOW.0 - age, "exp": NOW.0 + 2_000_000, "application": "app", "applicationVersion": "1" });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    key.sign_compact(&[], &claims).unwrap()
}

fn spent(token: &str, issuer: &str) -> Spent {
    let identity = Identity {
        subject: issuer.into(),
        issuer: "whoever".into(),
        scopes: Box::default(),
        claims: crate::domain::Claims::empty(),
        expires: Some(NOW),
        not_before: None,
        scheme: "hat",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    // What a session shows in its place is no token.
    Spent { refresh: Secret::new(token.as_bytes().to_vec()), access: Secret::new(b"other".to_vec()), identity: Arc::new(identity) }
}

/// A renewer, and the HAT it asks.
fn scene(script: impl Fn(&Asked) -> Told + Send + 'static) -> (Loopback, Arc<dyn Renewer>) {
    let server = Loopback::start_tls(&[HAT], script);
    let (plan, told) = plan(&ENTRY, "{ issuers: hubat.net }");
    let plan = plan.unwrap_or_else(|| panic!("{told:?}"));
    let settings = ClientSettings {
        resolve: vec![(HAT.to_owned(), server.address)],
        ca: Some(server.ca.clone().into_bytes()),
        ..ClientSettings::default()
    };
    let client = Arc::new(Client::new(settings).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(NOW.0));
    let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Still), Arc::new(Silent));
    let tools = RenewTools {
        deadline: Duration::from_secs(10),
        issuers: &BTreeMap::new(),
        client: &client,
        clock: &clock,
        random: &random,
        observer: &observer,
    };
    let renewer = plan.build(&"sliding".into(), &tools).unwrap();
    (server, renewer)
}

fn answer(status: u16, token: Option<&str>) -> Told {
    let mut fields = vec![("content-type".to_owned(), "application/json".to_owned())];
    fields.extend(token.map(|token| ("X-Auth-Token".to_owned(), token.to_owned())));
    Told::Answer(status, fields, br#"{"message":"Authenticated"}"#.to_vec())
}

#[tokio::test]
async fn the_hat_that_made_a_token_slides_it_on() {
    let key = key();
    let (old, fresh) = (token(&key, 200_000, &json!({})), token(&key, 0, &json!({})));
    let reply = fresh.clone();
    let (server, renewer) = scene(move |_| answer(200, Some(&reply)));
    let pair = renewer.renew(&spent(&old, HAT), NOW).await.unwrap();
    assert_eq!(shown(&pair), format!("{fresh} {fresh} 259201 259201"), "presented, and slid on next; for three days more");
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.target(), "/users/access_token/validate", "the cheapest question");
    assert_eq!((asked.field("x-auth-token"), asked.field("accept")), (Some(old.as_str()), Some("application/json")));
    assert!(renewer.forgives_repeats(), "asking spends nothing");
}

#[tokio::test]
async fn what_a_hat_says_and_what_follows() {
    let key = key();
    let later = |age: i64| token(&key, age, &json!({}));
    let rejected = Err(RenewError::Rejected { code: "not_authenticated" });
    let (unaccepted, unreached) = (Err(RenewError::Unaccepted { code: "" }), Err(RenewError::Unreached { why: "" }));
    let home = |place: &str| Told::Answer(303, vec![("location".to_owned(), place.to_owned())], Vec::new());
    let page = Told::Answer(401, vec![("content-type".to_owned(), "text/html".to_owned())], b"<html>".to_vec());
    let two = Told::Answer(200, vec![("X-Auth-Token".to_owned(), later(0)), ("X-Auth-Token".to_owned(), later(1))], Vec::new());
    let rows: Vec<(Told, Result<(), RenewError>, &str)> = vec![
        (answer(200, Some(&later(0))), Ok(()), "a newer one"),
        (answer(200, Some(&later(200_001))), unaccepted, "an older one, as the answer to another tab that comes last"),
        (answer(200, Some(&later(200_000))), unaccepted, "the same"),
        (answer(200, Some(&token(&key, 0, &json!({ "exp": NOW.0 + 10 })))), unaccepted, "a newer one that ends earlier"),
        (answer(200, Some(&token(&key, 0, &json!({ "iss": "bob.hubat.net" })))), unreached, "one of another HAT"),
        (answer(200, Some("opaque")), unreached, "no token"),
        (answer(200, None), unreached, "none"),
        (two, unreached, "two of them"),
        (answer(401, None), rejected, "the HAT takes it for none"),
        (home("/"), rejected, "which it may also say so"),
        (home("https://evil.example/"), unreached, "another redirect is not followed"),
        (page, unreached, "a page from something in between says nothing of tokens"),
        (answer(403, None), unaccepted, "forbidden"),
        (answer(500, None), unreached, "an error"),
        (Told::Raw(Vec::new()), unreached, "a broken connection: nothing was spent"),
        (Told::Endless, unreached, "an answer without end"),
    ];
    let (server, renewer) = scene(|_| Told::Hang);
    for (told, expected, shows) in rows {
        server.tell(told);
        let outcome = renewer.renew(&spent(&later(200_000), HAT), NOW).await.map(|_| ());
        match (&outcome, &expected) {
            (Ok(()), Ok(())) => {}
            (Err(outcome), Err(expected)) => {
                assert_eq!(std::mem::discriminant(outcome), std::mem::discriminant(expected), "{shows}: {outcome:?}");
            }
            _ => panic!("{shows}: {outcome:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_in_vain_or_where_nobody_should_be() {
    let key = key();
    let (server, renewer) = scene(|_| Told::status(500));
    let ends_by_exp = token(&key, 1_000, &json!({ "exp": NOW.0 + 3_600 }));
    let idle = token(&key, 259_201, &json!({}));
    let last = token(&key, 259_200, &json!({}));
    let elsewhere = |issuer: &str| token(&key, 0, &json!({ "iss": issuer }));
    let rows = [
        (ends_by_exp, HAT, Err(RenewError::Unaccepted { code: "no_later_end" }), 0, "nothing moves `exp`"),
        (idle, HAT, Err(RenewError::Rejected { code: "too_late" }), 0, "idle for more than three days"),
        (elsewhere("evil.example"), "evil.example", Err(RenewError::Unaccepted { code: "no_such_hat" }), 0, "a host that is not allowed"),
        (elsewhere("127.0.0.1"), "127.0.0.1", Err(RenewError::Unaccepted { code: "no_such_hat" }), 0, "an address"),
        (elsewhere("x@ada.hubat.net"), "x@ada.hubat.net", Err(RenewError::Unaccepted { code: "no_such_hat" }), 0, "a user before the host"),
        (elsewhere("bob.hubat.net"), HAT, Err(RenewError::Unaccepted { code: "no_token_of_this_hat" }), 0, "a token of somebody else's"),
        ("opaque".to_owned(), HAT, Err(RenewError::Unaccepted { code: "no_token_of_this_hat" }), 0, "no token"),
    ];
    for (token, issuer, expected, asked, shows) in rows {
        let outcome = renewer.renew(&spent(&token, issuer), NOW).await.map(|_| ());
        assert_eq!((outcome, server.count()), (expected, asked), "{shows}");
    }
    let outcome = renewer.renew(&spent(&last, HAT), NOW).await.unwrap_err();
    assert!(matches!(outcome, RenewError::Unreached { .. }), "{outcome:?}");
    assert_eq!(server.count(), 1, "in its very last second it is worth asking");
    let later = renewer.renew(&spent(&last, HAT), Timestamp(NOW.0 + 1)).await.unwrap_err();
    assert_eq!((later, server.count()), (RenewError::Rejected { code: "too_late" }, 1), "and not in the next");
}

#[test]
fn settings_that_would_ask_anybody_are_faults() {
    for (settings, expected) in [
        ("{}", "issuers"),
        ("{ issuers: [] }", "issuers"),
        ("{ issuers: net }", "top-level domain"),
        ("{ issuers: 'https://hubat.net' }", "canonical form"),
        ("{ issuers: hubat.net, url: https://x.example }", "knows no key `url`"),
    ] {
        let (plan, told) = plan(&ENTRY, settings);
        assert!(plan.is_none() && told.iter().any(|says| says.contains(expected)), "{settings}: {told:?}");
    }
}

//! Who may revoke, what is understood, and what they are told.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::domain::{By, Listed, ListedFrom, Revocation, RevocationId, Seconds, Secret, Timestamp};
use crate::edge::admin::Admin;
use crate::edge::readiness::Readiness;
use crate::gate::contract::{Revoked, Revoker, Withdrawn};
use crate::telemetry::metrics::Metrics;

const TOKEN: &str = "an-admin-token-of-the-tests";
const ID: RevocationId = RevocationId([7; 16]);
const NOW: Timestamp = Timestamp(1_000);

/// Remembers what it was asked, and answers as it was told.
struct Desk {
    revoked: Revoked,
    withdrawn: Withdrawn,
    asked: Mutex<Vec<Revocation>>,
    listed: usize,
}

impl Default for Desk {
    fn default() -> Self {
        Self { revoked: Revoked::Everywhere(ID), withdrawn: Withdrawn::Done, asked: Mutex::default(), listed: 0 }
    }
}

#[async_trait]
impl Revoker for Desk {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn lasts(&self) -> Seconds {
        Seconds(600)
    }

    async fn revoke(&self, revocation: Revocation) -> Revoked {
        self.asked.lock().push(revocation);
        self.revoked
    }

    async fn withdraw(&self, id: RevocationId) -> Withdrawn {
        if id == ID { self.withdrawn } else { Withdrawn::Unknown }
    }

    fn page(&self, after: Option<ListedFrom>, most: usize) -> (Vec<Listed>, bool) {
        let entry = |number: usize| Listed {
            from: match number {
                0 => ListedFrom::File { line: 3 },
                _ => ListedFrom::Log {
                    made: Timestamp(i64::try_from(number).unwrap()),
                    id: RevocationId((number as u128).to_be_bytes()),
                    kept: number.is_multiple_of(2),
                },
            },
            revocation: Arc::new(Revocation {
                by: By::Subject,
                value: number.to_string().into(),
                issuer: None,
                issued_before: None,
                until: Timestamp(2_000),
                reason: Box::default(),
            }),
        };
        let mut entries: Vec<Listed> =
            (0..self.listed).rev().map(entry).filter(|entry| after.is_none_or(|after| entry.from < after)).collect();
        let more = most < entries.len();
        entries.truncate(most);
        (entries, more)
    }
}

fn admin(address: &str, token: Option<&str>, desk: &Arc<Desk>) -> Admin {
    let metrics = Arc::new(Metrics::new(Arc::new(AtomicI64::new(0))));
    let token = token.map(|token| Secret::new(token.as_bytes().to_vec()));
    let admin = Admin::new(address.parse().unwrap(), token.as_ref(), Arc::new(Readiness::starting()), metrics);
    admin.with_revoker(Arc::clone(desk) as Arc<dyn Revoker>)
}

/// Status, `Allow`, and body as JSON, or as text where it is none.
async fn ask(admin: &Admin, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> (u16, Option<String>, Value) {
    let mut request = Request::builder().method(method).uri(target).header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let reply = admin.answer(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await;
    let status = reply.status().as_u16();
    let allow = reply.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, allow, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

fn bearer() -> (&'static str, String) {
    ("authorization", format!("Bearer {TOKEN}"))
}

#[tokio::test]
async fn nobody_revokes_or_looks_without_the_token_wherever_they_come_from() {
    const LOCAL: &str = "127.0.0.1:9901";
    const EVERYWHERE: &str = "0.0.0.0:9901";
    let right = bearer().1;
    let rows: [(&str, Option<&str>, Option<&str>, u16, &str); 9] = [
        (LOCAL, Some(TOKEN), Some(&right), 0, "the token, over loopback"),
        (EVERYWHERE, Some(TOKEN), Some(&right), 0, "the token, from elsewhere"),
        (LOCAL, Some(TOKEN), None, 401, "loopback alone does not do"),
        (LOCAL, Some(TOKEN), Some("Bearer an-admin-token-of-the-testS"), 401, "nor a wrong token"),
        (LOCAL, Some(TOKEN), Some("Bearer "), 401, "nor an empty one"),
        (LOCAL, Some(TOKEN), Some("Basic YTpi"), 401, "nor another scheme"),
        (LOCAL, None, None, 403, "no token was set: closed, over loopback too"),
        (LOCAL, None, Some(&right), 403, "nor does one help that was never set"),
        (EVERYWHERE, None, None, 403, "nor from elsewhere"),
    ];
    for (address, token, sent, refused, shows) in rows {
        let desk = Arc::new(Desk::default());
        let admin = admin(address, token, &desk);
        let mut fields = vec![("content-type", "application/json")];
        fields.extend(sent.map(|sent| ("authorization", sent)));
        let requests = [("GET", "/revocations", 200), ("POST", "/revocations", 201), ("DELETE", &format!("/revocations/{ID}"), 200)];
        for (method, target, allowed) in requests {
            let (status, _, says) = ask(&admin, method, target, &fields, r#"{"subject":"anna"}"#).await;
            assert_eq!(status, if refused == 0 { allowed } else { refused }, "{shows}: {method}");
            if refused == 403 {
                assert!(says.as_str().unwrap().contains("admin.token"), "{shows}: and says what to do");
            }
        }
        assert_eq!(desk.asked.lock().len(), usize::from(refused == 0), "{shows}: and nothing else was done");
    }
}

#[tokio::test]
async fn what_is_asked_for_is_done_and_told() {
    let rows = [
        (Revoked::Everywhere(ID), 201, Some(true), "on all nodes"),
        (Revoked::Here(ID), 503, Some(false), "on this one only: no success"),
        (Revoked::Full, 507, None, "not at all"),
    ];
    for (revoked, status, everywhere, shows) in rows {
        let desk = Arc::new(Desk { revoked, ..Desk::default() });
        let admin = admin("127.0.0.1:1", Some(TOKEN), &desk);
        let (name, value) = bearer();
        let fields = [(name, value.as_str()), ("content-type", "application/json; charset=utf-8")];
        let body = r#"{"subject":"anna","issued_before":"now","reason":"left"}"#;
        let told = ask(&admin, "POST", "/revocations", &fields, body).await;
        assert_eq!((told.0, told.2.get("everywhere").and_then(Value::as_bool)), (status, everywhere), "{shows}: {told:?}");
        assert!(!told.2["says"].as_str().unwrap().is_empty(), "{shows}");
        if everywhere.is_some() {
            assert_eq!((told.2["id"].as_str(), told.2["until"].as_i64()), (Some(&*ID.to_string()), Some(1_600)), "{shows}");
        }
        let asked = desk.asked.lock().pop().unwrap();
        assert_eq!((asked.until, asked.issued_before), (Timestamp(1_600), Some(Timestamp(1_001))), "{shows}: as of now");
    }
}

#[tokio::test]
async fn what_is_not_a_revocation_does_nothing() {
    let desk = Arc::new(Desk::default());
    let admin = admin("127.0.0.1:1", Some(TOKEN), &desk);
    let (name, value) = bearer();
    let long = format!("{{\"subject\":\"{}\"}}", "x".repeat(20_000));
    let rows = [
        ("POST", "/revocations", "application/json", "{", 400, None, "no JSON"),
        ("POST", "/revocations", "application/json", r#"{"subjekt":"anna"}"#, 400, None, "a word mistyped"),
        ("POST", "/revocations", "application/json", "", 400, None, "nothing"),
        ("POST", "/revocations", "application/json", &long, 413, None, "too much"),
        ("POST", "/revocations", "text/plain", r#"{"subject":"anna"}"#, 415, None, "what a form of a page could send"),
        ("POST", "/revocations", "application/jsonx", r#"{"subject":"anna"}"#, 415, None, "another type"),
        ("PUT", "/revocations", "application/json", r#"{"subject":"anna"}"#, 405, Some("GET, POST"), "another method"),
        ("DELETE", "/revocations", "application/json", "", 405, Some("GET, POST"), "all at once"),
        ("GET", &format!("/revocations/{ID}"), "application/json", "", 405, Some("DELETE"), "one of them"),
        ("DELETE", "/revocations/7", "application/json", "", 404, None, "no id"),
        ("DELETE", "/revocations/", "application/json", "", 404, None, "no id at all"),
        ("DELETE", "/revocations/08080808080808080808080808080808", "application/json", "", 404, None, "another id"),
        ("POST", "/revocationss", "application/json", r#"{"subject":"anna"}"#, 404, None, "another page"),
        ("GET", "/revocations?limit=0", "", "", 400, None, "no page"),
        ("GET", "/revocations?limit=1001", "", "", 400, None, "too large a page"),
        ("GET", "/revocations?after=x", "", "", 400, None, "no cursor"),
        ("GET", "/revocations?after=1.7", "", "", 400, None, "half a cursor"),
        ("GET", "/revocations?before=x", "", "", 400, None, "an unknown question"),
    ];
    for (method, target, kind, body, status, allow, shows) in rows {
        let (told, allowed, _) = ask(&admin, method, target, &[(name, &value), ("content-type", kind)], body).await;
        assert_eq!((told, allowed.as_deref()), (status, allow), "{shows}");
    }
    assert_eq!(desk.asked.lock().len(), 0);
}

#[tokio::test]
async fn a_withdrawal_says_whether_it_counts() {
    for (withdrawn, status) in [(Withdrawn::Done, 200), (Withdrawn::Unknown, 404), (Withdrawn::Unavailable, 503)] {
        let desk = Arc::new(Desk { withdrawn, ..Desk::default() });
        let admin = admin("127.0.0.1:1", Some(TOKEN), &desk);
        let (name, value) = bearer();
        let (told, _, says) = ask(&admin, "DELETE", &format!("/revocations/{ID}"), &[(name, &value)], "").await;
        assert_eq!(told, status, "{withdrawn:?}");
        assert!(says["says"].is_string(), "{withdrawn:?}: {says}");
    }
}

#[tokio::test]
async fn pages_lead_through_the_whole_list() {
    let desk = Arc::new(Desk { listed: 7, ..Desk::default() });
    let admin = admin("127.0.0.1:1", Some(TOKEN), &desk);
    let (name, value) = bearer();
    for (limit, pages) in [(3, 3), (7, 1), (1000, 1)] {
        let (mut seen, mut target, mut count) = (Vec::new(), format!("/revocations?limit={limit}"), 0);
        loop {
            let (status, _, page) = ask(&admin, "GET", &target, &[(name, &value)], "").await;
            assert_eq!(status, 200, "{page}");
            count += 1;
            seen.extend(page["revocations"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => target = format!("/revocations?limit={limit}&after={next}"),
                None => break,
            }
        }
        assert_eq!((count, seen.len()), (pages, 7), "pages of {limit}");
        let expected = json!({ "id": "00000000000000000000000000000006", "made": 6, "everywhere": true, "subject": "6", "until": 2000 });
        assert_eq!(seen[0], expected, "an entry as operators see it");
        assert_eq!(seen[6], json!({ "line": 3, "subject": "0", "until": 2000 }), "and one of the file");
    }
}

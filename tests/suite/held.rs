//! Replies that are held until their body tells what they mean: renewed and asked for again, or passed on byte for byte.

mod bounds;
mod cost;
mod failures;
mod gathered;
mod rewritten;
mod ways;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign::edge::upstream::UpstreamOptions;
use countersign::telemetry::report::Ending;

use crate::support::edge::{Running, options, service, start_with};
use crate::support::judge::{Gatekeeper, Renewal};
use crate::support::upstream::{Recorded, Reply, Upstream, eventually, ok};

const GOOD: &str = "Authorization: Bearer good\r\n";

/// A `200` that says in its body that the credential has run out.
fn expired() -> Reply {
    ok(r#"{"status":401,"error":{"code":"40104","message":"expired"}}"#)
}

/// Takes the fresh credential only, and says so in the body.
fn wants_new(record: &Recorded) -> Reply {
    if record.fields("x-credential") == ["new"] { ok("taken") } else { expired() }
}

async fn edge_before(upstream: &Upstream, renewal: Renewal) -> (Running, Arc<Gatekeeper>) {
    edge_to(service(&[upstream.address]), renewal).await
}

async fn edge_to(service: UpstreamOptions, renewal: Renewal) -> (Running, Arc<Gatekeeper>) {
    let gatekeeper = Arc::new(Gatekeeper { renewal, ..Gatekeeper::default() });
    let edge = start_with(options(), vec![service], gatekeeper.clone()).await;
    (edge, gatekeeper)
}

/// How a service is reached that may be silent for a moment only.
fn quick(upstream: std::net::SocketAddr) -> UpstreamOptions {
    UpstreamOptions { read_timeout: Duration::from_millis(400), ..service(&[upstream]) }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n{GOOD}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_expired_is_never_seen_where_the_credential_can_be_renewed() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    let rows = [("GET", ""), ("POST", "a body"), ("PUT", "another"), ("DELETE", "")];
    for (round, (method, body)) in rows.iter().enumerate() {
        let request = format!("{method} /held?q=1 HTTP/1.1\r\nHost: app.example\r\n{GOOD}Content-Length: {}\r\n\r\n{body}", body.len());
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "taken"), "{method}");
        assert_eq!(answer.field("set-cookie"), Some("rt=fresh; Path=/"), "{method}: the fresh pair is handed back");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{method}: and not cached");
        eventually("it is reported", || edge.ledger.visits().len() == round + 1).await;
        let visit = edge.ledger.visits().pop().unwrap();
        assert_eq!(
            (visit.ending, visit.status, visit.upstream_status, visit.renewed),
            (Ending::Admitted, 200, Some(200), true),
            "{method}"
        );
        let seen = upstream.records().split_off(2 * round);
        let told: Vec<_> = seen.iter().map(|record| (record.line(), record.fields("x-credential").join(","), &record.body[..])).collect();
        let line = format!("{method} /held?q=1 HTTP/1.1");
        let body = body.as_bytes();
        assert_eq!(told, [(line.as_str(), "old".to_owned(), body), (line.as_str(), "new".to_owned(), body)], "{method}: whole, twice");
    }
    assert_eq!((gatekeeper.renewed.load(Ordering::SeqCst), gatekeeper.in_vain.load(Ordering::SeqCst)), (4, 0));
    assert_eq!(client.get("/served").await.text(), "served", "the client's connection lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_is_told_and_the_client_gets_is_as_on_the_usual_way() {
    let upstream = Upstream::scripted(|record| match record.target() {
        target if target.ends_with("/chunked") => {
            Reply::Bytes(b"HTTP/1.1 200 Fine\r\nX-Own: 1\r\nX_Auth_Subject: root\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec())
        }
        target if target.ends_with("/none") => Reply::Bytes(b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n".to_vec()),
        target if target.ends_with("/unchanged") => {
            Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nX-Own: 1\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n".to_vec())
        }
        target if target.ends_with("/teapot") => Reply::Bytes(b"HTTP/1.1 418 Tea\r\nX-Own: 1\r\nContent-Length: 3\r\n\r\ntea".to_vec()),
        _ if record.line().starts_with("HEAD") => Reply::Bytes(b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 7\r\n\r\n".to_vec()),
        _ => Reply::Bytes(b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nX-Auth-Subject: root\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\n\r\nabcde".to_vec()),
    })
    .await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let more = "X-Auth-Subject: mallory\r\nX_Auth.Subject: mallory\r\nTE: trailers\r\nProxy-Authorization: a\r\nKeep-Alive: 5\r\n\
                Cookie: a=1\r\nX-Hop: 1\r\nConnection: keep-alive, x-hop\r\n";
    let mut client = edge.client().await;
    for (method, tail) in [
        ("GET", ""),
        ("HEAD", ""),
        ("POST", ""),
        ("GET", "/chunked"),
        ("GET", "/none"),
        ("GET", "/unchanged"),
        ("GET", "/teapot"),
        ("OPTIONS", "/chunked"),
    ] {
        let mut told = Vec::new();
        let mut answers = Vec::new();
        for way in ["/renewable", "/held"] {
            client.send(format!("{method} {way}{tail} HTTP/1.1\r\nHost: app.example\r\n{GOOD}{more}Content-Length: 0\r\n\r\n")).await;
            let answer = client.answer_to(method).await.unwrap();
            let date = |name: &str| name.eq_ignore_ascii_case("date");
            let fields: Vec<_> = answer.fields.iter().filter(|(name, _)| !date(name)).cloned().collect();
            answers.push((answer.status, fields, answer.body));
            told.push(upstream.records().pop().unwrap().head.replace(way, ""));
        }
        assert_eq!(told[0], told[1], "{method} {tail}: the same request");
        assert_eq!(answers[0], answers[1], "{method} {tail}: the same answer");
        assert!(answers[1].1.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-own")), "{method} {tail}: the upstream's");
        assert!(!answers[1].1.iter().any(|(_, value)| value == "root"), "{method} {tail}: an upstream does not speak in our headers");
    }
    assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst), 0, "nothing had run out");
    let told = upstream.records().pop().unwrap();
    for gone in ["te", "proxy-authorization", "keep-alive", "x-hop", "connection", "authorization"] {
        assert_eq!(told.fields(gone), [""; 0], "{gone} is of this hop");
    }
    assert_eq!((told.fields("x-auth-subject"), told.fields("via")), (vec!["alice"], vec!["1.1 countersign"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_renewed_the_reply_goes_through_untouched() {
    let rows = [
        // what comes of the renewal, target, renewals, cookie, what it shows
        (Renewal::Fails, "/held", 1, None, "no fresh credential"),
        (Renewal::Panics, "/held", 1, None, "a judge that panics has not renewed"),
        (Renewal::Refuses, "/held", 1, Some("rt=fresh; Path=/"), "renewed and not let in: the client gets what was paid for"),
        (Renewal::Admits, "/held/fixed", 0, None, "a credential that nobody renews"),
        (Renewal::Admits, "/renewable", 0, None, "a rule without a system: a body says nothing"),
        (Renewal::Admits, "/weighed", 0, None, "a system whose replies are not held"),
        (Renewal::Admits, "/held/panics", 0, None, "a system that panics has understood nothing"),
    ];
    for (renewal, target, renewals, cookie, shows) in rows {
        let upstream = Upstream::scripted(|_| expired()).await;
        let (edge, gatekeeper) = edge_before(&upstream, renewal).await;
        let mut client = edge.client().await;
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().contains("40104")), (200, true), "{shows}");
        assert_eq!(answer.field("set-cookie"), cookie, "{shows}");
        assert_eq!((upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst)), (1, renewals), "{shows}");
        let panics = usize::from(target.ends_with("panics"));
        assert_eq!(edge.ledger.panics(), panics, "{shows}");
        assert_eq!(client.get("/served").await.text(), "served", "{shows}: the connection lives on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_again_once_and_the_judge_hears_that_it_was_in_vain() {
    let upstream = Upstream::scripted(|_| expired()).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().contains("40104")), (200, true), "the second refusal is the answer");
    assert_eq!(answer.field("set-cookie"), Some("rt=fresh; Path=/"), "with the pair, since the old one is spent");
    let counts = (upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst), gatekeeper.in_vain.load(Ordering::SeqCst));
    assert_eq!(counts, (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_can_say_it_as_well_held_or_not() {
    fn in_its_head(record: &Recorded) -> Reply {
        match (record.fields("x-credential")[..] == ["new"], record.target().ends_with("/401")) {
            (true, _) => ok("taken"),
            (false, true) => Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec()),
            (false, false) => Reply::Bytes(b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec()),
        }
    }
    let rows = [
        ("/weighed", 200, "a system weighs the head of what is not held"),
        ("/weighed/401", 200, "401 is 401 to everybody"),
        ("/held", 200, "held, and there is nothing to hold"),
        ("/held/401", 200, "the same"),
        ("/renewable", 303, "without a system, a redirect is a redirect"),
        ("/renewable/401", 200, "and a 401 a 401"),
        ("/weighed/fixed", 303, "a credential that nobody renews"),
    ];
    for (target, status, shows) in rows {
        let upstream = Upstream::scripted(in_its_head).await;
        let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get(target)).await;
        assert_eq!(client.answer().await.status, status, "{shows}");
        assert_eq!(upstream.hits(), if status == 200 { 2 } else { 1 }, "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_longer_let_in_sees_nothing_of_a_held_reply() {
    let upstream = Upstream::scripted(|_| expired()).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Over).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().contains("40104")), (401, false), "{}", answer.text());
    assert_eq!((upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst)), (1, 0));
}

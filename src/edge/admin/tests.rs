//! Who sees what on the admin listener, and that strangers cannot wear it out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use http::{HeaderValue, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Admin, is_loopback_name};
use crate::domain::Secret;
use crate::edge::readiness::Readiness;
use crate::telemetry::metrics::Metrics;

const LOCAL: &str = "127.0.0.1:9901";
const EVERYWHERE: &str = "0.0.0.0:9901";

fn admin(address: &str, token: Option<&str>) -> (Arc<Readiness>, Admin) {
    let readiness = Arc::new(Readiness::starting());
    let metrics = Arc::new(Metrics::new(Arc::new(AtomicI64::new(0))));
    let token = token.map(|token| Secret::new(token.as_bytes().to_vec()));
    let admin = Admin::new(address.parse().unwrap(), token.as_ref(), Arc::clone(&readiness), metrics);
    (readiness, admin)
}

fn asking(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[test]
fn everyone_sees_the_health_and_only_some_the_rest() {
    const HERE: (&str, &str) = ("host", "localhost:9901");
    const RIGHT: (&str, &str) = ("authorization", "Bearer s3cret-token");
    // Listener, token set, fields sent, status of `/metrics`, what the row shows.
    type Row = (&'static str, Option<&'static str>, &'static [(&'static str, &'static str)], u16, &'static str);
    let rows: [Row; 16] = [
        (LOCAL, None, &[HERE], 200, "over loopback"),
        ("[::1]:9901", None, &[("host", "[::1]:9901")], 200, "over the other loopback"),
        (LOCAL, None, &[("host", "evil.example:9901")], 403, "a page whose name was bound to loopback"),
        (LOCAL, None, &[("host", "localhost"), ("host", "evil.example")], 403, "two names"),
        (LOCAL, None, &[], 403, "no name"),
        (EVERYWHERE, None, &[HERE], 403, "O7: reachable from elsewhere, and no token"),
        (EVERYWHERE, None, &[HERE, RIGHT], 403, "nor does one help that was never set"),
        (EVERYWHERE, Some("s3cret-token"), &[RIGHT], 200, "the token"),
        (EVERYWHERE, Some("s3cret-token"), &[("authorization", "bearer s3cret-token")], 200, "the scheme has no case"),
        (EVERYWHERE, Some("s3cret-token"), &[HERE], 401, "none"),
        (EVERYWHERE, Some("s3cret-token"), &[("authorization", "Bearer s3cret-tokeN")], 401, "a wrong one"),
        (EVERYWHERE, Some("s3cret-token"), &[("authorization", "Bearer s3cret-toke")], 401, "a shorter one"),
        (EVERYWHERE, Some("s3cret-token"), &[("authorization", "Bearer ")], 401, "an empty one"),
        (EVERYWHERE, Some("s3cret-token"), &[("authorization", "Basic s3cret-token")], 401, "another scheme"),
        (EVERYWHERE, Some("s3cret-token"), &[RIGHT, RIGHT], 401, "two are not one"),
        (LOCAL, Some("s3cret-token"), &[HERE], 401, "a token that was set is asked for over loopback too"),
    ];
    for (address, token, fields, expected, shows) in rows {
        let (readiness, admin) = admin(address, token);
        readiness.serve();
        assert_eq!(admin.reply(&asking("GET", "/metrics", fields), &admin.access.load()).status(), expected, "{shows}");
        for open in ["/livez", "/readyz"] {
            assert_eq!(admin.reply(&asking("GET", open, fields), &admin.access.load()).status(), 200, "{shows}: {open} is for everyone");
        }
        let hidden = admin.reply(&asking("GET", "/config", fields), &admin.access.load()).status();
        assert_eq!(hidden, if expected == 401 { 401 } else { 404 }, "O8, {shows}: there is nothing else, and strangers cannot tell");
    }
}

#[test]
fn nothing_can_be_done_here_only_seen() {
    let (_, admin) = admin(LOCAL, None);
    for path in ["/livez", "/readyz", "/metrics"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
            let reply = admin.reply(&asking(method, path, &[("host", "localhost")]), &admin.access.load());
            assert_eq!(
                (reply.status().as_u16(), reply.headers().get("allow")),
                (405, Some(&HeaderValue::from_static("GET, HEAD"))),
                "{method} {path}"
            );
        }
    }
    for path in ["/", "/livez/", "//livez", "/metrics/x", "/LIVEZ", "/%6civez", "/debug/pprof"] {
        assert_eq!(admin.reply(&asking("GET", path, &[("host", "localhost")]), &admin.access.load()).status(), 404, "{path}");
    }
}

#[test]
fn only_names_that_no_page_can_have_are_loopback_names() {
    let rows = [
        ("localhost", true),
        ("LOCALHOST:9901", true),
        ("127.0.0.1", true),
        ("127.8.9.10:1", true),
        ("[::1]", true),
        ("[::1]:9901", true),
        ("[::ffff:127.0.0.1]:9901", true),
        ("localhost.", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("127.0.0.1:9901:1", false),
        ("127.0.0.1:", false),
        ("127.1", false),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("::1", false),
        ("user@localhost", false),
        ("", false),
    ];
    for (host, expected) in rows {
        assert_eq!(is_loopback_name(&HeaderValue::from_str(host).unwrap()), expected, "{host}");
    }
    assert!(!is_loopback_name(&HeaderValue::from_bytes(b"localhost\xff").unwrap()), "no text is no name");
}

#[test]
fn it_prints_no_token() {
    let (_, admin) = admin(EVERYWHERE, Some("s3cret-token"));
    assert_eq!(format!("{admin:?}"), "Admin(token)");
}

/// An admin on a real socket, and the way to stop it.
async fn running() -> (SocketAddr, Arc<Readiness>, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (readiness, admin) = admin(&address.to_string(), None);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(Arc::new(admin).serve(listener, async {
        let _ = stopped.await;
    }));
    (address, readiness, stop, serving)
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection reset by a server that closed without reading everything ends the answer just as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn over_a_real_connection_it_tells_life_readiness_and_metrics() {
    let (address, readiness, stop, serving) = running().await;
    readiness.lack("keys/partners");

    let (head, body) = get(address, "/livez").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "it lives before it is ready: {head}");
    assert_eq!(body, "{\"live\":true}\n");

    let (head, body) = get(address, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "not while starting: {head}");
    assert_eq!(body, "{\"ready\":false,\"phase\":\"starting\",\"missing\":[\"keys/partners\"]}\n");

    readiness.have("keys/partners");
    readiness.serve();
    let (head, body) = get(address, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "once serving: {head}");
    assert_eq!(body, "{\"ready\":true,\"phase\":\"serving\",\"missing\":[]}\n");

    let (head, body) = get(address, "/metrics").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(body.contains("countersign_build_info{") && body.ends_with("# EOF\n"), "{body}");

    readiness.drain();
    let (head, body) = get(address, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("draining"), "not while draining: {head}{body}");

    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "once stopped nobody listens");
}

#[tokio::test]
async fn head_has_no_body_and_a_connection_carries_one_request() {
    let (address, readiness, _stop, _serving) = running().await;
    readiness.serve();
    let answer = exchange(address, &format!("HEAD /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    let twice = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(2);
    assert_eq!(exchange(address, &twice).await.matches("HTTP/1.1").count(), 1, "the second is not answered");
}

#[tokio::test]
async fn what_is_no_request_or_too_large_is_turned_away() {
    let (address, _readiness, _stop, _serving) = running().await;
    let large = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    let rows = [
        (large.as_str(), "a head past its bound"),
        ("NONSENSE\r\n\r\n", "no request at all"),
        ("GET /livez HTTP/1.1\r\nHost : a\r\n\r\n", "a space before the colon"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "another protocol"),
    ];
    for (request, shows) in rows {
        let answer = exchange(address, request).await;
        assert!(!answer.contains(" 200 "), "{shows}: {answer}");
    }
    assert!(get(address, "/livez").await.0.contains(" 200 "), "and it still answers");
}

#[tokio::test]
async fn connections_are_counted_and_given_back() {
    let (address, _readiness, _stop, _serving) = running().await;
    let mut held = Vec::new();
    for _ in 0..Admin::MOST_CONNECTIONS {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    // Accepted in order: by the time the next one is closed, all that are held have been taken in.
    let mut one_more = TcpStream::connect(address).await.unwrap();
    let mut byte = [0; 1];
    assert!(!matches!(one_more.read(&mut byte).await, Ok(1..)), "one more than there is room for is closed unanswered");
    drop(held.pop());
    for attempt in 0.. {
        if exchange(address, &format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n")).await.contains(" 200 ") {
            break;
        }
        assert!(attempt < 10_000, "a place that was given back can be taken again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "the runtime's own clock stands still and is moved by its timers")]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let (address, _readiness, _stop, _serving) = running().await;
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET /livez HT").await.unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    let waited = began.elapsed();
    assert!(Admin::HEAD <= waited && waited <= Admin::WHOLE_REQUEST + Duration::from_secs(1), "P1: after {waited:?}");
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "and unanswered");
}

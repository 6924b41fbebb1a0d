//! TLS on both sides, and HTTP/2 towards clients: the same gate, stream by stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use countersign::edge::server::{EdgeOptions, ListenerOptions};
use countersign::edge::upstream::{UpstreamOptions, UpstreamTls};
use http::{Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::edge::{Running, options, service, start, start_with};
use crate::support::identity::Identity;
use crate::support::judge::Gatekeeper;
use crate::support::raw::{Client, PATIENCE, Socket};
use crate::support::upstream::{Reply, Upstream, eventually, ok};

const NAME: &str = "app.example";

fn encrypted(identity: &Identity) -> EdgeOptions {
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: Some(identity.certificate()), http2: true };
    EdgeOptions { listeners: vec![listener], ..options() }
}

/// An HTTP/2 connection; each request is a stream of its own.
#[derive(Clone)]
struct Multiplexed(h2::client::SendRequest<Bytes>);

impl Multiplexed {
    async fn over(socket: impl Socket + 'static) -> Self {
        let (send, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    async fn to(edge: &Running, identity: &Identity) -> Self {
        Self::over(identity.connect(edge.address, NAME, &["h2"]).await.expect("a handshake")).await
    }

    async fn ask(&mut self, request: Request<()>, body: Option<&str>) -> Result<(u16, Bytes), h2::Error> {
        let (response, mut stream) = self.0.clone().ready().await?.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(Bytes::from(body.to_owned()), true)?;
        }
        let response = response.await?;
        let status = response.status().as_u16();
        let mut received = Vec::new();
        let mut body = response.into_body();
        while let Some(piece) = body.data().await {
            received.extend_from_slice(&piece?);
        }
        Ok((status, received.into()))
    }

    async fn get(&mut self, path: &str) -> Result<(u16, Bytes), h2::Error> {
        self.ask(request("GET", path).body(()).unwrap(), None).await
    }
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://{NAME}{path}")).version(http::Version::HTTP_2)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_ends_at_a_listener_and_its_certificate_can_be_replaced() {
    let upstream = Upstream::start().await;
    let (first, second) = (Identity::of(NAME), Identity::of(NAME));
    let edge = start(encrypted(&first), vec![service(&[upstream.address])]).await;

    let mut client = Client::over(first.connect(edge.address, NAME, &["http/1.1"]).await.unwrap());
    assert_eq!(client.get("/public").await.status, 200);
    assert_eq!(upstream.records()[0].fields("x-auth-connection"), ["tls=true name=app.example h2=false"], "the judge knows how it came");

    assert!(edge.handle.replace_certificate(0, second.certified()));
    assert!(!edge.handle.replace_certificate(1, second.certified()), "there is no second listener");
    assert_eq!(client.get("/public").await.status, 200, "an open connection stays as it is");
    assert!(first.connect(edge.address, NAME, &[]).await.is_none(), "the old certificate is not shown any more");
    let mut client = Client::over(second.connect(edge.address, NAME, &[]).await.unwrap());
    assert_eq!(client.get("/public").await.status, 200, "the new one is");

    client.send("GET /public HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400, "the guard stands behind TLS as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let mut short = encrypted(&Identity::of(NAME));
    short.connection.head_timeout = Duration::from_millis(300);
    let edge = start(short, vec![service(&[upstream.address])]).await;
    let mut silent = edge.client().await;
    assert!(silent.is_closed().await, "P18 nothing is said");
    let mut plain = edge.client().await;
    plain.send("GET /public HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _alert = plain.rest().await;
    eventually("both are counted", || edge.ledger.refused_connections() == ["handshake"; 2]).await;
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stream_passes_the_gate_by_itself() {
    let upstream = Upstream::start().await;
    let identity = Identity::of(NAME);
    let edge = start(encrypted(&identity), vec![service(&[upstream.address])]).await;
    let mut client = Multiplexed::to(&edge, &identity).await;

    let admitted = request("POST", "/a?b=c").header("authorization", "Bearer good").header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(client.ask(admitted.body(()).unwrap(), Some("abc")).await.unwrap(), (200, "ok".into()));
    let record = upstream.sole();
    assert_eq!((record.line(), &record.body[..]), ("POST /a?b=c HTTP/1.1", &b"abc"[..]));
    assert_eq!(record.fields("host"), [NAME], "from :authority");
    assert_eq!(record.fields("cookie"), ["a=1; b=2"], "one field, as HTTP/1.1 has it");
    assert_eq!(record.fields("x-auth-subject"), ["alice"]);
    assert_eq!(record.fields("x-auth-connection"), ["tls=true name=app.example h2=true"]);

    assert_eq!(client.get("/closed").await.unwrap().0, 401);
    assert_eq!(client.get("/panic").await.unwrap().0, 500, "a panic costs its stream");
    assert_eq!(client.ask(request("HEAD", "/closed").body(()).unwrap(), None).await.unwrap(), (401, Bytes::new()));
    assert_eq!(client.ask(request("TRACE", "/public").body(()).unwrap(), None).await.unwrap().0, 405, "J1");
    assert_eq!(client.ask(request("POST", "/body").body(()).unwrap(), Some("good")).await.unwrap().0, 200, "J13 a judged body");
    assert_eq!(client.ask(request("POST", "/body").body(()).unwrap(), Some("evil")).await.unwrap().0, 401, "J13");
    let expecting = request("POST", "/public").header("expect", "y").body(()).unwrap();
    assert_eq!(client.ask(expecting, Some("abc")).await.unwrap().0, 400, "J11 another expectation");
    let mut many = request("GET", "/public");
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(client.ask(many.body(()).unwrap(), None).await.unwrap().0, 431, "P5 too many fields");
    let large = request("GET", "/public").header("x", "a".repeat(40_000)).body(()).unwrap();
    assert_ne!(client.ask(large, None).await.map_or(431, |(status, _)| status), 200, "P4 too large");
    let other = request("GET", "/public").header("host", "other.example").body(()).unwrap();
    assert_eq!(client.ask(other, None).await.unwrap().0, 400, "I26 Host against :authority");
    let short = request("POST", "/public").header("content-length", "5").body(()).unwrap();
    assert!(client.ask(short, Some("abc")).await.is_err(), "K22 a length that is not the length");

    let all = (0..20).map(|number| {
        let mut client = client.clone();
        tokio::spawn(async move { client.get(&format!("/public/{number}")).await.unwrap().0 })
    });
    for status in all.collect::<Vec<_>>() {
        assert_eq!(status.await.unwrap(), 200, "side by side, and after all that");
    }
    for record in upstream.records() {
        assert!(!record.target().starts_with("/closed") && !record.head.contains("other.example"), "{}", record.head);
    }
    assert_eq!(edge.ledger.open(), 1, "all over one connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_identity_and_its_siblings_do_not() {
    let (events, receiver) = mpsc::channel::<Bytes>(8);
    let receiver = parking_lot::Mutex::new(Some(receiver));
    let upstream = Upstream::scripted(move |record| {
        if record.target() == "/public/events" { receiver.lock().take().map_or(Reply::Hangup, Reply::Stream) } else { ok("ok") }
    })
    .await;
    let identity = Identity::of(NAME);
    let gatekeeper = Arc::new(Gatekeeper::default());
    gatekeeper.cut_at.store(1_000_100, Ordering::SeqCst);
    let edge = start_with(encrypted(&identity), vec![service(&[upstream.address])], gatekeeper).await;
    let mut client = Multiplexed::to(&edge, &identity).await;

    let (response, _) = client.0.send_request(request("GET", "/public/events").body(()).unwrap(), true).unwrap();
    let response: Response<_> = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    events.send("data: 1\n\n".into()).await.unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "data: 1\n\n", "an event as it comes");

    edge.clock.store(1_000_100, Ordering::SeqCst);
    let end = tokio::time::timeout(PATIENCE, body.data()).await.expect("J10 the stream is cut");
    assert!(!matches!(end, Some(Ok(_))), "J10 with nothing more on it");
    assert_eq!(client.get("/public").await.unwrap().0, 200, "its siblings live on");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_in_plaintext_is_spoken_only_where_it_was_asked_for() {
    let upstream = Upstream::start().await;
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: None, http2: true };
    let edge = start(EdgeOptions { listeners: vec![listener], ..options() }, vec![service(&[upstream.address])]).await;
    let mut client = Multiplexed::over(TcpStream::connect(edge.address).await.unwrap()).await;
    let plain = Request::builder().uri("http://app.example/public").body(()).unwrap();
    assert_eq!(client.ask(plain, None).await.unwrap().0, 200, "with prior knowledge");
    let record = upstream.sole();
    assert_eq!(record.fields("x-auth-connection"), ["tls=false name=- h2=true"]);
    assert_eq!(edge.client().await.get("/public").await.status, 200, "and HTTP/1.1 beside it");
    let mut client = edge.client().await;
    client.send("POST /closed HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 401, "a method that begins like the preface");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_lets_streams_finish_and_opens_no_more() {
    let (events, receiver) = mpsc::channel::<Bytes>(8);
    let receiver = parking_lot::Mutex::new(Some(receiver));
    let upstream = Upstream::scripted(move |_| receiver.lock().take().map_or_else(|| ok("ok"), Reply::Stream)).await;
    let identity = Identity::of(NAME);
    let edge = start(encrypted(&identity), vec![service(&[upstream.address])]).await;
    let mut client = Multiplexed::to(&edge, &identity).await;
    let (response, _) = client.0.send_request(request("GET", "/public").body(()).unwrap(), true).unwrap();
    let mut body = response.await.unwrap().into_body();

    edge.begin_drain();
    eventually("nobody listens", || std::net::TcpStream::connect(edge.address).is_err()).await;
    events.send("x".into()).await.unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "x", "a stream under way goes on");
    drop(events);
    while let Some(piece) = body.data().await {
        assert_eq!(piece.expect("to its end, not cut off"), "", "with nothing more on it");
    }
    tokio::time::timeout(PATIENCE, edge.drain()).await.expect("then the edge is done");
    assert!(client.get("/public").await.is_err(), "and no stream is opened any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_verified_before_anything_is_sent_to_it() {
    let (right, wrong) = (Identity::of("inner.example"), Identity::of("inner.example"));
    let upstream = Upstream::over_tls(&right, |_| ok("ok")).await;
    let tls = |anchor: &Identity, name: Option<&str>, verify: bool| {
        let anchors = Some(Arc::from([anchor.der()]));
        let tls = UpstreamTls { anchors, server_name: name.map(Into::into), verify };
        UpstreamOptions { tls: Some(tls), ..service(&[upstream.address]) }
    };
    let rows = [
        (tls(&right, Some("inner.example"), true), 200, "the right anchor and name"),
        (tls(&wrong, Some("inner.example"), true), 502, "another anchor"),
        (tls(&right, Some("other.example"), true), 502, "another name"),
        (tls(&right, None, true), 502, "the server's own host, which the certificate does not hold"),
        (tls(&wrong, Some("other.example"), false), 200, "not verified, where the conf says so"),
    ];
    let mut hits = 0;
    for (service, status, shows) in rows {
        let edge = start(options(), vec![service]).await;
        assert_eq!(edge.client().await.get("/public").await.status, status, "{shows}");
        hits += usize::from(status == 200);
        assert_eq!(upstream.hits(), hits, "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_goes_through_tls_on_both_sides() {
    let (outer, inner) = (Identity::of(NAME), Identity::of("inner.example"));
    let upstream = Upstream::over_tls(&inner, |_| Reply::Echo).await;
    let tls = UpstreamTls { anchors: Some(Arc::from([inner.der()])), server_name: Some("inner.example".into()), verify: true };
    // HTTP/2 is offered to this upstream; a handshake goes over HTTP/1.1 nevertheless.
    let service = UpstreamOptions { tls: Some(tls), http2: true, ..service(&[upstream.address]) };
    let edge = start(encrypted(&outer), vec![service]).await;
    for number in 0..20 {
        let mut client = Client::over(outer.connect(edge.address, NAME, &["http/1.1"]).await.unwrap());
        client.send("GET /public HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 101, "{number}");
        client.send("ping").await;
        assert_eq!(&client.take(4).await[..], b"ping", "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_one_address_with_different_anchors_are_not_shared() {
    let (right, wrong) = (Identity::of("inner.example"), Identity::of("inner.example"));
    let upstream = Upstream::over_tls(&right, |_| ok("ok")).await;
    let tls = |anchor: &Identity| {
        let tls = UpstreamTls { anchors: Some(Arc::from([anchor.der()])), server_name: Some("inner.example".into()), verify: true };
        UpstreamOptions { tls: Some(tls), ..service(&[upstream.address]) }
    };
    let services = vec![tls(&right), tls(&wrong)];
    let upstreams = countersign::edge::upstream::Upstreams::new(services.clone()).unwrap();
    let edge = start(options(), services).await;
    let mut client = edge.client().await;
    assert_eq!(client.get("/public").await.status, 200, "a connection is pooled now");
    let second = Gatekeeper { upstream: 1, ..Gatekeeper::default() };
    edge.handle.replace(&options(), countersign::edge::proxy::Serving { judge: Arc::new(second), upstreams });
    assert_eq!(client.get("/public").await.status, 502, "and is not lent to those who would not have made it");
}

//! HTTP/2 towards an upstream: what is countersigned arrives as over HTTP/1.1, and trailers come back without our names.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign::edge::server::{EdgeOptions, ListenerOptions};
use countersign::edge::upstream::{UpstreamOptions, UpstreamTls};
use http::{HeaderMap, HeaderValue, Request, Response};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use crate::support::edge::{Running, options, service, start};
use crate::support::identity::Identity;
use crate::support::raw::Socket;
use crate::support::upstream::Upstream;

const NAME: &str = "inner.example";

/// A request as an HTTP/2 upstream saw it.
struct Seen {
    head: http::request::Parts,
    body: Vec<u8>,
}

impl Seen {
    fn fields(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// An upstream that speaks nothing but HTTP/2, and counts its connections.
#[derive(Clone, Default)]
struct Upstream2 {
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Upstream2 {
    /// Starts it, over TLS when there is an identity; answers `200 ok` and trailers of its own and of ours.
    async fn start(identity: Option<&Identity>) -> (Self, SocketAddr) {
        let upstream = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, acceptor) = (upstream.clone(), identity.map(Identity::acceptor_http2));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *shared.connections.lock() += 1;
                let (shared, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => shared.serve(socket).await,
                        Some(acceptor) => shared.serve(acceptor.accept(socket).await.ok()?).await,
                    }
                });
            }
        });
        (upstream, address)
    }

    async fn serve(self, socket: impl Socket + 'static) -> Option<()> {
        let mut connection = h2::server::handshake(socket).await.ok()?;
        while let Some(stream) = connection.accept().await {
            let (request, respond) = stream.ok()?;
            tokio::spawn(self.clone().answer(request, respond));
        }
        Some(())
    }

    async fn answer(self, request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) -> Option<()> {
        let (head, mut stream) = request.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece.ok()?;
            stream.flow_control().release_capacity(piece.len()).ok()?;
            body.extend_from_slice(&piece);
        }
        self.seen.lock().push(Seen { head, body });
        let response = Response::builder().header("x-own", "1").header("x_auth_subject", "root").body(()).unwrap();
        let mut send = respond.send_response(response, false).ok()?;
        send.send_data(Bytes::from_static(b"ok"), false).ok()?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-auth-subject", HeaderValue::from_static("root"));
        trailers.insert("x_auth_subject", HeaderValue::from_static("root"));
        send.send_trailers(trailers).ok()
    }
}

/// An edge that speaks HTTP/2 in plaintext, before `service`.
async fn before(service: UpstreamOptions) -> Running {
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: None, http2: true };
    start(EdgeOptions { listeners: vec![listener], ..options() }, vec![service]).await
}

/// One request over HTTP/2: status, fields, body, trailers.
async fn ask(edge: &Running, request: Request<()>, sent: &'static str) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let (mut send, connection) = h2::client::handshake(TcpStream::connect(edge.address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let (response, mut stream) = send.send_request(request, sent.is_empty()).unwrap();
    if !sent.is_empty() {
        stream.send_data(Bytes::from_static(sent.as_bytes()), true).unwrap();
    }
    let (head, mut stream) = response.await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        body.extend_from_slice(&piece.unwrap());
    }
    (Response::from_parts(head, ()), body, stream.trailers().await.unwrap())
}

fn hostile(method: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri("http://app.example/a?b=c")
        .version(http::Version::HTTP_2)
        .header("authorization", "Bearer good")
        .header("x-auth-subject", "mallory")
        .header("x_auth.subject", "mallory")
        .header("x-other", "1")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_over_http2_sees_what_one_over_http1_sees() {
    let identity = Identity::of(NAME);
    for tls in [None, Some(&identity)] {
        let (upstream, address) = Upstream2::start(tls).await;
        let over =
            |identity: &Identity| UpstreamTls { anchors: Some(Arc::from([identity.der()])), server_name: Some(NAME.into()), verify: true };
        let edge = before(UpstreamOptions { http2: true, tls: tls.map(over), ..service(&[address]) }).await;
        let shows = if tls.is_some() { "over TLS" } else { "with prior knowledge" };

        let (head, body, trailers) = ask(&edge, hostile("POST"), "abc").await;
        assert_eq!((head.status().as_u16(), &body[..]), (200, &b"ok"[..]), "{shows}");
        assert_eq!(head.headers().get("x-own").unwrap(), "1", "{shows}");
        assert!(!head.headers().contains_key("x_auth_subject"), "{shows}: an upstream does not speak in our headers");
        let trailers = trailers.unwrap_or_else(|| panic!("{shows}: trailers come back"));
        assert_eq!(trailers.get("grpc-status").unwrap(), "0", "{shows}");
        for ours in ["x-auth-subject", "x_auth_subject"] {
            assert!(!trailers.contains_key(ours), "{shows}: nor in trailers: {ours}");
        }

        let mut client = edge.client().await;
        client
            .send("GET /a?b=c HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer good\r\nX_Auth_Subject: mallory\r\nX-Other: 1\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str(), answer.field("x_auth_subject")), (200, "ok", None), "{shows}: from HTTP/1.1");

        let seen = upstream.seen.lock();
        let told: Vec<_> = seen.iter().map(|seen| (seen.head.method.as_str(), &seen.body[..])).collect();
        assert_eq!(told, [("POST", &b"abc"[..]), ("GET", &b""[..])], "{shows}");
        for request in seen.iter() {
            assert_eq!(request.head.version, http::Version::HTTP_2, "{shows}");
            let uri = &request.head.uri;
            assert_eq!((uri.path_and_query().unwrap().as_str(), uri.host()), ("/a?b=c", Some("app.example")), "{shows}");
            assert_eq!(request.fields("x-auth-subject"), ["alice"], "{shows}: the judge's word, once");
            assert_eq!(request.fields("x-other"), ["1"], "{shows}");
            for gone in ["x_auth_subject", "x_auth.subject", "authorization", "connection", "transfer-encoding"] {
                assert_eq!(request.fields(gone), [""; 0], "{shows}: {gone}");
            }
        }
        drop(seen);
        assert_eq!(*upstream.connections.lock(), 1, "{shows}: one connection carries both");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_speak_http2_is_an_upstream_that_failed() {
    let upstream = Upstream::start().await;
    let edge = before(UpstreamOptions { http2: true, ..service(&[upstream.address]) }).await;
    let (head, _, _) = ask(&edge, hostile("POST"), "").await;
    assert_eq!(head.status(), 502, "prior knowledge that was wrong");
    assert_eq!(upstream.records().iter().filter(|record| record.head.contains("alice")).count(), 0, "and nothing was said to it");
}

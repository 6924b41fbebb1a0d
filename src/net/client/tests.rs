//! What an exchange does, and what it never does, against servers that misbehave on purpose.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method};
use url::Url;

use crate::net::client::loopback::{Loopback, Told, silent_port};
use crate::net::client::{Client, ClientSettings, Exchange, FetchFault, Reply, let_through};
use crate::net::guard::Reach;

const SOON: Duration = Duration::from_secs(5);

fn client() -> Client {
    Client::new(ClientSettings::default()).unwrap()
}

async fn get(client: &Client, url: &str) -> Result<Reply, FetchFault> {
    client.fetch(Exchange::get(Url::parse(url).unwrap(), SOON, 1000)).await
}

#[tokio::test]
async fn an_exchange_carries_what_it_was_given_and_nothing_of_the_environment() {
    let server = Loopback::start(|_| Told::Answer(201, vec![("x-told".into(), "yes".into())], b"well".to_vec()));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
    let url = Url::parse(&server.url("/a?b=c")).unwrap();
    let exchange = Exchange { method: Method::POST, headers, body: Bytes::from_static(b"token=1"), ..Exchange::get(url, SOON, 4) };
    let reply = client().fetch(exchange).await.unwrap();

    assert_eq!((reply.status, reply.body.as_ref()), (201, b"well".as_slice()), "four bytes fit in four");
    assert_eq!(reply.headers.get("x-told").map(HeaderValue::as_bytes), Some(b"yes".as_slice()), "fields are handed on");
    let asked = server.asked();
    assert_eq!(asked[0].head.lines().next(), Some("POST /a?b=c HTTP/1.1"), "the target as written");
    assert_eq!(asked[0].body, b"token=1", "the body as given");
    assert_eq!(asked[0].field("authorization"), Some("Basic eDp5"), "the fields as given");
    assert_eq!(asked[0].field("accept-encoding"), None, "no compression is asked for");
    assert!(asked[0].field("user-agent").is_some_and(|agent| agent.starts_with("countersign/")), "it says who it is");
}

#[tokio::test]
async fn a_bad_answer_is_a_fault_and_never_half_an_answer() {
    let gzip = || Told::Answer(200, vec![("content-encoding".into(), "gzip".into())], b"x".to_vec());
    let raw = |text: &str| Told::Raw(text.as_bytes().to_vec());
    let limit = 1000;
    let cases = [
        // what the server does, the verdict, what the row shows
        (Told::ok(vec![b'x'; limit]), Ok(200), "the largest answer that fits"),
        (Told::ok(vec![b'x'; limit + 1]), Err(FetchFault::TooLarge { limit }), "one byte more, announced"),
        (Told::Endless, Err(FetchFault::TooLarge { limit }), "one byte more, not announced"),
        (gzip(), Err(FetchFault::Encoded), "compressed without having been asked"),
        (raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), Err(FetchFault::NoAnswer), "breaks off in the body"),
        (raw("HTTP/1.1 200 OK\r\ncontent-len"), Err(FetchFault::NoAnswer), "breaks off in the head"),
        (raw(""), Err(FetchFault::NoAnswer), "closes without a word"),
        (raw("<html>not HTTP at all</html>\r\n\r\n"), Err(FetchFault::NoAnswer), "speaks something else"),
        (Told::Answer(302, vec![("location".into(), "http://169.254.169.254/".into())], vec![]), Ok(302), "a redirect is not followed"),
        (Told::status(500), Ok(500), "an error status is an answer; what it means is for others"),
    ];
    let server = Loopback::start(|_| Told::status(500));
    for (told, expected, shows) in cases {
        server.tell(told);
        let before = server.count();
        assert_eq!(get(&client(), &server.url("/")).await.map(|reply| reply.status), expected, "{shows}");
        assert_eq!(server.count(), before + 1, "asked once: {shows}");
    }
}

#[tokio::test]
async fn the_deadline_covers_the_whole_exchange() {
    let server = Loopback::start(|_| Told::status(200));
    for (told, shows) in [(Told::Hang, "silence"), (Told::Trickle(vec![b'x'; 900]), "one byte at a time keeps no exchange alive")] {
        server.tell(told);
        let exchange = Exchange::get(Url::parse(&server.url("/")).unwrap(), Duration::from_millis(200), 1000);
        assert_eq!(client().fetch(exchange).await.err(), Some(FetchFault::NoAnswer), "{shows}");
    }
}

#[tokio::test]
async fn where_nothing_may_be_sent_nothing_is_sent() {
    let server = Loopback::start(|_| Told::ok("secret"));
    let local = server.url("/");
    let cases = [
        // url, reach, fault, what the row shows
        ("http://id.example/", Reach::Configured, FetchFault::Plaintext, "plaintext beyond this machine"),
        ("http://10.0.0.1/", Reach::Configured, FetchFault::Plaintext, "plaintext to a private address"),
        ("https://169.254.169.254/latest/meta-data", Reach::Configured, FetchFault::AddressRefused, "metadata, by the operator"),
        ("https://[::ffff:169.254.169.254]/", Reach::Configured, FetchFault::AddressRefused, "metadata, mapped"),
        ("https://0/", Reach::Configured, FetchFault::AddressRefused, "this machine under another name"),
        (&local, Reach::FromToken, FetchFault::AddressRefused, "loopback, named by a token"),
        ("https://localhost/", Reach::FromToken, FetchFault::AddressRefused, "loopback by name, named by a token"),
        ("https://10.0.0.1/", Reach::FromToken, FetchFault::AddressRefused, "private, named by a token"),
    ];
    for (url, reach, expected, shows) in cases {
        let exchange = Exchange { reach, ..Exchange::get(Url::parse(url).unwrap(), SOON, 1000) };
        let fault = client().fetch(exchange).await.unwrap_err();
        assert_eq!(fault, expected, "{shows} ({url})");
        assert!(fault.nothing_sent(), "{shows}");
    }
    assert_eq!(server.count(), 0, "not one of them arrived");

    let nobody = get(&client(), &format!("http://{}/", silent_port())).await.unwrap_err();
    assert!(matches!(nobody, FetchFault::Unreachable { .. }) && nobody.nothing_sent(), "a refused connection sent nothing: {nobody:?}");
}

#[tokio::test]
async fn a_name_is_judged_by_the_addresses_it_resolves_to() {
    let address = |text: &str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0);
    let mixed = || vec![address("169.254.169.254"), address("10.0.0.1"), address("93.184.216.34")];
    let kept = |name: &str, reach| let_through(name, mixed(), reach).map(|left| left.len()).ok();
    assert_eq!(kept("id.example", Reach::Configured), Some(2), "all but the metadata service");
    assert_eq!(kept("id.example", Reach::FromToken), Some(1), "only the public one");
    assert_eq!(kept("localhost", Reach::Configured), None, "localhost that leads elsewhere leads nowhere");
    assert!(let_through("x", vec![address("127.0.0.1")], Reach::FromToken).is_err(), "rebinding to loopback");
    assert!(let_through("x", Vec::new(), Reach::Configured).is_err(), "no address at all");

    let metadata = ClientSettings { resolve: vec![("id.example".into(), address("169.254.169.254"))], ..ClientSettings::default() };
    let fault = get(&Client::new(metadata).unwrap(), "https://id.example/").await.unwrap_err();
    assert_eq!(fault, FetchFault::AddressRefused, "the resolver's refusal is told as what it is");
}

#[tokio::test]
async fn tls_is_checked_against_the_named_authorities_and_the_name() {
    let server = Loopback::start_tls(&["id.example"], |_| Told::ok("well"));
    let stranger = Loopback::start_tls(&["id.example"], |_| Told::ok("ill"));
    let settings = |ca: Option<&str>| ClientSettings {
        ca: ca.map(|pem| pem.as_bytes().to_vec()),
        resolve: vec![("id.example".into(), server.address), ("other.example".into(), server.address)],
        ..ClientSettings::default()
    };
    let trusting = Client::new(settings(None)).unwrap().trusting(server.ca.as_bytes()).unwrap();
    assert_eq!(get(&trusting, "https://id.example/").await.unwrap().body.as_ref(), b"well", "the right authority and name");
    let from_token = Exchange { reach: Reach::FromToken, ..Exchange::get(Url::parse("https://id.example/").unwrap(), SOON, 1000) };
    assert!(trusting.fetch(from_token).await.is_ok(), "an override is the operator's word, also for a token's host");

    for (client, url, shows) in [
        (Client::new(settings(Some(&stranger.ca))).unwrap(), "https://id.example/", "another authority"),
        (Client::new(settings(Some(&server.ca))).unwrap(), "https://other.example/", "another name"),
    ] {
        let fault = get(&client, url).await.unwrap_err();
        assert!(matches!(&fault, FetchFault::Unreachable { why } if why.contains("certificate")), "{shows}: {fault:?}");
    }
    let nobody = super::build(&settings(None), Some(&[]), Reach::Configured).unwrap();
    let fault = nobody.get("https://id.example/").send().await.unwrap_err();
    assert!(fault.is_connect(), "who trusts no authority trusts no server: {fault:?}");
    for (ca, shows) in [("", "an empty bundle"), ("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "no certificate")] {
        assert!(Client::new(settings(Some(ca))).is_err(), "{shows}");
    }
}

#[tokio::test]
async fn a_url_does_not_speak_for_us() {
    let server = Loopback::start(|_| Told::status(200));
    let url = format!("http://user:password@{}/", server.address);
    assert_eq!(get(&client(), &url).await.unwrap().status, 200);
    assert_eq!(server.asked()[0].field("authorization"), None, "a password in the URL is not sent");
    let shown = format!("{:?}", Exchange::get(Url::parse(&url).unwrap(), SOON, 1));
    assert!(!shown.contains("password"), "nor shown: {shown}");
    assert!(shown.contains(&Ipv4Addr::LOCALHOST.to_string()), "the host is: {shown}");
}

//! The WebSocket of `/connect` over the running proxy, in front of TapTalk's API: the page holds a session, the vendor sees its pair.

use std::sync::atomic::Ordering;

use countersign::demo::systems::taptalk::DemoTapTalk;

use super::{LIFE, PAGE, Stage};
use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::whole::NOW;

const SITE: &str = "site.example";

/// A text in a frame, masked as clients write (RFC 6455 section 5.2).
fn frame(text: &str) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let masked = text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    head.into_iter().chain(mask).chain(masked).collect()
}

/// As taptalksdk-web opens it from a page of `host`: everything in the query, nothing in fields.
fn handshake(host: &str, token: &str, more: &str) -> String {
    let app_key = base64(format!("{}:{}", DemoTapTalk::APP.0, DemoTapTalk::APP.1)).replace('=', "%3D");
    format!(
        "GET /connect?content_type=undefined&app_key={app_key}&authorization=Bearer%20{token}&device_identifier=d-1&device_model=Netscape&device_platform=web HTTP/1.1\r\n\
         Host: {host}\r\n{more}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_holds_a_session_opens_the_vendors_socket_with_the_pair_that_the_proxy_holds() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    // The pair ran out meanwhile: it is renewed before the vendor is asked, and once.
    stage.at(NOW + LIFE);
    let before = stage.vendor.seen().len();
    let mut client = stage.whole.client().await;
    client.send(handshake(SITE, "held-by-the-proxy", &format!("Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"))).await;
    let opened: Answer = client.head().await.expect("an answer");
    assert_eq!(opened.status, 101, "{opened:?} {}", stage.whole.written());
    assert_eq!(opened.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "RFC 6455 section 1.3");
    for text in ["hello", "and once more"] {
        client.send(frame(text)).await;
        let echoed = [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        assert_eq!(&client.take(echoed.len()).await[..], echoed, "both ways, frame by frame");
    }
    let seen = stage.vendor.seen().split_off(before);
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/v1/auth/access_token/refresh", "/connect"], "renewed, then asked, and nothing is left of the query");
    let asked = seen.last().unwrap();
    let shown = asked.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    assert!(stage.vendor.credentials().iter().any(|known| known == shown), "the vendor sees the session's own");
    assert!(!asked.headers.contains_key("cookie"), "and not the session");
    assert_eq!(
        (asked.headers["device-identifier"].to_str().unwrap(), asked.headers["device-platform"].to_str().unwrap()),
        ("d-1", "web"),
        "what it may want stands in fields"
    );
    for credential in stage.vendor.credentials() {
        assert!(!stage.whole.written().contains(&credential), "none of them is in a record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_site_and_nobody_without_a_session_opens_one() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    let mut leaked = handshake(SITE, "held-by-the-proxy", &format!("Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"));
    leaked = leaked.replacen("content_type=undefined", "server_key=c2lkOnNzZWM%3D", 1);
    let rows = [
        (
            handshake(
                SITE,
                "held-by-the-proxy",
                &format!("Cookie: {cookie}\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n"),
            ),
            "40301",
            "another site",
        ),
        (handshake(SITE, "held-by-the-proxy", &format!("Cookie: {cookie}\r\nOrigin: {PAGE}\r\n")), "40301", "another origin"),
        (handshake(SITE, "held-by-the-proxy", "Sec-Fetch-Site: same-origin\r\n"), "40101", "no session"),
        (leaked, "49104", "a Server-Key in the query"),
    ];
    let before = stage.vendor.seen().len();
    for (text, code, shows) in rows {
        let mut client = stage.whole.client().await;
        client.send(text).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{shows}: {answer:?}");
        assert!(answer.text().contains(&format!("\"code\":\"{code}\"")), "{shows}: {}", answer.text());
    }
    assert_eq!(stage.vendor.seen().len(), before, "the vendor hears of none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_the_vendor_refuses_is_told_in_its_own_words() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    // To the vendor the pair has run out, to the proxy it has not.
    stage.vendor_clock.store(NOW + LIFE, Ordering::SeqCst);
    let mut client = stage.whole.client().await;
    client.send(handshake(SITE, "held-by-the-proxy", &format!("Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"))).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "no 101, and no failure of ours: {answer:?}");
    assert!(answer.text().contains("40104"), "{}", answer.text());
    // What the client does next renews the pair, and then it opens.
    assert_eq!(super::told(&stage.call(&cookie).await), super::fine());
    let mut client = stage.whole.client().await;
    client.send(handshake(SITE, "held-by-the-proxy", &format!("Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"))).await;
    assert_eq!(client.head().await.expect("an answer").status, 101);
}

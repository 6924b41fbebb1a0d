//! What the vendor's clients do that a proxy must bear with.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::demo::systems::taptalk::Trouble;

use crate::support::identity::Identity;
use crate::support::raw::Client;
use crate::support::rows::base64;
use crate::support::whole::NOW;
use crate::taptalk::{LIFE, PAGE, Stage, fine, refused, said, told};

const HOST: &str = "chat.example";
const CHAT: &str = "/v1/chat/message/send";

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_exchanges_and_then_opens_its_socket_itself_which_is_always_an_encrypted_one() {
    let identity = Identity::of(HOST);
    let stage = Stage::by(
        |vendor| vendor,
        |folder, yaml| {
            folder.write("own.pem", pem("CERTIFICATE", &identity.der()));
            folder.write("own.key", pem("PRIVATE KEY", identity.key_der()));
            // Beside the plain one, over which the ticket is exchanged here.
            let both = "listeners: [{ address: 127.0.0.1:0 }, { address: 0.0.0.0:0, tls: { certificate: own.pem, key: own.key } }]";
            yaml.replace("listeners: [{ address: 127.0.0.1:0 }]", both)
        },
    )
    .await;
    // As with connectOnSuccess=false: nothing is opened by the exchange itself.
    let (access, _) = stage.login("anna").await;
    assert_eq!(stage.app.hits(), 0);
    let address = SocketAddr::from(([127, 0, 0, 1], stage.whole.process.addresses()[1].port()));
    let mut client = Client::over(identity.connect(address, HOST, &[]).await.expect("a handshake"));
    let app_key = base64("demo-app:demo-app-secret-9d04").replace('=', "%3D");
    client
        .send(format!(
            "GET /connect?content_type=undefined&app_key={app_key}&authorization=Bearer%20{access}&device_identifier=d-1&device_model=x&device_platform=web HTTP/1.1\r\n\
             Host: {HOST}\r\nOrigin: {PAGE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
    assert_eq!(client.head().await.expect("an answer").status, 101);
    client.send("hello").await;
    assert_eq!(&client.take(5).await[..], b"hello");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/systems/taptalk.md")).unwrap();
    assert!(page.contains("connectOnSuccess"), "whoever sets it to true is told what happens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_401_reaches_no_client_that_would_only_log_it() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    stage.vendor.trouble(Trouble::RealStatus);
    stage.vendor_clock.store(NOW + LIFE, Ordering::SeqCst);
    let answer = stage.call(&cookie).await;
    assert_eq!(told(&answer), fine(), "it is renewed for like any other: {}", answer.text());
    stage.vendor.trouble(Trouble::None);

    let (access, _) = stage.login("anna").await;
    stage.at(NOW + 900);
    for (shown, code) in [(access.as_str(), "40104"), ("garbage", "40103"), ("", "40101")] {
        let bearer = format!("Bearer {shown}");
        let fields = [("Authorization", bearer.as_str())];
        let answer = stage.post(HOST, CHAT, if shown.is_empty() { &[] } else { &fields }, "\"\"").await;
        assert_eq!(told(&answer), refused(401, code), "never a page, never problem+json");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert!(said(&answer)["data"].is_object(), "with every member");
    }
}

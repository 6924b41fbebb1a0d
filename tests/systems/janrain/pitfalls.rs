//! What intermediaries do to Capture's replies and to its clients' secrets, tried on the running proxy.

use serde_json::json;

use crate::janrain::stage::{House, SOCIAL, body, date, form, signature};
use crate::support::rows::base64;
use crate::support::upstream::{Reply, Upstream};
use crate::support::whole::{NOW, Whole};

/// The shipped conf with its files, before `capture`; proxies on this machine are believed.
async fn shipped(capture: &str) -> Whole {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let conf = read("systems/janrain.yaml")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace("https://my-app.janraincapture.com", capture)
        .replace("../keys/", "");
    let conf = format!("trusted_proxies: [127.0.0.1/32]\n{conf}");
    let names = ["demo-ticket-current.key", "demo-janrain-clients.jsonl", "demo-janrain-secret.txt"];
    let files = names.map(|name| (name, read(&format!("keys/{name}"))));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    Whole::start(&conf, &files).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_over_plain_http_undoes_what_signatures_are_for_and_is_refused() {
    let capture = Upstream::scripted(|_| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"stat\":\"ok\"}".to_vec())).await;
    let proxy = shipped(&format!("http://{}", capture.address)).await;
    let id = "demoreaderdemoreaderdemoreader00";
    let basic = format!("Basic {}", base64(format!("{id}:demo-janrain-reader-secret-00001")));
    let in_body = form(&[("client_id", id), ("client_secret", "demo-janrain-reader-secret-00001")]);
    let at = date(NOW);
    let signed = format!("Signature {id}:{}", signature("demo-janrain-reader-secret-00001", "/entity", &at, &[]));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let ways: [(&str, Vec<(&str, &str)>, &str, bool); 3] = [
        ("Basic", vec![("Authorization", &basic)], "", false),
        ("in the body", vec![form], &in_body, false),
        ("signed", vec![("Authorization", &signed), ("Date", &at)], "", true),
    ];
    for (way, own, text, everywhere) in ways {
        for (proto, good) in [("http", everywhere), ("https", !everywhere || way != "signed")] {
            let fields: Vec<(&str, &str)> = [("Host", "capture.example"), ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", proto)]
                .into_iter()
                .chain(own.clone())
                .collect();
            let before = capture.hits();
            let answer = proxy.ask_with(if text.is_empty() { "GET" } else { "POST" }, "/entity", &fields, text).await;
            assert_eq!(capture.hits() - before, usize::from(good), "{way} over {proto}: {}", answer.text());
            if !good && way != "signed" {
                assert_eq!(body(&answer)["code"], json!(402), "{way} over {proto}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_inside_a_200_is_nobodys_to_store() {
    // A cache that goes by statuses would keep it, and so would one that believes what Capture says of it here.
    let failed = r#"{"stat":"error","code":403,"error":"permission_error","error_description":"no","request_id":"f5q326y8ef2tmfcq"}"#;
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=600\r\nContent-Length: {}\r\n\r\n{failed}",
        failed.len()
    );
    let capture = Upstream::scripted(move |_| Reply::Bytes(reply.clone().into_bytes())).await;
    let proxy = shipped(&format!("http://{}", capture.address)).await;
    let login = form(&[("token", SOCIAL)]);
    let page = [("Host", "app.example"), ("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    let answer = proxy.ask_with("POST", "/oauth/auth_native", &page, &login).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, failed), "it is Capture's own, byte for byte");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "a log-in that failed: {answer:?}");
    assert_eq!(answer.field("set-cookie"), None, "and nobody has logged in by it");

    let house = House::start().await;
    let refused = house.api("GET", "/entity.find", &[], "").await;
    assert_eq!((refused.status, refused.field("cache-control")), (200, Some("no-store")), "what is refused here");
    let record = house.whole.audit(1).await.pop().unwrap();
    assert_eq!((record["verdict"].as_str(), record["status"].as_u64()), (Some("refused"), Some(200)), "is not counted as let in");
}

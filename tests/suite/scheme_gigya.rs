//! Signed user ids of Gigya through the running proxy: in the query, in a form, in JSON, in headers.

use countersign::demo::credentials::gigya_signature;
use countersign::domain::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::rows::{Row, base64, row, run};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const WINDOW: i64 = 300;

fn signature(at: i64, uid: &str) -> String {
    gigya_signature(&base64("partner secret of a site"), Timestamp(at), uid).unwrap()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn form(uid: &str, at: i64, signature: &str) -> String {
    format!("UID={}&signatureTimestamp={at}&UIDSignature={}", encode(uid), encode(signature))
}

fn json(uid: &str, at: &str, signature: &str) -> String {
    format!("{{\"UID\":\"{uid}\",\"signatureTimestamp\":{at},\"UIDSignature\":\"{signature}\"}}")
}

/// The rows that hold wherever the parts stand.
fn rows_for(send: impl Fn(&'static str, &str, i64, &str) -> Row) -> Vec<Row> {
    let good = signature(NOW, "anna");
    vec![
        send("a signature of this moment", "anna", NOW, &good).passes("anna"),
        send("the last second of the window", "anna", NOW, &good).at(NOW + WINDOW).passes("anna"),
        send("one past it", "anna", NOW, &good).at(NOW + WINDOW + 1).refused(401, "window_exceeded"),
        send("the first second of the window", "anna", NOW, &good).at(NOW - WINDOW).passes("anna"),
        send("one before it", "anna", NOW, &good).at(NOW - WINDOW - 1).refused(401, "not_yet_valid"),
        send("of another second", "anna", NOW + 1, &good).refused(401, "signature_invalid"),
        send("of another user", "berta", NOW, &good).refused(401, "signature_invalid"),
        send("changed", "anna", NOW, &good.replace('=', "A")).refused(401, "credential_malformed"),
        send("by another secret", "anna", NOW, &gigya_signature(&base64("another secret"), Timestamp(NOW), "anna").unwrap())
            .refused(401, "signature_invalid"),
        send("empty", "anna", NOW, "").refused(401, "credential_malformed"),
        send("nobody", "", NOW, &signature(NOW, "")).refused(401, "credential_malformed"),
        send("too long an id", &"a".repeat(9_000), NOW, &good).refused(401, "credential_malformed"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_user_id_is_judged_wherever_it_stands() {
    let upstream = Upstream::start().await;
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ site: {{ gigya_secret: {{ file: secret }} }} }}
authenticators:
  member: {{ gigya: {{ keys: site }} }}
  header: {{ gigya: {{ keys: site, from: headers }} }}
  once: {{ gigya: {{ keys: site, burn: true }} }}
rules:
  - {{ name: member, match: {{ paths: [/member] }}, authenticate: member, forward: app }}
  - {{ name: header, match: {{ paths: [/header] }}, authenticate: header, forward: app }}
  - {{ name: once, match: {{ paths: [/once] }}, authenticate: once, forward: app }}
",
        upstream.address
    );
    let secret = base64("partner secret of a site");
    let whole = Whole::start(&conf, &[("secret", secret.as_bytes())]).await;
    let good = signature(NOW, "anna");
    let form_row =
        |shows, body: String| row(shows, "/member").method("POST").field("Content-Type", "application/x-www-form-urlencoded").body(body);
    let json_row = |shows, body: String| row(shows, "/member").method("POST").field("Content-Type", "application/json").body(body);

    let mut rows =
        rows_for(|shows, uid, at, signature| row(shows, format!("/member?a=1&{}", form(uid, at, signature))).secret(encode(signature)));
    rows.extend(rows_for(|shows, uid, at, signature| form_row(shows, form(uid, at, signature))));
    rows.extend(rows_for(|shows, uid, at, signature| json_row(shows, json(uid, &format!("\"{at}\""), signature))));
    rows.extend(rows_for(|shows, uid, at, signature| {
        row(shows, "/header")
            .field("UID", uid)
            .field("signatureTimestamp", at.to_string())
            .field("UIDSignature", signature)
            .secret(signature)
    }));
    rows.extend([
        row("nothing", "/member").refused(401, "credential_missing"),
        form_row("an empty form", "a=1".into()).refused(401, "credential_missing"),
        json_row("an empty object", "{}".into()).refused(401, "credential_missing"),
        form_row("some parts without the others", "UID=anna".into()).refused(401, "credential_malformed"),
        json_row("not JSON", "{".into()).refused(401, "credential_malformed"),
        json_row("a member twice", json("anna", "1", &good).replace('{', "{\"UID\":\"berta\",")).refused(400, "credential_conflict"),
        form_row("a part twice", format!("{}&UID=berta", form("anna", NOW, &good))).refused(400, "credential_conflict"),
        row("two places that differ", format!("/member?{}", form("anna", NOW, &good)))
            .method("POST")
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(form("berta", NOW, &signature(NOW, "berta")))
            .refused(400, "credential_conflict"),
        form_row("a body too long to judge", format!("{}&pad={}", form("anna", NOW, &good), "x".repeat(70_000)))
            .refused(413, "body_too_large"),
        row("parts in a body of another kind are not looked at", "/member")
            .method("POST")
            .field("Content-Type", "text/plain")
            .body(form("anna", NOW, &good))
            .refused(401, "credential_missing"),
        row("a signature for one use", format!("/once?{}", form("anna", NOW, &good))).passes("anna"),
        row("which is spent", format!("/once?{}", form("anna", NOW, &good))).refused(401, "replayed"),
    ]);
    run(&whole, &upstream, rows).await;

    let (_, seen) =
        row("other parameters stay", format!("/member?a=1&{}&b=2", form("anna", NOW, &good))).passes("anna").run(&whole, &upstream).await;
    assert_eq!(seen.unwrap().target(), "/member?a=1&b=2");
    let body = form("anna", NOW, &good);
    let (_, seen) = form_row("a body that was judged arrives whole", body.clone()).passes("anna").run(&whole, &upstream).await;
    assert_eq!(seen.unwrap().body, body);
}

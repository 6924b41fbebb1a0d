//! Marked secrets go everywhere a credential can stand, and turn up in nothing the process writes.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign::demo::credentials::{claims, gigya_signature, server_key as text_of};
use countersign::demo::issuer::DemoIssuer;
use countersign::domain::{Secret, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;

use crate::support::child::Running;
use crate::support::raw::PATIENCE;
use crate::support::rows::{base64, server_key};
use crate::support::upstream::Upstream;
use crate::support::whole::Folder;

/// Every secret holds this; so does every base64 of a text that starts with it.
const MARK: &str = "zq9marked";

fn marked(name: &str) -> String {
    format!("{MARK}-{name}-0123456789abcdefghijkl")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_written_holds_a_credential() {
    let upstream = Upstream::start().await;
    let issuer = DemoIssuer::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let now = Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap());
    let hmac = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(marked("hmac").into_bytes())).unwrap();
    let signer = SigningKey::generate(Algorithm::Es256).unwrap();
    let folder = Folder::new();
    folder.write("pepper", crate::support::rows::PEPPER);
    folder.write("partners.jsonl", server_key("acme", &marked("partner"), ""));
    folder.write("hmac", marked("hmac"));
    folder.write("ticket.key", marked("ticket"));
    folder.write("gigya", base64(marked("gigya")));
    folder.write("lent", marked("lent"));
    folder.write("admin", marked("admin"));
    folder.write("signer.pem", signer.private_pem().unwrap().expose());
    let yaml = format!(
        r#"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0, token: {{ file: admin }} }}
governor: off
upstreams: {{ app: http://{}, gone: http://127.0.0.1:9 }}
keys:
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
  shared: {{ pinned: {{ hmac: {{ file: hmac }}, hmac_algorithm: HS256 }} }}
  issuer: {{ jwks_url: {{ url: {} }} }}
  tickets: {{ mac: {{ file: ticket.key }} }}
  site: {{ gigya_secret: {{ file: gigya }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners, from: [server_key, basic] }} }}
  instance: {{ key_pair: {{ keys: partners }} }}
  user: {{ jwt: {{ issuer: {}, audience: app, keys: issuer, from: [bearer, {{ cookie: token }}, {{ query: token }}, {{ header: X-Token }}] }} }}
  shared: {{ jwt: {{ issuer: "https://shared.example", audience: app, keys: shared, algorithms: HS256 }} }}
  pass: {{ ticket: {{ keys: tickets, audience: app, from: [bearer, {{ query: ticket }}] }} }}
  member: {{ gigya: {{ keys: site, from: [query, form, json, headers, cookies] }} }}
rules:
  - {{ name: partner, match: {{ paths: [/partner/**] }}, authenticate: partner, forward: {{ upstream: app, upstream_credential: {{ bearer: {{ file: lent }} }}, assertion: {{ key: {{ file: signer.pem }}, issuer: "https://proxy.example", audience: app }} }} }}
  - {{ name: instance, match: {{ paths: [/instance/**] }}, authenticate: instance, forward: gone }}
  - {{ name: user, match: {{ paths: [/user/**] }}, authenticate: user, login: /login, forward: app }}
  - {{ name: shared, match: {{ paths: [/shared/**] }}, authenticate: shared, scopes: [nobody-has-it], forward: app }}
  - {{ name: pass, match: {{ paths: [/pass/**] }}, authenticate: pass, forward: app }}
  - {{ name: member, match: {{ paths: [/member/**] }}, authenticate: member, forward: app }}
"#,
        upstream.address,
        issuer.jwks_url(),
        issuer.issuer()
    );
    let path = folder.write("countersign.yaml", &yaml);
    let mut process = Running::start(&path).await;
    process.ready().await;

    let mut secrets: Vec<String> = ["partner", "hmac", "ticket", "gigya", "lent", "admin"].iter().map(|name| marked(name)).collect();
    let mut note = |text: String| {
        secrets.push(text.clone());
        text
    };
    let good_key = note(text_of("acme", &marked("partner")));
    let wrong_key = note(text_of("acme", &marked("wrong")));
    let token = note(issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), now)).unwrap());
    let old = note(issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), Timestamp(now.0 - 10_000))).unwrap());
    let shared = note(hmac.sign_compact(&[], &claims("https://shared.example", now)).unwrap());
    let forged = note(SigningKey::generate(Algorithm::Es256).unwrap().sign_compact(&[], &claims(&issuer.issuer(), now)).unwrap());
    let garbage = note(marked("garbage"));
    let signed = note(gigya_signature(&base64(marked("gigya")), now, "anna").unwrap());
    let ticket = note(format!("ct1.{}", base64(marked("forged-ticket-of-some-length-so-that-it-is-one-at-all")).replace('=', "")));
    let signature_of = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let signatures: Vec<String> = [&token, &old, &shared, &forged].into_iter().map(|token| signature_of(token)).collect();

    let form =
        format!("UID=anna&signatureTimestamp={now}&UIDSignature={}", signed.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    let mut requests: Vec<(u16, String)> = vec![
        (200, format!("GET /partner/x HTTP/1.1\r\nHost: a\r\nServer-Key: {good_key}\r\n\r\n")),
        (200, format!("GET /partner/x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {good_key}\r\n\r\n")),
        (401, format!("GET /partner/x HTTP/1.1\r\nHost: a\r\nServer-Key: {wrong_key}\r\n\r\n")),
        (401, format!("GET /partner/x HTTP/1.1\r\nHost: a\r\nServer-Key: {garbage}\r\n\r\n")),
        (400, format!("GET /partner/x HTTP/1.1\r\nHost: a\r\nServer-Key: {good_key}\r\nServer-Key: {wrong_key}\r\n\r\n")),
        (502, format!("GET /instance/x HTTP/1.1\r\nHost: a\r\nInstanceId: acme\r\nInstanceKey: {}\r\n\r\n", marked("partner"))),
        (401, format!("GET /instance/x HTTP/1.1\r\nHost: a\r\nInstanceId: {garbage}\r\nInstanceKey: {garbage}\r\n\r\n")),
        (200, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")),
        (200, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nCookie: token={token}\r\n\r\n")),
        (200, format!("GET /user/x?token={token} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (200, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nX-Token: {token}\r\n\r\n")),
        (401, format!("GET /user/x?token={old} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (302, format!("GET /user/x?token={old} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n")),
        (401, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {forged}\r\n\r\n")),
        (401, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {garbage}\r\n\r\n")),
        (403, format!("GET /shared/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {shared}\r\n\r\n")),
        (401, format!("GET /pass/x?ticket={ticket} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (200, format!("GET /member/x?{form} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (404, format!("GET /nowhere?token={token} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")),
        (400, format!("GET /user/../x?token={token} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (400, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nConnection: x-token\r\nX-Token: {token}\r\n\r\n")),
        (400, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {token}\r\n\r\n")),
        (431, format!("GET /user/x HTTP/1.1\r\nHost: a\r\nX-Token: {}\r\n\r\n", token.repeat(200))),
    ];
    for kind in ["application/x-www-form-urlencoded", "application/json"] {
        let body = if kind.ends_with("json") { format!("{{\"UID\":\"anna\",\"UIDSignature\":\"{signed}\",\"x\":") } else { form.clone() };
        let status = if kind.ends_with("json") { 401 } else { 200 };
        requests.push((
            status,
            format!("POST /member/x HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        ));
    }
    for (status, request) in &requests {
        let answer = process.ask(request).await;
        assert_eq!(answer.status, *status, "{request}: {}", answer.text());
        if answer.status != 200 {
            let told = format!("{:?}{}", answer.fields, answer.text());
            for secret in secrets.iter().chain(&signatures) {
                assert!(!told.contains(secret), "nothing is echoed: {told}");
            }
        }
    }
    // The conf with a secret in it, which is refused and must not be quoted.
    folder.write("countersign.yaml", yaml.replace("{ file: gigya }", &format!("\"{}\"", marked("inline"))));
    process.signal("HUP");
    process.says("reload changed nothing", 1).await;
    let unseen = process.admin("/metrics").await;
    assert_eq!(unseen.status, 401, "metrics want the token");
    let admin = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n", marked("admin"));
    let mut client = crate::support::raw::Client::connect(process.admin).await;
    client.send(admin).await;
    let metrics = client.answer().await;
    assert_eq!(metrics.status, 200);
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("it ends").code(), Some(0));

    let records = process.recorded(requests.len()).await;
    assert_eq!(records.lines().count(), requests.len(), "one record for each request");
    for (name, written) in [("the record", records), ("the log", process.log()), ("the metrics", metrics.text())] {
        assert!(!written.is_empty(), "{name} says something");
        assert!(!written.contains(MARK), "{name} holds a marked secret: {}", around(&written, MARK));
        for secret in secrets.iter().chain(&signatures) {
            assert!(!written.contains(secret.as_str()), "{name} holds a credential: {}", around(&written, secret));
        }
        let private = String::from_utf8(signer.private_pem().unwrap().expose().to_vec()).unwrap();
        let line = private.lines().nth(1).unwrap().to_owned();
        assert!(!written.contains(&line), "{name} holds the private key");
    }
}

/// The line of `text` that holds `found`.
fn around<'t>(text: &'t str, found: &str) -> &'t str {
    text.lines().find(|line| line.contains(found)).unwrap_or_default()
}

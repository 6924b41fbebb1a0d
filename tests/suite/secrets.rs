//! Marked secrets go everywhere a credential can stand, and turn up in nothing the process writes.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign::demo::credentials::{claims, gigya_signature, server_key as text_of};
use countersign::demo::issuer::DemoIssuer;
use countersign::domain::{Secret, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;

use crate::support::child::Running;
use crate::support::raw::{Answer, PATIENCE};
use crate::support::rows::{base64, server_key};
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
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

/// Whoever is asked about credentials, and says them back in every answer, as careless servers do.
fn echo(asked: &Recorded) -> Reply {
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let said = |status: &str, text: String| {
        Reply::Bytes(
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes(),
        )
    };
    match asked.target() {
        "/introspect" if body.contains("known") => {
            said("200 OK", json!({ "active": true, "sub": "anna", "iss": "https://desk.example", "aud": "app", "asked": body }).to_string())
        }
        "/introspect" => said("400 Bad Request", format!("{{\"error\":\"{body}\"")),
        "/me" if asked.head.contains("known") => said("200 OK", json!({ "id": "anna", "asked": asked.head }).to_string()),
        "/me" if asked.head.contains("ended") => said("419 Ended", format!("{{\"error\":{:?}}}", asked.head)),
        "/me" => said("400 Bad Request", format!("{{\"error\":\"{}\"", asked.head)),
        "/keys/acme" => said("200 OK", server_key("acme", &marked("partner"), "")),
        "/keys/other" => said("500 Internal Server Error", format!("{} is not one of {}", asked.head, marked("partner"))),
        "/token" if body.contains("odd") => said("200 OK", format!("{{\"access_token\":\"{}\",\"was\":\"{body}", marked("fresh"))),
        "/token" => said("400 Bad Request", json!({ "error": "invalid_grant", "error_description": body }).to_string()),
        _ => ok("ok"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_one_that_was_minted_renewed_or_asked_about() {
    let upstream = Upstream::start().await;
    let others = Upstream::scripted(echo).await;
    let now = Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap());
    let hmac = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(marked("hmac").into_bytes())).unwrap();
    let folder = Folder::new();
    folder.write("pepper", crate::support::rows::PEPPER);
    for name in ["hmac", "ticket", "seal", "client", "lent"] {
        folder.write(name, marked(name));
    }
    folder.write("signer.pem", SigningKey::generate(Algorithm::Es256).unwrap().private_pem().unwrap().expose());
    let path = folder.write(
        "countersign.yaml",
        format!(
            r#"
listeners: [{{ address: 127.0.0.1:0, h2: true }}]
admin: {{ address: 127.0.0.1:0 }}
governor: off
upstreams: {{ app: http://{app} }}
state: {{ embedded: {{ path: state.redb }} }}
issuers:
  ours: {{ issuer: "https://proxy.example", signing_key: {{ file: signer.pem }}, audience: app }}
keys:
  partners: {{ server_key_lookup: {{ url: "http://{others}/keys/{{id}}", pepper: {{ file: pepper }}, headers: {{ Authorization: {{ file: lent }} }} }} }}
  shared: {{ pinned: {{ hmac: {{ file: hmac }}, hmac_algorithm: HS256 }} }}
  tickets: {{ mac: {{ file: ticket }} }}
  seals: {{ mac: {{ file: seal }} }}
  issued: {{ issued: {{ issuer: ours }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners }} }}
  opaque: {{ introspection: {{ endpoint: "http://{others}/introspect", client_id: proxy, client_secret: {{ file: client }}, issuer: "https://desk.example", audience: app }} }}
  checked: {{ token_check: {{ url: "http://{others}/me", headers: {{ Authorization: "OAuth {{token}}", X-Key: "{{secrets.key}}" }}, secrets: {{ key: {{ file: client }} }}, expired: {{ status: 419 }}, subject: /id, issuer: vendor, from: [{{ header: Authorization, prefix: "OAuth " }}, {{ query: t }}] }} }}
  pass: {{ ticket: {{ keys: tickets, audience: app, single_use: true }} }}
  user:
    jwt: {{ issuer: "https://proxy.example", audience: app, keys: issued, typ: at+jwt }}
    renew: pairs
  foreign:
    jwt: {{ issuer: "https://shared.example", audience: app, keys: shared, algorithms: HS256, from: {{ cookie: __Host-at }} }}
    renew: login
  member:
    session: {{ keys: seals, tokens: user }}
    renew: held
renewers:
  pairs: {{ local: {{ issuer: ours, early: 1d, refresh_from: {{ header: X-Refresh-Token }} }} }}
  held: {{ local: {{ issuer: ours, early: 1d }} }}
  login: {{ oauth2: {{ token_url: "http://{others}/token", client_id: app, client_secret: {{ file: client }}, refresh_from: {{ cookie: __Host-rt }} }} }}
rules:
  - {{ name: mint, match: {{ paths: [/tickets], methods: [POST] }}, authenticate: partner, serve: {{ ticket.mint: {{ tickets: pass, subject: request }} }} }}
  - {{ name: redeem, match: {{ paths: [/redeem], methods: [POST] }}, authenticate: none, serve: {{ ticket.redeem: {{ issuer: ours, tickets: pass }} }} }}
  - {{ name: token, match: {{ paths: [/token], methods: [POST] }}, authenticate: none, serve: {{ token: {{ issuer: ours }} }} }}
  - {{ name: revoke, match: {{ paths: [/revoke], methods: [POST] }}, authenticate: none, serve: {{ revoke: {{ issuer: ours }} }} }}
  - {{ name: open, match: {{ paths: [/login], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: close, match: {{ paths: [/logout], methods: [POST] }}, authenticate: none, serve: {{ session.close: {{ session: member }} }} }}
  - {{ name: pass, match: {{ paths: [/pass/**] }}, authenticate: pass, forward: app }}
  - {{ name: opaque, match: {{ paths: [/opaque/**] }}, authenticate: opaque, forward: app }}
  - {{ name: checked, match: {{ paths: [/checked/**] }}, authenticate: checked, forward: app }}
  - {{ name: foreign, match: {{ paths: [/foreign/**] }}, authenticate: foreign, forward: app }}
  - {{ name: member, match: {{ paths: [/member/**] }}, authenticate: member, forward: app }}
  - {{ name: user, match: {{ paths: [/user/**] }}, authenticate: user, forward: app }}
"#,
            app = upstream.address,
            others = others.address,
        ),
    );
    let mut process = Running::start(&path).await;
    process.ready().await;

    let mut secrets: Vec<String> = ["hmac", "ticket", "seal", "client", "lent", "partner", "fresh"].map(marked).into();
    let ask = async |status: u16, method: &str, target: &str, fields: &[(&str, &str)], body: &str| {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let answer = process.ask(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n{body}")).await;
        assert_eq!(answer.status, status, "{method} {target}: {} {}", answer.text(), process.log());
        answer
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json_of = |answer: &Answer| serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap();

    // Minted and used, redeemed, guessed.
    let (good, wrong) = (text_of("acme", &marked("partner")), text_of("other", &marked("wrong")));
    let order = [("Server-Key", good.as_str()), ("Content-Type", "application/json")];
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let answer = ask(201, "POST", "/tickets", &order, "{\"subject\":\"anna\"}").await;
        tickets.push(json_of(&answer)["ticket"].as_str().unwrap().to_owned());
    }
    ask(503, "POST", "/tickets", &[("Server-Key", &wrong), order[1]], "{\"subject\":\"anna\"}").await;
    for status in [200, 401] {
        ask(status, "GET", "/pass/x", &[("Authorization", &format!("Bearer {}", tickets[0]))], "").await;
    }
    let answer = ask(200, "POST", "/redeem", &[form], &format!("ticket={}", tickets[1])).await;
    let pair = json_of(&answer);
    let [access, refresh] = ["access_token", "refresh_token"].map(|name| pair[name].as_str().unwrap().to_owned());
    secrets.extend([good, wrong, access.clone(), refresh.clone()]);
    secrets.extend(tickets.clone());

    // Asked about.
    for (status, token) in [(200, marked("known")), (503, marked("unheard-of"))] {
        ask(status, "GET", "/opaque/x", &[("Authorization", &format!("Bearer {token}"))], "").await;
        secrets.push(token);
    }

    for (status, token) in [(200, marked("known-too")), (401, marked("ended")), (503, marked("unheard-of-too"))] {
        ask(status, "GET", "/checked/x", &[("Authorization", &format!("OAuth {token}"))], "").await;
        ask(status, "GET", &format!("/checked/x?t={token}"), &[], "").await;
        secrets.push(token);
    }

    // Renewed: by ourselves in a header, in a session, by an issuer that refuses or says nothing that can be read.
    let bearer = format!("Bearer {access}");
    let answer = ask(200, "GET", "/user/x", &[("Authorization", &bearer), ("X-Refresh-Token", &refresh)], "").await;
    let handed: Vec<String> =
        answer.fields.iter().filter(|(name, _)| name.starts_with("x-renewed")).map(|(_, value)| value.clone()).collect();
    let tokens: Vec<&String> = handed.iter().filter(|value| 20 < value.len()).collect();
    assert_eq!(tokens.len(), 2, "a pair: {handed:?}");
    secrets.extend(tokens.into_iter().cloned());
    let ended = hmac.sign_compact(&[], &claims("https://shared.example", Timestamp(now.0 - 10_000))).unwrap();
    for (status, name) in [(401, "spent"), (401, "odd")] {
        let cookie = format!("__Host-at={ended}; __Host-rt={}", marked(name));
        ask(status, "GET", "/foreign/x", &[("Cookie", &cookie)], "").await;
        secrets.push(marked(name));
    }
    secrets.push(ended);

    // A session from a pair of its own, used, and used once more with a cookie that is nearly its own; then over HTTP/2.
    let pair = json_of(&ask(200, "POST", "/redeem", &[form], &format!("ticket={}", tickets[2])).await);
    let [access, refresh] = ["access_token", "refresh_token"].map(|name| pair[name].as_str().unwrap().to_owned());
    let same = ("Sec-Fetch-Site", "same-origin");
    let login = [("Authorization", format!("Bearer {access}")), ("X-Refresh-Token", refresh.clone())];
    let login: Vec<(&str, &str)> = login.iter().map(|(name, value)| (*name, value.as_str())).chain([form, same]).collect();
    let answer = ask(204, "POST", "/login", &login, &format!("refresh_token={refresh}")).await;
    let cookies: Vec<String> =
        answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value.clone()).collect();
    let cookie =
        cookies.iter().find_map(|value| value.split(';').next().filter(|pair| pair.starts_with("__Host-"))).expect("a session").to_owned();
    let value = cookie.split_once('=').unwrap().1.to_owned();
    ask(200, "GET", "/member/x", &[("Cookie", &cookie), same], "").await;
    // Its last character holds bits that no id has, so the first of the id is changed.
    let (name, id) = cookie.split_once('=').unwrap();
    let near = format!("{name}={}{}", if id.starts_with('A') { "B" } else { "A" }, &id[1..]);
    ask(401, "GET", "/member/x", &[("Cookie", &near), same], "").await;
    secrets.extend([access.clone(), refresh.clone(), value]);
    let socket = tokio::net::TcpStream::connect(process.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(connection);
    for (status, target, cookie) in [(200, "/member/x", &cookie), (401, "/member/x", &near), (404, "/nowhere", &cookie)] {
        let request =
            http::Request::get(format!("http://a{target}?token={access}")).header("cookie", cookie).header("sec-fetch-site", "same-origin");
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), status, "{target} over HTTP/2");
    }
    driving.abort();
    ask(204, "POST", "/logout", &[("Cookie", &cookie), same], "").await;

    // Endpoints of ours, with what they never gave.
    for target in ["/token", "/revoke"] {
        let name = format!("{}-refresh", &target[1..]);
        let body = format!("grant_type=refresh_token&refresh_token={0}&token={0}", marked(&name));
        let answer = process
            .ask(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{}: {}\r\nContent-Length: {}\r\n\r\n{body}", form.0, form.1, body.len()))
            .await;
        assert!(!answer.text().contains(MARK), "nothing is echoed: {}", answer.text());
        secrets.push(marked(&name));
    }
    let metrics = process.admin("/metrics").await.text();
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("it ends").code(), Some(0));
    let records = process.recorded(20).await;
    let store = std::fs::read(folder.path().join("state.redb")).unwrap();
    for (name, written) in [
        ("the record", records),
        ("the log", process.log()),
        ("the metrics", metrics),
        ("the store", String::from_utf8_lossy(&store).into_owned()),
    ] {
        assert!(!written.is_empty(), "{name} says something");
        assert!(!written.contains(MARK), "{name} holds a marked secret: {}", around(&written, MARK));
        for secret in &secrets {
            assert!(!written.contains(secret.as_str()), "{name} holds a credential: {} {}", secret, around(&written, secret));
        }
    }
}

/// The line of `text` that holds `found`.
fn around<'t>(text: &'t str, found: &str) -> &'t str {
    text.lines().find(|line| line.contains(found)).unwrap_or_default()
}

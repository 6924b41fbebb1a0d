//! Errors that could repeat what they could not read: marked bytes go to every parser, and turn up in nothing that is written.
//!
//! Rows O3 and O14. What is written is the audit record, the log at its most talkative, the metrics, every answer, and every
//! fault of `check`. What must not be found there is what was sent: as it is, in base64, in hex, as a list of numbers; nor a
//! digest of a credential, by which somebody who has it, or guesses it, could find its owner's requests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::jwt::signed;
use crate::support::child::{Running, binary};
use crate::support::raw::{Client, PATIENCE};
use crate::support::rows::{PEPPER, base64, server_key};
use crate::support::upstream::{Reply, Upstream};
use crate::support::whole::Folder;

mod faults;

/// In everything that is sent. No word of the program and no id is like it.
const MARK: &str = "Zq9Xm4rkedW7";

/// The ways in which somebody might write `bytes` without meaning to tell them.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms =
        vec![String::from_utf8_lossy(bytes).into_owned(), hex.clone(), hex.to_uppercase(), numbers.join(", "), numbers.join(",")];
    for shift in 0..3 {
        // In the middle of a longer text, at each of the three places where a group may begin; its first and last letters depend
        // on the neighbours.
        let encoded = STANDARD_NO_PAD.encode([&[0; 3][..shift], bytes].concat());
        let from = [0, 2, 3][shift];
        forms.push(encoded[from..encoded.len() - 1].to_owned());
    }
    forms
}

/// Whether `text` holds the mark in any spelling, and in which.
fn leak(text: &str) -> Option<String> {
    spellings(MARK.as_bytes()).into_iter().find(|form| text.contains(form))
}

/// Digests of `secret` in every usual writing, whole and cut to what a short "fingerprint" shows.
fn fingerprints(secret: &str) -> Vec<String> {
    const SHORT: usize = 8;
    let mut found = Vec::new();
    for algorithm in [&SHA256, &SHA384, &SHA512, &SHA1_FOR_LEGACY_USE_ONLY] {
        let whole = digest(algorithm, secret.as_bytes());
        let hex = &spellings(whole.as_ref())[1];
        found.extend([hex[..SHORT].to_owned(), hex[..SHORT].to_uppercase()]);
        found.extend([STANDARD.encode(whole.as_ref()), URL_SAFE_NO_PAD.encode(whole.as_ref())].map(|text| text[..SHORT].to_owned()));
    }
    found
}

#[test]
fn o3_the_search_finds_what_it_looks_for() {
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}{MARK}.");
        for (told, shows) in [
            (text.clone(), "as it is"),
            (base64(&text), "base64"),
            (URL_SAFE_NO_PAD.encode(&text), "base64url"),
            (format!("{:?}", text.as_bytes()), "Debug of bytes"),
            (spellings(text.as_bytes())[1].clone(), "hex"),
        ] {
            assert!(leak(&told).is_some(), "{shows} after {before:?}: {told}");
        }
    }
    assert_eq!(leak("Zq9 is no mark, nor is 5a71"), None);
}

/// Bodies that a peer answers with, each broken in its own way; `{n}` makes each different.
const ANSWERS: &[&str] = &[
    "M",
    "\"M",
    "{\"M\"",
    "[M]",
    "{\"access_token\":M}",
    "{\"access_token\":\"M\",\"refresh_token\":7}",
    "{\"error\":\"M\",\"error_description\":\"M\"}",
    "{\"active\":\"M\"}",
    "{\"active\":true,\"sub\":7,\"username\":\"M\"}",
    "{\"active\":true,\"sub\":\"a\",\"exp\":\"M\"}",
    "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"M\",\"n\":\"M\",\"e\":\"M\"},{\"kty\":\"M\"},{\"kty\":\"oct\",\"k\":\"M\"}]}",
    "{\"keys\":\"M\"}",
    "{\"issuer\":\"M\",\"jwks_uri\":\"https://M.example/M\"}",
    "{\"issuer\":\"https://other.example\",\"jwks_uri\":\"M\",\"token_endpoint\":\"M\"}",
    "-----BEGIN PUBLIC KEY-----\nM\n-----END PUBLIC KEY-----\n",
    "{\"id\":\"M\",\"secrets\":[\"M\"]}",
    "{\"id\":\"acme\",\"secrets\":\"M\"}",
    "<html>M</html>",
];

/// Whole answers of a peer, well framed and not.
fn answers() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for body in ANSWERS {
        let body = body.replace('M', MARK);
        for status in ["200 OK", "400 Bad Request", "500 Oops"] {
            let typed = "Content-Type: application/json\r\n";
            all.push(format!("HTTP/1.1 {status}\r\n{typed}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes());
        }
    }
    for head in [
        "HTTP/1.1 302 Found\r\nLocation: http://M.example/M\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nM\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: M\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: M\r\nContent-Length: 1\r\nConnection: close\r\n\r\nM",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nM\r\n",
        "M HTTP/1.1\r\n\r\n",
    ] {
        all.push(head.replace('M', MARK).into_bytes());
    }
    all
}

/// The same file of secrets for every proxy here.
fn folder() -> Folder {
    let folder = Folder::new();
    for (name, content) in [
        ("pepper", String::from_utf8(PEPPER.to_vec()).unwrap()),
        ("partners.jsonl", server_key("acme", &secret("partner"), "")),
        ("hmac", secret("hmac")),
        ("ticket.key", secret("ticket")),
        ("gigya", base64(secret("gigya"))),
        ("client", secret("client")),
        ("lookup", format!("Bearer {}", secret("lookup"))),
    ] {
        folder.write(name, content);
    }
    folder
}

fn secret(name: &str) -> String {
    format!("{MARK}-{name}-0123456789abcdefghijkl")
}

/// Everything that can be asked for, from an issuer at `issuer` that answers rubbish.
fn yaml(upstream: &Upstream, issuer: &Upstream) -> String {
    let (app, issuer) = (upstream.address, issuer.address);
    let (mut stores, mut users, mut renewers, mut rules) = (String::new(), String::new(), String::new(), String::new());
    // One of each for every answer: who has had an unreadable one does not ask again at once.
    for n in 0..answers().len() {
        let lookup =
            format!("url: 'http://{issuer}/keys/{n}/{{id}}', pepper: {{ file: pepper }}, headers: {{ Authorization: {{ file: lookup }} }}");
        let us = "client_id: app, client_secret: { file: client }";
        let shared = "issuer: 'https://shared.example', audience: app, keys: shared, algorithms: HS256";
        writeln!(
            stores,
            "  set{n}: {{ jwks_url: {{ url: 'http://{issuer}/set/{n}' }} }}\n  asked{n}: {{ server_key_lookup: {{ {lookup} }} }}"
        )
        .unwrap();
        writeln!(users, "  set{n}: {{ jwt: {{ issuer: 'https://set{n}.example', audience: app, keys: set{n} }} }}").unwrap();
        writeln!(users, "  asked{n}: {{ server_key: {{ keys: asked{n} }} }}").unwrap();
        writeln!(users, "  opaque{n}: {{ introspection: {{ endpoint: 'http://{issuer}/opaque/{n}', {us}, issuer: 'https://id.example', audience: app }} }}").unwrap();
        writeln!(users, "  lapsed{n}: {{ jwt: {{ {shared} }}, renew: login{n} }}").unwrap();
        writeln!(renewers, "  login{n}: {{ oauth2: {{ refresh_from: {{ header: X-Refresh }}, issuer: 'https://shared.example', token_url: 'http://{issuer}/lapsed/{n}', {us}, hand_back: {{ access: {{ header: X-New }} }} }} }}").unwrap();
        for kind in ["set", "asked", "opaque", "lapsed"] {
            writeln!(rules, "  - {{ name: {kind}{n}, match: {{ paths: [/{kind}/{n}] }}, authenticate: {kind}{n}, forward: app }}").unwrap();
        }
    }
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
governor: off
startup_wait: 0s
upstreams: {{ app: http://{app} }}
keys:
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
  shared: {{ pinned: {{ hmac: {{ file: hmac }}, hmac_algorithm: HS256 }} }}
  tickets: {{ mac: {{ file: ticket.key }} }}
  site: {{ gigya_secret: {{ file: gigya }} }}
{stores}
authenticators:
  partner: {{ server_key: {{ keys: partners, from: [server_key, basic] }} }}
  instance: {{ key_pair: {{ keys: partners }} }}
  shared: {{ jwt: {{ issuer: 'https://shared.example', audience: app, keys: shared, algorithms: HS256, from: [bearer, {{ cookie: at }}, {{ query: token }}] }} }}
  pass: {{ ticket: {{ keys: tickets, from: [bearer, {{ query: ticket }}] }} }}
  member: {{ gigya: {{ keys: site, from: [query, form, json] }} }}
  visitor: {{ session: {{ keys: tickets, cookie: __Host-session }} }}
{users}
renewers:
{renewers}
rules:
{rules}
  - {{ name: partner, match: {{ paths: [/partner] }}, authenticate: partner, forward: app }}
  - {{ name: instance, match: {{ paths: [/instance] }}, authenticate: instance, forward: app }}
  - {{ name: shared, match: {{ paths: [/shared] }}, authenticate: shared, forward: app }}
  - {{ name: pass, match: {{ paths: [/pass] }}, authenticate: pass, forward: app }}
  - {{ name: member, match: {{ paths: [/member] }}, authenticate: member, forward: app }}
  - {{ name: visitor, match: {{ paths: [/visitor] }}, authenticate: visitor, forward: app }}
  - {{ name: mint, match: {{ paths: [/tickets], methods: [POST] }}, authenticate: partner, serve: {{ ticket.mint: {{ tickets: pass }} }} }}
"
    )
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A token that the `shared` authenticator proves, or would before `end`.
fn token(end: i64) -> String {
    let key = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(secret("hmac").into_bytes())).unwrap();
    let claims = format!(r#"{{"iss":"https://shared.example","sub":"anna","aud":"app","iat":{},"exp":{end},"note":"{MARK}"}}"#, end - 600);
    signed(&key, br#"{"alg":"HS256","typ":"JWT"}"#, claims.as_bytes())
}

/// Heads and bodies that some parser of ours, or the framework's, gives up on, each with the mark in it.
fn unreadable() -> Vec<Vec<u8>> {
    let mut all: Vec<String> = [
        // Before a head is a head.
        "M\r\n\r\n",
        "GET /shared?token=M HTTP/1.1\r\nHost: a\r\nAuthorization Bearer M\r\n\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer M\r\n\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\0M\r\n\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \r\n M\r\n\r\n",
        "GET /shared HTTP/1.1\nHost: a\nAuthorization: Bearer M\n\n",
        "GET /shared?token=M#M HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /shared?token=\u{e9}M HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /shared?token=M HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /shared?token=M HTTP/9.M\r\nHost: a\r\n\r\n",
        "GET /shared?token=M\r\n\r\n",
        "POST /shared?token=M HTTP/1.1\r\nHost: a\r\nContent-Length: M\r\n\r\n",
        "POST /shared?token=M HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: M\r\n\r\n",
        "POST /shared?token=M HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nM\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nExpect: M\r\n\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nUpgrade: M\r\nConnection: M\r\n\r\n",
        // Credentials that are none.
        "GET /shared HTTP/1.1\r\nHost: a\r\nCookie: at=M\r\nCookie: at=M2\r\n\r\n",
        "GET /shared HTTP/1.1\r\nHost: a\r\nCookie: at=\"M\r\n\r\n",
        "GET /shared?token=%ZZM HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /shared?token=%ffM HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /visitor HTTP/1.1\r\nHost: a\r\nCookie: __Host-session=M\r\n\r\n",
        "GET /pass?ticket=M HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /instance HTTP/1.1\r\nHost: a\r\nInstanceId: M\r\nInstanceKey: M\r\n\r\n",
        "GET /instance HTTP/1.1\r\nHost: a\r\nInstanceId: acme\r\nInstanceKey: M\r\n\r\n",
        "GET /member?UID=M&UIDSignature=M&signatureTimestamp=M HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    .map(|text| text.replace('M', MARK))
    .to_vec();
    let bearer = |path: &str, token: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text.replace('M', MARK));
    let tokens = [
        MARK.to_owned(),
        format!("{MARK}.{MARK}.{MARK}"),
        format!("{}.{}.{MARK}", part(r#"{"alg":"HS256","kid":"M"}"#), part(r#"{"iss":"https://shared.example","M":"M"}"#)),
        format!("{}.{}.{MARK}", part(r#"{"alg":"M"}"#), part("{}")),
        format!("{}.{}.{MARK}", part(r#"{"alg":"HS256","crit":["M"]}"#), part("{}")),
        format!("{}.{}.{MARK}", part(r#"{"alg":"HS256""#), part(r#"{"M"#)),
        format!("{}.{}.{MARK}", part(r#"{"alg":"HS256"}"#), part(r#"{"iss":"M"}"#)),
        format!("{}.{}.{MARK}", part(r#"{"alg":"HS256"}"#), part(r#"{"iss":"https://shared.example","exp":"M","exp":"M"}"#)),
        format!("cs1.{MARK}.{MARK}"),
    ];
    for token in &tokens {
        all.extend(["/shared", "/pass", "/opaque/0", "/set/0"].map(|path| bearer(path, token)));
    }
    for key in
        [MARK.to_owned(), base64(MARK), base64(format!("acme:{MARK}")), base64(format!("{MARK}:x")), base64(format!("\0{MARK}:\u{e9}"))]
    {
        for path in ["/partner", "/asked/0"] {
            all.push(format!("GET {path} HTTP/1.1\r\nHost: a\r\nServer-Key: {key}\r\n\r\n"));
        }
        all.push(format!("GET /partner HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {key}\r\n\r\n"));
    }
    let proven = format!("Server-Key: {}", base64(format!("acme:{}", secret("partner"))));
    for (path, kind, body) in [
        ("/tickets", "application/json", r#"{"M":"M""#),
        ("/tickets", "application/json", r#"{"M":"M"}"#),
        ("/tickets", "application/json", r#"{"subject":{"M":"M"}}"#),
        ("/tickets", "application/x-www-form-urlencoded", "subject=%ZZM"),
        ("/member", "application/json", r#"{"UID":"M","UIDSignature":["M"],"signatureTimestamp":"M"#),
        ("/member", "application/x-www-form-urlencoded", "UID=M&UIDSignature=%M&signatureTimestamp=M"),
    ] {
        let body = body.replace('M', MARK);
        let length = body.len();
        all.push(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{proven}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"));
    }
    // Every answer of the peer is had: to an opaque token, an unknown key, an unknown id, and a lapsed token.
    for n in 0..answers().len() {
        all.push(bearer(&format!("/opaque/{n}"), &format!("{MARK}-{n}")));
        all.push(bearer(
            &format!("/set/{n}"),
            &format!("{}.{}.{MARK}", part(r#"{"alg":"ES256","kid":"M"}"#), part(&format!(r#"{{"iss":"https://set{n}.example"}}"#))),
        ));
        all.push(format!("GET /asked/{n} HTTP/1.1\r\nHost: a\r\nServer-Key: {}\r\n\r\n", base64(format!("id{n}:{MARK}"))));
        let lapsed = token(now() - 3_600 - i64::try_from(n).unwrap());
        all.push(format!("GET /lapsed/{n} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {lapsed}\r\nX-Refresh: {MARK}-{n}\r\n\r\n"));
    }
    all.into_iter().map(String::into_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_no_error_repeats_what_could_not_be_read() {
    let upstream = Upstream::start().await;
    let rubbish = answers();
    let issuer = Upstream::scripted(move |request| {
        let index = request.target().split('/').nth(2).unwrap();
        Reply::Bytes(rubbish[index.parse::<usize>().unwrap()].clone())
    })
    .await;
    let folder = folder();
    let proxy = Running::start(&folder.write("countersign.yaml", yaml(&upstream, &issuer))).await;
    let mut answered = 0;
    for request in unreadable() {
        let mut client = Client::connect(proxy.address).await;
        client.send(&request).await;
        let Some(answer) = client.answer_to("GET").await else { continue };
        answered += 1;
        let told = format!("{answer:?} {}", answer.text());
        let sent = String::from_utf8_lossy(&request);
        assert_eq!(leak(&told), None, "an answer holds what was sent: {sent}\n{told}");
        assert!(400 <= answer.status, "this was to be refused: {sent}\n{told}");
    }
    assert!(unreadable().len() / 2 < answered, "most are answered: {answered}");
    let asked: Vec<String> = issuer.records().iter().map(|record| record.target().to_owned()).collect();
    for kind in ["set", "keys", "opaque", "lapsed"] {
        for n in 0..answers().len() {
            let begins = format!("/{kind}/{n}");
            let had = asked.iter().any(|target| target.strip_prefix(&*begins).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
            assert!(had, "an unreadable answer was never asked for: {begins}");
        }
    }
    let metrics = proxy.admin("/metrics").await.text();
    let records = proxy.recorded(answered).await;
    let log = proxy.log();
    assert!(log.contains("key set was not fetched") && log.contains("token was not introspected"), "the log speaks of them: {log}");
    for (text, shows) in [(records, "the audit record"), (log, "the log"), (metrics, "the metrics")] {
        for line in text.lines() {
            assert_eq!(leak(line), None, "{shows}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_a_state_store_that_answers_rubbish_is_not_quoted() {
    for (answer, shows) in [
        ("-ERR M\r\n", "an error"),
        ("-M M\r\n", "an error whose code is ours"),
        ("-WRONGPASS M\r\n", "a refused password"),
        ("-NOPERM M\r\n", "a refused operation"),
        ("+M\r\n", "a word"),
        ("$12\r\nM\r\n", "INFO that is none"),
        ("%1\r\n+M\r\n+M\r\n", "a map"),
        ("HTTP/1.1 400 M\r\n\r\n", "another protocol"),
        ("M", "nothing that ends"),
    ] {
        let answer = answer.replace('M', MARK);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(1..) = socket.read(&mut bytes).await {
                        if socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let folder = folder();
        folder.write("password", secret("redis"));
        let conf = folder.write(
            "countersign.yaml",
            format!(
                r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
startup_wait: 0s
upstreams: {{ app: http://127.0.0.1:9 }}
keys: {{ tickets: {{ mac: {{ file: ticket.key }} }} }}
authenticators: {{ pass: {{ ticket: {{ keys: tickets, single_use: true }} }} }}
state: {{ redis: {{ url: redis://{address}/0, username: {MARK}, password: {{ file: password }} }} }}
rules:
  - {{ name: pass, match: {{ paths: [/**] }}, authenticate: pass, forward: app }}
"
            ),
        );
        let told = said(&conf, &["state store cannot be used", "state `redis`"]).await;
        assert_eq!(leak(&told), None, "{shows}: {told}");
        server.abort();
    }
}

/// What a process says until it has said one of `words` or has ended.
async fn said(conf: &std::path::Path, words: &[&str]) -> String {
    let mut command = binary();
    command.args(["run", "--log", "debug", "-c"]).arg(conf);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stderr.take().unwrap();
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(some @ 1..) = pipe.read(&mut bytes) {
            into.lock().push_str(&String::from_utf8_lossy(&bytes[..some]));
        }
    });
    let begun = Instant::now();
    while !words.iter().any(|word| text.lock().contains(word)) {
        let ended = child.try_wait().unwrap();
        assert!(begun.elapsed() < PATIENCE && ended.is_none(), "it never said {words:?} ({ended:?}): {}", text.lock());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    reader.join().unwrap();
    Arc::try_unwrap(text).unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn o14_no_digest_of_a_credential_is_written() {
    let (upstream, issuer) = (Upstream::start().await, Upstream::start().await);
    let folder = folder();
    let proxy = Running::start(&folder.write("countersign.yaml", yaml(&upstream, &issuer))).await;
    proxy.ready().await;
    let (good, lapsed) = (token(now() + 300), token(now() - 3_600));
    let forged = format!("{}x", &good[..good.len() - 1]);
    let partner = base64(format!("acme:{}", secret("partner")));
    let wrong = base64(format!("acme:{MARK}"));
    // Low in entropy: whoever guesses it would know that they did, by its digest alone.
    let weak = base64("acme:1234");
    let rows = [
        ("/shared", "Authorization", format!("Bearer {good}"), 200, "a good token"),
        ("/shared", "Authorization", format!("Bearer {lapsed}"), 401, "a lapsed one"),
        ("/shared", "Authorization", format!("Bearer {forged}"), 401, "a forged one"),
        ("/opaque/0", "Authorization", format!("Bearer {MARK}-opaque"), 503, "an opaque one"),
        ("/pass", "Authorization", "Bearer cs1.abc.def".to_owned(), 401, "a ticket"),
        ("/partner", "Server-Key", partner.clone(), 200, "a good key"),
        ("/partner", "Server-Key", wrong, 401, "a wrong one"),
        ("/partner", "Server-Key", weak, 401, "a guessed one"),
        ("/visitor", "Cookie", format!("__Host-session={MARK}"), 401, "a session"),
    ];
    let mut secrets = vec![secret("partner"), MARK.to_owned(), "1234".to_owned(), secret("hmac"), secret("ticket"), secret("client")];
    let mut answers = String::new();
    for (path, name, value, status, shows) in &rows {
        let answer = proxy.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n")).await;
        assert_eq!(answer.status, *status, "{shows}: {}", answer.text());
        write!(answers, "{answer:?} {}", answer.text()).unwrap();
        let bare = value.rsplit([' ', '=']).find(|part| !part.is_empty()).unwrap();
        secrets.extend([value.clone(), bare.to_owned(), format!("{bare}=")]);
        // The parts of a token are credentials as well: its signature above all.
        secrets.extend(bare.split('.').map(str::to_owned));
    }
    let metrics = proxy.admin("/metrics").await.text();
    let records = proxy.recorded(rows.len()).await;
    // Ids of requests are drawn, and stand in answers and records only to be equal to each other.
    let ids: Vec<String> = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["request_id"].as_str().unwrap().to_owned())
        .collect();
    for (text, shows) in [(records, "the audit record"), (proxy.log(), "the log"), (metrics, "the metrics"), (answers, "the answers")] {
        let text = ids.iter().fold(text, |text, id| text.replace(&**id, ""));
        for secret in &secrets {
            let found = fingerprints(secret).into_iter().find(|print| text.contains(print));
            assert_eq!(found, None, "{shows} holds a digest of {secret}: {text}");
        }
    }
    // The same credential twice: nothing in its two records is the same but what is the same for every caller of that rule, and who
    // it is.
    let again = proxy.ask(format!("GET /partner HTTP/1.1\r\nHost: a\r\nServer-Key: {partner}\r\n\r\n")).await;
    assert_eq!(again.status, 200);
    let records = proxy.recorded(rows.len() + 1).await;
    let record: serde_json::Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
    for (name, value) in record.as_object().unwrap() {
        let told =
            ["rule", "authenticator", "subject", "issuer", "verdict", "method", "host", "path", "client", "request_id", "time", "cache"];
        assert!(
            told.contains(&name.as_str()) || value.is_null() || value.is_number() || value.is_boolean() || value.is_object(),
            "a member that could tell the credential again: {name} {value}"
        );
    }
}

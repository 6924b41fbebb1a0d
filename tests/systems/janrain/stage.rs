//! A proxy in both positions, with a stand-in of Capture and an app behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::demo::systems::janrain::DemoJanrain;
use countersign::domain::Seconds;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

pub const CLIENT: &str = "12345abcde12345abcde12345abcde12";
pub const SECRET: &str = "marked-secret-of-the-application";
pub const SOCIAL: &str = "12ab34cd56ef78gh90ij12kl34mn56op78qr90st";
pub const REDIRECT: &str = "https://app.example/done";
pub const ADDRESS: &str = "janedoe@example.com";
pub const UUID: &str = "67890def-6789-4def-8789-67890defab67";

/// How long access tokens live.
pub const LIFE: i64 = 600;

pub struct House {
    pub whole: Whole,
    pub capture: DemoJanrain,
    pub app: Upstream,
    /// The vendor's clock; the proxy's is its own.
    pub vendor: Arc<AtomicI64>,
}

impl House {
    pub async fn start() -> Self {
        Self::by(|capture| capture).await
    }

    /// The same with another `way` to Capture.
    pub async fn by(way: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        let vendor = Arc::new(AtomicI64::new(NOW));
        let capture = DemoJanrain::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&vendor) as Arc<_>).await.unwrap();
        capture.life(Seconds(u32::try_from(LIFE).unwrap()));
        capture.client(CLIENT, SECRET, &["login_client", "access_issuer"]);
        capture.client("reader", "reader-secret", &["direct_read_access"]);
        capture.client("issuer", "issuer-secret", &["access_issuer"]);
        let app = Upstream::start().await;
        let conf = format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{app}, capture: {origin} }}
keys:
  sessions: {{ mac: {{ file: session.key }} }}
  clients: {{ janrain_clients: {{ file: clients.jsonl }} }}
authenticators:
  member: {{ session: {{ keys: sessions, idle: 0s, life: 30d, remember: 0s }}, renew: capture }}
  signed: {{ janrain_signature: {{ keys: clients, from: [signature, body] }} }}
  basic: {{ server_key: {{ keys: clients, from: basic }} }}
  mounted: {{ janrain_signature: {{ keys: clients, mount: /mounted }} }}
  named: {{ janrain_signature: {{ keys: clients, from: public }} }}
  user:
    token_check:
      from: [{{ header: Authorization, prefix: "OAuth " }}]
      method: POST
      url: {origin}/entity
      form: {{ type_name: user, access_token: "{{token}}" }}
      expired: {{ status: 200, when: {{ pointer: /code, equals: 414 }} }}
      refused: [{{ status: [401, 403] }}, {{ status: 200, when: {{ pointer: /code, equals: [200, 402, 413] }} }}]
      success: {{ status: 200, when: {{ pointer: /stat, equals: ok }} }}
      subject: /result/uuid
      issuer: janrain
renewers:
  capture:
    http:
      url: {origin}/oauth/token
      form: {{ grant_type: refresh_token, refresh_token: "{{refresh}}", client_id: {CLIENT}, client_secret: "{{secrets.client}}" }}
      secrets: {{ client: {{ file: client.secret }} }}
      answer: {{ access: /access_token, refresh: /refresh_token, expires_in: {{ pointer: /expires_in, unit: seconds }} }}
      success: {{ status: 200, when: {{ pointer: /stat, equals: ok }} }}
      fatal: [{{ status: 400, when: {{ pointer: /error, equals: invalid_grant }} }}]
      transient: [{{ status: [429, 503] }}]
      early: 30s
      # However busy the machine is: a renewal that takes its time is not what these tests are about.
      wait: 8s
rules:
  - name: login
    match: {{ hosts: [app.example], paths: [/oauth/auth_native, /oauth/register_native], methods: [POST] }}
    authenticate: none
    system: &application
      janrain:
        forms: {{ socialRegistrationForm: [emailAddress] }}
        codes: seen
        application:
          client_id: {CLIENT}
          client_secret: {{ file: client.secret }}
          flow: standard
          flow_version: 20160420-1
          locale: en-US
          redirect_uri: {REDIRECT}
          response_type: code_and_token
    harvest: {{ session: member }}
    forward: capture
  - name: code
    match: {{ hosts: [app.example], paths: [/oauth/token], methods: [POST] }}
    authenticate: member
    system: *application
    harvest: {{ session: member }}
    forward: capture
  - name: profile
    match: {{ hosts: [app.example], paths: [/entity] }}
    authenticate: member
    system: janrain
    forward: {{ upstream: capture, session_token: {{ header: Authorization, prefix: "OAuth " }} }}
  - {{ name: app, match: {{ hosts: [app.example], paths: [/**] }}, authenticate: member, forward: app }}
  - {{ name: mobile, match: {{ hosts: [mobile.example], paths: [/**] }}, authenticate: user, system: janrain, forward: app }}
  - name: mounted
    match: {{ hosts: [mounted.example], paths: [/mounted/**] }}
    authenticate: mounted
    system: {{ janrain: {{ mount: /mounted }} }}
    forward: app
  - name: native
    match: {{ hosts: [capture.example], paths: [/oauth/auth_native, /oauth/register_native, /oauth/refresh_access_token] }}
    authenticate: named
    system: &guarded {{ janrain: {{ redirect_uris: ["{REDIRECT}"], codes: seen }} }}
    forward: capture
  - name: entities
    match: {{ hosts: [capture.example], paths: [/entity, /entity.update], methods: [GET, POST] }}
    authenticate: {{ any: [user, signed, basic] }}
    system: *guarded
    forward: {{ upstream: capture, keep_credential: true }}
  - name: clients
    match: {{ hosts: [capture.example], paths: [/**] }}
    authenticate: {{ any: [signed, basic] }}
    system: *guarded
    forward: {{ upstream: capture, keep_credential: true }}
"#,
            app = app.address,
            origin = format_args!("http://{}", way(capture.address())),
        );
        let clients = format!(
            "{}\n{}\n{}\n",
            format_args!(r#"{{"client_id":"{CLIENT}","secrets":["{SECRET}"],"features":["login_client","access_issuer"]}}"#),
            r#"{"client_id":"reader","secrets":["reader-secret"],"features":["direct_read_access"]}"#,
            r#"{"client_id":"issuer","secrets":["issuer-secret"],"features":["access_issuer"]}"#,
        );
        let key: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";
        let files: [(&str, &[u8]); 3] = [("session.key", key), ("clients.jsonl", clients.as_bytes()), ("client.secret", SECRET.as_bytes())];
        let whole = Whole::start(&conf, &files).await;
        Self { whole, capture, app, vendor }
    }

    /// Both clocks.
    pub fn set_clock(&self, to: i64) {
        self.vendor.store(to, Ordering::SeqCst);
        self.whole.set_clock(to);
    }

    /// A form that a page of the app posts.
    pub async fn page(&self, target: &str, text: &str, cookie: Option<&str>) -> Answer {
        let mut fields = vec![
            ("Host", "app.example"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Origin", "https://app.example"),
        ];
        fields.extend(cookie.map(|cookie| ("Cookie", cookie)));
        self.whole.ask_with("POST", target, &fields, text).await
    }

    pub async fn get(&self, target: &str, cookie: &str) -> Answer {
        self.whole.ask("GET", target, &[("Host", "app.example"), ("Cookie", cookie)]).await
    }

    /// A call of the API; a body is a form.
    pub async fn api(&self, method: &str, target: &str, fields: &[(&str, &str)], text: &str) -> Answer {
        let mut all = vec![("Host", "capture.example")];
        all.extend_from_slice(fields);
        if !text.is_empty() {
            all.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        self.whole.ask_with(method, target, &all, text).await
    }

    /// Logs a user in and redeems the code: the cookie of a session that can be renewed.
    pub async fn logged_in(&self) -> String {
        self.capture.user(ADDRESS, UUID);
        self.capture.social(SOCIAL, ADDRESS);
        let answer = self.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await;
        let code = body(&answer)["authorization_code"].as_str().unwrap().to_owned();
        let cookie = cookie_of(&answer);
        let redeemed = self.page("/oauth/token", &form(&[("grant_type", "authorization_code"), ("code", &code)]), Some(&cookie)).await;
        cookie_of(&redeemed)
    }
}

pub fn cookie_of(answer: &Answer) -> String {
    let field = answer.field("set-cookie").unwrap_or_else(|| panic!("no session: {}", answer.text()));
    field.split(';').next().unwrap().to_owned()
}

pub fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {} {}", answer.status, answer.text()))
}

pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A moment of 2027, as Capture writes it.
pub fn date(at: i64) -> String {
    let moment = chrono::DateTime::from_timestamp(at, 0).unwrap();
    moment.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// What the vendor's own code signs, written down a second time.
pub fn signature(secret: &str, path: &str, date: &str, pairs: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    lines.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{path}\n{date}\n{}", lines.concat()).as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

//! The shipped conf, running, with a stand-in where Gigya is; and a client of the vendor's, written apart from all code of ours.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::demo::systems::gigya::DemoGigya;
use countersign::domain::Clock;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

/// Where clients believe to ask.
pub const PUBLIC: &str = "https://accounts.example";

/// The shipped conf, running.
pub struct Stage {
    pub vendor: DemoGigya,
    vendor_clock: Arc<AtomicI64>,
    pub app: Upstream,
    pub whole: Whole,
}

fn shipped(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(path)).unwrap()
}

/// The partner secret, and that of the user key, as shipped.
pub fn secrets() -> [String; 2] {
    ["keys/demo-gigya-secret.txt", "keys/demo-gigya-user-secret.txt"].map(|path| shipped(path).trim().to_owned())
}

impl Stage {
    pub async fn start() -> Self {
        Self::by(|vendor| vendor).await
    }

    /// The same with another `way` to the vendor.
    pub async fn by(way: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        let vendor_clock = Arc::new(AtomicI64::new(NOW));
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        let [secret, user_secret] = secrets();
        let vendor = DemoGigya::start(address, Arc::clone(&vendor_clock) as Arc<dyn Clock>, &secret, &user_secret).await.unwrap();
        vendor.call_it(PUBLIC);
        let app = Upstream::start().await;
        let folder = Folder::new();
        for file in
            ["demo-gigya-secret.txt", "demo-gigya-user-secret.txt", "demo-server-keys.jsonl", "demo-pepper.txt", "demo-ticket-current.key"]
        {
            folder.write(file, shipped(&format!("keys/{file}")));
        }
        let yaml = shipped("systems/gigya.yaml")
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("admin: { address: 127.0.0.1:9901 }", "state: { memory: {} }\ngovernor: off")
            .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
            .replace("../keys/", "")
            // What is signed stays as it is shipped.
            .replace("base: https://accounts.us1.gigya.com", &format!("base: {PUBLIC}"))
            .replace("https://accounts.us1.gigya.com", &format!("http://{}", way(vendor.address())));
        let whole = Whole::start_in(folder, &yaml).await;
        whole.ready().await;
        let stage = Self { vendor, vendor_clock, app, whole };
        // The store has begun a while ago: what a clock that is ahead may have dated is past.
        stage.at(NOW + 100);
        stage
    }

    /// Both clocks stand at `now` from here on.
    pub fn at(&self, now: i64) {
        self.vendor_clock.store(now, Ordering::SeqCst);
        self.whole.set_clock(now);
    }

    /// The vendor's clock alone stands at `now` from here on.
    pub fn vendor_at(&self, now: i64) {
        self.vendor_clock.store(now, Ordering::SeqCst);
    }

    /// Posts a form to `host`.
    pub async fn post(&self, host: &str, target: &str, fields: &[(&str, &str)], form: &str) -> Answer {
        let own = [("Host", host), ("Content-Type", "application/x-www-form-urlencoded")];
        let fields: Vec<(&str, &str)> = own.into_iter().chain(fields.iter().copied()).collect();
        self.whole.ask_with("POST", target, &fields, form).await
    }

    pub async fn get(&self, host: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<(&str, &str)> = [("Host", host)].into_iter().chain(fields.iter().copied()).collect();
        self.whole.ask("GET", target, &fields).await
    }

    /// That no secret of the site's stands anywhere in what the proxy wrote or `answer` says.
    pub fn keeps_its_secrets(&self, answer: &Answer) {
        let said = format!("{:?} {} {}", answer.fields, answer.text(), self.whole.written());
        for secret in secrets() {
            assert!(!said.contains(&secret), "a secret is told: {said}");
        }
    }
}

/// HTTP status and `errorCode` of an answer.
pub fn told(answer: &Answer) -> (u16, u64) {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no envelope: {answer:?} {}", answer.text()));
    (answer.status, said["errorCode"].as_u64().unwrap_or_else(|| panic!("no code: {said}")))
}

pub fn encode(text: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, SET).to_string()
}

/// HMAC-SHA1 under a secret as the console shows it.
pub fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&STANDARD.decode(secret).unwrap()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// `name=value` pairs as a form.
pub fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// A call that a server of the site signs under its user key.
#[derive(Clone)]
pub struct Call {
    pub base: &'static str,
    pub method: &'static str,
    pub name: &'static str,
    pub secret: String,
    pub parameters: Vec<(&'static str, String)>,
}

impl Call {
    pub fn new(name: &'static str, time: i64, nonce: &str) -> Self {
        let [_, secret] = secrets();
        let parameters = vec![
            ("apiKey", DemoGigya::API_KEY.to_owned()),
            ("userKey", DemoGigya::USER_KEY.to_owned()),
            ("timestamp", time.to_string()),
            ("nonce", nonce.to_owned()),
        ];
        Self { base: PUBLIC, method: "POST", name, secret, parameters }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.retain(|(other, _)| *other != name);
        self.parameters.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(other, _)| *other != name);
        self
    }

    /// The form, signed.
    pub fn form(&self) -> String {
        let mut sorted = self.parameters.clone();
        sorted.sort();
        let pairs: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let url = format!("{}/{}", self.base, self.name);
        let sig = hmac(&self.secret, &format!("{}&{}&{}", self.method, encode(&url), encode(&pairs.join("&"))));
        let sent: Vec<(&str, &str)> =
            self.parameters.iter().map(|(name, value)| (*name, value.as_str())).chain([("sig", sig.as_str())]).collect();
        form(&sent)
    }
}

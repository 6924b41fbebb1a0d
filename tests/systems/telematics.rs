//! Telematics SDK: the shipped conf between its clients, an app, and a user API that honours the newest pair only.

mod attacks;
pub mod clients;
mod guarded;
mod held;
mod issued;
mod renewed;
mod secrets;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use countersign::demo::credentials::{claims, with};
use countersign::demo::systems::telematics::DemoTelematics;
use countersign::domain::{Clock, Seconds, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

/// So long a token of the stand-in lives.
const LIFE: u32 = 600;

/// Who has been issued to whom.
const USER: &str = DemoTelematics::USER;
const OTHER: &str = DemoTelematics::OTHER;

/// The shipped conf, running.
struct Stage {
    vendor: DemoTelematics,
    vendor_clock: Arc<AtomicI64>,
    app: Upstream,
    accounts: SigningKey,
    whole: Whole,
}

fn shipped(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(path)).unwrap()
}

impl Stage {
    async fn start() -> Self {
        Self::changed(|yaml| yaml).await
    }

    /// The same after a change of the conf.
    async fn changed(change: impl FnOnce(String) -> String) -> Self {
        Self::by(|vendor| vendor, change).await
    }

    /// The same with another `way` to the vendor.
    async fn by(way: impl FnOnce(SocketAddr) -> SocketAddr, change: impl FnOnce(String) -> String) -> Self {
        let vendor_clock = Arc::new(AtomicI64::new(NOW));
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        let vendor = DemoTelematics::start(address, Arc::clone(&vendor_clock) as Arc<dyn Clock>, Seconds(LIFE)).await.unwrap();
        let (app, accounts) = (Upstream::start().await, SigningKey::generate(Algorithm::Es256).unwrap());
        let folder = Folder::new();
        folder.write("damoov.jwk", vendor.public_jwk().unwrap().to_string());
        folder.write("accounts.jwk", accounts.public_jwk().unwrap().to_string());
        for file in ["demo-server-keys.jsonl", "demo-pepper.txt", "demo-ticket-current.key", "demo-instance-key.txt"] {
            folder.write(file, shipped(&format!("keys/{file}")));
        }
        let yaml = shipped("systems/telematics.yaml")
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("admin: { address: 127.0.0.1:9901 }", "state: { memory: {} }")
            .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
            .replace("damoov: { pinned: { file: ../keys/demo-issuer.jwks.json } }", "damoov: { pinned: { file: damoov.jwk } }")
            .replace("accounts: { pinned: { file: ../keys/demo-issuer.jwks.json } }", "accounts: { pinned: { file: accounts.jwk } }")
            .replace("../keys/", "")
            // Who signs its tokens is called as it calls itself, whatever the way to it.
            .replace("issuer: \"https://user.telematicssdk.com\"", &format!("issuer: \"{}\"", vendor.origin()))
            .replace("https://user.telematicssdk.com", &format!("http://{}", way(vendor.address())));
        let whole = Whole::start_in(folder, &change(yaml)).await;
        Self { vendor, vendor_clock, app, accounts, whole }
    }

    /// Both clocks stand at `now` from here on.
    fn at(&self, now: i64) {
        self.vendor_clock.store(now, Ordering::SeqCst);
        self.whole.set_clock(now);
    }

    /// A token of our own accounts for a user of `device`.
    fn account(&self, device: &str) -> String {
        let claims = with(claims("https://id.example", Timestamp(NOW)), "device_token", device);
        format!("Bearer {}", self.accounts.sign_compact(&[], &claims).unwrap())
    }

    /// Posts JSON, as the vendor's clients do.
    async fn post(&self, target: &str, fields: &[(&str, &str)], body: &Value) -> Answer {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("Content-Type", "application/json")]).collect();
        self.whole.ask_with("POST", target, &fields, &body.to_string()).await
    }

    /// Asks with a pair that the client holds.
    async fn with_pair(&self, host: &str, target: &str, pair: &(String, String)) -> Answer {
        let bearer = format!("Bearer {}", pair.0);
        self.whole.ask("GET", target, &[("Host", host), ("Authorization", &bearer), ("X-Refresh-Token", &pair.1)]).await
    }
}

/// The pair that an answer hands back.
fn handed(answer: &Answer) -> Option<(String, String)> {
    Some((answer.field("x-renewed-access-token")?.to_owned(), answer.field("x-renewed-refresh-token")?.to_owned()))
}

/// Status, `Status`, and the key of the first error.
fn told(answer: &Answer) -> (u16, i64, String) {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no envelope: {answer:?}"));
    let key = said.pointer("/Errors/0/Key").and_then(Value::as_str).unwrap_or_default();
    (answer.status, said["Status"].as_i64().unwrap_or_default(), key.to_owned())
}

/// A login of `device` as the vendor's page writes it.
fn login(device: &str) -> Value {
    json!({ "LoginFields": json!({ "Devicetoken": device }).to_string(), "Password": "" })
}

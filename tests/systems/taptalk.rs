//! TapTalk: the shipped conf between its clients, an app, and a chat server that honours each ticket and refresh token once.
//!
//! The clients are written down here as taptalksdk-web 1.0.310 is: bodies are JSON in `text/plain`, nothing is the two signs `""`, an
//! empty `Authorization` is sent at the start, and only HTTP 200 with 401 and `40104` inside makes it refresh.

mod api;
mod app;
mod attacks;
pub mod clients;
mod held;
mod pitfalls;
mod secrets;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::demo::systems::taptalk::DemoTapTalk;
use countersign::domain::{Clock, Seconds};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
use crate::support::whole::{Folder, NOW, Whole};

/// So long an access token of the stand-in lives.
const LIFE: i64 = 600;

/// The web client's page.
const PAGE: &str = "https://app.example";

/// Your app: it opens WebSockets, and answers everything else.
fn chat(request: &Recorded) -> Reply {
    if request.fields("upgrade").is_empty() { ok("ok") } else { Reply::Echo }
}

/// The shipped conf, running.
struct Stage {
    vendor: DemoTapTalk,
    vendor_clock: Arc<AtomicI64>,
    app: Upstream,
    accounts: SigningKey,
    whole: Whole,
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).unwrap()
}

impl Stage {
    async fn start() -> Self {
        Self::by(|vendor| vendor, |_, yaml| yaml).await
    }

    /// The same with another `way` to the vendor, after a change of the conf and of the folder that it lies in.
    async fn by(way: impl FnOnce(SocketAddr) -> SocketAddr, change: impl FnOnce(&Folder, String) -> String) -> Self {
        let vendor_clock = Arc::new(AtomicI64::new(NOW));
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        let clock = Arc::clone(&vendor_clock) as Arc<dyn Clock>;
        let vendor = DemoTapTalk::start(address, clock, Seconds(u32::try_from(LIFE).unwrap())).await.unwrap();
        let (app, accounts) = (Upstream::scripted(chat).await, SigningKey::generate(Algorithm::Es256).unwrap());
        let folder = Folder::new();
        folder.write("accounts.jwk", accounts.public_jwk().unwrap().to_string());
        let files = [
            "demo-server-keys.jsonl",
            "demo-pepper.txt",
            "demo-ticket-current.key",
            "demo-assertion.pem",
            "demo-taptalk-server-secret.txt",
            "demo-taptalk-app-key.txt",
        ];
        for file in files {
            folder.write(file, read(&format!("keys/{file}")));
        }
        let yaml = read("systems/taptalk.yaml")
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("admin: { address: 127.0.0.1:9901 }", "state: { memory: {} }")
            .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
            .replace("accounts: { pinned: { file: ../keys/demo-issuer.jwks.json } }", "accounts: { pinned: { file: accounts.jwk } }")
            .replace("../keys/", "")
            .replace("https://engine.taptalk.example", &format!("http://{}", way(vendor.address())));
        let yaml = change(&folder, yaml);
        let whole = Whole::start_in(folder, &yaml).await;
        whole.ready().await;
        Self { vendor, vendor_clock, app, accounts, whole }
    }

    /// Both clocks stand at `now` from here on.
    fn at(&self, now: i64) {
        self.vendor_clock.store(now, Ordering::SeqCst);
        self.whole.set_clock(now);
    }

    /// A POST to `host`, with the fields of the web client and `more`.
    async fn post(&self, host: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let app_key = base64(format!("{}:{}", DemoTapTalk::APP.0, DemoTapTalk::APP.1));
        let own = [
            ("Host", host),
            ("App-Key", &app_key),
            ("Device-Identifier", "d-1"),
            ("Device-Model", "Netscape"),
            ("Device-Platform", "web"),
            ("Content-Type", "text/plain;charset=UTF-8"),
            ("Origin", PAGE),
        ];
        let fields: Vec<(&str, &str)> = own
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)))
            .chain(more.iter().copied())
            .collect();
        self.whole.ask_with("POST", path, &fields, body).await
    }
}

/// What an envelope says: HTTP status, the status inside, the code. Every member that the Android client wants is there.
fn told(answer: &Answer) -> (u16, i64, String) {
    let said = said(answer);
    let error = said["error"].as_object().unwrap_or_else(|| panic!("no envelope: {answer:?}"));
    assert!(["code", "message", "field"].iter().all(|name| error[*name].is_string()), "{said}");
    (answer.status, said["status"].as_i64().unwrap(), error["code"].as_str().unwrap().to_owned())
}

fn said(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no envelope: {answer:?}"))
}

/// A success.
fn fine() -> (u16, i64, String) {
    (200, 200, String::new())
}

fn refused(inside: i64, code: &str) -> (u16, i64, String) {
    (200, inside, code.to_owned())
}

/// User data as a back end sends it.
fn user_data(user: &str) -> Value {
    json!({
        "userIPAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
        "xcUserID": user, "fullName": "Anna Example", "email": "anna@app.example",
    })
}

#[test]
fn the_shipped_conf_is_sound_and_gives_no_warning() {
    let plan = live::read(&shipped("systems/taptalk.yaml"), &Machine).unwrap_or_else(|faults| panic!("{:?}", faults.sorted()));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

//! What is measured: whole verdicts, from the head of a request to the permit to forward, on one gate.
//!
//! The gate is built from a conf as `run` would build it. A verdict on warm caches never waits, so one poll is a whole
//! verdict and no runtime is in the figures.
//!
//! Not here: the framework around the gate, the network, the upstream.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use countersign::ambient::{Monotonic, SystemRandom};
use countersign::assembly::gate::{Ground, build};
use countersign::assembly::live::read;
use countersign::assembly::machine::Machine;
use countersign::demo::credentials::{AUDIENCE, Credentials, claims};
use countersign::domain::{Outage, Silent, Timestamp};
use countersign::gate::arrival::{Arrival, BodySource};
use countersign::gate::rule::Gate;
use countersign::gate::verdict::{Outcome, Verdict};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::state::memory::Memory;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Runtime;

/// When everything happens.
const NOW: Timestamp = Timestamp(1_800_000_000);
const ISSUER: &str = "https://id.example";

/// One request that is judged again and again.
pub struct Workload {
    pub name: &'static str,
    gate: Arc<Gate>,
    /// The refusal that must come of it; none when it must be admitted.
    refused: Option<&'static str>,
    target: String,
    headers: HeaderMap,
    peer: SocketAddr,
}

impl Workload {
    /// Judges the request once.
    pub fn judge(&self) -> Verdict {
        let arrival = Arrival {
            method: "GET",
            raw_target: self.target.as_bytes(),
            authority: None,
            headers: &self.headers,
            peer: self.peer,
            tls: false,
            server_name: None,
            http2: false,
        };
        let mut body = NoBody;
        let verdict = pin!(self.gate.admit(&arrival, &mut body)).poll_once();
        match verdict {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => panic!("{} waited; what waits cannot be measured like this", self.name),
        }
    }

    /// Judges it a few times, and makes sure that what is measured is what is meant.
    pub fn warm(&self) {
        for _ in 0..50 {
            let verdict = self.judge();
            let reason = verdict.record.reason.map(|reason| reason.as_str());
            assert_eq!(reason, self.refused, "{}", self.name);
            assert_eq!(matches!(verdict.outcome, Outcome::Admit(_)), self.refused.is_none(), "{}", self.name);
        }
    }
}

trait PollOnce: Future {
    fn poll_once(self: std::pin::Pin<&mut Self>) -> Poll<Self::Output>
    where
        Self: Sized,
    {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}

impl<F: Future> PollOnce for F {}

struct NoBody;

#[async_trait]
impl BodySource for NoBody {
    async fn body(&mut self, _limit: usize) -> Result<Bytes, Outage> {
        Ok(Bytes::new())
    }
}

/// All workloads, and the runtime that the gates' background work lives on.
pub struct Workloads {
    pub all: Vec<Workload>,
    _runtime: Runtime,
}

/// Builds every workload.
pub fn workloads() -> Workloads {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let credentials = Credentials::fresh(&SystemRandom).unwrap();
    credentials.write(folder.path()).unwrap();
    let keys = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| SigningKey::generate(algorithm).unwrap());
    for key in &keys {
        std::fs::write(folder.path().join(format!("{}.pem", key.algorithm().name())), key.public_pem().unwrap()).unwrap();
    }

    let gate = |fillers: usize| {
        let path = folder.path().join(format!("{fillers}.yaml"));
        std::fs::write(&path, conf(fillers)).unwrap();
        let plan = read(&path, &Machine).unwrap_or_else(|faults| panic!("{:?}", faults.sorted()));
        let ground = Ground {
            clock: Arc::new(AtomicI64::new(NOW.0)),
            stopwatch: Arc::new(Monotonic::start()),
            random: Arc::new(SystemRandom),
            observer: Arc::new(Silent),
            state: Arc::new(Memory::new(1)),
        };
        let _inside = runtime.enter();
        Arc::new(build(&plan, &ground, &[]).unwrap().gate)
    };
    let (few, many) = (gate(10), gate(10_000));

    let ticket = credentials.ticket_for_a_while(NOW, &SystemRandom).unwrap();
    let signature = credentials.gigya(NOW).unwrap();
    let gigya: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("UID", "anna")
        .append_pair("UIDSignature", &signature)
        .append_pair("signatureTimestamp", &NOW.to_string())
        .finish();
    let [rs256, es256, eddsa] = keys.each_ref().map(|key| format!("Bearer {}", key.sign_compact(&[], &claims(ISSUER, NOW)).unwrap()));
    let forged = format!("Bearer {}", credentials.forged(None, &claims(ISSUER, NOW)).unwrap());

    let of = |name, gate: &Arc<Gate>, target: &str, fields: &[(&'static str, &str)], refused| Workload {
        name,
        gate: Arc::clone(gate),
        refused,
        target: target.to_owned(),
        headers: head(fields),
        peer: SocketAddr::from(([203, 0, 113, 7], 4711)),
    };
    let all = vec![
        of("pass_through", &few, "/public/a/b", &[], None),
        of("pass_through_10000_rules", &many, "/public/a/b", &[], None),
        of("server_key", &few, "/partner/a", &[("server-key", &credentials.shop())], None),
        of("key_pair", &few, "/instance/a", &[("instanceid", "vehicle-7"), ("instancekey", credentials.instance())], None),
        of("jwt_remembered", &few, "/remembered/a", &[("authorization", &rs256)], None),
        of("jwt_rs256", &few, "/judged/a", &[("authorization", &rs256)], None),
        of("jwt_es256", &few, "/judged/a", &[("authorization", &es256)], None),
        of("jwt_eddsa", &few, "/judged/a", &[("authorization", &eddsa)], None),
        of("ticket", &few, "/ticket/a", &[("ticket", &ticket)], None),
        of("gigya", &few, &format!("/gigya/a?{gigya}"), &[], None),
        of("condition", &few, "/condition/a", &[("server-key", &credentials.shop())], None),
        of("nothing_presented", &few, "/partner/a", &[], Some("credential_missing")),
        of("forged_token", &few, "/judged/a", &[("authorization", &forged)], Some("signature_invalid")),
    ];
    Workloads { all, _runtime: runtime }
}

/// A head as a browser or a service sends it, with `fields` besides.
fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    let usual = [
        ("host", "api.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB,en;q=0.7"),
        ("cache-control", "no-cache"),
    ];
    let all = usual.iter().chain(fields);
    all.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

/// A conf with a rule per workload, and `fillers` more.
fn conf(fillers: usize) -> String {
    let jwt = format!("jwt: {{ issuer: {ISSUER}, audience: {AUDIENCE}, keys: issuer }}");
    let mut text = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]
upstreams: {{ app: http://127.0.0.1:9000 }}
governor: off
keys:
  issuer: {{ pinned: {{ file: [RS256.pem, ES256.pem, EdDSA.pem] }} }}
  partners: {{ server_keys: {{ file: keys/demo-server-keys.jsonl, pepper: {{ file: keys/demo-pepper.txt }} }} }}
  tickets: {{ mac: {{ file: keys/demo-ticket-current.key }} }}
  gigya: {{ gigya_secret: {{ file: keys/demo-gigya-secret.txt }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners }} }}
  instance: {{ key_pair: {{ keys: partners }} }}
  remembered: {{ {jwt} }}
  judged: {{ {jwt}, cache: off }}
  ticket: {{ ticket: {{ keys: tickets, audience: {AUDIENCE} }} }}
  gigya: {{ gigya: {{ keys: gigya }} }}
rules:
  - {{ name: public, match: {{ paths: [/public/**] }}, authenticate: none, forward: app }}
  - {{ name: condition, match: {{ paths: [/condition/**] }}, authenticate: partner, authorize: \"'chat:write' in identity.scopes\", forward: app }}
"
    );
    for name in ["partner", "instance", "remembered", "judged", "ticket", "gigya"] {
        let _ = writeln!(text, "  - {{ name: {name}, match: {{ paths: [/{name}/**] }}, authenticate: {name}, forward: app }}");
    }
    for number in 0..fillers {
        let _ = writeln!(text, "  - {{ name: f{number}, match: {{ paths: [/filler{number}/**] }}, authenticate: none, forward: app }}");
    }
    text
}

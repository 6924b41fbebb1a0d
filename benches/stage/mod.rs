//! What every bench judges: one conf with a rule per scheme, its key files, and a credential of each kind.
//!
//! Cold rules differ from cached ones in `cache: off` and in nothing else, so that their difference is the proof itself.
//! Keys are made once and written to a folder; a bench that counts instructions must not count their making.
//!
//! Not here: a clock; a socket.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot be set up has nothing to say"
)]

pub mod court;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::config::plan::Plan;
use countersign::domain::{Random, Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::digest::{Pepper, digest_text};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

const ISSUER: &str = "https://id.example";
const PEPPER: &[u8] = b"a pepper for benches, 0123456789abcdef";
const TICKET_KEY: &str = "a ticket key for benches, 9f86d081884c7d659a2feaa0c55ad015";
const GIGYA_SECRET: &[u8] = b"a partner secret for benches";

/// The schemes, by the first segment of their rule's path. `-cold` behind it is the rule without a cache.
pub const SCHEMES: [&str; 5] = ["server-key", "rs256", "es256", "ticket", "gigya"];

/// A folder with the conf and everything it refers to.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, its keys made if they are not there yet.
    pub fn at(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let folder = Self(path.to_path_buf());
        for (file, algorithm) in [("rs256.pem", Algorithm::Rs256), ("es256.pem", Algorithm::Es256), ("stranger.pem", Algorithm::Rs256)] {
            if !path.join(file).exists() {
                let key = SigningKey::generate(algorithm).unwrap();
                folder.write(file, key.private_pem().unwrap().expose());
            }
        }
        let keys: Vec<_> = ["rs256", "es256"].iter().map(|name| folder.key(name).public_jwk().unwrap()).collect();
        folder.write("issuer.jwks.json", json!({ "keys": keys }).to_string());
        folder.write("pepper", PEPPER);
        folder.write("ticket.key", TICKET_KEY);
        folder.write("gigya.secret", STANDARD.encode(GIGYA_SECRET));
        folder.write_server_keys("partners.jsonl", 1_000);
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    /// A file of `count` server keys. All share one digest but the first, which is the one that is presented: what is
    /// measured is the look-up among so many, not the making of their digests.
    pub fn write_server_keys(&self, name: &str, count: usize) {
        let pepper = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap();
        let ours = digest_text(&pepper.digest("partner-0", b"a secret of good length"));
        let mut lines = format!("{{\"id\":\"partner-0\",\"secrets\":[\"{ours}\"],\"scopes\":[\"orders:read\"]}}\n");
        for number in 1..count {
            let _ = writeln!(lines, "{{\"id\":\"partner-{number}\",\"secrets\":[\"{}\"]}}", digest_text(&[1; 32]));
        }
        self.write(name, lines);
    }

    /// The signing key called `name`.
    pub fn key(&self, name: &str) -> SigningKey {
        let text = std::fs::read_to_string(self.0.join(format!("{name}.pem"))).unwrap();
        let algorithm = if name == "es256" { Algorithm::Es256 } else { Algorithm::Rs256 };
        SigningKey::from_pem(&text, Some(algorithm)).unwrap()
    }

    /// Writes the conf for this listener, upstream and file of server keys, with `more` rules that nobody asks for, and
    /// returns its path.
    pub fn conf(&self, name: &str, listener: &str, upstream: &str, server_keys: &str, more: usize) -> PathBuf {
        let mut rules = String::new();
        for scheme in SCHEMES {
            let authenticator = scheme.replace('-', "_");
            let _ = writeln!(
                rules,
                "  - {{ name: {scheme}, match: {{ paths: [/{scheme}/**] }}, authenticate: {authenticator}, forward: app }}"
            );
            let _ = writeln!(
                rules,
                "  - {{ name: {scheme}-cold, match: {{ paths: [/{scheme}-cold/**] }}, authenticate: {authenticator}_cold, forward: app }}"
            );
        }
        for number in 0..more {
            let _ =
                writeln!(rules, "  - {{ name: more-{number}, match: {{ paths: [/more/{number}/**] }}, authenticate: none, forward: app }}");
        }
        let text = format!(
            r#"listeners: [{{ address: "{listener}" }}]
threads: 1
upstreams: {{ app: "http://{upstream}" }}
keys:
  partners: {{ server_keys: {{ file: {server_keys}, pepper: {{ file: pepper }} }} }}
  issuer: {{ pinned: {{ file: issuer.jwks.json }} }}
  tickets: {{ mac: {{ file: ticket.key }} }}
  site: {{ gigya_secret: {{ file: gigya.secret }} }}
authenticators:
  server_key: {{ server_key: {{ keys: partners }} }}
  server_key_cold: {{ server_key: {{ keys: partners }}, cache: off }}
  rs256: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }} }}
  rs256_cold: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }}, cache: off }}
  es256: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }} }}
  es256_cold: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }}, cache: off }}
  ticket: {{ ticket: {{ keys: tickets, audience: app, max_life: 90d }} }}
  ticket_cold: {{ ticket: {{ keys: tickets, audience: app, max_life: 90d }}, cache: off }}
  gigya: {{ gigya: {{ keys: site, window: 5m, from: [query] }} }}
  gigya_cold: {{ gigya: {{ keys: site, window: 5m, from: [query] }}, cache: off }}
  renewable: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }}, renew: login }}
  renewable_cold: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }}, cache: off, renew: login }}
  renewable_cookie: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }}, renew: cookies }}
renewers:
  login: {{ oauth2: {{ refresh_from: {{ header: X-Refresh-Token }}, token_url: "http://127.0.0.1:9/token", client_id: app, client_auth: none }} }}
  cookies: {{ oauth2: {{ refresh_from: {{ cookie: rt }}, token_url: "http://127.0.0.1:9/token", client_id: app, client_auth: none }} }}
rules:
  - {{ name: open, match: {{ paths: [/open/**] }}, authenticate: none, forward: app }}
  - {{ name: renewable, match: {{ paths: [/renewable/**] }}, authenticate: renewable, forward: app }}
  - {{ name: renewable-cold, match: {{ paths: [/renewable-cold/**] }}, authenticate: renewable_cold, forward: app }}
  - {{ name: renewable-cookie, match: {{ paths: [/renewable-cookie/**] }}, authenticate: renewable_cookie, forward: app }}
  - {{ name: scoped, match: {{ paths: [/scoped/**] }}, authenticate: rs256, scopes: [admin], forward: app }}
  - {{ name: condition, match: {{ paths: [/condition/**] }}, authenticate: rs256, authorize: "'orders:write' in identity.scopes && request.method == 'GET'", forward: app }}
  - {{ name: denied, match: {{ paths: [/denied/**] }}, authenticate: rs256, authorize: "identity.subject == 'nobody'", forward: app }}
  - {{ name: posted, match: {{ paths: [/posted/**], methods: [POST] }}, authenticate: none, forward: app }}
{rules}limits: {{ keepalive_requests: 0 }}
governor: {{ failures_per_address: 1000000, failures_per_id: 1000000, window: 1s }}
"#
        );
        self.write(name, text);
        self.0.join(name)
    }

    /// Adds to the conf called `name` a rule whose replies are held, before the same upstream and for the same callers as `renewable`.
    pub fn hold_replies(&self, name: &str) {
        const RULE: &str = "  - { name: held, match: { paths: [/held/**] }, authenticate: renewable, \
                            system: { telematics: { status_in_body: true } }, forward: app }\n";
        let text = std::fs::read_to_string(self.0.join(name)).unwrap();
        let with = text.replacen("rules:\n", &format!("rules:\n{RULE}"), 1);
        assert_ne!(with, text, "the rules begin on a line of their own");
        self.write(name, with);
    }

    /// Writes the conf called `like` once more as `name`, without its renewers and without the rules and authenticators that name
    /// one: what the rest costs in a house that renews nothing.
    pub fn conf_without_renewers(&self, name: &str, like: &str) {
        const RENEWING: [&str; 5] = ["renewable", "renewers:", "login:", "cookies:", "- { name: renewable"];
        let text = std::fs::read_to_string(self.0.join(like)).unwrap();
        let renews = |line: &&str| RENEWING.iter().any(|begins| line.trim_start().starts_with(begins));
        let rest: Vec<&str> = text.lines().filter(|line| !renews(line)).collect();
        assert!(rest.iter().all(|line| !line.contains("renew")), "something renews still");
        self.write(name, rest.join("\n"));
    }

    /// A request line's target and the fields that prove `scheme`, as of `now`, for the caller `subject`.
    pub fn credential(&self, scheme: &str, cold: bool, subject: &str, now: i64, random: &dyn Random) -> Presented {
        let prefix = format!("/{scheme}{}/orders/17", if cold { "-cold" } else { "" });
        match scheme {
            "server-key" => Presented::field(prefix, "server-key", STANDARD.encode("partner-0:a secret of good length")),
            "rs256" | "es256" => Presented::bearer(prefix, &self.token(scheme, subject, now)),
            "ticket" => Presented::bearer(prefix, &ticket(subject, now, random)),
            "gigya" => Presented { target: format!("{prefix}?{}", signed_uid(subject, now, GIGYA_SECRET)), fields: Vec::new() },
            other => panic!("no scheme {other}"),
        }
    }

    /// A token of the size that issuers make, signed with the key called `key`.
    pub fn token(&self, key: &str, subject: &str, now: i64) -> String {
        let key = self.key(key);
        self.token_with(&key, subject, now, now + 3_600)
    }

    /// The same with its end at `expires`, by `key`.
    pub fn token_with(&self, key: &SigningKey, subject: &str, now: i64, expires: i64) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": "app", "sub": subject, "iat": now - 60, "exp": expires,
            "email": "anna@example.org", "email_verified": true, "name": "Anna Example", "scope": "orders:read orders:write",
            "azp": "web", "sid": "8f0c2a1e-5b7d-4a39-9c55-0d6f1c1f2f11",
        });
        key.sign_compact(&[], &claims).unwrap()
    }

    /// A token by a key that nobody published, under the `kid` of one that somebody did.
    pub fn forged(&self, now: i64) -> String {
        let known = self.key("rs256");
        let stranger = self.key("stranger").with_kid(known.kid());
        self.token_with(&stranger, "anna", now, now + 3_600)
    }

    /// The conf at `path`, proven.
    pub fn plan(path: &Path) -> Plan {
        live::read(path, &Machine).unwrap_or_else(|faults| {
            let told: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
            panic!("{}", told.join("\n"))
        })
    }
}

fn ticket(subject: &str, now: i64, random: &dyn Random) -> String {
    // How the `mac` source names its keys; were it to change, no ticket of a bench would pass, and the bench would say so.
    let name = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, TICKET_KEY.as_bytes());
    let name = aws_lc_rs::hmac::sign(&name, b"countersign mac key id");
    let press = Mint {
        key: TicketKey::new(*name.as_ref().first_chunk().unwrap(), &Secret::new(TICKET_KEY.as_bytes().to_vec())),
        issuer: "countersign".into(),
        audience: "app".into(),
        max_life: Seconds(3_600),
    };
    let order = TicketOrder {
        subject: subject.into(),
        life: None,
        scopes: Box::new(["orders:read".into()]),
        single_use: false,
        bindings: Bindings::default(),
        claims: Value::empty(),
    };
    mint(&press, order, Timestamp(now), random).unwrap()
}

/// The query of a signed user id.
pub fn signed_uid(uid: &str, now: i64, secret: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
    mac.update(format!("{now}_{uid}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    form_urlencoded::Serializer::new(String::new())
        .append_pair("UID", uid)
        .append_pair("UIDSignature", &signature)
        .append_pair("signatureTimestamp", &now.to_string())
        .finish()
}

/// A request as it is presented.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Path and query.
    pub target: String,
    /// The fields that carry the credential.
    pub fields: Vec<(&'static str, String)>,
}

impl Presented {
    /// Without any credential.
    pub fn bare(target: impl Into<String>) -> Self {
        Self { target: target.into(), fields: Vec::new() }
    }

    /// With one in this field.
    pub fn field(target: impl Into<String>, name: &'static str, value: impl Into<String>) -> Self {
        Self { target: target.into(), fields: vec![(name, value.into())] }
    }

    /// With this field as well.
    pub fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With one as a bearer.
    pub fn bearer(target: impl Into<String>, token: &str) -> Self {
        Self::field(target, "authorization", format!("Bearer {token}"))
    }
}

/// Bytes that differ from one another and between no two runs.
#[derive(Default)]
pub struct Counting(std::sync::atomic::AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed);
        for (place, byte) in buffer.iter_mut().zip(next.to_le_bytes().into_iter().cycle()) {
            *place = byte;
        }
    }
}

//! The whole proxy with a conf, from the first byte to the audit record.

use countersign::domain::Secret;
use countersign::verify::keys::digest;

use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

/// The pepper of every server key here.
const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";

/// A line of a server key file.
fn server_key(id: &str, secret: &str, rest: &str) -> String {
    let digest = digest::Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap().digest(id, secret.as_bytes());
    format!("{{\"id\":\"{id}\",\"secrets\":[\"{}\"]{rest}}}\n", digest::digest_text(&digest))
}

fn basic(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn conf(upstream: &Upstream) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
keys:
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners }} }}
rules:
  - {{ name: health, match: {{ paths: [/health] }}, authenticate: none, forward: app }}
  - name: partners
    match: {{ paths: [/server/**], methods: [GET, POST] }}
    authenticate: partner
    authorize: ''chat:write' in identity.scopes'
    forward: app
",
        upstream.address
    )
    .replace("''chat:write' in identity.scopes'", "\"'chat:write' in identity.scopes\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_key_is_proven_refused_with_a_reason_and_forwarded_clean() {
    let upstream = Upstream::start().await;
    let lines = [
        server_key("acme", "s3cret", ",\"scopes\":[\"chat:write\"]"),
        server_key("reader", "s3cret", ""),
        server_key("late", "s3cret", &format!(",\"expires\":{NOW},\"scopes\":[\"chat:write\"]")),
    ]
    .concat();
    let whole = Whole::start(&conf(&upstream), &[("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await;
    whole.ready().await;

    let good = basic("acme:s3cret");
    let rows = [
        // path, Server-Key, status, reason, what the row shows
        ("/health", None, 200, "", "a public rule asks for nothing"),
        ("/server/x", Some(good.clone()), 200, "", "the right secret passes"),
        ("/server/x", Some(good.clone()), 200, "", "and again"),
        ("/server/x", None, 401, "credential_missing", "nothing was presented"),
        ("/server/x", Some(basic("acme:wrong")), 401, "secret_wrong", "the wrong secret"),
        ("/server/x", Some(basic("nobody:s3cret")), 401, "secret_wrong", "an unknown id reads like a wrong secret"),
        ("/server/x", Some(basic("late:s3cret")), 401, "key_disabled", "the end itself is too late"),
        ("/server/x", Some(basic("reader:s3cret")), 403, "policy_denied", "proven, but the condition does not hold"),
        ("/server/x", Some("!".to_owned()), 401, "credential_malformed", "malformed is not absent"),
        ("/nothing", Some(good), 404, "no_rule", "no rule, no entry"),
        ("/server/../health", None, 400, "target_ambiguous", "two readings, no reading"),
    ];
    for (path, key, status, reason, shows) in rows {
        let before = upstream.hits();
        let fields: Vec<(&str, &str)> =
            key.iter().map(|key| ("Server-Key", key.as_str())).chain([("X-Auth-Subject", "admin"), ("x_auth.subject", "admin")]).collect();
        let answer = whole.ask("GET", path, &fields).await;
        assert_eq!(answer.status, status, "{shows}: {}", answer.text());
        assert_eq!(upstream.hits() - before, usize::from(status == 200), "{shows}: the upstream's own count");
        if status == 200 {
            let seen = upstream.records().pop().unwrap();
            assert_eq!(seen.fields("server-key"), Vec::<&str>::new(), "{shows}: the credential stays with us");
            let expected: &[&str] = if path == "/health" { &[] } else { &["acme"] };
            assert_eq!(seen.fields("x-auth-subject"), expected, "{shows}: only our word");
            assert_eq!(seen.fields("x_auth.subject"), Vec::<&str>::new(), "{shows}: no look-alike");
            assert_eq!(seen.fields("x-request-id").len(), 1, "{shows}: one request id");
        } else {
            assert_eq!(whole.reason_of(&answer).await, reason, "{shows}");
        }
    }
}

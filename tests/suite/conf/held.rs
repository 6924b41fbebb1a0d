//! Warnings about rules whose replies may be held, before upstreams that are assumed to speak HTTP/2.

use crate::conf::stage::Stage;

/// Lines 1 to 11; the rule of each row stands in line 12.
const HEAD: &str = "\
listeners: [{ address: 127.0.0.1:8080 }]
allow_inline_secrets: true
upstreams: { api: UPSTREAM }
keys: { own: { pinned: { file: own.jwk } }, seals: { mac: { file: seal.key } } }
authenticators:
  fixed: { jwt: { issuer: https://id.example, audience: app, keys: own, from: { header: X-Fixed } } }
  user: { jwt: { issuer: https://id.example, audience: app, keys: own }, renew: login }
  member: { session: { keys: seals } }
renewers:
  login: { oauth2: { refresh_from: { header: X-R }, token_url: https://id.example/t, client_id: app, client_secret: s } }
rules:
";

const KEY: &str = r#"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

fn told(upstream: &str, rule: &str) -> Vec<String> {
    let rest = "- { name: all, match: { paths: /all }, authenticate: { any: [fixed, user, member] }, forward: api }\n";
    Stage::new(&format!("{}- {{ name: r, match: {{ paths: /a }}, {rule} }}\n{rest}", HEAD.replace("UPSTREAM", upstream)))
        .file("own.jwk", KEY.as_bytes())
        .file("seal.key", b"an authentic key of 32 bytes, or more\n")
        .told()
}

#[test]
fn an_upstream_that_may_speak_http2_alone_is_told_of_where_replies_are_held() {
    const BARE: &str = "http://127.0.0.1:9000";
    const OLD: &str = "{ servers: http://127.0.0.1:9000, h2: false }";
    const PLAIN: &str = "{ servers: http://127.0.0.1:9000, h2: true }";
    const SECURE: &str = "{ servers: https://api.example, h2: true }";
    let rows = [
        (PLAIN, "authenticate: user, system: taptalk, forward: api", true, "what a reply says is renewed for"),
        (PLAIN, "authenticate: { any: [fixed, user] }, system: taptalk, forward: api", true, "for some callers"),
        (PLAIN, "authenticate: none, system: taptalk, harvest: { session: member }, forward: api", true, "what it brings is kept"),
        (PLAIN, "authenticate: user, system: taptalk, forward: { upstream: api }", true, "the long form"),
        (PLAIN, "authenticate: fixed, system: taptalk, forward: api", false, "nothing comes of what it says"),
        (PLAIN, "authenticate: user, forward: api", false, "no system reads it"),
        (BARE, "authenticate: user, system: taptalk, forward: api", false, "HTTP/1.1 as ever"),
        (OLD, "authenticate: user, system: taptalk, forward: api", false, "the same, written out"),
        (SECURE, "authenticate: user, system: taptalk, forward: api", false, "over TLS they agree on one"),
    ];
    for (upstream, rule, warns, shows) in rows {
        let told = told(upstream, rule);
        let ours: Vec<_> = told.iter().filter(|line| line.contains("speaks nothing else")).collect();
        assert_eq!(ours.len(), usize::from(warns), "{shows}: {told:#?}");
        assert!(ours.iter().all(|line| line.starts_with("12:") && line.contains("warning")), "{shows}: where it stands: {told:#?}");
        assert!(told.iter().all(|line| !line.contains("error")), "{shows}: and it is no fault: {told:#?}");
    }
}

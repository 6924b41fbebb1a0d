//! Faults of the key `serve`: which rule a service may stand behind, and what its settings may say.

use crate::conf::stage::Stage;

/// Lines 1 to 9; the rule of each row stands in line 10.
const HEAD: &str = "\
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { app: http://127.0.0.1:9000 }
issuers: { ours: { issuer: 'https://proxy.example', signing_key: { file: signer }, audience: app } }
keys: { k: { server_keys: { file: k.jsonl, pepper: { file: pepper } } }, m: { mac: { file: mac } } }
authenticators:
  key: { server_key: { keys: k } }
  pass: { ticket: { keys: m, max_life: 30m } }
OTHER
rules:
";

/// A server key: id `demo`, digest of anything, under the pepper below.
const SERVER_KEYS: &str = "{\"id\":\"demo\",\"secrets\":[\"cs1:MzVwDkB05H01AY7GqBbdsoR-e8X9xgnTJNWT4cXGHcI\"]}\n";

fn told(other: &str, rule: &str) -> Vec<String> {
    let head = HEAD.replace("OTHER", other);
    Stage::new(&format!("{head}- {{ name: r, {rule} }}\n- {{ name: all, match: {{ paths: /all }}, authenticate: key, forward: app }}\n"))
        .file("k.jsonl", SERVER_KEYS.as_bytes())
        .file("pepper", b"0123456789abcdef\n")
        .file("mac", b"an authentic key of 32 bytes, or more\n")
        .file("signer", include_bytes!("../../../conf/keys/demo-assertion.pem"))
        .told()
}

const NONE_ELSE: &str = "";
const ANOTHER: &str = "  web: { ticket: { keys: m, audience: web, from: { cookie: t } } }";

#[test]
fn a_service_stands_behind_a_rule_that_fits() {
    let post = "match: { paths: /, methods: [POST] }, authenticate: key, ";
    let rows = [
        (NONE_ELSE, format!("{post}serve: ticket.mint"), None, "bare, with the only tickets there are"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{}} }}"), None, "the same in the long form"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ life: 30m, claims: [tenant] }} }}"), None, "as long as they are taken"),
        (
            NONE_ELSE,
            format!("{post}serve: {{ ticket.mint: {{ life: 31m }} }}"),
            Some("takes none that live longer than 1800 s"),
            "too long",
        ),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ tickets: key }} }}"), Some("of the scheme `server_key`"), "no tickets"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ tickets: pas }} }}"), Some("did you mean `pass`?"), "mistyped"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ subject: anyone }} }}"), Some("one of identity, request"), "for whom"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ bind: [adress] }} }}"), Some("must be one of address"), "bound to what"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ scopes: ['a b'] }} }}"), Some("not one scope"), "two scopes in one"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ scopes: [a, a] }} }}"), Some("stands here twice"), "a scope twice"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ claims: [a, a] }} }}"), Some("stands here twice"), "a claim twice"),
        (
            NONE_ELSE,
            format!("{post}serve: {{ ticket.mint: {{ claims: [jti] }} }}"),
            Some("has a field of this name"),
            "a claim that a ticket has",
        ),
        (NONE_ELSE, format!("{post}serve: {{ ticket.mint: {{ claims: [minted_by] }} }}"), Some("has a field of this name"), "and our own"),
        (
            NONE_ELSE,
            "match: { paths: / }, authenticate: key, serve: ticket.mint".into(),
            Some("answers POST only; write `methods: [POST]`"),
            "by any method",
        ),
        (
            NONE_ELSE,
            "match: { paths: /, methods: [POST, GET] }, authenticate: key, serve: ticket.mint".into(),
            Some("answers POST only"),
            "by one too many",
        ),
        (
            NONE_ELSE,
            "match: { paths: /, methods: [POST] }, authenticate: none, serve: ticket.mint".into(),
            Some("lets anyone through"),
            "for nobody in particular",
        ),
        (
            NONE_ELSE,
            "match: { paths: /, methods: [POST] }, authenticate: { optional: key }, serve: ticket.revoke".into(),
            Some("lets anyone through"),
            "for whoever likes",
        ),
        (ANOTHER, format!("{post}serve: ticket.mint"), Some("say whose: `{ ticket.mint: { tickets: NAME } }`"), "whose tickets?"),
        (ANOTHER, format!("{post}serve: {{ ticket.revoke: {{ by_id: 1 }} }}"), Some("must be `true` or `false`"), "no flag"),
        (NONE_ELSE, format!("{post}serve: ticket.revoke"), None, "bare"),
        (
            NONE_ELSE,
            "match: { paths: /, methods: [POST] }, authenticate: none, serve: { ticket.redeem: { issuer: ours } }".into(),
            None,
            "a ticket in a body needs nobody else",
        ),
        (NONE_ELSE, format!("{post}serve: ticket.redeem"), Some("say whose tokens"), "for which pair?"),
        (NONE_ELSE, format!("{post}serve: {{ ticket.redeem: {{ issuer: our }} }}"), Some("did you mean `ours`?"), "mistyped"),
        (
            NONE_ELSE,
            format!("{post}serve: {{ ticket.mint: {{}}, ticket.revoke: {{}} }}"),
            Some("it cannot be `ticket.revoke` too"),
            "two at once",
        ),
    ];
    let mut wrong = Vec::new();
    for (other, rule, expected, shows) in rows {
        let told = told(other, &rule);
        let errors: Vec<&String> = told.iter().filter(|fault| fault.contains(": error: ")).collect();
        let fits = match (expected, errors.as_slice()) {
            (None, []) => !told.iter().any(|fault| fault.contains("nothing refers to `pass`")),
            (Some(words), [fault]) => fault.starts_with("10:") && fault.contains(words),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{shows}: {rule}\n  expected {expected:?}\n  told {told:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

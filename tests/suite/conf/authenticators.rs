//! Faults of authenticators, key stores and what rules demand of them.

use crate::conf::stage::Stage;

const HEAD: &str = "listeners: [{ address: 127.0.0.1:8080 }]\nupstreams: { app: http://127.0.0.1:9000 }\n";

/// A server key: id `demo`, digest of anything, under the pepper below.
const SERVER_KEYS: &str = "{\"id\":\"demo\",\"secrets\":[\"cs1:MzVwDkB05H01AY7GqBbdsoR-e8X9xgnTJNWT4cXGHcI\"]}\n";

fn stage(text: &str) -> Stage {
    Stage::new(&format!("{HEAD}{text}\n"))
        .file("k.jsonl", SERVER_KEYS.as_bytes())
        .file("none.jsonl", b"")
        .file("pepper", b"0123456789abcdef\n")
        .file("mac", b"an authentic key of 32 bytes, or more\n")
        .file("short", b"0123456789abcdef0123456789abcde\n")
        .file("public", PUBLIC.as_bytes())
        .file("gigya", b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
}

/// A public key, in the place where a secret is wanted.
const PUBLIC: &str = include_str!("../../../conf/keys/demo-issuer-public.pem");

/// Stores and authenticators that are beyond reproach, in lines 3 to 14; the next rule stands in line 15.
const SOUND: &str = "\
keys:
  k: { server_keys: { file: k.jsonl, pepper: { file: pepper } } }
  m: { mac: { file: mac } }
  g: { gigya_secret: { file: gigya } }
authenticators:
  basic: { server_key: { keys: k, from: basic } }
  key: { server_key: { keys: k } }
  pass: { ticket: { keys: m, from: bearer } }
  cookie: { ticket: { keys: m, audience: web, from: { cookie: t } } }
  member: { gigya: { keys: g } }
rules:
- { name: a, match: { paths: /a }, authenticate: { any: [basic, key, pass, cookie, member] }, forward: app }
";

fn told(text: &str) -> Vec<String> {
    stage(text).told()
}

/// Why the conf `text` is not told exactly one fault, at `place` and with `words`; nothing when it is.
fn unlike(text: &str, place: &str, words: &str) -> Option<String> {
    let told = told(text);
    let one = matches!(told.as_slice(), [fault] if fault.starts_with(place) && fault.contains(words));
    (!one).then(|| format!("{text}\nexpected {place} … {words}\ntold {told:#?}\n"))
}

/// Shows every row that went wrong, not the first alone.
fn expect_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sound_authenticators_have_no_faults() {
    assert_eq!(told(SOUND), Vec::<String>::new());
    let plan = stage(SOUND).plan().unwrap();
    assert_eq!(plan.keys.len(), 3);
    let names: Vec<&str> = plan.authenticators.iter().map(|plan| &*plan.name).collect();
    assert_eq!(names, ["basic", "key", "pass", "cookie", "member"]);
    assert_eq!(plan.rules[0].requirement.authenticators(), [0, 1, 2, 3, 4], "numbers follow the written order");
}

#[test]
fn stores_and_authenticators_are_proven() {
    let rows = [
        // keys, authenticators, place, words; the authenticator is called `a`, its value starts in line 4, column 22.
        (
            "k: { server_keys: { file: k.jsonl, pepper: { file: pepper } } }",
            "a: { server_key: { keys: kk } }",
            "4:44: error:",
            "`keys` defines no `kk`; did you mean `k`?",
        ),
        ("m: { mac: { file: mac } }", "a: { server_key: { keys: m } }", "4:44: error:", "`a` needs server keys, but `m` holds a `mac` key"),
        (
            "k: { server_keys: { file: k.jsonl, pepper: { file: pepper } } }",
            "a: { ticket: { keys: k } }",
            "4:40: error:",
            "needs a `mac` key, but `k` holds server keys",
        ),
        ("m: { mac: { file: short } }", "a: { ticket: { keys: m } }", "3:19: error:", "32"),
        ("m: { mac: { file: public } }", "a: { ticket: { keys: m } }", "3:19: error:", "this is a key of another kind"),
        ("m: { mac: [] }", "a: { ticket: { keys: m } }", "3:19: error:", "needs at least 1; an empty list"),
        (
            "m: { mac: { file: mac }, server_keys: { file: k.jsonl, pepper: { file: pepper } } }",
            "a: { ticket: { keys: m } }",
            "3:34: error:",
            "it cannot be `server_keys` too",
        ),
        ("m: {}", "a: { ticket: { keys: m } }", "3:12: error:", "does not say which key source it is"),
        ("\"m:\": { mac: { file: mac } }, m: { mac: { file: mac } }", "a: { ticket: { keys: m } }", "3:9: error:", "`m:` is no name"),
        ("m: { mac: { file: mac } }", "none: { ticket: { keys: m } }, a: { ticket: { keys: m } }", "4:19: error:", "choose another name"),
        ("m: { mac: { file: mac } }", "a: { tickt: { keys: m } }", "4:24: error:", "knows no key `tickt`; did you mean `ticket`?"),
        ("m: { mac: { file: mac } }", "a: { ticket: { keys: m, singel_use: true } }", "4:43: error:", "did you mean `single_use`?"),
        ("m: { mac: { file: mac } }", "a: { ticket: { keys: m }, cache: on }", "4:52: error:", "must be one of off"),
        ("m: { mac: { file: mac } }", "a: { ticket: { keys: m }, cache: { max_age: 2h } }", "4:63: error:", "must be between 1s and 3600s"),
        ("m: { mac: { file: mac } }", "a: { ticket: { keys: m } }, b: { ticket: { keys: m } }", "4:47: warning:", "nothing refers to `b`"),
        ("m: { mac: { file: mac } }, n: { mac: { file: mac } }", "a: { ticket: { keys: m } }", "3:36: warning:", "nothing refers to `n`"),
        (
            "k: { server_keys: { file: k.jsonl, pepper: { file: nowhere } } }",
            "a: { server_key: { keys: k } }",
            "3:60: error:",
            "cannot read `nowhere`",
        ),
        (
            "k: { server_keys: { file: nowhere, pepper: { file: pepper } } }",
            "a: { server_key: { keys: k } }",
            "3:35: error:",
            "cannot read `nowhere`",
        ),
        (
            "k: { server_keys: { file: none.jsonl, pepper: { file: pepper } } }",
            "a: { server_key: { keys: k } }",
            "3:35: warning:",
            "nobody",
        ),
    ];
    let mut wrong = Vec::new();
    for (keys, authenticators, place, words) in rows {
        let text = format!(
            "keys: {{ {keys} }}\nauthenticators: {{ {authenticators} }}\nrules: [{{ name: r, match: {{ paths: [/] }}, authenticate: a, forward: app }}]"
        );
        wrong.extend(unlike(&text, place, words));
    }
    expect_none(wrong);
}

#[test]
fn token_keys_are_proven() {
    let rows = [
        // keys, what stands beside issuer and audience, place, words; in line 4, `audience` is followed from column 74.
        ("k: { pinned: { file: public } }", "keys: k, algorithms: ES256", "", ""),
        ("k: { pinned: { file: public } }", "keys: k", "", ""),
        (
            "k: { pinned: { file: public } }",
            "keys: k, algorithms: RS256",
            "4:80: error:",
            "nobody can satisfy `a`: it accepts RS256, but `k` has keys for ES256 only",
        ),
        ("k: { pinned: { hmac: { file: mac } } }", "keys: k, algorithms: HS256", "", ""),
        ("k: { pinned: { hmac: { file: mac } } }", "keys: k", "4:80: error:", "nobody can satisfy `a`"),
        ("k: { pinned: { hmac: { file: short } } }", "keys: k, algorithms: HS256", "3:30: error:", "32"),
        ("k: { pinned: { hmac: { file: public } } }", "keys: k, algorithms: HS256", "3:30: error:", "key of another kind"),
        (
            "k: { pinned: { hmac: { file: mac }, hmac_algorithm: HS512 } }",
            "keys: k, algorithms: HS512",
            "3:30: error:",
            "as long as the hash of its algorithm",
        ),
        ("k: { pinned: { file: mac } }", "keys: k", "3:30: error:", "not well-formed"),
        ("k: { jwks_url: { url: http://id.example/keys } }", "keys: k", "3:31: error:", "https"),
        ("k: { jwks_url: { url: http://127.0.0.1:9/keys } }", "keys: k", "", ""),
        ("k: { jwks_url: { url: https://169.254.169.254/keys } }", "keys: k", "3:31: error:", "this address is never called"),
        (
            "k: { jwks_url: { url: https://id.example/keys } }",
            "keys: k, algorithms: HS256",
            "4:80: error:",
            "nobody can satisfy `a`: it accepts HS256",
        ),
        ("k: { discovery: { issuer: http://id.example } }", "keys: k", "3:35: error:", "https"),
    ];
    let mut wrong = Vec::new();
    for (keys, beside, place, words) in rows {
        let text = format!(
            "keys: {{ {keys} }}\nauthenticators: {{ a: {{ jwt: {{ issuer: https://id.example, audience: app, {beside} }} }} }}\n\
             rules: [{{ name: r, match: {{ paths: [/] }}, authenticate: a, forward: app }}]"
        );
        if place.is_empty() {
            let told = told(&text);
            wrong.extend((!told.is_empty()).then(|| format!("{text}\nexpected nothing\ntold {told:#?}\n")));
        } else {
            wrong.extend(unlike(&text, place, words));
        }
    }
    expect_none(wrong);
}

#[test]
fn a_token_issuer_without_keys_implies_a_store_that_discovers_them() {
    let text = |issuer: &str| {
        format!(
            "authenticators: {{ a: {{ jwt: {{ issuer: {issuer}, audience: app }} }}, b: {{ jwt: {{ issuer: {issuer}, audience: b, from: {{ header: X-B }} }} }} }}\n\
             rules: [{{ name: r, match: {{ paths: [/] }}, authenticate: {{ any: [a, b] }}, forward: app }}]"
        )
    };
    let plan = stage(&text("https://id.example")).plan().unwrap();
    let names: Vec<&str> = plan.keys.iter().map(|store| &*store.name).collect();
    assert_eq!(names, ["discovery:https://id.example"], "one store for both");
    assert!(told(&text("http://id.example")).iter().any(|fault| fault.contains("https")), "not in plaintext");
}

#[test]
fn two_branches_of_an_any_do_not_contend_for_one_issuer() {
    let ambiguous = "so the first decides on all of them and the second is never asked";
    let rows = [
        // what a, b and c trust and where they look; what the rule demands; whether it is ambiguous; what the row shows
        ("https://x", "", "https://x", "", "{ any: [a, b] }", true, "one issuer, one place"),
        ("https://x", "", "https://y", "", "{ any: [a, b] }", false, "two issuers"),
        ("https://x", "", "https://x", ", from: { header: X-B }", "{ any: [a, b] }", false, "two places"),
        (
            "https://x",
            ", from: [bearer, { header: X-B }]",
            "https://x",
            ", from: { header: X-B }",
            "{ any: [a, b] }",
            true,
            "a shared place",
        ),
        ("'*.x.example'", "", "b.x.example", "", "{ any: [a, b] }", true, "a pattern, and an issuer it stands for"),
        ("'*.x.example'", "", "b.y.example", "", "{ any: [a, b] }", false, "a pattern, and another issuer"),
        ("[https://x, https://y]", "", "[https://z, https://y]", "", "{ any: [a, b] }", true, "one of several"),
        ("https://x", "", "https://x", "", "{ any: [a, { optional: b }] }", true, "behind an optional"),
        ("https://x", "", "https://x", "", "{ any: [{ any: [a, pass] }, b] }", true, "in a tree of alternatives"),
        ("https://x", "", "https://x", "", "{ any: [{ all: [a, pass] }, b] }", false, "one of them together with another credential"),
    ];
    for (first, first_from, second, second_from, demanded, expected, shows) in rows {
        let text = format!(
            "keys: {{ k: {{ pinned: {{ file: public }} }}, m: {{ mac: {{ file: mac }} }} }}\n\
             authenticators:\n  a: {{ jwt: {{ issuer: {first}, audience: app, keys: k{first_from} }} }}\n  \
             b: {{ jwt: {{ issuer: {second}, audience: app, keys: k{second_from} }} }}\n  \
             pass: {{ ticket: {{ keys: m, from: {{ cookie: t }} }} }}\n\
             rules:\n- {{ name: r, match: {{ paths: [/] }}, authenticate: {demanded}, forward: app }}\n\
             - {{ name: s, match: {{ paths: [/s] }}, authenticate: {{ any: [pass, a] }}, forward: app }}\n\
             - {{ name: t, match: {{ paths: [/t] }}, authenticate: b, forward: app }}"
        );
        let told = told(&text);
        let found = told.iter().any(|fault| fault.starts_with("9:") && fault.contains(": error: ") && fault.contains(ambiguous));
        assert_eq!(found, expected, "{shows}: {told:#?}");
    }
}

#[test]
fn issuers_that_share_keys_are_told_unless_the_store_keeps_them_apart() {
    let rows = [
        ("k: { pinned: { file: public } }", "[https://x, https://y]", "k", true, "pinned keys"),
        ("k: { jwks_url: { url: https://x/keys } }", "[https://x, https://y]", "k", true, "one set for two"),
        ("k: { pinned: { file: public } }", "https://x", "k", false, "one issuer"),
        (
            "k: { pinned: { file: public } }, l: { pinned: { file: public } }",
            "[https://x, https://y]",
            "{ https://x: k, https://y: l }",
            false,
            "each its own",
        ),
        ("k: { pinned: { file: public } }", "[https://x, https://y]", "{ https://x: k, https://y: k }", true, "the same written twice"),
        ("k: { issuer_key: { allow: x.example } }", "['*.x.example', b.y.x.example]", "k", false, "each issuer is asked for its own key"),
    ];
    for (keys, issuers, store, expected, shows) in rows {
        let text = format!(
            "keys: {{ {keys} }}\nauthenticators: {{ a: {{ jwt: {{ issuer: {issuers}, audience: app, keys: {store} }} }} }}\n\
             rules: [{{ name: r, match: {{ paths: [/] }}, authenticate: a, forward: app }}]"
        );
        let told = told(&text);
        let found = matches!(told.as_slice(), [one] if one.starts_with("4:") && one.contains("warning: several issuers share a key store"));
        assert_eq!((found, told.is_empty()), (expected, !expected), "{shows}: {told:#?}");
    }
}

#[test]
fn what_a_rule_demands_can_be_met_and_is_no_slip() {
    let rows = [
        // `authenticate` and what follows it, from line 15, column 50.
        ("{ any: [key, key] }", "15:63: error:", "stands here twice"),
        ("{ any: [{ all: [key, pass] }, { all: [key, pass] }] }", "15:80: error:", "stands here twice"),
        ("{ any: [{ optional: key }, pass] }", "15:77: error:", "is never asked"),
        ("{ all: [basic, pass] }", "15:50: error:", "`basic` and `pass` both take their credential from the header `authorization`"),
        ("{ optional: { any: [key, { all: [pass, basic] }] } }", "15:50: error:", "nobody can satisfy this"),
        ("{ any: [key], all: [pass] }", "15:64: error:", "it cannot be `all` too"),
        ("{ optional: none }", "15:62: error:", "`none` stands alone"),
        ("{ any: [kye] }", "15:58: error:", "did you mean `key`?"),
        ("{ optional: key }, scopes: read", "15:77: warning:", "drop `optional`"),
        ("cookie, csrf: off, preflight: forward", "15:64: warning:", "any site that a logged-in user visits"),
        ("cookie, preflight: { answer: { origins: https://a.example } }, csrf: off", "15:119: warning:", "any site"),
    ];
    let mut wrong = Vec::new();
    for (demanded, place, words) in rows {
        let text = format!("{SOUND}- {{ name: b, match: {{ paths: /b }}, authenticate: {demanded}, forward: app }}");
        wrong.extend(unlike(&text, place, words));
    }
    expect_none(wrong);
    for (demanded, shows) in [
        ("{ all: [key, pass] }", "two places"),
        ("{ any: [key, { optional: pass }] }", "whoever brings neither goes on without identity"),
        ("{ any: [{ all: [key, pass] }, { all: [key, cookie] }] }", "trees in trees"),
        ("{ optional: { any: [key, pass] } }", "optional around any"),
        ("key, scopes: [a, b], authorize: identity.subject == 'x'", "scopes and a condition"),
    ] {
        let text = format!("{SOUND}- {{ name: b, match: {{ paths: /b }}, authenticate: {demanded}, forward: app }}");
        assert_eq!(told(&text), Vec::<String>::new(), "{shows}: {demanded}");
    }
}

#[test]
fn a_browser_that_clearly_needs_preflights_is_warned_about() {
    let options = format!("{SOUND}- {{ name: b, match: {{ paths: /b, methods: [GET, OPTIONS] }}, authenticate: key, forward: app }}");
    expect_none(Vec::from_iter(unlike(&options, "15:3: warning:", "browsers send preflights (OPTIONS) without credential")));
    let answered = options.replace("forward: app }", "forward: app, preflight: forward }");
    assert!(told(&answered).iter().all(|fault| !fault.contains("preflights")), "it says what happens with them");
}

#[test]
fn remembering_is_as_the_cache_section_says_unless_an_authenticator_says_otherwise() {
    let ages = |cache: &str, own: &str| {
        let text = format!(
            "{cache}keys: {{ m: {{ mac: {{ file: mac }} }} }}\nauthenticators: {{ a: {{ ticket: {{ keys: m }}{own} }} }}\n\
             rules: [{{ name: r, match: {{ paths: [/] }}, authenticate: a, forward: app }}]"
        );
        stage(&text).plan().unwrap().authenticators[0].cache.map(|age| age.0)
    };
    let rows = [
        ("", "", Some(300), "the default"),
        ("cache: { max_age: 10s }\n", "", Some(10), "the section"),
        ("cache: { max_age: 10s }\n", ", cache: { max_age: 20s }", Some(20), "its own"),
        ("", ", cache: off", None, "its own, off"),
        ("cache: off\n", "", None, "off for all"),
        ("cache: off\n", ", cache: { max_age: 20s }", None, "off for all wins"),
    ];
    for (cache, own, expected, shows) in rows {
        assert_eq!(ages(cache, own), expected, "{shows}");
    }
}

#[test]
fn faults_and_plans_show_no_secret() {
    let spoilt = SOUND.replace("file: pepper", "file: short").replace("name: a", "nam: a");
    let shown = format!("{:?} {:?}", stage(SOUND).plan().unwrap(), told(&spoilt));
    for secret in ["0123456789abcdef", "an authentic key", "MDEyMzQ1"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

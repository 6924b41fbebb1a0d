//! One row per kind of fault: where it is told, and what is said.

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;

use crate::conf::stage::Stage;

/// The first two lines of every conf here; rows start at line 3.
const HEAD: &str = "listeners: [{ address: 127.0.0.1:8080 }]\nupstreams: { app: http://127.0.0.1:9000 }\n";

/// A rule that is beyond reproach, for rows that are not about rules.
const RULE: &str = "rules: [{ name: r, match: { paths: [/] }, authenticate: none, forward: app }]\n";

/// A conf of [`HEAD`], `text`, and [`RULE`] where `text` has no rules.
fn conf(text: &str) -> String {
    let rules = if text.contains("rules:") { "" } else { RULE };
    format!("{HEAD}{text}\n{rules}")
}

/// Checks that everything told about each row's conf is exactly one fault, at its place and with its words.
fn expect_one(rows: &[(&str, &str, &str)], stage: impl Fn(Stage) -> Stage) {
    for (text, place, words) in rows {
        let told = stage(Stage::new(&conf(text))).told();
        let one = matches!(told.as_slice(), [fault] if fault.starts_with(place) && fault.contains(words));
        assert!(one, "{text}\nexpected {place} … {words}\ntold {told:#?}");
    }
}

#[test]
fn a_sound_conf_has_no_faults() {
    assert_eq!(Stage::new(&conf("")).told(), Vec::<String>::new());
}

#[test]
fn form_is_told_with_what_would_be_right() {
    expect_one(
        &[
            ("listner: []", "3:1: error:", "knows no key `listner`; did you mean `listeners`?"),
            ("grace: 5", "3:8: error:", "`grace` must be a length of time such as `30s`"),
            ("grace: 2h", "3:8: error:", "`grace` must be between 0s and 3600s; found `2h`"),
            ("threads: 0", "3:10: error:", "`threads` must be between 1 and 1024; found 0"),
            ("watch: yes", "3:8: error:", "`watch` must be `true` or `false`; found text"),
            ("limits: { header_bytes: 10 }", "3:25: error:", "must be between 1024 and 1048576 bytes"),
            ("limits: { header_byte: 10KiB }", "3:11: error:", "did you mean `header_bytes`?"),
            ("limits: { header_timeout: 0s }", "3:27: error:", "must be longer than nothing"),
            ("audit: { when_behind: wait }", "3:23: error:", "must be one of drop, block; found `wait`"),
            ("audit: { to: file }", "3:14: error:", "must be one of stdout, nowhere; found `file`"),
            ("cache: on", "3:8: error:", "must be one of off"),
            ("state: { reddis: { url: x } }", "3:10: error:", "knows no key `reddis`"),
            ("state: {}", "3:8: error:", "does not say which state store it is; write one of: embedded, memory, redis"),
            ("admin: {}", "3:8: error:", "needs `address`"),
            ("admin: 127.0.0.1:9901", "3:8: error:", "is a mapping; found text"),
            ("keys: { k: { servr_keys: {} } }", "3:14: error:", "knows no key `servr_keys`"),
        ],
        |stage| stage,
    );
}

#[test]
fn addresses_and_networks_are_proven() {
    expect_one(
        &[
            ("admin: { address: localhost:9901 }", "3:19: error:", "not an IP address with a port"),
            (
                "admin: { address: 0.0.0.0:9901 }",
                "3:19: error:",
                "can be reached from other machines; use `127.0.0.1:9901`, or set `token`",
            ),
            ("admin: { address: 127.0.0.1:8080 }", "3:19: error:", "is a listener for clients already"),
            ("trusted_proxies: [10.0.0.0/8, 10.0.0.0/33]", "3:31: error:", "`10.0.0.0/33` is no network"),
            ("trusted_proxies: [10.0.0.1/8]", "3:19: error:", "has bits beyond its prefix; write `10.0.0.0/8`"),
            ("trusted_proxies: [0.0.0.0/0]", "3:19: warning:", "believes everyone"),
            ("outbound: { resolve: { id.example: here } }", "3:36: error:", "`here` is not an IP address"),
            ("governor: off", "3:11: warning:", "lets anyone try secrets"),
            ("audit: { to: nowhere }", "3:14: warning:", "nobody will know who was let in"),
        ],
        |stage| stage,
    );
}

#[test]
fn what_is_referred_to_must_be_there() {
    expect_one(
        &[
            ("outbound: { ca: no.pem }", "3:17: error:", "cannot read `no.pem`: No such file"),
            ("outbound: { ca: bad.pem }", "3:17: error:", "`bad.pem` holds no certificate"),
            ("admin: { address: 0.0.0.0:1, token: { env: NOWHERE } }", "3:44: error:", "the environment variable `NOWHERE` is not set"),
            ("admin: { address: 0.0.0.0:1, token: { env: EMPTY } }", "3:37: error:", "this secret is empty"),
            ("admin: { address: 0.0.0.0:1, token: { env: SHORT } }", "3:37: error:", "has 8 bytes; use at least 16"),
            ("admin: { address: 0.0.0.0:1, token: { file: no.txt } }", "3:45: error:", "cannot read `no.txt`"),
            ("admin: { address: 0.0.0.0:1, token: { file: empty.txt } }", "3:37: error:", "this secret is empty"),
            ("admin: { address: 0.0.0.0:1, token: { vault: x } }", "3:37: error:", "must be a secret reference"),
            ("admin: { address: 0.0.0.0:1, token: inline-inline-inline }", "3:37: error:", "a secret may not stand in the conf"),
        ],
        |stage| stage.file("bad.pem", b"hello").file("empty.txt", b"\n").variable("EMPTY", "").variable("SHORT", "12345678"),
    );
}

#[test]
fn an_inline_secret_needs_leave_and_a_private_file() {
    let text = "admin: { address: 0.0.0.0:1, token: inline-inline-inline }\nallow_inline_secrets: true";
    assert_eq!(Stage::new(&conf(text)).told(), Vec::<String>::new(), "with leave, and readable by its owner only");
    expect_one(&[(text, "3:37: error:", "`chmod 600` it")], Stage::exposed);
    let referred = "admin: { address: 0.0.0.0:1, token: { env: T } }\nallow_inline_secrets: true";
    let told = Stage::new(&conf(referred)).variable("T", "0123456789abcdef").exposed().told();
    assert_eq!(told, Vec::<String>::new(), "a file that only refers to secrets may be read by all");
}

#[test]
fn upstreams_are_proven() {
    let rows = [
        ("u: ftp://x", "2:17: error:", "must be an absolute URL such as"),
        ("u: http://127.0.0.1:9/base", "2:17: error:", "a server has no path or query"),
        ("u: http://a:b@127.0.0.1:9", "2:17: error:", "must not carry a user name or password"),
        ("u: http://127.0.0.1:8080", "2:17: error:", "is this proxy's own listener"),
        ("u: http://localhost:8080", "2:17: error:", "is this proxy's own listener"),
        ("u: { servers: [] }", "2:28: error:", "needs at least 1; an empty list would match nothing and nobody"),
        ("u: { servers: [http://a, https://b] }", "2:39: error:", "all `http` or all `https`"),
        ("u: { servers: http://a, tls: {} }", "2:43: error:", "no meaning for `http` servers"),
        ("u: { servers: https://a, tls: { verify: false } }", "2:54: warning:", "lets anyone between here and the upstream read"),
        ("u: { servers: https://a, tls: { ca: no.pem } }", "2:50: error:", "cannot read `no.pem`"),
        ("u: { servers: http://a, tries: 0 }", "2:45: error:", "must be between 1 and 10"),
        ("u: { servers: http://a, read_timeout: 0s }", "2:52: error:", "must be longer than nothing"),
        ("u: { server: http://a, servers: http://a }", "2:19: error:", "did you mean `servers`?"),
        ("\"a b\": http://a, u: http://a", "2:14: error:", "`a b` is no name"),
        ("u: http://a, v: http://b", "2:27: warning:", "nothing refers to `v`"),
    ];
    for (text, place, words) in rows {
        let conf = format!(
            "listeners: [{{ address: 127.0.0.1:8080 }}]\nupstreams: {{ {text} }}\nrules: [{{ name: r, match: {{ paths: [/] }}, authenticate: none, forward: u }}]\n"
        );
        // A name that is at fault is not also reported as unused.
        let told: Vec<String> = Stage::new(&conf).told().into_iter().filter(|fault| !fault.contains("refers to `a b`")).collect();
        let one = matches!(told.as_slice(), [fault] if fault.starts_with(place) && fault.contains(words));
        assert!(one, "{conf}\nexpected {place} … {words}\ntold {told:#?}");
    }
}

/// A rule named `r` around `text`, in line 4, column 3; `text` starts at column 14.
fn rule(text: &str) -> String {
    format!("rules:\n- {{ name: r, {text} }}")
}

#[test]
fn rules_are_proven() {
    let rows = [
        ("authenticate: none, forward: app", "4:3: error:", "needs `match`"),
        ("match: { paths: [/] }, forward: app", "4:3: error:", "needs `authenticate`"),
        ("match: { paths: [] }, authenticate: none, forward: app", "4:30: error:", "needs at least 1; an empty list"),
        ("match: { hosts: [], paths: / }, authenticate: none, forward: app", "4:30: error:", "needs at least 1; an empty list"),
        ("match: { paths: [a] }, authenticate: none, forward: app", "4:31: error:", "it starts with `/`"),
        ("match: { paths: [/a, /a] }, authenticate: none, forward: app", "4:35: error:", "`/a` stands here twice"),
        ("match: { paths: [/a/**/b] }, authenticate: none, forward: app", "4:31: error:", "must be the last segment"),
        ("match: { paths: /, hosts: [API.example] }, authenticate: none, forward: app", "4:41: error:", "write `api.example`"),
        ("match: { paths: /, methods: [GET, post] }, authenticate: none, forward: app", "4:48: error:", "write `POST` instead of `post`"),
        ("match: { paths: / }, authenticate: none, forward: ap", "4:64: error:", "`upstreams` defines no `ap`; did you mean `app`?"),
        ("match: { paths: / }, authenticate: none, forward: { upstream: ap }", "4:76: error:", "did you mean `app`?"),
        ("match: { paths: / }, authenticate: none, forward: { upstrem: app, upstream: app }", "4:66: error:", "did you mean `upstream`?"),
        ("match: { paths: / }, authenticate: none", "4:3: error:", "a rule needs `forward: UPSTREAM`, or `serve: SERVICE`"),
        ("match: { paths: / }, authenticate: none, forward: app, serve: jwks", "4:76: error:", "either `forward` or `serve`"),
        ("match: { paths: / }, authenticate: none, serve: jwk", "4:62: error:", "found `jwk`; did you mean `jwks`?"),
        ("match: { paths: / }, authenticate: none, serve: { jwk: {} }", "4:64: error:", "did you mean `jwks`?"),
        ("match: { paths: / }, authenticate: none, serve: { jwks: { key: 1 } }", "4:72: error:", "knows no key `key`"),
        ("match: { paths: / }, authenticate: usr, forward: app", "4:49: error:", "`authenticators` defines no `usr`"),
        ("match: { paths: / }, authenticate: { any: [] }, forward: app", "4:56: error:", "needs at least 1; an empty list"),
        ("match: { paths: / }, authenticate: { any: [none] }, forward: app", "4:57: error:", "`none` stands alone"),
        ("match: { paths: / }, authenticate: { some: [] }, forward: app", "4:51: error:", "knows no key `some`"),
        ("match: { paths: / }, authenticate: none, scopes: [a], forward: app", "4:63: error:", "so nobody has scopes"),
        (
            "match: { paths: / }, authenticate: none, authorize: \"identity.subject == 'x'\", forward: app",
            "4:66: error:",
            "this asks who is calling",
        ),
        ("match: { paths: / }, authenticate: none, authorize: [], forward: app", "4:66: error:", "needs at least 1; an empty list"),
        (
            "match: { paths: / }, authenticate: none, authorize: request.methd == 'GET', forward: app",
            "4:66: error:",
            "`request` has no `methd`",
        ),
        ("match: { paths: / }, authenticate: none, authorize: \"requst.method == 'GET'\", forward: app", "4:66: error:", "requst"),
        ("match: { paths: / }, authenticate: none, authorize: \"request.method ==\", forward: app", "4:66: error:", "not a CEL expression"),
        ("match: { paths: / }, authenticate: none, login: /login, forward: app", "4:62: warning:", "nobody is ever sent to `login`"),
        ("match: { paths: / }, authenticate: none, csrf: maybe, forward: app", "4:61: error:", "must be one of on, off"),
        ("match: { paths: / }, authenticate: none, preflight: allow, forward: app", "4:66: error:", "must be one of refuse, forward"),
        (
            "match: { paths: / }, authenticate: none, preflight: { answer: { origins: [https://a.example/] } }, forward: app",
            "4:88: error:",
            "browsers write this origin `https://a.example`",
        ),
        (
            "match: { paths: / }, authenticate: none, preflight: { answer: { origins: '*', credentials: true } }, forward: app",
            "4:87: error:",
            "would let any site act as your users",
        ),
    ];
    for (text, place, words) in rows {
        expect_one(&[(&rule(text), place, words)], |stage| stage);
    }
}

#[test]
fn login_is_a_path_of_this_host_or_a_safe_url() {
    let rows = [
        ("/login", true, "a path"),
        ("https://id.example/login", true, "an https URL"),
        ("http://127.0.0.1:1/login", true, "plaintext on loopback"),
        ("http://id.example/login", false, "plaintext elsewhere"),
        ("//evil.example", false, "a path that is another host"),
        ("/\\\\evil.example", false, "a backslash that browsers read as a slash"),
        ("javascript:alert(1)", false, "no http at all"),
        ("login", false, "relative"),
    ];
    for (login, good, shows) in rows {
        let text = rule(&format!("match: {{ paths: / }}, authenticate: none, login: '{login}', forward: app"));
        let refused = Stage::new(&conf(&text)).told().iter().any(|fault| fault.contains("`login` must be a path"));
        assert_eq!(refused, !good, "{shows}: {login}");
    }
}

#[test]
fn a_served_key_set_without_a_signer_is_told() {
    let signer = SigningKey::generate(Algorithm::Es256).unwrap();
    let rules = |forward: &str| {
        format!(
            "rules:\n- {{ name: a, match: {{ paths: /a }}, authenticate: none, forward: {forward} }}\n\
             - {{ name: k, match: {{ paths: /k }}, authenticate: none, serve: jwks }}"
        )
    };
    expect_one(&[(&rules("app"), "5:63: warning:", "serves an empty set")], |stage| stage);
    let signs = rules("{ upstream: app, assertion: { key: { file: signer.pem }, issuer: us, audience: app } }");
    let told = Stage::new(&conf(&signs)).file("signer.pem", signer.private_pem().unwrap().expose()).told();
    assert!(told.iter().all(|fault| !fault.contains("empty set")), "with a signer it is not empty: {told:#?}");
}

#[test]
fn methods_that_fall_to_a_public_rule_are_told() {
    let rows = [
        // how the guarded rule matches, what the other rule is, the method that falls through, what the row shows
        ("paths: /api/**, methods: GET", "paths: /**", "authenticate: none", Some("POST"), "a broader public rule"),
        ("paths: /api/**, methods: [POST, PUT]", "paths: /**", "authenticate: none", Some("GET"), "other methods"),
        ("paths: '/api/{x}', methods: GET", "paths: /api/**", "authenticate: none", Some("POST"), "a named segment"),
        ("paths: /api, methods: GET", "paths: /api", "authenticate: none", Some("POST"), "the same path, any method"),
        ("hosts: a.example, paths: /api, methods: GET", "paths: /**", "authenticate: none", Some("POST"), "a host of its own"),
        ("hosts: '*.example.org', paths: /api, methods: GET", "paths: /**", "authenticate: none", Some("POST"), "hosts of its own"),
        ("hosts: a.example, paths: /api, methods: GET", "hosts: b.example, paths: /**", "authenticate: none", None, "another host"),
        ("paths: /api/**", "paths: /**", "authenticate: none", None, "it takes all methods"),
        ("paths: /api/**, methods: GET", "paths: /site/**", "authenticate: none", None, "another path"),
        ("paths: /api/**, methods: GET", "paths: /**", "authenticate: p", None, "the other asks who is calling"),
        ("paths: /api/**, methods: GET", "paths: /**, methods: POST", "authenticate: none", None, "written with methods in mind"),
        (
            "paths: /api/**, methods: [GET, POST, PUT, PATCH, DELETE, OPTIONS]",
            "paths: /**",
            "authenticate: none",
            None,
            "nothing is left that anybody sends",
        ),
    ];
    for (guarded, other, authenticate, falls, shows) in rows {
        let text = format!(
            "keys: {{ m: {{ mac: {{ file: mac }} }} }}\nauthenticators: {{ p: {{ ticket: {{ keys: m }} }} }}\nrules:\n\
             - {{ name: guarded, match: {{ {guarded} }}, authenticate: p, preflight: forward, forward: app }}\n\
             - {{ name: other, match: {{ {other} }}, {authenticate}, forward: app }}"
        );
        let told = Stage::new(&conf(&text)).file("mac", b"an authentic key of 32 bytes, or more\n").told();
        match falls {
            None => assert_eq!(told, Vec::<String>::new(), "{shows}"),
            Some(method) => {
                let words = format!("such as `{method}`, fall to the rule `other` (line 7)");
                let one = matches!(told.as_slice(), [one] if one.starts_with("6:") && one.contains(": warning: ") && one.contains(&words));
                assert!(one, "{shows}: {told:#?}");
            }
        }
    }
}

#[test]
fn rules_are_proven_against_each_other() {
    let two = |first: &str, second: &str| {
        let rule = |name: &str, matched: &str| format!("- {{ name: {name}, match: {{ {matched} }}, authenticate: none, forward: app }}");
        format!("rules:\n{}\n{}", rule("one", first), rule("two", second))
    };
    let rows = [
        ("paths: /a", "paths: /a", "5:23: error:", "`one` (line 4) and `two` both match"),
        ("paths: '/{x}/b'", "paths: '/{y}/b'", "5:23: error:", "neither is more specific"),
        ("paths: '/a/{x}', methods: GET", "paths: '/a/{y}', methods: [GET, POST]", "5:23: error:", "both match `GET"),
    ];
    for (first, second, place, words) in rows {
        expect_one(&[(&two(first, second), place, words)], |stage| stage);
    }
    let ranked = [
        ("paths: /a", "paths: /b", "apart"),
        ("paths: /a/**", "paths: /a/b", "a literal goes before the rest"),
        ("paths: '/{x}/b'", "paths: /a/**", "both match, the second segment by segment first"),
        ("paths: /a, methods: GET", "paths: /a", "a named method goes before any"),
        ("paths: /a, hosts: a.example", "paths: /a", "a named host goes before any"),
    ];
    for (first, second, shows) in ranked {
        assert_eq!(Stage::new(&conf(&two(first, second))).told(), Vec::<String>::new(), "{shows}");
    }
    let never = "rules:\n- { name: a, match: { paths: /a/** }, authenticate: none, forward: app }\n\
                 - { name: b, match: { paths: /a }, authenticate: none, forward: app }\n\
                 - { name: c, match: { paths: '/a/{x}/**' }, authenticate: none, forward: app }";
    expect_one(&[(never, "4:21: error:", "the rule `a` can never match: more specific rules, `c` (line 6) among them")], |stage| stage);
    let left = never.replace("/a }", "/a, methods: GET }");
    assert_eq!(Stage::new(&conf(&left)).told(), Vec::<String>::new(), "other methods on `/a` are left to the first");
    let twice = "rules:\n- { name: a, match: { paths: /a }, authenticate: none, forward: app }\n\
                 - { name: a, match: { paths: /b }, authenticate: none, forward: app }";
    expect_one(&[(twice, "5:11: error:", "`a` is written twice, first in line 4")], |stage| stage);
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "listeners:\n  - { address: nowhere }\n  - { adress: 127.0.0.1:1, address: 127.0.0.1:1 }\nupstreams: { app: htp://x }\n\
                limits: { connections: none }\nrules:\n  - { name: a, match: { paths: /x }, authenticate: user, forward: ap }\n\
                \x20 - { name: a, match: { paths: x }, authenticate: none, forward: app, scopes: s }\nstate: { memory: {}, memory: {} }\n";
    let told = Stage::new(text).told();
    let places: Vec<&str> = told.iter().map(|fault| fault.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, ["2:16", "3:7", "4:19", "5:24", "7:52", "7:67", "8:13", "8:32", "8:79", "9:22"], "{told:#?}");
}

#[test]
fn a_conf_that_cannot_be_read_says_so() {
    let told = |stage: Stage| stage.told().join("\n");
    assert_eq!(told(Stage::default()), "1:1: error: cannot read the conf: No such file");
    assert!(told(Stage::new("rules: [")).contains("error: not YAML"), "not YAML");
    assert!(told(Stage::new("- a")).contains("is a mapping; found a list"), "a list");
    let empty = told(Stage::new("{}"));
    assert!(empty.contains("needs `listeners`") && empty.contains("needs `rules`"), "{empty}");
}

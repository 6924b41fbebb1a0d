//! C: claims.

use countersign::jose::algorithm::Algorithm;
use serde_json::{Value as Json, json};

use super::{Row, check, complete, keys, usual};
use crate::jwt::{NOW, Set, bench, claims, fresh, signed};

const MALFORMED: Result<(), &str> = Err("claims_malformed");
const MISSING: Result<(), &str> = Err("claim_missing");
const UNREADABLE: Result<(), &str> = Err("credential_malformed");

/// The usual claims, changed.
fn with(changes: Json) -> String {
    keys().ec.sign_compact(&[], &claims(changes)).unwrap()
}

/// Claims written out by hand, properly signed.
fn written(payload: &str) -> String {
    signed(&keys().ec, br#"{"alg":"ES256","kid":"ec"}"#, payload.as_bytes())
}

/// The usual claims as text, with `more` in front.
fn more(member: &str) -> String {
    written(&format!(r#"{{{member},"iss":"https://id.example","aud":"app","sub":"ada","iat":{},"exp":{}}}"#, NOW - 60, NOW + 600))
}

/// The usual claims as text, with this `exp`.
fn ending(exp: &str) -> String {
    written(&format!(r#"{{"iss":"https://id.example","aud":"app","sub":"ada","exp":{exp}}}"#))
}

#[allow(clippy::too_many_lines, reason = "one table")]
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        ("C1", "the usual claims".into(), with(json!({})), Ok(())),
        ("C1", "no exp".into(), with(json!({ "exp": null })), MISSING),
        ("C1", "no claim at all".into(), written("{}"), MISSING),
        ("C2", "exp as text".into(), with(json!({ "exp": "9999999999" })), MALFORMED),
    ];
    for exp in ["1e400", "NaN", "Infinity", "-Infinity"] {
        rows.push(("C3", format!("exp {exp}"), ending(exp), UNREADABLE));
    }
    for exp in ["9007199254740993", "18446744073709551616", "9223372036854775807", "1800000600.5", "1e300", "-1e300", "1800000600000"] {
        rows.push(("C3", format!("exp {exp}"), ending(exp), MALFORMED));
    }
    rows.extend([
        ("C3", "exp an integral float".into(), ending("1.8000006e9"), Ok(())),
        ("C3", "exp an integral float with point".into(), ending("1800000600.0"), Ok(())),
        ("C4", "exp negative".into(), ending("-1"), MALFORMED),
        ("C4", "exp zero".into(), ending("0"), Err("expired")),
        ("C4", "exp null".into(), ending("null"), MALFORMED),
        ("C4", "exp true".into(), ending("true"), MALFORMED),
        ("C4", "exp a list".into(), ending("[]"), MALFORMED),
        ("C4", "exp an object".into(), ending("{}"), MALFORMED),
        ("C5", "exp now, within the leeway".into(), with(json!({ "exp": NOW })), Ok(())),
        ("C5", "the last second of the leeway".into(), with(json!({ "exp": NOW - 29 })), Ok(())),
        ("C5", "exp = now - leeway".into(), with(json!({ "exp": NOW - 30 })), Err("expired")),
        ("C5", "one second more".into(), with(json!({ "exp": NOW - 31 })), Err("expired")),
        ("C6", "exp in milliseconds".into(), with(json!({ "exp": (NOW + 600) * 1_000 })), MALFORMED),
        ("C7", "nbf now".into(), with(json!({ "nbf": NOW })), Ok(())),
        ("C7", "nbf at the end of the leeway".into(), with(json!({ "nbf": NOW + 30 })), Ok(())),
        ("C7", "nbf one second later".into(), with(json!({ "nbf": NOW + 31 })), Err("not_yet_valid")),
        ("C7", "nbf as text, far off".into(), with(json!({ "nbf": "99999999999" })), MALFORMED),
        ("C7", "nbf as text, past".into(), with(json!({ "nbf": "1" })), MALFORMED),
        ("C7", "nbf null".into(), more(r#""nbf":null"#), MALFORMED),
        ("C8", "no iat".into(), with(json!({ "iat": null })), Ok(())),
        ("C8", "iat at the end of the leeway".into(), with(json!({ "iat": NOW + 30 })), Ok(())),
        ("C8", "iat one second later".into(), with(json!({ "iat": NOW + 31 })), Err("not_yet_valid")),
        ("C8", "iat in an hour".into(), with(json!({ "iat": NOW + 3_600, "exp": NOW + 7_200 })), Err("not_yet_valid")),
        ("C8", "iat after exp".into(), with(json!({ "iat": NOW + 20, "exp": NOW + 10 })), MALFORMED),
        ("C8", "iat as text".into(), with(json!({ "iat": "1" })), MALFORMED),
        ("C10", "no aud".into(), with(json!({ "aud": null })), MISSING),
        (
            "C10",
            "aud null".into(),
            written(&format!(r#"{{"iss":"https://id.example","aud":null,"sub":"ada","exp":{}}}"#, NOW + 1)),
            MALFORMED,
        ),
        ("C10", "aud empty".into(), with(json!({ "aud": "" })), Err("audience_mismatch")),
        ("C10", "aud an empty list".into(), with(json!({ "aud": [] })), Err("audience_mismatch")),
        ("C10", "aud a number".into(), with(json!({ "aud": 1 })), MALFORMED),
        ("C10", "aud a list with a number".into(), with(json!({ "aud": ["app", 1] })), MALFORMED),
        ("C10", "aud an object".into(), with(json!({ "aud": { "app": 1 } })), MALFORMED),
        ("C12", "aud a list with ours".into(), with(json!({ "aud": ["x", "app"] })), Ok(())),
        ("C12", "aud a list without ours".into(), with(json!({ "aud": ["x", "y"] })), Err("audience_mismatch")),
        ("C13", "another environment".into(), with(json!({ "aud": "app-staging" })), Err("audience_mismatch")),
        ("C15", "another issuer's token".into(), with(json!({ "iss": "https://other.example" })), Err("issuer_mismatch")),
        ("C15", "no issuer".into(), with(json!({ "iss": null })), MISSING),
        ("C17", "no sub".into(), with(json!({ "sub": null })), MISSING),
        ("C17", "sub empty".into(), with(json!({ "sub": "" })), MALFORMED),
        ("C17", "sub a number".into(), with(json!({ "sub": 1 })), MALFORMED),
        ("C17", "sub of 1,024 bytes".into(), with(json!({ "sub": "s".repeat(1_024) })), Ok(())),
        ("C17", "sub of 1,025 bytes".into(), with(json!({ "sub": "s".repeat(1_025) })), MALFORMED),
        ("C17", "sub of 5,000 bytes".into(), with(json!({ "sub": "s".repeat(5_000) })), MALFORMED),
        ("C18", "sub with a line break".into(), with(json!({ "sub": "a\r\nX-Admin: 1" })), MALFORMED),
        ("C18", "sub with NUL".into(), with(json!({ "sub": "a\0" })), MALFORMED),
        ("C18", "sub with DEL".into(), with(json!({ "sub": "a\u{7f}" })), MALFORMED),
        ("C18", "sub with a C1 control".into(), with(json!({ "sub": "a\u{85}" })), MALFORMED),
        ("C18", "sub outside ASCII is a name like any other".into(), with(json!({ "sub": "zoë" })), Ok(())),
        ("C19", "sub twice".into(), more(r#""sub":"admin""#), UNREADABLE),
        ("C19", "exp twice".into(), more(r#""exp":1"#), UNREADABLE),
        ("C19", "iss twice, with equal values".into(), more(r#""iss":"https://id.example""#), UNREADABLE),
        ("C20", "sub and its escaped twin".into(), more(r#""s\u0075b":"admin""#), UNREADABLE),
        ("C20", "iss and its escaped twin".into(), more(r#""\u0069ss":"https://id.example""#), UNREADABLE),
        ("C20", "a twin inside a claim".into(), more(r#""a":{"b":1,"\u0062":2}"#), UNREADABLE),
        ("C26", "bound to a key (DPoP)".into(), with(json!({ "cnf": { "jkt": "x" } })), MALFORMED),
        ("C26", "bound to a certificate".into(), with(json!({ "cnf": { "x5t#S256": "x" } })), MALFORMED),
        ("C26", "bound to nothing readable".into(), more(r#""cnf":null"#), MALFORMED),
    ]);
    for near in ["app.evil", "ap", "APP", "app/", " app", "app ", "app,x", "app\0"] {
        rows.push(("C11", format!("aud {near:?}"), with(json!({ "aud": near })), Err("audience_mismatch")));
        rows.push(("C11", format!("aud [{near:?}]"), with(json!({ "aud": [near] })), Err("audience_mismatch")));
    }
    for near in [
        "https://id.example/",
        "https://id.example.evil",
        "HTTPS://id.example",
        "https://ID.example",
        "http://id.example",
        "https://id.example\0",
        "",
    ] {
        rows.push(("C14", format!("iss {near:?}"), with(json!({ "iss": near })), Err("issuer_mismatch")));
    }
    for odd in [json!(["https://id.example"]), json!(1), json!({})] {
        rows.push(("C14", format!("iss {odd}"), with(json!({ "iss": odd })), UNREADABLE));
    }
    for payload in ["[]", r#""x""#, "null", "1", "true", "", "{", r#"[{"iss":"https://id.example"}]"#, r#"["https://id.example"]"#] {
        rows.push(("C28", format!("payload {payload:?}"), written(payload), UNREADABLE));
    }
    rows
}

#[test]
fn malformed_is_never_absent_and_near_is_never_equal() {
    let rows = rows();
    check(&usual(json!({})), &rows);
    let elsewhere = [
        ("C9", "leeway_beyond_its_bound_is_a_fault"),
        ("C16", "one_subject_at_two_issuers_is_two_callers"),
        ("C21", "demands_are_exact"),
        ("C22", "demands_are_exact"),
        ("C23", "demands_are_exact"),
        ("C24", "policy: expressions run in linear time"),
        ("C25", "what_is_for_one_use_has_a_name_and_a_beginning"),
        ("C27", "gate: the clock never runs back past an end that was seen"),
    ];
    complete("C", 28, rows.iter().map(|row| row.0), &elsewhere);
}

#[test]
fn what_is_for_one_use_has_a_name_and_a_beginning() {
    let bench = usual(json!({ "single_use": true }));
    let row = |shows: &str, changes: Json, expected| -> Row { ("C25", shows.into(), with(changes), expected) };
    let rows: Vec<Row> = vec![
        row("a name", json!({ "jti": "1" }), Ok(())),
        row("the longest name", json!({ "jti": "x".repeat(256) }), Ok(())),
        row("a longer one", json!({ "jti": "x".repeat(257) }), Err("claims_malformed")),
        row("an empty one", json!({ "jti": "" }), Err("claims_malformed")),
        row("a number", json!({ "jti": 1 }), Err("claims_malformed")),
        row("a list", json!({ "jti": ["1"] }), Err("claims_malformed")),
        row("none", json!({}), MISSING),
        row("no moment at which it was made", json!({ "jti": "1", "iat": null }), MISSING),
    ];
    check(&bench, &rows);
}

#[test]
fn lifetimes_beyond_the_maximum_are_refused() {
    let bench = usual(json!({ "max_lifetime": "1h", "max_age": "30m", "leeway": "0s" }));
    let rows: Vec<Row> = vec![
        ("C6", "an hour exactly".into(), with(json!({ "iat": NOW - 10, "exp": NOW + 3_590 })), Ok(())),
        ("C6", "a second more".into(), with(json!({ "iat": NOW - 10, "exp": NOW + 3_591 })), Err("window_exceeded")),
        ("C6", "no iat to count from".into(), with(json!({ "iat": null })), MISSING),
        ("C6", "as old as allowed".into(), with(json!({ "iat": NOW - 1_800 })), Ok(())),
        ("C6", "a second older".into(), with(json!({ "iat": NOW - 1_801 })), Err("expired")),
    ];
    check(&bench, &rows);
}

#[test]
fn leeway_beyond_its_bound_is_a_fault() {
    use countersign::settings::{Checking, Faults, Material, Names};
    for (leeway, sound) in [("0s", true), ("300s", true), ("5m", true), ("301s", false), ("9223372036854775807s", false), ("-1s", false)] {
        let mut names = Names::default();
        names.define("keys", "set");
        let (material, mut faults) = (Material::default(), Faults::default());
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let settings = crate::jwt::node(&crate::jwt::settings(json!({ "leeway": leeway })));
        let plan = countersign::verify::jwt::settings::prove(&settings, &mut checking);
        assert_eq!(plan.is_some(), sound, "C9: leeway {leeway}: {:?}", faults.sorted());
    }
    let bench = usual(json!({ "leeway": "300s" }));
    let far = with(json!({ "iat": null, "exp": 253_402_300_799_i64 }));
    assert_eq!(bench.at(&far, i64::MAX - 1), Err("expired".into()), "C9: sums at the end of time saturate");
    assert_eq!(bench.at(&far, i64::MIN), Ok("ada".into()), "C9: and at its start");
}

#[test]
fn one_subject_at_two_issuers_is_two_callers() {
    let (key, public) = fresh(Algorithm::Es256);
    let settings = json!({ "issuer": ["https://a.example", "https://b.example"], "audience": "app", "keys": "set" });
    let bench = bench(&settings, &[("set", Set::of(vec![public]))]);
    let identity = |issuer: &str| {
        let token = key.sign_compact(&[], &claims(json!({ "iss": issuer, "sub": "1" }))).unwrap();
        bench.request("/", None, &[("authorization", &format!("Bearer {token}"))], NOW).unwrap()
    };
    let (first, second) = (identity("https://a.example"), identity("https://b.example"));
    assert_eq!(first.subject, second.subject, "C16: the same name");
    assert_ne!((&first.issuer, &first.subject), (&second.issuer, &second.subject), "C16: but not the same caller");
}

#[test]
fn demands_are_exact() {
    let bench = usual(json!({ "require": {
        "realm.roles": "admin", "groups": ["staff", "crew"], "email_verified": true, "level": 2, "tenant": "present", "shadow": "absent",
    } }));
    let base = json!({ "realm": { "roles": "admin" }, "groups": "crew", "email_verified": true, "level": 2, "tenant": "t" });
    let change = |path: &str, value: Json| {
        let mut changed = base.clone();
        changed[path] = value;
        with(changed)
    };
    let without = |name: &str| {
        let mut changed = base.clone();
        changed.as_object_mut().unwrap().remove(name);
        with(changed)
    };
    let rows: Vec<Row> = vec![
        ("C21", "all demands met".into(), with(base.clone()), Ok(())),
        (
            "C21",
            "a literal name with a dot is not the path".into(),
            {
                let mut changed = base.clone();
                changed.as_object_mut().unwrap().remove("realm");
                changed["realm.roles"] = json!("admin");
                with(changed)
            },
            MISSING,
        ),
        ("C21", "the path through a list".into(), change("realm", json!([{ "roles": "admin" }])), MISSING),
        ("C22", "one of the list".into(), change("groups", json!("staff")), Ok(())),
        ("C22", "text that would have to be split".into(), change("groups", json!("admin,staff")), MISSING),
        ("C22", "a list is not its element".into(), change("groups", json!(["staff"])), MISSING),
        ("C22", "the claim is absent".into(), without("groups"), MISSING),
        ("C23", "text is not a boolean".into(), change("email_verified", json!("true")), MISSING),
        ("C23", "false is not true".into(), change("email_verified", json!(false)), MISSING),
        ("C23", "one is not true".into(), change("email_verified", json!(1)), MISSING),
        ("C23", "text is not a number".into(), change("level", json!("2")), MISSING),
        ("C23", "another number".into(), change("level", json!(3)), MISSING),
        (
            "C23",
            "present is not null".into(),
            {
                let mut changed = claims(base.clone());
                changed["tenant"] = Json::Null;
                keys().ec.sign_compact(&[], &changed).unwrap()
            },
            MISSING,
        ),
        ("C23", "present is not absent".into(), without("tenant"), MISSING),
        ("C23", "absent is not present".into(), change("shadow", json!("x")), MISSING),
        (
            "C23",
            "absent is not null either".into(),
            {
                let mut changed = claims(base.clone());
                changed["shadow"] = Json::Null;
                keys().ec.sign_compact(&[], &changed).unwrap()
            },
            MISSING,
        ),
    ];
    check(&bench, &rows);
}

#[test]
fn a_bound_token_passes_only_where_that_was_written_out() {
    let token = with(json!({ "cnf": { "jkt": "x" } }));
    assert_eq!(usual(json!({ "allow_unbound_cnf": true })).on(&token), Ok("ada".into()), "C26: the operator's own word");
}

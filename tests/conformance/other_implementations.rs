//! Our verdicts beside those of others: tokens made by another library, `jsonwebtoken` as the judge of the same tokens,
//! and tokens of ours with any one bit changed.

use std::sync::Arc;

use countersign::ambient::WallClock;
use countersign::domain::Clock;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::json;
use countersign::jose::jwk::{Trust, parse_jwk, parse_pem};
use countersign::jose::mint::SigningKey;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use crate::jwt::{Bench, NOW, Set, bench, claims, fresh, settings, signed};

const ALL: [&str; 13] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/// `vectors.json`: one token of each algorithm, RSA also of 3072 and 4096 bits, made with pyca/cryptography (OpenSSL).
#[test]
fn tokens_of_another_library_are_believed() {
    let rows: Json = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let mut seen = Vec::new();
    for row in rows.as_array().unwrap() {
        let (name, token) = (row["alg"].as_str().unwrap(), row["token"].as_str().unwrap());
        let jwk = parse_jwk(&json::parse(row["jwk"].to_string().as_bytes()).unwrap(), Trust::Pinned).unwrap();
        let mut keys = vec![Arc::new(jwk)];
        if let Some(pem) = row["pem"].as_str() {
            keys.extend(parse_pem(pem.as_bytes()).unwrap().keys);
        }
        for key in keys {
            let bench = bench(&settings(json!({ "algorithms": ALL })), &[("set", Set::of(vec![Arc::clone(&key)]))]);
            assert_eq!(bench.on(token), Ok("ada".into()), "{name} with {key:?}");
        }
        seen.push(name);
    }
    assert!(ALL.iter().all(|name| seen.contains(name)), "every algorithm has its vector: {seen:?}");
}

#[test]
fn any_single_bit_of_a_token_matters() {
    for algorithm in [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es512, Algorithm::EdDsa] {
        let (key, public) = fresh(algorithm);
        let bench = bench(&settings(json!({ "algorithms": ALL })), &[("set", Set::of(vec![public]))]);
        let token = key.sign_compact(&[], &claims(json!({}))).unwrap();
        assert_eq!(bench.on(&token), Ok("ada".into()), "{algorithm:?}: as signed");
        for bit in 0..8 * token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // What is no text cannot stand in a field that we read.
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(bench.verify_only(&changed, NOW).is_err(), "{algorithm:?}: bit {bit} changed");
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(2_000))]

    #[test]
    fn no_text_that_was_not_signed_is_believed(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,100}") {
        prop_assert!(wanting().verify_only(&text, NOW).is_err());
    }
}

fn wanting() -> &'static Bench {
    static BENCH: std::sync::OnceLock<Bench> = std::sync::OnceLock::new();
    BENCH.get_or_init(|| bench(&settings(json!({})), &[("set", Set::of(vec![fresh(Algorithm::Es256).1]))]))
}

/// Where we refuse what `jsonwebtoken` believes, and for which reason: a change of the token, and the reason it must
/// give. Every disagreement that the generated tokens show must be one of these, and each of these must show up.
const STRICTER: &[(&str, &str, &str)] = &[
    ("header crit", "credential_malformed", "it reads crit and goes on"),
    ("header zip", "credential_malformed", "it does not read zip"),
    ("header b64", "credential_malformed", "it does not read b64"),
    ("header enc", "credential_malformed", "it does not read enc"),
    ("header cty JWT", "credential_malformed", "a payload is a claim set here, never a token"),
    ("header typ of another kind", "claim_missing", "it does not look at typ"),
    ("claim twice", "credential_malformed", "the last of two wins there"),
    ("claim nested deep", "credential_malformed", "its depth is that of the JSON parser"),
    ("iat in the future", "not_yet_valid", "it never looks at iat"),
    ("iat as text", "claims_malformed", "it never looks at iat"),
    ("sub a number", "claims_malformed", "a claim of another type counts as absent there, unless required"),
    ("sub empty", "claims_malformed", "any text is a subject there"),
    ("sub with a line break", "claims_malformed", "any text is a subject there"),
    ("cnf", "claims_malformed", "it does not know bound tokens"),
    ("exp with a fraction", "claims_malformed", "it rounds"),
    ("exp in milliseconds", "claims_malformed", "any number is a moment there"),
];

/// One change of a token, by what it is called: how header and claims are changed. Names that are not in [`STRICTER`]
/// must meet the same verdict on both sides.
const CHANGES: &[&str] = &[
    "none",
    "header crit",
    "header zip",
    "header b64",
    "header enc",
    "header cty JWT",
    "header typ of another kind",
    "header alg of another key",
    "header alg none",
    "header alg unknown",
    "header twice alg",
    "claim twice",
    "sub twice",
    "claim nested deep",
    "claim unknown",
    "iat in the future",
    "iat as text",
    "sub a number",
    "sub empty",
    "sub with a line break",
    "sub absent",
    "cnf",
    "exp with a fraction",
    "exp in milliseconds",
    "exp past",
    "exp as text",
    "exp absent",
    "exp null",
    "nbf future",
    "nbf past",
    "nbf as text",
    "iss other",
    "iss absent",
    "iss a number",
    "aud other",
    "aud absent",
    "aud list with ours",
    "aud list without",
    "aud a list with a number",
    "aud empty list",
    "payload a list",
    "payload followed by junk",
    "text padded",
    "text with a fourth part",
    "text without signature",
    "text with a space",
    "signature of another key",
];

struct Sides {
    ours: Bench,
    key: SigningKey,
    other: SigningKey,
    theirs: jsonwebtoken::DecodingKey,
    rules: jsonwebtoken::Validation,
}

fn sides() -> Sides {
    let (key, public) = fresh(Algorithm::Es256);
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.leeway = 30;
    rules.validate_nbf = true;
    rules.set_issuer(&["https://id.example"]);
    rules.set_audience(&["app"]);
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    Sides {
        ours: bench(&settings(json!({})), &[("set", Set::of(vec![public]))]),
        key,
        other: fresh(Algorithm::Es256).0,
        theirs: jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap(),
        rules,
    }
}

impl Sides {
    /// A token with all of `changes`, made at `now`.
    fn token(&self, changes: &[&str], now: i64, filler: &str) -> String {
        let mut header = json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" });
        let mut claims =
            json!({ "iss": "https://id.example", "aud": "app", "sub": "ada", "iat": now - 60, "exp": now + 600, "filler": filler });
        let mut twice_header = "";
        let mut twice_claim = "";
        for change in changes {
            match *change {
                "header crit" => header["crit"] = json!(["x"]),
                "header zip" => header["zip"] = json!("DEF"),
                "header b64" => header["b64"] = json!("false"),
                "header enc" => header["enc"] = json!("A256GCM"),
                "header cty JWT" => header["cty"] = json!("JWT"),
                "header typ of another kind" => header["typ"] = json!("logout+jwt"),
                "header alg of another key" => header["alg"] = json!("RS256"),
                "header alg none" => header["alg"] = json!("none"),
                "header alg unknown" => header["alg"] = json!("ES256K"),
                "header twice alg" => twice_header = r#""alg":"ES256","#,
                "claim twice" => twice_claim = r#""role":"user","role":"admin","#,
                "sub twice" => twice_claim = r#""sub":"eve","#,
                "claim nested deep" => claims["deep"] = json!([[[[[[[[1]]]]]]]]),
                "claim unknown" => claims["unknown"] = json!({ "a": [1, null, 1.5] }),
                "iat in the future" => claims["iat"] = json!(now + 300),
                "iat as text" => claims["iat"] = json!("1"),
                "sub a number" => claims["sub"] = json!(1),
                "sub empty" => claims["sub"] = json!(""),
                "sub with a line break" => claims["sub"] = json!("a\nb"),
                "sub absent" => drop(claims.as_object_mut().unwrap().remove("sub")),
                "cnf" => claims["cnf"] = json!({ "jkt": "x" }),
                "exp with a fraction" => claims["exp"] = json!(now as f64 + 600.5),
                "exp in milliseconds" => claims["exp"] = json!((now + 600) * 1_000),
                "exp past" => claims["exp"] = json!(now - 300),
                "exp as text" => claims["exp"] = json!((now + 600).to_string()),
                "exp absent" => drop(claims.as_object_mut().unwrap().remove("exp")),
                "exp null" => claims["exp"] = Json::Null,
                "nbf future" => claims["nbf"] = json!(now + 300),
                "nbf past" => claims["nbf"] = json!(now - 300),
                "nbf as text" => claims["nbf"] = json!((now - 300).to_string()),
                "iss other" => claims["iss"] = json!("https://other.example"),
                "iss absent" => drop(claims.as_object_mut().unwrap().remove("iss")),
                "iss a number" => claims["iss"] = json!(1),
                "aud other" => claims["aud"] = json!("other"),
                "aud absent" => drop(claims.as_object_mut().unwrap().remove("aud")),
                "aud list with ours" => claims["aud"] = json!(["x", "app"]),
                "aud list without" => claims["aud"] = json!(["x"]),
                "aud a list with a number" => claims["aud"] = json!(["app", 1]),
                "aud empty list" => claims["aud"] = json!([]),
                _ => {}
            }
        }
        let has = |change| changes.contains(&change);
        let header = header.to_string().replacen('{', &format!("{{{twice_header}"), 1);
        let mut payload = claims.to_string().replacen('{', &format!("{{{twice_claim}"), 1);
        if has("payload a list") {
            payload = format!("[{payload}]");
        }
        if has("payload followed by junk") {
            payload.push_str("{}");
        }
        let signer = if has("signature of another key") { &self.other } else { &self.key };
        let mut token = signed(signer, header.as_bytes(), payload.as_bytes());
        if has("text padded") {
            token.push('=');
        }
        if has("text with a fourth part") {
            token.push_str(".AAAA");
        }
        if has("text without signature") {
            token.truncate(token.rfind('.').unwrap() + 1);
        }
        if has("text with a space") {
            token.insert(7, ' ');
        }
        token
    }

    /// Our reason, if we refuse; and whether the other judge believes.
    fn verdicts(&self, token: &str, now: i64) -> (Result<(), String>, bool) {
        let ours = self.ours.verify_only(token, now).map(|_| ()).map_err(|refusal| refusal.reason().as_str().to_owned());
        (ours, jsonwebtoken::decode::<Json>(token, &self.theirs, &self.rules).is_ok())
    }
}

#[test]
fn each_single_change_meets_the_verdict_that_is_written_down() {
    let sides = sides();
    let now = WallClock.now().0;
    let mut wrong = Vec::new();
    for change in CHANGES {
        let token = sides.token(&[change], now, "");
        let (ours, theirs) = sides.verdicts(&token, now);
        let stricter = STRICTER.iter().find(|(name, _, _)| name == change);
        let as_written = match (stricter, &ours) {
            (Some((_, reason, _)), Err(given)) => theirs && given == reason,
            (Some(_), Ok(())) => false,
            // The subject is the one claim that we require beside those that both do.
            (None, Err(reason)) if *change == "sub absent" => theirs && reason == "claim_missing",
            (None, ours) => theirs == ours.is_ok(),
        };
        if !as_written {
            wrong.push(format!("{change}: ours {ours:?}, theirs {}", if theirs { "believed" } else { "refused" }));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(STRICTER.iter().all(|(name, _, _)| CHANGES.contains(name)), "each disagreement has its token");
}

#[test]
fn we_never_believe_what_the_other_judge_refuses() {
    let sides = sides();
    let now = WallClock.now().0;
    let changes = prop::collection::vec(prop::sample::select(CHANGES), 0..4);
    let edit = prop::option::weighted(0.3, (any::<prop::sample::Index>(), "[A-Za-z0-9_.-]?"));
    let mut runner = TestRunner::new(Config::with_cases(3_000));
    runner
        .run(&(changes, "[a-z]{0,5}", edit), |(changes, filler, edit)| {
            let mut token = sides.token(&changes, now, &filler);
            if let Some((at, with)) = edit {
                let at = at.index(token.len());
                token.replace_range(at..=at, &with);
            }
            let (ours, theirs) = sides.verdicts(&token, now);
            prop_assert!(theirs || ours.is_err(), "we believe what they refuse: {changes:?}");
            if theirs && ours.is_err() {
                let explained = changes.iter().any(|change| *change == "sub absent" || STRICTER.iter().any(|(name, _, _)| name == change));
                prop_assert!(explained, "refused for {ours:?} without a change that explains it: {changes:?}");
            }
            Ok(())
        })
        .unwrap();
}

//! A: JWS structure and algorithm.

use std::sync::atomic::Ordering;

use aws_lc_rs::hmac;
use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url::encode;
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use serde_json::json;

use super::{Row, check, complete, good, keys, usual};
use crate::jwt::{Set, bench, claims, fresh, settings, signed};

const MALFORMED: Result<(), &str> = Err("credential_malformed");
const ALGORITHM: Result<(), &str> = Err("algorithm_refused");
const SIGNATURE: Result<(), &str> = Err("signature_invalid");

fn payload() -> Vec<u8> {
    claims(json!({})).to_string().into_bytes()
}

/// A token under `header`, properly signed with the EC key.
fn under(header: &str) -> String {
    signed(&keys().ec, header.as_bytes(), &payload())
}

fn rows() -> Vec<Row> {
    let none = |header: &str| format!("{}.{}.", encode(header.as_bytes()), encode(&payload()));
    let mut rows: Vec<Row> = vec![
        ("A1", "a good token passes".into(), good(), Ok(())),
        ("A1", "alg none without a signature".into(), none(r#"{"alg":"none"}"#), MALFORMED),
        ("A1", "alg none with a signature".into(), under(r#"{"alg":"none","kid":"ec"}"#), ALGORITHM),
    ];
    for spelling in ["None", "nOnE", "none ", "none\\u0000", "NONE", "es256", "ES256 ", " ES256", "ES256\\u0000", "HS256"] {
        rows.push(("A2", format!("alg {spelling:?}"), under(&format!(r#"{{"alg":"{spelling}","kid":"ec"}}"#)), ALGORITHM));
        rows.push(("A2", format!("alg {spelling:?}, no signature"), none(&format!(r#"{{"alg":"{spelling}"}}"#)), MALFORMED));
    }
    for odd in ["null", "256", r#"["ES256"]"#, r#"{"a":1}"#, r#""""#, "true"] {
        rows.push(("A3", format!("alg of an odd type: {odd}"), under(&format!(r#"{{"alg":{odd},"kid":"ec"}}"#)), MALFORMED));
    }
    rows.push(("A3", "no alg".into(), under("{}"), MALFORMED));
    for header in ["[]", "null", "1", r#""ES256""#, "", "{", r#"["ES256"]"#] {
        rows.push(("A3", format!("header {header:?}"), under(header), MALFORMED));
    }

    for (what, key_text) in confusions() {
        let text = format!("{}.{}", encode(br#"{"alg":"HS256","kid":"rsa"}"#), encode(&payload()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key_text), text.as_bytes());
        rows.push(("A4", format!("MAC keyed with the public key as {what}"), format!("{text}.{}", encode(tag.as_ref())), ALGORITHM));
    }

    let (p384, _) = fresh(Algorithm::Es384);
    let rsa_as = |name: &str| signed(&keys().rsa, format!(r#"{{"alg":"{name}","kid":"rsa"}}"#).as_bytes(), &payload());
    rows.extend([
        ("A9", "the key's own algorithm".into(), rsa_as("RS256"), Ok(())),
        ("A9", "a sibling that the key is not bound to".into(), rsa_as("RS384"), Err("key_unknown")),
        ("A9", "PSS on a key bound to PKCS#1".into(), rsa_as("PS256"), Err("key_unknown")),
        ("A10", "ES256 signed on P-384".into(), signed(&p384, br#"{"alg":"ES256","kid":"ec"}"#, &payload()), SIGNATURE),
        ("A10", "ES384 on a P-256 key".into(), under(r#"{"alg":"ES384","kid":"ec"}"#), Err("key_unknown")),
        ("A10", "ES256K".into(), under(r#"{"alg":"ES256K","kid":"ec"}"#), ALGORITHM),
        ("A10", "ES521".into(), under(r#"{"alg":"ES521","kid":"ec"}"#), ALGORITHM),
        ("A10", "EdDSA on an EC key".into(), under(r#"{"alg":"EdDSA","kid":"ec"}"#), Err("key_unknown")),
    ]);

    // The attacker's own key, brought along in every way a header knows.
    let (mallory, _) = fresh(Algorithm::Es256);
    let jwk = mallory.public_jwk().unwrap();
    let brought = [
        ("A11", "jwk", jwk.clone()),
        ("A12", "jku", json!("http://127.0.0.1:9/x.json")),
        ("A13", "jku", json!("https://id.example@evil.example/jwks")),
        ("A13", "jku", json!("https://id.example.evil.example/jwks")),
        ("A14", "x5u", json!("https://evil.example/chain.pem")),
        ("A14", "x5c", json!(["MIIB"])),
        ("A14", "x5t", json!("AAAA")),
    ];
    for (id, member, value) in brought {
        let header = |kid: &str| {
            let mut header = json!({ "alg": "ES256", "kid": kid });
            header[member] = value.clone();
            header.to_string()
        };
        rows.push((id, format!("{member} {value}, our kid"), signed(&mallory, header("ec").as_bytes(), &payload()), SIGNATURE));
        rows.push((id, format!("{member} {value}, their kid"), signed(&mallory, header("x").as_bytes(), &payload()), Err("key_unknown")));
        rows.push((id, format!("{member} {value} on a token of ours is never read"), under(&header("ec")), Ok(())));
    }

    let unsupported = [
        ("A15", r#""crit":["x-mfa"],"x-mfa":1"#),
        ("A16", r#""crit":[]"#),
        ("A16", r#""crit":[1]"#),
        ("A16", r#""crit":"exp""#),
        ("A16", r#""crit":["exp","exp"],"exp":1"#),
        ("A16", r#""crit":["absent"]"#),
        ("A16", r#""crit":["alg"]"#),
        ("A16", r#""crit":["constructor"]"#),
        ("A16", r#""crit":null"#),
        ("A16", r#""cr\u0069t":["x"]"#),
        ("A17", r#""b64":false,"crit":["b64"]"#),
        ("A17", r#""b64":false"#),
        ("A17", r#""b64":true"#),
        ("A20", r#""enc":"A256GCM""#),
        ("A22", r#""cty":"JWT""#),
        ("A22", r#""cty":"application/jwt""#),
    ];
    for (id, member) in unsupported {
        rows.push((id, format!("header with {member}"), under(&format!(r#"{{"alg":"ES256","kid":"ec",{member}}}"#)), MALFORMED));
    }
    let raw = format!("{}.{}", encode(br#"{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}"#), r#"{"iss":"https://id.example"}"#);
    rows.push(("A17", "an unencoded payload".into(), format!("{raw}.{}", encode(&keys().ec.sign(raw.as_bytes()).unwrap())), MALFORMED));

    let whole = good();
    let [header, body, signature] = whole.split('.').collect::<Vec<_>>().try_into().unwrap();
    let general = json!({ "payload": body, "signatures": [{ "protected": header, "signature": signature }] }).to_string();
    let flat = json!({ "payload": body, "protected": header, "signature": signature }).to_string();
    rows.extend([
        ("A18", "general JSON serialization".into(), general, Err("credential_conflict")),
        ("A18", "flattened JSON serialization".into(), flat, Err("credential_conflict")),
        ("A19", "a compact token inside a JSON name".into(), format!(r#"{{"{header}.{body}.{signature}":1}}"#), MALFORMED),
        ("A20", "JWE, RSA-OAEP".into(), format!("{}.a2V5.aXY.{body}.dGFn", encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)), MALFORMED),
        ("A20", "JWE, dir".into(), format!("{}..aXY.{body}.dGFn", encode(br#"{"alg":"dir","enc":"A256GCM"}"#)), MALFORMED),
        ("A20", "an algorithm of JWE on three parts".into(), under(r#"{"alg":"RSA-OAEP","kid":"ec"}"#), ALGORITHM),
        (
            "A21",
            "JWE around an unsigned token".into(),
            format!(
                "{}.a.a.{}.a",
                encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}"#),
                encode(none(r#"{"alg":"none"}"#).as_bytes())
            ),
            MALFORMED,
        ),
        (
            "A22",
            "a token as the payload of a token".into(),
            signed(&keys().ec, br#"{"alg":"ES256","kid":"ec"}"#, whole.as_bytes()),
            MALFORMED,
        ),
        ("A23", "one part".into(), header.into(), MALFORMED),
        ("A23", "two parts".into(), format!("{header}.{body}"), MALFORMED),
        ("A23", "four parts".into(), format!("{whole}.{signature}"), MALFORMED),
        ("A23", "six parts".into(), format!("{whole}.{whole}"), MALFORMED),
        ("A23", "an empty fourth part".into(), format!("{whole}."), MALFORMED),
        ("A23", "an empty first part".into(), format!(".{body}.{signature}"), MALFORMED),
        ("A23", "an empty payload".into(), format!("{header}..{signature}"), MALFORMED),
        ("A23", "nothing but dots".into(), ".".repeat(8_000), MALFORMED),
        ("A23", "more dots than we read".into(), ".".repeat(1 << 20), MALFORMED),
        ("A25", "a signature of 21,830 characters".into(), format!("{header}.{body}.{}", "A".repeat(21_830)), MALFORMED),
        (
            "A25",
            "a signature longer than any, within the token's bound".into(),
            format!("{header}.{body}.{}", "A".repeat(1_372)),
            MALFORMED,
        ),
    ]);
    for kind in ["dpop+jwt", "logout+jwt", "secevent+jwt", "JWE", "application/logout+jwt", "text/plain", ""] {
        rows.push((
            "A24",
            format!("typ {kind:?}"),
            under(&json!({ "alg": "ES256", "kid": "ec", "typ": kind }).to_string()),
            Err("claim_missing"),
        ));
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        rows.push((
            "A24",
            format!("typ {kind:?} is a usual one"),
            under(&json!({ "alg": "ES256", "kid": "ec", "typ": kind }).to_string()),
            Ok(()),
        ));
    }
    rows.push(("A24", "typ of another type".into(), under(r#"{"alg":"ES256","kid":"ec","typ":1}"#), MALFORMED));
    rows
}

/// The public RSA key in every text that has once been taken for an HMAC secret.
fn confusions() -> Vec<(&'static str, Vec<u8>)> {
    let pem = keys().rsa.public_pem().unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &body).unwrap();
    vec![
        ("PEM", pem.trim_end().into()),
        ("PEM with a line break", pem.clone().into()),
        ("PEM with line ends of Windows", pem.replace('\n', "\r\n").into()),
        ("PEM behind a space", format!(" {pem}").into()),
        ("PEM behind a tab", format!("\t{pem}").into()),
        ("PEM behind a line break", format!("\n{pem}").into()),
        ("the base64 inside PEM", body.into()),
        ("DER", der),
        ("a JWK", keys().rsa.public_jwk().unwrap().to_string().into()),
    ]
}

#[test]
fn no_token_chooses_its_algorithm_its_key_or_its_form() {
    let rows = rows();
    check(&usual(json!({})), &rows);
    let elsewhere = [
        ("A5", "confused_texts_are_no_hmac_secrets"),
        ("A6", "confused_texts_are_no_hmac_secrets"),
        ("A7", "a_served_key_without_alg_never_makes_hmac"),
        ("A8", "a_served_key_without_alg_never_makes_hmac"),
    ];
    complete("A", 25, rows.iter().map(|row| row.0), &elsewhere);
}

#[test]
fn confused_texts_are_no_hmac_secrets() {
    for (what, text) in confusions() {
        let secret = Secret::new(text);
        assert!(VerifyingKey::hmac(&secret, None).is_err(), "A5, A6: the public key as {what} verifies nothing");
        assert!(SigningKey::from_secret(Algorithm::Hs256, &secret).is_err(), "A5, A6: the public key as {what} signs nothing");
    }
}

#[test]
fn a_served_key_without_alg_never_makes_hmac() {
    let keys = keys();
    let mut jwk = keys.rsa.public_jwk().unwrap();
    jwk.as_object_mut().unwrap().remove("alg");
    let secret = encode(&[7; 64]);
    let set = json!({ "keys": [jwk, { "kty": "oct", "kid": "oct", "k": secret }, { "kty": "oct", "k": secret, "alg": "HS256" }] });
    let served = Set::served(&set);
    assert_eq!(served.keys.len(), 1, "A8: of the served set only the public key is used");

    // Even an authenticator that was told to accept HMAC has no key to do it with.
    let bench = bench(&settings(json!({ "algorithms": ["HS256", "RS256"] })), &[("set", served)]);
    let mac = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(vec![7; 64])).unwrap();
    let rows: Vec<Row> = vec![
        ("A7", "alg from the kind of key".into(), keys.rsa.sign_compact(&[], &claims(json!({}))).unwrap(), Ok(())),
        (
            "A7",
            "an algorithm of the same kind that is not on the list".into(),
            signed(&keys.rsa, br#"{"alg":"PS256","kid":"rsa"}"#, &payload()),
            ALGORITHM,
        ),
        (
            "A7",
            "HMAC under the public key's name".into(),
            mac.sign_compact(&[("kid", "rsa")], &claims(json!({}))).unwrap(),
            Err("key_unknown"),
        ),
        ("A8", "HMAC with the served secret".into(), mac.sign_compact(&[("kid", "oct")], &claims(json!({}))).unwrap(), Err("key_unknown")),
        ("A8", "HMAC with the served secret, no kid".into(), mac.sign_compact(&[], &claims(json!({}))).unwrap(), Err("key_unknown")),
    ];
    check(&bench, &rows);
}

#[test]
fn what_a_header_says_about_keys_causes_no_question() {
    let bench = usual(json!({}));
    let (mallory, _) = fresh(Algorithm::Es256);
    for header in [r#"{"alg":"ES256","jku":"http://127.0.0.1:9/x.json"}"#, r#"{"alg":"ES256","kid":"ec","x5u":"http://127.0.0.1:9/"}"#] {
        assert!(bench.on(&signed(&mallory, header.as_bytes(), &payload())).is_err(), "A12, A14: {header}");
    }
    assert_eq!(bench.sets[0].asked.load(Ordering::SeqCst), 0, "A12: nobody was asked anything");
    let unknown = signed(&mallory, br#"{"alg":"ES256","kid":"new"}"#, &payload());
    assert_eq!(bench.on(&unknown), Err("key_unknown".into()), "an unknown kid is refused");
    assert_eq!(bench.sets[0].asked.load(Ordering::SeqCst), 1, "after its store was asked once");
}

#[test]
fn a_list_of_kinds_is_exact() {
    let bench = usual(json!({ "typ": ["at+jwt"] }));
    let rows: Vec<Row> = vec![
        ("A24", "the kind on the list".into(), under(r#"{"alg":"ES256","kid":"ec","typ":"at+jwt"}"#), Ok(())),
        ("A24", "in full and in capitals".into(), under(r#"{"alg":"ES256","kid":"ec","typ":"Application/AT+JWT"}"#), Ok(())),
        ("A24", "an id token".into(), under(r#"{"alg":"ES256","kid":"ec","typ":"JWT"}"#), Err("claim_missing")),
        ("A24", "no kind at all".into(), under(r#"{"alg":"ES256","kid":"ec"}"#), Err("claim_missing")),
    ];
    check(&bench, &rows);
}

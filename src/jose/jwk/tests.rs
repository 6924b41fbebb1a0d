//! Key sets: bounds, what is left out, what is no set at all.
#![allow(clippy::type_complexity, reason = "rows of tables are written out")]

use serde_json::{Value as Json, json};

use super::{JwkFault, MAX_KEYS, MAX_SET, Trust, parse_pem, parse_pinned, parse_set};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url::encode;
use crate::jose::mint::SigningKey;

fn key() -> Json {
    SigningKey::generate(Algorithm::EdDsa).unwrap().public_jwk().unwrap()
}

fn counts(document: &[u8], trust: Trust) -> Result<(usize, usize), JwkFault> {
    parse_set(document, trust).map(|set| (set.keys.len(), set.skipped.len()))
}

#[test]
fn what_is_no_key_set_is_an_error_and_never_an_empty_set() {
    let key = key();
    let many = |count: usize| json!({ "keys": vec![key.clone(); count] }).to_string();
    let sized = |size: usize| {
        let text = json!({ "keys": [key] }).to_string();
        format!("{text}{}", " ".repeat(size - text.len()))
    };
    let cases: Vec<(String, Result<(usize, usize), JwkFault>, &str)> = vec![
        (json!({ "keys": [key] }).to_string(), Ok((1, 0)), "one key"),
        (json!({ "keys": [key], "x": { "y": 1 } }).to_string(), Ok((1, 0)), "members we do not know"),
        ("{}".into(), Err(JwkFault::NotASet), "an empty object"),
        ("[]".into(), Err(JwkFault::NotASet), "a list"),
        ("null".into(), Err(JwkFault::NotASet), "null"),
        (key.to_string(), Err(JwkFault::NotASet), "a single key where a set is served"),
        (r#"{"keys":{}}"#.into(), Err(JwkFault::NotASet), "keys an object"),
        (r#"{"keys":null}"#.into(), Err(JwkFault::NotASet), "keys null"),
        (r#"{"keys":[]}"#.into(), Err(JwkFault::Empty), "no keys"),
        ("<html></html>".into(), Err(JwkFault::NotJson), "a page"),
        (String::new(), Err(JwkFault::NotJson), "nothing"),
        (format!("{} x", json!({ "keys": [key] })), Err(JwkFault::NotJson), "something behind the set"),
        (r#"{"keys":[],"keys":[]}"#.into(), Err(JwkFault::NotJson), "two lists"),
        (format!(r#"{{"keys":[{}]}}"#, "[".repeat(100_000)), Err(JwkFault::NotJson), "nested without end"),
        (many(MAX_KEYS), Ok((MAX_KEYS, 0)), "as many as allowed"),
        (many(MAX_KEYS + 1), Err(JwkFault::TooMany), "one more"),
        (sized(MAX_SET), Ok((1, 0)), "as large as allowed"),
        (sized(MAX_SET + 1), Err(JwkFault::TooLarge), "one byte more"),
    ];
    for (document, expected, shows) in cases {
        assert_eq!(counts(document.as_bytes(), Trust::Remote), expected, "{shows}");
    }
}

#[test]
fn a_symmetric_key_counts_only_where_it_is_pinned() {
    let secret = json!({ "kty": "oct", "kid": "s", "k": encode(&[7; 32]), "alg": "HS256" });
    let document = json!({ "keys": [secret, key()] }).to_string();
    assert_eq!(counts(document.as_bytes(), Trust::Remote), Ok((1, 1)), "served");
    assert_eq!(counts(document.as_bytes(), Trust::Pinned), Ok((2, 0)), "pinned");
    let cases = [
        (json!({ "k": encode(&[7; 31]) }), false, "too short"),
        (json!({ "k": encode(&[7; 32]), "alg": "HS512" }), false, "too short for its algorithm"),
        (json!({ "k": encode(&[7; 32]), "alg": "RS256" }), false, "an algorithm of another kind"),
        (json!({ "k": encode(&[7; 32]), "d": "AA" }), false, "a member of private keys"),
        (json!({}), false, "no secret"),
        (json!({ "k": encode(&[7; 32]), "key_ops": ["sign", "verify"] }), true, "may sign and verify"),
        (json!({ "k": encode(&[7; 32]), "key_ops": ["sign"] }), false, "may only sign"),
        (json!({ "k": encode(&[7; 32]), "use": "enc" }), false, "for encryption"),
    ];
    for (members, sound, shows) in cases {
        let mut jwk = members;
        jwk["kty"] = "oct".into();
        assert_eq!(parse_pinned(jwk.to_string().as_bytes()).is_ok(), sound, "{shows}");
    }
}

#[test]
fn pinned_text_is_a_set_a_key_or_pem() {
    let ec = SigningKey::generate(Algorithm::Es384).unwrap();
    let ed = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let both = format!("# ours\n{}\n{}", ec.public_pem().unwrap(), ed.public_pem().unwrap());
    let private = String::from_utf8(ec.private_pem().unwrap().expose().to_vec()).unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["id.example".into()]).unwrap();
    let cases: Vec<(String, Result<(usize, usize), JwkFault>, &str)> = vec![
        (json!({ "keys": [ec.public_jwk()] }).to_string(), Ok((1, 0)), "a set"),
        (ec.public_jwk().unwrap().to_string(), Ok((1, 0)), "a single key"),
        (both.clone(), Ok((2, 0)), "two PEM blocks"),
        (certificate.cert.pem(), Ok((1, 0)), "a certificate, for its key"),
        (format!("{both}{private}"), Ok((2, 1)), "a private key among them is left out"),
        (
            private,
            Err(JwkFault::NoneUsable("this is a private key; verifying needs the public one, and the private one should not be here")),
            "a private key alone",
        ),
        ("-----BEGIN PUBLIC KEY-----\n".into(), Err(JwkFault::Pem("a PEM block has no end")), "cut short"),
        ("secret".into(), Err(JwkFault::NotJson), "words"),
    ];
    for (text, expected, shows) in cases {
        let actual = parse_pinned(text.as_bytes()).map(|set| (set.keys.len(), set.skipped.len()));
        assert_eq!(actual, expected, "{shows}");
    }
    assert_eq!(parse_pem(b"\xff-----BEGIN ").err(), Some(JwkFault::Pem("it is not UTF-8")), "not text");

    let pinned = parse_pinned(both.as_bytes()).unwrap();
    assert!(pinned.keys[0].verifies(Algorithm::Es384, b"m", &ec.sign(b"m").unwrap()), "the first key of the text");
    assert!(pinned.keys[1].verifies(Algorithm::EdDsa, b"m", &ed.sign(b"m").unwrap()), "the second");
    let leaf = parse_pinned(certificate.cert.pem().as_bytes()).unwrap();
    let signing = SigningKey::from_pem(&certificate.signing_key.serialize_pem(), None).unwrap();
    assert!(leaf.keys[0].verifies(signing.algorithm(), b"m", &signing.sign(b"m").unwrap()), "the key of the certificate");
}

//! B, the first 23: signatures and keys. What concerns fetching keys is shown with the key stores.

use std::sync::Arc;

use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url::{decode, encode};
use countersign::jose::jwk::{JwkFault, Trust, parse_jwk, parse_set};
use countersign::jose::key::{Curve, VerifyingKey};
use countersign::jose::mint::SigningKey;
use serde_json::{Value as Json, json};

use super::{Row, check, complete, good, keys, usual};
use crate::jwt::{Set, bench, claims, fresh, settings, signed};

const SIGNATURE: Result<(), &str> = Err("signature_invalid");

/// The order of P-256, big-endian.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// The order of the Ed25519 group, little-endian.
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// `left - right` of equal length, big-endian.
fn minus(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut out = vec![0; left.len()];
    let mut borrow = 0;
    for at in (0..left.len()).rev() {
        let difference = i16::from(left[at]) - i16::from(right[at]) - borrow;
        borrow = i16::from(difference < 0);
        out[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    out
}

/// `left + right` of equal length, little-endian.
fn plus(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    left.iter()
        .zip(right)
        .map(|(a, b)| {
            let sum = u16::from(*a) + u16::from(*b) + carry;
            carry = sum >> 8;
            u8::try_from(sum & 0xff).unwrap()
        })
        .collect()
}

/// `token` with other signature bytes.
fn resigned(token: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (text, signature) = token.rsplit_once('.').unwrap();
    format!("{text}.{}", encode(&change(&decode(signature).unwrap())))
}

fn rows() -> Vec<Row> {
    let order = hex(P256_ORDER);
    let mut above = order.clone();
    above[31] += 1;
    let most = vec![0xff; 32];
    let zero = vec![0; 32];
    let token = good();
    let ec = |r: &[u8], s: &[u8]| resigned(&token, |_| [r, s].concat());
    let mut rows: Vec<Row> =
        vec![("B1", "as signed".into(), token.clone(), Ok(())), ("B1", "r = s = 0".into(), ec(&zero, &zero), SIGNATURE)];
    for (name, value) in [("0", &zero), ("n", &order), ("n + 1", &above), ("2^256 - 1", &most)] {
        rows.push(("B2", format!("r = {name}"), resigned(&token, |good| [value, &good[32..]].concat()), SIGNATURE));
        rows.push(("B2", format!("s = {name}"), resigned(&token, |good| [&good[..32], value].concat()), SIGNATURE));
        rows.push(("B2", format!("r = s = {name}"), ec(value, value), SIGNATURE));
    }
    rows.extend([
        ("B3", "ASN.1 in place of r and s".into(), resigned(&token, der), SIGNATURE),
        ("B4", "one byte less in front".into(), resigned(&token, |good| good[1..].to_vec()), SIGNATURE),
        ("B4", "one byte less behind".into(), resigned(&token, |good| good[..63].to_vec()), SIGNATURE),
        ("B4", "one zero more in front".into(), resigned(&token, |good| [&[0], good].concat()), SIGNATURE),
        ("B4", "one zero more behind".into(), resigned(&token, |good| [good, &[0]].concat()), SIGNATURE),
        ("B4", "72 bytes".into(), resigned(&token, |good| [good, &[0; 8]].concat()), SIGNATURE),
        ("B4", "a zero before each half".into(), resigned(&token, |good| [&[0], &good[..32], &[0], &good[32..]].concat()), SIGNATURE),
        ("B4", "one byte".into(), resigned(&token, |_| vec![1]), SIGNATURE),
        ("B4", "the signature of another token".into(), resigned(&token, |_| keys().ec.sign(b"another").unwrap()), SIGNATURE),
        // Its other spelling is the same signature; nothing that remembers tokens may rest on their text.
        ("B5", "s negated".into(), resigned(&token, |good| [&good[..32], &minus(&order, &good[32..])].concat()), Ok(())),
        ("B5", "halves swapped".into(), resigned(&token, |good| [&good[32..], &good[..32]].concat()), SIGNATURE),
    ]);
    let ed = keys().ed.sign_compact(&[], &claims(json!({}))).unwrap();
    rows.extend([
        ("B6", "Ed25519 as signed".into(), ed.clone(), Ok(())),
        ("B6", "S + L".into(), resigned(&ed, |good| [&good[..32], &plus(&good[32..], &hex(ED25519_ORDER))].concat()), SIGNATURE),
        ("B6", "S = 0, R neutral".into(), resigned(&ed, |_| [&[1][..], &[0; 63]].concat()), SIGNATURE),
        ("B6", "all ones".into(), resigned(&ed, |_| vec![0xff; 64]), SIGNATURE),
        ("B6", "63 bytes".into(), resigned(&ed, |good| good[..63].to_vec()), SIGNATURE),
        ("B6", "65 bytes".into(), resigned(&ed, |good| [good, &[0]].concat()), SIGNATURE),
    ]);
    let kid = |value: Json| {
        signed(&keys().ec, json!({ "alg": "ES256", "kid": value }).to_string().as_bytes(), claims(json!({})).to_string().as_bytes())
    };
    for traversal in ["../../dev/null", "/proc/self/environ", "ec/../ec", "ec%00"] {
        rows.push(("B17", format!("kid {traversal:?}"), kid(json!(traversal)), Err("key_unknown")));
    }
    for injection in ["x' UNION SELECT 'k'--", "`id`", "a\r\nSET k v", "*)(uid=*", "*", "ec\n", "ec ", "EC", "\u{0}"] {
        rows.push(("B18", format!("kid {injection:?}"), kid(json!(injection)), Err("key_unknown")));
    }
    rows.extend([
        ("B19", "kid of 256 bytes".into(), kid(json!("k".repeat(256))), Err("key_unknown")),
        ("B19", "kid of 257 bytes".into(), kid(json!("k".repeat(257))), Err("credential_malformed")),
        ("B19", "kid of 6,000 bytes".into(), kid(json!("k".repeat(6_000))), Err("credential_malformed")),
        ("B19", "kid of 64 KiB".into(), kid(json!("k".repeat(65_536))), Err("credential_malformed")),
        ("B19", "kid a number".into(), kid(json!(1)), Err("credential_malformed")),
        ("B19", "kid a list".into(), kid(json!(["ec"])), Err("credential_malformed")),
        ("B19", "kid null".into(), kid(Json::Null), Err("credential_malformed")),
        ("B19", "kid empty".into(), kid(json!("")), Err("key_unknown")),
        ("B20", "kid with a homoglyph".into(), kid(json!("\u{435}c")), Err("key_unknown")),
    ]);
    rows
}

/// A fixed-length signature as ASN.1: SEQUENCE of two INTEGERs.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let digits: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = usize::from(0x80 <= digits[0]);
        [vec![2, u8::try_from(digits.len() + sign).unwrap()], vec![0; sign], digits].concat()
    };
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn a_signature_has_one_length_and_one_maker() {
    let rows = rows();
    check(&usual(json!({})), &rows);
    let elsewhere = [
        ("B7", "weak_and_giant_keys_are_left_out"),
        ("B8", "weak_and_giant_keys_are_left_out"),
        ("B9", "rsa_padding_has_one_form"),
        ("B10", "rsa_padding_has_one_form"),
        ("B11", "points_off_their_curve_are_left_out"),
        ("B12", "jose::strength: a_modulus_built_from_powers_is_refused"),
        ("B13", "hmac_secrets_are_as_long_as_their_hash"),
        ("B14", "without_kid_at_most_four_fitting_keys_are_tried"),
        ("B15", "keys_that_share_a_kid_are_both_tried"),
        ("B16", "a_kid_belongs_to_its_issuer"),
        ("B21", "a_key_for_something_else_is_left_out"),
        ("B22", "a_key_for_something_else_is_left_out"),
        ("B23", "one_bad_key_spoils_no_set"),
    ];
    complete("B", 23, rows.iter().map(|row| row.0), &elsewhere);
}

/// The JWK `text`, as somebody serves it.
fn served(jwk: &Json) -> Result<VerifyingKey, String> {
    let value = countersign::jose::json::parse(jwk.to_string().as_bytes()).unwrap();
    parse_jwk(&value, Trust::Remote).map_err(str::to_owned)
}

#[test]
fn weak_and_giant_keys_are_left_out() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0x5b; bits.div_ceil(8)];
        bytes[0] = 1 << ((bits - 1) % 8);
        encode(&bytes)
    };
    let cases = [
        ("B7", 1_024, vec![1, 0, 1], false),
        ("B7", 2_047, vec![1, 0, 1], false),
        ("B7", 2_048, vec![1, 0, 1], true),
        ("B7", 2_048, vec![1], false),
        ("B7", 2_048, vec![3], false),
        ("B7", 2_048, vec![1, 0, 0], false),
        ("B7", 2_048, vec![], false),
        ("B8", 8_192, vec![1, 0, 1], true),
        ("B8", 8_193, vec![1, 0, 1], false),
        ("B8", 16_384, vec![1, 0, 1], false),
        ("B8", 2_048, vec![0xff; 4], true),
        ("B8", 2_048, vec![1, 0, 0, 0, 1], false),
        ("B8", 2_048, vec![0xff; 256], false),
    ];
    for (id, bits, exponent, sound) in cases {
        let jwk = json!({ "kty": "RSA", "n": modulus(bits), "e": encode(&exponent) });
        assert_eq!(served(&jwk).is_ok(), sound, "{id}: {bits} bits, e = {exponent:?}");
    }
    for bytes in [[0u8; 32], [0xff; 32]] {
        let mut point = bytes;
        point[0] = if bytes[0] == 0 { 1 } else { 0xec };
        assert!(served(&json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&point) })).is_err(), "B6: a point of small order");
    }
}

#[test]
fn rsa_padding_has_one_form() {
    let fixture: Json = serde_json::from_str(include_str!("../padding.json")).unwrap();
    let bench = bench(&settings(json!({})), &[("set", Set::served(&json!({ "keys": [fixture["key"]] })))]);
    let rows = fixture["rows"].as_array().unwrap();
    for row in rows {
        let expected = if row["accepted"].as_bool().unwrap() { Ok("ada".to_owned()) } else { Err("signature_invalid".to_owned()) };
        assert_eq!(bench.on(row["token"].as_str().unwrap()), expected, "B9, B10: {}", row["shows"]);
    }
    assert_eq!(rows.iter().filter(|row| row["accepted"] == true).count(), 2, "one form each of PKCS#1 and PSS");
}

#[test]
fn points_off_their_curve_are_left_out() {
    let p256 = keys().ec.public_jwk().unwrap();
    let p384 = fresh(Algorithm::Es384).0.public_jwk().unwrap();
    let x = p256["x"].as_str().unwrap();
    let y = p256["y"].as_str().unwrap();
    let mut off = decode(y).unwrap();
    off[31] ^= 1;
    let short = encode(&decode(y).unwrap()[1..]);
    let long = encode(&[&[0][..], &decode(y).unwrap()].concat());
    let zero = encode(&[0; 32]);
    let negated = {
        let prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
        encode(&minus(&prime, &decode(y).unwrap()))
    };
    let beyond = encode(&[0xff; 32]);
    let cases = [
        ("P-256", x, y, true, "a point on the curve"),
        ("P-256", x, negated.as_str(), true, "its mirror image is another point on the curve"),
        ("P-256", x, &encode(&off), false, "y off by one bit"),
        ("P-256", y, x, false, "swapped"),
        ("P-256", &zero, &zero, false, "zero"),
        ("P-256", &beyond, &beyond, false, "beyond the field"),
        ("P-256", x, "", false, "no y"),
        ("P-256", x, &short, false, "y short of a byte"),
        ("P-256", x, &long, false, "y with a zero too many"),
        ("P-384", x, y, false, "the name of a larger curve"),
        ("P-256", p384["x"].as_str().unwrap(), p384["y"].as_str().unwrap(), false, "the name of a smaller curve"),
        ("secp256k1", x, y, false, "a curve we do not know"),
        ("p-256", x, y, false, "names are exact"),
    ];
    for (curve, x, y, sound, shows) in cases {
        let jwk = json!({ "kty": "EC", "crv": curve, "x": x, "y": y });
        assert_eq!(served(&jwk).is_ok(), sound, "B11: {shows}");
    }
    assert!(VerifyingKey::ec(Curve::P256, &[], &[], None).is_err(), "B11: the point at infinity");
    let swapped = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES384" });
    assert!(served(&swapped).is_err(), "A10: alg of another curve");
}

#[test]
fn hmac_secrets_are_as_long_as_their_hash() {
    let cases = [
        (0, Algorithm::Hs256, false),
        (31, Algorithm::Hs256, false),
        (32, Algorithm::Hs256, true),
        (47, Algorithm::Hs384, false),
        (48, Algorithm::Hs384, true),
        (63, Algorithm::Hs512, false),
        (64, Algorithm::Hs512, true),
    ];
    for (length, algorithm, sound) in cases {
        let secret = Secret::new(vec![7; length]);
        assert_eq!(VerifyingKey::hmac(&secret, Some(algorithm)).is_ok(), sound, "B13: {length} bytes for {algorithm:?}");
        assert_eq!(SigningKey::from_secret(algorithm, &secret).is_ok(), sound, "B13: {length} bytes to sign {algorithm:?}");
        let free = VerifyingKey::hmac(&secret, None).is_ok_and(|key| key.permits(algorithm));
        assert_eq!(free, sound, "B13: an unbound secret of {length} bytes is not for {algorithm:?} unless it is long enough");
    }
}

#[test]
fn without_kid_at_most_four_fitting_keys_are_tried() {
    let signer = fresh(Algorithm::Es256).0.with_kid(None);
    let right = Arc::new(signer.verifying_key().unwrap());
    let token = signer.sign_compact(&[], &claims(json!({}))).unwrap();
    for (before, expected) in [(0, Ok("ada".to_owned())), (3, Ok("ada".to_owned())), (4, Err("signature_invalid".to_owned()))] {
        let mut set: Vec<_> = (0..before).map(|_| fresh(Algorithm::Es256).1).collect();
        set.push(Arc::clone(&right));
        let bench = bench(&settings(json!({})), &[("set", Set::of(set))]);
        assert_eq!(bench.on(&token), expected, "B14: the right key behind {before} others of its kind");
    }
    let others =
        vec![Arc::clone(&keys().rsa_public), Arc::clone(&keys().ed_public), fresh(Algorithm::Es384).1, fresh(Algorithm::Es512).1, right];
    let bench = bench(&settings(json!({})), &[("set", Set::of(others))]);
    assert_eq!(bench.on(&token), Ok("ada".into()), "B14: keys of other kinds do not count");
}

#[test]
fn keys_that_share_a_kid_are_both_tried() {
    let (first, second) = (fresh(Algorithm::Es256).0, fresh(Algorithm::Es256).0);
    let document = json!({ "keys": [first.public_jwk(), second.public_jwk()] });
    let bench = bench(&settings(json!({})), &[("set", Set::served(&document))]);
    for (signer, which) in [(first, "first"), (second, "second")] {
        let token = signer.sign_compact(&[], &claims(json!({}))).unwrap();
        assert_eq!(bench.on(&token), Ok("ada".into()), "B15: signed with the {which}");
    }
}

#[test]
fn a_kid_belongs_to_its_issuer() {
    let (ours, ours_public) = fresh(Algorithm::Es256);
    let (theirs, theirs_public) = fresh(Algorithm::Es256);
    let settings = json!({
        "issuer": ["https://a.example", "https://b.example"], "audience": "app",
        "keys": { "https://a.example": "a", "https://b.example": "b" },
    });
    let bench = bench(&settings, &[("a", Set::of(vec![ours_public])), ("b", Set::of(vec![theirs_public]))]);
    let token = |key: &SigningKey, issuer: &str| key.sign_compact(&[], &claims(json!({ "iss": issuer }))).unwrap();
    let rows: Vec<Row> = vec![
        ("B16", "A's key for A".into(), token(&ours, "https://a.example"), Ok(())),
        ("B16", "B's key for B".into(), token(&theirs, "https://b.example"), Ok(())),
        ("B16", "B's key under the same kid, claiming A".into(), token(&theirs, "https://a.example"), SIGNATURE),
        ("B16", "A's key, claiming B".into(), token(&ours, "https://b.example"), SIGNATURE),
        ("B16", "nobody's".into(), token(&ours, "https://c.example"), Err("issuer_mismatch")),
    ];
    check(&bench, &rows);
}

#[test]
fn a_key_for_something_else_is_left_out() {
    let jwk = keys().ec.public_jwk().unwrap();
    let cases: [(&str, &str, Json, bool); 22] = [
        ("B21", "use", json!("sig"), true),
        ("B21", "use", json!("enc"), false),
        ("B21", "use", json!("SIG"), false),
        ("B21", "use", json!(["sig"]), false),
        ("B21", "key_ops", json!(["verify"]), true),
        ("B21", "key_ops", json!(["encrypt"]), false),
        ("B21", "key_ops", json!([]), false),
        ("B21", "key_ops", json!("verify"), false),
        ("B21", "key_ops", json!(["verify", 1]), false),
        ("B21", "key_ops", json!(["verify", "verify"]), false),
        ("B21", "alg", json!("ES384"), false),
        ("B21", "alg", json!("HS256"), false),
        ("B21", "alg", json!("RS256"), false),
        ("B21", "alg", json!("ECDH-ES"), false),
        ("B21", "alg", json!("none"), false),
        ("B21", "alg", json!(1), false),
        ("B22", "d", json!("AAAA"), false),
        ("B22", "p", json!("AAAA"), false),
        ("B22", "k", json!("AAAA"), false),
        ("B22", "oth", json!([]), false),
        ("B19", "kid", json!("k".repeat(257)), false),
        ("B21", "x5c", json!(["not read"]), true),
    ];
    for (id, member, value, sound) in cases {
        let mut changed = jwk.clone();
        changed[member] = value.clone();
        assert_eq!(served(&changed).is_ok(), sound, "{id}: {member} = {value}");
    }
}

#[test]
fn one_bad_key_spoils_no_set() {
    let good = keys().ec.public_jwk().unwrap();
    let bad = [
        json!({}),
        json!(null),
        json!([]),
        json!("key"),
        json!({ "kty": 1 }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }),
        json!({ "kty": "RSA" }),
        json!({ "kty": "RSA", "n": "!!!", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "AAAA=", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "", "e": "" }),
        json!({ "kty": "RSA", "n": ["AAAA"], "e": "AQAB" }),
        json!({ "kty": "RSA", "crv": "Ed25519", "x": good["x"] }),
        json!({ "kty": "EC", "crv": "P-256", "x": 1, "y": 2 }),
        json!({ "kty": "EC", "x": good["x"], "y": good["y"] }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": encode(&[9; 32]) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
        json!({ "kty": "OKP", "crv": "Ed25519" }),
        json!({ "kty": "oct", "k": encode(&[7; 32]) }),
    ];
    for key in &bad {
        let set = json!({ "keys": [key, good, key] }).to_string();
        let parsed = parse_set(set.as_bytes(), Trust::Remote).unwrap_or_else(|fault| panic!("B23: {key} spoils the set: {fault}"));
        assert_eq!((parsed.keys.len(), parsed.skipped.len()), (1, 2), "B23: beside {key}");
        let alone = json!({ "keys": [key] }).to_string();
        assert!(matches!(parse_set(alone.as_bytes(), Trust::Remote), Err(JwkFault::NoneUsable(_))), "B23: {key} alone is no set");
    }
}

//! RFC 7517 (JSON Web Key), appendices A and B; RFC 7638 (thumbprints).

use countersign::jose::algorithm::Algorithm;
use countersign::jose::jwk::{JwkFault, Trust, parse_set};
use serde_json::json;

const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W\
-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4\
vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

#[test]
fn the_public_keys_of_a1_are_used_for_what_they_are_for() {
    let ec = json!({
        "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "enc", "kid": "1",
    });
    let rsa = json!({ "kty": "RSA", "n": MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
    let set = parse_set(json!({ "keys": [ec, rsa] }).to_string().as_bytes(), Trust::Remote).unwrap();
    assert_eq!(set.skipped, ["a key whose `use` is not `sig`"], "the first key is for encryption");
    assert_eq!(set.keys[0].kid(), Some("2011-04-29"));
    assert_eq!(set.keys[0].algorithms().collect::<Vec<_>>(), [Algorithm::Rs256], "bound to its alg");

    let mut unbound = rsa;
    unbound.as_object_mut().unwrap().remove("alg");
    let set = parse_set(json!({ "keys": [unbound] }).to_string().as_bytes(), Trust::Remote).unwrap();
    assert_eq!(set.keys[0].algorithms().count(), 6, "without alg, every RSA signature algorithm");

    let mut signing = ec;
    signing["use"] = "sig".into();
    let set = parse_set(json!({ "keys": [signing] }).to_string().as_bytes(), Trust::Remote).unwrap();
    assert_eq!(set.keys[0].algorithms().collect::<Vec<_>>(), [Algorithm::Es256], "the curve decides");
}

#[test]
fn the_private_keys_of_a2_are_left_out_wherever_they_stand() {
    let ec = json!({
        "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE", "kid": "1",
    });
    for trust in [Trust::Remote, Trust::Pinned] {
        let fault = parse_set(json!({ "keys": [ec] }).to_string().as_bytes(), trust).err();
        assert!(matches!(fault, Some(JwkFault::NoneUsable(why)) if why.contains("private")), "{trust:?}: {fault:?}");
    }
}

#[test]
fn of_the_symmetric_keys_of_a3_only_the_hmac_key_verifies_and_only_where_pinned() {
    let wrap = json!({ "kty": "oct", "alg": "A128KW", "k": "GawgguFyGrWKav7AX4VKUg" });
    let hmac = json!({
        "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "kid": "HMAC key used in JWS spec Appendix A.1 example",
    });
    let document = json!({ "keys": [wrap, hmac] }).to_string();
    let pinned = parse_set(document.as_bytes(), Trust::Pinned).unwrap();
    assert_eq!((pinned.keys.len(), pinned.skipped.len()), (1, 1), "key wrapping is not ours");
    assert_eq!(pinned.keys[0].algorithms().collect::<Vec<_>>(), [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512], "64 bytes");
    assert!(matches!(parse_set(document.as_bytes(), Trust::Remote), Err(JwkFault::NoneUsable(_))), "a served secret is none");
}

#[test]
fn certificates_inside_a_key_change_nothing() {
    let plain = json!({ "kty": "RSA", "n": MODULUS, "e": "AQAB", "use": "sig", "kid": "1b94c" });
    let mut chained = plain.clone();
    chained["x5c"] = json!(["MIIDQjCCAiqgAwIBAgIGATz/FuLiMA0GCSqGSIb3DQEBBQUA"]);
    let read = |jwk| parse_set(json!({ "keys": [jwk] }).to_string().as_bytes(), Trust::Remote).unwrap();
    assert_eq!(read(plain).keys[0].fingerprint(), read(chained).keys[0].fingerprint(), "appendix B: x5c is not read");
}

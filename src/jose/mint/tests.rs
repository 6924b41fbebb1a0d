//! What we sign is read back by the reader that judges others, and private keys survive being written down.

use std::sync::Arc;

use serde_json::json;

use super::{MintFault, SigningKey};
use crate::domain::Secret;
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::base64url::decode;
use crate::jose::compact::Compact;
use crate::jose::jwk::{Trust, parse_pem, parse_set};

#[test]
fn every_algorithm_signs_what_our_own_reader_believes() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(*algorithm).unwrap();
        let text = key.sign_compact(&[("typ", "at+jwt"), ("x", "y")], &json!({ "sub": "ada" })).unwrap();
        let token = Compact::parse(&text).unwrap();
        assert_eq!(token.header().algorithm, Some(*algorithm), "{algorithm:?} in the header");
        assert_eq!(token.header().kind.as_deref(), Some("at+jwt"), "{algorithm:?}: typ from the extras");
        assert_eq!(token.header().kid.as_deref(), key.kid(), "{algorithm:?}: its kid");
        assert_eq!(key.kid().is_none(), algorithm.family() == Family::Hmac, "{algorithm:?}: a secret has no thumbprint");
        let public = match algorithm.family() {
            Family::Hmac => Arc::new(key.verifying_key().unwrap()),
            _ => Arc::clone(&parse_set(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes(), Trust::Remote).unwrap().keys[0]),
        };
        assert!(token.prove(*algorithm, &[public]).is_some(), "{algorithm:?} through its published key");
    }
}

#[test]
fn a_private_key_survives_being_written_down() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm).unwrap();
        let pem = String::from_utf8(key.private_pem().unwrap().expose().to_vec()).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{algorithm:?}: PKCS#8");
        let again = SigningKey::from_pem(&pem, Some(algorithm)).unwrap();
        assert_eq!((again.algorithm(), again.kid()), (algorithm, key.kid()), "{algorithm:?}: the same key");
        let public = parse_pem(key.public_pem().unwrap().as_bytes()).unwrap();
        assert!(public.keys[0].verifies(algorithm, b"m", &again.sign(b"m").unwrap()), "{algorithm:?}: and signs alike");
        let natural = if algorithm == Algorithm::Ps512 { Algorithm::Rs256 } else { algorithm };
        assert_eq!(SigningKey::from_pem(&pem, None).unwrap().algorithm(), natural, "{algorithm:?}: what it signs unless told");
    }
    let secret = SigningKey::generate(Algorithm::Hs384).unwrap();
    assert_eq!(secret.secret().map(Secret::len), Some(48), "a secret is as long as its hash");
    assert!(secret.private_pem().is_none() && secret.public_pem().is_none() && secret.public_jwk().is_none(), "and has no other form");
}

/// Keys as OpenSSL writes them, in the older forms too.
#[test]
fn older_forms_of_private_keys_are_read() {
    let cases = [
        (include_str!("rsa.pkcs1.pem"), Some(Algorithm::Rs256), "RSA PRIVATE KEY"),
        (include_str!("p256.sec1.pem"), Some(Algorithm::Es256), "EC PRIVATE KEY on P-256"),
        (include_str!("p521.sec1.pem"), Some(Algorithm::Es512), "EC PRIVATE KEY on P-521"),
        (include_str!("rsa1024.pem"), None, "an RSA key of 1024 bits"),
        (include_str!("encrypted.pem"), None, "an encrypted key"),
    ];
    for (pem, expected, shows) in cases {
        let key = SigningKey::from_pem(pem, None);
        assert_eq!(key.as_ref().ok().map(SigningKey::algorithm), expected, "{shows}");
        if let Ok(key) = key {
            assert!(key.verifying_key().unwrap().verifies(key.algorithm(), b"m", &key.sign(b"m").unwrap()), "{shows} signs");
        }
    }
}

#[test]
fn keys_and_headers_that_do_not_fit_are_refused() {
    let ec = SigningKey::generate(Algorithm::Es256).unwrap();
    let pem = String::from_utf8(ec.private_pem().unwrap().expose().to_vec()).unwrap();
    let fault = |text: &str, algorithm| SigningKey::from_pem(text, algorithm).err();
    assert_eq!(fault(&pem, Some(Algorithm::Es384)), Some(MintFault::Algorithm(Algorithm::Es384)), "another curve");
    assert_eq!(fault(&pem, Some(Algorithm::Rs256)), Some(MintFault::Algorithm(Algorithm::Rs256)), "another family");
    assert_eq!(fault(&pem, Some(Algorithm::Hs256)), Some(MintFault::Algorithm(Algorithm::Hs256)), "a private key is no HMAC secret");
    assert!(fault(&ec.public_pem().unwrap(), None).is_some(), "a public key does not sign");
    assert!(fault(&format!("{pem}{pem}"), None).is_some(), "two keys in one text");
    assert!(fault("", None).is_some(), "no text");
    let secret = Secret::new(vec![7; 64]);
    assert_eq!(SigningKey::from_secret(Algorithm::Es256, &secret).err(), Some(MintFault::Algorithm(Algorithm::Es256)), "no HMAC");
    assert!(SigningKey::from_secret(Algorithm::Hs256, &Secret::new(pem.into_bytes())).is_err(), "PEM is no secret");

    for header in [[("alg", "none")], [("crit", "x")], [("b64", "false")], [("zip", "DEF")], [("enc", "x")]] {
        assert_eq!(ec.sign_compact(&header, &json!({})).err(), Some(MintFault::Header), "{header:?}");
    }
    assert_eq!(ec.sign_compact(&[("x", "1"), ("x", "2")], &json!({})).err(), Some(MintFault::Header), "an extra twice");
    assert_eq!(ec.sign_compact(&[], &json!([])).err(), Some(MintFault::Claims), "no object");
    assert_eq!(ec.sign_compact(&[], &json!({ "x": "y".repeat(7_000) })).err(), Some(MintFault::TooLong), "longer than we read");
    let other = ec.sign_compact(&[("kid", "other")], &json!({})).unwrap();
    assert_eq!(Compact::parse(&other).unwrap().header().kid.as_deref(), Some("other"), "an extra may name the key");
    let none = ec.with_kid(None).sign_compact(&[], &json!({})).unwrap();
    assert_eq!(Compact::parse(&none).unwrap().header().kid, None, "or the key be left unnamed");
}

#[test]
fn nothing_prints_a_private_key() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let shown = format!("{key:?}");
    let private = key.private_pem().unwrap();
    assert!(shown.starts_with("SigningKey { algorithm: EdDsa, kid: Some("), "{shown}");
    assert!(!shown.contains(std::str::from_utf8(private.expose()).unwrap().lines().nth(1).unwrap()), "{shown}");
    assert_eq!(decode(key.kid().unwrap()).unwrap().len(), 32, "its thumbprint is public");
}

//! Keys made ready: bound to algorithms, compared, and never confused.

use crate::domain::Secret;
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::key::{Curve, VerifyingKey};
use crate::jose::mint::SigningKey;

#[test]
fn a_key_verifies_under_its_own_algorithms_and_no_others() {
    for signer in Algorithm::ALL {
        let key = SigningKey::generate(*signer).unwrap();
        let public = key.verifying_key().unwrap();
        let signature = key.sign(b"message").unwrap();
        for algorithm in Algorithm::ALL {
            let same = algorithm == signer;
            assert_eq!(public.permits(*algorithm), same, "{signer:?} permits {algorithm:?}");
            assert_eq!(public.verifies(*algorithm, b"message", &signature), same, "{signer:?} verifies {algorithm:?}");
        }
        assert!(!public.verifies(*signer, b"messagf", &signature), "{signer:?}: another message");
        assert!(!public.verifies(*signer, b"message", &[]), "{signer:?}: no signature");
        assert!(!public.verifies(*signer, b"message", &signature[1..]), "{signer:?}: a byte short");
        assert!(!public.verifies(*signer, b"message", &[&signature[..], &[0]].concat()), "{signer:?}: a byte more");
    }
}

#[test]
fn an_unbound_key_permits_its_family() {
    let rsa = SigningKey::generate(Algorithm::Ps256).unwrap();
    let pem = rsa.public_pem().unwrap();
    let block = &crate::jose::pem::blocks(&pem).unwrap()[0];
    let unbound = VerifyingKey::from_der(block.label, &block.der, None).unwrap();
    for algorithm in Algorithm::ALL {
        assert_eq!(unbound.permits(*algorithm), algorithm.family() == Family::Rsa, "{algorithm:?}");
        let bound = VerifyingKey::from_der(block.label, &block.der, Some(*algorithm));
        assert_eq!(bound.is_ok(), algorithm.family() == Family::Rsa, "bound to {algorithm:?}");
    }
    assert!(unbound.verifies(Algorithm::Ps256, b"m", &rsa.sign(b"m").unwrap()), "and verifies");

    let secret = Secret::new(vec![7; 48]);
    let mac = VerifyingKey::hmac(&secret, None).unwrap();
    assert_eq!(mac.algorithms().collect::<Vec<_>>(), [Algorithm::Hs256, Algorithm::Hs384], "48 bytes are too few for HS512");
    assert!(VerifyingKey::hmac(&secret, Some(Algorithm::Rs256)).is_err(), "a secret bound to RSA");
    assert!(VerifyingKey::ed25519(&[2; 32], Some(Algorithm::Es256)).is_err(), "Ed25519 bound to a curve of NIST");
}

#[test]
fn a_zero_before_the_modulus_changes_nothing() {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let jwk = key.public_jwk().unwrap();
    let modulus = crate::jose::base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    let padded = [&[0, 0], &modulus[..]].concat();
    let plain = VerifyingKey::rsa(&modulus, &[1, 0, 1], None).unwrap();
    let same = VerifyingKey::rsa(&padded, &[0, 1, 0, 1], None).unwrap();
    assert_eq!(plain.fingerprint(), same.fingerprint(), "the number is the same");
    assert!(same.verifies(Algorithm::Rs256, b"m", &key.sign(b"m").unwrap()), "and so is the key");
}

#[test]
fn a_fingerprint_names_kid_algorithms_and_material() {
    let key = || VerifyingKey::hmac(&Secret::new(vec![7; 64]), None).unwrap();
    let same = key();
    let others = [
        (key().with_kid(Some("")), "an empty kid"),
        (key().with_kid(Some("a")), "a kid"),
        (key().with_kid(None), "renamed to nothing"),
        (VerifyingKey::hmac(&Secret::new(vec![7; 64]), Some(Algorithm::Hs256)).unwrap(), "bound"),
        (VerifyingKey::hmac(&Secret::new(vec![8; 64]), None).unwrap(), "other bytes"),
    ];
    assert_eq!(key().fingerprint(), same.fingerprint(), "equal keys");
    assert_eq!(key().with_kid(Some("a")).fingerprint(), others[1].0.fingerprint(), "equal names");
    for (index, (other, shows)) in others.iter().enumerate() {
        assert_ne!(other.fingerprint(), same.fingerprint(), "{shows}");
        assert!(others.iter().skip(index + 1).all(|(next, _)| next.fingerprint() != other.fingerprint()), "{shows} against the rest");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let key = VerifyingKey::hmac(&Secret::new(b"a secret of more than thirty-two bytes".to_vec()), None).unwrap().with_kid(Some("k"));
    let shown = format!("{key:?}");
    assert_eq!(shown, r#"VerifyingKey { kid: Some("k"), algorithms: ["HS256"], .. }"#);
}

#[test]
fn private_keys_and_compressed_points_are_refused() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let private = key.private_pem().unwrap();
    let text = std::str::from_utf8(private.expose()).unwrap();
    let block = &crate::jose::pem::blocks(text).unwrap()[0];
    assert!(VerifyingKey::from_der(block.label, &block.der, None).is_err_and(|why| why.contains("private")), "a private key");

    let public = key.public_pem().unwrap();
    let mut der = crate::jose::pem::blocks(&public).unwrap()[0].der.to_vec();
    let start = der.len() - 65;
    assert_eq!(der[start], 4, "an uncompressed point");
    der.truncate(start + 33);
    der[start] = 2;
    der[1] -= 32;
    der[start - 2] -= 32;
    assert_eq!(VerifyingKey::from_der("PUBLIC KEY", &der, None).err(), Some("a compressed point; write the key out in full"));
    assert!(VerifyingKey::from_der("SOMETHING", &der, None).is_err(), "an unknown label");
    assert_eq!(Curve::named("P-521"), Some(Curve::P521), "names of curves");
}

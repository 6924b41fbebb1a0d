//! Which keys of a set are tried for a signature, and when a set counts as changed.

use std::sync::Arc;

use crate::domain::Secret;
use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::{Trust, parse_set};
use crate::jose::key::VerifyingKey;
use crate::verify::keys::ring::{CANDIDATES, Candidates, KeyRing, MAX_KID};
use crate::verify::keys::testing::{IssuerKey, set_of};

fn ring(keys: &[&IssuerKey]) -> KeyRing {
    KeyRing::new(parse_set(set_of(keys).as_bytes(), Trust::Remote).unwrap().keys)
}

fn count(ring: &KeyRing, kid: Option<&str>, algorithm: Algorithm) -> Result<usize, &'static str> {
    match ring.candidates(kid, algorithm) {
        Candidates::Keys(keys) => Ok(keys.len()),
        Candidates::Unfit => Err("unfit"),
        Candidates::None => Err("none"),
    }
}

#[test]
fn a_kid_is_compared_byte_for_byte_and_nothing_else_is_done_with_it() {
    let (a, composed) = (IssuerKey::new("a"), IssuerKey::new("\u{e9}"));
    let ring = ring(&[&a, &composed]);
    let long = "a".repeat(MAX_KID + 1);
    let cases = [
        // kid, expected, what the row shows
        ("a", Ok(1), "its name"),
        ("A", Err("none"), "case"),
        ("a ", Err("none"), "a space"),
        ("a\0", Err("none"), "NUL"),
        ("", Err("none"), "nothing is a name too"),
        ("\u{e9}", Ok(1), "beyond ASCII"),
        ("e\u{301}", Err("none"), "the same letter, decomposed"),
        ("\u{430}", Err("none"), "a letter that looks like it"),
        ("../../dev/null", Err("none"), "a path"),
        ("x' UNION SELECT 'k'--", Err("none"), "a query"),
        ("`id`", Err("none"), "a command"),
        ("a\r\nSET k v", Err("none"), "a line break"),
        ("*)(uid=*", Err("none"), "a filter"),
        (&long, Err("unfit"), "longer than any kid"),
        (&long[1..], Err("none"), "the longest there is"),
    ];
    for (kid, expected, shows) in cases {
        assert_eq!(count(&ring, Some(kid), Algorithm::EdDsa), expected, "{shows}: {kid:?}");
    }
    assert_eq!(count(&ring, Some("a"), Algorithm::Rs256), Err("unfit"), "a key is not used with another family's algorithm");
    assert_eq!(count(&ring, None, Algorithm::Rs256), Err("none"), "nor is any other");
}

#[test]
fn two_keys_of_one_name_are_both_tried_and_never_more_than_four() {
    let keys: Vec<IssuerKey> = (0..6).map(|_| IssuerKey::new("twin")).collect();
    let all: Vec<&IssuerKey> = keys.iter().collect();
    let twins = ring(&all[..2]);
    let Candidates::Keys(found) = twins.candidates(Some("twin"), Algorithm::EdDsa) else { panic!("both") };
    assert!(keys[0].is_among(&found) && keys[1].is_among(&found), "neither the first nor the last wins");
    assert_eq!(count(&ring(&all), Some("twin"), Algorithm::EdDsa), Ok(CANDIDATES), "six of one name");
    assert_eq!(count(&ring(&all), None, Algorithm::EdDsa), Ok(CANDIDATES), "no name, six that fit");
    assert_eq!(count(&twins, None, Algorithm::EdDsa), Ok(2), "no name, two that fit");
}

#[test]
fn keys_without_a_name_serve_every_name_that_nobody_has() {
    let (named, nameless) = (IssuerKey::new("a"), IssuerKey::nameless());
    let ring = ring(&[&named, &nameless]);
    let found = |kid| match ring.candidates(kid, Algorithm::EdDsa) {
        Candidates::Keys(keys) => (named.is_among(&keys), nameless.is_among(&keys)),
        _ => (false, false),
    };
    assert_eq!(found(Some("a")), (true, false), "a name leads to its key alone");
    assert_eq!(found(Some("b")), (false, true), "another name only to the nameless");
    assert_eq!(found(None), (true, true), "no name to both");
}

#[test]
fn the_generation_stays_while_every_old_key_stays() {
    let (a, b, c) = (IssuerKey::new("a"), IssuerKey::new("b"), IssuerKey::new("c"));
    let renamed = parse_set(set_of(&[&a]).replace("\"kid\":\"a\"", "\"kid\":\"z\"").as_bytes(), Trust::Remote).unwrap().keys;
    let first = ring(&[&a, &b]);
    let generation = first.generation(None);
    let next = |ring: &KeyRing| ring.generation(Some((&first, generation)));
    assert_eq!(next(&ring(&[&a, &b])), generation, "the same set");
    assert_eq!(next(&ring(&[&b, &a])), generation, "in another order");
    assert_eq!(next(&ring(&[&a, &b, &c])), generation, "one more key voids no verdict");
    assert_ne!(next(&ring(&[&a])), generation, "a key withdrawn");
    assert_ne!(next(&ring(&[&a, &IssuerKey::new("b")])), generation, "a key replaced under its name");
    assert_ne!(next(&KeyRing::new(renamed)), generation, "a key renamed");

    let without = ring(&[&a]);
    let second = without.generation(Some((&first, generation)));
    let again = first.generation(Some((&without, second)));
    assert_eq!(again, second, "a key that comes back voids nothing");
    assert_ne!(again, generation, "and revives no verdict of before");
    assert_eq!(ring(&[&b, &a]).generation(None), generation, "equal sets start equal, in every process");
    assert!(KeyRing::new(Vec::new()).is_empty());
}

#[test]
fn a_secret_serves_only_the_algorithms_it_is_for() {
    let key = VerifyingKey::hmac(&Secret::new((0..32).collect()), Some(Algorithm::Hs256)).unwrap();
    let ring = KeyRing::new(vec![Arc::new(key)]);
    assert_eq!(count(&ring, Some("any"), Algorithm::Hs256), Ok(1));
    assert_eq!(count(&ring, None, Algorithm::Rs256), Err("none"), "a secret is no public key");
}

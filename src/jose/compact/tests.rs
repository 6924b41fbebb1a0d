//! Tokens taken apart: form, header, payload, and whose signature it is.
#![allow(clippy::type_complexity, reason = "rows of tables are written out")]

use std::sync::Arc;

use serde_json::json;

use super::{Compact, CompactFault, LastHeader, MAX_TOKEN, Opened, claimed_issuer, media_type, split};
use crate::domain::{Claim, Credential, Place, Value};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url::encode;
use crate::jose::mint::SigningKey;

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}.c2ln", encode(header.as_bytes()), encode(payload.as_bytes()))
}

#[test]
fn a_header_is_understood_whole_or_refused() {
    use CompactFault::{Header, Unsupported};
    let long = |length: usize| format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(length));
    let cases: Vec<(String, Result<Option<Algorithm>, CompactFault>, &str)> = vec![
        (r#"{"alg":"RS256"}"#.into(), Ok(Some(Algorithm::Rs256)), "the least header"),
        (r#" { "typ" : "JWT" , "alg" : "ES512" } "#.into(), Ok(Some(Algorithm::Es512)), "white space is JSON"),
        (r#"{"alg":"RS256","x":{"y":[1]}}"#.into(), Ok(Some(Algorithm::Rs256)), "members we do not know may be ignored"),
        (r#"{"alg":"none"}"#.into(), Ok(None), "none is no algorithm"),
        (r#"{"alg":"rs256"}"#.into(), Ok(None), "case matters"),
        (r#"{"alg":"\u0052S256"}"#.into(), Ok(Some(Algorithm::Rs256)), "an escaped letter is the letter"),
        ("{}".into(), Err(Header), "no alg"),
        (r#"{"alg":""}"#.into(), Err(Header), "alg empty"),
        (r#"{"alg":null}"#.into(), Err(Header), "alg null"),
        (r#"{"alg":["RS256"]}"#.into(), Err(Header), "alg a list"),
        (r#"{"alg":"RS256","alg":"RS256"}"#.into(), Err(Header), "alg twice"),
        (r#"{"alg":"RS256","typ":1}"#.into(), Err(Header), "typ not text"),
        (r#"{"alg":"RS256","cty":1}"#.into(), Err(Header), "cty not text"),
        (r#"{"alg":"RS256","kid":1}"#.into(), Err(Header), "kid not text"),
        (long(256), Ok(Some(Algorithm::Rs256)), "the longest kid"),
        (long(257), Err(Header), "one byte longer"),
        (r#"["RS256"]"#.into(), Err(Header), "not an object"),
        (r#"{"alg":"RS256","crit":[]}"#.into(), Err(Unsupported), "crit, even empty"),
        (r#"{"alg":"RS256","b64":true}"#.into(), Err(Unsupported), "b64, even with its default"),
        (r#"{"alg":"RS256","zip":"DEF"}"#.into(), Err(Unsupported), "zip"),
        (r#"{"alg":"RS256","enc":"A128GCM"}"#.into(), Err(Unsupported), "enc"),
        (r#"{"alg":"RS256","cty":"jwt"}"#.into(), Err(Unsupported), "a nested token"),
        (r#"{"alg":"RS256","cty":"json"}"#.into(), Ok(Some(Algorithm::Rs256)), "any other content"),
    ];
    for (header, expected, shows) in cases {
        let text = token(&header, "{}");
        let actual = Compact::parse(&text).map(|token| token.header().algorithm);
        assert_eq!(actual, expected, "{shows}: {header}");
    }
}

#[test]
fn three_parts_of_bounded_length_and_no_others() {
    let most = format!("{}.a.b", "a".repeat(MAX_TOKEN - 4));
    let more = format!("{}.a.b", "a".repeat(MAX_TOKEN - 3));
    let cases = [
        ("a.b.c", Ok(["a", "b", "c"]), "three"),
        ("", Err(CompactFault::Parts), "nothing"),
        ("a", Err(CompactFault::Parts), "one"),
        ("a.b", Err(CompactFault::Parts), "two"),
        ("a.b.c.d", Err(CompactFault::Parts), "four"),
        ("a.b.c.", Err(CompactFault::Parts), "an empty fourth"),
        (".b.c", Err(CompactFault::Parts), "an empty header"),
        ("a..c", Err(CompactFault::Parts), "an empty payload"),
        ("a.b.", Err(CompactFault::Parts), "an empty signature"),
        ("...", Err(CompactFault::Parts), "dots"),
        (&more, Err(CompactFault::TooLong), "one byte too long"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(split(text), expected, "{shows}");
    }
    assert!(split(&most).is_ok(), "the longest token");
}

#[test]
fn a_payload_is_one_claim_set() {
    let cases: [(&str, Option<CompactFault>, Result<Option<&str>, CompactFault>, &str); 12] = [
        ("{}", None, Ok(None), "nothing claimed"),
        (r#"{"iss":"a"}"#, None, Ok(Some("a")), "an issuer"),
        (r#"{"a":[{"iss":"b"}],"iss":"a"}"#, None, Ok(Some("a")), "another iss further in is not the issuer"),
        (r#"{"iss":"https:\/\/a"}"#, None, Ok(Some("https://a")), "escaped slashes, as some libraries write them"),
        (r#"{"iss":null}"#, None, Err(CompactFault::Payload), "null is not absent"),
        (r#"{"iss":1}"#, None, Err(CompactFault::Payload), "not text"),
        (r#"{"iss":"a","iss":"b"}"#, Some(CompactFault::Payload), Err(CompactFault::Payload), "twice"),
        (r#"{"iss":"a","\u0069ss":"b"}"#, Some(CompactFault::Payload), Err(CompactFault::Payload), "twice, escaped"),
        (r#"{"iss":"a"} x"#, Some(CompactFault::Payload), Err(CompactFault::Payload), "junk behind"),
        (r#"["a"]"#, Some(CompactFault::Payload), Err(CompactFault::Payload), "a list"),
        ("null", Some(CompactFault::Payload), Err(CompactFault::Payload), "null"),
        ("", Some(CompactFault::Parts), Err(CompactFault::Parts), "empty"),
    ];
    for (payload, fault, issuer, shows) in cases {
        let text = token(r#"{"alg":"RS256"}"#, payload);
        assert_eq!(Compact::parse(&text).err(), fault, "{shows}: {payload}");
        assert_eq!(Opened::read(&text).err(), fault, "{shows}, opened: {payload}");
        assert_eq!(claimed_issuer(&text), issuer.map(|issuer| issuer.map(str::to_owned)), "{shows}, read alone: {payload}");
    }
    let odd = "e30.e30=.c2ln";
    assert_eq!(claimed_issuer(odd), Err(CompactFault::Encoding), "padding");
}

#[test]
fn only_the_maker_of_a_signature_proves_claims() {
    let ours = SigningKey::generate(Algorithm::Es256).unwrap();
    let other = SigningKey::generate(Algorithm::Es256).unwrap();
    let edwards = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let text = ours.sign_compact(&[], &json!({ "sub": "ada" })).unwrap();
    let key = |key: &SigningKey| Arc::new(key.verifying_key().unwrap());
    let cases = [
        (Algorithm::Es256, vec![key(&ours)], true, "the maker"),
        (Algorithm::Es256, vec![key(&other), key(&edwards), key(&ours)], true, "the maker among others"),
        (Algorithm::Es256, vec![key(&other)], false, "another key of its kind"),
        (Algorithm::Es256, vec![key(&edwards)], false, "a key of another kind"),
        (Algorithm::Es384, vec![key(&ours)], false, "an algorithm that is not the key's"),
        (Algorithm::Es256, vec![], false, "nobody"),
    ];
    for (algorithm, keys, proven, shows) in cases {
        let claims = Compact::parse(&text).unwrap().prove(algorithm, &keys);
        assert_eq!(
            claims.map(|claims| claims.get().member("sub").map(Claim::to_value)),
            proven.then(|| Some(Value::from("ada"))),
            "{shows}"
        );
    }
}

#[test]
fn a_token_that_was_opened_with_its_credential_is_that_token_and_no_other() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = [Arc::new(key.verifying_key().unwrap())];
    let text = key.sign_compact(&[], &json!({ "sub": "ada" })).unwrap();
    let forged = [text.rsplit_once('.').unwrap().0, "c2ln"].join(".");
    let credential = |text: &str| Credential::single(text.to_owned().into(), Place::Body);
    let read = |text: &str| Opened::read(text).unwrap().into_owned();
    let rows = [
        (credential(&text), true, "not read yet"),
        (credential(&text).read_as(read(&text)), true, "read"),
        (credential(&forged).read_as(read(&forged)), false, "read, and not proven by that"),
        (credential(&text).read_as("something else"), true, "read as what another scheme makes of it"),
        // No verifier does this.
        (credential(&text).read_as(read(&forged)), true, "read as another: the text counts"),
        (credential(&forged).read_as(read(&text)), false, "forged, and read as a good one: the text counts"),
    ];
    for (credential, proven, shows) in rows {
        let opened = Opened::of(&credential).unwrap();
        let claims = opened.compact(&LastHeader::default()).unwrap().prove(Algorithm::Es256, &keys);
        assert_eq!(claims.is_some(), proven, "{shows}");
    }
}

#[test]
fn a_header_is_remembered_by_every_letter_of_it() {
    let last = LastHeader::default();
    let kid = |text: &str| Opened::read(text).unwrap().compact(&last).map(|token| Arc::clone(token.header()));
    let [first, second] = ["a", "b"].map(|kid| token(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#), "{}"));
    let bad = token(r#"{"alg":"RS256","kid":1}"#, "{}");

    let read = kid(&first).unwrap();
    assert!(!Arc::ptr_eq(&read, &kid(&first).unwrap()), "not remembered before it is kept");
    last.keep(&read);
    assert!(Arc::ptr_eq(&read, &kid(&first).unwrap()), "then it is");
    assert_eq!(kid(&second).unwrap().kid.as_deref(), Some("b"), "another is read");
    assert_eq!(kid(&bad).err(), Some(CompactFault::Header), "and judged");
    assert!(Arc::ptr_eq(&read, &kid(&first).unwrap()), "what is only read pushes nothing out");
    last.keep(&kid(&second).unwrap());
    assert_eq!(kid(&first).unwrap().kid.as_deref(), Some("a"), "what was pushed out is read again");
    // The same header in other letters: with a space.
    let spaced = token(r#"{"alg":"RS256", "kid":"b"}"#, "{}");
    assert_eq!(kid(&spaced).unwrap().kid.as_deref(), Some("b"));

    let long = format!("{}.{}", first.rsplit_once('.').unwrap().0, "A".repeat(1_369));
    assert_eq!(kid(&long).err(), Some(CompactFault::Encoding), "a signature longer than any");
}

#[test]
fn a_media_type_may_leave_its_usual_half_out() {
    let cases = [
        ("JWT", "JWT", "short"),
        ("application/at+jwt", "at+jwt", "long"),
        ("Application/JWT", "JWT", "in any case"),
        ("application/a/b", "application/a/b", "only where no other slash follows"),
        ("text/plain", "text/plain", "another type"),
        ("", "", "nothing"),
    ];
    for (written, expected, shows) in cases {
        assert_eq!(media_type(written), expected, "{shows}");
    }
}

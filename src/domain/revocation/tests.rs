//! Both sides of everything that a revocation is compared with.

use std::sync::Arc;

use super::{By, Digits, Revocation, RevocationId};
use crate::domain::identity::Identity;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

fn identity(scheme: &'static str, subject: &str, issuer: &str, claims: &[(&str, Value)]) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: issuer.into(),
        scopes: Box::default(),
        claims: Value::Map(claims.iter().map(|(name, value)| (Box::from(*name), value.clone())).collect()).into(),
        expires: None,
        not_before: None,
        scheme,
        authenticator: "a".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn revocation(by: By, value: &str) -> Revocation {
    Revocation { by, value: value.into(), issuer: None, issued_before: None, until: Timestamp(200), reason: Box::default() }
}

#[test]
fn a_revocation_covers_what_it_names_and_nothing_else() {
    let user = identity(
        "jwt",
        "anna",
        "https://id.example",
        &[("jti", "t-1".into()), ("sid", "s-1".into()), ("fam", "f-1".into()), ("iat", Value::Int(100))],
    );
    let rows = [
        // by, value, covered, what the row shows
        (By::Subject, "anna", true, "its subject"),
        (By::Subject, "Anna", false, "a subject has a case"),
        (By::Subject, "ann", false, "a part of one is another"),
        (By::Token, "t-1", true, "its token id"),
        (By::Token, "s-1", false, "what stands elsewhere is not a token id"),
        (By::Session, "s-1", true, "its session"),
        (By::Family, "f-1", true, "its family"),
        (By::Key, "anna", false, "a token's subject is no key"),
    ];
    for (by, value, covered, shows) in rows {
        assert_eq!(revocation(by, value).covers(&user, Timestamp(100)), covered, "{shows}");
    }
    for scheme in super::KEYED_SCHEMES {
        let partner = identity(scheme, "acme", "partners", &[]);
        assert!(revocation(By::Key, "acme").covers(&partner, Timestamp(100)), "{scheme}: its subject is the id of a key");
        assert!(revocation(By::Subject, "acme").covers(&partner, Timestamp(100)), "{scheme}: and a subject like any other");
        assert!(!revocation(By::Token, "acme").covers(&partner, Timestamp(100)), "{scheme}: and no token id");
    }
}

#[test]
fn a_number_is_compared_by_its_digits() {
    let rows = [
        (Value::Int(42), "42", true, "a whole number"),
        (Value::Int(i64::MIN), "-9223372036854775808", true, "the longest there is"),
        (Value::Float(42.0), "42", true, "however it is written"),
        (Value::Float(42.5), "42.5", false, "no id is a fraction"),
        (Value::Int(42), "042", false, "digits are compared as text"),
        (Value::List(Box::new(["42".into()])), "42", false, "a list is no id"),
        (Value::Null, "null", false, "nothing is no id"),
    ];
    for (claim, value, covered, shows) in rows {
        let user = identity("jwt", "anna", "i", &[("jti", claim)]);
        assert_eq!(revocation(By::Token, value).covers(&user, Timestamp(0)), covered, "{shows}");
    }
    assert_eq!(By::Token.of(&identity("jwt", "a", "i", &[]), &mut Digits::default()), None, "no claim, no id");
}

#[test]
fn an_issuer_narrows() {
    let user = identity("jwt", "anna", "https://id.example", &[]);
    let rows = [(None, true), (Some("https://id.example"), true), (Some("https://id.example/"), false), (Some("other"), false)];
    for (issuer, covered) in rows {
        let revocation = Revocation { issuer: issuer.map(Into::into), ..revocation(By::Subject, "anna") };
        assert_eq!(revocation.covers(&user, Timestamp(0)), covered, "{issuer:?}");
    }
}

#[test]
fn only_what_was_issued_earlier_is_covered_where_it_says_so() {
    let rows = [
        // iat, covered, what the row shows
        (Some(Value::Int(99)), true, "a second earlier"),
        (Some(Value::Int(100)), false, "at the bound itself: a new login"),
        (Some(Value::Int(i64::MIN)), true, "as early as can be"),
        (Some(Value::Int(i64::MAX)), false, "as late as can be"),
        (Some(Value::Float(99.9)), true, "a fraction earlier"),
        (Some(Value::Float(100.0)), false, "at the bound, written as a fraction"),
        (Some(Value::Float(f64::NAN)), false, "no JSON says so"),
        (Some("99".into()), true, "a text is no time: who knows"),
        (Some(Value::Null), true, "nor is nothing"),
        (None, true, "it does not say: who knows"),
    ];
    let revocation = Revocation { issued_before: Some(Timestamp(100)), ..revocation(By::Subject, "anna") };
    for (issued, covered, shows) in rows {
        let claims: Vec<(&str, Value)> = issued.into_iter().map(|issued| ("iat", issued)).collect();
        assert_eq!(revocation.covers(&identity("jwt", "anna", "i", &claims), Timestamp(0)), covered, "{shows}");
    }
}

#[test]
fn its_end_is_too_late() {
    let user = identity("jwt", "anna", "i", &[]);
    for (now, covered) in [(i64::MIN, true), (199, true), (200, false), (201, false)] {
        assert_eq!(revocation(By::Subject, "anna").covers(&user, Timestamp(now)), covered, "{now}");
    }
}

#[test]
fn whoever_stands_beside_the_caller_counts_too() {
    let innermost = Arc::new(identity("server_key", "acme", "partners", &[]));
    let mut middle = identity("jwt", "berta", "i", &[]);
    middle.also.push(("partner".into(), innermost));
    let mut caller = identity("jwt", "anna", "i", &[]);
    caller.also.push(("user".into(), Arc::new(middle)));
    for (by, value, covered) in
        [(By::Subject, "berta", true), (By::Key, "acme", true), (By::Key, "berta", false), (By::Subject, "c", false)]
    {
        assert_eq!(revocation(by, value).covers(&caller, Timestamp(0)), covered, "{by:?} {value}");
    }
}

#[test]
fn texts_have_bounds() {
    let long = |length: usize| "x".repeat(length);
    let rows: [(String, Option<String>, String, bool, &str); 10] = [
        (long(1), None, String::new(), true, "the least"),
        (long(1024), Some(long(1024)), long(256), true, "the most"),
        (String::new(), None, String::new(), false, "nothing would be everybody's"),
        (long(1025), None, String::new(), false, "a value too long"),
        ("a\nb".into(), None, String::new(), false, "a value that no identity has"),
        (long(1), Some(String::new()), String::new(), false, "an empty issuer"),
        (long(1), Some(long(1025)), String::new(), false, "an issuer too long"),
        (long(1), None, long(257), false, "a reason too long"),
        (long(1), None, "a\u{1b}[31m".into(), false, "a reason that commands a terminal"),
        ("été".into(), None, "grève".into(), true, "any script will do"),
    ];
    for (value, issuer, reason, fits, shows) in rows {
        let written = Revocation { issuer: issuer.map(Into::into), reason: reason.into(), ..revocation(By::Subject, &value) };
        assert_eq!(written.within_bounds().is_ok(), fits, "{shows}");
    }
}

#[test]
fn an_id_is_read_as_it_is_written() {
    let id = RevocationId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
    assert_eq!(id.to_string(), "000102030405060708090a0b0c0dfeff");
    assert_eq!(RevocationId::read(&id.to_string()), Some(id));
    let rows = ["", "00", "000102030405060708090A0B0C0D0E0F", "000102030405060708090a0b0c0d0e0g", "000102030405060708090a0b0c0d0e0f0"];
    for text in rows {
        assert_eq!(RevocationId::read(text), None, "{text:?}");
    }
}

//! Signed ends of logins: the vectors, every form, and what must not pass for one.

use crate::domain::Timestamp;
use crate::jose::hmac_sha1::{Sha1Key, Strictness, decode_secret};
use crate::jose::login_expiry::{LoginExpiry, is_api_key, is_login_token, is_user_key, login_name, login_token, sign, unescaped};

const EXP: Timestamp = Timestamp(1_700_000_000);

fn key() -> Sha1Key {
    Sha1Key::new(&decode_secret(b"kln45j654l3kn5jb", Strictness::Canonical).unwrap()).unwrap()
}

/// Derived with the algorithm of the vendor's libraries.
#[test]
fn both_signed_forms_come_out_and_are_read_back() {
    let cases = [(None, "1700000000_VtbRfJoRL0tqwQxOSXZgBP4A/JA="), (Some("AUserKey"), "1700000000_AUserKey_9+CyLEDsI77IsH/7IVQhlwDsWBo=")];
    for (user_key, expected) in cases {
        assert_eq!(sign(&key(), "LOGINTOKEN", EXP, user_key).as_deref(), Some(expected));
        let read = LoginExpiry::read(expected).unwrap();
        assert_eq!((read.expires, read.user_key), (EXP, user_key));
        assert!(read.is_of("LOGINTOKEN", &[key()]), "{expected}");
        assert!(!read.is_of("LOGINTOKEM", &[key()]), "another login");
        assert!(!read.is_of("LOGINTOKEN", &[]), "nobody's key");
    }
    let shifted = LoginExpiry::read("1700000001_VtbRfJoRL0tqwQxOSXZgBP4A/JA=").unwrap();
    assert!(!shifted.is_of("LOGINTOKEN", &[key()]), "a second more is another text");
    let moved = LoginExpiry::read("1700000000_BUserKey_9+CyLEDsI77IsH/7IVQhlwDsWBo=").unwrap();
    assert!(!moved.is_of("LOGINTOKEN", &[key()]), "the user key is signed too");
    let bare = LoginExpiry::read("1700000000_9+CyLEDsI77IsH/7IVQhlwDsWBo=").unwrap();
    assert!(!bare.is_of("LOGINTOKEN", &[key()]), "one form is not the other");
    assert!(!bare.is_of("LOGINTOKEN_1700000000", &[key()]), "nor when its parts are moved");
}

#[test]
fn the_signature_of_a_user_or_a_friendship_keeps_no_login_alive() {
    // `{time}_{UID}` for the user 1700000000, and `{time}_{friend}_{UID}`, under the very same key.
    for token in ["1699999999", "1699999999_friend", "0", "1_a_b"] {
        let tag = key().sign_text(&[token, "_", "1700000000"]);
        let value = format!("1700000000_{tag}");
        let read = LoginExpiry::read(&value).unwrap();
        assert!(!read.is_of(token, &[key()]), "`{token}` is a time and no login token");
        assert_eq!(sign(&key(), token, EXP, None), None, "and none is signed, or `{token}` would be the time of a user's proof");
        assert_eq!(login_token(token), None, "{token}");
    }
    assert!(is_login_token("1699999999.friend") && is_login_token("1a"), "digits in front of anything else are fine");
    assert!(!is_user_key("1700000000"), "a user key of digits would read as an end");
}

#[test]
fn a_value_of_no_form_is_not_read() {
    let tag = "VtbRfJoRL0tqwQxOSXZgBP4A/JA=";
    let cases = [
        ("1700000000".to_owned(), "no signature"),
        (format!("_{tag}"), "no end"),
        (format!("-1_{tag}"), "a sign"),
        (format!("01700000000_{tag}"), "a leading zero"),
        (format!("1.7e9_{tag}"), "not digits"),
        (format!("99999999999999999999_{tag}"), "an end past all ends"),
        (format!("1700000000__{tag}"), "an empty user key"),
        (format!("1700000000_12_{tag}"), "a user key of digits"),
        (format!("1700000000_{}", tag.replace('/', "_")), "the URL alphabet"),
        (format!("1700000000_{}", tag.trim_end_matches('=')), "no padding"),
        (format!("1700000000_{tag} "), "something after it"),
    ];
    for (value, shows) in cases {
        assert!(LoginExpiry::read(&value).is_none(), "{shows}: {value}");
    }
}

#[test]
fn a_login_token_ends_at_the_bar_however_it_is_written() {
    let cases = [
        ("st2.s.AbC-1|UUID=7", Some("st2.s.AbC-1")),
        ("LT3_x%7CUUID=7", Some("LT3_x")),
        ("LT3_x%7cUUID%3D7", Some("LT3_x")),
        ("LT3_x", Some("LT3_x")),
        ("|LT3_x", None),
        ("", None),
        ("LT3%5Fx", None),
        ("a b", None),
        ("a;b", None),
    ];
    for (cookie, expected) in cases {
        assert_eq!(login_token(cookie), expected, "{cookie:?}");
    }
    assert!(is_login_token(&"a".repeat(4_096)) && !is_login_token(&"a".repeat(4_097)), "the longest, and one more");
}

#[test]
fn an_end_is_read_escaped_once_and_not_twice() {
    assert_eq!(unescaped("1_a%2Bb%3D").as_deref(), Some("1_a+b="));
    assert_eq!(unescaped("1_a+b=").as_deref(), Some("1_a+b="));
    for wrong in ["1_%", "1_%2", "1_%zz", "1_%252B", "1_%20", "1_%C3%A9"] {
        assert_eq!(unescaped(wrong), None, "{wrong}");
    }
}

#[test]
fn logins_have_names_that_show_nothing_of_them() {
    assert_eq!(login_name("3_a", "LT3_x"), login_name("3_a", "LT3_x"));
    assert_ne!(login_name("3_a", "LT3_x"), login_name("3_b", "LT3_x"), "the same token at another site is another login");
    assert!(is_api_key("3_abc-DEF") && !is_api_key("") && !is_api_key("a=b") && !is_api_key("a b"));
}

//! The signed texts of Janrain Capture, by their vectors; the date in its one spelling.

use crate::domain::{Secret, Timestamp};
use crate::jose::hmac_sha1::Sha1Key;
use crate::jose::janrain::{borrowed, read_date, refresh_text, texts, unambiguous, written_date};

const DATE: &str = "2000-01-01 01:01:01";

fn signatures(secret: &str, path: &str, date: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let key = Sha1Key::new(&Secret::new(secret.as_bytes().to_vec())).unwrap();
    texts(path, date, &borrowed(pairs)).iter().map(|text| key.sign_text(&[text])).collect()
}

#[test]
fn the_vectors_come_out() {
    let first = [("param1", "this is a string"), ("param2", "10"), ("param3", "one=1\ntwo=2,three=3")];
    let collides = [("param1", "this is a string"), ("param2", "10"), ("param3", "one=1"), ("two", "2,three=3")];
    let secret = "rylicq8ydkz0vmki3gqaoxbk4gyrr05t";
    let filter = ("filter", "lastUpdated >= '2016-01-01'");
    let rows: [(&str, &str, &str, &[(&str, &str)], &[&str], &str); 8] = [
        ("bar", "/entity", DATE, &first, &["G3N5RxCVc0d6rDLmBRGvcg2hCVY="], "V-JR-1, of the vendor's own test"),
        ("bar", "/entity", DATE, &collides, &["G3N5RxCVc0d6rDLmBRGvcg2hCVY="], "V-JR-2, other parameters under the same signature"),
        (secret, "/entity.find", "2016-02-26 19:08:44", &[("entity_type", "user"), filter], &["+Bf5W9YKRhi5AoVTbxvhzuJXDUQ="], "V-JR-3"),
        (
            secret,
            "/entity.find",
            "2016-02-26 19:08:44",
            &[filter, ("type_name", "user")],
            &["hKLLuIcKFYMZVzs6ovJ06GmSvUg="],
            "V-JR-3, type_name",
        ),
        ("bar", "/settings/items", DATE, &[], &["WSOAQljO1DtzSM5+8WOwvrPOEZE=", "gZadbVVlocyg5R2jkXXnstsF8C8="], "V-JR-4, no parameters"),
        (
            "bar",
            "/settings/items",
            DATE,
            &[("access_token", "a"), ("client_id", "b"), ("client_secret", "c")],
            &["WSOAQljO1DtzSM5+8WOwvrPOEZE=", "gZadbVVlocyg5R2jkXXnstsF8C8="],
            "V-JR-4, with what is never signed",
        ),
        (
            "bar",
            "/x",
            DATE,
            &[("a", "1"), ("a-b", "2")],
            &["soSAAi2ktQrLurOPcam0wZJupPw=", "exmQHgwaPSvqZvHAg6WvMO75Uis="],
            "V-JR-5, both orders",
        ),
        (
            "bar",
            "/x",
            DATE,
            &[("a-b", "2"), ("a", "1")],
            &["soSAAi2ktQrLurOPcam0wZJupPw=", "exmQHgwaPSvqZvHAg6WvMO75Uis="],
            "V-JR-5, sent in the other order",
        ),
    ];
    for (secret, path, date, pairs, expected, shows) in rows {
        assert_eq!(signatures(secret, path, date, pairs), expected, "{shows}");
    }
    let refresh = Sha1Key::new(&Secret::new(b"0123456789abcdef0123456789abcdef01234567".to_vec())).unwrap();
    assert_eq!(refresh.sign_text(&[&refresh_text(DATE, "z0y98xv76u5t4rs3")]), "E8QabawW/StAk3GZiy6WgD0yBmo=", "V-JR-6, the mobile refresh");
}

#[test]
fn parameters_with_which_two_lists_have_one_text_are_found() {
    let rows: [(&[(&str, &str)], bool, &str); 9] = [
        (&[], true, "none at all"),
        (&[("a", "1"), ("b", "")], true, "an empty value"),
        (&[("filter", "a='ä' and b>=1")], true, "marks and letters beyond ASCII in a value"),
        (&[("param3", "one=1\ntwo=2")], false, "a line break in a value: V-JR-1 and V-JR-2 are one text"),
        (&[("a", "1\r")], false, "a carriage return"),
        (&[("a\nb", "1")], false, "a line break in a name"),
        (&[("a=b", "c")], false, "an equals sign in a name: as `a` with the value `b=c`"),
        (&[("", "1")], false, "no name"),
        (&[("a", "1"), ("a", "2")], false, "a name twice"),
    ];
    for (pairs, expected, shows) in rows {
        assert_eq!(unambiguous(&borrowed(pairs)), expected, "{shows}");
    }
}

#[test]
fn a_date_has_one_spelling() {
    let rows = [
        (DATE, Some(946_688_461), "the vectors' own"),
        ("2016-02-26 19:08:44", Some(1_456_513_724), "the vendor's sample"),
        ("2016-02-29 00:00:00", Some(1_456_704_000), "a leap day"),
        ("2015-02-29 00:00:00", None, "a day that was not"),
        ("2016-02-26 24:00:00", None, "an hour too many"),
        ("2016-02-26 23:59:60", None, "a leap second"),
        ("2016-02-26T19:08:44", None, "ISO 8601"),
        ("2016-02-26 19:08:44Z", None, "with a zone"),
        (" 2016-02-26 19:08:4", None, "a space in front"),
        ("2016-2-26 19:08:44 ", None, "a month of one digit"),
        ("+016-02-26 19:08:44", None, "a sign"),
        ("Fri, 26 Feb 2016 19:08:44 GMT", None, "a date of HTTP"),
        ("", None, "nothing"),
        ("２016-02-26 19:08", None, "digits beyond ASCII"),
    ];
    for (text, expected, shows) in rows {
        assert_eq!(read_date(text), expected.map(Timestamp), "{shows}: {text}");
        if let Some(moment) = expected {
            assert_eq!(written_date(Timestamp(moment)).as_deref(), Some(text), "{shows}: and back");
        }
    }
    assert_eq!(written_date(Timestamp::END), None, "no date at the end of time");
}

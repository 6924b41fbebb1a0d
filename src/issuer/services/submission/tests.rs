//! What may be handed in, and what it reads as.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{MOST_FIELDS, Submission, Unread};
use crate::domain::{RequestView, Target, Timestamp};
use crate::issuer::contract::Call;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn read(types: &[&str], body: &[u8]) -> Result<Submission, Unread> {
    let target = Target { path: "/".into(), query: None };
    let headers: HeaderMap = types.iter().map(|written| (http::header::CONTENT_TYPE, HeaderValue::from_str(written).unwrap())).collect();
    let request = RequestView {
        method: "POST",
        raw_target: "/",
        target: &target,
        host: "",
        headers: &headers,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "",
    };
    Submission::read(&Call { request: &request, identity: None, body: Bytes::copy_from_slice(body), now: Timestamp(0) })
}

#[test]
fn a_body_has_one_reading_or_is_refused() {
    let fields = |count: usize, join: &str, one: fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(join);
    let json = |count| format!("{{{}}}", fields(count, ",", |number| format!("\"a{number}\":1")));
    let form = |count| fields(count, "&", |number| format!("a{number}=1"));
    let rows: Vec<(&[&str], String, u16, &str)> = vec![
        (&[], String::new(), 0, "nothing, of no type"),
        (&["text/html"], String::new(), 0, "nothing, of any type"),
        (&[JSON], "{}".into(), 0, "an empty object"),
        (&["Application/JSON; charset=utf-8"], "{\"a\":1}".into(), 0, "case and parameters of the type do not matter"),
        (&[], "{}".into(), 415, "no type"),
        (&["text/plain"], "{}".into(), 415, "another type"),
        (&["application/json-seq"], "{}".into(), 415, "a longer name is another type"),
        (&[JSON, JSON], "{}".into(), 415, "two types"),
        (&[JSON], "[]".into(), 400, "a list"),
        (&[JSON], "\"\"".into(), 400, "a text"),
        (&[JSON], "{\"a\":1,\"a\":1}".into(), 400, "a name twice"),
        (&[JSON], "{\"a\":{\"b\":1,\"b\":2}}".into(), 400, "below, too"),
        (&[JSON], "{\"a.b\":1}".into(), 400, "a name that reads as a path"),
        (&[JSON], "{\"a\":{\"b.c\":1}}".into(), 400, "below, too"),
        (&[JSON], "{\"a\":{\"b\":[1]}}".into(), 0, "three levels"),
        (&[JSON], "{\"a\":{\"b\":[[1]]}}".into(), 400, "four"),
        (&[JSON], "{} {}".into(), 400, "something behind it"),
        (&[JSON], json(MOST_FIELDS), 0, "as many members as are read"),
        (&[JSON], json(MOST_FIELDS + 1), 400, "one more"),
        (&[FORM], "a=1&b.c=2".into(), 0, "a form"),
        (&[FORM], form(MOST_FIELDS), 0, "as many fields as are read"),
        (&[FORM], form(MOST_FIELDS + 1), 400, "one more"),
        (&[FORM], "a=1&a=1".into(), 400, "a field twice"),
        (&[FORM], "a=1&%61=1".into(), 400, "in another spelling, too"),
        (&[FORM], "a=".into(), 400, "no value"),
        (&[FORM], "a".into(), 400, "not even a sign"),
        (&[FORM], "=1".into(), 400, "no name"),
        (&[FORM], "a=1&".into(), 400, "nothing behind the sign"),
        (&[FORM], "a=%zz".into(), 400, "a broken escape"),
        (&[FORM], "a=%ff".into(), 400, "no text"),
    ];
    for (types, body, status, shows) in rows {
        let actual = read(types, body.as_bytes()).map_or_else(|unread| unread.status, |_| 0);
        assert_eq!(actual, status, "{shows}: {body}");
    }
    assert_eq!(read(&[JSON], b"{\"a\":\"\xff\"}").map_err(|unread| unread.status), Err(400), "bytes that are no text");
    assert_eq!(read(&[FORM], b"a=\xff").map_err(|unread| unread.status), Err(400), "nor in a form");
}

#[test]
fn a_value_is_of_its_kind_or_wrong() {
    let json =
        read(&[JSON], br#"{"t":"x","e":"","n":5,"f":1.5,"y":true,"l":["a","b"],"m":["a",""],"o":{"t":"y"},"z":null,"s":"5","w":"a b"}"#)
            .unwrap();
    let form = read(&[FORM], b"t=x&n=5&big=99999999999999999999&neg=-5&y=true&no=no&l=a+b&m=a++b&o.t=y").unwrap();
    let ok = |value: Result<bool, Unread>| value.unwrap_or(false);
    let text = |from: &Submission, path, wanted| ok(from.text(path).map(|value| value == wanted));
    let number = |from: &Submission, path, wanted| ok(from.number(path).map(|value| value == wanted));
    let flag = |from: &Submission, path, wanted| ok(from.flag(path).map(|value| value == wanted));
    let words = |from: &Submission, path, wanted: Option<Vec<&str>>| ok(from.words(path).map(|value| value == wanted));
    let rows = [
        (text(&json, "t", Some("x")), "a text"),
        (text(&json, "o.t", Some("y")), "one below"),
        (text(&form, "o.t", Some("y")), "one below in a form"),
        (text(&json, "absent", None), "what is not there"),
        (json.text("e").is_err(), "an empty text"),
        (json.text("n").is_err(), "a number is no text"),
        (json.text("z").is_err(), "null is not left out"),
        (number(&json, "n", Some(5)), "a number"),
        (number(&form, "n", Some(5)), "in a form"),
        (number(&json, "absent", None), "none"),
        (json.number("s").is_err(), "a text of digits is no number in JSON"),
        (json.number("f").is_err(), "a fraction"),
        (form.number("big").is_err(), "beyond any"),
        (form.number("neg").is_err(), "below nothing"),
        (flag(&json, "y", Some(true)), "a flag"),
        (flag(&form, "y", Some(true)), "in a form"),
        (form.flag("no").is_err(), "another word"),
        (json.flag("t").is_err(), "a text is no flag"),
        (words(&json, "l", Some(vec!["a", "b"])), "words"),
        (words(&form, "l", Some(vec!["a", "b"])), "in a form"),
        (json.words("m").is_err(), "an empty word"),
        (form.words("m").is_err(), "in a form, too"),
        (json.words("w").is_err(), "a text is no list in JSON"),
        (json.only(&["t", "e", "n", "f", "y", "l", "m", "o.t", "z", "s", "w"]).is_ok(), "all of it known"),
        (json.only(&["t", "e", "n", "f", "y", "l", "m", "o", "z", "s", "w"]).is_err(), "an object is not what stands in it"),
    ];
    for (holds, shows) in rows {
        assert!(holds, "{shows}");
    }
}

#[test]
fn what_is_wrong_is_told_without_what_was_sent() {
    let marker = "s3cret-marker";
    for body in [format!("{{\"{marker}\":1}}"), format!("{{\"a\":\"{marker}\"}}"), format!("{{\"a\":{{\"{marker}\":\"{marker}\"}}}}")] {
        let read = read(&[JSON], body.as_bytes()).unwrap();
        let told: Vec<Unread> =
            [read.only(&["b"]).err(), read.number("a").err(), read.flag("a").err(), read.words("a").err()].into_iter().flatten().collect();
        assert!(!told.is_empty() && told.iter().all(|unread| !unread.says.contains(marker)), "{body}: {told:?}");
    }
}

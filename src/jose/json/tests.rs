//! One text, one reading: what JSON we take and what we refuse.
#![allow(clippy::type_complexity, reason = "rows of tables are written out")]

use super::{JsonFault, MAX_DEPTH, parse, parse_to_depth};
use crate::domain::Value;

#[test]
fn a_json_text_has_exactly_one_reading_or_none() {
    use JsonFault::{Duplicate, Malformed, TooDeep};
    let map = |name: &str, value| Value::Map([(name.into(), value)].into());
    let cases: Vec<(&[u8], Result<Value, JsonFault>, &str)> = vec![
        (b"null", Ok(Value::Null), "null"),
        (b" true\n", Ok(Value::Bool(true)), "white space around a value is JSON"),
        (b"-9223372036854775808", Ok(Value::Int(i64::MIN)), "the least whole number"),
        (b"9223372036854775807", Ok(Value::Int(i64::MAX)), "the greatest whole number"),
        (b"9223372036854775808", Ok(Value::Float(9_223_372_036_854_775_808.0)), "one more is no longer a whole number of ours"),
        (b"18446744073709551616", Ok(Value::Float(18_446_744_073_709_551_616.0)), "2^64"),
        (b"1.5e3", Ok(Value::Float(1500.0)), "a fraction with exponent"),
        (b"1e400", Err(Malformed), "beyond any float"),
        (b"-1e400", Err(Malformed), "beyond any float, negative"),
        (b"NaN", Err(Malformed), "not a number is not a number"),
        (b"Infinity", Err(Malformed), "infinity is not a number"),
        (b"01", Err(Malformed), "a leading zero"),
        (b"+1", Err(Malformed), "a leading plus"),
        (b"0x10", Err(Malformed), "hexadecimal"),
        (br#"{"a":1}"#, Ok(map("a", Value::Int(1))), "an object"),
        (br#"{"a":1,"a":1}"#, Err(Duplicate), "the same name twice, even with equal values"),
        (br#"{"sub":"u","s\u0075b":"admin"}"#, Err(Duplicate), "the same name twice, after unescaping"),
        (br#"{"x":{"a":1,"a":2}}"#, Err(Duplicate), "the same name twice, further in"),
        (br#"[{"a":1},{"a":2}]"#, Ok(Value::List([map("a", Value::Int(1)), map("a", Value::Int(2))].into())), "twice in two objects"),
        (br#"{"a":1}{"a":2}"#, Err(Malformed), "a second value behind the first"),
        (br#"{"a":1} x"#, Err(Malformed), "junk behind the value"),
        (b"", Err(Malformed), "nothing"),
        (b"\xef\xbb\xbf{}", Err(Malformed), "a byte order mark"),
        (b"\"\xff\"", Err(Malformed), "not UTF-8"),
        (b"\"\xc0\xaf\"", Err(Malformed), "an overlong encoding"),
        (b"\"\xed\xa0\x80\"", Err(Malformed), "a surrogate, encoded"),
        (br#""\ud800""#, Err(Malformed), "a lone surrogate, escaped"),
        (br#""\ud83d\ude00""#, Ok(Value::from("😀")), "a pair of surrogates"),
        (b"\"a\nb\"", Err(Malformed), "a raw control character"),
        (br#"{"a":1,}"#, Err(Malformed), "a trailing comma"),
        (br"{'a':1}", Err(Malformed), "single quotes"),
        (br#"{"a":1/*x*/}"#, Err(Malformed), "a comment"),
        (b"[[[[[[[[0]]]]]]]]", Ok(nested(8)), "as deep as allowed"),
        (b"[[[[[[[[[0]]]]]]]]]", Err(TooDeep), "one level too deep"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(parse(text), expected, "{shows}: {}", String::from_utf8_lossy(text));
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Int(0), |inner, _| Value::List([inner].into()))
}

#[test]
fn nesting_without_end_is_refused_without_a_deep_stack() {
    let open = "[".repeat(100_000);
    assert_eq!(parse(open.as_bytes()), Err(JsonFault::TooDeep), "a hundred thousand brackets");
    let objects = r#"{"a":"#.repeat(20_000);
    assert_eq!(parse(objects.as_bytes()), Err(JsonFault::TooDeep), "objects alike");
    assert_eq!(parse_to_depth(open.as_bytes(), usize::MAX), Err(JsonFault::TooDeep), "whatever bound is asked for");
    assert_eq!(parse_to_depth(b"[[0]]", 1), Err(JsonFault::TooDeep), "a narrower bound");
    assert_eq!(MAX_DEPTH, 8, "the bound that the limits page names");
}

#[test]
fn a_name_that_stands_twice_is_found_in_large_objects_too() {
    let member = |index: usize| format!(r#""n{index}":0"#);
    for size in [2, 24, 25, 26, 1_000] {
        let distinct: Vec<String> = (0..size).map(member).collect();
        let mut twice = distinct.clone();
        twice[size - 1] = member(0);
        let text = format!("{{{}}}", distinct.join(","));
        assert!(parse(text.as_bytes()).is_ok(), "{size} distinct names");
        let text = format!("{{{}}}", twice.join(","));
        assert_eq!(parse(text.as_bytes()), Err(JsonFault::Duplicate), "first name again as number {size}");
    }
}

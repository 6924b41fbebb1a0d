//! Records of server keys: what they may say, and what is refused.

use crate::domain::Timestamp;
use crate::verify::keys::digest::digest_text;
use crate::verify::keys::record::parse_record;

/// A record with two secrets whose `MEMBERS` are put in.
fn with(members: &str) -> String {
    let (a, b) = (digest_text(&[1; 32]), digest_text(&[2; 32]));
    format!(r#"{{"id":"acme","secrets":["{a}","{b}"]{members}}}"#)
}

#[test]
fn a_record_says_everything_it_may_say() {
    let all = with(
        r#","scopes":["chat:write","x"],"hosts":["api.example","[::1]"],"not_before":"2026-01-01T01:00:00+01:00","expires":1798761600,"disabled":true"#,
    );
    let key = parse_record(all.as_bytes()).unwrap();
    assert_eq!(&*key.id, "acme");
    assert_eq!(key.digests, [Some([1; 32]), Some([2; 32])], "both live secrets");
    assert_eq!(
        (key.not_before, key.expires),
        (Some(Timestamp(1_767_225_600)), Some(Timestamp(1_798_761_600))),
        "both ways to write a moment"
    );
    assert!(key.disabled);
    assert_eq!((key.scopes.len(), key.hosts.len()), (2, 2));

    let least = parse_record(format!(r#"{{"id":"a","secrets":["{}"],"expires":null}}"#, digest_text(&[1; 32])).as_bytes()).unwrap();
    assert_eq!(least.digests, [Some([1; 32]), None], "one secret is enough");
    assert_eq!((least.not_before, least.expires, least.disabled), (None, None, false), "nothing is bounded unless written");
}

#[test]
fn a_record_that_is_not_fully_understood_is_refused_without_showing_it() {
    let digest = digest_text(&[1; 32]);
    let cases = [
        // what stands there, what the fault speaks of, what the row shows
        (String::new(), "no JSON object", "nothing"),
        ("[]".to_owned(), "no JSON object", "a list"),
        (with("") + "x", "no JSON object", "something after the record"),
        (with("}").replace("}}", "}, {"), "no JSON object", "two records in a line"),
        (with(r#","revoked":true"#), "unknown field `revoked`", "a member that we would have ignored"),
        (with(r#","id":"other""#), "duplicate field `id`", "a name that stands twice"),
        (format!(r#"{{"secrets":["{digest}"]}}"#), "missing field `id`", "no id"),
        (r#"{"id":"a"}"#.to_owned(), "missing field `secrets`", "no secrets"),
        (r#"{"id":"a","secrets":[]}"#.to_owned(), "one digest, or two", "no secret"),
        (format!(r#"{{"id":"a","secrets":["{digest}","{digest}"]}}"#), "the same", "one secret twice"),
        (format!(r#"{{"id":"a","secrets":["{digest}","x","y"]}}"#), "one digest, or two", "three secrets"),
        (r#"{"id":"a","secrets":["hunter2"]}"#.to_owned(), "in the clear", "a secret in the clear"),
        (format!(r#"{{"id":"","secrets":["{digest}"]}}"#), "`id` must", "an empty id"),
        (format!(r#"{{"id":"{}","secrets":["{digest}"]}}"#, "a".repeat(257)), "`id` must", "an id of 257 bytes"),
        (format!(r#"{{"id":"a\u0000","secrets":["{digest}"]}}"#), "`id` must", "NUL in an id"),
        (format!(r#"{{"id":5,"secrets":["{digest}"]}}"#), "no JSON object", "an id that is a number"),
        (with(r#","disabled":"no""#), "no JSON object", "a flag that is text"),
        (with(r#","expires":1.5"#), "no JSON object", "half a second"),
        (with(r#","expires":"tomorrow""#), "no JSON object", "a moment that is none"),
        (with(r#","expires":"2026-01-01T00:00:00""#), "no JSON object", "a moment without offset"),
        (with(r#","expires":18446744073709551615"#), "no JSON object", "beyond the end of time"),
        (with(r#","expires":5,"not_before":5"#), "never be good", "an end at the start"),
        (with(r#","scopes":["a b"]"#), "a scope is", "two scopes in one"),
        (with(r#","hosts":["API.example"]"#), "a host is", "a host that never matches"),
        (with(r#","hosts":["api.example:443"]"#), "a host is", "a port"),
        (with(r#","hosts":[""]"#), "a host is", "an empty host"),
    ];
    for (written, speaks_of, shows) in cases {
        let fault = parse_record(written.as_bytes()).unwrap_err();
        assert!(fault.contains(speaks_of), "{shows}: {fault}");
        assert!(!fault.contains("hunter2") && !fault.contains("cs1:"), "a fault shows no secret: {fault}");
    }
    assert!(parse_record(format!(r#"{{"id":"{}","secrets":["{digest}"]}}"#, "a".repeat(256)).as_bytes()).is_ok(), "256 bytes are an id");
    assert!(parse_record(with(r#","expires":6,"not_before":5"#).as_bytes()).is_ok(), "one good second is enough");
}

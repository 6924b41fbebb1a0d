//! What is understood, what is refused, and that nothing is lost in between.

use super::{LONGEST, Written, read_entry, read_file, read_request};
use crate::domain::revocation::{By, Revocation};
use crate::domain::{Seconds, Timestamp};

const NOW: Timestamp = Timestamp(1_800_000_000);
const LASTS: Seconds = Seconds(600);

#[test]
fn what_is_asked_for_is_read_as_of_now() {
    let plain = Revocation {
        by: By::Subject,
        value: "anna".into(),
        issuer: None,
        issued_before: None,
        until: Timestamp(NOW.0 + 600),
        reason: Box::default(),
    };
    let rows = [
        (r#"{"subject":"anna"}"#, plain.clone(), "the least"),
        (r#"{"key":"acme"}"#, Revocation { by: By::Key, value: "acme".into(), ..plain.clone() }, "a key"),
        (r#"{"token":"j"}"#, Revocation { by: By::Token, value: "j".into(), ..plain.clone() }, "a token"),
        (r#"{"session":"s"}"#, Revocation { by: By::Session, value: "s".into(), ..plain.clone() }, "a session"),
        (r#"{"family":"f"}"#, Revocation { by: By::Family, value: "f".into(), ..plain.clone() }, "a family"),
        (r#"{"subject":"anna","for":"1h"}"#, Revocation { until: Timestamp(NOW.0 + 3600), ..plain.clone() }, "a length"),
        (r#"{"subject":"anna","until":1800000001}"#, Revocation { until: Timestamp(NOW.0 + 1), ..plain.clone() }, "the nearest end"),
        (r#"{"subject":"anna","for":"3650d"}"#, Revocation { until: NOW.plus(LONGEST), ..plain.clone() }, "the farthest end"),
        (
            r#"{"subject":"anna","until":"2027-02-01T01:00:00+01:00"}"#,
            Revocation { until: Timestamp(1_801_440_000), ..plain.clone() },
            "a date and time",
        ),
        (
            r#"{"subject":"anna","issued_before":"now"}"#,
            Revocation { issued_before: Some(Timestamp(NOW.0 + 1)), ..plain.clone() },
            "now takes in what was issued this second",
        ),
        (
            r#"{"subject":"anna","issuer":"i","issued_before":5,"reason":"left us"}"#,
            Revocation { issuer: Some("i".into()), issued_before: Some(Timestamp(5)), reason: "left us".into(), ..plain.clone() },
            "everything else",
        ),
    ];
    for (text, expected, shows) in rows {
        assert_eq!(read_request(text.as_bytes(), NOW, LASTS), Ok(expected), "{shows}");
    }
}

#[test]
fn what_is_not_wholly_understood_is_refused() {
    let rows = [
        ("", "nothing"),
        ("[]", "no object"),
        ("{}", "nobody"),
        (r#"{"subject":"a","key":"b"}"#, "two at once"),
        (r#"{"subject":"a","subject":"b"}"#, "one twice"),
        (r#"{"subjekt":"a"}"#, "a word mistyped"),
        (r#"{"subject":"a","issuers":["b"]}"#, "what was meant to narrow"),
        (r#"{"subject":null}"#, "null is not a subject"),
        (r#"{"subject":"a","issuer":null}"#, "nor an issuer"),
        (r#"{"subject":7}"#, "nor is a number"),
        (r#"{"subject":""}"#, "nor is nothing"),
        (r#"{"subject":"a\u0000"}"#, "a subject nobody has"),
        (r#"{"subject":"a","until":1800000000}"#, "an end that has come"),
        (r#"{"subject":"a","until":"now"}"#, "now is such an end"),
        (r#"{"subject":"a","for":"0s"}"#, "so is no length"),
        (r#"{"subject":"a","for":"3651d"}"#, "an end too far off"),
        (r#"{"subject":"a","until":9223372036854775807}"#, "the end of time"),
        (r#"{"subject":"a","until":18446744073709551615}"#, "and beyond"),
        (r#"{"subject":"a","for":"soon"}"#, "no length"),
        (r#"{"subject":"a","for":"1h","until":1800000001}"#, "two ends"),
        (r#"{"subject":"a","issued_before":"yesterday"}"#, "no moment"),
        (r#"{"subject":"a","issued_before":1.5}"#, "nor is a fraction"),
        (r#"{"subject":"a","reason":["b"]}"#, "no reason"),
        (r#"{"subject":"a"} x"#, "and something behind it"),
    ];
    for (text, shows) in rows {
        let fault = read_request(text.as_bytes(), NOW, LASTS).expect_err(shows);
        assert!(!fault.is_empty() && !fault.contains("yesterday") && !fault.contains("soon"), "no value is shown: {fault}");
    }
}

#[test]
fn an_entry_says_its_own_times() {
    assert_eq!(read_entry(br#"{"subject":"a"}"#).unwrap().until, Timestamp::END, "as long as it stands there");
    assert_eq!(read_entry(br#"{"subject":"a","until":5}"#).unwrap().until, Timestamp(5), "one that has ended is no fault");
    for text in [r#"{"subject":"a","for":"1h"}"#, r#"{"subject":"a","issued_before":"now"}"#, r#"{"subject":"a","until":"now"}"#] {
        assert!(read_entry(text.as_bytes()).is_err(), "{text} would mean something else at each reading");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for by in By::ALL {
        for (issuer, issued_before, until, reason) in
            [(None, None, Timestamp::END, ""), (Some("i\"\\é"), Some(Timestamp(-1)), Timestamp(7), "she said \"no\"")]
        {
            let revocation = Revocation {
                by,
                value: "v \u{2028}\"".into(),
                issuer: issuer.map(Into::into),
                issued_before,
                until,
                reason: reason.into(),
            };
            let text = serde_json::to_string(&Written::of(&revocation)).unwrap();
            assert_eq!(read_entry(text.as_bytes()), Ok(revocation), "{text}");
        }
    }
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let good = b"{\"subject\":\"a\"}\r\n\n  {\"key\":\"b\",\"until\":5}";
    let entries = read_file(good).unwrap();
    assert_eq!(entries.iter().map(|(line, entry)| (*line, &*entry.value)).collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
    assert_eq!(read_file(b"").unwrap(), [], "an empty file revokes nothing");
    let faults = read_file(b"{\"subject\":\"a\"}\n{\"subjekt\":\"s3cret\"}\nx").unwrap_err();
    assert_eq!(faults.len(), 2, "every fault at once: {faults:?}");
    assert!(faults[0].starts_with("line 2: ") && faults[1].starts_with("line 3: "), "with its line: {faults:?}");
    assert!(!faults.concat().contains("s3cret"), "and without values: {faults:?}");
    assert_eq!(read_file(&b"x\n".repeat(1_000)).unwrap_err().len(), 8, "a file of another kind does not fill a screen");
}

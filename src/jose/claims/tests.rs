//! Claims: types, and both sides of every bound in time.
#![allow(clippy::type_complexity, reason = "rows of tables are written out")]

use super::{Lifetime, LifetimeRules, Registered, Window, scopes, subject};
use crate::domain::{Claim, Doubt, Seconds, Timestamp, Verified};
use crate::jose::json::parse_claims;

fn lifetime(issued_at: Option<i64>, not_before: Option<i64>, expires: Option<i64>) -> Lifetime {
    Lifetime { expires: expires.map(Timestamp), not_before: not_before.map(Timestamp), issued_at: issued_at.map(Timestamp) }
}

#[test]
fn a_window_is_closed_at_its_start_and_open_at_its_end() {
    let plain = LifetimeRules { leeway: Seconds(10), max_age: None, max_lifetime: None };
    let aged = LifetimeRules { leeway: Seconds(10), max_age: Some(Seconds(100)), max_lifetime: None };
    let strict = LifetimeRules { leeway: Seconds(0), max_age: Some(Seconds(100)), max_lifetime: None };
    let cases: Vec<(i64, Lifetime, LifetimeRules, Result<(), Doubt>, &str)> = vec![
        (149, lifetime(None, Some(150), Some(200)), plain, Ok(()), "leeway reaches back before nbf"),
        (140, lifetime(None, Some(150), Some(200)), plain, Ok(()), "the first good second"),
        (139, lifetime(None, Some(150), Some(200)), plain, Err(Doubt::NotYetValid), "one second too early"),
        (209, lifetime(None, Some(150), Some(200)), plain, Ok(()), "the last good second"),
        (210, lifetime(None, Some(150), Some(200)), plain, Err(Doubt::Expired(None)), "exp itself is already too late"),
        (140, lifetime(Some(150), None, Some(200)), plain, Ok(()), "the first good second after iat"),
        (139, lifetime(Some(150), None, Some(200)), plain, Err(Doubt::NotYetValid), "issued in the future"),
        (145, lifetime(Some(150), Some(156), Some(200)), plain, Err(Doubt::NotYetValid), "the later of nbf and iat counts"),
        (145, lifetime(Some(156), Some(150), Some(200)), plain, Err(Doubt::NotYetValid), "in either order"),
        (260, lifetime(Some(150), None, Some(900)), aged, Ok(()), "as old as allowed, leeway included"),
        (261, lifetime(Some(150), None, Some(900)), aged, Err(Doubt::Expired(None)), "a second older"),
        (250, lifetime(Some(150), None, Some(900)), strict, Ok(()), "as old as allowed, without leeway"),
        (251, lifetime(Some(150), None, Some(900)), strict, Err(Doubt::Expired(None)), "a second older, without leeway"),
        (199, lifetime(Some(150), None, Some(200)), strict, Ok(()), "exp before the age is reached"),
        (200, lifetime(Some(150), None, Some(200)), strict, Err(Doubt::Expired(None)), "whichever ends first"),
        (0, lifetime(None, None, Some(i64::MAX)), plain, Ok(()), "no nbf, and exp at the end of time, must not overflow"),
        (i64::MAX, lifetime(None, None, Some(i64::MAX)), plain, Err(Doubt::Expired(None)), "nothing outlives time"),
        (i64::MIN, lifetime(None, Some(i64::MIN), Some(0)), plain, Ok(()), "the start of time must not underflow"),
    ];
    for (now, lifetime, rules, expected, shows) in cases {
        let actual = lifetime.window(&rules).and_then(|window| window.check(Timestamp(now)));
        assert_eq!(actual, expected, "{shows} (now={now} {lifetime:?})");
    }
}

#[test]
fn a_lifetime_that_contradicts_itself_or_the_rules_has_no_window() {
    let rules = |max_age: Option<u32>, max_lifetime: Option<u32>| LifetimeRules {
        leeway: Seconds(10),
        max_age: max_age.map(Seconds),
        max_lifetime: max_lifetime.map(Seconds),
    };
    let window = |not_before: Option<i64>, expires| Ok(Window { not_before: not_before.map(Timestamp), expires: Timestamp(expires) });
    let cases = [
        (lifetime(None, None, Some(100)), rules(None, None), window(None, 110), "exp alone"),
        (lifetime(None, None, None), rules(None, None), Err(Doubt::ClaimMissing), "no exp"),
        (lifetime(Some(0), Some(0), None), rules(Some(10), None), Err(Doubt::ClaimMissing), "no exp, though an age would bound it"),
        (lifetime(None, None, Some(100)), rules(Some(10), None), Err(Doubt::ClaimMissing), "no iat to count the age from"),
        (lifetime(None, None, Some(100)), rules(None, Some(10)), Err(Doubt::ClaimMissing), "no iat to count the life from"),
        (lifetime(Some(100), None, Some(100)), rules(None, None), window(Some(90), 110), "ended as it was issued"),
        (lifetime(Some(101), None, Some(100)), rules(None, None), Err(Doubt::ClaimsMalformed), "ended before"),
        (lifetime(Some(50), None, Some(100)), rules(None, Some(50)), window(Some(40), 110), "as long a life as allowed"),
        (lifetime(Some(49), None, Some(100)), rules(None, Some(50)), Err(Doubt::WindowExceeded), "a second longer; leeway does not help"),
        (lifetime(Some(50), None, Some(100)), rules(Some(20), None), window(Some(40), 81), "age ends it first"),
    ];
    for (lifetime, rules, expected, shows) in cases {
        assert_eq!(lifetime.window(&rules), expected, "{shows}");
    }
}

#[test]
fn registered_claims_have_their_own_types_or_none() {
    let bad = Err(Doubt::ClaimsMalformed);
    let cases: Vec<(&str, Result<(), Doubt>)> = vec![
        ("{}", Ok(())),
        (r#"{"iss":"a","sub":"b","aud":"c","exp":1,"nbf":2,"iat":3,"jti":4}"#, Ok(())),
        (r#"{"aud":[]}"#, Ok(())),
        (r#"{"aud":["a","b"]}"#, Ok(())),
        (r#"{"exp":1.0}"#, Ok(())),
        (r#"{"exp":1e3}"#, Ok(())),
        (r#"{"exp":0}"#, Ok(())),
        (r#"{"exp":253402300799}"#, Ok(())),
        (r#"{"exp":253402300800}"#, bad.clone()),
        (r#"{"exp":-1}"#, bad.clone()),
        (r#"{"exp":1.5}"#, bad.clone()),
        (r#"{"exp":1e300}"#, bad.clone()),
        (r#"{"exp":"1"}"#, bad.clone()),
        (r#"{"exp":null}"#, bad.clone()),
        (r#"{"exp":true}"#, bad.clone()),
        (r#"{"exp":[1]}"#, bad.clone()),
        (r#"{"nbf":"1"}"#, bad.clone()),
        (r#"{"nbf":null}"#, bad.clone()),
        (r#"{"iat":"1"}"#, bad.clone()),
        (r#"{"iat":{}}"#, bad.clone()),
        (r#"{"iss":1}"#, bad.clone()),
        (r#"{"iss":null}"#, bad.clone()),
        (r#"{"iss":["a"]}"#, bad.clone()),
        (r#"{"sub":""}"#, bad.clone()),
        (r#"{"sub":1}"#, bad.clone()),
        (r#"{"sub":null}"#, bad.clone()),
        (r#"{"aud":1}"#, bad.clone()),
        (r#"{"aud":null}"#, bad.clone()),
        (r#"{"aud":["a",1]}"#, bad.clone()),
        (r#"{"aud":["a",null]}"#, bad.clone()),
        (r#"{"aud":{"a":1}}"#, bad),
    ];
    for (text, expected) in cases {
        let claims = Verified::vouch(parse_claims(text.as_bytes()).unwrap());
        assert_eq!(Registered::read(&claims).map(|_| ()), expected, "{text}");
    }
}

#[test]
fn an_audience_is_compared_byte_for_byte() {
    let ours: Vec<Box<str>> = vec!["app".into(), "api".into()];
    let cases = [
        (r#"{"aud":"app"}"#, true),
        (r#"{"aud":"api"}"#, true),
        (r#"{"aud":["x","api"]}"#, true),
        (r#"{"aud":"APP"}"#, false),
        (r#"{"aud":"app "}"#, false),
        (r#"{"aud":"ap"}"#, false),
        (r#"{"aud":"app,api"}"#, false),
        (r#"{"aud":[]}"#, false),
        (r#"{"aud":""}"#, false),
    ];
    for (text, expected) in cases {
        let claims = Verified::vouch(parse_claims(text.as_bytes()).unwrap());
        let audience = Registered::read(&claims).unwrap().audience.unwrap();
        assert_eq!(audience.names_any(&ours), expected, "{text}");
    }
}

#[test]
fn subjects_and_scopes_have_one_reading() {
    let names = [("ada", true), ("ä", true), ("", false), ("a\nb", false), ("a\u{0}", false), ("a\u{9f}", false)];
    for (name, sound) in names {
        assert_eq!(subject(Claim::Text(name)).is_ok(), sound, "{name:?}");
    }
    assert!(subject(Claim::Text(&"s".repeat(1_024))).is_ok(), "as long as allowed");
    assert!(subject(Claim::Text(&"s".repeat(1_025))).is_err(), "a byte longer");

    let cases: [(&str, Result<&[&str], Doubt>); 9] = [
        (r#""read write""#, Ok(&["read", "write"])),
        (r#"" read  write ""#, Ok(&["read", "write"])),
        (r#""read,write""#, Ok(&["read,write"])),
        (r#""""#, Ok(&[])),
        (r#"["read","two words"]"#, Ok(&["read", "two words"])),
        ("[]", Ok(&[])),
        ("[1]", Err(Doubt::ClaimsMalformed)),
        ("1", Err(Doubt::ClaimsMalformed)),
        ("null", Err(Doubt::ClaimsMalformed)),
    ];
    for (text, expected) in cases {
        let actual = scopes(parse_claims(text.as_bytes()).unwrap().get());
        let expected = expected.map(|list| list.iter().map(|scope| (*scope).into()).collect::<Box<[Box<str>]>>());
        assert_eq!(actual, expected, "{text}");
    }
}

//! The pair that a reply of registration, login or refresh brings, and what its status in the body means.
//!
//! `{"Result":{"DeviceToken", "AccessToken":{"Token", "ExpiresIn"}, "RefreshToken"}, "Status", "Title", "Errors"}`, in either case.
//! How long the token lives is what `ExpiresIn` says, in seconds, or else what the token itself says if it can be read; the vendor's
//! pages disagree about it, so nothing is assumed.
//!
//! Deliberately absent: trust. The reply is the upstream's word, and the token is judged when it is presented.

use bytes::Bytes;

use crate::domain::{Claim, Seconds, Secret, Timestamp, Value};
use crate::jose::compact::Compact;
use crate::jose::json::written;
use crate::systems::contract::{Harvest, Life, Reply};
use crate::systems::telematics::body::{document, member};
use crate::systems::telematics::calls::{Call, fold};
use crate::systems::telematics::login::is_uuid;

/// The longest token that is kept.
const MAX_TOKEN: usize = 8 * 1024;

/// The `Status` that the body of `reply` states; its HTTP status when it states none.
pub(crate) fn status(reply: &Reply<'_>) -> i64 {
    let stated = reply.body.and_then(document).and_then(|said| member(&said, "status").and_then(Value::as_int));
    stated.unwrap_or_else(|| i64::from(reply.status))
}

/// The pair in `reply`; `None` when it brings none.
pub(crate) fn harvest(reply: &Reply<'_>) -> Option<Harvest> {
    if !Call::of(reply.path).brings_pair() || reply.method != "POST" || reply.status != 200 {
        return None;
    }
    let said = document(reply.body?)?;
    if member(&said, "status").is_some_and(|status| status.as_int() != Some(200)) {
        return None;
    }
    let result = member(&said, "result")?;
    let token = member(result, "accesstoken")?;
    let access = credential(member(token, "token")?)?;
    let refresh = match member(result, "refreshtoken") {
        None | Some(Value::Null) => None,
        Some(refresh) => Some(credential(refresh)?),
    };
    let life = match member(token, "expiresin") {
        None | Some(Value::Null) => end_of(access),
        Some(length) => Some(Life::For(seconds(length)?)),
    };
    let subject = member(result, "devicetoken").and_then(Value::as_text).filter(|device| is_uuid(device));
    Some(Harvest {
        access: Secret::new(access.as_bytes().to_vec()),
        refresh: refresh.map(|refresh| Secret::new(refresh.as_bytes().to_vec())),
        life,
        subject: subject.map(Box::from),
        issuer: None,
        issued: None,
        strip: None,
        rest: Some(rest(&said)?),
    })
}

/// A token that may stand in a header field; the text itself, unproven.
fn credential(value: &Value) -> Option<&str> {
    value.as_text().filter(|text| !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A length of time that is one: a number, or a number as text.
fn seconds(value: &Value) -> Option<Seconds> {
    let number = match value {
        Value::Text(text) => text.parse().ok()?,
        other => other.as_int()?,
    };
    u32::try_from(number).ok().filter(|number: &u32| 0 < *number).map(Seconds)
}

/// When `token` says that it ends, if it can be read.
fn end_of(token: &str) -> Option<Life> {
    let claims = Compact::parse(token).ok()?;
    claims.claimed().member("exp").and_then(Claim::as_int).map(|end| Life::Until(Timestamp(end)))
}

/// `said` without the pair, wherever a member of one of its names stands.
fn rest(said: &Value) -> Option<Bytes> {
    serde_json::to_vec(&written(&without_pair(said))?).ok().map(Bytes::from)
}

fn without_pair(value: &Value) -> Value {
    match value {
        Value::Map(members) => {
            let kept = members.iter().filter(|(name, _)| !matches!(fold(name).as_str(), "accesstoken" | "refreshtoken"));
            Value::Map(kept.map(|(name, member)| (name.clone(), without_pair(member))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(without_pair).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{harvest, status};
    use crate::domain::{Seconds, Timestamp};
    use crate::systems::contract::{Life, Reply};

    const WHOLE: &str = r#"{"Result":{"DeviceToken":"8b1cf7f9-0000-4000-8000-000000000001","AccessToken":{"Token":"at-1","ExpiresIn":432000},"RefreshToken":"rt-1"},"Status":200,"Title":"","Errors":[]}"#;

    fn reply<'r>(path: &'r str, status: u16, body: &'r str, headers: &'r HeaderMap) -> Reply<'r> {
        Reply { method: "POST", path, status, headers, body: Some(body.as_bytes()) }
    }

    #[test]
    fn the_envelope_of_the_reference_brings_a_pair_and_its_rest_does_not() {
        let headers = HeaderMap::new();
        for path in ["/v1/Registration/create", "/v1/auth/login", "/v1/Auth/RefreshToken", "/v1/RefreshToken"] {
            let harvest = harvest(&reply(path, 200, WHOLE, &headers)).expect(path);
            assert_eq!(harvest.access.expose(), b"at-1", "{path}");
            assert_eq!(harvest.refresh.unwrap().expose(), b"rt-1", "{path}");
            assert_eq!(harvest.life, Some(Life::For(Seconds(432_000))), "{path}");
            assert_eq!(harvest.subject.as_deref(), Some("8b1cf7f9-0000-4000-8000-000000000001"), "{path}");
            let rest = String::from_utf8(harvest.rest.unwrap().to_vec()).unwrap();
            assert!(!rest.contains("at-1") && !rest.contains("rt-1"), "the client sees no token: {rest}");
            let rest: serde_json::Value = serde_json::from_str(&rest).unwrap();
            assert_eq!(rest["Result"]["DeviceToken"], "8b1cf7f9-0000-4000-8000-000000000001", "but all else");
            assert_eq!((&rest["Status"], &rest["Title"]), (&200.into(), &"".into()));
        }
    }

    #[test]
    fn what_is_no_whole_pair_is_none() {
        let headers = HeaderMap::new();
        let lower = WHOLE.to_lowercase();
        let rows = [
            ("/v1/Auth/Login", 200, lower.clone(), true, "the lower-case envelope"),
            ("/v1/Auth/Login", 200, WHOLE.replace("432000", "\"86400\""), true, "a length as text"),
            ("/v1/Auth/Login", 200, WHOLE.replace(",\"ExpiresIn\":432000", ""), true, "no length: the end is not known"),
            ("/v1/Auth/Login", 200, WHOLE.replace(",\"Status\":200", ""), true, "no status in the body"),
            ("/v1/Auth/Login", 200, WHOLE.replace("432000", "0"), false, "a length of nothing"),
            ("/v1/Auth/Login", 200, WHOLE.replace("432000", "-1"), false, "a negative length"),
            ("/v1/Auth/Login", 200, WHOLE.replace("432000", "1.5"), false, "half a second"),
            ("/v1/Auth/Login", 200, WHOLE.replace("432000", "99999999999"), false, "beyond any length"),
            ("/v1/Auth/Login", 200, WHOLE.replace("\"at-1\"", "\"a t\""), false, "a token that no field can carry"),
            ("/v1/Auth/Login", 200, WHOLE.replace("\"at-1\"", "\"\""), false, "an empty token"),
            ("/v1/Auth/Login", 200, WHOLE.replace("\"rt-1\"", "7"), false, "a refresh token that is no text"),
            ("/v1/Auth/Login", 200, WHOLE.replace("\"Status\":200", "\"Status\":400"), false, "a failure inside a 200"),
            ("/v1/Auth/Login", 400, WHOLE.to_owned(), false, "a failure"),
            ("/v1/Auth/Login", 200, r#"{"Result":null,"Status":200}"#.to_owned(), false, "the accounts host when there is nothing"),
            ("/v1/Auth/Login", 200, format!("{WHOLE}x"), false, "no document"),
            ("/v1/Auth/Login", 200, WHOLE.replace("\"Status\"", "\"result\":{},\"Status\""), false, "two results"),
            ("/v1/Management/users", 200, WHOLE.to_owned(), false, "a call that brings none"),
            ("/v1/Registration/CreateMany", 200, WHOLE.to_owned(), false, "many registrations, whose reply nobody has documented"),
        ];
        for (path, status, body, expected, shows) in rows {
            assert_eq!(harvest(&reply(path, status, &body, &headers)).is_some(), expected, "{shows}");
        }
        assert!(harvest(&Reply { method: "GET", ..reply("/v1/Auth/Login", 200, WHOLE, &headers) }).is_none(), "another method");
        assert!(harvest(&Reply { body: None, ..reply("/v1/Auth/Login", 200, WHOLE, &headers) }).is_none(), "the head alone");
    }

    #[test]
    fn a_token_that_can_be_read_says_when_it_ends_where_the_reply_does_not() {
        let headers = HeaderMap::new();
        // {"alg":"HS256"} . {"exp":1800000000} . any signature: it is not judged here.
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.AAAA";
        let rows = [
            (WHOLE.replace("at-1", token), Some(Life::For(Seconds(432_000))), "the reply goes before"),
            (WHOLE.replace("at-1", token).replace(",\"ExpiresIn\":432000", ""), Some(Life::Until(Timestamp(1_800_000_000))), "the token"),
            (WHOLE.replace(",\"ExpiresIn\":432000", ""), None, "neither says it"),
        ];
        for (body, life, shows) in rows {
            assert_eq!(harvest(&reply("/v1/Auth/Login", 200, &body, &headers)).unwrap().life, life, "{shows}");
        }
    }

    #[test]
    fn a_status_in_the_body_goes_before_that_of_the_head() {
        let headers = HeaderMap::new();
        let rows = [
            (200, r#"{"Status":401}"#, 401),
            (200, r#"{"status":"x"}"#, 200),
            (200, "", 200),
            (401, "", 401),
            (401, r#"{"Status":200}"#, 200),
        ];
        for (head, body, expected) in rows {
            assert_eq!(status(&reply("/x", head, body, &headers)), expected, "{head} {body}");
        }
    }
}

//! What replies of TapTalk mean: an access token that has run out, a pair that was given.
//!
//! Both are told by the body of an HTTP 200. Only the one status and the configured codes mean that a token has run out; whatever is
//! no envelope means nothing, and is never asked for twice.
//!
//! How a lifetime counts is not documented: [`Clocking::Guess`] goes by its size, as nothing else tells.
//!
//! Source: taptalksdk-web 1.0.310 (401 with `40104`), taptalk.io-android 2.18.3 (the members of a pair).

use bytes::Bytes;
use serde_json::Value as Json;

use crate::domain::{Seconds, Secret, Timestamp, Value};
use crate::jose::json;
use crate::systems::contract::{Harvest, Life, Meaning, Reply};
use crate::systems::taptalk::envelope::Received;

/// What a client that is not to see a token is shown in its place: the clients take both for texts, and send them back.
pub(super) const HELD: &str = "held-by-the-proxy";

/// How an expiry is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clocking {
    /// By its size.
    Guess,
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
}

impl Clocking {
    /// The life that the number `expiry` tells; `None` when it tells none.
    pub(super) fn life(self, expiry: i64) -> Option<Life> {
        /// In seconds, this is the year 5138; in milliseconds, 1973.
        const MILLISECONDS_FROM: i64 = 100_000_000_000;
        /// In seconds, this is 2001; less is no moment but a length.
        const MOMENTS_FROM: i64 = 1_000_000_000;
        match self {
            _ if expiry <= 0 => None,
            Self::Milliseconds => Some(Life::Until(Timestamp(expiry / 1_000))),
            Self::Seconds => Some(Life::Until(Timestamp(expiry))),
            Self::Guess if MILLISECONDS_FROM < expiry => Some(Life::Until(Timestamp(expiry / 1_000))),
            Self::Guess if MOMENTS_FROM <= expiry => Some(Life::Until(Timestamp(expiry))),
            Self::Guess => u32::try_from(expiry).ok().map(|length| Life::For(Seconds(length))),
        }
    }
}

/// What `reply` tells of the access token that it was asked with; `codes` are those of a token that has run out.
pub(super) fn meaning(reply: &Reply<'_>, codes: &[Box<str>]) -> Meaning {
    let says_so = |body: &[u8]| {
        // Hardly any reply has the number in it, and then nothing needs to be read.
        memchr::memmem::find(body, b"401").is_some()
            && Received::read(body).is_some_and(|told| told.status == 401 && codes.contains(&told.code))
    };
    match reply.status {
        401 => Meaning::Expired,
        200 if reply.body.is_some_and(says_so) => Meaning::Expired,
        _ => Meaning::Fine,
    }
}

/// The pair that `reply` brings.
pub(super) fn pair(reply: &Reply<'_>, clocking: Clocking) -> Option<Harvest> {
    let body = reply.body.filter(|_| reply.status == 200)?;
    let told = Received::read(body).filter(|told| told.status == 200 && told.code.is_empty())?;
    let token = |name: &str| told.data.member(name).and_then(Value::as_text).filter(|text| !text.is_empty());
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    Some(Harvest {
        access: secret(token("accessToken")?),
        refresh: token("refreshToken").map(secret),
        life: told.data.member("accessTokenExpiry").and_then(Value::as_int).and_then(|expiry| clocking.life(expiry)),
        subject: told.data.at_path("user.userID").and_then(name_of),
        issuer: None,
        issued: None,
        rest: rest(body),
        strip: None,
    })
}

/// A user's id as a text; older answers write it as a number.
fn name_of(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        Value::Int(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// `body` with both tokens replaced. Nothing else of it changes: clients compute with the expiry that they were told.
fn rest(body: &[u8]) -> Option<Bytes> {
    let mut whole = json::written(&json::parse_to_depth(body, 64).ok()?)?;
    let data = whole.get_mut("data").and_then(Json::as_object_mut)?;
    for name in ["accessToken", "refreshToken"] {
        if let Some(token) = data.get_mut(name) {
            *token = HELD.into();
        }
    }
    Some(Bytes::from(whole.to_string()))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::{Value as Json, json};

    use super::{Clocking, HELD, meaning, pair};
    use crate::domain::{Seconds, Timestamp};
    use crate::systems::contract::{Life, Meaning, Reply};

    fn reply<'r>(status: u16, headers: &'r HeaderMap, body: Option<&'r str>) -> Reply<'r> {
        Reply { method: "POST", path: "/v1/chat/message/send", status, headers, body: body.map(str::as_bytes) }
    }

    #[test]
    fn only_the_envelope_of_a_token_that_has_run_out_means_so() {
        let expired = r#"{"status":401,"error":{"code":"40104","message":"expired","field":""},"data":{}}"#;
        let invalid = r#"{"status":401,"error":{"code":"40103","message":"invalid","field":""},"data":{}}"#;
        let told = r#"{"status":200,"error":{"code":"","message":"","field":""},"data":{"text":"{\"status\":401,\"code\":\"40104\"}"}}"#;
        let codes: Box<[Box<str>]> = Box::new(["40104".into()]);
        let both: Box<[Box<str>]> = Box::new(["40104".into(), "40103".into()]);
        let rows = [
            (200, Some(expired), &codes, Meaning::Expired, "401 and 40104 inside a 200"),
            (200, Some(invalid), &codes, Meaning::Fine, "another code is not to be renewed"),
            (200, Some(invalid), &both, Meaning::Expired, "unless the conf says so, for servers that older clients were made for"),
            (200, Some(told), &codes, Meaning::Fine, "a message that quotes one"),
            (200, None, &codes, Meaning::Fine, "a reply that is not held"),
            (401, None, &codes, Meaning::Expired, "a real 401, should one come"),
            (500, Some(expired), &codes, Meaning::Fine, "whatever a broken server says"),
            (200, Some("40104 401"), &codes, Meaning::Fine, "no envelope"),
            (200, Some(r#"{"status":400,"error":{"code":"40104"}}"#), &codes, Meaning::Fine, "the code without its status"),
        ];
        for (status, body, codes, expected, shows) in rows {
            assert_eq!(meaning(&reply(status, &HeaderMap::new(), body), codes), expected, "{shows}");
        }
    }

    #[test]
    fn an_expiry_is_read_by_its_size_unless_the_conf_says_how() {
        let rows = [
            (Clocking::Guess, 1_800_000_000_000, Some(Life::Until(Timestamp(1_800_000_000))), "milliseconds"),
            (Clocking::Guess, 100_000_000_001, Some(Life::Until(Timestamp(100_000_000))), "the least that is milliseconds"),
            (Clocking::Guess, 100_000_000_000, Some(Life::Until(Timestamp(100_000_000_000))), "the most that is seconds"),
            (Clocking::Guess, 1_800_000_000, Some(Life::Until(Timestamp(1_800_000_000))), "seconds"),
            (Clocking::Guess, 1_000_000_000, Some(Life::Until(Timestamp(1_000_000_000))), "the least that is a moment"),
            (Clocking::Guess, 999_999_999, Some(Life::For(Seconds(999_999_999))), "the most that is a length"),
            (Clocking::Guess, 3_600, Some(Life::For(Seconds(3_600))), "an hour"),
            (Clocking::Guess, 0, None, "nothing"),
            (Clocking::Guess, -1, None, "nonsense"),
            (Clocking::Seconds, 1_800_000_000_000, Some(Life::Until(Timestamp(1_800_000_000_000))), "as the conf says"),
            (Clocking::Milliseconds, 1_800_000_000, Some(Life::Until(Timestamp(1_800_000))), "as the conf says, the other way"),
            (Clocking::Seconds, i64::MAX, Some(Life::Until(Timestamp(i64::MAX))), "the end of time does not overflow"),
        ];
        for (clocking, expiry, expected, shows) in rows {
            assert_eq!(clocking.life(expiry), expected, "{shows}: {expiry}");
        }
    }

    #[test]
    fn a_pair_is_taken_from_a_success_and_nothing_of_it_is_left_behind() {
        let given = json!({ "status": 200, "error": { "code": "", "message": "", "field": "" }, "data": {
            "accessToken": "the-access", "accessTokenExpiry": 1_800_003_600_000_i64, "refreshToken": "the-refresh",
            "refreshTokenExpiry": 1_802_592_000_000_i64, "user": { "userID": "u-7", "fullname": "Anna" } } });
        let text = given.to_string();
        let headers = HeaderMap::new();
        let harvest = pair(&reply(200, &headers, Some(&text)), Clocking::Guess).unwrap();
        assert_eq!(harvest.access.expose(), b"the-access");
        assert_eq!(harvest.refresh.as_ref().unwrap().expose(), b"the-refresh");
        assert_eq!(harvest.life, Some(Life::Until(Timestamp(1_800_003_600))));
        assert_eq!(harvest.subject.as_deref(), Some("u-7"));
        let rest = harvest.rest.clone().unwrap();
        assert!(!rest.windows(10).any(|part| part == b"the-access" || part == b"the-refres"), "no token is left");
        let shown: Json = serde_json::from_slice(&rest).unwrap();
        let mut expected = given.clone();
        expected["data"]["accessToken"] = HELD.into();
        expected["data"]["refreshToken"] = HELD.into();
        assert_eq!(shown, expected, "and everything else is as it was");
        assert!(!format!("{harvest:?}").contains("the-access"), "nor is it printed");
    }

    #[test]
    fn what_brings_no_pair_brings_nothing() {
        let rows = [
            (200, r#"{"status":401,"error":{"code":"40103"},"data":{"accessToken":"a"}}"#, "a failure"),
            (200, r#"{"status":200,"error":{"code":"40103"},"data":{"accessToken":"a"}}"#, "a failure by its code"),
            (200, r#"{"status":200,"error":{"code":""},"data":{}}"#, "no token"),
            (200, r#"{"status":200,"error":{"code":""},"data":{"accessToken":""}}"#, "an empty one"),
            (200, r#"{"status":200,"error":{"code":""},"data":{"accessToken":7}}"#, "a number"),
            (500, r#"{"status":200,"error":{"code":""},"data":{"accessToken":"a"}}"#, "from a server that failed"),
        ];
        for (status, body, shows) in rows {
            assert!(pair(&reply(status, &HeaderMap::new(), Some(body)), Clocking::Guess).is_none(), "{shows}");
        }
    }
}

//! What renewers that ask over HTTP have in common: one exchange, and the few things that are read out of an answer.
//!
//! Never here: a second try. What was sent may have been spent, and only who repeats it on purpose may do so.

use http::header::CONTENT_TYPE;

use crate::domain::{Seconds, Secret, Timestamp, Value};
use crate::jose::json::parse_to_depth;
use crate::net::client::{Client, Exchange, FetchFault, Reply};
use crate::renew::contract::RenewError;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1_024;

/// How deep an answer may nest.
const DEPTH: usize = 16;

/// The longest credential that is taken from an answer, in bytes: longer than any that a header or a cookie can carry.
const MAX_CREDENTIAL: usize = 16 * 1_024;

/// The longest life that is believed, in seconds: ten years.
const LONGEST: i64 = 315_360_000;

/// Makes one exchange.
///
/// # Errors
///
/// [`RenewError::Unreached`] where it is certain that nothing was sent, [`RenewError::Lost`] in every other case without a whole
/// answer.
pub async fn ask(client: &Client, exchange: Exchange) -> Result<Reply, RenewError> {
    client.fetch(exchange).await.map_err(|fault| {
        let why = match fault {
            FetchFault::AddressRefused => "its host leads to an address that is never called",
            FetchFault::Plaintext => "plaintext http is only spoken to this machine",
            FetchFault::Unreachable { .. } => "no connection could be made",
            FetchFault::NoAnswer => "no whole answer came in time, or the connection broke",
            FetchFault::TooLarge { .. } => "the answer is larger than 64 KiB",
            FetchFault::Encoded => "the answer is compressed, which was not asked for",
        };
        if fault.nothing_sent() { RenewError::Unreached { why } } else { RenewError::Lost { why } }
    })
}

/// The object that `reply` holds; `None` when it is a page for people, or no JSON object with one reading.
#[must_use]
pub fn object(reply: &Reply) -> Option<Value> {
    if is_html(reply) {
        return None;
    }
    parse_to_depth(&reply.body, DEPTH).ok().filter(|value| matches!(value, Value::Map(_)))
}

/// Whether `reply` calls itself a page for people: then something other than the endpoint has answered.
#[must_use]
pub fn is_html(reply: &Reply) -> bool {
    reply.headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
    })
}

/// A credential out of an answer: text that a header field can carry as it is, and a cookie but for `"`, `,`, `;` and `\`.
///
/// # Errors
///
/// [`RenewError::Lost`] with `why`: the pair was made, and it cannot be used.
pub fn credential(value: &Value, why: &'static str) -> Result<Secret, RenewError> {
    let text = value.as_text().unwrap_or_default();
    let is_plain = text.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    if text.is_empty() || MAX_CREDENTIAL < text.len() || !is_plain {
        return Err(RenewError::Lost { why });
    }
    Ok(Secret::new(text.as_bytes().to_vec()))
}

/// A whole number that is not negative, also when an issuer writes it as text of up to 18 digits.
#[must_use]
pub fn whole(value: &Value) -> Option<i64> {
    /// What fits an `i64` whatever the digits are.
    const DIGITS: usize = 18;
    let number = match value {
        Value::Text(text) if (1..=DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        other => other.as_int(),
    };
    number.filter(|number| 0 <= *number)
}

/// The moment `life` seconds after `now`; `None` when that is no life that anything has.
#[must_use]
pub fn after(now: Timestamp, life: i64) -> Option<Timestamp> {
    (0..=LONGEST).contains(&life).then(|| now.plus(Seconds(u32::try_from(life).unwrap_or(u32::MAX))))
}

/// `end`, when it is not further away from `now` than anything lives. An end in the past is one all the same.
#[must_use]
pub fn at(now: Timestamp, end: i64) -> Option<Timestamp> {
    (0..=now.0.saturating_add(LONGEST)).contains(&end).then_some(Timestamp(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_text_that_a_header_can_carry() {
        let long = "a".repeat(MAX_CREDENTIAL);
        let cases = [
            (Value::from("abc.DEF-_~"), true, "a token"),
            (Value::from(long.as_str()), true, "as long as may be"),
            (Value::from(format!("{long}a").as_str()), false, "one byte longer"),
            (Value::from(""), false, "nothing"),
            (Value::from("a b"), false, "a space"),
            (Value::from("a\r\nSet-Cookie: x=y"), false, "a line break"),
            (Value::from("a\u{7f}"), false, "a control character"),
            (Value::from("é"), false, "beyond ASCII"),
            (Value::Int(7), false, "a number"),
            (Value::Null, false, "null"),
            (Value::List(Box::default()), false, "a list"),
        ];
        for (value, good, shows) in cases {
            assert_eq!(credential(&value, "no").is_ok(), good, "{shows}");
        }
    }

    #[test]
    fn a_life_is_a_whole_number_within_ten_years() {
        let now = Timestamp(1_000);
        let cases = [
            (Value::Int(3600), Some(4_600), "a number"),
            (Value::from("3600"), Some(4_600), "the same as text"),
            (Value::Float(3600.0), Some(4_600), "the same with a fraction of nothing"),
            (Value::Int(0), Some(1_000), "ends as it begins"),
            (Value::Int(LONGEST), Some(1_000 + LONGEST), "ten years"),
            (Value::Int(LONGEST + 1), None, "a second longer"),
            (Value::Int(-1), None, "before it began"),
            (Value::Float(0.5), None, "half a second"),
            (Value::from("-1"), None, "a sign"),
            (Value::from("1e3"), None, "an exponent"),
            (Value::from(""), None, "nothing"),
            (Value::from("99999999999999999999"), None, "too many digits"),
            (Value::Bool(true), None, "no number"),
        ];
        for (value, expected, shows) in cases {
            assert_eq!(whole(&value).and_then(|life| after(now, life)), expected.map(Timestamp), "{shows}: {value:?}");
        }
        assert_eq!(at(now, 1_000 + LONGEST), Some(Timestamp(1_000 + LONGEST)), "the last end that is believed");
        assert_eq!(at(now, 1_001 + LONGEST), None, "a second later: milliseconds, probably");
        assert_eq!(at(now, 10), Some(Timestamp(10)), "an end in the past");
        assert_eq!(at(Timestamp::END, i64::MAX), Some(Timestamp::END), "the end of time does not wrap");
    }
}

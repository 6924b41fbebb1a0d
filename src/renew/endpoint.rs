//! What renewers that ask over HTTP have in common: one exchange, and the few things that are read out of an answer.
//!
//! Never here: a second try. What was sent may have been spent, and only who repeats it on purpose may do so.

use crate::domain::{Secret, Value};
use crate::jose::json::parse_to_depth;
use crate::net::client::{Client, Exchange, FetchFault, Reply};
use crate::net::described::answer::is_html;
use crate::renew::contract::RenewError;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1_024;

/// How deep an answer may nest.
const DEPTH: usize = 16;

/// The longest credential that is taken from an answer, in bytes: longer than any that a header or a cookie can carry.
const MAX_CREDENTIAL: usize = 16 * 1_024;

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
}

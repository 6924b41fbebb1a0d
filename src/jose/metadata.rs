//! What the metadata document of an issuer says, as far as we ask it.
//!
//! A document is believed only when it names the very issuer that was asked for; else one provider could speak for another.
//! Whether an address that it names may be called is not judged here.
//!
//! Rules: OpenID Connect Discovery 1.0 section 4.3, RFC 8414 section 3.3.

use url::Url;

use crate::domain::Value;
use crate::jose::json;

/// How deep a discovery document may nest.
const DEPTH: usize = 16;

/// The URL under `member` of the document `body`, if the document is that of `issuer`.
///
/// The caller bounds the length.
///
/// # Errors
///
/// What is wrong with the document, in our words.
pub fn url_in(body: &[u8], issuer: &str, member: &str) -> Result<Url, &'static str> {
    let document = json::parse_to_depth(body, DEPTH).map_err(|_| "the document is not well-formed JSON")?;
    if document.member("issuer").and_then(Value::as_text) != Some(issuer) {
        return Err("the document names another issuer than the conf");
    }
    let url = document.member(member).and_then(Value::as_text).ok_or("the document does not name the address we look for")?;
    let url = Url::parse(url).map_err(|_| "the address it names is no URL")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("the address it names carries a user or a fragment");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_speaks_for_its_own_issuer_only() {
        let cases = [
            (r#"{"issuer":"https://a","token_endpoint":"https://a/t"}"#, Ok("https://a/t"), "as it should be"),
            (r#"{"issuer":"https://a/","token_endpoint":"https://a/t"}"#, Err("another issuer"), "one byte more is another issuer"),
            (r#"{"token_endpoint":"https://a/t"}"#, Err("another issuer"), "no issuer at all"),
            (r#"{"issuer":"https://a"}"#, Err("does not name"), "no such member"),
            (r#"{"issuer":"https://a","token_endpoint":7}"#, Err("does not name"), "no text"),
            (r#"{"issuer":"https://a","token_endpoint":"/t"}"#, Err("no URL"), "a relative address"),
            (r#"{"issuer":"https://a","token_endpoint":"https://u@a/t"}"#, Err("a user"), "a user"),
            (r#"{"issuer":"https://a","token_endpoint":"https://a/t#f"}"#, Err("a fragment"), "a fragment"),
            (r#"{"issuer":"https://a","issuer":"https://a","token_endpoint":"https://a/t"}"#, Err("JSON"), "an issuer twice"),
            ("<html>", Err("JSON"), "no JSON"),
        ];
        for (body, expected, shows) in cases {
            let read = url_in(body.as_bytes(), "https://a", "token_endpoint");
            match (read, expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected, "{shows}"),
                (Err(says), Err(words)) => assert!(says.contains(words), "{shows}: {says}"),
                (read, expected) => panic!("{shows}: {read:?} instead of {expected:?}"),
            }
        }
    }
}

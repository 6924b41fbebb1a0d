//! The one canonical reading of a request target.
//!
//! What this returns is what is judged and what is forwarded. A target that two readers could take for two different
//! ones is refused, never repaired: dot segments, empty segments, backslashes, encoded separators and controls, broken
//! or overlong encodings, fragments, anything outside visible ASCII. Dot segments are not resolved either; a client that
//! means `/admin` can say so.
//!
//! Deliberately absent: decoding of reserved characters (`%3A` is forwarded as it came; `route::table` matches it as
//! `:`), a second round of decoding (`%2541` stays), any opinion on the query beyond its being well formed.
//!
//! Rules: RFC 9112 section 3.2, RFC 3986 sections 2.2 to 2.4, 3.3 and 6.2.2.

use crate::domain::{Refusal, Target};

/// A target, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Path and query in canonical form.
    pub target: Target,
    /// The authority of an absolute-form target (RFC 9112 section 3.2.2), as sent; `route::host` judges it.
    pub authority: Option<Box<str>>,
    /// Whether the path holds a `;`, raw or encoded. Some upstreams cut segments there and others do not, so a rule must
    /// say that it wants such paths.
    pub has_semicolon: bool,
}

/// The longest path we read, in bytes as sent. A longer one is [`Refusal::HeaderTooLarge`].
pub const MAX_PATH: usize = 8 * 1024;

/// Whether `raw` is the asterisk-form, which only `OPTIONS` may use (RFC 9112 section 3.2.4).
///
/// [`canonical`] refuses it; a caller that serves `OPTIONS *` asks this first.
#[must_use]
pub fn is_asterisk(raw: &[u8]) -> bool {
    raw == b"*"
}

/// Reads `raw`, the target exactly as sent, origin-form or absolute-form.
///
/// In the canonical path, percent-encoded unreserved characters are decoded, the remaining hex digits are upper case,
/// and the four characters that browsers leave bare against the grammar (`[`, `]`, `^`, `|`) are encoded. The query is
/// kept as sent. Reading a canonical target again changes nothing.
///
/// # Errors
///
/// - [`Refusal::HeaderTooLarge`] when the path is longer than [`MAX_PATH`].
/// - [`Refusal::TargetAmbiguous`] for everything else that has no reading, or more than one.
pub fn canonical(raw: &[u8]) -> Result<Reading, Refusal> {
    let (authority, rest) = match raw.first() {
        Some(b'/') => (None, raw),
        _ => split_absolute(raw)?,
    };
    let (path, query) = match memchr::memchr(b'?', rest) {
        Some(mark) => {
            let (path, query) = rest.split_at(mark);
            (path, query.get(1..))
        }
        None => (rest, None),
    };
    // An absolute-form target may leave the path out; it is then `/` (RFC 9112 section 3.2.1).
    let path = if path.is_empty() && authority.is_some() { b"/" } else { path };

    let (path, has_semicolon) = canonical_path(path)?;
    let query = query.map(checked_query).transpose()?;
    Ok(Reading { target: Target { path, query }, authority, has_semicolon })
}

/// What a byte of a path means to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// `/`, `.` and `;` stand for themselves, but where they stand matters.
    Slash,
    Dot,
    Semicolon,
    /// Starts an encoded byte.
    Percent,
    /// Not allowed bare by the grammar, sent bare by browsers: encoded.
    Encode,
    /// Has no place in a path.
    Refused,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'/' => Class::Slash,
        b'.' => Class::Dot,
        b';' => Class::Semicolon,
        b'%' => Class::Percent,
        b'[' | b']' | b'^' | b'|' => Class::Encode,
        // unreserved, sub-delims, `:` and `@`: RFC 3986 section 3.3.
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Class::Plain,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Class::Plain,
        _ => Class::Refused,
    }
}

/// Whether `byte` is unreserved, so that its encoded and bare forms are one (RFC 3986 section 2.3).
const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// The canonical form of `path`, and whether it holds a semicolon.
fn canonical_path(path: &[u8]) -> Result<(Box<str>, bool), Refusal> {
    if MAX_PATH < path.len() {
        return Err(Refusal::HeaderTooLarge);
    }
    if path.first() != Some(&b'/') {
        return Err(Refusal::TargetAmbiguous);
    }
    let mut has_semicolon = false;
    let mut as_sent = true;
    for byte in path {
        match class(*byte) {
            Class::Plain | Class::Slash | Class::Dot => {}
            Class::Semicolon => has_semicolon = true,
            Class::Percent | Class::Encode => as_sent = false,
            Class::Refused => return Err(Refusal::TargetAmbiguous),
        }
    }
    let text = std::str::from_utf8(path).map_err(|_| Refusal::TargetAmbiguous)?;
    if as_sent {
        check_segments(text)?;
        return Ok((text.into(), has_semicolon));
    }
    let rewritten = rewrite(path)?;
    check_segments(&rewritten)?;
    has_semicolon |= rewritten.contains("%3B");
    Ok((rewritten.into_boxed_str(), has_semicolon))
}

/// Decodes what may be decoded, encodes what must be, and refuses encoded bytes that no path should carry.
fn rewrite(path: &[u8]) -> Result<String, Refusal> {
    let mut out = String::with_capacity(path.len() + 8);
    // The text once decoded, to see that encoded bytes form UTF-8: an overlong `%C0%AE` is a dot to lax readers.
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let (value, encoded) = if *byte == b'%' {
            let (value, after) = decode_hex(after).ok_or(Refusal::TargetAmbiguous)?;
            rest = after;
            if value < 0x20 || value == 0x7f || value == b'/' || value == b'\\' {
                return Err(Refusal::TargetAmbiguous);
            }
            (value, !is_unreserved(value))
        } else {
            (*byte, class(*byte) == Class::Encode)
        };
        decoded.push(value);
        if encoded { push_encoded(&mut out, value) } else { out.push(char::from(value)) }
    }
    std::str::from_utf8(&decoded).map_err(|_| Refusal::TargetAmbiguous)?;
    Ok(out)
}

/// The byte that the two hex digits at the start of `text` name, and what follows them.
fn decode_hex(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    Some((hex_digit(digits[0])? << 4 | hex_digit(digits[1])?, rest))
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_encoded(out: &mut String, byte: u8) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase());
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

/// Refuses empty and dot segments of a path whose unreserved characters are already decoded.
fn check_segments(path: &str) -> Result<(), Refusal> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Only the last segment may be empty: a trailing slash.
        if segment.is_empty() && segments.peek().is_some() || is_dot_segment(segment) {
            return Err(Refusal::TargetAmbiguous);
        }
    }
    Ok(())
}

/// Whether some reader takes `segment` for `.` or `..`: bare, or with a path parameter behind it (`..;x`).
fn is_dot_segment(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('.') else { return false };
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    rest.is_empty() || rest.starts_with(';') || rest.starts_with("%3B")
}

/// The query, when every byte is visible ASCII, every percent sign starts an encoded byte, and none of those is NUL.
fn checked_query(query: &[u8]) -> Result<Box<str>, Refusal> {
    // Without a branch, many bytes are asked about at once.
    let visible = query.iter().fold(true, |sound, byte| sound & (0x21..=0x7e).contains(byte) & (*byte != b'#'));
    let names_a_byte = |at: usize| query.get(at + 1..).and_then(decode_hex).is_some_and(|(value, _)| value != 0);
    if !visible || !memchr::memchr_iter(b'%', query).all(names_a_byte) {
        return Err(Refusal::TargetAmbiguous);
    }
    std::str::from_utf8(query).map(Into::into).map_err(|_| Refusal::TargetAmbiguous)
}

/// An authority as sent, when there was one, and the rest of the target.
type Split<'r> = (Option<Box<str>>, &'r [u8]);

/// Splits an absolute-form target into its authority and the rest.
fn split_absolute(raw: &[u8]) -> Result<Split<'_>, Refusal> {
    let after_scheme = strip_scheme(raw, b"http://").or_else(|| strip_scheme(raw, b"https://")).ok_or(Refusal::TargetAmbiguous)?;
    let end = after_scheme.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at(end);
    let authority = std::str::from_utf8(authority).map_err(|_| Refusal::TargetAmbiguous)?;
    if authority.is_empty() {
        return Err(Refusal::TargetAmbiguous);
    }
    Ok((Some(authority.into()), rest))
}

fn strip_scheme<'r>(raw: &'r [u8], scheme: &[u8]) -> Option<&'r [u8]> {
    let (start, rest) = raw.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests;

//! The strict reading of one HTTP/1 request head, before Pingora's parser sees it.
//!
//! Pingora's parser repairs what it can: it accepts bare line feeds, prefers `Transfer-Encoding` where a length stands
//! beside it, folds equal lengths into one and percent-escapes broken request lines. Whatever two readers could read in
//! two ways is refused here instead, and everything that Pingora would refuse without telling anybody is refused here
//! too, so that it can be counted. Pure functions of bytes; nothing is changed, decoded or kept.
//!
//! Not here: whether a path or host is canonical (`route`), whether a body keeps its framing (`edge::framing`).
//!
//! Rules: RFC 9112 sections 2 to 6, RFC 9110 sections 5, 7.6.1, 7.8 and 10.1.1, RFC 6455 section 4.1.

use crate::domain::Reason;
use crate::edge::nominations;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes from the first of the request line to the end of the empty line.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// What the rest of the edge needs to know of an acceptable head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How the body is delimited.
    pub body: BodyLength,
    /// The client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// It asks for a WebSocket.
    pub websocket: bool,
    /// It has a field that is meant for this hop only (RFC 9110 section 7.6.1), or that once was.
    pub hop_by_hop: bool,
}

/// How a request body is delimited (RFC 9112 section 6.3). A request is never delimited by the end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// By `Content-Length`, or its absence: zero.
    Known(u64),
    /// By chunks.
    Chunked,
}

/// Why a head was refused: one of ours, never the client's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFault {
    /// The HTTP status to answer with.
    pub status: u16,
    /// The reason for records and metrics.
    pub reason: Reason,
    /// The finer name for metrics.
    pub why: &'static str,
}

impl HeadFault {
    /// A head that breaks a rule of framing or syntax.
    pub const fn malformed(why: &'static str) -> Self {
        Self { status: 400, reason: Reason::HeadMalformed, why }
    }

    /// A target that is none of the forms served here.
    const fn target(why: &'static str) -> Self {
        Self { status: 400, reason: Reason::TargetAmbiguous, why }
    }

    /// More bytes than allowed.
    pub const TOO_LARGE: Self = Self { status: 431, reason: Reason::HeaderTooLarge, why: "too_large" };
    /// More fields than allowed.
    pub const TOO_MANY_FIELDS: Self = Self { status: 431, reason: Reason::HeaderTooLarge, why: "too_many_fields" };
    /// Not complete within its time.
    pub const TOO_SLOW: Self = Self { status: 408, reason: Reason::HeadMalformed, why: "too_slow" };
    const VERSION: Self = Self { status: 505, reason: Reason::HeadMalformed, why: "version" };
    const EXPECTATION: Self = Self { status: 417, reason: Reason::HeadMalformed, why: "expectation" };
    const TUNNEL: Self = Self { status: 405, reason: Reason::MethodRefused, why: "connect" };
}

/// Where a head that is still arriving ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Not yet.
    Partial,
    /// It takes this many bytes, the empty line among them.
    Complete(usize),
}

/// Finds the end of a head line by line, as its bytes arrive; each byte is looked at once.
#[derive(Debug, Default, Clone, Copy)]
pub struct Finder {
    scanned: usize,
    line_start: usize,
    lines: usize,
}

impl Finder {
    /// Looks at what has arrived since the last call; `bytes` starts with the first byte of the request line.
    ///
    /// # Errors
    ///
    /// As soon as it is certain that the head will be refused: a line feed without its carriage return, an empty line
    /// where the request line should be, more bytes or fields than allowed.
    pub fn advance(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Extent, HeadFault> {
        while let Some(found) = bytes.get(self.scanned..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.scanned + found;
            let line = bytes.get(self.line_start..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(HeadFault::malformed("bare_line_feed"));
            };
            self.scanned = end + 1;
            self.line_start = self.scanned;
            if limits.bytes < self.scanned {
                return Err(HeadFault::TOO_LARGE);
            }
            if line.is_empty() {
                return if self.lines == 0 { Err(HeadFault::malformed("empty_line")) } else { Ok(Extent::Complete(self.scanned)) };
            }
            self.lines += 1;
            // The first line is the request line.
            if limits.fields + 1 < self.lines {
                return Err(HeadFault::TOO_MANY_FIELDS);
            }
        }
        self.scanned = bytes.len();
        if limits.bytes <= bytes.len() { Err(HeadFault::TOO_LARGE) } else { Ok(Extent::Partial) }
    }
}

/// Reads a complete head, as [`Finder`] delimited it.
///
/// `protected` lists, folded, the names that no client may have removed by nominating them in `Connection`.
///
/// # Errors
///
/// The first rule it breaks.
pub fn read(bytes: &[u8], protected: &[Box<str>]) -> Result<Head, HeadFault> {
    let lines = bytes.strip_suffix(b"\r\n\r\n").ok_or(HeadFault::malformed("no_end"))?;
    let mut lines = Lines(Some(lines));
    let request = RequestLine::read(lines.next().unwrap_or_default())?;

    let mut fields = Fields::default();
    for line in lines {
        fields.add(line, protected)?;
    }
    fields.conclude(request)
}

struct RequestLine<'h> {
    method: &'h [u8],
    target: &'h [u8],
    /// HTTP/1.0, where neither chunks nor upgrades nor expectations exist.
    old: bool,
}

impl<'h> RequestLine<'h> {
    fn read(line: &'h [u8]) -> Result<Self, HeadFault> {
        const MALFORMED: HeadFault = HeadFault::malformed("request_line");
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(MALFORMED);
        };
        if !is_token(method) {
            return Err(MALFORMED);
        }
        let old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(HeadFault::VERSION);
            }
            _ => return Err(MALFORMED),
        };
        if !target.iter().all(u8::is_ascii_graphic) {
            return Err(HeadFault::target("target_bytes"));
        }
        // Pingora would cut a fragment off; the rest are not URI characters, and its own writer escapes them.
        if target.iter().any(|byte| matches!(byte, b'#' | b'"' | b'<' | b'>')) {
            return Err(HeadFault::target("target_bytes"));
        }
        if method == b"CONNECT" {
            return Err(HeadFault::TUNNEL);
        }
        match target {
            [b'/', ..] => {}
            b"*" if method == b"OPTIONS" => {}
            _ if absolute_authority(target).is_some() => {}
            _ => return Err(HeadFault::target("target_form")),
        }
        Ok(Self { method, target, old })
    }
}

/// The authority of an absolute-form target (RFC 9112 section 3.2.2), `http` and `https` only.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let start = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let prefix = target.get(..scheme.len())?;
        prefix.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })?;
    let rest = target.get(start..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    rest.get(..end).filter(|authority| !authority.is_empty())
}

#[derive(Default)]
struct Fields<'h> {
    length: Option<u64>,
    chunked: bool,
    host: Option<&'h [u8]>,
    upgrade: Option<&'h [u8]>,
    expect: Option<&'h [u8]>,
    nominates_upgrade: bool,
    nominated: usize,
    hop_by_hop: bool,
}

impl<'h> Fields<'h> {
    fn add(&mut self, line: &'h [u8], protected: &[Box<str>]) -> Result<(), HeadFault> {
        if matches!(line, [b' ' | b'\t', ..]) {
            return Err(HeadFault::malformed("folded_field"));
        }
        let (name, value) = split_field(line).ok_or(HeadFault::malformed("field"))?;
        self.hop_by_hop |= is_hop_by_hop(name);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => sole(&mut self.host, value, "host_repeated"),
            6 if name.eq_ignore_ascii_case(b"expect") => sole(&mut self.expect, value, "expect_repeated"),
            7 if name.eq_ignore_ascii_case(b"upgrade") => sole(&mut self.upgrade, value, "upgrade_repeated"),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.nominates_upgrade |= nominations::check(value, &mut self.nominated, protected)?;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(HeadFault::malformed("length_repeated"));
                }
                self.length = Some(read_length(value).ok_or(HeadFault::malformed("length"))?);
                Ok(())
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked {
                    return Err(HeadFault::malformed("coding_repeated"));
                }
                // Exactly this: no list, no parameter, no other case. Pingora would look at the last token only.
                if value != b"chunked" {
                    return Err(HeadFault::malformed("coding"));
                }
                self.chunked = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn conclude(self, request: RequestLine<'_>) -> Result<Head, HeadFault> {
        if self.chunked && self.length.is_some() {
            return Err(HeadFault::malformed("length_and_coding"));
        }
        if self.chunked && request.old {
            return Err(HeadFault::malformed("coding_in_1_0"));
        }
        match self.host {
            None if !request.old => return Err(HeadFault::malformed("host_missing")),
            Some(host) if !is_authority(host) => return Err(HeadFault::malformed("host")),
            _ => {}
        }
        if let Some(authority) = absolute_authority(request.target)
            && (!is_authority(authority) || self.host.is_some_and(|host| host != authority))
        {
            return Err(HeadFault::target("target_host"));
        }

        let body = if self.chunked { BodyLength::Chunked } else { BodyLength::Known(self.length.unwrap_or(0)) };
        let empty = body == BodyLength::Known(0);
        let expects_continue = match self.expect {
            // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
            Some(_) if request.old => false,
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => !empty,
            Some(_) => return Err(HeadFault::EXPECTATION),
            None => false,
        };
        // Any other protocol is not switched to: the field is ignored and never sent on.
        let websocket = self.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        if websocket && (request.old || request.method != b"GET" || !empty || !self.nominates_upgrade) {
            return Err(HeadFault::malformed("upgrade"));
        }
        Ok(Head { body, expects_continue, websocket, hop_by_hop: self.hop_by_hop })
    }
}

/// Whether a field of this name ends here. Longer lists are kept by some; this is what Pingora takes off.
fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is(b"te"),
        7 => is(b"trailer") || is(b"upgrade"),
        10 => is(b"connection") || is(b"keep-alive"),
        14 => is(b"http2-settings"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        18 => is(b"proxy-authenticate"),
        19 => is(b"proxy-authorization"),
        _ => false,
    }
}

fn sole<'h>(place: &mut Option<&'h [u8]>, value: &'h [u8], why: &'static str) -> Result<(), HeadFault> {
    if place.replace(value).is_some() { Err(HeadFault::malformed(why)) } else { Ok(()) }
}

/// Name and value of a field line, optional whitespace taken off; `None` when it is not one (RFC 9112 section 5).
pub(super) fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let value = trim(value);
    // A credential is long, and every byte of it is asked about: without a branch, many are asked about at once.
    let sound = value.iter().fold(true, |sound, byte| sound & ((*byte == b'\t') | ((b' ' <= *byte) & (*byte != 0x7f))));
    (sound && is_token(name)).then_some((name, value))
}

/// Without optional whitespace at its ends: spaces and tabs, nothing else (RFC 9110 section 5.6.3).
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !blank(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// Decimal digits without sign or needless zeros; at most what a signed 64-bit length can hold.
fn read_length(value: &[u8]) -> Option<u64> {
    let canonical = value == b"0" || (matches!(value, [b'1'..=b'9', ..]) && value.iter().all(u8::is_ascii_digit));
    let length: u64 = canonical.then(|| std::str::from_utf8(value).ok()?.parse().ok())??;
    i64::try_from(length).is_ok().then_some(length)
}

/// One or more token characters (RFC 9110 section 5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// A pattern and not a list to search: every byte of every field name is asked about.
const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    )
}

/// `host [":" port]` without user information (RFC 9110 section 7.2). Its canonical reading is the router's.
fn is_authority(value: &[u8]) -> bool {
    is_plain_authority(value) || is_any_authority(value)
}

/// What nearly all of them are: a name or an IPv4 address, and a port or none.
fn is_plain_authority(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')).unwrap_or(value.len());
    match value.get(end..) {
        Some([]) => 0 < end,
        Some([b':', port @ ..]) => {
            let number = port.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')));
            0 < end && (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit) && number <= u32::from(u16::MAX)
        }
        _ => false,
    }
}

fn is_any_authority(value: &[u8]) -> bool {
    let Ok(authority) = http::uri::Authority::try_from(value) else { return false };
    let text = authority.as_str();
    if text.contains('@') || authority.host().is_empty() {
        return false;
    }
    match text.get(authority.host().len()..) {
        Some("") => true,
        Some(port) => port.strip_prefix(':').is_some_and(|port| port.len() <= 5 && port.parse::<u16>().is_ok_and(|_| is_digits(port))),
        None => false,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lines between carriage-return-line-feed pairs.
struct Lines<'h>(Option<&'h [u8]>);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.0?;
        // A line feed always follows a carriage return here; a lone carriage return stays in its line and fails there.
        match memchr::memchr(b'\n', rest) {
            Some(end) => {
                self.0 = rest.get(end + 1..);
                rest.get(..end.saturating_sub(1))
            }
            None => {
                self.0 = None;
                Some(rest)
            }
        }
    }
}

#[cfg(test)]
mod tests;

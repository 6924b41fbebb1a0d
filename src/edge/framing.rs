//! Where the body of a request ends, told by its own framing, before Pingora reads it.
//!
//! A body is measured, not decoded: its bytes go on as they came. Measuring is needed twice. What follows the body is the
//! next request and must wait for its own turn and verdict; and Pingora's chunk reader forgives what this one refuses (an
//! absent size, blanks after it, any byte in an extension, any trailer), which is how two readers come to disagree.
//!
//! Not here: decoding, and any judgement of content. Rules: RFC 9112 sections 6.3 and 7.1.

use crate::edge::head::{BodyLength, split_field};

/// A chunk line may be this long, extension included. Nobody needs extensions; RFC 9112 section 7.1.1 asks for a bound.
const CHUNK_LINE: usize = 256;
/// All trailer lines together.
const TRAILERS: usize = 8 * 1024;
/// Digits of a chunk size: what 60 bits hold.
const SIZE_DIGITS: usize = 15;

/// Measures one body as its bytes pass.
#[derive(Debug)]
pub struct Ruler {
    state: State,
    /// The line that is arriving, where its content matters.
    line: Vec<u8>,
    trailers: usize,
    content: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes to come, delimited by `Content-Length`.
    Length(u64),
    /// A chunk line.
    Size,
    /// Bytes of a chunk to come.
    Data(u64),
    /// The carriage return after a chunk, then the line feed.
    DataReturn,
    DataFeed,
    /// A trailer line, or the empty one that ends the message.
    Trailer,
    Done,
}

impl Ruler {
    /// A ruler for a body delimited like this.
    #[must_use]
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Known(0) => State::Done,
            BodyLength::Known(length) => State::Length(length),
            BodyLength::Chunked => State::Size,
        };
        Self { state, line: Vec::new(), trailers: 0, content: 0 }
    }

    /// Whether the message is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes of content have passed, framing not counted.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.content
    }

    /// How many of `bytes`, which follow what was measured before, belong to the body.
    ///
    /// # Errors
    ///
    /// The rule that is broken. Nothing may be passed on or measured after that.
    pub fn measure(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.state {
                State::Done => break,
                State::Length(left) => {
                    let taken = skip(&mut rest, left);
                    self.content = self.content.saturating_add(taken);
                    self.state = if taken == left { State::Done } else { State::Length(left - taken) };
                }
                State::Data(left) => {
                    let taken = skip(&mut rest, left);
                    self.content = self.content.saturating_add(taken);
                    self.state = if taken == left { State::DataReturn } else { State::Data(left - taken) };
                }
                State::DataReturn => self.state = expect(&mut rest, b'\r', State::DataFeed)?,
                State::DataFeed => self.state = expect(&mut rest, b'\n', State::Size)?,
                State::Size => {
                    if self.read_line(&mut rest, CHUNK_LINE, "chunk_line_long")? {
                        let size = chunk_size(&self.line)?;
                        self.line.clear();
                        self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                    }
                }
                State::Trailer => {
                    if self.read_line(&mut rest, TRAILERS - self.trailers, "trailers_long")? {
                        self.trailers += self.line.len();
                        if self.line.is_empty() {
                            self.state = State::Done;
                        } else {
                            check_trailer(&self.line)?;
                            self.line.clear();
                        }
                    }
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes bytes up to a line end; true when `line` holds a whole line, its end taken off.
    fn read_line(&mut self, rest: &mut &[u8], limit: usize, too_long: &'static str) -> Result<bool, &'static str> {
        let found = memchr::memchr(b'\n', rest);
        let (part, after) = rest.split_at(found.map_or(rest.len(), |end| end + 1));
        if limit < self.line.len() + part.len() {
            return Err(too_long);
        }
        self.line.extend_from_slice(part);
        *rest = after;
        if found.is_none() {
            return Ok(false);
        }
        match self.line.strip_suffix(b"\r\n") {
            Some(line) if !line.contains(&b'\r') => {
                let length = line.len();
                self.line.truncate(length);
                Ok(true)
            }
            _ => Err("chunk_line_end"),
        }
    }
}

/// Takes up to `most` bytes off; how many it took.
fn skip(rest: &mut &[u8], most: u64) -> u64 {
    let taken = usize::try_from(most).unwrap_or(usize::MAX).min(rest.len());
    *rest = rest.get(taken..).unwrap_or_default();
    taken as u64
}

fn expect(rest: &mut &[u8], byte: u8, next: State) -> Result<State, &'static str> {
    match rest.split_first() {
        Some((first, after)) if *first == byte => {
            *rest = after;
            Ok(next)
        }
        _ => Err("chunk_end"),
    }
}

/// `chunk-size [ chunk-ext ]`: hexadecimal digits, at once followed by the end or by `;` and visible text.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extension) = line.split_at(digits);
    if size.is_empty() || SIZE_DIGITS < size.len() {
        return Err("chunk_size");
    }
    match extension {
        [] => {}
        [b';', text @ ..] if text.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t') => {}
        _ => return Err("chunk_extension"),
    }
    std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok()).ok_or("chunk_size")
}

/// Trailers are dropped by Pingora; those that would mean something if anybody merged them are refused (RFC 9110 section 6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), &'static str> {
    const NEVER: &[&[u8]] = &[b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer", b"authorization", b"cookie"];
    let (name, _) = split_field(line).ok_or("trailer")?;
    if NEVER.iter().any(|never| name.eq_ignore_ascii_case(never)) { Err("trailer_forbidden") } else { Ok(()) }
}

#[cfg(test)]
mod tests;

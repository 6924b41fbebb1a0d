//! Where a reply's head ends and where its body does, followed from outside while the bytes pass.
//!
//! Pingora reads the same bytes after us, and its reading is what goes to the client; ours only decides how long they are held and
//! what is classified. So where the two could differ (two lengths, a coding of the way that is not just `chunked`, bytes behind the end)
//! the reply is not followed any further: it is lost, and goes on as it comes.
//!
//! Not here: reading, holding, timing (`socket`). Rules: RFC 9112 section 6.3, RFC 9110 section 15.2.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::edge::framing::Ruler;
use crate::edge::head::BodyLength;

/// Heads that come before the final one included, one by one. Pingora's own bounds lie beyond.
const MOST_HEAD: usize = 64 * 1024;
/// Fields of a head, as Pingora has it.
const MOST_FIELDS: usize = 256;

/// Follows one reply.
#[derive(Debug)]
pub(super) struct Follower {
    bodiless: bool,
    stage: Stage,
}

/// How far a reply has come.
#[derive(Debug)]
enum Stage {
    /// The final head is still to come, or is coming.
    Head,
    /// A body whose framing says where it ends.
    Framed { ruler: Ruler, length: BodyLength },
    /// A body that the end of the connection ends.
    Endless { content: u64 },
    /// The reply is complete, and nothing came behind it.
    Over,
    /// Not followed any further.
    Lost,
}

/// What a look at the bytes of a head has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeadFound {
    /// Not all of it is there.
    Part,
    /// An interim head of so many bytes; another follows.
    Interim(usize),
    /// The final head, of so many bytes.
    Final(usize),
    /// It cannot be followed.
    Lost,
}

impl Follower {
    /// Follows the reply to a request that was just sent; `bodiless` when it has no body whatever its head says.
    pub(super) fn new(bodiless: bool) -> Self {
        Self { bodiless, stage: Stage::Head }
    }

    /// Whether the final head is still to come.
    pub(super) fn awaits_head(&self) -> bool {
        matches!(self.stage, Stage::Head)
    }

    /// Whether the reply is complete, with nothing behind it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether it is not followed any further.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.stage, Stage::Lost)
    }

    /// Whether only the end of the connection ends it.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self.stage, Stage::Endless { .. })
    }

    /// Whether its content is more than `most` bytes, as announced or as it has come so far.
    pub(super) fn outgrows(&self, most: u64) -> bool {
        match &self.stage {
            Stage::Framed { length: BodyLength::Known(length), .. } => most < *length,
            Stage::Framed { ruler, length: BodyLength::Chunked } => most < ruler.content(),
            Stage::Endless { content } => most < *content,
            Stage::Head | Stage::Over | Stage::Lost => false,
        }
    }

    /// Looks at `bytes`, which begin with a head.
    pub(super) fn read_head(&mut self, bytes: &[u8]) -> HeadFound {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match httparse::ParserConfig::default().parse_response(&mut head, bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() <= MOST_HEAD => return HeadFound::Part,
            Ok(httparse::Status::Partial) | Err(_) => return self.lose_head(),
        };
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            return HeadFound::Interim(length);
        }
        let stage = match status {
            101 => None,
            204 | 304 => Some(Stage::Over),
            _ if self.bodiless => Some(Stage::Over),
            _ => body_of(head.headers),
        };
        match stage {
            Some(stage) => {
                self.stage = stage;
                HeadFound::Final(length)
            }
            None => self.lose_head(),
        }
    }

    /// Follows `bytes`, which come behind the final head and what was followed before.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Framed { ruler, .. } => match ruler.measure(bytes) {
                Ok(taken) if taken == bytes.len() && ruler.is_done() => self.stage = Stage::Over,
                Ok(taken) if taken == bytes.len() => {}
                Ok(_) | Err(_) => self.stage = Stage::Lost,
            },
            Stage::Endless { content } => *content = content.saturating_add(bytes.len() as u64),
            Stage::Over if bytes.is_empty() => {}
            Stage::Head | Stage::Over => self.stage = Stage::Lost,
            Stage::Lost => {}
        }
    }

    /// Whether the body that is being followed is chunked.
    pub(super) fn is_chunked(&self) -> bool {
        matches!(self.stage, Stage::Framed { length: BodyLength::Chunked, .. })
    }

    /// What has passed cannot be followed: from now on it is lost.
    pub(super) fn lose(&mut self) {
        self.stage = Stage::Lost;
    }

    fn lose_head(&mut self) -> HeadFound {
        self.lose();
        HeadFound::Lost
    }
}

/// How the body behind a head is delimited; `None` where two readers could disagree.
fn body_of(fields: &[httparse::Header<'_>]) -> Option<Stage> {
    let mut lengths = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
    let mut codings = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
    match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
        (None, _, None, _) => Some(Stage::Endless { content: 0 }),
        (Some(length), None, None, _) => {
            let digits = std::str::from_utf8(length.value).ok()?;
            let length = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
            Some(if length == 0 { Stage::Over } else { framed(BodyLength::Known(length)) })
        }
        (None, _, Some(coding), None) if coding.value.eq_ignore_ascii_case(b"chunked") => Some(framed(BodyLength::Chunked)),
        _ => None,
    }
}

fn framed(length: BodyLength) -> Stage {
    Stage::Framed { ruler: Ruler::new(length), length }
}

/// The content of a chunked body that was followed to its end.
pub(super) fn content_of_chunks(mut body: &[u8]) -> Option<Bytes> {
    let mut content = BytesMut::with_capacity(body.len());
    loop {
        let end = memchr(b'\n', body)?;
        let (line, rest) = (body.get(..end)?, body.get(end + 1..)?);
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let size = usize::from_str_radix(std::str::from_utf8(line.get(..digits)?).ok()?, 16).ok()?;
        if size == 0 {
            return Some(content.freeze());
        }
        content.extend_from_slice(rest.get(..size)?);
        body = rest.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests;

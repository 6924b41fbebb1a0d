//! One text of an XML document: what stands in the only element of a given name.
//!
//! The document is walked from end to end, so that the element is found wherever it stands and in whatever namespace. It has one
//! reading or none: a document type (and with it every entity of its own), an encoding other than UTF-8, tags that do not match, an
//! element of that name with anything but plain characters in it, and the whole is malformed. Attributes and comments are not looked into.
//!
//! Source: XML 1.0 (fifth edition), sections 2 and 3; Namespaces in XML 1.0, section 3.

use crate::domain::Doubt;

/// How deep elements may nest.
const DEPTH: usize = 100;

/// The text of the only element called `name`, whatever its namespace; `None` when there is no such element.
///
/// # Errors
///
/// [`Doubt::Conflict`] when there are two, [`Doubt::Malformed`] when the document, or what stands in the element, has no single reading.
pub fn sole_text(document: &str, name: &str) -> Result<Option<String>, Doubt> {
    let mut walk = Walk { rest: document.strip_prefix('\u{feff}').unwrap_or(document), open: Vec::new(), rooted: false };
    let mut found = None;
    while let Some(piece) = walk.next()? {
        let Piece::Start { local, empty } = piece else { continue };
        if local != name {
            continue;
        }
        if found.is_some() {
            return Err(Doubt::Conflict);
        }
        if empty {
            return Err(Doubt::Malformed);
        }
        let (Some(Piece::Text(text)), Some(Piece::End)) = (walk.next()?, walk.next()?) else { return Err(Doubt::Malformed) };
        if text.contains('&') {
            return Err(Doubt::Malformed);
        }
        found = Some(text.to_owned());
    }
    Ok(found)
}

/// One piece of a document.
enum Piece<'d> {
    /// The beginning of an element.
    Start {
        /// Its name without a prefix.
        local: &'d str,
        /// Whether it is its end as well.
        empty: bool,
    },
    /// The end of one.
    End,
    /// Characters between tags, references to characters left as they stand.
    Text(&'d str),
    /// Characters in which nothing is a reference, a comment, or an instruction.
    Other,
}

/// Where in a document somebody stands.
struct Walk<'d> {
    rest: &'d str,
    /// The elements around, by their whole names.
    open: Vec<&'d str>,
    /// Whether the outermost element has begun.
    rooted: bool,
}

impl<'d> Walk<'d> {
    /// The next piece; `None` at the end of a whole document.
    fn next(&mut self) -> Result<Option<Piece<'d>>, Doubt> {
        if self.rest.is_empty() {
            return if self.rooted && self.open.is_empty() { Ok(None) } else { Err(Doubt::Malformed) };
        }
        let Some(markup) = self.rest.strip_prefix('<') else { return self.text().map(Some) };
        if let Some(inside) = markup.strip_prefix("!--") {
            let comment = self.until(inside, "-->")?;
            return if comment.contains("--") { Err(Doubt::Malformed) } else { Ok(Some(Piece::Other)) };
        }
        if let Some(inside) = markup.strip_prefix("![CDATA[") {
            self.until(inside, "]]>")?;
            return if self.open.is_empty() { Err(Doubt::Malformed) } else { Ok(Some(Piece::Other)) };
        }
        if let Some(inside) = markup.strip_prefix('?') {
            let instruction = self.until(inside, "?>")?;
            return if is_readable(instruction) { Ok(Some(Piece::Other)) } else { Err(Doubt::Malformed) };
        }
        if let Some(inside) = markup.strip_prefix('/') {
            let name = self.until(inside, ">")?.trim_end_matches(is_space);
            return if self.open.pop() == Some(name) { Ok(Some(Piece::End)) } else { Err(Doubt::Malformed) };
        }
        // A document type among others: what it declares would be read by everybody but us.
        self.start(markup).map(Some)
    }

    fn text(&mut self) -> Result<Piece<'d>, Doubt> {
        let end = self.rest.find('<').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end).ok_or(Doubt::Malformed)?;
        self.rest = rest;
        if self.open.is_empty() && !text.chars().all(is_space) {
            return Err(Doubt::Malformed);
        }
        Ok(Piece::Text(text))
    }

    fn start(&mut self, markup: &'d str) -> Result<Piece<'d>, Doubt> {
        let mut quote = None;
        let mut end = None;
        for (at, byte) in markup.bytes().enumerate() {
            match (quote, byte) {
                (None, b'>') => {
                    end = Some(at);
                    break;
                }
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(opened), byte) if opened == byte => quote = None,
                (_, b'<') => break,
                _ => {}
            }
        }
        let (tag, rest) = end.and_then(|end| markup.split_at_checked(end)).ok_or(Doubt::Malformed)?;
        self.rest = rest.strip_prefix('>').unwrap_or_default();
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split(is_space).next().unwrap_or_default();
        let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
        if !is_name(name) || local.is_empty() || (self.rooted && self.open.is_empty()) || DEPTH <= self.open.len() {
            return Err(Doubt::Malformed);
        }
        self.rooted = true;
        if !empty {
            self.open.push(name);
        }
        Ok(Piece::Start { local, empty })
    }

    /// What stands in `inside` before `end`, behind which the walk goes on.
    fn until(&mut self, inside: &'d str, end: &str) -> Result<&'d str, Doubt> {
        let (before, behind) = inside.split_once(end).ok_or(Doubt::Malformed)?;
        self.rest = behind;
        Ok(before)
    }
}

/// Whether an instruction leaves the bytes what they are to us: the declaration of another encoding does not.
fn is_readable(instruction: &str) -> bool {
    let Some(declaration) = instruction.strip_prefix("xml").filter(|rest| rest.starts_with(is_space)) else { return true };
    match declaration.split_once("encoding") {
        None => true,
        Some((_, value)) => {
            let value = value.trim_start_matches(is_space).strip_prefix('=').unwrap_or_default().trim_start_matches(is_space);
            let named = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(name, _)| name);
            let name = named('"').or_else(|| named('\''));
            name.is_some_and(|name| ["utf-8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known)))
        }
    }
}

/// Whether `name` has the form of a name, as far as it matters here.
fn is_name(name: &str) -> bool {
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    name.starts_with(|c: char| !c.is_ascii() || c.is_ascii_alphabetic() || matches!(c, '_' | ':')) && name.chars().all(plain)
}

/// White space of XML.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

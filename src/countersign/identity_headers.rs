//! Plain header fields that say who is calling.
//!
//! Each configured field is set from the identity or is absent; nothing a client sent survives under its name. A value
//! that cannot be written without ambiguity refuses the request: control characters, spaces at either end, text outside
//! ASCII (unless `encode: percent`), a list whose items hold the separator, an object.
//!
//! Deliberately absent: a value for nobody. A public route emits none of them.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::countersign::contract::{CountersignTools, Countersigner, CountersignerEntry, CountersignerPlan};
use crate::countersign::firewall::{fold, reserved};
use crate::domain::{Claim, Identity, Refusal, RequestView, Timestamp};
use crate::settings::{Checking, Entry, KeySpec, Node, Section, SectionSpec, Shape};

/// The line on the roll-call.
pub const ENTRY: CountersignerEntry = CountersignerEntry {
    name: "identity_headers",
    doc: "Header fields that say who is calling, by name; replaces the default set. `none` sends none.",
    shape: Shape::Either(&[Shape::OneOf(&["default", "none"]), Shape::Map(&Shape::Either(&[Shape::Text, Shape::Section(&FIELD)]))]),
    plan,
};

static FIELD: SectionSpec = SectionSpec {
    title: "an identity header",
    doc: "Where the value of the field comes from, and how it is written.",
    keys: &[
        KeySpec::required(
            "from",
            Shape::Text,
            "`subject`, `issuer`, `scopes`, `scheme`, `authenticator`, `claims.a.b`, or any of these under `also.NAME.`",
        ),
        KeySpec::default(
            "encode",
            Shape::OneOf(&["refuse", "percent"]),
            "refuse",
            "What becomes of text that a field cannot carry: `refuse` the request, or write it percent-encoded (UTF-8).",
        ),
    ],
};

/// The longest value we write, in bytes. Upstreams commonly refuse heads beyond 8 KiB.
const MAX_VALUE: usize = 4096;

/// The fields, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    fields: Box<[Field]>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: HeaderName,
    source: Source,
    encoding: Encoding,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Subject,
    Issuer,
    Scopes,
    Scheme,
    Authenticator,
    /// A dotted path into the claims; each dot descends one level.
    Claim(Box<str>),
    /// The same of an identity that another branch of `all` proved.
    Also(Box<str>, Box<Source>),
}

/// What becomes of text that a field cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Refuse,
    Percent,
}

impl IdentityHeaders {
    /// The set that is sent where a rule says nothing: `X-Auth-Subject`, `X-Auth-Issuer`, `X-Auth-Scopes` and
    /// `X-Auth-Method` (the scheme).
    #[must_use]
    pub fn standard() -> Self {
        let field = |name, source| Field { name: HeaderName::from_static(name), source, encoding: Encoding::Refuse };
        let fields = [
            field("x-auth-subject", Source::Subject),
            field("x-auth-issuer", Source::Issuer),
            field("x-auth-scopes", Source::Scopes),
            field("x-auth-method", Source::Scheme),
        ];
        Self { fields: fields.into() }
    }
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>> {
    match node.as_text() {
        Some("default") => return Some(Box::new(IdentityHeaders::standard())),
        Some("none") => return Some(Box::new(IdentityHeaders { fields: Box::default() })),
        _ => {}
    }
    let before = checking.faults.errors();
    let mut fields: Vec<Field> = Vec::new();
    for entry in node.as_map().unwrap_or_default() {
        let Some(field) = plan_field(entry, checking) else { continue };
        if let Some(twin) = fields.iter().find(|other| fold(other.name.as_str()) == fold(field.name.as_str())) {
            checking
                .faults
                .error(&entry.span, format!("`{}` and `{}` are one name to many upstreams; keep one of them", twin.name, entry.key));
        }
        fields.push(field);
    }
    (checking.faults.errors() == before).then(|| Box::new(IdentityHeaders { fields: fields.into() }) as Box<dyn CountersignerPlan>)
}

fn plan_field(entry: &Entry, checking: &mut Checking<'_>) -> Option<Field> {
    let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
        checking.faults.error(&entry.span, format!("`{}` is not a header field name (RFC 9110 section 5.1)", entry.key));
        return None;
    };
    if let Some(why) = reserved(&name) {
        checking.faults.error(&entry.span, format!("`{}` cannot carry identity: {why}; choose a name such as `X-Auth-Subject`", entry.key));
        return None;
    }
    if name.as_str().contains('_') {
        let better = entry.key.replace('_', "-");
        checking.faults.warn(&entry.span, format!("many servers drop names with `_`; write `{better}`"));
    }
    let (written, encoding) = if entry.node.as_text().is_some() {
        (&entry.node, Encoding::Refuse)
    } else {
        let section = Section::open(&FIELD, &entry.node, checking.faults)?;
        let encoding = if section.text("encode") == Some("percent") { Encoding::Percent } else { Encoding::Refuse };
        (section.node("from")?, encoding)
    };
    let source = read_source(written.as_text().unwrap_or_default(), written, checking)?;
    Some(Field { name, source, encoding })
}

fn read_source(text: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Source> {
    const WORDS: &str = "`subject`, `issuer`, `scopes`, `scheme`, `authenticator`, `claims.NAME` or `also.AUTHENTICATOR.subject`";
    let source = match (text, text.split_once('.')) {
        ("subject", _) => Source::Subject,
        ("issuer", _) => Source::Issuer,
        ("scopes", _) => Source::Scopes,
        ("scheme", _) => Source::Scheme,
        ("authenticator", _) => Source::Authenticator,
        (_, Some(("claims", path))) if path.split('.').all(|part| !part.is_empty()) => Source::Claim(path.into()),
        (_, Some(("also", rest))) => {
            let (name, rest) = rest.split_once('.').unwrap_or((rest, "subject"));
            if !checking.resolve("authenticators", name, &node.span) {
                return None;
            }
            Source::Also(name.into(), Box::new(read_source(rest, node, checking)?))
        }
        _ => {
            checking.faults.error(&node.span, format!("`{text}` is nothing an identity has; write one of {WORDS}"));
            return None;
        }
    };
    Some(source)
}

impl CountersignerPlan for IdentityHeaders {
    fn names(&self) -> Vec<HeaderName> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }

    fn build(&self, _tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Countersigner for IdentityHeaders {
    fn sign(
        &self,
        identity: Option<&Identity>,
        _request: &RequestView<'_>,
        _now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal> {
        let Some(identity) = identity else { return Ok(()) };
        for field in &self.fields {
            let Some(text) = field.source.read(identity, field.encoding)? else { continue };
            // Whatever is left here is visible ASCII and inner spaces.
            let value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| Refusal::PolicyDenied)?;
            out.push((field.name.clone(), value));
        }
        Ok(())
    }
}

impl Source {
    /// The value as it is written, or `None` when the identity has none.
    fn read(&self, identity: &Identity, encoding: Encoding) -> Result<Option<String>, Refusal> {
        let mut line = Line { text: String::new(), encoding };
        match self {
            Self::Subject => line.word(&identity.subject, None)?,
            Self::Issuer => line.word(&identity.issuer, None)?,
            Self::Scheme => line.word(identity.scheme, None)?,
            Self::Authenticator => line.word(&identity.authenticator, None)?,
            // Scopes are written as OAuth writes them: RFC 6749 section 3.3.
            Self::Scopes => {
                for scope in &identity.scopes {
                    line.item(scope, ' ')?;
                }
            }
            Self::Claim(path) => match identity.claims.at_path(path) {
                None | Some(Claim::Null) => return Ok(None),
                Some(Claim::List(items)) => {
                    for item in items {
                        line.item(&scalar(item)?, ',')?;
                    }
                }
                Some(value) => line.word(&scalar(value)?, None)?,
            },
            Self::Also(name, source) => {
                let other = identity.also.iter().find(|(other, _)| **other == **name);
                return other.map_or(Ok(None), |(_, identity)| source.read(identity, encoding));
            }
        }
        if MAX_VALUE < line.text.len() {
            return Err(Refusal::PolicyDenied);
        }
        Ok((!line.text.is_empty()).then_some(line.text))
    }
}

/// A claim as text. Objects and nested lists have no one way to be written.
fn scalar(value: Claim<'_>) -> Result<std::borrow::Cow<'_, str>, Refusal> {
    match value {
        Claim::Text(text) => Ok(text.into()),
        Claim::Bool(truth) => Ok(if truth { "true" } else { "false" }.into()),
        Claim::Int(number) => Ok(number.to_string().into()),
        Claim::Float(number) => Ok(number.to_string().into()),
        Claim::Null | Claim::List(_) | Claim::Map(_) => Err(Refusal::PolicyDenied),
    }
}

/// A value being written.
struct Line {
    text: String,
    encoding: Encoding,
}

impl Line {
    /// Appends an item of a list, after `separator` when it is not the first.
    fn item(&mut self, text: &str, separator: char) -> Result<(), Refusal> {
        // An empty item would vanish, or read as one more separator.
        if text.is_empty() {
            return Err(Refusal::PolicyDenied);
        }
        if !self.text.is_empty() {
            self.text.push(separator);
        }
        self.word(text, Some(separator))
    }

    /// Appends `text`, in which `separator` must not stand.
    fn word(&mut self, text: &str, separator: Option<char>) -> Result<(), Refusal> {
        match self.encoding {
            Encoding::Refuse => {
                let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, 0x20..=0x7e));
                let is_trimmed = !text.starts_with(' ') && !text.ends_with(' ');
                let is_one = separator.is_none_or(|separator| !text.contains(separator));
                if !(is_plain && is_trimmed && is_one) {
                    return Err(Refusal::PolicyDenied);
                }
                if self.text.is_empty() {
                    // Nearly always all of it: a text with room to spare would be copied to become a value.
                    self.text.reserve_exact(text.len());
                }
                self.text.push_str(text);
            }
            Encoding::Percent => {
                for byte in text.bytes() {
                    // The separators are encoded everywhere, so that decoding a value never makes two of one.
                    if matches!(byte, 0x21..=0x7e) && byte != b'%' && byte != b',' {
                        self.text.push(char::from(byte));
                    } else {
                        write!(self.text, "%{byte:02X}").map_err(|_| Refusal::Internal)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

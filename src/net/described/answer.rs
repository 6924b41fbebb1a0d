//! Which answers are meant, and where in them something stands, by what the conf writes.
//!
//! What an answer of which kind comes to is the business of whoever asks; so is reading its body, which is handed in as a value
//! with one reading, or not at all.
//!
//! Rules: RFC 6901 (JSON Pointer).

use http::header::CONTENT_TYPE;

use crate::domain::Value;
use crate::net::client::Reply;
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape};

/// Rules for answers: one of them, or several of which one must fit.
pub const MATCHERS: Shape = Shape::List { of: &Shape::Section(&MATCHER), lone: true, min: 1 };

/// A value that can be written out: text, a whole number, true or false; or several, of which one must be the value.
pub const EXACT: Shape =
    Shape::List { of: &Shape::Either(&[Shape::Text, Shape::Count { min: i64::MIN, max: i64::MAX }, Shape::Bool]), lone: true, min: 1 };

/// One rule for answers.
pub static MATCHER: SectionSpec = SectionSpec {
    title: "a rule for answers",
    doc: "Which answers are meant: everything that is written must hold.",
    keys: &[
        KeySpec::optional(
            "status",
            Shape::List { of: &Shape::Count { min: 100, max: 599 }, lone: true, min: 1 },
            "Answers of one of these statuses; of any unless written.",
        ),
        KeySpec::optional("when", Shape::Section(&WHEN), "Answers that say this."),
    ],
};

static WHEN: SectionSpec = SectionSpec {
    title: "`when`",
    doc: "A place in the answer, and what stands there.",
    keys: &[
        KeySpec::required("pointer", Shape::Text, "The place, as a JSON Pointer."),
        KeySpec::required("equals", EXACT, "The exact value, or a list of which one must be the value."),
    ],
};

/// A place in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Box<[Box<str>]>);

impl Pointer {
    /// Reads `text`; `None` when it is no pointer below the root (RFC 6901 section 3).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let token = |part: &str| {
            let is_escaped = part.split('~').skip(1).all(|behind| behind.starts_with(['0', '1']));
            is_escaped.then(|| part.replace("~1", "/").replace("~0", "~").into())
        };
        text.strip_prefix('/')?.split('/').map(token).collect::<Option<_>>().map(Self)
    }

    /// Reads what is written under `key` of `section`; `None` when there is nothing, or after a fault.
    pub fn under(key: &str, section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let text = section.text(key)?;
        let pointer = Self::read(text);
        if pointer.is_none() {
            checking.faults.error(section.span_of(key), no_pointer(text));
        }
        pointer
    }

    /// What stands there; `None` when there is nothing, or `null`.
    #[must_use]
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        let step = |value: &'v Value, token: &str| match value {
            Value::Map(_) => value.member(token),
            // No leading zeros, and `-` names what is not there yet (section 4).
            Value::List(items) if token == "0" || !token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()) => {
                items.get(token.parse::<usize>().ok()?)
            }
            _ => None,
        };
        self.0.iter().try_fold(document, |value, token| step(value, token)).filter(|value| **value != Value::Null)
    }
}

/// What is wrong with `text`, which is no pointer.
#[must_use]
pub fn no_pointer(text: &str) -> String {
    format!("`{text}` is no JSON Pointer such as `/data/token` (RFC 6901); `~0` and `~1` stand for `~` and `/` in a name")
}

/// Which answers are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// Of these statuses; of any when empty.
    pub statuses: Box<[u16]>,
    /// Holding one of these values in this place.
    pub when: Option<(Pointer, Box<[Value]>)>,
}

impl Matcher {
    /// Those of `statuses`.
    #[must_use]
    pub fn of(statuses: &[u16]) -> Self {
        Self { statuses: statuses.into(), when: None }
    }

    /// Reads one rule; `None` after a fault.
    pub fn read(node: &Node, checking: &mut Checking<'_>) -> Option<Self> {
        let section = Section::open(&MATCHER, node, checking.faults)?;
        let status = |node: &Node| match node.value {
            NodeValue::Int(number) => u16::try_from(number).ok(),
            _ => None,
        };
        let statuses: Box<[u16]> = section.items("status").into_iter().filter_map(status).collect();
        let when = match section.node("when") {
            None => None,
            Some(node) => {
                let when = Section::open(&WHEN, node, checking.faults)?;
                let values = exact(&when.items("equals"));
                Some((Pointer::under("pointer", &when, checking)?, values))
            }
        };
        if statuses.is_empty() && when.is_none() {
            checking.faults.error(&node.span, "a rule without `status` and `when` would mean every answer; write one of them");
            return None;
        }
        Some(Self { statuses, when })
    }

    /// The rules under `key`, which say that an answer is no success; those of `usual` statuses unless written.
    pub fn failures(key: &str, usual: &[u16], section: &Section<'_>, checking: &mut Checking<'_>) -> Box<[Self]> {
        if section.node(key).is_none() {
            return if usual.is_empty() { Box::default() } else { [Self::of(usual)].into() };
        }
        let mut read = Vec::new();
        for node in section.items(key) {
            let Some(matcher) = Self::read(node, checking) else { continue };
            if matcher.when.is_none() && matcher.statuses.iter().any(|status| (200..300).contains(status)) {
                let says = format!("every success would be {key}; write with `when` which of them are meant");
                checking.faults.error(&node.span, says);
            }
            read.push(matcher);
        }
        read.into()
    }

    /// Whether an answer of `status` that says `said` is meant.
    #[must_use]
    pub fn fits(&self, status: u16, said: Option<&Value>) -> bool {
        let fits = self.statuses.is_empty() || self.statuses.contains(&status);
        fits && self
            .when
            .as_ref()
            .is_none_or(|(pointer, values)| said.and_then(|said| pointer.find(said)).is_some_and(|found| values.contains(found)))
    }
}

/// The values that `nodes`, whose form [`EXACT`] has proven, write out.
#[must_use]
pub fn exact(nodes: &[&Node]) -> Box<[Value]> {
    let one = |node: &&Node| match &node.value {
        NodeValue::Text(text) => Some(Value::from(text.as_str())),
        NodeValue::Int(number) => Some(Value::Int(*number)),
        NodeValue::Bool(flag) => Some(Value::Bool(*flag)),
        NodeValue::Null | NodeValue::Float(_) | NodeValue::List(_) | NodeValue::Map(_) => None,
    };
    nodes.iter().filter_map(one).collect()
}

/// Whether `reply` calls itself a page for people: then something other than the endpoint has answered.
#[must_use]
pub fn is_html(reply: &Reply) -> bool {
    reply.headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
    })
}

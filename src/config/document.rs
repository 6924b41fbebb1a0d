//! A conf as written: YAML 1.2 text read into a tree in which every node knows its line and column.
//!
//! The tree is built from the parser's events, not through serde: a deserialised value has lost its position, and
//! serde stops at the first surprise. Plain scalars follow the core schema (YAML 1.2.2 section 10.3.2) less its
//! traps: only `true` and `false` are flags, and a number with a leading zero is text.
//!
//! Never here: a tag that changes what a value is; a merge key; a second document; more than the budgets below.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, options};

use crate::settings::{Entry, Faults, Node, NodeValue, Span};

/// The largest conf that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// The most nodes a conf may have, aliases counted as what they stand for.
pub const MAX_NODES: usize = 4_000_000;

/// How deep lists and mappings may nest.
pub const MAX_DEPTH: usize = 64;

/// A conf as written.
#[derive(Debug)]
pub struct Document {
    /// The file's name as the operator gave it.
    pub file: Arc<str>,
    /// The whole tree.
    pub root: Node,
    /// What is wrong with the text itself, where that did not keep the rest from being read.
    pub faults: Faults,
    /// Whether users other than the owner and its group may read the file.
    pub exposed: bool,
}

impl Document {
    /// Reads `bytes`, the content of the file called `file`.
    ///
    /// # Errors
    ///
    /// What makes the text unreadable as a whole: not UTF-8, not YAML, over budget.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Faults> {
        Self::read_within(file, bytes, MAX_NODES)
    }

    fn read_within(file: &str, bytes: &[u8], budget: usize) -> Result<Self, Faults> {
        let file: Arc<str> = file.into();
        let fatal = |line: u32, column: u32, says: String| {
            let mut faults = Faults::default();
            faults.error(&Span { file: file.clone(), line, column }, says);
            Err(faults)
        };
        if MAX_BYTES < bytes.len() {
            return fatal(1, 1, format!("the conf has {} bytes; {MAX_BYTES} are the limit", bytes.len()));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let (line, column) = position_after(bytes.get(..error.valid_up_to()).unwrap_or_default());
                return fatal(line, column, "the conf must be UTF-8; this byte is not".to_owned());
            }
        };
        let options = options! { emit_comments: false, disallow_directives: true };
        let mut builder = Builder { file: file.clone(), budget, ..Builder::default() };
        for next in Parser::new_from_str_with_options(text, options) {
            let outcome = match next {
                Ok((event, span)) => builder.take(event, span.start, span.tag_start()),
                Err(error) => {
                    let span = builder.span(error.marker());
                    Err(builder.fatal(&span, format!("not YAML: {}{}", error.info(), braces(text, span.line))))
                }
            };
            if let Err(Unreadable(faults)) = outcome {
                return Err(faults);
            }
        }
        let faults = std::mem::take(&mut builder.faults);
        match builder.root {
            Some(root) if root.value != NodeValue::Null => Ok(Self { file, root, faults, exposed: false }),
            _ => fatal(1, 1, "the conf is empty; it needs at least `listeners`".to_owned()),
        }
    }
}

/// Builds the tree from the parser's events.
#[derive(Default)]
struct Builder {
    file: Arc<str>,
    budget: usize,
    nodes: usize,
    documents: usize,
    open: Vec<Open>,
    /// What each anchor stands for, and how many nodes that is.
    anchors: HashMap<usize, (Node, usize), ahash::RandomState>,
    root: Option<Node>,
    faults: Faults,
}

/// Says that reading cannot go on.
struct Unreadable(Faults);

/// A list or mapping whose end has not been seen.
struct Open {
    span: Span,
    anchor: usize,
    /// How many nodes there were before it.
    before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Where each key was first written.
        seen: HashMap<String, Span, ahash::RandomState>,
        key: Option<(String, Span)>,
    },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, start: Marker, tag: Option<Marker>) -> Result<(), Unreadable> {
        let span = self.span(&start);
        if let Some(tag) = tag {
            let at = self.span(&tag);
            self.faults.error(&at, "tags (`!...`) are not read; write the value itself");
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if 1 < self.documents {
                    return Err(self.fatal(&span, "a conf is one document; a second one starts here"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                if self.awaits_key() {
                    self.spend(&span, 1)?;
                    return self.take_key(text.into_owned(), span);
                }
                let value = if style == ScalarStyle::Plain { plain(&text) } else { NodeValue::Text(text.into_owned()) };
                self.spend(&span, 1)?;
                self.close(Node { span, value }, anchor, 1);
                Ok(())
            }
            Event::SequenceStart(_, anchor, _) => self.descend(span, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.descend(span, anchor, Content::Map { entries: Vec::new(), seen: HashMap::default(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let value = match open.content {
                        Content::List(items) => NodeValue::List(items),
                        Content::Map { entries, .. } => NodeValue::Map(entries),
                    };
                    let size = self.nodes - open.before;
                    self.close(Node { span: open.span, value }, open.anchor, size);
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                if self.awaits_key() {
                    return Err(self.fatal(&span, "a key is written out; it cannot be an alias"));
                }
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.fatal(&span, "this alias stands inside what it refers to"));
                };
                self.spend(&span, size)?;
                if MAX_DEPTH < self.open.len() + depth(&node) {
                    return Err(self.fatal(&span, format!("with this alias, lists and mappings nest deeper than {MAX_DEPTH}")));
                }
                self.close(node, 0, size);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn take_key(&mut self, text: String, span: Span) -> Result<(), Unreadable> {
        // The parser reports a key that is left out as `~`.
        if text.is_empty() || text == "~" {
            return Err(self.fatal(&span, "a key is missing before this `:`"));
        }
        if text == "<<" {
            self.faults.error(&span, "merge keys (`<<`) are not read; write the keys out");
        }
        if let Some(Open { content: Content::Map { key, seen, .. }, .. }) = self.open.last_mut() {
            if let Some(first) = seen.get(&text) {
                let says = format!("`{text}` is written twice in this mapping, first in line {}; remove one", first.line);
                self.faults.error(&span, says);
            } else {
                seen.insert(text.clone(), span.clone());
            }
            *key = Some((text, span));
        }
        Ok(())
    }

    fn descend(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Unreadable> {
        if self.awaits_key() {
            return Err(self.fatal(&span, "a key must be text, not a list or mapping"));
        }
        if MAX_DEPTH <= self.open.len() {
            return Err(self.fatal(&span, format!("lists and mappings nest deeper than {MAX_DEPTH}")));
        }
        let before = self.nodes;
        self.spend(&span, 1)?;
        self.open.push(Open { span, anchor, before, content });
        Ok(())
    }

    /// Puts a finished node where it belongs. Of keys written twice the first stands.
    fn close(&mut self, node: Node, anchor: usize, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, seen, key }) => {
                if let Some((key, span)) = key.take()
                    && seen.get(&key) == Some(&span)
                {
                    entries.push(Entry { key, span, node });
                }
            }
        }
    }

    fn spend(&mut self, at: &Span, nodes: usize) -> Result<(), Unreadable> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.budget < self.nodes {
            let says = format!("the conf has more than {} nodes, aliases counted as what they stand for", self.budget);
            return Err(self.fatal(at, says));
        }
        Ok(())
    }

    /// Ends the reading with one last fault, after those noted so far.
    fn fatal(&self, at: &Span, says: impl Into<String>) -> Unreadable {
        let mut faults = self.faults.clone();
        faults.error(at, says);
        Unreadable(faults)
    }

    fn span(&self, marker: &Marker) -> Span {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Span { file: self.file.clone(), line: number(marker.line()), column: number(marker.col().saturating_add(1)) }
    }
}

/// How many lists and mappings are nested in `node`, itself among them. Bounded by [`MAX_DEPTH`].
fn depth(node: &Node) -> usize {
    match &node.value {
        NodeValue::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeValue::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a plain scalar says.
fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Bool(true),
        "false" | "False" | "FALSE" => return NodeValue::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_like_a_number = digits.starts_with(|letter: char| letter.is_ascii_digit());
    let leading_zero = digits.len() != 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !starts_like_a_number || leading_zero {
        return NodeValue::Text(text.to_owned());
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return NodeValue::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => NodeValue::Float(number),
        _ => NodeValue::Text(text.to_owned()),
    }
}

/// A hint where a path pattern with braces stands unquoted in a line that is not YAML, which is how that mostly comes about.
fn braces(text: &str, line: u32) -> &'static str {
    let written = text.lines().nth(usize::try_from(line).unwrap_or(0).saturating_sub(1)).unwrap_or_default();
    if written.contains("/{") && written.contains('[') { "; a path with braces is written in quotes, as in [\"/users/{id}\"]" } else { "" }
}

/// Line and column, from 1, of what follows `read`.
fn position_after(read: &[u8]) -> (u32, u32) {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let line = read.iter().filter(|byte| **byte == b'\n').count() + 1;
    let last = read.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    (number(line), number(column))
}

#[cfg(test)]
mod tests;

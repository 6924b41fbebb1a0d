//! The reference page of the conf, from the same tables that the reader reads by.
//!
//! `docs/configuration.md` is what this writes; a test holds the two equal.

use std::fmt::Write;

use crate::config::sections::CONF;
use crate::settings::{Choice, KeySpec, Presence, SectionSpec, Shape};

/// The whole page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = Page::default();
    page.text.push_str("# The conf, key by key\n\n");
    page.text
        .push_str("Generated from the tables that the reader itself uses; `UPDATE_DOCS=1 cargo test --test suite conf` writes it anew.\n");
    page.text.push_str("A commented conf with every key is `conf/countersign.yaml`; one small conf per scheme, key source and countersigner stands in `conf/examples/`.\n\n");
    page.section("", &CONF, 2);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// Kinds being written, outermost first: one that holds itself is written once.
    open: Vec<&'static str>,
}

impl Page {
    /// Writes the table of a section, then what stands below its keys.
    fn section(&mut self, path: &str, spec: &SectionSpec, level: usize) {
        let heading = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
        let _ = write!(self.text, "{} {heading}\n\n{}\n\n", "#".repeat(level), spec.doc);
        self.table(spec.keys);
        self.below(path, spec.keys, level);
    }

    fn table(&mut self, keys: &[KeySpec]) {
        self.text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in keys {
            let default = match key.presence {
                Presence::Required => "required".to_owned(),
                Presence::Optional => "none".to_owned(),
                Presence::Default(text) => format!("`{text}`"),
            };
            let _ = writeln!(self.text, "| `{}` | {} | {default} | {} |", key.name, cell(&words(key.shape)), cell(key.doc));
        }
        self.text.push('\n');
    }

    fn below(&mut self, path: &str, keys: &[KeySpec], level: usize) {
        for key in keys {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            self.inside(&path, key.shape, level);
        }
    }

    /// Writes the sections within a shape.
    fn inside(&mut self, path: &str, shape: Shape, level: usize) {
        /// Deeper headings are not told apart by readers.
        const DEEPEST: usize = 4;
        let deeper = (level + 1).min(DEEPEST);
        match shape {
            Shape::Section(spec) => self.section(path, spec, deeper),
            Shape::List { of, .. } => self.inside(path, *of, level),
            Shape::Map(of) => self.inside(&format!("{path}.NAME"), *of, level),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| self.inside(path, *shape, level)),
            Shape::Kind { what, kinds, beside } => {
                if self.open.contains(&what) {
                    return;
                }
                self.open.push(what);
                self.kinds(path, what, &kinds(), beside, deeper);
                self.open.pop();
            }
            _ => {}
        }
    }

    fn kinds(&mut self, path: &str, what: &str, kinds: &[Choice], beside: &[KeySpec], level: usize) {
        let _ = write!(self.text, "{} `{path}`, by {what}\n\n", "#".repeat(level));
        self.text.push_str("| kind | value | meaning |\n|---|---|---|\n");
        for kind in kinds {
            let _ = writeln!(self.text, "| `{}` | {} | {} |", kind.name, cell(&words(kind.shape)), cell(kind.doc));
        }
        self.text.push('\n');
        if !beside.is_empty() {
            self.text.push_str("Beside the kind:\n\n");
            self.table(beside);
            self.below(path, beside, level);
        }
        for kind in kinds {
            self.inside(&format!("{path}.{}", kind.name), kind.shape, level);
        }
    }
}

/// What may stand there, in a few words.
fn words(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Count { min, max } => format!("number, {min} to {max}"),
        Shape::Duration { min, max } => format!("duration, {} to {}", length(min), length(max)),
        Shape::Size { min, max } => format!("size, {} to {}", size(min), size(max)),
        Shape::Url => "URL".to_owned(),
        Shape::HeaderName => "header name".to_owned(),
        Shape::Secret => "secret reference".to_owned(),
        Shape::File => "path of a file".to_owned(),
        Shape::Path => "path".to_owned(),
        Shape::OneOf(choices) => choices.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Shape::Name(of) => format!("name under `{of}`"),
        Shape::Expression => "CEL expression".to_owned(),
        Shape::List { of, lone: true, .. } => format!("{}, or a list", words(*of)),
        Shape::List { of, .. } => format!("list of: {}", words(*of)),
        Shape::Map(of) => format!("mapping of names to: {}", words(*of)),
        Shape::Section(_) => "mapping, see below".to_owned(),
        Shape::Kind { what, .. } => format!("mapping with one {what}, see below"),
        Shape::Either(shapes) => {
            let mut choices: Vec<String> = shapes.iter().map(|shape| words(*shape)).collect();
            choices.dedup();
            choices.join(", or ")
        }
        Shape::Free(words) => words.to_owned(),
    }
}

/// `text` within a cell: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn length(seconds: u32) -> String {
    match seconds {
        0 => "0".to_owned(),
        days if days % 86_400 == 0 => format!("{}d", days / 86_400),
        hours if hours % 3_600 == 0 => format!("{}h", hours / 3_600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes.trailing_zeros() >= 30 => format!("{}GiB", bytes >> 30),
        bytes if bytes.trailing_zeros() >= 20 => format!("{}MiB", bytes >> 20),
        bytes if bytes.trailing_zeros() >= 10 => format!("{}KiB", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

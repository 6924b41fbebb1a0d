//! What a value of the conf may look like, as data.

/// One section of the conf: a mapping with known keys.
#[derive(Debug)]
pub struct SectionSpec {
    /// What the section is, for messages: "the `jwt` scheme".
    pub title: &'static str,
    /// What it is for; shown in the schema and the reference page.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [KeySpec],
}

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// The key as written.
    pub name: &'static str,
    /// What its value may look like.
    pub shape: Shape,
    /// Whether it must be there.
    pub presence: Presence,
    /// What it means, with units and bounds, and why the default is what it is.
    pub doc: &'static str,
}

/// Whether a key must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not, and then it has no value.
    Optional,
    /// It need not, and then it has this value, written as in YAML flow style.
    Default(&'static str),
}

/// The shapes a value can have.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Any non-empty text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Count {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A length of time: `30s`, `5m`, `1h`, `2d`; bounds in seconds. Sub-second: `500ms` where `min` is 0.
    Duration {
        /// The least, in seconds.
        min: u32,
        /// The most, in seconds.
        max: u32,
    },
    /// A size in bytes: `512`, `64KiB`, `1MiB`; bounds in bytes.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An absolute `http` or `https` URL.
    Url,
    /// A header field name.
    HeaderName,
    /// A secret reference: `{ env: NAME }` or `{ file: path }`.
    Secret,
    /// A path to a file, relative to the conf's folder, read when the conf is loaded.
    File,
    /// A path that is not read when the conf is loaded (a folder, a file to be written).
    Path,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A name that the section of this title defines: `keys`, `authenticators`, `upstreams`.
    Name(&'static str),
    /// A CEL expression.
    Expression,
    /// A sequence of these; a single one may stand without brackets when `lone` is set.
    List {
        /// The items.
        of: &'static Shape,
        /// Whether one item may be written without brackets.
        lone: bool,
        /// The fewest items.
        min: usize,
    },
    /// A mapping from free names to these.
    Map(&'static Shape),
    /// A mapping with known keys.
    Section(&'static SectionSpec),
    /// A mapping of exactly one key that says what kind the thing is, and optionally `with` keys beside it.
    Kind {
        /// What the kinds are kinds of: "key source".
        what: &'static str,
        /// The kinds, from a roll-call.
        kinds: fn() -> Vec<Choice>,
        /// Keys that may stand beside the kind.
        beside: &'static [KeySpec],
    },
    /// Any one of these, tried in order by what the value is (text, number, list, mapping).
    Either(&'static [Shape]),
    /// Checked by hand; described in words for the schema.
    Free(&'static str),
}

/// One kind in a [`Shape::Kind`].
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The key that says it.
    pub name: &'static str,
    /// What stands under it.
    pub shape: Shape,
    /// What it is for.
    pub doc: &'static str,
}

impl KeySpec {
    /// A key that must be written.
    #[must_use]
    pub const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, presence: Presence::Required, doc }
    }

    /// A key that need not be written and then has no value.
    #[must_use]
    pub const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, presence: Presence::Optional, doc }
    }

    /// A key with a default, written as in YAML flow style.
    #[must_use]
    pub const fn default(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Self {
        Self { name, shape, presence: Presence::Default(default), doc }
    }
}

//! The pattern of a `matches`, compiled once when the condition is.
//!
//! CEL compiles a pattern at every call. Here the call is rewritten to ask whether the text is "in" the pattern, which
//! is a value of this type. The engine runs in time linear in the text, whatever the pattern.

use cel::ExecutionError;
use cel::common::traits::Container;
use cel::common::types::{CelString, Type};
use cel::common::value::Val;

/// Compiled patterns may take this much memory; beyond it they are refused when the conf is read.
const MAX_COMPILED: usize = 256 * 1024;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern(regex::Regex);

static PATTERN: Type = Type::new_unspecified_type("pattern");

impl Pattern {
    /// Compiles `text`. As in CEL it matches anywhere in the text unless it is anchored.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        regex::RegexBuilder::new(text).size_limit(MAX_COMPILED).build().map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("the pattern `{text}` is too large; bound its repetitions"),
            _ => format!("`{text}` is not a regular expression (RE2 syntax)"),
        })
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn equals(&self, _other: &dyn Val) -> bool {
        false
    }
}

impl Container for Pattern {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        match value.downcast_ref::<CelString<'_>>() {
            Some(text) => Ok(self.0.is_match(text.inner())),
            None => Err(ExecutionError::UnexpectedType { got: value.get_type().name().to_owned(), want: "string".to_owned() }),
        }
    }
}

//! Conditions that a rule puts on identity and request, written in CEL.
//!
//! A condition sees three names and nothing else: `identity`, `request` and `now`. It is read, bounded and tried on a
//! sample when the conf is loaded; at request time anything but a plain `true` denies, errors included.
//!
//! | name | members |
//! |---|---|
//! | `identity` | `subject` `issuer` `scheme` `authenticator` (text), `scopes` (list of text), `claims` (map), `also` (map of identities by authenticator); `null` when nobody was proven |
//! | `request` | `method` `path` `host` `client` (text), `secure` (bool), `headers` (map of text by lower-case name) |
//! | `now` | timestamp, whole seconds |
//!
//! As CEL has it, `a || b` is true when either side is, though the other fails, and `a && b` false when either side is.
//! `headers` are what the gate shows: no field that only the proxy may write is among them, since a client's is nobody's word.
//!
//! A claim that may be absent is asked for with `has(identity.claims.x)`.
//!
//! `identity.claims.a.b` descends two levels; a member whose own name holds a dot is written `identity.claims["a.b"]`.
//! A header sent several times is its values joined by `, ` (RFC 9110 section 5.3); bytes outside ASCII read as
//! ISO 8859-1. Patterns of `matches` are written out, compiled once, and run in linear time.
//!
//! Deliberately absent: the query and the body (an upstream may decode them otherwise), clocks, randomness, look-ups,
//! functions beyond CEL's standard ones, and partial truth: there is no "unknown".
//!
//! Source: the Common Expression Language definition, <https://github.com/google/cel-spec>.

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};

use crate::domain::{Identity, RequestView, Timestamp};
use crate::policy::condition::pattern::Pattern;
use crate::policy::condition::world::World;

mod pattern;
mod sample;
mod vocabulary;
mod world;

/// A condition, proven fit to run.
pub struct Condition {
    source: Box<str>,
    expression: IdedExpr,
    patterns: Box<[Pattern]>,
    reads_headers: bool,
}

/// CEL's standard functions and macros: an immutable vocabulary, built once because it is the same for all conditions.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

impl Condition {
    /// The longest condition, in bytes.
    pub const MAX_SOURCE: usize = 4096;

    /// The deepest nesting of brackets, and of the expression itself.
    pub const MAX_DEPTH: usize = 32;

    /// The most nodes an expression may have after its macros are expanded.
    pub const MAX_NODES: usize = 1024;

    /// The deepest nesting of `all`, `exists`, `map` and their like: each level multiplies the work by a list's length.
    pub const MAX_LOOPS: usize = 2;

    /// Reads `source`, proves that it names nothing unknown, and tries it and each of its parts on a sample identity
    /// and request, so that most mistakes of type show when the conf is read and not at the first request. What hangs on
    /// claims cannot be tried: nobody knows their types yet.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong and what would be right.
    pub fn compile(source: &str) -> Result<Self, String> {
        if Self::MAX_SOURCE < source.len() {
            return Err(format!("this condition has {} bytes; at most {} are read", source.len(), Self::MAX_SOURCE));
        }
        if Self::MAX_DEPTH < bracket_depth(source) {
            return Err(format!("this condition nests brackets more than {} deep; split it into several rules", Self::MAX_DEPTH));
        }
        let mut expression = STANDARD.parser().max_recursion_depth(96).parse(source).map_err(|errors| {
            let first = errors.errors.first();
            let says = first.map_or_else(
                || "it cannot be read".to_owned(),
                |error| format!("{} at line {}, column {}", error.msg, error.pos.0, error.pos.1),
            );
            format!("this is not a CEL expression: {says}")
        })?;
        let patterns = vocabulary::prove(&mut expression)?;
        let condition = Self { source: source.into(), expression, patterns: patterns.into(), reads_headers: may_read_headers(source) };
        sample::try_on(&condition)?;
        Ok(condition)
    }

    /// Whether the condition is true of this identity and request. Any error, and any value that is not `true`, is no.
    #[must_use]
    pub fn holds(&self, identity: Option<&Identity>, request: &RequestView<'_>, now: Timestamp) -> bool {
        let world = World { identity, request, now, patterns: &self.patterns };
        self.verdict(&world) == Ok(true)
    }

    /// Whether it may look at the request's header fields.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.reads_headers
    }

    /// The condition as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The outcome in `world`; `Err(None)` when it has a value that is neither `true` nor `false`.
    fn verdict(&self, world: &World<'_>) -> Result<bool, Option<ExecutionError>> {
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        context.set_variable_resolver(world);
        let value = Value::resolve_val(&self.expression, &context).map_err(Some)?;
        value.downcast_ref::<CelBool>().map(|truth| *truth.inner()).ok_or(None)
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

/// Whether `source` names the request otherwise than by one of its plain members: by its fields, or as a whole.
fn may_read_headers(source: &str) -> bool {
    const PLAIN: [&str; 5] = [".method", ".path", ".host", ".client", ".secure"];
    const NAME: &str = "request";
    let rest = source.match_indices(NAME).filter_map(|(at, _)| source.get(at + NAME.len()..));
    rest.into_iter().any(|rest| !PLAIN.iter().any(|member| rest.starts_with(member)))
}

/// How deep brackets nest in `source`, those inside text literals included: an upper bound is all that is needed.
fn bracket_depth(source: &str) -> usize {
    let mut deepest = 0_usize;
    let mut depth = 0_usize;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests;

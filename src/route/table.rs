//! Which rule speaks for a request: all rules of a conf as one table.
//!
//! Of the rules that match host, path and method, the one of highest rank speaks: host exact before longer suffix before
//! shorter suffix before any; then path segment by segment, literal before `{name}` before `**`; then method named before
//! any. The order in which rules are written means nothing: two rules that the rank cannot separate are a fault.
//!
//! A look-up walks one segment tree per host pattern that fits, hashing segment by segment: its cost depends on the
//! request's own depth and not on how many rules there are, and it allocates only for a refusal or for a segment that is
//! still percent-encoded.
//!
//! Deliberately absent: rules that see the query, a header or the body; first-match order; regular expressions.

use std::collections::HashMap;
use std::sync::Arc;

use crate::route::pattern::{HostPattern, Methods, PathPattern, comparable, is_forwardable};

mod build;

/// What one rule is for: any of the hosts, with any of the paths, with one of the methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Hosts; `[HostPattern::Any]` when the rule names none. Empty matches nothing.
    pub hosts: Vec<HostPattern>,
    /// Paths. Empty matches nothing.
    pub paths: Vec<PathPattern>,
    /// Methods; `None` for all that we forward.
    pub methods: Option<Methods>,
}

/// What is wrong with a set of rules. Rules are named by their position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableFault {
    /// Two rules match the same requests with the same rank.
    Overlap {
        /// The rule written first.
        first: usize,
        /// The rule written later.
        second: usize,
        /// A request that both match: `POST api.example/server/x`.
        example: String,
    },
    /// Whatever the rule matches, a rule of higher rank matches too.
    Unreachable {
        /// The rule that never speaks.
        rule: usize,
        /// A rule that speaks in its place.
        by: usize,
    },
    /// The rule names no host or no path: it would guard nothing.
    MatchesNothing {
        /// The rule.
        rule: usize,
    },
}

/// The outcome of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// This rule speaks, by its position.
    Rule(usize),
    /// Rules match host and path, none with this method.
    Method {
        /// The methods that would match, for `Allow` (RFC 9110 section 10.2.1).
        allow: Arc<str>,
    },
    /// No rule matches.
    None,
}

/// All rules, ranked.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<Box<str>, Tree, ahash::RandomState>,
    suffix: HashMap<Box<str>, Tree, ahash::RandomState>,
    any: Option<Tree>,
    nodes: Vec<Node>,
}

/// The root of one host pattern's segment tree, as an index into `nodes`.
type Tree = u32;

/// A place in a segment tree: everything that matches the segments that led here.
#[derive(Debug)]
struct Node {
    literals: HashMap<Box<str>, u32, ahash::RandomState>,
    named: Option<u32>,
    /// Patterns that end here.
    here: Leaf,
    /// Patterns that end here in `**`.
    rest: Leaf,
}

/// The rules of one path pattern, told apart by method.
#[derive(Debug, Default)]
struct Leaf {
    /// Few: one entry per method named.
    named: Vec<(Box<str>, usize)>,
    any: Option<usize>,
}

impl Table {
    /// Ranks `routes`; a rule is known by its position from here on.
    ///
    /// # Errors
    ///
    /// Every fault of the set at once, in the order of the rules.
    pub fn build(routes: Vec<Route>) -> Result<Self, Vec<TableFault>> {
        build::build(&routes)
    }

    /// The rule that speaks for a request. `host` and `path` are canonical; `method` is as sent.
    #[must_use]
    pub fn find(&self, host: &str, path: &str, method: &str) -> Match {
        let inner = inner_path(path);
        if is_forwardable(method) {
            let found = self.trees(host).find_map(|tree| self.seek(tree, inner, method));
            if let Some(rule) = found {
                return Match::Rule(rule);
            }
        }
        let mut allowed = Vec::new();
        for tree in self.trees(host) {
            self.collect_methods(tree, inner, &mut allowed);
        }
        if allowed.is_empty() {
            return Match::None;
        }
        allowed.sort_unstable();
        allowed.dedup();
        Match::Method { allow: allowed.join(", ").into() }
    }

    /// The trees whose host pattern matches `host`, of highest rank first.
    fn trees<'t>(&'t self, host: &'t str) -> impl Iterator<Item = Tree> + 't {
        let exact = self.exact.get(host).copied();
        let has_suffixes = !self.suffix.is_empty();
        let domains = host.match_indices('.').filter(move |_| has_suffixes).filter_map(|(dot, _)| host.get(dot + 1..));
        let suffixes = domains.filter_map(|domain| self.suffix.get(domain).copied());
        exact.into_iter().chain(suffixes).chain(self.any)
    }

    /// The rule of highest rank below `node` that matches the segments in `path` and `method`.
    ///
    /// The depth of this recursion is bounded by the longest pattern of the conf.
    fn seek(&self, node: u32, path: Option<&str>, method: &str) -> Option<usize> {
        let node = self.node(node)?;
        let Some(path) = path else {
            return node.here.pick(method).or_else(|| node.rest.pick(method));
        };
        let (segment, below) = first_segment(path);
        node.literal(segment)
            .and_then(|child| self.seek(child, below, method))
            .or_else(|| node.named.and_then(|child| self.seek(child, below, method)))
            .or_else(|| node.rest.pick(method))
    }

    /// Adds the methods of all rules below `node` that match the segments in `path`.
    fn collect_methods<'t>(&'t self, node: u32, path: Option<&str>, allowed: &mut Vec<&'t str>) {
        let Some(node) = self.node(node) else { return };
        node.rest.collect_methods(allowed);
        let Some(path) = path else {
            node.here.collect_methods(allowed);
            return;
        };
        let (segment, below) = first_segment(path);
        for child in [node.literal(segment), node.named].into_iter().flatten() {
            self.collect_methods(child, below, allowed);
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }
}

/// The segments of a canonical path as one text, or `None` when it has none; a trailing slash adds none.
fn inner_path(path: &str) -> Option<&str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    (!inner.is_empty()).then_some(inner)
}

/// The first segment of `path`, and what follows it.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', path.as_bytes()).and_then(|slash| Some((path.get(..slash)?, path.get(slash + 1..)?))) {
        Some((segment, below)) => (segment, Some(below)),
        None => (path, None),
    }
}

impl Node {
    fn literal(&self, segment: &str) -> Option<u32> {
        self.literals.get(&*comparable(segment)).copied()
    }
}

impl Leaf {
    /// The rule for `method`: one that names it, then for `HEAD` one that names `GET`, then one for all methods.
    fn pick(&self, method: &str) -> Option<usize> {
        let named = |wanted: &str| self.named.iter().find(|(name, _)| **name == *wanted).map(|(_, rule)| *rule);
        named(method).or_else(|| if method == "HEAD" { named("GET") } else { None }).or(self.any)
    }

    fn collect_methods<'t>(&'t self, allowed: &mut Vec<&'t str>) {
        /// What a rule for all methods answers to; the methods of RFC 9110 section 9.3 that we forward, and PATCH.
        const ALL: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
        if self.any.is_some() {
            allowed.extend(ALL);
        }
        for (name, _) in &self.named {
            allowed.push(name);
            if **name == *"GET" {
                allowed.push("HEAD");
            }
        }
    }
}

#[cfg(test)]
mod tests;

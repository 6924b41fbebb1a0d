//! Builds a table from its rules, and finds those that contradict or hide one another.
//!
//! Two patterns of different shape are always separated by the rank, so an overlap is two rules at one leaf that share a
//! method. A `**` is hidden when the patterns below it leave it nothing: `/a/**` by `/a` together with `/a/{x}/**`.

use std::collections::HashMap;

use crate::route::pattern::{HostPattern, Methods, PathPattern, Segment};
use crate::route::table::{Leaf, Node, Route, Table, TableFault};

/// Fixed seeds: keys come from the conf, never from a client, and equal confs shall cost equally many instructions.
fn hasher() -> ahash::RandomState {
    ahash::RandomState::with_seeds(0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0x2545_f491_4f6c_dd1d)
}

pub(super) fn build(routes: &[Route]) -> Result<Table, Vec<TableFault>> {
    let mut table = Table { exact: HashMap::with_hasher(hasher()), suffix: HashMap::with_hasher(hasher()), any: None, nodes: Vec::new() };
    let mut faults = Vec::new();
    for (rule, route) in routes.iter().enumerate() {
        if route.hosts.is_empty() || route.paths.is_empty() {
            faults.push(TableFault::MatchesNothing { rule });
        }
        for host in &route.hosts {
            let root = table.root(host);
            for path in &route.paths {
                let other = table.insert(root, path, route.methods.as_ref(), rule);
                let Some((first, method)) = other else { continue };
                let known = faults
                    .iter()
                    .any(|fault| matches!(fault, TableFault::Overlap { first: a, second: b, .. } if (*a, *b) == (first, rule)));
                if !known {
                    faults.push(TableFault::Overlap { first, second: rule, example: example(&method, host, path) });
                }
            }
        }
    }
    for (rule, route) in routes.iter().enumerate() {
        if let Some(by) = table.hider(rule, route) {
            faults.push(TableFault::Unreachable { rule, by });
        }
    }
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

impl Table {
    /// The root of the tree for `host`, made when there is none yet.
    fn root(&mut self, host: &HostPattern) -> u32 {
        let known = match host {
            HostPattern::Exact(name) => self.exact.get(name).copied(),
            HostPattern::Suffix(domain) => self.suffix.get(domain).copied(),
            HostPattern::Any => self.any,
        };
        if let Some(root) = known {
            return root;
        }
        let root = self.add_node();
        match host {
            HostPattern::Exact(name) => {
                self.exact.insert(name.clone(), root);
            }
            HostPattern::Suffix(domain) => {
                self.suffix.insert(domain.clone(), root);
            }
            HostPattern::Any => self.any = Some(root),
        }
        root
    }

    fn add_node(&mut self) -> u32 {
        self.nodes.push(Node { literals: HashMap::with_hasher(hasher()), named: None, here: Leaf::default(), rest: Leaf::default() });
        // A conf is bounded far below 2^32 segments; beyond that nothing would match, which denies.
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }

    /// Enters `rule`, or says which rule stands there already, and with which method they share.
    fn insert(&mut self, root: u32, path: &PathPattern, methods: Option<&Methods>, rule: usize) -> Option<(usize, String)> {
        let mut at = root;
        let mut is_rest = false;
        for segment in path.segments() {
            let known = match (segment, self.node(at)?) {
                (Segment::Literal(text), node) => node.literals.get(text).copied(),
                (Segment::Named(_), node) => node.named,
                (Segment::Rest, _) => {
                    is_rest = true;
                    break;
                }
            };
            let child = match known {
                Some(child) => child,
                None => self.add_node(),
            };
            let node = self.node_mut(at)?;
            match segment {
                Segment::Literal(text) => {
                    node.literals.insert(text.clone(), child);
                }
                _ => node.named = Some(child),
            }
            at = child;
        }
        let node = self.node_mut(at)?;
        let leaf = if is_rest { &mut node.rest } else { &mut node.here };
        leaf.enter(methods, rule)
    }

    /// A rule that speaks wherever `rule` would, when there is one.
    fn hider(&self, rule: usize, route: &Route) -> Option<usize> {
        let mut by = None;
        for host in &route.hosts {
            let root = match host {
                HostPattern::Exact(name) => self.exact.get(name).copied(),
                HostPattern::Suffix(domain) => self.suffix.get(domain).copied(),
                HostPattern::Any => self.any,
            }?;
            for path in &route.paths {
                let node = self.rest_node(root, path)?;
                by = Some(self.covered_below(node, route.methods.as_ref())?);
            }
        }
        by.filter(|by| *by != rule)
    }

    /// The node at which `path` ends in `**`; `None` for patterns that do not, which nothing can hide.
    fn rest_node(&self, root: u32, path: &PathPattern) -> Option<u32> {
        let mut at = root;
        for segment in path.segments() {
            at = match segment {
                Segment::Literal(text) => self.node(at)?.literals.get(text).copied()?,
                Segment::Named(_) => self.node(at)?.named?,
                Segment::Rest => return Some(at),
            };
        }
        None
    }

    /// The rule that takes everything a `**` at `node` could match with `methods`, when the patterns below leave nothing.
    fn covered_below(&self, node: u32, methods: Option<&Methods>) -> Option<usize> {
        let node = self.node(node)?;
        node.here.covers(methods)?;
        let child = node.named?;
        self.node(child)?.rest.covers(methods).or_else(|| self.covered_below(child, methods))
    }
}

impl Leaf {
    /// Enters `rule`; the rule that was there first stays, and is returned with a method they share.
    fn enter(&mut self, methods: Option<&Methods>, rule: usize) -> Option<(usize, String)> {
        let Some(methods) = methods else {
            let first = *self.any.get_or_insert(rule);
            return (first != rule).then(|| (first, "GET".to_owned()));
        };
        let mut shared = None;
        for method in methods.names() {
            match self.named.iter().find(|(name, _)| **name == *method) {
                Some((_, first)) if *first != rule => shared = shared.or_else(|| Some((*first, method.to_owned()))),
                Some(_) => {}
                None => self.named.push((method.into(), rule)),
            }
        }
        shared
    }

    /// The rule that answers to all of `methods`, when every one of them is answered here.
    fn covers(&self, methods: Option<&Methods>) -> Option<usize> {
        match methods {
            None => self.any,
            Some(methods) => {
                let mut by = None;
                for method in methods.names() {
                    by = Some(self.pick(method)?);
                }
                by
            }
        }
    }
}

/// A request that matches all three, as an operator would write it.
fn example(method: &str, host: &HostPattern, path: &PathPattern) -> String {
    let host = match host {
        HostPattern::Exact(name) => name.to_string(),
        HostPattern::Suffix(domain) => format!("any.{domain}"),
        HostPattern::Any => "any.host".to_owned(),
    };
    let mut out = format!("{method} {host}");
    let before = out.len();
    for segment in path.segments() {
        match segment {
            Segment::Literal(text) | Segment::Named(text) => {
                out.push('/');
                out.push_str(text);
            }
            Segment::Rest => {}
        }
    }
    if out.len() == before {
        out.push('/');
    }
    out
}

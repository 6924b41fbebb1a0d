//! Proves that an expression names only what a condition can see, within bounds, before it is ever run.
//!
//! The walk also takes the patterns of `matches` out of the expression and compiles them.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use crate::policy::condition::Condition;
use crate::policy::condition::pattern::Pattern;
use crate::policy::condition::world::PATTERN_PREFIX;
use crate::settings::suggest;

/// The names a condition can see.
const ROOTS: [&str; 3] = ["identity", "request", "now"];

/// Members of `identity`.
pub(super) const IDENTITY: [&str; 7] = ["subject", "issuer", "scopes", "claims", "scheme", "authenticator", "also"];

/// Members of `request`.
pub(super) const REQUEST: [&str; 6] = ["method", "path", "host", "headers", "client", "secure"];

/// Types, as in `type(x) == string`.
const TYPES: [&str; 10] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// CEL's standard functions; macros are expanded before the walk.
const FUNCTIONS: [&str; 26] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "has",
];

/// Proves `expression`, and returns the patterns that were taken out of it, in the order of their numbers.
pub(super) fn prove(expression: &mut IdedExpr) -> Result<Vec<Pattern>, String> {
    let mut walk = Walk::default();
    walk.visit(expression, 1)?;
    Ok(walk.patterns)
}

#[derive(Default)]
struct Walk {
    nodes: usize,
    loops: usize,
    /// Names bound by enclosing comprehensions.
    bound: Vec<String>,
    patterns: Vec<Pattern>,
}

impl Walk {
    fn visit(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if Condition::MAX_NODES < self.nodes {
            return Err(format!("this condition has more than {} parts; split it into several rules", Condition::MAX_NODES));
        }
        // Macros add some levels of their own.
        if Condition::MAX_DEPTH * 2 < depth {
            return Err(format!("this condition nests more than {} deep; split it into several rules", Condition::MAX_DEPTH));
        }
        if let Expr::Call(call) = &mut node.expr
            && call.func_name == "matches"
        {
            node.expr = self.take_pattern(call)?;
        }
        match &mut node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Unspecified => Err("this condition is empty".to_owned()),
            Expr::Ident(name) => self.check_name(name),
            Expr::Select(select) => {
                if let Expr::Ident(root) = &select.operand.expr {
                    self.check_member(root, &select.field)?;
                }
                if is_headers(&select.operand.expr) {
                    check_header(&select.field)?;
                }
                self.visit(&mut select.operand, depth + 1)
            }
            Expr::Call(call) => self.visit_call(call, depth),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.visit(element, depth + 1)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key, depth + 1)?;
                    self.visit(&mut entry.value, depth + 1)
                }
                EntryExpr::StructField(field) => self.visit(&mut field.value, depth + 1),
            }),
            Expr::Struct(message) => Err(format!("`{}{{}}` makes a message; conditions know no message types", message.type_name)),
            Expr::Comprehension(comprehension) => self.visit_loop(comprehension, depth),
        }
    }

    fn visit_call(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), String> {
        let name = call.func_name.as_str();
        let is_operator = name.starts_with(['_', '@', '!', '-']);
        if !is_operator && !FUNCTIONS.contains(&name) {
            let hint = suggest(name, FUNCTIONS.iter().copied());
            return Err(format!("there is no function `{name}` in conditions{hint}"));
        }
        match (name, call.args.as_slice()) {
            (operators::INDEX, [container, index]) => {
                if let (Expr::Ident(root), Some(member)) = (&container.expr, literal_text(&index.expr)) {
                    self.check_member(root, member)?;
                }
                if let (true, Some(field)) = (is_headers(&container.expr), literal_text(&index.expr)) {
                    check_header(field)?;
                }
            }
            (operators::IN, [item, container]) => {
                if let (true, Some(field)) = (is_headers(&container.expr), literal_text(&item.expr)) {
                    check_header(field)?;
                }
            }
            _ => {}
        }
        if let Some(target) = &mut call.target {
            self.visit(target, depth + 1)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument, depth + 1))
    }

    fn visit_loop(&mut self, comprehension: &mut ComprehensionExpr, depth: usize) -> Result<(), String> {
        for name in [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref()].into_iter().flatten() {
            if ROOTS.contains(&name.as_str()) {
                return Err(format!("`{name}` already has a meaning; give the variable of `all` or `exists` another name"));
            }
        }
        self.visit(&mut comprehension.iter_range, depth + 1)?;
        self.visit(&mut comprehension.accu_init, depth + 1)?;
        self.loops += 1;
        if Condition::MAX_LOOPS < self.loops {
            return Err(format!("`all`, `exists` and their like nest at most {} deep", Condition::MAX_LOOPS));
        }
        let before = self.bound.len();
        self.bound.push(comprehension.iter_var.clone());
        self.bound.extend(comprehension.iter_var2.clone());
        self.bound.push(comprehension.accu_var.clone());
        for part in [&mut comprehension.loop_cond, &mut comprehension.loop_step, &mut comprehension.result] {
            self.visit(part, depth + 1)?;
        }
        self.bound.truncate(before);
        self.loops -= 1;
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        let is_pattern =
            name.strip_prefix(PATTERN_PREFIX).is_some_and(|number| number.parse().is_ok_and(|number: usize| number < self.patterns.len()));
        let is_known = ROOTS.contains(&name) || TYPES.contains(&name) || is_pattern || self.bound.iter().any(|bound| bound == name);
        if is_known {
            return Ok(());
        }
        let hint = suggest(name, ROOTS);
        Err(format!("a condition sees `identity`, `request` and `now`, but not `{name}`{hint}"))
    }

    fn check_member(&self, root: &str, member: &str) -> Result<(), String> {
        let members: &[&str] = match root {
            "identity" => &IDENTITY,
            "request" => &REQUEST,
            _ => return Ok(()),
        };
        if members.contains(&member) {
            return Ok(());
        }
        let hint = suggest(member, members.iter().copied());
        let rest = if hint.is_empty() { format!("; it has: {}", members.join(", ")) } else { hint };
        let claims = if root == "identity" { "; claims stand under `identity.claims`" } else { "" };
        Err(format!("`{root}` has no `{member}`{rest}{claims}"))
    }

    /// `text.matches('pattern')`, or `matches(text, 'pattern')`, as the question whether the text is in the pattern.
    fn take_pattern(&mut self, call: &mut CallExpr) -> Result<Expr, String> {
        let mut given: Vec<IdedExpr> = call.target.take().map(|target| *target).into_iter().chain(call.args.drain(..)).collect();
        let (Some(pattern), Some(text), None) = (given.pop(), given.pop(), given.pop()) else {
            return Err("`matches` takes one text and one pattern: `request.path.matches('^/v[0-9]+/')`".to_owned());
        };
        let Some(written) = literal_text(&pattern.expr) else {
            return Err("the pattern of `matches` must be written out, so that it can be compiled when the conf is read".to_owned());
        };
        let compiled = Pattern::compile(written)?;
        let name = Expr::Ident(format!("{PATTERN_PREFIX}{}", self.patterns.len()));
        self.patterns.push(compiled);
        Ok(Expr::Call(CallExpr {
            func_name: operators::IN.to_owned(),
            target: None,
            args: vec![text, IdedExpr { id: pattern.id, expr: name }],
        }))
    }
}

fn literal_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Whether `expression` is `request.headers`.
fn is_headers(expression: &Expr) -> bool {
    match expression {
        Expr::Select(select) => select.field == "headers" && matches!(&select.operand.expr, Expr::Ident(root) if root == "request"),
        _ => false,
    }
}

fn check_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if name == lower { Ok(()) } else { Err(format!("header names are lower case in conditions; write `{lower}` instead of `{name}`")) }
}

//! Tries a condition on a made-up identity and request, when the conf is read.
//!
//! Each part outside a loop is tried by itself, so that a mistake behind an `||` shows too. Whatever fails for want of a
//! claim or a header proves nothing and passes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, ExecutionError, IdedExpr, Value as Outcome};
use http::HeaderMap;

use crate::domain::{Claims, Identity, RequestView, Target, Timestamp};
use crate::policy::condition::world::World;
use crate::policy::condition::{Condition, STANDARD};

/// Some moment in 2023.
const NOW: Timestamp = Timestamp(1_700_000_000);

/// Tries `condition` and all its parts.
///
/// # Errors
///
/// A sentence about the first part that could never work.
pub(super) fn try_on(condition: &Condition) -> Result<(), String> {
    let identity = Identity {
        subject: "sample".into(),
        issuer: "https://issuer.example".into(),
        scopes: ["sample".into()].into(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "sample".into(),
        burn: None,
        also: Vec::new(),
    };
    let target = Target { path: "/sample".into(), query: None };
    let headers = HeaderMap::new();
    let request = RequestView {
        method: "GET",
        raw_target: "/sample",
        target: &target,
        host: "sample.example",
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secure: true,
        request_id: "sample",
    };
    let world = World { identity: Some(&identity), request: &request, now: NOW, patterns: &condition.patterns };

    let mut context = Context::with_env(Arc::clone(&STANDARD));
    context.set_variable_resolver(&world);
    try_parts(&condition.expression, &context)?;

    match condition.verdict(&world) {
        Err(None) => {
            Err("a condition must be true or false; compare the value with something, as in `identity.subject == 'alice'`".to_owned())
        }
        Ok(_) | Err(Some(_)) => Ok(()),
    }
}

/// Tries the parts of `node` first, then `node`: the smallest part that is wrong is the one to name.
fn try_parts(node: &IdedExpr, context: &Context<'_, '_>) -> Result<(), String> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).try_for_each(|part| try_parts(part, context))?,
        Expr::Select(select) => try_parts(&select.operand, context)?,
        Expr::List(list) => list.elements.iter().try_for_each(|part| try_parts(part, context))?,
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => try_parts(&entry.key, context).and_then(|()| try_parts(&entry.value, context)),
            EntryExpr::StructField(field) => try_parts(&field.value, context),
        })?,
        // The inside of a loop speaks of a variable that does not exist out here; the loop as a whole is tried below.
        Expr::Comprehension(comprehension) => try_parts(&comprehension.iter_range, context)?,
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
    match Outcome::resolve_val(node, context) {
        Ok(_) => Ok(()),
        Err(error) if depends_on_the_caller(&error) => Ok(()),
        Err(error) => Err(format!("this condition could never be true: {error}")),
    }
}

/// Whether `error` may be owed to what the sample lacks, or to its particular values.
fn depends_on_the_caller(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchKey(_)
            | ExecutionError::IndexOutOfBounds(_)
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::FunctionError { .. }
    )
}

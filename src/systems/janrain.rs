//! Janrain Capture (Akamai Identity Cloud): login and registration by `*_native` calls, opaque tokens, refusals inside a 200.
//!
//! Which endpoints there are and who may call them is in `janrain::endpoints`, what a call must look like in `janrain::guard`,
//! how a refusal is written in `janrain::dialect`, and what replies mean in `janrain::replies`. Two positions: with `application`
//! set, pages and apps call through us and we say which client they are; without it, clients say it themselves and their
//! features decide.
//!
//! Not here: a credential that is judged (`janrain_signature`, `server_key`, `session` do), or any memory.

mod dialect;
mod endpoints;
mod guard;
mod parameters;
mod replies;
mod rules;

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue};

use crate::domain::Step;
use crate::settings::{Checking, Node, Shape, Span};
use crate::systems::contract::{Guarded, Harvest, Meaning, Pass, Refused, Rendered, Reply, System, SystemEntry, SystemPlan};
use crate::systems::janrain::rules::{Rules, SETTINGS};

/// The system's line on the roll-call.
pub static ENTRY: SystemEntry = SystemEntry {
    name: "janrain",
    doc: "Janrain Capture: its endpoints guarded, refusals inside a 200 as its clients read them, tokens that run out inside a 200.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

fn plan(node: Option<&Node>, _span: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn SystemPlan>> {
    let rules = match node {
        None => Rules::default(),
        Some(node) => Rules::prove(node, checking)?,
    };
    Some(Box::new(JanrainPlan { rules: Arc::new(rules) }))
}

/// The settings, proven.
#[derive(Debug)]
struct JanrainPlan {
    rules: Arc<Rules>,
}

impl SystemPlan for JanrainPlan {
    fn system(&self) -> &'static str {
        NAME
    }

    fn remembers(&self) -> bool {
        true
    }

    fn build(&self) -> Result<Arc<dyn System>, String> {
        Ok(Arc::new(Janrain { rules: Arc::clone(&self.rules) }))
    }
}

/// Janrain Capture at one rule.
#[derive(Debug)]
struct Janrain {
    rules: Arc<Rules>,
}

impl System for Janrain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, refused: &Refused<'_>) -> Option<Rendered> {
        dialect::render(&self.rules, refused)
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        guard::guard(&self.rules, guarded)
    }

    fn holds(&self, _method: &str, path: &str) -> bool {
        self.rules.below(path).is_some_and(endpoints::is_captures)
    }

    fn weigh(&self, _reply: &Reply<'_>) -> Meaning {
        // A token that has run out is told in the body of a 200; a 401 of `/oauth/token` is about the client.
        Meaning::Fine
    }

    fn classify(&self, reply: &Reply<'_>) -> Meaning {
        replies::classify(reply)
    }

    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        replies::harvest(&self.rules, reply)
    }

    /// A cache goes by statuses, and Capture's failures have that of its successes: none keeps either.
    fn hand_on(&self, reply: &Reply<'_>, _kept: bool) -> Vec<(HeaderName, Option<HeaderValue>)> {
        if self.holds("", reply.path) { vec![(CACHE_CONTROL, Some(HeaderValue::from_static("no-store")))] } else { Vec::new() }
    }
}

#[cfg(test)]
mod stage;

//! Proves a conf, or names every fault in it at once.
//!
//! Pure: the same text and the same material always give the same answer, so that `check` on a desk and `run` on a server
//! cannot disagree. Form is proven first, for the whole tree; then each section proves its meaning as far as its form allows,
//! and what is beyond that has been complained about already.

use std::sync::Arc;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::audit;
use crate::config::authenticators;
use crate::config::beside;
use crate::config::document::Document;
use crate::config::held;
use crate::config::issuers;
use crate::config::limits;
use crate::config::listeners;
use crate::config::load::inline_secrets;
use crate::config::plan::{ActionPlan, AuthenticatorPlan, Plan, RulePlan};
use crate::config::renewers;
use crate::config::revocations;
use crate::config::root::Root;
use crate::config::rules::{self, Around};
use crate::config::sections::CONF;
use crate::config::stores;
use crate::config::upstreams;
use crate::settings::section::prove;
use crate::settings::{Checking, Entry, Faults, Material, Names, Node, Shape, walk};

/// Sections whose entries are named and may be referred to.
const NAMED: [&str; 5] = ["upstreams", "keys", "issuers", "authenticators", "renewers"];

/// Proves `document`.
///
/// # Errors
///
/// Every fault that was found, warnings among them; sorted by [`Faults::sorted`].
pub fn check(document: &Document, material: &Material) -> Result<Plan, Faults> {
    let mut faults = document.faults.clone();
    prove(Shape::Section(&CONF), "the conf", &document.root, &mut faults);
    let root = Root::new(&document.root);
    let names = names(&root);
    let allow_inline_secrets = root.top().flag("allow_inline_secrets");
    let mut checking = Checking { faults: &mut faults, material, names: &names, allow_inline_secrets };

    resolve_names(&document.root, &mut checking);
    guard_inline_secrets(document, &mut checking);
    let plan = plan(document, &root, &mut checking);

    match plan {
        Some(mut plan) if faults.errors() == 0 => {
            plan.warnings = faults.sorted();
            Ok(plan)
        }
        _ => {
            if faults.errors() == 0 {
                // Nothing may be lost silently: a section that proved nothing and said nothing is our own mistake.
                faults.error(&document.root.span, "the conf could not be proven, and no section said why; please report this");
            }
            Err(faults)
        }
    }
}

/// Proves every section, as far as its form allows; `None` when one of them is at fault.
fn plan(document: &Document, root: &Root<'_>, checking: &mut Checking<'_>) -> Option<Plan> {
    let listeners = listeners::listeners(root, checking);
    let admin = listeners::admin(root, &listeners, checking);
    let upstreams = upstreams::upstreams(root, checking);
    let mut keys = stores::key_stores(root, checking);
    let issuers = issuers::issuers(root, checking);
    let cache = limits::cache(root);
    let mut renewers = renewers::renewers(root, checking);
    let mut authenticators = authenticators::authenticators(root, cache.flatten(), checking);
    authenticators::prove_leaning(&authenticators, checking);
    authenticators::prove_key_stores(&authenticators, &mut keys, root.entries("keys"), checking);
    renewers::bind(root, &mut authenticators, &mut renewers, checking);
    let (upstream_names, authenticator_names) = (keys_of(root.entries("upstreams")), keys_of(root.entries("authenticators")));
    let around = Around { upstreams: &upstream_names, names: &authenticator_names, authenticators: &authenticators };
    let rules = rules::rules(root, &around, checking);
    let trusted_proxies = limits::trusted_proxies(root, checking);
    let limits = limits::limits(root, checking);
    let governor = limits::governor(root, checking);
    let audit = audit::audit(root, checking);
    let outbound = limits::outbound(root, checking);
    let state = stores::state(root, checking);
    let revocations = revocations::revocations(root, checking);
    if checking.faults.errors() == 0 {
        // A mistyped reference has been told already; what it leaves unused would only be its echo.
        warn_of_unused(root, rules.as_ref().map_or(&[], |(rules, _)| rules.as_slice()), &authenticators, checking);
    }

    let upstreams: Option<Vec<_>> = upstreams.into_iter().collect();
    if let Some((rules, _)) = &rules {
        renewers::prove_names(&authenticators, rules, checking);
    }
    let issuers: Option<Vec<_>> = issuers.into_iter().collect();
    let authenticators: Option<Vec<_>> = authenticators.into_iter().collect();
    let renewers: Option<Vec<_>> = renewers.into_iter().collect();
    let (rules, table) = rules?;
    beside::warn(root, &rules, &table, checking);
    let (upstreams, authenticators) = (upstreams?, authenticators?);
    held::warn(root, &rules, &upstreams, &authenticators, checking);
    upstreams::refuse_loops(&upstreams, &listeners, root.entries("upstreams"), checking);
    let top = root.top();
    Some(Plan {
        listeners,
        admin,
        upstreams,
        keys,
        issuers: issuers?,
        authenticators,
        renewers: renewers?,
        rules,
        table: Arc::new(table),
        trusted_proxies,
        limits: limits?,
        governor: governor?,
        cache: cache?,
        audit: audit?,
        outbound: outbound?,
        state: state?,
        revocations: revocations?,
        startup_wait: top.duration("startup_wait")?,
        grace: top.duration("grace")?,
        drain_delay: top.duration("drain_delay")?,
        threads: limits::number(&top, "threads"),
        watch: top.flag("watch"),
        origin: PathBuf::from(&*document.file),
        files: checking.material.marks(),
        warnings: Vec::new(),
    })
}

/// What the conf defines under [`NAMED`].
fn names(root: &Root<'_>) -> Names {
    let mut names = Names::default();
    for section in NAMED {
        root.entries(section).iter().for_each(|entry| names.define(section, &entry.key));
    }
    names
}

fn keys_of(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

/// Resolves every reference of the conf, whether or not the section around it is sound.
fn resolve_names(root: &Node, checking: &mut Checking<'_>) {
    walk(Shape::Section(&CONF), root, &mut |shape, node| {
        if let (Shape::Name(of), Some(name)) = (shape, node.as_text())
            && !(of == "authenticators" && name == "none")
        {
            checking.resolve(of, name, &node.span);
        }
    });
}

/// A conf that holds secrets is no longer a text that everyone may read.
fn guard_inline_secrets(document: &Document, checking: &mut Checking<'_>) {
    if document.exposed
        && checking.allow_inline_secrets
        && let Some(first) = inline_secrets(&document.root).first()
    {
        let says = "this file holds secrets and all users of the machine may read it; `chmod 600` it, or refer to a file or variable";
        checking.faults.error(first, says);
    }
}

/// Names that nothing refers to: usually a rule is missing, or a name was mistyped elsewhere.
fn warn_of_unused(root: &Root<'_>, rules: &[RulePlan], authenticators: &[Option<AuthenticatorPlan>], checking: &mut Checking<'_>) {
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    walk(Shape::Section(&CONF), root.node(), &mut |shape, node| {
        if let (Shape::Name(of), Some(name)) = (shape, node.as_text()) {
            used.insert((of, name.to_owned()));
        }
    });
    // Services refer to the only authenticator of tickets without naming it.
    let sole = rules.iter().any(|rule| match &rule.action {
        ActionPlan::Serve(service) => service.tickets().iter().any(|tickets| tickets.authenticator.is_none()),
        ActionPlan::Forward(_) => false,
    });
    if sole {
        let tickets = authenticators.iter().flatten().filter(|plan| plan.scheme.ticket_life().is_some());
        used.extend(tickets.map(|plan| ("authenticators", plan.name.to_string())));
    }
    for section in NAMED {
        for entry in root.entries(section) {
            if !used.contains(&(section, entry.key.clone())) {
                checking.faults.warn(&entry.span, format!("nothing refers to `{}`; remove it, or use it", entry.key));
            }
        }
    }
}

//! The section `authenticators`: ways to prove who is calling.
//!
//! Which schemes there are is the roll-call's to say; each proves its own settings. Here the key stores they name are
//! found and shown to hold what the scheme needs.

use std::sync::Arc;

use crate::config::limits::{MAX_AGE, OFF, is_off};
use crate::config::plan::{AuthenticatorPlan, CachePlan, KeyStorePlan};
use crate::config::root::{Root, fault_of_name, opened};
use crate::domain::Seconds;
use crate::jose::algorithm::{Algorithm, Family};
use crate::settings::{Checking, Choice, Entry, KeySpec, Node, SectionSpec, Shape, sound};
use crate::verify::SCHEMES;
use crate::verify::contract::{KeyUse, Renewability};
use crate::verify::jwt::settings::DISCOVERY;
use crate::verify::keys::discovery;

/// The shape of `authenticators`.
pub(super) const AUTHENTICATORS: Shape = Shape::Map(&AUTHENTICATOR);

const AUTHENTICATOR: Shape = Shape::Kind {
    what: "scheme",
    kinds: schemes,
    beside: &[
        KeySpec::optional(
            "cache",
            CACHE,
            "How long its verdicts are remembered; `off` judges every request anew. As the section `cache` says unless written.",
        ),
        KeySpec::optional(
            "renew",
            Shape::Name("renewers"),
            "What renews its credentials when they have run out. Not renewed unless written.",
        ),
    ],
};

const CACHE: Shape = Shape::Either(&[OFF, Shape::Section(&CACHE_OF_ONE)]);

static CACHE_OF_ONE: SectionSpec = SectionSpec {
    title: "`cache` of an authenticator",
    doc: "How long verdicts of this authenticator are remembered.",
    keys: &[KeySpec::required("max_age", MAX_AGE, "At most this long, and never beyond the credential's own end.")],
};

fn schemes() -> Vec<Choice> {
    SCHEMES.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

/// Proves `authenticators`, in written order; `None` stands for one at fault.
pub(super) fn authenticators(root: &Root<'_>, cache: Option<CachePlan>, checking: &mut Checking<'_>) -> Vec<Option<AuthenticatorPlan>> {
    root.entries("authenticators").iter().map(|entry| authenticator(entry, cache, checking)).collect()
}

fn authenticator(entry: &Entry, cache: Option<CachePlan>, checking: &mut Checking<'_>) -> Option<AuthenticatorPlan> {
    if entry.key == "none" {
        checking.faults.error(&entry.span, "`none` is what a rule says when it needs no credential; choose another name");
        return None;
    }
    if let Some(fault) = fault_of_name(&entry.key) {
        checking.faults.error(&entry.span, fault);
        return None;
    }
    if !sound(AUTHENTICATOR, &entry.node) {
        return None;
    }
    let (scheme, settings) =
        entry.node.as_map()?.iter().find_map(|kind| Some((SCHEMES.iter().find(|scheme| scheme.name == kind.key)?, &kind.node)))?;
    let plan = (scheme.plan)(settings, checking)?;
    Some(AuthenticatorPlan {
        name: Arc::from(entry.key.as_str()),
        scheme: plan,
        cache: max_age(entry.node.get("cache"), cache, checking),
        renewal: None,
    })
}

fn max_age(written: Option<&Node>, cache: Option<CachePlan>, checking: &mut Checking<'_>) -> Option<Seconds> {
    let Some(node) = written else { return cache.map(|cache| cache.max_age) };
    if is_off(node) {
        return None;
    }
    let section = opened(&CACHE_OF_ONE, node)?;
    if cache.is_none() {
        checking.faults.warn(&node.span, "the section `cache` is `off`, so nothing is remembered here either");
        return None;
    }
    section.seconds("max_age")
}

/// Shows that an authenticator which another leans on judges tokens, and leans on none itself.
pub(super) fn prove_leaning(authenticators: &[Option<AuthenticatorPlan>], checking: &mut Checking<'_>) {
    for plan in authenticators.iter().flatten() {
        let Some((name, span)) = plan.scheme.leans_on() else { continue };
        // One that does not exist, or is at fault itself, has been told already.
        let Some(other) = authenticators.iter().flatten().find(|other| *other.name == *name) else { continue };
        if other.scheme.renewability() != Renewability::Brought {
            let says = format!(
                "`{name}`, of the scheme `{}`, judges no tokens that a renewal could bring; name one that does",
                other.scheme.scheme()
            );
            checking.faults.error(span, says);
        }
    }
}

/// Shows that every key store an authenticator names exists and holds what its scheme needs; adds those it implies.
///
/// `written` are all names under `keys`, those at fault among them: a store whose own settings are wrong is not also
/// reported as missing.
pub(super) fn prove_key_stores(
    authenticators: &[Option<AuthenticatorPlan>],
    stores: &mut Vec<KeyStorePlan>,
    written: &[Entry],
    checking: &mut Checking<'_>,
) {
    for plan in authenticators.iter().flatten() {
        for needed in plan.scheme.key_stores() {
            if let Some(store) = stores.iter().find(|store| *store.name == *needed.store) {
                prove_fit(plan, &needed, store, checking);
            } else if let Some(issuer) = needed.store.strip_prefix(DISCOVERY) {
                match discovery::implied(issuer) {
                    Ok(source) => stores.push(KeyStorePlan { name: Arc::from(needed.store.as_str()), source }),
                    Err(says) => checking.faults.error(&needed.span, format!("{says}; or name a key store under `keys`")),
                }
            } else if written.iter().all(|entry| entry.key != needed.store) {
                checking.resolve("keys", &needed.store, &needed.span);
            }
        }
    }
}

/// Shows that `store` holds the kind of key that `plan` needs, and one that fits an algorithm it accepts.
fn prove_fit(plan: &AuthenticatorPlan, needed: &KeyUse, store: &KeyStorePlan, checking: &mut Checking<'_>) {
    let held = store.source.class();
    if !held.serves(needed.class) {
        let says = format!("`{}` needs {}, but `{}` holds {}", plan.name, needed.class.describe(), needed.store, held.describe());
        checking.faults.error(&needed.span, says);
        return;
    }
    if needed.shared && !store.source.keeps_issuers_apart() {
        checking.faults.warn(
            &needed.span,
            "several issuers share a key store, so the keys of each vouch for all of them; write a mapping from issuer to key store to keep them apart",
        );
    }
    let Some(accepted) = plan.scheme.algorithms() else { return };
    let held = match store.source.algorithms() {
        Some(held) => held,
        // A secret is never fetched: what a remote set may hold are public keys.
        None => Algorithm::ALL.iter().copied().filter(|algorithm| algorithm.family() != Family::Hmac).collect(),
    };
    if !accepted.iter().any(|algorithm| held.contains(algorithm)) {
        let names = |algorithms: &[Algorithm]| algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", ");
        let says = format!(
            "nobody can satisfy `{}`: it accepts {}, but `{}` has keys for {} only",
            plan.name,
            names(accepted),
            needed.store,
            names(&held)
        );
        checking.faults.error(&needed.span, says);
    }
}

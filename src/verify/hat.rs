//! The `hat` scheme: tokens that a HAT, a person's own data server (Dataswift), has signed.
//!
//! Every HAT is an issuer of its own and signs with the key that it serves under its own name, so whom a token may name is settled by
//! the conf, and who calls is the HAT: `iss`, never `sub`, which only the HAT can read. Three kinds of token have one form and very
//! different rights; an authenticator takes one of them (`hat::kind`). Where a token stands is in `hat::reading`, what it proves in
//! `hat::judge`, how one token is exchanged for that of another application in `hat::exchange`.
//!
//! Never here: a key that is chosen by a token's header (such tokens name none), a cookie (no HAT reads one), a token that neither
//! `exp` nor the idle limit ends.
//!
//! Source: HAT 2.0 and its authenticator (Silhouette, `JWTRS256Authenticator`, `RequestExtractor`).

mod exchange;
mod judge;
mod kind;
mod reading;

use std::sync::Arc;

use crate::domain::{Place, Seconds};
use crate::jose::algorithm::Algorithm;
use crate::settings::host::Suffix;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Desk, KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::hat::exchange::{ApplicationTokens, ExchangePlan};
use crate::verify::hat::judge::{Exchange, Judge, Rules};
use crate::verify::hat::kind::{Kind, Version};
use crate::verify::hat::reading::{Field, Origin};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "hat",
    doc: "A token that a HAT (Dataswift) has signed: of its owner, of an application, or for one service.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

/// What the scheme is called in identities.
const NAME: &str = "hat";

/// The claim under which the exchanged token of another application stands.
pub const EXCHANGED: &str = "application_token";

const TEXTS: Shape = Shape::List { of: &Shape::Text, lone: true, min: 1 };

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `hat` scheme",
    doc: "Tokens of personal data servers, each of which signs its own. The caller is the HAT, by its domain.",
    keys: &[
        KeySpec::required(
            "keys",
            Shape::Name("keys"),
            "The key store that verifies: of kind `issuer_key`, since each HAT has its own key.",
        ),
        KeySpec::required(
            "issuers",
            TEXTS,
            "Domains whose HATs are believed, such as `hubofallthings.net` and `hubat.net`; whole labels. Every HAT below them may log in \
             as itself.",
        ),
        KeySpec::required(
            "kind",
            Shape::OneOf(&["owner", "application", "validate"]),
            "Whose rights the token has: `owner` all of the HAT's, `application` those that its owner gave to one application, `validate` none \
             but to show one service who the owner is. One kind is never taken for another.",
        ),
        KeySpec::optional(
            "application",
            Shape::Text,
            "The application that the token must be for, by its id. Needed for kind `application`.",
        ),
        KeySpec::optional(
            "minimum_version",
            Shape::Text,
            "The oldest `applicationVersion` that is taken, such as `1.2.7`; for kind `application`.",
        ),
        KeySpec::optional(
            "resource",
            TEXTS,
            "What `resource` of the token must be, byte for byte. For kind `validate`, where it is needed, our own URL as HATs are told it; for \
             kind `owner` the HAT itself unless written.",
        ),
        KeySpec::default(
            "access_scopes",
            Shape::List { of: &Shape::OneOf(&["owner", "platform", "datacredit", "datadebitowner"]), lone: true, min: 1 },
            "owner",
            "What `accessScope` may be for kind `owner`.",
        ),
        KeySpec::default(
            "field",
            Shape::HeaderName,
            "X-Auth-Token",
            "What the token is called in every place. Exact case but in the header.",
        ),
        KeySpec::default(
            "from",
            Shape::List { of: &Shape::OneOf(Origin::WORDS), lone: true, min: 1 },
            "[query, header, form, json, xml]",
            "Where the token may stand. All are looked at; two that disagree are refused. With `form`, `json` or `xml` a body of that type must \
             fit into 64KiB; a HAT looks there last, so `[query, header]` is enough before one, where larger bodies are sent.",
        ),
        KeySpec::default(
            "idle",
            Shape::Duration { min: 60, max: 31_536_000 },
            "72h",
            "How long after `iat` a token is still taken, that second included, whatever `exp` says.",
        ),
        KeySpec::default(
            "skew",
            Shape::Duration { min: 0, max: 120 },
            "60s",
            "How far `iat` may lie in the future. It widens nothing else: a HAT adds nothing to its ends either.",
        ),
        KeySpec::default(
            "single_use",
            Shape::Bool,
            "false",
            "Whether each token is good for one request; for callbacks, whose URL with the token in it stays in histories and logs.",
        ),
        KeySpec::optional(
            "application_token",
            Shape::Text,
            "The id of another application whose token the HAT is asked for with the caller's (`/api/v2.6/applications/ID/access-token`). It is \
             kept until it ends, and stands in the identity as `claims.application_token`; see `hat_token` and `hat.dataplug`. The caller's \
             application needs the HAT's permission for it.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
struct HatPlan {
    store: String,
    store_span: Span,
    rules: Arc<Rules>,
    exchange: Option<ExchangePlan>,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    checking.resolve("keys", &store, &store_span);
    let mut issuers = Vec::new();
    for node in section.items("issuers") {
        match Suffix::read(node.as_text().unwrap_or_default()) {
            Ok(suffix) => issuers.push(suffix),
            Err(says) => checking.faults.error(&node.span, says),
        }
    }
    let kind = read_kind(&section, checking);
    let from: Vec<Origin> = section.texts("from").into_iter().filter_map(Origin::named).collect();
    if from.iter().enumerate().any(|(index, origin)| from.iter().skip(index + 1).any(|other| other == origin)) {
        checking.faults.error(section.span_of("from"), "a place is named twice; name each place once");
    }
    let wanted = section.text("application_token");
    if wanted.is_some_and(|id| !is_application(id)) {
        checking.faults.error(section.span_of("application_token"), NO_APPLICATION);
    }
    if wanted.is_some() && section.text("kind") == Some("validate") {
        let says = "a token for one service gets no other application's token at its HAT; leave `application_token` out";
        checking.faults.error(section.span_of("application_token"), says);
    }
    if checking.faults.errors() != before {
        return None;
    }
    let (issuers, idle): (Arc<[Suffix]>, Seconds) = (issuers.into(), section.seconds("idle")?);
    let exchange = wanted.map(|id| ExchangePlan { application: id.into(), issuers: Arc::clone(&issuers), idle });
    let rules = Rules {
        issuers,
        kind: kind?,
        field: Field { name: section.text("field")?.into(), header: section.header("field")? },
        from: from.into(),
        idle,
        skew: section.seconds("skew")?,
        single_use: section.flag("single_use"),
    };
    Some(Box::new(HatPlan { store, store_span, rules: Arc::new(rules), exchange }))
}

const NO_APPLICATION: &str = "the id of an application is up to 64 letters, digits, `-` and `_`";

/// Whether `id` has the form of an application's id; then it can stand in a path as it is.
fn is_application(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The kind, with what binds a token of that kind to us; keys that bind another kind are faults.
fn read_kind(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Kind> {
    let kind = section.text("kind")?;
    let of: [(&str, &[&str]); 4] = [
        ("application", &["application"]),
        ("minimum_version", &["application"]),
        ("resource", &["owner", "validate"]),
        ("access_scopes", &["owner"]),
    ];
    for (key, kinds) in of {
        if section.node(key).is_some() && !kinds.contains(&kind) {
            checking.faults.error(section.span_of(key), format!("`{key}` says nothing about tokens of kind `{kind}`; leave it out"));
        }
    }
    let texts = |key: &str| -> Box<[Box<str>]> { section.texts(key).into_iter().map(Box::from).collect() };
    match kind {
        "owner" => {
            let resources = Some(texts("resource")).filter(|texts| !texts.is_empty());
            Some(Kind::Owner { scopes: texts("access_scopes"), resources })
        }
        "application" => {
            let ids = texts("application");
            if ids.is_empty() {
                let says = "kind `application` needs `application`: without it the token of any application would do";
                checking.faults.error(section.span(), says);
            }
            if !ids.iter().all(|id| is_application(id)) {
                checking.faults.error(section.span_of("application"), NO_APPLICATION);
            }
            let minimum = section.text("minimum_version").map(Version::read);
            if minimum == Some(None) {
                let says = "`minimum_version` is up to four numbers with dots between, in quotes where it could be a number: \"1.2\"";
                checking.faults.error(section.span_of("minimum_version"), says);
            }
            Some(Kind::Application { ids, minimum: minimum.flatten() })
        }
        _ => {
            let resources = texts("resource");
            if resources.is_empty() {
                let says = "kind `validate` needs `resource`: without it a token for any other service would do";
                checking.faults.error(section.span(), says);
            }
            Some(Kind::Validate { resources })
        }
    }
}

impl SchemePlan for HatPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        // However many HATs there are, the keys of none may vouch for another.
        vec![KeyUse { store: self.store.clone(), class: KeyClass::Signature, span: self.store_span.clone(), shared: true }]
    }

    fn algorithms(&self) -> Option<&[Algorithm]> {
        Some(&[Algorithm::Rs256])
    }

    fn looks_at(&self) -> Vec<Place> {
        self.rules.from.iter().map(|origin| origin.place(&self.rules.field)).collect()
    }

    fn renewability(&self) -> Renewability {
        if self.rules.single_use { Renewability::Never("each is good for one request") } else { Renewability::Brought }
    }

    fn remembers(&self) -> bool {
        self.rules.single_use
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        let Some(BuiltKeys::Signature(keys)) = tools.keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::Signature.describe()));
        };
        let desk = tools.desks.register(Arc::clone(keys).desk());
        let exchange = match &self.exchange {
            None => None,
            Some(plan) => {
                let (client, clock) = (tools.client, tools.clock);
                let build = || Ok(ApplicationTokens::new(name, plan, client, clock));
                let tokens = tools.desks.lasting().or_build(name, &format!("{plan:?}"), build)?;
                let desk = tools.desks.register(Arc::clone(&tokens) as Arc<dyn Desk>);
                Some(Exchange { tokens, desk, application: plan.application.clone() })
            }
        };
        Ok(Arc::new(Judge::new(Arc::clone(name), Arc::clone(&self.rules), Arc::clone(keys), desk, exchange)))
    }
}

#[cfg(test)]
mod tests;

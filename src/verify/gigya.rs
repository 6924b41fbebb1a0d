//! The `gigya` scheme: a user id that Gigya (SAP Customer Data Cloud) has signed, or that a site has signed for it.
//!
//! Three kinds, fixed by the conf and never guessed from the request, because their signed texts can be equal: `user`
//! (`UID`, `UIDSignature`, `signatureTimestamp`), `site` (`siteUID`, `UIDSig`, `UIDTimestamp`, the setUID family) and
//! `friend` (`friendUID` besides). Where the parts stand is in `gigya::reading`, what they prove in `gigya::proof`.
//!
//! Never here: a secret that the request chooses; fields beside the signed ones, which prove nothing; Gigya's `id_token`,
//! which is a `jwt`; signed requests and the `gltexp` cookie, which prove no user.

mod proof;
mod reading;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use crate::domain::{Credential, Facts, Found, Identity, Place, RequestView, Step, Timestamp, Verified};
use crate::jose::signed_uid::is_uid;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::gigya::proof::{Kind, Prover, Rules};
use crate::verify::gigya::reading::{Names, Origin};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::is_token;

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "gigya",
    doc: "A user id signed with a Gigya partner secret: `UID`, `UIDSignature`, `signatureTimestamp`.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `gigya` scheme",
    doc: "Users of Gigya, by the signature they got when they logged in.",
    keys: &[
        KeySpec::required("keys", Shape::Name("keys"), "The key store with the partner secret: one of kind `gigya_secret`."),
        KeySpec::default(
            "kind",
            Shape::OneOf(&["user", "site", "friend"]),
            "user",
            "What was signed: `user` a UID at login, `site` a siteUID by the site itself (setUID, notifyLogin, notifyRegistration), `friend` a \
             friendship. One kind is never accepted as another.",
        ),
        KeySpec::default(
            "window",
            Shape::Duration { min: 30, max: 300 },
            "300s",
            "How far the signed time may lie in the past or the future. Gigya says five minutes; its PHP library allows 180s.",
        ),
        KeySpec::default(
            "from",
            Shape::List { of: &Shape::OneOf(Origin::WORDS), lone: true, min: 1 },
            "[query, form, json]",
            "Where the parts may stand: `query`, `form` and `json` (the body, when its Content-Type says so), `headers`, `cookies`. All are looked \
             at; two that disagree are refused. A body must then fit into 64KiB.",
        ),
        KeySpec::optional("uid", Shape::Text, "What the user id is called. Default `UID`; `siteUID` for kind `site`."),
        KeySpec::optional(
            "signature",
            Shape::Text,
            "What the signature is called. Default `UIDSignature`; `UIDSig` for kind `site`; `friendshipSignature` for kind `friend`.",
        ),
        KeySpec::optional(
            "timestamp",
            Shape::Text,
            "What the time is called. Default `signatureTimestamp`; `UIDTimestamp` for kind `site`.",
        ),
        KeySpec::default("friend_uid", Shape::Text, "friendUID", "What the friend's id is called, for kind `friend`."),
        KeySpec::default(
            "underscore",
            Shape::Bool,
            "true",
            "Whether a user id may hold `_`. Set to false where Gigya signs friendships of this site too and users choose their ids: the proof of \
             a friendship between `a` and `b` is also a proof of the user `a_b`. Always false for kind `friend`.",
        ),
        KeySpec::default(
            "burn",
            Shape::Bool,
            "false",
            "Whether each signature may be used once only; for the post-back that opens a session.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
pub struct GigyaPlan {
    store: String,
    store_span: Span,
    names: Names,
    from: Box<[Origin]>,
    rules: Rules,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<GigyaPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    let mut sound = checking.resolve("keys", &store, &store_span);
    let kind = Kind::named(section.text("kind")?)?;
    let from: Vec<Origin> = section.texts("from").into_iter().filter_map(Origin::named).collect();
    if from.iter().enumerate().any(|(index, origin)| from.iter().skip(index + 1).any(|other| other == origin)) {
        checking.faults.error(section.span_of("from"), "a place is named twice; name each place once");
        sound = false;
    }
    let defaults = Names::of(kind);
    let names = Names {
        uid: section.text("uid").map_or(defaults.uid, Into::into),
        signature: section.text("signature").map_or(defaults.signature, Into::into),
        timestamp: section.text("timestamp").map_or(defaults.timestamp, Into::into),
        friend: defaults.friend.map(|friend| section.text("friend_uid").map_or(friend, Into::into)),
    };
    sound &= names_are_sound(&names, &from, section.span(), checking);
    let underscore = section.flag("underscore");
    if kind == Kind::Friend && section.node("underscore").is_some() && underscore {
        checking
            .faults
            .error(section.span_of("underscore"), "the proof of a friendship is ambiguous when an id holds `_`; it cannot be allowed here");
        sound = false;
    }
    let rules =
        Rules { kind, window: section.seconds("window")?, underscore: underscore && kind != Kind::Friend, burn: section.flag("burn") };
    sound.then_some(GigyaPlan { store, store_span, names, from: from.into(), rules })
}

/// The parts must have distinct names, and names that their places can hold.
fn names_are_sound(names: &Names, from: &[Origin], span: &Span, checking: &mut Checking<'_>) -> bool {
    let before = checking.faults.errors();
    let all: Vec<&str> = names.all().collect();
    for (index, name) in all.iter().enumerate() {
        let folds_to_another = |other: &&str| {
            if from.contains(&Origin::Headers) { name.eq_ignore_ascii_case(other) } else { name == other }
        };
        if all.iter().skip(index + 1).any(folds_to_another) {
            checking.faults.error(span, format!("two parts are called `{name}`; each needs a name of its own"));
        }
        let carried = from.contains(&Origin::Headers) || from.contains(&Origin::Cookies);
        if carried && !name.bytes().all(is_token) {
            checking.faults.error(span, format!("`{name}` cannot be the name of a header or cookie"));
        }
    }
    checking.faults.errors() == before
}

impl SchemePlan for GigyaPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::GigyaSecret, span: self.store_span.clone(), shared: false }]
    }

    fn looks_at(&self) -> Vec<Place> {
        self.from.iter().flat_map(|origin| self.names.all().map(|name| origin.place(name))).collect()
    }

    fn remembers(&self) -> bool {
        self.rules.burn
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys)?))
    }
}

impl GigyaPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store holds no partner secret, or an empty one.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<GigyaVerifier, String> {
        let Some(BuiltKeys::GigyaSecret(secrets)) = keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::GigyaSecret.describe()));
        };
        let fields = if self.from.contains(&Origin::Headers) {
            self.names
                .all()
                .map(|name| HeaderName::from_bytes(name.as_bytes()))
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?
        } else {
            Box::default()
        };
        let prover = Prover::new(NAME, name, &self.store, secrets, self.rules)?;
        Ok(GigyaVerifier { names: self.names.clone(), fields, from: self.from.clone(), prover })
    }
}

/// Verifies signed user ids of one kind.
pub struct GigyaVerifier {
    names: Names,
    /// The same names as header fields; empty unless headers are looked at.
    fields: Box<[HeaderName]>,
    from: Box<[Origin]>,
    prover: Prover,
}

impl Verifier for GigyaVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        reading::find(&self.names, &self.fields, &self.from, request, facts)
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        _request: &RequestView<'_>,
        _facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        match self.prover.judge(credential, now) {
            Ok(identity) => Step::Done(identity),
            Err(doubt) => Step::Refuse(doubt.into()),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        self.prover.cache_generation()
    }

    fn claimed_id<'c>(&self, credential: &'c Credential<'_>) -> Option<Cow<'c, str>> {
        let uid = credential.part(0);
        is_uid(uid).then_some(Cow::Borrowed(uid))
    }
}

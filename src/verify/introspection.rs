//! The `introspection` scheme: opaque tokens that only their issuer can read.
//!
//! Each token is put to the issuer's introspection endpoint, and the answer is kept for a moment, never beyond the token's
//! own end. Only `active: true` from the configured endpoint over TLS makes an identity. An answer that cannot be fully
//! read, or none, leaves the request undecided (503): an outage neither admits nor convicts. What looks like a JWT is
//! another scheme's unless the conf says otherwise.
//!
//! `active: false` says that a token has ended or that it was revoked (RFC 7662 section 2.2). It counts as ended where the
//! issuer, while it called it active, had named an end that has come; as revoked everywhere else.
//!
//! Rules: RFC 7662, RFC 6749 section 2.3.1 (client credentials), RFC 6750 section 2.1.

pub mod desk;

use std::sync::Arc;

use crate::domain::{
    Credential, DeskId, Doubt, Facts, Found, Identity, Need, Place, Question, RequestView, Seconds, Step, Timestamp, Value, Verified,
};
use crate::jose::claims::{Registered, scopes, subject};
use crate::net::authorities::{Authorities, CA_KEY, check_url};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape};
use crate::verify::contract::{KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::introspection::desk::{ClientAuth, EndpointPlan, Introspected, IntrospectionDesk, desk};
use crate::verify::presented::{Presented, SOURCES, Source, find_one, plan_sources};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "introspection",
    doc: "An opaque token that its issuer is asked about (RFC 7662).",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = "introspection";

const TEXTS: Shape = Shape::List { of: &Shape::Text, lone: true, min: 1 };
/// A claim value that can be written out.
const EXACT: Shape = Shape::Either(&[Shape::Text, Shape::Count { min: i64::MIN, max: i64::MAX }, Shape::Bool]);

static CACHE: SectionSpec = SectionSpec {
    title: "`cache`",
    doc: "How long answers of the issuer hold.",
    keys: &[
        KeySpec::default(
            "max_age",
            Shape::Duration { min: 0, max: 3_600 },
            "30s",
            "How long an active token is believed without asking again; a revoked token lives that much longer. `0s` asks every time.",
        ),
        KeySpec::default("negative", Shape::Duration { min: 0, max: 600 }, "10s", "How long an inactive token stays inactive."),
    ],
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `introspection` scheme",
    doc: "Asks the issuer about each token, and remembers the answer for a moment.",
    keys: &[
        KeySpec::required("endpoint", Shape::Url, "The issuer's introspection endpoint; https, or http on loopback."),
        KeySpec::required("client_id", Shape::Text, "Who we are to the issuer."),
        KeySpec::required("client_secret", Shape::Secret, "Our secret there."),
        KeySpec::default(
            "client_auth",
            Shape::OneOf(&["basic", "post"]),
            "basic",
            "How the two are sent: `Authorization: Basic`, or in the body (RFC 6749 section 2.3.1).",
        ),
        KeySpec::required(
            "issuer",
            Shape::Text,
            "What the issuer of the identities is called; an answer that names another `iss` is refused.",
        ),
        KeySpec::optional("audience", TEXTS, "Our own names in `aud`; the answer must then name one of them, byte for byte."),
        KeySpec::optional(
            "require",
            Shape::Map(&Shape::Either(&[EXACT, Shape::List { of: &EXACT, lone: false, min: 1 }])),
            "Members of the answer that must hold: a dotted path, and the exact value or a list of which one must be the value.",
        ),
        KeySpec::default(
            "subject_from",
            Shape::Text,
            "sub",
            "The member that names the caller, as a dotted path; `client_id` where there are no users.",
        ),
        KeySpec::default(
            "leeway",
            Shape::Duration { min: 0, max: 300 },
            "30s",
            "How far the issuer's clock may be ahead of ours; widens the start of a token's life only.",
        ),
        KeySpec::optional(
            "from",
            SOURCES,
            "Where the token stands: `bearer` (the default), { header: NAME }, { cookie: NAME }, { query: NAME }.",
        ),
        KeySpec::optional("token_type_hint", Shape::OneOf(&["access_token", "refresh_token"]), "Tells the issuer where to look first."),
        KeySpec::default(
            "accept_jwt",
            Shape::Bool,
            "false",
            "Also put tokens that look like a JWT to the issuer. Without it they are left to a `jwt` authenticator.",
        ),
        KeySpec::optional("cache", Shape::Section(&CACHE), "How long answers hold."),
        KeySpec::default("deadline", Shape::Duration { min: 0, max: 30 }, "3s", "For one answer, connecting included."),
        CA_KEY,
    ],
};

/// The longest token that is asked about, in bytes.
const MAX_TOKEN: usize = 4_096;

/// What an answer must say, proven.
#[derive(Debug)]
struct Rules {
    issuer: Box<str>,
    audience: Option<Box<[Box<str>]>>,
    require: Box<[(Box<str>, Box<[Value]>)]>,
    subject_from: Box<str>,
    leeway: Seconds,
    from: Box<[Source]>,
    accept_jwt: bool,
}

#[derive(Debug)]
struct IntrospectionPlan {
    rules: Arc<Rules>,
    endpoint: EndpointPlan,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let url = check_url(&section, "endpoint", checking);
    let secret = checking.secret(section.node("client_secret")?);
    let from = plan_sources(&section.items("from"), checking);
    let authorities = Authorities::read(&section, checking);
    let deadline = section.duration("deadline")?;
    if deadline.is_zero() {
        checking.faults.error(section.span_of("deadline"), "a `deadline` of nothing is never met");
    }
    let paths = section.node("require").and_then(Node::as_map).unwrap_or_default().iter().map(|entry| (entry.key.as_str(), &entry.span));
    for (path, span) in paths.chain(section.text("subject_from").map(|path| (path, section.span_of("subject_from")))) {
        if path.split('.').any(str::is_empty) {
            checking.faults.error(span, format!("`{path}` is no dotted path such as `realm.roles`, without empty parts"));
        }
    }
    let empty = Node { span: section.span().clone(), value: NodeValue::Map(Vec::new()) };
    let cache = Section::open(&CACHE, section.node("cache").unwrap_or(&empty), checking.faults)?;
    if before != checking.faults.errors() {
        return None;
    }
    let audience: Box<[Box<str>]> = section.texts("audience").into_iter().map(Into::into).collect();
    let from = from?;
    let rules = Rules {
        issuer: section.text("issuer")?.into(),
        audience: (!audience.is_empty()).then_some(audience),
        require: section
            .node("require")
            .and_then(Node::as_map)
            .unwrap_or_default()
            .iter()
            .map(|entry| (entry.key.as_str().into(), values(&entry.node)))
            .collect(),
        subject_from: section.text("subject_from")?.into(),
        leeway: section.seconds("leeway")?,
        from: if from.is_empty() { [Source::Bearer].into() } else { from },
        accept_jwt: section.flag("accept_jwt"),
    };
    let endpoint = EndpointPlan {
        url: url?,
        client_id: section.text("client_id")?.into(),
        client_secret: secret?,
        client_auth: if section.text("client_auth") == Some("post") { ClientAuth::Post } else { ClientAuth::Basic },
        token_type_hint: section.text("token_type_hint").map(Into::into),
        deadline,
        max_age: cache.seconds("max_age")?,
        negative: cache.seconds("negative")?,
        leeway: rules.leeway,
        authorities: authorities?,
    };
    Some(Box::new(IntrospectionPlan { rules: Arc::new(rules), endpoint }))
}

/// The values that `node` allows.
fn values(node: &Node) -> Box<[Value]> {
    let one = |node: &Node| match &node.value {
        NodeValue::Text(text) => Some(Value::from(text.as_str())),
        NodeValue::Int(number) => Some(Value::Int(*number)),
        NodeValue::Bool(flag) => Some(Value::Bool(*flag)),
        NodeValue::Null | NodeValue::Float(_) | NodeValue::List(_) | NodeValue::Map(_) => None,
    };
    node.as_list().map_or_else(|| one(node).into_iter().collect(), |items| items.iter().filter_map(one).collect())
}

impl SchemePlan for IntrospectionPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        Vec::new()
    }

    fn renewability(&self) -> Renewability {
        Renewability::Brought
    }

    fn looks_at(&self) -> Vec<Place> {
        self.rules.from.iter().map(Source::place).collect()
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        let (client, clock, observer) = (tools.client, tools.clock, tools.observer);
        let build = || desk(name, &self.endpoint, client, clock, observer);
        let desk = tools.desks.lasting().or_build(name, &self.endpoint.continuity(), build)?;
        let id = tools.desks.register(Arc::clone(&desk) as Arc<dyn crate::verify::contract::Desk>);
        Ok(Arc::new(Introspector { name: Arc::clone(name), rules: Arc::clone(&self.rules), desk, id }))
    }
}

struct Introspector {
    name: Arc<str>,
    rules: Arc<Rules>,
    desk: Arc<IntrospectionDesk>,
    id: DeskId,
}

impl Introspector {
    /// Whether an inactive token has ended, as its issuer had said that it would, and who held it. Whether they may have another is
    /// for the issuer to say when it is asked for one: it may have been revoked as well.
    fn lapsed(&self, token: &str, now: Timestamp) -> Option<Doubt> {
        let last = self.desk.ended(token)?;
        self.judge(&last, now).err().filter(|doubt| matches!(doubt, Doubt::Expired(Some(_))))
    }

    fn judge(&self, answer: &Introspected, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let rules = &*self.rules;
        let Introspected::Active(claims) = answer else { return Err(Doubt::Revoked) };
        let registered = Registered::read(claims)?;
        if registered.issuer.is_some_and(|issuer| *issuer != *rules.issuer) {
            return Err(Doubt::IssuerMismatch);
        }
        if let Some(ours) = &rules.audience
            && !registered.audience.ok_or(Doubt::ClaimMissing)?.names_any(ours)
        {
            return Err(Doubt::AudienceMismatch);
        }
        // The issuer's clock may be ahead of ours; its word on the start is then right all the same.
        let not_before = registered.lifetime.not_before.map(|start| start.minus(rules.leeway));
        if not_before.is_some_and(|start| now < start) {
            return Err(Doubt::NotYetValid);
        }
        let (expires, claims) = (registered.lifetime.expires, claims.get());
        let identity = Identity {
            subject: subject(claims.at_path(&rules.subject_from).ok_or(Doubt::ClaimMissing)?)?.into(),
            issuer: rules.issuer.clone(),
            scopes: claims.member("scope").map(scopes).transpose()?.unwrap_or_default(),
            claims: claims.clone(),
            expires,
            not_before,
            scheme: NAME,
            authenticator: Arc::clone(&self.name),
            burn: None,
            also: Vec::new(),
        };
        // Every field comes from an answer that arrived as `Verified`.
        let identity = Verified::vouch(Arc::new(identity));
        if expires.is_some_and(|end| end <= now) {
            return Err(Doubt::Expired(Some(Box::new(identity))));
        }
        for (path, allowed) in &rules.require {
            if !claims.at_path(path).is_some_and(|value| allowed.iter().any(|allowed| value == *allowed)) {
                return Err(Doubt::ClaimMissing);
            }
        }
        Ok(identity)
    }
}

impl Verifier for Introspector {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(match find_one(&self.rules.from, request) {
            Presented::One { text, .. } if MAX_TOKEN < text.len() => Found::Foreign(Doubt::Malformed),
            Presented::One { text, .. } if !self.rules.accept_jwt && looks_like_jwt(&text) => Found::Foreign(Doubt::Malformed),
            presented => presented.into(),
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        _request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let token = credential.part(0);
        let verdict = if let Some(answer) = self.desk.recall(token, now) {
            self.judge(&answer, now)
        } else {
            let question = Question { desk: self.id, about: token.into() };
            match facts.answer::<Introspected>(&question) {
                Some(answer) => self.judge(answer, now),
                None => return Step::Need(Need::Ask(question)),
            }
        };
        match verdict {
            Ok(identity) => Step::Done(identity),
            Err(Doubt::Revoked) => Step::Refuse(self.lapsed(token, now).unwrap_or(Doubt::Revoked).into()),
            Err(doubt) => Step::Refuse(doubt.into()),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        self.rules.from.contains(&Source::Bearer).then_some("Bearer")
    }

    fn cache_generation(&self) -> Option<u64> {
        // The desk remembers, for as long as `cache` says and no longer.
        None
    }
}

/// Three parts between two dots: the compact form of a signed token (RFC 7515 section 7.1).
fn looks_like_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests;

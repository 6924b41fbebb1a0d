//! The `session` scheme: a cookie with an opaque id, and a sealed record in the state store that says who it is.
//!
//! The cookie says nothing but that its id was drawn here; what was not is over, like one that has ended, and costs one HMAC and no
//! look at the store. The record was sealed by us for this very id at this very host, and
//! opening it proves it. A session that keeps a pair of another issuer is as good as its access token: when that ends, the session
//! asks for a renewal, and is judged anew by the record that the renewal has left.
//!
//! Never here: a session made, changed or ended (that is `issuer`'s; the minute in which it was last seen is all that is written
//! here), an id in a log, a session that comes back once it is over.
//!
//! Rules: RFC 6265bis section 4.1.3.2 (`__Host-`), OWASP session management.

pub mod desk;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::claims::Writer;
use crate::domain::{
    Answer, Claim, Claims, Credential, DeskId, Doubt, Facts, Found, Identity, Need, Place, Question, Refusal, RequestView, Seconds, Secret,
    Step, Timestamp, TokenPair, Verified,
};
use crate::jose::session::{Epochs, KeptPair, Reference, Session, SessionId, SessionKey, SessionTerms};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Held, Judged, KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::cookie;
use crate::verify::session::desk::{Asked, Seen, SessionDesk};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "session",
    doc: "Sessions of our own: a `__Host-` cookie with an opaque id, and an encrypted record in the state store.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

/// What the name of a cookie must start with: browsers then take it over TLS only, for one host only, and from that host only.
const PREFIX: &str = "__Host-";

/// A session is not touched more often, so one that may idle for less than twice as long would end while it is used.
const LEAST_IDLE: Seconds = Seconds(120);

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `session` scheme",
    doc: "Callers that hold a session of ours, opened with `serve: session.open`.",
    keys: &[
        KeySpec::required(
            "keys",
            Shape::Name("keys"),
            "The key store with the key that seals records: one of kind `mac`. The first key seals, all open; a record is sealed anew when \
             it is next written.",
        ),
        KeySpec::default("cookie", Shape::Text, "__Host-session", "The cookie that holds the id; its name starts with `__Host-`."),
        KeySpec::default(
            "life",
            Shape::Duration { min: 60, max: 31_536_000 },
            "12h",
            "How long a session lasts at most, however much it is used.",
        ),
        KeySpec::default(
            "idle",
            Shape::Duration { min: 0, max: 31_536_000 },
            "30m",
            "How long a session lasts unused, at least two minutes; `0s` for no such end. Use is noted once a minute, so a session may end up \
             to a minute early.",
        ),
        KeySpec::default(
            "remember",
            Shape::Duration { min: 0, max: 1 },
            "1s",
            "How long a record that was read is used without asking the store again. What another node has ended lives that much longer.",
        ),
        KeySpec::optional(
            "tokens",
            Shape::Name("authenticators"),
            "The authenticator that judges the access tokens which sessions keep, usually the one that proved the login. Scopes and claims \
             then follow the token, and one that is not for the session's own subject ends it. Without it, what the login proved holds.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
struct SessionPlan {
    store: String,
    store_span: Span,
    cookie: Box<str>,
    life: Seconds,
    idle: Seconds,
    remember: Seconds,
    tokens: Option<(String, Span)>,
    /// Shared by all that is built of this plan.
    epochs: Arc<Epochs>,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let cookie = section.text("cookie")?;
    if let Some(says) = fault_of_cookie(cookie) {
        checking.faults.error(section.span_of("cookie"), says);
    }
    let (life, idle) = (section.seconds("life")?, section.seconds("idle")?);
    if idle != Seconds(0) && idle < LEAST_IDLE {
        let says = "a session is noted as used once a minute; `idle` is `0s` for no such end, or at least `2m`";
        checking.faults.error(section.span_of("idle"), says);
    }
    let plan = SessionPlan {
        store: section.text("keys")?.to_owned(),
        store_span: section.span_of("keys").clone(),
        cookie: cookie.into(),
        life,
        idle,
        remember: section.seconds("remember")?,
        tokens: section.text("tokens").map(|name| (name.to_owned(), section.span_of("tokens").clone())),
        epochs: Arc::default(),
    };
    (before == checking.faults.errors()).then(|| Box::new(plan) as Box<dyn SchemePlan>)
}

/// What is wrong with `name` as the name of a session cookie, if anything.
fn fault_of_cookie(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX);
    if rest.is_none_or(str::is_empty) {
        return Some(format!("a session's cookie is called `{PREFIX}` and something, so that no other host can set or read it"));
    }
    let plain = name.bytes().all(crate::verify::presented::is_token);
    (!plain).then(|| "a cookie's name has no spaces, separators or control characters".to_owned())
}

impl SchemePlan for SessionPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::Mac, span: self.store_span.clone(), shared: false }]
    }

    fn looks_at(&self) -> Vec<Place> {
        vec![Place::Cookie(self.cookie.clone())]
    }

    fn renewability(&self) -> Renewability {
        Renewability::Held
    }

    fn leans_on(&self) -> Option<(&str, &Span)> {
        self.tokens.as_ref().map(|(name, span)| (name.as_str(), span))
    }

    fn session_terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Option<Result<SessionTerms, String>> {
        Some(self.terms(name, keys))
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        let terms = Arc::new(self.terms(name, tools.keys)?);
        let tokens = match &self.tokens {
            None => None,
            Some((tokens, _)) => {
                let verifier = tools.verifiers.get(tokens.as_str());
                Some(Arc::clone(verifier.ok_or_else(|| format!("there is no authenticator `{tokens}` to judge tokens with"))?))
            }
        };
        let desk = Arc::new(SessionDesk::new(&terms, self.remember, tools.state, tools.random, tools.observer));
        let id = tools.desks.register(Arc::clone(&desk) as Arc<dyn crate::verify::contract::Desk>);
        Ok(Arc::new(Sessions { terms, tokens, desk, id }))
    }
}

impl SessionPlan {
    fn terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<SessionTerms, String> {
        let Some(BuiltKeys::Mac(keys)) = keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::Mac.describe()));
        };
        if keys.is_empty() {
            return Err(format!("`{}` holds no key; no session could be opened", self.store));
        }
        Ok(SessionTerms {
            name: Arc::clone(name),
            cookie: self.cookie.clone(),
            life: self.life,
            idle: self.idle,
            keys: keys.iter().map(|key| SessionKey::new(key.id, &key.secret)).collect(),
            epochs: Arc::clone(&self.epochs),
        })
    }
}

/// Judges sessions.
struct Sessions {
    terms: Arc<SessionTerms>,
    /// Judges the access tokens that sessions keep.
    tokens: Option<Arc<dyn Verifier>>,
    desk: Arc<SessionDesk>,
    id: DeskId,
}

impl Sessions {
    /// The session that `credential` is, by its id and the host it was presented at; `None` when no session of ours can be meant.
    fn reference(&self, credential: &Credential<'_>) -> Option<Reference> {
        self.terms.recognise(SessionId::parse(credential.part(0))?, credential.part(1))
    }

    fn question(&self, asked: Asked, reference: &Reference) -> Question {
        Question { desk: self.id, about: asked.about(reference) }
    }

    /// What `session` proves at `now`, or why it does not.
    fn judge(
        &self,
        reference: &Reference,
        session: &Verified<Session>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let said = session.get();
        if said.until(self.terms.idle) <= now {
            return Step::Refuse(Doubt::Expired(None).into());
        }
        let (Some(pair), Some(tokens)) = (&said.pair, &self.tokens) else {
            let ends = said.pair.as_ref().and_then(|pair| pair.access_until).map_or(said.ends, |until| until.min(said.ends));
            let identity = self.identify(reference, session, None, ends);
            return if ends <= now { Step::Refuse(Doubt::Expired(Some(Box::new(identity))).into()) } else { Step::Done(identity) };
        };
        let Ok(text) = std::str::from_utf8(pair.access.expose()) else { return Step::Refuse(Doubt::Malformed.into()) };
        let credential = Credential::new(vec![text.into()], Vec::new());
        match tokens.verify(&credential, request, facts, now) {
            Step::Done(token) if is_for(said, &token) => {
                let ends = token.get().expires.map_or(said.ends, |end| end.min(said.ends));
                Step::Done(self.identify(reference, session, Some(&token), ends))
            }
            Step::Refuse(Refusal::Doubted(Doubt::Expired(Some(lapsed)))) if is_for(said, &lapsed) => {
                let ends = lapsed.get().expires.unwrap_or(now);
                let identity = self.identify(reference, session, Some(&lapsed), ends);
                Step::Refuse(Doubt::Expired(Some(Box::new(identity))).into())
            }
            // Somebody else's token: whatever happened, this is not the session that was opened.
            Step::Done(_) | Step::Refuse(Refusal::Doubted(Doubt::Expired(Some(_)))) => Step::Refuse(Doubt::Revoked.into()),
            Step::Need(need) => Step::Need(need),
            Step::Refuse(refusal) => Step::Refuse(refusal),
        }
    }

    /// Who `session` is. Scopes and claims are those of `token`, where there is one.
    fn identify(
        &self,
        reference: &Reference,
        session: &Verified<Session>,
        token: Option<&Verified<Arc<Identity>>>,
        ends: Timestamp,
    ) -> Verified<Arc<Identity>> {
        let said = session.get();
        let (scopes, others) = match token {
            Some(token) => (&token.get().scopes, token.get().claims.clone()),
            None => (&said.scopes, Claims::from(&said.claims)),
        };
        // A session is as old as its login, however new its tokens are: what revokes old logins revokes it.
        let mut claims = Writer::with_room(64 + others.held());
        claims.open_map();
        claims.text("sid");
        claims.text(&self.terms.handle_of(reference));
        claims.text("iat");
        claims.int(said.opened.0);
        if let Claim::Map(members) = others.get() {
            for (name, member) in members.filter(|(name, _)| !matches!(*name, "sid" | "iat")) {
                claims.text(name);
                claims.claim(member);
            }
        }
        claims.close();
        // Everything comes from a record that was opened as `Verified`, or from a token that was.
        Verified::vouch(Arc::new(Identity {
            subject: said.subject.clone(),
            issuer: said.issuer.clone(),
            scopes: scopes.clone(),
            claims: claims.finish(),
            expires: Some(ends),
            not_before: None,
            scheme: NAME,
            authenticator: Arc::clone(&self.terms.name),
            burn: None,
            also: Vec::new(),
        }))
    }
}

/// Whether `token` speaks of whom the session was opened for.
fn is_for(session: &Session, token: &Verified<Arc<Identity>>) -> bool {
    let identity = token.get();
    (&identity.subject, &identity.issuer) == (&session.subject, &session.issuer)
}

/// Whether it is the pair that ends, and not the session: only then is there something to renew for.
fn can_be_renewed(session: &Session, pair: &KeptPair) -> bool {
    pair.access_until.is_none_or(|until| until <= session.ends)
}

impl Verifier for Sessions {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(match cookie(&self.terms.cookie, request) {
            Ok(None) => Found::Absent,
            Ok(Some(text)) if SessionId::parse(&text).is_some() => {
                let places = vec![Place::Cookie(self.terms.cookie.clone())];
                Found::Present(Credential::new(vec![text, request.host.into()], places))
            }
            Ok(Some(_)) => Found::Unreadable(Doubt::Malformed),
            Err(doubt) => Found::Unreadable(doubt),
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        // The same as for one that is over, so that nobody learns which it was.
        let Some(reference) = self.reference(credential) else { return Step::Refuse(Doubt::Expired(None).into()) };
        let question = self.question(Asked::Remembered, &reference);
        let seen = match facts.answer::<Seen>(&question) {
            Some(seen) => seen.clone(),
            None => match self.desk.recall(&reference, now) {
                Some(seen) => {
                    // Others may write the record at any time. What is shown and spent for this request is what it is judged by here.
                    facts.pin(question, Arc::clone(&seen) as Answer);
                    Seen::clone(&seen)
                }
                None => return Step::Need(Need::Ask(question)),
            },
        };
        match seen {
            Seen::Live(session) => self.judge(&reference, &session, request, facts, now),
            Seen::Over => Step::Refuse(Doubt::Expired(None).into()),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        // The desk remembers, for a second.
        None
    }

    fn held(&self, credential: &Credential<'_>, facts: &Facts) -> Option<Held> {
        let reference = self.reference(credential)?;
        // What it was judged by: whoever renews looks into the record itself.
        let Seen::Live(session) = facts.answer(&self.question(Asked::Remembered, &reference))? else { return None };
        let pair = session.get().pair.as_ref().filter(|pair| can_be_renewed(session.get(), pair))?;
        // What is presented for a session is its id; the access token is in the record.
        let access = Secret::new(reference.text().as_bytes().to_vec());
        Some(Held { access, refresh: pair.refresh.clone() })
    }

    fn shown(&self, credential: &Credential<'_>, judged: Judged, facts: &Facts) -> Option<Secret> {
        let reference = self.reference(credential)?;
        let asked = match judged {
            Judged::AtFirst => Asked::Remembered,
            Judged::OnceRenewed => Asked::Anew,
        };
        let Seen::Live(session) = facts.answer(&self.question(asked, &reference))? else { return None };
        session.get().pair.as_ref().map(|pair| pair.access.clone()).filter(|access| !access.expose().is_empty())
    }

    fn readmit(&self, _fresh: &TokenPair, request: &RequestView<'_>, facts: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        let presented = cookie(&self.terms.cookie, request).ok().flatten();
        let Some(id) = presented.as_deref().and_then(SessionId::parse) else { return Step::Refuse(Doubt::Malformed.into()) };
        let Some(reference) = self.terms.recognise(id, request.host) else { return Step::Refuse(Doubt::Expired(None).into()) };
        // The renewal has written the new pair into the record; that is what counts, and not what was handed back.
        let question = self.question(Asked::Anew, &reference);
        match facts.answer::<Seen>(&question) {
            None => Step::Need(Need::Ask(question)),
            Some(Seen::Over) => Step::Refuse(Doubt::Expired(None).into()),
            Some(Seen::Live(session)) => self.judge(&reference, session, request, facts, now),
        }
    }
}

#[cfg(test)]
mod tests;

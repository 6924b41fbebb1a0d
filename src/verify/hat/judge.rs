//! One configured `hat` authenticator at work.
//!
//! Order of judgement: form, algorithm, issuer, key, signature, types of claims, kind, times. Nothing of a token is used before its
//! signature has been proven but to tell whether it is this authenticator's at all and to choose its issuer's key. Two ends, and the first
//! of them counts: `exp`, and so long after `iat`; both without leeway, since a HAT gives none.
//!
//! Where the token of another application is wanted as well, it is proven in the same way before anybody sees it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::{
    Burn, Claim, Claims, Credential, DeskId, Doubt, Facts, Found, Identity, Need, Outage, Place, Question, Refusal, RequestView, Seconds,
    Step, Timestamp, Value, Verified,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::claims::{LifetimeRules, Registered, Window};
use crate::jose::compact::{Header, LastHeader, Opened};
use crate::jose::digest::digest;
use crate::jose::key::VerifyingKey;
use crate::settings::host::{Suffix, is_canonical};
use crate::verify::contract::Verifier;
use crate::verify::hat::exchange::{ApplicationTokens, Granted, Principal};
use crate::verify::hat::kind::Kind;
use crate::verify::hat::reading::{Field, Origin, find, glance};
use crate::verify::hat::{EXCHANGED, NAME};
use crate::verify::keys::contract::{KeyHint, KeySearch, SignatureKeys};
use crate::verify::presented::Presented;

/// What a token must be, proven.
#[derive(Debug)]
pub struct Rules {
    /// Domains whose HATs are believed. At least one.
    pub issuers: Arc<[Suffix]>,
    /// Whose rights it has, and for whom it is meant.
    pub kind: Kind,
    /// What it is called.
    pub field: Field,
    /// Where it may stand.
    pub from: Box<[Origin]>,
    /// How long after `iat` it is taken, that second included.
    pub idle: Seconds,
    /// How far `iat` may lie in the future.
    pub skew: Seconds,
    /// Whether each token is for one request.
    pub single_use: bool,
}

/// The exchange of the caller's token for that of another application.
pub struct Exchange {
    /// Who asks, and keeps.
    pub tokens: Arc<ApplicationTokens>,
    /// Its desk.
    pub desk: DeskId,
    /// The other application.
    pub application: Box<str>,
}

/// A configured `hat` authenticator.
pub struct Judge {
    name: Arc<str>,
    rules: Arc<Rules>,
    keys: Arc<dyn SignatureKeys>,
    desk: DeskId,
    exchange: Option<Exchange>,
    /// The kind of token that the exchange must bring.
    exchanged: Option<Kind>,
    /// The header of the last token whose signature was right.
    last: LastHeader,
}

/// Why there are no proven claims yet, or never will be.
type Short = Step<Verified<Arc<Identity>>>;

/// The keys of a HAT that are tried, at most; it has one.
const MOST_KEYS: usize = 4;

impl Judge {
    /// Puts proven rules to work.
    #[must_use]
    pub fn new(name: Arc<str>, rules: Arc<Rules>, keys: Arc<dyn SignatureKeys>, desk: DeskId, exchange: Option<Exchange>) -> Self {
        let exchanged = exchange.as_ref().map(|exchange| Kind::Application { ids: [exchange.application.clone()].into(), minimum: None });
        Self { name, rules, keys, desk, exchange, exchanged, last: LastHeader::default() }
    }

    /// Whether a token may be one of the HAT `issuer`.
    fn believes(&self, issuer: &str) -> bool {
        is_canonical(issuer) && self.rules.issuers.iter().any(|suffix| suffix.covers(issuer))
    }

    /// The credential that `text` is when it is for this authenticator, by the form it has and the claims it makes.
    fn recognise<'r>(&self, text: Cow<'r, str>, places: Vec<Place>) -> Result<Credential<'r>, Doubt> {
        let opened = Opened::read(&text).map_err(|_| Doubt::Malformed)?;
        // Whether its header has the form of one; what that says is judged later.
        opened.compact(&self.last).map_err(|_| Doubt::Malformed)?;
        let issuer = claimed_issuer(opened.claimed())?;
        if !self.believes(issuer) {
            return Err(Doubt::IssuerMismatch);
        }
        self.rules.kind.check(opened.claimed(), issuer)?;
        let opened = opened.into_owned();
        Ok(Credential::new(vec![text], places).read_as(opened))
    }

    /// The claims of `token`, proven to be those of the HAT that they name.
    fn prove(&self, opened: &Opened<'_>, facts: &Facts, now: Timestamp) -> Result<Verified<Claims>, Short> {
        let refuse = |doubt: Doubt| Step::Refuse(doubt.into());
        let token = opened.compact(&self.last).map_err(|_| refuse(Doubt::Malformed))?;
        if !is_plain(token.header()) {
            return Err(refuse(Doubt::AlgorithmRefused));
        }
        let (keys, again) = {
            let claimed = claimed_issuer(token.claimed()).map_err(refuse)?;
            if !self.believes(claimed) {
                return Err(refuse(Doubt::IssuerMismatch));
            }
            // Such tokens name no key; what one says all the same is not looked at.
            let hint = KeyHint { issuer: claimed, kid: None, algorithm: Algorithm::Rs256 };
            let again = self.keys.second_look(&hint).map(|about| Need::Ask(Question { desk: self.desk, about }));
            (self.keys_for(&hint, facts, now)?, again)
        };
        let header = Arc::clone(token.header());
        let claims = token.prove(Algorithm::Rs256, &keys).ok_or_else(|| match again {
            // The HAT may have another key since: it is asked again, once, before the token is convicted.
            Some(need) if !facts.holds(&need) => Step::Need(need),
            _ => refuse(Doubt::SignatureInvalid),
        })?;
        self.last.keep(&header);
        Ok(claims)
    }

    fn keys_for(&self, hint: &KeyHint<'_>, facts: &Facts, now: Timestamp) -> Result<Vec<Arc<VerifyingKey>>, Short> {
        let (about, otherwise) = match self.keys.find(hint, now) {
            KeySearch::Keys(mut keys) => {
                keys.retain(|key| key.permits(hint.algorithm));
                keys.truncate(MOST_KEYS);
                return if keys.is_empty() { Err(Step::Refuse(Doubt::KeyUnknown.into())) } else { Ok(keys) };
            }
            KeySearch::Never => return Err(Step::Refuse(Doubt::KeyUnknown.into())),
            KeySearch::Unknown(about) => (about, Refusal::Doubted(Doubt::KeyUnknown)),
            KeySearch::Unavailable(about) => (about, Outage::Keys.refusal()),
        };
        let need = Need::Ask(Question { desk: self.desk, about });
        // The desk has looked already and there is still nothing: that is the answer.
        Err(if facts.holds(&need) { Step::Refuse(otherwise) } else { Step::Need(need) })
    }

    /// When a token of these claims may be presented.
    fn window(&self, registered: &Registered<'_>) -> Result<Window, Doubt> {
        let rules = LifetimeRules { leeway: Seconds(0), max_age: Some(self.rules.idle), max_lifetime: None };
        let window = registered.lifetime.window(&rules)?;
        Ok(Window { not_before: window.not_before.map(|bound| bound.minus(self.rules.skew)), ..window })
    }

    /// Judges claims whose signature is proven.
    fn judge(&self, claims: Verified<Claims>, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let registered = Registered::read(&claims)?;
        let issuer: Box<str> = registered.issuer.ok_or(Doubt::ClaimMissing)?.into();
        if !self.believes(&issuer) {
            return Err(Doubt::IssuerMismatch);
        }
        self.rules.kind.check(claims.get(), &issuer)?;
        // What stands there comes from us; a token that brings its own would have us hand it to the upstream.
        if claims.get().member(EXCHANGED).is_some() {
            return Err(Doubt::ClaimsMalformed);
        }
        let window = self.window(&registered)?;
        let timely = window.check(now);
        if timely == Err(Doubt::NotYetValid) {
            return Err(Doubt::NotYetValid);
        }
        let burn = if self.rules.single_use { Some(self.burn(claims.get(), &issuer, &registered, window)?) } else { None };
        let claims = claims.into_inner();
        // Every field comes from claims that arrived as `Verified`.
        let identity = Verified::vouch(Arc::new(Identity {
            subject: issuer.clone(),
            issuer,
            scopes: [self.rules.kind.scope(&claims).into()].into(),
            claims,
            expires: Some(window.expires),
            not_before: window.not_before,
            scheme: NAME,
            authenticator: Arc::clone(&self.name),
            burn,
            also: Vec::new(),
        }));
        match timely {
            Ok(()) => Ok(identity),
            Err(Doubt::Expired(_)) => Err(Doubt::Expired(Some(Box::new(identity)))),
            Err(doubt) => Err(doubt),
        }
    }

    /// What is spent with a token for one use: its name at its HAT, never its text.
    fn burn(&self, claims: &Claims, issuer: &str, registered: &Registered<'_>, window: Window) -> Result<Burn, Doubt> {
        /// A HAT draws 128 bytes and writes them in hexadecimal.
        const LONGEST: usize = 1_024;
        let name = match claims.member("jti").ok_or(Doubt::ClaimMissing)? {
            Claim::Text(name) if (1..=LONGEST).contains(&name.len()) => name,
            _ => return Err(Doubt::ClaimsMalformed),
        };
        let issued = registered.lifetime.issued_at.ok_or(Doubt::ClaimMissing)?;
        let key = digest("countersign hat burn", &[issuer.as_bytes(), name.as_bytes()]);
        // A clock that is ahead dates its tokens later than they are.
        Ok(Burn { key, made: issued.minus(self.rules.skew), until: window.expires })
    }

    /// Adds the token of the other application that the HAT gives for `token`, once it is proven.
    fn exchange(&self, exchange: &Exchange, token: &str, identity: &Verified<Arc<Identity>>, facts: &Facts, now: Timestamp) -> Short {
        let own = identity.get();
        let principal = Principal::of(own, &exchange.application);
        let granted = match exchange.tokens.recall(&principal, token, now) {
            Some(granted) => granted,
            None => {
                let question = Question { desk: exchange.desk, about: principal.about(token) };
                match facts.answer::<Granted>(&question) {
                    Some(granted) => granted.clone(),
                    None => return Step::Need(Need::Ask(question)),
                }
            }
        };
        let text = match granted {
            Granted::Token(text) => text,
            // The HAT gives this caller no such token; it stays who it is.
            Granted::Forbidden => return Step::Refuse(Refusal::PolicyDenied),
            // The HAT itself takes the caller's token for none.
            Granted::Unaccepted => return Step::Refuse(Doubt::Revoked.into()),
        };
        // A HAT that hands out what is no token has answered nothing.
        let Ok(opened) = Opened::read(&text) else { return Step::Refuse(Outage::Other.refusal()) };
        let claims = match self.prove(&opened, facts, now) {
            Ok(claims) => claims,
            Err(Step::Refuse(Refusal::Doubted(_))) => return Step::Refuse(Outage::Other.refusal()),
            Err(short) => return short,
        };
        if !self.is_theirs(&claims, own, now) {
            // A HAT that hands out what is no good token has answered nothing.
            return Step::Refuse(Outage::Other.refusal());
        }
        let Value::Map(members) = own.claims.to_value() else { return Step::Refuse(Refusal::Internal) };
        let mut members = members.into_vec();
        members.push((EXCHANGED.into(), Value::from(text.as_str())));
        // The caller is proven, and so is what was added.
        Step::Done(Verified::vouch(Arc::new(Identity { claims: Value::Map(members.into()).into(), ..Identity::clone(own) })))
    }

    /// Whether proven `claims` are those of the other application's token at the caller's own HAT, good as of `now`.
    fn is_theirs(&self, claims: &Verified<Claims>, own: &Identity, now: Timestamp) -> bool {
        let Ok(registered) = Registered::read(claims) else { return false };
        let same = registered.issuer == Some(&*own.issuer);
        let kind = self.exchanged.as_ref().is_some_and(|kind| kind.check(claims.get(), &own.issuer).is_ok());
        same && kind && self.window(&registered).is_ok_and(|window| window.check(now).is_ok())
    }

    fn decide(&self, credential: &Credential<'_>, facts: &Facts, now: Timestamp) -> Result<Verified<Arc<Identity>>, Short> {
        let opened = Opened::of(credential).map_err(|_| Step::Refuse(Doubt::Malformed.into()))?;
        let claims = self.prove(&opened, facts, now)?;
        let identity = self.judge(claims, now).map_err(|doubt| Step::Refuse(doubt.into()))?;
        match &self.exchange {
            None => Ok(identity),
            Some(exchange) => match self.exchange(exchange, credential.part(0), &identity, facts, now) {
                Step::Done(identity) => Ok(identity),
                short => Err(short),
            },
        }
    }
}

/// The `iss` that `token` claims, unproven.
fn claimed_issuer(claims: &Claims) -> Result<&str, Doubt> {
    match claims.member("iss") {
        None => Err(Doubt::ClaimMissing),
        Some(Claim::Text(claimed)) => Ok(claimed),
        Some(_) => Err(Doubt::ClaimsMalformed),
    }
}

/// Whether a header is that of a HAT's token: RS256, and of the one type.
fn is_plain(header: &Header) -> bool {
    header.algorithm == Some(Algorithm::Rs256) && header.kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"))
}

impl Verifier for Judge {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        find(&self.rules.field, &self.rules.from, request, facts).map(|presented| match presented {
            Presented::Absent => Found::Absent,
            Presented::Unreadable(doubt) => Found::Unreadable(doubt),
            Presented::One { text, places } => self.recognise(text, places).map_or_else(Found::Foreign, Found::Present),
        })
    }

    fn glance<'r>(&self, request: &RequestView<'r>) -> Option<Credential<'r>> {
        match glance(&self.rules.field, &self.rules.from, request)? {
            Presented::One { text, places } => Some(Credential::new(vec![text], places)),
            Presented::Absent | Presented::Unreadable(_) => None,
        }
    }

    fn verify(&self, credential: &Credential<'_>, _request: &RequestView<'_>, facts: &Facts, now: Timestamp) -> Short {
        match self.decide(credential, facts, now) {
            Ok(identity) => Step::Done(identity),
            Err(short) => short,
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        // What was exchanged ends when it ends, whatever becomes of the token that it was exchanged for.
        let lasting = !self.rules.single_use && self.exchange.is_none();
        lasting.then(|| self.keys.generation())
    }
}

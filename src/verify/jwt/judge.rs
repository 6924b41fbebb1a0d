//! One configured `jwt` authenticator at work.
//!
//! Order of judgement: form, algorithm, issuer, key, signature, types of claims, audience, kind, times, demands. Nothing
//! of a token is used for more than choosing a key before its signature has been proven. A token for one use is not spent here: the
//! identity says what to burn.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::{
    Burn, Claim, Claims, Credential, DeskId, Doubt, Facts, Found, Identity, Need, Outage, Place, Question, Refusal, RequestView, Step,
    Timestamp, Verified,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::claims::{Registered, Window, scopes, subject};
use crate::jose::compact::{Header, LastHeader, Opened, claimed_issuer};
use crate::jose::digest::digest;
use crate::jose::key::VerifyingKey;
use crate::verify::contract::Verifier;
use crate::verify::jwt::NAME;
use crate::verify::jwt::settings::{Demand, Issuer, Rules, kind_of};
use crate::verify::keys::contract::{KeyHint, KeySearch, SignatureKeys};
use crate::verify::presented::{Presented, find_one};

/// Keys tried for one token, at most, whatever a store returns.
const MOST_KEYS: usize = 4;

/// A key store and the desk that looks again when it lacks a key.
pub struct Store {
    /// The store.
    pub keys: Arc<dyn SignatureKeys>,
    /// Its desk.
    pub desk: DeskId,
}

/// A configured `jwt` authenticator.
pub struct Judge {
    name: Arc<str>,
    rules: Arc<Rules>,
    /// In the order in which the issuers refer to them.
    stores: Box<[Store]>,
    /// The header of the last token that was good.
    last: LastHeader,
}

impl Judge {
    /// Puts proven rules to work. `stores` are those the rules refer to, in their order.
    #[must_use]
    pub fn new(name: Arc<str>, rules: Arc<Rules>, stores: Box<[Store]>) -> Self {
        Self { name, rules, stores, last: LastHeader::default() }
    }

    fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.rules.issuers.iter().find(|issuer| issuer.name.fits(name))
    }

    /// The credential that `text` is when it is meant for us, by its shape and the issuer it claims.
    fn recognise<'r>(&self, text: Cow<'r, str>, places: Vec<Place>) -> Result<Credential<'r>, Doubt> {
        let Ok(opened) = Opened::read(&text) else {
            // Claims that cannot be read may still say whose they are, and whoever that is refuses them.
            let issuer = claimed_issuer(&text).map_err(|_| Doubt::Malformed)?;
            return self.believes(issuer.as_deref()).map(|()| Credential::new(vec![text], places));
        };
        match opened.claimed().member("iss") {
            None => self.believes(None)?,
            Some(Claim::Text(issuer)) => self.believes(Some(issuer))?,
            Some(_) => return Err(Doubt::Malformed),
        }
        let opened = opened.into_owned();
        Ok(Credential::new(vec![text], places).read_as(opened))
    }

    fn believes(&self, issuer: Option<&str>) -> Result<(), Doubt> {
        let issuer = issuer.ok_or(Doubt::ClaimMissing)?;
        self.issuer(issuer).map(|_| ()).ok_or(Doubt::IssuerMismatch)
    }

    /// The keys that may have signed, or the step that has to be taken first.
    fn keys(
        &self,
        store: &Store,
        hint: &KeyHint<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Vec<Arc<VerifyingKey>>, Step<Verified<Arc<Identity>>>> {
        let (about, otherwise) = match store.keys.find(hint, now) {
            KeySearch::Keys(mut keys) => {
                keys.retain(|key| key.permits(hint.algorithm));
                keys.truncate(MOST_KEYS);
                return if keys.is_empty() { Err(Step::Refuse(Doubt::KeyUnknown.into())) } else { Ok(keys) };
            }
            KeySearch::Never => return Err(Step::Refuse(Doubt::KeyUnknown.into())),
            KeySearch::Unknown(about) => (about, Refusal::Doubted(Doubt::KeyUnknown)),
            KeySearch::Unavailable(about) => (about, Outage::Keys.refusal()),
        };
        let need = Need::Ask(Question { desk: store.desk, about });
        // The desk has looked already and the snapshot still says no: that is the answer.
        Err(if facts.holds(&need) { Step::Refuse(otherwise) } else { Step::Need(need) })
    }

    /// Judges claims whose signature is proven.
    fn judge(&self, claims: Verified<Claims>, header: &Header, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let rules = &*self.rules;
        let registered = Registered::read(&claims)?;
        let issuer: Box<str> = registered.issuer.ok_or(Doubt::ClaimMissing)?.into();
        if self.issuer(&issuer).is_none() {
            return Err(Doubt::IssuerMismatch);
        }
        if let Some(ours) = &rules.audience
            && !registered.audience.ok_or(Doubt::ClaimMissing)?.names_any(ours)
        {
            return Err(Doubt::AudienceMismatch);
        }
        self.check_kind(header, claims.get())?;
        let window = registered.lifetime.window(&rules.lifetime)?;
        let timely = window.check(now);
        if timely == Err(Doubt::NotYetValid) {
            return Err(Doubt::NotYetValid);
        }

        let issued = registered.lifetime.issued_at;
        let identity = self.identify(claims, issuer, window, issued)?;
        match timely {
            Ok(()) => {}
            Err(Doubt::Expired(_)) => return Err(Doubt::Expired(Some(Box::new(identity)))),
            Err(doubt) => return Err(doubt),
        }
        for (path, demand) in &rules.require {
            if !holds(demand, identity.get().claims.at_path(path)) {
                return Err(Doubt::ClaimMissing);
            }
        }
        Ok(identity)
    }

    /// A token of another kind (a logout token, a proof of possession), or one bound to a key of the client's, is not a
    /// bearer credential, however genuine (RFC 8725 section 3.11, RFC 7800 section 3).
    fn check_kind(&self, header: &Header, claims: &Claims) -> Result<(), Doubt> {
        const USUAL: [&str; 2] = ["jwt", "at+jwt"];
        let kind = header.kind.as_deref().map(kind_of);
        let accepted = match (&self.rules.kinds, kind) {
            (None, None) => true,
            (None, Some(kind)) => USUAL.contains(&&*kind),
            (Some(_), None) => false,
            (Some(kinds), Some(kind)) => kinds.contains(&kind),
        };
        if !accepted {
            return Err(Doubt::ClaimMissing);
        }
        if !self.rules.allow_unbound_cnf && claims.member("cnf").is_some() {
            return Err(Doubt::ClaimsMalformed);
        }
        Ok(())
    }

    /// Makes the identity that proven claims speak of.
    fn identify(
        &self,
        claims: Verified<Claims>,
        issuer: Box<str>,
        window: Window,
        issued: Option<Timestamp>,
    ) -> Result<Verified<Arc<Identity>>, Doubt> {
        let claims = claims.into_inner();
        let burn = if self.rules.single_use { Some(self.burn(&claims, &issuer, window, issued)?) } else { None };
        let name = subject(claims.at_path(&self.rules.subject_from).ok_or(Doubt::ClaimMissing)?)?.into();
        let granted = match &self.rules.scopes_from {
            Some(path) => claims.at_path(path),
            None => claims.member("scope").or_else(|| claims.member("scp")),
        };
        let identity = Identity {
            subject: name,
            issuer,
            scopes: granted.map(scopes).transpose()?.unwrap_or_default(),
            claims,
            expires: Some(window.expires),
            not_before: window.not_before,
            scheme: NAME,
            authenticator: Arc::clone(&self.name),
            burn,
            also: Vec::new(),
        };
        // Every field comes from claims that arrived as `Verified`.
        Ok(Verified::vouch(Arc::new(identity)))
    }

    /// What is spent with a token for one use: its name at its issuer, never its text, which may have several spellings.
    fn burn(&self, claims: &Claims, issuer: &str, window: Window, issued: Option<Timestamp>) -> Result<Burn, Doubt> {
        const LONGEST: usize = 256;
        let name = match claims.member("jti").ok_or(Doubt::ClaimMissing)? {
            Claim::Text(name) if (1..=LONGEST).contains(&name.len()) => name,
            _ => return Err(Doubt::ClaimsMalformed),
        };
        // An issuer whose clock is ahead dates its tokens later than they are, and a store that has begun since must not be asked
        // about one from before.
        let made = issued.ok_or(Doubt::ClaimMissing)?.minus(self.rules.lifetime.leeway);
        let key = digest("countersign jwt burn", &[issuer.as_bytes(), name.as_bytes()]);
        Ok(Burn { key, made, until: window.expires })
    }

    fn decide(
        &self,
        credential: &Credential<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Verified<Arc<Identity>>, Step<Verified<Arc<Identity>>>> {
        let refuse = |doubt: Doubt| Step::Refuse(doubt.into());

        let opened = Opened::of(credential).map_err(|_| refuse(Doubt::Malformed))?;
        let token = opened.compact(&self.last).map_err(|_| refuse(Doubt::Malformed))?;
        let algorithm = self.allowed(token.header()).ok_or_else(|| refuse(Doubt::AlgorithmRefused))?;
        let (keys, again) = {
            // Unproven, and used for nothing but choosing the store: only keys of this very issuer are tried.
            let claimed = match token.claimed().member("iss") {
                None => return Err(refuse(Doubt::ClaimMissing)),
                Some(Claim::Text(claimed)) => claimed,
                Some(_) => return Err(refuse(Doubt::ClaimsMalformed)),
            };
            let issuer = self.issuer(claimed).ok_or_else(|| refuse(Doubt::IssuerMismatch))?;
            let store = self.stores.get(issuer.store).ok_or(Step::Refuse(Refusal::Internal))?;
            let hint = KeyHint { issuer: claimed, kid: token.header().kid.as_deref(), algorithm };
            let keys = self.keys(store, &hint, facts, now)?;
            (keys, store.keys.second_look(&hint).map(|about| Need::Ask(Question { desk: store.desk, about })))
        };
        let header = Arc::clone(token.header());
        let Some(claims) = token.prove(algorithm, &keys) else {
            // Keys without names are replaced unseen: their source is looked at again, once, before the token is convicted.
            return Err(match again {
                Some(need) if !facts.holds(&need) => Step::Need(need),
                _ => refuse(Doubt::SignatureInvalid),
            });
        };
        let identity = self.judge(claims, &header, now).map_err(refuse)?;
        self.last.keep(&header);
        Ok(identity)
    }

    fn allowed(&self, header: &Header) -> Option<Algorithm> {
        header.algorithm.filter(|algorithm| self.rules.algorithms.contains(algorithm))
    }
}

impl Verifier for Judge {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(match find_one(&self.rules.sources, request) {
            Presented::Absent => Found::Absent,
            Presented::Unreadable(doubt) => Found::Unreadable(doubt),
            Presented::One { text, places } => self.recognise(text, places).map_or_else(Found::Foreign, Found::Present),
        })
    }

    fn glance<'r>(&self, request: &RequestView<'r>) -> Option<Credential<'r>> {
        match find_one(&self.rules.sources, request) {
            Presented::One { text, places } => Some(Credential::new(vec![text], places)),
            Presented::Absent | Presented::Unreadable(_) => None,
        }
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        _request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        match self.decide(credential, facts, now) {
            Ok(identity) => Step::Done(identity),
            Err(step) => step,
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Bearer")
    }

    fn cache_generation(&self) -> Option<u64> {
        if self.rules.single_use {
            return None;
        }
        // Each counts upward, so the sum changes whenever one of them does.
        Some(self.stores.iter().fold(0, |sum, store| sum.wrapping_add(store.keys.generation())))
    }
}

fn holds(demand: &Demand, claim: Option<Claim<'_>>) -> bool {
    match (demand, claim) {
        (Demand::Absent, claim) => claim.is_none(),
        (Demand::Present, claim) => claim.is_some_and(|claim| claim != Claim::Null),
        (Demand::OneOf(_), None) => false,
        (Demand::OneOf(values), Some(claim)) => values.iter().any(|value| claim == *value),
    }
}

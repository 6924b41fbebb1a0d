//! What a signed end of a login proves.
//!
//! Three forms, told apart by how they are written and never tried one after another: a token (RS256 of a user key), an end with a
//! user key in the middle, an end without. Whose secret is used is said by the conf; a cookie only chooses among those.

use std::sync::Arc;

use crate::domain::{
    Claim, Claims, DeskId, Doubt, Facts, Identity, Need, Outage, Question, Refusal, Seconds, Secret, Step, Timestamp, Value, Verified,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::compact::Compact;
use crate::jose::digest::digest;
use crate::jose::hmac_sha1::{Sha1Key, generation_of, keys_of};
use crate::jose::login_expiry::{LoginExpiry, is_login_token, is_user_key, login_name};
use crate::verify::keys::contract::{KeyHint, KeySearch, SignatureKeys};

/// How far the clock of whoever signs a token may be ahead of ours.
const LEEWAY: Seconds = Seconds(60);

/// Secrets that sign in one name.
pub struct Signer {
    /// The user key; `None` for the site itself.
    user_key: Option<Box<str>>,
    store: Box<str>,
    keys: Box<[Sha1Key]>,
    generation: u64,
}

impl Signer {
    /// Those of `store`, for `user_key`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when there is no secret, or an empty one.
    pub fn new(user_key: Option<&str>, store: &str, secrets: &[Secret]) -> Result<Self, String> {
        let keys = keys_of(secrets).ok_or_else(|| format!("`{store}` holds no secret, or an empty one; anyone could sign"))?;
        Ok(Self { user_key: user_key.map(Into::into), store: store.into(), keys, generation: generation_of(secrets) })
    }
}

/// Public keys of user keys.
pub struct PublicKeys {
    /// The store's name in the conf.
    pub store: Box<str>,
    /// The store.
    pub keys: Arc<dyn SignatureKeys>,
    /// Its desk.
    pub desk: DeskId,
}

/// Proves the ends of logins at one site.
pub struct Prover {
    /// The scheme's name.
    pub scheme: &'static str,
    /// The authenticator's name in the conf.
    pub authenticator: Arc<str>,
    /// The site.
    pub api_key: Box<str>,
    /// Whose secrets may have signed.
    pub signers: Box<[Signer]>,
    /// Whose keys may have made tokens.
    pub public: Option<PublicKeys>,
    /// How far ahead an end may lie.
    pub max_life: Seconds,
}

/// What a proven end says.
struct End<'e> {
    expires: Timestamp,
    user_key: Option<&'e str>,
    store: &'e str,
}

impl Prover {
    /// The generation of verdicts: changes with every secret and key.
    pub fn generation(&self) -> u64 {
        let public = self.public.as_ref().map_or(0, |public| public.keys.generation());
        let parts: Vec<[u8; 8]> = self.signers.iter().map(|signer| signer.generation).chain([public]).map(u64::to_be_bytes).collect();
        let parts: Vec<&[u8]> = parts.iter().map(<[u8; 8]>::as_slice).collect();
        digest("countersign gigya_session generation", &parts).first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    /// Which login goes on, and until when.
    ///
    /// # Errors
    ///
    /// As a refusal: [`Doubt::Malformed`] for what is of no form, [`Doubt::KeyUnknown`] for a user key that the conf does not name,
    /// [`Doubt::SignatureInvalid`]; for an authentic end [`Doubt::Expired`] from that moment on and [`Doubt::WindowExceeded`] when it
    /// lies too far ahead.
    pub fn judge(&self, token: &str, end: &str, facts: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        if !is_login_token(token) {
            return Step::Refuse(Doubt::Malformed.into());
        }
        if end.contains('.') {
            return self.judge_token(token, end, facts, now);
        }
        let proven = LoginExpiry::read(end).ok_or(Doubt::Malformed).and_then(|end| {
            let signer = self.signers.iter().find(|signer| signer.user_key.as_deref() == end.user_key).ok_or(Doubt::KeyUnknown)?;
            if !end.is_of(token, &signer.keys) {
                return Err(Doubt::SignatureInvalid);
            }
            self.within(end.expires, now)?;
            let end = End { expires: end.expires, user_key: signer.user_key.as_deref(), store: &signer.store };
            Ok(Verified::vouch(Arc::new(self.identity(token, &end))))
        });
        done(proven)
    }

    /// The RS256 form: `sub` is the login token, `aud` is `gltexp`, `kid` the user key.
    fn judge_token(&self, token: &str, text: &str, facts: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        let refuse = |doubt: Doubt| Step::Refuse(doubt.into());
        let Some(public) = &self.public else { return refuse(Doubt::Malformed) };
        let Ok(compact) = Compact::parse(text) else { return refuse(Doubt::Malformed) };
        if compact.header().algorithm != Some(Algorithm::Rs256) {
            return refuse(Doubt::AlgorithmRefused);
        }
        let Some(user_key) = compact.header().kid.clone().filter(|kid| is_user_key(kid)) else { return refuse(Doubt::Malformed) };
        let hint = KeyHint { issuer: "", kid: Some(&user_key), algorithm: Algorithm::Rs256 };
        let (about, otherwise) = match public.keys.find(&hint, now) {
            KeySearch::Keys(mut keys) => {
                // A store may also give keys without a name; here the name is who has signed.
                keys.retain(|key| key.kid() == Some(&*user_key) && key.permits(Algorithm::Rs256));
                if keys.is_empty() {
                    return refuse(Doubt::KeyUnknown);
                }
                let Some(claims) = compact.prove(Algorithm::Rs256, &keys) else { return refuse(Doubt::SignatureInvalid) };
                return done(self.judge_claims(token, &user_key, &public.store, &claims, now));
            }
            KeySearch::Never => return refuse(Doubt::KeyUnknown),
            KeySearch::Unknown(about) => (about, Refusal::Doubted(Doubt::KeyUnknown)),
            KeySearch::Unavailable(about) => (about, Outage::Keys.refusal()),
        };
        let need = Need::Ask(Question { desk: public.desk, about });
        if facts.holds(&need) { Step::Refuse(otherwise) } else { Step::Need(need) }
    }

    fn judge_claims(
        &self,
        token: &str,
        user_key: &str,
        store: &str,
        claims: &Verified<Claims>,
        now: Timestamp,
    ) -> Result<Verified<Arc<Identity>>, Doubt> {
        let claims = claims.get();
        let moment = |name: &str| match claims.member(name) {
            None => Err(Doubt::ClaimMissing),
            Some(Claim::Int(moment)) if 0 <= moment => Ok(Timestamp(moment)),
            Some(_) => Err(Doubt::ClaimsMalformed),
        };
        let text = |name: &str| claims.member(name).and_then(Claim::as_text);
        if text("aud") != Some("gltexp") {
            return Err(Doubt::AudienceMismatch);
        }
        // Genuine, and of another login.
        if text("sub") != Some(token) {
            return Err(Doubt::SignatureInvalid);
        }
        let (issued, expires) = (moment("iat")?, moment("exp")?);
        if now.plus(LEEWAY) < issued {
            return Err(Doubt::NotYetValid);
        }
        self.within(expires, now)?;
        Ok(Verified::vouch(Arc::new(self.identity(token, &End { expires, user_key: Some(user_key), store }))))
    }

    /// Whether a proven end still lies ahead, and not too far. The end itself is too late.
    fn within(&self, expires: Timestamp, now: Timestamp) -> Result<(), Doubt> {
        if expires <= now {
            return Err(Doubt::Expired(None));
        }
        if now.plus(self.max_life) < expires { Err(Doubt::WindowExceeded) } else { Ok(()) }
    }

    fn identity(&self, token: &str, end: &End<'_>) -> Identity {
        let site = ("apiKey".into(), Value::from(&*self.api_key));
        let signed_by = end.user_key.map(|user_key| ("userKey".into(), Value::from(user_key)));
        Identity {
            subject: login_name(&self.api_key, token).into(),
            issuer: end.store.into(),
            scopes: Box::default(),
            claims: Value::Map(std::iter::once(site).chain(signed_by).collect()).into(),
            expires: Some(end.expires),
            not_before: None,
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            burn: None,
            also: Vec::new(),
        }
    }
}

fn done(outcome: Result<Verified<Arc<Identity>>, Doubt>) -> Step<Verified<Arc<Identity>>> {
    match outcome {
        Ok(identity) => Step::Done(identity),
        Err(doubt) => Step::Refuse(doubt.into()),
    }
}

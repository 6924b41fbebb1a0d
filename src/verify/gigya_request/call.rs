//! What a signed request proves: that whoever holds the secret has sent these very parameters here, a moment ago, once; and what one with
//! the secret itself in it does: that whoever sent it holds the secret.
//!
//! Order of judgement: form of every part, who signs, signature, time. The time is signed as text and kept as text; whether it counts
//! seconds or milliseconds is read off its magnitude, for the window alone.

use std::sync::Arc;

use crate::domain::{Burn, Credential, Doubt, Facts, Identity, RequestView, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::digest::digest;
use crate::jose::hmac_sha1::{Sha1Key, any_is_written, any_verifies, keys_of, read_tag};
use crate::jose::signed_call::{ParameterFault, Parameters, PublicBase, base_string, read_number};
use crate::verify::body::{Body, Kind, body};

/// The longest nonce, in bytes.
const MAX_NONCE: usize = 256;

/// The longest text of a secret, in bytes.
const MAX_SECRET: usize = 512;

/// From here on a time counts milliseconds: as seconds it would lie in the year 5138, as milliseconds it lies in 1973.
const MILLISECONDS: i64 = 100_000_000_000;

/// The parameters of `request`, from its query and its form.
///
/// # Errors
///
/// [`Doubt::Conflict`] when a name stands twice, wherever; [`Doubt::Malformed`] when one cannot be read.
pub fn read_parameters<'r>(request: &RequestView<'r>, facts: &'r Facts) -> Result<Parameters<'r>, Doubt> {
    let told = |fault| match fault {
        ParameterFault::Twice => Doubt::Conflict,
        ParameterFault::Malformed => Doubt::Malformed,
    };
    let mut parameters = Parameters::new();
    parameters.read(request.target.query.as_deref().unwrap_or_default()).map_err(told)?;
    if let Body::Form(text) = body(|kind| kind == Kind::Form, request, facts)? {
        parameters.read(text).map_err(told)?;
    }
    Ok(parameters)
}

/// Secrets that sign in one name.
pub struct Signer {
    api_key: Box<str>,
    user_key: Option<Box<str>>,
    store: Box<str>,
    keys: Box<[Sha1Key]>,
}

impl Signer {
    /// Those of `store`, for `user_key` at the site `api_key`, or for the site itself.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when there is no secret, or an empty one.
    pub fn new(api_key: &str, user_key: Option<&str>, store: &str, secrets: &[Secret]) -> Result<Self, String> {
        let keys = keys_of(secrets).ok_or_else(|| format!("`{store}` holds no secret, or an empty one; anyone could sign"))?;
        Ok(Self { api_key: api_key.into(), user_key: user_key.map(Into::into), store: store.into(), keys })
    }
}

/// What is demanded beside a right signature.
pub struct Rules {
    /// Where clients believe to send their requests.
    pub base: PublicBase,
    /// How long ago a request may have been signed, that moment included.
    pub window: Seconds,
    /// How far ahead of ours a client's clock may be, that moment included.
    pub ahead: Seconds,
}

/// Proves signed requests.
pub struct Prover {
    /// The scheme's name.
    pub scheme: &'static str,
    /// The authenticator's name in the conf.
    pub authenticator: Arc<str>,
    /// Who may sign.
    pub signers: Box<[Signer]>,
    /// What else must hold.
    pub rules: Rules,
}

impl Prover {
    /// Whether `id` is a site or user key of the conf.
    pub fn knows(&self, id: &str) -> bool {
        self.signers.iter().any(|signer| *signer.api_key == *id || signer.user_key.as_deref() == Some(id))
    }

    /// Who has signed `request`, whose parts `credential` holds.
    ///
    /// # Errors
    ///
    /// [`Doubt::Malformed`] for parts that are not spelled as they must be, [`Doubt::KeyUnknown`] for a site or user key that the conf
    /// does not name, [`Doubt::SignatureInvalid`], [`Doubt::WindowExceeded`] for an authentic request that is too old or too new.
    pub fn judge(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Verified<Arc<Identity>>, Doubt> {
        let [api_key, user_key, time, nonce, signature] = [0, 1, 2, 3, 4].map(|index| credential.part(index));
        let signed = read_moment(time).ok_or(Doubt::Malformed)?;
        let tag = read_tag(signature).ok_or(Doubt::Malformed)?;
        if !(1..=MAX_NONCE).contains(&nonce.len()) || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Doubt::Malformed);
        }
        let user_key = (!user_key.is_empty()).then_some(user_key);
        let signer = self.signers.iter().find(|signer| *signer.api_key == *api_key && signer.user_key.as_deref() == user_key);
        let signer = signer.ok_or(Doubt::KeyUnknown)?;
        let parameters = read_parameters(request, facts)?;
        let base = base_string(request.method, &self.rules.base.url_of(path(request)), &parameters, "sig");
        if !any_verifies(&signer.keys, &[&base], &tag) {
            return Err(Doubt::SignatureInvalid);
        }
        let (start, end) = (signed.minus(self.rules.ahead), signed.plus(self.rules.window).plus(Seconds(1)));
        if now < start || end <= now {
            return Err(Doubt::WindowExceeded);
        }
        let key = digest("countersign gigya nonce", &[api_key.as_bytes(), user_key.unwrap_or_default().as_bytes(), nonce.as_bytes()]);
        let caller = user_key.unwrap_or(api_key);
        let site = ("apiKey".into(), Value::from(api_key));
        let signed_by = user_key.map(|user_key| ("userKey".into(), Value::from(user_key)));
        let issued = ("iat".into(), Value::Int(signed.0));
        Ok(Verified::vouch(Arc::new(Identity {
            subject: caller.into(),
            issuer: signer.store.clone(),
            scopes: Box::default(),
            claims: Value::Map([Some(site), signed_by, Some(issued)].into_iter().flatten().collect()).into(),
            expires: Some(end),
            not_before: Some(start),
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            // A clock that is ahead dates its requests later than they are: a store that has begun since must not be asked about one
            // from before.
            burn: Some(Burn { key, made: start, until: end }),
            also: Vec::new(),
        })))
    }
}

impl Prover {
    /// Who has the secret that `credential` holds.
    ///
    /// # Errors
    ///
    /// [`Doubt::SecretWrong`], whatever is wrong: which sites and user keys there are is nobody's to find out with a wrong secret.
    pub fn judge_secret(&self, credential: &Credential<'_>) -> Result<Verified<Arc<Identity>>, Doubt> {
        let [api_key, user_key, secret] = [0, 1, 2].map(|index| credential.part(index));
        let user_key = (!user_key.is_empty()).then_some(user_key);
        let signer = self.signers.iter().find(|signer| *signer.api_key == *api_key && signer.user_key.as_deref() == user_key);
        let signer = signer.ok_or(Doubt::SecretWrong)?;
        if MAX_SECRET < secret.len() || !any_is_written(&signer.keys, secret) {
            return Err(Doubt::SecretWrong);
        }
        let site = ("apiKey".into(), Value::from(api_key));
        let used = user_key.map(|user_key| ("userKey".into(), Value::from(user_key)));
        Ok(Verified::vouch(Arc::new(Identity {
            subject: user_key.unwrap_or(api_key).into(),
            issuer: signer.store.clone(),
            scopes: Box::default(),
            claims: Value::Map([Some(site), used].into_iter().flatten().collect()).into(),
            expires: None,
            not_before: None,
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            burn: None,
            also: Vec::new(),
        })))
    }
}

/// The path as the client wrote it, which is what it signed; where it wrote a whole URL, the path of that.
fn path<'r>(request: &RequestView<'r>) -> &'r str {
    let raw = request.raw_target.split(['?', '#']).next().unwrap_or_default();
    if raw.starts_with('/') { raw } else { &request.target.path }
}

/// A moment in decimal seconds or milliseconds, without sign or leading zero.
fn read_moment(text: &str) -> Option<Timestamp> {
    let number = read_number(text)?;
    Some(Timestamp(if number < MILLISECONDS { number } else { number / 1_000 }))
}

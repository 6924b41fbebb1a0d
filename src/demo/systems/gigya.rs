//! A stand-in for Gigya's REST API: sites, user keys, logins, signed requests, linked ids, id tokens whose key rotates.
//!
//! Every failure is an HTTP 200 whose `errorCode` tells, unless `httpStatusCodes=true` was sent. A nonce works once, a signature for
//! five minutes. What is signed is computed here a second time, from the vendor's description and nothing of ours.
//!
//! Not here: screens, providers, policies; any account that outlives the process.
//!
//! Source: the vendor's pages on the REST API, `socialize.notifyRegistration`, `accounts.getJWT`, `accounts.getJWTPublicKey`.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use sha1::Sha1;

use crate::demo::stand::{Reply, Stand};
use crate::demo::systems::gigya::calls::attend;
use crate::domain::{Clock, Random, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};

/// A running stand-in.
pub struct DemoGigya {
    stand: Stand,
    office: Arc<Mutex<Office>>,
}

/// A call that it has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The method's name: `accounts.getAccountInfo`.
    pub method: String,
    /// The target as it stood in the request line.
    pub target: String,
    /// Its parameters, from query and body.
    pub parameters: BTreeMap<String, String>,
    /// `Authorization`, as it came.
    pub authorization: Option<String>,
    /// What it was answered.
    pub error_code: u64,
}

/// Everything that may change while it runs, behind one lock; nobody holds it while waiting.
struct Office {
    clock: Arc<dyn Clock>,
    /// Where clients believe to ask; part of what they sign.
    base: String,
    site: Site,
    /// API or user key, and nonce.
    nonces: BTreeSet<(String, String)>,
    key: Arc<SigningKey>,
    logins: BTreeMap<String, Login>,
    /// Linked ids by the Gigya UID they stand for.
    linked: BTreeMap<String, String>,
    called: Vec<Called>,
}

/// The one site it knows, with one user key of it.
struct Site {
    secret: Vec<u8>,
    user_secret: Vec<u8>,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
struct Login {
    uid: String,
    ends: Timestamp,
}

impl DemoGigya {
    /// The site's API key.
    pub const API_KEY: &'static str = "3_demo-site";
    /// A user key of the site.
    pub const USER_KEY: &'static str = "ADemoUser";
    /// A user, as Gigya calls her.
    pub const UID: &'static str = "_guid_anna";
    /// What she logs in with.
    pub const LOGIN: (&'static str, &'static str) = ("anna@example.com", "demo-password");
    /// How long an id token lives, in seconds: the vendor's default.
    pub const TOKEN_LIFE: i64 = 300;

    /// Starts it on `address` (port 0 for any free one), under `clock`, with `secret` as the site's partner secret and `user_secret` as
    /// that of its user key: base64 text, as the console shows them.
    ///
    /// # Errors
    ///
    /// A secret is no base64, the address cannot be listened on, or the crypto library makes no key.
    pub async fn start(address: SocketAddr, clock: Arc<dyn Clock>, secret: &str, user_secret: &str) -> io::Result<Self> {
        let decode = |text: &str| STANDARD.decode(text.trim()).map_err(io::Error::other);
        let site = Site { secret: decode(secret)?, user_secret: decode(user_secret)? };
        let office = Arc::new(Mutex::new(Office {
            clock,
            base: String::new(),
            site,
            nonces: BTreeSet::new(),
            key: Arc::new(fresh_key("demo-1").map_err(io::Error::other)?),
            logins: BTreeMap::new(),
            linked: BTreeMap::new(),
            called: Vec::new(),
        }));
        let shared = Arc::clone(&office);
        let stand = Stand::listen(address, move |request: Request<Bytes>| {
            let shared = Arc::clone(&shared);
            async move { Reply::Some(attend(&shared, &request)) }
        })
        .await?;
        office.lock().base = stand.origin();
        Ok(Self { stand, office })
    }

    /// A secret of 32 unpredictable bytes, as the console would show it.
    #[must_use]
    pub fn fresh_secret(random: &dyn Random) -> String {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stand.address()
    }

    /// Its origin, which is also what its clients sign unless [`Self::call_it`] says otherwise.
    #[must_use]
    pub fn origin(&self) -> String {
        self.stand.origin()
    }

    /// From now on clients believe to ask `base`: scheme and host, no path.
    pub fn call_it(&self, base: &str) {
        base.clone_into(&mut self.office.lock().base);
    }

    /// Where the keys of its id tokens are.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/accounts.getJWTPublicKey?V2=true", self.stand.origin())
    }

    /// The issuer of the site's id tokens.
    #[must_use]
    pub fn issuer() -> String {
        format!("https://fidm.gigya.com/jwt/{}/", Self::API_KEY)
    }

    /// Signs with another key from now on, called `kid`; the old one is no longer published.
    ///
    /// # Errors
    ///
    /// [`MintFault::Library`].
    pub fn rotate(&self, kid: &str) -> Result<(), MintFault> {
        let key = Arc::new(fresh_key(kid)?);
        self.office.lock().key = key;
        Ok(())
    }

    /// An id token with these claims beside `iss`, `iat` and `exp`, which they may say otherwise.
    ///
    /// # Errors
    ///
    /// Whatever signing says.
    pub fn id_token(&self, claims: &Json) -> Result<String, MintFault> {
        let office = self.office.lock();
        office.id_token(claims)
    }

    /// Somebody has logged in: the login token, good for `life` seconds.
    #[must_use]
    pub fn log_in(&self, uid: &str, life: i64) -> String {
        self.office.lock().log_in(uid, life)
    }

    /// Ends a login at once.
    pub fn end(&self, token: &str) {
        let mut office = self.office.lock();
        let now = office.clock.now();
        if let Some(login) = office.logins.get_mut(token) {
            login.ends = now;
        }
    }

    /// What a login leaves with the page: `UID`, `UIDSignature` and `signatureTimestamp`, signed at this moment.
    #[must_use]
    pub fn signed_uid(&self, uid: &str) -> [(&'static str, String); 3] {
        let office = self.office.lock();
        let time = office.clock.now().to_string();
        let signature = hmac_text(&office.site.secret, &format!("{time}_{uid}"));
        [("UID", uid.to_owned()), ("UIDSignature", signature), ("signatureTimestamp", time)]
    }

    /// Which id the site has linked with `uid`.
    #[must_use]
    pub fn linked(&self, uid: &str) -> Option<String> {
        self.office.lock().linked.get(uid).cloned()
    }

    /// Every call so far.
    #[must_use]
    pub fn called(&self) -> Vec<Called> {
        self.office.lock().called.clone()
    }
}

impl fmt::Debug for DemoGigya {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoGigya").field("stand", &self.stand).finish_non_exhaustive()
    }
}

impl Office {
    fn id_token(&self, claims: &Json) -> Result<String, MintFault> {
        let now = self.clock.now().0;
        let mut whole = json!({ "iss": DemoGigya::issuer(), "iat": now, "exp": now + DemoGigya::TOKEN_LIFE });
        if let (Some(whole), Some(claims)) = (whole.as_object_mut(), claims.as_object()) {
            whole.extend(claims.clone());
        }
        self.key.sign_compact(&[], &whole)
    }

    fn log_in(&mut self, uid: &str, life: i64) -> String {
        let token = format!("st2.s.demo-{}", self.logins.len());
        self.logins.insert(token.clone(), Login { uid: uid.to_owned(), ends: Timestamp(self.clock.now().0.saturating_add(life)) });
        token
    }
}

fn fresh_key(kid: &str) -> Result<SigningKey, MintFault> {
    Ok(SigningKey::generate(Algorithm::Rs256)?.with_kid(Some(kid)))
}

/// HMAC-SHA1 in base64, as the vendor writes it. Empty for a key that cannot be one.
fn hmac_text(key: &[u8], text: &str) -> String {
    Hmac::<Sha1>::new_from_slice(key).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

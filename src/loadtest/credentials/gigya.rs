//! What Gigya signs, and what is signed for it: `gigya`, `gigya_session`, `gigya_request`.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use crate::domain::{Random, Seconds, Secret, Timestamp};
use crate::jose::base64url;
use crate::jose::hmac_sha1::{Sha1Key, Strictness, decode_secret};
use crate::jose::login_expiry;
use crate::jose::signed_call::{self, Parameters};
use crate::jose::signed_uid;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::fresh::sections::listed;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// A partner secret, and one that nobody has.
struct Keys {
    ours: Sha1Key,
    strange: Sha1Key,
}

impl Keys {
    /// Of the partner secret `text`.
    fn new(text: &str, random: &dyn Random) -> Result<Self, String> {
        let decoded = decode_secret(text.as_bytes(), Strictness::Canonical).map_err(|fault| fault.to_string())?;
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let key = |secret: &Secret| Sha1Key::new(secret).ok_or_else(|| "the partner secret is no key".to_owned());
        Ok(Self { ours: key(&decoded)?, strange: key(&Secret::new(bytes.to_vec()))? })
    }

    fn of(&self, kind: Kind) -> &Sha1Key {
        if kind == Kind::Forged { &self.strange } else { &self.ours }
    }
}

/// How long ago what has run out was signed: more than any window that a conf may open.
const LONG_AGO: Seconds = Seconds(1_200);

/// Presents signed user ids.
pub struct GigyaPresenter {
    keys: Keys,
    /// Names of id, signature and time.
    names: [String; 3],
    friend: Option<String>,
    place: GigyaPlace,
    window: Seconds,
    burn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GigyaPlace {
    Query,
    Form,
    Headers,
    Cookies,
}

impl GigyaPresenter {
    /// For a `gigya` authenticator with these settings and this partner secret.
    ///
    /// # Errors
    ///
    /// The secret is none.
    pub fn new(settings: &Value, secret: &str, random: &dyn Random) -> Result<Self, String> {
        let kind = settings.get("kind").and_then(Value::as_str).unwrap_or("user");
        let defaults = match kind {
            "site" => ["siteUID", "UIDSig", "UIDTimestamp"],
            "friend" => ["UID", "friendshipSignature", "signatureTimestamp"],
            _ => ["UID", "UIDSignature", "signatureTimestamp"],
        };
        let text = |key: &str, default: &str| settings.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        let [uid, signature, timestamp] = defaults;
        let place = match settings.get("from").into_iter().flat_map(listed).find(|place| *place != "json") {
            Some("form") => GigyaPlace::Form,
            Some("headers") => GigyaPlace::Headers,
            Some("cookies") => GigyaPlace::Cookies,
            _ => GigyaPlace::Query,
        };
        let window = settings.get("window").and_then(Value::as_str).and_then(crate::settings::section::parse_duration);
        Ok(Self {
            keys: Keys::new(secret, random)?,
            names: [text("uid", uid), text("signature", signature), text("timestamp", timestamp)],
            friend: (kind == "friend").then(|| text("friend_uid", "friendUID")),
            place,
            window: Seconds(window.and_then(|window| u32::try_from(window.as_secs()).ok()).unwrap_or(300)),
            burn: settings.get("burn") == Some(&Value::Bool(true)),
        })
    }
}

impl Presenter for GigyaPresenter {
    fn lasting(&self) -> Lasting {
        if self.burn { Lasting::Once } else { Lasting::For(Seconds(self.window.0 / 2)) }
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let at = if kind == Kind::Expired { now.minus(LONG_AGO) } else { now };
        let (uid, friend) = (format!("caller-{number}"), format!("friend-{number}"));
        let key = self.keys.of(kind);
        let signature = match &self.friend {
            Some(_) => key.sign_text(&[&at.to_string(), "_", &friend, "_", &uid]),
            None => signed_uid::sign(key, at, &uid).ok_or("a user id that cannot be signed")?,
        };
        let values = [uid, signature, at.to_string()];
        let mut pairs: Vec<(String, String)> = self.names.iter().cloned().zip(values).collect();
        pairs.extend(self.friend.clone().map(|name| (name, friend)));
        Ok(match self.place {
            GigyaPlace::Query => Presented { query: pairs, ..Presented::default() },
            GigyaPlace::Form => Presented { form: pairs, ..Presented::default() },
            GigyaPlace::Headers => Presented { headers: pairs, ..Presented::default() },
            GigyaPlace::Cookies => Presented { cookies: pairs, ..Presented::default() },
        })
    }
}

/// Presents logins whose end the site has signed.
pub struct GigyaSessionPresenter {
    keys: Keys,
    api_key: String,
    life: Seconds,
}

impl GigyaSessionPresenter {
    /// For a `gigya_session` authenticator with these settings and this partner secret.
    ///
    /// # Errors
    ///
    /// The secret is none.
    pub fn new(settings: &Value, secret: &str, random: &dyn Random) -> Result<Self, String> {
        let api_key = settings.get("api_key").and_then(Value::as_str).ok_or("no API key")?.to_owned();
        let life = settings.get("max_life").and_then(Value::as_str).and_then(crate::settings::section::parse_duration);
        let life = life.and_then(|life| u32::try_from(life.as_secs()).ok()).unwrap_or(86_400).min(3_600);
        Ok(Self { keys: Keys::new(secret, random)?, api_key, life: Seconds(life) })
    }
}

impl Presenter for GigyaSessionPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(self.life.0 / 2))
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let token = format!("st2.bench-{number}");
        let expires = if kind == Kind::Expired { now.minus(LONG_AGO) } else { now.plus(self.life).minus(Seconds(1)) };
        let signed = login_expiry::sign(self.keys.of(kind), &token, expires, None).ok_or("a login that cannot be signed")?;
        let cookies = vec![(format!("glt_{}", self.api_key), token), (format!("gltexp_{}", self.api_key), signed)];
        Ok(Presented { cookies, ..Presented::default() })
    }
}

/// Presents requests that a server signs, each once.
pub struct GigyaRequestPresenter {
    keys: Keys,
    base: String,
    api_key: String,
    user_key: Option<String>,
    random: Arc<dyn Random>,
}

impl GigyaRequestPresenter {
    /// For a `gigya_request` authenticator with these settings; `secret` finds what a key store holds.
    ///
    /// # Errors
    ///
    /// No site can be signed for.
    pub fn new(settings: &Value, secret: impl Fn(&str) -> Option<Arc<str>>, random: Arc<dyn Random>) -> Result<Self, String> {
        let base = settings.get("public_base").and_then(Value::as_str).ok_or("no public base")?;
        let site = match settings.get("sites") {
            Some(Value::Array(several)) => several.first(),
            other => other,
        };
        let site = site.ok_or("no site")?;
        let user_key = site.get("user_keys").and_then(Value::as_object).and_then(|keys| keys.iter().next());
        let (store, user_key) = match (site.get("keys").and_then(Value::as_str), user_key) {
            (Some(store), _) => (store, None),
            (None, Some((name, store))) => (store.as_str().unwrap_or_default(), Some(name.clone())),
            (None, None) => return Err("a site without keys".to_owned()),
        };
        let held = secret(store).ok_or_else(|| format!("nothing is known of the keys `{store}`"))?;
        Ok(Self {
            keys: Keys::new(&held, &*random)?,
            base: base.trim_end_matches('/').to_owned(),
            api_key: site.get("api_key").and_then(Value::as_str).unwrap_or_default().to_owned(),
            user_key,
            random,
        })
    }
}

impl Presenter for GigyaRequestPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::Once
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, _: u64, asked: &Asked, now: Timestamp) -> Result<Presented, String> {
        let at = if kind == Kind::Expired { now.minus(LONG_AGO) } else { now };
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce);
        let mut pairs = vec![
            ("apiKey", self.api_key.clone()),
            ("timestamp", at.to_string()),
            ("nonce", base64url::encode(&nonce)),
            ("format", "json".to_owned()),
        ];
        pairs.extend(self.user_key.clone().map(|key| ("userKey", key)));
        let mut parameters = Parameters::new();
        for (name, value) in &pairs {
            parameters.set(name, value.as_str());
        }
        let base = Url::parse(&self.base).map_err(|_| "the public base is no URL")?;
        let url = signed_call::PublicBase::new(&base).map_err(str::to_owned)?.url_of(&asked.path);
        let text = signed_call::base_string(&asked.method, &url, &parameters, "sig");
        let signature = self.keys.of(kind).sign_text(&[&text]);
        let mut query: Vec<(String, String)> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        query.push(("sig".to_owned(), signature));
        Ok(Presented { query, ..Presented::default() })
    }
}

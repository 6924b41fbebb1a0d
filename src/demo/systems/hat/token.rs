//! A token at a HAT: where it is looked for, whether it is good, and the one that follows it.

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::demo::systems::hat::IDLE;
use crate::domain::Timestamp;
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::compact::Compact;
use crate::jose::mint::{MintFault, SigningKey};

/// Whose rights a token has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The owner's.
    Owner,
    /// Those of this application.
    Application(String),
    /// None but to be shown to a service.
    Validate,
}

/// Who has been authenticated.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) kind: Kind,
    claims: Value,
}

impl Bearer {
    /// Whom `token` proves to the HAT `hat` at `now`; `None` for nobody.
    pub(super) fn judge(token: &str, hat: &str, key: &SigningKey, now: Timestamp) -> Option<Self> {
        let compact = Compact::parse(token).ok()?;
        let key = std::sync::Arc::new(key.verifying_key().ok()?);
        compact.prove(Algorithm::Rs256, &[key])?;
        let payload = base64url::decode(token.split('.').nth(1)?)?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let (issued, expires) = (claims.get("iat")?.as_i64()?, claims.get("exp")?.as_i64()?);
        if claims.get("iss")?.as_str() != Some(hat) || issued + IDLE < now.0 || expires < now.0 {
            return None;
        }
        let kind = match (claims.get("application").and_then(Value::as_str), claims.get("accessScope").and_then(Value::as_str)) {
            (Some(id), None) => Kind::Application(id.to_owned()),
            (None, Some("validate")) => Kind::Validate,
            (None, Some("owner")) => Kind::Owner,
            _ => return None,
        };
        Some(Self { kind, claims })
    }

    /// The same with a new `iat`, and the same end.
    pub(super) fn slid(&self, key: &SigningKey, now: Timestamp) -> Result<String, MintFault> {
        let mut claims = self.claims.clone();
        if let Some(claims) = claims.as_object_mut() {
            claims.insert("iat".to_owned(), now.0.into());
        }
        key.sign_compact(&[], &claims)
    }
}

/// The first token that `request` holds: query, header, form, JSON.
pub(super) fn presented(request: &Request<Bytes>) -> Option<String> {
    const NAME: &str = "X-Auth-Token";
    let in_form = |text: &[u8]| form_urlencoded::parse(text).find(|(name, _)| name == NAME).map(|(_, value)| value.into_owned());
    let query = request.uri().query().and_then(|query| in_form(query.as_bytes()));
    let field = || request.headers().get(NAME).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = || match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-www-form-urlencoded" => in_form(request.body()),
        "application/json" => serde_json::from_slice::<Value>(request.body()).ok()?.get(NAME)?.as_str().map(str::to_owned),
        _ => None,
    };
    query.or_else(field).or_else(body)
}

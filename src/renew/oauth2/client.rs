//! How the token endpoint is shown which client asks.
//!
//! The bytes that are sent are made here and nowhere else: the fields of the body and, for `basic`, one header. An assertion is
//! made for one request, lives a minute and bears an id of its own.
//!
//! Rules: RFC 6749 section 2.3.1 (the id and the secret are form-encoded before they are joined), RFC 7523 sections 2.2 and 3,
//! RFC 7521 section 4.2.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::{Random, Seconds, Secret, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::mint::{MintFault, SigningKey};
use crate::net::form::Form;

/// How long an assertion is good for.
const ASSERTION_LIFE: Seconds = Seconds(60);

/// What an assertion is called (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the endpoint is shown who asks.
#[derive(Clone)]
pub enum ClientAuth {
    /// `Authorization: Basic`.
    Basic(Secret),
    /// Id and secret in the body.
    Post(Secret),
    /// A statement signed with our key; its audience, where the conf names one.
    PrivateKeyJwt {
        /// The key.
        key: Arc<SigningKey>,
        /// For whom, instead of the endpoint's own name.
        audience: Option<Box<str>>,
    },
    /// Nothing but the id: a public client.
    Public,
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic(_) => f.write_str("Basic"),
            Self::Post(_) => f.write_str("Post"),
            Self::PrivateKeyJwt { key, audience } => write!(f, "PrivateKeyJwt({}, {audience:?})", key.algorithm().name()),
            Self::Public => f.write_str("Public"),
        }
    }
}

/// The private key in `pem`, which signs with `algorithm` where that is said.
///
/// # Errors
///
/// [`MintFault`]: it is no key that signs, or not with this.
pub fn parse_key(pem: &Secret, algorithm: Option<Algorithm>) -> Result<SigningKey, MintFault> {
    let text = std::str::from_utf8(pem.expose()).map_err(|_| MintFault::Key("it is not text"))?;
    SigningKey::from_pem(text, algorithm)
}

impl ClientAuth {
    /// Writes what shows `client` to the endpoint called `endpoint` into `headers` and `form`.
    ///
    /// # Errors
    ///
    /// [`MintFault`] when no assertion can be signed. Nothing has been sent then.
    pub fn write(
        &self,
        client: &str,
        endpoint: &str,
        now: Timestamp,
        random: &dyn Random,
        headers: &mut HeaderMap,
        form: &mut Form,
    ) -> Result<(), MintFault> {
        match self {
            Self::Basic(secret) => {
                let encode = |bytes: &[u8]| Zeroizing::new(form_urlencoded::byte_serialize(bytes).collect::<String>());
                let pair = Zeroizing::new(format!("{}:{}", *encode(client.as_bytes()), *encode(secret.expose())));
                let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                let mut value = HeaderValue::from_str(&text).map_err(|_| MintFault::Header)?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Self::Post(secret) => {
                form.push("client_id", client.as_bytes());
                form.push_secret("client_secret", secret);
            }
            Self::PrivateKeyJwt { key, audience } => {
                let mut id = [0; 16];
                random.fill(&mut id);
                let claims = json!({
                    "iss": client,
                    "sub": client,
                    "aud": audience.as_deref().unwrap_or(endpoint),
                    "iat": now.0,
                    "exp": now.plus(ASSERTION_LIFE).0,
                    "jti": base64url::encode(&id),
                });
                let assertion = key.sign_compact(&[], &claims)?;
                form.push("client_id", client.as_bytes());
                form.push("client_assertion_type", JWT_BEARER.as_bytes());
                form.push("client_assertion", assertion.as_bytes());
            }
            Self::Public => form.push("client_id", client.as_bytes()),
        }
        Ok(())
    }
}

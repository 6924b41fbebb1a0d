//! Credentials of every scheme: good ones, expired ones, forged ones, from secrets made fresh for each start.
//!
//! The free functions write a credential as its system does; [`Credentials`] holds the secrets of one demo and the key
//! files that go with them.
//!
//! Not here: any judgement of a credential; a secret that lets anybody in and was not made a moment ago.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::demo::issuer::DemoIssuer;
use crate::domain::{Random, Secret, Timestamp};
use crate::issuer::ticket::{Mint, MintError, TicketOrder, mint};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};
use crate::jose::ticket::{Bindings, TicketKey};
use crate::verify::keys::digest::{Pepper, digest_text};
use crate::verify::keys::mac;

/// The secrets of one demo.
pub struct Credentials {
    pepper: String,
    shop_secret: String,
    reader_secret: String,
    instance_secret: String,
    ticket_key: String,
    gigya_secret: String,
    stranger: SigningKey,
}

/// Who calls with a server key and may write.
pub const SHOP: &str = "shop";
/// Who calls with a server key and may only read.
pub const READER: &str = "reader";
/// Who calls with an id and a key in two headers.
pub const INSTANCE: &str = "vehicle-7";
/// Who calls as a user.
pub const ANNA: &str = "anna";
/// Whom the tokens and tickets are for.
pub const AUDIENCE: &str = "app";

/// What is wrong with the ground the demo stands on; none of it can be the caller's doing.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFault {
    /// A token could not be signed.
    #[error("a token could not be signed: {0}")]
    Token(#[from] MintFault),
    /// A ticket could not be made.
    #[error("a ticket could not be made: {0}")]
    Ticket(#[from] MintError),
    /// A secret made a moment ago is not good enough for what it is for.
    #[error("a fresh secret was refused: {0}")]
    Secret(String),
}

impl Credentials {
    /// Fresh secrets.
    ///
    /// # Errors
    ///
    /// The crypto library makes no keys.
    pub fn fresh(random: &dyn Random) -> Result<Self, CredentialFault> {
        let text = || URL_SAFE_NO_PAD.encode(bytes(random));
        Ok(Self {
            pepper: text(),
            shop_secret: text(),
            reader_secret: text(),
            instance_secret: text(),
            ticket_key: text(),
            gigya_secret: STANDARD.encode(bytes(random)),
            stranger: SigningKey::generate(Algorithm::Rs256)?,
        })
    }

    /// Writes the files that `conf/demo.yaml` refers to into `folder`.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let record = |id: &str, text: &str, scopes: &[&str]| key_line(&self.pepper, id, text, scopes).map_err(io::Error::other);
        let keys = record(SHOP, &self.shop_secret, &["chat:write", "chat:read"])?
            + &record(READER, &self.reader_secret, &["chat:read"])?
            + &record(INSTANCE, &self.instance_secret, &[])?;
        let files = [
            ("demo-server-keys.jsonl", keys),
            ("demo-pepper.txt", self.pepper.clone()),
            ("demo-ticket-current.key", self.ticket_key.clone()),
            ("demo-gigya-secret.txt", self.gigya_secret.clone()),
            ("demo-client-secret.txt", DemoIssuer::INTROSPECTION_CLIENT.1.to_owned()),
        ];
        let folder = folder.join("keys");
        std::fs::create_dir(&folder)?;
        files.iter().try_for_each(|(name, content)| std::fs::write(folder.join(name), content))
    }

    /// The `Server-Key` of the shop.
    #[must_use]
    pub fn shop(&self) -> String {
        server_key(SHOP, &self.shop_secret)
    }

    /// The `Server-Key` of the reader.
    #[must_use]
    pub fn reader(&self) -> String {
        server_key(READER, &self.reader_secret)
    }

    /// The shop's id with the reader's secret.
    #[must_use]
    pub fn shop_with_wrong_secret(&self) -> String {
        server_key(SHOP, &self.reader_secret)
    }

    /// The `InstanceKey` of the instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance_secret
    }

    /// A token over `claims` by a key that nobody published, under the `kid` of a key that somebody did.
    ///
    /// # Errors
    ///
    /// Signing fails.
    pub fn forged(&self, kid: Option<&str>, claims: &Value) -> Result<String, CredentialFault> {
        let extras: Vec<(&str, &str)> = kid.map(|kid| ("kid", kid)).into_iter().collect();
        Ok(self.stranger.sign_compact(&extras, claims)?)
    }

    /// A token that says nothing by itself.
    #[must_use]
    pub fn opaque(random: &dyn Random) -> String {
        URL_SAFE_NO_PAD.encode(bytes(random))
    }

    /// A ticket for Anna, good for one use, made at `now`.
    ///
    /// # Errors
    ///
    /// The ticket cannot be made.
    pub fn ticket(&self, now: Timestamp, random: &dyn Random) -> Result<String, CredentialFault> {
        self.ticket_under(&self.ticket_key, true, now, random)
    }

    /// The same for as many uses as fit into its hour.
    ///
    /// # Errors
    ///
    /// The ticket cannot be made.
    pub fn ticket_for_a_while(&self, now: Timestamp, random: &dyn Random) -> Result<String, CredentialFault> {
        self.ticket_under(&self.ticket_key, false, now, random)
    }

    /// The same under a key that the proxy does not hold.
    ///
    /// # Errors
    ///
    /// The ticket cannot be made.
    pub fn forged_ticket(&self, now: Timestamp, random: &dyn Random) -> Result<String, CredentialFault> {
        self.ticket_under(&URL_SAFE_NO_PAD.encode(bytes(random)), true, now, random)
    }

    fn ticket_under(&self, key: &str, single_use: bool, now: Timestamp, random: &dyn Random) -> Result<String, CredentialFault> {
        let key = mac::key_of(secret(key)).map_err(CredentialFault::Secret)?;
        let press = Mint {
            key: TicketKey::new(key.id, &key.secret),
            issuer: "countersign".into(),
            audience: AUDIENCE.into(),
            max_life: crate::issuer::ticket::DEFAULT_LIFE,
        };
        let order = TicketOrder {
            subject: ANNA.into(),
            life: None,
            scopes: Box::default(),
            single_use,
            bindings: Bindings::default(),
            claims: crate::domain::Value::empty(),
        };
        Ok(mint(&press, order, now, random)?)
    }

    /// Anna's Gigya signature of the moment `at`.
    ///
    /// # Errors
    ///
    /// Never for a secret of ours; see [`gigya_signature`].
    pub fn gigya(&self, at: Timestamp) -> Result<String, CredentialFault> {
        gigya_signature(&self.gigya_secret, at, ANNA).map_err(|why| CredentialFault::Secret(why.to_owned()))
    }
}

/// The claims of Anna's token from `issuer`, good from `now` for an hour.
#[must_use]
pub fn claims(issuer: &str, now: Timestamp) -> Value {
    json!({
        "iss": issuer, "aud": AUDIENCE, "sub": ANNA, "email": "anna@example.org", "scope": "orders:read orders:write",
        "iat": now.0, "exp": now.0.saturating_add(3_600),
    })
}

/// `claims` with `name` set to `value`.
#[must_use]
pub fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = claims.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
    claims
}

/// The line of a key file that lets `id` in with `text`, with its end.
///
/// # Errors
///
/// The pepper is too short.
pub fn key_line(pepper: &str, id: &str, text: &str, scopes: &[&str]) -> Result<String, CredentialFault> {
    let pepper = Pepper::new(&secret(pepper)).ok_or_else(|| CredentialFault::Secret("the pepper is too short".to_owned()))?;
    let digest = digest_text(&pepper.digest(id, text.as_bytes()));
    Ok(json!({ "id": id, "secrets": [digest], "scopes": scopes }).to_string() + "\n")
}

/// base64(id:secret), as in `Server-Key` and in `Authorization: Basic` (RFC 7617).
#[must_use]
pub fn server_key(id: &str, secret: &str) -> String {
    STANDARD.encode(format!("{id}:{secret}"))
}

/// The signature over `at_uid` with the base64 partner secret `secret`, as Gigya makes it (HMAC-SHA1, base64).
///
/// # Errors
///
/// The secret is not base64.
pub fn gigya_signature(secret: &str, at: Timestamp, uid: &str) -> Result<String, &'static str> {
    let secret = STANDARD.decode(secret).map_err(|_| "the partner secret is not base64")?;
    hmac_sha1(&secret, &format!("{at}_{uid}")).ok_or("the partner secret is not a key")
}

/// HMAC-SHA1 in base64, as Gigya and Janrain sign; `None` for what cannot be a key.
#[must_use]
pub fn hmac_sha1(key: &[u8], text: &str) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

fn bytes(random: &dyn Random) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    bytes
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::{gigya_signature, server_key};
    use crate::domain::Timestamp;

    #[test]
    fn credentials_are_written_as_their_systems_write_them() {
        assert_eq!(server_key("Aladdin", "open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "the example of RFC 7617 section 2");
        // printf '1700000000_anna' | openssl dgst -sha1 -mac HMAC -macopt hexkey:73656372657431 -binary | base64
        assert_eq!(gigya_signature("c2VjcmV0MQ==", Timestamp(1_700_000_000), "anna").unwrap(), "i8HBCz2Rc9GXYKwiliStbxZpJG8=");
        assert!(gigya_signature("not base64", Timestamp(1), "anna").is_err(), "the secret is base64, or it is not one");
    }
}

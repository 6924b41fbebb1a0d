//! One API client as it is written: a JSON object, one line of a file, or a section of the conf.
//!
//! Unknown members are refused: a record that says `"revoked": true` must not be read as if it did not. What a fault says
//! never shows a value.
//!
//! ```json
//! {"client_id":"12345abcde12345abcde12345abcde12","secrets":["..."],"features":["login_client"],"disabled":false}
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::domain::{Secret, Timestamp};
use crate::settings::unquoted::unquoted;
use crate::verify::keys::contract::ServerKey;
use crate::verify::keys::record::{MAX_LIST, Moment, is_host};

/// Features that an API client may have.
pub(super) const FEATURES: [&str; 5] = ["owner", "access_issuer", "direct_access", "direct_read_access", "login_client"];

/// The longest id, in bytes; the vendor's have 32.
const MAX_ID: usize = 64;

/// A client as it was read, its digests still to be made.
#[derive(Debug)]
pub(super) struct Client {
    /// Its id, features (as scopes) and bounds.
    pub(super) record: ServerKey,
    /// One or two, as raw bytes.
    pub(super) secrets: Arc<[Secret]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    secrets: Vec<String>,
    #[serde(default)]
    features: Vec<Box<str>>,
    #[serde(default)]
    hosts: Vec<Box<str>>,
    #[serde(default)]
    not_before: Option<Moment>,
    #[serde(default)]
    expires: Option<Moment>,
    #[serde(default)]
    disabled: bool,
}

/// Reads one line.
///
/// # Errors
///
/// What is wrong with it, for the operator; never a value of it.
pub(super) fn parse_client(bytes: &[u8]) -> Result<Client, String> {
    let written: Written<'_> = serde_json::from_slice(bytes).map_err(|error| unquoted(&error, "an API client"))?;
    let secrets = written.secrets.into_iter().map(|secret| Secret::new(secret.into_bytes())).collect();
    let (start, end) = (written.not_before.map(|moment| moment.0), written.expires.map(|moment| moment.0));
    proven(&written.client_id, secrets, written.features, written.hosts, start, end, written.disabled)
}

/// A client of these parts.
///
/// # Errors
///
/// What is wrong with them, for the operator.
pub(super) fn proven(
    id: &str,
    secrets: Vec<Secret>,
    features: Vec<Box<str>>,
    hosts: Vec<Box<str>>,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
    disabled: bool,
) -> Result<Client, String> {
    if !is_client_id(id) {
        return Err(format!("`client_id` has 1 to {MAX_ID} letters, digits, `-`, `_` or `.`"));
    }
    if secrets.is_empty() || 2 < secrets.len() {
        return Err("a client has one secret, or two during a rotation".to_owned());
    }
    if secrets.iter().any(|secret| secret.len() < 3) {
        return Err("this secret is too short to be one".to_owned());
    }
    if let [first, second] = secrets.as_slice()
        && first.expose() == second.expose()
    {
        return Err("both secrets are the same; write it once".to_owned());
    }
    if !features.iter().all(|feature| FEATURES.contains(&&**feature)) {
        return Err(format!("features are among {}", FEATURES.join(", ")));
    }
    if MAX_LIST < hosts.len() || !hosts.iter().all(|host| is_host(host)) {
        return Err(format!("`hosts` are at most {MAX_LIST} lower-case names or addresses without port and trailing dot"));
    }
    if let (Some(start), Some(end)) = (not_before, expires)
        && end <= start
    {
        return Err("`expires` is not after `not_before`, so the client would never be good".to_owned());
    }
    let record =
        ServerKey { id: id.into(), digests: [None, None], not_before, expires, disabled, scopes: features.into(), hosts: hosts.into() };
    Ok(Client { record, secrets: secrets.into() })
}

/// Whether `id` can stand in an `Authorization: Signature` field as a client's id.
fn is_client_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(plain)
}

//! The instance: its id and its key, brought by the client or added by the proxy, and where they may travel.
//!
//! The key makes new users and is every user's password, so whoever holds it and knows a device token is that user. It is found in
//! apps that are taken apart, which is why it is best added here, and why it never passes over a connection that others can read.

use std::fmt;

use http::{HeaderName, HeaderValue};
use subtle::ConstantTimeEq;

use crate::domain::{Refusal, RequestView, Secret};
use crate::systems::telematics::breach::{forbidden, invalid};

/// The field that names the instance. Field names have no case: `InstanceID` is the same.
pub(crate) const INSTANCE_ID: HeaderName = HeaderName::from_static("instanceid");

/// The field that holds its key.
pub(crate) const INSTANCE_KEY: HeaderName = HeaderName::from_static("instancekey");

/// The longest id.
const MAX_ID: usize = 256;

/// The longest key.
const MAX_KEY: usize = 4 * 1024;

/// An instance whose key the proxy keeps.
#[derive(Clone)]
pub(crate) struct Instance {
    id: HeaderValue,
    /// Marked sensitive.
    key: HeaderValue,
    /// The same as text for a body.
    secret: Secret,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Instance {
    /// The instance `id` with `key`.
    ///
    /// # Errors
    ///
    /// Which of the two cannot stand in a header field, in a sentence for the operator.
    pub(crate) fn new(id: &str, key: Secret) -> Result<Self, &'static str> {
        if !is_value(id, MAX_ID) {
            return Err("`id` is at most 256 visible ASCII characters without a comma");
        }
        let text = std::str::from_utf8(key.expose()).ok().filter(|text| is_value(text, MAX_KEY));
        let Some(text) = text else { return Err("`key` is at most 4096 visible ASCII characters without a comma") };
        let (Ok(id), Ok(mut value)) = (HeaderValue::from_str(id), HeaderValue::from_str(text)) else {
            return Err("`id` or `key` cannot stand in a header field");
        };
        value.set_sensitive(true);
        Ok(Self { id, key: value, secret: key })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Its key as a field.
    pub(crate) fn key(&self) -> &HeaderValue {
        &self.key
    }

    /// Its key as text, for a body.
    pub(crate) fn password(&self) -> &str {
        std::str::from_utf8(self.secret.expose()).unwrap_or_default()
    }
}

/// What a client says of its instance.
pub(crate) struct Brought<'r> {
    /// The id.
    pub(crate) id: Option<&'r str>,
    /// The key.
    pub(crate) key: Option<&'r str>,
}

impl<'r> Brought<'r> {
    /// Reads the two fields of `request`.
    ///
    /// # Errors
    ///
    /// One of them stands there twice, or is none.
    pub(crate) fn read(request: &RequestView<'r>) -> Result<Self, Refusal> {
        Ok(Self { id: field(request, &INSTANCE_ID, "InstanceId", MAX_ID)?, key: field(request, &INSTANCE_KEY, "InstanceKey", MAX_KEY)? })
    }

    /// The id, which must be there.
    pub(crate) fn required_id(&self) -> Result<&'r str, Refusal> {
        self.id.ok_or_else(|| invalid("InstanceId", "The header InstanceId is required."))
    }

    /// Both, which must be there.
    pub(crate) fn required(&self) -> Result<&'r str, Refusal> {
        let id = self.required_id()?;
        self.key.map(|_| id).ok_or_else(|| invalid("InstanceKey", "The header InstanceKey is required."))
    }

    /// Refuses a key that is not `password`: of two, nobody can say which is meant.
    pub(crate) fn agrees_with(&self, password: &str) -> Result<(), Refusal> {
        match self.key {
            Some(key) if !bool::from(key.as_bytes().ct_eq(password.as_bytes())) => {
                Err(invalid("Password", "Password and the header InstanceKey differ."))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn field<'r>(request: &RequestView<'r>, name: &HeaderName, told: &'static str, most: usize) -> Result<Option<&'r str>, Refusal> {
    match request.sole_header(name) {
        Ok(None) => Ok(None),
        Ok(Some(text)) if is_value(text, most) => Ok(Some(text)),
        Ok(Some(_)) | Err(()) => Err(invalid(told, "It must stand there once, in visible ASCII characters without a comma.")),
    }
}

/// Whether `text` is one value: a comma is how two fields are joined on the way.
fn is_value(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// Refuses `request` when others can read the connection that it came on. Encrypted is one that we, or a proxy that we trust, say is;
/// what comes from this very machine has passed over none.
pub(crate) fn refuse_in_the_clear(request: &RequestView<'_>) -> Result<(), Refusal> {
    if request.secure || request.client.to_canonical().is_loopback() {
        return Ok(());
    }
    Err(forbidden("InstanceKey", "This call is made over https only. A key that was sent over http is known to others: replace it."))
}

#[cfg(test)]
mod tests {
    use super::Instance;
    use crate::domain::Secret;

    #[test]
    fn an_instance_is_one_that_fields_can_carry() {
        let rows = [
            ("id", "key", true, "plain"),
            ("id", "k\"e\\y=+/", true, "what keys are made of"),
            ("", "key", false, "no id"),
            ("id", "a,b", false, "a comma"),
            ("id", "a b", false, "a space"),
            ("id", "schl\u{fc}ssel", false, "outside ASCII"),
            ("i\nd", "key", false, "a line break"),
        ];
        for (id, key, expected, shows) in rows {
            assert_eq!(Instance::new(id, Secret::new(key.as_bytes().to_vec())).is_ok(), expected, "{shows}");
        }
        let long = |length: usize| Instance::new("id", Secret::new(vec![b'k'; length])).is_ok();
        assert!(long(4_096) && !long(4_097), "both sides of the bound");
    }

    #[test]
    fn a_key_is_not_printed() {
        let instance = Instance::new("id", Secret::new(b"marked-secret".to_vec())).unwrap();
        assert!(!format!("{instance:?} {:?}", instance.key()).contains("marked-secret"));
    }
}

//! Symmetric keys of our own, which seal tickets: the current one first, then older ones that still open.
//!
//! A key is taken byte for byte from a file or a variable; nothing is decoded or stretched. Texts that are keys of another
//! kind are refused, since what anybody may know must not seal anything. Source: RFC 2104 section 3 (length of keys).

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::domain::Secret;
use crate::jose::strength::check_hmac_secret;
use crate::settings::{Checking, Node, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools, MacKey};
use crate::verify::keys::secrets::references;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "mac",
    doc: "A symmetric key of our own (at least 32 bytes), or a list of them: the first seals, all open. `countersign keys generate` makes one.",
    class: KeyClass::Mac,
    shape: Shape::List { of: &Shape::Secret, lone: true, min: 1 },
    plan,
};

/// The fewest bytes of a key: as many as the hash has.
const LEAST: usize = 32;

struct MacPlan {
    keys: Arc<[MacKey]>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let before = checking.faults.errors();
    let mut keys: Vec<MacKey> = Vec::new();
    for reference in references(node) {
        let Some(secret) = checking.secret(reference) else { continue };
        let says = match key_of(secret) {
            Err(says) => says,
            Ok(key) if keys.iter().any(|known| known.id == key.id) => {
                "this key stands in the list already (or is mistaken for one that does); name each key once".to_owned()
            }
            Ok(key) => {
                keys.push(key);
                continue;
            }
        };
        checking.faults.error(&reference.span, says);
    }
    if before != checking.faults.errors() || keys.is_empty() {
        return None;
    }
    Some(Box::new(MacPlan { keys: keys.into() }))
}

/// The key that `secret` is, byte for byte.
///
/// # Errors
///
/// Why it is too weak to be one, for the operator.
pub fn key_of(secret: Secret) -> Result<MacKey, String> {
    let bytes = secret.expose();
    if bytes.len() < LEAST {
        return Err(format!("this key has {} bytes; at least {LEAST} are needed", bytes.len()));
    }
    check_hmac_secret(bytes).map_err(str::to_owned)?;
    if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
        return Err("this key is one byte over and over; make one with `countersign keys generate`".to_owned());
    }
    Ok(MacKey { id: name_of(&secret), secret })
}

/// Names a key inside a ticket. A keyed digest, so the name tells nothing of the key.
fn name_of(secret: &Secret) -> [u8; 4] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let tag = hmac::sign(&key, b"countersign mac key id");
    tag.as_ref().first_chunk().copied().unwrap_or_default()
}

impl KeySourcePlan for MacPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Mac
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, _name: &Arc<str>, _tools: &KeyTools) -> Result<BuiltKeys, String> {
        Ok(BuiltKeys::Mac(Arc::clone(&self.keys)))
    }
}

impl std::fmt::Debug for MacPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MacPlan").field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::verify::keys::contract::{BuiltKeys, MacKey};
    use crate::verify::keys::mac::plan;
    use crate::verify::keys::testing::{planned, tools};

    /// The keys that come of secrets, in order, or the faults.
    fn keys(secrets: &[&[u8]]) -> Result<Vec<MacKey>, Vec<String>> {
        planned(plan, secrets, &[]).map(|plan| match plan.build(&"tickets".into(), &tools()).unwrap() {
            BuiltKeys::Mac(keys) => keys.to_vec(),
            _ => panic!("another class of keys"),
        })
    }

    const A: &[u8] = b"0123456789abcdef0123456789abcdef";
    const B: &[u8] = b"fedcba9876543210fedcba9876543210";

    #[test]
    fn the_first_key_is_the_current_one_and_names_follow_the_key() {
        let lone = keys(&[A]).unwrap();
        let both = keys(&[B, A]).unwrap();
        assert_eq!(both.iter().map(|key| key.secret.expose()).collect::<Vec<_>>(), [B, A], "in the order written");
        assert_eq!(lone[0].id, both[1].id, "a key has the same name wherever it stands, so nodes agree");
        assert_ne!(both[0].id, both[1].id, "other keys have other names");
        assert!(!A.windows(4).any(|window| window == lone[0].id), "a name is no piece of the key");
        assert_eq!(keys(&[&[A, b"\n"].concat()]).unwrap()[0].id, lone[0].id, "the line break of an editor is no part of it");
    }

    #[test]
    fn what_cannot_keep_a_secret_is_no_key() {
        let public = b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----";
        let cases: [(&[&[u8]], &str, &str); 7] = [
            (&[&[]], "empty", "nothing"),
            (&[&A[..31]], "31 bytes", "one byte short"),
            (&[public], "key", "a public key as text"),
            (&[b"{\"kty\":\"RSA\",\"n\":\"AQABAQABAQABAQABAQAB\",\"e\":\"AQAB\"}"], "key", "a JWK"),
            (&[&[0; 32]], "over and over", "zeros"),
            (&[A, A], "already", "one key twice"),
            (&[A, &B[..31]], "31 bytes", "an older key is held to the same"),
        ];
        for (secrets, speaks_of, shows) in cases {
            let faults = keys(secrets).unwrap_err();
            assert!(faults.iter().any(|says| says.contains(speaks_of)), "{shows}: {faults:?}");
        }
    }
}

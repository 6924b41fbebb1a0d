//! Gigya partner secrets: base64 text whose decoded bytes are the HMAC key.
//!
//! A secret is decoded once, strictly: the padded standard alphabet with nothing to spare, so that a secret which was cut
//! or mistyped is told at start and not by every signature failing. Secrets whose last character carries bits that are
//! dropped, or that lack their padding, work with the vendor's lenient decoders and are taken only where the conf says so;
//! anything worse is refused. Rules: RFC 4648 sections 3.2, 3.3 and 3.5.

use std::sync::Arc;

use crate::domain::Secret;
use crate::jose::hmac_sha1::{SecretFault, Strictness, decode_secret};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools};
use crate::verify::keys::secrets::references;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "gigya_secret",
    doc: "The partner secret of a Gigya site as the console shows it (base64), or a list of them, the current one first.",
    class: KeyClass::GigyaSecret,
    shape: Shape::Either(&[SECRETS, Shape::Section(&SETTINGS)]),
    plan,
};

const SECRETS: Shape = Shape::List { of: &Shape::Secret, lone: true, min: 1 };

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `gigya_secret` source",
    doc: "Partner secrets, and how strictly they are read.",
    keys: &[
        KeySpec::required("secrets", SECRETS, "The partner secret, or a list of them, the current one first."),
        KeySpec::default(
            "lenient_trailing_bits",
            Shape::Bool,
            "false",
            "Accept a secret without its padding, or whose last character has bits to spare, as the vendor's own decoders do.",
        ),
    ],
};

/// Below this many decoded bytes a secret is said to be short; real ones have 32.
const SHORT: usize = 16;

struct GigyaSecretPlan {
    secrets: Arc<[Secret]>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let before = checking.faults.errors();
    let (written, strictness) = match node.get("secrets") {
        None => (node, Strictness::Canonical),
        Some(_) => {
            let section = Section::open(&SETTINGS, node, checking.faults)?;
            let lenient = section.flag("lenient_trailing_bits");
            (section.node("secrets")?, if lenient { Strictness::LenientEnd } else { Strictness::Canonical })
        }
    };
    let mut secrets = Vec::new();
    for reference in references(written) {
        let Some(text) = checking.secret(reference) else { continue };
        match decode_secret(text.expose(), strictness) {
            Ok(secret) => {
                if secret.len() < SHORT {
                    checking
                        .faults
                        .warn(&reference.span, format!("this partner secret decodes to {} bytes only; is it whole?", secret.len()));
                }
                secrets.push(secret);
            }
            Err(fault) => checking.faults.error(&reference.span, told(fault)),
        }
    }
    if before != checking.faults.errors() || secrets.is_empty() {
        return None;
    }
    Some(Box::new(GigyaSecretPlan { secrets: secrets.into() }))
}

fn told(fault: SecretFault) -> &'static str {
    match fault {
        SecretFault::LenientOnly => {
            "this partner secret lacks its padding or has bits to spare at its end, so a character may be missing; if the console shows it \
             like this, write `lenient_trailing_bits: true` beside it under `secrets`"
        }
        SecretFault::NotBase64 => "this partner secret is not base64 as the console shows it; copy it again, whole and without quotes",
    }
}

impl KeySourcePlan for GigyaSecretPlan {
    fn class(&self) -> KeyClass {
        KeyClass::GigyaSecret
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, _name: &Arc<str>, _tools: &KeyTools) -> Result<BuiltKeys, String> {
        Ok(BuiltKeys::GigyaSecret(Arc::clone(&self.secrets)))
    }
}

impl std::fmt::Debug for GigyaSecretPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GigyaSecretPlan").field("secrets", &self.secrets.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, KeyInit, Mac};

    use crate::settings::NodeValue;
    use crate::verify::keys::contract::BuiltKeys;
    use crate::verify::keys::gigya_secret::plan;
    use crate::verify::keys::testing::{planned, planned_node, tools};

    fn key(built: BuiltKeys) -> Vec<u8> {
        let BuiltKeys::GigyaSecret(secrets) = built else { panic!("another class of keys") };
        secrets[0].expose().to_vec()
    }

    fn strict(secret: &str) -> Result<Vec<u8>, Vec<String>> {
        planned(plan, &[secret.as_bytes()], &[]).map(|plan| key(plan.build(&"gigya".into(), &tools()).unwrap()))
    }

    fn lenient(secret: &str) -> Result<Vec<u8>, Vec<String>> {
        planned_node(plan, &[secret.as_bytes()], |secrets| vec![("secrets", secrets), ("lenient_trailing_bits", NodeValue::Bool(true))])
            .map(|plan| key(plan.build(&"gigya".into(), &tools()).unwrap()))
    }

    fn signature(key: &[u8], base: &str) -> String {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
        mac.update(base.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// Vectors of another implementation of the vendor's signatures.
    #[test]
    fn secrets_are_taken_as_strictly_as_the_conf_says() {
        let cases = [
            // secret, base string, signature, strict, lenient, what the row shows
            ("kln45j654l3kn5jb", "3456789_nk34bjh5kl432njbh", "y8fo2ebrzyuN/kbX0wbPul8VwI8=", true, true, "clean"),
            ("jkl234h53k2", "23456754_908dsf7g68d9", "AzKUa+6a2+27Oqxu0nDksvDdjLI=", false, true, "no padding, bits to spare"),
            ("890fd7g69f0sfd7", "345678232_3m4lkn5jb645l43;2k", "sVrznUKLsDOJ1Z3Df4qNhClWZ8Q=", false, true, "the same, longer"),
            ("mkl34n5jb4356", "46578543_0-9vbn8m7gfd0ru", "zGAMM6XlTamV4QH+g3C/RgptX+0=", false, false, "one character dangles"),
            ("hdsvddhlrhtbs[]34o543]", "3242342342_fbdjsfdksbfs", "PqX1gioG5KKWu2V+nz9d1rKe6rU=", false, false, "foreign characters"),
            ("dsbfjsdkdsaivfdsk", "67686768_fdhfgsvk", "/MPK8HnKtMB1n2oxWYTiWdU0S5k=", false, false, "one dangles, otherwise clean"),
        ];
        for (secret, base, expected, strictly, leniently, shows) in cases {
            for (read, taken, how) in [(strict(secret), strictly, "strictly"), (lenient(secret), leniently, "leniently")] {
                assert_eq!(read.is_ok(), taken, "{how}: {shows}");
                if let Ok(key) = read {
                    assert_eq!(signature(&key, base), expected, "{how}: {shows}");
                }
            }
        }
    }

    #[test]
    fn a_secret_that_is_no_base64_is_refused_without_showing_it() {
        for secret in ["", "=", "====", "a-b_cdef", "aGVs bG8=", "aGVsbG8=\u{20}", "\"aGVsbG8=\"", "aGVsbG8=\n\n"] {
            let faults = lenient(secret).unwrap_err();
            assert_eq!(faults.len(), 1, "{secret:?}: {faults:?}");
            assert!(secret.len() < 3 || !faults[0].contains(secret), "a fault shows no secret");
        }
        assert!(strict("aGVsbG8=").is_ok() && strict("aGVsbG8=\n").is_ok(), "with padding, and the line break of an editor");
        assert!(strict("aGVsbG8").unwrap_err()[0].contains("lenient_trailing_bits"), "the way out is named");
    }
}

//! Keys of our own issuers: what verifies the access tokens that this proxy gives itself.
//!
//! The conf names the issuer, not the key: the public halves come from whoever puts the house together, so no key is written
//! twice, and a rotation of the issuer's keys is one here too. Nothing is fetched and nothing private comes here.

use std::sync::Arc;

use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools};
use crate::verify::keys::fixed::Fixed;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "issued",
    doc: "The public keys of an issuer of our own, for the access tokens that this proxy, or another with the same keys, has given.",
    class: KeyClass::Signature,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `issued` source",
    doc: "Keys that verify the tokens of an issuer of our own.",
    keys: &[KeySpec::required("issuer", Shape::Name("issuers"), "Its name under `issuers`.")],
};

#[derive(Debug)]
struct IssuedPlan {
    issuer: String,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let issuer = section.text("issuer")?.to_owned();
    Some(Box::new(IssuedPlan { issuer }))
}

impl KeySourcePlan for IssuedPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Signature
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, _name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        let keys = tools.issued.get(&self.issuer).filter(|keys| !keys.is_empty());
        let keys = keys.ok_or_else(|| format!("the issuer `{}` has no keys", self.issuer))?;
        Ok(BuiltKeys::Signature(Fixed::over(keys.clone())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use crate::jose::algorithm::Algorithm;
    use crate::jose::key::VerifyingKey;
    use crate::jose::mint::SigningKey;
    use crate::settings::NodeValue;
    use crate::verify::keys::contract::KeyTools;
    use crate::verify::keys::issued::plan;
    use crate::verify::keys::testing::{keys_of, map, node, prove, says, signature_store, tools};

    fn key() -> Arc<VerifyingKey> {
        Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap().verifying_key().unwrap())
    }

    #[test]
    fn the_keys_of_the_named_issuer_and_no_others_are_found() {
        let (current, previous, other) = (key(), key(), key());
        let issued = BTreeMap::from([
            ("ours".to_owned(), vec![Arc::clone(&current), Arc::clone(&previous)]),
            ("theirs".to_owned(), vec![Arc::clone(&other)]),
            ("bare".to_owned(), Vec::new()),
        ]);
        let tools = KeyTools { issued: Arc::new(issued), ..tools() };
        let planned = |name: &str| {
            let written = node(map(vec![("issuer", NodeValue::Text(name.into()))]));
            prove(plan, &written, &crate::settings::Material::default()).unwrap()
        };

        let store = signature_store(planned("ours").as_ref(), &tools);
        for (kid, expected, shows) in [
            (current.kid(), "keys", "the key that signs now"),
            (previous.kid(), "keys", "the key before it"),
            (other.kid(), "never", "another issuer's key"),
        ] {
            assert_eq!(says(&store, "any", kid, 0), expected, "{shows}");
        }
        assert_eq!(keys_of(&store, "any", current.kid(), 0).len(), 1, "a kid names one key");
        for (name, shows) in [("bare", "an issuer without keys verifies nothing"), ("nobody", "nor does one that there is not")] {
            assert!(planned(name).build(&"store".into(), &tools).is_err(), "{shows}");
        }
    }
}

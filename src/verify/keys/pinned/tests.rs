//! Keys in files in every form, and secrets that are none.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::jose::algorithm::Algorithm;
use crate::settings::{Material, NodeValue};
use crate::verify::keys::contract::{KeyHint, KeySearch, KeySourcePlan, SignatureKeys};
use crate::verify::keys::pinned::plan;
use crate::verify::keys::testing::{IssuerKey, keys_of, map, node, prove, says, set_of, signature_store, tools};

/// What comes of `files` (each by its content) and an HMAC secret.
fn planned(files: &[&str], secret: Option<&[u8]>, more: &[(&str, &str)]) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    let mut names = Vec::new();
    for (number, content) in files.iter().enumerate() {
        let name = format!("key-{number}");
        material.files.insert(material.resolve(&name), Ok(Arc::from(content.as_bytes())));
        names.push(node(NodeValue::Text(name)));
    }
    let mut entries = Vec::new();
    if !names.is_empty() {
        entries.push(("file", NodeValue::List(names)));
    }
    if let Some(secret) = secret {
        material.files.insert(material.resolve("secret"), Ok(Arc::from(secret)));
        entries.push(("hmac", map(vec![("file", NodeValue::Text("secret".into()))])));
    }
    entries.extend(more.iter().map(|(key, value)| (*key, NodeValue::Text((*value).into()))));
    prove(plan, &node(map(entries)), &material)
}

fn store(files: &[&str], secret: Option<&[u8]>) -> Arc<dyn SignatureKeys> {
    signature_store(&*planned(files, secret, &[]).unwrap(), &tools())
}

#[tokio::test]
async fn keys_are_read_in_every_form_people_keep_them() {
    let (a, b) = (IssuerKey::new("a"), IssuerKey::new("b"));
    let both = store(&[&a.pem(), &set_of(&[&b])], None);
    assert!(a.is_among(&keys_of(&both, "", Some("any"), 0)), "a PEM file names no key, so it serves every name");
    assert!(b.is_among(&keys_of(&both, "", Some("b"), 0)), "a set names its keys");
    assert!(a.is_among(&keys_of(&store(&[&a.jwk()], None), "", Some("a"), 0)), "a single JWK");
    let bundle = format!("{}{}", a.pem(), b.pem());
    let found = keys_of(&store(&[&bundle], None), "", None, 0);
    assert!(a.is_among(&found) && b.is_among(&found), "several in one file");

    let named = store(&[&set_of(&[&a])], None);
    assert_eq!(says(&named, "", Some("unknown"), 0), "never", "there is nobody to ask about another name");
    assert!(named.ready(Timestamp(i64::MAX)), "pinned keys do not age");
    assert!(Arc::clone(&named).desk().answer("unknown", Timestamp(0)).await.is_ok());
    assert_ne!(named.generation(), both.generation(), "other keys, other verdicts");
    named.run().await;
}

#[test]
fn what_is_no_key_is_told() {
    let private =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";
    for (content, shows) in
        [("", "an empty file"), ("hello", "text"), ("{}", "an object"), (r#"{"keys":[]}"#, "an empty set"), (private, "a private key")]
    {
        assert!(planned(&[content], None, &[]).is_err(), "{shows}");
    }
    assert!(planned(&[], None, &[]).unwrap_err()[0].contains("pins nothing"), "no source at all");
    let plan = planned(&[&IssuerKey::new("a").pem()], None, &[]).unwrap();
    assert_eq!(plan.continuity(), None, "and read again by every reload");
}

#[test]
fn a_shared_secret_is_a_secret() {
    let secret: Vec<u8> = (0..64).collect();
    let fits = |store: &Arc<dyn SignatureKeys>, algorithm, kid| {
        matches!(store.find(&KeyHint { issuer: "", kid, algorithm }, Timestamp(0)), KeySearch::Keys(_))
    };
    let store_1 = store(&[], Some(&secret[..32]));
    assert!(fits(&store_1, Algorithm::Hs256, None) && fits(&store_1, Algorithm::Hs256, Some("any")), "long enough for HS256");
    assert!(!fits(&store_1, Algorithm::Hs512, None), "not for HS512");
    assert!(!fits(&store_1, Algorithm::Rs256, None) && !fits(&store_1, Algorithm::EdDsa, None), "no public key");

    let bound = planned(&[], Some(&secret), &[("hmac_algorithm", "HS512"), ("hmac_kid", "shared")]).unwrap();
    let store_2 = signature_store(&*bound, &tools());
    assert!(fits(&store_2, Algorithm::Hs512, Some("shared")), "bound and named");
    assert!(!fits(&store_2, Algorithm::Hs256, Some("shared")), "bound to one algorithm");
    assert!(!fits(&store_2, Algorithm::Hs512, Some("other")), "named");

    let (pem, jwk) = (IssuerKey::new("a").pem(), IssuerKey::new("a").jwk());
    let spaced = format!("  {pem}");
    let cases: [(&[u8], &str); 6] = [
        (b"", "empty"),
        (&secret[..31], "one byte short"),
        (pem.as_bytes(), "a public key"),
        (spaced.as_bytes(), "a public key behind spaces"),
        (jwk.as_bytes(), "a JWK"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "an SSH key"),
    ];
    for (secret, shows) in cases {
        assert!(planned(&[], Some(secret), &[]).is_err(), "{shows}");
    }
    for key in ["hmac_algorithm", "hmac_kid"] {
        assert!(planned(&[&IssuerKey::new("a").pem()], None, &[(key, "HS256")]).is_err(), "{key} without a secret says nothing");
    }
    assert!(planned(&[], Some(&secret[..63]), &[("hmac_algorithm", "HS512")]).is_err(), "too short for the algorithm it is bound to");
}

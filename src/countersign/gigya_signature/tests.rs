//! Gigya's proofs for an upstream: the vendor's vectors, nobody but the proven caller, and settings that cannot be.

use std::sync::Arc;

use http::header::AUTHORIZATION;

use super::ENTRY;
use crate::countersign::stage::{NOW, identity, plan, sign};
use crate::domain::{Claim, Refusal, Value};
use crate::jose::algorithm::Algorithm;
use crate::jose::compact::Compact;
use crate::jose::hmac_sha1::{Sha1Key, Strictness, decode_secret, read_tag};
use crate::jose::mint::SigningKey;
use crate::settings::Level;

const RSA: &str = include_str!("../../jose/mint/rsa.pkcs1.pem");

#[test]
fn the_callers_id_is_signed_as_a_site_signs_it() {
    let (plan, faults) = plan(&ENTRY, "uid: { secret: { env: GIGYA } }");
    let plan = plan.unwrap_or_else(|| panic!("{faults:?}"));
    let fields = sign(plan.as_ref(), Some(&identity("nk34bjh5kl432njbh", &[], Value::empty()))).unwrap();
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-gigya-site-uid", "x-gigya-uid-timestamp", "x-gigya-uid-sig"]);
    assert_eq!(fields[0].1, "nk34bjh5kl432njbh");
    assert_eq!(fields[1].1, NOW.0.to_string(), "the time is that of this request");
    let key = Sha1Key::new(&decode_secret(b"kln45j654l3kn5jb", Strictness::Canonical).unwrap()).unwrap();
    let tag = read_tag(&fields[2].1).unwrap();
    assert!(key.verifies(&[&fields[1].1, "_", "nk34bjh5kl432njbh"], &tag), "what was signed is what was written");
    assert_eq!(plan.names().len(), 3, "no client may send them");
    assert_eq!(sign(plan.as_ref(), None), Ok(Vec::new()), "where nobody was proven, nothing is signed");
    let shown = format!("{plan:?}");
    assert!(!shown.contains("kln45"), "{shown} shows a secret");
}

#[test]
fn an_id_that_cannot_be_a_site_uid_is_refused_and_never_cleaned_up() {
    let plan = plan(&ENTRY, "uid: { secret: { env: GIGYA } }").0.unwrap();
    let longest = "a".repeat(252);
    assert!(sign(plan.as_ref(), Some(&identity(&longest, &[], Value::empty()))).is_ok(), "252 characters");
    let too_long = "a".repeat(253);
    for subject in ["", "\u{e9}lise", "a\nb", " anna", &too_long] {
        let signed = sign(plan.as_ref(), Some(&identity(subject, &[], Value::empty())));
        assert_eq!(signed, Err(Refusal::PolicyDenied), "{subject:?}");
    }
}

#[test]
fn a_bearer_token_names_the_user_key_and_has_a_moment_and_a_name_and_no_end() {
    let plan = plan(&ENTRY, "bearer: { user_key: AUserKey, key: { env: RSA } }").0.unwrap();
    let fields = sign(plan.as_ref(), None).unwrap();
    assert_eq!(fields[0].0, AUTHORIZATION.as_str(), "also where nobody was proven: the server itself calls");
    let token = Compact::parse(fields[0].1.strip_prefix("Bearer ").unwrap()).unwrap();
    assert_eq!((token.header().algorithm, token.header().kid.as_deref()), (Some(Algorithm::Rs256), Some("AUserKey")));
    assert_eq!(token.header().kind.as_deref(), Some("JWT"));
    let key = SigningKey::from_pem(RSA, Some(Algorithm::Rs256)).unwrap().verifying_key().unwrap().with_kid(None);
    let claims = token.prove(Algorithm::Rs256, &[Arc::new(key)]).unwrap();
    assert_eq!(claims.get().member("iat"), Some(Claim::Int(NOW.0)));
    assert!(claims.get().member("jti").is_some() && claims.get().member("exp").is_none());
    assert!(plan.names().is_empty(), "other routes may pass the client's own `Authorization` on");
}

#[test]
fn settings_that_cannot_be_are_faults_that_show_no_secret() {
    let cases = [
        ("{}", "nothing would be signed"),
        ("uid: { secret: { env: GIGYA_LENIENT } }", "lenient_trailing_bits"),
        ("uid: { secret: { env: BROKEN } }", "not base64"),
        ("uid: { secret: { env: GIGYA }, uid_header: Authorization }", "cannot carry a signature"),
        ("uid: { secret: { env: GIGYA }, uid_header: X-A, timestamp_header: x_a }", "carries another part"),
        ("bearer: { user_key: '12', key: { env: RSA } }", "user key"),
        ("bearer: { user_key: AUserKey, key: { env: KEY } }", "RSA key"),
        ("bearer: { user_key: AUserKey, key: { env: SECRET } }", "RSA key"),
    ];
    for (yaml, says) in cases {
        let (plan, faults) = plan(&ENTRY, yaml);
        assert!(plan.is_none(), "{yaml}");
        let errors: Vec<&String> = faults.iter().filter(|(level, _)| *level == Level::Error).map(|(_, says)| says).collect();
        assert!(errors.iter().any(|error| error.contains(says)), "{yaml}: {errors:?}");
        assert!(!errors.iter().any(|error| error.contains("s3cret") || error.contains("jkl234h53k2")), "{errors:?}");
    }
    let lenient = "uid: { secret: { env: GIGYA_LENIENT }, lenient_trailing_bits: true }";
    assert!(plan(&ENTRY, lenient).0.is_some(), "class B is taken where the conf says so");
}

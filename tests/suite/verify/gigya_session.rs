//! Logins whose end a site has signed: every form, every boundary, and what must not pass for one.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::{Answer, Claim, Outage, Place, Secret, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use countersign::verify::contract::{Desk, Desks, SchemePlan};
use countersign::verify::gigya_session::{GigyaSessionVerifier, prove as plan};
use countersign::verify::keys::contract::{BuiltKeys, KeyHint, KeySearch, SignatureKeys};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};

use crate::stage::{NOW, Stage, Told, known, prove, stores};

const SECRET: &str = "kln45j654l3kn5jb";
const TOKEN: &str = "st2.s.LOGIN-TOKEN";
const MALFORMED: Told = Told::Out("credential_malformed", 401);
const CONFLICT: Told = Told::Out("credential_conflict", 400);
const INVALID: Told = Told::Out("signature_invalid", 401);
const UNKNOWN: Told = Told::Out("key_unknown", 401);
const EXPIRED: Told = Told::Out("expired", 401);
const FAR: Told = Told::Out("window_exceeded", 401);

/// The signature of `text` as the vendor's libraries make it, apart from all code of the house.
fn sign(text: &str) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&STANDARD.decode(SECRET).unwrap()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn by_site(token: &str, end: i64) -> String {
    format!("{end}_{}", sign(&format!("{token}_{end}")))
}

fn by_user(token: &str, end: i64, user_key: &str) -> String {
    format!("{end}_{user_key}_{}", sign(&format!("{token}_{end}_{user_key}")))
}

fn verifier(mut settings: Json) -> GigyaSessionVerifier {
    settings["api_key"] = "3_site".into();
    let secrets = Arc::from([Secret::new(STANDARD.decode(SECRET).unwrap())]);
    let keys = stores(BuiltKeys::GigyaSecret(secrets));
    prove(plan, &settings).unwrap().verifier(&"login".into(), &keys, &mut Desks::default()).unwrap()
}

fn cookies(login: &str, end: &str) -> Stage {
    Stage::new().field("cookie", format!("a=1; glt_3_site={login}; gltexp_3_site={end}"))
}

#[test]
fn an_end_that_the_site_has_signed_is_good_until_then() {
    let verifier = verifier(json!({ "keys": "store", "user_keys": { "AUserKey": "store" } }));
    let login = cookies(TOKEN, &by_site(TOKEN, NOW + 300)).ask(&verifier, NOW);
    let name = login.identity().subject.to_string();
    assert!(!name.contains("LOGIN"), "the login has a name that shows nothing of its token: {name}");
    assert_eq!(login.identity().expires, Some(Timestamp(NOW + 300)));
    assert_eq!(login.identity().claims.member("apiKey").and_then(Claim::as_text), Some("3_site"));
    let by_key = cookies(TOKEN, &by_user(TOKEN, NOW + 300, "AUserKey")).ask(&verifier, NOW);
    assert_eq!(by_key.identity().claims.member("userKey").and_then(Claim::as_text), Some("AUserKey"));

    let good = by_site(TOKEN, NOW + 300);
    let rows = [
        (cookies(TOKEN, &good), known(&name), "the site's own form"),
        (cookies(TOKEN, &by_user(TOKEN, NOW + 300, "AUserKey")), known(&name), "of a user key: the same login"),
        (cookies(&format!("{TOKEN}|UUID=7"), &good), known(&name), "the token ends at the bar"),
        (cookies(&format!("{TOKEN}%7CUUID%3D7"), &good), known(&name), "also when browsers' code has escaped it"),
        (cookies(TOKEN, &good.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")), known(&name), "an end that PHP has escaped"),
        (cookies(TOKEN, &by_site(TOKEN, NOW + 1)), known(&name), "the last good second"),
        (cookies(TOKEN, &by_site(TOKEN, NOW)), EXPIRED, "the end itself is too late"),
        (cookies(TOKEN, &by_site(TOKEN, NOW + 86_400)), known(&name), "as far ahead as one may lie"),
        (cookies(TOKEN, &by_site(TOKEN, NOW + 86_401)), FAR, "a second farther"),
        (cookies(TOKEN, &by_user(TOKEN, NOW, "AUserKey")), EXPIRED, "the same for user keys"),
        (cookies("st2.s.ANOTHER", &good), INVALID, "the end of another login"),
        (cookies(TOKEN, &by_user(TOKEN, NOW + 300, "BUserKey")), UNKNOWN, "a user key that the conf does not name, signed as it may be"),
        (cookies(TOKEN, &good.replacen(&(NOW + 300).to_string(), &(NOW + 301).to_string(), 1)), INVALID, "a second more than was signed"),
        (cookies(TOKEN, &format!("0{good}")), MALFORMED, "a leading zero"),
        (cookies(TOKEN, &format!("-{good}")), MALFORMED, "a sign"),
        (cookies(TOKEN, &good.replace('=', "")), MALFORMED, "no padding"),
        (cookies(TOKEN, &good.replacen('_', "", 1)), MALFORMED, "no separator"),
        (cookies(TOKEN, "1_2_3_4"), MALFORMED, "too many parts and no signature"),
        (cookies(TOKEN, &good.replace('=', "%253D")), MALFORMED, "escaped twice"),
        (cookies("", &good), MALFORMED, "an empty login token"),
        (cookies("|x", &good), MALFORMED, "nothing before the bar"),
        (cookies(TOKEN, "eyJ.eyJ.sig"), MALFORMED, "a token, where no keys for one are there"),
        (cookies(TOKEN, &good).field("cookie", format!("gltexp_3_site={good}")), CONFLICT, "a cookie twice, even alike"),
        (Stage::new().field("cookie", format!("glt_3_site={TOKEN}")), Told::Foreign, "a login whose end the site does not sign"),
        (Stage::new().field("cookie", format!("gltexp_3_site={good}")), Told::Foreign, "an end without its login"),
        (Stage::new().field("cookie", format!("glt_3_other={TOKEN}; gltexp_3_other={good}")), Told::Absent, "cookies of another site"),
        (Stage::new(), Told::Absent, "none"),
    ];
    for (stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{shows}");
    }
}

#[test]
fn the_vectors_of_the_vendors_libraries_verify() {
    let verifier = verifier(json!({ "keys": "store", "user_keys": { "AUserKey": "store" } }));
    for end in ["1700000000_VtbRfJoRL0tqwQxOSXZgBP4A/JA=", "1700000000_AUserKey_9+CyLEDsI77IsH/7IVQhlwDsWBo="] {
        assert!(matches!(cookies("LOGINTOKEN", end).ask(&verifier, 1_699_999_999).told(), Told::In(_)), "{end}");
        assert_eq!(cookies("LOGINTOKEN", end).ask(&verifier, 1_700_000_000).told(), EXPIRED, "{end}");
        assert_eq!(cookies("LOGINTOKEM", end).ask(&verifier, 1_699_999_999).told(), INVALID, "{end}");
    }
}

/// G4, carried on: one key signs ends, user ids and friendships, and the texts can be equal.
#[test]
fn the_signature_of_a_user_or_friendship_is_no_end_of_a_login() {
    let verifier = verifier(json!({ "keys": "store" }));
    let end = NOW + 300;
    for (token, shows) in [
        ("1799999999".to_owned(), "`TIME_UID` for a user whose id is a number"),
        ("1799999999_friend".to_owned(), "`TIME_FRIEND_UID` for such a user"),
        ("0".to_owned(), "a time of one digit"),
    ] {
        assert_eq!(cookies(&token, &by_site(&token, end)).ask(&verifier, NOW).told(), MALFORMED, "{shows}");
    }
}

/// Public keys under their names, as a set has them.
struct Published(Vec<Arc<VerifyingKey>>);

#[async_trait::async_trait]
impl Desk for Published {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        Ok(Arc::new(()))
    }
}

#[async_trait::async_trait]
impl SignatureKeys for Published {
    fn find(&self, hint: &KeyHint<'_>, _now: Timestamp) -> KeySearch {
        match hint.kid {
            Some("ALostKey") => KeySearch::Unavailable("ALostKey".into()),
            Some("BUserKey") => KeySearch::Keys(self.0.clone()),
            kid if self.0.iter().any(|key| key.kid() == kid) => KeySearch::Keys(self.0.clone()),
            _ => KeySearch::Never,
        }
    }

    fn generation(&self) -> u64 {
        1
    }

    fn ready(&self, _now: Timestamp) -> bool {
        true
    }

    async fn run(&self) {}

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

#[test]
fn a_token_of_a_user_key_is_for_this_login_and_this_use() {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap().with_kid(Some("AUserKey"));
    let stranger = SigningKey::generate(Algorithm::Rs256).unwrap();
    let hmac = SigningKey::generate(Algorithm::Hs256).unwrap();
    let published = Published(vec![Arc::new(key.verifying_key().unwrap())]);
    let keys = stores(BuiltKeys::Signature(Arc::new(published)));
    let settings = json!({ "api_key": "3_site", "public_keys": "store" });
    let verifier = prove(plan, &settings).unwrap().verifier(&"login".into(), &keys, &mut Desks::default()).unwrap();

    let good = || json!({ "sub": TOKEN, "iat": NOW, "exp": NOW + 300, "aud": "gltexp" });
    let but = |name: &str, value: Json| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let by = |key: &SigningKey, kid: &str, claims: &Json| key.sign_compact(&[("kid", kid)], claims).unwrap();
    let own = |claims: &Json| by(&key, "AUserKey", claims);
    let rows = [
        (own(&but("exp", (NOW + 1).into())), None, "the last good second"),
        (own(&good()), None, "as the library makes it"),
        (own(&but("iat", (NOW + 60).into())), None, "a clock a minute ahead"),
        (own(&but("iat", (NOW + 61).into())), Some(Told::Out("not_yet_valid", 401)), "a second more"),
        (own(&but("exp", NOW.into())), Some(EXPIRED), "the end itself"),
        (own(&but("exp", (NOW + 86_401).into())), Some(FAR), "too far ahead"),
        (own(&but("exp", json!(NOW + 300).to_string().into())), Some(Told::Out("claims_malformed", 401)), "an end that is text"),
        (own(&without("exp")), Some(Told::Out("claim_missing", 401)), "no end"),
        (own(&without("iat")), Some(Told::Out("claim_missing", 401)), "no beginning"),
        (own(&but("aud", "app".into())), Some(Told::Out("audience_mismatch", 401)), "a token for something else"),
        (own(&without("aud")), Some(Told::Out("audience_mismatch", 401)), "a token for anything"),
        (own(&but("sub", "st2.s.ANOTHER".into())), Some(INVALID), "of another login"),
        (by(&stranger, "AUserKey", &good()), Some(INVALID), "made by a stranger"),
        (by(&key, "AnotherKey", &good()), Some(UNKNOWN), "under a name that nobody has"),
        (by(&key, "BUserKey", &good()), Some(UNKNOWN), "under a name whose keys are called otherwise"),
        (by(&key, "12345", &good()), Some(MALFORMED), "under a name that is a time"),
        (by(&hmac, "AUserKey", &good()), Some(Told::Out("algorithm_refused", 401)), "by an algorithm of its own choice"),
        (by(&key, "ALostKey", &good()), Some(Told::Needs), "keys that are not at hand are asked for"),
        (by_site(TOKEN, NOW + 300), Some(UNKNOWN), "a signed end, where no secret is there"),
    ];
    for (end, refused, shows) in rows {
        let told = cookies(TOKEN, &end).ask(&verifier, NOW).told();
        match refused {
            None => assert!(matches!(told, Told::In(_)), "{shows}: {told:?}"),
            Some(expected) => assert_eq!(told, expected, "{shows}"),
        }
    }
}

#[test]
fn settings_are_proven() {
    let rows = [
        (json!({ "api_key": "3_site", "keys": "store" }), true, "the least"),
        (json!({ "api_key": "3_site", "user_keys": { "AUserKey": "store" } }), true, "user keys alone"),
        (json!({ "api_key": "3_site", "public_keys": "store" }), true, "public keys alone"),
        (json!({ "api_key": "3_site" }), false, "nobody could have signed"),
        (json!({ "keys": "store" }), false, "no site"),
        (json!({ "api_key": "3=site", "keys": "store" }), false, "a site that cannot end the name of a cookie"),
        (json!({ "api_key": "3_site", "keys": "other" }), false, "a store that is not there"),
        (json!({ "api_key": "3_site", "user_keys": { "AUserKey": "other" } }), false, "the same for a user key"),
        (json!({ "api_key": "3_site", "user_keys": { "1700000000": "store" } }), false, "a user key that reads as an end"),
        (json!({ "api_key": "3_site", "keys": "store", "max_life": "60s" }), true, "the shortest life"),
        (json!({ "api_key": "3_site", "keys": "store", "max_life": "59s" }), false, "a shorter one"),
    ];
    for (settings, sound, shows) in rows {
        assert_eq!(prove(plan, &settings).is_ok(), sound, "{shows}");
    }
    let proven = prove(plan, &json!({ "api_key": "3_site", "keys": "store" })).unwrap();
    assert_eq!(proven.looks_at(), [Place::Cookie("glt_3_site".into()), Place::Cookie("gltexp_3_site".into())]);
}

//! Attacks on Gigya signatures. Row names are those of the attack list, section G.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use countersign::domain::{Facts, Secret, Timestamp};
use countersign::verify::contract::Verifier;
use countersign::verify::gigya::{GigyaVerifier, prove as plan};
use countersign::verify::keys::contract::BuiltKeys;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sha1::Sha1;

use crate::stage::{NOW, Outcome, Stage, Told, known, prove, stores};

const SECRET: &str = "kln45j654l3kn5jb";

fn verifier_of(mut settings: Json, secrets: &[&[u8]]) -> GigyaVerifier {
    settings["keys"] = "store".into();
    let secrets = secrets.iter().map(|secret| Secret::new(secret.to_vec())).collect();
    prove(plan, &settings).unwrap().verifier(&"member".into(), &stores(BuiltKeys::GigyaSecret(secrets))).unwrap()
}

fn verifier(settings: Json) -> GigyaVerifier {
    verifier_of(settings, &[&STANDARD.decode(SECRET).unwrap()])
}

/// The signature of `base` under the decoded `secret`.
fn sign_with(secret: &[u8], base: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn sign(base: &str) -> String {
    sign_with(&STANDARD.decode(SECRET).unwrap(), base)
}

/// A query with these parameters, escaped.
fn query(pairs: &[(&str, &str)]) -> Stage {
    Stage::new().query(&form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn user(uid: &str, time: &str, signature: &str) -> Stage {
    query(&[("UID", uid), ("signatureTimestamp", time), ("UIDSignature", signature)])
}

const INVALID: Told = Told::Out("signature_invalid", 401);
const MALFORMED: Told = Told::Out("credential_malformed", 401);
const CONFLICT: Told = Told::Out("credential_conflict", 400);
const LATE: Told = Told::Out("window_exceeded", 401);

#[test]
fn published_vectors_verify() {
    let lenient = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let rows = [
        // secret, uid, friend, time, signature: class A, then class B
        (SECRET, "nk34bjh5kl432njbh", None, 3_456_789, "y8fo2ebrzyuN/kbX0wbPul8VwI8="),
        (SECRET, "nk34bjh5kl432njbh", Some("849357yturiehjwldaksfnbv"), 3_456_789, "t4b9ggtficcKyL4YbHpdHEZbdrw="),
        ("jkl234h53k2", "908dsf7g68d9", None, 23_456_754, "AzKUa+6a2+27Oqxu0nDksvDdjLI="),
        ("b4645kl35jb", "b45432lkn4jb", None, 9_876_543, "VP93O4U8MeTCH5sJntEBVBRG/F0="),
        ("890fd7g69f0sfd7", "3m4lkn5jb645l43;2k", None, 345_678_232, "sVrznUKLsDOJ1Z3Df4qNhClWZ8Q="),
        ("v65jbk4renlfioupb8", "809dierpwojl4k23mr", None, 76_823_433, "hqT0Y7rFL1khRLfwVDFk64vf28M="),
        ("jkl234h53k2", "908dsf7g68d9", Some("7fcghjv5et4iogu9fp8"), 23_456_754, "tq+VN8H/ygYJbSF+91Mak8XUjGY="),
        ("b4645kl35jb", "b45432lkn4jb", Some("v5hjbkl34;ejapwfu8d9gyo7"), 9_876_543, "WKiloNBnOvazdwary9EQdlAKovs="),
        ("890fd7g69f0sfd7", "3m4lkn5jb645l43;2k", Some("b5yelrtgiufdbtker"), 345_678_232, "UnuJroSwujupzqwhaCQYItNQ0C4="),
        ("v65jbk4renlfioupb8", "809dierpwojl4k23mr", Some("03-49ut8iryughdfkjsladm"), 76_823_433, "dkcOPZlo35IE0IMkYtXmeaqF58g="),
    ];
    for (secret, uid, friend, time, signature) in rows {
        let key = lenient.decode(secret).unwrap();
        let text = time.to_string();
        let (settings, stage) = match friend {
            None => (json!({}), user(uid, &text, signature)),
            Some(friend) => (
                json!({ "kind": "friend" }),
                query(&[("UID", uid), ("friendUID", friend), ("signatureTimestamp", &text), ("friendshipSignature", signature)]),
            ),
        };
        assert_eq!(stage.ask(&verifier_of(settings.clone(), &[&key]), time).told(), known(uid), "{secret} {uid} {friend:?}");
        let raw = stage.ask(&verifier_of(settings, &[secret.as_bytes()]), time).told();
        assert_eq!(raw, INVALID, "G5: the raw text of the secret is not the key ({uid})");
    }
}

#[test]
fn a_signature_is_good_within_its_window_both_ways() {
    let now = 1_800_000_000;
    let rows = [
        // window, age, verdict, what the row shows
        (None, 0, true, "just made"),
        (None, 300, true, "G2: the last good second"),
        (None, 301, false, "G2: one second too old"),
        (None, -300, true, "G2: the farthest future"),
        (None, -301, false, "G2: one second too far in the future"),
        (Some("180s"), 180, true, "G2: a narrower window, last second"),
        (Some("180s"), 181, false, "G2: a narrower window, too old"),
        (Some("180s"), -180, true, "G2: a narrower window, farthest future"),
        (Some("180s"), -181, false, "G2: a narrower window, too far in the future"),
    ];
    for (window, age, good, shows) in rows {
        let settings = window.map_or(json!({}), |window| json!({ "window": window }));
        let (time, width) = (now - age, if window.is_some() { 180 } else { 300 });
        let outcome = user("u", &time.to_string(), &sign(&format!("{time}_u"))).ask(&verifier(settings), now);
        assert_eq!(outcome.told(), if good { known("u") } else { LATE }, "{shows}");
        if let Outcome::Known(identity) = outcome {
            assert_eq!(identity.expires, Some(Timestamp(time + width + 1)), "{shows}: a remembered verdict ends with the window");
            assert_eq!(identity.not_before, Some(Timestamp(time - width)), "{shows}: and starts with it");
        }
    }
}

#[test]
fn each_part_has_one_spelling() {
    let verifier = verifier(json!({}));
    let good = |uid: &str| sign(&format!("{NOW}_{uid}"));
    let signed_time = |time: &str| user("u", time, &sign(&format!("{time}_u")));
    let now = NOW.to_string();
    let signature = good("u");
    let with_plus = (0..).map(|number| format!("u{number}")).find(|uid| good(uid).contains('+')).unwrap();
    let plus = good(&with_plus);
    let long = "u".repeat(252);
    let rows: Vec<(&str, Stage, Told, &str)> = vec![
        ("-", user("u", &now, &signature), known("u"), "good"),
        ("G1", user("v", &now, &signature), INVALID, "another user's signature"),
        ("G1", user("u", &(NOW - 1).to_string(), &signature), INVALID, "another time's signature"),
        ("G1", user("U", &now, &signature), INVALID, "ids have case"),
        ("G3", signed_time(&(NOW * 1000).to_string()), LATE, "milliseconds are far in the future"),
        ("G3", signed_time("1800000000.0"), MALFORMED, "a float"),
        ("G3", signed_time("-1800000000"), MALFORMED, "negative"),
        ("G3", signed_time("+1800000000"), MALFORMED, "a sign"),
        ("G3", signed_time("01800000000"), MALFORMED, "a leading zero"),
        ("G3", signed_time(" 1800000000"), MALFORMED, "a space"),
        ("G3", signed_time("1800000000\n"), MALFORMED, "a line break"),
        ("G3", signed_time("2027-01-15 08:00:00"), MALFORMED, "a date"),
        ("G3", signed_time("0x6b49d200"), MALFORMED, "hexadecimal"),
        ("G3", signed_time("१८००००००००"), MALFORMED, "digits of another script"),
        ("G3", signed_time("9999999999999999999"), MALFORMED, "19 digits beyond 64 bits"),
        ("G3", signed_time("9223372036854775807"), LATE, "the end of time does not overflow"),
        ("G3", signed_time("18446744073709551616"), MALFORMED, "20 digits"),
        ("G3", signed_time("0"), LATE, "the epoch"),
        ("G6", user(&with_plus, &now, &plus), known(&with_plus), "a plus, escaped"),
        ("G6", user(&with_plus, &now, &plus.replace('+', " ")), MALFORMED, "a plus that became a space"),
        ("G6", user(&with_plus, &now, &plus.replace('+', "-").replace('/', "_")), MALFORMED, "the URL alphabet"),
        ("G6", user("u", &now, signature.trim_end_matches('=')), MALFORMED, "no padding"),
        ("G6", user("u", &now, &format!("{signature}=")), MALFORMED, "too much padding"),
        ("G6", user("u", &now, &format!("{signature}\n")), MALFORMED, "a line break after it"),
        ("G7", user("u", &now, &STANDARD.encode(&STANDARD.decode(&signature).unwrap()[..10])), MALFORMED, "a tag cut to 80 bits"),
        ("G7", user("u", &now, &STANDARD.encode(&STANDARD.decode(&signature).unwrap()[..19])), MALFORMED, "19 bytes, in 28 characters"),
        ("G7", user("u", &now, ""), MALFORMED, "no signature"),
        ("G11", user("u\r\nX-Admin: 1", &now, &good("u\r\nX-Admin: 1")), MALFORMED, "line breaks in the id"),
        ("G11", user("u\0", &now, &good("u\0")), MALFORMED, "NUL in the id"),
        ("G11", user("ü", &now, &good("ü")), MALFORMED, "not ASCII"),
        ("G11", user(" u", &now, &good(" u")), MALFORMED, "a space that a header would lose"),
        ("G11", user("a b", &now, &good("a b")), known("a b"), "an inner space"),
        ("G11", user(&long, &now, &good(&long)), known(&long), "252 characters"),
        ("G11", user(&format!("{long}u"), &now, &good(&format!("{long}u"))), MALFORMED, "253 characters"),
        ("G11", user(&"u".repeat(65_536), &now, &good(&"u".repeat(65_536))), MALFORMED, "64 KiB"),
        ("G11", user("", &now, &good("")), MALFORMED, "empty"),
        ("G4", user("_guid_5==", &now, &good("_guid_5==")), known("_guid_5=="), "an underscore in a user's id"),
    ];
    for (id, stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn one_kind_is_never_accepted_as_another() {
    let now = NOW.to_string();
    let signature = |base: &str| sign(&format!("{NOW}_{base}"));
    let friends = |uid: &str, friend: &str, signature: &str| {
        query(&[("UID", uid), ("friendUID", friend), ("signatureTimestamp", &now), ("friendshipSignature", signature)])
    };
    let site = |uid: &str, signature: &str| query(&[("siteUID", uid), ("UIDTimestamp", &now), ("UIDSig", signature)]);
    let (user_kind, friend_kind, site_kind) = (json!({}), json!({ "kind": "friend" }), json!({ "kind": "site" }));
    let careful = json!({ "underscore": false });
    let rows: Vec<(&str, &Json, Stage, Told, &str)> = vec![
        ("-", &friend_kind, friends("b", "a", &signature("a_b")), known("b"), "a friendship"),
        ("-", &site_kind, site("s", &signature("s")), known("s"), "a site's own id"),
        ("G4", &friend_kind, friends("a", "b", &signature("a_b")), INVALID, "a friendship the other way round"),
        ("G4", &friend_kind, friends("c", "a_b", &signature("a_b_c")), MALFORMED, "an underscore makes the parts ambiguous"),
        ("G4", &friend_kind, friends("b_c", "a", &signature("a_b_c")), MALFORMED, "and so in the other part"),
        ("G4", &friend_kind, user("a_b", &now, &signature("a_b")), MALFORMED, "a user's proof where a friendship is due"),
        ("G4", &user_kind, friends("b", "a", &signature("a_b")), MALFORMED, "a friendship where a user is due"),
        ("G4", &user_kind, user("b", &now, &signature("a_b")), INVALID, "a friendship's signature for the user alone"),
        ("G4", &careful, user("a_b", &now, &signature("a_b")), MALFORMED, "the same spelled as a user, where that is ruled out"),
        ("G4", &careful, user("ab", &now, &signature("ab")), known("ab"), "and others are let in there"),
        ("G4", &user_kind, site("s", &signature("s")), Told::Absent, "a site's names where a user is due"),
        ("G4", &site_kind, user("s", &now, &signature("s")), Told::Absent, "a user's names where a site's are due"),
    ];
    for (id, settings, stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier(settings.clone()), NOW).told(), expected, "{id}: {shows}");
    }
    let outcome = friends("b", "a", &signature("a_b")).ask(&verifier(friend_kind), NOW);
    assert_eq!(outcome.identity().claims.at_path("friend").and_then(|friend| friend.as_text()), Some("a"), "who the friend is");
}

#[test]
fn the_secret_is_the_configured_store_s_only() {
    let (current, older, foreign) = (b"current key bytes".as_slice(), b"older key bytes".as_slice(), b"another site's".as_slice());
    let verifier = verifier_of(json!({}), &[current, older]);
    let now = NOW.to_string();
    let rows = [
        ("-", current, known("u"), "the current secret"),
        ("-", older, known("u"), "an older one of the same store"),
        ("G8", foreign, INVALID, "another site's secret"),
        ("G1", b"".as_slice(), INVALID, "an empty secret"),
    ];
    for (id, secret, expected, shows) in rows {
        let stage = query(&[
            ("UID", "u"),
            ("signatureTimestamp", &now),
            ("UIDSignature", &sign_with(secret, &format!("{NOW}_u"))),
            ("apiKey", "3_another-site"),
        ]);
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{id}: {shows}");
    }
    let bare = prove(plan, &json!({ "keys": "store" })).unwrap();
    for secrets in [vec![], vec![Secret::new(Vec::new())]] {
        let built = bare.verifier(&"member".into(), &stores(BuiltKeys::GigyaSecret(secrets.into())));
        assert!(built.is_err(), "G13: no secret, or an empty one, builds no verifier");
    }
}

#[test]
fn places_must_agree_and_no_name_may_stand_twice() {
    let (now, signature) = (NOW.to_string(), sign(&format!("{NOW}_u")));
    let parts = [("UID", "u"), ("signatureTimestamp", now.as_str()), ("UIDSignature", signature.as_str())];
    let form: &'static [u8] = form_urlencoded::Serializer::new(String::new()).extend_pairs(parts).finish().leak().as_bytes();
    let leak = |json: Json| -> &'static [u8] { json.to_string().leak().as_bytes() };
    let json_body = leak(json!({ "UID": "u", "signatureTimestamp": now, "UIDSignature": signature, "profile": { "UID": "w" } }));
    let numbered = leak(json!({ "UID": "u", "signatureTimestamp": NOW, "UIDSignature": signature }));
    let twice: &'static [u8] =
        format!(r#"{{"UID":"u","\u0055ID":"v","signatureTimestamp":"{now}","UIDSignature":"{signature}"}}"#).leak().as_bytes();
    let (is_form, is_json) = ("application/x-www-form-urlencoded", "application/json");
    let default = json!({});
    let (headers, cookies, only_query) = (json!({ "from": "headers" }), json!({ "from": "cookies" }), json!({ "from": "query" }));
    let rows: Vec<(&str, &Json, Stage, Told, &str)> = vec![
        ("-", &default, Stage::new(), Told::Absent, "nothing anywhere"),
        ("-", &default, Stage::new().body(is_form, form), known("u"), "a form"),
        (
            "-",
            &default,
            Stage::new().body("Application/X-WWW-Form-URLencoded; charset=UTF-8", form),
            known("u"),
            "media types have no case",
        ),
        ("-", &default, Stage::new().body(is_json, json_body), known("u"), "JSON; nested members are not looked at"),
        ("-", &default, Stage::new().body("application/vnd.x+json", json_body), known("u"), "JSON by its suffix"),
        ("-", &default, Stage::new().body(is_json, numbered), known("u"), "a time as a JSON number"),
        ("-", &default, Stage::new().body("text/plain", form), Told::Absent, "a body of another kind is not read"),
        ("-", &default, query(&parts).body(is_form, form), known("u"), "query and form agree"),
        ("-", &default, query(&parts).body(is_json, b"[1,2]"), known("u"), "a JSON list has no members"),
        ("-", &default, query(&parts).body(is_json, b"\"\""), known("u"), "nor has a text"),
        ("-", &default, query(&parts).body(is_json, b""), known("u"), "nor an empty body"),
        ("-", &default, query(&parts).body(is_form, b"a=1&b=2"), known("u"), "a form of other things"),
        ("G10", &default, query(&[("UID", "u"), ("UID", "v"), parts[1], parts[2]]), CONFLICT, "an id twice in the query"),
        ("G10", &default, query(&[("UID", "u"), ("UID", "u"), parts[1], parts[2]]), CONFLICT, "even equal ones"),
        ("G10", &default, query(&parts).body(is_form, b"UID=v"), CONFLICT, "the form names somebody else"),
        ("G10", &default, query(&parts).body(is_json, b"{\"UID\":\"v\"}"), CONFLICT, "the JSON names somebody else"),
        ("G10", &default, query(&parts).body(is_form, b"UID=u&UID=u"), CONFLICT, "an id twice in the form"),
        ("G10", &default, Stage::new().body(is_json, twice), CONFLICT, "an id twice in JSON, once escaped"),
        ("G10", &default, query(&parts).body(is_json, b"{\"UID\":null}"), MALFORMED, "an id that is no text"),
        ("G10", &default, query(&parts).body(is_json, b"{\"UID\":\"u\""), MALFORMED, "JSON cut off"),
        ("G10", &default, query(&parts).body(is_json, b"{\"UID\":\"u\"} {\"UID\":\"v\"}"), MALFORMED, "two JSON values"),
        ("G10", &default, query(&parts).body(is_json, b"\xef\xbb\xbf{\"UID\":\"v\"}"), MALFORMED, "a byte order mark"),
        ("G10", &default, query(&parts).body(is_form, b"UID=%ff"), MALFORMED, "a form that is not UTF-8"),
        (
            "G10",
            &default,
            query(&parts).body("application/json; charset=utf-16", json_body),
            MALFORMED,
            "another charset is another reading",
        ),
        ("G10", &default, query(&parts).body(is_form, b"UID=v").field("content-type", "text/plain"), CONFLICT, "two Content-Types"),
        ("G10", &default, query(&parts).body(is_form, b"?").field("content-encoding", "gzip"), MALFORMED, "a compressed body"),
        ("-", &default, query(&parts[..2]), MALFORMED, "parts without the signature"),
        ("-", &default, query(&parts[..1]), MALFORMED, "an id without anything"),
        (
            "-",
            &headers,
            Stage::new().field("uid", "u").field("uidsignature", &signature).field("signaturetimestamp", &now),
            known("u"),
            "headers",
        ),
        (
            "G10",
            &headers,
            Stage::new().field("uid", "u").field("uid", "v").field("uidsignature", &signature).field("signaturetimestamp", &now),
            CONFLICT,
            "an id in two headers",
        ),
        (
            "-",
            &cookies,
            Stage::new().field("cookie", format!("UID=u; UIDSignature={signature}")).field("cookie", format!("signatureTimestamp={now}")),
            known("u"),
            "cookies, over two lines",
        ),
        ("-", &only_query, query(&parts).body(is_form, b"UID=v"), known("u"), "a body that is not configured is not read"),
    ];
    for (id, settings, stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier(settings.clone()), NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn what_is_not_signed_is_not_identity() {
    let signature = sign(&format!("{NOW}_u"));
    let now = NOW.to_string();
    let stage =
        query(&[("UID", "u"), ("signatureTimestamp", &now), ("UIDSignature", &signature), ("email", "admin@example.com"), ("friend", "v")]);
    let outcome = stage.ask(&verifier(json!({})), NOW);
    let identity = outcome.identity();
    let signed = countersign::domain::Value::Map(Box::new([("iat".into(), countersign::domain::Value::Int(NOW))]));
    assert_eq!(identity.claims.to_value(), signed, "G14: the time is signed; fields beside the signed ones prove nothing");
    assert_eq!(&*identity.issuer, "store", "who vouches is the store");
    assert_eq!(identity.burn, None, "not for one use unless the conf says so");
}

#[test]
fn a_burn_names_what_was_signed_and_nothing_else() {
    let burning = |settings: Json| {
        let mut settings = settings;
        settings["burn"] = true.into();
        verifier(settings)
    };
    let signature = |base: &str| sign(&format!("{NOW}_{base}"));
    let now = NOW.to_string();
    let key = |stage: &Stage, verifier: &dyn Verifier| stage.ask(verifier, NOW).identity().burn.clone().unwrap();
    let plain = burning(json!({}));
    let by_query = user("u", &now, &signature("u"));
    let cookie = format!("UID=u; UIDSignature={}; signatureTimestamp={now}", signature("u"));
    let first = key(&by_query, &plain);
    assert_eq!(first.until, Timestamp(NOW + 301), "G9: the mark stands as long as the signature could be presented");
    assert_eq!(first, key(&Stage::new().field("cookie", cookie), &burning(json!({ "from": "cookies" }))), "G9: the same wherever it stood");
    assert_ne!(first.key, key(&user("v", &now, &signature("v")), &plain).key, "another user");
    let earlier = NOW - 1;
    let other_time = user("u", &earlier.to_string(), &sign(&format!("{earlier}_u")));
    assert_ne!(first.key, key(&other_time, &plain).key, "another time");
    let site = query(&[("siteUID", "u"), ("UIDTimestamp", &now), ("UIDSig", &signature("u"))]);
    assert_ne!(first.key, key(&site, &burning(json!({ "kind": "site" }))).key, "another kind");
    assert_eq!(plain.cache_generation(), None, "G9: what is burnt is never remembered");
    assert!(verifier(json!({})).cache_generation().is_some(), "and otherwise it may be");
    let generation = |secret: &[u8]| verifier_of(json!({}), &[secret]).cache_generation();
    assert_ne!(generation(b"one"), generation(b"two"), "another secret is another generation");
    assert_eq!(generation(b"one"), generation(b"one"), "the same secret is the same generation");
}

#[test]
fn a_body_is_asked_for_only_when_it_could_hold_a_part() {
    let verifier = verifier(json!({}));
    let needs_body =
        |stage: Stage| stage.show(|request| matches!(verifier.find(request, &Facts::default()), countersign::domain::Step::Need(_)));
    assert!(needs_body(Stage::new().field("content-type", "application/json")), "JSON");
    assert!(needs_body(user("u", "1", "x").field("content-type", "application/x-www-form-urlencoded")), "a form, whatever the query holds");
    assert!(!needs_body(Stage::new().field("content-type", "multipart/form-data; boundary=x")), "an upload");
    assert!(!needs_body(Stage::new()), "no Content-Type");
}

proptest! {
    /// Whatever bit of a signature is flipped, it is not accepted.
    #[test]
    fn any_flipped_bit_is_refused(bit in 0_usize..160, uid in "[a-zA-Z0-9_]{1,30}") {
        let mut raw = STANDARD.decode(sign(&format!("{NOW}_{uid}"))).unwrap();
        raw[bit / 8] ^= 1 << (bit % 8);
        let told = user(&uid, &NOW.to_string(), &STANDARD.encode(raw)).ask(&verifier(json!({})), NOW).told();
        prop_assert_eq!(told, INVALID);
    }

    /// Every well-formed id that was signed is let in, under exactly that id.
    #[test]
    fn what_was_signed_is_accepted(uid in "[!-~]{1,252}") {
        let told = user(&uid, &NOW.to_string(), &sign(&format!("{NOW}_{uid}"))).ask(&verifier(json!({})), NOW).told();
        prop_assert_eq!(told, known(&uid));
    }
}

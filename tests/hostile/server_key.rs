//! Attacks on server keys and key pairs. Row names are those of the attack list, section E.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use countersign::domain::{Facts, Need, Timestamp};
use countersign::verify::contract::{Desks, Verifier};
use countersign::verify::keys::contract::{BuiltKeys, ServerKey};
use countersign::verify::{key_pair, server_key};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::stage::{NOW, Partners, Stage, Told, digest, known, partner, prove, stores};

/// A verifier with `settings` (beside the store's name) over `partners`.
fn verifier(mut settings: Json, partners: &Arc<Partners>) -> server_key::ServerKeyVerifier {
    settings["keys"] = "store".into();
    let plan = prove(server_key::prove, &settings).unwrap();
    plan.verifier(&"partner".into(), &stores(BuiltKeys::ServerKeys(partners.clone())), &mut Desks::default()).unwrap()
}

fn pair_verifier(partners: &Arc<Partners>) -> key_pair::KeyPairVerifier {
    let plan = prove(key_pair::prove, &json!({ "keys": "store" })).unwrap();
    plan.verifier(&"instance".into(), &stores(BuiltKeys::ServerKeys(partners.clone())), &mut Desks::default()).unwrap()
}

fn encoded(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

const WRONG: Told = Told::Out("secret_wrong", 401);
const MALFORMED: Told = Told::Out("credential_malformed", 401);
const CONFLICT: Told = Told::Out("credential_conflict", 400);
const DISABLED: Told = Told::Out("key_disabled", 401);

#[test]
fn a_server_key_has_one_text_and_one_reading() {
    let partners =
        Partners::of(vec![partner("sid", "ssec"), partner("a", "b:c"), partner("ä", "s"), partner("ID", "s"), partner("ab", "~~~???")]);
    let verifier = verifier(json!({}), &partners);
    let rows: Vec<(&str, Vec<String>, Told, &str)> = vec![
        ("-", vec![], Told::Absent, "no header"),
        ("-", vec!["c2lkOnNzZWM=".into()], known("sid"), "the published example"),
        ("E1", vec![encoded("abc")], MALFORMED, "no colon"),
        ("E1", vec![encoded(":s")], MALFORMED, "empty id"),
        ("E1", vec![encoded("sid:")], MALFORMED, "empty secret"),
        ("E1", vec![encoded(":")], MALFORMED, "nothing but the colon"),
        ("E1", vec![String::new()], MALFORMED, "an empty header is not an absent one"),
        ("E2", vec![encoded("a:b:c")], known("a"), "only the first colon splits"),
        ("E3", vec!["c2lkOnNzZWM".into()], MALFORMED, "padding missing"),
        ("E3", vec!["c2lkOnNzZWN=".into()], MALFORMED, "spare bits that are not zero"),
        ("E3", vec!["c2lkOnNzZWM==".into()], MALFORMED, "too much padding"),
        ("E3", vec!["c2lk OnNzZWM=".into()], MALFORMED, "inner space"),
        ("E3", vec!["c2lkOnNzZWM=\t".into()], MALFORMED, "trailing tab"),
        ("E3", vec!["YWI6fn5+Pz8/".into()], known("ab"), "characters 62 and 63 in the standard alphabet"),
        ("E3", vec!["YWI6fn5-Pz8_".into()], MALFORMED, "the URL alphabet"),
        ("E3", vec![STANDARD_NO_PAD.encode("sid:ssec")], MALFORMED, "unpadded"),
        ("E4", vec![encoded(b"si\0d:ssec")], MALFORMED, "NUL in the id"),
        ("E4", vec![encoded(b"si\xff:ssec")], MALFORMED, "id is not UTF-8"),
        ("E4", vec![encoded(b"sid:\xff\0")], WRONG, "a binary secret is a secret like any other"),
        ("E5", vec!["c2lkOnNzZWM=".into(), "c2lkOnNzZWM=".into()], CONFLICT, "two headers, even equal ones"),
        ("E5", vec!["c2lkOnNzZWM=, c2lkOnNzZWM=".into()], CONFLICT, "joined by a comma"),
        ("E7", vec![encoded("sid:wrong")], WRONG, "wrong secret"),
        ("E7", vec![encoded("nobody:ssec")], WRONG, "unknown id, told the same"),
        ("E8", vec![encoded("sid:sse")], WRONG, "a prefix of the secret"),
        ("E8", vec![encoded("sid:ssecs")], WRONG, "the secret and more"),
        ("E9", vec![encoded("id:s")], WRONG, "the id in another case"),
        ("E9", vec![encoded("ä:s")], known("ä"), "a composed letter, as stored"),
        ("E9", vec![encoded("a\u{308}:s")], WRONG, "the same letter decomposed"),
        ("E9", vec![encoded("sid :ssec")], WRONG, "trailing space in the id"),
        ("E9", vec![encoded(" sid:ssec")], WRONG, "leading space in the id"),
        ("E16", vec![encoded(vec![b'a'; 48 * 1024])], MALFORMED, "64 KiB, refused before decoding"),
        ("E16", vec![encoded([&[b'a'; 257], &b":s"[..]].concat())], MALFORMED, "an id of 257 bytes"),
        ("E16", vec![encoded([&[b'a'; 256], &b":s"[..]].concat())], WRONG, "an id of 256 bytes is looked up"),
    ];
    for (id, values, expected, shows) in rows {
        let stage = values.iter().fold(Stage::new(), |stage, value| stage.field("Server-Key", value));
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn a_key_is_good_in_its_time_and_at_its_hosts_only_and_says_so_to_its_holder_only() {
    let bounded = ServerKey { not_before: Some(Timestamp(100)), expires: Some(Timestamp(200)), ..partner("bounded", "s") };
    let off = ServerKey { disabled: true, ..partner("off", "s") };
    let hosted = ServerKey { hosts: Box::new(["a.example".into(), "b.example".into()]), ..partner("hosted", "s") };
    let hosted_off = ServerKey { disabled: true, hosts: Box::new(["a.example".into()]), ..partner("hosted_off", "s") };
    let turning = ServerKey { digests: [Some(digest("turning", b"old")), Some(digest("turning", b"new"))], ..partner("turning", "") };
    let second = ServerKey { digests: [None, Some(digest("second", b"new"))], ..partner("second", "") };
    let none = ServerKey { digests: [None, None], ..partner("none", "") };
    let verifier = verifier(json!({}), &Partners::of(vec![bounded, off, hosted, hosted_off, turning, second, none]));
    let rows = [
        ("-", "bounded:s", "x", 99, DISABLED, "before its time"),
        ("-", "bounded:s", "x", 100, known("bounded"), "the first good second"),
        ("-", "bounded:s", "x", 199, known("bounded"), "the last good second"),
        ("-", "bounded:s", "x", 200, DISABLED, "its end is too late"),
        ("N1", "bounded:w", "x", 200, WRONG, "that it has ended is not told to a guesser"),
        ("E11", "off:s", "x", 0, DISABLED, "switched off"),
        ("N1", "off:w", "x", 0, WRONG, "that it is switched off is not told to a guesser"),
        ("E15", "hosted:s", "a.example", 0, known("hosted"), "at one of its hosts"),
        ("E15", "hosted:s", "b.example", 0, known("hosted"), "at another"),
        ("E15", "hosted:s", "c.example", 0, WRONG, "at somebody else's"),
        ("E15", "hosted:s", "", 0, WRONG, "without a host"),
        ("E15", "hosted:s", "x.a.example", 0, WRONG, "below one of its hosts"),
        ("E15", "hosted_off:s", "c.example", 0, WRONG, "at somebody else's, and nothing more is told"),
        ("-", "turning:old", "x", 0, known("turning"), "during a rotation, the old secret"),
        ("-", "turning:new", "x", 0, known("turning"), "and the new one"),
        ("-", "turning:both", "x", 0, WRONG, "and no other"),
        ("-", "second:new", "x", 0, known("second"), "only the second slot is live"),
        ("E18", "none:s", "x", 0, WRONG, "no live secret"),
    ];
    for (id, text, host, now, expected, shows) in rows {
        let stage = Stage { host, ..Stage::new().field("server-key", encoded(text)) };
        assert_eq!(stage.ask(&verifier, now).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn an_empty_store_knows_nobody_and_every_guess_costs_one_digest() {
    let partners = Partners::of(vec![]);
    let nobody = verifier(json!({}), &partners);
    assert_eq!(Stage::new().field("server-key", encoded("a:b")).ask(&nobody, NOW).told(), WRONG, "E18: `keys: []` denies");

    let partners = Partners::of(vec![partner("sid", "ssec")]);
    let verifier = verifier(json!({}), &partners);
    for (text, shows) in [("sid:ssec", "right"), ("sid:wrong", "wrong secret"), ("nobody:ssec", "unknown id")] {
        let before = partners.digested();
        let _ = Stage::new().field("server-key", encoded(text)).ask(&verifier, NOW);
        assert_eq!(partners.digested() - before, 1, "E7: {shows} computes the same digest");
    }
}

#[test]
fn an_id_that_is_not_at_hand_is_asked_for_and_the_answer_must_be_about_it() {
    let mut partners = Arc::into_inner(Partners::of(vec![])).unwrap();
    partners.remote = true;
    let verifier = verifier(json!({}), &Arc::new(partners));
    let stage = Stage::new().field("server-key", encoded("new:s"));
    let needed = stage.ask(&verifier, NOW);
    let crate::stage::Outcome::Needs(Need::Ask(question)) = needed else { panic!("nothing asked: {needed:?}") };
    assert_eq!(&*question.about, "new", "the question is about the id, never the secret");

    let rows = [
        ("E12", Some(partner("new", "s")), known("new"), "a record arrived"),
        ("-", Some(partner("new", "other")), WRONG, "a record with another secret"),
        ("-", None, WRONG, "nobody by that name"),
        ("E14", Some(ServerKey { digests: partner("new", "s").digests, ..partner("other", "s") }), WRONG, "somebody else's record"),
    ];
    for (id, answer, expected, shows) in rows {
        let mut facts = Facts::default();
        let answer: Option<Arc<ServerKey>> = answer.map(Arc::new);
        facts.add_answer(question.clone(), Arc::new(answer));
        assert_eq!(stage.ask_with(&verifier, &mut facts, NOW).told(), expected, "{id}: {shows}");
    }
    let mut facts = Facts::default();
    facts.add_answer(question, Arc::new("an answer of another kind"));
    assert_eq!(stage.ask_with(&verifier, &mut facts, NOW).told(), Told::Needs, "E13: an answer of another kind lets nobody in");
}

#[test]
fn places_are_as_configured_and_must_agree() {
    let partners = Partners::of(vec![partner("sid", "ssec"), partner("two", "t")]);
    let (one, two) = (encoded("sid:ssec"), encoded("two:t"));
    let basic = format!("Basic {one}");
    #[allow(clippy::type_complexity, reason = "a table of rows")]
    let rows: Vec<(Json, Vec<(&str, &str)>, Told, &str)> = vec![
        (json!({ "from": "basic" }), vec![("authorization", &basic)], known("sid"), "Basic"),
        (json!({ "from": "basic" }), vec![("server-key", &one)], Told::Absent, "a place that is not configured"),
        (json!({ "from": "basic" }), vec![("authorization", "Bearer abc")], Told::Absent, "another auth-scheme is not ours"),
        (json!({ "from": "basic" }), vec![("authorization", "Basic")], MALFORMED, "Basic without credentials"),
        (json!({ "from": "basic" }), vec![("authorization", &basic), ("authorization", &basic)], CONFLICT, "two fields"),
        (json!({ "from": { "header": "App-Key" } }), vec![("app-key", &one)], known("sid"), "a named header"),
        (json!({ "from": ["server_key", "basic"] }), vec![("authorization", &basic), ("server-key", &one)], known("sid"), "two that agree"),
        (json!({ "from": ["server_key", "basic"] }), vec![("authorization", &basic), ("server-key", &two)], CONFLICT, "two that disagree"),
    ];
    for (settings, fields, expected, shows) in rows {
        let stage = fields.iter().fold(Stage::new(), |stage, (name, value)| stage.field(name, value));
        assert_eq!(stage.ask(&verifier(settings, &partners), NOW).told(), expected, "{shows}");
    }
}

#[test]
fn a_key_pair_stands_in_both_headers_or_in_none() {
    let verifier = pair_verifier(&Partners::of(vec![partner("inst", "key")]));
    #[allow(clippy::type_complexity, reason = "a table of rows")]
    let rows: [(&str, &[(&str, &str)], Told, &str); 12] = [
        ("-", &[], Told::Absent, "neither"),
        ("-", &[("InstanceId", "inst"), ("InstanceKey", "key")], known("inst"), "both"),
        ("-", &[("INSTANCEID", "inst"), ("instancekey", "key")], known("inst"), "field names have no case"),
        ("E1", &[("InstanceId", "inst")], MALFORMED, "id without secret"),
        ("E1", &[("InstanceKey", "key")], MALFORMED, "secret without id"),
        ("E1", &[("InstanceId", "inst"), ("InstanceKey", "")], MALFORMED, "empty secret"),
        ("E1", &[("InstanceId", ""), ("InstanceKey", "key")], MALFORMED, "empty id"),
        ("E5", &[("InstanceId", "inst"), ("InstanceId", "inst"), ("InstanceKey", "key")], CONFLICT, "two ids"),
        ("E5", &[("InstanceId", "inst"), ("InstanceKey", "key"), ("InstanceKey", "key")], CONFLICT, "two secrets"),
        ("E5", &[("InstanceId", "inst, inst"), ("InstanceKey", "key")], CONFLICT, "two ids, joined"),
        ("E7", &[("InstanceId", "inst"), ("InstanceKey", "Key")], WRONG, "wrong secret"),
        ("E7", &[("InstanceId", "Inst"), ("InstanceKey", "key")], WRONG, "unknown id"),
    ];
    for (id, fields, expected, shows) in rows {
        let stage = fields.iter().fold(Stage::new(), |stage, (name, value)| stage.field(name, value));
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn the_claimed_id_is_told_for_budgets_and_never_the_secret() {
    let verifier = verifier(json!({}), &Partners::of(vec![]));
    let claimed = |value: &str| {
        Stage::new().field("server-key", value).show(|request| match verifier.find(request, &Facts::default()) {
            countersign::domain::Step::Done(countersign::domain::Found::Present(credential)) => {
                verifier.claimed_id(&credential).map(|id| id.into_owned())
            }
            other => panic!("nothing found: {other:?}"),
        })
    };
    assert_eq!(claimed(&encoded("sid:ssec")).as_deref(), Some("sid"), "the id alone");
    assert_eq!(claimed("c2lkOnNzZWM"), None, "what cannot be read claims nothing");
    assert_eq!(verifier.cache_generation(), None, "E11, E15: no verdict is remembered");
}

proptest! {
    /// Every id and secret that can be configured is let in by its one text, under exactly that id.
    #[test]
    fn what_was_issued_is_accepted(id in "[^:\\p{Cc}]{1,40}", secret in proptest::collection::vec(any::<u8>(), 1..60)) {
        let record = ServerKey { digests: [Some(digest(&id, &secret)), None], ..partner(&id, "") };
        let verifier = verifier(json!({}), &Partners::of(vec![record]));
        let text = encoded([id.as_bytes(), b":", &secret].concat());
        prop_assert_eq!(Stage::new().field("server-key", text).ask(&verifier, NOW).told(), known(&id));
    }

    /// Whatever character of the text is changed to whatever else, nobody is let in.
    #[test]
    fn any_other_text_is_refused(at in 0_usize..12, to in 0x21_u8..0x7f) {
        let verifier = verifier(json!({}), &Partners::of(vec![partner("sid", "ssec")]));
        let mut text = b"c2lkOnNzZWM=".to_vec();
        prop_assume!(text[at] != to);
        text[at] = to;
        let told = Stage::new().field("server-key", text).ask(&verifier, NOW).told();
        prop_assert!(matches!(told, Told::Out(..)), "{:?}", told);
    }
}

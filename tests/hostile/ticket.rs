//! Attacks on tickets. Row names are those of the attack list, section F.
//!
//! What takes a store, several nodes or a proxy to show (F2 to F5, F14 to F19) is shown where those are tested; here it is shown
//! that a ticket names the same burn whenever and wherever it is presented, and that nothing but a good one names any.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::HashSet;

use countersign::domain::{Burn, Claim, Random, Refusal, Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::base64url;
use countersign::jose::ticket::{Bindings, Ticket, TicketKey, seal};
use countersign::state::contract::{Burned, StateStore};
use countersign::state::memory::Memory;
use countersign::verify::contract::Verifier;
use countersign::verify::keys::contract::{BuiltKeys, MacKey};
use countersign::verify::ticket::{TicketVerifier, prove as plan};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::stage::{Counting, NOW, Outcome, Stage, Told, known, prove, stores};

fn mac(number: u8) -> MacKey {
    MacKey { id: [number; 4], secret: Secret::new(vec![number; 32]) }
}

fn verifier_of(mut settings: Json, keys: Vec<MacKey>) -> TicketVerifier {
    settings["keys"] = "store".into();
    prove(plan, &settings).unwrap().verifier(&"pass".into(), &stores(BuiltKeys::Mac(keys.into()))).unwrap()
}

fn verifier(settings: Json) -> TicketVerifier {
    verifier_of(settings, vec![mac(1)])
}

/// A ticket for `ann` at authenticator `pass`, good for an hour from [`NOW`] on.
fn plain() -> Ticket {
    Ticket {
        id: [7; 16],
        issuer: "countersign".into(),
        audience: "pass".into(),
        subject: "ann".into(),
        issued: Timestamp(NOW),
        expires: Timestamp(NOW + 3_600),
        scopes: Box::new(["chat:read".into()]),
        single_use: false,
        bindings: Bindings::default(),
        claims: Value::empty(),
    }
}

fn sealed_with(key: &MacKey, ticket: &Ticket, random: &dyn Random) -> String {
    seal(&TicketKey::new(key.id, &key.secret), ticket, random).unwrap()
}

fn sealed(ticket: &Ticket) -> String {
    sealed_with(&mac(1), ticket, &Counting::new())
}

fn bearer(text: &str) -> Stage {
    Stage::new().field("authorization", format!("Bearer {text}"))
}

const INVALID: Told = Told::Out("signature_invalid", 401);
const MALFORMED: Told = Told::Out("credential_malformed", 401);
const CONFLICT: Told = Told::Out("credential_conflict", 400);
const MISPLACED: Told = Told::Out("claim_missing", 401);
const EXPIRED: Told = Told::Out("expired", 401);
const EARLY: Told = Told::Out("not_yet_valid", 401);
const UNFIT: Told = Told::Out("claims_malformed", 401);

#[test]
fn a_ticket_has_one_text() {
    let verifier = verifier(json!({}));
    let good = sealed(&plain());
    let body = &good["ct1.".len()..];
    let bytes = base64url::decode(body).unwrap();
    let escaped = good.replacen('c', "%63", 1);
    let rows: Vec<(&str, Stage, Told, &str)> = vec![
        ("-", Stage::new(), Told::Absent, "none"),
        ("-", bearer(&good), known("ann"), "as a bearer"),
        ("-", Stage::new().field("ticket", &good), known("ann"), "in its own header"),
        ("-", bearer(&good).field("ticket", &good), known("ann"), "in both"),
        ("-", bearer(&good).field("ticket", sealed(&Ticket { subject: "bob".into(), ..plain() })), CONFLICT, "two that disagree"),
        ("F21", Stage::new().query(&format!("ticket={good}")), Told::Absent, "a URL is looked at only where the conf says so"),
        ("F8", bearer(&good.replacen("ct1", "CT1", 1)), Told::Foreign, "the prefix has case"),
        ("F8", bearer(&good.replacen("ct1", "ct2", 1)), Told::Foreign, "another version"),
        ("F8", bearer(&escaped), MALFORMED, "escaped: no token68"),
        ("F8", Stage::new().field("ticket", &escaped), Told::Foreign, "escaped, in a header"),
        ("F8", bearer(&format!("{good}=")), MALFORMED, "padding"),
        ("F8", bearer(&format!("{good}.")), MALFORMED, "a trailing dot"),
        ("F8", bearer(&format!("{good}A")), INVALID, "one more character makes one more byte"),
        (
            "F8",
            bearer(&format!("ct1.{}", body.to_ascii_lowercase())),
            Told::Out("key_unknown", 401),
            "lower case stands for other bytes, here for another key",
        ),
        ("F8", bearer(&format!("ct1.{}", base64url::encode(&[&bytes[..], b"\0"].concat()))), INVALID, "one more byte"),
        ("F8", bearer(&format!("ct1.{}", base64url::encode(&bytes[..bytes.len() - 1]))), INVALID, "one byte less"),
        ("F24", bearer("ct1."), MALFORMED, "nothing inside"),
        ("F24", bearer(&format!("ct1.{}", base64url::encode(&bytes[..51]))), MALFORMED, "too short for a tag"),
        ("F24", bearer(&format!("ct1.{}", "A".repeat(4_096))), MALFORMED, "too long"),
        ("-", bearer("eyJhbGciOiJub25lIn0.e30."), Told::Foreign, "a token of another kind belongs to another scheme"),
    ];
    for (id, stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier, NOW).told(), expected, "{id}: {shows}");
    }
    let in_query = self::verifier(json!({ "from": { "query": "ticket" } }));
    assert_eq!(Stage::new().query(&format!("ticket={good}")).ask(&in_query, NOW).told(), known("ann"), "F21: where the conf says so");
    assert_eq!(Stage::new().query(&format!("ticket={good}&ticket={good}")).ask(&in_query, NOW).told(), CONFLICT, "and once");
}

#[test]
fn only_our_keys_open_a_ticket() {
    let keys = vec![mac(1), mac(2)];
    let same_id = MacKey { id: [1; 4], secret: Secret::new(vec![9; 32]) };
    let random = Counting::new();
    let rows = [
        ("-", mac(1), known("ann"), "the current key"),
        ("-", mac(2), known("ann"), "an older one"),
        ("F12", mac(3), Told::Out("key_unknown", 401), "somebody else's"),
        ("F12", same_id, INVALID, "somebody else's under the name of ours"),
    ];
    for (id, key, expected, shows) in rows {
        let text = sealed_with(&key, &plain(), &random);
        assert_eq!(bearer(&text).ask(&verifier_of(json!({}), keys.clone()), NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn a_ticket_is_good_for_its_life_and_no_longer() {
    let (hour, day) = (3_600, 86_400);
    let lives = |issued: i64, expires: i64| Ticket { issued: Timestamp(issued), expires: Timestamp(expires), ..plain() };
    let rows = [
        // id, settings, ticket, now, verdict, what the row shows
        ("F6", json!({}), lives(NOW, NOW + hour), NOW - 1, EARLY, "a second too early"),
        ("F6", json!({}), lives(NOW, NOW + hour), NOW, known("ann"), "the first good second"),
        ("F6", json!({}), lives(NOW, NOW + hour), NOW + hour - 1, known("ann"), "the last good second"),
        ("F6", json!({}), lives(NOW, NOW + hour), NOW + hour, EXPIRED, "its end is too late"),
        ("F6", json!({ "leeway": "10s" }), lives(NOW, NOW + hour), NOW + hour + 9, known("ann"), "leeway, last good second"),
        ("F6", json!({ "leeway": "10s" }), lives(NOW, NOW + hour), NOW + hour + 10, EXPIRED, "leeway is over"),
        ("F6", json!({ "leeway": "10s" }), lives(NOW, NOW + hour), NOW - 10, known("ann"), "leeway, first good second"),
        ("F6", json!({ "leeway": "10s" }), lives(NOW, NOW + hour), NOW - 11, EARLY, "before leeway"),
        ("F20", json!({}), lives(NOW, NOW + day), NOW, known("ann"), "the longest life"),
        ("F20", json!({}), lives(NOW, NOW + day + 1), NOW, UNFIT, "a second longer"),
        ("F20", json!({}), lives(NOW, NOW + 315_360_000), NOW, UNFIT, "ten years"),
        ("F20", json!({ "max_life": "1h" }), lives(NOW, NOW + hour + 1), NOW, UNFIT, "longer than the conf allows"),
        ("F24", json!({}), lives(NOW, NOW), NOW, UNFIT, "no life at all"),
        ("F24", json!({}), lives(NOW, -1), NOW, UNFIT, "an end before 1970"),
        ("F24", json!({}), lives(NOW, i64::MAX), NOW, UNFIT, "the end of time"),
        ("F24", json!({}), lives(i64::MIN, i64::MAX), NOW, UNFIT, "all of time does not overflow"),
        ("F24", json!({}), lives(i64::MAX - 1, i64::MAX), NOW, EARLY, "the last second there is"),
    ];
    for (id, settings, ticket, now, expected, shows) in rows {
        assert_eq!(bearer(&sealed(&ticket)).ask(&verifier(settings), now).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn a_ticket_is_for_one_audience_and_the_requests_it_was_made_for() {
    let bound = |bindings: Bindings| sealed(&Ticket { bindings, ..plain() });
    let at = |text: &str| bearer(text);
    let path = |prefix: &str| bound(Bindings { path: Some(prefix.into()), ..Bindings::default() });
    let get = bound(Bindings { methods: Box::new(["GET".into(), "HEAD".into()]), ..Bindings::default() });
    let here = bound(Bindings { address: Some([192, 0, 2, 1].into()), ..Bindings::default() });
    let there = bound(Bindings { address: Some([192, 0, 2, 2].into()), ..Bindings::default() });
    let mapped = bound(Bindings { address: Some("::ffff:192.0.2.1".parse().unwrap()), ..Bindings::default() });
    let device = bound(Bindings { device: Some("D-1".into()), ..Bindings::default() });
    let host = bound(Bindings { host: Some("api.example".into()), ..Bindings::default() });
    let other_host = bound(Bindings { host: Some("www.example".into()), ..Bindings::default() });
    let rows: Vec<(Stage, Told, &str)> = vec![
        (at(&sealed(&Ticket { audience: "other".into(), ..plain() })), Told::Out("audience_mismatch", 401), "another audience"),
        (at(&sealed(&Ticket { audience: "".into(), ..plain() })), Told::Out("audience_mismatch", 401), "no audience"),
        (at(&sealed(&Ticket { issuer: "other".into(), ..plain() })), Told::Out("issuer_mismatch", 401), "another issuer"),
        (at(&sealed(&Ticket { subject: "".into(), ..plain() })), UNFIT, "nobody's"),
        (at(&get), known("ann"), "a bound method"),
        (Stage { method: "HEAD", ..at(&get) }, known("ann"), "another of them"),
        (Stage { method: "POST", ..at(&get) }, MISPLACED, "a method it is not bound to"),
        (Stage { method: "get", ..at(&get) }, MISPLACED, "methods have case"),
        (at(&here), known("ann"), "the bound address"),
        (at(&mapped), known("ann"), "the bound address, written as IPv6"),
        (Stage { client: "::ffff:192.0.2.1".parse().unwrap(), ..at(&here) }, known("ann"), "the client's address, written as IPv6"),
        (at(&there), MISPLACED, "another address"),
        (at(&device).field("device-identifier", "D-1"), known("ann"), "the bound device"),
        (at(&device).field("device-identifier", "D-2"), MISPLACED, "another device"),
        (at(&device).field("device-identifier", "d-1"), MISPLACED, "devices have case"),
        (at(&device), MISPLACED, "no device"),
        (at(&device).field("device-identifier", "D-1").field("device-identifier", "D-1"), MISPLACED, "two devices"),
        (at(&host), known("ann"), "the bound host"),
        (at(&other_host), MISPLACED, "another host"),
        (Stage { path: "/a", ..at(&path("/a")) }, known("ann"), "the bound path"),
        (Stage { path: "/a/b", ..at(&path("/a")) }, known("ann"), "below it"),
        (Stage { path: "/ab", ..at(&path("/a")) }, MISPLACED, "beside it"),
        (Stage { path: "/", ..at(&path("/a")) }, MISPLACED, "above it"),
        (Stage { path: "/a/b", ..at(&path("/a/")) }, known("ann"), "below a folder"),
        (Stage { path: "/a", ..at(&path("/a/")) }, MISPLACED, "a folder without its slash is another path"),
        (Stage { path: "/x", ..at(&path("/")) }, known("ann"), "everything lies below the root"),
    ];
    for (stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier(json!({})), NOW).told(), expected, "F10: {shows}");
    }
    let audience = verifier(json!({ "audience": "other", "issuer": "us" }));
    let text = sealed(&Ticket { audience: "other".into(), issuer: "us".into(), ..plain() });
    assert_eq!(bearer(&text).ask(&audience, NOW).told(), known("ann"), "issuer and audience are as configured");
}

/// What the verdict on `stage` would spend.
fn burn_of(outcome: &Outcome) -> Option<Burn> {
    outcome.identity().burn.clone()
}

#[test]
fn a_good_single_use_ticket_names_its_burn_and_nothing_else_names_any() {
    let once = Ticket { single_use: true, ..plain() };
    let text = sealed(&once);
    let burn = burn_of(&bearer(&text).ask(&verifier(json!({})), NOW)).unwrap();
    assert_eq!(burn.until, Timestamp(NOW + 3_600), "F5: the mark stands until the ticket is over");
    let late = burn_of(&bearer(&text).ask(&verifier(json!({ "leeway": "5m" })), NOW)).unwrap();
    assert_eq!(late.until, Timestamp(NOW + 3_900), "F5: leeway included");

    let same = [
        ("F1", bearer(&text), json!({}), "presented again"),
        ("F1", Stage::new().field("ticket", &text), json!({}), "presented elsewhere in the request"),
        ("F3", bearer(&text), json!({ "single_use": true }), "at a node with another conf"),
        ("F7", bearer(&sealed_with(&mac(1), &once, &Counting(77.into()))), json!({}), "the same ticket, sealed anew"),
    ];
    for (id, stage, settings, shows) in same {
        assert_eq!(burn_of(&stage.ask(&verifier(settings), NOW)).unwrap().key, burn.key, "{id}: {shows}");
    }
    let other = Ticket { id: [8; 16], single_use: true, ..plain() };
    assert_ne!(burn_of(&bearer(&sealed(&other)).ask(&verifier(json!({})), NOW)).unwrap().key, burn.key, "another ticket is another burn");

    assert_eq!(burn_of(&bearer(&sealed(&plain())).ask(&verifier(json!({})), NOW)), None, "a ticket for a while is not spent");
    assert!(burn_of(&bearer(&sealed(&plain())).ask(&verifier(json!({ "single_use": true })), NOW)).is_some(), "unless the conf says so");
    assert_eq!(verifier(json!({})).cache_generation(), None, "no verdict on a ticket is remembered");
    assert_eq!(bearer(&text).ask(&verifier(json!({})), NOW + 3_600).told(), EXPIRED, "F12: what is refused carries nothing to spend");
}

#[test]
fn what_only_tries_a_request_does_not_spend_a_ticket() {
    let once = sealed(&Ticket { single_use: true, ..plain() });
    let bound = |method: &str| {
        let bindings = Bindings { methods: Box::new([method.into()]), ..Bindings::default() };
        sealed(&Ticket { single_use: true, bindings, ..plain() })
    };
    let many = sealed(&plain());
    let rows: Vec<(&str, Stage, Told, &str)> = vec![
        ("F13", bearer(&once), known("ann"), "GET"),
        ("F13", Stage { method: "POST", ..bearer(&once) }, known("ann"), "POST"),
        ("F13", Stage { method: "HEAD", ..bearer(&once) }, MISPLACED, "HEAD, as link scanners send"),
        ("F13", Stage { method: "OPTIONS", ..bearer(&once) }, MISPLACED, "OPTIONS"),
        ("F13", Stage { method: "HEAD", ..bearer(&bound("HEAD")) }, known("ann"), "HEAD, when it is bound to HEAD"),
        ("F13", bearer(&bound("POST")), MISPLACED, "only the bound method spends"),
        ("F13", bearer(&once).field("sec-purpose", "prefetch;prerender"), MISPLACED, "fetched ahead"),
        ("F13", bearer(&once).field("Purpose", "Prefetch"), MISPLACED, "fetched ahead, the older name"),
        ("F13", bearer(&bound("GET")).field("x-moz", "prefetch"), MISPLACED, "fetched ahead, whatever the method"),
        ("F13", Stage { method: "HEAD", ..bearer(&many) }, known("ann"), "a ticket for a while may be tried"),
        ("F22", bearer(&once).field("early-data", "1"), Told::Out("early_data", 425), "early data can be replayed"),
        ("F22", bearer(&many).field("early-data", "1"), known("ann"), "a ticket for a while is replayed anyway"),
    ];
    for (id, stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier(json!({})), NOW).told(), expected, "{id}: {shows}");
    }
}

#[test]
fn only_a_lapsed_ticket_for_a_while_may_be_renewed_from() {
    let lapsed = |ticket: Ticket| bearer(&sealed(&ticket)).ask(&verifier(json!({})), NOW + 3_600);
    let carried = |outcome: &Outcome| match outcome.doubt() {
        countersign::domain::Doubt::Expired(identity) => identity.as_ref().map(|identity| identity.get().subject.to_string()),
        other => panic!("not expired: {other:?}"),
    };
    assert_eq!(carried(&lapsed(plain())).as_deref(), Some("ann"), "who it was");
    assert_eq!(carried(&lapsed(Ticket { single_use: true, ..plain() })), None, "a ticket for one use has nothing to renew");
    let bound = Ticket { bindings: Bindings { path: Some("/other".into()), ..Bindings::default() }, ..plain() };
    assert_eq!(lapsed(bound).told(), MISPLACED, "nor has one that was not good for this request");
}

#[tokio::test]
async fn a_ticket_is_let_in_once_whatever_else_is_presented() {
    let store = Memory::new(1_000, Timestamp(0));
    let verifier = verifier(json!({ "single_use": true }));
    let spend = async |text: String, now: i64| match bearer(&text).ask(&verifier, now) {
        Outcome::Known(identity) => Some(store.burn(identity.burn.as_ref().unwrap(), Timestamp(now)).await.unwrap() == Burned::First),
        _ => None,
    };
    let text = sealed(&plain());
    let mut damaged = text.clone().into_bytes();
    damaged[60] ^= 1;
    assert_eq!(spend(String::from_utf8(damaged).unwrap(), NOW).await, None, "F12: a damaged ticket reaches no store");
    assert_eq!(spend(text.clone(), NOW).await, Some(true), "F12: and leaves the good one unspent");
    assert_eq!(spend(text.clone(), NOW).await, Some(false), "F1: the second time is refused");
    for number in 0..500_u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        assert_eq!(spend(sealed(&Ticket { id, ..plain() }), NOW).await, Some(true), "F5: ticket {number}");
    }
    assert_eq!(spend(text.clone(), NOW + 3_599).await, Some(false), "F5: 500 others and an hour later it is still spent");
    assert_eq!(spend(text, NOW).await, Some(false), "F7: nor does a clock set back revive it");
}

#[test]
fn minted_tickets_differ_and_are_let_in() {
    let random = Counting::new();
    let ours = Mint {
        key: TicketKey::new([1; 4], &Secret::new(vec![1; 32])),
        issuer: "countersign".into(),
        audience: "pass".into(),
        max_life: Seconds(86_400),
    };
    let order = TicketOrder {
        subject: "ann".into(),
        life: None,
        scopes: Box::new(["chat:read".into()]),
        single_use: true,
        bindings: Bindings::default(),
        claims: Value::Map(Box::new([("room".into(), Value::from("4"))])),
    };
    let texts: HashSet<String> = (0..200).map(|_| mint(&ours, order.clone(), Timestamp(NOW), &random).unwrap()).collect();
    assert_eq!(texts.len(), 200, "F11: equal orders make different tickets");
    let burns: HashSet<[u8; 32]> = texts.iter().map(|text| burn_of(&bearer(text).ask(&verifier(json!({})), NOW)).unwrap().key).collect();
    assert_eq!(burns.len(), 200, "each with a burn of its own");

    let text = texts.into_iter().next().unwrap();
    let outcome = bearer(&text).ask(&verifier(json!({})), NOW);
    let identity = outcome.identity();
    assert_eq!(identity.scopes.first().map(|scope| &**scope), Some("chat:read"), "scopes");
    assert_eq!(identity.claims.at_path("room").and_then(Claim::as_text), Some("4"), "claims");
    assert_eq!(identity.claims.at_path("jti").and_then(Claim::as_text).map(str::len), Some(22), "a name to withdraw it by: 128 bits");
    assert_eq!(identity.expires, Some(Timestamp(NOW + 3_600)), "an hour by default");
}

#[test]
fn fields_cannot_be_moved_into_one_another() {
    let of = |issuer: &str, audience: &str, subject: &str| {
        let ticket = Ticket { issuer: issuer.into(), audience: audience.into(), subject: subject.into(), ..plain() };
        bearer(&sealed(&ticket)).ask(&verifier(json!({})), NOW).told()
    };
    assert_eq!(of("countersign", "pass", "ann"), known("ann"), "as it should be");
    assert_eq!(of("countersignp", "ass", "ann"), Told::Out("issuer_mismatch", 401), "F9: a letter moved to the issuer");
    assert_eq!(of("countersign", "passa", "nn"), Told::Out("audience_mismatch", 401), "F9: a letter moved to the audience");
}

proptest! {
    /// Whatever bit of a ticket is flipped, it is refused, and as something other than expired or good.
    #[test]
    fn any_flipped_bit_is_refused(at in 0_usize..usize::MAX, bit in 0_u8..8) {
        let good = sealed(&plain());
        let mut bytes = base64url::decode(&good[4..]).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let told = bearer(&format!("ct1.{}", base64url::encode(&bytes))).ask(&verifier(json!({})), NOW).told();
        let expected = if at < 4 { Told::Out("key_unknown", 401) } else { INVALID };
        prop_assert_eq!(told, expected);
    }

    /// Whatever character of its text is changed to another, nobody is let in.
    #[test]
    fn any_changed_character_is_refused(at in 0_usize..usize::MAX, to in 0x21_u8..0x7f) {
        let mut text = sealed(&plain()).into_bytes();
        let at = at % text.len();
        prop_assume!(text[at] != to && to != b',');
        text[at] = to;
        let outcome = Stage::new().field("ticket", text).ask(&verifier(json!({})), NOW);
        prop_assert!(!matches!(outcome, Outcome::Known(_)), "{:?}", outcome.told());
    }

    /// Whatever is presented as a ticket, it is refused and nothing breaks.
    #[test]
    fn garbage_is_refused(text in "ct1\\.[A-Za-z0-9_-]{0,400}") {
        let outcome = bearer(&text).ask(&verifier(json!({})), NOW);
        prop_assert!(matches!(outcome, Outcome::Refused(Refusal::Doubted(_))));
    }
}

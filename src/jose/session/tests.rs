//! A record opens for its own session, at its own host, with a key of ours, unchanged; and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Seconds, Secret, Timestamp, Value};
use crate::jose::session::{KeptPair, Reference, Session, SessionId, SessionKey, SessionTerms, TooLarge};
use crate::state::testing::Counting;

fn key(number: u8) -> SessionKey {
    SessionKey::new([number; 4], &Secret::new(vec![number; 32]))
}

fn terms(name: &str, keys: Vec<SessionKey>) -> SessionTerms {
    SessionTerms {
        name: name.into(),
        cookie: "__Host-session".into(),
        life: Seconds(3_600),
        idle: Seconds(600),
        keys: keys.into(),
        epochs: Arc::default(),
    }
}

fn session() -> Session {
    Session {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::new(["read".into()]),
        claims: Value::Map(Box::new([("email".into(), "ann@example".into())])),
        opened: Timestamp(1_000),
        ends: Timestamp(4_600),
        seen: Timestamp(1_000),
        pair: Some(KeptPair {
            access: Secret::new(b"access token of ann".to_vec()),
            refresh: Secret::new(b"refresh token of ann".to_vec()),
            access_until: Some(Timestamp(1_900)),
            refresh_until: None,
        }),
    }
}

fn at(host: &str, random: &Counting) -> Reference {
    terms("member", vec![key(1)]).draw(host, random).unwrap()
}

#[test]
fn a_record_opens_for_its_own_session_and_no_other() {
    let random = Counting::apart();
    let ours = terms("member", vec![key(1)]);
    let reference = at("app.example", &random);
    let record = ours.seal(&reference, &session(), &random).unwrap();
    let opened = ours.open(&reference, &record).unwrap();
    assert_eq!(opened.get(), &session(), "what was sealed is what is opened");

    let other_id = at("app.example", &random);
    let other_host = Reference { host: "other.example".into(), ..reference.clone() };
    let rows = [
        (terms("member", vec![key(1)]), &other_id, "another id: a record that was moved (L13)"),
        (terms("member", vec![key(1)]), &other_host, "the same id at another host (L14)"),
        (terms("admin", vec![key(1)]), &reference, "the sessions of another authenticator"),
        (terms("member", vec![key(2)]), &reference, "another key"),
        (terms("member", vec![SessionKey::new([1; 4], &Secret::new(vec![9; 32]))]), &reference, "another key of the same name"),
        (terms("member", Vec::new()), &reference, "no key at all"),
    ];
    for (terms, reference, shows) in rows {
        assert!(terms.open(reference, &record).is_none(), "{shows}");
    }
}

#[test]
fn a_record_that_was_changed_opens_nothing() {
    let random = Counting::apart();
    let ours = terms("member", vec![key(1)]);
    let reference = at("app.example", &random);
    let record = ours.seal(&reference, &session(), &random).unwrap();
    for byte in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[byte] ^= 1 << bit;
            assert!(ours.open(&reference, &changed).is_none(), "bit {bit} of byte {byte}");
        }
    }
    for length in 0..record.len() {
        assert!(ours.open(&reference, &record[..length]).is_none(), "cut off after {length}");
    }
    assert!(ours.open(&reference, &[record.as_slice(), b"\0"].concat()).is_none(), "with something behind it");
}

#[test]
fn the_first_key_seals_and_all_of_them_open() {
    let random = Counting::apart();
    let reference = at("app.example", &random);
    let (before, during, after) = (terms("member", vec![key(1)]), terms("member", vec![key(2), key(1)]), terms("member", vec![key(2)]));
    let old = before.seal(&reference, &session(), &random).unwrap();
    assert!(during.open(&reference, &old).is_some(), "an old record opens during the rotation");
    let new = during.seal(&reference, &session(), &random).unwrap();
    assert!(after.open(&reference, &new).is_some(), "what is written then is sealed with the new key");
    assert!(before.open(&reference, &new).is_none(), "and no longer with the old one");
    assert!(after.open(&reference, &old).is_none(), "once the old key is gone, its records are");
}

#[test]
fn a_record_tells_nothing_and_no_two_are_alike() {
    let random = Counting::apart();
    let ours = terms("member", vec![key(1)]);
    let reference = at("app.example", &random);
    let records: BTreeSet<Vec<u8>> = (0..64).map(|_| ours.seal(&reference, &session(), &random).unwrap()).collect();
    assert_eq!(records.len(), 64, "the same session is sealed otherwise every time");
    for record in &records {
        for told in [b"ann".as_slice(), b"access token", b"refresh token", b"id.example"] {
            assert!(!record.windows(told.len()).any(|window| window == told), "the record shows {told:?}");
        }
    }
    let shown = format!("{:?} {ours:?}", session());
    assert!(!shown.contains("token of ann"), "a session that is printed shows no credential: {shown}");
}

#[test]
fn an_id_has_one_text_and_its_names_do_not_lead_back() {
    let random = Counting::apart();
    let ours = terms("member", vec![key(1)]);
    let here = ours.draw("app.example", &random).unwrap();
    let text = here.id().text().to_string();
    assert_eq!(text.len(), 64, "256 bits and their proof, and none to spare");
    let rows = [
        (text.clone(), true, "as it was made"),
        (format!("{text}="), false, "padded"),
        (text[..63].to_owned(), false, "a character short"),
        (format!("{text}A"), false, "a character more"),
        (format!(" {}", &text[1..]), false, "a space in it"),
        (format!("{}+", &text[..63]), false, "another alphabet"),
        (String::new(), false, "nothing"),
        ("é".repeat(32), false, "64 bytes that are no ASCII"),
    ];
    for (text, expected, shows) in rows {
        assert_eq!(SessionId::parse(&text).is_some(), expected, "{shows}: {text:?}");
    }

    let there = Reference { host: "other.example".into(), ..here.clone() };
    assert_ne!(ours.record_of(&here), ours.record_of(&there), "each host has records of its own");
    assert_ne!(ours.handle_of(&here), ours.handle_of(&there), "and names of its own");
    assert!(!text.contains(&ours.handle_of(&here)), "a handle is no piece of the id");
    let read = ours.read(&here.text()).unwrap();
    assert_eq!((read.id.text(), read.host), (here.id.text(), here.host), "a reference is read as it was written");
    assert!(ours.read("short").is_none() && ours.read("").is_none(), "and nothing else is");
}

#[test]
fn an_id_is_recognised_where_it_was_drawn_and_by_every_key_that_is_left() {
    let random = Counting::apart();
    let drawn = |keys: Vec<SessionKey>| terms("member", keys).draw("app.example", &random).unwrap().id().clone();
    let (old, new) = (drawn(vec![key(1)]), drawn(vec![key(2), key(1)]));
    let another = SessionKey::new([1; 4], &Secret::new(vec![9; 32]));
    let rows = [
        (&old, "member", "app.example", vec![key(1)], true, "as it was drawn"),
        (&old, "member", "app.example", vec![key(1), key(2)], true, "the new key behind the old one"),
        (&old, "member", "app.example", vec![key(2), key(1)], true, "the new key in front"),
        (&old, "member", "app.example", vec![key(2)], false, "the old key is gone"),
        (&new, "member", "app.example", vec![key(2)], true, "drawn with the key in front"),
        (&new, "member", "app.example", vec![key(1)], false, "and not with the one behind"),
        (&old, "member", "app.example", vec![another], false, "another key of the same name"),
        (&old, "member", "app.example", Vec::new(), false, "no key at all"),
        (&old, "member", "other.example", vec![key(1)], false, "at another host (L14)"),
        (&old, "admin", "app.example", vec![key(1)], false, "for sessions of another authenticator"),
        (&old, "membera", "pp.example", vec![key(1)], false, "names that run into one another"),
        (&SessionId::forged(&random), "member", "app.example", vec![key(1)], false, "an id that nobody drew"),
    ];
    for (id, name, host, keys, expected, shows) in rows {
        assert_eq!(terms(name, keys).recognise(id.clone(), host).is_some(), expected, "{shows}");
    }
    assert!(terms("member", Vec::new()).draw("app.example", &random).is_none(), "nothing is drawn without a key");

    let ours = terms("member", vec![key(1)]);
    for at in 0..old.0.len() {
        let mut changed = old.clone();
        changed.0[at] ^= 1;
        assert!(ours.recognise(changed, "app.example").is_none(), "byte {at} changed");
    }
}

#[test]
fn a_session_is_over_at_its_end_or_when_it_was_not_used_for_long() {
    let rows = [
        (1_000, 600, 1_600, "unused since it was opened"),
        (1_500, 600, 2_100, "used since"),
        (4_500, 600, 4_600, "used to the end, which does not move"),
        (1_000, 0, 4_600, "it may idle as long as it likes"),
        (i64::MAX, 600, 4_600, "the end of time must not overflow"),
    ];
    for (seen, idle, expected, shows) in rows {
        let session = Session { seen: Timestamp(seen), ..session() };
        assert_eq!(session.until(Seconds(idle)), Timestamp(expected), "{shows}");
    }
}

#[test]
fn what_does_not_fit_into_a_record_is_not_cut() {
    let random = Counting::apart();
    let ours = terms("member", vec![key(1)]);
    let reference = at("app.example", &random);
    let with = |length: usize| Session { claims: Value::Map(Box::new([("x".into(), "y".repeat(length).as_str().into())])), ..session() };
    assert!(ours.seal(&reference, &with(47_000), &random).is_ok(), "a large one fits");
    assert_eq!(ours.seal(&reference, &with(49_000), &random), Err(TooLarge), "a larger one does not");
    assert_eq!(ours.seal(&reference, &with(70_000), &random), Err(TooLarge), "nor one that no field holds");
    let odd = Session { claims: Value::Null, ..session() };
    let sealed = ours.seal(&reference, &odd, &random).unwrap();
    assert!(ours.open(&reference, &sealed).is_none(), "claims that are no object are none of ours");
}

//! What is sealed comes back, and nothing else does.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use crate::domain::{Random, Secret, Timestamp, Value};
use crate::jose::base64url;
use crate::jose::ticket::{Bindings, MAX_TEXT, Ticket, TicketKey, Unsealed, fields, open, seal};

struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = (number as u8).wrapping_add(at as u8));
    }
}

fn key(number: u8) -> TicketKey {
    TicketKey::new([number; 4], &Secret::new(vec![number; 32]))
}

fn random() -> Counting {
    Counting(AtomicU64::new(0))
}

fn text() -> impl Strategy<Value = Box<str>> {
    "\\PC{0,12}".prop_map(Into::into)
}

fn texts() -> impl Strategy<Value = Box<[Box<str>]>> {
    proptest::collection::vec(text(), 0..4).prop_map(Into::into)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i32>().prop_map(|number| Value::Float(f64::from(number) / 8.0)),
        text().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| Value::List(items.into())),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(members),
        ]
    })
}

fn members(map: std::collections::BTreeMap<String, Value>) -> Value {
    Value::Map(map.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect())
}

prop_compose! {
    fn bindings()(
        address in proptest::option::of(any::<IpAddr>()),
        device in proptest::option::of(text()),
        host in proptest::option::of(text()),
        methods in texts(),
        path in proptest::option::of(text()),
    ) -> Bindings {
        Bindings { address, device, host, methods, path }
    }
}

prop_compose! {
    fn ticket()(
        id in any::<[u8; 16]>(),
        (issuer, audience, subject) in (text(), text(), text()),
        (issued, expires) in (any::<i64>(), any::<i64>()),
        scopes in texts(),
        single_use in any::<bool>(),
        bindings in bindings(),
        claims in proptest::collection::btree_map("[a-z]{1,6}", value(), 0..4).prop_map(members),
    ) -> Ticket {
        let (issued, expires) = (Timestamp(issued), Timestamp(expires));
        Ticket { id, issuer, audience, subject, issued, expires, scopes, single_use, bindings, claims }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_comes_back(ticket in ticket()) {
        if let Ok(text) = seal(&key(1), &ticket, &random()) {
            prop_assert!(text.len() <= MAX_TEXT);
            prop_assert_eq!(open(&[key(2), key(1)], &text), Ok(ticket));
        }
    }

    /// Equal bytes for unequal fields would let one ticket be read as another.
    #[test]
    fn different_tickets_have_different_bytes(one in ticket(), other in ticket()) {
        prop_assume!(one != other);
        prop_assert_ne!(fields::write(&one), fields::write(&other));
    }

    /// Bytes have one reading: what can be read at all is written back as exactly the same bytes.
    #[test]
    fn bytes_have_one_reading(ticket in ticket(), at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = fields::write(&ticket).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Some(read) = fields::read(&bytes) {
            prop_assert_eq!(fields::write(&read), Some(bytes));
        }
    }

    #[test]
    fn cut_or_extended_bytes_are_no_ticket(ticket in ticket(), cut in any::<usize>(), more in any::<u8>()) {
        let bytes = fields::write(&ticket).unwrap();
        prop_assert_eq!(fields::read(&bytes[..cut % bytes.len()]), None);
        prop_assert_eq!(fields::read(&[bytes, vec![more]].concat()), None);
    }
}

fn plain() -> Ticket {
    Ticket {
        id: [7; 16],
        issuer: "us".into(),
        audience: "them".into(),
        subject: "ann".into(),
        issued: Timestamp(1),
        expires: Timestamp(2),
        scopes: Box::default(),
        single_use: false,
        bindings: Bindings::default(),
        claims: Value::empty(),
    }
}

#[test]
fn every_bit_of_a_ticket_counts() {
    let text = seal(&key(1), &plain(), &random()).unwrap();
    let bytes = base64url::decode(text.strip_prefix("ct1.").unwrap()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 32 { Unsealed::KeyUnknown } else { Unsealed::Forged };
        assert_eq!(open(&[key(1)], &format!("ct1.{}", base64url::encode(&changed))), Err(expected), "bit {bit}");
    }
}

#[test]
fn what_does_not_fit_is_not_sealed() {
    let long = |length: usize| Ticket { subject: "a".repeat(length).into(), ..plain() };
    let room = (0..MAX_TEXT).rev().find(|length| seal(&key(1), &long(*length), &random()).is_ok()).unwrap();
    assert!(2_900 < room, "there is room for about 3 KiB; it was {room}");
    assert!(seal(&key(1), &long(room + 1), &random()).is_err(), "one byte more is too large");
    assert!(seal(&key(1), &long(70_000), &random()).is_err(), "longer than a length can say");
    let nested = (0..8).fold(Value::Null, |inner, _| Value::List(Box::new([inner])));
    let claims = |value| Ticket { claims: Value::Map(Box::new([("a".into(), value)])), ..plain() };
    assert!(seal(&key(1), &claims(nested), &random()).is_err(), "nested too deep");
    assert!(seal(&key(1), &claims(Value::Float(f64::NAN)), &random()).is_err(), "not a number");
}

#[test]
fn each_ticket_has_a_key_of_its_own() {
    let random = random();
    let first = seal(&key(1), &plain(), &random).unwrap();
    let second = seal(&key(1), &plain(), &random).unwrap();
    let body = |text: &str| base64url::decode(&text[4..]).unwrap()[36..].to_vec();
    assert_ne!(body(&first), body(&second), "equal tickets under different salts share no ciphertext");
    let shared = body(&first).iter().zip(body(&second)).filter(|(one, other)| *one == other).count();
    assert!(shared < body(&first).len() / 4, "nor a key stream: {shared} equal bytes");
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", TicketKey::new([0xab; 4], &Secret::new(b"sixteen-bytes-ok".repeat(2))));
    assert_eq!(shown, "TicketKey([ab, ab, ab, ab])", "its name and nothing else");
}

//! What may be ordered, and what the order becomes.

use crate::domain::{Random, Seconds, Secret, Timestamp, Value};
use crate::issuer::ticket::{Mint, MintError, TicketOrder, mint};
use crate::jose::ticket::{Bindings, TicketKey, open};

struct Sevens;

impl Random for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn key() -> TicketKey {
    TicketKey::new([1; 4], &Secret::new(vec![1; 32]))
}

fn ours(max_life: u32) -> Mint {
    Mint { key: key(), issuer: "us".into(), audience: "pass".into(), max_life: Seconds(max_life) }
}

fn order() -> TicketOrder {
    TicketOrder {
        subject: "ann".into(),
        life: None,
        scopes: Box::default(),
        single_use: false,
        bindings: Bindings::default(),
        claims: Value::empty(),
    }
}

#[test]
fn a_life_is_bounded_and_an_hour_by_default() {
    let lived = |max: u32, life: Option<u32>| {
        let text = mint(&ours(max), TicketOrder { life: life.map(Seconds), ..order() }, Timestamp(1_000), &Sevens)?;
        let ticket = open(&[key()], &text).unwrap();
        assert_eq!(ticket.issued, Timestamp(1_000), "issued now");
        Ok(ticket.expires.0 - 1_000)
    };
    let too_long = |max| Err(MintError::Life { max: Seconds(max) });
    let rows = [
        (86_400, None, Ok(3_600), "an hour by default"),
        (600, None, Ok(600), "or the maximum where that is less"),
        (86_400, Some(1), Ok(1), "a second"),
        (86_400, Some(0), too_long(86_400), "nothing is no life"),
        (86_400, Some(86_400), Ok(86_400), "the maximum"),
        (86_400, Some(86_401), too_long(86_400), "a second more"),
    ];
    for (max, life, expected, shows) in rows {
        assert_eq!(lived(max, life), expected, "{shows}");
    }
}

#[test]
fn an_order_is_filled_as_it_is_or_not_at_all() {
    let bound = |bindings: Bindings| TicketOrder { bindings, ..order() };
    let path = |path: &str| bound(Bindings { path: Some(path.into()), ..Bindings::default() });
    let host = |host: &str| bound(Bindings { host: Some(host.into()), ..Bindings::default() });
    let device = |device: &str| bound(Bindings { device: Some(device.into()), ..Bindings::default() });
    let method = |method: &str| bound(Bindings { methods: Box::new([method.into()]), ..Bindings::default() });
    let scope = |scope: &str| TicketOrder { scopes: Box::new([scope.into()]), ..order() };
    let claim = |name: &str| TicketOrder { claims: Value::Map(Box::new([(name.into(), Value::Null)])), ..order() };
    let wrong = |binding| Err(MintError::Binding { binding });
    let rows = [
        (order(), Ok(()), "the least"),
        (TicketOrder { subject: "".into(), ..order() }, Err(MintError::Subject), "nobody's"),
        (TicketOrder { subject: "a\nb".into(), ..order() }, Err(MintError::Subject), "a line break in the subject"),
        (TicketOrder { subject: "ä b".into(), ..order() }, Ok(()), "letters of any script"),
        (TicketOrder { subject: "a".repeat(4_000).into(), ..order() }, Err(MintError::TooLarge), "too large to carry"),
        (scope("chat:write"), Ok(()), "a scope"),
        (scope(""), Err(MintError::Scope), "an empty scope"),
        (scope("a b"), Err(MintError::Scope), "two scopes in one"),
        (claim("room"), Ok(()), "a claim"),
        (claim("sub"), Err(MintError::Claims), "a claim in place of the subject"),
        (claim("exp"), Err(MintError::Claims), "a claim in place of the end"),
        (TicketOrder { claims: Value::Null, ..order() }, Err(MintError::Claims), "claims that are no object"),
        (path("/"), Ok(()), "the root"),
        (path("/a/b"), Ok(()), "a path"),
        (path("/a/"), Ok(()), "a folder"),
        (path(""), wrong("path"), "no path"),
        (path("a"), wrong("path"), "a relative path"),
        (path("//a"), wrong("path"), "an empty segment"),
        (path("/a//"), wrong("path"), "an empty segment at the end"),
        (path("/a/../b"), wrong("path"), "a dot segment"),
        (path("/a?b"), wrong("path"), "a query"),
        (host("api.example"), Ok(()), "a host"),
        (host("API.example"), wrong("host"), "upper case never matches"),
        (host("api.example."), wrong("host"), "a trailing dot never matches"),
        (host(""), wrong("host"), "no host"),
        (device("D 1"), Ok(()), "a device"),
        (device(""), wrong("device"), "no device"),
        (device("D\n"), wrong("device"), "a device that no header can carry"),
        (method("POST"), Ok(()), "a method"),
        (method(""), wrong("method"), "no method"),
        (method("P T"), wrong("method"), "no method name"),
    ];
    for (order, expected, shows) in rows {
        assert_eq!(mint(&ours(86_400), order, Timestamp(1), &Sevens).map(drop), expected, "{shows}");
    }
}

#[test]
fn an_address_is_bound_in_its_shortest_form() {
    let bindings = Bindings { address: Some("::ffff:192.0.2.1".parse().unwrap()), ..Bindings::default() };
    let text = mint(&ours(60), TicketOrder { bindings, ..order() }, Timestamp(1), &Sevens).unwrap();
    assert_eq!(open(&[key()], &text).unwrap().bindings.address, Some([192, 0, 2, 1].into()), "IPv4 in IPv6 is IPv4");
}

//! Whose word about addresses is taken, and how far.

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::{Origin, address, elements_of, origin, push_address};
use crate::domain::{RequestView, Target};

const PEER: &str = "10.0.0.1";

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec()
}

fn read(peer: &str, tls: bool, fields: &[(&str, &str)], trusted: &[IpNet]) -> Origin {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    origin(peer.parse().unwrap(), tls, &headers, trusted)
}

#[test]
fn nobody_is_believed_by_default_and_strangers_never() {
    let claims = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=192.0.2.7;proto=https"),
    ];
    for (peer, networks) in [(PEER, Vec::new()), ("203.0.113.9", trusted()), ("::ffff:203.0.113.9", trusted())] {
        let origin = read(peer, false, &claims, &networks);
        assert_eq!(
            (origin.client, origin.secure, origin.host),
            (peer.parse::<std::net::IpAddr>().unwrap().to_canonical(), false, None),
            "{peer}"
        );
    }
    assert!(read("203.0.113.9", true, &[("x-forwarded-proto", "http")], &trusted()).secure, "nor may a stranger deny its own TLS");
}

#[test]
fn the_walk_goes_from_the_right_and_ends_at_the_first_stranger() {
    let cases: [(&[&str], &str, &str); 20] = [
        (&[], PEER, "a trusted peer that says nothing is the client"),
        (&["192.0.2.7"], "192.0.2.7", "one entry"),
        (&["198.51.100.1, 192.0.2.7"], "192.0.2.7", "what stands left of a stranger is its invention"),
        (&["192.0.2.7, 10.0.0.2"], "192.0.2.7", "a second trusted proxy"),
        (&["192.0.2.7", "10.0.0.2"], "192.0.2.7", "over two lines"),
        (&["10.9.9.9", "192.0.2.7"], "192.0.2.7", "the last line is the nearest"),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3", "all trusted: the farthest"),
        (&["unknown"], PEER, "a malformed entry ends the walk"),
        (&["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2", "where it stands"),
        (&["192.0.2.7, , 10.0.0.2"], "10.0.0.2", "an empty entry is malformed"),
        (&["192.0.2.7,"], PEER, "also at the end"),
        (&["192.0.2.7", ""], PEER, "also as a whole line"),
        (&["192.0.2.7:5555"], "192.0.2.7", "with a port"),
        (&["[2001:db8::7]:5555"], "2001:db8::7", "an IPv6 address with a port"),
        (&["[2001:db8::7]"], "2001:db8::7", "in brackets"),
        (&["2001:db8::7"], "2001:db8::7", "bare"),
        (&["192.0.2.7, fd00::1"], "192.0.2.7", "through an IPv6 proxy"),
        (&["192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7", "a mapped address is the address it maps"),
        (&["\t192.0.2.7 "], "192.0.2.7", "spaces around"),
        (&["192.0.2.7 10.0.0.2"], PEER, "but not inside"),
    ];
    for (lines, client, shows) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        assert_eq!(read(PEER, false, &fields, &trusted()).client, client.parse::<std::net::IpAddr>().unwrap(), "{shows}: {lines:?}");
    }
    let long = vec!["10.0.0.2"; 100].join(", ");
    let origin = read(PEER, false, &[("x-forwarded-for", &format!("192.0.2.7, {long}"))], &trusted());
    assert_eq!(origin.client.to_string(), "10.0.0.2", "a chain longer than any real one is not walked to its end");
    let origin = read(PEER, false, &[("x-forwarded-for", "caf\u{e9}")], &trusted());
    assert_eq!(origin.client.to_string(), PEER, "a line that is no text");
}

#[test]
fn scheme_and_host_are_the_nearest_proxys_own_word() {
    type Row<'a> = (bool, &'a [(&'a str, &'a str)], bool, Option<&'a str>, &'a str);
    let cases: [Row<'_>; 11] = [
        (false, &[("x-forwarded-proto", "https")], true, None, "TLS ended at the proxy"),
        (true, &[("x-forwarded-proto", "http")], false, None, "TLS began at the proxy"),
        (true, &[("x-forwarded-for", "192.0.2.7")], true, None, "no word: what we see"),
        (false, &[("x-forwarded-proto", "https, http")], false, None, "the last entry counts"),
        (false, &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], false, None, "in the last line"),
        (true, &[("x-forwarded-proto", "wss")], false, None, "anything but https is not secure"),
        (true, &[("x-forwarded-proto", "")], false, None, "nothing is not https either"),
        (
            false,
            &[("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "A.Example:443")],
            true,
            Some("a.example:443"),
            "the host, canonical, with its port",
        ),
        (false, &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-host", "evil;host=a")], false, None, "an unreadable host is none"),
        (false, &[("forwarded", "for=192.0.2.7;proto=https;host=\"a.example\"")], true, Some("a.example"), "the same in RFC 7239"),
        (false, &[("forwarded", "proto=https, for=192.0.2.7")], false, None, "whose last element is the nearest"),
    ];
    for (tls, fields, secure, host, shows) in cases {
        let origin = read(PEER, tls, fields, &trusted());
        assert_eq!((origin.secure, origin.host.as_deref()), (secure, host), "{shows}: {fields:?}");
    }
}

#[test]
fn two_dialects_that_disagree_are_both_disbelieved() {
    let cases = [
        ("192.0.2.7", "for=192.0.2.7", "192.0.2.7", "they agree"),
        ("192.0.2.7", "for=198.51.100.1", PEER, "the client added one of them, and we cannot know which"),
        ("192.0.2.7", "for=unknown", PEER, "no address is not the same address"),
        ("192.0.2.7", "for=\"", PEER, "nor is a broken line"),
    ];
    for (x_forwarded, forwarded, client, shows) in cases {
        let origin = read(PEER, false, &[("x-forwarded-for", x_forwarded), ("forwarded", forwarded)], &trusted());
        assert_eq!(origin.client.to_string(), client, "{shows}");
    }
    let origin = read(PEER, false, &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7;proto=https")], &trusted());
    assert_eq!((origin.client.to_string().as_str(), origin.secure), (PEER, false), "a scheme that only one of them claims");
}

#[test]
fn a_forwarded_line_is_read_whole_or_not_at_all() {
    type Row<'a> = (&'a str, Option<&'a [Option<&'a str>]>, &'a str);
    let cases: [Row<'_>; 18] = [
        ("for=192.0.2.7", Some(&[Some("192.0.2.7")]), "a token"),
        ("For=\"[2001:db8::7]:80\"", Some(&[Some("[2001:db8::7]:80")]), "a quoted address, the name in any case"),
        ("for=a, for=b", Some(&[Some("a"), Some("b")]), "two elements"),
        ("for=a;proto=https;by=x", Some(&[Some("a")]), "other parameters"),
        ("proto=https", Some(&[None]), "an element without node"),
        ("for=\"a, b\"", Some(&[Some("a, b")]), "a comma inside quotes splits nothing"),
        ("for=\"a\\\"b\"", Some(&[Some("a\"b")]), "an escaped quote"),
        ("for=a ; proto=http , for=b", Some(&[Some("a"), Some("b")]), "spaces around separators"),
        ("", None, "nothing"),
        ("for", None, "no value"),
        ("for=", None, "an empty value"),
        ("=a", None, "no name"),
        ("for=\"a", None, "an open quote"),
        ("for=a b", None, "two words"),
        ("for=a,", None, "a trailing comma"),
        ("for=a;for=b", None, "a parameter twice"),
        ("for =a", None, "a space in a name"),
        ("for=[::1]", None, "brackets must be quoted"),
    ];
    for (line, expected, shows) in cases {
        let actual = elements_of(line).map(|elements| elements.into_iter().map(|element| element.node).collect::<Vec<_>>());
        let expected = expected.map(|nodes| nodes.iter().map(|node| node.map(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(actual, expected, "{shows}: {line}");
    }
    let fields = [("forwarded", "for=\"198.51.100.1"), ("forwarded", "for=192.0.2.7")];
    assert_eq!(read(PEER, false, &fields, &trusted()).client.to_string(), "192.0.2.7", "a broken line ends the walk where it stands");
    let fields = [("forwarded", "for=192.0.2.7"), ("forwarded", "for=\"")];
    assert_eq!(read(PEER, false, &fields, &trusted()).client.to_string(), PEER, "and nothing left of it is believed");
}

#[test]
fn an_address_is_an_address() {
    for text in [
        "",
        "a",
        "1.2.3",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:99999",
        "[1.2.3.4]",
        "[::1",
        "[::1]x",
        "::1]",
        "_hidden",
        "1.2.3.4/8",
        "01.2.3.4",
    ] {
        assert_eq!(address(text), None, "{text}");
    }
}

#[test]
fn the_upstream_is_told_what_we_believe_and_nothing_else() {
    type Fields<'a> = &'a [(&'a str, &'a str)];
    type Row<'a> = (&'a str, bool, Fields<'a>, &'a str, Fields<'a>, &'a str);
    let cases: [Row<'_>; 4] = [
        (
            "192.0.2.7",
            true,
            &[("x-forwarded-for", "10.9.9.9")],
            "api.example",
            &[
                ("x-forwarded-for", "192.0.2.7"),
                ("forwarded", "for=192.0.2.7;proto=https;host=\"api.example\""),
                ("x-forwarded-host", "api.example"),
                ("x-forwarded-proto", "https"),
            ],
            "a stranger",
        ),
        (
            PEER,
            false,
            &[
                ("x-forwarded-for", "198.51.100.1, 192.0.2.7, 10.0.0.2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "www.example"),
            ],
            "api.example",
            &[
                ("x-forwarded-for", "192.0.2.7, 10.0.0.2, 10.0.0.1"),
                ("forwarded", "for=192.0.2.7, for=10.0.0.2, for=10.0.0.1;proto=https;host=\"www.example\""),
                ("x-forwarded-host", "www.example"),
                ("x-forwarded-proto", "https"),
            ],
            "through two trusted proxies; the invention on the left is gone",
        ),
        (
            "2001:db8::7",
            false,
            &[],
            "[::1]",
            &[
                ("x-forwarded-for", "2001:db8::7"),
                ("forwarded", "for=\"[2001:db8::7]\";proto=http;host=\"[::1]\""),
                ("x-forwarded-host", "[::1]"),
                ("x-forwarded-proto", "http"),
            ],
            "IPv6 is quoted",
        ),
        (
            "192.0.2.7",
            false,
            &[],
            "",
            &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7;proto=http"), ("x-forwarded-proto", "http")],
            "no host, no claim about one",
        ),
    ];
    for (peer, tls, fields, host, expected, shows) in cases {
        let origin = read(peer, tls, fields, &trusted());
        let target = Target { path: "/".into(), query: None };
        let headers = HeaderMap::new();
        let request = RequestView {
            method: "GET",
            raw_target: "/",
            target: &target,
            host,
            headers: &headers,
            client: origin.client,
            secure: origin.secure,
            request_id: "id",
        };
        let mut set = Vec::new();
        origin.outgoing(&request, &mut set);
        let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(set, expected, "{shows}");
    }
}

#[test]
fn an_address_is_written_as_the_formatter_writes_it() {
    let rows =
        ["0.0.0.0", "1.2.3.4", "9.10.99.100", "127.0.0.1", "192.168.101.250", "255.255.255.255", "::", "2001:db8::ff", "::ffff:1.2.3.4"];
    for text in rows {
        let address: std::net::IpAddr = text.parse().unwrap();
        let mut written = String::new();
        push_address(&mut written, &address);
        assert_eq!(written, address.to_string(), "{text}");
    }
}

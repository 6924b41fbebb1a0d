//! Hosts that have one reading, and requests that name two.

use http::header::HOST;
use http::{HeaderMap, HeaderValue};

use super::{authority, of_request};
use crate::domain::Refusal;

#[test]
fn a_host_has_one_canonical_form() {
    let longest_label = "a".repeat(63);
    let longest = [longest_label.as_str(); 3].join(".") + "." + &"a".repeat(61);
    let cases = [
        ("api.example", "api.example", None, "nothing to do"),
        ("API.Example.com.:443", "api.example.com", Some(443), "case, trailing dot and port"),
        ("localhost", "localhost", None, "one label"),
        ("my_service:8080", "my_service", Some(8080), "container names have underscores"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None, "international names arrive encoded"),
        ("127.0.0.1:80", "127.0.0.1", Some(80), "an IPv4 address"),
        ("[::1]", "[::1]", None, "an IPv6 address"),
        ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]", Some(8443), "in its shortest form"),
        ("a:65535", "a", Some(65535), "the last port"),
        ("a:1", "a", Some(1), "the first port"),
        (&longest, &longest, None, "253 bytes"),
    ];
    for (text, host, port, shows) in cases {
        let read = authority(text).unwrap();
        assert_eq!((&*read.host, read.port), (host, port), "{shows}: {text}");
    }
}

#[test]
fn a_host_with_two_readings_has_none() {
    let too_long = format!("{}.{}", "a".repeat(63), ["b".repeat(63), "c".repeat(63), "d".repeat(62)].join("."));
    let long_label = "a".repeat(64);
    let cases = [
        ("", "empty"),
        (".", "a dot alone"),
        (":80", "a port alone"),
        ("good@evil", "user information"),
        ("good:80@evil", "with a password"),
        ("a..b", "an empty label"),
        (".a", "an empty first label"),
        ("a..", "two trailing dots"),
        ("a b", "a space"),
        ("a/b", "a path"),
        ("a;host=evil", "a parameter for the `Forwarded` field"),
        ("a,b", "a list"),
        ("a%2eb", "percent-encoding"),
        ("bücher.example", "bare UTF-8"),
        ("-a.example", "a hyphen in front"),
        ("a-.example", "a hyphen behind"),
        ("a:", "an empty port"),
        ("a:0", "port 0"),
        ("a:65536", "one past the last port"),
        ("a:+80", "a signed port"),
        ("a:080808", "too many digits"),
        ("a:80:80", "two ports"),
        ("a:x", "no number"),
        ("[::1", "an open bracket"),
        ("[::1]80", "no colon before the port"),
        ("[::1%25eth0]", "a zone"),
        ("[fe80::1%eth0]", "a bare zone"),
        ("[127.0.0.1]", "an IPv4 address in brackets"),
        ("::1", "no brackets"),
        ("127.1", "a short IPv4 address"),
        ("0x7f.0.0.1", "a hex octet"),
        ("127.0.0.01", "an octal octet"),
        ("2130706433", "an address as one number"),
        ("0x7f000001", "and in hex"),
        ("1.2.3.4.5", "five octets"),
        ("256.1.1.1", "an octet past 255"),
        (&too_long, "254 bytes"),
        (&long_label, "a label of 64 bytes"),
    ];
    for (text, shows) in cases {
        assert_eq!(authority(text), Err(Refusal::TargetAmbiguous), "{shows}: {text}");
    }
}

#[test]
fn a_request_names_one_host_or_is_refused() {
    const REFUSED: Result<&str, Refusal> = Err(Refusal::TargetAmbiguous);
    type Row<'a> = (&'a [&'a str], Option<&'a str>, Option<&'a str>, Result<&'a str, Refusal>, &'a str);
    let cases: [Row<'_>; 14] = [
        (&["Good.Example"], None, None, Ok("good.example"), "the field alone"),
        (&[], Some("good.example"), None, Ok("good.example"), "HTTP/2's authority alone"),
        (&[], None, None, Ok(""), "none at all"),
        (&["good.example"], Some("GOOD.example."), None, Ok("good.example"), "two that agree once canonical"),
        (&["good.example"], None, Some("good.example:443"), Ok("good.example"), "a port that clients leave out"),
        (&["good:80"], Some("good:443"), Some("good"), Ok("good"), "and three"),
        (&["good:8080"], None, Some("good:8080"), Ok("good"), "the same telling port"),
        (&["good:8080"], None, Some("good"), REFUSED, "a telling port only once"),
        (&["good", "good"], None, None, REFUSED, "two fields, though equal"),
        (&["good", "evil"], None, None, REFUSED, "two fields"),
        (&["good"], None, Some("other"), REFUSED, "absolute form against the field"),
        (&["good"], Some("other"), None, REFUSED, "authority against the field"),
        (&[""], None, None, REFUSED, "an empty field is not an absent one"),
        (&["good@evil"], Some("evil"), None, REFUSED, "one that cannot be read"),
    ];
    for (fields, authority, absolute, expected, shows) in cases {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(HOST, HeaderValue::from_str(field).unwrap());
        }
        let actual = of_request(&headers, authority, absolute);
        assert_eq!(actual.as_deref().map_err(Clone::clone), expected, "{shows}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_bytes(b"caf\xe9").unwrap());
    assert_eq!(of_request(&headers, None, None), Err(Refusal::TargetAmbiguous), "bytes that are no text");
}

//! RFC 9110, as far as it says which request this is: sections 4.2.3, 5.1, 7.2, 7.4, 7.6.1, 9.1, 9.3.2 and 15.5.6, with
//! RFC 3986 section 6.2.2 for the comparison of targets.
//!
//! Not here: framing (RFC 9112), authentication (section 11, beside RFC 6750), content and caching.

use countersign::countersign::firewall::Firewall;
use countersign::domain::Refusal;
use countersign::gate::hygiene::refuse_nominations;
use countersign::route::pattern::{HostPattern, Methods, PathPattern};
use countersign::route::table::{Match, Route, Table};
use countersign::route::{host, target};
use http::{HeaderMap, HeaderName, HeaderValue};

fn table(rules: &[(&str, &[&str])]) -> Table {
    let routes = rules.iter().map(|(path, methods)| Route {
        hosts: vec![HostPattern::Any],
        paths: vec![PathPattern::parse(path).unwrap()],
        methods: (!methods.is_empty()).then(|| Methods::parse(methods.iter().copied()).unwrap()),
    });
    Table::build(routes.collect()).unwrap()
}

/// Section 4.2.3 with RFC 3986 section 6.2.2: targets that are equivalent are one target to us.
#[test]
fn equivalent_targets_are_one_and_others_are_not() {
    let rows = [
        ("/~smith/home.html", "/%7Esmith/home.html", true, "the example of section 4.2.3"),
        ("/%7esmith/home.html", "/%7Esmith/home.html", true, "hex digits in either case"),
        ("http://example.com:80/~smith/home.html", "http://EXAMPLE.com/%7Esmith/home.html", true, "its first two URIs"),
        ("http://example.com", "http://example.com/", true, "an empty path is `/`"),
        ("/a%2Ab", "/a*b", false, "a reserved character is kept as it came"),
        ("/home.html", "/Home.html", false, "a path is case-sensitive"),
        ("/a?x", "/a", false, "a query is part of the target"),
        ("/a?", "/a", false, "even an empty one"),
    ];
    for (one, other, same, shows) in rows {
        let read = |raw: &str| {
            let reading = target::canonical(raw.as_bytes()).unwrap();
            let authority = reading.authority.as_deref().map(|text| host::authority(text).unwrap().host.into_owned());
            (authority, reading.target)
        };
        assert_eq!(read(one) == read(other), same, "{shows}: {one} and {other}");
    }
}

/// Section 7.2: the authority that a client sends is in `Host` or `:authority`, and in an absolute-form target.
#[test]
fn a_request_has_one_authority() {
    let headers = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(http::header::HOST, HeaderValue::from_static(value));
        }
        headers
    };
    let one = headers(&["www.example.org"]);
    assert_eq!(host::of_request(&one, None, None).as_deref(), Ok("www.example.org"));
    assert_eq!(host::of_request(&one, Some("www.example.org"), None).as_deref(), Ok("www.example.org"), "both, alike");
    assert_eq!(host::of_request(&one, None, Some("www.example.net")), Err(Refusal::TargetAmbiguous), "both, unlike");
    let two = headers(&["www.example.org", "www.example.org"]);
    assert_eq!(host::of_request(&two, None, None), Err(Refusal::TargetAmbiguous), "a field that may stand once only");
}

/// Section 9.1: the method is case-sensitive; an unknown one is not a known one. Section 15.5.6: 405 carries `Allow`.
#[test]
fn a_method_is_case_sensitive_and_405_says_what_is_allowed() {
    let table = table(&[("/a", &["GET", "PUT"]), ("/b", &["POST"])]);
    assert_eq!(table.find("h", "/a", "PUT"), Match::Rule(0));
    for method in ["put", "Put", "POST", "QUERY"] {
        let Match::Method { allow } = table.find("h", "/a", method) else { panic!("{method} is refused as a method") };
        let allowed: Vec<&str> = allow.split(", ").collect();
        assert_eq!(allowed, ["GET", "HEAD", "PUT"], "{method}: a list as section 10.2.1 writes it");
        for method in allowed {
            assert_eq!(table.find("h", "/a", method), Match::Rule(0), "{method} is really allowed");
        }
    }
}

/// Section 9.3.2: HEAD is identical to GET except that no content comes back.
#[test]
fn head_is_under_the_rule_of_get() {
    let table = table(&[("/a", &["GET"]), ("/b", &["POST"]), ("/c", &[]), ("/d", &["GET"]), ("/d", &["HEAD"])]);
    for (path, expected, shows) in [
        ("/a", Match::Rule(0), "with GET"),
        ("/b", Match::Method { allow: "POST".into() }, "not with POST"),
        ("/c", Match::Rule(2), "with every method"),
        ("/d", Match::Rule(4), "under its own rule when it has one"),
    ] {
        assert_eq!(table.find("h", path, "HEAD"), expected, "{shows}");
    }
}

/// Section 9.3.8: TRACE would tell the client what the proxy added; section 9.3.6: CONNECT would tunnel past the judge.
#[test]
fn methods_that_undo_a_proxy_match_no_rule() {
    let table = table(&[("/**", &[])]);
    for method in ["TRACE", "CONNECT"] {
        assert!(matches!(table.find("h", "/", method), Match::Method { .. }), "{method}");
        assert!(Methods::parse([method]).is_err(), "nor may a rule name it");
    }
}

/// Section 5.1: field names are case-insensitive. Section 7.6.1: a sender MUST NOT nominate a field that is meant for all
/// recipients of the payload.
#[test]
fn connection_options_are_read_without_regard_to_case() {
    let firewall = Firewall::new(&[HeaderName::from_static("x-user")]);
    let rows = [
        ("close", true, "the registered option"),
        ("Close, KEEP-ALIVE", true, "in any case"),
        ("upgrade, x-hop-only", true, "a field for this hop"),
        ("Cache-Control", true, "an end-to-end field that decides nothing here is dropped, as its sender asks"),
        ("X-USER", false, "a field that says who is calling"),
        ("Content-Type", false, "a field that says how the content is read"),
        ("x@y", false, "no token"),
    ];
    for (value, passes, shows) in rows {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONNECTION, HeaderValue::from_static(value));
        assert_eq!(refuse_nominations(&headers, &firewall).is_ok(), passes, "{shows}: {value}");
    }
}

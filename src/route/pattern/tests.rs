//! What a rule may say, and what it is told when it may not.

use super::{HostPattern, Methods, PathPattern, is_forwardable};

#[test]
fn a_host_pattern_is_a_host_a_domain_or_everything() {
    let cases = [
        ("*", "anything.example", true, "everything"),
        ("*", "", true, "no host too"),
        ("api.example", "api.example", true, "itself"),
        ("api.example", "x.api.example", false, "nothing below"),
        ("*.example", "api.example", true, "one label below"),
        ("*.example", "a.b.example", true, "two labels below"),
        ("*.example", "example", false, "not the domain itself"),
        ("*.example", "evilexample", false, "a domain, not a spelling"),
        ("*.example", ".example", false, "an empty label is no label"),
        ("[::1]", "[::1]", true, "an address"),
    ];
    for (pattern, host, expected, shows) in cases {
        assert_eq!(HostPattern::parse(pattern).unwrap().matches(host), expected, "{shows}: {pattern} {host}");
        assert_eq!(HostPattern::parse(pattern).unwrap().to_string(), pattern, "printed as written");
    }
    let faults = [
        ("API.example", "write `api.example`"),
        ("*.Example.", "write `*.example`"),
        ("api.example:8080", "write `api.example`"),
        ("a.*.example", "stands alone or in front"),
        ("*example", "stands alone or in front"),
        ("", "is not a host"),
        ("http://a", "is not a host"),
        ("*.127.0.0.1", "nothing below"),
        ("[0:0::1]", "write `[::1]`"),
    ];
    for (pattern, says) in faults {
        let fault = HostPattern::parse(pattern).unwrap_err();
        assert!(fault.contains(says), "{pattern}: {fault}");
    }
}

#[test]
fn a_path_pattern_matches_whole_segments() {
    let cases = [
        ("/", "/", true, "the root"),
        ("/", "/a", false, "and nothing else"),
        ("/api", "/api", true, "itself"),
        ("/api", "/api/", true, "a trailing slash changes no rule"),
        ("/api", "/apiadmin", false, "a prefix of a segment is no match"),
        ("/api", "/API", false, "case matters"),
        ("/api", "/api/x", false, "nothing below"),
        ("/api/**", "/api", true, "`**` stands for nothing too"),
        ("/api/**", "/api/", true, "and for a trailing slash"),
        ("/api/**", "/api/a/b/c", true, "and for everything below"),
        ("/api/**", "/apiadmin", false, "but by segments"),
        ("/**", "/", true, "everything"),
        ("/{id}", "/x", true, "one segment"),
        ("/{id}", "/", false, "not none"),
        ("/{id}", "/x/y", false, "not two"),
        ("/a/{id}/b", "/a/1/b", true, "inside"),
        ("/a/{id}/b", "/a/b", false, "it must be there"),
        ("/a/{id}/**", "/a/1", true, "then anything"),
        ("/v1/x:delete", "/v1/x%3Adelete", true, "what an upstream decodes, a rule decodes"),
        ("/caf%C3%A9", "/caf%C3%A9", true, "UTF-8 in its canonical form"),
        ("/a%25b", "/a%25b", true, "a percent sign stays encoded"),
    ];
    for (pattern, path, expected, shows) in cases {
        assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected, "{shows}: {pattern} {path}");
        assert_eq!(PathPattern::parse(pattern).unwrap().to_string(), pattern, "printed as written");
    }
}

#[test]
fn a_path_pattern_that_could_never_match_says_what_would() {
    let faults = [
        ("", "starts with `/`"),
        ("api", "starts with `/`"),
        ("/api/", "write `/api`, which matches `/api/` as well"),
        ("//api", "`//` never reaches a rule"),
        ("/a//b", "`//` never reaches a rule"),
        ("/a/../b", "no request can have"),
        ("/a/./b", "no request can have"),
        ("/a%2Fb", "no request can have"),
        ("/a\\b", "no request can have"),
        ("/%61", "write `a`"),
        ("/caf%c3%a9", "write `caf%C3%A9`"),
        ("/café", "write `caf%C3%A9`"),
        ("/a b", "write `a%20b`"),
        ("/a/**/b", "must be the last segment"),
        ("/a/*", "not a wildcard here"),
        ("/a*", "not a wildcard here"),
        ("/a/{}", "made of letters"),
        ("/a/{x-y}", "made of letters"),
        ("/a/{x}y", "stands for a whole segment"),
        ("/a?b", "never sees query"),
        ("/a#b", "never sees query"),
    ];
    for (pattern, says) in faults {
        let fault = PathPattern::parse(pattern).unwrap_err();
        assert!(fault.contains(says), "{pattern}: {fault}");
    }
}

#[test]
fn methods_are_exact_and_get_brings_head_along() {
    let methods = Methods::parse(["GET", "POST", "GET"]).unwrap();
    assert_eq!(methods.names().collect::<Vec<_>>(), ["GET", "POST"], "each once, in written order");
    let cases = [
        ("GET", true, "named"),
        ("HEAD", true, "brought along"),
        ("POST", true, "named too"),
        ("PUT", false, "not named"),
        ("get", false, "case matters"),
        ("OPTIONS", false, "only when named"),
    ];
    for (method, expected, shows) in cases {
        assert_eq!(methods.allows(method), expected, "{shows}: {method}");
    }
    assert!(!Methods::parse(["POST"]).unwrap().allows("HEAD"), "HEAD comes with GET only");

    let faults = [
        (&["get"][..], "write `GET`"),
        (&["GET", "p ut"], "is not a method"),
        (&["TRACE"], "never forwarded"),
        (&["track"], "never forwarded"),
        (&["CONNECT"], "never forwarded"),
        (&[], "at least one"),
        (&[""], "is not a method"),
    ];
    for (names, says) in faults {
        let fault = Methods::parse(names.iter().copied()).unwrap_err();
        assert!(fault.contains(says), "{names:?}: {fault}");
    }
}

#[test]
fn only_methods_as_registered_ones_are_written_are_forwarded() {
    let long = "A".repeat(33);
    let cases = [
        ("GET", true),
        ("M-SEARCH", true),
        ("VERSION-CONTROL", true),
        ("FOO", true),
        (&long[..32], true),
        (&long, false),
        ("get", false),
        ("Get", false),
        ("-bl", false),
        ("-BL", false),
        ("", false),
        ("GE T", false),
        ("TRACE", false),
        ("TRACK", false),
        ("CONNECT", false),
        ("*", false),
    ];
    for (method, expected) in cases {
        assert_eq!(is_forwardable(method), expected, "{method}");
    }
}

//! What the standards say and no file here tries, section by section, with the reason.

/// `(standard, section, why no test here tries it)`.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("rfc6749_refresh", "2.1, 2.2, 2.4", "clients are registered by the operator's conf; nothing registers over the wire"),
    ("rfc6749_refresh", "3.1, 4.1 to 4.4", "no authorization endpoint: pairs begin with a redeemed ticket or a session that the app opens"),
    ("rfc6749_refresh", "4.5, 8", "no extension grants are spoken, and another grant_type is `unsupported_grant_type`, which is tried"),
    ("rfc6749_refresh", "10", "considerations; what must never work stands row by row in docs/security.md"),
    (
        "rfc6750",
        "2.2, 2.3",
        "where a token may stand is a setting of each scheme, tried with the schemes; a body is never searched for tokens",
    ),
    ("rfc6750", "5", "considerations for whoever issues tokens and for clients"),
    ("rfc7009", "2.3", "cross-origin use and JSONP: a MAY that hands answers to other origins; it is not spoken"),
    ("rfc7009", "3, 4.1", "registries of names that others keep; nothing is looked up in them"),
    (
        "rfc7515",
        "4.1.2, 4.1.3, 4.1.5 to 4.1.8",
        "`jku`, `jwk`, `x5u`, `x5c`, `x5t`: never followed; the attack rows B of tests/hostile try them",
    ),
    ("rfc7515", "7.2", "JSON serializations are refused as such, which is tried; what may stand in them is not read"),
    ("rfc7515", "8", "TLS towards key sources is tried with the outbound client"),
    ("rfc7517", "4.6 to 4.9", "certificates beside a key change nothing, which is tried; no chain is built from them"),
    ("rfc7517", "7, C", "encrypted keys: a key source that needs a password is refused when it is read"),
    ("rfc7519", "3, 6, 7 for JWE", "encrypted tokens have five parts and are refused for their form, with the JWS rows"),
    ("rfc7519", "6", "unsecured tokens: `alg: none` is refused, tried with RFC 7515 and in tests/hostile"),
    ("rfc7519", "11.2", "what to sign before what to encrypt concerns whoever issues tokens"),
    (
        "rfc9110",
        "3 to 6, 8, 9.3.3 to 9.3.8",
        "meaning of messages, methods and content is between client and upstream; it passes through unread",
    ),
    ("rfc9110", "5.5, 5.6", "field syntax is judged on the wire: tests/hostile/framing.rs and headers.rs"),
    ("rfc9110", "7.5 to 7.8", "responses, Via and upgrades are tried on the real edge, in tests/suite/proxying.rs"),
    ("rfc9110", "10, 12 to 14", "conditional, ranged and negotiated requests are the upstream's to answer"),
    ("rfc9110", "11", "challenges are tried with RFC 6750, whose parser reads section 11.6.1"),
    ("rfc9110", "15", "the statuses that are ours are tried in tests/suite/answers.rs"),
];

#[test]
fn each_standard_says_what_is_left_out_of_it_and_why() {
    let main = include_str!("main.rs");
    let standards: Vec<&str> =
        main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).filter(|name| name.starts_with("rfc")).collect();
    assert!(!standards.is_empty());
    for standard in &standards {
        assert!(LEFT_OUT.iter().any(|(of, ..)| of == standard), "{standard}.rs: which sections are not tried, and why?");
    }
    for (standard, section, why) in LEFT_OUT {
        assert!(standards.contains(standard), "{standard} has no file");
        assert!(!section.is_empty() && 30 < why.len(), "{standard} {section}: the reason is missing");
        println!("{standard} {section}: {why}");
    }
}

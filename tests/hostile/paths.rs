//! Attacks on target, host and method: attack list sections I and J1 to J4. A refusal means that the upstream's own count
//! has not moved.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::house::House;

/// What a row must come to.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// Refused with this status for this reason.
    Out(u16, &'static str),
    /// Forwarded, and this is the target that the upstream saw.
    In(&'static str),
}

use Told::{In, Out};

const AMBIGUOUS: Told = Out(400, "target_ambiguous");
const MALFORMED: Told = Out(400, "head_malformed");
const MISSING: Told = Out(401, "credential_missing");
const UNKNOWN: Told = Out(404, "no_rule");

async fn check(house: &House, head: &[u8], told: Told, shows: &str) {
    let outcome = house.send(head).await;
    match told {
        Out(status, reason) => {
            assert!(outcome.is_refused(status, reason), "{shows}: {status} {reason}, but {outcome:?}");
        }
        In(target) => {
            assert_eq!(outcome.status, 200, "{shows}: {outcome:?}");
            assert_eq!(outcome.seen.unwrap().target(), target, "{shows}: what was judged is what is forwarded");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_judged_and_forwarded_in_one_reading() {
    let house = House::start("").await;
    let rows: &[(&str, &[u8], Told, &str)] = &[
        ("-", b"/public/x", In("/public/x"), "a public path"),
        ("-", b"/admin", MISSING, "a guarded path"),
        ("I1", b"/public/../admin", AMBIGUOUS, "dot segments"),
        ("I1", b"/public/..", AMBIGUOUS, "at the end"),
        ("I1", b"/public/x/../../admin", AMBIGUOUS, "twice"),
        ("I2", b"/public/%2e%2e/admin", AMBIGUOUS, "encoded dots"),
        ("I2", b"/public/%2E./admin", AMBIGUOUS, "one of them"),
        ("I2", b"/public/.%2e/admin", AMBIGUOUS, "the other"),
        ("I3", b"/public/..%2fadmin", AMBIGUOUS, "an encoded slash"),
        ("I3", b"/public/x%2f..%2f..%2fadmin", AMBIGUOUS, "several"),
        ("I4", b"/public/x%2Fy", AMBIGUOUS, "in capitals"),
        ("I4", b"/public/x%2fy", AMBIGUOUS, "the same answer in small letters"),
        ("I5", b"//admin", AMBIGUOUS, "two slashes in front are no authority"),
        ("I5", b"//public/x", AMBIGUOUS, "whatever follows"),
        ("I5", b"/public//../admin", AMBIGUOUS, "two slashes inside"),
        ("I5", b"/public//x", AMBIGUOUS, "without dots too"),
        ("I6", b"/.", AMBIGUOUS, "a single dot"),
        ("I6", b"/./admin", AMBIGUOUS, "in front"),
        ("I6", b"/admin/.", AMBIGUOUS, "behind"),
        ("I6", b"/admin/", MISSING, "a trailing slash is under the same rule"),
        ("I6", b"/public/", In("/public/"), "and is forwarded as it came"),
        ("I7", b"/public/..;/admin", AMBIGUOUS, "dots with a path parameter"),
        ("I7", b"/params/..;/admin", AMBIGUOUS, "also where parameters are allowed"),
        ("I7", b"/params/..%3bx/admin", AMBIGUOUS, "encoded"),
        ("I7", b"/public/a;x=1", AMBIGUOUS, "a path parameter where none is allowed"),
        ("I7", b"/public/a%3Bx=1", AMBIGUOUS, "encoded"),
        ("I7", b"/params/a;x=1", In("/params/a;x=1"), "and where it is"),
        ("I7", b"/admin;x=1", UNKNOWN, "a parameter makes another segment, and that has no rule"),
        ("I8", b"/public\\..\\admin", AMBIGUOUS, "backslashes"),
        ("I8", b"/public/x%5cy", AMBIGUOUS, "encoded"),
        ("I9", b"/public/%252e%252e%252fadmin", In("/public/%252e%252e%252fadmin"), "encoded twice: judged and forwarded as it stands"),
        ("I10", b"/public/%c0%ae%c0%ae/admin", AMBIGUOUS, "overlong dots"),
        ("I10", b"/public/%e0%80%af", AMBIGUOUS, "an overlong slash"),
        ("I11", b"/admin%00.png", AMBIGUOUS, "NUL"),
        ("I11", b"/public/%0d%0aX:%201", AMBIGUOUS, "a line break"),
        ("I12", b"/ADMIN", UNKNOWN, "case-sensitive"),
        ("I12", b"/%41dmin", UNKNOWN, "a capital letter is one, encoded or not"),
        ("I12", b"/%61dmin", MISSING, "and a small one is one"),
        ("I12", b"/%70ublic/%78", In("/public/x"), "decoded in what is judged and in what is forwarded"),
        ("I13", b"/admin.", UNKNOWN, "a trailing dot is literal"),
        ("I13", b"/admin%20", UNKNOWN, "a trailing space too"),
        ("I13", b"/public/x%20", In("/public/x%20"), "and stays one"),
        ("I14", b"/admin#/public/", AMBIGUOUS, "a fragment"),
        ("I14", b"/public/#/../admin", AMBIGUOUS, "in either direction"),
        ("I15", b"/admin?x=/public/", MISSING, "the query is no path"),
        ("I15", b"/admin?/public/", MISSING, "however it looks"),
        ("I15", b"/public/x?/../admin", In("/public/x?/../admin"), "nor does it lead anywhere"),
        ("I17", b"admin", AMBIGUOUS, "no slash in front"),
        ("I17", b"public/x", AMBIGUOUS, "on a public path either"),
        ("I18", b"*", AMBIGUOUS, "the asterisk"),
        ("I18", b"?x", AMBIGUOUS, "a query alone"),
        ("I18", b"proxy.test:80", AMBIGUOUS, "authority-form"),
        ("I19", b"/apix", UNKNOWN, "a longer word is another segment"),
        ("I19", b"/publicx", UNKNOWN, "on a public path too"),
        ("I22", b"/\xef\xbd\x81dmin", AMBIGUOUS, "full-width letters"),
        ("I22", b"/\xc4\xb0", AMBIGUOUS, "letters that change when folded"),
        ("I22", b"/caf%c3%a9", In("/caf%C3%A9"), "encoded, they are what they are"),
        ("I23", b"/public/%zz", AMBIGUOUS, "no hex"),
        ("I23", b"/public/%2", AMBIGUOUS, "half an encoded byte"),
        ("I23", b"/public/%", AMBIGUOUS, "none of it"),
        ("I30", b"/nothing", UNKNOWN, "no rule, no entry"),
        ("I30", b"/", UNKNOWN, "the root has none either"),
        ("-", b"/v1/x%3Adelete", MISSING, "a reserved character is under the rule that names it"),
    ];
    for (id, target, told, shows) in rows {
        let head = [b"GET ", *target, b" HTTP/1.1\r\nHost: proxy.test\r\n\r\n"].concat();
        check(&house, &head, *told, &format!("{id} {shows}: {}", String::from_utf8_lossy(target))).await;
    }
    let long = |length: usize| format!("GET /public/{} HTTP/1.1\r\nHost: proxy.test\r\n\r\n", "a".repeat(length - 8)).into_bytes();
    let longest = long(8192);
    assert_eq!(house.send(&longest).await.status, 200, "I24 the longest path");
    check(&house, &long(8193), Out(431, "header_too_large"), "I24 one byte more").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let house = House::start("").await;
    let rows: &[(&str, &str, Told, &str)] = &[
        ("-", "GET /x HTTP/1.1\r\nHost: inner.example\r\n", MISSING, "a rule for a host"),
        ("-", "GET /x HTTP/1.1\r\nHost: other.example\r\n", UNKNOWN, "and for no other"),
        ("I16", "GET http://inner.example/x HTTP/1.1\r\nHost: inner.example\r\n", MISSING, "absolute form that agrees"),
        ("I16", "GET http://inner.example/x HTTP/1.1\r\nHost: good\r\n", AMBIGUOUS, "absolute form that does not"),
        ("I16", "GET http://other/public/x HTTP/1.1\r\nHost: good\r\n", AMBIGUOUS, "on a public path too"),
        ("I16", "GET http://good/public/x HTTP/1.1\r\nHost: good\r\n", In("/public/x"), "and is forwarded in origin form"),
        ("I16", "GET http://good/public/../admin HTTP/1.1\r\nHost: good\r\n", AMBIGUOUS, "its path is read as strictly"),
        ("I16", "GET ftp://good/public/x HTTP/1.1\r\nHost: good\r\n", AMBIGUOUS, "another scheme"),
        ("I25", "GET /x HTTP/1.1\r\nHost: INNER.Example.:443\r\n", MISSING, "case, dot and port do not lead around a rule"),
        ("I25", "GET /x HTTP/1.1\r\nHost: inner.example:8080\r\n", MISSING, "nor does another port"),
        ("I26", "GET /public/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n", MALFORMED, "two fields, though equal"),
        ("I26", "GET /public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n", MALFORMED, "two that differ"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: good@evil\r\n", AMBIGUOUS, "user information"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n", AMBIGUOUS, "a zone"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: b\u{fc}cher.example\r\n", AMBIGUOUS, "bare UTF-8"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n", In("/public/x"), "its encoded form"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: my_service\r\n", In("/public/x"), "an underscore has one reading"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: 0x7f.1\r\n", AMBIGUOUS, "an address in disguise"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: a, b\r\n", AMBIGUOUS, "a list"),
        ("I27", "GET /public/x HTTP/1.1\r\nHost: a/b\r\n", AMBIGUOUS, "a path"),
        ("H19", "GET /public/x HTTP/1.1\r\nHost: a;host=evil\r\n", AMBIGUOUS, "a parameter for the `Forwarded` field"),
        ("I28", "GET /public/x HTTP/1.1\r\n", MALFORMED, "none in HTTP/1.1"),
        ("I28", "GET /public/x HTTP/1.1\r\nHost:\r\n", AMBIGUOUS, "an empty one"),
        ("I28", "GET /x HTTP/1.0\r\n", UNKNOWN, "none in HTTP/1.0 matches no rule for a host"),
    ];
    for (id, head, told, shows) in rows {
        check(&house, format!("{head}\r\n").as_bytes(), *told, &format!("{id} {shows}: {head:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_is_exact_and_some_are_never_forwarded() {
    let house = House::start("").await;
    const REFUSED: Told = Out(405, "method_refused");
    let rows = [
        ("J1", "TRACE", "/public/x", REFUSED, "would echo what the proxy added"),
        ("J1", "TRACK", "/public/x", REFUSED, "its cousin"),
        ("J1", "TRACE", "/nothing", REFUSED, "whatever the path"),
        ("J4", "get", "/public/x", REFUSED, "a lower-case twin"),
        ("J4", "Get", "/api/x", REFUSED, "half of one"),
        ("J4", "FOO", "/api/x", REFUSED, "unknown where methods are named"),
        ("J4", "POST", "/api/x", REFUSED, "known, but not named"),
        ("J4", "-bl", "/public/x", REFUSED, "no method at all"),
        ("J3", "OPTIONS", "/api/x", REFUSED, "an OPTIONS that no rule names"),
        ("J3", "OPTIONS", "/admin", MISSING, "is like any method where all are"),
        ("-", "HEAD", "/api/x", MISSING, "HEAD comes with GET, and with its guard"),
    ];
    for (id, method, target, told, shows) in rows {
        let outcome = house.ask(method, target, false, &[]).await;
        let Out(status, reason) = told else { unreachable!("every row here is a refusal") };
        assert!(outcome.is_refused(status, reason), "{id} {shows}: {method} {target}: {outcome:?}");
        if status == 405 {
            let answer = outcome.answer.unwrap();
            let allow = answer.field("allow").unwrap_or_default();
            assert!(allow.split(", ").any(|name| name == "GET") && !allow.contains("TRACE"), "{id} {shows}: Allow: {allow}");
        }
    }
    let outcome = house.send(b"CONNECT admin:443 HTTP/1.1\r\nHost: admin:443\r\n\r\n").await;
    assert_eq!(outcome.reached, 0, "J2 no tunnel");
    assert!((400..=405).contains(&outcome.status), "J2 {outcome:?}");

    let preflight = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "GET"), ("X-Auth-User", "admin")];
    let outcome = house.ask("OPTIONS", "/api/x", false, &preflight).await;
    assert_eq!((outcome.reached, outcome.status), (0, 405), "J3 a preflight where the rule does not speak of them");
}

//! What conditions see, what they deny, and what is refused before it ever runs.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Condition;
use crate::domain::{Identity, RequestView, Target, Timestamp, Value};

fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn identity() -> Identity {
    Identity {
        subject: "alice".into(),
        issuer: "https://id.example".into(),
        scopes: ["chat:read".into(), "chat:write".into()].into(),
        claims: map(&[
            ("email", "alice@example.com".into()),
            ("email_verified", Value::Bool(true)),
            ("level", Value::Int(7)),
            ("ratio", Value::Float(0.5)),
            ("none", Value::Null),
            ("groups", Value::List([Value::from("staff"), Value::from("ops")].into())),
            ("realm_access", map(&[("roles", Value::List([Value::from("admin")].into()))])),
            ("realm_access.roles", "literal".into()),
        ])
        .into(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: vec![(
            Arc::from("partner"),
            Arc::new(Identity {
                subject: "acme".into(),
                issuer: "partners".into(),
                scopes: Box::default(),
                claims: map(&[("tier", Value::Int(1))]).into(),
                expires: None,
                not_before: None,
                scheme: "server_key",
                authenticator: "partner".into(),
                burn: None,
                also: Vec::new(),
            }),
        )],
    }
}

fn holds(source: &str, identity: Option<&Identity>) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-tenant", &b"acme"[..]), ("accept", b"a"), ("accept", b"b"), ("x-raw", b"caf\xe9"), ("content-type", b"text/plain")]
    {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    let target = Target { path: "/v1/items/7".into(), query: Some("secret=1".into()) };
    let request = RequestView {
        method: "POST",
        raw_target: "/v1/items/7?secret=1",
        target: &target,
        host: "api.example",
        headers: &headers,
        client: "::ffff:192.0.2.7".parse().unwrap(),
        secure: true,
        request_id: "id",
    };
    let condition = Condition::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault}"));
    // 2026-01-02T03:04:05Z, a Friday.
    condition.holds(identity, &request, Timestamp(1_767_323_045))
}

#[test]
fn a_condition_sees_identity_request_and_now() {
    let cases = [
        ("'chat:write' in identity.scopes", true, "a scope the caller has"),
        ("'chat:admin' in identity.scopes", false, "one the caller has not"),
        ("identity.scopes == ['chat:read', 'chat:write']", true, "a list is equal to its like"),
        ("['chat:read', 'chat:write'] == identity.scopes", true, "from either side"),
        ("['chat:read'] != identity.scopes", true, "and unequal to others"),
        ("size(identity.scopes) == 2", true, "lists have a size"),
        ("identity.scopes.exists(s, s.startsWith('chat:'))", true, "and can be walked"),
        ("identity.scopes.all(s, s == 'chat:read')", false, "in full"),
        ("identity.subject == 'alice' && identity.issuer == 'https://id.example'", true, "who, and who says so"),
        ("identity.scheme == 'jwt' && identity.authenticator == 'user'", true, "by which way"),
        ("identity.claims.email.endsWith('@example.com')", true, "a claim"),
        ("identity.claims.email_verified", true, "a claim that is true"),
        ("identity.claims.email_verified == 'true'", false, "which is not the text `true`"),
        ("identity.claims.level > 5", true, "a number"),
        ("identity.claims.level == '7'", false, "which is not a text"),
        ("identity.claims.ratio < 1.0", true, "a fraction"),
        ("identity.claims.none == null", true, "null is a value"),
        ("'staff' in identity.claims.groups", true, "a list claim"),
        ("'staff' == identity.claims.groups", false, "which is not one of its items"),
        ("'admin' in identity.claims.realm_access.roles", true, "dots descend"),
        ("identity.claims['realm_access.roles'] == 'literal'", true, "a name with a dot is written as an index"),
        ("'admin' in identity.claims['realm_access']['roles']", true, "indexes descend too"),
        ("has(identity.claims.email) && !has(identity.claims.phone)", true, "presence"),
        ("'email' in identity.claims && !('phone' in identity.claims)", true, "the same, said otherwise"),
        ("identity.also.partner.subject == 'acme' && identity.also.partner.claims.tier == 1", true, "who else stands behind the request"),
        ("identity.also['partner'].scheme == 'server_key'", true, "by index"),
        ("'partner' in identity.also && !('other' in identity.also)", true, "and whether anybody does"),
        ("identity['subject'] == 'alice' && request['method'] == 'POST'", true, "members by index"),
        ("request.method == 'POST' && request.host == 'api.example' && request.secure", true, "the request line"),
        ("request.path == '/v1/items/7'", true, "the canonical path, without query"),
        ("request.path.matches('^/v[0-9]+/items/')", true, "a pattern"),
        ("matches(request.path, 'ITEMS')", false, "case matters, called either way"),
        ("['/v1/items/7'].exists(p, p.matches('^/v1/'))", true, "a pattern inside a loop"),
        ("request.client == '192.0.2.7'", true, "the client's address in its own family"),
        ("request.headers['x-tenant'] == 'acme'", true, "a header"),
        ("request.headers.accept == 'a, b'", true, "lines of one name are one list"),
        ("request.headers['x-raw'] == 'caf\\u00e9'", true, "bytes outside ASCII are present, never absent"),
        ("'x-other' in request.headers", false, "an absent header"),
        ("now == timestamp('2026-01-02T03:04:05Z')", true, "the moment of the visit"),
        ("now.getHours() >= 3 && now.getDayOfWeek() == 5", true, "and its parts, in UTC"),
        ("now < timestamp('2026-01-02T03:04:05Z')", false, "the bound is not before itself"),
        ("type(identity.claims.level) == int", true, "types have names"),
        ("[1, 2].map(x, x * 2) == [2, 4]", true, "macros expand"),
        ("true", true, "always"),
        ("false", false, "never"),
    ];
    let identity = identity();
    for (source, expected, shows) in cases {
        assert_eq!(holds(source, Some(&identity)), expected, "{shows}: {source}");
    }
}

#[test]
fn whatever_fails_denies() {
    let cases = [
        ("identity.claims.phone == '1'", "a claim that is absent"),
        ("identity.claims.phone != '1'", "absent is not different"),
        ("!(identity.claims.phone == '1')", "nor the opposite of equal"),
        ("identity.claims.email > 5", "values that do not compare"),
        ("identity.claims.email", "a text is not true"),
        ("identity.claims.level", "nor is a number"),
        ("identity.claims.email.first == 'a'", "a text has no members"),
        ("identity.claims.groups[7] == 'x'", "past the end of a list"),
        ("1 / int(identity.claims.ratio) == 1", "division by zero"),
        ("9223372036854775807 + identity.claims.level > 0", "overflow"),
        ("identity.claims.groups.matches('x')", "a pattern on a list"),
        ("identity.also.nobody.subject == 'x'", "a branch that proved nothing"),
        ("!(request.headers['x-other'] == 'a')", "a header that is absent"),
        ("int(request.path) == 0", "a text that is no number"),
        ("identity.claims.phone == '1' && true", "an error joined with true"),
    ];
    let identity = identity();
    for (source, shows) in cases {
        assert!(!holds(source, Some(&identity)), "{shows}: {source}");
    }
}

#[test]
fn nobody_is_null_and_has_no_members() {
    let cases = [
        ("identity == null", true, "a public rule can tell"),
        ("identity != null && identity.subject == 'alice'", false, "and can be careful"),
        ("identity == null || identity.subject == 'alice'", true, "either way"),
        ("identity.subject == ''", false, "nobody has no subject, not an empty one"),
        ("!('x' in identity.scopes)", false, "nor an empty list of scopes"),
        ("request.method == 'POST'", true, "the request is there all the same"),
    ];
    for (source, expected, shows) in cases {
        assert_eq!(holds(source, None), expected, "{shows}: {source}");
    }
}

#[test]
fn a_moment_that_cannot_be_written_denies() {
    let condition = Condition::compile("now > timestamp('2020-01-01T00:00:00Z')").unwrap();
    let target = Target { path: "/".into(), query: None };
    let headers = HeaderMap::new();
    let request = RequestView {
        method: "GET",
        raw_target: "/",
        target: &target,
        host: "",
        headers: &headers,
        client: "::1".parse().unwrap(),
        secure: false,
        request_id: "",
    };
    assert!(condition.holds(None, &request, Timestamp(1_767_323_045)), "a moment of our century");
    assert!(!condition.holds(None, &request, Timestamp::END), "the end of time");
    assert!(!condition.holds(None, &request, Timestamp(i64::MIN)), "the beginning of time");
}

#[test]
fn a_condition_that_could_not_work_is_refused_when_read() {
    let many = format!("[{}] == []", vec!["1"; Condition::MAX_NODES].join(","));
    let deep = format!("{}true{}", "(".repeat(Condition::MAX_DEPTH + 1), ")".repeat(Condition::MAX_DEPTH + 1));
    let nots = format!("{}true", "!(!".repeat(Condition::MAX_DEPTH + 1));
    let long = format!("'{}' == ''", "a".repeat(Condition::MAX_SOURCE));
    let cases = [
        ("", "not a CEL expression", "nothing"),
        ("identity.subject ==", "not a CEL expression", "half an expression"),
        ("user.subject == 'x'", "but not `user`", "a name that does not exist"),
        ("identiy.subject == 'x'", "did you mean `identity`", "a slip"),
        ("identity.subjct == 'x'", "did you mean `subject`", "a slip in a member"),
        ("identity.email == 'x'", "under `identity.claims`", "a claim in the wrong place"),
        ("identity['email'] == 'x'", "under `identity.claims`", "written either way"),
        ("has(identity.email)", "under `identity.claims`", "or asked for"),
        ("request.query == 'x'", "`request` has no `query`", "rules never see the query"),
        ("request.body == 'x'", "`request` has no `body`", "nor the body"),
        ("request.headers['X-Tenant'] == 'x'", "write `x-tenant`", "header names are lower case"),
        ("request.headers.Tenant == 'x'", "write `tenant`", "as members"),
        ("'X-Tenant' in request.headers", "write `x-tenant`", "or asked for"),
        ("identity.subject", "must be true or false", "a text is no condition"),
        ("size(identity.scopes)", "must be true or false", "nor is a number"),
        ("identity.subject > 5", "could never be true", "values that do not compare"),
        ("true || identity.subject > 5", "could never be true", "behind an `||` too"),
        ("identity.subject.size() > 'a'", "could never be true", "inside a call"),
        ("startsWith('a')", "could never be true", "an argument too few"),
        ("identity.subject.lower() == 'x'", "no function `lower`", "a function that does not exist"),
        ("true || identity.subject.lower() == 'x'", "no function `lower`", "behind an `||` too"),
        ("identity.scopes.exists(s, s.lower() == 'x')", "no function `lower`", "inside a loop too"),
        ("identity.scopes.exists(identity, true)", "already has a meaning", "a loop that hides the caller"),
        ("identity.scopes.exists(s, t == s)", "but not `t`", "a loop with a stray name"),
        ("identity.scopes.exists(s, s == 'a') && s == 'a'", "but not `s`", "a name outside its loop"),
        ("request.path.matches('(')", "not a regular expression", "a broken pattern"),
        ("request.path.matches('(a{1000}){1000}')", "too large", "a pattern that would fill memory"),
        ("request.path.matches(identity.subject)", "must be written out", "a pattern from the caller"),
        ("matches('a')", "one text and one pattern", "half a pattern match"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "nest at most 2", "three loops inside one another"),
        ("google.protobuf.Duration{seconds: 1} == null", "no message types", "a message"),
        ("@pattern0 == null", "not a CEL expression", "a name that only we can write"),
        (&many, "more than 1024 parts", "too many parts"),
        (&deep, "nests brackets more than 32 deep", "too deep in brackets"),
        (&nots, "deep", "too deep by itself"),
        (&long, "at most 4096 are read", "too long"),
    ];
    for (source, says, shows) in cases {
        match Condition::compile(source) {
            Err(fault) => assert!(fault.contains(says), "{shows}: {source}: {fault}"),
            Ok(_) => panic!("{shows}: {source} was read"),
        }
    }
}

#[test]
fn what_only_the_caller_can_decide_is_not_refused_when_read() {
    for source in [
        "identity.claims.a.b.c == 1",
        "identity.claims.list[3] == 'x'",
        "identity.also.partner.claims.tier > 2",
        "request.headers['x-tenant'] == identity.claims.tenant",
        "identity.claims.ok",
        "10 / identity.claims.n > 1",
        "[1].all(a, [1].all(b, a == b))",
    ] {
        assert!(Condition::compile(source).is_ok(), "{source}");
    }
}

#[test]
fn a_condition_that_may_look_at_fields_says_so() {
    let rows = [
        ("request.headers['a'] == 'b'", true, "by name"),
        ("'a' in request.headers", true, "by asking"),
        ("request['headers']['a'] == 'b'", true, "by index"),
        ("request == request", true, "the whole request"),
        ("request . headers['a'] == 'b'", true, "with space between"),
        ("request.path == '/' && request.headers['a'] == 'b'", true, "after something else"),
        (
            "request.path == '/' && request.method == 'GET' && request.host == 'a' && request.client == 'b' && request.secure",
            false,
            "plain members",
        ),
        ("'chat:write' in identity.scopes", false, "no request at all"),
        ("true", false, "nothing"),
    ];
    for (source, reads, shows) in rows {
        if let Ok(condition) = Condition::compile(source) {
            assert_eq!(condition.reads_headers(), reads, "{shows}: {source}");
        } else {
            assert!(reads, "what cannot be written need not be known: {shows}: {source}");
        }
    }
}

//! Attacks on identity headers, hop-by-hop fields and forwarding claims: attack list section H.

use countersign::countersign::firewall::Firewall;

use crate::house::House;
use crate::support::upstream::Reply;

/// Fields as a client sends them.
type Fields<'a> = &'a [(&'a str, &'a str)];

#[tokio::test(flavor = "multi_thread")]
async fn no_client_byte_appears_in_an_identity_header() {
    let house = House::start("").await;
    // id, fields of the client, what the row shows
    let rows: [(&str, Fields<'_>, &str); 11] = [
        ("H1", &[("X-Auth-User", "admin")], "the header itself"),
        ("H3", &[("X_Auth_User", "admin")], "with underscores"),
        ("H4", &[("X.Auth.User", "admin")], "with dots"),
        ("H4", &[("X~Auth~User", "admin")], "with tildes"),
        ("H4", &[("X'Auth'User", "admin")], "with apostrophes"),
        ("H4", &[("X-Auth_User", "admin"), ("x!auth|user", "admin")], "mixed"),
        ("H5", &[("x-AUTH-user", "admin")], "in another case"),
        ("H6", &[("X-Auth-User", "admin"), ("X-Auth-User", "root")], "twice"),
        ("H6", &[("X-Auth-User", "admin, root")], "as a list"),
        ("H11", &[("X-Auth-Email", "admin@corp.example")], "one that this identity has no value for"),
        ("H25", &[("Cookie", "X-Auth-User=admin")], "as a cookie"),
    ];
    for (id, fields, shows) in rows {
        for (target, proven, user) in [("/api/x", true, &["acme"][..]), ("/public/x", false, &[]), ("/public/x", true, &[])] {
            let outcome = house.ask("GET", target, proven, fields).await;
            assert_eq!(outcome.status, 200, "{id} {shows}: {outcome:?}");
            let seen = outcome.seen.unwrap();
            assert_eq!(seen.fields("x-auth-user"), user, "{id}/H2 {shows} on {target}");
            let spelled: Vec<&str> = seen.head.split("\r\n").skip(1).filter(|line| line.to_lowercase().contains("auth")).collect();
            let ours = usize::from(!user.is_empty()) + usize::from(id == "H25");
            assert_eq!(spelled.len(), ours, "{id} {shows} on {target}: no look-alike beside it: {spelled:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let house = House::start("").await;
    let rows: [(&str, &str, &str); 17] = [
        ("H7", "X-Auth-User : admin\r\n", "a space before the colon"),
        ("H7", "A: b\r\n X-Auth-User: admin\r\n", "a folded line"),
        ("H7", "A: b\0\r\n", "NUL"),
        ("H7", "A: b\rX-Auth-User: admin\r\n", "a bare carriage return"),
        ("H8", "Connection: close, X-Auth-User\r\n", "an identity header nominated as hop-by-hop"),
        ("H8", "Connection: close\r\nConnection: x_auth_email\r\n", "in another spelling, on another line"),
        ("H9", "Connection: x-real-ip\r\n", "a forwarding header"),
        ("H9", "connection: x-forwarded-for\r\n", "in lower case"),
        ("H10", "Connection: authorization\r\n", "a credential"),
        ("H10", "Connection: server-key\r\n", "the one this conf reads"),
        ("H10", "Connection: server_key\r\n", "in another spelling"),
        ("H10", "Connection: cookie\r\n", "cookies"),
        ("H10", "Connection: host\r\n", "the host"),
        ("H10", "Connection: content-length\r\n", "the length"),
        ("H10", "Connection: :path\r\n", "a pseudo-header"),
        ("H20", "Connection: x-http-method-override\r\n", "a method override"),
        ("H28", "Connection: x-request-id\r\n", "the request's id"),
    ];
    for (id, line, shows) in rows {
        for target in ["/public/x", "/api/x"] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: proxy.test\r\n{line}\r\n");
            let outcome = house.send(head.as_bytes()).await;
            assert!(outcome.is_refused(400, "head_malformed"), "{id} {shows} on {target}: {outcome:?}");
        }
    }
    let aliases = |count: usize| -> Vec<(String, String)> {
        (0..count).map(|index| (["X-Auth-User", "X_Auth_User", "X.Auth.User"][index % 3].to_owned(), "admin".to_owned())).collect()
    };
    for (count, status, shows) in [(Firewall::MAX_STRIPPED, 200, "the bound"), (Firewall::MAX_STRIPPED + 1, 400, "one more")] {
        let fields = aliases(count);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(house.ask("GET", "/public/x", false, &fields).await.status, status, "H13 {shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_proxies_are_said_to_have_said_is_not_passed_on() {
    let house = House::start("").await;
    let rows: [(&str, &str, &str); 24] = [
        ("H16", "X-Forwarded-For", "10.0.0.1"),
        ("H16", "X_Forwarded_For", "10.0.0.1"),
        ("H16", "X-Real-IP", "10.0.0.1"),
        ("H16", "True-Client-IP", "10.0.0.1"),
        ("H17", "X-Forwarded-Proto", "spoofed"),
        ("H17", "X-Forwarded-Host", "evil.example"),
        ("H17", "X-Forwarded-Port", "1"),
        ("H17", "X-Forwarded-Prefix", "/admin"),
        ("H17", "X.Forwarded.Proto", "https"),
        ("H17", "Forwarded", "for=10.0.0.1;proto=spoofed"),
        ("H18", "X-Forwarded-Uri", "/public"),
        ("H18", "X-Original-URL", "/admin"),
        ("H18", "X-Rewrite-URL", "/admin"),
        ("H18", "X_Original_Url", "/admin"),
        ("H20", "X-HTTP-Method-Override", "DELETE"),
        ("H20", "X-HTTP-Method", "DELETE"),
        ("H20", "X-Method-Override", "DELETE"),
        ("H22", "X-Middleware-Subrequest", "1"),
        ("H23", "Proxy-Authorization", "Basic eA=="),
        ("H23", "WWW-Authenticate", "Basic"),
        ("-", "Proxy", "http://evil.example"),
        ("-", "X-Envoy-Original-Path", "/admin"),
        ("-", "X-Remote-User", "admin"),
        ("H28", "X_Request_Id", "abcdefghij"),
    ];
    for (id, name, value) in rows {
        let outcome = house.ask("GET", "/public/x", false, &[(name, value)]).await;
        assert_eq!(outcome.status, 200, "{id} {name}: {outcome:?}");
        let shown = outcome.shown(name).unwrap();
        assert!(!shown.iter().any(|shown| shown.contains(value)), "{id} {name}: {shown:?} reached the upstream");
        assert_eq!(outcome.shown("x-forwarded-for").unwrap(), ["127.0.0.1"], "{id} {name}: the address is the peer's");
        assert_eq!(outcome.shown("x-forwarded-proto").unwrap(), ["http"], "{id} {name}: the scheme is the connection's");
        assert_eq!(outcome.shown("x-forwarded-host").unwrap(), ["proxy.test"], "{id} {name}: the host is the request's");
    }

    let before = house.upstream.hits();
    for (id, fields) in [
        ("H18", [("X-Original-URL", "/public/x"), ("X-Rewrite-URL", "/public/x")]),
        ("H20", [("X-HTTP-Method-Override", "GET"), ("X-Method-Override", "GET")]),
        ("H21", [("User-Agent", "kube-probe/1.30"), ("User-Agent-Of", "ELB-HealthChecker/2.0")]),
        ("H22", [("X-Middleware-Subrequest", "middleware"), ("X-Internal-Request", "true")]),
        ("H16", [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")]),
    ] {
        let outcome = house.ask("GET", "/api/x", false, &fields).await;
        assert_eq!(
            (outcome.status, outcome.reason.as_str()),
            (401, "credential_missing"),
            "{id} no field leads around the guard: {fields:?}"
        );
    }
    assert_eq!(house.upstream.hits(), before, "and none of them reached the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_as_far_as_the_chain_of_trust_reaches() {
    let house = House::start("[127.0.0.0/8, 10.0.0.0/8]").await;
    let rows: [(Fields<'_>, &str, &str, &str); 6] = [
        (&[("X-Forwarded-For", "192.0.2.7")], "192.0.2.7, 127.0.0.1", "http", "its client"),
        (
            &[("X-Forwarded-For", "198.51.100.1, 192.0.2.7"), ("X-Forwarded-Proto", "https")],
            "192.0.2.7, 127.0.0.1",
            "https",
            "not its client's inventions",
        ),
        (&[("X-Forwarded-For", "192.0.2.7, 10.0.0.2")], "192.0.2.7, 10.0.0.2, 127.0.0.1", "http", "through another trusted proxy"),
        (&[("X-Forwarded-For", "unknown")], "127.0.0.1", "http", "a malformed entry ends the walk"),
        (&[("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=198.51.100.1")], "127.0.0.1", "http", "two dialects that disagree"),
        (&[("Forwarded", "for=192.0.2.7;proto=https")], "192.0.2.7, 127.0.0.1", "https", "RFC 7239"),
    ];
    for (fields, chain, scheme, shows) in rows {
        let outcome = house.ask("GET", "/public/x", false, fields).await;
        assert_eq!(outcome.shown("x-forwarded-for"), Some(vec![chain]), "H16 {shows}");
        assert_eq!(outcome.shown("x-forwarded-proto"), Some(vec![scheme]), "H17 {shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_stay_with_us_and_our_names_are_ours_in_answers_too() {
    let house = House::scripted("", |_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Auth-User: evil\r\nX-Auth-Email: e\r\nX-Other: kept\r\n\r\nok".to_vec())
    })
    .await;
    let outcome = house.ask("GET", "/api/x", true, &[("Server_Key", "look-alike"), ("Cookie", "a=1")]).await;
    assert_eq!(outcome.status, 200, "H14 {outcome:?}");
    assert_eq!(outcome.shown("cookie").unwrap(), ["a=1"], "H14 what was not used goes on");
    assert_eq!(outcome.shown("server-key").unwrap(), Vec::<&str>::new(), "H14 the credential is removed");
    assert_eq!(outcome.shown("server_key").unwrap(), Vec::<&str>::new(), "H14 in every spelling");
    let answer = outcome.answer.unwrap();
    assert_eq!(answer.field("x-other"), Some("kept"), "H15 the upstream's own fields pass");
    assert!(!answer.fields.iter().any(|(name, _)| name.to_lowercase().starts_with("x-auth-")), "H15 ours do not: {:?}", answer.fields);

    let trailers = b"POST /public/x HTTP/1.1\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth-User\r\n\r\n2\r\nok\r\n0\r\nX-Auth-User: admin\r\n\r\n";
    let outcome = house.send(trailers).await;
    assert_eq!(outcome.status, 200, "H12 {outcome:?}");
    let seen = outcome.seen.unwrap();
    let all = format!("{}{}", seen.head, String::from_utf8_lossy(&seen.body));
    assert!(!all.contains("admin"), "H12 a trailer is dropped: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_one_word_or_ours() {
    let house = House::start("").await;
    let long = "a".repeat(4096);
    for (sent, kept, shows) in [
        ("client-id-0001", true, "well formed"),
        (long.as_str(), false, "4 KiB"),
        ("a b c d e f", false, "with spaces"),
        ("x\"},{\"y\":1", false, "JSON"),
    ] {
        let outcome = house.ask("GET", "/public/x", false, &[("X-Request-Id", sent)]).await;
        let shown = outcome.shown("x-request-id").unwrap();
        assert_eq!(shown.len(), 1, "H28 one id: {shown:?}");
        assert_eq!(shown[0] == sent, kept, "H28 {shows}: {shown:?}");
        assert!(shown[0].len() <= 64, "H28 bounded");
    }
    let many = vec![("X-Filler", "1"); 257];
    let outcome = house.ask("GET", "/public/x", false, &many).await;
    assert_eq!((outcome.status, outcome.reached), (431, 0), "H24 257 fields");
    let large = "a".repeat(33 * 1024);
    let outcome = house.ask("GET", "/public/x", false, &[("X-Large", &large)]).await;
    assert_eq!((outcome.status, outcome.reached), (431, 0), "H24 a field of 33 KiB");
}

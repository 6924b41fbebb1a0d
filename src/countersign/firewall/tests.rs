//! Which names are one name, and which never pass.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{ALWAYS, ALWAYS_PREFIXES, Firewall, fold, reserved, same_folded};
use crate::domain::Refusal;

fn name(text: &str) -> HeaderName {
    HeaderName::from_bytes(text.as_bytes()).unwrap()
}

fn firewall() -> Firewall {
    Firewall::new(&[name("X-Auth-User"), name("x-tenant2"), name(&"l".repeat(70)), name("X-Emitted_With.Dots")])
}

#[test]
fn every_spelling_of_an_emitted_name_is_stripped() {
    let long = "L".repeat(70);
    let other_long = "l".repeat(71);
    let cases = [
        ("X-Auth-User", true, "as written"),
        ("x-AUTH-user", true, "in any case"),
        ("X_Auth_User", true, "with underscores"),
        ("X.Auth.User", true, "with dots"),
        ("X~Auth~User", true, "with tildes"),
        ("X'Auth'User", true, "with apostrophes"),
        ("X-Auth_User", true, "mixed"),
        ("x!auth|user", true, "with anything a name may hold"),
        ("X--Auth-User", false, "one byte more is another name to everybody"),
        ("XAuthUser", false, "as is one byte less"),
        ("X-Auth-Users", false, "and a longer word"),
        ("X-Auth-Uses", false, "and another word of the same length"),
        ("X-Tenant2", true, "digits are alphanumeric"),
        ("X-Tenant3", false, "and tell names apart"),
        ("x-emitted-with-dots", true, "an emitted name is folded itself"),
        (&long, true, "a name longer than the buffer"),
        (&other_long, false, "and one that is longer still"),
        ("accept", false, "an ordinary field"),
        ("x", false, "the shortest"),
        ("x-custom-header", false, "a field of somebody's own"),
        ("authorization", false, "credentials are removed by whoever read them"),
        ("cookie", false, "and so are cookies"),
    ];
    let firewall = firewall();
    for (field, expected, shows) in cases {
        assert_eq!(firewall.strips(&name(field)), expected, "{shows}: {field}");
    }
}

#[test]
fn claims_of_other_proxies_never_pass_whatever_the_conf_emits() {
    let firewall = Firewall::new(&[]);
    for field in [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Client-Cert",
        "x_forwarded_for",
        "X.Forwarded.Host",
        "X-Forwarded",
        "Forwarded",
        "X-Real-IP",
        "x_real_ip",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Original-URL",
        "X-Original-Uri",
        "X-Original-Method",
        "X-Rewrite-URL",
        "X_Rewrite_Url",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "x_http_method_override",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Proxy",
        "Proxy-Connection",
        "X-Middleware-Subrequest",
        "X-Envoy-Original-Path",
        "X-Remote-User",
        "Remote-User",
        "X-Request-Id",
        "X_Request_ID",
        "X-Auth-Subject",
        "x.auth.issuer",
        "X_AUTH_SCOPES",
        "X-Auth-Method",
        "X-Auth-Assertion",
        "X-SSL-Client-Cert",
        "SSL-Client-Verify",
        "X-Client-IP",
        "Front-End-Https",
    ] {
        assert!(firewall.strips(&name(field)), "{field}");
    }
    for field in [
        "Host",
        "Accept",
        "User-Agent",
        "X-Requested-With",
        "X-Csrf-Token",
        "X-Forward",
        "X-Auth-Token",
        "Via",
        "Origin",
        "X-Api-Key",
        "Forwarded-By",
        "Server-Key",
        "traceparent",
        "X-Realm",
        "Content-Type",
        "X-Remot",
    ] {
        assert!(!firewall.strips(&name(field)), "{field}");
    }
}

#[test]
fn a_head_full_of_aliases_is_refused_over_a_bound() {
    let head = |aliases: usize| {
        let mut headers = HeaderMap::new();
        for index in 0..aliases {
            // Distinct spellings of one name, and repetitions of one spelling, count alike.
            let spelling = ["x-auth-user", "x_auth_user", "x.auth.user", "x~auth-user"][index % 4];
            headers.append(name(spelling), HeaderValue::from_static("admin"));
        }
        headers.append(name("accept"), HeaderValue::from_static("*/*"));
        headers
    };
    let mut remove = Vec::new();
    assert_eq!(firewall().sweep(&head(Firewall::MAX_STRIPPED), &mut remove), Ok(()), "the bound itself");
    remove.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let removed: Vec<&str> = remove.iter().map(HeaderName::as_str).collect();
    assert_eq!(removed, ["x-auth-user", "x.auth.user", "x_auth_user", "x~auth-user"], "every spelling, once, and nothing else");
    assert_eq!(firewall().sweep(&head(Firewall::MAX_STRIPPED + 1), &mut Vec::new()), Err(Refusal::HeadMalformed), "one more");
}

#[test]
fn what_must_arrive_is_protected_from_nomination() {
    let firewall = firewall().with_credentials(&[name("X-Vendor-Key")]);
    for (field, expected) in [
        ("authorization", true),
        ("Server-Key", true),
        ("server_key", true),
        ("cookie", true),
        ("host", true),
        ("content-length", true),
        ("transfer-encoding", true),
        ("x-real-ip", true),
        ("X_Real_IP", true),
        ("x-auth-user", true),
        ("x-vendor-key", true),
        ("x.vendor.key", true),
        ("close", false),
        ("keep-alive", false),
        ("upgrade", false),
        ("te", false),
        ("http2-settings", false),
        ("x-custom-hop", false),
        ("proxy-connection", false),
    ] {
        assert_eq!(firewall.protects(&name(field)), expected, "{field}");
    }
}

#[test]
fn identity_may_not_be_written_where_something_else_is_read() {
    for field in [
        "Host",
        "content_length",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "Authorization",
        "X-Forwarded-For",
        "forwarded",
        "X-Request-Id",
    ] {
        assert!(reserved(&name(field)).is_some(), "{field}");
    }
    for field in ["X-Auth-Subject", "X-User", "Remote-User", "X-Remote-User", "Server-Key"] {
        assert_eq!(reserved(&name(field)), None, "{field}");
    }
}

#[test]
fn a_forgery_is_what_only_we_write_and_no_credential_of_the_clients_own() {
    let firewall = Firewall::new(&[name("x-user"), name("x-refresh")]).with_credentials(&[name("x-refresh"), name("app-key")]);
    let rows = [
        ("X-User", true, "a name that a rule emits"),
        ("x_user", true, "in another spelling"),
        ("X-Auth-Subject", true, "one that none does"),
        ("X-Forwarded-For", true, "another proxy's word"),
        ("X-Refresh", false, "stripped, but the client's own"),
        ("x_refresh", false, "in another spelling"),
        ("App-Key", false, "a credential that goes on"),
        ("Accept", false, "anything else"),
    ];
    for (field, forgery, shows) in rows {
        assert_eq!(firewall.is_forgery(&name(field)), forgery, "{shows}: {field}");
    }
}

proptest! {
    #[test]
    fn folding_twice_is_folding_once(text in "[ -~]{0,80}") {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once.clone());
        prop_assert!(same_folded(&text, &once));
    }

    #[test]
    fn the_quick_answer_is_the_slow_one(text in "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,80}", emitted in "[a-z-]{1,70}", use_emitted in any::<bool>()) {
        // Half of the time some spelling of the emitted name itself.
        let text = if use_emitted { emitted.replace('-', "_").to_uppercase() } else { text };
        let firewall = Firewall::new(&[name(&emitted)]);
        let folded = fold(&text);
        let slow = folded == fold(&emitted) || ALWAYS.contains(&folded.as_str()) || ALWAYS_PREFIXES.iter().any(|prefix| folded.starts_with(prefix));
        prop_assert_eq!(firewall.strips(&name(&text)), slow, "{}", text);
    }
}

//! Who is sent to log in, and that the way back never leaves this site.

use std::sync::LazyLock;

use http::HeaderMap;

use super::{LONGEST_RETURN, is_local, location, prefers_html, thousandths};
use crate::domain::{Doubt, Refusal, Timestamp};
use crate::edge::respond::AnswerRequest;

fn asking<'r>(method: &'r str, path_and_query: &'r str) -> AnswerRequest<'r> {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    AnswerRequest {
        method,
        accept: None,
        sec_fetch_mode: Some("navigate"),
        sec_fetch_dest: Some("document"),
        request_id: "r-1",
        path_and_query,
        headers: &NONE,
        now: Timestamp(0),
        body: None,
        system: None,
    }
}

fn sent_to(page: &str, refusal: &Refusal, request: &AnswerRequest<'_>) -> Option<String> {
    location(page, refusal, request).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn only_navigations_are_sent_to_log_in() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let rows = [
        // method, mode, dest, accept, is a navigation, what the row shows
        ("GET", Some("navigate"), Some("document"), None, true, "a browser's address bar"),
        ("GET", Some("navigate"), None, None, true, "a browser without Sec-Fetch-Dest"),
        ("POST", Some("navigate"), Some("document"), None, true, "a form that was posted"),
        ("GET", Some("navigate"), Some("iframe"), Some(BROWSER), false, "a frame inside another page"),
        ("GET", Some("cors"), Some("empty"), Some(BROWSER), false, "a script, whatever it accepts (L18)"),
        ("GET", Some("no-cors"), Some("image"), Some(BROWSER), false, "an image"),
        ("GET", None, Some("document"), Some(BROWSER), false, "half a statement is none"),
        ("GET", Some("Navigate"), Some("document"), Some(BROWSER), false, "the value is case-sensitive"),
        ("GET", None, None, Some(BROWSER), true, "an old browser"),
        ("HEAD", None, None, Some(BROWSER), true, "HEAD is answered as GET would be"),
        ("POST", None, None, Some(BROWSER), false, "an old browser's POST cannot be told from a script's"),
        ("GET", None, None, Some("*/*"), false, "curl"),
        ("GET", None, None, Some("application/json, text/html"), false, "JSON first"),
        ("GET", None, None, Some("application/json;q=0.5, text/html;q=0.9"), true, "HTML wanted more"),
        ("GET", None, None, None, false, "nothing said"),
    ];
    for (method, sec_fetch_mode, sec_fetch_dest, accept, expected, shows) in rows {
        let request = AnswerRequest { accept, sec_fetch_mode, sec_fetch_dest, ..asking(method, "/page") };
        assert_eq!(location("/login", &Refusal::CredentialMissing, &request).is_some(), expected, "{shows}");
    }
}

#[test]
fn the_way_back_is_a_path_of_this_site_or_the_root() {
    const ROOT: &str = "/login?return_to=%2F";
    let long = format!("/{}", "a".repeat(LONGEST_RETURN - 1));
    let longer = format!("{long}a");
    let long_back = format!("/login?return_to=%2F{}", "a".repeat(LONGEST_RETURN - 1));
    let rows = [
        ("/page", "/login?return_to=%2Fpage", "a plain path"),
        ("/a/b?x=1&y=%20", "/login?return_to=%2Fa%2Fb%3Fx%3D1%26y%3D%2520", "path and query are one value"),
        ("/a&admin=1", "/login?return_to=%2Fa%26admin%3D1", "no second parameter can be smuggled in"),
        ("/100%25", "/login?return_to=%2F100%2525", "an encoded percent sign is only that"),
        ("/go?to=//other.example", "/login?return_to=%2Fgo%3Fto%3D%2F%2Fother.example", "the query may hold anything"),
        ("/", ROOT, "the root itself"),
        (&long, &long_back, "the longest that is kept"),
        (&longer, ROOT, "one longer"),
        ("//evil.example", ROOT, "another host (L1)"),
        ("///evil.example", ROOT, "the same, once more"),
        ("/\\evil.example", ROOT, "a backslash is a slash to browsers (L1)"),
        ("/a\\b", ROOT, "nor anywhere else"),
        ("/%09/evil.example", ROOT, "an encoded tab is dropped by browsers (L1)"),
        ("/\t/evil.example", ROOT, "a tab itself (L1)"),
        ("/%5cevil.example", ROOT, "an encoded backslash"),
        ("/%2fevil.example", ROOT, "an encoded slash"),
        ("/%252fevil.example", ROOT, "encoded twice"),
        ("/%25252fevil.example", ROOT, "encoded three times"),
        ("/%2525252fevil.example", ROOT, "encoded more often than anyone reads"),
        ("/a/..//evil.example", ROOT, "a double slash behind dots"),
        ("/%0d%0aSet-Cookie:a=b", ROOT, "a header of its own"),
        ("/\r\nSet-Cookie: a=b", ROOT, "the same, raw"),
        ("/%ff", ROOT, "what is no text once decoded"),
        ("/%c2%85", ROOT, "a C1 control"),
        ("/gr\u{f6}\u{df}e", ROOT, "raw letters beyond ASCII"),
        ("/a#b", ROOT, "a fragment never belongs to a request"),
        ("https:evil.example", ROOT, "a scheme (L1)"),
        ("https://evil.example/", ROOT, "absolute form"),
        ("javascript:alert(1)", ROOT, "a script"),
        ("evil", ROOT, "no leading slash"),
        ("*", ROOT, "asterisk form"),
        ("", ROOT, "nothing"),
    ];
    for (target, expected, shows) in rows {
        let actual = sent_to("/login", &Refusal::CredentialMissing, &asking("GET", target));
        assert_eq!(actual.as_deref(), Some(expected), "{shows}: {target:?}");
    }
}

#[test]
fn a_query_that_may_hold_a_credential_is_not_passed_on() {
    let request = asking("GET", "/page?access_token=abc");
    let rows = [
        (Refusal::CredentialMissing, "/login?return_to=%2Fpage%3Faccess_token%3Dabc", "nothing of it was a credential here"),
        (Refusal::Doubted(Doubt::Expired(None)), "/login?return_to=%2Fpage", "an expired one may stand there"),
        (Refusal::Doubted(Doubt::SignatureInvalid), "/login?return_to=%2Fpage", "so may a wrong one"),
        (Refusal::RenewalRefused, "/login?return_to=%2Fpage", "so may one that could not be renewed"),
    ];
    for (refusal, expected, shows) in rows {
        assert_eq!(sent_to("/login", &refusal, &request).as_deref(), Some(expected), "{shows}");
    }
}

#[test]
fn the_way_back_joins_the_login_page_as_one_parameter() {
    let rows = [
        ("/login", "/login?return_to=%2Fp", "a path of ours"),
        ("https://id.example/in", "https://id.example/in?return_to=%2Fp", "another site, by the operator's word"),
        ("/login?lang=de", "/login?lang=de&return_to=%2Fp", "a page that has a query"),
        ("/login#top", "/login?return_to=%2Fp", "a fragment would swallow the parameter"),
    ];
    for (page, expected, shows) in rows {
        assert_eq!(sent_to(page, &Refusal::CredentialMissing, &asking("GET", "/p")).as_deref(), Some(expected), "{shows}");
    }
    assert_eq!(sent_to("/login\n", &Refusal::CredentialMissing, &asking("GET", "/p")), None, "a page that is no field value sends nobody");
    let posted = sent_to("/login", &Refusal::CredentialMissing, &asking("POST", "/transfer"));
    assert_eq!(posted.as_deref(), Some("/login?return_to=%2F"), "a POST cannot be come back to");
}

#[test]
fn accept_is_read_by_weight_and_then_by_order() {
    let rows = [
        ("text/html", true, "HTML alone"),
        ("TEXT/HTML", true, "types have no case"),
        ("application/xhtml+xml, application/json", true, "XHTML is HTML"),
        ("text/html;q=0.8, application/json;q=0.8", true, "equals: the first"),
        ("application/json;q=0.8, text/html;q=0.8", false, "equals, the other way round"),
        ("text/html;q=0", false, "not acceptable means not acceptable"),
        ("text/html;q=0.001", true, "the least weight there is"),
        ("text/html;q=abc, application/json;q=0.1", false, "a weight that is none weighs nothing"),
        ("text/html;charset=utf-8;q=0.9, application/json;q=0.95", false, "a weight behind another parameter"),
        ("", false, "empty"),
        (",,,", false, "only commas"),
        ("text/htmlx", false, "a longer name"),
    ];
    for (accept, expected, shows) in rows {
        assert_eq!(prefers_html(accept), expected, "{shows}: {accept}");
    }
}

#[test]
fn weights_are_thousandths_between_nought_and_one() {
    let rows = [
        ("1", 1000),
        ("1.000", 1000),
        ("1.001", 0),
        ("0", 0),
        ("0.5", 500),
        ("0.05", 50),
        ("0.999", 999),
        ("0.9999", 0),
        ("2", 0),
        ("-1", 0),
        ("0.-1", 0),
        ("", 0),
        ("1.", 1000),
    ];
    for (text, expected) in rows {
        assert_eq!(thousandths(text), expected, "{text}");
    }
}

#[test]
fn ordinary_paths_are_local() {
    for path in ["/", "/a", "/a/b.html", "/a%20b", "/%E6%BC%A2", "/~user/@x:y;z=1,2", "/a/../b"] {
        assert!(is_local(path), "{path}");
    }
}

//! What is taken off, what is refused, and which ids go along.

use std::sync::atomic::{AtomicU8, Ordering};

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{refuse_nominations, remove_credentials, request_id, same_origin, traceparent};
use crate::countersign::firewall::Firewall;
use crate::domain::{Place, Random, Refusal, RequestView, Target};

fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn view<'r>(method: &'r str, host: &'r str, secure: bool, headers: &'r HeaderMap, target: &'r Target) -> RequestView<'r> {
    RequestView { method, raw_target: "/", target, host, headers, client: "192.0.2.7".parse().unwrap(), secure, request_id: "id" }
}

/// Counts up from where it is set.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

#[test]
fn a_head_that_would_drop_what_must_arrive_is_refused() {
    let firewall = Firewall::new(&[HeaderName::from_static("x-auth-user")]).with_credentials(&[HeaderName::from_static("x-vendor-key")]);
    let sixteen = ["x-hop"; 16].join(", ");
    let cases: [(&[&str], bool, &str); 27] = [
        (&[], true, "no nominations"),
        (&["close"], true, "the usual"),
        (&["keep-alive, Upgrade"], true, "and the other"),
        (&["Upgrade, HTTP2-Settings"], true, "an upgrade we will not make"),
        (&["x-hop"], true, "a field of the client's own"),
        (&["", " , ,close"], true, "empty options are nothing"),
        (&["close, X-Auth-User"], false, "an identity header"),
        (&["close", "x_auth_user"], false, "in any spelling, on any line"),
        (&["x-real-ip"], false, "a forwarding header in lower case"),
        (&["X-Forwarded-For"], false, "and in capitals"),
        (&["authorization"], false, "the credential"),
        (&["Server-Key"], false, "the vendor's"),
        (&["x-vendor-key"], false, "the one this conf reads"),
        (&["cookie"], false, "cookies"),
        (&["host"], false, "the host"),
        (&["content-length"], false, "the framing"),
        (&["Transfer-Encoding"], false, "either of it"),
        (&["content-type"], false, "how the body is read"),
        (&["traceparent"], false, "the trace"),
        (&["x-request-id"], false, "the request's id"),
        (&[":path"], false, "a pseudo-header"),
        (&["close x-auth-user"], false, "no token"),
        (&["\"close\""], false, "a quoted string"),
        (&["clo\u{e9}"], false, "no text"),
        (&["x-http-method-override"], false, "a method override"),
        (&[&sixteen], true, "sixteen are the bound"),
        (&[&sixteen, "x-hop"], false, "and seventeen too many"),
    ];
    for (lines, passes, shows) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("connection", *line)).collect();
        let expected = if passes { Ok(()) } else { Err(Refusal::HeadMalformed) };
        assert_eq!(refuse_nominations(&head(&fields), &firewall), expected, "{shows}: {lines:?}");
    }
}

#[test]
fn a_credential_is_taken_out_of_every_place_it_stood_in() {
    let header = |name: &'static str| Place::Header(HeaderName::from_static(name));
    let cookie = |name: &str| Place::Cookie(name.into());
    let query = |name: &str| Place::Query(name.into());
    // places, fields, query, removed names, cookie that replaces the client's, query that is left
    type Row<'a> = (Vec<Place>, &'a [(&'a str, &'a str)], Option<&'a str>, &'a [&'a str], Option<&'a str>, Option<&'a str>, &'a str);
    let cases: Vec<Row<'_>> = vec![
        (vec![], &[("authorization", "Bearer x")], Some("a=1"), &[], None, Some("a=1"), "nothing was used, nothing goes"),
        (
            vec![header("authorization")],
            &[("authorization", "Bearer x"), ("accept", "a")],
            None,
            &["authorization"],
            None,
            None,
            "a header",
        ),
        (
            vec![header("server-key")],
            &[("server-key", "x"), ("server_key", "y"), ("server.key", "z"), ("serverkey", "w")],
            None,
            &["server-key", "server.key", "server_key"],
            None,
            None,
            "in every spelling that an upstream may take for it",
        ),
        (
            vec![header("instanceid"), header("instancekey")],
            &[("instanceid", "x"), ("instancekey", "y")],
            None,
            &["instanceid", "instancekey"],
            None,
            None,
            "both halves",
        ),
        (vec![cookie("rt")], &[("cookie", "rt=x")], None, &["cookie"], None, None, "the only cookie"),
        (vec![cookie("rt")], &[("cookie", "a=1; rt=x; b=2")], None, &[], Some("a=1; b=2"), None, "one of several"),
        (vec![cookie("rt")], &[("cookie", "rt=x;a=1;rt=y")], None, &[], Some("a=1"), None, "as often as it occurs"),
        (
            vec![cookie("rt")],
            &[("cookie", "a=1"), ("cookie", "rt=x"), ("cookie", "b=2")],
            None,
            &[],
            Some("a=1; b=2"),
            None,
            "on several lines",
        ),
        (vec![cookie("rt")], &[("cookie", "art=1; rt2=2; Rt=3; x=rt")], None, &[], Some("art=1; rt2=2; Rt=3; x=rt"), None, "no other name"),
        (
            vec![cookie("rt")],
            &[("cookie", " rt = x ;a=\"q;rt=z\"; b=c=d")],
            None,
            &[],
            Some("a=\"q; b=c=d"),
            None,
            "spaces and quotes hide nothing",
        ),
        (
            vec![cookie("rt")],
            &[("cookie", "rt; a=caf\u{e9}")],
            None,
            &[],
            Some("a=caf\u{e9}"),
            None,
            "without a value, beside bytes that are no text",
        ),
        (vec![cookie("rt")], &[], None, &[], None, None, "no cookies at all"),
        (
            vec![cookie("a"), header("cookie")],
            &[("cookie", "a=1; b=2")],
            None,
            &["cookie"],
            None,
            None,
            "all cookies, when the header was the credential",
        ),
        (vec![cookie("a"), cookie("b")], &[("cookie", "a=1; b=2; c=3")], None, &[], Some("c=3"), None, "two cookies"),
        (vec![query("token")], &[], Some("token=x"), &[], None, None, "the only parameter"),
        (vec![query("token")], &[], Some("a=1&token=x&b=%2f"), &[], None, Some("a=1&b=%2f"), "the rest stays byte for byte"),
        (vec![query("token")], &[], Some("token=x&&a&token=y"), &[], None, Some("&a"), "as often as it occurs"),
        (vec![query("token")], &[], Some("%74oken=x&t%6Fken"), &[], None, None, "however it is encoded"),
        (vec![query("token")], &[], Some("token=a+b&tok%FFen=1"), &[], None, Some("tok%FFen=1"), "a plus in the value; another name"),
        (vec![query("a b")], &[], Some("a+b=1&a%20b=2&ab=3"), &[], None, Some("ab=3"), "with spaces in its name"),
        (vec![query("token")], &[], Some("tokens=1&x=token"), &[], None, Some("tokens=1&x=token"), "no other name"),
        (vec![query("token")], &[], Some(""), &[], None, Some(""), "an empty query"),
        (vec![query("token")], &[], None, &[], None, None, "none"),
        (vec![Place::Body], &[("a", "b")], Some("a=1"), &[], None, Some("a=1"), "what stood in the body stays there"),
    ];
    for (places, fields, query, removed, replaced, left, shows) in cases {
        let headers = head(fields);
        let mut target = Target { path: "/p".into(), query: query.map(Into::into) };
        let original = target.clone();
        let (mut remove, mut set) = (Vec::new(), Vec::new());
        remove_credentials(&view("GET", "h", true, &headers, &original), places.iter(), &mut target, &mut remove, &mut set);
        remove.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(remove.iter().map(HeaderName::as_str).collect::<Vec<_>>(), removed, "{shows}");
        let cookies: Vec<_> = set.iter().map(|(name, value)| (name.clone(), value.as_bytes())).collect();
        let expected: Vec<_> = replaced.iter().map(|value| (COOKIE, value.as_bytes())).collect();
        assert_eq!(cookies, expected, "{shows}");
        assert!(set.iter().all(|(_, value)| value.is_sensitive()), "{shows}: cookies are not printed");
        assert_eq!((&*target.path, target.query.as_deref()), ("/p", left), "{shows}");
    }
}

#[test]
fn a_request_id_is_the_clients_when_it_is_well_formed() {
    const OURS: &str = "07070707070707070707070707070707";
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);
    let cases: [(&[&str], &str, &str); 12] = [
        (&["req-1234.A_b"], "req-1234.A_b", "taken over"),
        (&["12345678"], "12345678", "the shortest"),
        (&["1234567"], OURS, "one byte short"),
        (&[&longest], &longest, "the longest"),
        (&[&too_long], OURS, "one byte more"),
        (&[], OURS, "none"),
        (&[""], OURS, "empty"),
        (&["abcdefgh", "abcdefgh"], OURS, "two"),
        (&["abcd efgh"], OURS, "a space"),
        (&["abcd,efgh"], OURS, "a comma"),
        (&["{\"id\":\"12345\"}"], OURS, "what would speak to a log reader"),
        (&["abcdefg\u{e9}"], OURS, "no text"),
    ];
    for (sent, expected, shows) in cases {
        let fields: Vec<_> = sent.iter().map(|id| ("x-request-id", *id)).collect();
        assert_eq!(&*request_id(&head(&fields), &Counting(7.into())), expected, "{shows}");
    }
}

#[test]
fn a_sound_trace_goes_on_and_any_other_begins_anew() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let good = |version: &str, flags: &str| format!("{version}-{TRACE}-b7ad6b7169203331-{flags}");
    let next = |flags: &str| format!("00-{TRACE}-0707070707070707-{flags}");
    let fresh = "00-07070707070707070707070707070707-0707070707070707-00".to_owned();
    let cases = [
        (vec![good("00", "01")], next("01"), "one step on, still sampled"),
        (vec![good("00", "00")], next("00"), "still not sampled"),
        (vec![good("00", "ff")], next("01"), "of the flags we know one"),
        (vec![good("01", "01") + "-more"], next("01"), "a later version may say more"),
        (vec![good("cc", "01")], next("01"), "or not"),
        (vec![], fresh.clone(), "none"),
        (vec![good("00", "01"), good("00", "01")], fresh.clone(), "two"),
        (vec![good("ff", "01")], fresh.clone(), "version ff is forbidden"),
        (vec![good("00", "01") + "-more"], fresh.clone(), "version 00 says no more"),
        (vec![good("00", "01").to_uppercase()], fresh.clone(), "capitals"),
        (vec![good("00", "1")], fresh.clone(), "a short flag"),
        (vec![good("00", "0g")], fresh.clone(), "no hex"),
        (vec![good("0", "01")], fresh.clone(), "a short version"),
        (vec![format!("00-{}-b7ad6b7169203331-01", "0".repeat(32))], fresh.clone(), "no trace"),
        (vec![format!("00-{TRACE}-0000000000000000-01")], fresh.clone(), "no parent"),
        (vec![format!("00-{TRACE}0-b7ad6b7169203331-01")], fresh.clone(), "a long trace"),
        (vec![String::new()], fresh.clone(), "empty"),
        (vec!["00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()], fresh.clone(), "a sign"),
    ];
    for (sent, expected, shows) in cases {
        let fields: Vec<_> = sent.iter().map(|text| ("traceparent", text.as_str())).collect();
        let headers = head(&fields);
        let (value, continues) = traceparent(&headers, &Counting(7.into()));
        assert_eq!(value, expected, "{shows}: {sent:?}");
        assert_eq!(continues, expected != fresh, "{shows}: whether its state goes along");
    }
    let zeros = Counting(0.into());
    let (value, _) = traceparent(&HeaderMap::new(), &zeros);
    let ids: Vec<&str> = value.to_str().unwrap().split('-').skip(1).take(2).collect();
    assert!(ids.iter().all(|id| id.contains(|digit| digit != '0')), "a draw of zeros is not an id: {value:?}");
}

#[test]
fn an_unsafe_request_must_come_from_the_same_origin() {
    // method, secure, host, fields, verdict
    type Row<'a> = (&'a str, bool, &'a str, &'a [(&'a str, &'a str)], bool, &'a str);
    let cases: [Row<'_>; 28] = [
        ("GET", true, "a.example", &[("origin", "https://evil")], true, "safe methods change nothing"),
        ("HEAD", true, "a.example", &[], true, "HEAD too"),
        ("OPTIONS", true, "a.example", &[], true, "OPTIONS too"),
        ("get", true, "a.example", &[], false, "but only as they are written"),
        ("GET", true, "a.example", &[("upgrade", "websocket")], false, "a WebSocket of nobody knows whom"),
        ("GET", true, "a.example", &[("upgrade", "websocket"), ("origin", "https://evil")], false, "a WebSocket of a stranger's page"),
        ("GET", true, "a.example", &[("upgrade", "websocket"), ("sec-fetch-site", "cross-site")], false, "the browser says so"),
        ("GET", true, "a.example", &[("upgrade", "websocket"), ("origin", "https://a.example")], true, "a WebSocket of our own page"),
        ("POST", true, "a.example", &[], false, "no word from the browser"),
        ("POST", true, "a.example", &[("sec-fetch-site", "same-origin")], true, "the browser says so"),
        ("POST", true, "a.example", &[("sec-fetch-site", "none")], true, "the user's own doing"),
        ("POST", true, "a.example", &[("sec-fetch-site", "same-site")], false, "a neighbour"),
        ("POST", true, "a.example", &[("sec-fetch-site", "cross-site")], false, "a stranger"),
        ("POST", true, "a.example", &[("sec-fetch-site", "cross-site"), ("origin", "https://a.example")], false, "whatever the origin"),
        ("POST", true, "a.example", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false, "said twice"),
        ("POST", true, "a.example", &[("origin", "https://a.example")], true, "an older browser"),
        ("POST", true, "a.example", &[("origin", "https://A.example:443")], true, "in another spelling"),
        ("POST", true, "a.example", &[("origin", "http://a.example")], false, "a page that anybody on the way could write"),
        ("POST", false, "a.example", &[("origin", "http://a.example")], true, "where all is plain"),
        ("POST", false, "a.example", &[("origin", "https://a.example")], true, "or TLS ends before us"),
        ("POST", true, "a.example", &[("origin", "https://a.example.evil")], false, "a longer name"),
        ("POST", true, "a.example", &[("origin", "https://evil@a.example")], false, "user information"),
        ("POST", true, "a.example", &[("origin", "null")], false, "an opaque origin"),
        ("POST", true, "a.example", &[("origin", "https://a.example"), ("origin", "https://a.example")], false, "two origins"),
        ("POST", true, "", &[("origin", "https://")], false, "no host"),
        ("DELETE", true, "a.example", &[("origin", "https://a.example:8443"), ("host", "a.example")], false, "another port"),
        ("DELETE", true, "a.example", &[("origin", "https://a.example:8443"), ("host", "a.example:8443")], true, "the same port"),
        ("DELETE", true, "a.example", &[("origin", "https://a.example"), ("host", "a.example:443")], true, "the usual one, written or not"),
    ];
    let target = Target { path: "/".into(), query: None };
    for (method, secure, host, fields, expected, shows) in cases {
        let headers = head(fields);
        assert_eq!(same_origin(&view(method, host, secure, &headers, &target)), expected, "{shows}: {method} {fields:?}");
    }
}

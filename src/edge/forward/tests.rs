//! What an upstream is sent: hop-by-hop fields gone, ours set, the framing rewritten.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use super::{apply, clean_response, clean_trailers, hand_back};
use crate::domain::Target;
use crate::edge::upstream::{HostShown, ServerOptions, UpstreamOptions, Upstreams};
use crate::gate::verdict::Admission;

fn upstreams(host: HostShown) -> Arc<Upstreams> {
    let options = UpstreamOptions {
        name: "app".into(),
        servers: vec![ServerOptions { host: "10.0.0.1".into(), port: 8080, authority: "inner:8080".into() }],
        tls: None,
        connect_timeout: Duration::from_secs(1),
        tls_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        tries: 1,
        host,
        most_in_flight: None,
        http2: false,
    };
    Upstreams::new(vec![options]).unwrap()
}

fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"http://a/%61?b", None).unwrap();
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    request
}

fn applied(admission: &Admission, host: HostShown, fields: &[(&'static str, &str)]) -> RequestHeader {
    let upstreams = upstreams(host);
    let upstream = upstreams.get(0).unwrap();
    let address = upstream.pick(&[], 0).unwrap();
    let mut request = request(fields);
    apply(admission, upstream, &address, Version::HTTP_11, &mut request).unwrap();
    request
}

fn all<'r>(request: &'r RequestHeader, name: &str) -> Vec<&'r str> {
    request.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

fn admission() -> Admission {
    Admission::unjudged(0, Target { path: "/a".into(), query: Some("b".into()) })
}

#[test]
fn what_goes_upstream_is_what_was_judged() {
    let request = applied(&admission(), HostShown::Preserved, &[("host", "a"), ("expect", "100-continue"), ("x", "1")]);
    assert_eq!(request.raw_path(), b"/a?b", "the judged target, to the byte");
    assert_eq!(all(&request, "host"), ["a"], "the client's host");
    assert_eq!(all(&request, "expect"), [""; 0], "the upstream is not made to wait");
    assert_eq!(all(&request, "x"), ["1"], "what nobody named passes");

    let request = applied(&admission(), HostShown::Own, &[("host", "a")]);
    assert_eq!(all(&request, "host"), ["inner:8080"], "the server's own host, where the conf says so");
}

#[test]
fn a_host_that_only_the_target_names_is_not_lost_with_it() {
    let rows = [
        (HostShown::Preserved, None, None, "a:81", "as over HTTP/2"),
        (HostShown::Preserved, Some("a"), None, "a", "a field stands as it came"),
        (HostShown::Preserved, None, Some("judged"), "judged", "the gate's word goes before"),
        (HostShown::Own, None, None, "inner:8080", "the server's own, where the conf says so"),
    ];
    for (shown, field, judged, expected, shows) in rows {
        let upstreams = upstreams(shown);
        let upstream = upstreams.get(0).unwrap();
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_uri("https://a:81/x".parse().unwrap());
        if let Some(field) = field {
            request.insert_header("host", field).unwrap();
        }
        let admission = Admission { host: judged.map(HeaderValue::from_static), ..admission() };
        apply(&admission, upstream, &upstream.pick(&[], 0).unwrap(), Version::HTTP_2, &mut request).unwrap();
        assert_eq!(all(&request, "host"), [expected], "{shows}");
        assert_eq!(request.raw_path(), b"/a?b", "{shows}: the judged target");
    }
}

#[test]
fn the_upstream_is_told_that_and_how_the_request_came_through_here() {
    let upstreams = upstreams(HostShown::Preserved);
    let upstream = upstreams.get(0).unwrap();
    let rows: [(Version, &[&str], &[&str], &str); 4] = [
        (Version::HTTP_11, &[], &["1.1 countersign"], "an entry of ours"),
        (Version::HTTP_10, &[], &["1.0 countersign"], "with the version received"),
        (Version::HTTP_2, &[], &["2.0 countersign"], "whatever is spoken to the upstream"),
        (Version::HTTP_11, &["1.1 a, 2.0 b"], &["1.1 a, 2.0 b", "1.1 countersign"], "behind those before us"),
    ];
    for (received, sent, expected, shows) in rows {
        let fields: Vec<_> = sent.iter().map(|via| ("via", *via)).collect();
        let mut request = request(&fields);
        apply(&admission(), upstream, &upstream.pick(&[], 0).unwrap(), received, &mut request).unwrap();
        assert_eq!(all(&request, "via"), expected, "{shows}");
    }
}

#[test]
fn removal_comes_before_setting() {
    let mut admission = admission();
    let name = HeaderName::from_static("x-auth-subject");
    admission.remove = vec![name.clone(), HeaderName::from_static("x_auth_subject")];
    admission.set = vec![(name, HeaderValue::from_static("alice"))];
    let fields = [("host", "a"), ("x-auth-subject", "m"), ("X-Auth-Subject", "n"), ("x_auth_subject", "o")];
    let request = applied(&admission, HostShown::Preserved, &fields);
    assert_eq!(all(&request, "x-auth-subject"), ["alice"], "ours, once");
    assert_eq!(all(&request, "x_auth_subject"), [""; 0], "no look-alike");
}

#[test]
fn cookies_become_one_field() {
    let rows: &[(&[&str], &[&str], &str)] =
        &[(&[], &[], "none"), (&["a=1"], &["a=1"], "one"), (&["a=1", "b=2", "c=3; d=4"], &["a=1; b=2; c=3; d=4"], "several")];
    for (cookies, expected, shows) in rows {
        let fields: Vec<_> = cookies.iter().map(|cookie| ("cookie", *cookie)).collect();
        assert_eq!(all(&applied(&admission(), HostShown::Preserved, &fields), "cookie"), *expected, "{shows}");
    }
}

#[test]
fn an_upstream_does_not_speak_in_our_headers() {
    let mut admission = admission();
    admission.remove_from_response = Arc::from([HeaderName::from_static("x-auth-subject")]);
    let mut response = ResponseHeader::build(200, None).unwrap();
    response.append_header("X-Auth-Subject", "root").unwrap();
    let rows = [
        ("x-auth-subject", false, "a second one"),
        ("x_auth_subject", false, "underscores"),
        ("X.Auth~Subject", false, "other bytes that folding makes alike"),
        ("xauthsubject", true, "another name"),
        ("x-auth-subject-2", true, "a longer name"),
        ("x", true, "a name of the upstream's own"),
    ];
    let mut trailers = HeaderMap::new();
    for (name, _, _) in rows {
        response.append_header(name, "root").unwrap();
        trailers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("root"));
    }
    clean_response(&admission, &mut response);
    clean_trailers(&admission, &mut trailers);
    for (name, stays, shows) in rows {
        assert_eq!(response.headers.contains_key(name), stays, "{shows}");
        assert_eq!(trailers.contains_key(name), stays, "{shows}, as a trailer");
    }
}

#[test]
fn a_fresh_pair_is_handed_back_but_what_the_upstream_says_of_its_cookies_counts() {
    let ours: [(HeaderName, HeaderValue); 4] = [
        (HeaderName::from_static("set-cookie"), HeaderValue::from_static("at=new; Path=/")),
        (HeaderName::from_static("set-cookie"), HeaderValue::from_static("rt=new; Path=/")),
        (HeaderName::from_static("x-renewed-expires-in"), HeaderValue::from_static("60")),
        (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")),
    ];
    // what the upstream says, cookies of the answer, what it shows
    let rows: [(&[(&'static str, &str)], &str, &str); 8] = [
        (&[], "at=new; Path=/|rt=new; Path=/", "nothing"),
        (&[("set-cookie", "at=bert; Path=/"), ("set-cookie", "rt=bert")], "at=bert; Path=/|rt=bert", "somebody has just logged in"),
        (
            &[("set-cookie", "at=bert"), ("set-cookie", "x=1"), ("x-renewed-expires-in", "9")],
            "at=bert|x=1|rt=new; Path=/",
            "of one of the two",
        ),
        (&[("set-cookie", "at=; Max-Age=0")], "at=; Max-Age=0|rt=new; Path=/", "L11 one is taken away"),
        (
            &[("set-cookie", "at=gone; max-age = 0; Path=/"), ("set-cookie", "rt=gone; Path=/; MAX-AGE=-1")],
            "at=gone; max-age = 0; Path=/|rt=gone; Path=/; MAX-AGE=-1",
            "L11 both are",
        ),
        (
            &[("set-cookie", "at=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT")],
            "at=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT|rt=new; Path=/",
            "L11 by a date, with whatever value",
        ),
        (&[("set-cookie", "bat=; Max-Age=0")], "bat=; Max-Age=0|at=new; Path=/|rt=new; Path=/", "another cookie is"),
        (&[("set-cookie", "AT=; Max-Age=0")], "AT=; Max-Age=0|at=new; Path=/|rt=new; Path=/", "names have a case"),
    ];
    for (theirs, expected, shows) in rows {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in theirs {
            response.append_header(*name, *value).unwrap();
        }
        hand_back(&ours, &mut response).unwrap();
        let cookies: Vec<_> = response.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(cookies.join("|"), expected, "{shows}");
        assert_eq!(response.headers["cache-control"], "no-store", "{shows}");
        assert_eq!(response.headers["x-renewed-expires-in"], "60", "{shows}: headers are ours alone");
    }
}

#[test]
fn no_cache_is_told_otherwise_beside_a_fresh_pair() {
    let says = [
        "Cache-Control",
        "CDN-Cache-Control",
        "Cloudflare-CDN-Cache-Control",
        "Surrogate-Control",
        "X-Accel-Expires",
        "Edge-Control",
        "ETag",
    ];
    let said = || {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for name in says {
            response.append_header(name, "max-age=600").unwrap();
        }
        response
    };
    let mut untouched = said();
    hand_back(&[], &mut untouched).unwrap();
    assert_eq!(untouched.headers, said().headers, "nothing is handed back, so nothing is touched");
    let mut response = said();
    hand_back(&[(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"))], &mut response).unwrap();
    let left: Vec<_> = response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"cache-control: no-store".to_owned()) && left.contains(&"etag: max-age=600".to_owned()), "{left:?}");
}

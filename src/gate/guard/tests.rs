//! What a guard's pass makes of a permit; beside it, what guards are shown and what is remembered for them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::apply;
use crate::domain::{RequestView, Target};
use crate::gate::verdict::Admission;
use crate::systems::contract::Pass;

mod court;
mod judged;
mod remembered;
mod served;

const APP_KEY: HeaderName = HeaderName::from_static("app-key");

fn passed(query: Option<&str>, before: Admission, pass: &Pass) -> Admission {
    passed_with(&HeaderMap::new(), query, before, pass)
}

fn passed_with(headers: &HeaderMap, query: Option<&str>, before: Admission, pass: &Pass) -> Admission {
    let target = Target { path: "/connect".into(), query: query.map(Into::into) };
    let raw = target.wire().into_owned();
    let request = RequestView {
        method: "GET",
        raw_target: &raw,
        target: &target,
        host: "chat.example",
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secure: true,
        request_id: "r-1",
    };
    let mut admission = Admission { target: target.clone(), ..before };
    apply(pass, &request, &mut admission);
    admission
}

fn permit() -> Admission {
    Admission::unjudged(0, Target { path: "/".into(), query: None })
}

#[test]
fn a_pass_without_wishes_changes_nothing() {
    let set = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer ours"))];
    let admission = passed(Some("a=1&b=2"), Admission { set: set.clone(), ..permit() }, &Pass::default());
    assert_eq!((admission.target.query.as_deref(), &admission.set, &admission.body), (Some("a=1&b=2"), &set, &None));
    assert!(admission.remove.is_empty());
}

#[test]
fn what_stood_in_the_query_is_taken_out_in_every_spelling() {
    let pass = Pass { remove_query: vec![Cow::Borrowed("authorization"), Cow::Borrowed("App-Key")], ..Pass::default() };
    let rows = [
        ("authorization=Bearer%20x", None, "nothing is left, and no `?` either"),
        ("a=1&authorization=x&b=2", Some("a=1&b=2"), "one among others"),
        ("authorizatio%6e=x&a=1&App%2DKey=y&authorization=z", Some("a=1"), "escaped, and twice"),
        ("Authorization=x", Some("Authorization=x"), "another name"),
    ];
    for (query, expected, shows) in rows {
        assert_eq!(passed(Some(query), permit(), &pass).target.query.as_deref(), expected, "{shows}");
    }
}

#[test]
fn what_is_set_replaces_what_was_written_before_and_what_is_removed_is_not_written() {
    let before = Admission {
        set: vec![(AUTHORIZATION, HeaderValue::from_static("Bearer earlier")), (COOKIE, HeaderValue::from_static("a=1"))],
        ..permit()
    };
    let pass = Pass {
        set: vec![(AUTHORIZATION, HeaderValue::from_static("Bearer later")), (APP_KEY, HeaderValue::from_static("ours"))],
        remove: vec![COOKIE],
        body: Some(Bytes::from_static(b"{}")),
        ..Pass::default()
    };
    let admission = passed(None, before, &pass);
    assert_eq!(
        admission.set,
        [(AUTHORIZATION, HeaderValue::from_static("Bearer later")), (APP_KEY, HeaderValue::from_static("ours"))],
        "each once, the later one"
    );
    assert_eq!(admission.remove, [COOKIE]);
    assert_eq!(admission.body.as_deref(), Some(&b"{}"[..]));
}

#[test]
fn a_field_goes_in_every_spelling_also_where_ours_is_set_in_its_place() {
    let theirs = HeaderMap::from_iter(
        ["app-key", "app_key", "App.Key", "x-other"]
            .map(|name| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("theirs"))),
    );
    let set = Pass { set: vec![(APP_KEY, HeaderValue::from_static("ours"))], ..Pass::default() };
    let removed = Pass { remove: vec![APP_KEY], ..Pass::default() };
    for (pass, shows) in [(set, "set"), (removed, "removed")] {
        let admission = passed_with(&theirs, None, permit(), &pass);
        let mut gone: Vec<&str> = admission.remove.iter().map(HeaderName::as_str).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["app-key", "app.key", "app_key"], "{shows}");
    }
}

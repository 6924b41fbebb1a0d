//! What stands in bodies of each kind.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Body, Kind, body, kind_of};
use crate::domain::{Doubt, Facts, RequestView, Target};

const ALL: &[Kind] = &[Kind::Form, Kind::Json, Kind::Xml];
const FORM: &str = "application/x-www-form-urlencoded";

fn asked<T>(fields: &[(HeaderName, &str)], ask: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let headers: HeaderMap = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
    let target = Target { path: "/".into(), query: None };
    ask(&RequestView {
        method: "POST",
        raw_target: "/",
        target: &target,
        host: "app.example",
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secure: true,
        request_id: "r-1",
    })
}

/// What is called `token` in `text`, sent as `kind`.
fn found(kind: &str, text: &[u8]) -> Result<Option<String>, Doubt> {
    let mut facts = Facts::default();
    facts.add_body(Bytes::copy_from_slice(text));
    let text = asked(&[(CONTENT_TYPE, kind)], |request| body(|_| true, request, &facts)?.text("token"))?;
    Ok(text.map(std::borrow::Cow::into_owned))
}

#[test]
fn a_body_is_of_the_kind_that_it_says_or_of_none() {
    let (form, json, xml) = (Ok(Some(Kind::Form)), Ok(Some(Kind::Json)), Ok(Some(Kind::Xml)));
    let malformed = Err(Doubt::Malformed);
    let rows: [(&[(HeaderName, &str)], &[Kind], Result<Option<Kind>, Doubt>, &str); 17] = [
        (&[], ALL, Ok(None), "nothing is said"),
        (&[(CONTENT_TYPE, FORM)], ALL, form.clone(), "a form"),
        (&[(CONTENT_TYPE, "Application/X-WWW-Form-Urlencoded ; charset=\"UTF-8\"")], ALL, form.clone(), "in another spelling"),
        (&[(CONTENT_TYPE, "application/json")], ALL, json.clone(), "JSON"),
        (&[(CONTENT_TYPE, "text/json")], ALL, json.clone(), "an older name"),
        (&[(CONTENT_TYPE, "application/vnd.api+json")], ALL, json, "a kind of JSON"),
        (&[(CONTENT_TYPE, "application/xml;charset=us-ascii")], ALL, xml.clone(), "XML"),
        (&[(CONTENT_TYPE, "text/xml")], ALL, xml.clone(), "an older name"),
        (&[(CONTENT_TYPE, "application/soap+xml")], ALL, xml, "a kind of XML"),
        (&[(CONTENT_TYPE, "text/plain")], ALL, Ok(None), "something else"),
        (&[(CONTENT_TYPE, "application/json")], &[Kind::Form], Ok(None), "one that is not looked at"),
        (&[(CONTENT_TYPE, "application/json; charset=utf-16")], &[Kind::Form], Ok(None), "whatever it is written in"),
        (&[(CONTENT_TYPE, FORM), (CONTENT_TYPE, FORM)], &[], Ok(None), "where none is looked at, nothing is asked"),
        (&[(CONTENT_TYPE, FORM), (CONTENT_TYPE, FORM)], ALL, Err(Doubt::Conflict), "said twice"),
        (&[(CONTENT_TYPE, "text/xml; charset=utf-16")], ALL, malformed.clone(), "another charset"),
        (&[(CONTENT_TYPE, FORM), (CONTENT_ENCODING, "gzip")], ALL, malformed, "a coding"),
        (&[(CONTENT_TYPE, FORM), (CONTENT_ENCODING, "identity")], ALL, form, "the coding that is none"),
    ];
    for (fields, kinds, expected, shows) in rows {
        assert_eq!(asked(fields, |request| kind_of(|kind| kinds.contains(&kind), request)), expected, "{shows}");
    }
    let unread = asked(&[(CONTENT_TYPE, FORM)], |request| body(|_| true, request, &Facts::default()).unwrap() == Body::Unread);
    assert!(unread, "one that has to be asked for");
}

#[test]
fn a_text_stands_in_a_body_once_or_it_is_refused() {
    let (json, conflict, malformed) = ("application/json", Err(Doubt::Conflict), Err(Doubt::Malformed));
    let here = Ok(Some("a.b.c".to_owned()));
    let rows: [(&str, &[u8], Result<Option<String>, Doubt>, &str); 16] = [
        (FORM, b"a=1&tok%65n=a.b.c", here.clone(), "a form"),
        (FORM, b"Token=a.b.c", Ok(None), "names are case-sensitive"),
        (FORM, b"token=a&token=a", conflict.clone(), "twice, even alike"),
        (FORM, b"token=", malformed.clone(), "empty"),
        (FORM, b"token=\xff", malformed.clone(), "not UTF-8"),
        (json, br#"{"token":"a.b.c"}"#, here, "JSON"),
        (json, br#"{"x":{"token":"a.b.c"}}"#, Ok(None), "not within another member"),
        (json, br#"{"token":"a","tok\u0065n":"b"}"#, conflict, "twice in another spelling"),
        (json, br#"{"token":["a"]}"#, malformed.clone(), "a list"),
        (json, br#"{"token":""}"#, malformed.clone(), "empty"),
        (json, br#"{"token":7}"#, malformed.clone(), "a number is no text"),
        (json, br#"["token","a"]"#, Ok(None), "no object"),
        (json, b"", Ok(None), "nothing at all"),
        (json, b"{", malformed.clone(), "cut short"),
        ("text/xml", b"", Ok(None), "no document at all"),
        ("text/xml", b"\xff", malformed, "not UTF-8"),
    ];
    for (kind, text, expected, shows) in rows {
        assert_eq!(found(kind, text), expected, "{shows}");
    }
    let mut facts = Facts::default();
    facts.add_body(Bytes::from_static(br#"{"token":17,"other":-1,"more":"x"}"#));
    asked(&[(CONTENT_TYPE, json)], |request| {
        let body = body(|_| true, request, &facts).unwrap();
        assert_eq!(body.text_or_number("token"), Ok(Some("17".into())), "a number stands for its digits");
        assert_eq!(body.text_or_number("other"), Err(Doubt::Malformed), "one with a sign does not");
        assert_eq!(body.text_or_number("more"), Ok(Some("x".into())), "and a text for itself");
    });
}

#[test]
fn an_element_of_xml_is_found_wherever_it_stands() {
    let deep = |depth: usize| format!("{}<token>a.b.c</token>{}", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
    let (deepest, deeper) = (deep(100), deep(101));
    let (here, conflict, malformed) = (Ok(Some("a.b.c".to_owned())), Err(Doubt::Conflict), Err(Doubt::Malformed));
    let rows: [(&str, Result<Option<String>, Doubt>, &str); 40] = [
        ("<token>a.b.c</token>", here.clone(), "the document itself"),
        ("<a><b/><token>a.b.c</token></a>", here.clone(), "among others"),
        ("<a><b><token >a.b.c</token ></b></a>\n", here.clone(), "within others"),
        ("<x:a xmlns:x='u'><x:token>a.b.c</x:token></x:a>", here.clone(), "in a namespace"),
        ("<a><token type=\"x>y\" b='<'/></a>", malformed.clone(), "an attribute with the beginning of a tag in it"),
        ("<a><token type=\"x>y\">a.b.c</token></a>", here.clone(), "or with the end of one"),
        (
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- <token>x</token> --><token>a.b.c</token>",
            here.clone(),
            "behind a prologue",
        ),
        ("<?xml version='1.0' encoding = 'utf-8'?><a/>", Ok(None), "no such element"),
        ("<a><Token>x</Token><tokens>y</tokens></a>", Ok(None), "other names"),
        ("<a token='x'/>", Ok(None), "an attribute is no element"),
        ("<a><![CDATA[<token>x</token>]]></a>", Ok(None), "what is only quoted"),
        ("<a>&lt;token&gt;x</a>", Ok(None), "what is only written about"),
        (&deepest, here, "a hundred levels"),
        (&deeper, malformed.clone(), "and one more"),
        ("<a><token>x</token><token>y</token></a>", conflict.clone(), "two of them"),
        ("<a><x:token>x</x:token><token>x</token></a>", conflict, "even alike, in whatever namespace"),
        ("<token></token>", malformed.clone(), "nothing in it"),
        ("<token/>", malformed.clone(), "nothing in it, in short"),
        ("<token>a<b>c</b></token>", malformed.clone(), "an element in it"),
        ("<token>a<!-- x -->b</token>", malformed.clone(), "a comment in it"),
        ("<token><![CDATA[a]]></token>", malformed.clone(), "quoted text in it"),
        ("<token>a&#46;b</token>", malformed.clone(), "a reference in it"),
        ("<token>a<token>b</token></token>", malformed.clone(), "itself in it"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", malformed.clone(), "a document type (XXE)"),
        ("<!DOCTYPE a><a/>", malformed.clone(), "even an empty one"),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", malformed.clone(), "another encoding"),
        ("<?xml version='1.0' encoding?><a/>", malformed.clone(), "none"),
        ("<a>", malformed.clone(), "no end"),
        ("<a></b>", malformed.clone(), "another end"),
        ("</a>", malformed.clone(), "an end alone"),
        ("<a></a><b/>", malformed.clone(), "two documents"),
        ("<a/>x", malformed.clone(), "text behind it"),
        ("x<a/>", malformed.clone(), "text before it"),
        ("<a", malformed.clone(), "half a tag"),
        ("<a b='><token>x</token>", malformed.clone(), "a quote that does not end"),
        ("<a><!-- <token>x</token></a>", malformed.clone(), "a comment that does not end"),
        ("<a><!-- -- --></a>", malformed.clone(), "a comment in a comment"),
        ("< a/>", malformed.clone(), "a space before the name"),
        ("<a:/>", malformed.clone(), "a prefix alone"),
        ("  ", malformed, "no document"),
    ];
    for (text, expected, shows) in rows {
        assert_eq!(found("application/xml", text.as_bytes()), expected, "{shows}: {text}");
    }
}

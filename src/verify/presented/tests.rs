//! Tables of what each place reads as.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Doubt, Place, RequestView, Target};
use crate::settings::{Checking, Faults, Material, Names, Node, NodeValue, Span};
use crate::verify::presented::{Presented, Source, find_one, is_token68, plan_sources};

/// A field of a row: its name and its value.
type Field = (&'static str, &'static [u8]);

/// What a row expects: nothing, a text from that many places, or a doubt.
#[derive(Debug, PartialEq)]
enum Read {
    Nothing,
    Text(&'static str, usize),
    Doubt(Doubt),
}

fn read(sources: &[Source], fields: &[(&'static str, &[u8])], query: Option<&str>) -> (String, usize, Option<Doubt>) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    let target = Target { path: "/".into(), query: query.map(Into::into) };
    let view = RequestView {
        method: "GET",
        raw_target: "/",
        target: &target,
        host: "a.example",
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secure: true,
        request_id: "1",
    };
    match find_one(sources, &view) {
        Presented::Absent => (String::new(), 0, None),
        Presented::One { text, places } => (text.into_owned(), places.len(), None),
        Presented::Unreadable(doubt) => (String::new(), 0, Some(doubt)),
    }
}

fn check(sources: &[Source], fields: &[(&'static str, &[u8])], query: Option<&str>, expected: Read, shows: &str) {
    let expected = match expected {
        Read::Nothing => (String::new(), 0, None),
        Read::Text(text, places) => (text.to_owned(), places, None),
        Read::Doubt(doubt) => (String::new(), 0, Some(doubt)),
    };
    assert_eq!(read(sources, fields, query), expected, "{shows} ({fields:?} {query:?})");
}

const CONFLICT: Read = Read::Doubt(Doubt::Conflict);
const MALFORMED: Read = Read::Doubt(Doubt::Malformed);

#[test]
fn a_bearer_is_one_token68_after_one_space() {
    let rows: [(&[&str], Read, &str); 27] = [
        (&[], Read::Nothing, "no field"),
        (&["Bearer abc"], Read::Text("abc", 1), "plain"),
        (&["bEARER abc"], Read::Text("abc", 1), "the auth-scheme has no case"),
        (&["Bearer a.b_c-d~e+f/g=="], Read::Text("a.b_c-d~e+f/g==", 1), "every character of token68"),
        (&["Bearer a=b"], MALFORMED, "padding stands at the end only"),
        (&["Bearer =="], MALFORMED, "nothing but padding"),
        (&["Bearer  abc"], MALFORMED, "two spaces"),
        (&["Bearer\tabc"], MALFORMED, "a tab is no space"),
        (&["Bearer abc "], MALFORMED, "trailing space"),
        (&["Bearer abc def"], MALFORMED, "two words"),
        (&["Bearer"], MALFORMED, "no credentials at all"),
        (&["Bearer "], MALFORMED, "empty credentials"),
        (&["Bearer:abc"], MALFORMED, "a colon after the auth-scheme"),
        (&["Bearer \"abc\""], MALFORMED, "quoted"),
        (&["Bearer abc%20"], MALFORMED, "escapes are not decoded"),
        (&[""], MALFORMED, "an empty field is not an absent one"),
        (&[" Bearer abc"], MALFORMED, "leading space"),
        (&["Basic YTpi"], Read::Nothing, "another auth-scheme is somebody else's"),
        (&["BearerX abc"], Read::Nothing, "a longer name is another auth-scheme"),
        (&["Digest username=\"a\", realm=\"b\""], Read::Nothing, "commas of another auth-scheme"),
        (&["Negotiate"], Read::Nothing, "another auth-scheme without credentials"),
        (&["=abc"], MALFORMED, "no auth-scheme"),
        (&["Bearer abc", "Bearer abc"], CONFLICT, "two fields, even equal ones"),
        (&["Basic YTpi", "Bearer abc"], CONFLICT, "two fields of different auth-schemes"),
        (&["Bearer abc, Bearer def"], CONFLICT, "a joined pair"),
        (&["Basic YTpi, bearer def"], CONFLICT, "a joined pair, ours second"),
        (&["Bearer abc,"], CONFLICT, "joined with an empty one"),
    ];
    for (values, expected, shows) in rows {
        let fields: Vec<(&'static str, &[u8])> = values.iter().map(|value| ("authorization", value.as_bytes())).collect();
        check(&[Source::Bearer], &fields, None, expected, shows);
    }
    check(&[Source::Bearer], &[("authorization", b"Bearer \xc3\xa9")], None, MALFORMED, "bytes beyond ASCII");
}

#[test]
fn a_header_is_taken_whole_and_once() {
    let source = [Source::Header(HeaderName::from_static("x-auth-token"))];
    let rows: [(&[&[u8]], Read, &str); 7] = [
        (&[], Read::Nothing, "no field"),
        (&[b"abc"], Read::Text("abc", 1), "whole value"),
        (&[b"a b"], Read::Text("a b", 1), "what the text means is the scheme's business"),
        (&[b""], MALFORMED, "empty is not absent"),
        (&[b"\xff"], MALFORMED, "not ASCII"),
        (&[b"abc", b"abc"], CONFLICT, "two fields"),
        (&[b"abc, abc"], CONFLICT, "joined on the way"),
    ];
    for (values, expected, shows) in rows {
        let fields: Vec<(&'static str, &[u8])> = values.iter().map(|value| ("x-auth-token", *value)).collect();
        check(&source, &fields, None, expected, shows);
    }
}

#[test]
fn a_cookie_is_found_over_all_lines_and_must_be_unique() {
    let source = [Source::Cookie("rt".into())];
    let rows: [(&[&[u8]], Read, &str); 17] = [
        (&[], Read::Nothing, "no field"),
        (&[b"a=1; b=2"], Read::Nothing, "others only"),
        (&[b"rt=x"], Read::Text("x", 1), "alone"),
        (&[b"a=1; rt=x; b=2"], Read::Text("x", 1), "among others"),
        (&[b"a=1;rt=x"], Read::Text("x", 1), "without a space after the semicolon"),
        (&[b"a=1", b"rt=x"], Read::Text("x", 1), "HTTP/2 splits cookies over lines"),
        (&[b"a=\xff; rt=x"], Read::Text("x", 1), "another cookie's bytes are not judged"),
        (&[b"rt=x=y=="], Read::Text("x=y==", 1), "the first equals sign splits"),
        (&[b"RT=x"], Read::Nothing, "names have case"),
        (&[b"rt=x; rt=x"], CONFLICT, "twice on a line, even equal"),
        (&[b"rt=x", b"rt=y"], CONFLICT, "twice over lines"),
        (&[b"rt=; rt=y"], CONFLICT, "an empty one first"),
        (&[b"rt="], MALFORMED, "empty is not absent"),
        (&[b"rt"], MALFORMED, "no equals sign has two readings"),
        (&[b"rt=\"x\""], MALFORMED, "quotes have two readings"),
        (&[b"rt =x"], MALFORMED, "a space before the equals sign has two readings"),
        (&[b"rt=\xc3\xa9"], MALFORMED, "not ASCII"),
    ];
    for (values, expected, shows) in rows {
        let fields: Vec<(&'static str, &[u8])> = values.iter().map(|value| ("cookie", *value)).collect();
        check(&source, &fields, None, expected, shows);
    }
}

#[test]
fn a_query_parameter_is_decoded_and_must_be_unique() {
    let source = [Source::Query("ticket".into())];
    let rows = [
        (None, Read::Nothing, "no query"),
        (Some(""), Read::Nothing, "empty query"),
        (Some("a=1&b=2"), Read::Nothing, "others only"),
        (Some("ticket=x"), Read::Text("x", 1), "alone"),
        (Some("a=1&&ticket=x&"), Read::Text("x", 1), "empty pairs are nothing"),
        (Some("tick%65t=x"), Read::Text("x", 1), "an escaped name is the same name"),
        (Some("ticket=a%2Bb"), Read::Text("a+b", 1), "an escaped plus"),
        (Some("ticket=a+b"), Read::Text("a b", 1), "a bare plus is a space in forms"),
        (Some("ticket=a=b"), Read::Text("a=b", 1), "the first equals sign splits"),
        (Some("Ticket=x"), Read::Nothing, "names have case"),
        (Some("ticket=x&ticket=x"), CONFLICT, "twice, even equal"),
        (Some("ticket=x&tick%65t=y"), CONFLICT, "twice in two spellings"),
        (Some("ticket=x&ticket"), CONFLICT, "twice, once without a value"),
        (Some("ticket="), MALFORMED, "empty is not absent"),
        (Some("ticket"), MALFORMED, "no value is not absent"),
        (Some("ticket=%"), MALFORMED, "a broken escape"),
        (Some("ticket=%4"), MALFORMED, "half an escape"),
        (Some("ticket=%zz"), MALFORMED, "no digits"),
        (Some("ticket=%ff"), MALFORMED, "not UTF-8"),
        (Some("ticke%=x"), MALFORMED, "a broken escape in a name might be meant as ours"),
        (Some("a=%&ticket=x"), Read::Text("x", 1), "another's value is not judged"),
    ];
    for (query, expected, shows) in rows {
        check(&source, &[], query, expected, shows);
    }
}

#[test]
fn all_places_are_looked_at_and_must_agree() {
    let sources = [Source::Bearer, Source::Header(HeaderName::from_static("ticket")), Source::Query("t".into())];
    let rows: [(&[Field], Option<&str>, Read, &str); 7] = [
        (&[], None, Read::Nothing, "nothing anywhere"),
        (&[("ticket", b"x")], None, Read::Text("x", 1), "a later place"),
        (&[("authorization", b"Bearer x"), ("ticket", b"x")], Some("t=x"), Read::Text("x", 3), "all agree"),
        (&[("authorization", b"Bearer x"), ("ticket", b"y")], None, CONFLICT, "two disagree"),
        (&[("authorization", b"Bearer x")], Some("t=y"), CONFLICT, "the last one disagrees"),
        (&[("authorization", b"Bearer x")], Some("t="), MALFORMED, "a good one does not hide a bad one"),
        (&[("authorization", b"Basic x"), ("ticket", b"y")], None, Read::Text("y", 1), "another auth-scheme stands beside"),
    ];
    for (fields, query, expected, shows) in rows {
        check(&sources, fields, query, expected, shows);
    }
}

#[test]
fn places_of_the_conf_are_proven() {
    let span = Span { file: Arc::from("c.yaml"), line: 1, column: 1 };
    let text = |word: &str| Node { span: span.clone(), value: NodeValue::Text(word.to_owned()) };
    let map = |key: &str, word: &str| Node {
        span: span.clone(),
        value: NodeValue::Map(vec![crate::settings::Entry { key: key.to_owned(), span: span.clone(), node: text(word) }]),
    };
    #[allow(clippy::type_complexity, reason = "a table of rows")]
    let rows: [(Vec<Node>, Option<Vec<Source>>, &str); 9] = [
        (vec![], Some(vec![]), "not written: the scheme's own default"),
        (vec![text("bearer"), map("cookie", "__Host-rt")], Some(vec![Source::Bearer, Source::Cookie("__Host-rt".into())]), "two places"),
        (
            vec![map("header", "X-Auth-Token"), map("query", "t")],
            Some(vec![Source::Header(HeaderName::from_static("x-auth-token")), Source::Query("t".into())]),
            "header names are folded",
        ),
        (vec![text("bearer"), text("bearer")], None, "twice the same"),
        (vec![map("header", "Authorization")], None, "`Authorization` holds more than the credential"),
        (vec![map("header", "cookie")], None, "`Cookie` holds more than the credential"),
        (vec![map("cookie", "a b")], None, "no cookie name"),
        (vec![map("body", "t")], None, "no such place"),
        (vec![text("cookie")], None, "a cookie needs a name"),
    ];
    let (material, names) = (Material::default(), Names::default());
    for (nodes, expected, shows) in rows {
        let mut faults = Faults::default();
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let nodes: Vec<&Node> = nodes.iter().collect();
        let planned = plan_sources(&nodes, &mut checking).map(Vec::from);
        assert_eq!(planned, expected, "{shows}");
        assert_eq!(faults.is_empty(), expected.is_some(), "{shows}: a fault exactly when there is no plan");
    }
}

#[test]
fn a_source_names_what_must_be_removed() {
    assert_eq!(Source::Bearer.place(), Place::Header(http::header::AUTHORIZATION), "a bearer stands in Authorization");
}

#[test]
fn debug_shows_no_credential() {
    let shown = format!("{:?}", Presented::One { text: "hunter2".into(), places: vec![] });
    assert!(!shown.contains("hunter2") && shown.contains('7'), "a length and nothing else: {shown}");
}

#[test]
fn of_all_bytes_exactly_those_of_token68_pass_wherever_they_stand() {
    const SOUND: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    for character in (0..=255_u8).map(char::from) {
        // Long enough that many bytes are asked about at once, with some left over.
        for at in [0, 1, 31, 32, 63, 69] {
            let text: String = (0..70).map(|place| if place == at { character } else { 'a' }).collect();
            // Padding is sound too, once nothing stands behind it.
            let sound = SOUND.contains(character) || (character == '=' && at == 69);
            assert_eq!(is_token68(&text), sound, "{character:?} at {at}");
        }
    }
}

#[test]
fn a_bearer_in_the_query_is_one_as_in_a_field() {
    let source = [Source::QueryBearer("authorization".into())];
    let rows = [
        ("authorization=Bearer%20tok.en", Read::Text("tok.en", 1), "as the web writes it"),
        ("authorization=Bearer+tok.en", Read::Text("tok.en", 1), "a plus is a space"),
        ("authorization=bearer%20tok.en", Read::Text("tok.en", 1), "the scheme's case does not matter"),
        ("check=1", Read::Nothing, "not there"),
        ("Authorization=Bearer%20tok.en", Read::Nothing, "another name"),
        ("authorization=tok.en", MALFORMED, "no scheme"),
        ("authorization=Basic%20dTpw", MALFORMED, "another scheme"),
        ("authorization=Bearer%20", MALFORMED, "no token"),
        ("authorization=Bearer%20a%20b", MALFORMED, "two words"),
        ("authorization=Bearer%20a,b", MALFORMED, "two joined"),
        ("authorization=", MALFORMED, "an empty one is not absent"),
        ("authorization=Bearer%20a&authorization=Bearer%20a", CONFLICT, "twice, even alike"),
    ];
    for (query, expected, shows) in rows {
        check(&source, &[], Some(query), expected, shows);
    }
    let both = [Source::Bearer, Source::QueryBearer("authorization".into())];
    check(&both, &[("authorization", b"Bearer a")], Some("authorization=Bearer%20a"), Read::Text("a", 2), "in both, and in both removed");
    check(&both, &[("authorization", b"Bearer a")], Some("authorization=Bearer%20b"), CONFLICT, "two that disagree");
}

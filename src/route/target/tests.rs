//! Targets that have one reading, and targets that are refused because they have two.

use super::{MAX_PATH, Reading, canonical, is_asterisk};
use crate::domain::Refusal;

fn path(raw: &str) -> Result<String, Refusal> {
    canonical(raw.as_bytes()).map(|reading| reading.target.path.into_string())
}

#[test]
fn a_path_has_one_canonical_form() {
    let cases = [
        ("/", "/", "the root"),
        ("/admin", "/admin", "nothing to do"),
        ("/admin/", "/admin/", "a trailing slash is kept"),
        ("/%61dmin", "/admin", "encoded letters are letters"),
        ("/%41dmin", "/Admin", "and keep their case"),
        ("/%7Euser/%2d%5F%2E", "/~user/-_.", "all unreserved characters, but no dot segment of them"),
        ("/a%20b", "/a%20b", "a space stays encoded"),
        ("/a%3ab%3Ac", "/a%3Ab%3Ac", "reserved ones stay encoded, in upper case"),
        ("/caf%c3%a9", "/caf%C3%A9", "UTF-8 stays encoded"),
        ("/%252e%252e", "/%252e%252e", "what is encoded twice is decoded once at most, and here not at all"),
        ("/a.b/..c/.well-known/...", "/a.b/..c/.well-known/...", "dots that are no dot segment"),
        ("/admin.", "/admin.", "a trailing dot is literal"),
        ("/admin%20", "/admin%20", "and so is a trailing space"),
        ("/v1/x:delete@2!$&'()*+,=", "/v1/x:delete@2!$&'()*+,=", "everything a segment may hold bare"),
        ("/a[0]|b^c", "/a%5B0%5D%7Cb%5Ec", "what browsers leave bare is encoded"),
        ("/ADMIN", "/ADMIN", "case is kept"),
    ];
    for (raw, expected, shows) in cases {
        assert_eq!(path(raw).as_deref(), Ok(expected), "{shows}: {raw}");
        assert_eq!(path(expected).as_deref(), Ok(expected), "idempotent: {expected}");
    }
}

#[test]
fn a_target_with_two_readings_has_none() {
    let cases: [(&[u8], &str); 55] = [
        (b"", "nothing"),
        (b"*", "asterisk-form is for the caller to allow"),
        (b"?x", "a query alone"),
        (b"admin", "no slash in front"),
        (b"host:80", "authority-form"),
        (b"ftp://host/x", "a scheme that is not ours"),
        (b"http:/host/x", "half a scheme"),
        (b"http:///x", "no authority"),
        (b"https://", "nor anything else"),
        (b"//admin", "an empty segment, or an authority"),
        (b"/public//admin", "an empty segment inside"),
        (b"/admin//", "an empty segment before the trailing slash"),
        (b"/.", "the segment `.`"),
        (b"/..", "the segment `..`"),
        (b"/./admin", "`.` in front"),
        (b"/admin/.", "`.` at the end"),
        (b"/public/../admin", "`..` inside"),
        (b"/public/..", "`..` at the end"),
        (b"/public/../", "`..` before the trailing slash"),
        (b"/public/%2e%2e/admin", "both dots encoded"),
        (b"/public/%2E./admin", "one dot encoded"),
        (b"/public/.%2e/admin", "the other one"),
        (b"/%2e/admin", "`.` encoded"),
        (b"/public/..;/admin", "`..` with a path parameter"),
        (b"/public/..;x=1/admin", "and one with a value"),
        (b"/public/.;/admin", "`.` with a path parameter"),
        (b"/public/..%3b/admin", "the semicolon encoded"),
        (b"/public/%2e%2e%3Bx/admin", "everything encoded"),
        (b"/public/..%2fadmin", "an encoded slash"),
        (b"/public%2Fadmin", "in upper case too"),
        (b"/public\\..\\admin", "backslashes"),
        (b"/a\\b", "one backslash"),
        (b"/a%5cb", "an encoded backslash"),
        (b"/a%5Cb", "in upper case too"),
        (b"/admin%00.png", "an encoded NUL"),
        (b"/a%0ab", "an encoded line feed"),
        (b"/a%0D", "an encoded carriage return"),
        (b"/a%1f", "the last encoded control"),
        (b"/a%7f", "an encoded DEL"),
        (b"/a b", "a bare space"),
        (b"/a\tb", "a bare tab"),
        (b"/a\x7f", "a bare DEL"),
        (b"/a\x00", "a bare NUL"),
        (b"/caf\xc3\xa9", "bare UTF-8"),
        (b"/\xef\xbd\x81dmin", "a full-width letter"),
        (b"/a\"b", "a quotation mark"),
        (b"/a<b>", "angle brackets"),
        (b"/{id}", "braces"),
        (b"/a`b", "a backtick"),
        (b"/%zz", "no hex digits"),
        (b"/%2", "one hex digit"),
        (b"/a%", "none at the end"),
        (b"/%c0%ae%c0%ae/", "an overlong dot"),
        (b"/%e0%80%af", "an overlong slash"),
        (b"/%ff", "no UTF-8 at all"),
    ];
    for (raw, shows) in cases {
        assert_eq!(canonical(raw), Err(Refusal::TargetAmbiguous), "{shows}: {}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn both_spellings_of_hex_get_the_same_answer() {
    for (lower, upper) in [("/a%2fb", "/a%2Fb"), ("/a%5cb", "/a%5CB"), ("/a%e9b", "/a%E9b"), ("/%2e%2e/a", "/%2E%2E/a")] {
        assert_eq!(path(lower).is_err(), path(upper).is_err(), "{lower} against {upper}");
    }
    assert_eq!(path("/a%3b"), path("/a%3B"), "hex is upper-cased");
}

#[test]
fn the_query_is_kept_as_sent_or_refused() {
    type Row<'a> = (&'a str, Result<Option<&'a str>, Refusal>, &'a str);
    let cases: [Row<'_>; 20] = [
        ("/a", Ok(None), "no query"),
        ("/a?", Ok(Some("")), "an empty one is not none"),
        ("/a?x=1&x=2", Ok(Some("x=1&x=2")), "kept"),
        ("/a?x=%2e%2E/../y", Ok(Some("x=%2e%2E/../y")), "no dot segments in a query, nothing is rewritten"),
        ("/admin?/public", Ok(Some("/public")), "nor does it look like a path"),
        ("/a?b?c", Ok(Some("b?c")), "a second mark is part of it"),
        ("/a?{\"x\":[1]}|`^<>\\", Ok(Some("{\"x\":[1]}|`^<>\\")), "all visible ASCII"),
        ("/a?x=%0A", Ok(Some("x=%0A")), "an encoded line break is a line break in a form"),
        ("/a?x=%00", Err(Refusal::TargetAmbiguous), "but NUL ends texts"),
        ("/a?x=%", Err(Refusal::TargetAmbiguous), "a bare percent sign"),
        ("/a?x=%g0", Err(Refusal::TargetAmbiguous), "no hex digits"),
        ("/a?%", Err(Refusal::TargetAmbiguous), "a bare one at the very beginning"),
        ("/a?x=%2", Err(Refusal::TargetAmbiguous), "half an escape"),
        ("/a?x=%%41", Err(Refusal::TargetAmbiguous), "a percent sign before an escape"),
        ("/a?x=%2541", Ok(Some("x=%2541")), "an encoded percent sign before digits"),
        ("/a?x=\u{7f}", Err(Refusal::TargetAmbiguous), "a control character"),
        ("/a?x=a b", Err(Refusal::TargetAmbiguous), "a bare space"),
        ("/a?x=é", Err(Refusal::TargetAmbiguous), "bare UTF-8"),
        ("/a?x#y", Err(Refusal::TargetAmbiguous), "a fragment after the query"),
        ("/admin#/public", Err(Refusal::TargetAmbiguous), "a fragment after the path"),
    ];
    for (raw, expected, shows) in cases {
        let actual = canonical(raw.as_bytes()).map(|reading| reading.target.query.map(String::from));
        assert_eq!(actual, expected.map(|query| query.map(str::to_owned)), "{shows}: {raw}");
    }
}

#[test]
fn an_absolute_form_gives_its_authority_away_for_judgement() {
    let cases = [
        ("http://other/admin", "other", "/admin", None, "as proxies are asked"),
        ("HTTPS://Other.Example:8443/a?b", "Other.Example:8443", "/a", Some("b"), "the scheme in any case, the authority as sent"),
        ("http://host", "host", "/", None, "no path is the root"),
        ("http://host?x=/y", "host", "/", Some("x=/y"), "no path, but a query"),
        ("http://good@evil/", "good@evil", "/", None, "user information is for `route::host` to refuse"),
    ];
    for (raw, authority, path, query, shows) in cases {
        let reading = canonical(raw.as_bytes()).unwrap();
        assert_eq!(reading.authority.as_deref(), Some(authority), "{shows}");
        assert_eq!(&*reading.target.path, path, "{shows}");
        assert_eq!(reading.target.query.as_deref(), query, "{shows}");
    }
    assert_eq!(canonical(b"http://host//admin"), Err(Refusal::TargetAmbiguous), "its path is read as strictly");
}

#[test]
fn the_longest_path_is_read_and_one_byte_more_is_too_large() {
    let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
    assert!(canonical(longest.as_bytes()).is_ok(), "the bound itself");
    assert_eq!(canonical(format!("{longest}a").as_bytes()), Err(Refusal::HeaderTooLarge), "one byte more");
    assert!(canonical(format!("{longest}?{}", "q".repeat(MAX_PATH)).as_bytes()).is_ok(), "the query is bounded by the head");
}

#[test]
fn a_semicolon_is_told_and_the_asterisk_is_known() {
    for (raw, expected) in [("/a;x=1", true), ("/a%3Bx", true), ("/a%3bx", true), ("/a?x;y", false), ("/a", false)] {
        let told = canonical(raw.as_bytes()).map(|Reading { has_semicolon, .. }| has_semicolon);
        assert_eq!(told, Ok(expected), "{raw}");
    }
    assert!(is_asterisk(b"*") && !is_asterisk(b"/*") && !is_asterisk(b""), "one asterisk and nothing else");
}

mod properties {
    use proptest::prelude::*;
    use url::Url;

    use crate::route::target::canonical;

    /// Texts that come close to being targets: what plain random bytes never hit.
    fn near_targets() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/", "/", "a", "Z9", ".", "..", "%2e", "%2E", "%2f", "%5c", "%41", "%3a", "%3B", "%c3%a9", "%c0%ae", "%ff", "%00", "%7e",
            "%25", "%", ";", "\\", "?", "#", "[", "|", "^", "{", " ", "é", ":", "@", "*", "+", "~", "-", "_",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_canonical_target_is_its_own_canonical_form(raw in near_targets()) {
            if let Ok(first) = canonical(raw.as_bytes()) {
                let wire = first.target.wire().into_owned();
                let second = canonical(wire.as_bytes()).expect("a canonical target is readable");
                prop_assert_eq!(second, first);
            }
        }

        #[test]
        fn an_accepted_path_stays_below_where_it_starts(raw in near_targets()) {
            let below = format!("/public{raw}");
            if let Ok(reading) = canonical(below.as_bytes()) {
                prop_assert!(reading.target.path.starts_with("/public/"), "{} left /public", reading.target.path);
                prop_assert!(reading.target.path.split('/').skip(1).all(|segment| segment != "." && segment != ".."));
                prop_assert!(!reading.target.path.contains("//"));
            }
        }

        #[test]
        fn a_browsers_url_parser_reads_the_canonical_form_alike(raw in near_targets()) {
            if let Ok(reading) = canonical(raw.as_bytes()) {
                let url = Url::parse(&format!("http://host{}", reading.target.path)).expect("a canonical path is one to a URL parser");
                prop_assert_eq!(url.path(), &*reading.target.path, "a second reading of {}", raw);
                prop_assert_eq!(url.host_str(), Some("host"));
            }
        }

        #[test]
        fn any_bytes_at_all_are_answered(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(reading) = canonical(&raw) {
                prop_assert!(reading.target.wire().bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
            }
        }
    }
}

//! Heads that are strict HTTP/1.1, and those that are only nearly so.

use super::{BodyLength, Extent, Finder, Head, HeadFault, HeadLimits, is_any_authority, is_authority, is_plain_authority, read};

const LIMITS: HeadLimits = HeadLimits { bytes: 32 * 1024, fields: 100 };

fn plain(body: BodyLength) -> Head {
    Head { body, expects_continue: false, websocket: false, hop_by_hop: false }
}

fn malformed(why: &'static str) -> HeadFault {
    HeadFault::malformed(why)
}

/// Finds and reads, the bytes arriving in pieces of `step`.
fn judge(bytes: &[u8], step: usize) -> Result<Option<Head>, HeadFault> {
    let mut finder = Finder::default();
    let mut arrived = 0;
    while arrived < bytes.len() {
        arrived = (arrived + step).min(bytes.len());
        if let Extent::Complete(end) = finder.advance(&bytes[..arrived], LIMITS)? {
            return read(&bytes[..end], &[]).map(Some);
        }
    }
    Ok(None)
}

#[test]
fn a_sound_head_is_read_however_it_arrives() {
    let for_this_hop = |body| Head { hop_by_hop: true, ..plain(body) };
    let websocket = Head { websocket: true, ..for_this_hop(BodyLength::Known(0)) };
    let waiting = Head { expects_continue: true, ..plain(BodyLength::Known(3)) };
    let rows: &[(&str, Option<Head>, &str)] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(plain(BodyLength::Known(0))), "the least there is"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r", None, "one byte short"),
        ("GET / HTTP/1.0\r\n\r\n", Some(plain(BodyLength::Known(0))), "HTTP/1.0 needs no host"),
        ("POST /a?b=%20{|} HTTP/1.1\r\nHost:a:80\r\nContent-Length: 3\r\n\r\nabc", Some(plain(BodyLength::Known(3))), "a length"),
        ("POST / HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 0\r\n\r\n", Some(plain(BodyLength::Known(0))), "a length of zero"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked \r\n\r\n",
            Some(for_this_hop(BodyLength::Chunked)),
            "blanks around a value",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Some(plain(BodyLength::Known(0))), "the server itself"),
        ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", Some(plain(BodyLength::Known(0))), "absolute form, same host"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: caf\u{e9}\r\nY:\r\n\r\n",
            Some(plain(BodyLength::Known(0))),
            "foreign text and emptiness in values",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", Some(websocket), "a handshake"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
            Some(for_this_hop(BodyLength::Known(0))),
            "another protocol is ignored",
        ),
        ("PUT / HTTP/1.1\r\nHost: a\r\nExpect:  100-Continue\t\r\nContent-Length: 3\r\n\r\n", Some(waiting), "an expectation"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", Some(plain(BodyLength::Known(0))), "an expectation without a body"),
        ("PUT / HTTP/1.0\r\nExpect: y\r\nContent-Length: 3\r\n\r\n", Some(plain(BodyLength::Known(3))), "in 1.0 there is none"),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Some(plain(BodyLength::Known(0))), "methods are the rule's business"),
    ];
    for (text, expected, shows) in rows {
        for step in [1, 3, 17, 100_000] {
            assert_eq!(judge(text.as_bytes(), step), Ok(*expected), "{shows} (pieces of {step})");
        }
    }
}

#[test]
fn a_field_for_this_hop_is_seen_in_every_spelling() {
    let rows = [
        ("TE", true),
        ("te", true),
        ("Trailer", true),
        ("Upgrade", true),
        ("Connection", true),
        ("cOnnection", true),
        ("Keep-Alive", true),
        ("HTTP2-Settings", true),
        ("Proxy-Connection", true),
        ("Proxy-Authenticate", true),
        ("Proxy-Authorization", true),
        ("Keep_Alive", false),
        ("T", false),
        ("Trailers", false),
        ("Authorization", false),
        ("X-Connection", false),
    ];
    for (name, expected) in rows {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: x\r\nAccept: b\r\n\r\n");
        let head = judge(text.as_bytes(), 1_000).unwrap().unwrap();
        assert_eq!(head.hop_by_hop, expected, "{name}");
    }
}

#[test]
fn the_quick_look_at_an_authority_agrees_with_the_whole_reading() {
    let rows = [
        "a",
        "a.b",
        "a.b:1",
        "a:0",
        "a:80",
        "a:9999",
        "a:65535",
        "a:65536",
        "a:99999",
        "a:100000",
        "a:000080",
        "a:",
        ":80",
        "",
        "a:8a",
        "a:+8",
        "a:-1",
        "A",
        "a_b",
        "a@b",
        "127.0.0.1:19183",
        "[::1]",
        "[::1]:80",
        "a:80:80",
        "a..b",
        "-",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        "a\u{e9}",
        "%61",
    ];
    for text in rows {
        let quick = is_plain_authority(text.as_bytes());
        assert!(!quick || is_any_authority(text.as_bytes()), "{text:?} is accepted by the quick look alone");
        assert_eq!(is_authority(text.as_bytes()), is_any_authority(text.as_bytes()), "{text:?}");
    }
    assert!(is_plain_authority(b"api.example.com:8443"), "and nearly all of them are quick");
}

#[test]
fn whatever_two_readers_could_read_in_two_ways_is_refused() {
    let target = |why| HeadFault { status: 400, reason: crate::domain::Reason::TargetAmbiguous, why };
    let rows: &[(&str, HeadFault, &str)] = &[
        ("GET / HTTP/1.1\nHost: a\n\n", malformed("bare_line_feed"), "K10 line feeds"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n", malformed("bare_line_feed"), "K10 one line feed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", malformed("field"), "K11 a carriage return in a value"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", malformed("field"), "K11 NUL in a value"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: 1\r\n\r\n", malformed("field"), "K11 NUL in a name"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", malformed("field"), "DEL in a value"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n", malformed("field"), "K12 a blank before the colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length 10\r\n\r\n", malformed("field"), "K13 no colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", malformed("field"), "no name"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Content-Length: 3\r\n\r\n", malformed("folded_field"), "K9 folding"),
        ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", malformed("folded_field"), "folding of the request line"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed("empty_line"), "K14 the guard has taken one empty line off already"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "K14 a blank before"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "two blanks"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "a tab"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", malformed("request_line"), "a blank behind"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "a blank in the target, which Pingora would escape"),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "a method that is no token"),
        ("GET /\r\n\r\n", malformed("request_line"), "K26 HTTP/0.9"),
        ("GET / HTTP/1.32\r\nHost: a\r\n\r\n", malformed("request_line"), "K26 two digits"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", malformed("request_line"), "the name in lower case"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", HeadFault::VERSION, "K26 another version"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", HeadFault::VERSION, "K26 a version to come"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", target("target_bytes"), "I10 bytes outside ASCII"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", target("target_bytes"), "I14 a fragment"),
        ("GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n", target("target_bytes"), "characters that Pingora's writer escapes"),
        ("GET admin HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "I17 no slash"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "I18 the server itself, with a method that has no such target"),
        ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "I18 a query alone"),
        ("GET host:80 HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "I18 an authority alone"),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "another scheme"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", target("target_form"), "no authority"),
        ("GET http://other/admin HTTP/1.1\r\nHost: good\r\n\r\n", target("target_host"), "I16 two hosts"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", malformed("host"), "user information"),
        ("CONNECT admin:443 HTTP/1.1\r\nHost: admin:443\r\n\r\n", HeadFault::TUNNEL, "J2 a tunnel"),
        ("GET / HTTP/1.1\r\n\r\n", malformed("host_missing"), "I28 no host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", malformed("host_repeated"), "I26 two hosts, though equal"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", malformed("host_repeated"), "I26 in 1.0"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", malformed("host"), "an empty host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", malformed("host"), "a path in the host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", malformed("host"), "a blank in the host"),
        ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", malformed("host"), "a port without digits"),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", malformed("host"), "a port beyond all ports"),
        ("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", malformed("host"), "a signed port"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n",
            malformed("length_and_coding"),
            "K1 both",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            malformed("length_and_coding"),
            "K2 both",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            malformed("coding_repeated"),
            "K3 twice",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n", malformed("coding"), "K3 a list"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", malformed("coding"), "K3 an empty element"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n", malformed("coding"), "K3 two lines"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", malformed("coding"), "K4 a parameter"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n", malformed("coding"), "K4 another spelling"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", malformed("field"), "K4 a vertical tab"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", malformed("coding"), "K4 empty"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", malformed("coding_in_1_0"), "K5 chunks in 1.0"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nContent-Length: 100\r\n\r\n",
            malformed("length_repeated"),
            "K6 two lengths",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nContent-Length: 10\r\n\r\n",
            malformed("length_repeated"),
            "K7 two equal lengths",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10, 10\r\n\r\n", malformed("length"), "K7 a list"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", malformed("length"), "K8 a sign"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n", malformed("length"), "K8 a sign on zero"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n", malformed("length"), "K8 another base"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", malformed("length"), "K8 a separator"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n", malformed("length"), "K8 a zero in front"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", malformed("length"), "K8 empty"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", malformed("length"), "K8 two to the 64th"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", malformed("length"), "K8 two to the 63rd"),
        ("PUT / HTTP/1.1\r\nHost: a\r\nExpect: y\r\nContent-Length: 3\r\n\r\n", HeadFault::EXPECTATION, "J11 another expectation"),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
            malformed("expect_repeated"),
            "J11 twice",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", malformed("upgrade"), "J9 a handshake by POST"),
        ("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", malformed("upgrade"), "J9 a handshake in 1.0"),
        ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", malformed("upgrade"), "a handshake that is not nominated"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n",
            malformed("upgrade"),
            "a handshake with a body",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
            malformed("upgrade_repeated"),
            "two upgrades",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Auth-User\r\n\r\n",
            malformed("nomination_protected"),
            "H8 removing an identity header",
        ),
    ];
    for (text, expected, shows) in rows {
        for step in [1, 5, 100_000] {
            assert_eq!(judge(text.as_bytes(), step), Err(*expected), "{shows} (pieces of {step}): {text:?}");
        }
    }
}

#[test]
fn size_and_number_of_fields_are_bounded_on_the_byte() {
    let head = |fields: usize| {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for number in 1..fields {
            text.push_str(&format!("X-{number}: 1\r\n"));
        }
        text.push_str("\r\n");
        text
    };
    assert!(matches!(judge(head(100).as_bytes(), 64), Ok(Some(_))), "a hundred fields");
    assert_eq!(judge(head(101).as_bytes(), 64), Err(HeadFault::TOO_MANY_FIELDS), "one more");

    let sized = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(bytes - frame))
    };
    for step in [1000, 100_000] {
        assert!(matches!(judge(sized(32 * 1024).as_bytes(), step), Ok(Some(_))), "32 KiB to the byte (pieces of {step})");
        assert_eq!(judge(sized(32 * 1024 + 1).as_bytes(), step), Err(HeadFault::TOO_LARGE), "one byte more (pieces of {step})");
    }
    let endless = "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned() + &"a".repeat(40_000);
    assert_eq!(judge(endless.as_bytes(), 999), Err(HeadFault::TOO_LARGE), "a line without end is refused before it ends");
}

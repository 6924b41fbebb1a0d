//! D: encoding, JSON, and the ways a token travels.

use countersign::jose::base64url::encode;
use serde_json::json;

use super::{Row, check, complete, good, keys, usual};
use crate::jwt::{NOW, claims, signed};

const MALFORMED: Result<(), &str> = Err("credential_malformed");

fn payload() -> String {
    claims(json!({})).to_string()
}

/// A token over encoded parts as they are, properly signed.
fn encoded(header: &str, payload: &str) -> String {
    let text = format!("{header}.{payload}");
    format!("{text}.{}", encode(&keys().ec.sign(text.as_bytes()).unwrap()))
}

fn header() -> String {
    encode(br#"{"alg":"ES256","kid":"ec"}"#)
}

/// A payload whose base64url has spare bits, so that its last character has other spellings.
fn spare() -> String {
    let mut payload = payload();
    while payload.len() % 3 != 1 {
        payload.insert(1, ' ');
    }
    encode(payload.as_bytes())
}

fn rows() -> Vec<Row> {
    let spare = spare();
    let (body, last) = spare.split_at(spare.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    let whole = good();
    let (text, signature) = whole.rsplit_once('.').unwrap();
    let signature_next = {
        let (front, last) = signature.split_at(signature.len() - 1);
        format!("{text}.{front}{}", char::from(last.as_bytes()[0] + 1))
    };
    let raw = |header: &[u8], payload: &[u8]| signed(&keys().ec, header, payload);
    let good_header = br#"{"alg":"ES256","kid":"ec"}"#;
    let body_text = payload();
    let body_text = body_text.as_bytes();
    let mut rows: Vec<Row> = vec![
        ("D1", "as it should be".into(), encoded(&header(), &encode(body_text)), Ok(())),
        ("D1", "padding behind the header".into(), encoded(&format!("{}=", header()), &encode(body_text)), MALFORMED),
        ("D1", "padding behind the payload".into(), encoded(&header(), &format!("{spare}==")), MALFORMED),
        ("D1", "padding behind the signature".into(), format!("{whole}=="), Err("signature_invalid")),
        ("D2", "plus for minus".into(), encoded(&header(), &format!("{}+", encode(body_text))), MALFORMED),
        ("D2", "slash for underscore".into(), encoded(&header(), &encode(&[body_text, b"???"].concat()).replace('_', "/")), MALFORMED),
        ("D4", "spare bits zero".into(), encoded(&header(), &spare), Ok(())),
        ("D4", "spare bits set, in the signed payload".into(), encoded(&header(), &format!("{body}{next}")), MALFORMED),
        ("D4", "spare bits set, in the signature".into(), signature_next, Err("signature_invalid")),
        ("D5", "junk inside the signed payload".into(), encoded(&header(), &format!("?{}", encode(body_text))), MALFORMED),
        ("D5", "junk inside the signed header".into(), encoded(&format!("{}?", header()), &encode(body_text)), MALFORMED),
        ("D6", "not UTF-8 in the payload".into(), raw(good_header, b"{\"iss\":\"https://id.example\",\"x\":\"\xff\"}"), MALFORMED),
        ("D6", "not UTF-8 in the header".into(), raw(b"{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}", body_text), MALFORMED),
        ("D6", "an overlong slash".into(), raw(good_header, b"{\"iss\":\"https://id.example\",\"x\":\"\xc0\xaf\"}"), MALFORMED),
        ("D6", "a byte order mark before the payload".into(), raw(good_header, &[b"\xef\xbb\xbf", body_text].concat()), MALFORMED),
        ("D6", "a byte order mark before the header".into(), raw(b"\xef\xbb\xbf{\"alg\":\"ES256\",\"kid\":\"ec\"}", body_text), MALFORMED),
        ("D6", "a lone surrogate".into(), raw(good_header, br#"{"iss":"https://id.example","x":"\ud800"}"#), MALFORMED),
        ("D6", "UTF-16".into(), raw(good_header, &payload().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()), MALFORMED),
        ("D7", "a second header behind the first".into(), raw(br#"{"alg":"ES256","kid":"ec"}{"alg":"none"}"#, body_text), MALFORMED),
        ("D7", "a second payload behind the first".into(), raw(good_header, &[body_text, b"{}"].concat()), MALFORMED),
        ("D7", "NUL behind the payload".into(), raw(good_header, &[body_text, b"\0"].concat()), MALFORMED),
        ("D8", "alg twice".into(), raw(br#"{"alg":"ES256","alg":"none","kid":"ec"}"#, body_text), MALFORMED),
        ("D8", "alg twice, equal".into(), raw(br#"{"alg":"ES256","alg":"ES256","kid":"ec"}"#, body_text), MALFORMED),
        ("D8", "alg and its escaped twin".into(), raw(br#"{"alg":"ES256","\u0061lg":"none","kid":"ec"}"#, body_text), MALFORMED),
        ("D8", "kid twice".into(), raw(br#"{"alg":"ES256","kid":"x","kid":"ec"}"#, body_text), MALFORMED),
        ("D9", "a header of brackets".into(), raw("[".repeat(4_000).as_bytes(), body_text), MALFORMED),
        (
            "D9",
            "a payload of brackets".into(),
            raw(good_header, format!(r#"{{"iss":"https://id.example","x":{}"#, "[".repeat(4_000)).as_bytes()),
            MALFORMED,
        ),
        ("D9", "a hundred thousand brackets".into(), raw(good_header, "[".repeat(100_000).as_bytes()), MALFORMED),
        ("D9", "claims nine deep".into(), raw(good_header, br#"{"iss":"https://id.example","x":[[[[[[[[1]]]]]]]]}"#), MALFORMED),
        (
            "D9",
            "a number of 4,000 digits".into(),
            raw(good_header, format!(r#"{{"iss":"https://id.example","exp":{}}}"#, "9".repeat(4_000)).as_bytes()),
            MALFORMED,
        ),
        (
            "D9",
            "a number of a million digits".into(),
            raw(good_header, format!(r#"{{"exp":{}}}"#, "9".repeat(1 << 20)).as_bytes()),
            MALFORMED,
        ),
        ("D10", "a comment".into(), raw(br#"{"alg":"ES256","kid":"ec"/**/}"#, body_text), MALFORMED),
        ("D10", "a trailing comma".into(), raw(br#"{"alg":"ES256","kid":"ec",}"#, body_text), MALFORMED),
        ("D10", "single quotes".into(), raw(b"{'alg':'ES256','kid':'ec'}", body_text), MALFORMED),
        ("D10", "a name without quotes".into(), raw(br#"{alg:"ES256","kid":"ec"}"#, body_text), MALFORMED),
        ("D15", "a compressed payload".into(), raw(br#"{"alg":"ES256","kid":"ec","zip":"DEF"}"#, body_text), MALFORMED),
    ];
    for space in [" ", "\t"] {
        for at in [5, header().len() + 5, whole.len() - 5] {
            let mut broken = whole.clone();
            broken.insert_str(at, space);
            rows.push(("D3", format!("{space:?} at {at}"), broken, MALFORMED));
        }
    }
    for size in [8_192, 8_193, 8_194, 65_536] {
        let token = sized(size);
        let expected = if size == 8_192 { Ok(()) } else { MALFORMED };
        rows.push(("D11", format!("{} bytes", token.len()), token, expected));
    }
    rows
}

/// A good token of exactly `size` bytes (or one more, where no payload gives that length): white space in the header
/// and the payload makes up the difference.
fn sized(size: usize) -> String {
    let base = payload();
    for spaces in [0, 1, 2] {
        let header = encode(format!(r#"{{"alg":"ES256","kid":"ec"{}}}"#, " ".repeat(spaces)).as_bytes());
        let room = size - header.len() - 2 - 86;
        let bytes = room * 3 / 4;
        let padded = format!("{}{}}}", &base[..base.len() - 1], " ".repeat(bytes - base.len()));
        let token = encoded(&header, &encode(padded.as_bytes()));
        if token.len() == size {
            return token;
        }
    }
    panic!("no token of {size} bytes");
}

#[test]
fn a_token_has_one_spelling() {
    let rows = rows();
    check(&usual(json!({})), &rows);
    let elsewhere = [
        ("D12", "only_one_form_of_bearer_is_read"),
        ("D13", "only_one_form_of_bearer_is_read"),
        ("D14", "a_token_stands_only_where_it_may"),
    ];
    complete("D", 15, rows.iter().map(|row| row.0), &elsewhere);
}

#[test]
fn only_one_form_of_bearer_is_read() {
    let bench = usual(json!({}));
    let token = good();
    let cases = [
        ("D12", vec![format!("Bearer {token}")], Ok(()), "as RFC 6750 has it"),
        ("D12", vec![format!("bearer {token}")], Ok(()), "the scheme ignores case"),
        ("D12", vec![format!("Bearer  {token}")], Err("credential_malformed"), "two spaces"),
        ("D12", vec![format!("Bearer\t{token}")], Err("credential_malformed"), "a tab"),
        ("D12", vec![format!("Bearer: {token}")], Err("credential_malformed"), "a colon"),
        ("D12", vec!["Bearer".into()], Err("credential_malformed"), "nothing behind it"),
        ("D12", vec!["Bearer ".into()], Err("credential_malformed"), "nothing behind the space"),
        ("D12", vec![format!("Bearer {token},y")], Err("credential_conflict"), "a comma, which is how two are joined on the way"),
        ("D13", vec![format!("Bearer {token}, Bearer {token}")], Err("credential_conflict"), "two in one field"),
        ("D13", vec![format!("Bearer {token}"), format!("Bearer {token}")], Err("credential_conflict"), "two fields"),
        ("D12", vec![format!("Basic {token}")], Err("credential_missing"), "another scheme is not ours"),
    ];
    for (id, values, expected, shows) in cases {
        let fields: Vec<(&str, &str)> = values.iter().map(|value| ("authorization", value.as_str())).collect();
        let actual = bench.request("/", None, &fields, NOW).map(|_| ());
        assert_eq!(actual.as_ref().map_err(String::as_str), expected.as_ref().map_err(|reason| *reason), "{id}: {shows}");
    }
}

#[test]
fn a_token_stands_only_where_it_may() {
    let token = good();
    let bearer = format!("Bearer {token}");
    let cookie = format!("at={token}");
    let query = format!("access_token={token}");
    let elsewhere = json!({ "from": [{ "header": "x-auth-token" }, { "cookie": "at" }, { "query": "access_token" }] });
    let cases = [
        (json!({}), Some(query.as_str()), vec![], Err("credential_missing"), "a query that was not configured"),
        (json!({}), None, vec![("cookie", cookie.as_str())], Err("credential_missing"), "a cookie that was not configured"),
        (json!({}), None, vec![("x-auth-token", token.as_str())], Err("credential_missing"), "a header that was not configured"),
        (elsewhere.clone(), None, vec![("authorization", bearer.as_str())], Err("credential_missing"), "the bearer, when only others were"),
        (elsewhere.clone(), Some(query.as_str()), vec![], Ok(()), "a query that was"),
        (elsewhere.clone(), None, vec![("cookie", cookie.as_str())], Ok(()), "a cookie that was"),
        (elsewhere.clone(), None, vec![("x-auth-token", token.as_str())], Ok(()), "a header that was"),
        (
            elsewhere.clone(),
            Some("access_token=other"),
            vec![("x-auth-token", token.as_str())],
            Err("credential_conflict"),
            "two that disagree",
        ),
        (elsewhere, Some(query.as_str()), vec![("x-auth-token", token.as_str())], Ok(()), "two that agree"),
    ];
    for (settings, query, fields, expected, shows) in cases {
        let actual = usual(settings).request("/", query, &fields, NOW).map(|_| ());
        assert_eq!(actual.as_ref().map_err(String::as_str), expected.as_ref().map_err(|reason| *reason), "D14: {shows}");
    }
}

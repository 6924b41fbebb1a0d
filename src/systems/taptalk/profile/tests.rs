//! Every documented field, on both sides of every bound.

use serde_json::{Value as Json, json};

use super::{FIELDS, MAX_TEXT, MAX_URL, Product, Profile, members};
use crate::domain::Breach;

fn checked(body: &Json) -> Result<Profile, Breach> {
    Profile::check(Product::PowerTalk, &members(body.to_string().as_bytes())?)
}

/// All that must be there.
fn least() -> Json {
    json!({
        "userIPAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
        "xcUserID": "anna", "fullName": "Anna Example",
    })
}

fn with(name: &str, value: Json) -> Json {
    let mut body = least();
    body[name] = value;
    body
}

#[test]
fn every_documented_field_is_judged_by_its_own_form() {
    let wide = |count: usize| "é".repeat(count);
    let url = |length: usize| format!("https://p.example/{}", "p".repeat(length - "https://p.example/".len()));
    let rows = [
        ("userIPAddress", json!("2001:db8::7"), true, "an address of the newer kind"),
        ("userIPAddress", json!("192.0.2.256"), false, "no address"),
        ("userIPAddress", json!("192.0.2.7:80"), false, "an address and a port"),
        ("userAgent", json!("a".repeat(MAX_TEXT)), true, "as long as may be"),
        ("userAgent", json!("a".repeat(MAX_TEXT + 1)), false, "one more"),
        ("userAgent", json!("a\r\nb"), false, "a line break"),
        ("userPlatform", json!("android"), true, "one of the three"),
        ("userPlatform", json!("ios"), true, "another"),
        ("userPlatform", json!("Web"), false, "in another spelling"),
        ("userPlatform", json!("windows"), false, "a fourth"),
        ("userDeviceID", json!(" "), false, "only spaces"),
        ("xcUserID", json!(wide(50)), true, "fifty characters, however many bytes"),
        ("xcUserID", json!(wide(51)), false, "one more"),
        ("xcUserID", json!("  "), false, "nobody"),
        ("xcUserID", json!(7), false, "a number is not a text"),
        ("xcUserID", Json::Null, false, "nor is null"),
        ("fullName", json!("Ann\u{e4} \u{1f600}"), true, "any script"),
        ("fullName", json!("Ann\u{0}a"), false, "a control character"),
        ("email", json!("anna@app.example"), true, "an address"),
        ("email", json!(""), true, "left out, as back ends write it"),
        ("email", json!("anna"), false, "no sign"),
        ("email", json!("anna@"), false, "nothing behind it"),
        ("email", json!("@app.example"), false, "nothing in front of it"),
        ("email", json!("a@b@c"), false, "two signs"),
        ("email", json!("a b@c"), false, "a space"),
        ("email", json!(["anna@app.example"]), false, "a list"),
        ("phone", json!("+62 812-3456-7890"), true, "a country code, a plus and what people write between"),
        ("phone", json!("6281234567890"), true, "without the plus"),
        ("phone", json!("081234567890"), false, "no country starts with zero"),
        ("phone", json!("+1234"), false, "too short to be one"),
        ("phone", json!("1234567890123456"), false, "longer than any"),
        ("phone", json!("+62 call me"), false, "words"),
        ("username", json!("anna"), true, "any text"),
        ("photoThumbnailURL", json!(url(MAX_URL)), true, "as long as may be"),
        ("photoThumbnailURL", json!(url(MAX_URL + 1)), false, "one more"),
        ("photoFullsizeURL", json!("javascript:alert(1)"), false, "not a page's to run"),
        ("photoFullsizeURL", json!("/anna.png"), false, "not a URL by itself"),
        ("userRoleCode", json!("agent"), true, "any text"),
        ("userRoleCode", json!({ "code": "agent" }), false, "an object"),
    ];
    for (name, value, expected, shows) in rows {
        let outcome = checked(&with(name, value.clone()));
        assert_eq!(outcome.is_ok(), expected, "{shows}: {name} {value} {outcome:?}");
        if let Err(breach) = outcome {
            assert_eq!((&*breach.code, &*breach.field), ("40002", name), "{shows}: it says which field");
            assert!(breach.says.starts_with(name), "{shows}: for people too: {breach:?}");
        }
    }
}

#[test]
fn what_must_be_there_is_asked_for_by_name_and_what_need_not_is_not() {
    for field in &FIELDS {
        let mut body = with("email", json!("anna@app.example"));
        body.as_object_mut().unwrap().remove(field.name);
        let missing = checked(&body);
        let empty = checked(&with(field.name, json!("")));
        for outcome in [missing, empty] {
            let asked = outcome.map(|_| ()).map_err(|breach| (breach.code.into_owned(), breach.field.into_owned()));
            let expected = if field.required { Err(("40002".to_owned(), field.name.to_owned())) } else { Ok(()) };
            assert_eq!(asked, expected, "{}", field.name);
        }
    }
}

#[test]
fn a_body_has_one_reading_or_none_whatever_type_it_says_it_is() {
    let rows: [(&str, Option<usize>, &str); 9] = [
        (r#"{"xcUserID":"anna"}"#, Some(1), "an object"),
        (" {\"xcUserID\":\"anna\"}\n", Some(1), "with space around it"),
        ("", Some(0), "nothing"),
        ("\"\"", Some(0), "the two signs that web clients send for nothing"),
        ("\"anna\"", None, "a text that is not empty"),
        ("[]", None, "a list"),
        (r#"{"xcUserID":"anna","xcUserID":"bob"}"#, None, "a name twice: one server reads the first, another the last"),
        (r#"{"a":{"b":{"c":1}}}"#, None, "deeper than any field"),
        ("xcUserID=anna", None, "a form"),
    ];
    for (body, expected, shows) in rows {
        assert_eq!(members(body.as_bytes()).ok().map(|members| members.len()), expected, "{shows}: {body}");
    }
}

#[test]
fn a_field_that_is_not_documented_is_refused_and_its_name_is_not_repeated() {
    let breach = checked(&with("<script>", json!("x"))).unwrap_err();
    assert_eq!((&*breach.code, &*breach.field), ("40002", ""));
    assert!(!breach.says.contains("script"), "{breach:?}");
}

#[test]
fn what_was_judged_is_what_is_written() {
    let profile = checked(&with("email", json!(""))).unwrap();
    let written: Json = serde_json::from_slice(&profile.body()).unwrap();
    assert_eq!(written, least(), "what was left out is left out");
    assert_eq!(checked(&written).unwrap(), profile, "and it is judged the same again");
}

#[test]
fn a_contact_of_onetalk_has_fields_and_bounds_of_its_own() {
    let wide = |count: usize| "é".repeat(count);
    let published = json!({
        "customerUserID": "company:123", "fullName": "John Doe", "alias": "", "email": "john_doe@example.com",
        "phone": "6281234567890", "photoURL": "http://www.example.com/photo/john_doe.jpg",
    });
    let with = |name: &str, value: Json| {
        let mut body = published.clone();
        body[name] = value;
        body
    };
    let rows = [
        (published.clone(), None, "the published example"),
        (json!({ "customerUserID": "1", "fullName": "J" }), None, "what must be there"),
        (json!({ "fullName": "J" }), Some("customerUserID"), "nobody"),
        (with("customerUserID", json!(wide(100))), None, "a hundred characters"),
        (with("customerUserID", json!(wide(101))), Some("customerUserID"), "one more"),
        (with("fullName", json!(wide(250))), None, "a long name"),
        (with("fullName", json!(wide(251))), Some("fullName"), "a longer one"),
        (with("fullName", json!("")), Some("fullName"), "none"),
        (with("alias", json!("a".repeat(101))), Some("alias"), "a long alias"),
        (with("email", json!(format!("{}@e.example", "a".repeat(241)))), Some("email"), "an address that is too long"),
        (with("phone", json!("+62 812 3456 7890 12")), None, "twenty characters"),
        (with("phone", json!("+62 812 3456 7890 123")), Some("phone"), "one more"),
        (with("photoURL", json!("ftp://www.example.com/x")), Some("photoURL"), "no web address"),
        (with("xcUserID", json!("anna")), Some(""), "a field of the other product"),
    ];
    for (body, expected, shows) in rows {
        let found = Profile::check(Product::OneTalk, &members(body.to_string().as_bytes()).unwrap());
        assert_eq!(found.err().map(|breach| breach.field.into_owned()).as_deref(), expected, "{shows}: {body}");
    }
}

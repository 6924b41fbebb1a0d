//! Credentials in the query of `/connect`, as the web client writes them and otherwise.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Moved, Token, moved};
use crate::domain::Breach;

/// As taptalksdk-web 1.0.310 writes it: `content_type` is a field that it has switched off.
const OF_THE_CLIENT: &str = "content_type=undefined&app_key=YXBwaWQ6YXBwc2VjcmV0&authorization=Bearer%20tok.en&device_identifier=d-1\
                             &device_model=Netscape&device_platform=web";

fn with(query: &str, fields: &[(&str, &str)], token: Token) -> Result<Moved, Breach> {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
    let headers: HeaderMap = fields.iter().map(|(field, value)| (name(field), HeaderValue::from_str(value).unwrap())).collect();
    moved(Some(query), &headers, token)
}

fn set(moved: &Moved) -> Vec<(&str, &str)> {
    moved.set.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[test]
fn what_the_web_client_writes_becomes_fields_and_leaves_the_query() {
    let moved = with(OF_THE_CLIENT, &[], Token::Move).unwrap();
    let fields = [
        ("app-key", "YXBwaWQ6YXBwc2VjcmV0"),
        ("authorization", "Bearer tok.en"),
        ("device-identifier", "d-1"),
        ("device-model", "Netscape"),
        ("device-platform", "web"),
    ];
    assert_eq!(set(&moved), fields);
    let gone = ["content_type", "app_key", "authorization", "device_identifier", "device_model", "device_platform"];
    assert_eq!(moved.remove_query, gone, "also what nothing is made of");
    assert_eq!((moved.app.as_deref(), moved.device.as_deref()), (Some("appid"), Some("d-1")));
    assert!(moved.set.iter().filter(|(_, value)| value.is_sensitive()).count() == 2, "credentials are not printed");
}

#[test]
fn a_token_that_was_proven_here_need_not_go_on() {
    let moved = with(OF_THE_CLIENT, &[], Token::Drop).unwrap();
    assert!(set(&moved).iter().all(|(name, _)| *name != "authorization"));
    assert!(moved.remove_query.iter().any(|name| name == "authorization"), "it leaves the query all the same");
}

#[test]
fn a_query_has_one_reading_or_none() {
    let app = "app_key=YXBwaWQ6YXBwc2VjcmV0";
    let rows: [(String, &[(&str, &str)], Result<usize, &str>, &str); 19] = [
        (app.into(), &[], Ok(1), "one of them"),
        (format!("check=1&{app}&room=7"), &[], Ok(1), "what stands for itself stays"),
        (app.into(), &[("app-key", "YXBwaWQ6YXBwc2VjcmV0")], Ok(1), "said twice, the same"),
        (app.into(), &[("app-key", "b3RoZXI6eA==")], Err("49102"), "a field that says otherwise"),
        (format!("{app}&{app}"), &[], Err("49102"), "twice in the query, even alike"),
        (format!("{app}&App-Key=YXBwaWQ6YXBwc2VjcmV0"), &[], Err("49102"), "twice, in another spelling"),
        ("authorization=Bearer%20a&%61uthorization=Bearer%20b".into(), &[], Err("40102"), "twice, in another encoding"),
        ("authorization=Bearer%20a".into(), &[("authorization", "Bearer b")], Err("40102"), "a token that disagrees"),
        ("authorization=Bearer%20a".into(), &[("authorization", "")], Ok(1), "an empty field disagrees with nothing"),
        ("authorization=Bearer%20a".into(), &[("authorization", "Bearer a")], Ok(1), "a token that agrees"),
        ("authorization=tok.en".into(), &[], Err("40102"), "a token without its scheme"),
        ("authorization=Basic%20dTpw".into(), &[], Err("40102"), "another scheme"),
        ("authorization=Bearer%20a%20b".into(), &[], Err("40102"), "two words"),
        ("authorization=Bearer%20a%0d%0aX: y".into(), &[], Err("40102"), "a line break would be a field of its own"),
        ("authorization=Bearer%20a,Bearer%20b".into(), &[], Err("40102"), "two joined"),
        ("app_key=nonsense".into(), &[], Err("49102"), "an app key of another form"),
        ("device_model=a&device_model=b".into(), &[], Err("40001"), "a device that is two"),
        ("server_key=c2lkOnNzZWM=".into(), &[], Err("49104"), "the one credential that no client has"),
        ("authorization=&device_identifier=undefined".into(), &[], Ok(0), "what the client does not know is nothing"),
    ];
    for (query, fields, expected, shows) in rows {
        let outcome = with(&query, fields, Token::Move);
        let told = outcome.as_ref().map(|moved| moved.set.len()).map_err(|breach| &*breach.code);
        assert_eq!(told, expected, "{shows}: {query}");
        if let Ok(moved) = outcome {
            assert!(moved.remove_query.iter().all(|name| name != "check" && name != "room"), "{shows}");
        }
    }
}

#[test]
fn no_query_moves_nothing() {
    assert_eq!(moved(None, &HeaderMap::new(), Token::Move), Ok(Moved::default()));
    assert_eq!(with("check=1", &[], Token::Move), Ok(Moved::default()), "the check that clients make by fields");
}

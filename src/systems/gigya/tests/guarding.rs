//! What the endpoints ask of their parameters.

use http::header::{CACHE_CONTROL, HeaderName, SET_COOKIE};

use super::stage::{Call, NOW, SECRET, form, identity, signature, system};
use crate::domain::Value;
use crate::jose::login_expiry::login_name;
use crate::systems::contract::Pass;

const LINK: &str = "/socialize.notifyRegistration";

fn link(pairs: &[(&str, &str)]) -> Call {
    Call::form(LINK, form(pairs))
}

/// A call that names `uid`, signed for the moment `at`.
fn signed(uid: &str, at: i64) -> Call {
    let time = at.to_string();
    link(&[("siteUID", uid), ("UIDTimestamp", &time), ("UIDSig", &signature(&format!("{time}_{uid}")))])
}

fn told(code: u32, field: &str) -> Option<(String, String)> {
    Some((code.to_string(), field.to_owned()))
}

#[test]
fn a_site_uid_brings_its_time_and_signature_or_is_refused() {
    let guard = system("site: { secrets: { env: PARTNER } }");
    let (longest, too_long) = ("a".repeat(252), "a".repeat(253));
    let now = NOW.0.to_string();
    let good = signature(&format!("{now}_anna"));
    let cases = [
        (link(&[("cid", "home")]), None, "without a siteUID nobody is linked, and nothing is signed"),
        (signed("anna", NOW.0), None, "all three"),
        (signed(&longest, NOW.0), None, "252 characters"),
        (signed(&too_long, NOW.0), told(400_006, "siteUID"), "253"),
        (signed("\u{e9}lise", NOW.0), told(400_006, "siteUID"), "not ASCII"),
        (signed("", NOW.0), told(400_006, "siteUID"), "an empty one is no siteUID, and not none"),
        (link(&[("siteUID", "anna")]), told(400_002, "UIDTimestamp"), "no time"),
        (link(&[("siteUID", "anna"), ("UIDTimestamp", &now)]), told(400_002, "UIDSig"), "no signature"),
        (link(&[("siteUID", "anna"), ("UIDTimestamp", &now), ("UIDSig", "")]), told(400_002, "UIDSig"), "an empty one"),
        (
            link(&[("siteUID", "anna"), ("UIDTimestamp", "1.8e9"), ("UIDSig", &good)]),
            told(400_006, "UIDTimestamp"),
            "a time of another form",
        ),
        (link(&[("siteUID", "berta"), ("UIDTimestamp", &now), ("UIDSig", &good)]), told(403_003, "UIDSig"), "of another user"),
        (link(&[("siteUID", "Anna"), ("UIDTimestamp", &now), ("UIDSig", &good)]), told(403_003, "UIDSig"), "the case of an id is its own"),
        (
            link(&[("siteUID", "anna"), ("UIDTimestamp", &now), ("UIDSig", &good.replace('=', " "))]),
            told(403_003, "UIDSig"),
            "a signature that arrived damaged is not repaired",
        ),
        (signed("anna", NOW.0 - 300), None, "the first second of the window"),
        (signed("anna", NOW.0 - 301), told(400_128, "UIDTimestamp"), "a second before it"),
        (signed("anna", NOW.0 + 300), None, "the last second of the window"),
        (signed("anna", NOW.0 + 301), told(400_128, "UIDTimestamp"), "a second after it"),
        (
            Call { body: format!("{}&UID=anna", signed("anna", NOW.0).body), ..signed("anna", NOW.0) },
            told(400_006, "siteUID"),
            "the Gigya UID it is meant to replace",
        ),
        (Call { target: format!("{LINK}?siteUID=anna"), ..signed("anna", NOW.0) }, told(400_006, ""), "in the query as well"),
        (Call::get(&format!("{LINK}?{}", signed("anna", NOW.0).body)), None, "all in the query, as the script sends it"),
        (signed("anna", NOW.0).field("content-type", "multipart/form-data; boundary=x"), told(400_006, ""), "a body that is no form"),
        (signed("anna", NOW.0).field("content-encoding", "gzip"), told(400_006, ""), "a form in a coding"),
    ];
    for (call, expected, shows) in cases {
        assert_eq!(call.told(guard.as_ref()), expected, "{shows}");
    }
    for path in ["/accounts.setUID", "/accounts.notifyLogin", "/socialize.setUID", "/v1/socialize.notifyLogin"] {
        let call = Call { target: path.to_owned(), ..link(&[("siteUID", "anna")]) };
        assert_eq!(call.told(guard.as_ref()), told(400_002, "UIDTimestamp"), "{path} links too");
    }
    let elsewhere = Call { target: "/accounts.getAccountInfo".to_owned(), ..link(&[("siteUID", "anna")]) };
    assert_eq!(elsewhere.told(guard.as_ref()), None, "a method that links nobody");
}

#[test]
fn a_window_of_180_seconds_is_that_of_the_php_library() {
    let guard = system("site: { secrets: { env: PARTNER }, window: 180s }");
    for (offset, taken) in [(-180, true), (-181, false), (180, true), (181, false)] {
        assert_eq!(signed("anna", NOW.0 + offset).told(guard.as_ref()).is_none(), taken, "{offset}");
    }
}

#[test]
fn without_a_secret_here_a_link_needs_a_caller_that_is_proven() {
    let guard = system("{}");
    let call = signed("anna", NOW.0);
    assert_eq!(call.told(guard.as_ref()), told(403_005, "UIDSig"), "nobody has judged the signature, so nobody may believe it");
    assert_eq!(call.clone().by("gigya", "anna").told(guard.as_ref()), None, "the scheme has, for this very id");
    assert_eq!(call.clone().by("gigya", "berta").told(guard.as_ref()), told(403_003, "UIDSig"), "for another id");
    assert_eq!(call.by("gigya_request", "3_site").told(guard.as_ref()), None, "a server that has signed the request");
}

#[test]
fn parameters_of_every_method_are_held_to_their_rules() {
    let guard = system("api_keys: [3_site]");
    let call = |pairs: &[(&str, &str)]| Call::form("/accounts.getAccountInfo", form(pairs));
    let (hundred, more) = ("\u{e9}".repeat(100), "\u{e9}".repeat(101));
    let cases = [
        (call(&[("apiKey", "3_site")]), None, "a site of ours"),
        (call(&[("apiKey", "3_other")]), told(400_093, "apiKey"), "another"),
        (call(&[("cid", &hundred)]), None, "100 characters"),
        (call(&[("cid", &more)]), told(400_006, "cid"), "101"),
        (call(&[("secret", "c2VjcmV0")]), None, "a secret over https"),
        (Call { secure: false, ..call(&[("secret", "c2VjcmV0")]) }, told(403_006, "secret"), "the same over http"),
        (call(&[("oauth_token", "at1")]), None, "a token over https"),
        (Call { secure: false, ..call(&[("oauth_token", "at1")]) }, told(403_006, "oauth_token"), "the same over http"),
        (Call { secure: false, ..call(&[("oauth_token", "at1"), ("sig", "x")]) }, None, "beside a signature it opens nothing by itself"),
        (call(&[("format", "json")]), None, "a form of reply"),
        (call(&[("format", "JSON")]), None, "in capitals"),
        (call(&[("format", "xml")]), told(400_006, "format"), "one that nobody here could write"),
        (call(&[("format", "")]), told(400_006, "format"), "none at all"),
        (call(&[("format", "jsonp"), ("callback", "f")]), None, "a callback"),
        (call(&[("format", "jsonp"), ("callback", "f(")]), told(400_006, "callback"), "one that is more than a name"),
        (call(&[("format", "jsonp")]), told(400_006, "callback"), "none where one is needed"),
        (Call::form("/accounts.getAccountInfo", "a=1&a=2"), told(400_006, ""), "a name twice"),
        (Call::form("/accounts.getAccountInfo", "a%3D1%26b=2"), told(400_006, ""), "a name that reads as two"),
        (
            Call { body: "{}".into(), ..call(&[]).field("content-type", "application/json") },
            None,
            "another kind of body, where nothing depends on it",
        ),
        (Call { target: "/profile?a=1&a=2".into(), ..call(&[]) }, None, "a path that is no method of the vendor's"),
    ];
    for (call, expected, shows) in cases {
        assert_eq!(call.told(guard.as_ref()), expected, "{shows}");
    }
}

#[test]
fn an_id_token_says_its_site_once_or_twice_alike() {
    let guard = system("{}");
    let token = |issuer: &str, api_key: Option<Value>| {
        let mut identity = identity("jwt", "_guid_1");
        identity.issuer = issuer.into();
        identity.claims = Value::Map(api_key.map(|api_key| ("apiKey".into(), api_key)).into_iter().collect()).into();
        Call { identity: Some(identity), ..Call::get("/profile") }
    };
    let issuer = "https://fidm.gigya.com/jwt/3_site/";
    let cases = [
        (token(issuer, None), None, "once, as the issuer"),
        (token(issuer, Some("3_site".into())), None, "twice alike"),
        (token(issuer, Some("3_other".into())), told(403_025, "id_token"), "of another site"),
        (token(issuer, Some("".into())), told(403_025, "id_token"), "of none"),
        (token(issuer, Some(Value::Int(3))), told(403_025, "id_token"), "no text"),
        (token("https://id.example", Some("3_other".into())), None, "another issuer may mean anything by that"),
    ];
    for (call, expected, shows) in cases {
        assert_eq!(call.told(guard.as_ref()), expected, "{shows}");
    }
}

/// The cookies that a pass hands back, with a reply that nobody keeps.
fn cookies(pass: &Pass) -> Vec<&str> {
    let values = |wanted: HeaderName| pass.back.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.to_str().unwrap());
    let cookies: Vec<&str> = values(SET_COOKIE).collect();
    assert_eq!(values(CACHE_CONTROL).collect::<Vec<_>>(), vec!["no-store"; cookies.len()]);
    cookies
}

#[test]
fn the_end_of_a_proven_login_moves_with_every_reply() {
    let guard = system("slide: { api_key: 3_site, secret: { env: PARTNER }, life: 5m, domain: shop.example }");
    let login = login_name("3_site", "LT3_token");
    let call = |scheme, subject: &str| Call::get("/profile").by(scheme, subject).field("cookie", "a=1; glt_3_site=LT3_token|UUID=7");
    let pass = call("gigya_session", &login).guard(guard.as_ref(), NOW).unwrap();
    let end = NOW.0 + 300;
    let sig = signature(&format!("LT3_token_{end}"));
    let expected = format!("gltexp_3_site={end}_{sig}; Max-Age=300; Path=/; Domain=shop.example; Secure; SameSite=Lax");
    assert_eq!(cookies(&pass), [expected.as_str()]);
    assert!(pass.back[0].1.is_sensitive(), "it is not printed");
    assert!(!format!("{guard:?}").contains(SECRET), "nor is the secret");

    let mut member = identity("jwt", "_guid_1");
    member.also.push(("login".into(), identity("gigya_session", &login).into()));
    let together = Call { identity: Some(member), ..call("jwt", "_guid_1") };
    assert_eq!(cookies(&together.guard(guard.as_ref(), NOW).unwrap()).len(), 1, "a login that stands beside a user goes on too");

    let cases = [
        (Call { identity: None, ..call("gigya_session", &login) }, "nobody has proven anything"),
        (call("gigya_session", &login_name("3_site", "LT3_other")), "the login that was proven is not the one in the cookie"),
        (call("gigya_session", &login_name("3_other", "LT3_token")), "a login at another site"),
        (call("jwt", &login), "a user whose id looks like the name of the login"),
        (call("gigya", "anna"), "a user proven otherwise: nothing is opened unless the conf says so"),
        (call("gigya_session", &login).field("cookie", "glt_3_site=LT3_token; glt_3_site=LT3_token"), "the cookie twice"),
    ];
    for (call, shows) in cases {
        assert_eq!(cookies(&call.guard(guard.as_ref(), NOW).unwrap()), [""; 0], "{shows}");
    }
}

#[test]
fn the_first_end_is_written_only_where_the_conf_opens_logins_and_never_for_a_time() {
    let guard = system("slide: { api_key: 3_site, secret: { env: PARTNER }, user_key: AUserKey, opens: true, http_only: true }");
    let call = |cookie: &str| Call::get("/login").by("gigya", "anna").field("cookie", cookie);
    let pass = call("glt_3_site=LT3_token").guard(guard.as_ref(), NOW).unwrap();
    let end = NOW.0 + 1_800;
    let sig = signature(&format!("LT3_token_{end}_AUserKey"));
    let expected = format!("gltexp_3_site={end}_AUserKey_{sig}; Max-Age=1800; Path=/; Secure; SameSite=Lax; HttpOnly");
    assert_eq!(cookies(&pass), [expected.as_str()]);
    for (cookie, shows) in [
        ("glt_3_site=1800000000", "a token that is a time: its signature would be that of a user"),
        ("glt_3_site=1800000000_friend", "or of a friendship"),
        ("glt_3_site=", "an empty one"),
        ("b=1", "none"),
    ] {
        assert_eq!(cookies(&call(cookie).guard(guard.as_ref(), NOW).unwrap()), [""; 0], "{shows}");
    }
    let nobody = Call { identity: None, ..call("glt_3_site=LT3_token") };
    assert_eq!(cookies(&nobody.guard(guard.as_ref(), NOW).unwrap()), [""; 0], "nobody opens nothing");
}

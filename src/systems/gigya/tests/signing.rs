//! What is signed on behalf of the app.

use http::header::CONTENT_TYPE;

use super::stage::{Call, NOW, form, pairs, signature, system};
use crate::systems::contract::Pass;

const UID: &str = "sign: { uid: { secret: { env: PARTNER } } }";
const REQUEST: &str =
    "sign: { request: { base: 'https://accounts.us1.gigya.com', api_key: 3_site, user_key: AUser, secret: { env: PARTNER } } }";

fn told(code: u32, field: &str) -> Option<(String, String)> {
    Some((code.to_string(), field.to_owned()))
}

#[test]
fn the_callers_own_id_is_signed_and_no_other() {
    let guard = system(UID);
    let call = Call::form("/socialize.notifyLogin?cid=home", form(&[("context", "a b")])).by("jwt", "anna");
    let pass = call.guard(guard.as_ref(), NOW).unwrap();
    let sent = pairs(pass.body.as_ref().unwrap());
    assert_eq!(sent["siteUID"], "anna");
    assert_eq!(sent["UIDTimestamp"], NOW.0.to_string());
    assert_eq!(sent["UIDSig"], signature(&format!("{}_anna", NOW.0)));
    assert_eq!((sent["cid"].as_str(), sent["context"].as_str()), ("home", "a b"), "everything else goes along");
    assert_eq!(pass.remove_query, ["cid"], "and stands in one place");
    assert_eq!(pass.set, [(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap())]);

    let forged = form(&[("siteUID", "anna"), ("UIDTimestamp", "1"), ("UIDSig", "AAAA")]);
    let sent = Call::form("/socialize.notifyLogin", forged).by("jwt", "anna").guard(guard.as_ref(), NOW).unwrap();
    assert_eq!(pairs(&sent.body.unwrap())["UIDSig"], signature(&format!("{}_anna", NOW.0)), "what the client signed is replaced");

    let cases = [
        (Call::form("/socialize.setUID", form(&[("siteUID", "berta")])).by("jwt", "anna"), told(403_007, "siteUID"), "somebody else's id"),
        (Call::form("/socialize.setUID", ""), told(403_005, "siteUID"), "nobody is nobody's user"),
        (Call::form("/socialize.setUID", "").by("jwt", "\u{e9}lise"), told(400_006, "siteUID"), "an id that cannot be one"),
        (Call::form("/socialize.setUID", "UID=anna").by("jwt", "anna"), told(400_006, "siteUID"), "the Gigya UID itself"),
        (Call::get("/socialize.setUID").by("jwt", "anna"), told(405_001, ""), "a query would carry the signature into every log"),
        (Call::form("/socialize.setUID", "").by("jwt", "anna"), None, "a body that is empty becomes one"),
    ];
    for (call, expected, shows) in cases {
        assert_eq!(call.told(guard.as_ref()), expected, "{shows}");
    }
    let other = Call::form("/accounts.getAccountInfo", "a=1").by("jwt", "anna").guard(guard.as_ref(), NOW).unwrap();
    assert_eq!(other, Pass::default(), "a method that links nobody goes on as it came");
}

#[test]
fn a_trusted_server_has_any_id_signed_and_no_call_without_one() {
    let guard = system("sign: { uid: { secret: { env: PARTNER }, whose: parameter } }");
    let call = Call::form("/accounts.notifyLogin", form(&[("siteUID", "berta")])).by("server_key", "shop");
    let sent = pairs(&call.guard(guard.as_ref(), NOW).unwrap().body.unwrap());
    assert_eq!(sent["UIDSig"], signature(&format!("{}_berta", NOW.0)));
    let nobody = Call::form("/accounts.notifyLogin", form(&[("siteUID", "berta")]));
    assert_eq!(nobody.told(guard.as_ref()), told(403_005, "siteUID"), "a stranger is no server");
    let none = Call::form("/accounts.notifyLogin", "cid=1").by("server_key", "shop").guard(guard.as_ref(), NOW).unwrap();
    assert!(!pairs(&none.body.unwrap()).contains_key("UIDSig"), "without a siteUID nothing is signed");
}

#[test]
fn a_request_is_signed_as_the_vendors_libraries_sign_it() {
    let guard = system(REQUEST);
    let body = form(&[("UID", "a b!*'()~\u{e9}"), ("format", "json")]);
    let pass = Call::form("/accounts.getAccountInfo", body).by("server_key", "shop").guard(guard.as_ref(), NOW).unwrap();
    let sent = pairs(pass.body.as_ref().unwrap());
    let nonce = &sent["nonce"];
    let base = format!(
        "POST&https%3A%2F%2Faccounts.us1.gigya.com%2Faccounts.getAccountInfo&UID%3Da%2520b%2521%252A%2527%2528%2529~%25C3%25A9%26apiKey%3D3_site\
         %26format%3Djson%26nonce%3D{nonce}%26timestamp%3D{}%26userKey%3DAUser",
        NOW.0
    );
    assert_eq!(sent["sig"], signature(&base));
    assert_eq!(sent["UID"], "a b!*'()~\u{e9}", "what was asked for is asked for");
    assert_eq!(sent.len(), 7);
}

#[test]
fn what_a_client_brings_to_prove_a_request_does_not_go_along() {
    let guard = system(REQUEST);
    let brought = form(&[
        ("sig", "forged"),
        ("secret", "c2VjcmV0"),
        ("nonce", "theirs"),
        ("timestamp", "1"),
        ("userKey", "Theirs"),
        ("oauth_token", "theirs"),
        ("apiKey", "3_site"),
    ]);
    let call = Call::form("/accounts.getAccountInfo", brought).by("server_key", "shop");
    let sent = pairs(&call.guard(guard.as_ref(), NOW).unwrap().body.unwrap());
    let names: Vec<&str> = sent.keys().map(String::as_str).collect();
    assert_eq!(names, ["apiKey", "nonce", "sig", "timestamp", "userKey"]);
    assert_eq!((sent["userKey"].as_str(), sent["timestamp"].as_str()), ("AUser", NOW.0.to_string().as_str()));
    let again = pairs(&call.guard(guard.as_ref(), NOW).unwrap().body.unwrap());
    assert_ne!(sent["nonce"], again["nonce"], "two requests that are alike have two nonces: a repetition would be refused with 403004");
    let other = Call::form("/accounts.getAccountInfo", "apiKey=3_other").by("server_key", "shop");
    assert_eq!(other.told(guard.as_ref()), told(403_007, "apiKey"), "a request for another site is not signed for ours");
    let get = Call::get("/accounts.getAccountInfo").by("server_key", "shop");
    assert_eq!(get.told(guard.as_ref()), told(405_001, ""), "nor one without a body to hold the signature");
}

#[test]
fn no_answer_shows_what_a_signature_should_have_been() {
    let guard = system("site: { secrets: { env: PARTNER } }");
    let time = NOW.0.to_string();
    let forged = form(&[("siteUID", "anna"), ("UIDTimestamp", &time), ("UIDSig", &"A".repeat(27))]);
    let breach = Call::form("/socialize.setUID", forged).guard(guard.as_ref(), NOW).unwrap_err();
    let shown = format!("{breach:?}");
    let expected = signature(&format!("{time}_anna"));
    assert!(!shown.contains(&expected) && !shown.contains(&format!("{time}_anna")) && !shown.contains("anna"), "{shown}");
}

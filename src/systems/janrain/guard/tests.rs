//! What calls of Janrain Capture must look like: every required argument, every place a parameter may not stand, every token.

use serde_json::json;

use crate::domain::{Breach, Identity};
use crate::jose::form;
use crate::systems::contract::{Mark, Pass};
use crate::systems::janrain::rules::Rules;
use crate::systems::janrain::stage::{Call, NOW, SECRET, caller, proven};

const CLIENT: &str = "12345abcde12345abcde12345abcde12";
const TOKEN: &str = "12ab34cd56ef78gh90ij12kl34mn56op78qr90st";
const OTHER_TOKEN: &str = "ffab34cd56ef78gh90ij12kl34mn56op78qr90st";

fn login_client() -> Identity {
    caller("janrain_signature", CLIENT, &["login_client"])
}

/// The vendor's own example of a registration.
fn registration() -> Vec<(&'static str, &'static str)> {
    vec![
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "67890def-6789-defg-6789-67890defgh67"),
        ("locale", "en-US"),
        ("redirect_uri", "http://localhost"),
        ("token", TOKEN),
        ("form", "socialRegistrationForm"),
        ("emailAddress", "janedoe@example.com"),
        ("displayName", "JaneDoe"),
        ("birthdate[dateselect_year]", "1930"),
    ]
}

fn with(name: &'static str, value: &'static str) -> String {
    let mut pairs = registration();
    pairs.retain(|(other, _)| *other != name);
    pairs.push((name, value));
    form::written(pairs)
}

fn without(name: &str) -> String {
    form::written(registration().into_iter().filter(|(other, _)| *other != name))
}

fn register(body: String) -> Call {
    Call::post("/oauth/register_native", body).by(login_client())
}

fn code(code: &str, field: &str) -> Result<(), (String, String)> {
    Err((code.to_owned(), field.to_owned()))
}

#[test]
fn every_required_argument_is_missed_by_its_name() {
    let rules = Rules::default();
    let rows: [(&str, &[&str]); 10] = [
        ("/oauth/auth_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "token"]),
        ("/oauth/register_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form", "token"]),
        ("/oauth/auth_native_traditional", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form"]),
        ("/oauth/register_native_traditional", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form"]),
        ("/oauth/forgot_password_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form"]),
        ("/oauth/verify_email_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form"]),
        ("/oauth/update_profile_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "form", "access_token"]),
        ("/oauth/link_account_native", &["client_id", "flow", "flow_version", "locale", "redirect_uri", "token", "access_token"]),
        (
            "/oauth/unlink_account_native",
            &["client_id", "flow", "flow_version", "locale", "redirect_uri", "identifier_to_remove", "access_token"],
        ),
        ("/access/useVerificationCode", &["client_id", "verification_code"]),
    ];
    for (path, arguments) in rows {
        let mut all = registration();
        all.extend([("access_token", "z0y98xv76u5t4rs3"), ("identifier_to_remove", "https://x.example/1"), ("verification_code", "abc")]);
        let call = |body| Call::post(path, body).by(login_client());
        assert_eq!(call(form::written(all.clone())).told(&rules), Ok(()), "{path}: with everything");
        for argument in arguments {
            let rest = || all.iter().copied().filter(|(name, _)| name != argument);
            let breach = call(form::written(rest())).asked(&rules).unwrap_err();
            assert_eq!((&*breach.code, &*breach.field), ("100", *argument), "{path} without {argument}");
            assert_eq!(breach.says, format!("missing arguments: {argument}"), "as the vendor says it");
            let empty = form::written(rest().chain([(*argument, "")]));
            assert_eq!(call(empty).told(&rules), code("100", argument), "{path}: an empty {argument} is none");
        }
    }
    let breach = register(String::new()).asked(&rules).unwrap_err();
    assert_eq!(breach.says, "missing arguments: client_id, flow, flow_version, locale, redirect_uri, form, token", "several at once");
}

#[test]
fn native_calls_are_refused_for_what_the_vendor_refuses() {
    let rules = Rules::default();
    let query = |target: &str| Call { target: target.to_owned(), ..register(form::written(registration())) };
    let rows = [
        (register(form::written(registration())), Ok(()), "the vendor's own example"),
        (Call { method: "GET", ..register(String::new()) }, code("200", ""), "GET"),
        (Call { method: "PUT", ..register(form::written(registration())) }, code("200", ""), "PUT"),
        (query("/oauth/register_native?locale=en-US"), code("200", ""), "a parameter in the URL"),
        (query("/oauth/register_native?x"), code("200", ""), "anything in the URL"),
        (query("/oauth/register_native?"), Ok(()), "a question mark alone says nothing"),
        (query("/oauth/Register_native"), code("200", ""), "another spelling of the endpoint"),
        (query("/oauth/register_native/"), code("200", ""), "a slash at its end"),
        (
            Call { media: Some("application/json"), body: r#"{"client_id":"x"}"#.into(), ..register(String::new()) },
            code("200", ""),
            "JSON, which only auth_native takes",
        ),
        (Call { media: Some("text/plain"), ..register(form::written(registration())) }, code("200", ""), "no form"),
        (Call { media: None, ..register(form::written(registration())) }, code("200", ""), "a body of no type"),
        (register(format!("{}&locale=de", form::written(registration()))), code("201", ""), "an argument twice"),
        (register(with("redirect_uri", "app.example")), code("200", "redirect_uri"), "an address that begins otherwise"),
        (
            register(with("redirect_uri", "javascript:alert(1)//http:")),
            code("200", "redirect_uri"),
            "one that only holds what it should begin with",
        ),
        (register(with("redirect_uri", "https://app.example/\r\nx")), code("200", "redirect_uri"), "a line break in an address"),
        (register(with("redirect_uri", "https:")), Ok(()), "no more than the vendor asks for"),
        (register(with("flow_version", "HEAD")), code("500", "flow_version"), "HEAD"),
        (register(with("flow_version", " head ")), code("500", "flow_version"), "HEAD, in disguise"),
        (register(with("response_type", "code_and_token")), Ok(()), "both"),
        (register(with("response_type", "id_token")), code("200", "response_type"), "a response type nobody knows"),
        (register(with("token", &TOKEN[1..])), code("200", "token"), "39 characters"),
        (register(with("token", "12ab34cd56ef78gh90ij12kl34mn56op78qr90st1")), code("200", "token"), "41 characters"),
        (register(with("token", "12ab34cd56ef78gh90ij12kl34mn56op78qr90s-")), code("200", "token"), "a mark in it"),
        (Call { identity: None, ..register(form::written(registration())) }, code("403", "login_client"), "by nobody"),
        (
            register(form::written(registration())).by(caller("janrain_signature", CLIENT, &["owner"])),
            code("403", "login_client"),
            "a client without the feature",
        ),
        (
            register(form::written(registration())).by(caller("session", CLIENT, &["login_client"])),
            code("403", "login_client"),
            "a user is no client, whatever the name",
        ),
        (
            register(form::written(registration())).by(caller("janrain_signature", "other", &["login_client"])),
            code("402", "client_id"),
            "another client than the body says",
        ),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
}

#[test]
fn the_conf_says_which_addresses_forms_and_response_types_there_are() {
    let rules = proven(&json!({
        "redirect_uris": ["http://localhost", "https://app.example/done"],
        "forms": { "socialRegistrationForm": ["emailAddress", "displayName"], "newPasswordForm": [] },
        "response_types": ["token"],
    }))
    .unwrap();
    let rows = [
        (register(form::written(registration())), Ok(()), "all as named"),
        (register(with("redirect_uri", "https://app.example/done")), Ok(()), "the other address"),
        (register(with("redirect_uri", "https://app.example/done/")), code("420", "redirect_uri"), "a slash more"),
        (register(with("redirect_uri", "https://app.example/done?x=1")), code("420", "redirect_uri"), "a query more"),
        (register(with("redirect_uri", "HTTP://localhost")), code("200", "redirect_uri"), "another case is another text"),
        (register(with("redirect_uri", "http://localhost.evil.example")), code("420", "redirect_uri"), "a host that begins like it"),
        (register(with("form", "socialregistrationform")), code("200", "form"), "a form in another case"),
        (register(with("form", "newPasswordForm")), Ok(()), "a form that needs nothing"),
        (register(without("displayName")), code("390", "displayName"), "a field that the form needs"),
        (register(with("emailAddress", "")), code("390", "emailAddress"), "a field that is empty"),
        (register(with("response_type", "code")), code("200", "response_type"), "a response type that is switched off"),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
}

fn keys(marks: &[Mark]) -> Vec<[u8; 32]> {
    marks.iter().map(|mark| mark.key).collect()
}

#[test]
fn a_registration_demands_the_token_that_the_same_client_has_shown_to_auth_native() {
    let rules = Rules::default();
    let shown = |path, by: &str, token: &'static str| -> Pass {
        let mut pairs = registration();
        pairs.retain(|(name, _)| !["client_id", "token"].contains(name));
        let id = by.to_owned();
        pairs.push(("token", token));
        let body = format!("{}&client_id={id}", form::written(pairs));
        Call::post(path, body).by(caller("janrain_signature", by, &["login_client"])).asked(&rules).unwrap()
    };
    let first = shown("/oauth/auth_native", CLIENT, TOKEN);
    assert!(first.demands.is_empty() && first.burns.is_empty(), "the first call demands nothing");
    assert_eq!(first.notes.iter().map(|mark| (mark.made.0, mark.until.0)).collect::<Vec<_>>(), [(NOW, NOW + 600); 2], "for ten minutes");
    let second = shown("/oauth/register_native", CLIENT, TOKEN);
    assert_eq!(second.demands.len(), 1);
    assert!(keys(&first.notes).contains(&second.demands[0].mark.key), "the second demands what the first has noted");
    assert_eq!((&*second.demands[0].breach.code, &*second.demands[0].breach.field), ("200", "token"), "in the vendor's words otherwise");
    assert!(second.notes.is_empty(), "and notes nothing, so it works once");
    for (by, token, shows) in [("other", TOKEN, "of another client"), (CLIENT, OTHER_TOKEN, "another token")] {
        let foreign = shown("/oauth/register_native", by, token);
        assert!(!keys(&first.notes).contains(&foreign.demands[0].mark.key), "{shows} is not what was noted");
    }
    let again = proven(&json!({ "register_again": true })).unwrap();
    let pass = register(form::written(registration())).asked(&again).unwrap();
    assert_eq!(keys(&pass.notes), [pass.demands[0].mark.key], "where the conf says so, the form may be sent again");
}

#[test]
fn a_merge_token_must_have_failed_here_at_the_same_client() {
    let rules = Rules::default();
    let call = |path, pairs: Vec<(&'static str, &'static str)>| Call::post(path, form::written(pairs)).by(login_client());
    let merging = |merge| registration().into_iter().chain([("merge_token", merge)]).collect::<Vec<_>>();
    let failed = call("/oauth/auth_native", registration()).asked(&rules).unwrap();
    for path in ["/oauth/auth_native_traditional", "/oauth/register_native_traditional"] {
        let merge = call(path, merging(TOKEN).into_iter().filter(|(name, _)| *name != "token").collect()).asked(&rules).unwrap();
        assert!(keys(&failed.notes).contains(&merge.demands[0].mark.key), "{path}: the token of the login that failed");
        assert_eq!(merge.demands[0].breach.field, "merge_token");
        assert_eq!(keys(&merge.notes), [merge.demands[0].mark.key], "a wrong password may be corrected");
    }
    let other = call("/oauth/auth_native", merging(OTHER_TOKEN)).asked(&rules).unwrap();
    assert!(!keys(&failed.notes).contains(&other.demands[0].mark.key), "a token that nobody has shown here is demanded in vain");
    assert_eq!(call("/oauth/auth_native", merging(TOKEN)).told(&rules), code("200", "merge_token"), "with itself nothing is merged");
    assert_eq!(call("/oauth/auth_native", merging("short")).told(&rules), code("200", "merge_token"), "what is no token");
    let register = call("/oauth/register_native", registration()).asked(&rules).unwrap();
    assert!(
        !keys(&failed.notes).is_empty() && register.demands[0].mark.key != keys(&failed.notes)[1],
        "one mark is for registering, another for merging"
    );
}

#[test]
fn auth_native_takes_json_too() {
    let rules = Rules::default();
    let body: serde_json::Map<String, serde_json::Value> =
        registration().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let call = Call { media: Some("application/json"), ..Call::post("/oauth/auth_native", serde_json::Value::from(body).to_string()) };
    assert_eq!(call.by(login_client()).told(&rules), Ok(()));
}

fn applied() -> Rules {
    proven(&json!({
        "redirect_uris": ["https://app.example/other"],
        "application": {
            "client_id": CLIENT, "client_secret": { "file": "secret" }, "flow": "standard", "flow_version": "2016-1",
            "locale": "de-DE", "redirect_uri": "https://app.example/done", "response_type": "code_and_token",
        },
    }))
    .unwrap()
}

fn sent(pass: &Pass) -> Vec<(String, String)> {
    let text = std::str::from_utf8(pass.body.as_ref().unwrap()).unwrap();
    form::pairs(text).unwrap().into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[test]
fn what_the_conf_says_of_the_application_is_never_the_pages_to_say() {
    let rules = applied();
    let expected = |token: &str| {
        [
            ("client_id", CLIENT),
            ("flow", "standard"),
            ("flow_version", "2016-1"),
            ("locale", "de-DE"),
            ("redirect_uri", "https://app.example/done"),
            ("response_type", "code_and_token"),
            ("token", token),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let rows = [
        (format!("token={TOKEN}"), "the token alone"),
        (
            format!(
                "token={TOKEN}&client_id=evil&flow=evil&flow_version=HEAD&locale=x&redirect_uri=https%3A%2F%2Fevil.example&response_type=token&client_secret=s"
            ),
            "whatever the page says",
        ),
    ];
    for (body, shows) in rows {
        let mut pairs = sent(&Call::post("/oauth/auth_native", body).asked(&rules).unwrap());
        pairs.sort();
        assert_eq!(pairs, expected(TOKEN), "{shows}");
    }
    let defaults = proven(&json!({ "default_flow_name": "standard", "default_flow_version": "2016-1" })).unwrap();
    let pairs = registration().into_iter().filter(|(name, _)| *name != "flow");
    let pass = register(form::written(pairs)).asked(&defaults).unwrap();
    assert!(sent(&pass).contains(&("flow".into(), "standard".into())), "a flow that is left out is the default");
    assert!(sent(&pass).contains(&("flow_version".into(), "67890def-6789-defg-6789-67890defgh67".into())), "one that is named stays");
    let json = Call { media: Some("application/json"), ..Call::post("/oauth/auth_native", json!({ "token": TOKEN }).to_string()) };
    let body = json.asked(&rules).unwrap().body.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["client_id"], &body["token"]), (&json!(CLIENT), &json!(TOKEN)), "JSON stays JSON");
}

#[test]
fn a_page_of_another_site_logs_nobody_in() {
    let own = applied();
    let named = proven(&json!({ "application": { "client_id": CLIENT, "flow": "f", "flow_version": "1", "locale": "l", "redirect_uri": "http:", "origins": ["https://www.app.example"] } })).unwrap();
    let foreign = || code("403", "");
    let rows = [
        (&own, (None, None), Ok(()), "no browser"),
        (&own, (Some("same-origin"), Some("https://capture.example")), Ok(()), "a page of this host"),
        (&own, (Some("none"), None), Ok(()), "the user's own doing"),
        (&own, (Some("cross-site"), Some("https://evil.example")), foreign(), "a page of another site"),
        (&own, (Some("cross-site"), None), foreign(), "one that does not say which"),
        (&own, (Some("same-site"), Some("https://www.app.example")), foreign(), "a neighbour that nobody has named"),
        (&own, (None, Some("https://capture.example:8443")), Ok(()), "an older browser, of this host"),
        (&own, (None, Some("https://evil.example")), foreign(), "of another"),
        (&own, (None, Some("null")), foreign(), "of none"),
        (&own, (None, Some("https://capture.example.evil")), foreign(), "of one that begins alike"),
        (&named, (Some("same-site"), Some("https://www.app.example")), Ok(()), "a neighbour that the conf names"),
        (&named, (Some("cross-site"), Some("https://www.app.example.evil")), foreign(), "and nobody else"),
    ];
    for (rules, page, expected, shows) in rows {
        let call = Call { page, ..Call::post("/oauth/auth_native", format!("token={TOKEN}")) };
        assert_eq!(call.told(rules), expected, "{shows}");
    }
    let app = Call { page: (Some("cross-site"), Some("https://evil.example")), ..register(form::written(registration())) };
    assert_eq!(app.told(&Rules::default()), Ok(()), "where callers say themselves who they are, a page gains nothing");
}

#[test]
fn the_secret_of_the_application_goes_to_the_token_endpoint_and_nowhere_else() {
    let rules = applied();
    let pass = Call::post(
        "/oauth/token",
        "grant_type=authorization_code&code=abc&redirect_uri=https%3A%2F%2Fevil.example&client_id=x&client_secret=y",
    )
    .asked(&rules)
    .unwrap();
    let (name, value) = &pass.set[0];
    assert_eq!(name, "authorization");
    assert!(value.is_sensitive(), "it is not for logs");
    use base64::Engine;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:{SECRET}"));
    assert_eq!(value.to_str().unwrap(), format!("Basic {pair}"));
    let expected = [("grant_type", "authorization_code"), ("code", "abc"), ("redirect_uri", "https://app.example/done")];
    assert_eq!(sent(&pass), expected.map(|(name, value)| (name.to_owned(), value.to_owned())), "what the client said of itself is gone");
    assert!(!format!("{pass:?}").contains(&pair), "nor does a pass print it");
    let native = Call::post("/oauth/auth_native", format!("token={TOKEN}")).asked(&rules).unwrap();
    assert!(native.set.is_empty() && !String::from_utf8_lossy(&native.body.unwrap()).contains(SECRET), "no native call carries it");
}

#[test]
fn the_token_endpoint_is_for_clients_that_may_redeem() {
    let rules = Rules::default();
    let redeem = "grant_type=authorization_code&code=abc&redirect_uri=http%3A%2F%2Flocalhost";
    let by = |body: &str, feature: &str| Call::post("/oauth/token", body).by(caller("server_key", CLIENT, &[feature]));
    let rows = [
        (by(redeem, "owner"), Ok(()), "the owner"),
        (by(redeem, "access_issuer"), Ok(()), "an issuer"),
        (by(redeem, "direct_access"), Ok(()), "direct access"),
        (by(redeem, "login_client"), code("403", ""), "a login client does not"),
        (by(redeem, "direct_read_access"), code("403", ""), "a reader does not"),
        (Call::post("/oauth/token", redeem), code("403", ""), "nobody does not"),
        (by(&format!("{redeem}&client_id=other"), "owner"), code("402", "client_id"), "as another client than was proven"),
        (by(&format!("{redeem}&client_id={CLIENT}"), "owner"), Ok(()), "as the same"),
        (by("grant_type=refresh_token&refresh_token=r", "owner"), Ok(()), "a refresh"),
        (by("grant_type=refresh_token", "owner"), code("100", "refresh_token"), "without what it spends"),
        (by("grant_type=authorization_code&code=abc", "owner"), code("100", "redirect_uri"), "a code without its address"),
        (by("grant_type=password&username=a", "owner"), code("200", "grant_type"), "a grant that there is not"),
        (by("code=abc", "owner"), code("100", "grant_type"), "no grant"),
        (by(&format!("{redeem}&code=b"), "owner"), code("201", ""), "two codes"),
        (Call { method: "GET", ..by(redeem, "owner") }, code("200", ""), "by GET"),
        (Call { target: format!("/oauth/token?{redeem}"), ..by("", "owner") }, code("200", ""), "in the URL"),
        (Call { media: Some("application/json"), ..by("{}", "owner") }, code("200", ""), "as JSON"),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
    let refresh = Call::post("/oauth/token", "grant_type=refresh_token&refresh_token=r");
    assert_eq!(refresh.told(&applied()), code("403", "grant_type"), "with our secret, whoever found a refresh token does not renew it");
    let allowed =
        proven(&json!({ "application": { "client_id": CLIENT, "client_secret": { "file": "secret" } }, "grants": "refresh_token" }))
            .unwrap();
    assert_eq!(refresh.told(&allowed), Ok(()), "unless the conf says so");
}

fn mobile(date: &str, signature: &str) -> Call {
    let mut pairs = registration();
    pairs.retain(|(name, _)| ["client_id", "flow", "flow_version", "locale"].contains(name));
    let body = form::written(pairs.into_iter().chain([("access_token", "z0y98xv76u5t4rs3"), ("date", date), ("signature", signature)]));
    Call::post("/oauth/refresh_access_token", body).by(login_client())
}

#[test]
fn a_mobile_refresh_has_its_form_its_time_and_comes_once() {
    const DATE: &str = "2000-01-01 01:01:01";
    const SIGNATURE: &str = "E8QabawW/StAk3GZiy6WgD0yBmo=";
    let rules = Rules::default();
    let at = |now| Call { now, ..mobile(DATE, SIGNATURE) };
    let rows = [
        (at(NOW), Ok(()), "V-JR-6, at its own time"),
        (at(NOW + 300), Ok(()), "the last second of the window"),
        (at(NOW + 301), code("200", "date"), "one past it"),
        (at(NOW - 300), Ok(()), "the first second"),
        (at(NOW - 301), code("200", "date"), "one before it"),
        (mobile("Sat, 01 Jan 2000 01:01:01 GMT", SIGNATURE), code("342", "date"), "a date of HTTP"),
        (mobile(DATE, "E8QabawW_StAk3GZiy6WgD0yBmo="), code("200", "signature"), "another alphabet"),
        (mobile(DATE, "E8QabawW/StAk3GZiy6WgD0yBm"), code("200", "signature"), "too short"),
        (mobile(DATE, ""), code("100", "signature"), "none"),
        (
            mobile(DATE, SIGNATURE).by(caller("janrain_signature", CLIENT, &["owner"])),
            code("403", "login_client"),
            "by a client that logs nobody in",
        ),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
    let burns = |call: Call| call.asked(&rules).unwrap().burns;
    let burn = &burns(at(NOW))[0];
    assert_eq!((burn.mark.made.0, burn.mark.until.0), (NOW, NOW + 301), "until no window holds it");
    assert_eq!(burns(at(NOW + 7))[0].mark.key, burn.mark.key, "the same signature again is the same burn");
    assert_ne!(burns(mobile("2000-01-01 01:01:02", SIGNATURE))[0].mark.key, burn.mark.key, "another second is another");
}

#[test]
fn other_endpoints_are_for_clients_with_the_feature_and_for_users() {
    let rules = proven(&json!({ "mount": "/capture" })).unwrap();
    let get = |target: &str, identity: Option<Identity>| Call { method: "GET", target: target.to_owned(), identity, ..Call::post("", "") };
    let client = |feature| Some(caller("janrain_signature", CLIENT, &[feature]));
    let user = || caller("session", "67890def", &[]);
    let both =
        Identity { also: vec![("app".into(), std::sync::Arc::new(caller("janrain_signature", CLIENT, &["login_client"])))], ..user() };
    let rows = [
        (get("/capture/entity?attribute_name=x", client("direct_read_access")), Ok(()), "a reader reads"),
        (get("/capture/entity.update", client("direct_read_access")), code("403", ""), "and does not write"),
        (get("/capture/clients/list", client("login_client")), code("403", ""), "a login client may nothing privileged"),
        (get("/capture/clients/list", client("owner")), Ok(()), "the owner may"),
        (get("/capture/entity", Some(user())), Ok(()), "a user with a token of their own"),
        (get("/capture/entity", None), Ok(()), "nobody, where the rule lets nobody in"),
        (get("/capture/clients/list", Some(both)), code("403", ""), "a client beside a user is a client"),
        (get("/capture/entity?client_id=a&client_secret=b", client("owner")), code("200", "client_secret"), "a secret in a URL"),
        (get("/capture/entity?client%5Fsecret=b", client("owner")), code("200", "client_secret"), "however it is spelled"),
        (get("/capture/entity?a=1&a=2", client("owner")), code("201", ""), "a parameter twice"),
        (get("/capture/entity?a=%", client("owner")), code("200", ""), "a query without a reading"),
        (get("/app/clients/list", client("login_client")), Ok(()), "outside the mount nothing is an endpoint"),
        (get("/capturex/oauth/token", client("login_client")), Ok(()), "nor where a path only begins like it"),
        (get("/capture/oauth/auth_native", None), code("200", ""), "below it they are what they are"),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
}

#[test]
fn a_client_that_is_only_named_logs_users_in_and_nothing_else() {
    let rules = proven(&json!({ "features": { "/oauth/token": "login_client", "/access/getCreationToken": "login_client" } })).unwrap();
    let claims = crate::domain::Value::Map([("public".into(), crate::domain::Value::Bool(true))].into());
    let named = || Identity { claims: claims.clone().into(), ..login_client() };
    let redeem = |by| Call::post("/oauth/token", "grant_type=refresh_token&refresh_token=r").by(by);
    let create = |by| Call::post("/access/getCreationToken", "").by(by);
    let rows = [
        (register(form::written(registration())).by(named()), Ok(()), "it logs users in"),
        (redeem(login_client()), Ok(()), "with its secret it redeems, where the conf says so"),
        (redeem(named()), code("403", ""), "without, it does not: anybody knows its name"),
        (create(login_client()), Ok(()), "the same elsewhere, with its secret"),
        (create(named()), code("403", ""), "and without"),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
}

#[test]
fn a_secret_over_plain_http_is_refused_and_a_signature_is_not() {
    let rules = Rules::default();
    let get = |scheme, authorization, secure| Call {
        method: "GET",
        authorization,
        secure,
        identity: Some(caller(scheme, CLIENT, &["owner"])),
        ..Call::post("/entity", "")
    };
    let basic = Some("Basic Zm9vOmJhcg==");
    let signed = Some("Signature foo:WSOAQljO1DtzSM5+8WOwvrPOEZE=");
    let rows = [
        (get("server_key", basic, true), Ok(()), "Basic over TLS"),
        (get("server_key", basic, false), code("402", ""), "Basic without"),
        (get("janrain_signature", signed, false), Ok(()), "a signature tells no secret"),
        (get("janrain_signature", None, false), code("402", ""), "id and secret in a body"),
        (get("key_pair", signed, false), code("402", ""), "another scheme beside what looks like a signature"),
        (get("session", None, false), Ok(()), "a user has no client's secret"),
        (Call { secure: false, ..register(form::written(registration())) }, code("402", ""), "a native call that brings one"),
    ];
    for (call, expected, shows) in rows {
        assert_eq!(call.told(&rules), expected, "{shows}");
    }
    let allowed = proven(&json!({ "plain_secrets": "allow" })).unwrap();
    assert_eq!(get("server_key", basic, false).told(&allowed), Ok(()), "unless the conf says so");
}

#[test]
fn no_breach_holds_a_clients_text() {
    let marked = "marked-text-of-a-client";
    let rules = proven(&json!({ "redirect_uris": ["https://a.example"], "forms": { "f": ["emailAddress"] } })).unwrap();
    let breaches: Vec<Breach> = ["client_id", "flow_version", "redirect_uri", "response_type", "token", "form", "merge_token"]
        .into_iter()
        .filter_map(|name| register(with(name, marked)).asked(&rules).err())
        .collect();
    assert!(5 < breaches.len(), "most of them are refused");
    assert!(!format!("{breaches:?}").contains(marked));
}

//! Where browsers are sent to log in, and of what the address is made.

use std::sync::Arc;

use crate::domain::Reason;
use crate::issuer::contract::Service;
use crate::issuer::services::hat_login::ENTRY;
use crate::issuer::services::house::{House, field, get_at};
use crate::jose::session::SessionId;
use crate::settings::{Node, NodeValue};
use crate::verify::keys::testing::{map, node};

const HOST: &str = "app.example";

fn text(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

fn settings(more: Vec<(&str, NodeValue)>) -> Node {
    let back = NodeValue::List(vec![node(text("https://app.example/callback")), node(text("https://app.example/other"))]);
    let mut settings = vec![("session", text("member")), ("application", text("my app")), ("redirect_uris", back)];
    settings.extend(more);
    node(map(settings))
}

fn service(house: &House, more: Vec<(&str, NodeValue)>) -> Arc<dyn Service> {
    house.service(&ENTRY, Some(&settings(more))).unwrap()
}

#[tokio::test]
async fn a_browser_is_sent_to_register_with_what_the_vendor_asks_for() {
    let house = House::new();
    let usual = service(&house, Vec::new());
    let own = service(
        &house,
        vec![
            ("signup", text("https://auth.dataswift.io/services/signup?v=1")),
            ("lang", text("pt")),
            ("skip_deps", NodeValue::Bool(true)),
            ("extra", map(vec![("tags", text("a,b"))])),
        ],
    );
    const BACK: &str = "redirect_uri=https%3A%2F%2Fapp.example%2Fcallback";
    let hatters = "https://hatters.dataswift.io/services/daas/signup?application_id=my+app";
    let rows = [
        (&usual, "email=ada%40example.net", format!("{hatters}&email=ada%40example.net&{BACK}&lang=en"), "an address"),
        (&usual, "email=a%2Bb@example.net&lang=pt-BR", format!("{hatters}&email=a%2Bb%40example.net&{BACK}&lang=pt-BR"), "and a language"),
        (
            &usual,
            "email=a@b.c&redirect_uri=https://app.example/other",
            format!("{hatters}&email=a%40b.c&redirect_uri=https%3A%2F%2Fapp.example%2Fother&lang=en"),
            "another of our own callbacks",
        ),
        (
            &usual,
            "email=a%26lang%3Dx@b.c",
            format!("{hatters}&email=a%26lang%3Dx%40b.c&{BACK}&lang=en"),
            "what looks like a parameter is part of a value",
        ),
        (
            &own,
            "email=a@b.c",
            format!(
                "https://auth.dataswift.io/services/signup?v=1&application_id=my+app&email=a%40b.c&{BACK}&lang=pt&skip_deps=true&tags=a%2Cb"
            ),
            "what the conf says",
        ),
    ];
    for (service, query, expected, shows) in rows {
        let reply = get_at(HOST, service, None, &[], query).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected.as_str())), "{shows}");
        assert_eq!(field(&reply, "referrer-policy"), Some("no-referrer"), "{shows}");
        let cookie = field(&reply, "set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600", "{shows}");
        let id = SessionId::parse(pair.strip_prefix("__Host-hat-login=").unwrap()).unwrap();
        assert!(house.sessions.terms().recognise(id, HOST).is_some(), "{shows}: drawn here, for this host");
    }
    assert_eq!(house.failing.asked().1, 0, "nothing was written: whoever begins without end fills no store (L18)");
}

#[tokio::test]
async fn a_browser_is_sent_to_register_a_hat_of_a_name_of_its_own() {
    let house = House::new();
    let usual = service(&house, vec![("register", text("baas"))]);
    let own = service(
        &house,
        vec![("register", text("baas")), ("signup", text("https://baas.example/signup")), ("redirect_parameter", text("redirect"))],
    );
    let back = "https%3A%2F%2Fapp.example%2Fcallback";
    let hatters =
        format!("https://hatters.dataswift.io/services/baas/signup?application_id=my+app&email=a%40b.c&redirect_uri={back}&hat_name=ada");
    let longest = "a".repeat(63);
    let rows = [
        (&usual, "email=a@b.c&hat_name=ada", hatters.clone(), "an address and a name"),
        (&usual, "email=a@b.c&hat_name=ada&newsletter_optin=true", format!("{hatters}&newsletter_optin=true"), "and a wish"),
        (&usual, "email=a@b.c&hat_name=ada&newsletter_optin=false&lang=pt", format!("{hatters}&newsletter_optin=false"), "and none"),
        (
            &own,
            &format!("email=a@b.c&hat_name={longest}"),
            format!("https://baas.example/signup?application_id=my+app&email=a%40b.c&redirect={back}&hat_name={longest}"),
            "elsewhere, in other words",
        ),
    ];
    for (service, query, expected, shows) in rows {
        let reply = get_at(HOST, service, None, &[], query).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected.as_str())), "{shows}");
    }
    let too_long = format!("email=a@b.c&hat_name={}", "a".repeat(64));
    for query in [
        "email=a@b.c",
        "email=a@b.c&hat_name=",
        "hat_name=ada",
        "email=a@b.c&hat_name=Ada",
        "email=a@b.c&hat_name=-ada",
        "email=a@b.c&hat_name=ada-",
        "email=a@b.c&hat_name=ada.evil.example",
        "email=a@b.c&hat_name=ada%2Fx",
        "email=a@b.c&hat_name=ada&hat_name=bob",
        "email=a@b.c&hat_name=ada&newsletter_optin=yes",
        &too_long,
    ] {
        let reply = get_at(HOST, &usual, None, &[], query).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location"), field(&reply, "set-cookie")), (400, None, None), "{query}");
    }
}

#[tokio::test]
async fn a_browser_is_sent_to_a_hat_below_an_allowed_domain() {
    let house = House::new();
    let hats = || vec![("hats", text("hubofallthings.net"))];
    let usual = service(&house, hats());
    let mut more = hats();
    more.push(("fallback", text("https://app.example/no-hat")));
    let fallback = service(&house, more);
    let back = "redirect=https%3A%2F%2Fapp.example%2Fcallback";
    let expected = format!("https://ada.hubofallthings.net/#/hatlogin?name=my+app&{back}&fallback=https%3A%2F%2Fapp.example%2Fcallback");
    let reply = get_at(HOST, &usual, None, &[], "hat=ada.hubofallthings.net").await.unwrap();
    assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected.as_str())));
    let reply = get_at(HOST, &fallback, None, &[], "hat=ada.hubofallthings.net").await.unwrap();
    assert!(field(&reply, "location").unwrap().ends_with("&fallback=https%3A%2F%2Fapp.example%2Fno-hat"));
    for hat in [
        "evil.example",
        "evilhubofallthings.net",
        "hubofallthings.net.evil.example",
        "evil.example%2F.hubofallthings.net",
        "evil.example%23.hubofallthings.net",
        "x%40ada.hubofallthings.net",
        "ada.hubofallthings.net%3A443",
        "%2F%2Fevil.example",
        "127.0.0.1",
    ] {
        let reply = get_at(HOST, &usual, None, &[], &format!("hat={hat}&email=a@b.c")).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location"), field(&reply, "set-cookie")), (400, None, None), "{hat} (L1, L2)");
        assert!(!String::from_utf8_lossy(&reply.body).contains("evil"), "{hat}: and is not repeated");
    }
    let nowhere = get_at(HOST, &service(&house, Vec::new()), None, &[], "hat=ada.hubofallthings.net").await.unwrap();
    assert_eq!(nowhere.status, 400, "where the conf names no domain, nobody is sent to a HAT");
}

#[tokio::test]
async fn what_a_request_may_not_say() {
    let house = House::new();
    let service = service(&house, Vec::new());
    let long = format!("email={}@b.c", "a".repeat(65));
    let longer = format!("email=a@{}", "b".repeat(260));
    let rows: [(&str, &str); 14] = [
        ("", "no address"),
        ("email=", "an empty one"),
        ("email=ada", "no domain"),
        ("email=@b.c", "nobody"),
        ("email=a@b@c", "two signs"),
        ("email=a%0d%0aLocation:x@b.c", "a line break"),
        ("email=a%20b@c.d", "a space"),
        ("email=%22a%22@b.c", "quotes"),
        (&long, "a name longer than mail allows"),
        (&longer, "an address longer than mail allows"),
        ("email=a@b.c&email=d@e.f", "two of them"),
        ("email=a@b.c&lang=en%26x", "no language"),
        ("email=a@b.c&redirect_uri=https://evil.example/callback", "another's callback (L1)"),
        ("email=a@b.c&redirect_uri=https://app.example@evil.example/callback", "one that looks like ours (L8)"),
    ];
    for (query, shows) in rows {
        let reply = get_at(HOST, &service, None, &[], query).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location"), field(&reply, "set-cookie")), (400, None, None), "{shows}: {query}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("evil"), "{shows}: nothing is repeated");
    }
    let refused = get_at(HOST, &service, None, &[("sec-fetch-site", "cross-site")], "email=a@b.c").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PolicyDenied, "pages of other sites begin no log-in (L15)");
    let refused = get_at("", &service, None, &[], "email=a@b.c").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::HeadMalformed, "at no host");
}

#[test]
fn settings_that_would_send_browsers_astray_are_faults() {
    let house = House::new();
    let rows = [
        (vec![("signup", text("http://hatters.example/"))], "not https"),
        (vec![("fallback", text("//evil.example"))], "no absolute URL"),
        (vec![("hats", text("net"))], "top-level domain"),
        (vec![("lang", text("en&x"))], "the code of a language"),
        (vec![("extra", map(vec![("redirect_uri", text("x"))]))], "written by the service itself"),
        (vec![("redirect_parameter", text("back")), ("extra", map(vec![("back", text("x"))]))], "written by the service itself"),
        (vec![("redirect_parameter", text("email"))], "none of the others"),
        (vec![("redirect_parameter", text("a&b"))], "letters, digits"),
        (vec![("register", text("baas")), ("lang", text("pt"))], "no parameter of this registration"),
        (vec![("register", text("baas")), ("skip_deps", NodeValue::Bool(true))], "no parameter of this registration"),
    ];
    for (more, expected) in rows {
        let says = house.service(&ENTRY, Some(&settings(more))).map(|_| ()).unwrap_err();
        assert!(says[0].contains(expected), "{expected}: {says:?}");
    }
    assert!(house.service(&ENTRY, None).map(|_| ()).unwrap_err()[0].contains("which application"));
}

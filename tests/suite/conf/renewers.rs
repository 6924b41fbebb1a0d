//! Renewers in a conf: what binds them to authenticators, where clients bring and find credentials, and what is refused.

use countersign::config::Plan;
use countersign::domain::{Place, Seconds};
use countersign::renew::handling::{HandBack, HandTo};

use crate::conf::stage::Stage;

const HEAD: &str = "listeners: [{ address: 127.0.0.1:8080 }]\nupstreams: { app: http://127.0.0.1:9000 }\n";
const KEYS: &str = "keys: { m: { mac: { file: mac } }, k: { server_keys: { file: k.jsonl, pepper: { file: pepper } } }, g: { gigya_secret: { file: gigya } } }\n";
const SERVER_KEYS: &str = "{\"id\":\"demo\",\"secrets\":[\"cs1:MzVwDkB05H01AY7GqBbdsoR-e8X9xgnTJNWT4cXGHcI\"]}\n";

/// A conf of one authenticator, one renewer called `login`, and one rule.
fn stage(authenticator: &str, renewer: &str) -> Stage {
    let text = format!(
        "{HEAD}{KEYS}authenticators:\n  a: {authenticator}\nrenewers:\n  login: {renewer}\nrules:\n- {{ name: r, match: {{ paths: /a }}, authenticate: a, forward: app }}\n"
    );
    Stage::new(&text)
        .file("k.jsonl", SERVER_KEYS.as_bytes())
        .file("pepper", b"0123456789abcdef\n")
        .file("mac", b"an authentic key of 32 bytes, or more\n")
        .file("gigya", b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
        .variable("APP_SECRET", "s")
}

/// A `jwt` authenticator that takes its tokens `from` there.
fn jwt(from: &str) -> String {
    format!("{{ jwt: {{ issuer: 'https://id.example', audience: app, from: {from} }}, renew: login }}")
}

/// An `oauth2` renewer with these settings beside the least.
fn oauth2(more: &str) -> String {
    format!("{{ oauth2: {{ token_url: 'https://id.example/t', client_id: app, client_auth: none, {more} }} }}")
}

fn plan(stage: &Stage) -> Plan {
    stage.plan().unwrap_or_else(|faults| panic!("{:#?}", faults.sorted()))
}

/// Faults and warnings about `keys` that are not used are not what these rows are about.
fn told(stage: &Stage) -> Vec<String> {
    stage.told().into_iter().filter(|told| !told.contains("warning: nothing refers to `")).collect()
}

fn hand_back(plan: &Plan) -> &HandBack {
    plan.authenticators[0].renewal.as_ref().unwrap().hand_back.as_ref().unwrap()
}

/// Where a pair is put, as text.
fn shown(hand_back: &HandBack) -> String {
    let to = |to: &HandTo| match to {
        HandTo::Header(name) => name.to_string(),
        HandTo::Cookie { name, attributes, max_age } => {
            format!("{name}=?{attributes}{}", max_age.map_or_else(String::new, |age| format!(" for {} s", age.0)))
        }
    };
    let expires_in = hand_back.expires_in.as_ref().map_or("-", |(name, _)| name.as_str());
    format!("{} | {} | {expires_in}", to(&hand_back.access.0), to(&hand_back.refresh.0))
}

#[test]
fn the_conf_of_the_readme_is_sound_and_asks_the_issuer_of_its_users() {
    let authenticator = "{ jwt: { issuer: https://id.example, audience: app }, renew: login }";
    let renewer = "{ oauth2: { refresh_from: { cookie: rt }, client_id: app, client_secret: { env: APP_SECRET } } }";
    let plan = plan(&stage(authenticator, renewer));
    let (authenticator, renewer) = (&plan.authenticators[0], &plan.renewers[0]);
    assert_eq!(authenticator.renewal.as_ref().map(|used| (used.renewer, used.brought)), Some((0, true)));
    assert_eq!(renewer.handling.refresh_from, Some(Place::Cookie("rt".into())));
    let handling = &renewer.handling;
    assert_eq!(
        (handling.early, handling.wait.as_millis(), handling.flight, handling.grace),
        (Seconds(60), 2_000, Seconds(15), Seconds(30)),
        "what is not written is at its default"
    );
    assert!(format!("{:?}", renewer.renewer).contains("https://id.example"), "whom it asks follows from its users");
}

#[test]
fn a_pair_goes_back_where_it_came_from_or_where_the_conf_says() {
    let usual = "; Path=/; Secure; HttpOnly; SameSite=Lax";
    let rows = [
        (
            jwt("bearer"),
            oauth2("refresh_from: { header: X-Refresh }"),
            "x-renewed-access-token | x-renewed-refresh-token | x-renewed-expires-in".to_owned(),
            "headers for headers",
        ),
        (
            jwt("{ cookie: at }"),
            oauth2("refresh_from: { cookie: rt }"),
            format!("at=?{usual} | rt=?{usual} | -"),
            "cookies for cookies, whose end nobody need be told",
        ),
        (
            jwt("bearer"),
            oauth2("refresh_from: { cookie: __Host-rt }"),
            format!("x-renewed-access-token | __Host-rt=?{usual} | x-renewed-expires-in"),
            "each its own way",
        ),
        (
            jwt("{ query: t }"),
            oauth2("refresh_from: { header: X-Refresh }"),
            "x-renewed-access-token | x-renewed-refresh-token | x-renewed-expires-in".to_owned(),
            "there is no handing back into a URL",
        ),
        (
            jwt("[{ cookie: at }, { cookie: old }]"),
            oauth2("refresh_from: { cookie: rt }"),
            format!("at=?{usual} | rt=?{usual} | -"),
            "into the first of several cookies",
        ),
        (
            jwt("[bearer, { cookie: at }]"),
            oauth2("refresh_from: { cookie: rt }, hand_back: { access: { cookie: { max_age: 1h } } }"),
            format!("at=?{usual} for 3600 s | rt=?{usual} | -"),
            "where it may come from two kinds of place, the conf says",
        ),
        (
            jwt("bearer"),
            oauth2(
                "refresh_from: { header: X-Refresh }, hand_back: { access: { header: X-At }, refresh: { cookie: { name: rt, path: /app, \
                 domain: example.com, same_site: none } }, expires_in: { header: X-Life } }",
            ),
            "x-at | rt=?; Path=/app; Domain=example.com; Secure; HttpOnly; SameSite=None | x-life".to_owned(),
            "everything otherwise",
        ),
        (
            jwt("{ cookie: at }"),
            oauth2(
                "refresh_from: { cookie: rt }, hand_back: { refresh: { cookie: { same_site: strict } }, expires_in: { header: X-Life } }",
            ),
            format!("at=?{usual} | rt=?; Path=/; Secure; HttpOnly; SameSite=Strict | x-life"),
            "a cookie keeps its name",
        ),
    ];
    for (authenticator, renewer, expected, shows) in rows {
        let stage = stage(&authenticator, &renewer);
        assert_eq!(shown(hand_back(&plan(&stage))), expected, "{shows}");
        assert_eq!(told(&stage), Vec::<String>::new(), "{shows}");
    }
}

#[test]
fn what_cannot_be_renewed_or_handed_back_is_refused() {
    let bearer = || jwt("bearer");
    let from = |more: &str| oauth2(&format!("refresh_from: {{ cookie: rt }}, {more}"));
    let rows = [
        ("{ server_key: { keys: k }, renew: login }".to_owned(), from(""), "5:", "cannot be renewed: they have no end", "a Server-Key"),
        ("{ gigya: { keys: g }, renew: login }".to_owned(), from(""), "5:", "cannot be renewed: they have no end", "a Gigya signature"),
        (
            "{ ticket: { keys: m, from: bearer, single_use: true }, renew: login }".to_owned(),
            from(""),
            "5:",
            "each is good for one request",
            "a ticket for one use",
        ),
        ("{ ticket: { keys: m, from: bearer }, renew: login }".to_owned(), from(""), "", "", "a ticket for many"),
        (bearer(), oauth2(""), "5:", "does not say where clients bring what is spent", "nowhere to bring it"),
        (bearer(), oauth2("refresh_from: { body: refresh_token }"), "7:", "goes on to the upstream with it", "in the body"),
        (bearer(), oauth2("refresh_from: { query: rt }"), "7:", "ends up in logs", "in the URL"),
        (bearer(), oauth2("refresh_from: { header: Authorization }"), "7:", "carries more than one credential", "beside the other"),
        (bearer(), oauth2("refresh_from: { header: Cookie }"), "7:", "carries more than one credential", "all cookies"),
        (bearer(), oauth2("refresh_from: { header: Content-Length }"), "7:", "says how the message is read", "in the framing"),
        (bearer(), oauth2("refresh_from: { cookie: 'r t' }"), "7:", "is not a cookie name", "a name with a space"),
        (jwt("{ cookie: rt }"), from(""), "5:", "name two places", "both in one cookie"),
        (jwt("{ header: X-T }"), oauth2("refresh_from: { header: x-t }"), "5:", "name two places", "both in one header, in any case"),
        (jwt("[bearer, { cookie: at }]"), from(""), "5:", "it must be said where the fresh one goes", "from two kinds of place"),
        (bearer(), from("wait: 8s, flight: 7s"), "7:", "`wait` is longer than `flight`", "longer than there is anything to wait for"),
        (bearer(), from("wait: 8s, flight: 8s"), "", "", "as long as it takes"),
        (bearer(), from("wait: 9s"), "7:", "8", "longer than the gate waits"),
        (bearer(), from("hand_back: { access: { header: Set-Cookie } }"), "7:", "means something else in a response", "a cookie by hand"),
        (bearer(), from("hand_back: { access: { header: Location } }"), "7:", "means something else in a response", "where to go"),
        (bearer(), from("hand_back: { expires_in: { header: Age } }"), "7:", "means something else in a response", "how old"),
        (
            bearer(),
            from("hand_back: { access: { header: Access-Control-Allow-Origin } }"),
            "7:",
            "means something else in a response",
            "who may read",
        ),
        (bearer(), from("hand_back: { access: { header: Transfer-Encoding } }"), "7:", "means something else", "how to read"),
        (bearer(), from("hand_back: { access: { header: X-Auth-Subject } }"), "7:", "shown the identity in", "an identity header"),
        (bearer(), from("hand_back: { access: { header: X_Auth.Subject } }"), "7:", "shown the identity in", "however it is spelt"),
        (
            bearer(),
            from("hand_back: { access: { header: X-T }, refresh: { header: x-t } }"),
            "7:",
            "handed back in one place",
            "both in one header",
        ),
        (
            bearer(),
            from("hand_back: { access: { header: X-T }, expires_in: { header: x-t } }"),
            "",
            "name another header",
            "a credential and its end",
        ),
        (bearer(), from("hand_back: { access: { cookie: { name: rt } } }"), "", "handed back in one place", "both in one cookie"),
        (bearer(), from("hand_back: { access: { cookie: {} } }"), "7:", "needs a `name`", "a cookie that there was not before"),
        (bearer(), from("hand_back: { access: { cookie: { name: 'a;b' } } }"), "7:", "is not a cookie name", "a separator in a name"),
        (bearer(), from("hand_back: { access: { cookie: { name: at, path: 'a' } } }"), "7:", "is no cookie path", "a relative path"),
        (bearer(), from("hand_back: { access: { cookie: { name: at, path: '/a; Domain=x' } } }"), "7:", "is no cookie path", "an attribute"),
        (bearer(), from("hand_back: { access: { cookie: { name: at, domain: .example.com } } }"), "7:", "is no domain", "a dot in front"),
        (bearer(), from("hand_back: { access: { cookie: { name: at, domain: 'a; b' } } }"), "7:", "is no domain", "an attribute"),
        (
            bearer(),
            from("hand_back: { access: { cookie: { name: __Host-at, domain: example.com } } }"),
            "7:",
            "browsers drop a cookie `__Host-at`",
            "for the host alone, and for others",
        ),
        (
            bearer(),
            from("hand_back: { access: { cookie: { name: __hOST-at, path: /a } } }"),
            "7:",
            "browsers drop a cookie `__hOST-at`",
            "the prefix counts in any case",
        ),
        (bearer(), from("hand_back: { access: { cookie: { name: __Secure-at, domain: example.com } } }"), "", "", "another prefix, kept"),
        (
            "{ jwt: { issuer: 'https://id.example', audience: app }, renew: logn }".to_owned(),
            from(""),
            "5:",
            "`renewers` defines no `logn`; did you mean `login`?",
            "a slip",
        ),
        (
            "{ introspection: { endpoint: 'https://id.example/i', client_id: a, client_secret: { env: APP_SECRET }, issuer: x }, renew: login }"
                .to_owned(),
            "{ oauth2: { refresh_from: { cookie: rt }, client_id: app, client_auth: none } }".to_owned(),
            "7:3: error:",
            "write `token_url` or `issuer`",
            "nobody to ask",
        ),
        (
            "{ jwt: { issuer: ['https://a.example', 'https://b.example'], audience: app }, renew: login }".to_owned(),
            "{ oauth2: { refresh_from: { cookie: rt }, client_id: app, client_auth: none } }".to_owned(),
            "7:3: error:",
            "write `token_url` or `issuer`",
            "two to ask",
        ),
        (bearer(), "{ oauth2: {}, http: {} }".to_owned(), "7:", "it cannot be `http` too", "two kinds"),
        (bearer(), "{ refresh: {} }".to_owned(), "7:", "knows no key `refresh`", "no kind"),
    ];
    let mut wrong = Vec::new();
    for (authenticator, renewer, place, words, shows) in rows {
        let told = told(&stage(&authenticator, &renewer));
        let right = match words {
            "" => told.is_empty(),
            _ => told.iter().any(|told| told.starts_with(place) && told.contains(words) && told.contains("error:")),
        };
        if !right {
            wrong.push(format!("{shows}\n{authenticator}\n{renewer}\nexpected {place} … {words}\ntold {told:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_renews_stands_where_nothing_else_does() {
    let two = |a: &str, b: &str, login: &str, again: &str| {
        let text = format!(
            "{HEAD}authenticators:\n  a: {}\n  b: {}\nrenewers:\n  login: {}\n  again: {}\nrules:\n\
             - {{ name: r, match: {{ paths: /a }}, authenticate: a, forward: app }}\n\
             - {{ name: s, match: {{ paths: /b }}, authenticate: b, forward: app }}\n",
            jwt(a),
            jwt(b).replace("login", "again"),
            oauth2(&format!("refresh_from: {login}")),
            oauth2(&format!("refresh_from: {again}")),
        );
        told(&Stage::new(&text))
    };
    let rows = [
        ("{ cookie: at }", "{ cookie: bt }", "{ cookie: ar }", "{ cookie: br }", "", "four places"),
        (
            "{ cookie: at }",
            "{ cookie: bt }",
            "{ cookie: bt }",
            "{ cookie: br }",
            "error: `login` takes its refresh credential",
            "another's cookie",
        ),
        (
            "{ cookie: at }",
            "{ cookie: bt }",
            "{ cookie: ar }",
            "{ cookie: at }",
            "error: `again` takes its refresh credential",
            "the other way",
        ),
        (
            "{ header: X-A }",
            "{ header: X-B }",
            "{ header: X_B }",
            "{ header: X-R }",
            "error: `login` takes its refresh credential",
            "another's header, as upstreams read names",
        ),
        (
            "{ header: X-A }",
            "{ header: X-B }",
            "{ header: X_A }",
            "{ header: X-R }",
            "error: `login` takes its refresh credential",
            "its own likewise",
        ),
        (
            "{ cookie: at }",
            "{ cookie: bt }",
            "{ cookie: r }",
            "{ cookie: r }",
            "warning: `login` and `again`",
            "one refresh cookie for two",
        ),
        ("{ cookie: at }", "{ cookie: bt }", "{ cookie: r }", "{ header: r }", "", "a cookie is no header"),
    ];
    for (a, b, login, again, words, shows) in rows {
        let told = two(a, b, login, again);
        let right = if words.is_empty() { told.is_empty() } else { told.iter().any(|told| told.contains(words)) };
        assert!(right, "{shows}: {told:#?}");
    }
}

#[test]
fn a_renewer_that_nobody_uses_is_warned_of() {
    let unused = stage("{ jwt: { issuer: 'https://id.example', audience: app } }", "{ oauth2: { client_id: app, client_auth: none } }");
    let told = unused.told();
    assert!(told.iter().any(|told| told.starts_with("7:3: warning: nothing refers to `login`")), "{told:#?}");
    assert!(unused.plan().is_ok(), "and nothing else is asked of it");
}

#[test]
fn authenticators_share_a_renewer_each_in_its_own_way() {
    let text = format!(
        "{HEAD}authenticators:\n  \
         app: {{ jwt: {{ issuer: 'https://id.example', audience: app, from: bearer }}, renew: login }}\n  \
         web: {{ jwt: {{ issuer: 'https://id.example', audience: web, from: {{ cookie: at }} }}, renew: login }}\n\
         renewers: {{ login: {{ oauth2: {{ refresh_from: {{ cookie: rt }}, client_id: app, client_auth: none }} }} }}\n\
         rules:\n- {{ name: r, match: {{ paths: /a }}, authenticate: {{ any: [app, web] }}, forward: app }}\n"
    );
    let plan = plan(&Stage::new(&text));
    let places: Vec<String> = plan
        .authenticators
        .iter()
        .map(|authenticator| shown(authenticator.renewal.as_ref().unwrap().hand_back.as_ref().unwrap()))
        .collect();
    assert!(places[0].starts_with("x-renewed-access-token") && places[1].starts_with("at=?"), "{places:#?}");
    assert!(format!("{:?}", plan.renewers[0].renewer).contains("https://id.example"), "they have one issuer");
}

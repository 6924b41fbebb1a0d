//! The attack list on log-ins with a HAT, section L row by row, over the shipped conf; and what else the vendor's servers let happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hat::{ADA, BOB, CONF, NOT_AUTHENTICATED, OWNER, START, Scene, VALIDATE, cookie_of, script};
use crate::loopback::{Loopback, Told};
use crate::support::raw::Answer;
use crate::support::upstream::{Reply, Upstream};
use crate::support::whole::Whole;

const HOST: (&str, &str) = ("Host", "app.example");
const JSON: (&str, &str) = ("Accept", "application/json");

impl Scene {
    async fn ask(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<(&str, &str)> = [HOST].into_iter().chain(fields.iter().copied()).collect();
        self.proxy.ask("GET", target, &fields).await
    }

    /// A log-in that was begun: the cookie of the browser.
    async fn begun(&self) -> String {
        cookie_of(&self.ask(&format!("/login?hat={ADA}"), &[]).await, "__Host-hat-login").unwrap()
    }

    /// An application's token that nobody has brought yet.
    fn fresh(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(2);
        self.hats.application(ADA, "my-app", &format!("{}", COUNT.fetch_add(1, Ordering::SeqCst))).unwrap()
    }

    async fn arrive(&self, token: &str, cookie: &str) -> Answer {
        self.ask(&format!("/callback?token={token}"), &[JSON, ("Cookie", cookie)]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_sent_nowhere_but_where_the_conf_says() {
    let scene = Scene::new().await;
    let evil = [
        ("https://evil.example/callback", "L1 another host"),
        ("//evil.example", "L1 without a scheme"),
        ("/\\evil.example", "L1 a backslash"),
        ("/%09/evil.example", "L1 a tab"),
        ("https:evil.example", "L1 a scheme alone"),
        ("http://127.0.0.1:8080.evil.example/callback", "L2 ours as a label of another"),
        ("http://127.0.0.1:8080/callback.evil", "L8 a longer path"),
        ("http://127.0.0.1:8080@evil.example/callback", "L8 ours as userinfo"),
        ("http://evil@127.0.0.1:8080/callback", "L8 userinfo before ours"),
        ("http://127.0.0.1:8080/callback/../x", "L8 nearly ours"),
    ];
    let token = scene.application();
    for (place, shows) in evil {
        let place: String = form_urlencoded::byte_serialize(place.as_bytes()).collect();
        let login = scene.ask(&format!("/login?email=a%40b.example&redirect_uri={place}"), &[]).await;
        assert_eq!((login.status, login.field("location"), login.field("set-cookie")), (400, None, None), "{shows}");
        let plug = scene.get(&format!("/connect/facebook?redirect_uri={place}"), &token).await;
        assert_eq!((plug.status, plug.field("location")), (400, None), "{shows}: nor with a plug's token (L3)");
        let target = format!("/callback?token={}&redirect={place}&rd={place}&return_to={place}", scene.fresh());
        let arrived = scene.ask(&target, &[("Cookie", &scene.begun().await)]).await;
        assert_eq!((arrived.status, arrived.field("location")), (303, Some("/home")), "{shows}: whatever the way back asks for");
    }
    for hat in [
        "evilhubat.net",
        "hubat.net.evil.example",
        "hubat.net",
        "evil.example",
        "x@ada.hubat.net",
        "ada.hubat.net:443@evil",
        "ada.hubat.net/x",
        "127.0.0.1",
    ] {
        let login = scene.ask(&format!("/login?hat={hat}"), &[]).await;
        let sent = login.field("location").unwrap_or_default().to_owned();
        assert!(login.status == 400 || sent.starts_with("https://hubat.net/#/"), "L2 {hat}: {} {sent}", login.status);
    }
    let arrived = scene.arrive(&scene.fresh(), &scene.begun().await).await;
    assert!(!format!("{:?}", arrived.fields).contains("eyJ"), "L3 no token is in a redirect of a log-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_comes_back_once_to_the_browser_that_began_it() {
    let scene = Scene::new().await;
    let (begun, elsewhere) = (scene.begun().await, {
        let begun = scene.proxy.ask("GET", &format!("/login?hat={ADA}"), &[("Host", "other.example")]).await;
        cookie_of(&begun, "__Host-hat-login").unwrap()
    });
    let rows = [
        (String::new(), "L4 no state"),
        (elsewhere, "L4 L14 one of another host"),
        ("__Host-hat-login=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(), "L4 one that nobody drew"),
        (format!("{begun}; {begun}"), "L10 two of them"),
        (begun.replace("__Host-", ""), "L10 one that a sibling host could have set"),
        (begun.replacen("__Host-", "__host-", 1), "L10 the same in other letters"),
    ];
    for (cookie, shows) in rows {
        let answer = scene.arrive(&scene.fresh(), &cookie).await;
        assert_eq!((answer.status, cookie_of(&answer, "__Host-session")), (400, None), "{shows}: {}", answer.text());
    }
    let elsewhere = scene.hats.application(BOB, "my-app", "90").unwrap();
    let answer = scene.arrive(&elsewhere, &begun).await;
    assert_eq!((answer.status, cookie_of(&answer, "__Host-session")), (400, None), "L7 another HAT's token: {}", answer.text());
    let token = scene.fresh();
    assert_eq!(scene.arrive(&token, &begun).await.status, 303, "the log-in that was begun is still open to its own HAT");
    assert_eq!(scene.arrive(&scene.fresh(), &begun).await.status, 400, "L4 the state is spent");
    let again = scene.arrive(&token, &scene.begun().await).await;
    assert_eq!((again.status, scene.proxy.reason_of(&again).await.as_str()), (401, "replayed"), "L16 F1 and so is the token");
    for at_once in 0..4 {
        let (token, one, other) = (scene.fresh(), scene.begun().await, scene.begun().await);
        let (one, other) = tokio::join!(scene.arrive(&token, &one), scene.arrive(&token, &other));
        let opened = [&one, &other].into_iter().filter(|answer| answer.status == 303).count();
        assert_eq!(opened, 1, "F2 one session for one token, try {at_once}: {} {}", one.status, other.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_session_only_where_it_is_for() {
    let scene = Scene::new().await;
    let refused = [
        (scene.hats.application(ADA, "facebook", "2").unwrap(), "L6 that of another application"),
        (scene.hats.owner(ADA).unwrap(), "L6 the owner's own"),
        (scene.hats.validate(ADA, "https://app.example").unwrap(), "L6 one that is for showing who they are"),
        (scene.hats.application(ADA, "my-app", "0.9").unwrap(), "L5 one of a version that knew less"),
        ("a.b.c".to_owned(), "none"),
    ];
    for (token, shows) in refused {
        let answer = scene.arrive(&token, &scene.begun().await).await;
        assert_eq!(
            (answer.status, answer.text().as_str(), cookie_of(&answer, "__Host-session")),
            (401, NOT_AUTHENTICATED, None),
            "{shows}"
        );
    }
    let both = format!("/callback?token={}&token={}", scene.fresh(), scene.fresh());
    assert_eq!(scene.ask(&both, &[JSON, ("Cookie", &scene.begun().await)]).await.status, 400, "two");
    let beside = format!("/callback?token={}&error=hat_exception", scene.fresh());
    assert_eq!(scene.ask(&beside, &[JSON, ("Cookie", &scene.begun().await)]).await.status, 400, "one, and an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_each_log_in_and_is_nobody_elses() {
    let scene = Scene::new().await;
    let (first, second) = (scene.logged_in().await, {
        scene.at(START + 1);
        scene.logged_in().await
    });
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    let planted = format!("__Host-session={}", "A".repeat(value(&first).len()));
    let begun = scene.begun().await;
    let arrived = scene.arrive(&scene.fresh(), &format!("{planted}; {begun}")).await;
    let own = cookie_of(&arrived, "__Host-session").unwrap();
    assert_ne!(own, planted, "L9 a new id, whatever came along");
    let begun = scene.begun().await;
    let arrived = scene.arrive(&scene.fresh(), &format!("{own}; {begun}")).await;
    let next = cookie_of(&arrived, "__Host-session").unwrap();
    assert_eq!((scene.page(&own).await.status, scene.page(&next).await.status), (401, 200), "L9 and what came along is over");
    assert!(arrived.fields.iter().any(|(_, field)| field.starts_with("__Host-hat-login=;") && field.contains("Max-Age=0")), "L11");

    let (a, b) = (value(&first), value(&second));
    let spliced = format!("__Host-session={}{}", &a[..a.len() / 2], &b[b.len() / 2..]);
    let rows = [
        (spliced, 401, "L13 halves of two"),
        (format!("__Host-session={}", &a[1..]), 401, "L13 a part"),
        (format!("{first}; {second}"), 400, "L10 two"),
        (format!("{first}; __Host-session="), 400, "L10 one and an empty one"),
        (first.replace("__Host-", ""), 401, "L10 under a name that others may set"),
        (format!("{first}; __Host-session_chunks=99999999; __Host-session.0=x; __Host-session.1=y"), 200, "L12 there are no pieces"),
        (
            format!("__Host-session_chunks=2; __Host-session.0={}; __Host-session.1={}", &a[..9], &a[9..]),
            401,
            "L12 so none are put together",
        ),
        (planted, 401, "made up"),
        (first.clone(), 200, "as it was set"),
    ];
    for (cookie, status, shows) in rows {
        let answer = scene.page(&cookie).await;
        assert_eq!(answer.status, status, "{shows}: {}", answer.text());
    }
    let elsewhere = scene.proxy.ask("GET", "/home/notes", &[("Host", "other.example"), JSON, ("Cookie", &first)]).await;
    assert_eq!(elsewhere.status, 401, "L14 at another host");

    let out = async |method: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = [HOST, JSON, ("Cookie", &*first)].into_iter().chain(fields.iter().copied()).collect();
        scene.proxy.ask(method, "/logout", &fields).await
    };
    assert_eq!(out("POST", &[("Sec-Fetch-Site", "cross-site")]).await.status, 403, "L15 no other site logs out");
    assert_ne!(out("GET", &[]).await.status, 200, "L15 nor does a link");
    assert_eq!(scene.page(&first).await.status, 200);
    let ended = out("POST", &[("Sec-Fetch-Site", "same-origin")]).await;
    assert!(ended.field("set-cookie").is_some_and(|field| field.starts_with("__Host-session=;") && field.contains("Max-Age=0")), "L11");
    assert_eq!(scene.page(&first).await.status, 401, "L11 and it is over, whoever kept a copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_begin_nothing_and_what_they_write_is_not_repeated() {
    let scene = Scene::new().await;
    for elsewhere in [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")] {
        let login = scene.ask(&format!("/login?hat={ADA}"), &[elsewhere]).await;
        assert_eq!((login.status, login.field("location"), login.field("set-cookie")), (403, None, None), "L15 {elsewhere:?}");
    }
    let link = scene.ask(&format!("/callback?token={}", scene.fresh()), &[("Sec-Fetch-Site", "cross-site")]).await;
    assert_eq!((link.status, link.field("set-cookie")), (400, None), "L15 a link with somebody else's token");
    for (error, reason) in [("%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cb%3E"), ("hat_exception", "%0d%0aSet-Cookie:%20a=b")] {
        let target = format!("/callback?error={error}&error_reason={reason}");
        let failed = scene.ask(&target, &[("Cookie", &scene.begun().await)]).await;
        let place = failed.field("location").unwrap();
        assert!(failed.status == 303 && place.starts_with("/welcome?error="), "{place}");
        assert!(!format!("{failed:?}").contains("script") && !place.contains(['<', '"', '%', '\r']), "L17 {failed:?}");
    }
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let begun = scene.ask(&format!("/login?hat={ADA}"), &[]).await;
        names.extend(begun.field("set-cookie").and_then(|field| field.split('=').next().map(str::to_owned)));
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["__Host-hat-login"], "L18 two hundred beginnings are one cookie");
    assert_eq!(scene.ask("/home/notes", &[JSON]).await.status, 401, "L18 and what asks for data is not sent to a page");
}

/// The proxy of the shipped conf before HATs that answer by `script`.
async fn before(script: impl Fn() -> Told + Send + 'static) -> (Whole, Loopback, Upstream) {
    let server = Loopback::start_tls(&[ADA, BOB], move |_| script());
    let app = Upstream::start().await;
    let outbound =
        format!("outbound: {{ ca: ca.pem, resolve: {{ {ADA}: '{0}', {BOB}: '{0}' }} }}\nstate: {{ memory: {{}} }}\n", server.address);
    let yaml = CONF
        .replace("listeners: [{ address: 127.0.0.1:8080 }]", "listeners: [{ address: 127.0.0.1:0 }]")
        .replace("admin: { address: 127.0.0.1:9901 }\n", &outbound)
        .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
        .replace("../keys/demo-ticket-current.key", "sessions.key");
    let files: [(&str, &[u8]); 2] = [("sessions.key", b"only-for-tests-a-key-of-forty-bytes-long"), ("ca.pem", server.ca.as_bytes())];
    (Whole::start(&yaml, &files).await, server, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hats_key_is_its_own_answer_or_none() {
    let scene = Scene::new().await;
    let token = scene.application();
    let pem = scene.proxy.ask("GET", "/publickey", &[("Host", ADA)]).await.text();
    assert!(pem.contains("BEGIN PUBLIC KEY"));
    let elsewhere = Arc::new(Loopback::start(move |_| Told::ok(pem.clone())));
    let location = elsewhere.url("/publickey");
    let rows: [(Box<dyn Fn() -> Told + Send>, &str); 5] = [
        (Box::new(move || Told::Answer(302, vec![("Location".to_owned(), location.clone())], Vec::new())), "a redirect is not followed"),
        (Box::new(|| Told::Answer(200, Vec::new(), vec![b'x'; 2_000_000])), "two megabytes"),
        (Box::new(|| Told::Endless), "a body without end"),
        (Box::new(|| Told::ok("<html>ok</html>")), "a page"),
        (Box::new(|| Told::status(404)), "no such HAT"),
    ];
    for (told, shows) in rows {
        let (proxy, _server, app) = before(told).await;
        proxy.set_clock(START);
        let answer = proxy.ask("GET", "/app/notes", &[("Host", ADA), JSON, ("X-Auth-Token", &token)]).await;
        assert!(matches!(answer.status, 401 | 503), "{shows}: {} {}", answer.status, answer.text());
        assert_eq!(app.hits(), 0, "{shows}");
    }
    assert_eq!(elsewhere.count(), 0, "nobody else was asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_token_opens_what_it_is_for_and_nothing_else() {
    let scene = Scene::new().await;
    let hats = &scene.hats;
    let (owner, application) = (hats.owner(ADA).unwrap(), hats.application(ADA, "my-app", "2").unwrap());
    let (validate, other) = (hats.validate(ADA, "https://app.example").unwrap(), hats.validate(ADA, "https://evil.example").unwrap());
    let rows = [
        ("/app/notes", [401, 200, 200, 401], "an app takes its own application's, and owners who show it who they are"),
        ("/feed/posts", [401, 200, 401, 401], "an exchange takes its application's"),
        ("/api/v2.6/data/my-app/notes", [200, 200, 401, 401], "a HAT takes its owner's and the application's"),
        ("/users/application_token?name=x&resource=https://a.example", [200, 401, 401, 401], "what only an owner may do"),
    ];
    for (target, expected, shows) in rows {
        for (token, (status, kind)) in [&owner, &application, &validate, &other].into_iter().zip(expected.into_iter().zip([
            "owner",
            "application",
            "validate",
            "another's",
        ])) {
            let answer = scene.get(target, token).await;
            assert_eq!(answer.status, status, "{shows}: {kind} at {target}: {}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_with_a_token_is_nobodys_to_store_whatever_the_hat_says() {
    let token = Scene::new().await.hats.owner(ADA).unwrap();
    let reply = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=3600\r\nExpires: Thu, 01 Jan 2037 00:00:00 GMT\r\nX-Auth-Token: {token}\r\n\
         Access-Control-Allow-Origin: https://page.example\r\nContent-Length: 2\r\n\r\n[]"
    );
    let hat = Upstream::scripted(move |_| Reply::Bytes(reply.clone().into_bytes())).await;
    let scene = Scene::by(|_| hat.address, CONF).await;
    for (token, shows) in [(scene.hats.owner(ADA).unwrap(), "an owner's"), (scene.application(), "an application's")] {
        let answer = scene.get("/api/v2.6/data/my-app/notes", &token).await;
        assert_eq!((answer.status, answer.field("cache-control")), (200, Some("no-store")), "{shows}: {answer:?}");
        assert_eq!(answer.field("access-control-expose-headers"), Some("X-Auth-Token"), "{shows}: and the page that holds it may read it");
    }
    let fields = [("Host", ADA), JSON, ("username", OWNER.0), ("password", OWNER.1)];
    assert_eq!(scene.proxy.ask("GET", "/users/access_token", &fields).await.field("cache-control"), Some("no-store"), "a log-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_leads_elsewhere_is_no_401() {
    let scene = Scene::new().await;
    let session = scene.logged_in().await;
    scene.at(START + 61 * 3_600);
    let right = script(&scene.hats);
    scene.server.follow(move |asked| match asked.target() {
        VALIDATE => Told::Answer(303, vec![("location".to_owned(), "/elsewhere".to_owned())], Vec::new()),
        _ => right(asked),
    });
    for _ in 0..2 {
        assert_eq!(scene.page(&session).await.status, 200, "the HAT has not said that the token is none");
    }
    scene.server.follow(script(&scene.hats));
    scene.at(START + 62 * 3_600);
    assert_eq!((scene.page(&session).await.status, scene.hats.asked(VALIDATE)), (200, 1), "and once it answers, the session slides on");
    assert!(scene.server.asked().iter().all(|asked| asked.target() != "/elsewhere"), "M13 no redirect is followed with a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_slid_on_once_for_many_requests_and_never_with_anothers_token() {
    let scene = Scene::new().await;
    let ada = scene.logged_in().await;
    let begun = cookie_of(&scene.ask(&format!("/login?hat={BOB}"), &[]).await, "__Host-hat-login").unwrap();
    let bobs = scene.hats.application(BOB, "my-app", "1.2.7").unwrap();
    let bob = cookie_of(&scene.arrive(&bobs, &begun).await, "__Host-session").unwrap();
    scene.at(START + 61 * 3_600);
    let mut asks = tokio::task::JoinSet::new();
    let (address, cookie) = (scene.proxy.address(), ada.clone());
    for _ in 0..20 {
        let cookie = cookie.clone();
        asks.spawn(async move {
            let fields = [("Host", "app.example"), ("Accept", "application/json"), ("Cookie", cookie.as_str())];
            crate::process::ask(address, "GET", "/home/notes", &fields, "").await.status
        });
    }
    while let Some(status) = asks.join_next().await {
        assert_eq!(status.unwrap(), 200, "M1");
    }
    assert_eq!(scene.hats.asked(VALIDATE), 1, "M1 one question for twenty requests");
    assert_eq!(scene.page(&bob).await.status, 200);
    assert_eq!(scene.shown("x-auth-subject"), [BOB], "M6 each session has its own HAT");
    scene.page(&ada).await;
    assert_eq!(scene.shown("x-auth-subject"), [ADA], "M6");
}

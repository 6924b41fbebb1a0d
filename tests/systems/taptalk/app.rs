//! In front of your app: the proxy is the TapTalk that back ends and clients speak to.

use serde_json::{Value, json};

use super::{PAGE, Stage, fine, refused, said, told, user_data};
use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::whole::NOW;

const HOST: &str = "chat.example";
const EXCHANGE: &str = "/v1/auth/access_token/request";
const REFRESH: &str = "/v1/auth/access_token/refresh";
const CHAT: &str = "/v1/chat/message/send";

fn server_key() -> String {
    base64("demo-partner:demo-partner-secret")
}

impl Stage {
    /// As the back end asks.
    async fn ticket_for(&self, user: &str) -> Answer {
        let fields = [("Host", HOST), ("Server-Key", &*server_key()), ("Content-Type", "application/json")];
        self.whole.ask_with("POST", "/v1/server/auth_ticket/request", &fields, &user_data(user).to_string()).await
    }

    /// As the web client asks with `token`, from the device `d-1`.
    pub(super) async fn with(&self, path: &str, token: &str) -> Answer {
        self.post(HOST, path, &[("Authorization", &format!("Bearer {token}"))], "\"\"").await
    }

    pub(super) async fn ticket(&self, user: &str) -> String {
        let answer = self.ticket_for(user).await;
        assert_eq!(told(&answer), fine(), "{answer:?}");
        said(&answer)["data"]["ticket"].as_str().unwrap().to_owned()
    }

    /// The pair of a login: access token and refresh token.
    pub(super) async fn login(&self, user: &str) -> (String, String) {
        let answer = self.with(EXCHANGE, &self.ticket(user).await).await;
        assert_eq!(told(&answer), fine(), "{answer:?}");
        pair(&answer)
    }
}

fn pair(answer: &Answer) -> (String, String) {
    let data = said(answer)["data"].clone();
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_goes_from_its_first_call_to_chat_and_on_after_an_expiry() {
    let stage = Stage::start().await;
    let first = stage.post(HOST, "/v1/client/project_configs", &[("Authorization", "")], "\"\"").await;
    assert_eq!(first.status, 200, "an empty Authorization is nobody's, and an App-Key is enough here");

    let given = stage.ticket_for("anna").await;
    assert_eq!(said(&given)["data"]["userID"], "anna");
    let exchanged = stage.with(EXCHANGE, said(&given)["data"]["ticket"].as_str().unwrap()).await;
    let data = said(&exchanged)["data"].clone();
    assert_eq!((&data["user"]["userID"], &data["user"]["fullname"]), (&json!("anna"), &json!("Anna Example")));
    assert_eq!(data["accessTokenExpiry"], (NOW + 900) * 1_000);
    assert_eq!(exchanged.field("access-control-allow-origin"), Some(PAGE), "the page may read it");
    let (access, refresh) = pair(&exchanged);

    let sent = stage.with(CHAT, &access).await;
    assert_eq!(sent.status, 200);
    let seen = stage.app.records().pop().unwrap();
    assert_eq!(seen.fields("x-auth-subject"), ["anna"], "the app is told who it is");
    assert!(seen.fields("authorization").is_empty() && !seen.head.contains(&access), "and sees no credential");
    assert_eq!(seen.body, "\"\"", "the body is as the client sent it");

    stage.at(NOW + 900);
    let late = stage.with(CHAT, &access).await;
    assert_eq!(told(&late), refused(401, "40104"), "the one answer at which it refreshes");
    assert_eq!(late.field("access-control-allow-origin"), Some(PAGE), "or it would never learn");
    let renewed = stage.with(REFRESH, &refresh).await;
    assert_eq!(told(&renewed), fine());
    assert_eq!(said(&renewed)["data"]["user"]["fullname"], "Anna Example", "whom it was for is told again");
    assert_eq!(stage.with(CHAT, &pair(&renewed).0).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_share_one_account_keep_working_across_twenty_expiries() {
    let stage = Stage::start().await;
    let mut held = stage.login("anna").await;
    for round in 1..=20 {
        stage.at(NOW + round * 900);
        assert_eq!(told(&stage.with(CHAT, &held.0).await), refused(401, "40104"), "round {round}");
        // Neither knows of the other: both spend the same token at the same time.
        let (one, other) = tokio::join!(stage.with(REFRESH, &held.1), stage.with(REFRESH, &held.1));
        assert_eq!((told(&one), told(&other)), (fine(), fine()), "round {round}");
        assert_eq!(pair(&one), pair(&other), "one pair for both, round {round}");
        // A slower reply of the profile writes the older pair back; it is forgiven for the grace.
        stage.at(NOW + round * 900 + 29);
        let again = stage.with(REFRESH, &held.1).await;
        assert_eq!(pair(&again), pair(&one), "round {round}");
        held = pair(&one);
        assert_eq!(stage.with(CHAT, &held.0).await.status, 200, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_is_good_for_one_thing_and_says_so_in_a_200() {
    let stage = Stage::start().await;
    let (access, refresh) = stage.login("anna").await;
    let (ticket, spent) = (stage.ticket("anna").await, stage.ticket("anna").await);
    assert_eq!(told(&stage.with(EXCHANGE, &spent).await), fine());
    let rows = [
        (CHAT, &*refresh, "40103", "a refresh token is no access token"),
        (CHAT, &*ticket, "40103", "nor is a ticket"),
        (REFRESH, &*access, "40103", "an access token is no refresh token"),
        (REFRESH, &*ticket, "40103", "nor is a ticket"),
        (EXCHANGE, &*access, "40103", "an access token is no ticket"),
        (EXCHANGE, &*refresh, "40103", "nor is a refresh token"),
        (EXCHANGE, &*spent, "40103", "a ticket works once"),
        (CHAT, "garbage", "40103", "garbage"),
    ];
    let before = stage.app.hits();
    for (path, token, code, shows) in rows {
        assert_eq!(told(&stage.with(path, token).await), refused(401, code), "{shows}");
    }
    assert_eq!(told(&stage.post(HOST, CHAT, &[], "\"\"").await), refused(401, "40101"), "nothing at all");
    stage.at(NOW + 3_600);
    assert_eq!(told(&stage.with(EXCHANGE, &ticket).await), refused(401, "40104"), "a ticket of an hour ago");
    assert_eq!(stage.app.hits(), before, "and nothing of it reached the app");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_good_on_the_device_that_got_it() {
    let stage = Stage::start().await;
    let (access, refresh) = stage.login("anna").await;
    let elsewhere = async |path: &str, token: &str| {
        stage.post(HOST, path, &[("Authorization", &format!("Bearer {token}")), ("Device-Identifier", "d-2")], "\"\"").await
    };
    assert_eq!(told(&elsewhere(CHAT, &access).await), refused(401, "40105"), "an access token");
    assert_eq!(told(&elsewhere(REFRESH, &refresh).await), refused(401, "40105"), "a refresh token");
    assert_eq!(told(&stage.with(REFRESH, &refresh).await), fine(), "which is not spent by that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_key_on_a_client_route_is_refused_and_nowhere_written() {
    let stage = Stage::start().await;
    let (access, _) = stage.login("anna").await;
    let key = server_key();
    let before = stage.app.hits();
    for (path, bearer) in [(CHAT, &*access), ("/v1/client/project_configs", "")] {
        let fields = [("Authorization", &*format!("Bearer {bearer}")), ("Server-Key", &*key)];
        let fields = if bearer.is_empty() { &fields[1..] } else { &fields[..] };
        let answer = stage.post(HOST, path, fields, "\"\"").await;
        assert_eq!(told(&answer), refused(491, "49104"), "{path}");
        assert!(!answer.text().contains(&key), "{path}");
    }
    assert_eq!(stage.app.hits(), before, "it goes nowhere");
    let records = stage.whole.audit(4).await;
    assert!(records.iter().filter(|record| record["reason"] == "guard_refused").count() == 2, "operators see it: {records:?}");
    assert!(!stage.whole.written().contains(&key), "and not the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn back_ends_are_told_what_is_wrong_in_the_published_form() {
    let stage = Stage::start().await;
    let path = "/v1/server/auth_ticket/request";
    let asked = async |key: Option<&str>, body: &Value| {
        let fields: Vec<(&str, &str)> = [("Host", HOST)].into_iter().chain(key.map(|key| ("Server-Key", key))).collect();
        stage.whole.ask_with("POST", path, &fields, &body.to_string()).await
    };
    let key = server_key();
    let mut nobody = user_data("anna");
    nobody.as_object_mut().unwrap().remove("xcUserID");
    let rows = [
        (Some(&*key), user_data("anna"), 200, "", "as documented"),
        (None, user_data("anna"), 491, "49101", "no key"),
        (Some(&*base64("demo-partner:wrong")), user_data("anna"), 491, "49102", "a wrong secret"),
        (Some(&*base64("nobody:demo-partner-secret")), user_data("anna"), 491, "49102", "an unknown id looks the same"),
        (Some(&*base64("demo-left:demo-left-secret")), user_data("anna"), 491, "49102", "so does one that was switched off"),
        (Some("!"), user_data("anna"), 491, "49102", "no key at all"),
        (Some(&*key), nobody, 400, "40002", "nobody"),
        (Some(&*key), user_data(&"a".repeat(51)), 400, "40002", "a name that is too long"),
    ];
    for (key, body, inside, code, shows) in rows {
        let answer = asked(key, &body).await;
        assert_eq!(told(&answer), (200, inside, code.to_owned()), "{shows}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_has_its_credentials_in_the_query_and_the_app_never_sees_them_there() {
    let stage = Stage::start().await;
    let (access, _) = stage.login("anna").await;
    let app_key = base64("demo-app:demo-app-secret-9d04").replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    let target = format!(
        "/connect?content_type=undefined&app_key={app_key}&authorization=Bearer%20{access}&device_identifier=d-1&device_model=Netscape&device_platform=web"
    );
    let answer = stage.whole.ask("GET", &target, &[("Host", HOST), ("Origin", PAGE)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = stage.app.records().pop().unwrap();
    assert_eq!(seen.target(), "/connect", "nothing of it is left in anybody's log");
    assert!(!seen.head.contains(&access), "nor is the token in a field, where the app does not need it");
    assert_eq!((seen.fields("device-identifier"), seen.fields("x-auth-subject")), (vec!["d-1"], vec!["anna"]));
    assert!(!stage.whole.written().contains(&access), "nor is it in ours");

    let elsewhere = target.replace("d-1", "d-2");
    let answer = stage.whole.ask("GET", &elsewhere, &[("Host", HOST)]).await;
    assert_eq!(told(&answer), refused(401, "40105"), "it is bound in the query as well");
    let two = [("Host", HOST), ("Authorization", "Bearer other")];
    assert_eq!(told(&stage.whole.ask("GET", &target, &two).await), refused(401, "40102"), "two tokens that disagree");
    let check = stage
        .whole
        .ask(
            "GET",
            "/connect?check=1",
            &[
                ("Host", HOST),
                ("App-Key", &base64("demo-app:x")),
                ("Device-Identifier", "d-1"),
                ("Authorization", &format!("Bearer {access}")),
            ],
        )
        .await;
    assert_eq!(check.status, 200, "the look at a token has them in fields: {check:?}");
    assert_eq!(stage.app.records().pop().unwrap().target(), "/connect?check=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_ask_before_it_calls() {
    let stage = Stage::start().await;
    for (path, method) in [(CHAT, "POST"), (EXCHANGE, "POST"), (REFRESH, "POST"), ("/connect", "GET")] {
        let fields = [("Host", HOST), ("Origin", PAGE), ("Access-Control-Request-Method", method)];
        let answer = stage.whole.ask("OPTIONS", path, &fields).await;
        assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, Some(PAGE)), "{path}");
        let allowed = answer.field("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        for name in ["app-key", "authorization", "device-identifier", "device-model", "device-platform", "content-type"] {
            assert!(allowed.contains(name), "{path}: {name} is not among {allowed}");
        }
        let evil = [("Host", HOST), ("Origin", "https://evil.example"), ("Access-Control-Request-Method", method)];
        assert_eq!(stage.whole.ask("OPTIONS", path, &evil).await.field("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_clients_socket_opens_and_its_token_is_in_nobodys_log() {
    let stage = Stage::start().await;
    let (access, _) = stage.login("anna").await;
    let app_key = base64("demo-app:demo-app-secret-9d04").replace('=', "%3D");
    let mut client = stage.whole.client().await;
    client
        .send(format!(
            "GET /connect?content_type=undefined&app_key={app_key}&authorization=Bearer%20{access}&device_identifier=d-1&device_model=Netscape&device_platform=web HTTP/1.1\r\n\
             Host: {HOST}\r\nOrigin: {PAGE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
    let opened = client.head().await.expect("an answer");
    assert_eq!(opened.status, 101, "{opened:?}");
    client.send("hello").await;
    assert_eq!(&client.take(5).await[..], b"hello");
    let seen = stage.app.records().pop().unwrap();
    assert_eq!((seen.target(), seen.fields("x-auth-subject")), ("/connect", vec!["anna"]));
    assert!(!seen.head.contains(&access));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_down_breaks_no_client_and_logs_nobody_out() {
    let mut stage = Stage::start().await;
    let (access, _) = stage.login("anna").await;
    drop(std::mem::replace(&mut stage.app, crate::support::upstream::Upstream::start().await));
    tokio::task::yield_now().await;
    let answer = stage.with(CHAT, &access).await;
    assert_eq!(told(&answer), (200, 502, "99999".to_owned()), "an envelope, where a page of any other proxy would be unreadable");
    assert_eq!(answer.field("access-control-allow-origin"), Some(PAGE));
}

//! In front of TapTalk's API, for pages that know no secret of it and for clients that hold their pairs themselves.

use countersign::demo::credentials::{claims, with};
use countersign::demo::systems::taptalk::DemoTapTalk;
use countersign::domain::Timestamp;
use serde_json::{Value, json};

use super::{Stage, fine, refused, said, told};
use crate::support::rows::base64;
use crate::support::whole::NOW;

const SITE: &str = "site.example";
const PHONES: &str = "phones.example";
const TICKET: &str = "/v1/server/auth_ticket/request";

impl Stage {
    /// A token of our own accounts for `user`.
    pub(super) fn account(&self, user: &str) -> String {
        let claims = with(
            with(with(claims("https://id.example", Timestamp(NOW)), "sub", user), "name", "Anna Example"),
            "email",
            "anna@app.example",
        );
        format!("Bearer {}", self.accounts.sign_compact(&[], &claims).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_gets_a_ticket_for_its_own_user_and_knows_no_server_key() {
    let stage = Stage::start().await;
    let account = stage.account("anna");
    let forged = json!({ "xcUserID": "admin", "fullName": "Root", "userIPAddress": "203.0.113.9", "userRoleCode": "admin", "userPlatform": "web", "userDeviceID": "d-1" });
    let answer = stage.post(SITE, TICKET, &[("Authorization", &account), ("User-Agent", "Mozilla/5.0")], &forged.to_string()).await;
    assert_eq!(told(&answer), fine(), "{answer:?}");
    assert_eq!(said(&answer)["data"]["userID"], "tt-anna", "whoever the page says it is");
    let seen = stage.vendor.seen().pop().unwrap();
    let sent: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "userIPAddress": "127.0.0.1", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
        "xcUserID": "anna", "fullName": "Anna Example", "email": "anna@app.example",
    });
    assert_eq!(sent, expected, "nothing of who it is comes from the page");
    assert_eq!(seen.headers.get_all("server-key").iter().count(), 1);
    assert_eq!(seen.headers["server-key"], base64(format!("{}:{}", DemoTapTalk::SERVER.0, DemoTapTalk::SERVER.1)), "the proxy's");
    assert!(!seen.headers.contains_key("authorization"), "the page's own token stays here");
    assert_eq!(seen.headers["content-type"], "application/json");

    let nobody = stage.post(SITE, TICKET, &[], &forged.to_string()).await;
    assert_eq!(told(&nobody), refused(401, "40101"), "nobody gets no ticket");
    let leaked = stage.post(SITE, TICKET, &[("Authorization", &account), ("Server-Key", "c2lkOnNzZWM=")], "{}").await;
    assert_eq!(told(&leaked), refused(491, "49104"), "a page has no Server-Key");
    assert_eq!(stage.vendor.asked().tickets, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hold_their_pairs_pass_through_untouched_and_guarded() {
    let stage = Stage::start().await;
    let ticket = stage.vendor.ticket("anna", "Anna", Timestamp(NOW)).unwrap();
    let bearer = |token: &str| format!("Bearer {token}");
    let exchanged = stage.post(PHONES, "/v1/auth/access_token/request", &[("Authorization", &bearer(&ticket))], "\"\"").await;
    let data = said(&exchanged)["data"].clone();
    let access = data["accessToken"].as_str().unwrap().to_owned();
    let chat = stage.post(PHONES, "/v1/chat/message/send", &[("Authorization", &bearer(&access))], "{\"body\":\"hello\"}").await;
    assert_eq!(told(&chat), fine());
    assert_eq!(stage.vendor.seen().pop().unwrap().body, "{\"body\":\"hello\"}");

    stage.at(NOW + super::LIFE);
    let late = stage.post(PHONES, "/v1/chat/message/send", &[("Authorization", &bearer(&access))], "\"\"").await;
    assert_eq!(told(&late), refused(401, "40104"), "the vendor's own words reach its own client");
    let hits = stage.vendor.seen().len();
    let leaked =
        stage.post(PHONES, "/v1/chat/message/send", &[("Authorization", &bearer(&access)), ("Server-Key", "c2lkOnNzZWM=")], "\"\"").await;
    assert_eq!(told(&leaked), refused(491, "49104"));
    let keyless = stage.post(PHONES, "/v1/client/project_configs", &[("App-Key", "")], "\"\"").await;
    assert_eq!(told(&keyless), refused(491, "49101"));
    assert_eq!(stage.vendor.seen().len(), hits, "neither reaches the vendor");

    let app_key = base64(format!("{}:{}", DemoTapTalk::APP.0, DemoTapTalk::APP.1)).replace('=', "%3D");
    stage.at(NOW);
    let target =
        format!("/connect?app_key={app_key}&authorization=Bearer%20{access}&device_identifier=d-1&device_model=x&device_platform=web");
    let connected = stage.whole.ask("GET", &target, &[("Host", PHONES)]).await;
    assert_eq!(told(&connected), fine(), "the vendor takes by fields what the client had in its query");
    let seen = stage.vendor.seen().pop().unwrap();
    assert_eq!((&*seen.target, seen.headers["authorization"].to_str().unwrap()), ("/connect", &*bearer(&access)));
}

//! The stand-in by itself: as strict as it says it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::api::key_of;
use super::{Asked, DemoTapTalk, Trouble};
use crate::domain::{Clock, Seconds, Timestamp};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const NOW: i64 = 1_800_000_000;

struct House {
    clock: Arc<AtomicI64>,
    taptalk: DemoTapTalk,
    client: reqwest::Client,
}

impl House {
    async fn start() -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let taptalk = DemoTapTalk::start(ANY_PORT, Arc::clone(&clock) as Arc<dyn Clock>, Seconds(60)).await.unwrap();
        Self { clock, taptalk, client: reqwest::Client::new() }
    }

    async fn ask(&self, path: &str, fields: &[(&str, &str)], body: &str) -> Value {
        let mut request = self.client.post(format!("{}{path}", self.taptalk.origin())).body(body.to_owned());
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "whatever it says");
        response.json().await.unwrap()
    }

    async fn with(&self, path: &str, token: &str) -> Value {
        let app = key_of(DemoTapTalk::APP);
        self.ask(path, &[("App-Key", &app), ("Authorization", &format!("Bearer {token}"))], "\"\"").await
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn a_ticket_works_once_and_for_an_hour() {
    let house = House::start().await;
    let server = key_of(DemoTapTalk::SERVER);
    let body = json!({ "userIPAddress": "192.0.2.7", "userAgent": "x", "userPlatform": "web", "userDeviceID": "d", "xcUserID": "anna", "fullName": "Anna" });
    let path = "/v1/server/auth_ticket/request";
    assert_eq!(code(&house.ask(path, &[], &body.to_string()).await), "49101", "no key");
    assert_eq!(code(&house.ask(path, &[("Server-Key", "x")], &body.to_string()).await), "49102", "a wrong one");
    let given = house.ask(path, &[("Server-Key", &server)], &body.to_string()).await;
    let ticket = given["data"]["ticket"].as_str().unwrap();

    let exchange = "/v1/auth/access_token/request";
    let pair = house.with(exchange, ticket).await;
    assert_eq!((code(&pair), &pair["data"]["user"]["userID"]), ("", &json!("tt-anna")));
    assert_eq!(code(&house.with(exchange, ticket).await), "40103", "once");
    let late = house.taptalk.ticket("anna", "Anna", Timestamp(NOW)).unwrap();
    house.pass(3_600);
    assert_eq!(code(&house.with(exchange, &late).await), "40104", "an hour");
    assert_eq!(house.taptalk.asked(), Asked { tickets: 1, exchanged: 1, ..Asked::default() });
}

#[tokio::test]
async fn only_the_newest_refresh_token_works_and_only_once() {
    let house = House::start().await;
    let (refresh, get) = ("/v1/auth/access_token/refresh", "/v1/client/user/get_by_id");
    let ticket = house.taptalk.ticket("anna", "Anna", Timestamp(NOW)).unwrap();
    let first = house.with("/v1/auth/access_token/request", &ticket).await;
    let token = |pair: &Value, name: &str| pair["data"][name].as_str().unwrap().to_owned();
    let (access, spent) = (token(&first, "accessToken"), token(&first, "refreshToken"));
    assert_eq!(code(&house.with(get, &access).await), "");
    assert_eq!(code(&house.with(get, &spent).await), "40103", "a refresh token is no access token");
    assert_eq!(code(&house.with(refresh, &access).await), "40103", "nor the other way round");
    house.pass(60);
    assert_eq!(code(&house.with(get, &access).await), "40104", "what has run out is told so");
    let second = house.with(refresh, &spent).await;
    assert_eq!(code(&second), "");
    assert_eq!(code(&house.with(refresh, &spent).await), "40103", "it forgives nobody");
    assert_eq!(code(&house.with(get, &token(&second, "accessToken")).await), "");
    let asked = house.taptalk.asked();
    assert_eq!((asked.refreshed, asked.refused), (1, 2));

    house.taptalk.trouble(Trouble::RefreshFails);
    assert_eq!(code(&house.with(refresh, &token(&second, "refreshToken")).await), "50001");
    house.taptalk.trouble(Trouble::None);
    assert_eq!(code(&house.with(refresh, &token(&second, "refreshToken")).await), "", "it had done nothing");
}

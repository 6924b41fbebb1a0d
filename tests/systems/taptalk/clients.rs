//! Two processes that share one account: pages that hold a session, and copies of the web client that hold a pair.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use countersign::demo::systems::taptalk::DemoTapTalk;
use serde_json::{Value, json};

use crate::process::{Caller, Process, Turn, ask, both_work, outcome};
use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::whole::NOW;
use crate::taptalk::{LIFE, Stage};

const CHAT: &str = "/v1/chat/message/send";
const REFRESH: &str = "/v1/auth/access_token/refresh";

/// What says that a call went well, in every envelope of TapTalk's.
const FINE: &str = r#""code":"""#;

/// How long an access token of our own lives in the shipped conf.
const OURS: i64 = 900;

/// A call as the web client makes it.
async fn post(proxy: SocketAddr, host: &str, path: &str, more: &[(&str, &str)]) -> Answer {
    let app_key = base64(format!("{}:{}", DemoTapTalk::APP.0, DemoTapTalk::APP.1));
    let own = [
        ("Host", host),
        ("App-Key", &app_key),
        ("Device-Identifier", "d-1"),
        ("Device-Model", "Netscape"),
        ("Device-Platform", "web"),
        ("Content-Type", "text/plain;charset=UTF-8"),
    ];
    let fields: Vec<(&str, &str)> = own.into_iter().chain(more.iter().copied()).collect();
    ask(proxy, "POST", path, &fields, "\"\"").await
}

/// A page whose pair the proxy holds.
struct Page(String);

pub fn page(begins: &Value) -> Box<dyn Caller> {
    Box::new(Page(begins["cookie"].as_str().unwrap().to_owned()))
}

#[async_trait]
impl Caller for Page {
    async fn call(&mut self, proxy: SocketAddr) -> String {
        let fields = [("Cookie", self.0.as_str()), ("Authorization", "Bearer held-by-the-proxy"), ("Sec-Fetch-Site", "same-origin")];
        outcome(&post(proxy, "site.example", CHAT, &fields).await, FINE)
    }

    fn holds(&self) -> Value {
        json!(self.0)
    }
}

/// The web client with a pair that it holds itself, which it replaces whenever it is told `40104` in a 200.
struct Tab {
    access: String,
    refresh: String,
    refreshed: usize,
}

pub fn tab(begins: &Value) -> Box<dyn Caller> {
    let text = |name: &str| begins[name].as_str().unwrap().to_owned();
    Box::new(Tab { access: text("access"), refresh: text("refresh"), refreshed: 0 })
}

impl Tab {
    async fn try_call(&self, proxy: SocketAddr) -> Answer {
        post(proxy, "chat.example", CHAT, &[("Authorization", &format!("Bearer {}", self.access))]).await
    }
}

#[async_trait]
impl Caller for Tab {
    async fn call(&mut self, proxy: SocketAddr) -> String {
        let first = self.try_call(proxy).await;
        if first.status != 200 || !first.text().contains(r#""40104""#) {
            return outcome(&first, "ok");
        }
        let renewed = post(proxy, "chat.example", REFRESH, &[("Authorization", &format!("Bearer {}", self.refresh))]).await;
        if outcome(&renewed, FINE) != "fine" {
            return format!("logged out: {}", renewed.text());
        }
        let said: Value = serde_json::from_slice(&renewed.body).unwrap();
        let text = |name: &str| said["data"][name].as_str().unwrap().to_owned();
        (self.access, self.refresh) = (text("accessToken"), text("refreshToken"));
        self.refreshed += 1;
        outcome(&self.try_call(proxy).await, "ok")
    }

    fn holds(&self) -> Value {
        json!({ "pair": [self.access, self.refresh], "refreshed": self.refreshed })
    }
}

async fn pages(stage: &Stage) -> [Process; 2] {
    let begins = json!({ "cookie": stage.session("anna").await });
    [(); 2].map(|()| Process::start("taptalk page", stage.whole.address(), &begins))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each() {
    let stage = Stage::start().await;
    let mut clients = pages(&stage).await;
    for round in 1..=20_usize {
        stage.at(NOW + i64::try_from(round).unwrap() * LIFE);
        both_work(&mut clients, Turn::Together, &format!("expiry {round}")).await;
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused, asked.exchanged), (round, 0, 1), "one refresh for both, expiry {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_they_do_where_only_replies_tell_that_the_token_has_run_out() {
    told_by_replies(Turn::InTurn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_at_the_same_moment() {
    told_by_replies(|_| Turn::Together).await;
}

async fn told_by_replies(turn: fn(usize) -> Turn) {
    let stage = Stage::start().await;
    let mut clients = pages(&stage).await;
    for round in 1..=20_usize {
        let step = i64::try_from(round).unwrap();
        // The vendor's clock runs ahead of ours, by which the token is good.
        stage.vendor_clock.store(NOW + step * LIFE, Ordering::SeqCst);
        stage.whole.set_clock(NOW + step * 10);
        both_work(&mut clients, turn(round), &format!("expiry {round}")).await;
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused, asked.exchanged), (round, 0, 1), "one refresh for both, expiry {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_copies_of_one_pair_of_ours_log_each_other_out_at_none_of_twenty_expiries() {
    let stage = Stage::start().await;
    let (access, refresh) = stage.login("anna").await;
    let begins = json!({ "access": access, "refresh": refresh });
    let mut clients = [(); 2].map(|()| Process::start("taptalk tab", stage.whole.address(), &begins));
    for round in 1..=20_usize {
        stage.at(NOW + i64::try_from(round).unwrap() * OURS);
        let [one, other] = both_work(&mut clients, Turn::Together, &format!("expiry {round}")).await;
        assert_eq!(one, other, "both have the same pair after a refresh each, expiry {round}");
        assert_eq!(one["refreshed"], round, "and no more, expiry {round}");
    }
}

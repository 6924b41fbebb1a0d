//! Two processes that share one account: pages whose tokens the proxy holds.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::janrain::stage::{House, LIFE, UUID};
use crate::process::{Caller, Process, Turn, ask, both_work, outcome};
use crate::support::whole::NOW;

/// A page with a session.
struct Page(String);

pub fn page(begins: &Value) -> Box<dyn Caller> {
    Box::new(Page(begins["cookie"].as_str().unwrap().to_owned()))
}

#[async_trait]
impl Caller for Page {
    async fn call(&mut self, proxy: SocketAddr) -> String {
        outcome(&ask(proxy, "GET", "/entity", &[("Host", "app.example"), ("Cookie", &self.0)], "").await, UUID)
    }

    fn holds(&self) -> Value {
        json!(self.0)
    }
}

async fn twenty(turn: fn(usize) -> Turn, expire: impl Fn(&House, i64)) {
    let house = House::start().await;
    let begins = json!({ "cookie": house.logged_in().await });
    let mut clients = [(); 2].map(|()| Process::start("janrain page", house.whole.address(), &begins));
    let before = house.capture.asked();
    for round in 1..=20_usize {
        expire(&house, i64::try_from(round).unwrap());
        both_work(&mut clients, turn(round), &format!("expiry {round}")).await;
        let asked = house.capture.asked();
        let expected = (before.refreshed + round, before.refused, before.logins);
        assert_eq!((asked.refreshed, asked.refused, asked.logins), expected, "one refresh for both, expiry {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each() {
    twenty(|_| Turn::Together, |house, round| house.set_clock(NOW + round * (LIFE + 1))).await;
}

/// Capture's clock runs ahead of ours, by which the token is good.
fn by_a_reply(house: &House, round: i64) {
    house.vendor.store(NOW + round * (LIFE + 1), Ordering::SeqCst);
    house.whole.set_clock(NOW + round * 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_they_do_where_only_code_414_tells_that_the_token_has_run_out() {
    twenty(Turn::InTurn, by_a_reply).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_at_the_same_moment() {
    twenty(|_| Turn::Together, by_a_reply).await;
}

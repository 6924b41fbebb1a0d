//! Two processes that share one account: apps whose pair the proxy holds, and phones with copies of one pair.

use std::net::SocketAddr;

use async_trait::async_trait;
use countersign::domain::Timestamp;
use serde_json::{Value, json};

use crate::process::{Caller, Process, Turn, ask, both_work, outcome};
use crate::support::whole::NOW;
use crate::telematics::{LIFE, Stage, USER, handed, login};

/// An app with a session.
struct App(String);

pub fn app(begins: &Value) -> Box<dyn Caller> {
    Box::new(App(begins["cookie"].as_str().unwrap().to_owned()))
}

#[async_trait]
impl Caller for App {
    async fn call(&mut self, proxy: SocketAddr) -> String {
        outcome(&ask(proxy, "GET", "/trips", &[("Host", "proxy.test"), ("Cookie", &self.0)], "").await, USER)
    }

    fn holds(&self) -> Value {
        json!(self.0)
    }
}

/// A phone with a copy of the pair, which it replaces by what it is handed. A lock of the vendor's client covers threads; this is a
/// process.
struct Phone {
    pair: (String, String),
}

pub fn phone(begins: &Value) -> Box<dyn Caller> {
    let text = |name: &str| begins[name].as_str().unwrap().to_owned();
    Box::new(Phone { pair: (text("access"), text("refresh")) })
}

#[async_trait]
impl Caller for Phone {
    async fn call(&mut self, proxy: SocketAddr) -> String {
        let bearer = format!("Bearer {}", self.pair.0);
        let fields = [("Host", "phones.example"), ("authorization", &*bearer), ("X-Refresh-Token", &self.pair.1)];
        let answer = ask(proxy, "GET", "/trips", &fields, "").await;
        if let Some(fresh) = handed(&answer) {
            self.pair = fresh;
        }
        outcome(&answer, USER)
    }

    fn holds(&self) -> Value {
        json!([self.pair.0, self.pair.1])
    }
}

/// Goes through twenty expiries, each brought about by `expire`.
async fn twenty(stage: &Stage, clients: &mut [Process; 2], turn: fn(usize) -> Turn, expire: impl Fn(&Stage, i64), logins: usize) {
    for round in 1..=20_usize {
        expire(stage, i64::try_from(round).unwrap());
        let [one, other] = both_work(clients, turn(round), &format!("expiry {round}")).await;
        assert_eq!(one, other, "M2 both hold the same, expiry {round}");
        let asked = stage.vendor.asked();
        let expected = (round, 0, logins);
        assert_eq!((asked.refreshed, asked.refused, asked.logins), expected, "M1 one refresh, and never a login, expiry {round}");
    }
}

/// The token runs out for everybody.
fn by_the_clock(stage: &Stage, round: i64) {
    stage.at(NOW + round * (i64::from(LIFE) + 60));
}

/// The vendor has ended the token; nothing but its 401 tells.
fn by_a_reply(stage: &Stage, round: i64) {
    stage.at(NOW + round * 10);
    stage.vendor.end_access(USER);
}

async fn apps(stage: &Stage) -> [Process; 2] {
    let account = stage.account(USER);
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &login(USER)).await;
    let cookie = answer.field("set-cookie").unwrap_or_else(|| panic!("no session: {answer:?}")).split(';').next().unwrap();
    [(); 2].map(|()| Process::start("telematics app", stage.whole.address(), &json!({ "cookie": cookie })))
}

fn phones(stage: &Stage) -> [Process; 2] {
    let (access, refresh) = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    let begins = json!({ "access": access, "refresh": refresh });
    [(); 2].map(|()| Process::start("telematics phone", stage.whole.address(), &begins))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_one_session_go_through_twenty_expiries_with_one_refresh_each() {
    let stage = Stage::start().await;
    let mut clients = apps(&stage).await;
    twenty(&stage, &mut clients, |_| Turn::Together, by_the_clock, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_they_do_where_only_a_401_tells_that_the_token_has_ended() {
    let stage = Stage::start().await;
    let mut clients = apps(&stage).await;
    twenty(&stage, &mut clients, Turn::InTurn, by_a_reply, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_at_the_same_moment() {
    let stage = Stage::start().await;
    let mut clients = apps(&stage).await;
    twenty(&stage, &mut clients, |_| Turn::Together, by_a_reply, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_copies_of_one_pair_do_not_knock_each_other_out() {
    let stage = Stage::start().await;
    let mut clients = phones(&stage);
    twenty(&stage, &mut clients, |_| Turn::Together, by_the_clock, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_only_a_401_tells_that_the_token_has_ended() {
    let stage = Stage::start().await;
    let mut clients = phones(&stage);
    twenty(&stage, &mut clients, Turn::InTurn, by_a_reply, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_at_the_same_moment() {
    let stage = Stage::start().await;
    let mut clients = phones(&stage);
    twenty(&stage, &mut clients, |_| Turn::Together, by_a_reply, 0).await;
}

//! A client in a process of its own: it shares nothing with the tests but a socket to the proxy and the credentials it began with.
//!
//! The process is this test binary once more, which its environment tells which client to be. It makes calls when a line on its standard
//! input says how many, and says on standard output what came of them. When credentials run out is not its business: the stand-ins and
//! the proxy have clocks, which the test sets.

use std::net::SocketAddr;
use std::process::Stdio;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::raw::{Answer, Client, PATIENCE};

/// A client of a vendor's, with the credentials that it holds.
#[async_trait]
pub trait Caller: Send {
    /// One call, with whatever the vendor's own client does about a refusal: `fine`, or what was wrong in the end.
    async fn call(&mut self, proxy: SocketAddr) -> String;

    /// What it holds now.
    fn holds(&self) -> Value;
}

/// The clients, by name: each is made of what it begins with.
const CALLERS: [(&str, fn(&Value) -> Box<dyn Caller>); 5] = [
    ("taptalk page", crate::taptalk::clients::page),
    ("taptalk tab", crate::taptalk::clients::tab),
    ("telematics app", crate::telematics::clients::app),
    ("telematics phone", crate::telematics::clients::phone),
    ("janrain page", crate::janrain::clients::page),
];

/// Which client to be: its name, the address of the proxy, and what it begins with.
const VARIABLE: &str = "COUNTERSIGN_TEST_CLIENT";

/// What stands before everything that a client says; whatever else a test binary prints does not.
const SAYS: &str = "client says ";

#[tokio::test]
#[ignore = "what a client's process does; the tests that need one start it"]
async fn being_a_client() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let (_, made) = CALLERS.iter().find(|(name, _)| told["name"] == *name).expect("a client of that name");
    let mut caller = made(&told["begins"]);
    let proxy = told["proxy"].as_str().unwrap().parse().unwrap();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await.unwrap() {
        let mut outcomes = Vec::new();
        for _ in 0..order.parse().unwrap() {
            outcomes.push(caller.call(proxy).await);
        }
        println!("\n{SAYS}{}", json!({ "outcomes": outcomes, "holds": caller.holds() }));
    }
}

/// A running client; killed when dropped.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

/// What a client said.
#[derive(Debug)]
pub struct Said {
    pub outcomes: Vec<String>,
    pub holds: Value,
}

impl Process {
    /// Starts the client `name`, which calls `proxy`.
    pub fn start(name: &str, proxy: SocketAddr, begins: &Value) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process::being_a_client", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(VARIABLE, json!({ "name": name, "proxy": proxy.to_string(), "begins": begins }).to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (orders, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, orders, says }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Has it make `count` calls, one after the other.
    pub async fn calls(&mut self, count: usize) -> Said {
        self.orders.write_all(format!("{count}\n").as_bytes()).await.unwrap();
        loop {
            let line = tokio::time::timeout(PATIENCE, self.says.next_line()).await.expect("it says something in time").unwrap();
            let line = line.expect("it says what came of its calls before it ends");
            let Some(said) = line.strip_prefix(SAYS) else { continue };
            let mut said: Value = serde_json::from_str(said).unwrap();
            return Said { outcomes: serde_json::from_value(said["outcomes"].take()).unwrap(), holds: said["holds"].take() };
        }
    }
}

/// Whether two clients call at the same time, or one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Together,
    /// Either is the first every other time.
    InTurn(usize),
}

/// Three calls of each of two clients; none may end otherwise than well. What they hold then.
pub async fn both_work(clients: &mut [Process; 2], turn: Turn, shows: &str) -> [Value; 2] {
    const CALLS: usize = 3;
    let [one, other] = clients;
    assert_ne!(one.id(), other.id(), "two processes");
    let (one, other) = match turn {
        Turn::Together => tokio::join!(one.calls(CALLS), other.calls(CALLS)),
        Turn::InTurn(round) if round % 2 == 0 => {
            let one = one.calls(CALLS).await;
            (one, other.calls(CALLS).await)
        }
        Turn::InTurn(_) => {
            let other = other.calls(CALLS).await;
            (one.calls(CALLS).await, other)
        }
    };
    for said in [&one, &other] {
        assert_eq!(said.outcomes, ["fine"; CALLS], "{shows}: {said:?}");
    }
    [one.holds, other.holds]
}

/// Sends one request on a connection of its own. A body is sent with its length.
pub async fn ask(proxy: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut client = Client::connect(proxy).await;
    client.send(format!("{method} {target} HTTP/1.1\r\n{fields}{length}\r\n{body}")).await;
    client.answer_to(method).await.expect("an answer")
}

/// `fine` for a status of 200 and these words in the body, otherwise the answer.
pub fn outcome(answer: &Answer, wanted: &str) -> String {
    if answer.status == 200 && answer.text().contains(wanted) { "fine".to_owned() } else { format!("{} {}", answer.status, answer.text()) }
}

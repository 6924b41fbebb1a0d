//! Two processes that share a Redis: how long it takes until what one of them was told is in force on the other.
//!
//! Everything is real: the processes, the Redis and the clock. The full figures are run with `COUNTERSIGN_PROVE=1`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign::demo::credentials::claims;
use countersign::domain::Timestamp;
use serde_json::{Value, json};

use super::{ISSUER, Issuer, TOKEN, UPGRADE, conf, open_ended};
use crate::support::child::Running;
use crate::support::figures::figure;
use crate::support::raw::Client;
use crate::support::redis::RedisServer;
use crate::support::upstream::eventually;
use crate::support::whole::Folder;

impl Issuer {
    /// A token for `subject` that is good by the clock of the machine.
    fn real_token(&self, subject: &str) -> String {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let mut all = claims(ISSUER, Timestamp(now));
        all["sub"] = subject.into();
        format!("Bearer {}", self.0.sign_compact(&[], &all).unwrap())
    }
}

/// Asks the admin listener of `node`.
async fn tell(node: &Running, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut client = Client::connect(node.admin).await;
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    let answer = client.answer().await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// How `node` answers to `token`, over a connection that stands.
async fn status(client: &mut Client, token: &str) -> u16 {
    client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n")).await;
    client.answer().await.status
}

/// How long it takes at most, of several times, from when one node is asked to revoke to when the other refuses, and to when it
/// has cut what was open.
async fn longest(nodes: &[(Folder, Running); 2], issuer: &Issuer, rounds: usize) -> [Duration; 2] {
    let [(_, here), (_, there)] = nodes;
    let mut longest = [Duration::ZERO; 2];
    for round in 0..rounds {
        let (subject, token) = (format!("user-{round}"), issuer.real_token(&format!("user-{round}")));
        let mut asking = Client::connect(there.address).await;
        for shows in ["good", "and remembered"] {
            assert_eq!(status(&mut asking, &token).await, 200, "{shows}");
        }
        let mut tunnel = Client::connect(there.address).await;
        tunnel.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n{UPGRADE}\r\n")).await;
        assert_eq!(tunnel.answer().await.status, 101);

        let begun = Instant::now();
        let cut = tokio::spawn(async move {
            assert!(tunnel.is_closed().await, "cut, and nothing more is said");
            begun.elapsed()
        });
        let (answered, told) = tell(here, "POST", "/revocations", &json!({ "subject": subject })).await;
        assert_eq!((answered, &told["everywhere"]), (201, &json!(true)), "{told}");
        let mut own = Client::connect(here.address).await;
        assert_eq!(status(&mut own, &token).await, 401, "at once where it was told");
        while status(&mut asking, &token).await == 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest = [longest[0].max(begun.elapsed()), longest[1].max(cut.await.unwrap())];
        assert_eq!(status(&mut asking, &token).await, 401, "and it stays so");
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_share_a_redis_agree_within_a_second_also_where_they_may_not_listen() {
    let within = figure(Duration::from_secs(1), Duration::from_secs(5));
    let rounds = figure(50, 5);
    let server = RedisServer::start();
    server.ask(&["ACL", "SETUSER", "deaf", "on", ">password", "~*", "+@all", "-subscribe", "resetchannels", "&*"]);
    let rows = [
        // how the store is opened, how many listen, what the row shows
        ("prefix: hears", "2", "by news"),
        ("prefix: deaf, username: deaf, password: { file: password }", "0", "by looking for itself, since it may not subscribe"),
    ];
    for (settings, listening, shows) in rows {
        let (upstream, _events) = open_ended().await;
        let issuer = Issuer::new();
        let yaml = format!("{}\nstate: {{ redis: {{ url: '{}', timeout: 5s, {settings} }} }}\n", conf(&upstream), server.url());
        let node = async || {
            let folder = issuer.folder();
            folder.write("password", "password");
            let path = folder.write("countersign.yaml", &yaml);
            let running = Running::start(&path).await;
            running.ready().await;
            (folder, running)
        };
        let nodes = [node().await, node().await];
        let news = format!("{{{}}}:news", settings.split([' ', ',']).nth(1).unwrap());
        let listen = || server.ask(&["EVAL", &format!("return redis.call('PUBSUB', 'NUMSUB', '{news}')[2]"), "0"]);
        eventually("as many listen as may", || listen() == listening).await;

        let [refused, cut] = longest(&nodes, &issuer, rounds).await;
        println!(
            "revoked on one process, {shows}: refused by the other within {refused:?}, an open tunnel cut within {cut:?}, {rounds} times"
        );
        assert!(refused <= within && cut <= within, "{shows}: refused after {refused:?}, cut after {cut:?}");
        assert_eq!(listen(), listening, "{shows}");
    }
}

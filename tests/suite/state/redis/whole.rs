//! Two proxies and one Redis: a ticket is used once on both of them, and a store that is away takes down nothing else.
//!
//! Attacks: F2, F3 of `docs/security.md`.

use tokio::task::JoinSet;

use crate::scheme_ticket::{KEY_FILE, conf, single_use};
use crate::state::redis::until;
use crate::support::raw::{Answer, Client};
use crate::support::redis::{DURABLE, RedisServer};
use crate::support::upstream::Upstream;
use crate::support::whole::Whole;

async fn proxy(upstream: &Upstream, server: &RedisServer) -> Whole {
    let state = format!("state: {{ redis: {{ url: '{}', timeout: 5s }} }}\n", server.url());
    Whole::start(&(conf(upstream) + &state), &[KEY_FILE]).await
}

async fn present(whole: &Whole, ticket: &str, path: &str) -> Answer {
    whole.ask("GET", path, &[("Authorization", &format!("Bearer {ticket}"))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_used_once_on_all_nodes_that_share_a_redis() {
    let server = RedisServer::start_with(DURABLE);
    let upstream = Upstream::start().await;
    let nodes = [proxy(&upstream, &server).await, proxy(&upstream, &server).await];

    let ticket = single_use();
    assert_eq!(present(&nodes[0], &ticket, "/once/x").await.status, 200);
    for node in &nodes {
        let answer = present(node, &ticket, "/once/x").await;
        assert_eq!((answer.status, node.reason_of(&answer).await.as_str()), (401, "replayed"));
    }

    for round in 0..5 {
        let ticket = single_use();
        let mut rivals = JoinSet::new();
        for number in 0..100 {
            let (ticket, address) = (ticket.clone(), nodes[number % 2].address());
            rivals.spawn(async move {
                let mut client = Client::connect(address).await;
                client.send(format!("GET /once/{round} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ticket}\r\n\r\n")).await;
                client.answer().await.status
            });
        }
        let statuses = rivals.join_all().await;
        let count = |status| statuses.iter().filter(|answered| **answered == status).count();
        assert_eq!((count(200), count(401)), (1, 99), "round {round}");
    }
    let seen = upstream.records().iter().filter(|seen| seen.target().starts_with("/once/")).count();
    assert_eq!(seen, 6, "the service has seen each ticket once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_told_as_such_and_stops_nothing_that_needs_it_not() {
    let mut server = RedisServer::start_with(DURABLE);
    let upstream = Upstream::start().await;
    let node = proxy(&upstream, &server).await;
    let (spent, unspent) = (single_use(), single_use());
    assert_eq!(present(&node, &spent, "/once/x").await.status, 200);

    server.kill();
    until("the store is missed", || async { present(&node, &unspent, "/once/x").await.status == 503 }).await;
    let answer = present(&node, &unspent, "/once/x").await;
    assert_eq!((answer.status, node.reason_of(&answer).await.as_str()), (503, "state_unavailable"));
    assert!(answer.field("retry-after").is_some(), "it says when to come back: {answer:?}");
    let reusable = crate::scheme_ticket::reusable();
    assert_eq!(present(&node, &reusable, "/pass/x").await.status, 200, "a ticket that is not single-use rests on no store");

    server.restart();
    until("the unspent ticket is good", || async { present(&node, &unspent, "/once/x").await.status == 200 }).await;
    assert_eq!(present(&node, &spent, "/once/x").await.status, 401, "and the spent one is not");
    assert_eq!(present(&node, &unspent, "/once/x").await.status, 401);
}

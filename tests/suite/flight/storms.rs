//! Many callers, few exchanges: storms on one node and on several, early and late, with callers that go away.
//!
//! Attacks M1, M2, M7 and M8.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::stage::{Act, Issuer, NOW, Node, Shaky, Ticking, pass, shown, spent};
use countersign::domain::{Clock, RenewalFailure};

use crate::support::figures::figure;

const CALLERS: usize = 1_000;

/// Lets `CALLERS` ask for the same at once, spread over `nodes`; the different answers, and how many were the first.
async fn storm(nodes: &[Node]) -> (BTreeSet<String>, usize) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (flights, now) = (Arc::clone(&nodes[number % nodes.len()].flights), nodes[0].clock.now());
            tokio::spawn(async move {
                let flights: Arc<dyn countersign::renew::contract::Renewals> = flights;
                flights.renew(&spent(1), now).await
            })
        })
        .collect();
    let mut answers = BTreeSet::new();
    let mut firsts = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(renewed) => {
                firsts += usize::from(!renewed.coalesced);
                let refresh = renewed.pair.refresh.as_ref().map(|refresh| refresh.expose().to_vec());
                answers.insert(format!("{} {refresh:?} {:?}", shown(&renewed.pair), renewed.pair.beside));
            }
            Err(failure) => {
                answers.insert(failure.as_str().to_owned());
            }
        }
    }
    (answers, firsts)
}

fn heard(nodes: &[Node], result: &str, coalesced: bool) -> usize {
    nodes.iter().map(|node| node.heard.renewals(result, coalesced)).sum()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_on_any_number_of_nodes_cost_one_exchange() {
    for count in [1, 2, 4] {
        let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_millis(300))]);
        let (store, clock) = (Shaky::new(), Ticking::from(NOW));
        let nodes: Vec<Node> = (0..count).map(|_| Node::new(&issuer, &store, &clock)).collect();

        let (answers, firsts) = storm(&nodes).await;
        assert_eq!(issuer.asked(), 1, "one exchange on {count} nodes");
        assert_eq!(answers.len(), 1, "a thousand equal pairs on {count} nodes: {answers:?}");
        assert!(answers.first().unwrap().starts_with("access-1-user1"), "and it is the pair: {answers:?}");
        assert_eq!(firsts, 1, "one request made it, the others got it");
        assert_eq!((heard(&nodes, "renewed", false), heard(&nodes, "renewed", true)), (1, CALLERS - 1), "and it is counted so");

        // The last second of the grace, and every second of a late storm before it.
        for late in [0, 5, 19] {
            pass(late).await;
            let (again, firsts) = storm(&nodes).await;
            assert_eq!((&again, firsts, issuer.asked()), (&answers, 0, 1), "late by {late} s more on {count} nodes");
        }
        assert!(nodes.iter().all(|node| node.flights.flying() == 0), "nothing is left behind");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_on_real_threads_costs_one_exchange_each_time() {
    let rounds = figure(200, 8);
    for round in 0..rounds {
        let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_millis(5))]);
        let (store, clock) = (Shaky::new(), Arc::new(AtomicI64::new(NOW)));
        let nodes: Vec<Node> = (0..1 + round % 4).map(|_| Node::new(&issuer, &store, &clock)).collect();
        let (answers, firsts) = storm(&nodes).await;
        assert_eq!((issuer.asked(), answers.len(), firsts), (1, 1, 1), "round {round}: {answers:?}");
        clock.store(NOW + 25, Ordering::SeqCst);
        let (late, firsts) = storm(&nodes).await;
        assert_eq!((issuer.asked(), late, firsts), (1, answers, 0), "25 s later, round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_storm_asks_the_store_nothing_on_the_node_that_renewed_and_once_on_another() {
    let issuer = Issuer::new(&[]);
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let nodes = [Node::new(&issuer, &store, &clock), Node::new(&issuer, &store, &clock)];
    assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1");

    let calls = || store.reads.load(Ordering::SeqCst) + store.writes.load(Ordering::SeqCst);
    let before = calls();
    storm(&nodes[..1]).await;
    assert_eq!(calls() - before, 0, "what this node has brought itself it remembers");
    storm(&nodes[1..]).await;
    assert_eq!(calls() - before, 1, "what another node has brought is looked up by one flight");
}

#[tokio::test(start_paused = true)]
async fn the_grace_begins_when_the_exchange_has_ended_and_its_end_is_no_longer_in_it() {
    let rows = [
        // seconds after the exchange, whom the request meets, answer, exchanges, what the row shows
        (29, 0, "access-1-user1", 1, "the last second of the grace"),
        (30, 0, "fatal", 2, "its end: the spent credential is spent, says the issuer"),
        (29, 1, "access-1-user1", 1, "the last second, on another node"),
        (30, 1, "fatal", 2, "its end, on another node"),
    ];
    for (late, node, answer, exchanges, shows) in rows {
        let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(1))]);
        let (store, clock) = (Shaky::new(), Ticking::from(NOW));
        let nodes = [Node::new(&issuer, &store, &clock), Node::new(&issuer, &store, &clock)];
        assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1");
        pass(late).await;
        assert_eq!((nodes[node].ask(&spent(1)).await.as_str(), issuer.asked()), (answer, exchanges), "{shows}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flight_goes_on_when_whoever_began_it_goes_away() {
    let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(1))]);
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let node = Node::new(&issuer, &store, &clock);
    let first = {
        let (flights, now) = (Arc::clone(&node.flights), clock.now());
        tokio::spawn(async move {
            let flights: Arc<dyn countersign::renew::contract::Renewals> = flights;
            flights.renew(&spent(1), now).await
        })
    };
    Node::until_asked(&issuer, 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled(), "the first has gone away");
    assert_eq!(node.ask(&spent(1)).await, "access-1-user1", "the second gets what the first began");
    assert_eq!(issuer.asked(), 1, "and nobody asked again");
    assert_eq!(node.heard.renewals("renewed", false), 1, "the exchange is reported though nobody waits who began it");

    // And when everybody goes away.
    let alone = tokio::time::timeout(Duration::from_millis(1), node.renew(&spent(2))).await;
    assert!(alone.is_ok(), "an issuer that answers at once");
    issuer.ever_after(Act::RenewAfter(Duration::from_secs(1)));
    assert!(tokio::time::timeout(Duration::from_millis(1), node.renew(&spent(3))).await.is_err(), "gone while it flies");
    pass(5).await;
    assert_eq!((node.ask(&spent(3)).await.as_str(), issuer.asked()), ("access-3-user3", 3), "its result is there all the same");
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_keeps_nobody_waiting_and_its_answer_is_there_for_the_next() {
    let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(10))]);
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let nodes = [Node::new(&issuer, &store, &clock), Node::new(&issuer, &store, &clock)];
    let (answers, _) = storm(&nodes).await;
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), ["pending"], "nobody waits for ten seconds");
    assert_eq!(clock.now().0, NOW + 2, "but two");
    let told = nodes[0].renew(&spent(1)).await.unwrap_err();
    assert_eq!(told, RenewalFailure::Pending { retry_after: countersign::domain::Seconds(2) }, "and when to come again");
    pass(7).await;
    for node in &nodes {
        assert_eq!(node.ask(&spent(1)).await, "access-1-user1", "it is there for whoever comes again, on every node");
    }
    assert_eq!(issuer.asked(), 1, "of one exchange");
}

#[tokio::test(start_paused = true)]
async fn different_credentials_fly_apart_and_never_get_one_anothers_pair() {
    let issuer = Issuer::new(&[]);
    issuer.ever_after(Act::RenewAfter(Duration::from_millis(100)));
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let nodes = [Node::new(&issuer, &store, &clock), Node::new(&issuer, &store, &clock)];
    let callers: Vec<_> = (0..600)
        .map(|number| {
            let (flights, now) = (Arc::clone(&nodes[number % 2].flights), clock.now());
            tokio::spawn(async move {
                let flights: Arc<dyn countersign::renew::contract::Renewals> = flights;
                (number % 60, flights.renew(&spent(number % 60), now).await)
            })
        })
        .collect();
    for caller in callers {
        let (number, renewed) = caller.await.unwrap();
        let access = shown(&renewed.unwrap().pair);
        assert!(access.ends_with(&format!("-user{number}")), "user {number} was given {access}");
    }
    assert_eq!(issuer.asked(), 60, "one exchange for each");
}

#[tokio::test(start_paused = true)]
async fn one_more_than_may_fly_is_told_to_come_again() {
    let issuer = Issuer::new(&[]);
    issuer.ever_after(Act::RenewAfter(Duration::from_secs(1)));
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let settings = countersign::renew::flight::FlightSettings { capacity: 2, ..Default::default() };
    let node = Node::with(&issuer, &store, &clock, settings);
    let (one, two, three, joined) = (spent(1), spent(2), spent(3), spent(2));
    let (one, two, three, joined) =
        tokio::join!(node.ask(&one), node.ask(&two), async { (node.ask(&three).await, clock.now().0) }, node.ask(&joined));
    assert_eq!((one.as_str(), two.as_str()), ("access-1-user1", "access-2-user2"), "two may fly");
    assert_eq!(three, ("transient".to_owned(), NOW), "a third one is told so at once");
    assert_eq!(joined, two, "who only takes a seat is always let on");
    assert_eq!(issuer.asked(), 2);
    assert_eq!(node.ask(&spent(3)).await, "access-3-user3", "and it may come again");
}

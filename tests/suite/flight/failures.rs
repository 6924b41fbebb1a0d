//! Everything that goes wrong with a renewal, on the issuer's side and on the store's, and what is never done about it.
//!
//! Attacks M4, M5, M9, M11 and M12.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::domain::{Clock, RenewalFailure, Seconds, Secret, Spent, Timestamp};
use countersign::renew::flight::protocol::{Class, Holder, Lease, Record};
use countersign::renew::flight::{FlightSettings, record};
use countersign::state::contract::{Expect, StateStore};

use super::stage::{Act, Fault, Issuer, NOW, Node, Shaky, Ticking, pass, shown, spent, spent_until};

fn nodes(issuer: &Arc<Issuer>) -> [Node; 2] {
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    [Node::new(issuer, &store, &clock), Node::new(issuer, &store, &clock)]
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_repeated_for_a_minute_on_every_node_without_asking_again() {
    let issuer = Issuer::new(&[Act::Reject, Act::Reject]);
    let nodes = nodes(&issuer);
    for (after, node, asked, shows) in [
        (0, 0, 1, "the issuer says no"),
        (0, 1, 1, "and the other node knows"),
        (59, 1, 1, "the last second"),
        (1, 0, 2, "a minute later it is asked again"),
    ] {
        pass(after).await;
        assert_eq!((nodes[node].ask(&spent(1)).await.as_str(), issuer.asked()), ("fatal", asked), "{shows}");
    }
    assert_eq!(nodes[0].heard.renewals("fatal", false), 2, "two exchanges, reported once each");
    assert_eq!(nodes[1].heard.renewals("fatal", true), 2, "the rest is coalesced");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_spent_may_be_presented_again_soon() {
    let issuer = Issuer::new(&[Act::Unreached]);
    let nodes = nodes(&issuer);
    let told = nodes[0].renew(&spent(1)).await.unwrap_err();
    assert_eq!(told, RenewalFailure::Transient { retry_after: Seconds(1) }, "nothing was spent");
    assert_eq!(nodes[1].ask(&spent(1)).await, "transient", "the other node does not ask at once either");
    assert_eq!(issuer.asked(), 1);
    pass(1).await;
    assert_eq!((nodes[1].ask(&spent(1)).await.as_str(), issuer.asked()), ("access-2-user1", 2), "a second later all is well");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_for_ten_minutes_is_not_stormed_and_costs_few_credentials() {
    // Both ways of being down: connections refused, and answers lost after the credential was spent.
    for act in [Act::Unreached, Act::Lose] {
        let issuer = Issuer::new(&[]);
        issuer.ever_after(act);
        let (store, clock) = (Shaky::new(), Ticking::from(NOW));
        let node = Node::new(&issuer, &store, &clock);
        let mut spared = 0;
        // Twenty different credentials every second.
        for second in 0..600 {
            let start = clock.now().0;
            let (asks, node): (Vec<Spent>, _) = ((0..20).map(|number| spent(second * 20 + number)).collect(), &node);
            for ask in &asks {
                spared += usize::from(node.ask(ask).await == "transient");
            }
            while clock.now().0 <= start {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let asked = issuer.asked();
        assert!((10..=40).contains(&asked), "{asked} exchanges in ten minutes of {act:?}, for 12,000 credentials");
        assert!(12_000 - 40 <= spared, "all others were not touched: {spared}");
        // It comes back: the next probe closes the breaker.
        issuer.ever_after(Act::Renew);
        pass(61).await;
        assert_eq!(node.ask(&spent(70_000)).await, format!("access-{}-user70000", asked + 1), "the probe");
        for number in 0..100 {
            assert!(node.ask(&spent(80_000 + number)).await.starts_with("access-"), "and everybody after it");
        }
        assert_eq!(issuer.asked(), asked + 101);
    }
}

#[tokio::test(start_paused = true)]
async fn one_caller_whose_exchanges_fail_stops_nobody_else() {
    for act in [Act::Lose, Act::Unreached] {
        let issuer = Issuer::new(&[]);
        let (store, clock) = (Shaky::new(), Ticking::from(NOW));
        let node = Node::new(&issuer, &store, &clock);
        // One lapsed credential, and made-up ones to renew it with, which something before the issuer answers with a page.
        for number in 0..20 {
            issuer.ever_after(act);
            let made_up = Spent { refresh: Secret::new(format!("made-up-{number}").into_bytes()), ..spent(1) };
            node.ask(&made_up).await;
            issuer.ever_after(Act::Renew);
            if number % 5 == 4 {
                let bystander = node.ask(&spent(100 + number)).await;
                assert!(bystander.starts_with("access-"), "{act:?}, after {number} failures: {bystander}");
            }
        }
        assert_eq!(issuer.asked(), 3 + 4, "{act:?}: three of them came as far as the issuer, and each bystander");
        assert_eq!(node.ask(&Spent { refresh: Secret::new(b"own".to_vec()), ..spent(1) }).await, "transient", "{act:?}: who is stopped");
        pass(1).await;
        assert!(node.ask(&spent(1)).await.starts_with("access-"), "{act:?}: and only for a while");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_fails_while_an_issuer_comes_back_does_not_keep_it_closed_to_others() {
    let issuer = Issuer::new(&[]);
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    let node = Node::new(&issuer, &store, &clock);
    issuer.ever_after(Act::Unreached);
    for number in 2..5 {
        node.ask(&spent(number)).await;
    }
    // It is there again, but for what the first caller brings, who is always there first.
    let mut seconds = 0;
    let renewed = loop {
        issuer.ever_after(Act::Lose);
        node.ask(&Spent { refresh: Secret::new(format!("made-up-{seconds}").into_bytes()), ..spent(1) }).await;
        issuer.ever_after(Act::Renew);
        let bystander = node.ask(&spent(100 + seconds)).await;
        if bystander.starts_with("access-") || seconds == 120 {
            break bystander;
        }
        pass(1).await;
        seconds += 1;
    };
    assert!(renewed.starts_with("access-"), "after {seconds} s: {renewed}");
    assert!(seconds <= 4, "as soon as the pause after the first failure is over, and not after {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_never_asked_for_again_where_the_issuer_does_not_forgive_it() {
    // What the access credential has left, and for how long it is remembered.
    for (left, unknown, shows) in
        [(-10, 300, "five minutes at least"), (500, 500, "as long as the access credential lives"), (9_000_000, 86_400, "a day at most")]
    {
        for act in [Act::Lose, Act::Panic, Act::Hang, Act::RenewNothing, Act::RenewEndless] {
            let issuer = Issuer::new(&[act]);
            let nodes = nodes(&issuer);
            let asking = spent_until(1, NOW + left);
            let slow = act == Act::Hang;
            assert_eq!(nodes[0].ask(&asking).await, if slow { "pending" } else { "unknown" }, "{act:?}: {shows}");
            if slow {
                pass(13).await;
            }
            let remembered = unknown - if slow && unknown == 500 { 15 } else { 0 };
            pass(remembered - 1).await;
            for node in &nodes {
                assert_eq!((node.ask(&asking).await.as_str(), issuer.asked()), ("unknown", 1), "{act:?}: {shows}");
            }
            pass(1).await;
            nodes[1].ask(&asking).await;
            assert_eq!(issuer.asked(), 2, "{act:?}: forgotten at the end, when {shows}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_once_more_where_the_issuer_forgives_it() {
    let rows: [(&[Act], &str, usize, &str); 5] = [
        (&[Act::Lose], "access-2-user1", 2, "the second answer came"),
        (&[Act::Panic], "access-2-user1", 2, "so it did after a panic"),
        (&[Act::Lose, Act::Lose], "unknown", 2, "a third time nobody asks"),
        (&[Act::Lose, Act::Reject], "fatal", 2, "the issuer did not forgive after all"),
        (&[Act::Lose, Act::Unreached], "transient", 2, "the second one was none"),
    ];
    for (script, answer, asked, shows) in rows {
        let issuer = Issuer::forgiving(script);
        let nodes = nodes(&issuer);
        for node in &nodes {
            let told = node.ask(&spent(1)).await;
            // The second node may ask at once where the second exchange was none; everything else is settled.
            let expected = if answer == "transient" && std::ptr::eq(node, &raw const nodes[1]) { "access-3-user1" } else { answer };
            assert_eq!(told, expected, "{shows}");
        }
        assert_eq!(issuer.asked(), asked + usize::from(answer == "transient"), "{shows}");
    }
}

/// Begins a renewal on a node whose whole runtime is then taken away; the store that it leaves.
fn abandoned(forgives: bool, act: Act) -> (Arc<Issuer>, Arc<Shaky>) {
    let issuer = Issuer::with(&[act], forgives);
    let store = Shaky::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let node = Node::new(&issuer, &store, &Ticking::from(NOW));
        let flights = Arc::clone(&node.flights);
        tokio::spawn(async move { countersign::renew::contract::Renewals::renew(flights.as_ref(), &spent(1), Timestamp(NOW)).await });
        Node::until_asked(&issuer, 1).await;
    });
    drop(runtime);
    (issuer, store)
}

#[test]
fn a_leader_that_dies_with_the_lease_leaves_an_unknown_result() {
    let rows = [
        // forgives, seconds after the lease, answer, exchanges, what the row shows
        (false, 20, "unknown", 1, "the lease is over, the credential may be spent"),
        (false, 319, "unknown", 1, "as long as an unknown result is remembered"),
        (false, 320, "access-2-user1", 2, "then it is forgotten: this time the issuer had not got it"),
        (true, 20, "access-2-user1", 2, "the issuer forgives: asked once more when the lease is over"),
        (true, 320, "access-2-user1", 2, "and so it is when it is forgotten"),
    ];
    for (forgives, after, answer, asked, shows) in rows {
        let (issuer, store) = abandoned(forgives, Act::Hang);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let node = Node::new(&issuer, &store, &Ticking::from(NOW + after));
            assert_eq!((node.ask(&spent(1)).await.as_str(), issuer.asked()), (answer, asked), "{shows}");
        });
    }
}

#[test]
fn who_waits_for_a_leader_that_has_died_waits_until_its_lease_is_over_and_no_longer() {
    for (forgives, answer, asked) in [(false, "unknown", 1), (true, "access-2-user1", 2)] {
        let (issuer, store) = abandoned(forgives, Act::Hang);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Ticking::from(NOW + 10);
            let patient = FlightSettings { wait: Duration::from_secs(60), ..FlightSettings::default() };
            let node = Node::with(&issuer, &store, &clock, patient);
            assert_eq!((node.ask(&spent(1)).await.as_str(), issuer.asked()), (answer, asked));
            assert_eq!(clock.now().0, NOW + 20, "one look when the lease is over");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_spent_when_the_store_does_not_answer_before_the_exchange() {
    let issuer = Issuer::new(&[]);
    let nodes = nodes(&issuer);
    nodes[0].store.fail("lease", Fault::Down, usize::MAX);
    for node in &nodes {
        assert_eq!((node.ask(&spent(1)).await.as_str(), issuer.asked()), ("state_unavailable", 0));
        assert_eq!(node.heard.renewals("state_unavailable", false), 1, "and it is told");
    }
    nodes[0].store.heal();
    assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1", "it recovers by itself");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_written_but_not_acknowledged_is_taken_up_by_the_node_that_asked_for_it() {
    let issuer = Issuer::new(&[]);
    let nodes = nodes(&issuer);
    nodes[0].store.fail("lease", Fault::Unacknowledged, 1);
    assert_eq!((nodes[0].ask(&spent(1)).await.as_str(), issuer.asked()), ("state_unavailable", 0), "nobody asks under a doubtful lease");
    assert!(matches!(nodes[0].record(&spent(1)).await, Some(Record::Leased(_))), "which stands there");
    assert_eq!(nodes[1].ask(&spent(1)).await, "pending", "another node cannot know, and waits");
    assert_eq!((nodes[0].ask(&spent(1)).await.as_str(), issuer.asked()), ("access-1-user1", 1), "this one knows that nothing was spent");
    assert_eq!(nodes[1].ask(&spent(1)).await, "access-1-user1", "and the other gets what it brought");
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_not_lost_when_the_store_fails_after_the_exchange() {
    for (fault, outage) in [(Fault::Down, 5), (Fault::Unacknowledged, 5), (Fault::Down, 60)] {
        let issuer = Issuer::new(&[]);
        let nodes = nodes(&issuer);
        nodes[0].store.fail("complete", fault, usize::MAX);
        assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1", "who waits here gets it");
        assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1", "and who comes later");
        assert_eq!(nodes[0].heard.failed_store_calls(), 1, "and the outage is told");
        pass(outage).await;
        nodes[0].store.heal();
        pass(10).await;
        let elsewhere = if outage == 60 && fault == Fault::Down { "unknown" } else { "access-1-user1" };
        assert_eq!((nodes[1].ask(&spent(1)).await.as_str(), issuer.asked()), (elsewhere, 1), "{fault:?} for {outage} s, on another node");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_another_node_renews_spends_nothing() {
    let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(1))]);
    let nodes = nodes(&issuer);
    nodes[0].store.fail("read", Fault::Down, 1);
    let asking = spent(1);
    let (first, second) = tokio::join!(nodes[0].ask(&asking), async {
        Node::until_asked(&issuer, 1).await;
        nodes[1].ask(&asking).await
    });
    assert_eq!((first.as_str(), second.as_str(), issuer.asked()), ("access-1-user1", "state_unavailable", 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_brings_after_its_lease_was_taken_over_is_thrown_away() {
    // The clock of the second node runs ahead, so that it takes the lease for ended: the same as a first leader that was
    // paused beyond it.
    let issuer = Issuer::forgiving(&[Act::RenewAfter(Duration::from_secs(10)), Act::Renew]);
    let store = Shaky::new();
    let (here, ahead) = (Ticking::from(NOW), Ticking::from(NOW + 25));
    let patient = FlightSettings { wait: Duration::from_secs(60), ..FlightSettings::default() };
    let nodes = [Node::with(&issuer, &store, &here, patient), Node::with(&issuer, &store, &ahead, patient)];
    let asking = spent(1);
    let (first, second) = tokio::join!(nodes[0].ask(&asking), async {
        Node::until_asked(&issuer, 1).await;
        nodes[1].ask(&asking).await
    });
    assert_eq!(second, "access-2-user1", "the second exchange brought a pair");
    assert_eq!(first, "access-2-user1", "and who waited for the first is given that one");
    assert_eq!(nodes[0].ask(&asking).await, "access-2-user1", "as is who comes later");
    assert_eq!(issuer.asked(), 2);
    assert_eq!((nodes[0].heard.renewals("renewed", false), nodes[0].heard.renewals("renewed", true)), (0, 2), "the first counts as none");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_runs_ahead_gives_up_rather_than_ask_twice() {
    let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(10))]);
    let store = Shaky::new();
    let nodes = [Node::new(&issuer, &store, &Ticking::from(NOW)), Node::new(&issuer, &store, &Ticking::from(NOW + 25))];
    let asking = spent(1);
    let (_, ahead) = tokio::join!(nodes[0].ask(&asking), async {
        Node::until_asked(&issuer, 1).await;
        nodes[1].ask(&asking).await
    });
    assert_eq!((ahead.as_str(), issuer.asked()), ("unknown", 1));
    pass(10).await;
    assert_eq!(nodes[0].ask(&asking).await, "access-1-user1", "the result is no worse for it");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_lost_the_lease_still_takes_the_result() {
    let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(1))]);
    let nodes = nodes(&issuer);
    let asking = spent(1);
    let (first, ()) = tokio::join!(nodes[0].ask(&asking), async {
        Node::until_asked(&issuer, 1).await;
        nodes[0].store.inner.remove(&nodes[0].key(&asking), Timestamp(NOW)).await.unwrap();
    });
    assert_eq!(first, "access-1-user1");
    assert_eq!((nodes[1].ask(&asking).await.as_str(), issuer.asked()), ("access-1-user1", 1), "it is there for the other node");
}

#[tokio::test(start_paused = true)]
async fn no_exchange_is_begun_that_could_outlast_its_lease() {
    let rows = [
        // how long the store takes for the lease, answer, exchanges, what the row shows
        (5, "access-1-user1", 1, "the last second at which an exchange is over before its lease is"),
        (6, "transient", 0, "one second later nobody is asked"),
    ];
    for (slow, answer, asked, shows) in rows {
        let issuer = Issuer::new(&[]);
        let (store, clock) = (Shaky::new(), Ticking::from(NOW));
        let patient = FlightSettings { wait: Duration::from_secs(60), ..FlightSettings::default() };
        let nodes = [Node::with(&issuer, &store, &clock, patient), Node::new(&issuer, &store, &clock)];
        *store.slow_lease.lock() = Duration::from_secs(slow);
        assert_eq!((nodes[0].ask(&spent(1)).await.as_str(), issuer.asked()), (answer, asked), "{shows}");
        *store.slow_lease.lock() = Duration::ZERO;
        pass(1).await;
        assert_eq!((nodes[1].ask(&spent(1)).await.as_str(), issuer.asked()), ("access-1-user1", 1), "{shows}: and another node is free to");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_never_exchanged() {
    let key_of_another = [7; 32];
    let sealed = Bytes::from(vec![9; 64]);
    let until = Timestamp(NOW + 20);
    let written = |record: &Record| record::write(record).to_vec();
    let done = written(&Record::Done { sealed: sealed.clone(), ends: until });
    let changed = |at: usize, to: u8| {
        let mut bytes = done.clone();
        bytes[at] = to;
        bytes
    };
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "nothing at all"),
        (vec![1], "a form and no state"),
        (changed(0, 2), "a future form"),
        (changed(1, 5), "a state nobody knows"),
        (changed(1, 0), "no state"),
        (done[..done.len() - 1].to_vec(), "cut short"),
        ([done.clone(), vec![0]].concat(), "something behind it"),
        (changed(13, 200), "a length that is not there"),
        (done.clone(), "a pair that was not sealed with this credential"),
        (written(&Record::Done { sealed: Bytes::new(), ends: until }), "no pair"),
        (written(&Record::Lost { attempt: 1, ends: until })[..9].to_vec(), "half a moment"),
        (vec![1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1], "an exchange with the number 0"),
        (vec![1, 3, 9, 0, 0, 0, 0, 0, 0, 0, 1], "a class nobody knows"),
        (vec![0xff; 300 * 1024], "more than any record has"),
        (key_of_another.to_vec(), "a digest"),
    ];
    for (bytes, shows) in rows {
        let issuer = Issuer::forgiving(&[]);
        let nodes = nodes(&issuer);
        let key = nodes[0].key(&spent(1));
        nodes[0].store.inner.write(&key, Expect::Absent, bytes.into(), until, Timestamp(NOW)).await.unwrap();
        assert_eq!((nodes[0].ask(&spent(1)).await.as_str(), issuer.asked()), ("unknown", 0), "{shows}");
        pass(20).await;
        assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1", "{shows}: gone with its time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sealed_pair_opens_for_the_credential_that_was_spent_and_for_no_other() {
    let issuer = Issuer::new(&[]);
    let nodes = nodes(&issuer);
    assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1");
    let entry = nodes[0].store.inner.read(&nodes[0].key(&spent(1)), Timestamp(NOW)).await.unwrap().unwrap();
    assert!(!entry.value.windows(8).any(|window| window == b"access-1" || window == b"refresh-"), "nothing of it stands open");

    // Somebody who can write to the store moves it under the name of another.
    nodes[0].store.inner.write(&nodes[0].key(&spent(2)), Expect::Absent, entry.value.clone(), entry.until, Timestamp(NOW)).await.unwrap();
    assert_eq!(nodes[1].ask(&spent(2)).await, "unknown", "the pair of another is nobody's");

    // Or gives it more time.
    let Some(Record::Done { sealed, ends }) = record::read(&entry.value) else { panic!("a result") };
    let longer = record::write(&Record::Done { sealed, ends: ends.plus(Seconds(3_600)) });
    nodes[0]
        .store
        .inner
        .write(&nodes[0].key(&spent(1)), Expect::Version(entry.version), longer, Timestamp(NOW + 4_000), Timestamp(NOW))
        .await
        .unwrap();
    assert_eq!(nodes[1].ask(&spent(1)).await, "unknown", "time is sealed with it");
    assert_eq!(issuer.asked(), 1, "and nobody asks the issuer again");

    // Another name of the renewer is another record, and so is another credential, however the two are cut.
    let other = |refresh: &[u8]| Spent { refresh: Secret::new(refresh.to_vec()), ..spent(1) };
    assert_ne!(nodes[0].key(&other(b"ab")), nodes[0].key(&other(b"a")));
    assert_eq!(nodes[0].key(&other(b"ab")), nodes[1].key(&other(b"ab")), "every node calls it the same");
}

#[tokio::test(start_paused = true)]
async fn every_record_reads_back_as_it_was_written() {
    let ends = Timestamp(NOW);
    let rows = [
        Record::Leased(Lease { holder: Holder([5; 16]), attempt: 2, ends }),
        Record::Done { sealed: Bytes::from_static(b"sealed"), ends: Timestamp(i64::MIN) },
        Record::Failed { class: Class::Fatal, ends },
        Record::Failed { class: Class::Transient, ends: Timestamp(-1) },
        Record::Lost { attempt: 255, ends: Timestamp::END },
    ];
    for row in rows {
        assert_eq!(record::read(&record::write(&row)), Some(row));
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_not_rotated_renews_again_and_again_but_once_at_a_time() {
    let issuer = Issuer::new(&[]);
    issuer.ever_after(Act::RenewOnly);
    let nodes = nodes(&issuer);
    let mut bearing = spent(1);
    assert_eq!(nodes[0].ask(&bearing).await, "access-1-user1");
    assert_eq!(nodes[1].ask(&bearing).await, "access-1-user1", "the old access credential gets the new one");
    // The upstream refused the new one at once.
    bearing.access = Secret::new(b"access-1-user1".to_vec());
    let answers = tokio::join!(nodes[0].ask(&bearing), nodes[1].ask(&bearing), nodes[0].ask(&bearing));
    assert_eq!(answers.0, "access-2-user1", "what was just brought does not count as its own renewal");
    assert_eq!((&answers.1, &answers.2, issuer.asked()), (&answers.0, &answers.0, 2), "and still one exchange for all");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_was_rotated_is_never_exchanged_again_within_its_grace() {
    let issuer = Issuer::new(&[]);
    let nodes = nodes(&issuer);
    assert_eq!(nodes[0].ask(&spent(1)).await, "access-1-user1");
    // A client that took the new access credential and kept the old refresh credential.
    let confused = Spent { access: Secret::new(b"access-1-user1".to_vec()), ..spent(1) };
    for node in &nodes {
        let renewed = node.renew(&confused).await.unwrap();
        assert_eq!((shown(&renewed.pair).as_str(), renewed.coalesced), ("access-1-user1", true), "it gets the whole pair once more");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_outlives_the_process_that_brought_it() {
    let issuer = Issuer::new(&[]);
    let (store, clock) = (Shaky::new(), Ticking::from(NOW));
    assert_eq!(Node::new(&issuer, &store, &clock).ask(&spent(1)).await, "access-1-user1");
    // The next process, and the same again after a reload of the conf.
    for _ in 0..2 {
        let next = Node::new(&issuer, &store, &clock);
        assert_eq!((next.ask(&spent(1)).await.as_str(), next.heard.all_renewals()), ("access-1-user1", 1));
    }
    pass(30).await;
    assert_eq!(Node::new(&issuer, &store, &clock).ask(&spent(1)).await, "fatal", "what was spent is refused after the grace");
}

//! What is remembered and spent for a guard, and in which order.

use super::court::{Court, NOW, breach, caller};
use crate::domain::{Burn, Reason, Refusal, Seconds, Timestamp};
use crate::gate::allowance::Allowed;
use crate::gate::prove::Proven;
use crate::state::contract::{Burned, Class, Expect, Key, StateStore};
use crate::systems::contract::{Count, Demand, Mark, Pass};

const CLIENT: &str = "192.0.2.1";

fn mark(key: u8) -> Mark {
    Mark { key: [key; 32], made: NOW, until: NOW.plus(Seconds(60)) }
}

fn demand(key: u8, code: &'static str) -> Demand {
    Demand { mark: mark(key), breach: breach(code) }
}

fn count(most: u32, per: u32) -> Count {
    Count { key: [9; 32], most, per: Seconds(per), breach: None }
}

/// Somebody whose credential works once.
fn once(key: u8) -> Proven {
    Proven { burns: vec![Burn { key: [key; 32], made: NOW, until: NOW.plus(Seconds(60)) }], ..caller("anna") }
}

impl Court {
    async fn told(&self, who: &Proven) -> Result<(), String> {
        self.judged(CLIENT, "/judged", who).await.map_err(|refusal| match refusal {
            Refusal::GuardRefused(breach) => breach.code.into_owned(),
            refusal => refusal.reason().as_str().to_owned(),
        })
    }

    async fn has_note(&self, key: u8) -> bool {
        self.state.read(&Key { class: Class::Note, digest: [key; 32] }, NOW).await.unwrap().is_some()
    }

    /// Whether what `key` names has not been spent. Asking spends it.
    async fn is_unspent(&self, key: u8) -> bool {
        let burn = Burn { key: [key; 32], made: NOW, until: NOW.plus(Seconds(60)) };
        self.state.burn(&burn, NOW).await.unwrap() == Burned::First
    }
}

#[tokio::test]
async fn a_demand_that_fails_has_spent_nothing() {
    let court = Court::new(Ok(Pass { demands: vec![demand(1, "unseen")], burns: vec![demand(2, "again")], ..Pass::default() }), false);
    assert_eq!(court.told(&once(3)).await, Err("unseen".to_owned()));
    assert!(court.is_unspent(3).await, "the credential still works");
    assert!(court.is_unspent(2).await, "and so does what the guard would have spent");
}

#[tokio::test]
async fn a_demand_is_met_once() {
    let court = Court::new(Ok(Pass { notes: vec![mark(1)], ..Pass::default() }), false);
    assert_eq!(court.told(&Proven::default()).await, Ok(()));
    *court.system.says.lock() = Ok(Pass { demands: vec![demand(1, "unseen")], ..Pass::default() });
    assert_eq!(court.told(&once(3)).await, Ok(()));
    assert!(!court.is_unspent(3).await, "this request went on, so its credential is spent");
    assert_eq!(court.told(&once(4)).await, Err("unseen".to_owned()), "once");
}

#[tokio::test]
async fn what_refuses_last_leaves_no_note_behind() {
    let noting = || Pass { notes: vec![mark(1)], burns: vec![demand(2, "again")], ..Pass::default() };
    let court = Court::new(Ok(noting()), false);
    assert!(court.is_unspent(3).await, "spent here");
    assert_eq!(court.told(&once(3)).await, Err("replayed".to_owned()), "a credential that was used");
    assert!(!court.has_note(1).await, "what it asked for is taken back");

    let court = Court::new(Ok(noting()), false);
    assert_eq!(court.told(&once(3)).await, Ok(()));
    assert!(court.has_note(1).await);
    assert_eq!(court.told(&once(4)).await, Err("again".to_owned()), "what the guard has spent works once");
    assert!(court.is_unspent(4).await, "and the credential was not spent for that");
    assert!(court.has_note(1).await, "a note that was there before stays: another request has asked for it");
}

#[tokio::test]
async fn a_guess_at_what_was_to_be_seen_costs_a_failure_and_a_replay_does_not() {
    let court = Court::new(Ok(Pass { demands: vec![demand(1, "guess")], ..Pass::default() }), false);
    for _ in 0..3 {
        assert_eq!(court.told(&Proven::default()).await, Err("guess".to_owned()));
    }
    assert_eq!(court.told(&Proven::default()).await, Err("throttled".to_owned()), "the address has no failures left");

    let court = Court::new(Ok(Pass { burns: vec![demand(1, "guess")], ..Pass::default() }), false);
    assert_eq!(court.told(&Proven::default()).await, Ok(()));
    for _ in 0..10 {
        assert_eq!(court.told(&Proven::default()).await, Err("guess".to_owned()), "it was right once, so it is no guess");
    }
}

#[tokio::test]
async fn a_flood_of_notes_stops_at_its_own_budget_and_touches_nothing_else() {
    let court = Court::new(Ok(Pass::default()), false);
    let mut outcomes = Vec::new();
    for key in 0..6 {
        *court.system.says.lock() = Ok(Pass { notes: vec![mark(key)], ..Pass::default() });
        outcomes.push(court.told(&Proven::default()).await);
    }
    let refused = Err("throttled".to_owned());
    assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Ok(()), refused.clone(), refused.clone()], "four are the share of an address");
    assert!(!court.has_note(4).await, "nothing was written beyond it");
    assert_eq!(court.ear.0.lock().last(), Some(&("notes_address", true)), "and it is told whose budget it was");

    *court.system.says.lock() = Ok(Pass { burns: vec![demand(50, "again")], ..Pass::default() });
    assert_eq!(court.told(&once(60)).await, refused, "what works once stands in the same store");
    assert!(court.is_unspent(60).await, "and nothing was spent");
    *court.system.says.lock() = Ok(Pass::default());
    assert_eq!(court.told(&once(61)).await, Ok(()), "who asks for nothing to be remembered is not refused");
    *court.system.says.lock() = Ok(Pass { notes: vec![mark(7)], ..Pass::default() });
    assert_eq!(court.judged("198.51.100.1", "/judged", &Proven::default()).await, Ok(()), "nor is anybody else");

    court.pass_time(60);
    let later = Mark { until: NOW.plus(Seconds(90)), ..mark(8) };
    *court.system.says.lock() = Ok(Pass { notes: vec![later], ..Pass::default() });
    assert_eq!(court.told(&Proven::default()).await, Ok(()), "what has ended makes room");
}

#[tokio::test]
async fn all_callers_together_have_a_budget_as_well() {
    let mut court = Court::new(Ok(Pass::default()), false);
    court.gate.allowed = Allowed { most: 3, per_address: 3 };
    for (number, address) in ["192.0.2.1", "192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
        *court.system.says.lock() = Ok(Pass { notes: vec![mark(u8::try_from(number).unwrap())], ..Pass::default() });
        assert_eq!(court.judged(address, "/judged", &Proven::default()).await, Ok(()));
    }
    let refused = court.judged("192.0.2.4", "/judged", &Proven::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Throttled { retry_after: Seconds(60) }, "and says when there is room again");
    assert_eq!(court.ear.0.lock().last(), Some(&("notes", true)));
}

#[tokio::test]
async fn a_count_is_kept_where_all_nodes_keep_it() {
    let counting = |breach| Pass { counts: vec![Count { breach, ..count(2, 60) }], ..Pass::default() };
    let court = Court::new(Ok(counting(None)), false);
    let mut other = Court::new(Ok(counting(None)), false);
    other.gate.state = court.gate.state.clone();
    assert_eq!(court.told(&Proven::default()).await, Ok(()));
    court.pass_time(10);
    other.pass_time(10);
    assert_eq!(other.told(&Proven::default()).await, Ok(()), "the second, on another node");
    let refused = court.judged(CLIENT, "/", &once(1)).await;
    assert_eq!(refused, Err(Refusal::Throttled { retry_after: Seconds(50) }), "the third, wherever it comes");
    assert!(court.is_unspent(1).await, "has spent nothing");
    *other.system.says.lock() = Ok(counting(Some(breach("quota"))));
    assert_eq!(other.told(&Proven::default()).await, Err("quota".to_owned()), "or in the system's own words");
    court.pass_time(50);
    assert_eq!(court.told(&Proven::default()).await, Ok(()), "the first has passed");
    assert!(court.told(&Proven::default()).await.is_err(), "the second has not");
}

#[tokio::test]
async fn of_many_at_once_no_more_are_counted_than_may_be() {
    let court = Court::new(Ok(Pass { counts: vec![count(5, 60)], ..Pass::default() }), false);
    let court = std::sync::Arc::new(court);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let court = std::sync::Arc::clone(&court);
        asked.spawn(async move { court.judged(CLIENT, "/", &Proven::default()).await.is_ok() });
    }
    let passed = asked.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 5);
}

#[tokio::test]
async fn a_count_that_nobody_has_written_lets_nobody_through() {
    let court = Court::new(Ok(Pass { counts: vec![count(5, 60)], ..Pass::default() }), false);
    let key = Key { class: Class::Count, digest: [9; 32] };
    court.state.write(&key, Expect::Absent, "no count".into(), NOW.plus(Seconds(60)), NOW).await.unwrap();
    assert_eq!(court.told(&Proven::default()).await, Err(Reason::StateUnavailable.as_str().to_owned()));
}

#[tokio::test]
async fn counts_of_many_callers_have_the_budget_of_notes() {
    let court = Court::new(Ok(Pass::default()), false);
    let mut outcomes = Vec::new();
    for key in 0..5 {
        *court.system.says.lock() = Ok(Pass { counts: vec![Count { key: [key; 32], ..count(100, 60) }], ..Pass::default() });
        outcomes.push(court.told(&Proven::default()).await.is_ok());
        outcomes.push(court.told(&Proven::default()).await.is_ok());
    }
    assert_eq!(outcomes[..8], [true; 8], "each takes room once, however often it counts");
    assert_eq!(outcomes[8..], [false; 2], "a fifth finds none");
}

#[tokio::test]
async fn a_full_store_refuses_and_spends_nothing() {
    let court = Court::new(Ok(Pass { notes: vec![mark(1)], ..Pass::default() }), false);
    for number in 0..1_000_u32 {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        let key = Key { class: Class::Session, digest };
        court.state.write(&key, Expect::Absent, bytes::Bytes::new(), Timestamp::END, NOW).await.unwrap();
    }
    assert_eq!(court.told(&once(3)).await, Err("state_unavailable".to_owned()));
    assert!(court.is_unspent(3).await, "the credential still works");
}

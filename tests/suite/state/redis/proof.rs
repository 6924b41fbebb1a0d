//! No ticket twice: many redeemers on two nodes, while Redis is killed and started again.
//!
//! A fiftieth of the figures is run unless `COUNTERSIGN_PROVE=1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::domain::Random;
use countersign::state::contract::Burned;
use tokio::task::JoinSet;

use crate::state::redis::{answers, burn, open};
use crate::support::figures::figure;
use crate::support::redis::{DURABLE, RedisServer};

/// Who redeem each ticket at once.
const REDEEMERS: u64 = 40;
/// Tickets in flight at once.
const WAVE: u64 = 20;

/// What became of one ticket.
#[derive(Default, Clone, Copy)]
struct Fate {
    honoured: u64,
    undecided: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ticket_is_honoured_twice_while_redis_is_killed_and_started_again() {
    let (tickets, kills) = figure((100_000, 200), (2_000, 4));
    let mut server = RedisServer::start_with(DURABLE);
    let stores = [open(&server.url()).await, open(&server.url()).await];
    let (begun, redeemed) = (Instant::now(), Arc::new(AtomicU64::new(0)));

    // Killed at random moments, spread over the whole.
    let progress = Arc::clone(&redeemed);
    let killer = tokio::task::spawn_blocking(move || {
        for kill in 1..=kills {
            let mut chance = [0; 2];
            countersign::ambient::SystemRandom.fill(&mut chance);
            let share = tickets / (kills + 1);
            let at = kill * share - u64::from(u16::from_be_bytes(chance)) % share.max(1) / 2;
            while progress.load(Ordering::SeqCst) < at {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(u64::from(chance[0]) * 100));
            server.restart();
        }
        server
    });

    let mut fates = vec![Fate::default(); usize::try_from(tickets).unwrap()];
    for first in (0..tickets).step_by(usize::try_from(WAVE).unwrap()) {
        let mut wave = JoinSet::new();
        for ticket in first..(first + WAVE).min(tickets) {
            for redeemer in 0..REDEEMERS {
                let store = Arc::clone(&stores[usize::try_from(redeemer % 2).unwrap()]);
                wave.spawn(async move { (ticket, burn(&*store, ticket).await) });
            }
        }
        let mut out = false;
        for (ticket, verdict) in wave.join_all().await {
            let fate = &mut fates[usize::try_from(ticket).unwrap()];
            match verdict {
                Ok(Burned::First) => fate.honoured += 1,
                Ok(Burned::Again) => {}
                Ok(Burned::Forgotten) => panic!("ticket {ticket}: a server that loses nothing forgets nothing"),
                Err(_outage) => {
                    fate.undecided += 1;
                    out = true;
                }
            }
        }
        redeemed.fetch_add(WAVE, Ordering::SeqCst);
        if out {
            for store in &stores {
                answers(&**store).await;
            }
        }
    }
    let server = killer.await.unwrap();

    // Everything once more, on both nodes.
    let (mut twice, mut reusable, mut in_vain, mut refused) = (0, 0, 0, 0);
    for (ticket, fate) in (0..tickets).zip(&fates) {
        twice += u64::from(1 < fate.honoured);
        for store in &stores {
            answers(&**store).await;
            let verdict = burn(&**store, ticket).await;
            match (fate.honoured, verdict) {
                (1.., Ok(Burned::First)) => reusable += 1,
                (0, Ok(Burned::First)) => refused += 1,
                (_, Ok(Burned::Again)) => {}
                (_, other) => panic!("ticket {ticket}: {other:?} from a server at rest"),
            }
        }
        in_vain += u64::from(fate.honoured == 0);
    }
    let undecided: u64 = fates.iter().map(|fate| fate.undecided).sum();
    let spent_in_vain = in_vain - refused;
    println!(
        "{tickets} tickets, {REDEEMERS} redeemers each on two nodes, Redis killed {kills} times, {:?}: {twice} honoured twice, {reusable} \
         usable again after their answer, {spent_in_vain} spent and not honoured, {refused} refused and not spent, {undecided} outages",
        begun.elapsed()
    );
    assert_eq!(twice, 0, "honoured twice");
    assert_eq!(reusable, 0, "honoured, and then again");
    assert!(0 < undecided, "the kills were felt");
    assert!(spent_in_vain <= kills * WAVE, "no more are spent in vain than were in flight: {spent_in_vain}");
    drop(server);
}

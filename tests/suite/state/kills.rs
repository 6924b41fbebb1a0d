//! Single-use tickets at a proxy that is killed at random points: nothing is honoured twice, also not across its ends.
//!
//! Attacks F4 and F17. The real binary, with its state in a file and in Redis. `COUNTERSIGN_PROVE=1` asks for the full figures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::ambient::{SystemRandom, WallClock};
use countersign::domain::{Clock, Seconds, Secret, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::mac;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::scheme_ticket;
use crate::support::child::Running;
use crate::support::figures::figure;
use crate::support::redis::{DURABLE, RedisServer};
use crate::support::upstream::Upstream;
use crate::support::whole::Folder;

/// A ticket for one use that is made now, as the killed processes' clock says.
fn single_use() -> String {
    let key = mac::key_of(Secret::new(scheme_ticket::KEY_FILE.1.to_vec())).unwrap();
    let max_life = Seconds(3_600);
    let press = Mint { key: TicketKey::new(key.id, &key.secret), issuer: "countersign".into(), audience: "app".into(), max_life };
    let order = TicketOrder {
        subject: "anna".into(),
        life: None,
        scopes: Box::default(),
        single_use: true,
        bindings: Bindings::default(),
        claims: Value::empty(),
    };
    mint(&press, order, WallClock.now(), &SystemRandom).unwrap()
}

/// What became of one ticket so far.
#[derive(Debug, Default, Clone, Copy)]
struct Fate {
    /// Answers 200 to its holders.
    honoured: usize,
    /// Answers 401 to its holders.
    refused: usize,
}

/// How a ticket was answered; `None` when the proxy went away.
async fn present(address: SocketAddr, ticket: &str, number: usize) -> Option<u16> {
    let request = format!("GET /once/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {ticket}\r\n\r\n");
    let answered = async {
        let mut socket = TcpStream::connect(address).await.ok()?;
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        let mut piece = [0; 1_024];
        loop {
            let read = socket.read(&mut piece).await.ok()?;
            head.extend_from_slice(&piece[..read]);
            if let Some(status) = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
                return std::str::from_utf8(status).ok()?.parse().ok();
            }
            if read == 0 {
                return None;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answered).await.expect("answered, or cut off")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ticket_is_honoured_twice_by_a_proxy_that_is_killed_and_started_again() {
    kill_again_and_again("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_by_one_that_keeps_its_state_in_redis() {
    let server = RedisServer::start_with(DURABLE);
    kill_again_and_again(&format!("state: {{ redis: {{ url: '{}', strict: true, timeout: 20s }} }}\n", server.url())).await;
}

/// Kills a proxy whose conf says `state`, with tickets under way.
async fn kill_again_and_again(state: &str) {
    let (kills, tickets_each, redeemers) = figure((200, 500, 40), (10, 60, 8));
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    folder.write(scheme_ticket::KEY_FILE.0, scheme_ticket::KEY_FILE.1);
    let yaml = format!("{}\nadmin: {{ address: 127.0.0.1:0 }}\n{state}", scheme_ticket::conf(&upstream));
    let conf = folder.write("countersign.yaml", yaml);

    let fates: Arc<Mutex<BTreeMap<usize, Fate>>> = Arc::default();
    let mut minted: Vec<String> = Vec::new();
    let mut burned_unused = 0;
    let mut running = Running::start(&conf).await;
    for kill in 0..kills {
        let first = minted.len();
        minted.extend((0..tickets_each).map(|_| single_use()));
        let answers = Arc::new(AtomicUsize::new(0));
        // Everybody has the same tickets, each in an order of their own.
        let mut tasks = JoinSet::new();
        let in_flight_at_most = redeemers;
        for redeemer in 0..redeemers {
            let (fates, answers, address) = (Arc::clone(&fates), Arc::clone(&answers), running.address);
            let tickets: Vec<_> = minted[first..].to_vec();
            tasks.spawn(async move {
                for step in 0..tickets_each {
                    let place = (step + redeemer * 7 / 4) % tickets_each;
                    let Some(status) = present(address, &tickets[place], first + place).await else { break };
                    answers.fetch_add(1, Ordering::SeqCst);
                    let mut fates = fates.lock();
                    let fate = fates.entry(first + place).or_default();
                    match status {
                        200 => fate.honoured += 1,
                        401 => fate.refused += 1,
                        status => panic!("ticket {}: {status}", first + place),
                    }
                }
            });
        }
        // Somewhere on the way: after so many answers, which differs from kill to kill.
        let after = 1 + (kill * 37 + 11) % (tickets_each * redeemers / 2);
        while answers.load(Ordering::SeqCst) < after && !tasks.is_empty() {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        running.signal("KILL");
        tasks.join_all().await;
        running.ended(Duration::from_secs(10)).await.expect("killed");
        running = Running::start(&conf).await;

        // Every ticket of this round once more. Who was answered 200 is refused now; of the others, those that had been burned
        // without an answer are no more than were under way.
        let before = fates.lock().clone();
        let mut lost = 0;
        for (number, ticket) in minted.iter().enumerate().skip(first) {
            let status = present(running.address, ticket, number).await.expect("it is not killed now");
            let fate = before.get(&number).copied().unwrap_or_default();
            match status {
                200 => {
                    assert_eq!(fate.honoured, 0, "kill {kill}: ticket {number} was honoured before and is honoured again");
                    assert_eq!(fate.refused, 0, "kill {kill}: ticket {number} was refused as spent and is honoured now");
                    fates.lock().entry(number).or_default().honoured += 1;
                }
                401 => lost += usize::from(fate.honoured == 0),
                status => panic!("kill {kill}: ticket {number}: {status}"),
            }
        }
        assert!(lost <= in_flight_at_most, "kill {kill}: {lost} tickets are burned without an answer, {in_flight_at_most} were in flight");
        burned_unused += lost;
    }

    // What earlier rounds spent is spent to the end.
    let honoured: BTreeSet<usize> = fates.lock().iter().filter(|(_, fate)| 0 < fate.honoured).map(|(number, _)| *number).collect();
    for number in honoured.iter().step_by(1 + honoured.len() / 500) {
        let status = present(running.address, &minted[*number], *number).await;
        assert_eq!(status, Some(401), "ticket {number} at the end");
    }
    let doubly: Vec<_> = fates.lock().iter().filter(|(_, fate)| 1 < fate.honoured).map(|(number, _)| *number).collect();
    assert!(doubly.is_empty(), "answered 200 more than once: {doubly:?}");
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for record in upstream.records() {
        *reached.entry(record.target().to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = reached.iter().filter(|(_, times)| 1 < **times).collect();
    assert!(twice.is_empty(), "reached the service more than once: {twice:?}");
    println!(
        "{kills} kills, {} tickets, {redeemers} holders each: {} honoured once, {burned_unused} burned without an answer, none honoured twice",
        minted.len(),
        honoured.len()
    );
}

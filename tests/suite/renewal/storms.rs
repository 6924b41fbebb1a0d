//! A crowd with one pair that has run out, at one proxy and at several that share a store: one exchange, one new pair.
//!
//! The issuer holds its answer until the crowd is there, so that the requests wait for one another. Rows M1 and M7 of the attacks.
//! The full figures are run with `COUNTERSIGN_PROVE=1` (`make prove`).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::state::memory::Memory;

use super::{ENDED, Issuer, access, handed, pair};
use crate::loopback::Told;
use crate::support::child::Running;
use crate::support::figures::figure;
use crate::support::raw::Client;
use crate::support::redis::RedisServer;
use crate::support::upstream::{Upstream, eventually};
use crate::support::whole::{Folder, NOW, Whole};

/// How many requests come at once.
fn crowd() -> usize {
    figure(1_000, 200)
}

/// What a storm is tried with: as it comes, when proving, with time to spare for a machine that has other things to do otherwise.
fn patience() -> &'static str {
    figure("", "wait: 8s\n      flight: 60s")
}

/// Counts the requests of a crowd, so that an issuer can hold its answer back until they are all there.
#[derive(Default)]
struct Crowd {
    /// Requests that were sent.
    sent: AtomicUsize,
    /// How many of them had been when the issuer answered.
    waiting: AtomicUsize,
    /// When it did.
    answered: OnceLock<Instant>,
}

impl Crowd {
    /// Waits half a second, in which nobody has an answer, and then until everybody has asked, as long as the proxies are willing
    /// to wait for it.
    fn hold(&self) {
        let begun = Instant::now();
        std::thread::sleep(Duration::from_millis(500));
        let most = figure(Duration::from_millis(1_200), Duration::from_secs(5));
        while self.sent.load(Ordering::SeqCst) < crowd() && begun.elapsed() < most {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.waiting.store(self.sent.load(Ordering::SeqCst), Ordering::SeqCst);
        let _ = self.answered.set(Instant::now());
    }
}

/// An issuer for storms, which holds its answer while the crowd comes; its tokens are of the moment that `clock` tells.
fn held(clock: fn() -> i64) -> (Issuer, Arc<Crowd>) {
    let (key, crowd) = (Arc::new(SigningKey::generate(Algorithm::Es256).unwrap()), Arc::new(Crowd::default()));
    let (signing, coming) = (Arc::clone(&key), Arc::clone(&crowd));
    let issuer = Issuer::scripted(key, move |_| {
        coming.hold();
        pair(&access(&signing, clock(), 2), 2)
    });
    (issuer, crowd)
}

/// Sends a crowd with one pair that has run out, over all of `proxies` in turn, and tells the pairs that came back: both tokens.
async fn storm(proxies: &[SocketAddr], old: &str, coming: &Arc<Crowd>, shows: &str) -> BTreeSet<(String, String)> {
    let tasks: Vec<_> = (0..crowd())
        .map(|number| {
            let (address, old, coming) = (proxies[number % proxies.len()], old.to_owned(), Arc::clone(coming));
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                client.send(request(&old, "rt-1")).await;
                coming.sent.fetch_add(1, Ordering::SeqCst);
                client.answer().await
            })
        })
        .collect();
    let mut pairs = BTreeSet::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!(answer.status, 200, "{shows}: nobody is turned away: {}", answer.text());
        pairs.insert((answer.field("x-renewed-access-token").unwrap().to_owned(), handed(&answer)));
    }
    pairs
}

/// What a storm and the one after it have come to.
fn assert_one_exchange(issuer: &Issuer, upstream: &Upstream, coming: &Crowd, pairs: [BTreeSet<(String, String)>; 2], shows: &str) {
    let [first, late] = pairs;
    let waiting = coming.waiting.load(Ordering::SeqCst);
    println!("{shows}: {} requests with one pair, {waiting} of them before the issuer answered, as many later", crowd());
    assert_eq!((first.len(), &first), (1, &late), "{shows}: one new pair for all, both tokens of it");
    assert_eq!(issuer.exchanges(), 1, "{shows}: one exchange");
    assert_eq!(upstream.hits(), 2 * crowd(), "{shows}: each request arrives once");
    assert!(crowd() / 2 <= waiting, "{shows}: only {waiting} came while the exchange was under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_with_one_spent_pair_is_one_exchange_on_one_node_and_on_many() {
    for nodes in [1, 2, 4] {
        let ((issuer, coming), upstream) = (held(|| ENDED), Upstream::start().await);
        let shared = Arc::new(Memory::new(10_000, Timestamp(NOW)));
        let mut proxies = Vec::new();
        for _ in 0..nodes {
            let conf = issuer.conf(&upstream, "{ memory: {} }", patience(), "app");
            proxies.push(Whole::start_over(shared.clone(), issuer.folder(), &conf).await);
        }
        let addresses: Vec<_> = proxies.iter().map(Whole::address).collect();
        let at = |moment: i64| proxies.iter().for_each(|whole| whole.set_clock(moment));
        at(ENDED);
        let shows = format!("{nodes} nodes");
        let first = storm(&addresses, &issuer.first(), &coming, &shows).await;
        at(ENDED + 25);
        let late = storm(&addresses, &issuer.first(), &coming, &format!("{shows}, 25 s later")).await;
        assert_one_exchange(&issuer, &upstream, &coming, [first, late], &shows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_several_nodes_that_share_a_redis_is_one_exchange() {
    for nodes in [2, 4] {
        let redis = RedisServer::start();
        let ((issuer, coming), upstream) = (held(|| ENDED), Upstream::start().await);
        let state = format!("{{ redis: {{ url: {}, timeout: 5s }} }}", redis.url());
        let conf = issuer.conf(&upstream, &state, patience(), "app");
        let mut proxies = Vec::new();
        // The last one takes no part in the first storm: what it hands out 25 s later is what stands in Redis.
        for _ in 0..=nodes {
            proxies.push(Whole::start_in(issuer.folder(), &conf).await);
        }
        let addresses: Vec<_> = proxies.iter().map(Whole::address).collect();
        let at = |moment: i64| proxies.iter().for_each(|whole| whole.set_clock(moment));
        at(ENDED);
        let shows = format!("{nodes} nodes over Redis");
        let first = storm(&addresses[..nodes], &issuer.first(), &coming, &shows).await;
        at(ENDED + 25);
        let late = storm(&addresses, &issuer.first(), &coming, &format!("{shows}, 25 s later")).await;
        assert_one_exchange(&issuer, &upstream, &coming, [first, late], &shows);
    }
}

/// A process of its own, whose leader can be killed.
async fn process(issuer: &Issuer, upstream: &Upstream, redis: &RedisServer, more: &str) -> (Folder, Running) {
    let folder = issuer.folder();
    let state = format!("{{ redis: {{ url: {}, timeout: 5s }} }}", redis.url());
    let conf = issuer.conf(upstream, &state, more, "app");
    let path = folder.write("countersign.yaml", format!("admin: {{ address: 127.0.0.1:0 }}\n{conf}"));
    let process = Running::start(&path).await;
    process.ready().await;
    (folder, process)
}

/// A moment of the real clock, which processes go by.
fn real_now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn request(access: &str, refresh: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {access}\r\nX-Refresh-Token: {refresh}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_processes_that_share_a_redis_is_one_exchange() {
    // By the clock of the machine, so the time really passes; with the usual figures only a little of it.
    let later = figure(Duration::from_secs(25), Duration::from_secs(1));
    for nodes in [2, 4] {
        let ((issuer, coming), redis, upstream) = (held(real_now), RedisServer::start(), Upstream::start().await);
        let mut processes = Vec::new();
        for _ in 0..nodes {
            processes.push(process(&issuer, &upstream, &redis, patience()).await);
        }
        let addresses: Vec<_> = processes.iter().map(|(_, process)| process.address).collect();
        let old = access(&issuer.key, real_now() - 7_200, 1);
        let shows = format!("{nodes} processes");
        let first = storm(&addresses, &old, &coming, &shows).await;
        tokio::time::sleep(later.saturating_sub(coming.answered.get().unwrap().elapsed())).await;
        let late = storm(&addresses, &old, &coming, &format!("{shows}, {later:?} later")).await;
        assert_one_exchange(&issuer, &upstream, &coming, [first, late], &shows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_with_the_lease_leaves_no_second_exchange_behind() {
    for (more, forgives) in [("", false), ("retry_lost_reply: true", true)] {
        let (redis, upstream) = (RedisServer::start(), Upstream::start().await);
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let (signing, first) = (Arc::clone(&key), AtomicUsize::new(0));
        // The first exchange never ends; whoever asks again is answered.
        let issuer = Issuer::scripted(key, move |_| match first.fetch_add(1, Ordering::SeqCst) {
            0 => Told::Hang,
            _ => pair(&access(&signing, real_now(), 2), 2),
        });
        let settings = format!("wait: 1s\n      flight: 2s\n      {more}");
        let (leader, other) = (process(&issuer, &upstream, &redis, &settings).await, process(&issuer, &upstream, &redis, &settings).await);
        let old = access(&issuer.key, real_now() - 7_200, 1);

        let mut client = Client::connect(leader.1.address).await;
        client.send(request(&old, "rt-1")).await;
        eventually("the leader asks", || issuer.exchanges() == 1).await;
        leader.1.signal("KILL");
        // While the lease stands, nobody can say; once it has ended, what was spent may be gone.
        let mut last = other.1.ask(request(&old, "rt-1")).await;
        assert_eq!((last.status, issuer.exchanges()), (503, 1), "under way elsewhere, as far as anybody knows");
        let begun = Instant::now();
        while last.status == 503 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the lease never ends");
            last = other.1.ask(request(&old, "rt-1")).await;
        }
        match forgives {
            false => assert_eq!((last.status, issuer.exchanges()), (401, 1), "never repeated blindly"),
            true => assert_eq!((last.status, handed(&last).as_str(), issuer.exchanges()), (200, "rt-2", 2), "an issuer that forgives it"),
        }
    }
}

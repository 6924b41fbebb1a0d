//! Single-use tickets at a proxy that is killed at random points, and so is the Redis beneath it: nothing is honoured twice, also
//! not across their ends.
//!
//! Attacks F4 and F17. The real binary, with its state in a file and in Redis. `COUNTERSIGN_PROVE=1` asks for the full figures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::ambient::{SystemRandom, WallClock};
use countersign::domain::{Clock, Random, Seconds, Secret, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::mac;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::scheme_ticket;
use crate::support::child::Running;
use crate::support::figures::{figure, proving};
use crate::support::raw::PATIENCE;
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
    /// Answers 503: the store could not say.
    outages: usize,
    /// Presentations that a kill left without an answer.
    cut: usize,
}

impl Fate {
    /// How often it was presented and judged.
    fn verdicts(self) -> usize {
        self.honoured + self.refused
    }
}

/// A holder's connection to the proxy.
struct Line {
    address: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

impl Line {
    fn to(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// How a ticket is answered; `None` when the proxy went away before it said.
    async fn present(&mut self, ticket: &str, number: usize) -> Option<u16> {
        let request = format!("GET /once/{number} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ticket}\r\n\r\n");
        let answered = async {
            let mut stream = match self.open.take() {
                Some(stream) => stream,
                None => {
                    let socket = TcpStream::connect(self.address).await.ok()?;
                    socket.set_nodelay(true).ok()?;
                    BufReader::new(socket)
                }
            };
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
            self.open = rest(stream).await;
            Some(status)
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("answered, or cut off")
    }
}

/// Reads what follows the first line of an answer; the connection, where it can be used again.
async fn rest(mut stream: BufReader<TcpStream>) -> Option<BufReader<TcpStream>> {
    let (mut length, mut closes) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        closes |= name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    (!closes).then_some(stream)
}

/// The tickets of one round, of which every holder has all, and what came of them.
struct Round {
    /// The number of its first ticket.
    first: usize,
    tickets: Vec<String>,
    fates: Mutex<Vec<Fate>>,
    /// How many verdicts each holder has.
    steps: Vec<AtomicUsize>,
    verdicts: AtomicUsize,
}

impl Round {
    fn new(first: usize, tickets: usize, holders: usize) -> Arc<Self> {
        Arc::new(Self {
            first,
            tickets: (0..tickets).map(|_| single_use()).collect(),
            fates: Mutex::new(vec![Fate::default(); tickets]),
            steps: (0..holders).map(|_| AtomicUsize::new(0)).collect(),
            verdicts: AtomicUsize::new(0),
        })
    }

    /// Verdicts that are still to come.
    fn left(&self) -> usize {
        self.tickets.len() * self.steps.len() - self.verdicts.load(Ordering::SeqCst)
    }

    /// Every holder goes on from where they were. They come in two crowds, each of which has the tickets in one order, so that
    /// half of the holders race for a ticket and the other half bring it later. Who gets no verdict stops, and presents the same
    /// ticket again when everybody goes on.
    fn go_on(self: &Arc<Self>, address: SocketAddr) -> JoinSet<()> {
        let mut holders = JoinSet::new();
        for holder in 0..self.steps.len() {
            let round = Arc::clone(self);
            holders.spawn(async move {
                let mut line = Line::to(address);
                let total = round.tickets.len();
                loop {
                    let step = round.steps[holder].load(Ordering::SeqCst);
                    if step == total {
                        return;
                    }
                    let place = (step + holder % 2 * total / 2) % total;
                    let answered = line.present(&round.tickets[place], round.first + place).await;
                    let mut fates = round.fates.lock();
                    let fate = &mut fates[place];
                    match answered {
                        Some(200) => fate.honoured += 1,
                        Some(401) => fate.refused += 1,
                        Some(503) => {
                            fate.outages += 1;
                            return;
                        }
                        None => {
                            fate.cut += 1;
                            return;
                        }
                        Some(status) => panic!("ticket {}: {status}", round.first + place),
                    }
                    round.steps[holder].fetch_add(1, Ordering::SeqCst);
                    round.verdicts.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        holders
    }

    /// Lets the holders go on to a point drawn at random from all that are left, does `kill`, and waits until all have stopped.
    /// Nothing that had been presented before they went on may have been honoured since.
    async fn until_killed(self: &Arc<Self>, address: SocketAddr, shows: &str, kill: impl AsyncFnOnce()) {
        let before = self.fates.lock().clone();
        let at = self.verdicts.load(Ordering::SeqCst) + drawn(self.left());
        let mut holders = self.go_on(address);
        while self.verdicts.load(Ordering::SeqCst) < at && !holders.is_empty() {
            tokio::time::sleep(Duration::from_micros(200)).await;
            while let Some(ended) = holders.try_join_next() {
                ended.unwrap();
            }
        }
        kill().await;
        holders.join_all().await;
        self.judge(&before, shows);
    }

    /// Lets the holders go on until every one of them has a verdict on every ticket. Nothing is killed meanwhile.
    async fn to_the_end(self: &Arc<Self>, address: SocketAddr, shows: &str) {
        let before = self.fates.lock().clone();
        let begun = Instant::now();
        while 0 < self.left() {
            self.go_on(address).join_all().await;
            // After a store was away it may take a while until it is used again.
            assert!(self.left() == 0 || begun.elapsed() < PATIENCE, "{shows}: the store does not come back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.judge(&before, shows);
        let cut = |fates: &[Fate]| fates.iter().map(|fate| fate.cut).sum::<usize>();
        assert_eq!(cut(&before), cut(&self.fates.lock()), "{shows}: an answer was cut off although nothing was killed");
    }

    fn judge(&self, before: &[Fate], shows: &str) {
        for (place, (before, now)) in before.iter().zip(self.fates.lock().iter()).enumerate() {
            let number = self.first + place;
            assert!(now.honoured <= 1, "{shows}: ticket {number} was honoured {} times: {now:?}", now.honoured);
            assert!(
                before.honoured == now.honoured || before.verdicts() == 0,
                "{shows}: ticket {number} was judged before and is honoured now: {before:?}, {now:?}"
            );
        }
    }
}

/// A number from 1 to `most`, at random.
fn drawn(most: usize) -> usize {
    let mut chance = [0; 8];
    SystemRandom.fill(&mut chance);
    1 + usize::try_from(u64::from_be_bytes(chance) % u64::try_from(most.max(1)).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ticket_is_honoured_twice_by_a_proxy_that_is_killed_and_started_again() {
    kill_again_and_again("", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_by_one_whose_redis_is_killed_as_well() {
    let server = RedisServer::start_with(DURABLE);
    let state = format!("state: {{ redis: {{ url: '{}', strict: true, timeout: 20s }} }}\n", server.url());
    kill_again_and_again(&state, Some(server)).await;
}

/// Kills a proxy whose conf says `state`, with tickets under way; beneath it, in every third round, the Redis it rests on.
async fn kill_again_and_again(state: &str, mut redis: Option<RedisServer>) {
    let (kills, tickets_each, holders) = figure((200, 500, 40), (6, 60, 8));
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    folder.write(scheme_ticket::KEY_FILE.0, scheme_ticket::KEY_FILE.1);
    let yaml = format!("{}\nadmin: {{ address: 127.0.0.1:0 }}\n{state}", scheme_ticket::conf(&upstream));
    let conf = folder.write("countersign.yaml", yaml);

    let begun = Instant::now();
    let mut rounds: Vec<Arc<Round>> = Vec::new();
    let (mut redis_kills, mut unused) = (0, 0);
    let mut running = Running::start(&conf).await;
    for kill in 0..kills {
        let round = Round::new(kill * tickets_each, tickets_each, holders);
        let mut killed = 1;
        if let Some(server) = redis.take_if(|_| kill % 3 == 2) {
            let mut back = None;
            let restart = async || {
                let restarted = tokio::task::spawn_blocking(move || {
                    let mut server = server;
                    server.restart();
                    server
                });
                back = Some(restarted.await.unwrap());
            };
            round.until_killed(running.address, &format!("kill {kill}, of Redis"), restart).await;
            redis = back;
            (redis_kills, killed) = (redis_kills + 1, 2);
            // Nothing of this round is spent in finding out when the store is used again.
            let probe = single_use();
            let mut line = Line::to(running.address);
            let away = Instant::now();
            while line.present(&probe, usize::MAX).await == Some(503) {
                assert!(away.elapsed() < PATIENCE, "kill {kill}: the store is not used again");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let process = &mut running;
        round
            .until_killed(process.address, &format!("kill {kill}"), async || {
                process.signal("KILL");
                process.ended(PATIENCE).await.expect("killed");
            })
            .await;
        running = Running::start(&conf).await;
        round.to_the_end(running.address, &format!("kill {kill}, started again")).await;

        // Who was burned and not honoured was under way when something was killed, and those are no more than the holders.
        let lost: Vec<_> = round.fates.lock().iter().copied().filter(|fate| fate.honoured == 0).collect();
        assert!(lost.iter().all(|fate| 0 < fate.cut + fate.outages), "kill {kill}: burned without anybody being told why: {lost:?}");
        assert!(lost.len() <= killed * holders, "kill {kill}: {} tickets are burned without an answer", lost.len());
        unused += lost.len();
        rounds.push(round);
    }

    // What was spent is spent to the end: every ticket that was ever honoured, once more.
    let mut askers = JoinSet::new();
    for asker in 0..holders {
        let (rounds, address) = (rounds.clone(), running.address);
        askers.spawn(async move {
            let mut line = Line::to(address);
            let mut asked = 0;
            for round in rounds.iter().skip(asker).step_by(holders) {
                let fates = round.fates.lock().clone();
                for (place, _) in fates.iter().enumerate().filter(|(_, fate)| 0 < fate.honoured) {
                    let number = round.first + place;
                    assert_eq!(line.present(&round.tickets[place], number).await, Some(401), "ticket {number} at the end");
                    asked += 1;
                }
            }
            asked
        });
    }
    let asked: usize = askers.join_all().await.into_iter().sum();
    let fates: Vec<Fate> = rounds.iter().flat_map(|round| round.fates.lock().clone()).collect();
    let honoured = fates.iter().filter(|fate| fate.honoured == 1).count();
    let least = fates.iter().map(|fate| fate.verdicts()).min().unwrap();
    let sum = |part: fn(&Fate) -> usize| fates.iter().map(part).sum::<usize>();
    let (cut, outages, verdicts) = (sum(|fate| fate.cut), sum(|fate| fate.outages), sum(|fate| fate.verdicts()));
    println!(
        "{kills} kills of the proxy and {redis_kills} of Redis at random points, {:?}: {} tickets, each judged {least} times at least, \
         {verdicts} verdicts in all: {honoured} honoured once, {unused} burned without an answer, none honoured twice; {cut} \
         presentations cut off, {outages} answered 503; {asked} honoured ones asked again at the end",
        begun.elapsed(),
        fates.len(),
    );
    assert_eq!((fates.len(), least), (kills * tickets_each, holders), "every holder has a verdict on every ticket");
    assert_eq!((asked, honoured + unused), (honoured, fates.len()));
    assert!(0 < cut, "the kills were felt");
    // A few of them may all have come when everybody had just been answered.
    assert!(redis.is_none() || 0 < outages || !proving(), "those of Redis as well");

    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for record in upstream.records() {
        *reached.entry(record.target().to_owned()).or_default() += 1;
    }
    reached.remove(&format!("/once/{}", usize::MAX));
    let twice: Vec<_> = reached.iter().filter(|(_, times)| 1 < **times).collect();
    assert!(twice.is_empty(), "reached the service more than once: {twice:?}");
    assert!(honoured <= reached.len(), "whoever was answered 200 was served");
}

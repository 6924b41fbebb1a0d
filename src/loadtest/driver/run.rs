//! A whole load: connections that take turns, and a tally of what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::{Clock, Stopwatch};
use crate::loadtest::driver::connection::{Connection, Marker};
use crate::loadtest::driver::pace::{self, Due, QUEUE};
use crate::loadtest::lane::{Deck, Expected, Lane, Lasting, Outcome, Shot, Supply};
use crate::loadtest::measure::tally::{Event, Tally};
use crate::loadtest::mix::Kind;
use crate::loadtest::plan::{LoadPlan, Pace};
use crate::loadtest::target::Target;

/// Everything that is sent, and where to.
pub struct Range {
    /// The proxy.
    pub target: Target,
    /// What is sent to it.
    pub lanes: Vec<Lane>,
    /// The request without a credential, for comparison.
    pub bare: Option<Shot>,
    /// How answers of the upstream are known.
    pub marker: Option<Marker>,
}

/// The machine, as far as a load needs it.
#[derive(Clone)]
pub struct Tools {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Elapsed time.
    pub stopwatch: Arc<dyn Stopwatch>,
}

/// A load that is under way.
struct Load {
    range: Arc<Range>,
    deck: Deck,
    plan: LoadPlan,
    tools: Tools,
    tally: Arc<Mutex<Tally>>,
    /// The next request of a closed load.
    next: AtomicU64,
    started: u64,
    stop: Arc<AtomicBool>,
}

/// What one request of a lane came to, before the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// How it compares with what must come of it.
    pub outcome: Outcome,
    /// The status; `None` without an answer.
    pub status: Option<u16>,
}

impl Range {
    /// Sends one request of `lane`'s `arm`, unmeasured, and says what came of it.
    ///
    /// # Errors
    ///
    /// There is no such arm, or its request could not be made.
    pub async fn prove(&self, lane: usize, arm: usize, timeout: Duration, tools: &Tools) -> Result<Proof, String> {
        let arm = self.lanes.get(lane).and_then(|lane| lane.arms.get(arm)).ok_or("there is no such arm")?;
        let drawn = arm.supply.draw(tools.clock.now())?;
        let mut connection = Connection::to(self.target.clone(), timeout);
        if !connection.ready().await {
            return Ok(Proof { outcome: Outcome::Failed, status: None });
        }
        let answer = connection.send(drawn.shot, self.marker.as_ref()).await;
        Ok(Proof {
            outcome: answer.map_or(Outcome::Failed, |answer| arm.expected.compare(answer)),
            status: answer.map(|answer| answer.status),
        })
    }
}

/// Sends `shots` to `target`, one after another and unmeasured, and returns the cookies that came of them.
pub async fn cookies(target: &Target, shots: Vec<Shot>, timeout: Duration) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for shot in shots {
        let mut connection = Connection::to(target.clone(), timeout);
        if connection.ready().await {
            found.extend(connection.cookie(shot).await);
        }
    }
    found
}

/// Sends `plan`'s load over `range`, counting into `tally`, which others may look at meanwhile.
///
/// # Errors
///
/// There is nothing to send, or a request could not be made.
pub async fn drive(range: &Arc<Range>, plan: &LoadPlan, tools: &Tools, tally: &Arc<Mutex<Tally>>) -> Result<(), String> {
    plan.check()?;
    if plan.compare
        && let Some(bare) = range.bare.as_ref().filter(|_| !plan.warmup.is_zero())
    {
        warm_up(range, bare, plan, tools).await?;
    }
    let deck = Deck::of(&range.lanes).ok_or("nothing to send: no kind of credential has any weight")?;
    let stop = Arc::new(AtomicBool::new(false));
    let load = Arc::new(Load {
        range: Arc::clone(range),
        deck,
        plan: plan.clone(),
        tools: tools.clone(),
        tally: Arc::clone(tally),
        next: AtomicU64::new(0),
        started: tools.stopwatch.nanos(),
        stop: Arc::clone(&stop),
    });
    let outcome = match plan.pace {
        Pace::Closed => load.closed().await,
        Pace::Open { rate } => load.open(rate).await,
    };
    stop.store(true, Ordering::Relaxed);
    let elapsed = Duration::from_nanos(tools.stopwatch.nanos().saturating_sub(load.started));
    tally.lock().end(elapsed);
    outcome
}

/// Requests without a credential only, which no credential's first use is spent on; nothing of it is counted.
async fn warm_up(range: &Arc<Range>, bare: &Shot, plan: &LoadPlan, tools: &Tools) -> Result<(), String> {
    /// Requests in all.
    const MOST: u64 = 1_000_000;
    let lane = Lane {
        name: Arc::from("warm-up"),
        scheme: Arc::from("none"),
        arms: vec![crate::loadtest::lane::Arm {
            kind: Kind::Absent,
            expected: Expected::Passes,
            weight: 1,
            supply: Supply::new(Box::new(Same(bare.clone())), Lasting::Once, 1),
        }],
    };
    let warming = Arc::new(Range { target: range.target.clone(), lanes: vec![lane], bare: None, marker: range.marker.clone() });
    let plan = LoadPlan { duration: plan.warmup, pace: Pace::Closed, compare: false, requests: MOST, ..plan.clone() };
    let tally = Arc::new(Mutex::new(Tally::fresh(&warming.lanes, plan.duration)?));
    Box::pin(drive(&warming, &plan, tools, &tally)).await
}

/// The same request for everyone.
struct Same(Shot);

impl crate::loadtest::lane::Maker for Same {
    fn make(&self, _: u64, _: crate::domain::Timestamp) -> Result<Shot, String> {
        Ok(self.0.clone())
    }
}

impl Load {
    /// Every connection sends as soon as it may.
    async fn closed(self: &Arc<Self>) -> Result<(), String> {
        self.on_every_connection(|load, mut connection| async move {
            let end = u64::try_from(load.plan.duration.as_nanos()).unwrap_or(u64::MAX);
            let outcome = loop {
                if load.stop.load(Ordering::Relaxed) || end <= load.tools.stopwatch.nanos().saturating_sub(load.started) {
                    break Ok(());
                }
                let number = load.next.fetch_add(1, Ordering::Relaxed);
                if load.plan.requests <= number {
                    break Ok(());
                }
                if let Err(why) = load.one(&mut connection, number, None).await {
                    break Err(why);
                }
            };
            (connection, outcome)
        })
        .await
    }

    /// Requests are sent when they are due, on whichever connection is free.
    async fn open(self: &Arc<Self>, rate: f64) -> Result<(), String> {
        let (queue, waiting) = mpsc::channel::<Due>(QUEUE);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let (plan, stopwatch, stop) = (self.plan.clone(), Arc::clone(&self.tools.stopwatch), Arc::clone(&self.stop));
        let keeper = std::thread::Builder::new()
            .name("load-pace".to_owned())
            .spawn(move || pace::keep(&plan, rate, &stopwatch, &queue, &stop))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let outcome = self
            .on_every_connection(|load, mut connection| {
                let waiting = Arc::clone(&waiting);
                async move {
                    // What is still waiting long after the end is not sent: the load is bounded, whatever the proxy does.
                    let end = u64::try_from((load.plan.duration + load.plan.timeout).as_nanos()).unwrap_or(u64::MAX);
                    let outcome = loop {
                        let Some(due) = waiting.lock().await.recv().await else { break Ok(()) };
                        if end <= load.tools.stopwatch.nanos().saturating_sub(load.started) {
                            load.tally.lock().unsent += 1;
                            continue;
                        }
                        if let Err(why) = load.one(&mut connection, due.number, Some(due.at)).await {
                            break Err(why);
                        }
                    };
                    (connection, outcome)
                }
            })
            .await;
        self.stop.store(true, Ordering::Relaxed);
        // It looks at `stop` before each request, and waits for nobody.
        let unsent = tokio::task::spawn_blocking(move || keeper.join()).await.ok().and_then(Result::ok).unwrap_or_default();
        self.tally.lock().unsent += unsent;
        outcome
    }

    async fn on_every_connection<W, F>(self: &Arc<Self>, work: W) -> Result<(), String>
    where
        W: Fn(Arc<Self>, Connection) -> F,
        F: Future<Output = (Connection, Result<(), String>)> + Send + 'static,
    {
        let mut workers = JoinSet::new();
        for _ in 0..self.plan.connections {
            workers.spawn(work(Arc::clone(self), Connection::to(self.range.target.clone(), self.plan.timeout)));
        }
        let mut outcome = Ok(());
        while let Some(done) = workers.join_next().await {
            let (connection, ended) = done.map_err(|error| format!("a connection of the load broke: {error}"))?;
            self.tally.lock().connects += connection.opened;
            if ended.is_err() {
                self.stop.store(true, Ordering::Relaxed);
                outcome = ended;
            }
        }
        outcome
    }

    /// Sends request `number`; `due` is when, in nanoseconds, unless it is now.
    async fn one(&self, connection: &mut Connection, number: u64, due: Option<u64>) -> Result<(), String> {
        let bare = self.range.bare.as_ref().filter(|_| self.plan.compare && is_bare(number));
        let turn = if self.plan.compare && self.range.bare.is_some() { number / 2 } else { number };
        let (place, expected, shot, caller, first) = match bare {
            Some(bare) => (None, Expected::Passes, bare.clone(), 0, false),
            None => {
                let place = self.deck.turn(turn).ok_or("nothing to send")?;
                let arm = self.range.lanes.get(place.0).and_then(|lane| lane.arms.get(place.1)).ok_or("there is no such arm")?;
                let drawn = arm.supply.draw(self.tools.clock.now())?;
                (Some(place), arm.expected, drawn.shot, drawn.number, drawn.first)
            }
        };
        // Opening a connection is no part of what a request costs, unless it was due meanwhile.
        let ready = connection.ready().await;
        let began = due.unwrap_or_else(|| self.tools.stopwatch.nanos());
        let answer = if ready { connection.send(shot, self.range.marker.as_ref()).await } else { None };
        let ended = self.tools.stopwatch.nanos();
        if !ready {
            // A proxy that takes no connection must not be asked again without a pause.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.tally.lock().count(&Event {
            turn: place,
            number: caller,
            first,
            outcome: answer.map_or(Outcome::Failed, |answer| expected.compare(answer)),
            expected,
            status: answer.map(|answer| answer.status),
            latency: ended.saturating_sub(began),
            at: ended.saturating_sub(self.started),
        });
        Ok(())
    }
}

/// Whether request `number` of a comparison goes without a credential: one of each pair. Which one changes in an order that has
/// no period, so that neither side always has the same neighbours on the same connection (Thue-Morse).
fn is_bare(number: u64) -> bool {
    number.count_ones() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::is_bare;

    #[test]
    fn of_each_pair_one_goes_without_a_credential() {
        let first: String = (0..16).map(|number| if is_bare(number) { '1' } else { '0' }).collect();
        assert_eq!(first, "0110100110010110");
        assert!((0..1_000).all(|pair| is_bare(2 * pair) != is_bare(2 * pair + 1)), "one of each pair, never both");
    }
}

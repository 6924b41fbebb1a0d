//! `countersign bench`: load, with every verdict checked, and what authenticating adds.

mod elsewhere;
mod here;
mod progress;
mod surroundings;
mod trouble;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::ambient::{Monotonic, WallClock};
use crate::cli::bench::here::Here;
use crate::cli::length::Length;
use crate::cli::{Done, Failure, print_json};
use crate::loadtest::budget::Budget;
use crate::loadtest::drill::{Drill, DrillOutcome};
use crate::loadtest::driver::run::{Range, Tools, drive};
use crate::loadtest::fresh::lanes::Lanes;
use crate::loadtest::fresh::upstream::LoadUpstream;
use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::tally::Tally;
use crate::loadtest::mix::{Kind, Mix};
use crate::loadtest::plan::{LoadPlan, Pace, Rate};
use crate::loadtest::report::document::Report;
use crate::loadtest::report::{html, json, text};

/// Puts a conf, or a proxy that runs, under load, and tells what authenticating adds.
///
/// Credentials of every scheme are sent, good ones and such as must be refused, and every verdict is checked. Every other request
/// goes without authentication, in the same run and on the same connections, so that the added latency is a measured difference.
/// Latency is reported for known credentials (warm) and for each one's first use (cold).
///
/// Exit code 1 when anything that must be refused got through, when anything that must pass did not, when a drill failed, or when the
/// budget is not met.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("target").required(true).args(["myself", "url"]),
    after_help = "Try it:\n  \
        countersign bench --self -c countersign.yaml --budget 'p99_added<200us,errors==0'\n  \
        countersign bench --self -c countersign.yaml --rate 5000 --duration 30s --html report.html\n  \
        countersign bench --self -c countersign.yaml --rate half --budget 'p99_ratio<2'\n  \
        countersign bench --self -c countersign.yaml --drill key-rotation --drill reload\n  \
        countersign bench --url http://127.0.0.1:8080 --credentials requests.jsonl\n  \
        countersign bench --url http://127.0.0.1:8080 -c countersign.yaml --signing-key user=issuer.pem --bare /health\n\n\
        Budgets speak of p50 p90 p99 p999 p9999 max (of known credentials; with _cold, _bare, _added, _cold_added, _ratio or\n\
        _cold_ratio of the others), of\n\
        errors let_through wrong undecided failed unsent requests, and of rate."
)]
pub struct Bench {
    /// Start the proxy from the conf, on loopback, with fresh keys in place of all of its own and a service of ours behind it.
    #[arg(long = "self", requires = "conf")]
    myself: bool,
    /// Send the load to a proxy that runs: http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", conflicts_with = "myself")]
    url: Option<Url>,
    /// The conf. With --url it says which rules and authenticators the proxy has; needed for --signing-key.
    #[arg(short, long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// With --url: requests to send, one JSON object a line; see docs/benchmarking.md.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "myself")]
    credentials: Option<PathBuf>,
    /// With --url: a private key that signs for this authenticator (or key store) of the conf; more than once for several.
    #[arg(long, value_name = "NAME=PEM", requires = "url", requires = "conf", conflicts_with = "myself", value_parser = signing_key)]
    signing_key: Vec<(String, PathBuf)>,
    /// With --url: a path that asks for no credential, for comparison. Without it the added latency is not measured.
    #[arg(long, value_name = "PATH", requires = "url", conflicts_with = "myself")]
    bare: Option<String>,
    /// With --url: a field that only answers of the service behind have, to tell them from refusals that say 200.
    #[arg(long, value_name = "NAME=VALUE", requires = "url", conflicts_with = "myself", value_parser = pair)]
    marker: Option<(String, String)>,
    /// With --url: be the service behind, at the address that the proxy forwards to. It answers at once, with a mark that tells who got
    /// through.
    #[arg(long, value_name = "ADDRESS", requires = "url", conflicts_with_all = ["myself", "marker"])]
    service: Option<SocketAddr>,
    /// With --url https://...: the certificate of its authority, or its own, as PEM.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "myself")]
    ca: Option<PathBuf>,
    /// Speak HTTP/2: by ALPN over TLS, with prior knowledge in plaintext. One request at a time on each connection.
    #[arg(long)]
    http2: bool,
    /// Put a proxy on another machine under load. Only if it is yours.
    #[arg(long, requires = "url", conflicts_with = "myself")]
    yes_remote: bool,
    /// Requests a second, whatever comes of them (open loop); `half` of what the proxy can do, which is found out first. Full speed unless
    /// written (closed loop).
    #[arg(long, value_name = "PER-SECOND|half")]
    rate: Option<Rate>,
    /// How long.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    duration: Length,
    /// Requests without a credential beforehand, unmeasured.
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    warmup: Length,
    /// Requests at most.
    #[arg(long, value_name = "COUNT", default_value_t = LoadPlan::MOST_REQUESTS)]
    requests: u64,
    /// Connections, each with one request at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    connections: usize,
    /// How long one answer may take.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: Length,
    /// How often each kind of credential is sent: good, expired, forged, replayed, absent.
    #[arg(long, value_name = "KIND=WEIGHT,...", default_value_t = Mix::default())]
    mix: Mix,
    /// Distinct good callers of each rule; the first use of each is counted as cold.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    callers: u32,
    /// Only this rule; more than once for several.
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// A claim that good tokens have besides; the value is JSON, or else text. More than once for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    claim: Vec<(String, String)>,
    /// A field that requests have besides, such as what a condition of a rule asks for. More than once for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    header: Vec<(String, String)>,
    /// Send nothing without authentication: the highest rate, and no added latency.
    #[arg(long)]
    no_compare: bool,
    /// Bytes of every answer of the service behind.
    #[arg(long, value_name = "BYTES", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    body: u32,
    /// Worker threads of the proxy. As the conf says unless written.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Threads that send the load.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    load_threads: u16,
    /// With --self: keep state on disk, as `state: { embedded: ... }` does, and not in memory.
    #[arg(long, requires = "myself")]
    disk: bool,
    /// With --self: let something go wrong under load, and see who notices; more than once for several.
    #[arg(long, value_name = "NAME", requires = "myself")]
    drill: Vec<Drill>,
    /// Conditions that must hold, such as p99_added<200us,errors==0.
    #[arg(long, value_name = "CONDITIONS")]
    budget: Option<Budget>,
    /// Write a page with plots, in one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is under load, and everything that must stay meanwhile.
struct Stage {
    range: Arc<Range>,
    left_out: Vec<(String, String)>,
    notes: Vec<String>,
    subject: String,
    conf: Vec<(String, String)>,
    /// The proxy of our own, where there is one.
    here: Option<Here>,
    /// The service behind a proxy that is not our own, where we are that.
    _service: Option<LoadUpstream>,
}

impl Bench {
    /// Sends the load and tells what came of it.
    pub(super) fn run(&self) -> Done {
        let plan = self.plan()?;
        let tools = Tools { clock: Arc::new(WallClock), stopwatch: Arc::new(Monotonic::start()) };
        let load = threads(usize::from(self.load_threads), "load")?;
        let mut stage = match &self.url {
            None => here::stage(self, &tools)?,
            Some(url) => elsewhere::stage(self, url, &load)?,
        };
        let compare = plan.compare && stage.range.bare.is_some();
        if !compare && self.budget.as_ref().is_some_and(Budget::compares) {
            return Err(Failure::new(
                "the budget speaks of requests without authentication, and none are sent: name a path for them by --bare, and leave --no-compare out",
            ));
        }
        let plan = LoadPlan { compare, ..plan };
        let report = load.block_on(self.perform(&mut stage, plan, &tools));
        // Runtimes end outside of any.
        if let Some(here) = stage.here.take() {
            here.end();
        }
        self.tell(&report?)
    }

    fn plan(&self) -> Result<LoadPlan, Failure> {
        let plan = LoadPlan {
            pace: match self.rate {
                Some(Rate::PerSecond(rate)) => Pace::Open { rate },
                Some(Rate::Half) | None => Pace::Closed,
            },
            connections: self.connections,
            duration: self.duration.seconds().duration(),
            requests: self.requests,
            warmup: self.warmup.seconds().duration(),
            timeout: self.timeout.seconds().duration(),
            compare: !self.no_compare,
        };
        plan.check().map_err(Failure::new)?;
        Ok(plan)
    }

    /// Proves every lane, sends the load, and then the drills.
    async fn perform(&self, stage: &mut Stage, plan: LoadPlan, tools: &Tools) -> Result<Report, Failure> {
        self.prove(stage, &plan, tools).await?;
        let (plan, saturation) = if self.rate == Some(Rate::Half) {
            let found = measured(&stage.range, &plan.saturating(), tools, "full speed").await?;
            prepared(&stage.range, tools)?;
            (plan.halved(found.rate()), Some(found))
        } else {
            (plan, None)
        };
        let tally = measured(&stage.range, &plan, tools, "load").await?;
        let mut drills = Vec::new();
        for drill in &self.drill {
            let Some(here) = &stage.here else { break };
            drills.push(Box::pin(trouble::drill(*drill, here, &stage.range, &plan, tools)).await?);
        }
        let budget = self.budget.as_ref().map(|budget| budget.hold(&tally)).unwrap_or_default();
        Ok(Report {
            subject: stage.subject.clone(),
            conf: stage.conf.clone(),
            machine: surroundings::machine(),
            plan,
            mix: self.mix,
            tally,
            saturation,
            notes: stage.notes.clone(),
            left_out: stage.left_out.clone(),
            drills,
            budget,
        })
    }

    /// Sends one request of each kind and lane. Good ones that do not pass take their lane out, with the reason; what must be
    /// refused and is not ends everything at once.
    async fn prove(&self, stage: &mut Stage, plan: &LoadPlan, tools: &Tools) -> Result<(), Failure> {
        let mut out = Vec::new();
        for (number, lane) in stage.range.lanes.iter().enumerate() {
            let mut why = None;
            for (arm, held) in lane.arms.iter().enumerate().filter(|(_, held)| 0 < held.weight) {
                // Enough of them to spend all that will be replayed.
                let times = if held.kind == Kind::Replayed { held.supply.callers() } else { 1 };
                held.supply.prepare(tools.clock.now()).map_err(|why| Failure::new(format!("`{}`: {why}", lane.name)))?;
                for _ in 0..times {
                    let proof = stage.range.prove(number, arm, plan.timeout, tools).await.map_err(Failure::new)?;
                    let status = proof.status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
                    let fresh = matches!(held.kind, Kind::Good | Kind::Replayed);
                    match proof.outcome {
                        // Presented for the first time here, unless whoever prepared it has done so: the next time is a replay.
                        Outcome::LetThrough | Outcome::Right if held.kind == Kind::Replayed => {}
                        Outcome::LetThrough => {
                            let told = format!("a credential that is {} got through at `{}` ({status})", held.kind.name(), lane.name);
                            return Err(Failure::new(told));
                        }
                        Outcome::Right => {}
                        _ if fresh && why.is_none() => why = Some(format!("a good credential does not pass: {status}")),
                        _ if fresh => {}
                        _ => {
                            why = why.or_else(|| Some(format!("what is {} is not refused but left undecided: {status}", held.kind.name())))
                        }
                    }
                }
            }
            if let Some(why) = why {
                out.push((number, why));
            }
        }
        if out.is_empty() {
            return Ok(());
        }
        let range = Arc::get_mut(&mut stage.range).ok_or_else(|| Failure::new("the load has begun already"))?;
        for (number, why) in out.into_iter().rev() {
            let lane = range.lanes.remove(number);
            stage.left_out.push((lane.name.to_string(), why));
        }
        self.ready(&range.lanes, &stage.left_out)
    }

    /// Whether there is anything to send, and everything that was asked for by name.
    fn ready(&self, lanes: &[crate::loadtest::lane::Lane], left_out: &[(String, String)]) -> Done {
        let reasons = || left_out.iter().map(|(rule, why)| format!("\n  {rule}: {why}")).collect::<String>();
        if lanes.is_empty() {
            return Err(Failure::new(format!("no rule can be put under load:{}", reasons())));
        }
        if !self.rule.is_empty() && !left_out.is_empty() {
            return Err(Failure::new(format!("not every rule that was asked for can be put under load:{}", reasons())));
        }
        Ok(())
    }

    /// Tells what came of it, in the forms that were asked for.
    fn tell(&self, report: &Report) -> Done {
        if let Some(path) = &self.html {
            std::fs::write(path, html::page(report))
                .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
        }
        if self.json {
            print_json(&json::json(report));
        } else {
            say!("{}", text::text(report).trim_end());
        }
        match report.failures().as_slice() {
            [] => Ok(()),
            failures => Err(Failure::new(format!("the load test FAILED:\n  {}", failures.join("\n  ")))),
        }
    }

    /// The claims that good tokens have besides.
    fn claims(&self) -> Vec<(String, Value)> {
        let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
        self.claim.iter().map(|(name, value)| (name.clone(), read(value))).collect()
    }
}

/// Gives everyone a credential that nobody has seen, but for those whose credentials were spent.
fn prepared(range: &Range, tools: &Tools) -> Result<(), Failure> {
    let arms = range.lanes.iter().flat_map(|lane| lane.arms.iter().map(move |arm| (lane, arm)));
    for (lane, arm) in arms.filter(|(_, arm)| 0 < arm.weight && arm.kind != Kind::Replayed) {
        arm.supply.prepare(tools.clock.now()).map_err(|why| Failure::new(format!("`{}`: {why}", lane.name)))?;
    }
    Ok(())
}

/// Sends `plan`'s load, and shows how far it is.
async fn measured(range: &Arc<Range>, plan: &LoadPlan, tools: &Tools, what: &'static str) -> Result<Tally, Failure> {
    let tally = Arc::new(Mutex::new(Tally::fresh(&range.lanes, plan.duration).map_err(Failure::new)?));
    let shown = progress::show(what, Arc::clone(&tally), plan);
    let outcome = drive(range, plan, tools, &tally).await;
    if let Some(shown) = shown {
        shown.end();
    }
    outcome.map_err(Failure::new)?;
    let tally = tally.lock().clone();
    Ok(tally)
}

/// A runtime of `count` threads.
fn threads(count: usize, name: &str) -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build();
    built.map_err(|error| Failure::new(format!("cannot start threads: {error}")))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn signing_key(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=PEM, the name of an authenticator and the file of a private key")?;
    Ok((name.to_owned(), path.into()))
}

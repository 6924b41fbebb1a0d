//! Drills: what goes wrong with a proxy of our own under load, and how it is mended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::assembly::machine::Machine;
use crate::cli::Failure;
use crate::cli::bench::here::Here;
use crate::cli::bench::{DrillOutcome, measured};
use crate::demo::issuer::Trouble;
use crate::loadtest::drill::{Drill, faults};
use crate::loadtest::driver::run::{Range, Tools};
use crate::loadtest::mix::Kind;
use crate::loadtest::plan::{LoadPlan, Pace};
use crate::loadtest::report::document::described;

/// How long things are well before, wrong, and well again.
const PHASE: Duration = Duration::from_secs(2);

/// Sends load while something goes wrong, and tells who noticed.
pub(super) async fn drill(drill: Drill, here: &Here, range: &Arc<Range>, plan: &LoadPlan, tools: &Tools) -> Result<DrillOutcome, Failure> {
    if drill == Drill::RefreshStorm {
        return storm(here, plan, tools).await;
    }
    let trouble = (PHASE, PHASE * 2);
    // Bounded by its time alone: one that ends before anything goes wrong shows nothing.
    let plan = LoadPlan { duration: PHASE * 4, warmup: Duration::ZERO, requests: LoadPlan::MOST_REQUESTS, ..plan.clone() };
    let asked = here.issuer.asked("/jwks");
    let meddling = async {
        tokio::time::sleep(trouble.0).await;
        let notes = begin(drill, here, range).await;
        tokio::time::sleep(trouble.1.saturating_sub(trouble.0)).await;
        mend(here);
        notes
    };
    let (tally, notes) = tokio::join!(measured(range, &plan, tools, drill.name()), meddling);
    let tally = tally?;
    let mut notes = notes?;
    let fetched = here.issuer.asked("/jwks").saturating_sub(asked);
    if matches!(drill, Drill::KeyRotation | Drill::IssuerDown | Drill::IssuerSlow) {
        notes.push(format!("the key set was asked for {fetched} times"));
    }
    let faults = faults(drill, &tally, trouble);
    Ok(DrillOutcome { name: drill.name(), shows: drill.shows(), trouble, tally, notes, faults })
}

/// Lets it go wrong; what is worth telling.
async fn begin(drill: Drill, here: &Here, range: &Arc<Range>) -> Result<Vec<String>, Failure> {
    match drill {
        Drill::KeyRotation => {
            here.issuer.rotate().map_err(|fault| Failure::new(format!("the issuer makes no keys: {fault}")))?;
            // Everyone who comes now has a token under the new key. What was spent stays spent.
            let arms = range.lanes.iter().flat_map(|lane| &lane.arms);
            arms.filter(|arm| arm.kind != Kind::Replayed).for_each(|arm| arm.supply.renew());
            Ok(vec!["everyone came back with a token under the new key".to_owned()])
        }
        Drill::IssuerSlow => {
            here.issuer.trouble(Trouble::Slow(Duration::from_secs(1)));
            Ok(Vec::new())
        }
        Drill::IssuerDown => {
            here.issuer.trouble(Trouble::Down);
            Ok(Vec::new())
        }
        Drill::StoreDown => {
            here.store.be_down(true);
            Ok(Vec::new())
        }
        Drill::Reload => reload(here).await,
        // It is a load of its own.
        Drill::RefreshStorm => Ok(Vec::new()),
    }
}

fn mend(here: &Here) {
    here.issuer.trouble(Trouble::None);
    here.store.be_down(false);
}

/// Puts the conf in force again, several times in a row.
async fn reload(here: &Here) -> Result<Vec<String>, Failure> {
    const TIMES: usize = 5;
    for _ in 0..TIMES {
        let (process, conf) = (Arc::clone(&here.process), here.conf.clone());
        let runtime = here.proxy.handle().clone();
        let reloading = tokio::task::spawn_blocking(move || runtime.block_on(process.reload(&conf, &Machine)));
        let reloaded = reloading.await;
        let reloaded = reloaded.map_err(|error| Failure::new(format!("a reload broke: {error}")))?;
        reloaded.map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Failure::new(format!("the conf was not put in force again:\n{}", faults.join("\n")))
        })?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(vec![format!("the conf was put in force {TIMES} times")])
}

/// Everyone's token runs out at once: every request brings one that has, and what buys another.
async fn storm(here: &Here, plan: &LoadPlan, tools: &Tools) -> Result<DrillOutcome, Failure> {
    let drill = Drill::RefreshStorm;
    let (range, pairs) = &here.storm;
    if range.lanes.is_empty() {
        let says = "no rule renews the tokens of a `jwt` authenticator by an `oauth2` renewer with refresh tokens that clients bring";
        return Err(Failure::new(format!("drill {}: {says}", drill.name())));
    }
    let plan = LoadPlan {
        duration: PHASE * 2,
        warmup: Duration::ZERO,
        requests: LoadPlan::MOST_REQUESTS,
        compare: false,
        pace: Pace::Closed,
        ..plan.clone()
    };
    let (asked, before) = (here.issuer.asked("/token"), pairs.load(Ordering::Relaxed));
    let tally = measured(range, &plan, tools, drill.name()).await?;
    let exchanges = here.issuer.asked("/token").saturating_sub(asked);
    let spent = pairs.load(Ordering::Relaxed).saturating_sub(before);
    let counts = tally.counts();
    let mut faults = Vec::new();
    if counts.errors() != 0 || counts.all() == 0 {
        let first = tally.offenders.first().map(described).unwrap_or_default();
        faults.push(format!("{} of {} requests did not pass; the first: {first}", counts.errors(), counts.all()));
    }
    if spent < u64::try_from(exchanges).unwrap_or(u64::MAX) {
        faults.push(format!("{exchanges} exchanges for {spent} refresh tokens: some were spent more than once"));
    }
    let notes = vec![format!("{} requests brought {spent} refresh tokens, which were spent in {exchanges} exchanges", counts.all())];
    let trouble = (Duration::ZERO, plan.duration);
    Ok(DrillOutcome { name: drill.name(), shows: drill.shows(), trouble, tally, notes, faults })
}

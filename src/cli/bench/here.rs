//! A proxy of our own under load: the conf that was given, with fresh keys, in a runtime of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::ambient;
use crate::assembly::crew::Crew;
use crate::assembly::machine::Machine;
use crate::assembly::process::Process;
use crate::assembly::{live, service};
use crate::cli::Failure;
use crate::cli::bench::{Bench, Lanes, Stage, threads};
use crate::config::document::Document;
use crate::config::load::Sources;
use crate::demo::issuer::DemoIssuer;
use crate::demo::tour::late::LateClock;
use crate::domain::{Clock, Silent};
use crate::loadtest::driver::run::{Range, Tools, cookies};
use crate::loadtest::fresh::farm::{Farm, Hosts};
use crate::loadtest::fresh::inquiries::Inquiries;
use crate::loadtest::fresh::keyring::Holder;
use crate::loadtest::fresh::lanes::{Means, bare, openings};
use crate::loadtest::fresh::rewrite::rewritten;
use crate::loadtest::fresh::sections::{Fresh, Grounds, freshened};
use crate::loadtest::fresh::sessions::kept;
use crate::loadtest::fresh::store::DrillStore;
use crate::loadtest::fresh::storm::Storm;
use crate::loadtest::fresh::upstream::LoadUpstream;
use crate::loadtest::fresh::vault::Vault;
use crate::loadtest::target::Target;
use crate::state::contract::{StateStore, StoreTools};

/// A proxy of our own and everything around it; all of it ends with it.
pub(super) struct Here {
    /// Serves.
    pub(super) process: Arc<Process>,
    /// Where it lives, and who serves.
    pub(super) proxy: Runtime,
    crew: Crew,
    /// Where service and issuer are.
    beside: Runtime,
    /// Who answers for every issuer.
    pub(super) issuer: Arc<DemoIssuer>,
    /// Who is asked about ids and tokens.
    inquiries: Inquiries,
    /// Issuers under names of their own.
    farm: Option<Farm>,
    /// What the proxy remembers.
    pub(super) store: Arc<DrillStore>,
    /// The conf in force.
    pub(super) conf: PathBuf,
    /// What a storm of renewals sends, and how many credentials it has spent.
    pub(super) storm: (Arc<Range>, Arc<AtomicU64>),
    upstream: LoadUpstream,
    folder: Folder,
}

/// A folder with keys in it, removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("countersign: {} could not be removed: {error}", self.0.display());
        }
    }
}

impl Here {
    /// Ends it, without waiting for anybody: nobody but us was served.
    pub(super) fn end(self) {
        self.proxy.shutdown_background();
        drop(self.process);
        drop(self.crew);
        drop(self.upstream);
        drop(self.issuer);
        drop(self.inquiries);
        drop(self.farm);
        self.beside.shutdown_background();
        drop(self.folder);
    }
}

/// Sessions that are opened beforehand, of each kind.
const SESSIONS: u64 = 50;

/// Starts everything.
pub(super) fn stage(bench: &Bench, tools: &Tools) -> Result<Stage, Failure> {
    let written = bench.conf.as_deref().ok_or_else(|| Failure::new("no conf"))?;
    let cannot = |what: &'static str| move |error: io::Error| Failure::new(format!("cannot {what}: {error}"));
    let machine = service::tools().map_err(Failure::new)?;
    let beside = threads(1, "beside")?;
    let bytes = usize::try_from(bench.body).unwrap_or_default();
    let upstream = beside.block_on(LoadUpstream::start(loopback(), bytes, &*machine.random)).map_err(cannot("start the service"))?;
    let issuer = Arc::new(beside.block_on(DemoIssuer::start(loopback())).map_err(cannot("start the issuer"))?);
    let folder = Folder(ambient::fresh_folder("countersign-bench").map_err(cannot("make a folder"))?);

    let mut vault = Vault::new(&folder.0, Arc::clone(&machine.random));
    let origin = upstream.origin();
    let root = read(written)?;
    let base = std::path::absolute(written).map_err(cannot("tell where the conf is"))?;
    let base = base.parent().unwrap_or(Path::new("/"));
    let conf = rewritten(&root.root, base, &origin, &mut vault).map_err(Failure::new)?;
    let now = tools.clock.now();
    let workers = bench.threads.map(usize::from);
    let inquiries = beside.block_on(Inquiries::start(loopback())).map_err(cannot("start who is asked"))?;
    let hosts = Some(Hosts::of(&conf)).filter(|hosts| !hosts.is_empty());
    let farm = hosts.map(|hosts| beside.block_on(Farm::start(hosts, loopback(), Arc::clone(&tools.clock)))).transpose();
    let farm = farm.map_err(|why| Failure::new(format!("cannot start the issuers that serve their own keys: {why}")))?;
    let mut grounds = Grounds {
        upstream: &origin,
        issuer: &issuer,
        inquiries: &inquiries,
        farm: farm.as_ref(),
        vault: &mut vault,
        now,
        disk: bench.disk,
        threads: workers,
    };
    let Fresh { conf, door, keyring, scopes, mut notes } = freshened(conf, &mut grounds).map_err(Failure::new)?;
    let path = folder.0.join("countersign.json");
    std::fs::write(&path, format!("{conf:#}")).map_err(cannot("write the conf"))?;

    let plan = live::read(&path, &Machine).map_err(|faults| {
        let faults: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
        let advice = format!("`countersign check -c {}` may say more", written.display());
        Failure::new(format!("the conf, with keys made for the test, is at fault; {advice}:\n{}", faults.join("\n")))
    })?;
    if plan.limits.connections_per_address < bench.connections {
        let most = plan.limits.connections_per_address;
        return Err(Failure::new(format!("the conf takes {most} connections from one address; --connections says {}", bench.connections)));
    }
    let workers = service::threads(&plan);
    let (proxy, crew) = (service::house().map_err(Failure::new)?, Crew::start(workers).map_err(Failure::new)?);
    let store = if bench.disk {
        // Like one that was made an hour ago: what was made before a store was is refused, since it may have been spent.
        let clock = Arc::new(LateClock::new(Arc::clone(&machine.clock), DrillStore::AGE));
        let tools =
            StoreTools { clock: Arc::clone(&clock) as Arc<dyn Clock>, random: Arc::clone(&machine.random), observer: Arc::new(Silent) };
        let opened = beside.block_on(plan.state.open(&tools)).map_err(Failure::new)?;
        clock.catch_up();
        Arc::new(DrillStore::before(opened))
    } else {
        Arc::new(DrillStore::new(now))
    };
    let state = Arc::clone(&store) as Arc<dyn StateStore>;
    let random = Arc::clone(&machine.random);
    let clock = Arc::clone(&machine.clock);
    // Records are written as they would be, and then thrown away.
    let audit: Box<dyn io::Write + Send> = Box::new(io::sink());
    let process = proxy.block_on(Process::start_over(state, &plan, machine, Some(audit), &crew.workers())).map_err(Failure::new)?;
    let address = *process.addresses().first().ok_or_else(|| Failure::new("the proxy listens nowhere"))?;
    proxy.block_on(async {
        let ready = async {
            while !process.live().waiting_for(clock.now()).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Rules that lack keys show in the proof of each lane.
        let _ = tokio::time::timeout(Duration::from_secs(10), ready).await;
    });

    if bench.http2 && !door.http2 {
        return Err(Failure::new("the first listener of the conf says `h2: false`; leave --http2 out"));
    }
    let target = Target::at(address).speaking(bench.http2, door.ca.as_deref()).map_err(Failure::new)?;
    let protocol = ("protocol".to_owned(), target.protocol());
    let mut means = Means {
        keyring,
        issuer: Some(Arc::clone(&issuer)),
        scopes,
        claims: bench.claims(),
        callers: usize::try_from(bench.callers).unwrap_or(1),
        mix: bench.mix,
        authority: target.authority.clone(),
        headers: bench.header.clone(),
        random,
    };
    let (count, now) = (SESSIONS.min(u64::from(bench.callers)), tools.clock.now());
    let opened = openings(&conf, &means, count, now).into_iter();
    let opened = opened.map(|(session, shots)| (session, beside.block_on(cookies(&target, shots, bench.timeout.seconds().duration()))));
    let kept = beside.block_on(kept(&conf, &means, opened.collect(), &*store, (count, now))).map_err(Failure::new)?;
    for (session, cookies) in kept.cookies {
        means.keyring.hold(&session, Holder::Sessions(Arc::new(cookies)));
    }
    notes.extend(kept.notes);
    let Lanes { lanes, left_out } = Lanes::of(&conf, &means, &bench.rule);
    bench.ready(&lanes, &left_out)?;
    let bare = Some(bare(None, &target.authority).map_err(Failure::new)?);
    let Storm { lanes: stormy, pairs } = Storm::over(&conf, &means);
    let marker = Some(upstream.marker().clone());
    let storm = (Arc::new(Range { target: target.clone(), lanes: stormy, bare: None, marker: marker.clone() }), pairs);
    let range = Arc::new(Range { target, lanes, bare, marker });
    Ok(Stage {
        range,
        left_out,
        notes,
        subject: format!("{}, with fresh keys, on loopback, {workers} worker threads", written.display()),
        conf: described(&conf, written).into_iter().chain([protocol]).collect(),
        _service: None,
        here: Some(Here {
            process: Arc::new(process),
            proxy,
            crew,
            beside,
            issuer,
            inquiries,
            farm,
            store,
            conf: path,
            storm,
            upstream,
            folder,
        }),
    })
}

/// The conf as written. What it refers to is not read.
pub(super) fn read(path: &Path) -> Result<Document, Failure> {
    let bytes = Machine.file(path).map_err(|why| Failure::new(format!("cannot read `{}`: {why}", path.display())))?;
    let document = Document::read(&path.display().to_string(), &bytes).map_err(|faults| {
        let faults: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
        Failure::new(faults.join("\n"))
    })?;
    Ok(document)
}

/// What the report says of a conf.
pub(super) fn described(conf: &Value, path: &Path) -> Vec<(String, String)> {
    let names = |key: &str| conf.get(key).and_then(Value::as_object).map(|all| all.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let rules = conf.get("rules").and_then(Value::as_array).map_or(0, Vec::len);
    vec![
        ("conf".to_owned(), path.display().to_string()),
        ("rules".to_owned(), rules.to_string()),
        ("ways".to_owned(), names("authenticators").join(" ")),
        ("keys".to_owned(), names("keys").join(" ")),
    ]
}

fn loopback() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

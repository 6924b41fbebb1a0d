//! `countersign run`: serve.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;

use crate::ambient::WallClock;
use crate::assembly::machine::Machine;
use crate::assembly::{live, service};
use crate::cli::{Done, Failure};
use crate::edge::framework;
use crate::telemetry::logs::{self, Form};
use crate::telemetry::sink;

/// Serves a conf until it is told to end.
///
/// Audit records go to standard output, one JSON line a request; everything else to standard error. SIGHUP reads the conf
/// again and puts it in force whole, or changes nothing. SIGTERM and SIGINT let requests in flight finish; a second one ends
/// at once.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The conf.
    #[arg(short, long, value_name = "FILE")]
    conf: PathBuf,
    /// How much to log on standard error.
    #[arg(long, value_enum, default_value_t = Level::Info)]
    log: Level,
    /// Log one JSON document a line.
    #[arg(long)]
    json: bool,
}

/// How much to log. There is no level that shows what a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// What needs somebody now.
    Error,
    /// And what needs somebody soon.
    Warn,
    /// And what happens to the process.
    Info,
    /// And what happens to connections and key sets.
    Debug,
}

impl Run {
    /// Serves; returns when it has drained.
    pub(super) fn run(&self) -> Done {
        let level = match self.log {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        let form = if self.json { Form::Json } else { Form::Text };
        let sink = sink::standard_error().map_err(|error| Failure::new(format!("cannot log to standard error: {error}")))?;
        // Held to the end: what was logged last is written when it goes.
        let log = logs::install(level, form, framework::LOG, Arc::new(WallClock), sink).map_err(|fault| Failure::new(fault.to_string()))?;
        let plan = live::read(&self.conf, &Machine).map_err(|faults| {
            for fault in faults.sorted() {
                eprintln!("{fault}");
            }
            Failure::new(format!("{}: {} to mend; nothing was started", self.conf.display(), faults.errors()))
        })?;
        service::run(&self.conf, &plan, &log).map_err(Failure::new)
    }
}

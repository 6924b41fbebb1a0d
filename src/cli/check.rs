//! `countersign check`: every fault of a conf at once.
//!
//! The same code reads and proves the conf here and in `run`, so the two cannot disagree.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::assembly::live;
use crate::assembly::machine::Machine;
use crate::assembly::store;
use crate::cli::{Done, Failure, print_json};
use crate::config::plan::Plan;
use crate::settings::{Fault, Level, Span};

/// Reads a conf and everything it refers to, and says every fault at once, with file, line and column.
///
/// Exit code 0 when it would be served, 1 when it would not. Warnings do not fail it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Each fault is one line: FILE:LINE:COLUMN: error: what is wrong, and what would be right.")]
pub struct Check {
    /// The conf.
    #[arg(short, long, value_name = "FILE")]
    conf: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Prints the faults.
    pub(super) fn run(&self) -> Done {
        let outcome = live::read(&self.conf, &Machine);
        let faults = match &outcome {
            Ok(plan) => plan.warnings.iter().cloned().chain(misplaced(plan)).collect(),
            Err(faults) => faults.sorted(),
        };
        let errors = faults.iter().filter(|fault| fault.level == Level::Error).count();
        if self.json {
            print_json(
                &json!({ "conf": self.conf.display().to_string(), "sound": outcome.is_ok(), "faults": faults.iter().map(shown).collect::<Vec<_>>() }),
            );
        } else {
            for fault in &faults {
                say!("{fault}");
            }
            if let Ok(plan) = &outcome {
                say!("{}: sound: {}", self.conf.display(), summary(plan));
            }
        }
        match outcome {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::new(format!("{}: {errors} to mend", self.conf.display()))),
        }
    }
}

/// Where this machine would not let the conf keep what must be remembered. A warning: it may be meant for another machine.
fn misplaced(plan: &Plan) -> Option<Fault> {
    let span = Span { file: plan.origin.display().to_string().into(), line: 1, column: 1 };
    store::obstacle(plan).map(|says| Fault { level: Level::Warning, span, says })
}

fn shown(fault: &Fault) -> Value {
    let level = match fault.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    json!({ "level": level, "file": &*fault.span.file, "line": fault.span.line, "column": fault.span.column, "says": fault.says })
}

fn summary(plan: &Plan) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    [
        counted(plan.listeners.len(), "listener"),
        counted(plan.upstreams.len(), "upstream"),
        counted(plan.keys.len(), "key store"),
        counted(plan.authenticators.len(), "authenticator"),
        counted(plan.rules.len(), "rule"),
    ]
    .join(", ")
}

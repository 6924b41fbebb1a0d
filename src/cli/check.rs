//! `countersign check`: every fault of a conf at once.
//!
//! The same code reads and proves the conf here and in `run`, so the two cannot disagree.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::assembly::live;
use crate::assembly::machine::Machine;
use crate::cli::{Done, Failure, print_json};
use crate::settings::{Fault, Level};

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
            Ok(plan) => plan.warnings.clone(),
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

fn shown(fault: &Fault) -> Value {
    let level = match fault.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    json!({ "level": level, "file": &*fault.span.file, "line": fault.span.line, "column": fault.span.column, "says": fault.says })
}

fn summary(plan: &crate::config::plan::Plan) -> String {
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

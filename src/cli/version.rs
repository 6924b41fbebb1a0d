//! `countersign version`: which version this is.

use serde_json::json;

use crate::cli::{Done, print_json};

/// Says which version this is.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Version {
    /// Prints it.
    pub(super) fn run(&self) -> Done {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            print_json(&json!({ "name": "countersign", "version": version, "proxy": "pingora 0.9.1" }));
        } else {
            say!("countersign {version} (pingora 0.9.1)");
        }
        Ok(())
    }
}

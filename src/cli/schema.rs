//! `countersign schema`: the JSON Schema of a conf, for editors.

use crate::cli::{Done, print_json};
use crate::config::schema::schema;

/// Prints the JSON Schema of a conf, for editors.
///
/// With the YAML language server, the first line of a conf may be `# yaml-language-server: $schema=countersign.schema.json`.
#[derive(Debug, clap::Args)]
pub struct Schema {}

impl Schema {
    /// Prints it.
    pub(super) fn run(&self) -> Done {
        print_json(&schema());
        Ok(())
    }
}

//! `countersign keys`: keys that sign, secrets that nobody guesses, and the digests that key files hold.

mod generate;
mod hash;

use clap::Subcommand;

use crate::cli::Done;

/// Makes keys, and digests of secrets for key files.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    Generate(generate::Generate),
    Hash(hash::Hash),
}

impl Keys {
    /// Does what was asked.
    pub(super) fn run(&self) -> Done {
        match self {
            Self::Generate(generate) => generate.run(),
            Self::Hash(hash) => hash.run(),
        }
    }
}

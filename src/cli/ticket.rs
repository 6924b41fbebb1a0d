//! `countersign ticket`: what a ticket says.

mod inspect;

use clap::Subcommand;

use crate::cli::Done;

/// Looks at tickets.
#[derive(Debug, Subcommand)]
pub(crate) enum Ticket {
    Inspect(inspect::Inspect),
}

impl Ticket {
    /// Does it.
    pub(super) fn run(&self) -> Done {
        match self {
            Self::Inspect(inspect) => inspect.run(),
        }
    }
}

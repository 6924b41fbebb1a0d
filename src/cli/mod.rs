//! The commands, one file per verb.
//!
//! Each verb turns its arguments into one call and its result into text or JSON. Exit codes: 0 fine, 1 the conf or the
//! answer is bad, 2 usage.
//!
//! Never here: a decision that a request depends on.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the room that talks to a terminal")]

/// Prints a line on standard output. Whoever reads may stop reading (`| head`); that ends the printing and is no fault.
macro_rules! say {
    ($($text:tt)*) => {
        crate::cli::say(format_args!($($text)*))
    };
}

pub mod bench;
pub mod check;
pub mod demo;
pub mod health;
pub mod keys;
pub mod length;
pub mod mint;
pub mod revoke;
pub mod run;
pub mod schema;
pub mod secret_source;
pub mod ticket;
pub mod version;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An authenticating reverse proxy.
///
/// It proves who is calling from the credential the caller already carries, and forwards the request with that identity
/// and without the credential.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    max_term_width = 100,
    after_help = "Start here:\n  \
        countersign demo --once                       see every scheme and system accept, refuse and renew\n  \
        countersign check -c countersign.yaml         every fault of a conf at once, with line and column\n  \
        countersign run -c countersign.yaml           serve; SIGHUP reloads, SIGTERM drains\n\n\
        Exit codes: 0 fine, 1 the conf or the answer is bad, 2 usage."
)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

// What each is for stands at its own arguments; a comment here would hide it from `--help`.
#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Check(check::Check),
    Demo(demo::Demo),
    Bench(Box<bench::Bench>),
    #[command(subcommand)]
    Mint(mint::Mint),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Ticket(ticket::Ticket),
    Health(health::Health),
    Revoke(revoke::Revoke),
    Schema(schema::Schema),
    Version(version::Version),
}

/// Why a command did not do what it was asked, in a sentence for whoever typed it.
///
/// Exit code 1. What is wrong with the arguments themselves is clap's to say, with exit code 2.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says `why`.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a verb returns.
pub type Done = Result<(), Failure>;

/// Does what the arguments say.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.verb {
        Verb::Run(run) => run.run(),
        Verb::Check(check) => check.run(),
        Verb::Demo(demo) => demo.run(),
        Verb::Bench(bench) => bench.run(),
        Verb::Mint(mint) => mint.run(),
        Verb::Keys(keys) => keys.run(),
        Verb::Ticket(ticket) => ticket.run(),
        Verb::Health(health) => health.run(),
        Verb::Revoke(revoke) => revoke.run(),
        Verb::Schema(schema) => schema.run(),
        Verb::Version(version) => version.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("countersign: {failure}");
            ExitCode::from(1)
        }
    }
}

/// What the macro `say` does.
fn say(text: fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell when standard output is gone.
    let _ = writeln!(out, "{text}");
}

/// Prints `value` as JSON on standard output.
fn print_json(value: &serde_json::Value) {
    say!("{value:#}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_arguments_contradict_themselves_nowhere_and_every_one_is_explained() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        let mut open = vec![command];
        while let Some(command) = open.pop() {
            assert!(command.get_about().is_some(), "`{}` does not say what it is for", command.get_name());
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help" && argument.get_id() != "version") {
                assert!(argument.get_help().is_some(), "`{} {}` is not explained", command.get_name(), argument.get_id());
            }
            open.extend(command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned());
        }
    }
}

//! The process: allocator, TLS provider, arguments, exit code. Nothing else.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two TLS providers end up in the tree; without a default some clients panic at their first connection.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    countersign::cli::run(countersign::cli::Arguments::parse())
}

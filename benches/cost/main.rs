//! What a request costs: instructions for CI, and what scripts that measure processor time need beside the proxy itself. One binary, so that
//! one link serves all.
//!
//! `scripts/instructions` runs `rows-prepare FOLDER`, then `rows FOLDER` under callgrind. `scripts/bench-overhead` runs
//! `upstream ADDRESS` (answers every request with the same few bytes, or with as many as its path says) and `pingora ADDRESS UPSTREAM` (the
//! least proxy that Pingora can be) beside `countersign run`, after `load-prepare FOLDER LISTENER UPSTREAM` has written the conf and
//! `load-requests FOLDER` the requests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench that cannot be set up has nothing to say"
)]

use std::path::Path;

use crate::stage::Folder;

mod bare;
mod instructions;
mod load;
mod minimal_pingora;
#[path = "../stage/mod.rs"]
mod stage;
mod upstream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Two TLS providers are in the tree; the first choice holds.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["rows-prepare", folder] => instructions::prepare(Path::new(folder)),
        ["rows", folder] => instructions::count(Path::new(folder)),
        ["upstream", address] => upstream::serve(address),
        ["pingora", address, upstream] => minimal_pingora::serve(address, upstream),
        ["load-prepare", folder, listener, upstream] => {
            let folder = Folder::at(Path::new(folder));
            folder.conf("countersign.yaml", listener, upstream, "partners.jsonl", 0);
            folder.hold_replies("countersign.yaml");
        }
        ["memory-prepare", folder, listener, upstream, keys, tokens] => {
            load::prepare_memory(Path::new(folder), listener, upstream, keys.parse().unwrap(), tokens.parse().unwrap());
        }
        ["load-requests", folder] => load::write_requests(Path::new(folder)),
        ["bare", milliseconds] => bare::measure(milliseconds.parse().unwrap()),
        _ => println!("run by scripts/instructions and scripts/bench-overhead"),
    }
}

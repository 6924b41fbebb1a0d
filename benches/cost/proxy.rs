//! Countersign as `countersign run` starts it, on so many threads, with audit records or without.

use std::path::Path;

use countersign::assembly::crew::Crew;
use countersign::assembly::process::Process;
use countersign::assembly::service;
use countersign::telemetry::sink;

use crate::stage::Folder;

/// Whether audit records are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// To standard output, as in production.
    Written,
    /// Not at all, to tell what they cost.
    Off,
}

/// Serves the conf until it is killed.
pub fn serve(conf: &Path, audit: Audit, threads: usize) {
    let plan = Folder::plan(conf);
    let crew = Crew::start(threads).unwrap();
    service::house().unwrap().block_on(async {
        let sink = (audit == Audit::Written).then(|| sink::standard_output().unwrap());
        let sink = sink.map(|sink| Box::new(sink) as Box<dyn std::io::Write + Send>);
        let process = Process::start(&plan, service::tools().unwrap(), sink, &crew.workers()).await.unwrap();
        std::future::pending::<()>().await;
        drop(process);
    });
}

//! The machine a load test ran on, as far as its figures depend on it.

use std::path::Path;

use crate::ambient;

/// What the machine is: a name and a value each.
pub(super) fn machine() -> Vec<(String, String)> {
    let read = |path: &str| ambient::read_file(Path::new(path), 1 << 20).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?.to_owned();
        line.split_once(':').map(|(_, model)| model.trim().to_owned())
    });
    let kernel: Vec<String> = ["ostype", "osrelease"]
        .iter()
        .filter_map(|name| read(&format!("/proc/sys/kernel/{name}")))
        .map(|text| text.trim().to_owned())
        .collect();
    let build = if cfg!(debug_assertions) { "debug: figures of this build mean nothing" } else { "release" };
    let mut told = vec![("cpus".to_owned(), processors.to_string())];
    told.extend(model.map(|model| ("cpu".to_owned(), model)));
    told.push(("system".to_owned(), kernel.join(" ")));
    told.push(("build".to_owned(), format!("countersign {} ({build})", env!("CARGO_PKG_VERSION"))));
    told
}

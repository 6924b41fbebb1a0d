//! The conf from outside: faults and their places, the files under `conf/`, the schema, the reference page.

mod authenticators;
mod faults;
mod files;
mod held;
mod renewers;
mod robust;
mod schema;
mod services;
mod stage;
mod tables;

use countersign::config::Plan;

/// The plan of the conf `text`, which refers to `files`.
pub fn plan_of(text: &str, files: &[(&str, &[u8])]) -> Plan {
    let stage = files.iter().fold(stage::Stage::new(text), |stage, (path, content)| stage.file(path, content));
    stage.plan().unwrap_or_else(|faults| panic!("{:#?}", faults.sorted()))
}

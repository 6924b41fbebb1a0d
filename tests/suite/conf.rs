//! The conf from outside: faults and their places, the files under `conf/`, the schema, the reference page.

mod authenticators;
mod faults;
mod files;
mod robust;
mod schema;
mod services;
mod stage;
mod tables;

//! The machine as a conf may look at it: files and variables, through the one door.

use std::path::Path;

use crate::ambient;
use crate::config::load::Sources;
use crate::domain::Secret;

/// The machine this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

/// Larger than any conf or key file we can use: a million server keys are about 250 MB.
pub(super) const MAX_FILE: u64 = 1 << 30;

impl Sources for Machine {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        ambient::read_file(path, MAX_FILE)
    }

    fn variable(&self, name: &str) -> Option<Secret> {
        ambient::variable(name)
    }

    fn exposed(&self, path: &Path) -> bool {
        ambient::readable_by_others(path)
    }
}

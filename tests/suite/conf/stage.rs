//! A conf put on stage: text, files and variables in memory, nothing from the machine.

use std::collections::BTreeMap;
use std::path::Path;

use countersign::config::{Plan, Sources, check, load};
use countersign::domain::Secret;
use countersign::settings::Faults;

/// Files and variables as a conf would find them.
#[derive(Debug, Default, Clone)]
pub struct Stage {
    files: BTreeMap<String, Vec<u8>>,
    variables: BTreeMap<String, String>,
    exposed: bool,
}

/// The name under which the conf itself stands on stage.
pub const CONF: &str = "c.yaml";

impl Stage {
    /// A stage with nothing but the conf `text`.
    pub fn new(text: &str) -> Self {
        Self::default().file(CONF, text.as_bytes())
    }

    /// With a file; its path as the conf writes it.
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        self.files.insert(path.to_owned(), content.to_vec());
        self
    }

    /// With a variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a conf that all users of the machine may read.
    pub fn exposed(mut self) -> Self {
        self.exposed = true;
        self
    }

    /// Loads and checks the conf, the way the program does.
    pub fn plan(&self) -> Result<Plan, Faults> {
        let (document, material) = load(Path::new(CONF), self)?;
        check(&document, &material)
    }

    /// Everything that is said about the conf, warnings among it, one `line:column: level: words` each.
    pub fn told(&self) -> Vec<String> {
        let faults = match self.plan() {
            Ok(plan) => plan.warnings,
            Err(faults) => faults.sorted(),
        };
        faults.iter().map(|fault| fault.to_string().trim_start_matches("c.yaml:").to_owned()).collect()
    }
}

impl Sources for Stage {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        let found = self.files.get(&*path.to_string_lossy());
        found.cloned().ok_or_else(|| "No such file".to_owned())
    }

    fn variable(&self, name: &str) -> Option<Secret> {
        self.variables.get(name).map(|value| Secret::new(value.clone().into_bytes()))
    }

    fn exposed(&self, _path: &Path) -> bool {
        self.exposed
    }
}

//! Secrets and files made for one load test, in a folder of its own.
//!
//! What the conf wrote once is made once: two places that refer to one secret still share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::domain::Random;
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;

/// What a fresh secret must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text of base64 that decodes to 64 bytes: long enough for every key, and a partner secret as Gigya shows them.
    Text,
    /// A private key in PEM.
    Pem(Algorithm),
}

/// Secrets and files made for one load test.
pub struct Vault {
    folder: PathBuf,
    random: Arc<dyn Random>,
    /// Files by what the conf wrote.
    made: BTreeMap<String, String>,
    /// Contents by file.
    contents: BTreeMap<String, String>,
}

impl Vault {
    /// An empty one that writes into `folder`, which is its own.
    #[must_use]
    pub fn new(folder: &Path, random: Arc<dyn Random>) -> Self {
        Self { folder: folder.to_owned(), random, made: BTreeMap::new(), contents: BTreeMap::new() }
    }

    /// A fresh secret in place of `written`, as a reference; the same for the same place.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or the crypto library makes no key.
    pub fn secret(&mut self, written: &str, form: Form) -> Result<Value, String> {
        let name = match self.made.get(written) {
            Some(name) => name.clone(),
            None => {
                let content = match form {
                    Form::Text => self.text(),
                    Form::Pem(algorithm) => private_pem(algorithm)?,
                };
                let name = self.file("secret", &content)?;
                self.made.insert(written.to_owned(), name.clone());
                name
            }
        };
        Ok(json!({ "file": name }))
    }

    /// What the file of `reference`, as [`Self::secret`] gave it, holds.
    #[must_use]
    pub fn content(&self, reference: &Value) -> Option<&str> {
        let name = reference.get("file").and_then(Value::as_str)?;
        self.contents.get(name).map(String::as_str)
    }

    /// Writes a file called after `what`, and returns its name, relative to the conf.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn file(&mut self, what: &str, content: &str) -> Result<String, String> {
        let name = format!("{what}-{}", self.contents.len());
        std::fs::write(self.folder.join(&name), content).map_err(|error| format!("cannot write `{name}`: {error}"))?;
        self.contents.insert(name.clone(), content.to_owned());
        Ok(name)
    }

    /// Fresh text of base64.
    #[must_use]
    pub fn text(&self) -> String {
        let mut bytes = [0; 64];
        self.random.fill(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// Where randomness comes from.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }
}

fn private_pem(algorithm: Algorithm) -> Result<String, String> {
    let key = SigningKey::generate(algorithm).map_err(|fault| fault.to_string())?;
    let pem = key.private_pem().ok_or("a symmetric key has no PEM form")?;
    String::from_utf8(pem.expose().to_vec()).map_err(|_| "PEM is text".to_owned())
}

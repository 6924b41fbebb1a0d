//! `keys hash`: the line of a key file that lets somebody in.
//!
//! The secret comes from a variable, a file or standard input and goes nowhere; its digest is what is written.

use serde_json::{Map, Value, json};

use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure};
use crate::verify::keys::digest::{LEAST_PEPPER, Pepper, digest_text};
use crate::verify::keys::record::parse_record;

/// Prints the line of a server-key file that knows an id and its secret, as a keyed digest.
///
/// The secret is read and goes nowhere; what is printed is of no use without the pepper.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Append it to the file:\n  countersign keys hash --id shop --secret env:SECRET --pepper env:PEPPER >> partners.jsonl"
)]
pub struct Hash {
    /// The id.
    #[arg(long)]
    id: String,
    /// Where the secret is; a second one for the time of a rotation.
    #[arg(long, value_name = FORM, required = true)]
    secret: Vec<SecretSource>,
    /// Where the pepper is that the conf names for this file.
    #[arg(long, value_name = FORM)]
    pepper: SecretSource,
    /// What its holder may do; more than once for several.
    #[arg(long)]
    scope: Vec<String>,
    /// Not good from this moment on (RFC 3339): 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

impl Hash {
    pub(super) fn run(&self) -> Done {
        let pepper =
            Pepper::new(&self.pepper.read()?).ok_or_else(|| Failure::new(format!("a pepper has at least {LEAST_PEPPER} bytes")))?;
        let mut digests = Vec::with_capacity(self.secret.len());
        for source in &self.secret {
            digests.push(digest_text(&pepper.digest(&self.id, source.read()?.expose())));
        }
        say!("{}", self.record(&digests)?);
        Ok(())
    }

    /// The line, as the reader of key files accepts it.
    fn record(&self, digests: &[String]) -> Result<String, Failure> {
        let mut record = Map::new();
        record.insert("id".to_owned(), json!(self.id));
        record.insert("secrets".to_owned(), json!(digests));
        if !self.scope.is_empty() {
            record.insert("scopes".to_owned(), json!(self.scope));
        }
        if let Some(expires) = &self.expires {
            record.insert("expires".to_owned(), json!(expires));
        }
        let line = Value::Object(record).to_string();
        parse_record(line.as_bytes()).map_err(Failure::new)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Hash;
    use crate::cli::secret_source::SecretSource;

    #[test]
    fn a_line_is_printed_only_when_a_key_file_may_hold_it() {
        let hash = |id: &str, scope: &[&str], expires: Option<&str>| Hash {
            id: id.to_owned(),
            secret: vec![SecretSource::Input],
            pepper: SecretSource::File(PathBuf::new()),
            scope: scope.iter().map(|scope| (*scope).to_owned()).collect(),
            expires: expires.map(str::to_owned),
        };
        let digest = format!("cs1:{}", "A".repeat(43));
        let cases = [
            // id, scopes, expires, sound, what the row shows
            ("shop", &["chat:write"][..], None, true, "an id with a scope"),
            ("shop", &[], Some("2027-01-01T00:00:00Z"), true, "one with an end"),
            ("", &[], None, false, "no id"),
            ("shop", &["a b"], None, false, "a scope that is two"),
            ("shop", &[], Some("next year"), false, "no moment"),
        ];
        for (id, scope, expires, sound, shows) in cases {
            let line = hash(id, scope, expires).record(std::slice::from_ref(&digest));
            assert_eq!(line.is_ok(), sound, "{shows}");
        }
        let both = [digest.clone(), digest.clone()];
        assert!(hash("shop", &[], None).record(&both).is_err(), "the same secret twice is no rotation");
    }
}

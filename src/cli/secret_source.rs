//! Where a command takes a secret from: a variable, a file, or standard input. Never its own arguments, which every
//! process on the machine can read.

use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use crate::ambient;
use crate::cli::Failure;
use crate::domain::Secret;

/// `env:NAME`, `file:PATH` or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// Standard input, to its end.
    Input,
}

/// How it is written, for `--help`.
pub const FORM: &str = "env:NAME|file:PATH|-";

/// More than any secret has.
const LIMIT: u64 = 64 * 1024;

impl FromStr for SecretSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "-" => Ok(Self::Input),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Variable(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("write env:NAME, file:PATH, or - for standard input; a secret itself is never an argument".to_owned()),
        }
    }
}

impl SecretSource {
    /// The secret, less one line break at its end, as editors leave it.
    ///
    /// # Errors
    ///
    /// It is not there, cannot be read, or is empty.
    pub fn read(&self) -> Result<Secret, Failure> {
        let (bytes, from) = match self {
            Self::Variable(name) => {
                let value = ambient::variable(name).ok_or_else(|| Failure::new(format!("the environment variable `{name}` is not set")))?;
                (value.expose().to_vec(), format!("`{name}`"))
            }
            Self::File(path) => {
                let bytes =
                    ambient::read_file(path, LIMIT).map_err(|why| Failure::new(format!("cannot read `{}`: {why}", path.display())))?;
                (bytes, format!("`{}`", path.display()))
            }
            Self::Input => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().take(LIMIT).read_to_end(&mut bytes);
                read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
                (bytes, "standard input".to_owned())
            }
        };
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(Failure::new(format!("{from} is empty")));
        }
        Ok(Secret::new(bytes.to_vec()))
    }

    /// The secret as text.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and when it is not UTF-8.
    pub fn read_text(&self) -> Result<String, Failure> {
        String::from_utf8(self.read()?.expose().to_vec()).map_err(|_| Failure::new("the secret is not text"))
    }
}

#[cfg(test)]
mod tests {
    use super::SecretSource;

    #[test]
    fn a_source_is_named_and_a_secret_never_given() {
        let cases = [
            // text, source, what the row shows
            ("env:A", Some(SecretSource::Variable("A".into())), "a variable"),
            ("file:/a:b", Some(SecretSource::File("/a:b".into())), "a path may hold a colon"),
            ("-", Some(SecretSource::Input), "standard input"),
            ("env:", None, "no name"),
            ("file:", None, "no path"),
            ("hunter2", None, "a secret on the command line"),
            ("", None, "nothing"),
        ];
        for (text, expected, shows) in cases {
            assert_eq!(text.parse::<SecretSource>().ok(), expected, "{shows}");
        }
    }

    #[test]
    fn one_line_break_is_not_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let cases: [(&str, Option<&str>, &str); 5] = [
            ("abc\n", Some("abc"), "one line break goes"),
            ("abc\r\n", Some("abc"), "in either form"),
            ("abc\n\n", Some("abc\n"), "only one"),
            (" abc", Some(" abc"), "a space is part of it"),
            ("\n", None, "nothing is left: refused"),
        ];
        for (written, expected, shows) in cases {
            let path = folder.path().join("secret");
            std::fs::write(&path, written).unwrap();
            assert_eq!(SecretSource::File(path).read_text().ok().as_deref(), expected, "{shows}");
        }
    }
}

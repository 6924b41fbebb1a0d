//! `keys generate`: a private key, or a secret, in a file that only its owner can read.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde_json::json;

use crate::ambient::SystemRandom;
use crate::cli::{Done, Failure, print_json};
use crate::domain::{Random, Secret};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;

/// Makes a private key, or a secret, and writes it to a file that only you can read.
///
/// The public half of a key pair is printed; a secret is never printed.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// What to make.
    #[arg(value_enum)]
    kind: Kind,
    /// Where to write it. An existing file is never overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the public half as a JWKS document rather than as PEM.
    #[arg(long)]
    json: bool,
}

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// RSA, 2048 bits, for RS256.
    Rs256,
    /// P-256, for ES256.
    Es256,
    /// P-384, for ES384.
    Es384,
    /// Ed25519, for EdDSA.
    Eddsa,
    /// 256 bits in base64url: a pepper, a secret of a server key, an HMAC or ticket key.
    Secret,
}

impl Generate {
    pub(super) fn run(&self) -> Done {
        let algorithm = match self.kind {
            Kind::Rs256 => Algorithm::Rs256,
            Kind::Es256 => Algorithm::Es256,
            Kind::Es384 => Algorithm::Es384,
            Kind::Eddsa => Algorithm::EdDsa,
            Kind::Secret => {
                write_new(&self.out, &secret_text(&SystemRandom))?;
                eprintln!("wrote 256 bits to {}", self.out.display());
                return Ok(());
            }
        };
        let key = SigningKey::generate(algorithm).map_err(|fault| Failure::new(fault.to_string()))?;
        let (Some(private), Some(public), Some(jwk)) = (key.private_pem(), key.public_pem(), key.public_jwk()) else {
            return Err(Failure::new("the crypto library made a key that it cannot write"));
        };
        write_new(&self.out, &private)?;
        eprintln!("wrote the private key to {}; its public half follows", self.out.display());
        if self.json {
            print_json(&json!({ "keys": [jwk] }));
        } else {
            say!("{}", public.trim_end());
        }
        Ok(())
    }
}

/// 256 unpredictable bits in base64url.
fn secret_text(random: &dyn Random) -> Secret {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut_slice());
    Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()).into_bytes())
}

/// Writes `secret` to a new file that only its owner may read; an existing one is a failure.
fn write_new(path: &Path, secret: &Secret) -> Done {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(secret.expose()));
    written.map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Generate, Kind};
    use crate::jose::mint::SigningKey;

    #[test]
    fn what_is_made_can_be_read_by_its_owner_alone_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind) in [("es", Kind::Es256), ("es384", Kind::Es384), ("ed", Kind::Eddsa), ("secret", Kind::Secret)] {
            let out = folder.path().join(name);
            let generate = Generate { kind, out: out.clone(), json: false };
            generate.run().unwrap();

            assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
            let text = std::fs::read_to_string(&out).unwrap();
            if kind == Kind::Secret {
                assert_eq!(text.len(), 43, "32 bytes in base64url");
            } else {
                assert!(SigningKey::from_pem(&text, None).is_ok(), "{name} reads back");
            }
            assert!(generate.run().is_err(), "an existing {name} stays");
            assert_eq!(std::fs::read_to_string(&out).unwrap(), text, "and stays what it was");
        }
    }
}

//! Certificates and private keys in PEM files (RFC 7468), out of what was gathered.
//!
//! Never here: a key's content in a fault.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::settings::{Checking, Span};

/// The certificates in the file written as `path`, at least one; notes a fault at `at` otherwise.
pub(super) fn certificates(path: &str, at: &Span, checking: &mut Checking<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = content(path, at, checking)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() && !chain.iter().all(is_certificate) => {
            checking.faults.error(at, format!("`{path}` holds something that is marked as a certificate and cannot be read as one"));
            None
        }
        Ok(chain) if !chain.is_empty() => Some(chain),
        Ok(_) => {
            checking.faults.error(at, format!("`{path}` holds no certificate; expected PEM that starts `-----BEGIN CERTIFICATE-----`"));
            None
        }
        Err(error) => {
            checking.faults.error(at, format!("`{path}` is not PEM: {}", describe(&error)));
            None
        }
    }
}

/// What the library says, less the line that it quotes.
fn describe(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::IllegalSectionStart { .. } => "a section begins like none",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::Base64Decode(_) => "a section holds something that is not base64",
        _ => "it cannot be read",
    }
}

/// The private key in the file written as `path`; notes a fault at `at` otherwise.
pub(super) fn private_key(path: &str, at: &Span, checking: &mut Checking<'_>) -> Option<PrivateKeyDer<'static>> {
    let bytes = content(path, at, checking)?;
    let key = PrivateKeyDer::from_pem_slice(bytes).ok();
    if key.is_none() {
        let says = format!("`{path}` holds no private key; expected unencrypted PEM that starts `-----BEGIN PRIVATE KEY-----`");
        checking.faults.error(at, says);
    }
    key
}

/// Whether it is X.509 at all. Where it is to be trusted or shown, it must not turn out at the first connection that it is not.
fn is_certificate(der: &CertificateDer<'static>) -> bool {
    rustls::RootCertStore::empty().add(der.clone()).is_ok()
}

fn content<'a>(path: &str, at: &Span, checking: &mut Checking<'a>) -> Option<&'a [u8]> {
    match checking.material.file(path) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            checking.faults.error(at, why);
            None
        }
    }
}

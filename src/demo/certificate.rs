//! A certificate of a moment ago, for stand-ins that are asked over TLS.
//!
//! It is its own authority: whoever is to believe it is handed it. The key never leaves the process.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;

/// A certificate, and a server that shows it.
pub struct Certificate {
    /// The certificate, which is also the authority that signed it.
    pub pem: String,
    /// A server with it and its key.
    pub config: Arc<ServerConfig>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// It could not be made.
    #[error("a certificate could not be made: {0}")]
    Made(#[from] rcgen::Error),
    /// No server can be set up with it.
    #[error("a certificate could not be used: {0}")]
    Used(#[from] rustls::Error),
    /// Its key cannot be read.
    #[error("the key of a certificate could not be read: {0}")]
    Key(&'static str),
}

impl Certificate {
    /// A fresh one for the hosts `names`.
    ///
    /// # Errors
    ///
    /// A name is none; the crypto library makes no key.
    pub fn fresh(names: &[&str]) -> Result<Self, CertificateFault> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(CertificateFault::Key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        Ok(Self { pem: made.cert.pem(), config: Arc::new(config) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Certificate;
    use crate::demo::stand::{Stand, plain};

    #[tokio::test]
    async fn who_is_handed_it_believes_it_and_nobody_else_does() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let certificate = Certificate::fresh(&["a.example"]).unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        let answer = |_| async { Some(plain(200, "text/plain", "here")) };
        let stand = Stand::listen_tls(address, certificate.config, answer).await.unwrap();
        let believer = |names: &'static str| {
            let root = reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap();
            reqwest::Client::builder().no_proxy().resolve(names, stand.address()).tls_certs_only([root]).build().unwrap()
        };
        let url = |name: &str| format!("https://{name}:{}/", stand.address().port());
        assert_eq!(believer("a.example").get(url("a.example")).send().await.unwrap().text().await.unwrap(), "here");
        assert!(believer("b.example").get(url("b.example")).send().await.is_err(), "under another name");
        let other = Certificate::fresh(&["a.example"]).unwrap();
        let root = reqwest::Certificate::from_pem(other.pem.as_bytes()).unwrap();
        let stranger = reqwest::Client::builder().no_proxy().resolve("a.example", stand.address()).tls_certs_only([root]).build().unwrap();
        assert!(stranger.get(url("a.example")).send().await.is_err(), "by who was handed another");
    }
}

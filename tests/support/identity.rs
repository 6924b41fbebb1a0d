//! Certificates made for one test, and TLS with them on both sides.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign::edge::tls::Certificate;
use pingora::tls::{ClientTlsStream, TlsAcceptor, TlsConnector};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;

/// A self-signed certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        Self { certificate: made.cert.der().clone(), key }
    }

    pub fn der(&self) -> Box<[u8]> {
        self.certificate.as_ref().into()
    }

    /// The private key, PKCS#8.
    pub fn key_der(&self) -> &[u8] {
        self.key.secret_der()
    }

    pub fn certified(&self) -> Arc<CertifiedKey> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.key).unwrap();
        Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key))
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::new(self.certified())
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_of(&[])
    }

    /// One that agrees on HTTP/2 by ALPN.
    pub fn acceptor_http2(&self) -> TlsAcceptor {
        self.acceptor_of(&["h2"])
    }

    fn acceptor_of(&self, protocols: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(vec![self.certificate.clone()], self.key.clone_key()).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Connects as a client that trusts this certificate only; `None` when the handshake fails.
    pub async fn connect(&self, address: SocketAddr, name: &str, protocols: &[&str]) -> Option<ClientTlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), socket).await.ok()
    }
}

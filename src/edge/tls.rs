//! TLS towards clients: certificates that can be replaced while connections are open, and the handshake.
//!
//! Not here: client certificates; any choice of cipher that the library's defaults do not make.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::tls::{ServerTlsStream, TlsAcceptor};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};

/// The certificate of a listener. Clones share it; a replacement holds from the next handshake on.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<ArcSwap<CertifiedKey>>);

impl Certificate {
    /// A certificate chain with its key, which the caller has proven to belong together.
    #[must_use]
    pub fn new(certified: Arc<CertifiedKey>) -> Self {
        Self(Arc::new(ArcSwap::new(certified)))
    }

    /// Replaces it.
    pub fn replace(&self, certified: Arc<CertifiedKey>) {
        self.0.store(certified);
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Makes handshakes.
#[derive(Clone)]
pub(super) struct Handshaker(TlsAcceptor);

/// What a handshake has agreed on.
pub(super) struct Agreed<S> {
    pub(super) stream: ServerTlsStream<S>,
    pub(super) server_name: Option<Box<str>>,
    pub(super) http2: bool,
}

impl Handshaker {
    pub(super) fn new(certificate: Certificate, http2: bool) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        // Early data may be replayed; it is never accepted.
        config.max_early_data_size = 0;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands within `patience`; `None` when it fails or takes longer.
    pub(super) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S, patience: Duration) -> Option<Agreed<S>> {
        let stream = tokio::time::timeout(patience, self.0.accept(socket)).await.ok()?.ok()?;
        let (_, session) = stream.get_ref();
        let server_name = session.server_name().map(|name| name.to_ascii_lowercase().into());
        let http2 = session.alpn_protocol() == Some(b"h2");
        Some(Agreed { stream, server_name, http2 })
    }
}

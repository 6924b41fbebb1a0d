//! A client that takes nothing is given up in time, whatever is said to it meanwhile and over whatever.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Patient, WritePatience};
use crate::edge::socket::ClientSocket;
use crate::edge::tls::{Certificate, Handshaker};

const PATIENCE: Duration = Duration::from_secs(2);

fn patient(capacity: usize) -> (DuplexStream, Patient<DuplexStream>) {
    let (client, socket) = tokio::io::duplex(capacity);
    (client, Patient::new(socket, WritePatience::new(PATIENCE)))
}

/// Both ends of TLS over `socket` and `client`.
async fn shaken(
    client: DuplexStream,
    socket: Patient<DuplexStream>,
) -> (impl AsyncRead + AsyncWrite + Unpin, impl AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certified = rustls::sign::CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider).unwrap();
    let handshaker = Handshaker::new(Certificate::new(Arc::new(certified)), false).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connect = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), client);
    let (client, agreed) = tokio::join!(connect, handshaker.shake(socket, PATIENCE));
    (client.unwrap(), agreed.unwrap().stream)
}

/// Says something every quarter of the patience, until it fails.
async fn say_on(mut socket: impl AsyncWrite + Unpin) {
    while socket.write_all(b"event").await.is_ok() && socket.flush().await.is_ok() {
        tokio::time::sleep(PATIENCE / 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_meanwhile_buys_a_silent_client_no_time() {
    let (_client, socket) = patient(4);
    timeout(PATIENCE * 2, say_on(socket)).await.expect("as it is");

    let (_client, socket) = patient(4);
    let socket = ClientSocket::new(Box::new(socket));
    timeout(PATIENCE * 2, socket.turn(say_on(socket.clone()))).await.expect("in a turn, where a flush is a debt");

    // TLS takes what is said as if it had been sent. It has room for a handshake, and that is full.
    let (client, socket) = patient(4096);
    let (_client, socket) = shaken(client, socket).await;
    let mut socket = ClientSocket::new(Box::new(socket));
    socket.write_all(&[0; 4096]).await.unwrap();
    timeout(PATIENCE * 2, socket.turn(say_on(socket.clone()))).await.expect("over TLS");
}

#[tokio::test(start_paused = true)]
async fn patience_begins_anew_with_each_byte_that_is_taken() {
    const REPLY: &[u8] = b"more than it takes at once";
    let (mut client, mut socket) = patient(4);
    let slow = async {
        let mut read = Vec::new();
        while read.len() < REPLY.len() {
            tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
            client.read_buf(&mut read).await.unwrap();
        }
        read
    };
    let (read, said) = tokio::join!(slow, socket.write_all(REPLY));
    said.expect("slow, but never silent for too long");
    assert_eq!(read, REPLY);
}

#[tokio::test(start_paused = true)]
async fn patience_is_what_was_said_last() {
    let (_client, socket) = tokio::io::duplex(4);
    let patience = WritePatience::new(PATIENCE);
    let socket = Patient::new(socket, patience.clone());
    patience.set(PATIENCE * 10);
    let mut given_up = Box::pin(say_on(socket));
    assert!(timeout(PATIENCE * 9, &mut given_up).await.is_err(), "not before");
    timeout(PATIENCE * 2, given_up).await.expect("but then");
}

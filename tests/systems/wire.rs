//! A way to a server that remembers every byte that was sent to it, and changes none.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A listener on loopback that forwards to one server; ends when dropped.
pub struct Wire {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// The way to `server`.
    pub fn to(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(TcpListener::from_std(listener).unwrap(), server, Arc::clone(&seen)));
        Self { address, seen, _tasks: tasks }
    }

    /// Everything that was sent there, as text.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).into_owned()
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, seen: Arc<Mutex<Vec<u8>>>) {
    let mut ways = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        ways.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
            tokio::select! {
                () = pass(client_reads, server_writes, Some(&seen)) => {}
                () = pass(server_reads, client_writes, None) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seen: Option<&Mutex<Vec<u8>>>) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let piece = &piece[..length];
        if let Some(seen) = seen {
            seen.lock().extend_from_slice(piece);
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

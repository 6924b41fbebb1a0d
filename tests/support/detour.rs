//! A way to a server that can be made bad: slow, silent, or cut in the middle of an answer.
//!
//! It forwards bytes and knows no protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A listener on loopback that forwards to one server; ends when dropped.
pub struct Detour {
    pub address: SocketAddr,
    bad: Arc<Bad>,
    cut: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

/// What is bad about the way.
#[derive(Default)]
struct Bad {
    /// Milliseconds before each piece of an answer is passed on.
    delay: AtomicU64,
    /// Whether answers are thrown away.
    silent: AtomicBool,
    /// Bytes of answers that are still passed on before every connection is cut; none when negative.
    left: AtomicI64,
    /// Connections taken so far.
    taken: AtomicUsize,
}

impl Detour {
    /// A good way to `server`.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bad = Arc::new(Bad { left: AtomicI64::new(i64::MAX), ..Bad::default() });
        let (cut, cuts) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&bad), cuts));
        Self { address, bad, cut, _tasks: tasks }
    }

    /// Answers come this much later.
    pub fn delay(&self, length: Duration) {
        self.bad.delay.store(u64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Whether answers are lost while connections stand.
    pub fn silence(&self, silent: bool) {
        self.bad.silent.store(silent, Ordering::SeqCst);
    }

    /// Cuts each connection once `bytes` more of its answers have come through.
    pub fn cut_after(&self, bytes: i64) {
        self.bad.left.store(bytes, Ordering::SeqCst);
    }

    /// Connections are no longer cut.
    pub fn mend(&self) {
        self.bad.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Cuts every connection now.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// How many connections have been made so far.
    pub fn taken(&self) -> usize {
        self.bad.taken.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, bad: Arc<Bad>, cuts: watch::Receiver<u64>) {
    let mut ways = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        bad.taken.fetch_add(1, Ordering::SeqCst);
        let (bad, mut cuts) = (Arc::clone(&bad), cuts.clone());
        cuts.mark_unchanged();
        ways.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
            tokio::select! {
                () = there(client_reads, server_writes) => {}
                () = back(server_reads, client_writes, &bad) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn there(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bad: &Bad) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        tokio::time::sleep(Duration::from_millis(bad.delay.load(Ordering::SeqCst))).await;
        if bad.silent.load(Ordering::SeqCst) {
            continue;
        }
        let left = bad.left.fetch_sub(i64::try_from(length).unwrap(), Ordering::SeqCst);
        let passed = usize::try_from(left.max(0)).unwrap().min(length);
        if to.write_all(&piece[..passed]).await.is_err() || passed < length {
            return;
        }
    }
}

//! The threads that serve: who gets which connection, what each keeps, and how they end.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::support::child::Running;
use crate::support::raw::{Client, PATIENCE};
use crate::support::upstream::{Reply, Upstream, eventually};
use crate::support::whole::Folder;

/// Runs the binary with so many threads before `upstream`.
async fn start(folder: &Folder, threads: usize, upstream: &Upstream) -> Running {
    let path = folder.write(
        "countersign.yaml",
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nadmin: {{ address: 127.0.0.1:0 }}\nthreads: {threads}\ngrace: 20s\n\
             upstreams: {{ app: http://{} }}\nrules: [{{ name: all, match: {{ paths: [/**] }}, authenticate: none, forward: app }}]\n",
            upstream.address
        ),
    );
    let process = Running::start(&path).await;
    process.ready().await;
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_shared_out_and_each_thread_uses_its_own_upstream_connection_again() {
    // Threads, connections of clients that stay open, upstream connections that serve them one request at a time.
    let rows = [(1, 4, 1, "one thread"), (3, 2, 2, "fewer clients than threads"), (3, 7, 3, "more clients than threads")];
    for (threads, clients, expected, shows) in rows {
        let (folder, upstream) = (Folder::new(), Upstream::start().await);
        let process = start(&folder, threads, &upstream).await;
        let mut connected = Vec::new();
        for _ in 0..clients {
            connected.push(Client::connect(process.address).await);
        }
        for round in 0..3 {
            for client in &mut connected {
                assert_eq!(client.get("/x").await.status, 200, "{shows}, round {round}");
            }
        }
        assert_eq!((upstream.hits(), upstream.connections()), (3 * clients, expected), "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_whose_clients_have_left_gets_the_next_ones() {
    let (folder, upstream) = (Folder::new(), Upstream::start().await);
    let process = start(&folder, 2, &upstream).await;
    let served = async || {
        let mut client = Client::connect(process.address).await;
        assert_eq!(client.get("/x").await.status, 200);
        client
    };
    let (first, _second) = (served().await, served().await);
    assert_eq!(upstream.connections(), 2, "one client with each thread");
    drop(first);
    process.counts("countersign_connections_open 1").await;
    let _third = served().await;
    let _fourth = served().await;
    assert_eq!(upstream.connections(), 2, "nobody had to open another");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_thread_finishes_what_it_has_begun_and_then_all_end() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = Arc::clone(&held);
    let upstream = Upstream::scripted(move |_| {
        let (release, later) = oneshot::channel();
        holding.lock().push(release);
        Reply::Later(later)
    })
    .await;
    let folder = Folder::new();
    let mut process = start(&folder, 3, &upstream).await;
    let mut busy = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(process.address).await;
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        busy.push(client);
    }
    eventually("all are in flight", || upstream.hits() == 6).await;
    process.signal("TERM");
    process.says("draining", 1).await;
    for release in held.lock().drain(..) {
        release.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_vec()).unwrap();
    }
    for client in &mut busy {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str(), answer.closes()), (200, "slow", true));
    }
    assert!(process.ended(PATIENCE).await.is_some_and(|status| status.success()), "and nobody holds the end up");
}

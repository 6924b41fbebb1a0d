//! Which server is taken, and how many requests are in flight to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{HostShown, ServerOptions, UpstreamFault, UpstreamOptions, UpstreamTls, Upstreams};

fn server(host: &str, port: u16) -> ServerOptions {
    ServerOptions { host: host.into(), port, authority: format!("{host}:{port}").into() }
}

fn options(servers: Vec<ServerOptions>) -> UpstreamOptions {
    UpstreamOptions {
        name: "app".into(),
        servers,
        tls: None,
        connect_timeout: Duration::from_secs(3),
        tls_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(50),
        tries: 3,
        host: HostShown::Preserved,
        most_in_flight: None,
        http2: false,
    }
}

fn ports(upstreams: &Upstreams, tried: &[SocketAddr], now: u64, count: usize) -> Vec<u16> {
    let upstream = upstreams.get(0).unwrap();
    (0..count).map(|_| upstream.pick(tried, now).unwrap().socket().port()).collect()
}

#[test]
fn servers_are_taken_in_turn_and_a_failed_one_rests() {
    let upstreams = Upstreams::new(vec![options(vec![server("10.0.0.1", 1), server("10.0.0.1", 2), server("::1", 3)])]).unwrap();
    assert_eq!(ports(&upstreams, &[], 0, 6), [1, 2, 3, 1, 2, 3], "in turn");

    let first = upstreams.get(0).unwrap().pick(&[], 0).unwrap();
    assert_eq!(first.socket().port(), 1);
    first.rest(0);
    assert_eq!(ports(&upstreams, &[], 4_999_999, 4), [2, 3, 2, 2], "the resting one is passed over");
    assert!(ports(&upstreams, &[], 5_000_000, 3).contains(&1), "and is back after five seconds");

    first.rest(0);
    first.wake();
    assert!(ports(&upstreams, &[], 0, 3).contains(&1), "or as soon as it has answered");

    let tried = ["10.0.0.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap()];
    assert_eq!(ports(&upstreams, &tried, 0, 3), [3, 3, 3], "a request goes to no server twice while there is another");

    for _ in 0..3 {
        upstreams.get(0).unwrap().pick(&[], 0).unwrap().rest(0);
    }
    let all: Vec<SocketAddr> = vec!["10.0.0.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap(), "[::1]:3".parse().unwrap()];
    assert_eq!(ports(&upstreams, &all, 0, 1).len(), 1, "when all rest and all were tried, one is taken nevertheless");
}

#[test]
fn a_service_has_room_for_as_many_as_it_was_given() {
    let upstreams = Upstreams::new(vec![UpstreamOptions { most_in_flight: Some(2), ..options(vec![server("10.0.0.1", 1)]) }]).unwrap();
    let upstream = upstreams.get(0).unwrap();
    let first = upstream.enter();
    let second = upstream.enter();
    assert!(first.is_some() && second.is_some(), "two find room");
    assert!(upstream.enter().is_none(), "the third does not");
    drop(first);
    assert!(upstream.enter().is_some(), "until one has left");
}

#[test]
fn what_cannot_be_set_up_is_refused() {
    assert!(matches!(Upstreams::new(vec![options(Vec::new())]), Err(UpstreamFault::Empty(_))), "no server");
    let tls = UpstreamTls { anchors: Some(Arc::from([Box::from(*b"not a certificate")])), server_name: None, verify: true };
    let broken = UpstreamOptions { tls: Some(tls), ..options(vec![server("10.0.0.1", 1)]) };
    assert!(matches!(Upstreams::new(vec![broken]), Err(UpstreamFault::Anchor(_))), "an anchor that is none");
}

#[tokio::test]
async fn names_are_resolved_and_every_address_is_kept() {
    let upstreams = Upstreams::new(vec![options(vec![server("localhost", 7), server("10.0.0.1", 8)])]).unwrap();
    assert_eq!(upstreams.get(0).unwrap().width(), 1, "an address needs no resolving");
    let background = upstreams.resolve().await.expect("there is a name to keep fresh");
    assert!(2 <= upstreams.get(0).unwrap().width(), "localhost has at least one address");
    background.abort();
}

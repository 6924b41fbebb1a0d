//! What it costs to hold a reply: processor time against the usual way, client and upstream included.

use std::time::Duration;

use super::{edge_before, get};
use crate::support::edge::Running;
use crate::support::figures::{figure, tell};
use crate::support::judge::Renewal;
use crate::support::raw::Client;
use crate::support::upstream::{Upstream, ok};

/// Processor time of this thread so far, on which all of it runs.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Processor time of so many requests, one after the other.
async fn of(client: &mut Client, target: &str, requests: u32) -> Duration {
    let begun = spent();
    for _ in 0..requests {
        client.send(get(target)).await;
        assert_eq!(client.answer().await.status, 200);
    }
    spent() - begun
}

/// The middle one of several ratios, held to usual, taken in turn so that whatever else the machine does hits both; what stands
/// beside the proxy is measured alone and taken off.
async fn measure(edge: &Running, upstream: &Upstream, body: usize) -> (f64, f64) {
    let rounds = figure(21, 5);
    let requests = figure(1_000, 150);
    let (mut through, mut beside) = (edge.client().await, Client::connect(upstream.address).await);
    let (mut whole, mut ours) = (Vec::new(), Vec::new());
    for target in ["/renewable", "/held"] {
        of(&mut through, &format!("{target}?{body}"), requests).await;
    }
    for _ in 0..rounds {
        let usual = of(&mut through, &format!("/renewable?{body}"), requests).await;
        let held = of(&mut through, &format!("/held?{body}"), requests).await;
        let alone = of(&mut beside, &format!("/alone?{body}"), requests).await;
        whole.push(held.as_secs_f64() / usual.as_secs_f64());
        ours.push((held.saturating_sub(alone)).as_secs_f64() / (usual.saturating_sub(alone)).as_secs_f64());
    }
    let middle = |ratios: &mut Vec<f64>| {
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    (middle(&mut whole), middle(&mut ours))
}

#[tokio::test]
async fn holding_a_reply_costs_a_part_of_a_request_and_not_several() {
    let upstream = Upstream::scripted(|record| {
        let length = record.target().split_once('?').unwrap().1.parse().unwrap();
        ok(&"x".repeat(length))
    })
    .await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    for body in [200, 16_000, 64_000] {
        let (whole, ours) = measure(&edge, &upstream, body).await;
        tell(&format!("held / usual, processor time, body of {body}: {whole:.2} with client and upstream, {ours:.2} of the proxy alone"));
        assert!(whole < 3.0, "a reply of {body} bytes costs {whole:.2} times as much");
    }
}

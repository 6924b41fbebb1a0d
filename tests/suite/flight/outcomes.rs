//! The table of outcomes in `docs/renewal.md`, row by row: each is brought about, and must come to what the page says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::domain::{RenewalFailure, Renewed, Spent, Timestamp};
use countersign::renew::flight::protocol::Record;
use countersign::renew::flight::{FlightSettings, record};
use countersign::state::contract::{Expect, StateStore};

use super::stage::{Act, Fault, Issuer, NOW, Node, Shaky, Ticking, pass, spent, spent_until};

/// One row of the page.
pub(crate) struct Row {
    pub(crate) happens: String,
    pub(crate) ends_as: String,
    record: String,
    pub(crate) seen: String,
    again: String,
}

/// The table as it stands on the page.
pub(crate) fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/renewal.md")).unwrap();
    let table = page.split("| what happens |").nth(1).expect("the table of outcomes");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
            let [happens, ends_as, record, seen, again] = cells.try_into().unwrap_or_else(|cells| panic!("five cells: {cells:?}"));
            Row { happens, ends_as, record, seen, again }
        })
        .collect()
}

/// A renewal that has come to its end, and whoever asks again.
struct Scene {
    issuer: Arc<Issuer>,
    node: Node,
    spent: Spent,
    result: Result<Renewed, RenewalFailure>,
}

/// Asks once at an issuer with this script, on a node with these settings.
async fn asked(issuer: Arc<Issuer>, spent: Spent, settings: FlightSettings) -> Scene {
    let node = Node::with(&issuer, &Shaky::new(), &Ticking::from(NOW), settings);
    let result = node.renew(&spent).await;
    Scene { issuer, node, spent, result }
}

async fn scripted(script: &[Act], forgives: bool) -> Scene {
    asked(Issuer::with(script, forgives), spent(1), FlightSettings::default()).await
}

/// A node that comes to the store after another one has died, when the lease is over.
async fn after_a_death(forgives: bool) -> Scene {
    let issuer = Issuer::with(&[Act::Hang], forgives);
    let store = Shaky::new();
    let (died, left) = (Arc::clone(&issuer), Arc::clone(&store));
    // In a runtime of its own, which goes down with everything in it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let node = Node::new(&died, &left, &Ticking::from(NOW));
            tokio::spawn(async move { node.renew(&spent(1)).await });
            Node::until_asked(&died, 1).await;
        });
    })
    .join()
    .unwrap();
    let node = Node::new(&issuer, &store, &Ticking::from(NOW));
    pass(20).await;
    let spent = spent(1);
    let result = node.renew(&spent).await;
    Scene { issuer, node, spent, result }
}

/// The store fails so, once or for so long; the renewal under it.
async fn with_a_fault(operation: &'static str, fault: Fault, outage: u64) -> Scene {
    let issuer = Issuer::new(&[]);
    let node = Node::new(&issuer, &Shaky::new(), &Ticking::from(NOW));
    node.store.fail(operation, fault, if outage == 0 { 1 } else { usize::MAX });
    let spent = spent(1);
    let result = node.renew(&spent).await;
    pass(outage).await;
    node.store.heal();
    pass(outage).await;
    Scene { issuer, node, spent, result }
}

/// The row whose pair the gate refuses, whatever the flight has made of it. `renewal/outcomes.rs` sees it do so.
const STRANGERS: &str = "the pair is somebody else's, or not to be believed";

/// Brings about what the first cell of a row says.
async fn scene(happens: &str) -> Scene {
    match happens {
        "the issuer answers with a new pair" => scripted(&[Act::Renew], false).await,
        "the issuer refuses (invalid_grant, 400, 401)" => scripted(&[Act::Reject], false).await,
        "the issuer is not reached (refused connection, or it says that it did nothing)" => scripted(&[Act::Unreached], false).await,
        "the issuer takes longer than 2 s" => scripted(&[Act::RenewAfter(Duration::from_secs(3))], false).await,
        "the issuer takes longer than 15 s" => {
            let patient = FlightSettings { wait: Duration::from_secs(60), ..FlightSettings::default() };
            asked(Issuer::new(&[Act::RenewAfter(Duration::from_secs(16))]), spent(1), patient).await
        }
        "the answer is lost (connection reset after it was sent, HTML, too large, no credential in it)" => {
            scripted(&[Act::Lose], false).await
        }
        "the issuer answers 500" => scripted(&[Act::Lose], false).await,
        // Whose it is the flight cannot tell: the gate does, before anybody is given it.
        STRANGERS => scripted(&[Act::Renew], false).await,
        "the answer is lost while the access credential is good for an hour" => {
            asked(Issuer::new(&[Act::Lose]), spent_until(1, NOW + 3_600), FlightSettings::default()).await
        }
        "the answer is lost, with retry_lost_reply: true" => scripted(&[Act::Lose], true).await,
        "the answer is lost twice, with retry_lost_reply: true" => scripted(&[Act::Lose, Act::Lose], true).await,
        "the process that asks dies with the lease" => after_a_death(false).await,
        "the process that asks dies with the lease, with retry_lost_reply: true" => after_a_death(true).await,
        "the store does not answer before the exchange" => with_a_fault("lease", Fault::Down, 0).await,
        "the store takes the lease and does not say so" => with_a_fault("lease", Fault::Unacknowledged, 0).await,
        "the store does not answer after the exchange, for 5 s" => with_a_fault("complete", Fault::Down, 5).await,
        "the store holds something that cannot be read" => {
            let issuer = Issuer::new(&[]);
            let node = Node::new(&issuer, &Shaky::new(), &Ticking::from(NOW));
            let spent = spent(1);
            let (future, until) = (Bytes::from_static(&[2, 1, 7]), Timestamp(NOW + 300));
            node.store.inner.write(&node.key(&spent), Expect::Absent, future, until, Timestamp(NOW)).await.unwrap();
            let result = node.renew(&spent).await;
            Scene { issuer, node, spent, result }
        }
        "exchanges for three callers in a row have failed" => {
            let issuer = Issuer::new(&[Act::Unreached, Act::Lose, Act::Unreached]);
            let node = Node::new(&issuer, &Shaky::new(), &Ticking::from(NOW));
            for other in 2..5 {
                node.renew(&spent(other)).await.unwrap_err();
            }
            let spent = spent(1);
            let result = node.renew(&spent).await;
            Scene { issuer, node, spent, result }
        }
        "as many renewals are under way as may be" => {
            let issuer = Issuer::new(&[Act::RenewAfter(Duration::from_secs(1))]);
            let settings = FlightSettings { capacity: 1, ..FlightSettings::default() };
            let node = Node::with(&issuer, &Shaky::new(), &Ticking::from(NOW), settings);
            let (other, spent) = (spent(2), spent(1));
            let (_, result) = tokio::join!(node.renew(&other), async {
                Node::until_asked(&issuer, 1).await;
                node.renew(&spent).await
            });
            Scene { issuer, node, spent, result }
        }
        unknown => panic!("docs/renewal.md speaks of `{unknown}`, which nobody has tried"),
    }
}

/// What the record of `spent` is called.
async fn record_of(scene: &Scene) -> &'static str {
    let entry = scene.node.store.inner.read(&scene.node.key(&scene.spent), scene.node.clock.now()).await.unwrap();
    match entry.map(|entry| record::read(&entry.value)) {
        None => "none",
        Some(None) => "unreadable",
        Some(Some(Record::Leased(_))) => "leased",
        Some(Some(Record::Done { .. })) => "done",
        Some(Some(Record::Failed { .. })) => "failed",
        Some(Some(Record::Lost { .. })) => "lost",
    }
}

/// What the gate makes of it: `gate::fresh` refuses so, and has its own test of it.
fn seen(result: &Result<Renewed, RenewalFailure>) -> &'static str {
    match result {
        Ok(_) => "the new pair",
        Err(RenewalFailure::Fatal | RenewalFailure::Unknown) => "401 renewal_refused",
        Err(RenewalFailure::Transient { .. } | RenewalFailure::Pending { .. } | RenewalFailure::StateUnavailable) => {
            "503 renewal_unavailable"
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_of_the_table_of_outcomes_comes_to_what_it_says() {
    let rows = rows();
    assert_eq!(rows.len(), 19, "rows were added or lost: has the table changed its form?");
    for row in rows {
        let shows = &row.happens;
        let scene = scene(shows).await;
        let ends_as = scene.result.as_ref().map_or_else(|failure| failure.as_str(), |_| "renewed");
        assert_eq!(ends_as, row.ends_as, "{shows}");
        assert_eq!(record_of(&scene).await, row.record, "{shows}");
        let seen = if shows == STRANGERS { "401 renewal_refused" } else { seen(&scene.result) };
        assert_eq!(seen, row.seen, "{shows}");

        let asked = scene.issuer.asked();
        let again = |scene: &Scene| scene.issuer.asked() - asked;
        match row.again.strip_prefix("after ").and_then(|rest| rest.strip_suffix(" s")).map(|number| number.parse::<i64>().unwrap()) {
            Some(seconds) => {
                // From the end of the exchange; where that was a while ago, from then. A death counts from the lease.
                let began = if shows.starts_with("the process that asks dies with the lease") && row.ends_as == "unknown" {
                    NOW
                } else if shows == "the issuer takes longer than 15 s" {
                    NOW + 15
                } else if shows == "the process that asks dies with the lease, with retry_lost_reply: true" {
                    NOW + 20
                } else {
                    NOW
                };
                let left = u64::try_from(began + seconds - scene.node.clock.now().0).unwrap();
                pass(left - 1).await;
                drop(scene.node.renew(&scene.spent).await);
                assert_eq!(again(&scene), 0, "a second before {seconds} s: {shows}");
                pass(1).await;
                drop(scene.node.renew(&scene.spent).await);
                assert!(0 < again(&scene), "after {seconds} s: {shows}");
            }
            None if row.again == "at once" => {
                drop(scene.node.renew(&scene.spent).await);
                assert_eq!(again(&scene), 1, "at once: {shows}");
            }
            None => {
                assert_eq!(row.again, "never: the result will be there");
                pass(2).await;
                assert_eq!((scene.node.ask(&scene.spent).await.as_str(), again(&scene)), ("access-1-user1", 0), "{shows}");
            }
        }
    }
}

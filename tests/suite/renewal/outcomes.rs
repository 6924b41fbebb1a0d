//! The table of outcomes in `docs/renewal.md` once more, from outside: what the issuer does on the wire, what class that falls into,
//! and what the client sees. `flight/outcomes.rs` tries the rows that no answer of an issuer brings about.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::demo::credentials::{claims, with};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;
use tokio::task::JoinSet;

use super::{ENDED, ISSUER, Issuer, access, ask, handed, pair};
use crate::flight::outcomes::{Row, rows};
use crate::loopback::Told;
use crate::support::raw::Client;
use crate::support::upstream::Upstream;
use crate::support::whole::Whole;

/// A row of the page is brought about in one of these ways each.
struct Drill {
    shows: &'static str,
    /// What the issuer does each time that it is asked, in order; the last one again and again.
    does: Vec<Told>,
    /// Settings of the renewer, beside those that leave time to a busy machine.
    more: &'static str,
    /// How often it is asked when a client comes three times: a second before its credential ends, and twice when it has ended.
    asked: usize,
}

/// How often a row of this class is tried by a client that comes again a second later, and at once after that.
fn tries(ends_as: &str) -> usize {
    if ends_as == "transient" { 2 } else { 1 }
}

/// The issuer's key, which outlives what each drill does with it.
fn drills(happens: &str, key: &SigningKey) -> Vec<Drill> {
    let json = |status: u16, body: String| Told::Answer(status, vec![("Content-Type".into(), "application/json".into())], body.into());
    let refused = |status: u16, error: &str| json(status, json!({ "error": error }).to_string());
    let page = |status: u16| Told::Answer(status, vec![("Content-Type".into(), "text/html".into())], b"<html>sorry</html>".to_vec());
    let reset = || Told::Raw(Vec::new());
    let good = || pair(&access(key, ENDED, 2), 2);
    let of = |name: &str, value: &str| pair(&key.sign_compact(&[], &with(claims(ISSUER, Timestamp(ENDED)), name, value)).unwrap(), 2);
    let each = |ways: Vec<(&'static str, Told)>, more: &'static str, asked: usize| {
        ways.into_iter().map(|(shows, told)| Drill { shows, does: vec![told], more, asked }).collect::<Vec<_>>()
    };
    match happens {
        "the issuer answers with a new pair" => each(vec![("a pair", good())], "", 1),
        "the issuer refuses (invalid_grant, 400, 401)" => each(
            vec![
                ("invalid_grant", refused(400, "invalid_grant")),
                ("invalid_client: ours to mend, and no better for the client", refused(401, "invalid_client")),
                ("400 without words", Told::status(400)),
                ("401 without words", Told::status(401)),
            ],
            "",
            1,
        ),
        "the issuer is not reached (refused connection, or it says that it did nothing)" => {
            let mut ways = each(
                vec![("503", Told::status(503)), ("429", Told::status(429)), ("slow_down", refused(400, "slow_down"))],
                "",
                tries("transient"),
            );
            // Without anything to do it is not there at all.
            ways.push(Drill { shows: "a refused connection", does: Vec::new(), more: "", asked: 0 });
            ways
        }
        // In the time of the page.
        "the issuer takes longer than 2 s" => each(vec![("nothing comes", Told::Hang)], "wait: 2s\n      flight: 15s", 1),
        // In less than the time of the page.
        "the issuer takes longer than 15 s" => each(vec![("nothing comes at all", Told::Hang)], "wait: 2s\n      flight: 2s", 1),
        "the issuer answers 500" => each(
            vec![("500 without words", Told::status(500)), ("500 in JSON", refused(500, "server_error")), ("502, a page", page(502))],
            "",
            1,
        ),
        "the answer is lost (connection reset after it was sent, HTML, too large, no credential in it)" => each(
            vec![
                ("the connection reset after it rotated", reset()),
                ("an answer cut off", Told::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\":".to_vec())),
                ("HTML", page(200)),
                ("too large", json(200, format!("{{\"access_token\":\"{}\"}}", "x".repeat(100_000)))),
                ("no credential in it", json(200, "{}".into())),
                ("M13 a redirect", Told::Answer(307, vec![("Location".into(), "http://127.0.0.1:1/".into())], Vec::new())),
            ],
            "",
            1,
        ),
        "the answer is lost, with retry_lost_reply: true" => {
            vec![Drill { shows: "reset once", does: vec![reset(), good()], more: "wait: 8s\n      retry_lost_reply: true", asked: 2 }]
        }
        "the answer is lost twice, with retry_lost_reply: true" => {
            vec![Drill { shows: "reset twice", does: vec![reset()], more: "wait: 8s\n      retry_lost_reply: true", asked: 2 }]
        }
        "the pair is somebody else's, or not to be believed" => each(
            vec![
                ("M10 another subject's", of("sub", "mallory")),
                ("another issuer's", of("iss", "https://evil.example")),
                ("for another audience", of("aud", "other")),
                ("no token of this kind", pair("opaque", 2)),
            ],
            "",
            1,
        ),
        // These need a store that fails, a node that dies, more clients than one, or an hour.
        other => {
            let elsewhere =
                ["the store ", "the process ", "exchanges for three callers ", "as many renewals ", "the answer is lost while "];
            assert!(
                elsewhere.iter().any(|begins| other.starts_with(begins)),
                "docs/renewal.md speaks of `{other}`, which nobody has tried"
            );
            Vec::new()
        }
    }
}

/// The status and the reason that a row of the page tells.
fn told(seen: &str) -> (u16, &str) {
    match seen.split_once(' ') {
        Some((status, reason)) if status.parse::<u16>().is_ok() => (status.parse().unwrap(), reason),
        _ => {
            assert_eq!(seen, "the new pair");
            (200, "")
        }
    }
}

/// A client whose credential ends, at an issuer that does as `drill` says.
async fn perform(row: Arc<Row>, drill: Drill, key: Arc<SigningKey>) {
    let shows = format!("{}: {}", row.happens, drill.shows);
    let upstream = Upstream::start().await;
    let (does, turn) = (drill.does.clone(), AtomicUsize::new(0));
    let issuer = Issuer::scripted(key, move |_| does[turn.fetch_add(1, Ordering::SeqCst).min(does.len() - 1)].clone());
    let more = if drill.more.is_empty() { "wait: 8s" } else { drill.more };
    let mut conf = issuer.conf(&upstream, "{ memory: {} }", more, "app") + "admin: { address: 127.0.0.1:0 }\n";
    if drill.does.is_empty() {
        conf = conf.replace(&issuer.endpoint.address.to_string(), "127.0.0.1:1");
    }
    let whole = Whole::start_in(issuer.folder(), &conf).await;
    let old = issuer.first();
    let (status, reason) = told(&row.seen);
    let back = if status == 200 { "rt-2" } else { "" };

    // Early: the credential is good for another second, so whatever fails is not seen.
    whole.set_clock(ENDED - 1);
    let answer = ask(&whole, "/x", &old, "rt-1").await;
    assert_eq!((answer.status, handed(&answer).as_str()), (200, back), "{shows}: M8 a credential that is still good is served");

    whole.set_clock(ENDED);
    for turn in 1..=2 {
        let answer = ask(&whole, "/x", &old, "rt-1").await;
        assert_eq!((answer.status, handed(&answer).as_str()), (status, back), "{shows}, turn {turn}");
        assert_eq!(answer.field("retry-after").is_some(), status == 503, "{shows}");
        if status != 200 {
            assert_eq!(whole.reason_of(&answer).await, reason, "{shows}, turn {turn}");
            let leaks = answer.fields.iter().any(|(_, value)| value.contains("rt-2")) || answer.text().contains("rt-2");
            assert!(!leaks, "{shows}: nothing of what came is handed out");
        }
    }
    assert_eq!(issuer.exchanges(), drill.asked, "{shows}: how often it is asked");
    assert_eq!(upstream.hits(), if status == 200 { 3 } else { 1 }, "{shows}: an ended credential is never served");

    // One that is under way still has no class.
    if row.ends_as != "pending" {
        let class = format!("countersign_renewals_total{{renewer=\"login\",result=\"{}\"}} {}\n", row.ends_as, tries(&row.ends_as));
        let mut client = Client::connect(whole.process.admin().unwrap()).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        let counted = client.answer().await.text();
        assert!(counted.contains(&class), "{shows}: counted as `{}` in {counted}", row.ends_as);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_that_an_issuer_brings_about_is_seen_by_the_client_as_the_page_says() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let mut all = JoinSet::new();
    let mut tried = 0;
    for row in rows().into_iter().map(Arc::new) {
        let drills = drills(&row.happens, &key);
        tried += usize::from(!drills.is_empty());
        for drill in drills {
            all.spawn(perform(Arc::clone(&row), drill, Arc::clone(&key)));
        }
    }
    assert_eq!(tried, 10, "rows of the page that an issuer brings about");
    all.join_all().await;
}

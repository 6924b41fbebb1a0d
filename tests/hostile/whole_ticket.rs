//! Attacks on tickets and the services around them, against the running proxy: attack list section F.
//!
//! What takes only a verifier to show stands in `ticket`; what takes a store that fails or a process that is killed, beside the
//! stores.

use std::sync::Arc;

use countersign::ambient::SystemRandom;
use countersign::domain::{Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::mac;
use serde_json::{Value as Json, json};

use crate::support::raw::Answer;
use crate::support::upstream::{Reply, Upstream, eventually, ok};
use crate::support::whole::{NOW, Whole};

const KEY: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";

/// Of the two servers of `pair` the first never answers.
const CONF: &str = r#"
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { app: http://UPSTREAM, pair: { servers: [http://127.0.0.1:1, http://UPSTREAM], tries: 3 } }
governor: { failures_per_address: 50 }
issuers: { ours: { issuer: "https://proxy.example", signing_key: { file: signer.pem }, audience: app } }
keys: { tickets: { mac: { file: ticket.key } } }
authenticators:
  pass: { ticket: { keys: tickets, audience: app, from: [bearer, { header: Ticket }] } }
  other: { ticket: { keys: tickets, audience: elsewhere, from: { cookie: t } } }
rules:
  - { name: redeem, match: { paths: [/redeem], methods: [POST] }, authenticate: none, serve: { ticket.redeem: { issuer: ours, tickets: pass } } }
  - { name: own, match: { paths: [/own], methods: [POST] }, authenticate: pass, serve: { ticket.redeem: { issuer: ours, tickets: pass } } }
  - name: again
    match: { paths: [/again], methods: [POST] }
    authenticate: pass
    serve: { ticket.mint: { tickets: pass, life: 1h, single_use: false } }
  - { name: use, match: { paths: [/use/**] }, authenticate: pass, forward: app }
  - { name: pair, match: { paths: [/pair/**] }, authenticate: pass, forward: pair }
  - { name: other, match: { paths: [/other/**] }, authenticate: other, forward: app }
"#;

struct Yard {
    whole: Whole,
    upstream: Upstream,
}

impl Yard {
    async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let upstream = Upstream::scripted(move |seen| script(seen.target())).await;
        let signer = SigningKey::generate(Algorithm::EdDsa).unwrap().private_pem().unwrap();
        let conf = CONF.replace("UPSTREAM", &upstream.address.to_string());
        let whole = Whole::start(&conf, &[("ticket.key", KEY), ("signer.pem", signer.expose())]).await;
        whole.ready().await;
        Self { whole, upstream }
    }

    async fn calm() -> Self {
        Self::start(|_target| ok("fine")).await
    }

    async fn redeem(&self, ticket: &str) -> Answer {
        let body = json!({ "ticket": ticket }).to_string();
        self.whole.ask_with("POST", "/redeem", &[("Content-Type", "application/json")], &body).await
    }

    /// Uses `ticket` as a bearer.
    async fn with(&self, method: &str, target: &str, ticket: &str) -> (u16, String) {
        let answer = self.whole.ask(method, target, &[("Authorization", &format!("Bearer {ticket}"))]).await;
        let reason = if !answer.body.starts_with(b"{") { String::new() } else { self.whole.reason_of(&answer).await };
        (answer.status, reason)
    }

    /// How often the state store was asked to burn.
    fn burns(&self) -> u64 {
        let text = self.whole.process.exposition();
        let lines = text.lines().filter(|line| line.starts_with("countersign_state_requests_total") && line.contains("operation=\"burn\""));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

/// A ticket for one use by `subject`, good for a minute.
fn order(subject: &str) -> TicketOrder {
    TicketOrder {
        subject: subject.into(),
        life: Some(Seconds(60)),
        scopes: Box::default(),
        single_use: true,
        bindings: Bindings::default(),
        claims: Value::empty(),
    }
}

fn ticket_for(audience: &str, order: TicketOrder) -> String {
    let key = mac::key_of(Secret::new(KEY.to_vec())).unwrap();
    let press = Mint {
        key: TicketKey::new(key.id, &key.secret),
        issuer: "countersign".into(),
        audience: audience.into(),
        max_life: Seconds(u32::MAX),
    };
    mint(&press, order, Timestamp(NOW), &SystemRandom).unwrap()
}

fn ticket(order: TicketOrder) -> String {
    ticket_for("app", order)
}

const REPLAYED: (u16, &str) = (401, "replayed");

fn is(told: &(u16, String), expected: (u16, &str)) -> bool {
    (told.0, told.1.as_str()) == expected
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_redemptions_at_once_one_gets_a_pair() {
    let yard = Arc::new(Yard::calm().await);
    let once = ticket(order("anna"));
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (yard, once) = (Arc::clone(&yard), once.clone());
        racers.spawn(async move {
            let mut won = Vec::new();
            for turn in 0..25 {
                // By both ways of showing it, and by using it, all at once.
                match (number + turn) % 3 {
                    0 => won.push(yard.redeem(&once).await.status),
                    1 => won.push(yard.with("POST", "/own", &once).await.0),
                    _ => won.push(yard.with("GET", "/use/x", &once).await.0),
                }
            }
            won
        });
    }
    let statuses: Vec<u16> = racers.join_all().await.into_iter().flatten().collect();
    let won = statuses.iter().filter(|status| **status == 200).count();
    let lost = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!((won, lost), (1, 999), "F2: exactly one, whatever it was spent for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_nowhere_here_is_not_spent() {
    let yard = Yard::calm().await;
    let bound = |bindings| ticket(TicketOrder { bindings, ..order("anna") });
    let once = ticket(order("anna"));
    let rows = [
        ("F10", ticket_for("elsewhere", order("anna")), "POST", "/own", (401, "audience_mismatch"), "another audience"),
        (
            "F10",
            bound(Bindings { path: Some("/use".into()), ..Bindings::default() }),
            "POST",
            "/own",
            (401, "claim_missing"),
            "another route",
        ),
        (
            "F10",
            bound(Bindings { methods: ["GET".into()].into(), ..Bindings::default() }),
            "POST",
            "/own",
            (401, "claim_missing"),
            "another method",
        ),
        (
            "F10",
            bound(Bindings { host: Some("other.test".into()), ..Bindings::default() }),
            "POST",
            "/own",
            (401, "claim_missing"),
            "another host",
        ),
        ("F13", once.clone(), "HEAD", "/use/x", (401, ""), "HEAD only looks"),
        ("F13", once.clone(), "OPTIONS", "/use/x", (401, "claim_missing"), "OPTIONS only asks"),
        (
            "F20",
            ticket(TicketOrder { life: Some(Seconds(315_360_000)), ..order("anna") }),
            "POST",
            "/own",
            (401, "claims_malformed"),
            "ten years",
        ),
    ];
    for (id, ticket, method, target, expected, shows) in &rows {
        let told = yard.with(method, target, ticket).await;
        assert!(is(&told, *expected), "{id}: {shows}: {told:?}");
        if *target == "/own" {
            let answer = yard.redeem(ticket).await;
            let reason = yard.whole.reason_of(&answer).await;
            assert_eq!((answer.status, reason.as_str()), *expected, "{id}: {shows}, in a body");
        }
    }
    assert_eq!(yard.burns(), 0, "none of them came near the store");
    let fetch = [("Authorization", format!("Bearer {once}")), ("Sec-Purpose", "prefetch;prerender".to_owned())];
    let fields: Vec<(&str, &str)> = fetch.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(yard.whole.ask("GET", "/use/x", &fields).await.status, 401, "F13: a browser that looks ahead spends nothing");
    assert_eq!(yard.with("GET", "/use/x", &once).await.0, 200, "and the ticket is still good");
    let part = ticket(order("anna"));
    let field = format!("Bearer {part}");
    let range = [("Authorization", field.as_str()), ("Range", "bytes=0-0")];
    assert_eq!(yard.whole.ask("GET", "/use/x", &range).await.status, 200, "F13: a part of a download is a use like any other");
    assert!(is(&yard.with("GET", "/use/x", &part).await, REPLAYED), "F13: and there is no second part");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_is_tried_again_without_spending_again() {
    let yard = Yard::calm().await;
    for number in 0..4 {
        let once = ticket(order("anna"));
        let told = yard.with("GET", "/pair/x", &once).await;
        assert_eq!(told.0, 200, "F14: {number}: {told:?}");
        assert!(is(&yard.with("GET", "/pair/x", &once).await, REPLAYED), "F14: {number}: once all the same");
    }
    assert_eq!((yard.upstream.hits(), yard.burns()), (4, 8), "F14: one burn for each request, whatever the number of tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_makes_of_it_does_not_give_a_ticket_back() {
    let yard = Yard::start(|target| match target {
        "/use/broken" => Reply::Bytes(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec()),
        "/use/gone" => Reply::Hangup,
        _ => ok("fine"),
    })
    .await;
    for (target, status) in [("/use/broken", 500), ("/use/gone", 502)] {
        let once = ticket(order("anna"));
        assert_eq!(yard.with("GET", target, &once).await.0, status, "F15: {target}");
        assert!(is(&yard.with("GET", "/use/x", &once).await, REPLAYED), "F15: {target}: it stays spent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_has_spent_its_ticket() {
    let yard = Yard::calm().await;
    let once = ticket(order("anna"));
    let body = json!({ "ticket": once }).to_string();
    let mut client = yard.whole.client().await;
    client
        .send(format!(
            "POST /redeem HTTP/1.1\r\nHost: proxy.test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    drop(client);
    eventually("the burn", || yard.burns() == 1).await;
    let answer = yard.redeem(&once).await;
    assert_eq!((answer.status, yard.whole.reason_of(&answer).await.as_str()), REPLAYED, "F16: the pair that nobody read is lost");
    let records = yard.whole.audit(2).await;
    assert!(
        records.iter().any(|record| record["rule"] == "redeem" && record["status"] == 200),
        "F16: and it stands in the record: {records:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_tickets_that_are_none_never_reaches_the_store() {
    let yard = Yard::calm().await;
    let good = ticket(order("anna"));
    let mut counts = [0; 2];
    for number in 0..200 {
        let mut forged = good.clone().into_bytes();
        let at = 60 + number % 60;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        match yard.redeem(&String::from_utf8(forged).unwrap()).await.status {
            401 => counts[0] += 1,
            429 => counts[1] += 1,
            status => panic!("F23: {status}"),
        }
    }
    assert_eq!(counts, [50, 150], "F23: opened as long as the budget lasts, and then not even that");
    assert_eq!(yard.burns(), 0, "F23: and the store was asked about none");
    assert_eq!(yard.redeem(&good).await.status, 429, "over budget is over budget");
    yard.whole.set_clock(NOW + 59);
    assert_eq!(yard.redeem(&good).await.status, 200, "once some of it is paid off, the good one is as good as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tickets_the_one_that_was_judged_counts() {
    let yard = Yard::calm().await;
    let (anna, bob) = (ticket(order("anna")), ticket(order("bob")));
    let field = format!("Bearer {anna}");
    let body = json!({ "ticket": bob }).to_string();
    let answer = yard.whole.ask_with("POST", "/own", &[("Authorization", &field), ("Content-Type", "application/json")], &body).await;
    let pair: Json = serde_json::from_slice(&answer.body).unwrap();
    let claims = pair["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Json = serde_json::from_slice(&countersign::jose::base64url::decode(&claims).unwrap()).unwrap();
    assert_eq!(claims["sub"], "anna", "the caller's own, never the one that was slipped in beside it");
    assert_eq!(yard.redeem(&bob).await.status, 200, "which is not spent either");
    let answer = yard.whole.ask_with("POST", "/own", &[("Authorization", &field), ("Ticket", &bob)], "").await;
    assert_eq!(answer.status, 400, "two in the head are a conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn trading_tickets_for_tickets_stretches_nothing() {
    let yard = Yard::calm().await;
    let first = ticket(TicketOrder { single_use: false, life: Some(Seconds(600)), ..order("anna") });
    yard.whole.set_clock(NOW + 590);
    let field = format!("Bearer {first}");
    let answer = yard.whole.ask("POST", "/again", &[("Authorization", &field)]).await;
    let minted: Json = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &minted["expires_in"]), (201, &json!(10)), "what is left of the first: {minted}");
    let second = minted["ticket"].as_str().unwrap();
    yard.whole.set_clock(NOW + 599);
    assert_eq!(yard.with("GET", "/use/x", second).await.0, 200);
    yard.whole.set_clock(NOW + 600);
    assert!(is(&yard.with("GET", "/use/x", second).await, (401, "expired")), "both end together");
}

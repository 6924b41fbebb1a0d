//! Tickets through the running proxy: reusable, bound, and for one use.

use countersign::ambient::SystemRandom;
use countersign::domain::{Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::mac;

use crate::support::rows::{row, run};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const KEY: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";

fn order() -> TicketOrder {
    TicketOrder {
        subject: "anna".into(),
        life: Some(Seconds(60)),
        scopes: Box::default(),
        single_use: false,
        bindings: Bindings::default(),
        claims: Value::empty(),
    }
}

fn bound(bindings: Bindings) -> TicketOrder {
    TicketOrder { bindings, ..order() }
}

/// A ticket under `key`, for `audience`, made now.
fn ticket_of(key: &[u8], audience: &str, order: TicketOrder) -> String {
    let key = mac::key_of(Secret::new(key.to_vec())).unwrap();
    let press = Mint {
        key: TicketKey::new(key.id, &key.secret),
        issuer: "countersign".into(),
        audience: audience.into(),
        max_life: Seconds(1_000_000),
    };
    mint(&press, order, Timestamp(NOW), &SystemRandom).unwrap()
}

fn ticket(order: TicketOrder) -> String {
    ticket_of(KEY, "app", order)
}

pub(crate) fn conf(upstream: &Upstream) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ tickets: {{ mac: {{ file: ticket.key }} }} }}
authenticators:
  pass: {{ ticket: {{ keys: tickets, audience: app }} }}
  query: {{ ticket: {{ keys: tickets, audience: app, from: {{ query: ticket }} }} }}
  once: {{ ticket: {{ keys: tickets, audience: app, single_use: true }} }}
rules:
  - {{ name: pass, match: {{ paths: [/pass/**] }}, authenticate: pass, forward: app }}
  - {{ name: query, match: {{ paths: [/query/**] }}, authenticate: query, forward: app }}
  - {{ name: once, match: {{ paths: [/once/**] }}, authenticate: once, forward: app }}
  - {{ name: never, match: {{ paths: [/never/**] }}, authenticate: once, authorize: 'request.path == ''/elsewhere''', forward: app }}
",
        upstream.address
    )
}

/// A ticket for one use that [`conf`] takes.
pub(crate) fn single_use() -> String {
    ticket(TicketOrder { single_use: true, ..order() })
}

/// One that is good as long as it lasts.
pub(crate) fn reusable() -> String {
    ticket(order())
}

/// The key file of [`conf`].
pub(crate) const KEY_FILE: (&str, &[u8]) = ("ticket.key", KEY);

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_for_what_it_was_made_for() {
    let upstream = Upstream::start().await;
    let whole = Whole::start(&conf(&upstream), &[KEY_FILE]).await;
    let good = ticket(order());
    let send = |shows, ticket: &str| row(shows, "/pass/x").bearer(ticket);
    let with = |bindings| ticket(bound(bindings));
    let to_path = with(Bindings { path: Some("/pass/a".into()), ..Bindings::default() });
    let by_get = with(Bindings { methods: Box::new(["GET".into()]), ..Bindings::default() });
    let device = with(Bindings { device: Some("phone-7".into()), ..Bindings::default() });
    let here = with(Bindings { address: Some("127.0.0.1".parse().unwrap()), ..Bindings::default() });
    let there = with(Bindings { address: Some("192.0.2.1".parse().unwrap()), ..Bindings::default() });
    let host = with(Bindings { host: Some("files.example".into()), ..Bindings::default() });
    let mut changed = good.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();

    let rows = [
        send("a good ticket", &good).passes("anna"),
        send("and again", &good).passes("anna"),
        row("in its own header", "/pass/x").credential("Ticket", &good).passes("anna"),
        row("in a parameter", format!("/query/x?ticket={good}")).secret(&good).passes("anna"),
        row("in a parameter only where the conf says so", format!("/pass/x?ticket={good}")).refused(401, "credential_missing"),
        row("nothing", "/pass/x").refused(401, "credential_missing"),
        send("not a ticket", "garbage").refused(401, "credential_malformed"),
        send("the prefix alone", "ct1.").refused(401, "credential_malformed"),
        send("cut off", &good[..good.len() - 4]).refused(401, "signature_invalid"),
        send("one letter changed", &changed).refused(401, "signature_invalid"),
        send("of another house", &ticket_of(b"another key of at least thirty-two bytes", "app", order())).refused(401, "key_unknown"),
        send("for another audience", &ticket_of(KEY, "other", order())).refused(401, "audience_mismatch"),
        send("made for longer than allowed", &ticket(TicketOrder { life: Some(Seconds(90_000)), ..order() }))
            .refused(401, "claims_malformed"),
        send("the second before it was made", &good).at(NOW - 1).refused(401, "not_yet_valid"),
        send("its last second", &good).at(NOW + 59).passes("anna"),
        send("the end itself is too late", &good).at(NOW + 60).refused(401, "expired"),
        send("too long", &format!("ct1.{}", "A".repeat(5_000))).refused(401, "credential_malformed"),
        send("twice", &good).bearer(&good).refused(400, "credential_conflict"),
        send("two that differ", &good).credential("Ticket", ticket(order())).refused(400, "credential_conflict"),
        row("where it is bound to", "/pass/a").bearer(&to_path).passes("anna"),
        row("below it", "/pass/a/b").bearer(&to_path).passes("anna"),
        row("beside it", "/pass/ab").bearer(&to_path).refused(401, "claim_missing"),
        row("below it in another spelling", "/pass/%61/b").bearer(&to_path).passes("anna"),
        row("out of it again", "/pass/a/../b").bearer(&to_path).refused(400, "target_ambiguous"),
        send("with its method", &by_get).passes("anna"),
        send("with another method", &by_get).method("DELETE").refused(401, "claim_missing"),
        send("on its device", &device).field("Device-Identifier", "phone-7").passes("anna"),
        send("on another device", &device).field("Device-Identifier", "phone-8").refused(401, "claim_missing"),
        send("on no device", &device).refused(401, "claim_missing"),
        send("on two devices", &device)
            .field("Device-Identifier", "phone-7")
            .field("Device-Identifier", "phone-8")
            .refused(401, "claim_missing"),
        send("from its address", &here).passes("anna"),
        send("from another address", &there).refused(401, "claim_missing"),
        send("an address is not a matter of fields", &there).field("X-Forwarded-For", "192.0.2.1").refused(401, "claim_missing"),
        send("to its host", &host).field("Host", "files.example").passes("anna"),
        send("to another host", &host).refused(401, "claim_missing"),
    ];
    run(&whole, &upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_for_one_use_is_spent_by_what_passes_and_by_nothing_else() {
    let upstream = Upstream::start().await;
    let whole = Whole::start(&conf(&upstream), &[KEY_FILE]).await;
    let once = single_use();
    let plain = ticket(order());
    let elsewhere = single_use();
    let send = |shows, path: &'static str, ticket: &str| row(shows, path).bearer(ticket);
    let rows = [
        send("a rehearsal spends nothing", "/once/x", &once).method("HEAD").refused(401, "claim_missing"),
        send("nor does a prefetch", "/once/x", &once).field("Sec-Purpose", "prefetch").refused(401, "claim_missing"),
        send("nor what a condition refuses", "/never/x", &once).refused(403, "policy_denied"),
        send("nor what comes too late", "/once/x", &once).at(NOW + 60).refused(401, "expired"),
        send("it is still good", "/once/x", &once).passes("anna"),
        send("and spent", "/once/x", &once).refused(401, "replayed"),
        send("for every other authenticator too", "/pass/x", &once).refused(401, "replayed"),
        row("wherever it stands", format!("/query/x?ticket={once}")).secret(&once).refused(401, "replayed"),
        send("an authenticator for one use spends any", "/once/x", &plain).passes("anna"),
        send("once", "/once/x", &plain).refused(401, "replayed"),
        send("one ticket's end is not another's", "/once/x", &elsewhere).passes("anna"),
    ];
    run(&whole, &upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_ticket_lets_one_in() {
    let upstream = Upstream::start().await;
    let whole = std::sync::Arc::new(Whole::start(&conf(&upstream), &[KEY_FILE]).await);
    whole.ready().await;
    let once = single_use();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (whole, field) = (std::sync::Arc::clone(&whole), format!("Bearer {once}"));
        racers.spawn(async move { whole.ask("GET", "/once/x", &[("Authorization", &field)]).await.status });
    }
    let mut statuses = racers.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![401; 39]].concat());
    assert_eq!(upstream.hits(), 1);
}

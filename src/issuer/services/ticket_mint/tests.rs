//! What a ticket takes over from whoever asks for it.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{For, MintPlan, TicketMint};
use crate::domain::{Identity, Seconds, Timestamp, Value};
use crate::issuer::contract::{Service, TicketUse};
use crate::issuer::services::stage::{Counting, NOW, posted, terms};
use crate::issuer::ticket::Mint;
use crate::jose::ticket::{Ticket, open};
use crate::settings::Span;

fn service(subject: For, scopes: Option<&[&str]>) -> TicketMint {
    let terms = Arc::new(terms());
    let span = Span { file: "conf".into(), line: 1, column: 1 };
    let plan = MintPlan {
        tickets: TicketUse { authenticator: None, life: None, span },
        single_use: false,
        bind: Box::default(),
        subject,
        scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).into()).collect()),
        claims: Box::new(["tenant".into(), "absent".into()]),
    };
    let key = terms.keys.first().cloned().unwrap();
    let mint = Mint { key, issuer: terms.issuer.clone(), audience: terms.audience.clone(), max_life: Seconds(3_600) };
    TicketMint { plan, mint, terms, random: Arc::new(Counting::default()) }
}

/// `anna` of `https://id.example`, with the scopes `read` and `write`, until five minutes from now.
fn caller() -> Arc<Identity> {
    Arc::new(Identity {
        subject: "anna".into(),
        issuer: "https://id.example".into(),
        scopes: Box::new(["read".into(), "write".into()]),
        claims: Value::Map(Box::new([("tenant".into(), "north".into()), ("role".into(), "admin".into())])).into(),
        expires: Some(Timestamp(NOW.0 + 300)),
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    })
}

/// The ticket that `service` gives for `body`, or what is wrong.
async fn asked(service: &TicketMint, body: Json) -> Result<Ticket, String> {
    let caller = caller();
    let reply = posted(&body, Some(&caller), NOW, async |call| service.serve(call).await).await.unwrap();
    let told: Json = serde_json::from_slice(&reply.body).unwrap();
    match told["ticket"].as_str() {
        Some(text) => Ok(open(&service.terms.keys, text).unwrap()),
        None => Err(told["detail"].as_str().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn scopes_are_given_as_the_conf_and_the_caller_allow() {
    let rows = [
        // for whom, what the conf lists, what is asked for, what is given, what the row shows
        (For::Identity, None, json!({}), Some(""), "nothing is listed and nothing asked for"),
        (For::Identity, None, json!({ "scope": "read" }), Some("read"), "some of the caller's own"),
        (For::Identity, None, json!({ "scope": "read read" }), Some("read"), "each once"),
        (For::Identity, None, json!({ "scope": "chat" }), None, "nothing that the caller has not"),
        (For::Identity, Some(&["read", "chat"][..]), json!({}), Some("read"), "listed, as far as the caller has it"),
        (For::Identity, Some(&["read", "chat"][..]), json!({ "scope": "chat" }), None, "a list gives the caller nothing new"),
        (For::Identity, Some(&["read"][..]), json!({ "scope": "write" }), None, "nor what the conf does not list"),
        (For::Identity, Some(&[][..]), json!({}), Some(""), "an empty list gives nothing"),
        (For::Identity, Some(&[][..]), json!({ "scope": "read" }), None, "to nobody"),
        (For::Request, None, json!({ "subject": "bob" }), Some(""), "a server's own scopes are not its users' by default"),
        (For::Request, None, json!({ "subject": "bob", "scope": "read" }), Some("read"), "it may pass on what it has"),
        (For::Request, None, json!({ "subject": "bob", "scope": "chat" }), None, "and nothing else"),
        (For::Request, Some(&["chat"][..]), json!({ "subject": "bob" }), Some("chat"), "what the conf lists for users"),
        (For::Request, Some(&["chat"][..]), json!({ "subject": "bob", "scope": "read" }), None, "not what the server has"),
    ];
    for (subject, listed, body, expected, shows) in rows {
        let given = asked(&service(subject, listed), body).await.map(|ticket| ticket.scopes.join(" "));
        assert_eq!(given.as_deref().ok(), expected, "{shows}: {given:?}");
    }
}

#[tokio::test]
async fn a_ticket_says_who_asked_for_it_and_carries_only_what_the_conf_names() {
    let ticket = asked(&service(For::Request, None), json!({ "subject": "bob" })).await.unwrap();
    let asker = Value::Map(Box::new([("iss".into(), "https://id.example".into()), ("sub".into(), "anna".into())]));
    assert_eq!(ticket.claims, Value::Map(Box::new([("tenant".into(), "north".into()), ("minted_by".into(), asker)])));
    assert_eq!((&*ticket.subject, &*ticket.issuer, &*ticket.audience), ("bob", "us", "app"));
}

#[tokio::test]
async fn a_ticket_for_the_caller_ends_with_its_credential_and_one_for_a_user_by_itself() {
    let life = async |subject, body| asked(&service(subject, None), body).await.map(|ticket| ticket.expires.0 - NOW.0);
    let rows = [
        (For::Identity, json!({}), 300, "what is left of the caller's own"),
        (For::Identity, json!({ "expires_in": 299 }), 299, "less, when asked for"),
        (For::Identity, json!({ "expires_in": 3_600 }), 300, "never more"),
        (For::Request, json!({ "subject": "bob" }), 3_600, "a server's credential says nothing about its users' tickets"),
        (For::Request, json!({ "subject": "bob", "expires_in": 1 }), 1, "less, when asked for"),
    ];
    for (subject, body, expected, shows) in rows {
        assert_eq!(life(subject, body).await, Ok(expected), "{shows}");
    }
}

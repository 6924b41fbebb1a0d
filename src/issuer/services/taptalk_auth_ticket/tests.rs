//! Tickets for users whom a back end names, and what they carry.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{AuthTicket, TicketPlan};
use crate::domain::{Claims, Identity, Refusal, Seconds, Value};
use crate::issuer::contract::{Service, TicketUse};
use crate::issuer::services::stage::{Counting, NOW, posted, terms};
use crate::issuer::ticket::Mint;
use crate::jose::ticket::{Ticket, open};
use crate::settings::Span;

fn service(device: bool, address: bool) -> AuthTicket {
    let terms = terms();
    let span = Span { file: "conf".into(), line: 1, column: 1 };
    let tickets = TicketUse { authenticator: None, life: None, span };
    let plan = TicketPlan { tickets, device, address, scopes: Box::new(["chat".into()]) };
    let key = terms.keys.first().cloned().unwrap();
    let mint = Mint { key, issuer: terms.issuer.clone(), audience: terms.audience.clone(), max_life: Seconds(3_600) };
    AuthTicket { plan, mint, random: Arc::new(Counting::default()) }
}

/// The back end `sid`.
fn server() -> Arc<Identity> {
    Arc::new(Identity {
        subject: "sid".into(),
        issuer: "partners".into(),
        scopes: Box::new(["everything".into()]),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "server_key",
        authenticator: "server".into(),
        burn: None,
        also: Vec::new(),
    })
}

fn anna() -> Json {
    json!({
        "userIPAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
        "xcUserID": "anna", "fullName": "Anna Example", "email": "anna@app.example", "phone": "",
    })
}

async fn asked(service: &AuthTicket, body: &Json) -> Json {
    let reply = posted(body, Some(&server()), NOW, async |call| service.serve(call).await).await.unwrap();
    assert_eq!(reply.status, 200, "whatever it says");
    serde_json::from_slice(&reply.body).unwrap()
}

async fn ticket(service: &AuthTicket, body: &Json) -> Ticket {
    let told = asked(service, body).await;
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!(200), &json!("")), "{told}");
    assert_eq!(told["data"]["userID"], "anna");
    open(&terms().keys, told["data"]["ticket"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_ticket_is_for_the_user_who_was_named_for_one_use_within_an_hour() {
    let ticket = ticket(&service(false, false), &anna()).await;
    assert_eq!((&*ticket.subject, ticket.single_use, ticket.expires.0 - ticket.issued.0), ("anna", true, 3_600));
    assert_eq!(ticket.scopes, ["chat".into()].into(), "what the conf gives to users, and nothing of the back end's own");
    let asker = Value::Map(Box::new([("iss".into(), "partners".into()), ("sub".into(), "sid".into())]));
    let said = Value::Map(Box::new([
        ("fullName".into(), "Anna Example".into()),
        ("email".into(), "anna@app.example".into()),
        ("minted_by".into(), asker),
    ]));
    assert_eq!(ticket.claims, said, "what was said of the user, nothing of the device, and who said it");
    assert_eq!((ticket.bindings.device, ticket.bindings.address), (None, None), "bound to nothing unless the conf says so");
}

#[tokio::test]
async fn a_ticket_is_bound_to_what_the_conf_names() {
    let bound = ticket(&service(true, true), &anna()).await;
    assert_eq!(bound.bindings.device.as_deref(), Some("d-1"));
    assert_eq!(bound.bindings.address, Some("192.0.2.7".parse().unwrap()));

    let mut body = anna();
    body["userDeviceID"] = "gerät".into();
    let told = asked(&service(true, false), &body).await;
    assert_eq!((&told["error"]["code"], &told["error"]["field"]), (&json!("40002"), &json!("userDeviceID")), "no header could say it");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_published_form_and_no_ticket_is_given() {
    let without = |name: &str| {
        let mut body = anna();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Json| {
        let mut body = anna();
        body[name] = value;
        body
    };
    let long = format!("https://p.example/{}", "p".repeat(2_000));
    let mut longest = with("photoThumbnailURL", json!(long));
    longest["photoFullsizeURL"] = json!(long);
    let rows = [
        (without("xcUserID"), "xcUserID", "nobody"),
        (with("xcUserID", json!("a".repeat(51))), "xcUserID", "a name that is too long"),
        (with("userPlatform", json!("desk")), "userPlatform", "another platform"),
        (with("sub", json!("root")), "", "a field that is not documented"),
        (longest, "", "more than a ticket carries"),
        (json!([]), "", "no object"),
    ];
    for (body, field, shows) in rows {
        let told = asked(&service(false, false), &body).await;
        assert_eq!(told["status"], 400, "{shows}: {told}");
        assert_eq!((&told["error"]["code"], &told["error"]["field"]), (&json!("40002"), &json!(field)), "{shows}");
        assert_eq!(told["data"], json!({}), "{shows}");
    }
}

#[tokio::test]
async fn nobody_gets_nothing_and_no_user_says_who_it_is() {
    let service = service(false, false);
    for scheme in ["jwt", "session", "ticket"] {
        let user = Arc::new(Identity { scheme, ..Identity::clone(&server()) });
        let outcome = posted(&anna(), Some(&user), NOW, async |call| service.serve(call).await).await;
        assert!(matches!(outcome, Err(Refusal::PolicyDenied)), "{scheme}: whoever may name a user may be anybody");
    }
    let outcome = posted(&anna(), None, NOW, async |call| service.serve(call).await).await;
    assert!(matches!(outcome, Err(Refusal::CredentialMissing)));
}

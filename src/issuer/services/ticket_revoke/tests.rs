//! What is said of a ticket that was, or could not be, taken back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};

use super::TicketRevoke;
use crate::domain::{Reason, Silent, Timestamp};
use crate::issuer::contract::Service;
use crate::issuer::services::stage::{Counting, NOW, Shaky, posted, revocations, terms, ticket};
use crate::jose::ticket::id_text;
use crate::state::contract::StateStore;

struct House {
    store: Arc<Shaky>,
    service: TicketRevoke,
    random: Counting,
}

impl House {
    async fn new(by_id: bool) -> Self {
        let store = Arc::new(Shaky::new());
        let state: Arc<dyn StateStore> = Arc::clone(&store) as Arc<dyn StateStore>;
        let revoked = revocations(&state);
        assert!(revoked.catch_up().await);
        let service = TicketRevoke { terms: Arc::new(terms()), by_id, state, revoked, observer: Arc::new(Silent) };
        Self { store, service, random: Counting::default() }
    }

    /// The state it tells, or the status and what is wrong.
    async fn revoke(&self, body: Json, now: i64) -> Result<String, (u16, String)> {
        let served = posted(&body, None, Timestamp(now), async |call| self.service.serve(call).await).await;
        match served {
            Err(refusal) => Err((refusal.reason().status(), refusal.reason().as_str().to_owned())),
            Ok(reply) => {
                let told: Json = serde_json::from_slice(&reply.body).unwrap();
                match told.get("state").and_then(Json::as_str) {
                    Some(state) => Ok(state.to_owned()),
                    None => Err((reply.status, told["detail"].as_str().unwrap().to_owned())),
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_told_that_a_ticket_is_revoked_before_every_node_knows() {
    let house = House::new(true).await;
    let often = ticket("anna", false, &house.random);
    let unavailable = Err((503, Reason::StateUnavailable.as_str().to_owned()));
    house.store.burns_fail.store(true, Ordering::SeqCst);
    assert_eq!(house.revoke(json!({ "ticket": often.text }), NOW.0).await, unavailable, "it could not be marked as spent");
    house.store.burns_fail.store(false, Ordering::SeqCst);
    house.store.appends_fail.store(true, Ordering::SeqCst);
    assert_eq!(house.revoke(json!({ "ticket": often.text }), NOW.0).await, unavailable, "this node alone knows");
    house.store.appends_fail.store(false, Ordering::SeqCst);
    assert_eq!(house.revoke(json!({ "ticket": often.text }), NOW.0).await, Ok("spent".to_owned()), "asked again, all do");
}

#[tokio::test]
async fn a_ticket_is_taken_back_until_its_very_end() {
    let house = House::new(true).await;
    let rows = [(609, "revoked", "the last second that its verifier still takes it in, leeway included"), (610, "expired", "its end")];
    for (later, state, shows) in rows {
        let once = ticket("anna", true, &house.random);
        assert_eq!(house.revoke(json!({ "ticket": once.text }), NOW.0 + later).await, Ok(state.to_owned()), "{shows}");
    }
}

#[tokio::test]
async fn an_id_will_do_where_the_conf_says_so() {
    for by_id in [true, false] {
        let house = House::new(by_id).await;
        let once = ticket("anna", true, &house.random);
        let told = house.revoke(json!({ "jti": id_text(&once.ticket.id) }), NOW.0).await;
        match by_id {
            true => assert_eq!(told, Ok("revoked".to_owned())),
            false => assert!(matches!(&told, Err((400, says)) if says.contains("its id is not enough")), "{told:?}"),
        }
        let told = house.revoke(json!({ "ticket": once.text }), NOW.0).await;
        assert_eq!(told.as_deref(), Ok(if by_id { "spent" } else { "revoked" }), "shown, it always does");
    }
}

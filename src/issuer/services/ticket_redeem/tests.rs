//! What becomes of a ticket when the store fails, and of one that was taken back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::TicketRedeem;
use crate::domain::{By, Reason, Refusal, Revocation, Seconds, Silent, Timestamp};
use crate::issuer::contract::{Reply, Service};
use crate::issuer::pairs::{Issuer, IssuerTools, Terms};
use crate::issuer::services::stage::{Counting, NOW, Shaky, posted, revocations, terms, ticket};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::state::contract::StateStore;

struct House {
    store: Arc<Shaky>,
    service: TicketRedeem,
    random: Counting,
}

impl House {
    fn new() -> Self {
        let store = Arc::new(Shaky::new());
        let state: Arc<dyn StateStore> = Arc::clone(&store) as Arc<dyn StateStore>;
        let pair_terms = Terms {
            name: "ours".into(),
            issuer: "https://proxy.example".into(),
            audience: Box::new(["app".into()]),
            access_life: Seconds(900),
            refresh_life: Seconds(86_400),
            grace: Seconds(30),
            client_id: "ours".into(),
            claims: Box::default(),
        };
        let keys: Arc<[SigningKey]> = Arc::new([SigningKey::generate(Algorithm::EdDsa).unwrap()]);
        let revoked = revocations(&state);
        let tools = IssuerTools {
            state: Arc::clone(&state),
            revoked: Arc::clone(&revoked),
            random: Arc::new(Counting::default()),
            observer: Arc::new(Silent),
        };
        let issuer = Issuer::new(pair_terms, keys, tools).unwrap();
        let service = TicketRedeem { terms: Arc::new(terms()), issuer: Arc::new(issuer), revoked, state, observer: Arc::new(Silent) };
        Self { store, service, random: Counting::default() }
    }

    async fn redeem(&self, text: &str) -> Result<Reply, Refusal> {
        posted(&json!({ "ticket": text }), None, NOW, async |call| self.service.serve(call).await).await
    }

    async fn outcome(&self, text: &str) -> Result<u16, Reason> {
        self.redeem(text).await.map(|reply| reply.status).map_err(|refusal| refusal.reason())
    }
}

#[tokio::test]
async fn without_the_store_nothing_is_given_and_nothing_spent_twice() {
    let house = House::new();
    assert!(house.service.revoked.catch_up().await);
    let once = ticket("anna", true, &house.random);
    house.store.burns_fail.store(true, Ordering::SeqCst);
    assert_eq!(house.outcome(&once.text).await, Err(Reason::StateUnavailable), "nobody can say that it is unspent");
    house.store.burns_fail.store(false, Ordering::SeqCst);
    assert_eq!(house.outcome(&once.text).await, Ok(200), "it was not spent");
    assert_eq!(house.outcome(&once.text).await, Err(Reason::Replayed), "and is now");

    let lost = ticket("anna", true, &house.random);
    house.store.writes_fail.store(true, Ordering::SeqCst);
    assert_eq!(house.outcome(&lost.text).await, Err(Reason::StateUnavailable), "spent, and no pair could be kept");
    house.store.writes_fail.store(false, Ordering::SeqCst);
    assert_eq!(house.outcome(&lost.text).await, Err(Reason::Replayed), "it is lost: that is the price of never twice");
}

#[tokio::test]
async fn who_is_revoked_redeems_nothing_and_while_nobody_can_say_neither_does_anyone() {
    let house = House::new();
    let once = ticket("anna", true, &house.random);
    assert_eq!(house.outcome(&once.text).await, Err(Reason::StateUnavailable), "the list was never read");
    assert!(house.service.revoked.catch_up().await);
    let revocation = Revocation {
        by: By::Subject,
        value: "anna".into(),
        issuer: None,
        issued_before: None,
        until: Timestamp(NOW.0 + 600),
        reason: "".into(),
    };
    let other = ticket("bob", true, &house.random);
    house.service.revoked.revoke(revocation).await;
    assert_eq!(house.outcome(&once.text).await, Err(Reason::Revoked), "by its subject");
    assert_eq!(house.outcome(&other.text).await, Ok(200), "others go on");
}

#[tokio::test]
async fn a_proven_client_is_the_only_one_that_may_rotate_its_pair() {
    let house = House::new();
    assert!(house.service.revoked.catch_up().await);
    let backend = house.service.terms.judge(&ticket("backend", false, &house.random).text, &request(), NOW).unwrap().into_inner();
    let mut client = (*backend).clone();
    (client.authenticator, client.scheme, client.issuer) = ("partner".into(), "server_key", "partners".into());
    let client = Arc::new(client);
    let body = json!({ "ticket": ticket("anna", true, &house.random).text });
    let reply = posted(&body, Some(&client), NOW, async |call| house.service.serve(call).await).await.unwrap();
    let pair: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let refresh = pair["refresh_token"].as_str().unwrap();
    assert!(house.service.issuer.rotate(refresh, None, None, NOW).await.is_err(), "not anyone");
    let caller = (&*client).into();
    assert!(house.service.issuer.rotate(refresh, Some(&caller), None, NOW).await.is_ok(), "the client that redeemed");
}

/// A request of no particular kind.
fn request() -> crate::domain::RequestView<'static> {
    static TARGET: std::sync::LazyLock<crate::domain::Target> =
        std::sync::LazyLock::new(|| crate::domain::Target { path: "/".into(), query: None });
    static HEADERS: std::sync::LazyLock<http::HeaderMap> = std::sync::LazyLock::new(http::HeaderMap::new);
    crate::domain::RequestView {
        method: "POST",
        raw_target: "/",
        target: &TARGET,
        host: "",
        headers: &HEADERS,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "r",
    }
}

//! What the token endpoint does when the store is away; its forms are in the table of RFC 6749.

use crate::domain::Reason;
use crate::issuer::services::house::{House, post_at};
use crate::issuer::services::token::ENTRY;
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn an_outage_is_503_and_spends_nothing() {
    for fault in [Fault::Read, Fault::Write, Fault::LostWrite] {
        let house = House::new();
        let service = house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap();
        let body = format!("grant_type=refresh_token&refresh_token={}", house.login().await);
        house.failing.fail(Some(fault));
        let refusal = post_at("app.example", &service, None, &[FORM], &body).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::StateUnavailable, "{fault:?}: nobody can say, so nothing is given");
        house.failing.fail(None);
        let reply = post_at("app.example", &service, None, &[FORM], &body).await.unwrap();
        assert_eq!(reply.status, 200, "{fault:?}: the same token is answered when the store is back");
    }
}

#[test]
fn it_is_said_whose_tokens() {
    let house = House::new();
    let bare = house.service(&ENTRY, None).map(|_| ()).unwrap_err();
    assert!(bare[0].contains("{ token: { issuer: NAME } }"), "{bare:?}");
    let typo = house.service(&ENTRY, Some(&node(map(vec![("isuer", NodeValue::Text("main".into()))])))).map(|_| ()).unwrap_err();
    assert!(typo.iter().any(|says| says.contains("did you mean `issuer`")), "{typo:?}");
    let service = house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap();
    assert_eq!(service.public_keys(), Some(house.issuer.public_keys()), "what it signs with is published");
}

//! What the revocation endpoint does when the store is away; its forms are in the table of RFC 7009.

use crate::domain::Reason;
use crate::issuer::pairs::{GrantFault, PairFault};
use crate::issuer::services::house::{House, NOW, post_at};
use crate::issuer::services::revoke::ENTRY;
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn nobody_is_told_that_it_is_done_before_it_is() {
    for fault in [Fault::Read, Fault::Write, Fault::LostWrite] {
        let house = House::new();
        let service = house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap();
        let refresh = house.login().await;
        let body = format!("token={refresh}");
        house.failing.fail(Some(fault));
        let refusal = post_at("app.example", &service, None, &[FORM], &body).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::StateUnavailable, "{fault:?}");
        house.failing.fail(None);
        assert_eq!(post_at("app.example", &service, None, &[FORM], &body).await.unwrap().status, 200, "{fault:?}: asked again, it is done");
        let outcome = house.issuer.rotate(&refresh, None, None, NOW).await.map(|_| ());
        assert_eq!(outcome, Err(PairFault::Grant(GrantFault::Revoked)), "{fault:?}");
    }
}

#[test]
fn it_is_said_whose_tokens() {
    let bare = House::new().service(&ENTRY, None).map(|_| ()).unwrap_err();
    assert!(bare[0].contains("{ revoke: { issuer: NAME } }"), "{bare:?}");
}

//! Client secrets, social tokens, codes, access and refresh tokens, and where each of them may be seen.

use std::sync::atomic::Ordering;

use countersign::demo::systems::janrain::Trouble;
use countersign::domain::Timestamp;

use crate::janrain::stage::{ADDRESS, CLIENT, House, LIFE, REDIRECT, SECRET, SOCIAL, UUID, body, cookie_of, date, form, signature};
use crate::secrets::{NOWHERE, Place, Secrets};
use crate::support::rows::base64;
use crate::support::whole::NOW;
use crate::wire::Wire;

const OTHER_SOCIAL: &str = "ffab34cd56ef78gh90ij12kl34mn56op78qr90st";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_in_a_place_that_it_is_not_for() {
    let mut wire = None;
    let house = House::by(|capture| wire.insert(Wire::to(capture)).address).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    secrets.mark("the key of sessions", "only-for-tests-a-key-of-forty-bytes-long", NOWHERE);
    secrets.mark("the client's secret", SECRET, &[Place::Vendor]);

    // A page: its social token and its code, the session, renewals of every kind.
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    secrets.mark("a social token", SOCIAL, &[Place::Vendor]);
    secrets.keep(house.page(&format!("/oauth/auth_native?token={OTHER_SOCIAL}"), &form(&[("token", SOCIAL)]), None).await);
    let answer = secrets.keep(house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await);
    let code = body(&answer)["authorization_code"].as_str().unwrap().to_owned();
    secrets.mark("a code", &code, &[Place::Answers, Place::Vendor]);
    let first = cookie_of(&answer);
    secrets.mark("the first session", first.split_once('=').unwrap().1, &[Place::Answers]);
    let redeem = form(&[("grant_type", "authorization_code"), ("code", &code)]);
    let answer = secrets.keep(house.page("/oauth/token", &redeem, Some(&first)).await);
    let cookie = cookie_of(&answer);
    secrets.mark("the session", cookie.split_once('=').unwrap().1, &[Place::Answers]);
    let mut made = house.capture.live_tokens(Timestamp(NOW));
    secrets.keep(house.page("/oauth/token", &redeem, Some(&cookie)).await);
    secrets.keep(house.page("/oauth/auth_native", &form(&[("token", OTHER_SOCIAL)]), Some(&cookie)).await);
    secrets.mark("a social token that nobody gave", OTHER_SOCIAL, &[Place::Vendor]);
    let ask = async |target: &'static str| secrets.keep(house.get(target, &cookie).await);
    assert_eq!((ask("/home").await.status, body(&ask("/entity").await)["result"]["uuid"].as_str()), (200, Some(UUID)));
    house.vendor.store(NOW + LIFE, Ordering::SeqCst);
    assert_eq!(body(&ask("/entity").await)["stat"], "ok", "renewed because code 414 said so");
    made.extend(house.capture.live_tokens(Timestamp(NOW + LIFE)));
    house.set_clock(NOW + 3 * LIFE);
    assert_eq!(body(&ask("/entity").await)["stat"], "ok", "renewed by the clock");
    made.extend(house.capture.live_tokens(Timestamp(NOW + 3 * LIFE)));
    house.capture.trouble(Trouble::Down(503));
    house.set_clock(NOW + 5 * LIFE);
    ask("/entity").await;
    house.capture.trouble(Trouble::RefreshLost);
    house.set_clock(NOW + 7 * LIFE);
    ask("/entity").await;
    house.capture.trouble(Trouble::None);
    made.extend(house.capture.live_tokens(Timestamp(NOW + 7 * LIFE)));
    made.sort();
    made.dedup();
    let (seen, mut shown) = (wire.seen(), 0);
    for token in &made {
        shown += usize::from(seen.contains(token.as_str()));
        secrets.mark("a token that the session keeps", token, if seen.contains(token.as_str()) { &[Place::Vendor] } else { NOWHERE });
    }
    assert!(5 <= shown, "access and refresh tokens were shown to Capture: {shown} of {}", made.len());

    // Clients of the API that prove themselves in each way, well and badly.
    let at = date(NOW + 7 * LIFE);
    let signed = format!("Signature reader:{}", signature("reader-secret", "/entity", &at, &[]));
    let basic = format!("Basic {}", base64("reader:reader-secret"));
    let wrong = format!("Basic {}", base64("reader:marked-wrong-secret"));
    for (fields, status) in [
        (vec![("Authorization", signed.as_str()), ("Date", at.as_str())], 200),
        (vec![("Authorization", signed.as_str()), ("Date", at.as_str())], 200),
        (vec![("Authorization", basic.as_str())], 200),
        (vec![("Authorization", wrong.as_str())], 200),
        (vec![("Authorization", basic.as_str()), ("Authorization", wrong.as_str())], 200),
    ] {
        let answer = secrets.keep(house.api("GET", "/entity", &fields, "").await);
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.text());
    }
    secrets.mark("a signature", signed.rsplit(':').next().unwrap(), &[Place::Vendor]);
    secrets.mark("id and secret as Basic", base64("reader:reader-secret"), &[Place::Vendor]);
    secrets.mark("the secret of a client that signs", "reader-secret", NOWHERE);
    secrets.mark("a wrong secret", "marked-wrong-secret", NOWHERE);
    secrets.mark("a wrong secret as Basic", base64("reader:marked-wrong-secret"), NOWHERE);
    let refresh = |secret: &str| {
        form(&[("grant_type", "refresh_token"), ("refresh_token", "marked-refresh-r0"), ("client_id", "issuer"), ("client_secret", secret)])
    };
    secrets.keep(house.api("POST", "/oauth/token", &[], &refresh("issuer-secret")).await);
    secrets.keep(house.api("POST", "/oauth/token", &[], &refresh("marked-wrong-secret")).await);
    secrets.keep(house.api("GET", "/entity?client_secret=issuer-secret", &[("Authorization", &basic)], "").await);
    secrets.mark("a secret in the body", "issuer-secret", &[Place::Vendor]);
    secrets.mark("a refresh token of a client's own", "marked-refresh-r0", &[Place::Vendor]);
    let native = form(&[
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "20160420-1"),
        ("locale", "en-US"),
        ("redirect_uri", REDIRECT),
        ("token", "12ab34cd56ef78gh90ij12kl34mn56op78qr90su"),
        ("refresh_secret", "0123456789abcdef0123456789abcdef01234567"),
    ]);
    house.capture.social("12ab34cd56ef78gh90ij12kl34mn56op78qr90su", ADDRESS);
    let answer = secrets.keep(house.api("POST", "/oauth/auth_native", &[], &native).await);
    secrets.mark("a token of the app's own", body(&answer)["access_token"].as_str().unwrap(), &[Place::Answers]);
    secrets.mark("the app's refresh secret", "0123456789abcdef0123456789abcdef01234567", &[Place::Vendor]);
    let app: String = house.app.records().iter().map(|record| format!("{}\n{:?}\n", record.head, record.body)).collect();
    assert!(!app.is_empty());
    secrets.judge(&house.whole, &app, &wire.seen());
}

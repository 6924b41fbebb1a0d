//! Server-Keys, App-Keys, tickets, pairs and sessions, and where each of them may be seen.

use std::sync::atomic::Ordering;

use countersign::demo::systems::taptalk::{DemoTapTalk, Trouble};
use countersign::domain::Timestamp;
use serde_json::json;

use crate::secrets::{NOWHERE, Place, Secrets};
use crate::support::rows::base64;
use crate::support::whole::NOW;
use crate::taptalk::{LIFE, Stage, fine, refused, said, told, user_data};
use crate::wire::Wire;

const EXCHANGE: &str = "/v1/auth/access_token/request";
const REFRESH: &str = "/v1/auth/access_token/refresh";
const TICKET: &str = "/v1/server/auth_ticket/request";
const CHAT: &str = "/v1/chat/message/send";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_where_it_has_no_business() {
    let mut wire = None;
    let stage = Stage::by(|vendor| wire.insert(Wire::to(vendor)).address, |_, yaml| yaml).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    for file in ["demo-pepper.txt", "demo-ticket-current.key", "demo-assertion.pem"] {
        let text = super::read(&format!("keys/{file}"));
        secrets.mark(file, text.lines().find(|line| !line.starts_with("-----")).unwrap(), NOWHERE);
    }
    let bearer = |token: &str| format!("Bearer {token}");

    // In front of the app: back ends, tickets, pairs of our own.
    let (key, wrong) = (base64("demo-partner:demo-partner-secret"), base64("demo-partner:marked-wrong-secret"));
    secrets.mark("a back end's Server-Key", &key, NOWHERE);
    secrets.mark("the secret in it", "demo-partner-secret", NOWHERE);
    secrets.mark("a wrong Server-Key", &wrong, NOWHERE);
    let mut tickets = Vec::new();
    for (key, expected) in [(&key, fine()), (&wrong, refused(491, "49102")), (&key, fine())] {
        let fields = [("Host", "chat.example"), ("Server-Key", key.as_str()), ("Content-Type", "application/json")];
        let answer = secrets.keep(stage.whole.ask_with("POST", TICKET, &fields, &user_data("anna").to_string()).await);
        assert_eq!(told(&answer), expected);
        tickets.extend(said(&answer)["data"]["ticket"].as_str().map(str::to_owned));
    }
    for ticket in &tickets {
        secrets.mark("a ticket of ours", ticket, &[Place::Answers]);
    }
    let answer = secrets.keep(stage.with(EXCHANGE, &tickets[0]).await);
    let pair = ["accessToken", "refreshToken"].map(|name| said(&answer)["data"][name].as_str().unwrap().to_owned());
    let leaked = [("Authorization", &*bearer(&pair[0])), ("Server-Key", &key)];
    let target = format!(
        "/connect?app_key={}&authorization=Bearer%20{}&device_identifier=d-1&device_model=x&device_platform=web",
        base64("demo-app:demo-app-secret-9d04").replace('=', "%3D"),
        pair[0]
    );
    secrets.keep(stage.with(CHAT, &pair[0]).await);
    secrets.keep(stage.with(EXCHANGE, &tickets[0]).await);
    secrets.keep(stage.with(CHAT, &pair[1]).await);
    secrets.keep(stage.with(REFRESH, &pair[0]).await);
    secrets.keep(stage.with(CHAT, &tickets[1]).await);
    secrets.keep(stage.post("chat.example", CHAT, &leaked, "\"\"").await);
    secrets.keep(stage.with(CHAT, "marked-garbage-in-place-of-a-token").await);
    secrets.keep(stage.whole.ask("GET", &target, &[("Host", "chat.example")]).await);
    secrets.keep(stage.whole.ask("GET", &target.replace("d-1", "d-2"), &[("Host", "chat.example")]).await);
    secrets.mark("garbage", "marked-garbage-in-place-of-a-token", NOWHERE);
    stage.at(NOW + 900);
    secrets.keep(stage.with(CHAT, &pair[0]).await);
    let answer = secrets.keep(stage.with(REFRESH, &pair[1]).await);
    let fresh = ["accessToken", "refreshToken"].map(|name| said(&answer)["data"][name].as_str().unwrap().to_owned());
    secrets.keep(stage.with(CHAT, &fresh[0]).await);
    stage.at(NOW + 1_000);
    assert_eq!(told(&secrets.keep(stage.with(REFRESH, &pair[1]).await)), refused(401, "40103"), "spent, and no longer forgiven");
    for token in pair.iter().chain(&fresh) {
        secrets.mark("a token of ours", token, &[Place::Answers]);
    }

    // In front of the vendor, for a page: the Server-Key, the pair and its renewals are the proxy's.
    let start = NOW + 1_100;
    stage.at(start);
    let server = base64(format!("{}:{}", DemoTapTalk::SERVER.0, DemoTapTalk::SERVER.1));
    secrets.mark("the vendor's Server-Key", server, &[Place::Vendor]);
    secrets.mark("the secret in it", super::read("keys/demo-taptalk-server-secret.txt").trim(), &[Place::Vendor]);
    let account = stage.account("anna");
    secrets.mark("the account's token", account.trim_start_matches("Bearer "), NOWHERE);
    stage.whole.set_clock(NOW);
    let ask = json!({ "userPlatform": "web", "userDeviceID": "d-1" }).to_string();
    let own = [("Authorization", account.as_str()), ("User-Agent", "Mozilla/5.0")];
    let answer = secrets.keep(stage.post("site.example", TICKET, &own, &ask).await);
    assert_eq!(told(&answer), fine(), "{answer:?}");
    secrets.keep(stage.post("site.example", TICKET, &[own[0], own[1], ("Server-Key", &wrong)], &ask).await);
    stage.at(start);
    let ticket = said(&answer)["data"]["ticket"].as_str().unwrap().to_owned();
    secrets.mark("a ticket of the vendor's", &ticket, &[Place::Answers, Place::Vendor]);
    let fields = [("Authorization", &*bearer(&ticket)), ("Sec-Fetch-Site", "same-origin")];
    let answer = secrets.keep(stage.post("site.example", EXCHANGE, &fields, "\"\"").await);
    assert_eq!(told(&answer), fine(), "{answer:?}");
    assert_eq!(told(&secrets.keep(stage.post("site.example", EXCHANGE, &fields, "\"\"").await)), refused(401, "40103"), "once");
    let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    secrets.mark("a session", cookie.split_once('=').unwrap().1, &[Place::Answers]);
    // The vendor forgets what was spent.
    let mut all = stage.vendor.credentials();
    // Told by a reply, by the clock, refused by the vendor, lost on the way.
    stage.vendor_clock.store(start + LIFE, Ordering::SeqCst);
    assert_eq!(told(&secrets.keep(stage.call(&cookie).await)), fine());
    all.extend(stage.vendor.credentials());
    stage.at(start + 2 * LIFE);
    assert_eq!(told(&secrets.keep(stage.call(&cookie).await)), fine());
    all.extend(stage.vendor.credentials());
    stage.at(start + 3 * LIFE);
    stage.vendor.trouble(Trouble::RefreshFails);
    secrets.keep(stage.call(&cookie).await);
    stage.vendor.trouble(Trouble::None);
    let cookie = stage.session("carl").await;
    all.extend(stage.vendor.credentials());
    stage.at(start + 4 * LIFE);
    stage.vendor.trouble(Trouble::RefreshLost);
    secrets.keep(stage.call(&cookie).await);
    stage.vendor.trouble(Trouble::None);
    assert_eq!(stage.vendor.asked().refreshed, 3, "two that came back, and one whose answer was lost");
    all.extend(stage.vendor.credentials());
    all.sort();
    all.dedup();
    let mut shown = 0;
    let vendor = wire.seen();
    for token in all.iter().filter(|token| **token != ticket) {
        // The last pair was lost on the way: nobody but the vendor has ever seen it.
        let was_shown = vendor.contains(token.as_str());
        shown += usize::from(was_shown);
        secrets.mark("a token that the session keeps", token, if was_shown { &[Place::Vendor] } else { NOWHERE });
    }
    assert!(5 <= shown && shown + 2 <= all.len(), "of every pair the vendor has seen what was to be shown: {shown} of {}", all.len());

    // For clients that hold their pairs, which are theirs and the vendor's.
    stage.at(start + 6 * LIFE);
    let theirs = stage.vendor.ticket("berta", "Berta", Timestamp(start + 6 * LIFE)).unwrap();
    let answer = secrets.keep(stage.post("phones.example", EXCHANGE, &[("Authorization", &bearer(&theirs))], "\"\"").await);
    let pair = ["accessToken", "refreshToken"].map(|name| said(&answer)["data"][name].as_str().unwrap().to_owned());
    secrets.keep(stage.post("phones.example", CHAT, &[("Authorization", &bearer(&pair[0])), ("Server-Key", &key)], "\"\"").await);
    secrets.keep(stage.post("phones.example", CHAT, &[("Authorization", &bearer(&pair[0]))], "\"\"").await);
    secrets.keep(stage.post("phones.example", REFRESH, &[("Authorization", &bearer(&pair[1]))], "\"\"").await);
    for token in pair {
        secrets.mark("a token of the client's own", token, &[Place::Answers, Place::Vendor]);
    }
    let app: String = stage.app.records().iter().map(|record| format!("{}\n{:?}\n", record.head, record.body)).collect();
    secrets.judge(&stage.whole, &app, &wire.seen());
}

//! The attack list on tickets, sessions and renewals, sections F, L and M row by row, over the shipped conf.

use std::time::Duration;

use countersign::demo::systems::taptalk::Trouble;
use countersign::domain::Timestamp;

use crate::process;
use crate::support::raw::{Answer, Client};
use crate::support::rows::base64;
use crate::support::upstream::eventually;
use crate::support::whole::NOW;
use crate::taptalk::{LIFE, Stage, fine, refused, said, told};

const HOST: &str = "chat.example";
const SITE: &str = "site.example";
const EXCHANGE: &str = "/v1/auth/access_token/request";
const REFRESH: &str = "/v1/auth/access_token/refresh";
const CHAT: &str = "/v1/chat/message/send";

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_as_it_was_given_and_for_its_hour() {
    let stage = Stage::start().await;
    let ticket = stage.ticket("anna").await;
    let flipped = |at: usize| {
        let mut bytes = ticket.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let rows = [
        (flipped(ticket.len() / 2), "F12 a bit in the middle"),
        (flipped(ticket.len() - 2), "F12 a bit at its end"),
        (format!("{ticket}="), "F8 with padding"),
        (format!("{ticket}."), "F8 with a dot"),
        (ticket.to_uppercase(), "F8 in capitals"),
        (ticket.replacen('c', "%63", 1), "F8 with an escape"),
        (ticket[..ticket.len() - 4].to_owned(), "F8 a part of it"),
        (format!("ct1.{}", base64([7_u8; 96]).replace(['+', '/', '='], "")), "F11 a guess"),
        (String::from("0"), "F24 a number"),
    ];
    for (shown, shows) in rows {
        let answer = stage.with(EXCHANGE, &shown).await;
        assert_eq!((answer.status, told(&answer).1), (200, 401), "{shows}: {}", answer.text());
    }
    for (path, shows) in [(CHAT, "a call"), (REFRESH, "a refresh")] {
        assert_eq!(told(&stage.with(path, &ticket).await), refused(401, "40103"), "F10 {shows}");
    }
    let bearer = format!("Bearer {ticket}");
    let elsewhere = stage.post(SITE, CHAT, &[("Authorization", &bearer)], "\"\"").await;
    assert_ne!(told(&elsewhere), fine(), "F10 another host");
    for method in ["GET", "HEAD", "OPTIONS"] {
        let app_key = base64("demo-app:demo-app-secret-9d04");
        let fields =
            [("Host", HOST), ("App-Key", &*app_key), ("Device-Identifier", "d-1"), ("Authorization", &*bearer), ("Range", "bytes=0-1")];
        let answer = stage.whole.ask(method, EXCHANGE, &fields).await;
        assert!(!answer.text().contains("accessToken"), "F13 {method}: {}", answer.text());
    }
    let target = format!("{EXCHANGE}?ticket={ticket}&authorization=Bearer%20{ticket}");
    assert_ne!(told(&stage.post(HOST, &target, &[], "\"\"").await), fine(), "F21 in the address it is none");
    assert!(!stage.whole.written().contains(&ticket), "F21 nor is it in the record");
    let early = [("Authorization", bearer.as_str()), ("Early-Data", "1")];
    assert_eq!(stage.post(HOST, EXCHANGE, &early, "\"\"").await.status, 425, "F22 nothing is spent on what may be a repetition");

    let answers = tokio::join!(
        stage.with(EXCHANGE, &ticket),
        stage.with(EXCHANGE, &ticket),
        stage.with(EXCHANGE, &ticket),
        stage.with(EXCHANGE, &ticket)
    );
    let good = [&answers.0, &answers.1, &answers.2, &answers.3].into_iter().filter(|answer| told(answer) == fine()).count();
    assert_eq!(good, 1, "F2 one of four that come together, and none of what was refused has spent it");
    assert_eq!(told(&stage.with(EXCHANGE, &ticket).await), refused(401, "40103"), "F1 twice");

    let (last, late) = (stage.ticket("anna").await, stage.ticket("anna").await);
    stage.at(NOW + 3_599);
    assert_eq!(told(&stage.with(EXCHANGE, &last).await), fine(), "F6 the last second of its hour");
    stage.at(NOW + 3_600);
    assert_eq!(told(&stage.with(EXCHANGE, &late).await), refused(401, "40104"), "F6 and the next");
    stage.at(NOW);
    assert_eq!(told(&stage.with(EXCHANGE, &last).await), refused(401, "40103"), "F7 a clock that is set back makes nothing unspent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_each_exchange_and_is_nobody_elses() {
    let stage = Stage::start().await;
    let ticket = stage.vendor.ticket("anna", "Anna", Timestamp(NOW)).unwrap();
    let planted = format!("__Host-session={}", "A".repeat(64));
    let bearer = format!("Bearer {ticket}");
    let fields = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Cookie", &planted)];
    let answer = stage.post(SITE, EXCHANGE, &fields, "\"\"").await;
    let anna = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(anna, planted, "L9 a new id, whatever came along");
    let berta = stage.session("berta").await;
    let (a, b) = (anna.split_once('=').unwrap().1, berta.split_once('=').unwrap().1);
    let rows = [
        (planted.clone(), "L9 what was planted is nobody's"),
        (format!("{anna}; {berta}"), "L10 two of them"),
        (anna.replace("__Host-", ""), "L10 under a name that others may set"),
        (format!("__Host-session={}{}", &a[..32], &b[32..]), "L13 halves of two"),
    ];
    let before = stage.vendor.seen().len();
    for (cookie, shows) in rows {
        assert_ne!(told(&stage.call(&cookie).await), fine(), "{shows}");
    }
    let elsewhere = stage.post(HOST, CHAT, &[("Cookie", &anna), ("Sec-Fetch-Site", "same-origin")], "\"\"").await;
    assert_eq!(told(&elsewhere), refused(401, "40101"), "L14 at another host");
    let cross = [("Cookie", anna.as_str()), ("Authorization", "Bearer held-by-the-proxy"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(told(&stage.post(SITE, CHAT, &cross, "\"\"").await), refused(403, "40301"), "L15 from a page of another site");
    assert_eq!(stage.vendor.seen().len(), before, "the vendor has heard of none of them");
    let pieces = format!("{anna}; __Host-session_chunks=99999999; __Host-session.0=x");
    assert_eq!(told(&stage.call(&pieces).await), fine(), "L12 there are no pieces");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_refreshes_once_and_everybody_gets_their_own() {
    let stage = Stage::start().await;
    let (anna, berta) = (stage.session("anna").await, stage.session("berta").await);
    stage.at(NOW + LIFE);
    stage.vendor.trouble(Trouble::RefreshSlow(Duration::from_millis(200)));
    let mut asks = tokio::task::JoinSet::new();
    for turn in 0..40 {
        let (address, cookie) = (stage.whole.address(), if turn % 2 == 0 { anna.clone() } else { berta.clone() });
        asks.spawn(async move { call(address, &cookie).await });
    }
    while let Some(answer) = asks.join_next().await {
        assert_eq!(told(&answer.unwrap()), fine(), "M1");
    }
    let asked = stage.vendor.asked();
    assert_eq!((asked.refreshed, asked.refused), (2, 0), "M1 M2 one refresh for each pair, and none is spent twice");
    let shown = |index: usize| stage.vendor.seen()[index].headers["authorization"].clone();
    let before = stage.vendor.seen().len();
    stage.call(&anna).await;
    stage.call(&berta).await;
    stage.call(&anna).await;
    assert_eq!(shown(before), shown(before + 2), "M6 a session is shown with its own token");
    assert_ne!(shown(before), shown(before + 1), "M6 and never with another's");
}

async fn call(address: std::net::SocketAddr, cookie: &str) -> Answer {
    let app_key = base64("demo-app:demo-app-secret-9d04");
    let fields = [
        ("Host", SITE),
        ("App-Key", &*app_key),
        ("Device-Identifier", "d-1"),
        ("Device-Model", "Netscape"),
        ("Device-Platform", "web"),
        ("Cookie", cookie),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    process::ask(address, "POST", CHAT, &fields, "\"\"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_first_may_leave_and_the_refresh_goes_on() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    stage.at(NOW + LIFE);
    stage.vendor.trouble(Trouble::RefreshSlow(Duration::from_millis(500)));
    let app_key = base64("demo-app:demo-app-secret-9d04");
    let mut first = Client::connect(stage.whole.address()).await;
    first
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: {SITE}\r\nApp-Key: {app_key}\r\nDevice-Identifier: d-1\r\nDevice-Model: x\r\nDevice-Platform: web\r\n\
             Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 2\r\n\r\n\"\""
        ))
        .await;
    eventually("the refresh", || stage.vendor.seen().iter().any(|seen| seen.target == REFRESH)).await;
    drop(first);
    assert_eq!(told(&stage.call(&cookie).await), fine(), "M7");
    assert_eq!((stage.vendor.asked().refreshed, stage.vendor.asked().refused), (1, 0), "M7 by the refresh that was under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_the_vendor_refuses_or_garbles_is_not_tried_again_and_again() {
    for (trouble, shows) in
        [(Trouble::RefreshFails, "M12 failures"), (Trouble::Html, "M11 a page"), (Trouble::RefreshLost, "M5 answers that are lost")]
    {
        let stage = Stage::start().await;
        let cookie = stage.session("anna").await;
        stage.at(NOW + LIFE);
        stage.vendor.trouble(trouble);
        let before = stage.vendor.seen().len();
        for _ in 0..20 {
            let answer = stage.call(&cookie).await;
            assert_eq!(answer.status, 200, "{shows}: told in the vendor's form");
            assert_ne!(told(&answer), fine(), "{shows}: and never with a token that has run out");
        }
        let refreshes = stage.vendor.seen()[before..].iter().filter(|seen| seen.target == REFRESH).count();
        // The stand-in writes down nothing while it answers with pages.
        let least = usize::from(trouble != Trouble::Html);
        assert!((least..=2).contains(&refreshes), "{shows}: {refreshes} refreshes for twenty requests");
        let calls = stage.vendor.seen()[before..].iter().filter(|seen| seen.target == CHAT).count();
        assert_eq!(calls, 0, "M8 {shows}: the old token is shown to nobody past its end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_ours_that_was_spent_and_comes_again_after_its_grace_ends_its_family() {
    let stage = Stage::start().await;
    let (_, refresh) = stage.login("anna").await;
    stage.at(NOW + 900);
    let renewed = stage.with(REFRESH, &refresh).await;
    let data = said(&renewed)["data"].clone();
    let [access, next] = ["accessToken", "refreshToken"].map(|name| data[name].as_str().unwrap().to_owned());
    stage.at(NOW + 900 + 31);
    assert_eq!(told(&stage.with(REFRESH, &refresh).await), refused(401, "40103"), "M3 spent, and its grace is over");
    assert_eq!(told(&stage.with(REFRESH, &next).await), refused(401, "40103"), "M3 so the thief's and the owner's next are both over");
    let answer = stage.with(CHAT, &access).await;
    assert_eq!(answer.status, 200, "M3 what was given already runs out by itself: {}", answer.text());
}

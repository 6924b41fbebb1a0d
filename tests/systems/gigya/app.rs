//! In front of your app: signed users, id tokens, logins whose end is signed.

use countersign::demo::systems::gigya::DemoGigya;
use serde_json::json;

use crate::gigya::stage::{Stage, form, hmac, secrets, told};
use crate::support::raw::Answer;
use crate::support::whole::NOW;

const APP: &str = "app.example";
const START: i64 = NOW + 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_post_back_opens_one_session_and_its_signature_no_second_one() {
    let stage = Stage::start().await;
    let signed = stage.vendor.signed_uid("_guid_a_b");
    let body = form(&signed.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
    let opened = stage.post(APP, "/login", &[], &body).await;
    assert_eq!(opened.status, 303, "{opened:?} {}", opened.text());
    let cookie = opened.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(told(&stage.post(APP, "/login", &[], &body).await), (200, 403_004), "what was used is used");

    stage.at(START + 600);
    let page = stage.get(APP, "/home", &[("Cookie", &cookie)]).await;
    assert_eq!(page.status, 200, "the session outlives the signature's five minutes");
    let seen = stage.app.records().pop().unwrap();
    assert_eq!(seen.fields("x-auth-subject"), ["_guid_a_b"], "ids of Gigya hold underscores");
    let [secret, _] = secrets();
    let time = seen.fields("x-gigya-uid-timestamp")[0].to_owned();
    assert_eq!(time, (START + 600).to_string());
    assert_eq!(seen.fields("x-gigya-uid-sig"), [hmac(&secret, &format!("{time}__guid_a_b"))], "the app gets proofs and needs no secret");
    let forged = stage.get(APP, "/home", &[("Cookie", &cookie), ("X-Gigya-Uid-Sig", "forged"), ("x_gigya.site_uid", "berta")]).await;
    assert_eq!(forged.status, 200);
    let seen = stage.app.records().pop().unwrap();
    assert_eq!(seen.fields("x-gigya-uid-sig").len(), 1, "only our word: {}", seen.head);
    assert!(!seen.head.contains("forged") && !seen.head.contains("berta"), "{}", seen.head);
    stage.keeps_its_secrets(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_user_is_refused_in_gigyas_words() {
    let stage = Stage::start().await;
    let [secret, user_secret] = secrets();
    let now = START.to_string();
    let good = hmac(&secret, &format!("{now}_anna"));
    let old = (START - 301).to_string();
    let old_sig = hmac(&secret, &format!("{old}_anna"));
    let friend = hmac(&secret, &format!("{now}_berta_anna"));
    let url_safe = good.replace('+', "-").replace('/', "_");
    let rows: [(&[(&str, &str)], u64, &str); 9] = [
        (&[], 400_002, "nothing was brought"),
        (&[("UID", "anna"), ("signatureTimestamp", &now), ("UIDSignature", &good.replace('=', "A"))], 403_003, "a forged signature"),
        (&[("UID", "Anna"), ("signatureTimestamp", &now), ("UIDSignature", &good)], 403_003, "an id in another case"),
        (
            &[("UID", "anna"), ("signatureTimestamp", &now), ("UIDSignature", &hmac(&user_secret, &format!("{now}_anna")))],
            403_003,
            "another secret",
        ),
        (&[("UID", "anna"), ("signatureTimestamp", &old), ("UIDSignature", &old_sig)], 400_128, "too late by a second"),
        (&[("UID", "anna"), ("signatureTimestamp", &now), ("UIDSignature", &friend)], 403_003, "the proof of a friendship"),
        (&[("siteUID", "anna"), ("UIDTimestamp", &now), ("UIDSig", &good)], 400_002, "the names of another kind are not looked at"),
        (&[("UID", "anna"), ("UIDSignature", &good)], 403_003, "no time"),
        (&[("UID", "anna"), ("signatureTimestamp", "1.8e9"), ("UIDSignature", &good)], 403_003, "a time of another form"),
    ];
    for (pairs, code, shows) in rows {
        let answer = stage.post(APP, "/login", &[], &form(pairs)).await;
        assert_eq!(told(&answer), (200, code), "{shows}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{shows}");
        let text = answer.text();
        assert!(
            !text.contains(&good) && !text.contains(&format!("{now}_anna")),
            "{shows}: no answer shows what it should have been: {text}"
        );
        stage.keeps_its_secrets(&answer);
    }
    let spaced = form(&[("UID", "anna"), ("signatureTimestamp", &now)]) + "&UIDSignature=" + &good;
    if good.contains('+') {
        assert_eq!(told(&stage.post(APP, "/login", &[], &spaced).await), (200, 403_003), "a plus that became a space is not repaired");
    }
    let hex = form(&[("UID", "anna"), ("signatureTimestamp", &now), ("UIDSignature", "cbc7e8d9e6ebcf2b8dfe46d7d306cfba5f15c08f")]);
    assert_eq!(told(&stage.post(APP, "/login", &[], &hex).await), (200, 403_003), "hex is no base64");
    if url_safe != good {
        let body = form(&[("UID", "anna"), ("signatureTimestamp", &now), ("UIDSignature", &url_safe)]);
        assert_eq!(told(&stage.post(APP, "/login", &[], &body).await), (200, 403_003), "nor is the URL alphabet");
    }
    let asked = stage.post(APP, "/login?httpStatusCodes=true", &[], "").await;
    assert_eq!(told(&asked), (400, 400_002), "the status tells it too for those who ask");
    assert_eq!(stage.app.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_for_a_site_of_ours_and_its_key_may_rotate() {
    let stage = Stage::start().await;
    let token = |claims| stage.vendor.id_token(&claims).unwrap();
    let ask = async |token: String| {
        let bearer = format!("Bearer {token}");
        stage.get(APP, "/api/me", &[("Authorization", &bearer)]).await
    };
    let rows = [
        (token(json!({ "sub": "_guid_1" })), None, "without an apiKey"),
        (token(json!({ "sub": "_guid_1", "apiKey": DemoGigya::API_KEY })), None, "with the right one"),
        (token(json!({ "sub": "_guid_1", "apiKey": "3_other" })), Some(403_025), "with that of another site"),
        (
            token(json!({ "sub": "_guid_1", "iss": "https://fidm.gigya.com/jwt/3_other/" })),
            Some(403_025),
            "of another site, under the same key",
        ),
        (
            token(json!({ "sub": "_guid_1", "iss": "https://fidm.gigya.com/jwt/3_demo-site" })),
            Some(403_025),
            "without the slash at the end",
        ),
        (token(json!({ "sub": "_guid_1", "iat": START - 420, "exp": START - 120 })), Some(403_011), "two minutes past its end"),
        (token(json!({ "sub": "_guid_1", "iat": START - 420, "exp": START - 119 })), None, "a second less"),
        (
            token(json!({ "sub": "_guid_1", "exp": START + 91 * 86_400 })),
            Some(403_011),
            "longer than any id token lives: authentic, so told like one that is over",
        ),
        (token(json!({ "apiKey": DemoGigya::API_KEY })), Some(403_025), "for nobody"),
    ];
    for (token, refused, shows) in rows {
        let answer = ask(token).await;
        match refused {
            Some(code) => assert_eq!(told(&answer), (200, code), "{shows}"),
            None => {
                assert_eq!(answer.text(), "ok", "{shows}: {}", stage.whole.written());
                assert_eq!(stage.app.records().pop().unwrap().fields("x-auth-subject"), ["_guid_1"], "{shows}");
            }
        }
    }
    assert_eq!(told(&stage.get(APP, "/api/me", &[]).await), (200, 403_012), "no token");

    stage.at(START + 60);
    stage.vendor.rotate("demo-2").unwrap();
    assert_eq!(ask(token(json!({ "sub": "_guid_2" }))).await.text(), "ok", "a key that nobody has heard of is looked up once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_end_is_signed_is_let_in_until_then() {
    let stage = Stage::start().await;
    let [secret, user_secret] = secrets();
    let token = stage.vendor.log_in(DemoGigya::UID, 3_600);
    let signed = |token: &str, end: i64, secret: &str| format!("{end}_{}", hmac(secret, &format!("{token}_{end}")));
    let cookies = |end: &str| format!("glt_3_demo-site={token}|UUID=7; gltexp_3_demo-site={end}");
    let good = signed(&token, START + 300, &secret);
    let rows = [
        (cookies(&good), None, "signed by the site"),
        (cookies(&signed(&token, START + 1, &secret)), None, "for a second more"),
        (cookies(&signed(&token, START, &secret)), Some(403_011), "until now"),
        (cookies(&signed(&token, START + 3_601, &secret)), Some(403_011), "too far ahead: authentic, and told like one that is over"),
        (cookies(&signed(&token, START + 300, &user_secret)), Some(403_001), "by another secret"),
        (cookies(&signed("st2.s.other", START + 300, &secret)), Some(403_001), "for another login"),
        (
            format!("glt_3_demo-site={START}; gltexp_3_demo-site={}", signed(&START.to_string(), START + 300, &secret)),
            Some(403_001),
            "a user's proof",
        ),
        ("a=1".to_owned(), Some(403_012), "none"),
    ];
    for (cookie, refused, shows) in rows {
        let answer = stage.get(APP, "/visit/1", &[("Cookie", &cookie)]).await;
        match refused {
            Some(code) => assert_eq!(told(&answer), (200, code), "{shows}"),
            None => {
                assert_eq!(answer.text(), "ok", "{shows}: {}", stage.whole.written());
                let seen = stage.app.records().pop().unwrap();
                assert!(!seen.head.contains(&token) && !seen.head.contains(&good), "{shows}: the app sees neither cookie");
            }
        }
    }
}

/// The pair `gltexp_…=…` that an answer sets, and its attributes.
fn slid(answer: &Answer) -> Vec<(String, String)> {
    let set = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let halves = set.filter_map(|(_, value)| value.split_once("; ").map(|(pair, rest)| (pair.to_owned(), rest.to_owned())));
    halves.filter(|(pair, _)| pair.starts_with("gltexp_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signed_end_of_a_login_goes_back_to_the_browser_on_every_reply_and_keeps_it_logged_in() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    let token = stage.vendor.log_in(DemoGigya::UID, 86_400);
    let end = START + 300;
    let mut cookie = format!("gltexp_3_demo-site={end}_{}", hmac(&secret, &format!("{token}_{end}")));
    // A browser that comes every 20 minutes: each end alone would have been over.
    for visit in 0..9_i64 {
        let now = START + visit * 1_200;
        stage.at(now);
        let brought = format!("glt_3_demo-site={token}|UUID=7; {cookie}");
        let answer = stage.get(APP, "/visit/1", &[("Cookie", &brought)]).await;
        assert_eq!(answer.text(), "ok", "visit {visit}: {}", stage.whole.written());
        assert_eq!(answer.field("cache-control"), Some("no-store"), "visit {visit}: nobody stores a login");
        let set = slid(&answer);
        let moved = now + 1_800;
        let expected = format!("gltexp_3_demo-site={moved}_{}", hmac(&secret, &format!("{token}_{moved}")));
        let attributes = "Max-Age=1800; Path=/; Secure; SameSite=Lax".to_owned();
        assert_eq!(set, [(expected.clone(), attributes)], "visit {visit}: signed as the site signs it, for half an hour from now");
        stage.keeps_its_secrets(&answer);
        cookie = expected;
    }
    stage.at(START + 8 * 1_200 + 1_800);
    let brought = format!("glt_3_demo-site={token}|UUID=7; {cookie}");
    let over = stage.get(APP, "/visit/1", &[("Cookie", &brought)]).await;
    assert_eq!((told(&over), slid(&over)), ((200, 403_011), vec![]), "who comes too late is over, and nothing is signed for them");
    let forged =
        stage.get(APP, "/visit/1", &[("Cookie", &format!("glt_3_demo-site={token}; gltexp_3_demo-site={}_AAAA", START + 20_000))]).await;
    assert!(slid(&forged).is_empty(), "nor for a forger");
}

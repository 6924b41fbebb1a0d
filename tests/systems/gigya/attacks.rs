//! The attack list on signatures, section G row by row, over the shipped conf; and what section L says of the sessions they open.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::demo::systems::gigya::DemoGigya;

use crate::gigya::stage::{Call, Stage, encode, form, hmac, secrets, told};
use crate::support::raw::Answer;
use crate::support::whole::{Folder, NOW};

const START: i64 = NOW + 100;
const APP: &str = "app.example";
const API: &str = "accounts.example";
const INFO: &str = "/accounts.getAccountInfo";
const FORGED: (u16, u64) = (200, 403_003);

async fn login(stage: &Stage, pairs: &[(&str, &str)]) -> Answer {
    stage.post(APP, "/login", &[], &form(pairs)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_signature_is_taken_in_one_form_at_one_time_for_one_user() {
    let stage = Stage::start().await;
    let [secret, user_key] = secrets();
    let now = START.to_string();
    let sign = |time: &str, uid: &str| hmac(&secret, &format!("{time}_{uid}"));
    let good = sign(&now, "anna");
    let tag = STANDARD.decode(&good).unwrap();
    let truncated = STANDARD.encode(&tag[..10]);
    let (old, ahead) = ((START - 301).to_string(), (START + 301).to_string());
    let (millis, zeros, plus, float) = (format!("{now}000"), format!("00{now}"), format!("+{now}"), format!("{now}.0"));
    let long = "u".repeat(65_536);
    let signed =
        |time: &str, uid: &str| [("UID", uid.to_owned()), ("signatureTimestamp", time.to_owned()), ("UIDSignature", sign(time, uid))];
    let with = |signature: &str| [("UID", "anna".to_owned()), ("signatureTimestamp", now.clone()), ("UIDSignature", signature.to_owned())];
    let rows = [
        (with(&hmac(&user_key, &format!("{now}_anna"))), FORGED.1, "G1 G8 by another secret"),
        (with(&sign(&now, "berta")), FORGED.1, "G1 of another user"),
        (signed(&old, "anna"), 400_128, "G2 a second too old"),
        (signed(&ahead, "anna"), 400_128, "G2 a second too far ahead"),
        (signed(&millis, "anna"), 400_128, "G3 in milliseconds, which is a time far ahead"),
        (signed(&zeros, "anna"), FORGED.1, "G3 with zeros in front"),
        (signed(&plus, "anna"), FORGED.1, "G3 with a sign"),
        (signed(&float, "anna"), FORGED.1, "G3 as a fraction"),
        (signed("-1", "anna"), FORGED.1, "G3 before time began"),
        (signed("2027-01-15 08:01:40", "anna"), FORGED.1, "G3 as a date"),
        (signed("9223372036854775808", "anna"), FORGED.1, "G3 past what a number holds"),
        (with(&hmac(&secret, &format!("{now}_berta_anna"))), FORGED.1, "G4 of a friendship"),
        (with(good.trim_end_matches('=')), FORGED.1, "G6 without padding"),
        (with(&format!("{good} ")), FORGED.1, "G6 with a space"),
        (with(&truncated), FORGED.1, "G7 ten bytes of it"),
        (with(&STANDARD.encode([&tag[..], b"x"].concat())), FORGED.1, "G7 a byte more"),
        (with(""), FORGED.1, "G7 none of it"),
        (signed(&now, "anna\r\nX-Admin: 1"), FORGED.1, "G11 a line break in a name"),
        (signed(&now, "anna\0"), FORGED.1, "G11 a zero"),
        (signed(&now, ""), FORGED.1, "G11 nobody"),
    ];
    for (pairs, code, shows) in rows {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = login(&stage, &pairs).await;
        assert_eq!(told(&answer), (200, code), "{shows}: {}", answer.text());
        assert_eq!(answer.field("set-cookie"), None, "{shows}");
        stage.keeps_its_secrets(&answer);
    }
    let pairs = signed(&now, &long);
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = login(&stage, &pairs).await;
    assert!(answer.status == 413 || told(&answer).1 != 0, "G11 a name of 64 KiB: {}", answer.status);
    assert_eq!(answer.field("set-cookie"), None);

    let whole = [("UID", "anna"), ("signatureTimestamp", &*now), ("UIDSignature", &*good)];
    let twice = stage.post(APP, "/login", &[], &format!("{}&UID=berta", form(&whole))).await;
    assert_ne!(told(&twice).1, 0, "G10 a part that stands twice");
    assert_eq!(stage.whole.reason_of(&twice).await, "credential_conflict", "G10");
    let beside = stage.post(APP, &format!("/login?{}", form(&[("UID", "berta")])), &[], &form(&whole)).await;
    assert_eq!(beside.status, 303, "G10 G14 what stands elsewhere is not looked at: {}", beside.text());
    let session = beside.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(stage.get(APP, "/home?UID=berta&email=root", &[("Cookie", &session), ("X-Auth-Subject", "root")]).await.status, 200);
    assert_eq!(stage.app.records().pop().unwrap().fields("x-auth-subject"), ["anna"], "G14 nobody is who was not signed");
    assert_eq!(told(&login(&stage, &whole).await), (200, 403_004), "G9 a signature opens one session");
    assert_eq!(
        told(&login(&stage, &[whole[0], whole[1], whole[2], ("email", "root@example.com")]).await),
        (200, 403_004),
        "G9 whatever is beside it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_call_is_taken_as_it_was_signed_and_once() {
    let stage = Stage::start().await;
    let [site, _] = secrets();
    let call = || Call::new("accounts.getAccountInfo", START, "n-1").with("UID", "anna");
    let rows = [
        (Call { secret: site.clone(), ..call() }.form(), "G1 G8 by the secret of the site under the name of a user key"),
        (call().with("userKey", "AOtherUser").form(), "G8 under the name of another user key"),
        (call().form().replace("UID=anna", "UID=berta"), "G1 about another user"),
        (call().form() + "&include=password", "G14 with a parameter that was not signed"),
        (call().form().replace("&nonce=n-1", ""), "G14 without one that was"),
        (call().form().replacen("sig=", "sig=A", 1), "G6 with a longer signature"),
        (call().with("timestamp", &format!("0{START}")).form(), "G3 zeros in front of the time"),
        (Call { method: "GET", ..call() }.form(), "G4 signed for another method"),
        (Call { name: "accounts.setAccountInfo", ..call() }.form(), "G4 signed for another call"),
    ];
    for (body, shows) in rows {
        let answer = stage.post(API, INFO, &[], &body).await;
        assert_eq!(told(&answer), FORGED, "{shows}: {}", answer.text());
        stage.keeps_its_secrets(&answer);
    }
    assert_eq!(told(&stage.post(API, INFO, &[], &(call().form() + "&UID=anna")).await), (200, 400_006), "G10 a parameter twice");
    let split = stage.post(API, &format!("{INFO}?UID=berta"), &[], &call().form()).await;
    assert_ne!(told(&split).1, 0, "G10 query and body disagree: {}", split.text());
    assert!(stage.vendor.called().is_empty(), "the vendor has heard of none of them");
    assert_eq!(told(&stage.post(API, INFO, &[], &call().form()).await), (200, 0), "as it was signed");
    assert_eq!(told(&stage.post(API, INFO, &[], &call().form()).await), (200, 403_004), "G9 once");
}

#[test]
fn a_secret_that_is_none_is_told_when_the_conf_is_read() {
    for (secret, shows) in
        [("", "G13 empty"), ("====", "G13 padding alone"), ("not base64!", "G5 a text that is no base64"), ("aGVs bG8=", "G5 with a space")]
    {
        let folder = Folder::new();
        folder.write("secret", secret);
        let path = folder.write(
            "countersign.yaml",
            "listeners: [{ address: 127.0.0.1:0 }]\nupstreams: { app: http://127.0.0.1:9 }\nkeys: { site: { gigya_secret: { file: secret } } }\n\
             authenticators: { login: { gigya: { keys: site } } }\n\
             rules: [{ name: a, match: { paths: [/**] }, authenticate: login, system: { gigya: { proof: uid } }, forward: app }]\n",
        );
        assert!(live::read(&path, &Machine).is_err(), "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_login_is_new_and_is_good_for_its_own_page_alone() {
    let stage = Stage::start().await;
    let (name, password) = DemoGigya::LOGIN;
    let credentials = form(&[("loginID", name), ("password", password)]);
    let planted = format!("__Host-account={}", "A".repeat(64));
    for elsewhere in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let answer = stage.post("me.example", "/accounts.login", &[elsewhere], &credentials).await;
        assert_eq!((told(&answer).1 != 0, answer.field("set-cookie")), (true, None), "L15 {elsewhere:?}: {}", answer.text());
    }
    let answer = stage.post("me.example", "/accounts.login", &[("Cookie", &planted)], &credentials).await;
    let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(cookie, planted, "L9");
    let at = async |host: &str, cookie: &str| told(&stage.get(host, INFO, &[("Cookie", cookie)]).await);
    assert_eq!(at("me.example", &cookie).await, (200, 0));
    for (host, cookie, shows) in [
        ("me.example", planted.as_str(), "L9 what was planted is nobody's"),
        ("me.example", &cookie.replace("__Host-", ""), "L10 under a name that others may set"),
        ("me.example", &format!("{cookie}; {planted}"), "L10 two of them"),
        ("me.example", &cookie.replace("__Host-account", "__Host-session"), "L14 as a session of another kind"),
    ] {
        assert_ne!(at(host, cookie).await.1, 0, "{shows}");
    }
    let other = stage.get(APP, "/home", &[("Cookie", &cookie.replace("__Host-account", "__Host-session"))]).await;
    assert_ne!(told(&other).1, 0, "L14 at another host, and as another kind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_compared_by_its_bytes_and_never_loosely() {
    let stage = Stage::start().await;
    let json = [("Host", APP), ("Content-Type", "application/json")];
    let [secret, _] = secrets();
    let good = hmac(&secret, &format!("{START}_anna"));
    for (signature, shows) in [
        ("true".to_owned(), "what is equal to every text in PHP"),
        ("0".to_owned(), "what was equal to every text that is no number"),
        ("null".to_owned(), "nothing"),
        ("\"0\"".to_owned(), "a number as text"),
        (format!("[\"{good}\"]"), "a list of one"),
        (format!("\"{}\"", good.to_lowercase()), "in small letters"),
    ] {
        let body = format!(r#"{{"UID":"anna","signatureTimestamp":"{START}","UIDSignature":{signature}}}"#);
        let answer = stage.whole.ask_with("POST", "/login", &json, &body).await;
        assert_eq!((told(&answer).1 != 0, answer.field("set-cookie")), (true, None), "{shows}: {}", answer.text());
    }
    let answer = login(&stage, &[("UID", "anna"), ("signatureTimestamp", &START.to_string()), ("UIDSignature", &good)]).await;
    assert_eq!(answer.status, 303, "as it is: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_are_known_to_sign_wrongly_is_refused_and_the_rest_of_their_calls_is_not() {
    let stage = Stage::start().await;
    let [_, secret] = secrets();
    // An old Python library leaves values as they are in the text that it signs, and joins a port without its colon.
    let old = |base: &str, uid: &str, nonce: &str| {
        let pairs = [
            ("UID", uid),
            ("apiKey", DemoGigya::API_KEY),
            ("nonce", nonce),
            ("timestamp", &START.to_string()),
            ("userKey", DemoGigya::USER_KEY),
        ];
        let plain: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!("POST&{}&{}", encode(&format!("{base}{INFO}")), encode(&plain.join("&")));
        format!("{}&sig={}", form(&pairs), encode(&hmac(&secret, &text)))
    };
    let falsy = Call::new("accounts.getAccountInfo", START, "n-3").with("UID", "anna").with("includeAll", "").form();
    let rows = [
        (old("https://accounts.example", "a b+c", "n-1"), FORGED, "a value that it did not encode"),
        (old("https://accounts.example443", "anna", "n-2"), FORGED, "a port without its colon"),
        (falsy.replace("includeAll=", "includeAll=false"), FORGED, "a falsy value that the npm client signed as nothing"),
        (falsy.clone(), (200, 0), "the same as it was signed"),
        (old("https://accounts.example", "anna", "n-4"), (200, 0), "plain values at the usual port"),
    ];
    for (body, expected, shows) in rows {
        assert_eq!(told(&stage.post(API, INFO, &[], &body).await), expected, "{shows}");
    }
}

//! Vectors that vendors or their users have published, through the running proxy, at the moments at which they were made.
//!
//! What has no wire form of its own is tried where it is computed: request signing of Gigya's SDKs in `jose::signed_call`, signed ends of
//! logins in `jose::login_expiry`, the canonical texts of Janrain's in `jose::janrain`. Vectors that ask for no clock stand with their
//! system: `Server-Key` and `App-Key` of TapTalk's in `systems::taptalk`, both forms of a Telematics login in `telematics::held`.

use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use serde_json::{Value, json};

use crate::loopback::{Loopback, Told};
use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

/// The key of V-HAT-1, which the vendor's portal shows.
const HAT_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmbpD4OytlMcWRuGHgfy8
q9I9GT46Sh3FwuZQkicCMqMWaV9ukwo6mW+e4UciNh5acXf2qEnQdbRHCxNVe90G
jTzVCPcFvigE/Tn9icNzISludwA4/uiAbaFwJg9dvXVphQuxZdq5dEIDAvPcqwUk
JBCX+CLBP1a0CWiB/ACbaVwYm2bZApZe52BLiw7ejvM6UvQoOjOYiRiVGJKdgUgm
WIruC+bMcbhbNpf/11M0+YCi/d51OSwup/nyEweoa6deTrMdFyMosnlcknEaWx9t
NPU3Agub9SNZVKkXTYgRXzoQu8k/BC331uKII1pi6atqLjQGkY4rY6fXJ3Db3NYI
9QIDAQAB
-----END PUBLIC KEY-----
";

/// V-HAT-1: an application's token of 2018.
const HAT_TOKEN: [&str; 3] = [
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
    "eyJhcHBsaWNhdGlvblZlcnNpb24iOiIxLjIuNyIsInN1YiI6IjEtT0tRdm1TdGdCZ0lKdm9mNUN6NktsMnhaYjhXMUszQmZFR28xa2dZVERCQmdLeUR0ZDBqOXp6VWRaUmlRdFloaFY2VjQ5a1g1WUlmTzE0K3lEcm1GUlwvN1RkUW1iWXNMS3BDST0iLCJhcHBsaWNhdGlvbiI6ImhhdGFwcHN0YWdpbmciLCJpc3MiOiJ0ZXN0aW5nLmh1YmF0Lm5ldCIsImV4cCI6MTU0NDA4Nzc3MiwiaWF0IjoxNTQxNDk1NzcyLCJqdGkiOiI5ZjdlN2MyOTYwMjZkNmM4ODBmN2M2ZTk0MzIzOTQ3Yzg2YmI2OGEwZTIxN2YxZmZhYWE2ZTY3NGYwYWE1ODRmOWRiMzEwNDhiZmI1ZjI4N2Y5YzU4OGM4MGNmOTlmNzJjZTUyOTcxZjU3Y2NkNzVmODUzNTg3OTcwYWM5NWQzNDZhYWNmMzY5OWVkN2IyYmIyMDY5ZTJiMmM5YjE1OTg2Mjc5ZGNiYTNlMTMwYjRkMTdkNTI0ZTVkMmE5MTYyZTUzM2JjNWRlODJmNDBjNTg2ZDc2ODk2MTU0NDE3NzBkOGMwNDRlZjhhNjFlNWM3Y2JkZGQzOWFmYmQ1MDllMjU2In0",
    "i4W_pbOVP9Qb-kkNaari-2U1eWfPSZ6QfYubb6r2SzN1VK0xRe_YT6Zm8gIuEoq8mf5p9wKPcsqzgJwLe27rGNTypCI9qZhVGqY0bNEC5GaXjH3YCXGI_hRKfHiqGbRD8XN1uhOlyWJg0pw_7DA4hdy1pGapw11Pu10y1-YMy6dlieAAU3ot87OGSr5bpXi3P3Wzgvv_QHRRn0ZVXHwp9p1UvG8LFkfzAg5lPqwQGZwMhqmp2NKSF_pStmzcKIsox_1ogrfam_3cm7p1iSRPMROYWxU9rwaOLQiXYXHuB1kO9Z62vxRJLySX_1PunWwXohbu4Rw7biBvpTdLI9D_DQ",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_hat_token_of_2018_is_judged_by_the_clock_of_its_time() {
    const HAT: &str = "testing.hubat.net";
    let server = Loopback::start_tls(&[HAT], |_| Told::ok(HAT_KEY));
    let app = Upstream::start().await;
    let outbound = format!("outbound: {{ ca: ca.pem, resolve: {{ {HAT}: '{}' }} }}\nstate: {{ memory: {{}} }}\n", server.address);
    let yaml = include_str!("../../conf/systems/hat.yaml")
        .replace("127.0.0.1:8080 }", "127.0.0.1:0 }")
        .replace("admin: { address: 127.0.0.1:9901 }\n", &outbound)
        .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
        .replace("application: my-app, minimum_version: 1.0.0", "application: hatappstaging, minimum_version: 1.2.7")
        .replace("../keys/demo-ticket-current.key", "sessions.key");
    let files: [(&str, &[u8]); 2] = [("sessions.key", b"only-for-tests-a-key-of-forty-bytes-long"), ("ca.pem", server.ca.as_bytes())];
    let proxy = Whole::start(&yaml, &files).await;
    let token = HAT_TOKEN.join(".");
    let (payload, other) = (HAT_TOKEN[1].replacen("eyJhcHBs", "eyJhcHBt", 1), HAT_TOKEN[2].replacen("i4W_", "i4W-", 1));
    let rows = [
        (token.clone(), 1_541_495_772 - 121, "not_yet_valid", "two minutes before it was made, and a second"),
        (token.clone(), 1_541_495_772, "", "the second of its making"),
        (token.clone(), 1_541_754_972, "", "three days later to the second"),
        (token.clone(), 1_541_754_973, "expired", "idle, though its end is far off"),
        (token.clone(), 1_544_087_773, "expired", "past its end as well"),
        (token.clone(), NOW, "expired", "today"),
        ([HAT_TOKEN[0], &payload, HAT_TOKEN[2]].join("."), 1_541_495_772, "*", "a bit of its claims changed"),
        ([HAT_TOKEN[0], HAT_TOKEN[1], &other].join("."), 1_541_495_772, "signature_invalid", "a bit of its signature changed"),
    ];
    for (token, now, reason, shows) in rows {
        proxy.set_clock(now);
        let before = app.hits();
        let answer = proxy.ask("GET", "/app/notes", &[("Accept", "application/json"), ("X-Auth-Token", &token)]).await;
        let refused = !reason.is_empty();
        assert_eq!((answer.status, app.hits() - before), if refused { (401, 0) } else { (200, 1) }, "{shows}: {}", proxy.written());
        if refused && reason != "*" {
            assert_eq!(proxy.reason_of(&answer).await, reason, "{shows}");
        }
    }
    assert_eq!(app.records()[0].fields("x-auth-subject"), [HAT], "whose HAT it is, and not the `sub` that nobody else can read");
    assert!(server.asked().iter().all(|asked| asked.target() == "/publickey"));
}

/// A site of Gigya's: how its secret is written in the conf, and which kind of signature it takes.
async fn site(secret: &str, lenient: bool, kind: &str) -> Result<(Whole, Upstream), String> {
    let app = Upstream::start().await;
    let yaml = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ site: {{ gigya_secret: {{ secrets: {{ file: secret }}, lenient_trailing_bits: {lenient} }} }} }}
authenticators: {{ login: {{ gigya: {{ keys: site, kind: {kind}, from: form }} }} }}
rules: [{{ name: login, match: {{ paths: [/login], methods: [POST] }}, authenticate: login, system: {{ gigya: {{ proof: uid }} }}, forward: app }}]
",
        app.address
    );
    let folder = Folder::new();
    folder.write("secret", secret);
    let path = folder.write("countersign.yaml", &yaml);
    if let Err(faults) = live::read(&path, &Machine) {
        return Err(faults.sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    Ok((Whole::start_in(folder, &yaml).await, app))
}

#[tokio::test(flavor = "multi_thread")]
async fn gigya_signatures_of_class_a_are_taken_b_where_the_conf_says_so_and_c_and_d_never() {
    // secret, user, friend, time, signature, strictly, leniently
    let rows = [
        ("kln45j654l3kn5jb", "nk34bjh5kl432njbh", None, 3_456_789, "y8fo2ebrzyuN/kbX0wbPul8VwI8=", true, true),
        ("kln45j654l3kn5jb", "nk34bjh5kl432njbh", Some("849357yturiehjwldaksfnbv"), 3_456_789, "t4b9ggtficcKyL4YbHpdHEZbdrw=", true, true),
        ("jkl234h53k2", "908dsf7g68d9", None, 23_456_754, "AzKUa+6a2+27Oqxu0nDksvDdjLI=", false, true),
        ("b4645kl35jb", "b45432lkn4jb", None, 9_876_543, "VP93O4U8MeTCH5sJntEBVBRG/F0=", false, true),
        ("890fd7g69f0sfd7", "3m4lkn5jb645l43;2k", None, 345_678_232, "sVrznUKLsDOJ1Z3Df4qNhClWZ8Q=", false, true),
        ("v65jbk4renlfioupb8", "809dierpwojl4k23mr", None, 76_823_433, "hqT0Y7rFL1khRLfwVDFk64vf28M=", false, true),
        ("jkl234h53k2", "908dsf7g68d9", Some("7fcghjv5et4iogu9fp8"), 23_456_754, "tq+VN8H/ygYJbSF+91Mak8XUjGY=", false, true),
        ("b4645kl35jb", "b45432lkn4jb", Some("v5hjbkl34;ejapwfu8d9gyo7"), 9_876_543, "WKiloNBnOvazdwary9EQdlAKovs=", false, true),
        ("890fd7g69f0sfd7", "3m4lkn5jb645l43;2k", Some("b5yelrtgiufdbtker"), 345_678_232, "UnuJroSwujupzqwhaCQYItNQ0C4=", false, true),
        (
            "v65jbk4renlfioupb8",
            "809dierpwojl4k23mr",
            Some("03-49ut8iryughdfkjsladm"),
            76_823_433,
            "dkcOPZlo35IE0IMkYtXmeaqF58g=",
            false,
            true,
        ),
        // Class C: a character dangles, which decoders that forgive it drop.
        ("mkl34n5jb4356", "0-9vbn8m7gfd0ru", None, 46_578_543, "zGAMM6XlTamV4QH+g3C/RgptX+0=", false, false),
        ("mkl34n5jb4356", "0-9vbn8m7gfd0ru", Some("b5jkw4repshdf89vuilbt453w"), 46_578_543, "g+oeLL0iZYC4C7tb34qdov5Puec=", false, false),
        // Class D: characters of no alphabet.
        ("hdsvddhlrhtbs[]34o543]", "fbdjsfdksbfs", None, 3_242_342_342, "PqX1gioG5KKWu2V+nz9d1rKe6rU=", false, false),
        ("dsbfjsdkdsaivfdsk", "fdhfgsvk", None, 67_686_768, "/MPK8HnKtMB1n2oxWYTiWdU0S5k=", false, false),
        ("3e54ght879r8ei0[w-4t5", "dhskgafgslad", None, 129_048_972_362, "QFkNQ6JVk8QuDLjFbm3QtE39lkw=", false, false),
        ("=-`z0icd9ufohgutreb4kj342lnejpfud0", "k43je5hgy78efu9w0i-oip4h5u", None, 0, "03NWb/fPekvUmXUlmGVPyPRSDpo=", false, false),
    ];
    for (secret, uid, friend, time, signature, strictly, leniently) in rows {
        for (lenient, taken) in [(false, strictly), (true, leniently)] {
            let shows = format!("{secret} {uid} {friend:?} lenient={lenient}");
            let (proxy, app) = match site(secret, lenient, if friend.is_some() { "friend" } else { "user" }).await {
                Ok(site) => site,
                Err(says) => {
                    assert!(!taken && says.contains("partner secret") && !says.contains(secret), "{shows}: {says}");
                    continue;
                }
            };
            assert!(taken, "{shows}: a conf with this secret is at fault");
            let text = time.to_string();
            let body = match friend {
                None => vec![("UID", uid), ("signatureTimestamp", &*text), ("UIDSignature", signature)],
                Some(friend) => {
                    vec![("UID", uid), ("friendUID", friend), ("signatureTimestamp", &text), ("friendshipSignature", signature)]
                }
            };
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(body).finish();
            let post =
                async |body: &str| proxy.ask_with("POST", "/login", &[("Content-Type", "application/x-www-form-urlencoded")], body).await;
            let late = Some(400_128);
            let moments =
                [(time - 301, late), (time - 300, None), (time, None), (time + 300, None), (time + 301, late), (time + 301, late)];
            for (now, refused) in moments {
                proxy.set_clock(now);
                let before = app.hits();
                let answer = post(&body).await;
                assert_eq!(
                    (answer.status, app.hits() - before),
                    (200, usize::from(refused.is_none())),
                    "{shows} at {now}: {}",
                    proxy.written()
                );
                assert_eq!(said(&answer)["errorCode"], json!(refused), "{shows} at {now}");
            }
            proxy.set_clock(time);
            assert_eq!(said(&post(&body.replace("UID=", "UID=x")).await)["errorCode"], json!(403_003), "{shows}: of another user");
        }
    }
}

/// The body of an answer, where it is JSON.
fn said(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn janrain_signatures_are_taken_as_the_vectors_say() {
    const SAMPLE: &str = "apkrahlfumwse2e9nvrrotv6vchuptzw";
    const MILLENNIUM: (&str, i64) = ("2000-01-01 01:01:01", 946_688_461);
    const SAMPLE_DATE: (&str, i64) = ("2016-02-26 19:08:44", 1_456_513_724);
    let app = Upstream::start().await;
    let yaml = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ clients: {{ janrain_clients: {{ file: clients.jsonl }} }} }}
authenticators: {{ signed: {{ janrain_signature: {{ keys: clients }} }}, named: {{ janrain_signature: {{ keys: clients, from: public }} }} }}
rules:
  - {{ name: native, match: {{ paths: [/oauth/refresh_access_token], methods: [POST] }}, authenticate: named, system: janrain, forward: app }}
  - {{ name: api, match: {{ paths: [/**] }}, authenticate: signed, system: janrain, forward: app }}
",
        app.address
    );
    let clients = format!(
        "{}\n{}\n",
        r#"{"client_id":"foo","secrets":["bar"],"features":["owner","login_client"]}"#,
        format_args!(r#"{{"client_id":"{SAMPLE}","secrets":["rylicq8ydkz0vmki3gqaoxbk4gyrr05t"],"features":["owner"]}}"#),
    );
    let folder = Folder::new();
    folder.write("clients.jsonl", clients);
    // What was signed before the proxy began to remember, it cannot say to be unspent.
    let proxy = Whole::start_at(MILLENNIUM.1 - 1_000, folder, &yaml).await;
    // V-JR-6 is verified by who knows the refresh secret; what is in front of it sees to its time, and that it comes once.
    let refresh = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", "foo"), ("flow", "standard"), ("flow_version", "1"), ("locale", "en-US")])
        .extend_pairs([("access_token", "z0y98xv76u5t4rs3"), ("date", MILLENNIUM.0), ("signature", "E8QabawW/StAk3GZiy6WgD0yBmo=")])
        .finish();
    let renewed = async |now: i64, passes: bool, shows: &str| {
        proxy.set_clock(now);
        let before = app.hits();
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = proxy.ask_with("POST", "/oauth/refresh_access_token", &fields, &refresh).await;
        assert_eq!((answer.status, app.hits() - before), (200, usize::from(passes)), "{shows}: {}", answer.text());
        answer.text()
    };
    renewed(MILLENNIUM.1, true, "V-JR-6").await;
    assert_eq!(app.records().pop().unwrap().body, refresh, "as it was signed");
    renewed(MILLENNIUM.1, false, "V-JR-6 again").await;

    let first = "param1=this+is+a+string&param2=10&param3=one%3D1%0Atwo%3D2%2Cthree%3D3";
    let collides = "param1=this+is+a+string&param2=10&param3=one%3D1&two=2%2Cthree%3D3";
    let filter = "filter=lastUpdated+%3E%3D+%272016-01-01%27";
    let (entity, typed) = (format!("/entity.find?entity_type=user&{filter}"), format!("/entity.find?type_name=user&{filter}"));
    let rows = [
        ("V-JR-1", "/entity", first, "foo", "G3N5RxCVc0d6rDLmBRGvcg2hCVY=", MILLENNIUM, "credential_malformed"),
        ("V-JR-2", "/entity", collides, "foo", "G3N5RxCVc0d6rDLmBRGvcg2hCVY=", MILLENNIUM, ""),
        ("V-JR-2 again", "/entity", collides, "foo", "G3N5RxCVc0d6rDLmBRGvcg2hCVY=", MILLENNIUM, "replayed"),
        ("V-JR-4, two lines", "/settings/items", "", "foo", "WSOAQljO1DtzSM5+8WOwvrPOEZE=", MILLENNIUM, ""),
        ("V-JR-4, three lines", "/settings/items", "", "foo", "gZadbVVlocyg5R2jkXXnstsF8C8=", MILLENNIUM, ""),
        ("V-JR-5, sorted lines", "/x?a=1&a-b=2", "", "foo", "soSAAi2ktQrLurOPcam0wZJupPw=", MILLENNIUM, ""),
        ("V-JR-5, sorted names", "/x?a-b=2&a=1", "", "foo", "exmQHgwaPSvqZvHAg6WvMO75Uis=", MILLENNIUM, ""),
        ("V-JR-3", &entity, "", SAMPLE, "+Bf5W9YKRhi5AoVTbxvhzuJXDUQ=", SAMPLE_DATE, ""),
        ("V-JR-3 with type_name", &typed, "", SAMPLE, "hKLLuIcKFYMZVzs6ovJ06GmSvUg=", SAMPLE_DATE, ""),
        ("V-JR-3 as printed", &entity, "", SAMPLE, "rRSudiGtMM5hEHYcwP49kt18jNk=", SAMPLE_DATE, "signature_invalid"),
        ("V-JR-3 late", &entity, "", SAMPLE, "+Bf5W9YKRhi5AoVTbxvhzuJXDUQ=", (SAMPLE_DATE.0, SAMPLE_DATE.1 + 301), "window_exceeded"),
    ];
    for (shows, target, body, client, signature, (date, now), reason) in rows {
        proxy.set_clock(now);
        let (before, field) = (app.hits(), format!("Signature {client}:{signature}"));
        let fields = [("Authorization", field.as_str()), ("Date", date), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = proxy.ask_with(if body.is_empty() { "GET" } else { "POST" }, target, &fields, body).await;
        assert_eq!((answer.status, app.hits() - before), (200, usize::from(reason.is_empty())), "{shows}: {}", answer.text());
        if reason.is_empty() {
            assert_eq!(app.records().pop().unwrap().fields("x-auth-subject"), [client], "{shows}");
        } else {
            assert_eq!(said(&answer)["stat"], json!("error"), "{shows}");
            assert_eq!(proxy.reason_of(&answer).await, reason, "{shows}");
        }
    }

    let late = renewed(SAMPLE_DATE.1, false, "V-JR-6 late").await;
    assert!(late.contains(r#""argument_name":"date""#), "{late}");
}

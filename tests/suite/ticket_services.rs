//! The services around tickets through the running proxy: mint, use, redeem, revoke.

use std::sync::Arc;

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::raw::Answer;
use crate::support::rows::{PEPPER, base64, server_key};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const KEY: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";

/// A house that mints for its own users and for itself, takes tickets directly, redeems them and takes them back.
pub(crate) struct House {
    pub(crate) whole: Whole,
    pub(crate) upstream: Upstream,
}

impl House {
    pub(crate) async fn start() -> Self {
        let upstream = Upstream::start().await;
        let conf = format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: {{ failures_per_address: 30 }}
upstreams: {{ app: http://{} }}
issuers:
  ours: {{ issuer: "https://proxy.example", signing_key: {{ file: signer.pem }}, audience: app }}
keys:
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
  tickets: {{ mac: {{ file: ticket.key }} }}
  issued: {{ issued: {{ issuer: ours }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners }} }}
  user: {{ jwt: {{ issuer: "https://proxy.example", audience: app, keys: issued, typ: at+jwt, leeway: 0s }} }}
  pass: {{ ticket: {{ keys: tickets, audience: app, max_life: 2h }} }}
  other: {{ ticket: {{ keys: tickets, audience: elsewhere, single_use: true }} }}
rules:
  - name: mint
    match: {{ paths: [/tickets], methods: [POST] }}
    authenticate: partner
    serve: {{ ticket.mint: {{ tickets: pass, subject: request, scopes: [chat, files], single_use: false }} }}
  - name: own
    match: {{ paths: [/own], methods: [POST] }}
    authenticate: user
    serve: {{ ticket.mint: {{ tickets: pass, bind: [address, device], claims: [minted_at] }} }}
  - name: redeem
    match: {{ paths: [/redeem], methods: [POST] }}
    authenticate: none
    serve: {{ ticket.redeem: {{ issuer: ours, tickets: pass }} }}
  - name: exchange
    match: {{ paths: [/exchange], methods: [POST] }}
    authenticate: pass
    serve: {{ ticket.redeem: {{ issuer: ours, tickets: pass }} }}
  - name: revoke
    match: {{ paths: [/tickets/revoke], methods: [POST] }}
    authenticate: partner
    serve: {{ ticket.revoke: {{ tickets: pass }} }}
  - {{ name: token, match: {{ paths: [/token], methods: [POST] }}, authenticate: none, serve: {{ token: {{ issuer: ours }} }} }}
  - {{ name: done, match: {{ paths: [/done], methods: [POST] }}, authenticate: none, serve: {{ revoke: {{ issuer: ours }} }} }}
  - {{ name: use, match: {{ paths: [/files/**] }}, authenticate: pass, forward: app }}
  - {{ name: elsewhere, match: {{ paths: [/elsewhere/**] }}, authenticate: other, forward: app }}
  - {{ name: api, match: {{ paths: [/api/**] }}, authenticate: user, forward: app }}
"#,
            upstream.address
        );
        let signer = SigningKey::generate(Algorithm::Es256).unwrap().private_pem().unwrap();
        let lines = server_key("acme", "s3cret", ",\"scopes\":[\"admin\"]");
        let files: [(&str, &[u8]); 4] =
            [("signer.pem", signer.expose()), ("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER), ("ticket.key", KEY)];
        let whole = Whole::start(&conf, &files).await;
        whole.ready().await;
        Self { whole, upstream }
    }

    /// Asks for `target` as the server `acme`.
    pub(crate) async fn server(&self, target: &str, kind: &str, body: &str) -> Answer {
        let key = base64("acme:s3cret");
        self.whole.ask_with("POST", target, &[("Server-Key", &key), ("Content-Type", kind)], body).await
    }

    /// A ticket as the server `acme` gets it for `order`.
    pub(crate) async fn minted(&self, order: Value) -> Value {
        let answer = self.server("/tickets", "application/json", &order.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        read(&answer)
    }

    /// The text of one.
    pub(crate) async fn ticket(&self, order: Value) -> String {
        self.minted(order).await["ticket"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn redeem(&self, ticket: &str) -> Answer {
        let body = json!({ "ticket": ticket }).to_string();
        self.whole.ask_with("POST", "/redeem", &[("Content-Type", "application/json")], &body).await
    }

    async fn with(&self, target: &str, bearer: &str) -> Answer {
        self.whole.ask("GET", target, &[("Authorization", &format!("Bearer {bearer}"))]).await
    }
}

/// A JSON answer that nobody may keep.
fn read(answer: &Answer) -> Value {
    assert_eq!(answer.field("cache-control"), Some("no-store"), "credentials are nobody's to keep: {answer:?}");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_mints_for_its_users_within_what_the_conf_allows() {
    let house = House::start().await;
    let minted = house.minted(json!({ "subject": "anna", "expires_in": 600, "scope": "chat" })).await;
    let shown: Vec<&str> = minted.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(shown, ["expires_at", "expires_in", "jti", "scope", "single_use", "subject", "ticket", "token_type"]);
    let rest: Value = minted
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "ticket" && *name != "jti")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let expected = json!({ "token_type": "ticket", "subject": "anna", "single_use": false, "expires_in": 600, "expires_at": NOW + 600, "scope": "chat" });
    assert_eq!(rest, expected);
    let answer = house.with("/files/a", minted["ticket"].as_str().unwrap()).await;
    assert_eq!(answer.status, 200, "and it is good: {}", answer.text());
    assert_eq!(house.upstream.records().pop().unwrap().fields("x-auth-subject"), ["anna"]);
    assert_eq!(house.upstream.records().pop().unwrap().fields("x-auth-scopes"), ["chat"]);

    let rows = [
        (JSON, r#"{"subject":"anna"}"#.to_owned(), 201, "", "the least that can be asked for"),
        (JSON, r#"{"subject":"anna","expires_in":1}"#.into(), 201, "", "a second"),
        (JSON, r#"{"subject":"anna","expires_in":3600}"#.into(), 201, "", "an hour, as the conf says without saying"),
        (JSON, r#"{"subject":"anna","expires_in":3601}"#.into(), 400, "between 1 and 3600", "a second more"),
        (JSON, r#"{"subject":"anna","expires_in":0}"#.into(), 400, "between 1 and 3600", "none"),
        (JSON, r#"{"subject":"anna","expires_in":-1}"#.into(), 400, "between 1 and 3600", "less than none"),
        (JSON, r#"{"subject":"anna","expires_in":"600"}"#.into(), 400, "whole number", "a text is no number in JSON"),
        (JSON, r#"{"subject":"anna","expires_in":18446744073709551616}"#.into(), 400, "whole number", "beyond any"),
        (JSON, r#"{"subject":"anna","scope":"chat files"}"#.into(), 201, "", "all that the conf lists"),
        (JSON, r#"{"subject":"anna","scope":"admin"}"#.into(), 400, "asks for more", "what the server has is not what it may give"),
        (JSON, r#"{"subject":"anna","scope":"chat  files"}"#.into(), 400, "asks for more", "an empty scope"),
        (JSON, r#"{"subject":"anna","single_use":true}"#.into(), 201, "", "for one use"),
        (JSON, r#"{"subject":"anna","single_use":"true"}"#.into(), 400, "true or false", "a text is no flag in JSON"),
        (JSON, r#"{"subject":""}"#.into(), 400, "`subject` is a text", "nobody"),
        (JSON, r#"{"subject":7}"#.into(), 400, "`subject` is a text", "a number is no subject"),
        (JSON, r#"{"subject":"an\nna"}"#.into(), 400, "without control characters", "what cannot stand in a field"),
        (JSON, r#"{}"#.into(), 400, "by `subject`", "it must be said for whom"),
        (JSON, String::new(), 400, "by `subject`", "nothing at all says nothing"),
        (JSON, r#"{"subject":"anna","subject":"bob"}"#.into(), 400, "twice", "two subjects"),
        (
            JSON,
            r#"{"subject":"anna","bnid":{"address":"192.0.2.1"}}"#.into(),
            400,
            "not known here",
            "a mistyped binding is no ticket without one",
        ),
        (JSON, r#"{"subject":"anna","bind":{"adress":"192.0.2.1"}}"#.into(), 400, "not known here", "nor below"),
        (JSON, r#"{"subject":"anna","bind.address":"192.0.2.1"}"#.into(), 400, "plain names", "a path is no name"),
        (JSON, r#"{"subject":"anna","bind":{"address":"192.0.2"}}"#.into(), 400, "IP address", "no address"),
        (JSON, r#"{"subject":"anna","bind":{"path":"/a/../b"}}"#.into(), 400, "path binding", "a path with two readings"),
        (JSON, r#"{"subject":"anna","bind":{"host":"API.example"}}"#.into(), 400, "host binding", "a host that is never judged so"),
        (JSON, r#"{"subject":"anna","bind":{"host":"api.example:443"}}"#.into(), 400, "host binding", "a port is no part of it"),
        (JSON, r#"{"subject":"anna","bind":{"methods":[]}}"#.into(), 400, "list of texts", "bound to no method at all"),
        (JSON, r#"{"subject":"anna","claims":{"admin":true}}"#.into(), 400, "not known here", "claims are not the server's to make"),
        (JSON, r#"["subject"]"#.into(), 400, "not a JSON object", "no object"),
        (JSON, r#"{"subject":"anna""#.into(), 400, "not well-formed", "cut off"),
        (JSON, format!(r#"{{"subject":"{}"}}"#, "a".repeat(4_000)), 400, "too large", "more than fits into a ticket"),
        (FORM, "subject=anna&expires_in=600&scope=chat+files&single_use=true&bind.methods=GET+POST".into(), 201, "", "a form"),
        (FORM, "subject=anna&subject=bob".into(), 400, "form of distinct names", "two subjects in a form"),
        (FORM, "subject=anna&bind.address=".into(), 400, "each with a value", "an empty binding is none that was left out"),
        (FORM, "subject=an%FFna".into(), 400, "escaped UTF-8", "no text"),
        (FORM, "subject=an%4".into(), 400, "escaped UTF-8", "a broken escape"),
        ("text/plain", r#"{"subject":"anna"}"#.into(), 415, "send application/json", "another type, such as any page may send"),
    ];
    for (kind, body, status, says, shows) in rows {
        let answer = house.server("/tickets", kind, &body).await;
        assert_eq!(answer.status, status, "{shows}: {}", answer.text());
        let told = read(&answer);
        if status != 201 {
            assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{shows}");
            assert!(told["detail"].as_str().unwrap().contains(says), "{shows}: {told}");
        }
    }
    let large = format!("{{\"subject\":\"{}\"}}", "a".repeat(65_536));
    let answer = house.server("/tickets", JSON, &large).await;
    assert_eq!((answer.status, house.whole.reason_of(&answer).await.as_str()), (413, "body_too_large"));
    let answer = house.whole.ask_with("POST", "/tickets", &[("Content-Type", JSON)], r#"{"subject":"anna"}"#).await;
    assert_eq!(answer.status, 401, "nobody is minted for whom nobody has proven");
    let answer = house.whole.ask("GET", "/tickets", &[("Server-Key", &base64("acme:s3cret"))]).await;
    assert_eq!(answer.status, 405, "by POST only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_redeemed_once_and_its_pair_is_good() {
    let house = House::start().await;
    let minted = house.minted(json!({ "subject": "anna", "scope": "chat", "single_use": true })).await;
    let ticket = minted["ticket"].as_str().unwrap();
    let answer = house.redeem(ticket).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let pair = read(&answer);
    assert_eq!((&pair["token_type"], &pair["expires_in"], &pair["scope"]), (&json!("Bearer"), &json!(900), &json!("chat")));
    assert!(pair["refresh_token"].is_string(), "a pair");
    let seen = house.with("/api/x", pair["access_token"].as_str().unwrap()).await;
    assert_eq!(seen.status, 200, "its access token is good: {}", seen.text());
    assert_eq!(house.upstream.records().pop().unwrap().fields("x-auth-subject"), ["anna"]);

    let again = house.redeem(ticket).await;
    assert_eq!((again.status, house.whole.reason_of(&again).await.as_str()), (401, "replayed"), "F1: once");
    let used = house.with("/files/x", ticket).await;
    assert_eq!((used.status, house.whole.reason_of(&used).await.as_str()), (401, "replayed"), "and it is spent for everything else");

    let own = house.ticket(json!({ "subject": "bob", "single_use": true })).await;
    let field = format!("Bearer {own}");
    let answer = house.whole.ask_with("POST", "/exchange", &[("Authorization", &field), ("Content-Type", "text/plain")], "\"\"").await;
    assert_eq!(answer.status, 200, "as the caller's own credential, whatever the body is: {}", answer.text());
    let answer = house.whole.ask("POST", "/exchange", &[("Authorization", &field)]).await;
    assert_eq!((answer.status, house.whole.reason_of(&answer).await.as_str()), (401, "replayed"), "once as well");

    let often = house.ticket(json!({ "subject": "carl" })).await;
    let field = format!("Bearer {often}");
    assert_eq!(house.with("/files/x", &often).await.status, 200, "a ticket for many uses");
    assert_eq!(house.whole.ask("POST", "/exchange", &[("Authorization", &field)]).await.status, 200, "is redeemed");
    assert_eq!(house.whole.ask("POST", "/exchange", &[("Authorization", &field)]).await.status, 401, "once");
    assert_eq!(house.redeem(&often).await.status, 401, "wherever it stands");
    assert_eq!(house.with("/files/x", &often).await.status, 200, "and stays good for what it is for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_redeemed_is_not_spent() {
    let house = House::start().await;
    let order = json!({ "subject": "anna", "single_use": true, "expires_in": 600 });
    let ticket = house.ticket(order.clone()).await;
    let bound = |bind: Value| json!({ "subject": "anna", "single_use": true, "bind": bind });
    let elsewhere = house.ticket(bound(json!({ "path": "/files" }))).await;
    let device = house.ticket(bound(json!({ "device": "phone-7" }))).await;
    let get = house.ticket(bound(json!({ "methods": ["GET"] }))).await;
    let there = house.ticket(bound(json!({ "address": "192.0.2.1" }))).await;
    let mut changed = ticket.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let rows = [
        (ticket.as_str(), NOW - 1, "not_yet_valid", "before it was made"),
        (&ticket, NOW + 600, "expired", "F6: its end is too late"),
        (&changed, NOW, "signature_invalid", "F12: one letter"),
        ("ct1.AAAA", NOW, "credential_malformed", "no ticket"),
        (&elsewhere, NOW, "claim_missing", "F10: for another path"),
        (&get, NOW, "claim_missing", "F10: for another method"),
        (&there, NOW, "claim_missing", "from another address"),
        (&device, NOW, "claim_missing", "on no device"),
    ];
    for (text, at, reason, shows) in rows {
        house.whole.set_clock(at);
        let answer = house.redeem(text).await;
        assert_eq!((answer.status, house.whole.reason_of(&answer).await.as_str()), (401, reason), "{shows}");
    }
    house.whole.set_clock(NOW);
    assert_eq!(house.with("/files/x", &elsewhere).await.status, 200, "unspent: where it is for, it is good");
    let body = json!({ "ticket": device }).to_string();
    let on_it = house.whole.ask_with("POST", "/redeem", &[("Content-Type", JSON), ("Device-Identifier", "phone-7")], &body).await;
    assert_eq!(on_it.status, 200, "unspent: on its device");

    let rows = [
        ("", JSON, 400, "there is no `ticket`", "nothing"),
        ("{}", JSON, 400, "there is no `ticket`", "an object without it"),
        (r#"{"ticket":7}"#, JSON, 400, "is a text", "no text"),
        (r#"{"ticket":"x","grant":"y"}"#, JSON, 400, "not known here", "something else beside it"),
        ("ticket=x&ticket=y", FORM, 400, "distinct names", "two"),
    ];
    for (body, kind, status, says, shows) in rows {
        let answer = house.whole.ask_with("POST", "/redeem", &[("Content-Type", kind)], body).await;
        assert_eq!(answer.status, status, "{shows}: {}", answer.text());
        assert!(read(&answer)["detail"].as_str().unwrap().contains(says), "{shows}: {}", answer.text());
    }
    house.whole.set_clock(NOW + 599);
    assert_eq!(house.redeem(&ticket).await.status, 200, "its last second, and still unspent after all that");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_at_once_one_redeems_the_ticket() {
    let house = Arc::new(House::start().await);
    let ticket = house.ticket(json!({ "subject": "anna", "single_use": true })).await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (house, ticket) = (Arc::clone(&house), ticket.clone());
        racers.spawn(async move {
            let mut pairs = Vec::new();
            for _ in 0..50 {
                let answer = house.redeem(&ticket).await;
                match answer.status {
                    200 => pairs.push(read(&answer)["refresh_token"].clone()),
                    status => assert_eq!(status, 401, "F2: {}", answer.text()),
                }
            }
            pairs
        });
    }
    let pairs: Vec<Value> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(pairs.len(), 1, "F2: exactly one pair");
    assert_eq!(
        house.whole.audit(1_001).await.iter().filter(|record| record["reason"] == "replayed").count(),
        999,
        "and all others said so"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_taken_back_is_good_for_nothing() {
    let house = House::start().await;
    let revoke = async |body: Value| {
        let answer = house.server("/tickets/revoke", JSON, &body.to_string()).await;
        let told = read(&answer);
        let says = told.get("state").or(told.get("detail")).unwrap().as_str().unwrap().to_owned();
        (answer.status, says)
    };
    let state = |text: &str| (200, text.to_owned());
    for single_use in [true, false] {
        let order = json!({ "subject": "anna", "single_use": single_use });
        let minted = house.minted(order.clone()).await;
        let ticket = minted["ticket"].as_str().unwrap();
        assert_eq!(revoke(json!({ "ticket": ticket })).await, state("revoked"), "shown");
        assert_eq!(house.with("/files/x", ticket).await.status, 401, "no longer used, single use {single_use}");
        assert_eq!(house.redeem(ticket).await.status, 401, "nor redeemed");
        assert_eq!(revoke(json!({ "ticket": ticket })).await, state("spent"), "a second time changes nothing");

        let minted = house.minted(order).await;
        let ticket = minted["ticket"].as_str().unwrap();
        assert_eq!(revoke(json!({ "jti": minted["jti"] })).await, state("revoked"), "by its id");
        assert_eq!(house.with("/files/x", ticket).await.status, 401, "no longer used, single use {single_use}");
        assert_eq!(house.redeem(ticket).await.status, 401, "nor redeemed");
    }
    let used = house.ticket(json!({ "subject": "anna", "single_use": true })).await;
    assert_eq!(house.with("/files/x", &used).await.status, 200);
    assert_eq!(revoke(json!({ "ticket": used })).await, state("spent"), "too late: the server is told");
    let other = house.ticket(json!({ "subject": "anna" })).await;
    assert_eq!(house.with("/files/x", &other).await.status, 200, "others stay good");

    let rows = [
        (json!({}), "by `ticket` or `jti`", "nothing"),
        (json!({ "ticket": other, "jti": "x" }), "either", "both"),
        (json!({ "ticket": "ct1.AAAA" }), "no ticket of ours", "no ticket: the server is told that nothing happened"),
        (json!({ "jti": "AAAA" }), "no id of a ticket", "no id"),
        (json!({ "jti": "AAAAAAAAAAAAAAAAAAAAAAA" }), "no id of a ticket", "an id of another length"),
        (json!({ "tickt": other }), "not known here", "mistyped"),
    ];
    for (body, says, shows) in rows {
        let (status, told) = revoke(body).await;
        assert!(status == 400 && told.contains(says), "{shows}: {status} {told}");
    }
    let answer = house.whole.ask_with("POST", "/tickets/revoke", &[("Content-Type", JSON)], &json!({ "ticket": other }).to_string()).await;
    assert_eq!(answer.status, 401, "who may ask is the rule's to say");
    let short = house.ticket(json!({ "subject": "anna", "expires_in": 60 })).await;
    house.whole.set_clock(NOW + 60);
    assert_eq!(revoke(json!({ "ticket": short })).await, state("expired"), "there is nothing to take back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_tickets_for_itself_and_never_more_than_it_has() {
    let house = House::start().await;
    let first = house.ticket(json!({ "subject": "anna", "scope": "chat" })).await;
    let pair = read(&house.redeem(&first).await);
    let access = format!("Bearer {}", pair["access_token"].as_str().unwrap());
    let ask = async |device: Option<&str>, body: &str| {
        let mut fields = vec![("Authorization", access.as_str()), ("Content-Type", JSON)];
        fields.extend(device.map(|device| ("Device-Identifier", device)));
        house.whole.ask_with("POST", "/own", &fields, body).await
    };
    let rows = [
        (Some("phone-7"), "", 201, "", "nothing to say: the caller's own"),
        (Some("phone-7"), r#"{"subject":"anna"}"#, 201, "", "the caller itself"),
        (Some("phone-7"), r#"{"subject":"bob"}"#, 400, "caller's own", "nobody else"),
        (None, "", 400, "device-identifier", "bound to a device, so it must say which"),
        (Some("phone-7"), r#"{"bind":{"device":"phone-8"}}"#, 400, "caller's own", "its own"),
        (Some("phone-7"), r#"{"bind":{"address":"127.0.0.1","device":"phone-7"}}"#, 201, "", "as it is"),
        (Some("phone-7"), r#"{"bind":{"address":"192.0.2.1"}}"#, 400, "caller's own", "another address"),
        (Some("phone-7"), r#"{"scope":"chat"}"#, 201, "", "what it has"),
        (Some("phone-7"), r#"{"scope":"files"}"#, 400, "asks for more", "what it has not"),
        (Some("phone-7"), r#"{"single_use":false}"#, 400, "for one use", "for one use unless the conf says otherwise"),
        (Some("phone-7"), r#"{"single_use":true}"#, 201, "", "as it is anyway"),
    ];
    for (device, body, status, says, shows) in rows {
        let answer = ask(device, body).await;
        assert_eq!(answer.status, status, "{shows}: {}", answer.text());
        assert!(status == 201 || answer.text().contains(says), "{shows}: {}", answer.text());
    }
    let minted = read(&ask(Some("phone-7"), "").await);
    assert_eq!(minted["expires_in"], json!(900), "no longer than the credential that it was asked for with");
    assert_eq!(minted.get("scope"), None, "no scope that was not asked for");
    assert_eq!(minted["single_use"], json!(true));
    house.whole.set_clock(NOW + 899);
    let minted = read(&ask(Some("phone-7"), "").await);
    assert_eq!(minted["expires_in"], json!(1), "to the last second");
    let field = format!("Bearer {}", minted["ticket"].as_str().unwrap());
    let answer = house.whole.ask("GET", "/files/x", &[("Authorization", &field)]).await;
    assert_eq!(answer.status, 401, "bound to the device");
    let fields = [("Authorization", field.as_str()), ("Device-Identifier", "phone-7")];
    assert_eq!(house.whole.ask("GET", "/files/x", &fields).await.status, 200, "on it");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_tickets_is_bounded_and_costs_others_nothing() {
    let house = House::start().await;
    let good = house.ticket(json!({ "subject": "anna", "single_use": true })).await;
    let mut statuses = Vec::new();
    for number in 0..40 {
        if number == 20 {
            assert_eq!(house.server("/tickets", JSON, r#"{"subject":"bob"}"#).await.status, 201, "beside it others go on");
        }
        statuses.push(house.redeem(&format!("ct1.{}{number:02}", "A".repeat(90))).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 30, "F23: as many as the budget has: {statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "F11: then it is over");
    assert_eq!(house.redeem(&good).await.status, 429, "for this address");
    assert_eq!(house.server("/tickets", JSON, r#"{"subject":"bob"}"#).await.status, 201, "whoever has proven themselves meanwhile goes on");
    house.whole.set_clock(NOW + 300);
    assert_eq!(house.redeem(&good).await.status, 200, "and the ticket was not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_refresh_tokens_is_bounded_and_costs_others_nothing() {
    let house = House::start().await;
    let ticket = house.ticket(json!({ "subject": "anna", "single_use": true })).await;
    let first = read(&house.redeem(&ticket).await)["refresh_token"].as_str().unwrap().to_owned();
    let send = async |target: &str, body: String| house.whole.ask_with("POST", target, &[("Content-Type", FORM)], &body).await;
    let rotate = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");

    // What is wrong in itself, or was ours once, is no guess.
    for _ in 0..40 {
        assert_eq!(send("/token", "grant_type=password".to_owned()).await.status, 400);
        assert_eq!(send("/done", "token=an.access.token".to_owned()).await.status, 200);
    }
    let next = read(&send("/token", rotate(&first)).await)["refresh_token"].as_str().unwrap().to_owned();

    let mut statuses = Vec::new();
    for number in 0..40 {
        if number == 15 {
            assert_eq!(house.server("/tickets", JSON, r#"{"subject":"bob"}"#).await.status, 201, "beside it others go on");
        }
        let guess = format!("cr1.{}{number:02}", "A".repeat(62));
        // The two endpoints share one budget.
        let answer = if number % 2 == 0 { send("/token", rotate(&guess)).await } else { send("/done", format!("token={guess}")).await };
        statuses.push(answer.status);
    }
    let (judged, over) = statuses.split_at(30);
    assert!(
        judged.iter().enumerate().all(|(at, status)| *status == if at % 2 == 0 { 400 } else { 200 }),
        "as many as the budget has: {judged:?}"
    );
    assert!(over.iter().all(|status| *status == 429), "then it is over, and the store is not asked: {over:?}");
    assert_eq!(send("/token", rotate(&next)).await.status, 429, "for this address");
    assert_eq!(house.server("/tickets", JSON, r#"{"subject":"bob"}"#).await.status, 201, "whoever has proven themselves meanwhile goes on");
    house.whole.set_clock(NOW + 300);
    assert_eq!(send("/token", rotate(&next)).await.status, 200, "and the token was not touched");
}

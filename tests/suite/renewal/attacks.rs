//! Who tries to have more of a renewal than is theirs, or to see what renews: through the running proxy.

use std::sync::Arc;

use countersign::demo::credentials::{claims, with};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;

use super::{ENDED, ISSUER, Issuer, access, ask, handed, pair};
use crate::loopback::Told;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
use crate::support::whole::{NOW, Whole};

/// `user` and `second` renew in headers, `member` in cookies, `plain` not at all.
const HOUSE: &str = r"
listeners: [{ address: 127.0.0.1:0 }]
governor: { failures_per_address: 3 }
upstreams: { app: http://UPSTREAM }
state: { memory: {} }
keys: { own: { pinned: { file: own.jwk } } }
authenticators:
  user: { jwt: { issuer: https://id.example, audience: app, keys: own }, renew: login }
  second: { jwt: { issuer: https://id.example, audience: app, keys: own, from: { header: X-Second } }, renew: again }
  member: { jwt: { issuer: https://id.example, audience: app, keys: own, from: { cookie: at } }, renew: cookies }
  plain: { jwt: { issuer: https://id.example, audience: app, keys: own, from: { header: X-Plain } } }
renewers:
  login: { oauth2: { refresh_from: { header: X-Refresh-Token }, token_url: 'http://TOKEN/token', client_id: app, client_auth: none } }
  again:
    oauth2:
      refresh_from: { header: X-Second-Refresh }
      token_url: http://TOKEN/token
      client_id: app
      client_auth: none
      hand_back: { access: { header: X-Second-New }, refresh: { header: X-Second-Refresh-New }, expires_in: { header: X-Second-Life } }
  cookies: { oauth2: { refresh_from: { cookie: rt }, token_url: 'http://TOKEN/token', client_id: app, client_auth: none } }
rules:
  - { name: public, match: { paths: [/public] }, authenticate: none, preflight: forward, forward: app }
  - { name: plain, match: { paths: [/plain] }, authenticate: plain, preflight: forward, forward: app }
  - { name: kept, match: { paths: [/kept] }, authenticate: { any: [plain, user] }, forward: { upstream: app, keep_credential: true } }
  - { name: maybe, match: { paths: [/maybe] }, authenticate: { optional: user }, forward: { upstream: app, keep_credential: true } }
  - { name: both, match: { paths: [/both] }, authenticate: { all: [user, second] }, forward: { upstream: app, keep_credential: true } }
  - { name: member, match: { paths: [/member] }, authenticate: member, forward: app }
  - { name: user, match: { paths: [/user] }, authenticate: user, forward: app }
";

async fn house(issuer: &Issuer, upstream: &Upstream) -> Whole {
    let conf = HOUSE.replace("UPSTREAM", &upstream.address.to_string()).replace("TOKEN", &issuer.endpoint.address.to_string());
    Whole::start_in(issuer.folder(), &conf).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_renews_goes_upstream_from_no_rule() {
    let (issuer, upstream) = (Issuer::start(), Upstream::start().await);
    let whole = house(&issuer, &upstream).await;
    let good = issuer.first();
    let bearer = format!("Bearer {good}");
    let rows: [(&str, &str, &[(&str, &str)], &str); 9] = [
        ("GET", "/public", &[], "a public rule"),
        ("OPTIONS", "/public", &[("Origin", "https://a"), ("Access-Control-Request-Method", "GET")], "a preflight"),
        ("OPTIONS", "/plain", &[("Origin", "https://a"), ("Access-Control-Request-Method", "GET")], "a preflight of a guarded rule"),
        ("GET", "/plain", &[("X-Plain", &good)], "a rule with another authenticator"),
        ("GET", "/kept", &[("X-Plain", &good)], "another branch of `any`, credentials kept"),
        ("GET", "/kept", &[("Authorization", &bearer)], "its own branch, credentials kept"),
        ("GET", "/maybe", &[], "a credential that may be absent and is"),
        ("GET", "/maybe", &[("Authorization", &bearer)], "and is not"),
        ("GET", "/user", &[("Authorization", &bearer)], "its own rule"),
    ];
    for (method, target, fields, shows) in rows {
        let secrets = [
            ("X-Refresh-Token", "rt-901"),
            ("X-REFRESH_TOKEN", "rt-902"),
            ("x_second.refresh", "rt-903"),
            ("X-Second-Refresh", "rt-904"),
            ("Cookie", "a=1; rt=rt-905; b=2"),
            ("Cookie", "rt=rt-906"),
        ];
        let fields: Vec<_> = fields.iter().copied().chain(secrets).collect();
        let before = upstream.hits();
        let answer = whole.ask(method, target, &fields).await;
        assert_eq!((answer.status, upstream.hits() - before), (200, 1), "{shows}: {}", whole.reason_of(&answer).await);
        let seen = upstream.records().pop().unwrap();
        assert!(!seen.head.contains("rt-90"), "{shows}: {}", seen.head);
        if method == "GET" {
            assert_eq!(seen.fields("cookie"), ["a=1; b=2"], "{shows}: the rest is as it was");
        }
    }
    assert_eq!(issuer.exchanges(), 0);
    assert!(!whole.written().contains("rt-90"), "nor into the audit");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_credentials_that_have_run_out_both_are_renewed_and_handed_back() {
    let (issuer, upstream) = (Issuer::start(), Upstream::start().await);
    let whole = house(&issuer, &upstream).await;
    let old = issuer.first();
    let bearer = format!("Bearer {old}");
    whole.set_clock(ENDED);
    let fields = [("Authorization", bearer.as_str()), ("X-Refresh-Token", "rt-1"), ("X-Second", &old), ("X-Second-Refresh", "rt-51")];
    let answer = whole.ask("GET", "/both", &fields).await;
    assert_eq!(answer.status, 200, "{}", whole.written());
    assert_eq!((handed(&answer).as_str(), answer.field("x-second-refresh-new")), ("rt-2", Some("rt-52")), "both old ones are spent");
    let seen = upstream.sole();
    assert_eq!(seen.fields("x-second"), [answer.field("x-second-new").unwrap()], "the upstream is shown the fresh one");
    assert_eq!(seen.fields("authorization"), [format!("Bearer {}", answer.field("x-renewed-access-token").unwrap())], "of either");
    assert_eq!(answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cache-control")).count(), 1);

    let fields = [("Authorization", bearer.as_str()), ("X-Refresh-Token", "rt-5"), ("X-Second", "garbage")];
    let answer = whole.ask("GET", "/both", &fields).await;
    assert_eq!(
        (answer.status, handed(&answer).as_str()),
        (401, "rt-6"),
        "refused by the other: what was renewed is handed back all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_credential_of_somebody_else_renews_nobody() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let signing = Arc::clone(&key);
    // The issuer goes by the refresh token alone, as most do.
    let issuer = Issuer::scripted(key, move |spent| {
        let whose = if spent == "rt-bert" { "bert" } else { "anna" };
        pair(&signing.sign_compact(&[], &with(claims(ISSUER, Timestamp(ENDED)), "sub", whose)).unwrap(), 9)
    });
    let upstream = Upstream::start().await;
    let whole = house(&issuer, &upstream).await;
    whole.set_clock(ENDED);
    let rows = [("rt-bert", 401, "", "bert's, with a lapsed token of anna's own"), ("rt-anna", 200, "rt-9", "her own")];
    for (refresh, status, back, shows) in rows {
        let answer = ask(&whole, "/user", &issuer.first(), refresh).await;
        assert_eq!((answer.status, handed(&answer).as_str()), (status, back), "M6 {shows}");
        assert!(status == 200 || answer.field("x-renewed-access-token").is_none(), "M6 {shows}: nothing of it is handed out");
    }
    let seen = upstream.sole();
    assert_eq!(seen.fields("x-auth-subject"), ["anna"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_nothing_is_not_counted_as_guessing() {
    // The upstream refuses everybody, as a form of its own does after a wrong password.
    let upstream = Upstream::scripted(|_| Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec())).await;
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let issuer = Issuer::scripted(key, |_| Told::Raw(Vec::new()));
    let whole = house(&issuer, &upstream).await;
    let token = |number: usize| access(&issuer.key, NOW, number);
    for number in 0..20 {
        assert_eq!(ask(&whole, "/user", &token(number), "").await.status, 401, "nothing is brought to renew with");
    }
    assert_eq!(upstream.hits(), 20, "each of them was judged, and went on");
    whole.set_clock(ENDED);
    for number in 0..10 {
        let answer = ask(&whole, "/user", &token(number), &format!("rt-{number}")).await;
        let reason = whole.reason_of(&answer).await;
        assert!(["renewal_refused", "renewal_unavailable"].contains(&reason.as_str()), "an issuer whose answers are lost: {reason}");
    }
    whole.set_clock(NOW);
    assert_eq!((ask(&whole, "/user", &token(99), "").await.status, upstream.hits()), (401, 21), "nobody is throttled for that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_by_the_id_of_its_request() {
    let upstream = Upstream::scripted(|record: &Recorded| {
        let is_first = !record.fields("x-try").is_empty() && record.fields("x-second-try").is_empty();
        if is_first { Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec()) } else { ok("taken") }
    })
    .await;
    let (issuer, good) = {
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let signing = Arc::clone(&key);
        let issuer = Issuer::scripted(key, move |_| pair(&access(&signing, NOW, 2), 2));
        let good = issuer.first();
        (issuer, good)
    };
    let whole = house(&issuer, &upstream).await;
    for sent in [None, Some("client-id-0001")] {
        let bearer = format!("Bearer {good}");
        let mut fields = vec![("Authorization", bearer.as_str()), ("X-Refresh-Token", "rt-1"), ("X-Try", "1")];
        fields.extend(sent.map(|id| ("X-Request-Id", id)));
        let answer = whole.ask("GET", "/user", &fields).await;
        assert_eq!(answer.status, 401, "the upstream keeps refusing");
        let seen: Vec<_> = upstream.records().iter().rev().take(2).map(|record| record.fields("x-request-id").join(",")).collect();
        assert_eq!(seen[0], seen[1], "both tries go by one id");
        assert!(sent.is_none_or(|id| id == seen[0]), "the client's own, where it sent one");
        assert_eq!(whole.record_by(&seen[0]).await["renewed"], true, "which is that of the record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_request_is_answered_whole_and_a_log_out_stays_one() {
    let upstream = Upstream::scripted(|record: &Recorded| {
        if !record.fields("if-none-match").is_empty() || !record.fields("if-modified-since").is_empty() {
            return Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec());
        }
        if record.line().starts_with("POST") {
            let gone = "Set-Cookie: at=; Path=/; Max-Age=0\r\nSet-Cookie: rt=; Path=/; Max-Age=0\r\n";
            return Reply::Bytes(format!("HTTP/1.1 200 OK\r\n{gone}Content-Length: 0\r\n\r\n").into_bytes());
        }
        ok("whole")
    })
    .await;
    let issuer = Issuer::start();
    let whole = house(&issuer, &upstream).await;
    let cookie = format!("at={}; rt=rt-1", issuer.first());
    let conditional = [("Cookie", cookie.as_str()), ("If-None-Match", "\"v1\""), ("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT")];
    assert_eq!(whole.ask("GET", "/member", &conditional).await.status, 304, "good still: as it was asked");
    whole.set_clock(ENDED);
    let answer = whole.ask("GET", "/member", &conditional).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "whole"), "a 304 would put the pair into what a cache keeps");
    let cookies = |answer: &crate::support::raw::Answer| {
        let all = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        all.map(|(_, value)| value.split(';').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(cookies(&answer).len(), 2, "{:?}", answer.fields);

    let hits = upstream.hits();
    let fields = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "cross-site")];
    let answer = whole.ask("POST", "/member", &fields).await;
    assert_eq!((answer.status, upstream.hits() - hits), (403, 0), "another site's page gets nothing done");
    assert_eq!((cookies(&answer).len(), issuer.exchanges()), (2, 1), "and the browser, which nobody reads, what was paid for");

    let fields = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let answer = whole.ask("POST", "/member", &fields).await;
    assert_eq!(
        (answer.status, cookies(&answer)),
        (200, vec!["at=".to_owned(), "rt=".to_owned()]),
        "L11 logged out with a pair that had run out"
    );
}

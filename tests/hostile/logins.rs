//! Logins of our own under attack, through two running proxies that share a store: rows L9, L10, L14, L15 of sessions, and M2 to M6 of
//! token pairs.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign::domain::{Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::state::contract::StateStore;
use countersign::state::memory::Memory;
use countersign::verify::keys::mac::key_of;
use serde_json::Value as Json;

use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

const KEY: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";
const SEAL: &[u8] = b"only-for-tests-another-key-that-seals-it";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const OURS: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// Two nodes over one store, in front of one upstream.
struct House {
    nodes: [Whole; 2],
    upstream: Upstream,
}

impl House {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let conf = format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
issuers:
  ours: {{ issuer: "https://proxy.example", signing_key: {{ file: signer.pem }}, audience: app }}
keys:
  tickets: {{ mac: {{ file: ticket.key }} }}
  seals: {{ mac: {{ file: seal.key }} }}
  issued: {{ issued: {{ issuer: ours }} }}
authenticators:
  pass: {{ ticket: {{ keys: tickets, audience: app, single_use: true }} }}
  user:
    jwt: {{ issuer: "https://proxy.example", audience: app, keys: issued, typ: at+jwt, leeway: 0s }}
    renew: brought
  member:
    session: {{ keys: seals, tokens: user, life: 2h, idle: 0s }}
    renew: held
renewers:
  brought: {{ local: {{ issuer: ours, early: 0s, refresh_from: {{ header: X-Refresh-Token }} }} }}
  held: {{ local: {{ issuer: ours, early: 0s }} }}
rules:
  - {{ name: redeem, match: {{ paths: [/redeem], methods: [POST] }}, authenticate: pass, serve: {{ ticket.redeem: {{ issuer: ours, tickets: pass }} }} }}
  - {{ name: token, match: {{ paths: [/token], methods: [POST] }}, authenticate: none, serve: {{ token: {{ issuer: ours }} }} }}
  - {{ name: revoke, match: {{ paths: [/revoke], methods: [POST] }}, authenticate: none, serve: {{ revoke: {{ issuer: ours }} }} }}
  - {{ name: keys, match: {{ paths: [/jwks] }}, authenticate: none, serve: jwks }}
  - {{ name: login, match: {{ paths: [/login], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: logout, match: {{ paths: [/logout], methods: [POST] }}, authenticate: none, serve: {{ session.close: {{ session: member }} }} }}
  - {{ name: api, match: {{ paths: [/api/**] }}, authenticate: user, forward: app }}
  - {{ name: site, match: {{ paths: [/site/**] }}, authenticate: member, forward: app }}
  - {{ name: public, match: {{ paths: [/public/**] }}, authenticate: none, preflight: forward, forward: app }}
  - {{ name: open, match: {{ paths: [/open/**] }}, authenticate: none, forward: {{ upstream: app, keep_credential: true }} }}
  - {{ name: bearer, match: {{ paths: [/bearer/**] }}, authenticate: user, forward: {{ upstream: app, keep_credential: true }} }}
  - {{ name: kept, match: {{ paths: [/kept/**] }}, authenticate: member, forward: {{ upstream: app, keep_credential: true }} }}
  - {{ name: maybe, match: {{ paths: [/maybe/**] }}, authenticate: {{ optional: member }}, forward: {{ upstream: app, keep_credential: true }} }}
"#,
            upstream.address
        );
        let signer = SigningKey::generate(Algorithm::EdDsa).unwrap().private_pem().unwrap();
        let state: Arc<dyn StateStore> = Arc::new(Memory::new(10_000, Timestamp(NOW - 10_000)));
        let start = || async {
            let folder = Folder::new();
            folder.write("signer.pem", signer.expose());
            folder.write("ticket.key", KEY);
            folder.write("seal.key", SEAL);
            let whole = Whole::start_over(Arc::clone(&state), folder, &conf).await;
            whole.ready().await;
            whole
        };
        Self { nodes: [start().await, start().await], upstream }
    }

    fn set_clock(&self, later: i64) {
        self.nodes.iter().for_each(|node| node.set_clock(NOW + later));
    }

    /// A login by ticket: its access and refresh token.
    async fn login(&self, subject: &str) -> (String, String) {
        let mac = key_of(Secret::new(KEY.to_vec())).unwrap();
        let tickets = Mint {
            key: TicketKey::new(mac.id, &mac.secret),
            issuer: "countersign".into(),
            audience: "app".into(),
            max_life: Seconds(3_600),
        };
        let order = TicketOrder {
            subject: subject.into(),
            life: None,
            scopes: Box::default(),
            single_use: true,
            bindings: Bindings::default(),
            claims: Value::empty(),
        };
        let ticket = mint(&tickets, order, Timestamp(NOW), &countersign::ambient::SystemRandom).unwrap();
        let answer = self.nodes[0].ask("POST", "/redeem", &[("Authorization", &format!("Bearer {ticket}"))]).await;
        pair(&answer)
    }

    async fn rotate(&self, node: usize, refresh: &str) -> Answer {
        self.nodes[node].ask_with("POST", "/token", &[FORM], &format!("grant_type=refresh_token&refresh_token={refresh}")).await
    }

    async fn api(&self, node: usize, access: &str) -> u16 {
        self.nodes[node].ask("GET", "/api/a", &[("Authorization", &format!("Bearer {access}"))]).await.status
    }

    async fn site(&self, node: usize, cookie: &str) -> Answer {
        self.nodes[node].ask("GET", "/site/a", &[("Cookie", cookie)]).await
    }

    /// Opens a session that keeps the pair; its cookie.
    async fn open(&self, access: &str, refresh: &str, fields: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {access}");
        let fields: Vec<_> = fields.iter().copied().chain([("Authorization", bearer.as_str()), FORM]).collect();
        self.nodes[0].ask_with("POST", "/login", &fields, &format!("refresh_token={refresh}")).await
    }
}

fn pair(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body: Json = serde_json::from_slice(&answer.body).unwrap();
    (body["access_token"].as_str().unwrap().to_owned(), body["refresh_token"].as_str().unwrap().to_owned())
}

/// The cookie that `answer` sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 204, "{}", answer.text());
    answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_rotate_one_token_on_two_nodes_there_is_one_pair() {
    let house = Arc::new(House::start().await);
    let (_, refresh) = house.login("ann").await;
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let (house, refresh) = (Arc::clone(&house), refresh.clone());
            tokio::spawn(async move { pair(&house.rotate(number % 2, &refresh).await) })
        })
        .collect();
    let mut pairs = BTreeSet::new();
    for asked in asking {
        pairs.insert(asked.await.unwrap());
    }
    assert_eq!(pairs.len(), 1, "M2: one exchange, and all get its result");
    let (access, _) = pairs.pop_first().unwrap();
    for node in [0, 1] {
        assert_eq!(house.api(node, &access).await, 200, "which is good on both nodes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_stolen_ends_the_login_on_every_node() {
    let house = House::start().await;
    let (_, stolen) = house.login("ann").await;
    let (other, _) = house.login("ann").await;
    let (access, current) = pair(&house.rotate(0, &stolen).await);
    house.set_clock(60);
    let answer = house.rotate(1, &stolen).await;
    assert_eq!(answer.status, 400, "M3: {}", answer.text());
    assert!(answer.text().contains("\"invalid_grant\""));
    assert_eq!(house.rotate(0, &current).await.status, 400, "M3: the family is revoked, so that thief and owner are out");
    assert_eq!(house.api(1, &access).await, 401, "its access tokens at once on the node that saw it");
    for _ in 0..40 {
        if house.api(0, &access).await == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(house.api(0, &access).await, 401, "and on the other within a moment");
    assert_eq!(house.api(0, &other).await, 200, "another login of the same subject goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_renewed_on_the_way_for_its_own_login_only() {
    let house = House::start().await;
    let ((access, refresh), (foreign, stranger)) = (house.login("ann").await, house.login("bob").await);
    house.set_clock(900);
    let asked = |access: &str, refresh: &str| {
        let fields = [("Authorization".to_owned(), format!("Bearer {access}")), ("X-Refresh-Token".to_owned(), refresh.to_owned())];
        let house = &house;
        async move {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            house.nodes[0].ask("GET", "/api/a", &fields).await
        }
    };
    assert_eq!(house.api(0, &access).await, 401, "an access token that has ended, with nothing to renew it");
    assert_eq!(asked(&access, &stranger).await.status, 401, "M6: with somebody else's refresh token");
    let answer = asked(&access, &refresh).await;
    assert_eq!(answer.status, 200, "with its own: {}", answer.text());
    let fresh = answer.field("x-renewed-access-token").expect("the client is handed the new one").to_owned();
    assert_eq!(house.upstream.records().pop().unwrap().fields("x-auth-subject"), ["ann"]);
    assert_eq!(house.upstream.records().pop().unwrap().fields("x-refresh-token").len(), 0, "the upstream sees neither");
    assert_eq!(house.api(1, &fresh).await, 200, "and it is good everywhere");
    assert_eq!(house.api(0, &foreign).await, 401, "that login has ended its access token likewise");
    let (after, _) = pair(&house.rotate(0, &stranger).await);
    assert_eq!(house.api(0, &after).await, 200, "and its refresh token was not spent for somebody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_over_many_access_tokens_and_ends_when_it_is_told_to() {
    let house = House::start().await;
    let (access, refresh) = house.login("ann").await;
    let held = cookie(&house.open(&access, &refresh, &[OURS]).await);
    for round in 0..7 {
        house.set_clock(round * 1_000);
        for node in [0, 1] {
            let answer = house.site(node, &held).await;
            assert_eq!(answer.status, 200, "round {round}, node {node}: {}", answer.text());
            assert_eq!(answer.field("x-renewed-access-token"), None, "the browser holds nothing of the pair");
            let seen = house.upstream.records().pop().unwrap();
            assert_eq!(
                (seen.fields("x-auth-subject"), seen.fields("cookie").len()),
                (vec!["ann"], 0),
                "nor does the upstream see the cookie"
            );
        }
    }
    house.set_clock(7_199);
    assert_eq!(house.site(0, &held).await.status, 200, "to its last second");
    house.set_clock(7_200);
    assert_eq!(house.site(0, &held).await.status, 401, "and no longer, however much it was used");

    let house = House::start().await;
    let (access, refresh) = house.login("ann").await;
    let held = cookie(&house.open(&access, &refresh, &[OURS]).await);
    assert_eq!(house.site(1, &held).await.status, 200);
    let answer = house.nodes[0].ask("POST", "/logout", &[("Cookie", &held), OURS]).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(answer.field("set-cookie").unwrap().contains("Max-Age=0"), "L11: the cookie goes with it");
    assert_eq!(house.site(0, &held).await.status, 401, "over at once where it was ended");
    house.set_clock(1);
    assert_eq!(house.site(1, &held).await.status, 401, "and a second later everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_nobodys_to_plant_toss_carry_or_use_from_elsewhere() {
    let house = House::start().await;
    let (access, refresh) = house.login("mallory").await;
    let planted = cookie(&house.open(&access, &refresh, &[OURS]).await);
    let (access, refresh) = house.login("ann").await;
    let held = cookie(&house.open(&access, &refresh, &[OURS, ("Cookie", &planted)]).await);
    assert_ne!(held, planted, "L9: a new id at login, whatever came along");
    assert_eq!(house.site(0, &planted).await.status, 401, "L9: and what came along is over");
    assert_eq!(house.site(0, &held).await.status, 200);

    assert_eq!(house.site(0, &format!("{held}; {planted}")).await.status, 400, "L10: two cookies, and both are refused");
    assert_eq!(house.site(0, &held.replace("__Host-", "")).await.status, 401, "L10: one that a sibling host could have set is none");
    let carried = house.nodes[0].ask("GET", "/site/a", &[("Cookie", &held), ("Host", "other.test")]).await;
    assert_eq!(carried.status, 401, "L14: another host");

    let (access, refresh) = house.login("mallory").await;
    for elsewhere in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let answer = house.open(&access, &refresh, &[elsewhere]).await;
        assert_eq!((answer.status, answer.field("set-cookie")), (403, None), "L15: no other site logs a visitor in as somebody else");
        let answer = house.nodes[0].ask("POST", "/logout", &[("Cookie", &held), elsewhere]).await;
        assert_eq!(answer.status, 403, "L15: nor out");
        let answer = house.nodes[0].ask("POST", "/site/a", &[("Cookie", &held), elsewhere]).await;
        assert_eq!(answer.status, 403, "nor acts in their name");
    }
    assert_eq!(house.nodes[0].ask("GET", "/logout", &[("Cookie", &held), OURS]).await.status, 405, "L15: and a link logs nobody out");
    assert_eq!(house.site(0, &held).await.status, 200, "after all that the session stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_written_down_is_a_credential() {
    let house = House::start().await;
    let (access, refresh) = house.login("ann").await;
    let held = cookie(&house.open(&access, &refresh, &[OURS]).await);
    house.site(0, &held).await;
    house.rotate(0, "cr1.rubbish").await;
    let (next, after) = pair(&house.rotate(0, &refresh).await);
    house.nodes[0].ask_with("POST", "/revoke", &[FORM], &format!("token={after}")).await;
    house.nodes[0].ask("POST", "/logout", &[("Cookie", &held), OURS]).await;
    house.nodes[0].audit(7).await;
    let written = house.nodes[0].written() + &house.nodes[0].process.exposition();
    let id = held.split_once('=').unwrap().1.to_owned();
    for (secret, shows) in
        [(access, "access token"), (refresh, "refresh token"), (id, "session id"), (next, "access token"), (after, "refresh token")]
    {
        let tail = &secret[secret.len() - 16..];
        assert!(!written.contains(tail), "a {shows} stands in records or metrics");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_upstream_from_no_rule_that_does_not_ask_for_it() {
    let house = House::start().await;
    let (access, refresh) = house.login("ann").await;
    let held = cookie(&house.open(&access, &refresh, &[OURS]).await);
    let (_, id) = held.split_once('=').unwrap();
    let bearer = format!("Bearer {access}");
    let (asked, method): (&[(&str, &str)], _) = (&[("Origin", "https://a"), ("Access-Control-Request-Method", "GET")], "OPTIONS");
    let rows: [(&str, &str, &[(&str, &str)], bool, &str); 8] = [
        ("GET", "/public/x", &[], false, "a public rule"),
        (method, "/public/x", asked, false, "a preflight"),
        ("GET", "/open/x", &[], false, "a public rule that keeps credentials: a session is none of its"),
        ("GET", "/api/x", &[("Authorization", &bearer)], false, "another authenticator"),
        ("GET", "/bearer/x", &[("Authorization", &bearer)], false, "another authenticator, whose credentials are kept"),
        ("GET", "/site/x", &[], false, "its own rule"),
        ("GET", "/kept/x", &[], true, "its own rule, where the conf says that credentials are kept"),
        ("GET", "/maybe/x", &[], true, "and where it may be absent"),
    ];
    for (method, target, fields, kept, shows) in rows {
        // On one line and on several, alone and among others, whatever stands around them.
        for cookies in [vec![format!("a=1; {held}; b=2")], vec!["a=1".to_owned(), held.clone(), "b=2".to_owned()]] {
            let fields: Vec<_> = fields.iter().copied().chain(cookies.iter().map(|line| ("Cookie", line.as_str()))).collect();
            let answer = house.nodes[0].ask(method, target, &fields).await;
            assert_eq!(answer.status, 200, "{shows}: {}", answer.text());
            let seen = house.upstream.records().pop().unwrap();
            assert_eq!(seen.head.contains(id), kept, "{shows}: {}", seen.head);
            if method == "GET" && !kept {
                assert_eq!(seen.fields("cookie"), ["a=1; b=2"], "{shows}: the rest is as it was");
            }
        }
        let fields: Vec<_> = fields.iter().copied().chain([("Cookie", "__Host-session=guessed")]).collect();
        house.nodes[0].ask(method, target, &fields).await;
        let seen = house.upstream.records().pop().unwrap();
        assert!(!seen.head.contains("guessed"), "{shows}: nor does what is no session, under that name: {}", seen.head);
    }
}

//! Tokens of other issuers that are for one use: presented again, at once, in another spelling, elsewhere, later.
//!
//! Row C25. What a store does with what is spent has its own tests (`tests/suite/state`); forms of `jti` are in `tokens/claims.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;

use crate::support::rows::{Row, row};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const LEEWAY: i64 = 30;
/// Long enough after the store's beginning that tokens made now are not from before it.
const LATER: i64 = NOW + 100;

struct Yard {
    whole: Whole,
    upstream: Upstream,
    keys: [SigningKey; 2],
    yaml: String,
}

impl Yard {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let keys = [SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap()];
        let yaml = format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
state: {{ memory: {{ capacity: 1000 }} }}
upstreams: {{ app: http://{} }}
keys: {{ north: {{ pinned: {{ file: north.pem }} }}, south: {{ pinned: {{ file: south.pem }} }} }}
authenticators:
  once:
    jwt:
      issuer: [https://north.example, https://south.example]
      audience: app
      keys: {{ 'https://north.example': north, 'https://south.example': south }}
      leeway: {LEEWAY}s
      single_use: true
  again: {{ jwt: {{ issuer: https://north.example, audience: app, keys: north, single_use: true, from: {{ header: X-Once }} }} }}
rules:
  - {{ name: once, match: {{ paths: [/once] }}, authenticate: once, forward: app }}
  - {{ name: again, match: {{ paths: [/again] }}, authenticate: again, forward: app }}
  - {{ name: denied, match: {{ paths: [/denied] }}, authenticate: once, authorize: 'false', forward: app }}
",
            upstream.address
        );
        let [north, south] = [&keys[0], &keys[1]].map(|key| key.public_pem().unwrap());
        let whole = Whole::start(&yaml, &[("north.pem", north.as_bytes()), ("south.pem", south.as_bytes())]).await;
        whole.ready().await;
        Self { whole, upstream, keys, yaml }
    }

    /// A token of the `which` of the two issuers; each call makes another signature.
    fn token(&self, which: usize, jti: &str, made: i64) -> String {
        let issuer = ["https://north.example", "https://south.example"][which];
        let claims = json!({ "iss": issuer, "aud": "app", "sub": "anna", "jti": jti, "iat": made, "exp": made + 600 });
        self.keys[which].sign_compact(&[], &claims).unwrap()
    }

    async fn run(&self, row: Row) {
        row.run(&self.whole, &self.upstream).await;
    }
}

fn sent(shows: &'static str, token: &str) -> Row {
    row(shows, "/once").bearer(token).at(LATER)
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_token_for_one_use_is_used_once_in_whatever_spelling() {
    let yard = Yard::start().await;
    let first = yard.token(0, "a", LATER);
    yard.run(row("what is refused for another reason spends nothing", "/denied").bearer(&first).at(LATER).refused(403, "policy_denied"))
        .await;
    yard.run(sent("the first use", &first).passes("anna")).await;
    yard.run(sent("the same again", &first).refused(401, "replayed")).await;
    let respelt = yard.token(0, "a", LATER);
    assert_ne!(first, respelt, "ES256 signs differently each time");
    yard.run(sent("another signature over the same name", &respelt).refused(401, "replayed")).await;
    yard.run(sent("another token of that name", &yard.token(0, "a", LATER - 1)).refused(401, "replayed")).await;
    yard.run(row("at another authenticator", "/again").credential("X-Once", &first).at(LATER).refused(401, "replayed")).await;
    yard.run(sent("another name", &yard.token(0, "b", LATER)).passes("anna")).await;
    yard.run(sent("the same name at another issuer", &yard.token(1, "a", LATER)).passes("anna")).await;

    yard.whole.reload(&yard.yaml.replace("name: denied", "name: refused")).await.unwrap();
    yard.run(sent("after a reload", &first).refused(401, "replayed")).await;
    let last = LATER + 600 + LEEWAY;
    yard.run(sent("in its last second", &first).at(last - 1).refused(401, "replayed")).await;
    yard.run(sent("at its end", &first).at(last).refused(401, "expired")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_store_that_has_just_begun_believes_no_token_from_before() {
    let yard = Yard::start().await;
    for (made, passes, shows) in [
        (NOW - 60, false, "made before the store began"),
        (NOW + LEEWAY - 1, false, "perhaps made before: the issuer's clock may be ahead"),
        (NOW + LEEWAY, true, "made since, whatever its clock"),
    ] {
        let sent = row(shows, "/once").bearer(yard.token(0, shows, made)).at(NOW + LEEWAY);
        yard.run(if passes { sent.passes("anna") } else { sent.refused(401, "replayed") }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_of_fifty_at_once_one_passes() {
    const AT_ONCE: usize = 50;
    let yard = Arc::new(Yard::start().await);
    yard.whole.set_clock(LATER);
    for round in 0..5 {
        let before = yard.upstream.hits();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let yard = Arc::clone(&yard);
            let token = format!("Bearer {}", yard.token(0, &format!("round {round}"), LATER));
            asking.spawn(async move { yard.whole.ask("GET", "/once", &[("Authorization", &token)]).await.status });
        }
        let mut statuses = asking.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses[..2], [200, 401], "one passes");
        assert!(statuses[1..].iter().all(|status| *status == 401), "and nobody else: {statuses:?}");
        assert_eq!(yard.upstream.hits() - before, 1, "and the upstream has seen one");
    }
}

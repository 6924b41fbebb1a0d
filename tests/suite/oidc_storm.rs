//! Rotating refresh tokens of a real OpenID provider, through two proxies that share one Redis, over many lifetimes.
//!
//! Everything is real: the provider, which takes a second use of a refresh token for theft and ends the session, the two
//! processes, the Redis, the clock and the ends of the tokens. Each session is a client that sends bursts over both proxies,
//! takes over the pair that it is handed, and in some lifetimes goes on with the old one for a while, as a second tab of a
//! browser does. Every other client has given its pair to a `session` and holds a cookie, behind which the proxies renew. The full
//! figures (`COUNTERSIGN_PROVE=1`): 50 sessions, 20 lifetimes, 10,000 requests, all settings of time but `early` as they come.
//! Attacks M1, M2 and M7.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use crate::support::child::Running;
use crate::support::figures::figure;
use crate::support::openid::{AUDIENCE, Count, Pair, Provider, SECRET};
use crate::support::redis::{DURABLE, RedisServer};
use crate::support::upstream::Upstream;
use crate::support::whole::Folder;

/// What the access tokens live. Longer when proving, where every request must be answered before the pair after its own ends.
fn life() -> Duration {
    figure(Duration::from_secs(8), Duration::from_secs(4))
}

/// The settings of the renewers that leave time to a machine that has other things to do; none when proving.
fn patience() -> &'static str {
    figure("", ", wait: 8s, flight: 60s, grace: 2m")
}

/// How long before its end a token is due.
const EARLY: Duration = Duration::from_secs(1);
/// Requests that come at once when a token ends, half of them at each proxy.
const BURST: usize = 6;
/// Requests after that, one by one, in turn at each proxy.
const CALLS: usize = 4;

/// The metric that counts who made a pair that a client holds.
const RENEWED: &str = "countersign_renewals_total{renewer=\"login\",result=\"renewed\"}";
/// The same of those that sessions of `member` keep.
const KEPT: &str = "countersign_renewals_total{renewer=\"kept@member\",result=\"renewed\"}";

/// What seals the sessions.
const SEAL: (&str, &[u8]) = ("sessions.key", b"only-for-tests-a-key-of-forty-bytes-long");

/// The time of the machine, as tokens count it.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// When the access token of `pair` ends.
fn end(pair: &Pair) -> Duration {
    let bytes = countersign::jose::base64url::decode(pair.access.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    Duration::from_secs(claims["exp"].as_u64().unwrap())
}

async fn until(moment: Duration) {
    tokio::time::sleep(moment.saturating_sub(now())).await;
}

fn conf(provider: &Provider, upstream: &Upstream, redis: &RedisServer) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
limits: {{ connections_per_address: 10000 }}
upstreams: {{ app: http://{} }}
state: {{ redis: {{ url: {}, timeout: 30s }} }}
keys:
  provider: {{ discovery: {{ issuer: {origin} }} }}
  sessions: {{ mac: {{ file: {seal} }} }}
authenticators:
  user:
    jwt: {{ issuer: {origin}, audience: '{AUDIENCE}', keys: provider, typ: at+jwt, leeway: 0s }}
    renew: login
  member:
    session: {{ keys: sessions, tokens: user }}
    renew: kept
renewers:
  login: {{ oauth2: {{ refresh_from: {{ header: X-Refresh-Token }}, {client}, early: 1s{more} }} }}
  kept: {{ oauth2: {{ issuer: {origin}, {client}, early: 1s{more} }} }}
allow_inline_secrets: true
rules:
  - {{ name: open, match: {{ paths: [/open], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: member, match: {{ paths: [/member/**] }}, authenticate: member, forward: app }}
  - {{ name: all, match: {{ paths: [/**] }}, authenticate: user, forward: app }}
",
        upstream.address,
        redis.url(),
        origin = provider.origin,
        seal = SEAL.0,
        client = format_args!("client_id: web-basic, client_secret: {SECRET}"),
        more = patience(),
    )
}

/// How one request was answered.
struct Answered {
    status: u16,
    handed: Option<Pair>,
    /// When the answer was there.
    at: Duration,
}

async fn ask(proxy: &Running, session: usize, pair: &Pair) -> Answered {
    let Pair { access, refresh } = pair;
    let request = format!(
        "GET /{session} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {access}\r\nX-Refresh-Token: {refresh}\r\n\r\n"
    );
    let answer = proxy.ask(request).await;
    let field = |name| answer.field(name).map(str::to_owned);
    let handed = match (field("x-renewed-access-token"), field("x-renewed-refresh-token")) {
        (Some(access), Some(refresh)) => Some(Pair { access, refresh }),
        (None, None) => None,
        half => panic!("session {session}: half a pair: {half:?}"),
    };
    Answered { status: answer.status, handed, at: now() }
}

/// What one session saw.
#[derive(Default)]
struct Seen {
    /// Requests that were answered 200.
    served: usize,
    /// Requests with a spent pair, among them.
    behind: usize,
    /// Requests that this machine was so slow with that even the pair after theirs had ended. They show nothing.
    late: usize,
    /// The refresh tokens of the pairs that were taken over.
    adopted: BTreeSet<String>,
    /// Requests with the cookie of a session, among those that were served.
    kept: usize,
}

impl Seen {
    /// Takes in an answer to a request with a pair that is due, and that `next` has followed.
    fn renewed(&mut self, answer: &Answered, next: &Pair, shows: &str) {
        if answer.status == 401 && end(next) <= answer.at {
            self.late += 1;
            return;
        }
        assert_eq!(answer.status, 200, "{shows}");
        assert_eq!(answer.handed.as_ref(), Some(next), "{shows}: everybody is handed the same pair");
        self.served += 1;
    }

    fn adopt(&mut self, pair: &Pair, shows: &str) {
        assert!(self.adopted.insert(pair.refresh.clone()), "{shows}: a pair that was handed back before");
    }
}

/// One client, for so many lifetimes.
async fn live(session: usize, mut pair: Pair, lifetimes: usize, proxies: Arc<[Running; 2]>) -> Seen {
    let mut seen = Seen::default();
    for lifetime in 0..lifetimes {
        let shows = format!("session {session}, lifetime {lifetime}");
        // Some come within the last second, where a token is renewed early, and some up to half a second after its end.
        let drawn = Duration::from_millis(((session * 7 + lifetime * 11) % 15) as u64 * 100);
        until(end(&pair) - EARLY + drawn).await;

        let mut burst = JoinSet::new();
        for number in 0..BURST {
            let (proxies, pair) = (Arc::clone(&proxies), pair.clone());
            burst.spawn(async move { ask(&proxies[number % 2], session, &pair).await });
        }
        let answers = burst.join_all().await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let next = answers.iter().find_map(|answer| answer.handed.clone());
        let mut next = next.unwrap_or_else(|| panic!("{shows}: nobody was handed a pair: {statuses:?}"));
        seen.adopt(&next, &shows);
        answers.iter().for_each(|answer| seen.renewed(answer, &next, &shows));

        // In every third lifetime the client goes on with what is spent, for half a life.
        let behind = (session + lifetime).is_multiple_of(3);
        for number in 0..CALLS {
            let proxy = &proxies[(session + number) % 2];
            if behind {
                tokio::time::sleep(life() / 2 / u32::try_from(CALLS).unwrap()).await;
                let served = seen.served;
                seen.renewed(&ask(proxy, session, &pair).await, &next, &shows);
                seen.behind += seen.served - served;
                continue;
            }
            let answer = ask(proxy, session, &next).await;
            assert_eq!(answer.status, 200, "{shows}: with the new pair");
            seen.served += 1;
            if let Some(after) = answer.handed {
                assert!(end(&next) - EARLY <= answer.at, "{shows}: renewed although it was new");
                seen.adopt(&after, &shows);
                next = after;
            }
        }
        pair = next;
    }
    seen
}

/// Gives `pair` to a session, and tells the cookie.
async fn open(proxy: &Running, pair: &Pair) -> String {
    let Pair { access, refresh } = pair;
    let body = format!("refresh_token={refresh}");
    let answer = proxy
        .ask(format!(
            "POST /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {access}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// A request with the cookie of a session: served, and nothing of what happens behind it is shown.
async fn call(proxies: Arc<[Running; 2]>, number: usize, session: usize, cookie: String) {
    let request = format!("GET /member/{session} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
    let answer = proxies[number % 2].ask(request).await;
    assert_eq!(answer.status, 200, "session {session}, by cookie: {}", answer.text());
    let shown = answer.fields.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("x-renewed"));
    assert!(!shown, "session {session}: what renews is nobody's but the proxies': {answer:?}");
}

/// One client with a cookie, for so many lifetimes of the tokens behind it.
async fn live_in(session: usize, pair: Pair, lifetimes: usize, proxies: Arc<[Running; 2]>) -> Seen {
    let cookie = open(&proxies[session % 2], &pair).await;
    let mut seen = Seen::default();
    let mut due = end(&pair) - EARLY;
    for lifetime in 0..lifetimes {
        let drawn = Duration::from_millis(((session * 7 + lifetime * 11) % 15) as u64 * 100);
        until(due + drawn).await;
        let burst: JoinSet<()> = (0..BURST).map(|number| call(Arc::clone(&proxies), number, session, cookie.clone())).collect();
        burst.join_all().await;
        // The token behind the cookie was made before this moment, so it is due before that one.
        due = now() + life();
        for number in 0..CALLS {
            call(Arc::clone(&proxies), session + number, session, cookie.clone()).await;
        }
        seen.served += BURST + CALLS;
        seen.kept += BURST + CALLS;
    }
    seen
}

/// The number behind `name` in the metrics of `proxy`; 0 when it was never counted.
async fn counted(proxy: &Running, name: &str) -> usize {
    let text = proxy.admin("/metrics").await.text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_of_a_real_provider_is_lost_over_many_lifetimes_and_two_proxies() {
    let (sessions, lifetimes) = figure((50, 20), (6, 2));
    let (provider, upstream, redis) = (Provider::start(), Upstream::start().await, RedisServer::start_with(DURABLE));
    let folder = Folder::new();
    folder.write(SEAL.0, SEAL.1);
    let path = folder.write("countersign.yaml", conf(&provider, &upstream, &redis));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let proxies = Arc::new([Running::start(&path).await, Running::start(&path).await]);
    for proxy in proxies.iter() {
        proxy.ready().await;
    }
    provider.live(life().as_secs()).await;

    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for session in 0..sessions {
        let pair = provider.session("web-basic", &format!("user-{session}")).await;
        let proxies = Arc::clone(&proxies);
        match session % 2 {
            0 => clients.spawn(live(session, pair, lifetimes, proxies)),
            _ => clients.spawn(live_in(session, pair, lifetimes, proxies)),
        };
    }
    let mut all = Seen::default();
    while let Some(seen) = clients.join_next().await {
        // A client that met anything else than it may has stopped there, and said what it was.
        let seen = seen.unwrap_or_else(|fault| panic!("{fault}; the provider: {}", proxies.iter().map(Running::log).collect::<String>()));
        all.served += seen.served;
        all.behind += seen.behind;
        all.late += seen.late;
        all.kept += seen.kept;
        all.adopted.extend(seen.adopted);
    }
    let count = provider.count().await;
    let leading = [counted(&proxies[0], RENEWED).await, counted(&proxies[1], RENEWED).await];
    let kept = [counted(&proxies[0], KEPT).await, counted(&proxies[1], KEPT).await];
    println!(
        "{sessions} sessions, half of them by cookie, {lifetimes} lifetimes of {:?}, two proxies, {:?}: {} requests answered 200, {} of \
         them by cookie, {} with a spent pair, {} too late to show anything; {} pairs handed over, {} refreshes (for clients {leading:?} by \
         either proxy, for sessions {kept:?}), {} refused, {} families revoked",
        life(),
        begun.elapsed(),
        all.served,
        all.kept,
        all.behind,
        all.late,
        all.adopted.len(),
        count.refreshed,
        count.refused,
        count.revoked
    );
    let by_cookie = kept[0] + kept[1];
    let refreshed = u64::try_from(all.adopted.len() + by_cookie).unwrap();
    assert_eq!(count, Count { refreshed, refused: 0, revoked: 0 }, "one refresh for each pair, no family revoked");
    let clients = sessions.div_ceil(2);
    assert!(clients * lifetimes <= all.adopted.len(), "a new pair in every lifetime");
    assert!((sessions - clients) * lifetimes <= by_cookie, "and behind every cookie");
    assert_eq!(leading[0] + leading[1], all.adopted.len(), "and each is counted by who made it");
    assert_eq!(all.served + all.late, sessions * lifetimes * (BURST + CALLS));
    assert!(all.late <= figure(0, all.served), "a busy machine may lose half of it, a quiet one nothing");
    assert_eq!(upstream.hits(), all.served, "each that was answered 200 arrived once, and nothing else did");
    for record in upstream.records() {
        let whose = record.target().rsplit('/').next().unwrap();
        assert_eq!(record.fields("x-auth-subject"), [format!("user-{whose}")], "as who it was");
        let secrets = ["authorization", "x-refresh-token", "cookie"].map(|name| record.fields(name));
        assert_eq!(secrets, [vec![] as Vec<&str>, vec![], vec![]], "and nothing of what renews");
    }
}

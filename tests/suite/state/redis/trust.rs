//! Which servers are used: what `strict` demands, who may be spoken to, and over which connection.

use countersign::domain::Outage;
use countersign::state::contract::{Burned, Cursor};

use crate::state::redis::{NOW, answers, burn, fails, open_with, put, until};
use crate::support::redis::{DURABLE, RedisServer};

/// Whether a store opens with these settings; why not.
async fn refused(settings: &str) -> String {
    match open_with(settings, &[]).await {
        Ok(_) => "nothing: it opened".to_owned(),
        Err(says) => says,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_demands_a_server_that_loses_nothing_at_the_start_and_ever_after() {
    let strict = |server: &RedisServer| format!("url: '{}', strict: true, timeout: 5s", server.url());
    let cases = [
        // options, what is said, what the row shows
        (vec![], "appendonly", "no file"),
        (vec!["--appendonly", "yes"], "appendfsync", "a second at risk"),
        ([DURABLE, &["--maxmemory-policy", "allkeys-lru"]].concat(), "noeviction", "room is made"),
    ];
    for (options, expected, shows) in cases {
        let server = RedisServer::start_with(&options);
        let says = refused(&strict(&server)).await;
        assert!(says.contains(expected) && says.contains("127.0.0.1"), "{shows}: {says}");
    }

    let server = RedisServer::start_with(DURABLE);
    let store = open_with(&strict(&server), &[]).await.unwrap();
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    assert_eq!(server.ask(&["CONFIG", "SET", "appendfsync", "everysec"]), "OK");
    fails(&*store).await;
    assert_eq!(burn(&*store, 2).await, Err(Outage::State), "somebody has made it lax");
    assert_eq!(server.ask(&["CONFIG", "SET", "appendfsync", "always"]), "OK");
    answers(&*store).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::Again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_wrong_kind_or_with_another_password_is_refused_at_the_start() {
    let cache = RedisServer::start_with(&["--maxmemory-policy", "volatile-lru"]);
    let says = refused(&format!("url: '{}', timeout: 5s", cache.url())).await;
    assert!(says.contains("noeviction"), "one that throws away what was spent: {says}");

    let cluster = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let says = refused(&format!("url: '{}', timeout: 5s", cluster.url())).await;
    assert!(says.contains("Cluster and Sentinel are not supported"), "{says}");

    let guarded = RedisServer::start_with(&["--requirepass", "right"]);
    let with = |password: &str| format!("url: '{}', timeout: 5s{password}", guarded.url());
    for (password, shows) in
        [("", "no password"), (", password: wrong", "a wrong one"), (", username: x, password: right", "of another user")]
    {
        let says = refused(&with(password)).await;
        assert!(says.contains("password") && !says.contains("right") && !says.contains("wrong"), "{shows}: {says}");
    }
    let store = open_with(&with(", password: right"), &[]).await.unwrap();
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First), "the right one");
    let store = open_with(&with(", username: default, password: right"), &[]).await.unwrap();
    assert_eq!(burn(&*store, 1).await, Ok(Burned::Again), "with the name that goes with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_names_are_enough_and_needed() {
    let server = RedisServer::start_with(DURABLE);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/state.md")).unwrap();
    let line = page.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER ")).expect("docs/state.md shows the rule");
    let rule: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(server.ask(&[&["ACL", "SETUSER"], &rule[..]].concat()), "OK", "{line}");
    let (user, password) = (rule[0], rule.iter().find_map(|word| word.strip_prefix('>')).unwrap());

    let settings = format!("url: '{}', username: {user}, password: '{password}', strict: true, timeout: 5s", server.url());
    let store = open_with(&settings, &[]).await.unwrap();
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    put(&*store, 1, "value").await;
    store.append("entry".into(), countersign::domain::Timestamp(NOW.0 + 60), NOW).await.unwrap();
    assert_eq!(store.since(Cursor::default(), NOW).await.unwrap().entries.len(), 1);
    assert!(store.remove(&crate::state::redis::record(1), NOW).await.unwrap());
    let listening = || server.ask(&["EVAL", "return redis.call('PUBSUB', 'NUMSUB', '{countersign}:news')[2]", "0"]);
    until("it may listen", || async { listening() == "1" }).await;

    let asked = server.ask(&["ACL", "DRYRUN", user, "GET", "{other}:origin"]);
    assert!(asked.contains("no permissions"), "and nothing of others: {asked}");
}

/// An authority, and certificates that it has signed: PEM texts.
struct Authority {
    certificate: String,
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = named("authority");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
        Self { certificate: issuer.pem(), issuer }
    }

    /// A certificate for `name` and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name = named(name);
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut named = rcgen::DistinguishedName::new();
    named.push(rcgen::DnType::CommonName, name);
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_each_proves_itself_to_the_other() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (server_certificate, server_key) = ours.sign("localhost");
    let (certificate, key) = ours.sign("countersign");
    let (stranger, stranger_key) = others.sign("countersign");
    let server = RedisServer::start_tls(&ours.certificate, &server_certificate, &server_key);
    let files = [
        ("ca.pem", ours.certificate.as_str()),
        ("other-ca.pem", others.certificate.as_str()),
        ("us.pem", certificate.as_str()),
        ("us.key", key.as_str()),
        ("stranger.pem", stranger.as_str()),
        ("stranger.key", stranger_key.as_str()),
    ];
    let url = |host: &str| format!("url: 'rediss://{host}:{}', timeout: 5s, connect_timeout: 5s", server.port());
    let cases = [
        // settings, whether it works, what the row shows
        (url("localhost") + ", ca: ca.pem, certificate: us.pem, key: us.key", true, "as it should be"),
        (url("localhost") + ", ca: other-ca.pem, certificate: us.pem, key: us.key", false, "a server that our authority has not signed"),
        (url("localhost") + ", certificate: us.pem, key: us.key", false, "nor any that the system knows"),
        (url("127.0.0.1") + ", ca: ca.pem, certificate: us.pem, key: us.key", false, "a certificate for another name"),
        (url("localhost") + ", ca: ca.pem", false, "nothing shown to a server that asks"),
        (url("localhost") + ", ca: ca.pem, certificate: stranger.pem, key: stranger.key", false, "something it does not know"),
        (url("localhost").replace("rediss", "redis") + "", false, "plaintext to a server that speaks TLS"),
    ];
    for (settings, works, shows) in cases {
        let store = open_with(&settings, &files).await.unwrap_or_else(|says| panic!("{shows}: {says}"));
        if works {
            answers(&*store).await;
            assert!(matches!(burn(&*store, 1).await, Ok(Burned::First)), "{shows}");
        } else {
            assert_eq!(burn(&*store, 1).await, Err(Outage::State), "{shows}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_waited_for_without_holding_up_the_start() {
    let mut server = RedisServer::start();
    server.kill();
    let store = open_with(&format!("url: '{}'", server.url()), &[]).await.expect("a store that is away is no reason not to start");
    assert_eq!(burn(&*store, 1).await, Err(Outage::State));
    server.restart();
    answers(&*store).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First), "a memory that begins is not a loss to a process that begins");
}

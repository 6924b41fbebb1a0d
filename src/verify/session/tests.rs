//! What a cookie is worth, second by second, here and on other nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::domain::{
    Answer, Claim, Clock, Credential, Doubt, Facts, Found, Identity, Need, Observer, Outage, Random, Reason, Refusal, RequestView, Secret,
    Silent, Step, Target, Timestamp, TokenPair, Value, Verified,
};
use crate::issuer::session::{Kept, Sessions as Book};
use crate::jose::session::{KeptPair, Reference, SessionId};
use crate::net::client::{Client, ClientSettings};
use crate::settings::{Checking, Faults, Level, Material, Names, NodeValue};
use crate::state::contract::{Class, Key, StateStore};
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, Fault};
use crate::verify::contract::{Desks, Judged, SchemePlan, SchemeTools, Verifier};
use crate::verify::keys::contract::{BuiltKeys, MacKey};
use crate::verify::keys::testing::{map, node};
use crate::verify::session::plan;

const NOW: i64 = 1_800_000_000;
const HOST: &str = "app.example";

/// What the scheme makes of `settings`, or what is wrong with them.
fn planned(settings: Vec<(&str, NodeValue)>) -> Result<Box<dyn SchemePlan>, Vec<String>> {
    let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
    names.define("keys", "sessions");
    names.define("authenticators", "user");
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let made = plan(&node(map(settings)), &mut checking);
    let errors: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
    made.ok_or(errors)
}

fn text(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

fn written(more: Vec<(&'static str, NodeValue)>) -> Vec<(&'static str, NodeValue)> {
    let mut settings = vec![("keys", text("sessions")), ("life", text("1h")), ("idle", text("10m"))];
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend(more);
    settings
}

/// One node: the verifier of an authenticator, and who opens its sessions.
struct Node {
    verifier: Arc<dyn Verifier>,
    desks: Desks,
    book: Book,
}

/// A verifier of tokens `SUBJECT ENDS`.
struct Tokens;

impl Verifier for Tokens {
    fn find<'r>(&self, _request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(Found::Absent)
    }

    fn verify(&self, credential: &Credential<'_>, _: &RequestView<'_>, _: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        let Some((subject, ends)) = credential.part(0).split_once(' ') else { return Step::Refuse(Doubt::SignatureInvalid.into()) };
        let ends = Timestamp(ends.parse().unwrap());
        let scopes = Box::new(["renewed".into()]);
        let identity = Identity { scopes, expires: Some(ends), ..identity(subject) };
        let identity = Verified::vouch(Arc::new(identity));
        if ends <= now { Step::Refuse(Doubt::Expired(Some(Box::new(identity))).into()) } else { Step::Done(identity) }
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }
}

fn mac(number: u8) -> MacKey {
    MacKey { id: [number; 4], secret: Secret::new(vec![number; 32]) }
}

impl Node {
    fn new(store: &Arc<dyn StateStore>, more: Vec<(&'static str, NodeValue)>) -> Self {
        Self::with_keys(store, more, &[1])
    }

    fn with_keys(store: &Arc<dyn StateStore>, more: Vec<(&'static str, NodeValue)>, keys: &[u8]) -> Self {
        let plan = planned(written(more)).unwrap();
        let keys: Arc<[MacKey]> = keys.iter().map(|number| mac(*number)).collect();
        let keys = BTreeMap::from([("sessions".to_owned(), BuiltKeys::Mac(keys))]);
        let verifiers = BTreeMap::from([("user".to_owned(), Arc::new(Tokens) as Arc<dyn Verifier>)]);
        let client = Arc::new(Client::new(ClientSettings::default()).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Counting::apart()), Arc::new(Silent));
        let mut desks = Desks::default();
        let mut tools = SchemeTools {
            keys: &keys,
            verifiers: &verifiers,
            state: store,
            desks: &mut desks,
            client: &client,
            clock: &clock,
            random: &random,
            observer: &observer,
        };
        let verifier = plan.build(&"member".into(), &mut tools).unwrap();
        let terms = plan.session_terms(&"member".into(), &keys).unwrap().unwrap();
        Self { verifier, desks, book: Book::new(Arc::new(terms), Arc::clone(store), random, observer) }
    }

    async fn open(&self, pair: Option<KeptPair>) -> SessionId {
        self.book.open(HOST, &identity("ann"), pair, Timestamp(NOW)).await.unwrap().0.id().clone()
    }

    fn reference(&self, id: &SessionId) -> Reference {
        self.book.terms().recognise(id.clone(), HOST).unwrap()
    }

    /// What comes of a request with `cookies` at `host`, and the facts that were gathered for it.
    async fn ask_at(&self, host: &str, cookies: &[&str], now: i64) -> (Result<Verified<Arc<Identity>>, Refusal>, Facts) {
        let headers = fields(cookies);
        let target = Target { path: "/".into(), query: None };
        let request = request(host, &target, &headers);
        let mut facts = Facts::default();
        let outcome = loop {
            let found = match self.verifier.find(&request, &facts) {
                Step::Done(Found::Present(credential)) => credential,
                Step::Done(Found::Absent) => break Err(Refusal::CredentialMissing),
                Step::Done(Found::Unreadable(doubt) | Found::Foreign(doubt)) => break Err(doubt.into()),
                Step::Need(_) | Step::Refuse(_) => panic!("finding a cookie asks nobody"),
            };
            match self.verifier.verify(&found, &request, &facts, Timestamp(now)) {
                Step::Done(identity) => break Ok(identity),
                Step::Refuse(refusal) => break Err(refusal),
                Step::Need(need) => {
                    if let Err(outage) = self.supply(&mut facts, need, now).await {
                        break Err(outage.refusal());
                    }
                }
            }
        };
        (outcome, facts)
    }

    async fn supply(&self, facts: &mut Facts, need: Need, now: i64) -> Result<(), Outage> {
        let Need::Ask(question) = need else { panic!("only a desk is asked") };
        assert!(!facts.holds(&Need::Ask(question.clone())), "the same question twice");
        let answer: Answer = self.desks.get(question.desk).unwrap().answer(&question.about, Timestamp(now)).await?;
        facts.add_answer(question, answer);
        Ok(())
    }

    async fn ask(&self, id: &SessionId, now: i64) -> Result<Verified<Arc<Identity>>, Refusal> {
        self.ask_at(HOST, &[&format!("__Host-session={}", id.text().as_str())], now).await.0
    }

    /// What the session is once a renewal is over.
    async fn readmit(&self, id: &SessionId, mut facts: Facts, now: i64) -> Result<Verified<Arc<Identity>>, Refusal> {
        let headers = fields(&[&format!("__Host-session={}", id.text().as_str())]);
        let target = Target { path: "/".into(), query: None };
        let request = request(HOST, &target, &headers);
        let pair = TokenPair { access: secret("x"), refresh: None, access_until: None, refresh_until: None, beside: Value::empty() };
        loop {
            match self.verifier.readmit(&pair, &request, &facts, Timestamp(now)) {
                Step::Done(identity) => return Ok(identity),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(need) => self.supply(&mut facts, need, now).await.map_err(Outage::refusal)?,
            }
        }
    }
}

/// A credential as `find` makes it.
fn presented(id: &SessionId, host: &'static str) -> Credential<'static> {
    Credential::new(vec![id.text().to_string().into(), host.into()], Vec::new())
}

fn identity(subject: &str) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: "https://id.example".into(),
        scopes: Box::new(["read".into()]),
        claims: Value::Map(Box::new([
            ("email".into(), "ann@example".into()),
            ("sid".into(), "theirs".into()),
            ("iat".into(), Value::Int(5)),
        ]))
        .into(),
        expires: Some(Timestamp(NOW + 60)),
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn fields(cookies: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in cookies {
        headers.append("cookie", HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn request<'r>(host: &'r str, target: &'r Target, headers: &'r HeaderMap) -> RequestView<'r> {
    RequestView {
        method: "GET",
        raw_target: "/",
        target,
        host,
        headers,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "",
    }
}

fn store() -> (Arc<Failing>, Arc<dyn StateStore>) {
    let failing = Failing::over(Arc::new(Memory::new(10_000, Timestamp(NOW - 1_000))));
    (Arc::clone(&failing), failing)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn pair(access: &str, until: Option<i64>) -> KeptPair {
    KeptPair { access: secret(access), refresh: secret("refresh-1"), access_until: until.map(Timestamp), refresh_until: None }
}

fn reason(outcome: &Result<Verified<Arc<Identity>>, Refusal>) -> Option<Reason> {
    outcome.as_ref().err().map(Refusal::reason)
}

#[tokio::test]
async fn a_session_is_who_logged_in_and_says_when_it_ends() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(None).await;
    let proven = node.ask(&id, NOW).await.unwrap();
    let identity = proven.get();
    assert_eq!((&*identity.subject, &*identity.issuer, identity.scopes.join(" ")), ("ann", "https://id.example", "read".to_owned()));
    assert_eq!(identity.expires, Some(Timestamp(NOW + 3_600)), "the end of the session, not of what it was opened with");
    assert_eq!((identity.scheme, &*identity.authenticator), ("session", "member"));
    assert_eq!(identity.claims.member("email").and_then(Claim::as_text), Some("ann@example"), "what was proven at login");
    assert_eq!(identity.claims.member("iat"), Some(Claim::Int(NOW)), "it is as old as its login");
    let handle = node.book.terms().handle_of(&node.reference(&id));
    assert_eq!(identity.claims.member("sid").and_then(Claim::as_text), Some(&*handle), "its own name, whatever the login brought");
    let Value::Map(members) = identity.claims.to_value() else { panic!("an object") };
    assert_eq!(members.len(), 3, "no claim stands twice");
}

#[tokio::test]
async fn only_one_cookie_of_the_right_form_is_a_session() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(None).await;
    let (good, other) = (format!("__Host-session={}", id.text().as_str()), node.open(None).await);
    let other = format!("__Host-session={}", other.text().as_str());
    let bare = id.text().to_string();
    let rows: [(Vec<String>, Option<Reason>, &str); 12] = [
        (vec![good.clone()], None, "as it was set"),
        (vec![format!("a=1; {good}; b=2")], None, "among others"),
        (vec!["a=1".into(), good.clone()], None, "on a line of its own"),
        (vec![], Some(Reason::CredentialMissing), "no cookie"),
        (vec![format!("__host-session={bare}")], Some(Reason::CredentialMissing), "another name: cookies have case"),
        (vec![format!("session={bare}")], Some(Reason::CredentialMissing), "without the prefix that keeps other hosts away"),
        (vec![format!("{good}; {other}")], Some(Reason::CredentialConflict), "two sessions (L10)"),
        (vec![good.clone(), good.clone()], Some(Reason::CredentialConflict), "the same one twice"),
        (vec![format!("__Host-session=\"{bare}\"")], Some(Reason::CredentialMalformed), "quoted"),
        (vec![format!("__Host-session={}", &bare[..63])], Some(Reason::CredentialMalformed), "a character short"),
        (vec!["__Host-session=".into()], Some(Reason::CredentialMalformed), "empty, which is not absent"),
        (vec!["__Host-session=00000000-0000-0000-0000-000000000000".into()], Some(Reason::CredentialMalformed), "somebody else's id"),
    ];
    for (cookies, expected, shows) in rows {
        let lines: Vec<&str> = cookies.iter().map(String::as_str).collect();
        let (outcome, _) = node.ask_at(HOST, &lines, NOW).await;
        assert_eq!(reason(&outcome), expected, "{shows}: {cookies:?}");
    }
}

#[tokio::test]
async fn a_session_is_good_at_its_own_host_and_authenticator_only() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(None).await;
    let cookie = format!("__Host-session={}", id.text().as_str());
    for host in ["other.example", "a.app.example", "app.example.evil", ""] {
        let (outcome, _) = node.ask_at(host, &[&cookie], NOW).await;
        assert_eq!(reason(&outcome), Some(Reason::Expired), "carried to {host:?} it finds nothing (L14)");
    }
    assert!(node.ask(&id, NOW).await.is_ok(), "and is as good as before where it belongs");
    assert_eq!(
        reason(&node.ask(&SessionId::forged(&Counting::apart()), NOW).await),
        Some(Reason::Expired),
        "an invented id is one that is over"
    );
    let over = node.open(None).await;
    node.book.close(&node.reference(&over), Timestamp(NOW)).await.unwrap();
    let outcomes = [node.ask(&over, NOW).await, node.ask(&SessionId::forged(&Counting::apart()), NOW).await];
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Refusal::Doubted(Doubt::Expired(None))))), "to the letter");
    let other = Node::with_keys(&store, Vec::new(), &[2]);
    assert_eq!(reason(&other.ask(&id, NOW).await), Some(Reason::Expired), "without the key that sealed it, it is over");
}

#[tokio::test]
async fn a_session_ends_when_it_is_old_or_was_not_used() {
    // settings, seconds at which it is used, seconds at which it is asked for, whether it is good then
    let rows: [(&str, &str, &[i64], i64, bool, &str); 11] = [
        ("1h", "10m", &[], 599, true, "the last second unused"),
        ("1h", "10m", &[], 600, false, "unused for too long"),
        ("1h", "10m", &[599], 1_198, true, "use is what counts"),
        ("1h", "10m", &[599], 1_199, false, "from the use on"),
        ("1h", "10m", &[59], 599, true, "a use within a minute of the last one"),
        ("1h", "10m", &[59], 600, false, "is not noted, so it ends that much early"),
        ("1h", "10m", &[60], 659, true, "a minute later it is"),
        ("1h", "10m", &[500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500], 3_599, true, "used all the time, to the last second"),
        ("1h", "10m", &[500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500], 3_600, false, "and no further"),
        ("1h", "0s", &[], 3_599, true, "unused, where that does not matter"),
        ("1h", "0s", &[], 3_600, false, "it ends all the same"),
    ];
    for (life, idle, used, later, good, shows) in rows {
        let (_, store) = store();
        let node = Node::new(&store, vec![("life", text(life)), ("idle", text(idle))]);
        let id = node.open(None).await;
        for second in used {
            assert!(node.ask(&id, NOW + second).await.is_ok(), "{shows}: used at {second}");
        }
        let outcome = node.ask(&id, NOW + later).await;
        assert_eq!(outcome.is_ok(), good, "{shows}");
        if let Err(refusal) = outcome {
            assert_eq!(refusal, Refusal::Doubted(Doubt::Expired(None)), "{shows}: nothing is left to renew");
        }
    }
}

#[tokio::test]
async fn a_busy_session_costs_a_read_a_second_and_a_write_a_minute() {
    let (failing, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(None).await;
    let (reads, writes) = failing.asked();
    for second in 0..180 {
        for _ in 0..20 {
            assert!(node.ask(&id, NOW + second).await.is_ok());
        }
    }
    let (reads, writes) = (failing.asked().0 - reads, failing.asked().1 - writes);
    assert_eq!((reads, writes), (180, 2), "3,600 requests in three minutes");

    let (failing, store) = self::store();
    let node = Node::new(&store, vec![("remember", text("0s")), ("idle", text("0s"))]);
    let id = node.open(None).await;
    let (reads, writes) = failing.asked();
    for _ in 0..20 {
        assert!(node.ask(&id, NOW + 600).await.is_ok());
    }
    let (reads, writes) = (failing.asked().0 - reads, failing.asked().1 - writes);
    assert_eq!((reads, writes), (20, 0), "whoever asks for no memory pays for it; what may idle needs no note");
}

#[tokio::test]
async fn guessing_at_ids_does_not_come_as_far_as_the_store() {
    let (failing, store) = store();
    let node = Node::new(&store, Vec::new());
    let good = node.open(None).await;
    let (before, guesses) = (failing.asked(), Counting::apart());
    for _ in 0..1_000 {
        let outcome = node.ask(&SessionId::forged(&guesses), NOW).await;
        assert_eq!(outcome.unwrap_err(), Refusal::Doubted(Doubt::Expired(None)));
    }
    let elsewhere = format!("__Host-session={}", good.text().as_str());
    let (outcome, _) = node.ask_at("other.example", &[&elsewhere], NOW).await;
    assert_eq!(reason(&outcome), Some(Reason::Expired));
    assert_eq!(failing.asked(), before, "nor does one that was carried to another host");
    assert!(node.ask(&good, NOW).await.is_ok());
    assert_eq!(failing.asked().0, before.0 + 1, "only what was drawn here is looked for");
}

#[tokio::test]
async fn requests_at_once_share_one_read() {
    let (failing, store) = store();
    let node = Arc::new(Node::new(&store, Vec::new()));
    let id = node.open(None).await;
    let before = failing.asked().0;
    let asking = (0..100).map(|_| {
        let (node, id) = (Arc::clone(&node), id.clone());
        tokio::spawn(async move { node.ask(&id, NOW).await.is_ok() })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert!(asked.await.unwrap());
    }
    assert_eq!(failing.asked().0 - before, 1, "a hundred requests, one question to the store");
}

#[tokio::test]
async fn what_is_ended_is_ended_here_at_once_and_elsewhere_within_the_second() {
    let (_, store) = store();
    let (here, there) = (Node::new(&store, Vec::new()), Node::new(&store, Vec::new()));
    let id = here.open(None).await;
    assert!(here.ask(&id, NOW).await.is_ok() && there.ask(&id, NOW).await.is_ok(), "both nodes know it");
    assert!(here.book.close(&here.reference(&id), Timestamp(NOW)).await.unwrap());
    assert_eq!(reason(&here.ask(&id, NOW).await), Some(Reason::Expired), "on the node that ended it, in the same second");
    assert!(there.ask(&id, NOW).await.is_ok(), "another node may go on with what it read, to the end of the second");
    assert_eq!(reason(&there.ask(&id, NOW + 1).await), Some(Reason::Expired), "and no longer");
    assert_eq!(reason(&here.ask(&id, NOW + 1).await), Some(Reason::Expired), "being used does not bring it back");
}

#[tokio::test]
async fn an_outage_admits_nobody_whom_it_did_not_know_a_moment_ago() {
    let (failing, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(None).await;
    assert!(node.ask(&id, NOW).await.is_ok());
    failing.fail(Some(Fault::Read));
    assert!(node.ask(&id, NOW).await.is_ok(), "what was read is remembered to the end of the second");
    assert_eq!(reason(&node.ask(&id, NOW + 1).await), Some(Reason::StateUnavailable), "after that nobody can say: 503, and no log-out");
    failing.fail(None);
    assert!(node.ask(&id, NOW + 2).await.is_ok(), "when the store is back, so is the session");
    failing.fail(Some(Fault::Write));
    assert!(node.ask(&id, NOW + 100).await.is_ok(), "a use that cannot be noted is no reason to refuse");
    failing.fail(None);
    assert_eq!(reason(&node.ask(&id, NOW + 600).await), Some(Reason::Expired), "though it was not noted");
}

#[tokio::test]
async fn a_record_is_sealed_anew_when_it_is_written_after_a_change_of_keys() {
    let (_, store) = store();
    let old = Node::with_keys(&store, Vec::new(), &[1]);
    let (used, unused) = (old.open(None).await, old.open(None).await);
    let during = Node::with_keys(&store, Vec::new(), &[2, 1]);
    assert!(during.ask(&used, NOW + 60).await.is_ok(), "an old record opens, and being noted as used is written");
    assert!(during.ask(&unused, NOW + 59).await.is_ok(), "this one opens and is not written");
    let key_of = |id: &SessionId| {
        let key = Key { class: Class::Session, digest: during.book.terms().record_of(&during.reference(id)) };
        let store = Arc::clone(&store);
        async move { store.read(&key, Timestamp(NOW + 60)).await.unwrap().unwrap().value[0] }
    };
    assert_eq!((key_of(&used).await, key_of(&unused).await), (2, 1), "what was written has the new key");
    let after = Node::with_keys(&store, Vec::new(), &[2]);
    for id in [&used, &unused] {
        assert_eq!(reason(&after.ask(id, NOW + 61).await), Some(Reason::Expired), "what was drawn with the old key is over with it");
    }
    let new = during.open(None).await;
    assert!(after.ask(&new, NOW + 61).await.is_ok(), "what was opened since is not");
}

#[tokio::test]
async fn a_session_that_keeps_a_pair_is_as_good_as_its_access_token() {
    // when the access token ends, when it is asked for, the reason, whether there is something to renew with
    let rows = [
        (Some(NOW + 300), 299, None, true, "to the end of the token"),
        (Some(NOW + 300), 300, Some(Reason::Expired), true, "and then it asks for another"),
        (Some(NOW + 3_600), 3_599, None, true, "they end together"),
        (Some(NOW + 3_601), 3_599, None, false, "a token that outlives the session needs no renewal"),
        (None, 3_599, None, true, "one without an end is renewed when it is refused upstream"),
    ];
    for (until, later, expected, renewable, shows) in rows {
        let (_, store) = store();
        let node = Node::new(&store, vec![("idle", text("0s"))]);
        let id = node.open(Some(pair("access-1", until))).await;
        let cookie = format!("__Host-session={}", id.text().as_str());
        let (outcome, facts) = node.ask_at(HOST, &[&cookie], NOW + later).await;
        assert_eq!(reason(&outcome), expected, "{shows}");
        if let Err(Refusal::Doubted(Doubt::Expired(lapsed))) = &outcome {
            let lapsed = lapsed.as_ref().expect("a renewal starts from who it was");
            assert_eq!((&*lapsed.get().subject, lapsed.get().expires), ("ann", until.map(Timestamp)), "{shows}");
        }
        let held = node.verifier.held(&presented(&id, HOST), &facts);
        assert_eq!(held.is_some(), renewable, "{shows}");
        if let Some(held) = held {
            assert_eq!(held.refresh.expose(), b"refresh-1", "{shows}: what is spent");
            let reference = node.book.terms().read(std::str::from_utf8(held.access.expose()).unwrap()).unwrap();
            assert_eq!(reference.text(), node.reference(&id).text(), "{shows}: what is presented for it is the session");
        }
        let stranger = SessionId::forged(&Counting::apart());
        for other in [presented(&stranger, HOST), presented(&id, "other.example")] {
            assert!(node.verifier.held(&other, &facts).is_none(), "{shows}: nothing is held for another id or host");
        }
        let (_, recalled) = node.ask_at(HOST, &[&cookie], NOW + later).await;
        assert_eq!(node.verifier.held(&presented(&id, HOST), &recalled).is_some(), renewable, "{shows}: read or remembered");
        assert!(node.verifier.held(&presented(&id, HOST), &Facts::default()).is_none(), "{shows}: what nobody has judged is not spent");
    }
}

#[tokio::test]
async fn a_lapsed_session_that_was_remembered_can_be_renewed_all_the_same() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(Some(pair("access-1", Some(NOW + 10)))).await;
    let cookie = format!("__Host-session={}", id.text().as_str());
    for _ in 0..2 {
        let (outcome, facts) = node.ask_at(HOST, &[&cookie], NOW + 10).await;
        assert_eq!(reason(&outcome), Some(Reason::Expired));
        assert!(node.verifier.held(&presented(&id, HOST), &facts).is_some(), "the record is a fact of the request, read or remembered");
    }
}

#[tokio::test]
async fn one_judgement_looks_at_a_record_once_whatever_becomes_of_it() {
    for (readings, shows) in [(1, "read for this request"), (2, "remembered from another")] {
        let (_, store) = store();
        let node = Node::new(&store, Vec::new());
        let id = node.open(Some(pair("access-1", Some(NOW + 10)))).await;
        let (cookie, reference) = (format!("__Host-session={}", id.text().as_str()), node.reference(&id));
        let mut judged = Vec::new();
        for _ in 0..readings {
            judged.push(node.ask_at(HOST, &[&cookie], NOW).await);
        }
        let (outcome, facts) = judged.pop().unwrap();
        assert_eq!(outcome.unwrap().get().expires, Some(Timestamp(NOW + 10)), "{shows}");

        // Another request renews, and looks at what has come of it.
        let standing = node.book.standing(&reference, Timestamp(NOW)).await.unwrap().unwrap();
        let fresh = TokenPair {
            access: secret("access-2"),
            refresh: Some(secret("refresh-2")),
            access_until: Some(Timestamp(NOW + 900)),
            refresh_until: None,
            beside: Value::empty(),
        };
        assert!(matches!(node.book.keep(&reference, standing, &fresh, Timestamp(NOW)).await, Ok(Kept::Done)));
        let (_, theirs) = node.ask_at(HOST, &[&cookie], NOW).await;
        assert!(node.readmit(&id, Facts::default(), NOW).await.is_ok());

        let credential = presented(&id, HOST);
        let told = |facts: &Facts| {
            let held = node.verifier.held(&credential, facts).unwrap().refresh;
            let shown = node.verifier.shown(&credential, Judged::AtFirst, facts).unwrap();
            [held, shown].map(|secret| String::from_utf8(secret.expose().to_vec()).unwrap())
        };
        assert_eq!(told(&facts), ["refresh-1", "access-1"], "{shows}: what was judged is what is spent and shown");
        assert_eq!(told(&theirs), ["refresh-2", "access-2"], "{shows}: who comes later is judged by what stands there then");
        assert!(node.verifier.shown(&credential, Judged::OnceRenewed, &facts).is_none(), "{shows}: nothing was judged anew here");

        let (headers, target) = (fields(&[&cookie]), Target { path: "/".into(), query: None });
        let again = node.verifier.verify(&credential, &request(HOST, &target, &headers), &facts, Timestamp(NOW));
        let Step::Done(again) = again else { panic!("{shows}: {again:?}") };
        assert_eq!(again.get().expires, Some(Timestamp(NOW + 10)), "{shows}: the same facts, the same verdict");
    }
}

#[tokio::test]
async fn after_a_renewal_the_record_decides() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let fresh = |until: i64| TokenPair {
        access: secret("access-2"),
        refresh: Some(secret("refresh-2")),
        access_until: Some(Timestamp(until)),
        refresh_until: None,
        beside: Value::empty(),
    };
    let another = |refresh: &str| KeptPair { refresh: secret(refresh), ..pair("access-1", Some(NOW + 10)) };
    let lapsed = |id: SessionId| {
        let node = &node;
        async move {
            let cookie = format!("__Host-session={}", id.text().as_str());
            let (outcome, facts) = node.ask_at(HOST, &[&cookie], NOW + 10).await;
            assert_eq!(reason(&outcome), Some(Reason::Expired));
            (node.reference(&id), facts)
        }
    };

    let (reference, facts) = lapsed(node.open(Some(pair("access-1", Some(NOW + 10)))).await).await;
    let standing = node.book.standing(&reference, Timestamp(NOW + 10)).await.unwrap().unwrap();
    assert!(matches!(node.book.keep(&reference, standing, &fresh(NOW + 900), Timestamp(NOW + 10)).await, Ok(Kept::Done)));
    let identity = node.readmit(reference.id(), facts, NOW + 10).await.unwrap();
    assert_eq!(identity.get().expires, Some(Timestamp(NOW + 900)), "the session is as good as the new token");
    assert!(node.ask(reference.id(), NOW + 10).await.is_ok(), "and so is the next request, in the same second");

    let (reference, facts) = lapsed(node.open(Some(another("refresh-3"))).await).await;
    let outcome = node.readmit(reference.id(), facts, NOW + 10).await;
    assert_eq!(reason(&outcome), Some(Reason::Expired), "a pair that was not kept renews nothing, whatever was handed back");

    let (reference, facts) = lapsed(node.open(Some(another("refresh-4"))).await).await;
    assert!(node.book.close(&reference, Timestamp(NOW + 10)).await.unwrap());
    let outcome = node.readmit(reference.id(), facts, NOW + 10).await;
    assert_eq!(outcome.unwrap_err(), Refusal::Doubted(Doubt::Expired(None)), "a session that was ended meanwhile stays ended");
}

#[tokio::test]
async fn where_tokens_are_judged_the_session_follows_them() {
    let ends = NOW + 300;
    let rows: [(String, i64, Option<Reason>, &str); 6] = [
        (format!("ann {ends}"), 299, None, "a good token of the session's own subject"),
        (format!("ann {ends}"), 300, Some(Reason::Expired), "one that has ended"),
        (format!("bob {ends}"), 0, Some(Reason::Revoked), "somebody else's (M10)"),
        (format!("bob {ends}"), 300, Some(Reason::Revoked), "somebody else's that has ended: nothing to renew from"),
        ("rubbish".into(), 0, Some(Reason::SignatureInvalid), "one that is not believed"),
        (String::new(), 0, Some(Reason::SignatureInvalid), "none at all"),
    ];
    for (access, later, expected, shows) in rows {
        let (_, store) = store();
        let node = Node::new(&store, vec![("tokens", text("user"))]);
        let id = node.open(Some(pair(&access, None))).await;
        let outcome = node.ask(&id, NOW + later).await;
        assert_eq!(reason(&outcome), expected, "{shows}");
        if let Ok(identity) = &outcome {
            assert_eq!(identity.get().scopes.join(" "), "renewed", "{shows}: scopes follow the token");
            assert_eq!(identity.get().expires, Some(Timestamp(ends)), "{shows}: and so does the end");
            assert_eq!(
                (identity.get().scheme, &*identity.get().authenticator),
                ("session", "member"),
                "{shows}: it is a session all the same"
            );
        }
        if let Err(Refusal::Doubted(Doubt::Expired(lapsed))) = &outcome {
            assert_eq!(lapsed.as_ref().map(|lapsed| &*lapsed.get().subject), Some("ann"), "{shows}: a renewal can start from it");
        }
    }
    let (_, store) = store();
    let node = Node::new(&store, vec![("tokens", text("user"))]);
    let id = node.open(None).await;
    assert_eq!(node.ask(&id, NOW).await.unwrap().get().scopes.join(" "), "read", "a session without a token is what the login proved");
}

#[test]
fn settings_that_would_let_others_in_are_refused() {
    let rows: [(Vec<(&'static str, NodeValue)>, Option<&str>, &str); 9] = [
        (Vec::new(), None, "the defaults"),
        (vec![("cookie", text("__Host-s"))], None, "another name"),
        (vec![("cookie", text("session"))], Some("__Host-"), "a cookie that a sibling host can set"),
        (vec![("cookie", text("__Secure-session"))], Some("__Host-"), "another prefix, which binds to no host"),
        (vec![("cookie", text("__Host-"))], Some("__Host-"), "the prefix alone"),
        (vec![("cookie", text("__Host-a b"))], Some("no spaces"), "a name that is none"),
        (vec![("cookie", text("__Host-a;b"))], Some("no spaces"), "one that would start another attribute"),
        (vec![("idle", text("119s"))], Some("2m"), "an idle end shorter than use is noted"),
        (vec![("idle", text("2m"))], None, "the shortest that is not"),
    ];
    for (more, expected, shows) in rows {
        let outcome = planned(written(more)).map(|_| ());
        match (outcome, expected) {
            (Ok(()), None) => {}
            (Err(says), Some(expected)) => assert!(says.iter().any(|says| says.contains(expected)), "{shows}: {says:?}"),
            (outcome, _) => panic!("{shows}: {outcome:?}"),
        }
    }
    assert!(planned(vec![("life", text("1h"))]).is_err(), "a session without a key would be open to the store");
}

#[tokio::test]
async fn nothing_that_is_printed_shows_an_id() {
    let (_, store) = store();
    let node = Node::new(&store, Vec::new());
    let id = node.open(Some(pair("access-1", Some(NOW)))).await;
    let cookie = format!("__Host-session={}", id.text().as_str());
    let (outcome, facts) = node.ask_at(HOST, &[&cookie], NOW).await;
    let told = format!("{outcome:?} {facts:?} {:?}", node.book.terms());
    for secret in [id.text().as_str(), "access-1", "refresh-1"] {
        assert!(!told.contains(secret), "{secret} is shown: {told}");
    }
}

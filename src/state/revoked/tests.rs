//! One node that obeys, several that agree, and what becomes of the list when the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::record::Record;
use super::{Revocations, Revoked, Withdrawn};
use crate::domain::{
    Burn, By, Claims, Clock, Doubt, Event, Identity, ListedFrom, Observer, Outage, Random, Refusal, Revocation, RevocationId, Seconds,
    Silent, Timestamp, Value,
};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use crate::state::memory::Memory;

const NOW: i64 = 1_000;
/// Nothing that must happen takes longer, on a busy machine either.
const WITHIN: Duration = Duration::from_secs(5);

/// A log that can be down, slow to take, lost with notice, and lost without.
struct Shaky {
    inner: Mutex<Arc<Memory>>,
    life: AtomicU64,
    down: AtomicBool,
    /// Appends wait for a permit.
    takes: Semaphore,
}

impl Shaky {
    fn new() -> Arc<Self> {
        let inner = Mutex::new(Arc::new(Memory::new(1_000_000, Timestamp(0))));
        let (life, down, takes) = (AtomicU64::new(7), AtomicBool::new(false), Semaphore::new(1_000_000));
        Arc::new(Self { inner, life, down, takes })
    }

    /// Loses everything, and knows it.
    fn lose(&self) {
        *self.inner.lock() = Arc::new(Memory::new(1_000_000, Timestamp(0)));
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn inner(&self) -> Result<Arc<Memory>, Outage> {
        if self.down.load(Ordering::SeqCst) { Err(Outage::State) } else { Ok(self.inner.lock().clone()) }
    }

    async fn length(&self) -> usize {
        let inner = self.inner.lock().clone();
        inner.since(Cursor::default(), Timestamp(NOW)).await.unwrap().entries.len()
    }
}

#[async_trait]
impl StateStore for Shaky {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.inner()?.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.inner()?.read(key, now).await
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.inner()?.write(key, expect, value, until, now).await
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.inner()?.remove(key, now).await
    }

    async fn changed(&self, _key: &Key, _version: u64, _patience: Duration) {}

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        self.takes.acquire().await.unwrap().forget();
        self.inner()?.append(value, until, now).await
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        let life = self.life.load(Ordering::SeqCst);
        let from = if cursor.life == life { Cursor { life: 1, ..cursor } } else { Cursor::default() };
        let page = self.inner()?.since(from, now).await?;
        Ok(Page { cursor: Cursor { life, ..page.cursor }, ..page })
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        // A tenth of it: a store may return early, and a test need not wait.
        let inner = self.inner.lock().clone();
        inner.appended(Cursor { life: 1, ..cursor }, patience / 10).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.inner().map(|_| ())
    }
}

/// Numbers that differ.
#[derive(Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

/// What was last reported.
#[derive(Default)]
struct Ear(Mutex<(usize, Option<Timestamp>, usize)>);

impl Observer for Ear {
    fn note(&self, event: Event<'_>) {
        let mut heard = self.0.lock();
        match event {
            Event::Revocations { in_force, read } => (heard.0, heard.1) = (in_force, read),
            Event::RevocationUnreadable => heard.2 += 1,
            _ => {}
        }
    }
}

/// One node.
struct Node {
    list: Arc<Revocations>,
    clock: Arc<AtomicI64>,
    ear: Arc<Ear>,
    follower: Option<JoinHandle<()>>,
}

impl Node {
    /// One that has read the log and does not follow it.
    async fn still(store: &Arc<Shaky>, number: u8) -> Self {
        let (clock, ear) = (Arc::new(AtomicI64::new(NOW)), Arc::new(Ear::default()));
        // Each draws from a range of its own.
        let random = Arc::new(Counting(AtomicU8::new(number * 50)));
        let list = Revocations::new(store.clone(), clock.clone(), random, ear.clone());
        let list = Arc::new(list);
        list.catch_up().await;
        Self { list, clock, ear, follower: None }
    }

    /// One that follows it.
    async fn start(store: &Arc<Shaky>, number: u8) -> Self {
        let mut node = Self::still(store, number).await;
        node.follower = Some(tokio::spawn(node.list.clone().follow()));
        node
    }

    fn refuses(&self, subject: &str) -> bool {
        let refused = self.list.check(&identity(subject), self.clock.now());
        assert!(matches!(refused, Ok(()) | Err(Refusal::Doubted(Doubt::Revoked))), "{refused:?}");
        refused.is_err()
    }

    /// Waits until it does, or does not.
    async fn comes_to(&self, subject: &str, refuse: bool) {
        let wait = async {
            while self.refuses(subject) != refuse {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(WITHIN, wait).await.is_ok(), "{subject}: never came to {refuse}");
    }

    async fn revoke(&self, subject: &str) -> Revoked {
        self.list.revoke(revocation(subject)).await
    }

    fn stop(&self) {
        self.follower.as_ref().unwrap().abort();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

fn identity(subject: &str) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: "i".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "a".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn revocation(subject: &str) -> Revocation {
    Revocation {
        by: By::Subject,
        value: subject.into(),
        issuer: None,
        issued_before: None,
        until: Timestamp(NOW + 100),
        reason: Box::default(),
    }
}

async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(WITHIN, wait).await.is_ok(), "never: {what}");
}

#[tokio::test]
async fn a_list_that_was_never_read_is_not_an_empty_one() {
    let store = Shaky::new();
    store.set_down(true);
    let node = Node::still(&store, 0).await;
    let unknown = Err(Outage::State.refusal());
    assert_eq!(node.list.check(&identity("anna"), Timestamp(NOW)), unknown, "nobody can say");
    assert!(!node.list.is_read());
    node.list.put_conf(Arc::from([(1, Arc::new(revocation("anna")))]), Seconds(60));
    assert_eq!(node.list.check(&identity("anna"), Timestamp(NOW)), Err(Doubt::Revoked.into()), "what the file says is known");
    assert_eq!(node.list.check(&identity("berta"), Timestamp(NOW)), unknown, "of others it is not");
    assert_eq!(node.ear.0.lock().1, None, "and reported so");

    store.set_down(false);
    assert!(node.list.catch_up().await && node.list.is_read());
    assert_eq!(node.list.check(&identity("berta"), Timestamp(NOW)), Ok(()), "now it is");
    assert!(node.refuses("anna"));
    store.set_down(true);
    assert!(!node.list.catch_up().await);
    assert_eq!(node.list.check(&identity("berta"), Timestamp(NOW)), Ok(()), "a store that fails later changes nothing");
    assert!(node.refuses("anna"));
    assert_eq!(*node.ear.0.lock(), (1, Some(Timestamp(NOW)), 0), "but the age is told");
}

#[tokio::test]
async fn a_node_obeys_before_the_log_has_taken_it() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    store.takes.forget_permits(1_000_000);
    let list = node.list.clone();
    let told = tokio::spawn(async move { list.revoke(revocation("anna")).await });
    node.comes_to("anna", true).await;
    assert!(!told.is_finished(), "the log has not taken it");
    assert!(matches!(node.list.page(None, 9).0[0].from, ListedFrom::Log { kept: false, .. }), "and operators can see that");
    store.takes.add_permits(1);
    assert!(matches!(told.await.unwrap(), Revoked::Everywhere(_)));
    assert!(matches!(node.list.page(None, 9).0[0].from, ListedFrom::Log { kept: true, .. }));
}

#[tokio::test]
async fn an_operator_who_hangs_up_has_revoked_all_the_same() {
    let store = Shaky::new();
    let (here, there) = (Node::start(&store, 0).await, Node::start(&store, 1).await);
    store.takes.forget_permits(1_000_000);
    let list = here.list.clone();
    let told = tokio::spawn(async move { list.revoke(revocation("anna")).await });
    here.comes_to("anna", true).await;
    told.abort();
    assert!(told.await.unwrap_err().is_cancelled());
    store.takes.add_permits(1_000);
    there.comes_to("anna", true).await;
}

#[tokio::test]
async fn nodes_that_share_a_store_agree() {
    let store = Shaky::new();
    let nodes = [Node::start(&store, 0).await, Node::start(&store, 1).await, Node::start(&store, 2).await];
    let mut woken = nodes[2].list.revisions();
    let Revoked::Everywhere(id) = nodes[0].revoke("anna").await else { panic!("the log takes it") };
    assert!(nodes[0].refuses("anna"), "at once where it was told");
    for node in &nodes {
        node.comes_to("anna", true).await;
        assert!(!node.refuses("berta"), "and nobody else is");
    }
    assert!(woken.has_changed().unwrap(), "whoever keeps connections open is woken");
    woken.mark_unchanged();

    assert_eq!(nodes[1].list.withdraw(id).await, Withdrawn::Done, "any node may withdraw it");
    for node in &nodes {
        node.comes_to("anna", false).await;
    }
    assert!(!woken.has_changed().unwrap(), "a withdrawal ends no connection");
    assert_eq!(nodes[0].list.withdraw(id).await, Withdrawn::Unknown, "twice there is nothing to withdraw");
    assert_eq!(nodes[0].list.withdraw(RevocationId([9; 16])).await, Withdrawn::Unknown, "nor where there never was");
    assert_eq!(store.length().await, 2, "each was written once");
}

#[tokio::test]
async fn what_the_store_did_not_take_is_in_force_here_and_passed_on_later() {
    let store = Shaky::new();
    let (here, there) = (Node::start(&store, 0).await, Node::start(&store, 1).await);
    store.set_down(true);
    assert!(matches!(here.revoke("anna").await, Revoked::Here(_)));
    assert!(here.refuses("anna") && !there.refuses("anna"));
    let Revoked::Here(withdrawn) = here.revoke("berta").await else { panic!("the log is down") };
    assert_eq!(here.list.withdraw(withdrawn).await, Withdrawn::Unavailable);
    assert!(here.refuses("berta"), "what was not withdrawn everywhere is not withdrawn");
    store.set_down(false);
    there.comes_to("anna", true).await;
    there.comes_to("berta", true).await;
    eventually("all of it is told to be in the log", || async {
        here.list.page(None, 9).0.iter().all(|listed| matches!(listed.from, ListedFrom::Log { kept: true, .. }))
    })
    .await;
}

#[tokio::test]
async fn a_log_that_was_lost_is_written_anew_by_whoever_still_knows() {
    let store = Shaky::new();
    let node = Node::start(&store, 0).await;
    node.revoke("anna").await;
    let Revoked::Everywhere(id) = node.revoke("berta").await else { panic!("the log takes it") };
    node.list.withdraw(id).await;
    // It knows of the revocation, and not of the withdrawal.
    let late = Node::still(&store, 1).await;
    late.list.known.lock().put(told(id, "berta"), true);

    store.lose();
    assert!(node.refuses("anna") && !node.refuses("berta"), "what is known stays in force");
    eventually("the log is whole again", || async { store.length().await == 2 }).await;
    let fresh = Node::still(&store, 2).await;
    assert!(fresh.refuses("anna"), "a node that starts now learns of it");
    assert!(!fresh.refuses("berta"), "and of the withdrawal");

    late.list.catch_up().await;
    assert!(!late.refuses("berta"), "a node that had missed the withdrawal learns of it");
    late.list.pay().await;
    fresh.list.catch_up().await;
    assert!(!fresh.refuses("berta"), "and cannot bring back what was withdrawn");
}

/// An entry as `known` holds it.
fn told(id: RevocationId, subject: &str) -> Record {
    Record::Revoke { id, made: Timestamp(NOW), revocation: Arc::new(revocation(subject)) }
}

#[tokio::test]
async fn a_log_that_lost_its_end_without_knowing_is_found_out() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    node.list.revoke(Revocation { until: Timestamp(NOW + 1_000), ..revocation("anna") }).await;
    // Same life, other content: a restart from an old copy.
    *store.inner.lock() = Arc::new(Memory::new(1_000, Timestamp(0)));
    let rounds = |seconds: i64| {
        node.clock.store(NOW + seconds, Ordering::SeqCst);
        async {
            assert!(node.list.catch_up().await);
            node.list.pay().await;
            store.length().await
        }
    };
    assert_eq!(rounds(59).await, 0, "not before its time");
    assert_eq!(rounds(60).await, 1, "once the log is read from its beginning");
    assert_eq!(rounds(120).await, 1, "and not again");
}

#[tokio::test]
async fn entries_end_and_are_forgotten() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    node.revoke("anna").await;
    for (now, refused) in [(NOW, true), (NOW + 99, true), (NOW + 100, false)] {
        node.clock.store(now, Ordering::SeqCst);
        assert_eq!(node.refuses("anna"), refused, "{now}");
    }
    assert_eq!(node.list.page(None, 9).0.len(), 0, "what has ended is not listed");
    node.list.catch_up().await;
    assert_eq!(node.list.known.lock().len(), 0, "nor kept");
    assert_eq!(node.list.glance.load(Ordering::SeqCst), super::EMPTY, "nor looked for");
    assert_eq!(node.ear.0.lock().0, 0);
}

#[tokio::test]
async fn the_file_and_the_operators_add_up() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    let mut woken = node.list.revisions();
    let file = |subjects: &[&str]| {
        subjects.iter().enumerate().map(|(line, subject)| (line + 1, Arc::new(revocation(subject)))).collect::<Arc<[_]>>()
    };
    node.list.put_conf(file(&["anna", "berta"]), Seconds(60));
    assert_eq!(node.list.lasts(), Seconds(60));
    assert!(node.refuses("anna") && node.refuses("berta") && woken.has_changed().unwrap());
    woken.mark_unchanged();
    node.list.put_conf(file(&["anna", "berta"]), Seconds(90));
    assert!(!woken.has_changed().unwrap(), "the same file changes nothing");
    let Revoked::Everywhere(id) = node.revoke("anna").await else { panic!("the log takes it") };
    node.list.withdraw(id).await;
    assert!(node.refuses("anna"), "withdrawing one does not take away another");
    node.list.put_conf(file(&["berta"]), Seconds(90));
    assert!(!node.refuses("anna") && node.refuses("berta"), "what is taken out of the file no longer counts");
    assert_eq!(node.list.page(None, 9).0[0].from, ListedFrom::File { line: 1 });
}

#[tokio::test]
async fn an_entry_that_is_not_understood_spoils_no_other() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    let until = Timestamp(NOW + 100);
    store.append("{\"banish\":{}}".into(), until, Timestamp(NOW)).await.unwrap();
    let other = Record::Revoke { id: RevocationId([1; 16]), made: Timestamp(NOW), revocation: Arc::new(revocation("anna")) };
    store.append(other.encode(), until, Timestamp(NOW)).await.unwrap();
    node.list.catch_up().await;
    assert!(node.refuses("anna"));
    assert_eq!(node.ear.0.lock().2, 1, "and it is counted");
}

#[tokio::test]
async fn there_are_only_so_many() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    let fill = |from: usize, to: usize| {
        for number in from as u128..to as u128 {
            let id = RevocationId((u128::MAX - number).to_be_bytes());
            node.list.known.lock().put(told(id, "x"), true);
        }
    };
    let family = || Revocation { by: By::Family, ..revocation("f") };
    fill(0, Revocations::MOST - 10_001);
    assert!(matches!(node.list.revoke(family()).await, Revoked::Everywhere(_)), "clients may fill the most of it");
    assert_eq!(node.list.revoke(family()).await, Revoked::Full, "with families that they have ended themselves");
    assert!(matches!(node.revoke("bert").await, Revoked::Everywhere(_)), "and operators find room all the same");
    fill(Revocations::MOST - 10_001, Revocations::MOST);
    assert_eq!(node.revoke("anna").await, Revoked::Full);
    assert!(!node.refuses("anna"), "what was not taken is not in force, and the operator knows");
    node.clock.store(NOW + 100, Ordering::SeqCst);
    let later = Revocation { until: Timestamp(NOW + 200), ..revocation("anna") };
    assert!(matches!(node.list.revoke(later).await, Revoked::Everywhere(_)), "what has ended makes room");
}

#[tokio::test]
async fn pages_show_each_entry_once_newest_first() {
    let store = Shaky::new();
    let node = Node::still(&store, 0).await;
    for number in 0..7 {
        node.clock.store(NOW + number / 3, Ordering::SeqCst);
        node.revoke(&number.to_string()).await;
    }
    node.list.put_conf(Arc::from([(1, Arc::new(revocation("file-1"))), (2, Arc::new(revocation("file-2")))]), Seconds(60));
    for most in 1..=10 {
        let (mut seen, mut after, mut last) = (Vec::new(), None, None);
        loop {
            let (entries, more) = node.list.page(after, most);
            assert!(entries.len() <= most);
            for entry in &entries {
                assert!(last.is_none_or(|last| entry.from < last), "newest first");
                last = Some(entry.from);
                seen.push(entry.revocation.value.to_string());
            }
            after = last;
            if !more {
                break;
            }
        }
        assert_eq!(seen.len(), 9, "pages of {most}");
        assert_eq!(seen[0], "6", "the newest");
        assert_eq!(seen[7..], ["file-2", "file-1"], "those of the file behind");
    }
}

/// A revocation over few enough words that some fit.
fn any_revocation() -> impl Strategy<Value = Revocation> {
    let words = || prop_oneof![Just("a"), Just("b"), Just("7")];
    let by = (0..By::ALL.len()).prop_map(|number| By::ALL[number]);
    let times = (proptest::option::of(0_i64..4), 0_i64..4);
    (by, words(), proptest::option::of(words()), times).prop_map(|(by, value, issuer, (before, until))| Revocation {
        by,
        value: value.into(),
        issuer: issuer.map(Into::into),
        issued_before: before.map(Timestamp),
        until: Timestamp(until),
        reason: Box::default(),
    })
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let words = || prop_oneof![Just("a"), Just("b"), Just("7")];
    let claim = || prop_oneof![Just(Value::Null), words().prop_map(Value::from), Just(Value::Int(7)), (0_i64..4).prop_map(Value::Int)];
    let scheme = prop_oneof![Just("jwt"), Just("server_key"), Just("key_pair")];
    let one =
        (words(), words(), scheme, claim(), claim(), claim(), claim()).prop_map(|(subject, issuer, scheme, jti, sid, fam, iat)| Identity {
            subject: subject.into(),
            issuer: issuer.into(),
            scheme,
            claims: Value::Map(Box::new([("jti".into(), jti), ("sid".into(), sid), ("fam".into(), fam), ("iat".into(), iat)])).into(),
            ..identity("")
        });
    (one.clone(), proptest::option::of(one)).prop_map(|(mut first, beside)| {
        first.also.extend(beside.map(|beside| (Arc::from("b"), Arc::new(beside))));
        first
    })
}

proptest! {
    #[test]
    fn the_list_says_what_its_entries_say(
        entries in proptest::collection::vec(any_revocation(), 0..12),
        identity in any_identity(),
        now in 0_i64..4,
        early in any::<bool>(),
    ) {
        let clock = Arc::new(AtomicI64::new(if early { 0 } else { now }));
        let store = Arc::new(Memory::new(9, Timestamp(0)));
        let list = Revocations::new(store, clock, Arc::new(Counting::default()), Arc::new(Silent));
        let listed = entries.iter().enumerate().map(|(line, entry)| (line, Arc::new(entry.clone()))).collect();
        list.put_conf(listed, Seconds(60));
        let expected = entries.iter().any(|entry| entry.covers(&identity, Timestamp(now)));
        assert_eq!(list.covers(&identity, Timestamp(now)), expected);
    }
}

#[tokio::test]
async fn stopping_one_node_leaves_the_others_alone() {
    let store = Shaky::new();
    let (here, there) = (Node::start(&store, 0).await, Node::start(&store, 1).await);
    here.stop();
    here.revoke("anna").await;
    there.comes_to("anna", true).await;
}

/// Draws a name of its own for everyone.
struct Apart(AtomicU64);

impl Random for Apart {
    fn fill(&self, buffer: &mut [u8]) {
        let drawn = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        buffer.iter_mut().zip(drawn.iter().cycle()).for_each(|(to, from)| *to = *from);
    }
}

#[tokio::test]
async fn an_entry_costs_the_same_however_many_there_are() {
    const MANY: u64 = 20_000;
    let store: Arc<dyn StateStore> = Arc::new(Memory::new(1_000_000, Timestamp(0)));
    let node = |from| {
        let random = Arc::new(Apart(AtomicU64::new(from)));
        Revocations::new(Arc::clone(&store), Arc::new(AtomicI64::new(NOW)), random, Arc::new(Silent))
    };
    let (told, follows) = (node(0), node(u64::MAX / 2));
    told.catch_up().await;
    follows.catch_up().await;
    let mut names = Vec::new();
    for number in 0..MANY {
        let Revoked::Everywhere(id) = told.revoke(revocation(&number.to_string())).await else { panic!("the log takes it") };
        names.push(id);
        if number % 10 == 0 {
            follows.catch_up().await;
        }
    }
    follows.catch_up().await;
    let work = |list: &Revocations| list.copied.swap(0, Ordering::SeqCst) / MANY;
    for (list, shows) in [(&told, "who was told"), (&follows, "who follows the log")] {
        assert_eq!(list.set.load().len() as u64, MANY);
        let each = work(list);
        assert!(each < 20, "{shows} copied {each} pointers for each entry");
        for number in [0, 1, 63, MANY / 2, MANY - 1] {
            assert!(list.covers(&identity(&number.to_string()), Timestamp(NOW)), "{shows}: {number} is revoked");
        }
        assert!(!list.covers(&identity(&MANY.to_string()), Timestamp(NOW)), "{shows}: and nobody else");
    }

    for (number, id) in names.iter().enumerate().filter(|(number, _)| number % 100 != 7) {
        assert_eq!(told.withdraw(*id).await, Withdrawn::Done, "{number}");
    }
    follows.catch_up().await;
    for (list, shows) in [(&told, "who was told"), (&follows, "who follows the log")] {
        let each = work(list);
        assert!(each < 20, "{shows} copied {each} pointers for each withdrawal");
        assert_eq!(list.set.load().len(), 200, "{shows}");
        for number in 0..1_000_u64 {
            let covered = list.covers(&identity(&number.to_string()), Timestamp(NOW));
            assert_eq!(covered, number % 100 == 7, "{shows}: {number}, after tables have shrunk");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_stays_so_for_whoever_looks_while_others_come_and_go() {
    let node = Node::still(&Shaky::new(), 0).await;
    node.revoke("anna").await;
    let (list, stop) = (Arc::clone(&node.list), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&stop);
    let looks = tokio::task::spawn_blocking(move || {
        let (anna, berta, mut looks) = (identity("anna"), identity("berta"), 0_u64);
        while !ended.load(Ordering::SeqCst) {
            assert!(list.covers(&anna, Timestamp(NOW)) && !list.covers(&berta, Timestamp(NOW)), "after {looks} looks");
            looks += 1;
        }
        looks
    });
    for _ in 0..20 {
        let others: Vec<_> = (0..500).map(|number| Arc::new(revocation(&number.to_string()))).collect();
        let known = node.list.known.lock();
        others.iter().for_each(|other| node.list.put_in(other, Timestamp(NOW)));
        others.iter().for_each(|other| node.list.take_out(other));
        drop(known);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(0 < looks.await.unwrap());
    assert_eq!(node.list.set.load().len(), 1);
}

//! One look at a session's record per judgement: others write it between any two steps of it, and what is judged is what is shown and
//! spent all the same.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::config::document::Document;
use crate::countersign::firewall::Firewall;
use crate::domain::{
    Claims, Clock, Credential, DeskId, Facts, Found, Identity, Observer, Outage, Place, Random, RequestView, Seconds, Secret, Silent,
    Spent, Step, Stopwatch, Timestamp, TokenPair, Value, Verified,
};
use crate::gate::allowance::{Allowance, Allowed};
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::contract::Judge;
use crate::gate::in_vain::InVain;
use crate::gate::rule::{Action, Authenticator, Forward, Gate, Preflight, Renewal, Rule, SessionToken};
use crate::gate::verdict::{Outcome, Renewable};
use crate::issuer::session::Sessions;
use crate::jose::session::{KeptPair, Reference};
use crate::net::client::{Client, ClientSettings};
use crate::policy::requirement::Requirement;
use crate::renew::contract::{FlightTools, RenewError, Renewals, Renewer};
use crate::renew::flight::{FlightSettings, Flights};
use crate::renew::session::SessionRenewer;
use crate::route::pattern::{HostPattern, PathPattern};
use crate::route::table::{Route, Table};
use crate::settings::{Checking, Faults, Material, Names};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, revocations};
use crate::verify::cache::{AuthenticatorKey, CachePlan, CredentialCache};
use crate::verify::contract::{Desk, Desks, Held, Judged, SchemeTools, Verifier, edition};
use crate::verify::keys::contract::{BuiltKeys, MacKey};
use crate::verify::session::desk::Asked;

const NOW: i64 = 1_800_000_000;
const HOST: &str = "a.example";

/// An issuer that rotates: its nth answer is `access-n` and `refresh-n`, good for n thousand seconds. The login was the first.
#[derive(Default)]
struct Issuer(AtomicUsize);

impl Issuer {
    fn exchanges(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Renewer for Issuer {
    async fn renew(&self, spent: &Spent, _now: Timestamp) -> Result<TokenPair, RenewError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 2;
        assert_eq!(spent.refresh.expose(), format!("refresh-{}", number - 1).as_bytes(), "each is spent once");
        Ok(TokenPair {
            access: secret(&format!("access-{number}")),
            refresh: Some(secret(&format!("refresh-{number}"))),
            access_until: Some(Timestamp(NOW + 1_000 * i64::try_from(number).unwrap())),
            refresh_until: None,
            beside: Value::empty(),
        })
    }
}

/// Another request of the same session.
#[derive(Clone)]
struct Other {
    flights: Arc<Flights>,
    book: Arc<Sessions>,
    desk: Arc<dyn Desk>,
    reference: Reference,
}

impl Other {
    /// Renews what stands in the record, and looks at it afterwards.
    async fn renew(&self) {
        let now = Timestamp(NOW);
        let standing = self.book.standing(&self.reference, now).await.unwrap().unwrap();
        let access = Secret::new(self.reference.text().as_bytes().to_vec());
        let spent = Spent { refresh: standing.pair.refresh, access, identity: Arc::new(ann()) };
        self.flights.renew(&spent, now).await.unwrap();
        self.look(Asked::Anew).await;
    }

    async fn look(&self, asked: Asked) {
        self.desk.answer(&asked.about(&self.reference), Timestamp(NOW)).await.unwrap();
    }
}

/// When the other request does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Never,
    BeforeIt,
    OnceItIsJudged,
    BeforeItIsJudgedAnew,
}

/// The verifier of sessions, with somebody else at work between two of its steps.
struct Disturbed {
    inner: Arc<dyn Verifier>,
    other: Other,
    at: Mutex<Meanwhile>,
}

impl Disturbed {
    fn pass(&self, moment: Meanwhile) {
        let comes = {
            let mut at = self.at.lock();
            let comes = *at == moment;
            if comes {
                *at = Meanwhile::Never;
            }
            comes
        };
        if comes {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.other.renew()));
        }
    }
}

impl Verifier for Disturbed {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        self.inner.find(request, facts)
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let judged = self.inner.verify(credential, request, facts, now);
        self.pass(Meanwhile::OnceItIsJudged);
        judged
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }

    fn held(&self, credential: &Credential<'_>, facts: &Facts) -> Option<Held> {
        self.inner.held(credential, facts)
    }

    fn shown(&self, credential: &Credential<'_>, judged: Judged, facts: &Facts) -> Option<Secret> {
        self.inner.shown(credential, judged, facts)
    }

    fn readmit(&self, fresh: &TokenPair, request: &RequestView<'_>, facts: &Facts, now: Timestamp) -> Step<Verified<Arc<Identity>>> {
        self.pass(Meanwhile::BeforeItIsJudgedAnew);
        self.inner.readmit(fresh, request, facts, now)
    }
}

struct Still;

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Stopwatch for Still {
    fn micros(&self) -> u64 {
        0
    }
}

struct Bodiless;

#[async_trait]
impl BodySource for Bodiless {
    async fn body(&mut self, _limit: usize) -> Result<Bytes, Outage> {
        Ok(Bytes::new())
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn ann() -> Identity {
    Identity {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "session",
        authenticator: "member".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// A gate whose upstream is shown the token of a session that was read a moment ago.
struct House {
    gate: Gate,
    clock: Arc<AtomicI64>,
    issuer: Arc<Issuer>,
    cookie: String,
}

impl House {
    /// With a session whose token is good for 100 seconds, and is renewed so many seconds before its end.
    async fn new(early: u32, meanwhile: Meanwhile) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let clocking: Arc<dyn Clock> = clock.clone();
        let state: Arc<dyn StateStore> = Arc::new(Memory::new(1_000, Timestamp(0)));
        let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Counting::apart()), Arc::new(Silent));

        let written = Document::read("c.yaml", b"{ keys: sessions }").unwrap();
        let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
        names.define("keys", "sessions");
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let plan = (crate::verify::session::ENTRY.plan)(&written.root, &mut checking).unwrap();
        let keys: Arc<[MacKey]> = Arc::new([MacKey { id: [1; 4], secret: Secret::new(vec![1; 32]) }]);
        let keys = BTreeMap::from([("sessions".to_owned(), BuiltKeys::Mac(keys))]);
        let mut desks = Desks::default();
        let verifier = plan
            .build(
                &"member".into(),
                &mut SchemeTools {
                    keys: &keys,
                    verifiers: &BTreeMap::new(),
                    state: &state,
                    desks: &mut desks,
                    client: &Arc::new(Client::new(ClientSettings::default()).unwrap()),
                    clock: &clocking,
                    random: &random,
                    observer: &observer,
                },
            )
            .unwrap();
        let terms = plan.session_terms(&"member".into(), &keys).unwrap().unwrap();
        let book = Arc::new(Sessions::new(Arc::new(terms), state.clone(), random.clone(), observer.clone()));
        let pair = KeptPair {
            access: secret("access-1"),
            refresh: secret("refresh-1"),
            access_until: Some(Timestamp(NOW + 100)),
            refresh_until: None,
        };
        let (reference, _) = book.open(HOST, &ann(), Some(pair), Timestamp(NOW)).await.unwrap();

        let issuer = Arc::new(Issuer::default());
        let renewer = SessionRenewer::over(issuer.clone(), book.clone(), Seconds(10));
        let tools = FlightTools { state: state.clone(), clock: clocking.clone(), random: random.clone(), observer: observer.clone() };
        let flights = Arc::new(Flights::new("login".into(), Arc::new(renewer), tools, FlightSettings::default()));
        let cookie = format!("__Host-session={}", reference.id().text().as_str());
        let other = Other { flights: flights.clone(), book, desk: desks.get(DeskId(0)).unwrap().clone(), reference };
        other.look(Asked::Remembered).await;
        if meanwhile == Meanwhile::BeforeIt {
            other.renew().await;
        }

        let disturbed = Disturbed { inner: verifier, other, at: Mutex::new(meanwhile) };
        let authenticator = Authenticator {
            name: "member".into(),
            verifier: Arc::new(disturbed),
            cache_for: None,
            key: AuthenticatorKey::of("member", ""),
            looks_at: Box::new([Place::Cookie("__Host-session".into())]),
            renewal: Some(Renewal { renewals: flights, refresh_from: Box::default(), early: Seconds(early), hand_back: None }),
        };
        let gate = gate(authenticator, desks, state, clocking, observer);
        Self { gate, clock, issuer, cookie }
    }

    /// What the upstream is shown, when that ends, and what could be renewed should it refuse that.
    async fn ask(&self, refused: Option<Renewable>) -> (String, Option<Timestamp>, Option<Renewable>) {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_str(&self.cookie).unwrap());
        let arrival = Arrival {
            method: "GET",
            raw_target: b"/",
            authority: Some(HOST),
            headers: &headers,
            peer: (Ipv4Addr::LOCALHOST, 40_000).into(),
            tls: false,
            server_name: None,
            http2: false,
        };
        let verdict = match refused {
            None => self.gate.judge(&arrival, &mut Bodiless).await,
            Some(refused) => self.gate.readmit(&arrival, &mut Bodiless, refused).await.expect("another answer than the upstream's"),
        };
        let admission = match verdict.outcome {
            Outcome::Admit(admission) => admission,
            Outcome::Serve(_) => panic!("nothing is served here"),
            Outcome::Refuse(refused) => panic!("{:?}", refused.refusal),
        };
        let (_, shown) = admission.set.iter().find(|(name, _)| name == "x-token").expect("the token");
        (shown.to_str().unwrap().to_owned(), admission.cut_at, admission.renewable)
    }
}

fn gate(
    authenticator: Authenticator,
    desks: Desks,
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) -> Gate {
    let route = Route { hosts: vec![HostPattern::Any], paths: vec![PathPattern::parse("/**").unwrap()], methods: None };
    let session_token = Some(SessionToken { header: HeaderName::from_static("x-token"), prefix: "".into() });
    let rule = Rule {
        name: "only".into(),
        requirement: Requirement::One(0),
        scopes: Box::default(),
        scopes_text: "".into(),
        conditions: Box::default(),
        action: Action::Forward(Forward { upstream: 0, countersigners: Box::default(), keep_credential: false, session_token }),
        preflight: Preflight::Refuse,
        login: None,
        csrf: false,
        allow_semicolon: false,
        system: None,
        keeper: None,
        challenges: Arc::from([]),
    };
    Gate {
        table: Arc::new(Table::build(vec![route]).unwrap()),
        rules: Box::new([rule]),
        authenticators: Box::new([authenticator]),
        desks,
        spendable: Box::default(),
        own_cookies: Box::default(),
        state: state.clone(),
        revoked: revocations(&state, clock.clone()),
        cache: Arc::new(CredentialCache::new(CachePlan { max_age: Seconds(0), size: 0 })),
        governor: None,
        allowance: Arc::new(Allowance::default()),
        allowed: Allowed { most: 1, per_address: 1 },
        in_vain: InVain::default(),
        firewall: Firewall::new(Vec::<&HeaderName>::new()),
        private_responses: Arc::from([]),
        trusted_proxies: Box::default(),
        clock,
        stopwatch: Arc::new(Still),
        random: Arc::new(Still),
        observer,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_judged_is_what_is_shown_and_spent_whoever_renews_meanwhile() {
    use Meanwhile::{BeforeIt, BeforeItIsJudgedAnew, Never, OnceItIsJudged};
    let told = Some("access-1");
    // renewed how early, asked how much later, what the upstream has refused, when another request renews;
    // what is shown, when that ends, how many exchanges there were
    let rows = [
        (0, 0, None, Never, "access-1", 100, 0, "good for long enough"),
        (0, 0, None, OnceItIsJudged, "access-1", 100, 1, "what was judged goes upstream, and not what somebody renews a moment later"),
        (0, 0, None, BeforeIt, "access-2", 2_000, 1, "what was renewed before is judged"),
        (1_000, 0, None, Never, "access-2", 2_000, 1, "about to end"),
        (1_000, 0, None, OnceItIsJudged, "access-2", 2_000, 1, "what was about to end was renewed a moment ago: that is not spent again"),
        (0, 100, None, Never, "access-2", 2_000, 1, "lapsed"),
        (0, 100, None, OnceItIsJudged, "access-2", 2_000, 1, "what had lapsed was renewed a moment ago"),
        (
            1_000,
            0,
            None,
            BeforeItIsJudgedAnew,
            "access-3",
            3_000,
            2,
            "renewed here, and once more by another: what is judged then is shown",
        ),
        (0, 0, told, Never, "access-2", 2_000, 1, "refused upstream"),
        (0, 0, told, BeforeIt, "access-2", 2_000, 1, "refused upstream, and renewed while that was asked"),
        (0, 0, told, OnceItIsJudged, "access-2", 2_000, 1, "refused upstream, and renewed a moment ago"),
        (0, 100, told, OnceItIsJudged, "access-2", 2_000, 1, "refused upstream, lapsed, and renewed a moment ago"),
        (0, 0, told, BeforeItIsJudgedAnew, "access-3", 3_000, 2, "refused upstream, renewed here, and once more by another"),
    ];
    for (early, later, refused, meanwhile, shown, ends, exchanges, shows) in rows {
        let house = House::new(early, meanwhile).await;
        house.clock.fetch_add(later, Ordering::SeqCst);
        let refused = refused.map(|access| Renewable { authenticator: 0, sent: Some(edition(&secret(access))) });
        let (sent, until, renewable) = house.ask(refused).await;
        assert_eq!((&*sent, until), (shown, Some(Timestamp(NOW + ends))), "{shows}");
        assert_eq!(house.issuer.exchanges(), exchanges, "{shows}");
        if let Some(renewable) = renewable {
            assert_eq!(renewable.sent, Some(edition(&secret(shown))), "{shows}: what is refused next is what was shown");
        }
    }
}

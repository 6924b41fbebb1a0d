//! What a session keeps is renewed into its record, or not at all.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::{Claims, Identity, Seconds, Secret, Silent, Spent, Timestamp, TokenPair, Value};
use crate::issuer::session::Sessions;
use crate::jose::session::{KeptPair, Reference, SessionKey, SessionTerms};
use crate::renew::contract::{RenewError, Renewer};
use crate::renew::session::SessionRenewer;
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, Fault};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// How long a flight is.
const FLIGHT: Seconds = Seconds(15);

/// An issuer that answers as it is told, and notes what it is shown.
struct Told {
    answer: Mutex<Result<&'static str, RenewError>>,
    shown: Mutex<Vec<(String, String)>>,
    /// What happens while it answers.
    meanwhile: Mutex<Option<Meanwhile>>,
}

enum Meanwhile {
    Closed(Arc<Sessions>, Reference),
    Renewed(Arc<Sessions>, Reference),
    /// And for so many seconds after.
    Outage(Arc<Failing>, Fault, u64),
}

#[async_trait]
impl Renewer for Told {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        self.shown.lock().push((text(&spent.access), text(&spent.refresh)));
        let meanwhile = self.meanwhile.lock().take();
        match meanwhile {
            None => {}
            Some(Meanwhile::Closed(sessions, reference)) => assert!(sessions.close(&reference, now).await.unwrap()),
            Some(Meanwhile::Renewed(sessions, reference)) => {
                let standing = sessions.standing(&reference, now).await.unwrap().unwrap();
                sessions.keep(&reference, standing, &pair("theirs"), now).await.unwrap();
            }
            Some(Meanwhile::Outage(failing, fault, seconds)) => {
                failing.fail(Some(fault));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    failing.fail(None);
                });
            }
        }
        self.answer.lock().map(pair)
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn pair(name: &str) -> TokenPair {
    TokenPair {
        access: secret(&format!("access-{name}")),
        refresh: Some(secret(&format!("refresh-{name}"))),
        access_until: Some(NOW.plus(Seconds(900))),
        refresh_until: None,
        beside: Value::empty(),
    }
}

struct Scene {
    failing: Arc<Failing>,
    sessions: Arc<Sessions>,
    told: Arc<Told>,
    renewer: SessionRenewer,
    reference: Reference,
}

fn identity() -> Identity {
    Identity {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: Some(NOW),
        not_before: None,
        scheme: "session",
        authenticator: "member".into(),
        burn: None,
        also: Vec::new(),
    }
}

impl Scene {
    async fn new(answer: Result<&'static str, RenewError>) -> Self {
        let failing = Failing::over(Arc::new(Memory::new(1_000, Timestamp(0))));
        let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
        let terms = SessionTerms {
            name: "member".into(),
            cookie: "__Host-session".into(),
            life: Seconds(3_600),
            idle: Seconds(0),
            keys: Box::new([SessionKey::new([1; 4], &Secret::new(vec![1; 32]))]),
            epochs: Arc::default(),
        };
        let sessions = Arc::new(Sessions::new(Arc::new(terms), store, Arc::new(Counting::apart()), Arc::new(Silent)));
        let kept = KeptPair { access: secret("access-old"), refresh: secret("refresh-old"), access_until: Some(NOW), refresh_until: None };
        let (reference, _) = sessions.open("app.example", &identity(), Some(kept), NOW).await.unwrap();
        let told = Arc::new(Told { answer: Mutex::new(answer), shown: Mutex::default(), meanwhile: Mutex::new(None) });
        let renewer = SessionRenewer::over(Arc::clone(&told) as Arc<dyn Renewer>, Arc::clone(&sessions), FLIGHT);
        Self { failing, sessions, told, renewer, reference }
    }

    fn meanwhile(&self, what: Meanwhile) {
        *self.told.meanwhile.lock() = Some(what);
    }

    async fn renew(&self) -> Result<String, RenewError> {
        let spent = Spent { refresh: secret("refresh-old"), access: secret(&self.reference.text()), identity: Arc::new(identity()) };
        let renewed = self.renewer.renew(&spent, NOW).await?;
        Ok(String::from_utf8(renewed.access.expose().to_vec()).unwrap())
    }

    /// What the record holds; `None` when there is none.
    async fn kept(&self) -> Option<String> {
        self.failing.fail(None);
        let standing = self.sessions.standing(&self.reference, NOW).await.unwrap()?;
        Some(String::from_utf8(standing.pair.refresh.expose().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn the_new_pair_is_in_the_record_before_anybody_has_it() {
    let scene = Scene::new(Ok("new")).await;
    assert_eq!(scene.renew().await.as_deref(), Ok("access-new"));
    assert_eq!(
        *scene.told.shown.lock(),
        [("access-old".to_owned(), "refresh-old".to_owned())],
        "the issuer is shown both tokens, not the id"
    );
    assert_eq!(scene.kept().await.as_deref(), Some("refresh-new"), "it is kept");
    assert_eq!(scene.renew().await.as_deref(), Ok("access-new"), "whoever comes with what was spent is given what is there");
    assert_eq!(scene.told.shown.lock().len(), 1, "without another exchange");
}

#[tokio::test(start_paused = true)]
async fn every_end_of_an_exchange_leaves_the_record_as_it_should_be() {
    let rejected = RenewError::Rejected { code: "invalid_grant" };
    let unaccepted = |code| RenewError::Unaccepted { code };
    let lost = RenewError::Lost { why: "x" };
    let unreached = RenewError::Unreached { why: "x" };
    let over = RenewError::Rejected { code: "session_over" };
    let rows = [
        (Err(rejected), "", Err(rejected), None, "the issuer says that the credential has ended: the session is over (M9)"),
        (
            Err(unaccepted("invalid_client")),
            "",
            Err(unaccepted("invalid_client")),
            Some("refresh-old"),
            "the issuer does not accept us: nobody's session is over for that",
        ),
        (
            Err(unaccepted("unrecognized")),
            "",
            Err(unaccepted("unrecognized")),
            Some("refresh-old"),
            "it says no without a reason: the session stands",
        ),
        (
            Err(unaccepted("unrecognized")),
            "renewed",
            Ok("access-theirs"),
            Some("refresh-theirs"),
            "without a reason, because somebody was quicker: theirs counts",
        ),
        (Err(lost), "", Err(lost), Some("refresh-old"), "its answer is lost: the session stands, and nothing is repeated here"),
        (Err(unreached), "", Err(unreached), Some("refresh-old"), "it was not reached: nothing has happened"),
        (Ok("new"), "closed", Err(over), None, "the session is ended meanwhile: the pair is nobody's"),
        (Ok("new"), "renewed", Ok("access-theirs"), Some("refresh-theirs"), "somebody was quicker: theirs counts"),
        (
            Err(rejected),
            "renewed",
            Ok("access-theirs"),
            Some("refresh-theirs"),
            "refused because somebody was quicker: no reason to end it",
        ),
        (Err(rejected), "closed", Err(rejected), None, "refused, and ended meanwhile"),
        (Err(rejected), "unread", Err(rejected), Some("refresh-old"), "refused, and nobody can say how it stands: it is not touched"),
        (Ok("new"), "unwritten for 5 s", Ok("access-new"), Some("refresh-new"), "the record cannot be written for a while: it is then"),
        (Ok("new"), "unwritten for 12 s", Ok("access-new"), Some("refresh-new"), "the last attempt within a flight"),
        (
            Ok("new"),
            "unwritten",
            Err(RenewError::Lost { why: "the new pair could not be kept" }),
            Some("refresh-old"),
            "the record cannot be written within a flight: as if the answer had been lost",
        ),
        (Ok("new"), "half for 5 s", Ok("access-new"), Some("refresh-new"), "it was written, and the repeat finds that out"),
        (
            Ok("new"),
            "half",
            Err(RenewError::Lost { why: "the new pair could not be kept" }),
            Some("refresh-new"),
            "it was written, and nobody hears of it: the next request finds it",
        ),
    ];
    for (answer, meanwhile, expected, kept, shows) in rows {
        let scene = Scene::new(answer).await;
        let (sessions, reference) = (Arc::clone(&scene.sessions), scene.reference.clone());
        match meanwhile {
            "closed" => scene.meanwhile(Meanwhile::Closed(sessions, reference)),
            "renewed" => scene.meanwhile(Meanwhile::Renewed(sessions, reference)),
            "unread" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::Read, 60)),
            "unwritten for 5 s" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::Write, 5)),
            "unwritten for 12 s" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::Write, 12)),
            "unwritten" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::Write, 60)),
            "half for 5 s" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::LostWrite, 5)),
            "half" => scene.meanwhile(Meanwhile::Outage(Arc::clone(&scene.failing), Fault::LostWrite, 60)),
            "" => {}
            unknown => panic!("nobody knows how to bring about `{unknown}`"),
        }
        assert_eq!(scene.renew().await.as_deref().map_err(|error| *error), expected, "{shows}");
        assert_eq!(scene.kept().await.as_deref(), kept, "{shows}: the record");
    }
}

#[tokio::test]
async fn a_session_whose_issuer_did_not_accept_us_is_renewed_once_it_does() {
    let scene = Scene::new(Err(RenewError::Unaccepted { code: "invalid_client" })).await;
    assert_eq!(scene.renew().await, Err(RenewError::Unaccepted { code: "invalid_client" }));
    *scene.told.answer.lock() = Ok("new");
    assert_eq!(scene.renew().await.as_deref(), Ok("access-new"), "the conf is mended, and nobody has to log in");
    assert_eq!(scene.told.shown.lock().len(), 2, "it was asked again");
    assert_eq!(scene.kept().await.as_deref(), Some("refresh-new"));
}

#[tokio::test]
async fn without_a_session_nobody_is_asked() {
    let scene = Scene::new(Ok("new")).await;
    scene.failing.fail(Some(Fault::Read));
    assert!(matches!(scene.renew().await, Err(RenewError::Unreached { .. })), "nobody can say: nothing is spent");
    scene.failing.fail(None);
    assert!(scene.sessions.close(&scene.reference, NOW).await.unwrap());
    assert_eq!(scene.renew().await, Err(RenewError::Rejected { code: "session_over" }), "a session that is over is not renewed");
    let spent = Spent { refresh: secret("refresh-old"), access: secret("no reference"), identity: Arc::new(identity()) };
    let outcome = scene.renewer.renew(&spent, NOW).await.map(|_| ());
    assert_eq!(outcome, Err(RenewError::Rejected { code: "session_over" }), "nor what is none");
    assert_eq!(scene.told.shown.lock().len(), 0, "and the issuer hears of none of this");
}

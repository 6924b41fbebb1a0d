//! Whom a kept credential is for, what becomes of the session that came along, and which credential counts.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::Gatherer;
use crate::domain::{Claims, Harvest, Identity, Life, Reason, Refusal, Seconds, Secret, Silent, Timestamp};
use crate::issuer::contract::{Asker, Harvester};
use crate::issuer::session::Sessions;
use crate::jose::session::{KeptPair, Reference, SessionId, SessionKey, SessionTerms};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, Fault};

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOST: &str = "app.example";
const COOKIE: &str = "__Host-session";

struct Scene {
    store: Arc<Failing>,
    sessions: Arc<Sessions>,
    gatherer: Gatherer,
}

/// What came of one reply.
struct Kept {
    /// The session that the client holds from now on, when it was told of one.
    reference: Option<Reference>,
    unstored: bool,
}

impl Scene {
    fn new() -> Self {
        let store = Failing::over(Arc::new(Memory::new(1_000, Timestamp(0))));
        let terms = SessionTerms {
            name: "member".into(),
            cookie: COOKIE.into(),
            life: Seconds(36_000),
            idle: Seconds(0),
            keys: Box::new([SessionKey::new([1; 4], &Secret::new(vec![1; 32]))]),
            epochs: Arc::default(),
        };
        let state: Arc<dyn StateStore> = Arc::<Failing>::clone(&store);
        let sessions = Arc::new(Sessions::new(Arc::new(terms), state, Arc::new(Counting::apart()), Arc::new(Silent)));
        let gatherer = Gatherer::over(Arc::clone(&sessions), "vendor");
        Self { store, sessions, gatherer }
    }

    /// A session of `identity` that keeps `token`.
    async fn session(&self, identity: &Identity, token: &str) -> Reference {
        let pair =
            KeptPair { access: secret(token), refresh: secret(token), access_until: Some(NOW.plus(Seconds(600))), refresh_until: None };
        self.sessions.open(HOST, identity, Some(pair), NOW).await.unwrap().0
    }

    /// A reply to `caller`, whose browser brings `along`.
    async fn keep(&self, harvest: &Harvest, caller: Option<&Identity>, along: Option<&Reference>) -> Result<Kept, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(reference) = along {
            let text = format!("a=b; {COOKIE}={}", reference.id().text().as_str());
            headers.insert("cookie", HeaderValue::from_str(&text).unwrap());
        }
        let fields = self.gatherer.keep(harvest, &Asker { caller, host: HOST, headers: &headers }, NOW).await?;
        let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.to_str().unwrap().to_owned());
        let id = value("set-cookie").map(|set| set.split([';', '=']).nth(1).unwrap().to_owned());
        let reference = id.map(|id| self.sessions.terms().recognise(SessionId::parse(&id).unwrap(), HOST).unwrap());
        Ok(Kept { reference, unstored: value("cache-control").as_deref() == Some("no-store") })
    }

    /// The access credential of a session; `None` when it is over.
    async fn token(&self, reference: &Reference) -> Option<Vec<u8>> {
        self.sessions.standing(reference, NOW).await.unwrap().map(|standing| standing.pair.access.expose().to_vec())
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn identity(scheme: &'static str, authenticator: &str, subject: &str, issuer: &str) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: issuer.into(),
        scopes: Box::new(["admin".into()]),
        claims: Claims::empty(),
        expires: Some(NOW.plus(Seconds(600))),
        not_before: None,
        scheme,
        authenticator: authenticator.into(),
        burn: None,
        also: Vec::new(),
    }
}

/// Whoever presents a session of these.
fn member(subject: &str, issuer: &str) -> Identity {
    identity("session", "member", subject, issuer)
}

/// A reply that brings `token` for so long, renewed with itself.
fn sliding(token: &str, life: u32, subject: Option<&str>, issuer: Option<&str>) -> Harvest {
    Harvest {
        access: secret(token),
        refresh: None,
        life: Some(Life::Until(NOW.plus(Seconds(life)))),
        subject: subject.map(Into::into),
        issuer: issuer.map(Into::into),
        issued: None,
        strip: None,
        rest: None,
    }
}

#[tokio::test]
async fn a_session_bears_the_name_of_whoever_vouches_for_it() {
    let anyone = identity("jwt", "user", "ann", "https://id.example");
    let rows = [
        // subject, issuer, caller, subject and issuer of the session, what it shows
        (Some("bob"), Some("https://iss.example"), None, Some(("bob", "https://iss.example")), "the credential says who vouches"),
        (Some("bob"), None, None, Some(("bob", "vendor")), "the system does, where the credential does not say"),
        (Some("bob"), None, Some(&anyone), Some(("bob", "vendor")), "the reply counts, and not who asked"),
        (None, None, Some(&anyone), Some(("ann", "https://id.example")), "who asked stays who they were proven to be"),
        (None, Some("https://iss.example"), Some(&anyone), Some(("ann", "https://id.example")), "nobody else vouches for their name"),
        (None, None, None, None, "a credential for nobody is kept for nobody"),
        (Some(""), None, Some(&anyone), None, "an empty name is no name"),
        (Some("bob"), Some(""), Some(&anyone), None, "nor is an empty issuer one"),
    ];
    for (subject, issuer, caller, expected, shows) in rows {
        let scene = Scene::new();
        let kept = scene.keep(&sliding("t1", 600, subject, issuer), caller, None).await;
        let Some(expected) = expected else {
            assert_eq!(kept.err().map(|refusal| refusal.reason()), Some(Reason::Internal), "{shows}");
            continue;
        };
        let reference = kept.unwrap().reference.unwrap();
        let entry = crate::state::contract::Key {
            class: crate::state::contract::Class::Session,
            digest: scene.sessions.terms().record_of(&reference),
        };
        let record = scene.store.read(&entry, NOW).await.unwrap().unwrap();
        let session = scene.sessions.terms().open(&reference, &record.value).unwrap().into_inner();
        assert_eq!((&*session.subject, &*session.issuer), expected, "{shows}");
        assert!(session.scopes.is_empty(), "{shows}: what the request was proven to be allowed is not taken over");
    }
}

#[tokio::test]
async fn a_session_that_came_along_ends_where_another_one_is_opened() {
    let (ann, bob) = (member("ann", "vendor"), member("bob", "vendor"));
    let pair = Harvest { refresh: Some(secret("r2")), ..sliding("t2", 600, Some("ann"), None) };
    let rows = [
        (None, sliding("t2", 600, Some("ann"), None), "a left-over on a machine that others use (session fixation)"),
        (Some(&ann), pair, "a new log-in of the same user"),
        (Some(&ann), sliding("t2", 600, Some("bob"), None), "somebody else has logged in"),
        (Some(&ann), sliding("t2", 600, Some("ann"), Some("https://other.example")), "the same name, and somebody else's word for it"),
        (None, sliding("t1", 600, Some("ann"), None), "what brings the very credential that the session has"),
    ];
    for (caller, harvest, shows) in rows {
        let scene = Scene::new();
        let before = scene.session(&ann, "t1").await;
        let kept = scene.keep(&harvest, caller, Some(&before)).await.unwrap();
        let after = kept.reference.expect(shows);
        assert_ne!(after.id().text(), before.id().text(), "{shows}: another id");
        assert_eq!(scene.token(&before).await, None, "{shows}: the one before is over");
        assert_eq!(scene.token(&after).await.as_deref(), Some(harvest.access.expose()), "{shows}");
    }

    let scene = Scene::new();
    let (before, theirs) = (scene.session(&ann, "t1").await, scene.session(&bob, "t9").await);
    let refused = scene.keep(&sliding("t9", 600, Some("ann"), None), None, Some(&before)).await.err();
    assert_eq!(refused.map(|refusal| refusal.reason()), Some(Reason::PolicyDenied), "a credential of somebody else's session");
    assert_eq!(scene.token(&before).await.as_deref(), Some(&b"t1"[..]), "opens none, so none ends");
    assert_eq!(scene.token(&theirs).await.as_deref(), Some(&b"t9"[..]));

    scene.store.fail(Some(Fault::Remove));
    let refused = scene.keep(&sliding("t2", 600, Some("ann"), None), None, Some(&before)).await.err();
    assert_eq!(refused.map(|refusal| refusal.reason()), Some(Reason::StateUnavailable), "one that cannot be ended is not left behind");
}

#[tokio::test]
async fn a_session_that_was_ended_meanwhile_is_not_opened_anew() {
    let ann = member("ann", "vendor");
    let beside = Identity { also: vec![("member".into(), Arc::new(ann.clone()))], ..identity("jwt", "user", "ann", "https://id.example") };
    let pair = Harvest { refresh: Some(secret("r2")), ..sliding("t2", 600, Some("ann"), None) };
    let rows = [
        (&ann, &pair, true, "a new pair"),
        (&beside, &pair, true, "also where the session was not all that was asked for"),
        (&ann, &sliding("t2", 900, Some("ann"), None), true, "the next credential of one that slides"),
        (&ann, &sliding("t2", 600, Some("bob"), None), true, "somebody else's"),
        (&ann, &pair, false, "a cookie that is gone as well"),
    ];
    for (caller, harvest, with_cookie, shows) in rows {
        let scene = Scene::new();
        let before = scene.session(&ann, "t1").await;
        assert_eq!(scene.sessions.close(&before, NOW).await, Ok(true));
        let writes = scene.store.asked().1;
        let refused = scene.keep(harvest, Some(caller), with_cookie.then_some(&before)).await.err().expect(shows);
        assert_eq!(refused.reason(), Reason::Expired, "{shows}: as if it had come with a session that is over");
        assert_eq!((scene.token(&before).await, scene.store.asked().1), (None, writes), "{shows}: and nothing was written");
    }
    let scene = Scene::new();
    let before = scene.session(&ann, "t1").await;
    scene.store.fail(Some(Fault::Read));
    let refused = scene.keep(&pair, Some(&ann), Some(&before)).await.err().unwrap();
    assert_eq!(refused.reason(), Reason::StateUnavailable, "nobody knows is not that it stands");
}

#[tokio::test]
async fn of_credentials_that_slide_the_newest_counts_in_whatever_order_they_come() {
    let ann = member("ann", "vendor");
    let rows: [(&[(&str, u32)], &str, usize, &str); 6] = [
        (&[("t2", 660)], "t2", 1, "a minute newer"),
        (&[("t2", 659)], "t1", 0, "not worth a write"),
        (&[("t2", 540)], "t1", 0, "older: a reply that came late"),
        (&[("t3", 720), ("t2", 660)], "t3", 1, "in the wrong order"),
        (&[("t2", 660), ("t3", 720)], "t3", 2, "in the right one"),
        (&[("t2", 660), ("t3", 719)], "t2", 1, "less than a minute after the one before"),
    ];
    for (replies, expected, writes, shows) in rows {
        let scene = Scene::new();
        let session = scene.session(&ann, "t1").await;
        let before = scene.store.asked().1;
        for (token, life) in replies {
            let kept = scene.keep(&sliding(token, *life, Some("ann"), None), Some(&ann), Some(&session)).await.unwrap();
            assert!(kept.reference.is_none() && kept.unstored, "{shows}: the session stays the one it was, and nobody stores the reply");
        }
        assert_eq!(scene.token(&session).await.as_deref(), Some(expected.as_bytes()), "{shows}");
        assert_eq!(scene.store.asked().1 - before, writes, "{shows}: writes");
    }
    let scene = Scene::new();
    let session = scene.session(&ann, "t1").await;
    let reads = scene.store.asked().0;
    scene.keep(&sliding("t2", 601, Some("ann"), None), Some(&ann), Some(&session)).await.unwrap();
    let endless = Harvest { life: None, ..sliding("t3", 0, Some("ann"), None) };
    scene.keep(&endless, Some(&ann), Some(&session)).await.unwrap();
    assert_eq!(scene.store.asked().0, reads, "what is not newer, or says no end, does not cost a look at the store");
    scene.store.fail(Some(Fault::Write));
    let kept = scene.keep(&sliding("t2", 900, Some("ann"), None), Some(&ann), Some(&session)).await;
    assert!(kept.is_ok(), "a store that cannot write costs the step, and not the reply");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replies_at_once_leave_the_newest() {
    let (ann, scene) = (member("ann", "vendor"), Arc::new(Scene::new()));
    let session = scene.session(&ann, "t0").await;
    let keeping: Vec<_> = (1..=8_u32)
        .map(|number| {
            let (ann, scene, session) = (ann.clone(), Arc::clone(&scene), session.clone());
            tokio::spawn(async move {
                let harvest = sliding(&format!("t{number}"), 600 + 120 * number, Some("ann"), None);
                scene.keep(&harvest, Some(&ann), Some(&session)).await.map(|_| ())
            })
        })
        .collect();
    for kept in keeping {
        assert!(kept.await.unwrap().is_ok());
    }
    assert_eq!(scene.token(&session).await.as_deref(), Some(&b"t8"[..]));
}

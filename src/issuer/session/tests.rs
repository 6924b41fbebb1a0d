//! Sessions are opened anew, renewed in place, and ended for good.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::domain::{Claims, Doubt, Identity, Outage, RequestView, Seconds, Secret, Silent, Target, Timestamp, TokenPair, Value};
use crate::issuer::session::{Kept, OpenFault, Sessions, Standing, cookie};
use crate::jose::session::{KeptPair, Reference, SessionId, SessionKey, SessionTerms};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, Fault};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn scene() -> (Arc<Failing>, Sessions) {
    let failing = Failing::over(Arc::new(Memory::new(1_000, Timestamp(0))));
    let terms = SessionTerms {
        name: "member".into(),
        cookie: "__Host-session".into(),
        life: Seconds(3_600),
        idle: Seconds(600),
        keys: Box::new([SessionKey::new([1; 4], &Secret::new(vec![1; 32]))]),
        epochs: Arc::default(),
    };
    let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
    (failing, Sessions::new(Arc::new(terms), store, Arc::new(Counting::apart()), Arc::new(Silent)))
}

fn identity() -> Identity {
    Identity {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn first() -> KeptPair {
    KeptPair { access: secret("a1"), refresh: secret("r1"), access_until: Some(NOW), refresh_until: Some(Timestamp(9)) }
}

fn fresh(number: u8, rotates: bool) -> TokenPair {
    TokenPair {
        access: secret(&format!("a{number}")),
        refresh: rotates.then(|| secret(&format!("r{number}"))),
        access_until: Some(NOW.plus(Seconds(900))),
        refresh_until: None,
        beside: Value::empty(),
    }
}

async fn opened(sessions: &Sessions) -> Reference {
    sessions.open("app.example", &identity(), Some(first()), NOW).await.unwrap().0
}

async fn standing(sessions: &Sessions, reference: &Reference) -> Standing {
    sessions.standing(reference, NOW).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_login_has_an_id_of_its_own() {
    let (_, sessions) = scene();
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        let (reference, _) = sessions.open("app.example", &identity(), None, NOW).await.unwrap();
        ids.insert(reference.id().text().to_string());
    }
    assert_eq!(ids.len(), 100, "no id is given twice (L9)");
}

#[tokio::test]
async fn a_fresh_pair_takes_the_place_of_the_spent_one() {
    for (rotates, refresh, until, shows) in [
        (true, "r2", None, "with a new refresh token, whose end nobody told"),
        (false, "r1", Some(Timestamp(9)), "an issuer that does not rotate: the old one stays, and so does its end"),
    ] {
        let (_, sessions) = scene();
        let reference = opened(&sessions).await;
        let before = standing(&sessions, &reference).await;
        assert!(matches!(sessions.keep(&reference, before, &fresh(2, rotates), NOW).await, Ok(Kept::Done)), "{shows}");
        let after = standing(&sessions, &reference).await.pair;
        assert_eq!((after.access.expose(), after.refresh.expose()), (b"a2".as_slice(), refresh.as_bytes()), "{shows}");
        assert_eq!(after.refresh_until, until, "{shows}");
    }
}

#[tokio::test]
async fn what_happens_meanwhile_is_not_undone() {
    let (_, sessions) = scene();
    let reference = opened(&sessions).await;
    let stale = standing(&sessions, &reference).await;
    let quicker = standing(&sessions, &reference).await;
    assert!(matches!(sessions.keep(&reference, quicker, &fresh(2, true), NOW).await, Ok(Kept::Done)));
    match sessions.keep(&reference, stale, &fresh(3, true), NOW).await {
        Ok(Kept::Superseded(theirs)) => assert_eq!(theirs.refresh.expose(), b"r2", "whoever was quicker wins, and all get that"),
        other => panic!("{other:?}"),
    }

    let (_, sessions) = scene();
    let reference = opened(&sessions).await;
    let before = standing(&sessions, &reference).await;
    assert_eq!(sessions.close(&reference, NOW).await, Ok(true));
    assert!(matches!(sessions.keep(&reference, before, &fresh(2, true), NOW).await, Ok(Kept::Over)), "what was ended stays ended");
    assert!(sessions.standing(&reference, NOW).await.unwrap().is_none(), "and is not there");
    assert_eq!(sessions.close(&reference, NOW).await, Ok(false), "ending it once more is nothing");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_out_about() {
    let (failing, sessions) = scene();
    let reference = opened(&sessions).await;
    let before = standing(&sessions, &reference).await;
    failing.fail(Some(Fault::LostWrite));
    assert!(matches!(sessions.keep(&reference, before, &fresh(2, true), NOW).await, Err(OpenFault::Store)), "nobody knows");
    failing.fail(None);
    assert_eq!(standing(&sessions, &reference).await.pair.refresh.expose(), b"r2", "it had happened");

    let (failing, sessions) = scene();
    failing.fail(Some(Fault::Write));
    assert_eq!(sessions.open("app.example", &identity(), None, NOW).await.err(), Some(OpenFault::Store), "no record, no session");
    failing.fail(Some(Fault::Remove));
    let reference = sessions.terms().draw("app.example", &Counting::apart()).unwrap();
    let epoch = sessions.terms().epochs.of(&sessions.terms().record_of(&reference));
    assert_eq!(sessions.close(&reference, NOW).await, Err(Outage::State), "an end that nobody confirms is none");
    assert_ne!(sessions.terms().epochs.of(&sessions.terms().record_of(&reference)), epoch, "but nothing is remembered of it here");
}

/// A session for the pair whose refresh credential is `refresh`, if it may be.
async fn opens(sessions: &Sessions, refresh: &str, now: Timestamp) -> Result<Reference, OpenFault> {
    let pair = KeptPair { refresh: secret(refresh), ..first() };
    sessions.open("app.example", &identity(), Some(pair), now).await.map(|(reference, _)| reference)
}

#[tokio::test]
async fn a_pair_is_in_one_session_at_a_time() {
    let (_, sessions) = scene();
    let taken = |outcome: Result<Reference, OpenFault>| matches!(outcome, Err(OpenFault::Taken));
    let ann = opens(&sessions, "r1", NOW).await.unwrap();
    assert!(taken(opens(&sessions, "r1", NOW).await), "a second one would spend it a second time");
    assert_eq!(sessions.holds(&first(), NOW).await, Ok(true), "and whoever asks first knows");
    opens(&sessions, "r2", NOW).await.expect("another pair");
    assert!(sessions.open("app.example", &identity(), None, NOW).await.is_ok(), "or none");

    let before = standing(&sessions, &ann).await;
    assert!(matches!(sessions.keep(&ann, before, &fresh(2, true), NOW).await, Ok(Kept::Done)));
    assert!(taken(opens(&sessions, "r1", NOW).await), "it is spent by now, which would be worse");
    let later = NOW.plus(Seconds(599));
    assert!(taken(opens(&sessions, "r1", later).await), "while the session stands");
    let over = NOW.plus(Seconds(600));
    let again = opens(&sessions, "r1", over).await.expect("once it is over, nobody else is harmed");
    assert!(taken(opens(&sessions, "r1", over).await), "by the next one it is taken again");
    assert_eq!(sessions.close(&again, over).await, Ok(true));
    opens(&sessions, "r1", over).await.expect("after a logout likewise");
}

#[tokio::test]
async fn of_many_who_bring_one_pair_at_once_one_gets_a_session() {
    let (failing, sessions) = scene();
    let sessions = Arc::new(sessions);
    for round in 0..20 {
        let refresh = format!("r{round}");
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (sessions, refresh) = (Arc::clone(&sessions), refresh.clone());
                tokio::spawn(async move { opens(&sessions, &refresh, NOW).await })
            })
            .collect();
        let mut opened = Vec::new();
        for asked in asking {
            match asked.await.unwrap() {
                Ok(reference) => opened.push(reference),
                Err(fault) => assert_eq!(fault, OpenFault::Taken),
            }
        }
        assert_eq!(opened.len(), 1, "round {round}");
        assert!(sessions.standing(&opened[0], NOW).await.unwrap().is_some(), "and it stands");
    }
    assert!(20 * 3 < failing.asked().1, "some had come as far as to write a session, which went again: {:?}", failing.asked());
}

#[tokio::test]
async fn a_pair_whose_session_could_not_be_written_may_come_again() {
    for (fault, again, shows) in [
        (Fault::Write, Ok(()), "nothing was written, so nothing has the pair"),
        (Fault::Read, Ok(()), "nobody could say who has it"),
        (Fault::LostWrite, Ok(()), "a record that nobody knows the id of was not given the pair"),
    ] {
        let (failing, sessions) = scene();
        failing.fail(Some(fault));
        assert_eq!(opens(&sessions, "r1", NOW).await.err(), Some(OpenFault::Store), "{shows}");
        failing.fail(None);
        assert_eq!(opens(&sessions, "r1", NOW).await.map(|_| ()), again, "{shows}");
    }
    let (failing, sessions) = scene();
    opens(&sessions, "r1", NOW).await.unwrap();
    failing.fail(Some(Fault::Read));
    assert_eq!(sessions.holds(&first(), NOW).await, Err(Outage::State), "an outage is no vacancy");
}

#[tokio::test]
async fn a_session_that_is_over_has_nothing_to_renew() {
    let (_, sessions) = scene();
    let reference = opened(&sessions).await;
    for (later, there, shows) in [(599, true, "in use"), (600, false, "unused for too long"), (3_600, false, "at its end")] {
        let found = sessions.standing(&reference, NOW.plus(Seconds(later))).await.unwrap();
        assert_eq!(found.is_some(), there, "{shows}");
    }
    let (bare, session) = sessions.open("app.example", &identity(), None, NOW).await.unwrap();
    assert_eq!(session.ends, NOW.plus(Seconds(3_600)));
    assert!(sessions.standing(&bare, NOW).await.unwrap().is_none(), "one that keeps no pair has none");
}

#[test]
fn the_cookie_is_for_this_host_over_tls_and_for_no_script() {
    let id = SessionId::forged(&Counting::apart());
    let set = cookie::set("__Host-session", &id, Seconds(3_600)).unwrap();
    assert_eq!(
        set.to_str().unwrap(),
        format!("__Host-session={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600", id.text().as_str())
    );
    assert!(set.is_sensitive(), "it is not printed");
    assert_eq!(
        cookie::clear("__Host-session").unwrap().to_str().unwrap(),
        "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
        "taken away with the attributes it was set with"
    );
    assert!(cookie::set("a\r\nb", &id, Seconds(1)).is_none(), "a name that cannot stand in a header");
}

#[test]
fn a_cookie_is_read_once_or_not_at_all() {
    let text = SessionId::forged(&Counting::apart()).text().to_string();
    let rows: [(Vec<String>, Result<bool, Doubt>, &str); 8] = [
        (vec![], Ok(false), "none"),
        (vec![format!("__Host-session={text}")], Ok(true), "one"),
        (vec![format!("a=b; __Host-session={text}; c=d")], Ok(true), "among others"),
        (vec![format!("__Host-sessions={text}")], Ok(false), "a longer name"),
        (vec![format!("__Host-session={text}; __Host-session={text}")], Err(Doubt::Conflict), "two"),
        (vec![format!("__Host-session={text}"), "__Host-session=x".into()], Err(Doubt::Conflict), "two, on two lines"),
        (vec!["__Host-session=x".into()], Err(Doubt::Malformed), "no id"),
        (vec!["__Host-session".into()], Err(Doubt::Malformed), "no value"),
    ];
    for (lines, expected, shows) in rows {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append("cookie", HeaderValue::from_str(line).unwrap());
        }
        let target = Target { path: "/".into(), query: None };
        let request = RequestView {
            method: "POST",
            raw_target: "/",
            target: &target,
            host: "app.example",
            headers: &headers,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: true,
            request_id: "",
        };
        assert_eq!(cookie::read("__Host-session", &request).map(|id| id.is_some()), expected, "{shows}");
    }
}

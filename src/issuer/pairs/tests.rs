//! Families: one pair at a time, whoever asks, however often, on however many nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::domain::{By, Identity, Revocation, Seconds, Silent, Timestamp, Value};
use crate::issuer::pairs::family::{Family, Live};
use crate::issuer::pairs::refresh::{Handle, PREFIX, RefreshToken};
use crate::issuer::pairs::{Caller, GrantFault, Issued, Issuer, IssuerTools, PairFault, PairOrder, Terms};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::compact::Compact;
use crate::jose::mint::SigningKey;
use crate::state::contract::{Expect, StateStore, Written};
use crate::state::memory::Memory;
use crate::state::revoked::Revocations;
use crate::state::testing::{Counting, Failing, Fault, revocations};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

fn terms() -> Terms {
    Terms {
        name: "main".into(),
        issuer: ISSUER.into(),
        audience: Box::new(["app".into()]),
        access_life: Seconds(900),
        refresh_life: Seconds(86_400),
        grace: Seconds(30),
        client_id: "public".into(),
        claims: Box::new(["email".into(), "nothing".into()]),
    }
}

fn keys() -> Arc<[SigningKey]> {
    Arc::new([SigningKey::generate(Algorithm::EdDsa).unwrap()])
}

fn memory() -> Arc<dyn StateStore> {
    Arc::new(Memory::new(10_000, Timestamp(NOW - 1_000)))
}

fn issuer_of(terms: Terms, keys: &Arc<[SigningKey]>, store: &Arc<dyn StateStore>) -> Issuer {
    Issuer::new(terms, Arc::clone(keys), tools(store)).unwrap()
}

fn tools(store: &Arc<dyn StateStore>) -> IssuerTools {
    IssuerTools {
        state: Arc::clone(store),
        revoked: revocations(store, Arc::new(AtomicI64::new(NOW))),
        random: Arc::new(Counting::apart()),
        observer: Arc::new(Silent),
    }
}

fn issuer() -> Issuer {
    issuer_of(terms(), &keys(), &memory())
}

fn order() -> PairOrder {
    PairOrder {
        subject: "ann".into(),
        scopes: Box::new(["read".into(), "write".into()]),
        claims: Value::Map(Box::new([("email".into(), "ann@example".into()), ("secret".into(), Value::Int(1))])),
        client: None,
    }
}

fn refresh_of(issued: &Issued) -> String {
    String::from_utf8(issued.pair.refresh.as_ref().unwrap().expose().to_vec()).unwrap()
}

fn access_of(issued: &Issued) -> String {
    String::from_utf8(issued.pair.access.expose().to_vec()).unwrap()
}

fn grant(fault: GrantFault) -> PairFault {
    PairFault::Grant(fault)
}

/// What the access token of `issued` claims, as its issuer's keys prove it.
fn claims_of(issuer: &Issuer, issued: &Issued) -> Value {
    let token = access_of(issued);
    let compact = Compact::parse(&token).unwrap();
    assert_eq!(compact.header().kind.as_deref(), Some("at+jwt"), "a kind of its own (RFC 9068 section 2.1)");
    assert!(compact.header().kid.is_some(), "the key is named");
    compact.prove(Algorithm::EdDsa, issuer.verifying_keys()).expect("our own signature").into_inner().to_value()
}

#[tokio::test]
async fn an_access_token_says_everything_that_rfc_9068_asks_for() {
    let issuer = issuer();
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let claims = claims_of(&issuer, &first);
    let rows = [
        ("iss", Value::from(ISSUER), "who gave it"),
        ("sub", "ann".into(), "for whom"),
        ("aud", "app".into(), "to be shown where"),
        ("client_id", "public".into(), "to no client in particular"),
        ("iat", Value::Int(NOW), "when"),
        ("exp", Value::Int(NOW + 900), "until when"),
        ("scope", "read write".into(), "what it is good for"),
        ("email", "ann@example".into(), "a claim that the conf names"),
    ];
    for (name, expected, shows) in rows {
        assert_eq!(claims.member(name), Some(&expected), "{name}: {shows}");
    }
    assert_eq!(claims.member("secret"), None, "a claim that the conf does not name stays here");
    assert_eq!(claims.member("fam").and_then(Value::as_text), Some(first.family.text().as_str()), "the family is told by its handle");
    let next = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 1)).await.unwrap();
    let later = claims_of(&issuer, &next);
    assert_ne!(claims.member("jti"), later.member("jti"), "every token has a name of its own");
    assert_eq!(claims.member("fam"), later.member("fam"), "and all of a login share their family's");
    assert_eq!(first.pair.refresh_until, Some(Timestamp(NOW + 86_400)), "the end of the login is told from the start");
    assert_eq!(next.pair.refresh_until, first.pair.refresh_until, "and never moves");
}

#[tokio::test]
async fn a_token_is_spent_once_forgiven_for_a_moment_and_then_ends_its_family() {
    // seconds after the rotation, what the spent token is answered with, what the current one is answered with after that
    let rows = [
        (0, Ok(()), Ok(()), "at once: the same pair"),
        (29, Ok(()), Ok(()), "in the last forgiving second"),
        (30, Err(grant(GrantFault::Reused)), Err(grant(GrantFault::Revoked)), "one second later it was kept, or stolen"),
        (86_000, Err(grant(GrantFault::Reused)), Err(grant(GrantFault::Revoked)), "long after"),
    ];
    for (later, spent, current, shows) in rows {
        let issuer = issuer();
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 10)).await.unwrap();
        assert_ne!(refresh_of(&first), refresh_of(&second), "a rotation gives another token");

        let again = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 10 + later)).await;
        assert_eq!(again.as_ref().map(|_| ()).map_err(|fault| *fault), spent, "{shows}");
        if let Ok(again) = again {
            assert_eq!((refresh_of(&again), access_of(&again)), (refresh_of(&second), access_of(&second)), "{shows}: the very same pair");
            assert_eq!(again.pair.access_until, second.pair.access_until, "{shows}: and the same end");
        }
        let after = issuer.rotate(&refresh_of(&second), None, None, Timestamp(NOW + 10 + later)).await;
        assert_eq!(after.map(|_| ()), current, "{shows}: the current token");
    }
}

#[tokio::test]
async fn a_token_of_any_earlier_generation_ends_the_family() {
    // M3: whoever holds an old token is not who was given the new one.
    for age in 1..=4 {
        let issuer = issuer();
        let mut given = vec![issuer.open(order(), Timestamp(NOW)).await.unwrap()];
        for step in 0..5 {
            let last = refresh_of(given.last().unwrap());
            given.push(issuer.rotate(&last, None, None, Timestamp(NOW + step)).await.unwrap());
        }
        let old = refresh_of(&given[given.len() - 2 - age]);
        let outcome = issuer.rotate(&old, None, None, Timestamp(NOW + 5)).await.map(|_| ());
        assert_eq!(outcome, Err(grant(GrantFault::Reused)), "{age} generations before the one that is forgiven, even within the grace");
        let current = refresh_of(given.last().unwrap());
        assert_eq!(
            issuer.rotate(&current, None, None, Timestamp(NOW + 5)).await.map(|_| ()),
            Err(grant(GrantFault::Revoked)),
            "the thief and the owner are both out"
        );
    }
}

#[tokio::test]
async fn what_is_no_token_of_the_family_spends_and_ends_nothing() {
    let (keys, store) = (keys(), memory());
    let issuer = issuer_of(terms(), &keys, &store);
    let other = issuer_of(Terms { issuer: "https://other.example".into(), ..terms() }, &keys, &store);
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let good = refresh_of(&first);
    let encoded = good.strip_prefix(PREFIX).unwrap();
    let flipped = |at: usize| {
        let mut bytes = base64url::decode(encoded).unwrap();
        bytes[at] ^= 1;
        format!("{PREFIX}{}", base64url::encode(&bytes))
    };
    let rows = [
        (String::new(), GrantFault::Malformed, "nothing"),
        (encoded.to_owned(), GrantFault::Malformed, "without its prefix"),
        (format!("CR1.{encoded}"), GrantFault::Malformed, "with another prefix"),
        (format!("{good}="), GrantFault::Malformed, "padded"),
        (good[..good.len() - 1].to_owned(), GrantFault::Malformed, "one character short"),
        (format!("{good}A"), GrantFault::Malformed, "one character more"),
        (format!("{good}AAAA"), GrantFault::Malformed, "three bytes more"),
        (format!(" {good}"), GrantFault::Malformed, "with a space"),
        (format!("{PREFIX}{}", encoded.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1)), GrantFault::Malformed, "another alphabet"),
        (format!("{PREFIX}{}", "A".repeat(1 << 16)), GrantFault::Malformed, "very long"),
        (access_of(&first), GrantFault::Malformed, "the access token"),
        (flipped(0), GrantFault::Unknown, "another family"),
        (flipped(15), GrantFault::Unknown, "another family, by its last byte"),
    ];
    for (text, expected, shows) in rows {
        assert_eq!(issuer.rotate(&text, None, None, Timestamp(NOW)).await.map(|_| ()), Err(grant(expected)), "{shows}");
    }
    assert_eq!(
        other.rotate(&good, None, None, Timestamp(NOW)).await.map(|_| ()),
        Err(grant(GrantFault::Unknown)),
        "a token of one issuer is none of another's, though they share store and keys"
    );
    assert!(issuer.rotate(&good, None, None, Timestamp(NOW)).await.is_ok(), "after all that the good one is as good as before");
}

#[tokio::test]
async fn a_family_ends_when_it_was_said_to_however_often_it_is_rotated() {
    let rows = [
        (86_399, Ok(NOW + 86_400), "in the last second, and the access token ends with the family"),
        (86_400, Err(grant(GrantFault::Unknown)), "at its end"),
        (86_401, Err(grant(GrantFault::Unknown)), "after it"),
        (85_000, Ok(NOW + 85_900), "an access token lives its own life where that is shorter"),
    ];
    for (later, expected, shows) in rows {
        let issuer = issuer();
        let mut last = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        for step in 1..=4 {
            last = issuer.rotate(&refresh_of(&last), None, None, Timestamp(NOW + step * 20_000)).await.unwrap();
        }
        let outcome = issuer.rotate(&refresh_of(&last), None, None, Timestamp(NOW + later)).await;
        assert_eq!(outcome.map(|issued| issued.pair.access_until.unwrap().0), expected, "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_rotations_at_once_one_rotates_and_all_get_its_pair() {
    let (keys, store) = (keys(), memory());
    // Two nodes over one store.
    let nodes = [Arc::new(issuer_of(terms(), &keys, &store)), Arc::new(issuer_of(terms(), &keys, &store))];
    let first = nodes[0].open(order(), Timestamp(NOW)).await.unwrap();
    let token: Arc<str> = refresh_of(&first).into();
    let start = Arc::new(tokio::sync::Barrier::new(200));
    let askers: Vec<_> = (0..200)
        .map(|number| {
            let (node, token, start) = (Arc::clone(&nodes[number % 2]), Arc::clone(&token), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                node.rotate(&token, None, None, Timestamp(NOW + 1)).await
            })
        })
        .collect();
    let mut pairs = BTreeSet::new();
    for asker in askers {
        let issued = asker.await.unwrap().expect("every one of them is given the pair");
        pairs.insert((refresh_of(&issued), access_of(&issued)));
    }
    assert_eq!(pairs.len(), 1, "one new pair, whoever asked, wherever");
    let (second, _) = pairs.pop_first().unwrap();
    let third = nodes[1].rotate(&second, None, None, Timestamp(NOW + 2)).await.unwrap();
    assert_ne!(refresh_of(&third), second, "and it is the current one");
}

#[tokio::test]
async fn what_was_spent_before_a_restart_is_spent_after_it() {
    // M4, M5: everything is in the store; an issuer has no memory of its own.
    let (keys, store) = (keys(), memory());
    let before = issuer_of(terms(), &keys, &store);
    let first = before.open(order(), Timestamp(NOW)).await.unwrap();
    let second = before.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
    drop(before);
    let after = issuer_of(terms(), &keys, &store);
    let again = after.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 29)).await.unwrap();
    assert_eq!(refresh_of(&again), refresh_of(&second), "an answer that was lost with the process is given once more");
    let replayed = after.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 30)).await.map(|_| ());
    assert_eq!(replayed, Err(grant(GrantFault::Reused)), "and past the grace it is a replay");
    assert_eq!(
        after.rotate(&refresh_of(&second), None, None, Timestamp(NOW + 30)).await.map(|_| ()),
        Err(grant(GrantFault::Revoked)),
        "so that never two of them are good"
    );
}

#[tokio::test]
async fn an_outage_of_the_store_gives_nothing_and_loses_nothing() {
    let rows = [
        (Fault::Read, "nothing was read"),
        (Fault::Write, "nothing was written"),
        (Fault::LostWrite, "it was written, and nobody heard of it: the same token brings what was given"),
    ];
    for (fault, shows) in rows {
        let failing = Failing::over(memory());
        let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
        let issuer = issuer_of(terms(), &keys(), &store);
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        failing.fail(Some(fault));
        let outcome = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 1)).await.map(|_| ());
        assert_eq!(outcome, Err(PairFault::Store), "{shows}");
        failing.fail(None);
        let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 2)).await.expect(shows);
        assert!(issuer.rotate(&refresh_of(&second), None, None, Timestamp(NOW + 3)).await.is_ok(), "{shows}: and the login goes on");
    }

    let failing = Failing::over(memory());
    let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
    let issuer = issuer_of(terms(), &keys(), &store);
    failing.fail(Some(Fault::Write));
    assert_eq!(issuer.open(order(), Timestamp(NOW)).await.map(|_| ()), Err(PairFault::Store), "no family, no pair");
    failing.fail(None);
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
    failing.fail(Some(Fault::Write));
    assert_eq!(
        issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 30)).await.map(|_| ()),
        Err(PairFault::Store),
        "a reuse that could not be punished is not answered as if it had been"
    );
    failing.fail(None);
    assert_eq!(
        issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 31)).await.map(|_| ()),
        Err(grant(GrantFault::Reused)),
        "it is when it comes again"
    );
    assert_eq!(issuer.rotate(&refresh_of(&second), None, None, Timestamp(NOW + 31)).await.map(|_| ()), Err(grant(GrantFault::Revoked)));
}

#[tokio::test]
async fn a_token_of_one_client_is_good_in_no_other_hands() {
    let ours = Caller { issuer: "partners".into(), name: "shop".into() };
    let namesake = Caller { issuer: "others".into(), name: "shop".into() };
    let other = Caller { issuer: "partners".into(), name: "bank".into() };
    let rows = [
        (Some(&ours), Some(&ours), Ok(()), "the client it was given to"),
        (Some(&ours), Some(&other), Err(grant(GrantFault::Foreign)), "another client"),
        (Some(&ours), Some(&namesake), Err(grant(GrantFault::Foreign)), "one of the same name elsewhere"),
        (Some(&ours), None, Err(grant(GrantFault::Foreign)), "nobody in particular"),
        (None, None, Ok(()), "a public client's, in anybody's hands"),
        (None, Some(&other), Ok(()), "a proven caller may hold a public client's too"),
    ];
    for (given_to, by, expected, shows) in rows {
        let issuer = issuer();
        let first = issuer.open(PairOrder { client: given_to.cloned(), ..order() }, Timestamp(NOW)).await.unwrap();
        let spent = issuer.rotate(&refresh_of(&first), by, None, Timestamp(NOW)).await;
        assert_eq!(spent.as_ref().map(|_| ()).map_err(|fault| *fault), expected, "{shows}");
        let repeated = issuer.rotate(&refresh_of(&first), by, None, Timestamp(NOW + 1)).await.map(|_| ());
        assert_eq!(repeated, expected, "{shows}, within the grace");
        let owner = issuer.rotate(&refresh_of(&first), given_to, None, Timestamp(NOW + 2)).await.map(|_| ());
        assert_eq!(owner, Ok(()), "{shows}: nothing was spent or ended by a stranger");
        let withdrawn = issuer.withdraw(&refresh_of(&first), by, Timestamp(NOW + 3)).await.map(|_| ());
        assert_eq!(withdrawn, expected, "{shows}, taking it back");
    }
}

#[tokio::test]
async fn scopes_are_narrowed_for_one_access_token_and_never_widened() {
    let asked = |scopes: &[&str]| -> Box<[Box<str>]> { scopes.iter().map(|scope| Box::from(*scope)).collect() };
    let rows = [
        (None, Ok("read write"), "all that was granted"),
        (Some(asked(&["read"])), Ok("read"), "less"),
        (Some(asked(&["write", "read"])), Ok("write read"), "all, in another order"),
        (Some(asked(&["read", "admin"])), Err(PairFault::Scope), "one that was not granted"),
        (Some(asked(&["Read"])), Err(PairFault::Scope), "scopes are compared byte for byte"),
    ];
    for (narrowed, expected, shows) in rows {
        let issuer = issuer();
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let outcome = issuer.rotate(&refresh_of(&first), None, narrowed.as_deref(), Timestamp(NOW)).await;
        assert_eq!(outcome.as_ref().map(|issued| issued.scopes.join(" ")).map_err(|fault| *fault), expected.map(str::to_owned), "{shows}");
        let next = match outcome {
            Ok(issued) => {
                assert_eq!(
                    claims_of(&issuer, &issued).member("scope").and_then(Value::as_text),
                    expected.ok(),
                    "{shows}: as the token says"
                );
                refresh_of(&issued)
            }
            Err(_) => refresh_of(&first),
        };
        let whole = issuer.rotate(&next, None, None, Timestamp(NOW + 1)).await.unwrap();
        assert_eq!(whole.scopes.join(" "), "read write", "{shows}: the next one has all that was granted again (RFC 6749 section 6)");
    }
}

#[tokio::test]
async fn whatever_is_taken_back_takes_its_family_with_it() {
    let now = Timestamp(NOW + 10);
    for (which, shows) in [
        ("current", "the refresh token that is good now"),
        ("previous", "the one before"),
        ("oldest", "one that was spent long ago"),
        ("access", "an access token that is still good"),
    ] {
        let issuer = issuer();
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
        let third = issuer.rotate(&refresh_of(&second), None, None, Timestamp(NOW)).await.unwrap();
        let token = match which {
            "current" => refresh_of(&third),
            "previous" => refresh_of(&second),
            "oldest" => refresh_of(&first),
            _ => access_of(&first),
        };
        let withdrawn = issuer.withdraw(&token, None, now).await.unwrap().expect(shows);
        assert_eq!(withdrawn, first.family, "{shows}");
        assert_eq!(issuer.rotate(&refresh_of(&third), None, None, now).await.map(|_| ()), Err(grant(GrantFault::Revoked)), "{shows}");
        assert_eq!(issuer.withdraw(&token, None, now).await, Ok(None), "{shows}: once more there is nothing left to do");
    }

    let (keys, store) = (keys(), memory());
    let issuer = issuer_of(terms(), &keys, &store);
    let other = issuer_of(Terms { issuer: "https://other.example".into(), ..terms() }, &keys, &store);
    let stranger = issuer_of(terms(), &self::keys(), &store);
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let foreign = other.open(order(), Timestamp(NOW)).await.unwrap();
    let forged = stranger.open(order(), Timestamp(NOW)).await.unwrap();
    let rows = [
        (access_of(&first), NOW + 900, "an access token that has ended: whoever finds it in a log can end nothing"),
        (access_of(&foreign), NOW, "another issuer's access token"),
        (refresh_of(&foreign), NOW, "another issuer's refresh token"),
        (access_of(&forged), NOW, "one that was signed with a key that is not ours"),
        ("rubbish".to_owned(), NOW, "rubbish"),
        (String::new(), NOW, "nothing"),
    ];
    for (token, at, shows) in rows {
        assert_eq!(issuer.withdraw(&token, None, Timestamp(at)).await, Ok(None), "{shows}");
    }
    assert!(issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 899)).await.is_ok(), "nothing of that ended the family");
}

/// What a gate would be told of whoever presents the access token of `issued`.
fn is_revoked(issuer: &Issuer, issued: &Issued, now: i64) -> bool {
    let claims = claims_of(issuer, issued);
    let identity = Identity {
        subject: claims.member("sub").and_then(Value::as_text).unwrap().into(),
        issuer: claims.member("iss").and_then(Value::as_text).unwrap().into(),
        scopes: Box::default(),
        claims: claims.clone().into(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    issuer.tools.revoked.check(&identity, Timestamp(now)).is_err()
}

#[tokio::test]
async fn access_tokens_of_a_family_that_was_taken_back_are_revoked_as_long_as_they_live() {
    for (reused, shows) in [(false, "taken back"), (true, "a spent token came again")] {
        let issuer = issuer();
        let other = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
        assert!(!is_revoked(&issuer, &second, NOW), "{shows}: before that it is good");
        if reused {
            let outcome = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 30)).await.map(|_| ());
            assert_eq!(outcome, Err(grant(GrantFault::Reused)));
        } else {
            assert!(issuer.withdraw(&refresh_of(&second), None, Timestamp(NOW + 30)).await.unwrap().is_some());
        }
        for issued in [&first, &second] {
            assert!(is_revoked(&issuer, issued, NOW + 30), "{shows}: at once");
            assert!(is_revoked(&issuer, issued, NOW + 930 + 299), "{shows}: as long as any verifier may believe it");
        }
        assert!(!is_revoked(&issuer, &other, NOW + 30), "{shows}: another login of the same subject goes on");
        assert!(!is_revoked(&issuer, &second, NOW + 930 + 300), "{shows}: then the list forgets it");
    }
}

#[tokio::test]
async fn whom_an_operator_has_revoked_gets_no_pair() {
    let said = |by: By, value: &str, issued_before: Option<i64>| Revocation {
        by,
        value: value.into(),
        issuer: None,
        issued_before: issued_before.map(Timestamp),
        until: Timestamp(NOW + 1_000),
        reason: "".into(),
    };
    for (by, value, before, expected, shows) in [
        (By::Subject, "ann", None, Err(grant(GrantFault::Revoked)), "the subject"),
        (By::Subject, "bob", None, Ok(()), "another subject"),
        (By::Subject, "ann", Some(NOW), Ok(()), "logins before this one"),
        (By::Subject, "ann", Some(NOW + 1), Err(grant(GrantFault::Revoked)), "logins up to this one, however new its tokens are"),
        (By::Family, "fam", None, Err(grant(GrantFault::Revoked)), "the family"),
    ] {
        let issuer = issuer();
        let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
        let value = if value == "fam" { first.family.text() } else { value.to_owned() };
        issuer.tools.revoked.revoke(said(by, &value, before)).await;
        let outcome = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW + 10)).await.map(|_| ());
        assert_eq!(outcome, expected, "{shows}");
    }
    let store = memory();
    let unread = Revocations::new(Arc::clone(&store), Arc::new(AtomicI64::new(NOW)), Arc::new(Counting::apart()), Arc::new(Silent));
    let issuer = Issuer::new(terms(), keys(), IssuerTools { revoked: Arc::new(unread), ..tools(&store) }).unwrap();
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let outcome = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.map(|_| ());
    assert_eq!(outcome, Err(PairFault::Store), "while nobody can say who is revoked, nobody is given anything");
}

#[tokio::test]
async fn the_store_never_holds_what_a_thief_could_use() {
    let store = memory();
    let issuer = issuer_of(terms(), &keys(), &store);
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
    let key = issuer.key(&first.family);
    let record = store.read(&key, Timestamp(NOW)).await.unwrap().unwrap();
    for issued in [&first, &second] {
        let bytes = base64url::decode(refresh_of(issued).strip_prefix(PREFIX).unwrap()).unwrap();
        for (piece, shows) in [(&bytes[..16], "the family"), (&bytes[16..], "the secret")] {
            assert!(!holds(&record.value, piece), "{shows} stands in the record");
            assert!(!holds(&key.digest, piece), "{shows} stands in the key");
        }
        assert!(!holds(&record.value, refresh_of(issued).as_bytes()), "the refresh token as text");
        let signature = access_of(issued).rsplit('.').next().unwrap().to_owned();
        assert!(!holds(&record.value, signature.as_bytes()), "an access token");
    }
    assert_ne!(key.digest[..16], first.family.0, "the key is no handle, and a handle no key");

    // What is sealed opens with the spent token and in its own place only.
    let Some(Family::Live(live)) = Family::read(&record.value) else { panic!("a live family") };
    let sealed = live.previous.unwrap().given;
    let spent = RefreshToken::parse(&refresh_of(&first)).unwrap();
    let context = issuer.context(&first.family, live.generation);
    assert!(spent.open(&context, &sealed).is_some(), "the spent token opens it");
    assert!(RefreshToken::parse(&refresh_of(&second)).unwrap().open(&context, &sealed).is_none(), "the current one does not");
    assert!(spent.open(&issuer.context(&first.family, live.generation + 1), &sealed).is_none(), "nor in another generation");
    assert!(spent.open(&issuer.context(&Handle([0; 16]), live.generation), &sealed).is_none(), "nor in another family");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(spent.open(&context, &changed).is_none(), "a changed bit in byte {at}");
    }
    for length in 0..sealed.len() {
        assert!(spent.open(&context, &sealed[..length]).is_none(), "cut off after {length}");
    }
}

fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

#[tokio::test]
async fn a_record_that_is_not_ours_gives_nobody_anything() {
    let store = memory();
    let issuer = issuer_of(terms(), &keys(), &store);
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let second = issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.unwrap();
    let key = issuer.key(&first.family);
    let good = store.read(&key, Timestamp(NOW)).await.unwrap().unwrap();
    let Some(Family::Live(live)) = Family::read(&good.value) else { panic!("a live family") };
    let mut swapped = live.clone();
    swapped.previous.as_mut().unwrap().given[40] ^= 1;
    let rows: [(Vec<u8>, Result<(), PairFault>, &str); 4] = [
        (Vec::new(), Err(PairFault::Store), "nothing"),
        (good.value[..good.value.len() - 1].to_vec(), Err(PairFault::Store), "cut off"),
        ([&good.value, b"\0".as_slice()].concat(), Err(PairFault::Store), "with something behind it"),
        (Family::Live(swapped).write().unwrap(), Err(PairFault::Store), "with another sealed pair"),
    ];
    for (value, expected, shows) in rows {
        let version = store.read(&key, Timestamp(NOW)).await.unwrap().unwrap().version;
        let written = store.write(&key, Expect::Version(version), value.into(), good.until, Timestamp(NOW)).await.unwrap();
        assert!(matches!(written, Written::Done { .. }));
        assert_eq!(issuer.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.map(|_| ()), expected, "{shows}");
    }
    let _ = second;
}

#[test]
fn a_record_has_one_reading_and_bytes_that_are_changed_have_another_or_none() {
    let family = Family::Live(Box::new(Live {
        subject: "ann".into(),
        client: Some(Caller { issuer: "i".into(), name: "n".into() }),
        scopes: Box::new(["a".into()]),
        claims: Value::Map(Box::new([("c".into(), Value::Int(7))])),
        opened: Timestamp(1),
        ends: Timestamp(2),
        generation: 3,
        current: [4; 32],
        previous: None,
    }));
    let bytes = family.write().unwrap();
    assert_eq!(Family::read(&bytes), Some(family), "what was written is what is read");
    let revoked = Family::Revoked.write().unwrap();
    assert_eq!(Family::read(&revoked), Some(Family::Revoked), "a family that was taken back keeps nothing of itself");
    for length in 0..bytes.len() {
        assert_eq!(Family::read(&bytes[..length]), None, "cut off after {length} bytes");
    }
    for version in [0, 2, 255] {
        let mut other = bytes.clone();
        other[0] = version;
        assert_eq!(Family::read(&other), None, "a record of another form ({version})");
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_not_given_and_opens_nothing() {
    let issuer = issuer();
    let large = "x".repeat(9_000);
    let rows = [
        (PairOrder { claims: Value::Map(Box::new([("email".into(), large.as_str().into())])), ..order() }, "claims that no token holds"),
        (PairOrder { scopes: Box::new(["a b".into()]), ..order() }, "a scope with a space, which would read as two"),
        (PairOrder { scopes: Box::new(["".into()]), ..order() }, "a scope that is none"),
    ];
    for (order, shows) in rows {
        assert_eq!(issuer.open(order, Timestamp(NOW)).await.map(|_| ()), Err(PairFault::TooLarge), "{shows}");
    }
}

#[tokio::test]
async fn all_keys_are_published_and_the_first_signs() {
    let old = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let new = SigningKey::generate(Algorithm::Es256).unwrap();
    let (old_pem, new_pem) = (old.private_pem().unwrap(), new.private_pem().unwrap());
    let read = |pem: &crate::domain::Secret| SigningKey::from_pem(std::str::from_utf8(pem.expose()).unwrap(), None).unwrap();
    let store = memory();
    let before = issuer_of(terms(), &(Arc::new([read(&old_pem)]) as Arc<[SigningKey]>), &store);
    let after = issuer_of(terms(), &(Arc::new([read(&new_pem), read(&old_pem)]) as Arc<[SigningKey]>), &store);
    let first = before.open(order(), Timestamp(NOW)).await.unwrap();
    let second = after.rotate(&refresh_of(&first), None, None, Timestamp(NOW)).await.expect("a refresh token does not know keys");
    let algorithm = |issued: &Issued| Compact::parse(&access_of(issued)).unwrap().header().algorithm;
    assert_eq!((algorithm(&first), algorithm(&second)), (Some(Algorithm::EdDsa), Some(Algorithm::Es256)), "the first key signs");
    let published: serde_json::Value = serde_json::from_str(&after.public_keys()).unwrap();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2, "both are published");
    assert!(!after.public_keys().contains("\"d\""), "and nothing private");
    assert!(after.withdraw(&access_of(&first), None, Timestamp(NOW + 1)).await.unwrap().is_some(), "the old key's tokens are still ours");

    let hmac = SigningKey::generate(Algorithm::Hs256).unwrap();
    let make = |keys: Vec<SigningKey>| Issuer::new(terms(), keys.into(), tools(&memory()));
    assert!(make(vec![hmac]).is_err(), "a symmetric key would let every verifier sign");
    assert!(make(Vec::new()).is_err(), "no key, no issuer");
}

#[tokio::test]
async fn an_issuer_prints_no_secret() {
    let issuer = issuer();
    let first = issuer.open(order(), Timestamp(NOW)).await.unwrap();
    let told = format!("{issuer:?} {first:?}");
    for secret in [refresh_of(&first), access_of(&first)] {
        assert!(!told.contains(&secret), "{told}");
    }
}

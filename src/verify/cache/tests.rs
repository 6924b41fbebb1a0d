//! What is remembered, for whom, and for how long.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::{Burn, Claims, Credential, Doubt, Identity, Place, Seconds, Timestamp, Value, Verified};
use crate::verify::cache::{AuthenticatorKey, CachePlan, CredentialCache, Key, check_times};

fn identity(expires: Option<i64>) -> Identity {
    Identity {
        subject: "ann".into(),
        issuer: "us".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: expires.map(Timestamp),
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn proven(identity: Identity) -> Verified<Arc<Identity>> {
    Verified::vouch(Arc::new(identity))
}

fn credential<'c>(parts: &[&'c str]) -> Credential<'c> {
    Credential::new(parts.iter().map(|part| Cow::Borrowed(*part)).collect(), vec![Place::Body])
}

fn cache() -> CredentialCache {
    CredentialCache::new(CachePlan { max_age: Seconds(100), size: 1 << 20 })
}

const LONG: Seconds = Seconds(10_000);

#[test]
fn a_verdict_is_remembered_until_the_first_of_its_ends() {
    let user = AuthenticatorKey::of("user", "plan");
    let rows = [
        // the credential's end, the authenticator's bound, asked at, remembered, what the row shows
        (None, 10_000, 1_099, true, "without an end: until the cache's own bound"),
        (None, 10_000, 1_100, false, "and no longer"),
        (None, 50, 1_049, true, "until the authenticator's bound where that is less"),
        (None, 50, 1_050, false, "and no longer"),
        (Some(1_020), 10_000, 1_019, true, "until the credential's end where that is first"),
        (Some(1_020), 10_000, 1_020, false, "and no longer"),
        (Some(1_000), 10_000, 1_000, false, "what has ended is not remembered"),
        (Some(999), 10_000, 999, false, "nor was it, should the clock be set back"),
        (None, 0, 1_000, false, "a bound of nothing remembers nothing"),
    ];
    for (end, bound, at, remembered, shows) in rows {
        let cache = cache();
        let token = credential(&["token"]);
        cache.insert(&user, &token, 1, &proven(identity(end)), Timestamp(1_000), Seconds(bound));
        assert_eq!(cache.get(&user, &token, 1, Timestamp(at)).is_some(), remembered, "{shows}");
    }
}

#[test]
fn a_verdict_is_for_one_authenticator_one_generation_and_one_credential() {
    let (user, other) = (AuthenticatorKey::of("user", "plan"), AuthenticatorKey::of("user", "plan 2"));
    let cache = cache();
    let now = Timestamp(1_000);
    cache.insert(&user, &credential(&["ab", "c"]), 1, &proven(identity(None)), now, LONG);
    let known = |authenticator: &AuthenticatorKey, parts: &[&str], generation| {
        cache.get(authenticator, &credential(parts), generation, now).is_some()
    };
    assert!(known(&user, &["ab", "c"], 1), "the same");
    assert!(!known(&other, &["ab", "c"], 1), "another plan of the same name");
    assert!(!known(&AuthenticatorKey::of("use", "rplan"), &["ab", "c"], 1), "a name that ends elsewhere");
    assert!(!known(&user, &["ab", "c"], 2), "a later generation");
    assert!(!known(&user, &["ab", "c"], 0), "an earlier one");
    assert!(!known(&user, &["a", "bc"], 1), "parts that end elsewhere");
    assert!(!known(&user, &["abc"], 1), "the parts as one");
    assert!(!known(&user, &["ab", "c", ""], 1), "an empty part more");
    assert!(!known(&user, &["AB", "c"], 1), "another case");

    cache.insert(&user, &credential(&["ab", "c"]), 2, &proven(identity(None)), now, LONG);
    assert!(!known(&user, &["ab", "c"], 1) && known(&user, &["ab", "c"], 2), "a new generation takes the old one's place");
    assert_eq!(cache.len(), 1, "and its room");
}

#[test]
fn what_may_be_used_once_is_never_remembered() {
    let user = AuthenticatorKey::of("user", "plan");
    let cache = cache();
    let burn = Some(Burn { key: [1; 32], made: Timestamp(0), until: Timestamp(2_000) });
    cache.insert(&user, &credential(&["t"]), 1, &proven(Identity { burn, ..identity(None) }), Timestamp(1_000), LONG);
    assert!(cache.is_empty(), "it would be let in twice");
}

#[test]
fn verdicts_can_be_withdrawn() {
    let user = AuthenticatorKey::of("user", "plan");
    let cache = cache();
    let now = Timestamp(1_000);
    let fill = || {
        for token in ["one", "two", "three"] {
            cache.insert(&user, &credential(&[token]), 1, &proven(Identity { subject: token.into(), ..identity(None) }), now, LONG);
        }
    };
    let known = || ["one", "two", "three"].map(|token| cache.get(&user, &credential(&[token]), 1, now).is_some());
    fill();
    cache.forget(&user, &credential(&["one"]));
    assert_eq!(known(), [false, true, true], "one credential");
    cache.forget_where(|identity| &*identity.subject == "two");
    assert_eq!(known(), [false, false, true], "all of a subject");
    fill();
    cache.invalidate_all();
    assert_eq!(known(), [false; 3], "everything");
}

#[test]
fn memory_is_bounded_by_weight() {
    let user = AuthenticatorKey::of("user", "plan");
    let cache = CredentialCache::new(CachePlan { max_age: Seconds(100), size: 256 * 1024 });
    for number in 0..5_000 {
        let claims = Claims::from(Value::Text("x".repeat(1_000).into()));
        let token = number.to_string();
        cache.insert(&user, &credential(&[&token]), 1, &proven(Identity { claims, ..identity(None) }), Timestamp(1_000), LONG);
    }
    assert!(cache.len() <= 256 * 1024 / 1_400, "5,000 verdicts of 1.4 KiB do not fit into 256 KiB: {}", cache.len());
    assert!(50 < cache.len(), "but many do: {}", cache.len());
    let off = CredentialCache::new(CachePlan { max_age: Seconds(100), size: 0 });
    off.insert(&user, &credential(&["t"]), 1, &proven(identity(None)), Timestamp(1_000), LONG);
    assert!(off.is_empty(), "no room, no verdicts");
}

#[test]
fn times_are_checked_on_a_hit() {
    let bounded = proven(Identity { not_before: Some(Timestamp(100)), ..identity(Some(200)) });
    let rows = [
        (99, Err(Doubt::NotYetValid), "too early"),
        (100, Ok(()), "the first good second"),
        (199, Ok(()), "the last good second"),
        (200, Err(Doubt::Expired(Some(Box::new(bounded.clone())))), "too late, and who it was"),
    ];
    for (now, expected, shows) in rows {
        assert_eq!(check_times(&bounded, Timestamp(now)), expected, "{shows}");
    }
    assert_eq!(check_times(&proven(identity(None)), Timestamp::END), Ok(()), "what has no bounds is always in time");
}

proptest! {
    /// No two lists of parts, however alike, share an entry: each is answered with its own identity or none.
    #[test]
    fn entries_are_never_shared(lists in proptest::collection::vec(proptest::collection::vec("[ab\\x00]{0,3}", 0..4), 0..40)) {
        let user = AuthenticatorKey::of("user", "plan");
        let cache = cache();
        let now = Timestamp(1_000);
        for list in &lists {
            let parts: Vec<&str> = list.iter().map(String::as_str).collect();
            let subject = format!("{list:?}").into();
            cache.insert(&user, &credential(&parts), 1, &proven(Identity { subject, ..identity(None) }), now, LONG);
        }
        for list in &lists {
            let parts: Vec<&str> = list.iter().map(String::as_str).collect();
            let known = cache.get(&user, &credential(&parts), 1, now).expect("what was put in is there");
            prop_assert_eq!(&*known.get().subject, format!("{list:?}"));
        }
    }
}

/// The message that is digested, told apart from what could be taken for it.
#[test]
fn no_two_credentials_are_one_message() {
    let user = AuthenticatorKey::of("user", "plan");
    let digest = |parts: &[&str]| Key::of(&user, &credential(parts));
    let length = "\0\0\0\0\0\0\0\x01";
    let rows: [(&[&str], &[&str], &str); 7] = [
        (&[], &[""], "an empty part"),
        (&[""], &["", ""], "or two"),
        (&["a"], &["a", ""], "an empty part behind"),
        (&["a"], &["", "a"], "or before"),
        (&[&format!("a{length}b")], &["a", "b"], "what a length would have been"),
        (&["ab", "c"], &["a", "bc"], "another cut"),
        (&["a", "b"], &["b", "a"], "another order"),
    ];
    for (one, other, shows) in rows {
        assert_eq!(digest(one), digest(one), "{shows}: the same is the same");
        assert_ne!(digest(one), digest(other), "{shows}");
    }
    let elsewhere = AuthenticatorKey::of("other", "plan");
    assert_ne!(Key::of(&elsewhere, &credential(&["a"])), digest(&["a"]), "another authenticator");
}

/// Prints what a hit costs in this build; for people, nothing is asserted about time.
#[test]
fn a_hit_is_found_every_time() {
    const ROUNDS: u64 = 20_000;
    let user = AuthenticatorKey::of("user", "plan");
    let cache = CredentialCache::new(CachePlan { max_age: Seconds(100), size: 64 << 20 });
    let tokens: Vec<String> = (0..1_000).map(|number| format!("{number:0>700}")).collect();
    for token in &tokens {
        cache.insert(&user, &credential(&[token]), 1, &proven(identity(None)), Timestamp(1_000), LONG);
    }
    #[allow(clippy::disallowed_methods, reason = "measures, decides nothing")]
    let started = std::time::Instant::now();
    let hits =
        (0..ROUNDS).zip(tokens.iter().cycle()).filter(|(_, token)| cache.get(&user, &credential(&[token]), 1, Timestamp(1_000)).is_some());
    assert_eq!(hits.count() as u64, ROUNDS, "every one of a thousand tokens is remembered");
    println!("a hit with a token of 700 bytes: {} ns in this build", started.elapsed().as_nanos() as u64 / ROUNDS);
}

/// What the kernel counts, and not what the cache says of itself: what is remembered takes what it is weighed as.
#[test]
#[cfg(target_os = "linux")]
fn entries_take_what_they_weigh() {
    /// Enough that the few megabytes which a growing index leaves behind do not count.
    const MANY: usize = 80_000;
    const PAGE: usize = 4_096;
    let resident = || {
        let counts = std::fs::read_to_string("/proc/self/statm").unwrap();
        counts.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
    };
    let user = AuthenticatorKey::of("user", "plan");
    let claims = Claims::from(Value::Map(
        ["iss", "sub", "aud", "scope", "jti"].map(|name| (name.into(), Value::from("a claim of usual length"))).into_iter().collect(),
    ));
    let shared = identity(Some(2_000));
    let cache = CredentialCache::new(CachePlan::default());
    let before = resident();
    for number in 0..MANY {
        let identity = Identity {
            subject: format!("user-{number:06}").into(),
            issuer: "https://id.example".into(),
            scopes: Box::new(["read".into(), "write".into()]),
            claims: claims.clone(),
            ..shared.clone()
        };
        cache.insert(&user, &credential(&[&format!("{number:0>650}")]), 1, &proven(identity), Timestamp(1_000), LONG);
    }
    let (taken, weight) = (resident() - before, usize::try_from(cache.entries.weight()).unwrap());
    assert!(MANY / 10 * 9 < cache.len(), "nearly all of them are remembered, however many parts the cache has: {}", cache.len());
    println!("{} bytes an entry, weighed as {}", taken / cache.len(), weight / cache.len());
    assert!(taken < weight / 100 * 120, "{taken} bytes were taken for what weighs {weight}: the bound would not hold");
    assert!(weight < taken / 100 * 135, "{weight} is weighed for what takes {taken}: the bound would be reached half empty");
}

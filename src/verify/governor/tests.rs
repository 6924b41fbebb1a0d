//! Who must wait, for how long, and who must not.

use std::net::IpAddr;

use crate::domain::{Doubt, Seconds, Timestamp};
use crate::verify::governor::{Budgets, Governor, is_guess};

fn governor(per_address: u32, per_id: u32) -> Governor {
    Governor::new(Budgets { per_address, per_id, window: Seconds(60), tracked: 1_024 })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const NOW: Timestamp = Timestamp(1_800_000_000);

fn fail(governor: &Governor, from: &str, id: Option<&str>, times: u32) {
    for _ in 0..times {
        governor.fail(address(from), id, NOW);
    }
}

#[test]
fn an_address_may_fail_as_often_as_its_budget_says() {
    let governor = governor(100, 1_000);
    let check = |from: &str, at: i64| governor.check(address(from), None, Timestamp(NOW.0 + at));
    assert_eq!(check("192.0.2.1", 0), None, "nobody has failed");
    fail(&governor, "192.0.2.1", None, 99);
    assert_eq!(check("192.0.2.1", 0), None, "99 failures: one more fits");
    fail(&governor, "192.0.2.1", None, 1);
    assert_eq!(check("192.0.2.1", 0), Some(Seconds(1)), "100 failures: wait for the next");
    assert_eq!(check("192.0.2.1", 1), None, "a second later one fits again");
    assert_eq!(check("192.0.2.2", 0), None, "a neighbour is not held to account");
    assert_eq!(check("::ffff:192.0.2.1", 0), Some(Seconds(1)), "the same address in IPv6 writing");
    fail(&governor, "192.0.2.1", None, 1_000_000);
    assert_eq!(check("192.0.2.1", 0), Some(Seconds(1)), "a million failures owe no more than a full budget");
    assert_eq!(check("192.0.2.1", 60), None, "and are forgotten after the window");
}

#[test]
fn a_network_of_ipv6_is_its_first_64_bits() {
    let governor = governor(2, 1_000);
    fail(&governor, "2001:db8:0:1::1", None, 1);
    fail(&governor, "2001:db8:0:1:ffff::2", None, 1);
    assert!(governor.check(address("2001:db8:0:1:aaaa::3"), None, NOW).is_some(), "whoever has a /64 has all its addresses");
    assert_eq!(governor.check(address("2001:db8:0:2::1"), None, NOW), None, "the next /64 is somebody else's");
}

#[test]
fn a_stranger_s_failures_never_lock_out_a_valid_key() {
    let governor = governor(100, 5);
    for number in 0..=255 {
        for _ in 0..100 {
            governor.fail(IpAddr::from([203, 0, 113, number]), Some("partner"), NOW);
        }
    }
    assert_eq!(governor.check(address("192.0.2.1"), Some("partner"), NOW), None, "25,600 failures elsewhere, none of them here");
    assert!(governor.check(address("203.0.113.7"), Some("partner"), NOW).is_some(), "the guessers wait");
}

#[test]
fn an_id_has_a_budget_of_its_own_at_each_address() {
    let governor = governor(100, 5);
    let check = |id: &str| governor.check(address("192.0.2.1"), Some(id), NOW);
    fail(&governor, "192.0.2.1", Some("partner"), 4);
    assert_eq!(check("partner"), None, "four failures: one more fits");
    fail(&governor, "192.0.2.1", Some("partner"), 1);
    assert_eq!(check("partner"), Some(Seconds(12)), "five failures: a fifth of a minute");
    assert_eq!(check("other"), None, "another id from there has its own");
    assert_eq!(check("partne"), None, "ids are whole");
    assert_eq!(governor.check(address("192.0.2.1"), None, NOW), None, "and the address is within its budget");
}

#[test]
fn whoever_was_proven_goes_on_while_a_neighbour_guesses() {
    let governor = governor(10, 5);
    let check = |id: Option<&str>, at: i64| governor.check(address("192.0.2.1"), id, Timestamp(NOW.0 + at));
    fail(&governor, "192.0.2.1", Some("guessed"), 1);
    governor.succeed(address("192.0.2.1"), "partner", NOW);
    fail(&governor, "192.0.2.1", Some("guessed"), 100);
    assert_eq!(check(Some("partner"), 0), None, "proven from there while somebody failed");
    assert!(check(Some("stranger"), 0).is_some(), "an id that was not proven waits with the address");
    assert!(check(Some("guessed"), 0).is_some(), "so does the guessed one");
    assert!(check(None, 0).is_some(), "and who claims nothing");
    fail(&governor, "192.0.2.1", Some("partner"), 5);
    assert!(check(Some("partner"), 0).is_some(), "its own budget holds for the proven one too");

    let governor = self::governor(10, 5);
    governor.succeed(address("192.0.2.1"), "partner", NOW);
    fail(&governor, "192.0.2.1", None, 10);
    assert_eq!(
        governor.check(address("192.0.2.1"), Some("partner"), NOW),
        Some(Seconds(6)),
        "successes in quiet times are not kept: the first call in a storm waits for the next refill"
    );
}

#[test]
fn a_success_pays_nobody_s_debt() {
    let governor = governor(10, 5);
    fail(&governor, "192.0.2.1", Some("partner"), 10);
    governor.succeed(address("192.0.2.1"), "partner", NOW);
    assert!(
        governor.check(address("192.0.2.1"), Some("partner"), NOW).is_some(),
        "guessing between good calls does not refill the id's budget"
    );
    assert!(governor.check(address("192.0.2.1"), None, NOW).is_some(), "nor the address's");
}

#[test]
fn a_clock_that_jumps_holds_nobody_for_longer_than_the_window() {
    let governor = governor(10, 5);
    let from = address("192.0.2.1");
    for _ in 0..10 {
        governor.fail(from, None, Timestamp(NOW.0 + 1_000_000));
    }
    assert_eq!(governor.check(from, None, NOW), Some(Seconds(6)), "failures from the future count as of now");
    assert_eq!(governor.check(from, None, Timestamp::END), None, "the end of time does not overflow");
    governor.fail(from, None, Timestamp(i64::MIN));
    governor.fail(from, None, Timestamp::END);
    let _ = governor.check(from, None, Timestamp(i64::MIN));
}

#[test]
fn memory_is_bounded_and_a_guesser_cannot_wash_its_debt_away() {
    let governor = governor(100, 1_000_000);
    fail(&governor, "192.0.2.1", None, 100);
    for number in 0..100_000_u32 {
        let _ = governor.check(address("192.0.2.1"), None, NOW);
        governor.fail(address("192.0.2.1"), Some(&number.to_string()), NOW);
    }
    assert!(governor.check(address("192.0.2.1"), None, NOW).is_some(), "a hundred thousand claimed ids do not move the address's debt");
    assert!(governor.pairs.table.len() <= 1_024, "and take no more room than there is: {}", governor.pairs.table.len());
    for number in 0..10_000_u32 {
        governor.fail(IpAddr::V4((0x0a00_0000 + number).into()), None, NOW);
    }
    assert!(governor.addresses.table.len() <= 1_024, "nor do ten thousand addresses: {}", governor.addresses.table.len());
}

#[test]
fn parallel_failures_are_all_counted() {
    let governor = governor(1_000, 1_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fail(&governor, "192.0.2.1", Some("partner"), 250));
        }
    });
    assert!(governor.check(address("192.0.2.1"), None, NOW).is_some(), "4 times 250 is the whole budget of 1,000");
}

#[test]
fn only_what_a_guess_would_meet_is_a_guess() {
    let rows = [
        (Doubt::SecretWrong, true, "a wrong secret"),
        (Doubt::SignatureInvalid, true, "a forged signature"),
        (Doubt::KeyUnknown, true, "an invented key"),
        (Doubt::Malformed, true, "garbage"),
        (Doubt::Expired(None), false, "an office full of lapsed sessions is no attack"),
        (Doubt::WindowExceeded, false, "a slow form"),
        (Doubt::Replayed, false, "a page that was reloaded"),
        (Doubt::AudienceMismatch, false, "a good token at the wrong door"),
    ];
    for (doubt, guess, shows) in rows {
        assert_eq!(is_guess(&doubt), guess, "{shows}");
    }
}

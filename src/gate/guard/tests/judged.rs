//! What a guard is shown, and whom it does not judge.

use bytes::Bytes;

use super::court::{Court, breach, caller, head};
use crate::domain::{Breach, Reason, Refusal};
use crate::gate::guard::is_coded;
use crate::gate::prove::Proven;
use crate::gate::verdict::{Outcome, Verdict};
use crate::systems::contract::Pass;

fn reason(verdict: &Verdict) -> Option<Reason> {
    match &verdict.outcome {
        Outcome::Refuse(refused) => Some(refused.refusal.reason()),
        Outcome::Admit(_) | Outcome::Serve(_) => None,
    }
}

#[tokio::test]
async fn a_guard_is_shown_no_field_that_only_we_write() {
    let court = Court::new(Ok(Pass::default()), false);
    let fields = [
        ("x-site-user", "admin"),
        ("X_Site.User", "admin"),
        ("x-auth-subject", "admin"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-url", "/v1/server"),
        ("x-refresh", "a-credential-of-the-clients-own"),
        ("app-key", "plain"),
    ];
    assert_eq!(reason(&court.ask("GET", "/", &fields, "").await), None);
    let (mut shown, _) = court.system.shown.lock().clone().unwrap();
    shown.sort_unstable();
    assert_eq!(shown, ["app-key: plain", "x-refresh: a-credential-of-the-clients-own"]);
}

#[tokio::test]
async fn a_condition_is_shown_no_field_that_only_we_write() {
    let rows = [
        ("request.headers['x-site-user'] == 'admin'", Some(Reason::PolicyDenied), "by its name"),
        ("request.headers['x_site_user'] == 'admin'", Some(Reason::PolicyDenied), "by another spelling"),
        ("request.headers.exists(name, name.startsWith('x') && name.endsWith('user'))", Some(Reason::PolicyDenied), "by looking"),
        ("request['headers']['x-site-user'] == 'admin'", Some(Reason::PolicyDenied), "by another way"),
        ("!('x-site-user' in request.headers) && request.headers['app-key'] == 'plain'", None, "what clients may write is there"),
        ("request.path == '/' && request.method == 'GET'", None, "a condition that reads no field"),
    ];
    let fields = [("x-site-user", "admin"), ("x_site_user", "admin"), ("app-key", "plain")];
    for (condition, expected, shows) in rows {
        let court = Court::new(Ok(Pass::default()), false).under(condition);
        assert_eq!(reason(&court.ask("GET", "/", &fields, "").await), expected, "{shows}: {condition}");
        let mut plain = Court::new(Ok(Pass::default()), false).under(condition);
        plain.rule().system = None;
        assert_eq!(reason(&plain.ask("GET", "/", &fields, "").await), expected, "{shows}, at a rule without a system: {condition}");
    }
}

#[tokio::test]
async fn a_body_in_a_coding_is_refused_where_the_guard_reads_it_and_nowhere_else() {
    let rows: [(bool, &[(&str, &str)], bool, &str); 7] = [
        (true, &[], false, "plain"),
        (true, &[("content-encoding", "gzip")], true, "compressed"),
        (true, &[("content-encoding", "identity")], false, "not compressed, and says so"),
        (true, &[("content-encoding", "Identity")], false, "in capitals"),
        (true, &[("content-encoding", "identity"), ("content-encoding", "br")], true, "one of two"),
        (true, &[("content-encoding", "")], true, "nothing that is known"),
        (false, &[("content-encoding", "gzip")], false, "a body that the guard does not read"),
    ];
    for (reads, fields, refused, shows) in rows {
        assert!(is_coded(&head(fields)) == refused || !reads, "{shows}");
        let court = Court::new(Ok(Pass::default()), reads);
        let verdict = court.ask("POST", "/", fields, "text").await;
        assert_eq!(reason(&verdict), refused.then_some(Reason::GuardRefused), "{shows}");
        let expected = Breach { code: "coded".into(), field: "Content-Encoding".into(), says: "the body must not be compressed".into() };
        assert_eq!(verdict.record.breach.as_deref(), refused.then_some(&expected), "{shows}: the record says why");
        if !refused {
            let (_, body) = court.system.shown.lock().clone().unwrap();
            assert_eq!(body, reads.then(|| Bytes::from_static(b"text")), "{shows}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_a_guard_is_in_the_record_by_its_code() {
    let court = Court::new(Err(breach("49102")), false);
    let verdict = court.ask("GET", "/", &[], "").await;
    assert_eq!((verdict.record.reason, verdict.record.breach.as_deref()), (Some(Reason::GuardRefused), Some(&breach("49102"))));
    let court = Court::new(Ok(Pass::default()), false).under("false");
    let verdict = court.ask("GET", "/", &[], "").await;
    assert_eq!((verdict.record.reason, verdict.record.breach), (Some(Reason::PolicyDenied), None), "others have none");
}

#[tokio::test]
async fn a_stranger_who_guesses_at_a_guard_is_soon_not_judged_and_a_caller_who_does_not_is() {
    let court = Court::forwarding(Err(breach("guess")));
    for turn in 1..=3 {
        assert_eq!(reason(&court.ask("GET", "/judged", &[], "").await), Some(Reason::GuardRefused), "guess {turn}");
    }
    let throttled = Some(Reason::Throttled);
    assert_eq!(reason(&court.ask("GET", "/judged", &[], "").await), throttled, "one more than the budget of the address");
    *court.system.says.lock() = Ok(Pass::default());
    assert_eq!(reason(&court.ask("GET", "/judged", &[], "").await), throttled, "also when it would have been right");
    assert_eq!(reason(&court.ask("GET", "/other", &[], "").await), None, "where nothing is judged nobody waits");
    assert_eq!(reason(&court.ask_from("192.0.2.2", "GET", "/judged", &[], "").await), None, "nor does anybody elsewhere");
    assert_eq!(court.judged("192.0.2.1", "/judged", &caller("anna")).await, Ok(()), "nor a proven caller behind the same address");
    assert_eq!(court.ear.0.lock().iter().filter(|(budget, refused)| (*budget, *refused) == ("address", true)).count(), 2, "and it is told");
    court.pass_time(60);
    assert_eq!(reason(&court.ask("GET", "/judged", &[], "").await), None, "until the window is over");
}

#[tokio::test]
async fn a_proven_caller_has_a_budget_of_guesses_of_their_own() {
    let court = Court::new(Err(breach("guess")), false);
    let outcome = async |who: &Proven| court.judged("192.0.2.1", "/judged", who).await.map_err(|refusal| refusal.reason());
    for _ in 0..2 {
        assert_eq!(outcome(&caller("anna")).await, Err(Reason::GuardRefused));
    }
    assert_eq!(outcome(&caller("anna")).await, Err(Reason::Throttled), "two guesses are anna's budget");
    *court.system.says.lock() = Ok(Pass::default());
    assert_eq!(outcome(&caller("anna")).await, Err(Reason::Throttled));
    assert_eq!(outcome(&caller("bob")).await, Ok(()), "bob has not guessed");
}

#[tokio::test]
async fn what_is_written_wrongly_is_no_guess() {
    let court = Court::new(Err(breach("200")), false);
    for _ in 0..20 {
        assert!(matches!(court.judged("192.0.2.1", "/judged", &Proven::default()).await, Err(Refusal::GuardRefused(_))));
    }
    let mut off = Court::new(Err(breach("guess")), false);
    off.gate.governor = None;
    for _ in 0..20 {
        assert!(matches!(off.judged("192.0.2.1", "/judged", &Proven::default()).await, Err(Refusal::GuardRefused(_))), "switched off");
    }
}

//! One function per row, to be counted under callgrind. `scripts/instructions` runs it and reads the counts.
//!
//! Each row runs its work N times, then 2N times; [`mark`] is where callgrind writes down what was spent since the last
//! mark, so the difference of the two divided by N is the work alone. Every outcome is checked before it is counted.
//!
//! Keys and confs are made by [`prepare`], outside of callgrind; [`count`] prints a row's name and N per line, in order.

use std::hint::black_box;
use std::path::Path;

use countersign::domain::Reason;
use countersign::route::pattern::{HostPattern, PathPattern};
use countersign::route::table::{Match, Route, Table};
use countersign::route::target;

use crate::stage::court::{Case, Court, NOW};
use crate::stage::{Counting, Folder, Presented, SCHEMES, signed_uid};

const MANY_RULES: usize = 10_000;
const MANY_KEYS: usize = 1_000_000;
/// A refresh token as issuers make them.
const REFRESH: &str = "3q2-7wAAAAAAq83vASNFZ4mrze_-3LqYdlQyEAECAwQ";

/// Makes what [`count`] needs.
pub fn prepare(path: &Path) {
    let folder = Folder::at(path);
    folder.write_server_keys("many.jsonl", MANY_KEYS);
    folder.conf("usual.yaml", "127.0.0.1:0", "127.0.0.1:9", "partners.jsonl", 0);
    folder.conf_without_renewers("plain.yaml", "usual.yaml");
    folder.conf("rules.yaml", "127.0.0.1:0", "127.0.0.1:9", "partners.jsonl", MANY_RULES);
    folder.conf("keys.yaml", "127.0.0.1:0", "127.0.0.1:9", "many.jsonl", 0);
}

/// Callgrind writes a profile whenever this is entered, and starts the next from zero.
#[inline(never)]
fn mark(row: &str) {
    black_box(row);
}

fn row(name: &str, times: u32, mut work: impl FnMut()) {
    // Whatever is built on first use is built here.
    for _ in 0..3 {
        work();
    }
    mark(name);
    for _ in 0..times {
        work();
    }
    mark(name);
    for _ in 0..times * 2 {
        work();
    }
    mark(name);
    println!("{name} {times}");
}

/// Runs every row.
pub fn count(path: &Path) {
    let folder = Folder::at(path);
    let random = Counting::default();
    routes();
    let usual = Court::of(&path.join("usual.yaml"));
    let judged = |court: &Court, name: &str, times: u32, case: &Case, expected: Option<Reason>| {
        court.expect(case, expected);
        row(name, times, || {
            black_box(court.judge(black_box(case)));
        });
    };

    judged(&usual, "request/open", 200, &Case::get(&Presented::bare("/open/orders/17")), None);
    let token = folder.token("rs256", "anna", NOW);
    let rs256 = |path: &str| Presented::bearer(path, &token);
    // What a client that renews brings beside its credential: 43 letters, in a header, and in a cookie beside another one.
    let with_header = |path: &str| rs256(path).and("x-refresh-token", REFRESH);
    let with_cookie = |path: &str| rs256(path).and("cookie", format!("theme=dark; rt={REFRESH}"));

    // In a house without renewers, which is what those of the next one are compared with.
    let plain = Court::of(&path.join("plain.yaml"));
    for scheme in SCHEMES {
        for (cold, name, times) in [(false, "cached", 200), (true, "cold", 20)] {
            let presented = folder.credential(scheme, cold, "anna", NOW, &random);
            judged(&plain, &format!("request/{scheme}/{name}"), times, &Case::get(&presented), None);
        }
    }
    for (name, presented, times) in [
        ("header/cached", with_header("/rs256/orders/17"), 200),
        ("header/cold", with_header("/rs256-cold/orders/17"), 20),
        ("cookie/cached", with_cookie("/rs256/orders/17"), 200),
    ] {
        judged(&plain, &format!("request/rs256/bearing/{name}"), times, &Case::get(&presented), None);
    }
    drop(plain);

    // The same token where there are renewers: at an authenticator that names none, at one that does, and with what renews it.
    for (name, presented, times) in [
        ("rs256/among-renewers/cached", rs256("/rs256/orders/17"), 200),
        ("renewable/cached", rs256("/renewable/orders/17"), 200),
        ("renewable/cold", rs256("/renewable-cold/orders/17"), 20),
        ("renewable/bearing/header/cached", with_header("/renewable/orders/17"), 200),
        ("renewable/bearing/header/cold", with_header("/renewable-cold/orders/17"), 20),
        ("renewable/bearing/cookie/cached", with_cookie("/renewable-cookie/orders/17"), 200),
    ] {
        judged(&usual, &format!("request/{name}"), times, &Case::get(&presented), None);
    }
    judged(&usual, "request/condition", 200, &Case::get(&Presented::bearer("/condition/1", &token)), None);

    let bare = |target: &str| Presented::bare(target);
    let key = folder.key("rs256");
    let refusals: [(&str, Case, Reason); 12] = [
        ("target_ambiguous", Case::get(&bare("/open/../secret")), Reason::TargetAmbiguous),
        ("no_rule", Case::get(&bare("/nothing")), Reason::NoRule),
        ("method_refused", Case::get(&bare("/posted/1")), Reason::MethodRefused),
        ("credential_missing", Case::get(&bare("/rs256/1")), Reason::CredentialMissing),
        ("credential_malformed", Case::get(&Presented::bearer("/rs256/1", "garbage")), Reason::CredentialMalformed),
        ("signature_invalid", Case::get(&Presented::bearer("/rs256/1", &folder.forged(NOW))), Reason::SignatureInvalid),
        ("expired", Case::get(&Presented::bearer("/rs256/1", &folder.token_with(&key, "anna", NOW - 7_200, NOW - 3_600))), Reason::Expired),
        ("scope_missing", Case::get(&Presented::bearer("/scoped/1", &token)), Reason::ScopeMissing),
        ("policy_denied", Case::get(&Presented::bearer("/denied/1", &token)), Reason::PolicyDenied),
        ("secret_wrong", Case::get(&Presented::field("/server-key/1", "server-key", "cGFydG5lci0wOndyb25n")), Reason::SecretWrong),
        (
            "secret_wrong/unknown_id",
            Case::get(&Presented::field("/server-key/1", "server-key", "bm9ib2R5LTA6d3Jvbmc=")),
            Reason::SecretWrong,
        ),
        ("gigya_forged", Case::get(&bare(&format!("/gigya/1?{}", signed_uid("anna", NOW, b"another secret")))), Reason::SignatureInvalid),
    ];
    for (name, case, reason) in &refusals {
        let times = if matches!(*name, "signature_invalid" | "expired") { 20 } else { 100 };
        judged(&usual, &format!("refused/{name}"), times, case, Some(*reason));
    }
    drop(usual);

    let many_rules = Court::of(&path.join("rules.yaml"));
    judged(&many_rules, "request/open/10000-rules", 200, &Case::get(&bare("/open/orders/17")), None);
    drop(many_rules);
    let many_keys = Court::of(&path.join("keys.yaml"));
    let presented = folder.credential("server-key", false, "anna", NOW, &random);
    judged(&many_keys, "request/server-key/1000000-keys", 200, &Case::get(&presented), None);
}

fn routes() {
    row("target/canonical", 500, || {
        black_box(target::canonical(black_box(b"/server/v1/orders/17?page=2&sort=asc")).is_ok());
    });
    for count in [10_usize, MANY_RULES] {
        let routes = (0..count)
            .map(|number| Route {
                hosts: vec![HostPattern::Any],
                paths: vec![PathPattern::parse(&format!("/area{}/service{number}/**", number % 10)).unwrap()],
                methods: None,
            })
            .collect();
        let table = Table::build(routes).unwrap();
        assert_eq!(table.find("api.example", "/area7/service7/orders/17", "GET"), Match::Rule(7));
        row(&format!("route/{count}-rules"), 500, || {
            black_box(table.find(black_box("api.example"), black_box("/area7/service7/orders/17"), "GET"));
        });
    }
}

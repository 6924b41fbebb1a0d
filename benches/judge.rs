//! Time per stage, for people: `cargo bench --bench judge`, or with a name behind it.
//!
//! Quote ratios from one run, never times: they are this machine's, this minute. What CI compares is `scripts/instructions`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench that cannot be set up has nothing to say")]

use std::hint::black_box;

use countersign::countersign::contract::Countersigner;
use countersign::countersign::identity_headers::IdentityHeaders;
use countersign::domain::{Claims, Identity, RequestView, Target, Timestamp};
use countersign::policy::condition::Condition;
use countersign::route::pattern::{HostPattern, PathPattern};
use countersign::route::table::{Route, Table};
use countersign::route::target;
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;

use crate::stage::court::{Case, Court, NOW};
use crate::stage::{Counting, Folder, Presented, SCHEMES};

mod stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(judge, route, stages, requests);
criterion_main!(judge);

fn route(criterion: &mut Criterion) {
    criterion.bench_function("target", |bench| {
        bench.iter(|| target::canonical(black_box(b"/server/v1/orders/17?page=2&sort=asc")).is_ok());
    });
    for count in [10_usize, 10_000] {
        let route = |number: usize| Route {
            hosts: vec![HostPattern::Any],
            paths: vec![PathPattern::parse(&format!("/area{}/service{number}/**", number % 10)).unwrap()],
            methods: None,
        };
        let table = Table::build((0..count).map(route).collect()).unwrap();
        criterion.bench_function(&format!("route/{count}"), |bench| {
            bench.iter(|| table.find(black_box("api.example"), black_box("/area7/service7/orders/17"), "GET"));
        });
    }
}

fn stages(criterion: &mut Criterion) {
    let (headers, target) = (HeaderMap::new(), Target { path: "/orders/17".into(), query: None });
    let request = RequestView {
        method: "GET",
        raw_target: "/orders/17",
        target: &target,
        host: "api.example",
        headers: &headers,
        client: [192, 0, 2, 1].into(),
        secure: false,
        request_id: "bench",
    };
    let identity = Identity {
        subject: "anna".into(),
        issuer: "https://id.example".into(),
        scopes: Box::new(["orders:read".into(), "orders:write".into()]),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    let condition = Condition::compile("'orders:write' in identity.scopes && request.method == 'GET'").unwrap();
    criterion.bench_function("condition", |bench| {
        bench.iter(|| assert!(condition.holds(Some(black_box(&identity)), &request, Timestamp(NOW))));
    });
    let signer = IdentityHeaders::standard();
    criterion.bench_function("identity_headers", |bench| {
        bench.iter(|| {
            let mut set = Vec::with_capacity(8);
            signer.sign(Some(black_box(&identity)), &request, Timestamp(NOW), &mut set).unwrap();
            set
        });
    });
}

/// Whole judged requests, from the head to the verdict. `cold` is without the credential cache.
fn requests(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::at(place.path());
    let court = Court::of(&folder.conf("countersign.yaml", "127.0.0.1:0", "127.0.0.1:9", "partners.jsonl", 0));
    let mut judged = |name: &str, presented: &Presented| {
        let case = Case::get(presented);
        court.expect(&case, None);
        criterion.bench_function(name, |bench| bench.iter(|| court.judge(black_box(&case))));
    };
    judged("request/open", &Presented::bare("/open/orders/17"));
    for scheme in SCHEMES {
        for (cold, name) in [(false, "cached"), (true, "cold")] {
            judged(&format!("request/{scheme}/{name}"), &folder.credential(scheme, cold, "anna", NOW, &Counting::default()));
        }
    }
}

//! A gate as a conf builds it, with requests ready to be put before it.
//!
//! The clock stands still and the randomness counts, so that the same request costs the same every time. Nothing waits:
//! a verdict that is not there at the first asking is a fault of the bench.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use countersign::ambient::Monotonic;
use countersign::assembly::gate::{Carried, Ground, build};
use countersign::domain::{Outage, Reason};
use countersign::gate::arrival::{Arrival, BodySource};
use countersign::gate::rule::Gate;
use countersign::gate::verdict::{Outcome, Verdict};
use countersign::state::memory::Memory;
use countersign::state::revoked::Revocations;
use countersign::telemetry::metrics::Metrics;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::stage::{Counting, Folder, Presented};

/// The moment at which everything happens.
pub const NOW: i64 = 1_800_000_000;

/// A gate that is ready to judge.
pub struct Court {
    pub gate: Gate,
    _runtime: tokio::runtime::Runtime,
}

/// A request as the edge hands it over.
pub struct Case {
    method: &'static str,
    target: String,
    headers: HeaderMap,
}

struct NoBody;

#[async_trait]
impl BodySource for NoBody {
    async fn body(&mut self, _limit: usize) -> Result<Bytes, Outage> {
        Ok(Bytes::new())
    }
}

impl Case {
    /// `presented` as a browser would send it by `method`.
    pub fn new(method: &'static str, presented: &Presented) -> Self {
        let mut headers = HeaderMap::new();
        let usual = [
            ("host", "api.example"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"),
            ("accept", "application/json"),
            ("accept-language", "en"),
            ("accept-encoding", "gzip, deflate, br"),
        ];
        for (name, value) in usual.into_iter().chain(presented.fields.iter().map(|(name, value)| (*name, value.as_str()))) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Self { method, target: presented.target.clone(), headers }
    }

    /// By `GET`.
    pub fn get(presented: &Presented) -> Self {
        Self::new("GET", presented)
    }
}

impl Court {
    /// The gate of the conf at `path`.
    pub fn of(path: &Path) -> Self {
        let plan = Folder::plan(path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = Arc::new(AtomicI64::new(NOW));
        let random = Arc::new(Counting::default());
        let observer = Arc::new(Metrics::new(clock.clone()));
        let state = Arc::new(Memory::new(1_000_000, countersign::domain::Timestamp(0)));
        let revoked = Arc::new(Revocations::new(state.clone(), clock.clone(), random.clone(), observer.clone()));
        let ground = Ground { clock, stopwatch: Arc::new(Monotonic::start()), random, observer, state, revoked };
        let built = runtime.block_on(async {
            assert!(ground.revoked.catch_up().await, "a list in memory is there");
            build(&plan, &ground, &Carried::default()).unwrap()
        });
        Self { gate: built.gate, _runtime: runtime }
    }

    /// The verdict on `case`.
    pub fn judge(&self, case: &Case) -> Verdict {
        let arrival = Arrival {
            method: case.method,
            raw_target: case.target.as_bytes(),
            authority: None,
            headers: &case.headers,
            peer: ([192, 0, 2, 1], 40_000).into(),
            tls: false,
            server_name: None,
            http2: false,
        };
        let mut body = NoBody;
        let verdict = pin!(self.gate.admit(&arrival, &mut body));
        match verdict.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => panic!("{} waits", case.target),
        }
    }

    /// The same; panics unless the outcome is `expected`: admitted, or refused for that reason.
    pub fn expect(&self, case: &Case, expected: Option<Reason>) {
        let verdict = self.judge(case);
        let admitted = matches!(verdict.outcome, Outcome::Admit(_));
        assert_eq!((verdict.record.reason, admitted), (expected, expected.is_none()), "{} {}", case.method, case.target);
    }
}

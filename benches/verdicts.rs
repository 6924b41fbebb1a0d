//! Time per verdict, for people: `make bench`. Compare rows of one run; never runs of two machines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot set its stage has nothing to measure")]

mod workloads;

use criterion::{Criterion, criterion_group, criterion_main};

fn verdicts(criterion: &mut Criterion) {
    let workloads = workloads::workloads();
    let mut group = criterion.benchmark_group("verdict");
    for workload in &workloads.all {
        workload.warm();
        group.bench_function(workload.name, |bencher| bencher.iter(|| workload.judge()));
    }
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);

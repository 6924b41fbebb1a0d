//! Runs each workload a fixed number of times, for callgrind to count: see `scripts/instructions`.
//!
//! Each workload is judged in a function of its own name, whose inclusive cost callgrind reports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench that cannot set its stage has nothing to measure")]

mod workloads;

use std::hint::black_box;

use workloads::Workload;

/// How often each workload is judged in its function.
const TIMES: usize = 20;

macro_rules! counted {
    ($($name:ident)*) => {
        $(
            #[inline(never)]
            fn $name(workload: &Workload) {
                // Its own name keeps it apart from its neighbours, which are otherwise the same function.
                assert_eq!(black_box(stringify!($name)), workload.name);
                for _ in 0..TIMES {
                    drop(black_box(workload.judge()));
                }
            }
        )*

        const COUNTED: &[(&str, fn(&Workload))] = &[$((stringify!($name), $name)),*];
    };
}

counted! {
    pass_through pass_through_10000_rules server_key key_pair jwt_remembered jwt_rs256 jwt_es256 jwt_eddsa ticket gigya condition
    nothing_presented forged_token
}

fn main() {
    let workloads = workloads::workloads();
    println!("times {TIMES}");
    for workload in &workloads.all {
        workload.warm();
        let (name, count) = COUNTED.iter().find(|(name, _)| *name == workload.name).expect("every workload is counted");
        count(workload);
        println!("counted {name}");
    }
}

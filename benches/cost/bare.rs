//! The bare check of one signature with a key that was parsed once: the floor under a token that is judged for the first time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;

/// What is read and written between two checks where a request stands between them, in bytes: more than the caches next to a
/// processor hold.
const BETWEEN: usize = 2 * 1_024 * 1_024;

/// Prints microseconds per check as JSON, after `milliseconds` of each: for RS256 and ES256 check after check, and each again with other
/// memory touched between two checks, whose time does not count. What a check has in tables is in the caches for the one and not for the
/// other, as it is between two requests of a proxy.
#[allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]
pub fn measure(milliseconds: u64) {
    let mut told = Vec::new();
    for (name, algorithm) in [("rs256", Algorithm::Rs256), ("es256", Algorithm::Es256)] {
        let key = SigningKey::generate(algorithm).unwrap();
        let verifying = key.verifying_key().unwrap();
        // The length of a signing input of a usual access token.
        let messages: Vec<(Vec<u8>, Vec<u8>)> = (0..64_u8)
            .map(|number| {
                let message = vec![number; 420];
                let signature = key.sign(&message).unwrap();
                (message, signature)
            })
            .collect();
        for (apart, touched) in [("", 0), ("_apart", BETWEEN)] {
            let mut others = vec![0_u8; touched];
            let (mut checks, mut spent) = (0_u64, Duration::ZERO);
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(milliseconds) {
                for (message, signature) in &messages {
                    black_box(&mut others).iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
                    let began = Instant::now();
                    assert!(verifying.verifies(algorithm, message, signature));
                    spent += began.elapsed();
                }
                checks += 64;
            }
            told.push(format!("\"{name}{apart}\": {:.3}", spent.as_secs_f64() * 1e6 / checks as f64));
        }
    }
    println!("{{{}}}", told.join(", "));
}

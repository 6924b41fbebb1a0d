//! The bare check of one signature with a key that was parsed once: the floor under a token that is judged for the first time.

use std::time::{Duration, Instant};

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;

/// Prints microseconds per check for RS256 and ES256, as JSON, after `milliseconds` of each.
#[allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]
pub fn measure(milliseconds: u64) {
    let each = |algorithm: Algorithm| {
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
        let mut checks = 0_u64;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(milliseconds) {
            for (message, signature) in &messages {
                assert!(verifying.verifies(algorithm, message, signature));
            }
            checks += 64;
        }
        started.elapsed().as_secs_f64() * 1e6 / checks as f64
    };
    println!("{{\"rs256\": {:.3}, \"es256\": {:.3}}}", each(Algorithm::Rs256), each(Algorithm::Es256));
}

//! Confs that nobody would write: broken at any byte, huge, hostile. Each is answered, never a panic, never a pass by accident.

use std::fs;

use proptest::prelude::*;

use crate::conf::files::{shipped, unhidden};
use crate::conf::stage::Stage;

/// The shipped confs, every key shown; the files they refer to are not on stage, which is one more way to be broken.
fn texts() -> Vec<String> {
    shipped().iter().map(|path| unhidden(&fs::read_to_string(path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conf_broken_at_any_place_is_answered(
        which in 0..64_usize,
        at in 0..1_000_000_usize,
        cut in 0..40_usize,
        put in "[\\[\\]{}:,&*!|>'\"%@`#?~ \n\t0-9a-z\u{e4}\u{1f600}-]{0,6}",
    ) {
        let texts = texts();
        let text = &texts[which % texts.len()];
        let letters: Vec<char> = text.chars().collect();
        let at = at % letters.len();
        let broken: String = letters[..at].iter().copied().chain(put.chars()).chain(letters.iter().skip(at + cut).copied()).collect();
        for fault in Stage::new(&broken).told() {
            prop_assert!(fault.contains(": error: ") || fault.contains(": warning: "), "{}", fault);
        }
    }

    #[test]
    fn any_text_at_all_is_answered(text in "\\PC{0,200}") {
        let faults = Stage::new(&text).plan().expect_err("no conf comes about by chance");
        prop_assert!(0 < faults.errors());
    }

    #[test]
    fn any_bytes_at_all_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let faults = Stage::default().file("c.yaml", &bytes).plan().expect_err("no conf comes about by chance");
        prop_assert!(0 < faults.errors());
    }
}

#[test]
fn ten_thousand_rules_are_planned() {
    use std::fmt::Write;
    let mut text = String::from("listeners: [{ address: 127.0.0.1:8080 }]\nupstreams: { app: http://127.0.0.1:9000 }\nrules:\n");
    for number in 0..10_000 {
        let _ = writeln!(
            text,
            "- {{ name: r{number}, match: {{ hosts: h{}.example, paths: ['/a/{{x}}/p{number}', '/b{number}/**'] }}, authenticate: none, forward: app }}",
            number % 10
        );
    }
    let plan = Stage::new(&text).plan().unwrap_or_else(|faults| panic!("{:?}", faults.sorted().first()));
    assert_eq!(plan.rules.len(), 10_000);
}

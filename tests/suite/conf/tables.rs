//! The tables themselves: what they say about a key holds for what they say about its default.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign::config::Document;
use countersign::config::sections::CONF;
use countersign::settings::section::{parse_duration, parse_size, prove};
use countersign::settings::{Faults, KeySpec, Presence, Shape};

/// Calls `visit` with every table of keys that a conf may hold, and where it stands.
fn tables(path: &str, shape: Shape, open: &mut Vec<&'static str>, visit: &mut dyn FnMut(&str, &[KeySpec])) {
    let mut below = |path: &str, keys: &[KeySpec], open: &mut Vec<&'static str>| {
        visit(path, keys);
        for key in keys {
            tables(&format!("{path}.{}", key.name), key.shape, open, visit);
        }
    };
    match shape {
        Shape::Section(spec) => below(path, spec.keys, open),
        Shape::List { of, .. } | Shape::Map(of) => tables(path, *of, open, visit),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| tables(path, *shape, open, visit)),
        Shape::Kind { what, kinds, beside } if !open.contains(&what) => {
            open.push(what);
            below(path, beside, open);
            for kind in kinds() {
                tables(&format!("{path}.{}", kind.name), kind.shape, open, visit);
            }
            open.pop();
        }
        _ => {}
    }
}

#[test]
fn every_default_is_a_value_that_its_key_may_have() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    tables("", Shape::Section(&CONF), &mut Vec::new(), &mut |path, keys| {
        for key in keys {
            let Presence::Default(text) = key.presence else { continue };
            let document = Document::read("default", format!("default: {text}").as_bytes()).expect("a default is YAML");
            let mut faults = Faults::default();
            prove(key.shape, key.name, document.root.get("default").unwrap(), &mut faults);
            // `{}` stands for a section whose own keys all have defaults.
            if faults.errors() != 0 {
                wrong.push(format!("{path}.{}: `{text}`: {:?}", key.name, faults.sorted()));
            }
            tried += 1;
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(60 < tried, "only {tried} defaults were found");
}

#[test]
fn keys_are_distinct_explained_and_named_alike() {
    let mut wrong = Vec::new();
    tables("", Shape::Section(&CONF), &mut Vec::new(), &mut |path, keys| {
        let names: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
        if names.len() != keys.len() {
            wrong.push(format!("{path} has a key twice"));
        }
        for key in keys {
            let plain = key.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if !plain || !key.doc.trim_end_matches('`').ends_with('.') || key.doc.len() < 10 {
                wrong.push(format!("{path}.{}: a key is lower case, and its meaning a sentence: {:?}", key.name, key.doc));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lengths_of_time_have_a_unit_and_no_second_reading() {
    let cases = [
        ("500ms", Some(Duration::from_millis(500)), "milliseconds"),
        ("30s", Some(Duration::from_secs(30)), "seconds"),
        ("5m", Some(Duration::from_secs(300)), "minutes"),
        ("1h", Some(Duration::from_secs(3_600)), "hours"),
        ("2d", Some(Duration::from_secs(172_800)), "days"),
        ("0s", Some(Duration::ZERO), "nothing at all"),
        ("30", None, "no unit"),
        ("s", None, "no number"),
        ("1h30m", None, "two units"),
        ("1.5h", None, "a fraction"),
        ("-1s", None, "the past"),
        ("+1s", None, "a sign"),
        ("1 s", None, "a space"),
        ("1S", None, "another letter"),
        ("18446744073709551615s", Some(Duration::from_secs(u64::MAX)), "the most"),
        ("18446744073709551616s", None, "one more"),
        ("18446744073709551615d", None, "too many days must not wrap"),
        ("", None, "nothing"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(parse_duration(text), expected, "{shows}: {text:?}");
    }
}

#[test]
fn sizes_are_in_bytes_or_binary_units() {
    let cases = [
        ("512", Some(512), "bytes"),
        ("512B", Some(512), "bytes, said"),
        ("64KiB", Some(65_536), "kibibytes"),
        ("1MiB", Some(1 << 20), "mebibytes"),
        ("1GiB", Some(1 << 30), "gibibytes"),
        ("1KB", None, "which of two kilobytes?"),
        ("1k", None, "a letter alone"),
        ("KiB", None, "no number"),
        ("1.5MiB", None, "a fraction"),
        ("-1", None, "less than nothing"),
        ("17179869183GiB", Some(17_179_869_183 << 30), "the most"),
        ("17179869184GiB", None, "one more must not wrap"),
        ("", None, "nothing"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(parse_size(text), expected, "{shows}: {text:?}");
    }
}

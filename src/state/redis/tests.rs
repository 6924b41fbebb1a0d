//! The settings of the store, good and at fault.

use crate::config::document::Document;
use crate::settings::{Checking, Faults, Level, Material, Names};
use crate::state::contract::StorePlan;
use crate::state::redis::ENTRY;

/// What becomes of `redis: { … }`, with two PEM files at hand.
fn planned(settings: &str) -> (Option<Box<dyn StorePlan>>, Faults) {
    let document = Document::read("c.yaml", format!("redis: {{ {settings} }}").as_bytes()).unwrap();
    let (mut faults, mut material, names) = (Faults::default(), Material::default(), Names::default());
    let made = rcgen::generate_simple_self_signed(["redis.test".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap();
    let files =
        [("one.pem", made.cert.pem()), ("one.key", made.signing_key.serialize_pem()), ("other.key", other.signing_key.serialize_pem())];
    for (name, text) in files {
        material.files.insert(name.into(), Ok(text.into_bytes().into()));
    }
    material.files.insert("binary".into(), Ok(vec![0xff, 0xfe].into()));
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: true };
    let plan = (ENTRY.plan)(document.root.get("redis").unwrap(), &mut checking);
    (plan, faults)
}

#[test]
fn settings_are_proven_and_every_fault_says_what_would_be_right() {
    let cases = [
        // settings, what is said (nothing: they are good), what the row shows
        ("url: 'redis://127.0.0.1:6379/0'", "", "a server on this machine"),
        ("url: 'redis://127.0.0.1'", "", "with the usual port and the first database"),
        ("url: 'redis://localhost/3'", "", "by name"),
        ("url: 'redis://[::1]:6380'", "", "by its IPv6 address"),
        ("url: 'rediss://redis.internal:6380'", "", "another machine, over TLS"),
        ("url: 'rediss://redis.internal', ca: one.pem, certificate: one.pem, key: one.key", "", "each proving itself to the other"),
        ("url: 'rediss://redis.internal', username: us, password: 'pass word'", "", "with a user of our own"),
        (
            "url: 'redis://127.0.0.1', password: secret, prefix: 'a-b_c.1', strict: true, timeout: 50ms, connect_timeout: 60s",
            "",
            "all else",
        ),
        ("prefix: x", "needs `url`", "no server"),
        ("url: 'redis://10.0.0.5'", "everything would go there in plaintext", "another machine in plaintext"),
        ("url: 'redis://redis'", "everything would go there in plaintext", "a name that may be any machine"),
        ("url: 'redis://localhost.evil.example'", "everything would go there in plaintext", "a name that only begins well"),
        ("url: 'redis://127.0.0.1.evil.example'", "everything would go there in plaintext", "nor is this an address"),
        ("url: 'http://127.0.0.1'", "not how a Redis is spoken to", "another protocol"),
        ("url: 'redis-sentinel://127.0.0.1'", "Sentinel and Cluster are not supported", "sentinels"),
        ("url: 'redis+cluster://127.0.0.1'", "Sentinel and Cluster are not supported", "a cluster"),
        ("url: 'redis://127.0.0.1:1,127.0.0.1:2'", "url", "several servers"),
        ("url: 'redis://a,b/0'", "several servers", "several servers without ports"),
        ("url: 'redis://us:secret@127.0.0.1'", "must not carry a user name or password", "a password where everybody sees it"),
        ("url: 'redis://:secret@127.0.0.1'", "must not carry a user name or password", "without a name"),
        ("url: 'redis://127.0.0.1/one'", "the number of a database", "a database by name"),
        ("url: 'redis://127.0.0.1/-1'", "the number of a database", "a negative one"),
        ("url: 'redis://127.0.0.1/0/1'", "the number of a database", "two of them"),
        ("url: 'redis://127.0.0.1?protocol=2'", "no query", "a setting in the URL"),
        ("url: 'redis:///0'", "names no host", "no host"),
        ("url: 'redis://'", "names no host", "nothing at all"),
        ("url: 'redis://%00/'", "names no host", "a host that is no name"),
        ("url: '127.0.0.1:6379'", "write `redis://host:6379/0`", "no scheme"),
        ("url: 'redis://127.0.0.1', ca: one.pem", "has no meaning without TLS", "an authority and no TLS"),
        ("url: 'redis://127.0.0.1', certificate: one.pem, key: one.key", "has no meaning without TLS", "a certificate and no TLS"),
        ("url: 'rediss://r', ca: one.key", "`ca` must be a PEM file of certificates", "a key for an authority"),
        ("url: 'rediss://r', ca: binary", "`ca` must be a PEM file of certificates", "nothing that is PEM"),
        ("url: 'rediss://r', certificate: one.pem", "needs its `key`", "half of a pair"),
        ("url: 'rediss://r', key: one.key", "needs its `certificate`", "the other half"),
        ("url: 'rediss://r', certificate: one.pem, key: other.key", "cannot be used together", "halves of two pairs"),
        ("url: 'rediss://r', certificate: one.key, key: one.key", "`certificate` must be a PEM file", "a key for a certificate"),
        ("url: 'rediss://r', certificate: one.pem, key: one.pem", "`key` must be a PEM file", "a certificate for a key"),
        ("url: 'redis://127.0.0.1', username: us", "needs a `password`", "a name alone"),
        ("url: 'redis://127.0.0.1', password: { file: binary }", "is not UTF-8", "a password that cannot be sent"),
        ("url: 'redis://127.0.0.1', prefix: 'a}b'", "`prefix` is made of", "a prefix that would end its braces"),
        ("url: 'redis://127.0.0.1', prefix: 'a:b'", "`prefix` is made of", "a prefix that could be part of another's key"),
        ("url: 'redis://127.0.0.1', timeout: 0s", "no time for any answer", "no time to answer"),
        ("url: 'redis://127.0.0.1', connect_timeout: 0ms", "no time for any answer", "no time to connect"),
        ("url: 'redis://127.0.0.1', timeout: 61s", "must be between", "longer than anybody waits"),
    ];
    for (settings, expected, shows) in cases {
        let (plan, faults) = planned(settings);
        let said: Vec<String> = faults.sorted().iter().map(ToString::to_string).collect();
        if expected.is_empty() {
            assert!(plan.is_some() && said.is_empty(), "{shows}: {said:?}");
        } else {
            assert!(plan.is_none(), "{shows}: it was accepted");
            assert!(said.iter().any(|says| says.contains(expected)), "{shows}: {said:?}");
        }
    }
}

#[test]
fn plaintext_beyond_this_machine_is_written_on_purpose_and_warned_of() {
    let cases = [
        ("url: 'redis://10.0.0.5', plaintext: true", "in plaintext", "on purpose"),
        ("url: 'redis://127.0.0.1', plaintext: true", "no effect", "for nothing"),
        ("url: 'rediss://10.0.0.5', plaintext: true", "no effect", "and TLS all the same"),
    ];
    for (settings, expected, shows) in cases {
        let (plan, faults) = planned(settings);
        assert!(plan.is_some(), "{shows}: {faults:?}");
        let warned = faults.sorted().into_iter().any(|fault| fault.level == Level::Warning && fault.says.contains(expected));
        assert!(warned, "{shows}: {faults:?}");
    }
}

#[test]
fn a_plan_shows_no_secret_and_differs_where_the_store_would() {
    let base = "url: 'redis://127.0.0.1'";
    let shown = |more: &str| planned(&format!("{base}{more}")).0.unwrap().continuity();
    let (with, _) = planned(&format!("{base}, username: us, password: 'pass word'"));
    let with = with.unwrap();
    assert!(!format!("{with:?} {}", with.continuity()).contains("pass word"), "{with:?}");
    assert_eq!(shown(""), shown(", prefix: countersign"), "what is written out as the default is the same");
    assert_eq!(shown(", password: a"), shown(", password: a"), "the same, the same");
    assert_ne!(shown(", password: a"), shown(", password: b"), "another password");
    assert_ne!(shown(", password: a"), shown(", password: a, username: a"), "another user");
    for other in [", prefix: other", ", strict: true", ", timeout: 1s", ", connect_timeout: 1s", ", password: a"] {
        assert_ne!(shown(""), shown(other), "another store: {other}");
    }
}

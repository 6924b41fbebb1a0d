//! What is read, what is refused, and where either stands.

use super::{Document, MAX_DEPTH};
use crate::settings::{Level, Node, NodeValue};

/// The tree as text with positions: `@line:column`.
fn shown(node: &Node) -> String {
    let at = format!("@{}:{}", node.span.line, node.span.column);
    match &node.value {
        NodeValue::Null => format!("null{at}"),
        NodeValue::Bool(flag) => format!("{flag}{at}"),
        NodeValue::Int(number) => format!("{number}{at}"),
        NodeValue::Float(number) => format!("{number:?}{at}"),
        NodeValue::Text(text) => format!("{text:?}{at}"),
        NodeValue::List(items) => format!("[{}]{at}", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        NodeValue::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| format!("{}@{}:{}={}", entry.key, entry.span.line, entry.span.column, shown(&entry.node)))
                .collect();
            format!("{{{}}}{at}", entries.join(" "))
        }
    }
}

fn read(text: &str) -> Result<String, String> {
    let told = |faults: &crate::settings::Faults| faults.sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    match Document::read("c.yaml", text.as_bytes()) {
        Ok(document) if document.faults.is_empty() => Ok(shown(&document.root)),
        Ok(document) => Err(told(&document.faults)),
        Err(faults) => Err(told(&faults)),
    }
}

#[test]
fn every_node_knows_where_it_was_written() {
    let cases = [
        ("a: 1", "{a@1:1=1@1:4}@1:1", "block mapping"),
        ("\u{feff}a: 1", "{a@1:1=1@1:4}@1:1", "a byte order mark has no column"),
        ("a:\n  b: x\n", "{a@1:1={b@2:3=\"x\"@2:6}@2:3}@1:1", "nested block"),
        ("a: { b: [x, 2] }", "{a@1:1={b@1:6=[\"x\"@1:10 2@1:13]@1:9}@1:4}@1:1", "flow style"),
        ("a:\n  - x\n  - y: z\n", "{a@1:1=[\"x\"@2:5 {y@3:5=\"z\"@3:8}@3:5]@2:3}@1:1", "block sequence"),
        ("# c\nä: ö # c\nb: ü", "{ä@2:1=\"ö\"@2:4 b@3:1=\"ü\"@3:4}@2:1", "columns count characters"),
        ("a: &x [1]\nb: *x", "{a@1:1=[1@1:8]@1:7 b@2:1=[1@1:8]@1:7}@1:1", "an alias stands where it was defined"),
        ("a: |\n  x\n  y\n", "{a@1:1=\"x\\ny\\n\"@2:3}@1:1", "a block scalar stands where its text does"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(read(text).as_deref(), Ok(expected), "{shows}: {text:?}");
    }
}

#[test]
fn plain_scalars_follow_the_core_schema_without_its_traps() {
    let cases = [
        ("a: ~", "null@1:4", "null"),
        ("a: null", "null@1:4", "null in words"),
        ("a: true", "true@1:4", "a flag"),
        ("a: yes", "\"yes\"@1:4", "the Norway problem: words stay words"),
        ("a: off", "\"off\"@1:4", "off stays a word, for `cache: off`"),
        ("a: 'true'", "\"true\"@1:4", "quoted is text"),
        ("a: \"1\"", "\"1\"@1:4", "a quoted number is text"),
        ("a: -5", "-5@1:4", "negative"),
        ("a: 0", "0@1:4", "zero"),
        ("a: 007", "\"007\"@1:4", "a leading zero is no octal and no decimal"),
        ("a: 1.5", "1.5@1:4", "a fraction"),
        ("a: 1e400", "\"1e400\"@1:4", "beyond every number"),
        ("a: 9223372036854775807", "9223372036854775807@1:4", "the largest"),
        ("a: 9223372036854775808", "9.223372036854776e18@1:4", "one more is no whole number any more"),
        ("a: 10s", "\"10s\"@1:4", "a duration is text"),
        ("a: nan", "\"nan\"@1:4", "no number at all"),
        ("a: 0x10", "\"0x10\"@1:4", "no hexadecimal"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(read(text), Ok(format!("{{a@1:1={expected}}}@1:1")), "{shows}: {text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let cases = [
        ("", "c.yaml:1:1: error: the conf is empty", "nothing"),
        ("# only a comment\n", "c.yaml:1:1: error: the conf is empty", "a comment is nothing"),
        ("a: [1, 2", "error: not YAML:", "unclosed"),
        ("a: 1\nb: ]\n", "c.yaml:2:4: error: not YAML:", "a bracket too many"),
        ("a: 1\n\tb: 2\n", "c.yaml:1:4: error: not YAML: while scanning a plain scalar, found a tab", "a tab as indentation"),
        ("a: 1\na: 2\n", "c.yaml:2:1: error: `a` is written twice in this mapping, first in line 1", "a key twice"),
        ("x: { a: 1, b: 2, a: 3 }", "c.yaml:1:18: error: `a` is written twice", "a key twice in flow style"),
        ("a: !!str 1\n", "c.yaml:1:4: error: tags", "a core tag"),
        ("a: !secret 1\n", "c.yaml:1:4: error: tags", "a local tag"),
        ("a: !t {b: 1}\n", "c.yaml:1:4: error: tags", "a tag on a mapping"),
        ("%YAML 1.1\n---\na: 1\n", "c.yaml:1:1: error: not YAML:", "a directive"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1: error: a conf is one document", "two documents"),
        ("a: &x [*x]\n", "c.yaml:1:8: error: this alias stands inside what it refers to", "an alias of itself"),
        ("a: *nowhere\n", "c.yaml:1:4: error: not YAML:", "an alias of nothing"),
        ("a: &x b\n*x : 1\n", "c.yaml:2:1: error: a key is written out", "an alias as a key"),
        ("base: &b { x: 1 }\na: { <<: *b }\n", "c.yaml:2:6: error: merge keys", "a merge key"),
        ("? [a]\n: 1\n", "c.yaml:1:3: error: a key must be text", "a list as a key"),
        (": 1\n", "c.yaml:1:1: error: a key is missing", "no key"),
    ];
    for (text, expected, shows) in cases {
        let told = read(text).expect_err(shows);
        assert!(told.contains(expected), "{shows}: {text:?} told {told:?}, which lacks {expected:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_told_with_their_place() {
    let faults = Document::read("c.yaml", b"a: 1\n\xc3\xa4: \xff\n").expect_err("not UTF-8").sorted();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].to_string(), "c.yaml:2:4: error: the conf must be UTF-8; this byte is not");
}

#[test]
fn all_faults_of_a_readable_text_are_told_at_once_and_the_first_of_two_keys_stands() {
    let document = Document::read("c.yaml", b"a: 1\nb: !x 2\na: 3\n").expect("readable");
    let told: Vec<(u32, Level)> = document.faults.sorted().iter().map(|fault| (fault.span.line, fault.level)).collect();
    assert_eq!(told, [(2, Level::Error), (3, Level::Error)]);
    assert_eq!(shown(&document.root), "{a@1:1=1@1:4 b@2:1=2@2:7}@1:1");
}

#[test]
fn depth_is_bounded_on_both_sides() {
    let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH - 1)).is_ok(), "the mapping around it counts too");
    let told = read(&nested(MAX_DEPTH)).expect_err("one deeper");
    assert!(told.contains(&format!("nest deeper than {MAX_DEPTH}")), "{told}");
    let through_alias = format!("a: &x {}{}\nb: {}*x{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40));
    let told = read(&through_alias).expect_err("an alias does not get around it");
    assert!(told.contains("with this alias"), "{told}");
}

#[test]
fn nodes_are_bounded_and_aliases_count_as_what_they_stand_for() {
    // Mapping, key, list and its items are nodes: 3 + items.
    let list = |items: usize| format!("a: [{}]", vec!["1"; items].join(","));
    assert!(Document::read_within("c.yaml", list(7).as_bytes(), 10).is_ok(), "exactly the budget");
    let faults = Document::read_within("c.yaml", list(8).as_bytes(), 10).expect_err("one more").sorted();
    assert!(faults[0].says.contains("more than 10 nodes"), "{}", faults[0].says);
    assert_eq!((faults[0].span.line, faults[0].span.column), (1, 19), "told where the budget ran out");

    // 10^9 nodes in a few lines: refused by counting, not by building them.
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(",")));
    }
    let faults = Document::read_within("c.yaml", bomb.as_bytes(), 10_000).expect_err("a bomb").sorted();
    assert!(faults[0].says.contains("aliases counted"), "{}", faults[0].says);
    assert_eq!(faults[0].span.line, 4, "told at the alias that goes beyond");
}

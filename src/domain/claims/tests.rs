//! What is written into claims is what is read back, in the memory it should take.

use proptest::prelude::*;

use crate::domain::claims::{Claim, Claims, LONGEST_SHORT, Writer};
use crate::domain::value::Value;

fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn list(items: &[Value]) -> Value {
    Value::List(items.into())
}

#[test]
fn every_value_is_read_back_as_it_was_written() {
    let text = |length: usize| Value::Text("x".repeat(length).into());
    let rows = [
        (Value::Null, "null"),
        (Value::Bool(true), "true"),
        (Value::Bool(false), "false"),
        (Value::Int(0), "nothing"),
        (Value::Int((1 << 35) - 1), "the greatest whole number of five groups"),
        (Value::Int(1 << 35), "the least of ten"),
        (Value::Int(-1), "a number below zero"),
        (Value::Int(i64::MIN), "the least of all"),
        (Value::Int(i64::MAX), "the greatest of all"),
        (Value::Float(0.5), "a fraction"),
        (Value::Float(-1e300), "a large one"),
        (text(0), "an empty text"),
        (text(LONGEST_SHORT), "the longest short text"),
        (text(LONGEST_SHORT + 1), "the shortest long text"),
        (text(100_000), "a very long one"),
        (Value::from("ä\u{0}😀\u{9}"), "characters of several bytes, and those that say of what kind a value is"),
        (list(&[]), "an empty list"),
        (map(&[]), "an empty object"),
        (list(&[Value::Int(1), list(&[]), map(&[("a", Value::Null)]), Value::from("x")]), "a list of all kinds"),
        (map(&[("", Value::from("")), ("a", list(&[map(&[])])), ("b", Value::Int(2))]), "an object with an empty name"),
        (map(&[("x".repeat(300).as_str(), Value::Bool(true)), ("b", Value::Null)]), "a long name"),
    ];
    for (value, shows) in rows {
        let claims = Claims::from(&value);
        assert_eq!(claims.to_value(), value, "{shows}");
        assert!(claims.get() == value, "{shows}: and is equal to it");
        assert_eq!(claims, Claims::from(value), "{shows}: as is what was written again");
    }
}

#[test]
fn members_are_found_by_their_names_alone() {
    let inner = map(&[("roles", list(&["admin".into(), "audit".into()])), ("sub", "not this".into())]);
    let claims = Claims::from(map(&[
        ("su", "shorter".into()),
        ("text", "sub".into()),
        ("realm", inner),
        ("nested", list(&[map(&[("sub", "nor this".into())])])),
        ("n", Value::Int(7)),
        ("sub", "ann".into()),
        ("sub2", "longer".into()),
        ("a.b", "dotted".into()),
        ("half", Value::Float(2.0)),
    ]));
    let text = |path: &str| claims.at_path(path).and_then(Claim::as_text);
    assert_eq!(claims.member("sub").and_then(Claim::as_text), Some("ann"), "past lists, objects and texts that hold the name");
    assert_eq!(claims.member("SUB"), None, "another case");
    assert_eq!(claims.member(""), None, "no name");
    assert_eq!(text("realm.sub"), Some("not this"), "a path descends");
    assert_eq!(claims.at_path("realm.roles").and_then(Claim::as_list).map(Iterator::count), Some(2), "to a list");
    assert_eq!(claims.at_path("realm.roles.admin"), None, "which has no members");
    assert_eq!(text("a.b"), None, "a name with a dot is reached by no path");
    assert_eq!(claims.member("a.b").and_then(Claim::as_text), Some("dotted"), "but by its name");
    assert_eq!(claims.member("half").and_then(Claim::as_int), Some(2), "a float that is a whole number");
    assert_eq!(claims.member("n").and_then(Claim::as_text), None, "a number is no text");
    assert_eq!(Claims::from(Value::from("x")).member("x"), None, "a text has no members");
    assert_eq!(Claims::empty().member("x"), None, "nor has nothing");
}

#[test]
fn values_are_equal_where_they_say_the_same() {
    let one = map(&[("a", list(&[Value::Int(1)])), ("b", Value::Float(0.0))]);
    let rows = [
        (one.clone(), true, "the same"),
        (map(&[("a", list(&[Value::Int(1)])), ("b", Value::Float(-0.0))]), true, "zero is zero"),
        (map(&[("a", list(&[Value::Int(1)]))]), false, "a member less"),
        (map(&[("a", list(&[Value::Int(1)])), ("b", Value::Float(0.0)), ("c", Value::Null)]), false, "a member more"),
        (map(&[("a", list(&[])), ("b", Value::Float(0.0))]), false, "an element less"),
        (map(&[("a", list(&[Value::Int(1), Value::Null])), ("b", Value::Float(0.0))]), false, "an element more"),
        (map(&[("a", list(&[Value::Int(2)])), ("b", Value::Float(0.0))]), false, "another element"),
        (map(&[("a", list(&[Value::Int(1)])), ("c", Value::Float(0.0))]), false, "another name"),
        (map(&[("a", list(&[Value::Int(1)])), ("b", Value::Int(0))]), false, "another kind of number"),
    ];
    let claims = Claims::from(&one);
    for (other, same, shows) in rows {
        assert_eq!(claims.get() == other, same, "{shows}");
        assert_eq!(claims.get() == Claims::from(&other).get(), same, "{shows}, both as claims");
    }
}

#[test]
fn claims_take_hardly_more_than_their_texts() {
    let claims = map(&[
        ("iss", "https://id.example".into()),
        ("sub", "user-000123".into()),
        ("aud", list(&["api".into(), "app".into()])),
        ("exp", Value::Int(1_800_000_000)),
        ("scope", "read write".into()),
        ("email_verified", Value::Bool(true)),
    ]);
    let json = r#"{"iss":"https://id.example","sub":"user-000123","aud":["api","app"],"exp":1800000000,"scope":"read write","email_verified":true}"#;
    assert!(Claims::from(claims).held() < json.len(), "less than the JSON they were read from");
}

#[test]
fn what_was_left_open_ends_where_it_ends() {
    let mut writer = Writer::default();
    writer.open_map();
    writer.text("a");
    writer.int(1);
    writer.text("b");
    writer.open_list();
    writer.bool(true);
    let claims = writer.finish();
    assert_eq!(claims.member("a"), Some(Claim::Int(1)), "what is whole is read");
    assert_eq!(claims.member("c"), None, "and what is not ends there");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e9_f64..1e9).prop_map(Value::Float),
        "\\PC{0,200}".prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|items| Value::List(items.into())),
            proptest::collection::btree_map("[a-e]{0,3}", inner, 0..6)
                .prop_map(|members| Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())),
        ]
    })
}

proptest! {
    /// The two forms of a value say the same, whichever of them is asked.
    #[test]
    fn claims_and_trees_agree(value in any_value(), name in "[a-e]{0,3}") {
        let claims = Claims::from(&value);
        prop_assert_eq!(claims.to_value(), value.clone());
        prop_assert_eq!(claims.member(&name).map(Claim::to_value), value.member(&name).cloned());
        let mut again = Writer::default();
        again.claim(claims.get());
        prop_assert_eq!(again.finish(), claims);
    }
}

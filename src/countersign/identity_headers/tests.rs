//! Identity headers are set, or absent, or refuse the request; never left over and never cleaned up.

use std::sync::Arc;

use super::{ENTRY, IdentityHeaders, MAX_VALUE};
use crate::countersign::contract::CountersignerPlan;
use crate::countersign::stage::{identity, list, map, plan, sign};
use crate::domain::{Identity, Refusal, Value};
use crate::settings::Level;

fn one(source: &str, identity: &Identity) -> Result<Option<String>, Refusal> {
    let (plan, faults) = plan(&ENTRY, &format!("X-Value: {source}"));
    let plan = plan.unwrap_or_else(|| panic!("{source}: {faults:?}"));
    sign(plan.as_ref(), Some(identity)).map(|fields| fields.into_iter().next().map(|(_, value)| value))
}

#[test]
fn the_standard_set_says_who_and_by_which_way() {
    let fields = sign(&IdentityHeaders::standard(), Some(&identity("alice", &["a:read", "a:write"], Value::empty()))).unwrap();
    let expected = [
        ("x-auth-subject", "alice"),
        ("x-auth-issuer", "https://id.example"),
        ("x-auth-scopes", "a:read a:write"),
        ("x-auth-method", "jwt"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(sign(&IdentityHeaders::standard(), None), Ok(Vec::new()), "nobody has no headers, not empty ones");
    assert_eq!(
        sign(&IdentityHeaders::standard(), Some(&identity("alice", &[], Value::empty()))).unwrap().len(),
        3,
        "no scopes, no scopes header"
    );
    let standard = plan(&ENTRY, "default").0.unwrap();
    assert_eq!(standard.names(), IdentityHeaders::standard().names(), "`default` is the standard set");
    assert!(plan(&ENTRY, "none").0.unwrap().names().is_empty(), "`none` is none");
}

#[test]
fn a_value_is_written_without_ambiguity_or_not_at_all() {
    const REFUSED: Result<Option<&str>, Refusal> = Err(Refusal::PolicyDenied);
    let longest = "a".repeat(MAX_VALUE);
    let too_long = "a".repeat(MAX_VALUE + 1);
    let mut who = identity(
        "alice",
        &["one", "two"],
        map(&[
            ("email", "a@b.example".into()),
            ("empty", "".into()),
            ("none", Value::Null),
            ("yes", Value::Bool(true)),
            ("level", Value::Int(-7)),
            ("ratio", Value::Float(0.5)),
            ("groups", list(&["staff", "ops team"])),
            ("nobody", list(&[])),
            ("numbers", Value::List([Value::Int(1), Value::Bool(false)].into())),
            ("spliced", list(&["staff,admin"])),
            ("gap", list(&["staff", ""])),
            ("nested", Value::List([list(&["a"])].into())),
            ("holes", Value::List([Value::Null].into())),
            ("address", map(&[("city", "Paris".into())])),
            ("address.city", "literal".into()),
            ("crlf", "a\r\nX-Admin: 1".into()),
            ("nul", "a\0".into()),
            ("tab", "a\tb".into()),
            ("del", "a\x7f".into()),
            ("accent", "café".into()),
            ("leading", " a".into()),
            ("trailing", "a ".into()),
            ("inner", "a b".into()),
            ("comma", "a,b".into()),
            ("longest", longest.as_str().into()),
            ("long", too_long.as_str().into()),
        ]),
    );
    who.also = vec![(Arc::from("partner"), Arc::new(identity("acme", &["p"], map(&[("tier", Value::Int(1))]))))];
    type Row<'a> = (&'a str, Result<Option<&'a str>, Refusal>, &'a str);
    let cases: [Row<'_>; 36] = [
        ("subject", Ok(Some("alice")), "the subject"),
        ("issuer", Ok(Some("https://id.example")), "its issuer"),
        ("scopes", Ok(Some("one two")), "scopes as OAuth writes them"),
        ("scheme", Ok(Some("jwt")), "the scheme"),
        ("authenticator", Ok(Some("user")), "the authenticator"),
        ("claims.email", Ok(Some("a@b.example")), "a claim"),
        ("claims.phone", Ok(None), "a claim that is absent leaves the field absent"),
        ("claims.none", Ok(None), "so does null"),
        ("claims.empty", Ok(None), "and an empty text"),
        ("claims.nobody", Ok(None), "and an empty list"),
        ("claims.yes", Ok(Some("true")), "a truth"),
        ("claims.level", Ok(Some("-7")), "a number"),
        ("claims.ratio", Ok(Some("0.5")), "a fraction"),
        ("claims.groups", Ok(Some("staff,ops team")), "a list"),
        ("claims.numbers", Ok(Some("1,false")), "of anything that has one way to be written"),
        ("claims.spliced", REFUSED, "one item must not read as two"),
        ("claims.gap", REFUSED, "nor as none"),
        ("claims.nested", REFUSED, "a list in a list"),
        ("claims.holes", REFUSED, "a null in a list"),
        ("claims.address", REFUSED, "an object"),
        ("claims.address.city", Ok(Some("Paris")), "a dot descends; a name that holds one is not reached"),
        ("claims.email.domain", Ok(None), "a text has no members"),
        ("claims.crlf", REFUSED, "a second header in a value"),
        ("claims.nul", REFUSED, "a control character"),
        ("claims.tab", REFUSED, "a tab"),
        ("claims.del", REFUSED, "DEL"),
        ("claims.accent", REFUSED, "text outside ASCII"),
        ("claims.leading", REFUSED, "a space that would be trimmed"),
        ("claims.trailing", REFUSED, "at either end"),
        ("claims.inner", Ok(Some("a b")), "but not inside"),
        ("claims.comma", Ok(Some("a,b")), "a lone text may hold a comma"),
        ("claims.longest", Ok(Some(&longest)), "the longest value"),
        ("claims.long", REFUSED, "one byte more"),
        ("also.partner.subject", Ok(Some("acme")), "who else stands behind the request"),
        ("also.partner.claims.tier", Ok(Some("1")), "and their claims"),
        ("also.partner", Ok(Some("acme")), "whose name alone means the subject"),
    ];
    for (source, expected, shows) in cases {
        assert_eq!(one(source, &who), expected.map(|value| value.map(str::to_owned)), "{shows}: {source}");
    }
    assert_eq!(one("also.partner.subject", &identity("a", &[], Value::empty())), Ok(None), "a branch that was not taken");
    for scope in ["a b", "", "a\n"] {
        assert_eq!(one("scopes", &identity("a", &["x", scope], Value::empty())), Err(Refusal::PolicyDenied), "scope {scope:?}");
    }
}

#[test]
fn percent_encoding_has_one_reading_too() {
    let cases = [
        (Value::from("café"), "caf%C3%A9", "UTF-8"),
        (Value::from("a\r\nb"), "a%0D%0Ab", "controls"),
        (Value::from(" a "), "%20a%20", "spaces"),
        (Value::from("100%25"), "100%2525", "percent signs"),
        (list(&["a,b", "c"]), "a%2Cb,c", "separators inside items"),
        (Value::from("plain"), "plain", "nothing to do"),
    ];
    for (claim, expected, shows) in cases {
        let value = one("{ from: claims.x, encode: percent }", &identity("a", &[], map(&[("x", claim)])));
        assert_eq!(value, Ok(Some(expected.to_owned())), "{shows}");
    }
}

#[test]
fn a_field_that_cannot_be_is_a_fault() {
    let cases = [
        ("Host: subject", Level::Error, "says how the message is read"),
        ("Content-Length: subject", Level::Error, "says how the message is read"),
        ("Connection: subject", Level::Error, "belongs to one connection"),
        ("Authorization: subject", Level::Error, "carries credentials"),
        ("X_Forwarded_For: subject", Level::Error, "the proxy itself sets it"),
        ("X-Request-Id: subject", Level::Error, "the proxy itself sets it"),
        ("'X User': subject", Level::Error, "is not a header field name"),
        ("X-User: name", Level::Error, "nothing an identity has"),
        ("X-User: claims.", Level::Error, "nothing an identity has"),
        ("X-User: claims..a", Level::Error, "nothing an identity has"),
        ("X-User: email", Level::Error, "claims.NAME"),
        ("X-User: also.stranger.subject", Level::Error, "defines no `stranger`"),
        ("X-User: { from: subject, encode: base64 }", Level::Error, "refuse, percent"),
        ("{ X-User: subject, X.User: issuer }", Level::Error, "are one name to many upstreams"),
        ("X_User: subject", Level::Warning, "write `X-User`"),
    ];
    for (yaml, level, says) in cases {
        let (plan, faults) = plan(&ENTRY, yaml);
        assert!(faults.iter().any(|(at, text)| *at == level && text.contains(says)), "{yaml}: {faults:?}");
        assert_eq!(plan.is_some(), level == Level::Warning, "{yaml}");
    }
}

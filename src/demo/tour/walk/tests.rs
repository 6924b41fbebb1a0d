//! What is not as it must be is said.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::{Seen, differences};
use crate::demo::tour::caller::{Answer, Request};
use crate::demo::tour::form::TEXT;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::Received;
use crate::domain::Reason;

fn request() -> Request {
    Request::get("a.example", "/x").bearer("t0ken")
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn received(fields: &[(&'static str, &'static str)]) -> Received {
    Received { method: "GET".to_owned(), target: "/x".to_owned(), headers: headers(fields), body: Bytes::new() }
}

fn seen(arrived: Vec<Received>, visits: usize, renewals: usize) -> Seen {
    Seen { arrived, visits, renewals }
}

#[test]
fn whatever_is_not_as_it_must_be_is_said() {
    let app = || Step::app("jwt", "passes", request(), "anna");
    let api = || Step::api("jwt", "passes", request(), json!({ "stat": "ok" }));
    let refused = || Step::refused(Position::App, "jwt", "refused", request(), Reason::Expired, json!({ "code": 1, "says": TEXT }));
    let anna = || vec![received(&[("x-auth-subject", "anna")])];
    let (ok, no) = (r#"{"stat":"ok"}"#, r#"{"code":1,"says":"no"}"#);
    let none: &[(&str, &str)] = &[];
    let rows = [
        // step, status, fields and body of the answer, reason, what was seen, differences, what the row shows
        (app(), 200, none, "", "", seen(anna(), 0, 0), 0, "the app answers, told of Anna"),
        (app(), 401, none, "", "expired", seen(vec![], 0, 0), 3, "refused: the status, the reason, the app"),
        (app(), 200, none, "", "", seen(vec![received(&[("x-auth-subject", "ben")])], 0, 0), 1, "somebody else"),
        (app(), 200, none, "", "", seen(vec![received(&[])], 0, 0), 1, "nobody"),
        (app(), 200, none, "", "", seen([anna(), anna()].concat(), 0, 0), 1, "twice"),
        (
            app(),
            200,
            none,
            "",
            "",
            seen(vec![received(&[("x-auth-subject", "anna"), ("authorization", "Bearer t0ken")])], 0, 0),
            1,
            "with the credential",
        ),
        (app(), 200, none, "", "", seen(anna(), 1, 1), 1, "renewed for no reason"),
        (app().renewed(), 200, none, "", "", seen(anna(), 1, 1), 0, "renewed"),
        (app().renewed(), 200, none, "", "", seen(anna(), 0, 0), 1, "not renewed"),
        (app().renewed(), 200, none, "", "", seen(anna(), 2, 2), 1, "renewed twice"),
        (app().unnamed(), 200, none, "", "", seen(vec![received(&[("x-auth-subject", "7f3a")])], 0, 0), 0, "a name for a login"),
        (app().unnamed(), 200, none, "", "", seen(vec![received(&[("x-auth-subject", "t0ken")])], 0, 0), 2, "which is no credential"),
        (app().unnamed(), 200, none, "", "", seen(vec![received(&[])], 0, 0), 1, "no name"),
        (api(), 200, none, ok, "", seen(vec![], 1, 0), 0, "the API answers"),
        (api(), 200, none, ok, "", seen(vec![], 0, 0), 1, "somebody else answers in its words"),
        (api(), 200, none, ok, "", seen(anna(), 1, 0), 1, "the app hears of it"),
        (api(), 200, none, "<p>ok</p>", "", seen(vec![], 1, 0), 1, "a page"),
        (api(), 200, &[("x-key", "s3cret")], ok, "", seen(vec![], 1, 0), 1, "a secret in a field"),
        (api(), 200, none, r#"{"stat":"s3cret"}"#, "", seen(vec![], 1, 0), 2, "a secret in the body, which has another form"),
        (refused(), 200, none, no, "expired", seen(vec![], 0, 0), 0, "refused in its dialect"),
        (refused(), 401, none, no, "expired", seen(vec![], 0, 0), 1, "with another status"),
        (refused(), 200, none, no, "replayed", seen(vec![], 0, 0), 1, "for another reason"),
        (refused(), 200, none, r#"{"code":1}"#, "expired", seen(vec![], 0, 0), 1, "in another form"),
        (refused(), 200, none, no, "expired", seen(anna(), 0, 0), 1, "but forwarded"),
        (refused(), 200, none, no, "expired", seen(vec![], 1, 0), 1, "but told to the API"),
    ];
    for (step, status, fields, body, reason, seen, expected, shows) in rows {
        let answer = Answer { path: "/x".to_owned(), status, headers: headers(fields), body: body.to_owned() };
        let found = differences(&step, &answer, reason, &seen, &["s3cret".to_owned()]);
        assert_eq!(found.len(), expected, "{shows}: {found:?}");
    }
}

#[test]
fn what_is_new_was_not_sent() {
    let (field, member) = (Fresh::Field("set-cookie", "end="), Fresh::Member("/data/token"));
    let rows = [
        (field.clone(), &[("set-cookie", "end=9; Path=/")][..], "", 0, "a new cookie"),
        (field.clone(), &[("set-cookie", "other=9"), ("set-cookie", "end=9")][..], "", 0, "beside another"),
        (field.clone(), &[("set-cookie", "end=t0ken; Path=/")][..], "", 1, "the one that was sent"),
        (field.clone(), &[("set-cookie", "end=; Max-Age=0")][..], "", 1, "one that is taken back"),
        (field, &[][..], "", 1, "none"),
        (member.clone(), &[][..], r#"{"data":{"token":"n3w"}}"#, 0, "a new member"),
        (member.clone(), &[][..], r#"{"data":{"token":"t0ken"}}"#, 1, "the one that was sent"),
        (member, &[][..], r#"{"data":{}}"#, 1, "none"),
    ];
    for (fresh, fields, body, expected, shows) in rows {
        let mut step = Step::app("jwt", "new", request(), "anna").brings(fresh);
        step.form = None;
        let answer = Answer { path: "/x".to_owned(), status: 200, headers: headers(fields), body: body.to_owned() };
        let seen = seen(vec![received(&[("x-auth-subject", "anna")])], 0, 0);
        let found = differences(&step, &answer, "", &seen, &[]);
        assert_eq!(found.len(), expected, "{shows}: {found:?}");
    }
}

//! The form of a body: which members it has, what they are, and what stands in those that tell something.
//!
//! A dialect is more than its codes: a client that looks for `error.field` breaks on a body without it. So a form names every member,
//! and a body with one more or one less is another form.

use serde_json::Value;

/// In a form: any text.
pub const TEXT: &str = "<text>";
/// In a form: any number.
pub const NUMBER: &str = "<number>";
/// In a form: anything at all.
pub const ANYTHING: &str = "<anything>";

/// How `body` differs from `form`; empty when it does not. Nothing of what stands in the body is told but for what the form names.
#[must_use]
pub fn differences(form: &Value, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(form, body, "", &mut found);
    found
}

fn compare(form: &Value, body: &Value, at: &str, found: &mut Vec<String>) {
    let shown = if at.is_empty() { "the body" } else { at };
    match (form, body) {
        (Value::String(any), _) if any == ANYTHING => {}
        (Value::String(any), Value::String(_)) if any == TEXT => {}
        (Value::String(any), Value::Number(_)) if any == NUMBER => {}
        (Value::Object(form), Value::Object(body)) => {
            for (name, inner) in form {
                match body.get(name) {
                    Some(value) => compare(inner, value, &format!("{at}/{name}"), found),
                    None => found.push(format!("{at}/{name} is missing")),
                }
            }
            found.extend(body.keys().filter(|name| !form.contains_key(*name)).map(|name| format!("{at}/{name} has no place there")));
        }
        (Value::Array(form), Value::Array(body)) if form.len() == body.len() => {
            for (index, (form, body)) in form.iter().zip(body).enumerate() {
                compare(form, body, &format!("{at}/{index}"), found);
            }
        }
        (form, body) if form == body => {}
        (form, _) => found.push(format!("{shown} is not {form}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ANYTHING, NUMBER, TEXT, differences};

    #[test]
    fn a_body_has_every_member_of_its_form_and_no_other() {
        let form =
            json!({ "status": 401, "error": { "code": "40104", "message": TEXT }, "time": NUMBER, "list": [TEXT], "more": ANYTHING });
        let good = json!({ "status": 401, "error": { "code": "40104", "message": "" }, "time": 1.5, "list": ["a"], "more": null });
        let with = |pointer: &str, value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            body
        };
        let rows = [
            (good.clone(), vec![], "as it is written"),
            (with("/status", json!("401")), vec!["/status is not 401"], "a number as text"),
            (with("/error/code", json!("40103")), vec!["/error/code is not \"40104\""], "another code"),
            (with("/error/message", json!(1)), vec!["/error/message is not \"<text>\""], "no text"),
            (with("/time", json!("1")), vec!["/time is not \"<number>\""], "no number"),
            (with("/error", json!({ "code": "40104" })), vec!["/error/message is missing"], "a member less"),
            (with("/error", json!({ "code": "40104", "message": "", "x": 1 })), vec!["/error/x has no place there"], "a member more"),
            (with("/list", json!([])), vec!["/list is not [\"<text>\"]"], "another length"),
            (with("/list", json!([1])), vec!["/list/0 is not \"<text>\""], "another element"),
            (json!([]), vec![], "no object at all"),
        ];
        for (body, expected, shows) in rows {
            let found = differences(&form, &body);
            if body == json!([]) {
                assert!(found.len() == 1 && found[0].starts_with("the body is not"), "{shows}: {found:?}");
            } else {
                assert_eq!(found, expected, "{shows}");
            }
        }
    }
}

//! What the JSON library says of a record that it cannot read, less what it quotes.
//!
//! Never here: a value, or a name that could be one. Somebody who writes a secret where a name belongs finds it in no log.

/// What is wrong with `what`, for the operator. A name that is none of ours is told only when it looks like one.
#[must_use]
pub fn unquoted(error: &serde_json::Error, what: &str) -> String {
    const UNKNOWN: &str = "unknown field `";
    let text = error.to_string();
    let says = text.rsplit_once(" at line ").map_or(&*text, |(says, _)| says);
    if let Some((name, expected)) = says.strip_prefix(UNKNOWN).and_then(|rest| rest.rsplit_once("`, expected ")) {
        let name = if is_plain(name) { format!("`{name}`") } else { "(withheld)".to_owned() };
        return format!("unknown field {name}, expected {expected}");
    }
    // These names are ours.
    let about_names = ["missing field", "duplicate field"].iter().any(|start| says.starts_with(start));
    if about_names { says.to_owned() } else { format!("this is no JSON object of {what} (column {})", error.column()) }
}

/// Whether `name` looks like the name of a member: a few words of small letters.
fn is_plain(name: &str) -> bool {
    const LONGEST: usize = 24;
    name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::unquoted;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        #[serde(rename = "id")]
        _id: String,
    }

    #[test]
    fn names_are_told_and_values_are_not() {
        let rows = [
            (r#"{"revoked":true}"#, "unknown field `revoked`, expected `id`", "a slip"),
            (r#"{"Zq9Xm4rk":1}"#, "unknown field (withheld), expected `id`", "what could be a secret"),
            (r#"{"a`, expected `Zq9":1}"#, "unknown field (withheld), expected `id`", "a name that looks like our words"),
            (r#"{"Zq9 at line 1":1}"#, "unknown field (withheld), expected `id`", "or like those of the library"),
            (r#"{"id":"a","id":"Zq9"}"#, "duplicate field `id`", "twice"),
            ("{}", "missing field `id`", "not at all"),
            (r#"{"id":["Zq9"]}"#, "this is no JSON object of a key (column 6)", "another type"),
            (r#"{"id":Zq9}"#, "this is no JSON object of a key (column 7)", "no JSON"),
        ];
        for (text, expected, shows) in rows {
            let error = serde_json::from_str::<Written>(text).unwrap_err();
            assert_eq!(unquoted(&error, "a key"), expected, "O3, {shows}");
        }
    }
}

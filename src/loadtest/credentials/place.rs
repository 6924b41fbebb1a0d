//! Where a credential that is one text goes, as the `from` of its authenticator says; the first place of several.

use serde_json::Value;

use crate::loadtest::credentials::contract::Presented;

/// A place of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer TEXT`.
    Bearer,
    /// A field, with the text before the credential.
    Header(String, String),
    /// A cookie.
    Cookie(String),
    /// A parameter of the query.
    Query(String),
    /// The same, as `Bearer TEXT`.
    QueryBearer(String),
    /// A field of a form that is the body.
    Form(String),
    /// Behind this text, in a place that is no header field.
    Behind(Box<Self>, String),
}

impl Place {
    /// The first place that `from` names; the bearer unless it names one.
    #[must_use]
    pub fn first(from: Option<&Value>) -> Self {
        let one = match from {
            Some(Value::Array(several)) => several.first(),
            other => other,
        };
        let named = |key: &str| one.and_then(|one| one.get(key)).and_then(Value::as_str).map(str::to_owned);
        let prefix = named("prefix");
        if let Some(name) = named("header") {
            return Self::Header(name, prefix.unwrap_or_default());
        }
        let place = None
            .or_else(|| named("cookie").map(Self::Cookie))
            .or_else(|| named("query").map(Self::Query))
            .or_else(|| named("query_bearer").map(Self::QueryBearer))
            .or_else(|| named("form").map(Self::Form))
            .unwrap_or(Self::Bearer);
        match prefix {
            Some(prefix) => Self::Behind(Box::new(place), prefix),
            None => place,
        }
    }

    /// `text` in this place.
    #[must_use]
    pub fn hold(&self, text: String) -> Presented {
        match self {
            Self::Bearer => Presented::header("authorization", format!("Bearer {text}")),
            Self::Header(name, prefix) => Presented::header(name, format!("{prefix}{text}")),
            Self::Cookie(name) => Presented { cookies: vec![(name.clone(), text)], ..Presented::default() },
            Self::Query(name) => Presented { query: vec![(name.clone(), text)], ..Presented::default() },
            Self::Form(name) => Presented { form: vec![(name.clone(), text)], ..Presented::default() },
            Self::Behind(place, prefix) => place.hold(format!("{prefix}{text}")),
            Self::QueryBearer(name) => Presented { query: vec![(name.clone(), format!("Bearer {text}"))], ..Presented::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Place;

    #[test]
    fn the_first_place_of_several_is_taken() {
        let cases = [
            (Value::Null, Place::Bearer, "nothing is written"),
            (json!("bearer"), Place::Bearer, "the bearer by name"),
            (json!([{ "query": "ticket" }, "bearer"]), Place::Query("ticket".into()), "the first of two"),
            (
                json!({ "header": "Authorization", "prefix": "OAuth " }),
                Place::Header("Authorization".into(), "OAuth ".into()),
                "with a prefix",
            ),
            (json!({ "cookie": "c" }), Place::Cookie("c".into()), "a cookie"),
            (json!({ "query_bearer": "a" }), Place::QueryBearer("a".into()), "a bearer in the query"),
            (json!({ "form": "a" }), Place::Form("a".into()), "a form"),
            (
                json!({ "cookie": "c", "prefix": "v1." }),
                Place::Behind(Box::new(Place::Cookie("c".into())), "v1.".into()),
                "a prefix elsewhere",
            ),
        ];
        for (from, expected, shows) in cases {
            assert_eq!(Place::first(Some(&from)), expected, "{shows}");
        }
        let behind = Place::Behind(Box::new(Place::Form("a".into())), "v1.".into());
        assert_eq!(behind.hold("t".into()).form, [("a".to_owned(), "v1.t".to_owned())]);
        assert_eq!(Place::QueryBearer("a".into()).hold("t".into()).query, [("a".to_owned(), "Bearer t".to_owned())]);
    }
}

//! Ids and secrets: `server_key` in one field, `key_pair` in two.

use std::sync::Arc;

use serde_json::Value;

use crate::demo::credentials::server_key;
use crate::domain::{Seconds, Timestamp};
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::fresh::keyring::Pairs;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// How a pair is presented.
enum Form {
    /// base64(id:secret) after this text in this field.
    One(String, &'static str),
    /// Each in a field of its own.
    Two(String, String),
}

/// Presents pairs.
pub struct PairPresenter {
    pairs: Arc<Pairs>,
    form: Form,
}

impl PairPresenter {
    /// For a `server_key` authenticator with these settings.
    #[must_use]
    pub fn server_key(settings: &Value, pairs: Arc<Pairs>) -> Self {
        let from = match settings.get("from") {
            Some(Value::Array(several)) => several.first(),
            other => other,
        };
        let form = match (from.and_then(Value::as_str), from.and_then(|from| from.get("header")).and_then(Value::as_str)) {
            (Some("basic"), _) => Form::One("authorization".to_owned(), "Basic "),
            (_, Some(header)) => Form::One(header.to_owned(), ""),
            _ => Form::One("server-key".to_owned(), ""),
        };
        Self { pairs, form }
    }

    /// For a `key_pair` authenticator with these settings.
    #[must_use]
    pub fn key_pair(settings: &Value, pairs: Arc<Pairs>) -> Self {
        let named = |key: &str, default: &str| settings.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        Self { pairs, form: Form::Two(named("id_header", "InstanceId"), named("key_header", "InstanceKey")) }
    }
}

impl Presenter for PairPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(u32::MAX))
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, _: Timestamp) -> Result<Presented, String> {
        let at = |number: u64| {
            let callers = u64::try_from(self.pairs.good.len()).unwrap_or(u64::MAX);
            let index = number.checked_rem(callers).and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| self.pairs.good.get(index)).ok_or("there is no caller with a key")
        };
        let (id, secret) = match kind {
            Kind::Expired => (&self.pairs.expired.0, &self.pairs.expired.1),
            // Somebody's id with somebody else's secret.
            Kind::Forged => (&at(number)?.0, &at(number.wrapping_add(1))?.1),
            _ => at(number).map(|(id, secret)| (id, secret))?,
        };
        Ok(match &self.form {
            Form::One(name, prefix) => Presented::header(name, format!("{prefix}{}", server_key(id, secret))),
            Form::Two(first, second) => Presented::header(first, id.clone()).and(Presented::header(second, secret.clone())),
        })
    }
}

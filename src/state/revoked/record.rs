//! One entry of the log: a revocation, or the withdrawal of one, as one line of JSON.
//!
//! Stores outlive releases, so what is written here is read for ever. An entry that is not wholly understood is not guessed at.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::{Revocation, RevocationId, Timestamp};
use crate::settings::revocation::Written;

/// The largest entry that is read, in bytes: the bounds of a revocation, every byte escaped, and some.
const MOST_BYTES: usize = 32 * 1024;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Somebody is revoked.
    Revoke {
        /// Its name.
        id: RevocationId,
        /// When.
        made: Timestamp,
        /// Who.
        revocation: Arc<Revocation>,
    },
    /// The revocation of that name no longer counts.
    Withdraw {
        /// Its name.
        id: RevocationId,
        /// The end of what it withdraws: until then it must be known.
        until: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OnTheLog {
    Revoke { id: String, made: i64, entry: Written },
    Withdraw { id: String, until: i64 },
}

impl Record {
    pub(super) fn id(&self) -> RevocationId {
        match self {
            Self::Revoke { id, .. } | Self::Withdraw { id, .. } => *id,
        }
    }

    /// From this moment on it need not be known.
    pub(super) fn until(&self) -> Timestamp {
        match self {
            Self::Revoke { revocation, .. } => revocation.until,
            Self::Withdraw { until, .. } => *until,
        }
    }

    pub(super) fn revokes(&self) -> bool {
        matches!(self, Self::Revoke { .. })
    }

    /// Who is revoked by it; `None` for a withdrawal.
    pub(super) fn revocation(&self) -> Option<&Arc<Revocation>> {
        match self {
            Self::Revoke { revocation, .. } => Some(revocation),
            Self::Withdraw { .. } => None,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let written = match self {
            Self::Revoke { id, made, revocation } => OnTheLog::Revoke { id: id.to_string(), made: made.0, entry: Written::of(revocation) },
            Self::Withdraw { id, until } => OnTheLog::Withdraw { id: id.to_string(), until: until.0 },
        };
        // Texts and numbers under texts: there is nothing in it that JSON could not say.
        serde_json::to_vec(&written).unwrap_or_default().into()
    }

    /// Reads an entry; `None` when it is not one of ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if MOST_BYTES < bytes.len() {
            return None;
        }
        Some(match serde_json::from_slice(bytes).ok()? {
            OnTheLog::Revoke { id, made, entry } => {
                Self::Revoke { id: RevocationId::read(&id)?, made: Timestamp(made), revocation: Arc::new(entry.entry().ok()?) }
            }
            OnTheLog::Withdraw { id, until } => Self::Withdraw { id: RevocationId::read(&id)?, until: Timestamp(until) },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Record;
    use crate::domain::{By, Revocation, RevocationId, Timestamp};

    #[test]
    fn an_entry_is_read_as_it_was_written_and_stays_readable() {
        let revocation = Revocation {
            by: By::Session,
            value: "s".into(),
            issuer: None,
            issued_before: None,
            until: Timestamp(9),
            reason: Box::default(),
        };
        let id = RevocationId([7; 16]);
        let written = [
            // What releases before this one have written.
            (
                Record::Revoke { id, made: Timestamp(5), revocation: Arc::new(revocation) },
                r#"{"revoke":{"id":"07070707070707070707070707070707","made":5,"entry":{"session":"s","until":9}}}"#,
            ),
            (Record::Withdraw { id, until: Timestamp(9) }, r#"{"withdraw":{"id":"07070707070707070707070707070707","until":9}}"#),
        ];
        for (record, text) in written {
            assert_eq!(record.encode(), text);
            assert_eq!(Record::decode(text.as_bytes()), Some(record));
        }
    }

    #[test]
    fn the_largest_revocation_fits() {
        let largest = Revocation {
            by: By::Subject,
            value: "\"".repeat(Revocation::MOST_VALUE).into(),
            issuer: Some("\"".repeat(Revocation::MOST_VALUE).into()),
            issued_before: Some(Timestamp(i64::MIN)),
            until: Timestamp(i64::MAX - 1),
            reason: "\"".repeat(Revocation::MOST_REASON).into(),
        };
        let record = Record::Revoke { id: RevocationId([255; 16]), made: Timestamp(i64::MIN), revocation: Arc::new(largest) };
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn what_is_not_wholly_understood_is_not_guessed_at() {
        const ID: &str = "07070707070707070707070707070707";
        let rows = [
            (String::new(), "nothing"),
            ("{}".into(), "no word"),
            (format!(r#"{{"revoke":{{"id":"{ID}","made":5,"entry":{{}}}}}}"#), "nobody"),
            (format!(r#"{{"revoke":{{"id":"{ID}","made":5,"entry":{{"subject":"a","where":"b"}}}}}}"#), "a word of a later release"),
            (r#"{"revoke":{"id":"7","made":5,"entry":{"subject":"a"}}}"#.into(), "no name"),
            (format!(r#"{{"withdraw":{{"id":"{ID}","until":9,"of":"a"}}}}"#), "a withdrawal that may be narrower"),
            (format!(r#"{{"withdraw":{{"id":"{ID}"}}}}"#), "one that does not say until when"),
            (format!(r#"{{"forget":{{"id":"{ID}","until":9}}}}"#), "another word"),
            (" ".repeat(40_000), "too much"),
        ];
        for (text, shows) in rows {
            assert_eq!(Record::decode(text.as_bytes()), None, "{shows}");
        }
    }
}

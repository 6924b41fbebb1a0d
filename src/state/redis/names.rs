//! What things are called in Redis.
//!
//! Every key holds the prefix in braces, so that all of them would stand in one slot of a cluster. Digests are written as
//! base64url, which a person can type. These names never change: the data outlives releases.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::state::contract::Key;

/// The names under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: Box<str>,
}

/// Under which name an append is told.
pub(super) const LOG: &str = "log";

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// What is known of the data set as a whole.
    pub(super) fn origin(&self) -> String {
        self.under("origin")
    }

    /// The mark of something spent.
    pub(super) fn spent(&self, digest: &[u8; 32]) -> String {
        self.under(&format!("spent:{}", URL_SAFE_NO_PAD.encode(digest)))
    }

    /// A record; `topic` is what [`topic`] says.
    pub(super) fn record(&self, topic: &str) -> String {
        self.under(topic)
    }

    /// The log.
    pub(super) fn log(&self) -> String {
        self.under(LOG)
    }

    /// When the entries of the log end.
    pub(super) fn log_ends(&self) -> String {
        self.under("log:ends")
    }

    /// The channel on which news are told.
    pub(super) fn news(&self) -> String {
        self.under("news")
    }

    fn under(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }
}

/// Under which name a change of the record under `key` is told.
pub(super) fn topic(key: &Key) -> String {
    format!("{}:{}", key.class.as_str(), URL_SAFE_NO_PAD.encode(key.digest))
}

#[cfg(test)]
mod tests {
    use super::{LOG, Names, topic};
    use crate::state::contract::{Class, Key};

    #[test]
    fn names_are_what_they_have_always_been() {
        let names = Names::new("countersign");
        let key = Key { class: Class::Renewal, digest: [0xfb; 32] };
        let cases = [
            (names.origin(), "{countersign}:origin"),
            (names.spent(&[0xfb; 32]), "{countersign}:spent:-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"),
            (names.record(&topic(&key)), "{countersign}:renewal:-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"),
            (names.log(), "{countersign}:log"),
            (names.log_ends(), "{countersign}:log:ends"),
            (names.news(), "{countersign}:news"),
        ];
        for (name, expected) in cases {
            assert_eq!(name, expected, "a data set of an earlier release is found again");
        }
        assert_ne!(LOG, topic(&key), "an append is not told as a change");
    }
}

//! Records and entries of the log as they stand in Redis: `version:until:value`.
//!
//! Never here: a guess at what something else has written there; it reads as nothing, and the operation fails.

use bytes::Bytes;

use crate::domain::Timestamp;
use crate::state::contract::Entry;

/// The record in `bytes`; `None` when no operation of ours has written it.
pub(super) fn entry(bytes: Bytes) -> Option<Entry> {
    let first = bytes.iter().position(|byte| *byte == b':')?;
    let second = bytes.iter().skip(first + 1).position(|byte| *byte == b':')? + first + 1;
    let version = number(bytes.get(..first)?)?;
    let until = number(bytes.get(first + 1..second)?)?;
    Some(Entry { value: bytes.slice(second + 1..), version, until: Timestamp(until) })
}

/// The version at the start of `bytes`, which may hold no more than the first part of a record.
pub(super) fn version(bytes: &[u8]) -> Option<u64> {
    number(bytes.split(|byte| *byte == b':').next()?)
}

/// A decimal number and nothing else.
fn number<N: std::str::FromStr>(bytes: &[u8]) -> Option<N> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{entry, version};
    use crate::domain::Timestamp;

    #[test]
    fn a_record_reads_as_it_was_written_or_not_at_all() {
        let cases: [(&[u8], Option<(u64, i64, &[u8])>, &str); 10] = [
            (b"7:100:value", Some((7, 100, b"value")), "a record"),
            (b"7:-1:", Some((7, -1, b"")), "an end before 1970, an empty value"),
            (b"1795000000000000:9223372036854775807:a:b\n\0", Some((1_795_000_000_000_000, i64::MAX, b"a:b\n\0")), "any bytes"),
            (b"", None, "nothing"),
            (b"7:100", None, "no value"),
            (b"7", None, "a bare number"),
            (b"-7:100:v", None, "a version is not negative"),
            (b"7:1e2:v", None, "an end that is not a whole number"),
            (b":100:v", None, "no version"),
            (b"18446744073709551616:100:v", None, "a version too large"),
        ];
        for (written, expected, shows) in cases {
            let read = entry(Bytes::copy_from_slice(written));
            let expected = expected.map(|(version, until, value)| (version, Timestamp(until), Bytes::copy_from_slice(value)));
            assert_eq!(read.map(|entry| (entry.version, entry.until, entry.value)), expected, "{shows}");
        }
        assert_eq!(version(b"1795000000000000:17950000"), Some(1_795_000_000_000_000), "cut off behind the version");
        assert_eq!(version(b""), None, "absent");
    }
}

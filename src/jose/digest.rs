//! Digests that name things: what is kept about a credential in its place.
//!
//! Every part has its length before it and every use a label of its own, so no two things have one name. What is named must be
//! unguessable by itself; nothing here makes a weak secret strong.
//!
//! Rules: FIPS 180-4 (SHA-256).

use aws_lc_rs::digest::{Context, SHA256};

/// The SHA-256 of `parts` under `label`.
#[must_use]
pub fn digest(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        // A length in memory fits 64 bits on every machine there is.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn no_two_lists_of_parts_have_one_name() {
        let lists: [(&str, &[&[u8]]); 7] =
            [("a", &[]), ("a", &[b""]), ("a", &[b"", b""]), ("a", &[b"bc"]), ("a", &[b"b", b"c"]), ("ab", &[b"c"]), ("", &[b"a", b"bc"])];
        let names: std::collections::BTreeSet<_> = lists.iter().map(|(label, parts)| digest(label, parts)).collect();
        assert_eq!(names.len(), lists.len(), "parts that run into one another are told apart");
        assert_eq!(digest("a", &[b"b", b"c"]), digest("a", &[b"b", b"c"]), "and the same parts have the same name, on every node");
    }
}

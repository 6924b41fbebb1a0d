//! What a site signs about a user of its own: its id for them and the moment (`UIDSig` over `TIME_SITEUID`).
//!
//! Gigya signs users' ids the same way, and friendships with one part more; whoever verifies must know from elsewhere which of
//! them it holds. Here is only the text, and what an id may look like.
//!
//! Source: the vendor's page on `socialize.notifyRegistration` (ASCII, 252 characters), "Constructing a Signature".

use crate::domain::Timestamp;
use crate::jose::hmac_sha1::Sha1Key;

/// Longest user id, in bytes: the vendor's bound for a siteUID.
pub const MAX_UID: usize = 252;

/// Whether `uid` can be a user id: visible ASCII with inner spaces, within the vendor's length.
#[must_use]
pub fn is_uid(uid: &str) -> bool {
    let visible = uid.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    !uid.is_empty() && uid.len() <= MAX_UID && visible && !uid.starts_with(' ') && !uid.ends_with(' ')
}

/// The signature of user `uid` at the moment `at`; `None` for what is no user id, or a moment before 1970.
#[must_use]
pub fn sign(key: &Sha1Key, at: Timestamp, uid: &str) -> Option<String> {
    (is_uid(uid) && 0 <= at.0).then(|| key.sign_text(&[&at.to_string(), "_", uid]))
}

#[cfg(test)]
mod tests {
    use super::{is_uid, sign};
    use crate::domain::{Secret, Timestamp};
    use crate::jose::hmac_sha1::{Sha1Key, Strictness, decode_secret};

    #[test]
    fn user_ids_are_signed_as_gigya_signs_them() {
        let cases = [
            // uid, time, secret, signature: class A, and class B with its end read leniently
            ("nk34bjh5kl432njbh", 3_456_789, "kln45j654l3kn5jb", "y8fo2ebrzyuN/kbX0wbPul8VwI8="),
            ("908dsf7g68d9", 23_456_754, "jkl234h53k2", "AzKUa+6a2+27Oqxu0nDksvDdjLI="),
            ("b45432lkn4jb", 9_876_543, "b4645kl35jb", "VP93O4U8MeTCH5sJntEBVBRG/F0="),
            ("3m4lkn5jb645l43;2k", 345_678_232, "890fd7g69f0sfd7", "sVrznUKLsDOJ1Z3Df4qNhClWZ8Q="),
            ("809dierpwojl4k23mr", 76_823_433, "v65jbk4renlfioupb8", "hqT0Y7rFL1khRLfwVDFk64vf28M="),
        ];
        for (uid, time, secret, expected) in cases {
            let secret: Secret = decode_secret(secret.as_bytes(), Strictness::LenientEnd).unwrap();
            let key = Sha1Key::new(&secret).unwrap();
            assert_eq!(sign(&key, Timestamp(time), uid).as_deref(), Some(expected), "{uid}");
            assert_eq!(sign(&key, Timestamp(-1), uid), None, "a moment that has no digits");
        }
    }

    #[test]
    fn an_id_is_visible_ascii_of_at_most_252_bytes() {
        let longest = "a".repeat(252);
        for uid in ["a", "a_b", "a b", "anna@example", &longest] {
            assert!(is_uid(uid), "{uid}");
        }
        let too_long = "a".repeat(253);
        for uid in ["", " a", "a ", "a\nb", "a\0", "\u{e9}", "a\tb", &too_long] {
            assert!(!is_uid(uid), "{uid:?}");
        }
    }
}

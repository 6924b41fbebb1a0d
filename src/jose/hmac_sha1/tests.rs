//! HMAC-SHA1: published vectors, one spelling for everything, secrets as strictly as one asks for.

use crate::domain::Secret;
use crate::jose::hmac_sha1::{SecretFault, Sha1Key, Strictness, any_verifies, decode_secret, generation_of, keys_of, read_tag};

fn decoded(text: &str) -> Secret {
    decode_secret(text.as_bytes(), Strictness::Canonical).unwrap()
}

#[test]
fn the_published_vectors_come_out() {
    let cases = [
        // key bytes, message, signature, what the row shows
        (&[0x0b; 20][..], "Hi There", "thcxhlUFcmTii8C2+zeMjvFGvgA=", "RFC 2202 case 1"),
        (&b"Jefe"[..], "what do ya want for nothing?", "7/zfauXrL6LSdBbV8YTfnCWafHk=", "RFC 2202 case 2"),
        (
            &[0xaa; 80][..],
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "qkrl4VJy0A6VcFY3zoo7Ve1AIRI=",
            "RFC 2202 case 6, a key longer than a block",
        ),
    ];
    for (key, message, signature, shows) in cases {
        let key = Sha1Key::new(&Secret::new(key.to_vec())).unwrap();
        assert_eq!(key.sign_text(&[message]), signature, "{shows}");
        let (start, end) = message.split_at(3);
        assert_eq!(key.sign(&[start, end]), key.sign(&[message]), "{shows}: parts are one text");
        assert!(key.verifies(&[message], &key.sign(&[message])), "{shows}");
        let mut other = key.sign(&[message]);
        other[19] ^= 1;
        assert!(!key.verifies(&[message], &other), "{shows}: one bit is another signature");
    }
}

#[test]
fn one_of_several_keys_is_enough_and_none_is_not() {
    let secrets = [Secret::new(b"one".to_vec()), Secret::new(b"two".to_vec())];
    let keys = keys_of(&secrets).unwrap();
    for key in &keys {
        assert!(any_verifies(&keys, &["a"], &key.sign(&["a"])), "each may have signed");
    }
    let stranger = Sha1Key::new(&Secret::new(b"three".to_vec())).unwrap();
    assert!(!any_verifies(&keys, &["a"], &stranger.sign(&["a"])), "a third has not");
    assert!(keys_of(&[]).is_none(), "without a key nobody could have signed");
    assert!(keys_of(&[Secret::new(b"one".to_vec()), Secret::new(Vec::new())]).is_none(), "with an empty one anybody could");
    assert_ne!(generation_of(&secrets), generation_of(&secrets[..1]), "a secret less is another generation");
    assert_eq!(format!("{:?}", keys[0]), "Sha1Key", "a key is not printed");
}

#[test]
fn a_signature_has_one_spelling() {
    let good = "y8fo2ebrzyuN/kbX0wbPul8VwI8=";
    assert!(read_tag(good).is_some());
    let wrong = [
        ("", "nothing"),
        ("y8fo2ebrzyuN/kbX0wbPul8VwI8", "no padding"),
        ("y8fo2ebrzyuN_kbX0wbPul8VwI8=", "the URL alphabet"),
        ("y8fo2ebrzyuN kbX0wbPul8VwI8=", "a plus that became a space"),
        ("y8fo2ebrzyuN/kbX0wbPul8VwI9=", "stray bits"),
        ("y8fo2ebrzyuN/kbX0wbPul8VwI8==", "padding twice"),
        ("cbc7e8d9e6ebcf2b8dfe46d7d306cfba5f15c08f", "hex"),
        ("y8fo2ebrzyuN/g==", "a truncated tag"),
        (" y8fo2ebrzyuN/kbX0wbPul8VwI8", "28 characters with a space in front"),
    ];
    for (text, shows) in wrong {
        assert_eq!(read_tag(text), None, "{shows}: {text}");
    }
}

#[test]
fn a_secret_is_read_as_strictly_as_asked() {
    let cases = [
        // text, canonical, lenient end, what the row shows
        ("kln45j654l3kn5jb", Ok(12), Ok(12), "class A: every decoder agrees"),
        ("jkl234h53k2", Err(SecretFault::LenientOnly), Ok(8), "class B: no padding, bits to spare"),
        ("mkl34n5jb4356", Err(SecretFault::NotBase64), Err(SecretFault::NotBase64), "class C: one character dangles"),
        ("hdsvddhlrhtbs[]34o543]", Err(SecretFault::NotBase64), Err(SecretFault::NotBase64), "class D: foreign characters"),
        ("", Err(SecretFault::NotBase64), Err(SecretFault::NotBase64), "no secret at all"),
    ];
    for (text, canonical, lenient, shows) in cases {
        let length = |strictness| decode_secret(text.as_bytes(), strictness).map(|secret| secret.len());
        assert_eq!(length(Strictness::Canonical), canonical, "{shows}");
        assert_eq!(length(Strictness::LenientEnd), lenient, "{shows}");
    }
    assert_ne!(
        Sha1Key::new(&decoded("kln45j654l3kn5jb")).unwrap().sign(&["a"]),
        Sha1Key::new(&Secret::new(b"kln45j654l3kn5jb".to_vec())).unwrap().sign(&["a"]),
        "the text of a secret is another key than what it stands for"
    );
}

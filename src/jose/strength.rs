//! What is too weak or too odd to be a key.
//!
//! Pure questions about numbers and texts; no key is built here. A key from outside passes these before it is ever used.
//!
//! Rules: RFC 7518 sections 3.2 and 3.3, RFC 8725 sections 3.5 and 3.2; NIST SP 800-56B section 6.2 (bounds of e);
//! CVE-2017-15361 (structured moduli).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jose::algorithm::Algorithm;
use crate::jose::der;
use crate::jose::pem;

/// Checks modulus and exponent, both big-endian without leading zeros.
///
/// The modulus has 2048 to 8192 bits and is odd; the exponent is odd, at least 65537 and less than 2^32.
///
/// # Errors
///
/// What is wrong, for the operator.
pub fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), &'static str> {
    const LEAST_EXPONENT: u64 = 65_537;
    match bits(modulus) {
        0..2_048 => return Err("an RSA modulus of less than 2048 bits is too weak"),
        2_048..=8_192 => {}
        _ => return Err("an RSA modulus of more than 8192 bits costs too much to use"),
    }
    if is_even(modulus) {
        return Err("an even RSA modulus is no product of two primes");
    }
    if 32 < bits(exponent) {
        return Err("an RSA exponent of more than 32 bits costs too much to use");
    }
    if exponent.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)) < LEAST_EXPONENT {
        return Err("an RSA exponent below 65537 is too weak");
    }
    if is_even(exponent) {
        return Err("an even RSA exponent has no inverse");
    }
    if is_structured(modulus) {
        return Err("an RSA modulus with the structure of CVE-2017-15361 can be factored");
    }
    Ok(())
}

fn bits(number: &[u8]) -> usize {
    number.split_first().map_or(0, |(first, rest)| rest.len() * 8 + (8 - first.leading_zeros() as usize))
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte % 2 == 0)
}

/// Whether every prime below has the modulus, reduced by it, among the powers of 65537: true of moduli whose primes were
/// built as CVE-2017-15361 describes, and of one in some 2^27 others.
fn is_structured(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * (65_537 % prime) % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Checks that an Ed25519 public key is not one of the points of small order, in any of their spellings: under such a
/// key one signature fits every message.
///
/// # Errors
///
/// What is wrong, for the operator.
pub fn check_ed25519(point: &[u8]) -> Result<(), &'static str> {
    /// The y coordinates of the points of order 1, 2, 4 and 8, little-endian; three of them also unreduced. The top bit
    /// is the sign of x and is masked off before comparing.
    const SMALL: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    if point.len() != 32 {
        return Err("an Ed25519 public key has 32 bytes");
    }
    let mut hex = String::with_capacity(64);
    for (index, byte) in point.iter().enumerate() {
        let byte = if index == 31 { byte & 0x7f } else { *byte };
        for half in [byte >> 4, byte & 0x0f] {
            hex.push(char::from_digit(u32::from(half), 16).unwrap_or('?'));
        }
    }
    if SMALL.contains(&hex.as_str()) { Err("an Ed25519 public key of small order proves nothing") } else { Ok(()) }
}

/// Checks that `secret` may serve as an HMAC key: no text that is a key of another kind, since whoever knows a public
/// key could then sign (CVE-2016-10555, CVE-2026-34950, CVE-2026-48526).
///
/// # Errors
///
/// What is wrong, for the operator.
pub fn check_hmac_secret(secret: &[u8]) -> Result<(), &'static str> {
    if looks_like_key(secret) {
        return Err("this is a key of another kind, or the text of one, and must never serve as an HMAC secret");
    }
    if secret.len() < least_secret(Algorithm::Hs256) {
        return Err("an HMAC secret of less than 32 bytes is too weak");
    }
    Ok(())
}

/// How many bytes an HMAC secret must have for `algorithm`: as many as its hash (RFC 7518 section 3.2).
#[must_use]
pub fn least_secret(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        _ => 32,
    }
}

/// Whether `bytes` are a key that was meant for something else: PEM, a JWK, an SSH key, DER or its base64.
fn looks_like_key(bytes: &[u8]) -> bool {
    if pem::looks_like_pem(bytes) || is_der_key(bytes) {
        return true;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with("ssh-") || text.starts_with("ecdsa-sha2-") || text.starts_with("sk-") && text.contains("@openssh.com") {
        return true;
    }
    if text.starts_with(['{', '[']) && text.contains("\"kty\"") {
        return true;
    }
    let joined: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(joined).is_ok_and(|bytes| is_der_key(&bytes))
}

fn is_der_key(bytes: &[u8]) -> bool {
    der::subject_public_key(bytes).is_some() || der::rsa_public_key(bytes).is_some() || der::certificate_public_key(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::{check_ed25519, check_hmac_secret, check_rsa};

    /// An odd number of exactly `bits` bits without the structure we look for.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut bytes = vec![0x5b; bits.div_ceil(8)];
        bytes[0] = 1 << ((bits - 1) % 8);
        bytes
    }

    #[test]
    fn rsa_numbers_are_bounded_at_both_ends() {
        let mut even = modulus(2_048);
        even[255] = 0x5a;
        let cases: [(Vec<u8>, &[u8], bool, &str); 15] = [
            (modulus(1_024), &[1, 0, 1], false, "1024 bits"),
            (modulus(2_047), &[1, 0, 1], false, "one bit too few"),
            (modulus(2_048), &[1, 0, 1], true, "the least"),
            (modulus(8_192), &[1, 0, 1], true, "the most"),
            (modulus(8_193), &[1, 0, 1], false, "one bit too many"),
            (modulus(16_384), &[1, 0, 1], false, "a modulus that costs seconds"),
            (even, &[1, 0, 1], false, "even modulus"),
            (Vec::new(), &[1, 0, 1], false, "no modulus"),
            (modulus(2_048), &[], false, "no exponent"),
            (modulus(2_048), &[1], false, "e = 1 signs nothing"),
            (modulus(2_048), &[3], false, "e = 3"),
            (modulus(2_048), &[0xff, 0xff], false, "just below 65537"),
            (modulus(2_048), &[1, 0, 2], false, "even exponent"),
            (modulus(2_048), &[0xff, 0xff, 0xff, 0xff], true, "the largest exponent"),
            (modulus(2_048), &[1, 0, 0, 0, 1], false, "one bit more"),
        ];
        for (modulus, exponent, sound, shows) in cases {
            assert_eq!(check_rsa(&modulus, exponent).is_ok(), sound, "{shows}");
        }
    }

    #[test]
    fn a_modulus_built_from_powers_is_refused() {
        let structured = crate::jose::pem::blocks(include_str!("strength/structured.pem")).unwrap();
        let Some(crate::jose::der::PublicParts::Rsa { modulus, exponent }) = crate::jose::der::subject_public_key(&structured[0].der)
        else {
            panic!("not an RSA key");
        };
        assert_eq!(check_rsa(modulus, exponent), Err("an RSA modulus with the structure of CVE-2017-15361 can be factored"));
    }

    #[test]
    fn points_of_small_order_are_refused_in_every_spelling() {
        let mut point = [0; 32];
        point[0] = 1;
        assert!(check_ed25519(&point).is_err(), "the neutral element");
        point[31] = 0x80;
        assert!(check_ed25519(&point).is_err(), "with the sign bit set");
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xee;
        unreduced[31] = 0x7f;
        assert!(check_ed25519(&unreduced).is_err(), "the neutral element, unreduced");
        assert!(check_ed25519(&[2; 31]).is_err(), "too short");
        assert!(check_ed25519(&[2; 33]).is_err(), "too long");
        assert!(check_ed25519(&[2; 32]).is_ok(), "another point");
    }

    #[test]
    fn a_key_of_another_kind_is_no_hmac_secret() {
        let pem = include_str!("strength/structured.pem");
        let inner: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = crate::jose::pem::blocks(pem).unwrap()[0].der.to_vec();
        let cases: [(Vec<u8>, bool, &str); 14] = [
            (b"".to_vec(), false, "nothing"),
            (vec![7; 31], false, "31 bytes"),
            (vec![7; 32], true, "32 bytes"),
            (b"correct horse battery staple, and then some".to_vec(), true, "words"),
            (pem.as_bytes().to_vec(), false, "PEM"),
            (format!(" \t\n{pem}").into_bytes(), false, "PEM behind white space"),
            (format!("\u{feff}{pem}").into_bytes(), false, "PEM behind a byte order mark"),
            (pem.replace('\n', "\r\n").into_bytes(), false, "PEM with line ends of Windows"),
            (der, false, "DER"),
            (inner.into_bytes(), false, "the base64 inside PEM"),
            (br#" {"kty":"RSA","n":"AQAB0000000000000000000"}"#.to_vec(), false, "a JWK"),
            (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB".to_vec(), false, "an SSH key"),
            (b"\necdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItb".to_vec(), false, "another SSH key"),
            (vec![0x30; 64], true, "bytes that only start like DER"),
        ];
        for (secret, sound, shows) in cases {
            assert_eq!(check_hmac_secret(&secret).is_ok(), sound, "{shows}");
        }
    }
}

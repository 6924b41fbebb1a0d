//! As much DER as public keys need: definite lengths, strict, no copies.
//!
//! Absent on purpose: every type that no key holds, indefinite lengths, tags beyond one byte.
//!
//! Rules: X.690 section 10; RFC 5280 section 4.1 (SubjectPublicKeyInfo, Certificate), RFC 8017 appendix A.1.1
//! (RSAPublicKey), RFC 5480 (curves), RFC 8410 (Ed25519).

use crate::jose::key::Curve;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT_ID: u8 = 0x06;
/// `[0]`, constructed: the version of a certificate.
const VERSION: u8 = 0xa0;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

/// The parts of a public key, as they stand in its DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicParts<'d> {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        modulus: &'d [u8],
        /// The public exponent.
        exponent: &'d [u8],
    },
    /// A point on a curve, as an octet string (SEC 1 section 2.3.3).
    Ec {
        /// Which curve.
        curve: Curve,
        /// The point.
        point: &'d [u8],
    },
    /// An Ed25519 public key.
    Ed25519(&'d [u8]),
}

/// Reads a SubjectPublicKeyInfo; `None` when it is not one, or its algorithm is none of ours.
#[must_use]
pub fn subject_public_key(der: &[u8]) -> Option<PublicParts<'_>> {
    let mut outer = Reader(der);
    let body = outer.take(SEQUENCE)?;
    outer.end()?;
    public_key_body(body)
}

/// Reads a PKCS#1 RSAPublicKey; `None` when it is not one.
#[must_use]
pub fn rsa_public_key(der: &[u8]) -> Option<PublicParts<'_>> {
    let mut outer = Reader(der);
    let mut body = Reader(outer.take(SEQUENCE)?);
    outer.end()?;
    let modulus = body.natural()?;
    let exponent = body.natural()?;
    body.end()?;
    Some(PublicParts::Rsa { modulus, exponent })
}

/// Reads the public key of a certificate, and nothing else of it: whoever pins a certificate pins its key.
#[must_use]
pub fn certificate_public_key(der: &[u8]) -> Option<PublicParts<'_>> {
    let mut outer = Reader(der);
    let mut certificate = Reader(outer.take(SEQUENCE)?);
    outer.end()?;
    let mut signed = Reader(certificate.take(SEQUENCE)?);
    if signed.peek() == Some(VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        signed.take(SEQUENCE)?;
    }
    public_key_body(signed.take(SEQUENCE)?)
}

fn public_key_body(body: &[u8]) -> Option<PublicParts<'_>> {
    let mut body = Reader(body);
    let mut algorithm = Reader(body.take(SEQUENCE)?);
    let bits = body.take(BIT_STRING)?;
    body.end()?;
    let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else { return None };

    let id = algorithm.take(OBJECT_ID)?;
    match id {
        RSA_ENCRYPTION => {
            if !algorithm.take(NULL)?.is_empty() {
                return None;
            }
            algorithm.end()?;
            rsa_public_key(key)
        }
        EC_PUBLIC_KEY => {
            let curve = match algorithm.take(OBJECT_ID)? {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return None,
            };
            algorithm.end()?;
            Some(PublicParts::Ec { curve, point: key })
        }
        ED25519 => {
            algorithm.end()?;
            Some(PublicParts::Ed25519(key))
        }
        _ => None,
    }
}

/// What is still to be read.
struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(short), rest),
            // One to four length bytes, and never more than are needed.
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x0f))?;
                if digits.first() == Some(&0) {
                    return None;
                }
                let length = digits.iter().try_fold(0usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?;
                if length < 0x80 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The magnitude of the next element, a positive integer in its shortest form.
    fn natural(&mut self) -> Option<&'d [u8]> {
        match self.take(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|byte| 0x80 <= *byte) => Some(rest),
            number @ [first, ..] if (0x01..0x80).contains(first) => Some(number),
            _ => None,
        }
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{PublicParts, Reader, SEQUENCE, rsa_public_key, subject_public_key};
    use crate::jose::key::Curve;

    #[test]
    fn lengths_have_one_form() {
        let mut long = vec![0x30, 0x81, 0x80];
        long.resize(3 + 0x80, 0);
        let cases: [(&[u8], Option<usize>, &str); 9] = [
            (&[0x30, 0x00], Some(0), "empty"),
            (&[0x30, 0x02, 0, 0], Some(2), "short form"),
            (&long, Some(0x80), "the least long form"),
            (&[0x30, 0x81, 0x02, 0, 0], None, "long form where short would do"),
            (&[0x30, 0x82, 0x00, 0x80, 0, 0], None, "a length with a leading zero"),
            (&[0x30, 0x80, 0, 0], None, "indefinite"),
            (&[0x30, 0x85, 1, 0, 0, 0, 0], None, "longer than any key"),
            (&[0x30, 0x03, 0, 0], None, "cut short"),
            (&[0x31, 0x00], None, "another tag"),
        ];
        for (bytes, expected, shows) in cases {
            assert_eq!(Reader(bytes).take(SEQUENCE).map(<[u8]>::len), expected, "{shows}");
        }
    }

    #[test]
    fn numbers_are_positive_and_shortest() {
        let key = |modulus: &[u8], rest: &[u8]| {
            let mut body = vec![0x02, u8::try_from(modulus.len()).unwrap()];
            body.extend_from_slice(modulus);
            body.extend_from_slice(&[0x02, 0x01, 0x03]);
            body.extend_from_slice(rest);
            let mut der = vec![0x30, u8::try_from(body.len()).unwrap()];
            der.extend_from_slice(&body);
            der
        };
        let cases = [
            (key(&[0x7f], &[]), Some(vec![0x7f]), "small"),
            (key(&[0, 0x80], &[]), Some(vec![0x80]), "the sign byte is not part of the number"),
            (key(&[0x80], &[]), None, "negative"),
            (key(&[0, 0x7f], &[]), None, "a zero too many"),
            (key(&[], &[]), None, "no digits"),
            (key(&[0x7f], &[0x05, 0x00]), None, "something behind the exponent"),
        ];
        for (der, expected, shows) in cases {
            let modulus = rsa_public_key(&der).map(|parts| match parts {
                PublicParts::Rsa { modulus, .. } => modulus.to_vec(),
                other => panic!("not RSA: {other:?}"),
            });
            assert_eq!(modulus, expected, "{shows}");
        }
    }

    #[test]
    fn a_key_names_its_curve() {
        let mut der = vec![0x30, 0x16, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05];
        der.extend_from_slice(&[0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x02, 0x00, 0x04]);
        assert_eq!(subject_public_key(&der), Some(PublicParts::Ec { curve: Curve::P384, point: &[4] }), "P-384");
        der[19] = 0x21;
        assert_eq!(subject_public_key(&der), None, "a curve we do not know");
        der[19] = 0x23;
        assert_eq!(subject_public_key(&der), Some(PublicParts::Ec { curve: Curve::P521, point: &[4] }), "P-521");
        der[22] = 1;
        assert_eq!(subject_public_key(&der), None, "a key that is not whole bytes");
        der[22] = 0;
        der.push(0);
        assert_eq!(subject_public_key(&der), None, "something behind the key");
    }
}

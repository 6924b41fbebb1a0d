//! A key that verifies signatures, parsed once.
//!
//! Which algorithms it may be used with is part of the key. A public key holds no bytes that could be taken for an
//! HMAC secret, and no method gives any: confusing the two is not a check here, it cannot be said.
//!
//! Rules: RFC 7518 section 3, RFC 8037 section 3.1, RFC 8725 sections 3.1 to 3.5.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use crate::domain::Secret;
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::der::{self, PublicParts};
use crate::jose::strength::{check_ed25519, check_hmac_secret, check_rsa, least_secret};

/// A curve of RFC 7518 section 6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    /// The curve whose registered name is exactly `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// How many bytes a coordinate has, always (RFC 7518 section 6.2.1.2).
    #[must_use]
    pub fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The one algorithm it is used with.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A verification key with everything that verifying needs already computed.
///
/// The algorithms it may be used with are part of the key, fixed when it is loaded; a token only names one of them.
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    uses: Box<[Use]>,
    fingerprint: [u8; 32],
}

/// One algorithm, the key made ready for it, and the only length its signatures can have.
struct Use {
    algorithm: Algorithm,
    length: usize,
    check: Check,
}

enum Check {
    Public(ParsedPublicKey),
    /// Boxed: its two precomputed states are many times the size of a public key's handle.
    Mac(Box<hmac::Key>),
}

const NOT_ITS_KIND: &str = "the key's `alg` does not belong to its kind";

impl VerifyingKey {
    /// An RSA key, from modulus and exponent as big-endian bytes.
    ///
    /// `bound` is the one algorithm it is for; without it, every RSA algorithm, and the authenticator's own list decides.
    ///
    /// # Errors
    ///
    /// Why the key is not used: too weak, too large, or bound to an algorithm of another family.
    pub fn rsa(modulus: &[u8], exponent: &[u8], bound: Option<Algorithm>) -> Result<Self, &'static str> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        check_rsa(modulus, exponent)?;

        let components = RsaPublicKeyComponents { n: modulus, e: exponent };
        let mut uses = Vec::new();
        for algorithm in family_or(Family::Rsa, bound)? {
            let parameters = rsa_parameters(algorithm).ok_or(NOT_ITS_KIND)?;
            let key = components.to_parsed_public_key(parameters).map_err(|_| "modulus and exponent make no RSA key")?;
            uses.push(Use { algorithm, length: modulus.len(), check: Check::Public(key) });
        }
        Ok(Self::of(uses, &[b"rsa", modulus, exponent]))
    }

    /// An elliptic-curve key, from its affine coordinates, each of the full length of the field.
    ///
    /// # Errors
    ///
    /// Why the key is not used: wrong length, not a point of the curve, or bound to another algorithm than the curve's.
    pub fn ec(curve: Curve, x: &[u8], y: &[u8], bound: Option<Algorithm>) -> Result<Self, &'static str> {
        if x.len() != curve.coordinate() || y.len() != curve.coordinate() {
            return Err("a coordinate does not have the length of the curve's field");
        }
        if bound.is_some_and(|algorithm| algorithm != curve.algorithm()) {
            return Err("the key's `alg` is not the one of its curve");
        }
        /// SEC 1 section 2.3.3: both coordinates follow. The point at infinity has no such form.
        const UNCOMPRESSED: u8 = 4;
        let point = [&[UNCOMPRESSED], x, y].concat();
        // The library checks the equation of the curve.
        let key = ParsedPublicKey::new(curve.verification(), &point).map_err(|_| "this is not a point on the curve")?;
        let length = 2 * curve.coordinate();
        let uses = vec![Use { algorithm: curve.algorithm(), length, check: Check::Public(key) }];
        Ok(Self::of(uses, &[b"ec", curve.name().as_bytes(), &point]))
    }

    /// An Ed25519 key, from its 32 bytes.
    ///
    /// # Errors
    ///
    /// Why the key is not used: wrong length, a point of small order, or bound to another algorithm.
    pub fn ed25519(point: &[u8], bound: Option<Algorithm>) -> Result<Self, &'static str> {
        const SIGNATURE: usize = 64;
        check_ed25519(point)?;
        let mut uses = Vec::new();
        for algorithm in family_or(Family::Ed, bound)? {
            let key = ParsedPublicKey::new(&ED25519, point).map_err(|_| "this is not an Ed25519 public key")?;
            uses.push(Use { algorithm, length: SIGNATURE, check: Check::Public(key) });
        }
        Ok(Self::of(uses, &[b"ed25519", point]))
    }

    /// A symmetric key; only ever from a source of our own, never from a key set that somebody serves.
    ///
    /// Without `bound` it is for each algorithm that it is long enough for.
    ///
    /// # Errors
    ///
    /// Why the secret is not used: too short for its algorithm (RFC 7518 section 3.2), the text of another kind of key,
    /// or bound to an algorithm that is not an HMAC.
    pub fn hmac(secret: &Secret, bound: Option<Algorithm>) -> Result<Self, &'static str> {
        let secret = secret.expose();
        check_hmac_secret(secret)?;
        if bound.is_some_and(|algorithm| secret.len() < least_secret(algorithm)) {
            return Err("an HMAC secret must be as long as the hash of its algorithm");
        }
        let mut uses = Vec::new();
        for algorithm in family_or(Family::Hmac, bound)? {
            if least_secret(algorithm) <= secret.len() {
                let hash = hmac_algorithm(algorithm).ok_or(NOT_ITS_KIND)?;
                uses.push(Use { algorithm, length: hash.tag_len(), check: Check::Mac(Box::new(hmac::Key::new(hash, secret))) });
            }
        }
        // Not a plain hash: of a poor secret even a digest tells something.
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let digest = hmac::sign(&key, b"countersign hmac key fingerprint");
        Ok(Self::of(uses, &[b"hmac", digest.as_ref()]))
    }

    /// The key in a SubjectPublicKeyInfo, a PKCS#1 RSAPublicKey or a certificate, by its PEM label.
    ///
    /// # Errors
    ///
    /// Why the key is not used.
    pub fn from_der(label: &str, der: &[u8], bound: Option<Algorithm>) -> Result<Self, &'static str> {
        let parts = match label {
            "PUBLIC KEY" => der::subject_public_key(der),
            "RSA PUBLIC KEY" => der::rsa_public_key(der),
            "CERTIFICATE" => der::certificate_public_key(der),
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                return Err("this is a private key; verifying needs the public one, and the private one should not be here");
            }
            _ => return Err("a PEM block that is neither a public key nor a certificate"),
        };
        match parts.ok_or("the DER of this key is ill-formed, or of a kind we do not know")? {
            PublicParts::Rsa { modulus, exponent } => Self::rsa(modulus, exponent, bound),
            PublicParts::Ed25519(point) => Self::ed25519(point, bound),
            PublicParts::Ec { curve, point } => {
                let [4, coordinates @ ..] = point else { return Err("a compressed point; write the key out in full") };
                let (x, y) = coordinates.split_at_checked(curve.coordinate()).ok_or("the point is too short for its curve")?;
                Self::ec(curve, x, y, bound)
            }
        }
    }

    fn of(uses: Vec<Use>, parts: &[&[u8]]) -> Self {
        Self { kid: None, fingerprint: fingerprint(&uses, None, parts), uses: uses.into() }
    }

    /// The same key under the name `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: Option<&str>) -> Self {
        let material = self.fingerprint;
        self.kid = kid.map(Into::into);
        self.fingerprint = fingerprint(&self.uses, kid, &[&material]);
        self
    }

    /// Its `kid`, when it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may be used with `algorithm`.
    #[must_use]
    pub fn permits(&self, algorithm: Algorithm) -> bool {
        self.uses.iter().any(|key| key.algorithm == algorithm)
    }

    /// Every algorithm it may be used with.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.uses.iter().map(|key| key.algorithm)
    }

    /// Names kid, algorithms and key material together, so that sets can be compared; tells nothing of a secret.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether `signature` over `message` was made with this key under `algorithm`.
    ///
    /// `false` for an algorithm that is not the key's, and, before any work, for a signature that does not have the one
    /// length it can have. Of HMAC tags every byte is compared, in constant time.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.uses.iter().any(|key| {
            key.algorithm == algorithm
                && key.length == signature.len()
                && match &key.check {
                    Check::Public(public) => public.verify_sig(message, signature).is_ok(),
                    Check::Mac(mac) => hmac::verify(mac, message, signature).is_ok(),
                }
        })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<&str> = self.algorithms().map(Algorithm::name).collect();
        f.debug_struct("VerifyingKey").field("kid", &self.kid).field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

/// The algorithms of `family`, or only `bound` where that is one of them.
fn family_or(family: Family, bound: Option<Algorithm>) -> Result<Vec<Algorithm>, &'static str> {
    match bound {
        Some(algorithm) if algorithm.family() == family => Ok(vec![algorithm]),
        Some(_) => Err(NOT_ITS_KIND),
        None => Ok(Algorithm::ALL.iter().copied().filter(|algorithm| algorithm.family() == family).collect()),
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// The HMAC behind `algorithm`; `None` for every other family.
pub(super) fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Some issuers put a sign byte before the modulus, though RFC 7518 section 6.3.1.1 forbids it; the number is the same.
fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// SHA-256 over every part with its length before it.
fn fingerprint(uses: &[Use], kid: Option<&str>, parts: &[&[u8]]) -> [u8; 32] {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    };
    add(if kid.is_some() { b"named" } else { b"nameless" });
    add(kid.unwrap_or_default().as_bytes());
    for key in uses {
        add(key.algorithm.name().as_bytes());
    }
    for part in parts {
        add(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests;

//! Keys that sign, and the tokens they make.
//!
//! A private key is parsed and checked once and kept; signing does not parse it again. What is signed here is read back
//! by the same strict reader that judges the tokens of others.
//!
//! Absent on purpose: encryption; private keys as JWK; an algorithm that a caller names beside the key.
//!
//! Rules: RFC 7515 section 5.1, RFC 7638 (thumbprints), RFC 5958 (PKCS#8).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SystemRandom, generate};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::base64url;
use crate::jose::compact::MAX_TOKEN;
use crate::jose::der::{self, PublicParts};
use crate::jose::key::{Curve, VerifyingKey, hmac_algorithm};
use crate::jose::pem;
use crate::jose::strength::{check_hmac_secret, check_rsa, least_secret};

/// A key that signs under one algorithm, parsed once.
///
/// It has a `kid` (the RFC 7638 thumbprint, unless it is given another) when it is asymmetric.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    pair: Pair,
}

enum Pair {
    Hmac { key: Box<hmac::Key>, secret: Secret },
    Rsa(RsaKeyPair),
    Ec(Curve, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Why a key cannot be read, or a token not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintFault {
    /// The text holds no private key that we can use; why.
    #[error("this private key cannot be used: {0}")]
    Key(&'static str),
    /// The key cannot sign under this algorithm.
    #[error("the key is not one for {}", .0.name())]
    Algorithm(Algorithm),
    /// A header member that is ours to write, or that we would refuse to read.
    #[error("the header member may not be set by hand")]
    Header,
    /// The claims are not an object.
    #[error("the claims are not an object")]
    Claims,
    /// The token would be longer than any we read.
    #[error("the token would be longer than 8 KiB")]
    TooLong,
    /// The crypto library failed.
    #[error("the crypto library could not do it")]
    Library,
}

impl SigningKey {
    /// A fresh key: RSA of 2048 bits, the curve of the algorithm, or an HMAC secret as long as the hash.
    ///
    /// Randomness is the crypto library's own, as for every key pair it makes.
    ///
    /// # Errors
    ///
    /// [`MintFault::Library`] when the system has no randomness to give.
    pub fn generate(algorithm: Algorithm) -> Result<Self, MintFault> {
        let pair = match (algorithm.family(), curve_of(algorithm)) {
            (Family::Hmac, _) => {
                let random = generate::<[u8; 64]>(&SystemRandom::new()).map_err(|_| MintFault::Library)?;
                let bytes = Zeroizing::new(random.expose());
                return Self::from_secret(algorithm, &Secret::new(bytes.iter().copied().take(least_secret(algorithm)).collect()));
            }
            (Family::Ec, Some(curve)) => Pair::Ec(curve, EcdsaKeyPair::generate(signing(curve)).map_err(|_| MintFault::Library)?),
            (Family::Ec, None) => return Err(MintFault::Algorithm(algorithm)),
            (Family::Rsa, _) => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| MintFault::Library)?),
            (Family::Ed, _) => Pair::Ed(Ed25519KeyPair::generate().map_err(|_| MintFault::Library)?),
        };
        Self::of(algorithm, pair)
    }

    /// The key in PEM text: PKCS#8 (`PRIVATE KEY`), `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    ///
    /// `algorithm` chooses among those of an RSA key (RS256 when `None`); for other kinds it must fit, when given.
    ///
    /// # Errors
    ///
    /// [`MintFault::Key`] with the reason, [`MintFault::Algorithm`] when the key is of another kind.
    pub fn from_pem(text: &str, algorithm: Option<Algorithm>) -> Result<Self, MintFault> {
        const LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
        let blocks = pem::blocks(text).map_err(MintFault::Key)?;
        let mut private = blocks.iter().filter(|block| LABELS.contains(&block.label));
        let block = private.next().ok_or(MintFault::Key("there is no unencrypted private key in this PEM text"))?;
        if private.next().is_some() {
            return Err(MintFault::Key("there is more than one private key in this PEM text"));
        }
        let found = match block.label {
            "PRIVATE KEY" => from_pkcs8(&block.der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&block.der).ok().map(Pair::Rsa),
            _ => CURVES
                .iter()
                .find_map(|curve| EcdsaKeyPair::from_private_key_der(signing(*curve), &block.der).ok().map(|pair| Pair::Ec(*curve, pair))),
        };
        let pair = found.ok_or(MintFault::Key("it is ill-formed, inconsistent, or of a kind we do not know"))?;
        let natural = match &pair {
            Pair::Rsa(_) => algorithm.filter(|wanted| wanted.family() == Family::Rsa).unwrap_or(Algorithm::Rs256),
            Pair::Ec(curve, _) => curve.algorithm(),
            Pair::Ed(_) | Pair::Hmac { .. } => Algorithm::EdDsa,
        };
        match algorithm {
            Some(wanted) if wanted != natural => Err(MintFault::Algorithm(wanted)),
            _ => Self::of(natural, pair),
        }
    }

    /// An HMAC key from its bytes. It has no `kid`.
    ///
    /// # Errors
    ///
    /// [`MintFault::Key`] when the secret is too short or is the text of another kind of key,
    /// [`MintFault::Algorithm`] when `algorithm` is not an HMAC.
    pub fn from_secret(algorithm: Algorithm, secret: &Secret) -> Result<Self, MintFault> {
        let hash = hmac_algorithm(algorithm).ok_or(MintFault::Algorithm(algorithm))?;
        check_hmac_secret(secret.expose()).map_err(MintFault::Key)?;
        if secret.len() < least_secret(algorithm) {
            return Err(MintFault::Key("an HMAC secret must be as long as the hash of its algorithm"));
        }
        let pair = Pair::Hmac { key: Box::new(hmac::Key::new(hash, secret.expose())), secret: secret.clone() };
        Ok(Self { algorithm, kid: None, pair })
    }

    fn of(algorithm: Algorithm, pair: Pair) -> Result<Self, MintFault> {
        let mut key = Self { algorithm, kid: None, pair };
        if let Pair::Rsa(pair) = &key.pair {
            let Some(PublicParts::Rsa { modulus, exponent }) = der::rsa_public_key(pair.public_key().as_ref()) else {
                return Err(MintFault::Library);
            };
            check_rsa(modulus, exponent).map_err(MintFault::Key)?;
        }
        key.kid = key.thumbprint().map(Into::into);
        Ok(key)
    }

    /// The same key under another `kid`, or under none.
    #[must_use]
    pub fn with_kid(mut self, kid: Option<&str>) -> Self {
        self.kid = kid.map(Into::into);
        self
    }

    /// The algorithm it signs under.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` it writes into headers.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// A compact JWS over `claims`.
    ///
    /// The header holds `alg`, `typ` (`JWT` unless `header_extras` say otherwise), `kid` where the key has one, and then
    /// `header_extras`, whose values are text.
    ///
    /// # Errors
    ///
    /// - [`MintFault::Header`] when an extra repeats another, sets `alg`, or asks for what we would refuse to read.
    /// - [`MintFault::Claims`] when `claims` is not an object; [`MintFault::TooLong`]; [`MintFault::Library`].
    pub fn sign_compact(&self, header_extras: &[(&str, &str)], claims: &Json) -> Result<String, MintFault> {
        const OURS: [&str; 5] = ["alg", "crit", "b64", "zip", "enc"];
        let mut header = Map::new();
        header.insert("alg".into(), self.algorithm.name().into());
        for (name, value) in header_extras {
            if OURS.contains(name) || header.insert((*name).to_owned(), (*value).into()).is_some() {
                return Err(MintFault::Header);
            }
        }
        header.entry("typ").or_insert_with(|| "JWT".into());
        if let Some(kid) = &self.kid {
            header.entry("kid").or_insert_with(|| kid.as_ref().into());
        }
        if !claims.is_object() {
            return Err(MintFault::Claims);
        }
        let mut token = base64url::encode(Json::Object(header).to_string().as_bytes());
        token.push('.');
        token.push_str(&base64url::encode(claims.to_string().as_bytes()));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        if MAX_TOKEN < token.len() { Err(MintFault::TooLong) } else { Ok(token) }
    }

    /// The bare signature over `message`, in the form a JWS carries.
    ///
    /// # Errors
    ///
    /// [`MintFault::Library`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MintFault> {
        match &self.pair {
            Pair::Hmac { key, .. } => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let encoding = rsa_encoding(self.algorithm).ok_or(MintFault::Algorithm(self.algorithm))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(|_| MintFault::Library)?;
                Ok(signature)
            }
            Pair::Ec(_, pair) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec()).map_err(|_| MintFault::Library)
            }
            Pair::Ed(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| MintFault::Library),
        }
    }

    /// The public half as a JWK with `kid`, `use` and `alg`; `None` for a symmetric key, which has none.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Json> {
        let mut jwk = self.public_members()?;
        let members = jwk.as_object_mut()?;
        members.insert("use".into(), "sig".into());
        members.insert("alg".into(), self.algorithm.name().into());
        if let Some(kid) = &self.kid {
            members.insert("kid".into(), kid.as_ref().into());
        }
        Some(jwk)
    }

    /// The public half as PEM text (SubjectPublicKeyInfo); `None` for a symmetric key.
    #[must_use]
    pub fn public_pem(&self) -> Option<String> {
        let spki: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Hmac { .. } => return None,
            Pair::Rsa(pair) => pair.public_key().as_der().ok()?,
            Pair::Ec(_, pair) => pair.public_key().as_der().ok()?,
            Pair::Ed(pair) => pair.public_key().as_der().ok()?,
        };
        Some(pem::write("PUBLIC KEY", spki.as_ref()).to_string())
    }

    /// The private key as PKCS#8 PEM text; `None` for a symmetric key, see [`Self::secret`].
    #[must_use]
    pub fn private_pem(&self) -> Option<Secret> {
        let der = match &self.pair {
            Pair::Hmac { .. } => return None,
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
                Zeroizing::new(der.as_ref().to_vec())
            }
            Pair::Ec(_, pair) => Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()),
            Pair::Ed(pair) => Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()),
        };
        Some(Secret::new(pem::write("PRIVATE KEY", &der).as_bytes().to_vec()))
    }

    /// The bytes of a symmetric key; `None` for every other kind.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match &self.pair {
            Pair::Hmac { secret, .. } => Some(secret),
            _ => None,
        }
    }

    /// The key that verifies what this one signs, bound to its algorithm and `kid`.
    ///
    /// # Errors
    ///
    /// [`MintFault::Key`] when the public half is not one we would accept from others.
    pub fn verifying_key(&self) -> Result<VerifyingKey, MintFault> {
        let bound = Some(self.algorithm);
        let key = match &self.pair {
            Pair::Hmac { secret, .. } => VerifyingKey::hmac(secret, bound),
            Pair::Rsa(pair) => VerifyingKey::from_der("RSA PUBLIC KEY", pair.public_key().as_ref(), bound),
            Pair::Ed(pair) => VerifyingKey::ed25519(pair.public_key().as_ref(), bound),
            Pair::Ec(curve, pair) => {
                let (x, y) = coordinates(*curve, pair).ok_or(MintFault::Library)?;
                VerifyingKey::ec(*curve, x, y, bound)
            }
        };
        Ok(key.map_err(MintFault::Key)?.with_kid(self.kid()))
    }

    /// The members that RFC 7638 hashes, and no others; serde_json writes them in the order of their names.
    fn public_members(&self) -> Option<Json> {
        match &self.pair {
            Pair::Hmac { .. } => None,
            Pair::Rsa(pair) => {
                let PublicParts::Rsa { modulus, exponent } = der::rsa_public_key(pair.public_key().as_ref())? else { return None };
                Some(json!({ "e": base64url::encode(exponent), "kty": "RSA", "n": base64url::encode(modulus) }))
            }
            Pair::Ec(curve, pair) => {
                let (x, y) = coordinates(*curve, pair)?;
                Some(json!({ "crv": curve.name(), "kty": "EC", "x": base64url::encode(x), "y": base64url::encode(y) }))
            }
            Pair::Ed(pair) => Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url::encode(pair.public_key().as_ref()) })),
        }
    }

    fn thumbprint(&self) -> Option<String> {
        let text = self.public_members()?.to_string();
        Some(base64url::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

fn curve_of(algorithm: Algorithm) -> Option<Curve> {
    CURVES.into_iter().find(|curve| curve.algorithm() == algorithm)
}

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn from_pkcs8(der: &[u8]) -> Option<Pair> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(pair));
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
        return Some(Pair::Ed(pair));
    }
    CURVES.into_iter().find_map(|curve| EcdsaKeyPair::from_pkcs8(signing(curve), der).ok().map(|pair| Pair::Ec(curve, pair)))
}

/// The affine coordinates of the public key; its octets are `4 || x || y`.
fn coordinates(curve: Curve, pair: &EcdsaKeyPair) -> Option<(&[u8], &[u8])> {
    let (_, both) = pair.public_key().as_ref().split_first()?;
    both.split_at_checked(curve.coordinate())
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

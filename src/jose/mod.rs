//! Signatures and the texts that carry them: compact JWS, algorithms, keys, claims, minting.
//!
//! No I/O, no conf, no clock: bytes in, a verdict out. Rules: RFC 7515, 7517, 7518, 7519, 8037, 8725.
//!
//! Never here: a key that a token brought along; an algorithm that the token chose.

pub mod algorithm;
pub mod base64url;
pub mod claims;
pub mod compact;
pub mod der;
pub mod digest;
pub mod fields;
pub mod form;
pub mod hmac_sha1;
pub mod janrain;
pub mod json;
pub mod jwk;
pub mod key;
pub mod login_expiry;
pub mod metadata;
pub mod mint;
pub mod pem;
pub mod sealing;
pub mod session;
pub mod signed_call;
pub mod signed_uid;
pub mod strength;
pub mod ticket;

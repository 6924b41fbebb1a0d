//! The error codes of Gigya that we speak, each with its fixed text, and which of them says what about a refusal.
//!
//! The first three digits of a code are its HTTP status. Nothing in a text comes from a request.
//!
//! Absent on purpose: the code of a signature that was expected, or of what it should have been made over.
//!
//! Source: the vendor's page "Response Codes and Errors".

use crate::domain::{Doubt, Refusal};

/// One code of the vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The code.
    pub number: u32,
    /// `errorMessage`: the same for logs.
    pub message: &'static str,
}

impl ErrorCode {
    /// The HTTP status that belongs to it.
    #[must_use]
    pub fn status(self) -> u16 {
        u16::try_from(self.number / 1_000).unwrap_or(500)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $number:literal $message:literal;)*) => {
        $($(#[$doc])* pub const $name: ErrorCode = ErrorCode { number: $number, message: $message };)*

        /// Every code that we answer with.
        pub const ALL: &[ErrorCode] = &[$($name),*];
    };
}

codes! {
    /// A parameter that is required does not stand there.
    MISSING_PARAMETER 400002 "Missing required parameter";
    /// A parameter has a value that it must not have, or stands twice.
    INVALID_VALUE 400006 "Invalid parameter value";
    /// An API key that is not served here.
    INVALID_API_KEY 400093 "Invalid ApiKey parameter";
    /// The time in a user's signature lies outside the window.
    SIGNATURE_TIMESTAMP 400128 "Signature timestamp expired";
    /// Nothing more is said.
    FORBIDDEN 403000 "Forbidden";
    /// A session that is none.
    INVALID_SESSION 403001 "Invalid session token";
    /// A signed request came too late, or too early.
    REQUEST_EXPIRED 403002 "Request has expired";
    /// A signature that is none.
    INVALID_SIGNATURE 403003 "Invalid request signature";
    /// A nonce or signature that has been used.
    DUPLICATE_NONCE 403004 "Duplicate nonce";
    /// Nobody has proven who they are.
    UNAUTHORIZED_USER 403005 "Unauthorized user";
    /// A secret was sent in the clear.
    SECRET_OVER_HTTP 403006 "Sensitive data sent over insecure channel";
    /// Proven, and not allowed.
    PERMISSION_DENIED 403007 "Permission denied";
    /// A session that was good.
    SESSION_EXPIRED 403011 "Session has expired";
    /// No session at all.
    NO_SESSION 403012 "No valid session found";
    /// A token that is none.
    INVALID_TOKEN 403025 "Invalid token";
    /// Too many.
    RATE_LIMIT 403048 "API rate limit exceeded";
    /// Nothing is here.
    NOT_FOUND 404000 "Not found";
    /// Not with this method.
    METHOD_REFUSED 405001 "Method not allowed";
    /// It is not the client's doing.
    SERVER_ERROR 500001 "General server error";
    /// Whoever had to answer has not.
    TIMED_OUT 504002 "Request timeout";
}

/// The code with this number, if it is one of ours.
#[must_use]
pub fn numbered(text: &str) -> Option<ErrorCode> {
    ALL.iter().copied().find(|code| code.number.to_string() == text)
}

/// What the clients of a rule prove themselves with: the same refusal has another code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Signed requests.
    Request,
    /// Signed user ids.
    Uid,
    /// Logins whose end is signed, and sessions.
    Session,
    /// `id_token`, and other tokens.
    Token,
}

impl Proof {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["request", "uid", "session", "token"];

    /// The one that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "request" => Some(Self::Request),
            "uid" => Some(Self::Uid),
            "session" => Some(Self::Session),
            "token" => Some(Self::Token),
            _ => None,
        }
    }

    const fn missing(self) -> ErrorCode {
        match self {
            Self::Request => UNAUTHORIZED_USER,
            Self::Uid => MISSING_PARAMETER,
            Self::Session | Self::Token => NO_SESSION,
        }
    }

    const fn invalid(self) -> ErrorCode {
        match self {
            Self::Request | Self::Uid => INVALID_SIGNATURE,
            Self::Session => INVALID_SESSION,
            Self::Token => INVALID_TOKEN,
        }
    }

    const fn expired(self) -> ErrorCode {
        match self {
            Self::Request => REQUEST_EXPIRED,
            Self::Uid => SIGNATURE_TIMESTAMP,
            Self::Session | Self::Token => SESSION_EXPIRED,
        }
    }
}

/// The code of a refusal; that of a guard's breach is its own.
///
/// What is wrong with an authentic credential (too late, used before) is said, since every scheme proves first and asks for the time
/// afterwards: a forger only ever hears that the signature is none.
#[must_use]
pub fn code_of(refusal: &Refusal, proof: Proof) -> ErrorCode {
    match refusal {
        Refusal::CredentialMissing => proof.missing(),
        Refusal::Doubted(Doubt::Conflict) => INVALID_VALUE,
        Refusal::Doubted(Doubt::Expired(_) | Doubt::WindowExceeded) => proof.expired(),
        Refusal::Doubted(Doubt::Replayed) => match proof {
            Proof::Request | Proof::Uid => DUPLICATE_NONCE,
            Proof::Session | Proof::Token => proof.invalid(),
        },
        Refusal::Doubted(
            Doubt::Malformed
            | Doubt::AlgorithmRefused
            | Doubt::KeyUnknown
            | Doubt::SignatureInvalid
            | Doubt::SecretWrong
            | Doubt::KeyDisabled
            | Doubt::ClaimsMalformed
            | Doubt::NotYetValid
            | Doubt::IssuerMismatch
            | Doubt::AudienceMismatch
            | Doubt::ClaimMissing
            | Doubt::Revoked,
        ) => proof.invalid(),
        Refusal::RenewalRefused => SESSION_EXPIRED,
        Refusal::ScopeMissing { .. } | Refusal::PolicyDenied => PERMISSION_DENIED,
        Refusal::GuardRefused(breach) => numbered(&breach.code).unwrap_or(FORBIDDEN),
        Refusal::Throttled { .. } => RATE_LIMIT,
        Refusal::NoRule => NOT_FOUND,
        Refusal::MethodRefused { .. } => METHOD_REFUSED,
        Refusal::TargetAmbiguous
        | Refusal::HeadMalformed
        | Refusal::HeaderTooLarge
        | Refusal::BodyTooLarge
        | Refusal::Misdirected
        | Refusal::EarlyData => INVALID_VALUE,
        Refusal::UpstreamTimeout => TIMED_OUT,
        Refusal::KeysUnavailable { .. }
        | Refusal::StateUnavailable { .. }
        | Refusal::Undecidable { .. }
        | Refusal::RenewalUnavailable { .. }
        | Refusal::UpstreamUnreachable
        | Refusal::Internal => SERVER_ERROR,
    }
}

//! Every way to say no, and why.
//!
//! A [`Doubt`] is why one credential was not believed; a [`Refusal`] is the outcome for the request.
//! Neither carries anything secret or any text of the client's. Where they meet the wire is
//! `edge::respond`, nowhere else.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::identity::Identity;
use crate::domain::time::Seconds;
use crate::domain::verified::Verified;

/// Why a presented credential was not believed.
#[derive(Debug, Clone, PartialEq)]
pub enum Doubt {
    /// It cannot be read as what it claims to be.
    Malformed,
    /// Two credentials were presented that may not stand together.
    Conflict,
    /// Its algorithm is not one that its key may be used with.
    AlgorithmRefused,
    /// No key of ours has made it; a key set was at hand.
    KeyUnknown,
    /// The signature does not match.
    SignatureInvalid,
    /// Id or secret is wrong; which of the two is not told.
    SecretWrong,
    /// The key is known, but disabled, not yet valid, or past its end.
    KeyDisabled,
    /// A registered claim is present with a type or value that it must not have.
    ClaimsMalformed,
    /// Authentic, but past its end. Carries who it was, so that a renewal may start from it.
    Expired(Option<Box<Verified<Arc<Identity>>>>),
    /// Authentic, but not good yet.
    NotYetValid,
    /// Authentic, but from an issuer that is not trusted here.
    IssuerMismatch,
    /// Authentic, but meant for someone else.
    AudienceMismatch,
    /// Authentic, but a required claim is absent or has another value.
    ClaimMissing,
    /// Its timestamp is outside the window in which it may be presented.
    WindowExceeded,
    /// It was good once, and has been used.
    Replayed,
    /// It was withdrawn.
    Revoked,
}

/// Which rule of a guarded system a request breaks, in that system's own words. Nothing of it is a client's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The system's code for it.
    pub code: Cow<'static, str>,
    /// The parameter or field that it is about; empty when it is about none.
    pub field: Cow<'static, str>,
    /// The same for people.
    pub says: Cow<'static, str>,
}

/// Every way to refuse a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The target or host has two readings.
    TargetAmbiguous,
    /// The head breaks the rules of HTTP, or could be read in two ways.
    HeadMalformed,
    /// The head is larger than allowed, or has too many fields.
    HeaderTooLarge,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// No rule matches.
    NoRule,
    /// Rules match the path, none with this method.
    MethodRefused {
        /// The methods that would match, for `Allow` (RFC 9110 section 10.2.1).
        allow: Arc<str>,
    },
    /// The connection is not meant for this host (RFC 9110 section 15.5.20).
    Misdirected,
    /// Sent as TLS early data, and not safe to act on (RFC 8470).
    EarlyData,
    /// Nothing was presented that this rule accepts.
    CredentialMissing,
    /// A credential was presented and not believed.
    Doubted(Doubt),
    /// No usable key set.
    KeysUnavailable {
        /// When to come again.
        retry_after: Seconds,
    },
    /// The state store did not answer.
    StateUnavailable {
        /// When to come again.
        retry_after: Seconds,
    },
    /// Something the verdict depends on did not answer in time.
    Undecidable {
        /// When to come again.
        retry_after: Seconds,
    },
    /// The issuer refused to renew: the client must log in again.
    RenewalRefused,
    /// The issuer could not be reached to renew.
    RenewalUnavailable {
        /// When to come again.
        retry_after: Seconds,
    },
    /// A scope that the rule demands is not among the caller's.
    ScopeMissing {
        /// The scopes the rule demands, space-separated (RFC 6750 section 3).
        scope: Arc<str>,
    },
    /// A condition of the rule does not hold.
    PolicyDenied,
    /// A rule of the guarded system's own endpoint does not hold.
    GuardRefused(Box<Breach>),
    /// Too many failures from this address or for this id.
    Throttled {
        /// When to come again.
        retry_after: Seconds,
    },
    /// No upstream could be reached.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// A fault of our own.
    Internal,
}

/// The stage at which a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading the head and choosing the rule.
    Route,
    /// Looking for a credential.
    Find,
    /// Key and signature.
    Key,
    /// What the credential says.
    Claims,
    /// What the state store knows.
    State,
    /// Something needed was not to be had.
    Outage,
    /// Renewal.
    Renew,
    /// The rule's conditions.
    Policy,
    /// Failure budgets.
    Governor,
    /// Passing it on.
    Forward,
}

macro_rules! reasons {
    ($($variant:ident $text:literal $stage:ident $status:literal;)*) => {
        /// The stable, public-to-operators name of a refusal: audit record and metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in records and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The stage that gives it.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)* }
            }

            /// The HTTP status it is answered with, unless a dialect says otherwise.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

reasons! {
    TargetAmbiguous "target_ambiguous" Route 400;
    HeadMalformed "head_malformed" Route 400;
    HeaderTooLarge "header_too_large" Route 431;
    BodyTooLarge "body_too_large" Route 413;
    NoRule "no_rule" Route 404;
    MethodRefused "method_refused" Route 405;
    Misdirected "misdirected" Route 421;
    EarlyData "early_data" Route 425;
    CredentialMissing "credential_missing" Find 401;
    CredentialMalformed "credential_malformed" Find 401;
    CredentialConflict "credential_conflict" Find 400;
    AlgorithmRefused "algorithm_refused" Key 401;
    KeyUnknown "key_unknown" Key 401;
    SignatureInvalid "signature_invalid" Key 401;
    SecretWrong "secret_wrong" Key 401;
    KeyDisabled "key_disabled" Key 401;
    ClaimsMalformed "claims_malformed" Claims 401;
    Expired "expired" Claims 401;
    NotYetValid "not_yet_valid" Claims 401;
    IssuerMismatch "issuer_mismatch" Claims 401;
    AudienceMismatch "audience_mismatch" Claims 401;
    ClaimMissing "claim_missing" Claims 401;
    WindowExceeded "window_exceeded" Claims 401;
    Replayed "replayed" State 401;
    Revoked "revoked" State 401;
    KeysUnavailable "keys_unavailable" Outage 503;
    StateUnavailable "state_unavailable" Outage 503;
    Undecidable "undecidable" Outage 503;
    RenewalRefused "renewal_refused" Renew 401;
    RenewalUnavailable "renewal_unavailable" Renew 503;
    ScopeMissing "scope_missing" Policy 403;
    PolicyDenied "policy_denied" Policy 403;
    GuardRefused "guard_refused" Policy 403;
    Throttled "throttled" Governor 429;
    UpstreamUnreachable "upstream_unreachable" Forward 502;
    UpstreamTimeout "upstream_timeout" Forward 504;
    Internal "internal" Forward 500;
}

impl Stage {
    /// Its name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Find => "find",
            Self::Key => "key",
            Self::Claims => "claims",
            Self::State => "state",
            Self::Outage => "outage",
            Self::Renew => "renew",
            Self::Policy => "policy",
            Self::Governor => "governor",
            Self::Forward => "forward",
        }
    }
}

impl Doubt {
    /// The reason that records and metrics show.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed => Reason::CredentialMalformed,
            Self::Conflict => Reason::CredentialConflict,
            Self::AlgorithmRefused => Reason::AlgorithmRefused,
            Self::KeyUnknown => Reason::KeyUnknown,
            Self::SignatureInvalid => Reason::SignatureInvalid,
            Self::SecretWrong => Reason::SecretWrong,
            Self::KeyDisabled => Reason::KeyDisabled,
            Self::ClaimsMalformed => Reason::ClaimsMalformed,
            Self::Expired(_) => Reason::Expired,
            Self::NotYetValid => Reason::NotYetValid,
            Self::IssuerMismatch => Reason::IssuerMismatch,
            Self::AudienceMismatch => Reason::AudienceMismatch,
            Self::ClaimMissing => Reason::ClaimMissing,
            Self::WindowExceeded => Reason::WindowExceeded,
            Self::Replayed => Reason::Replayed,
            Self::Revoked => Reason::Revoked,
        }
    }

    /// How far verification got before it failed. Of several doubts the furthest is the one told.
    #[must_use]
    pub fn progress(&self) -> u8 {
        match self.reason().stage() {
            Stage::Find => 0,
            Stage::Key => 1,
            Stage::Claims => 2,
            _ => 3,
        }
    }
}

impl Refusal {
    /// The reason that records and metrics show.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::TargetAmbiguous => Reason::TargetAmbiguous,
            Self::HeadMalformed => Reason::HeadMalformed,
            Self::HeaderTooLarge => Reason::HeaderTooLarge,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::NoRule => Reason::NoRule,
            Self::MethodRefused { .. } => Reason::MethodRefused,
            Self::Misdirected => Reason::Misdirected,
            Self::EarlyData => Reason::EarlyData,
            Self::CredentialMissing => Reason::CredentialMissing,
            Self::Doubted(doubt) => doubt.reason(),
            Self::KeysUnavailable { .. } => Reason::KeysUnavailable,
            Self::StateUnavailable { .. } => Reason::StateUnavailable,
            Self::Undecidable { .. } => Reason::Undecidable,
            Self::RenewalRefused => Reason::RenewalRefused,
            Self::RenewalUnavailable { .. } => Reason::RenewalUnavailable,
            Self::ScopeMissing { .. } => Reason::ScopeMissing,
            Self::PolicyDenied => Reason::PolicyDenied,
            Self::GuardRefused(_) => Reason::GuardRefused,
            Self::Throttled { .. } => Reason::Throttled,
            Self::UpstreamUnreachable => Reason::UpstreamUnreachable,
            Self::UpstreamTimeout => Reason::UpstreamTimeout,
            Self::Internal => Reason::Internal,
        }
    }
}

impl From<Doubt> for Refusal {
    fn from(doubt: Doubt) -> Self {
        Self::Doubted(doubt)
    }
}

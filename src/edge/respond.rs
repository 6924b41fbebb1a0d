//! Where a refusal meets the wire: the one place that decides what the sender of a refused request may learn.
//!
//! The client is told one of nine public reasons; the finer one goes to the audit record and the metrics, joined by the
//! request id. All doubts but expiry are answered alike, byte for byte, so that a forger learns nothing from an answer.
//! Nothing a client sent is echoed, except the request id it was given and the path it asked for, when it is sent to log in.
//!
//! Not here: framing (`Content-Length`, `Connection`), which is the edge's; a verdict, which is the gate's.
//!
//! Rules: RFC 9457 (problem details), RFC 9110 sections 10.2.1, 10.2.3, 11.6.1 and 15.5, RFC 6750 section 3.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Doubt, Refusal, Seconds, Timestamp};
use crate::edge::login;
use crate::gate::verdict::Refused;
use crate::systems::contract::{Refused as RefusedThere, Rendered, System};
use crate::telemetry::json;

/// What an answer needs to know of the request.
#[derive(Debug, Clone, Copy)]
pub struct AnswerRequest<'r> {
    /// The method as sent.
    pub method: &'r str,
    /// `Accept`, when there was exactly one that is readable.
    pub accept: Option<&'r str>,
    /// `Sec-Fetch-Mode`.
    pub sec_fetch_mode: Option<&'r str>,
    /// `Sec-Fetch-Dest`.
    pub sec_fetch_dest: Option<&'r str>,
    /// The id this request goes by.
    pub request_id: &'r str,
    /// The target in origin form; only a login redirect and a system look at it.
    pub path_and_query: &'r str,
    /// The fields as sent; only a system looks at them.
    pub headers: &'r HeaderMap,
    /// The body as sent, where a system asks for it and it could be had.
    pub body: Option<&'r [u8]>,
    /// The moment of the answer.
    pub now: Timestamp,
    /// The system in whose words it is told, where the rule names one.
    pub system: Option<&'r dyn System>,
}

/// What is sent instead of the upstream's answer. `Content-Length` is for whoever frames it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Fields; a name may stand there more than once.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty for HEAD and for redirects.
    pub body: Bytes,
}

/// What a client may learn about why it was refused. Part of what users rely on: names never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicReason {
    /// Nothing was presented that is accepted here.
    CredentialMissing,
    /// Something was presented and not believed.
    CredentialInvalid,
    /// What was presented was good once, and has run out.
    CredentialExpired,
    /// Credentials were presented that may not stand together.
    CredentialConflict,
    /// The caller is known and may not do this.
    NotAllowed,
    /// Too many failures.
    Throttled,
    /// Nothing is wrong with the request; we or someone behind us cannot answer now.
    Unavailable,
    /// The request itself is not acceptable, whoever sends it.
    RequestRefused,
    /// There is nothing here.
    NoRule,
}

impl PublicReason {
    /// Every public reason there is.
    pub const ALL: &'static [Self] = &[
        Self::CredentialMissing,
        Self::CredentialInvalid,
        Self::CredentialExpired,
        Self::CredentialConflict,
        Self::NotAllowed,
        Self::Throttled,
        Self::Unavailable,
        Self::RequestRefused,
        Self::NoRule,
    ];

    /// Its name in `reason`, and the end of `type` (`urn:countersign:problem:NAME`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialMissing => "credential_missing",
            Self::CredentialInvalid => "credential_invalid",
            Self::CredentialExpired => "credential_expired",
            Self::CredentialConflict => "credential_conflict",
            Self::NotAllowed => "not_allowed",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::RequestRefused => "request_refused",
            Self::NoRule => "no_rule",
        }
    }

    /// The same for people (RFC 9457 section 3.1.4). Fixed text: it needs no escaping.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CredentialMissing => "A credential is required",
            Self::CredentialInvalid => "The credential was not accepted",
            Self::CredentialExpired => "The credential has expired",
            Self::CredentialConflict => "More than one credential was presented",
            Self::NotAllowed => "Not allowed",
            Self::Throttled => "Too many failed attempts",
            Self::Unavailable => "Temporarily unavailable",
            Self::RequestRefused => "The request cannot be accepted",
            Self::NoRule => "Nothing is served here",
        }
    }
}

/// What `WWW-Authenticate` says beside the scheme (RFC 6750 section 3.1).
#[derive(Debug, Clone, Copy)]
enum Challenge<'r> {
    /// Not a matter of credentials: no challenge.
    None,
    /// Nothing was presented, so there is no error to speak of.
    Plain,
    /// Two were presented.
    Conflict,
    /// It was not believed.
    Invalid,
    /// It has run out; the client may renew it.
    Expired,
    /// It does not reach far enough.
    Scope(&'r str),
}

/// Fields that only some answers carry.
#[derive(Debug, Clone, Copy)]
enum Extra<'r> {
    Nothing,
    RetryAfter(Seconds),
    Allow(&'r str),
}

/// What is told of one refusal.
struct Told<'r> {
    status: u16,
    public: PublicReason,
    challenge: Challenge<'r>,
    extra: Extra<'r>,
}

impl<'r> Told<'r> {
    fn plain(status: u16, public: PublicReason) -> Self {
        Self { status, public, challenge: Challenge::None, extra: Extra::Nothing }
    }

    fn challenged(status: u16, public: PublicReason, challenge: Challenge<'r>) -> Self {
        Self { status, public, challenge, extra: Extra::Nothing }
    }

    fn later(status: u16, public: PublicReason, after: Seconds) -> Self {
        Self { status, public, challenge: Challenge::None, extra: Extra::RetryAfter(after) }
    }
}

/// Decides what is told. A new refusal does not compile until someone has decided it.
fn told(refusal: &Refusal) -> Told<'_> {
    match refusal {
        Refusal::TargetAmbiguous | Refusal::HeadMalformed => Told::plain(400, PublicReason::RequestRefused),
        Refusal::HeaderTooLarge => Told::plain(431, PublicReason::RequestRefused),
        Refusal::BodyTooLarge => Told::plain(413, PublicReason::RequestRefused),
        Refusal::NoRule => Told::plain(404, PublicReason::NoRule),
        Refusal::MethodRefused { allow } => Told { extra: Extra::Allow(allow), ..Told::plain(405, PublicReason::RequestRefused) },
        Refusal::Misdirected => Told::plain(421, PublicReason::RequestRefused),
        Refusal::EarlyData => Told::plain(425, PublicReason::RequestRefused),

        // No error code when nothing was presented: RFC 6750 section 3.1.
        Refusal::CredentialMissing => Told::challenged(401, PublicReason::CredentialMissing, Challenge::Plain),
        // Known to the client anyway: it sent both.
        Refusal::Doubted(Doubt::Conflict) => Told::challenged(400, PublicReason::CredentialConflict, Challenge::Conflict),
        // Only an authentic credential is ever told to have expired, so a forger cannot ask this way.
        Refusal::Doubted(Doubt::Expired(_)) | Refusal::RenewalRefused => {
            Told::challenged(401, PublicReason::CredentialExpired, Challenge::Expired)
        }
        // One answer for all other doubts: an unknown id, a wrong secret, a revoked key and plain garbage look alike.
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
            | Doubt::WindowExceeded
            | Doubt::Replayed
            | Doubt::Revoked,
        ) => Told::challenged(401, PublicReason::CredentialInvalid, Challenge::Invalid),

        // What is missing behind us is not told apart either: it would show how the house is built.
        Refusal::KeysUnavailable { retry_after }
        | Refusal::StateUnavailable { retry_after }
        | Refusal::Undecidable { retry_after }
        | Refusal::RenewalUnavailable { retry_after } => Told::later(503, PublicReason::Unavailable, *retry_after),

        // The scope is in the rule's documentation anyway, and the client needs it to ask for a wider token.
        Refusal::ScopeMissing { scope } => Told::challenged(403, PublicReason::NotAllowed, Challenge::Scope(scope)),
        Refusal::PolicyDenied | Refusal::GuardRefused(_) => Told::plain(403, PublicReason::NotAllowed),

        Refusal::Throttled { retry_after } => Told::later(429, PublicReason::Throttled, *retry_after),

        Refusal::UpstreamUnreachable => Told::plain(502, PublicReason::Unavailable),
        Refusal::UpstreamTimeout => Told::plain(504, PublicReason::Unavailable),
        Refusal::Internal => Told::plain(500, PublicReason::Unavailable),
    }
}

/// Writes the answer to a refused request.
#[must_use]
pub fn answer(refused: &Refused, request: &AnswerRequest<'_>) -> Answer {
    let told = told(&refused.refusal);
    if told.status == 401
        && let Some(page) = &refused.login
        && let Some(location) = login::location(page, &refused.refusal, request)
    {
        return redirect(location, request);
    }

    let mut headers = Vec::with_capacity(4 + refused.challenges.len());
    headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    let rendered = request.system.and_then(|system| {
        system.render(&RefusedThere {
            refusal: &refused.refusal,
            status: told.status,
            public: told.public.as_str(),
            method: request.method,
            target: request.path_and_query,
            headers: request.headers,
            body: request.body,
            request_id: request.request_id,
            now: request.now,
        })
    });
    let (status, body) = match rendered {
        Some(Rendered { status, headers: fields, body }) => {
            headers.extend(fields);
            if status == 401 {
                challenge(&mut headers, &refused.challenges, status, told.challenge);
            }
            (status, body)
        }
        None => {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/problem+json")));
            challenge(&mut headers, &refused.challenges, told.status, told.challenge);
            (told.status, problem(&told, request.request_id))
        }
    };
    match told.extra {
        Extra::Nothing => {}
        // Zero would invite the client to hammer.
        Extra::RetryAfter(Seconds(after)) => headers.push((RETRY_AFTER, HeaderValue::from(after.max(1)))),
        // RFC 9110 section 15.5.6 demands the field, even empty.
        Extra::Allow(methods) => {
            headers.push((ALLOW, HeaderValue::from_str(methods).unwrap_or_else(|_| HeaderValue::from_static(""))));
        }
    }
    let body = if request.method == "HEAD" { Bytes::new() } else { body };
    Answer { status, headers, body }
}

/// The body: RFC 9457, with `reason` and `request_id` as extensions.
fn problem(told: &Told<'_>, request_id: &str) -> Bytes {
    let (reason, title, status) = (told.public.as_str(), told.public.title(), told.status);
    let mut body = String::with_capacity(192 + request_id.len());
    body.push_str("{\"type\":\"urn:countersign:problem:");
    body.push_str(reason);
    body.push_str("\",\"title\":\"");
    body.push_str(title);
    body.push_str("\",\"status\":");
    body.push_str(&status.to_string());
    body.push_str(",\"reason\":\"");
    body.push_str(reason);
    body.push_str("\",\"request_id\":");
    json::push_string(&mut body, request_id);
    body.push_str("}\n");
    Bytes::from(body)
}

/// Sends a browser to log in. Never cached, and the address it came from is not passed on.
fn redirect(location: HeaderValue, request: &AnswerRequest<'_>) -> Answer {
    // Anything but GET and HEAD must not be repeated at the login page: RFC 9110 section 15.4.4.
    let status = if matches!(request.method, "GET" | "HEAD") { 302 } else { 303 };
    let headers = vec![
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Answer { status, headers, body: Bytes::new() }
}

/// Adds one `WWW-Authenticate` per accepted scheme, each scheme once.
fn challenge(headers: &mut Vec<(HeaderName, HeaderValue)>, schemes: &[&'static str], status: u16, challenge: Challenge<'_>) {
    if let Challenge::None = challenge {
        return;
    }
    let mut any = false;
    for (at, scheme) in schemes.iter().enumerate() {
        if schemes.iter().take(at).any(|earlier| earlier.eq_ignore_ascii_case(scheme)) {
            continue;
        }
        if let Some(value) = challenge_value(scheme, challenge) {
            headers.push((WWW_AUTHENTICATE, value));
            any = true;
        }
    }
    // A 401 without a challenge is not allowed (RFC 9110 section 15.5.2), and to name a scheme that is not accepted
    // would send the client down a wrong road: this one is nobody's.
    if !any && status == 401 {
        headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Countersign realm=\"countersign\"")));
    }
}

/// One challenge. The error attributes are `Bearer`'s (RFC 6750); other schemes are named with their realm only, and
/// not at all beside a 403, where logging in again with them would change nothing.
fn challenge_value(scheme: &'static str, challenge: Challenge<'_>) -> Option<HeaderValue> {
    if scheme.eq_ignore_ascii_case("Bearer") {
        return match challenge {
            Challenge::None => None,
            Challenge::Plain => Some(HeaderValue::from_static("Bearer realm=\"countersign\"")),
            Challenge::Conflict => Some(HeaderValue::from_static("Bearer realm=\"countersign\", error=\"invalid_request\"")),
            Challenge::Invalid => Some(HeaderValue::from_static("Bearer realm=\"countersign\", error=\"invalid_token\"")),
            Challenge::Expired => {
                Some(HeaderValue::from_static("Bearer realm=\"countersign\", error=\"invalid_token\", error_description=\"expired\""))
            }
            Challenge::Scope(scope) if is_scope(scope) => {
                HeaderValue::from_str(&format!("Bearer realm=\"countersign\", error=\"insufficient_scope\", scope=\"{scope}\"")).ok()
            }
            Challenge::Scope(_) => Some(HeaderValue::from_static("Bearer realm=\"countersign\", error=\"insufficient_scope\"")),
        };
    }
    match challenge {
        Challenge::None | Challenge::Scope(_) => None,
        Challenge::Plain | Challenge::Conflict | Challenge::Invalid | Challenge::Expired if scheme.eq_ignore_ascii_case("Basic") => {
            Some(HeaderValue::from_static("Basic realm=\"countersign\", charset=\"UTF-8\""))
        }
        Challenge::Plain | Challenge::Conflict | Challenge::Invalid | Challenge::Expired => {
            HeaderValue::from_str(&format!("{scheme} realm=\"countersign\"")).ok()
        }
    }
}

/// Whether `scope` is a list of scope tokens (RFC 6749 section 3.3) and so may stand between quotes as it is.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests;

//! What TapTalk's endpoints have in common where the proxy itself gives tickets and pairs: answers in its envelope, and who a client is.
//!
//! Everything is answered over HTTP 200, as its clients want it. A pair is bound to the app and the device that it was given to: its
//! refresh token is good for them alone, and its access token says so (`client_id`), which the guard of the system looks at.
//!
//! Not here: refusals of the rule, which the system writes (`system: taptalk`).
//!
//! Source: docs.taptalk.io, taptalk.io-android 2.18.3 (the members of a pair and of a user).

use http::HeaderMap;
use serde_json::{Value as Json, json};

use crate::domain::{Claim, Claims, Outage, Refusal, Timestamp, Verified};
use crate::issuer::contract::Reply;
use crate::issuer::pairs::{Caller, Issued, Issuer, PairFault};
use crate::jose::compact::Compact;
use crate::settings::{KeySpec, Section, Shape};
use crate::systems::taptalk::client::{self, Unread};
use crate::systems::taptalk::envelope;
use crate::systems::taptalk::origins::Origins;

/// The key `bind` of services that give pairs.
pub(super) const BIND_KEY: KeySpec = KeySpec::default(
    "bind",
    Shape::OneOf(&["client", "none"]),
    "client",
    "Whom a pair is for: the client, by its App-Key and Device-Identifier, or whoever holds it. The same at both services that give pairs; \
     pairs that the renewer `local` spends are `none`.",
);

/// The key `expiry` of services that give pairs.
pub(super) const EXPIRY_KEY: KeySpec = KeySpec::default(
    "expiry",
    Shape::OneOf(&["milliseconds", "seconds"]),
    "milliseconds",
    "How `accessTokenExpiry` and `refreshTokenExpiry` count, since the Unix epoch. Not documented by TapTalk.",
);

/// Fields of a ticket request that say something of the user, and go into tickets as claims of these names.
pub(super) const OF_THE_USER: [&str; 7] =
    ["fullName", "email", "phone", "username", "photoThumbnailURL", "photoFullsizeURL", "userRoleCode"];

/// How pairs are given, proven.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    bound: bool,
    milliseconds: bool,
    origins: Origins,
}

impl Manner {
    /// Reads the keys of `section`.
    pub(super) fn read(section: &Section<'_>, origins: Origins) -> Self {
        Self { bound: section.text("bind") != Some("none"), milliseconds: section.text("expiry") != Some("seconds"), origins }
    }

    /// The client that sent `headers`; `None` where pairs are for whoever holds them.
    ///
    /// # Errors
    ///
    /// The answer, when it does not say who it is.
    pub(super) fn client(&self, headers: &HeaderMap) -> Result<Option<Caller>, Reply> {
        if !self.bound {
            return Ok(None);
        }
        let app = client::app(headers).map_err(|unread| match unread {
            Unread::Missing => self.refused(headers, envelope::KEY_MISSING, "app key is required", "App-Key"),
            Unread::Malformed => self.refused(headers, envelope::KEY_INVALID, "app key is invalid", "App-Key"),
        })?;
        let says = "Device-Identifier is required, once";
        let device = client::device(headers).map_err(|_| self.refused(headers, envelope::HEADER_INVALID, says, "Device-Identifier"))?;
        Ok(Some(Caller { issuer: "taptalk".into(), name: client::name(&app, device).into() }))
    }

    /// A refusal in the envelope.
    pub(super) fn refused(&self, headers: &HeaderMap, code: &str, says: &str, field: &str) -> Reply {
        self.answer(headers, envelope::failure(code, says, field, 400))
    }

    /// The pair `issued`, and whom it is for.
    ///
    /// # Errors
    ///
    /// [`Refusal::Internal`] when a token of ours cannot be read, which cannot be.
    pub(super) fn given(&self, headers: &HeaderMap, issuer: &Issuer, issued: &Issued) -> Result<Reply, Refusal> {
        let access = std::str::from_utf8(issued.pair.access.expose()).map_err(|_| Refusal::Internal)?;
        let refresh = issued.pair.refresh.as_ref().map(|refresh| std::str::from_utf8(refresh.expose()));
        let refresh = refresh.transpose().map_err(|_| Refusal::Internal)?;
        let claims = claims_of(issuer, access).ok_or(Refusal::Internal)?;
        let data = json!({
            "accessToken": access,
            "accessTokenExpiry": self.expiry(issued.pair.access_until),
            "refreshToken": refresh.unwrap_or_default(),
            "refreshTokenExpiry": self.expiry(issued.pair.refresh_until),
            "user": user(claims.get()),
        });
        Ok(self.answer(headers, envelope::success(&data)))
    }

    fn answer(&self, headers: &HeaderMap, body: bytes::Bytes) -> Reply {
        let mut fields = vec![envelope::content_type()];
        fields.extend(self.origins.fields(headers));
        Reply { status: 200, headers: fields, body, guessed: false }
    }

    fn expiry(&self, until: Option<Timestamp>) -> i64 {
        let seconds = until.map_or(0, |until| until.0);
        if self.milliseconds { seconds.saturating_mul(1_000) } else { seconds }
    }
}

/// What follows when there is no pair although the caller may have one.
pub(super) fn outage(fault: PairFault) -> Refusal {
    match fault {
        PairFault::Store => Outage::State.refusal(),
        PairFault::Grant(_) | PairFault::Scope | PairFault::TooLarge | PairFault::Library => Refusal::Internal,
    }
}

/// What an access token that `issuer` has just made says.
fn claims_of(issuer: &Issuer, access: &str) -> Option<Verified<Claims>> {
    let compact = Compact::parse(access).ok()?;
    let algorithm = compact.header().algorithm?;
    compact.prove(algorithm, issuer.verifying_keys())
}

/// The user that `claims` speak of, as clients read one. What is not known is empty: their parsers want texts.
fn user(claims: &Claims) -> Json {
    let text = |name: &str| claims.member(name).and_then(Claim::as_text).unwrap_or_default();
    json!({
        "userID": text("sub"),
        "xcUserID": text("sub"),
        "fullname": text("fullName"),
        "username": text("username"),
        "email": text("email"),
        "phone": text("phone"),
        "imageURL": { "thumbnail": text("photoThumbnailURL"), "fullsize": text("photoFullsizeURL") },
        "userRole": { "code": text("userRoleCode") },
    })
}

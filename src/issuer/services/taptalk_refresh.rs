//! `serve: taptalk.refresh`: a refresh token for the next pair, as TapTalk's own endpoint gives one.
//!
//! `POST …/v1/auth/access_token/refresh` with the refresh token as bearer, and a body that is not looked at. Tokens rotate; the one that
//! was spent a moment ago brings the very same pair for as long as the issuer's `grace`, since two tabs, an app that asks twice, and
//! the web client's writing back of an older pair are how these clients work.
//!
//! Whatever is wrong with a refresh token is 40103, which logs a client out, or 40105 where it is another client's. Never 40104: a client
//! would come again to refresh what it refreshes with.
//!
//! Source: taptalksdk-web 1.0.310 (`refreshAccessToken`), taptalk.io-ios 2.2.1 (40103 to 40106 end the session).

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;

use crate::domain::{Refusal, RequestView};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::pairs::{GrantFault, Issuer, PairFault};
use crate::issuer::services::oauth;
use crate::issuer::services::taptalk::{BIND_KEY, EXPIRY_KEY, Manner, outage};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::systems::taptalk::client::{Unread, sole};
use crate::systems::taptalk::envelope;
use crate::systems::taptalk::origins::{ORIGINS_KEY, Origins};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "taptalk.refresh",
    doc: "Exchanges a refresh token of an issuer of ours for the next pair, in TapTalk's words.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    // The refresh token is the proof, and is judged here.
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `taptalk.refresh`",
    doc: "Exchanges the refresh token that stands as bearer for the next pair, as TapTalk's `/v1/auth/access_token/refresh` does. The rule says \
          `authenticate: none`: it is nobody else's to judge that token.",
    keys: &[
        KeySpec::required("issuer", Shape::Name("issuers"), "Whose refresh tokens: a name under `issuers`."),
        BIND_KEY,
        EXPIRY_KEY,
        ORIGINS_KEY,
    ],
};

#[derive(Debug)]
struct RefreshPlan {
    issuer: String,
    span: Span,
    manner: Manner,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, span) = oauth::issuer_of(ENTRY.name, &SETTINGS, settings, at, checking)?;
    let section = Section::open(&SETTINGS, settings?, checking.faults)?;
    let manner = Manner::read(&section, Origins::plan(&section, checking)?);
    Some(Box::new(RefreshPlan { issuer, span, manner }))
}

impl ServicePlan for RefreshPlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Refresh { issuer: oauth::built(tools, &self.issuer)?, manner: self.manner.clone() }))
    }
}

/// Rotates the pairs of one issuer.
struct Refresh {
    issuer: Arc<Issuer>,
    manner: Manner,
}

#[async_trait]
impl Service for Refresh {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let headers = call.request.headers;
        let refused = |code, says| Ok(self.manner.refused(headers, code, says, ""));
        let token = match bearer(call.request) {
            Ok(token) => token,
            Err(Unread::Missing) => return refused(envelope::TOKEN_MISSING, "authorization is required"),
            Err(Unread::Malformed) => return refused(envelope::AUTHORIZATION_INVALID, "authorization must be one bearer token"),
        };
        let client = match self.manner.client(headers) {
            Ok(client) => client,
            Err(reply) => return Ok(reply),
        };
        match self.issuer.rotate(token, client.as_ref(), None, call.now).await {
            Ok(issued) => self.manner.given(headers, &self.issuer, &issued),
            Err(PairFault::Grant(why)) => {
                tracing::info!(issuer = %self.issuer.terms().name, ?why, "a refresh token was refused");
                let (code, says) = match why {
                    GrantFault::Foreign => (envelope::TOKEN_FOREIGN, "token was given to another client"),
                    GrantFault::Malformed | GrantFault::Unknown | GrantFault::Revoked | GrantFault::Reused => {
                        (envelope::TOKEN_INVALID, "token is invalid")
                    }
                };
                // One that was ours and is over, spent or somebody else's was not guessed.
                let guessed = matches!(why, GrantFault::Malformed | GrantFault::Unknown);
                Ok(Reply { guessed, ..self.manner.refused(headers, code, says, "") })
            }
            Err(fault) => Err(outage(fault)),
        }
    }

    fn public_keys(&self) -> Option<String> {
        Some(self.issuer.public_keys())
    }
}

/// The bearer of `request`.
///
/// # Errors
///
/// [`Unread`].
fn bearer<'r>(request: &RequestView<'r>) -> Result<&'r str, Unread> {
    let value = sole(request.headers, &AUTHORIZATION)?;
    let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    token.filter(|token| !token.is_empty()).ok_or(Unread::Malformed)
}

#[cfg(test)]
mod tests;

//! `serve: telematics.refresh`: a pair of ours for the next one, as `POST /v1/Auth/RefreshToken` gives it.
//!
//! The vendor's clients send the old access token and the refresh token, and so must whoever comes here: both of one family. Tokens
//! rotate, and the one that was spent a moment ago brings the very same pair for as long as the issuer's `grace`: two copies of the
//! vendor's Python client with one pair would knock each other out otherwise, and burn their logins.
//!
//! Whatever is wrong with a pair is a 400, which makes the vendor's clients log in. An outage is a 503, which does not.
//!
//! Rules: RFC 9700 section 4.14.2 (rotation); the vendor's page for the form.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Claim, Refusal, Value};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::pairs::{GrantFault, Issuer, PairFault};
use crate::issuer::services::oauth;
use crate::issuer::services::telematics::{claims_of, given, outage, refused};
use crate::settings::{Checking, KeySpec, Node, SectionSpec, Shape, Span};
use crate::systems::telematics::body::{member, object};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "telematics.refresh",
    doc: "Exchanges a pair of an issuer of ours for the next one, in the Telematics SDK's words.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    // The pair is the proof, and is judged here.
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `telematics.refresh`",
    doc: "Exchanges `AccessToken` and `RefreshToken` of one pair for the next pair, as `/v1/Auth/RefreshToken` does. The rule says \
          `authenticate: none`: an access token that has run out is part of what is brought.",
    keys: &[KeySpec::required("issuer", Shape::Name("issuers"), "Whose pairs: a name under `issuers`.")],
};

#[derive(Debug)]
struct RefreshPlan {
    issuer: String,
    span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, span) = oauth::issuer_of(ENTRY.name, &SETTINGS, settings, at, checking)?;
    Some(Box::new(RefreshPlan { issuer, span }))
}

impl ServicePlan for RefreshPlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Refresh { issuer: oauth::built(tools, &self.issuer)? }))
    }
}

/// Rotates the pairs of one issuer.
struct Refresh {
    issuer: Arc<Issuer>,
}

#[async_trait]
impl Service for Refresh {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let said = object(call.request.headers, &call.body)?;
        let text = |name: &str| member(&said, name).and_then(Value::as_text).filter(|text| !text.is_empty());
        let Some(access) = text("accesstoken") else { return Ok(refused(422, "AccessToken", "It is required, as a string.")) };
        let Some(refresh) = text("refreshtoken") else { return Ok(refused(422, "RefreshToken", "It is required, as a string.")) };
        if !self.is_one_family(access, refresh) {
            return Ok(Reply { guessed: true, ..ended() });
        }
        match self.issuer.rotate(refresh, None, None, call.now).await {
            Ok(issued) => given(&self.issuer, &issued, call.now),
            Err(PairFault::Grant(why)) => {
                tracing::info!(issuer = %self.issuer.terms().name, ?why, "a refresh token was refused");
                // One that was ours and is over, spent or somebody else's was not guessed.
                let guessed = matches!(why, GrantFault::Malformed | GrantFault::Unknown);
                Ok(Reply { guessed, ..ended() })
            }
            Err(fault) => Err(outage(fault)),
        }
    }

    fn public_keys(&self) -> Option<String> {
        Some(self.issuer.public_keys())
    }
}

impl Refresh {
    /// Whether `access` is a token of ours, of any age, and of the family that `refresh` names. Nothing is spent otherwise: with a
    /// refresh token alone nobody gets on.
    fn is_one_family(&self, access: &str, refresh: &str) -> bool {
        let Some(claims) = claims_of(&self.issuer, access) else { return false };
        let of = claims.get().member("fam").and_then(Claim::as_text);
        self.issuer.family_of(refresh).is_some_and(|family| of == Some(&*family.text()))
    }
}

fn ended() -> Reply {
    refused(400, "RefreshToken", "The pair is not good.")
}

#[cfg(test)]
mod tests;

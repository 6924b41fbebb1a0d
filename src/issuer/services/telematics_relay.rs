//! `serve: telematics.relay`: `POST /v1/Auth/RefreshToken` for clients that hold pairs of the vendor's, each pair spent once.
//!
//! The vendor honours the newest pair only, so two copies of a client with one pair knock each other out: each then logs in again,
//! until its logins are used up. Here their calls meet: the first is passed on, by a renewer, and whoever brings the same pair then or
//! a moment later gets what it brought. A client whose pair was renewed unasked by that renewer meets there too.
//!
//! Both tokens of a pair are asked for, as the vendor asks for both: what a pair brought is for whoever has all of it. Whether the pair is
//! good the vendor says. That it is not is a 400, which makes its clients log in, and so is an answer that was lost, since the pair may be
//! spent; an outage is a 503, which does not.
//!
//! Not here: pairs of our own (`telematics.refresh`).
//!
//! Source: the vendor's page for the form; that a failed refresh is a 400, its Android and sample apps.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use crate::domain::{
    Claims, Event, Identity, Observer, Outage, Refusal, RenewalFailure, Seconds, Secret, Spent, Timestamp, TokenPair, Value,
};
use crate::issuer::contract::{Call, Relay, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::telematics::{passed_on, refused};
use crate::jose::digest::digest;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::state::contract::{Class, Expect, Key, StateStore, Written};
use crate::systems::telematics::body::{member, object};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "telematics.relay",
    doc: "Exchanges pairs of the vendor's for their next ones, in the Telematics SDK's words: one exchange for however many clients.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    // The pair is the proof, and the vendor judges it.
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `telematics.relay`",
    doc: "Exchanges `AccessToken` and `RefreshToken` of one pair for the next pair at the vendor's `/v1/Auth/RefreshToken`, by a renewer: once, \
          however many clients bring the pair. The rule says `authenticate: none`: the vendor judges the pair.",
    keys: &[KeySpec::required(
        "renewer",
        Shape::Name("renewers"),
        "The renewer that asks the vendor. `answer: { beside: { DeviceToken: /Result/DeviceToken } }` has it pass on whose pair it is.",
    )],
};

/// So long it is remembered which two tokens make a pair: longer than what a pair brought is given to latecomers.
const REMEMBERED: Seconds = Seconds(900);

/// The longest token.
const MAX_TOKEN: usize = 8 * 1024;

#[derive(Debug)]
struct RelayPlan {
    renewer: String,
    span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let Some(node) = settings else {
        checking.faults.error(at, "say what asks the vendor: `{ telematics.relay: { renewer: NAME } }`");
        return None;
    };
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    Some(Box::new(RelayPlan { renewer: section.text("renewer")?.to_owned(), span: section.span_of("renewer").clone() }))
}

impl ServicePlan for RelayPlan {
    fn renewers(&self) -> Vec<(String, Span)> {
        vec![(self.renewer.clone(), self.span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        let relay = tools.relays.get(&self.renewer).ok_or_else(|| format!("there is no renewer `{}`", self.renewer))?;
        Ok(Arc::new(TelematicsRelay {
            renewer: self.renewer.as_str().into(),
            relay: Arc::clone(relay),
            state: Arc::clone(tools.state),
            observer: Arc::clone(tools.observer),
        }))
    }
}

/// Passes on what clients spend themselves.
struct TelematicsRelay {
    renewer: Box<str>,
    relay: Arc<dyn Relay>,
    state: Arc<dyn StateStore>,
    observer: Arc<dyn Observer>,
}

#[async_trait]
impl Service for TelematicsRelay {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        const RETRY: Seconds = Seconds(5);
        let said = object(call.request.headers, &call.body)?;
        let token = |name: &str| member(&said, name).and_then(Value::as_text).filter(|text| is_token(text));
        let Some(access) = token("accesstoken") else { return Ok(refused(422, "AccessToken", "It is required, as a string.")) };
        let Some(refresh) = token("refreshtoken") else { return Ok(refused(422, "RefreshToken", "It is required, as a string.")) };
        if !self.is_one_pair(access, refresh, call.now).await.map_err(Outage::refusal)? {
            return Ok(Reply { guessed: true, ..ended() });
        }
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let identity = call.identity.map_or_else(|| Arc::new(stranger()), Arc::clone);
        let spent = Spent { refresh: secret(refresh), access: secret(access), identity };
        match self.relay.relay(&spent, call.now).await {
            Ok(pair) => answer(&pair, refresh, call.now),
            Err(RenewalFailure::Fatal) => Ok(Reply { guessed: true, ..ended() }),
            // What may have been spent must not be spent again: only a login helps.
            Err(RenewalFailure::Unknown) => Ok(ended()),
            Err(RenewalFailure::Transient { retry_after } | RenewalFailure::Pending { retry_after }) => {
                Err(Refusal::RenewalUnavailable { retry_after })
            }
            Err(RenewalFailure::StateUnavailable) => Err(Refusal::RenewalUnavailable { retry_after: RETRY }),
        }
    }
}

impl TelematicsRelay {
    /// Whether `refresh` is brought with the access token that it was brought with first. What a pair brought is found by its refresh
    /// token, and with that alone nobody gets on at the vendor.
    async fn is_one_pair(&self, access: &str, refresh: &str, now: Timestamp) -> Result<bool, Outage> {
        let key = Key { class: Class::Note, digest: digest(PAIR, &[self.renewer.as_bytes(), refresh.as_bytes()]) };
        let beside = digest(PAIR, &[refresh.as_bytes(), access.as_bytes()]);
        let value = Bytes::copy_from_slice(&beside);
        let written = self.state.write(&key, Expect::Absent, value, now.plus(REMEMBERED), now).await;
        self.observer.note(Event::State { operation: "write", ok: written.is_ok() });
        Ok(match written? {
            Written::Done { .. } => true,
            Written::Conflict(entry) => entry.is_some_and(|entry| entry.value == beside.as_slice()),
        })
    }
}

const PAIR: &str = "countersign telematics relay";

/// The next pair in the vendor's words. An issuer that does not rotate leaves `spent` good.
fn answer(pair: &TokenPair, spent: &str, now: Timestamp) -> Result<Reply, Refusal> {
    let text = |secret: &Secret| std::str::from_utf8(secret.expose()).map(str::to_owned).map_err(|_| Refusal::Internal);
    let refresh = pair.refresh.as_ref().map_or_else(|| Ok(spent.to_owned()), text)?;
    let device = pair.beside.member("DeviceToken").and_then(Value::as_text);
    let life = pair.access_until.map(|until| now.until(until).0);
    let token = json!({ "Token": text(&pair.access)?, "ExpiresIn": life });
    Ok(passed_on(&json!({ "DeviceToken": device, "AccessToken": token, "RefreshToken": refresh })))
}

fn ended() -> Reply {
    refused(400, "RefreshToken", "The pair is not good.")
}

/// Whom nobody has proven: the vendor judges what they bring.
fn stranger() -> Identity {
    Identity {
        subject: "".into(),
        issuer: "".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "none",
        authenticator: "".into(),
        burn: None,
        also: Vec::new(),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;

//! `serve: taptalk.auth_ticket`: a ticket for the user whom a back end names, as TapTalk's own endpoint gives one.
//!
//! `POST …/v1/server/auth_ticket/request` with the documented user data. The back end is whom the rule has proven by its Server-Key, and
//! nobody else; the ticket is for one use within an hour, and carries what was said of the user, for the pair that it is exchanged for.
//!
//! Never here: a ticket for a caller whom nobody has proven; user data that was not judged, whether the rule names the system or not.
//!
//! Source: docs.taptalk.io (get an auth ticket).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::domain::{Breach, Identity, Random, Refusal, Seconds, Value};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools, TicketUse};
use crate::issuer::services::taptalk::OF_THE_USER;
use crate::issuer::ticket::{DEFAULT_LIFE, Mint, MintError, TicketOrder, press};
use crate::jose::ticket::Bindings;
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::systems::taptalk::envelope;
use crate::systems::taptalk::profile::{self, ADDRESS, DEVICE_ID, Product, Profile, USER};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "taptalk.auth_ticket",
    doc: "Gives a ticket for a user to a back end that TapTalk's Server-Key has proven, in TapTalk's words.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `taptalk.auth_ticket`",
    doc: "Gives tickets as TapTalk's `/v1/server/auth_ticket/request` does: POST with the documented user data; the answer has `userID` and \
          `ticket`. Each is for one use.",
    keys: &[
        KeySpec::optional(
            "tickets",
            Shape::Name("authenticators"),
            "The authenticator of the scheme `ticket` that the tickets are for. Needed only where there are several.",
        ),
        KeySpec::default(
            "life",
            Shape::Duration { min: 1, max: 3_600 },
            "1h",
            "How long a ticket lives; an hour at most, as TapTalk's do.",
        ),
        KeySpec::default(
            "bind",
            Shape::List { of: &Shape::OneOf(&["device", "address"]), lone: true, min: 0 },
            "[]",
            "What the request that exchanges a ticket must come from: `device`, where `userDeviceID` is what the client sends as \
             Device-Identifier; `address`, where `userIPAddress` is the address that the proxy sees.",
        ),
        KeySpec::default(
            "scopes",
            Shape::List { of: &Shape::Text, lone: true, min: 0 },
            "[]",
            "What tickets, and the pairs that they are exchanged for, may do.",
        ),
    ],
};

/// The scheme of those who may say whom a ticket is for.
const SERVER_KEY: &str = "server_key";

/// The claim that says who asked for a ticket, as in tickets of `ticket.mint`.
const MINTED_BY: &str = "minted_by";

#[derive(Debug, Clone)]
struct TicketPlan {
    tickets: TicketUse,
    device: bool,
    address: bool,
    scopes: Box<[Box<str>]>,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let empty = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    let section = Section::open(&SETTINGS, settings.unwrap_or(&empty), checking.faults)?;
    let before = checking.faults.errors();
    for item in section.items("scopes") {
        // RFC 6749 section 3.3.
        let sound = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if !item.as_text().is_some_and(sound) {
            checking.faults.error(&item.span, "this is not one scope; write several as a list: [a, b]");
        }
    }
    let span = section.node("tickets").map_or(at, |node| &node.span).clone();
    let bind = section.texts("bind");
    let plan = TicketPlan {
        tickets: TicketUse {
            authenticator: section.text("tickets").map(str::to_owned),
            life: section.node("life").and_then(|_| section.seconds("life")),
            span,
        },
        device: bind.contains(&"device"),
        address: bind.contains(&"address"),
        scopes: section.texts("scopes").into_iter().map(Into::into).collect(),
    };
    (checking.faults.errors() == before).then(|| Box::new(plan) as Box<dyn ServicePlan>)
}

impl ServicePlan for TicketPlan {
    /// A ticket is remembered when it is spent.
    fn remembers(&self) -> bool {
        false
    }

    fn tickets(&self) -> Vec<TicketUse> {
        vec![self.tickets.clone()]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        let terms = tools.terms(&self.tickets)?;
        let key = terms.keys.first().cloned().ok_or("there is no key to seal tickets with")?;
        let life: Seconds = self.tickets.life.unwrap_or(DEFAULT_LIFE).min(terms.max_life);
        let mint = Mint { key, issuer: terms.issuer.clone(), audience: terms.audience.clone(), max_life: life };
        Ok(Arc::new(AuthTicket { plan: self.clone(), mint, random: Arc::clone(tools.random) }))
    }
}

/// Gives tickets.
struct AuthTicket {
    plan: TicketPlan,
    mint: Mint,
    random: Arc<dyn Random>,
}

impl fmt::Debug for AuthTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthTicket").field("plan", &self.plan).finish_non_exhaustive()
    }
}

#[async_trait]
impl Service for AuthTicket {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let server = call.identity.ok_or(Refusal::CredentialMissing)?;
        // Whoever asks says whom the ticket is for. A user who could would be anybody.
        if server.scheme != SERVER_KEY {
            return Err(Refusal::PolicyDenied);
        }
        let body = match self.ticket(call, server) {
            Ok((user, ticket)) => envelope::success(&json!({ "userID": user, "ticket": ticket })),
            Err(breach) => envelope::failure(&breach.code, &breach.says, &breach.field, 400),
        };
        Ok(Reply { status: 200, headers: vec![envelope::content_type()], body, guessed: false })
    }
}

impl AuthTicket {
    /// Whom `server` asks for, and the ticket.
    fn ticket(&self, call: &Call<'_>, server: &Identity) -> Result<(Box<str>, String), Breach> {
        let profile = Profile::check(Product::PowerTalk, &profile::members(&call.body)?)?;
        let user: Box<str> = profile.get(USER).unwrap_or_default().into();
        let order = TicketOrder {
            subject: user.clone(),
            life: Some(self.mint.max_life),
            scopes: self.plan.scopes.clone(),
            single_use: true,
            bindings: self.bindings(&profile),
            claims: claims(&profile, server),
        };
        press(&self.mint, order, call.now, self.random.as_ref()).map(|minted| (user, minted.text)).map_err(|fault| {
            let (field, says) = match fault {
                MintError::Binding { .. } => (DEVICE_ID, "userDeviceID must be visible ASCII"),
                _ => ("", "the user data is too long for a ticket"),
            };
            Breach { code: envelope::PARAMETER_INVALID.into(), field: field.into(), says: says.into() }
        })
    }

    fn bindings(&self, profile: &Profile) -> Bindings {
        let device = profile.get(DEVICE_ID).filter(|_| self.plan.device);
        // Judged as an address already.
        let address = profile.get(ADDRESS).filter(|_| self.plan.address).and_then(|address| address.parse().ok());
        Bindings { address, device: device.map(Into::into), ..Bindings::default() }
    }
}

/// What the ticket says of the user, and who asked for it.
fn claims(profile: &Profile, server: &Identity) -> Value {
    let said = profile.fields().filter(|(name, _)| OF_THE_USER.contains(name));
    let mut claims: Vec<(Box<str>, Value)> = said.map(|(name, value)| (name.into(), value.into())).collect();
    let asker: [(Box<str>, Value); 2] = [("iss".into(), (&*server.issuer).into()), ("sub".into(), (&*server.subject).into())];
    claims.push((MINTED_BY.into(), Value::Map(asker.into())));
    Value::Map(claims.into())
}

#[cfg(test)]
mod tests;

//! `serve: ticket.mint`: a sealed ticket for whoever the rule has proven, or for whom they name.
//!
//! The conf says what may be asked for, and what it does not say may not: for whom, how long, with which scopes. A caller may
//! always ask for less than that (a shorter life, one use, a binding more), never for more. A ticket says who asked for it
//! (`minted_by`), and one that a caller gets for itself never outlives the credential it was asked for with.
//!
//! Never here: a claim of the request's own making; a ticket for a caller whom nobody has proven.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::domain::{Identity, Random, Refusal, Seconds, Timestamp, Value};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools, TicketUse};
use crate::issuer::services::submission::{Submission, Unread};
use crate::issuer::ticket::{DEFAULT_LIFE, Mint, Minted, TicketOrder, is_reserved, press};
use crate::jose::ticket::{Bindings, TicketTerms, id_text};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "ticket.mint",
    doc: "Mints a ticket for the caller, or for whom the caller names.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `ticket.mint`",
    doc: "Mints a ticket for whoever the rule has proven. POST, with nothing, a JSON object or a form: `subject`, `expires_in` (seconds), \
          `scope` (with spaces between), `single_use`, `bind` of `address`, `device`, `host`, `methods`, `path`. The answer is 201 with the \
          ticket. What is not allowed here is refused with 400, and `detail` says what is wrong.",
    keys: &[
        KeySpec::optional("tickets", Shape::Name("authenticators"), TICKETS),
        KeySpec::optional(
            "life",
            Shape::Duration { min: 1, max: 31_536_000 },
            "How long a ticket lives, unless the caller asks for less by `expires_in`. Unless written, `1h`, or the `max_life` of the \
             authenticator where that is less.",
        ),
        KeySpec::default(
            "single_use",
            Shape::Bool,
            "true",
            "Whether every ticket is for one use. With `false`, a ticket is for one use where the caller asks for it.",
        ),
        KeySpec::default(
            "bind",
            Shape::List { of: &Shape::OneOf(&["address", "device", "method", "path", "host"]), lone: true, min: 0 },
            "[]",
            "What every ticket must be bound to. The caller says to what; with `subject: identity`, address and device are the caller's own. \
             Bindings that are not named here may be asked for all the same.",
        ),
        KeySpec::default(
            "subject",
            Shape::OneOf(&["identity", "request"]),
            "identity",
            "Whom tickets are for: `identity`, the caller itself; `request`, whom the request names, for servers that ask on behalf of their \
             users.",
        ),
        KeySpec::optional(
            "scopes",
            Shape::List { of: &Shape::Text, lone: true, min: 0 },
            "What tickets may do: all of it, unless the caller asks for less by `scope`. With `subject: identity`, only what the caller may \
             do too. Without this key a ticket may do nothing, unless the caller asks for scopes of its own.",
        ),
        KeySpec::default(
            "claims",
            Shape::List { of: &Shape::Text, lone: true, min: 0 },
            "[]",
            "Claims of the caller that tickets take over, where the caller has them.",
        ),
    ],
};

/// The key `tickets` of every service that handles them.
const TICKETS: &str = "The authenticator of the scheme `ticket` that the tickets are for. Needed only where there are several.";

/// The claim that says who asked for a ticket.
const MINTED_BY: &str = "minted_by";

/// Everything that may be handed in.
const KNOWN: &[&str] =
    &["subject", "expires_in", "scope", "single_use", "bind.address", "bind.device", "bind.host", "bind.methods", "bind.path"];

/// What a ticket can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bond {
    Address,
    Device,
    Method,
    Path,
    Host,
}

/// Whom tickets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// The caller.
    Identity,
    /// Whom the caller names.
    Request,
}

/// The settings, proven.
#[derive(Debug, Clone)]
struct MintPlan {
    tickets: TicketUse,
    single_use: bool,
    bind: Box<[Bond]>,
    subject: For,
    /// `None` when nothing is written: only the caller's own.
    scopes: Option<Box<[Box<str>]>>,
    claims: Box<[Box<str>]>,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let empty = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    let section = Section::open(&SETTINGS, settings.unwrap_or(&empty), checking.faults)?;
    let before = checking.faults.errors();
    let span = section.node("tickets").map_or(at, |node| &node.span).clone();
    let bind = section.texts("bind").into_iter().filter_map(|word| match word {
        "address" => Some(Bond::Address),
        "device" => Some(Bond::Device),
        "method" => Some(Bond::Method),
        "path" => Some(Bond::Path),
        "host" => Some(Bond::Host),
        _ => None,
    });
    for item in section.items("scopes") {
        // RFC 6749 section 3.3.
        let sound = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if !item.as_text().is_some_and(sound) {
            checking.faults.error(&item.span, "this is not one scope; write several as a list: [a, b]");
        }
    }
    for key in ["scopes", "claims"] {
        let items = section.items(key);
        for (index, item) in items.iter().enumerate() {
            if items.iter().take(index).any(|earlier| earlier.as_text() == item.as_text()) {
                checking.faults.error(&item.span, "this stands here twice; remove one");
            }
        }
    }
    for item in section.items("claims") {
        if item.as_text().is_some_and(|name| is_reserved(name) || name == MINTED_BY) {
            checking.faults.error(&item.span, "a ticket has a field of this name already; remove it here");
        }
    }
    let plan = MintPlan {
        tickets: TicketUse {
            authenticator: section.text("tickets").map(str::to_owned),
            life: section.node("life").and_then(|_| section.seconds("life")),
            span,
        },
        single_use: section.flag("single_use"),
        bind: bind.collect(),
        subject: if section.text("subject") == Some("request") { For::Request } else { For::Identity },
        scopes: section.node("scopes").map(|_| section.texts("scopes").into_iter().map(Into::into).collect()),
        claims: section.texts("claims").into_iter().map(Into::into).collect(),
    };
    (checking.faults.errors() == before).then(|| Box::new(plan) as Box<dyn ServicePlan>)
}

impl ServicePlan for MintPlan {
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
        let life = self.tickets.life.unwrap_or(DEFAULT_LIFE).min(terms.max_life);
        let mint = Mint { key, issuer: terms.issuer.clone(), audience: terms.audience.clone(), max_life: life };
        Ok(Arc::new(TicketMint { plan: self.clone(), mint, terms, random: Arc::clone(tools.random) }))
    }
}

/// Mints tickets.
struct TicketMint {
    plan: MintPlan,
    mint: Mint,
    terms: Arc<TicketTerms>,
    random: Arc<dyn Random>,
}

impl fmt::Debug for TicketMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketMint").field("plan", &self.plan).finish_non_exhaustive()
    }
}

#[async_trait]
impl Service for TicketMint {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let caller = call.identity.ok_or(Refusal::CredentialMissing)?;
        let minted = self
            .order(call, caller)
            .and_then(|order| press(&self.mint, order, call.now, self.random.as_ref()).map_err(|fault| Unread::wrong(fault.to_string())));
        Ok(match minted {
            Ok(minted) => answer(&minted),
            Err(unread) => Reply::problem(call, &unread),
        })
    }
}

impl TicketMint {
    /// What `caller` asks for, as far as it may be asked for.
    fn order(&self, call: &Call<'_>, caller: &Identity) -> Result<TicketOrder, Unread> {
        let asked = Submission::read(call)?;
        asked.only(KNOWN)?;
        Ok(TicketOrder {
            subject: self.subject(&asked, caller)?,
            life: Some(self.life(&asked, caller, call.now)?),
            scopes: self.scopes(&asked, caller)?,
            single_use: self.single_use(&asked)?,
            bindings: self.bindings(&asked, call)?,
            claims: self.claims(caller),
        })
    }

    fn subject(&self, asked: &Submission, caller: &Identity) -> Result<Box<str>, Unread> {
        match (self.plan.subject, asked.text("subject")?) {
            (For::Request, Some(named)) => Ok(named.into()),
            (For::Request, None) => Err(Unread::wrong("say by `subject` whom the ticket is for")),
            (For::Identity, None) => Ok(caller.subject.clone()),
            (For::Identity, Some(named)) if *named == *caller.subject => Ok(named.into()),
            (For::Identity, Some(_)) => Err(Unread::wrong("`subject` can only be the caller's own here")),
        }
    }

    fn life(&self, asked: &Submission, caller: &Identity, now: Timestamp) -> Result<Seconds, Unread> {
        let most = self.mint.max_life;
        let life = match asked.number("expires_in")? {
            None => most,
            Some(seconds) => u32::try_from(seconds)
                .ok()
                .map(Seconds)
                .filter(|life| Seconds(0) < *life && *life <= most)
                .ok_or_else(|| Unread::wrong(format!("`expires_in` is between 1 and {} seconds", most.0)))?,
        };
        // Otherwise a credential could be stretched by trading it for tickets again and again.
        let left = match (self.plan.subject, caller.expires) {
            (For::Identity, Some(end)) => u32::try_from(end.0.saturating_sub(now.0)).unwrap_or(u32::MAX),
            (For::Identity, None) | (For::Request, _) => u32::MAX,
        };
        Ok(life.min(Seconds(left.max(1))))
    }

    fn scopes(&self, asked: &Submission, caller: &Identity) -> Result<Box<[Box<str>]>, Unread> {
        let held = |scope: &str| caller.scopes.iter().any(|own| **own == *scope);
        let allowed: Vec<&str> = match (&self.plan.scopes, self.plan.subject) {
            (Some(listed), For::Request) => listed.iter().map(|scope| &**scope).collect(),
            (Some(listed), For::Identity) => listed.iter().map(|scope| &**scope).filter(|scope| held(scope)).collect(),
            (None, _) => caller.scopes.iter().map(|scope| &**scope).collect(),
        };
        let given = match asked.text("scope")? {
            None if self.plan.scopes.is_some() => allowed,
            None => Vec::new(),
            Some(text) => {
                let mut wanted: Vec<&str> = text.split(' ').collect();
                if !wanted.iter().all(|scope| allowed.contains(scope)) {
                    return Err(Unread::wrong("`scope` asks for more than this ticket may have"));
                }
                wanted.sort_unstable();
                wanted.dedup();
                wanted
            }
        };
        Ok(given.into_iter().map(Into::into).collect())
    }

    fn single_use(&self, asked: &Submission) -> Result<bool, Unread> {
        let always = self.plan.single_use || self.terms.single_use;
        match asked.flag("single_use")? {
            Some(false) if always => Err(Unread::wrong("tickets are for one use here; leave `single_use` out")),
            wanted => Ok(always || wanted == Some(true)),
        }
    }

    fn bindings(&self, asked: &Submission, call: &Call<'_>) -> Result<Bindings, Unread> {
        let demanded = |bond: Bond| self.plan.bind.contains(&bond);
        let own = self.plan.subject == For::Identity;
        let missing = |path: &str| Err(Unread::wrong(format!("say by `{path}` what the ticket is bound to")));

        let mut address = match asked.text("bind.address")? {
            None => None,
            Some(text) => {
                let parsed: Option<IpAddr> = text.parse().ok();
                Some(parsed.ok_or(Unread::wrong("`bind.address` is an IP address"))?.to_canonical())
            }
        };
        if demanded(Bond::Address) && own {
            let client = call.request.client.to_canonical();
            if address.is_some_and(|named| named != client) {
                return Err(Unread::wrong("`bind.address` can only be the caller's own here"));
            }
            address = Some(client);
        }
        let mut device = asked.text("bind.device")?;
        if demanded(Bond::Device) && own {
            let Ok(Some(sent)) = call.request.sole_header(&self.terms.device) else {
                return Err(Unread::wrong(format!("tickets are bound to a device here; send the field {}", self.terms.device)));
            };
            if device.is_some_and(|named| named != sent) {
                return Err(Unread::wrong("`bind.device` can only be the caller's own here"));
            }
            device = Some(sent);
        }
        let host = asked.text("bind.host")?;
        let methods = asked.words("bind.methods")?.unwrap_or_default();
        let path = asked.text("bind.path")?;
        let rows = [
            (Bond::Address, address.is_some(), "bind.address"),
            (Bond::Device, device.is_some(), "bind.device"),
            (Bond::Host, host.is_some(), "bind.host"),
            (Bond::Method, !methods.is_empty(), "bind.methods"),
            (Bond::Path, path.is_some(), "bind.path"),
        ];
        if let Some((_, _, path)) = rows.into_iter().find(|(bond, given, _)| demanded(*bond) && !given) {
            return missing(path);
        }
        Ok(Bindings {
            address,
            device: device.map(Into::into),
            host: host.map(Into::into),
            methods: methods.into_iter().map(Into::into).collect(),
            path: path.map(Into::into),
        })
    }

    fn claims(&self, caller: &Identity) -> Value {
        let taken = self.plan.claims.iter().filter_map(|name| Some((name.clone(), caller.claims.member(name)?.to_value())));
        let asker: [(Box<str>, Value); 2] = [("iss".into(), (&*caller.issuer).into()), ("sub".into(), (&*caller.subject).into())];
        let mut claims: Vec<(Box<str>, Value)> = taken.collect();
        claims.push((MINTED_BY.into(), Value::Map(asker.into())));
        Value::Map(claims.into())
    }
}

/// 201: the ticket and what its bearer should know of it.
fn answer(minted: &Minted) -> Reply {
    let ticket = &minted.ticket;
    let mut body = json!({
        "ticket": minted.text,
        "token_type": "ticket",
        "jti": id_text(&ticket.id),
        "subject": ticket.subject,
        "single_use": ticket.single_use,
        "expires_in": ticket.expires.0.saturating_sub(ticket.issued.0),
        "expires_at": ticket.expires.0,
    });
    if let Some(members) = body.as_object_mut().filter(|_| !ticket.scopes.is_empty()) {
        members.insert("scope".to_owned(), ticket.scopes.join(" ").into());
    }
    Reply::json(201, &body)
}

#[cfg(test)]
mod tests;

//! The `http` renewer: an exchange that the conf describes, for issuers that speak no standard.
//!
//! The conf says what is sent (method, URL, header fields, a JSON or form body with places for credentials), where the answer holds
//! the pair, and which answers mean what. One exchange, over a connection of its own.
//!
//! Deliberately absent: credentials in the URL, which ends up in logs; redirects; a second try; anything but JSON in the answer's body.

pub mod reading;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Spent, Timestamp, TokenPair};
use crate::net::authorities::{Authorities, CA_KEY};
use crate::net::client::{Client, Exchange};
use crate::net::described::answer::{MATCHER, MATCHERS, Matcher, Pointer, no_pointer};
use crate::net::described::end::{End, NUMBER};
use crate::net::described::template::{Names, SECRETS_KEY, Unwritable};
use crate::net::described::{Described, FORM_KEY, HEADERS_KEY, URL_KEY};
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::renew::endpoint::{MAX_ANSWER, ask};
use crate::renew::handling::{EARLY_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY, REFRESH_FROM_KEY, RETRY_KEY, WAIT_KEY};
use crate::renew::http::reading::{Reading, Spot};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The renewer's line on the roll-call.
pub static ENTRY: RenewerEntry = RenewerEntry {
    name: "http",
    doc: "An exchange that the conf describes, for issuers that speak no standard.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `http` renewer",
    doc: "Asks an issuer as the conf describes. Texts of `headers`, `json` and `form` may hold {refresh}, {access}, {subject} and \
          {secrets.NAME}; what is put there is encoded for where it stands. `{{` and `}}` are the braces themselves.",
    keys: &[
        REFRESH_FROM_KEY,
        KeySpec::default("method", Shape::OneOf(&["POST", "PUT", "PATCH", "GET"]), "POST", "The method."),
        URL_KEY,
        HEADERS_KEY,
        KeySpec::optional(
            "json",
            Shape::Free("a mapping that is sent as JSON; its texts may hold {refresh}, {access}, {subject} and {secrets.NAME}"),
            "A JSON body. Either this or `form`, or neither.",
        ),
        FORM_KEY,
        SECRETS_KEY,
        KeySpec::required("answer", Shape::Section(&ANSWER), "Where the answer holds the pair."),
        KeySpec::optional("success", Shape::Section(&MATCHER), "Which answers bring a pair: those of status 200 unless written."),
        KeySpec::optional(
            "fatal",
            MATCHERS,
            "Which answers say that the credential renews nothing any more, so that its user must log in: those of status 400 and 401 unless \
             written. Asked first. A page (HTML) is never one. A session that keeps its pair is ended by what is written here only.",
        ),
        KeySpec::optional(
            "transient",
            MATCHERS,
            "Which answers say that nothing was done, so that it may be asked again: those of status 429 and 503 unless written. Every answer \
             that is none of the three leaves open whether the credential is spent.",
        ),
        RETRY_KEY,
        EARLY_KEY,
        WAIT_KEY,
        FLIGHT_KEY,
        GRACE_KEY,
        HAND_BACK_KEY,
        CA_KEY,
    ],
};

static ANSWER: SectionSpec = SectionSpec {
    title: "`answer`",
    doc: "Where the answer holds the pair: JSON Pointers (RFC 6901) such as `/data/token`, or header fields.",
    keys: &[
        KeySpec::optional("access", Shape::Text, "The access credential. Either this or `access_header`."),
        KeySpec::optional("access_header", Shape::HeaderName, "The header field of the answer whose whole value is the access credential."),
        KeySpec::optional("refresh", Shape::Text, "The refresh credential. Where the answer has none, the one that was spent stays good."),
        KeySpec::optional(
            "refresh_header",
            Shape::HeaderName,
            "The header field whose whole value is the refresh credential, in place of `refresh`. It may be that of `access_header`, for issuers \
             whose one token is presented and renewed with itself.",
        ),
        KeySpec::optional("expires_in", Shape::Section(&NUMBER), "How long the access credential lives."),
        KeySpec::optional("expires_at", Shape::Section(&NUMBER), "When it ends, since the Unix epoch. Either this or `expires_in`."),
        KeySpec::optional(
            "beside",
            Shape::Map(&Shape::Text),
            "What else of the answer is passed on by services that relay it to clients: names, and where each stands, as a JSON Pointer. What is \
             not there is left out.",
        ),
    ],
};

/// What may be put into the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Refresh,
    Access,
    Subject,
}

const PLACES: &[(&str, Put)] = &[("refresh", Put::Refresh), ("access", Put::Access), ("subject", Put::Subject)];

#[derive(Debug, Clone)]
struct HttpPlan {
    exchange: Described<Put>,
    reading: Reading,
    forgives_repeats: bool,
    authorities: Authorities,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let mut names = Names::new("renewer", PLACES);
    names.define_secrets(&section, checking);
    let exchange = Described::read(&section, &mut names, checking);
    // After a fault, what is not named here may be named in what could not be read.
    if before == checking.faults.errors() {
        if !names.says(Put::Refresh) && !names.says(Put::Access) {
            checking.faults.error(
                section.span(),
                "neither {refresh} nor {access} stands in `headers`, `json` or `form`, so nothing would be spent; write where it goes",
            );
        }
        names.warn_of_unused(&section, checking);
    }
    let reading = reading(&section, checking);
    let authorities = Authorities::read(&section, checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(HttpPlan {
        exchange: exchange?,
        reading: reading?,
        forgives_repeats: section.flag(RETRY_KEY.name),
        authorities: authorities?,
    }))
}

fn reading(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Reading> {
    let before = checking.faults.errors();
    let answer = Section::open(&ANSWER, section.node("answer")?, checking.faults)?;
    let access = spot(&answer, "access", "access_header", checking);
    if answer.node("access").is_none() && answer.node("access_header").is_none() {
        checking.faults.error(answer.span(), "`answer` says where the access credential stands: `access` or `access_header`");
    }
    let refresh = spot(&answer, "refresh", "refresh_header", checking);
    let end = End::under(&answer, checking);
    let beside = beside(&answer, checking);
    let fatal = Matcher::failures("fatal", &[400, 401], section, checking);
    let transient = Matcher::failures("transient", &[429, 503], section, checking);
    let success = section.node("success").map_or_else(|| Some(Matcher::of(&[200])), |node| Matcher::read(node, checking));
    if before != checking.faults.errors() {
        return None;
    }
    let ends = section.node("fatal").is_some();
    Some(Reading { fatal, ends, transient, success: success?, access: access?, refresh, end, beside })
}

/// What else is kept of an answer.
fn beside(answer: &Section<'_>, checking: &mut Checking<'_>) -> Box<[(Box<str>, Pointer)]> {
    let written = answer.node("beside").and_then(Node::as_map).unwrap_or_default();
    let pointers = written.iter().filter_map(|entry| {
        let pointer = Pointer::read(entry.node.as_text().unwrap_or_default());
        if pointer.is_none() {
            checking.faults.error(&entry.span, no_pointer(entry.node.as_text().unwrap_or_default()));
        }
        Some((entry.key.as_str().into(), pointer?))
    });
    pointers.collect()
}

/// Where a credential stands: under `pointer_key` of the body, or in the field that `field_key` names.
fn spot(section: &Section<'_>, pointer_key: &str, field_key: &str, checking: &mut Checking<'_>) -> Option<Spot> {
    match (section.node(pointer_key), section.node(field_key)) {
        (Some(_), Some(field)) => {
            checking.faults.error(&field.span, format!("a credential stands in one place, `{pointer_key}` or `{field_key}`; remove one"));
            None
        }
        (Some(_), None) => Pointer::under(pointer_key, section, checking).map(Spot::Body),
        (None, Some(_)) => section.header(field_key).map(Spot::Field),
        (None, None) => None,
    }
}

impl RenewerPlan for HttpPlan {
    fn build(&self, _name: &Arc<str>, tools: &RenewTools<'_>) -> Result<Arc<dyn Renewer>, String> {
        let client = self.authorities.client(tools.client)?;
        Ok(Arc::new(HttpRenewer { plan: self.clone(), deadline: tools.deadline, client }))
    }
}

struct HttpRenewer {
    plan: HttpPlan,
    deadline: Duration,
    client: Arc<Client>,
}

impl HttpRenewer {
    fn exchange(&self, spent: &Spent) -> Result<Exchange, Unwritable> {
        let filling = |put| match put {
            Put::Refresh => spent.refresh.expose(),
            Put::Access => spent.access.expose(),
            Put::Subject => spent.identity.subject.as_bytes(),
        };
        self.plan.exchange.exchange(&filling, self.deadline, MAX_ANSWER)
    }
}

#[async_trait]
impl Renewer for HttpRenewer {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        // It will not be writable next time either.
        let exchange = self.exchange(spent).map_err(|Unwritable| RenewError::Unaccepted { code: "unwritable" })?;
        self.plan.reading.read(&ask(&self.client, exchange).await?, now)
    }

    fn forgives_repeats(&self) -> bool {
        self.plan.forgives_repeats
    }
}

#[cfg(test)]
mod tests;

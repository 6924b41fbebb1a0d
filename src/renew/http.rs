//! The `http` renewer: an exchange that the conf describes, for issuers that speak no standard.
//!
//! The conf says what is sent (method, URL, header fields, a JSON or form body with places for credentials), where the answer holds
//! the pair, and which answers mean what. One exchange, over a connection of its own.
//!
//! Deliberately absent: credentials in the URL, which ends up in logs; redirects; a second try; anything but JSON in the answer's body.

pub mod reading;
pub mod template;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::domain::{Spent, Timestamp, TokenPair, Value};
use crate::net::authorities::{Authorities, CA_KEY, check_url};
use crate::net::client::{Client, Exchange};
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::renew::endpoint::{MAX_ANSWER, ask};
use crate::renew::form::Form;
use crate::renew::handling::{EARLY_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY, REFRESH_FROM_KEY, RETRY_KEY, WAIT_KEY, is_framing};
use crate::renew::http::reading::{End, Matcher, Pointer, Reading, Spot, Unit};
use crate::renew::http::template::{JsonTemplate, Names, Template, Unwritable};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape};

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
        KeySpec::required("url", Shape::Url, "Where to; https, or http on loopback. Nothing is put into it: URLs end up in logs."),
        KeySpec::optional("headers", Shape::Map(&Shape::Text), "Header fields to send."),
        KeySpec::optional(
            "json",
            Shape::Free("a mapping that is sent as JSON; its texts may hold {refresh}, {access}, {subject} and {secrets.NAME}"),
            "A JSON body. Either this or `form`, or neither.",
        ),
        KeySpec::optional("form", Shape::Map(&Shape::Text), "A body of form fields."),
        KeySpec::optional("secrets", Shape::Map(&Shape::Secret), "Secrets that the texts may name, as {secrets.NAME}."),
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
    ],
};

static NUMBER: SectionSpec = SectionSpec {
    title: "a time of the answer",
    doc: "A whole number, or one written as text. Where the answer has none, the end is not known.",
    keys: &[
        KeySpec::required("pointer", Shape::Text, "Where it stands."),
        KeySpec::required("unit", Shape::OneOf(&["seconds", "milliseconds"]), "What it counts."),
    ],
};

const MATCHERS: Shape = Shape::List { of: &Shape::Section(&MATCHER), lone: true, min: 1 };

static MATCHER: SectionSpec = SectionSpec {
    title: "a rule for answers",
    doc: "Which answers are meant: everything that is written must hold.",
    keys: &[
        KeySpec::optional(
            "status",
            Shape::List { of: &Shape::Count { min: 100, max: 599 }, lone: true, min: 1 },
            "Answers of one of these statuses; of any unless written.",
        ),
        KeySpec::optional("when", Shape::Section(&WHEN), "Answers that say this."),
    ],
};

static WHEN: SectionSpec = SectionSpec {
    title: "`when`",
    doc: "A place in the answer, and what stands there.",
    keys: &[
        KeySpec::required("pointer", Shape::Text, "The place, as a JSON Pointer."),
        KeySpec::required(
            "equals",
            Shape::List {
                of: &Shape::Either(&[Shape::Text, Shape::Count { min: i64::MIN, max: i64::MAX }, Shape::Bool]),
                lone: true,
                min: 1,
            },
            "The exact value, or a list of which one must be the value.",
        ),
    ],
};

#[derive(Debug, Clone)]
struct HttpPlan {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, Template)>,
    body: Body,
    reading: Reading,
    forgives_repeats: bool,
    authorities: Authorities,
}

#[derive(Debug, Clone)]
enum Body {
    Nothing,
    Json(JsonTemplate),
    Form(Vec<(Box<str>, Template)>),
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let url = check_url(&section, "url", checking);
    let method = Method::from_bytes(section.text("method")?.as_bytes()).ok()?;
    let mut names = secrets(&section, checking);
    let headers = headers(&section, &mut names, checking);
    let body = body(&section, &method, &mut names, checking);
    // After a fault, what is not named here may be named in what could not be read.
    let is_whole = before == checking.faults.errors();
    if is_whole && !names.spends {
        checking.faults.error(
            section.span(),
            "neither {refresh} nor {access} stands in `headers`, `json` or `form`, so nothing would be spent; write where it goes",
        );
    }
    for name in names.unused().filter(|_| is_whole) {
        checking.faults.warn(section.span_of("secrets"), format!("nothing says `{{secrets.{name}}}`; remove it, or use it"));
    }
    let reading = reading(&section, checking);
    let authorities = Authorities::read(&section, checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(HttpPlan {
        method,
        url: url?,
        headers,
        body: body?,
        reading: reading?,
        forgives_repeats: section.flag(RETRY_KEY.name),
        authorities: authorities?,
    }))
}

fn secrets(section: &Section<'_>, checking: &mut Checking<'_>) -> Names {
    let mut names = Names::default();
    for entry in section.node("secrets").and_then(Node::as_map).unwrap_or_default() {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if entry.key.is_empty() || !entry.key.bytes().all(is_plain) {
            checking.faults.error(&entry.span, "the name of a secret has letters, digits and `_`");
        }
        if let Some(secret) = checking.secret(&entry.node) {
            names.define(&entry.key, secret);
        }
    }
    names
}

fn headers(section: &Section<'_>, names: &mut Names, checking: &mut Checking<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for entry in section.node("headers").and_then(Node::as_map).unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            checking.faults.error(&entry.span, format!("`{}` is not a header field name (RFC 9110 section 5.1)", entry.key));
            continue;
        };
        if is_framing(&name) && name != CONTENT_TYPE || name.as_str() == "accept-encoding" {
            checking.faults.error(&entry.span, format!("`{name}` says how the message is read, and is written by the renewer itself"));
        }
        if headers.iter().any(|(other, _)| *other == name) {
            checking.faults.error(&entry.span, format!("`{name}` stands here twice; keep one of them"));
        }
        let text = entry.node.as_text().unwrap_or_default();
        let is_plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) && text.trim_ascii().len() == text.len();
        if !is_plain {
            checking.faults.error(
                &entry.node.span,
                "this holds characters that a header field cannot carry (line breaks, controls, spaces at an end)",
            );
        }
        match Template::read(text, names) {
            Ok(template) => headers.push((name, template)),
            Err(says) => checking.faults.error(&entry.node.span, says),
        }
    }
    headers
}

fn body(section: &Section<'_>, method: &Method, names: &mut Names, checking: &mut Checking<'_>) -> Option<Body> {
    let (json, form) = (section.node("json"), section.node("form"));
    if let Some(node) = json.or(form).filter(|_| *method == Method::GET) {
        checking.faults.error(&node.span, "a GET has no body; write another `method`");
        return None;
    }
    match (json, form) {
        (Some(_), Some(form)) => {
            checking.faults.error(&form.span, "a request has one body, `json` or `form`; remove one");
            None
        }
        (Some(json), None) if json.as_map().is_none() => {
            checking.faults.error(&json.span, format!("`json` must be a mapping; found {}", json.kind()));
            None
        }
        (Some(json), None) => match JsonTemplate::read(json, names) {
            Ok(template) => Some(Body::Json(template)),
            Err((node, says)) => {
                checking.faults.error(&node.span, says);
                None
            }
        },
        (None, Some(form)) => {
            let mut fields = Vec::new();
            for entry in form.as_map().unwrap_or_default() {
                match Template::read(entry.node.as_text().unwrap_or_default(), names) {
                    Ok(template) => fields.push((entry.key.as_str().into(), template)),
                    Err(says) => checking.faults.error(&entry.node.span, says),
                }
            }
            Some(Body::Form(fields))
        }
        (None, None) => Some(Body::Nothing),
    }
}

fn reading(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Reading> {
    let before = checking.faults.errors();
    let answer = Section::open(&ANSWER, section.node("answer")?, checking.faults)?;
    let access = spot(&answer, "access", "access_header", checking);
    if answer.node("access").is_none() && answer.node("access_header").is_none() {
        checking.faults.error(answer.span(), "`answer` says where the access credential stands: `access` or `access_header`");
    }
    let refresh = spot(&answer, "refresh", "refresh_header", checking);
    let end = match (answer.node("expires_in"), answer.node("expires_at")) {
        (Some(_), Some(at)) => {
            checking.faults.error(&at.span, "the end is said once, by `expires_in` or by `expires_at`; remove one");
            None
        }
        (Some(node), None) => number(node, checking).map(|(pointer, unit)| End::In(pointer, unit)),
        (None, Some(node)) => number(node, checking).map(|(pointer, unit)| End::At(pointer, unit)),
        (None, None) => None,
    };
    let fatal = matchers(section, "fatal", &[400, 401], checking);
    let transient = matchers(section, "transient", &[429, 503], checking);
    let success = section.node("success").map_or_else(|| Some(Matcher::of(&[200])), |node| matcher(node, checking));
    if before != checking.faults.errors() {
        return None;
    }
    let ends = section.node("fatal").is_some();
    Some(Reading { fatal, ends, transient, success: success?, access: access?, refresh, end })
}

/// Where a credential stands: under `pointer_key` of the body, or in the field that `field_key` names.
fn spot(section: &Section<'_>, pointer_key: &str, field_key: &str, checking: &mut Checking<'_>) -> Option<Spot> {
    match (section.node(pointer_key), section.node(field_key)) {
        (Some(_), Some(field)) => {
            checking.faults.error(&field.span, format!("a credential stands in one place, `{pointer_key}` or `{field_key}`; remove one"));
            None
        }
        (Some(_), None) => pointer(section, pointer_key, checking).map(Spot::Body),
        (None, Some(_)) => section.header(field_key).map(Spot::Field),
        (None, None) => None,
    }
}

fn pointer(section: &Section<'_>, key: &str, checking: &mut Checking<'_>) -> Option<Pointer> {
    let text = section.text(key)?;
    let pointer = Pointer::read(text);
    if pointer.is_none() {
        let says = format!("`{text}` is no JSON Pointer such as `/data/token` (RFC 6901); `~0` and `~1` stand for `~` and `/` in a name");
        checking.faults.error(section.span_of(key), says);
    }
    pointer
}

fn number(node: &Node, checking: &mut Checking<'_>) -> Option<(Pointer, Unit)> {
    let section = Section::open(&NUMBER, node, checking.faults)?;
    let unit = if section.text("unit") == Some("milliseconds") { Unit::Milliseconds } else { Unit::Seconds };
    Some((pointer(&section, "pointer", checking)?, unit))
}

/// The rules under `key`, which say that there is no pair; those of `usual` statuses unless written.
fn matchers(section: &Section<'_>, key: &str, usual: &[u16], checking: &mut Checking<'_>) -> Box<[Matcher]> {
    if section.node(key).is_none() {
        return [Matcher::of(usual)].into();
    }
    let mut read = Vec::new();
    for node in section.items(key) {
        let Some(matcher) = matcher(node, checking) else { continue };
        if matcher.when.is_none() && matcher.statuses.iter().any(|status| (200..300).contains(status)) {
            let says = format!("every success would be {key}; write with `when` which of them are meant");
            checking.faults.error(&node.span, says);
        }
        read.push(matcher);
    }
    read.into()
}

fn matcher(node: &Node, checking: &mut Checking<'_>) -> Option<Matcher> {
    let section = Section::open(&MATCHER, node, checking.faults)?;
    let status = |node: &Node| match node.value {
        NodeValue::Int(number) => u16::try_from(number).ok(),
        _ => None,
    };
    let statuses: Box<[u16]> = section.items("status").into_iter().filter_map(status).collect();
    let when = match section.node("when") {
        None => None,
        Some(node) => {
            let when = Section::open(&WHEN, node, checking.faults)?;
            let values = when.items("equals").into_iter().filter_map(value).collect();
            Some((pointer(&when, "pointer", checking)?, values))
        }
    };
    if statuses.is_empty() && when.is_none() {
        checking.faults.error(&node.span, "a rule without `status` and `when` would mean every answer; write one of them");
        return None;
    }
    Some(Matcher { statuses, when })
}

fn value(node: &Node) -> Option<Value> {
    match &node.value {
        NodeValue::Text(text) => Some(Value::from(text.as_str())),
        NodeValue::Int(number) => Some(Value::Int(*number)),
        NodeValue::Bool(flag) => Some(Value::Bool(*flag)),
        NodeValue::Null | NodeValue::Float(_) | NodeValue::List(_) | NodeValue::Map(_) => None,
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
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let body = match &self.plan.body {
            Body::Nothing => Bytes::new(),
            Body::Json(template) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                template.body(spent)?
            }
            Body::Form(fields) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                let mut form = Form::default();
                fields.iter().for_each(|(name, template)| form.push(name, &template.bytes(spent)));
                form.into_body()
            }
        };
        for (name, template) in &self.plan.headers {
            headers.insert(name.clone(), template.header(spent)?);
        }
        let exchange = Exchange::get(self.plan.url.clone(), self.deadline, MAX_ANSWER);
        Ok(Exchange { method: self.plan.method.clone(), headers, body, ..exchange })
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

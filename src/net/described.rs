//! An exchange that the conf describes, with a machine that speaks no standard.
//!
//! The conf says what is sent (method, URL, header fields, a JSON or form body with places for what is only known then); which
//! answers are meant, and where something stands in them, is in [`answer`] and [`end`]. What may be put into the places, and what
//! an answer comes to, is the business of whoever asks.
//!
//! Deliberately absent: anything put into the URL, which ends up in logs; redirects; a second try.

pub mod answer;
pub mod end;
pub mod template;

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::net::authorities::check_url;
use crate::net::client::Exchange;
use crate::net::described::template::{Filling, JsonTemplate, Names, Template, Unwritable};
use crate::net::form::Form;
use crate::settings::{Checking, KeySpec, Node, Section, Shape};

/// Where to ask.
pub const URL_KEY: KeySpec =
    KeySpec::required("url", Shape::Url, "Where to; https, or http on loopback. Nothing is put into it: URLs end up in logs.");

/// What is sent in the head.
pub const HEADERS_KEY: KeySpec = KeySpec::optional("headers", Shape::Map(&Shape::Text), "Header fields to send.");

/// What is sent as a form.
pub const FORM_KEY: KeySpec = KeySpec::optional("form", Shape::Map(&Shape::Text), "A body of form fields.");

/// An exchange, proven; `P` are the places of its templates.
#[derive(Debug, Clone)]
pub struct Described<P> {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, Template<P>)>,
    body: Body<P>,
}

#[derive(Debug, Clone)]
enum Body<P> {
    Nothing,
    Json(JsonTemplate<P>),
    Form(Vec<(Box<str>, Template<P>)>),
}

impl<P: Copy + PartialEq + Debug> Described<P> {
    /// Reads the keys `method`, `url`, `headers`, `json` and `form` of `section`, every one of which it must know; notes every
    /// fault, and returns `None` after one.
    pub fn read(section: &Section<'_>, names: &mut Names<P>, checking: &mut Checking<'_>) -> Option<Self> {
        let before = checking.faults.errors();
        let url = check_url(section, URL_KEY.name, checking);
        let method = Method::from_bytes(section.text("method")?.as_bytes()).ok()?;
        let headers = headers(section, names, checking);
        let body = body(section, &method, names, checking);
        if before != checking.faults.errors() {
            return None;
        }
        Some(Self { method, url: url?, headers, body: body? })
    }

    /// The exchange with `filling` in its places, within these bounds.
    ///
    /// # Errors
    ///
    /// [`Unwritable`] when something cannot stand where the conf wants it.
    pub fn exchange(&self, filling: Filling<'_, '_, P>, deadline: Duration, max_bytes: usize) -> Result<Exchange, Unwritable> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let body = match &self.body {
            Body::Nothing => Bytes::new(),
            Body::Json(template) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                template.body(filling)?
            }
            Body::Form(fields) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                let mut form = Form::default();
                fields.iter().for_each(|(name, template)| form.push(name, &template.bytes(filling)));
                form.into_body()
            }
        };
        for (name, template) in &self.headers {
            headers.insert(name.clone(), template.header(filling)?);
        }
        let exchange = Exchange::get(self.url.clone(), deadline, max_bytes);
        Ok(Exchange { method: self.method.clone(), headers, body, ..exchange })
    }
}

fn headers<P: Copy + PartialEq + Debug>(
    section: &Section<'_>,
    names: &mut Names<P>,
    checking: &mut Checking<'_>,
) -> Vec<(HeaderName, Template<P>)> {
    let mut headers: Vec<(HeaderName, Template<P>)> = Vec::new();
    for entry in section.node(HEADERS_KEY.name).and_then(Node::as_map).unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            checking.faults.error(&entry.span, format!("`{}` is not a header field name (RFC 9110 section 5.1)", entry.key));
            continue;
        };
        if is_framing(&name) && name != CONTENT_TYPE || name.as_str() == "accept-encoding" {
            let says = format!("`{name}` says how the message is read, and is written by the {} itself", names.whose());
            checking.faults.error(&entry.span, says);
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

fn body<P: Copy + PartialEq + Debug>(
    section: &Section<'_>,
    method: &Method,
    names: &mut Names<P>,
    checking: &mut Checking<'_>,
) -> Option<Body<P>> {
    let (json, form) = (section.node("json"), section.node(FORM_KEY.name));
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

/// Whether a field says how a message is read, or belongs to one connection.
#[must_use]
pub fn is_framing(name: &HeaderName) -> bool {
    const FRAMING: &[&str] = &[
        "accept-ranges",
        "connection",
        "content-encoding",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "date",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    FRAMING.contains(&name.as_str())
}

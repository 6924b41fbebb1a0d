//! `serve: hat.login`: a browser is sent to where the owner of a HAT logs in, or becomes one.
//!
//! The address is put together here, of what the conf says and a few values of the request that are shown to be what they claim:
//! an e-mail address, a language, one of our own callbacks, a HAT below an allowed domain. The browser is given a cookie by which
//! `hat.callback` knows it again. Pages of other sites begin no log-in.
//!
//! Source: the vendor's pages on registration (`application_id`, `email`, `redirect_uri`, `lang`, `skip_deps`) and its JavaScript client
//! (`#/hatlogin?name=&redirect=&fallback=`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{LOCATION, REFERRER_POLICY, SET_COOKIE};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::domain::{Random, Refusal};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::away::{Away, REDIRECT_KEY, fault_of};
use crate::issuer::services::begun;
use crate::issuer::services::form::Form;
use crate::issuer::services::place::SESSION_KEY;
use crate::issuer::services::submission::Unread;
use crate::issuer::session::Sessions;
use crate::issuer::session::origin::{self, Origin};
use crate::settings::host::{Suffix, is_canonical};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "hat.login",
    doc: "Sends a browser to register a HAT, or to log in at one (Dataswift).",
    shape: Shape::Section(&SETTINGS),
    methods: &["GET"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `hat.login`",
    doc: "Sends a browser to register (`?email=ADDRESS`, and `hat_name` where the conf says so), or with `?hat=NAME` to log in at that HAT. `lang` and `redirect_uri` may stand beside.",
    keys: &[
        SESSION_KEY,
        KeySpec::required("application", Shape::Text, "Our application, by its id at the vendor."),
        REDIRECT_KEY,
        KeySpec::default(
            "signup",
            Shape::Url,
            "https://hatters.dataswift.io/services/daas/signup",
            "Where HATs are registered. Newer: `https://auth.dataswift.io/services/signup`. For `register: baas`, unless written, \
             `https://hatters.dataswift.io/services/baas/signup`.",
        ),
        KeySpec::default(
            "register",
            Shape::OneOf(Registration::WORDS),
            "daas",
            "What is registered: `daas` a HAT with whatever name the vendor finds for it, `baas` one whose name the request says \
             (`?email=ADDRESS&hat_name=NAME`, with `newsletter_optin=true` or `false` beside), and neither `lang` nor `skip_deps`.",
        ),
        KeySpec::default(
            "redirect_parameter",
            Shape::Text,
            "redirect_uri",
            "What the registration calls the address that it sends the browser back to.",
        ),
        KeySpec::optional(
            "hats",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Domains of the HATs at which may be logged in, such as `hubofallthings.net`; whole labels. Without it, nobody is sent to a HAT.",
        ),
        KeySpec::optional(
            "fallback",
            Shape::Text,
            "Where a HAT sends a browser that cannot log in there. Where it comes back to unless written.",
        ),
        KeySpec::default("lang", Shape::Text, "en", "The language of the registration, where the request names none."),
        KeySpec::default(
            "skip_deps",
            Shape::Bool,
            "false",
            "Whether the set-up of data that the application depends on is left out; `hat.dataplug` then does it later.",
        ),
        KeySpec::optional("extra", Shape::Map(&Shape::Text), "Further parameters of the registration, such as `tags`."),
    ],
};

/// The settings, proven.
#[derive(Debug, Clone)]
struct LoginPlan {
    session: (String, Span),
    application: Box<str>,
    away: Away,
    signup: Url,
    registration: Registration,
    redirect_parameter: Box<str>,
    hats: Box<[Suffix]>,
    fallback: Option<Box<str>>,
    lang: Box<str>,
    skip_deps: bool,
    extra: Box<[(Box<str>, Box<str>)]>,
}

/// What is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registration {
    /// A HAT whose name the vendor finds.
    Daas,
    /// One whose name the request says.
    Baas,
}

impl Registration {
    /// The words of the conf.
    const WORDS: &'static [&'static str] = &["daas", "baas"];

    /// The one that the conf calls `word`.
    fn named(word: &str) -> Option<Self> {
        match word {
            "daas" => Some(Self::Daas),
            "baas" => Some(Self::Baas),
            _ => None,
        }
    }
}

/// Where HATs with a name of one's own are registered.
const BAAS: &str = "https://hatters.dataswift.io/services/baas/signup";

/// Parameters of a registration that are ours to write.
const OURS: [&str; 7] = ["application_id", "email", "redirect_uri", "lang", "skip_deps", "hat_name", "newsletter_optin"];

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let Some(node) = settings else {
        checking.faults.error(at, "say which application asks: `{ hat.login: { application: ID, session: NAME, redirect_uris: URL } }`");
        return None;
    };
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let away = Away::read(&section, checking);
    let mut hats = Vec::new();
    for node in section.items("hats") {
        match Suffix::read(node.as_text().unwrap_or_default()) {
            Ok(suffix) => hats.push(suffix),
            Err(says) => checking.faults.error(&node.span, says),
        }
    }
    for key in ["signup", "fallback"] {
        if let Some(says) = section.text(key).and_then(fault_of) {
            checking.faults.error(section.span_of(key), says);
        }
    }
    let registration = Registration::named(section.text("register")?)?;
    for key in ["lang", "skip_deps"] {
        if registration == Registration::Baas && section.node(key).is_some() {
            checking
                .faults
                .error(section.span_of(key), format!("`{key}` is no parameter of this registration; write it in `extra` if it is"));
        }
    }
    let redirect_parameter = section.text("redirect_parameter")?;
    let is_word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_word(redirect_parameter) || (redirect_parameter != "redirect_uri" && OURS.contains(&redirect_parameter)) {
        checking
            .faults
            .error(section.span_of("redirect_parameter"), "the name of a parameter has letters, digits and `_`, and is none of the others");
    }
    if section.text("lang").is_some_and(|lang| !is_language(lang)) {
        checking.faults.error(section.span_of("lang"), "`lang` is the code of a language, such as `en` or `pt-BR`");
    }
    let mut extra = Vec::new();
    for entry in section.node("extra").and_then(Node::as_map).unwrap_or_default() {
        if OURS.contains(&entry.key.as_str()) || entry.key == redirect_parameter {
            checking.faults.error(&entry.span, format!("`{}` is written by the service itself", entry.key));
        }
        extra.push((entry.key.as_str().into(), entry.node.as_text().unwrap_or_default().into()));
    }
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(LoginPlan {
        session: (section.text("session")?.to_owned(), section.span_of("session").clone()),
        application: section.text("application")?.into(),
        away: away?,
        signup: match registration {
            Registration::Baas if section.node("signup").is_none() => Url::parse(BAAS).ok()?,
            Registration::Baas | Registration::Daas => section.url("signup")?,
        },
        registration,
        redirect_parameter: redirect_parameter.into(),
        hats: hats.into(),
        fallback: section.text("fallback").map(Into::into),
        lang: section.text("lang")?.into(),
        skip_deps: section.flag("skip_deps"),
        extra: extra.into(),
    }))
}

impl ServicePlan for LoginPlan {
    fn sessions(&self) -> Vec<(String, Span)> {
        vec![self.session.clone()]
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        let sessions = tools.sessions.get(&self.session.0).map(Arc::clone);
        let sessions = sessions.ok_or_else(|| format!("`{}` has no sessions", self.session.0))?;
        Ok(Arc::new(Login { plan: self.clone(), sessions, random: Arc::clone(tools.random) }))
    }
}

/// Sends browsers away.
struct Login {
    plan: LoginPlan,
    sessions: Arc<Sessions>,
    random: Arc<dyn Random>,
}

impl Login {
    /// Where the browser goes.
    fn place(&self, form: &Form) -> Result<String, Unread> {
        const NO_CALLBACK: &str = "`redirect_uri` is none of the addresses that this application comes back to";
        let plan = &self.plan;
        let back = plan.away.choose(form.value("redirect_uri")).ok_or(Unread::wrong(NO_CALLBACK))?;
        if let Some(hat) = form.value("hat") {
            let known = is_canonical(hat) && plan.hats.iter().any(|suffix| suffix.covers(hat));
            if !known {
                return Err(Unread::wrong("`hat` is no HAT that can be logged in at here; write its name as `ada.example.net`"));
            }
            let query = Serializer::new(String::new())
                .append_pair("name", &plan.application)
                .append_pair("redirect", back)
                .append_pair("fallback", plan.fallback.as_deref().unwrap_or(back))
                .finish();
            return Ok(format!("https://{hat}/#/hatlogin?{query}"));
        }
        let email =
            form.value("email").filter(|email| is_email(email)).ok_or(Unread::wrong("`email` is an address such as `ada@example.net`"))?;
        let mut parameters: Vec<(&str, &str)> =
            vec![("application_id", &plan.application), ("email", email), (&plan.redirect_parameter, back)];
        match plan.registration {
            Registration::Daas => {
                let lang = form.value("lang").unwrap_or(&plan.lang);
                if !is_language(lang) {
                    return Err(Unread::wrong("`lang` is the code of a language, such as `en` or `pt-BR`"));
                }
                parameters.push(("lang", lang));
                parameters.extend(plan.skip_deps.then_some(("skip_deps", "true")));
            }
            Registration::Baas => {
                const NO_NAME: &str = "`hat_name` has up to 63 lower-case letters, digits and hyphens";
                const NO_CHOICE: &str = "`newsletter_optin` is `true` or `false`";
                parameters.push(("hat_name", form.value("hat_name").filter(|name| is_label(name)).ok_or(Unread::wrong(NO_NAME))?));
                match form.value("newsletter_optin") {
                    None => {}
                    Some(choice @ ("true" | "false")) => parameters.push(("newsletter_optin", choice)),
                    Some(_) => return Err(Unread::wrong(NO_CHOICE)),
                }
            }
        }
        let mut url = plan.signup.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(parameters);
            for (name, value) in &plan.extra {
                query.append_pair(name, value);
            }
        }
        Ok(url.into())
    }
}

#[async_trait]
impl Service for Login {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        if origin::of(call.request) == Origin::Elsewhere {
            return Err(Refusal::PolicyDenied);
        }
        if call.request.host.is_empty() {
            return Err(Refusal::HeadMalformed);
        }
        let form = Form::parse(call.request.target.query.as_deref().unwrap_or_default());
        let Some(form) = form else { return Ok(Reply::problem(call, &Unread::wrong("the query has no single reading"))) };
        let place = match self.place(&form) {
            Ok(place) => place,
            Err(unread) => return Ok(Reply::problem(call, &unread)),
        };
        let cookie = begun::begin(&self.sessions, call.request.host, form.value("hat"), self.random.as_ref()).ok_or(Refusal::Internal)?;
        let headers = vec![
            (LOCATION, HeaderValue::from_str(&place).map_err(|_| Refusal::Internal)?),
            (SET_COOKIE, cookie),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        Ok(Reply { status: 303, headers, body: Bytes::new(), guessed: false })
    }
}

/// Whether `text` can be the first part of a HAT's name (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `text` has the form of an e-mail address: printable ASCII about one `@`, within the length that mail allows (RFC 5321 section
/// 4.5.3.1). Whether there is anybody, the vendor finds out.
fn is_email(text: &str) -> bool {
    const LONGEST: usize = 254;
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),:;<>@[\\]".contains(&byte));
    text.len() <= LONGEST && text.split_once('@').is_some_and(|(local, domain)| plain(local) && local.len() <= 64 && plain(domain))
}

/// Whether `text` has the form of a language tag (RFC 5646), by its parts.
fn is_language(text: &str) -> bool {
    const LONGEST: usize = 35;
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let plain = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= LONGEST && parts.all(plain)
}

#[cfg(test)]
mod tests;

//! The settings of Janrain Capture at one rule, as written and as proven.
//!
//! What the vendor leaves open, or lets each customer decide, is said here with a default: forms and their fields, features of
//! endpoints, lives of tokens. Nothing of it is looked up anywhere.

use crate::domain::{Seconds, Secret};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// What may stand under `janrain`.
pub(super) static SETTINGS: SectionSpec = SectionSpec {
    title: "the system `janrain`",
    doc: "Janrain Capture at one rule.",
    keys: &[
        KeySpec::optional(
            "mount",
            Shape::Text,
            "The path under which Capture's own paths stand here, such as `/capture`. Paths outside it are none of its endpoints. Default: none.",
        ),
        KeySpec::optional(
            "redirect_uris",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "The only values that `redirect_uri` may have, compared byte for byte. Without it, every `http:` or `https:` address passes: name them.",
        ),
        KeySpec::optional(
            "default_flow_name",
            Shape::Text,
            "The flow of calls that name none, as the client's setting of this name at the vendor; it is written into them.",
        ),
        KeySpec::optional(
            "default_flow_version",
            Shape::Text,
            "The flow version of calls that name none, as the client's setting of this name at the vendor; it is written into them. Never `HEAD`.",
        ),
        KeySpec::optional(
            "forms",
            Shape::Map(&Shape::List { of: &Shape::Text, lone: true, min: 0 }),
            "The forms of the flow, by name (case counts), each with the fields that it cannot do without. Other forms are then refused. \
             Without it, the vendor decides.",
        ),
        KeySpec::default(
            "response_types",
            Shape::List { of: &Shape::OneOf(&RESPONSE_TYPES), lone: true, min: 1 },
            "[token, code, code_and_token]",
            "What callers may ask for.",
        ),
        KeySpec::optional(
            "grants",
            Shape::List { of: &Shape::OneOf(&GRANTS), lone: true, min: 1 },
            "What `/oauth/token` may be asked for. Default: both; with `application.client_secret`, `authorization_code` alone, since a refresh \
             token that somebody found would otherwise be good without any secret.",
        ),
        KeySpec::default(
            "token_life",
            Shape::Duration { min: 30, max: 3_600 },
            "10m",
            "How long after `auth_native` its one-time token may be used for `register_native`, or as `merge_token`.",
        ),
        KeySpec::default(
            "codes",
            Shape::OneOf(&["any", "seen"]),
            "any",
            "Which codes `/oauth/token` takes: any, which the vendor judges; or those alone that the same client was given in replies to calls \
             through here (`response_type: code`), at most `token_life` ago, and once. Codes that come another way, as by a hosted page, \
             are then refused.",
        ),
        KeySpec::default(
            "register_again",
            Shape::Bool,
            "false",
            "Whether `register_native` may be called with the same token again while `token_life` lasts, for forms that came back with code 390. \
             Otherwise `auth_native` is called once more before.",
        ),
        KeySpec::default(
            "window",
            Shape::Duration { min: 30, max: 900 },
            "300s",
            "How far the date of `/oauth/refresh_access_token` may lie in the past or the future. The vendor publishes no bound.",
        ),
        KeySpec::optional(
            "access_life",
            Shape::Duration { min: 60, max: 604_800 },
            "How long an access token lives whose reply does not say it, as of `auth_native`: the vendor's default is an hour. Without it, \
             such a token is used until it is refused.",
        ),
        KeySpec::optional(
            "features",
            Shape::Map(&Shape::List { of: &Shape::OneOf(&FEATURES), lone: true, min: 1 }),
            "Which of a client's features each endpoint asks for, any one of them, in place of the vendor's own table: by exact path, or with \
             `/**` at its end for everything below.",
        ),
        KeySpec::default(
            "plain_secrets",
            Shape::OneOf(&["refuse", "allow"]),
            "refuse",
            "Whether clients may send their secret itself (`Basic`, or in a body) over plain HTTP, and we `application.client_secret`. This \
             machine is exempt; where TLS ends in front of the proxy, name it under `trusted_proxies`.",
        ),
        KeySpec::optional("application", Shape::Section(&APPLICATION), "What we say on behalf of every caller, whatever it says itself."),
    ],
};

static APPLICATION: SectionSpec = SectionSpec {
    title: "`application`",
    doc: "The one application that calls Capture through this rule. What stands here is written into each call.",
    keys: &[
        KeySpec::required("client_id", Shape::Text, "The API client. It needs the feature `login_client` for `*_native` calls."),
        KeySpec::optional(
            "client_secret",
            Shape::Secret,
            "Its secret, for `/oauth/token` (as `Authorization: Basic`). It stays here: no page and no app needs it.",
        ),
        KeySpec::optional("flow", Shape::Text, "The flow. Without it, callers name it, or the client's own default counts."),
        KeySpec::optional("flow_version", Shape::Text, "Its version; never `HEAD`."),
        KeySpec::optional("locale", Shape::Text, "The locale, such as `en-US`."),
        KeySpec::optional("redirect_uri", Shape::Text, "The redirect address: begins with `http:` or `https:`."),
        KeySpec::optional("response_type", Shape::OneOf(&RESPONSE_TYPES), "What is asked for. Without it, callers say it."),
        KeySpec::optional(
            "origins",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Pages that may call besides those of this very host, such as `https://www.app.example`. Without it a page of another site could \
             log its visitors in as somebody else.",
        ),
    ],
};

/// Values of `response_type`; the first is the vendor's default.
pub(super) const RESPONSE_TYPES: [&str; 3] = ["token", "code", "code_and_token"];

/// Values of `grant_type`.
pub(super) const GRANTS: [&str; 2] = [AUTHORIZATION_CODE, REFRESH_TOKEN];
/// A code is brought.
pub(super) const AUTHORIZATION_CODE: &str = "authorization_code";
/// A refresh token is brought.
pub(super) const REFRESH_TOKEN: &str = "refresh_token";

/// Features that an API client may have.
pub(super) const FEATURES: [&str; 5] = ["owner", "access_issuer", "direct_access", "direct_read_access", "login_client"];

/// The settings, proven.
#[derive(Debug)]
pub(super) struct Rules {
    /// The path in front of Capture's own; empty for none.
    pub(super) mount: Box<str>,
    /// What `redirect_uri` may be; empty for every address of the web.
    pub(super) redirect_uris: Box<[Box<str>]>,
    /// Written into calls that name no flow.
    pub(super) default_flow_name: Option<Box<str>>,
    /// Written into calls that name no version.
    pub(super) default_flow_version: Option<Box<str>>,
    /// Forms with the fields that they need; empty where the vendor decides.
    pub(super) forms: Box<[(Box<str>, Box<[Box<str>]>)]>,
    /// What may be asked for.
    pub(super) response_types: Box<[Box<str>]>,
    /// What `/oauth/token` may be asked for.
    pub(super) grants: Box<[Box<str>]>,
    /// How long a one-time token is remembered.
    pub(super) token_life: Seconds,
    /// Whether a code must be one that its client was given here.
    pub(super) seen_codes: bool,
    /// Whether a registration may be sent again.
    pub(super) register_again: bool,
    /// For the date of a mobile refresh.
    pub(super) window: Seconds,
    /// How long a token lives of which nobody says it.
    pub(super) access_life: Option<Seconds>,
    /// In place of the vendor's table.
    pub(super) features: Box<[(Box<str>, Box<[Box<str>]>)]>,
    /// Whether a secret may come over plain HTTP.
    pub(super) plain_secrets: bool,
    /// What we say for every caller.
    pub(super) application: Option<Application>,
}

/// The one application behind a rule.
#[derive(Debug)]
pub(super) struct Application {
    /// The API client.
    pub(super) client_id: Box<str>,
    /// Its secret.
    pub(super) client_secret: Option<Secret>,
    /// Further parameters of `*_native` calls with the values that they have.
    pub(super) says: Box<[(&'static str, Box<str>)]>,
    /// Origins of pages that may call besides those of the same host.
    pub(super) origins: Box<[Box<str>]>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mount: "".into(),
            redirect_uris: Box::default(),
            default_flow_name: None,
            default_flow_version: None,
            forms: Box::default(),
            response_types: RESPONSE_TYPES.map(Into::into).into(),
            grants: GRANTS.map(Into::into).into(),
            token_life: Seconds(600),
            seen_codes: false,
            register_again: false,
            window: Seconds(300),
            access_life: None,
            features: Box::default(),
            plain_secrets: false,
            application: None,
        }
    }
}

impl Rules {
    /// Proves the settings, or notes every fault and returns `None`. Pure.
    pub(super) fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<Self> {
        let section = Section::open(&SETTINGS, node, checking.faults)?;
        let before = checking.faults.errors();
        let mount = section.text("mount").map(|mount| mount.strip_suffix('/').unwrap_or(mount)).unwrap_or_default();
        if !mount.is_empty() && !is_path(mount) {
            checking.faults.error(section.span_of("mount"), "`mount` is a path such as `/capture`, with nothing in it that needs escaping");
        }
        for uri in section.items("redirect_uris") {
            prove_address(uri, checking);
        }
        if let Some(version) = section.node("default_flow_version") {
            prove_version(version, checking);
        }
        let application = match section.node("application") {
            None => None,
            Some(node) => Application::prove(node, checking),
        };
        let features = mapped(&section, "features");
        for (path, _) in &features {
            if !is_path(path.strip_suffix("/**").unwrap_or(path)) {
                checking.faults.error(
                    section.span_of("features"),
                    format!("`{path}` is no path of Capture's, such as `/entity.find` or `/clients/**`"),
                );
            }
        }
        let holds_secret = application.as_ref().is_some_and(|application| application.client_secret.is_some());
        let mut grants = section.texts("grants");
        if grants.is_empty() {
            grants = if holds_secret { vec![AUTHORIZATION_CODE] } else { GRANTS.to_vec() };
        }
        if (checking.faults.errors() != before) || (section.node("application").is_some() && application.is_none()) {
            return None;
        }
        let boxed = |texts: Vec<&str>| texts.into_iter().map(Into::into).collect();
        Some(Self {
            mount: mount.into(),
            redirect_uris: boxed(section.texts("redirect_uris")),
            default_flow_name: section.text("default_flow_name").map(Into::into),
            default_flow_version: section.text("default_flow_version").map(Into::into),
            forms: mapped(&section, "forms"),
            response_types: boxed(section.texts("response_types")),
            grants: boxed(grants),
            token_life: section.seconds("token_life")?,
            seen_codes: section.text("codes") == Some("seen"),
            register_again: section.flag("register_again"),
            window: section.seconds("window")?,
            access_life: section.seconds("access_life"),
            features,
            plain_secrets: section.text("plain_secrets") == Some("allow"),
            application,
        })
    }

    /// Capture's own path where `path` is below the mount.
    pub(super) fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(&*self.mount).filter(|rest| rest.starts_with('/'))
    }
}

impl Application {
    fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<Self> {
        let section = Section::open(&APPLICATION, node, checking.faults)?;
        let before = checking.faults.errors();
        let client_secret = match section.node("client_secret") {
            None => None,
            Some(node) => Some(checking.secret(node)?),
        };
        if let Some(version) = section.node("flow_version") {
            prove_version(version, checking);
        }
        if let Some(uri) = section.node("redirect_uri") {
            prove_address(uri, checking);
        }
        let client_id = section.text("client_id")?;
        if client_id.contains(':') || client_id.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            checking.faults.error(section.span_of("client_id"), "`client_id` has neither colon nor space");
        }
        let origins = section.items("origins");
        for origin in &origins {
            if !origin.as_text().is_some_and(is_origin) {
                checking.faults.error(&origin.span, "an origin is `https://host` or `https://host:port`, in lower case and without a path");
            }
        }
        let origins = origins.into_iter().filter_map(Node::as_text).map(Box::from).collect();
        let told = ["flow", "flow_version", "locale", "redirect_uri", "response_type"];
        let says = told.into_iter().filter_map(|name| Some((name, section.text(name)?.into()))).collect();
        (checking.faults.errors() == before).then(|| Self { client_id: client_id.into(), client_secret, says, origins })
    }
}

/// The lists of texts under the names of the mapping `key`.
fn mapped(section: &Section<'_>, key: &str) -> Box<[(Box<str>, Box<[Box<str>]>)]> {
    let entries = section.node(key).and_then(Node::as_map).unwrap_or_default();
    let texts = |node: &Node| match (node.as_text(), node.as_list()) {
        (Some(text), _) => Box::from([Box::from(text)]),
        (None, items) => items.unwrap_or_default().iter().filter_map(Node::as_text).map(Box::from).collect(),
    };
    entries.iter().map(|entry| (entry.key.as_str().into(), texts(&entry.node))).collect()
}

fn prove_version(node: &Node, checking: &mut Checking<'_>) {
    if node.as_text().is_some_and(|text| text.eq_ignore_ascii_case("HEAD")) {
        checking.faults.error(&node.span, "`HEAD` is no flow version for API calls; write the version's number");
    }
}

fn prove_address(node: &Node, checking: &mut Checking<'_>) {
    if node.as_text().is_some_and(|text| !is_address(text)) {
        checking.faults.error(&node.span, "a redirect address begins with `http:` or `https:` and holds no control character");
    }
}

/// Whether `text` can be a redirect address: begins as the vendor demands, and is one line of visible text.
pub(super) fn is_address(text: &str) -> bool {
    (text.starts_with("http:") || text.starts_with("https:")) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` is an origin as browsers write it.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.starts_with('/') && text.len() > 1 && !text.ends_with('/') && !text.contains("//") && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;

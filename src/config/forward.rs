//! The keys `forward` and `preflight` of a rule: what happens with its requests. `serve` has a file of its own.
//!
//! What an upstream can be shown of the caller is the roll-call's to say: each countersigner's name is a key of the long form.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use url::Url;

use crate::config::plan::{ActionPlan, ForwardPlan, PreflightPlan};
use crate::config::root::opened;
use crate::config::serve::{self, Served};
use crate::countersign::COUNTERSIGNERS;
use crate::countersign::contract::CountersignerPlan;
use crate::countersign::firewall::reserved;
use crate::countersign::identity_headers::{self, IdentityHeaders};
use crate::domain::Seconds;
use crate::settings::{Checking, Choice, KeySpec, Node, Section, SectionSpec, Shape};

/// The shape of `forward`.
pub(super) const FORWARD: Shape = Shape::Either(&[Shape::Name("upstreams"), Shape::Section(&FORWARD_SECTION)]);

/// The shape of `preflight`.
pub(super) const PREFLIGHT: Shape = Shape::Either(&[Shape::OneOf(&["refuse", "forward"]), ANSWERED]);

const ANSWERED: Shape = Shape::Kind { what: "preflight", kinds: answers, beside: &[] };

static FORWARD_SECTION: SectionSpec = SectionSpec {
    title: "`forward`",
    doc: "Where a request goes, and what the upstream is shown of the caller. The name of an upstream alone stands for the long form with that upstream.",
    keys: &FORWARD_KEYS,
};

const OWN_KEYS: [KeySpec; 3] = [
    KeySpec::required("upstream", Shape::Name("upstreams"), "The upstream."),
    KeySpec::default(
        "keep_credential",
        Shape::Bool,
        "false",
        "Whether the client's credential stays in the request. An upstream that does not need it should not see it.",
    ),
    KeySpec::optional(
        "session_token",
        Shape::Section(&SESSION_TOKEN),
        "How the upstream is shown the access token that the caller's session keeps. Whatever the client writes there is taken off; a caller \
         without such a session is shown as nobody.",
    ),
];

static SESSION_TOKEN: SectionSpec = SectionSpec {
    title: "`session_token`",
    doc: "How the upstream is shown the access token that the caller's session keeps, renewed where it was.",
    keys: &[
        KeySpec::default("header", Shape::HeaderName, "Authorization", "The field."),
        KeySpec::optional("prefix", Shape::Text, "What stands before the token, its space included; `Bearer ` unless written."),
    ],
};

/// Our own keys, then one for each countersigner.
const FORWARD_KEYS: [KeySpec; OWN_KEYS.len() + COUNTERSIGNERS.len()] = {
    let [upstream, keep_credential, session_token] = OWN_KEYS;
    let mut keys = [session_token; OWN_KEYS.len() + COUNTERSIGNERS.len()];
    let (own, mut open) = keys.split_at_mut(OWN_KEYS.len());
    if let [first, second, ..] = own {
        (*first, *second) = (upstream, keep_credential);
    }
    let mut entries = COUNTERSIGNERS;
    while let ([key, later @ ..], [entry, others @ ..]) = (open, entries) {
        *key = KeySpec::optional(entry.name, entry.shape, entry.doc);
        (open, entries) = (later, others);
    }
    keys
};

static ANSWER: SectionSpec = SectionSpec {
    title: "`answer`",
    doc: "Preflights are answered by the proxy; methods are those of the rule.",
    keys: &[
        KeySpec::required(
            "origins",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Origins that may call: `https://app.example`. `*` for any, and then without cookies.",
        ),
        KeySpec::default(
            "headers",
            Shape::List { of: &Shape::HeaderName, lone: true, min: 0 },
            "[authorization, content-type]",
            "Request headers they may send.",
        ),
        KeySpec::default("credentials", Shape::Bool, "false", "Whether browsers may send cookies along."),
        KeySpec::default("max_age", Shape::Duration { min: 0, max: 86_400 }, "10m", "How long browsers may remember the answer."),
    ],
};

fn answers() -> Vec<Choice> {
    vec![Choice { name: "answer", shape: Shape::Section(&ANSWER), doc: ANSWER.doc }]
}

/// Proves what a rule does: exactly one of `forward` and `serve`. `public` says that the rule proves no identity.
pub(super) fn action(
    rule: &Section<'_>,
    upstreams: &[&str],
    public: bool,
    served: &Served<'_>,
    checking: &mut Checking<'_>,
) -> Option<ActionPlan> {
    match (rule.node("forward"), rule.node("serve")) {
        (Some(node), None) => forward(node, upstreams, public, checking).map(ActionPlan::Forward),
        (None, Some(node)) => serve::service(node, served, checking).map(ActionPlan::Serve),
        (Some(_), Some(serve)) => {
            checking.faults.error(&serve.span, "a rule has either `forward` or `serve`; remove one");
            None
        }
        (None, None) => {
            checking.faults.error(rule.span(), "a rule needs `forward: UPSTREAM`, or `serve: SERVICE` for what the proxy answers itself");
            None
        }
    }
}

fn forward(node: &Node, upstreams: &[&str], public: bool, checking: &mut Checking<'_>) -> Option<ForwardPlan> {
    let section = node.as_map().and_then(|_| opened(&FORWARD_SECTION, node));
    let name = match &section {
        Some(section) => section.text("upstream")?,
        None => node.as_text()?,
    };
    let upstream = upstreams.iter().position(|known| *known == name);
    let mut countersigners: Vec<Box<dyn CountersignerPlan>> = Vec::new();
    let mut complete = true;
    for entry in COUNTERSIGNERS {
        let written = section.as_ref().and_then(|section| section.node(entry.name));
        let Some(settings) = written else { continue };
        if public {
            let says = format!("`{}` has nobody to show: the rule says `authenticate: none`", entry.name);
            checking.faults.warn(&settings.span, says);
        }
        match (entry.plan)(settings, checking) {
            Some(plan) => countersigners.push(plan),
            None => complete = false,
        }
    }
    if section.as_ref().is_none_or(|section| section.node(identity_headers::ENTRY.name).is_none()) {
        // On public rules too: it then emits nothing, and its names are among those that no client may send.
        countersigners.push(Box::new(IdentityHeaders::standard()));
    }
    let keep_credential = section.as_ref().is_some_and(|section| section.flag("keep_credential"));
    let token = section.as_ref().and_then(|section| section.node("session_token"));
    let session_token = match token {
        None => None,
        Some(node) => match session_token(node, public, checking) {
            Some(shown) => Some(shown),
            None => {
                complete = false;
                None
            }
        },
    };
    complete.then_some(ForwardPlan { upstream: upstream?, countersigners, keep_credential, session_token })
}

fn session_token(node: &Node, public: bool, checking: &mut Checking<'_>) -> Option<(HeaderName, Box<str>)> {
    let section = opened(&SESSION_TOKEN, node)?;
    if public {
        checking.faults.warn(&node.span, "`session_token` has nobody to show: the rule says `authenticate: none`");
    }
    let header = HeaderName::from_bytes(section.text("header")?.as_bytes()).ok()?;
    let prefix = section.text("prefix").unwrap_or("Bearer ");
    // Those that say how a message is read, or whose connection it is, are nobody's to set.
    if header != AUTHORIZATION
        && header != COOKIE
        && let Some(why) = reserved(&header)
    {
        checking.faults.error(section.span_of("header"), format!("`{header}` cannot show a token: {why}"));
        return None;
    }
    if !prefix.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        checking.faults.error(section.span_of("prefix"), "`prefix` is text such as `Bearer `, of visible characters and spaces");
        return None;
    }
    Some((header, prefix.into()))
}

/// Proves `preflight`.
pub(super) fn preflight(rule: &Section<'_>, methods: &[Box<str>], checking: &mut Checking<'_>) -> Option<PreflightPlan> {
    let Some(node) = rule.node("preflight") else { return Some(PreflightPlan::Refuse) };
    match node.as_text() {
        Some("forward") => return Some(PreflightPlan::Forward),
        Some(_) => return Some(PreflightPlan::Refuse),
        None => {}
    }
    let section = opened(&ANSWER, &node.sole_entry()?.node)?;
    let credentials = section.flag("credentials");
    let mut origins = Vec::new();
    let mut complete = true;
    for item in section.items("origins") {
        let written = item.as_text()?;
        if let Some(fault) = fault_of_origin(written, credentials) {
            checking.faults.error(&item.span, fault);
            complete = false;
        }
        origins.push(written.into());
    }
    let headers = section.texts("headers").into_iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
    let max_age = section.seconds("max_age").unwrap_or(Seconds(0));
    complete.then(|| PreflightPlan::Answer { origins, headers, methods: methods.to_vec(), credentials, max_age })
}

/// What is wrong with `written` as an origin, if anything. It must be as browsers write it: they compare bytes.
fn fault_of_origin(written: &str, credentials: bool) -> Option<String> {
    if written == "*" {
        return credentials
            .then(|| "`*` together with `credentials: true` would let any site act as your users; name the origins".to_owned());
    }
    let origin =
        Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https")).map(|url| url.origin().ascii_serialization());
    match origin {
        Some(origin) if origin == written => None,
        Some(origin) => Some(format!("browsers write this origin `{origin}`; write it so")),
        None => Some(format!("`{written}` is no origin; write `https://app.example`")),
    }
}

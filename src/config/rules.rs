//! The section `rules`: which requests are let through, who must be calling, and where they go.
//!
//! Rules are proven one by one, then against each other: two that overlap without rank, and one that can never match.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::config::forward::{self, FORWARD, PREFLIGHT};
use crate::config::plan::{AuthenticatorPlan, PreflightPlan, RequirementPlan, RulePlan, Written};
use crate::config::requirement::{self, AUTHENTICATE};
use crate::config::root::{Root, fault_of_name, opened};
use crate::config::serve::{SERVE, Served};
use crate::config::system::{self, HARVEST, SYSTEM};
use crate::domain::Place;
use crate::policy::condition::Condition;
use crate::route::pattern::{HostPattern, Methods, PathPattern};
use crate::route::table::{Route, Table, TableFault};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The shape of `rules`.
pub(super) const RULES: Shape = Shape::List { of: &Shape::Section(&RULE), lone: false, min: 1 };

pub(super) static RULE: SectionSpec = SectionSpec {
    title: "a rule",
    doc: "Of the rules that match, the most specific one counts, wherever it stands: host exact before `*.suffix` before any; then path segment \
          by segment literal before `{name}` before `**`; then methods named before any.",
    keys: &[
        KeySpec::required("name", Shape::Text, "Its name in the audit record and the metrics."),
        KeySpec::required("match", Shape::Section(&MATCH), "Which requests it is for."),
        KeySpec::required(
            "authenticate",
            AUTHENTICATE,
            "Who must be calling: `none`, the name of an authenticator, or a tree of `{ any: [...] }`, `{ all: [...] }`, `{ optional: ... }`. \
             There is no default, so that no rule is public by omission.",
        ),
        KeySpec::optional(
            "authorize",
            Shape::List { of: &Shape::Expression, lone: true, min: 1 },
            "CEL expressions on `identity` and `request`, each of which must be true: `\"'chat:write' in identity.scopes\"`. 403 otherwise. \
             Fields that only the proxy writes (identity headers, `X-Forwarded-*`) are not among `request.headers`: a client's are forged.",
        ),
        KeySpec::optional(
            "scopes",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Scopes the caller must have, each of them. 403 names those that are demanded.",
        ),
        KeySpec::optional("forward", FORWARD, "Where its requests go. Either this or `serve`."),
        KeySpec::optional(
            "serve",
            SERVE,
            "What the proxy answers itself: the name of a service, or `{ NAME: SETTINGS }`. `jwks` publishes the public keys of what it signs.",
        ),
        KeySpec::optional(
            "system",
            SYSTEM,
            "The system whose own clients this rule serves, by name, or `{ NAME: SETTINGS }`: refusals are written in its words, its endpoints \
             are guarded by its rules, and its replies are read for credentials that have run out.",
        ),
        KeySpec::optional("harvest", HARVEST, "Who keeps the credentials that replies of the upstream bring."),
        KeySpec::default(
            "preflight",
            PREFLIGHT,
            "refuse",
            "What happens with CORS preflights: judged like any request, forwarded without identity, or answered here.",
        ),
        KeySpec::optional(
            "login",
            Shape::Text,
            "Where a browser navigation without a good credential is sent: a path of this host, or an absolute `https` URL. Other requests get 401.",
        ),
        KeySpec::default(
            "csrf",
            Shape::OneOf(&["on", "off"]),
            "on",
            "Whether unsafe methods with a cookie credential need proof that they come from the same origin.",
        ),
        KeySpec::default(
            "allow_semicolon",
            Shape::Bool,
            "false",
            "Whether the path may hold `;`. Some servers cut it off, and then the path that was judged is not the one that answers.",
        ),
    ],
};

static MATCH: SectionSpec = SectionSpec {
    title: "`match`",
    doc: "A request matches when its host, its path and its method do.",
    keys: &[
        KeySpec::optional(
            "hosts",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "`api.example`, or `*.example` for everything below. Any host unless written.",
        ),
        KeySpec::required(
            "paths",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "`/health`, `/users/{id}`, `/api/**`. The last also matches `/api`; `/**` matches everything.",
        ),
        KeySpec::optional(
            "methods",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "`GET`, `POST`, and so on; `GET` includes `HEAD`. Any method unless written.",
        ),
    ],
};

/// What rules are proven with.
pub(super) struct Around<'a> {
    /// Names under `upstreams`, in written order.
    pub(super) upstreams: &'a [&'a str],
    /// Names under `authenticators`, in written order.
    pub(super) names: &'a [&'a str],
    /// What they have been proven to be.
    pub(super) authenticators: &'a [Option<AuthenticatorPlan>],
}

/// Proves `rules`, each by itself and against the others; `None` when one is at fault.
pub(super) fn rules(root: &Root<'_>, around: &Around<'_>, checking: &mut Checking<'_>) -> Option<(Vec<RulePlan>, Table)> {
    let written = root.get("rules").and_then(Node::as_list)?;
    let mut seen: HashMap<&str, &Span> = HashMap::new();
    let mut plans = Vec::new();
    let mut routes = Vec::new();
    let mut spans = Vec::new();
    for node in written {
        let Some(section) = opened(&RULE, node) else { continue };
        let name = section.text("name")?;
        if let Some(first) = seen.insert(name, section.span_of("name")) {
            let says =
                format!("the rule `{name}` is written twice, first in line {}; records and metrics could not tell them apart", first.line);
            checking.faults.error(section.span_of("name"), says);
        }
        let (plan, route) = rule(name, &section, around, checking);
        if let Some(route) = route {
            routes.push(route);
            spans.push((name, section.node("match").map_or(section.span(), |node| &node.span)));
        }
        plans.push(plan);
    }
    let whole = routes.len() == written.len();
    let table = match Table::build(routes) {
        Ok(table) => Some(table),
        Err(faults) => {
            faults.iter().for_each(|fault| tell(fault, &spans, checking));
            None
        }
    };
    let plans: Vec<RulePlan> = plans.into_iter().collect::<Option<_>>()?;
    table.filter(|_| whole).map(|table| (plans, table))
}

/// Says what is wrong with two rules, at the later or the unreachable one.
fn tell(fault: &TableFault, spans: &[(&str, &Span)], checking: &mut Checking<'_>) {
    match fault {
        TableFault::Overlap { first, second, example } => {
            let (Some((first, at)), Some((second, later))) = (spans.get(*first), spans.get(*second)) else { return };
            let says = format!(
                "the rules `{first}` (line {}) and `{second}` both match `{example}`, and neither is more specific; narrow one of them",
                at.line
            );
            checking.faults.error(later, says);
        }
        TableFault::Unreachable { rule, by } => {
            let (Some((rule, at)), Some((by, other))) = (spans.get(*rule), spans.get(*by)) else { return };
            let says = format!(
                "the rule `{rule}` can never match: more specific rules, `{by}` (line {}) among them, take everything it is for; remove it",
                other.line
            );
            checking.faults.error(at, says);
        }
        TableFault::MatchesNothing { rule } => {
            let Some((rule, at)) = spans.get(*rule) else { return };
            checking.faults.error(at, format!("the rule `{rule}` names no path, so it would guard nothing"));
        }
    }
}

fn rule(name: &str, section: &Section<'_>, around: &Around<'_>, checking: &mut Checking<'_>) -> (Option<RulePlan>, Option<Route>) {
    if let Some(fault) = fault_of_name(name) {
        checking.faults.error(section.span_of("name"), fault);
    }
    let matched = section.node("match").and_then(|node| opened(&MATCH, node));
    let (written, route) = matched.map_or((Written::default(), None), |section| matching(&section, checking));
    let authenticate = section.node("authenticate");
    let requirement = authenticate.and_then(|node| requirement::requirement(node, around.names, checking));
    if let (Some(node), Some(requirement)) = (authenticate, &requirement) {
        requirement::refuse_unsatisfiable(requirement, around.authenticators, &node.span, checking);
        requirement::refuse_ambiguous(requirement, around.authenticators, &node.span, checking);
    }
    let conditions = conditions(section, checking);
    let scopes = scopes(section, checking);
    let login = login(section, checking);
    let public = requirement == Some(RequirementPlan::None);
    if let Some(requirement) = &requirement {
        identity_needed(requirement, section, checking);
    }
    let served = Served { requirement: requirement.as_ref(), methods: &written.methods, authenticators: around.authenticators };
    let action = forward::action(section, around.upstreams, public, &served, checking);
    let system = system::system(section, checking);
    let harvest = system::harvest(section, action.as_ref(), around.authenticators, checking);
    let preflight = forward::preflight(section, &written.methods, checking);
    let csrf = section.text("csrf") != Some("off");
    if let (Some(requirement), Some(preflight)) = (&requirement, &preflight) {
        browsers(requirement, preflight, csrf, &written, section, around, checking);
    }
    let plan = (|| {
        Some(RulePlan {
            name: Arc::from(name),
            written,
            requirement: requirement?,
            conditions: conditions?,
            scopes: scopes?,
            action: action?,
            preflight: preflight?,
            login: login?,
            csrf,
            allow_semicolon: section.flag("allow_semicolon"),
            system: system?,
            harvest: harvest?,
        })
    })();
    (plan, route)
}

/// What the rule matches, as written and as proven; no route when a pattern is at fault.
fn matching(section: &Section<'_>, checking: &mut Checking<'_>) -> (Written, Option<Route>) {
    let hosts = patterns(section, "hosts", checking, HostPattern::parse);
    let paths = patterns(section, "paths", checking, PathPattern::parse);
    let methods = patterns(section, "methods", checking, |name| Methods::parse([name]).map(|_| ()));
    let text = |key: &str| -> Vec<Box<str>> { section.texts(key).into_iter().map(Box::from).collect() };
    let written = Written { hosts: text("hosts"), paths: text("paths"), methods: text("methods") };
    let route = (|| {
        methods?;
        let methods = match section.node("methods") {
            None => None,
            Some(_) => Some(Methods::parse(section.texts("methods")).ok()?),
        };
        let hosts = hosts.map(|hosts| if hosts.is_empty() { vec![HostPattern::Any] } else { hosts });
        Some(Route { hosts: hosts?, paths: paths?, methods })
    })();
    (written, route)
}

/// The items of `key`, each parsed and none written twice; `None` when one is at fault.
fn patterns<T>(section: &Section<'_>, key: &str, checking: &mut Checking<'_>, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
    let mut parsed = Vec::new();
    let mut complete = true;
    let items = section.items(key);
    for (index, item) in items.iter().enumerate() {
        let text = item.as_text()?;
        if items.iter().take(index).any(|earlier| earlier.as_text() == Some(text)) {
            checking.faults.error(&item.span, format!("`{text}` stands here twice; remove one"));
            complete = false;
            continue;
        }
        match parse(text) {
            Ok(pattern) => parsed.push(pattern),
            Err(says) => {
                checking.faults.error(&item.span, says);
                complete = false;
            }
        }
    }
    complete.then_some(parsed)
}

fn conditions(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Vec<Arc<Condition>>> {
    let mut conditions = Vec::new();
    let mut complete = true;
    for item in section.items("authorize") {
        match Condition::compile(item.as_text()?) {
            Ok(condition) => conditions.push(Arc::new(condition)),
            Err(says) => {
                checking.faults.error(&item.span, says);
                complete = false;
            }
        }
    }
    complete.then_some(conditions)
}

fn scopes(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Vec<Box<str>>> {
    let mut scopes: Vec<Box<str>> = Vec::new();
    let mut complete = true;
    for item in section.items("scopes") {
        let scope = item.as_text()?;
        // RFC 6749 section 3.3.
        if !scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            let says = format!("`{}` is not one scope; write several as a list: [a, b]", scope.escape_debug());
            checking.faults.error(&item.span, says);
            complete = false;
        }
        scopes.push(scope.into());
    }
    complete.then_some(scopes)
}

/// `None` when at fault, `Some(None)` when not written.
fn login(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Option<Arc<str>>> {
    let Some(text) = section.text("login") else { return Some(None) };
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let own_path = text.starts_with('/') && !text.starts_with("//");
    let absolute = Url::parse(text).is_ok_and(|url| {
        url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url))) && url.username().is_empty()
    });
    if plain && (own_path || absolute) {
        return Some(Some(Arc::from(text)));
    }
    let says =
        format!("`login` must be a path such as `/login` or a URL such as `https://id.example/login`; found `{}`", text.escape_debug());
    checking.faults.error(section.span_of("login"), says);
    None
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A public rule cannot ask who is calling.
fn identity_needed(requirement: &RequirementPlan, section: &Section<'_>, checking: &mut Checking<'_>) {
    let public = *requirement == RequirementPlan::None;
    if let Some(node) = section.node("scopes") {
        if public {
            let says = "nobody is asked who they are (`authenticate: none`), so nobody has scopes; name an authenticator or remove this";
            checking.faults.error(&node.span, says);
        } else if requirement.admits_anyone() {
            let says =
                "callers without credential are let through by `authenticate`, then refused here for want of scopes; drop `optional`";
            checking.faults.warn(&node.span, says);
        }
    }
    if public {
        for item in section.items("authorize") {
            if item.as_text().is_some_and(names_identity) {
                let says = "this asks who is calling, but nobody is asked who they are (`authenticate: none`); name an authenticator or remove this";
                checking.faults.error(&item.span, says);
            }
        }
        if let Some(node) = section.node("login") {
            checking.faults.warn(&node.span, "nobody is ever sent to `login` by a rule with `authenticate: none`");
        }
    }
}

/// Warns where browsers are clearly meant to call and cannot.
fn browsers(
    requirement: &RequirementPlan,
    preflight: &PreflightPlan,
    csrf: bool,
    written: &Written,
    section: &Section<'_>,
    around: &Around<'_>,
    checking: &mut Checking<'_>,
) {
    let cookies = requirement
        .authenticators()
        .iter()
        .filter_map(|index| around.authenticators.get(*index)?.as_ref())
        .any(|plan| plan.scheme.looks_at().iter().any(|place| matches!(place, Place::Cookie(_))));
    if !csrf && cookies {
        let says = "with `csrf: off` any site that a logged-in user visits can act in their name; turn it off for test drives only";
        checking.faults.warn(section.span_of("csrf"), says);
    }
    let names_options = written.methods.iter().any(|method| **method == *"OPTIONS");
    if *preflight == PreflightPlan::Refuse && !requirement.admits_anyone() && (names_options || (!csrf && cookies)) {
        let says =
            "browsers send preflights (OPTIONS) without credential, and this rule refuses them; set `preflight: answer` or `forward`";
        checking.faults.warn(section.span(), says);
    }
}

/// Whether an expression names `identity`. A text that merely holds the word in quotes counts too: it is then written in
/// a rule that proves no identity, and someone should look.
fn names_identity(expression: &str) -> bool {
    let letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    expression.match_indices("identity").any(|(at, word)| {
        let bytes = expression.as_bytes();
        let before = at.checked_sub(1).and_then(|index| bytes.get(index));
        !letter(before) && before != Some(&b'.') && !letter(bytes.get(at + word.len()))
    })
}

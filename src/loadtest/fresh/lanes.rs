//! Which requests reach which rule of a conf, with which credentials.
//!
//! A rule makes one lane for each way through its requirement: for each alternative of an `any`, one for all of an `all`. What
//! cannot be put under load is told with its reason, never passed over.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;

use crate::demo::credentials::server_key;
use crate::demo::issuer::DemoIssuer;
use crate::domain::{Random, Seconds, Timestamp};
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::fresh::keyring::Keyring;
use crate::loadtest::fresh::presenters::Presenters;
use crate::loadtest::fresh::sections::{BARE, listed};
use crate::loadtest::lane::{Arm, Expected, Lane, Lasting, Maker, Shot, Supply};
use crate::loadtest::mix::{Kind, Mix};

/// What lanes are made of.
pub struct Means {
    /// The other half of the conf's keys.
    pub keyring: Keyring,
    /// Who answers for every issuer; `None` where nobody stands in for them.
    pub issuer: Option<Arc<DemoIssuer>>,
    /// Scopes that good callers have.
    pub scopes: Vec<String>,
    /// Claims that good tokens have besides.
    pub claims: Vec<(String, Value)>,
    /// Distinct callers of each lane.
    pub callers: usize,
    /// How often each kind is sent.
    pub mix: Mix,
    /// What `Host` says where a rule names none.
    pub authority: String,
    /// Fields that every request has besides.
    pub headers: Vec<(String, String)>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
}

/// The lanes of a conf, and what is left out.
#[derive(Default)]
pub struct Lanes {
    /// What can be sent.
    pub lanes: Vec<Lane>,
    /// What cannot: rule and reason.
    pub left_out: Vec<(String, String)>,
}

/// Distinct requests of what is refused: enough that no two in flight are the same.
const REFUSED_CALLERS: usize = 50;

impl Lanes {
    /// The lanes of `conf`; of the rules called `only`, unless that is empty.
    #[must_use]
    pub fn of(conf: &Value, means: &Means, only: &[String]) -> Self {
        let mut lanes = Self::default();
        let mut presenters = Presenters::new(conf, means);
        for rule in conf.get("rules").and_then(Value::as_array).into_iter().flatten() {
            let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
            if name == "countersign-bench" || (!only.is_empty() && !only.iter().any(|each| each == name)) {
                continue;
            }
            match ways(rule) {
                Err(why) => lanes.left_out.push((name.to_owned(), why)),
                Ok(ways) => {
                    for way in ways {
                        let label = format!("{name} · {}", way.join("+"));
                        match lane(&label, rule, &way, &mut presenters) {
                            Ok(lane) => lanes.lanes.push(lane),
                            Err(why) => lanes.left_out.push((label, why)),
                        }
                    }
                }
            }
        }
        for name in only {
            let known = conf.get("rules").and_then(Value::as_array).into_iter().flatten();
            if !known.filter_map(|rule| rule.get("name")).any(|each| each == name.as_str()) {
                lanes.left_out.push((name.clone(), "there is no rule of this name".to_owned()));
            }
        }
        lanes
    }
}

/// The request without a credential, for comparison.
///
/// # Errors
///
/// The authority is none.
pub fn bare(path: Option<&str>, authority: &str) -> Result<Shot, String> {
    request("GET", path.unwrap_or(BARE), authority, Presented::default())
}

/// Requests that open sessions, `count` for each kind of them: the authenticator of scheme `session`, and what to send. Only those that
/// a rule of the conf opens in exchange for credentials that can be made here.
#[must_use]
pub fn openings(conf: &Value, means: &Means, count: u64, now: Timestamp) -> Vec<(String, Vec<Shot>)> {
    let mut presenters = Presenters::new(conf, means);
    let mut found: Vec<(String, Vec<Shot>)> = Vec::new();
    for rule in conf.get("rules").and_then(Value::as_array).into_iter().flatten() {
        let session = rule.get("serve").and_then(|serve| serve.get("session.open")).and_then(|open| open.get("session"));
        let Some(session) = session.and_then(Value::as_str).filter(|name| found.iter().all(|(known, _)| known != name)) else { continue };
        for way in through(rule.get("authenticate").unwrap_or(&Value::Null)) {
            let shots =
                template(rule, &way, &mut presenters).and_then(|template| (0..count).map(|number| template.make(number, now)).collect());
            if let Ok(shots) = shots {
                found.push((session.to_owned(), shots));
                break;
            }
        }
    }
    found
}

/// The host, without a port, at which the authenticator `name` is asked first.
pub(super) fn host_at(conf: &Value, means: &Means, name: &str) -> Option<String> {
    let rules = conf.get("rules").and_then(Value::as_array)?;
    let rule = rules.iter().find(|rule| ways(rule).is_ok_and(|ways| ways.iter().flatten().any(|each| each == name)))?;
    let (_, authority) = sent_to(rule, means);
    let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    Some(host.map_or(authority.as_str(), |(host, _)| host).to_ascii_lowercase())
}

/// Services that grant something to whoever is proven, as often as asked, and ask for nothing else.
const GRANTING: [&str; 2] = ["ticket.mint", "session.open"];

/// The service of ours that answers `rule`, if one does.
fn served(rule: &Value) -> Option<&str> {
    match rule.get("serve")? {
        Value::String(name) => Some(name),
        settings => settings.as_object()?.keys().next().map(String::as_str),
    }
}

/// Every way through the requirement of `rule`: authenticators that must all be satisfied.
fn ways(rule: &Value) -> Result<Vec<Vec<String>>, String> {
    match served(rule) {
        Some(service) if !GRANTING.contains(&service) => return Err(format!("the proxy answers it itself, by `{service}`")),
        // A refusal must be known by its status where nobody but the proxy answers.
        Some(_) if rule.get("system").is_some() => return Err("the proxy answers it itself, in the words of its system".to_owned()),
        _ => {}
    }
    if rule.get("harvest").is_some() {
        return Err("it keeps credentials that the service behind would have to give".to_owned());
    }
    let ways = through(rule.get("authenticate").unwrap_or(&Value::Null));
    if ways.is_empty() { Err("it asks for no credential".to_owned()) } else { Ok(ways) }
}

fn through(requirement: &Value) -> Vec<Vec<String>> {
    if let Some(name) = requirement.as_str() {
        return if name == "none" { Vec::new() } else { vec![vec![name.to_owned()]] };
    }
    let branches = |key: &str| requirement.get(key).and_then(Value::as_array);
    if let Some(branches) = branches("any") {
        return branches.iter().flat_map(through).collect();
    }
    if let Some(branches) = branches("all") {
        // The first way of each: every alternative of every branch would be a great many.
        let all: Vec<String> = branches.iter().filter_map(|branch| through(branch).into_iter().next()).flatten().collect();
        return if all.is_empty() { Vec::new() } else { vec![all] };
    }
    requirement.get("optional").map(through).unwrap_or_default()
}

/// Whether a request without a credential passes.
fn admits_anyone(requirement: &Value) -> bool {
    let branches = |key: &str| requirement.get(key).and_then(Value::as_array);
    requirement.as_str() == Some("none")
        || requirement.get("optional").is_some()
        || branches("any").is_some_and(|branches| branches.iter().any(admits_anyone))
        || branches("all").is_some_and(|branches| branches.iter().all(admits_anyone))
}

/// Requests of one kind.
#[derive(Clone)]
struct Template {
    presenters: Vec<Arc<dyn Presenter>>,
    kind: Kind,
    asked: Asked,
    authority: String,
    /// Added to the caller's number, so that what is spent is nobody else's.
    offset: u64,
    /// What clients send besides.
    besides: Presented,
}

impl Maker for Template {
    fn make(&self, number: u64, now: Timestamp) -> Result<Shot, String> {
        let mut presented = self.besides.clone();
        for (index, presenter) in self.presenters.iter().enumerate() {
            // Of several, the first is what is wrong with the request.
            let kind = if index == 0 && self.kind != Kind::Replayed { self.kind } else { Kind::Good };
            if kind != Kind::Absent {
                presented = presented.and(presenter.present(kind, number.wrapping_add(self.offset), &self.asked, now)?);
            }
        }
        request(&self.asked.method, &self.asked.path, &self.authority, presented)
    }
}

/// Good requests for `rule`, by the authenticators of `way`.
fn template(rule: &Value, way: &[String], presenters: &mut Presenters<'_>) -> Result<Template, String> {
    let held: Result<Vec<Arc<dyn Presenter>>, String> =
        way.iter().map(|name| presenters.of(name).map(|(presenter, _)| presenter)).collect();
    let (asked, authority) = sent_to(rule, presenters.means);
    let besides = of_system(rule).and(Presented { headers: presenters.means.headers.clone(), ..Presented::default() });
    Ok(Template { presenters: held?, kind: Kind::Good, asked, authority, offset: 0, besides })
}

/// A request that matches `rule`, and its `Host`.
pub(super) fn sent_to(rule: &Value, means: &Means) -> (Asked, String) {
    let matched = rule.get("match");
    let first = |key: &str| matched.and_then(|matched| matched.get(key)).into_iter().flat_map(listed).next();
    let asked = Asked {
        method: first("methods").unwrap_or(if served(rule).is_some() { "POST" } else { "GET" }).to_owned(),
        path: example(first("paths").unwrap_or("/")),
    };
    (asked, first("hosts").map_or_else(|| means.authority.clone(), |host| host.replacen("*.", "bench.", 1)))
}

/// What clients of the rule's system send beside their credential.
fn of_system(rule: &Value) -> Presented {
    let system = rule.get("system");
    let taptalk = system.and_then(|system| system.get("taptalk"));
    if taptalk.is_none() && system.and_then(Value::as_str) != Some("taptalk") {
        return Presented::default();
    }
    // Back ends present a Server-Key and are no app.
    let app = taptalk.and_then(|settings| settings.get("apps")).into_iter().flat_map(listed).next();
    let Some(app) = app else { return Presented::default() };
    ["device-identifier", "device-model", "device-platform"]
        .into_iter()
        .fold(Presented::header("app-key", server_key(app, "bench")), |all, name| all.and(Presented::header(name, "bench".to_owned())))
}

fn lane(label: &str, rule: &Value, way: &[String], presenters: &mut Presenters<'_>) -> Result<Lane, String> {
    let means = presenters.means;
    let schemes: Vec<&str> = way.iter().map(|name| presenters.of(name).map(|(_, scheme)| scheme)).collect::<Result<_, _>>()?;
    let good = template(rule, way, presenters)?;
    let held = &good.presenters;
    let single = held.iter().any(|presenter| presenter.lasting() == Lasting::Once);
    let lasting = held.iter().map(|presenter| presenter.lasting()).min_by_key(|lasting| match lasting {
        Lasting::Once => 0,
        Lasting::For(life) => life.0,
    });
    let open = admits_anyone(rule.get("authenticate").unwrap_or(&Value::Null));
    let mut arms = Vec::new();
    for kind in Kind::ALL {
        let makes = held.first().is_some_and(|presenter| presenter.makes(kind));
        let (sent, lasting, callers, offset) = match kind {
            Kind::Good => (makes, lasting.unwrap_or(Lasting::Once), means.callers, 0),
            Kind::Expired | Kind::Forged => (makes, Lasting::For(Seconds(120)), REFUSED_CALLERS.min(means.callers), 0),
            Kind::Replayed => (single, Lasting::For(Seconds(u32::MAX)), REFUSED_CALLERS.min(means.callers), 1 << 40),
            Kind::Absent => (true, Lasting::For(Seconds(u32::MAX)), 1, 0),
        };
        if !sent {
            continue;
        }
        let passes = kind == Kind::Good || kind == Kind::Absent && open;
        let expected = match (passes, served(rule).is_some()) {
            (true, false) => Expected::Passes,
            (false, false) => Expected::Refused,
            (true, true) => Expected::Served,
            (false, true) => Expected::Unserved,
        };
        let template = Template { kind, offset, ..good.clone() };
        let supply = Supply::new(Box::new(template), lasting, callers);
        arms.push(Arm { kind, expected, weight: means.mix.weight(kind), supply });
    }
    Ok(Lane { name: label.into(), scheme: schemes.join("+").into(), arms })
}

/// A path that `pattern` matches: `{name}` and `**` are filled in.
fn example(pattern: &str) -> String {
    let segment = |part: &str| match part {
        "**" => "bench".to_owned(),
        part if part.starts_with('{') => "bench".to_owned(),
        part => part.to_owned(),
    };
    pattern.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The request for `asked` with what is `presented`.
pub(super) fn good_request(asked: &Asked, authority: &str, presented: Presented) -> Result<Shot, String> {
    request(&asked.method, &asked.path, authority, presented)
}

fn request(method: &str, path: &str, authority: &str, presented: Presented) -> Result<Shot, String> {
    let encoded = |pairs: &[(String, String)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let target = if presented.query.is_empty() { path.to_owned() } else { format!("{path}?{}", encoded(&presented.query)) };
    let body = if presented.form.is_empty() { String::new() } else { encoded(&presented.form) };
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "a credential that cannot stand in a field".to_owned());
    // A form is posted; nothing else asks for a body.
    let method = if presented.form.is_empty() { method } else { "POST" };
    let mut shot = Request::builder()
        .method(method)
        .uri(target)
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| "the rule's method or path cannot be sent".to_owned())?;
    shot.headers_mut().insert(HOST, value(authority)?);
    if !presented.form.is_empty() {
        shot.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    for (name, text) in &presented.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a field without a name".to_owned())?;
        shot.headers_mut().append(name, value(text)?);
    }
    if !presented.cookies.is_empty() {
        let cookies: Vec<String> = presented.cookies.iter().map(|(name, text)| format!("{name}={text}")).collect();
        shot.headers_mut().append(COOKIE, value(&cookies.join("; "))?);
    }
    Ok(shot)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{admits_anyone, example, through, ways};

    #[test]
    fn every_way_through_a_requirement_is_found() {
        let cases = [
            (json!("none"), vec![], true, "nobody is asked"),
            (json!("a"), vec![vec!["a"]], false, "one"),
            (json!({ "any": ["a", "b"] }), vec![vec!["a"], vec!["b"]], false, "a way each"),
            (json!({ "all": ["a", "b"] }), vec![vec!["a", "b"]], false, "one way, with both"),
            (json!({ "all": [{ "any": ["a", "b"] }, "c"] }), vec![vec!["a", "c"]], false, "the first of the alternatives"),
            (json!({ "optional": "a" }), vec![vec!["a"]], true, "and anyone passes without"),
            (json!({ "any": ["a", { "optional": "b" }] }), vec![vec!["a"], vec!["b"]], true, "here too"),
            (json!({ "all": ["a", { "optional": "b" }] }), vec![vec!["a", "b"]], false, "but not here"),
        ];
        for (requirement, expected, open, shows) in cases {
            assert_eq!(through(&requirement), expected, "{shows}");
            assert_eq!(admits_anyone(&requirement), open, "{shows}");
        }
    }

    #[test]
    fn what_the_proxy_answers_itself_is_sent_only_where_a_refusal_is_known() {
        let cases = [
            (json!({ "authenticate": "a", "forward": "app" }), true, "forwarded"),
            (json!({ "authenticate": "a", "serve": "ticket.mint" }), true, "a service that grants something"),
            (json!({ "authenticate": "a", "serve": { "session.open": { "session": "b" } } }), true, "with settings"),
            (json!({ "authenticate": "a", "serve": "session.close" }), false, "one that takes something away"),
            (json!({ "authenticate": "a", "serve": "ticket.mint", "system": "gigya" }), false, "a system that may refuse with 200"),
            (json!({ "authenticate": "none", "serve": "ticket.mint" }), false, "for nobody in particular"),
        ];
        for (rule, sent, shows) in cases {
            assert_eq!(ways(&rule).is_ok(), sent, "{shows}");
        }
    }

    #[test]
    fn a_pattern_has_an_example() {
        let cases = [("/**", "/bench"), ("/files/{id}", "/files/bench"), ("/api/**", "/api/bench"), ("/login", "/login"), ("/", "/")];
        for (pattern, expected) in cases {
            assert_eq!(example(pattern), expected);
        }
    }
}

//! The `jwt` scheme as written in the conf, and as proven.
//!
//! Pure: no key is fetched and no file read. What is written here is said once, in [`SECTION`]; the proven form is
//! [`Rules`], which `judge` goes by.

use std::sync::Arc;

use url::{Host, Url};

use crate::domain::{Place, Value};
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::claims::LifetimeRules;
use crate::settings::{Checking, Entry, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{KeyUse, Renewability, SchemePlan, SchemeTools, Verifier};
use crate::verify::jwt::NAME;
use crate::verify::jwt::judge::{Judge, Store};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::{SOURCES, Source, plan_sources};

/// What the key stores of discovered issuers are called: this, then the issuer.
pub const DISCOVERY: &str = "discovery:";

const TEXTS: Shape = Shape::List { of: &Shape::Text, lone: true, min: 1 };
const ALGORITHM: Shape =
    Shape::OneOf(&["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]);
const TEN_YEARS: u32 = 10 * 365 * 86_400;
/// A claim value that can be written out: text, a whole number, true or false.
const EXACT: Shape = Shape::Either(&[Shape::Text, Shape::Count { min: i64::MIN, max: i64::MAX }, Shape::Bool]);

/// The keys of the section.
pub const SECTION: SectionSpec = SectionSpec {
    title: "the `jwt` scheme",
    doc: "Judges signed tokens (RFC 7519): strict form, an algorithm bound to the key, an issuer, an audience, an end.",
    keys: &[
        KeySpec::required(
            "issuer",
            TEXTS,
            "`iss` of the tokens, one or several, compared byte for byte. `*.example.net` stands for every host one label below \
             (for systems in which each user is an issuer).",
        ),
        KeySpec::required(
            "audience",
            TEXTS,
            "Our own names in `aud`; the token must name one of them, byte for byte. `none` when tokens have no audience: `require` \
             must then bind them to us with an exact value.",
        ),
        KeySpec::optional(
            "keys",
            Shape::Either(&[Shape::Name("keys"), Shape::Map(&Shape::Name("keys"))]),
            "The key store that verifies, or a mapping from issuer to key store. Without it, keys are found by OpenID discovery \
             under each issuer, which must then be an https URL.",
        ),
        KeySpec::default(
            "algorithms",
            Shape::List { of: &ALGORITHM, lone: true, min: 1 },
            "[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA]",
            "Algorithms that are accepted, on top of what each key is bound to. HMAC (HS256...) only where written, and only with \
             pinned keys.",
        ),
        KeySpec::default(
            "leeway",
            Shape::Duration { min: 0, max: 300 },
            "30s",
            "How far clocks may disagree; widens both ends of a token's life.",
        ),
        KeySpec::optional(
            "max_age",
            Shape::Duration { min: 1, max: TEN_YEARS },
            "The longest time since `iat`, whatever `exp` says. Makes `iat` required.",
        ),
        KeySpec::optional(
            "max_lifetime",
            Shape::Duration { min: 1, max: TEN_YEARS },
            "The longest time between `iat` and `exp`; longer-lived tokens are refused at once. Makes `iat` required.",
        ),
        KeySpec::optional(
            "typ",
            TEXTS,
            "Kinds of token that are accepted, as `typ` of the header says (`at+jwt`), ignoring case; `application/` may be left out. \
             Without it: no `typ`, `JWT` or `at+jwt`.",
        ),
        KeySpec::optional(
            "require",
            Shape::Map(&Shape::Either(&[EXACT, Shape::List { of: &EXACT, lone: false, min: 1 }])),
            "Claims that must hold: a dotted path, and the exact value, a list of which one must be the value, `present` or `absent`.",
        ),
        KeySpec::optional(
            "scopes_from",
            Shape::Text,
            "The claim that holds the scopes, as a dotted path: a list, or text separated by spaces. Without it `scope`, else `scp`.",
        ),
        KeySpec::default("subject_from", Shape::Text, "sub", "The claim that names the caller, as a dotted path. Always required."),
        KeySpec::optional(
            "from",
            SOURCES,
            "Where the token stands: `bearer` (the default), { header: NAME }, { cookie: NAME }, { query: NAME }.",
        ),
        KeySpec::default(
            "single_use",
            Shape::Bool,
            "false",
            "Whether every token is good for one request (RFC 7523 section 3, for assertions and tokens that are handed over once). It is \
             known again by `iss` and `jti`; makes `jti` and `iat` required. Spent in the state store, as tickets are.",
        ),
        KeySpec::default(
            "allow_unbound_cnf",
            Shape::Bool,
            "false",
            "Accept tokens that are bound to a key of the client's (`cnf`, RFC 7800) although that key is not checked here. \
             Whoever steals such a token can then use it.",
        ),
    ],
};

/// Whose tokens are judged, and the store that holds the keys: an index into `JwtPlan::uses`.
#[derive(Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Which `iss` it is.
    pub name: IssuerName,
    /// Which store.
    pub store: usize,
}

/// A rule for `iss`.
#[derive(Debug, PartialEq, Eq)]
pub enum IssuerName {
    /// Exactly this text.
    Exact(Box<str>),
    /// A host name of exactly one more label in front of this suffix, which starts with a dot.
    Below(Box<str>),
}

impl IssuerName {
    /// What `text`, as the conf writes it, stands for.
    #[must_use]
    pub fn read(text: &str) -> Self {
        match text.strip_prefix('*') {
            Some(suffix) => Self::Below(suffix.into()),
            None => Self::Exact(text.into()),
        }
    }

    /// The same as the conf writes it.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Exact(name) => name.to_string(),
            Self::Below(suffix) => format!("*{suffix}"),
        }
    }

    /// Whether some issuer is meant by both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(name), other) | (other, Self::Exact(name)) => other.fits(name),
            // One label in front of each: they meet where they are the same.
            (Self::Below(suffix), Self::Below(other)) => suffix == other,
        }
    }

    /// Whether `issuer` is meant.
    #[must_use]
    pub fn fits(&self, issuer: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *issuer,
            Self::Below(suffix) => issuer.strip_suffix(&**suffix).is_some_and(is_label),
        }
    }
}

/// A label of a host name in lower case (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    const LONGEST: usize = 63;
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What must hold for one claim.
#[derive(Debug, PartialEq)]
pub enum Demand {
    /// The claim is there, and not `null`.
    Present,
    /// The claim is not there.
    Absent,
    /// The claim is exactly one of these.
    OneOf(Box<[Value]>),
}

/// The settings of one `jwt` authenticator, proven.
#[derive(Debug)]
pub struct Rules {
    /// At least one.
    pub issuers: Box<[Issuer]>,
    /// Our names; `None` when `audience: none` was written out.
    pub audience: Option<Box<[Box<str>]>>,
    /// At least one.
    pub algorithms: Box<[Algorithm]>,
    /// Leeway, age and length of life.
    pub lifetime: LifetimeRules,
    /// Accepted `typ`, lower case, without `application/`; `None` for the default kinds.
    pub kinds: Option<Box<[Box<str>]>>,
    /// Demands by dotted path.
    pub require: Box<[(Box<str>, Demand)]>,
    /// Where the scopes are, when not in `scope` or `scp`.
    pub scopes_from: Option<Box<str>>,
    /// Where the subject is.
    pub subject_from: Box<str>,
    /// Where the token may stand.
    pub sources: Box<[Source]>,
    /// Whether each token is for one request.
    pub single_use: bool,
    /// Whether `cnf` may stand unchecked.
    pub allow_unbound_cnf: bool,
}

/// The plan: rules, and the stores they need.
#[derive(Debug)]
pub struct JwtPlan {
    rules: Arc<Rules>,
    uses: Vec<KeyUse>,
}

impl JwtPlan {
    /// What was proven, apart from the stores.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }
}

impl SchemePlan for JwtPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        self.uses.clone()
    }

    fn algorithms(&self) -> Option<&[Algorithm]> {
        Some(&self.rules.algorithms)
    }

    fn renewability(&self) -> Renewability {
        if self.rules.single_use { Renewability::Never("each is good for one request") } else { Renewability::Brought }
    }

    fn remembers(&self) -> bool {
        self.rules.single_use
    }

    fn issuers(&self) -> Vec<String> {
        self.rules.issuers.iter().map(|issuer| issuer.name.written()).collect()
    }

    fn looks_at(&self) -> Vec<Place> {
        self.rules.sources.iter().map(Source::place).collect()
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        let mut stores = Vec::with_capacity(self.uses.len());
        for need in &self.uses {
            match tools.keys.get(&need.store) {
                Some(BuiltKeys::Signature(keys)) => {
                    let desk = tools.desks.register(Arc::clone(keys).desk());
                    stores.push(Store { keys: Arc::clone(keys), desk });
                }
                Some(_) => return Err(format!("key store `{}` does not hold {}", need.store, need.class.describe())),
                None => return Err(format!("there is no key store `{}`", need.store)),
            }
        }
        Ok(Arc::new(Judge::new(Arc::clone(name), Arc::clone(&self.rules), stores.into())))
    }
}

/// Proves the settings under `jwt:`, or notes every fault and returns `None`.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<JwtPlan> {
    let section = Section::open(&SECTION, node, checking.faults)?;
    let before = checking.faults.errors();

    let algorithms: Box<[Algorithm]> = section.texts("algorithms").into_iter().filter_map(Algorithm::named).collect();
    let (issuers, uses) = prove_issuers(&section, &algorithms, checking);
    let require = prove_require(&section, checking);
    let audience = prove_audience(&section, &require, checking);
    for key in ["scopes_from", "subject_from"] {
        if section.text(key).is_some_and(|path| !is_path(path)) {
            checking.faults.error(section.span_of(key), format!("`{key}` is a dotted path such as `realm.roles`, without empty parts"));
        }
    }
    let sources = plan_sources(&section.items("from"), checking)?;

    if checking.faults.errors() != before {
        return None;
    }
    let kinds: Box<[Box<str>]> = section.texts("typ").into_iter().map(kind_of).collect();
    let rules = Rules {
        issuers: issuers.into(),
        audience,
        algorithms,
        lifetime: LifetimeRules {
            leeway: section.seconds("leeway").unwrap_or_default(),
            max_age: section.seconds("max_age"),
            max_lifetime: section.seconds("max_lifetime"),
        },
        kinds: (!kinds.is_empty()).then_some(kinds),
        require: require.into(),
        scopes_from: section.text("scopes_from").map(Into::into),
        subject_from: section.text("subject_from").unwrap_or("sub").into(),
        sources: if sources.is_empty() { [Source::Bearer].into() } else { sources },
        single_use: section.flag("single_use"),
        allow_unbound_cnf: section.flag("allow_unbound_cnf"),
    };
    Some(JwtPlan { rules: Arc::new(rules), uses })
}

/// A `typ` in the form in which kinds are compared: lower case, without `application/` (RFC 7515 section 4.1.9).
pub fn kind_of(written: &str) -> Box<str> {
    crate::jose::compact::media_type(written).to_ascii_lowercase().into()
}

fn is_path(path: &str) -> bool {
    path.split('.').all(|part| !part.is_empty())
}

/// Every issuer with its key store, and the stores.
fn prove_issuers(section: &Section<'_>, algorithms: &[Algorithm], checking: &mut Checking<'_>) -> (Vec<Issuer>, Vec<KeyUse>) {
    let mut issuers: Vec<Issuer> = Vec::new();
    let mut uses: Vec<KeyUse> = Vec::new();
    let keys = section.node("keys");
    for node in section.items("issuer") {
        let text = node.as_text().unwrap_or_default();
        let name = IssuerName::read(text);
        if let IssuerName::Below(suffix) = &name
            && !is_suffix(suffix)
        {
            let says = format!(
                "`{text}` is no pattern for issuers; `*` stands for one label in front of a lower-case host name, as in `*.example.net`"
            );
            checking.faults.error(&node.span, says);
        }
        if issuers.iter().any(|earlier| earlier.name == name) {
            checking.faults.error(&node.span, format!("issuer `{text}` is named already"));
            continue;
        }
        let found = match keys.map(|keys| (keys, keys.as_map())) {
            None => {
                prove_discoverable(text, &name, &node.span, checking);
                Some((format!("{DISCOVERY}{text}"), &node.span))
            }
            Some((store, None)) => store.as_text().map(|store_name| (store_name.to_owned(), &store.span)),
            Some((map, Some(_))) => {
                let store = map.get(text).and_then(|store| store.as_text().map(|store_name| (store_name.to_owned(), &store.span)));
                if store.is_none() {
                    checking.faults.error(&map.span, format!("`keys` names no key store for issuer `{text}`"));
                }
                store
            }
        };
        let Some((store, span)) = found else { continue };
        let index = uses.iter().position(|known| known.store == store).unwrap_or(uses.len());
        if index == uses.len() {
            if keys.is_some() {
                checking.resolve("keys", &store, span);
            }
            uses.push(KeyUse { store, class: KeyClass::Signature, span: span.clone(), shared: false });
        }
        issuers.push(Issuer { name, store: index });
    }

    for entry in keys.and_then(Node::as_map).unwrap_or_default() {
        if !issuers.iter().any(|issuer| issuer.name == IssuerName::read(&entry.key)) {
            checking.faults.error(&entry.span, format!("`issuer` does not name `{}`; a key store for it would never be used", entry.key));
        }
    }
    for (index, store) in uses.iter_mut().enumerate() {
        store.shared = 1 < issuers.iter().filter(|issuer| issuer.store == index).count();
    }
    if keys.is_none() && algorithms.iter().any(|algorithm| algorithm.family() == Family::Hmac) {
        checking.faults.error(
            section.span_of("algorithms"),
            "HMAC algorithms need pinned keys: a secret is never discovered; write `keys` or leave the algorithm out",
        );
    }
    (issuers, uses)
}

/// Whether `suffix` is a dot and a lower-case host name of at least two labels.
fn is_suffix(suffix: &str) -> bool {
    suffix.strip_prefix('.').is_some_and(|host| host.contains('.') && host.split('.').all(is_label))
}

/// Discovery asks under the issuer's own URL (OpenID Connect Discovery 1.0 section 4), so it must be one.
fn prove_discoverable(text: &str, name: &IssuerName, span: &Span, checking: &mut Checking<'_>) {
    if matches!(name, IssuerName::Below(_)) {
        checking.faults.error(span, "keys of a pattern of issuers cannot be discovered; name a key store in `keys`");
        return;
    }
    let sound = Url::parse(text).is_ok_and(|url| {
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(domain)) => domain == "localhost",
            None => return false,
        };
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        plain && (url.scheme() == "https" || url.scheme() == "http" && loopback)
    });
    if !sound {
        let says = format!(
            "keys for `{text}` cannot be discovered: an issuer is then an https URL without query (http only on loopback); or name a key store in `keys`"
        );
        checking.faults.error(span, says);
    }
}

fn prove_audience(section: &Section<'_>, require: &[(Box<str>, Demand)], checking: &mut Checking<'_>) -> Option<Box<[Box<str>]>> {
    // Only the bare word: an audience of that name can still be written as `[none]`.
    if section.node("audience").and_then(Node::as_text) == Some("none") {
        if !require.iter().any(|(_, demand)| matches!(demand, Demand::OneOf(_))) {
            checking.faults.error(
                section.span_of("audience"),
                "`audience: none` accepts tokens made for anybody; bind them to you by another claim: `require: { client_id: app }`",
            );
        }
        return None;
    }
    Some(section.texts("audience").into_iter().map(Into::into).collect())
}

fn prove_require(section: &Section<'_>, checking: &mut Checking<'_>) -> Vec<(Box<str>, Demand)> {
    let mut demands = Vec::new();
    for Entry { key, span, node } in section.node("require").and_then(Node::as_map).unwrap_or_default() {
        if !is_path(key) {
            checking.faults.error(span, format!("`{key}` is no dotted path of a claim"));
        }
        let demand = match &node.value {
            NodeValue::Text(word) if word == "present" => Demand::Present,
            NodeValue::Text(word) if word == "absent" => Demand::Absent,
            NodeValue::List(items) => Demand::OneOf(items.iter().filter_map(exact).collect()),
            _ => Demand::OneOf(exact(node).into_iter().collect()),
        };
        demands.push((key.as_str().into(), demand));
    }
    demands
}

fn exact(node: &Node) -> Option<Value> {
    match &node.value {
        NodeValue::Text(text) => Some(Value::Text(text.as_str().into())),
        NodeValue::Int(number) => Some(Value::Int(*number)),
        NodeValue::Bool(flag) => Some(Value::Bool(*flag)),
        NodeValue::Null | NodeValue::Float(_) | NodeValue::List(_) | NodeValue::Map(_) => None,
    }
}

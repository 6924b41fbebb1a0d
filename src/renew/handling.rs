//! The settings that all renewers have in common: where the client brings what is spent, when a renewal begins, how long
//! anybody waits for it, and where the fresh pair is put.
//!
//! Deliberately absent: a refresh credential in the query, which ends up in logs; one in the body, which would be forwarded
//! with it.

mod cookie;

use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

use crate::domain::{Place, Seconds};
use crate::net::described::is_framing;
use crate::renew::handling::cookie::{Cookie, SETTINGS, is_cookie_name};
use crate::settings::{Checking, Choice, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// Where the client brings what is spent.
pub const REFRESH_FROM_KEY: KeySpec = KeySpec::optional(
    "refresh_from",
    Shape::Kind { what: "place of a refresh credential", kinds: places, beside: &[] },
    "Where the client brings its refresh credential: { header: NAME } or { cookie: NAME }. Taken out of every forwarded request. \
     Needed unless we hold it ourselves.",
);

/// How long before its end a credential is renewed.
pub const EARLY_KEY: KeySpec = KeySpec::default(
    "early",
    Shape::Duration { min: 0, max: 86_400 },
    "60s",
    "How long before its end a credential is renewed, at most; each has its own moment within. Keep it well below the life of the \
     credentials.",
);

/// How long a request waits.
pub const WAIT_KEY: KeySpec = KeySpec::default(
    "wait",
    // The gate waits no longer for all that a request needs to have renewed.
    Shape::Duration { min: 0, max: 8 },
    "2s",
    "How long a request waits for a renewal. After that a credential that is still good is used, and otherwise the answer is 503 with `Retry-After`.",
);

/// How long an exchange may take.
pub const FLIGHT_KEY: KeySpec = KeySpec::default(
    "flight",
    Shape::Duration { min: 1, max: 120 },
    "15s",
    "How long the exchange with the issuer may take. It goes on when the requests that wait for it have gone.",
);

/// How long a result is kept.
pub const GRACE_KEY: KeySpec = KeySpec::default(
    "grace",
    Shape::Duration { min: 0, max: 600 },
    "30s",
    "How long the fresh pair is kept under the spent credential, for requests that left the client before it had the new one.",
);

/// Whether a lost answer is asked for once more.
pub const RETRY_KEY: KeySpec = KeySpec::default(
    "retry_lost_reply",
    Shape::Bool,
    "false",
    "Whether an answer that was lost is asked for once more, with the same credential. Only for issuers that forgive its being spent \
     twice within a short time; any other takes it for theft and ends the session.",
);

/// Where the fresh pair is put.
pub const HAND_BACK_KEY: KeySpec = KeySpec::optional(
    "hand_back",
    Shape::Section(&HAND_BACK),
    "Where the client finds the fresh pair. Unless written, where the old one came from: a cookie is set anew, and for what came in a \
     header there is a response header.",
);

/// The response header of a fresh access credential, where the conf names none.
pub const ACCESS_HEADER: HeaderName = HeaderName::from_static("x-renewed-access-token");
/// The response header of a fresh refresh credential, where the conf names none.
pub const REFRESH_HEADER: HeaderName = HeaderName::from_static("x-renewed-refresh-token");
/// The response header of the seconds that a fresh access credential lives, where the conf names none.
pub const EXPIRES_HEADER: HeaderName = HeaderName::from_static("x-renewed-expires-in");

const PLACE: Shape = Shape::Kind { what: "place of a fresh credential", kinds: hand_places, beside: &[] };

static HAND_BACK: SectionSpec = SectionSpec {
    title: "`hand_back`",
    doc: "Where the client finds the fresh pair, on the very response to the request that was renewed for.",
    keys: &[
        KeySpec::optional(
            "access",
            PLACE,
            "The access credential: { header: NAME } or { cookie: {} }. `X-Renewed-Access-Token` unless it came in a cookie.",
        ),
        KeySpec::optional(
            "refresh",
            PLACE,
            "The refresh credential, when the issuer gave a new one. `X-Renewed-Refresh-Token` unless it came in a cookie.",
        ),
        KeySpec::optional(
            "expires_in",
            Shape::Section(&EXPIRES_IN),
            "The seconds that the access credential lives. `X-Renewed-Expires-In` unless it goes into a cookie.",
        ),
    ],
};

static EXPIRES_IN: SectionSpec = SectionSpec {
    title: "`expires_in`",
    doc: "The response header of the seconds that the access credential lives.",
    keys: &[KeySpec::required("header", Shape::HeaderName, "The name of that header.")],
};

fn places() -> Vec<Choice> {
    vec![
        Choice { name: "header", shape: Shape::HeaderName, doc: "A request header field whose whole value is the credential." },
        Choice { name: "cookie", shape: Shape::Text, doc: "A cookie of exactly this name." },
    ]
}

fn hand_places() -> Vec<Choice> {
    vec![
        Choice { name: "header", shape: Shape::HeaderName, doc: "A response header field." },
        Choice { name: "cookie", shape: Shape::Section(&SETTINGS), doc: SETTINGS.doc },
    ]
}

/// The keys of a renewer that this file reads, whatever its kind; one that lacks some of them has their defaults.
static HANDLING: SectionSpec = SectionSpec {
    title: "a renewer",
    doc: "When a renewal begins, how long anybody waits for it, and where the fresh pair is put.",
    keys: &[REFRESH_FROM_KEY, EARLY_KEY, WAIT_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY],
};

/// How a renewer is used, proven.
#[derive(Debug, Clone)]
pub struct Handling {
    /// Where the client brings what is spent.
    pub refresh_from: Option<Place>,
    /// How long before its end a credential is renewed, at most.
    pub early: Seconds,
    /// How long a request waits.
    pub wait: Duration,
    /// How long an exchange may take.
    pub flight: Seconds,
    /// How long a result is kept under the spent credential.
    pub grace: Seconds,
    access: Option<Written>,
    refresh: Option<Written>,
    expires_in: Option<(HeaderName, Span)>,
}

/// A place as the conf writes it.
#[derive(Debug, Clone)]
struct Written {
    place: WrittenPlace,
    span: Span,
}

#[derive(Debug, Clone)]
enum WrittenPlace {
    Header(HeaderName),
    Cookie { name: Option<Box<str>>, cookie: Cookie },
}

/// Where a fresh credential is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandTo {
    /// Into this response header.
    Header(HeaderName),
    /// Into this cookie.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// What stands behind its value (`; Path=/; Secure; ...`), `Max-Age` not among it.
        attributes: Box<str>,
        /// How long the client keeps it; a session cookie without.
        max_age: Option<Seconds>,
    },
}

/// Where a fresh pair is put for the clients of one authenticator, with the places where the conf says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandBack {
    /// The access credential.
    pub access: (HandTo, Span),
    /// The refresh credential.
    pub refresh: (HandTo, Span),
    /// The seconds that the access credential lives.
    pub expires_in: Option<(HeaderName, Span)>,
}

impl HandBack {
    /// The response headers that it writes, with the places where the conf names them.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &Span)> {
        let pair = [&self.access, &self.refresh].into_iter().filter_map(|(to, span)| match to {
            HandTo::Header(name) => Some((name, span)),
            HandTo::Cookie { .. } => None,
        });
        pair.chain(self.expires_in.iter().map(|(name, span)| (name, span)))
    }
}

impl Handling {
    /// Reads the keys in common of the renewer that stands at `node`, whose form has been proven. Notes every fault.
    pub fn read(node: &Node, checking: &mut Checking<'_>) -> Option<Self> {
        let section = Section::unproven(&HANDLING, node);
        let before = checking.faults.errors();
        let refresh_from = section.node("refresh_from").map(|node| read_place(node, checking));
        let (wait, flight) = (section.duration("wait")?, section.seconds("flight")?);
        if flight.duration() < wait {
            checking
                .faults
                .error(section.span_of("wait"), "`wait` is longer than `flight`, so there would be nothing to wait for; make it shorter");
        }
        let mut handling = Self {
            refresh_from: refresh_from.flatten(),
            early: section.seconds("early")?,
            wait,
            flight,
            grace: section.seconds("grace")?,
            access: None,
            refresh: None,
            expires_in: None,
        };
        if let Some(node) = section.node("hand_back") {
            let written = Section::unproven(&HAND_BACK, node);
            handling.access = written.node("access").and_then(|node| read_hand(node, checking));
            handling.refresh = written.node("refresh").and_then(|node| read_hand(node, checking));
            if let Some(node) = written.node("expires_in") {
                let name = Section::unproven(&EXPIRES_IN, node).header("header")?;
                handling.expires_in = allowed(name, &node.span, checking).map(|name| (name, node.span.clone()));
            }
        }
        (before == checking.faults.errors()).then_some(handling)
    }

    /// Where the fresh pair is put for clients whose access credential stands at one of `places`; `span` is where the
    /// authenticator names its renewer.
    ///
    /// `None` after a fault, and when the client brings nothing to be spent.
    pub fn hand_back(&self, authenticator: &str, places: &[Place], span: &Span, checking: &mut Checking<'_>) -> Option<HandBack> {
        let refresh_from = self.refresh_from.as_ref()?;
        if self.access.is_none() && places.iter().any(is_cookie) && !places.iter().all(is_cookie) {
            let says = format!(
                "`{authenticator}` takes its credential from a cookie and from elsewhere too, so it must be said where the fresh one goes: write `hand_back: {{ access: ... }}`"
            );
            checking.faults.error(span, says);
            return None;
        }
        let from = places.iter().find(|place| is_cookie(place)).or(places.first());
        let access = settle(self.access.as_ref(), from, ACCESS_HEADER, span, checking)?;
        let refresh = settle(self.refresh.as_ref(), Some(refresh_from), REFRESH_HEADER, span, checking)?;
        let expires_in = match (&self.expires_in, &access.0) {
            (Some(written), _) => Some(written.clone()),
            (None, HandTo::Header(_)) => Some((EXPIRES_HEADER, span.clone())),
            (None, HandTo::Cookie { .. }) => None,
        };
        let hand_back = HandBack { access, refresh, expires_in };
        distinct(&hand_back, checking).then_some(hand_back)
    }
}

/// The place that is written, or the one that follows from where the old credential came from.
fn settle(
    written: Option<&Written>,
    from: Option<&Place>,
    usual: HeaderName,
    span: &Span,
    checking: &mut Checking<'_>,
) -> Option<(HandTo, Span)> {
    let came_in = match from {
        Some(Place::Cookie(name)) => Some(name),
        _ => None,
    };
    match written {
        None => match came_in {
            None => Some((HandTo::Header(usual), span.clone())),
            Some(name) => Some((Cookie::usual().hand_to(name, span, checking)?, span.clone())),
        },
        Some(Written { place: WrittenPlace::Header(name), span }) => Some((HandTo::Header(name.clone()), span.clone())),
        Some(Written { place: WrittenPlace::Cookie { name, cookie }, span }) => match name.as_ref().or(came_in) {
            Some(name) => Some((cookie.hand_to(name, span, checking)?, span.clone())),
            None => {
                checking.faults.error(span, "the old credential does not come in a cookie, so the cookie of the fresh one needs a `name`");
                None
            }
        },
    }
}

/// Shows that no two of the three go to one place.
fn distinct(hand_back: &HandBack, checking: &mut Checking<'_>) -> bool {
    let (access, refresh) = (&hand_back.access, &hand_back.refresh);
    let twins = match (&access.0, &refresh.0) {
        (HandTo::Header(access), HandTo::Header(refresh)) => access == refresh,
        (HandTo::Cookie { name: access, .. }, HandTo::Cookie { name: refresh, .. }) => access == refresh,
        _ => false,
    };
    if twins {
        checking.faults.error(&refresh.1, "access and refresh credential would be handed back in one place; name two");
        return false;
    }
    let expires = hand_back.expires_in.as_ref().map(|(name, _)| HandTo::Header(name.clone()));
    if expires.is_some_and(|expires| expires == access.0 || expires == refresh.0) {
        checking.faults.error(&refresh.1, "`expires_in` would be handed back where a credential is; name another header");
        return false;
    }
    true
}

fn is_cookie(place: &Place) -> bool {
    matches!(place, Place::Cookie(_))
}

/// The place that `refresh_from` names.
fn read_place(node: &Node, checking: &mut Checking<'_>) -> Option<Place> {
    let entry = node.sole_entry()?;
    let name = entry.node.as_text()?;
    let says = match (entry.key.as_str(), HeaderName::from_bytes(name.as_bytes())) {
        ("cookie", _) if is_cookie_name(name) => return Some(Place::Cookie(name.into())),
        ("cookie", _) => format!("`{name}` is not a cookie name (RFC 6265 section 4.1.1)"),
        (_, Ok(AUTHORIZATION | COOKIE)) => format!("`{name}` carries more than one credential; name a header of its own"),
        (_, Ok(name)) if is_framing(&name) => format!("`{name}` says how the message is read; name a header of its own"),
        (_, Ok(name)) => return Some(Place::Header(name)),
        (_, Err(_)) => format!("`{name}` is not a header field name (RFC 9110 section 5.1)"),
    };
    checking.faults.error(&entry.node.span, says);
    None
}

fn read_hand(node: &Node, checking: &mut Checking<'_>) -> Option<Written> {
    let entry = node.sole_entry()?;
    let span = entry.node.span.clone();
    let place = if let Some(name) = entry.node.as_text() {
        WrittenPlace::Header(allowed(HeaderName::from_bytes(name.as_bytes()).ok()?, &span, checking)?)
    } else {
        let section = Section::unproven(&SETTINGS, &entry.node);
        let name = section.text("name");
        if let Some(name) = name.filter(|name| !is_cookie_name(name)) {
            checking.faults.error(section.span_of("name"), format!("`{name}` is not a cookie name (RFC 6265 section 4.1.1)"));
            return None;
        }
        WrittenPlace::Cookie { name: name.map(Into::into), cookie: Cookie::read(&section, checking)? }
    };
    Some(Written { place, span })
}

/// `name`, unless a response needs it for something else.
fn allowed(name: HeaderName, span: &Span, checking: &mut Checking<'_>) -> Option<HeaderName> {
    const TAKEN: &[&str] = &[
        "age",
        "allow",
        "alt-svc",
        "cache-control",
        "cookie",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "proxy-authenticate",
        "refresh",
        "retry-after",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-request-id",
    ];
    if is_framing(&name) || TAKEN.contains(&name.as_str()) || name.as_str().starts_with("access-control-") {
        checking.faults.error(span, format!("`{name}` means something else in a response; name a header of its own"));
        return None;
    }
    Some(name)
}

//! The settings of TapTalk at one rule.
//!
//! Whatever is not documented by the vendor is a key here, with the default that its own clients live with.

use std::sync::Arc;

use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::systems::contract::{System, SystemPlan};
use crate::systems::taptalk::connect::Token;
use crate::systems::taptalk::fill::Filling;
use crate::systems::taptalk::origins::{ORIGINS_KEY, Origins};
use crate::systems::taptalk::reply::Clocking;
use crate::systems::taptalk::{ENTRY, TapTalk};

pub(super) static SETTINGS: SectionSpec = SectionSpec {
    title: "the system `taptalk`",
    doc: "TapTalk's clients and back ends are answered as TapTalk answers, and its endpoints are guarded.",
    keys: &[
        KeySpec::default(
            "base",
            Shape::Text,
            "/",
            "What stands in front of `/v1` and `/connect` in paths: `/`, or `/api` for older bases.",
        ),
        KeySpec::optional(
            "apps",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Ids of the apps whose App-Key is taken. Unless written, any App-Key of the right form; let an authenticator \
             `{ server_key: { from: { header: App-Key } } }` prove it then.",
        ),
        KeySpec::default(
            "require",
            Shape::List { of: &Shape::HeaderName, lone: true, min: 0 },
            "[]",
            "Fields that clients must send beside App-Key, each once: `[Device-Identifier, Device-Platform]`.",
        ),
        KeySpec::optional(
            "fill",
            Shape::Map(&Shape::Text),
            "Where the user data of a ticket request comes from, by field: `subject`, `claims.NAME`, `client_address`, `header.NAME` (only for \
             what says something of the device). With it the caller is a user and not a back end; `xcUserID` must be among it (for OneTalk's endpoint `customerUserID`), \
             `userIPAddress` and `userAgent` are the request's own unless written.",
        ),
        KeySpec::optional(
            "take",
            Shape::List { of: &Shape::Text, lone: true, min: 0 },
            "With `fill`: the fields that are taken from the client's body; all others are left out. Unless written, `userPlatform` and \
             `userDeviceID`.",
        ),
        KeySpec::default(
            "unknown",
            Shape::OneOf(&["refuse", "drop"]),
            "refuse",
            "What becomes of members of a back end's ticket request that are not documented.",
        ),
        KeySpec::default(
            "connect_token",
            Shape::OneOf(&["move", "drop"]),
            "move",
            "Whether the access token in the query of `/connect` goes on to the upstream as `Authorization`; `drop` where the upstream rests \
             on what the proxy tells it. It leaves the query either way.",
        ),
        KeySpec::default(
            "expired",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "[\"40104\"]",
            "Codes that mean, with the status 401, that an access token has run out. Servers for older clients say `40103` too.",
        ),
        KeySpec::default(
            "expiry",
            Shape::OneOf(&["guess", "seconds", "milliseconds"]),
            "guess",
            "How the upstream counts `accessTokenExpiry`: since the Unix epoch in one of the two, or whichever its size suggests.",
        ),
        KeySpec::default(
            "codes",
            Shape::OneOf(&["numbers", "names"]),
            "numbers",
            "How failed validation is called: `40001` and `40002`, or `HeaderValidationFailed` and `ParamValidationFailed`.",
        ),
        KeySpec::default(
            "http_status",
            Shape::OneOf(&["ok", "told"]),
            "ok",
            "The HTTP status of a refusal: 200 always, or the one in its body. TapTalk's clients take any other than 200 for a broken \
             connection; `told` is for back ends that look at it.",
        ),
        ORIGINS_KEY,
    ],
};

/// What becomes of members that are not documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Refuse,
    Drop,
}

/// The settings, proven.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Without the `/` at its end.
    pub(super) base: Box<str>,
    pub(super) apps: Option<Box<[Box<str>]>>,
    pub(super) require: Box<[http::HeaderName]>,
    pub(super) filling: Option<Filling>,
    pub(super) unknown: Unknown,
    pub(super) token: Token,
    pub(super) expired: Box<[Box<str>]>,
    pub(super) clocking: Clocking,
    pub(super) names: bool,
    pub(super) told: bool,
    pub(super) origins: Origins,
}

impl SystemPlan for Settings {
    fn system(&self) -> &'static str {
        ENTRY.name
    }

    fn build(&self) -> Result<Arc<dyn System>, String> {
        Ok(Arc::new(TapTalk { settings: self.clone() }))
    }
}

pub(super) fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn SystemPlan>> {
    prove(settings, at, checking).map(|settings| Box::new(settings) as Box<dyn SystemPlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub(super) fn prove(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Settings> {
    let empty = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    let section = Section::open(&SETTINGS, settings.unwrap_or(&empty), checking.faults)?;
    let base = base(&section, checking);
    let filling = Filling::plan(&section, checking);
    let origins = Origins::plan(&section, checking);
    let expired: Box<[Box<str>]> = match section.node("expired") {
        Some(_) => section.texts("expired").into_iter().map(Into::into).collect(),
        None => Box::new([crate::systems::taptalk::envelope::TOKEN_EXPIRED.into()]),
    };
    Some(Settings {
        base: base?,
        apps: section.node("apps").map(|_| section.texts("apps").into_iter().map(Into::into).collect()),
        require: section.texts("require").into_iter().filter_map(|name| http::HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
        filling: filling?,
        unknown: if section.text("unknown") == Some("drop") { Unknown::Drop } else { Unknown::Refuse },
        token: if section.text("connect_token") == Some("drop") { Token::Drop } else { Token::Move },
        expired,
        clocking: match section.text("expiry") {
            Some("seconds") => Clocking::Seconds,
            Some("milliseconds") => Clocking::Milliseconds,
            _ => Clocking::Guess,
        },
        names: section.text("codes") == Some("names"),
        told: section.text("http_status") == Some("told"),
        origins: origins?,
    })
}

/// What stands in front of paths, without the slash at its end.
fn base(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Box<str>> {
    let written = section.text("base")?;
    let inner = written.strip_suffix('/').unwrap_or(written);
    let segments = inner.strip_prefix('/').map(|path| path.split('/'));
    let is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..") && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let sound = inner.is_empty() || segments.is_some_and(|mut segments| segments.all(is_plain));
    if !sound {
        checking.faults.error(section.span_of("base"), "this must be `/` or a path such as `/api`");
    }
    sound.then(|| inner.into())
}

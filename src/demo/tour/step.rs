//! One step of the tour: a request, what it shows, and what must come of it.

use std::fmt;

use serde_json::Value;

use crate::demo::tour::caller::Request;
use crate::domain::Reason;

/// What the proxy stands in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// An app that consumes the system's credentials.
    App,
    /// An API like the vendor's.
    Api,
}

impl Position {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::App, Self::Api];
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::App => "app",
            Self::Api => "api",
        })
    }
}

/// What a step shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What its clients ask for is done.
    Success,
    /// It is refused in the system's own dialect.
    Refusal,
    /// Something that has run out is renewed.
    Renewal,
}

impl Kind {
    /// All three, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Success, Self::Refusal, Self::Renewal];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Success => "success",
            Self::Refusal => "refusal",
            Self::Renewal => "renewal",
        })
    }
}

/// Whom a request reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaches {
    /// Nobody: the proxy answers it.
    Nobody,
    /// The app, once, which is told this caller.
    App(String),
    /// The app, once, which is told a name that the caller does not know: one for a login, not for whose it is.
    Unnamed,
    /// The vendor's API.
    Api,
}

/// Something new that an answer brings: it was not in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fresh {
    /// In the field of this name, behind this text.
    Field(&'static str, &'static str),
    /// In the body, at this JSON Pointer.
    Member(&'static str),
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What the proxy stands in front of.
    pub position: Position,
    /// What it shows: success, refusal or renewal.
    pub kind: Kind,
    /// The scheme that proves the caller, `none` where nobody is to be proven.
    pub scheme: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// What is asked.
    pub request: Request,
    /// The status.
    pub status: u16,
    /// The form of the body, for [`crate::demo::tour::form`]; `None` where the app answers.
    pub form: Option<Value>,
    /// Whom it reaches.
    pub reaches: Reaches,
    /// How many renewals it costs the vendor.
    pub renewals: usize,
    /// What the answer brings.
    pub fresh: Option<Fresh>,
    /// The reason in the audit record.
    pub reason: Option<Reason>,
}

impl Step {
    /// A request that the app answers, told that `caller` asks.
    #[must_use]
    pub fn app(scheme: &'static str, shows: &'static str, request: Request, caller: &str) -> Self {
        let reaches = Reaches::App(caller.to_owned());
        let (position, kind) = (Position::App, Kind::Success);
        Self { position, kind, scheme, shows, request, status: 200, form: None, reaches, renewals: 0, fresh: None, reason: None }
    }

    /// A request to the API behind the proxy, answered in this form.
    #[must_use]
    pub fn api(scheme: &'static str, shows: &'static str, request: Request, form: Value) -> Self {
        Self { position: Position::Api, reaches: Reaches::Api, form: Some(form), ..Self::app(scheme, shows, request, "") }
    }

    /// A request that the proxy answers itself, in this form.
    #[must_use]
    pub fn served(position: Position, scheme: &'static str, shows: &'static str, request: Request, form: Value) -> Self {
        Self { position, reaches: Reaches::Nobody, form: Some(form), ..Self::app(scheme, shows, request, "") }
    }

    /// A request that is refused for `reason`, with `status` and this form.
    #[must_use]
    pub fn refused(position: Position, scheme: &'static str, shows: &'static str, request: Request, reason: Reason, form: Value) -> Self {
        let served = Self::served(position, scheme, shows, request, form);
        Self { kind: Kind::Refusal, reason: Some(reason), ..served }
    }

    /// The app is told a name of the proxy's own making.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self { reaches: Reaches::Unnamed, ..self }
    }

    /// In front of the app, though the API answers.
    #[must_use]
    pub fn beside_the_app(self) -> Self {
        Self { position: Position::App, ..self }
    }

    /// With another status than 200.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The request comes with what has run out: the proxy has the vendor renew it, once.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { kind: Kind::Renewal, renewals: 1, ..self }
    }

    /// The answer brings something new, which is the renewal.
    #[must_use]
    pub fn brings(self, fresh: Fresh) -> Self {
        Self { kind: Kind::Renewal, fresh: Some(fresh), ..self }
    }
}

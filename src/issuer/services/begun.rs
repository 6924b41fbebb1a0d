//! That a log-in which comes back was begun here, by this very browser.
//!
//! A HAT sends a browser back with a token and nothing of what it was sent with, so anybody could send somebody else's browser to a
//! callback with a token of their own, and log them in as themselves. Whoever begins a log-in here is given a cookie that nobody else can
//! set, and the way back is open to whom it has been given, once.
//!
//! Whoever begins it at a HAT that they name ends it with a token of that HAT and no other: an attacker's link that is followed while
//! a log-in is pending logs nobody in as the attacker.
//!
//! The cookie holds an id of the kind that sessions have, drawn for this host and that HAT and of no use as a session; nothing is stored until it comes
//! back, so that beginnings cost no memory however many there are, and a browser never holds more than one.
//!
//! Rules: OWASP cross-site request forgery prevention (log-in), RFC 6265bis section 4.1.3.2.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;

use crate::domain::{Burn, Event, Observer, Outage, Random, Refusal, RequestView, Seconds, Timestamp};
use crate::issuer::session::{Sessions, cookie};
use crate::jose::digest::digest;
use crate::state::contract::{Burned, StateStore};

/// The cookie.
const COOKIE: &str = "__Host-hat-login";

/// How long a log-in may take.
const LIFE: Seconds = Seconds(3_600);

/// The cookie for a log-in that begins at `host`, to be ended by the named `hat`, or by any where the browser has yet to find its own;
/// `None` when none can be drawn.
pub(super) fn begin(sessions: &Sessions, host: &str, hat: Option<&str>, random: &dyn Random) -> Option<HeaderValue> {
    cookie::set(COOKIE, sessions.terms().draw(&place(host, hat), random)?.id(), LIFE)
}

/// What an id is drawn for. No name of a host has a space in it.
fn place<'h>(host: &'h str, hat: Option<&str>) -> Cow<'h, str> {
    hat.map_or(Cow::Borrowed(host), |hat| Cow::Owned(format!("{host} {hat}")))
}

/// Takes the cookie away.
pub(super) fn forget() -> Option<HeaderValue> {
    cookie::clear(COOKIE)
}

/// Where log-ins that were begun are ended.
pub(super) struct Begun {
    pub(super) sessions: Arc<Sessions>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) observer: Arc<dyn Observer>,
}

impl Begun {
    /// Whether the browser behind `request` has begun a log-in here that `hat` may end and that has not come back yet. From now on it has.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub(super) async fn end(&self, request: &RequestView<'_>, hat: &str, now: Timestamp) -> Result<bool, Refusal> {
        let recognised = |hat| {
            let id = cookie::read(COOKIE, request).ok().flatten()?;
            self.sessions.terms().recognise(id, &place(request.host, hat))
        };
        let Some(reference) = recognised(Some(hat)).or_else(|| recognised(None)) else { return Ok(false) };
        let key = digest("countersign hat login", &[reference.text().as_bytes()]);
        // When it was drawn is not written in it; a browser that keeps it longer than it should keeps it for itself.
        let burned = self.state.burn(&Burn { key, made: now, until: now.plus(LIFE) }, now).await;
        self.observer.note(Event::State { operation: "burn", ok: burned.is_ok() });
        Ok(burned.map_err(Outage::refusal)? == Burned::First)
    }

    /// Whether the browser behind `request` may have begun a log-in here, for one that comes back with an error: it opens nothing, and who
    /// it comes from is not told.
    pub(super) fn is_likely(request: &RequestView<'_>) -> bool {
        matches!(cookie::read(COOKIE, request), Ok(Some(_)))
    }
}

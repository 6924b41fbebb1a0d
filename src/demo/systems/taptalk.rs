//! A chat server as TapTalk's is: tickets for an hour and for one exchange, pairs of which only the newest refreshes, HTTP 200 for all.
//!
//! It answers with the envelope and with HTTP 200 whatever happened, takes a Server-Key on server routes only and an App-Key on all
//! others, and is strict where the vendor is said to be: a ticket works once, a refresh token works once and only the newest one, an
//! access token that has run out is `40104` and everything else that is wrong with one is `40103`. It tells how often it was asked for
//! what, remembers requests as they arrived, and fails on demand.
//!
//! Not here: chat; forgiveness. A client that comes with a refresh token that was spent is logged out.
//!
//! Source: docs.taptalk.io; taptalksdk-web 1.0.310 for what its clients send.

mod api;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::demo::stand::Stand;
use crate::demo::systems::taptalk::api::attend;
use crate::domain::{Clock, Seconds, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;

/// How it misbehaves, while it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// It does not.
    #[default]
    None,
    /// It answers every refresh with a failure of its own, and does nothing.
    RefreshFails,
    /// It does what a refresh asks for, and hangs up instead of answering.
    RefreshLost,
    /// It takes this long for a refresh.
    RefreshSlow(Duration),
    /// It answers a token that has run out with a real 401 and no envelope.
    RealStatus,
    /// It answers 200 with a web page.
    Html,
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Tickets that were given.
    pub tickets: usize,
    /// Tickets that were exchanged for a pair.
    pub exchanged: usize,
    /// Refreshes that brought a pair.
    pub refreshed: usize,
    /// Refreshes that did not.
    pub refused: usize,
    /// Calls that an access token let through.
    pub served: usize,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

/// A running stand-in.
#[derive(Debug)]
pub struct DemoTapTalk {
    stand: Stand,
    office: Arc<Mutex<Office>>,
}

/// Everything that may change while it runs, behind one lock; nobody holds it while waiting.
#[derive(Debug)]
struct Office {
    /// Tokens are its signatures, which nobody else could make up.
    key: SigningKey,
    life: Seconds,
    /// Counts what was signed, so that no two are alike.
    made: u64,
    /// What has been given, by its text.
    given: BTreeMap<String, Given>,
    /// The newest refresh token of each user.
    newest: BTreeMap<String, String>,
    asked: Asked,
    seen: Vec<Seen>,
    trouble: Trouble,
}

/// A token that was given.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    kind: Kind,
    user: String,
    name: String,
    until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ticket,
    Access,
    Refresh,
}

impl DemoTapTalk {
    /// Id and secret of its one Server-Key.
    pub const SERVER: (&'static str, &'static str) = ("demo-server", "demo-server-secret-5f1c");
    /// The one API-Key of OneTalk, which it speaks for too.
    pub const API_KEY: &'static str = "demo-onetalk-key-41ab7e";
    /// Id and secret of its one App-Key.
    pub const APP: (&'static str, &'static str) = ("demo-app", "demo-app-secret-9d04");
    /// How long a ticket is good.
    pub const TICKET_LIFE: Seconds = Seconds(3_600);
    /// How long a refresh token is good.
    pub const REFRESH_LIFE: Seconds = Seconds(2_592_000);

    /// Starts it on `address` (port 0 takes any free one) under `clock`; its access tokens live for `life`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the crypto library makes no key.
    pub async fn start(address: SocketAddr, clock: Arc<dyn Clock>, life: Seconds) -> io::Result<Self> {
        let office = Arc::new(Mutex::new(Office {
            key: SigningKey::generate(Algorithm::EdDsa).map_err(io::Error::other)?,
            life,
            made: 0,
            given: BTreeMap::new(),
            newest: BTreeMap::new(),
            asked: Asked::default(),
            seen: Vec::new(),
            trouble: Trouble::None,
        }));
        let shared = Arc::clone(&office);
        let stand = Stand::listen(address, move |request| {
            let (shared, clock) = (Arc::clone(&shared), Arc::clone(&clock));
            async move { attend(&shared, &request, clock.as_ref()).await }
        })
        .await?;
        Ok(Self { stand, office })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stand.address()
    }

    /// Its origin: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.stand.origin()
    }

    /// A ticket for `user`, as a back end that asks at `now` would be given; `None` when the crypto library fails.
    #[must_use]
    pub fn ticket(&self, user: &str, name: &str, now: Timestamp) -> Option<String> {
        self.office.lock().give(Kind::Ticket, user, name, now.plus(Self::TICKET_LIFE))
    }

    /// Ends the access tokens of `user` at once, before their time; what refreshes them stays good.
    pub fn end_access(&self, user: &str) {
        for given in self.office.lock().given.values_mut().filter(|given| given.kind == Kind::Access && given.user == user) {
            given.until = Timestamp(0);
        }
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.office.lock().asked
    }

    /// Every request so far, as it arrived.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.office.lock().seen.clone()
    }

    /// Every text that it gave as a credential so far: tickets, access tokens and refresh tokens.
    #[must_use]
    pub fn credentials(&self) -> Vec<String> {
        self.office.lock().given.keys().cloned().collect()
    }

    /// Misbehaves like this from now on.
    pub fn trouble(&self, trouble: Trouble) {
        self.office.lock().trouble = trouble;
    }
}

#[cfg(test)]
mod tests;

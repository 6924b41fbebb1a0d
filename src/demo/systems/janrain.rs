//! A Capture server as Janrain's is: one-time social tokens, flows, codes and refresh tokens that are spent, failures inside a 200.
//!
//! It is strict where the vendor is: `*_native` calls read the body alone and ask for every argument, `register_native` takes a
//! token that `auth_native` has seen for the same client, a code is redeemed once and by the client that had it made, a refresh
//! token works once, and a token that has run out is told by code 414 inside a 200. `/oauth/token` alone answers 400 and 401.
//! It tells how often it was asked for what and what it saw, and fails on demand.
//!
//! Not here: profiles, flows with more than one form, anything that lasts.

mod api;
mod call;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::demo::stand::Stand;
use crate::domain::{Clock, Seconds, Timestamp};

/// How it misbehaves, while it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// It does not.
    #[default]
    None,
    /// It spends a refresh token and hangs up instead of answering.
    RefreshLost,
    /// It answers everything with this status and a page.
    Down(u16),
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Calls of `auth_native`, whatever came of them.
    pub logins: usize,
    /// Calls of `register_native`, whatever came of them.
    pub registrations: usize,
    /// Codes that were redeemed.
    pub redeemed: usize,
    /// Refreshes that brought a pair.
    pub refreshed: usize,
    /// Calls of `/oauth/token` that brought nothing.
    pub refused: usize,
    /// Calls with a user's token or a client's credential.
    pub data: usize,
}

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Method and target as sent.
    pub line: String,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Cookie`.
    pub cookie: Option<String>,
    /// The body.
    pub body: String,
}

/// A running stand-in.
#[derive(Debug)]
pub struct DemoJanrain {
    stand: Stand,
    office: Arc<Mutex<Office>>,
}

/// Everything that may change while it runs, behind one lock; nobody holds it while waiting.
#[derive(Debug)]
struct Office {
    clients: BTreeMap<String, Client>,
    /// Users by their e-mail address.
    users: BTreeMap<String, String>,
    /// Social tokens with the address that the provider tells, until they are spent.
    social: BTreeMap<String, String>,
    /// Clients and tokens that `auth_native` has answered with 310.
    begun: BTreeSet<(String, String)>,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    /// Refresh tokens with user and client, until they are spent.
    refresh: BTreeMap<String, (String, String)>,
    /// Refresh secrets of mobile apps, by user and client.
    secrets: BTreeMap<(String, String), String>,
    life: Seconds,
    made: u64,
    asked: Asked,
    seen: Vec<Seen>,
    trouble: Trouble,
    gzip: bool,
}

/// An API client.
#[derive(Debug, Clone)]
struct Client {
    secret: String,
    features: Vec<&'static str>,
}

/// An authorization code.
#[derive(Debug, Clone)]
struct Code {
    user: String,
    client: String,
    redirect_uri: String,
}

/// An access token.
#[derive(Debug, Clone)]
struct Access {
    user: String,
    client: String,
    until: Timestamp,
}

impl DemoJanrain {
    /// The flow that it has.
    pub const FLOW: (&'static str, &'static str, &'static str) = ("standard", "20160420-1", "en-US");

    /// The one form of that flow for registering with a social token; it needs `emailAddress` and `displayName`.
    pub const FORM: &'static str = "socialRegistrationForm";

    /// Starts it on `address`; port 0 takes any free one. Tokens live by `clock`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(address: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let office = Arc::new(Mutex::new(Office {
            clients: BTreeMap::new(),
            users: BTreeMap::new(),
            social: BTreeMap::new(),
            begun: BTreeSet::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            secrets: BTreeMap::new(),
            life: Seconds(3_600),
            made: 0,
            asked: Asked::default(),
            seen: Vec::new(),
            trouble: Trouble::None,
            gzip: false,
        }));
        let shared = Arc::clone(&office);
        let stand = Stand::listen(address, move |request| {
            let (reply, folds) = api::attend(&shared, clock.now(), &request);
            async move {
                match reply {
                    Some(reply) if folds => Some(call::compressed(reply).await),
                    reply => reply,
                }
            }
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

    /// Knows this API client from now on.
    pub fn client(&self, id: &str, secret: &str, features: &[&'static str]) {
        self.office.lock().clients.insert(id.to_owned(), Client { secret: secret.to_owned(), features: features.to_vec() });
    }

    /// Knows this user from now on.
    pub fn user(&self, address: &str, uuid: &str) {
        self.office.lock().users.insert(address.to_owned(), uuid.to_owned());
    }

    /// Takes this one-time token for a login at a provider that tells `address`.
    pub fn social(&self, token: &str, address: &str) {
        self.office.lock().social.insert(token.to_owned(), address.to_owned());
    }

    /// Access tokens made from now on live this long.
    pub fn life(&self, life: Seconds) {
        self.office.lock().life = life;
    }

    /// Ends the access tokens of `user` at once, before their time; what refreshes them stays good.
    pub fn end_access(&self, user: &str) {
        for access in self.office.lock().access.values_mut().filter(|access| access.user == user) {
            access.until = Timestamp(0);
        }
    }

    /// Misbehaves like this from now on.
    pub fn trouble(&self, trouble: Trouble) {
        self.office.lock().trouble = trouble;
    }

    /// Compresses its answers from now on, for whoever takes that.
    pub fn compress(&self) {
        self.office.lock().gzip = true;
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.office.lock().asked
    }

    /// What has arrived, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.office.lock().seen.clone()
    }

    /// Every access token and refresh token that it has made and that is still good at `now`.
    #[must_use]
    pub fn live_tokens(&self, now: Timestamp) -> Vec<String> {
        let office = self.office.lock();
        let access = office.access.iter().filter(|(_, access)| now < access.until).map(|(token, _)| token.clone());
        access.chain(office.refresh.keys().cloned()).collect()
    }
}

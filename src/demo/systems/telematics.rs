//! A user API as the Telematics SDK's is: instances, users, logins that are few, pairs of which only the newest is good.
//!
//! It takes paths in any case, answers with real statuses and the vendor's envelope, and is strict where the vendor is: a login by
//! a string wants `Devicetoken` spelled just so and answers a bare 401 otherwise; a refresh wants both tokens of the newest pair
//! and answers 400 otherwise. It tells how often it was asked for what, which instance keys it has seen, and fails on demand.
//!
//! Not here: operators' rights, trips, anything that lasts. How many logins a user has is stated in three ways by the vendor; five an
//! hour here.

mod api;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::demo::stand::Stand;
use crate::domain::{Clock, Seconds, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;

/// How it misbehaves, while it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// It does not.
    #[default]
    None,
    /// It answers every refresh with this status, and does nothing.
    RefreshFails(u16),
    /// It does what a refresh asks for, and hangs up instead of answering.
    RefreshLost,
    /// It answers a token that has run out with HTTP 200 and `"Status": 401`.
    StatusInBody,
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Registrations that made a user.
    pub registered: usize,
    /// Logins, whatever came of them.
    pub logins: usize,
    /// Refreshes that brought a pair.
    pub refreshed: usize,
    /// Refreshes that did not.
    pub refused: usize,
    /// Requests for data, whatever came of them.
    pub data: usize,
}

/// One request as it arrived: path, instance id, instance key, bearer and body.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The path as sent.
    pub path: String,
    /// `InstanceId`.
    pub id: Option<String>,
    /// `InstanceKey`.
    pub key: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: String,
}

/// A running stand-in.
#[derive(Debug)]
pub struct DemoTelematics {
    stand: Stand,
    office: Arc<Mutex<Office>>,
}

/// Everything that may change while it runs, behind one lock; nobody holds it while waiting.
#[derive(Debug)]
struct Office {
    origin: String,
    key: SigningKey,
    life: Seconds,
    users: BTreeMap<String, User>,
    /// The pair that operators have, once one has logged in.
    operator: Option<Pair>,
    /// Counts pairs, so that no two are alike.
    pairs: u64,
    asked: Asked,
    seen: Vec<Seen>,
    trouble: Trouble,
}

/// A user of the instance.
#[derive(Debug, Default)]
struct User {
    pair: Option<Pair>,
    logins: Vec<Timestamp>,
}

/// The newest pair of somebody.
#[derive(Debug, Clone)]
struct Pair {
    access: String,
    refresh: String,
    until: Timestamp,
}

impl DemoTelematics {
    /// The id of its one instance.
    pub const INSTANCE: &'static str = "demo-instance";
    /// The key of that instance.
    pub const KEY: &'static str = "demo-instance-key-0b5e7c";
    /// The user that is there from the start, by device token.
    pub const USER: &'static str = "8b1cf7f9-0000-4000-8000-000000000001";
    /// Another user that is there from the start.
    pub const OTHER: &'static str = "8b1cf7f9-0000-4000-8000-000000000002";
    /// The operator: e-mail address and password.
    pub const OPERATOR: (&'static str, &'static str) = ("operator@fleet.example", "demo-operator-password");
    /// `aud` of its tokens.
    pub const AUDIENCE: &'static str = "telematics";

    /// Starts it on `address` (port 0 takes any free one) under `clock`; its tokens live for `life`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the crypto library makes no key.
    pub async fn start(address: SocketAddr, clock: Arc<dyn Clock>, life: Seconds) -> io::Result<Self> {
        let users = [Self::USER, Self::OTHER].map(|device| (device.to_owned(), User::default()));
        let office = Arc::new(Mutex::new(Office {
            origin: String::new(),
            key: SigningKey::generate(Algorithm::Es256).map_err(io::Error::other)?,
            life,
            users: users.into(),
            operator: None,
            pairs: 0,
            asked: Asked::default(),
            seen: Vec::new(),
            trouble: Trouble::None,
        }));
        let shared = Arc::clone(&office);
        let stand = Stand::listen(address, move |request| {
            let answer = shared.lock().attend(&request, clock.now());
            std::future::ready(answer)
        })
        .await?;
        office.lock().origin = stand.origin();
        Ok(Self { stand, office })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stand.address()
    }

    /// Its origin, which is `iss` of its tokens.
    #[must_use]
    pub fn origin(&self) -> String {
        self.stand.origin()
    }

    /// The public key of its tokens.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        self.office.lock().key.public_jwk()
    }

    /// A pair for `device`, as a login at `now` would give, without one: access token and refresh token. `None` for nobody of the
    /// instance.
    #[must_use]
    pub fn pair(&self, device: &str, now: Timestamp) -> Option<(String, String)> {
        let pair = self.office.lock().issue(device, now)?;
        Some((pair.access, pair.refresh))
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

    /// Misbehaves like this from now on.
    pub fn trouble(&self, trouble: Trouble) {
        self.office.lock().trouble = trouble;
    }
}

#[cfg(test)]
mod tests;

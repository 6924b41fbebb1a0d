//! Replies that must be classified by their body before the client sees a byte of them.
//!
//! Pingora has no hook that holds a head back: it goes to the client as soon as it was looked at. So such a reply is held one floor
//! below, in the socket that Pingora reads it from. The socket (`socket`) reads the reply ahead, follows its framing (`reply`) without
//! changing a byte, and lets it go once the body is there or turns out to be more than is held. When Pingora then sees the head, the
//! body lies ready beside it, and what a 401 leads to (`replay`) can follow: nothing has gone to the client. Everything else is
//! as for any other request: one implementation of the proxy's phases, the same retries, bounds, records and hop-by-hop rules.
//!
//! What is held: at most [`HELD_REPLY`] bytes of content, for at most the time that the upstream may be silent. A longer reply, a slower
//! one, and one whose framing two readers could read in two ways, goes on untouched as it comes; only its head is weighed. A reply that
//! breaks off while it is held is a failure of the upstream, and not half an answer.
//!
//! Where a rule keeps the credentials that replies bring, so that the client does not see them, a reply that should be held and cannot
//! be read does not go on: what it brings would be seen.
//!
//! The price: the upstream is spoken to over HTTP/1.1, also where HTTP/2 is offered, over connections of their own (`connect`).
//!
//! Not here: what a reply means (`systems::contract`); the renewal and the second try (`edge::replay`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use pingora::connectors::TransportConnector;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, Scheme};

use crate::domain::Harvest;
use crate::edge::held::connect::HeldConnect;
use crate::edge::replay;
use crate::edge::trip::Trip;
use crate::systems::contract::{HELD_REPLY, Meaning, Reply};
use crate::telemetry::report::Happening;

mod coding;
mod connect;
mod harvest;
mod reply;
mod socket;

/// Tells the peers of held replies from those of others, so that Pingora never hands one the connection of the other.
const APART: u64 = 0x68_65_6c_64_5f_72_65_70;

/// One held reply, shared by the proxy, which asks what it means, and the socket, which carries it.
#[derive(Debug, Default)]
pub struct HeldReply {
    /// The content, codings included, once all of it is there. Held for the length of a move only.
    content: Mutex<Option<Bytes>>,
    reused: AtomicBool,
    late: AtomicBool,
}

impl HeldReply {
    /// All of the content is there.
    fn keep(&self, content: Bytes) {
        *self.content.lock() = Some(content);
    }

    /// It comes over a connection that has carried others before.
    fn note_reused(&self) {
        self.reused.store(true, Ordering::Release);
    }

    /// Whether it comes over a connection that has carried others before. Pingora does not know.
    pub(super) fn was_reused(&self) -> bool {
        self.reused.load(Ordering::Acquire)
    }

    /// The upstream was silent for longer than it may be.
    fn note_late(&self) {
        self.late.store(true, Ordering::Release);
    }

    /// Whether the upstream was silent for longer than it may be. Pingora sees a connection that broke.
    pub(super) fn was_late(&self) -> bool {
        self.late.load(Ordering::Acquire)
    }
}

/// Has the reply of `peer` held. `bodiless` when the request is one whose reply has no body.
pub(super) fn hold(peer: &mut HttpPeer, transport: &Arc<TransportConnector>, bodiless: bool) -> Arc<HeldReply> {
    let reply = Arc::new(HeldReply::default());
    let mut beneath = peer.clone();
    beneath.options.set_http_version(1, 1);
    let silence = peer.options.read_timeout.take();
    let connect = HeldConnect::new(Arc::clone(transport), beneath, Arc::clone(&reply), silence, bodiless);
    // TLS, where there is any, is spoken beneath: a socket that sees ciphertext cannot tell where a reply ends.
    peer.scheme = Scheme::HTTP;
    peer.options.ca = None;
    peer.options.set_http_version(1, 1);
    peer.options.custom_l4 = Some(Arc::new(connect));
    peer.group_key ^= APART;
    reply
}

/// What a final reply has told.
#[derive(Default)]
struct Told {
    /// The credential has run out.
    expired: bool,
    /// It brings a credential that is not the client's to see.
    harvest: Option<Harvest>,
    /// It may bring one, and could not be read.
    unread: bool,
    /// It has a body, and that could be read.
    body: bool,
}

/// Does what a final reply asks for before the client sees it: renews what has run out, keeps what the client is not to see.
///
/// # Errors
///
/// The attempt must end: the request is sent again, or the reply must not reach the client.
pub(super) async fn answered(session: &mut Session, trip: &mut Trip, response: &mut ResponseHeader) -> pingora::Result<()> {
    let told = told(session, trip, response);
    if told.expired {
        replay::renew(session, trip).await?;
    }
    if let Some(harvest) = &told.harvest {
        return harvest::keep(session, trip, response, harvest, told.body).await;
    }
    if told.unread { harvest::refuse_unread(trip) } else { Ok(()) }
}

/// Asks the system what a reply means: by its body where that was held, by its head otherwise.
fn told(session: &Session, trip: &Trip, response: &ResponseHeader) -> Told {
    let refused = response.status == http::StatusCode::UNAUTHORIZED;
    let Some(admission) = &trip.admission else { return Told::default() };
    let (renews, keeps) = (admission.renewable.is_some() || admission.fresh.is_some(), admission.keeper.is_some());
    let system = admission.held.as_ref().or(admission.system.as_ref()).filter(|_| keeps || (renews && !refused));
    let Some(system) = system else { return Told { expired: refused, ..Told::default() } };
    let content = trip.held.as_ref().and_then(|held| held.content.lock().take());
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let plain = content.and_then(|content| coding::take_off(&response.headers, content, HELD_REPLY));
        let reply = Reply {
            method: session.req_header().method.as_str(),
            path: &admission.target.path,
            status: response.status.as_u16(),
            headers: &response.headers,
            body: plain.as_deref(),
        };
        let weigh = || if plain.is_some() { system.classify(&reply) } else { system.weigh(&reply) };
        Told {
            expired: refused || (renews && weigh() == Meaning::Expired),
            harvest: if keeps { system.harvest(&reply) } else { None },
            unread: keeps && admission.held.is_some() && plain.is_none() && response.status.is_success(),
            body: plain.is_some_and(|plain| !plain.is_empty()),
        }
    }));
    asked.unwrap_or_else(|_panic| {
        // It has understood nothing.
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        Told { expired: refused, unread: keeps, ..Told::default() }
    })
}

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

use crate::edge::held::connect::HeldConnect;
use crate::edge::trip::Trip;
use crate::gate::verdict::Admission;
use crate::systems::contract::{HELD_REPLY, Meaning, Reply};
use crate::telemetry::report::Happening;

mod coding;
mod connect;
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

/// Whether a final reply says that the credential has run out: by its body where that was held, by its head otherwise.
pub(super) fn has_run_out(session: &Session, trip: &Trip, response: &ResponseHeader) -> bool {
    let refused = response.status == http::StatusCode::UNAUTHORIZED;
    let Some(admission) = &trip.admission else { return false };
    let Some(system) = admission.held.as_ref().or(admission.system.as_ref()) else { return refused };
    if refused || (admission.renewable.is_none() && admission.fresh.is_none()) {
        return refused;
    }
    let meaning = catch_unwind(AssertUnwindSafe(|| {
        let plain = content(trip, response);
        let reply = reply(session, admission, response, plain.as_deref());
        if plain.is_some() { system.classify(&reply) } else { system.weigh(&reply) }
    }));
    // A system that panics has understood nothing.
    let meaning = meaning.unwrap_or_else(|_panic| {
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        Meaning::Fine
    });
    meaning == Meaning::Expired
}

/// The content of the reply with its codings taken off, where it was held and can be read.
pub(super) fn content(trip: &Trip, response: &ResponseHeader) -> Option<Bytes> {
    let held = trip.held.as_ref()?.content.lock().clone()?;
    coding::take_off(&response.headers, held, HELD_REPLY)
}

/// The reply as a system sees it.
pub(super) fn reply<'r>(
    session: &'r Session,
    admission: &'r Admission,
    response: &'r ResponseHeader,
    content: Option<&'r [u8]>,
) -> Reply<'r> {
    Reply {
        method: session.req_header().method.as_str(),
        path: &admission.target.path,
        status: response.status.as_u16(),
        headers: &response.headers,
        body: content,
    }
}

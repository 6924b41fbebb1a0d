//! Replies that bring a credential which its client is not to see: it is kept in the client's place, and the client gets what
//! it holds it by from now on.
//!
//! It happens before a byte of the reply has gone to the client. Where it cannot be kept, the client gets a refusal in place of the
//! reply, which would show it. Nor does a success go on that should have been held and could not be read, because it was too long, too
//! slow or coded in a way that nobody reads: what it brings would be seen, and its client has a part in how it comes.
//!
//! Not here: what a reply brings (`systems::contract`), how it is kept (the gate's).

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, TRAILER, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::domain::Refusal;
use crate::edge::held;
use crate::edge::trip::Trip;
use crate::edge::unpanicked::unpanicked;
use crate::edge::view;
use crate::telemetry::report::Happening;

/// What says something of the bytes of a body that is replaced.
const OF_THE_BODY: [HeaderName; 10] = [
    CONTENT_ENCODING,
    CONTENT_RANGE,
    TRANSFER_ENCODING,
    TRAILER,
    ACCEPT_RANGES,
    ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Has what `response` brings kept, when its rule says so.
///
/// # Errors
///
/// It could not be kept: the reply must not go on.
pub(super) async fn gather(session: &mut Session, response: &mut ResponseHeader, trip: &mut Trip) -> pingora::Result<()> {
    let Some(admission) = trip.admission.as_ref().filter(|admission| admission.keeper.is_some()) else { return Ok(()) };
    let Some(system) = admission.held.as_ref().or(admission.system.as_ref()) else { return Ok(()) };
    let content = held::content(trip, response);
    let reply = held::reply(session, admission, response, content.as_deref());
    let Ok(brought) = catch_unwind(AssertUnwindSafe(|| system.harvest(&reply))) else {
        // A system that panics has understood nothing, and what the reply holds is not known.
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        return Err(stop(trip, Refusal::Internal));
    };
    let Some(harvest) = brought else {
        let is_read = admission.held.is_none() || content.is_some();
        return if is_read || !response.status.is_success() { Ok(()) } else { Err(stop(trip, Refusal::UpstreamUnreachable)) };
    };
    let Some(wire) = trip.wire.clone() else { return Err(stop(trip, Refusal::Internal)) };
    let arrival = view::arrival(session.req_header(), &wire.connection);
    let caller = trip.record.identity.as_deref();
    let kept = unpanicked(trip.serving.judge.harvest(admission, caller, &arrival, &harvest)).await;
    match kept.unwrap_or(Err(Refusal::Internal)) {
        Ok(fields) => trip.hand_back.extend(fields),
        Err(refusal) => return Err(stop(trip, refusal)),
    }
    if let Some(name) = &harvest.strip {
        response.remove_header(name);
    }
    if let Some(rest) = harvest.rest {
        for name in OF_THE_BODY {
            response.remove_header(&name);
        }
        response.insert_header(CONTENT_LENGTH, rest.len())?;
        trip.rest = Some(rest);
    }
    Ok(())
}

/// Changes the head of a reply as its rule's system wants its clients to have it. The edge's own fields come later and stand.
///
/// # Errors
///
/// A field could not be written, or the system panicked: what the client would see is not known.
pub(super) fn hand_on(session: &Session, response: &mut ResponseHeader, trip: &mut Trip) -> pingora::Result<()> {
    let Some(admission) = &trip.admission else { return Ok(()) };
    let Some(system) = &admission.system else { return Ok(()) };
    let reply = held::reply(session, admission, response, None);
    let Ok(changes) = catch_unwind(AssertUnwindSafe(|| system.hand_on(&reply, admission.kept))) else {
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        return Err(stop(trip, Refusal::Internal));
    };
    for (name, value) in changes {
        match value {
            Some(value) => response.insert_header(name, value)?,
            None => drop(response.remove_header(&name)),
        }
    }
    Ok(())
}

/// Puts what the client may see in place of the body that the upstream sends.
pub(super) fn replace(trip: &mut Trip, body: &mut Option<Bytes>, end_of_stream: bool) {
    if let Some(rest) = &mut trip.rest {
        *body = Some(if end_of_stream { std::mem::take(rest) } else { Bytes::new() });
    }
}

fn stop(trip: &mut Trip, refusal: Refusal) -> Box<Error> {
    trip.given_up = Some(refusal);
    Error::explain(ErrorType::InternalError, "what a reply brought could not be kept")
}

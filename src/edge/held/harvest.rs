//! Credentials that a reply brings and the client is not to see: kept by the judge, and taken out of the reply.
//!
//! Not here: how they are found (`systems::contract`), where they are kept (the judge).

use bytes::Bytes;
use http::HeaderName;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::domain::{Harvest, Refusal};
use crate::edge::trip::Trip;
use crate::edge::unpanicked::unpanicked;
use crate::edge::view;
use crate::telemetry::report::Happening;

/// What was said of a body that is replaced, and is not true of the one in its place.
static OF_THE_BODY: [HeaderName; 11] = [
    TRANSFER_ENCODING,
    TRAILER,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    ACCEPT_RANGES,
    ETAG,
    LAST_MODIFIED,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Has the judge keep `harvest`, and puts in the place of the reply's body, if it has one, what the client may see.
///
/// # Errors
///
/// It cannot be kept; the reply must not reach the client.
pub(super) async fn keep(
    session: &mut Session,
    trip: &mut Trip,
    response: &mut ResponseHeader,
    harvest: &Harvest,
    has_body: bool,
) -> pingora::Result<()> {
    let (Some(admission), Some(wire)) = (&trip.admission, &trip.wire) else { return withhold(trip, Refusal::Internal) };
    let arrival = view::arrival(session.req_header(), &wire.connection);
    let caller = trip.record.identity.as_deref();
    let kept = unpanicked(trip.serving.judge.harvest(admission, caller, &arrival, harvest)).await;
    let kept = kept.unwrap_or_else(|| {
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        Err(Refusal::Internal)
    });
    match kept {
        Ok(fields) => trip.hand_back.extend(fields),
        Err(refusal) => return withhold(trip, refusal),
    }
    match &harvest.rest {
        Some(rest) if has_body => replace_body(trip, response, rest.clone()),
        _ => Ok(()),
    }
}

/// A reply that may bring a credential could not be read, so nobody knows what its client would see.
///
/// # Errors
///
/// Always.
pub(super) fn refuse_unread(trip: &mut Trip) -> pingora::Result<()> {
    tracing::warn!(request_id = %trip.record.request_id, "a reply was withheld that could not be read for the credential it may bring");
    withhold(trip, Refusal::UpstreamUnreachable)
}

fn withhold(trip: &mut Trip, refusal: Refusal) -> pingora::Result<()> {
    trip.given_up = Some(refusal);
    // What was renewed on the way is handed back all the same.
    Err(Error::explain(ErrorType::InternalError, "a reply is withheld").into_in())
}

fn replace_body(trip: &mut Trip, response: &mut ResponseHeader, rest: Bytes) -> pingora::Result<()> {
    for name in &OF_THE_BODY {
        response.remove_header(name);
    }
    response.insert_header(CONTENT_LENGTH, rest.len())?;
    trip.reply_body = Some(rest);
    Ok(())
}

//! Writes answers of our own into a session, so that the client always gets them.
//!
//! A client that is still sending its body when it is refused must still hear so. A small body is read and thrown away
//! behind the answer, and the connection lives on; a large one is not waited for: the answer says `Connection: close`, and
//! the socket is closed in a way that does not cut the answer off (`guard_stream::Returned::close`).
//!
//! What the answers say is decided in `respond`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::domain::Refusal;
use crate::edge::forward;
use crate::edge::guard_stream::GuardStream;
use crate::edge::proxy::is_head;
use crate::edge::respond::{AnswerRequest, answer};
use crate::edge::trip::Trip;
use crate::gate::hygiene;
use crate::gate::verdict::{Refused, Served};
use crate::telemetry::report::{Ending, Happening};

/// How much of a refused body is read behind the answer.
const DRAIN_MOST: usize = 64 * 1024;
/// For how long.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// A refusal that no rule had a part in.
pub(super) fn refused(refusal: Refusal) -> Refused {
    Refused { refusal, challenges: Arc::from([]), login: None, system: None, body: None }
}

/// Answers a refused request.
pub(super) async fn refuse(session: &mut Session, trip: &mut Trip, refused: &Refused) {
    trip.ending = Ending::Refused;
    trip.record.reason.get_or_insert(refused.refusal.reason());
    give_up(session, trip, refused, None).await;
}

/// The same for a request that was admitted and could not be forwarded; `status` replaces the usual one.
pub(super) async fn give_up(session: &mut Session, trip: &mut Trip, refused: &Refused, status: Option<u16>) {
    name(session, trip);
    let written = {
        let request = session.req_header();
        let field = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let target = String::from_utf8_lossy(request.raw_path());
        // What fails behind the gate is told in the words of the rule's system as well.
        let system = refused.system.as_deref().or_else(|| trip.admission.as_ref()?.system.as_deref());
        answer(
            refused,
            &AnswerRequest {
                method: request.method.as_str(),
                accept: field(ACCEPT),
                sec_fetch_mode: field(HeaderName::from_static("sec-fetch-mode")),
                sec_fetch_dest: field(HeaderName::from_static("sec-fetch-dest")),
                request_id: &trip.record.request_id,
                path_and_query: &target,
                headers: &request.headers,
                now: trip.shared.instruments.clock.now(),
                body: refused.body.as_deref().or_else(|| trip.admission.as_ref()?.told_in.as_deref()),
                system,
            },
        )
    };
    write(session, trip, status.unwrap_or(written.status), &written.headers, written.body).await;
}

/// Writes an answer of the gate's.
pub(super) async fn serve(session: &mut Session, trip: &mut Trip, served: Served) {
    trip.ending = Ending::Served;
    name(session, trip);
    write(session, trip, served.status, &served.headers, served.body).await;
}

/// A request that was refused before the gate could name it goes by an id all the same.
fn name(session: &Session, trip: &mut Trip) {
    if trip.record.request_id.is_empty() {
        trip.record.request_id = hygiene::request_id(&session.req_header().headers, trip.shared.instruments.random.as_ref());
    }
}

async fn write(session: &mut Session, trip: &mut Trip, status: u16, fields: &[(HeaderName, HeaderValue)], body: Bytes) {
    let drains = drains(session);
    // Otherwise Pingora gives the connection up because of the unread body, before it is drained.
    session.set_close_on_response_before_downstream_finish(!drains);
    if try_write(session, trip, status, fields, body).await.is_err() {
        // The client is gone; there is nobody left to tell.
        session.set_keepalive(None);
        return;
    }
    trip.status = status;
    if drains && !drain(session).await {
        session.set_keepalive(None);
    }
}

async fn try_write(
    session: &mut Session,
    trip: &Trip,
    status: u16,
    fields: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(status, Some(fields.len() + trip.hand_back.len() + 5))?;
    for (name, value) in fields {
        head.append_header(name, value.clone())?;
    }
    // Here and not in the body alone: HEAD, redirects, preflights and what a rule serves have no body that could say it.
    head.insert_header(hygiene::REQUEST_ID, &*trip.record.request_id)?;
    forward::hand_back(&trip.hand_back, &mut head)?;
    let bodiless = is_head(session) || matches!(status, 204 | 304);
    if !bodiless {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    let ends = bodiless || body.is_empty();
    session.write_response_header(Box::new(head), ends).await?;
    let body = if ends { None } else { Some(body) };
    session.write_response_body(body, true).await
}

/// Whether what is left of the body is small enough to be waited for. A client that waits for `100 Continue` may never
/// send it, so there is no telling where its next request would begin.
fn drains(session: &mut Session) -> bool {
    if session.as_http2().is_some() || session.is_body_done() {
        return false;
    }
    let waits = session.stream().and_then(|stream| (**stream).as_any().downcast_ref::<GuardStream>()).is_none_or(|guard| {
        let head = guard.head();
        head.expects_continue || guard.wire().broken().is_some()
    });
    let announced = session.req_header().headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    !waits && announced.is_none_or(|announced| announced <= DRAIN_MOST)
}

/// Reads and throws away the rest of the body; false when that was given up.
async fn drain(session: &mut Session) -> bool {
    let all = async {
        let mut thrown = 0;
        loop {
            match session.read_request_body().await {
                Ok(Some(piece)) if DRAIN_MOST < thrown + piece.len() => return false,
                Ok(Some(piece)) => thrown += piece.len(),
                Ok(None) => return true,
                Err(_gone) => return false,
            }
        }
    };
    tokio::time::timeout(DRAIN_PATIENCE, all).await.unwrap_or(false)
}

/// What a failure of forwarding is to the client; `None` when the client itself is gone.
pub(super) fn refusal_of(error: &Error, trip: &Trip) -> Option<Refusal> {
    if let Some(refusal) = &trip.given_up {
        return Some(refusal.clone());
    }
    if let Some(why) = trip.wire.as_ref().and_then(|wire| wire.broken()) {
        trip.shared.instruments.reporter.happened(Happening::HeadRefused { why });
        return Some(Refusal::HeadMalformed);
    }
    match error.esource() {
        ErrorSource::Upstream => Some(match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
                Refusal::UpstreamTimeout
            }
            _ => Refusal::UpstreamUnreachable,
        }),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ConnectionClosed => None,
            _ => Some(Refusal::HeadMalformed),
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Refusal::Internal),
    }
}

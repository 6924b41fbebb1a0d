//! One more try for a request whose upstream has refused a credential that can be renewed: by 401, or as its system says it.
//!
//! The renewal is made while the upstream's answer is held back, before a byte of it has gone to the client. Only when it brought
//! a credential that the gate admits is the request sent again, once; otherwise the upstream's own answer goes on untouched. What
//! was read of the body must still be at hand: Pingora keeps 64 KiB.
//!
//! A 401 says that the request was not acted upon (RFC 9110 section 15.5.2), so it may be sent again whatever its method. What else says
//! so is weighed in `edge::held`.

use async_trait::async_trait;
use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::domain::Outage;
use crate::edge::trip::Trip;
use crate::edge::unpanicked::unpanicked;
use crate::edge::view;
use crate::gate::arrival::BodySource;
use crate::gate::hygiene;
use crate::gate::verdict::Outcome;

/// Marks an attempt that ended for the sake of the next one.
const REPLAY: ErrorType = ErrorType::new("UpstreamReplay");

/// The body as Pingora has kept it.
struct Kept(Option<Bytes>);

#[async_trait]
impl BodySource for Kept {
    async fn body(&mut self, limit: usize) -> Result<Bytes, Outage> {
        let body = self.0.clone().unwrap_or_default();
        if limit < body.len() { Err(Outage::BodyTooLarge) } else { Ok(body) }
    }
}

/// Has the credential renewed that the upstream has just refused.
///
/// # Errors
///
/// The marker with which the attempt must end, so that the request is sent again.
pub(super) async fn renew(session: &mut Session, trip: &mut Trip) -> pingora::Result<()> {
    let Some(admission) = &trip.admission else { return Ok(()) };
    if let Some(fresh) = admission.fresh {
        trip.serving.judge.in_vain(fresh);
    }
    let Some(refused) = admission.renewable else { return Ok(()) };
    let Some(wire) = trip.wire.clone() else { return Ok(()) };
    if trip.replayed || session.as_ref().retry_buffer_truncated() {
        return Ok(());
    }
    trip.replayed = true;
    // It goes by the id that it has been given, in the record and at the upstream.
    session.req_header_mut().insert_header(hygiene::REQUEST_ID, &*trip.record.request_id)?;
    let arrival = view::arrival(session.req_header(), &wire.connection);
    let mut body = Kept(session.as_ref().get_retry_buffer());
    let again = unpanicked(trip.serving.judge.readmit(&arrival, &mut body, refused)).await.flatten();
    let Some(verdict) = again else { return Ok(()) };
    trip.hand_back = verdict.hand_back;
    trip.record.renewed |= verdict.record.renewed;
    trip.record.stages.renew = trip.record.stages.renew.saturating_add(verdict.record.stages.renew);
    match verdict.outcome {
        Outcome::Admit(admission) => {
            trip.record.identity = verdict.record.identity;
            trip.admission = Some(admission);
            let mut marker = Error::new_up(REPLAY);
            marker.set_retry(true);
            Err(marker)
        }
        // Whom it was admitted for is no longer good: that is the answer, and not what the upstream has said.
        Outcome::Refuse(refused) if !verdict.record.renewed => {
            trip.given_up = Some(refused.refusal.clone());
            trip.refused = Some(refused);
            Err(Error::explain(ErrorType::InternalError, "no longer let through"))
        }
        // Renewed, and no longer let through: the upstream's refusal stands.
        Outcome::Refuse(_) | Outcome::Serve(_) => Ok(()),
    }
}

/// Whether an attempt ended for the sake of the next one.
pub(super) fn is_asked_for(error: &Error) -> bool {
    *error.etype() == REPLAY
}

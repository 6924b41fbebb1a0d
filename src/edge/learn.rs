//! Replies that tell something which later requests must bring: it is remembered before a byte of the reply has gone to the client.
//!
//! Where it cannot be remembered, the client gets a refusal in place of the reply: what it would be told is good for nothing.
//!
//! Not here: what a reply tells (`systems::contract`), where it is remembered (the gate's).

use std::panic::{AssertUnwindSafe, catch_unwind};

use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::domain::Refusal;
use crate::edge::held;
use crate::edge::trip::Trip;
use crate::edge::unpanicked::unpanicked;
use crate::telemetry::report::Happening;

/// Has what `response` tells remembered, where its rule's system says that it tells something.
///
/// # Errors
///
/// It could not be remembered: the reply must not go on.
pub(super) async fn learn(session: &Session, response: &ResponseHeader, trip: &mut Trip) -> pingora::Result<()> {
    let Some(admission) = &trip.admission else { return Ok(()) };
    let Some(system) = admission.held.as_ref().filter(|system| system.learns(&admission.target.path)) else { return Ok(()) };
    let content = held::content(trip, response);
    let reply = held::reply(session, admission, response, content.as_deref());
    let caller = trip.record.identity.as_deref();
    let told = catch_unwind(AssertUnwindSafe(|| system.lessons(&reply, caller)));
    let Ok(lessons) = told else {
        // A system that panics has understood nothing.
        trip.shared.instruments.reporter.happened(Happening::Panicked);
        return Err(stop(trip, Refusal::Internal));
    };
    if lessons.is_empty() {
        return Ok(());
    }
    match unpanicked(trip.serving.judge.learn(&lessons)).await.unwrap_or(Err(Refusal::Internal)) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(stop(trip, refusal)),
    }
}

fn stop(trip: &mut Trip, refusal: Refusal) -> Box<Error> {
    trip.given_up = Some(refusal);
    Error::explain(ErrorType::InternalError, "what a reply told could not be remembered")
}

//! The protocol between nodes: what a record under a spent credential means, and what a node does about it.
//!
//! Pure functions of what stands in the store and the time; no I/O, no secret. The flight follows them, and so does the model
//! that checks them with three nodes, crashes, pauses and lost answers.
//!
//! The record goes from nothing to `Leased` to `Done`, `Failed` or `Lost`. Each step is a write that expects the version it
//! was decided on, so the version is the fence: what a paused leader writes after somebody has taken its lease over conflicts.
//! A lease is taken before the issuer is asked, so it is the intent too: one that has ended without a result says that the
//! credential may be spent.

use bytes::Bytes;

use crate::domain::{RenewalFailure, Seconds, Timestamp};
use crate::state::contract::Expect;

/// How many exchanges one spent credential may cost at an issuer that forgives repeats.
pub const FORGIVEN: u8 = 2;

/// Who holds a lease: unpredictable, new for every lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(pub [u8; 16]);

/// The right to ask the issuer, and the mark that this is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose it is.
    pub holder: Holder,
    /// Which exchange for this credential it is for, from 1.
    pub attempt: u8,
    /// From this moment on it is over, and with it the hope for an answer.
    pub ends: Timestamp,
}

/// A failure that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The issuer refused.
    Fatal,
    /// Nothing was spent.
    Transient,
}

/// What stands in the store under a spent credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record {
    /// It is being exchanged.
    Leased(Lease),
    /// It was exchanged.
    Done {
        /// The new pair, sealed.
        sealed: Bytes,
        /// Until when it is handed out.
        ends: Timestamp,
    },
    /// It was not exchanged.
    Failed {
        /// Why.
        class: Class,
        /// Until when this is said without asking again.
        ends: Timestamp,
    },
    /// It was sent, and no answer came.
    Lost {
        /// Which exchange that was.
        attempt: u8,
        /// Until when this is said without asking again.
        ends: Timestamp,
    },
}

/// What a look into the store has shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing stands there.
    Absent,
    /// This does, in this version.
    Recorded(Record, u64),
    /// Something that cannot be read: of another release, or damaged.
    Unreadable,
}

/// From where a node looks.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The time there.
    pub now: Timestamp,
    /// Whether the issuer forgives repeats.
    pub forgives: bool,
    /// A lease that this node has asked the store for without being told that it got it. Nothing was exchanged under it.
    pub disowned: Option<Holder>,
}

/// What a node does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Take the lease for this exchange, if the record is still as expected, and ask the issuer.
    Lead {
        /// What the record must be.
        expect: Expect,
        /// Which exchange it is.
        attempt: u8,
    },
    /// Wait until the record is no longer of `version`, at most until `ends`; then look again.
    Follow {
        /// What is seen now.
        version: u64,
        /// The end of the lease.
        ends: Timestamp,
    },
    /// Open what another exchange has brought.
    Take {
        /// The sealed pair.
        sealed: Bytes,
        /// Until when it is handed out.
        ends: Timestamp,
        /// What is seen now.
        version: u64,
    },
    /// There is no pair.
    Stop(RenewalFailure),
}

/// What to do about `standing`.
#[must_use]
pub fn next(standing: &Standing, view: &View) -> Move {
    let (record, version) = match standing {
        Standing::Absent => return Move::Lead { expect: Expect::Absent, attempt: 1 },
        // Whoever wrote it may have exchanged the credential.
        Standing::Unreadable => return Move::Stop(RenewalFailure::Unknown),
        Standing::Recorded(record, version) => (record, *version),
    };
    let expect = Expect::Version(version);
    match record {
        Record::Leased(lease) if view.disowned == Some(lease.holder) => Move::Lead { expect, attempt: lease.attempt },
        Record::Leased(lease) if view.now < lease.ends => Move::Follow { version, ends: lease.ends },
        // Its holder has died, or sleeps, and may have asked the issuer.
        Record::Leased(lease) => repeat(lease.attempt, version, view.forgives),
        Record::Lost { attempt, ends } if view.now < *ends => repeat(*attempt, version, view.forgives),
        Record::Done { sealed, ends } if view.now < *ends => Move::Take { sealed: sealed.clone(), ends: *ends, version },
        Record::Failed { class: Class::Fatal, ends } if view.now < *ends => Move::Stop(RenewalFailure::Fatal),
        Record::Failed { class: Class::Transient, ends } if view.now < *ends => {
            Move::Stop(RenewalFailure::Transient { retry_after: view.now.until(*ends) })
        }
        // Past its end, in a store that has not noticed yet.
        Record::Lost { .. } | Record::Done { .. } | Record::Failed { .. } => Move::Lead { expect, attempt: 1 },
    }
}

/// What to do when the exchange number `attempt` has brought no answer that anybody knows of.
fn repeat(attempt: u8, version: u64, forgives: bool) -> Move {
    if forgives && attempt < FORGIVEN {
        Move::Lead { expect: Expect::Version(version), attempt: attempt.saturating_add(1) }
    } else {
        Move::Stop(RenewalFailure::Unknown)
    }
}

/// What to do about a result that is of no use because it has run out, or is what the request has brought. Only at an issuer that
/// does not rotate: there the same credential renews again.
#[must_use]
pub fn beyond(version: u64) -> Move {
    Move::Lead { expect: Expect::Version(version), attempt: 1 }
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With a pair, sealed here.
    Renewed(Bytes),
    /// The issuer refused.
    Rejected,
    /// Nothing was spent.
    Unreached,
    /// Nobody knows.
    Lost,
}

/// For how long results are remembered, from the end of the exchange on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A new pair.
    pub grace: Seconds,
    /// A refusal.
    pub fatal: Seconds,
    /// That nothing was spent.
    pub transient: Seconds,
    /// That nobody knows.
    pub unknown: Seconds,
}

/// What a leader does after its exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// Ask once more, under a lease for this exchange.
    Again {
        /// Which exchange it will be.
        attempt: u8,
    },
    /// Write this and say that.
    Write {
        /// What is written in place of the lease.
        record: Record,
        /// What those who wait are told; `None` stands for the pair.
        failure: Option<RenewalFailure>,
    },
}

/// What the leader of exchange number `attempt` does about how it `ended`, at `now`.
#[must_use]
pub fn landing(ended: Ended, attempt: u8, forgives: bool, now: Timestamp, terms: &Terms) -> Landing {
    let unknown = now.plus(terms.unknown);
    match ended {
        Ended::Renewed(sealed) => Landing::Write { record: Record::Done { sealed, ends: now.plus(terms.grace) }, failure: None },
        Ended::Rejected => Landing::Write {
            record: Record::Failed { class: Class::Fatal, ends: now.plus(terms.fatal) },
            failure: Some(RenewalFailure::Fatal),
        },
        Ended::Unreached => {
            let record = match attempt.checked_sub(1) {
                // What the exchange before it may have spent is as uncertain as it was; only this one does not count.
                Some(before) if 1 <= before => Record::Lost { attempt: before, ends: unknown },
                _ => Record::Failed { class: Class::Transient, ends: now.plus(terms.transient) },
            };
            Landing::Write { record, failure: Some(RenewalFailure::Transient { retry_after: terms.transient }) }
        }
        Ended::Lost if forgives && attempt < FORGIVEN => Landing::Again { attempt: attempt.saturating_add(1) },
        Ended::Lost => Landing::Write { record: Record::Lost { attempt, ends: unknown }, failure: Some(RenewalFailure::Unknown) },
    }
}

/// Until when the store must keep `record`. A lease is kept beyond its own end: that it ended without a result must be
/// known for as long as an unknown result is.
#[must_use]
pub fn kept_until(record: &Record, unknown: Seconds) -> Timestamp {
    match record {
        Record::Leased(lease) => lease.ends.plus(unknown),
        Record::Done { ends, .. } | Record::Failed { ends, .. } | Record::Lost { ends, .. } => *ends,
    }
}

/// Whether an exchange that may take `flight` long, begun at `now`, is over before its lease is.
#[must_use]
pub fn in_time(lease: &Lease, now: Timestamp, flight: Seconds) -> bool {
    now.plus(flight) <= lease.ends
}

/// What a leader does when the store does not take its result because something else stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Its own record, from a write that was not acknowledged: all is well.
    Written,
    /// Nothing, and the lease is not over: the store has lost its memory. Write it as a new one.
    Rewrite,
    /// The lease is somebody else's, or long over: the result is thrown away, and what stands there counts.
    ThrownAway,
}

/// What a leader does when the write of `record` under `lease` has met `standing` instead of the lease.
#[must_use]
pub fn late(record: &Record, lease: &Lease, standing: &Standing, now: Timestamp) -> Late {
    match standing {
        Standing::Recorded(standing, _) if standing == record => Late::Written,
        Standing::Absent if now < lease.ends => Late::Rewrite,
        Standing::Absent | Standing::Recorded(..) | Standing::Unreadable => Late::ThrownAway,
    }
}

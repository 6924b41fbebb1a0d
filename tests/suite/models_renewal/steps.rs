//! What a node of the model does next. Every decision is the library's; here it is carried out on the model's store.

use countersign::domain::RenewalFailure;
use countersign::renew::flight::protocol::{self, Ended, Holder, Landing, Late, Lease, Move, Record, Standing, View};
use countersign::state::contract::Expect;

use super::node::{Phase, Role, Told};
use super::world::{FLIGHT, Flaw, Happened, LEASE, State, TERMS, World};

fn told(failure: RenewalFailure) -> Told {
    match failure {
        RenewalFailure::Fatal => Told::Fatal,
        RenewalFailure::Transient { .. } => Told::Transient,
        RenewalFailure::Unknown => Told::Unknown,
        RenewalFailure::Pending { .. } => Told::Pending,
        RenewalFailure::StateUnavailable => Told::StateUnavailable,
    }
}

impl World {
    fn view(&self, state: &State, node: usize) -> View {
        View { now: state.at(self, node), forgives: self.forgives, disowned: state.nodes[node].disowned }
    }

    /// What `node` does about `standing`.
    fn decide(&self, state: &State, node: usize, standing: &Standing) -> Move {
        let view = self.view(state, node);
        match standing {
            Standing::Recorded(Record::Leased(lease), version)
                if self.flaw == Some(Flaw::LapsedLeaseIsForgotten) && lease.ends <= view.now =>
            {
                Move::Lead { expect: Expect::Version(*version), attempt: 1 }
            }
            _ => protocol::next(standing, &view),
        }
    }

    fn lease(&self, state: &mut State, node: usize, attempt: u8) -> Lease {
        state.leases += 1;
        Lease { holder: Holder([state.leases; 16]), attempt, ends: state.at(self, node).plus(LEASE) }
    }

    /// Takes the lease; `None` where the store does not answer, and whether it happened all the same.
    fn take(
        &self,
        state: &mut State,
        node: usize,
        expect: Expect,
        attempt: u8,
        lost: Option<Happened>,
    ) -> Option<Result<(Lease, u64), Standing>> {
        let lease = self.lease(state, node, attempt);
        let now = state.at(self, node);
        if lost == Some(Happened::No) {
            if self.flaw == Some(Flaw::DoubtfulLeaseIsUsed) {
                return Some(Ok((lease, 0)));
            }
            state.nodes[node].disowned = Some(lease.holder);
            return None;
        }
        let written = state.write(self, expect, Record::Leased(lease), now);
        if lost.is_some() {
            state.nodes[node].disowned = Some(lease.holder);
            return None;
        }
        Some(written.map(|version| (lease, version)))
    }

    /// Begins a flight: what this node remembers settles it, or the lease is asked for without a look.
    pub fn begin(&self, state: &mut State, node: usize) {
        let standing = state.nodes[node].known.clone().map_or(Standing::Absent, |known| Standing::Recorded(known, 0));
        let standing = match self.decide(state, node, &standing) {
            Move::Stop(_) | Move::Take { .. } => standing,
            Move::Lead { .. } | Move::Follow { .. } => Standing::Absent,
        };
        self.seen(state, node, standing, Role::Open);
    }

    /// Acts on what was seen, as far as that needs neither store nor issuer.
    fn seen(&self, state: &mut State, node: usize, standing: Standing, role: Role) {
        match self.decide(state, node, &standing) {
            Move::Lead { .. } if role == Role::Spectator => state.nodes[node].tell(Told::Unknown),
            Move::Lead { expect, attempt } => state.nodes[node].phase = Phase::Taking { expect, attempt, role },
            Move::Stop(failure) => state.nodes[node].tell(told(failure)),
            Move::Take { sealed, ends, .. } => {
                let number = State::number(&sealed);
                state.nodes[node].known = Some(Record::Done { sealed, ends });
                state.nodes[node].tell(Told::Pair(number));
            }
            Move::Follow { version, ends } => state.nodes[node].phase = Phase::Following { version, ends: ends.0, role },
        }
    }

    /// One step of `node`, whose flight stands at `phase`.
    pub fn step(&self, state: &mut State, node: usize, phase: Phase, lost: Option<Happened>) -> Option<()> {
        let now = state.at(self, node);
        match phase {
            Phase::Taking { expect, attempt, role } => match self.take(state, node, expect, attempt, lost) {
                Some(Ok((lease, version))) => state.nodes[node].phase = Phase::Leading { lease, version },
                Some(Err(standing)) => self.seen(state, node, standing, role),
                None => state.nodes[node].tell(Told::StateUnavailable),
            },
            Phase::Following { version, ends, role } => {
                let standing = state.look(now);
                let news = !matches!(&standing, Standing::Recorded(_, same) if *same == version) || ends <= now.0;
                if lost.is_some() || !news {
                    return None;
                }
                self.seen(state, node, standing, role);
            }
            Phase::Leading { lease, version } if lost.is_none() => {
                if protocol::in_time(&lease, now, FLIGHT) {
                    state.nodes[node].phase = Phase::Asking { lease, version };
                } else {
                    self.ended(state, node, Ended::Unreached, &lease, version);
                }
            }
            Phase::Again { lease, version, attempt } => match self.take(state, node, Expect::Version(version), attempt, lost) {
                Some(Ok((lease, version))) => state.nodes[node].phase = Phase::Leading { lease, version },
                Some(Err(standing)) => self.seen(state, node, standing, Role::Spectator),
                None => {
                    let record = Record::Lost { attempt: lease.attempt, ends: now.plus(TERMS.unknown) };
                    state.nodes[node].phase = Phase::Finishing { record, lease, version, told: Told::Unknown, rewrite: false };
                }
            },
            Phase::Finishing { record, lease, version, told, rewrite } => {
                match self.complete(state, node, &record, &lease, version, rewrite, lost) {
                    Completed::Written => {
                        state.nodes[node].known = Some(record);
                        state.nodes[node].tell(told);
                    }
                    Completed::Rewrite => state.nodes[node].phase = Phase::Finishing { record, lease, version, told, rewrite: true },
                    Completed::ThrownAway(standing) => {
                        state.thrown_away = true;
                        self.seen(state, node, standing, Role::Spectator);
                    }
                    Completed::Outage => {
                        state.nodes[node].known = Some(record.clone());
                        state.nodes[node].told.push(told);
                        state.nodes[node].phase = Phase::Persisting { record, lease, version, rewrite: false };
                    }
                }
            }
            Phase::Persisting { record, lease, version, rewrite } => {
                if lease.ends <= now {
                    if lost.is_some() {
                        return None;
                    }
                    state.nodes[node].phase = Phase::Idle;
                    return Some(());
                }
                match self.complete(state, node, &record, &lease, version, rewrite, lost) {
                    Completed::Written => state.nodes[node].phase = Phase::Idle,
                    Completed::Rewrite => state.nodes[node].phase = Phase::Persisting { record, lease, version, rewrite: true },
                    Completed::ThrownAway(_) => {
                        state.nodes[node].known = None;
                        state.nodes[node].phase = Phase::Idle;
                    }
                    Completed::Outage => {}
                }
            }
            Phase::Idle | Phase::Leading { .. } | Phase::Asking { .. } => return None,
        }
        Some(())
    }

    /// What the leader does when its exchange has `ended`.
    pub fn ended(&self, state: &mut State, node: usize, ended: Ended, lease: &Lease, version: u64) {
        let now = state.at(self, node);
        if ended == Ended::Unreached {
            state.nodes[node].disowned = Some(lease.holder);
        }
        state.nodes[node].phase = match protocol::landing(ended, lease.attempt, self.forgives, now, &TERMS) {
            Landing::Again { attempt } => Phase::Again { lease: *lease, version, attempt },
            Landing::Write { record, failure } => {
                let told = match (&record, failure) {
                    (_, Some(failure)) => told(failure),
                    (Record::Done { sealed, .. }, None) => Told::Pair(State::number(sealed)),
                    (_, None) => Told::Unknown,
                };
                Phase::Finishing { record, lease: *lease, version, told, rewrite: false }
            }
        };
    }

    #[allow(clippy::too_many_arguments, reason = "a result and where it belongs")]
    fn complete(
        &self,
        state: &mut State,
        node: usize,
        record: &Record,
        lease: &Lease,
        version: u64,
        rewrite: bool,
        lost: Option<Happened>,
    ) -> Completed {
        let now = state.at(self, node);
        let expect = if rewrite { Expect::Absent } else { Expect::Version(version) };
        if lost == Some(Happened::No) {
            return Completed::Outage;
        }
        let written = state.write(self, expect, record.clone(), now);
        if lost.is_some() {
            return Completed::Outage;
        }
        match written {
            Ok(_) => Completed::Written,
            Err(standing) => match protocol::late(record, lease, &standing, now) {
                Late::Written => Completed::Written,
                Late::Rewrite if !rewrite => Completed::Rewrite,
                Late::Rewrite | Late::ThrownAway => Completed::ThrownAway(standing),
            },
        }
    }
}

enum Completed {
    Written,
    Outage,
    Rewrite,
    ThrownAway(Standing),
}

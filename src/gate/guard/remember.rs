//! What a guard asks to be remembered, in the one order in which a request that is refused has spent nothing that it cannot do without.
//!
//! Room first, then counts, then what must have been remembered, then what later requests will ask for, and last what works once: the
//! guard's own and then the credential. Where the last of these refuses, the notes that were made for this request are taken back.

use std::net::IpAddr;

use bytes::Bytes;

use crate::domain::{Burn, Doubt, Event, Outage, Refusal, Timestamp};
use crate::gate::allowance::UsedUp;
use crate::gate::guard::Visit;
use crate::gate::guard::count::Counted;
use crate::gate::prove::Proven;
use crate::gate::rule::Gate;
use crate::state::contract::{Burned, Class, Expect, Key, Written};
use crate::systems::contract::{Count, Demand, Lesson, Mark, Pass};

/// How often a count is tried anew that another request has changed meanwhile.
const TRIES: usize = 16;

impl Gate {
    /// Remembers and spends what `pass` asks for, and then the credential itself: the last act before the permit.
    pub(in crate::gate) async fn spend(&self, visit: &Visit<'_>, pass: &Pass) -> Result<(), Refusal> {
        if pass.is_forgetful() {
            return self.burn(visit.proven, visit.now).await;
        }
        let (client, now) = (visit.request.client, visit.now);
        let mut room: Vec<Timestamp> = pass.notes.iter().chain(pass.burns.iter().map(|burn| &burn.mark)).map(|mark| mark.until).collect();
        self.allow_room(client, &room, now)?;
        let mut kept = Vec::with_capacity(room.len());
        let outcome = self.remember(visit, pass, &mut kept).await;
        // Room that was taken for what is not kept now is somebody else's.
        for end in kept {
            if let Some(at) = room.iter().position(|taken| *taken == end) {
                room.swap_remove(at);
            }
        }
        self.allowance.give_back(client, &room);
        outcome
    }

    /// The same within the room that there is; `kept` gets the end of everything that stands in the store then because of it.
    async fn remember(&self, visit: &Visit<'_>, pass: &Pass, kept: &mut Vec<Timestamp>) -> Result<(), Refusal> {
        let (client, now) = (visit.request.client, visit.now);
        for count in &pass.counts {
            self.count(count, client, now).await?;
        }
        for Demand { mark, breach } in &pass.demands {
            let removed = self.state.remove(&note(mark), now).await;
            if !self.told("remove", removed)? {
                self.count_guess(visit, breach);
                return Err(Refusal::GuardRefused(Box::new(breach.clone())));
            }
        }
        let mut written = Vec::with_capacity(pass.notes.len());
        let spent = match self.write(&pass.notes, &mut written, now).await {
            Ok(()) => self.burn_all(&pass.burns, visit.proven, kept, now).await,
            Err(refusal) => Err(refusal),
        };
        if spent.is_ok() {
            kept.extend(written.iter().map(|mark| mark.until));
            return Ok(());
        }
        for mark in written {
            // One that cannot be taken back ends by itself.
            let _ = self.told("remove", self.state.remove(&note(mark), now).await);
        }
        spent
    }

    /// Spends the credentials of a proven caller that work once.
    pub(in crate::gate) async fn burn(&self, proven: &Proven, now: Timestamp) -> Result<(), Refusal> {
        for burn in &proven.burns {
            match self.told("burn", self.state.burn(burn, now).await)? {
                Burned::First => {}
                Burned::Again | Burned::Forgotten => return Err(Doubt::Replayed.into()),
            }
        }
        Ok(())
    }

    /// Remembers `lessons`, which a reply has told, from `now` on. An upstream has said them of a caller who was let through, so they
    /// have no budget of their own.
    pub(in crate::gate) async fn note(&self, lessons: &[Lesson], now: Timestamp) -> Result<(), Refusal> {
        for Lesson { key, life } in lessons {
            let key = Key { class: Class::Note, digest: *key };
            let written = self.state.write(&key, Expect::Absent, Bytes::new(), now.plus(*life), now).await;
            self.told("write", written)?;
        }
        Ok(())
    }

    /// Writes `notes`, and names in `written` those that were not there before.
    async fn write<'m>(&self, notes: &'m [Mark], written: &mut Vec<&'m Mark>, now: Timestamp) -> Result<(), Refusal> {
        for mark in notes {
            let answer = self.state.write(&note(mark), Expect::Absent, Bytes::new(), mark.until, now).await;
            // One that is there already is as good.
            if matches!(self.told("write", answer)?, Written::Done { .. }) {
                written.push(mark);
            }
        }
        Ok(())
    }

    async fn burn_all(&self, burns: &[Demand], proven: &Proven, kept: &mut Vec<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
        for Demand { mark, breach } in burns {
            let burn = Burn { key: mark.key, made: mark.made, until: mark.until };
            if self.told("burn", self.state.burn(&burn, now).await)? != Burned::First {
                return Err(Refusal::GuardRefused(Box::new(breach.clone())));
            }
            kept.push(mark.until);
        }
        self.burn(proven, now).await
    }

    /// Counts one request more, unless there were too many.
    async fn count(&self, count: &Count, client: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let key = Key { class: Class::Count, digest: count.key };
        let mut standing = self.told("read", self.state.read(&key, now).await)?;
        for tried in 0..TRIES {
            let (expect, stored) = match &standing {
                None => (Expect::Absent, Some(Counted::default())),
                Some(entry) => (Expect::Version(entry.version), Counted::read(&entry.value)),
            };
            // What nobody has written is no count: whoever comes is not counted, so not let through.
            let mut counted = stored.ok_or(Outage::State.refusal())?;
            if let Err(retry_after) = counted.take(count.most, count.per, now) {
                return Err(match &count.breach {
                    Some(breach) => Refusal::GuardRefused(Box::new(breach.clone())),
                    None => Refusal::Throttled { retry_after },
                });
            }
            let until = now.plus(count.per);
            if standing.is_none() && tried == 0 {
                self.allow_room(client, &[until], now)?;
            }
            match self.told("write", self.state.write(&key, expect, counted.bytes().into(), until, now).await)? {
                Written::Done { .. } => return Ok(()),
                Written::Conflict(other) => standing = other,
            }
        }
        Err(Outage::State.refusal())
    }

    /// Refuses a caller who has had as much remembered as may be.
    fn allow_room(&self, client: IpAddr, ends: &[Timestamp], now: Timestamp) -> Result<(), Refusal> {
        if ends.is_empty() {
            return Ok(());
        }
        let taken = self.allowance.take(client, ends, self.allowed, now);
        let budget = taken.map_or_else(|used_up| used_up.budget, |()| "notes");
        self.observer.note(Event::Governor { budget, refused: taken.is_err(), tracked: self.allowance.held() });
        taken.map_err(|UsedUp { retry_after, .. }| Refusal::Throttled { retry_after })
    }

    fn told<T>(&self, operation: &'static str, answer: Result<T, Outage>) -> Result<T, Refusal> {
        self.observer.note(Event::State { operation, ok: answer.is_ok() });
        answer.map_err(Outage::refusal)
    }
}

fn note(mark: &Mark) -> Key {
    Key { class: Class::Note, digest: mark.key }
}

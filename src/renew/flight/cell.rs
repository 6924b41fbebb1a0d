//! One flight per key in this process: who comes first flies, who comes later takes a seat.
//!
//! No executor, no clock and no I/O here: the first one is handed a [`Pilot`] and decides where it runs; a [`Seat`] is a future
//! that is woken once. A pilot that goes away without landing leaves its seats [`Landed::Lost`], never waiting. It names nothing
//! but std and `sync` beside it, so that it can be compiled over other locks.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::sync::{Arc, Mutex};

/// Flights on their way, by key.
pub struct Board<K: Eq + Hash, T> {
    /// Invariant: a key is here exactly while its pilot lives. A `Mutex`, since every call may write.
    flights: Arc<Flights<K, T>>,
    capacity: usize,
}

type Flights<K, T> = Mutex<HashMap<K, Arc<Cell<T>>>>;

/// What became of an attempt to board.
pub enum Boarding<K: Eq + Hash, T> {
    /// Nobody is flying for this key: you are to. The seat is for yourself.
    First(Pilot<K, T>, Seat<T>),
    /// Somebody is; this is your seat.
    Joined(Seat<T>),
    /// As many flights are on their way as may be.
    Crowded,
}

/// How a flight ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed<T> {
    /// With this.
    Brought(T),
    /// Its pilot went away without a word.
    Lost,
}

/// One flight: its end, once it has come, and who waits for it.
struct Cell<T> {
    /// A `Mutex`: whoever looks and sees no end must be among the waiting before anybody can end it.
    held: Mutex<Held<T>>,
}

struct Held<T> {
    landed: Option<Landed<T>>,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    /// The number that the next seat gets.
    seats: u64,
}

impl<K: Eq + Hash + Clone, T: Clone> Board<K, T> {
    /// At most `capacity` flights at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { flights: Arc::new(Mutex::new(HashMap::new())), capacity }
    }

    /// Takes a seat on the flight for `key`, or starts one.
    pub fn board(&self, key: &K) -> Boarding<K, T> {
        let mut flights = self.flights.lock();
        if let Some(cell) = flights.get(key) {
            return Boarding::Joined(Seat::take(cell));
        }
        if self.capacity <= flights.len() {
            return Boarding::Crowded;
        }
        let cell = Arc::new(Cell { held: Mutex::new(Held { landed: None, waiting: BTreeMap::new(), seats: 0 }) });
        flights.insert(key.clone(), Arc::clone(&cell));
        let seat = Seat::take(&cell);
        Boarding::First(Pilot { flights: Arc::clone(&self.flights), key: key.clone(), cell, landed: false }, seat)
    }

    /// How many flights are on their way.
    #[must_use]
    pub fn flying(&self) -> usize {
        self.flights.lock().len()
    }
}

/// The duty to end a flight.
pub struct Pilot<K: Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
    cell: Arc<Cell<T>>,
    landed: bool,
}

impl<K: Eq + Hash, T> Pilot<K, T> {
    /// Ends the flight: everybody who has a seat gets `brought`. Whoever boards from now on starts another flight, so what is
    /// to be known to them must have been written down before.
    pub fn land(mut self, brought: T) {
        self.end(Landed::Brought(brought));
    }

    fn end(&mut self, landed: Landed<T>) {
        if std::mem::replace(&mut self.landed, true) {
            return;
        }
        // Off the board first: nobody is handed an end from before they came.
        self.flights.lock().remove(&self.key);
        let waiting = {
            let mut held = self.cell.held.lock();
            held.landed = Some(landed);
            std::mem::take(&mut held.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<K: Eq + Hash, T> Drop for Pilot<K, T> {
    fn drop(&mut self) {
        self.end(Landed::Lost);
    }
}

/// Waits for the end of a flight. Dropping it ends the waiting, not the flight.
pub struct Seat<T> {
    cell: Arc<Cell<T>>,
    number: u64,
}

impl<T> Seat<T> {
    fn take(cell: &Arc<Cell<T>>) -> Self {
        let number = {
            let mut held = cell.held.lock();
            held.seats += 1;
            held.seats
        };
        Self { cell: Arc::clone(cell), number }
    }
}

impl<T: Clone> Future for Seat<T> {
    type Output = Landed<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Landed<T>> {
        let mut held = self.cell.held.lock();
        if let Some(landed) = &held.landed {
            return Poll::Ready(landed.clone());
        }
        held.waiting.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        self.cell.held.lock().waiting.remove(&self.number);
    }
}

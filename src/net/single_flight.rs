//! Many who ask the same at the same time make one question.
//!
//! The work runs in a task of its own: it goes on when the one who asked first goes away, and whoever else is waiting
//! still gets the answer. An answer is not remembered; that is the business of whoever asks.
//! Keys are compared whole, never by a hash of them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Work in progress, by key.
pub struct SingleFlight<T> {
    /// Invariant: a key is here exactly while its task lives. A `Mutex`, since every call may write.
    flights: Arc<Mutex<Flights<T>>>,
    capacity: usize,
}

type Flights<T> = HashMap<Box<str>, watch::Receiver<Option<T>>, ahash::RandomState>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlightFault {
    /// As many different questions are on their way as may be; this one was not asked.
    #[error("too many questions are on their way")]
    Crowded,
    /// The task that was to bring the answer ended without one.
    #[error("the task that was to bring the answer broke off")]
    Lost,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// At most `capacity` different questions on their way at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { flights: Arc::default(), capacity }
    }

    /// The answer to the question `key`: joins the flight that is on its way, or starts one with `work`.
    ///
    /// Must be called within a tokio runtime. Bound the time of `work` inside it; how long a caller waits is the
    /// caller's own affair, and dropping the returned future does not stop the work.
    ///
    /// # Errors
    ///
    /// [`FlightFault`] when the question was not asked or its task broke off.
    pub async fn join<F>(&self, key: &str, work: impl FnOnce() -> F) -> Result<T, FlightFault>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.board(key, work)?.landed().await
    }

    /// Whether a flight for `key` is on its way.
    #[must_use]
    pub fn is_flying(&self, key: &str) -> bool {
        self.flights.lock().contains_key(key)
    }

    /// Like [`SingleFlight::join`], without waiting: when this returns, the flight is on its way.
    ///
    /// # Errors
    ///
    /// [`FlightFault::Crowded`] when the question was not asked.
    pub fn board<F>(&self, key: &str, work: impl FnOnce() -> F) -> Result<Seat<T>, FlightFault>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key) {
            return Ok(Seat(flight.clone()));
        }
        if self.capacity <= flights.len() {
            return Err(FlightFault::Crowded);
        }
        let (landing, arrival) = watch::channel(None);
        flights.insert(key.into(), arrival.clone());
        let landed = Landed { flights: Arc::clone(&self.flights), key: key.into() };
        let work = work();
        tokio::spawn(async move {
            let answer = work.await;
            // Off the board first: whoever comes now asks anew and cannot be handed an answer from before it came.
            drop(landed);
            landing.send_replace(Some(answer));
        });
        Ok(Seat(arrival))
    }
}

/// A seat on a flight: waits for the answer.
pub struct Seat<T>(watch::Receiver<Option<T>>);

impl<T: Clone> Seat<T> {
    /// The answer, once it is there.
    ///
    /// # Errors
    ///
    /// [`FlightFault::Lost`] when the task broke off.
    pub async fn landed(mut self) -> Result<T, FlightFault> {
        let answer = self.0.wait_for(Option::is_some).await.map_err(|_| FlightFault::Lost)?;
        answer.clone().ok_or(FlightFault::Lost)
    }
}

/// Takes the flight off the board, also when its task panics or is aborted.
struct Landed<T> {
    flights: Arc<Mutex<Flights<T>>>,
    key: Box<str>,
}

impl<T> Drop for Landed<T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::{FlightFault, SingleFlight};

    /// Work that waits for the word, then says how often it was started.
    fn work(starts: &Arc<AtomicUsize>, word: &Arc<Notify>) -> impl Future<Output = usize> + Send + 'static {
        let number = starts.fetch_add(1, Ordering::SeqCst) + 1;
        let word = Arc::clone(word);
        async move {
            word.notified().await;
            number
        }
    }

    #[tokio::test]
    async fn equal_questions_at_a_time_are_asked_once() {
        let (flights, starts, word) = (Arc::new(SingleFlight::new(8)), Arc::default(), Arc::new(Notify::new()));
        let askers: Vec<_> = (0..50)
            .map(|_| {
                let (flights, starts, word) = (Arc::clone(&flights), Arc::clone(&starts), Arc::clone(&word));
                tokio::spawn(async move { flights.join("a", || work(&starts, &word)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        word.notify_one();
        for asker in askers {
            assert_eq!(asker.await.unwrap(), Ok(1), "all fifty get the answer of the first");
        }
        assert!(!flights.is_flying("a"), "nothing is left behind");
        word.notify_one();
        assert_eq!(flights.join("a", || work(&starts, &word)).await, Ok(2), "a later question is asked anew");
    }

    #[tokio::test]
    async fn the_work_outlives_the_one_who_asked_first() {
        let (flights, starts, word) = (Arc::new(SingleFlight::new(8)), Arc::default(), Arc::new(Notify::new()));
        let first = {
            let (flights, starts, word) = (Arc::clone(&flights), Arc::clone(&starts), Arc::clone(&word));
            tokio::spawn(async move { flights.join("a", || work(&starts, &word)).await })
        };
        while !flights.is_flying("a") {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled(), "the first has gone away");
        word.notify_one();
        assert_eq!(flights.join("a", || work(&starts, &word)).await, Ok(1), "the second gets what the first asked for");
    }

    #[tokio::test]
    async fn a_broken_task_and_a_full_board_are_told_apart() {
        let flights: SingleFlight<usize> = SingleFlight::new(1);
        let broken = flights.join("a", || async { panic!("the work breaks off") }).await;
        assert_eq!(broken, Err(FlightFault::Lost), "a panic is no answer");
        assert_eq!(flights.join("a", || async { 7 }).await, Ok(7), "and leaves the key free");

        let (starts, word) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut waiting = Box::pin(flights.join("slow", || work(&starts, &word)));
        assert!(std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
        assert_eq!(flights.join("b", || async { 8 }).await, Err(FlightFault::Crowded), "one more than the board holds");
        word.notify_one();
        assert_eq!(waiting.await, Ok(1), "the one on its way is not disturbed");
    }
}

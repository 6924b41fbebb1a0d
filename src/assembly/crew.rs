//! The threads that serve: one runtime of a single thread for each, beside the runtime that everything else of the process runs on
//! (accepting, reloading, fetching keys, the admin listener), so that none of that holds up a request for longer than it must.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::edge::workers::Workers;

/// How often a member's clock is due, whatever else it waits for.
///
/// A runtime that sleeps is woken through the kernel for every timer that is due before all that it knew of when it fell asleep, even
/// by a timer that its own thread sets: a write and another wait, a request. With this one due soon, a deadline of a request comes
/// later and costs neither. Four times a second is nothing for a thread to wake up.
const PULSE: Duration = Duration::from_millis(250);

/// Threads that serve, until dropped.
#[derive(Debug)]
pub struct Crew {
    handles: Arc<[Handle]>,
    members: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Crew {
    /// A crew of `count`, at least one.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, when the system gives no thread.
    pub fn start(count: usize) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("cannot start threads: {error}");
        let (mut handles, mut members) = (Vec::new(), Vec::new());
        for number in 1..=count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
            handles.push(runtime.handle().clone());
            let (over, ends) = oneshot::channel();
            let serve = move || {
                runtime.block_on(async {
                    tokio::select! {
                        // An error means that the crew is gone, which ends it as well.
                        _ = ends => {}
                        () = pulse() => {}
                    }
                });
                // Whoever still waits on a blocking thread is not waited for.
                runtime.shutdown_background();
            };
            members.push((over, std::thread::Builder::new().name(format!("serving-{number}")).spawn(serve).map_err(cannot)?));
        }
        Ok(Self { handles: handles.into(), members })
    }

    /// To serve on.
    #[must_use]
    pub fn workers(&self) -> Workers {
        Workers::Crew(Arc::clone(&self.handles))
    }
}

/// Never ends.
async fn pulse() {
    loop {
        tokio::time::sleep(PULSE).await;
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for (over, thread) in self.members.drain(..) {
            drop(over);
            // A member that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::RuntimeMetrics;

    use super::Crew;
    use crate::ambient::Monotonic;
    use crate::domain::Stopwatch;

    /// Waits until the one worker sleeps, and goes on sleeping; how often it has fallen asleep by then.
    fn asleep(metrics: &RuntimeMetrics) -> u64 {
        const MICROS: u64 = 1_000;
        let stopwatch = Monotonic::start();
        let (mut seen, mut since) = (metrics.worker_park_unpark_count(0), stopwatch.micros());
        loop {
            let now = metrics.worker_park_unpark_count(0);
            if now != seen {
                (seen, since) = (now, stopwatch.micros());
            }
            // Odd while it sleeps.
            if now % 2 == 1 && MICROS < stopwatch.micros().saturating_sub(since) {
                return metrics.worker_park_count(0);
            }
            std::thread::yield_now();
        }
    }

    /// A bound of its own is what a request sets when it waits for its service, and nothing else of the thread may be pending then.
    #[test]
    fn a_deadline_set_where_none_was_pending_does_not_wake_the_thread_that_set_it() {
        const TIMES: u64 = 50;
        let crew = Crew::start(1).unwrap();
        let member = crew.workers().runtimes().remove(0);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (answer, answered) = std::sync::mpsc::channel();
        member.spawn(async move {
            while told.recv().await.is_some() {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(Duration::from_secs(60)) => {}
                    () = std::future::ready(()) => {}
                }
                answer.send(()).unwrap();
            }
        });
        let before = asleep(&member.metrics());
        for _ in 0..TIMES {
            tell.send(()).unwrap();
            // It may be long in waking up, and must not be taken for one that has fallen asleep again.
            answered.recv().unwrap();
            asleep(&member.metrics());
        }
        let slept = asleep(&member.metrics()) - before;
        // Once for each time it was told something; the pulse adds a few. With a wake for each deadline it would be twice as often.
        assert!((TIMES..TIMES * 3 / 2).contains(&slept), "{slept}");
    }
}

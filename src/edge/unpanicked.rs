//! A future whose panic costs itself and nothing else.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What `future` comes to; `None` when it panics. It is not polled again then.
///
/// What it has left half done is the caller's to throw away: here that is one request.
pub async fn unpanicked<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Err(_panic) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::unpanicked;

    #[tokio::test]
    async fn a_panic_becomes_an_absent_answer() {
        assert_eq!(unpanicked(async { 7 }).await, Some(7), "what is well passes");
        let late = async {
            tokio::task::yield_now().await;
            panic!("meant");
        };
        assert_eq!(unpanicked::<_>(late).await, None::<()>, "a panic after a wait is contained as well");
    }
}

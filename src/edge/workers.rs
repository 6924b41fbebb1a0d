//! Who serves connections: the runtime that the edge runs on, or a crew with a thread and a runtime for each of its members.
//!
//! With a crew a connection stays on the thread it was given to, with its timers and its upstream connections: nothing of a request
//! is handed to another thread, and no two threads look for each other's work. That is cheaper by far; what it costs is that a
//! connection with much to do is not helped by idle threads, and that each member keeps idle upstream connections of its own.
//!
//! Never here: a thread or a runtime made.

use std::sync::Arc;

use tokio::runtime::Handle;

/// Who serves connections.
#[derive(Debug, Clone)]
pub enum Workers {
    /// The runtime that the edge is run on, of so many threads.
    Here(usize),
    /// Runtimes of one thread each; at least one.
    Crew(Arc<[Handle]>),
}

impl Workers {
    /// How many threads serve; at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Here(threads) => *threads,
            Self::Crew(members) => members.len(),
        }
        .max(1)
    }

    /// The runtime of each set of connections that is served by itself; at least one.
    ///
    /// Must be called inside the runtime that the edge is run on.
    #[must_use]
    pub fn runtimes(&self) -> Vec<Handle> {
        match self {
            Self::Crew(members) if !members.is_empty() => members.to_vec(),
            Self::Here(_) | Self::Crew(_) => vec![Handle::current()],
        }
    }
}

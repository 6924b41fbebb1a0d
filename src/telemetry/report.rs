//! What the edge reports about a finished request, and about what happens around requests.
//!
//! Plain data and one trait. Everything is borrowed: the listener copies what it keeps. No field holds a query, a
//! header value or a credential, so none of them can be recorded by mistake.

use std::pin::Pin;

use crate::gate::verdict::Record;

/// Hears what the edge has to report. Called on the request path: quick, and never holds its thread.
pub trait Reporter: Send + Sync {
    /// What a request waits for before it begins, where the operator wants no request without its record; `None` when it may
    /// begin.
    fn turn(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        None
    }

    /// A request has been answered, or its client has gone.
    fn visited(&self, visit: &Visit<'_>);

    /// Something happened outside the life of one request, or on the way to its upstream.
    fn happened(&self, happening: Happening<'_>);
}

/// One request, finished.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'v> {
    /// What the gate has to say: rule, authenticator, identity, reason, stages.
    pub record: &'v Record,
    /// What became of it.
    pub ending: Ending,
    /// Wall-clock time at which it arrived, in milliseconds since the Unix epoch.
    pub arrived_millis: i64,
    /// The status the client was sent; 0 when nothing was sent.
    pub status: u16,
    /// The status the upstream gave; `None` when none came.
    pub upstream_status: Option<u16>,
    /// Whether a credential was renewed on the way.
    pub renewed: bool,
    /// Microseconds from the complete head to the end of the answer.
    pub duration_micros: u64,
    /// Microseconds spent on the upstream; `None` when it was never asked.
    pub upstream_micros: Option<u32>,
    /// The method as sent.
    pub method: &'v str,
    /// The host as read; empty when there was none.
    pub host: &'v str,
    /// The path as read, without the query. Client text: it goes into the audit record, never into a label.
    pub path: &'v str,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The gate let it through; forwarding may still have failed, and then the record has a reason.
    Admitted,
    /// We answered it ourselves, well.
    Served,
    /// It was refused.
    Refused,
}

impl Ending {
    /// Every ending there is.
    pub const ALL: &'static [Self] = &[Self::Admitted, Self::Served, Self::Refused];

    /// Its name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Served => "served",
            Self::Refused => "refused",
        }
    }
}

/// Something that happened outside the life of one request. Words are ours (`'static`) or the conf's, never a client's.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'a> {
    /// A connection was accepted.
    ConnectionOpened,
    /// An accepted connection has ended.
    ConnectionClosed,
    /// A connection was turned away before its first head, or, where all there may be are open (`total_cap`), the next one
    /// was left waiting.
    ConnectionRefused {
        /// Why: `total_cap`, `source_cap`, `handshake`.
        why: &'static str,
    },
    /// A head was refused before the gate saw it, so that there is no visit.
    HeadRefused {
        /// Why: `framing`, `bare_line_feed`, `too_large`, `too_slow` ...
        why: &'static str,
    },
    /// One attempt at an upstream has ended; a retried request has several.
    UpstreamTried {
        /// The upstream's name in the conf.
        upstream: &'a str,
        /// How it ended.
        result: UpstreamResult,
        /// How long it took, in microseconds.
        micros: u32,
    },
    /// A filter panicked and the request was answered 500.
    Panicked,
}

/// How one attempt at an upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamResult {
    /// It answered with a status below 500.
    Answered,
    /// It answered with a status of 500 or more.
    ServerError,
    /// No connection came about.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// The connection broke before the answer was complete.
    Broken,
}

impl UpstreamResult {
    /// Every result there is.
    pub const ALL: &'static [Self] = &[Self::Answered, Self::ServerError, Self::Unreachable, Self::TimedOut, Self::Broken];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ServerError => "server_error",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
        }
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Reporter for Unheard {
    fn visited(&self, _visit: &Visit<'_>) {}
    fn happened(&self, _happening: Happening<'_>) {}
}

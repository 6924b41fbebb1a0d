//! What the edge holds to until the next reload, all of one conf.
//!
//! It is replaced as a whole and read where something begins: a request takes one snapshot and keeps it to its end, a head is
//! held to what is in force when its first byte comes, a connection to what is in force when it is made.
//!
//! Not here: how it is read without a lock ([`crate::edge::proxy`]); how many connections there may be
//! ([`crate::edge::doorman`]).

use std::sync::Arc;
use std::time::Duration;

use crate::edge::connection::ConnectionLimits;
use crate::edge::nominations;
use crate::edge::proxy::{RequestLimits, Serving};
use crate::edge::server::EdgeOptions;
use crate::edge::upstream::Upstreams;
use crate::gate::contract::Judge;

/// Who judges, where requests go, and the bounds on them.
pub(super) struct InForce {
    /// Who judges.
    pub(super) judge: Arc<dyn Judge>,
    /// Where admitted requests go.
    pub(super) upstreams: Arc<Upstreams>,
    /// What clients are held to.
    pub(super) bounds: Bounds,
}

/// What clients are held to.
#[derive(Debug)]
pub(super) struct Bounds {
    /// On a connection.
    pub(super) connection: ConnectionLimits,
    /// On a request.
    pub(super) request: RequestLimits,
    /// Names that no client may nominate, folded; see [`nominations`].
    pub(super) protected: Box<[Box<str>]>,
    /// How long requests in flight may take to finish once the edge drains.
    pub(super) grace: Duration,
}

impl InForce {
    /// `serving` within the bounds of `options`.
    pub(super) fn new(options: &EdgeOptions, serving: Serving) -> Self {
        let Serving { judge, upstreams } = serving;
        Self { judge, upstreams, bounds: Bounds::of(options) }
    }
}

impl Bounds {
    fn of(options: &EdgeOptions) -> Self {
        Self {
            connection: options.connection,
            request: options.request,
            protected: options.protected.iter().map(|name| nominations::fold(name.as_str().as_bytes()).into()).collect(),
            grace: options.grace,
        }
    }
}

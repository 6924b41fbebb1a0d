//! What [`cell`](super::cell) locks and shares with.
//!
//! Nothing else is here: a model check compiles the same cell over another `sync`, whose locks let a scheduler decide who
//! goes first.

pub(super) use std::sync::Arc;

pub(super) use parking_lot::Mutex;

//! The vocabulary of a conf: what a value may look like, how it is read, how a fault is told.
//!
//! Every section of the conf is described once, as a [`SectionSpec`]: its keys, their shapes, defaults
//! and meaning. That one table drives the reader, unknown-key detection with suggestions, the
//! JSON Schema and the reference page, so none of them can drift from the others.
//!
//! No I/O: text and secret material are handed in.

pub mod fault;
pub mod host;
pub mod material;
pub mod node;
pub mod revocation;
pub mod section;
pub mod shape;
pub mod unquoted;
pub mod walk;

pub use fault::{Fault, Faults, Level, suggest};
pub use material::{Checking, Material, Names};
pub use node::{Entry, Node, NodeValue, Span};
pub use section::Section;
pub use section::sound;
pub use shape::{Choice, KeySpec, Presence, SectionSpec, Shape};
pub use walk::walk;

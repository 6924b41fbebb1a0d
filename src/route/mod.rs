//! Stage 1: which rule speaks for this request.
//!
//! One canonical reading of target and host, patterns that can only be written canonically, and a table that ranks
//! them without surprises. Pure questions over text: no I/O, no conf, no identity.
//!
//! Never here: a repaired target; a rule that sees the query; a match that depends on the order of the rules.

pub mod host;
pub mod pattern;
pub mod table;
pub mod target;

pub use host::Authority;
pub use pattern::{HostPattern, Methods, PathPattern, Segment};
pub use table::{Match, Route, Table, TableFault};
pub use target::Reading;

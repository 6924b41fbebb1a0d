//! What operators see: the audit record, metrics, process logs.
//!
//! The edge reports through [`report::Reporter`], lower rooms through `domain::Observer`; both end here, and only here.
//!
//! Never here: a credential, a query, a header value; a label that carries client text; a wait on the request path
//! that the operator did not ask for.

pub mod audit;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod recorder;
pub mod report;
pub mod sink;

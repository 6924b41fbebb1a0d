//! A conf as somebody wrote it, made safe to put under load on this machine: the same rules, authenticators and kinds of key
//! sources, with keys made a moment ago, a service on loopback behind it, and nobody else asked.
//!
//! In reading order: `vault` makes secrets and files, `rewrite` turns the tree, `sections` what stands in which section,
//! `records` whom stores of ids know, `inquiries` and `farm` answer in place of whoever the conf asks, `keyring` says which key store
//! signs with what, `sessions` what its store remembers, `presenters` who makes credentials of it, `lanes` which requests reach which rule.
//!
//! Never here: a secret of the conf's own, which is not even read; a request to anyone the conf names.

pub mod checks;
pub mod door;
pub mod farm;
pub mod inquiries;
pub mod keyring;
pub mod lanes;
pub mod presenters;
pub mod records;
pub mod rewrite;
pub mod sections;
pub mod sessions;
pub mod store;
pub mod storm;
pub mod upstream;
pub mod vault;

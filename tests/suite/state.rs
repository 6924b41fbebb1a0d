//! State stores: what each of them must keep, and what happens to those in a file and in Redis when their ground gives way.

mod contract;
mod embedded;
mod faults;
mod kills;
mod redis;

//! State stores: what each of them must keep, and what happens to the one in a file when its ground gives way.

mod contract;
mod embedded;
mod faults;
mod kills;

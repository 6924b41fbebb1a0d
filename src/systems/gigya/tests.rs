//! Gigya's words: what its clients read, what its endpoints ask for, what is signed, and what its replies mean.

mod dialect;
mod guarding;
mod replying;
mod settings;
mod signing;
mod stage;

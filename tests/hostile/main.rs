//! What must not work: one table per class of attack, each row with its verdict.

mod logs;

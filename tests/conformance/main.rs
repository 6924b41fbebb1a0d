//! The standards we speak, one file each: their examples and their MUSTs, row by row.

mod rfc6750;
mod rfc9110;
